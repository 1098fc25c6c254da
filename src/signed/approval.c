/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/approval.h"

#include "crypto/x509.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/command.cddl. Never reused. */
enum { KEY_DOMAIN = 1, KEY_ISSUED, KEY_EXPIRES, KEY_TEXT, KEY_ORDERS, KEY_N };

#define TIME_MAX_MS INT64_C(253402300799999) /* year 9999 */
#define AHEAD_MAX_MS 300000

/* Lines of what a terminal shows as it was signed. */
static bool text_ok(struct tr_view v)
{
	if (v.n == 0 || v.n > TR_APPROVAL_TEXT_MAX)
		return false;
	for (size_t from = 0; from <= v.n;) {
		const uint8_t *end = from < v.n ? memchr(v.p + from, '\n', v.n - from) : NULL;
		size_t to = end ? (size_t)(end - v.p) : v.n;

		if (!tr_order_line_ok(tr_view(v.p + from, to - from)))
			return false;
		from = to + 1;
	}
	return true;
}

static TR_RC check(const struct tr_approval *a, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_trust_domain_ok(a->trust_domain))
		why = "the approval's trust domain is not a SPIFFE trust domain";
	else if (a->issued_ms <= 0 || a->issued_ms > TIME_MAX_MS || a->expires_ms > TIME_MAX_MS ||
		 a->expires_ms <= a->issued_ms)
		why = "the approval's times are out of range";
	else if (a->expires_ms - a->issued_ms > tr_cmd_approval_max_s(TR_CLASS_CHANGE) * INT64_C(1000))
		why = "the approval lives longer than 4 hours";
	else if (!text_ok(a->text))
		why = "the approval's text is not of 1 to 4096 bytes of printable lines";
	else if (a->n == 0 || a->n > TR_APPROVAL_ORDERS_MAX)
		why = "an approval covers 1 to 64 orders";
	for (size_t i = 1; !why && i < a->n; i++)
		if (memcmp(a->orders[i - 1], a->orders[i], TR_SHA256_LEN) >= 0)
			why = "the approval's orders are not sorted and unique";
	return why ? tr_err_set(err, TR_E_INVALID, why, "approval fields") : TR_OK;
}

TR_RC tr_approval_sign(const struct tr_approval *a, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = check(a, err);

	if (rc)
		return rc;
	tr_cbor_put_map(&b, KEY_N - 1);
	tr_field_put_text(&b, KEY_DOMAIN, a->trust_domain);
	tr_field_put_int(&b, KEY_ISSUED, a->issued_ms);
	tr_field_put_int(&b, KEY_EXPIRES, a->expires_ms);
	tr_field_put_text(&b, KEY_TEXT, a->text);
	tr_cbor_put_int(&b, KEY_ORDERS);
	tr_cbor_put_array(&b, a->n);
	for (size_t i = 0; i < a->n; i++)
		tr_cbor_put_bytes(&b, TR_VIEW_ARRAY(a->orders[i]));
	return tr_cose1_seal(k, tr_privkey_alg(k), TR_APPROVAL_DOMAIN, &b, TR_APPROVAL_MAX, "the approval is too long", ret, err);
}

static void read_orders(struct tr_cbor *r, struct tr_approval *out)
{
	out->n = tr_cbor_array(r, TR_APPROVAL_ORDERS_MAX);
	for (size_t i = 0; i < out->n && !r->error; i++)
		tr_field_fixed(r, out->orders[i], TR_SHA256_LEN, "an order's digest is not a SHA-256");
}

static TR_RC parse(struct tr_view payload, struct tr_approval *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	int64_t key;

	*out = (struct tr_approval){ .n = 0 };
	if (tr_cbor_map(&r, &m, KEY_N) != KEY_N - 1)
		tr_cbor_fail(&r, "an approval has exactly five members");
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_DOMAIN: out->trust_domain = tr_cbor_text(&r); break;
		case KEY_ISSUED: out->issued_ms = tr_cbor_int(&r); break;
		case KEY_EXPIRES: out->expires_ms = tr_cbor_int(&r); break;
		case KEY_TEXT: out->text = tr_cbor_text(&r); break;
		case KEY_ORDERS: read_orders(&r, out); break;
		default: tr_cbor_fail(&r, "unknown member of an approval");
		}
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "approval");
	return check(out, err);
}

TR_RC tr_approval_read(struct tr_view in, struct tr_approval *ret, struct tr_view *ret_kid, struct tr_err *err)
{
	struct tr_approval out;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_APPROVAL_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "approval");
	rc = parse(c.payload, &out, err);
	if (rc)
		return rc;
	*ret = out;
	*ret_kid = c.sigs[0].kid;
	return TR_OK;
}

/* The operator's key if the signature is its. */
static TR_RC check_signature(const struct tr_cose *c, const struct tr_keyset *ks, const struct tr_keyset_key **ret,
			     uint8_t ret_key_id[32], struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	const struct tr_keyset_key *key = tr_keyset_find(ks, TR_ROLE_OPERATOR, c->sigs[0].kid);
	enum tr_code rc;

	if (!key)
		return tr_err_set(err, TR_E_DENIED,
				  "the approval is by a key that is no operator's in the keyset: name it in the next one ('troth keyset prepare --add-operator'), or approve with another",
				  "kid");
	rc = tr_pubkey_from_spki(key->key, &k, err);
	if (!rc)
		rc = tr_cose1_verify(c, k, TR_APPROVAL_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "approval");
	*ret = key;
	memcpy(ret_key_id, tr_pubkey_id(k), TR_SHA256_LEN);
	return TR_OK;
}

static bool covers(const struct tr_approval *a, const uint8_t digest[32])
{
	for (size_t i = 0; i < a->n; i++)
		if (memcmp(a->orders[i], digest, TR_SHA256_LEN) == 0)
			return true;
	return false;
}

TR_RC tr_approval_verify(struct tr_view in, const struct tr_keyset *ks, enum tr_cmd_class class,
			 const uint8_t order_digest[32], int64_t now_ms, uint8_t ret_key_id[32], struct tr_err *err)
{
	const struct tr_keyset_key *key = NULL;
	uint8_t id[TR_SHA256_LEN];
	enum tr_key_standing standing;
	const char *why = NULL;
	struct tr_approval a;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_APPROVAL_MAX, &c, err);

	if (!rc)
		rc = check_signature(&c, ks, &key, id, err);
	if (!rc)
		rc = parse(c.payload, &a, err);
	if (rc)
		return rc == TR_E_INTERNAL ? rc : (err->code = TR_E_DENIED);
	standing = tr_keyset_standing(ks, key, a.issued_ms, now_ms);
	if (standing == TR_KEY_REVOKED)
		why = "the approval is by an operator's key that is revoked";
	else if (standing != TR_KEY_GOOD)
		why = "the approval was made outside the time of its operator's key";
	else if (!tr_view_eq(a.trust_domain, ks->trust_domain))
		why = "the approval is of another trust domain";
	else if (!covers(&a, order_digest))
		why = "the approval does not cover this order";
	else if (a.issued_ms > now_ms + AHEAD_MAX_MS)
		why = "the approval was made in the future: the operator's clock is wrong, or this one";
	else if (a.expires_ms - a.issued_ms > tr_cmd_approval_max_s(class) * INT64_C(1000))
		why = "the approval lives longer than this class of command allows";
	else if (now_ms >= a.expires_ms)
		why = "the approval has expired: the operator must approve again";
	if (why)
		return tr_err_set(err, TR_E_DENIED, why, "approval");
	memcpy(ret_key_id, id, sizeof(id));
	return TR_OK;
}
