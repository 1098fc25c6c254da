/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and CRLs as the simulated vendor writes them, byte by byte: the verifiers read them byte by byte too. */
#include "crypto/der.h"
#include "crypto/hash.h"
#include "evidence/sim_inner.h"

static const uint8_t oid_cn[] = { 0x55, 0x04, 0x03 };
static const uint8_t oid_c[] = { 0x55, 0x04, 0x06 };
static const uint8_t oid_l[] = { 0x55, 0x04, 0x07 };
static const uint8_t oid_st[] = { 0x55, 0x04, 0x08 };
static const uint8_t oid_o[] = { 0x55, 0x04, 0x0a };
static const uint8_t oid_ou[] = { 0x55, 0x04, 0x0b };
static const uint8_t oid_ski[] = { 0x55, 0x1d, 0x0e };
static const uint8_t oid_ku[] = { 0x55, 0x1d, 0x0f };
static const uint8_t oid_bc[] = { 0x55, 0x1d, 0x13 };
static const uint8_t oid_crl_number[] = { 0x55, 0x1d, 0x14 };
static const uint8_t oid_crldp[] = { 0x55, 0x1d, 0x1f };
static const uint8_t oid_aki[] = { 0x55, 0x1d, 0x23 };
static const uint8_t oid_ecdsa_sha256[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };
/* RSASSA-PSS with SHA-384, MGF1 of the same and 48 bytes of salt; trailerField is left at its default (RFC 4055 3.1). */
static const uint8_t alg_pss_sha384[] = {
	0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
	0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c,
	0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
	0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
};

static void add_rdn(struct tr_buf *b, struct tr_view oid, const char *text)
{
	size_t at = b->n;

	tr_der_add(b, TR_DER_OID, oid);
	tr_der_add(b, TR_DER_UTF8, tr_view_str(text));
	tr_der_wrap(b, at, TR_DER_SEQ);
	tr_der_wrap(b, at, TR_DER_SET);
}

static void add_name(struct tr_buf *b, enum sim_style style, const char *cn)
{
	size_t at = b->n;

	if (style == SIM_STYLE_INTEL) {
		add_rdn(b, TR_VIEW_ARRAY(oid_cn), cn);
		add_rdn(b, TR_VIEW_ARRAY(oid_o), SIM_ORGANISATION);
		add_rdn(b, TR_VIEW_ARRAY(oid_l), "Nowhere");
		add_rdn(b, TR_VIEW_ARRAY(oid_st), "CA");
		add_rdn(b, TR_VIEW_ARRAY(oid_c), "US");
	} else {
		add_rdn(b, TR_VIEW_ARRAY(oid_ou), "Engineering");
		add_rdn(b, TR_VIEW_ARRAY(oid_c), "US");
		add_rdn(b, TR_VIEW_ARRAY(oid_l), "Nowhere");
		add_rdn(b, TR_VIEW_ARRAY(oid_st), "CA");
		add_rdn(b, TR_VIEW_ARRAY(oid_o), SIM_ORGANISATION);
		add_rdn(b, TR_VIEW_ARRAY(oid_cn), cn);
	}
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void add_alg(struct tr_buf *b, enum sim_style style)
{
	size_t at = b->n;

	if (style == SIM_STYLE_AMD) {
		tr_buf_addv(b, TR_VIEW_ARRAY(alg_pss_sha384));
		return;
	}
	tr_der_add(b, TR_DER_OID, TR_VIEW_ARRAY(oid_ecdsa_sha256));
	tr_der_wrap(b, at, TR_DER_SEQ);
}

/* RFC 7093 2 method 1: the leftmost 160 bits of SHA-256 over the key's bits; here over the SPKI, which is as good. */
static void key_identifier(const struct tr_raw_priv *k, uint8_t out[20])
{
	uint8_t sum[TR_SHA256_LEN];

	tr_sha256(tr_raw_priv_spki(k), sum);
	memcpy(out, sum, 20);
}

void tr_sim_serial(const struct tr_raw_priv *key, const char *subject, uint8_t out[20])
{
	struct tr_view parts[] = { tr_raw_priv_spki(key), tr_view_str(subject) };
	uint8_t sum[64];

	tr_raw_digest(TR_HASH_SHA256, parts, 2, sum);
	memcpy(out, sum, 20);
	/* Positive, and 20 bytes for everybody. */
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
}

void tr_sim_extension(struct tr_buf *b, struct tr_view oid, bool critical, struct tr_view value)
{
	size_t at = b->n;

	tr_der_add(b, TR_DER_OID, oid);
	if (critical)
		tr_der_add(b, TR_DER_BOOL, TR_VIEW_LIT("\xff"));
	tr_der_add(b, TR_DER_OCTETS, value);
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void add_built(struct tr_buf *b, struct tr_view oid, bool critical, const struct tr_buf *value)
{
	if (!tr_buf_ok(value))
		b->failed = true;
	tr_sim_extension(b, oid, critical, tr_buf_view(value));
}

static void add_aki(struct tr_buf *b, const struct tr_raw_priv *issuer)
{
	tr_auto(tr_buf_done) struct tr_buf v = TR_BUF_INIT;
	uint8_t id[20];

	key_identifier(issuer, id);
	tr_der_add(&v, TR_DER_CTX, TR_VIEW_ARRAY(id));
	tr_der_wrap(&v, 0, TR_DER_SEQ);
	add_built(b, TR_VIEW_ARRAY(oid_aki), false, &v);
}

static void add_key_ids_and_dp(struct tr_buf *b, const struct sim_cert *c)
{
	tr_auto(tr_buf_done) struct tr_buf v = TR_BUF_INIT;
	uint8_t id[20];

	add_aki(b, c->by);
	/* CRLDistributionPoints { DistributionPoint { [0] { [0] { [6] URI } } } } */
	tr_der_add(&v, TR_DER_CTX | 6, TR_VIEW_LIT("https://simulated.invalid/crl.der"));
	tr_der_wrap(&v, 0, TR_DER_CTX_CONS);
	tr_der_wrap(&v, 0, TR_DER_CTX_CONS);
	tr_der_wrap(&v, 0, TR_DER_SEQ);
	tr_der_wrap(&v, 0, TR_DER_SEQ);
	add_built(b, TR_VIEW_ARRAY(oid_crldp), false, &v);
	key_identifier(c->key, id);
	tr_buf_clear(&v);
	tr_der_add(&v, TR_DER_OCTETS, TR_VIEW_ARRAY(id));
	add_built(b, TR_VIEW_ARRAY(oid_ski), false, &v);
}

static void add_usage(struct tr_buf *b, int path_len)
{
	tr_auto(tr_buf_done) struct tr_buf v = TR_BUF_INIT;

	/* keyCertSign and cRLSign, or digitalSignature and nonRepudiation: unused bits first. */
	tr_der_add(&v, TR_DER_BITS, path_len == SIM_NOT_CA ? TR_VIEW_LIT("\x06\xc0") : TR_VIEW_LIT("\x01\x06"));
	add_built(b, TR_VIEW_ARRAY(oid_ku), true, &v);
	tr_buf_clear(&v);
	if (path_len != SIM_NOT_CA)
		tr_der_add(&v, TR_DER_BOOL, TR_VIEW_LIT("\xff"));
	if (path_len >= 0 && path_len != SIM_CA_ANY_LENGTH)
		tr_der_add_uint(&v, tr_view(&(uint8_t){ (uint8_t)path_len }, 1));
	tr_der_wrap(&v, 0, TR_DER_SEQ);
	add_built(b, TR_VIEW_ARRAY(oid_bc), true, &v);
}

/* What is signed stands in b; now the algorithm and the signature, and all of it wrapped. */
static TR_RC seal(struct tr_buf *b, enum sim_style style, const struct tr_raw_priv *by, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	enum tr_code rc = tr_buf_check(b, err);

	if (rc)
		return rc;
	tr_buf_add8(&sig, 0); /* unused bits */
	rc = style == SIM_STYLE_AMD ? tr_raw_sign_pss(by, TR_HASH_SHA384, tr_buf_view(b), &sig, err) :
				      tr_raw_sign_ecdsa_der(by, TR_HASH_SHA256, tr_buf_view(b), &sig, err);
	if (rc)
		return rc;
	add_alg(b, style);
	tr_der_add(b, TR_DER_BITS, tr_buf_view(&sig));
	tr_der_wrap(b, 0, TR_DER_SEQ);
	return tr_buf_check(b, err);
}

TR_RC tr_sim_cert(const struct sim_cert *c, struct tr_buf *ret_der, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	size_t at;
	enum tr_code rc;

	/* TBSCertificate: version v3 first (RFC 5280 4.1). */
	tr_buf_add(&b, "\xa0\x03\x02\x01\x02", 5);
	tr_der_add_uint(&b, c->serial);
	add_alg(&b, c->style);
	add_name(&b, c->style, c->issuer);
	at = b.n;
	tr_der_add_time(&b, c->not_before * 1000);
	tr_der_add_time(&b, c->not_after * 1000);
	tr_der_wrap(&b, at, TR_DER_SEQ);
	add_name(&b, c->style, c->subject);
	tr_buf_addv(&b, tr_raw_priv_spki(c->key));
	at = b.n;
	if (!c->bare) {
		add_key_ids_and_dp(&b, c);
		add_usage(&b, c->path_len);
	}
	tr_buf_addv(&b, c->extra);
	tr_der_wrap(&b, at, TR_DER_SEQ);
	tr_der_wrap(&b, at, TR_DER_CTX_CONS | 3);
	tr_der_wrap(&b, 0, TR_DER_SEQ);
	rc = seal(&b, c->style, c->forger ? c->forger : c->by, err);
	if (!rc) {
		tr_buf_addv(ret_der, tr_buf_view(&b));
		rc = tr_buf_check(ret_der, err);
	}
	return rc;
}

TR_RC tr_sim_crl(const struct sim_crl *c, struct tr_buf *ret_der, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	size_t at;
	enum tr_code rc;

	tr_der_add(&b, TR_DER_INT, TR_VIEW_LIT("\1")); /* v2 */
	add_alg(&b, c->style);
	add_name(&b, c->style, c->issuer);
	tr_der_add_time(&b, c->this_update * 1000);
	tr_der_add_time(&b, c->next_update * 1000);
	at = b.n;
	for (size_t i = 0; i < c->n; i++) {
		size_t entry = b.n;

		tr_der_add_uint(&b, c->serials[i]);
		tr_der_add_time(&b, c->this_update * 1000);
		tr_der_wrap(&b, entry, TR_DER_SEQ);
	}
	/* RFC 5280 5.1.2.6: the list is absent when it is empty. */
	if (c->n > 0)
		tr_der_wrap(&b, at, TR_DER_SEQ);
	at = b.n;
	tr_sim_extension(&b, TR_VIEW_ARRAY(oid_crl_number), false, TR_VIEW_LIT("\x02\x01\x01"));
	add_aki(&b, c->by);
	tr_der_wrap(&b, at, TR_DER_SEQ);
	tr_der_wrap(&b, at, TR_DER_CTX_CONS);
	tr_der_wrap(&b, 0, TR_DER_SEQ);
	rc = seal(&b, c->style, c->forger ? c->forger : c->by, err);
	if (!rc) {
		tr_buf_addv(ret_der, tr_buf_view(&b));
		rc = tr_buf_check(ret_der, err);
	}
	return rc;
}
