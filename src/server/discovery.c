/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery (TE-5): which verified agents there are, where they listen, and by which key they are known. What has expired
 * or was revoked is not there: nothing stale is ever told. */
#include "server/hub.h"

#include "base/clock.h"
#include "base/list.h"
#include "codec/pem.h"
#include "codec/text.h"

#define LIST_MAX 200u
#define LOOKED_AT 20000u

static void put_list(struct tr_view commas, struct tr_buf *b)
{
	struct tr_view one;
	bool first = true;

	tr_buf_add8(b, '[');
	while (tr_list_next(&commas, &one)) {
		if (!first)
			tr_buf_add8(b, ',');
		first = false;
		tr_json_put_str(b, one);
	}
	tr_buf_add8(b, ']');
}

void tr_discovered_json(const struct tr_attested_row *a, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	tr_pem_add(&pem, "PUBLIC KEY", a->spki);
	tr_buf_adds(b, "{\"agent_id\":");
	tr_json_put_str(b, a->id);
	tr_json_member_str(b, "agent_type", a->agent_type);
	tr_json_member_str(b, "status", TR_VIEW_LIT("verified"));
	tr_json_member_str(b, "endpoint", a->endpoint);
	tr_json_member_str(b, "attestation_endpoint", a->attestation_endpoint);
	tr_buf_adds(b, ",\"capabilities\":");
	put_list(a->capabilities, b);
	tr_buf_adds(b, ",\"attestation_info\":{\"public_key_pem\":");
	tr_json_put_str(b, tr_buf_view(&pem));
	tr_json_member_time(b, "verified_at", a->verified_at);
	tr_json_member_time(b, "expires_at", a->expires_at);
	tr_json_member_str(b, "kind", a->kind);
	tr_json_member_str(b, "tier", a->tier);
	tr_json_member_str(b, "policy", a->policy);
	tr_json_member_str(b, "tcb_status", a->tcb_status);
	tr_buf_addf(b, ",\"simulated\":%s", a->simulated ? "true" : "false");
	tr_json_member_str(b, "verdict", a->verdict);
	tr_json_member_str(b, "token", a->token);
	tr_buf_adds(b, ",\"prekey\":\"");
	tr_b64_add(b, a->prekey, TR_B64_STD);
	tr_buf_adds(b, "\"}}");
}

static void found(struct tr_req *kept)
{
	tr_auto(tr_req_free) struct tr_req *r = kept;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_row_room room;
	const struct tr_attested_row *a = tr_hub_verified(r->core, r->q.arg, &room);

	if (!a) {
		tr_req_refuse(r, 404, "not_found", "no verified agent of this id: unknown, not attested, expired or revoked");
		return;
	}
	tr_discovered_json(a, &b);
	tr_req_answer_json(r, &b);
}

void tr_api_discover_one(struct tr_core *c, struct tr_req *r)
{
	tr_hub_authenticate(c, r, true, found);
}

static void listed(struct tr_req *kept)
{
	tr_auto(tr_req_free) struct tr_req *r = kept;
	struct tr_core *c = r->core;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	struct tr_in_discover in;
	struct tr_view last = { 0 };
	struct tr_err err = { 0 };
	uint64_t n = 0, looked = 0;
	size_t at;
	const struct tr_item *i;
	bool more = false;

	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	in.limit = !in.limit ? 50 : in.limit > LIST_MAX ? LIST_MAX : in.limit;
	tr_buf_adds(&b, "{\"agents\":[");
	at = tr_table_after(&c->attested, in.cursor);
	while ((i = tr_table_next(&c->attested, &at))) {
		struct tr_row_room room;
		const struct tr_attested_row *a;

		if (n == in.limit || looked++ == LOOKED_AT) {
			more = true;
			break;
		}
		last = tr_item_key(i);
		a = tr_hub_verified(c, last, &room);
		if (!a || (in.capability.n && !tr_list_has(a->capabilities, in.capability)) ||
		    (in.agent_type.n && !tr_view_eq(a->agent_type, in.agent_type)))
			continue;
		if (n++)
			tr_buf_add8(&b, ',');
		tr_discovered_json(a, &b);
	}
	tr_buf_adds(&b, "]");
	tr_json_member_str(&b, "next", more ? last : tr_view(NULL, 0));
	tr_buf_adds(&b, "}");
	tr_req_answer_json(r, &b);
}

void tr_api_discover(struct tr_core *c, struct tr_req *r)
{
	tr_hub_authenticate(c, r, true, listed);
}
