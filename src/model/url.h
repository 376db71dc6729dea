/* Just enough of RFC 3986 for a queue: what scheme, what host, what may be shown. Fetching is net/'s. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* 0, or -EINVAL: no "scheme://host", blanks or control characters, scheme not in SCHEMES (blank-
 * separated, lower case; NULL: any), longer than URL_LEN_MAX. */
int url_check(const char *url, const char *schemes);
/* The URL without user and password, for world-readable places. To free(). */
int url_display(const char *url, char **ret);
/* Whether a user, with a password or without, stands before the host: a secret, as `credentials` are. */
bool url_has_login(const char *url);
/* Takes them out, in place: what url_display shows is left, and nothing else in the memory. */
void url_strip_login(char *url);
/* "scheme://host:port" lower-cased, port filled in: two URLs of one origin have the same. To free(). */
int url_origin(const char *url, char **ret);
