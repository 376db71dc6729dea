/* [bandwidth] schedule: `Mon-Fri 08:00-17:00 1M; Sat,Sun 0; high Mon-Fri 08:00-17:00 2M; else max`
 * (BITS's work schedule). Entries are tried in order, the first that matches counts; a priority word
 * before the days restricts an entry to that level. Local time. Pure: the caller gives local time.
 */
#pragma once

#include "model/job.h"

#include <stdint.h>

struct timetable;

int timetable_parse(const char *text, struct timetable **ret, char **ret_reason); /* "" is: no limit ever */
void timetable_free(struct timetable *t);
/* Limit in bytes per second at MINUTE of the week (0 = Monday 00:00) for jobs of PRIORITY; foreground
 * is exempt by the caller. *ret_minutes: minutes until the answer may change (1..10080). */
uint64_t timetable_limit(const struct timetable *t, enum job_priority priority, unsigned minute, unsigned *ret_minutes);
