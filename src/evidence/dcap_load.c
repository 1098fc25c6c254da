/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/dcap_inner.h"

#include <stdio.h>

static void because(char why[TR_DCAP_WHY_MAX], const struct tr_err *err)
{
	(void)snprintf(why, TR_DCAP_WHY_MAX, "%s", err->detail);
}

/* Intel's PKI is P-256 with SHA-256 throughout. *ret stays NULL for another key: nothing is signed by it, then. */
static TR_RC load_key(const struct tr_x_cert *c, struct tr_raw_key **ret, struct tr_err *err)
{
	if (c->key_type != TR_RAW_P256)
		return TR_OK;
	return tr_x_cert_key(c, ret, err) == TR_E_INTERNAL ? TR_E_INTERNAL : TR_OK;
}

static TR_RC check_signed(const struct tr_raw_key *k, enum tr_x_sig alg, struct tr_view tbs, struct tr_view sig, bool *ret,
			  struct tr_err *err)
{
	enum tr_code rc = TR_E_DENIED;

	if (k && alg == TR_X_SIG_ECDSA_SHA256)
		rc = tr_x_verify(alg, tbs, sig, k, err);
	*ret = rc == TR_OK;
	return rc == TR_E_INTERNAL ? rc : TR_OK;
}

static TR_RC check_json(const struct tr_raw_key *k, const struct tr_signed_json *d, bool *ret, struct tr_err *err)
{
	enum tr_code rc = TR_E_DENIED;

	if (k)
		rc = tr_raw_verify_ecdsa(k, TR_HASH_SHA256, &d->bytes, 1, tr_view(d->sig, 32), tr_view(d->sig + 32, 32), err);
	*ret = rc == TR_OK;
	return rc == TR_E_INTERNAL ? rc : TR_OK;
}

/* Exactly n certificates, in this order; false: *ret_rc says whether for want of memory, err why else. */
static bool read_certs(struct tr_view pem, struct tr_buf *ders, struct tr_x_cert *const *ret, size_t n, enum tr_code *ret_rc,
		       struct tr_err *err)
{
	struct tr_view der[3];
	size_t got = 0;
	enum tr_code rc = tr_x_pem_chain(pem, "CERTIFICATE", n, ders, der, &got, err);

	if (!rc && got != n)
		rc = tr_err_set(err, TR_E_INVALID, "the certificate chain is malformed", "%zu certificates of %zu", got, n);
	for (size_t i = 0; i < n && !rc; i++)
		rc = tr_x_cert_parse(der[i], ret[i], err);
	*ret_rc = rc == TR_E_INTERNAL ? rc : TR_OK;
	return rc == TR_OK;
}

struct tr_dcap_chain *tr_dcap_chain_free(struct tr_dcap_chain *c)
{
	if (c) {
		(void)tr_raw_key_free(c->leaf_key);
		(void)tr_raw_key_free(c->ca_key);
		(void)tr_raw_key_free(c->root_key);
		tr_buf_done(&c->ders);
		free(c);
	}
	return NULL;
}

static bool is_by_itself(const struct tr_x_cert *c)
{
	return tr_view_eq(c->subject, c->issuer);
}

static TR_RC load_chain(struct tr_view pem, struct tr_dcap_chain *c, struct tr_err *err)
{
	struct tr_x_cert *const certs[] = { &c->leaf, &c->ca, &c->root };
	enum tr_code rc;

	c->read = read_certs(pem, &c->ders, certs, TR_ARRAY_LEN(certs), &rc, err);
	if (!c->read) {
		because(c->why, err);
		return rc;
	}
	/* The leaf is first. Behind it quotes of 2020 have the root before the CA. */
	if (is_by_itself(&c->ca) && !is_by_itself(&c->root)) {
		struct tr_x_cert root = c->ca;

		c->ca = c->root;
		c->root = root;
	}
	if (!rc)
		rc = load_key(&c->root, &c->root_key, err);
	if (!rc)
		rc = load_key(&c->ca, &c->ca_key, err);
	if (!rc)
		rc = load_key(&c->leaf, &c->leaf_key, err);
	/* The root's own signature would prove nothing: its key is compared with the trusted ones. */
	if (!rc)
		rc = check_signed(c->root_key, c->ca.sig_alg, c->ca.tbs, c->ca.sig, &c->ca_signed, err);
	if (!rc)
		rc = check_signed(c->ca_key, c->leaf.sig_alg, c->leaf.tbs, c->leaf.sig, &c->leaf_signed, err);
	if (rc)
		return rc;
	c->has_pck = tr_pck_read(&c->leaf, &c->pck, err) == TR_OK;
	if (!c->has_pck)
		because(c->why, err);
	return TR_OK;
}

struct tr_dcap_chain *tr_dcap_chain_load(struct tr_view pem, struct tr_err *err)
{
	tr_auto(tr_dcap_chain_free) struct tr_dcap_chain *c = calloc(1, sizeof(*c));

	if (!c)
		(void)tr_err_set(err, TR_E_INTERNAL, "out of memory", "no room for a chain");
	return c && load_chain(pem, c, err) == TR_OK ? TR_TAKE(c) : NULL;
}

/* ---- collateral ---- */

static void signer_done(struct tr_dcap_signer *s)
{
	(void)tr_raw_key_free(s->key);
	tr_buf_done(&s->ders);
}

struct tr_dcap_set *tr_dcap_set_free(struct tr_dcap_set *s)
{
	if (s) {
		signer_done(&s->tcb_signer);
		signer_done(&s->qe_signer);
		tr_buf_done(&s->copy);
		free(s);
	}
	return NULL;
}

static TR_RC load_signer(struct tr_view pem, const struct tr_raw_key *anchor, struct tr_dcap_signer *s, struct tr_err *err)
{
	struct tr_x_cert *const certs[] = { &s->leaf, &s->root };
	enum tr_code rc;

	s->read = read_certs(pem, &s->ders, certs, TR_ARRAY_LEN(certs), &rc, err);
	if (!s->read) {
		because(s->why, err);
		return rc;
	}
	rc = load_key(&s->leaf, &s->key, err);
	return rc ? rc : check_signed(anchor, s->leaf.sig_alg, s->leaf.tbs, s->leaf.sig, &s->is_signed, err);
}

static TR_RC load_crl(struct tr_view der, const struct tr_raw_key *issuer, struct tr_dcap_crl *c, struct tr_err *err)
{
	if (!der.n)
		return TR_OK;
	c->read = tr_x_crl_parse(der, &c->crl, err) == TR_OK;
	if (!c->read) {
		because(c->why, err);
		return TR_OK;
	}
	return check_signed(issuer, c->crl.sig_alg, c->crl.tbs, c->crl.sig, &c->is_signed, err);
}

static TR_RC load_documents(struct tr_dcap_set *s, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	if (s->c.tcb_info.n) {
		s->tcb_read = tr_tcb_info_parse(s->c.tcb_info, &s->tcb, err) == TR_OK;
		if (!s->tcb_read)
			because(s->tcb_why, err);
		else
			rc = check_json(s->tcb_signer.key, &s->tcb.doc, &s->tcb_signed, err);
	}
	if (!rc && s->c.qe_identity.n) {
		s->qe_read = tr_qe_identity_parse(s->c.qe_identity, &s->qe, err) == TR_OK;
		if (!s->qe_read)
			because(s->qe_why, err);
		else
			rc = check_json(s->one_signer ? s->tcb_signer.key : s->qe_signer.key, &s->qe.doc, &s->qe_signed, err);
	}
	return rc;
}

/* One buffer for all; the views move to it when it no longer grows. */
static TR_RC own_bytes(struct tr_dcap_set *s, struct tr_err *err)
{
	struct tr_view *const all[] = { &s->c.tcb_info, &s->c.qe_identity, &s->c.tcb_chain,
					&s->c.qe_chain, &s->c.pck_crl,	   &s->c.root_crl };
	enum tr_code rc;
	size_t at = 0;

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		tr_buf_addv(&s->copy, *all[i]);
	rc = tr_buf_check(&s->copy, err);
	for (size_t i = 0; i < TR_ARRAY_LEN(all) && !rc; i++) {
		*all[i] = tr_view(s->copy.p + at, all[i]->n);
		at += all[i]->n;
	}
	return rc;
}

static TR_RC load_set(const struct tr_dcap_chain *chain, struct tr_dcap_set *s, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	s->one_signer = !s->c.qe_chain.n || tr_view_eq(s->c.qe_chain, s->c.tcb_chain);
	if (s->c.tcb_chain.n)
		rc = load_signer(s->c.tcb_chain, chain->root_key, &s->tcb_signer, err);
	if (!rc && !s->one_signer)
		rc = load_signer(s->c.qe_chain, chain->root_key, &s->qe_signer, err);
	if (!rc)
		rc = load_crl(s->c.root_crl, chain->root_key, &s->root_crl, err);
	if (!rc)
		rc = load_crl(s->c.pck_crl, chain->ca_key, &s->pck_crl, err);
	return rc ? rc : load_documents(s, err);
}

struct tr_dcap_set *tr_dcap_set_load(const struct tr_dcap_collateral *c, const struct tr_dcap_chain *chain, bool copy,
				     struct tr_err *err)
{
	tr_auto(tr_dcap_set_free) struct tr_dcap_set *s = calloc(1, sizeof(*s));
	enum tr_code rc = TR_OK;

	if (!s) {
		(void)tr_err_set(err, TR_E_INTERNAL, "out of memory", "no room for collateral");
		return NULL;
	}
	s->c = *c;
	if (copy)
		rc = own_bytes(s, err);
	if (!rc)
		rc = load_set(chain, s, err);
	return rc ? NULL : TR_TAKE(s);
}

TR_RC tr_dcap_needs(struct tr_view quote, struct tr_view pck_chain, uint8_t ret_fmspc[6], bool *ret_platform_ca,
		    struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf ders = TR_BUF_INIT;
	struct tr_view der[3];
	struct tr_x_cert leaf;
	struct tr_quote q;
	struct tr_pck pck;
	enum tr_tee_code code;
	enum tr_code rc;
	size_t n = 0;

	rc = tr_quote_parse(quote, &q, &code, err);
	if (rc)
		return rc;
	if (q.cert_type != 5 && !pck_chain.n)
		return tr_err_set(err, TR_E_NOTFOUND, tr_tee_code_info(TR_TEEC_PCK_MISSING)->sentence,
				  "quote with certification data of type %u", q.cert_type);
	rc = tr_x_pem_chain(q.cert_type == 5 ? q.cert_data : pck_chain, "CERTIFICATE", 3, &ders, der, &n, err);
	if (!rc && n != 3)
		rc = tr_err_set(err, TR_E_INVALID, tr_tee_code_info(TR_TEEC_CHAIN_FORMAT)->sentence,
				"%zu certificates of 3", n);
	if (!rc)
		rc = tr_x_cert_parse(der[0], &leaf, err);
	if (!rc)
		rc = tr_pck_read(&leaf, &pck, err);
	if (rc)
		return rc;
	memcpy(ret_fmspc, pck.fmspc.p, 6);
	/* The name's text stands in the Name as it is, whatever its string type. */
	*ret_platform_ca = memmem(leaf.issuer.p, leaf.issuer.n, "SGX PCK Platform CA", 19) != NULL;
	return TR_OK;
}
