/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static char dir[64];
static struct tr_err err;

static const char *path(const char *name)
{
	static char p[128];

	(void)snprintf(p, sizeof(p), "%s/%s", dir, name);
	return p;
}

static mode_t mode_of(const char *p)
{
	struct stat st;

	assert_int_equal(lstat(p, &st), 0);
	return st.st_mode & 07777;
}

static void holds(const char *name, const char *want)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (tr_file_read(path(name), 1 << 20, &b, &err))
		fail_msg("%s", err.detail);
	assert_true(tr_view_is(tr_buf_view(&b), want));
}

static void created_once_and_never_overwritten(void **state)
{
	(void)state;
	assert_false(tr_file_exists(path("new")));
	assert_int_equal(tr_file_create(path("new"), TR_VIEW_LIT("first"), 0600, &err), TR_OK);
	assert_true(tr_file_exists(path("new")));
	assert_int_equal(tr_file_create(path("new"), TR_VIEW_LIT("second"), 0600, &err), TR_E_CONFLICT);
	assert_non_null(strstr(err.detail, path("new")));
	holds("new", "first");
}

/* Another process of ours, or an attacker with a link, must not decide where a secret goes. */
static void a_link_in_the_way_is_not_followed(void **state)
{
	char link[128];

	(void)state;
	(void)snprintf(link, sizeof(link), "%s", path("link"));
	assert_int_equal(symlink(path("target"), link), 0);
	assert_int_equal(tr_file_create(link, TR_VIEW_LIT("secret"), 0600, &err), TR_E_CONFLICT);
	assert_false(tr_file_exists(path("target")));
	/* Replacing puts a file where the link was. */
	assert_int_equal(tr_file_write(link, TR_VIEW_LIT("file"), 0600, &err), TR_OK);
	assert_false(tr_file_exists(path("target")));
	holds("link", "file");
}

static void the_mode_is_the_promised_one(void **state)
{
	mode_t before = umask(0777);

	(void)state;
	assert_int_equal(tr_file_create(path("mode"), TR_VIEW_LIT("x"), 0644, &err), TR_OK);
	assert_int_equal(mode_of(path("mode")), 0644);
	assert_int_equal(tr_file_write(path("mode"), TR_VIEW_LIT("y"), 0600, &err), TR_OK);
	assert_int_equal(mode_of(path("mode")), 0600);
	(void)umask(before);
}

static void writing_replaces_all_and_leaves_nothing_beside(void **state)
{
	char tmp[128];

	(void)state;
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp.%ld", path("whole"), (long)getpid());
	assert_int_equal(tr_file_write(path("whole"), TR_VIEW_LIT("a long first content"), 0600, &err), TR_OK);
	/* What an interrupted run left behind is no obstacle. */
	assert_int_equal(tr_file_create(tmp, TR_VIEW_LIT("debris"), 0600, &err), TR_OK);
	assert_int_equal(tr_file_write(path("whole"), TR_VIEW_LIT("short"), 0600, &err), TR_OK);
	holds("whole", "short");
	assert_false(tr_file_exists(tmp));
}

static void a_size_over_the_limit_is_refused(void **state)
{
	static const struct {
		size_t max;
		enum tr_code want;
	} cases[] = { { 0, TR_E_INVALID }, { 9999, TR_E_INVALID }, { 10000, TR_OK }, { 10001, TR_OK } };
	static const uint8_t zeros[10000];

	(void)state;
	assert_int_equal(tr_file_create(path("size"), TR_VIEW_ARRAY(zeros), 0600, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_buf_adds(&b, "kept"); /* reading appends, and the limit is the file's */
		assert_int_equal(tr_file_read(path("size"), cases[i].max, &b, &err), cases[i].want);
		if (!cases[i].want)
			assert_int_equal(b.n, 10004);
		assert_memory_equal(b.p, "kept", 4);
	}
}

static void a_missing_file_is_said_with_its_path(void **state)
{
	static const char *const names[] = { "missing", "missing/below" };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		assert_int_equal(tr_file_read(path(names[i]), 10, &b, &err), TR_E_NOTFOUND);
		assert_non_null(strstr(err.detail, path(names[i])));
	}
	assert_int_equal(tr_file_create(path("missing/below"), TR_VIEW_LIT("x"), 0600, &err), TR_E_INTERNAL);
}

static void a_secret_that_others_can_read_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		enum tr_code want;
	} cases[] = { { 0600, TR_OK },	      { 0400, TR_OK },	      { 0700, TR_OK },	      { 0640, TR_E_DENIED },
		      { 0604, TR_E_DENIED }, { 0620, TR_E_DENIED }, { 0601, TR_E_DENIED } };

	(void)state;
	assert_int_equal(tr_file_create(path("secret"), TR_VIEW_LIT("x"), 0600, &err), TR_OK);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		assert_int_equal(chmod(path("secret"), cases[i].mode), 0);
		assert_int_equal(tr_file_read_secret(path("secret"), 10, &b, &err), cases[i].want);
		assert_int_equal(b.n, cases[i].want ? 0 : 1);
	}
}

static void a_folder_no_more_open_than_asked_is_accepted(void **state)
{
	(void)state;
	assert_int_equal(tr_dir_make(path("d"), 0700, &err), TR_OK);
	assert_int_equal(mode_of(path("d")), 0700);
	assert_int_equal(tr_dir_make(path("d"), 0700, &err), TR_OK);
	assert_int_equal(tr_dir_make(path("d"), 0750, &err), TR_OK);
	assert_int_equal(chmod(path("d"), 0755), 0);
	assert_int_equal(tr_dir_make(path("d"), 0700, &err), TR_E_DENIED);
	assert_int_equal(tr_file_create(path("f"), TR_VIEW_LIT(""), 0600, &err), TR_OK);
	assert_int_equal(tr_dir_make(path("f"), 0700, &err), TR_E_CONFLICT);
	/* A link to a folder is not the folder. */
	{
		char link[128];

		(void)snprintf(link, sizeof(link), "%s", path("dlink"));
		assert_int_equal(symlink(path("d"), link), 0);
		assert_int_equal(tr_dir_make(link, 0700, &err), TR_E_CONFLICT);
	}
}

static int make_dir(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/troth-file-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
	static const char *const files[] = { "new", "link", "mode", "whole", "size", "secret", "f", "dlink" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(files); i++)
		(void)unlink(path(files[i]));
	(void)rmdir(path("d"));
	return rmdir(dir); /* fails, and with it the run, when a test left something unnamed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(created_once_and_never_overwritten),
		cmocka_unit_test(a_link_in_the_way_is_not_followed),
		cmocka_unit_test(the_mode_is_the_promised_one),
		cmocka_unit_test(writing_replaces_all_and_leaves_nothing_beside),
		cmocka_unit_test(a_size_over_the_limit_is_refused),
		cmocka_unit_test(a_missing_file_is_said_with_its_path),
		cmocka_unit_test(a_secret_that_others_can_read_is_refused),
		cmocka_unit_test(a_folder_no_more_open_than_asked_is_accepted),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
