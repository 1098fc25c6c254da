/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/message.h"

static void each_number_is_new_once(void **state)
{
	static const struct {
		const char *label;
		uint64_t line, seq;
		enum tr_window_says says;
		uint64_t missing; /* afterwards, when taken */
	} steps[] = {
		{ "first", 5, 1, TR_WINDOW_NEW, 0 },
		{ "again", 5, 1, TR_WINDOW_SEEN, 0 },
		{ "a gap", 5, 4, TR_WINDOW_NEW, 2 },
		{ "late", 5, 2, TR_WINDOW_NEW, 1 },
		{ "late again", 5, 2, TR_WINDOW_SEEN, 1 },
		{ "far ahead", 5, 1028, TR_WINDOW_NEW, 1 + 1023 },
		{ "just out of the window", 5, 4, TR_WINDOW_TOO_OLD, 0 },
		{ "its last", 5, 5, TR_WINDOW_NEW, 1023 },
		{ "its last again", 5, 5, TR_WINDOW_SEEN, 0 },
		{ "jumped over", 5, 1027, TR_WINDOW_NEW, 1022 },
		{ "far beyond", 5, UINT64_C(1) << 62, TR_WINDOW_NEW, 1022 + (UINT64_C(1) << 62) - 1029 },
		{ "all before it", 5, 1028, TR_WINDOW_TOO_OLD, 0 },
		{ "the ring was emptied", 5, (UINT64_C(1) << 62) - 1, TR_WINDOW_NEW, 1022 + (UINT64_C(1) << 62) - 1030 },
		{ "an older line", 4, UINT64_C(1) << 62, TR_WINDOW_OLD_LINE, 0 },
		{ "a newer line", 6, 3, TR_WINDOW_NEW, 2 },
		{ "of which nothing was seen", 6, 2, TR_WINDOW_NEW, 1 },
		{ "the old line is over", 5, 3, TR_WINDOW_OLD_LINE, 0 },
	};
	struct tr_message_window w = { .line = 0 };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(steps); i++) {
		CHECK(tr_window_check(&w, steps[i].line, steps[i].seq) == steps[i].says, steps[i].label);
		tr_window_take(&w, steps[i].line, steps[i].seq);
		if (steps[i].says == TR_WINDOW_NEW)
			CHECK(w.missing == steps[i].missing, steps[i].label);
	}
}

/* Against a table of everything that was taken. */
static void it_agrees_with_a_list(void **state)
{
	static bool seen[8192];
	struct tr_message_window w = { .line = 1 };
	uint32_t x = 12345;
	uint64_t high = 0;

	(void)state;
	for (unsigned i = 0; i < 40000; i++) {
		uint64_t seq, missing = 0;
		enum tr_window_says want;

		x = x * 1664525 + 1013904223;
		seq = 1 + ((uint64_t)i / 8 + (x >> 20) % 1400) % 8000;
		want = TR_WINDOW_NEW;
		if (seq <= high)
			want = high - seq >= 1024 ? TR_WINDOW_TOO_OLD : seen[seq] ? TR_WINDOW_SEEN : TR_WINDOW_NEW;
		assert_int_equal(tr_window_check(&w, 1, seq), want);
		tr_window_take(&w, 1, seq);
		if (want == TR_WINDOW_NEW)
			seen[seq] = true;
		if (seq > high)
			high = seq;
		for (uint64_t s = 1; i % 1000 == 0 && s < high; s++)
			missing += !seen[s];
		if (i % 1000 == 0)
			assert_int_equal(w.missing, missing);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_number_is_new_once),
		cmocka_unit_test(it_agrees_with_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
