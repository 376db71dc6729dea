/* Time. The model never asks: it is given a struct moment. */
#pragma once

#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

/* Nanoseconds of CLOCK_BOOTTIME: goes on during suspend, ignores changes of the system's date, as
 * BITS's timers do. Every deadline in the program is in these units. */
int64_t clock_now(void);
/* Seconds since the epoch, for what people read and what must survive a reboot. */
int64_t clock_wall(void);

struct moment {
	int64_t now;     /* clock_now() */
	int64_t wall_ms; /* milliseconds since the epoch */
};
struct moment clock_moment(void);
