/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same object, its result is JSON, and nobody else's bytes verify. */
#include "signed/signed_fuzz.h"

#include "codec/json.h"
#include "signed/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_view in = tr_view(data, size);
	struct tr_receipt r;
	struct tr_err err;

	ORACLE(tr_receipt_verify(in, tr_privkey_pub(k), &r, &err) != TR_OK);
	if (size > TR_RECEIPT_MAX - 256)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_RECEIPT_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_receipt_verify(tr_buf_view(&object), tr_privkey_pub(k), &r, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return 0;
	}
	ORACLE(tr_receipt_sign(&r, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
	ORACLE(!r.result.n || (!tr_json_parse(r.result, &j, &err) && tr_json_is_object(tr_json_root(j))));
	return 0;
}
