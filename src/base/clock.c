/* The only callers of clock_gettime besides the mailbox. */
#include "base/clock.h"

#include <time.h>

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_now(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
	return clock_read(CLOCK_REALTIME) / NSEC_PER_SEC;
}

struct moment clock_moment(void)
{
	return (struct moment){
		.now = clock_now(),
		.wall_ms = clock_read(CLOCK_REALTIME) / NSEC_PER_MSEC,
	};
}
