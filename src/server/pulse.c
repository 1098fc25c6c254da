/* SPDX-License-Identifier: Apache-2.0 */
/* Pulses: whose is it, then the fleet's judgement, then the answer. Memory only on this path; what a pulse changes
 * reaches the store by the sweep, what it proves by the effects. */
#include "server/core.h"
#include "server/deliver.h"
#include "server/hub.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "server/pulse_read.h"

#define WRITE_STEP_MS 2000u
#define WRITE_BURST 30u
#define FRONT_DELAY_MAX_NS INT64_C(3000000000)

static bool key_matches(const struct tr_agent_row *row, struct tr_req *r)
{
	r->next_key = false;
	if (row->key_id.n == 32 && tr_view_eq(row->key_id, r->q.key_id))
		return true;
	r->next_key = row->next_key_id.n == 32 && row->next_until > tr_now_ms() && tr_view_eq(row->next_key_id, r->q.key_id);
	return r->next_key;
}

static void set_actor(struct tr_req *r)
{
	(void)snprintf(r->actor, sizeof(r->actor), "agent:%.*s", TR_VIEW_FMT(r->q.agent_id));
}

/* What nearly every pulse is, known without unpacking a row: an active agent that speaks by its key. */
static bool is_usual(const struct tr_core *c, const struct tr_item *i, struct tr_req *r)
{
	const struct tr_fleet_agent *a;

	if (!i || i->ending)
		return false;
	tr_fleet_soon(c->fleet, i->no, false);
	set_actor(r); /* while memory fetches */
	if (r->q.key_id.n != 32 || !tr_view_eq(tr_item_alt(i), r->q.key_id))
		return false;
	a = tr_fleet_agent(c->fleet, i->no);
	r->next_key = false;
	return a && a->active;
}

struct tr_item *tr_core_agent_of(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get(&c->agents, r->q.agent_id);
	const struct tr_agent_row *row;

	if (is_usual(c, i, r))
		return i;
	row = TR_ROW(&c->agents, i);
	if (!row) {
		if (tr_core_doubts(c, r))
			return NULL;
		tr_req_refuse(r, 401, "agent_unknown",
			      "the certificate is good but this server does not know the agent; enrol again");
		return NULL;
	}
	if (i->ending || !tr_view_is(row->state, "active")) {
		tr_req_refuse(r, 403, "agent_revoked",
			      "an operator has revoked or removed this agent; ask for a new registration token and enrol under a new id");
		return NULL;
	}
	/* The pulse's key is the certificate's key is the enrolled key: a certificate of an earlier key is worthless. */
	if (!key_matches(row, r)) {
		if (tr_core_doubts(c, r))
			return NULL;
		tr_req_refuse(r, 401, "key_mismatch",
			      "the certificate's key is not the one this agent is enrolled with; enrol again");
		return NULL;
	}
	set_actor(r);
	return i;
}

bool tr_core_may_write(struct tr_item *i, struct tr_req *r)
{
	if (tr_pace_allow(r->core->writes, i->no, tr_mono_ms(), WRITE_STEP_MS, WRITE_BURST))
		return true;
	tr_req_problem(r, &(struct tr_problem){ .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
						.detail = "too many requests of this agent; wait as Retry-After says",
						.retry_after_s = WRITE_STEP_MS / 1000 });
	return false;
}

/* ---- refused ---- */

/* Only what front can see: everything else is concluded here, and no front may say it in our name. */
static enum tr_event_kind kind_of(uint64_t outcome)
{
	static const enum tr_event_kind fronts_own[] = { TR_EV_BAD_SIGNATURE, TR_EV_WRONG_AGENT, TR_EV_RELAYED };

	for (size_t i = 0; i < TR_ARRAY_LEN(fronts_own); i++)
		if (outcome == (uint64_t)fronts_own[i] + 1)
			return fronts_own[i];
	return TR_EV_MALFORMED;
}

static void refused_by_front(struct tr_core *c, struct tr_req *r, const struct tr_msg_pulse *m)
{
	enum tr_event_kind kind = kind_of(m->outcome);
	struct tr_view whom = m->named.n ? m->named : m->agent_id;
	const struct tr_item *i = tr_table_get(&c->agents, whom);
	struct tr_instant now = tr_core_now(c);
	struct tr_problem p = tr_pulse_refusal(kind);

	tr_metrics_refused(&c->metrics, p.slug);
	tr_fleet_refused(c->fleet, &now, kind, i ? i->no : TR_NO_AGENT, whom, m->source, m->raw);
	tr_req_problem(r, &p);
}

/* ---- the key changes ---- */

static void switched(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_item *i = r->about;
	const struct tr_event ev = { .kind = TR_EV_KEY_RENEWED, .agent = i->no, .agent_id = r->q.agent_id,
				     .source = r->q.source, .severity = 5 };

	/* The old key stays good, and the next pulse under the new one tries again. */
	if (rc) {
		tr_log(TR_LOG_ERROR, "key_change_not_stored", "agent", tr_fmt_view(r->q.agent_id), "why", why, NULL);
		return;
	}
	tr_log(TR_LOG_INFO, "key_renewed", "agent", tr_fmt_view(r->q.agent_id), NULL);
	tr_effects_event(r->core->effects, &ev);
}

/* The agent speaks under its next key: from now on it is the only one. */
static void switch_key(struct tr_core *c, struct tr_req *r, struct tr_item *i)
{
	struct tr_agent_row row = *(const struct tr_agent_row *)TR_ROW(&c->agents, i);
	const struct tr_item *other = tr_table_get_alt(&c->agents, row.next_key_id);
	struct tr_req *kept;
	struct tr_tx *tx;

	if (i->inflight || i->ending || !c->store_ok || (other && other != i))
		return;
	kept = tr_req_keep(r);
	if (!kept)
		return;
	kept->about = i; /* agents are never deleted */
	row.key_id = row.next_key_id;
	row.key_type = row.next_key_type;
	row.spki = row.next_spki;
	row.next_key_id = row.next_key_type = row.next_spki = tr_view(NULL, 0);
	row.next_until = 0;
	row.cert_not_after = r->q.cert_not_after;
	tx = tr_tx_new(c);
	tr_tx_touch(tx, i);
	tr_tx_add(tx, TR_OP_PUT, TR_T_AGENT, &row);
	tr_tx_commit(tx, switched, kept);
}

/* ---- accepted, or asked for once more ---- */

static void answer(struct tr_core *c, struct tr_req *r, const struct tr_item *i, struct tr_pulse_answer *a,
		   const struct tr_instant *now)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	a->pending = tr_deliver_pending(c, i, now);
	a->wait_s = tr_deliver_wait_s(c, i);
	a->revocation = c->hub->revocations;
	/* Agents renew by themselves around half-life, each at its own moment; this reminds the one that has not. */
	a->renew = r->q.cert_not_after - now->wall_ns / 1000000 < (r->q.cert_not_after - r->q.cert_not_before) * 2 / 5;
	tr_pulse_answer_put(a, &b);
	tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&b));
}

/* When front had read it, if that can be: agents' clocks are judged by this, and a front that lies about the time would
 * have them all be wrong. */
static int64_t received(int64_t fronts_ns, int64_t now_ns)
{
	return fronts_ns <= now_ns && now_ns - fronts_ns <= FRONT_DELAY_MAX_NS ? fronts_ns : now_ns;
}

/* Agents renew at half-life; one that has a fifth left tries in vain, and will be shut out without a word. */
static void watch_certificate(struct tr_core *c, const struct tr_req *r, struct tr_item *i, const struct tr_instant *now)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	int64_t left = r->q.cert_not_after - now->wall_ns / 1000000;
	bool late = left < (r->q.cert_not_after - r->q.cert_not_before) / 5;
	char text[120];
	struct tr_alert what = { .kind = "certificate_expiring",
				 .subject = tr_view_str(tr_fmt("agent:%.*s", TR_VIEW_FMT(r->q.agent_id))) };

	if (late == i->cert_late && i->cert_seen)
		return;
	i->cert_late = late;
	i->cert_seen = true;
	if (!late) {
		tr_alerts_resolve(alerts, now->ms, what.kind, what.subject, "it speaks under a fresh certificate");
	} else if (!tr_alerts_find(alerts, what.kind, what.subject)) {
		(void)snprintf(text, sizeof(text), "its certificate ends in %lld minutes and it has not renewed it",
			       (long long)(left / 60000));
		what.summary = tr_view_str(text);
		tr_alerts_raise(alerts, now->ms, &what);
	}
}

static void judge(struct tr_core *c, struct tr_req *r, struct tr_item *i, const struct tr_msg_pulse *m,
		  const struct tr_pulse *p, const struct tr_instant *now)
{
	const struct tr_pulse_seen seen = { .pulse = p, .digest = m->digest.p, .raw = m->raw, .source = m->source,
					    .received_ns = received(m->received_ns, now->wall_ns) };
	struct tr_pulse_result res;

	tr_fleet_pulse(c->fleet, now, i->no, &seen, &res);
	if (res.status == 200) {
		answer(c, r, i, &res.answer, now);
	} else {
		tr_metrics_refused(&c->metrics, res.code);
		tr_req_refuse(r, res.status, res.code, res.detail);
	}
	tr_core_recheck(c, r, i, m, p, &res);
	if (!res.accepted)
		return;
	c->metrics.pulses++;
	watch_certificate(c, r, i, now);
	if (r->next_key)
		switch_key(c, r, i);
}

void tr_core_pulse(struct tr_core *c, struct tr_req *r, const struct tr_msg_pulse *m)
{
	struct tr_item *i;
	struct tr_pulse p;
	struct tr_instant now;
	struct tr_err err = { 0 };
	bool sound;

	if (m->outcome) {
		refused_by_front(c, r, m);
		return;
	}
	/* Reading the pulse first hides the way to the agent's place in memory. */
	tr_table_soon(&c->agents, r->q.agent_id);
	sound = m->digest.n == 32 && !tr_pulse_decode(m->pulse, &p, &err) && tr_view_eq(p.agent_id, r->q.agent_id);
	now = tr_core_now(c);
	i = tr_core_agent_of(c, r);
	if (!i) {
		const struct tr_agent_row *row;

		if (r->doubted) {
			tr_metrics_refused(&c->metrics, "busy");
			return;
		}

		i = tr_table_get(&c->agents, r->q.agent_id);
		row = TR_ROW(&c->agents, i);

		tr_metrics_refused(&c->metrics, !row ? "agent_unknown"
						: i->ending || !tr_view_is(row->state, "active") ? "agent_revoked"
												 : "key_mismatch");
		/* A renewal to a key of their own must not be the way to shut an agent out without a fork being seen. */
		if (sound && row && !i->ending && row->key_id.n == 32)
			tr_fleet_old_key(c->fleet, &now, i->no, m->source, m->raw);
		return;
	}
	tr_fleet_soon(c->fleet, i->no, true);
	if (!sound) {
		tr_log_err(TR_LOG_ERROR, "front_sent_nonsense", &err, NULL);
		tr_req_refuse(r, 500, "internal", "the server could not read its own message; see its log");
		return;
	}
	judge(c, r, i, m, &p, &now);
}
