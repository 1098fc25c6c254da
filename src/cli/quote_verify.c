/* SPDX-License-Identifier: Apache-2.0 */
/* `troth quote verify FILE`: all four questions, as far as the command line asks them. What was not asked is said loudly. */
#include "cli/quote.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/output.h"
#include "codec/pem.h"
#include "codec/text.h"

struct job {
	struct tr_buf file, certs, signature, ak, pcrs_file, pcrs, event_log, ima, report_data, challenge, spki, policy_text;
	struct tr_quote_bundle collateral;
	struct tr_tee_policy *policy;
	struct tr_tpm_public ak_area;
	struct tr_tee_in in;
};

static void job_done(struct job *j)
{
	struct tr_buf *all[] = { &j->file, &j->certs, &j->signature, &j->ak, &j->pcrs_file, &j->pcrs, &j->event_log, &j->ima,
				 &j->report_data, &j->challenge, &j->spki, &j->policy_text };

	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		tr_buf_done(all[i]);
	tr_quote_bundle_done(&j->collateral);
	j->policy = tr_tee_policy_free(j->policy);
}
TR_DEFINE_AUTO_DONE(struct job, job_done)

static int read_option(const struct tr_cli *c, enum tr_opt o, struct tr_buf *to, struct tr_view *ret)
{
	const char *path = tr_cli_opt(c, o);
	struct tr_err err = { 0 };

	if (!path)
		return TR_CLI_EXIT_OK;
	if (tr_file_read(path, TR_QUOTE_FILE_MAX, to, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	*ret = tr_buf_view(to);
	return TR_CLI_EXIT_OK;
}

/* PCR values: pcrs.json becomes the CBOR of an evidence set. */
static int read_pcrs(const struct tr_cli *c, struct job *j)
{
	static uint8_t values[TR_TEE_PCRS_MAX][64];
	struct tr_tpm_pcr pcrs[TR_TEE_PCRS_MAX];
	struct tr_view file = { NULL, 0 };
	struct tr_err err = { 0 };
	size_t n;
	const int rc = read_option(c, TR_OPT_PCRS, &j->pcrs_file, &file);

	if (rc || !file.n)
		return rc;
	if (tr_quote_pcrs(file, pcrs, values, TR_TEE_PCRS_MAX, &n, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	tr_tpm_pcrs_put(pcrs, n, &j->pcrs);
	j->in.set.pcrs = tr_buf_view(&j->pcrs);
	return TR_CLI_EXIT_OK;
}

/* What stands in the file: an evidence set, which names its kind, or bare evidence of the kind that was given. */
static int read_evidence(const struct tr_cli *c, struct job *j)
{
	const char *kind = tr_cli_opt(c, TR_OPT_KIND);
	struct tr_tee_set *set = &j->in.set;
	enum tr_tee_kind k = TR_TEE_NONE;
	struct tr_err err = { 0 };
	int rc = tr_quote_read(c->args[0], &j->file);

	if (rc)
		return rc;
	if (kind && !tr_tee_kind_of(tr_view_str(kind), &k))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--kind takes tdx, sgx, snp or tpm");
	if (tr_tee_set_get(tr_buf_view(&j->file), set, &err) == TR_OK) {
		if (k != TR_TEE_NONE && k != set->kind)
			return tr_cli_fail(TR_CLI_EXIT_REFUSED, "%s is %s evidence, not %s", c->args[0],
					   tr_tee_kind_name(set->kind), kind);
		return TR_CLI_EXIT_OK;
	}
	/* A verifier that guesses the kind can be fed another one. */
	if (k == TR_TEE_NONE)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--kind is needed: tdx, sgx, snp or tpm");
	set->kind = k;
	set->quote = tr_buf_view(&j->file);
	rc = read_option(c, TR_OPT_CERTS, &j->certs, &set->certs);
	if (!rc)
		rc = read_option(c, TR_OPT_SIGNATURE, &j->signature, &set->signature);
	if (!rc)
		rc = read_option(c, TR_OPT_AK, &j->ak, &set->ak_public);
	if (!rc)
		rc = read_option(c, TR_OPT_EVENT_LOG, &j->event_log, &set->event_log);
	if (!rc)
		rc = read_option(c, TR_OPT_IMA, &j->ima, &set->ima_log);
	/* For a tool an attestation key that is given is a known one: the person who gives it says so. */
	if (!rc && set->ak_public.n && tr_tpm_public_parse(set->ak_public, &j->ak_area, &err))
		rc = tr_cli_fail(TR_CLI_EXIT_FILE, "--ak takes a TPM2B_PUBLIC (%s)", err.detail);
	if (!rc && set->ak_public.n) {
		j->in.ak_trusted_by = TR_AK_PINNED;
		j->in.ak_name = tr_view(j->ak_area.name, j->ak_area.name_len);
	}
	return rc ? rc : read_pcrs(c, j);
}

static int read_policy(const struct tr_cli *c, struct job *j)
{
	const char *path = tr_cli_opt(c, TR_OPT_POLICY), *root = tr_cli_opt(c, TR_OPT_ROOT);
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, spki = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (path && root)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "with --policy the roots are the policy's: list this one there");
	if (path) {
		if (tr_file_read(path, TR_TEE_POLICY_MAX, &j->policy_text, &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
		if (tr_tee_policy_parse_tools(tr_buf_view(&j->policy_text), &j->policy, &err))
			return tr_cli_fail(TR_CLI_EXIT_FILE, "%s: %s", path, err.detail);
	} else {
		if (root && (tr_file_read(root, TR_QUOTE_FILE_MAX, &cert, &err) ||
			     tr_quote_root(tr_buf_view(&cert), &spki, &err)))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
		if (tr_quote_policy(tr_buf_view(&spki), false, &j->policy, &err))
			return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	}
	j->in.policy = j->policy;
	return TR_CLI_EXIT_OK;
}

static int read_freshness(const struct tr_cli *c, struct job *j)
{
	const char *data = tr_cli_opt(c, TR_OPT_REPORT_DATA), *nonce = tr_cli_opt(c, TR_OPT_NONCE),
		   *challenge = tr_cli_opt(c, TR_OPT_CHALLENGE), *key = tr_cli_opt(c, TR_OPT_PUBLIC_KEY);
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_view label, rest;
	struct tr_err err = { 0 };
	int rc = TR_CLI_EXIT_OK;

	if (data && nonce)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--report-data and --nonce are one thing: a TPM's is called nonce");
	if (challenge && !key)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--challenge needs --public-key: report data are made from both");
	if (data || nonce)
		rc = tr_quote_hex(data ? "--report-data" : "--nonce", data ? data : nonce, &j->report_data);
	/* Compared whole: shorter ones stand at the front and are followed by zeros (SHA-256 digests, raw keys). */
	if (!rc && j->in.set.kind != TR_TEE_TPM && j->report_data.n > 64)
		rc = tr_cli_fail(TR_CLI_EXIT_USAGE, "report data have 64 bytes");
	while (!rc && j->report_data.n && j->in.set.kind != TR_TEE_TPM && j->report_data.n < 64)
		tr_buf_add8(&j->report_data, 0);
	if (!rc && challenge)
		rc = tr_quote_hex("--challenge", challenge, &j->challenge);
	if (rc)
		return rc;
	if (key && (tr_file_read(key, 65536, &pem, &err) || tr_pem_get(tr_buf_view(&pem), &label, &j->spki, &rest, &err)))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	j->in.report_data = tr_buf_view(&j->report_data);
	j->in.challenge = tr_buf_view(&j->challenge);
	j->in.spki = tr_buf_view(&j->spki);
	if (challenge && key && !j->report_data.n && tr_tee_policy_scheme(j->policy) == TR_RD_NONE) {
		/* Without a policy that names a scheme, Troth's own. */
		uint8_t *out = tr_buf_space(&j->report_data, j->in.set.kind == TR_TEE_TPM ? 32 : 64);

		if (!out)
			return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
		if (j->in.set.kind == TR_TEE_TPM)
			tr_rd_troth_tpm(j->in.challenge, j->in.spki, out);
		else
			tr_rd_troth(j->in.challenge, j->in.spki, out);
		j->in.report_data = tr_buf_view(&j->report_data);
	}
	return TR_CLI_EXIT_OK;
}

static int read_rest(const struct tr_cli *c, struct job *j)
{
	const char *collateral = tr_cli_opt(c, TR_OPT_COLLATERAL), *time = tr_cli_opt(c, TR_OPT_TIME);
	int64_t ms = tr_now_ms();
	uint64_t s;
	int rc = TR_CLI_EXIT_OK;

	if (time && tr_cli_number(time, &s) && s < INT64_MAX / 1000)
		ms = (int64_t)s * 1000;
	else if (time && !tr_cli_time(time, ms, &ms))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--time takes Unix seconds, RFC 3339 or a date");
	j->in.now = ms / 1000;
	if (collateral)
		rc = tr_quote_collateral(collateral, tr_cli_opt(c, TR_OPT_KEY), &j->collateral);
	j->in.bundle = &j->collateral.bundle;
	return rc;
}

static int answer(const struct tr_cli *c, struct job *j)
{
	static struct tr_tee_verdict v;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, open = TR_BUF_INIT;

	tr_tee_appraise(&j->in, &v);
	tr_quote_not_asked(&open, &v);
	if (c->json) {
		tr_buf_adds(&b, "{\"verified\":");
		tr_buf_adds(&b, v.ok && !open.n ? "true" : "false");
		tr_json_member_str(&b, "not_asked", tr_view(open.p, open.n));
		tr_buf_adds(&b, ",\"verdict\":");
		tr_tee_verdict_json(&v, &j->in, &b);
		tr_buf_adds(&b, "}\n");
	} else {
		tr_quote_print(&b, &v, !c->quiet, c->colour);
	}
	if (!tr_out_print(&b))
		return TR_CLI_EXIT_FILE;
	return !v.ok ? TR_CLI_EXIT_REFUSED : open.n ? TR_CLI_EXIT_NOT_ASKED : TR_CLI_EXIT_OK;
}

int tr_quote_verify(struct tr_cli *c)
{
	tr_auto(job_done) struct job j = { 0 };
	int rc;

	if (tr_cli_opt(c, TR_OPT_CASE))
		return c->n_args ? tr_cli_fail(TR_CLI_EXIT_USAGE, "--case brings its own evidence: leave FILE out")
				 : tr_quote_case(c, tr_cli_opt(c, TR_OPT_CASE));
	if (!c->n_args)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "FILE is missing");
	rc = read_evidence(c, &j);
	if (!rc)
		rc = read_policy(c, &j);
	if (!rc)
		rc = read_freshness(c, &j);
	if (!rc)
		rc = read_rest(c, &j);
	return rc ? rc : answer(c, &j);
}
