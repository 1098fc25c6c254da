/* SPDX-License-Identifier: Apache-2.0 */
/* Verification keys: whose release statements (and, in the original form, whose claims) are believed. Several at once,
 * each with its own validity and state, so that rotation has no gap and one compromise distrusts one key. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define OLD_KEY_MS (90LL * 24 * 3600 * 1000)

/* Active agents whose admission this key vouched for; *ret_one names one of them. */
static size_t dependants(const struct tr_core *c, struct tr_view key_id, struct tr_view *ret_one)
{
	size_t n = 0;
	const struct tr_item *i;

	TR_EACH_ITEM(&c->agents, i) {
		const struct tr_agent_row *a = TR_ROW(&c->agents, i);

		if (!tr_view_eq(a->vouched_by, key_id) || !tr_view_is(a->state, "active"))
			continue;
		*ret_one = a->id;
		n++;
	}
	return n;
}

static void vkey_json(const struct tr_core *c, const struct tr_vkey_row *k, struct tr_buf *b)
{
	struct tr_view one;
	int64_t age = tr_now_ms() - k->added_at;

	tr_record_to_json(&tr_vkey_def, k, b);
	if (b->failed)
		return;
	b->n--;
	tr_buf_addf(b, ",\"age_days\":%lld,\"rotation_due\":%s,\"agents\":%zu}", (long long)(age / 86400000),
		    tr_view_is(k->state, "active") && age > OLD_KEY_MS ? "true" : "false", dependants(c, k->id, &one));
}

void tr_api_vkey_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	size_t shown = 0;

	tr_buf_adds(&b, "{\"verification_keys\":[");
	TR_EACH_ITEM(&c->vkeys, i) {
		tr_buf_adds(&b, shown++ ? "," : "");
		vkey_json(c, TR_ROW(&c->vkeys, i), &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

static void audit_key(struct tr_tx *tx, const struct tr_req *r, const char *action, struct tr_view id)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_hex_add(&hex, id);
	tr_audit(tx, r->actor, action, tr_buf_view(&hex), "ok", "", r->q.source, tr_view(NULL, 0));
}

/* May this key be added? Answers when not. */
static bool addable(struct tr_req *r, const struct tr_msg_key_read *k)
{
	char why[256];

	if (!k) {
		tr_req_no_verifier(r);
		return false;
	}
	if (k->code) {
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(k->why));
		tr_req_refuse(r, 400, k->code == TR_E_DENIED ? "key_refused" : "malformed", why);
		return false;
	}
	if (tr_table_get(&r->core->vkeys, k->key_id)) {
		tr_req_refuse(r, 409, "key_exists",
			      "this key is known already; a retired or revoked key does not come back: make a new one");
		return false;
	}
	if (r->core->vkeys.n >= TR_VKEYS_MAX) {
		tr_req_refuse(r, 409, "full", "this server holds as many verification keys as it can");
		return false;
	}
	return true;
}

static void on_key_read(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_key_read *k = answer;
	struct tr_in_vkey in;
	struct tr_vkey_row row;
	struct tr_buf body = TR_BUF_INIT;
	struct tr_err err = { 0 };
	struct tr_tx *tx;

	if (!addable(r, k))
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	row = (struct tr_vkey_row){
		.id = k->key_id, .use = in.use.n ? in.use : TR_VIEW_LIT("release"), .state = TR_VIEW_LIT("active"),
		.name = in.name, .key_type = k->key_type, .spki = k->spki, .added_at = tr_now_ms(),
		.not_before = in.not_before, .not_after = in.not_after, .added_by = tr_view_str(r->actor),
	};
	vkey_json(r->core, &row, &body);
	tx = tr_tx_new(r->core);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_VKEY, &row);
	audit_key(tx, r, "key.add", row.id);
	tr_tx_commit_answer(tx, TR_TAKE(r), 201, &body);
}

void tr_api_vkey_add(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_vkey in;
	struct tr_err err = { 0 };
	struct tr_req *kept;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (in.use.n && !tr_view_is(in.use, "release") && !tr_view_is(in.use, "fleet")) {
		tr_req_refuse(r, 400, "out_of_range", "use must be release (signs statements) or fleet (signs original claims)");
		return;
	}
	if (!tr_view_is(in.use, "fleet") && tr_keyset_names_release(c)) {
		tr_req_refuse(r, 409, "keyset_rules",
			      "the keyset in force names release keys, so only a keyset adds one: troth keyset prepare, sign, publish");
		return;
	}
	kept = tr_req_keep(r);
	if (kept)
		tr_core_ask(c, c->appraise, TR_M_READ_KEY, &tr_msg_read_key_def,
			    &(struct tr_msg_read_key){ .pem = in.pem }, on_key_read, kept);
}

static void on_ended(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_vkey_row *row = TR_ROW(&r->core->vkeys, r->about);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	/* A retirement leaves alone what a revocation behind it says. */
	if (r->q.route == TR_RT_VKEY_REVOKE)
		r->about->ending = false;
	if (rc) {
		tr_req_not_stored(r, rc, why);
		return;
	}
	tr_log(TR_LOG_WARN, "verification_key_ended", "state", tr_fmt_view(row->state), "by", r->actor, NULL);
	vkey_json(r->core, row, &b);
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

static void end_key(struct tr_core *c, struct tr_req *r, bool revoke)
{
	const char *state = revoke ? "revoked" : "retired";
	struct tr_item *i = tr_key_named(r, &c->vkeys, "no verification key begins like this (at least 8 digits); see troth key list");
	struct tr_in_reason in = { 0 };
	struct tr_err err = { 0 };
	struct tr_vkey_row row;
	struct tr_req *kept;
	struct tr_tx *tx;
	struct tr_view one = { 0 };
	size_t users;

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	row = *(const struct tr_vkey_row *)TR_ROW(&c->vkeys, i);
	if (tr_view_is(row.state, "revoked") || tr_view_is(row.state, state)) {
		tr_req_refuse(r, 409, "already_ended", "this key is retired or revoked already");
		return;
	}
	users = dependants(c, row.id, &one);
	if (!revoke && users && !in.force) {
		char why[200];

		(void)snprintf(why, sizeof(why),
			       "%zu active agents were admitted by this key (%.*s is one); give them a release signed by another key first, or end it all the same with troth key retire --force",
			       users, TR_VIEW_FMT(one));
		tr_req_refuse(r, 409, "key_in_use", why);
		return;
	}
	/* A revocation does not wait for those who use the key: its row commits after theirs. */
	if (i->ending || (!revoke && i->inflight)) {
		tr_req_refuse(r, 503, "busy", "this key is being used at this moment; try again in a second");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	kept->about = i; /* keys are never deleted */
	row.state = tr_view_str(state);
	row.ended_at = tr_now_ms();
	row.end_reason = in.reason;
	/* Statements issued until now stay good, later ones do not: retirement has a date. */
	if (!revoke && (!row.not_after || row.not_after > row.ended_at))
		row.not_after = row.ended_at;
	i->ending = revoke; /* from this moment, whatever the disk is doing */
	tx = tr_tx_new(c);
	tr_tx_touch(tx, i);
	tr_tx_add(tx, TR_OP_PUT, TR_T_VKEY, &row);
	audit_key(tx, r, revoke ? "key.revoke" : "key.retire", row.id);
	tr_tx_commit(tx, on_ended, kept);
}

void tr_api_vkey_retire(struct tr_core *c, struct tr_req *r)
{
	end_key(c, r, false);
}

void tr_api_vkey_revoke(struct tr_core *c, struct tr_req *r)
{
	end_key(c, r, true);
}
