/* The configuration: one table of keys (config.c), fed by inih, by -o SECTION.KEY=VALUE, printed by
 * --check-config and .xferfs/config, and checked against README.md by tests/layers.sh.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;

struct config {
	/* [limits]: bind users other than root and the daemon's own */
	uint64_t jobs_per_user, jobs, files_per_job, ranges_per_file, history_per_user;
	/* [queue]: seconds; LIMIT_MAX */
	uint64_t inactivity_timeout, max_age, history_days;
	/* [transfer] */
	uint64_t workers, connections, connections_per_host, connections_per_file; /* 0: auto */
	uint64_t running_jobs; /* the key is `jobs` */
	uint64_t connect_timeout, idle_timeout;
	char *user_agent; /* texts are never NULL; "" is: none */
	bool http2;
	/* [bandwidth] */
	uint64_t limit, limit_per_host; /* the key is `per_host` */
	bool foreground_exempt;
	char *schedule;
	/* [network] */
	char *background, *cache_host, *proxy;
	/* [security] */
	char *schemes, *ca_file;
	bool allow_https_to_http, deny_private_addresses;
	uint64_t max_file_size;
};

int config_init(struct config *c); /* the defaults */
void config_release(struct config *c);
/* On failure *ret_reason is one sentence, for a file with "FILE:LINE: ", to free(). -ENOENT: no such
 * file. Every value is checked as it is read; unknown sections and keys are errors. */
int config_read(struct config *c, const char *path, char **ret_reason);
int config_set(struct config *c, const char *section_key, const char *value, char **ret_reason); /* "bandwidth.limit" */
/* As an INI file that can be fed back; but users and passwords in URLs are left out, since everybody may
 * read .xferfs/config. */
void config_print(const struct config *c, struct buf *out);
/* Every key in the table's order: for tests and --help. */
void config_each(void (*fn)(void *arg, const char *section, const char *key, const char *preset, const char *help), void *arg);
