/* SPDX-License-Identifier: Apache-2.0 */
/* One appraisal under way, for the files of this folder. */
#ifndef TR_APPRAISE_TEE_INNER_H
#define TR_APPRAISE_TEE_INNER_H

#include "appraise/tee_policy.h"
#include "evidence/dcap.h"

#define TR_TEE_ANCHORS_MAX 64

struct tr_tee_run {
	const struct tr_tee_in *in;
	const struct tr_tee_policy *p;
	struct tr_tee_verdict *v;
	struct tr_tee_result *r;   /* &v->ev, or that of the hardware behind an HCL report */
	struct tr_view anchors[TR_TEE_ANCHORS_MAX]; /* SPKI DER */
	size_t n_anchors;
	bool simulated;            /* what the anchors are */
	struct tr_buf store;       /* DER of what was PEM, for anchors */
	/* What the evidence says, each when its has_ is set. */
	bool has_quote, has_snp, has_tpm;
	struct tr_quote quote;
	struct tr_snp_report snp;
	struct tr_tpm_attest attest;
	struct tr_tpm_in tpm;
	struct tr_tpm_pcr pcrs[TR_TEE_PCRS_MAX];
	struct tr_buf ak_chain;
	bool no_memory;            /* the anchor could not be looked up: nothing is judged */
	bool ek_vouched;           /* the TPM that activated the key has its maker's certificate */
	int64_t limit;             /* Unix s when the policy's patience with this TCB ends; 0: none */
};

/* Lines of policy (tee_rules.c). */
void tr_tee_rules_tdx(struct tr_tee_run *run);
void tr_tee_rules_sgx(struct tr_tee_run *run);
void tr_tee_rules_snp(struct tr_tee_run *run);
void tr_tee_rules_tcb(struct tr_tee_run *run);
void tr_tee_rules_ages(struct tr_tee_run *run, const struct tr_view *used, size_t n);
/* Reference values (tee_images.c). */
void tr_tee_match_image(struct tr_tee_run *run, enum tr_tee_kind kind, const struct tr_tee_set *set);
void tr_tee_rules_tpm(struct tr_tee_run *run);
/* Report data (tee_report_data.c): the line of `fresh`, last of all. */
void tr_tee_check_fresh(struct tr_tee_run *run);
/* Anchors (tee_anchors.c). */
void tr_tee_anchor_dcap(struct tr_tee_run *run, struct tr_view quote, struct tr_view pck_chain);
void tr_tee_anchor_snp(struct tr_tee_run *run, const struct tr_snp_in *in);
void tr_tee_anchor_tpm(struct tr_tee_run *run, bool simulated);

/* A line of `software` with hex values. */
bool tr_tee_hex_line(struct tr_tee_run *run, const char *name, enum tr_tee_code code, struct tr_view expected,
		     struct tr_view seen);
static inline bool tr_tee_zero(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i])
			return false;
	return true;
}

#endif
