/* Parsing marks the minutes of the week that an entry covers; then the entries are compiled, per
 * priority, into the steps at which the limit changes, so that asking is a short search and "until
 * when" needs no reasoning about midnights and wrapping weeks.
 */
#include "model/timetable.h"

#include "base/buf.h"
#include "base/parse.h"
#include "base/vector.h"
#include "model/chars.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MINUTES 1440u
#define WEEK_MINUTES (7 * DAY_MINUTES)
#define ENTRIES_MAX 128
#define LEVELS_ALL ((1u << PRIORITY_MAX) - 1)

struct entry {
	unsigned levels; /* bit per enum job_priority */
	bool rest;       /* `else` */
	uint64_t limit;
	uint8_t minutes[WEEK_MINUTES / 8]; /* bit per minute of the week */
};

struct step {
	unsigned minute; /* from here on */
	uint64_t limit;
};

struct steps {
	struct step *v; /* ascending; the first is minute 0 */
	size_t n, cap;
};

struct timetable {
	struct steps levels[PRIORITY_MAX];
};

static const char *const day_words[7] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
static const char *const level_words[PRIORITY_MAX] = {
	[PRIORITY_FOREGROUND] = "foreground",
	[PRIORITY_HIGH] = "high",
	[PRIORITY_NORMAL] = "normal",
	[PRIORITY_LOW] = "low",
};

/* --- words ------------------------------------------------------------------------------------- */

/* The next blank-separated word of the entry at *CURSOR, cut off in place; NULL: no more. */
static char *next_word(char **cursor)
{
	char *word = *cursor + strspn(*cursor, " \t\n");
	char *end = word + strcspn(word, " \t\n");

	*cursor = *end ? end + 1 : end;
	*end = '\0';
	return *word ? word : NULL;
}

/* Days are recognised in any case, whole words: the index, or -1. */
static int scan_day(const char **p)
{
	for (int day = 0; day < 7; day++) {
		const char *w = day_words[day];

		if (char_lower((*p)[0]) == char_lower(w[0]) && char_lower((*p)[1]) == w[1] &&
		    char_lower((*p)[2]) == w[2]) {
			*p += 3;
			return day;
		}
	}
	return -1;
}

/* "Mon-Fri,Sun": a bit per day. A range may wrap: Sat-Mon. */
static int parse_days(const char *word, unsigned *ret)
{
	unsigned days = 0;

	for (;;) {
		int first = scan_day(&word), last = first;

		if (first >= 0 && *word == '-') {
			word++;
			last = scan_day(&word);
		}
		if (first < 0 || last < 0)
			return -EINVAL;
		for (int day = first;; day = (day + 1) % 7) {
			days |= 1u << day;
			if (day == last)
				break;
		}
		if (!*word)
			break;
		if (*word++ != ',')
			return -EINVAL;
	}
	*ret = days;
	return 0;
}

/* "H:MM" or "HH:MM" up to 24:00, as minutes. */
static int scan_clock(const char **p, unsigned *ret)
{
	unsigned hours = 0, minutes;
	const char *c = *p;

	if (!char_is_digit(*c))
		return -EINVAL;
	for (int i = 0; i < 2 && char_is_digit(*c); i++)
		hours = hours * 10 + (unsigned)(*c++ - '0');
	if (c[0] != ':' || !char_is_digit(c[1]) || !char_is_digit(c[2]))
		return -EINVAL;
	minutes = (unsigned)(c[1] - '0') * 10 + (unsigned)(c[2] - '0');
	if (minutes > 59 || hours * 60 + minutes > DAY_MINUTES)
		return -EINVAL;
	*p = c + 3;
	*ret = hours * 60 + minutes;
	return 0;
}

/* *ret_length goes past midnight when the end is before the beginning. */
static int parse_window(const char *word, unsigned *ret_start, unsigned *ret_length)
{
	unsigned start, end;

	if (scan_clock(&word, &start) || *word++ != '-' || scan_clock(&word, &end) || *word)
		return -EINVAL;
	if (start == end || start == DAY_MINUTES)
		return -EINVAL;
	*ret_start = start;
	*ret_length = end > start ? end - start : end + DAY_MINUTES - start;
	return 0;
}

static int level_of(const char *word)
{
	for (int level = 0; level < PRIORITY_MAX; level++) {
		if (strcmp(word, level_words[level]) == 0)
			return level;
	}
	return -1;
}

/* --- entries ----------------------------------------------------------------------------------- */

static void mark(struct entry *e, unsigned days, unsigned start, unsigned length)
{
	for (unsigned day = 0; day < 7; day++) {
		if (!(days & 1u << day))
			continue;
		for (unsigned i = 0; i < length; i++) {
			unsigned minute = (day * DAY_MINUTES + start + i) % WEEK_MINUTES;

			e->minutes[minute / 8] |= (uint8_t)(1u << minute % 8);
		}
	}
}

static const char *parse_entry(char *text, struct entry *ret)
{
	struct entry e = { .levels = LEVELS_ALL };
	char *word = next_word(&text);
	unsigned days = 0x7f, start = 0, length = DAY_MINUTES;

	if (word && level_of(word) >= 0) {
		e.levels = 1u << level_of(word);
		word = next_word(&text);
	}
	if (!word)
		return "days or else are missing";
	e.rest = strcmp(word, "else") == 0;
	if (!e.rest && parse_days(word, &days))
		return "the days must be like Mon-Fri or Sat,Sun, or the word else";
	word = next_word(&text);
	if (word && !e.rest && strpbrk(word, ":-")) {
		if (parse_window(word, &start, &length))
			return "the window must be like 08:00-17:00";
		word = next_word(&text);
	}
	mark(&e, days, start, length);
	if (!word || parse_size(word, &e.limit))
		return "the limit must be bytes per second like 500K or 2M, or max";
	if (next_word(&text))
		return "an entry ends with its limit; the next one comes after ';'";
	*ret = e;
	return NULL;
}

static uint64_t limit_at(const struct entry *entries, size_t n, unsigned level, unsigned minute)
{
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = &entries[i];

		if (e->levels & 1u << level && e->minutes[minute / 8] & 1u << minute % 8)
			return e->limit;
	}
	return LIMIT_MAX;
}

static int add_step(struct steps *s, unsigned minute, uint64_t limit)
{
	if (s->n && s->v[s->n - 1].limit == limit)
		return 0;
	if (vector_room(s->v, s->cap, s->n + 1) < 0)
		return -ENOMEM;
	s->v[s->n++] = (struct step){ minute, limit };
	return 0;
}

static int compile(const struct entry *entries, size_t n, struct timetable *t)
{
	int err = 0;

	for (unsigned level = 0; level < PRIORITY_MAX; level++) {
		for (unsigned minute = 0; minute < WEEK_MINUTES && !err; minute++)
			err = add_step(&t->levels[level], minute,
				limit_at(entries, n, level, minute));
	}
	return err;
}

static int refuse(const char *entry, const char *sentence, char **ret_reason)
{
	cleanup_buf struct buf b = { 0 };

	entry += strspn(entry, " \t\n");
	buf_printf(&b, "'%.60s': %s", entry, sentence);
	*ret_reason = buf_steal(&b);
	return -EINVAL;
}

/* Cuts TEXT up. *ret_n entries of at most ENTRIES_MAX. */
static int parse_entries(const char *text, struct entry *entries, size_t *ret_n, char **ret_reason)
{
	unsigned closed = 0; /* levels that an `else` has dealt with */
	size_t n = 0;

	while (*text) {
		size_t len = strcspn(text, ";");
		cleanup_free char *entry = strndup(text, len);
		cleanup_free char *shown = strndup(text, len);
		const char *sentence;

		if (!entry || !shown)
			return -ENOMEM;
		text += len + (text[len] == ';');
		if (!entry[strspn(entry, " \t\n")])
			continue;
		if (n == ENTRIES_MAX)
			return refuse(shown, "too many entries", ret_reason);
		sentence = parse_entry(entry, &entries[n]);
		if (sentence)
			return refuse(shown, sentence, ret_reason);
		if (!(entries[n].levels & ~closed))
			return refuse(shown, "an entry after else never counts", ret_reason);
		if (entries[n].rest)
			closed |= entries[n].levels;
		n++;
	}
	*ret_n = n;
	return 0;
}

int timetable_parse(const char *text, struct timetable **ret, char **ret_reason)
{
	cleanup_free struct entry *entries = calloc(ENTRIES_MAX, sizeof(*entries));
	struct timetable *t = calloc(1, sizeof(*t));
	char *reason = NULL;
	size_t n = 0;
	int err = entries && t ? parse_entries(text, entries, &n, &reason) : -ENOMEM;

	if (!err)
		err = compile(entries, n, t);
	if (err) {
		timetable_free(t);
		if (ret_reason)
			*ret_reason = reason;
		else
			free(reason);
		return err;
	}
	*ret = t;
	return 0;
}

void timetable_free(struct timetable *t)
{
	if (!t)
		return;
	for (unsigned level = 0; level < PRIORITY_MAX; level++)
		free(t->levels[level].v);
	free(t);
}

uint64_t timetable_limit(const struct timetable *t, enum job_priority priority, unsigned minute,
	unsigned *ret_minutes)
{
	const struct steps *s = &t->levels[priority];
	size_t i = s->n - 1;

	minute %= WEEK_MINUTES;
	while (s->v[i].minute > minute)
		i--;
	if (s->n == 1)
		*ret_minutes = WEEK_MINUTES;
	else if (i + 1 < s->n)
		*ret_minutes = s->v[i + 1].minute - minute;
	else if (s->v[i].limit == s->v[0].limit) /* goes on into the next week */
		*ret_minutes = WEEK_MINUTES - minute + s->v[1].minute;
	else
		*ret_minutes = WEEK_MINUTES - minute;
	return s->v[i].limit;
}
