/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/quote.h"

#include <stdio.h>

#include "cli/output.h"
#include "cli/quote_simulate.h"
#include "codec/text.h"

/* For showing only, where nothing is trusted: verification never guesses. */
static enum tr_tee_kind guess(struct tr_view v)
{
	if (v.n == TR_SNP_REPORT_LEN)
		return TR_TEE_SNP;
	if (v.n > 4 && memcmp(v.p, "\xff" "TCG", 4) == 0)
		return TR_TEE_TPM;
	return v.n > 8 && v.p[4] == 0 ? TR_TEE_SGX : TR_TEE_TDX;
}

/* Reports name every field on their way through the verifier; here without anything to verify with. */
static bool read_fields(const struct tr_tee_set *set, struct tr_buf *store, struct tr_tee_result *r, char why[240])
{
	struct tr_snp_report snp;
	struct tr_tpm_attest tpm;
	enum tr_tee_code code;
	struct tr_quote q;
	struct tr_err err = { 0 };
	enum tr_code rc;

	switch (set->kind) {
	case TR_TEE_SNP: rc = tr_snp_parse(set->quote, &snp, &code, &err); break;
	case TR_TEE_TPM: rc = tr_tpm_attest_parse(set->quote, &tpm, &code, &err); break;
	default: rc = tr_quote_parse(set->quote, &q, &code, &err); break;
	}
	if (rc) {
		(void)snprintf(why, 240, "%s: %s", tr_tee_code_info(code)->slug, err.detail);
		return false;
	}
	switch (set->kind) {
	case TR_TEE_SNP: tr_snp_verify(&(struct tr_snp_in){ .report = set->quote, .certs = set->certs }, r, NULL); break;
	case TR_TEE_TPM:
		(void)tr_tpm_verify(&(struct tr_tpm_in){ .attest = set->quote, .ak_public = set->ak_public }, r, NULL);
		break;
	default: tr_quote_fields(&q, set->certs, store, r); break;
	}
	r->kind = set->kind;
	return true;
}

static void put_json(struct tr_buf *b, const struct tr_tee_result *r)
{
	tr_buf_adds(b, "{\"kind\":");
	tr_json_put_str(b, tr_view_str(tr_tee_kind_name(r->kind)));
	tr_buf_adds(b, ",\"verified\":false,\"fields\":");
	tr_tee_fields_json(r, b);
	tr_buf_adds(b, "}\n");
}

int tr_quote_show(struct tr_cli *c)
{
	static struct tr_tee_result r;
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, b = TR_BUF_INIT, store = TR_BUF_INIT;
	const char *kind = tr_cli_opt(c, TR_OPT_KIND);
	struct tr_tee_set set = { 0 };
	struct tr_err err = { 0 };
	char why[240];
	const int rc = tr_quote_read(c->args[0], &file);

	if (rc)
		return rc;
	if (tr_tee_set_get(tr_buf_view(&file), &set, &err)) {
		set = (struct tr_tee_set){ .quote = tr_buf_view(&file) };
		set.kind = guess(set.quote);
	}
	if (kind && !tr_tee_kind_of(tr_view_str(kind), &set.kind))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--kind takes tdx, sgx, snp or tpm");
	if (!read_fields(&set, &store, &r, why))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is no %s evidence that can be read (%s)", c->args[0],
				   tr_tee_kind_name(set.kind), why);
	if (c->json) {
		put_json(&b, &r);
	} else {
		tr_buf_addf(&b, "%s evidence, %zu bytes. NOT VERIFIED: these are the sender's words (troth quote verify).\n\n",
			    tr_tee_kind_name(set.kind), set.quote.n);
		tr_quote_print_fields(&b, &r);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option show_options[] = {
	{ "kind", TR_OPT_KIND, "KIND", 0, "tdx, sgx, snp or tpm (default: what it looks like)", 1 },
	{ 0 },
};
static const struct argp_option verify_options[] = {
	{ "kind", TR_OPT_KIND, "KIND", 0, "tdx, sgx, snp or tpm; needed unless FILE is an evidence set", 1 },
	{ "collateral", TR_OPT_COLLATERAL, "PATH", 0, "a bundle (troth collateral), or a folder of the vendors' files", 1 },
	{ "key", TR_OPT_KEY, "FILE", 0, "public key (PEM) that must have signed the bundle", 1 },
	{ "policy", TR_OPT_POLICY, "FILE", 0, "attestation policy (YAML or JSON); default: vendors' roots, UpToDate, no debug", 1 },
	{ "root", TR_OPT_ROOT, "FILE", 0, "a root certificate to trust instead of the vendors'", 1 },
	{ "time", TR_OPT_TIME, "TIME", 0, "verify as of then: Unix seconds, RFC 3339 or a date (default: now)", 1 },
	{ "report-data", TR_OPT_REPORT_DATA, "HEX", 0, "what the report data must be; up to 64 bytes, zeros follow", 1 },
	{ "nonce", TR_OPT_NONCE, "HEX", 0, "TPM: what the qualifying data must be", 1 },
	{ "challenge", TR_OPT_CHALLENGE, "HEX", 0, "with --public-key: Troth's own report data, from both", 1 },
	{ "public-key", TR_OPT_PUBLIC_KEY, "FILE", 0, "the key (PEM) that the evidence shall speak for", 1 },
	{ "certs", TR_OPT_CERTS, "FILE", 0, "PCK chain (PEM), or SNP certificate table or VEK (DER), beside the evidence", 1 },
	{ "signature", TR_OPT_SIGNATURE, "FILE", 0, "TPM: the TPMT_SIGNATURE", 1 },
	{ "ak", TR_OPT_AK, "FILE", 0, "TPM: the attestation key's TPM2B_PUBLIC; it counts as known", 1 },
	{ "pcrs", TR_OPT_PCRS, "FILE", 0, "TPM: PCR values, JSON {\"sha256\": {\"0\": hex}}", 1 },
	{ "event-log", TR_OPT_EVENT_LOG, "FILE", 0, "TPM: binary_bios_measurements", 1 },
	{ "ima", TR_OPT_IMA, "FILE", 0, "TPM: IMA list, ASCII or binary", 1 },
	{ "case", TR_OPT_CASE, "DIR", 0, "an evidence case: compare with what its case.json expects", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "show", "FILE", 1, 1, "show every field of a quote, report or evidence set; verifies nothing", show_options,
	  tr_quote_show },
	{ "verify", "[FILE]", 0, 1,
	  "verify a quote, report or evidence set; every check is explained\v"
	  "Exit code 0: verified, and all four questions were asked; 16: what was asked is good, and something was not "
	  "asked; 1: refused (or, with --case, another outcome than expected).",
	  verify_options, tr_quote_verify },
	{ "simulate", "[DIR]", 0, 1, TR_QUOTE_SIMULATE_DOC, tr_quote_simulate_options, tr_quote_simulate },
};
const struct tr_noun tr_noun_quote = { "quote", "evidence of TEEs and TPMs, shown and verified without a server", verbs,
				       TR_ARRAY_LEN(verbs) };
