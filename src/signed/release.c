/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/release.h"

#include "codec/ident.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/release.cddl. Never reused. */
enum { KEY_NAME = 1, KEY_VERSION, KEY_PLATFORM, KEY_SIZE, KEY_SHA256, KEY_COUNTER, KEY_ISSUED, KEY_EXPIRES,
       KEY_BPF };

/* Year 9999: later times have no RFC 3339 form. */
#define TIME_MAX_MS INT64_C(253402300799999)

static TR_RC check(const struct tr_release *r, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_ident_ok(r->name))
		why = "the release's name is not a plain name (letters, digits, '.', '_', '-')";
	else if (!tr_version_ok(r->version))
		why = "the release's version is not of the form 1.2.3";
	else if (!tr_ident_ok(r->platform))
		why = "the release's platform is not a plain name such as linux-amd64";
	else if (r->issued_ms <= 0 || r->issued_ms > TIME_MAX_MS)
		why = "the release's time of issue is out of range";
	else if (r->expires_ms != 0 && (r->expires_ms <= r->issued_ms || r->expires_ms > TIME_MAX_MS))
		why = "the release expires before it was issued, or too late";
	else if (r->size > INT64_MAX || r->counter > INT64_MAX)
		why = "the release's size or counter is out of range"; /* 63 bits: what stores and JSON hold */
	return why ? tr_err_set(err, TR_E_INVALID, why, "release fields") : TR_OK;
}

TR_RC tr_release_sign(const struct tr_release *r, const struct tr_privkey *k, struct tr_buf *ret,
		      struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = check(r, err);

	if (rc)
		return rc;
	if (r->bpf.n)
		rc = tr_release_bpf_get(r->bpf, NULL, err);
	if (rc)
		return rc;
	tr_cbor_put_map(&b, 7 + (size_t)(r->expires_ms != 0) + (size_t)(r->bpf.n > 0));
	tr_field_put_text(&b, KEY_NAME, r->name);
	tr_field_put_text(&b, KEY_VERSION, r->version);
	tr_field_put_text(&b, KEY_PLATFORM, r->platform);
	tr_field_put_uint(&b, KEY_SIZE, r->size);
	tr_field_put_bytes(&b, KEY_SHA256, TR_VIEW_ARRAY(r->sha256));
	tr_field_put_uint(&b, KEY_COUNTER, r->counter);
	tr_field_put_int(&b, KEY_ISSUED, r->issued_ms);
	if (r->expires_ms) {
		tr_field_put_int(&b, KEY_EXPIRES, r->expires_ms);
	}
	if (r->bpf.n) {
		tr_cbor_put_int(&b, KEY_BPF);
		tr_buf_addv(&b, r->bpf);
	}
	return tr_cose1_seal(k, tr_privkey_alg(k), TR_RELEASE_DOMAIN, &b, TR_RELEASE_MAX,
			     "the release statement is over 6656 bytes: name fewer BPF programs, or shorter pins", ret, err);
}

static TR_RC parse(struct tr_view payload, struct tr_release *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_release out = { 0 };
	struct tr_cbor_map m;
	struct tr_view hash = { 0 };
	unsigned seen = 0;
	int64_t key;
	enum tr_code rc;

	(void)tr_cbor_map(&r, &m, 9);
	while (tr_cbor_key_int(&r, &m, &key)) {
		if (key >= KEY_NAME && key <= KEY_BPF)
			seen |= 1u << key;
		switch (key) {
		case KEY_NAME: out.name = tr_cbor_text(&r); break;
		case KEY_VERSION: out.version = tr_cbor_text(&r); break;
		case KEY_PLATFORM: out.platform = tr_cbor_text(&r); break;
		case KEY_SIZE: out.size = tr_cbor_uint(&r); break;
		case KEY_SHA256: hash = tr_cbor_bytes(&r); break;
		case KEY_COUNTER: out.counter = tr_cbor_uint(&r); break;
		case KEY_ISSUED: out.issued_ms = tr_cbor_int(&r); break;
		case KEY_EXPIRES:
			out.expires_ms = tr_cbor_int(&r);
			/* "Never" is written by leaving the key out: one form only. */
			if (out.expires_ms == 0)
				tr_cbor_fail(&r, "expiry of 0");
			break;
		case KEY_BPF: out.bpf = tr_cbor_any(&r); break;
		/* An unknown key could restrict what the statement says: refuse rather than overlook it. */
		default: tr_cbor_fail(&r, "unknown key in release statement");
		}
	}
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "release statement");
	if ((seen | 1u << KEY_EXPIRES | 1u << KEY_BPF) != 0x3feu || hash.n != sizeof(out.sha256))
		return tr_err_set(err, TR_E_INVALID, "the release statement lacks a field",
				  "fields %#x, hash of %zu", seen, hash.n);
	memcpy(out.sha256, hash.p, sizeof(out.sha256));
	rc = check(&out, err);
	if (!rc && out.bpf.n)
		rc = tr_release_bpf_get(out.bpf, NULL, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

TR_RC tr_release_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_release *ret,
			struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_RELEASE_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "release statement");
	rc = tr_cose1_verify(&c, k, TR_RELEASE_DOMAIN, err);
	return rc ? rc : parse(c.payload, ret, err);
}

TR_RC tr_release_unverified_kid(struct tr_view in, struct tr_view *ret_kid, struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_RELEASE_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "release statement");
	*ret_kid = c.sigs[0].kid;
	return TR_OK;
}

TR_RC tr_release_unverified(struct tr_view in, struct tr_release *ret, struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_RELEASE_MAX, &c, err);

	return rc ? tr_err_wrap(err, "release statement") : parse(c.payload, ret, err);
}
