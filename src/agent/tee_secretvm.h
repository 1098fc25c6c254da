/* SPDX-License-Identifier: Apache-2.0 */
/* The services that a SecretVM offers to its containers: the attestation server (HTTPS, 29343; older ones behind Caddy at
 * 21434) and the signing service (plain HTTP, 49153, on the machine's own bridge). Neither is trusted with anything: the
 * server judges the quote, and a signature is checked with the key before anybody sees it (tr_privkey_external). */
#ifndef TR_AGENT_TEE_SECRETVM_H
#define TR_AGENT_TEE_SECRETVM_H

#include "crypto/key.h"
#include "tee/tee.h"

#define TR_SECRETVM_HOST "172.17.0.1" /* the bridge, as a container sees it */
#define TR_SECRETVM_SIGN "http://172.17.0.1:49153"

/* A tr_tee_fetch_fn. arg: const char *, "https://HOST[:PORT]" or NULL for the host's own; without a port both are tried, in
 * that order, and only when nobody listens. TLS is not verified here: whose quote it is the quote says. */
enum tr_code tr_secretvm_fetch(void *arg, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err);
/* The same with ports of the caller's. */
TR_RC tr_secretvm_fetch_from(const char *host, const unsigned *ports, size_t n_ports, const char *path, size_t max,
			     struct tr_buf *ret, struct tr_err *err);

/* A private key that is the signing service's: Ed25519, and for texts only, as the service signs the characters of a UTF-8
 * text. So it signs requests to the hub (signed/request_sig.h), and neither TLS handshakes nor claims.
 * public_pem: SPKI as the machine mounts it (docker_public_key_ed25519.pem). url: NULL is the bridge's; http://HOST:PORT, and
 * only a loopback or private address: what is signed would be anybody's else. */
TR_RC tr_secretvm_key(const char *url, struct tr_view public_pem, struct tr_privkey **ret, struct tr_err *err);

#endif
