/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hpke.h"

#include "crypto/ossl.h"

#include <sodium.h>

/* RFC 9180 7: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. */
#define KEM_ID "KEM\x00\x20"
#define SUITE_ID "HPKE\x00\x20\x00\x01\x00\x02"
#define MODE_BASE 0
#define KEY 32
#define NONCE 12
#define HASH TR_SHA256_LEN

_Static_assert(crypto_scalarmult_BYTES == TR_X25519_LEN && crypto_scalarmult_SCALARBYTES == TR_X25519_LEN, "X25519");

TR_OSSL_DEFINE_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
TR_OSSL_DEFINE_AUTO(EVP_CIPHER, EVP_CIPHER_free)

/* A context of RFC 9180 5.2. The secrets are in locked memory, as the keys that they come from are. */
struct secrets {
	uint8_t key[KEY], nonce[NONCE], exporter[HASH];
};

struct tr_hpke {
	struct tr_secret *s; /* struct secrets */
	uint64_t seq;
	bool seals;
};

struct tr_hpke *tr_hpke_free(struct tr_hpke *h)
{
	if (h) {
		h->s = tr_secret_free(h->s);
		free(h);
	}
	return NULL;
}

static const struct secrets *secrets_of(const struct tr_hpke *h)
{
	return (const struct secrets *)(const void *)tr_secret_p(h->s);
}

static TR_RC no_memory(struct tr_err *err)
{
	return tr_err_set(err, TR_E_INTERNAL, "out of memory", "hpke");
}

TR_RC tr_x25519_generate(struct tr_secret **ret_priv, uint8_t ret_pub[TR_X25519_LEN], struct tr_err *err)
{
	struct tr_secret *priv = tr_secret_new(TR_X25519_LEN);
	enum tr_code rc;

	if (!priv)
		return no_memory(err);
	tr_random(tr_secret_p(priv), TR_X25519_LEN);
	rc = tr_x25519_public(priv, ret_pub, err);
	if (rc) {
		priv = tr_secret_free(priv);
		return rc;
	}
	*ret_priv = priv;
	return TR_OK;
}

TR_RC tr_x25519_public(const struct tr_secret *priv, uint8_t ret_pub[TR_X25519_LEN], struct tr_err *err)
{
	uint8_t pub[TR_X25519_LEN];

	(void)tr_ossl_ctx(); /* libsodium is ready behind this */
	if (crypto_scalarmult_base(pub, tr_secret_p((struct tr_secret *)(uintptr_t)priv)) != 0)
		return tr_err_set(err, TR_E_INTERNAL, "no public key comes of this private key", "x25519");
	memcpy(ret_pub, pub, sizeof(pub));
	return TR_OK;
}

/* HMAC over pieces: what is labelled is never copied together. */
static void hmac(const uint8_t *key, size_t key_n, const struct tr_view *pieces, size_t n, uint8_t out[HASH])
{
	crypto_auth_hmacsha256_state st;

	(void)crypto_auth_hmacsha256_init(&st, key, key_n);
	for (size_t i = 0; i < n; i++)
		(void)crypto_auth_hmacsha256_update(&st, pieces[i].p, pieces[i].n);
	(void)crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof(st));
}

/* RFC 9180 4, LabeledExtract. An empty salt is a string of zeros, which is what HMAC makes of an empty key. */
static void extract(struct tr_view suite, struct tr_view salt, const char *label, struct tr_view ikm, uint8_t out[HASH])
{
	const struct tr_view pieces[] = { TR_VIEW_LIT("HPKE-v1"), suite, tr_view_str(label), ikm };

	hmac(salt.n ? salt.p : (const uint8_t *)"", salt.n, pieces, TR_ARRAY_LEN(pieces), out);
}

/* LabeledExpand: HKDF-Expand (RFC 5869 2.3) over I2OSP(L, 2) ‖ "HPKE-v1" ‖ suite ‖ label ‖ info. n <= 255 * 32. */
static void expand(struct tr_view suite, const uint8_t prk[HASH], const char *label, struct tr_view info, uint8_t *out,
		   size_t n)
{
	const uint8_t length[2] = { (uint8_t)(n >> 8), (uint8_t)n };
	uint8_t block[HASH], count = 1;

	for (size_t done = 0; done < n; count++) {
		const struct tr_view pieces[] = { tr_view(block, count > 1 ? sizeof(block) : 0),
						  TR_VIEW_ARRAY(length),
						  TR_VIEW_LIT("HPKE-v1"),
						  suite,
						  tr_view_str(label),
						  info,
						  tr_view(&count, 1) };
		size_t take = n - done < HASH ? n - done : HASH;

		hmac(prk, HASH, pieces, TR_ARRAY_LEN(pieces), block);
		memcpy(out + done, block, take);
		done += take;
	}
	sodium_memzero(block, sizeof(block));
}

/* DHKEM's shared secret (RFC 9180 4.1) of one side's private and the other's public key. */
static TR_RC agree(const struct tr_secret *priv, const uint8_t pub[TR_X25519_LEN], const uint8_t enc[TR_X25519_LEN],
		   const uint8_t recipient[TR_X25519_LEN], uint8_t ret_shared[HASH], struct tr_err *err)
{
	uint8_t dh[TR_X25519_LEN], prk[HASH], context[2 * TR_X25519_LEN];

	/* libsodium says -1 for a shared secret of zeros, which only a point of small order gives (RFC 9180 7.1.4). */
	if (crypto_scalarmult(dh, tr_secret_p((struct tr_secret *)(uintptr_t)priv), pub) != 0)
		return tr_err_set(err, TR_E_DENIED, "the X25519 key is a point of small order", "no shared secret");
	memcpy(context, enc, TR_X25519_LEN);
	memcpy(context + TR_X25519_LEN, recipient, TR_X25519_LEN);
	extract(TR_VIEW_LIT(KEM_ID), tr_view(NULL, 0), "eae_prk", TR_VIEW_ARRAY(dh), prk);
	expand(TR_VIEW_LIT(KEM_ID), prk, "shared_secret", TR_VIEW_ARRAY(context), ret_shared, HASH);
	sodium_memzero(dh, sizeof(dh));
	sodium_memzero(prk, sizeof(prk));
	return TR_OK;
}

/* KeySchedule of RFC 9180 5.1 in base mode: no pre-shared key. Wipes `shared`. */
static TR_RC schedule(uint8_t shared[HASH], struct tr_view info, bool seals, struct tr_hpke **ret, struct tr_err *err)
{
	const struct tr_view suite = TR_VIEW_LIT(SUITE_ID), none = tr_view(NULL, 0);
	uint8_t context[1 + 2 * HASH] = { MODE_BASE }, secret[HASH];
	struct tr_hpke *h = calloc(1, sizeof(*h));
	struct secrets *s;

	if (!h || !(h->s = tr_secret_new(sizeof(*s)))) {
		sodium_memzero(shared, HASH);
		h = tr_hpke_free(h);
		return no_memory(err);
	}
	s = (struct secrets *)(void *)tr_secret_p(h->s);
	extract(suite, none, "psk_id_hash", none, context + 1);
	extract(suite, none, "info_hash", info, context + 1 + HASH);
	extract(suite, tr_view(shared, HASH), "secret", none, secret);
	expand(suite, secret, "key", TR_VIEW_ARRAY(context), s->key, sizeof(s->key));
	expand(suite, secret, "base_nonce", TR_VIEW_ARRAY(context), s->nonce, sizeof(s->nonce));
	expand(suite, secret, "exp", TR_VIEW_ARRAY(context), s->exporter, sizeof(s->exporter));
	sodium_memzero(shared, HASH);
	sodium_memzero(secret, sizeof(secret));
	h->seals = seals;
	*ret = h;
	return TR_OK;
}

TR_RC tr_hpke_sender(const uint8_t to[TR_X25519_LEN], const struct tr_secret *ephemeral, struct tr_view info,
		     uint8_t ret_enc[TR_X25519_LEN], struct tr_hpke **ret, struct tr_err *err)
{
	tr_auto(tr_secret_free) struct tr_secret *fresh = NULL;
	uint8_t enc[TR_X25519_LEN], shared[HASH];
	enum tr_code rc = ephemeral ? tr_x25519_public(ephemeral, enc, err) : tr_x25519_generate(&fresh, enc, err);

	if (!rc)
		rc = agree(ephemeral ? ephemeral : fresh, to, enc, to, shared, err);
	if (!rc)
		rc = schedule(shared, info, true, ret, err);
	if (!rc)
		memcpy(ret_enc, enc, sizeof(enc));
	return rc;
}

TR_RC tr_hpke_recipient(const struct tr_secret *priv, const uint8_t enc[TR_X25519_LEN], struct tr_view info,
			struct tr_hpke **ret, struct tr_err *err)
{
	uint8_t mine[TR_X25519_LEN], shared[HASH];
	enum tr_code rc = tr_x25519_public(priv, mine, err);

	if (!rc)
		rc = agree(priv, enc, enc, mine, shared, err);
	return rc ? rc : schedule(shared, info, false, ret, err);
}

/* Sequence numbers in the last bytes of the nonce (RFC 9180 5.2). A context is never used 2^64 times. */
static void nonce_of(const struct tr_hpke *h, uint8_t out[NONCE])
{
	memcpy(out, secrets_of(h)->nonce, NONCE);
	for (unsigned i = 0; i < 8; i++)
		out[NONCE - 1 - i] ^= (uint8_t)(h->seq >> 8 * i);
}

/* An EVP context with this message's key and nonce, and the aad taken in. */
static EVP_CIPHER_CTX *cipher(const struct tr_hpke *h, struct tr_view aad, int encrypts)
{
	tr_auto(EVP_CIPHER_free) EVP_CIPHER *gcm = EVP_CIPHER_fetch(tr_ossl_ctx(), "AES-256-GCM", NULL);
	tr_auto(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[NONCE];
	int n = 0;

	nonce_of(h, nonce);
	if (!gcm || !c || aad.n > INT32_MAX ||
	    EVP_CipherInit_ex2(c, gcm, secrets_of(h)->key, nonce, encrypts, NULL) != 1 ||
	    (aad.n && EVP_CipherUpdate(c, NULL, &n, aad.p, (int)aad.n) != 1))
		return NULL;
	return TR_TAKE(c);
}

TR_RC tr_hpke_seal_next(struct tr_hpke *h, struct tr_view aad, struct tr_view plain, struct tr_buf *ret_ct, struct tr_err *err)
{
	tr_auto(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *c = NULL;
	size_t before = ret_ct->n;
	uint8_t *out;
	int n = 0, end = 0;

	if (!h->seals || plain.n > INT32_MAX - TR_HPKE_TAG)
		return tr_err_set(err, TR_E_INTERNAL, "this context does not seal", "%zu bytes", plain.n);
	out = tr_buf_space(ret_ct, plain.n + TR_HPKE_TAG);
	if (!out)
		return no_memory(err);
	c = cipher(h, aad, 1);
	if (!c || (plain.n && EVP_CipherUpdate(c, out, &n, plain.p, (int)plain.n) != 1) ||
	    EVP_CipherFinal_ex(c, out + n, &end) != 1 || (size_t)n + (size_t)end != plain.n ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TR_HPKE_TAG, out + plain.n) != 1) {
		ret_ct->n = before;
		return tr_ossl_fail(err, TR_E_INTERNAL, "the message could not be sealed; see the log", "aes-256-gcm");
	}
	h->seq++;
	return TR_OK;
}

TR_RC tr_hpke_open_next(struct tr_hpke *h, struct tr_view aad, struct tr_view ct, struct tr_buf *ret_plain, struct tr_err *err)
{
	tr_auto(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *c = NULL;
	size_t before = ret_plain->n, plain_n = ct.n - TR_HPKE_TAG;
	uint8_t *out, tag[TR_HPKE_TAG];
	int n = 0, end = 0;

	if (h->seals || ct.n > INT32_MAX)
		return tr_err_set(err, TR_E_INTERNAL, "this context does not open", "%zu bytes", ct.n);
	if (ct.n < TR_HPKE_TAG)
		return tr_err_set(err, TR_E_DENIED, "the sealed bytes are shorter than their tag", "%zu bytes", ct.n);
	/* One byte more than is needed: an empty plaintext has an address, too. */
	out = tr_buf_space(ret_plain, plain_n + 1);
	if (!out)
		return no_memory(err);
	ret_plain->n--;
	memcpy(tag, ct.p + plain_n, sizeof(tag));
	c = cipher(h, aad, 0);
	if (!c || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TR_HPKE_TAG, tag) != 1) {
		ret_plain->n = before;
		return tr_ossl_fail(err, TR_E_INTERNAL, "the message could not be opened; see the log", "aes-256-gcm");
	}
	if ((plain_n && EVP_CipherUpdate(c, out, &n, ct.p, (int)plain_n) != 1) ||
	    EVP_CipherFinal_ex(c, out + n, &end) != 1 || (size_t)n + (size_t)end != plain_n) {
		/* Not yet authentic when it was written there. */
		tr_wipe(out, plain_n);
		ret_plain->n = before;
		return tr_ossl_fail(err, TR_E_DENIED, "this was sealed to another key, or it was changed", "hpke open");
	}
	h->seq++;
	return TR_OK;
}

TR_RC tr_hpke_export(const struct tr_hpke *h, struct tr_view context, uint8_t *out, size_t n, struct tr_err *err)
{
	if (n > 255 * (size_t)HASH)
		return tr_err_set(err, TR_E_INVALID, "more key bytes asked than HKDF gives", "%zu bytes", n);
	expand(TR_VIEW_LIT(SUITE_ID), secrets_of(h)->exporter, "sec", context, out, n);
	return TR_OK;
}

TR_RC tr_hpke_seal(const uint8_t to[TR_X25519_LEN], struct tr_view info, struct tr_view aad, struct tr_view plain,
		   uint8_t ret_enc[TR_X25519_LEN], struct tr_buf *ret_ct, struct tr_err *err)
{
	tr_auto(tr_hpke_free) struct tr_hpke *h = NULL;
	uint8_t enc[TR_X25519_LEN];
	enum tr_code rc = tr_hpke_sender(to, NULL, info, enc, &h, err);

	if (!rc)
		rc = tr_hpke_seal_next(h, aad, plain, ret_ct, err);
	if (!rc)
		memcpy(ret_enc, enc, sizeof(enc));
	return rc;
}

TR_RC tr_hpke_open(const struct tr_secret *priv, const uint8_t enc[TR_X25519_LEN], struct tr_view info, struct tr_view aad,
		   struct tr_view ct, struct tr_buf *ret_plain, struct tr_err *err)
{
	tr_auto(tr_hpke_free) struct tr_hpke *h = NULL;
	enum tr_code rc = tr_hpke_recipient(priv, enc, info, &h, err);

	return rc ? rc : tr_hpke_open_next(h, aad, ct, ret_plain, err);
}
