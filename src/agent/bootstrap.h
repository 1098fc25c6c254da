/* SPDX-License-Identifier: Apache-2.0 */
/* From a pinned fingerprint to servers that can be trusted. The keyset is fetched over TLS that nobody has
 * verified: only its signatures under the pinned roots count, and the CA certificates are taken from it and
 * from nowhere else. */
#ifndef TR_AGENT_BOOTSTRAP_H
#define TR_AGENT_BOOTSTRAP_H

#include "base/buf.h"

struct tr_trust {
	struct tr_buf keyset; /* as fetched: COSE_Sign */
	struct tr_buf ca_pem; /* every CA that the keyset names and has not revoked */
	char domain[256];     /* trust domain */
};
void tr_trust_done(struct tr_trust *t);
TR_DEFINE_AUTO_DONE(struct tr_trust, tr_trust_done)

/* Fetches and checks. TR_E_UNAVAIL: no connection, or no sensible answer. TR_E_DENIED: it is not the pinned
 * server; then *ret_why is a sentence with both fingerprints. */
TR_RC tr_bootstrap(const char *url, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
		   struct tr_buf *ret_why, struct tr_err *err);

/* The parts without a network. */
TR_RC tr_bootstrap_check(struct tr_view keyset, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
			 struct tr_buf *ret_why, struct tr_err *err);
/* The fingerprint a keyset would have, for a message to people; nothing is verified. */
bool tr_keyset_unverified_root(struct tr_view keyset, uint8_t ret[32]);

#endif
