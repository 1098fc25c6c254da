/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_raised_error_says_what_and_where(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_err_set(&err, TR_E_DENIED, "public", "agent %d", 7), TR_E_DENIED);
	assert_int_equal(err.code, TR_E_DENIED);
	assert_string_equal(err.pub, "public");
	assert_string_equal(err.detail, "agent 7");
	assert_non_null(strstr(err.file, "err_test.c"));
	assert_true(err.line > 0);
}

static void wrapping_puts_the_outer_context_first(void **state)
{
	struct tr_err err = { 0 };
	int line;

	(void)state;
	(void)tr_err_set(&err, TR_E_BUSY, "public", "database is locked");
	line = err.line;
	assert_int_equal(tr_err_wrap(&err, "load device"), TR_E_BUSY);
	assert_int_equal(tr_err_wrap(&err, "enroll %s", "7f3a"), TR_E_BUSY);
	assert_string_equal(err.detail, "enroll 7f3a: load device: database is locked");
	assert_string_equal(err.pub, "public");
	assert_int_equal(err.line, line); /* where it was raised first */
}

static void truncation_eats_the_innermost_end(void **state)
{
	struct tr_err err = { 0 };
	char longer[2 * sizeof(err.detail)];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)tr_err_set(&err, TR_E_INVALID, "public", "%s", longer);
	assert_int_equal(strlen(err.detail), sizeof(err.detail) - 1);
	(void)tr_err_wrap(&err, "outer");
	assert_memory_equal(err.detail, "outer: xxx", 10);
	assert_int_equal(strlen(err.detail), sizeof(err.detail) - 1);
	(void)tr_err_wrap(&err, "%s", longer);
	assert_memory_equal(err.detail, longer, sizeof(err.detail) - 1);
	assert_int_equal(err.detail[sizeof(err.detail) - 1], '\0');
}

static void errno_becomes_what_the_caller_can_do(void **state)
{
	static const struct {
		int from;
		enum tr_code want;
	} cases[] = {
		{ ENOSPC, TR_E_UNAVAIL }, { EROFS, TR_E_UNAVAIL }, { EDQUOT, TR_E_UNAVAIL }, { EMFILE, TR_E_BUSY },
		{ ENFILE, TR_E_BUSY },	  { ENOMEM, TR_E_BUSY },   { EAGAIN, TR_E_BUSY },    { EIO, TR_E_INTERNAL },
		{ EPERM, TR_E_INTERNAL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_err err = { 0 };

		errno = cases[i].from;
		assert_int_equal(tr_err_errno(&err, "write %s", "f"), cases[i].want);
		assert_memory_equal(err.detail, "write f: ", 9);
		assert_string_equal(err.detail + 9, strerror(cases[i].from));
		assert_true(strlen(err.pub) > 20);
	}
}

static void every_code_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < TR_CODE_N; i++) {
		assert_true(strlen(tr_code_name((enum tr_code)i)) > 1);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(tr_code_name((enum tr_code)i), tr_code_name((enum tr_code)j));
	}
	assert_string_equal(tr_code_name(TR_CODE_N), "unknown");
	assert_string_equal(tr_code_name((enum tr_code)-1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_raised_error_says_what_and_where),
		cmocka_unit_test(wrapping_puts_the_outer_context_first),
		cmocka_unit_test(truncation_eats_the_innermost_end),
		cmocka_unit_test(errno_becomes_what_the_caller_can_do),
		cmocka_unit_test(every_code_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
