/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/der.h"
#include "evidence/tpm_inner.h"

/* TPMA_OBJECT, Part 2, 8.3 */
#define A_FIXED_TPM (1u << 1)
#define A_FIXED_PARENT (1u << 4)
#define A_SENSITIVE_DATA_ORIGIN (1u << 5)
#define A_RESTRICTED (1u << 16)
#define A_DECRYPT (1u << 17)
#define A_SIGN (1u << 18)
#define A_MADE_INSIDE (A_FIXED_TPM | A_FIXED_PARENT | A_SENSITIVE_DATA_ORIGIN | A_RESTRICTED)

static enum tr_code refuse(struct tr_err *err, const char *why)
{
	return tr_err_set(err, TR_E_INVALID, "the TPM's public area cannot be read", "public area: %s", why);
}

static size_t curve_size(enum tr_raw_type t)
{
	return t == TR_RAW_P256 ? 32 : t == TR_RAW_P384 ? 48 : t == TR_RAW_P521 ? 66 : 0;
}

static const char *rsa_part(struct tr_be *r, struct tr_tpm_public *p)
{
	uint16_t bits = tr_be_u16(r);

	p->type = TR_RAW_RSA;
	p->exponent = tr_be_u32(r);
	if (!p->exponent)
		p->exponent = 65537; /* 12.2.3.5: zero is the default */
	p->modulus = tr_be_sized(r);
	if (r->bad || p->modulus.n != bits / 8u || bits % 8)
		return "the modulus is not as long as its keyBits";
	return NULL;
}

static const char *ecc_part(struct tr_be *r, struct tr_tpm_public *p)
{
	uint16_t curve = tr_be_u16(r), kdf = tr_be_u16(r);
	struct tr_view x, y;
	size_t n;

	if (!r->bad && kdf != TPM_ALG_NULL)
		(void)tr_be_u16(r);
	x = tr_be_sized(r);
	y = tr_be_sized(r);
	p->type = curve == 3 ? TR_RAW_P256 : curve == 4 ? TR_RAW_P384 : curve == 5 ? TR_RAW_P521 : TR_RAW_NONE;
	if (p->type == TR_RAW_NONE)
		return "a curve that is not P-256, P-384 or P-521";
	n = curve_size(p->type);
	if (r->bad || !x.n || !y.n || x.n > n || y.n > n)
		return "a coordinate is longer than the curve's";
	/* Padded to the curve's size by newer TPMs, without leading zeros by older ones. */
	memcpy(p->xy + n - x.n, x.p, x.n);
	memcpy(p->xy + 2 * n - y.n, y.p, y.n);
	p->point_len = 2 * n;
	return NULL;
}

/* TPMT_SYM_DEF_OBJECT: null, or algorithm, bits and mode. */
static void symmetric(struct tr_be *r, struct tr_tpm_public *p)
{
	uint16_t alg = tr_be_u16(r), bits, mode;

	p->aes128_cfb = false;
	if (r->bad || alg == TPM_ALG_NULL)
		return;
	bits = tr_be_u16(r);
	mode = tr_be_u16(r);
	p->aes128_cfb = alg == TPM_ALG_AES && bits == 128 && mode == TPM_ALG_CFB;
}

static void name_it(struct tr_tpm_public *p)
{
	enum tr_raw_hash h = tr_tpm_hash(p->name_alg);
	uint8_t digest[64];

	tr_raw_digest(h, &p->tpmt, 1, digest);
	p->name[0] = (uint8_t)(p->name_alg >> 8);
	p->name[1] = (uint8_t)p->name_alg;
	memcpy(p->name + 2, digest, tr_raw_hash_len(h));
	p->name_len = 2 + tr_raw_hash_len(h);
}

/* Part 2, 12.2.4 and 12.2.5 */
TR_RC tr_tpm_public_parse(struct tr_view in, struct tr_tpm_public *ret, struct tr_err *err)
{
	struct tr_be r = tr_be(in);
	struct tr_tpm_public p = { 0 };
	const char *why;
	uint16_t type;

	/* No type is as large as a length could be small: the first two bytes tell both forms apart. */
	if (in.n > 2 && (size_t)(in.p[0] << 8 | in.p[1]) == in.n - 2)
		(void)tr_be_u16(&r);
	p.tpmt = tr_view(r.p, r.n);
	type = tr_be_u16(&r);
	p.name_alg = tr_be_u16(&r);
	p.attributes = tr_be_u32(&r);
	(void)tr_be_sized(&r); /* authPolicy */
	if (r.bad)
		return refuse(err, "cut short");
	if (type != TPM_ALG_RSA && type != TPM_ALG_ECC)
		return refuse(err, "neither RSA nor ECC");
	if (tr_tpm_hash(p.name_alg) == TR_HASH_NONE || p.name_alg == TPM_ALG_SHA1)
		return refuse(err, "its Name is of a hash that is not accepted");
	symmetric(&r, &p);
	p.scheme = tr_be_u16(&r);
	if (!r.bad && p.scheme != TPM_ALG_NULL)
		p.scheme_hash = tr_be_u16(&r);
	why = type == TPM_ALG_RSA ? rsa_part(&r, &p) : ecc_part(&r, &p);
	if (why)
		return refuse(err, why);
	if (!tr_be_done(&r))
		return refuse(err, "bytes follow its end");
	name_it(&p);
	*ret = p;
	return TR_OK;
}

bool tr_tpm_public_is_ak(const struct tr_tpm_public *p)
{
	return (p->attributes & A_MADE_INSIDE) == A_MADE_INSIDE && p->attributes & A_SIGN && !(p->attributes & A_DECRYPT);
}

bool tr_tpm_public_is_ek(const struct tr_tpm_public *p)
{
	return (p->attributes & A_MADE_INSIDE) == A_MADE_INSIDE && p->attributes & A_DECRYPT && !(p->attributes & A_SIGN);
}

struct tr_view tr_tpm_public_point(const struct tr_tpm_public *p)
{
	return tr_view(p->xy, p->point_len);
}

void tr_tpm_public_qualified(const struct tr_tpm_public *p, struct tr_view parent, uint8_t ret[66], size_t *ret_len)
{
	enum tr_raw_hash h = tr_tpm_hash(p->name_alg);
	struct tr_view parts[2] = { parent, tr_view(p->name, p->name_len) };
	static const uint8_t endorsement[4] = { 0x40, 0x00, 0x00, 0x0b };
	uint8_t digest[64];

	if (!parent.n)
		parts[0] = TR_VIEW_ARRAY(endorsement);
	tr_raw_digest(h, parts, 2, digest);
	ret[0] = p->name[0];
	ret[1] = p->name[1];
	memcpy(ret + 2, digest, tr_raw_hash_len(h));
	*ret_len = 2 + tr_raw_hash_len(h);
}

/* Content octets: rsaEncryption, id-ecPublicKey, prime256v1, secp384r1, secp521r1 */
static const uint8_t oid_rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01 };
static const uint8_t oid_ec[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01 };
static const uint8_t oid_p256[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t oid_p384[] = { 0x2b, 0x81, 0x04, 0x00, 0x22 };
static const uint8_t oid_p521[] = { 0x2b, 0x81, 0x04, 0x00, 0x23 };

/* A positive INTEGER without its sign byte. */
static bool take_unsigned(struct tr_view *in, struct tr_view *ret)
{
	if (!tr_der_take(in, TR_DER_INT, ret) || !ret->n || ret->p[0] & 0x80)
		return false;
	if (ret->n > 1 && !ret->p[0])
		*ret = tr_view(ret->p + 1, ret->n - 1);
	return true;
}

static bool spki_rsa(struct tr_view alg, struct tr_view key, struct tr_tpm_spki *ret)
{
	struct tr_view body;

	ret->type = TR_RAW_RSA;
	return tr_der_take(&alg, TR_DER_NULL, &body) && !alg.n && tr_der_take(&key, TR_DER_SEQ, &body) && !key.n &&
	       take_unsigned(&body, &ret->modulus) && take_unsigned(&body, &ret->exponent) && !body.n;
}

static bool spki_ec(struct tr_view alg, struct tr_view key, struct tr_tpm_spki *ret)
{
	struct tr_view curve;

	if (!tr_der_take(&alg, TR_DER_OID, &curve) || alg.n)
		return false;
	ret->type = tr_view_eq(curve, TR_VIEW_ARRAY(oid_p256))   ? TR_RAW_P256
		    : tr_view_eq(curve, TR_VIEW_ARRAY(oid_p384)) ? TR_RAW_P384
		    : tr_view_eq(curve, TR_VIEW_ARRAY(oid_p521)) ? TR_RAW_P521
								 : TR_RAW_NONE;
	if (ret->type == TR_RAW_NONE || key.n != 1 + 2 * curve_size(ret->type) || key.p[0] != 0x04)
		return false;
	ret->point = tr_view(key.p + 1, key.n - 1);
	return true;
}

bool tr_tpm_spki_parse(struct tr_view der, struct tr_tpm_spki *ret)
{
	struct tr_tpm_spki s = { TR_RAW_NONE, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	struct tr_view body, alg, oid, bits;

	if (!tr_der_is_strict(der) || !tr_der_take(&der, TR_DER_SEQ, &body) || !tr_der_take(&body, TR_DER_SEQ, &alg) ||
	    !tr_der_take(&body, TR_DER_BITS, &bits) || body.n || !tr_der_take(&alg, TR_DER_OID, &oid) || bits.p[0])
		return false;
	bits = tr_view(bits.p + 1, bits.n - 1);
	if (tr_view_eq(oid, TR_VIEW_ARRAY(oid_rsa)) ? !spki_rsa(alg, bits, &s)
						     : !tr_view_eq(oid, TR_VIEW_ARRAY(oid_ec)) || !spki_ec(alg, bits, &s))
		return false;
	*ret = s;
	return true;
}

TR_RC tr_tpm_spki_key(struct tr_view der, struct tr_raw_key **ret, struct tr_err *err)
{
	struct tr_tpm_spki s;

	if (!tr_tpm_spki_parse(der, &s))
		return tr_err_set(err, TR_E_INVALID, "the public key cannot be read", "no SPKI of RSA, P-256, P-384 or P-521");
	return s.type == TR_RAW_RSA ? tr_raw_key_rsa(s.modulus, s.exponent, ret, err)
				    : tr_raw_key_ec(s.type, s.point, ret, err);
}
