/* Names of jobs and of staged files (INTERFACE.md §3 end), and what a URL suggests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NAME_LEN_MAX 255
#define PATH_LEN_MAX 4096
#define URL_LEN_MAX 8192

/* 0 or -EINVAL: 1-255 bytes, no leading dot, no '/', no control characters. */
int name_check_job(const char *name);
/* One component of a staged path: as above, a leading dot allowed except "." and "..". */
int name_check_component(const char *name);
/* A relative path of such components, first one not ".xferfs"; no empty component. 0, -EINVAL,
 * -ENAMETOOLONG. */
int name_check_path(const char *path);
/* A destination: "." or a relative path as above. */
int name_check_destination(const char *path);
/* The staged name that URL suggests: the last segment of its path, percent-decoded once, then made
 * safe ('/' and control characters become '_', leading dots are dropped); "index.html" when empty.
 * Decoding comes before judging: "%2e%2e%2f" must not survive. To free(). -ENOMEM. */
int name_from_url(const char *url, char **ret_name);
/* `number` mode of on_conflict: "a/b.tar.gz", 2 -> "a/b.2.tar.gz" as aria2 and wget number: before
 * the last extension ("b.tar.2.gz"). To free(). */
int name_number(const char *path, unsigned n, char **ret_path);
