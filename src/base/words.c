/* A command line as words, without a shell. */
#include "base/words.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}
DEFINE_CLEANUP(char **, words_free)

/* One word from *at on; a quote may begin and end within it, as in a shell. */
static int take_word(const char **at, char **ret)
{
	cleanup_buf struct buf word = {0};
	char quote = 0;
	const char *p = *at;

	buf_add(&word, "", 0);
	for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (quote && *p == quote) {
			quote = 0;
		} else if (!quote && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (*p == '\\' && quote != '\'' && p[1]) {
			buf_addc(&word, *++p);
		} else {
			buf_addc(&word, *p);
		}
	}
	*at = p;
	if (quote)
		return -EINVAL;
	*ret = buf_steal(&word);
	return *ret ? 0 : -ENOMEM;
}

int words_split(const char *command, char ***ret_words)
{
	cleanup(words_free) char **words = calloc(strlen(command) / 2 + 2, sizeof(*words));
	size_t n = 0;

	if (!words)
		return -ENOMEM;
	for (const char *p = command + strspn(command, " \t"); *p; p += strspn(p, " \t")) {
		int r = take_word(&p, &words[n]);

		if (r < 0)
			return r;
		n++;
	}
	if (!n)
		return -EINVAL;
	*ret_words = take_ptr(words);
	return 0;
}
