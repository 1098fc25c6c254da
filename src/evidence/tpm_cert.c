/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of TPM keys, up to a pinned key of their maker. */
#include "codec/pem.h"
#include "evidence/tpm_inner.h"

#define DEPTH_MAX 5

struct names { const char *format, *role, *time, *signature, *root; };
static const struct names lines[2] = {
	{ "ak_cert.format", "ak_cert.role", "ak_cert.time", "ak_cert.signature", "ak_cert.root" },
	{ "ek_cert.format", "ek_cert.role", "ek_cert.time", "ek_cert.signature", "ek_cert.root" },
};

struct walk {
	const struct names *names;
	const struct tr_view *roots;
	size_t n_roots;
	const struct tr_tee_when *when;
	struct tr_tee_result *r;
};

static bool in_time(const struct walk *w, const struct tr_x_cert *c)
{
	bool ok = tr_x_cert_in_time(c, w->when->now) || tr_x_cert_in_time(c, w->when->now + w->when->skew_s);
	struct tr_tee_check *line = tr_tee_check_add(w->r, w->names->time, TR_Q_CURRENT, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_TIME);

	tr_tee_expected(line, "%lld to %lld", (long long)c->not_before, (long long)c->not_after);
	tr_tee_seen(line, "%lld", (long long)w->when->now);
	tr_tee_until(w->r, c->not_after);
	return ok;
}

/* RFC 5280: keyCertSign is bit 5. */
static bool may_sign(const struct tr_x_cert *c)
{
	return c->ca && (!c->has_usage || c->usage & 1u << 5) && !c->unknown_critical;
}

static bool signed_by(const struct tr_x_cert *c, struct tr_view spki)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	struct tr_err err;

	return tr_tpm_spki_key(spki, &k, &err) == TR_OK && tr_x_verify(c->sig_alg, c->tbs, c->sig, k, &err) == TR_OK;
}

/* Does a pinned key end the chain here? By key and never by name: names are anybody's. */
static bool ends(const struct walk *w, const struct tr_x_cert *c)
{
	for (size_t i = 0; i < w->n_roots; i++)
		if (signed_by(c, w->roots[i]))
			return tr_tee_line(w->r, w->names->root, TR_Q_AUTHENTIC, TR_TEEC_OK, "signed by a pinned key", "yes");
	return false;
}

static bool climb(const struct walk *w, struct tr_x_cert *c, struct tr_view chain)
{
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		struct tr_x_cert up;
		struct tr_der d;
		struct tr_err err;
		bool ok;

		if (!in_time(w, c))
			return false;
		if (ends(w, c))
			return true;
		if (!chain.n)
			return tr_tee_line(w->r, w->names->root, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROOT, "signed by a pinned key",
					   w->n_roots ? "by none" : "none is pinned");
		if (!tr_der_next(&chain, &d) || tr_x_cert_parse(d.whole, &up, &err))
			return tr_tee_line(w->r, w->names->format, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_FORMAT, "DER certificates",
					   "an intermediate that cannot be read");
		if (!may_sign(&up))
			return tr_tee_line(w->r, w->names->role, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROLE, "intermediates are CAs",
					   "one may not sign certificates");
		ok = tr_view_eq(up.subject, c->issuer) && signed_by(c, up.spki);
		if (!tr_tee_line(w->r, w->names->signature, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_SIGNATURE,
				 "signed by the next one", ok ? "yes" : "no"))
			return false;
		*c = up;
	}
	return tr_tee_line(w->r, w->names->root, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROOT, "at most 5 certificates", "more");
}

/* TCG EK Credential Profile: 2.23.133.8.1 endorsement keys, 8.3 attestation keys. Makers leave the extension out; where it is
 * there, it is what its CA has looked at: a server's certificate under the same root is no TPM's. */
static bool is_for_tpm(const struct tr_x_cert *c, bool ek)
{
	static const uint8_t oid_eku[] = { 0x55, 0x1d, 0x25 };
	const uint8_t oid[] = { 0x67, 0x81, 0x05, 0x08, ek ? 1 : 3 };
	struct tr_view value;
	struct tr_der list, one;

	if (!tr_x_cert_extension(c, TR_VIEW_ARRAY(oid_eku), &value))
		return true;
	if (!tr_der_next(&value, &list))
		return false;
	while (tr_der_next(&list.body, &one))
		if (tr_view_eq(one.body, TR_VIEW_ARRAY(oid)))
			return true;
	return false;
}

bool tr_tpm_cert_chain(bool ek, struct tr_view cert, struct tr_view chain, const struct tr_view *roots, size_t n_roots,
		       const struct tr_tee_when *when, struct tr_tee_result *r)
{
	struct walk w = { &lines[ek], roots, n_roots, when, r };
	struct tr_x_cert c;
	struct tr_err err;

	tr_tee_input(r, ek ? "ek_cert" : "ak_cert", cert);
	if (tr_x_cert_parse(cert, &c, &err)) {
		struct tr_tee_check *line = tr_tee_check_add(r, w.names->format, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_FORMAT);

		tr_tee_expected(line, "a certificate");
		tr_tee_seen(line, "%s", err.detail);
		return false;
	}
	(void)tr_tee_line(r, w.names->format, TR_Q_AUTHENTIC, TR_TEEC_OK, "a certificate", "a certificate");
	/* A CA's own certificate is no TPM key's: whoever holds its key would be every TPM. */
	if (!tr_tee_line(r, w.names->role, TR_Q_AUTHENTIC, c.ca || c.unknown_critical ? TR_TEEC_CHAIN_ROLE : TR_TEEC_OK,
			 "of an end entity", c.ca ? "of a CA" : c.unknown_critical ? "an unknown critical extension" : "yes"))
		return false;
	if (!is_for_tpm(&c, ek))
		return tr_tee_line(r, w.names->role, TR_Q_AUTHENTIC, TR_TEEC_CHAIN_ROLE,
				   ek ? "for an endorsement key" : "for an attestation key", "for another purpose");
	return climb(&w, &c, chain);
}

/* TCG EK Credential Profile, B.3.3 and B.3.4: the templates L-1 and L-2 without the unique part. */
static const uint8_t template_policy[] = {
	0x00, 0x20, 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7,
	0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
	0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10,
};

TR_RC tr_tpm_ek_from_cert(struct tr_view der, struct tr_tpm_public *ret, struct tr_err *err)
{
	static const uint8_t rsa_head[] = { 0x00, 0x01, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2 };
	static const uint8_t rsa_tail[] = { 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00 };
	static const uint8_t ecc_head[] = { 0x00, 0x23, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2 };
	static const uint8_t ecc_tail[] = { 0x00, 0x03, 0x00, 0x10, 0x00, 0x20 }, y_len[] = { 0x00, 0x20 };
	struct tr_tpm_public p = { .attributes = 0x000300b2, .name_alg = TPM_ALG_SHA256, .scheme = TPM_ALG_NULL,
				   .aes128_cfb = true, .exponent = 65537, .name_len = 34 };
	struct tr_view parts[6];
	struct tr_x_cert c;
	struct tr_tpm_spki k;
	size_t n = 0;

	if (tr_x_cert_parse(der, &c, err))
		return tr_err_wrap(err, "certificate of the endorsement key");
	if (!tr_tpm_spki_parse(c.spki, &k))
		return tr_err_set(err, TR_E_INVALID, "the endorsement key is of a kind that is not supported", "SPKI");
	p.type = k.type;
	if (k.type == TR_RAW_RSA && k.modulus.n == 256 && tr_view_eq(k.exponent, TR_VIEW_LIT("\1\0\1"))) {
		p.modulus = k.modulus;
		parts[n++] = TR_VIEW_ARRAY(rsa_head);
		parts[n++] = TR_VIEW_ARRAY(template_policy);
		parts[n++] = TR_VIEW_ARRAY(rsa_tail);
		parts[n++] = k.modulus;
	} else if (k.type == TR_RAW_P256) {
		memcpy(p.xy, k.point.p, k.point.n);
		p.point_len = k.point.n;
		parts[n++] = TR_VIEW_ARRAY(ecc_head);
		parts[n++] = TR_VIEW_ARRAY(template_policy);
		parts[n++] = TR_VIEW_ARRAY(ecc_tail);
		parts[n++] = tr_view(k.point.p, 32);
		parts[n++] = TR_VIEW_ARRAY(y_len);
		parts[n++] = tr_view(k.point.p + 32, 32);
	} else {
		return tr_err_set(err, TR_E_INVALID, "only endorsement keys of RSA 2048 or P-256 are supported", "EK type %d",
				  k.type);
	}
	p.name[1] = TPM_ALG_SHA256;
	{
		uint8_t digest[64];

		tr_raw_digest(TR_HASH_SHA256, parts, n, digest);
		memcpy(p.name + 2, digest, 32);
	}
	*ret = p;
	return TR_OK;
}
