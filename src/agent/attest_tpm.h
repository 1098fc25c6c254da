/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's half of credential activation: before its TPM quotes, the agent shows that the attestation key and the
 * endorsement key are in one TPM. Done anew with each attestation: nothing is to be remembered on either side, and a copy of
 * the agent on another machine is seen each time. */
#ifndef TR_AGENT_ATTEST_TPM_H
#define TR_AGENT_ATTEST_TPM_H

#include "agent/attest.h"

/* Asks the server for a credential and opens it. Both buffers stay empty when the server gave none: *ret_answer says why
 * (404: it knows of no such thing, and the evidence may do without). */
TR_RC tr_attest_activate(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_client_answer *ret_answer,
			 struct tr_buf *ret_id, struct tr_buf *ret_secret, struct tr_err *err);

#endif
