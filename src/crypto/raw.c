/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/raw.h"

#include "crypto/der.h"
#include "crypto/ossl.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <pthread.h>

#define BAD_KEY_PUB "the public key is malformed"
#define BAD_SIG_PUB "signature does not verify"
#define WRONG_PUB "the signature algorithm does not go with the key's type"
#define MEMORY_PUB "out of memory"

#define HALF_MAX 66 /* bytes of a P-521 number */
#define ECDSA_DER_MAX (3 + 2 * (3 + HALF_MAX))
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

static const struct {
	const char *name, *fetch;
	size_t len;
} hashes[TR_HASH_N] = {
	[TR_HASH_NONE] = { "none", NULL, 0 },
	[TR_HASH_SHA1] = { "sha1", "SHA1", 20 },
	[TR_HASH_SHA256] = { "sha256", "SHA2-256", 32 },
	[TR_HASH_SHA384] = { "sha384", "SHA2-384", 48 },
	[TR_HASH_SHA512] = { "sha512", "SHA2-512", 64 },
};

static const struct {
	const char *group;
	size_t half; /* bytes of x, y, r and s */
	unsigned bits;
} curves[] = {
	[TR_RAW_P256] = { "prime256v1", 32, 256 },
	[TR_RAW_P384] = { "secp384r1", 48, 384 },
	[TR_RAW_P521] = { "secp521r1", 66, 521 },
};
#define IS_EC(t) ((t) == TR_RAW_P256 || (t) == TR_RAW_P384 || (t) == TR_RAW_P521)

/* Written once: fetched digests, and one key per curve that has its parameters only. Duplicating such a key and setting its
 * point takes 3 us; making one from its parameters takes 12, most of it for the curve. */
static struct {
	pthread_once_t once;
	EVP_MD *md[TR_HASH_N];
	EVP_PKEY *curve[TR_ARRAY_LEN(curves)];
	bool ok;
} self = { .once = PTHREAD_ONCE_INIT };

static EVP_PKEY *curve_template(const char *group)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), "EC", NULL);
	char name[16] = { 0 };
	OSSL_PARAM params[2];
	EVP_PKEY *ret = NULL;

	memcpy(name, group, strlen(group));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &ret, EVP_PKEY_KEY_PARAMETERS, params) != 1)
		return NULL;
	return ret;
}

static void open_all(void)
{
	bool ok = true;

	for (unsigned h = TR_HASH_SHA1; h < TR_HASH_N; h++)
		ok = (self.md[h] = EVP_MD_fetch(tr_ossl_ctx(), hashes[h].fetch, NULL)) && ok;
	for (unsigned t = TR_RAW_P256; t <= TR_RAW_P521; t++)
		ok = (self.curve[t] = curve_template(curves[t].group)) && ok;
	self.ok = ok;
}

static void need(void)
{
	(void)pthread_once(&self.once, open_all);
	/* Without memory for a few tables nothing could be checked. */
	if (!self.ok)
		abort();
}

size_t tr_raw_hash_len(enum tr_raw_hash h)
{
	return (unsigned)h < TR_HASH_N ? hashes[h].len : 0;
}

const char *tr_raw_hash_name(enum tr_raw_hash h)
{
	return hashes[(unsigned)h < TR_HASH_N ? h : TR_HASH_NONE].name;
}

void tr_raw_digest(enum tr_raw_hash h, const struct tr_view *parts, size_t n, uint8_t out[64])
{
	tr_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = NULL;
	bool ok;

	need();
	if (!tr_raw_hash_len(h)) {
		memset(out, 0, 64);
		return;
	}
	c = EVP_MD_CTX_new();
	ok = c && EVP_DigestInit_ex2(c, self.md[h], NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = parts[i].n == 0 || EVP_DigestUpdate(c, parts[i].p, parts[i].n) == 1;
	/* A digest fails only without memory, and no caller could go on with the wrong one. */
	if (!ok || EVP_DigestFinal_ex(c, out, NULL) != 1)
		abort();
}

struct tr_raw_key {
	enum tr_raw_type type;
	unsigned bits;
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *verify; /* EC: set up once, a key on a quote's path checks up to four signatures */
};

struct tr_raw_key *tr_raw_key_free(struct tr_raw_key *k)
{
	if (k) {
		EVP_PKEY_CTX_free(k->verify);
		EVP_PKEY_free(k->pkey);
		free(k);
	}
	return NULL;
}

enum tr_raw_type tr_raw_key_type(const struct tr_raw_key *k)
{
	return k->type;
}

unsigned tr_raw_key_bits(const struct tr_raw_key *k)
{
	return k->bits;
}

static TR_RC key_new(enum tr_raw_type type, unsigned bits, struct tr_raw_key **ret, struct tr_err *err)
{
	struct tr_raw_key *k = calloc(1, sizeof(*k));

	if (!k)
		return tr_err_set(err, TR_E_INTERNAL, MEMORY_PUB, "no room for a key");
	k->type = type;
	k->bits = bits;
	*ret = k;
	return TR_OK;
}

TR_RC tr_raw_key_ec(enum tr_raw_type curve, struct tr_view xy, struct tr_raw_key **ret, struct tr_err *err)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	uint8_t point[1 + 2 * HALF_MAX] = { 4 };
	enum tr_code rc;

	need();
	if (!IS_EC(curve) || xy.n != 2 * curves[curve].half)
		return tr_err_set(err, TR_E_INVALID, BAD_KEY_PUB, "a point of %zu bytes is not one of this curve", xy.n);
	rc = key_new(curve, curves[curve].bits, &k, err);
	if (rc)
		return rc;
	k->pkey = EVP_PKEY_dup(self.curve[curve]);
	if (!k->pkey)
		return tr_ossl_fail(err, TR_E_INTERNAL, MEMORY_PUB, "duplicate the parameters of %s", curves[curve].group);
	memcpy(point + 1, xy.p, xy.n);
	/* Checks x, y < p and the curve's equation; all three curves have cofactor 1, so that is all there is to check. */
	if (EVP_PKEY_set1_encoded_public_key(k->pkey, point, 1 + xy.n) != 1)
		return tr_ossl_fail(err, TR_E_INVALID, BAD_KEY_PUB, "not a point of %s", curves[curve].group);
	k->verify = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), k->pkey, NULL);
	if (!k->verify || EVP_PKEY_verify_init(k->verify) != 1)
		return tr_ossl_fail(err, TR_E_INTERNAL, MEMORY_PUB, "prepare a %s key", curves[curve].group);
	*ret = TR_TAKE(k);
	return TR_OK;
}

static struct tr_view without_zeros(struct tr_view v)
{
	while (v.n && v.p[0] == 0)
		v = tr_view(v.p + 1, v.n - 1);
	return v;
}

static unsigned uint_bits(struct tr_view v)
{
	return v.n ? (unsigned)(v.n * 8) - (unsigned)(__builtin_clz(v.p[0]) - 24) : 0;
}

/* OSSL_PARAM wants unsigned integers in the machine's byte order. */
static OSSL_PARAM uint_param(const char *name, struct tr_view v, uint8_t *out)
{
	for (size_t i = 0; i < v.n; i++)
		out[i] = v.p[__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v.n - 1 - i : i];
	return OSSL_PARAM_construct_BN(name, out, v.n);
}

TR_RC tr_raw_key_rsa(struct tr_view n, struct tr_view e, struct tr_raw_key **ret, struct tr_err *err)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = NULL;
	uint8_t n_bytes[RSA_BITS_MAX / 8], e_bytes[4];
	OSSL_PARAM params[3];
	enum tr_code rc;

	need();
	n = without_zeros(n);
	e = without_zeros(e);
	if (uint_bits(n) < RSA_BITS_MIN || uint_bits(n) > RSA_BITS_MAX || !(n.p[n.n - 1] & 1))
		return tr_err_set(err, TR_E_INVALID, BAD_KEY_PUB, "RSA modulus of %u bits: odd, %d to %d bits are read",
				  uint_bits(n), RSA_BITS_MIN, RSA_BITS_MAX);
	if (e.n < 1 || e.n > 4 || !(e.p[e.n - 1] & 1) || uint_bits(e) < 2)
		return tr_err_set(err, TR_E_INVALID, BAD_KEY_PUB, "RSA exponent of %u bits: odd, 3 to 2^32-1 are read",
				  uint_bits(e));
	rc = key_new(TR_RAW_RSA, uint_bits(n), &k, err);
	if (rc)
		return rc;
	params[0] = uint_param(OSSL_PKEY_PARAM_RSA_N, n, n_bytes);
	params[1] = uint_param(OSSL_PKEY_PARAM_RSA_E, e, e_bytes);
	params[2] = OSSL_PARAM_construct_end();
	c = EVP_PKEY_CTX_new_from_name(tr_ossl_ctx(), "RSA", NULL);
	if (!c || EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &k->pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return tr_ossl_fail(err, TR_E_INVALID, BAD_KEY_PUB, "RSA key of %u bits", k->bits);
	*ret = TR_TAKE(k);
	return TR_OK;
}

static TR_RC denied(const struct tr_raw_key *k, enum tr_raw_hash h, struct tr_err *err)
{
	return tr_ossl_fail(err, TR_E_DENIED, BAD_SIG_PUB, "%s %u bit signature over %s",
			    k->type == TR_RAW_RSA ? "RSA" : "ECDSA", k->bits, tr_raw_hash_name(h));
}

static TR_RC check_scheme(const struct tr_raw_key *k, bool ec, enum tr_raw_hash h, struct tr_err *err)
{
	if (IS_EC(k->type) != ec)
		return tr_err_set(err, TR_E_INVALID, WRONG_PUB, "%s signature by another kind of key", ec ? "ECDSA" : "RSA");
	/* SHA-1 collisions can be bought. */
	if (!tr_raw_hash_len(h) || h == TR_HASH_SHA1)
		return tr_err_set(err, TR_E_INVALID, "the signature's hash is not accepted", "hash %s", tr_raw_hash_name(h));
	return TR_OK;
}

static size_t add_half(uint8_t *out, struct tr_view v)
{
	size_t at = 0, pad = v.p[0] >= 0x80;

	out[at++] = TR_DER_INT;
	out[at++] = (uint8_t)(v.n + pad);
	if (pad)
		out[at++] = 0;
	memcpy(out + at, v.p, v.n);
	return at + v.n;
}

/* r and s, no leading zeros, neither empty, together at most 2*HALF_MAX. */
static struct tr_view to_der(struct tr_view r, struct tr_view s, uint8_t out[ECDSA_DER_MAX])
{
	size_t n = add_half(out + 3, r), head = 3;

	n += add_half(out + 3 + n, s);
	out[2] = (uint8_t)n;
	if (n >= 0x80)
		out[1] = 0x81;
	else
		head = 2;
	out[3 - head] = TR_DER_SEQ;
	return tr_view(out + 3 - head, n + head);
}

static TR_RC verify_ec(const struct tr_raw_key *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n,
		       struct tr_view der, struct tr_err *err)
{
	uint8_t sum[64];

	tr_raw_digest(h, parts, n, sum);
	/* Refuses r and s of 0 or not below the order (SEC 1, 4.1.4 step 1). */
	if (EVP_PKEY_verify(k->verify, der.p, der.n, sum, tr_raw_hash_len(h)) != 1)
		return denied(k, h, err);
	return TR_OK;
}

TR_RC tr_raw_verify_ecdsa(const struct tr_raw_key *k, enum tr_raw_hash h, const struct tr_view *parts, size_t n_parts,
			  struct tr_view r, struct tr_view s, struct tr_err *err)
{
	uint8_t der[ECDSA_DER_MAX];
	enum tr_code rc = check_scheme(k, true, h, err);

	if (rc)
		return rc;
	if (r.n > curves[k->type].half || s.n > curves[k->type].half)
		return denied(k, h, err);
	r = without_zeros(r);
	s = without_zeros(s);
	if (!r.n || !s.n)
		return denied(k, h, err);
	return verify_ec(k, h, parts, n_parts, to_der(r, s, der), err);
}

/* A positive INTEGER in its one encoding. */
static bool take_half(struct tr_view *in, size_t max)
{
	struct tr_view v;

	if (!tr_der_take(in, TR_DER_INT, &v) || !v.n || v.p[0] >= 0x80 || (v.n > 1 && v.p[0] == 0 && v.p[1] < 0x80))
		return false;
	return v.n - (v.p[0] == 0) <= max;
}

TR_RC tr_raw_verify_ecdsa_der(const struct tr_raw_key *k, enum tr_raw_hash h, struct tr_view msg, struct tr_view sig,
			      struct tr_err *err)
{
	struct tr_view rest = sig, seq;
	enum tr_code rc = check_scheme(k, true, h, err);

	if (rc)
		return rc;
	if (!tr_der_take(&rest, TR_DER_SEQ, &seq) || rest.n || !take_half(&seq, curves[k->type].half) ||
	    !take_half(&seq, curves[k->type].half) || seq.n)
		return denied(k, h, err);
	return verify_ec(k, h, &msg, 1, sig, err);
}

static TR_RC verify_rsa(const struct tr_raw_key *k, enum tr_raw_hash h, bool pss, int salt, struct tr_view msg,
			struct tr_view sig, struct tr_err *err)
{
	tr_auto(EVP_PKEY_CTX_free) EVP_PKEY_CTX *c = NULL;
	enum tr_code rc = check_scheme(k, false, h, err);
	uint8_t sum[64];

	if (rc)
		return rc;
	if (sig.n != (k->bits + 7) / 8)
		return denied(k, h, err);
	c = EVP_PKEY_CTX_new_from_pkey(tr_ossl_ctx(), k->pkey, NULL);
	if (!c || EVP_PKEY_verify_init(c) != 1 || EVP_PKEY_CTX_set_signature_md(c, self.md[h]) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(c, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1 ||
	    (pss && (EVP_PKEY_CTX_set_rsa_mgf1_md(c, self.md[h]) != 1 ||
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(c, salt < 0 ? RSA_PSS_SALTLEN_AUTO : salt) != 1)))
		return tr_ossl_fail(err, TR_E_INTERNAL, MEMORY_PUB, "prepare an RSA verification");
	tr_raw_digest(h, &msg, 1, sum);
	if (EVP_PKEY_verify(c, sig.p, sig.n, sum, tr_raw_hash_len(h)) != 1)
		return denied(k, h, err);
	return TR_OK;
}

TR_RC tr_raw_verify_rsa(const struct tr_raw_key *k, enum tr_raw_hash h, struct tr_view msg, struct tr_view sig,
			struct tr_err *err)
{
	return verify_rsa(k, h, false, 0, msg, sig, err);
}

TR_RC tr_raw_verify_pss(const struct tr_raw_key *k, enum tr_raw_hash h, int salt, struct tr_view msg, struct tr_view sig,
			struct tr_err *err)
{
	return verify_rsa(k, h, true, salt, msg, sig, err);
}
