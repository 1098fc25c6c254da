/* SPDX-License-Identifier: Apache-2.0 */
/* Deterministic CBOR (RFC 8949 §4.2.1), reader and writer. The reader accepts only the one canonical form of
 * each value: shortest heads, definite lengths, map keys sorted bytewise and unique, valid UTF-8, no floats, no
 * undefined, no unassigned simple values; tags only where the caller asks for one. Depth is bounded. Both stick
 * at the first error: read straight down, check once with tr_cbor_end. Values borrow from the input. */
#ifndef TR_CODEC_CBOR_H
#define TR_CODEC_CBOR_H

#include "base/buf.h"

#define TR_CBOR_DEPTH_MAX 8

enum tr_cbor_type { TR_CBOR_INT, TR_CBOR_BYTES, TR_CBOR_TEXT, TR_CBOR_ARRAY, TR_CBOR_MAP, TR_CBOR_TAG,
		    TR_CBOR_BOOL, TR_CBOR_NULL, TR_CBOR_NONE /* at the end, or after an error */ };

struct tr_cbor {
	struct tr_view in;
	size_t at;
	const char *error; /* static text of the first error; NULL while fine */
};

struct tr_cbor tr_cbor_reader(struct tr_view in);
enum tr_cbor_type tr_cbor_peek(const struct tr_cbor *r);
int64_t tr_cbor_int(struct tr_cbor *r);   /* any integer that fits int64_t */
uint64_t tr_cbor_uint(struct tr_cbor *r); /* unsigned only, whole 64-bit range */
struct tr_view tr_cbor_bytes(struct tr_cbor *r);
struct tr_view tr_cbor_text(struct tr_cbor *r);
bool tr_cbor_bool(struct tr_cbor *r);
void tr_cbor_null(struct tr_cbor *r);
uint64_t tr_cbor_tag(struct tr_cbor *r);
size_t tr_cbor_array(struct tr_cbor *r, size_t max); /* number of items; error when over max */

/* A map is walked as: n = tr_cbor_map(&r, &m, max); while (tr_cbor_key_int(&r, &m, &key)) switch (key) … and each
 * case reads exactly one value. Key order and uniqueness are checked on the encoded keys. */
struct tr_cbor_map {
	size_t left;
	struct tr_view last; /* encoded bytes of the previous key */
};
size_t tr_cbor_map(struct tr_cbor *r, struct tr_cbor_map *ret, size_t max);
bool tr_cbor_key_int(struct tr_cbor *r, struct tr_cbor_map *m, int64_t *ret_key);
bool tr_cbor_key_text(struct tr_cbor *r, struct tr_cbor_map *m, struct tr_view *ret_key);

/* One whole item of any type, checked for canonical form at every depth; returns its encoded bytes. */
struct tr_view tr_cbor_any(struct tr_cbor *r);
void tr_cbor_fail(struct tr_cbor *r, const char *static_why);
/* TR_OK when everything was consumed and nothing failed; otherwise TR_E_INVALID. */
TR_RC tr_cbor_end(const struct tr_cbor *r, struct tr_err *err);

/* Writers. The caller writes map keys in canonical order (bytewise by encoded key, RFC 8949 §4.2.1); every
 * tr_cbor_put_* of a signed object is checked against the reader in that object's test. */
void tr_cbor_put_int(struct tr_buf *b, int64_t v);
void tr_cbor_put_uint(struct tr_buf *b, uint64_t v);
void tr_cbor_put_bytes(struct tr_buf *b, struct tr_view v);
void tr_cbor_put_text(struct tr_buf *b, struct tr_view v);
void tr_cbor_put_bool(struct tr_buf *b, bool v);
void tr_cbor_put_null(struct tr_buf *b);
void tr_cbor_put_tag(struct tr_buf *b, uint64_t tag);
void tr_cbor_put_array(struct tr_buf *b, size_t n);
void tr_cbor_put_map(struct tr_buf *b, size_t n);

#endif
