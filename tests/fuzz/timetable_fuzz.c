#include "model/timetable.h"

#include "fuzz.h"

#define WEEK 10080u

/* From step to step through the week. */
static void walk(const struct timetable *t, enum job_priority level)
{
	unsigned until;

	for (unsigned minute = 0; minute < WEEK; minute += until) {
		uint64_t limit = timetable_limit(t, level, minute, &until), last;

		assert(until >= 1 && until <= WEEK);
		last = timetable_limit(t, level, (minute + until - 1) % WEEK, &(unsigned){ 0 });
		assert(limit == last);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *reason = NULL;
	struct timetable *t;

	if (timetable_parse(text, &t, &reason)) {
		assert(reason);
		free(reason);
	} else {
		for (unsigned level = 0; level < PRIORITY_MAX; level++)
			walk(t, (enum job_priority)level);
		timetable_free(t);
	}
	free(text);
	return 0;
}
