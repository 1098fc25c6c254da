/* SPDX-License-Identifier: Apache-2.0 */
/* `troth-agent tee`: where evidence comes from, and what the server made of it. */
#include "agent/agent.h"
#include "agent/attest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/text.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SETTINGS_MAX 16384

static void put(const char *name, struct tr_view v)
{
	if (v.n)
		printf("%-14s%.*s\n", name, TR_VIEW_FMT(v));
}

static void put_time(const char *name, int64_t ms)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!ms)
		return;
	tr_rfc3339_add(&b, ms);
	put(name, tr_buf_view(&b));
}

/* The file keeps what the server said; that it ended, nobody wrote down. */
static struct tr_view state_now(const struct tr_attestation *a)
{
	return tr_view_is(a->state, "verified") && a->expires_at <= tr_now_ms() ? TR_VIEW_LIT("expired") : a->state;
}

static void show_attestation(const struct tr_attestation *a)
{
	put("state", state_now(a));
	put("kind", a->kind);
	put("policy", a->policy);
	put("tier", a->tier);
	put("tcb status", a->tcb_status);
	if (a->simulated)
		put("simulated", TR_VIEW_LIT("yes: its root is nobody's but ours"));
	put_time("verified", a->verified_at);
	put_time("expires", a->expires_at);
	put("verdict", a->verdict);
	if (!a->failed_at)
		return;
	put_time("last failure", a->failed_at);
	put("code", a->code);
	put("why", a->why);
}

/* ---- in `status` ---- */

void tr_attestation_text(const struct tr_state *s)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT, until = TR_BUF_INIT, failed = TR_BUF_INIT;
	struct tr_attestation a = { 0 };
	struct tr_err err = { 0 };
	enum tr_code rc = tr_attestation_load(s, &doc, &arena, &a, &err);

	if (rc == TR_E_NOTFOUND)
		return;
	if (rc) {
		printf("%-13s %s\n", "attestation", err.detail);
		return;
	}
	printf("%-13s %.*s", "attestation", TR_VIEW_FMT(state_now(&a)));
	if (tr_view_is(a.state, "verified")) {
		tr_rfc3339_add(&until, a.expires_at);
		printf(" as %.*s by policy %.*s until %s, tier %.*s%s", TR_VIEW_FMT(a.kind), TR_VIEW_FMT(a.policy), tr_buf_cstr(&until),
		       TR_VIEW_FMT(a.tier), a.simulated ? ", simulated" : "");
	}
	printf("\n");
	if (!a.failed_at)
		return;
	tr_rfc3339_add(&failed, a.failed_at);
	printf("%-13s failed %llu times, last %s: %.*s%s%.*s\n", "", (unsigned long long)a.failures, tr_buf_cstr(&failed),
	       TR_VIEW_FMT(a.code), a.code.n ? ": " : "", TR_VIEW_FMT(a.why));
}

void tr_attestation_json(const struct tr_state *s, struct tr_buf *b)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_attestation a = { 0 };
	struct tr_err err = { 0 };

	tr_buf_adds(b, ",\"attestation\":");
	if (tr_attestation_load(s, &doc, &arena, &a, &err))
		tr_buf_adds(b, "null");
	else
		tr_record_to_json(&tr_attestation_file_def, &a, b);
}

/* ---- the command ---- */

int tr_agent_tee_show(const char *state_dir, bool as_json)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT, out = TR_BUF_INIT;
	struct tr_attestation a = { 0 };
	struct tr_err err = { 0 }, why = { 0 };
	enum tr_code rc;
	bool usable;

	if (tr_state_open(state_dir, &s, &err) || tr_state_load_conf(&s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	usable = !tr_tee_choice_make(&s, &c, &why);
	rc = tr_attestation_load(&s, &doc, &arena, &a, &err);
	if (rc && rc != TR_E_NOTFOUND)
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	if (as_json) {
		tr_buf_adds(&out, "{\"source\":");
		tr_json_put_str(&out, tr_view_str(usable && c.source ? c.source->name : ""));
		tr_json_member_str(&out, "problem", tr_view_str(usable ? "" : why.pub));
		tr_buf_adds(&out, ",\"attestation\":");
		if (rc)
			tr_buf_adds(&out, "null");
		else
			tr_record_to_json(&tr_attestation_file_def, &a, &out);
		printf("%s}\n", tr_buf_cstr(&out));
		return TR_AGENT_EXIT_OK;
	}
	put("source", !usable ? tr_view_str(why.pub) : tr_view_str(c.source ? c.source->name : "none: no TEE or TPM found"));
	if (!usable)
		put("", tr_view_str(why.detail));
	if (rc)
		put("state", TR_VIEW_LIT("never attested"));
	else
		show_attestation(&a);
	return TR_AGENT_EXIT_OK;
}

/* The agent will run in another folder than the one where this was typed. */
static void make_absolute(struct tr_view *path, char full[PATH_MAX])
{
	char typed[PATH_MAX];

	(void)snprintf(typed, sizeof(typed), "%.*s", TR_VIEW_FMT(*path));
	if (path->n && path->n < sizeof(typed) && realpath(typed, full))
		*path = tr_view_str(full);
}

/* Of a simulated TEE all can be tried at once: seed, kind, program. A real one is asked when it must answer. */
static TR_RC try_it(const struct tr_state *s, struct tr_tee_choice *c, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	const struct tr_tee_ask ask = { .report_data = { 0 } };
	enum tr_code rc = tr_tee_choice_make(s, c, err);

	if (!rc && c->source == &tr_tee_simulated)
		rc = c->source->quote(&c->conf, &ask, &set, err);
	return rc;
}

/* As before: nothing, or what stood there. */
static void put_back(const struct tr_state *s, struct tr_view before)
{
	char path[PATH_MAX];
	struct tr_err err = { 0 };

	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, TR_TEE_CONF_FILE);
	if (!before.n)
		(void)unlink(path);
	else if (tr_state_write(s, TR_TEE_CONF_FILE, before, &err))
		tr_log_err(TR_LOG_ERROR, "tee_not_put_back", &err, NULL);
}

int tr_agent_tee_use(const char *state_dir, const struct tr_tee_settings *t)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_tee_choice_done) struct tr_tee_choice c = { 0 };
	tr_auto(tr_buf_done) struct tr_buf before = TR_BUF_INIT;
	struct tr_tee_settings now = *t;
	char seed[PATH_MAX], quote[PATH_MAX];
	struct tr_err err = { 0 }, none = { 0 };
	enum tr_code rc;

	make_absolute(&now.seed, seed);
	make_absolute(&now.secretvm_quote, quote);
	if (tr_state_open(state_dir, &s, &err) || tr_state_lock(&s, &err) || tr_state_load_conf(&s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	if (tr_state_read(&s, TR_TEE_CONF_FILE, SETTINGS_MAX, &before, &none))
		tr_buf_clear(&before); /* there was none */
	if (tr_tee_settings_save(&s, &now, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	rc = try_it(&s, &c, &err);
	/* What can never work replaces nothing; a device that is named and missing may come later. */
	if (rc && rc != TR_E_UNAVAIL) {
		put_back(&s, tr_buf_view(&before));
		return tr_agent_fail(rc == TR_E_INVALID ? TR_AGENT_EXIT_USAGE : TR_AGENT_EXIT_STATE, &err);
	}
	if (rc) {
		(void)tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
		fputs("The choice is kept: `troth-agent run` looks for it again every 10 minutes.\n", stderr);
		return TR_AGENT_EXIT_STATE;
	}
	printf("source %s\n", c.source ? c.source->name : "none");
	return TR_AGENT_EXIT_OK;
}

int tr_agent_tee_simulate_root(const char *dir, const char *kind)
{
	enum tr_tee_kind k = TR_TEE_TDX;
	uint8_t sha256[32];
	struct tr_err err = { 0 };

	if (kind && !tr_tee_kind_of(tr_view_str(kind), &k)) {
		(void)tr_err_set(&err, TR_E_INVALID, "a simulated TEE is tdx, sgx or snp", "%s", kind);
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	if (tr_tee_simulate_root(dir, k, sha256, &err))
		return tr_agent_fail(err.code == TR_E_INVALID ? TR_AGENT_EXIT_USAGE : TR_AGENT_EXIT_STATE, &err);
	printf("root ");
	for (size_t i = 0; i < sizeof(sha256); i++)
		printf("%02x", sha256[i]);
	printf("\nin %s: seed (keep it secret: it is the vendor), and collateral for `troth collateral import`\n"
	       "A policy trusts it with\n"
	       "  roots: [{name: lab, simulated: true, spki_sha256: ",
	       dir);
	for (size_t i = 0; i < sizeof(sha256); i++)
		printf("%02x", sha256[i]);
	printf("}]\n");
	return TR_AGENT_EXIT_OK;
}
