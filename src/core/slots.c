/* The table of transfers. */
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

#define SLOT_BITS 20
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

/* Slots are as many as the scheduler's window: made once, so pointers to them stay. */
static int make_slots(struct core *c)
{
	uint32_t n = c->options.config->connections;

	if (table_reserve(&c->by_file, n) < 0)
		return -ENOMEM;
	c->slots = calloc(n, sizeof(*c->slots));
	if (!c->slots)
		return -ENOMEM;
	c->nslots = n;
	for (uint32_t i = n; i-- > 0;) {
		c->slots[i].next = c->free_slots;
		c->free_slots = &c->slots[i];
	}
	return 0;
}

static uint32_t hash_of(const struct run *run, uint32_t file)
{
	return hash_u64(run->serial << 32 ^ file);
}

struct transfer *slot_take(struct run *run, uint32_t file, const struct file *version)
{
	struct core *c = run->core;
	struct transfer *t;

	if (!c->slots && make_slots(c) < 0)
		return NULL;
	t = c->free_slots;
	if (!t)
		return NULL;
	c->free_slots = t->next;
	*t = (struct transfer){
		.id = ++c->transfer_seq << SLOT_BITS | (uint64_t)(t - c->slots),
		.run = run, .file = file, .generation = version->generation, .had = file_got(version),
		.wanted = UINT64_MAX, .told = UINT64_MAX, .next = run->transfers, .at = &run->transfers,
	};
	if (t->next)
		t->next->at = &t->next;
	run->transfers = t;
	run->ntransfers++;
	table_put(&c->by_file, &t->link, hash_of(run, file));
	return t;
}

struct transfer *slot_by_id(struct core *c, uint64_t id)
{
	uint64_t slot = id & SLOT_MASK;

	return slot < c->nslots && c->slots[slot].id == id ? &c->slots[slot] : NULL;
}

struct transfer *slot_find(struct run *run, uint32_t file)
{
	struct table_link *link = table_first(&run->core->by_file, hash_of(run, file));

	for (; link; link = table_next(link)) {
		struct transfer *t = container_of(link, struct transfer, link);

		if (t->run == run && t->file == file)
			return t;
	}
	return NULL;
}

void slot_gauge(struct transfer *t, uint64_t rate, unsigned connections)
{
	struct core *c = t->run->core;

	c->service.rate += rate - t->rate;
	c->service.connections += (uint64_t)connections - t->connections;
	c->service_changed = true;
	t->rate = rate;
	t->connections = connections;
}

void slot_release(struct transfer *t)
{
	struct run *run = t->run;
	struct core *c = run->core;

	slot_gauge(t, 0, 0);
	table_drop(&c->by_file, &t->link);
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	run->ntransfers--;
	sched_ended(c->sched, run->serial);
	t->id = 0;
	t->next = c->free_slots;
	c->free_slots = t;
}

void slot_cease(struct transfer *t)
{
	struct core *c = t->run->core;

	if (t->ceasing)
		return;
	t->ceasing = true;
	if (t->sent && !c->stopped)
		c->ports.cease(c->ports.engine, t->id);
}

void slot_want(struct transfer *t)
{
	struct core *c = t->run->core;

	if (!t->sent || t->told == t->wanted)
		return;
	t->told = t->wanted;
	c->ports.want(c->ports.engine, t->id, t->wanted);
}
