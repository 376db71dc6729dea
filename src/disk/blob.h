/* The staging area: one temporary file ("blob") per file and generation.
 *
 *	STAGING/                        0700, the daemon's
 *	├── lock                        fcntl lock of the daemon; its pid as text
 *	├── queue.db                    disk/store
 *	└── blobs/SERIAL/               of a job
 *	    ├── FILE.GENERATION         of its files below BLOB_SHARD
 *	    └── SHARD/FILE.GENERATION   of the others, SHARD = FILE / BLOB_SHARD
 *
 * A filesystem looks through the names of a directory for each that is made, found or taken out (ext4:
 * through a block, some 250 names as short as these): small directories make a blob cheaper, and small
 * jobs have but one.
 *
 * A blob's name is arithmetic, so nothing has to remember it. Any thread; a struct blobs is read-only
 * after blobs_open. 0 or -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct blobs;

/* Opens STAGING (absolute; made 0700 if missing) and takes its lock: -EBUSY and *ret_pid when another
 * daemon has it. The lock lives as long as the process. */
int blobs_open(const char *staging, struct blobs **ret, pid_t *ret_pid);
void blobs_close(struct blobs *b);
/* When STAGING is elsewhere: the lock that DESTINATION's own area would have, held by *ret_fd, so that the
 * destination has one daemon all the same. -EBUSY and *ret_pid: it has one. Whatever else is wrong, the caller
 * may go on without: one who may not write there shares a tree with its owner. */
int blobs_claim(const char *destination, int *ret_fd, pid_t *ret_pid);
int blobs_dirfd(const struct blobs *b); /* of STAGING; borrowed */
bool blobs_uncached(const struct blobs *b); /* whether its filesystem can be written past the page cache */
dev_t blobs_dev(const struct blobs *b);

#define BLOB_SHARD 64u
#define BLOB_SCRATCH UINT32_MAX /* instead of a file's id: the job's empty file, to try things with */

/* Opens the blob read-write, O_CLOEXEC; it and its directories are made when they are missing. ANEW: bytes
 * that a crash left in it belong to nothing that is known, and go. It is made with the mode that most
 * files are to have in the end (nobody else can come into STAGING): one change less. Waits for nobody: -EAGAIN,
 * whoever it was given to holds a lease on it. */
int blob_open(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, bool anew, int *ret_fd);
int blob_open_read(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, int *ret_fd);
int blob_unlink(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation); /* -ENOENT is 0 */
int blob_stat(const struct blobs *b, uint64_t serial, uint32_t file, uint32_t generation, struct stat *ret);
/* "blobs/SERIAL/FILE.GENERATION", or with SHARD/, for *at calls below blobs_dirfd. */
#define BLOB_PATH_LEN 64
void blob_path(uint64_t serial, uint32_t file, uint32_t generation, char ret[BLOB_PATH_LEN]);
/* Deletes the job's directory with all that is in it; how many could not be deleted in *ret_leftovers. */
int blobs_drop(const struct blobs *b, uint64_t serial, unsigned *ret_leftovers);
/* Makes the names of these blobs durable. */
int blobs_sync_names(const struct blobs *b, uint64_t serial, const uint32_t *files, size_t n);
/* Calls KEEP for each blob there is; those it says no to are deleted and counted. Before threads. */
int blobs_sweep(const struct blobs *b, bool (*keep)(void *arg, uint64_t serial, uint32_t file, uint32_t generation),
	void *arg, unsigned *ret_swept, uint64_t *ret_bytes);

/* --- writing --------------------------------------------------------------------------------- */

/* Writes to one blob, gathered: bytes of one segment are collected to WRITE_GATHER and written with
 * RWF_DONTCACHE where kernel and filesystem have it (reference: perf figures in tests/bench). Where they
 * have not, nothing is gained by collecting what comes in pieces of WRITE_DIRECT or more.
 * Owner: one thread. One writer per segment; several writers share the fd.
 *
 *	writer_init(&w, fd, offset, true); writer_write(&w, data, len) ...; writer_flush(&w); writer_release(&w);
 */
#define WRITE_GATHER (1u << 20)
#define WRITE_DIRECT (64u << 10)

struct writer {
	int fd;            /* borrowed; set before the first flush */
	bool uncached;     /* as far as is known */
	uint64_t offset;   /* of the next byte that writer_write gets */
	uint64_t written;  /* bytes below this (and at or above the start) were handed to the kernel */
	char *data;        /* gathered; allocated when the first byte comes, small while the file is */
	size_t len, cap;
};
bool writer_can_uncached(int fd); /* whether the filesystem of FD, that can be read, has it */
void writer_init(struct writer *w, int fd, uint64_t offset, bool uncached); /* UNCACHED: is worth a try */
int writer_write(struct writer *w, const void *data, size_t len);
int writer_flush(struct writer *w); /* hands what is gathered to the kernel; not durable */
/* Instead of a flush: gives away what is gathered. NULL: nothing is. */
char *writer_take(struct writer *w, size_t *ret_len);
void writer_release(struct writer *w);

/* Room for SIZE bytes ahead of time, before anything is written: early ENOSPC, which takes nothing from others,
 * and no fragments. On tmpfs, where it would take long, it is only looked whether there is room. 0 where the
 * filesystem cannot. */
int blob_reserve(int fd, uint64_t size);
