/* SPDX-License-Identifier: Apache-2.0 */
#include "http/problem.h"

#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
	enum tr_code code;
	int status;
	const char *slug;
	bool retry;
} rows[] = {
	{ TR_E_INVALID, 400, "invalid", false },   { TR_E_UNAUTH, 401, "unauthenticated", false },
	{ TR_E_DENIED, 403, "denied", false },     { TR_E_NOTFOUND, 404, "not_found", false },
	{ TR_E_CONFLICT, 409, "conflict", false }, { TR_E_BUSY, 429, "busy", true },
	{ TR_E_UNAVAIL, 503, "unavailable", true }, { TR_E_INTERNAL, 500, "internal", false },
	{ TR_CODE_N, 500, "internal", false },
};

static void every_code_has_its_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const struct tr_err err = { .code = rows[i].code, .pub = "do this" };
		struct tr_problem p = tr_problem_of(&err);

		assert_int_equal(p.status, rows[i].status);
		assert_string_equal(p.slug, rows[i].slug);
		assert_string_equal(p.detail, "do this");
		assert_int_equal(p.retry_after_s > 0, rows[i].retry);
		assert_string_not_equal(p.title, "Error");
	}
}

static void document_is_json(void **state)
{
	const struct tr_problem p = { .status = 409, .slug = "clock_desync", .title = "T\"", .detail = "a\nb\xff",
				      .extra = TR_VIEW_LIT("\"skew_seconds\":600") };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;
	struct tr_view v;
	int64_t n;

	(void)state;
	tr_problem_json(&p, "r1", &b);
	assert_int_equal(tr_json_parse(tr_buf_view(&b), &j, &err), TR_OK);
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "type"), &v) && tr_view_is(v, "about:blank"));
	assert_true(tr_json_int(tr_json_get(tr_json_root(j), "status"), &n) && n == 409);
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "title"), &v) && tr_view_is(v, "T\""));
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "code"), &v) && tr_view_is(v, "clock_desync"));
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "detail"), &v) && tr_view_is(v, "a\nb\xef\xbf\xbd"));
	assert_true(tr_json_str(tr_json_get(tr_json_root(j), "request_id"), &v) && tr_view_is(v, "r1"));
	assert_true(tr_json_int(tr_json_get(tr_json_root(j), "skew_seconds"), &n) && n == 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_status),
		cmocka_unit_test(document_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
