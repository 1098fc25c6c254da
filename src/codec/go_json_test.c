/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/go_json.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)

static void values_are_written_as_go_writes_them(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		const char *want;
	} cases[] = {
		{ "empty object", V(" { } "), "{}" },
		{ "null", V("null"), "null" },
		{ "sorted bytewise", V("{\"b\":1,\"a\":2,\"B\":3,\"\u00e9\":4,\"aa\":5,\"\":6}"),
		  "{\"\":6,\"B\":3,\"a\":2,\"aa\":5,\"b\":1,\"\xc3\xa9\":4}" },
		{ "sorted at every depth", V("[{\"z\":{\"d\":null,\"c\":[]},\"y\":true}]"),
		  "[{\"y\":true,\"z\":{\"c\":[],\"d\":null}}]" },
		{ "HTML is escaped, in names too", V("{\"<\":\"a>b&c\"}"), "{\"\\u003c\":\"a\\u003eb\\u0026c\"}" },
		{ "line separators", V("\"\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\""),
		  "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"" },
		{ "controls", V("\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\/\\\"\\\\\""),
		  "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f/\\\"\\\\\"" },
		{ "escaped letters become letters", V("\"\\u00e9\\ud83d\\ude00\\u2028\""),
		  "\"\xc3\xa9\xf0\x9f\x98\x80\\u2028\"" },
		/* The right column is what strconv and David Gay's mode 0 give: shortest, then nearest. */
		{ "whole", V("[0,1,-1,10,100,1.0,1e2,12345]"), "[0,1,-1,10,100,1,100,12345]" },
		{ "negative zero", V("[-0,-0.0,0.0]"), "[-0,-0,0]" },
		{ "fractions", V("[0.1,0.3,-2.50,3.14159,100.125]"), "[0.1,0.3,-2.5,3.14159,100.125]" },
		{ "beyond 2^53", V("[9007199254740993,9223372036854775807,18446744073709551616]"),
		  "[9007199254740992,9223372036854776000,18446744073709552000]" },
		{ "where the exponent begins", V("[1e20,999999999999999999999,1e21,123e19,1e-6,0.000001,1e-7,1.5e-7]"),
		  "[100000000000000000000,1e+21,1e+21,1.23e+21,0.000001,0.000001,1e-7,1.5e-7]" },
		{ "ends of the range", V("[5e-324,1.7976931348623157e308,2.2250738585072014e-308,1e-400]"),
		  "[5e-324,1.7976931348623157e+308,2.2250738585072014e-308,0]" },
		{ "power of two, wide side", V("[5.684341886080802e-14]"), "[5.684341886080802e-14]" },
		{ "carry", V("[0.99999999999999999,9.9999999999999995e22]"), "[1,1e+23]" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { 0 };

		if (tr_json_parse_reals(cases[i].in, &j, &err) || tr_go_json_add(tr_json_root(j), &b, &err))
			fail_msg("%s: %s", cases[i].label, err.detail);
		if (strcmp(tr_buf_cstr(&b), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].label, tr_buf_cstr(&b));
	}
}

static void what_it_cannot_write_is_said(void **state)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };

	(void)state;
	assert_int_equal(tr_json_parse(V("{\"a\":1}"), &j, &err), TR_OK);
	/* Read with whole numbers: 2^53 + 1 would come out with digits that Go has lost. */
	assert_int_equal(tr_go_json_add(tr_json_root(j), &b, &err), TR_E_INTERNAL);
	tr_buf_clear(&b);
	assert_int_equal(tr_go_json_add(NULL, &b, &err), TR_OK);
	assert_string_equal(tr_buf_cstr(&b), "null");
	{
		tr_auto(tr_json_free) struct tr_json *huge = NULL;

		assert_int_equal(tr_json_parse_reals(V("1e400"), &huge, &err), TR_E_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_written_as_go_writes_them),
		cmocka_unit_test(what_it_cannot_write_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
