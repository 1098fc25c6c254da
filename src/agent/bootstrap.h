/* SPDX-License-Identifier: Apache-2.0 */
/* From a pinned fingerprint to servers that can be trusted. The chain of keysets is fetched over TLS that nobody has
 * verified: it begins at the pinned roots, and every step counts by its signatures alone. */
#ifndef TR_AGENT_BOOTSTRAP_H
#define TR_AGENT_BOOTSTRAP_H

#include "agent/authority.h"

struct tr_bootstrap {
	const uint8_t *pin;  /* 32 bytes */
	const uint8_t *seek; /* root fingerprint of an earlier enrolment; NULL: none */
	bool sought;	     /* the server's chain has it: the same installation */
	uint8_t root[32];    /* of the newest keyset: the next pin */
};

/* Fetches and checks. TR_E_UNAVAIL: no connection, or no sensible answer. TR_E_DENIED: it is not the pinned
 * server; then *ret_why is a sentence with both fingerprints. */
TR_RC tr_bootstrap(const char *url, struct tr_bootstrap *b, int64_t now_ms, struct tr_trust *ret, struct tr_buf *ret_why,
		   struct tr_err *err);

#endif
