/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int out[2], real_stderr;
static char line[16384];

static void hear(void)
{
	assert_int_equal(pipe(out), 0);
	real_stderr = dup(STDERR_FILENO);
	assert_true(dup2(out[1], STDERR_FILENO) >= 0);
}

/* What was written to stderr since hear(). */
static const char *heard(void)
{
	ssize_t n;

	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	(void)tr_close(real_stderr);
	(void)tr_close(out[1]);
	n = read(out[0], line, sizeof(line) - 1);
	(void)tr_close(out[0]);
	line[n < 0 ? 0 : n] = '\0';
	return line;
}

static void a_value_never_forges_a_line_or_a_pair(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "web-1", " v=web-1\n" },
		{ "", " v=\"\"\n" },
		{ "two words", " v=\"two words\"\n" },
		{ "a\nlevel=error event=forged", " v=\"a\\x0alevel=error event=forged\"\n" },
		{ "a=b", " v=\"a=b\"\n" },
		{ "say \"x\"", " v=\"say \\\"x\\\"\"\n" },
		{ "back\\slash", " v=\"back\\\\slash\"\n" },
		{ "\x1b[2Jclear", " v=\"\\x1b[2Jclear\"\n" },
		{ "\x7f", " v=\"\\x7f\"\n" },
		{ "\xc3\xa4", " v=\"\\xc3\\xa4\"\n" },
		{ "\t", " v=\"\\x09\"\n" },
	};

	(void)state;
	tr_log_init("test", TR_LOG_INFO);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		const char *at;

		hear();
		tr_log(TR_LOG_INFO, "tried", "v", cases[i].value, NULL);
		at = strstr(heard(), " v=");
		if (!at || strcmp(at, cases[i].want) != 0)
			fail_msg("%zu: %s", i, line);
	}
}

static void a_line_says_when_how_loud_who_and_what(void **state)
{
	(void)state;
	tr_log_init("core", TR_LOG_INFO);
	hear();
	tr_log(TR_LOG_WARN, "agent_revoked", "agent", "web-1", "by", NULL, NULL);
	assert_memory_equal(heard(), "time=2", 6);
	assert_int_equal(line[5 + 23], 'Z'); /* milliseconds, UTC */
	assert_string_equal(line + 5 + 24, " level=warn role=core event=agent_revoked agent=web-1 by=\"\"\n");
}

static void an_error_brings_code_detail_and_place(void **state)
{
	struct tr_err err = { 0 };
	char want[120];

	(void)state;
	(void)tr_err_set(&err, TR_E_BUSY, "public", "the disk\nis full");
	tr_log_init("store", TR_LOG_INFO);
	hear();
	tr_log_err(TR_LOG_ERROR, "commit_failed", &err, "n", "3", NULL);
	(void)snprintf(want, sizeof(want), " event=commit_failed n=3 code=busy detail=\"the disk\\x0ais full\" at=%s:%d\n",
		       err.file, err.line);
	assert_non_null(strstr(heard(), want));
}

static void what_is_below_the_level_is_not_written(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	tr_log_init("test", TR_LOG_WARN);
	hear();
	tr_log(TR_LOG_INFO, "quiet", NULL);
	tr_log_err(TR_LOG_DEBUG, "quiet", &err, NULL);
	tr_log(TR_LOG_WARN, "loud", NULL);
	assert_non_null(strstr(heard(), "event=loud"));
	assert_null(strstr(line, "quiet"));
}

static void the_journal_gets_its_priority(void **state)
{
	(void)state;
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	tr_log_init("test", TR_LOG_INFO);
	hear();
	tr_log(TR_LOG_ERROR, "bad", NULL);
	assert_memory_equal(heard(), "<3>time=", 8);
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void a_giant_value_is_no_partial_line(void **state)
{
	static char giant[9000];

	(void)state;
	memset(giant, 'x', sizeof(giant) - 1);
	tr_log_init("test", TR_LOG_INFO);
	hear();
	tr_log(TR_LOG_INFO, "giant", "v", giant, NULL);
	assert_string_equal(heard(), "");
}

static void formatted_arguments_live_side_by_side(void **state)
{
	const char *a = tr_fmt("%d", 1), *b = tr_fmt_view(TR_VIEW_LIT("two")), *c = tr_fmt("%s", "three");
	static uint8_t big[1000];

	(void)state;
	assert_string_equal(a, "1");
	assert_string_equal(b, "two");
	assert_string_equal(c, "three");
	memset(big, 'x', sizeof(big));
	assert_int_equal(strlen(tr_fmt_view(TR_VIEW_ARRAY(big))), 255);
	assert_string_equal(tr_fmt_view(tr_view(NULL, 0)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_never_forges_a_line_or_a_pair),
		cmocka_unit_test(a_line_says_when_how_loud_who_and_what),
		cmocka_unit_test(an_error_brings_code_detail_and_place),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(the_journal_gets_its_priority),
		cmocka_unit_test(a_giant_value_is_no_partial_line),
		cmocka_unit_test(formatted_arguments_live_side_by_side),
	};

	(void)unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
