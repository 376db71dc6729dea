/* Chained hash table with intrusive links (model/table.h). */
#include "model/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 8

static void put(struct table_link **buckets, size_t size, struct table_link *link)
{
	struct table_link **bucket = &buckets[link->hash & (size - 1)];

	link->next = *bucket;
	*bucket = link;
}

/* Links in reverse order, so that putting each at the head of its new bucket keeps the latest
 * first. */
static struct table_link *reversed(struct table_link *chain)
{
	struct table_link *last = NULL;

	while (chain) {
		struct table_link *next = chain->next;

		chain->next = last;
		last = chain;
		chain = next;
	}
	return last;
}

void table_release(struct table *t)
{
	free(t->buckets);
	*t = (struct table){ 0 };
}

int table_reserve(struct table *t, size_t more)
{
	size_t size = t->size ? t->size : BUCKETS_MIN;
	struct table_link **buckets;

	while (size < t->n + more)
		size *= 2;
	if (size == t->size)
		return 0;
	buckets = calloc(size, sizeof(struct table_link *));
	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->size; i++) {
		struct table_link *link = reversed(t->buckets[i]);

		while (link) {
			struct table_link *next = link->next;

			put(buckets, size, link);
			link = next;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->size = size;
	return 0;
}

void table_put(struct table *t, struct table_link *link, uint32_t hash)
{
	link->hash = hash;
	put(t->buckets, t->size, link);
	t->n++;
}

void table_drop(struct table *t, struct table_link *link)
{
	struct table_link **at = &t->buckets[link->hash & (t->size - 1)];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	t->n--;
}

static struct table_link *with_hash(struct table_link *link, uint32_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct table_link *table_first(const struct table *t, uint32_t hash)
{
	return t->size ? with_hash(t->buckets[hash & (t->size - 1)], hash) : NULL;
}

struct table_link *table_next(const struct table_link *link)
{
	return with_hash(link->next, link->hash);
}

/* The last step of MurmurHash3: every bit of the key reaches the low bits that choose the
 * bucket. */
static uint32_t mix(uint32_t h)
{
	h ^= h >> 16;
	h *= UINT32_C(0x85ebca6b);
	h ^= h >> 13;
	h *= UINT32_C(0xc2b2ae35);
	return h ^ h >> 16;
}

/* FNV-1a: short keys, one byte at a time. */
uint32_t hash_bytes(uint32_t seed, const void *data, size_t len)
{
	const uint8_t *byte = data;
	uint32_t h = UINT32_C(2166136261) ^ mix(seed);

	for (size_t i = 0; i < len; i++)
		h = (h ^ byte[i]) * UINT32_C(16777619);
	return mix(h);
}

uint32_t hash_text(const char *text)
{
	return hash_bytes(0, text, strlen(text));
}

uint32_t hash_u64(uint64_t value)
{
	return mix((uint32_t)value ^ mix((uint32_t)(value >> 32)));
}
