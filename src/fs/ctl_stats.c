/* .xferfs/stats: counters and gauges as text for Prometheus and OpenMetrics.
 *
 * The two formats differ in whether the TYPE line of a counter carries the suffix `_total`; what is
 * written is what node_exporter's textfile collector and `promtool check metrics` accept, and the last
 * line is the `# EOF` that OpenMetrics wants and others skip as a comment.
 */
#include "fs/ctl.h"

#define PART 4096 /* jobs counted in one go under the read lock */

struct scalar {
	const char *name, *type, *help;
	size_t offset; /* of a uint64_t in struct service */
};

#define COUNTER "counter"
#define GAUGE "gauge"
static const struct scalar scalars[] = {
	{ "xferfs_downloaded_bytes_total", COUNTER, "Bytes received from servers.",
		offsetof(struct service, bytes_downloaded) },
	{ "xferfs_files_transferred_total", COUNTER, "Files received whole.",
		offsetof(struct service, files_transferred) },
	{ "xferfs_files_completed_total", COUNTER, "Files placed in the destination tree.",
		offsetof(struct service, files_completed) },
	{ "xferfs_jobs_created_total", COUNTER, "Jobs made.", offsetof(struct service, jobs_created) },
	{ "xferfs_jobs_completed_total", COUNTER, "Jobs that ended by complete.",
		offsetof(struct service, jobs_completed) },
	{ "xferfs_jobs_cancelled_total", COUNTER, "Jobs that ended by cancel or by a time limit.",
		offsetof(struct service, jobs_cancelled) },
	{ "xferfs_retries_total", COUNTER, "Transfers tried again after a transient error.",
		offsetof(struct service, retries) },
	{ "xferfs_connections", GAUGE, "Connections open.", offsetof(struct service, connections) },
	{ "xferfs_receive_rate_bytes", GAUGE, "Bytes received in a second, smoothed.",
		offsetof(struct service, rate) },
};

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_errors(struct buf *out, const struct service *s)
{
	put_head(out, "xferfs_errors_total", COUNTER, "Failed attempts, by the word that error shows.");
	for (unsigned i = 0; i < OUTCOME_MAX; i++)
		if (i != OUTCOME_DONE && i != OUTCOME_STOPPED)
			buf_printf(out, "xferfs_errors_total{code=\"%s\"} %llu\n", outcome_word(i),
				(unsigned long long)s->errors[i]);
}

static void put_latency(struct buf *out, const struct service *s)
{
	static const char name[] = "xferfs_queue_latency_seconds";

	put_head(out, name, "histogram", "From resume to the first byte.");
	for (unsigned i = 0; i < LATENCY_BUCKETS - 1; i++)
		buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, latency_bounds[i],
			(unsigned long long)s->latency_count[i]);
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
		(unsigned long long)s->latency_count[LATENCY_BUCKETS - 1]);
	buf_printf(out, "%s_sum %.6f\n%s_count %llu\n", name, s->latency_sum, name,
		(unsigned long long)s->latency_count[LATENCY_BUCKETS - 1]);
}

static void put_all(struct buf *out, const struct service *s, const uint64_t *jobs)
{
	put_head(out, "xferfs_jobs", GAUGE, "Jobs in the queue, by state.");
	for (unsigned i = 0; i < JOB_STATE_MAX; i++)
		if (!job_state_final(i))
			buf_printf(out, "xferfs_jobs{state=\"%s\"} %llu\n", job_state_word(i),
				(unsigned long long)jobs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(scalars); i++) {
		const struct scalar *m = &scalars[i];

		put_head(out, m->name, m->type, m->help);
		buf_printf(out, "%s %llu\n", m->name,
			(unsigned long long)*(const uint64_t *)((const char *)s + m->offset));
	}
	put_errors(out, s);
	put_latency(out, s);
	put_head(out, "xferfs_online", GAUGE, "Whether the system has a network.");
	buf_printf(out, "xferfs_online %d\n", s->online);
	put_head(out, "xferfs_start_time_seconds", GAUGE, "When the service was started.");
	buf_printf(out, "xferfs_start_time_seconds %lld\n# EOF\n", (long long)s->started);
}

void ctl_show_stats(const struct ctl *row, struct ctl_view *view, struct buf *out)
{
	const struct job *j = NULL;

	for (unsigned n = 0; n < PART && (j = queue_next(view->queue, view->cursor)); n++) {
		view->cursor = j->serial;
		view->sums[j->state]++;
	}
	view->more = j != NULL;
	if (!view->more)
		put_all(out, queue_service(view->queue), view->sums);
}
