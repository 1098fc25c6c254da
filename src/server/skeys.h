/* SPDX-License-Identifier: Apache-2.0 */
/* The life of signing keys, pure: rows in, a keyset and the clock, changed rows out.
 *
 *   prepared ──named by a keyset──▶ active ──promote──▶ primary ──another promoted──▶ retiring ──▶ retired
 *
 * and from everywhere: revoked, when the operators or a keyset say so; retired, when a keyset leaves it out. A role always has
 * one primary while any key of it can sign: the newest active one takes the place of one that may not. Nothing leaves
 * retired but to revoked, and nothing leaves revoked. */
#ifndef TR_SERVER_SKEYS_H
#define TR_SERVER_SKEYS_H

#include "base/own.h"
#include "signed/keyset.h"
#include "store/records.h"

enum tr_skey_state { TR_SKEY_PREPARED, TR_SKEY_ACTIVE, TR_SKEY_PRIMARY, TR_SKEY_RETIRING, TR_SKEY_RETIRED, TR_SKEY_REVOKED,
		     TR_SKEY_N };
const char *tr_skey_state_name(enum tr_skey_state s);
/* TR_SKEY_N: no such. Rows hold names; who reads one that he does not know trusts it with nothing. */
enum tr_skey_state tr_skey_state_of(struct tr_view name);

/* Role of the key that signs results of appraisals (docs/decisions/0025). It is primary from the start, and its end is a
 * revocation, after which core makes another. */
#define TR_SKEY_RESULT "result"

struct tr_skey {
	struct tr_skey_row row;       /* `state`, times and `end_reason` are kept in step with state */
	enum tr_skey_state state, was; /* was: as it came */
	bool usable;                  /* some `keys` role can sign with it: such a one succeeds before others */
	const struct tr_keyset_key *named; /* where the keyset names it; NULL: nowhere */
	bool listed_revoked;          /* in the keyset's list of revocations */
};

struct tr_skeys {
	struct tr_skey *keys;
	size_t n;
	int64_t now_ms;
};

/* What the keyset says of each key; call it first. */
void tr_skeys_name(struct tr_skeys *s, const struct tr_keyset *k);
/* This keyset is in force from now on (a new one, or the one at hand). */
void tr_skeys_follow(struct tr_skeys *s, const struct tr_keyset *k);
/* What the clock does: ends of validity, of planned retirement and its grace, primaries that may not sign any more. */
void tr_skeys_tick(struct tr_skeys *s);

/* Operators' words about key i. NULL: done; otherwise the slug why not: "not_active" (promote: only an active key that the
 * keyset lets sign now), "key_in_use" (retire: the primary), "already_ended". */
const char *tr_skeys_promote(struct tr_skeys *s, size_t i);
const char *tr_skeys_retire(struct tr_skeys *s, size_t i, struct tr_view reason);
const char *tr_skeys_revoke(struct tr_skeys *s, size_t i, struct tr_view reason);

static inline bool tr_skey_changed(const struct tr_skey *k)
{
	return k->state != k->was;
}
/* May it sign at this moment, as far as the keyset says? */
bool tr_skey_may_sign(const struct tr_skey *k, int64_t now_ms);
/* SHA-256 of the key's SPKI, also of a CA's that the keyset names by its certificate. False: not readable. */
bool tr_keyset_key_id(const struct tr_keyset_key *k, uint8_t out[32]);

/* After no_sign_after, what was signed before may still be running. */
#define TR_SKEY_GRACE_MS (4 * 3600000LL)

#endif
