/* The rule table against tests/unit/state-matrix.txt, and what events do to a job's header. */
#include "model/files.h"
#include "model/retry.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct creds *alice(void)
{
	return creds_new(1000, 1000, 022, 2, (const gid_t[]){ 1000, 50 });
}

static struct job *new_job(void)
{
	cleanup(creds_free) struct creds *owner = alice();
	struct job *j = NULL;

	assert_int_equal(job_new(7, "iso", owner, 100, &j), 0);
	job_assert_sane(j);
	return j;
}

static void free_job(struct job *j)
{
	files_free(j->files);
	job_free(j);
}

/* Brings J to STATE by way of real events. */
static void lead_to(struct job *j, enum job_state state)
{
	static const enum job_event ways[JOB_STATE_MAX][5] = {
#define END JOB_EVENT_MAX
		[JOB_SUSPENDED] = { END },
		[JOB_QUEUED] = { EV_RESUME, END },
		[JOB_CONNECTING] = { EV_RESUME, EV_START, END },
		[JOB_TRANSFERRING] = { EV_RESUME, EV_START, EV_BYTES, END },
		[JOB_TRANSIENT_ERROR] = { EV_RESUME, EV_START, EV_SOFT_ERROR, END },
		[JOB_ERROR] = { EV_RESUME, EV_START, EV_HARD_ERROR, END },
		[JOB_TRANSFERRED] = { EV_RESUME, EV_DONE, END },
		[JOB_COMPLETING] = { EV_COMPLETE, END },
		[JOB_ACKNOWLEDGED] = { EV_COMPLETE, EV_PLACED, END },
		[JOB_CANCELLED] = { EV_CANCEL, END },
#undef END
	};
	unsigned fx;

	for (const enum job_event *e = ways[state]; *e != JOB_EVENT_MAX; e++)
		assert_int_equal(job_apply(j, *e, 200, &fx), 0);
	assert_int_equal(j->state, state);
}

/* --- the table -------------------------------------------------------------------------------- */

static const char *error_word(int err)
{
	switch (err) {
	case EBUSY:
		return "EBUSY";
	case ENODATA:
		return "ENODATA";
	case ENODEV:
		return "ENODEV";
	case EINVAL:
		return "-";
	}
	return "?";
}

static void print_cell(FILE *out, enum job_state state, enum job_event event)
{
	static const char *const effects[] = { "save", "stop", "clocks", "place", "end",
		"forgive" };
	struct rule rule;
	int r = job_rule(state, event, &rule);

	fprintf(out, "%-15s %-13s ", job_state_word(state), job_event_word(event));
	if (r < 0) {
		fprintf(out, "%s\n", error_word(-r));
		return;
	}
	fprintf(out, "%s", job_state_word((enum job_state)rule.next));
	for (unsigned i = 0; i < ARRAY_SIZE(effects); i++)
		if (rule.fx & (1u << i))
			fprintf(out, " +%s", effects[i]);
	fputc('\n', out);
}

static char *print_matrix(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	for (int s = 0; s < JOB_STATE_MAX; s++) {
		if (s > 0)
			fputc('\n', out);
		for (int e = 0; e < JOB_EVENT_MAX; e++)
			print_cell(out, (enum job_state)s, (enum job_event)e);
	}
	fclose(out);
	return text;
}

/* A change of the table is made here too, on purpose: the difference is what a reviewer sees. */
static void matrix_is_the_one_checked_in(void **state)
{
	cleanup_free char *expected = calloc(1, 65536), *printed = print_matrix();
	FILE *in = fopen(SOURCE_DIR "/state-matrix.txt", "r");

	assert_non_null(in);
	assert_true(fread(expected, 1, 65535, in) > 0);
	fclose(in);
	if (strcmp(expected, printed) != 0) {
		fputs(printed, stdout);
		fail_msg("state-matrix.txt is not what is printed above");
	}
}

static void every_command_has_an_answer_in_every_state(void **state)
{
	static const enum job_event commands[] = { EV_SUSPEND, EV_RESUME, EV_RESUME_EMPTY,
		EV_COMPLETE, EV_CANCEL, EV_ADD, EV_CHANGE, EV_RESTART };
	struct rule rule;

	for (int s = 0; s < JOB_STATE_MAX; s++)
		for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
			assert_int_not_equal(job_rule((enum job_state)s, commands[i], &rule),
				-EINVAL);
}

static void words(void **state)
{
	enum job_state s;

	for (int i = 0; i < JOB_STATE_MAX; i++) {
		assert_int_equal(job_state_from_word(job_state_word((enum job_state)i), &s), 0);
		assert_int_equal(s, i);
	}
	s = JOB_ERROR;
	assert_int_equal(job_state_from_word("nonsense", &s), -EINVAL);
	assert_int_equal(s, JOB_ERROR);
}

/* `wait` answers in the states that rest; none of them may be one that goes on by itself. */
static void a_state_rests_or_goes_on(void **state)
{
	for (int i = 0; i < JOB_STATE_MAX; i++) {
		enum job_state s = (enum job_state)i;
		bool busy = s == JOB_COMPLETING || s == JOB_CANCELLING;

		assert_int_equal(job_state_rests(s) + job_state_active(s) + busy, 1);
		assert_true(!job_state_final(s) || job_state_rests(s));
	}
	assert_true(job_state_final(JOB_ACKNOWLEDGED) && job_state_final(JOB_CANCELLED));
	assert_false(job_state_final(JOB_TRANSFERRED));
}

/* --- the header ------------------------------------------------------------------------------- */

static void refused_event_changes_nothing(void **state)
{
	for (int s = 0; s < JOB_STATE_MAX; s++) {
		struct job *j, before;

		if (s == JOB_CANCELLING)
			continue;
		j = new_job();
		lead_to(j, (enum job_state)s);
		for (int e = 0; e < JOB_EVENT_MAX; e++) {
			struct rule rule;
			unsigned fx = 99;
			int r = job_rule((enum job_state)s, (enum job_event)e, &rule);

			if (r == 0)
				continue;
			memcpy(&before, j, sizeof(before));
			assert_int_equal(job_apply(j, (enum job_event)e, 999, &fx), r);
			assert_memory_equal(&before, j, sizeof(before));
			assert_int_equal(fx, 99);
		}
		free_job(j);
	}
}

static void trouble_lasts_until_a_byte_comes(void **state)
{
	struct job *j = new_job();
	unsigned fx;

	lead_to(j, JOB_CONNECTING);
	assert_int_equal(job_apply(j, EV_SOFT_ERROR, 300, &fx), 0);
	assert_int_equal(job_apply(j, EV_RETRY, 301, &fx), 0);
	assert_int_equal(job_apply(j, EV_START, 302, &fx), 0);
	assert_int_equal(job_apply(j, EV_SOFT_ERROR, 303, &fx), 0);
	assert_int_equal(j->trouble_since, 300); /* the first of the row */
	assert_int_equal(j->error_count, 2);
	assert_int_equal(job_apply(j, EV_RETRY, 304, &fx), 0);
	assert_int_equal(job_apply(j, EV_START, 305, &fx), 0);
	assert_int_equal(job_apply(j, EV_BYTES, 306, &fx), 0);
	assert_int_equal(j->trouble_since, 0);
	assert_int_equal(j->last_alive, 306);
	assert_int_equal(job_apply(j, EV_HARD_ERROR, 307, &fx), 0);
	assert_int_equal(j->error_count, 3); /* never reset */
	free_job(j);
}

static void resume_starts_the_clocks_again(void **state)
{
	struct job *j = new_job();
	unsigned fx;

	lead_to(j, JOB_TRANSIENT_ERROR);
	j->active_seconds = 77;
	j->retry_at = 500;
	j->fault = fault_new(OUTCOME_DNS, 0, 0, "no such host", 200);
	assert_int_equal(job_apply(j, EV_RESUME, 300, &fx), 0);
	assert_true(fx & FX_CLOCKS);
	assert_int_equal(j->active_seconds, 0);
	assert_int_equal(j->trouble_since, 0);
	assert_int_equal(j->retry_at, 0);
	assert_null(j->fault); /* `error` is empty when there is none */
	free_job(j);
}

static void a_transferred_job_with_a_new_file_is_not_transferred(void **state)
{
	struct job *j = new_job();
	unsigned fx;

	lead_to(j, JOB_TRANSFERRED);
	assert_int_equal(j->transferred_at, 200);
	assert_int_equal(job_apply(j, EV_ADD, 300, &fx), 0);
	assert_int_equal(j->state, JOB_SUSPENDED);
	assert_int_equal(j->transferred_at, 0);
	assert_int_equal(j->modified, 300);
	free_job(j);
}

static void complete_remembers_where_to_go_back(void **state)
{
	struct job *j = new_job();
	unsigned fx;

	lead_to(j, JOB_TRANSFERRED);
	assert_int_equal(job_apply(j, EV_COMPLETE, 300, &fx), 0);
	assert_true(j->was_transferred);
	j->completer = alice();
	assert_int_equal(job_apply(j, EV_UNPLACED, 301, &fx), 0);
	assert_int_equal(j->state, JOB_TRANSFERRED);
	assert_null(j->completer); /* his rights are not kept */
	free_job(j);

	j = new_job();
	lead_to(j, JOB_TRANSFERRING);
	assert_int_equal(job_apply(j, EV_COMPLETE, 300, &fx), 0);
	assert_false(j->was_transferred);
	free_job(j);
}

static void an_upload_completes_only_when_transferred(void **state)
{
	struct job *j = new_job();
	unsigned fx;

	j->props.type = TYPE_UPLOAD;
	assert_int_equal(job_apply(j, EV_COMPLETE, 300, &fx), -EBUSY);
	assert_int_equal(j->state, JOB_SUSPENDED);
	lead_to(j, JOB_TRANSFERRED);
	assert_int_equal(job_apply(j, EV_COMPLETE, 300, &fx), 0);
	free_job(j);
}

static void any_course_of_events_is_sane(void **state)
{
	uint64_t random = 42;

	for (int i = 0; i < 200; i++) {
		struct job *j = new_job();
		unsigned fx;

		for (int step = 0; step < 100 && !job_state_final(j->state); step++) {
			enum job_event e = (enum job_event)(test_random(&random) % JOB_EVENT_MAX);
			enum job_state before = j->state;
			int r = job_apply(j, e, 1000 + step, &fx);

			if (r < 0)
				assert_int_equal(j->state, before);
			else if (j->state != before && job_state_rests(j->state))
				assert_true(fx & FX_SAVE); /* what `wait` answers is durable */
			job_assert_sane(j);
		}
		free_job(j);
	}
}

static void a_clone_shares_only_the_files(void **state)
{
	struct job *j = new_job(), *draft = NULL;

	j->props.description = strdup("one");
	j->fault = fault_new(OUTCOME_PLACE, 404, EACCES, "text", 9);
	j->completer = alice();
	assert_int_equal(job_clone(j, &draft), 0);
	assert_ptr_equal(draft->files, j->files);
	assert_string_equal(draft->name, "iso");
	assert_string_equal(draft->props.description, "one");
	assert_int_equal(draft->fault->err, EACCES);
	assert_int_equal(draft->fault->http_status, 404);
	assert_int_equal(draft->completer->uid, 1000);
	assert_int_equal(draft->serial, 7);
	draft->name[0] = 'X';
	draft->props.description[0] = 'X';
	draft->fault->text[0] = 'X';
	draft->owner->uid = 0;
	job_free(draft);
	assert_string_equal(j->name, "iso");
	assert_string_equal(j->props.description, "one");
	assert_string_equal(j->fault->text, "text");
	assert_int_equal(j->owner->uid, 1000);
	free_job(j);
}

static void access_is_by_mode(void **state)
{
	cleanup(creds_free) struct creds *owner = alice();
	cleanup(creds_free) struct creds *member = creds_new(2000, 2000, 022, 1,
		(const gid_t[]){ 1000 });
	cleanup(creds_free) struct creds *other = creds_new(3000, 3000, 022, 0, NULL);
	cleanup(creds_free) struct creds *root = creds_new(0, 0, 022, 0, NULL);
	struct job *j = new_job();

	assert_int_equal(j->mode, 0700);
	assert_int_equal(job_access(j, owner, 4000), 7);
	assert_int_equal(job_access(j, member, 4000), 0);
	assert_int_equal(job_access(j, other, 4000), 0);
	assert_int_equal(job_access(j, root, 4000), 7);
	assert_int_equal(job_access(j, other, 3000), 7); /* the user who runs the daemon */
	j->mode = 0751;
	assert_int_equal(job_access(j, member, 4000), 5);
	assert_int_equal(job_access(j, other, 4000), 1);
	j->mode = 0077;
	assert_int_equal(job_access(j, owner, 4000), 0); /* the first class that fits decides */
	free_job(j);
}

static void a_job_acts_for_its_owner_with_any_secret_of_his(void **state)
{
	static const char *const props[][2] = {
		{ "on_transferred", "complete" }, { "headers", "Cookie: x" }, { "credentials", "u:p" },
		{ "client_certificate", "/c.pem" }, { "proxy", "http://u:p@h:1" }, { "proxy", "u:p@h:1" },
	};
	static const char *const lines[] = { "https://u:p@h/x", "sftp://u@h/x", "https://h/x mirror=ftp://u:p@m/x" };
	const struct addline_rules rules = { .schemes = "https ftp sftp", .size_max = UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
		const struct prop_rule *p = prop_find(props[i][0]);
		struct job *j = new_job();
		const char *reason;

		assert_false(job_acts_for_owner(j));
		assert_int_equal(p->set(p, &j->props, props[i][1], &reason), 0);
		assert_true(job_acts_for_owner(j));
		free_job(j);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct additions a = { 0 };
		struct job *j = new_job();
		char *reason;
		uint32_t id;

		assert_int_equal(addline_parse(lines[i], strlen(lines[i]), &rules, &a, &reason), 0);
		assert_int_equal(files_add(j->files, j, "x", &a.v[0].source, &id), 0);
		assert_true(job_acts_for_owner(j));
		assert_int_equal(files_remove(j->files, j, id), 0);
		assert_false(job_acts_for_owner(j));
		additions_release(&a);
		free_job(j);
	}
}

static void taking_a_job_does_not_take_its_secrets(void **state)
{
	cleanup(creds_free) struct creds *thief = creds_new(2000, 2001, 022, 0, NULL);
	struct source source = { .url = strdup("https://alice:secret@h/x") };
	struct job *j = new_job();
	uint32_t id;

	j->props.headers = strdup("Cookie: x");
	j->props.credentials = strdup("u:p");
	j->props.client_certificate = strdup("/c.pem");
	j->props.notify = strdup("mail alice");
	j->props.proxy = strdup("alice:secret@h:1");
	j->props.description = strdup("kept");
	j->props.on_transferred = ON_TRANSFERRED_COMPLETE;
	assert_int_equal(files_add(j->files, j, "x", &source, &id), 0);
	assert_int_equal(job_take_ownership(j, thief), 0);
	assert_false(job_acts_for_owner(j));
	files_publish(j->files);
	assert_string_equal(file_source(j->files, id)->url, "https://h/x");
	assert_int_equal(j->uid, 2000);
	assert_int_equal(j->gid, 2001);
	assert_int_equal(j->owner->uid, 2000);
	assert_null(j->props.headers);
	assert_null(j->props.credentials);
	assert_null(j->props.client_certificate);
	assert_null(j->props.notify);
	assert_string_equal(j->props.proxy, "h:1");
	assert_int_equal(j->props.on_transferred, ON_TRANSFERRED_HOLD);
	assert_string_equal(j->props.description, "kept");
	free_job(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matrix_is_the_one_checked_in),
		cmocka_unit_test(every_command_has_an_answer_in_every_state),
		cmocka_unit_test(words),
		cmocka_unit_test(a_state_rests_or_goes_on),
		cmocka_unit_test(refused_event_changes_nothing),
		cmocka_unit_test(trouble_lasts_until_a_byte_comes),
		cmocka_unit_test(resume_starts_the_clocks_again),
		cmocka_unit_test(a_transferred_job_with_a_new_file_is_not_transferred),
		cmocka_unit_test(complete_remembers_where_to_go_back),
		cmocka_unit_test(an_upload_completes_only_when_transferred),
		cmocka_unit_test(any_course_of_events_is_sane),
		cmocka_unit_test(a_clone_shares_only_the_files),
		cmocka_unit_test(access_is_by_mode),
		cmocka_unit_test(a_job_acts_for_its_owner_with_any_secret_of_his),
		cmocka_unit_test(taking_a_job_does_not_take_its_secrets),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
