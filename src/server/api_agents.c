/* SPDX-License-Identifier: Apache-2.0 */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

const char *tr_agent_reach(const struct tr_core *c, const struct tr_item *i, int64_t now_ms)
{
	const struct tr_agent_row *row = i->row;
	int64_t interval = (int64_t)c->cfg->heartbeat_seconds * 1000;

	if (i->ending || !tr_view_is(row->state, "active"))
		return "ended";
	if (i->live.last_seen == 0)
		return "never";
	return now_ms - i->live.last_seen <= interval * 5 / 2 ? "live" : "silent";
}

struct tr_agent_row tr_agent_now(const struct tr_item *i)
{
	return *(const struct tr_agent_row *)i->row;
}

/* The row's JSON and two members that are computed. */
void tr_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b)
{
	struct tr_agent_row row = tr_agent_now(i);
	size_t start = b->n;

	tr_record_to_json(&tr_agent_def, &row, b);
	if (b->failed || b->n <= start)
		return;
	b->n--; /* the closing brace: more members follow */
	tr_buf_addf(b, ",\"reachability\":\"%s\",\"heartbeats\":%llu,\"binary_unchanged\":%s,\"clock_skew_ms\":%lld}",
		    tr_agent_reach(c, i, tr_now_ms()), (unsigned long long)i->live.heartbeats,
		    !i->live.last_seen							    ? "null"
		    : tr_view_eq(TR_VIEW_ARRAY(i->live.running_hash), row.binary_hash) ? "true"
										       : "false",
		    (long long)i->live.skew_ms);
}

void tr_api_agent_list(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_agents in;
	struct tr_err err = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	size_t shown = 0, limit, k;
	struct tr_view last = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	limit = in.limit && in.limit <= 500 ? (size_t)in.limit : 100;
	tr_buf_adds(&b, "{\"agents\":[");
	for (k = tr_table_after(&c->agents, in.cursor); k < c->agents.n && shown < limit; k++) {
		const struct tr_item *i = c->agents.by_key[k];
		const struct tr_agent_row *row = i->row;

		if ((in.state.n && !tr_view_eq(in.state, row->state)) ||
		    (in.partition.n && !tr_view_eq(in.partition, row->partition)))
			continue;
		if (shown++)
			tr_buf_adds(&b, ",");
		tr_agent_json(c, i, &b);
		last = row->id;
	}
	tr_buf_adds(&b, "],\"next_cursor\":");
	tr_json_put_str(&b, k < c->agents.n ? last : tr_view(NULL, 0));
	tr_buf_addf(&b, ",\"total\":%zu}", c->agents.n);
	if (tr_buf_check(&b, &err)) {
		tr_req_error(r, &err);
		return;
	}
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

static struct tr_item *named(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get(&c->agents, r->q.arg);

	if (!i)
		tr_req_refuse(r, 404, "agent_not_found", "no agent of this id; see troth agent list");
	return i;
}

void tr_api_agent_get(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = named(c, r);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!i)
		return;
	tr_agent_json(c, i, &b);
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

static void on_ended(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	r->about->ending = false; /* the row itself says it now, or the revocation failed and must not look done */
	if (rc) {
		tr_req_refuse(r, 503, "store_unavailable", why);
		return;
	}
	tr_log(TR_LOG_WARN, "agent_ended", "agent", tr_fmt_view(r->q.arg), "by", r->actor, NULL);
	tr_agent_json(r->core, r->about, &b);
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

/* Revoked and removed differ only in what lists show: the id and the key are spent either way. */
static void end_agent(struct tr_core *c, struct tr_req *r, const char *state, const char *action)
{
	struct tr_item *i = named(c, r);
	struct tr_in_reason in = { 0 };
	struct tr_agent_row row;
	struct tr_req *kept;
	struct tr_tx *tx;
	struct tr_err err = { 0 };

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	row = tr_agent_now(i);
	if (tr_view_is(row.state, state) || tr_view_is(row.state, "removed")) {
		tr_req_refuse(r, 409, "already_ended", "this agent is revoked or removed already");
		return;
	}
	/* Rows of this agent that are on their way commit before this one, which has the last word: an agent that keeps
	 * itself busy does not put its end off. */
	if (i->ending) {
		tr_req_refuse(r, 503, "busy", "another change of this agent is under way; try again in a second");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	kept->about = i; /* agents are never deleted */
	tx = tr_tx_new(c);
	row.state = tr_view_str(state);
	row.ended_at = tr_now_ms();
	row.end_reason = in.reason;
	tr_tx_touch(tx, i);
	i->ending = true; /* from this moment, whatever the disk is doing */
	tr_tx_add(tx, TR_OP_PUT, TR_T_AGENT, &row);
	tr_audit(tx, r->actor, action, row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit(tx, on_ended, kept);
}

void tr_api_agent_revoke(struct tr_core *c, struct tr_req *r)
{
	end_agent(c, r, "revoked", "agent.revoke");
}

void tr_api_agent_remove(struct tr_core *c, struct tr_req *r)
{
	end_agent(c, r, "removed", "agent.remove");
}
