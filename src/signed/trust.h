/* SPDX-License-Identifier: Apache-2.0 */
/* What a pinned fingerprint makes of a keyset that came over an unverified connection: only its signatures under
 * the pinned roots count, and the CA certificates are taken from it and from nowhere else. Agents and the command
 * line start from here. */
#ifndef TR_SIGNED_TRUST_H
#define TR_SIGNED_TRUST_H

#include "base/buf.h"

struct tr_trust {
	struct tr_buf keyset; /* as fetched: COSE_Sign */
	struct tr_buf ca_pem; /* every CA that the keyset names and has not revoked */
	char domain[256];     /* trust domain */
};
void tr_trust_done(struct tr_trust *t);
TR_DEFINE_AUTO_DONE(struct tr_trust, tr_trust_done)

/* TR_E_DENIED: it is not the pinned server's; then *ret_why is a sentence with both fingerprints. */
TR_RC tr_bootstrap_check(struct tr_view keyset, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
			 struct tr_buf *ret_why, struct tr_err *err);
/* The fingerprint a keyset would have, for a message to people; nothing is verified. */
bool tr_keyset_unverified_root(struct tr_view keyset, uint8_t ret[32]);

#endif
