/* SPDX-License-Identifier: Apache-2.0 */
/* The whole appraisal: anchors and collateral are picked, the verifier of that kind runs, then the policy's lines, then
 * freshness. The order of the lines is the order of the four questions, so the first that failed is the reason. */
#include "appraise/tee_inner.h"

#include <stdio.h>

static struct tr_tee_when when(const struct tr_tee_run *run)
{
	return (struct tr_tee_when){ .now = run->in->now, .skew_s = run->p->collateral.skew_s,
				     .grace_s = run->p->collateral.grace_s };
}

/* Nothing is assumed, and nothing said against the platform. */
static bool is_out_of_memory(struct tr_tee_run *run)
{
	if (run->no_memory)
		(void)tr_tee_line(run->r, "memory", TR_Q_AUTHENTIC, TR_TEEC_LIMIT, "enough", "none");
	return run->no_memory;
}

/* ---- SGX, TDX ---- */

static void verify_dcap(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	struct tr_dcap_in d = { .quote = set->quote, .kind = set->kind, .when = when(run), .cache = run->in->cache,
				.min_evaluation_number = run->p->tcb.min_evaluation_number };

	if (run->in->dcap)
		d.c = *run->in->dcap;
	else if (run->in->bundle)
		run->no_memory = !tr_bundle_for_dcap(run->in->bundle, set, &d.c);
	if (!d.c.pck_chain.n)
		d.c.pck_chain = set->certs;
	tr_tee_anchor_dcap(run, set->quote, d.c.pck_chain);
	if (is_out_of_memory(run))
		return;
	d.roots = run->anchors;
	d.n_roots = run->n_anchors;
	memset(&run->quote, 0, sizeof(run->quote));
	tr_dcap_verify(&d, run->r, &run->quote);
	run->has_quote = run->quote.version != 0;
	tr_tee_rules_tcb(run);
	tr_tee_rules_ages(run, (const struct tr_view[]){ d.c.tcb_info, d.c.qe_identity, d.c.pck_crl, d.c.root_crl }, 4);
	if (!run->has_quote)
		return;
	if (run->quote.body_type == TR_BODY_SGX)
		tr_tee_rules_sgx(run);
	else
		tr_tee_rules_tdx(run);
	tr_tee_match_image(run, set->kind, set);
}

/* ---- SNP ---- */

static void verify_snp(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	struct tr_snp_in s = { 0 };

	if (run->in->snp)
		s = *run->in->snp;
	else if (run->in->bundle)
		tr_bundle_for_snp(run->in->bundle, set, &s);
	s.report = set->quote;
	if (!s.vek.n)
		s.certs = set->certs;
	s.when = when(run);
	s.require_crl = run->p->snp.require_crl;
	s.report_data = tr_view(NULL, 0);
	s.cache = run->in->snp_cache;
	tr_tee_anchor_snp(run, &s);
	if (is_out_of_memory(run))
		return;
	s.roots = run->anchors;
	s.n_roots = run->n_anchors;
	memset(&run->snp, 0, sizeof(run->snp));
	tr_snp_verify(&s, run->r, &run->snp);
	run->has_snp = run->snp.version != 0;
	tr_tee_rules_ages(run, &s.crl, 1);
	if (!run->has_snp)
		return;
	tr_tee_rules_snp(run);
	tr_tee_match_image(run, TR_TEE_SNP, set);
}

/* ---- TPM ---- */

/* The hardware report behind an HCL report is evidence of its own, judged like any other. True: it is authentic, current, and
 * of the HCL report's data. */
static bool verify_hardware(struct tr_tee_run *run, const struct tr_tee_set *set, struct tr_tee_result *hw)
{
	struct tr_tee_set inner = { 0 };
	struct tr_tee_result *outer = run->r;
	struct tr_hcl h;
	struct tr_err err;
	bool same;

	if (tr_hcl_parse(set->hcl_report, &h, &err))
		return false; /* the TPM's own lines say so */
	run->r = hw;
	if (h.report_type == 2) {
		inner = (struct tr_tee_set){ .kind = TR_TEE_SNP, .quote = h.hw_report, .certs = set->hcl_hw };
		verify_snp(run, &inner);
	} else {
		inner = (struct tr_tee_set){ .kind = TR_TEE_TDX, .quote = set->hcl_hw };
		verify_dcap(run, &inner);
	}
	same = tr_view_eq(hw->report_data, h.report_data);
	(void)tr_tee_line(hw, "hcl.hardware", TR_Q_AUTHENTIC, same ? TR_TEEC_OK : TR_TEEC_TPM_HCL,
			  "hardware evidence of the same report data", same ? "the same" : "other");
	run->r = outer;
	return same && tr_tee_authentic_and_current(hw);
}

/* All of its lines count. Those that passed are left out where the TPM's own, its PCRs above all, might need their room. */
static void append_hardware(struct tr_tee_run *run, const struct tr_tee_result *hw)
{
	size_t room = run->p->tpm.n_pcrs + 8;
	bool all;

	for (size_t i = 0; i < run->p->n_images; i++)
		if (run->p->images[i].n_pcrs + run->p->tpm.n_pcrs + 8 > room)
			room = run->p->images[i].n_pcrs + run->p->tpm.n_pcrs + 8;
	all = run->r->n_checks + hw->n_checks + room < TR_TEE_CHECKS_MAX;
	for (size_t i = 0; i < hw->n_checks; i++) {
		struct tr_tee_check *c;

		if (!all && hw->checks[i].code == TR_TEEC_OK && i + 1 < hw->n_checks)
			continue;
		c = tr_tee_check_add(run->r, hw->checks[i].name, hw->checks[i].question, hw->checks[i].code);
		memcpy(c->expected, hw->checks[i].expected, sizeof(c->expected));
		memcpy(c->seen, hw->checks[i].seen, sizeof(c->seen));
	}
	run->r->tcb_status = hw->tcb_status;
	run->r->debug = hw->debug;
	tr_tee_until(run->r, hw->valid_until);
}

static void tpm_input(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	struct tr_tpm_in *t = &run->tpm;
	struct tr_tpm_public ak;
	struct tr_err err;

	*t = (struct tr_tpm_in){ .attest = set->quote, .signature = set->signature, .ak_public = set->ak_public,
				 .event_log = set->event_log, .ima_log = set->ima_log, .pcrs = run->pcrs };
	if (run->p->tpm.ak[TR_AK_CERTIFICATE])
		t->ak_cert = set->ak_cert;
	if (run->p->tpm.ak[TR_AK_HCL])
		t->hcl_report = set->hcl_report;
	t->ak_must_be_restricted = true;
	/* What the server knows is of one key, by its Name. */
	if (run->p->tpm.ak[run->in->ak_trusted_by] && run->in->ak_trusted_by != TR_AK_NONE && run->in->ak_name.n &&
	    tr_tpm_public_parse(set->ak_public, &ak, &err) == TR_OK &&
	    tr_view_eq(tr_view(ak.name, ak.name_len), run->in->ak_name))
		t->trusted_by = run->in->ak_trusted_by;
	tr_buf_addv(&run->ak_chain, set->certs);
	for (size_t i = 0; run->in->bundle && i < run->in->bundle->n; i++)
		if (run->in->bundle->items[i].type == TR_BI_TPM_INTERMEDIATE)
			tr_buf_addv(&run->ak_chain, run->in->bundle->items[i].bytes);
	run->no_memory = !tr_buf_ok(&run->ak_chain);
	t->ak_chain = tr_buf_view(&run->ak_chain);
}

static bool read_pcrs(struct tr_tee_run *run, struct tr_view cbor)
{
	struct tr_err err;

	if (!cbor.n || tr_tpm_pcrs_get(cbor, run->pcrs, TR_TEE_PCRS_MAX, &run->tpm.n_pcrs, &err) == TR_OK)
		return true;
	(void)tr_tee_line(run->r, "pcrs.format", TR_Q_AUTHENTIC, TR_TEEC_TPM_FORMAT, "a map of banks and values", err.detail);
	return false;
}

static bool failed_only_trust(const struct tr_tee_result *r)
{
	return r->first == TR_TEEC_TPM_AK_TRUST || r->first == TR_TEEC_CHAIN_ROOT;
}

static void run_tpm(struct tr_tee_run *run, bool simulated)
{
	memset(run->r, 0, sizeof(*run->r));
	tr_tee_input(run->r, "attest", run->tpm.attest);
	tr_tee_anchor_tpm(run, simulated);
	run->tpm.roots = run->anchors;
	run->tpm.n_roots = run->n_anchors;
	run->has_tpm = tr_tpm_verify(&run->tpm, run->r, &run->attest);
}

static void verify_behind_hcl(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	struct tr_tee_result *hw = calloc(1, sizeof(*hw));
	bool simulated;

	if (!hw) {
		(void)tr_tee_line(run->r, "memory", TR_Q_AUTHENTIC, TR_TEEC_LIMIT, "enough", "none");
		return;
	}
	if (verify_hardware(run, set, hw) && run->tpm.trusted_by == TR_AK_NONE)
		run->tpm.trusted_by = TR_AK_HCL;
	simulated = run->simulated;
	run_tpm(run, false);
	run->simulated = simulated;
	append_hardware(run, hw);
	free(hw);
}

/* Activation shows that one TPM holds both keys; that it is a TPM at all, and no program, its maker's certificate shows. Its
 * absence refuses nothing by itself: it is the tier that says what was proven. The caller has seen to it that this is the
 * endorsement key that activated. */
static void look_at_ek(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	const bool has_cert = set->ek_cert.n && set->ek_cert.p[0] == 0x30;
	struct tr_tee_result *r = has_cert ? calloc(1, sizeof(*r)) : NULL;
	const struct tr_tee_when at = when(run);
	bool was = run->simulated;

	run->no_memory = has_cert && !r;
	if (is_out_of_memory(run))
		return;
	for (unsigned simulated = 0; r && simulated < 2 && !run->ek_vouched; simulated++) {
		memset(r, 0, sizeof(*r));
		tr_tee_anchor_tpm(run, simulated);
		run->ek_vouched = tr_tpm_cert_chain(true, set->ek_cert, run->tpm.ak_chain, run->anchors, run->n_anchors, &at,
						    r);
	}
	if (r && run->ek_vouched)
		tr_tee_until(run->r, r->valid_until);
	else
		run->simulated = was;
	(void)tr_tee_line(run->r, "ek.certificate", TR_Q_AUTHENTIC, TR_TEEC_OK, "its maker's, for tier hardware",
			  run->ek_vouched ? "yes" : r ? "not by a trusted root" : "none");
	free(r);
}

static void verify_tpm(struct tr_tee_run *run, const struct tr_tee_set *set)
{
	if (run->in->tpm)
		run->tpm = *run->in->tpm;
	else
		tpm_input(run, set);
	run->tpm.when = when(run);
	run->tpm.allow_sha1_bank = run->p->tpm.bank == TR_HASH_SHA1;
	run->tpm.nonce = tr_view(NULL, 0); /* asked last, as for the others */
	run->tpm.allow_empty_nonce = false;
	if (is_out_of_memory(run))
		return;
	if (!run->in->tpm && !read_pcrs(run, set->pcrs))
		return;
	if (!run->in->tpm && run->tpm.hcl_report.n) {
		verify_behind_hcl(run, set);
	} else {
		run_tpm(run, false);
		if (failed_only_trust(run->r) && run->p->n_roots) {
			run_tpm(run, true);
			if (failed_only_trust(run->r))
				run_tpm(run, false);
		}
	}
	if (run->tpm.trusted_by == TR_AK_ACTIVATED)
		look_at_ek(run, set);
	tr_tee_rules_tpm(run);
	tr_tee_match_image(run, TR_TEE_TPM, set);
}

/* ---- the verdict ---- */

enum tr_reason tr_tee_reason(enum tr_tee_code c)
{
	switch (c) {
	case TR_TEEC_OK: return TR_R_OK;
	case TR_TEEC_LIMIT: return TR_R_LIMIT;
	case TR_TEEC_STALE: return TR_R_CHALLENGE_INVALID;
	case TR_TEEC_TIER: return TR_R_TIER_TOO_LOW;
	default: break;
	}
	switch (tr_tee_code_info(c)->question) {
	case TR_Q_AUTHENTIC: return TR_R_EVIDENCE_NOT_AUTHENTIC;
	case TR_Q_CURRENT: return TR_R_EVIDENCE_NOT_CURRENT;
	case TR_Q_SOFTWARE: return TR_R_EVIDENCE_WRONG_SOFTWARE;
	default: return TR_R_EVIDENCE_NOT_FRESH;
	}
}

static enum tr_tier tier_of(const struct tr_tee_run *run)
{
	if (run->v->ev.answers[TR_Q_AUTHENTIC] != TR_ANSWER_YES || run->simulated)
		return TR_TIER_NONE;
	/* A key that is only remembered may be anybody's software. */
	if (run->in->set.kind == TR_TEE_TPM &&
	    (run->tpm.trusted_by == TR_AK_PINNED || (run->tpm.trusted_by == TR_AK_ACTIVATED && !run->ek_vouched)))
		return TR_TIER_SELF_ASSERTED;
	return TR_TIER_HARDWARE;
}

static int64_t expiry(const struct tr_tee_run *run)
{
	int64_t t = run->in->now + run->p->lifetime_s;

	if (run->v->ev.valid_until && run->v->ev.valid_until < t)
		t = run->v->ev.valid_until;
	if (run->limit && run->limit < t)
		t = run->limit;
	return t;
}

static void judge(struct tr_tee_run *run)
{
	struct tr_tee_verdict *v = run->v;
	const struct tr_tee_result *r = &v->ev;

	v->tier = tier_of(run);
	v->simulated = run->simulated && r->answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES;
	if (v->tier < run->p->min_tier)
		(void)tr_tee_line(&v->ev, "tier", TR_Q_SOFTWARE, TR_TEEC_TIER, tr_tier_name(run->p->min_tier),
				  tr_tier_name(v->tier));
	tr_tee_check_fresh(run);
	v->ok = r->first == TR_TEEC_OK && r->answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES &&
		r->answers[TR_Q_CURRENT] != TR_ANSWER_NO && r->answers[TR_Q_SOFTWARE] == TR_ANSWER_YES &&
		(r->answers[TR_Q_FRESH] == TR_ANSWER_YES || run->p->scheme == TR_RD_NONE);
	v->reason = v->ok ? TR_R_OK : r->first == TR_TEEC_OK ? TR_R_EVIDENCE_NOT_AUTHENTIC : tr_tee_reason(r->first);
	v->expires = v->ok ? expiry(run) : 0;
}

void tr_tee_appraise(const struct tr_tee_in *in, struct tr_tee_verdict *ret)
{
	struct tr_tee_run run = { .in = in, .p = in->policy, .v = ret, .r = &ret->ev };

	memset(ret, 0, sizeof(*ret));
	ret->ev.kind = in->set.kind;
	/* The policy says which kinds count; the bytes never choose. */
	if (in->set.kind == TR_TEE_NONE || in->set.kind >= TR_TEE_KIND_N || !in->policy->kinds[in->set.kind]) {
		(void)tr_tee_line(&ret->ev, "policy.evidence", TR_Q_SOFTWARE, TR_TEEC_KIND, "a kind that the policy accepts",
				  tr_tee_kind_name(in->set.kind));
		ret->reason = tr_tee_reason(TR_TEEC_KIND);
		return;
	}
	switch (in->set.kind) {
	case TR_TEE_SNP: verify_snp(&run, &in->set); break;
	case TR_TEE_TPM: verify_tpm(&run, &in->set); break;
	default: verify_dcap(&run, &in->set); break;
	}
	judge(&run);
	tr_buf_done(&run.store);
	tr_buf_done(&run.ak_chain);
}
