/* A set of bytes of a file as ordered, disjoint, non-adjacent half-open ranges [first, end).
 * A zeroed struct extents is the empty set. Functions that grow return 0 or -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent {
	uint64_t first, end; /* bytes first ... end - 1 */
};

struct extents {
	struct extent *v;
	uint32_t n, cap;
};

void extents_release(struct extents *s);
int extents_copy(const struct extents *s, struct extents *ret); /* RET is overwritten, not released */
int extents_add(struct extents *s, uint64_t first, uint64_t end);
uint64_t extents_total(const struct extents *s);
/* Whether all of [first, end) is in S. */
bool extents_contain(const struct extents *s, uint64_t first, uint64_t end);
/* The end of the run that contains OFFSET; OFFSET itself when it is not in S. */
uint64_t extents_run(const struct extents *s, uint64_t offset);
/* The first gap of [from, limit): false when there is none. */
bool extents_gap(const struct extents *s, uint64_t from, uint64_t limit, struct extent *ret);
/* "0-1048575,2097152-4194303" (inclusive, as RFC 9110 ranges) and back. -EINVAL. */
int extents_format(const struct extents *s, char **ret_text); /* "" when empty */
int extents_parse(const char *text, struct extents *ret);
void extents_assert_sane(const struct extents *s);
