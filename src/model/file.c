/* One version of a file, and the words for its states (model/files.h, model/tree.h). */
#include "model/tree.h"

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
	memset(f, 0, sizeof(*f));
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

const struct file file_never_begun = { .size = SIZE_UNKNOWN, .mtime = MTIME_UNKNOWN };

void version_free(const struct file *v)
{
	struct file *own = (struct file *)v;

	if (!v || v == &file_never_begun)
		return;
	file_release(own);
	free(own);
}

static bool is_never_begun(const struct file *v)
{
	return v->state == FILE_QUEUED && !v->synced && !v->unverified && v->tries == 0 &&
		v->generation == 0 && v->size == SIZE_UNKNOWN && v->mtime == MTIME_UNKNOWN &&
		v->have.n == 0 && !v->validator && !v->fault && v->dev == 0 && v->ino == 0;
}

int version_new(struct file *version, const struct file **ret)
{
	struct file *v;

	if (is_never_begun(version)) {
		file_release(version);
		*ret = &file_never_begun;
		return 0;
	}
	v = malloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	*v = *version;
	memset(version, 0, sizeof(*version));
	*ret = v;
	return 0;
}
