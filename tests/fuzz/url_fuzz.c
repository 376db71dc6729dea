#include "model/url.h"

#include "fuzz.h"

/* What is shown has no userinfo, is still a URL, and names the same origin. */
static void check_shown(const char *url)
{
	char *shown, *again, *origin = NULL, *origin_shown = NULL;
	int err = url_origin(url, &origin);

	assert(url_display(url, &shown) == 0);
	assert(url_check(shown, NULL) == 0);
	assert(!memchr(strstr(shown, "://") + 3, '@', strcspn(strstr(shown, "://") + 3, "/?#")));
	assert(url_display(shown, &again) == 0);
	assert(strcmp(shown, again) == 0);
	assert(url_origin(shown, &origin_shown) == err);
	assert(err || strcmp(origin, origin_shown) == 0);
	free(shown);
	free(again);
	free(origin);
	free(origin_shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = fuzz_text(data, size), *shown, *origin;

	if (url_check(url, NULL) == 0)
		check_shown(url);
	else
		assert(url_check(url, "https http ftp") != 0);
	assert(url_display(url, &shown) == 0);
	free(shown);
	if (url_origin(url, &origin) == 0)
		free(origin);
	free(url);
	return 0;
}
