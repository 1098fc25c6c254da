/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same payload, and nobody else's bytes verify. */
#include "signed/signed_fuzz.h"

#include "signed/release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size), kid;
	struct tr_release r;
	struct tr_err err;

	ORACLE(tr_release_verify(in, tr_privkey_pub(k), &r, &err) != TR_OK);
	if (tr_release_unverified(in, &r, &err) == TR_OK)
		ORACLE(tr_release_unverified_kid(in, &kid, &err) == TR_OK && kid.n == TR_KID_LEN);
	if (size > TR_RELEASE_MAX)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_RELEASE_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_release_verify(tr_buf_view(&object), tr_privkey_pub(k), &r, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID);
		return 0;
	}
	ORACLE(tr_release_sign(&r, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(payload_of(&again), in));
	return 0;
}
