/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same payload, and nobody else's bytes verify. */
#include "signed/signed_fuzz.h"

#include "signed/claim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_claim c;
	uint8_t digest[32];
	struct tr_err err;

	ORACLE(tr_claim_verify(in, tr_privkey_pub(k), &c, &err) != TR_OK);
	if (tr_claim_digest(in, digest, &err) != TR_OK)
		ORACLE(err.code == TR_E_INVALID && err.pub);
	if (size > TR_CLAIM_MAX)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_CLAIM_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_claim_verify(tr_buf_view(&object), tr_privkey_pub(k), &c, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID || err.code == TR_E_CONFLICT);
		return 0;
	}
	ORACLE(tr_claim_sign(&c, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(payload_of(&again), in));
	return 0;
}
