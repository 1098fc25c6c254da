/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW INT64_C(1795312800000) /* 2026-11-22T02:00:00Z */

static void nothing_from_a_server_drives_the_terminal(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "plain ä€🙂", "plain ä€🙂" },
		{ "\033[2J", "\\u{1b}[2J" },
		{ "a\nb\tc\rd", "a\\u{a}b\\u{9}c\\u{d}d" },
		{ "\x7f", "\\u{7f}" },
		{ "\xc2\x9b" "31m", "\\u{9b}31m" },		/* CSI in one character */
		{ "a\xe2\x80\xae" "b", "a\\u{202e}b" },		/* right-to-left override */
		{ "\xe2\x81\xa6", "\\u{2066}" },		/* isolate */
		{ "\xe2\x80\x8b", "\\u{200b}" },		/* zero width */
		{ "\xef\xbb\xbf", "\\u{feff}" },
		{ "\xff\xc3", "\\xff\\xc3" },			/* no UTF-8 */
		{ "\xc0\x9b", "\\xc0\\x9b" },			/* overlong ESC */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* surrogate */
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_out_escape(&b, tr_view_str(cases[i].in));
		assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
}

static void times_are_said_as_people_say_them(void **state)
{
	static const struct {
		int64_t s;
		const char *want;
	} cases[] = {
		{ 0, "0 s ago" },	  { -12, "12 s ago" },	      { -119, "119 s ago" },
		{ -120, "2 min ago" },	  { -3600, "60 min ago" },    { -7199, "120 min ago" },
		{ -7200, "2 h ago" },	  { -86400, "24 h ago" },     { -172800, "2 days ago" },
		{ 1, "0 s ago" },	  { 2, "in 2 s" },	      { 3599, "in 60 min" },
		{ 31535999, "in 365 days" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_out_relative(&b, NOW + cases[i].s * 1000, NOW);
		assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
}

static const struct tr_col cols[] = {
	{ "ID", "id", TR_CELL_TEXT },	  { "STATE", "state", TR_CELL_STATE }, { "N", "n", TR_CELL_COUNT },
	{ "HASH", "hash", TR_CELL_HASH }, { "SEEN", "seen", TR_CELL_TIME },    { "OK", "ok", TR_CELL_YES },
};

static void table_on(size_t screen, const char *json, bool colour, struct tr_buf *b)
{
	const struct tr_out_look look = { colour, screen, "hash nothing ok seen", NOW };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_jnode rows[8];
	struct tr_err err;
	size_t n;

	assert_int_equal(tr_json_parse(tr_view_str(json), &doc, &err), TR_OK);
	n = tr_json_len(tr_json_root(doc));
	for (size_t i = 0; i < n; i++)
		rows[i] = tr_json_at(tr_json_root(doc), i);
	tr_out_table(b, cols, TR_ARRAY_LEN(cols), rows, n, &look);
	assert_true(tr_buf_ok(b));
}

static void table(const char *json, bool colour, struct tr_buf *b)
{
	table_on(0, json, colour, b);
}

static void a_narrow_screen_gets_fewer_columns(void **state)
{
	static const struct {
		size_t screen;
		const char *want;
	} cases[] = {
		{ 42, "ID  STATE   N  HASH          SEEN      OK\na   active  1  001122334455  60 s ago  yes\n" },
		{ 41, "ID  STATE   N  SEEN      OK\na   active  1  60 s ago  yes\n" },
		{ 28, "ID  STATE   N  SEEN      OK\na   active  1  60 s ago  yes\n" },
		{ 27, "ID  STATE   N  SEEN\na   active  1  60 s ago\n" },
		{ 23, "ID  STATE   N  SEEN\na   active  1  60 s ago\n" },
		{ 22, "ID  STATE   N\na   active  1\n" },
		{ 1, "ID  STATE   N\na   active  1\n" }, /* what is left is always shown */
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		table_on(cases[i].screen,
			 "[{\"id\":\"a\",\"state\":\"active\",\"n\":1,\"hash\":\"00112233445566778899\","
			 "\"seen\":\"2026-11-22T01:59:00Z\",\"ok\":true}]",
			 false, &b);
		assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
}

static void columns_are_aligned(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	table("[{\"id\":\"wéb\",\"state\":\"active\",\"n\":1,\"hash\":\"00112233445566778899\","
	      "\"seen\":\"2026-11-22T01:59:00Z\",\"ok\":true},"
	      "{\"id\":\"longer-1\",\"state\":\"x\\u001b\",\"n\":12345,\"hash\":\"\",\"seen\":null,\"ok\":false,\"more\":1},"
	      "{}]",
	      false, &b);
	assert_string_equal(tr_buf_cstr(&b), "ID        STATE        N  HASH          SEEN      OK\n"
					     "wéb       active       1  001122334455  60 s ago  yes\n"
					     "longer-1  x\\u{1b}  12345  -             -         no\n"
					     "-         -            -  -             -         -\n");
}

static void an_empty_table_has_its_titles(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	table("[]", true, &b);
	assert_string_equal(tr_buf_cstr(&b), "ID  STATE  N  HASH  SEEN  OK\n");
}

static void colours_do_not_move_columns(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	table("[{\"id\":\"a\",\"state\":\"revoked\"},{\"id\":\"b\",\"state\":\"odd\"}]", true, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "a   \033[31mrevoked\033[0m  -"));
	assert_non_null(strstr(tr_buf_cstr(&b), "b   odd      -"));
}

static void long_text_is_cut_between_characters(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const char *line;

	(void)state;
	table("[{\"hash\":\"ääääääääääää\"}]", false, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "  ääääääääääää  "));
	tr_buf_clear(&b);
	table("[{\"hash\":\"aääääääääääää\"}]", false, &b);
	assert_non_null(strstr(tr_buf_cstr(&b), "  aäääääääääää  "));
	tr_buf_clear(&b);
	table("[{\"id\":\"ääääääääääääääääääääääääääääääääääääääääääääääääääääääää\"}]", false, &b);
	line = strchr(tr_buf_cstr(&b), '\n') + 1;
	assert_memory_equal(line + 47 * 2, "…", 3);
	assert_true(tr_out_width(tr_view(line, 47 * 2 + 3)) == 48);
}

static void lines_leave_empty_values_out(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_json_parse(TR_VIEW_LIT("{\"id\":\"a\",\"state\":\"\",\"hash\":\"00112233445566\",\"seen\":\"2026-11-22T02:00:10Z\"}"),
				       &doc, &err), TR_OK);
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(doc), false, NOW);
	assert_string_equal(tr_buf_cstr(&b), "ID     a\nHASH   00112233445566\nSEEN   2026-11-22T02:00:10.000Z (in 10 s)\n");
}

static void problems(void **state)
{
	static const struct {
		const char *body, *want;
	} cases[] = {
		{ "{\"title\":\"Conflict\",\"code\":\"key_in_use\",\"detail\":\"Do this.\",\"request_id\":\"core-1\"}",
		  "Conflict (key_in_use, status 409)\n  Do this.\n  request core-1\n" },
		{ "{\"code\":\"x\"}", "Refused (x, status 409)\n" },
		{ "{\"code\":\"x\\u001b[1m\",\"title\":\"\\u001b]0;t\\u0007\",\"detail\":\"a\\nb\"}",
		  "\\u{1b}]0;t\\u{7} (x\\u{1b}[1m, status 409)\n  a\\u{a}b\n" },
		{ "{\"title\":\"no code\"}", "the server answered with status 409 and no reason that this program understands\n" },
		{ "<html>", "the server answered with status 409 and no reason that this program understands\n" },
		{ "[]", "the server answered with status 409 and no reason that this program understands\n" },
		{ "", "the server answered with status 409 and no reason that this program understands\n" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_out_problem(&b, 409, tr_view_str(cases[i].body));
		assert_string_equal(tr_buf_cstr(&b), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_from_a_server_drives_the_terminal),
		cmocka_unit_test(times_are_said_as_people_say_them),
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(a_narrow_screen_gets_fewer_columns),
		cmocka_unit_test(an_empty_table_has_its_titles),
		cmocka_unit_test(colours_do_not_move_columns),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(lines_leave_empty_values_out),
		cmocka_unit_test(problems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
