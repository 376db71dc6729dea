/* PREPARE and PLACE from the inside: what commit.c (single files) and tree.c (all in one step) share.
 * Private to the mover.
 */
#pragma once

#include "disk/durable.h"
#include "disk/facts.h"
#include "disk/mover.h"

#include <sys/stat.h>

void sync_perform(struct order *o, struct blobs *blobs);
void prepare_perform(struct order *o, struct blobs *blobs, int destination_fd);
void place_perform(struct order *o, struct blobs *blobs, int destination_fd);

/* How a blob gets to where it belongs. */
enum way {
	WAY_UNKNOWN, /* to be tried with the first file of the directory */
	WAY_RENAME,  /* the caller is the daemon's user */
	WAY_LINK,    /* he is not: he could not rename out of the staging area */
	WAY_COPY,    /* another filesystem, or one without links */
};

/* Of a blob whose name others may see before it is placed. */
struct shown {
	bool yes;
	struct timespec mtime; /* before */
};

struct placing {
	struct order *o;
	const struct blobs *blobs;
	int root;      /* the destination tree; borrowed */
	struct stat staging; /* nothing is placed in there, by whatever path */
	bool own;      /* the caller is the daemon's user */
	bool tree;
	char *base;    /* where the paths begin: the destination, or the prepared tree */
	size_t *sorted; /* files[] by directory; PREPARE: only those that have no inode yet */
	size_t n;
	struct durable durable;
	bool *moved;   /* of files[]: their blob was renamed, so there is none to delete */
	struct shown *shown; /* of files[] */
	int scratch;   /* BLOB_SCRATCH; -1: not made */
	/* The directory at hand, of all files with that dirname. */
	const struct order_file *entered; /* one of them; NULL: none is at hand */
	int dirfd;     /* O_PATH; -1: could not be opened, dir_err */
	int dir_err;
	bool probed;
	enum way way;
	struct facts facts;
};

int placing_init(struct placing *p, struct order *o, struct blobs *blobs, int root);
void placing_release(struct placing *p);
/* Makes F's directory the one at hand; MAKE: with those that are missing. Takes and gives back the
 * caller's credentials. */
int placing_enter(struct placing *p, const struct order_file *f, bool make);
void placing_leave(struct placing *p);
/* The end of the run of sorted files, from FIRST on, that share a directory. */
size_t placing_group(const struct placing *p, size_t first);
struct order_file *placing_file(const struct placing *p, size_t i); /* the Ith in order */
/* The name under which F waits in its directory: temporary, but within a prepared tree its own. */
#define STAGED_NAME_LEN 256
void placing_staged_name(const struct placing *p, const struct order_file *f, char ret[STAGED_NAME_LEN]);
const char *last_component(const char *path);
/* Whether ST, of F's blob, has all of it; else F is lost. A person who tidies up, or a file system check:
 * what they have left must not pass for the whole. */
bool placing_is_whole(struct order_file *f, const struct stat *st);
/* Opens F's blob, if it is whole. */
int placing_open_blob(const struct placing *p, struct order_file *f, struct stat *ret_st, int *ret_fd);
/* The mark on the blob of a file that was copied: the copy is about to have its name, or has it. Taken
 * back durably; a mark that a power cut takes does no harm but where DURABLE says that it would. */
#define BLOB_MODE_COPIED 0600
#define BLOB_MODE_MARKED 0400
int placing_mark(const struct placing *p, const struct order_file *f, bool durable);
int placing_unmark(const struct placing *p, const struct order_file *f);
bool placing_marked(const struct stat *blob);
/* F's blob, of which ST is true, is about to have a name in a directory that others may come into. */
void placing_show(struct placing *p, const struct order_file *f, const struct stat *st);
/* F's blob was shown and could not be placed: it is the daemon's again. False, and F is lost: somebody has
 * changed it, or still can, for who has it open for writing keeps that whatever becomes of its mode. */
bool placing_take_back(struct placing *p, struct order_file *f);
/* All files of `sorted` that have no error yet get ERR. */
void placing_fail(struct placing *p, int err);
/* F is durable in its place: the blob goes. */
void placing_finish(struct placing *p, struct order_file *f);

/* Gives the inode of FD another name; with the credentials assumed. */
int link_fd(int fd, int dirfd, const char *name);
/* Renames, unless there is such a name: -EEXIST. */
int rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* tree.c; called by prepare_perform and place_perform */
int tree_base(const struct order *o, char **ret); /* path of the prepared tree */
int tree_begin(struct placing *p);                /* before PREPARE: -EEXIST: the name is taken */
int tree_clear(struct placing *p);                /* undoes PREPARE; -EEXIST: not all of it is ours */
void tree_place(struct placing *p);
