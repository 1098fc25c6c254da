/* SPDX-License-Identifier: Apache-2.0 */
/* A strict JSON reader (RFC 8259) for documents whose very bytes are signed (TCB info, QE identity): one pass over the text,
 * no tree, no allocation, every value known by its place in the text. codec/json.h is the one for everything else; why this
 * exists beside it: docs/decisions/0021. Refused: duplicate keys in one object, an escape in a key, invalid UTF-8, a lone
 * surrogate, NUL in a string, depth over 16, integers that are no int64, over 512 members open at once, over 4 MiB, trailing
 * text. Reals are recognised and never converted. */
#ifndef TR_CODEC_JSCAN_H
#define TR_CODEC_JSCAN_H

#include "base/err.h"
#include "base/view.h"

enum tr_jtok { TR_JTOK_NONE, TR_JTOK_OBJECT, TR_JTOK_ARRAY, TR_JTOK_STRING, TR_JTOK_INT, TR_JTOK_REAL, TR_JTOK_BOOL, TR_JTOK_NULL };

/* A value inside the text. raw is its whole text, for a string without the quotes and as written (`escaped` tells whether a
 * backslash is in it; members that matter here never have one and are compared as written). */
struct tr_jval {
	enum tr_jtok type;
	struct tr_view raw;
	bool escaped, yes;
	int64_t number;
};

/* Checks the whole text once and gives its root. Everything below then walks text that is known to be good. */
TR_RC tr_jscan(struct tr_view text, struct tr_jval *ret, struct tr_err *err);
/* Members and elements in order: start with *at = 0, ends with false. */
bool tr_jnext(const struct tr_jval *object, size_t *at, struct tr_view *ret_key, struct tr_jval *ret);
bool tr_jitem(const struct tr_jval *array, size_t *at, struct tr_jval *ret);
/* The member of that name; false: none. */
bool tr_jget(const struct tr_jval *object, const char *key, struct tr_jval *ret);

#endif
