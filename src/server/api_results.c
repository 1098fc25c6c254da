/* SPDX-License-Identifier: Apache-2.0 */
/* Results of appraisals for those who rely on them: operators, and agents that ask about a peer. The token can be verified
 * without us; with `evidence=1` everything comes along that it was made from, for those who want no server's word at all. */
#include "server/attest.h"
#include "server/authority_inner.h"

#include "base/clock.h"
#include "codec/text.h"
#include "server/hub.h"

/* ---- the keys ---- */

/* RFC 8037: x is the raw key, the last 32 bytes of an Ed25519 SPKI. */
static void put_key(const struct tr_skey_row *row, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":\"");
	tr_hex_add(b, tr_view(row->id.p, 16));
	tr_buf_adds(b, "\",\"x\":\"");
	tr_b64_add(b, tr_view(row->spki.p + row->spki.n - 32, 32), TR_B64_URL);
	tr_buf_adds(b, "\"}");
}

void tr_api_jwks(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_item *i;
	bool more = false;

	tr_buf_adds(&b, "{\"keys\":[");
	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

		if (!tr_view_is(row->role, TR_SKEY_RESULT) || tr_skey_state_of(row->state) >= TR_SKEY_RETIRED || i->ending ||
		    row->spki.n != 44 || row->id.n != 32)
			continue;
		tr_buf_adds(&b, more ? "," : "");
		more = true;
		put_key(row, &b);
	}
	tr_buf_adds(&b, "]}");
	tr_req_answer_json(r, &b);
}

/* ---- one agent ---- */

static void put_evidence(const struct tr_verdict_row *v, struct tr_buf *b)
{
	struct tr_verdict_context x;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_verdict_context_def, v->context, &x, &err))
		return;
	tr_buf_adds(b, ",\"evidence\":\"");
	tr_b64_add(b, v->evidence, TR_B64_STD);
	tr_buf_addf(b, "\",\"context\":{\"now\":%lld", (long long)x.now);
	tr_json_member_hex(b, "challenge", x.challenge);
	tr_json_member_hex(b, "spki", x.spki);
	tr_buf_addf(b, ",\"ak_trust\":%llu", (unsigned long long)x.ak_trust);
	tr_json_member_hex(b, "ak_name", x.ak_name);
	tr_buf_adds(b, "}");
	tr_json_member_hex(b, "bundle", v->bundle);
}

static void say(struct tr_req *r, const struct tr_verdict_row *v)
{
	struct tr_core *c = r->core;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_row_room room = { .text = { 0 } };
	const struct tr_attested_row *a = tr_item_row(&c->attested, tr_table_get(&c->attested, r->q.arg), &room);
	struct tr_msg_hub h = { 0 };
	struct tr_err err = { 0 };

	if (!a) {
		tr_req_refuse(r, 404, "not_found", "no attestation of this agent is known here");
		return;
	}
	if (r->q.hub.n && !tr_record_decode(&tr_msg_hub_def, r->q.hub, &h, &err) && h.wants_jwt && !v) {
		tr_req_answer(r, 200, TR_CT_EAT_JWT, a->token);
		return;
	}
	tr_buf_adds(&b, "{\"agent_id\":");
	tr_json_put_str(&b, a->id);
	tr_json_member_str(&b, "token", a->token);
	tr_buf_adds(&b, ",\"attestation\":");
	tr_attested_json(c, a->id, &b);
	if (v)
		put_evidence(v, &b);
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

static void on_row(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_rows *m = answer;
	struct tr_view list = m ? m->rows : tr_view(NULL, 0), one;
	struct tr_verdict_row v;
	struct tr_err err;

	if (!m || !tr_records_next(&list, &one) || tr_record_decode(&tr_verdict_row_def, one, &v, &err))
		tr_req_refuse(r, m ? 404 : 503, m ? "not_found" : "store_unavailable",
			      m ? "the evidence of this agent is not kept here any more" : "the evidence could not be read; try again");
	else
		say(r, &v);
}

/* Takes kept. Peers hear only of those who are verified now: the same answer for unknown, failed and expired. */
static void answer(struct tr_req *kept, bool operator)
{
	struct tr_core *c = kept->core;
	struct tr_row_room room = { .text = { 0 } };
	const struct tr_attested_row *a = operator ? tr_item_row(&c->attested, tr_table_get(&c->attested, kept->q.arg), &room)
						   : tr_hub_verified(c, kept->q.arg, &room);
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_in_agent_attestation in = { 0 };
	struct tr_err err = { 0 };

	if (!a) {
		tr_req_refuse(kept, 404, "not_found", "no attestation of this agent is in force here");
	} else if (tr_req_in(kept, &in, &err)) {
		tr_req_error(kept, &err);
	} else if (in.evidence) {
		tr_record_encode(&tr_list_query_def, &(struct tr_list_query){ .id = a->verdict, .limit = 1 }, &query);
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_VERDICT, .query = tr_buf_view(&query) }, on_row, kept);
		return;
	} else {
		say(kept, NULL);
	}
	(void)tr_req_free(kept);
}

static void asked_by_peer(struct tr_req *kept)
{
	answer(kept, false);
}

void tr_api_agent_attestation(struct tr_core *c, struct tr_req *r)
{
	struct tr_req *kept;

	if (!r->q.bearer.n) {
		tr_hub_authenticate(c, r, true, asked_by_peer);
		return;
	}
	if (!tr_core_is_operator(c, r))
		return;
	kept = tr_req_keep(r);
	if (kept)
		answer(kept, true);
}
