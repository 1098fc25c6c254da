/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted keeps what is known of it. */
#include "signed/signed_fuzz.h"

#include "signed/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf once = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_delivery d;
	struct tr_err err;

	if (tr_delivery_get(in, &d, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return 0;
	}
	/* What it does not know it leaves out; what it knows it keeps. */
	tr_delivery_put(&d, &once);
	ORACLE(tr_buf_ok(&once) && tr_delivery_get(tr_buf_view(&once), &d, &err) == TR_OK);
	tr_delivery_put(&d, &again);
	ORACLE(tr_buf_ok(&again) && tr_view_eq(tr_buf_view(&again), tr_buf_view(&once)));
	return 0;
}
