/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cose.h"

#define TAG_SIGN1 18
#define TAG_SIGN 98
#define HEADERS_MAX 16

/* RFC 9052 table 3. */
enum label { L_ALG = 1, L_CRIT = 2, L_CONTENT_TYPE = 3, L_KID = 4 };

#define SEEN(label) (1u << (label))

struct headers {
	unsigned seen; /* SEEN() of the labels that we know */
	int64_t alg;
	struct tr_view kid;
};

/* The next key, a number or a text; texts are never ours and read as label 0. */
static bool take_label(struct tr_cbor *r, struct tr_cbor_map *m, int64_t *ret)
{
	struct tr_view text;

	if (tr_cbor_peek(r) != TR_CBOR_TEXT)
		return tr_cbor_key_int(r, m, ret);
	*ret = 0;
	return tr_cbor_key_text(r, m, &text);
}

/* RFC 9052 3.1: a label that its sender calls critical must be one that we act upon, and be there. */
static unsigned take_crit(struct tr_cbor *r)
{
	size_t n = tr_cbor_array(r, HEADERS_MAX);
	unsigned labels = 0;

	if (!r->error && !n)
		tr_cbor_fail(r, "COSE crit header is empty");
	for (; n && !r->error; n--) {
		int64_t label = tr_cbor_peek(r) == TR_CBOR_INT ? tr_cbor_int(r) : 0;

		if (label < L_ALG || label > L_KID)
			tr_cbor_fail(r, "COSE message has a critical header that is not known here");
		else
			labels |= SEEN(label);
	}
	return labels;
}

static void take_content_type(struct tr_cbor *r)
{
	if (tr_cbor_peek(r) == TR_CBOR_TEXT)
		(void)tr_cbor_text(r);
	else
		(void)tr_cbor_uint(r);
}

static struct tr_view take_kid(struct tr_cbor *r)
{
	struct tr_view kid = tr_cbor_bytes(r);

	if (!r->error && (kid.n < 1 || kid.n > TR_COSE_KID_MAX))
		tr_cbor_fail(r, "COSE key id is empty or too long");
	return kid;
}

/* The protected map, which stands inside a byte string; h'' means no headers. */
static struct tr_view take_protected(struct tr_cbor *r, struct headers *ret)
{
	struct tr_view raw = tr_cbor_bytes(r);
	struct tr_cbor in = tr_cbor_reader(raw);
	struct tr_cbor_map m;
	unsigned crit = 0;
	int64_t label;

	if (r->error || !raw.n)
		return raw;
	/* RFC 9052 3 lets h'a0' say the same as h''; one form only, here as everywhere. */
	if (!tr_cbor_map(&in, &m, HEADERS_MAX))
		tr_cbor_fail(&in, "COSE protected header is an empty map");
	while (take_label(&in, &m, &label)) {
		if (label >= L_ALG && label <= L_KID)
			ret->seen |= SEEN(label);
		switch (label) {
		case L_ALG: ret->alg = tr_cbor_int(&in); break;
		case L_CRIT: crit = take_crit(&in); break;
		case L_CONTENT_TYPE: take_content_type(&in); break;
		case L_KID: ret->kid = take_kid(&in); break;
		default: (void)tr_cbor_any(&in); break;
		}
	}
	if (crit & ~ret->seen)
		tr_cbor_fail(&in, "COSE crit header names a header that is not protected");
	if (!in.error && in.at != raw.n)
		tr_cbor_fail(&in, "COSE protected header has bytes after its map");
	if (in.error)
		tr_cbor_fail(r, in.error);
	return raw;
}

/* Nobody signed these: only kid is read, as a hint which key to try. */
static void take_unprotected(struct tr_cbor *r, struct headers *h)
{
	struct tr_cbor_map m;
	int64_t label;

	(void)tr_cbor_map(r, &m, HEADERS_MAX);
	while (take_label(r, &m, &label)) {
		if (label == L_KID && !(h->seen & SEEN(L_KID)))
			h->kid = take_kid(r);
		else if (label >= L_ALG && label <= L_KID)
			tr_cbor_fail(r, "COSE header must be protected, and stand there once");
		else
			(void)tr_cbor_any(r);
	}
}

static struct tr_view take_nonempty(struct tr_cbor *r)
{
	struct tr_view v = tr_cbor_bytes(r);

	if (!r->error && !v.n)
		tr_cbor_fail(r, "COSE signature is empty");
	return v;
}

static void take_shape(struct tr_cbor *r, size_t n)
{
	if (tr_cbor_array(r, n) != n)
		tr_cbor_fail(r, "COSE array has too few items");
}

static void take_tag(struct tr_cbor *r, uint64_t want)
{
	if (tr_cbor_tag(r) != want)
		tr_cbor_fail(r, "COSE tag is not the expected one");
}

static void set_sig(struct tr_cbor *r, struct tr_cose_sig *s, struct tr_view raw, const struct headers *h)
{
	if (!(h->seen & SEEN(L_ALG)))
		tr_cbor_fail(r, "COSE protected header names no algorithm");
	*s = (struct tr_cose_sig){ .protected_hdr = raw, .alg = h->alg, .kid = h->kid };
}

TR_RC tr_cose_sign1_parse(struct tr_view in, struct tr_cose *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cose out = { .n_sigs = 1 };
	struct headers h = { 0 };
	enum tr_code rc;

	take_tag(&r, TAG_SIGN1);
	take_shape(&r, 4);
	out.body_protected = take_protected(&r, &h);
	take_unprotected(&r, &h);
	set_sig(&r, &out.sigs[0], out.body_protected, &h);
	out.payload = tr_cbor_bytes(&r); /* detached payloads (nil) have no use here and are refused */
	out.sigs[0].sig = take_nonempty(&r);
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "COSE_Sign1");
	*ret = out;
	return TR_OK;
}

TR_RC tr_cose_sign_parse(struct tr_view in, struct tr_cose *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cose out = { .n_sigs = 0 };
	struct headers body = { 0 };
	enum tr_code rc;
	size_t n;

	take_tag(&r, TAG_SIGN);
	take_shape(&r, 4);
	out.body_protected = take_protected(&r, &body);
	take_unprotected(&r, &body);
	out.payload = tr_cbor_bytes(&r);
	n = tr_cbor_array(&r, TR_COSE_SIGS_MAX);
	if (!r.error && !n)
		tr_cbor_fail(&r, "COSE_Sign has no signature");
	for (; n && !r.error; n--) {
		struct tr_cose_sig *s = &out.sigs[out.n_sigs++];
		struct headers h = { 0 };
		struct tr_view raw;

		take_shape(&r, 3);
		raw = take_protected(&r, &h);
		take_unprotected(&r, &h);
		set_sig(&r, s, raw, &h);
		s->sig = take_nonempty(&r);
	}
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "COSE_Sign");
	*ret = out;
	return TR_OK;
}

void tr_cose_sign1_tbs(struct tr_buf *b, struct tr_view protected_hdr, struct tr_view aad,
		       struct tr_view payload)
{
	tr_cbor_put_array(b, 4);
	tr_cbor_put_text(b, TR_VIEW_LIT("Signature1"));
	tr_cbor_put_bytes(b, protected_hdr);
	tr_cbor_put_bytes(b, aad);
	tr_cbor_put_bytes(b, payload);
}

void tr_cose_sign_tbs(struct tr_buf *b, struct tr_view body_protected, struct tr_view sign_protected,
		      struct tr_view aad, struct tr_view payload)
{
	tr_cbor_put_array(b, 5);
	tr_cbor_put_text(b, TR_VIEW_LIT("Signature"));
	tr_cbor_put_bytes(b, body_protected);
	tr_cbor_put_bytes(b, sign_protected);
	tr_cbor_put_bytes(b, aad);
	tr_cbor_put_bytes(b, payload);
}

void tr_cose_put_protected(struct tr_buf *b, int64_t alg, struct tr_view kid)
{
	tr_cbor_put_map(b, kid.n ? 2 : 1);
	tr_cbor_put_int(b, L_ALG);
	tr_cbor_put_int(b, alg);
	if (kid.n) {
		tr_cbor_put_int(b, L_KID);
		tr_cbor_put_bytes(b, kid);
	}
}

void tr_cose_put_sign1(struct tr_buf *b, struct tr_view protected_hdr, struct tr_view payload,
		       struct tr_view sig)
{
	tr_cbor_put_tag(b, TAG_SIGN1);
	tr_cbor_put_array(b, 4);
	tr_cbor_put_bytes(b, protected_hdr);
	tr_cbor_put_map(b, 0);
	tr_cbor_put_bytes(b, payload);
	tr_cbor_put_bytes(b, sig);
}

void tr_cose_put_sign(struct tr_buf *b, struct tr_view body_protected, struct tr_view payload,
		      const struct tr_cose_sig *sigs, size_t n)
{
	tr_cbor_put_tag(b, TAG_SIGN);
	tr_cbor_put_array(b, 4);
	tr_cbor_put_bytes(b, body_protected);
	tr_cbor_put_map(b, 0);
	tr_cbor_put_bytes(b, payload);
	tr_cbor_put_array(b, n);
	for (size_t i = 0; i < n; i++) {
		tr_cbor_put_array(b, 3);
		tr_cbor_put_bytes(b, sigs[i].protected_hdr);
		tr_cbor_put_map(b, 0);
		tr_cbor_put_bytes(b, sigs[i].sig);
	}
}
