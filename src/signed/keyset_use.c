/* SPDX-License-Identifier: Apache-2.0 */
/* What a keyset says about a key. */
#include "signed/cose1.h"
#include "signed/keyset.h"

static const char *const roles[TR_ROLE_N] = {
	[TR_ROLE_COMMAND] = "command", [TR_ROLE_RELEASE] = "release", [TR_ROLE_CONFIG] = "config",
	[TR_ROLE_LOG] = "log",	       [TR_ROLE_CA] = "ca",	      [TR_ROLE_OPERATOR] = "operator",
};

const char *tr_key_role_name(enum tr_key_role r)
{
	return (unsigned)r < TR_ROLE_N ? roles[r] : "unknown";
}

bool tr_key_role_of(struct tr_view name, enum tr_key_role *ret)
{
	for (unsigned i = 0; i < TR_ROLE_N; i++) {
		if (tr_view_is(name, roles[i])) {
			*ret = (enum tr_key_role)i;
			return true;
		}
	}
	return false;
}

bool tr_keyset_revokes(const struct tr_keyset *k, const uint8_t key_id[32])
{
	for (size_t i = 0; i < k->n_revoked; i++)
		if (memcmp(k->revoked[i], key_id, TR_SHA256_LEN) == 0)
			return true;
	return false;
}

const struct tr_keyset_key *tr_keyset_find(const struct tr_keyset *k, enum tr_key_role role, struct tr_view kid)
{
	for (size_t i = 0; i < k->n_keys; i++) {
		uint8_t id[TR_SHA256_LEN];

		if (k->keys[i].role != role)
			continue;
		tr_sha256(k->keys[i].key, id);
		if (tr_view_eq(kid, tr_view(id, TR_KID_LEN)))
			return &k->keys[i];
	}
	return NULL;
}

enum tr_key_standing tr_keyset_standing(const struct tr_keyset *k, const struct tr_keyset_key *key, int64_t signed_ms,
					int64_t now_ms)
{
	uint8_t id[TR_SHA256_LEN];

	tr_sha256(key->key, id);
	if (tr_keyset_revokes(k, id))
		return TR_KEY_REVOKED;
	/* Both: a signer can write any time, and the present says nothing about a thing that was signed long ago. */
	if (signed_ms < key->not_before_ms)
		return TR_KEY_OUTSIDE;
	if (key->not_after_ms && (signed_ms >= key->not_after_ms || now_ms >= key->not_after_ms))
		return TR_KEY_OUTSIDE;
	if (key->no_sign_after_ms && signed_ms > key->no_sign_after_ms)
		return TR_KEY_OUTSIDE;
	return TR_KEY_GOOD;
}
