/* One function for each, since a function is not to be called by a pointer of another type: the core says
 * void * where its tests have something else.
 */
#include "ports.h"

static void to_fetch(void *engine, struct fetch *f)
{
	engine_fetch(engine, f);
}

static void to_cease(void *engine, uint64_t id)
{
	engine_cease(engine, id);
}

static void to_want(void *engine, uint64_t id, uint64_t offset)
{
	engine_want(engine, id, offset);
}

static void to_prioritise(void *engine, uint64_t serial, enum job_priority priority)
{
	engine_prioritise(engine, serial, priority);
}

static void to_limit_all(void *engine, uint64_t rate, bool foreground_exempt)
{
	engine_limit_all(engine, rate, foreground_exempt);
}

static void to_limit_class(void *engine, enum job_priority priority, uint64_t rate)
{
	engine_limit_class(engine, priority, rate);
}

static void to_limit_job(void *engine, uint64_t serial, uint64_t rate)
{
	engine_limit_job(engine, serial, rate);
}

static void to_order(void *mover, struct order *o)
{
	mover_send(mover, o);
}

static void to_cancel_orders(void *mover, uint64_t serial)
{
	mover_cancel(mover, serial);
}

static void to_errand(void *runner, struct errand *e)
{
	runner_send(runner, e);
}

struct core_ports ports_to(struct engine *engine, struct mover *mover, struct runner *runner)
{
	return (struct core_ports){
		.engine = engine,
		.mover = mover,
		.runner = runner,
		.fetch = to_fetch,
		.cease = to_cease,
		.want = to_want,
		.prioritise = to_prioritise,
		.limit_all = to_limit_all,
		.limit_class = to_limit_class,
		.limit_job = to_limit_job,
		.order = to_order,
		.cancel_orders = to_cancel_orders,
		.errand = to_errand,
	};
}
