/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same object and lives for at most two days; nobody else's bytes verify. */
#include "signed/signed_fuzz.h"

#include "signed/prekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_prekey p;
	struct tr_err err;

	ORACLE(tr_prekey_verify(in, tr_privkey_pub(k), &p, &err) != TR_OK);
	if (size > TR_PREKEY_MAX - 128)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_PREKEY_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_prekey_verify(tr_buf_view(&object), tr_privkey_pub(k), &p, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return 0;
	}
	ORACLE(p.not_after > p.not_before && p.not_after - p.not_before <= TR_PREKEY_LIFE_S);
	ORACLE(tr_prekey_sign(&p, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
	return 0;
}
