#include "base/block.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define PAGE 4096u
#define KEPT_MAX 16u

static _Atomic(void *) kept[KEPT_MAX];

void *block_alloc(size_t len)
{
	if (len <= BLOCK_SMALL || len > BLOCK_SIZE)
		return malloc(len);
	for (size_t i = 0; i < KEPT_MAX; i++) {
		void *p = atomic_load(&kept[i]) ? atomic_exchange(&kept[i], NULL) : NULL;

		if (p)
			return p;
	}
	return aligned_alloc(PAGE, BLOCK_SIZE);
}

/* Whoever made it: as large as a block, and on a page, it can be one. */
static bool is_block(void *p)
{
	return p && (uintptr_t)p % PAGE == 0 && malloc_usable_size(p) >= BLOCK_SIZE;
}

void block_free(void *p)
{
	for (size_t i = 0; is_block(p) && i < KEPT_MAX; i++) {
		void *none = NULL;

		if (atomic_compare_exchange_strong(&kept[i], &none, p))
			return;
	}
	free(p);
}

void blocks_release(void)
{
	for (size_t i = 0; i < KEPT_MAX; i++)
		free(atomic_exchange(&kept[i], NULL));
}
