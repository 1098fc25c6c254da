/* SPDX-License-Identifier: Apache-2.0 */
/* What a registration with evidence leaves behind: the verdict with all that it was made from, what the hub says of the agent
 * from now on, the spent challenge. All of it in one transaction, and only then the answer. */
#include "server/attest.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "server/hub.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEN_MS (TR_CHALLENGE_TTL_MS + (2 * TR_REQUEST_SKEW_S + 60) * INT64_C(1000))

/* ---- what is spent ---- */

static void put_seen(const struct tr_attest *m, struct tr_tx *tx, struct tr_view digest)
{
	struct tr_seen_row row = { .digest = digest, .expires_at = m->now_ms + SEEN_MS };

	tr_tx_add(tx, TR_OP_INSERT, TR_T_SEEN, &row);
}

/* A challenge is spent whether or not the rest was good; without one, a signed request comes once. False: it came before. */
static bool spend(const struct tr_attest *m, struct tr_tx *tx)
{
	struct tr_core *c = m->core;
	struct tr_msg_hub h;
	struct tr_sha256 *s;
	uint8_t digest[32];
	struct tr_err err = { 0 };

	if (m->r.challenge.n) {
		if (tr_table_get(&c->seen, m->r.challenge) || !tr_challenge_ok(c->challenge_key, m->now_ms, m->r.challenge))
			return false;
		put_seen(m, tx, m->r.challenge);
		return true;
	}
	if (!m->r.is_signed || tr_record_decode(&tr_msg_hub_def, m->req->q.hub, &h, &err))
		return true;
	s = tr_sha256_new();
	tr_sha256_add(s, TR_VIEW_LIT("troth/registration-nonce/v1"));
	tr_sha256_add(s, tr_view("", 1));
	tr_sha256_add(s, h.agent);
	tr_sha256_add(s, tr_view("", 1));
	tr_sha256_add(s, h.nonce);
	tr_sha256_end(s, digest);
	(void)tr_sha256_free(s);
	if (tr_table_get(&c->seen, TR_VIEW_ARRAY(digest)))
		return false;
	put_seen(m, tx, TR_VIEW_ARRAY(digest));
	return true;
}

static void spend_token(struct tr_attest *m, struct tr_tx *tx)
{
	struct tr_token_row t;

	if (!m->token || !m->token_spent || m->agent)
		return;
	t = *(const struct tr_token_row *)TR_ROW(&m->core->tokens, m->token);
	/* Rows sent before this one commit before it: each carries the count after its own use. */
	t.uses += ++m->token->sent;
	m->token_sent = true;
	tr_tx_touch(tx, m->token);
	tr_tx_add(tx, TR_OP_PUT, TR_T_TOKEN, &t);
}

/* ---- rows ---- */

static void put_verdict(const struct tr_attest *m, struct tr_tx *tx)
{
	struct tr_verdict_row row = {
		.time = m->now_ms,
		.id = tr_view_str(m->verdict_id),
		.agent = m->r.agent_id,
		.kind = m->a.kind,
		.policy = tr_view_str(m->policy.name),
		.policy_version = m->policy.version,
		.outcome = tr_view_str(m->a.ok ? "verified" : "failed"),
		.reason = m->a.ok ? tr_view(NULL, 0) : m->a.failed,
		.tcb_status = m->a.tcb_status,
		.tier = m->a.tier,
		.bundle = m->a.bundle,
		.build = TR_VIEW_LIT(TR_BUILD_NAME),
		.expires_at = m->a.ok ? m->a.expires * 1000 : 0,
		.source = m->req->q.source,
		.digest = m->a.digest,
		.context = tr_buf_view(&m->context),
		.verdict = m->a.verdict,
		.evidence = m->a.set,
	};

	tr_tx_add(tx, TR_OP_APPEND, TR_T_VERDICT, &row);
}

static void put_audit(const struct tr_attest *m, struct tr_tx *tx, const char *outcome, const char *reason)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	char actor[80];

	tr_buf_addf(&d, "{\"verdict\":\"%s\",\"policy\":\"%s\"}", m->a.verdict.n ? m->verdict_id : "", m->policy.id);
	(void)snprintf(actor, sizeof(actor), "agent:%.*s", TR_VIEW_FMT(m->r.agent_id));
	tr_audit(tx, m->r.agent_id.n ? actor : "anonymous", "agent.attest", m->r.agent_id, outcome, reason, m->req->q.source,
		 tr_buf_view(&d));
}

/* An agent that needs no certificate: its key signs its requests, its evidence speaks for that key. */
static void put_agent(const struct tr_attest *m, struct tr_tx *tx)
{
	const struct tr_token_row *token = TR_ROW(&m->core->tokens, m->token);
	struct tr_agent_row row = {
		.id = m->r.agent_id,
		.partition = token ? token->partition : TR_VIEW_LIT("default"),
		.agent_type = tr_view_str(m->agent_type),
		.state = TR_VIEW_LIT("active"),
		.key_id = m->r.key_id,
		.key_type = m->r.key_type,
		.spki = m->r.spki,
		.form = TR_VIEW_LIT("hub"),
		.verdict = TR_VIEW_LIT("ok"),
		.tier = m->a.tier,
		.token_id = token ? token->id : tr_view(NULL, 0),
		.source = m->req->q.source,
		.enrolled_at = m->now_ms,
		.epoch = tr_core_first_epoch(m->core),
	};

	tr_tx_add(tx, TR_OP_INSERT, TR_T_AGENT, &row);
}

static void put_verified(const struct tr_attest *m, struct tr_tx *tx)
{
	static const struct tr_attested_row none;
	const struct tr_attested_row *known = TR_ROW(&m->core->attested, tr_table_get(&m->core->attested, m->r.agent_id));
	const struct tr_attested_row *was = known ? known : &none;
	/* A pre-key of another identity is nobody's any more. */
	bool same_key = tr_view_eq(was->key_id, m->r.key_id);
	bool newer = m->r.prekey.n && !(same_key && was->prekey_number >= m->r.prekey_number);
	struct tr_attested_row row = {
		.id = m->r.agent_id,
		.key_id = m->r.key_id,
		.spki = m->r.spki,
		.state = TR_VIEW_LIT("verified"),
		.kind = m->a.kind,
		.policy = tr_view_str(m->policy.name),
		.policy_version = m->policy.version,
		.tcb_status = m->a.tcb_status,
		.tier = m->a.tier,
		.image = m->a.image,
		.simulated = m->a.simulated,
		.verified_at = m->now_ms,
		.expires_at = m->a.expires * 1000,
		.verdict = tr_view_str(m->verdict_id),
		.agent_type = tr_view_str(m->agent_type),
		.capabilities = m->r.capabilities,
		.endpoint = m->r.endpoint,
		.attestation_endpoint = m->r.attestation_endpoint,
		.prekey = newer ? m->r.prekey : same_key ? was->prekey : tr_view(NULL, 0),
		.prekey_number = newer ? m->r.prekey_number : same_key ? was->prekey_number : 0,
		.token = tr_buf_view(&m->token_text),
		.ak_name = m->a.ak_name.n ? m->a.ak_name : was->ak_name,
		.ek_digest = m->activated ? TR_VIEW_ARRAY(m->ek_digest) : was->ek_digest,
		.ak_trust = m->a.ak_name.n ? m->a.ak_trust : was->ak_trust,
		.ak_resets = m->a.ak_name.n ? m->a.resets : was->ak_resets,
		.ak_restarts = m->a.ak_name.n ? m->a.restarts : was->ak_restarts,
		.ak_clock = m->a.ak_name.n ? m->a.clock : was->ak_clock,
	};

	tr_tx_touch(tx, tr_table_get(&m->core->attested, m->r.agent_id));
	tr_tx_add(tx, known ? TR_OP_PUT : TR_OP_INSERT, TR_T_ATTESTED, &row);
}

/* An old verdict stays good until its end: the next try may be better. Not when it is known to be bad by now. */
static void put_failure(const struct tr_attest *m, struct tr_tx *tx)
{
	struct tr_item *i = tr_table_get(&m->core->attested, m->r.agent_id);
	const struct tr_attested_row *was = TR_ROW(&m->core->attested, i);
	struct tr_attested_row row;

	if (!was)
		return;
	row = *was;
	row.reason = m->a.failed;
	row.failed_at = m->now_ms;
	row.failures++;
	if (m->a.proven) {
		row.state = TR_VIEW_LIT("failed");
		row.verdict = tr_view_str(m->verdict_id);
		row.token = tr_view(NULL, 0);
	}
	tr_tx_touch(tx, i);
	tr_tx_add(tx, TR_OP_PUT, TR_T_ATTESTED, &row);
}

/* ---- refusing before a verdict ---- */

struct refused {
	struct tr_attest *m;
	int status;
	char slug[49], sentence[257];
};

static void put_event(const struct tr_attest *m, enum tr_event_kind kind, unsigned severity, const char *code,
		      const char *alert, const char *summary)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	tr_buf_adds(&d, "{");
	if (code[0])
		tr_buf_addf(&d, "\"code\":\"%s\"", code);
	if (m->a.verdict.n)
		tr_buf_addf(&d, "%s\"verdict\":\"%s\"", code[0] ? "," : "", m->verdict_id);
	tr_buf_adds(&d, "}");
	tr_hub_event(m->core, kind, severity, m->r.agent_id, m->req->q.source, tr_buf_view(&d), alert, summary);
}

static void answer_refusal(struct tr_attest *m, int status, const char *slug, const char *sentence)
{
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	struct tr_problem p = { .status = status, .slug = slug, .title = tr_http_status_title(status), .detail = sentence,
				.status_word = "rejected" };

	tr_buf_adds(&extra, "\"verification_status\":\"failed\",\"error\":");
	tr_json_put_str(&extra, tr_view_str(sentence));
	if (m->a.verdict.n) {
		tr_buf_addf(&extra, ",\"verdict\":\"%s\",\"checks\":", m->verdict_id);
		tr_buf_addv(&extra, m->a.checks.n ? m->a.checks : TR_VIEW_LIT("[]"));
	}
	/* Whether an earlier verdict still stands is nobody else's business. */
	if (m->req->q.agent_id.n && tr_view_eq(m->req->q.agent_id, m->r.agent_id))
		tr_buf_addf(&extra, ",\"attestation\":\"%s\"", tr_attested_state(m->core, m->r.agent_id));
	tr_buf_adds(&extra, ",\"server_time\":\"");
	tr_rfc3339_add(&extra, tr_now_ms());
	tr_buf_adds(&extra, "\"");
	p.extra = tr_buf_view(&extra);
	if (status == 503)
		p.retry_after_s = 2;
	tr_req_problem(m->req, &p);
}

static void refusal_stored(void *arg, enum tr_code rc, const char *why)
{
	struct refused *r = arg;

	/* The refusal stands whether or not it could be written down. */
	if (rc && rc != TR_E_CONFLICT)
		tr_log(TR_LOG_ERROR, "refusal_not_recorded", "why", why, NULL);
	answer_refusal(r->m, r->status, r->slug, r->sentence);
	(void)tr_attest_free(r->m);
	free(r);
}

void tr_attest_refuse(struct tr_attest *m, int status, const char *slug, const char *sentence)
{
	struct tr_core *c = m->core;
	struct refused *r = NULL;
	struct tr_tx *tx;

	tr_log(TR_LOG_WARN, "registration_refused", "reason", slug, "agent", tr_fmt_view(m->r.agent_id), "source",
	       tr_fmt_view(m->req->q.source), NULL);
	tr_tee_counts(c)->refused++;
	if (c->recent_refusals++ < TR_REFUSALS_RECORDED)
		r = calloc(1, sizeof(*r));
	else
		c->unrecorded++;
	if (!r) {
		answer_refusal(m, status, slug, sentence);
		(void)tr_attest_free(m);
		return;
	}
	r->m = m;
	r->status = status;
	(void)snprintf(r->slug, sizeof(r->slug), "%s", slug);
	(void)snprintf(r->sentence, sizeof(r->sentence), "%s", sentence);
	/* A TPM that nobody asked for is no incident: a fleet of them would look like an attack. */
	if (strcmp(slug, "no_policy") != 0)
		put_event(m, TR_EV_REGISTRATION_REFUSED, 3, r->slug, NULL, NULL);
	tx = tr_tx_new(c);
	(void)spend(m, tx);
	put_audit(m, tx, "refused", r->slug);
	tr_tx_commit(tx, refusal_stored, r);
}

/* ---- good ones ---- */

static void answer_verified(struct tr_attest *m)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"status\":\"registered\",\"verification_status\":\"verified\",\"agent_id\":");
	tr_json_put_str(&b, m->r.agent_id);
	tr_json_member_str(&b, "agent_type", tr_view_str(m->agent_type));
	tr_json_member_time(&b, "expires_at", m->a.expires * 1000);
	tr_buf_addf(&b, ",\"attestation_lifetime_s\":%lld", (long long)(m->a.expires - m->now_ms / 1000));
	tr_json_member_str(&b, "kind", m->a.kind);
	tr_json_member_str(&b, "tier", m->a.tier);
	tr_json_member_str(&b, "tcb_status", m->a.tcb_status);
	tr_json_member_str(&b, "image", m->a.image);
	tr_json_member_str(&b, "policy", tr_view_str(m->policy.name));
	tr_buf_addf(&b, ",\"policy_version\":%llu,\"simulated\":%s,\"verdict\":\"%s\"", (unsigned long long)m->policy.version,
		    m->a.simulated ? "true" : "false", m->verdict_id);
	tr_json_member_str(&b, "token", tr_buf_view(&m->token_text));
	tr_json_member_time(&b, "server_time", tr_now_ms());
	tr_buf_adds(&b, "}");
	tr_req_answer(m->req, 201, TR_CT_JSON, tr_buf_view(&b));
}

static void end_alert(struct tr_core *c, const char *kind, struct tr_view agent, const char *why)
{
	char subject[80];

	(void)snprintf(subject, sizeof(subject), "agent:%.*s", TR_VIEW_FMT(agent));
	tr_alerts_resolve(tr_fleet_alerts(c->fleet), tr_core_now(c).ms, kind, tr_view_str(subject), why);
}

static void verified_stored(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_attest_free) struct tr_attest *m = arg;

	if (rc == TR_E_CONFLICT) {
		/* Somebody else was quicker with this id, key or challenge: asked again, it is told which. */
		tr_req_refuse(m->req, 503, "busy", "the same agent is registering twice at once; try again in a second");
		return;
	}
	if (rc) {
		tr_req_not_stored(m->req, rc, why);
		return;
	}
	tr_log(TR_LOG_INFO, "agent_attested", "agent", tr_fmt_view(m->r.agent_id), "kind", tr_fmt_view(m->a.kind), "policy",
	       m->policy.id, "verdict", m->verdict_id, "simulated", m->a.simulated ? "yes" : "no", NULL);
	if (!m->agent)
		m->core->metrics.registrations++;
	put_event(m, TR_EV_REGISTERED, 5, "", NULL, NULL);
	end_alert(m->core, "attestation_failed", m->r.agent_id, "it was verified again");
	if (m->activated)
		end_alert(m->core, "tpm_cloned", m->r.agent_id, "the agent's own TPM answered");
	answer_verified(m);
}

static bool is_busy(const struct tr_attest *m)
{
	const struct tr_item *row = tr_table_get(&m->core->attested, m->r.agent_id);

	return (m->agent && m->agent->inflight) || (row && row->inflight);
}

void tr_attest_verified(struct tr_attest *m)
{
	struct tr_tx *tx;

	if (is_busy(m)) {
		tr_req_refuse(m->req, 503, "busy", "another change of this agent is under way; try again in a second");
		(void)tr_attest_free(m);
		return;
	}
	tx = tr_tx_new(m->core);
	if (tx && !spend(m, tx)) {
		(void)tr_tx_free(tx);
		tr_attest_refuse(m, 401, m->r.challenge.n ? "challenge_invalid" : "replay",
				 "this request was made before; ask for a new challenge and quote again");
		return;
	}
	if (tx) {
		put_verdict(m, tx);
		put_verified(m, tx);
		if (!m->agent)
			put_agent(m, tx);
		tr_tx_touch(tx, m->agent);
		spend_token(m, tx);
		put_audit(m, tx, "verified", "");
	}
	tr_tx_commit(tx, verified_stored, m);
}

/* ---- bad ones ---- */

static void failure_stored(void *arg, enum tr_code rc, const char *why)
{
	struct tr_attest *m = arg;
	char slug[49], sentence[257];

	if (rc)
		tr_log(TR_LOG_ERROR, "refusal_not_recorded", "why", why, NULL);
	(void)snprintf(slug, sizeof(slug), "%.*s", TR_VIEW_FMT(m->a.failed));
	(void)snprintf(sentence, sizeof(sentence), "%.*s", TR_VIEW_FMT(m->a.sentence));
	answer_refusal(m, tr_reason_info((enum tr_reason)m->a.reason)->status, slug, sentence);
	(void)tr_attest_free(m);
}

void tr_attest_failed(struct tr_attest *m)
{
	struct tr_core *c = m->core;
	struct tr_tx *tx;
	char slug[49], what[200];

	(void)snprintf(slug, sizeof(slug), "%.*s", TR_VIEW_FMT(m->a.failed));
	tr_log(TR_LOG_WARN, "evidence_refused", "reason", slug, "agent", tr_fmt_view(m->r.agent_id), "verdict", m->verdict_id,
	       "source", tr_fmt_view(m->req->q.source), NULL);
	/* Each holds up to a hundred thousand bytes of evidence: beyond this many in a second, only their number is kept.
	 * A token that is never spent could be tried for ever. */
	if (c->recent_refusals++ >= TR_REFUSALS_RECORDED || is_busy(m) ||
	    (!m->agent && m->token &&
	     !tr_pace_allow(&c->hub->tries, m->token->no, tr_mono_ms(), TR_PROOF_STEP_MS, TR_PROOF_BURST))) {
		c->unrecorded++;
		failure_stored(m, TR_OK, "");
		return;
	}
	(void)snprintf(what, sizeof(what), "evidence of agent %.*s shows %s (verdict %s)", TR_VIEW_FMT(m->r.agent_id), slug,
		       m->verdict_id);
	put_event(m, TR_EV_EVIDENCE_REFUSED, m->a.proven ? 2 : 3, slug, m->a.proven ? "attestation_failed" : NULL, what);
	tx = tr_tx_new(c);
	if (tx) {
		(void)spend(m, tx);
		put_verdict(m, tx);
		put_failure(m, tx);
		put_audit(m, tx, "failed", slug);
	}
	tr_tx_commit(tx, failure_stored, m);
}
