/* SPDX-License-Identifier: Apache-2.0 */
/* A block that is read is written and read again the same; a DER element is its tag, its length and its body.
 */
#include "codec/pem.h"

#include "codec/codec_fuzz.h"

static void check_pem(struct tr_view in)
{
	struct tr_view left = in;

	while (tr_pem_more(left)) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT, text = TR_BUF_INIT, back = TR_BUF_INIT;
		struct tr_view label, name, rest;
		struct tr_err err;
		char label_text[65];

		if (tr_pem_get(left, &label, &der, &rest, &err)) {
			MUST(der.n == 0);
			return;
		}
		MUST(is_inside(label, left) && is_inside(rest, left) && rest.n < left.n);
		MUST(label.n > 0 && label.n < sizeof(label_text) && der.n > 0);
		memcpy(label_text, label.p, label.n);
		label_text[label.n] = 0;
		tr_pem_add(&text, label_text, tr_buf_view(&der));
		MUST(tr_pem_get(tr_buf_view(&text), &name, &back, &rest, &err) == TR_OK);
		MUST(tr_view_eq(name, label) && tr_view_eq(tr_buf_view(&back), tr_buf_view(&der)) &&
		     rest.n == 0);
		tr_buf_clear(&back);
		MUST(tr_pem_get(left, &label, &back, &left, &err) == TR_OK);
	}
	if (!tr_pem_more(in)) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		struct tr_view label, rest;
		struct tr_err err;

		MUST(tr_pem_get(in, &label, &der, &rest, &err) == TR_E_INVALID);
	}
}

static void check_der(struct tr_view in, unsigned depth)
{
	struct tr_der d;
	struct tr_view left = in;

	while (tr_der_next(&left, &d)) {
		size_t head = d.whole.n - d.body.n;

		MUST(is_inside(d.whole, in) && d.body.p == d.whole.p + head && d.tag == d.whole.p[0]);
		MUST(d.whole.p + d.whole.n == left.p);
		/* X.690 10.1: no shorter way to write this length. */
		MUST(head == (d.body.n < 0x80 ? 2u : d.body.n < 0x100 ? 3u : d.body.n < 0x10000 ? 4u : 5u));
		if (d.tag & 0x20 && depth < 8)
			check_der(d.body, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_pem(tr_view(data, size));
	check_der(tr_view(data, size), 0);
	return 0;
}
