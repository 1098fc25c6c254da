/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/claim.h"

#include "codec/ident.h"
#include "codec/text.h"
#include "signed/release.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/claim.cddl, in encoded order. Registered CWT and EAT claims where
 * they exist, the rest from CWT's private range below -65536 (RFC 8392 9.1). */
enum {
	KEY_IAT = 6,	/* seconds */
	KEY_CNF = 8,	/* {3: SHA-256 of the device key's SPKI} (RFC 8747 3.4) */
	KEY_NONCE = 10, /* the server's challenge */
	KEY_PROFILE = 265,
	KEY_SWNAME = 270,
	KEY_SWVERSION = 271, /* [version] (RFC 9711 4.2.7) */
	KEY_MILLIS = -65537, /* of the second in KEY_IAT, which must be whole */
	KEY_NODE = -65538,
	KEY_HASH = -65539,
	KEY_EXPORTER = -65540,
	KEY_RELEASE = -65541,
	KEY_DISK = -65542, /* [path, hash] */
};
#define CNF_KID 3

enum {
	HAS_IAT = 1,
	HAS_CNF = 2,
	HAS_NONCE = 4,
	HAS_PROFILE = 8,
	HAS_SWNAME = 16,
	HAS_SWVERSION = 32,
	HAS_MILLIS = 64,
	HAS_NODE = 128,
	HAS_HASH = 256,
	HAS_REQUIRED = 511
};

/* Year 9999: later times have no RFC 3339 form. */
#define TIME_MAX_S INT64_C(253402300799)

static TR_RC check(const struct tr_claim *c, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_ident_ok(c->node_id))
		why = "the claim's node_id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (!tr_ident_ok(c->software))
		why = "the claim's swname is not a plain name";
	else if (!tr_version_ok(c->version))
		why = "the claim's version is not of the form 1.2.3";
	else if (c->timestamp_ms <= 0 || c->timestamp_ms / 1000 > TIME_MAX_S)
		why = "the claim's time is out of range";
	else if (c->challenge.n != TR_CHALLENGE_LEN)
		why = "the claim's challenge is not 32 bytes";
	else if (c->exporter.n != 0 && c->exporter.n != TR_EXPORTER_LEN)
		why = "the claim's channel binding is not 32 bytes";
	else if (c->release.n > TR_RELEASE_MAX)
		why = "the enclosed release statement is too long";
	else if (c->disk_differs && (c->disk_path.n == 0 || c->disk_path.n > TR_CLAIM_PATH_MAX))
		why = "the claim's path of the file on disk is empty or too long";
	return why ? tr_err_set(err, TR_E_INVALID, why, "claim fields") : TR_OK;
}

static void encode(const struct tr_claim *c, const uint8_t *key_id, struct tr_buf *b)
{
	tr_cbor_put_map(b, 9 + (size_t)(c->exporter.n > 0) + (size_t)(c->release.n > 0) +
				   (size_t)c->disk_differs);
	tr_field_put_int(b, KEY_IAT, c->timestamp_ms / 1000);
	tr_cbor_put_int(b, KEY_CNF);
	tr_cbor_put_map(b, 1);
	tr_field_put_bytes(b, CNF_KID, tr_view(key_id, TR_SHA256_LEN));
	tr_field_put_bytes(b, KEY_NONCE, c->challenge);
	tr_field_put_text(b, KEY_PROFILE, TR_VIEW_LIT(TR_CLAIM_PROFILE));
	tr_field_put_text(b, KEY_SWNAME, c->software);
	tr_cbor_put_int(b, KEY_SWVERSION);
	tr_cbor_put_array(b, 1);
	tr_cbor_put_text(b, c->version);
	tr_field_put_int(b, KEY_MILLIS, c->timestamp_ms % 1000);
	tr_field_put_text(b, KEY_NODE, c->node_id);
	tr_field_put_bytes(b, KEY_HASH, TR_VIEW_ARRAY(c->binary_hash));
	if (c->exporter.n > 0) {
		tr_field_put_bytes(b, KEY_EXPORTER, c->exporter);
	}
	if (c->release.n > 0) {
		tr_field_put_bytes(b, KEY_RELEASE, c->release);
	}
	if (c->disk_differs) {
		tr_cbor_put_int(b, KEY_DISK);
		tr_cbor_put_array(b, 2);
		tr_cbor_put_text(b, c->disk_path);
		tr_cbor_put_bytes(b, TR_VIEW_ARRAY(c->disk_hash));
	}
}

TR_RC tr_claim_sign_alg(const struct tr_claim *c, const struct tr_privkey *k, enum tr_sig_alg alg,
			struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_claim full = *c;
	enum tr_code rc;

	if (full.software.n == 0)
		full.software = TR_VIEW_LIT(TR_CLAIM_SWNAME);
	rc = check(&full, err);
	if (rc)
		return rc;
	/* CBOR text is UTF-8; a path on disk need not be. */
	if (full.disk_differs && !tr_utf8_ok(full.disk_path))
		return tr_err_set(err, TR_E_INVALID, "the path of the file on disk is not UTF-8",
				  "disk_path");
	encode(&full, tr_pubkey_id(tr_privkey_pub(k)), &payload);
	return tr_cose1_seal(k, alg, TR_CLAIM_DOMAIN, &payload, TR_CLAIM_MAX, "the claim is too long", ret, err);
}

TR_RC tr_claim_sign(const struct tr_claim *c, const struct tr_privkey *k, struct tr_buf *ret,
		    struct tr_err *err)
{
	return tr_claim_sign_alg(c, k, tr_privkey_alg(k), ret, err);
}

static void fixed(struct tr_cbor *r, uint8_t *out, size_t n)
{
	tr_field_fixed(r, out, n, "a byte string has another length than the claim's profile says");
}

static void read_cnf(struct tr_cbor *r, struct tr_claim *out)
{
	struct tr_cbor_map m;
	int64_t key;
	bool found = false;

	(void)tr_cbor_map(r, &m, 1);
	while (tr_cbor_key_int(r, &m, &key)) {
		if (key == CNF_KID)
			fixed(r, out->key_id, sizeof(out->key_id));
		else
			tr_cbor_fail(r, "unknown confirmation method");
		found = true;
	}
	if (!found)
		tr_cbor_fail(r, "empty confirmation");
}

static void read_optional(struct tr_cbor *r, int64_t key, struct tr_claim *out)
{
	switch (key) {
	/* An absent member has one form: its key is left out. */
	case KEY_EXPORTER:
		out->exporter = tr_cbor_bytes(r);
		if (out->exporter.n == 0)
			tr_cbor_fail(r, "empty channel binding");
		break;
	case KEY_RELEASE:
		out->release = tr_cbor_bytes(r);
		if (out->release.n == 0)
			tr_cbor_fail(r, "empty release statement");
		break;
	case KEY_DISK:
		if (tr_cbor_array(r, 2) != 2)
			tr_cbor_fail(r, "the file on disk is not [path, hash]");
		out->disk_differs = true;
		out->disk_path = tr_cbor_text(r);
		fixed(r, out->disk_hash, sizeof(out->disk_hash));
		break;
	default: tr_cbor_fail(r, "unknown key in claim");
	}
}

static TR_RC parse(struct tr_view payload, struct tr_claim *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_claim out = { 0 };
	struct tr_cbor_map m;
	struct tr_view profile = { 0 };
	int64_t key, seconds = 0, millis = 0;
	unsigned seen = 0;
	enum tr_code rc;

	(void)tr_cbor_map(&r, &m, 12);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_IAT: seen |= HAS_IAT, seconds = tr_cbor_int(&r); break;
		case KEY_CNF: seen |= HAS_CNF, read_cnf(&r, &out); break;
		case KEY_NONCE: seen |= HAS_NONCE, out.challenge = tr_cbor_bytes(&r); break;
		case KEY_PROFILE: seen |= HAS_PROFILE, profile = tr_cbor_text(&r); break;
		case KEY_SWNAME: seen |= HAS_SWNAME, out.software = tr_cbor_text(&r); break;
		case KEY_SWVERSION:
			seen |= HAS_SWVERSION;
			if (tr_cbor_array(&r, 1) != 1)
				tr_cbor_fail(&r, "the version is not an array of one text");
			out.version = tr_cbor_text(&r);
			break;
		case KEY_MILLIS: seen |= HAS_MILLIS, millis = tr_cbor_int(&r); break;
		case KEY_NODE: seen |= HAS_NODE, out.node_id = tr_cbor_text(&r); break;
		case KEY_HASH: seen |= HAS_HASH, fixed(&r, out.binary_hash, sizeof(out.binary_hash)); break;
		default: read_optional(&r, key, &out);
		}
	}
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "claim");
	if (seen != HAS_REQUIRED)
		return tr_err_set(err, TR_E_INVALID, "the claim lacks a field", "fields %#x", seen);
	if (!tr_view_is(profile, TR_CLAIM_PROFILE))
		return tr_err_set(err, TR_E_INVALID, "the claim is of another profile", "eat_profile");
	if (seconds <= 0 || seconds > TIME_MAX_S || millis < 0 || millis > 999)
		return tr_err_set(err, TR_E_INVALID, "the claim's time is out of range", "iat");
	out.timestamp_ms = seconds * 1000 + millis;
	rc = check(&out, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

TR_RC tr_claim_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_claim *ret, struct tr_err *err)
{
	struct tr_claim out;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_CLAIM_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "claim");
	if (!tr_view_eq(c.sigs[0].kid, tr_cose1_kid(k)))
		return tr_err_set(err, TR_E_CONFLICT, "the claim is signed by another key", "kid differs");
	rc = tr_cose1_verify(&c, k, TR_CLAIM_DOMAIN, err);
	if (rc)
		return rc;
	rc = parse(c.payload, &out, err);
	if (rc)
		return rc;
	if (memcmp(out.key_id, tr_pubkey_id(k), sizeof(out.key_id)) != 0)
		return tr_err_set(err, TR_E_CONFLICT,
				  "the claim speaks of another key than the one that signed it",
				  "cnf differs");
	*ret = out;
	return TR_OK;
}

TR_RC tr_claim_digest(struct tr_view in, uint8_t out[32], struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_CLAIM_MAX, &c, err);

	return rc ? tr_err_wrap(err, "claim") : tr_cose1_digest(&c, TR_CLAIM_DOMAIN, out, err);
}
