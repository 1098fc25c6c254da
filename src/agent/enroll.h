/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of a registration, apart from the network so that tests can read them. */
#ifndef TR_AGENT_ENROLL_H
#define TR_AGENT_ENROLL_H

#include "agent/evidence.h"

/* {"csr", "claim"}: the device key's claim over challenge and connection. */
TR_RC tr_enroll_native_body(const struct tr_evidence *e, struct tr_view node_id, const struct tr_privkey *k,
			    struct tr_view challenge, struct tr_view exporter, int64_t claim_time_ms,
			    struct tr_buf *ret, struct tr_err *err);
/* {"node_id", "attestation"}: the original claim by the key that the fleet shares. */
TR_RC tr_enroll_original_body(const struct tr_evidence *e, struct tr_view node_id,
			      const struct tr_privkey *fleet, int64_t claim_time_ms, struct tr_buf *ret,
			      struct tr_err *err);

#endif
