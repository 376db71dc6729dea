/* Memory for what is copied from and to the kernel in large pieces, cheaper than malloc's:
 *
 * It begins on a page, as the pages do that the kernel copies from and to. Where malloc puts large memory,
 * 16 bytes further, copying takes up to five times as long on a processor whose `rep movsb` minds a
 * destination that is a few bytes ahead of its source, modulo 4096 (AMD Zen 3 and 4).
 *
 * A few blocks are kept for the next one who needs one: the page faults of fresh memory cost more than
 * the copying into it.
 *
 * Any thread. What is BLOCK_SMALL or less, or more than BLOCK_SIZE, is malloc's own.
 */
#pragma once

#include <stddef.h>

#define BLOCK_SIZE (1u << 20)
#define BLOCK_SMALL (64u << 10)

void *block_alloc(size_t len); /* NULL: no memory */
void block_free(void *p);      /* of block_alloc or malloc; NULL is nothing. Plain free() does as well */
void blocks_release(void);     /* what is kept goes back: nobody will need one soon */
