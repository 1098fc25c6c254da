/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is readable encodes to the very same object, is believed only for the orders that it names and within its
 * time, and nobody else's bytes are. */
#include "signed/signed_fuzz.h"

#include "signed/approval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tr_keyset ks;
	static struct tr_approval a;
	static const uint8_t other[32] = { 1 };
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size), kid;
	uint8_t id[32];
	struct tr_err err;
	bool named = false;

	ks = (struct tr_keyset){ .trust_domain = TR_VIEW_LIT("fleet.example"), .n_keys = 1 };
	ks.keys[0] = (struct tr_keyset_key){ TR_ROLE_OPERATOR, tr_pubkey_spki(tr_privkey_pub(k)), 0, 0, 0 };
	ORACLE(tr_approval_verify(in, &ks, TR_CLASS_CHANGE, other, 1, id, &err) == TR_E_DENIED);
	if (size > TR_APPROVAL_MAX - 256)
		return 0;
	ORACLE(tr_cose1_sign(k, TR_APPROVAL_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_approval_read(tr_buf_view(&object), &a, &kid, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return 0;
	}
	ORACLE(tr_approval_sign(&a, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
	for (size_t i = 0; i < a.n; i++) {
		enum tr_code rc = tr_approval_verify(tr_buf_view(&object), &ks, TR_CLASS_CHANGE, a.orders[i], a.issued_ms, id,
						     &err);

		ORACLE(rc == (tr_view_eq(a.trust_domain, ks.trust_domain) ? TR_OK : TR_E_DENIED));
		ORACLE(tr_approval_verify(tr_buf_view(&object), &ks, TR_CLASS_CHANGE, a.orders[i], a.expires_ms, id, &err) ==
		       TR_E_DENIED);
		named = named || memcmp(a.orders[i], other, 32) == 0;
	}
	ORACLE(named || tr_approval_verify(tr_buf_view(&object), &ks, TR_CLASS_CHANGE, other, a.issued_ms, id, &err) ==
				TR_E_DENIED);
	return 0;
}
