/* A hash table of things that carry their own link. It owns nothing but its buckets, and only
 * table_reserve can fail, so a place can be secured before a save and used after it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next; /* chain of one bucket */
	uint32_t hash;
};

struct table {
	struct table_link **buckets;
	size_t n, size; /* size: 0 or a power of two */
};

void table_release(struct table *t); /* not what is in it */
int table_reserve(struct table *t, size_t more); /* keeps chains short for MORE further ones */
void table_put(struct table *t, struct table_link *link, uint32_t hash);
void table_drop(struct table *t, struct table_link *link);
/* All with that hash, the latest put first; the caller compares the keys. */
struct table_link *table_first(const struct table *t, uint32_t hash);
struct table_link *table_next(const struct table_link *link);

/* Hashes of a key; SEED is the hash of what comes before it. Not for secrets: a user can make names
 * collide, so the number of names that a user may make is limited elsewhere. */
uint32_t hash_bytes(uint32_t seed, const void *data, size_t len);
uint32_t hash_text(const char *text);
uint32_t hash_u64(uint64_t value);
