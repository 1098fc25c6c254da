/* SPDX-License-Identifier: Apache-2.0 */
/* A quote's verification in thirteen steps: step 1, the layout, here, 2 to 7 in dcap_chain.c, 8 to 11 here, 12 and 13 in
 * dcap_status.c. 14, policy, is src/appraise's. */
#include "evidence/dcap_inner.h"

#include "crypto/hash.h"

static bool all_zero(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i])
			return false;
	return true;
}

/* ---- 1: the quote ---- */

static void add_fields(struct tr_tee_result *r, const struct tr_quote *q)
{
	tr_tee_field_uint(r, "quote_version", q->version);
	tr_tee_field_uint(r, "body_type", q->body_type);
	tr_tee_field_uint(r, "cert_type", q->cert_type);
	tr_tee_field_hex(r, "qe_vendor", q->vendor);
	tr_tee_field_uint(r, "qe_isvsvn", q->qe.isvsvn);
	tr_tee_field_hex(r, "qe_mrsigner", q->qe.mrsigner);
	if (q->body_type == TR_BODY_SGX) {
		const struct tr_sgx_body *b = &q->sgx;

		tr_tee_field_hex(r, "cpusvn", b->cpusvn);
		tr_tee_field_uint(r, "miscselect", b->miscselect);
		tr_tee_field_hex(r, "attributes", b->attributes);
		tr_tee_field_hex(r, "mrenclave", b->mrenclave);
		tr_tee_field_hex(r, "mrsigner", b->mrsigner);
		tr_tee_field_uint(r, "isvprodid", b->isvprodid);
		tr_tee_field_uint(r, "isvsvn", b->isvsvn);
		tr_tee_field_hex(r, "isvextprodid", b->isvextprodid);
		tr_tee_field_hex(r, "isvfamilyid", b->isvfamilyid);
		tr_tee_field_hex(r, "configid", b->configid);
		tr_tee_field_uint(r, "configsvn", b->configsvn);
		tr_tee_field_uint(r, "reserved_zero", b->reserved_zero);
		r->report_data = b->report_data;
		r->debug = b->flags & 2;
	} else {
		static const char *const rtmr[4] = { "rtmr0", "rtmr1", "rtmr2", "rtmr3" };
		const struct tr_td_body *b = &q->td;
		const uint8_t *attributes = b->mrsignerseam.p + b->mrsignerseam.n; /* three of 8 bytes follow it */

		tr_tee_field_hex(r, "tee_tcb_svn", b->tee_tcb_svn);
		tr_tee_field_hex(r, "mrseam", b->mrseam);
		tr_tee_field_hex(r, "mrsignerseam", b->mrsignerseam);
		tr_tee_field_hex(r, "seam_attributes", tr_view(attributes, 8));
		tr_tee_field_hex(r, "td_attributes", tr_view(attributes + 8, 8));
		tr_tee_field_hex(r, "xfam", tr_view(attributes + 16, 8));
		tr_tee_field_hex(r, "mrtd", b->mrtd);
		tr_tee_field_hex(r, "mrconfigid", b->mrconfigid);
		tr_tee_field_hex(r, "mrowner", b->mrowner);
		tr_tee_field_hex(r, "mrownerconfig", b->mrownerconfig);
		for (unsigned i = 0; i < 4; i++)
			tr_tee_field_hex(r, rtmr[i], b->rtmr[i]);
		if (b->v15) {
			tr_tee_field_hex(r, "tee_tcb_svn_2", b->tee_tcb_svn_2);
			tr_tee_field_hex(r, "mrservicetd", b->mrservicetd);
		}
		r->report_data = b->report_data;
		r->debug = b->td_attributes & 1;
	}
}

static bool judge_quote(struct tr_dcap_run *v, struct tr_quote *q)
{
	enum tr_tee_kind seen;
	enum tr_tee_code code;
	struct tr_err err;
	bool zero;

	if (tr_quote_parse(v->in->quote, q, &code, &err)) {
		(void)tr_dcap_line(v, "quote.layout", code, false, "a quote of version 3, 4 or 5", err.detail);
		return false;
	}
	v->q = q;
	(void)tr_dcap_line(v, "quote.layout", TR_TEEC_QUOTE_LENGTH, true, "a quote of version 3, 4 or 5", "one");
	add_fields(v->r, q);
	/* The kind is the policy's and never the sender's choice. */
	seen = q->tee_type == 0 ? TR_TEE_SGX : TR_TEE_TDX;
	(void)tr_dcap_line(v, "quote.tee", TR_TEEC_QUOTE_TEE_TYPE, seen == v->in->kind, tr_tee_kind_name(v->in->kind),
			   tr_tee_kind_name(seen));
	if (seen != v->in->kind)
		return false;
	/* Quotes come in larger buffers, with zeros behind them. Anything else would be a second message. */
	v->r->trailing_bytes = q->trailing.n;
	zero = all_zero(q->trailing);
	(void)tr_dcap_line(v, "quote.trailing", TR_TEEC_QUOTE_TRAILING, zero, "nothing but zeros behind it",
			   !q->trailing.n ? "nothing" : zero ? "zeros" : "other bytes");
	return true;
}

/* PEM of the PCK chain: from the quote, or from beside it where the quote only names the platform. */
static bool find_chain(struct tr_dcap_run *v, struct tr_view *ret)
{
	bool inside = v->q->cert_type == 5;

	if (v->q->cert_type == 7) {
		(void)tr_dcap_line(v, "pck_chain.source", TR_TEEC_QUOTE_CERT_DATA, false, "certification data 1 to 5",
				   "a platform manifest");
		return false;
	}
	*ret = inside ? v->q->cert_data : v->in->c.pck_chain;
	return tr_dcap_line(v, "pck_chain.source", TR_TEEC_PCK_MISSING, ret->n > 0, "a PCK certificate chain",
			    !ret->n ? "none" : inside ? "in the quote" : "beside the quote");
}

/* ---- 8 to 11: the quoting enclave and the quote's signature ---- */

static TR_RC judge_signatures(struct tr_dcap_run *v, struct tr_err *err)
{
	tr_auto(tr_raw_key_free) struct tr_raw_key *key = NULL;
	const struct tr_quote *q = v->q;
	const struct tr_view bound[] = { q->att_key, q->qe_auth };
	uint8_t sum[64];
	enum tr_code rc = TR_E_DENIED;
	bool ok;

	if (v->chain->leaf_key)
		rc = tr_raw_verify_ecdsa(v->chain->leaf_key, TR_HASH_SHA256, &q->qe_report, 1, tr_view(q->qe_report_sig.p, 32),
					 tr_view(q->qe_report_sig.p + 32, 32), err);
	if (rc == TR_E_INTERNAL)
		return rc;
	(void)tr_dcap_line(v, "qe_report.signature", TR_TEEC_QE_SIGNATURE, !rc, "signed by the PCK key", rc ? "bad" : "good");
	tr_raw_digest(TR_HASH_SHA256, bound, TR_ARRAY_LEN(bound), sum);
	ok = memcmp(q->qe.report_data.p, sum, 32) == 0 && all_zero(tr_view(q->qe.report_data.p + 32, 32));
	(void)tr_dcap_line(v, "qe_report.binding", TR_TEEC_QE_BINDING, ok, "SHA-256 of attestation key and authentication data",
			   ok ? "it is" : "another value");
	rc = tr_raw_key_ec(TR_RAW_P256, q->att_key, &key, err);
	if (rc == TR_E_INTERNAL)
		return rc;
	if (!tr_dcap_line(v, "quote.attestation_key", TR_TEEC_QUOTE_SIGNATURE, !rc, "a point of P-256", rc ? "none" : "one"))
		return TR_OK;
	rc = tr_raw_verify_ecdsa(key, TR_HASH_SHA256, &q->signed_bytes, 1, tr_view(q->sig.p, 32), tr_view(q->sig.p + 32, 32),
				 err);
	if (rc == TR_E_INTERNAL)
		return rc;
	(void)tr_dcap_line(v, "quote.signature", TR_TEEC_QUOTE_SIGNATURE, !rc, "signed by the attestation key",
			   rc ? "bad" : "good");
	return TR_OK;
}

#define ONES 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
const uint8_t tr_dcap_whole[48] = { ONES, ONES, ONES, ONES, ONES, ONES };

bool tr_dcap_masked(struct tr_dcap_run *v, const char *name, enum tr_tee_code code, struct tr_view value,
		    const uint8_t *mask, const uint8_t *wanted)
{
	struct tr_tee_check *c;
	bool ok = true;

	for (size_t i = 0; i < value.n; i++)
		ok = ok && (value.p[i] & mask[i]) == wanted[i];
	c = tr_tee_check_add(v->r, name, tr_tee_code_info(code)->question, ok ? TR_TEEC_OK : code);
	tr_tee_expected_hex(c, tr_view(wanted, value.n));
	tr_tee_seen_hex(c, value);
	return ok;
}

/* 10: which enclave it is that vouches for the attestation key. */
static void judge_qe(struct tr_dcap_run *v)
{
	const struct tr_qe_identity *id = &v->set->qe;
	const struct tr_sgx_body *b = &v->q->qe;
	struct tr_tee_check *c;

	if (!v->qe_usable) {
		/* Any enclave on a genuine platform could be the one. */
		(void)tr_dcap_line(v, "qe.identity", TR_TEEC_QE_IDENTITY, false, "an identity that the vendor signed",
				   "none that may be used");
		return;
	}
	(void)tr_dcap_masked(v, "qe.miscselect", TR_TEEC_QE_IDENTITY, tr_view(v->q->qe_report.p + 16, 4), id->miscselect_mask,
			  id->miscselect);
	(void)tr_dcap_masked(v, "qe.attributes", TR_TEEC_QE_IDENTITY, b->attributes, id->attributes_mask, id->attributes);
	(void)tr_dcap_masked(v, "qe.mrsigner", TR_TEEC_QE_IDENTITY, b->mrsigner, tr_dcap_whole, id->mrsigner);
	c = tr_tee_check_add(v->r, "qe.isvprodid", TR_Q_AUTHENTIC,
			     b->isvprodid == id->isvprodid ? TR_TEEC_OK : TR_TEEC_QE_IDENTITY);
	tr_tee_expected(c, "%u", id->isvprodid);
	tr_tee_seen(c, "%u", b->isvprodid);
}

/* ---- all ---- */

/* Owned by the call, unless a cache took them over. */
struct loaded {
	struct tr_dcap_chain *chain;
	struct tr_dcap_set *set;
};

static TR_RC find_or_load_chain(struct tr_dcap_run *v, struct tr_view pem, struct loaded *l, uint8_t id[TR_SHA256_LEN],
				struct tr_err *err)
{
	int64_t now = v->in->when.now;

	tr_sha256(pem, id);
	v->chain = v->in->cache ? tr_dcap_cache_chain(v->in->cache, id, now) : NULL;
	v->keep = v->chain && tr_dcap_is_trusted(v->in, v->chain->root.spki);
	if (v->chain)
		return TR_OK;
	l->chain = tr_dcap_chain_load(pem, err);
	if (!l->chain)
		return TR_E_INTERNAL;
	v->chain = l->chain;
	/* Anyone can make a chain that is good under a root of his own: it must not push out the others. */
	v->keep = v->in->cache && l->chain->read && tr_dcap_is_trusted(v->in, l->chain->root.spki);
	if (v->keep && tr_dcap_cache_keep_chain(v->in->cache, id, now, l->chain))
		l->chain = NULL;
	return TR_OK;
}

/* Lists what is verified against, and names the whole of it. */
static void name_collateral(struct tr_dcap_run *v, uint8_t id[TR_SHA256_LEN])
{
	const struct tr_dcap_collateral *c = &v->in->c;
	const struct { const char *name; struct tr_view bytes; } items[] = {
		{ "tcb_info", c->tcb_info }, { "qe_identity", c->qe_identity }, { "tcb_chain", c->tcb_chain },
		{ "qe_chain", c->qe_chain }, { "pck_crl", c->pck_crl },		{ "root_crl", c->root_crl },
	};
	uint8_t digests[TR_ARRAY_LEN(items) * TR_SHA256_LEN] = { 0 };
	const struct tr_view parts[] = { TR_VIEW_ARRAY(digests), v->chain->root.spki, v->chain->ca.spki };
	uint8_t sum[64];

	for (size_t i = 0; i < TR_ARRAY_LEN(items); i++) {
		if (!items[i].bytes.n)
			continue;
		tr_tee_input(v->r, items[i].name, items[i].bytes);
		memcpy(digests + i * TR_SHA256_LEN, v->r->inputs[v->r->n_inputs - 1].sha256, TR_SHA256_LEN);
	}
	tr_raw_digest(TR_HASH_SHA256, parts, TR_ARRAY_LEN(parts), sum);
	memcpy(id, sum, TR_SHA256_LEN);
}

static TR_RC find_or_load_set(struct tr_dcap_run *v, struct loaded *l, struct tr_err *err)
{
	struct tr_dcap_cache *cache = v->in->cache;
	int64_t now = v->in->when.now;
	uint8_t id[TR_SHA256_LEN];

	name_collateral(v, id);
	v->set = cache ? tr_dcap_cache_set(cache, id, now) : NULL;
	if (v->set)
		return TR_OK;
	l->set = tr_dcap_set_load(&v->in->c, v->chain, v->keep, err);
	if (!l->set)
		return TR_E_INTERNAL;
	v->set = l->set;
	if (v->keep && tr_dcap_cache_keep_set(cache, id, now, l->set))
		l->set = NULL;
	return TR_OK;
}

static TR_RC verify(struct tr_dcap_run *v, struct tr_view pem, struct loaded *l, struct tr_err *err)
{
	uint8_t id[TR_SHA256_LEN];
	enum tr_code rc = find_or_load_chain(v, pem, l, id, err);

	if (rc)
		return rc;
	if (!tr_dcap_line(v, "pck_chain.format", TR_TEEC_CHAIN_FORMAT, v->chain->read, "PCK certificate, CA, root",
			  v->chain->read ? "all three" : v->chain->why))
		return TR_OK;
	tr_tee_input(v->r, "root", v->chain->root.spki);
	rc = find_or_load_set(v, l, err);
	if (rc)
		return rc;
	tr_dcap_judge_chain(v);
	tr_dcap_judge_collateral(v);
	rc = judge_signatures(v, err);
	if (rc)
		return rc;
	judge_qe(v);
	tr_dcap_judge_status(v);
	return TR_OK;
}

void tr_dcap_verify(const struct tr_dcap_in *in, struct tr_tee_result *ret, struct tr_quote *ret_quote)
{
	struct tr_dcap_run v = { .in = in, .r = ret };
	struct loaded l = { NULL, NULL };
	struct tr_err err = { .detail = "" };
	struct tr_view pem = tr_view(NULL, 0);
	struct tr_quote q;

	memset(ret, 0, sizeof(*ret));
	ret->kind = in->kind;
	tr_tee_input(ret, "quote", in->quote);
	if (!judge_quote(&v, &q)) {
		if (v.q && ret_quote)
			*ret_quote = q;
		return;
	}
	if (ret_quote)
		*ret_quote = q;
	if (find_chain(&v, &pem)) {
		if (q.cert_type != 5)
			tr_tee_input(ret, "pck_chain", pem);
		if (verify(&v, pem, &l, &err))
			(void)tr_dcap_line(&v, "memory", TR_TEEC_LIMIT, false, "memory for the verification", err.detail);
	}
	(void)tr_dcap_chain_free(l.chain);
	(void)tr_dcap_set_free(l.set);
	tr_tee_check_report_data(ret, in->report_data);
}
