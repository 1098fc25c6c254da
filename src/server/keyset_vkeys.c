/* SPDX-License-Identifier: Apache-2.0 */
/* Release keys of the keyset become verification keys of this server: once the authority names any, it alone does. */
#include "server/authority_inner.h"

#include "base/log.h"

#define BY_KEYSET "keyset"

bool tr_keyset_names_release(const struct tr_core *c)
{
	const struct tr_keyset *k = &c->authority->keyset;

	for (size_t i = 0; i < k->n_keys; i++)
		if (k->keys[i].role == TR_ROLE_RELEASE)
			return true;
	return false;
}

static const struct tr_keyset_key *named(const struct tr_keyset *k, struct tr_view id)
{
	for (size_t i = 0; i < k->n_keys; i++) {
		uint8_t digest[32];

		if (k->keys[i].role == TR_ROLE_RELEASE && tr_keyset_key_id(&k->keys[i], digest) &&
		    tr_view_eq(id, TR_VIEW_ARRAY(digest)))
			return &k->keys[i];
	}
	return NULL;
}

/* Statements that were issued until no_sign_after stay good: for a release key that is its not_after. */
static void take_times(struct tr_vkey_row *row, const struct tr_keyset_key *k)
{
	row->not_before = k->not_before_ms;
	row->not_after = k->not_after_ms;
	if (k->no_sign_after_ms && (!row->not_after || k->no_sign_after_ms < row->not_after))
		row->not_after = k->no_sign_after_ms;
}

static void end(struct tr_vkey_row *row, const char *state, int64_t now, const char *why)
{
	row->state = tr_view_str(state);
	row->ended_at = now;
	row->end_reason = tr_view_str(why);
	if (tr_view_is(row->state, "retired") && (!row->not_after || row->not_after > now))
		row->not_after = now;
}

/* What the keyset says of a key that is known already. */
static void follow(struct tr_key_change *ch, const struct tr_keyset *k, struct tr_item *i)
{
	struct tr_vkey_row row = *(const struct tr_vkey_row *)TR_ROW(&ch->c->vkeys, i);
	const struct tr_keyset_key *n = named(k, row.id);
	bool ours = tr_view_is(row.added_by, BY_KEYSET);

	if (tr_view_is(row.state, "revoked"))
		return; /* an operator's revocation stands, whatever a keyset says later */
	if (row.id.n == 32 && tr_keyset_revokes(k, row.id.p))
		end(&row, "revoked", ch->s.now_ms, "revoked by the keyset");
	else if (n && tr_view_is(row.use, "release"))
		take_times(&row, n);
	else if (ours && !n && tr_view_is(row.state, "active"))
		end(&row, "retired", ch->s.now_ms, "no longer in the keyset");
	else
		return;
	tr_tx_touch(ch->tx, i);
	tr_tx_add(ch->tx, TR_OP_PUT, TR_T_VKEY, &row);
}

static void add(struct tr_key_change *ch, const struct tr_keyset_key *k, const uint8_t id[32])
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_vkey_row row = { .id = tr_view(id, 32), .use = TR_VIEW_LIT("release"), .state = TR_VIEW_LIT("active"),
				   .name = TR_VIEW_LIT("from the keyset"), .spki = k->key, .added_at = ch->s.now_ms,
				   .added_by = TR_VIEW_LIT(BY_KEYSET) };
	struct tr_err err = { 0 };

	if (tr_pubkey_from_spki(k->key, &key, &err)) {
		tr_log_err(TR_LOG_ERROR, "release_key_of_keyset_unusable", &err, NULL);
		return;
	}
	row.key_type = tr_view_str(tr_pubkey_type_name(key));
	take_times(&row, k);
	tr_tx_add(ch->tx, TR_OP_PUT, TR_T_VKEY, &row);
}

void tr_keyset_release_keys(struct tr_key_change *ch, const struct tr_keyset *k)
{
	struct tr_core *c = ch->c;
	size_t room = c->vkeys.n < TR_VKEYS_MAX ? TR_VKEYS_MAX - c->vkeys.n : 0;
	struct tr_item *i;

	TR_EACH_ITEM(&c->vkeys, i)
		follow(ch, k, i);
	for (size_t n = 0; n < k->n_keys; n++) {
		uint8_t id[32];

		if (k->keys[n].role != TR_ROLE_RELEASE || !tr_keyset_key_id(&k->keys[n], id) || tr_keyset_revokes(k, id) ||
		    tr_table_get(&c->vkeys, TR_VIEW_ARRAY(id)))
			continue;
		if (room) {
			add(ch, &k->keys[n], id);
			room--;
		} else {
			tr_log(TR_LOG_ERROR, "release_key_of_keyset_unusable", "why", "no room for more verification keys", NULL);
		}
	}
}
