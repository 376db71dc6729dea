/* What an attempt's end means (INTERFACE.md §6 Errors) and when to try again.
 *
 * Sources: RFC 9110 §15 for the statuses; BITS "Handling server application errors" for the classes;
 * curl --retry for the backoff's shape (1 s doubling).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How a transfer ended; net/ maps libcurl's codes to these once. X(id, word, class). The word is
 * `code` in `error`. */
#define OUTCOMES(X) \
	X(DONE, "done", CLASS_DONE)                             /* every byte asked for is here */ \
	X(STOPPED, "stopped", CLASS_STOPPED)                    /* we asked for it */ \
	X(CHANGED, "changed", CLASS_AGAIN)                      /* another version on the server: from 0 */ \
	X(HTTP_STATUS, "http_status", CLASS_BY_STATUS)          /* see retry_class_of_status */ \
	X(DNS, "dns", CLASS_TRANSIENT) \
	X(CONNECT, "connect", CLASS_TRANSIENT) \
	X(TIMEOUT, "timeout", CLASS_TRANSIENT) \
	X(RESET, "reset", CLASS_TRANSIENT)                      /* connection lost, short body, protocol error */ \
	X(TLS, "tls", CLASS_FATAL)                              /* verification of the peer failed */ \
	X(AUTH, "auth", CLASS_FATAL)                            /* login denied (ftp, sftp, proxy) */ \
	X(NOT_FOUND, "not_found", CLASS_FATAL)                  /* ftp, sftp */ \
	X(REDIRECT, "redirect", CLASS_FATAL)                    /* too many, or to a scheme not allowed */ \
	X(TOO_LARGE, "too_large", CLASS_FATAL)                  /* over max_file_size */ \
	X(SIZE, "size", CLASS_FATAL)                            /* not the size= given with add */ \
	X(CHECKSUM, "checksum", CLASS_FATAL) \
	X(RANGE, "range", CLASS_FATAL)                          /* range= that the server cannot serve */ \
	X(DISK_FULL, "disk_full", CLASS_DISK)                   /* ENOSPC, EDQUOT of the staging area */ \
	X(DISK, "disk", CLASS_FATAL)                            /* EIO, EROFS, ... of the staging area */ \
	X(LOST, "lost", CLASS_FATAL)                            /* what had been fetched is gone again */ \
	X(POLICY, "policy", CLASS_FATAL)                        /* private address, scheme */ \
	X(BANDWIDTH, "bandwidth", CLASS_WINDOW)                 /* limit 0 now: until the window ends */ \
	X(METERED, "metered", CLASS_NETWORK)                    /* until the network's kind changes */ \
	X(OFFLINE, "offline", CLASS_NETWORK) \
	X(NO_PROGRESS, "no_progress", CLASS_FATAL)              /* no_progress_timeout passed */ \
	X(MAX_TIME, "max_download_time", CLASS_FATAL) \
	X(PLACE, "place", CLASS_FATAL)                          /* complete could not place the file */ \
	X(INTERNAL, "internal", CLASS_FATAL)

enum outcome {
#define X(id, word, class) OUTCOME_##id,
	OUTCOMES(X)
#undef X
	OUTCOME_MAX
};

enum outcome_class {
	CLASS_DONE,
	CLASS_STOPPED,
	CLASS_AGAIN,     /* at once, from the beginning */
	CLASS_TRANSIENT, /* after a delay */
	CLASS_DISK,      /* after a delay, when there is space */
	CLASS_WINDOW,    /* when the timetable says so */
	CLASS_NETWORK,   /* when the network says so */
	CLASS_FATAL,     /* needs a person */
	CLASS_BY_STATUS, /* table only; never returned */
};

const char *outcome_word(enum outcome o);
int outcome_from_word(const char *word, enum outcome *ret); /* -EINVAL */
enum outcome_class retry_class(enum outcome o, int http_status);
/* A sentence a person can act on. TEXT: what the library or kernel said, may be NULL. To free(). */
int outcome_sentence(enum outcome o, int http_status, const char *text, char **ret);

#define RETRY_AFTER_MAX_S 86400 /* a server may ask for a day at most */

/* Nanoseconds to wait before try number TRIES + 1 (TRIES failed in a row, >= 1): 1 s doubling up to
 * DELAY_MAX_S, times 0.5..1 by RANDOM (any 32 bits); at least RETRY_AFTER_S (clamped to
 * 0..RETRY_AFTER_MAX_S; libcurl 7.88 can give a negative one). */
int64_t retry_delay(unsigned tries, uint32_t delay_max_s, int64_t retry_after_s, uint32_t random);
