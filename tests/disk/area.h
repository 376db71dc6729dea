/* A staging area and a destination tree for one test, with users, files and their checks. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/creds.h"
#include "disk/blob.h"
#include "disk/mover.h"

#include <stdbool.h>
#include <sys/stat.h>

#define SERIAL 7u
#define OTHER_UID 12345
#define OTHER_GID 23456
#define SHARED_GID 34567 /* a supplementary group of the other user */

struct area {
	char dir[64];
	char dest[96], staging[96];
	struct blobs *blobs;
	int dest_fd;
	bool mounted; /* dest is a filesystem of its own */
};

/* On tmpfs, where syncing costs nothing. OWN_FS: the destination is another filesystem; false: no
 * privilege to make one. */
bool area_make(struct area *a, bool own_fs);
void area_remove(struct area *a);

/* For a group of tests: this thread may assume credentials. */
int area_setup(void **state);
/* Another user, with umask 022; skips the test unless run as root. */
struct creds *other_user(void);
struct creds *daemon_user(mode_t mask);

/* Blob FILE holds content that is its own, size too. */
void make_blob(struct area *a, uint32_t file);
bool has_content(const char *path, uint32_t file);

/* PREPARE or PLACE of CREDS (copied) for PATHS (files 1, 2, ...) below DESTINATION. */
struct order *make_order(enum order_kind kind, const struct creds *creds, const char *destination, enum on_conflict conflict,
	enum commit_mode commit, size_t n, const char *const *paths);
/* The PLACE that core sends when PREPARE came back. */
struct order *place_of(const struct order *prepared);
/* Both, one after the other; the PLACE back. */
struct order *complete(struct area *a, const struct creds *creds, const char *destination, enum on_conflict conflict,
	enum commit_mode commit, size_t n, const char *const *paths);

/* Paths below the destination: static text, good until the next call but three. */
const char *at(const struct area *a, const char *path);
void write_text(const char *path, const char *text);
bool has_text(const char *path, const char *text);
struct stat stat_of(const char *path);

/* How many files in the tree have the content of FILE; names with ".xferfs-" are counted in
 * *ret_temporary. */
unsigned count_content(const char *tree, uint32_t file, unsigned *ret_temporary);
bool blob_exists(const struct area *a, uint32_t file);
const char *blob_of(const struct area *a, uint32_t file); /* its path: static text, good until the next call */
