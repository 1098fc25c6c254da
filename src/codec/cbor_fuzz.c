/* SPDX-License-Identifier: Apache-2.0 */
/* What tr_cbor_any accepts is canonical: read by type and written again it gives the same bytes. */
#include "codec/cbor.h"

#include "codec/codec_fuzz.h"

static void copy(struct tr_cbor *r, struct tr_buf *b)
{
	struct tr_cbor_map m;
	struct tr_view last = { NULL, 0 };
	size_t n;

	switch (tr_cbor_peek(r)) {
	case TR_CBOR_INT:
		/* Down to -2^64: as wide as the format, wider than int64_t. */
		if (r->in.p[r->at] >> 5 == 0) {
			tr_cbor_put_uint(b, tr_cbor_uint(r));
		} else {
			struct tr_cbor probe = *r;
			struct tr_view raw = tr_cbor_any(&probe);
			int64_t v = tr_cbor_int(r);

			if (r->error) {
				*r = probe;
				tr_buf_addv(b, raw);
			} else {
				MUST(v < 0);
				tr_cbor_put_int(b, v);
			}
		}
		break;
	case TR_CBOR_BYTES: tr_cbor_put_bytes(b, tr_cbor_bytes(r)); break;
	case TR_CBOR_TEXT: tr_cbor_put_text(b, tr_cbor_text(r)); break;
	case TR_CBOR_ARRAY:
		n = tr_cbor_array(r, SIZE_MAX);
		tr_cbor_put_array(b, n);
		while (n--)
			copy(r, b);
		break;
	case TR_CBOR_MAP:
		n = tr_cbor_map(r, &m, SIZE_MAX);
		tr_cbor_put_map(b, n);
		while (n--) {
			struct tr_view key;
			size_t from = r->at;
			int c;

			copy(r, b);
			key = tr_view(r->in.p + from, r->at - from);
			/* RFC 8949 4.2.1 again, written differently: no shorter run of bytes decides. */
			c = last.n ? memcmp(last.p, key.p, last.n < key.n ? last.n : key.n) : -1;
			MUST(c < 0);
			last = key;
			copy(r, b);
		}
		break;
	case TR_CBOR_BOOL: tr_cbor_put_bool(b, tr_cbor_bool(r)); break;
	case TR_CBOR_NULL:
		tr_cbor_null(r);
		tr_cbor_put_null(b);
		break;
	case TR_CBOR_TAG:
	case TR_CBOR_NONE: MUST(false); /* accepted, and of no type */
	}
}

/* The readers in an order that the input chooses: no call may run past the end or move after an error. */
static void call_blindly(struct tr_view in)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m = { 0 };
	struct tr_view v;
	int64_t n;

	for (size_t i = 0; i < in.n && !r.error; i++) {
		size_t at = r.at;

		switch (in.p[in.n - 1 - i] % 11) {
		case 0: (void)tr_cbor_int(&r); break;
		case 1: (void)tr_cbor_uint(&r); break;
		case 2: MUST(is_inside(tr_cbor_bytes(&r), in)); break;
		case 3: MUST(is_inside(tr_cbor_text(&r), in)); break;
		case 4: (void)tr_cbor_bool(&r); break;
		case 5: tr_cbor_null(&r); break;
		case 6: (void)tr_cbor_tag(&r); break;
		case 7: MUST(tr_cbor_array(&r, 100) <= 100); break;
		case 8: MUST(tr_cbor_map(&r, &m, 100) <= 100); break;
		case 9: (void)tr_cbor_key_int(&r, &m, &n); break;
		default: (void)tr_cbor_key_text(&r, &m, &v); break;
		}
		MUST(r.at >= at && r.at <= in.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);
	struct tr_cbor r = tr_cbor_reader(in), again;
	struct tr_view item = tr_cbor_any(&r);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	call_blindly(in);
	if (r.error) {
		MUST(item.n == 0);
		return 0;
	}
	MUST(item.p == data && item.n == r.at && item.n <= size && item.n > 0);
	again = tr_cbor_reader(item);
	copy(&again, &b);
	MUST(!again.error && again.at == item.n);
	MUST(tr_view_eq(tr_buf_view(&b), item));
	return 0;
}
