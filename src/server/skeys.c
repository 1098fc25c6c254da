/* SPDX-License-Identifier: Apache-2.0 */
#include "server/skeys.h"

#include "crypto/x509.h"

static const char *const names[TR_SKEY_N] = { "prepared", "active", "primary", "retiring", "retired", "revoked" };

const char *tr_skey_state_name(enum tr_skey_state s)
{
	return (unsigned)s < TR_SKEY_N ? names[s] : "";
}

enum tr_skey_state tr_skey_state_of(struct tr_view name)
{
	unsigned s = 0;

	while (s < TR_SKEY_N && !tr_view_is(name, names[s]))
		s++;
	return (enum tr_skey_state)s;
}

/* ---- what a keyset says ---- */

bool tr_keyset_key_id(const struct tr_keyset_key *k, uint8_t out[32])
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_err err = { 0 };

	if (k->role != TR_ROLE_CA) {
		tr_sha256(k->key, out);
		return true;
	}
	if (tr_cert_parse(k->key, &cert, &err) || !tr_cert_key(cert))
		return false;
	memcpy(out, tr_pubkey_id(tr_cert_key(cert)), 32);
	return true;
}

static bool lists(const struct tr_keyset *k, const uint8_t id[32])
{
	for (size_t i = 0; i < k->n_revoked; i++)
		if (memcmp(k->revoked[i], id, 32) == 0)
			return true;
	return false;
}

void tr_skeys_name(struct tr_skeys *s, const struct tr_keyset *k)
{
	for (size_t i = 0; i < s->n; i++) {
		s->keys[i].named = NULL;
		s->keys[i].listed_revoked = s->keys[i].row.id.n == 32 && lists(k, s->keys[i].row.id.p);
	}
	for (size_t n = 0; n < k->n_keys; n++) {
		const struct tr_keyset_key *named = &k->keys[n];
		uint8_t id[32], whole[32];

		if (!tr_keyset_key_id(named, id))
			continue;
		tr_sha256(named->key, whole); /* a certificate may be revoked as such */
		for (size_t i = 0; i < s->n; i++) {
			struct tr_skey *key = &s->keys[i];

			if (!tr_view_eq(key->row.id, TR_VIEW_ARRAY(id)) ||
			    !tr_view_is(key->row.role, tr_key_role_name(named->role)))
				continue;
			key->named = named;
			key->listed_revoked |= lists(k, whole);
		}
	}
}

bool tr_skey_may_sign(const struct tr_skey *k, int64_t now_ms)
{
	const struct tr_keyset_key *n = k->named;

	return n && !k->listed_revoked && now_ms >= n->not_before_ms && (!n->not_after_ms || now_ms < n->not_after_ms) &&
	       (!n->no_sign_after_ms || now_ms < n->no_sign_after_ms);
}

/* ---- transitions ---- */

static void become(struct tr_skeys *s, struct tr_skey *k, enum tr_skey_state to, struct tr_view why)
{
	k->state = to;
	k->row.state = tr_view_str(names[to]);
	switch (to) {
	case TR_SKEY_ACTIVE: k->row.active_at = s->now_ms; break;
	case TR_SKEY_PRIMARY: k->row.primary_at = s->now_ms; break;
	case TR_SKEY_RETIRING: k->row.retiring_at = s->now_ms; break;
	case TR_SKEY_RETIRED:
	case TR_SKEY_REVOKED:
		k->row.ended_at = s->now_ms;
		k->row.end_reason = why;
		break;
	default: break;
	}
}

static struct tr_skey *primary_of(struct tr_skeys *s, struct tr_view role)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->keys[i].state == TR_SKEY_PRIMARY && tr_view_eq(s->keys[i].row.role, role))
			return &s->keys[i];
	return NULL;
}

/* The newest active key of this role that may sign now; one that a node can use before one that none can. */
static struct tr_skey *successor(struct tr_skeys *s, struct tr_view role)
{
	struct tr_skey *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		struct tr_skey *k = &s->keys[i];

		if (k->state != TR_SKEY_ACTIVE || !tr_view_eq(k->row.role, role) || !tr_skey_may_sign(k, s->now_ms))
			continue;
		if (!best || k->usable > best->usable ||
		    (k->usable == best->usable && k->row.version > best->row.version))
			best = k;
	}
	return best;
}

/* Every role whose primary is gone gets another, if there is one. */
static void fill(struct tr_skeys *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct tr_view role = s->keys[i].row.role;
		struct tr_skey *next = primary_of(s, role) ? NULL : successor(s, role);

		if (next)
			become(s, next, TR_SKEY_PRIMARY, tr_view(NULL, 0));
	}
}

void tr_skeys_follow(struct tr_skeys *s, const struct tr_keyset *k)
{
	tr_skeys_name(s, k);
	for (size_t i = 0; i < s->n; i++) {
		struct tr_skey *key = &s->keys[i];

		if (key->state >= TR_SKEY_REVOKED)
			continue;
		/* No keyset names those that sign results: the CA vouches for them. */
		if (tr_view_is(key->row.role, TR_SKEY_RESULT) && !key->listed_revoked)
			continue;
		if (key->listed_revoked)
			become(s, key, TR_SKEY_REVOKED, TR_VIEW_LIT("revoked by the keyset"));
		else if (key->state == TR_SKEY_RETIRED)
			continue;
		else if (key->named && key->state == TR_SKEY_PREPARED)
			become(s, key, TR_SKEY_ACTIVE, tr_view(NULL, 0));
		else if (!key->named && key->state != TR_SKEY_PREPARED)
			become(s, key, TR_SKEY_RETIRED, TR_VIEW_LIT("no longer in the keyset"));
	}
	tr_skeys_tick(s);
}

void tr_skeys_tick(struct tr_skeys *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct tr_skey *k = &s->keys[i];
		const struct tr_keyset_key *n = k->named;

		if (!n || k->state == TR_SKEY_PREPARED || k->state >= TR_SKEY_RETIRED)
			continue;
		if (n->not_after_ms && s->now_ms >= n->not_after_ms)
			become(s, k, TR_SKEY_RETIRED, TR_VIEW_LIT("its validity in the keyset has ended"));
		else if (n->no_sign_after_ms && s->now_ms >= n->no_sign_after_ms + TR_SKEY_GRACE_MS)
			become(s, k, TR_SKEY_RETIRED, TR_VIEW_LIT("its planned retirement is over"));
		else if (n->no_sign_after_ms && s->now_ms >= n->no_sign_after_ms && k->state != TR_SKEY_RETIRING)
			become(s, k, TR_SKEY_RETIRING, tr_view(NULL, 0));
	}
	fill(s);
}

/* ---- operators ---- */

const char *tr_skeys_promote(struct tr_skeys *s, size_t i)
{
	struct tr_skey *k = &s->keys[i], *old = primary_of(s, k->row.role);

	if (k->state >= TR_SKEY_RETIRED)
		return "already_ended";
	if (k->state != TR_SKEY_ACTIVE || !tr_skey_may_sign(k, s->now_ms))
		return "not_active";
	if (old)
		become(s, old, TR_SKEY_RETIRING, tr_view(NULL, 0));
	become(s, k, TR_SKEY_PRIMARY, tr_view(NULL, 0));
	return NULL;
}

const char *tr_skeys_retire(struct tr_skeys *s, size_t i, struct tr_view reason)
{
	struct tr_skey *k = &s->keys[i];

	if (k->state >= TR_SKEY_RETIRED)
		return "already_ended";
	if (k->state == TR_SKEY_PRIMARY)
		return "key_in_use";
	become(s, k, TR_SKEY_RETIRED, reason);
	return NULL;
}

const char *tr_skeys_revoke(struct tr_skeys *s, size_t i, struct tr_view reason)
{
	if (s->keys[i].state >= TR_SKEY_REVOKED)
		return "already_ended";
	become(s, &s->keys[i], TR_SKEY_REVOKED, reason);
	fill(s);
	return NULL;
}
