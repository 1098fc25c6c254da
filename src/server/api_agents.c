/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of agents: the stored row, and what the pulses say (src/fleet). */
#include "server/attest.h"
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/release_bpf.h"

#define LIST_MAX 500u
/* A filter that matches little must not keep everybody else waiting: so many rows are looked at per request, and the
 * cursor tells where to go on. */
#define LIST_LOOKED_AT 50000u

#define F(m, type, max) TR_FIELD(tr_agent_row, m, TR_F_##type, max, 0)
#define AS(name, m, type, max) { name, TR_F_##type, offsetof(struct tr_agent_row, m), max, 0 }

/* The row as people see it. `verdict`, `version` and `source` are the pulses' words there, so the admission's go by
 * other names. */
static const struct tr_field shown_fields[] = {
	F(id, IDENT, 64), F(partition, IDENT, 64), F(agent_type, IDENT, 64), F(state, IDENT, 16), F(epoch, U64, 0),
	F(key_id, HEX, 32), F(key_type, TEXT, 16), F(form, IDENT, 16), AS("admission", verdict, TEXT, 32),
	F(binary_hash, HEX, 32), AS("admitted_version", version, TEXT, 64), F(release_name, TEXT, 64), F(platform, TEXT, 64),
	F(vouched_by, HEX, 32), F(token_id, TEXT, 16), AS("enrolled_from", source, TEXT, 64), F(enrolled_at, TIME_MS, 0),
	F(cert_serial, TEXT, 64), F(cert_not_after, TIME_MS, 0), F(next_key_id, HEX, 32), F(next_key_type, TEXT, 16),
	F(next_until, TIME_MS, 0), F(ended_at, TIME_MS, 0), F(end_reason, TEXT, 256),
};
static const struct tr_field brief_fields[] = {
	F(id, IDENT, 64), F(partition, IDENT, 64), F(agent_type, IDENT, 64), F(state, IDENT, 16),
};
static TR_RECORD(shown_def, tr_agent_row, shown_fields);
static TR_RECORD(brief_def, tr_agent_row, brief_fields);

static bool is_active(const struct tr_item *i, const struct tr_agent_row *row)
{
	return !i->ending && tr_view_is(row->state, "active");
}

/* The verdict, and the axes it is folded from, as of now. */
static enum tr_verdict put_axes(const struct tr_core *c, const struct tr_item *i, const struct tr_agent_row *row,
				const struct tr_fleet_agent *a, struct tr_buf *b)
{
	static const char *const names[] = { "reachability", "authenticity", "clock", "integrity", "config", "updating" };
	struct tr_instant now = tr_core_now(c);
	struct tr_axes x = { 0 };
	enum tr_verdict v = a ? tr_fleet_verdict(c->fleet, &now, i->no, &x) : TR_V_PENDING;

	if (!is_active(i, row))
		v = TR_V_REVOKED;
	tr_json_member_str(b, "verdict", tr_view_str(tr_verdict_name(v)));
	tr_buf_addf(b, ",\"security\":%s", tr_verdict_is_security(v) ? "true" : "false");
	tr_json_member_str(b, names[0], tr_view_str(is_active(i, row) ? tr_reach_name(x.reach) : "ended"));
	tr_json_member_str(b, names[1], tr_view_str(tr_authenticity_name(is_active(i, row) ? x.auth : TR_AUTH_REVOKED)));
	tr_json_member_str(b, names[2], tr_view_str(tr_clock_name(x.clock)));
	tr_json_member_str(b, names[3], tr_view_str(tr_integrity_name(x.integrity)));
	tr_json_member_str(b, names[4], tr_view_str(tr_config_state_name(x.config)));
	tr_json_member_str(b, names[5], tr_view_str(tr_updating_name(x.updating)));
	tr_buf_adds(b, ",\"since\":{");
	for (size_t k = 0; k < TR_ARRAY_LEN(names); k++) {
		tr_buf_addf(b, "%s\"%s\":", k ? "," : "", names[k]);
		tr_json_put_time(b, a ? (int64_t)a->since[k] * 1000 : 0);
	}
	tr_buf_adds(b, "}");
	return v;
}

static void put_health(const struct tr_fleet_agent *a, struct tr_buf *b)
{
	tr_buf_addf(b,
		    ",\"health\":{\"load_milli\":%u,\"mem_total_mib\":%u,\"mem_free_mib\":%u,\"disk_total_mib\":%u,"
		    "\"disk_free_mib\":%u,\"uptime_s\":%u,\"agent_rss_kib\":%u,\"agent_cpu_ms\":%u}",
		    a->health.load_milli, a->health.mem_total_mib, a->health.mem_free_mib,
		    a->health.disk_total_mib, a->health.disk_free_mib, a->health.uptime_s, a->health.agent_rss_kib,
		    a->health.agent_cpu_ms);
}

static void put_pulses(const struct tr_core *c, const struct tr_fleet_agent *a, struct tr_buf *b)
{
	struct tr_view running = tr_fleet_value(c->fleet, a->running), good = tr_fleet_value(c->fleet, a->good);

	tr_json_member_time(b, "last_seen", a->wall_good_ms);
	tr_buf_addf(b,
		    ",\"heartbeats\":%llu,\"restarts\":%u,\"interval_s\":%u,\"skew_ms\":%d,\"rtt_ms\":%u,\"loss_ppm\":%u",
		    (unsigned long long)a->accepted, a->restarts, a->interval_s, a->skew_ms, a->rtt_ms, a->loss_ppm);
	tr_json_member_hex(b, "running_hash", running);
	tr_json_member_hex(b, "good_hash", good);
	tr_buf_addf(b, ",\"binary_unchanged\":%s", !running.n ? "null" : tr_view_eq(running, good) ? "true" : "false");
	tr_json_member_str(b, "bpf_status", tr_view_str(tr_bpf_status_name((enum tr_bpf_status)a->bpf_status)));
	tr_json_member_str(b, "lsm", tr_view_str(tr_lsm_name((enum tr_lsm)a->lsm)));
	put_health(a, b);
}

/* Members that come from the pulses; b ends with the row's last member. */
static void put_live(const struct tr_core *c, const struct tr_item *i, const struct tr_agent_row *row, struct tr_buf *b)
{
	static const struct tr_fleet_agent none = { 0 };
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, i->no);
	struct tr_view version = a ? tr_fleet_value(c->fleet, a->version) : tr_view(NULL, 0);
	struct tr_view source = a ? tr_fleet_value(c->fleet, a->source) : tr_view(NULL, 0);

	(void)put_axes(c, i, row, a, b);
	tr_json_member_str(b, "version", version.n ? version : row->version);
	tr_json_member_str(b, "source", source.n ? source : row->source);
	tr_json_member_str(b, "tier", row->tier);
	put_pulses(c, a ? a : &none, b);
}

static bool open_row(const struct tr_record *def, const struct tr_agent_row *row, struct tr_buf *b)
{
	size_t start = b->n;

	tr_record_to_json(def, row, b);
	if (b->failed || b->n <= start)
		return false;
	b->n--; /* the closing brace: more members follow */
	return true;
}

void tr_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b)
{
	struct tr_agent_row row = tr_agent_now(c, i);
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, i->no);
	struct tr_instant now = tr_core_now(c);

	if (!open_row(&shown_def, &row, b))
		return;
	put_live(c, i, &row, b);
	tr_json_member_str(b, "attestation_state", tr_view_str(tr_attested_state(c, row.id)));
	tr_buf_adds(b, ",\"attestation\":");
	tr_attested_json(c, row.id, b);
	tr_buf_addf(b, ",\"in_maintenance\":%s", tr_maintenance_covers(c, &row) ? "true" : "false");
	tr_orders_agent_json(c, i, b);
	if (a) {
		tr_json_member_hex(b, "expected_hash", tr_fleet_value(c->fleet, a->expected));
		tr_json_member_time(b, "expected_until", (int64_t)a->expected_until_s * 1000);
		tr_json_member_time(b, "notice_until", (int64_t)a->notice_until_s * 1000);
		tr_json_member_str(b, "notice", tr_view_str(tr_notice_name((enum tr_notice)a->notice)));
		tr_json_member_str(b, "clock_sync", tr_view_str(tr_sync_name((enum tr_sync)a->sync)));
		tr_buf_addf(b, ",\"bootcount\":%u,\"lost_after_s\":%u", a->bootcount, tr_fleet_lost_after_s(c->fleet, i->no));
		if (a->findings && a->findings->n) {
			tr_buf_adds(b, ",\"findings\":");
			tr_buf_addv(b, tr_buf_view(a->findings));
		}
		tr_buf_adds(b, ",\"checks\":");
		tr_fleet_explain(c->fleet, &now, i->no, b);
		tr_orders_check_json(c, i, b);
	}
	tr_buf_adds(b, "}");
}

/* ---- lists ---- */

struct wanted {
	struct tr_in_agents in;
	enum tr_verdict verdict; /* TR_V_N: any */
	unsigned reach;          /* TR_REACH_N: any */
};

static bool read_filters(struct tr_req *r, struct wanted *w)
{
	struct tr_err err = { 0 };

	if (tr_req_in(r, &w->in, &err)) {
		tr_req_error(r, &err);
		return false;
	}
	w->verdict = w->in.verdict.n ? 0 : TR_V_N;
	while (w->verdict < TR_V_N && !tr_view_is(w->in.verdict, tr_verdict_name(w->verdict)))
		w->verdict++;
	w->reach = w->in.reach.n ? 0 : TR_REACH_N;
	while (w->reach < TR_REACH_N && !tr_view_is(w->in.reach, tr_reach_name((enum tr_reach)w->reach)))
		w->reach++;
	if ((w->in.verdict.n && w->verdict == TR_V_N) || (w->in.reach.n && w->reach == TR_REACH_N)) {
		tr_req_refuse(r, 400, "out_of_range",
			      "no such verdict or reach; see the words in troth agent list --help and docs/operations.md");
		return false;
	}
	return true;
}

static bool matches(const struct tr_core *c, const struct wanted *w, const struct tr_instant *now, const struct tr_item *i,
		    const struct tr_agent_row *row)
{
	struct tr_axes x = { 0 };
	enum tr_verdict v;

	if ((w->in.state.n && !tr_view_eq(w->in.state, row->state)) ||
	    (w->in.partition.n && !tr_view_eq(w->in.partition, row->partition)))
		return false;
	if (w->verdict == TR_V_N && w->reach == TR_REACH_N)
		return true;
	v = tr_fleet_agent(c->fleet, i->no) ? tr_fleet_verdict(c->fleet, now, i->no, &x) : TR_V_PENDING;
	if (!is_active(i, row))
		return w->verdict == TR_V_REVOKED && w->reach == TR_REACH_N;
	return (w->verdict == TR_V_N || w->verdict == v) && (w->reach == TR_REACH_N || w->reach == x.reach);
}

void tr_api_agent_list(struct tr_core *c, struct tr_req *r)
{
	struct wanted w;
	struct tr_err err = { 0 };
	struct tr_instant now = tr_core_now(c);
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	size_t shown = 0, looked = 0, limit, k;
	char last[TR_IDENT_MAX + 1] = "";

	if (!read_filters(r, &w))
		return;
	limit = w.in.limit && w.in.limit <= LIST_MAX ? (size_t)w.in.limit : 100;
	tr_buf_adds(&b, "{\"agents\":[");
	for (k = tr_table_after(&c->agents, w.in.cursor); k < c->agents.n && shown < limit && looked < LIST_LOOKED_AT; k++) {
		const struct tr_item *i = tr_table_at(&c->agents, k);
		struct tr_agent_row row = tr_agent_now(c, i);

		looked++;
		(void)snprintf(last, sizeof(last), "%.*s", TR_VIEW_FMT(row.id));
		if (!matches(c, &w, &now, i, &row))
			continue;
		if (shown++)
			tr_buf_adds(&b, ",");
		if (open_row(&brief_def, &row, &b)) {
			put_live(c, i, &row, &b);
			tr_buf_addf(&b, ",\"attestation_state\":\"%s\"}", tr_attested_state(c, row.id));
		}
	}
	tr_buf_adds(&b, "],\"next_cursor\":");
	tr_json_put_str(&b, k < c->agents.n ? tr_view_str(last) : tr_view(NULL, 0));
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

struct tr_item *tr_agent_named_active(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = named(c, r);
	struct tr_agent_row row;

	if (!i)
		return NULL;
	row = tr_agent_now(c, i);
	if (is_active(i, &row))
		return i;
	tr_req_refuse(r, 409, "already_ended",
		      "this agent was revoked or removed and stays out; enrol its host under a new id");
	return NULL;
}

void tr_api_agent_get(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = named(c, r);
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };

	if (!i)
		return;
	tr_agent_json(c, i, &b);
	tr_req_answer_json(r, &b);
}

/* ---- the BPF list ---- */

static const char *name_of(const char *const *names, size_t n, uint64_t v)
{
	return v < n && names[v] ? names[v] : "unknown";
}

static void put_bpf_item(const struct tr_bpf_item *p, struct tr_view released, struct tr_buf *b)
{
	struct tr_release_bpf r;
	static const char *const kinds[] = { NULL, "program", "map", "link" };
	static const char *const attach[] = { "unknown", "attached", "detached" };
	static const char *const norms[] = { "ok", "hardened", "hidden", "none" };

	tr_buf_adds(b, "{\"pin\":");
	tr_json_put_str(b, p->pin);
	tr_json_member_str(b, "name", p->name);
	tr_json_member_str(b, "kind", tr_view_str(name_of(kinds, TR_ARRAY_LEN(kinds), p->kind)));
	/* What is above 32 bits is the fleet's mark for "of an earlier boot" (fleet/bpf_compare.h). */
	tr_buf_addf(b, ",\"type\":%llu,\"id\":%u,\"prog_id\":%u", (unsigned long long)p->type, (uint32_t)p->id,
		    (uint32_t)p->prog_id);
	tr_json_member_str(b, "attach", tr_view_str(p->kind == TR_BPF_MAP ? "" : name_of(attach, TR_ARRAY_LEN(attach), p->attach)));
	tr_json_member_hex(b, "tag", p->tag);
	tr_json_member_hex(b, "norm", p->norm);
	tr_json_member_str(b, "norm_status", tr_view_str(name_of(norms, TR_ARRAY_LEN(norms), p->norm_status)));
	tr_json_member_hex(b, "object", p->object);
	tr_json_member_hex(b, "released_object", tr_release_bpf_find(released, p->pin, &r) ? r.object : tr_view(NULL, 0));
	tr_json_member_hex(b, "content", p->content);
	tr_buf_addf(b, ",\"frozen\":%s}", p->kind != TR_BPF_MAP ? "null" : p->frozen ? "true" : "false");
}

static void put_bpf_items(struct tr_view list, struct tr_view released, struct tr_buf *b)
{
	struct tr_bpf_list l;
	struct tr_bpf_item item;
	struct tr_view items, one;
	struct tr_err err;
	bool more = false;

	if (!list.n || tr_record_decode(&tr_bpf_list_def, list, &l, &err)) {
		tr_buf_adds(b, ",\"kernel\":\"\",\"items\":[]");
		return;
	}
	tr_json_member_str(b, "kernel", l.kernel);
	tr_buf_adds(b, ",\"items\":[");
	for (items = l.items; tr_records_next(&items, &one);) {
		if (tr_record_decode(&tr_bpf_item_def, one, &item, &err))
			continue;
		tr_buf_adds(b, more ? "," : "");
		put_bpf_item(&item, released, b);
		more = true;
	}
	tr_buf_adds(b, "]");
}

void tr_api_agent_bpf(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = named(c, r);
	const struct tr_fleet_agent *a = i ? tr_fleet_agent(c->fleet, i->no) : NULL;
	static const struct tr_fleet_agent none = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view released, version;

	if (!i)
		return;
	if (!a)
		a = &none;
	released = tr_fleet_released_bpf(c->fleet, i->no, &version);
	tr_buf_adds(&b, "{\"agent\":");
	tr_json_put_str(&b, r->q.arg);
	tr_json_member_str(&b, "status", tr_view_str(tr_bpf_status_name((enum tr_bpf_status)a->bpf_status)));
	tr_json_member_str(&b, "integrity", tr_view_str(tr_integrity_name((enum tr_integrity)a->axes.integrity)));
	tr_json_member_hex(&b, "digest", tr_fleet_value(c->fleet, a->bpf));
	tr_json_member_hex(&b, "good_digest", tr_fleet_value(c->fleet, a->bpf_good));
	tr_buf_addf(&b, ",\"requested\":%s,\"findings\":", a->want_bpf_list ? "true" : "false");
	tr_buf_addv(&b, a->findings && a->findings->n ? tr_buf_view(a->findings) : TR_VIEW_LIT("[]"));
	/* Empty: the agent's own first list is what it is held against. */
	tr_json_member_str(&b, "release", version);
	tr_buf_adds(&b, ",\"released\":");
	tr_released_bpf_json(released, &b);
	put_bpf_items(a->bpf_list ? tr_buf_view(a->bpf_list) : tr_view(NULL, 0), released, &b);
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

/* ---- the end ---- */

static void on_ended(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	r->about->ending = false; /* the row itself says it now, or the revocation failed and must not look done */
	if (rc) {
		tr_req_not_stored(r, rc, why);
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
	row = tr_agent_now(c, i);
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
