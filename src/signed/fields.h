/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the maps that signed objects are: written with their key, read with what every one of them must be. The
 * sentences name the object, so they are the caller's. */
#ifndef TR_SIGNED_FIELDS_H
#define TR_SIGNED_FIELDS_H

#include "codec/cbor.h"

#include <string.h>

static inline void tr_field_put_int(struct tr_buf *b, int key, int64_t v)
{
	tr_cbor_put_int(b, key);
	tr_cbor_put_int(b, v);
}

static inline void tr_field_put_uint(struct tr_buf *b, int key, uint64_t v)
{
	tr_cbor_put_int(b, key);
	tr_cbor_put_uint(b, v);
}

static inline void tr_field_put_bytes(struct tr_buf *b, int key, struct tr_view v)
{
	tr_cbor_put_int(b, key);
	tr_cbor_put_bytes(b, v);
}

static inline void tr_field_put_text(struct tr_buf *b, int key, struct tr_view v)
{
	tr_cbor_put_int(b, key);
	tr_cbor_put_text(b, v);
}

/* A byte string of exactly n bytes, into out. */
static inline void tr_field_fixed(struct tr_cbor *r, uint8_t *out, size_t n, const char *why)
{
	struct tr_view v = tr_cbor_bytes(r);

	if (v.n == n)
		memcpy(out, v.p, n);
	else
		tr_cbor_fail(r, why);
}

/* An absent member has one form: its key is left out. */
static inline struct tr_view tr_field_not_empty(struct tr_cbor *r, struct tr_view v, const char *why)
{
	if (!v.n)
		tr_cbor_fail(r, why);
	return v;
}

#endif
