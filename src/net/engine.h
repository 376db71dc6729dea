/* The engine: fetches files. The only user of libcurl.
 *
 * Worker threads, one curl multi each. A *transfer* is one file: the core says what is missing
 * (struct fetch), the worker fetches it over one or more connections (model/segment decides how many
 * and where), writes to the blob, and reports. A worker never sees a job; it knows a transfer by its id,
 * and a report about an id that the core has forgotten is ignored there.
 *
 * Queue: transfers that were started but have no connection yet wait in the gate, by priority, then by
 * age, so that one may end and the next begin without asking the core. Connections per host and in all
 * are limited here, nothing queues inside libcurl. A file gives connections back that another waits for.
 *
 * Consistency (INTERFACE.md §6): a range is accepted only as 206 with the asked offset, the same total
 * and the same validator as the first answer; a validator that changed ends the transfer with
 * OUTCOME_CHANGED before a byte of the new version was written. Nothing but a 200, 206 (http) or a
 * successful transfer (ftp, sftp) ever reaches the blob. OUTCOME_CHANGED therefore means: from 0, in a
 * new generation; also when the version is the same, but its rest cannot be had as a range, or nothing
 * strong enough proves that it is the same (a weak ETag, no validator).
 * A mirror must agree in the size only; one that disagrees or fails is left out. A failed connection is
 * made up for by others while there are any; the transfer ends with what the URL itself said.
 *
 * Durability is not the engine's: it hands bytes to the kernel and says which (reports carry extents
 * of what was written); the core has them synced by the mover before it saves them.
 *
 * Calling sequence: engine_start; engine_fetch / engine_stop_transfer / ... from the core thread;
 * reports come to the mailbox; engine_stop: every transfer ends with an ENDED report first.
 */
#pragma once

#include "base/mailbox.h"
#include "disk/blob.h"
#include "disk/digest.h"
#include "model/addline.h"
#include "model/extent.h"
#include "model/job.h"
#include "model/retry.h"

struct engine;

struct engine_options {
	unsigned workers;              /* 0: as many as pay on this machine */
	unsigned connections;          /* in all */
	unsigned connections_per_host;
	unsigned connect_timeout_s, idle_timeout_s; /* no byte for so long: the connection is replaced */
	char *user_agent, *ca_file, *proxy, *cache_host; /* NULL: none, system's; proxy "": none */
	char *schemes;                 /* blank-separated */
	char *interface;               /* tests: NULL */
	bool allow_https_to_http, deny_private_addresses, http2;
	bool background_yields;        /* jobs that are not foreground give way to other traffic */
	uint64_t max_file_size;
	uint64_t limit_per_host;       /* bytes per second; 0: none */
};

/* What the transfers of one job have in common. Counted references; immutable. */
struct fetch_options {
	unsigned refs;                 /* atomic */
	char *headers;                 /* "Name: value\n" lines; to the job's own hosts only */
	char *credentials;             /* USER:PASSWORD; likewise; NULL: netrc */
	char *proxy, *client_certificate;
	uid_t uid;                     /* of the owner: what is read on his behalf must be his own files */
	char *home;                    /* his, for .netrc and .ssh; NULL: none */
	bool shared;                   /* others may add URLs: .netrc and keys are not for them */
	uint8_t connections;           /* per file; 0: auto */
};
struct fetch_options *fetch_options_ref(struct fetch_options *o);
void fetch_options_unref(struct fetch_options *o); /* NULL is fine */

/* One transfer, to be freed by the engine. */
struct fetch {
	struct mail mail;
	uint64_t id;                   /* of the transfer; never 0, never reused */
	uint64_t serial;               /* job: names the blob, and the bucket of its rate limit */
	uint32_t file, generation;
	enum job_priority priority;
	char *url;
	char **mirrors;
	size_t nmirrors;
	struct extent *ranges;         /* range=: the parts whose concatenation is wanted; NULL: all */
	size_t nranges;
	struct fetch_options *options; /* one reference */
	struct extents have;           /* in the blob already */
	uint64_t size;                 /* of the blob: as the validator's answer said; or size=; SIZE_UNKNOWN */
	char *validator;               /* of the bytes in `have`; NULL: none, have is empty */
	enum digest_kind digest_kind;  /* computed while bytes come in order, given back with ENDED */
};
struct fetch *fetch_new(void);
void fetch_free(struct fetch *f);

/* --- reports ----------------------------------------------------------------------------------- */

enum report_kind {
	REPORT_BEGUN = MAIL_ENGINE, /* the first accepted answer: size, validator, mtime are known. Left out
	                             * when ENDED follows at once, as for most small files. */
	REPORT_PROGRESS,            /* `have` has grown; at most 4 a second, each step while a reader waits */
	REPORT_ENDED,               /* the last one of a transfer */
};

/* Bytes on their way to a blob (net/scribe). */
struct unwritten {
	bool any;
	uint64_t serial;
	uint32_t file, generation;
	char *data;                 /* NULL: the file is empty */
	size_t len;
};

struct report {
	struct mail mail;
	uint64_t id;
	uint64_t bytes_moved;       /* since the last report: fairness, stats */
	uint64_t rate;              /* bytes per second, smoothed */
	uint64_t size;              /* of the blob (with ranges: their sum); SIZE_UNKNOWN */
	struct extents have;        /* written (not synced); includes what `fetch` had */
	char *validator;            /* BEGUN, ENDED; NULL: the server gave none */
	int64_t mtime;              /* MTIME_UNKNOWN */
	unsigned connections;
	/* ENDED */
	enum outcome outcome;
	int http_status, err;       /* err: errno of the disk */
	char *text;                 /* what libcurl or the kernel said */
	char *url;                  /* that failed, without password */
	int64_t retry_after_s;      /* as sent; -1: none */
	bool unverified;            /* the end of the body was not proven */
	struct digest *digest;      /* NULL unless wanted */
	struct unwritten unwritten; /* the engine's own: none is left when it comes */
};
void report_free(struct report *r);

/* BLOBS is borrowed; OPTIONS copied; reports go to REPORTS. Calls curl_global_init. */
int engine_start(const struct engine_options *options, struct blobs *blobs, struct mailbox *reports, struct engine **ret);
void engine_stop(struct engine *e); /* stops all transfers, joins, frees */

void engine_fetch(struct engine *e, struct fetch *f);               /* takes */
void engine_cease(struct engine *e, uint64_t id);                   /* -> ENDED with STOPPED, unless it ended before */
void engine_want(struct engine *e, uint64_t id, uint64_t offset);   /* a reader waits at OFFSET; UINT64_MAX: none */
void engine_prioritise(struct engine *e, uint64_t serial, enum job_priority priority);

/* Limits in bytes per second, in force within a second; LIMIT_MAX: none; 0: nothing passes (the core
 * stops such transfers itself and says why). Any transfer passes all buckets that concern it: the whole
 * daemon (foreground exempt if the core says so), its host (likewise; engine_options), its priority
 * class, its job. */
void engine_limit_all(struct engine *e, uint64_t rate, bool foreground_exempt);
void engine_limit_class(struct engine *e, enum job_priority priority, uint64_t rate);
void engine_limit_job(struct engine *e, uint64_t serial, uint64_t rate); /* remembered until LIMIT_MAX */
