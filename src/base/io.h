/* System calls that finish: EINTR is repeated, short counts go on. 0 or -errno. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int io_write_all(int fd, const void *data, size_t len);
int io_pwrite_all(int fd, const void *data, size_t len, off_t offset);
/* Reads until LEN bytes or the end of the file; the count in ret_len. */
int io_pread_all(int fd, void *data, size_t len, off_t offset, size_t *ret_len);
int io_fsync(int fd);
int io_fdatasync(int fd);
/* Opens the directory PATH below DIRFD (AT_FDCWD allowed) and fsyncs it. */
int io_fsync_dir(int dirfd, const char *path);
/* The whole of a small file (at most MAX bytes), NUL-terminated, to free(). */
int io_read_file(int dirfd, const char *path, size_t max, char **ret_text);
/* Replaces PATH atomically and durably: temporary name, fsync, rename, fsync of DIRFD. */
int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode);
