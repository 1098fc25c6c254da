/* SPDX-License-Identifier: Apache-2.0 */
/* The key that signs results: made when it is first wanted, by the role that holds keys, and vouched for by the CA at once. */
#include "server/tee_inner.h"
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"

static const struct tr_item *result_key_row(const struct tr_core *c)
{
	const struct tr_item *i, *best = NULL;
	uint64_t version = 0;

	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);

		if (!tr_view_is(row->role, TR_SKEY_RESULT) || tr_skey_state_of(row->state) != TR_SKEY_PRIMARY || i->ending ||
		    row->version < version)
			continue;
		best = i;
		version = row->version;
	}
	return best;
}

static void on_made(void *arg, const void *answer)
{
	struct tr_core *c = arg;
	const struct tr_msg_key_made *m = answer;
	struct tr_key_change *ch = m && !m->code ? tr_key_change_begin(c, NULL, 1) : NULL;
	struct tr_skey *k;

	c->tee->making = false;
	if (!ch) {
		tr_log(TR_LOG_ERROR, "result_key_not_made", "why", m ? tr_fmt_view(m->why) : "the role that holds the keys is away",
		       NULL);
		tr_turn_end(c);
		return;
	}
	k = tr_key_change_add(ch, &(struct tr_skey_row){ .role = TR_VIEW_LIT(TR_SKEY_RESULT), .origin = TR_VIEW_LIT("sealed"),
							 .key_type = m->key_type, .spki = m->spki, .sealed = m->sealed });
	/* The CA vouches for it as soon as it is there: nobody has to name it first. */
	k->state = TR_SKEY_PRIMARY;
	k->row.state = tr_view_str(tr_skey_state_name(TR_SKEY_PRIMARY));
	k->row.active_at = k->row.primary_at = tr_now_ms();
	tr_key_change_commit(ch);
}

static void make_key(struct tr_core *c, struct tr_req *r)
{
	(void)r;
	if (result_key_row(c)) {
		c->tee->making = false;
		tr_turn_end(c);
		return;
	}
	tr_core_ask(c, c->keys, TR_M_MAKE_KEY, &tr_msg_make_key_def,
		    &(struct tr_msg_make_key){ .role = TR_VIEW_LIT(TR_SKEY_RESULT) }, on_made, c);
}

const uint8_t *tr_result_key(struct tr_core *c)
{
	const struct tr_item *i = result_key_row(c);

	if (i)
		return tr_authority_usable(c, tr_item_key(i)) ? tr_item_key(i).p : NULL;
	if (!c->tee->making && c->up[TR_UP_KEYS] && c->store_ok && tr_turns_idle(c)) {
		c->tee->making = true;
		tr_turn_take(c, make_key, NULL);
	}
	return NULL;
}
