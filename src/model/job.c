/* A job's header: the rule table, versions, and who may do what (model/job.h).
 *
 * The table is INTERFACE.md §6 row by row. job_apply is the only function that changes a state;
 * what a state means for the other fields of the header is written there once, and nowhere else.
 */
#include "model/job.h"

#include "model/files.h"
#include "model/url.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const state_words[JOB_STATE_MAX] = {
#define X(id, word) [JOB_##id] = word,
	JOB_STATES(X)
#undef X
};

static const char *const event_words[JOB_EVENT_MAX] = {
#define X(id, word) [EV_##id] = word,
	JOB_EVENTS(X)
#undef X
};

/* An entry that is all zero would lead to SUSPENDED and look like a missing one: hence `known`. */
struct entry {
	bool known;
	struct rule rule;
};

#define TO(state, effects) { true, { .next = JOB_##state, .fx = (effects) } }
#define REFUSE(error) { true, { .err = (error) } }

/* What users may ask for, refused alike in a whole state. */
#define REFUSE_USER(error) \
	[EV_SUSPEND] = REFUSE(error), [EV_RESUME] = REFUSE(error), [EV_COMPLETE] = REFUSE(error), \
	[EV_CANCEL] = REFUSE(error), [EV_RESUME_EMPTY] = REFUSE(error), [EV_ADD] = REFUSE(error), \
	[EV_CHANGE] = REFUSE(error)

/* The ends of a job, open in every state in which nothing is being placed or withdrawn. */
#define MAY_END \
	[EV_COMPLETE] = TO(COMPLETING, FX_SAVE | FX_STOP | FX_PLACE), \
	[EV_CANCEL] = TO(CANCELLED, FX_SAVE | FX_STOP | FX_END), [EV_RESUME_EMPTY] = REFUSE(ENODATA)

/* What happens alike in the states of a running job. */
#define RUNS \
	MAY_END, [EV_SUSPEND] = TO(SUSPENDED, FX_SAVE | FX_STOP), \
	[EV_DONE] = TO(TRANSFERRED, FX_SAVE), \
	[EV_SOFT_ERROR] = TO(TRANSIENT_ERROR, FX_SAVE), \
	[EV_HARD_ERROR] = TO(ERROR, FX_SAVE | FX_STOP), [EV_RESTART] = TO(QUEUED, 0)

/* A user's success is durable (FX_SAVE) unless it changes nothing that a restart would remember. */
static const struct entry rules[JOB_STATE_MAX][JOB_EVENT_MAX] = {
	[JOB_SUSPENDED] = {
		MAY_END,
		[EV_SUSPEND] = TO(SUSPENDED, 0),
		[EV_RESUME] = TO(QUEUED, FX_SAVE | FX_CLOCKS),
		[EV_ADD] = TO(SUSPENDED, FX_SAVE),
		[EV_CHANGE] = TO(SUSPENDED, FX_SAVE),
		[EV_RESTART] = TO(SUSPENDED, 0),
	},
	[JOB_QUEUED] = {
		RUNS,
		[EV_RESUME] = TO(QUEUED, 0),
		[EV_ADD] = TO(QUEUED, FX_SAVE),
		[EV_CHANGE] = TO(QUEUED, FX_SAVE),
		[EV_START] = TO(CONNECTING, 0),
		[EV_YIELD] = TO(QUEUED, 0),
	},
	[JOB_CONNECTING] = {
		RUNS,
		[EV_RESUME] = TO(CONNECTING, 0),
		[EV_ADD] = TO(CONNECTING, FX_SAVE),
		[EV_CHANGE] = TO(CONNECTING, FX_SAVE),
		[EV_START] = TO(CONNECTING, 0),
		[EV_BYTES] = TO(TRANSFERRING, 0),
		[EV_YIELD] = TO(QUEUED, 0),
	},
	[JOB_TRANSFERRING] = {
		RUNS,
		[EV_RESUME] = TO(TRANSFERRING, 0),
		[EV_ADD] = TO(TRANSFERRING, FX_SAVE),
		[EV_CHANGE] = TO(TRANSFERRING, FX_SAVE),
		[EV_START] = TO(TRANSFERRING, 0),
		[EV_BYTES] = TO(TRANSFERRING, 0),
		[EV_YIELD] = TO(QUEUED, 0),
	},
	[JOB_TRANSIENT_ERROR] = {
		RUNS,
		[EV_RESUME] = TO(QUEUED, FX_CLOCKS),
		[EV_ADD] = TO(QUEUED, FX_SAVE), /* the new file can go on while the others wait */
		[EV_CHANGE] = TO(TRANSIENT_ERROR, FX_SAVE),
		[EV_RETRY] = TO(QUEUED, 0),
	},
	[JOB_ERROR] = {
		MAY_END,
		[EV_SUSPEND] = TO(ERROR, 0),
		[EV_RESUME] = TO(QUEUED, FX_SAVE | FX_CLOCKS | FX_FORGIVE),
		[EV_ADD] = TO(ERROR, FX_SAVE), /* a person still has to see it; resume goes on */
		[EV_CHANGE] = TO(ERROR, FX_SAVE),
		[EV_DONE] = TO(TRANSFERRED, FX_SAVE), /* the files that failed were removed */
		[EV_RESTART] = TO(ERROR, 0),
	},
	[JOB_TRANSFERRED] = {
		MAY_END,
		[EV_SUSPEND] = TO(TRANSFERRED, 0),
		[EV_RESUME] = TO(TRANSFERRED, 0),
		[EV_ADD] = TO(SUSPENDED, FX_SAVE),
		[EV_CHANGE] = TO(TRANSFERRED, FX_SAVE),
		[EV_RESTART] = TO(TRANSFERRED, 0),
	},
	[JOB_COMPLETING] = {
		REFUSE_USER(EBUSY),
		[EV_PLACED] = TO(ACKNOWLEDGED, FX_SAVE | FX_END),
		[EV_UNPLACED] = TO(TRANSFERRED, FX_SAVE),
		[EV_UNPLACED_PART] = TO(SUSPENDED, FX_SAVE),
		[EV_RESTART] = TO(COMPLETING, FX_PLACE),
	},
	[JOB_CANCELLING] = {
		REFUSE_USER(EBUSY),
		[EV_WITHDRAWN] = TO(CANCELLED, FX_SAVE | FX_END),
		[EV_RESTART] = TO(CANCELLING, 0),
	},
	/* A job found ended after a restart was killed while it was being taken out: end it
	 * again. */
	[JOB_ACKNOWLEDGED] = { REFUSE_USER(ENODEV), [EV_RESTART] = TO(ACKNOWLEDGED, FX_END) },
	[JOB_CANCELLED] = { REFUSE_USER(ENODEV), [EV_RESTART] = TO(CANCELLED, FX_END) },
};

int job_rule(enum job_state state, enum job_event event, struct rule *ret)
{
	const struct entry *e = &rules[state][event];

	if (!e->known)
		return -EINVAL;
	if (e->rule.err)
		return -e->rule.err;
	*ret = e->rule;
	return 0;
}

const char *job_state_word(enum job_state s)
{
	return state_words[s];
}

const char *job_event_word(enum job_event e)
{
	return event_words[e];
}

int job_state_from_word(const char *word, enum job_state *ret)
{
	for (size_t i = 0; i < JOB_STATE_MAX; i++) {
		if (strcmp(state_words[i], word) == 0) {
			*ret = (enum job_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

enum { RESTS = 1 << 0, ACTIVE = 1 << 1, FINAL = 1 << 2, TROUBLE = 1 << 3 };

static const uint8_t state_traits[JOB_STATE_MAX] = {
	[JOB_SUSPENDED] = RESTS,
	[JOB_QUEUED] = ACTIVE,
	[JOB_CONNECTING] = ACTIVE,
	[JOB_TRANSFERRING] = ACTIVE,
	[JOB_TRANSIENT_ERROR] = ACTIVE | TROUBLE,
	[JOB_ERROR] = RESTS | TROUBLE,
	[JOB_TRANSFERRED] = RESTS,
	[JOB_ACKNOWLEDGED] = RESTS | FINAL,
	[JOB_CANCELLED] = RESTS | FINAL,
};

bool job_state_rests(enum job_state s)
{
	return state_traits[s] & RESTS;
}

bool job_state_active(enum job_state s)
{
	return state_traits[s] & ACTIVE;
}

bool job_state_final(enum job_state s)
{
	return state_traits[s] & FINAL;
}

/* --- faults ----------------------------------------------------------------------------------- */

struct fault *fault_new(unsigned outcome, int http_status, int err, const char *text, int64_t since)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->text = strdup(text);
	if (!f->text) {
		free(f);
		return NULL;
	}
	f->outcome = (uint8_t)outcome;
	f->http_status = (int16_t)http_status;
	f->err = (int16_t)err;
	f->since = since;
	return f;
}

struct fault *fault_copy(const struct fault *f)
{
	return fault_new(f->outcome, f->http_status, f->err, f->text, f->since);
}

void fault_free(struct fault *f)
{
	if (!f)
		return;
	free(f->text);
	free(f);
}

/* --- versions --------------------------------------------------------------------------------- */

int job_new(uint64_t serial, const char *name, const struct creds *owner, int64_t wall,
	struct job **ret)
{
	cleanup(job_free) struct job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	r = props_init(&j->props);
	if (r < 0)
		return r;
	j->name = strdup(name);
	j->owner = creds_copy(owner);
	if (!j->name || !j->owner)
		return -ENOMEM;
	r = files_new(&j->files);
	if (r < 0)
		return r;
	j->serial = serial;
	j->uid = owner->uid;
	j->gid = owner->gid;
	j->mode = 0700;
	j->created = j->modified = j->last_alive = wall;
	*ret = take_ptr(j);
	return 0;
}

int job_clone(const struct job *j, struct job **ret)
{
	cleanup(job_free) struct job *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *j;
	/* What the copy does not own yet must not be freed with it. */
	copy->name = NULL;
	copy->owner = copy->completer = NULL;
	copy->fault = NULL;
	memset(&copy->props, 0, sizeof(copy->props));
	r = props_copy(&j->props, &copy->props);
	if (r < 0)
		return r;
	copy->name = strdup(j->name);
	copy->owner = creds_copy(j->owner);
	if (!copy->name || !copy->owner)
		return -ENOMEM;
	if (j->completer && !(copy->completer = creds_copy(j->completer)))
		return -ENOMEM;
	if (j->fault && !(copy->fault = fault_copy(j->fault)))
		return -ENOMEM;
	*ret = take_ptr(copy);
	return 0;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	free(j->name);
	creds_free(j->owner);
	creds_free(j->completer);
	props_release(&j->props);
	fault_free(j->fault);
	free(j);
}

/* --- events ----------------------------------------------------------------------------------- */

/* BITS: Complete on an upload that is not transferred is refused; what a server has got of it is
 * not a file that could be kept. */
static bool must_be_whole(const struct job *j)
{
	return j->props.type != TYPE_DOWNLOAD && j->state != JOB_TRANSFERRED;
}

static void forget_fault(struct job *j)
{
	fault_free(j->fault);
	j->fault = NULL;
	j->retry_at = 0;
}

/* What EVENT means for the header, besides the state. */
static void note_event(struct job *j, enum job_event event, int64_t wall)
{
	switch (event) {
	case EV_BYTES:
		j->trouble_since = 0;
		j->last_alive = wall;
		break;
	case EV_SOFT_ERROR:
		if (!j->trouble_since)
			j->trouble_since = wall;
		j->error_count++;
		break;
	case EV_HARD_ERROR:
		j->error_count++;
		break;
	case EV_DONE:
		j->trouble_since = 0;
		j->transferred_at = wall;
		j->last_alive = wall;
		break;
	case EV_ADD:
		j->transferred_at = 0; /* it is not, with the new file */
		j->last_alive = wall;
		break;
	case EV_COMPLETE:
		j->was_transferred = j->state == JOB_TRANSFERRED;
		j->last_alive = wall;
		break;
	case EV_SUSPEND:
	case EV_RESUME:
	case EV_CANCEL:
	case EV_CHANGE:
		j->last_alive = wall;
		break;
	case EV_UNPLACED_PART:
		j->transferred_at = 0;
		__attribute__((fallthrough));
	case EV_UNPLACED:
		creds_free(j->completer);
		j->completer = NULL;
		break;
	case EV_RESUME_EMPTY:
	case EV_START:
	case EV_YIELD:
	case EV_RETRY:
	case EV_PLACED:
	case EV_WITHDRAWN:
	case EV_RESTART:
	case JOB_EVENT_MAX:
		break;
	}
}

int job_apply(struct job *draft, enum job_event event, int64_t wall, unsigned *ret_fx)
{
	struct rule rule = { 0 };
	int r;

	r = job_rule(draft->state, event, &rule);
	if (r < 0)
		return r;
	if (event == EV_COMPLETE && must_be_whole(draft))
		return -EBUSY;
	note_event(draft, event, wall);
	if (rule.fx & FX_SAVE)
		draft->modified = wall;
	if (rule.fx & FX_CLOCKS) {
		draft->trouble_since = 0;
		draft->active_seconds = 0;
	}
	/* As BITS's GetError: a job has an error only while it is in a state of error. */
	if ((state_traits[draft->state] & TROUBLE) && !(state_traits[rule.next] & TROUBLE))
		forget_fault(draft);
	draft->state = (enum job_state)rule.next;
	*ret_fx = rule.fx;
	return 0;
}

/* --- who may ---------------------------------------------------------------------------------- */

unsigned job_access(const struct job *j, const struct creds *c, uid_t daemon_uid)
{
	if (c->uid == daemon_uid)
		return 7;
	return creds_access(c, j->uid, j->gid, j->mode);
}

int job_take_ownership(struct job *draft, const struct creds *owner)
{
	struct creds *copy = creds_copy(owner);
	int r = copy ? files_drop_logins(draft->files, draft) : -ENOMEM;

	if (r < 0) {
		creds_free(copy);
		return r;
	}
	creds_free(draft->owner);
	draft->owner = copy;
	draft->uid = owner->uid;
	draft->gid = owner->gid;
	/* What the last owner entrusted to the job must not act in another's name. */
	draft->props.on_transferred = ON_TRANSFERRED_HOLD;
	for (size_t i = 0; i < prop_count; i++) {
		const struct prop_rule *p = &prop_rules[i];
		char **field;

		if (!p->secret && !p->login)
			continue;
		assert(p->text);
		field = (char **)((char *)&draft->props + p->offset);
		if (p->secret)
			free(take_ptr(*field));
		else if (*field)
			url_strip_login(*field);
	}
	return 0;
}

bool job_acts_for_owner(const struct job *j)
{
	const struct props *p = &j->props;

	return p->on_transferred == ON_TRANSFERRED_COMPLETE || p->headers || p->credentials || p->client_certificate ||
		(p->proxy && url_has_login(p->proxy)) || j->tally.logins;
}

void job_assert_sane(const struct job *j)
{
	const struct tally *t = &j->tally;

	assert(j->serial && j->name && j->name[0] && j->owner && j->files);
	assert(j->state < JOB_STATE_MAX);
	assert(j->props.type < TYPE_MAX && j->props.priority < PRIORITY_MAX);
	assert((j->mode & ~(mode_t)0777) == 0);
	/* Someone's rights are kept only as long as they are needed. */
	assert(!j->completer || j->state == JOB_COMPLETING || job_state_final(j->state));
	assert(!j->transferred_at || !job_state_active(j->state));
	assert(j->state != JOB_TRANSIENT_ERROR || j->trouble_since);
	assert((uint64_t)t->transferred + t->failed + t->waiting + t->completed <= t->files);
	assert(t->unknown <= t->files && t->unverified <= t->files && t->unsynced <= t->files && t->logins <= t->files);
}
