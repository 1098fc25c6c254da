/* SPDX-License-Identifier: Apache-2.0 */
/* Many TLS connections to one server in one thread: plain OpenSSL on epoll, each agent from a loopback address of its own
 * (the server limits each source). Not the product's client: what sends forgeries and relays must be able to lie, and five
 * thousand handles of a general client would measure the client. */
#ifndef TR_SWARM_WIRE_H
#define TR_SWARM_WIRE_H

#include "crypto/key.h"

#include <openssl/ssl.h>

struct tr_wire;
struct tr_wire_conn;

/* Identity on the wire. */
struct tr_wire_id {
	EVP_PKEY *key;
	X509 *cert;                /* NULL: none yet */
	struct tr_privkey *device; /* the same key, for signing */
};

enum tr_wire_state { TR_WIRE_CLOSED, TR_WIRE_CONNECTING, TR_WIRE_IDLE, TR_WIRE_SENDING, TR_WIRE_RECEIVING };

struct tr_wire_conn {
	void *owner;
	struct tr_wire *wire;
	int fd;
	SSL *ssl;
	enum tr_wire_state state;
	uint8_t exporter[32];
	struct tr_buf out, in;
	size_t out_at;
	int status;          /* of the answer */
	struct tr_view body; /* of the answer; lives during `answered` */
};

/* Calls may open, close and request on the same connection. */
struct tr_wire_ops {
	void (*ready)(struct tr_wire_conn *c);    /* handshake done; exporter is set */
	void (*answered)(struct tr_wire_conn *c);
	void (*lost)(struct tr_wire_conn *c, const char *why); /* closed already */
};

TR_RC tr_wire_new(uint16_t port, const char *ca_file, const struct tr_wire_ops *ops, struct tr_wire **ret, struct tr_err *err);
struct tr_wire *tr_wire_free(struct tr_wire *w);
/* number chooses the source address; id may have no certificate. False: no descriptor left. */
bool tr_wire_open(struct tr_wire *w, struct tr_wire_conn *c, uint32_t number, const struct tr_wire_id *id);
void tr_wire_close(struct tr_wire_conn *c);
void tr_wire_request(struct tr_wire_conn *c, const char *method, const char *path, const char *type, const char *bearer,
		     struct tr_view body);
/* One round of events; false when nothing came within the time. */
bool tr_wire_round(struct tr_wire *w, int timeout_ms);
/* Of the last request and of its answer. */
size_t tr_wire_out_bytes(const struct tr_wire *w);
size_t tr_wire_in_bytes(const struct tr_wire *w);

/* ---- fleets ---- */

/* Registers n agents "<prefix>-00000…" with fresh keys, `flight` at a time; ids filled in. progress may be NULL. */
TR_RC tr_wire_enrol(uint16_t port, const char *ca_file, const char *token, const char *prefix, enum tr_key_type type,
		    const uint8_t hash[32], size_t n, size_t flight, struct tr_wire_id *ret, struct tr_err *err);
/* Keys and certificates in one PEM file, and back (at most max). */
TR_RC tr_wire_save(const char *path, const struct tr_wire_id *ids, size_t n, struct tr_err *err);
TR_RC tr_wire_load(const char *path, struct tr_wire_id *ret, size_t max, size_t *ret_n, struct tr_err *err);
void tr_wire_id_done(struct tr_wire_id *id);

#endif
