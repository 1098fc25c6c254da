/* SPDX-License-Identifier: Apache-2.0 */
/* The step from one keyset to the next. The input is a payload; where it has a predecessor and a root, those of this run
 * are put in, so that the fuzzer gets past the digest. Oracle: what is taken is one epoch on, in the same domain, keeps every
 * revocation, and encodes to the very same bytes; a bare draft says the same as the signed object. */
#include "signed/signed_fuzz.h"

#include "signed/keyset.h"

/* Epoch 1 with the fuzzer's key as its only root. */
static const struct tr_keyset *first(struct tr_buf *bytes)
{
	static struct tr_keyset k;
	const struct tr_privkey *root = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_err err;

	k = (struct tr_keyset){ .trust_domain = TR_VIEW_LIT("fleet.example"),
				.epoch = 1,
				.issued_ms = 1,
				.expires_ms = 2,
				.threshold = 1,
				.n_roots = 1,
				.revocation_number = 1,
				.n_revoked = 1 };
	k.roots[0] = tr_pubkey_spki(tr_privkey_pub(root));
	memset(k.revoked[0], 0x77, 32);
	ORACLE(tr_keyset_payload(&k, &payload, &err) == TR_OK);
	ORACLE(tr_keyset_sign(tr_buf_view(&payload), &root, 1, bytes, &err) == TR_OK);
	return &k;
}

/* Overwrites what the views show within b. */
static void put_in(struct tr_buf *b, struct tr_view at, struct tr_view v)
{
	if (at.n && at.n == v.n)
		memcpy(b->p + (at.p - b->p), v.p, v.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tr_keyset k, seen;
	const struct tr_privkey *root = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf old = TR_BUF_INIT, payload = TR_BUF_INIT, object = TR_BUF_INIT,
					   again = TR_BUF_INIT;
	const struct tr_keyset *prev = first(&old);
	struct tr_keyset_signed by;
	uint8_t digest[32], same[32];
	struct tr_err err;

	ORACLE(tr_keyset_verify_next(tr_buf_view(&old), prev, tr_view(data, size), 1, &k, &err) != TR_OK && err.pub);
	tr_buf_add(&payload, data, size);
	if (tr_keyset_draft(tr_buf_view(&payload), &k, &err) != TR_OK || (size && data[0] == 0xd8))
		return 0;
	tr_keyset_digest(tr_buf_view(&old), digest);
	put_in(&payload, k.prev_digest, TR_VIEW_ARRAY(digest));
	put_in(&payload, k.roots[0], prev->roots[0]);
	if (tr_keyset_add_signature(tr_buf_view(&payload), root, &object, &err) != TR_OK)
		return 0;
	tr_keyset_digest(tr_buf_view(&payload), digest);
	tr_keyset_digest(tr_buf_view(&object), same);
	ORACLE(memcmp(digest, same, 32) == 0);
	ORACLE(tr_keyset_signatures(tr_buf_view(&object), prev, &by, &err) == TR_OK && by.by_prev == 1);
	if (tr_keyset_verify_next(tr_buf_view(&old), prev, tr_buf_view(&object), 1, &seen, &err) != TR_OK) {
		ORACLE(err.code == TR_E_DENIED && err.pub);
		return 0;
	}
	ORACLE(seen.epoch == 2 && tr_view_eq(seen.trust_domain, prev->trust_domain));
	ORACLE(tr_keyset_revokes(&seen, prev->revoked[0]) && seen.revocation_number >= prev->revocation_number);
	ORACLE(by.by_own >= seen.threshold);
	ORACLE(tr_keyset_payload(&seen, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&payload)));
	return 0;
}
