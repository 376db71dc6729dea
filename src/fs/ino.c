/* See ino.h: the slots in one table per kind of serial. */
#include "fs/ino.h"

#include <assert.h>

#define SERIAL_SHIFT 32
#define SLOT_MASK UINT32_MAX
#define SLOT_ROOT 1u
#define SLOT_SERVICE 2u
#define SLOT_ENDED_DIR 3u
#define SLOT_JOB 1u
#define SLOT_ENDED 2u
#define SLOT_ROW 16u
#define SLOT_FILE (1u << 30)
#define SLOT_SOURCE (2u << 30)
#define NODE_MASK (SLOT_FILE - 1)

static const struct slots {
	uint32_t base;
	bool service;  /* under serial 0 */
	bool counts;   /* the id is added to the base */
} slots[] = {
	[PLACE_ROOT] = { SLOT_ROOT, .service = true },
	[PLACE_SERVICE] = { SLOT_SERVICE, .service = true },
	[PLACE_SERVICE_ROW] = { SLOT_ROW, .service = true, .counts = true },
	[PLACE_ENDED_DIR] = { SLOT_ENDED_DIR, .service = true },
	[PLACE_ENDED] = { SLOT_ENDED },
	[PLACE_JOB] = { SLOT_JOB },
	[PLACE_ROW] = { SLOT_ROW, .counts = true },
	[PLACE_FILE] = { SLOT_FILE, .counts = true },
	[PLACE_SOURCE] = { SLOT_SOURCE, .counts = true },
};

uint64_t ino_of(struct place p)
{
	const struct slots *s = &slots[p.kind];

	assert(s->service == (p.serial == 0) && p.serial <= UINT32_MAX && p.id <= NODE_MASK);
	return p.serial << SERIAL_SHIFT | (s->base + (s->counts ? p.id : 0));
}

static bool kind_of(bool service, uint32_t slot, enum place_kind *ret)
{
	if (slot >= SLOT_SOURCE)
		*ret = PLACE_SOURCE;
	else if (slot >= SLOT_FILE)
		*ret = PLACE_FILE;
	else if (slot >= SLOT_ROW)
		*ret = service ? PLACE_SERVICE_ROW : PLACE_ROW;
	else if (slot == SLOT_ROOT)
		*ret = service ? PLACE_ROOT : PLACE_JOB;
	else if (slot == SLOT_SERVICE)
		*ret = service ? PLACE_SERVICE : PLACE_ENDED;
	else if (slot == SLOT_ENDED_DIR)
		*ret = PLACE_ENDED_DIR;
	else
		return false;
	return slots[*ret].service == service;
}

bool ino_place(uint64_t ino, struct place *ret)
{
	uint32_t slot = ino & SLOT_MASK;
	struct place p = { .serial = ino >> SERIAL_SHIFT };

	if (!kind_of(p.serial == 0, slot, &p.kind))
		return false;
	p.id = slots[p.kind].counts ? slot - slots[p.kind].base : 0;
	*ret = p;
	return true;
}
