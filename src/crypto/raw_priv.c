/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/raw_sign.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "crypto/raw_sign_inner.h"

#define SECRET_MAX 520

TR_OSSL_DEFINE_AUTO(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
TR_OSSL_DEFINE_AUTO(OSSL_PARAM, OSSL_PARAM_free)
TR_OSSL_DEFINE_AUTO(BIO, BIO_free_all)

struct tr_raw_priv *tr_raw_priv_free(struct tr_raw_priv *k)
{
	if (k) {
		EVP_PKEY_free(k->pkey);
		tr_buf_done(&k->spki);
		free(k);
	}
	return NULL;
}

/* Takes pkey, and derives what callers ask for often. */
static TR_RC take(EVP_PKEY *pkey, struct tr_raw_priv **ret, struct tr_err *err)
{
	tr_auto(tr_raw_priv_free) struct tr_raw_priv *k = calloc(1, sizeof(*k));
	unsigned char *der = NULL;
	int n;

	if (!k) {
		EVP_PKEY_free(pkey);
		return tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "private key");
	}
	k->pkey = pkey;
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		k->type = TR_RAW_RSA;
	} else {
		char group[32] = "";

		if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 && strcmp(group, "prime256v1") == 0)
			k->type = TR_RAW_P256;
		else if (strcmp(group, "secp384r1") == 0)
			k->type = TR_RAW_P384;
		else
			return tr_ossl_fail(err, TR_E_INVALID, RAW_KEY_PUB, "curve '%s'", group);
		if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, k->point, sizeof(k->point),
						    &k->n_point) != 1 ||
		    k->point[0] != 4)
			return tr_ossl_fail(err, TR_E_INVALID, RAW_KEY_PUB, "no uncompressed public point");
	}
	n = i2d_PUBKEY(pkey, &der);
	if (n <= 0)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "no SPKI");
	tr_buf_add(&k->spki, der, (size_t)n);
	OPENSSL_free(der);
	if (!tr_buf_ok(&k->spki))
		return tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "SPKI");
	*ret = TR_TAKE(k);
	return TR_OK;
}

static TR_RC from_data(const char *kind, OSSL_PARAM_BLD *bld, struct tr_raw_priv **ret, struct tr_err *err)
{
	tr_auto(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), kind, NULL);
	EVP_PKEY *pkey = NULL;

	if (!params || !c || EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "%s key from its numbers", kind);
	return take(pkey, ret, err);
}

/* n bytes for that label, as a number. */
static TR_RC number(struct tr_view seed, const char *label, const char *what, size_t n, BIGNUM **ret, struct tr_err *err)
{
	uint8_t bytes[SECRET_MAX];
	char info[96];
	enum tr_code rc;

	if (snprintf(info, sizeof(info), "troth/raw-sign/%s/%s", label, what) >= (int)sizeof(info) || n > sizeof(bytes))
		return tr_err_set(err, TR_E_INTERNAL, RAW_KEY_PUB, "label '%s' is too long", label);
	rc = tr_hkdf_sha256(seed, tr_view(NULL, 0), tr_view_str(info), bytes, n, err);
	if (rc)
		return rc;
	*ret = BN_bin2bn(bytes, (int)n, *ret);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return *ret ? TR_OK : tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "number");
}

static TR_RC fresh(const char *kind, const char *group, unsigned bits, struct tr_raw_priv **ret, struct tr_err *err)
{
	EVP_PKEY *pkey = group ? EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, kind, group) :
				 EVP_PKEY_Q_keygen(tr_ossl_ctx(), NULL, kind, (size_t)bits);

	if (!pkey)
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "no fresh %s key", kind);
	return take(pkey, ret, err);
}

TR_RC tr_raw_priv_ec(enum tr_raw_type curve, struct tr_view seed, const char *label, struct tr_raw_priv **ret,
		     struct tr_err *err)
{
	const char *group_name = curve == TR_RAW_P256 ? "prime256v1" : "secp384r1";
	tr_auto(BN_CTX_free) BN_CTX *ctx = BN_CTX_new_ex(tr_ossl_ctx());
	tr_auto(EC_GROUP_free) EC_GROUP *group = NULL;
	tr_auto(EC_POINT_free) EC_POINT *q = NULL;
	tr_auto(BN_clear_free) BIGNUM *d = NULL;
	tr_auto(BN_clear_free) BIGNUM *below = NULL;
	tr_auto(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	uint8_t point[RAW_POINT_MAX];
	size_t n;
	enum tr_code rc;

	if (curve != TR_RAW_P256 && curve != TR_RAW_P384)
		return tr_err_set(err, TR_E_INVALID, RAW_KEY_PUB, "curve %d", (int)curve);
	if (seed.n == 0)
		return fresh("EC", group_name, 0, ret, err);
	group = EC_GROUP_new_by_curve_name_ex(tr_ossl_ctx(), NULL,
					      curve == TR_RAW_P256 ? NID_X9_62_prime256v1 : NID_secp384r1);
	/* FIPS 186-4 B.4.1: 64 bits more than the order has, so that the remainder's bias is nothing. */
	rc = number(seed, label, "d", (curve == TR_RAW_P256 ? 32 : 48) + 8, &d, err);
	if (rc)
		return rc;
	if (!group || !ctx || !bld || !(q = EC_POINT_new(group)) || !(below = BN_dup(EC_GROUP_get0_order(group))) ||
	    !BN_sub_word(below, 1) || !BN_mod(d, d, below, ctx) || !BN_add_word(d, 1) ||
	    !EC_POINT_mul(group, q, d, NULL, NULL, ctx))
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "EC key from a seed");
	n = EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point, sizeof(point), ctx);
	if (n == 0 || !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group_name, 0) ||
	    !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, n) ||
	    !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d))
		return tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "EC key from a seed");
	return from_data("EC", bld, ret, err);
}

/* The first prime from a start that the seed gives, with both top bits set so that two make a modulus of full length, and
 * fit for that public exponent. The search is not uniform over primes, and not of constant time: good enough to simulate. */
static TR_RC prime(struct tr_view seed, const char *label, const char *what, unsigned bits, const BIGNUM *e, BN_CTX *ctx,
		   BIGNUM **ret, struct tr_err *err)
{
	tr_auto(BN_clear_free) BIGNUM *rest = BN_new();
	enum tr_code rc = number(seed, label, what, bits / 8, ret, err);
	int is;

	if (rc)
		return rc;
	if (!rest || !BN_set_bit(*ret, (int)bits - 1) || !BN_set_bit(*ret, (int)bits - 2) || !BN_set_bit(*ret, 0))
		return tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "prime");
	while ((is = BN_check_prime(*ret, ctx, NULL)) == 0 || (is == 1 && BN_mod(rest, *ret, e, ctx) && BN_is_one(rest)))
		if (!BN_add_word(*ret, 2))
			is = -1;
	return is == 1 ? TR_OK : tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "no prime");
}

TR_RC tr_raw_priv_rsa(unsigned bits, struct tr_view seed, const char *label, struct tr_raw_priv **ret, struct tr_err *err)
{
	static const char *const names[] = { OSSL_PKEY_PARAM_RSA_N,	    OSSL_PKEY_PARAM_RSA_E,
					     OSSL_PKEY_PARAM_RSA_D,	    OSSL_PKEY_PARAM_RSA_FACTOR1,
					     OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
					     OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1 };
	enum { N, E, D, P, Q, DP, DQ, QI, PARTS };
	tr_auto(BN_CTX_free) BN_CTX *ctx = BN_CTX_new_ex(tr_ossl_ctx());
	tr_auto(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *x[PARTS] = { 0 }, *p1 = BN_new(), *q1 = BN_new(), *phi = BN_new();
	enum tr_code rc = TR_OK;
	bool ok = ctx && bld && p1 && q1 && phi;

	if (bits != 2048 && bits != 3072 && bits != 4096)
		rc = tr_err_set(err, TR_E_INVALID, RAW_KEY_PUB, "%u bits", bits);
	for (size_t i = 0; i < PARTS; i++)
		ok = (x[i] = BN_new()) != NULL && ok;
	ok = ok && BN_set_word(x[E], RSA_F4);
	if (!rc && !ok)
		rc = tr_err_set(err, TR_E_INTERNAL, RAW_MEMORY_PUB, "RSA key");
	if (!rc && seed.n == 0) {
		rc = fresh("RSA", NULL, bits, ret, err);
		goto out;
	}
	if (!rc)
		rc = prime(seed, label, "p", bits / 2, x[E], ctx, &x[P], err);
	if (!rc)
		rc = prime(seed, label, "q", bits / 2, x[E], ctx, &x[Q], err);
	if (rc)
		goto out;
	ok = BN_sub(p1, x[P], BN_value_one()) && BN_sub(q1, x[Q], BN_value_one()) && BN_mul(phi, p1, q1, ctx) &&
	     BN_mul(x[N], x[P], x[Q], ctx) && BN_mod_inverse(x[D], x[E], phi, ctx) && BN_mod(x[DP], x[D], p1, ctx) &&
	     BN_mod(x[DQ], x[D], q1, ctx) && BN_mod_inverse(x[QI], x[Q], x[P], ctx);
	for (size_t i = 0; ok && i < PARTS; i++)
		ok = OSSL_PARAM_BLD_push_BN(bld, names[i], x[i]) == 1;
	rc = ok ? from_data("RSA", bld, ret, err) : tr_ossl_fail(err, TR_E_INTERNAL, RAW_KEY_PUB, "RSA key from a seed");
out:
	for (size_t i = 0; i < PARTS; i++)
		BN_clear_free(x[i]);
	BN_clear_free(p1);
	BN_clear_free(q1);
	BN_clear_free(phi);
	return rc;
}

TR_RC tr_raw_priv_pem(struct tr_view pem, struct tr_raw_priv **ret, struct tr_err *err)
{
	tr_auto(BIO_free_all) BIO *bio = pem.n <= TR_KEY_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, tr_ossl_ctx(), NULL) : NULL;

	if (!pkey)
		return tr_ossl_fail(err, TR_E_INVALID, RAW_KEY_PUB, "PEM of %zu bytes", pem.n);
	if (!EVP_PKEY_is_a(pkey, "RSA") && !EVP_PKEY_is_a(pkey, "EC")) {
		EVP_PKEY_free(pkey);
		return tr_err_set(err, TR_E_INVALID, RAW_KEY_PUB, "neither RSA nor EC");
	}
	return take(pkey, ret, err);
}

enum tr_raw_type tr_raw_priv_type(const struct tr_raw_priv *k)
{
	return k->type;
}

struct tr_view tr_raw_priv_spki(const struct tr_raw_priv *k)
{
	return tr_buf_view(&k->spki);
}

struct tr_view tr_raw_priv_point(const struct tr_raw_priv *k)
{
	return k->n_point ? tr_view(k->point + 1, k->n_point - 1) : tr_view(NULL, 0);
}
