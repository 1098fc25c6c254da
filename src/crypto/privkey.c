/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys: read, made and written. Their public half goes through key.c's door, with its refusals. */
#include "crypto/key.h"

#include "base/file.h"
#include "base/secret.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/core_names.h>
#include <sodium.h>

#define BAD_PRIV "the private key is malformed"
#define MEMORY_PUB "out of memory"

struct tr_privkey *tr_privkey_free(struct tr_privkey *k)
{
	if (k) {
		(void)tr_pubkey_free(k->pub);
		EVP_PKEY_free(k->pkey);
		(void)tr_secret_free(k->ed);
		if (k->done)
			k->done(k->arg);
		free(k);
	}
	return NULL;
}

/* Fills the public half through the door that every public key takes, with its refusals. */
static TR_RC derive_pub(struct tr_privkey *k, struct tr_err *err)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k->pkey, &der);
	enum tr_code rc;

	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INVALID, BAD_PRIV, "no public half");
	rc = tr_pubkey_from_spki(tr_view(der, (size_t)n), &k->pub, err);
	OPENSSL_free(der);
	return rc;
}

static TR_RC take_ed25519(struct tr_privkey *k, const uint8_t seed[32], struct tr_err *err)
{
	uint8_t pub[32];

	(void)tr_ossl_ctx(); /* libsodium is ready */
	k->ed = tr_secret_new(64);
	if (!k->ed)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "Ed25519 secret");
	(void)crypto_sign_seed_keypair(pub, tr_secret_p(k->ed), seed);
	return tr_pubkey_from_ed25519(TR_VIEW_ARRAY(pub), &k->pub, err);
}

/* Type and size are judged by the public half; here the two halves must belong together. */
static TR_RC take_pkey(struct tr_privkey *k, EVP_PKEY *pkey, struct tr_err *err)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = NULL;
	enum tr_code rc;

	k->pkey = pkey;
	if (EVP_PKEY_is_a(pkey, "ED25519")) {
		uint8_t seed[32];
		size_t n = sizeof(seed);

		if (EVP_PKEY_get_raw_private_key(pkey, seed, &n) != 1 || n != sizeof(seed))
			return tr_ossl_fail(err, TR_E_INVALID, BAD_PRIV, "Ed25519 seed");
		EVP_PKEY_free(pkey);
		k->pkey = NULL;
		rc = take_ed25519(k, seed, err);
		tr_wipe(seed, sizeof(seed));
		return rc;
	}
	if (EVP_PKEY_is_a(pkey, "EC"))
		/* A key file may say "compressed"; the SPKI has one form. */
		(void)EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
						     OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
	rc = derive_pub(k, err);
	if (rc)
		return rc;
	c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), pkey, NULL);
	if (!c || EVP_PKEY_pairwise_check(c) != 1)
		return tr_ossl_fail(err, TR_E_INVALID, BAD_PRIV,
				    "private and public half do not belong together");
	return TR_OK;
}

static EVP_PKEY *decode(struct tr_view label, struct tr_view der)
{
	const unsigned char *p = der.p;
	const unsigned char *end = der.p + der.n;
	EVP_PKEY *pkey = NULL;

	if (tr_view_is(label, "PRIVATE KEY")) {
		PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.n);

		if (p8 && p == end)
			pkey = EVP_PKCS82PKEY_ex(p8, tr_ossl_ctx(), NULL);
		PKCS8_PRIV_KEY_INFO_free(p8);
		return pkey;
	}
	pkey = d2i_PrivateKey_ex(tr_view_is(label, "RSA PRIVATE KEY") ? EVP_PKEY_RSA : EVP_PKEY_EC, NULL, &p,
				 (long)der.n, tr_ossl_ctx(), NULL);
	if (pkey && p != end) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return pkey;
}

static TR_RC privkey_from_der(struct tr_view label, struct tr_view der, struct tr_privkey **ret,
			      struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	EVP_PKEY *pkey;
	enum tr_code rc;

	if (tr_view_is(label, "ENCRYPTED PRIVATE KEY"))
		return tr_err_set(
			err, TR_E_INVALID,
			"the private key is encrypted; decrypt it first (openssl pkey -in … -out …)",
			"encrypted private key");
	if (!tr_view_is(label, "PRIVATE KEY") && !tr_view_is(label, "RSA PRIVATE KEY") &&
	    !tr_view_is(label, "EC PRIVATE KEY"))
		return tr_err_set(err, TR_E_INVALID, "the PEM block is not a private key",
				  "label of %zu bytes", label.n);
	if (!tr_der_is_strict(der))
		return tr_err_set(err, TR_E_INVALID, BAD_PRIV, "private key is not DER");
	k = calloc(1, sizeof(*k));
	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "private key");
	pkey = decode(label, der);
	if (!pkey)
		return tr_ossl_fail(err, TR_E_INVALID, BAD_PRIV, "private key");
	rc = take_pkey(k, pkey, err);
	if (rc)
		return rc;
	*ret = TR_TAKE(k);
	return TR_OK;
}

TR_RC tr_privkey_from_pem(struct tr_view pem, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label;
	enum tr_code rc = tr_key_pem_block(pem, &label, &der, err);

	if (!rc)
		rc = privkey_from_der(label, tr_buf_view(&der), ret, err);
	tr_wipe(der.p, der.cap);
	return rc;
}

TR_RC tr_privkey_load(const char *path, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	enum tr_code rc = tr_file_read_secret(path, TR_KEY_FILE_MAX, &pem, err);

	if (!rc) {
		rc = tr_privkey_from_pem(tr_buf_view(&pem), ret, err);
		if (rc)
			rc = tr_err_wrap(err, "%s", path);
	}
	tr_wipe(pem.p, pem.cap);
	return rc;
}

TR_RC tr_privkey_from_seed(const uint8_t seed[32], struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = calloc(1, sizeof(*k));

	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "private key");
	if (take_ed25519(k, seed, err))
		return err->code;
	*ret = TR_TAKE(k);
	return TR_OK;
}

TR_RC tr_privkey_generate(enum tr_key_type type, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = calloc(1, sizeof(*k));
	enum tr_code rc;

	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "private key");
	if (type == TR_KEY_ED25519) {
		uint8_t seed[32];

		tr_random(seed, sizeof(seed));
		rc = take_ed25519(k, seed, err);
		tr_wipe(seed, sizeof(seed));
	} else {
		k->pkey = type == TR_KEY_P256 ? EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, "EC", "P-256")
					      : EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, "RSA", (size_t)2048);
		if (!k->pkey)
			return tr_ossl_fail(err, TR_E_INTERNAL, "the key could not be made", "keygen");
		rc = derive_pub(k, err);
	}
	if (rc)
		return rc;
	*ret = TR_TAKE(k);
	return TR_OK;
}

static TR_RC add_pkcs8(const struct tr_privkey *k, struct tr_buf *der, struct tr_err *err)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(k->pkey);
	unsigned char *p = NULL;
	int n = p8 ? i2d_PKCS8_PRIV_KEY_INFO(p8, &p) : -1;

	PKCS8_PRIV_KEY_INFO_free(p8);
	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INTERNAL, "the key could not be written", "PKCS#8");
	tr_buf_add(der, p, (size_t)n);
	OPENSSL_clear_free(p, (size_t)n);
	return TR_OK;
}

TR_RC tr_privkey_pem(const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	static const uint8_t ed_head[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
					   0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	enum tr_code rc = TR_OK;

	if (k->sign)
		return tr_err_set(err, TR_E_INVALID, "this private key is in a token and stays there", "external key");
	/* Room at once, so that growing leaves no copies behind. */
	if (tr_buf_space(&der, TR_KEY_FILE_MAX))
		tr_buf_clear(&der);
	if (k->ed) {
		tr_buf_add(&der, ed_head, sizeof(ed_head));
		tr_buf_add(&der, tr_secret_p(k->ed), 32);
	} else {
		rc = add_pkcs8(k, &der, err);
	}
	if (!rc)
		rc = tr_buf_check(&der, err);
	if (!rc) {
		tr_pem_add(ret, "PRIVATE KEY", tr_buf_view(&der));
		rc = tr_buf_check(ret, err);
	}
	tr_wipe(der.p, der.cap);
	return rc;
}

const struct tr_pubkey *tr_privkey_pub(const struct tr_privkey *k)
{
	return k->pub;
}

TR_RC tr_privkey_external(struct tr_pubkey *pub, tr_sign_fn sign, void (*done)(void *arg), void *arg,
			  struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *mine = pub;
	struct tr_privkey *k;

	if (tr_pubkey_type(pub) != TR_KEY_ED25519 && tr_pubkey_type(pub) != TR_KEY_P256)
		return tr_err_set(err, TR_E_INVALID, "a key in a token must be Ed25519 or P-256", "%s",
				  tr_pubkey_type_name(pub));
	k = calloc(1, sizeof(*k));
	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "private key");
	*k = (struct tr_privkey){ .pub = TR_TAKE(mine), .sign = sign, .done = done, .arg = arg };
	*ret = k;
	return TR_OK;
}
