/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static struct tr_receipt sample(void)
{
	return (struct tr_receipt){ .agent_id = TR_VIEW_LIT("web-1"),
				    .cmd_id = { 1, 2, 3 },
				    .command = { 4, 5, 6 },
				    .line = 1795000000000,
				    .seq = 7,
				    .state = TR_CS_FAILED,
				    .code = TR_VIEW_LIT("no_room"),
				    .result = TR_VIEW_LIT("{\"free\":0}"),
				    .at_ns = NOW_MS * 1000000,
				    .position = 12,
				    .keyset_epoch = 3,
				    .high = 9,
				    .n_missing = 2,
				    .missing = { 5, 8 } };
}

static void a_receipt_comes_back_as_it_was_signed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_receipt in = sample(), out;

	(void)state;
	MUST(tr_receipt_sign(&in, obey_keys[K_AGENT], &b, &must));
	MUST(tr_receipt_verify(tr_buf_view(&b), tr_privkey_pub(obey_keys[K_AGENT]), &out, &must));
	assert_true(tr_view_eq(in.agent_id, out.agent_id) && in.line == out.line && in.seq == out.seq);
	assert_memory_equal(in.cmd_id, out.cmd_id, sizeof(in.cmd_id));
	assert_memory_equal(in.command, out.command, sizeof(in.command));
	assert_true(in.state == out.state && in.at_ns == out.at_ns && in.position == out.position &&
		    in.keyset_epoch == out.keyset_epoch && in.high == out.high);
	assert_true(tr_view_eq(in.code, out.code) && tr_view_eq(in.result, out.result));
	assert_int_equal(out.n_missing, 2);
	assert_memory_equal(in.missing, out.missing, sizeof(in.missing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_receipt_comes_back_as_it_was_signed),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
