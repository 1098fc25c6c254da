/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key.h"

#include "base/secret.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdio.h>

#define RSA_E_PUB "the RSA public exponent is not 65537"
#define BAD_PUB "the public key is malformed"
#define MEMORY_PUB "out of memory"

/* RFC 8410 3, RFC 5480 2.1.1 (named curve only), RFC 3279 2.3.1: the only AlgorithmIdentifiers we read,
 * whole. */
static const uint8_t alg_ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t alg_p256[] = { 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
				    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t alg_rsa[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
				   0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };

/* What stock tools also make: refused by name, so that the reader knows which file to replace. */
#define ALG(bytes, what)                                                                                     \
	{                                                                                                    \
		TR_VIEW_LIT(bytes), what " keys are not accepted; use Ed25519, P-256 or RSA"                 \
	}
static const struct {
	struct tr_view start; /* of the AlgorithmIdentifier's body */
	const char *pub;
} refused_algs[] = {
	ALG("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", "P-384"),
	ALG("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23", "P-521"),
	ALG("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a", "secp256k1"),
	ALG("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x30", "Explicit-parameter EC"),
	ALG("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "EC keys on another curve: such"),
	ALG("\x06\x03\x2b\x65\x71", "Ed448"),
	ALG("\x06\x03\x2b\x65\x6e", "X25519"),
	ALG("\x06\x03\x2b\x65\x6f", "X448"),
	ALG("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSASSA-PSS-only"),
	ALG("\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "DSA"),
	ALG("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01", "Diffie-Hellman"),
};

static TR_RC refuse_alg(struct tr_view alg_body, struct tr_err *err)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(refused_algs); i++) {
		struct tr_view start = refused_algs[i].start;

		if (alg_body.n >= start.n && memcmp(alg_body.p, start.p, start.n) == 0)
			return tr_err_set(err, TR_E_INVALID, refused_algs[i].pub, "key algorithm refused");
	}
	return tr_err_set(err, TR_E_INVALID, "the key's type is unknown; use Ed25519, P-256 or RSA",
			  "unknown AlgorithmIdentifier of %zu bytes", alg_body.n);
}

/* y of the points of order 1, 2, 4 and 8 below p, little endian. With either sign bit and with y + p (refused
 * as not canonical) these are the 14 encodings that make an Ed25519 signature say nothing. */
static const uint8_t small_order_y[5][32] = {
	{ 0 },
	{ 1 },
	{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
	  0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
	{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
	  0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
	{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
};

bool tr_ed25519_point_ok(const uint8_t p[32])
{
	uint8_t y[32];
	bool ones = true;

	memcpy(y, p, sizeof(y));
	y[31] &= 0x7f; /* the sign of x */
	for (size_t i = 1; i < 31; i++)
		ones = ones && y[i] == 0xff;
	/* p = 2^255 - 19: ed ff … ff 7f. */
	if (ones && y[31] == 0x7f && y[0] >= 0xed)
		return false;
	for (size_t i = 0; i < TR_ARRAY_LEN(small_order_y); i++)
		if (memcmp(y, small_order_y[i], sizeof(y)) == 0)
			return false;
	return true;
}

static TR_RC build_pkey(const char *type, OSSL_PARAM_BLD *bld, EVP_PKEY **ret, struct tr_err *err)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	int ok = c && params && EVP_PKEY_fromdata_init(c) == 1 &&
		 EVP_PKEY_fromdata(c, ret, EVP_PKEY_PUBLIC_KEY, params) == 1;

	OSSL_PARAM_free(params);
	return ok ? TR_OK : tr_ossl_fail(err, TR_E_INVALID, BAD_PUB, "%s key", type);
}

static TR_RC load_p256(struct tr_pubkey *k, struct tr_view point, struct tr_err *err)
{
	OSSL_PARAM_BLD *bld;
	enum tr_code rc;

	if (point.n != 65 || point.p[0] != 4)
		return tr_err_set(err, TR_E_INVALID,
				  "the P-256 key is not in uncompressed form; convert it with "
				  "openssl ec -pubin -conv_form uncompressed",
				  "point of %zu bytes", point.n);
	bld = OSSL_PARAM_BLD_new();
	if (!bld || !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ||
	    !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n))
		rc = tr_ossl_fail(err, TR_E_INTERNAL, MEMORY_PUB, "P-256 parameters");
	else
		rc = build_pkey("EC", bld, &k->pkey, err); /* checks that the point is on the curve */
	OSSL_PARAM_BLD_free(bld);
	(void)snprintf(k->name, sizeof(k->name), "p256");
	return rc;
}

/* Bits of a DER INTEGER's body; 0 when it is negative or not minimal. */
static size_t uint_bits(struct tr_view v)
{
	size_t bits;

	if (v.n == 0 || v.p[0] >= 0x80)
		return 0;
	if (v.p[0] == 0) {
		if (v.n < 2 || v.p[1] < 0x80)
			return 0;
		return (v.n - 1) * 8;
	}
	bits = v.n * 8;
	for (uint8_t top = v.p[0]; top < 0x80; top = (uint8_t)(top << 1))
		bits--;
	return bits;
}

static TR_RC load_rsa(struct tr_pubkey *k, struct tr_view der, struct tr_err *err)
{
	struct tr_view seq, n, e;
	OSSL_PARAM_BLD *bld;
	BIGNUM *bn_n, *bn_e;
	enum tr_code rc;
	size_t bits;

	if (!tr_der_take(&der, TR_DER_SEQ, &seq) || der.n != 0 || !tr_der_take(&seq, TR_DER_INT, &n) ||
	    !tr_der_take(&seq, TR_DER_INT, &e) || seq.n != 0)
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "not an RSAPublicKey");
	bits = uint_bits(n);
	if (bits == 0 || !(n.p[n.n - 1] & 1))
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "RSA modulus negative, even or not minimal");
	if (bits < TR_RSA_BITS_MIN)
		return tr_err_set(err, TR_E_INVALID, "the RSA key is shorter than 2048 bits", "%zu bits",
				  bits);
	if (bits > TR_RSA_BITS_MAX)
		return tr_err_set(err, TR_E_INVALID, "the RSA key is longer than 8192 bits", "%zu bits",
				  bits);
	if (!tr_view_eq(e, TR_VIEW_LIT("\x01\x00\x01")))
		return tr_err_set(err, TR_E_INVALID, RSA_E_PUB, "exponent of %zu bytes", e.n);
	bld = OSSL_PARAM_BLD_new();
	bn_n = BN_bin2bn(n.p, (int)n.n, NULL);
	bn_e = BN_bin2bn(e.p, (int)e.n, NULL);
	if (!bld || !bn_n || !bn_e || !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) ||
	    !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e))
		rc = tr_ossl_fail(err, TR_E_INTERNAL, MEMORY_PUB, "RSA parameters");
	else
		rc = build_pkey("RSA", bld, &k->pkey, err);
	OSSL_PARAM_BLD_free(bld);
	BN_free(bn_n);
	BN_free(bn_e);
	(void)snprintf(k->name, sizeof(k->name), "rsa%zu", bits);
	return rc;
}

static TR_RC load_ed25519(struct tr_pubkey *k, struct tr_view point, struct tr_err *err)
{
	if (point.n != 32)
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "Ed25519 key of %zu bytes", point.n);
	if (!tr_ed25519_point_ok(point.p))
		return tr_err_set(
			err, TR_E_INVALID,
			"the Ed25519 key is of small order or not canonical: any signature would verify",
			"weak Ed25519 point");
	k->raw = point;
	(void)snprintf(k->name, sizeof(k->name), "ed25519");
	return TR_OK;
}

struct tr_pubkey *tr_pubkey_free(struct tr_pubkey *k)
{
	if (k) {
		EVP_PKEY_free(k->pkey);
		free(k);
	}
	return NULL;
}

TR_RC tr_pubkey_from_spki_unlisted(struct tr_view der, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	struct tr_view rest, seq, alg, bits;
	enum tr_code rc;

	if (der.n > TR_CERT_DER_MAX)
		return tr_err_set(err, TR_E_INVALID, "the key is too large", "SPKI of %zu bytes", der.n);
	k = calloc(1, sizeof(*k) + der.n);
	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "public key");
	k->n = der.n;
	if (der.n)
		memcpy(k->spki, der.p, der.n);
	rest = tr_view(k->spki, k->n);
	if (!tr_der_take(&rest, TR_DER_SEQ, &seq) || rest.n != 0)
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "not a SubjectPublicKeyInfo");
	rest = seq;
	if (!tr_der_take(&seq, TR_DER_SEQ, &alg))
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "no AlgorithmIdentifier");
	rest.n -= seq.n; /* the AlgorithmIdentifier with its head */
	/* Unused bits: none, in every key we know. */
	if (!tr_der_take(&seq, TR_DER_BITS, &bits) || seq.n != 0 || bits.n < 1 || bits.p[0] != 0)
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "no plain BIT STRING after the algorithm");
	bits = tr_view(bits.p + 1, bits.n - 1);

	if (tr_view_eq(rest, TR_VIEW_ARRAY(alg_ed25519))) {
		k->type = TR_KEY_ED25519;
		rc = load_ed25519(k, bits, err);
	} else if (tr_view_eq(rest, TR_VIEW_ARRAY(alg_p256))) {
		k->type = TR_KEY_P256;
		rc = load_p256(k, bits, err);
	} else if (tr_view_eq(rest, TR_VIEW_ARRAY(alg_rsa))) {
		k->type = TR_KEY_RSA;
		rc = load_rsa(k, bits, err);
	} else {
		rc = refuse_alg(alg, err);
	}
	if (rc)
		return rc;
	tr_sha256(der, k->id);
	*ret = TR_TAKE(k);
	return TR_OK;
}

TR_RC tr_pubkey_from_spki(struct tr_view der, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	enum tr_code rc = tr_pubkey_from_spki_unlisted(der, &k, err);
	const char *leak;

	if (rc)
		return rc;
	leak = tr_key_leak_name(k->id);
	if (leak)
		return tr_err_set(err, TR_E_DENIED,
				  "this key is published: its private half is known or was never private; "
				  "make a new one",
				  "leaked key: %s", leak);
	*ret = TR_TAKE(k);
	return TR_OK;
}

TR_RC tr_pubkey_from_ed25519(struct tr_view raw, struct tr_pubkey **ret, struct tr_err *err)
{
	uint8_t spki[44] = { 0x30, 0x2a };

	if (raw.n != 32)
		return tr_err_set(err, TR_E_INVALID, BAD_PUB, "Ed25519 key of %zu bytes", raw.n);
	memcpy(spki + 2, alg_ed25519, sizeof(alg_ed25519));
	spki[9] = TR_DER_BITS;
	spki[10] = 33;
	memcpy(spki + 12, raw.p, 32);
	return tr_pubkey_from_spki(TR_VIEW_ARRAY(spki), ret, err);
}

static TR_RC from_pkcs1(struct tr_view pkcs1, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_add8(&b, 0);
	tr_buf_addv(&b, pkcs1);
	tr_der_wrap(&b, 0, TR_DER_BITS);
	tr_buf_add(&b, alg_rsa, sizeof(alg_rsa));
	/* The algorithm goes first: turn the two around. */
	if (!tr_buf_ok(&b))
		return tr_buf_check(&b, err);
	memmove(b.p + sizeof(alg_rsa), b.p, b.n - sizeof(alg_rsa));
	memcpy(b.p, alg_rsa, sizeof(alg_rsa));
	tr_der_wrap(&b, 0, TR_DER_SEQ);
	return tr_buf_ok(&b) ? tr_pubkey_from_spki(tr_buf_view(&b), ret, err) : tr_buf_check(&b, err);
}

static TR_RC from_cert(struct tr_view der, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	enum tr_code rc = tr_cert_parse(der, &c, err);

	return rc ? rc : tr_cert_take_key(c, ret, err);
}

TR_RC tr_key_pem_block(struct tr_view pem, struct tr_view *ret_label, struct tr_buf *ret_der,
		       struct tr_err *err)
{
	struct tr_view rest;
	enum tr_code rc;

	if (pem.n > TR_KEY_FILE_MAX)
		return tr_err_set(err, TR_E_INVALID, "the key file is too large", "%zu bytes", pem.n);
	rc = tr_pem_get(pem, ret_label, ret_der, &rest, err);
	if (rc)
		return rc;
	/* openssl ecparam -genkey writes the curve's name as a block of its own in front of the key. */
	if (tr_view_is(*ret_label, "EC PARAMETERS")) {
		tr_buf_clear(ret_der);
		rc = tr_pem_get(rest, ret_label, ret_der, &rest, err);
		if (rc)
			return rc;
	}
	if (rest.n && memmem(rest.p, rest.n, "-----BEGIN", 10))
		return tr_err_set(err, TR_E_INVALID,
				  "the file holds more than one PEM block; keep one key per file",
				  "second block after %.*s", TR_VIEW_FMT(*ret_label));
	return TR_OK;
}

TR_RC tr_pubkey_from_pem(struct tr_view pem, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label;
	enum tr_code rc = tr_key_pem_block(pem, &label, &der, err);

	if (rc)
		return rc;
	if (tr_view_is(label, "PUBLIC KEY"))
		return tr_pubkey_from_spki(tr_buf_view(&der), ret, err);
	if (tr_view_is(label, "RSA PUBLIC KEY"))
		return from_pkcs1(tr_buf_view(&der), ret, err);
	if (tr_view_is(label, "CERTIFICATE"))
		return from_cert(tr_buf_view(&der), ret, err);
	/* It may be an encrypted or an unknown kind; the answer is the same and nothing of it is shown. */
	tr_wipe(der.p, der.n);
	if (label.n >= 11 && memcmp(label.p + label.n - 11, "PRIVATE KEY", 11) == 0)
		return tr_err_set(err, TR_E_INVALID, "this is a private key; a public key belongs here",
				  "private key where a public key belongs");
	return tr_err_set(err, TR_E_INVALID, "the PEM block is not a public key or a certificate",
			  "label of %zu bytes", label.n);
}

enum tr_key_type tr_pubkey_type(const struct tr_pubkey *k)
{
	return k->type;
}

const char *tr_pubkey_type_name(const struct tr_pubkey *k)
{
	return k->name;
}

struct tr_view tr_pubkey_spki(const struct tr_pubkey *k)
{
	return tr_view(k->spki, k->n);
}

const uint8_t *tr_pubkey_id(const struct tr_pubkey *k)
{
	return k->id;
}

void tr_pubkey_pem(const struct tr_pubkey *k, struct tr_buf *b)
{
	tr_pem_add(b, "PUBLIC KEY", tr_pubkey_spki(k));
}

void tr_pubkey_short_id(const struct tr_pubkey *k, char out[33])
{
	uint8_t sum[TR_SHA256_LEN];

	tr_sha256(k->type == TR_KEY_ED25519 ? k->raw : tr_pubkey_spki(k), sum);
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", sum[i]);
}
