/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/record.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)

struct thing {
	uint64_t u;
	int64_t i;
	int64_t when;
	bool flag;
	struct tr_view text, id, bytes, hex, raw, hidden;
};

static const struct tr_field thing_fields[] = {
	TR_FIELD(thing, u, TR_F_U64, 0, 0),	   TR_FIELD(thing, i, TR_F_I64, 0, 0),
	TR_FIELD(thing, when, TR_F_TIME_MS, 0, 0), TR_FIELD(thing, flag, TR_F_BOOL, 0, 0),
	TR_FIELD(thing, text, TR_F_TEXT, 8, 0),	   TR_FIELD(thing, id, TR_F_IDENT, 64, TR_FIELD_REQUIRED),
	TR_FIELD(thing, bytes, TR_F_BYTES, 4, 0),  TR_FIELD(thing, hex, TR_F_HEX, 4, 0),
	TR_FIELD(thing, raw, TR_F_RAW, 64, 0),	   TR_FIELD(thing, hidden, TR_F_TEXT, 8, TR_FIELD_SECRET),
};
static TR_RECORD(thing_def, thing, thing_fields);
static TR_RECORD_LENIENT(lenient_def, thing, thing_fields);

static struct thing full(void)
{
	return (struct thing){
		.u = UINT64_MAX,
		.i = INT64_MIN,
		.when = 1500,
		.flag = true,
		.text = V("t\"\xc3\xa9"),
		.id = V("web-1"),
		.bytes = V("\x00\xff"),
		.hex = V("\xab\x01"),
		.raw = V("[1]"),
		.hidden = V("s3cret"),
	};
}

static const struct tr_view full_wire = V("\xff\xff\xff\xff\xff\xff\xff\xff"
					  "\x00\x00\x00\x00\x00\x00\x00\x80"
					  "\xdc\x05\x00\x00\x00\x00\x00\x00"
					  "\x01"
					  "\x04\x00\x00\x00t\"\xc3\xa9"
					  "\x05\x00\x00\x00web-1"
					  "\x02\x00\x00\x00\x00\xff"
					  "\x02\x00\x00\x00\xab\x01"
					  "\x03\x00\x00\x00[1]"
					  "\x06\x00\x00\x00s3cret");

static void check_same(const struct thing *a, const struct thing *b)
{
	assert_true(a->u == b->u && a->i == b->i && a->when == b->when && a->flag == b->flag);
	assert_true(tr_view_eq(a->text, b->text) && tr_view_eq(a->id, b->id) &&
		    tr_view_eq(a->bytes, b->bytes));
	assert_true(tr_view_eq(a->hex, b->hex) && tr_view_eq(a->raw, b->raw) &&
		    tr_view_eq(a->hidden, b->hidden));
}

static void the_wire_form_round_trips(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct thing in = full(), out;
	struct tr_err err;

	(void)state;
	tr_record_encode(&thing_def, &in, &b);
	assert_true(tr_view_eq(tr_buf_view(&b), full_wire));
	assert_int_equal(tr_record_decode(&thing_def, tr_buf_view(&b), &out, &err), TR_OK);
	check_same(&in, &out);
	/* Views point into the wire bytes: nothing was copied. */
	assert_true(out.hidden.p + out.hidden.n == b.p + b.n);
}

static void every_cut_and_surplus_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n <= full_wire.n; n++) {
		struct tr_view in = exact_copy(tr_view(full_wire.p, n));
		struct thing out = { .u = 77 };
		struct tr_err err;

		assert_int_equal(tr_record_decode(&thing_def, in, &out, &err),
				 n == full_wire.n ? TR_OK : TR_E_INVALID);
		if (n < full_wire.n)
			assert_int_equal(out.u, 77);
		free((void *)(uintptr_t)in.p);
	}
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct thing out;
	struct tr_err err;

	tr_buf_addv(&b, full_wire);
	tr_buf_add8(&b, 0);
	assert_int_equal(tr_record_decode(&thing_def, tr_buf_view(&b), &out, &err), TR_E_INVALID);
}

/* The same bad values on both sides: the sender's buffer fails, the receiver refuses. */
static void field_rules_hold_on_both_sides(void **state)
{
	static const struct {
		const char *label;
		size_t off;
		struct tr_view v;
	} cases[] = {
		{ "long text", offsetof(struct thing, text), V("123456789") },
		{ "text not UTF-8", offsetof(struct thing, text), V("\xff") },
		{ "text with NUL", offsetof(struct thing, text), V("a\0b") },
		{ "bad ident", offsetof(struct thing, id), V("a/b") },
		{ "long bytes", offsetof(struct thing, bytes), V("12345") },
		{ "long hex", offsetof(struct thing, hex), V("12345") },
		{ "raw not UTF-8", offsetof(struct thing, raw), V("\xff") },
		{ "long hidden", offsetof(struct thing, hidden), V("123456789") },
	};
	static const struct tr_field loose[] = {
		TR_FIELD(thing, u, TR_F_U64, 0, 0),	   TR_FIELD(thing, i, TR_F_I64, 0, 0),
		TR_FIELD(thing, when, TR_F_TIME_MS, 0, 0), TR_FIELD(thing, flag, TR_F_BOOL, 0, 0),
		TR_FIELD(thing, text, TR_F_BYTES, 99, 0),  TR_FIELD(thing, id, TR_F_BYTES, 99, 0),
		TR_FIELD(thing, bytes, TR_F_BYTES, 99, 0), TR_FIELD(thing, hex, TR_F_BYTES, 99, 0),
		TR_FIELD(thing, raw, TR_F_BYTES, 99, 0),   TR_FIELD(thing, hidden, TR_F_BYTES, 99, 0),
	};
	static TR_RECORD(loose_def, thing, loose);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, wire = TR_BUF_INIT;
		struct thing t = full(), out;
		struct tr_err err;

		memcpy((uint8_t *)&t + cases[i].off, &cases[i].v, sizeof(cases[i].v));
		tr_record_encode(&thing_def, &t, &b);
		CHECK(!tr_buf_ok(&b), cases[i].label);
		tr_record_encode(&loose_def, &t, &wire);
		CHECK(tr_buf_ok(&wire), cases[i].label);
		CHECK(tr_record_decode(&thing_def, tr_buf_view(&wire), &out, &err) == TR_E_INVALID,
		      cases[i].label);
	}
}

static void a_bool_is_0_or_1(void **state)
{
	uint8_t wire[256];
	struct thing out;
	struct tr_err err;

	(void)state;
	memcpy(wire, full_wire.p, full_wire.n);
	wire[24] = 2;
	assert_int_equal(tr_record_decode(&thing_def, tr_view(wire, full_wire.n), &out, &err), TR_E_INVALID);
}

static void json_output_follows_the_table(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, zero = TR_BUF_INIT;
	struct thing t = full(), empty = { 0 };

	(void)state;
	tr_record_to_json(&thing_def, &t, &b);
	assert_string_equal(tr_buf_cstr(&b),
			    "{\"u\":18446744073709551615,\"i\":-9223372036854775808,"
			    "\"when\":\"1970-01-01T00:00:01.500Z\",\"flag\":true,\"text\":\"t\\\"\xc3\xa9\","
			    "\"id\":\"web-1\",\"bytes\":\"AP8=\",\"hex\":\"ab01\",\"raw\":[1]}");
	tr_record_to_json(&thing_def, &empty, &zero);
	assert_string_equal(tr_buf_cstr(&zero), "{\"u\":0,\"i\":0,\"when\":null,\"flag\":false,\"text\":\"\","
						"\"id\":\"\",\"bytes\":\"\",\"hex\":\"\",\"raw\":null}");
}

static enum tr_code from_json(const struct tr_record *def, struct tr_view text, struct thing *ret,
			      struct tr_err *err, struct tr_buf *arena, struct tr_json **doc)
{
	assert_int_equal(tr_json_parse(text, doc, err), TR_OK);
	return tr_record_from_json(def, tr_json_root(*doc), arena, ret, err);
}

static void json_input_fills_the_record(void **state)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing want = full(), got;
	struct tr_err err;

	(void)state;
	want.u = 7;
	want.raw = tr_view(NULL, 0);
	want.when = -62167219200000 + 1;
	assert_int_equal(
		from_json(&thing_def,
			  V("{\"u\":7,\"i\":-9223372036854775808,\"flag\":true,"
			    "\"when\":\"0000-01-01T00:00:00.001Z\",\"text\":\"t\\\"\\u00e9\","
			    "\"id\":\"web-1\",\"bytes\":\"AP8=\",\"hex\":\"aB01\",\"hidden\":\"s3cret\"}"),
			  &got, &err, &arena, &doc),
		TR_OK);
	check_same(&want, &got);
}

static void json_input_is_checked(void **state)
{
	static const struct {
		const char *text;
		const char *error; /* NULL when it is fine */
	} cases[] = {
		{ "{\"id\":\"a\"}", NULL },
		{ "{\"id\":\"a\",\"when\":null}", NULL },
		{ "{\"id\":\"a\",\"text\":\"\"}", NULL },
		{ "{\"id\":\"a\",\"text\":\"12345678\"}", NULL },
		{ "[]", "must be an object" },
		{ "null", "must be an object" },
		{ "{}", "field \"id\" is missing" },
		{ "{\"id\":\"\"}", "field \"id\" is empty" },
		{ "{\"id\":null}", "field \"id\" must be a name" },
		{ "{\"id\":\"a b\"}", "field \"id\" must be a name" },
		{ "{\"id\":1}", "field \"id\" must be a name" },
		{ "{\"id\":\"a\",\"Text\":\"b\"}", "field \"Text\" is not known here" },
		{ "{\"id\":\"a\",\"<b>\\n\":1}", "field \"?b??\" is not known here" },
		{ "{\"id\":\"a\",\"u\":-1}", "field \"u\" must be a whole number, 0 or more" },
		{ "{\"id\":\"a\",\"u\":1.0}", "field \"u\" must be a whole number" },
		{ "{\"id\":\"a\",\"u\":\"1\"}", "field \"u\" must be a whole number" },
		{ "{\"id\":\"a\",\"i\":null}", "field \"i\" must be a whole number" },
		{ "{\"id\":\"a\",\"when\":0}", "field \"when\" must be an RFC 3339 time" },
		{ "{\"id\":\"a\",\"when\":\"\"}", "field \"when\" must be an RFC 3339 time" },
		{ "{\"id\":\"a\",\"flag\":1}", "field \"flag\" must be true or false" },
		{ "{\"id\":\"a\",\"flag\":\"true\"}", "field \"flag\" must be true or false" },
		{ "{\"id\":\"a\",\"text\":\"123456789\"}", "field \"text\" is longer than 8 bytes" },
		{ "{\"id\":\"a\",\"text\":1}", "field \"text\" must be text" },
		{ "{\"id\":\"a\",\"bytes\":\"AP8\"}", "field \"bytes\" must be standard base64" },
		{ "{\"id\":\"a\",\"bytes\":\"AAAAAAA=\"}", "field \"bytes\" is longer than 4 bytes" },
		{ "{\"id\":\"a\",\"hex\":\"abc\"}", "field \"hex\" must be hexadecimal" },
		{ "{\"id\":\"a\",\"hex\":\"xy\"}", "field \"hex\" must be hexadecimal" },
		{ "{\"id\":\"a\",\"hex\":\"0011223344\"}", "field \"hex\" is longer than 4 bytes" },
		{ "{\"id\":\"a\",\"raw\":\"[1]\"}", "field \"raw\" cannot be set" },
		{ "{\"id\":\"a\",\"raw\":[1]}", "field \"raw\" cannot be set" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_json_free) struct tr_json *doc = NULL;
		tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
		struct thing got = { .u = 77 };
		struct tr_err err = { 0 };
		enum tr_code rc = from_json(&thing_def, tr_view_str(cases[i].text), &got, &err, &arena, &doc);

		CHECK(rc == (cases[i].error ? TR_E_INVALID : TR_OK), cases[i].text);
		CHECK(got.u == (rc ? 77 : 0), cases[i].text);
		if (rc && !strstr(err.pub, cases[i].error))
			fail_msg("%s: %s", cases[i].text, err.pub);
	}
}

static void a_lenient_record_overlooks_strangers(void **state)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing got;
	struct tr_err err;

	(void)state;
	assert_int_equal(from_json(&lenient_def, V("{\"id\":\"a\",\"extra\":{}}"), &got, &err, &arena, &doc),
			 TR_OK);
	assert_int_equal(tr_record_from_query(&lenient_def, V("x=1&id=b"), &arena, &got, &err), TR_OK);
	assert_true(tr_view_is(got.id, "b"));
}

static void a_used_arena_is_refused(void **state)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing got;
	struct tr_err err;

	(void)state;
	tr_buf_add8(&arena, 1);
	assert_int_equal(from_json(&thing_def, V("{\"id\":\"a\"}"), &got, &err, &arena, &doc), TR_E_INTERNAL);
	assert_int_equal(tr_record_from_query(&thing_def, V("id=a"), &arena, &got, &err), TR_E_INTERNAL);
}

static void queries_are_checked(void **state)
{
	static const struct {
		const char *text;
		const char *error; /* NULL when it is fine */
	} cases[] = {
		{ "id=a", NULL },
		{ "id=a&u=18446744073709551615&i=-9223372036854775808&flag=true", NULL },
		{ "u=0&i=0&id=a", NULL },
		{ "id=a&text=a+b%2Bc%c3%A9", NULL },
		{ "id=a&text=", NULL },
		{ "id=a&text", NULL },
		{ "id=a&text=x=y", NULL },
		{ "id=a&when=2026-01-01T00:00:00%2B01:00", NULL },
		{ "id=a&bytes=AP8=&hex=00ff", NULL },
		{ "", "field \"id\" is missing" },
		{ "id=", "field \"id\" is empty" },
		{ "id=a&", "field \"\" is not known" },
		{ "&id=a", "field \"\" is not known" },
		{ "id=a&id=a", "field \"id\" is given twice" },
		{ "id=a&x=1", "field \"x\" is not known" },
		{ "i%64=a", "field \"i?64\" is not known" },
		{ "id=a%", "damaged" },
		{ "id=a%4", "damaged" },
		{ "id=a%zz", "damaged" },
		{ "id=a&text=%00", "field \"text\" must be text" },
		{ "id=a&text=%ff", "field \"text\" must be text" },
		{ "id=a&text=123456789", "longer than 8" },
		{ "id=a&u=18446744073709551616", "field \"u\"" },
		{ "id=a&u=99999999999999999999", "field \"u\"" },
		{ "id=a&u=-1", "field \"u\"" },
		{ "id=a&u=+1", "field \"u\"" },
		{ "id=a&u=%2B1", "field \"u\"" },
		{ "id=a&u=01", "field \"u\"" },
		{ "id=a&u=1.0", "field \"u\"" },
		{ "id=a&u=", "field \"u\"" },
		{ "id=a&i=-", "field \"i\"" },
		{ "id=a&i=-0", "field \"i\"" },
		{ "id=a&i=9223372036854775808", "field \"i\"" },
		{ "id=a&i=-9223372036854775809", "field \"i\"" },
		{ "id=a&flag=1", "field \"flag\"" },
		{ "id=a&when=2026-01-01T00:00:00+01:00", "field \"when\"" },
		{ "id=a&bytes=AP8", "field \"bytes\"" },
		{ "id=a&hex=0", "field \"hex\"" },
		{ "id=a&raw=1", "field \"raw\" cannot be set" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
		struct tr_view query = exact_copy(tr_view_str(cases[i].text));
		struct thing got = { .u = 77 };
		struct tr_err err = { 0 };
		enum tr_code rc = tr_record_from_query(&thing_def, query, &arena, &got, &err);

		CHECK(rc == (cases[i].error ? TR_E_INVALID : TR_OK), cases[i].text);
		if (rc)
			CHECK(got.u == 77, cases[i].text);
		if (rc && !strstr(err.pub, cases[i].error))
			fail_msg("%s: %s", cases[i].text, err.pub);
		free((void *)(uintptr_t)query.p);
	}
}

static void query_values_arrive_decoded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing t;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_record_from_query(&thing_def,
					      V("text=a+b%2Bc%c3%A9&u=18446744073709551615&id=x&hex=00fF&"
						"i=-9223372036854775808&bytes=AP8%3d&flag=false&"
						"when=1970-01-01T00:00:00.25Z"),
					      &arena, &t, &err),
			 TR_OK);
	assert_true(t.u == UINT64_MAX && t.i == INT64_MIN && t.when == 250 && !t.flag);
	assert_true(tr_view_is(t.text, "a b+c\xc3\xa9") && tr_view_is(t.id, "x"));
	assert_true(tr_view_eq(t.hex, V("\x00\xff")) && tr_view_eq(t.bytes, V("\x00\xff")));
}

static void lists_are_walked_to_their_end(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct thing t = full();
	struct tr_view list, one;
	unsigned count = 0;

	(void)state;
	for (t.u = 0; t.u < 3; t.u++)
		tr_records_add(&b, &thing_def, &t);
	list = tr_buf_view(&b);
	while (tr_records_next(&list, &one)) {
		struct thing out;
		struct tr_err err;

		assert_int_equal(tr_record_decode(&thing_def, one, &out, &err), TR_OK);
		assert_int_equal(out.u, count++);
	}
	assert_int_equal(count, 3);
	assert_int_equal(list.n, 0);
	/* Damage: the walk stops, and says so by what is left. */
	list = tr_view(b.p, b.n - 1);
	while (tr_records_next(&list, &one))
		count++;
	assert_int_equal(count, 5);
	assert_true(list.n != 0);
	list = V("\xff\xff\xff\xff");
	assert_false(tr_records_next(&list, &one));
	assert_int_equal(list.n, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wire_form_round_trips),
		cmocka_unit_test(every_cut_and_surplus_is_refused),
		cmocka_unit_test(field_rules_hold_on_both_sides),
		cmocka_unit_test(a_bool_is_0_or_1),
		cmocka_unit_test(json_output_follows_the_table),
		cmocka_unit_test(json_input_fills_the_record),
		cmocka_unit_test(json_input_is_checked),
		cmocka_unit_test(a_lenient_record_overlooks_strangers),
		cmocka_unit_test(a_used_arena_is_refused),
		cmocka_unit_test(queries_are_checked),
		cmocka_unit_test(query_values_arrive_decoded),
		cmocka_unit_test(lists_are_walked_to_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
