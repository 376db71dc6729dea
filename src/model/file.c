/* One version of a file, and the words for its states (model/files.h). */
#include "model/files.h"

#include <errno.h>
#include <string.h>

static const char *const state_words[FILE_STATE_MAX] = {
#define X(id, word) [FILE_##id] = word,
	FILE_STATES(X)
#undef X
};

const char *file_state_word(enum file_state s)
{
	return state_words[s];
}

int file_state_from_word(const char *word, enum file_state *ret)
{
	for (size_t i = 0; i < FILE_STATE_MAX; i++) {
		if (strcmp(state_words[i], word) == 0) {
			*ret = (enum file_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

void file_release(struct file *f)
{
	extents_release(&f->have);
	free(f->validator);
	fault_free(f->fault);
	*f = (struct file){ .size = SIZE_UNKNOWN, .mtime = INT64_MIN };
}

int file_copy(const struct file *f, struct file *ret)
{
	struct file copy = *f;

	copy.have = (struct extents){ 0 };
	copy.validator = f->validator ? strdup(f->validator) : NULL;
	copy.fault = f->fault ? fault_copy(f->fault) : NULL;
	if ((f->validator && !copy.validator) || (f->fault && !copy.fault) ||
	    extents_copy(&f->have, &copy.have) < 0) {
		file_release(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

uint64_t file_got(const struct file *f)
{
	return extents_total(&f->have);
}
