/* Who may do what with a job, and what its owner's secrets change in that. */
#include "harness.h"

#include "model/files.h"

#include <errno.h>
#include <string.h>

#define URL "http://localhost/"

static const char *refusal(struct rig *rig, uint64_t job)
{
	const char *text = queue_refused(rig->queue, job);

	return text ? text : "";
}

/* Who may command the job may not have its owner's login sent where he likes. */
static void test_login_in_url_is_the_owners(void **state)
{
	struct rig *rig = *state;
	const struct creds member = {.uid = 1001, .gid = 1000};
	struct command chmod = {.kind = CMD_MODE, .mode = 0770};
	struct command remove = {.kind = CMD_REMOVE};
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_command(rig, job, &chmod, user), 0);
	assert_int_equal(ask_add(rig, job, URL "1", &member), 0);
	assert_int_equal(ask_add(rig, job, "http://u:p@localhost/2", &member), -EPERM);
	assert_non_null(strstr(refusal(rig, job), "only the owner"));
	assert_int_equal(ask_add(rig, job, URL "2\n" URL "3 mirror=http://u:p@localhost/3", &member), -EPERM);
	assert_int_equal(job_of(rig, job)->tally.files, 1);
	assert_int_equal(ask_set(rig, job, "proxy", "u:p@localhost:1", &member), -EPERM);
	assert_int_equal(ask_set(rig, job, "proxy", "localhost:1", &member), 0);

	assert_int_equal(ask_add(rig, job, URL "3 mirror=http://u:p@localhost/3", user), 0);
	for (int restarted = 0; restarted < 2; restarted++) {
		assert_int_equal(ask_set(rig, job, "proxy", "localhost:2", &member), -EPERM);
		assert_string_equal(refusal(rig, job),
			"only the owner may change a job that has his secrets or completes by itself");
		assert_int_equal(ask_add(rig, job, URL "4", &member), -EPERM);
		rig_restart(rig);
	}
	assert_int_equal(ask_add(rig, job, "http://u:p@localhost/5", root), 0);
	assert_int_equal(job_of(rig, job)->tally.logins, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask_set(rig, job, "proxy", "localhost:2", &member), -EPERM);
		remove.node = files_find_path(job_of(rig, job)->files, i ? "5" : "3");
		assert_int_equal(ask_command(rig, job, &remove, user), 0);
	}
	assert_int_equal(ask_set(rig, job, "proxy", "localhost:2", &member), 0);
}

static const char *url_of(struct rig *rig, uint64_t job, const char *path)
{
	const struct files *files = job_of(rig, job)->files;

	return file_source(files, files_find_path(files, path))->url;
}

static void test_chown_drops_logins_in_urls(void **state)
{
	struct rig *rig = *state;
	struct command chown = {.kind = CMD_OWNER, .gid = (gid_t)-1};
	uint64_t job;

	assert_int_equal(ask_mkdir(rig, "a", user, &job), 0);
	assert_int_equal(ask_add(rig, job, "http://u:p@localhost/1\n" URL "2 size=5 mirror=http://u:p@localhost/m", user), 0);
	save_errno = -ENOSPC;
	chown.owner = creds_new(1001, 1001, 022, 0, NULL);
	assert_int_equal(ask_command(rig, job, &chown, root), -ENOSPC);
	save_errno = 0;
	assert_int_equal(job_of(rig, job)->uid, 1000);
	assert_string_equal(url_of(rig, job, "1"), "http://u:p@localhost/1");
	assert_int_equal(job_of(rig, job)->tally.logins, 2);

	chown.owner = creds_new(1001, 1001, 022, 0, NULL);
	assert_int_equal(ask_command(rig, job, &chown, root), 0);
	for (int restarted = 0; restarted < 2; restarted++) {
		const struct files *files = job_of(rig, job)->files;
		const struct source *second = file_source(files, files_find_path(files, "2"));

		assert_int_equal(job_of(rig, job)->tally.logins, 0);
		assert_string_equal(url_of(rig, job, "1"), "http://localhost/1");
		assert_string_equal(second->url, URL "2");
		assert_string_equal(second->extra->mirrors[0], "http://localhost/m");
		assert_int_equal(second->extra->size, 5);
		rig_restart(rig);
	}
	assert_int_equal(ask_verb(rig, job, EV_RESUME, root), 0);
	assert_string_equal(rig->fetches[0]->url, "http://localhost/1");
	assert_string_equal(rig->fetches[1]->mirrors[0], "http://localhost/m");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_login_in_url_is_the_owners),
		TEST(test_chown_drops_logins_in_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
