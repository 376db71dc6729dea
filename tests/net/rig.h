/* The engine with a mailbox and a staging area of its own, as the core would have it. */
#pragma once

#include "base/clock.h"
#include "net/engine.h"

struct rig {
	struct mail *waiting;       /* taken from the mailbox, not looked at */
	char dir[64];
	struct blobs *blobs;
	struct mailbox box;
	struct engine *engine;
	uint64_t ids;
	unsigned begun, progress;  /* reports seen */
	struct extents seen;       /* `have` of the latest report that was no end */
	uint64_t seen_size;
	unsigned connections_max;
};

/* OPTIONS may be NULL. PARENT: where the staging area is made; NULL: /tmp. Fails the test on error. */
void rig_start(struct rig *rig, const struct engine_options *options, const char *parent);
void rig_stop(struct rig *rig);
/* A fetch of file 1, generation 0, of job 1; the caller changes it before rig_send. */
struct fetch *rig_fetch(struct rig *rig, const char *url);
uint64_t rig_send(struct rig *rig, struct fetch *f);
/* The next report, or a failed test when none comes for WATCHDOG. */
struct report *rig_report(struct rig *rig);
struct report *rig_end(struct rig *rig);                   /* the next ENDED */
struct report *rig_run(struct rig *rig, struct fetch *f);  /* send, then the end */
int rig_open(struct rig *rig, uint32_t file, uint32_t generation);
char *rig_content(struct rig *rig, uint32_t file, size_t *ret_len);
#define RIG_WATCHDOG (60 * NSEC_PER_SEC)
