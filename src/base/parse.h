/* Values as text, strict: the whole string must be the value. Outputs are untouched on failure.
 * Errors: -EINVAL not such a value, -ERANGE a number too large (kernel kstrtoull and kstrtobool).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_MAX UINT64_MAX /* "max": no limit */

int parse_u64(const char *text, uint64_t *ret);           /* decimal digits only */
int parse_size(const char *text, uint64_t *ret);          /* digits, or with K M G T (powers of 1024); "max" */
int parse_seconds(const char *text, uint64_t *ret);       /* digits, or with s m h d w; "max" */
int parse_bool(const char *text, bool *ret);              /* y Y 1 t T on ... / n N 0 f F off ... */
/* Bytes as pairs of hex digits; exactly LEN bytes. -EINVAL otherwise. */
int parse_hex(const char *text, uint8_t *ret, size_t len);
/* RFC 3339 UTC, "2026-11-21T08:12:20Z"; writes 21 bytes including the NUL. */
#define MOMENT_LEN 21
void format_moment(int64_t wall_seconds, char ret[MOMENT_LEN]);
