/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of RFC 9180: each encryption sealed to the same bytes and opened again, each exported secret. */
#include "vectors.h"

#include "crypto/hpke.h"

#include <stdio.h>

#define NO_MODE "no product code: messages use base mode; the sender signs inside"
#define NO_SUITE "no product code: one suite, X25519 with HKDF-SHA256 and AES-256-GCM"

static bool is(const json_t *v, const char *key, json_int_t want)
{
	return json_integer_value(json_object_get(v, key)) == want;
}

static struct tr_secret *secret_of(const json_t *v, const char *key)
{
	tr_auto(tr_buf_done) struct tr_buf raw = TR_BUF_INIT;
	struct tr_secret *s = NULL;

	if (jhex(v, key, &raw) && raw.n == TR_X25519_LEN && (s = tr_secret_new(TR_X25519_LEN)))
		memcpy(tr_secret_p(s), raw.p, TR_X25519_LEN);
	return s;
}

/* Both contexts of a vector; false when a key is not what the vector says. */
static bool contexts(const json_t *v, struct tr_hpke **ret_sender, struct tr_hpke **ret_recipient)
{
	tr_auto(tr_secret_free) struct tr_secret *e = secret_of(v, "skEm"), *r = secret_of(v, "skRm");
	tr_auto(tr_buf_done) struct tr_buf pk = TR_BUF_INIT, enc = TR_BUF_INIT, info = TR_BUF_INIT;
	uint8_t pub[TR_X25519_LEN], out[TR_X25519_LEN];
	struct tr_err err;

	return e && r && jhex(v, "pkRm", &pk) && jhex(v, "enc", &enc) && jhex(v, "info", &info) && enc.n == TR_X25519_LEN &&
	       tr_x25519_public(r, pub, &err) == TR_OK && tr_view_eq(TR_VIEW_ARRAY(pub), tr_buf_view(&pk)) &&
	       tr_hpke_sender(pub, e, tr_buf_view(&info), out, ret_sender, &err) == TR_OK &&
	       tr_view_eq(TR_VIEW_ARRAY(out), tr_buf_view(&enc)) &&
	       tr_hpke_recipient(r, enc.p, tr_buf_view(&info), ret_recipient, &err) == TR_OK;
}

static bool encryption(const json_t *t, struct tr_hpke *sender, struct tr_hpke *recipient)
{
	tr_auto(tr_buf_done) struct tr_buf aad = TR_BUF_INIT, ct = TR_BUF_INIT, pt = TR_BUF_INIT, sealed = TR_BUF_INIT,
					   opened = TR_BUF_INIT;
	struct tr_err err;

	return jhex(t, "aad", &aad) && jhex(t, "ct", &ct) && jhex(t, "pt", &pt) &&
	       tr_hpke_seal_next(sender, tr_buf_view(&aad), tr_buf_view(&pt), &sealed, &err) == TR_OK &&
	       tr_view_eq(tr_buf_view(&sealed), tr_buf_view(&ct)) &&
	       tr_hpke_open_next(recipient, tr_buf_view(&aad), tr_buf_view(&ct), &opened, &err) == TR_OK &&
	       tr_view_eq(tr_buf_view(&opened), tr_buf_view(&pt));
}

static bool exported(const json_t *t, const struct tr_hpke *sender, const struct tr_hpke *recipient)
{
	tr_auto(tr_buf_done) struct tr_buf context = TR_BUF_INIT, want = TR_BUF_INIT;
	uint8_t a[255], b[255];
	struct tr_err err;

	return jhex(t, "exporter_context", &context) && jhex(t, "exported_value", &want) && want.n <= sizeof(a) &&
	       tr_hpke_export(sender, tr_buf_view(&context), a, want.n, &err) == TR_OK &&
	       tr_hpke_export(recipient, tr_buf_view(&context), b, want.n, &err) == TR_OK &&
	       tr_view_eq(tr_view(a, want.n), tr_buf_view(&want)) && tr_view_eq(tr_view(b, want.n), tr_buf_view(&want));
}

static void vector(struct set *s, size_t nr, const json_t *v)
{
	tr_auto(tr_hpke_free) struct tr_hpke *sender = NULL, *recipient = NULL;
	const json_t *encryptions = json_object_get(v, "encryptions"), *exports = json_object_get(v, "exports");
	bool ok = contexts(v, &sender, &recipient);
	size_t i;
	json_t *t;

	json_array_foreach(encryptions, i, t) {
		char id[64];

		(void)snprintf(id, sizeof(id), "vector %zu, encryption %zu", nr, i);
		/* Sequence numbers count on: after the first failure nothing that follows could agree. */
		ok = ok && encryption(t, sender, recipient);
		if (ok)
			agree(s);
		else
			disagree(s, id, "sealing or opening gives other bytes");
	}
	json_array_foreach(exports, i, t) {
		char id[64];

		(void)snprintf(id, sizeof(id), "vector %zu, export %zu", nr, i);
		if (sender && recipient && exported(t, sender, recipient))
			agree(s);
		else
			disagree(s, id, "another secret is exported");
	}
}

bool hpke_vectors(struct run *r, const struct item *it, const json_t *j)
{
	const json_t *first = json_is_array(j) ? json_array_get(j, 0) : NULL;
	struct set *s;
	size_t i;
	json_t *v;

	if (!json_object_get(first, "kem_id") || !json_object_get(first, "kdf_id") || !json_object_get(first, "encryptions"))
		return false;
	s = set_of(r, it, "HPKE (RFC 9180)", true);
	json_array_foreach(j, i, v) {
		size_t n = json_array_size(json_object_get(v, "encryptions")) + json_array_size(json_object_get(v, "exports"));

		if (!is(v, "kem_id", 0x20) || !is(v, "kdf_id", 1) || !is(v, "aead_id", 2))
			skip(s, n, NO_SUITE);
		else if (!is(v, "mode", 0))
			skip(s, n, NO_MODE);
		else
			vector(s, i, v);
	}
	return true;
}
