/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same bytes, has a text that people can read, and breaks no rule. */
#include "signed/signed_fuzz.h"

#include "signed/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT, text = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_order o;
	struct tr_err err;
	enum tr_code rc = tr_order_decode(in, &o, &err);

	if (rc != TR_OK) {
		ORACLE((rc == TR_E_INVALID || rc == TR_E_NOTFOUND) && rc == err.code && err.pub);
		ORACLE(rc != TR_E_NOTFOUND || !tr_cmd_type(o.cmd));
	}
	if (rc == TR_OK || rc == TR_E_NOTFOUND) {
		tr_order_text(&o, &text);
		ORACLE(tr_buf_ok(&text) && tr_order_line_ok(tr_buf_view(&text)));
		ORACLE(tr_order_check(&o, &err) == (rc ? TR_E_INVALID : TR_OK));
	}
	if (rc == TR_OK) {
		ORACLE(tr_order_encode(&o, &again, &err) == TR_OK);
		ORACLE(tr_view_eq(tr_buf_view(&again), in));
	}
	return 0;
}
