/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a server, and by which clock its certificate is judged. */
#ifndef TR_AGENT_LINK_H
#define TR_AGENT_LINK_H

#include "agent/clock.h"
#include "agent/state.h"
#include "http/client.h"

struct tr_link {
	struct tr_buf ca_pem;
	struct tr_client *client;  /* NULL: not connected */
	char url[TR_URL_MAX + 1];  /* of client */
	struct tr_known_time told; /* signed by the CA; server_ns 0: the effective time will do */
	uint64_t asked_ms;	   /* tr_mono_ms of the last question; 0: never */
};
void tr_link_done(struct tr_link *l);
TR_DEFINE_AUTO_DONE(struct tr_link, tr_link_done)

/* A client for url that presents this certificate; connects with the first request. */
TR_RC tr_link_open(struct tr_link *l, const char *url, const struct tr_privkey *key, struct tr_view cert_pem,
		   struct tr_err *err);
void tr_link_close(struct tr_link *l);

/* When certificates must be valid, Unix ms: by the CA's word where one was needed, else the effective time.
 */
int64_t tr_link_verify_ms(const struct tr_link *l, const struct tr_known_time *known);
/* "signed", "floor" (known or build time), "wall". */
const char *tr_link_time_name(const struct tr_link *l, const struct tr_known_time *known);
/* Asks url for the time, signed by the CA over our nonce, on a connection whose dates are not checked. From
 * then on certificates are judged by it. Not more often than every ten seconds (TR_E_BUSY). */
TR_RC tr_link_ask_time(struct tr_link *l, const char *url, struct tr_err *err);
/* A server that was verified said so; only while the CA's word is needed at all. */
void tr_link_learn(struct tr_link *l, int64_t server_ns);

#endif
