/* SPDX-License-Identifier: Apache-2.0 */
/* From a pinned fingerprint to servers that can be trusted. The keyset is fetched over TLS that nobody has
 * verified: what counts is decided by signed/trust.h. */
#ifndef TR_AGENT_BOOTSTRAP_H
#define TR_AGENT_BOOTSTRAP_H

#include "signed/trust.h"

/* Fetches and checks. TR_E_UNAVAIL: no connection, or no sensible answer. TR_E_DENIED: it is not the pinned
 * server; then *ret_why is a sentence with both fingerprints. */
TR_RC tr_bootstrap(const char *url, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
		   struct tr_buf *ret_why, struct tr_err *err);

#endif
