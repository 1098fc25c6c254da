/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from outside: the bytes as SPKI, as a PEM public key and as a PEM private key. What is accepted must
 * come out as it went in, be read the same by OpenSSL, and be within the policy. */
#include "base/secret.h"
#include "crypto/key.h"
#include "crypto/ossl.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what)                                                                                           \
	do {                                                                                                 \
		if (!(what))                                                                                 \
			abort();                                                                             \
	} while (0)

static void check_pub(const struct tr_pubkey *k)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *again = NULL;
	struct tr_view spki = tr_pubkey_spki(k);
	const unsigned char *p = spki.p;
	unsigned char *der = NULL;
	EVP_PKEY *pkey = d2i_PUBKEY_ex(NULL, &p, (long)spki.n, tr_ossl_ctx(), NULL);
	struct tr_err err;
	int bits;

	MUST(pkey && p == spki.p + spki.n);
	MUST(i2d_PUBKEY(pkey, &der) == (int)spki.n && memcmp(der, spki.p, spki.n) == 0);
	bits = EVP_PKEY_get_bits(pkey);
	MUST(tr_pubkey_type(k) != TR_KEY_RSA || (bits >= TR_RSA_BITS_MIN && bits <= TR_RSA_BITS_MAX));
	MUST(!tr_key_leak_name(tr_pubkey_id(k)));
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	tr_pubkey_pem(k, &pem);
	MUST(tr_pubkey_from_pem(tr_buf_view(&pem), &again, &err) == TR_OK);
	MUST(memcmp(tr_pubkey_id(k), tr_pubkey_id(again), TR_SHA256_LEN) == 0);
}

static void check_priv(const struct tr_privkey *k)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_privkey_free) struct tr_privkey *again = NULL;
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err;
	size_t n;

	check_pub(tr_privkey_pub(k));
	MUST(tr_privkey_pem(k, &pem, &err) == TR_OK);
	MUST(tr_privkey_from_pem(tr_buf_view(&pem), &again, &err) == TR_OK);
	/* RSA keys with damaged parts may sign wrongly; then it must say so or not verify, not crash. */
	if (tr_sign(k, tr_privkey_alg(k), TR_VIEW_LIT("m"), sig, &n, &err) == TR_OK)
		MUST(n <= TR_SIG_MAX && (tr_verify(tr_privkey_pub(k), tr_privkey_alg(k), TR_VIEW_LIT("m"),
						   tr_view(sig, n), &err) == TR_OK ||
					 tr_pubkey_type(tr_privkey_pub(k)) == TR_KEY_RSA));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	tr_auto(tr_pubkey_free) struct tr_pubkey *spki = NULL;
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *priv = NULL;
	struct tr_err err;

	if (tr_pubkey_from_spki(in, &spki, &err) == TR_OK) {
		MUST(tr_view_eq(in, tr_pubkey_spki(spki)));
		check_pub(spki);
	}
	if (tr_pubkey_from_pem(in, &pub, &err) == TR_OK)
		check_pub(pub);
	if (tr_privkey_from_pem(in, &priv, &err) == TR_OK)
		check_priv(priv);
	return 0;
}
