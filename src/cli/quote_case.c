/* SPDX-License-Identifier: Apache-2.0 */
/* `troth quote verify --case DIR`: evidence in a folder with everything that verifies it and what a verifier should say, at one
 * time or several. Nothing is asked that the folder does not say; a file that is missing is missing for the verifier too. */
#include "cli/quote.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "cli/output.h"
#include "codec/pem.h"
#include "codec/text.h"

enum file { F_QUOTE, F_TCB, F_QEID, F_PCK_CRL, F_ROOT_CRL, F_TCB_CHAIN, F_PCK_CHAIN, F_ROOT, F_REPORT, F_VEK, F_ASK, F_ARK,
	    F_CRL, F_MSG, F_SIG, F_AK_PEM, F_AK_CERT, F_AK2B, F_AKT, F_PCRS, F_LOG, F_IMA, F_IMA_BINARY, F_HCL, F_N };
static const char *const names[F_N] = {
	"quote.bin", "tcb_info.json", "qe_identity.json", "pck_crl.der", "root_ca_crl.der", "tcb_signing_chain.pem",
	"pck_chain.pem", "root_ca.pem", "report.bin", "vek.der", "ask.pem", "ark.pem", "crl.der", "quote.msg", "quote.sig",
	"ak_pub.pem", "ak_cert.pem", "ak.tpm2b_public", "ak.tpmt_public", "pcrs.json", "eventlog.bin", "ima_ascii.txt", "ima_binary.bin",
	"hcl_report.bin",
};
#define PCRS_MAX 96

struct quote_case {
	struct tr_buf text, f[F_N];
	struct tr_json *json;
	tr_jnode root, expected;
	enum tr_tee_kind kind;
	struct tr_tee_policy *policy;
	struct tr_dcap_collateral dcap;
	struct tr_snp_in snp;
	struct tr_tpm_in tpm;
	struct tr_tpm_pcr pcrs[PCRS_MAX];
	uint8_t values[PCRS_MAX][64];
	struct tr_buf ak_spki, root_spki, nonce, signature;
	bool empty_nonce;
};

static void case_done(struct quote_case *k)
{
	tr_buf_done(&k->text);
	for (unsigned i = 0; i < F_N; i++)
		tr_buf_done(&k->f[i]);
	k->json = tr_json_free(k->json);
	k->policy = tr_tee_policy_free(k->policy);
	tr_buf_done(&k->ak_spki);
	tr_buf_done(&k->root_spki);
	tr_buf_done(&k->nonce);
	tr_buf_done(&k->signature);
}

static struct tr_view view(const struct quote_case *k, enum file f)
{
	return tr_buf_view(&k->f[f]);
}

static bool text_of(tr_jnode object, const char *name, struct tr_view *ret)
{
	return tr_json_str(tr_json_get(object, name), ret);
}

/* ---- reading ---- */

static bool says(tr_jnode object, const char *name, const char *what)
{
	struct tr_view v;

	return text_of(object, name, &v) && v.n && memmem(v.p, v.n, what, strlen(what)) != NULL;
}

/* The folder's own words first; the TEE type inside the bytes only where it says nothing. */
static enum tr_tee_kind kind_of(const struct quote_case *k)
{
	const tr_jnode fields = tr_json_get(k->root, "fields");
	struct tr_view name, q = view(k, F_QUOTE);

	if (k->f[F_MSG].n)
		return TR_TEE_TPM;
	if (k->f[F_REPORT].n)
		return TR_TEE_SNP;
	if (says(k->root, "kind", "TDX") || says(fields, "tee", "TDX"))
		return TR_TEE_TDX;
	if (says(k->root, "kind", "SGX") || says(fields, "tee", "SGX"))
		return TR_TEE_SGX;
	if (text_of(k->root, "name", &name) && memmem(name.p, name.n, "sgx", 3))
		return TR_TEE_SGX;
	return q.n > 8 && q.p[4] == 0 ? TR_TEE_SGX : TR_TEE_TDX;
}

static int read_files(struct quote_case *k, const char *dir)
{
	struct tr_err err = { 0 };
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/case.json", dir);
	if (tr_file_read(path, TR_QUOTE_FILE_MAX, &k->text, &err) || tr_json_parse(tr_buf_view(&k->text), &k->json, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	for (unsigned i = 0; i < F_N; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (tr_file_exists(path) && tr_file_read(path, TR_QUOTE_FILE_MAX, &k->f[i], &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	}
	k->root = tr_json_root(k->json);
	k->expected = tr_json_get(k->root, "expected");
	k->kind = kind_of(k);
	return TR_CLI_EXIT_OK;
}

/* A raw signature becomes the TPMT_SIGNATURE that the TPM made; the folder says by which scheme. */
static void read_signature(struct quote_case *k)
{
	static const struct { const char *name; uint8_t low; } hashes[] = { { "sha256", 0x0b }, { "sha384", 0x0c }, { "sha512", 0x0d } };
	const struct tr_view sig = view(k, F_SIG);
	uint8_t head[6] = { 0, 0x14, 0, 0x0b, (uint8_t)(sig.n >> 8), (uint8_t)sig.n };
	const bool tagged = sig.n > 6 && !sig.p[0] && !sig.p[2] && (sig.p[1] == 0x14 || sig.p[1] == 0x16 || sig.p[1] == 0x18);

	if (!says(k->root, "signature_format", "raw") && (tagged || !sig.n || says(k->root, "signature_format", "TPMT"))) {
		tr_buf_addv(&k->signature, sig);
		return;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(hashes); i++)
		if (says(k->root, "signature_hash", hashes[i].name))
			head[3] = hashes[i].low;
	if (says(k->root, "signature_scheme", "PSS"))
		head[1] = 0x16;
	if (says(k->root, "signature_scheme", "ECDSA") && sig.n % 2 == 0) {
		const size_t half = sig.n / 2;

		head[1] = 0x18;
		head[4] = (uint8_t)(half >> 8);
		head[5] = (uint8_t)half;
		tr_buf_add(&k->signature, head, sizeof(head));
		tr_buf_addv(&k->signature, tr_view(sig.p, half));
		tr_buf_add(&k->signature, head + 4, 2);
		tr_buf_addv(&k->signature, tr_view(sig.p + half, half));
		return;
	}
	tr_buf_add(&k->signature, head, sizeof(head));
	tr_buf_addv(&k->signature, sig);
}

static int prepare_tpm(struct quote_case *k)
{
	struct tr_view label, rest, hex;
	struct tr_err err = { 0 };
	size_t n = 0;

	if (k->f[F_AK_PEM].n && tr_pem_get(view(k, F_AK_PEM), &label, &k->ak_spki, &rest, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!k->f[F_AK_PEM].n && k->f[F_AK_CERT].n && tr_quote_root(view(k, F_AK_CERT), &k->ak_spki, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (k->f[F_PCRS].n && tr_quote_pcrs(view(k, F_PCRS), k->pcrs, k->values, PCRS_MAX, &n, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (text_of(k->expected, "nonce_hex", &hex) || text_of(k->root, "nonce_hex", &hex)) {
		uint8_t *p = hex.n ? tr_buf_space(&k->nonce, hex.n / 2) : NULL;

		k->empty_nonce = !hex.n;
		if (hex.n && (hex.n % 2 || !p || !tr_hex_get(hex, p, hex.n / 2)))
			return tr_cli_fail(TR_CLI_EXIT_FILE, "case.json: nonce_hex is no hex");
	}
	read_signature(k);
	k->tpm = (struct tr_tpm_in){
		.attest = view(k, F_MSG), .signature = tr_buf_view(&k->signature), .ak_spki = tr_buf_view(&k->ak_spki),
		.ak_public = k->f[F_AK2B].n ? view(k, F_AK2B) : view(k, F_AKT), .trusted_by = TR_AK_PINNED,
		.pcrs = k->pcrs, .n_pcrs = n, .event_log = view(k, F_LOG),
		.ima_log = k->f[F_IMA].n ? view(k, F_IMA) : view(k, F_IMA_BINARY), .hcl_report = view(k, F_HCL),
	};
	return TR_CLI_EXIT_OK;
}

static int prepare(struct quote_case *k)
{
	const struct tr_view root = k->kind == TR_TEE_SNP ? view(k, F_ARK) : view(k, F_ROOT);
	struct tr_err err = { 0 };

	k->dcap = (struct tr_dcap_collateral){
		.tcb_info = view(k, F_TCB), .qe_identity = view(k, F_QEID), .tcb_chain = view(k, F_TCB_CHAIN),
		.pck_crl = view(k, F_PCK_CRL), .root_crl = view(k, F_ROOT_CRL), .pck_chain = view(k, F_PCK_CHAIN),
	};
	k->snp = (struct tr_snp_in){ .vek = view(k, F_VEK), .ask = view(k, F_ASK), .ark = view(k, F_ARK), .crl = view(k, F_CRL) };
	/* The folder's root is the anchor, and the only one. */
	if (root.n && tr_quote_root(root, &k->root_spki, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "the trust anchor cannot be read (%s)", err.detail);
	if (tr_quote_policy(tr_buf_view(&k->root_spki), true, &k->policy, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	return k->kind == TR_TEE_TPM ? prepare_tpm(k) : TR_CLI_EXIT_OK;
}

/* ---- one verification ---- */

static void verify(struct quote_case *k, int64_t now, struct tr_tee_verdict *ret)
{
	struct tr_tee_in in = { .policy = k->policy, .now = now, .set = { .kind = k->kind } };

	in.set.quote = view(k, k->kind == TR_TEE_TPM ? F_MSG : k->kind == TR_TEE_SNP ? F_REPORT : F_QUOTE);
	in.dcap = &k->dcap;
	in.snp = &k->snp;
	in.tpm = &k->tpm;
	in.report_data = tr_buf_view(&k->nonce);
	tr_tee_appraise(&in, ret);
}

static bool is_pass(const struct quote_case *k, const struct tr_tee_verdict *v)
{
	return tr_tee_authentic_and_current(&v->ev) && v->ev.answers[TR_Q_FRESH] != TR_ANSWER_NO &&
	       !(k->empty_nonce && v->ev.report_data.n);
}

static bool same_advisories(tr_jnode list, const struct tr_tee_result *r)
{
	const size_t n = tr_json_len(list);

	if (n != r->n_advisories)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct tr_view v;
		bool found = false;

		for (size_t j = 0; tr_json_str(tr_json_at(list, i), &v) && j < r->n_advisories; j++)
			found = found || tr_view_is(v, r->advisories[j]);
		if (!found)
			return false;
	}
	return true;
}

/* What was expected and is not so, as text; nothing: all as expected. */
static void compare(const struct quote_case *k, tr_jnode e, const char *crypto_name, const char *status_name,
		    const struct tr_tee_verdict *v, struct tr_buf *why)
{
	const bool pass = is_pass(k, v);
	struct tr_view crypto = { NULL, 0 }, status;
	const tr_jnode advisories = tr_json_get(e, "advisory_ids");

	(void)text_of(e, crypto_name, &crypto);
	if (!tr_view_is(crypto, "either") && !tr_view_is(crypto, pass ? "pass" : "fail"))
		tr_buf_addf(why, "crypto: expected %.*s, got %s", TR_VIEW_FMT(crypto), pass ? "pass" : "fail");
	if (tr_view_is(crypto, "either") && !pass)
		return;
	if (text_of(e, status_name, &status) && !tr_view_is(status, tr_tcb_status_name(v->ev.tcb_status)))
		tr_buf_addf(why, "%stcb_status: expected %.*s, got %s", why->n ? "; " : "", TR_VIEW_FMT(status),
			    tr_tcb_status_name(v->ev.tcb_status));
	if (tr_json_is_array(advisories) && !same_advisories(advisories, &v->ev))
		tr_buf_addf(why, "%sadvisory_ids: others than expected", why->n ? "; " : "");
}

/* ---- default_policy ---- */

/* Which line a sentence of default_policy speaks of. */
static const struct { const char *word, *check; } rules[] = {
	{ "DEBUG", ".debug" }, { "SEPT_VE_DISABLE", "tdx.sept_ve_disable" }, { "MIGRATABLE", "tdx.migratable" },
	{ "MR_SERVICETD", "tdx.mrservicetd" }, { "MRSERVICETD", "tdx.mrservicetd" }, { "reserved", "tdx.attributes" },
	{ "MIGRATE_MA", "snp.migrate_ma" }, { "VMPL", "snp.vmpl" }, { "PERFMON", "tdx.perfmon" }, { "PKS", "tdx.pks" },
	{ "PROVISION", "sgx.provision_key" }, { "EINITTOKEN", "sgx.provision_key" }, { "INIT", "sgx.init" },
	{ "XFAM", "tdx.xfam" }, { "SHA-1", "pcr_select" }, { "SHA1", "pcr_select" },
};

static const char *rule_of(struct tr_view sentence)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(rules); i++)
		if (memmem(sentence.p, sentence.n, rules[i].word, strlen(rules[i].word)))
			return rules[i].check;
	return "";
}

/* Attributes, not TCB levels: those are `tcb_status`. */
static bool is_attribute(const struct tr_tee_check *c)
{
	return c->question == TR_Q_SOFTWARE && strncmp(c->name, "policy.", 7) != 0;
}

static bool has_line(const struct tr_tee_result *r, const char *part, bool failed)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (is_attribute(&r->checks[i]) && strstr(r->checks[i].name, part) &&
		    (!failed || r->checks[i].code != TR_TEEC_OK))
			return true;
	return false;
}

static bool attributes_ok(const struct tr_tee_verdict *v)
{
	for (size_t i = 0; i < v->ev.n_checks; i++)
		if (is_attribute(&v->ev.checks[i]) && v->ev.checks[i].code != TR_TEEC_OK)
			return false;
	return true;
}

static void compare_policy(const struct quote_case *k, const struct tr_tee_verdict *v, struct tr_buf *why)
{
	const tr_jnode list = tr_json_get(k->expected, "default_policy");
	bool refused = false;

	for (size_t i = 0; i < tr_json_len(list); i++) {
		struct tr_view s;

		if (!tr_json_str(tr_json_at(list, i), &s) || tr_view_starts(s, "accept"))
			continue;
		if (tr_view_starts(s, "note")) {
			if (!has_line(&v->ev, rule_of(s), false))
				tr_buf_addf(why, "%sdefault_policy: no line for \"%.*s\"", why->n ? "; " : "", TR_VIEW_FMT(s));
			continue;
		}
		refused = true;
		if (!has_line(&v->ev, rule_of(s), true))
			tr_buf_addf(why, "%sdefault_policy: expected \"%.*s\"", why->n ? "; " : "", TR_VIEW_FMT(s));
	}
	if (tr_json_is_array(list) && tr_json_len(list) && !refused && !attributes_ok(v))
		tr_buf_addf(why, "%sdefault_policy: expected accept, but an attribute is refused", why->n ? "; " : "");
}

/* ---- all of it ---- */

struct runs {
	struct quote_case *k;
	struct tr_cli *c;
	struct tr_buf out;
	size_t n, wrong;
};

static void put_run(struct runs *r, int64_t now, tr_jnode e, const char *crypto_name, const struct tr_tee_verdict *v,
		    const struct tr_buf *why)
{
	struct tr_view crypto = { NULL, 0 };
	struct tr_buf *b = &r->out;

	(void)text_of(e, crypto_name, &crypto);
	if (r->c->json) {
		tr_buf_addf(b, "%s{\"time\":%" PRId64 ",\"expected\":", r->n > 1 ? "," : "", now);
		tr_json_put_str(b, crypto);
		tr_json_member_str(b, "crypto", tr_view_str(is_pass(r->k, v) ? "pass" : "fail"));
		tr_json_member_str(b, "tcb_status", tr_view_str(tr_tcb_status_name(v->ev.tcb_status)));
		tr_buf_adds(b, ",\"advisory_ids\":[");
		for (size_t i = 0; i < v->ev.n_advisories; i++)
			tr_buf_addf(b, "%s\"%s\"", i ? "," : "", v->ev.advisories[i]);
		tr_buf_addf(b, "],\"default_policy\":\"%s\",\"as_expected\":%s", attributes_ok(v) ? "accept" : "reject",
			    why->n ? "false" : "true");
		tr_json_member_str(b, "differs", tr_view(why->p, why->n));
		tr_buf_adds(b, ",\"result\":");
		tr_tee_result_json(&v->ev, b);
		tr_buf_adds(b, "}");
		return;
	}
	tr_buf_addf(b, "  at %" PRId64 ": crypto %s", now, is_pass(r->k, v) ? "pass" : "fail");
	if (v->ev.tcb_status != TR_TCB_NONE)
		tr_buf_addf(b, ", %s", tr_tcb_status_name(v->ev.tcb_status));
	if (v->ev.first != TR_TEEC_OK)
		tr_buf_addf(b, ", %s", tr_tee_code_info(v->ev.first)->slug);
	if (tr_view_is(crypto, "either"))
		tr_buf_adds(b, " (either is right)");
	tr_buf_adds(b, why->n ? "  WRONG: " : "  as expected\n");
	if (why->n) {
		tr_out_escape(b, tr_view(why->p, why->n));
		tr_buf_add8(b, '\n');
		tr_quote_print(b, v, true, r->c->colour);
	}
}

static void run_at(struct runs *r, int64_t now, tr_jnode e, const char *crypto_name, const char *status_name, bool policy)
{
	static struct tr_tee_verdict v;
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;

	verify(r->k, now, &v);
	r->n++;
	compare(r->k, e, crypto_name, status_name, &v, &why);
	if (policy)
		compare_policy(r->k, &v, &why);
	r->wrong += why.n > 0;
	put_run(r, now, e, crypto_name, &v, &why);
}

static int run_all(struct runs *r)
{
	const tr_jnode checks = tr_json_get(r->k->root, "checks");
	int64_t now = 0;

	if (!tr_json_int(tr_json_get(r->k->root, "verification_time"), &now) && r->k->kind != TR_TEE_TPM &&
	    !tr_json_int(tr_json_get(tr_json_at(checks, 0), "time"), &now))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "case.json has no verification_time");
	run_at(r, now, r->k->expected, "crypto", "tcb_status", true);
	for (size_t i = 0; i < tr_json_len(checks); i++) {
		const tr_jnode c = tr_json_at(checks, i);

		if (tr_json_int(tr_json_get(c, "time"), &now) && tr_json_get(c, "expect_crypto"))
			run_at(r, now, c, "expect_crypto", "expect_tcb_status", false);
	}
	return TR_CLI_EXIT_OK;
}

static int finish(struct runs *r, const char *dir, const char *note)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view name = tr_view_str(dir);

	(void)text_of(r->k->root, "name", &name);
	if (r->c->json) {
		tr_buf_adds(&b, "{\"case\":");
		tr_json_put_str(&b, name);
		tr_json_member_str(&b, "kind", tr_view_str(tr_tee_kind_name(r->k->kind)));
		tr_buf_addf(&b, ",\"as_expected\":%s", r->wrong ? "false" : "true");
		tr_json_member_str(&b, "note", tr_view_str(note));
		tr_buf_adds(&b, ",\"runs\":[");
		tr_buf_addv(&b, tr_buf_view(&r->out));
		tr_buf_adds(&b, "]}\n");
	} else {
		tr_out_escape(&b, name);
		tr_buf_addf(&b, " (%s): %s%s\n", tr_tee_kind_name(r->k->kind), r->wrong ? "WRONG" : "as expected", note);
		tr_buf_addv(&b, tr_buf_view(&r->out));
	}
	if (!tr_out_print(&b))
		return TR_CLI_EXIT_FILE;
	return r->wrong ? TR_CLI_EXIT_REFUSED : TR_CLI_EXIT_OK;
}

int tr_quote_case(struct tr_cli *c, const char *dir)
{
	static struct quote_case k;
	struct runs r = { .k = &k, .c = c };
	int rc = read_files(&k, dir);

	if (!rc && !tr_json_is_object(k.expected))
		rc = finish(&r, dir, ": the folder has no `expected`, so there is nothing to compare with");
	else if (!rc && (rc = prepare(&k)) == 0 && (rc = run_all(&r)) == 0)
		rc = finish(&r, dir, "");
	tr_buf_done(&r.out);
	case_done(&k);
	return rc;
}
