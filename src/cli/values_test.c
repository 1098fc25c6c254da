/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/statement.h"

static void durations(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t s;
	} cases[] = {
		{ "0", true, 0 },	{ "90", true, 90 },	  { "90s", true, 90 },	      { "15m", true, 900 },
		{ "1h", true, 3600 },	{ "7d", true, 604800 },	  { "2w", true, 1209600 },    { "999999999999w", true, 604799999999395200 },
		{ "", false, 0 },	{ "h", false, 0 },	  { "-1h", false, 0 },	      { "+1h", false, 0 },
		{ "1.5h", false, 0 },	{ "1h30m", false, 0 },	  { "1 h", false, 0 },	      { " 1h", false, 0 },
		{ "1H", false, 0 },	{ "1hh", false, 0 },	  { "1y", false, 0 },	      { "0x10", false, 0 },
		{ "9999999999999", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		uint64_t s = 77;

		if (tr_cli_duration(cases[i].text, &s) != cases[i].ok)
			fail_msg("\"%s\"", cases[i].text);
		assert_int_equal(s, cases[i].ok ? cases[i].s : 77);
	}
}

static void times(void **state)
{
	static const int64_t now = INT64_C(1795312800000); /* 2026-11-22T02:00:00Z */
	static const struct {
		const char *text;
		bool ok;
		int64_t ms;
	} cases[] = {
		{ "now", true, INT64_C(1795312800000) },
		{ "2026-11-22", true, INT64_C(1795305600000) },
		{ "2026-11-22T02:00:01Z", true, INT64_C(1795312801000) },
		{ "2026-11-22T03:00:00+01:00", true, INT64_C(1795312800000) },
		{ "1d", true, INT64_C(1795399200000) },
		{ "0s", true, INT64_C(1795312800000) },
		{ "2026-02-30", false, 0 },
		{ "2026-1-1", false, 0 },
		{ "1795312800", false, 0 }, /* a time or a length of time? */
		{ "tomorrow", false, 0 },
		{ "", false, 0 },
		{ "99999999w", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		int64_t ms = 77;

		if (tr_cli_time(cases[i].text, now, &ms) != cases[i].ok || ms != (cases[i].ok ? cases[i].ms : 77))
			fail_msg("\"%s\": %lld", cases[i].text, (long long)ms);
	}
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void fingerprints(void **state)
{
	uint8_t out[32];

	(void)state;
	assert_true(tr_cli_fingerprint(HEX64, out));
	assert_true(tr_cli_fingerprint("sha256:" HEX64, out));
	assert_int_equal(out[1], 0x11);
	assert_false(tr_cli_fingerprint(HEX64 "0", out));
	assert_false(tr_cli_fingerprint("sha256:", out));
	assert_false(tr_cli_fingerprint("SHA256:" HEX64, out));
	assert_false(tr_cli_fingerprint("", out));
}

static void a_body_escapes_what_was_typed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_buf_adds(&b, "{");
	tr_cli_put(&b, "absent", NULL);
	tr_cli_put(&b, "a", "\"}\n");
	tr_cli_put_number(&b, "n", 7);
	tr_cli_put(&b, "empty", "");
	tr_buf_adds(&b, "}");
	assert_string_equal(tr_buf_cstr(&b), "{\"a\":\"\\\"}\\n\",\"n\":7,\"empty\":\"\"}");
}

static void a_query_escapes_what_was_typed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	tr_buf_adds(&b, "/x");
	tr_cli_query(&b, "none", NULL);
	tr_cli_query(&b, "a", "b c&d=é/?#%");
	tr_cli_query(&b, "z", "A-z.0_9~");
	assert_string_equal(tr_buf_cstr(&b), "/x?a=b%20c%26d%3D%C3%A9%2F%3F%23%25&z=A-z.0_9~");
}

static void a_word_is_one_of_those_named(void **state)
{
	(void)state;
	assert_true(tr_cli_word("--x", NULL, "one two"));
	assert_true(tr_cli_word("--x", "one", "one two"));
	assert_true(tr_cli_word("--x", "two", "one two"));
	assert_false(tr_cli_word("--x", "", "one two"));
	assert_false(tr_cli_word("--x", "tw", "one two"));
	assert_false(tr_cli_word("--x", "one two", "one two"));
}

static void platforms(void **state)
{
	char out[32];

	(void)state;
	tr_statement_platform("Linux", "x86_64", out, sizeof(out));
	assert_string_equal(out, "linux-amd64");
	tr_statement_platform("Linux", "aarch64", out, sizeof(out));
	assert_string_equal(out, "linux-arm64");
	tr_statement_platform("Linux", "riscv64", out, sizeof(out));
	assert_string_equal(out, "linux-riscv64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(times),
		cmocka_unit_test(fingerprints),
		cmocka_unit_test(a_body_escapes_what_was_typed),
		cmocka_unit_test(a_query_escapes_what_was_typed),
		cmocka_unit_test(a_word_is_one_of_those_named),
		cmocka_unit_test(platforms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
