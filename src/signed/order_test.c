/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/cbor.h"
#include "signed/order.h"

static const uint8_t other_id[TR_CMD_ID_LEN] = { 9, 9 };
static const uint8_t image[32] = { 7 };

static struct tr_order sample(enum tr_cmd cmd)
{
	const struct tr_cmd_type *t = tr_cmd_type(cmd);
	struct tr_order o = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.agent_id = TR_VIEW_LIT("web-1"),
		.cmd_id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
		.cmd = cmd,
		.ordered_ms = NOW_MS,
		.expires_ms = NOW_MS + t->lifetime_s * INT64_C(1000),
		.seconds = t->seconds ? 30 : 0,
	};

	if (t->text)
		o.text = TR_VIEW_LIT("d\xc3\xa9j\xc3\xa0 vu");
	if (t->target)
		o.target = TR_VIEW_ARRAY(other_id);
	return o;
}

static void every_order_comes_back_as_it_was(void **state)
{
	(void)state;
	for (unsigned full = 0; full < 2; full++) {
		for (unsigned i = TR_CMD_STATUS; i < TR_CMD_N; i++) {
			tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
			const char *label = tr_cmd_type(i)->name;
			struct tr_order in = sample((enum tr_cmd)i), out;
			struct tr_err err;

			if (full) {
				in.not_before_ms = NOW_MS + 3600000;
				in.expires_ms += 3600000;
				in.image = TR_VIEW_ARRAY(image);
			}
			if (tr_order_encode(&in, &b, &err) || tr_order_decode(tr_buf_view(&b), &out, &err))
				fail_msg("%s: %s: %s", label, err.pub, err.detail);
			CHECK(b.n <= TR_ORDER_MAX, label);
			CHECK(tr_view_eq(in.trust_domain, out.trust_domain) && tr_view_eq(in.agent_id, out.agent_id),
			      label);
			CHECK(memcmp(in.cmd_id, out.cmd_id, sizeof(in.cmd_id)) == 0 && in.cmd == out.cmd, label);
			CHECK(in.ordered_ms == out.ordered_ms && in.expires_ms == out.expires_ms &&
				      in.not_before_ms == out.not_before_ms,
			      label);
			CHECK(in.seconds == out.seconds && tr_view_eq(in.image, out.image) &&
				      tr_view_eq(in.text, out.text) && tr_view_eq(in.target, out.target),
			      label);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_comes_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
