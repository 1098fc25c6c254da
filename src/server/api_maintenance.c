/* SPDX-License-Identifier: Apache-2.0 */
/* Announced work. The windows are rows like any other; the fleet gets the ones that still count as a whole. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#define MINUTES_MAX (31ull * 24 * 60)
#define AHEAD_MAX_MS (366LL * 24 * 3600 * 1000)
#define OPEN_MAX 1000u /* windows that are not over: the fleet looks at each of them in every sweep */

static const char *state_of(const struct tr_maintenance_row *m, int64_t now)
{
	return m->ended_at || m->until_at <= now ? "over" : m->from_at > now ? "announced" : "running";
}

static void put_row(const struct tr_maintenance_row *m, struct tr_buf *b)
{
	tr_record_to_json(&tr_maintenance_def, m, b);
	if (b->failed)
		return;
	b->n--; /* the closing brace */
	tr_buf_addf(b, ",\"state\":\"%s\"}", state_of(m, tr_now_ms()));
}

size_t tr_maintenance_running(const struct tr_core *c)
{
	int64_t now = tr_now_ms();
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->maintenance, i)
		n += *state_of(TR_ROW(&c->maintenance, i), now) == 'r';
	return n;
}

bool tr_maintenance_covers(const struct tr_core *c, const struct tr_agent_row *agent)
{
	int64_t now = tr_now_ms();
	const struct tr_item *i;

	TR_EACH_ITEM(&c->maintenance, i) {
		const struct tr_maintenance_row *m = TR_ROW(&c->maintenance, i);

		if (*state_of(m, now) == 'r' &&
		    (tr_view_is(m->scope, "fleet") ||
		     tr_view_eq(m->target, tr_view_is(m->scope, "agent") ? agent->id : agent->partition)))
			return true;
	}
	return false;
}

void tr_core_tell_maintenance(struct tr_core *c)
{
	int64_t now = tr_now_ms();
	size_t n = 0;
	tr_auto(tr_free) struct tr_maintenance_row *rows = calloc(c->maintenance.n + 1, sizeof(*rows));
	tr_auto(tr_free) struct tr_row_room *rooms = calloc(c->maintenance.n + 1, sizeof(*rooms));
	const struct tr_item *i;

	if (!rows || !rooms) {
		tr_log(TR_LOG_ERROR, "out_of_memory", "what", "maintenance", NULL);
		return;
	}
	TR_EACH_ITEM(&c->maintenance, i) {
		const struct tr_maintenance_row *row = tr_item_row(&c->maintenance, i, &rooms[n]);

		if (*state_of(row, now) != 'o')
			rows[n++] = *row;
	}
	tr_fleet_maintenance(c->fleet, rows, n);
}

void tr_api_maintenance_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	size_t shown = 0;

	tr_buf_adds(&b, "{\"maintenance\":[");
	TR_EACH_ITEM(&c->maintenance, i) {
		tr_buf_adds(&b, shown++ ? "," : "");
		put_row(TR_ROW(&c->maintenance, i), &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

static void on_stored(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	struct tr_core *c = r->core;
	bool added = r->q.route == TR_RT_MAINTENANCE_ADD;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_item *i;

	if (rc) {
		tr_req_not_stored(r, rc, why);
		return;
	}
	tr_core_tell_maintenance(c);
	i = tr_table_get(&c->maintenance, tr_view_str(r->made));
	if (i)
		put_row(TR_ROW(&c->maintenance, i), &b);
	tr_req_answer(r, added ? 201 : 200, TR_CT_JSON, tr_buf_view(&b));
}

/* Fills when; a sentence when it makes none. */
static const char *read_when(const struct tr_in_maintenance *in, int64_t now, struct tr_maintenance_row *ret)
{
	ret->from_at = in->from ? in->from : now;
	if (!in->minutes == !in->until)
		return "say how long: either minutes, or until";
	if (in->minutes > MINUTES_MAX)
		return "maintenance lasts at most 31 days (44640 minutes)";
	ret->until_at = in->until ? in->until : ret->from_at + (int64_t)in->minutes * 60000;
	if (ret->from_at < now - 60000 || ret->from_at > now + AHEAD_MAX_MS)
		return "maintenance begins now or within a year";
	if (ret->until_at <= ret->from_at || ret->until_at <= now ||
	    ret->until_at - ret->from_at > (int64_t)MINUTES_MAX * 60000)
		return "maintenance ends after it began, and lasts at most 31 days";
	return NULL;
}

static bool partition_known(const struct tr_core *c, struct tr_view name)
{
	const struct tr_item *i;

	TR_EACH_ITEM(&c->agents, i)
		if (tr_view_eq(tr_agent_now(c, i).partition, name))
			return true;
	return false;
}

/* A window over nothing would hide nothing, and its author would believe it does. */
static bool target_ok(struct tr_core *c, struct tr_req *r, const struct tr_in_maintenance *in)
{
	if (tr_view_is(in->scope, "fleet") && !in->target.n)
		return true;
	if (tr_view_is(in->scope, "agent") && in->target.n) {
		if (tr_table_get(&c->agents, in->target))
			return true;
		tr_req_refuse(r, 404, "agent_not_found", "no agent of this id; see troth agent list");
		return false;
	}
	if (tr_view_is(in->scope, "partition") && in->target.n) {
		if (partition_known(c, in->target))
			return true;
		tr_req_refuse(r, 404, "partition_not_found", "no agent is in a partition of this name; see troth agent list");
		return false;
	}
	tr_req_refuse(r, 400, "out_of_range", "scope is agent or partition with a target, or fleet without one");
	return false;
}

void tr_api_maintenance_add(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_maintenance in;
	struct tr_maintenance_row row = { .created_at = tr_now_ms(), .created_by = tr_view_str(r->actor) };
	struct tr_err err = { 0 };
	struct tr_req *kept;
	struct tr_tx *tx;
	const char *why;
	uint8_t id[4];
	const struct tr_item *i;
	size_t open = 0;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	why = read_when(&in, row.created_at, &row);
	if (why) {
		tr_req_refuse(r, 400, "out_of_range", why);
		return;
	}
	if (!target_ok(c, r, &in))
		return;
	TR_EACH_ITEM(&c->maintenance, i)
		open += *state_of(TR_ROW(&c->maintenance, i), row.created_at) != 'o';
	if (open >= OPEN_MAX) {
		tr_req_refuse(r, 409, "full", "there are 1000 windows that are not over; end some: troth maintenance list");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	tr_random(id, sizeof(id));
	(void)snprintf(kept->made, sizeof(kept->made), "%02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
	row.id = tr_view_str(kept->made);
	row.scope = in.scope;
	row.target = in.target;
	row.reason = in.reason;
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_MAINTENANCE, &row);
	tr_audit(tx, r->actor, "maintenance.add", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit(tx, on_stored, kept);
}

void tr_api_maintenance_end(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get(&c->maintenance, r->q.arg);
	struct tr_maintenance_row row;
	struct tr_req *kept;
	struct tr_tx *tx;

	if (!i) {
		tr_req_refuse(r, 404, "maintenance_not_found", "no maintenance of this id; see troth maintenance list");
		return;
	}
	row = *(const struct tr_maintenance_row *)TR_ROW(&c->maintenance, i);
	if (*state_of(&row, tr_now_ms()) == 'o') {
		tr_req_refuse(r, 409, "already_ended", "this maintenance is over already");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	(void)snprintf(kept->made, sizeof(kept->made), "%.*s", TR_VIEW_FMT(row.id));
	row.ended_at = tr_now_ms();
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_PUT, TR_T_MAINTENANCE, &row);
	tr_audit(tx, r->actor, "maintenance.end", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit(tx, on_stored, kept);
}
