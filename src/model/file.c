/* One version of a file, the words for its states, and logins in its source (model/files.h,
 * model/tree.h). */
#include "model/tree.h"

#include "model/url.h"

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

/* --- sources ---------------------------------------------------------------------------------- */

bool source_has_login(const struct source *s)
{
	const struct source_extra *x = s->extra;

	if (url_has_login(s->url))
		return true;
	for (size_t i = 0; x && i < x->nmirrors; i++) {
		if (url_has_login(x->mirrors[i]))
			return true;
	}
	return false;
}

void source_strip_login(struct source *s)
{
	struct source_extra *x = s->extra;

	url_strip_login(s->url);
	for (size_t i = 0; x && i < x->nmirrors; i++)
		url_strip_login(x->mirrors[i]);
}

static int copy_extra(const struct source_extra *x, struct source *ret)
{
	struct source_extra *copy = ret->extra = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *x;
	copy->nmirrors = 0;
	copy->mirrors = x->nmirrors ? calloc(x->nmirrors, sizeof(*copy->mirrors)) : NULL;
	copy->ranges = x->nranges ? calloc(x->nranges, sizeof(*copy->ranges)) : NULL;
	if ((x->nmirrors && !copy->mirrors) || (x->nranges && !copy->ranges))
		return -ENOMEM;
	for (; copy->nmirrors < x->nmirrors; copy->nmirrors++) {
		copy->mirrors[copy->nmirrors] = strdup(x->mirrors[copy->nmirrors]);
		if (!copy->mirrors[copy->nmirrors])
			return -ENOMEM;
	}
	if (x->nranges)
		memcpy(copy->ranges, x->ranges, x->nranges * sizeof(*copy->ranges));
	return 0;
}

int source_without_login(const struct source *s, struct source *ret)
{
	struct source copy = { .url = strdup(s->url) };
	int r = !copy.url ? -ENOMEM : s->extra ? copy_extra(s->extra, &copy) : 0;

	if (r < 0) {
		source_release(&copy);
		return r;
	}
	source_strip_login(&copy);
	*ret = copy;
	return 0;
}
