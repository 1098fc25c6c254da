/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/obey_sample.h"

static const size_t nobody[2], one[2] = { K_OP_A, 0 }, two[2] = { K_OP_A, K_OP_B };

static struct tr_command_scope scope(const struct tr_keyset *ks)
{
	return (struct tr_command_scope){ .trust_domain = TR_VIEW_LIT("fleet.example"),
					  .agent_id = TR_VIEW_LIT("web-1"),
					  .epoch = 2,
					  .keyset = ks,
					  .now_ms = NOW_MS };
}

static const size_t *approvers(enum tr_cmd cmd)
{
	static const size_t *const by_class[] = { nobody, one, two };

	return by_class[tr_cmd_type(cmd)->class];
}

static void every_command_is_obeyed_as_it_was_signed(void **state)
{
	struct tr_keyset ks = obey_keyset();
	struct tr_command_scope s = scope(&ks);

	(void)state;
	for (unsigned i = TR_CMD_STATUS; i < TR_CMD_N; i++) {
		tr_auto(obey_made_done) struct obey_made m = { 0 };
		const char *label = tr_cmd_type(i)->name;
		struct tr_order in = obey_order((enum tr_cmd)i), order;
		struct tr_command c;
		uint8_t digest[32];
		bool authentic;
		struct tr_err err;

		obey_make(&m, &in, K_COMMAND, approvers((enum tr_cmd)i));
		if (tr_command_verify(tr_buf_view(&m.command), &s, &c, &order, digest, &authentic, &err))
			fail_msg("%s: %s: %s", label, err.pub, err.detail);
		CHECK(authentic, label);
		CHECK(tr_view_eq(c.order, tr_buf_view(&m.order)) && order.cmd == i, label);
		CHECK(c.epoch == 2 && c.line == 1795000000000 && c.seq == 7 && c.keyset_epoch == 1, label);
		CHECK(c.issued_ms == NOW_MS - 1000 && c.expires_ms == in.expires_ms, label);
		CHECK(m.command.n <= TR_COMMAND_MAX, label);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_obeyed_as_it_was_signed),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
