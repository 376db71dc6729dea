#include "model/extent.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *formatted;
	struct extents s, again;
	struct extent gap;

	if (!extents_parse(text, &s)) {
		extents_assert_sane(&s);
		assert(extents_format(&s, &formatted) == 0);
		assert(extents_parse(formatted, &again) == 0);
		assert(again.n == s.n);
		assert(s.n == 0 || memcmp(again.v, s.v, s.n * sizeof(*s.v)) == 0);
		if (extents_gap(&s, 0, UINT64_MAX, &gap)) {
			assert(!extents_contain(&s, gap.first, gap.first + 1));
			assert(extents_add(&s, gap.first, gap.end) == 0);
			extents_assert_sane(&s);
			assert(extents_contain(&s, gap.first, gap.end));
		}
		free(formatted);
		extents_release(&s);
		extents_release(&again);
	}
	free(text);
	return 0;
}
