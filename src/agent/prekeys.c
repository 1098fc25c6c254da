/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/prekeys.h"

#include "base/file.h"
#include "codec/cbor.h"
#include "crypto/hpke.h"
#include "signed/fields.h"

/* Clocks of sender and recipient may be this far apart. */
#define SKEW_S 300

static void drop(struct tr_own_prekey *k)
{
	k->secret = tr_secret_free(k->secret);
	tr_wipe(k, sizeof(*k));
}

void tr_prekeys_done(struct tr_prekeys *k)
{
	for (size_t i = 0; i < k->n; i++)
		drop(&k->keys[i]);
	*k = (struct tr_prekeys){ 0 };
}

/* ---- the file: CBOR [number, signer, [[number, not before, not after, secret]…]] ---- */

static TR_RC read_key(struct tr_cbor *r, struct tr_own_prekey *k, struct tr_err *err)
{
	struct tr_view secret;

	if (tr_cbor_array(r, 4) != 4)
		tr_cbor_fail(r, "a pre-key has four members");
	k->p.number = tr_cbor_uint(r);
	k->p.not_before = tr_cbor_int(r);
	k->p.not_after = tr_cbor_int(r);
	secret = tr_cbor_bytes(r);
	if (secret.n != TR_X25519_LEN)
		tr_cbor_fail(r, "a secret has 32 bytes");
	if (r->error)
		return tr_err_set(err, TR_E_INVALID, "prekeys.bin is damaged", "%s", r->error);
	k->secret = tr_secret_new(TR_X25519_LEN);
	if (!k->secret)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "pre-key");
	memcpy(tr_secret_p(k->secret), secret.p, secret.n);
	if (tr_x25519_public(k->secret, k->p.key, err))
		return err->code;
	tr_prekey_id(k->p.key, k->id);
	return TR_OK;
}

static TR_RC parse(struct tr_view in, struct tr_prekeys *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	size_t n;

	if (tr_cbor_array(&r, 3) != 3)
		tr_cbor_fail(&r, "three members");
	ret->number = tr_cbor_uint(&r);
	tr_field_fixed(&r, ret->signer, sizeof(ret->signer), "a key id has 16 bytes");
	n = tr_cbor_array(&r, TR_PREKEYS_MAX);
	for (size_t i = 0; i < n && !r.error; i++) {
		ret->n = i + 1;
		if (read_key(&r, &ret->keys[i], err))
			return err->code;
	}
	return tr_cbor_end(&r, err);
}

TR_RC tr_prekeys_load(const struct tr_state *s, int64_t now_s, struct tr_prekeys *ret, struct tr_err *err)
{
	tr_auto(tr_prekeys_done) struct tr_prekeys k = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char path[PATH_MAX];
	enum tr_code rc;

	tr_state_path(s, TR_PREKEYS_FILE, path);
	rc = tr_file_read_secret(path, 1024, &b, err);
	if (!rc)
		rc = parse(tr_buf_view(&b), &k, err);
	tr_wipe(b.p, b.n);
	if (rc && rc != TR_E_NOTFOUND && rc != TR_E_INVALID)
		return tr_err_wrap(err, "pre-keys");
	if (rc) {
		tr_prekeys_done(&k);
		k.number = (uint64_t)now_s;
	}
	*ret = k;
	k = (struct tr_prekeys){ 0 };
	return TR_OK;
}

static TR_RC save(const struct tr_state *s, const struct tr_prekeys *k, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;
	char path[PATH_MAX];

	tr_cbor_put_array(&b, 3);
	tr_cbor_put_uint(&b, k->number);
	tr_cbor_put_bytes(&b, TR_VIEW_ARRAY(k->signer));
	tr_cbor_put_array(&b, k->n);
	for (size_t i = 0; i < k->n; i++) {
		tr_cbor_put_array(&b, 4);
		tr_cbor_put_uint(&b, k->keys[i].p.number);
		tr_cbor_put_int(&b, k->keys[i].p.not_before);
		tr_cbor_put_int(&b, k->keys[i].p.not_after);
		tr_cbor_put_bytes(&b, tr_view(tr_secret_p(k->keys[i].secret), TR_X25519_LEN));
	}
	tr_state_path(s, TR_PREKEYS_FILE, path);
	rc = tr_buf_check(&b, err);
	if (!rc)
		rc = tr_file_write(path, tr_buf_view(&b), 0600, err);
	tr_wipe(b.p, b.n);
	return rc;
}

TR_RC tr_prekeys_turn(const struct tr_state *s, struct tr_prekeys *k, int64_t now_s, bool *ret_changed, struct tr_err *err)
{
	const uint8_t *signer = tr_pubkey_id(tr_privkey_pub(s->key));
	bool changed = false;

	while (k->n && (k->keys[k->n - 1].p.not_after + SKEW_S < now_s || k->n == TR_PREKEYS_MAX)) {
		drop(&k->keys[--k->n]);
		changed = true;
	}
	/* Also when the clock went back behind it, or under a new identity key: nobody would take such a pre-key. */
	if (!k->n || memcmp(k->signer, signer, sizeof(k->signer)) != 0 ||
	    now_s >= k->keys[0].p.not_before + TR_PREKEY_ROTATE_S || now_s + SKEW_S < k->keys[0].p.not_before) {
		struct tr_own_prekey fresh = { .p = { .number = k->number + 1, .not_before = now_s - SKEW_S / 2,
						      .not_after = now_s - SKEW_S / 2 + TR_PREKEY_LIFE_S } };

		if (tr_x25519_generate(&fresh.secret, fresh.p.key, err))
			return err->code;
		tr_prekey_id(fresh.p.key, fresh.id);
		memmove(&k->keys[1], &k->keys[0], k->n * sizeof(k->keys[0]));
		k->keys[0] = fresh;
		k->n++;
		k->number++;
		memcpy(k->signer, signer, sizeof(k->signer));
		changed = true;
	}
	*ret_changed = changed;
	return changed ? save(s, k, err) : TR_OK;
}

TR_RC tr_prekeys_signed(const struct tr_state *s, const struct tr_prekeys *k, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_prekey p;

	if (!k->n)
		return tr_err_set(err, TR_E_NOTFOUND, "there is no pre-key yet", "pre-keys");
	p = k->keys[0].p;
	p.fleet = s->conf.trust_domain;
	p.agent = s->conf.agent_id;
	return tr_prekey_sign(&p, s->key, ret, err);
}

const struct tr_secret *tr_prekeys_find(const struct tr_prekeys *k, const uint8_t id[16], int64_t now_s)
{
	for (size_t i = 0; i < k->n; i++)
		if (memcmp(k->keys[i].id, id, 16) == 0 && k->keys[i].p.not_after + SKEW_S >= now_s)
			return k->keys[i].secret;
	return NULL;
}
