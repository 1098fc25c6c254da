/* SPDX-License-Identifier: Apache-2.0 */
/* By what evidence is judged now, here and in role `appraise`: its copy is told anew whenever a row changes or the role starts
 * again. A bundle counts only when it has been verified under the keyset of now. */
#include "server/tee_inner.h"
#include "server/authority.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>
#include <stdlib.h>

struct tr_tee_state *tr_tee_state_new(void)
{
	return calloc(1, sizeof(struct tr_tee_state));
}

struct tr_tee_counts *tr_tee_counts(struct tr_core *c)
{
	return &c->tee->counts;
}

const struct tr_collateral *tr_collateral_now(const struct tr_core *c)
{
	return &c->tee->bundle;
}

int64_t tr_collateral_ends(const struct tr_core *c, struct tr_view type, int64_t *ret_issued)
{
	struct tr_view list = c->tee->bundle.items, one;
	struct tr_msg_collateral_item m;
	int64_t ends = 0, issued = 0;
	struct tr_err err;

	while (tr_records_next(&list, &one)) {
		if (tr_record_decode(&tr_msg_collateral_item_def, one, &m, &err) || !tr_view_eq(m.type, type))
			continue;
		if (m.expires && (!ends || m.expires < ends))
			ends = m.expires;
		if (m.issued && (!issued || m.issued < issued))
			issued = m.issued;
	}
	if (ret_issued)
		*ret_issued = issued;
	return ends;
}

/* ---- telling the verifier ---- */

static bool is_active(const struct tr_tee_policy_row *p)
{
	return tr_view_is(p->state, "active");
}

size_t tr_tee_active_policies(const struct tr_core *c)
{
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->tee_policies, i)
		n += is_active(TR_ROW(&c->tee_policies, i));
	return n;
}

const struct tr_item *tr_bundle_newest(const struct tr_core *c)
{
	const struct tr_item *i, *best = NULL;
	uint64_t version = 0;

	TR_EACH_ITEM(&c->bundles, i) {
		const struct tr_bundle_row *row = TR_ROW(&c->bundles, i);

		if (best && row->version <= version)
			continue;
		best = i;
		version = row->version;
	}
	return best;
}

static void send_state(struct tr_core *c)
{
	const struct tr_bundle_row *row = TR_ROW(&c->bundles, tr_bundle_newest(c));
	struct tr_msg_tee_state m = { .clear = true };
	const struct tr_item *i;

	if (!c->appraise)
		return;
	if (c->tee->bundle.good && row)
		m.bundle = row->bytes;
	tr_chan_send_record(c->appraise, TR_M_TEE_STATE, 0, &tr_msg_tee_state_def, &m);
	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);
		tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;

		if (!is_active(p))
			continue;
		tr_record_encode(&tr_tee_policy_row_def, p, &bytes);
		m = (struct tr_msg_tee_state){ .policy = tr_buf_view(&bytes) };
		tr_chan_send_record(c->appraise, TR_M_TEE_STATE, 0, &tr_msg_tee_state_def, &m);
	}
}

static void tell(struct tr_core *c);

static void on_bundle(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	struct tr_tee_state *s = c->tee;
	const struct tr_msg_bundle_read *m = answer;

	s->reading = false;
	if (s->again || !m) {
		/* Without an answer the role is away: it is told when it is back. */
		s->again = false;
		if (m)
			tell(c);
		return;
	}
	s->bundle.good = m->code == TR_OK;
	tr_buf_clear(&s->items);
	if (s->bundle.good) {
		tr_buf_addv(&s->items, m->items);
		s->bundle.made = m->made;
	} else {
		(void)snprintf(s->bundle.why, sizeof(s->bundle.why), "%.*s", TR_VIEW_FMT(m->why));
		tr_log(TR_LOG_ERROR, "collateral_not_used", "why", s->bundle.why, NULL);
	}
	s->bundle.items = tr_buf_view(&s->items);
	send_state(c);
}

static void tell(struct tr_core *c)
{
	struct tr_tee_state *s = c->tee;
	const struct tr_bundle_row *row = TR_ROW(&c->bundles, tr_bundle_newest(c));
	struct tr_msg_read_bundle q = { .keyset = tr_authority_bytes(c), .now = tr_now_ms() };

	if (!c->loaded || !c->appraise)
		return;
	if (s->reading) {
		s->again = true;
		return;
	}
	s->bundle = (struct tr_collateral){ .present = row != NULL };
	if (!row) {
		send_state(c);
		return;
	}
	s->bundle.version = row->version;
	s->bundle.imported_at = row->imported_at;
	if (row->id.n != 64 || !tr_hex_get(row->id, s->bundle.digest, 32)) {
		send_state(c);
		return;
	}
	q.bundle = row->bytes;
	s->reading = true;
	tr_core_ask(c, c->appraise, TR_M_READ_BUNDLE, &tr_msg_read_bundle_def, &q, on_bundle, c);
}

void tr_tee_loaded(struct tr_core *c)
{
	c->tee->expired_up_to = tr_now_ms();
	tell(c);
}

void tr_tee_appraise_up(struct tr_core *c)
{
	c->tee->reading = false;
	tell(c);
}

void tr_tee_follow(struct tr_core *c, uint32_t tables)
{
	if (tables & (1u << TR_T_BUNDLE | 1u << TR_T_TEE_POLICY | 1u << TR_T_KEYSET))
		tell(c);
}

/* ---- which policy ---- */

bool tr_tee_types_name(struct tr_view list, struct tr_view type)
{
	return tr_list_has(list, type) || tr_list_has(list, TR_VIEW_LIT("*"));
}

bool tr_tee_policy_of(const struct tr_core *c, struct tr_view agent_type, struct tr_tee_choice *ret)
{
	const struct tr_item *i;
	bool found = false, exact = false;

	TR_EACH_ITEM(&c->tee_policies, i) {
		const struct tr_tee_policy_row *p = TR_ROW(&c->tee_policies, i);
		bool is = tr_list_has(p->agent_types, agent_type);

		if (!is_active(p) || exact || (!is && (found || !tr_list_has(p->agent_types, TR_VIEW_LIT("*")))))
			continue;
		found = true;
		exact = is;
		(void)snprintf(ret->id, sizeof(ret->id), "%.*s", TR_VIEW_FMT(p->id));
		(void)snprintf(ret->name, sizeof(ret->name), "%.*s", TR_VIEW_FMT(p->name));
		ret->version = p->version;
	}
	return found;
}
