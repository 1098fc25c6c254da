/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/keyset.h"

#include "crypto/x509.h"
#include "signed/keyset_form.h"

/* Payload keys; documented in docs/protocol/keyset.cddl. Never reused. */
enum {
	KEY_DOMAIN = 1,
	KEY_EPOCH,
	KEY_ISSUED,
	KEY_EXPIRES,
	KEY_THRESHOLD,
	KEY_ROOTS,
	KEY_KEYS,
	KEY_REVNO,
	KEY_REVOKED,
	KEY_PREV /* absent in epoch 1 */
};

/* Year 9999: later times have no RFC 3339 form. */
#define TIME_MAX_MS INT64_C(253402300799999)
#define ROOT_MAX 2048 /* bytes of a root's SPKI */

static int view_cmp(struct tr_view a, struct tr_view b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool time_ok(int64_t ms)
{
	return ms >= 0 && ms <= TIME_MAX_MS;
}

static const char *check_keys(const struct tr_keyset *k)
{
	for (size_t i = 0; i < k->n_keys; i++) {
		const struct tr_keyset_key *key = &k->keys[i];

		if ((unsigned)key->role >= TR_ROLE_N)
			return "the keyset gives a key an unknown role";
		if (key->key.n == 0 || key->key.n > TR_CERT_DER_MAX)
			return "the keyset holds an empty or oversized key";
		if (!time_ok(key->not_before_ms) || !time_ok(key->not_after_ms) ||
		    !time_ok(key->no_sign_after_ms))
			return "the keyset gives a key a time out of range";
		if (key->not_after_ms && key->not_after_ms <= key->not_before_ms)
			return "the keyset holds a key that ends before it begins";
		/* Who orders must not be who approves: a key has one role. */
		for (size_t j = 0; j < i; j++)
			if (tr_view_eq(k->keys[j].key, key->key))
				return "the keyset names a key twice";
	}
	return NULL;
}

/* The rules that hold for what we write and for what we read. */
static TR_RC check(const struct tr_keyset *k, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_trust_domain_ok(k->trust_domain))
		why = "the keyset's trust domain is not a SPIFFE trust domain";
	else if (k->epoch == 0)
		why = "the keyset has no epoch";
	else if (k->prev_digest.n != (k->epoch == 1 ? 0 : TR_SHA256_LEN))
		why = "the keyset must name its predecessor from epoch 2 on, and not before";
	else if (k->issued_ms <= 0 || !time_ok(k->issued_ms) || !time_ok(k->expires_ms) ||
		 k->expires_ms <= k->issued_ms)
		why = "the keyset's times are out of range";
	else if (k->n_roots == 0 || k->n_roots > TR_KEYSET_ROOTS_MAX || k->n_keys > TR_KEYSET_KEYS_MAX ||
		 k->n_revoked > TR_KEYSET_REVOKED_MAX)
		why = "the keyset has no root, or too many entries";
	else if (k->threshold == 0 || k->threshold > k->n_roots)
		why = "the keyset's threshold is not between 1 and the number of roots";
	for (size_t i = 0; !why && i < k->n_roots; i++)
		if (k->roots[i].n == 0 || k->roots[i].n > ROOT_MAX ||
		    (i > 0 && view_cmp(k->roots[i - 1], k->roots[i]) >= 0))
			why = "the keyset's roots are not sorted and unique";
	for (size_t i = 1; !why && i < k->n_revoked; i++)
		if (memcmp(k->revoked[i - 1], k->revoked[i], TR_SHA256_LEN) >= 0)
			why = "the keyset's revocations are not sorted and unique";
	if (!why)
		why = check_keys(k);
	return why ? tr_err_set(err, TR_E_INVALID, why, "keyset fields") : TR_OK;
}

static void put_keys(const struct tr_keyset *k, struct tr_buf *b)
{
	tr_cbor_put_array(b, k->n_keys);
	for (size_t i = 0; i < k->n_keys; i++) {
		const struct tr_keyset_key *key = &k->keys[i];

		tr_cbor_put_array(b, 5);
		tr_cbor_put_text(b, tr_view_str(tr_key_role_name(key->role)));
		tr_cbor_put_bytes(b, key->key);
		tr_cbor_put_int(b, key->not_before_ms);
		tr_cbor_put_int(b, key->not_after_ms);
		tr_cbor_put_int(b, key->no_sign_after_ms);
	}
}

static void put_roots(const struct tr_keyset *k, struct tr_buf *b)
{
	tr_cbor_put_array(b, k->n_roots);
	for (size_t i = 0; i < k->n_roots; i++)
		tr_cbor_put_bytes(b, k->roots[i]);
}

TR_RC tr_keyset_payload(const struct tr_keyset *k, struct tr_buf *ret, struct tr_err *err)
{
	enum tr_code rc = check(k, err);

	if (rc)
		return rc;
	tr_cbor_put_map(ret, 9 + (size_t)(k->prev_digest.n > 0));
	tr_cbor_put_int(ret, KEY_DOMAIN);
	tr_cbor_put_text(ret, k->trust_domain);
	tr_cbor_put_int(ret, KEY_EPOCH);
	tr_cbor_put_uint(ret, k->epoch);
	tr_cbor_put_int(ret, KEY_ISSUED);
	tr_cbor_put_int(ret, k->issued_ms);
	tr_cbor_put_int(ret, KEY_EXPIRES);
	tr_cbor_put_int(ret, k->expires_ms);
	tr_cbor_put_int(ret, KEY_THRESHOLD);
	tr_cbor_put_uint(ret, k->threshold);
	tr_cbor_put_int(ret, KEY_ROOTS);
	put_roots(k, ret);
	tr_cbor_put_int(ret, KEY_KEYS);
	put_keys(k, ret);
	tr_cbor_put_int(ret, KEY_REVNO);
	tr_cbor_put_uint(ret, k->revocation_number);
	tr_cbor_put_int(ret, KEY_REVOKED);
	tr_cbor_put_array(ret, k->n_revoked);
	for (size_t i = 0; i < k->n_revoked; i++)
		tr_cbor_put_bytes(ret, TR_VIEW_ARRAY(k->revoked[i]));
	if (k->prev_digest.n > 0) {
		tr_cbor_put_int(ret, KEY_PREV);
		tr_cbor_put_bytes(ret, k->prev_digest);
	}
	return tr_buf_check(ret, err);
}

static void read_roots(struct tr_cbor *r, struct tr_keyset *out)
{
	out->n_roots = tr_cbor_array(r, TR_KEYSET_ROOTS_MAX);
	for (size_t i = 0; i < out->n_roots && !r->error; i++)
		out->roots[i] = tr_cbor_bytes(r);
}

static void read_keys(struct tr_cbor *r, struct tr_keyset *out)
{
	out->n_keys = tr_cbor_array(r, TR_KEYSET_KEYS_MAX);
	for (size_t i = 0; i < out->n_keys && !r->error; i++) {
		struct tr_keyset_key *k = &out->keys[i];

		if (tr_cbor_array(r, 5) != 5)
			tr_cbor_fail(r, "a key of the keyset has not five fields");
		if (!tr_key_role_of(tr_cbor_text(r), &k->role))
			tr_cbor_fail(r, "unknown role in keyset");
		k->key = tr_cbor_bytes(r);
		k->not_before_ms = tr_cbor_int(r);
		k->not_after_ms = tr_cbor_int(r);
		k->no_sign_after_ms = tr_cbor_int(r);
	}
}

static void read_revoked(struct tr_cbor *r, struct tr_keyset *out)
{
	out->n_revoked = tr_cbor_array(r, TR_KEYSET_REVOKED_MAX);
	for (size_t i = 0; i < out->n_revoked && !r->error; i++) {
		struct tr_view v = tr_cbor_bytes(r);

		if (v.n == TR_SHA256_LEN)
			memcpy(out->revoked[i], v.p, TR_SHA256_LEN);
		else
			tr_cbor_fail(r, "a revocation is not a SHA-256");
	}
}

TR_RC tr_keyset_parse(struct tr_view payload, struct tr_keyset *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;
	enum tr_code rc;

	memset(out, 0, sizeof(*out));
	(void)tr_cbor_map(&r, &m, 10);
	while (tr_cbor_key_int(&r, &m, &key)) {
		if (key >= KEY_DOMAIN && key <= KEY_PREV)
			seen |= 1u << key;
		switch (key) {
		case KEY_DOMAIN: out->trust_domain = tr_cbor_text(&r); break;
		case KEY_EPOCH: out->epoch = tr_cbor_uint(&r); break;
		case KEY_ISSUED: out->issued_ms = tr_cbor_int(&r); break;
		case KEY_EXPIRES: out->expires_ms = tr_cbor_int(&r); break;
		case KEY_THRESHOLD: out->threshold = tr_cbor_uint(&r); break;
		case KEY_ROOTS: read_roots(&r, out); break;
		case KEY_KEYS: read_keys(&r, out); break;
		case KEY_REVNO: out->revocation_number = tr_cbor_uint(&r); break;
		case KEY_REVOKED: read_revoked(&r, out); break;
		case KEY_PREV:
			out->prev_digest = tr_cbor_bytes(&r);
			if (out->prev_digest.n == 0)
				tr_cbor_fail(&r, "empty predecessor in keyset");
			break;
		default: tr_cbor_fail(&r, "unknown key in keyset");
		}
	}
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "keyset");
	if ((seen | 1u << KEY_PREV) != 0x7feu)
		return tr_err_set(err, TR_E_INVALID, "the keyset lacks a field", "fields %#x", seen);
	return check(out, err);
}

/* The one form that tr_keyset_sign writes: no header but algorithm and key id. */
static TR_RC check_form(struct tr_view in, const struct tr_cose *c, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf whole = TR_BUF_INIT;
	bool plain = c->body_protected.n == 0;
	enum tr_code rc;

	for (size_t i = 0; plain && i < c->n_sigs; i++) {
		tr_auto(tr_buf_done) struct tr_buf hdr = TR_BUF_INIT;

		tr_cose_put_protected(&hdr, c->sigs[i].alg, c->sigs[i].kid);
		rc = tr_buf_check(&hdr, err);
		if (rc)
			return rc;
		plain = tr_view_eq(tr_buf_view(&hdr), c->sigs[i].protected_hdr);
	}
	tr_cose_put_sign(&whole, tr_view(NULL, 0), c->payload, c->sigs, c->n_sigs);
	rc = tr_buf_check(&whole, err);
	if (rc)
		return rc;
	if (!plain || !tr_view_eq(tr_buf_view(&whole), in))
		return tr_err_set(err, TR_E_INVALID,
				  "the keyset carries headers other than algorithm and key id",
				  "re-encoding differs");
	return TR_OK;
}

TR_RC tr_keyset_read_form(struct tr_view in, struct tr_cose *ret, struct tr_err *err)
{
	enum tr_code rc;

	if (in.n > TR_KEYSET_MAX)
		return tr_err_set(err, TR_E_INVALID, "the keyset is too long", "%zu bytes", in.n);
	rc = tr_cose_sign_parse(in, ret, err);
	if (rc)
		return tr_err_wrap(err, "keyset");
	return check_form(in, ret, err);
}

TR_RC tr_keyset_unverified(struct tr_view in, struct tr_keyset *ret, struct tr_err *err)
{
	struct tr_keyset out;
	struct tr_cose c;
	enum tr_code rc = tr_keyset_read_form(in, &c, err);

	if (rc)
		return rc;
	rc = tr_keyset_parse(c.payload, &out, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

void tr_keyset_root_fingerprint(const struct tr_keyset *k, uint8_t out[32])
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_cbor_put_array(&b, 2);
	tr_cbor_put_uint(&b, k->threshold);
	put_roots(k, &b);
	/* A buffer that failed (out of memory) must not hash to something that could match. */
	if (tr_buf_ok(&b))
		tr_sha256(tr_buf_view(&b), out);
	else
		memset(out, 0, TR_SHA256_LEN);
}
