/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyset_edit.h"

#include <stdlib.h>

#include "codec/text.h"
#include "crypto/x509.h"
#include "signed/cose1.h"

void tr_edit_done(struct tr_edit *e)
{
	for (size_t i = 0; i < e->n_held; i++)
		tr_buf_done(&e->held[i]);
	e->n_held = 0;
}

void tr_key_id_of(struct tr_view key, uint8_t ret[32])
{
	tr_sha256(key, ret);
}

void tr_edit_start(struct tr_edit *e, const struct tr_keyset *now, struct tr_view now_bytes, int64_t now_ms)
{
	e->n_held = 0;
	e->ks = *now;
	tr_keyset_digest(now_bytes, e->prev_digest);
	e->ks.prev_digest = TR_VIEW_ARRAY(e->prev_digest);
	e->ks.epoch = now->epoch + 1;
	/* A successor that claims to be older is refused, and this machine's clock may be behind. */
	e->ks.issued_ms = now_ms > now->issued_ms ? now_ms : now->issued_ms;
	e->ks.expires_ms = e->ks.issued_ms + (now->expires_ms - now->issued_ms);
}

static TR_RC hold(struct tr_edit *e, struct tr_view bytes, struct tr_view *ret, struct tr_err *err)
{
	struct tr_buf *b;

	if (e->n_held == TR_ARRAY_LEN(e->held))
		return tr_err_set(err, TR_E_INVALID, "too many keys at once", "%zu", e->n_held);
	b = &e->held[e->n_held++];
	*b = TR_BUF_INIT;
	tr_buf_addv(b, bytes);
	*ret = tr_buf_view(b);
	return tr_buf_check(b, err);
}

static bool revoked(const struct tr_keyset *k, const uint8_t id[32])
{
	for (size_t i = 0; i < k->n_revoked; i++)
		if (memcmp(k->revoked[i], id, 32) == 0)
			return true;
	return false;
}

/* Are these digits of an id, and enough of them? */
static TR_RC digits(const char **id, struct tr_err *err)
{
	if (strncmp(*id, "sha256:", 7) == 0)
		*id += 7;
	if (strlen(*id) < TR_KEY_PREFIX_MIN || strlen(*id) > 64 || strspn(*id, "0123456789abcdef") != strlen(*id))
		return tr_err_set(err, TR_E_INVALID, "a key is named by its id in hexadecimal, at least 8 digits of it", "\"%s\"",
				  *id);
	return TR_OK;
}

static bool begins(const uint8_t hash[32], const char *id)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_hex_add(&hex, tr_view(hash, 32));
	return strncmp(tr_buf_cstr(&hex), id, strlen(id)) == 0;
}

/* A CA goes by the id of its certificate and by that of its key, as the server lists it. */
static bool is_named(const struct tr_keyset_key *k, const char *id)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_err err = { 0 };
	uint8_t hash[32];

	tr_key_id_of(k->key, hash);
	if (begins(hash, id))
		return true;
	return k->role == TR_ROLE_CA && tr_cert_parse(k->key, &cert, &err) == TR_OK && tr_cert_key(cert) &&
	       begins(tr_pubkey_id(tr_cert_key(cert)), id);
}

static TR_RC find(const struct tr_edit *e, const char *id, enum tr_key_role role, size_t *ret, struct tr_err *err)
{
	size_t found = 0, at = 0;

	if (digits(&id, err))
		return err->code;
	for (size_t i = 0; i < e->ks.n_keys; i++)
		if ((role == TR_ROLE_N || e->ks.keys[i].role == role) && is_named(&e->ks.keys[i], id)) {
			at = i;
			found++;
		}
	if (found != 1)
		return tr_err_set(err, found ? TR_E_INVALID : TR_E_NOTFOUND,
				  found ? "several keys of the keyset begin like this; give more digits"
					: "the keyset has no such key; see troth keyset show",
				  "%s", id);
	*ret = at;
	return TR_OK;
}

TR_RC tr_edit_add(struct tr_edit *e, enum tr_key_role role, struct tr_view key, int64_t not_before_ms,
		  int64_t not_after_ms, struct tr_err *err)
{
	struct tr_keyset_key k = { .role = role, .not_before_ms = not_before_ms, .not_after_ms = not_after_ms };
	uint8_t id[32];

	tr_key_id_of(key, id);
	if (revoked(&e->ks, id))
		return tr_err_set(err, TR_E_CONFLICT, "this key was revoked: a revoked key never comes back", "key");
	for (size_t i = 0; i < e->ks.n_keys; i++)
		if (e->ks.keys[i].role == role && tr_view_eq(e->ks.keys[i].key, key))
			return tr_err_set(err, TR_E_CONFLICT, "the keyset has this key in this role already", "key");
	/* One key in two roles would let one thief do two things. */
	for (size_t i = 0; i < e->ks.n_keys; i++)
		if (tr_view_eq(e->ks.keys[i].key, key))
			return tr_err_set(err, TR_E_CONFLICT, "the keyset has this key in another role: make one key per role",
					  "key");
	if (e->ks.n_keys == TR_KEYSET_KEYS_MAX)
		return tr_err_set(err, TR_E_INVALID, "the keyset is full: --drop keys that nobody needs any more", "64 keys");
	if (hold(e, key, &k.key, err))
		return err->code;
	e->ks.keys[e->ks.n_keys++] = k;
	return TR_OK;
}

TR_RC tr_edit_add_root(struct tr_edit *e, struct tr_view spki, struct tr_err *err)
{
	for (size_t i = 0; i < e->ks.n_roots; i++)
		if (tr_view_eq(e->ks.roots[i], spki))
			return tr_err_set(err, TR_E_CONFLICT, "this root key is one of the roots already", "root");
	if (e->ks.n_roots == TR_KEYSET_ROOTS_MAX)
		return tr_err_set(err, TR_E_INVALID, "a keyset has 16 root keys at most", "roots");
	return hold(e, spki, &e->ks.roots[e->ks.n_roots++], err);
}

TR_RC tr_edit_retire(struct tr_edit *e, const char *id, int64_t no_sign_after_ms, struct tr_err *err)
{
	size_t i = 0;

	if (find(e, id, TR_ROLE_N, &i, err))
		return err->code;
	e->ks.keys[i].no_sign_after_ms = no_sign_after_ms;
	return TR_OK;
}

TR_RC tr_edit_drop(struct tr_edit *e, const char *id, enum tr_key_role role, struct tr_err *err)
{
	size_t i = 0;

	if (find(e, id, role, &i, err))
		return err->code;
	memmove(&e->ks.keys[i], &e->ks.keys[i + 1], (e->ks.n_keys - i - 1) * sizeof(e->ks.keys[0]));
	e->ks.n_keys--;
	return TR_OK;
}

TR_RC tr_edit_remove_root(struct tr_edit *e, const char *id, struct tr_err *err)
{
	size_t at = e->ks.n_roots;

	if (digits(&id, err))
		return err->code;
	for (size_t i = 0; i < e->ks.n_roots; i++) {
		uint8_t hash[32];

		tr_key_id_of(e->ks.roots[i], hash);
		if (begins(hash, id)) {
			if (at < e->ks.n_roots)
				return tr_err_set(err, TR_E_INVALID, "several roots begin like this; give more digits", "%s", id);
			at = i;
		}
	}
	if (at == e->ks.n_roots)
		return tr_err_set(err, TR_E_NOTFOUND, "the keyset has no such root; see troth keyset show", "%s", id);
	memmove(&e->ks.roots[at], &e->ks.roots[at + 1], (e->ks.n_roots - at - 1) * sizeof(e->ks.roots[0]));
	e->ks.n_roots--;
	return TR_OK;
}

TR_RC tr_edit_revoke(struct tr_edit *e, const char *id, struct tr_err *err)
{
	uint8_t hash[32];
	size_t i = 0;

	if (digits(&id, err))
		return err->code;
	if (find(e, id, TR_ROLE_N, &i, err) == TR_OK)
		tr_key_id_of(e->ks.keys[i].key, hash);
	else if (err->code != TR_E_NOTFOUND || strlen(id) != 64 || !tr_hex_get(tr_view_str(id), hash, 32))
		return err->code;
	if (revoked(&e->ks, hash))
		return tr_err_set(err, TR_E_CONFLICT, "this key is revoked already", "%s", id);
	if (e->ks.n_revoked == TR_KEYSET_REVOKED_MAX)
		return tr_err_set(err, TR_E_INVALID, "the keyset's list of revocations is full", "256 keys");
	memcpy(e->ks.revoked[e->ks.n_revoked++], hash, 32);
	e->ks.revocation_number++; /* it counts them, so that "none was lost" can be told by one number */
	return TR_OK;
}

/* ---- the draft ---- */

static int by_bytes(const void *a, const void *b)
{
	const struct tr_view *x = a, *y = b;
	int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static bool has_ca(const struct tr_keyset *k)
{
	uint8_t id[32];

	for (size_t i = 0; i < k->n_keys; i++) {
		tr_key_id_of(k->keys[i].key, id);
		if (k->keys[i].role == TR_ROLE_CA && !revoked(k, id) &&
		    (k->keys[i].not_after_ms == 0 || k->keys[i].not_after_ms > k->issued_ms))
			return true;
	}
	return false;
}

TR_RC tr_edit_payload(struct tr_edit *e, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_keyset *k = &e->ks;

	qsort(k->roots, k->n_roots, sizeof(k->roots[0]), by_bytes);
	qsort(k->revoked, k->n_revoked, sizeof(k->revoked[0]), by_id);
	if (!has_ca(k))
		return tr_err_set(err, TR_E_INVALID,
				  "this keyset would name no valid CA: nobody could connect to the server any more", "keyset");
	if (k->n_roots == 0 || k->threshold == 0 || k->threshold > k->n_roots)
		return tr_err_set(err, TR_E_INVALID,
				  "the threshold must be between 1 and the number of roots; give --threshold as well",
				  "%llu of %zu", (unsigned long long)k->threshold, k->n_roots);
	return tr_keyset_payload(k, ret, err);
}

TR_RC tr_draft_read(struct tr_view in, struct tr_buf *hold_, struct tr_keyset *ret, size_t *ret_n, struct tr_err *err)
{
	struct tr_cose c;
	struct tr_err first = { 0 };

	if (in.n && in.p[0] == 0xd8) { /* a tag: COSE_Sign */
		tr_buf_addv(hold_, in);
		if (tr_buf_check(hold_, err) || tr_keyset_unverified(tr_buf_view(hold_), ret, err) ||
		    tr_cose_sign_parse(tr_buf_view(hold_), &c, err))
			return err->code;
		*ret_n = c.n_sigs;
		return TR_OK;
	}
	/* The reader wants an object: one with a signature that nobody looks at. */
	{
		static const uint8_t none[64];
		tr_auto(tr_buf_done) struct tr_buf hdr = TR_BUF_INIT;
		struct tr_cose_sig sig = { .sig = TR_VIEW_ARRAY(none) };

		tr_cose_put_protected(&hdr, TR_COSE_EDDSA, tr_view(none, TR_KID_LEN));
		sig.protected_hdr = tr_buf_view(&hdr);
		tr_cose_put_sign(hold_, tr_view(NULL, 0), in, &sig, 1);
		if (tr_buf_check(hold_, err))
			return err->code;
	}
	if (tr_keyset_unverified(tr_buf_view(hold_), ret, &first))
		return tr_err_set(err, TR_E_INVALID, "this is no keyset and no draft of one", "%s", first.detail);
	*ret_n = 0;
	return TR_OK;
}
