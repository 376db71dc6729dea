/* A token bucket: bytes that may pass now. Pure; the caller locks (net/throttle). */
#pragma once

#include <stdint.h>

struct share {
	uint64_t rate;   /* bytes per second; LIMIT_MAX: no limit; 0: nothing passes */
	int64_t tokens;  /* may be negative: what was taken beyond the rate is paid back */
	int64_t stamp;   /* when tokens was true */
};

/* The bucket holds at most a twelfth of a second of the rate, so 2 s are exact within 5 % however long
 * nothing was taken before; share_init begins with an empty one. A buffer larger than what is allowed
 * may pass whole once share_allows gives more than 0: the debt is waited for afterwards. */
void share_init(struct share *s, uint64_t rate, int64_t now);
void share_set_rate(struct share *s, uint64_t rate, int64_t now); /* in force at once; debts are cut to the new rate's burst */
/* Bytes that may pass now, 0 if none; then the moment when some may is in *ret_when (INT64_MAX: rate 0). */
uint64_t share_allows(struct share *s, int64_t now, int64_t *ret_when);
void share_take(struct share *s, uint64_t bytes);
