/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/prekey.h"

#include "codec/ident.h"
#include "crypto/x509.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/message.cddl. Never reused. */
enum { KEY_FLEET = 1, KEY_AGENT, KEY_NUMBER, KEY_KEY, KEY_NOT_BEFORE, KEY_NOT_AFTER, KEY_N };
#define BIT(key) (1u << (key))
#define REQUIRED (BIT(KEY_N) - BIT(KEY_FLEET))

static TR_RC check(const struct tr_prekey *p, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_trust_domain_ok(p->fleet))
		why = "the pre-key's trust domain is not one";
	else if (!tr_ident_ok(p->agent))
		why = "the pre-key's agent id is not a plain name";
	else if (p->number < 1 || p->number > INT64_MAX)
		why = "the pre-key's number is out of range";
	/* A key that lives for long is one that opens much when it is stolen. */
	else if (p->not_before <= 0 || p->not_after <= p->not_before || p->not_after - p->not_before > TR_PREKEY_LIFE_S)
		why = "the pre-key's life is not one of at most two days";
	return why ? tr_err_set(err, TR_E_INVALID, why, "pre-key fields") : TR_OK;
}

TR_RC tr_prekey_sign(const struct tr_prekey *p, const struct tr_privkey *identity, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = check(p, err);

	if (rc)
		return rc;
	tr_cbor_put_map(&b, KEY_N - 1);
	tr_field_put_text(&b, KEY_FLEET, p->fleet);
	tr_field_put_text(&b, KEY_AGENT, p->agent);
	tr_field_put_uint(&b, KEY_NUMBER, p->number);
	tr_field_put_bytes(&b, KEY_KEY, TR_VIEW_ARRAY(p->key));
	tr_field_put_int(&b, KEY_NOT_BEFORE, p->not_before);
	tr_field_put_int(&b, KEY_NOT_AFTER, p->not_after);
	return tr_cose1_seal(identity, tr_privkey_alg(identity), TR_PREKEY_DOMAIN, &b, TR_PREKEY_MAX,
			     "the pre-key is too long: its trust domain or the identity key is", ret, err);
}

static TR_RC parse(struct tr_view payload, struct tr_prekey *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	*out = (struct tr_prekey){ .number = 0 };
	(void)tr_cbor_map(&r, &m, KEY_N);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_FLEET: out->fleet = tr_cbor_text(&r); break;
		case KEY_AGENT: out->agent = tr_cbor_text(&r); break;
		case KEY_NUMBER: out->number = tr_cbor_uint(&r); break;
		case KEY_KEY: tr_field_fixed(&r, out->key, sizeof(out->key), "the pre-key is not of 32 bytes"); break;
		case KEY_NOT_BEFORE: out->not_before = tr_cbor_int(&r); break;
		case KEY_NOT_AFTER: out->not_after = tr_cbor_int(&r); break;
		default: tr_cbor_fail(&r, "unknown key in the pre-key"); continue;
		}
		seen |= BIT(key);
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "pre-key");
	if ((seen & REQUIRED) != REQUIRED)
		return tr_err_set(err, TR_E_INVALID, "the pre-key lacks a field", "fields %#x", seen);
	return check(out, err);
}

TR_RC tr_prekey_verify(struct tr_view in, const struct tr_pubkey *identity, struct tr_prekey *ret, struct tr_err *err)
{
	struct tr_prekey out;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_PREKEY_MAX, &c, err);

	if (!rc)
		rc = tr_cose1_verify(&c, identity, TR_PREKEY_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "pre-key");
	rc = parse(c.payload, &out, err);
	if (!rc)
		*ret = out;
	return rc;
}

void tr_prekey_id(const uint8_t key[32], uint8_t out[16])
{
	uint8_t digest[TR_SHA256_LEN];

	tr_sha256(tr_view(key, 32), digest);
	memcpy(out, digest, 16);
}
