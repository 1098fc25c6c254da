/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void what_was_added_is_there_in_order(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;
	static const char want[] = { 'o', 'n', 'e', '-', 't', 'w', 'o', 0, 'x', '1', '2', '3', '4', '5', ':', 'a', 'b' };

	(void)state;
	tr_buf_adds(&b, "one");
	tr_buf_add8(&b, '-');
	tr_buf_add(&b, "two!", 3);
	tr_buf_addv(&b, tr_view(NULL, 0));
	tr_buf_add8(&b, 0);
	tr_buf_addv(&b, TR_VIEW_LIT("x"));
	tr_buf_addf(&b, "%d:%s", 12345, "");
	memcpy(tr_buf_space(&b, 2), "ab", 2);
	assert_int_equal(b.n, sizeof(want));
	assert_memory_equal(b.p, want, sizeof(want));
	assert_int_equal(tr_buf_check(&b, &err), TR_OK);
}

static void the_text_is_terminated_and_the_nul_not_counted(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	assert_string_equal(tr_buf_cstr(&b), "");
	assert_int_equal(b.n, 0);
	/* At every length, also where the capacity is just used up. */
	for (size_t n = 1; n <= 300; n++) {
		tr_buf_add8(&b, 'x');
		assert_int_equal(strlen(tr_buf_cstr(&b)), n);
		assert_int_equal(b.n, n);
	}
}

static void the_first_failure_sticks(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 8 };
	struct tr_err err;

	(void)state;
	tr_buf_adds(&b, "12345678");
	assert_true(tr_buf_ok(&b));
	tr_buf_add8(&b, '9');
	assert_false(tr_buf_ok(&b));
	assert_int_equal(tr_buf_view(&b).n, 0);
	assert_string_equal(tr_buf_cstr(&b), "");
	assert_null(tr_buf_space(&b, 0));
	assert_int_equal(tr_buf_check(&b, &err), TR_E_INTERNAL);
	tr_buf_clear(&b);
	tr_buf_adds(&b, "again");
	assert_true(tr_view_is(tr_buf_view(&b), "again"));
	assert_int_equal(b.max, 8);
}

static void sizes_do_not_wrap(void **state)
{
	static const size_t sizes[] = { 9, TR_BUF_MAX_DEFAULT, SIZE_MAX - 1, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(sizes); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = { .max = 8 };

		tr_buf_add8(&b, 'x');
		assert_null(tr_buf_space(&b, sizes[i]));
		assert_false(tr_buf_ok(&b));
	}
}

static void formatted_text_counts_against_the_limit(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 8 };

	(void)state;
	tr_buf_addf(&b, "%s", "12345678");
	assert_true(tr_buf_ok(&b));
	tr_buf_addf(&b, "%d", 1);
	assert_false(tr_buf_ok(&b));
}

static void an_emptied_buffer_may_be_used_again(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 4 };

	(void)state;
	tr_buf_adds(&b, "12345");
	tr_buf_done(&b);
	tr_buf_done(&b);
	tr_buf_adds(&b, "1234");
	assert_true(tr_view_is(tr_buf_view(&b), "1234"));
	assert_int_equal(b.max, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_there_in_order),
		cmocka_unit_test(the_text_is_terminated_and_the_nul_not_counted),
		cmocka_unit_test(the_first_failure_sticks),
		cmocka_unit_test(sizes_do_not_wrap),
		cmocka_unit_test(formatted_text_counts_against_the_limit),
		cmocka_unit_test(an_emptied_buffer_may_be_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
