/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"

static char dir[64], path[128];

static int make_dir(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/tr-profile-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/a/b/profile.json", dir);
	return 0;
}

static int remove_dir(void **state)
{
	char p[160];

	(void)state;
	(void)unlink(path);
	for (const char *const *s = (const char *const[]){ "/a/b", "/a", "", NULL }; *s; s++) {
		(void)snprintf(p, sizeof(p), "%s%s", dir, *s);
		(void)rmdir(p);
	}
	return 0;
}

static const uint8_t root[32] = { 1, 2, 3 };

static void write_one(void)
{
	const struct tr_profile p = { .url = TR_VIEW_LIT("https://h:1"), .token = TR_VIEW_LIT("tro_x"),
				      .root = TR_VIEW_ARRAY(root), .ca = TR_VIEW_LIT("PEM\n") };
	struct tr_err err = { 0 };

	if (tr_profile_save(path, &p, &err))
		fail_msg("%s", err.detail);
}

static void what_is_saved_is_loaded_and_private(void **state)
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	struct tr_err err = { 0 };
	struct stat st;

	(void)state;
	write_one();
	write_one(); /* a second login replaces the first */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (tr_profile_load(path, &p, &err))
		fail_msg("%s", err.detail);
	assert_true(tr_view_is(p.url, "https://h:1"));
	assert_true(tr_view_is(p.token, "tro_x"));
	assert_true(tr_view_eq(p.root, TR_VIEW_ARRAY(root)));
	assert_true(tr_view_is(p.ca, "PEM\n"));
}

static void a_profile_that_others_can_read_is_refused(void **state)
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	struct tr_err err = { 0 };

	(void)state;
	write_one();
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(tr_profile_load(path, &p, &err), TR_E_DENIED);
}

static void damage_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "{}", "{\"url\":\"https://h\",\"token\":\"t\",\"root\":\"\",\"ca\":\"x\"}",
		"{\"url\":\"https://h\",\"token\":\"t\",\"root\":\"0102\",\"ca\":\"x\"}",
		"{\"url\":\"\",\"token\":\"t\",\"root\":\"0102\",\"ca\":\"x\"}",
	};

	(void)state;
	write_one();
	for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
		tr_auto(tr_profile_done) struct tr_profile p = { 0 };
		struct tr_err err = { 0 };

		assert_int_equal(tr_file_write(path, tr_view_str(texts[i]), 0600, &err), TR_OK);
		if (tr_profile_load(path, &p, &err) != TR_E_INVALID)
			fail_msg("accepted: %s", texts[i]);
	}
}

static void the_path_has_an_order(void **state)
{
	static const struct {
		const char *option, *env, *config, *home, *want; /* want NULL: an error */
	} cases[] = {
		{ "/o", "/e", "/c", "/h", "/o" },
		{ NULL, "/e", "/c", "/h", "/e" },
		{ NULL, "", "/c", "/h", "/c/troth/profile.json" },
		{ NULL, NULL, "relative", "/h", "/h/.config/troth/profile.json" },
		{ NULL, NULL, NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { 0 };
		const char *const names[] = { "TROTH_PROFILE", "XDG_CONFIG_HOME", "HOME" };
		const char *const values[] = { cases[i].env, cases[i].config, cases[i].home };

		for (size_t k = 0; k < 3; k++) {
			if (values[k])
				(void)setenv(names[k], values[k], 1);
			else
				(void)unsetenv(names[k]);
		}
		assert_int_equal(tr_profile_path(cases[i].option, &b, &err), cases[i].want ? TR_OK : TR_E_INVALID);
		if (cases[i].want)
			assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_saved_is_loaded_and_private, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_profile_that_others_can_read_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(damage_is_refused, make_dir, remove_dir),
		cmocka_unit_test(the_path_has_an_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
