/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates and CRLs have in common (RFC 5280): times, names, algorithms, extensions. For cert.c and crl.c only. */
#ifndef TR_EVIDENCE_X_PARTS_H
#define TR_EVIDENCE_X_PARTS_H

#include "crypto/der.h"
#include "evidence/cert.h"

/* All take one element off the front of *in. False: it is another thing, or not as RFC 5280 writes it. */
bool tr_x_take_time(struct tr_view *in, int64_t *ret_unix_s);
/* A Name whose structure was walked. ret_cn: see struct tr_x_cert. */
bool tr_x_take_name(struct tr_view *in, struct tr_view *ret_whole, struct tr_view *ret_cn);
bool tr_x_take_alg(struct tr_view *in, struct tr_view *ret_whole, enum tr_x_sig *ret);
/* A BIT STRING of whole bytes: signatures and keys. */
bool tr_x_take_bits(struct tr_view *in, struct tr_view *ret_bytes);

/* { tbs, algorithm, signature } and nothing behind it; the frame of both. */
struct tr_x_signed {
	struct tr_view tbs, body; /* whole, and what is in it */
	struct tr_view alg;
	enum tr_x_sig sig_alg;
	struct tr_view sig;
};
bool tr_x_signed_parse(struct tr_view der, struct tr_x_signed *ret);

struct tr_x_ext {
	struct tr_view oid, value;
	bool critical;
};
#define TR_X_EXTS_MAX 32
/* The body of one SEQUENCE OF Extension; refuses an OID that comes twice (RFC 5280 4.2). */
bool tr_x_exts_read(struct tr_view body, struct tr_x_ext ret[TR_X_EXTS_MAX], size_t *ret_n);
/* extnValue of authorityKeyIdentifier: its keyIdentifier, empty when it has none. */
bool tr_x_read_aki(struct tr_view value, struct tr_view *ret);

#endif
