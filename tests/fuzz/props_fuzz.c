#include "model/job.h"

#include "base/buf.h"
#include "fuzz.h"

/* What the store keeps of P gives the same back. */
static void check_store(const struct props *p)
{
	struct props back;
	char *text, *again;

	assert(props_format(p, &text) == 0);
	assert(props_init(&back) == 0);
	assert(props_parse(text, &back) == 0);
	assert(props_format(&back, &again) == 0);
	assert(strcmp(text, again) == 0);
	free(text);
	free(again);
	props_release(&back);
}

/* The value for the property that the first byte names: what is shown is accepted again. */
static void check_set(struct props *p, const uint8_t *data, size_t size)
{
	const struct prop_rule *rule = &prop_rules[data[0] % prop_count];
	char *text = fuzz_text(data + 1, size - 1);
	cleanup_buf struct buf shown = { 0 };
	const char *reason = NULL;

	if (rule->set(rule, p, text, &reason)) {
		assert(reason);
	} else {
		buf_adds(&shown, "");
		rule->show(rule, p, &shown);
		check_store(p);
		assert(rule->set(rule, p, shown.data, &reason) == 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct props p;
	char *text;

	if (size == 0)
		return 0;
	assert(props_init(&p) == 0);
	check_set(&p, data, size);
	text = fuzz_text(data, size);
	props_parse(text, &p);
	check_store(&p);
	free(text);
	props_release(&p);
	return 0;
}
