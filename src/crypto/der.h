/* SPDX-License-Identifier: Apache-2.0 */
/* DER as this folder needs it: a whole-input strictness check before OpenSSL sees the bytes, and a writer. */
#ifndef TR_CRYPTO_DER_H
#define TR_CRYPTO_DER_H

#include "codec/pem.h"

enum {
	TR_DER_BOOL = 0x01,
	TR_DER_INT = 0x02,
	TR_DER_BITS = 0x03,
	TR_DER_OCTETS = 0x04,
	TR_DER_NULL = 0x05,
	TR_DER_OID = 0x06,
	TR_DER_UTF8 = 0x0c,
	TR_DER_UTCTIME = 0x17,
	TR_DER_GENTIME = 0x18,
	TR_DER_SEQ = 0x30,
	TR_DER_SET = 0x31,
	TR_DER_CTX = 0x80,      /* [n] primitive */
	TR_DER_CTX_CONS = 0xa0, /* [n] constructed */
};

/* One element and nothing after it; inside: shortest definite lengths, minimal integers, booleans 00 or ff,
 * at most 24 levels. OpenSSL's decoder accepts BER, and two encodings of one value are two fingerprints. */
bool tr_der_is_strict(struct tr_view in);
/* The next element, when it has that tag. */
bool tr_der_take(struct tr_view *in, uint8_t tag, struct tr_view *ret_body);

/* Writing: remember b->n, append the body, then wrap it from there. */
void tr_der_wrap(struct tr_buf *b, size_t at, uint8_t tag);
void tr_der_add(struct tr_buf *b, uint8_t tag, struct tr_view body);
/* Non-negative INTEGER from big-endian bytes of any length. */
void tr_der_add_uint(struct tr_buf *b, struct tr_view big_endian);
/* UTCTime to 2049, GeneralizedTime from 2050 (RFC 5280 4.1.2.5); fractions are cut. */
void tr_der_add_time(struct tr_buf *b, int64_t unix_ms);

#endif
