/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tpm_seal.h"

#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/ossl.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#define PUB "no secret can be made for this TPM; see the log"
#define EK_PUB "the endorsement key cannot be used"

TR_OSSL_DEFINE_AUTO(EVP_CIPHER, EVP_CIPHER_free)
TR_OSSL_DEFINE_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
TR_OSSL_DEFINE_AUTO(BIGNUM, BN_free)
TR_OSSL_DEFINE_AUTO(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
TR_OSSL_DEFINE_AUTO(OSSL_PARAM, OSSL_PARAM_free)

static void add16(struct tr_buf *b, size_t n)
{
	tr_buf_add8(b, (uint8_t)(n >> 8));
	tr_buf_add8(b, (uint8_t)n);
}

void tr_tpm_kdfa(struct tr_view key, const char *label, struct tr_view u, struct tr_view v, uint8_t *out, size_t n)
{
	uint8_t in[256], mac[TR_SHA256_LEN];
	size_t at = 4, label_len = strlen(label) + 1;

	/* One block is all that these keys need: counter 1 || label 00 || U || V || bits. */
	if (n > sizeof(mac) || label_len + u.n + v.n > sizeof(in) - 8)
		abort(); /* our own sizes */
	memcpy(in, "\0\0\0\1", 4);
	memcpy(in + at, label, label_len);
	at += label_len;
	if (u.n)
		memcpy(in + at, u.p, u.n);
	at += u.n;
	if (v.n)
		memcpy(in + at, v.p, v.n);
	at += v.n;
	for (unsigned i = 0; i < 4; i++)
		in[at++] = (uint8_t)(8 * n >> (24 - 8 * i));
	tr_hmac_sha256(key, tr_view(in, at), mac);
	memcpy(out, mac, n);
	tr_wipe(mac, sizeof(mac));
}

static TR_RC aes_cfb(const uint8_t key[16], struct tr_view in, uint8_t *out, struct tr_err *err)
{
	tr_auto(EVP_CIPHER_free) EVP_CIPHER *aes = EVP_CIPHER_fetch(tr_ossl_ctx(), "AES-128-CFB", NULL);
	tr_auto(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	static const uint8_t iv[16];
	int n;

	if (!aes || !c || EVP_EncryptInit_ex2(c, aes, key, iv, NULL) != 1 ||
	    EVP_EncryptUpdate(c, out, &n, in.p, (int)in.n) != 1 || (size_t)n != in.n)
		return tr_ossl_fail(err, TR_E_INTERNAL, PUB, "AES-128-CFB");
	return TR_OK;
}

/* Part 1, 24.4 and 24.5: outer wrap of a TPM2B_DIGEST. */
TR_RC tr_tpm_seal(const uint8_t seed[TR_TPM_SEED_LEN], struct tr_view name, struct tr_view secret, struct tr_buf *ret_blob,
		  struct tr_err *err)
{
	static const struct tr_view none = { NULL, 0 };
	struct tr_view seed_v = tr_view(seed, TR_TPM_SEED_LEN);
	uint8_t key[16], mac_key[32], mac[32], plain[2 + TR_TPM_SECRET_MAX], enc[sizeof(plain) + 66];
	size_t n = 2 + secret.n;
	enum tr_code rc;

	if (!secret.n || secret.n > TR_TPM_SECRET_MAX || name.n > 66)
		return tr_err_set(err, TR_E_INVALID, "a TPM's secret has 1 to 32 bytes", "%zu bytes", secret.n);
	plain[0] = 0;
	plain[1] = (uint8_t)secret.n;
	memcpy(plain + 2, secret.p, secret.n);
	tr_tpm_kdfa(seed_v, "STORAGE", name, none, key, sizeof(key));
	rc = aes_cfb(key, tr_view(plain, n), enc, err);
	tr_wipe(key, sizeof(key));
	tr_wipe(plain, sizeof(plain));
	if (rc)
		return rc;
	memcpy(enc + n, name.p, name.n);
	tr_tpm_kdfa(seed_v, "INTEGRITY", none, none, mac_key, sizeof(mac_key));
	tr_hmac_sha256(TR_VIEW_ARRAY(mac_key), tr_view(enc, n + name.n), mac);
	tr_wipe(mac_key, sizeof(mac_key));
	add16(ret_blob, 2 + sizeof(mac) + n);
	add16(ret_blob, sizeof(mac));
	tr_buf_add(ret_blob, mac, sizeof(mac));
	tr_buf_add(ret_blob, enc, n);
	return tr_buf_check(ret_blob, err);
}

static EVP_PKEY *rsa_key(struct tr_view modulus)
{
	tr_auto(BN_free) BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL);
	tr_auto(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	tr_auto(OSSL_PARAM_free) OSSL_PARAM *params = NULL;
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), "RSA", NULL);
	EVP_PKEY *k = NULL;

	if (!n || !b || !c || !OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) ||
	    !OSSL_PARAM_BLD_push_uint(b, OSSL_PKEY_PARAM_RSA_E, 65537))
		return NULL;
	params = OSSL_PARAM_BLD_to_param(b);
	if (!params || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &k, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return k;
}

/* The label's final NUL is part of it (Part 1, B.4). */
static bool oaep(EVP_PKEY *k, const uint8_t seed[TR_TPM_SEED_LEN], uint8_t *out, size_t *n)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), k, NULL);
	char mode[] = OSSL_PKEY_RSA_PAD_MODE_OAEP, hash[] = "SHA256", label[] = "IDENTITY";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, mode, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, hash, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, hash, 0),
		OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, label, sizeof(label)),
		OSSL_PARAM_construct_end(),
	};

	return c && EVP_PKEY_encrypt_init_ex(c, params) == 1 && EVP_PKEY_encrypt(c, out, n, seed, TR_TPM_SEED_LEN) == 1;
}

TR_RC tr_tpm_seed_rsa(struct tr_view modulus, uint8_t ret_seed[TR_TPM_SEED_LEN], struct tr_buf *ret_secret,
		      struct tr_err *err)
{
	tr_auto(EVP_PKEY_free) EVP_PKEY *k = NULL;
	uint8_t out[256];
	size_t n = sizeof(out);

	if (modulus.n != 256 || !(modulus.p[0] & 0x80) || !(modulus.p[255] & 1))
		return tr_err_set(err, TR_E_INVALID, EK_PUB, "modulus of %zu bytes", modulus.n);
	k = rsa_key(modulus);
	if (!k)
		return tr_ossl_fail(err, TR_E_INTERNAL, PUB, "RSA key");
	tr_random(ret_seed, TR_TPM_SEED_LEN);
	if (!oaep(k, ret_seed, out, &n) || n != sizeof(out))
		return tr_ossl_fail(err, TR_E_INVALID, EK_PUB, "RSA-OAEP");
	add16(ret_secret, n);
	tr_buf_add(ret_secret, out, n);
	return tr_buf_check(ret_secret, err);
}

static EVP_PKEY *p256_key(struct tr_view point)
{
	uint8_t pub[65] = { 0x04 };
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, pub, sizeof(pub)),
		OSSL_PARAM_construct_end(),
	};
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), "EC", NULL);
	EVP_PKEY *k = NULL;

	memcpy(pub + 1, point.p, 64);
	if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &k, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return k;
}

static bool agree(EVP_PKEY *own, EVP_PKEY *peer, uint8_t z[32])
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), own, NULL);
	size_t n = 32;

	return c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1 && EVP_PKEY_derive(c, z, &n) == 1 &&
	       n == 32;
}

/* KDFe, Part 1, 11.4.10.3: H(counter || Z.x || "IDENTITY" 00 || ephemeral.x || EK.x) */
static void kdfe(const uint8_t z[32], const uint8_t *u, const uint8_t *v, uint8_t out[TR_TPM_SEED_LEN])
{
	uint8_t in[4 + 32 + 9 + 64];

	memcpy(in, "\0\0\0\1", 4);
	memcpy(in + 4, z, 32);
	memcpy(in + 36, "IDENTITY", 9);
	memcpy(in + 45, u, 32);
	memcpy(in + 77, v, 32);
	tr_sha256(TR_VIEW_ARRAY(in), out);
	tr_wipe(in, sizeof(in));
}

TR_RC tr_tpm_seed_p256(struct tr_view point, uint8_t ret_seed[TR_TPM_SEED_LEN], struct tr_buf *ret_secret,
		       struct tr_err *err)
{
	tr_auto(EVP_PKEY_free) EVP_PKEY *peer = NULL;
	tr_auto(EVP_PKEY_free) EVP_PKEY *own = NULL;
	uint8_t pub[65], z[32];
	size_t n = 0;

	if (point.n != 64)
		return tr_err_set(err, TR_E_INVALID, EK_PUB, "point of %zu bytes", point.n);
	peer = p256_key(point);
	if (!peer)
		return tr_ossl_fail(err, TR_E_INVALID, EK_PUB, "a point that is not on P-256");
	own = EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, "EC", "P-256");
	if (!own || EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_PUB_KEY, pub, sizeof(pub), &n) != 1 ||
	    n != sizeof(pub) || pub[0] != 0x04 || !agree(own, peer, z))
		return tr_ossl_fail(err, TR_E_INTERNAL, PUB, "ECDH");
	kdfe(z, pub + 1, point.p, ret_seed);
	tr_wipe(z, sizeof(z));
	/* TPM2B_ENCRYPTED_SECRET of a TPMS_ECC_POINT */
	add16(ret_secret, 2 + 32 + 2 + 32);
	add16(ret_secret, 32);
	tr_buf_add(ret_secret, pub + 1, 32);
	add16(ret_secret, 32);
	tr_buf_add(ret_secret, pub + 33, 32);
	return tr_buf_check(ret_secret, err);
}
