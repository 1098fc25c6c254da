/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/raw_sign.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "crypto/raw_sign_inner.h"

TR_OSSL_DEFINE_AUTO(ECDSA_SIG, ECDSA_SIG_free)

static const char *hash_name(enum tr_raw_hash h)
{
	return h == TR_HASH_SHA256 ? "SHA256" : h == TR_HASH_SHA384 ? "SHA384" : h == TR_HASH_SHA512 ? "SHA512" : NULL;
}

/* RFC 6979 3.2: the nonce comes from the key and the message, so that the same vendor writes the same certificate again.
 * K and V are the generator's state, of the hash's length. */
struct nonces {
	const char *md;
	size_t n;
	uint8_t k[64], v[64];
};

static bool mac(const struct nonces *g, struct tr_view in, uint8_t out[64])
{
	return EVP_Q_mac(tr_ossl_ctx(), "HMAC", NULL, g->md, NULL, g->k, g->n, in.p, in.n, out, 64, NULL) != NULL;
}

/* K = HMAC(K, V || tag || key || hash), V = HMAC(K, V) */
static bool nonces_step(struct nonces *g, uint8_t tag, struct tr_view key, struct tr_view hash)
{
	uint8_t in[64 + 1 + 2 * 48];
	size_t n = g->n;
	bool ok;

	memcpy(in, g->v, g->n);
	in[n++] = tag;
	if (key.n)
		memcpy(in + n, key.p, key.n);
	n += key.n;
	if (hash.n)
		memcpy(in + n, hash.p, hash.n);
	n += hash.n;
	ok = mac(g, tr_view(in, n), g->k) && mac(g, tr_view(g->v, g->n), g->v);
	OPENSSL_cleanse(in, sizeof(in));
	return ok;
}

/* s = (z + r d) / k with r the x of k G; false: this k does not do, or the library failed (*failed). */
static bool sign_with(const EC_GROUP *group, const BIGNUM *d, const BIGNUM *z, const BIGNUM *k, BIGNUM *r, BIGNUM *s,
		      BN_CTX *ctx, bool *failed)
{
	tr_auto(EC_POINT_free) EC_POINT *p = EC_POINT_new(group);
	const BIGNUM *order = EC_GROUP_get0_order(group);

	if (BN_is_zero(k) || BN_cmp(k, order) >= 0)
		return false;
	*failed = !p || !EC_POINT_mul(group, p, k, NULL, NULL, ctx) ||
		  !EC_POINT_get_affine_coordinates(group, p, r, NULL, ctx) || !BN_nnmod(r, r, order, ctx) ||
		  !BN_mod_mul(s, r, d, order, ctx) || !BN_mod_add(s, s, z, order, ctx);
	if (!*failed) {
		tr_auto(BN_clear_free) BIGNUM *inverse = BN_mod_inverse(NULL, k, order, ctx);

		*failed = !inverse || !BN_mod_mul(s, s, inverse, order, ctx);
	}
	return !*failed && !BN_is_zero(r) && !BN_is_zero(s);
}

/* r and s of a hash that is as long as the curve's order. */
static TR_RC sign_again(const struct tr_raw_priv *k, const char *md, const uint8_t *digest, size_t n, ECDSA_SIG *ret,
			struct tr_err *err)
{
	tr_auto(BN_CTX_free) BN_CTX *ctx = BN_CTX_new_ex(tr_ossl_ctx());
	tr_auto(EC_GROUP_free) EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(
		tr_ossl_ctx(), NULL, k->type == TR_RAW_P256 ? NID_X9_62_prime256v1 : NID_secp384r1);
	tr_auto(BN_clear_free) BIGNUM *d = NULL;
	tr_auto(BN_clear_free) BIGNUM *z = BN_bin2bn(digest, (int)n, NULL);
	tr_auto(BN_clear_free) BIGNUM *nonce = BN_new();
	BIGNUM *r = BN_new(), *s = BN_new();
	struct nonces g = { .md = md, .n = n };
	uint8_t key[48], hash[48];
	bool failed = !ctx || !group || !z || !nonce || !r || !s ||
		      !EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) ||
		      !BN_nnmod(z, z, EC_GROUP_get0_order(group), ctx) || BN_bn2binpad(d, key, (int)n) != (int)n ||
		      BN_bn2binpad(z, hash, (int)n) != (int)n;

	memset(g.v, 1, n);
	failed = failed || !nonces_step(&g, 0, tr_view(key, n), tr_view(hash, n)) ||
		 !nonces_step(&g, 1, tr_view(key, n), tr_view(hash, n));
	while (!failed) {
		failed = !mac(&g, tr_view(g.v, n), g.v) || !BN_bin2bn(g.v, (int)n, nonce);
		if (!failed && sign_with(group, d, z, nonce, r, s, ctx, &failed))
			break;
		failed = failed || !nonces_step(&g, 0, tr_view(NULL, 0), tr_view(NULL, 0));
	}
	OPENSSL_cleanse(&g, sizeof(g));
	OPENSSL_cleanse(key, sizeof(key));
	if (failed || !ECDSA_SIG_set0(ret, r, s)) {
		BN_free(r);
		BN_free(s);
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "r and s");
	}
	return TR_OK;
}

static TR_RC sign_ecdsa(const struct tr_raw_priv *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n_parts,
			ECDSA_SIG **ret, struct tr_err *err)
{
	tr_auto(ECDSA_SIG_free) ECDSA_SIG *sig = ECDSA_SIG_new();
	size_t order = k->type == TR_RAW_P256 ? 32 : 48;
	uint8_t digest[64];
	enum tr_code rc;

	/* One hash per curve: with others, RFC 6979 would take more steps, and nobody asks for them. */
	if (k->type == TR_RAW_RSA || !hash_name(h) || tr_raw_hash_len(h) != order)
		return tr_err_set(err, TR_E_INVALID, RAW_KEY_PUB, "the hash does not go with the key");
	if (!sig)
		return tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "signature");
	tr_raw_digest(h, parts, n_parts, digest);
	rc = sign_again(k, hash_name(h), digest, order, sig, err);
	if (!rc)
		*ret = TR_TAKE(sig);
	return rc;
}

static TR_RC sign_rsa(const struct tr_raw_priv *k, enum tr_raw_hash h, int padding, struct tr_view msg, struct tr_buf *ret,
		      struct tr_err *err)
{
	tr_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL; /* c's */
	size_t n = (size_t)EVP_PKEY_get_size(k->pkey);
	uint8_t *out;

	if (!hash_name(h) || k->type != TR_RAW_RSA)
		return tr_err_set(err, TR_E_INVALID, RAW_KEY_PUB, "the scheme does not go with the key");
	if (!c || EVP_DigestSignInit_ex(c, &pc, hash_name(h), tr_ossl_ctx(), NULL, k->pkey, NULL) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(pc, padding) != 1 ||
	    (padding == RSA_PKCS1_PSS_PADDING && EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, RSA_PSS_SALTLEN_DIGEST) != 1))
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "no signature context");
	out = tr_buf_space(ret, n);
	if (!out)
		return tr_buf_check(ret, err);
	if (EVP_DigestSign(c, out, &n, msg.p, msg.n) != 1)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "signature");
	return TR_OK;
}

TR_RC tr_raw_sign_ecdsa(const struct tr_raw_priv *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n_parts,
			struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(ECDSA_SIG_free) ECDSA_SIG *sig = NULL;
	int len = k->type == TR_RAW_P256 ? 32 : 48;
	enum tr_code rc = sign_ecdsa(k, h, parts, n_parts, &sig, err);
	uint8_t *out;

	if (rc)
		return rc;
	out = tr_buf_space(ret, 2 * (size_t)len);
	if (!out)
		return tr_buf_check(ret, err);
	if (BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, len) != len || BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + len, len) != len)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "r and s");
	return TR_OK;
}

TR_RC tr_raw_sign_ecdsa_der(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
			    struct tr_err *err)
{
	tr_auto(ECDSA_SIG_free) ECDSA_SIG *sig = NULL;
	enum tr_code rc = sign_ecdsa(k, h, &msg, 1, &sig, err);
	unsigned char *der = NULL;
	int n;

	if (rc)
		return rc;
	n = i2d_ECDSA_SIG(sig, &der);
	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "signature");
	tr_buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return tr_buf_check(ret, err);
}

TR_RC tr_raw_sign_rsa(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
		      struct tr_err *err)
{
	return sign_rsa(k, h, RSA_PKCS1_PADDING, msg, ret, err);
}

TR_RC tr_raw_sign_pss(const struct tr_raw_priv *k, enum tr_raw_hash h, struct tr_view msg, struct tr_buf *ret,
		      struct tr_err *err)
{
	return sign_rsa(k, h, RSA_PKCS1_PSS_PADDING, msg, ret, err);
}
