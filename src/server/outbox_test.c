/* SPDX-License-Identifier: Apache-2.0 */
#include "server/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW INT64_C(1795000000000)

static void names_go_both_ways(void **state)
{
	(void)state;
	for (unsigned s = 0; s < TR_OUT_N; s++) {
		assert_int_equal(tr_out_of(tr_view_str(tr_out_name((enum tr_out)s))), s);
		assert_int_equal(tr_out_over((enum tr_out)s), s >= TR_OUT_DONE);
	}
	assert_int_equal(tr_out_of(TR_VIEW_LIT("finished")), TR_OUT_N);
	assert_int_equal(tr_out_of(tr_view(NULL, 0)), TR_OUT_N);
}

/* The whole table, as people would draw it: rows are where it is, a letter where it may go. */
static void only_these_states_follow(void **state)
{
	static const char *const may[TR_OUT_N] = {
		/* wpsRSdfureC: waiting pending sent Received Started done failed unknown refused expired Cancelled */
		[TR_OUT_WAITING] = ".p.......eC",
		[TR_OUT_PENDING] = ".psRSdfureC",
		[TR_OUT_SENT] = ".psRSdfureC",
		[TR_OUT_RECEIVED] = ".p..SdfureC",
		[TR_OUT_STARTED] = ".....dfu...",
		[TR_OUT_DONE] = "...........",
		[TR_OUT_FAILED] = "...........",
		[TR_OUT_UNKNOWN] = ".....df....",
		[TR_OUT_REFUSED] = "....Sdfu..C",
		[TR_OUT_EXPIRED] = "...RSdfur.C",
		[TR_OUT_CANCELLED] = "....Sdfu...",
	};

	(void)state;
	for (unsigned from = 0; from < TR_OUT_N; from++)
		for (unsigned to = 0; to < TR_OUT_N; to++)
			if (tr_out_may((enum tr_out)from, (enum tr_out)to) != (may[from][to] != '.'))
				fail_msg("%s to %s", tr_out_name((enum tr_out)from), tr_out_name((enum tr_out)to));
	assert_false(tr_out_may(TR_OUT_N, TR_OUT_DONE));
	assert_false(tr_out_may(TR_OUT_SENT, TR_OUT_N));
}

static void handed_out_in_time_and_again(void **state)
{
	static const struct {
		enum tr_out s;
		int64_t expires, given;
		bool due;
	} rows[] = {
		{ TR_OUT_PENDING, NOW + 1000, 0, true },
		{ TR_OUT_PENDING, NOW, 0, false },        /* never when its time is over */
		{ TR_OUT_PENDING, NOW - 1, 0, false },
		{ TR_OUT_PENDING, NOW + 1000, NOW, false }, /* its mark is on the way to the disk */
		{ TR_OUT_SENT, NOW + 1000, NOW - 29999, false },
		{ TR_OUT_SENT, NOW + 1000, NOW - 30000, true },
		{ TR_OUT_SENT, NOW + 1000, 0, true },
		{ TR_OUT_SENT, NOW, 0, false },
		{ TR_OUT_WAITING, NOW + 1000, 0, false },
		{ TR_OUT_RECEIVED, NOW + 1000, 0, false },
		{ TR_OUT_STARTED, NOW + 1000, 0, false },
		{ TR_OUT_DONE, NOW + 1000, 0, false },
		{ TR_OUT_CANCELLED, NOW + 1000, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		if (tr_out_due(rows[i].s, rows[i].expires, rows[i].given, NOW, NOW) != rows[i].due)
			fail_msg("row %zu", i);
}

static void the_clock_ends_what_has_not_begun(void **state)
{
	static const struct {
		enum tr_out s;
		int64_t ago;
		enum tr_out then;
	} rows[] = {
		{ TR_OUT_WAITING, -1, TR_OUT_WAITING },
		{ TR_OUT_WAITING, 0, TR_OUT_EXPIRED },
		{ TR_OUT_PENDING, 0, TR_OUT_EXPIRED },
		{ TR_OUT_SENT, 0, TR_OUT_SENT }, /* its receipt may be on the way */
		{ TR_OUT_SENT, TR_OUT_RECEIPT_GRACE_MS, TR_OUT_EXPIRED },
		{ TR_OUT_RECEIVED, TR_OUT_RECEIPT_GRACE_MS - 1, TR_OUT_RECEIVED },
		{ TR_OUT_RECEIVED, TR_OUT_RECEIPT_GRACE_MS, TR_OUT_EXPIRED },
		{ TR_OUT_STARTED, TR_OUT_RECEIPT_GRACE_MS, TR_OUT_STARTED },
		{ TR_OUT_STARTED, TR_OUT_SILENT_MS, TR_OUT_UNKNOWN },
		{ TR_OUT_DONE, TR_OUT_SILENT_MS, TR_OUT_DONE },
		{ TR_OUT_REFUSED, TR_OUT_SILENT_MS, TR_OUT_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		if (tr_out_by_clock(rows[i].s, NOW - rows[i].ago, NOW) != rows[i].then)
			fail_msg("row %zu", i);
}

/* A command in `from`, signed as line 7 number 5, last heard at position 10. */
static struct tr_command_row command(enum tr_out from)
{
	struct tr_command_row row = { .line = 7, .seq = 5, .position = 10, .code = TR_VIEW_LIT("old") };

	tr_out_enter(&row, from, NOW - 1000);
	return row;
}

static void a_receipt_changes_what_it_may(void **state)
{
	static const struct {
		enum tr_out from;
		uint64_t said, seq, position;
		bool forged;
		enum tr_out_effect effect;
		enum tr_out then;
	} rows[] = {
		{ TR_OUT_SENT, TR_CS_RECEIVED, 5, 11, false, TR_OUT_CHANGED, TR_OUT_RECEIVED },
		{ TR_OUT_PENDING, TR_CS_DONE, 5, 11, false, TR_OUT_CHANGED, TR_OUT_DONE }, /* quicker than our own mark */
		{ TR_OUT_RECEIVED, TR_CS_STARTED, 5, 11, false, TR_OUT_CHANGED, TR_OUT_STARTED },
		{ TR_OUT_STARTED, TR_CS_FAILED, 5, 12, false, TR_OUT_CHANGED, TR_OUT_FAILED },
		{ TR_OUT_STARTED, TR_CS_UNKNOWN, 5, 12, false, TR_OUT_CHANGED, TR_OUT_UNKNOWN },
		/* Out of order: what is older changes nothing. */
		{ TR_OUT_STARTED, TR_CS_RECEIVED, 5, 9, false, TR_OUT_NOTHING, TR_OUT_STARTED },
		{ TR_OUT_STARTED, TR_CS_RECEIVED, 5, 11, false, TR_OUT_NOTHING, TR_OUT_STARTED },
		{ TR_OUT_SENT, TR_CS_DONE, 5, 9, false, TR_OUT_NOTHING, TR_OUT_SENT },
		{ TR_OUT_DONE, TR_CS_FAILED, 5, 99, false, TR_OUT_NOTHING, TR_OUT_DONE },
		{ TR_OUT_DONE, TR_CS_DONE, 5, 10, false, TR_OUT_NOTHING, TR_OUT_DONE },
		/* Signed anew meanwhile, and answered from the agent's journal, which has not moved. */
		{ TR_OUT_PENDING, TR_CS_RECEIVED, 4, 10, false, TR_OUT_CHANGED, TR_OUT_RECEIVED },
		{ TR_OUT_SENT, TR_CS_DONE, 3, 11, false, TR_OUT_CHANGED, TR_OUT_DONE },
		{ TR_OUT_SENT, TR_CS_REFUSED, 4, 11, false, TR_OUT_EARLIER, TR_OUT_SENT },
		{ TR_OUT_SENT, TR_CS_REFUSED, 5, 11, false, TR_OUT_CHANGED, TR_OUT_REFUSED },
		/* Ended by us, and the agent knows better. */
		{ TR_OUT_EXPIRED, TR_CS_DONE, 5, 11, false, TR_OUT_CHANGED, TR_OUT_DONE },
		{ TR_OUT_EXPIRED, TR_CS_STARTED, 5, 11, false, TR_OUT_CHANGED, TR_OUT_STARTED },
		{ TR_OUT_CANCELLED, TR_CS_DONE, 5, 11, false, TR_OUT_CHANGED, TR_OUT_DONE },
		{ TR_OUT_CANCELLED, TR_CS_RECEIVED, 5, 11, false, TR_OUT_NOTHING, TR_OUT_CANCELLED },
		/* Refused with a signature that somebody had spoilt, and obeyed when the whole one came. */
		{ TR_OUT_REFUSED, TR_CS_STARTED, 5, 11, false, TR_OUT_CHANGED, TR_OUT_STARTED },
		{ TR_OUT_REFUSED, TR_CS_DONE, 5, 11, false, TR_OUT_CHANGED, TR_OUT_DONE },
		{ TR_OUT_REFUSED, TR_CS_DONE, 5, 9, false, TR_OUT_NOTHING, TR_OUT_REFUSED },
		{ TR_OUT_REFUSED, TR_CS_RECEIVED, 5, 11, false, TR_OUT_NOTHING, TR_OUT_REFUSED },
		{ TR_OUT_REFUSED, TR_CS_REFUSED, 5, 11, false, TR_OUT_NOTHING, TR_OUT_REFUSED },
		/* Somebody else's command under an id of ours. */
		{ TR_OUT_SENT, TR_CS_DONE, 6, 11, false, TR_OUT_FORGED, TR_OUT_SENT },
		{ TR_OUT_SENT, TR_CS_DONE, 5, 11, true, TR_OUT_FORGED, TR_OUT_SENT },
		{ TR_OUT_WAITING, TR_CS_DONE, 5, 11, false, TR_OUT_FORGED, TR_OUT_WAITING },
		{ TR_OUT_SENT, 0, 5, 11, false, TR_OUT_NOTHING, TR_OUT_SENT },
		{ TR_OUT_SENT, TR_CS_N, 5, 11, false, TR_OUT_NOTHING, TR_OUT_SENT },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct tr_command_row row = command(rows[i].from);
		struct tr_out_word w = { .state = rows[i].said, .code = TR_VIEW_LIT("new"), .result = TR_VIEW_LIT("{}"),
					 .receipt = TR_VIEW_LIT("cose"), .line = 7, .seq = rows[i].seq,
					 .position = rows[i].position, .ours = !rows[i].forged };

		if (tr_out_hear(&row, &w, NOW) != rows[i].effect || tr_out_of(row.state) != rows[i].then)
			fail_msg("row %zu: %.*s", i, TR_VIEW_FMT(row.state));
		assert_true(tr_view_is(row.code, rows[i].effect == TR_OUT_CHANGED ? "new" : "old"));
		assert_int_equal(row.position, rows[i].effect == TR_OUT_CHANGED ? rows[i].position : 10);
		if (rows[i].effect == TR_OUT_CHANGED) {
			assert_int_equal(row.ended_at, tr_out_over(rows[i].then) ? NOW : 0);
			assert_int_equal(row.acked_at, NOW);
			assert_true(tr_view_is(row.receipt, "cose"));
		}
	}
}

static void another_line_is_not_ours(void **state)
{
	struct tr_command_row row = command(TR_OUT_SENT);
	struct tr_out_word w = { .state = TR_CS_DONE, .line = 8, .seq = 1, .position = 11, .ours = true };

	(void)state;
	assert_int_equal(tr_out_hear(&row, &w, NOW), TR_OUT_FORGED);
	/* Of before a restore: given then, signed anew since. */
	w.line = 6;
	w.seq = 900;
	assert_int_equal(tr_out_hear(&row, &w, NOW), TR_OUT_CHANGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(only_these_states_follow),
		cmocka_unit_test(handed_out_in_time_and_again),
		cmocka_unit_test(the_clock_ends_what_has_not_begun),
		cmocka_unit_test(a_receipt_changes_what_it_may),
		cmocka_unit_test(another_line_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
