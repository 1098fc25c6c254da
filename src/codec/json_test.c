/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)
#define OPEN8 "[[[[[[[["
#define CLOSE8 "]]]]]]]]"

static void parsing_is_strict(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		const char *error; /* NULL when it is fine */
	} cases[] = {
		{ "object", V("{\"a\":[1,true,null,\"x\",-0.5e3]}"), NULL },
		{ "white space", V(" \t\r\n[ 1 ,\n2 ] \n"), NULL },
		{ "text as root", V("\"x\""), NULL },
		{ "number as root", V("42"), NULL },
		{ "null as root", V("null"), NULL },
		{ "escapes", V("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\""), NULL },
		{ "int64 max", V("9223372036854775807"), NULL },
		{ "int64 min", V("-9223372036854775808"), NULL },
		{ "16 levels", V(OPEN8 OPEN8 CLOSE8 CLOSE8), NULL },
		{ "16 levels side by side", V("[" OPEN8 CLOSE8 "," OPEN8 CLOSE8 "]"), NULL },
		{ "brackets in a string", V("\"" OPEN8 OPEN8 OPEN8 "\\\"" OPEN8 "\""), NULL },
		{ "same name in two objects", V("[{\"a\":1},{\"a\":1}]"), NULL },
		{ "empty name", V("{\"\":1}"), NULL },
		{ "DEL in a string", V("\"\x7f\""), NULL },

		{ "nothing", V(""), "not valid JSON" },
		{ "white space only", V(" \n"), "not valid JSON" },
		{ "int64 max + 1", V("9223372036854775808"), "range" },
		{ "int64 min - 1", V("-9223372036854775809"), "range" },
		{ "real overflow", V("1e400"), "range" },
		{ "17 levels", V(OPEN8 OPEN8 "[]" CLOSE8 CLOSE8), "deep" },
		{ "17 levels of objects", V("[" OPEN8 OPEN8 "{}"), "deep" },
		{ "17 levels after a string with a quote", V("[\"\\\"\"," OPEN8 OPEN8), "deep" },
		{ "name twice", V("{\"a\":1,\"a\":1}"), "twice" },
		{ "name twice, once escaped", V("{\"a\":1,\"\\u0061\":2}"), "twice" },
		{ "name twice, inside", V("[{\"b\":{\"a\":1,\"a\":1}}]"), "twice" },
		{ "trailing text", V("{} x"), "not valid JSON" },
		{ "two roots", V("1 2"), "not valid JSON" },
		{ "trailing comma", V("[1,]"), "not valid JSON" },
		{ "trailing comma in object", V("{\"a\":1,}"), "not valid JSON" },
		{ "missing comma", V("[1 2]"), "not valid JSON" },
		{ "open array", V("[1"), "not valid JSON" },
		{ "open string", V("\"a"), "not valid JSON" },
		{ "wrong bracket", V("[1}"), "not valid JSON" },
		{ "closing first", V("]["), "not valid JSON" },
		{ "single quotes", V("'a'"), "not valid JSON" },
		{ "bare name", V("{a:1}"), "not valid JSON" },
		{ "number as name", V("{1:1}"), "not valid JSON" },
		{ "comment", V("/**/1"), "not valid JSON" },
		{ "NaN", V("NaN"), "not valid JSON" },
		{ "Infinity", V("-Infinity"), "not valid JSON" },
		{ "leading plus", V("+1"), "not valid JSON" },
		{ "leading zero", V("012"), "not valid JSON" },
		{ "minus alone", V("-"), "not valid JSON" },
		{ "point first", V(".5"), "not valid JSON" },
		{ "point last", V("1."), "not valid JSON" },
		{ "open exponent", V("1e"), "not valid JSON" },
		{ "hex number", V("0x10"), "not valid JSON" },
		{ "upper-case literal", V("True"), "not valid JSON" },
		{ "raw line end in a string", V("\"a\nb\""), "not valid JSON" },
		{ "raw control in a string", V("\"\x01\""), "not valid JSON" },
		{ "bad escape", V("\"\\x41\""), "not valid JSON" },
		{ "short escape", V("\"\\u12\""), "not valid JSON" },
		{ "lone surrogate", V("\"\\ud800\""), "not valid JSON" },
		{ "lone low surrogate", V("\"\\udc00\""), "not valid JSON" },
		{ "surrogates the wrong way round", V("\"\\ude00\\ud83d\""), "not valid JSON" },
		{ "escaped NUL", V("\"a\\u0000b\""), "not valid JSON" },
		{ "escaped NUL in a name", V("{\"a\\u0000b\":1}"), "not valid JSON" },
		{ "NUL behind", V("1\0"), "UTF-8" },
		{ "NUL in a string", V("\"\0\""), "UTF-8" },
		{ "bad UTF-8", V("\"\xff\""), "UTF-8" },
		{ "UTF-8 surrogate", V("\"\xed\xa0\x80\""), "UTF-8" },
		{ "overlong UTF-8", V("\"\xc0\xaf\""), "UTF-8" },
		{ "UTF-16", V("\xff\xfe\x31\x00"), "UTF-8" },
		{ "byte order mark", V("\xef\xbb\xbf[]"), "not valid JSON" },
		{ "form feed as space", V("\f1"), "not valid JSON" },
		{ "no-break space",
		  V("\xc2\xa0"
		    "1"),
		  "not valid JSON" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		struct tr_view in = exact_copy(cases[i].in);
		struct tr_err err = { 0 };
		enum tr_code rc = tr_json_parse(in, &j, &err);

		CHECK(rc == (cases[i].error ? TR_E_INVALID : TR_OK), cases[i].label);
		CHECK((j != NULL) == (rc == TR_OK), cases[i].label);
		if (rc && !strstr(err.pub, cases[i].error))
			fail_msg("%s: %s (%s)", cases[i].label, err.pub, err.detail);
		free((void *)(uintptr_t)in.p);
	}
}

static void errors_never_quote_the_text(void **state)
{
	static const char *const cases[] = {
		"{\"token\":\"s3cret\" 1}",    "{\"token\":\"s3cret",
		"{\"s3cret\":1,\"s3cret\":2}", "s3cret",
		"[\"s3cret\\u0000\"]",	       "{\"s3cret near \":1,\"s3cret near \":2}",
		"[1,\"\\ud800s3cret\"]",       "1 \"s3cret\"",
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_json *j = NULL;
		struct tr_err err = { 0 };

		CHECK(tr_json_parse(tr_view_str(cases[i]), &j, &err) == TR_E_INVALID, cases[i]);
		CHECK(!strstr(err.detail, "s3cret") && !strstr(err.pub, "s3cret"), cases[i]);
		CHECK(strstr(err.detail, "JSON: line 1 column "), cases[i]);
	}
}

static void size_has_a_limit(void **state)
{
	size_t n = TR_JSON_MAX + 1;
	uint8_t *p = malloc(n);
	struct tr_json *j = NULL;
	struct tr_err err;

	(void)state;
	assert_non_null(p);
	memset(p, ' ', n);
	p[0] = '1';
	assert_int_equal(tr_json_parse(tr_view(p, n), &j, &err), TR_E_INVALID);
	assert_non_null(strstr(err.pub, "too long"));
	assert_int_equal(tr_json_parse(tr_view(p, n - 1), &j, &err), TR_OK);
	j = tr_json_free(j);
	free(p);
}

static void nodes_answer_for_their_own_type(void **state)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_view s = { NULL, 77 };
	struct tr_err err;
	tr_jnode root, list;
	int64_t n = 77;
	bool b = false;

	(void)state;
	assert_int_equal(
		tr_json_parse(V("{\"s\":\"x\\u00e9\",\"n\":-5,\"r\":1.0,\"e\":1e3,\"t\":true,\"z\":null,"
				"\"l\":[1,2,3],\"o\":{}}"),
			      &j, &err),
		TR_OK);
	root = tr_json_root(j);
	list = tr_json_get(root, "l");
	assert_true(tr_json_is_object(root) && !tr_json_is_array(root));
	assert_true(tr_json_is_array(list) && !tr_json_is_object(list));
	assert_int_equal(tr_json_len(root), 8);
	assert_int_equal(tr_json_len(list), 3);
	assert_true(tr_json_str(tr_json_get(root, "s"), &s) && tr_view_is(s, "x\xc3\xa9"));
	assert_true(tr_json_int(tr_json_get(root, "n"), &n) && n == -5);
	assert_true(tr_json_int(tr_json_at(list, 2), &n) && n == 3);
	assert_null(tr_json_at(list, 3));
	assert_true(tr_json_bool(tr_json_get(root, "t"), &b) && b);
	assert_true(tr_json_is_null(tr_json_get(root, "z")));
	/* Wrong types. */
	assert_false(tr_json_int(tr_json_get(root, "r"), &n));
	assert_false(tr_json_int(tr_json_get(root, "e"), &n));
	assert_false(tr_json_int(tr_json_get(root, "s"), &n));
	assert_false(tr_json_str(tr_json_get(root, "n"), &s));
	assert_false(tr_json_bool(tr_json_get(root, "n"), &b));
	assert_false(tr_json_is_null(tr_json_get(root, "t")));
	assert_null(tr_json_get(list, "s"));
	assert_null(tr_json_at(root, 0));
	assert_int_equal(tr_json_len(tr_json_get(root, "s")), 0);
	/* Absent, all the way. */
	assert_null(tr_json_root(NULL));
	assert_null(tr_json_get(tr_json_get(root, "no"), "no"));
	assert_null(tr_json_at(NULL, 0));
	assert_false(tr_json_str(NULL, &s) || tr_json_int(NULL, &n) || tr_json_bool(NULL, &b));
	assert_false(tr_json_is_null(NULL) || tr_json_is_object(NULL) || tr_json_is_array(NULL));
	assert_int_equal(tr_json_len(NULL), 0);
}

static bool count_to(void *arg, const char *key, tr_jnode value)
{
	int *left = arg;

	assert_true(strlen(key) == 1 && value);
	return --*left > 0;
}

static void each_stops_when_told(void **state)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;
	int left = 9;

	(void)state;
	assert_int_equal(tr_json_parse(V("{\"a\":1,\"b\":2,\"c\":3}"), &j, &err), TR_OK);
	tr_json_each(tr_json_root(j), count_to, &left);
	assert_int_equal(left, 6);
	left = 2;
	tr_json_each(tr_json_root(j), count_to, &left);
	assert_int_equal(left, 0);
	tr_json_each(NULL, count_to, &left);
	tr_json_each(tr_json_at(tr_json_root(j), 0), count_to, &left);
	assert_int_equal(left, 0);
}

static void dump_is_compact_and_keeps_order(void **state)
{
	static const struct {
		struct tr_view in;
		const char *out;
	} cases[] = {
		{ V(" { \"b\" : [ 1 , 2 ] , \"a\" : \"x\" } "), "{\"b\":[1,2],\"a\":\"x\"}" },
		{ V("\"\\u00e9\""), "\"\xc3\xa9\"" },
		{ V("null"), "null" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, small = { .max = 2 };
		struct tr_err err;

		assert_int_equal(tr_json_parse(cases[i].in, &j, &err), TR_OK);
		tr_json_dump(tr_json_root(j), &b);
		assert_string_equal(tr_buf_cstr(&b), cases[i].out);
		tr_json_dump(tr_json_root(j), &small);
		assert_false(tr_buf_ok(&small));
	}
}

static void strings_are_escaped(void **state)
{
	static const struct {
		struct tr_view in;
		const char *out;
	} cases[] = {
		{ V(""), "\"\"" },
		{ V("plain"), "\"plain\"" },
		{ V("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ V("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
		{ V("a\0b\x01\x1f\x7f"), "\"a\\u0000b\\u0001\\u001f\\u007f\"" },
		{ V("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
		{ V("a\xff\x62"), "\"a\xef\xbf\xbd\x62\"" },
		{ V("\xc3"), "\"\xef\xbf\xbd\"" },
		{ V("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ V("\xe2\x82\""), "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\"" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_view in = exact_copy(cases[i].in);

		tr_json_put_str(&b, in);
		assert_string_equal(tr_buf_cstr(&b), cases[i].out);
		free((void *)(uintptr_t)in.p);
	}
}

static void members_stand_behind_others(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_buf_adds(&b, "{\"n\":1");
	tr_json_member_str(&b, "text", V("a\"b"));
	tr_json_member_hex(&b, "hash", V("\x01\xff"));
	tr_json_member_hex(&b, "none", tr_view(NULL, 0));
	tr_json_member_time(&b, "at", 1);
	tr_json_member_time(&b, "never", 0);
	tr_buf_adds(&b, "}");
	assert_string_equal(tr_buf_cstr(&b), "{\"n\":1,\"text\":\"a\\\"b\",\"hash\":\"01ff\",\"none\":\"\","
					     "\"at\":\"1970-01-01T00:00:00.001Z\",\"never\":null}");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing_is_strict),	cmocka_unit_test(errors_never_quote_the_text),
		cmocka_unit_test(size_has_a_limit),	cmocka_unit_test(nodes_answer_for_their_own_type),
		cmocka_unit_test(each_stops_when_told), cmocka_unit_test(dump_is_compact_and_keeps_order),
		cmocka_unit_test(strings_are_escaped),	cmocka_unit_test(members_stand_behind_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
