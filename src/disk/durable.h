/* Making what was done durable: few files one by one, many by one syncfs per filesystem. Private to
 * the mover.
 *
 *	durable_init(&d, count, root); ... durable_file / durable_dir after each step ...; durable_end(&d)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DURABLE_FEW 64 /* from more files on, one syncfs is cheaper than their fsyncs */
#define DURABLE_FILESYSTEMS 8

struct durable {
	bool many;
	int root; /* borrowed; stands for a directory that may be written but not read */
	size_t n;
	struct {
		dev_t dev;
		int fd;
	} fs[DURABLE_FILESYSTEMS]; /* to be synced at the end */
};

void durable_init(struct durable *d, size_t count, int root);
/* Contents, owner, mode, times; DEV: of FD, as fstat said. */
int durable_file(struct durable *d, int fd, dev_t dev);
int durable_dir(struct durable *d, int dirfd);  /* its names; DIRFD may be O_PATH */
/* Waits for what was put off. All that went through D is durable when it returns 0. */
int durable_end(struct durable *d);
