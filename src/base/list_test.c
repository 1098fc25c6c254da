/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/list.h"

static const struct {
	const char *list;
	size_t n;
	const char *parts[4];
} rows[] = {
	{ "", 0, { NULL } },
	{ "a", 1, { "a" } },
	{ "a,bc,d", 3, { "a", "bc", "d" } },
	{ ",", 1, { "" } },
	{ "a,", 1, { "a" } },
	{ ",a", 2, { "", "a" } },
	{ "a,,b", 3, { "a", "", "b" } },
	{ " a , b", 2, { " a ", " b" } },
};

static void parts_come_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tr_view list = tr_view_str(rows[i].list), part = { 0 };

		for (size_t k = 0; k < rows[i].n; k++) {
			assert_true(tr_list_next(&list, &part));
			if (!tr_view_is(part, rows[i].parts[k]))
				fail_msg("\"%s\": part %zu is \"%.*s\"", rows[i].list, k, TR_VIEW_FMT(part));
		}
		assert_false(tr_list_next(&list, &part));
		assert_int_equal(list.n, 0);
	}
	assert_int_equal(tr_list_has(tr_view(NULL, 0), tr_view(NULL, 0)), false);
}

static void only_whole_parts_are_found(void **state)
{
	const struct tr_view list = TR_VIEW_LIT("search,index");

	(void)state;
	assert_true(tr_list_has(list, TR_VIEW_LIT("search")) && tr_list_has(list, TR_VIEW_LIT("index")));
	assert_false(tr_list_has(list, TR_VIEW_LIT("sea")) || tr_list_has(list, TR_VIEW_LIT("ndex")));
	assert_false(tr_list_has(list, TR_VIEW_LIT("search,index")) || tr_list_has(list, TR_VIEW_LIT("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_come_in_order),
		cmocka_unit_test(only_whole_parts_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
