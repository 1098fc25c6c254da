/* SPDX-License-Identifier: Apache-2.0 */
#include "server/core.h"

#include "base/clock.h"
#include "base/secret.h"
#include "codec/text.h"
#include "signed/token.h"

#define TTL_DEFAULT_S 3600u
#define TTL_MAX_S (90u * 86400u)
#define USES_MAX 100000u
#define RESET_TTL_MS 3600000

static void token_json(const struct tr_token_row *t, struct tr_buf *b)
{
	int64_t now = tr_now_ms();
	const char *state = t->revoked_at	   ? "revoked"
			    : t->expires_at <= now ? "expired"
			    : t->uses >= t->max_uses ? "used_up"
						     : "usable";

	tr_record_to_json(&tr_token_def, t, b);
	if (b->failed)
		return;
	b->n--;
	tr_buf_addf(b, ",\"state\":\"%s\"}", state);
}

void tr_api_token_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	size_t shown = 0;

	tr_buf_adds(&b, "{\"tokens\":[");
	TR_EACH_ITEM(&c->tokens, i) {
		tr_buf_adds(&b, shown++ ? "," : "");
		token_json(TR_ROW(&c->tokens, i), &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* The secret is in this answer and nowhere else, ever. */
void tr_api_token_create(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_token in;
	struct tr_err err = { 0 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_buf body = TR_BUF_INIT;
	uint8_t hash[32];
	char id[9];
	struct tr_token_row row;
	struct tr_tx *tx;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (in.ttl_s > TTL_MAX_S || in.max_uses > USES_MAX) {
		tr_req_refuse(r, 400, "out_of_range", "a token lives at most 90 days and admits at most 100000 agents");
		return;
	}
	tr_token_make_enrol(c->root_pin, &text, hash);
	(void)snprintf(id, sizeof(id), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
	row = (struct tr_token_row){
		.id = tr_view_str(id),
		.secret_hash = TR_VIEW_ARRAY(hash),
		.partition = in.partition.n ? in.partition : TR_VIEW_LIT("default"),
		.agent_type = in.agent_type.n ? in.agent_type : TR_VIEW_LIT("agent"),
		.max_uses = in.max_uses ? in.max_uses : 1,
		.created_at = tr_now_ms(),
		.created_by = tr_view_str(r->actor),
		.note = in.note,
	};
	row.expires_at = row.created_at + (int64_t)(in.ttl_s ? in.ttl_s : TTL_DEFAULT_S) * 1000;
	tr_buf_adds(&body, "{\"token\":");
	tr_json_put_str(&body, tr_buf_view(&text));
	tr_buf_adds(&body, ",\"record\":");
	token_json(&row, &body);
	tr_buf_adds(&body, ",\"servers\":[");
	for (unsigned i = 0; i < c->cfg->urls_count; i++) {
		if (i)
			tr_buf_adds(&body, ",");
		tr_json_put_str(&body, tr_view_str(c->cfg->urls[i]));
	}
	if (!c->cfg->urls_count)
		tr_json_put_str(&body, tr_view_str(c->server_name));
	tr_buf_adds(&body, "],\"root_fingerprint\":\"");
	tr_hex_add(&body, TR_VIEW_ARRAY(c->root_pin));
	tr_buf_adds(&body, "\"}");
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_TOKEN, &row);
	tr_audit(tx, r->actor, "token.create", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit_answer(tx, tr_req_keep(r), 201, &body);
	tr_wipe(text.p, text.n);
}

static void on_revoked(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	r->about->ending = false;
	if (rc) {
		tr_req_not_stored(r, rc, why);
		return;
	}
	token_json(TR_ROW(&r->core->tokens, r->about), &b);
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}

void tr_api_token_revoke(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get(&c->tokens, r->q.arg);
	struct tr_token_row row;
	struct tr_req *kept;
	struct tr_tx *tx;

	if (!i) {
		tr_req_refuse(r, 404, "token_not_found", "no token of this id; see troth token list");
		return;
	}
	row = *(const struct tr_token_row *)TR_ROW(&c->tokens, i);
	if (row.revoked_at || i->ending) {
		tr_req_refuse(r, 409, "already_ended", "this token is revoked already");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	kept->about = i; /* tokens are never deleted */
	tx = tr_tx_new(c);
	row.revoked_at = tr_now_ms();
	row.uses += i->sent; /* uses whose rows are on their way before this one */
	i->ending = true;
	tr_tx_touch(tx, i);
	tr_tx_add(tx, TR_OP_PUT, TR_T_TOKEN, &row);
	tr_audit(tx, r->actor, "token.revoke", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
	tr_tx_commit(tx, on_revoked, kept);
}

/* ---- the reset of an identity ---- */

static void put_servers(const struct tr_core *c, struct tr_buf *b)
{
	for (unsigned i = 0; i < c->cfg->urls_count; i++)
		tr_buf_addf(b, "%s%s", i ? "," : "", c->cfg->urls[i]);
	if (!c->cfg->urls_count)
		tr_buf_adds(b, c->server_name);
}

/* What is typed on the host that keeps the name. The old state goes aside: its key is what was lost. */
static void put_commands(const struct tr_core *c, struct tr_view text, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf enrol = TR_BUF_INIT;

	tr_buf_adds(&enrol, "troth-agent enroll --reset-identity --server ");
	put_servers(c, &enrol);
	tr_buf_adds(&enrol, " --token ");
	tr_buf_addv(&enrol, text);
	tr_buf_adds(b, ",\"commands\":[\"systemctl stop troth-agent\",");
	tr_json_put_str(b, tr_buf_view(&enrol));
	tr_buf_adds(b, ",\"systemctl start troth-agent\"]");
	b->failed |= enrol.failed;
	tr_wipe(enrol.p, enrol.n);
}

/* One key to a name at a time: an earlier one that was not used yet ends. */
static void end_earlier(struct tr_core *c, struct tr_tx *tx, struct tr_view agent, int64_t now)
{
	struct tr_item *i;

	TR_EACH_ITEM(&c->tokens, i) {
		struct tr_token_row row = *(const struct tr_token_row *)TR_ROW(&c->tokens, i);

		if (!tr_view_eq(row.for_agent, agent) || row.revoked_at || row.expires_at <= now || row.uses >= row.max_uses)
			continue;
		row.revoked_at = now;
		row.uses += i->sent;
		tr_tx_touch(tx, i);
		tr_tx_add(tx, TR_OP_PUT, TR_T_TOKEN, &row);
	}
}

/* Nothing of the agent changes here: its chain, its quarantine and its old key stay until somebody enrols with this
 * token (admit.c). */
void tr_api_agent_reset(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_agent_named_active(c, r);
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct tr_buf body = TR_BUF_INIT;
	struct tr_in_why in;
	struct tr_err err = { 0 };
	struct tr_agent_row agent;
	struct tr_token_row row;
	struct tr_tx *tx;
	uint8_t hash[32];
	char id[9];

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	agent = tr_agent_now(c, i);
	if (!tr_view_is(agent.form, "native")) {
		tr_req_refuse(r, 409, "no_identity",
			      "this agent registered in the original form and has no key to replace; enrol its host under a new id");
		return;
	}
	tr_token_make_enrol(c->root_pin, &text, hash);
	(void)snprintf(id, sizeof(id), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
	row = (struct tr_token_row){
		.id = tr_view_str(id),
		.secret_hash = TR_VIEW_ARRAY(hash),
		.partition = agent.partition,
		.agent_type = agent.agent_type,
		.max_uses = 1,
		.created_at = tr_now_ms(),
		.created_by = tr_view_str(r->actor),
		.note = in.reason,
		.for_agent = r->q.arg,
	};
	row.expires_at = row.created_at + RESET_TTL_MS;
	tr_buf_adds(&body, "{\"agent\":");
	tr_json_put_str(&body, r->q.arg);
	tr_buf_adds(&body, ",\"token\":");
	tr_json_put_str(&body, tr_buf_view(&text));
	tr_buf_adds(&body, ",\"token_id\":");
	tr_json_put_str(&body, row.id);
	tr_buf_adds(&body, ",\"expires_at\":\"");
	tr_rfc3339_add(&body, row.expires_at);
	tr_buf_adds(&body, "\"");
	put_commands(c, tr_buf_view(&text), &body);
	tr_buf_adds(&body, "}");
	tr_buf_adds(&detail, "{\"reason\":");
	tr_json_put_str(&detail, in.reason);
	tr_buf_addf(&detail, ",\"token\":\"%s\"}", id);
	tx = tr_tx_new(c);
	if (tx)
		end_earlier(c, tx, r->q.arg, row.created_at);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_TOKEN, &row);
	tr_audit(tx, r->actor, "agent.reset_identity", r->q.arg, "ok", "", r->q.source, tr_buf_view(&detail));
	tr_tx_commit_answer(tx, tr_req_keep(r), 201, &body);
	tr_wipe(text.p, text.n);
}
