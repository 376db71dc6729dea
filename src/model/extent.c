/* A sorted vector with binary search. A file has a handful of runs, seldom hundreds (one per
 * connection that stopped in the middle), so moving the tail costs less than any tree would.
 */
#include "model/extent.h"

#include "base/buf.h"
#include "model/chars.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The first extent whose end is at or above OFFSET, so that one ending just there is found. */
static uint32_t find_reaching(const struct extents *s, uint64_t offset)
{
	uint32_t low = 0, high = s->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->v[mid].end < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The extent that contains the byte at OFFSET, or the next one, or n. */
static uint32_t find_covering(const struct extents *s, uint64_t offset)
{
	uint32_t i = find_reaching(s, offset);

	return i < s->n && s->v[i].end == offset ? i + 1 : i;
}

static int reserve_one(struct extents *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	struct extent *v;

	if (s->n < s->cap)
		return 0;
	if (cap <= s->cap)
		return -ENOMEM;
	v = reallocarray(s->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->cap = cap;
	return 0;
}

void extents_release(struct extents *s)
{
	free(s->v);
	*s = (struct extents){ 0 };
}

int extents_copy(const struct extents *s, struct extents *ret)
{
	struct extents copy = { .n = s->n, .cap = s->n };

	if (s->n) {
		copy.v = reallocarray(NULL, s->n, sizeof(*copy.v));
		if (!copy.v)
			return -ENOMEM;
		memcpy(copy.v, s->v, s->n * sizeof(*copy.v));
	}
	*ret = copy;
	return 0;
}

int extents_add(struct extents *s, uint64_t first, uint64_t end)
{
	uint32_t from, to;
	int err;

	if (first >= end)
		return 0;
	/* [from, to) are the extents that touch the new one and melt into it. */
	from = find_reaching(s, first);
	for (to = from; to < s->n && s->v[to].first <= end; to++)
		;
	if (from == to) {
		err = reserve_one(s);
		if (err)
			return err;
		memmove(&s->v[from + 1], &s->v[from], (s->n - from) * sizeof(*s->v));
		s->v[from] = (struct extent){ first, end };
		s->n++;
		return 0;
	}
	if (s->v[from].first < first)
		first = s->v[from].first;
	if (s->v[to - 1].end > end)
		end = s->v[to - 1].end;
	s->v[from] = (struct extent){ first, end };
	memmove(&s->v[from + 1], &s->v[to], (s->n - to) * sizeof(*s->v));
	s->n -= to - from - 1;
	return 0;
}

uint64_t extents_total(const struct extents *s)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < s->n; i++)
		total += s->v[i].end - s->v[i].first;
	return total;
}

bool extents_contain(const struct extents *s, uint64_t first, uint64_t end)
{
	return first >= end || extents_run(s, first) >= end;
}

uint64_t extents_run(const struct extents *s, uint64_t offset)
{
	uint32_t i = find_covering(s, offset);

	return i < s->n && s->v[i].first <= offset ? s->v[i].end : offset;
}

bool extents_gap(const struct extents *s, uint64_t from, uint64_t limit, struct extent *ret)
{
	uint32_t i = find_covering(s, from);
	struct extent gap = { from, limit };

	if (i < s->n && s->v[i].first <= from)
		gap.first = s->v[i++].end;
	if (i < s->n && s->v[i].first < limit)
		gap.end = s->v[i].first;
	if (gap.first >= gap.end)
		return false;
	*ret = gap;
	return true;
}

int extents_format(const struct extents *s, char **ret_text)
{
	cleanup_buf struct buf b = { 0 };

	buf_adds(&b, "");
	for (uint32_t i = 0; i < s->n; i++)
		buf_printf(&b, "%s%" PRIu64 "-%" PRIu64, i ? "," : "", s->v[i].first, s->v[i].end - 1);
	if (b.failed)
		return -ENOMEM;
	*ret_text = buf_steal(&b);
	return 0;
}

/* "FIRST-LAST" at *P, and in order: what extents_format wrote is; anything else is damage. */
static int parse_one(const char **p, struct extents *s)
{
	uint64_t first, last;

	if (scan_u64(p, &first) || **p != '-')
		return -EINVAL;
	++*p;
	if (scan_u64(p, &last) || first > last || last == UINT64_MAX)
		return -EINVAL;
	if (s->n && first <= s->v[s->n - 1].end)
		return -EINVAL;
	return extents_add(s, first, last + 1);
}

int extents_parse(const char *text, struct extents *ret)
{
	struct extents s = { 0 };
	const char *p = text;
	int err = *p ? parse_one(&p, &s) : 0;

	while (!err && *p) {
		err = *p == ',' ? 0 : -EINVAL;
		if (!err) {
			p++;
			err = parse_one(&p, &s);
		}
	}
	if (err) {
		extents_release(&s);
		return err;
	}
	*ret = s;
	return 0;
}

void extents_assert_sane(const struct extents *s)
{
	assert(s->n <= s->cap);
	assert(s->v || !s->cap);
	for (uint32_t i = 0; i < s->n; i++) {
		assert(s->v[i].first < s->v[i].end);
		assert(i == 0 || s->v[i - 1].end < s->v[i].first);
	}
}
