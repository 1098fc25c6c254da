/* SPDX-License-Identifier: Apache-2.0 */
/* Policies for evidence, for operators: a text comes in as a draft, is tried out, becomes the one in force of its name, and
 * stays for ever: verdicts name its version. */
#include "server/attest.h"

#include "base/clock.h"
#include "codec/text.h"
#include "server/tee_policies.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSIONS_MAX 500 /* rows of all policies */

/* ---- showing ---- */

static void put_policy(const struct tr_tee_policy_row *row, bool text, struct tr_buf *b)
{
	struct tr_tee_policy_row p = *row;

	if (!text)
		p.text = tr_view(NULL, 0);
	tr_record_to_json(&tr_tee_policy_row_def, &p, b);
}

void tr_api_tee_policy_list(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	bool more = false;

	tr_buf_adds(&b, "{\"attestation_policies\":[");
	TR_EACH_ITEM(&c->tee_policies, i) {
		tr_buf_adds(&b, more ? "," : "");
		more = true;
		put_policy(TR_ROW(&c->tee_policies, i), false, &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* The path has NAME, or NAME and a version as "NAME.7" would be a name too: the version is asked for in the body, and without
 * one the newest is meant. */
struct tr_item *tr_tee_policy_named(struct tr_core *c, struct tr_view name, uint64_t version)
{
	struct tr_item *i, *best = NULL;
	uint64_t newest = 0;

	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);

		if (!tr_view_eq(p->name, name) || (version ? p->version != version : p->version < newest))
			continue;
		best = i;
		newest = p->version;
	}
	return best;
}

static void refuse_unknown(struct tr_req *r)
{
	tr_req_refuse(r, 404, "policy_not_found", "no attestation policy of this name and version; see troth attestation-policy list");
}

void tr_api_tee_policy_get(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	bool more = false;

	if (!tr_tee_policy_named(c, r->q.arg, 0)) {
		refuse_unknown(r);
		return;
	}
	tr_buf_adds(&b, "{\"name\":");
	tr_json_put_str(&b, r->q.arg);
	tr_buf_adds(&b, ",\"versions\":[");
	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);

		if (!tr_view_eq(p->name, r->q.arg))
			continue;
		tr_buf_adds(&b, more ? "," : "");
		more = true;
		put_policy(p, true, &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* ---- a new one ---- */

static uint64_t next_version(const struct tr_core *c, struct tr_view name)
{
	const struct tr_item *i;
	uint64_t n = 0;

	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);

		if (tr_view_eq(p->name, name) && p->version > n)
			n = p->version;
	}
	return n + 1;
}

static void refuse_read(struct tr_req *r, const struct tr_msg_tee_policy_read *m)
{
	char why[513];

	(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
	tr_req_refuse(r, 400, "policy_invalid", why);
}

static void on_read(void *arg, const void *answer)
{
	struct tr_req *r = arg;
	struct tr_core *c = r->core;
	const struct tr_msg_tee_policy_read *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_in_tee_policy in = { 0 };
	struct tr_tee_policy_row row;
	struct tr_err err = { 0 };
	uint8_t digest[32];
	char id[80];
	struct tr_tx *tx;

	if (!m)
		tr_req_no_verifier(r);
	else if (m->code)
		refuse_read(r, m);
	else if (tr_req_in(r, &in, &err))
		tr_req_error(r, &err);
	else if (c->tee_policies.n >= VERSIONS_MAX)
		tr_req_refuse(r, 409, "full", "this server has as many attestation policies as it can remember");
	else {
		row = (struct tr_tee_policy_row){ .name = m->name, .version = next_version(c, m->name),
						  .state = TR_VIEW_LIT("draft"), .text = in.text, .agent_types = m->agent_types,
						  .created_at = tr_now_ms(), .created_by = tr_view_str(r->actor) };
		(void)snprintf(id, sizeof(id), "%.*s:%06llu", TR_VIEW_FMT(m->name), (unsigned long long)row.version);
		tr_sha256(in.text, digest);
		row.id = tr_view_str(id);
		row.digest = TR_VIEW_ARRAY(digest);
		tx = tr_tx_new(c);
		tr_tx_add(tx, TR_OP_INSERT, TR_T_TEE_POLICY, &row);
		tr_audit(tx, r->actor, "attestation_policy.add", row.id, "ok", "", r->q.source, tr_view(NULL, 0));
		put_policy(&row, false, &b);
		tr_tx_commit_answer(tx, r, 201, &b);
		return;
	}
	(void)tr_req_free(r);
}

void tr_api_tee_policy_add(struct tr_core *c, struct tr_req *r)
{
	struct tr_req *kept = tr_req_keep(r);
	struct tr_in_tee_policy in;
	struct tr_err err = { 0 };

	if (!kept)
		return;
	if (tr_req_in(kept, &in, &err)) {
		tr_req_error(kept, &err);
		(void)tr_req_free(kept);
		return;
	}
	tr_core_ask(c, c->appraise, TR_M_READ_TEE_POLICY, &tr_msg_read_tee_policy_def,
		    &(struct tr_msg_read_tee_policy){ .text = in.text }, on_read, kept);
}

/* ---- in force ---- */

static struct tr_item *active_of(struct tr_core *c, struct tr_view name)
{
	struct tr_item *i;

	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);

		if (tr_view_is(p->state, "active") && tr_view_eq(p->name, name))
			return i;
	}
	return NULL;
}

/* The row lives as long as its room. */
static struct tr_tee_policy_row *put_state(struct tr_tx *tx, struct tr_core *c, struct tr_item *i, const char *state,
					   struct tr_row_room *room)
{
	struct tr_tee_policy_row *row = &room->row.tee_policy;

	(void)tr_item_row(&c->tee_policies, i, room);
	row->state = tr_view_str(state);
	row->ended_at = tr_view_is(row->state, "active") ? 0 : tr_now_ms();
	if (!row->ended_at)
		row->activated_at = tr_now_ms();
	tr_tx_touch(tx, i);
	tr_tx_add(tx, TR_OP_PUT, TR_T_TEE_POLICY, row);
	return row;
}

static void audit(struct tr_tx *tx, struct tr_req *r, const char *action, struct tr_view id,
		  const struct tr_in_tee_activate *in)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	tr_buf_addf(&d, "{\"force\":%s", in->force ? "true" : "false");
	tr_json_member_str(&d, "reason", in->reason);
	tr_buf_adds(&d, "}");
	tr_audit(tx, r->actor, action, id, "ok", "", r->q.source, tr_buf_view(&d));
}

void tr_tee_policy_put_in_force(struct tr_req *r, uint64_t version)
{
	struct tr_core *c = r->core;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_in_tee_activate in = { 0 };
	struct tr_row_room room = { .text = { 0 } }, old = { .text = { 0 } };
	const struct tr_tee_policy_row *row;
	struct tr_item *i, *was;
	struct tr_err err = { 0 };
	struct tr_tx *tx;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		(void)tr_req_free(r);
		return;
	}
	i = tr_tee_policy_named(c, r->q.arg, version);
	was = active_of(c, r->q.arg);
	if (i && !was && tr_tee_active_policies(c) >= TR_TEE_ACTIVE_MAX) {
		tr_req_refuse(r, 409, "full", "64 attestation policies are in force; retire those that nobody needs");
		(void)tr_req_free(r);
		return;
	}
	if (!i || i->inflight || (was && was->inflight)) {
		if (i)
			tr_req_refuse(r, 503, "busy", "another change of this policy is under way; try again in a second");
		else
			refuse_unknown(r);
		(void)tr_req_free(r);
		return;
	}
	tx = tr_tx_new(c);
	if (tx) {
		/* The one before first: the database lets only one of a name be active. */
		if (was && was != i)
			(void)put_state(tx, c, was, "retired", &old);
		row = put_state(tx, c, i, "active", &room);
		audit(tx, r, "attestation_policy.activate", row->id, &in);
		put_policy(row, false, &b);
	}
	tr_tx_commit_answer(tx, r, 200, &b);
}

void tr_api_tee_policy_retire(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_in_tee_activate in = { 0 };
	struct tr_row_room room = { .text = { 0 } };
	const struct tr_tee_policy_row *row;
	struct tr_err err = { 0 };
	struct tr_req *kept;
	struct tr_item *i;
	struct tr_tx *tx;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	i = in.version ? tr_tee_policy_named(c, r->q.arg, in.version) : active_of(c, r->q.arg);
	if (!i) {
		refuse_unknown(r);
		return;
	}
	if (i->inflight) {
		tr_req_refuse(r, 503, "busy", "another change of this policy is under way; try again in a second");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	tx = tr_tx_new(c);
	if (tx) {
		row = put_state(tx, c, i, "retired", &room);
		audit(tx, kept, "attestation_policy.retire", row->id, &in);
		put_policy(row, false, &b);
	}
	tr_tx_commit_answer(tx, kept, 200, &b);
}
