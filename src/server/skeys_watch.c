/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of keys without anybody's word: what `keys` holds besides the database gets its row, validity ends, uses are
 * counted; and what a person must know of it. */
#include "server/authority_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>

#define USES_EVERY_MS 60000
#define DAY_MS INT64_C(86400000)
#define EXPIRING_MS (30 * DAY_MS)

/* ---- rows for keys that are files or in a token ---- */

static bool is_known(const struct tr_core *c, const struct tr_msg_held *h)
{
	uint8_t id[32];

	tr_sha256(h->spki, id);
	return tr_table_get(&c->skeys, TR_VIEW_ARRAY(id)) != NULL;
}

static bool any_unknown(const struct tr_core *c)
{
	struct tr_view list = tr_buf_view(&c->authority->held), one;
	struct tr_msg_held h;
	struct tr_err err;

	while (tr_records_next(&list, &one))
		if (!tr_record_decode(&tr_msg_held_def, one, &h, &err) && !is_known(c, &h))
			return true;
	return false;
}

static size_t count(struct tr_view list)
{
	struct tr_view one;
	size_t n = 0;

	while (tr_records_next(&list, &one))
		n++;
	return n;
}

static void add_held(struct tr_core *c, struct tr_req *r)
{
	/* A copy: `keys` may come up anew, and tell again, before this is stored. */
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	struct tr_key_change *ch;
	struct tr_view rest, one;
	size_t most;

	tr_buf_addv(&list, tr_buf_view(&c->authority->held));
	rest = tr_buf_view(&list);
	most = count(rest);
	ch = most && c->skeys.n + most <= TR_SKEYS_MAX ? tr_key_change_begin(c, r, most) : NULL;
	if (!ch) {
		tr_turn_end(c);
		return;
	}
	while (tr_records_next(&rest, &one)) {
		struct tr_msg_held h;
		struct tr_err err = { 0 };

		if (!tr_record_decode(&tr_msg_held_def, one, &h, &err) && !is_known(c, &h))
			(void)tr_key_change_add(ch, &(struct tr_skey_row){ .role = h.role, .origin = h.origin, .name = h.name,
									   .key_type = h.key_type, .spki = h.spki });
	}
	/* A keyset that is in force may name it already: the CA of every installation. */
	tr_skeys_follow(&ch->s, &c->authority->keyset);
	tr_key_change_commit(ch); /* encodes the rows at once */
}

void tr_authority_hold(struct tr_core *c)
{
	if (c->loaded && c->authority->imported && tr_turns_idle(c) && any_unknown(c))
		tr_turn_take(c, add_held, NULL);
}

void tr_authority_keys_held(struct tr_core *c, struct tr_view list)
{
	struct tr_authority *a = c->authority;

	tr_buf_clear(&a->held);
	tr_buf_addv(&a->held, list);
	tr_authority_refresh_key(c);
	tr_authority_hold(c);
}

/* ---- uses ---- */

static void on_uses(void *arg, enum tr_code rc, const char *why)
{
	struct tr_core *c = arg;

	/* Another node may have counted at the same time: once more, from its row. */
	for (size_t i = 0; rc && i < TR_ARRAY_LEN(c->authority->uses); i++)
		if (c->authority->uses_sent[i].n)
			tr_authority_count_uses(c, c->authority->uses_sent[i].id, c->authority->uses_sent[i].n);
	if (rc)
		tr_log(TR_LOG_WARN, "key_uses_not_stored", "why", why, NULL);
	tr_turn_end(c);
}

static void store_uses(struct tr_core *c, struct tr_req *r)
{
	struct tr_authority *a = c->authority;
	struct tr_tx *tx = tr_tx_new(c);

	(void)r;
	memset(a->uses_sent, 0, sizeof(a->uses_sent));
	for (size_t i = 0; tx && i < TR_ARRAY_LEN(a->uses); i++) {
		const struct tr_skey_row *at = TR_ROW(&c->skeys, tr_table_get(&c->skeys, TR_VIEW_ARRAY(a->uses[i].id)));
		struct tr_skey_row row;

		if (!at || !a->uses[i].n)
			continue;
		row = *at;
		row.uses += a->uses[i].n;
		tr_tx_add(tx, TR_OP_PUT, TR_T_SKEY, &row);
		a->uses_sent[i] = a->uses[i];
		a->uses[i].n = 0;
	}
	tr_tx_commit(tx, on_uses, c);
}

static void store_uses_sometimes(struct tr_core *c)
{
	struct tr_authority *a = c->authority;
	uint64_t now = tr_mono_ms();
	bool any = false;

	if (now - a->uses_stored_at < USES_EVERY_MS)
		return;
	a->uses_stored_at = now;
	for (size_t i = 0; i < TR_ARRAY_LEN(a->uses); i++)
		any |= a->uses[i].n > 0;
	if (any)
		tr_turn_take(c, store_uses, NULL);
}

/* ---- alerts ---- */

static void raise_or_end(struct tr_core *c, bool is, const char *kind, struct tr_view subject, const char *summary,
			 unsigned severity, const char *over)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	struct tr_alert what = { .kind = kind, .subject = subject, .severity = severity, .summary = tr_view_str(summary) };
	const struct tr_alert_row *open = tr_alerts_find(alerts, kind, subject);
	int64_t now = tr_core_now(c).ms;

	/* Again when it has become worse: whoever saw the lesser thing has not seen this. */
	if (is && (!open || (severity && severity < open->severity)))
		tr_alerts_raise(alerts, now, &what);
	else if (!is && open)
		tr_alerts_resolve(alerts, now, kind, subject, over);
}

static bool names(const struct tr_keyset *k, const struct tr_skey_row *row)
{
	for (size_t i = 0; i < k->n_keys; i++)
		if (tr_view_eq(k->keys[i].key, row->spki) && tr_view_is(row->role, tr_key_role_name(k->keys[i].role)))
			return true;
	return false;
}

static void watch_key(struct tr_core *c, const struct tr_skey_row *row)
{
	const struct tr_keyset *k = &c->authority->keyset;
	enum tr_skey_state state = tr_skey_state_of(row->state);
	bool told = c->up[TR_UP_KEYS] && c->authority->load_told;
	char subject[32], id[17], what[200];

	tr_short_id(row->id, id);
	(void)snprintf(subject, sizeof(subject), "key:%s", id);
	(void)snprintf(what, sizeof(what), "the %.*s key %s was revoked here, and the keyset in force still names it as good",
		       TR_VIEW_FMT(row->role), id);
	raise_or_end(c, state == TR_SKEY_REVOKED && row->id.n == 32 && names(k, row) && !tr_keyset_revokes(k, row->id.p),
		     "revocation_unpublished", tr_view_str(subject), what, 0, "the keyset in force does not name it as good");
	(void)snprintf(what, sizeof(what), "the %.*s key %s (%.*s) cannot be used by this node", TR_VIEW_FMT(row->role), id,
		       TR_VIEW_FMT(row->state));
	/* Only one that should be usable here: a role that is just starting, or a key whose time is over, is no news. */
	if (told || state >= TR_SKEY_RETIRED)
		raise_or_end(c, state < TR_SKEY_RETIRED && !tr_authority_usable(c, row->id), "key_unusable",
			     tr_view_str(subject), what, state == TR_SKEY_PRIMARY ? 1 : 0,
			     "it can be used, or is not needed any more");
}

static void watch_alerts(struct tr_core *c)
{
	const struct tr_keyset *k = &c->authority->keyset;
	int64_t left = k->expires_ms - tr_now_ms();
	char what[160];
	const struct tr_item *i;

	/* Alerts are the installation's: one node raises them. What another cannot use, its log and its /readyz tell. */
	if (!tr_core_holds(c))
		return;
	TR_EACH_ITEM(&c->skeys, i)
		watch_key(c, TR_ROW(&c->skeys, i));
	if (left > 0)
		(void)snprintf(what, sizeof(what), "the keyset in force (epoch %llu) expires in %lld days",
			       (unsigned long long)k->epoch, (long long)(left / DAY_MS));
	else
		(void)snprintf(what, sizeof(what),
			       "the keyset in force (epoch %llu) has expired: nobody can enrol, and agents obey nothing but reads",
			       (unsigned long long)k->epoch);
	raise_or_end(c, left < EXPIRING_MS, "keyset_expiring", TR_VIEW_LIT("server"), what, left <= 0 ? 1 : 0,
		     "a newer keyset is in force");
	raise_or_end(c, c->authority->broken, "keyset_tampered", TR_VIEW_LIT("server"),
		     "the database holds a keyset that the one before it does not vouch for; it is not used and not passed on", 0,
		     "the chain verifies again");
}

void tr_authority_measure(const struct tr_core *c, struct tr_authority_gauges *ret)
{
	const struct tr_authority *a = c->authority;
	const struct tr_item *i;

	*ret = (struct tr_authority_gauges){ .epoch = a->keyset.epoch, .revocation_number = a->keyset.revocation_number,
					     .expires_ms = a->keyset.expires_ms, .signed_total = a->signed_total,
					     .sign_failures = a->sign_failures,
					     .command_key = tr_authority_command_key(c) != NULL };
	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *row = TR_ROW(&c->skeys, i);
		enum tr_skey_state s = tr_skey_state_of(row->state);

		ret->keys_active += s == TR_SKEY_ACTIVE || s == TR_SKEY_PRIMARY || s == TR_SKEY_RETIRING;
		ret->keys_unusable += s < TR_SKEY_RETIRED && !tr_authority_usable(c, row->id);
	}
}

/* ---- the clock ---- */

static void tick(struct tr_core *c, struct tr_req *r)
{
	struct tr_key_change *ch = tr_key_change_begin(c, r, 0);
	bool any = false;

	if (!ch) {
		tr_turn_end(c);
		return;
	}
	/* A key that an earlier start of this server could not place may be named by now. */
	tr_skeys_follow(&ch->s, &c->authority->keyset);
	for (size_t i = 0; i < ch->s.n; i++)
		any |= tr_skey_changed(&ch->s.keys[i]);
	if (any)
		tr_key_change_commit(ch);
	else
		tr_key_change_drop(ch);
}

void tr_authority_tick(struct tr_core *c)
{
	if (!c->loaded || !c->authority->imported)
		return;
	tr_authority_refresh_key(c);
	watch_alerts(c);
	if (!c->store_ok || !tr_turns_idle(c))
		return;
	tr_authority_hold(c);
	store_uses_sometimes(c);
	if (tr_core_holds(c))
		tr_turn_take(c, tick, NULL);
}
