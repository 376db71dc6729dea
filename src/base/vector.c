#include "base/vector.h"

#include <stdlib.h>

#define FIRST 8

void *vector_grow(void *v, size_t *cap, size_t need, size_t size)
{
	size_t wider = *cap ? *cap : FIRST;

	if (need <= *cap)
		return v;
	while (wider < need)
		wider *= 2;
	v = reallocarray(v, wider, size);
	if (v)
		*cap = wider;
	return v;
}
