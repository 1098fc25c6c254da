/* SPDX-License-Identifier: Apache-2.0 */
/* What parses is written again from its parts: the same bytes when no header was unprotected, and in every
 * case a message of the same meaning. */
#include "codec/cose.h"

#include "codec/codec_fuzz.h"

static void check_parts(const struct tr_cose *c, struct tr_view in)
{
	MUST(c->n_sigs >= 1 && c->n_sigs <= TR_COSE_SIGS_MAX);
	MUST(is_inside(c->body_protected, in) && is_inside(c->payload, in));
	for (size_t i = 0; i < c->n_sigs; i++) {
		const struct tr_cose_sig *s = &c->sigs[i];
		struct tr_cbor r = tr_cbor_reader(s->protected_hdr);
		struct tr_err err;

		MUST(is_inside(s->protected_hdr, in) && is_inside(s->kid, in) && is_inside(s->sig, in));
		MUST(s->kid.n <= TR_COSE_KID_MAX && s->sig.n > 0);
		/* The signed header is one canonical map, and holds the algorithm. */
		MUST(tr_cbor_peek(&r) == TR_CBOR_MAP);
		(void)tr_cbor_any(&r);
		MUST(tr_cbor_end(&r, &err) == TR_OK);
	}
}

static void check_same(const struct tr_cose *a, const struct tr_cose *b)
{
	MUST(a->n_sigs == b->n_sigs && tr_view_eq(a->payload, b->payload));
	MUST(tr_view_eq(a->body_protected, b->body_protected));
	for (size_t i = 0; i < a->n_sigs; i++) {
		MUST(a->sigs[i].alg == b->sigs[i].alg && tr_view_eq(a->sigs[i].sig, b->sigs[i].sig));
		MUST(tr_view_eq(a->sigs[i].protected_hdr, b->sigs[i].protected_hdr));
		/* A hint stood in the unprotected header, which is not written again. */
		MUST(tr_view_eq(a->sigs[i].kid, b->sigs[i].kid) || b->sigs[i].kid.n == 0);
	}
}

static void check_sign1(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_cose c, again;
	struct tr_err err;

	if (tr_cose_sign1_parse(in, &c, &err))
		return;
	check_parts(&c, in);
	tr_cose_put_sign1(&b, c.body_protected, c.payload, c.sigs[0].sig);
	MUST(b.n <= in.n && (b.n < in.n || tr_view_eq(tr_buf_view(&b), in)));
	MUST(tr_cose_sign1_parse(tr_buf_view(&b), &again, &err) == TR_OK);
	check_same(&c, &again);
	MUST(tr_cose_sign_parse(in, &again, &err) != TR_OK);
}

static void check_sign(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_cose c, again;
	struct tr_err err;

	if (tr_cose_sign_parse(in, &c, &err))
		return;
	check_parts(&c, in);
	tr_cose_put_sign(&b, c.body_protected, c.payload, c.sigs, c.n_sigs);
	MUST(b.n <= in.n && (b.n < in.n || tr_view_eq(tr_buf_view(&b), in)));
	MUST(tr_cose_sign_parse(tr_buf_view(&b), &again, &err) == TR_OK);
	check_same(&c, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_sign1(tr_view(data, size));
	check_sign(tr_view(data, size));
	return 0;
}
