#include "model/addline.h"

#include "fuzz.h"
#include "model/chars.h"
#include "model/name.h"
#include "model/url.h"

#define SCHEMES "https http ftp ftps sftp"

static void check_source(const struct source *s)
{
	struct source back = { 0 };
	char *text, *again;

	assert(url_check(s->url, SCHEMES) == 0);
	for (size_t i = 0; s->extra && i < s->extra->nmirrors; i++)
		assert(url_check(s->extra->mirrors[i], SCHEMES) == 0);
	assert(addline_format_extra(s, &text) == 0);
	assert(addline_parse_extra(text, &back) == 0);
	assert(addline_format_extra(&back, &again) == 0);
	assert(strcmp(text, again) == 0);
	free(text);
	free(again);
	source_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct addline_rules rules = {
		.schemes = SCHEMES,
		.ranges_max = 50,
		.size_max = UINT64_C(1) << 50,
	};
	struct additions a;
	struct source extra = { 0 };
	char *reason = NULL, *text;

	if (addline_parse((const char *)data, size, &rules, &a, &reason)) {
		assert(reason && strncmp(reason, "line ", 5) == 0 && !text_has_control(reason));
		free(reason);
	} else {
		for (size_t i = 0; i < a.n; i++) {
			assert(name_check_path(a.v[i].path) == 0);
			check_source(&a.v[i].source);
		}
		additions_release(&a);
	}
	text = fuzz_text(data, size);
	if (!addline_parse_extra(text, &extra))
		source_release(&extra);
	free(text);
	return 0;
}
