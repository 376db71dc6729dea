#include "model/fair.h"

#include <stddef.h>
#include <string.h>

#define SMOOTH 0.4            /* the latest rate's part of the smoothed one */
#define LONG 0.05             /* likewise, of the mean of the last seconds */
#define OWED 0.1              /* what one got too much or too little is made up for by this part of a share */
#define NOTICE 0.05           /* who gets so much more than his share is held */
#define LOST 0.9              /* a sum below this part of the capacity: something is left lying */
#define GROWS 1.05            /* the sum, over FAIR_PAST steps, where a line is not full */
#define RAISE 1.03            /* of the capacity, per step */
#define GAIN_UP 0.5           /* of what is missing to the aim, per step; */
#define GAIN_DOWN 0.9         /* a window that is lowered empties a queue first */
#define DROP_MIN 0.4          /* limits of factor */
#define RISE_MAX 1.3
#define ASTRAY 0.7            /* a held job that gets less than this of its share is held by something else, */
#define ASTRAY_RISE 1.1
#define ASTRAY_STEPS 6        /* or only pauses, as senders do to measure the round trip */

static bool is_content(const struct fair_job *j)
{
	return j->content || j->limited;
}

void fair_init(struct fair *f, int64_t now)
{
	*f = (struct fair){ .stepped_at = now };
	TAILQ_INIT(&f->jobs);
}

void fair_join(struct fair *f, struct fair_job *j)
{
	*j = (struct fair_job){ .factor = FAIR_FREE };
	TAILQ_INSERT_TAIL(&f->jobs, j, link);
	f->n++;
	f->urgent = true;
}

void fair_leave(struct fair *f, struct fair_job *j)
{
	TAILQ_REMOVE(&f->jobs, j, link);
	if (is_content(j))
		f->capacity -= j->rate;
	f->n--;
	f->urgent = true;
}

static double measure(struct fair *f, int64_t passed, bool held)
{
	struct fair_job *j;
	double sum = 0, rates = 0;

	TAILQ_FOREACH(j, &f->jobs, link) {
		j->latest = (double)j->bytes * NSEC_PER_SEC / (double)passed;
		j->rate += (j->latest - j->rate) * SMOOTH;
		j->mean += (j->latest - j->mean) * LONG;
		j->bytes = 0;
		sum += j->latest;
		rates += j->rate;
	}
	memmove(f->sums, f->sums + 1, (FAIR_PAST - 1) * sizeof f->sums[0]);
	f->sums[FAIR_PAST - 1] = sum;
	/* All are smoothed alike, from 0, so this is the smoothed sum. */
	if (!held || rates > f->capacity)
		f->capacity = rates;
	return sum;
}

/* What each job that is not content may have; 0: nobody is to be held. */
static double share_of(const struct fair *f)
{
	const struct fair_job *j;
	double left = f->capacity;
	unsigned n = 0;

	TAILQ_FOREACH(j, &f->jobs, link) {
		if (is_content(j))
			left -= j->rate;
		else
			n++;
	}
	return n > 1 && left > 0 ? left / n : 0;
}

static void begin_trial(struct fair *f)
{
	f->trial = 0;
	f->tried = 0;
}

static void ask_again(struct fair *f, int64_t now)
{
	struct fair_job *j;

	TAILQ_FOREACH(j, &f->jobs, link) {
		if (!j->content || (now < j->content_until && j->rate < j->demand * 1.25))
			continue;
		j->content = false;
		begin_trial(f);
	}
}

/* Those that were not held, and did not take what they could have. */
static bool refuse(struct fair *f, double share, int64_t now)
{
	struct fair_job *j;
	bool any = false;

	TAILQ_FOREACH(j, &f->jobs, link) {
		int64_t pause = FAIR_CONTENT << (j->refusals < 6 ? j->refusals : 6);

		if (is_content(j) || j->held || j->rate > share * LOST)
			continue;
		j->content = any = true;
		j->demand = j->rate;
		j->content_until = now + (pause < FAIR_CONTENT_MAX ? pause : FAIR_CONTENT_MAX);
		j->refusals++;
	}
	return any;
}

static void judge(struct fair *f, double share, double sum, int64_t now)
{
	const unsigned settling = FAIR_TRIAL / 2;
	struct fair_job *j;
	double mean;

	if (f->trial >= settling)
		f->tried += sum;
	if (++f->trial < FAIR_TRIAL)
		return;
	mean = f->tried / (FAIR_TRIAL - settling);
	begin_trial(f);
	if (mean < f->capacity * LOST && refuse(f, share, now))
		return;
	f->capacity += (mean - f->capacity) / 2;
	f->proven_until = now + FAIR_PROVEN;
	TAILQ_FOREACH(j, &f->jobs, link)
		if (!is_content(j))
			j->refusals = 0;
}

static double limit(double x, double min, double max)
{
	return x < min ? min : x > max ? max : x;
}

/* Near the share: who got too little lately is let have a little more, and the reverse. */
static double aim_of(const struct fair_job *j, double share)
{
	return share * (1 + FAIR_SLACK) + limit(share - j->mean, -OWED * share, OWED * share);
}

static void follow(struct fair_job *j, double share)
{
	double aim = aim_of(j, share);

	if (j->latest > share * ASTRAY) {
		j->astray = 0;
		j->factor = limit(1 + (aim > j->latest ? GAIN_UP : GAIN_DOWN) * (aim / j->latest - 1), DROP_MIN, RISE_MAX);
	} else {
		j->held = ++j->astray < ASTRAY_STEPS;
		j->factor = ASTRAY_RISE;
	}
}

static void hold(struct fair_job *j, double share, bool measured)
{
	if (is_content(j) || share == 0) {
		j->held = false;
	} else if (j->held) {
		j->factor = 1;
		if (measured)
			follow(j, share);
	} else if (j->rate > aim_of(j, share) * (1 + NOTICE)) {
		j->held = true;
		j->astray = 0;
		j->factor = limit(aim_of(j, share) / j->rate, DROP_MIN, 1);
	}
	if (!j->held)
		j->factor = FAIR_FREE;
}

static bool grows(const struct fair *f)
{
	return f->sums[FAIR_PAST - 1] + f->sums[FAIR_PAST - 2] > (f->sums[0] + f->sums[1]) * GROWS;
}

/* All have what they may have: the line may have more. */
static void raise_capacity(struct fair *f, double share)
{
	const struct fair_job *j;

	TAILQ_FOREACH(j, &f->jobs, link)
		if (!is_content(j) && (!j->held || j->latest < share * (1 - FAIR_SLACK)))
			return;
	f->capacity *= RAISE;
}

static bool anyone_held(const struct fair *f)
{
	const struct fair_job *j;

	TAILQ_FOREACH(j, &f->jobs, link)
		if (j->held)
			return true;
	return false;
}

bool fair_is_contested(const struct fair *f, const struct fair_job *j)
{
	return f->n > 1 && !is_content(j) && f->stepped_at < f->proven_until;
}

bool fair_is_due(const struct fair *f, int64_t now)
{
	int64_t interval = 2 * f->rtt;

	interval = interval < FAIR_INTERVAL ? FAIR_INTERVAL : interval < FAIR_INTERVAL_MAX ? interval : FAIR_INTERVAL_MAX;
	return f->urgent || now - f->stepped_at >= interval;
}

void fair_step(struct fair *f, int64_t now)
{
	int64_t passed = now - f->stepped_at;
	bool measured = passed >= FAIR_AT_ONCE, held = anyone_held(f), changed = f->urgent;
	struct fair_job *j;
	double share, sum;

	if (changed)
		begin_trial(f);
	f->urgent = false;
	if (measured) {
		sum = measure(f, passed, held);
		f->stepped_at = now;
		ask_again(f, now);
		if (held) {
			judge(f, share_of(f), sum, now);
			raise_capacity(f, share_of(f));
		}
	}
	share = share_of(f);
	TAILQ_FOREACH(j, &f->jobs, link) {
		if (changed)
			j->mean = share;
		if (j->held || !grows(f) || share == 0)
			hold(j, share, measured);
	}
}
