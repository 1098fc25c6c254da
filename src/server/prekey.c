/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /api/v1/agent/prekey: the key that messages to this agent are sealed to from now on, signed by its identity key. The
 * hub hands it on as it came: it could withhold one, it cannot make one. */
#include "server/hub.h"

#include "base/clock.h"
#include "codec/text.h"
#include "server/msg_hub.h"
#include "signed/prekey.h"

static void stored(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;

	if (rc)
		tr_req_not_stored(r, rc, why);
	else
		tr_req_answer(r, 200, TR_CT_JSON, TR_VIEW_LIT("{\"recorded\":true}"));
}

static bool is_ours(struct tr_req *r, const struct tr_msg_prekey_read *m)
{
	int64_t now_s = tr_now_ms() / 1000;

	if (m->code) {
		tr_req_refuse(r, m->code == TR_E_DENIED ? 401 : 400, m->code == TR_E_DENIED ? "bad_signature" : "malformed",
			      "the body is no pre-key signed by this agent's identity key; see docs/protocol/message.md");
		return false;
	}
	if (!tr_view_eq(m->agent, r->q.agent_id) || !tr_view_is(m->fleet, r->core->cfg->trust_domain)) {
		tr_req_refuse(r, 403, "wrong_agent", "the pre-key names another agent or another fleet");
		return false;
	}
	if (m->not_before > now_s + TR_REQUEST_SKEW_S || m->not_after <= now_s ||
	    m->not_after - m->not_before > TR_PREKEY_LIFE_S) {
		tr_req_refuse(r, 400, "expired", "the pre-key is not valid now, or for longer than two days; set the clock right");
		return false;
	}
	return true;
}

static void on_read(void *arg, const void *answer)
{
	tr_auto(tr_req_free) struct tr_req *r = arg;
	const struct tr_msg_prekey_read *m = answer;
	struct tr_core *c = r->core;
	struct tr_row_room room;
	const struct tr_attested_row *a;
	struct tr_attested_row row;
	struct tr_tx *tx;

	if (!m) {
		tr_req_no_verifier(r);
		return;
	}
	if (!is_ours(r, m) || !tr_core_agent_of(c, r))
		return;
	a = tr_hub_verified(c, r->q.agent_id, &room);
	if (!a) {
		tr_req_refuse(r, 403, "not_attested", "this agent has no attestation in force; register with fresh evidence first");
		return;
	}
	if (m->number <= a->prekey_number) {
		tr_req_refuse(r, 409, "old_prekey", "a pre-key of this or a higher number is known already; make a new one");
		return;
	}
	row = *a;
	row.prekey = r->q.in;
	row.prekey_number = m->number;
	tx = tr_tx_new(c);
	tr_tx_touch(tx, tr_table_get(&c->attested, row.id));
	tr_tx_add(tx, TR_OP_PUT, TR_T_ATTESTED, &row);
	tr_tx_commit(tx, stored, TR_TAKE(r));
}

void tr_api_prekey(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_msg_read_prekey q;
	struct tr_row_room room;
	struct tr_req *kept;

	if (!i || !tr_core_may_write(i, r))
		return;
	q = (struct tr_msg_read_prekey){ .spki = ((const struct tr_agent_row *)tr_item_row(&c->agents, i, &room))->spki,
					 .prekey = r->q.in };
	kept = tr_req_keep(r);
	if (kept)
		tr_core_ask(c, c->appraise, TR_M_READ_PREKEY, &tr_msg_read_prekey_def, &q, on_read, kept);
}
