/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cbor.h"

#include "codec/codec_test.h"

#define V(s) TR_VIEW_LIT(s)

static void any_takes_one_form_only(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		const char *error; /* part of the reason; NULL when it is fine */
	} cases[] = {
		{ "0", V("\x00"), NULL },
		{ "23", V("\x17"), NULL },
		{ "24", V("\x18\x18"), NULL },
		{ "255", V("\x18\xff"), NULL },
		{ "256", V("\x19\x01\x00"), NULL },
		{ "65536", V("\x1a\x00\x01\x00\x00"), NULL },
		{ "2^32", V("\x1b\x00\x00\x00\x01\x00\x00\x00\x00"), NULL },
		{ "2^64-1", V("\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), NULL },
		{ "-1", V("\x20"), NULL },
		{ "-2^64", V("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"), NULL },
		{ "empty bytes", V("\x40"), NULL },
		{ "empty text", V("\x60"), NULL },
		{ "empty array", V("\x80"), NULL },
		{ "empty map", V("\xa0"), NULL },
		{ "false true null", V("\x83\xf4\xf5\xf6"), NULL },
		{ "sorted map", V("\xa3\x01\x00\x20\x00\x61\x61\x00"), NULL },
		{ "bytewise, not by length: 1000 before -1", V("\xa2\x19\x03\xe8\x00\x20\x00"), NULL },
		{ "map as key", V("\xa1\xa0\x00"), NULL },
		{ "eight levels", V("\x81\x81\x81\x81\x81\x81\x81\x81\x00"), NULL },
		{ "eight levels of maps",
		  V("\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\xa1\x00\x00"), NULL },

		{ "nothing", V(""), "ends" },
		{ "23 in two bytes", V("\x18\x17"), "shortest" },
		{ "0 in three", V("\x19\x00\x00"), "shortest" },
		{ "255 in three", V("\x19\x00\xff"), "shortest" },
		{ "65535 in five", V("\x1a\x00\x00\xff\xff"), "shortest" },
		{ "2^32-1 in nine", V("\x1b\x00\x00\x00\x00\xff\xff\xff\xff"), "shortest" },
		{ "-1 in two", V("\x38\x00"), "shortest" },
		{ "long length of bytes", V("\x58\x01\x61"), "shortest" },
		{ "long length of text", V("\x78\x01\x61"), "shortest" },
		{ "long count of array", V("\x98\x01\x00"), "shortest" },
		{ "long count of map", V("\xb8\x01\x00\x00"), "shortest" },
		{ "head cut", V("\x19\x01"), "ends" },
		{ "head cut to one byte", V("\x1b"), "ends" },
		{ "bytes cut", V("\x42\x61"), "longer" },
		{ "text cut", V("\x62\x61"), "longer" },
		{ "huge bytes", V("\x5b\xff\xff\xff\xff\xff\xff\xff\xff"), "longer" },
		{ "huge array", V("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), "ends" },
		{ "huge map", V("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"), "ends" },
		{ "map of half a pair", V("\xa1\x00"), "ends" },
		{ "array cut", V("\x82\x00"), "ends" },
		{ "reserved 28", V("\x1c"), "reserved" },
		{ "reserved 30 in text", V("\x7e"), "reserved" },
		{ "indefinite bytes", V("\x5f\x41\x61\xff"), "indefinite" },
		{ "indefinite text", V("\x7f\x61\x61\xff"), "indefinite" },
		{ "indefinite array", V("\x9f\xff"), "indefinite" },
		{ "indefinite map", V("\xbf\xff"), "indefinite" },
		{ "lone break", V("\xff"), "indefinite" },
		{ "break in array", V("\x81\xff"), "indefinite" },
		{ "half float", V("\xf9\x3c\x00"), "floats" },
		{ "float", V("\xfa\x47\xc3\x50\x00"), "floats" },
		{ "double", V("\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"), "floats" },
		{ "false in two bytes", V("\xf8\x14"), "floats" },
		{ "simple 255", V("\xf8\xff"), "floats" },
		{ "undefined", V("\xf7"), "simple" },
		{ "simple 0", V("\xe0"), "simple" },
		{ "simple 19", V("\xf3"), "simple" },
		{ "tag", V("\xc1\x00"), "tag" },
		{ "tag inside", V("\x81\xc1\x00"), "tag" },
		{ "key twice", V("\xa2\x01\x00\x01\x00"), "twice" },
		{ "text key twice", V("\xa2\x61\x61\x00\x61\x61\x00"), "twice" },
		{ "keys out of order", V("\xa2\x02\x00\x01\x00"), "order" },
		{ "longer text first", V("\xa2\x62\x61\x61\x00\x61\x62\x00"), "order" },
		{ "RFC 7049 order: -1 before 1000", V("\xa2\x20\x00\x19\x03\xe8\x00"), "order" },
		{ "out of order, third", V("\xa3\x01\x00\x03\x00\x02\x00"), "order" },
		{ "inner map out of order", V("\x81\xa2\x02\x00\x01\x00"), "order" },
		{ "bad UTF-8", V("\x62\xc3\x28"), "UTF-8" },
		{ "bad UTF-8 in a key", V("\xa1\x61\xff\x00"), "UTF-8" },
		{ "surrogate", V("\x63\xed\xa0\x80"), "UTF-8" },
		{ "nine levels", V("\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00"), "deep" },
		{ "nine levels in a key",
		  V("\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "deep" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view in = exact_copy(cases[i].in);
		struct tr_cbor r = tr_cbor_reader(in);
		struct tr_view item = tr_cbor_any(&r);
		struct tr_err err = { 0 };
		enum tr_code rc = tr_cbor_end(&r, &err);

		if (cases[i].error) {
			CHECK(rc == TR_E_INVALID && item.n == 0, cases[i].label);
			if (!strstr(err.pub, cases[i].error))
				fail_msg("%s: %s", cases[i].label, err.pub);
		} else {
			CHECK(rc == TR_OK && tr_view_eq(item, in), cases[i].label);
		}
		free((void *)(uintptr_t)in.p);
	}
}

static void end_refuses_surplus_bytes(void **state)
{
	struct tr_cbor r = tr_cbor_reader(V("\x00\x00"));
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_cbor_int(&r), 0);
	assert_int_equal(tr_cbor_end(&r, &err), TR_E_INVALID);
	assert_int_equal(tr_cbor_int(&r), 0);
	assert_int_equal(tr_cbor_end(&r, &err), TR_OK);
}

/* Every typed reader against one item of every type. */
static void readers_take_their_own_type_only(void **state)
{
	static const struct {
		enum tr_cbor_type type;
		struct tr_view in;
	} items[] = {
		{ TR_CBOR_INT, V("\x05") },	  { TR_CBOR_INT, V("\x24") },
		{ TR_CBOR_BYTES, V("\x41\x61") }, { TR_CBOR_TEXT, V("\x61\x61") },
		{ TR_CBOR_ARRAY, V("\x81\x00") }, { TR_CBOR_MAP, V("\xa1\x00\x00") },
		{ TR_CBOR_TAG, V("\xc1\x00") },	  { TR_CBOR_BOOL, V("\xf5") },
		{ TR_CBOR_NULL, V("\xf6") },	  { TR_CBOR_NONE, V("") },
		{ TR_CBOR_NONE, V("\xf7") },	  { TR_CBOR_NONE, V("\xf9\x00\x00") },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(items); i++) {
		for (int want = TR_CBOR_INT; want <= TR_CBOR_NULL; want++) {
			struct tr_cbor r = tr_cbor_reader(items[i].in);
			struct tr_cbor_map m;

			assert_int_equal(tr_cbor_peek(&r), items[i].type);
			switch (want) {
			case TR_CBOR_INT: (void)tr_cbor_int(&r); break;
			case TR_CBOR_BYTES: (void)tr_cbor_bytes(&r); break;
			case TR_CBOR_TEXT: (void)tr_cbor_text(&r); break;
			case TR_CBOR_ARRAY: (void)tr_cbor_array(&r, 9); break;
			case TR_CBOR_MAP: (void)tr_cbor_map(&r, &m, 9); break;
			case TR_CBOR_TAG: (void)tr_cbor_tag(&r); break;
			case TR_CBOR_BOOL: (void)tr_cbor_bool(&r); break;
			case TR_CBOR_NULL: tr_cbor_null(&r); break;
			default: fail();
			}
			if ((r.error == NULL) != (want == (int)items[i].type))
				fail_msg("item %zu, reader %d: %s", i, want, r.error ? r.error : "accepted");
			/* After an error nothing is there any more, and the place of the error is kept. */
			if (r.error) {
				assert_int_equal(tr_cbor_peek(&r), TR_CBOR_NONE);
				assert_int_equal(r.at, 0);
			}
		}
	}
}

static void integers_keep_their_range(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		bool int_ok, uint_ok;
		int64_t value;
	} cases[] = {
		{ "0", V("\x00"), true, true, 0 },
		{ "-1", V("\x20"), true, false, -1 },
		{ "max", V("\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"), true, true, INT64_MAX },
		{ "min", V("\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), true, false, INT64_MIN },
		{ "max+1", V("\x1b\x80\x00\x00\x00\x00\x00\x00\x00"), false, true, INT64_MIN },
		{ "min-1", V("\x3b\x80\x00\x00\x00\x00\x00\x00\x00"), false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_cbor r = tr_cbor_reader(cases[i].in), u = r;
		int64_t v = tr_cbor_int(&r);
		uint64_t w = tr_cbor_uint(&u);

		CHECK((r.error == NULL) == cases[i].int_ok, cases[i].label);
		CHECK((u.error == NULL) == cases[i].uint_ok, cases[i].label);
		CHECK(!cases[i].int_ok || v == cases[i].value, cases[i].label);
		CHECK(!cases[i].uint_ok || w == (uint64_t)cases[i].value, cases[i].label);
	}
}

static void maps_are_walked_by_key(void **state)
{
	struct tr_cbor r = tr_cbor_reader(V("\xa3\x01\x0a\x02\x61x\x20\xf5"));
	struct tr_cbor_map m;
	struct tr_err err;
	int64_t key;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(tr_cbor_map(&r, &m, 3), 3);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case 1: seen |= tr_cbor_int(&r) == 10; break;
		case 2: seen |= tr_view_is(tr_cbor_text(&r), "x") ? 2 : 0; break;
		case -1: seen |= tr_cbor_bool(&r) ? 4 : 0; break;
		default: fail();
		}
	}
	assert_int_equal(seen, 7);
	assert_int_equal(tr_cbor_end(&r, &err), TR_OK);
}

static void map_walks_refuse_what_any_refuses(void **state)
{
	static const struct {
		const char *label;
		struct tr_view in;
		bool text;
		const char *error;
	} cases[] = {
		{ "twice", V("\xa2\x01\x00\x01\x00"), false, "twice" },
		{ "order", V("\xa2\x02\x00\x01\x00"), false, "order" },
		{ "text twice", V("\xa2\x61\x61\x00\x61\x61\x00"), true, "twice" },
		{ "text order", V("\xa2\x61\x62\x00\x61\x61\x00"), true, "order" },
		{ "text where a number belongs", V("\xa1\x61\x61\x00"), false, "type" },
		{ "number where a text belongs", V("\xa1\x01\x00"), true, "type" },
		{ "too many", V("\xa4\x01\x00\x02\x00\x03\x00\x04\x00"), false, "too many" },
		{ "key out of range", V("\xa1\x1b\x80\x00\x00\x00\x00\x00\x00\x00\x00"), false, "range" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_cbor r = tr_cbor_reader(cases[i].in);
		struct tr_cbor_map m;
		struct tr_view text;
		struct tr_err err = { 0 };
		int64_t key;

		(void)tr_cbor_map(&r, &m, 3);
		while (cases[i].text ? tr_cbor_key_text(&r, &m, &text) : tr_cbor_key_int(&r, &m, &key))
			(void)tr_cbor_any(&r);
		CHECK(tr_cbor_end(&r, &err) == TR_E_INVALID, cases[i].label);
		if (!strstr(err.pub, cases[i].error))
			fail_msg("%s: %s", cases[i].label, err.pub);
	}
}

static void the_first_error_stays(void **state)
{
	struct tr_cbor r = tr_cbor_reader(V("\x82\x01\x02"));
	struct tr_cbor_map m;
	struct tr_err err;
	int64_t key = 5;

	(void)state;
	assert_int_equal(tr_cbor_array(&r, 1), 0);
	assert_non_null(strstr(r.error, "too many"));
	assert_int_equal(tr_cbor_int(&r), 0);
	assert_int_equal(tr_cbor_bytes(&r).n, 0);
	assert_int_equal(tr_cbor_map(&r, &m, 1), 0);
	assert_false(tr_cbor_key_int(&r, &m, &key));
	assert_int_equal(key, 5);
	assert_false(tr_cbor_bool(&r));
	tr_cbor_null(&r);
	assert_int_equal(tr_cbor_tag(&r), 0);
	assert_int_equal(tr_cbor_any(&r).n, 0);
	tr_cbor_fail(&r, "another");
	assert_int_equal(tr_cbor_end(&r, &err), TR_E_INVALID);
	assert_non_null(strstr(err.pub, "too many"));
	assert_int_equal(r.at, 0);
}

static void written_numbers_are_read_back(void **state)
{
	static const uint64_t edges[] = { 0,
					  23,
					  24,
					  255,
					  256,
					  65535,
					  65536,
					  UINT32_MAX,
					  (uint64_t)UINT32_MAX + 1,
					  INT64_MAX,
					  (uint64_t)INT64_MAX + 1,
					  UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(edges); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_cbor r;
		struct tr_err err;

		tr_cbor_put_uint(&b, edges[i]);
		tr_cbor_put_int(&b, (int64_t)edges[i]);
		tr_cbor_put_tag(&b, edges[i]);
		r = tr_cbor_reader(tr_buf_view(&b));
		assert_true(tr_cbor_uint(&r) == edges[i]);
		assert_true(tr_cbor_int(&r) == (int64_t)edges[i]);
		assert_true(tr_cbor_tag(&r) == edges[i]);
		assert_int_equal(tr_cbor_end(&r, &err), TR_OK);
	}
}

static void written_structures_are_canonical(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_cbor r;
	struct tr_err err;

	(void)state;
	tr_cbor_put_map(&b, 3);
	tr_cbor_put_int(&b, 1);
	tr_cbor_put_bytes(&b, V("\x00\xff"));
	tr_cbor_put_int(&b, -1);
	tr_cbor_put_array(&b, 3);
	tr_cbor_put_bool(&b, true);
	tr_cbor_put_bool(&b, false);
	tr_cbor_put_null(&b);
	tr_cbor_put_text(&b, V("k"));
	tr_cbor_put_text(&b, tr_view(NULL, 0));
	assert_true(tr_view_eq(tr_buf_view(&b), V("\xa3\x01\x42\x00\xff\x20\x83\xf5\xf4\xf6\x61k\x60")));
	r = tr_cbor_reader(tr_buf_view(&b));
	(void)tr_cbor_any(&r);
	assert_int_equal(tr_cbor_end(&r, &err), TR_OK);
}

/* RFC 8949 appendix A: what round-trips is accepted, unless it is a float, a tag, undefined or another simple
 * value; what has a shorter form, or an indefinite length, is not. */
static void agrees_with_rfc8949_appendix_a(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	size_t n = 0, accepted = 0;
	const char *at;

	(void)state;
	vectors_text("cbor/rfc8949-appendix_a.json", &text);
	/* Found by text: the file holds numbers that our own JSON reader refuses. */
	for (at = strstr(tr_buf_cstr(&text), "\"hex\""); at; at = strstr(at, "\"hex\""), n++) {
		const char *from = strchr(at + 5, '"') + 1, *roundtrip = strstr(from, "\"roundtrip\"");
		size_t len = strcspn(from, "\"") / 2;
		uint8_t bytes[64];
		struct tr_cbor r;
		struct tr_err err;
		bool want;

		assert_true(roundtrip && len >= 1 && len <= sizeof(bytes));
		assert_true(tr_hex_get(tr_view(from, 2 * len), bytes, len));
		want = strncmp(roundtrip + strcspn(roundtrip, ":"), ": true", 6) == 0;
		/* No example mixes these with anything that is accepted, so the first byte tells. */
		if (bytes[0] >> 5 == 6 || (bytes[0] >= 0xe0 && (bytes[0] < 0xf4 || bytes[0] > 0xf6)))
			want = false;
		r = tr_cbor_reader(tr_view(bytes, len));
		(void)tr_cbor_any(&r);
		if ((tr_cbor_end(&r, &err) == TR_OK) != want)
			fail_msg("example %zu, first byte 0x%02x", n, bytes[0]);
		accepted += want;
		at = roundtrip;
	}
	assert_true(n > 60 && accepted > 30 && accepted < n);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_takes_one_form_only),
		cmocka_unit_test(end_refuses_surplus_bytes),
		cmocka_unit_test(readers_take_their_own_type_only),
		cmocka_unit_test(integers_keep_their_range),
		cmocka_unit_test(maps_are_walked_by_key),
		cmocka_unit_test(map_walks_refuse_what_any_refuses),
		cmocka_unit_test(the_first_error_stays),
		cmocka_unit_test(written_numbers_are_read_back),
		cmocka_unit_test(written_structures_are_canonical),
		cmocka_unit_test(agrees_with_rfc8949_appendix_a),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
