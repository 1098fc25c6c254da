/* SPDX-License-Identifier: Apache-2.0 */
/* Registration, from the raw body to the 201: token → appraise → challenge, replay, identity → keys → store → answer.
 * Every attempt, good or bad, becomes an attestation row and an audit row; a refused one never becomes an agent. */
#include "server/attest.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "store/copy.h"

#define CHECKS_ROOM 7800 /* a row holds 8192 bytes of checks */
#define DESYNC_KEPT_MS (90LL * 24 * 3600 * 1000)
/* Bytes of a body that are kept of somebody without a good token: any honest one fits, and a flood stays small. */
#define STRANGER_EVIDENCE_MAX 4096

struct admission {
	struct tr_core *core;
	struct tr_req *req;
	struct tr_item *token;           /* reserved use; NULL for none */
	struct tr_item *existing;        /* the same device, enrolling again */
	bool spend_token, token_sent;
	bool reset;                      /* with a token for exactly this: a new key and a new epoch */
	struct tr_msg_appraised a;       /* views borrow from bytes */
	struct tr_buf bytes;
	uint8_t key_id[32];
	enum tr_reason tolerated;        /* audit mode: what would have been refused */
	struct tr_buf cert_pem;
	char serial[65];
	int64_t cert_not_after;
};

static void admission_free(struct admission *m)
{
	if (m->token && m->spend_token)
		m->token->reserved--;
	if (m->token && m->token_sent)
		m->token->sent--;
	(void)tr_req_free(m->req);
	tr_buf_done(&m->bytes);
	tr_buf_done(&m->cert_pem);
	m->core->registrations--;
	free(m);
}

static bool token_usable(const struct tr_core *c, const struct tr_item *i, int64_t now)
{
	const struct tr_token_row *t = TR_ROW(&c->tokens, i);

	return !i->ending && !t->revoked_at && t->expires_at > now;
}

/* ---- what is recorded ---- */

/* The verifier's checks, and the one of core's own that ended it: what only the registry could know. */
static void put_checks(const struct admission *m, enum tr_reason reason, struct tr_buf *b)
{
	static const struct {
		enum tr_reason reason;
		const char *check, *expected, *seen;
	} own[] = {
		{ TR_R_TOKEN_INVALID, "token", "a registration token that is known, in time, not revoked and has uses left",
		  "none, or one that is not" },
		{ TR_R_CHALLENGE_INVALID, "challenge", "a challenge of this server, at most 120 s old",
		  "another server's, an older one, or one from before a restart" },
		{ TR_R_REPLAY, "replay", "a claim that was not used before", "this very claim, or its challenge, was used" },
		{ TR_R_ID_TAKEN, "agent_id", "an id that is free, or this key's own", "an id or a key that belongs to another" },
		{ TR_R_AGENT_REVOKED, "agent", "an agent that was not revoked or removed", "one that was" },
	};
	struct tr_view checks = m->a.checks.n ? m->a.checks : TR_VIEW_LIT("[]");

	tr_buf_addv(b, checks);
	for (size_t i = 0; i < TR_ARRAY_LEN(own) && !b->failed; i++) {
		if (own[i].reason != reason || checks.n > CHECKS_ROOM)
			continue;
		b->n--; /* the closing bracket */
		tr_buf_addf(b, "%s{\"check\":\"%s\",\"ok\":false,\"expected\":\"%s\",\"seen\":\"%s\"}]",
			    checks.n > 2 ? "," : "", own[i].check, own[i].expected, own[i].seen);
	}
}

static void record(struct admission *m, struct tr_tx *tx, const char *outcome, enum tr_reason reason)
{
	tr_auto(tr_buf_done) struct tr_buf checks = TR_BUF_INIT;
	const struct tr_token_row *token = TR_ROW(&m->core->tokens, m->token);
	const char *slug = tr_reason_info(reason)->slug;
	size_t keep = m->token && token_usable(m->core, m->token, tr_now_ms()) ? TR_REGISTRATION_MAX : STRANGER_EVIDENCE_MAX;
	struct tr_attestation_row row = {
		.time = tr_now_ms(),
		.node_id = m->a.node_id,
		.form = tr_view_str(m->a.native ? "native" : "original"),
		.outcome = tr_view_str(outcome),
		.reason = tr_view_str(slug),
		.tier = tr_view_str(tr_tier_name((enum tr_tier)m->a.tier)),
		.binary_hash = m->a.binary_hash,
		.version = m->a.version,
		.vouched_by = m->a.vkey_id,
		.token_id = token ? token->id : tr_view(NULL, 0),
		.source = m->req->q.source,
		.claim_time = m->a.claim_time,
		.evidence = m->req->q.in.n <= keep ? m->req->q.in : tr_view(NULL, 0),
	};
	char actor[80];

	put_checks(m, reason, &checks);
	row.checks = tr_buf_view(&checks);
	(void)snprintf(actor, sizeof(actor), "agent:%.*s", TR_VIEW_FMT(m->a.node_id));
	tr_tx_add(tx, TR_OP_APPEND, TR_T_ATTESTATION, &row);
	tr_audit(tx, m->a.node_id.n ? actor : "anonymous", "agent.register", m->a.node_id, outcome, slug, m->req->q.source,
		 tr_view(NULL, 0));
}

/* Counts the verification and raises the failure-rate alert. */
static void count(struct tr_core *c, bool ok, enum tr_reason reason, struct tr_tx *tx)
{
	if (!ok) {
		c->metrics.rejections++;
		c->metrics.by_reason[reason]++;
	}
	if (!tr_metrics_verified(&c->metrics, ok, tr_now_ms()))
		return;
	tr_log(TR_LOG_WARN, "attestation_failure_rate", "failed", tr_fmt("%llu", (unsigned long long)c->metrics.window_failed),
	       "verified", tr_fmt("%llu", (unsigned long long)c->metrics.window_ok), NULL);
	if (tx)
		tr_audit(tx, "system", "attestation.failure_rate", tr_view(NULL, 0), "alert", "",
			 tr_view(NULL, 0), tr_view(NULL, 0));
}

/* ---- refusing ---- */

static void answer_refusal(struct admission *m, enum tr_reason reason)
{
	const struct tr_reason_info *info = tr_reason_info(reason);
	tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;
	struct tr_problem p = { .status = info->status, .slug = info->slug, .title = info->title, .detail = info->sentence };

	tr_buf_adds(&extra, "\"error\":");
	tr_json_put_str(&extra, tr_view_str(info->slug));
	tr_buf_adds(&extra, ",\"server_time\":\"");
	tr_rfc3339_add(&extra, tr_now_ms());
	tr_buf_adds(&extra, "\"");
	if (m->a.claim_time) {
		tr_buf_adds(&extra, ",\"claim_time\":\"");
		tr_rfc3339_add(&extra, m->a.claim_time);
		tr_buf_addf(&extra, "\",\"skew_seconds\":%lld", (long long)(m->a.skew / 1000));
	}
	/* Explaining each check to a stranger would help a forger to aim; the token holder may hear it. */
	if (m->token && m->a.checks.n) {
		tr_buf_adds(&extra, ",\"checks\":");
		tr_buf_addv(&extra, m->a.checks);
	}
	p.extra = tr_buf_view(&extra);
	if (info->status == 429)
		p.retry_after_s = 1;
	tr_req_problem(m->req, &p);
}

static void refusal_recorded(void *arg, enum tr_code rc, const char *why)
{
	struct admission *m = arg;

	/* The refusal stands whether or not it could be written down; the log line has it too. */
	if (rc)
		tr_log(TR_LOG_ERROR, "refusal_not_recorded", "why", why, NULL);
	answer_refusal(m, (enum tr_reason)m->a.reason);
	admission_free(m);
}

static void refuse(struct admission *m, enum tr_reason reason)
{
	struct tr_core *c = m->core;
	struct tr_tx *tx;

	m->a.reason = reason;
	tr_log(TR_LOG_WARN, "registration_refused", "reason", tr_reason_info(reason)->slug, "agent",
	       tr_fmt_view(m->a.node_id), "source", tr_fmt_view(m->req->q.source), NULL);
	if (c->recent_refusals++ >= TR_REFUSALS_RECORDED) {
		c->unrecorded++;
		c->metrics.unrecorded_refusals++;
		count(c, false, reason, NULL);
		answer_refusal(m, reason);
		admission_free(m);
		return;
	}
	tx = tr_tx_new(c);
	count(c, false, reason, tx);
	if (tx) {
		record(m, tx, "refused", reason);
		if (c->unrecorded) {
			tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

			tr_buf_addf(&d, "{\"unrecorded\":%llu}", (unsigned long long)c->unrecorded);
			tr_audit(tx, "system", "agent.register.flood", tr_view(NULL, 0), "refused", "", tr_view(NULL, 0),
				 tr_buf_view(&d));
			c->unrecorded = 0;
		}
	}
	tr_tx_commit(tx, refusal_recorded, m);
}

/* ---- admitting ---- */

static enum tr_reason judge(struct admission *m);

static void answer_admission(struct admission *m)
{
	struct tr_core *c = m->core;
	const struct tr_agent_row *row = TR_ROW(&c->agents, tr_table_get(&c->agents, m->a.node_id));
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!row) {
		tr_req_refuse(m->req, 503, "store_unavailable", "the registration could not be read back; try again");
		return;
	}
	tr_buf_adds(&b, "{\"status\":\"registered\",\"verification_status\":\"verified\",\"agent_id\":");
	tr_json_put_str(&b, row->id);
	tr_buf_adds(&b, ",\"partition\":");
	tr_json_put_str(&b, row->partition);
	tr_buf_adds(&b, ",\"agent_type\":");
	tr_json_put_str(&b, row->agent_type);
	tr_buf_adds(&b, ",\"trust_tier\":");
	tr_json_put_str(&b, row->tier);
	tr_buf_adds(&b, ",\"verdict\":");
	tr_json_put_str(&b, tr_view_str(m->tolerated ? "admitted_audit" : "admitted"));
	if (m->tolerated) {
		tr_buf_adds(&b, ",\"would_refuse\":");
		tr_json_put_str(&b, tr_view_str(tr_reason_info(m->tolerated)->slug));
	}
	if (m->cert_pem.n) {
		tr_buf_adds(&b, ",\"certificate\":");
		tr_json_put_str(&b, tr_buf_view(&m->cert_pem));
		tr_buf_adds(&b, ",\"ca\":");
		tr_json_put_str(&b, tr_buf_view(&c->ca_pem));
		tr_buf_addf(&b, ",\"spiffe_id\":\"spiffe://%s/agent/%.*s\",\"expires_at\":\"", c->cfg->trust_domain,
			    TR_VIEW_FMT(row->id));
		tr_rfc3339_add(&b, row->cert_not_after);
		tr_buf_adds(&b, "\"");
	}
	tr_buf_addf(&b, ",\"heartbeat_interval_s\":%u,\"server_time\":\"", c->cfg->heartbeat_seconds);
	tr_rfc3339_add(&b, tr_now_ms());
	tr_buf_adds(&b, "\"}");
	tr_req_answer(m->req, 201, TR_CT_JSON, tr_buf_view(&b));
}

static void admitted(void *arg, enum tr_code rc, const char *why)
{
	struct admission *m = arg;

	if (rc == TR_OK) {
		m->core->metrics.registrations++;
		if (m->tolerated)
			m->core->metrics.audit_admissions++;
		tr_log(m->tolerated ? TR_LOG_WARN : TR_LOG_INFO, "agent_registered", "agent", tr_fmt_view(m->a.node_id),
		       "source", tr_fmt_view(m->req->q.source), "tolerated",
		       m->tolerated ? tr_reason_info(m->tolerated)->slug : "", NULL);
		answer_admission(m);
	} else if (rc == TR_E_CONFLICT) {
		/* Somebody else was quicker with this id, this claim or this challenge: ask again who. */
		enum tr_reason now = judge(m);

		if (now != TR_R_OK) {
			refuse(m, now);
			return;
		}
		tr_req_refuse(m->req, 503, "busy", "the same agent is registering twice at once; try again in a second");
	} else {
		tr_req_not_stored(m->req, rc, why);
	}
	admission_free(m);
}

/* From this commit on the old key is nobody's: its chain, and its quarantine, end with it. */
static void record_reset(const struct admission *m, struct tr_tx *tx, const struct tr_agent_row *old,
			 const struct tr_agent_row *row)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	/* Nor does evidence for the old key, or the TPM that it came from, say anything of the new one. */
	if (tr_table_get(&m->core->attested, row->id))
		tr_tx_add(tx, TR_OP_DELETE, TR_T_ATTESTED, &(struct tr_attested_row){ .id = row->id });
	tr_buf_addf(&d, "{\"epoch\":%llu,\"key\":\"", (unsigned long long)row->epoch);
	tr_hex_add(&d, row->key_id);
	tr_buf_adds(&d, "\",\"old_key\":\"");
	tr_hex_add(&d, old->key_id);
	tr_buf_adds(&d, "\"}");
	tr_audit(tx, "system", "agent.identity_reset", row->id, "ok", "", m->req->q.source, tr_buf_view(&d));
}

/* Of a restored store: what enrolled since its backup had numbers that must not be another's. */
static uint64_t epoch_floor(const struct tr_core *c)
{
	struct tr_view v = tr_setting(c, TR_SETTING_EPOCH_FLOOR);
	uint64_t n = 0;

	for (size_t i = 0; i < v.n && v.n < 19 && v.p[i] >= '0' && v.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	return n ? n : 1;
}

static uint64_t next_epoch(const struct tr_core *c, const struct tr_agent_row *old, bool reset)
{
	uint64_t floor = epoch_floor(c);

	if (old && !reset)
		return old->epoch;
	return old && old->epoch + 1 > floor ? old->epoch + 1 : floor;
}

uint64_t tr_core_first_epoch(const struct tr_core *c)
{
	return next_epoch(c, NULL, false);
}

static void put_agent(struct admission *m, struct tr_tx *tx)
{
	const struct tr_token_row *token = TR_ROW(&m->core->tokens, m->token);
	const struct tr_agent_row *old = TR_ROW(&m->core->agents, m->existing);
	struct tr_agent_row row = {
		.id = m->a.node_id,
		.partition = old ? old->partition : token ? token->partition : TR_VIEW_LIT("default"),
		.agent_type = old ? old->agent_type : token ? token->agent_type : TR_VIEW_LIT("agent"),
		.state = TR_VIEW_LIT("active"),
		.key_id = m->a.native ? TR_VIEW_ARRAY(m->key_id) : tr_view(NULL, 0),
		.key_type = m->a.device_key_type,
		.spki = m->a.device_spki,
		.form = tr_view_str(m->a.native ? "native" : "original"),
		.verdict = tr_view_str(tr_reason_info(m->tolerated)->slug),
		.tier = tr_view_str(tr_tier_name((enum tr_tier)m->a.tier)),
		.binary_hash = m->a.binary_hash,
		.version = m->a.version,
		.release_name = m->a.release_name,
		.platform = m->a.platform,
		.vouched_by = m->a.vkey_id,
		.token_id = token ? token->id : old ? old->token_id : tr_view(NULL, 0),
		.source = m->req->q.source,
		.enrolled_at = old && !m->reset ? old->enrolled_at : tr_now_ms(),
		.cert_serial = tr_view_str(m->serial),
		.cert_not_after = m->cert_not_after,
		.epoch = next_epoch(m->core, old, m->reset),
	};

	tr_tx_touch(tx, m->existing);
	tr_tx_add(tx, m->existing ? TR_OP_PUT : TR_OP_INSERT, TR_T_AGENT, &row);
	if (m->reset)
		record_reset(m, tx, old, &row);
}

static void put_spent(struct admission *m, struct tr_tx *tx)
{
	int64_t now = tr_now_ms();
	struct tr_seen_row seen = { .digest = m->a.native ? m->a.challenge : m->a.claim_digest,
				    .expires_at = now + 2 * TR_CLAIM_SKEW_MS + TR_CHALLENGE_TTL_MS };

	/* Audit tolerates a claim of any age, so the clock check no longer ends what a recorded one is worth. */
	if (m->tolerated == TR_R_CLOCK_DESYNC)
		seen.expires_at = now + DESYNC_KEPT_MS;
	tr_tx_add(tx, TR_OP_INSERT, TR_T_SEEN, &seen);
	if (m->token && m->spend_token) {
		struct tr_token_row t = *(const struct tr_token_row *)TR_ROW(&m->core->tokens, m->token);

		/* Rows sent before this one commit before it: each carries the count after its own use. */
		t.uses += ++m->token->sent;
		m->token_sent = true;
		tr_tx_touch(tx, m->token);
		tr_tx_add(tx, TR_OP_PUT, TR_T_TOKEN, &t);
	}
	if (m->a.vouched) {
		struct tr_item *k = tr_table_get(&m->core->vkeys, m->a.vkey_id);

		/* Use counts of keys are for people: they may lag, and never race a revocation under way. */
		if (k && k->inflight == 0) {
			struct tr_vkey_row row = *(const struct tr_vkey_row *)TR_ROW(&m->core->vkeys, k);

			row.uses++;
			row.last_used = now;
			tr_tx_touch(tx, k);
			tr_tx_add(tx, TR_OP_PUT, TR_T_VKEY, &row);
		}
	}
}

/* Whatever the verdict rests on may have been taken back while it, or the certificate, was made. A row written from
 * what was true then would bring it back, so all of it is asked again in the round that writes. */
static enum tr_reason judge_again(struct admission *m)
{
	struct tr_core *c = m->core;
	struct tr_item *k = m->a.vouched ? tr_table_get(&c->vkeys, m->a.vkey_id) : NULL;
	const struct tr_vkey_row *key = TR_ROW(&c->vkeys, k);
	const struct tr_token_row *token = TR_ROW(&c->tokens, m->token);
	enum tr_reason reason = judge(m);
	struct tr_policy_view p;

	/* Used up meanwhile: by another node, for here the use is reserved. */
	if (reason == TR_R_OK && m->spend_token &&
	    (!token_usable(m->core, m->token, tr_now_ms()) || token->uses + m->token->sent >= token->max_uses))
		reason = TR_R_TOKEN_INVALID;
	if (reason != TR_R_OK || !k || !(k->ending || tr_view_is(key->state, "revoked")))
		return reason;
	tr_core_policy(c, &p);
	if (p.mode == TR_MODE_ENFORCE)
		return TR_R_KEY_REVOKED;
	m->tolerated = m->tolerated ? m->tolerated : TR_R_KEY_REVOKED;
	return TR_R_OK;
}

static void commit(struct admission *m)
{
	const struct tr_item *was = m->existing;
	enum tr_reason reason = judge_again(m);
	struct tr_tx *tx;

	if (reason != TR_R_OK) {
		refuse(m, reason);
		return;
	}
	if (m->existing != was || (was && was->inflight)) {
		tr_req_refuse(m->req, 503, "busy", "another change of this agent is under way; try again in a second");
		admission_free(m);
		return;
	}
	tx = tr_tx_new(m->core);
	if (tx) {
		put_agent(m, tx);
		put_spent(m, tx);
		record(m, tx, m->tolerated ? "admitted_audit" : "admitted", m->tolerated);
		count(m->core, true, TR_R_OK, tx);
	}
	tr_tx_commit(tx, admitted, m);
}

static void on_issued(void *arg, const void *answer)
{
	struct admission *m = arg;
	const struct tr_msg_issued *i = answer;

	if (!i || i->code) {
		tr_req_refuse(m->req, 503, "certificate_not_issued",
			      "the certificate could not be issued now; try again in a moment");
		admission_free(m);
		return;
	}
	tr_pem_add(&m->cert_pem, "CERTIFICATE", i->der);
	(void)snprintf(m->serial, sizeof(m->serial), "%.*s", TR_VIEW_FMT(i->serial));
	commit(m);
}

static void issue(struct admission *m)
{
	struct tr_core *c = m->core;
	int64_t until = tr_now_ms() + (int64_t)c->cfg->certificate_hours * 3600000;
	struct tr_msg_issue q = { .spki = m->a.device_spki, .agent_id = m->a.node_id, .not_after = until };

	m->cert_not_after = until;
	tr_core_ask(c, c->keys, TR_M_ISSUE, &tr_msg_issue_def, &q, on_issued, m);
}

/* ---- judging ---- */

/* What only core can know: is the challenge ours and fresh, was this claim used, whose is this id, whose is this key. */
static enum tr_reason judge(struct admission *m)
{
	struct tr_core *c = m->core;
	struct tr_item *by_id = tr_table_get(&c->agents, m->a.node_id);
	struct tr_item *by_key = m->a.native ? tr_table_get_alt(&c->agents, TR_VIEW_ARRAY(m->key_id)) : NULL;
	const struct tr_agent_row *row = TR_ROW(&c->agents, by_id);
	const struct tr_agent_row *key_row = TR_ROW(&c->agents, by_key);
	const struct tr_token_row *token = TR_ROW(&c->tokens, m->token);
	/* Its one use has been made: then it is a token like any other, for the agent whose answer was lost. */
	bool may_reset = m->a.native && row && token && token->for_agent.n && tr_view_eq(token->for_agent, row->id) &&
			 !tr_view_eq(row->token_id, token->id);

	m->reset = false;
	if (m->a.native && !tr_challenge_ok(c->challenge_key, tr_now_ms(), m->a.challenge))
		return TR_R_CHALLENGE_INVALID;
	if (tr_table_get(&c->seen, m->a.native ? m->a.challenge : m->a.claim_digest))
		return TR_R_REPLAY;
	if (by_key && key_row && (by_key->ending || !tr_view_is(key_row->state, "active")))
		return TR_R_AGENT_REVOKED;
	if (key_row && by_key != by_id)
		return TR_R_ID_TAKEN; /* this device is enrolled under another id */
	if (!by_id || !row)
		return TR_R_OK;
	if (by_id->ending || !tr_view_is(row->state, "active"))
		return m->a.native && !key_row ? TR_R_ID_TAKEN : TR_R_AGENT_REVOKED;
	/* The key that got out is not made good by a new certificate. */
	if (may_reset && by_key)
		return TR_R_KEY_REFUSED;
	if (may_reset) {
		m->existing = by_id;
		m->reset = tr_view_is(row->form, "native");
		return m->reset ? TR_R_OK : TR_R_ID_TAKEN;
	}
	if (m->a.native ? by_id != by_key : !tr_view_is(row->form, "original"))
		return TR_R_ID_TAKEN;
	m->existing = by_id;
	return TR_R_OK;
}

/* A token with no uses left still lets the very agent back in that it admitted. */
static enum tr_reason judge_token(struct admission *m)
{
	const struct tr_token_row *t = TR_ROW(&m->core->tokens, m->token);
	const struct tr_agent_row *was = TR_ROW(&m->core->agents, m->existing);

	if (!m->token)
		return m->a.native || m->req->q.bearer.n ? TR_R_TOKEN_INVALID : TR_R_OK;
	if (!token_usable(m->core, m->token, tr_now_ms()))
		return TR_R_TOKEN_INVALID;
	if (was && tr_view_eq(was->token_id, t->id) && !m->reset)
		return TR_R_OK;
	if (t->for_agent.n && !m->reset)
		return TR_R_TOKEN_INVALID; /* good for one identity only */
	if (t->uses + m->token->reserved >= t->max_uses)
		return TR_R_TOKEN_INVALID;
	m->token->reserved++;
	m->spend_token = true;
	return TR_R_OK;
}

/* Keeps what the verifier read. False: m is gone, as the request was answered, or goes on as a registration with evidence. */
static bool take_answer(struct admission *m, const struct tr_msg_appraised *a)
{
	struct tr_err err = { 0 };

	if (a && a->evidence) {
		struct tr_core *c = m->core;
		struct tr_req *req = TR_TAKE(m->req);

		admission_free(m);
		tr_attest_begin(c, req);
		return false;
	}
	if (!a) {
		tr_req_no_verifier(m->req);
	} else if (m->req->q.in.n > TR_REGISTRATION_MAX) {
		tr_req_refuse(m->req, 413, "body_too_large", "a registration without evidence has at most 16384 bytes");
	} else {
		tr_record_encode(&tr_msg_appraised_def, a, &m->bytes);
		if (!tr_record_decode(&tr_msg_appraised_def, tr_buf_view(&m->bytes), &m->a, &err))
			return true;
		tr_req_error(m->req, &err);
	}
	admission_free(m);
	return false;
}

static void on_appraised(void *arg, const void *answer)
{
	struct admission *m = arg;
	enum tr_reason reason;

	if (!take_answer(m, answer))
		return;
	tr_metrics_duration(&m->core->metrics, m->a.duration_ns);
	if (m->a.reason >= TR_R_N)
		m->a.reason = TR_R_MALFORMED;
	/* A token that was sent and is wrong is said first: nothing else is worth telling its bearer. */
	if (m->req->q.bearer.n && !m->token) {
		refuse(m, TR_R_TOKEN_INVALID);
		return;
	}
	/* A recorded registration sent again comes on another connection and some time later: call it what it is. */
	if ((m->a.reason == TR_R_CHANNEL_MISMATCH || m->a.reason == TR_R_CLOCK_DESYNC) &&
	    tr_table_get(&m->core->seen, m->a.native ? m->a.challenge : m->a.claim_digest)) {
		refuse(m, TR_R_REPLAY);
		return;
	}
	if (!m->a.admitted || (m->a.native && m->a.device_spki.n == 0) || m->a.node_id.n == 0) {
		refuse(m, m->a.reason ? (enum tr_reason)m->a.reason : TR_R_MALFORMED);
		return;
	}
	m->tolerated = (enum tr_reason)m->a.reason;
	if (m->a.native)
		tr_sha256(m->a.device_spki, m->key_id);
	reason = judge(m);
	if (reason == TR_R_OK)
		reason = judge_token(m);
	if (reason != TR_R_OK) {
		refuse(m, reason);
		return;
	}
	if (m->existing && m->existing->inflight) {
		tr_req_refuse(m->req, 503, "busy", "another change of this agent is under way; try again in a second");
		admission_free(m);
		return;
	}
	if (m->existing && !tr_core_may_write(m->existing, m->req)) {
		admission_free(m);
		return;
	}
	if (m->a.native)
		issue(m);
	else
		commit(m);
}

void tr_api_register(struct tr_core *c, struct tr_req *r)
{
	struct admission *m;
	struct tr_msg_appraise q = { .body = r->q.in, .exporter = r->q.exporter, .now = tr_now_ms() };

	if (c->registrations >= c->cfg->limits->registrations_in_flight || !(m = calloc(1, sizeof(*m)))) {
		tr_req_refuse(r, 503, "busy", "too many registrations at once; try again in a few seconds");
		return;
	}
	c->registrations++;
	m->core = c;
	m->req = tr_req_keep(r);
	if (!m->req) {
		admission_free(m);
		return;
	}
	m->token = tr_table_get_alt(&c->tokens, r->q.bearer);
	tr_core_ask(c, c->appraise, TR_M_APPRAISE, &tr_msg_appraise_def, &q, on_appraised, m);
}

void tr_api_challenge(struct tr_core *c, struct tr_req *r)
{
	uint8_t challenge[TR_CHALLENGE_LEN];
	int64_t now = tr_now_ms();
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_challenge_make(c->challenge_key, now, challenge);
	tr_buf_adds(&b, "{\"challenge\":\"");
	tr_b64_add(&b, TR_VIEW_ARRAY(challenge), TR_B64_STD);
	tr_buf_adds(&b, "\",\"expires_at\":\"");
	tr_rfc3339_add(&b, now + TR_CHALLENGE_TTL_MS);
	tr_buf_adds(&b, "\",\"server_time\":\"");
	tr_rfc3339_add(&b, now);
	tr_buf_adds(&b, "\"}");
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}
