/* Slow disk work, by a small pool of threads: syncing, hashing, placing, deleting.
 *
 * The core sends an order and gets the same order back, done, in its mailbox (kind MAIL_MOVER..): the
 * order is the receiver's to free with order_free. An order names a job by serial and its files by id;
 * the mover knows nothing of jobs. Orders of one job are done one after the other, in the order sent;
 * different jobs side by side.
 *
 * Complete takes two orders, with a save between (invariants 5 and 6):
 *
 *	PREPARE  for each file: the blob is synced and gets the owner, mode and ACL that the kernel would
 *	         have given a file that the caller had made there himself, and the server's time. Where the
 *	         destination is another filesystem, or cannot link: a synced copy under a temporary name
 *	         beside the target. Says (dev, ino) of the inode that shall have the name.  -> saved
 *	PLACE    for each file: give that inode its name; fsync the directories; delete the blob.
 *
 * Either may be repeated after a crash, whatever had been done: the tables in disk/place.c and
 * disk/tree.c say what each combination of blob, temporary name and destination means. PREPARE leaves
 * a file alone that comes with its inode: it may have been placed since that was saved. A blob that
 * somebody has deleted or cut short in the staging area is never placed as if it were whole: `lost`.
 */
#pragma once

#include "base/creds.h"
#include "base/mailbox.h"
#include "disk/blob.h"
#include "disk/digest.h"
#include "model/addline.h"
#include "model/job.h"

enum order_kind {
	ORDER_SYNC = MAIL_MOVER, /* files[]: make bytes and names durable (many: one syncfs) */
	ORDER_VERIFY,            /* files[0]: compare the checksum */
	ORDER_PREPARE,
	ORDER_PLACE,
	ORDER_DROP,              /* delete the job's blobs (no files), or the blobs of files[] */
};

enum order_inode {
	INODE_NONE,
	INODE_BLOB, /* the blob itself */
	INODE_COPY, /* a copy under the temporary name */
};

struct order_file {
	uint32_t file, generation;
	int err;                /* out: 0 or -errno for this file; -ECANCELED: for another one of its tree */
	/* SYNC: the snapshot that is durable when the order comes back; not touched by the mover. */
	struct extents have;
	uint64_t size;          /* VERIFY, PREPARE, PLACE: of the whole file */
	/* VERIFY */
	struct digest *digest;  /* in: may have eaten a prefix already; NULL: from the start. Consumed. */
	enum digest_kind digest_kind;
	uint8_t want[64];
	/* PREPARE, PLACE */
	char *path;             /* relative to the job's destination */
	char *placed;           /* out of PLACE: the path it got, if it differs (`number`) */
	int64_t mtime;          /* MTIME_UNKNOWN: leave */
	/* Out of PREPARE, in of PLACE: the inode that shall have the name. DEV is 0 before PREPARE, then an
	 * enum order_inode, since a device's number may be another one after a reboot. Out of SYNC: INO is
	 * the blob's. */
	uint64_t dev, ino;
	bool lost;              /* out: the blob is gone or not SIZE bytes long; ERR is -EIO */
	bool clear;             /* in of PREPARE: it will not be placed; what a run before a power cut left goes */
	bool done;              /* out of PLACE: the file is in its place (also when found to be so) */
};

struct order {
	struct mail mail;
	uint64_t serial;
	bool cancelled;         /* set by mover_cancel; VERIFY then ends early with -ECANCELED */
	int err;                /* out: the first error */
	unsigned leftovers;     /* out: temporary files that could not be deleted */
	/* PREPARE, PLACE */
	struct creds *creds;    /* with whose rights */
	char *destination;      /* relative to the destination tree's root; "." */
	enum on_conflict conflict;
	enum commit_mode commit;
	bool fresh;             /* no run that was killed has left anything, and what PREPARE finds PLACE will find */
	bool copies;            /* in of PREPARE: the caller is neither the job's owner nor the daemon's user */
	/* The mover's own */
	struct order *next, *bucket, *behind; /* of those that are ready; of the first of each job; of the job */
	struct order *last;     /* of the job, in its first one */
	uint64_t seq;
	size_t nfiles;
	struct order_file files[];
};

struct order *order_new(enum order_kind kind, uint64_t serial, size_t nfiles); /* NULL: out of memory */
void order_free(struct order *o);

struct mover;

/* DESTINATION: the root of the tree that files are placed in. BLOBS is borrowed. */
int mover_start(struct blobs *blobs, const char *destination, unsigned threads, struct mailbox *done, struct mover **ret);
void mover_send(struct mover *m, struct order *o); /* takes */
void mover_cancel(struct mover *m, uint64_t serial); /* VERIFYs of that job end early; placing is never cancelled */
/* Finishes what was sent (verifying is cancelled), joins. All orders have come back when it returns. */
void mover_stop(struct mover *m);

/* Done by the calling thread, without a pool: recovery before mounting, and tests. PREPARE and PLACE
 * want creds_thread_init in that thread. */
void order_perform(struct order *o, struct blobs *blobs, int destination_fd);
