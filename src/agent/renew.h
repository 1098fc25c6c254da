/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's certificate: judged when a server hands one out, and renewed before it ends. */
#ifndef TR_AGENT_RENEW_H
#define TR_AGENT_RENEW_H

#include "agent/state.h"
#include "crypto/x509.h"
#include "http/client.h"

/* Is this certificate ours? Our key, our name, issued by one of the CAs. This machine's clock plays no part:
 * a wrong one must not make an agent throw a good certificate away. TR_E_DENIED otherwise. */
TR_RC tr_agent_cert_check(struct tr_view cert_pem, struct tr_view ca_pem, const char *trust_domain,
			  struct tr_view agent_id, const struct tr_privkey *key, struct tr_cert **ret,
			  struct tr_err *err);

/* When to renew: at half-life, or up to a twentieth of the lifetime later, so that agents enrolled together
 * do not renew together. Pure. */
int64_t tr_renew_due_ms(int64_t not_before_ms, int64_t not_after_ms, uint32_t random);

/* Asks over c (which must present the present certificate) for a certificate of key, the present one or its successor,
 * and writes it to `file` in the state folder. *ret_status is the HTTP status, 0 when there was none. */
TR_RC tr_agent_renew(struct tr_client *c, struct tr_state *s, const struct tr_privkey *key, const char *file,
		     struct tr_view ca_pem, int *ret_status, struct tr_err *err);

/* {"csr":"<base64 DER>" — without the closing brace, so that more can follow. */
TR_RC tr_csr_json(const struct tr_privkey *k, struct tr_buf *b, struct tr_err *err);

#endif
