/* SPDX-License-Identifier: Apache-2.0 */
/* What would a policy say to the fleet? The newest evidence of every agent whose type it names, appraised once more by the text
 * in question, as if it had come now. Asked before a draft, and before activation. */
#include "server/attest.h"

#include "base/clock.h"
#include "codec/text.h"
#include "server/tee_policies.h"

#include <stdio.h>
#include <stdlib.h>

#define SHOWN_MAX 100u
#define AGENTS_MAX 20000u /* of one test; more are counted as skipped */
#define TOGETHER 8u       /* questions open at once */

struct trial {
	struct tr_req *req;
	struct tr_core *core;
	bool activate;            /* in force when nobody would fail */
	bool busy;                /* starting questions: ends nothing */
	struct tr_buf text, types, ids; /* ids: agents, as records of lengths */
	struct tr_view rest;
	unsigned open;
	uint64_t pass, fail, none, skipped;
	struct tr_buf failed;
	char name[65];
	uint64_t version;
};

struct one {
	struct trial *t;
	char agent[65];
};

static void trial_free(struct trial *t)
{
	(void)tr_req_free(t->req);
	tr_buf_done(&t->text);
	tr_buf_done(&t->types);
	tr_buf_done(&t->ids);
	tr_buf_done(&t->failed);
	free(t);
}

static void put_counts(const struct trial *t, struct tr_buf *b)
{
	tr_buf_addf(b, "\"would_pass\":%llu,\"would_fail_count\":%llu,\"no_evidence\":%llu,\"skipped\":%llu,\"would_fail\":[",
		    (unsigned long long)t->pass, (unsigned long long)t->fail, (unsigned long long)t->none,
		    (unsigned long long)t->skipped);
	tr_buf_addv(b, tr_buf_view(&t->failed));
	tr_buf_adds(b, "]");
}

static void end(struct trial *t)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_problem p = { .status = 409, .slug = "agents_would_fail", .title = tr_http_status_title(409) };
	char why[200];

	if (t->activate && !t->fail) {
		struct tr_req *r = t->req;

		t->req = NULL;
		tr_tee_policy_put_in_force(r, t->version);
		trial_free(t);
		return;
	}
	if (t->activate) {
		(void)snprintf(why, sizeof(why),
			       "%llu agents would fail with this policy, by their newest evidence; mend it, or activate it all the same with force and a reason",
			       (unsigned long long)t->fail);
		put_counts(t, &b);
		p.detail = why;
		p.extra = tr_buf_view(&b);
		tr_req_problem(t->req, &p);
	} else {
		tr_buf_adds(&b, "{\"policy\":");
		tr_json_put_str(&b, tr_view_str(t->name));
		tr_buf_adds(&b, ",");
		put_counts(t, &b);
		tr_buf_adds(&b, "}");
		tr_req_answer_json(t->req, &b);
	}
	trial_free(t);
}

static void go_on(struct trial *t);

static void end_one(struct one *o)
{
	struct trial *t = o->t;

	free(o);
	t->open--;
	if (!t->busy)
		go_on(t);
}

static void add_failed(struct one *o, struct tr_view code)
{
	struct trial *t = o->t;

	if (t->fail++ >= SHOWN_MAX)
		return;
	tr_buf_addf(&t->failed, "%s{\"agent\":\"%s\",\"code\":", t->failed.n ? "," : "", o->agent);
	tr_json_put_str(&t->failed, code);
	tr_json_member_str(&t->failed, "state", tr_view_str(tr_attested_state(t->core, tr_view_str(o->agent))));
	tr_buf_adds(&t->failed, "}");
}

static void on_attested(void *arg, const void *answer)
{
	struct one *o = arg;
	const struct tr_msg_attested *m = answer;

	if (!m)
		o->t->skipped++;
	else if (m->code)
		add_failed(o, m->slug);
	else if (m->ok)
		o->t->pass++;
	else
		add_failed(o, m->failed);
	end_one(o);
}

static void on_verdict(void *arg, const void *answer)
{
	struct one *o = arg;
	const struct tr_msg_rows *rows = answer;
	struct tr_msg_attest q = { .text = tr_buf_view(&o->t->text), .build = TR_VIEW_LIT(TR_BUILD_NAME),
				   .issuer = tr_view_str(o->t->core->cfg->trust_domain) };
	struct tr_view list = rows ? rows->rows : tr_view(NULL, 0), one;
	tr_auto(tr_buf_done) struct tr_buf context = TR_BUF_INIT;
	struct tr_verdict_context x;
	struct tr_verdict_row v;
	struct tr_err err;

	if (!rows || !tr_records_next(&list, &one) || tr_record_decode(&tr_verdict_row_def, one, &v, &err) ||
	    tr_record_decode(&tr_verdict_context_def, v.context, &x, &err)) {
		if (rows)
			o->t->none++;
		else
			o->t->skipped++;
		end_one(o);
		return;
	}
	/* Judged as if it had come just now, for the challenge that it answered. */
	x.now = tr_now_ms() / 1000;
	tr_record_encode(&tr_verdict_context_def, &x, &context);
	q.context = tr_buf_view(&context);
	q.set = v.evidence;
	q.agent = v.agent;
	tr_core_ask(o->t->core, o->t->core->appraise, TR_M_ATTEST, &tr_msg_attest_def, &q, on_attested, o);
}

/* Its newest evidence, good or bad: what it would bring again. */
static void start(struct trial *t, struct tr_view agent)
{
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_list_query q = { .limit = 1, .match = agent };
	struct one *o = calloc(1, sizeof(*o));

	if (!o) {
		t->skipped++;
		return;
	}
	o->t = t;
	(void)snprintf(o->agent, sizeof(o->agent), "%.*s", TR_VIEW_FMT(agent));
	t->open++;
	/* With the id of one row the store sends it whole. */
	q.id = ((const struct tr_attested_row *)TR_ROW(&t->core->attested, tr_table_get(&t->core->attested, agent)))->verdict;
	tr_record_encode(&tr_list_query_def, &q, &query);
	tr_core_ask(t->core, t->core->store_ro, TR_M_LIST, &tr_msg_list_def,
		    &(struct tr_msg_list){ .table = TR_T_VERDICT, .query = tr_buf_view(&query) }, on_verdict, o);
}

static void go_on(struct trial *t)
{
	t->busy = true;
	while (t->open < TOGETHER && t->rest.n) {
		size_t n = t->rest.p[0];
		struct tr_view agent = tr_view(t->rest.p + 1, n);

		t->rest = tr_view(t->rest.p + 1 + n, t->rest.n - 1 - n);
		if (tr_table_get(&t->core->attested, agent))
			start(t, agent);
		else
			t->none++;
	}
	t->busy = false;
	if (!t->open && !t->rest.n)
		end(t);
}

static void list_agents(struct trial *t)
{
	struct tr_core *c = t->core;
	struct tr_view types = tr_buf_view(&t->types);
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->attested, i) {
		const struct tr_attested_row *a = TR_ROW(&c->attested, i);
		const struct tr_item *agent = tr_table_get(&c->agents, a->id);
		const struct tr_agent_row *row = TR_ROW(&c->agents, agent);

		if (!row || !tr_view_is(row->state, "active") || !tr_tee_types_name(types, a->agent_type))
			continue;
		/* Whoever is not verified now loses nothing by it. */
		if (t->activate && strcmp(tr_attested_state(c, a->id), "verified") != 0)
			continue;
		if (n++ >= AGENTS_MAX) {
			t->skipped++;
			continue;
		}
		tr_buf_add8(&t->ids, (uint8_t)a->id.n);
		tr_buf_addv(&t->ids, a->id);
	}
	t->rest = tr_buf_view(&t->ids);
}

static void on_read(void *arg, const void *answer)
{
	struct trial *t = arg;
	const struct tr_msg_tee_policy_read *m = answer;
	char why[513];

	if (!m || m->code) {
		if (m) {
			(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
			tr_req_refuse(t->req, 400, "policy_invalid", why);
		} else {
			tr_req_no_verifier(t->req);
		}
		trial_free(t);
		return;
	}
	(void)snprintf(t->name, sizeof(t->name), "%.*s", TR_VIEW_FMT(m->name));
	tr_buf_addv(&t->types, m->agent_types);
	list_agents(t);
	go_on(t);
}

/* version: to be put in force when nobody would fail; 0: only asked. */
static void begin(struct tr_core *c, struct tr_req *kept, struct tr_view text, uint64_t version)
{
	struct trial *t = calloc(1, sizeof(*t));

	if (!t) {
		tr_req_refuse(kept, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)tr_req_free(kept);
		return;
	}
	t->req = kept;
	t->core = c;
	t->activate = version != 0;
	t->version = version;
	tr_buf_addv(&t->text, text);
	tr_core_ask(c, c->appraise, TR_M_READ_TEE_POLICY, &tr_msg_read_tee_policy_def,
		    &(struct tr_msg_read_tee_policy){ .text = tr_buf_view(&t->text) }, on_read, t);
}

void tr_api_tee_policy_test(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_tee_policy in = { 0 };
	struct tr_req *kept = tr_req_keep(r);
	struct tr_err err = { 0 };

	if (!kept)
		return;
	if (tr_req_in(kept, &in, &err)) {
		tr_req_error(kept, &err);
		(void)tr_req_free(kept);
		return;
	}
	begin(c, kept, in.text, 0);
}

void tr_api_tee_policy_activate(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_tee_activate in = { 0 };
	const struct tr_tee_policy_row *row;
	struct tr_item *i;
	struct tr_req *kept;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	i = tr_tee_policy_named(c, r->q.arg, in.version);
	row = TR_ROW(&c->tee_policies, i);
	if (!row) {
		tr_req_refuse(r, 404, "policy_not_found",
			      "no attestation policy of this name and version; see troth attestation-policy list");
		return;
	}
	/* The word of somebody who does not say why is not taken. */
	if (in.force && !in.reason.n) {
		tr_req_refuse(r, 400, "reason_missing", "force needs a reason, for the audit log");
		return;
	}
	kept = tr_req_keep(r);
	if (!kept)
		return;
	if (in.force)
		tr_tee_policy_put_in_force(kept, row->version);
	else
		begin(c, kept, row->text, row->version);
}
