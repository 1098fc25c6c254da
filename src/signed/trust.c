/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/trust.h"

#include "codec/pem.h"
#include "codec/text.h"
#include "signed/keyset.h"

#include <stdio.h>

void tr_trust_done(struct tr_trust *t)
{
	tr_buf_done(&t->keyset);
	tr_buf_done(&t->ca_pem);
}

bool tr_keyset_unverified_root(struct tr_view keyset, uint8_t ret[32])
{
	struct tr_keyset k;
	struct tr_err err;

	if (tr_keyset_unverified(keyset, &k, &err))
		return false;
	tr_keyset_root_fingerprint(&k, ret);
	return true;
}

/* People compare fingerprints by eye, and the server prints this form. */
static void explain(struct tr_view keyset, const uint8_t pin[32], const struct tr_err *err,
		    struct tr_buf *why)
{
	uint8_t theirs[32];

	tr_buf_adds(why, "expected root sha256:");
	tr_hex_add(why, tr_view(pin, 32));
	if (!tr_keyset_unverified_root(keyset, theirs)) {
		tr_buf_addf(why, ", but what the server sent is no keyset: %s", err->detail);
	} else if (memcmp(theirs, pin, 32) == 0) {
		tr_buf_addf(why, ", and the server names that root, but its keyset does not hold: %s",
			    err->pub);
	} else {
		tr_buf_adds(why, ", but the server's is sha256:");
		tr_hex_add(why, TR_VIEW_ARRAY(theirs));
	}
}

static bool is_revoked(const struct tr_keyset *k, struct tr_view der)
{
	uint8_t hash[32];

	tr_sha256(der, hash);
	return tr_keyset_revokes(k, hash);
}

TR_RC tr_bootstrap_check(struct tr_view keyset, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
			 struct tr_buf *ret_why, struct tr_err *err)
{
	tr_auto(tr_trust_done) struct tr_trust out = { 0 };
	struct tr_keyset k;
	enum tr_code rc = tr_keyset_verify_pinned(keyset, pin, now_ms, &k, err);

	/* Whatever is wrong with it, it is not the pinned server's word: one kind of refusal. */
	if (rc) {
		explain(keyset, pin, err, ret_why);
		return rc == TR_E_INTERNAL ? rc : (err->code = TR_E_DENIED);
	}
	for (size_t i = 0; i < k.n_keys; i++) {
		const struct tr_keyset_key *ca = &k.keys[i];

		if (ca->role == TR_ROLE_CA && !is_revoked(&k, ca->key) &&
		    (ca->not_after_ms == 0 || now_ms < ca->not_after_ms))
			tr_pem_add(&out.ca_pem, "CERTIFICATE", ca->key);
	}
	if (out.ca_pem.n == 0) {
		tr_buf_adds(ret_why, "the server's keyset is genuine but names no valid CA");
		return tr_err_set(err, TR_E_DENIED,
				  "the keyset names no valid CA; the operators must sign a new one",
				  "%zu keys", k.n_keys);
	}
	(void)snprintf(out.domain, sizeof(out.domain), "%.*s", TR_VIEW_FMT(k.trust_domain));
	tr_buf_addv(&out.keyset, keyset);
	rc = tr_buf_check(&out.keyset, err);
	if (!rc)
		rc = tr_buf_check(&out.ca_pem, err);
	if (rc)
		return rc;
	*ret = out;
	out = (struct tr_trust){ 0 };
	return TR_OK;
}
