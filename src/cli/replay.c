/* SPDX-License-Identifier: Apache-2.0 */
/* `troth attestation replay ID`: the appraisal made again, here, by this program's own verifier, from what the server has kept.
 * The server's word is not needed for it: evidence, policy and collateral decide. */
#include "cli/verdict.h"

#include "appraise/tee.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "signed/collateral.h"

#include <stdio.h>

struct again {
	struct tr_buf evidence, challenge, spki, cert, ak, collateral, verdict;
	struct tr_bundle bundle;
	struct tr_tee_policy *policy;
	struct tr_tee_in in;
};

static void again_done(struct again *a)
{
	tr_buf_done(&a->evidence);
	tr_buf_done(&a->challenge);
	tr_buf_done(&a->spki);
	tr_buf_done(&a->cert);
	tr_buf_done(&a->ak);
	tr_buf_done(&a->collateral);
	tr_buf_done(&a->verdict);
	tr_bundle_done(&a->bundle);
	a->policy = tr_tee_policy_free(a->policy);
}
TR_DEFINE_AUTO_DONE(struct again, again_done)

static bool get_hex(tr_jnode n, struct tr_buf *ret, struct tr_view *view)
{
	struct tr_view text;
	uint8_t *to;

	*view = tr_view(NULL, 0);
	if (!tr_json_str(n, &text) || !text.n)
		return true;
	to = text.n % 2 ? NULL : tr_buf_space(ret, text.n / 2);
	if (!to || !tr_hex_get(text, to, text.n / 2))
		return false;
	*view = tr_buf_view(ret);
	return true;
}

/* By its digest: a server that gave another bundle would be found out. */
static int get_collateral(struct tr_cli *c, tr_jnode v, struct again *a)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_view digest;
	uint8_t want[32], have[32];
	struct tr_cose cose;
	struct tr_err err = { 0 };
	int rc;

	if (!tr_json_str(tr_json_get(v, "bundle"), &digest) || !digest.n)
		return TR_CLI_EXIT_OK;
	if (!tr_hex_get(digest, want, 32))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer names no collateral bundle that could be");
	tr_buf_addf(&path, "/api/v1/collateral/%.*s", TR_VIEW_FMT(digest));
	rc = tr_api_raw(c, "GET", tr_buf_cstr(&path), NULL, tr_view(NULL, 0), &a->collateral);
	if (rc)
		return rc;
	tr_sha256(tr_buf_view(&a->collateral), have);
	if (memcmp(want, have, 32) != 0 || tr_cose1_parse(tr_buf_view(&a->collateral), TR_COLLATERAL_MAX, &cose, &err) ||
	    tr_bundle_get(cose.payload, &a->bundle, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "the server gave another collateral bundle than the verdict names");
	a->in.bundle = &a->bundle;
	return TR_CLI_EXIT_OK;
}

static int read_origin(struct tr_cli *c, tr_jnode v, struct again *a)
{
	tr_jnode x = tr_json_get(v, "context");
	struct tr_view text, b64;
	struct tr_err err = { 0 };
	int64_t trust = 0;

	if (!tr_json_str(tr_json_get(v, "policy_text"), &text))
		return tr_cli_fail(TR_CLI_EXIT_REFUSED, "the server has not kept the policy of this verdict");
	if (!tr_json_str(tr_json_get(v, "evidence"), &b64) || tr_b64_get(b64, TR_B64_STD, &a->evidence, &err) ||
	    tr_tee_set_get(tr_buf_view(&a->evidence), &a->in.set, &err) || tr_tee_policy_parse(text, &a->policy, &err))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "what the server has kept cannot be read: %s", err.pub);
	if (!tr_json_int(tr_json_get(x, "now"), &a->in.now) || !tr_json_int(tr_json_get(x, "ak_trust"), &trust) ||
	    !get_hex(tr_json_get(x, "challenge"), &a->challenge, &a->in.challenge) ||
	    !get_hex(tr_json_get(x, "spki"), &a->spki, &a->in.spki) || !get_hex(tr_json_get(x, "cert"), &a->cert, &a->in.cert) ||
	    !get_hex(tr_json_get(x, "ak_name"), &a->ak, &a->in.ak_name))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "what the server has kept of the circumstances cannot be read");
	a->in.policy = a->policy;
	a->in.ak_trusted_by = trust > 0 && trust <= TR_AK_HCL ? (enum tr_tpm_ak_trust)trust : TR_AK_NONE;
	return get_collateral(c, v, a);
}

static void put_difference(struct tr_buf *b, struct tr_view was, struct tr_view is)
{
	size_t at = 0, from;

	while (at < was.n && at < is.n && was.p[at] == is.p[at])
		at++;
	from = at < 40 ? 0 : at - 40;
	tr_buf_addf(b, "  first difference at byte %zu\n  was: …", at);
	tr_out_escape(b, tr_view(was.p + from, was.n - from < 80 ? was.n - from : 80));
	tr_buf_adds(b, "…\n  is:  …");
	tr_out_escape(b, tr_view(is.p + from, is.n - from < 80 ? is.n - from : 80));
	tr_buf_adds(b, "…\n");
}

static int answer(struct tr_cli *c, tr_jnode v, struct again *a, const struct tr_tee_verdict *verdict)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view was = { 0 }, build = { 0 }, is = tr_buf_view(&a->verdict);
	uint8_t digest[32];
	bool same;

	(void)tr_json_str(tr_json_get(v, "verdict_text"), &was);
	(void)tr_json_str(tr_json_get(v, "build"), &build);
	same = tr_view_eq(was, is);
	tr_sha256(is, digest);
	if (c->json) {
		tr_buf_addf(&b, "{\"id\":\"%s\",\"same\":%s,\"ok\":%s", c->args[0], same ? "true" : "false",
			    verdict->ok ? "true" : "false");
		tr_json_member_hex(&b, "digest", TR_VIEW_ARRAY(digest));
		tr_json_member_str(&b, "build", TR_VIEW_LIT("troth " TROTH_VERSION));
		tr_json_member_str(&b, "build_was", build);
		tr_buf_adds(&b, ",\"verdict\":");
		tr_buf_addv(&b, is);
		tr_buf_adds(&b, "}\n");
	} else {
		tr_buf_addf(&b, "%s: %s, %s\n", c->args[0], verdict->ok ? "verified" : "failed",
			    same ? "byte for byte the verdict that the server has kept" : "ANOTHER verdict than the server has kept");
		tr_buf_adds(&b, "  digest ");
		tr_hex_add(&b, TR_VIEW_ARRAY(digest));
		tr_buf_adds(&b, "\n");
		if (!tr_view_is(build, "troth " TROTH_VERSION)) {
			tr_buf_adds(&b, "  made then by ");
			tr_out_escape(&b, build);
			tr_buf_adds(&b, ", now by troth " TROTH_VERSION ": another verifier may use other words\n");
		}
		if (!same)
			put_difference(&b, was, is);
	}
	if (!tr_out_print(&b))
		return TR_CLI_EXIT_FILE;
	return same ? TR_CLI_EXIT_OK : TR_CLI_EXIT_REFUSED;
}

int tr_verdict_replay(struct tr_cli *c)
{
	static struct tr_tee_verdict verdict;
	tr_auto(again_done) struct again a = { 0 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	int rc = tr_verdict_fetch(c, &doc);

	if (!rc)
		rc = read_origin(c, tr_json_root(doc), &a);
	if (rc)
		return rc;
	tr_tee_appraise(&a.in, &verdict);
	tr_tee_verdict_json(&verdict, &a.in, &a.verdict);
	return answer(c, tr_json_root(doc), &a, &verdict);
}
