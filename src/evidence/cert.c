/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_parts.h"

#define CERT_PUB "the certificate is malformed"
#define OID(bytes) TR_VIEW_LIT(bytes)

static TR_RC bad(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, CERT_PUB, "certificate: %s", what);
}

/* RFC 5480 2.1.1: a named curve, and the whole point. */
static bool read_ec(struct tr_view params, struct tr_view key, struct tr_x_cert *c)
{
	static const struct { struct tr_view oid; enum tr_raw_type type; size_t n; } rows[] = {
		{ OID("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), TR_RAW_P256, 64 },
		{ OID("\x06\x05\x2b\x81\x04\x00\x22"), TR_RAW_P384, 96 },
		{ OID("\x06\x05\x2b\x81\x04\x00\x23"), TR_RAW_P521, 132 },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		if (!tr_view_eq(params, rows[i].oid))
			continue;
		if (key.n == rows[i].n + 1 && key.p[0] == 4) {
			c->key_type = rows[i].type;
			c->point = tr_view(key.p + 1, key.n - 1);
			return true;
		}
		/* A compressed point is legal and not read; anything else is no point of that curve. */
		return key.n == rows[i].n / 2 + 1 && (key.p[0] == 2 || key.p[0] == 3);
	}
	return true;
}

static bool take_uint(struct tr_view *in, struct tr_view *ret)
{
	return tr_der_take(in, TR_DER_INT, ret) && ret->n && ret->p[0] < 0x80 &&
	       !(ret->n > 1 && ret->p[0] == 0 && ret->p[1] < 0x80);
}

static bool read_rsa(struct tr_view params, struct tr_view key, struct tr_x_cert *c)
{
	struct tr_view seq;

	if (!tr_view_eq(params, TR_VIEW_LIT("\x05\x00")))
		return true;
	if (!tr_der_take(&key, TR_DER_SEQ, &seq) || key.n || !take_uint(&seq, &c->modulus) || !take_uint(&seq, &c->exponent) ||
	    seq.n)
		return false;
	c->key_type = TR_RAW_RSA;
	return true;
}

static bool take_spki(struct tr_view *in, struct tr_x_cert *c)
{
	struct tr_view alg, oid, key;
	struct tr_der d;

	if (!tr_der_next(in, &d) || d.tag != TR_DER_SEQ)
		return false;
	c->spki = d.whole;
	if (!tr_der_take(&d.body, TR_DER_SEQ, &alg) || !tr_der_take(&alg, TR_DER_OID, &oid) || !tr_x_take_bits(&d.body, &key) ||
	    d.body.n)
		return false;
	if (tr_view_eq(oid, OID("\x2a\x86\x48\xce\x3d\x02\x01")))
		return read_ec(alg, key, c);
	if (tr_view_eq(oid, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")))
		return read_rsa(alg, key, c);
	return true;
}

/* RFC 5280 4.2.1.9 */
static bool read_basic(struct tr_view value, struct tr_x_cert *c)
{
	struct tr_view seq, ca, len;

	c->has_basic = true;
	if (!tr_der_take(&value, TR_DER_SEQ, &seq) || value.n)
		return false;
	if (seq.n && seq.p[0] == TR_DER_BOOL) {
		if (!tr_der_take(&seq, TR_DER_BOOL, &ca) || !tr_view_eq(ca, TR_VIEW_LIT("\xff")))
			return false;
		c->ca = true;
	}
	if (!seq.n)
		return true;
	/* A path length without cA says nothing and is not allowed; longer than 127 is nobody's chain. */
	if (!c->ca || !take_uint(&seq, &len) || len.n != 1 || seq.n)
		return false;
	c->path_len = len.p[0];
	return true;
}

/* 4.2.1.3: bit 0 is the first byte's highest. Zero bits at the end are let pass against X.690 11.2.2: AMD's ASKs have them. */
static bool read_usage(struct tr_view value, struct tr_x_cert *c)
{
	struct tr_view bits;
	unsigned unused;

	c->has_usage = true;
	if (!tr_der_take(&value, TR_DER_BITS, &bits) || value.n || bits.n < 2 || bits.n > 3)
		return false;
	unused = bits.p[0];
	if (unused > 7 || (bits.p[bits.n - 1] & ((1u << unused) - 1)))
		return false;
	for (unsigned i = 0; i < (bits.n - 1) * 8; i++)
		if (bits.p[1 + i / 8] & (0x80u >> (i % 8)))
			c->usage |= (uint16_t)(1u << i);
	return true;
}

static bool read_ski(struct tr_view value, struct tr_x_cert *c)
{
	return tr_der_take(&value, TR_DER_OCTETS, &c->ski) && value.n == 0 && c->ski.n > 0;
}

static bool read_aki(struct tr_view value, struct tr_x_cert *c)
{
	return tr_x_read_aki(value, &c->aki);
}

/* What is known of: read, or left to whoever asks for it (tr_x_cert_extension). */
static const struct {
	struct tr_view oid;
	bool (*read)(struct tr_view value, struct tr_x_cert *c);
	const char *malformed;
} known[] = {
	{ OID("\x55\x1d\x13"), read_basic, "basicConstraints is malformed" },
	{ OID("\x55\x1d\x0f"), read_usage, "keyUsage is malformed" },
	{ OID("\x55\x1d\x0e"), read_ski, "subjectKeyIdentifier is malformed" },
	{ OID("\x55\x1d\x23"), read_aki, "authorityKeyIdentifier is malformed" },
	{ OID("\x55\x1d\x1f"), NULL, "" }, /* cRLDistributionPoints */
	{ OID("\x55\x1d\x25"), NULL, "" }, /* extKeyUsage */
	{ OID("\x55\x1d\x20"), NULL, "" }, /* certificatePolicies */
	{ OID("\x55\x1d\x11"), NULL, "" }, /* subjectAltName */
	{ OID("\x2b\x06\x01\x05\x05\x07\x01\x01"), NULL, "" }, /* authorityInfoAccess */
};

static TR_RC read_extensions(struct tr_view body, struct tr_x_cert *c, struct tr_err *err)
{
	struct tr_x_ext exts[TR_X_EXTS_MAX];
	size_t n;

	if (!tr_x_exts_read(body, exts, &n))
		return bad(err, "extensions are malformed, too many, or one comes twice");
	c->extensions = body;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < TR_ARRAY_LEN(known) && !tr_view_eq(known[k].oid, exts[i].oid))
			k++;
		if (k == TR_ARRAY_LEN(known))
			c->unknown_critical |= exts[i].critical;
		else if (known[k].read && !known[k].read(exts[i].value, c))
			return bad(err, known[k].malformed);
	}
	return TR_OK;
}

/* serial up to 20 bytes (RFC 5280 4.1.2.2) and a zero in front of a high bit. */
static bool serial_ok(struct tr_view v)
{
	return v.n <= 20 || (v.n == 21 && v.p[0] == 0);
}

/* [0] EXPLICIT Version DEFAULT v1 */
static bool take_version(struct tr_view *in, bool *ret_v3)
{
	struct tr_view version, v;

	*ret_v3 = false;
	if (!in->n || in->p[0] != TR_DER_CTX_CONS)
		return true;
	if (!tr_der_take(in, TR_DER_CTX_CONS, &version) || !tr_der_take(&version, TR_DER_INT, &v) || version.n || v.n != 1)
		return false;
	*ret_v3 = v.p[0] == 2;
	return v.p[0] == 1 || v.p[0] == 2;
}

TR_RC tr_x_cert_parse(struct tr_view der, struct tr_x_cert *ret, struct tr_err *err)
{
	struct tr_x_cert c = { .der = der, .path_len = -1 };
	struct tr_view validity, alg, no_cn, all, exts;
	enum tr_x_sig inner;
	struct tr_x_signed s;

	if (der.n > TR_X_CERT_MAX)
		return bad(err, "longer than 8192 bytes");
	/* Every element, those too that nobody reads: two encodings would be two fingerprints of one certificate. */
	if (!tr_der_is_strict(der) || !tr_x_signed_parse(der, &s))
		return bad(err, "not one certificate in DER");
	c.tbs = s.tbs;
	c.sig_alg = s.sig_alg;
	c.sig = s.sig;
	if (!take_version(&s.body, &c.v3))
		return bad(err, "version");
	if (!take_uint(&s.body, &c.serial) || !serial_ok(c.serial))
		return bad(err, "serial number is negative or longer than 20 bytes");
	/* RFC 5280 4.1.1.2: both are the same, or an attacker chooses what the signature is checked as. */
	if (!tr_x_take_alg(&s.body, &alg, &inner) || !tr_view_eq(alg, s.alg))
		return bad(err, "two signature algorithms");
	if (!tr_x_take_name(&s.body, &c.issuer, &no_cn))
		return bad(err, "issuer");
	if (!tr_der_take(&s.body, TR_DER_SEQ, &validity) || !tr_x_take_time(&validity, &c.not_before) ||
	    !tr_x_take_time(&validity, &c.not_after) || validity.n)
		return bad(err, "validity");
	if (!tr_x_take_name(&s.body, &c.subject, &c.subject_cn))
		return bad(err, "subject");
	if (!take_spki(&s.body, &c))
		return bad(err, "public key");
	if (s.body.n) {
		if (!c.v3 || !tr_der_take(&s.body, TR_DER_CTX_CONS + 3, &all) || s.body.n ||
		    !tr_der_take(&all, TR_DER_SEQ, &exts) || all.n)
			return bad(err, "something behind the public key that is not version 3's extensions");
		if (read_extensions(exts, &c, err))
			return err->code;
	}
	*ret = c;
	return TR_OK;
}

bool tr_x_cert_extension(const struct tr_x_cert *c, struct tr_view oid, struct tr_view *ret)
{
	struct tr_x_ext exts[TR_X_EXTS_MAX];
	size_t n;

	if (!c->extensions.n || !tr_x_exts_read(c->extensions, exts, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!tr_view_eq(exts[i].oid, oid))
			continue;
		*ret = exts[i].value;
		return true;
	}
	return false;
}

TR_RC tr_x_cert_key(const struct tr_x_cert *c, struct tr_raw_key **ret, struct tr_err *err)
{
	if (c->key_type == TR_RAW_NONE)
		return tr_err_set(err, TR_E_INVALID, "the certificate's key is of a kind that is not read",
				  "certificate: no P-256, P-384, P-521 or RSA key");
	return c->key_type == TR_RAW_RSA ? tr_raw_key_rsa(c->modulus, c->exponent, ret, err)
					 : tr_raw_key_ec(c->key_type, c->point, ret, err);
}

TR_RC tr_x_verify(enum tr_x_sig alg, struct tr_view tbs, struct tr_view sig, const struct tr_raw_key *k, struct tr_err *err)
{
	static const enum tr_raw_hash hash[] = {
		[TR_X_SIG_ECDSA_SHA256] = TR_HASH_SHA256, [TR_X_SIG_ECDSA_SHA384] = TR_HASH_SHA384,
		[TR_X_SIG_ECDSA_SHA512] = TR_HASH_SHA512, [TR_X_SIG_RSA_SHA256] = TR_HASH_SHA256,
		[TR_X_SIG_RSA_SHA384] = TR_HASH_SHA384,	  [TR_X_SIG_RSA_SHA512] = TR_HASH_SHA512,
		[TR_X_SIG_PSS_SHA256] = TR_HASH_SHA256,	  [TR_X_SIG_PSS_SHA384] = TR_HASH_SHA384,
		[TR_X_SIG_PSS_SHA512] = TR_HASH_SHA512,
	};

	if ((unsigned)alg >= TR_ARRAY_LEN(hash) || alg == TR_X_SIG_UNKNOWN)
		return tr_err_set(err, TR_E_INVALID, "the signature algorithm is not accepted", "unknown AlgorithmIdentifier");
	if (alg <= TR_X_SIG_ECDSA_SHA512)
		return tr_raw_verify_ecdsa_der(k, hash[alg], tbs, sig, err);
	if (alg <= TR_X_SIG_RSA_SHA512)
		return tr_raw_verify_rsa(k, hash[alg], tbs, sig, err);
	return tr_raw_verify_pss(k, hash[alg], (int)tr_raw_hash_len(hash[alg]), tbs, sig, err);
}

bool tr_x_cert_in_time(const struct tr_x_cert *c, int64_t now)
{
	return c->not_before <= now && now <= c->not_after;
}
