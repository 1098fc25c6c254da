/* SPDX-License-Identifier: Apache-2.0 */
/* Text forms of bytes and times: hex, base64, UTF-8, RFC 3339. All decoders are strict: one text per value,
 * no white space, no missing or surplus padding, no stray bits in the last character. */
#ifndef TR_CODEC_TEXT_H
#define TR_CODEC_TEXT_H

#include "base/buf.h"

void tr_hex_add(struct tr_buf *b, struct tr_view bytes); /* lower case */
/* Exactly 2*n lower- or upper-case digits into out[n]. */
bool tr_hex_get(struct tr_view text, uint8_t *out, size_t n);

enum tr_b64 {
	TR_B64_STD, /* RFC 4648 §4, padded */
	TR_B64_URL, /* RFC 4648 §5, unpadded */
};
void tr_b64_add(struct tr_buf *b, struct tr_view bytes, enum tr_b64 kind);
/* Appends the decoded bytes; TR_E_INVALID on anything but the canonical text. */
TR_RC tr_b64_get(struct tr_view text, enum tr_b64 kind, struct tr_buf *ret, struct tr_err *err);

bool tr_utf8_ok(struct tr_view v); /* RFC 3629: no surrogates, no overlong forms */

/* "2026-11-22T01:02:03.456Z"; .000 is kept so that columns align. */
#define TR_RFC3339_LEN 24
void tr_rfc3339_add(struct tr_buf *b, int64_t unix_ms);
/* RFC 3339 date-time with any offset, fraction of any length (cut to ms); leap second :60 allowed at 23:59:60Z. */
bool tr_rfc3339_get(struct tr_view text, int64_t *ret_unix_ms);

#endif
