/* SPDX-License-Identifier: Apache-2.0 */
/* Wycheproof and bare Ed25519 cases. */
#include "vectors.h"

#include "codec/pem.h"
#include "codec/text.h"

#include <openssl/evp.h>
#include <stdio.h>

static const struct reason key_rules[] = {
	{ "exponent is not 65537", "rsa-exponent" },
	{ "RSA key is shorter", "rsa-size" },
	{ "RSA key is longer", "rsa-size" },
	{ "keys are not accepted", "key-type" },
};

/* A SubjectPublicKeyInfo up to the 32 bytes of the point. */
static const uint8_t ed25519_head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

struct group {
	const json_t *g;
	const char *alg; /* of the file */
	struct tr_view type;
};

static bool is_sha256(const json_t *g, const char *key)
{
	return tr_view_is(jstr(g, key), "SHA-256");
}

/* Which scheme of the product a group is about; why not, when none. */
static const char *scheme(const struct group *g, enum tr_sig_alg *ret)
{
	const json_t *key = json_object_get(g->g, "publicKey");
	struct tr_view curve;

	if (!key)
		key = json_object_get(g->g, "key");
	curve = jstr(key, "curve");
	if (tr_view_is(g->type, "EddsaVerify")) {
		*ret = TR_SIG_ED25519;
		return tr_view_is(curve, "edwards25519") ? NULL : "no product code: Ed25519 is its only Edwards curve";
	}
	if (tr_view_is(g->type, "EcdsaVerify") || tr_view_is(g->type, "EcdsaP1363Verify")) {
		*ret = tr_view_is(g->type, "EcdsaVerify") ? TR_SIG_ES256_DER : TR_SIG_ES256;
		if (!tr_view_is(curve, "secp256r1"))
			return "no product code: P-256 is its only ECDSA curve";
		return is_sha256(g->g, "sha") ? NULL : "no product code: ECDSA goes with SHA-256 only";
	}
	if (tr_view_is(g->type, "RsassaPkcs1Verify")) {
		*ret = TR_SIG_RS256;
		return is_sha256(g->g, "sha") ? NULL : "no product code: RSA goes with SHA-256 only";
	}
	if (tr_view_is(g->type, "RsassaPssVerify")) {
		*ret = TR_SIG_PS256;
		if (!is_sha256(g->g, "sha") || !is_sha256(g->g, "mgfSha") || !tr_view_is(jstr(g->g, "mgf"), "MGF1"))
			return "no product code: RSA-PSS goes with SHA-256 and MGF1 of it only";
		return json_integer_value(json_object_get(g->g, "sLen")) == 32 ?
			       NULL :
			       "no product code: the PSS salt has 32 bytes (RFC 8230)";
	}
	return "no product code for this kind of test";
}

static bool group_key(const struct group *g, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_view text, label, rest;

	text = jstr(g->g, "publicKeyDer").p ? jstr(g->g, "publicKeyDer") : jstr(g->g, "keyDer");
	if (text.n && hex_to(text, &der))
		return tr_pubkey_from_spki_unlisted(tr_buf_view(&der), ret, err) == TR_OK;
	text = jstr(g->g, "publicKeyPem").p ? jstr(g->g, "publicKeyPem") : jstr(g->g, "keyPem");
	if (text.n && tr_pem_get(text, &label, &pem, &rest, err) == TR_OK)
		return tr_pubkey_from_spki_unlisted(tr_buf_view(&pem), ret, err) == TR_OK;
	(void)tr_err_set(err, TR_E_INVALID, "the group has no public key that the runner can read", "no key");
	return false;
}

static enum want wanted(const json_t *t)
{
	struct tr_view result = jstr(t, "result");

	if (tr_view_is(result, "valid"))
		return MUST_ACCEPT;
	return tr_view_is(result, "acceptable") ? MAY_ACCEPT : MUST_REFUSE;
}

static const char *tc_id(const json_t *t, char *buf, size_t n)
{
	struct tr_view c = jstr(t, "comment");

	(void)snprintf(buf, n, "tcId %lld (%.*s)", (long long)json_integer_value(json_object_get(t, "tcId")),
		       (int)(c.n > 100 ? 100 : c.n), c.p ? (const char *)c.p : "");
	return buf;
}

static void signature_group(struct set *s, const struct group *g, const json_t *tests)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	enum tr_sig_alg alg = TR_SIG_ED25519;
	struct tr_err key_err = { 0 };
	const char *why = scheme(g, &alg);
	bool have;
	size_t i;
	json_t *t;

	if (why) {
		skip(s, json_array_size(tests), why);
		return;
	}
	have = group_key(g, &k, &key_err);
	json_array_foreach(tests, i, t) {
		tr_auto(tr_buf_done) struct tr_buf msg = TR_BUF_INIT, sig = TR_BUF_INIT;
		struct tr_err err = key_err;
		enum want want = wanted(t);
		const char *rule = NULL;
		bool ok = false;
		char id[160];

		if (!jhex(t, "msg", &msg) || !jhex(t, "sig", &sig)) {
			skip(s, 1, "the case is not in hexadecimal");
			continue;
		}
		if (have)
			ok = tr_verify(k, alg, tr_buf_view(&msg), tr_buf_view(&sig), &err) == TR_OK;
		else
			rule = rule_for(key_rules, TR_ARRAY_LEN(key_rules), err.pub);
		/* Wycheproof's only "acceptable" RSA signatures leave out the NULL after the digest's name. */
		if (have && !ok && alg == TR_SIG_RS256 && want == MAY_ACCEPT)
			rule = "rsa-encoding";
		judge(s, tc_id(t, id, sizeof(id)), want, ok, rule, ok ? NULL : err.pub);
	}
}

static void mac_group(struct set *s, const struct group *g, const json_t *tests)
{
	int64_t bits = json_integer_value(json_object_get(g->g, "tagSize"));
	size_t i;
	json_t *t;

	json_array_foreach(tests, i, t) {
		tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT, msg = TR_BUF_INIT, tag = TR_BUF_INIT;
		uint8_t out[TR_SHA256_LEN];
		char id[160];

		if (!jhex(t, "key", &key) || !jhex(t, "msg", &msg) || !jhex(t, "tag", &tag)) {
			skip(s, 1, "the case is not in hexadecimal");
			continue;
		}
		tr_hmac_sha256(tr_buf_view(&key), tr_buf_view(&msg), out);
		/* Some groups want the first half of the code only. */
		judge(s, tc_id(t, id, sizeof(id)), wanted(t),
		      bits > 0 && bits <= 256 && tag.n == (size_t)bits / 8 && memcmp(out, tag.p, tag.n) == 0, NULL, NULL);
	}
}

static void hkdf_group(struct set *s, const json_t *tests)
{
	size_t i;
	json_t *t;

	json_array_foreach(tests, i, t) {
		tr_auto(tr_buf_done) struct tr_buf ikm = TR_BUF_INIT, salt = TR_BUF_INIT, info = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf okm = TR_BUF_INIT;
		int64_t size = json_integer_value(json_object_get(t, "size"));
		tr_auto(tr_free) uint8_t *out = NULL;
		struct tr_err err = { 0 };
		bool ok;
		char id[160];

		if (!jhex(t, "ikm", &ikm) || !jhex(t, "salt", &salt) || !jhex(t, "info", &info) || !jhex(t, "okm", &okm) ||
		    size < 0 || size > 1 << 20) {
			skip(s, 1, "the case is not in hexadecimal, or asks for over 1 MiB");
			continue;
		}
		out = calloc(1, (size_t)size + 1);
		ok = out && tr_hkdf_sha256(tr_buf_view(&ikm), tr_buf_view(&salt), tr_buf_view(&info), out, (size_t)size,
					   &err) == TR_OK;
		if (ok && wanted(t) == MUST_ACCEPT)
			ok = tr_view_eq(tr_buf_view(&okm), tr_view(out, (size_t)size));
		judge(s, tc_id(t, id, sizeof(id)), wanted(t), ok, NULL, err.pub);
	}
}

static const struct {
	const char *start, *why;
} absent[] = {
	{ "XDH", "no product code before the release with encrypted messages (X25519)" },
	{ "AES-GCM", "no product code before the release with encrypted messages (AES-GCM)" },
};

bool wycheproof(struct run *r, const struct item *it, const json_t *j)
{
	const json_t *groups = json_object_get(j, "testGroups");
	struct group g = { .alg = (const char *)jstr(j, "algorithm").p };
	char kind[128], raw_kind[160];
	struct set *s;
	size_t i;

	if (!g.alg || !json_is_array(groups))
		return false;
	(void)snprintf(kind, sizeof(kind), "Wycheproof %.80s", g.alg);
	(void)snprintf(raw_kind, sizeof(raw_kind), "%s, bare keys", kind);
	s = set_of(r, it, kind, false);
	json_array_foreach(groups, i, g.g) {
		const json_t *tests = json_object_get(g.g, "tests");
		const char *why = "no product code uses this algorithm";

		g.type = jstr(g.g, "type");
		if (strcmp(g.alg, "HMACSHA256") == 0 && tr_view_is(g.type, "MacTest")) {
			mac_group(s, &g, tests);
		} else if (strcmp(g.alg, "HKDF-SHA-256") == 0) {
			hkdf_group(s, tests);
		} else if (strncmp(g.alg, "EDDSA", 5) == 0 || strncmp(g.alg, "ECDSA", 5) == 0 ||
			   strncmp(g.alg, "RSA", 3) == 0 || strcmp(g.alg, "EdDSA") == 0) {
			signature_group(s, &g, tests);
			if (g.alg[0] == 'R' || strncmp(g.alg, "ECDSA", 5) == 0)
				raw_group(set_of(r, it, raw_kind, false), g.g);
		} else {
			for (size_t k = 0; k < TR_ARRAY_LEN(absent); k++)
				if (strncmp(g.alg, absent[k].start, strlen(absent[k].start)) == 0)
					why = absent[k].why;
			skip(s, json_array_size(tests), why);
		}
	}
	return true;
}

/* ---- bare Ed25519 cases: the corner cases come without a verdict ---- */

/* The encodings of the eight points of small order, sign bit cleared, the non-canonical among them included: y is 0,
 * 1, -1, or one of two numbers; then p, p+1 (RFC 8032 section 5.1; the list of the CCTV collection). */
static bool is_weak_point(const uint8_t p[32])
{
	static const char *const weak[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	};
	uint8_t q[32], w[32];
	bool top = true;

	memcpy(q, p, 32);
	q[31] &= 0x7f;
	for (size_t i = 0; i < TR_ARRAY_LEN(weak); i++)
		if (tr_hex_get(tr_view_str(weak[i]), w, 32) && memcmp(q, w, 32) == 0)
			return true;
	/* y >= p = 2^255 - 19: no canonical encoding. */
	for (size_t i = 1; i < 31; i++)
		top = top && q[i] == 0xff;
	return top && q[31] == 0x7f && q[0] >= 0xed;
}

/* The strict rule by another library than the product's: OpenSSL's cofactorless check, with S below the group order,
 * and neither point of small order or written in a second way. */
static bool strict_by_openssl(struct tr_view pub, struct tr_view msg, struct tr_view sig)
{
	EVP_PKEY *k = NULL;
	EVP_MD_CTX *c = NULL;
	bool ok = false;

	if (pub.n != 32 || sig.n != 64 || is_weak_point(pub.p) || is_weak_point(sig.p))
		return false;
	k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub.p, 32);
	c = EVP_MD_CTX_new();
	if (k && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) == 1)
		ok = EVP_DigestVerify(c, sig.p, 64, msg.n ? msg.p : (const uint8_t *)"", msg.n) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(k);
	return ok;
}

/* The shapes in circulation: names of the key, the message (hexadecimal or text), the signature or its halves. */
static const struct shape {
	const char *key, *msg, *sig, *sig2;
	bool text;
} shapes[] = {
	{ "pub_key", "message", "signature", NULL, false },
	{ "Key", "Msg", "Sig", NULL, true },
	{ "key", "msg", "sig", NULL, true },
	{ "A", "M", "R", "S", true },
};

static const struct shape *shape_of(const json_t *c)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++)
		if (jstr(c, shapes[i].key).n == 64 && jstr(c, shapes[i].msg).p &&
		    jstr(c, shapes[i].sig).n == (shapes[i].sig2 ? 64 : 128))
			return &shapes[i];
	return NULL;
}

bool ed25519_cases(struct run *r, const struct item *it, const json_t *j)
{
	const struct shape *shape = shape_of(json_array_get(j, 0));
	struct set *s;
	size_t i;
	json_t *c;

	if (!shape)
		return false;
	s = set_of(r, it, "Ed25519 corner cases, strict rule", false);
	json_array_foreach(j, i, c) {
		tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT, msg = TR_BUF_INIT, sig = TR_BUF_INIT;
		tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT;
		tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
		struct tr_err err = { 0 };
		bool want, bare = false, whole = false;
		char id[32];

		(void)snprintf(id, sizeof(id), "case %zu", i);
		if (!jhex(c, shape->key, &key) || !jhex(c, shape->sig, &sig) ||
		    (shape->sig2 && !jhex(c, shape->sig2, &sig)) || (!shape->text && !jhex(c, shape->msg, &msg))) {
			skip(s, 1, "the case is not in hexadecimal");
			continue;
		}
		if (shape->text)
			tr_buf_addv(&msg, jstr(c, shape->msg));
		want = strict_by_openssl(tr_buf_view(&key), tr_buf_view(&msg), tr_buf_view(&sig));
		if (key.n == 32)
			bare = tr_ed25519_verify_strict(key.p, tr_buf_view(&msg), tr_buf_view(&sig));
		tr_buf_add(&spki, ed25519_head, sizeof(ed25519_head));
		tr_buf_addv(&spki, tr_buf_view(&key));
		if (tr_pubkey_from_spki_unlisted(tr_buf_view(&spki), &k, &err) == TR_OK)
			whole = tr_verify(k, TR_SIG_ED25519, tr_buf_view(&msg), tr_buf_view(&sig), &err) == TR_OK;
		if (bare != whole)
			disagree(s, id, "the product's two ways to verify differ: %s", err.pub ? err.pub : "no reason");
		else
			judge(s, id, want ? MUST_ACCEPT : MUST_REFUSE, bare && whole, NULL, err.pub);
	}
	return true;
}

/* ---- JWK ---- */

static bool jwk_number(const json_t *jwk, const char *key, struct tr_buf *ret)
{
	struct tr_view v = jstr(jwk, key);
	struct tr_err err;
	char hex[16];

	if (v.n)
		return tr_b64_get(v, TR_B64_URL, ret, &err) == TR_OK && ret->n;
	(void)snprintf(hex, sizeof(hex), "%s_hex", key);
	return jhex(jwk, hex, ret) && ret->n;
}

static void der_add(struct tr_buf *b, uint8_t tag, struct tr_view body)
{
	tr_buf_add8(b, tag);
	if (body.n >= 256) {
		tr_buf_add8(b, 0x82);
		tr_buf_add8(b, (uint8_t)(body.n >> 8));
	} else if (body.n >= 128) {
		tr_buf_add8(b, 0x81);
	}
	tr_buf_add8(b, (uint8_t)body.n);
	tr_buf_addv(b, body);
}

static void der_number(struct tr_buf *b, struct tr_view v)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	if (v.n && v.p[0] & 0x80)
		tr_buf_add8(&body, 0);
	tr_buf_addv(&body, v);
	der_add(b, 0x02, tr_buf_view(&body));
}

static bool rsa_spki(const json_t *jwk, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf n = TR_BUF_INIT, e = TR_BUF_INIT, pair = TR_BUF_INIT, bits = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf all = TR_BUF_INIT;

	if (!jwk_number(jwk, "n", &n) || !jwk_number(jwk, "e", &e) || n.n > 2048)
		return false;
	der_number(&pair, tr_buf_view(&n));
	der_number(&pair, tr_buf_view(&e));
	tr_buf_add8(&bits, 0);
	der_add(&bits, 0x30, tr_buf_view(&pair));
	tr_buf_add(&all, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", 15);
	der_add(&all, 0x03, tr_buf_view(&bits));
	der_add(ret, 0x30, tr_buf_view(&all));
	return tr_buf_ok(ret);
}

bool jwk_spki(const json_t *jwk, struct tr_buf *ret)
{
	static const uint8_t p256[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
					0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };
	tr_auto(tr_buf_done) struct tr_buf x = TR_BUF_INIT, y = TR_BUF_INIT;
	struct tr_view kty = jstr(jwk, "kty"), crv = jstr(jwk, "crv");

	if (tr_view_is(kty, "RSA"))
		return rsa_spki(jwk, ret);
	if (!jwk_number(jwk, "x", &x) || x.n != 32)
		return false;
	if (tr_view_is(crv, "Ed25519")) {
		tr_buf_add(ret, ed25519_head, sizeof(ed25519_head));
		tr_buf_addv(ret, tr_buf_view(&x));
		return true;
	}
	if (!tr_view_is(crv, "P-256") || !jwk_number(jwk, "y", &y) || y.n != 32)
		return false;
	tr_buf_add(ret, p256, sizeof(p256));
	tr_buf_addv(ret, tr_buf_view(&x));
	tr_buf_addv(ret, tr_buf_view(&y));
	return true;
}
