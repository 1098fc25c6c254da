/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of signing keys, one after the other: rows are read, skeys.c decides, the rows that changed become durable in one
 * transaction with their audit rows, and only then anybody hears of it. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"
#include "server/orders.h"

/* ---- turns ---- */

static void next_turn(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	tr_turn_fn fn;
	struct tr_req *r;

	if (a->turning || !a->n_turns)
		return;
	fn = a->turns[a->turn_at].fn;
	r = a->turns[a->turn_at].r;
	a->turn_at = (a->turn_at + 1) % TR_TURNS_MAX;
	a->n_turns--;
	a->turning = true;
	fn(c, r);
}

void tr_turn_take(struct tr_core *c, tr_turn_fn fn, struct tr_req *r)
{
	struct tr_authority *a = c->authority;
	size_t at = (a->turn_at + a->n_turns) % TR_TURNS_MAX;

	if (a->n_turns == TR_TURNS_MAX) {
		if (r) {
			tr_req_refuse(r, 503, "busy", "too many changes of keys are under way; try again in a second");
			if (r->about)
				r->about->ending = false;
		}
		(void)tr_req_free(r);
		return;
	}
	a->turns[at].fn = fn;
	a->turns[at].r = r;
	a->n_turns++;
	next_turn(c);
}

void tr_turn_end(struct tr_core *c)
{
	c->authority->turning = false;
	next_turn(c);
}

bool tr_turns_idle(const struct tr_core *c)
{
	return !c->authority->turning && !c->authority->n_turns;
}

/* ---- a change ---- */

static struct tr_key_change *change_free(struct tr_key_change *ch)
{
	if (ch) {
		free(ch->s.keys);
		free(ch->rooms);
		free(ch->ids);
		free(ch->notes);
		(void)tr_tx_free(ch->tx);
		free(ch);
	}
	return NULL;
}

static void take_rows(struct tr_core *c, struct tr_key_change *ch)
{
	const struct tr_item *i;

	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = tr_item_row(&c->skeys, i, &ch->rooms[ch->s.n]);
		struct tr_skey *k = &ch->s.keys[ch->s.n];

		if (!row)
			continue;
		k->row = *row;
		k->state = k->was = tr_skey_state_of(row->state);
		k->usable = tr_authority_usable(c, row->id);
		ch->s.n++;
	}
	ch->n_stored = ch->s.n;
}

struct tr_key_change *tr_key_change_begin(struct tr_core *c, struct tr_req *r, size_t more)
{
	struct tr_key_change *ch = calloc(1, sizeof(*ch));

	if (ch) {
		ch->c = c;
		ch->s.now_ms = tr_now_ms();
		ch->s.keys = calloc(c->skeys.n + more + 1, sizeof(*ch->s.keys));
		ch->rooms = calloc(c->skeys.n + 1, sizeof(*ch->rooms));
		ch->ids = calloc(more + 1, sizeof(*ch->ids));
		ch->notes = calloc(c->skeys.n + more + 1, sizeof(*ch->notes));
		ch->tx = tr_tx_new(c);
		ch->status = 200;
		(void)snprintf(ch->by, sizeof(ch->by), "%s", r ? r->actor : "system");
		if (!ch->s.keys || !ch->rooms || !ch->ids || !ch->notes || !ch->tx)
			ch = change_free(ch);
	}
	if (!ch) {
		if (r)
			tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return NULL;
	}
	take_rows(c, ch);
	tr_skeys_name(&ch->s, &c->authority->keyset);
	ch->r = r;
	return ch;
}

void tr_key_change_drop(struct tr_key_change *ch)
{
	struct tr_core *c = ch->c;

	(void)tr_req_free(ch->r);
	(void)change_free(ch);
	tr_turn_end(c);
}

struct tr_skey *tr_key_change_add(struct tr_key_change *ch, const struct tr_skey_row *row)
{
	struct tr_skey *k = &ch->s.keys[ch->s.n];
	uint8_t *id = ch->ids[ch->s.n - ch->n_stored];

	*k = (struct tr_skey){ .row = *row, .state = TR_SKEY_PREPARED, .was = TR_SKEY_PREPARED };
	tr_sha256(row->spki, id);
	k->row.id = tr_view(id, 32);
	k->usable = tr_authority_usable(ch->c, k->row.id);
	k->row.version = 1;
	for (size_t i = 0; i < ch->s.n; i++)
		if (tr_view_eq(ch->s.keys[i].row.role, row->role) && ch->s.keys[i].row.version >= k->row.version)
			k->row.version = ch->s.keys[i].row.version + 1;
	k->row.state = tr_view_str(tr_skey_state_name(TR_SKEY_PREPARED));
	k->row.created_at = ch->s.now_ms;
	k->row.created_by = tr_view_str(ch->by);
	if (!row->name.n) {
		(void)snprintf(ch->name, sizeof(ch->name), "%.*s-%llu", TR_VIEW_FMT(row->role),
			       (unsigned long long)k->row.version);
		k->row.name = tr_view_str(ch->name);
	}
	ch->s.n++;
	return k;
}

/* ---- storing it ---- */

static struct tr_key_note *note(struct tr_key_change *ch, const struct tr_skey *k, bool fresh)
{
	struct tr_key_note *n = &ch->notes[ch->n_notes++];

	*n = (struct tr_key_note){ .from = k->was, .to = k->state, .fresh = fresh };
	memcpy(n->id, k->row.id.p, k->row.id.n < 32 ? k->row.id.n : 32);
	(void)snprintf(n->role, sizeof(n->role), "%.*s", TR_VIEW_FMT(k->row.role));
	if (k->state >= TR_SKEY_RETIRED)
		(void)snprintf(n->reason, sizeof(n->reason), "%.*s", TR_VIEW_FMT(k->row.end_reason));
	return n;
}

static void detail_of(const struct tr_key_change *ch, const struct tr_key_note *n, struct tr_buf *b)
{
	char id[17];

	tr_short_id(TR_VIEW_ARRAY(n->id), id);
	tr_buf_addf(b, "{\"key\":\"%s\",\"role\":\"%s\",\"from\":", id, n->role);
	if (n->fresh)
		tr_buf_adds(b, "null");
	else
		tr_buf_addf(b, "\"%s\"", tr_skey_state_name(n->from));
	tr_buf_addf(b, ",\"to\":\"%s\",\"by\":", tr_skey_state_name(n->to));
	tr_json_put_str(b, tr_view_str(ch->by));
	if (n->reason[0]) {
		tr_buf_adds(b, ",\"reason\":");
		tr_json_put_str(b, tr_view_str(n->reason));
	}
	tr_buf_adds(b, "}");
}

static void put_key(struct tr_key_change *ch, const struct tr_skey *k, bool fresh)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;

	tr_hex_add(&hex, k->row.id);
	detail_of(ch, note(ch, k, fresh), &detail);
	tr_tx_add(ch->tx, fresh ? TR_OP_INSERT : TR_OP_PUT, TR_T_SKEY, &k->row);
	tr_audit(ch->tx, ch->by, fresh ? "signing_key.create" : "signing_key.state", tr_buf_view(&hex), "ok", "",
		 ch->r ? ch->r->q.source : tr_view(NULL, 0), tr_buf_view(&detail));
}

static void tell(struct tr_key_change *ch, enum tr_event_kind kind, unsigned severity, const struct tr_buf *detail)
{
	struct tr_event ev = { .kind = kind, .agent = TR_NO_AGENT, .severity = severity, .detail = tr_buf_view(detail),
			       .source = ch->r ? ch->r->q.source : tr_view(NULL, 0) };

	tr_effects_event(ch->c->effects, &ev);
}

static void tell_all(struct tr_key_change *ch)
{
	struct tr_core *c = ch->c;

	if (ch->published) {
		tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

		tr_buf_addf(&d, "{\"epoch\":%llu,\"revocation_number\":%llu,\"by\":", (unsigned long long)c->keyset_epoch,
			    (unsigned long long)c->authority->keyset.revocation_number);
		tr_json_put_str(&d, tr_view_str(ch->by));
		tr_buf_adds(&d, "}");
		tell(ch, TR_EV_KEYSET_PUBLISHED, 4, &d);
	}
	for (size_t i = 0; i < ch->n_notes; i++) {
		tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

		detail_of(ch, &ch->notes[i], &d);
		tell(ch, TR_EV_KEY_STATE, ch->notes[i].to == TR_SKEY_REVOKED ? 2 : 4, &d);
	}
}

/* What a key signed that may not be believed any more is signed anew. */
static void resign(struct tr_key_change *ch)
{
	for (size_t i = 0; i < ch->n_notes; i++)
		if (ch->notes[i].to >= TR_SKEY_RETIRED && strcmp(ch->notes[i].role, "command") == 0)
			tr_orders_resign(ch->c, ch->notes[i].id);
}

static void put_publication(const struct tr_key_change *ch, struct tr_buf *b)
{
	const struct tr_core *c = ch->c;
	const struct tr_keyset *k = &c->authority->keyset;

	tr_buf_addf(b, "{\"epoch\":%llu,\"revocation_number\":%llu,\"expires_at\":\"", (unsigned long long)k->epoch,
		    (unsigned long long)k->revocation_number);
	tr_rfc3339_add(b, k->expires_ms);
	tr_buf_adds(b, "\",\"root_fingerprint\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(c->root_pin));
	tr_buf_adds(b, "\",\"changes\":[");
	for (size_t i = 0; i < ch->n_notes; i++) {
		const struct tr_key_note *n = &ch->notes[i];

		tr_buf_adds(b, i ? ",{\"id\":\"" : "{\"id\":\"");
		tr_hex_add(b, TR_VIEW_ARRAY(n->id));
		tr_buf_addf(b, "\",\"role\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"}", n->role, tr_skey_state_name(n->from),
			    tr_skey_state_name(n->to));
	}
	tr_buf_adds(b, "]}");
}

static void answer(const struct tr_key_change *ch)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_skey_row *row = TR_ROW(&ch->c->skeys, tr_table_get(&ch->c->skeys, TR_VIEW_ARRAY(ch->about)));

	if (ch->published)
		put_publication(ch, &b);
	else if (row)
		tr_skey_json(ch->c, row, &b);
	tr_req_answer(ch->r, ch->published ? 201 : ch->status, TR_CT_JSON, tr_buf_view(&b));
}

static void not_stored(struct tr_key_change *ch, enum tr_code rc, const char *why)
{
	struct tr_item *i = tr_table_get(&ch->c->skeys, TR_VIEW_ARRAY(ch->about));

	/* The operator hears that it did not happen. */
	if (i)
		i->ending = false;
	tr_authority_refresh_key(ch->c);
	if (!ch->r)
		tr_log(TR_LOG_WARN, "keys_not_stored", "why", why, NULL);
	else if (rc == TR_E_CONFLICT)
		tr_req_refuse(ch->r, 409, "conflict", "another node of this installation has just changed keys or keysets; look again");
	else
		tr_req_refuse(ch->r, 503, "store_unavailable", why);
}

static void on_stored(void *arg, enum tr_code rc, const char *why)
{
	struct tr_key_change *ch = arg;

	ch->tx = NULL; /* the transaction frees itself */
	if (rc) {
		not_stored(ch, rc, why);
	} else {
		tell_all(ch);
		resign(ch);
		if (ch->r)
			answer(ch);
	}
	tr_key_change_drop(ch);
}

void tr_key_change_commit(struct tr_key_change *ch)
{
	struct tr_tx *tx = ch->tx;

	/* The old primary leaves its place before the new one takes it: the database watches over that, row by row. */
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < ch->s.n; i++) {
			const struct tr_skey *k = &ch->s.keys[i];

			if ((i >= ch->n_stored || tr_skey_changed(k)) && (k->state == TR_SKEY_PRIMARY) == (pass == 1))
				put_key(ch, k, i >= ch->n_stored);
		}
	ch->tx = NULL;
	tr_tx_commit(tx, on_stored, ch);
}
