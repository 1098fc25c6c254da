/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same bytes. */
#include "signed/signed_fuzz.h"

#include "signed/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_delivery d;
	struct tr_err err;

	if (tr_delivery_get(in, &d, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return 0;
	}
	tr_delivery_put(&d, &again);
	ORACLE(tr_buf_ok(&again) && tr_view_eq(tr_buf_view(&again), in));
	return 0;
}
