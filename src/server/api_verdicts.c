/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts for operators: the list, one with all that it was made from, and the same appraisal made again. */
#include "server/attest.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "server/tee_policies.h"

#include <stdio.h>

/* ---- the list ---- */

static void put_brief(const struct tr_verdict_row *v, struct tr_buf *b)
{
	tr_buf_addf(b, "{\"seq\":%llu,\"id\":\"%.*s\"", (unsigned long long)v->seq, TR_VIEW_FMT(v->id));
	tr_json_member_time(b, "time", v->time);
	tr_json_member_str(b, "agent", v->agent);
	tr_json_member_str(b, "kind", v->kind);
	tr_json_member_str(b, "policy", v->policy);
	tr_buf_addf(b, ",\"policy_version\":%llu", (unsigned long long)v->policy_version);
	tr_json_member_str(b, "outcome", v->outcome);
	tr_json_member_str(b, "reason", v->reason);
	tr_json_member_str(b, "tcb_status", v->tcb_status);
	tr_json_member_str(b, "tier", v->tier);
	tr_json_member_time(b, "expires_at", v->expires_at);
	tr_json_member_hex(b, "digest", v->digest);
	tr_json_member_hex(b, "bundle", v->bundle);
	tr_json_member_str(b, "build", v->build);
	tr_json_member_str(b, "source", v->source);
}

static void on_listed(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_view list = m ? m->rows : tr_view(NULL, 0), one;
	struct tr_verdict_row v;
	struct tr_err err;
	uint64_t last = 0;
	size_t n = 0;

	if (!m) {
		tr_req_refuse(r, 503, "store_unavailable", "the list could not be read; try again, or with a smaller limit");
		return;
	}
	tr_buf_adds(&b, "{\"verdicts\":[");
	while (tr_records_next(&list, &one)) {
		if (tr_record_decode(&tr_verdict_row_def, one, &v, &err))
			continue;
		tr_buf_adds(&b, n++ ? "," : "");
		put_brief(&v, &b);
		tr_buf_adds(&b, "}");
		last = v.seq;
	}
	tr_buf_addf(&b, "],\"last_seq\":%llu}", (unsigned long long)last);
	tr_req_answer_json(r, &b);
}

static void ask(struct tr_core *c, const struct tr_list_query *q, tr_call_fn fn, void *arg)
{
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;

	tr_record_encode(&tr_list_query_def, q, &query);
	tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
		    &(struct tr_msg_list){ .table = TR_T_VERDICT, .query = tr_buf_view(&query) }, fn, arg);
}

void tr_api_verdict_list(struct tr_core *c, struct tr_req *r)
{
	struct tr_in_verdicts in = { 0 };
	struct tr_list_query q;
	struct tr_req *kept;
	struct tr_err err = { 0 };

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (in.limit > TR_LIST_MAX) {
		tr_req_refuse(r, 400, "out_of_range", "limit is at most 500");
		return;
	}
	q = (struct tr_list_query){ .before = in.before, .after = in.after, .limit = in.limit ? in.limit : 50,
				    .match = in.agent, .outcome = in.outcome };
	kept = tr_req_keep(r);
	if (kept)
		ask(c, &q, on_listed, kept);
}

/* ---- one ---- */

/* What another verifier needs to come to the same words; the bundle is asked for by its digest. */
static void put_origin(const struct tr_core *c, const struct tr_verdict_row *v, struct tr_buf *b)
{
	struct tr_item *i = tr_tee_policy_named((struct tr_core *)(uintptr_t)c, v->policy, v->policy_version);
	const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);
	struct tr_verdict_context x;
	struct tr_err err = { 0 };

	if (!tr_record_decode(&tr_verdict_context_def, v->context, &x, &err)) {
		tr_buf_addf(b, ",\"context\":{\"now\":%lld", (long long)x.now);
		tr_json_member_hex(b, "challenge", x.challenge);
		tr_json_member_hex(b, "spki", x.spki);
		tr_json_member_hex(b, "cert", x.cert);
		tr_json_member_str(b, "agent_type", x.agent_type);
		tr_buf_addf(b, ",\"ak_trust\":%llu", (unsigned long long)x.ak_trust);
		tr_json_member_hex(b, "ak_name", x.ak_name);
		tr_buf_adds(b, "}");
	}
	tr_buf_adds(b, ",\"policy_text\":");
	if (p)
		tr_json_put_str(b, p->text);
	else
		tr_buf_adds(b, "null");
	tr_buf_adds(b, ",\"evidence\":\"");
	tr_b64_add(b, v->evidence, TR_B64_STD);
	/* As text too: whoever hashes it must have the very bytes, and JSON libraries write objects anew. */
	tr_buf_adds(b, "\",\"verdict_text\":");
	tr_json_put_str(b, v->verdict);
	tr_buf_adds(b, ",\"verdict\":");
	tr_buf_addv(b, v->verdict);
}

static bool one_of(const struct tr_msg_rows *m, struct tr_req *r, struct tr_verdict_row *v)
{
	struct tr_view list = m ? m->rows : tr_view(NULL, 0), one;
	struct tr_err err;

	if (!m)
		tr_req_refuse(r, 503, "store_unavailable", "the verdict could not be read; try again");
	else if (!tr_records_next(&list, &one) || tr_record_decode(&tr_verdict_row_def, one, v, &err))
		tr_req_refuse(r, 404, "verdict_not_found", "no verdict of this id; see troth attestation list --evidence");
	else
		return true;
	return false;
}

static void on_one(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_verdict_row v;

	if (!one_of(answer, r, &v))
		return;
	put_brief(&v, &b);
	put_origin(r->core, &v, &b);
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

static bool is_verdict_id(struct tr_view id)
{
	uint8_t raw[8];

	return id.n == 16 && tr_hex_get(id, raw, 8);
}

static void one(struct tr_core *c, struct tr_req *r, tr_call_fn fn)
{
	struct tr_req *kept;

	if (!is_verdict_id(r->q.arg)) {
		tr_req_refuse(r, 404, "verdict_not_found", "no verdict of this id; see troth attestation list --evidence");
		return;
	}
	kept = tr_req_keep(r);
	if (kept)
		ask(c, &(struct tr_list_query){ .id = kept->q.arg, .limit = 1 }, fn, kept);
}

void tr_api_verdict_get(struct tr_core *c, struct tr_req *r)
{
	one(c, r, on_one);
}

/* ---- once more ---- */

static void on_replayed(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_attested *m = answer;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	char why[257];

	if (!m) {
		tr_req_no_verifier(r);
		return;
	}
	if (m->code) {
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
		tr_req_refuse(r, 409, "not_replayable", why);
		return;
	}
	tr_buf_addf(&b, "{\"id\":\"%s\",\"same\":%s", tr_fmt_view(r->q.arg), m->same ? "true" : "false");
	tr_json_member_str(&b, "outcome", tr_view_str(m->ok ? "verified" : "failed"));
	tr_json_member_str(&b, "reason", m->failed);
	tr_json_member_hex(&b, "digest", m->digest);
	tr_json_member_str(&b, "build", TR_VIEW_LIT(TR_BUILD_NAME));
	tr_json_member_str(&b, "difference", m->difference);
	tr_buf_adds(&b, ",\"verdict\":");
	tr_buf_addv(&b, m->verdict);
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

static void on_origin(void *arg, const void *answer)
{
	struct tr_req *r = arg;
	struct tr_core *c = r->core;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	const struct tr_tee_policy_row *p;
	const struct tr_bundle_row *bundle;
	struct tr_msg_attest q = { .replay = true, .build = TR_VIEW_LIT(TR_BUILD_NAME) };
	struct tr_verdict_row v;

	if (!one_of(answer, r, &v)) {
		(void)tr_req_free(r);
		return;
	}
	tr_hex_add(&id, v.bundle);
	p = TR_ROW(&c->tee_policies, tr_tee_policy_named(c, v.policy, v.policy_version));
	bundle = TR_ROW(&c->bundles, tr_table_get(&c->bundles, tr_buf_view(&id)));
	if (!p || (v.bundle.n && !bundle)) {
		tr_req_refuse(r, 409, "not_replayable",
			      "the policy or the collateral bundle of this verdict is not kept here any more");
		(void)tr_req_free(r);
		return;
	}
	q.context = v.context;
	q.set = v.evidence;
	q.text = p->text;
	q.bundle = bundle ? bundle->bytes : tr_view(NULL, 0);
	q.verdict_was = v.verdict;
	tr_core_ask(c, c->appraise, TR_M_REPLAY, &tr_msg_attest_def, &q, on_replayed, r);
}

void tr_api_verdict_replay(struct tr_core *c, struct tr_req *r)
{
	one(c, r, on_origin);
}
