/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 and COSE_Sign (RFC 9052 §4) as byte layouts: no keys, no verification here (src/crypto does that).
 * Protected headers: alg (1), optionally content type (3), kid (4), crit (2). Unprotected headers must be empty
 * in what we write; on input unknown unprotected labels are ignored, unknown critical ones refused
 * (RFC 9052 §3.1). The tag (18, 98) is required: one form only. */
#ifndef TR_CODEC_COSE_H
#define TR_CODEC_COSE_H

#include "codec/cbor.h"

#define TR_COSE_SIGS_MAX 16
#define TR_COSE_KID_MAX 64

/* IANA COSE algorithm numbers that we know. */
enum tr_cose_alg { TR_COSE_EDDSA = -8, TR_COSE_ES256 = -7, TR_COSE_PS256 = -37, TR_COSE_RS256 = -257 };

struct tr_cose_sig {
	struct tr_view protected_hdr; /* encoded map, without its bstr head */
	int64_t alg;
	struct tr_view kid; /* n == 0 when absent */
	struct tr_view sig;
};

struct tr_cose {
	struct tr_view body_protected; /* encoded map, without its bstr head; may be empty */
	struct tr_view payload;
	size_t n_sigs;                 /* exactly 1 for Sign1 */
	struct tr_cose_sig sigs[TR_COSE_SIGS_MAX];
};

/* Parse; every view borrows from in. Nothing is verified. */
TR_RC tr_cose_sign1_parse(struct tr_view in, struct tr_cose *ret, struct tr_err *err);
TR_RC tr_cose_sign_parse(struct tr_view in, struct tr_cose *ret, struct tr_err *err);

/* The bytes that are signed (RFC 9052 §4.4); aad is our domain string. */
void tr_cose_sign1_tbs(struct tr_buf *b, struct tr_view protected_hdr, struct tr_view aad, struct tr_view payload);
void tr_cose_sign_tbs(struct tr_buf *b, struct tr_view body_protected, struct tr_view sign_protected,
		      struct tr_view aad, struct tr_view payload);

/* Encoded protected header map {1: alg, 4: kid}; kid omitted when empty. */
void tr_cose_put_protected(struct tr_buf *b, int64_t alg, struct tr_view kid);
void tr_cose_put_sign1(struct tr_buf *b, struct tr_view protected_hdr, struct tr_view payload, struct tr_view sig);
void tr_cose_put_sign(struct tr_buf *b, struct tr_view body_protected, struct tr_view payload,
		      const struct tr_cose_sig *sigs, size_t n);

#endif
