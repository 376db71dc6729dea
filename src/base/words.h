/* A command line as words, without a shell: split at blanks, "..." and '...' keep them, \ escapes. */
#pragma once

/* NULL-terminated, to free with parse_words_free. -EINVAL: an open quote, or nothing in it. */
int parse_words(const char *command, char ***ret_words);
void parse_words_free(char **words);
