/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/jscan.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)
#define OPEN8 "[[[[[[[["
#define CLOSE8 "]]]]]]]]"

static void scanning_is_strict(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		const char *error; /* in the detail; NULL when it is fine */
	} cases[] = {
		{ "object", V("{\"a\":[1,true,null,\"x\",-0.5e3]}"), NULL },
		{ "white space", V(" \t\r\n[ 1 ,\n2 ] \n"), NULL },
		{ "empty containers", V("[{},[],{ },[ ]]"), NULL },
		{ "text as root", V("\"x\""), NULL },
		{ "number as root", V("42"), NULL },
		{ "zero", V("0"), NULL },
		{ "minus zero", V("-0"), NULL },
		{ "escapes", V("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\uDe00\""), NULL },
		{ "UTF-8", V("\"\xc3\xa9\xf0\x9f\x98\x80\""), NULL },
		{ "int64 max", V("9223372036854775807"), NULL },
		{ "int64 min", V("-9223372036854775808"), NULL },
		{ "a real of many digits", V("99999999999999999999.5"), NULL },
		{ "16 levels", V(OPEN8 OPEN8 CLOSE8 CLOSE8), NULL },
		{ "16 levels side by side", V("[" OPEN8 CLOSE8 "," OPEN8 CLOSE8 "]"), NULL },
		{ "same name in two objects", V("[{\"a\":1},{\"a\":1}]"), NULL },
		{ "same name inside", V("{\"a\":{\"a\":{\"a\":1}},\"b\":1}"), NULL },
		{ "names of one end", V("{\"1abcdefgh\":1,\"2abcdefgh\":1,\"abcdefgh\":2}"), NULL },
		{ "empty name", V("{\"\":1}"), NULL },
		{ "DEL in a string", V("\"\x7f\""), NULL },

		{ "nothing", V(""), "ends where a value" },
		{ "white space only", V(" \n"), "ends where a value" },
		{ "byte order mark", V("\xef\xbb\xbf{}"), "a value is expected" },
		{ "int64 max + 1", V("9223372036854775808"), "64 bits" },
		{ "int64 min - 1", V("-9223372036854775809"), "64 bits" },
		{ "an integer of many digits", V("[100000000000000000000]"), "64 bits" },
		{ "17 levels", V(OPEN8 OPEN8 "[]" CLOSE8 CLOSE8), "16 levels" },
		{ "17 levels of objects", V("[" OPEN8 OPEN8 "{}"), "16 levels" },
		{ "name twice", V("{\"a\":1,\"a\":1}"), "twice" },
		{ "name twice, apart", V("{\"a\":1,\"b\":{\"a\":2},\"c\":[3],\"a\":1}"), "twice" },
		{ "empty name twice", V("{\"\":1,\"\":1}"), "twice" },
		{ "long name twice", V("{\"abcdefghijk\":1,\"abcdefghijk\":1}"), "twice" },
		{ "name twice, inside", V("[{\"b\":{\"a\":1,\"a\":1}}]"), "twice" },
		{ "name with an escape", V("{\"a\":1,\"\\u0061\":2}"), "escape in a member" },
		{ "trailing text", V("{} x"), "text behind" },
		{ "two roots", V("1 2"), "text behind" },
		{ "trailing NUL", V("{}\0"), "text behind" },
		{ "trailing comma", V("[1,]"), "a value is expected" },
		{ "trailing comma in object", V("{\"a\":1,}"), "name is expected" },
		{ "leading comma", V("[,1]"), "a value is expected" },
		{ "missing comma", V("[1 2]"), "a comma or ]" },
		{ "missing comma in object", V("{\"a\":1 \"b\":2}"), "a comma or }" },
		{ "missing colon", V("{\"a\" 1}"), "a colon" },
		{ "missing value", V("{\"a\":}"), "a value is expected" },
		{ "open array", V("[1"), "a comma or ]" },
		{ "open array after a comma", V("[1,"), "ends where a value" },
		{ "open object", V("{\"a\":1"), "a comma or }" },
		{ "open string", V("\"a"), "ends in a string" },
		{ "open escape", V("\"a\\"), "ends in a string" },
		{ "wrong bracket", V("[1}"), "a comma or ]" },
		{ "closing first", V("]["), "a value is expected" },
		{ "single quotes", V("'a'"), "a value is expected" },
		{ "bare name", V("{a:1}"), "name is expected" },
		{ "number as name", V("{1:1}"), "name is expected" },
		{ "comment", V("/**/1"), "a value is expected" },
		{ "NaN", V("NaN"), "a value is expected" },
		{ "nan", V("nan"), "unknown word" },
		{ "cut word", V("tru"), "unknown word" },
		{ "capital word", V("True"), "a value is expected" },
		{ "word and more", V("nullx"), "text behind" },
		{ "Infinity", V("-Infinity"), "malformed number" },
		{ "leading plus", V("+1"), "a value is expected" },
		{ "leading zero", V("012"), "malformed number" },
		{ "leading minus zero", V("-012"), "malformed number" },
		{ "minus alone", V("-"), "malformed number" },
		{ "no digit before the point", V(".5"), "a value is expected" },
		{ "no digit behind the point", V("1."), "malformed number" },
		{ "no digit in the exponent", V("1e"), "malformed number" },
		{ "no digit behind the sign", V("1e+"), "malformed number" },
		{ "hexadecimal", V("0x10"), "text behind" },
		{ "NUL in a string", V("\"a\0b\""), "control character" },
		{ "escaped NUL", V("\"a\\u0000b\""), "NUL in a string" },
		{ "line feed in a string", V("\"a\nb\""), "control character" },
		{ "tab in a name", V("{\"a\tb\":1}"), "control character" },
		{ "unknown escape", V("\"\\x41\""), "unknown escape" },
		{ "escaped terminator", V("\"\\\0\""), "unknown escape" },
		{ "short unicode escape", V("\"\\u12\""), "four hex" },
		{ "unicode escape at the end", V("\"\\u123"), "four hex" },
		{ "no hex digit", V("\"\\u12g4\""), "four hex" },
		{ "lone high surrogate", V("\"\\ud83d\""), "surrogate" },
		{ "high surrogate and text", V("\"\\ud83dabcdef\""), "surrogate" },
		{ "two high surrogates", V("\"\\ud83d\\ud83d\""), "surrogate" },
		{ "lone low surrogate", V("\"\\ude00\""), "surrogate" },
		{ "invalid UTF-8", V("\"\xff\""), "UTF-8" },
		{ "overlong UTF-8", V("\"\xc0\xaf\""), "UTF-8" },
		{ "surrogate in UTF-8", V("\"\xed\xa0\x80\""), "UTF-8" },
		{ "cut UTF-8", V("\"\xc3\""), "UTF-8" },
		{ "invalid UTF-8 in a name", V("{\"\xff\":1}"), "UTF-8" },
		{ "UTF-8 outside of strings", V("[\xc3\xa9]"), "a value is expected" },
		{ "form feed as white space", V("[\f1]"), "a value is expected" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view in = exact_copy(cases[i].in);
		struct tr_jval v = { .type = TR_JTOK_NONE };
		struct tr_err err = { 0 };
		enum tr_code rc = tr_jscan(in, &v, &err);

		CHECK(rc == (cases[i].error ? TR_E_INVALID : TR_OK), cases[i].label);
		CHECK(!cases[i].error || strstr(err.detail, cases[i].error), cases[i].label);
		CHECK((v.type == TR_JTOK_NONE) == (cases[i].error != NULL), cases[i].label);
		free((void *)(uintptr_t)in.p);
	}
}

static struct tr_jval scan(struct tr_view text)
{
	struct tr_jval v;
	struct tr_err err;

	if (tr_jscan(text, &v, &err))
		fail_msg("%s", err.detail);
	return v;
}

static void values_are_known_by_their_place(void **state)
{
	static const char text[] = " { \"s\" : \"a\\n\" ,\"o\":{ \"}\" :\"]\\\"\"}, \"i\":-12,\"r\":1.5 ,\"t\":true,\"f\":false,"
				   "\"n\":null,\"a\":[ 1,[2] ,{\"x\":3},\"4\" ]} ";
	static const struct { const char *key; enum tr_jtok type; const char *raw; int64_t number; bool escaped, yes; } rows[] = {
		{ "s", TR_JTOK_STRING, "a\\n", 0, true, false },
		{ "o", TR_JTOK_OBJECT, "{ \"}\" :\"]\\\"\"}", 0, false, false },
		{ "i", TR_JTOK_INT, "-12", -12, false, false },
		{ "r", TR_JTOK_REAL, "1.5", 0, false, false },
		{ "t", TR_JTOK_BOOL, "true", 0, false, true },
		{ "f", TR_JTOK_BOOL, "false", 0, false, false },
		{ "n", TR_JTOK_NULL, "null", 0, false, false },
		{ "a", TR_JTOK_ARRAY, "[ 1,[2] ,{\"x\":3},\"4\" ]", 0, false, false },
	};
	static const char *const items[] = { "1", "[2]", "{\"x\":3}", "4" };
	struct tr_jval root = scan(tr_view_str(text)), v, got;
	struct tr_view key;
	size_t at = 0, i = 0;

	(void)state;
	/* The root without the white space around it: this is what would be signed. */
	assert_true(root.raw.p == (const uint8_t *)text + 1 && root.raw.n == strlen(text) - 2);
	while (tr_jnext(&root, &at, &key, &v)) {
		assert_true(i < TR_ARRAY_LEN(rows));
		CHECK(tr_view_is(key, rows[i].key), rows[i].key);
		CHECK(tr_jget(&root, rows[i].key, &got) && got.raw.p == v.raw.p, rows[i].key);
		CHECK(v.type == rows[i].type && tr_view_is(v.raw, rows[i].raw), rows[i].key);
		CHECK(v.number == rows[i].number && v.escaped == rows[i].escaped && v.yes == rows[i].yes, rows[i].key);
		i++;
	}
	assert_int_equal(i, TR_ARRAY_LEN(rows));
	assert_true(tr_jget(&root, "a", &got));
	for (at = 0, i = 0; tr_jitem(&got, &at, &v); i++) {
		assert_true(i < TR_ARRAY_LEN(items));
		CHECK(tr_view_is(v.raw, items[i]), items[i]);
	}
	assert_int_equal(i, TR_ARRAY_LEN(items));
}

static void what_is_not_there_is_not_found(void **state)
{
	struct tr_jval root = scan(V("{\"ab\":{\"c\":1},\"list\":[]}")), none = { 0 }, v, list;
	struct tr_view key;
	size_t at = 0;

	(void)state;
	assert_false(tr_jget(&root, "a", &v));
	assert_false(tr_jget(&root, "abc", &v));
	assert_false(tr_jget(&root, "", &v));
	/* A member of a member is not a member, and a value is not a name. */
	assert_false(tr_jget(&root, "c", &v));
	assert_true(tr_jget(&root, "list", &list));
	assert_false(tr_jitem(&list, &at, &v));
	assert_false(tr_jnext(&list, &at, &key, &v));
	assert_false(tr_jget(&list, "ab", &v));
	assert_false(tr_jitem(&root, &at, &v));
	assert_false(tr_jget(&none, "ab", &v));
	at = 1000;
	assert_false(tr_jnext(&root, &at, &key, &v));
}

static void sizes_are_bounded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_jval v;
	struct tr_err err = { 0 };

	(void)state;
	for (int n = 512; n <= 513; n++) {
		tr_buf_clear(&b);
		for (int i = 0; i < n; i++)
			tr_buf_addf(&b, "%c\"%d\":0", i ? ',' : '{', i);
		tr_buf_add8(&b, '}');
		assert_int_equal(tr_jscan(tr_buf_view(&b), &v, &err), n == 512 ? TR_OK : TR_E_INVALID);
	}
	assert_non_null(strstr(err.detail, "too many members"));
	/* Siblings' names are forgotten: their number is free. */
	tr_buf_clear(&b);
	for (int i = 0; i < 2000; i++)
		tr_buf_adds(&b, i ? ",{\"a\":{\"b\":1},\"c\":2}" : "[{}");
	tr_buf_add8(&b, ']');
	assert_int_equal(tr_jscan(tr_buf_view(&b), &v, &err), TR_OK);
	tr_buf_clear(&b);
	assert_non_null(tr_buf_space(&b, ((size_t)4 << 20) + 1));
	memset(b.p, ' ', b.n);
	b.p[0] = '1';
	assert_int_equal(tr_jscan(tr_view(b.p, b.n - 1), &v, &err), TR_OK);
	assert_int_equal(tr_jscan(tr_buf_view(&b), &v, &err), TR_E_INVALID);
	assert_string_equal(err.pub, "the JSON text is too long");
}

/* Real collateral: the value whose bytes are signed ends where the file says. */
static void shared_collateral_is_read(void **state)
{
	static const struct { const char *file, *member; } rows[] = {
		{ "../shared/evidence/tdx4-phala-uptodate/tcb_info.json", "tcbInfo" },
		{ "../shared/evidence/tdx4-phala-uptodate/qe_identity.json", "enclaveIdentity" },
		{ "../shared/evidence/sgx3-mobilecoin-hw/tcb_info.json", "tcbInfo" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
		struct tr_jval root, body, sig, levels, level, date;
		size_t at = 0, n = 0;
		struct tr_err err;

		if (tr_file_read(rows[i].file, 65536, &text, &err)) {
			print_message("skipped: no %s\n", rows[i].file);
			tr_buf_done(&text);
			skip();
		}
		root = scan(tr_buf_view(&text));
		CHECK(tr_jget(&root, rows[i].member, &body) && body.type == TR_JTOK_OBJECT, rows[i].file);
		CHECK(tr_jget(&root, "signature", &sig) && sig.type == TR_JTOK_STRING && sig.raw.n == 128, rows[i].file);
		CHECK(tr_jget(&body, "tcbLevels", &levels), rows[i].file);
		while (tr_jitem(&levels, &at, &level)) {
			CHECK(tr_jget(&level, "tcbDate", &date) && !date.escaped && date.raw.n == 20, rows[i].file);
			n++;
		}
		CHECK(n > 0 && body.raw.p[body.raw.n - 1] == '}', rows[i].file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scanning_is_strict),
		cmocka_unit_test(values_are_known_by_their_place),
		cmocka_unit_test(what_is_not_there_is_not_found),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(shared_collateral_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
