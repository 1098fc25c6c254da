/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the simulated vendor share: every shape of evidence that it makes. */
#ifndef TR_EVIDENCE_SIM_SAMPLE_H
#define TR_EVIDENCE_SIM_SAMPLE_H

#include "evidence/sim.h"

static const struct shape {
	const char *label;
	enum tr_tee_kind kind;
	unsigned version;
	enum tr_quote_body body;
	enum tr_snp_product product;
	bool vlek, processor_ca;
	unsigned tcb_info_version;
} shapes[] = {
	{ "TDX v4", TR_TEE_TDX, 4, TR_BODY_TD10, 0, false, false, 0 },
	{ "TDX v5, TD 1.0", TR_TEE_TDX, 5, TR_BODY_TD10, 0, false, false, 0 },
	{ "TDX v5, TD 1.5", TR_TEE_TDX, 5, TR_BODY_TD15, 0, false, false, 0 },
	{ "SGX v3", TR_TEE_SGX, 3, TR_BODY_SGX, 0, false, false, 0 },
	{ "SGX v3, processor CA, TCB info v2", TR_TEE_SGX, 3, TR_BODY_SGX, 0, false, true, 2 },
	{ "SGX v4", TR_TEE_SGX, 4, TR_BODY_SGX, 0, false, false, 0 },
	{ "SGX v5", TR_TEE_SGX, 5, TR_BODY_SGX, 0, false, false, 0 },
	{ "SNP v2 Milan", TR_TEE_SNP, 2, 0, TR_SNP_MILAN, false, false, 0 },
	{ "SNP v3 Milan", TR_TEE_SNP, 3, 0, TR_SNP_MILAN, false, false, 0 },
	{ "SNP v3 Milan, VLEK", TR_TEE_SNP, 3, 0, TR_SNP_MILAN, true, false, 0 },
	{ "SNP v4 Genoa", TR_TEE_SNP, 4, 0, TR_SNP_GENOA, false, false, 0 },
	{ "SNP v5 Turin", TR_TEE_SNP, 5, 0, TR_SNP_TURIN, false, false, 0 },
};

enum { SNP_GENOA = 10 }; /* in shapes */

static inline struct tr_sim_spec spec_of(const struct shape *s)
{
	struct tr_sim_spec spec;

	tr_sim_spec(s->kind, &spec);
	spec.quote_version = s->version;
	spec.body = s->body;
	spec.product = s->product;
	spec.vlek = s->vlek;
	spec.processor_ca = s->processor_ca;
	spec.tcb_info_version = s->tcb_info_version;
	memset(spec.report_data, 0xd7, sizeof(spec.report_data));
	return spec;
}

#endif
