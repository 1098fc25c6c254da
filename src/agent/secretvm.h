/* SPDX-License-Identifier: Apache-2.0 */
/* `troth-agent secretvm`: makes an application of a SecretVM known to the hub. Its key is the machine's: quote and public key
 * are files that the machine mounts, the signature over the request is its signing service's. There is no certificate and no
 * state folder; once known, the hub renews it by its key alone. Run it again before the attestation ends. */
#ifndef TR_AGENT_SECRETVM_H
#define TR_AGENT_SECRETVM_H

#include "base/view.h"

#define TR_SECRETVM_CAPABILITIES_MAX 32

struct tr_secretvm_opts {
	const char *server;     /* https://host:port */
	const char *token;      /* enrolment token: pins the root, and admits an id that is new; NULL: none */
	const char *root;       /* root fingerprint as hex, in the place of the token's; NULL: none */
	const char *id, *type, *endpoint, *attestation_endpoint; /* type, endpoints: NULL: none */
	struct tr_view capabilities[TR_SECRETVM_CAPABILITIES_MAX];
	unsigned n_capabilities;
	const char *public_key; /* docker_public_key_ed25519.pem */
	const char *quote;      /* docker_attestation_ed25519.txt */
	const char *sign_url;   /* NULL: the bridge's */
};
/* An exit code (agent/agent.h). Prints the server's answer on stdout. */
int tr_agent_secretvm(const struct tr_secretvm_opts *o);

#endif
