/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats: memory only on this path; counters reach the rows by the sweep. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "signed/beat.h"

/* An agent that names another hash in each heartbeat must not fill the disk. */
#define CHANGE_RECORD_MS 60000
#define WRITE_STEP_MS 2000u
#define WRITE_BURST 30u

struct tr_item *tr_core_agent_of(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get(&c->agents, r->q.agent_id);
	const struct tr_agent_row *row = i ? i->row : NULL;

	if (!row) {
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
	if (!tr_view_eq(row->key_id, r->q.key_id)) {
		tr_req_refuse(r, 401, "key_mismatch",
			      "the certificate's key is not the one this agent is enrolled with; enrol again");
		return NULL;
	}
	(void)snprintf(r->actor, sizeof(r->actor), "agent:%.*s", TR_VIEW_FMT(row->id));
	return i;
}

bool tr_core_may_write(struct tr_item *i, struct tr_req *r)
{
	uint64_t now = tr_mono_ms();
	uint64_t next = (i->live.writes_until_ms > now ? i->live.writes_until_ms : now) + WRITE_STEP_MS;

	if (next - now > WRITE_BURST * WRITE_STEP_MS) {
		tr_req_problem(r, &(struct tr_problem){ .status = 429, .slug = "rate_limited",
							.title = tr_http_status_title(429),
							.detail = "too many requests of this agent; wait as Retry-After says",
							.retry_after_s = WRITE_STEP_MS / 1000 });
		return false;
	}
	i->live.writes_until_ms = next;
	return true;
}

static void change_recorded(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_ERROR, "binary_change_not_recorded", "why", why, NULL);
}

/* Another image runs than at admission: recorded at once, but once a minute. The verdict and the alert belong to the
 * pulse. */
static void binary_changed(struct tr_core *c, struct tr_req *r, struct tr_item *i, const struct tr_beat *beat,
			   int64_t now)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	struct tr_tx *tx;

	c->metrics.binary_changes++;
	if (now >= i->live.change_recorded && now - i->live.change_recorded < CHANGE_RECORD_MS) {
		i->live.changes++;
		return;
	}
	i->live.change_recorded = now;
	tx = tr_tx_new(c);
	tr_log(TR_LOG_WARN, "binary_changed", "agent", tr_fmt_view(r->q.agent_id), NULL);
	tr_buf_adds(&d, "{\"admitted\":\"");
	tr_hex_add(&d, ((const struct tr_agent_row *)i->row)->binary_hash);
	tr_buf_adds(&d, "\",\"running\":\"");
	tr_hex_add(&d, beat->hash);
	tr_buf_addf(&d, "\",\"unrecorded\":%llu}", (unsigned long long)i->live.changes);
	i->live.changes = 0;
	if (tx)
		tr_audit(tx, r->actor, "agent.binary_changed", r->q.agent_id, "noted", "", r->q.source, tr_buf_view(&d));
	tr_tx_commit(tx, change_recorded, NULL);
}

void tr_api_heartbeat(struct tr_core *c, struct tr_req *r)
{
	struct tr_beat beat;
	struct tr_err err = { 0 };
	struct tr_item *i = tr_core_agent_of(c, r);
	const struct tr_agent_row *row;
	struct tr_beat_answer a = { .interval_s = c->cfg->heartbeat_seconds, .server_time_ns = tr_now_ns() };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int64_t now = a.server_time_ns / 1000000;

	if (!i) {
		c->metrics.heartbeats_refused++;
		return;
	}
	row = i->row;
	if (tr_record_decode(&tr_beat_def, r->q.in, &beat, &err)) {
		tr_req_error(r, &err);
		return;
	}
	/* Within one process of the agent the sequence only rises: an older one is a repeat and changes nothing. */
	if (i->live.seen && memcmp(i->live.start_id, beat.start_id.p, 16) == 0 && beat.seq <= i->live.seq) {
		c->metrics.heartbeats_refused++;
		tr_req_refuse(r, 409, "replay", "this heartbeat was received before; send the next one");
		return;
	}
	if (memcmp(i->live.running_hash, beat.hash.p, 32) != 0) {
		memcpy(i->live.running_hash, beat.hash.p, 32);
		if (!tr_view_eq(row->binary_hash, beat.hash))
			binary_changed(c, r, i, &beat, now);
	}
	memcpy(i->live.start_id, beat.start_id.p, 16);
	(void)snprintf(i->live.running_version, sizeof(i->live.running_version), "%.*s", TR_VIEW_FMT(beat.version));
	i->live.seq = beat.seq;
	i->live.seen = true;
	i->live.dirty = true;
	i->live.last_seen = now;
	i->live.skew_ms = beat.time_ns / 1000000 - now;
	i->live.heartbeats++;
	c->metrics.heartbeats++;
	/* Agents renew by themselves around half-life, each at its own moment; this reminds the one that has not. */
	a.renew = r->q.cert_not_after - now < (r->q.cert_not_after - r->q.cert_not_before) * 2 / 5;
	tr_beat_answer_put(&a, &b);
	tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&b));
}

static void swept(void *arg, enum tr_code rc, const char *why)
{
	(void)arg;
	if (rc)
		tr_log(TR_LOG_ERROR, "sweep_failed", "why", why, NULL);
}

/* Rows that a transaction is changing are left for the next round: their new content is not ours to overwrite. The other
 * way round nobody waits for a sweep: what is sent after it has the same live values in it. */
void tr_core_sweep(struct tr_core *c, size_t at_most)
{
	struct tr_tx *tx = NULL;
	size_t done = 0;

	for (size_t k = 0; k < c->agents.n && done < at_most; k++) {
		struct tr_item *i = c->agents.by_key[(c->sweep_at + k) % c->agents.n];
		struct tr_agent_row row = tr_agent_now(i);

		if (!i->live.dirty || i->inflight || i->ending)
			continue;
		if (!tx && !(tx = tr_tx_new(c)))
			return;
		i->live.dirty = false;
		tr_tx_add(tx, TR_OP_PUT, TR_T_AGENT, &row);
		if (++done % 256 == 0) {
			tr_tx_commit(tx, swept, NULL);
			tx = NULL;
		}
	}
	c->sweep_at += done;
	if (c->seen.n) {
		struct tr_seen_row row = { .digest = TR_VIEW_LIT(""), .expires_at = tr_now_ms() };
		bool old = false;

		for (size_t k = c->seen.n; k-- > 0;) {
			const struct tr_seen_row *s = c->seen.by_key[k]->row;

			if (s->expires_at >= row.expires_at)
				continue;
			old = true;
			tr_table_del(&c->seen, s->digest);
		}
		if (old && (tx || (tx = tr_tx_new(c))))
			tr_tx_add(tx, TR_OP_EXPIRE, TR_T_SEEN, &row);
	}
	if (tx)
		tr_tx_commit(tx, swept, NULL);
}
