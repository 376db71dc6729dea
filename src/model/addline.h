/* The grammar of `add` (INTERFACE.md §5): URL [NAME] [KEY=VALUE]... per line.
 *
 * The second field is a NAME when it is quoted or does not look like KEY=VALUE (small letters and
 * digits, then '='), so that a mistyped key is an error and not a name.
 * Pure: text in, a list of struct source out; nothing about jobs.
 */
#pragma once

#include "base/cleanup.h"
#include "model/extent.h"

#include <stddef.h>
#include <stdint.h>

enum digest_kind { DIGEST_NONE, DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512, DIGEST_KIND_MAX };
extern const char *const digest_names[DIGEST_KIND_MAX]; /* "", "md5", ... as in add and OpenSSL */
extern const size_t digest_lengths[DIGEST_KIND_MAX];

#define SIZE_UNKNOWN UINT64_MAX
#define MTIME_UNKNOWN INT64_MIN /* the server's time of a file, seconds */
#define RANGE_TO_END UINT64_MAX

/* What the rare file has besides a URL. */
struct source_extra {
	enum digest_kind digest_kind;
	uint8_t digest[64];
	uint64_t size; /* size=, else SIZE_UNKNOWN */
	char **mirrors;
	size_t nmirrors;
	struct extent *ranges; /* range=: parts in the order given; end RANGE_TO_END: to the end */
	size_t nranges;
};

/* Where a file comes from, as the user said it. Never changes after `add`; freed with the file. */
struct source {
	char *url;
	struct source_extra *extra; /* NULL for a plain URL: most files are */
};

void source_release(struct source *s);
#define cleanup_source __attribute__((__cleanup__(source_release)))

/* One accepted line: a staged path and its source. */
struct addition {
	char *path;
	struct source source;
};

struct additions {
	struct addition *v;
	size_t n, cap;
};

void additions_release(struct additions *a);

struct addline_rules {
	const char *schemes;   /* allowed, blank-separated */
	size_t ranges_max;
	uint64_t size_max;     /* [security] max_file_size; LIMIT_MAX */
};

/* Parses all complete lines of TEXT (the last may lack its '\n'); all or none. On failure *ret_reason
 * is "line N: sentence" (to free(), may be NULL when out of memory) and RET is untouched.
 * -EINVAL grammar, scheme, name, key · -ERANGE number · -EOVERFLOW more than ranges_max ranges. */
int addline_parse(const char *text, size_t len, const struct addline_rules *rules,
	struct additions *ret, char **ret_reason);
/* The parts of a source back as the line's tail (` sha256=... mirror=...`), for the store; quoted so
 * that addline_parse_extra takes it back. "" without extra. */
int addline_format_extra(const struct source *s, char **ret_text);
int addline_parse_extra(const char *text, struct source *s); /* fills s->extra; url untouched */
