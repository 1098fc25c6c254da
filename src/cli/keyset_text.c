/* SPDX-License-Identifier: Apache-2.0 */
/* Keysets for people: what one holds, and what changes from one to the next. */
#include "cli/keyset_edit.h"

#include <stdio.h>

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/x509.h"

/* "ed25519", "p256", "rsa2048", …; "?" when it is no key that we know. */
static void type_of(enum tr_key_role role, struct tr_view key, char *ret, size_t size)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	const struct tr_pubkey *k = NULL;
	struct tr_err err = { 0 };

	if (role == TR_ROLE_CA && tr_cert_parse(key, &cert, &err) == TR_OK)
		k = tr_cert_key(cert);
	else if (role != TR_ROLE_CA && tr_pubkey_from_spki(key, &pub, &err) == TR_OK)
		k = pub;
	(void)snprintf(ret, size, "%s", k ? tr_pubkey_type_name(k) : "?");
}

static void put_time(struct tr_buf *b, int64_t ms)
{
	if (ms)
		tr_rfc3339_add(b, ms);
	else
		tr_buf_adds(b, "never");
}

static void put_id(struct tr_buf *b, struct tr_view key)
{
	uint8_t id[32];

	tr_key_id_of(key, id);
	tr_buf_adds(b, "sha256:");
	tr_hex_add(b, TR_VIEW_ARRAY(id));
}

static const struct tr_keyset_key *same(const struct tr_keyset *k, const struct tr_keyset_key *key)
{
	for (size_t i = 0; k && i < k->n_keys; i++)
		if (k->keys[i].role == key->role && tr_view_eq(k->keys[i].key, key->key))
			return &k->keys[i];
	return NULL;
}

static bool has_root(const struct tr_keyset *k, struct tr_view root)
{
	for (size_t i = 0; k && i < k->n_roots; i++)
		if (tr_view_eq(k->roots[i], root))
			return true;
	return false;
}

static bool has_revoked(const struct tr_keyset *k, const uint8_t id[32])
{
	for (size_t i = 0; k && i < k->n_revoked; i++)
		if (memcmp(k->revoked[i], id, 32) == 0)
			return true;
	return false;
}

static void put_key(struct tr_buf *b, const char *sign, const struct tr_keyset_key *k)
{
	char type[16];

	type_of(k->role, k->key, type, sizeof(type));
	tr_buf_addf(b, "  %s %s %s (%s) ", sign, tr_key_role_name(k->role), k->role == TR_ROLE_CA ? "certificate" : "key", type);
	put_id(b, k->key);
}

/* What operators may do in the eyes of agents, in words: whoever signs has to know. */
static const char *meaning(enum tr_key_role role)
{
	switch (role) {
	case TR_ROLE_COMMAND: return "may sign commands";
	case TR_ROLE_RELEASE: return "may say which binaries are good";
	case TR_ROLE_CA: return "may issue certificates";
	case TR_ROLE_OPERATOR: return "may approve commands";
	default: return "";
	}
}

static void diff_keys(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_buf *b)
{
	for (size_t i = 0; i < next->n_keys; i++) {
		const struct tr_keyset_key *k = &next->keys[i], *was = same(now, k);

		if (!was) {
			put_key(b, "+", k);
			tr_buf_addf(b, "%s%s\n", *meaning(k->role) ? ": " : "", meaning(k->role));
			if (k->not_after_ms) {
				tr_buf_adds(b, "      until ");
				put_time(b, k->not_after_ms);
				tr_buf_adds(b, "\n");
			}
		}
		if (was ? was->no_sign_after_ms != k->no_sign_after_ms : k->no_sign_after_ms != 0) {
			put_key(b, "~", k);
			if (k->no_sign_after_ms) {
				tr_buf_adds(b, ": retires; nothing that it signs later counts: ");
				put_time(b, k->no_sign_after_ms);
				tr_buf_adds(b, "\n");
			} else {
				tr_buf_adds(b, ": its retirement is taken back\n");
			}
		}
		if (was && (was->not_before_ms != k->not_before_ms || was->not_after_ms != k->not_after_ms)) {
			put_key(b, "~", k);
			tr_buf_adds(b, ": valid from ");
			put_time(b, k->not_before_ms);
			tr_buf_adds(b, " until ");
			put_time(b, k->not_after_ms);
			tr_buf_adds(b, "\n");
		}
	}
	for (size_t i = 0; now && i < now->n_keys; i++)
		if (!same(next, &now->keys[i])) {
			put_key(b, "-", &now->keys[i]);
			tr_buf_adds(b, ": no longer known\n");
		}
}

static void diff_revoked(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_buf *b)
{
	for (size_t i = 0; i < next->n_revoked; i++) {
		const struct tr_keyset_key *k = NULL;
		uint8_t id[32];

		if (has_revoked(now, next->revoked[i]))
			continue;
		for (size_t n = 0; !k && n < next->n_keys; n++) {
			tr_key_id_of(next->keys[n].key, id);
			k = memcmp(id, next->revoked[i], 32) == 0 ? &next->keys[n] : NULL;
		}
		tr_buf_addf(b, "  ! revoked: %s%ssha256:", k ? tr_key_role_name(k->role) : "a key that is not listed",
			    k ? " key " : " ");
		tr_hex_add(b, TR_VIEW_ARRAY(next->revoked[i]));
		tr_buf_adds(b, ": nothing that it ever signed counts\n");
	}
	for (size_t i = 0; now && i < now->n_revoked; i++)
		if (!has_revoked(next, now->revoked[i]))
			tr_buf_adds(b, "  ! takes a revocation back: agents will refuse this keyset\n");
}

static void diff_roots(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_buf *b)
{
	bool changed = false;
	uint8_t print[32];

	for (size_t i = 0; i < next->n_roots; i++)
		if (!has_root(now, next->roots[i])) {
			tr_buf_adds(b, "  + root key ");
			put_id(b, next->roots[i]);
			tr_buf_adds(b, "\n");
			changed = true;
		}
	for (size_t i = 0; now && i < now->n_roots; i++)
		if (!has_root(next, now->roots[i])) {
			tr_buf_adds(b, "  - root key ");
			put_id(b, now->roots[i]);
			tr_buf_adds(b, "\n");
			changed = true;
		}
	if (now && now->threshold != next->threshold) {
		tr_buf_addf(b, "  ~ %llu of %zu roots must sign (until now %llu of %zu)\n", (unsigned long long)next->threshold,
			    next->n_roots, (unsigned long long)now->threshold, now->n_roots);
		changed = true;
	} else if (changed) {
		tr_buf_addf(b, "  = %llu of %zu roots must sign\n", (unsigned long long)next->threshold, next->n_roots);
	}
	if (changed) {
		tr_keyset_root_fingerprint(next, print);
		tr_buf_adds(b, "  root fingerprint sha256:");
		tr_hex_add(b, TR_VIEW_ARRAY(print));
		tr_buf_adds(b, "\n");
	}
}

void tr_keyset_diff(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_buf *b)
{
	size_t before;

	tr_buf_addf(b, "Keyset %llu of %.*s", (unsigned long long)next->epoch, TR_VIEW_FMT(next->trust_domain));
	if (now)
		tr_buf_addf(b, ", after %llu", (unsigned long long)now->epoch);
	tr_buf_adds(b, "\n  issued ");
	put_time(b, next->issued_ms);
	tr_buf_adds(b, ", ends ");
	put_time(b, next->expires_ms);
	tr_buf_adds(b, "\n");
	before = b->n;
	diff_keys(now, next, b);
	diff_revoked(now, next, b);
	diff_roots(now, next, b);
	if (b->n == before)
		tr_buf_adds(b, "  no key changes\n");
	if (now && !tr_view_eq(now->trust_domain, next->trust_domain))
		tr_buf_adds(b, "  ! of ANOTHER trust domain: agents will refuse this keyset\n");
}

/* ---- JSON ---- */

/* Of an object in a list; its other members follow. */
static void json_begin(struct tr_buf *b, bool more, const uint8_t id[32])
{
	tr_buf_adds(b, more ? ",{\"id\":\"" : "{\"id\":\"");
	tr_hex_add(b, tr_view(id, 32));
	tr_buf_adds(b, "\"");
}

static const char *standing(const struct tr_keyset *k, const struct tr_keyset_key *key, const uint8_t id[32], int64_t now_ms)
{
	if (has_revoked(k, id))
		return "revoked";
	if (now_ms < key->not_before_ms)
		return "not_yet";
	if (key->not_after_ms && now_ms >= key->not_after_ms)
		return "expired";
	return key->no_sign_after_ms ? (now_ms > key->no_sign_after_ms ? "retired" : "retiring") : "active";
}

void tr_keyset_json(const struct tr_keyset *k, struct tr_view bytes, int64_t now_ms, struct tr_buf *b)
{
	uint8_t hash[32];
	char type[16];

	tr_buf_adds(b, "{\"trust_domain\":");
	tr_json_put_str(b, k->trust_domain);
	tr_buf_addf(b, ",\"epoch\":%llu", (unsigned long long)k->epoch);
	tr_json_member_time(b, "issued_at", k->issued_ms);
	tr_json_member_time(b, "expires_at", k->expires_ms);
	if (bytes.n) {
		tr_keyset_digest(bytes, hash);
		tr_json_member_hex(b, "digest", TR_VIEW_ARRAY(hash));
	}
	if (k->prev_digest.n == 32)
		tr_json_member_hex(b, "previous", k->prev_digest);
	tr_keyset_root_fingerprint(k, hash);
	tr_buf_addf(b, ",\"threshold\":%llu", (unsigned long long)k->threshold);
	tr_json_member_hex(b, "root_fingerprint", TR_VIEW_ARRAY(hash));
	tr_buf_adds(b, ",\"roots\":[");
	for (size_t i = 0; i < k->n_roots; i++) {
		tr_key_id_of(k->roots[i], hash);
		type_of(TR_ROLE_N, k->roots[i], type, sizeof(type));
		json_begin(b, i > 0, hash);
		tr_buf_addf(b, ",\"key_type\":\"%s\"}", type);
	}
	tr_buf_adds(b, "],\"keys\":[");
	for (size_t i = 0; i < k->n_keys; i++) {
		const struct tr_keyset_key *key = &k->keys[i];

		tr_key_id_of(key->key, hash);
		type_of(key->role, key->key, type, sizeof(type));
		json_begin(b, i > 0, hash);
		tr_buf_addf(b, ",\"role\":\"%s\",\"key_type\":\"%s\",\"state\":\"%s\"", tr_key_role_name(key->role), type,
			    standing(k, key, hash, now_ms));
		tr_json_member_time(b, "not_before", key->not_before_ms);
		tr_json_member_time(b, "not_after", key->not_after_ms);
		tr_json_member_time(b, "no_sign_after", key->no_sign_after_ms);
		tr_buf_adds(b, "}");
	}
	tr_buf_addf(b, "],\"revocation_number\":%llu,\"revoked\":[", (unsigned long long)k->revocation_number);
	for (size_t i = 0; i < k->n_revoked; i++) {
		tr_buf_adds(b, i ? ",\"" : "\"");
		tr_hex_add(b, TR_VIEW_ARRAY(k->revoked[i]));
		tr_buf_adds(b, "\"");
	}
	tr_buf_adds(b, "]}");
}
