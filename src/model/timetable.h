/* [bandwidth] schedule (BITS's work schedule), for example
 *
 *	Mon-Fri 08:00-17:00 1M; Sat,Sun 0; high Mon-Fri 08:00-17:00 2M; else max
 *
 *	timetable = [entry *(";" entry)] [";"]
 *	entry     = [level] (days [window] / "else") limit          separated by blanks
 *	level     = "foreground" / "high" / "normal" / "low"        without: all levels
 *	days      = range *("," range);  range = day ["-" day]      Mon Tue ... Sun; Sat-Mon wraps
 *	window    = HH:MM-HH:MM                                     without: the whole day
 *	limit     = bytes per second (500K, 2M), 0 or "max"
 *
 * Entries are tried in order, the first that matches counts, none is no limit; nothing may follow an
 * `else` that it would hide. A window that ends before it begins goes past midnight into the day
 * after: "Fri 22:00-06:00" ends on Saturday. Local time. Pure: the caller gives local time.
 */
#pragma once

#include "model/job.h"

#include <stdint.h>

struct timetable;

/* "" is: no limit ever. -EINVAL and *ret_reason, one sentence to free(); RET_REASON may be NULL. */
int timetable_parse(const char *text, struct timetable **ret, char **ret_reason);
void timetable_free(struct timetable *t);
/* Limit in bytes per second at MINUTE of the week (0 = Monday 00:00) for jobs of PRIORITY; foreground
 * is exempt by the caller. *ret_minutes: minutes until the answer may change (1..10080). */
uint64_t timetable_limit(const struct timetable *t, enum job_priority priority, unsigned minute, unsigned *ret_minutes);
