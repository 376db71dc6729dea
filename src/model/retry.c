#include "model/retry.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "model/chars.h"

#include <errno.h>
#include <string.h>

static const char *const words[OUTCOME_MAX] = {
#define X(id, word, class) [OUTCOME_##id] = word,
	OUTCOMES(X)
#undef X
};

static const enum outcome_class classes[OUTCOME_MAX] = {
#define X(id, word, class) [OUTCOME_##id] = class,
	OUTCOMES(X)
#undef X
};

/* What happened, and what the person may do about it. */
static const char *const sentences[OUTCOME_MAX] = {
	[OUTCOME_DONE] = "transferred",
	[OUTCOME_STOPPED] = "stopped on request",
	[OUTCOME_CHANGED] = "the file changed on the server; it is fetched again from the beginning",
	[OUTCOME_HTTP_STATUS] = "the server refused",
	[OUTCOME_DNS] = "the name of the server could not be resolved; tried again later",
	[OUTCOME_CONNECT] = "no connection to the server; tried again later",
	[OUTCOME_TIMEOUT] = "the server stopped answering; tried again later",
	[OUTCOME_RESET] = "the connection broke off; tried again later",
	[OUTCOME_TLS] = "the server is not who it should be; check its certificate, ca_file and the date",
	[OUTCOME_AUTH] = "login denied; check credentials and proxy",
	[OUTCOME_NOT_FOUND] = "no such file on the server, or no right to read it; check the URL",
	[OUTCOME_REDIRECT] = "redirected too often or to a scheme that is not allowed; check the URL",
	[OUTCOME_TOO_LARGE] = "larger than [security] max_file_size allows",
	[OUTCOME_SIZE] = "the file has not the size that was given with it; check the source",
	[OUTCOME_CHECKSUM] = "the file has not the checksum that was given with it; check the source",
	[OUTCOME_RANGE] = "the server cannot serve the ranges that were asked for",
	[OUTCOME_DISK_FULL] = "no space for the data; tried again when there is some",
	[OUTCOME_DISK] = "the data could not be stored; check the disk of the staging area",
	[OUTCOME_LOST] = "what had been fetched is gone from the staging area; resume to fetch it again",
	[OUTCOME_POLICY] = "the address is not allowed by [security]",
	[OUTCOME_BANDWIDTH] = "waits until [bandwidth] allows traffic again",
	[OUTCOME_METERED] = "waits because the network is metered",
	[OUTCOME_OFFLINE] = "waits for the network",
	[OUTCOME_NO_PROGRESS] = "no progress within no_progress_timeout; resume to try again",
	[OUTCOME_MAX_TIME] = "not finished within max_download_time; raise it and resume",
	[OUTCOME_PLACE] = "the file could not be placed; remove the cause and complete again",
	[OUTCOME_INTERNAL] = "an internal error; see the log of the service",
};

/* RFC 9110 §15 (the phrases), RFC 6585 (428, 429, 431), RFC 7725 (451), and what helps. */
static const struct {
	int status;
	const char *phrase, *advice;
} statuses[] = {
	{ 400, "Bad Request", "check the URL and headers" },
	{ 401, "Unauthorized", "set credentials" },
	{ 402, "Payment Required", "the server wants payment" },
	{ 403, "Forbidden", "check credentials and the URL" },
	{ 404, "Not Found", "check the URL" },
	{ 405, "Method Not Allowed", "check the URL" },
	{ 406, "Not Acceptable", "check headers" },
	{ 407, "Proxy Authentication Required", "check proxy" },
	{ 408, "Request Timeout", "tried again later" },
	{ 409, "Conflict", "tried again later" },
	{ 410, "Gone", "the file was removed from the server" },
	{ 412, "Precondition Failed", "check headers" },
	{ 416, "Range Not Satisfiable", "check range=" },
	{ 425, "Too Early", "tried again later" },
	{ 429, "Too Many Requests", "tried again later" },
	{ 451, "Unavailable For Legal Reasons", "the server may not serve it" },
	{ 500, "Internal Server Error", "tried again later" },
	{ 501, "Not Implemented", "the server does not support the request" },
	{ 502, "Bad Gateway", "tried again later" },
	{ 503, "Service Unavailable", "tried again later" },
	{ 504, "Gateway Timeout", "tried again later" },
	{ 505, "HTTP Version Not Supported", "the server does not support the request" },
};

const char *outcome_word(enum outcome o)
{
	return words[o];
}

int outcome_from_word(const char *word, enum outcome *ret)
{
	for (size_t i = 0; i < OUTCOME_MAX; i++) {
		if (strcmp(words[i], word) == 0) {
			*ret = (enum outcome)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* BITS's classes: what the server may mend by itself is tried again. A 2xx that is not a usable answer
 * and a status that does not exist are the server's fault and will not go away by asking again. */
static enum outcome_class retry_class_of_status(int status)
{
	switch (status) {
	case 408: /* Request Timeout */
	case 409: /* Conflict: "might be able to resolve the conflict and resubmit" */
	case 425: /* Too Early */
	case 429: /* Too Many Requests */
		return CLASS_TRANSIENT;
	case 501: /* Not Implemented */
	case 505: /* HTTP Version Not Supported */
		return CLASS_FATAL;
	}
	return status >= 500 && status < 600 ? CLASS_TRANSIENT : CLASS_FATAL;
}

enum outcome_class retry_class(enum outcome o, int http_status)
{
	return classes[o] == CLASS_BY_STATUS ? retry_class_of_status(http_status) : classes[o];
}

static void add_status(struct buf *out, int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status == status) {
			buf_printf(out, "the server answered %d (%s): %s", status, statuses[i].phrase,
				statuses[i].advice);
			return;
		}
	}
	buf_printf(out, "the server answered %d%s", status,
		retry_class_of_status(status) == CLASS_TRANSIENT ? ": tried again later" : "");
}

int outcome_sentence(enum outcome o, int http_status, const char *text, char **ret)
{
	cleanup_buf struct buf b = { 0 };

	if (classes[o] == CLASS_BY_STATUS && http_status > 0)
		add_status(&b, http_status);
	else
		buf_adds(&b, sentences[o]);
	if (text && *text)
		buf_printf(&b, " (%s)", text);
	/* One line, whatever the library said: `error` is flat keyed. */
	for (size_t i = 0; i < b.len; i++)
		memset(b.data + i, ' ', text_control(b.data + i));
	if (b.failed)
		return -ENOMEM;
	*ret = buf_steal(&b);
	return 0;
}

int64_t retry_delay(unsigned tries, uint32_t delay_max_s, int64_t retry_after_s, uint32_t random)
{
	uint64_t seconds = UINT64_C(1) << (tries < 1 ? 0 : tries > 32 ? 31 : tries - 1);
	int64_t half, delay, least;

	if (seconds > delay_max_s)
		seconds = delay_max_s;
	half = (int64_t)seconds * NSEC_PER_SEC / 2;
	/* 16 bits of randomness: 32 would overflow the product with the longest delays. */
	delay = half + half / 65536 * (int64_t)(random >> 16);
	least = retry_after_s < 0 ? 0 : retry_after_s;
	if (least > RETRY_AFTER_MAX_S)
		least = RETRY_AFTER_MAX_S;
	least *= NSEC_PER_SEC;
	return delay > least ? delay : least;
}
