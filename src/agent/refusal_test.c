/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void a_refusal_is_told_whole(void **state)
{
	static const struct {
		const char *label, *body, *want;
	} cases[] = {
		{ "clock desync, both times shown",
		  "{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,\"code\":\"clock_"
		  "desync\","
		  "\"detail\":\"Set the "
		  "clock.\",\"request_id\":\"r1\",\"server_time\":\"2026-11-22T01:10:00.000Z\","
		  "\"claim_time\":\"2026-11-22T01:00:00.000Z\",\"skew_seconds\":-600}",
		  "Unauthorized (clock_desync, status 401)\n  Set the clock.\n  request_id     r1\n"
		  "  server_time    2026-11-22T01:10:00.000Z\n  claim_time     2026-11-22T01:00:00.000Z\n"
		  "  skew_seconds   -600\n" },
		{ "no title", "{\"code\":\"token_invalid\",\"detail\":\"Ask for another.\"}",
		  "refused (token_invalid, status 401)\n  Ask for another.\n" },
		{ "control bytes stay out",
		  "{\"code\":\"x\",\"detail\":\"a\\u001b[2Jb\\nc\",\"m\\u0007\":[1,\"\\u007f\"]}",
		  "refused (x, status 401)\n  a?[2Jb?c\n  m?             [1,\"?\"]\n" },
		{ "a NUL in a string is no JSON of ours",
		  "{\"code\":\"x\",\"checks\":[{\"check\":\"key\",\"ok\":true},{\"check\":\"hash\",\"ok\":"
		  "false,"
		  "\"expected\":\"a\",\"seen\":\"b\\u0000\"},7,{}]}",
		  "the server answered with status 401 and no reason that this agent understands\n" },
		{ "checks that failed, well formed",
		  "{\"code\":\"x\",\"checks\":[{\"check\":\"key\",\"ok\":true},{\"check\":\"hash\",\"ok\":"
		  "false,"
		  "\"expected\":\"a\",\"seen\":\"b\"},7]}",
		  "refused (x, status 401)\n  failed check   hash: expected a; seen b\n" },
		{ "HTML of somebody else", "<html>no</html>",
		  "the server answered with status 401 and no reason that this agent understands\n" },
		{ "empty", "",
		  "the server answered with status 401 and no reason that this agent understands\n" },
		{ "no object", "[1]",
		  "the server answered with status 401 and no reason that this agent understands\n" },
		{ "code of another type", "{\"code\":7}",
		  "the server answered with status 401 and no reason that this agent understands\n" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_refusal_text(401, tr_view_str(cases[i].body), &b);
		if (strcmp(tr_buf_cstr(&b), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].label, tr_buf_cstr(&b));
	}
}

static void long_texts_are_cut_between_characters(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_said_no r;

	(void)state;
	tr_buf_adds(&b, "{\"code\":\"");
	for (int i = 0; i < 62; i++)
		tr_buf_add8(&b, 'a');
	tr_buf_adds(&b, "\xc3\xa4\"}");
	tr_refusal_read(tr_buf_view(&b), &r);
	assert_int_equal(strlen(r.code), 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_is_told_whole),
		cmocka_unit_test(long_texts_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
