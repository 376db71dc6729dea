#include "model/name.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *name, *numbered;

	assert(name_from_url(text, &name) == 0);
	assert(name_check_job(name) == 0);
	assert(name_number(name, (unsigned)size, &numbered) == 0);
	assert(name_check_path(numbered) == 0);
	assert(strcmp(name, numbered) != 0);
	free(numbered);
	free(name);
	if (name_check_path(text) == 0) {
		assert(text[0] != '/' && !strstr(text, "/../") && strcmp(text, "..") != 0);
		assert(strncmp(text, "../", 3) != 0 && strncmp(text, ".xferfs/", 8) != 0);
		assert(name_number(text, 1, &numbered) == 0);
		free(numbered);
	}
	free(text);
	return 0;
}
