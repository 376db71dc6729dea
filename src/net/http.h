/* What an HTTP answer says, and whether its body may be written: pure, decided before the first byte.
 *
 * RFC 9110: §13.1.5 If-Range, §14 ranges, §8.8 validators. Validators are kept as text: `etag "x"`,
 * `etag W/"x"`, `date SECONDS`. Only a strong ETag, and a Last-Modified at least a second older than
 * the answer's Date (§8.8.2.2), prove that two answers are byte for byte of one version; a weak ETag is
 * compared, but nothing is resumed or fetched in parallel on its word.
 */
#pragma once

#include "model/addline.h"
#include "model/retry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer {
	int status;
	bool chunked, accepts_ranges, http2, whole_length, has_range;
	uint64_t length;                  /* Content-Length, if whole_length */
	uint64_t first, last, total;      /* Content-Range; total SIZE_UNKNOWN: "*"; first > last: "bytes *" */
	int64_t modified, date;           /* seconds since the epoch; MTIME_UNKNOWN */
	char *etag;                       /* as sent, with W/ and quotes */
};

void answer_reset(struct answer *a); /* also of a zeroed one; frees */
/* One line of the head as libcurl gives it, with its line end. A status line begins a new answer. True
 * at the empty line: the head is complete. Out of memory loses the ETag, which is safe: a version that
 * is not known to be the same is a change. */
bool answer_line(struct answer *a, const char *line, size_t len);

/* The validator of A, to free(); NULL when it gave none (or out of memory). */
char *answer_validator(const struct answer *a);
bool validator_is_strong(const char *validator); /* NULL: no */
/* What goes into If-Range for a strong validator; to free(). */
char *validator_if_range(const char *validator);
/* "Sun, 06 Nov 1994 08:49:37 GMT": RFC 9110 §5.6.7, whatever the locale. */
#define HTTP_DATE_LEN 30
void http_date(int64_t seconds, char ret[HTTP_DATE_LEN]);

/* What was asked, and what is known so far. */
struct asked {
	bool ranged, if_ranged;
	bool fresh;             /* nothing of the file is here, and no other connection fetches it */
	bool parts;             /* range=: only ranges make sense */
	uint64_t first;         /* offset in the remote file */
	uint64_t size;          /* of the remote file; SIZE_UNKNOWN */
	const char *validator;  /* NULL: none */
	uint64_t contiguous;    /* all before this offset is here */
};

enum verdict {
	VERDICT_ACCEPT,      /* the body is what was asked for */
	VERDICT_WHOLE,       /* the body is the whole file: from 0 */
	VERDICT_COMPLETE,    /* there is nothing behind what is here */
	VERDICT_FROM_START,  /* ask again without a range */
	VERDICT_NO_RANGES,   /* the same version, but this server does not serve parts of it */
	VERDICT_REDIRECT,
	VERDICT_FAIL,
};

/* With VERDICT_FAIL and VERDICT_NO_RANGES *ret_outcome and *ret_text (static, may be NULL) are set. */
enum verdict answer_judge(const struct answer *a, const struct asked *q, enum outcome *ret_outcome,
	const char **ret_text);
