/* Growing vectors: a pointer, how many elements there is room for (a size_t), and the owner's own count.
 * Any thread; no sharing.
 *
 *	if (vector_room(list->v, list->cap, list->n + 1) < 0)
 *		return -ENOMEM;
 *	list->v[list->n++] = ...
 */
#pragma once

#include <errno.h>
#include <stddef.h>

/* V with room for NEED elements of SIZE bytes, at least twice as many as before if it has to grow. NULL:
 * out of memory, V is untouched. */
void *vector_grow(void *v, size_t *cap, size_t need, size_t size);

/* The same for a vector that may be assigned to: 0, -ENOMEM. */
#define vector_room(v, cap, need)                                                          \
	({                                                                                 \
		void *grown_ = vector_grow((v), &(cap), (need), sizeof(__typeof__(*(v)))); \
                                                                                           \
		if (grown_)                                                                \
			(v) = grown_;                                                      \
		grown_ ? 0 : -ENOMEM;                                                      \
	})
