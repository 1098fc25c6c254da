/* SPDX-License-Identifier: Apache-2.0 */
/* Wycheproof signatures once more, by the bare keys that hardware evidence comes with: every curve and hash of crypto/raw.h. */
#include "vectors.h"

#include "codec/text.h"
#include "crypto/raw.h"

#include <stdio.h>

struct scheme {
	bool ec, p1363, pss;
	enum tr_raw_hash hash;
	int salt;
};

static enum tr_raw_hash hash_of(const json_t *g, const char *key)
{
	struct tr_view name = jstr(g, key);

	return tr_view_is(name, "SHA-256") ? TR_HASH_SHA256 : tr_view_is(name, "SHA-384") ? TR_HASH_SHA384 :
	       tr_view_is(name, "SHA-512") ? TR_HASH_SHA512 : TR_HASH_NONE;
}

static bool scheme_of(const json_t *g, struct scheme *ret)
{
	struct tr_view type = jstr(g, "type");

	*ret = (struct scheme){ .hash = hash_of(g, "sha") };
	ret->p1363 = tr_view_is(type, "EcdsaP1363Verify");
	ret->ec = ret->p1363 || tr_view_is(type, "EcdsaVerify");
	ret->pss = tr_view_is(type, "RsassaPssVerify");
	if (ret->pss) {
		ret->salt = (int)json_integer_value(json_object_get(g, "sLen"));
		if (hash_of(g, "mgfSha") != ret->hash || !tr_view_is(jstr(g, "mgf"), "MGF1"))
			return false;
	}
	return ret->hash != TR_HASH_NONE && (ret->ec || ret->pss || tr_view_is(type, "RsassaPkcs1Verify"));
}

static bool ec_key(const json_t *key, struct tr_raw_key **ret, struct tr_err *err)
{
	static const struct { const char *name; enum tr_raw_type type; } curves[] = {
		{ "secp256r1", TR_RAW_P256 }, { "secp384r1", TR_RAW_P384 }, { "secp521r1", TR_RAW_P521 },
	};
	tr_auto(tr_buf_done) struct tr_buf point = TR_BUF_INIT;

	if (!jhex(key, "uncompressed", &point) || point.n < 1)
		return false;
	for (size_t i = 0; i < TR_ARRAY_LEN(curves); i++)
		if (tr_view_is(jstr(key, "curve"), curves[i].name))
			return tr_raw_key_ec(curves[i].type, tr_view(point.p + 1, point.n - 1), ret, err) == TR_OK;
	return false;
}

static bool rsa_key(const json_t *key, struct tr_raw_key **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf n = TR_BUF_INIT, e = TR_BUF_INIT;

	return jhex(key, "modulus", &n) && jhex(key, "publicExponent", &e) &&
	       tr_raw_key_rsa(tr_buf_view(&n), tr_buf_view(&e), ret, err) == TR_OK;
}

static enum tr_code verify(const struct scheme *c, const struct tr_raw_key *k, struct tr_view msg, struct tr_view sig,
			   struct tr_err *err)
{
	size_t half = (tr_raw_key_bits(k) + 7) / 8;

	/* The caller of this form cuts at the curve's width: other lengths never come to it. */
	if (c->p1363)
		return sig.n != 2 * half ? TR_E_DENIED :
					   tr_raw_verify_ecdsa(k, c->hash, &msg, 1, tr_view(sig.p, half),
							       tr_view(sig.p + half, half), err);
	if (c->ec)
		return tr_raw_verify_ecdsa_der(k, c->hash, msg, sig, err);
	return c->pss ? tr_raw_verify_pss(k, c->hash, c->salt, msg, sig, err) : tr_raw_verify_rsa(k, c->hash, msg, sig, err);
}

void raw_group(struct set *s, const json_t *g)
{
	const json_t *tests = json_object_get(g, "tests"), *key = json_object_get(g, "publicKey"), *t;
	tr_auto(tr_raw_key_free) struct tr_raw_key *k = NULL;
	struct tr_err err = { 0 };
	struct scheme c;
	size_t i;

	if (!key)
		key = json_object_get(g, "key");
	if (!scheme_of(g, &c) || !(c.ec ? ec_key(key, &k, &err) : rsa_key(key, &k, &err))) {
		skip(s, json_array_size(tests), "no kind of key, curve or hash that evidence has");
		return;
	}
	json_array_foreach(tests, i, t) {
		tr_auto(tr_buf_done) struct tr_buf msg = TR_BUF_INIT, sig = TR_BUF_INIT;
		struct tr_view result = jstr(t, "result");
		enum want want = tr_view_is(result, "valid") ? MUST_ACCEPT :
				 tr_view_is(result, "acceptable") ? MAY_ACCEPT : MUST_REFUSE;
		char id[64];
		bool ok;

		if (!jhex(t, "msg", &msg) || !jhex(t, "sig", &sig)) {
			skip(s, 1, "the case is not in hexadecimal");
			continue;
		}
		(void)snprintf(id, sizeof(id), "tcId %lld", (long long)json_integer_value(json_object_get(t, "tcId")));
		ok = verify(&c, k, tr_buf_view(&msg), tr_buf_view(&sig), &err) == TR_OK;
		judge(s, id, want, ok, !ok && !c.ec && !c.pss && want == MAY_ACCEPT ? "rsa-encoding" : NULL, ok ? NULL : err.pub);
	}
}
