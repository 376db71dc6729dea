/* The durable queue: SQLite in STAGING/queue.db.
 *
 * WAL, synchronous=FULL, locking_mode=EXCLUSIVE (no shared memory file). One connection, owned by the
 * core thread (before threads: by main). A turn is: store_begin; store_put_... / store_drop_...;
 * store_commit. After -errno from any call the turn is to be given up with store_rollback.
 *
 * Only what must survive is saved: states that belong to running (connecting, transferring, ...) come
 * back as the rule table's RESTART column says.
 *
 * Power loss: `synced` says that a file's bytes were on disk when saved. The store keeps the boot id;
 * when that differs at loading, files that were not synced lose their `have` (a mere kill leaves the
 * page cache, so they keep it).
 */
#pragma once

#include "model/queue.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_VERSION 2 /* PRAGMA user_version; older ones are migrated, newer ones refused */

struct store;

/* Opens or makes the database. A damaged one is renamed to queue.db.damaged-MOMENT with a log line and
 * a new one is made (store_is_fresh): blobs stay. PATH ":memory:" for tests. -EPROTO: made by a
 * newer xferfs. */
int store_open(const char *path, struct store **ret);
void store_close(struct store *s);
/* Whether a damaged database was set aside, by store_open or by store_load: its blobs have no rows, and
 * are not to be swept. */
bool store_is_fresh(const struct store *s);

/* Everything into an empty queue (jobs with files, results newer than KEEP_RESULTS_SINCE), and the next
 * serial (above all ever used). Jobs come as they were saved; the caller applies EV_RESTART. Damage
 * that shows only while reading: the database is set aside, and the queue stays empty. */
int store_load(struct store *s, int64_t keep_results_since, struct queue *q, uint64_t *ret_next_serial);

int store_begin(struct store *s);  /* -EIDRM: the database was deleted under us */
int store_commit(struct store *s); /* durable when it returns 0 */
void store_rollback(struct store *s);

int store_put_job(struct store *s, const struct job *draft);          /* header and properties */
int store_put_drafts(struct store *s, const struct job *draft);       /* every file with a draft, new, changed or gone */
int store_drop_job(struct store *s, uint64_t serial);                 /* with files */
int store_put_result(struct store *s, const struct result *r);
int store_drop_result(struct store *s, uint64_t serial);
int store_prune_results(struct store *s, int64_t before_wall);
int store_put_next_serial(struct store *s, uint64_t next);
int store_put_setting(struct store *s, const char *name, const char *value); /* .xferfs/network, ... */
int store_get_setting(struct store *s, const char *name, char **ret_value);  /* -ENOENT */
