/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/text.h"

#include "codec/codec_test.h"

static void hex_round_trips(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t all[256], back[256];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	tr_hex_add(&b, TR_VIEW_ARRAY(all));
	assert_int_equal(b.n, 512);
	assert_memory_equal(b.p, "000102030405060708090a0b", 24);
	assert_true(tr_hex_get(tr_buf_view(&b), back, 256));
	assert_memory_equal(all, back, 256);
}

static void hex_is_strict(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		bool ok;
	} cases[] = {
		{ "", 0, true },      { "aB", 1, true },  { "a", 0, false },  { "abc", 1, false },
		{ "abcd", 1, false }, { "ab", 2, false }, { "0g", 1, false }, { " 0", 1, false },
		{ "0x", 1, false },   { "@0", 1, false }, { "`0", 1, false }, { "/0", 1, false },
		{ ":0", 1, false },   { "G0", 1, false }, { "-1", 1, false }, { "abzz", 2, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		uint8_t out[2] = { 0x55, 0x55 };

		CHECK(tr_hex_get(tr_view_str(cases[i].text), out, cases[i].n) == cases[i].ok, cases[i].text);
		if (!cases[i].ok)
			CHECK(out[0] == 0x55 && out[1] == 0x55, cases[i].text);
	}
}

/* RFC 4648 10. */
static void b64_gives_the_rfc_examples(void **state)
{
	static const struct {
		const char *plain, *std, *url;
	} cases[] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "+/+/", "-_-_" },
		{ "\xff\xff\xfe", "///+", "___-" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		for (int kind = TR_B64_STD; kind <= TR_B64_URL; kind++) {
			const char *text = kind == TR_B64_STD ? cases[i].std : cases[i].url;
			tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, back = TR_BUF_INIT;
			struct tr_err err;

			tr_b64_add(&b, tr_view_str(cases[i].plain), (enum tr_b64)kind);
			CHECK(tr_view_is(tr_buf_view(&b), text), text);
			CHECK(tr_b64_get(tr_view_str(text), (enum tr_b64)kind, &back, &err) == TR_OK, text);
			CHECK(tr_view_is(tr_buf_view(&back), cases[i].plain), text);
		}
	}
}

static void b64_refuses_every_other_form(void **state)
{
	static const struct {
		const char *label;
		enum tr_b64 kind;
		struct tr_view text;
	} cases[] = {
		{ "no padding", TR_B64_STD, TR_VIEW_LIT("Zg") },
		{ "half the padding", TR_B64_STD, TR_VIEW_LIT("Zg=") },
		{ "too much padding", TR_B64_STD, TR_VIEW_LIT("Zg===") },
		{ "padding of nothing", TR_B64_STD, TR_VIEW_LIT("====") },
		{ "three pads", TR_B64_STD, TR_VIEW_LIT("Z===") },
		{ "a block of padding at the end", TR_B64_STD, TR_VIEW_LIT("Zm9v====") },
		{ "padding in the middle", TR_B64_STD, TR_VIEW_LIT("Zg==Zg==") },
		{ "pad before the last", TR_B64_STD, TR_VIEW_LIT("Zg=v") },
		{ "stray bits, one byte", TR_B64_STD, TR_VIEW_LIT("Zh==") },
		{ "stray bits, two bytes", TR_B64_STD, TR_VIEW_LIT("Zm9=") },
		{ "stray bits, url", TR_B64_URL, TR_VIEW_LIT("Zh") },
		{ "stray bits, url, two bytes", TR_B64_URL, TR_VIEW_LIT("Zm9") },
		{ "single character", TR_B64_URL, TR_VIEW_LIT("Z") },
		{ "five characters", TR_B64_URL, TR_VIEW_LIT("Zm9vZ") },
		{ "padding in url", TR_B64_URL, TR_VIEW_LIT("Zg==") },
		{ "std alphabet in url", TR_B64_URL, TR_VIEW_LIT("+/+/") },
		{ "url alphabet in std", TR_B64_STD, TR_VIEW_LIT("-_-_") },
		{ "line end", TR_B64_STD, TR_VIEW_LIT("Zm9v\n") },
		{ "line end inside", TR_B64_STD, TR_VIEW_LIT("Zm\n9vYg=") },
		{ "space", TR_B64_STD, TR_VIEW_LIT("Zm 9") },
		{ "NUL", TR_B64_STD, TR_VIEW_LIT("Zm\0v") },
		{ "high byte", TR_B64_STD, TR_VIEW_LIT("Zm\xe9v") },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { 0 };

		tr_buf_adds(&b, "x");
		CHECK(tr_b64_get(cases[i].text, cases[i].kind, &b, &err) == TR_E_INVALID, cases[i].label);
		CHECK(err.pub && err.detail[0], cases[i].label);
		CHECK(tr_view_is(tr_buf_view(&b), "x"), cases[i].label);
	}
}

static void b64_respects_the_buffers_limit(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 2 };
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_b64_get(TR_VIEW_LIT("Zm9v"), TR_B64_STD, &b, &err), TR_E_INTERNAL);
}

static void utf8_follows_rfc3629(void **state)
{
	static const struct {
		const char *label;
		struct tr_view text;
		bool ok;
	} cases[] = {
		{ "empty", TR_VIEW_LIT(""), true },
		{ "ASCII with NUL", TR_VIEW_LIT("a\0\x7f"), true },
		{ "U+0080", TR_VIEW_LIT("\xc2\x80"), true },
		{ "U+07FF", TR_VIEW_LIT("\xdf\xbf"), true },
		{ "U+0800", TR_VIEW_LIT("\xe0\xa0\x80"), true },
		{ "U+D7FF", TR_VIEW_LIT("\xed\x9f\xbf"), true },
		{ "U+E000", TR_VIEW_LIT("\xee\x80\x80"), true },
		{ "U+FFFF", TR_VIEW_LIT("\xef\xbf\xbf"), true },
		{ "U+10000", TR_VIEW_LIT("\xf0\x90\x80\x80"), true },
		{ "U+10FFFF", TR_VIEW_LIT("\xf4\x8f\xbf\xbf"), true },
		{ "overlong NUL", TR_VIEW_LIT("\xc0\x80"), false },
		{ "overlong slash", TR_VIEW_LIT("\xc1\xaf"), false },
		{ "overlong in three", TR_VIEW_LIT("\xe0\x9f\xbf"), false },
		{ "overlong in four", TR_VIEW_LIT("\xf0\x8f\xbf\xbf"), false },
		{ "surrogate", TR_VIEW_LIT("\xed\xa0\x80"), false },
		{ "last surrogate", TR_VIEW_LIT("\xed\xbf\xbf"), false },
		{ "U+110000", TR_VIEW_LIT("\xf4\x90\x80\x80"), false },
		{ "five bytes", TR_VIEW_LIT("\xf8\x88\x80\x80\x80"), false },
		{ "lone continuation", TR_VIEW_LIT("\x80"), false },
		{ "cut after one", TR_VIEW_LIT("\xc2"), false },
		{ "cut after two", TR_VIEW_LIT("\xe2\x82"), false },
		{ "cut after three", TR_VIEW_LIT("\xf0\x90\x80"), false },
		{ "ASCII inside", TR_VIEW_LIT("\xe2\x28\xa1"), false },
		{ "bad third", TR_VIEW_LIT("\xe2\x82\x28"), false },
		{ "bad fourth", TR_VIEW_LIT("\xf0\x90\x80\x28"), false },
		{ "0xff", TR_VIEW_LIT("\xff"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view v = exact_copy(cases[i].text);

		CHECK(tr_utf8_ok(v) == cases[i].ok, cases[i].label);
		free((void *)(uintptr_t)v.p);
	}
}

static void time_is_written_as_rfc3339(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ INT64_C(1795309323456), "2026-11-22T01:02:03.456Z" },
		{ INT64_C(951782399999), "2000-02-28T23:59:59.999Z" },
		{ INT64_C(951782400000), "2000-02-29T00:00:00.000Z" },
		{ INT64_C(4107542400000), "2100-03-01T00:00:00.000Z" },
		{ INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
		{ INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		int64_t back = 0;

		tr_rfc3339_add(&b, cases[i].ms);
		assert_string_equal(tr_buf_cstr(&b), cases[i].text);
		assert_int_equal(b.n, TR_RFC3339_LEN);
		assert_true(tr_rfc3339_get(tr_buf_view(&b), &back));
		if (cases[i].ms != INT64_MAX && cases[i].ms != INT64_MIN)
			assert_true(back == cases[i].ms);
	}
}

static void time_is_read_strictly(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t ms;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", true, 0 },
		{ "1970-01-01t00:00:00z", true, 0 },
		{ "1970-01-01T01:30:00+01:30", true, 0 },
		{ "1969-12-31T23:59:00-00:01", true, 0 },
		{ "1970-01-01T00:00:00-00:00", true, 0 },
		{ "1970-01-01T00:00:00.1Z", true, 100 },
		{ "1970-01-01T00:00:00.0019999999999999999999Z", true, 1 },
		{ "1969-12-31T23:59:59.9999Z", true, -1 },
		{ "2000-02-29T00:00:00Z", true, INT64_C(951782400000) },
		{ "2016-12-31T23:59:60Z", true, INT64_C(1483228800000) },
		{ "2016-12-31T23:59:60.5Z", true, INT64_C(1483228800500) },
		{ "2017-01-01T00:59:60+01:00", true, INT64_C(1483228800000) },
		{ "2016-12-31T22:59:60Z", false, 0 },
		{ "2016-12-31T23:59:61Z", false, 0 },
		{ "2100-02-29T00:00:00Z", false, 0 },
		{ "2001-02-29T00:00:00Z", false, 0 },
		{ "2001-04-31T00:00:00Z", false, 0 },
		{ "2001-00-01T00:00:00Z", false, 0 },
		{ "2001-13-01T00:00:00Z", false, 0 },
		{ "2001-01-00T00:00:00Z", false, 0 },
		{ "2001-01-01T24:00:00Z", false, 0 },
		{ "2001-01-01T00:60:00Z", false, 0 },
		{ "2001-01-01 00:00:00Z", false, 0 },
		{ "2001-01-01T00:00:00", false, 0 },
		{ "2001-01-01T00:00:00.Z", false, 0 },
		{ "2001-01-01T00:00:00,5Z", false, 0 },
		{ "2001-01-01T00:00:00Z ", false, 0 },
		{ " 2001-01-01T00:00:00Z", false, 0 },
		{ "2001-01-01T00:00:00+0100", false, 0 },
		{ "2001-01-01T00:00:00+24:00", false, 0 },
		{ "2001-01-01T00:00:00+01:60", false, 0 },
		{ "2001-01-01T00:00Z", false, 0 },
		{ "2001-1-01T00:00:00Z", false, 0 },
		{ "20010-01-01T00:00:00Z", false, 0 },
		{ "-001-01-01T00:00:00Z", false, 0 },
		{ "+2001-01-01T00:00:00Z", false, 0 },
		{ "0000-01-01T00:00:00+00:01", false, 0 },
		{ "9999-12-31T23:59:59-00:01", false, 0 },
		{ "9999-12-31T23:59:60Z", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct tr_view v = exact_copy(tr_view_str(cases[i].text));
		int64_t ms = 77;

		CHECK(tr_rfc3339_get(v, &ms) == cases[i].ok, cases[i].text);
		CHECK(ms == (cases[i].ok ? cases[i].ms : 77), cases[i].text);
		free((void *)(uintptr_t)v.p);
	}
}

static void time_agrees_with_third_party_vectors(void **state)
{
	tr_auto(tr_json_free) struct tr_json *j = vectors("formats/date-time.json");
	size_t strings = 0;

	(void)state;
	for (size_t g = 0; g < tr_json_len(tr_json_root(j)); g++) {
		tr_jnode tests = tr_json_get(tr_json_at(tr_json_root(j), g), "tests");

		for (size_t i = 0; i < tr_json_len(tests); i++) {
			tr_jnode t = tr_json_at(tests, i);
			struct tr_view text;
			int64_t ms;
			bool want;

			if (!tr_json_str(tr_json_get(t, "data"), &text))
				continue;
			assert_true(tr_json_bool(tr_json_get(t, "valid"), &want));
			if (tr_rfc3339_get(text, &ms) != want)
				fail_msg("%.*s", TR_VIEW_FMT(text));
			strings++;
		}
	}
	assert_true(strings > 20);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_round_trips),
		cmocka_unit_test(hex_is_strict),
		cmocka_unit_test(b64_gives_the_rfc_examples),
		cmocka_unit_test(b64_refuses_every_other_form),
		cmocka_unit_test(b64_respects_the_buffers_limit),
		cmocka_unit_test(utf8_follows_rfc3629),
		cmocka_unit_test(time_is_written_as_rfc3339),
		cmocka_unit_test(time_is_read_strictly),
		cmocka_unit_test(time_agrees_with_third_party_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
