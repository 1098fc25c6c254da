/* SPDX-License-Identifier: Apache-2.0 */
/* Making and checking signatures with keys that key.c parsed. */
#include "crypto/key.h"

#include "base/secret.h"
#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <sodium.h>

#define ECDSA_RAW 64
#define ECDSA_DER_MAX 72
#define PSS_SALT 32 /* RFC 8230 2: as long as the digest, and exact on verification */

#define ALG_RSA(last)                                                                                        \
	0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, (last), 0x05, 0x00
static const uint8_t der_ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t der_es256[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
static const uint8_t der_rs256[] = { ALG_RSA(0x0b) };

static const struct {
	const char *name;
	enum tr_key_type key;
	int64_t cose;		 /* RFC 9053, RFC 8230, RFC 8812 */
	struct tr_view x509_alg; /* empty: not used in certificates */
} schemes[TR_SIG_ALG_N] = {
	[TR_SIG_ED25519] = { "Ed25519", TR_KEY_ED25519, -8, TR_VIEW_ARRAY(der_ed25519) },
	[TR_SIG_ES256] = { "ES256", TR_KEY_P256, -7, { NULL, 0 } },
	[TR_SIG_ES256_DER] = { "ES256-DER", TR_KEY_P256, 0, TR_VIEW_ARRAY(der_es256) },
	[TR_SIG_PS256] = { "PS256", TR_KEY_RSA, -37, { NULL, 0 } },
	[TR_SIG_RS256] = { "RS256", TR_KEY_RSA, -257, TR_VIEW_ARRAY(der_rs256) },
};

struct tr_view tr_sig_alg_der(enum tr_sig_alg alg)
{
	return schemes[alg].x509_alg;
}

enum tr_sig_alg tr_x509_alg(const struct tr_pubkey *k)
{
	static const enum tr_sig_alg by_key[TR_KEY_TYPE_N] = { TR_SIG_ED25519, TR_SIG_ES256_DER,
							       TR_SIG_RS256 };

	return by_key[k->type];
}

int64_t tr_sig_alg_cose(enum tr_sig_alg alg)
{
	return (unsigned)alg < TR_SIG_ALG_N ? schemes[alg].cose : 0;
}

bool tr_sig_alg_from_cose(int64_t cose, enum tr_sig_alg *ret)
{
	for (unsigned i = 0; i < TR_SIG_ALG_N; i++) {
		if (schemes[i].cose == 0 || schemes[i].cose != cose)
			continue;
		*ret = (enum tr_sig_alg)i;
		return true;
	}
	return false;
}

const char *tr_sig_alg_name(enum tr_sig_alg alg)
{
	return (unsigned)alg < TR_SIG_ALG_N ? schemes[alg].name : "unknown";
}

bool tr_pubkey_can(const struct tr_pubkey *k, enum tr_sig_alg alg)
{
	return (unsigned)alg < TR_SIG_ALG_N && schemes[alg].key == k->type;
}

enum tr_sig_alg tr_privkey_alg(const struct tr_privkey *k)
{
	static const enum tr_sig_alg by_key[TR_KEY_TYPE_N] = { TR_SIG_ED25519, TR_SIG_ES256, TR_SIG_PS256 };

	return by_key[k->pub->type];
}

static TR_RC wrong_alg(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_err *err)
{
	return tr_err_set(err, TR_E_INVALID, "the signature algorithm does not go with the key's type",
			  "%s with a %s key", tr_sig_alg_name(alg), k->name);
}

bool tr_ed25519_verify_strict(const uint8_t pub[32], struct tr_view msg, struct tr_view sig)
{
	(void)tr_ossl_ctx(); /* libsodium is ready */
	/* libsodium refuses S >= L, small-order A and R and a non-canonical A by itself and compares R's
	 * bytes; the rule is ours, though, and stays when the library or its build options change. */
	return sig.n == 64 && tr_ed25519_point_ok(pub) && tr_ed25519_point_ok(sig.p) &&
	       crypto_sign_verify_detached(sig.p, msg.p, msg.n, pub) == 0;
}

static size_t add_half(uint8_t *out, const uint8_t half[32])
{
	size_t skip = 0, n, at = 0;

	while (skip < 31 && half[skip] == 0)
		skip++;
	n = 32 - skip;
	out[at++] = TR_DER_INT;
	out[at++] = (uint8_t)(n + (half[skip] >= 0x80));
	if (half[skip] >= 0x80)
		out[at++] = 0;
	memcpy(out + at, half + skip, n);
	return at + n;
}

static struct tr_view raw_to_der(const uint8_t raw[ECDSA_RAW], uint8_t out[ECDSA_DER_MAX])
{
	size_t n = add_half(out + 2, raw);

	n += add_half(out + 2 + n, raw + 32);
	out[0] = TR_DER_SEQ;
	out[1] = (uint8_t)n;
	return tr_view(out, n + 2);
}

static bool take_half(struct tr_view *in, uint8_t out[32])
{
	struct tr_view v;

	if (!tr_der_take(in, TR_DER_INT, &v) || v.n == 0 || v.p[0] >= 0x80)
		return false;
	if (v.n > 1 && v.p[0] == 0) {
		if (v.p[1] < 0x80)
			return false;
		v = tr_view(v.p + 1, v.n - 1);
	}
	if (v.n > 32)
		return false;
	memset(out, 0, 32 - v.n);
	memcpy(out + 32 - v.n, v.p, v.n);
	return true;
}

/* Canonical DER only: one signature, one text. */
static bool der_to_raw(struct tr_view der, uint8_t raw[ECDSA_RAW])
{
	struct tr_view seq;

	return tr_der_take(&der, TR_DER_SEQ, &seq) && der.n == 0 && take_half(&seq, raw) &&
	       take_half(&seq, raw + 32) && seq.n == 0;
}

static bool set_scheme(EVP_PKEY_CTX *c, enum tr_sig_alg alg)
{
	if (EVP_PKEY_CTX_set_signature_md(c, tr_ossl_sha256()) != 1)
		return false;
	if (alg == TR_SIG_RS256)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
	if (alg == TR_SIG_PS256)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_mgf1_md(c, tr_ossl_sha256()) == 1 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(c, PSS_SALT) == 1;
	return true;
}

static bool verify_ossl(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg,
			struct tr_view sig)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = NULL;
	uint8_t sum[TR_SHA256_LEN], raw[ECDSA_RAW], der[ECDSA_DER_MAX];

	if (alg == TR_SIG_ES256 && sig.n != ECDSA_RAW)
		return false;
	if (alg == TR_SIG_ES256_DER && !der_to_raw(sig, raw))
		return false;
	if (alg == TR_SIG_ES256)
		sig = raw_to_der(sig.p, der);
	if (k->type == TR_KEY_RSA && sig.n != (size_t)EVP_PKEY_get_size(k->pkey))
		return false;
	tr_sha256(msg, sum);
	c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), k->pkey, NULL);
	return c && EVP_PKEY_verify_init(c) == 1 && set_scheme(c, alg) &&
	       EVP_PKEY_verify(c, sig.p, sig.n, sum, sizeof(sum)) == 1;
}

TR_RC tr_verify(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg, struct tr_view sig,
		struct tr_err *err)
{
	if (!tr_pubkey_can(k, alg))
		return wrong_alg(k, alg, err);
	if (alg == TR_SIG_ED25519 ? tr_ed25519_verify_strict(k->raw.p, msg, sig)
				  : verify_ossl(k, alg, msg, sig))
		return TR_OK;
	return tr_ossl_fail(err, TR_E_DENIED, "signature does not verify",
			    "%s signature of %zu bytes by a %s key", tr_sig_alg_name(alg), sig.n, k->name);
}

static TR_RC sign_ossl(const struct tr_privkey *k, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig,
		       size_t *ret_n, struct tr_err *err)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), k->pkey, NULL);
	uint8_t sum[TR_SHA256_LEN], raw[ECDSA_RAW];
	size_t n = TR_SIG_MAX;

	tr_sha256(msg, sum);
	if (!c || EVP_PKEY_sign_init(c) != 1 || !set_scheme(c, alg) ||
	    EVP_PKEY_sign(c, sig, &n, sum, sizeof(sum)) != 1)
		return tr_ossl_fail(err, TR_E_INTERNAL, "signing failed; see the log", "%s",
				    tr_sig_alg_name(alg));
	if (alg == TR_SIG_ES256) {
		if (!der_to_raw(tr_view(sig, n), raw))
			return tr_err_set(err, TR_E_INTERNAL, "signing failed; see the log",
					  "odd ECDSA signature");
		memcpy(sig, raw, sizeof(raw));
		n = sizeof(raw);
	}
	*ret_n = n;
	return TR_OK;
}

/* What comes out of a token is checked: a fault, or a private half that is another, must not reach anybody. */
static TR_RC sign_external(const struct tr_privkey *k, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig,
			   size_t *ret_n, struct tr_err *err)
{
	enum tr_sig_alg raw_alg = alg == TR_SIG_ED25519 ? TR_SIG_ED25519 : TR_SIG_ES256;
	uint8_t raw[TR_SIG_MAX], der[ECDSA_DER_MAX];
	struct tr_err bad;
	struct tr_view v;
	size_t n = 0;

	if (k->sign(k->arg, raw_alg, msg, raw, &n, err))
		return err->code;
	if (tr_verify(k->pub, raw_alg, msg, tr_view(raw, n), &bad))
		return tr_err_set(err, TR_E_UNAVAIL,
				  "the token gave a signature that does not verify; is its private half that of the public half?",
				  "%zu bytes, %s", n, tr_sig_alg_name(raw_alg));
	v = alg == TR_SIG_ES256_DER ? raw_to_der(raw, der) : tr_view(raw, n);
	memcpy(sig, v.p, v.n);
	*ret_n = v.n;
	return TR_OK;
}

TR_RC tr_sign(const struct tr_privkey *k, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig,
	      size_t *ret_n, struct tr_err *err)
{
	if (!tr_pubkey_can(k->pub, alg))
		return wrong_alg(k->pub, alg, err);
	if (k->sign)
		return sign_external(k, alg, msg, sig, ret_n, err);
	if (alg != TR_SIG_ED25519)
		return sign_ossl(k, alg, msg, sig, ret_n, err);
	(void)crypto_sign_detached(sig, NULL, msg.p, msg.n, tr_secret_p(k->ed));
	*ret_n = 64;
	return TR_OK;
}
