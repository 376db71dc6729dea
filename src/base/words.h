/* A command line as words, without a shell: split at blanks, "..." and '...' keep them, \ escapes. */
#pragma once

/* NULL-terminated, to free with words_free. -EINVAL: an open quote, or nothing in it. */
int words_split(const char *command, char ***ret_words);
void words_free(char **words);
