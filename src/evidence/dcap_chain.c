/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 2 to 7 of dcap.c's: PCK chain, revocation lists, signing certificate, TCB info and QE identity. Each rule is a line
 * of its own, in this order. */
#include "evidence/dcap_inner.h"

#include "crypto/hash.h"

#include <stdio.h>

#define CN_ROOT "Intel SGX Root CA"
#define CN_PLATFORM "Intel SGX PCK Platform CA"
#define CN_PROCESSOR "Intel SGX PCK Processor CA"
#define CN_PCK "Intel SGX PCK Certificate"
#define CN_SIGNER "Intel SGX TCB Signing"

enum { USAGE_SIGN = 1u << 0, USAGE_CERTS = 1u << 5 };

bool tr_dcap_line(struct tr_dcap_run *v, const char *name, enum tr_tee_code code, bool ok, const char *expected,
		  const char *seen)
{
	return tr_tee_line(v->r, name, tr_tee_code_info(code)->question, ok ? TR_TEEC_OK : code, expected, seen);
}

/* ---- dates ---- */

/* "2025-05-10T00:45:00Z". libc's gmtime reads the time zone's file. */
static void put_time(char out[24], int64_t t)
{
	int64_t days = t / 86400 - (t % 86400 < 0), s = t - days * 86400, z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;

	(void)snprintf(out, 24, "%04d-%02u-%02uT%02u:%02u:%02uZ", (int)(yoe + era * 400 + (month <= 2)), (unsigned)month,
		       (unsigned)day, (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

/* from <= now <= to, with the caller's tolerance at either end; the line tells when grace was needed. */
static void judge_time(struct tr_dcap_run *v, const char *name, enum tr_tee_code code, int64_t from, int64_t to, int64_t grace)
{
	const struct tr_tee_when *w = &v->in->when;
	bool begun = from <= w->now || from - w->now <= w->skew_s, over = w->now > to && w->now - to > grace;
	struct tr_tee_check *c;
	char now[24], a[24], b[24];

	put_time(now, w->now);
	put_time(a, from);
	put_time(b, to);
	c = tr_tee_check_add(v->r, name, tr_tee_code_info(code)->question, begun && !over ? TR_TEEC_OK : code);
	tr_tee_expected(c, "valid at %s", now);
	if (w->now > to)
		tr_tee_seen(c, "%s to %s, over since %lld s (grace %lld s)", a, b, (long long)(w->now - to), (long long)grace);
	else if (from > w->now)
		tr_tee_seen(c, "%s to %s, begins in %lld s (allowed %lld s)", a, b, (long long)(from - w->now),
			    (long long)w->skew_s);
	else
		tr_tee_seen(c, "%s to %s", a, b);
	tr_tee_until(v->r, to + grace);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- certificates ---- */

static bool is_ca(const struct tr_x_cert *c)
{
	return c->v3 && c->has_basic && c->ca && c->has_usage && (c->usage & USAGE_CERTS) && c->key_type == TR_RAW_P256 &&
	       !c->unknown_critical;
}

static bool is_end_entity(const struct tr_x_cert *c)
{
	return c->v3 && !c->ca && c->has_usage && (c->usage & USAGE_SIGN) && !(c->usage & USAGE_CERTS) &&
	       c->key_type == TR_RAW_P256 && !c->unknown_critical;
}

static bool is_root(const struct tr_x_cert *c)
{
	return is_ca(c) && tr_view_is(c->subject_cn, CN_ROOT) && tr_view_eq(c->subject, c->issuer);
}

/* The certificate is none of ours to show whole: its name, and what about it may not fit. */
static void judge_role(struct tr_dcap_run *v, const char *name, bool ok, const char *expected, const struct tr_x_cert *c,
		       const struct tr_x_cert *issuer)
{
	struct tr_tee_check *l = tr_tee_check_add(v->r, name, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_ROLE);
	size_t n = c->subject_cn.n < 60 ? c->subject_cn.n : 60;

	tr_tee_expected(l, "%s", expected);
	tr_tee_seen(l, "%.*s%s%s%s%s", (int)n, n ? (const char *)c->subject_cn.p : "", c->ca ? ", a CA" : "",
		    tr_view_eq(c->issuer, issuer->subject) ? "" : ", issued by another",
		    c->key_type == TR_RAW_P256 ? "" : ", not P-256", c->unknown_critical ? ", unknown critical extension" : "");
}

bool tr_dcap_is_trusted(const struct tr_dcap_in *in, struct tr_view spki)
{
	for (size_t i = 0; i < in->n_roots; i++)
		if (in->roots[i].n && tr_view_eq(in->roots[i], spki))
			return true;
	return false;
}

/* By key: certificates of one root differ (2033 and 2049), and a name proves nothing. */
static bool judge_root(struct tr_dcap_run *v, const char *name, struct tr_view spki)
{
	/* One vendor's collateral does not speak for another's platform, though both may be trusted. */
	bool ok = tr_dcap_is_trusted(v->in, spki) && tr_view_eq(spki, v->chain->root.spki);
	struct tr_tee_check *c = tr_tee_check_add(v->r, name, TR_Q_AUTHENTIC, ok ? TR_TEEC_OK : TR_TEEC_CHAIN_ROOT);
	uint8_t sum[TR_SHA256_LEN];

	tr_tee_expected(c, "%s", v->in->n_roots ? "a key that is trusted, and the platform's own root" : "none is trusted");
	tr_sha256(spki, sum);
	tr_tee_seen_hex(c, TR_VIEW_ARRAY(sum));
	return ok;
}

void tr_dcap_judge_chain(struct tr_dcap_run *v)
{
	const struct tr_dcap_chain *c = v->chain;
	bool platform = tr_view_is(c->ca.subject_cn, CN_PLATFORM), processor = tr_view_is(c->ca.subject_cn, CN_PROCESSOR);

	(void)judge_root(v, "pck_chain.root", c->root.spki);
	judge_role(v, "pck_chain.root_role", is_root(&c->root), CN_ROOT ", by itself", &c->root, &c->root);
	judge_role(v, "pck_chain.ca_role",
		   (platform || processor) && is_ca(&c->ca) && tr_view_eq(c->ca.issuer, c->root.subject),
		   CN_PLATFORM " or Processor CA, by the root", &c->ca, &c->root);
	(void)tr_dcap_line(v, "pck_chain.ca_signature", TR_TEEC_CHAIN_SIGNATURE, c->ca_signed, "signed by the root",
			   c->ca_signed ? "good" : "bad");
	judge_role(v, "pck_chain.leaf_role",
		   tr_view_is(c->leaf.subject_cn, CN_PCK) && is_end_entity(&c->leaf) &&
			   tr_view_eq(c->leaf.issuer, c->ca.subject),
		   CN_PCK ", by the CA", &c->leaf, &c->ca);
	(void)tr_dcap_line(v, "pck_chain.leaf_signature", TR_TEEC_CHAIN_SIGNATURE, c->leaf_signed, "signed by the CA",
			   c->leaf_signed ? "good" : "bad");
	judge_time(v, "pck_chain.time", TR_TEEC_CHAIN_TIME,
		   later(c->leaf.not_before, later(c->ca.not_before, c->root.not_before)),
		   earlier(c->leaf.not_after, earlier(c->ca.not_after, c->root.not_after)), 0);
	(void)tr_dcap_line(v, "pck_chain.sgx_extension", TR_TEEC_PCK_EXTENSION, c->has_pck, "TCB, PCEID and FMSPC",
			   c->has_pck ? "all there" : c->why);
}

/* ---- revocation lists ---- */

/* Steps 3 and 4: names of the five lines, and whose list it is. */
struct crl_names { const char *format, *issuer, *signature, *time, *listed; };

static void judge_crl(struct tr_dcap_run *v, const struct crl_names *n, struct tr_view bytes, const struct tr_dcap_crl *l,
		      const struct tr_x_cert *issuer, const struct tr_x_cert *subject)
{
	bool named, listed;

	if (!bytes.n) {
		(void)tr_dcap_line(v, n->format, TR_TEEC_COLLATERAL_MISSING, false, "a revocation list", "none");
		return;
	}
	(void)tr_dcap_line(v, n->format, TR_TEEC_CRL_FORMAT, l->read && !l->crl.unknown_critical, "a whole list in DER",
			   !l->read ? l->why : l->crl.unknown_critical ? "unknown critical extension" : "one");
	if (!l->read)
		return;
	named = tr_view_eq(l->crl.issuer, issuer->subject) &&
		(!l->crl.aki.n || !issuer->ski.n || tr_view_eq(l->crl.aki, issuer->ski));
	(void)tr_dcap_line(v, n->issuer, TR_TEEC_CRL_ISSUER, named, "by the one who issued the certificate",
			   named ? "it is" : "by another");
	(void)tr_dcap_line(v, n->signature, TR_TEEC_CRL_SIGNATURE, l->is_signed, "signed by its issuer",
			   l->is_signed ? "good" : "bad");
	judge_time(v, n->time, TR_TEEC_CRL_TIME, l->crl.this_update, l->crl.next_update, v->in->when.grace_s);
	listed = tr_x_crl_lists(&l->crl, subject->serial);
	(void)tr_dcap_line(v, n->listed, TR_TEEC_REVOKED, !listed, "not listed", listed ? "listed" : "not listed");
}

/* ---- signing certificates and documents ---- */

struct signer_names { const char *format, *root, *role, *signature, *time, *listed; };

/* Step 5. Directly by the root, and by its name: a PCK leaf chains to the same root and must not sign collateral. */
static bool judge_signer(struct tr_dcap_run *v, const struct signer_names *n, struct tr_view pem,
			 const struct tr_dcap_signer *s)
{
	const struct tr_dcap_crl *crl = &v->set->root_crl;
	bool root, role, listed;

	if (!pem.n)
		return tr_dcap_line(v, n->format, TR_TEEC_COLLATERAL_MISSING, false, "signing certificate and root", "none");
	if (!tr_dcap_line(v, n->format, TR_TEEC_CHAIN_FORMAT, s->read, "signing certificate and root",
			  s->read ? "both" : s->why))
		return false;
	root = judge_root(v, n->root, s->root.spki);
	role = tr_view_is(s->leaf.subject_cn, CN_SIGNER) && is_end_entity(&s->leaf) &&
	       tr_view_eq(s->leaf.issuer, v->chain->root.subject) && is_root(&s->root);
	judge_role(v, n->role, role, CN_SIGNER ", by the root", &s->leaf, &s->root);
	(void)tr_dcap_line(v, n->signature, TR_TEEC_CHAIN_SIGNATURE, s->is_signed, "signed by the root",
			   s->is_signed ? "good" : "bad");
	judge_time(v, n->time, TR_TEEC_CHAIN_TIME, later(s->leaf.not_before, s->root.not_before),
		   earlier(s->leaf.not_after, s->root.not_after), 0);
	/* Without a list the line of the list itself has failed. */
	listed = crl->read && tr_x_crl_lists(&crl->crl, s->leaf.serial);
	if (crl->read)
		(void)tr_dcap_line(v, n->listed, TR_TEEC_REVOKED, !listed, "not listed", listed ? "listed" : "not listed");
	return root && role && s->is_signed && !listed;
}

static void judge_evaluation(struct tr_dcap_run *v, const char *name, uint64_t number)
{
	uint64_t min = v->in->min_evaluation_number;
	struct tr_tee_check *c;

	c = tr_tee_check_add(v->r, name, TR_Q_CURRENT, number < min ? TR_TEEC_EVALUATION_NUMBER : TR_TEEC_OK);
	if (min)
		tr_tee_expected(c, "at least %llu", (unsigned long long)min);
	else
		tr_tee_expected(c, "any");
	tr_tee_seen(c, "%llu", (unsigned long long)number);
}

struct document_names { const char *format, *signature, *time; };

/* The part of steps 6 and 7 that both have. */
static bool judge_document(struct tr_dcap_run *v, const struct document_names *n, struct tr_view text, bool read,
			   const char *why, const struct tr_signed_json *d, bool is_signed)
{
	if (!text.n)
		return tr_dcap_line(v, n->format, TR_TEEC_COLLATERAL_MISSING, false, "the document", "none");
	if (!tr_dcap_line(v, n->format, TR_TEEC_COLLATERAL_FORMAT, read, "JSON as it was served", read ? "it is" : why))
		return false;
	(void)tr_dcap_line(v, n->signature, TR_TEEC_COLLATERAL_SIGNATURE, is_signed, "signed by the signing certificate",
			   is_signed ? "good" : "bad");
	judge_time(v, n->time, TR_TEEC_COLLATERAL_TIME, d->issued, d->next, v->in->when.grace_s);
	return is_signed;
}

/* Whose collateral it is: the platform's, or another's. */
static bool judge_platform(struct tr_dcap_run *v, const char *name, struct tr_view expected, struct tr_view seen)
{
	bool same = tr_view_eq(expected, seen);
	struct tr_tee_check *c = tr_tee_check_add(v->r, name, TR_Q_CURRENT, same ? TR_TEEC_OK : TR_TEEC_COLLATERAL_MISMATCH);

	tr_tee_expected_hex(c, expected);
	tr_tee_seen_hex(c, seen);
	return same;
}

static bool judge_tcb_info(struct tr_dcap_run *v)
{
	static const struct document_names names = { "tcb_info.format", "tcb_info.signature", "tcb_info.time" };
	bool tdx = v->in->kind == TR_TEE_TDX, usable, fits;
	const struct tr_tcb_info *t = &v->set->tcb;
	struct tr_tee_check *c;

	usable = judge_document(v, &names, v->set->c.tcb_info, v->set->tcb_read, v->set->tcb_why, &t->doc, v->set->tcb_signed);
	if (!v->set->c.tcb_info.n || !v->set->tcb_read)
		return false;
	/* Version 2 knows SGX only, and does not say so. */
	fits = t->doc.id[0] ? !strcmp(t->doc.id, tdx ? "TDX" : "SGX") : t->doc.version == 2 && !tdx;
	fits = fits && (t->doc.version == 3 || !tdx) && t->tcb_type == 0;
	c = tr_tee_check_add(v->r, "tcb_info.tee", TR_Q_CURRENT, fits ? TR_TEEC_OK : TR_TEEC_COLLATERAL_MISMATCH);
	tr_tee_expected(c, "%s, type 0", tdx ? "TDX" : "SGX");
	tr_tee_seen(c, "%s, type %llu, version %llu", t->doc.id[0] ? t->doc.id : "no id", (unsigned long long)t->tcb_type,
		    (unsigned long long)t->doc.version);
	if (v->chain->has_pck) {
		fits = judge_platform(v, "tcb_info.fmspc", v->chain->pck.fmspc, TR_VIEW_ARRAY(t->fmspc)) && fits;
		fits = judge_platform(v, "tcb_info.pceid", v->chain->pck.pceid, TR_VIEW_ARRAY(t->pceid)) && fits;
	}
	judge_evaluation(v, "tcb_info.evaluation_number", t->doc.evaluation_number);
	/* What is for another TEE or platform says nothing about this one. */
	return usable && fits;
}

static bool judge_qe_identity(struct tr_dcap_run *v)
{
	static const struct document_names names = { "qe_identity.format", "qe_identity.signature", "qe_identity.time" };
	const struct tr_signed_json *d = &v->set->qe.doc;
	const char *id = v->in->kind == TR_TEE_TDX ? "TD_QE" : "QE";
	bool usable, fits;

	usable = judge_document(v, &names, v->set->c.qe_identity, v->set->qe_read, v->set->qe_why, d, v->set->qe_signed);
	if (!v->set->c.qe_identity.n || !v->set->qe_read)
		return false;
	fits = !strcmp(d->id, id);
	(void)tr_dcap_line(v, "qe_identity.tee", TR_TEEC_COLLATERAL_MISMATCH, fits, id, d->id);
	judge_evaluation(v, "qe_identity.evaluation_number", d->evaluation_number);
	return usable && fits;
}

void tr_dcap_judge_collateral(struct tr_dcap_run *v)
{
	static const struct crl_names root_names = { "root_crl.format", "root_crl.issuer", "root_crl.signature",
						     "root_crl.time", "root_crl.pck_ca" };
	static const struct crl_names pck_names = { "pck_crl.format", "pck_crl.issuer", "pck_crl.signature", "pck_crl.time",
						    "pck_crl.pck" };
	static const struct signer_names tcb_names = { "tcb_chain.format", "tcb_chain.root", "tcb_chain.role",
						       "tcb_chain.signature", "tcb_chain.time", "tcb_chain.revoked" };
	static const struct signer_names qe_names = { "qe_chain.format", "qe_chain.root", "qe_chain.role",
						      "qe_chain.signature", "qe_chain.time", "qe_chain.revoked" };
	const struct tr_dcap_set *s = v->set;
	bool tcb_signer, qe_signer;

	judge_crl(v, &root_names, s->c.root_crl, &s->root_crl, &v->chain->root, &v->chain->ca);
	judge_crl(v, &pck_names, s->c.pck_crl, &s->pck_crl, &v->chain->ca, &v->chain->leaf);
	tcb_signer = qe_signer = judge_signer(v, &tcb_names, s->c.tcb_chain, &s->tcb_signer);
	if (!s->one_signer)
		qe_signer = judge_signer(v, &qe_names, s->c.qe_chain, &s->qe_signer);
	v->tcb_usable = judge_tcb_info(v) && tcb_signer;
	v->qe_usable = judge_qe_identity(v) && qe_signer;
}
