/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated case as the files of a folder, in the form in which evidence cases are kept. */
#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "evidence/sim_inner.h"

/* The part's status over the platform's. */
static enum tr_tcb_status converge(enum tr_tcb_status platform, enum tr_tcb_status part)
{
	switch (part) {
	case TR_TCB_NONE:
	case TR_TCB_UP_TO_DATE: return platform;
	case TR_TCB_OUT_OF_DATE:
		if (platform == TR_TCB_UP_TO_DATE || platform == TR_TCB_SW_HARDENING_NEEDED)
			return TR_TCB_OUT_OF_DATE;
		if (platform == TR_TCB_CONFIGURATION_NEEDED || platform == TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED)
			return TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
		return platform;
	default: return part;
	}
}

/* What a verifier ends with; NONE: it depends on more than one level, or nothing is determined. */
static enum tr_tcb_status expected_status(const struct tr_sim_spec *spec)
{
	enum tr_tcb_status s = spec->n_levels ? spec->levels[0].status : TR_TCB_UP_TO_DATE;

	if (spec->kind == TR_TEE_SNP || spec->n_levels > 1)
		return TR_TCB_NONE;
	switch (spec->fault) {
	case TR_SIM_NO_FAULT: break;
	case TR_SIMF_TCB_REVOKED: return TR_TCB_REVOKED;
	case TR_SIMF_TCB_NOT_SUPPORTED: return TR_TCB_NOT_SUPPORTED;
	case TR_SIMF_MODULE_UNKNOWN: return TR_TCB_TDX_MODULE_MISMATCH;
	default: return TR_TCB_NONE;
	}
	if (spec->kind == TR_TEE_TDX)
		s = converge(s, spec->module_status);
	return converge(s, spec->qe_status);
}

static bool debug(const struct tr_sim_spec *spec)
{
	return spec->kind == TR_TEE_TDX ? (spec->td_attributes & 1) != 0 :
	       spec->kind == TR_TEE_SGX ? (spec->td_attributes & 2) != 0 :
					  (spec->snp_policy & (UINT64_C(1) << 19)) != 0;
}

static void put_case(struct tr_buf *b, const struct tr_sim_spec *spec, const char *name)
{
	const struct tr_sim_fault_info *fault = tr_sim_fault_info(spec->fault);
	enum tr_tcb_status status = expected_status(spec);
	bool never = status == TR_TCB_REVOKED || status == TR_TCB_NOT_SUPPORTED || status == TR_TCB_TDX_MODULE_MISMATCH ||
		     status == TR_TCB_UNRECOGNISED;
	const char *crypto = fault || never ? "fail" : "pass";
	/* In a folder the anchor is the chain's ARK: an impostor's ASK is one that it has not signed. */
	enum tr_tee_code code = !fault ? TR_TEEC_OK :
				spec->kind == TR_TEE_SNP && spec->fault == TR_SIMF_OTHER_ROOT ? TR_TEEC_CHAIN_SIGNATURE :
											     fault->code;
	char text[64] = "null";

	if (status != TR_TCB_NONE)
		(void)snprintf(text, sizeof(text), "\"%s\"", tr_tcb_status_name(status));
	tr_buf_adds(b, "{\n \"name\": ");
	tr_json_put_str(b, tr_view_str(name));
	tr_buf_addf(b, ",\n \"kind\": \"simulated %s (%s)\",\n",
		    spec->kind == TR_TEE_TDX ? "TDX" : spec->kind == TR_TEE_SGX ? "SGX" : "SEV-SNP", SIM_ORGANISATION);
	tr_buf_adds(b, " \"source\": [{\"repo\": \"(generated)\", \"licence\": \"CC0/own\"}],\n");
	tr_buf_addf(b, " \"verification_time\": %lld,\n \"verification_time_iso\": \"", (long long)TR_SIM_TIME);
	tr_rfc3339_add(b, TR_SIM_TIME * 1000);
	tr_buf_addf(b, "\",\n \"expected\": {\"crypto\": \"%s\", \"tcb_status\": %s, ", crypto, text);
	if (fault)
		tr_buf_addf(b, "\"why\": \"%s\", \"code\": \"%s\", ", fault->what, tr_tee_code_info(code)->slug);
	else
		tr_buf_adds(b, "\"why\": null, ");
	tr_buf_addf(b, "\"default_policy\": %s},\n", debug(spec) ? "[\"reject: DEBUG\"]" : "null");
	tr_buf_addf(b, " \"checks\": [{\"time\": %lld, \"expect_crypto\": \"%s\", \"expect_tcb_status\": %s}],\n",
		    (long long)TR_SIM_TIME, crypto, text);
	tr_buf_adds(b, " \"fields\": {\"report_data\": \"");
	tr_hex_add(b, TR_VIEW_ARRAY(spec->report_data));
	tr_buf_adds(b, "\"}\n}\n");
}

TR_RC tr_sim_case_files(const struct tr_sim_case *c, const struct tr_sim_spec *spec, const char *name, tr_sim_file_fn fn,
			void *arg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ask = TR_BUF_INIT;
	const struct { const char *name; const struct tr_buf *bytes; } intel[] = {
		{ "quote.bin", &c->quote },
		{ "tcb_info.json", &c->tcb_info },
		{ "qe_identity.json", &c->qe_identity },
		{ "tcb_signing_chain.pem", &c->tcb_chain },
		{ "pck_crl.der", &c->pck_crl },
		{ "root_ca_crl.der", &c->root_crl },
		{ "pck_crl_issuer_chain.pem", &c->pck_crl_chain },
		{ "root_ca.pem", &c->root_pem },
		{ "case.json", &json },
	}, amd[] = {
		{ "report.bin", &c->quote }, { "vek.der", &c->vek }, { "ask.pem", &ask },    { "crl.der", &c->crl },
		{ "ark.pem", &c->root_pem }, { "case.json", &json },
	};
	bool snp = spec->kind == TR_TEE_SNP;
	enum tr_code rc = TR_OK;

	put_case(&json, spec, name);
	tr_pem_add(&ask, "CERTIFICATE", tr_buf_view(&c->ask));
	rc = tr_buf_check(&json, err);
	for (size_t i = 0; i < (snp ? TR_ARRAY_LEN(amd) : TR_ARRAY_LEN(intel)) && !rc; i++)
		rc = snp ? fn(arg, amd[i].name, tr_buf_view(amd[i].bytes), err) :
			   fn(arg, intel[i].name, tr_buf_view(intel[i].bytes), err);
	return rc;
}
