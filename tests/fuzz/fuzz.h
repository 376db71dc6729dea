/* A fuzz target: libFuzzer calls LLVMFuzzerTestOneInput with bytes; the target parses them and asserts
 * what must hold of anything that was accepted. Crashes, leaks and overflows are found by the
 * sanitizers.
 */
#pragma once

#undef NDEBUG
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* DATA as a string that ends at its first NUL; to free(). A copy of exact size, so that the address
 * sanitizer sees a read past its end. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = strndup(size ? (const char *)data : "", size);

	assert(text);
	return text;
}
