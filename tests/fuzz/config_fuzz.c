/* "SECTION.KEY=VALUE" as with -o. */
#include "config.h"

#include "base/buf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *value = strchr(text, '='), *reason = NULL;
	struct buf out = { 0 };
	struct config c;

	if (!value) {
		free(text);
		return 0;
	}
	*value++ = '\0';
	assert(config_init(&c) == 0);
	if (config_set(&c, text, value, &reason)) {
		assert(reason);
		free(reason);
	}
	config_print(&c, &out);
	assert(!out.failed && out.len > 0);
	buf_release(&out);
	config_release(&c);
	free(text);
	return 0;
}
