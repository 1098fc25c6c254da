/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/wrap.h"

#include "base/secret.h"

#include <sodium.h>

#define VERSION 1
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEAL_DOMAIN "troth/seal/v1"

_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == TR_WRAP_KEY_LEN, "key length");
_Static_assert(1 + NONCE + TAG == TR_WRAP_EXTRA, "overhead");

TR_RC tr_wrap(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view bound, struct tr_view plain, struct tr_buf *ret,
	      struct tr_err *err)
{
	uint8_t *out = tr_buf_space(ret, plain.n + TR_WRAP_EXTRA);
	unsigned long long n = 0;

	if (!out)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "wrap %zu bytes", plain.n);
	out[0] = VERSION;
	tr_random(out + 1, NONCE);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE, &n, plain.p, plain.n, bound.p, bound.n, NULL,
							 out + 1, key);
	return TR_OK;
}

TR_RC tr_unwrap(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view bound, struct tr_view wrapped, struct tr_buf *ret,
		struct tr_err *err)
{
	unsigned long long n = 0;
	size_t before = ret->n;
	uint8_t *out;

	if (wrapped.n < TR_WRAP_EXTRA || wrapped.p[0] != VERSION)
		return tr_err_set(err, TR_E_INVALID, "these bytes were not sealed by this version of Troth", "%zu bytes",
				  wrapped.n);
	/* One byte more than is needed: an empty plaintext has an address, too. */
	out = tr_buf_space(ret, wrapped.n - TR_WRAP_EXTRA + 1);
	if (!out)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "unwrap %zu bytes", wrapped.n);
	ret->n--;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, &n, NULL, wrapped.p + 1 + NONCE, wrapped.n - 1 - NONCE,
						       bound.p, bound.n, wrapped.p + 1, key) != 0) {
		ret->n = before;
		return tr_err_set(err, TR_E_DENIED, "this was sealed under another key, or it was changed", "unwrap");
	}
	return TR_OK;
}

/* Lengths in front, so that no other role and key can give the same bytes. */
static TR_RC bind(struct tr_view role, struct tr_view spki, struct tr_buf *b, struct tr_err *err)
{
	tr_buf_add(b, SEAL_DOMAIN, sizeof(SEAL_DOMAIN));
	tr_buf_add8(b, (uint8_t)role.n);
	tr_buf_addv(b, role);
	tr_buf_addv(b, spki);
	return tr_buf_check(b, err);
}

TR_RC tr_privkey_seal(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view role, const struct tr_privkey *k,
		      struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf bound = TR_BUF_INIT;
	enum tr_code rc;

	if (bind(role, tr_pubkey_spki(tr_privkey_pub(k)), &bound, err))
		return err->code;
	rc = tr_privkey_pem(k, &pem, err);
	if (!rc)
		rc = tr_wrap(key, tr_buf_view(&bound), tr_buf_view(&pem), ret, err);
	tr_wipe(pem.p, pem.n);
	return rc;
}

TR_RC tr_privkey_unseal(const uint8_t key[TR_WRAP_KEY_LEN], struct tr_view role, struct tr_view spki,
			struct tr_view sealed, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf bound = TR_BUF_INIT;
	struct tr_privkey *k = NULL;
	enum tr_code rc;

	if (bind(role, spki, &bound, err))
		return err->code;
	rc = tr_unwrap(key, tr_buf_view(&bound), sealed, &pem, err);
	if (!rc)
		rc = tr_privkey_from_pem(tr_buf_view(&pem), &k, err);
	tr_wipe(pem.p, pem.n);
	if (rc)
		return tr_err_wrap(err, "sealed key");
	if (!tr_view_eq(tr_pubkey_spki(tr_privkey_pub(k)), spki)) {
		k = tr_privkey_free(k);
		return tr_err_set(err, TR_E_DENIED, "the sealed key is not the private half of its public key", "unseal");
	}
	*ret = k;
	return TR_OK;
}
