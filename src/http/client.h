/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS client for agent and CLI (libcurl with OpenSSL behind it). One handle is one keep-alive connection. TLS 1.3
 * only. Trust is a set of CA certificates in memory, or none at all while bootstrapping against a pinned root: the
 * caller then checks what it fetched against the pin. System CAs are never used. */
#ifndef TR_HTTP_CLIENT_H
#define TR_HTTP_CLIENT_H

#include "base/buf.h"

#include <signal.h>

struct tr_client;

struct tr_client_config {
	const char *base_url;      /* https://host:port */
	struct tr_view ca_pem;     /* empty: do not verify (bootstrap only) */
	struct tr_view cert_pem, key_pem; /* client certificate; empty: none */
	const char *user_agent;
	unsigned timeout_s;        /* whole request */
	size_t max_answer;         /* bytes */
	/* The server is an agent: its certificate must be for this SPIFFE id; it names no host. NULL: a server of the fleet. */
	const char *spiffe;
	/* The one exchange that fetches the time: chain and name are checked, dates are not. */
	bool ignore_dates;
	/* An exchange ends within a second after this became non-zero; may be NULL. */
	const volatile sig_atomic_t *cancel;
};
TR_RC tr_client_global_init(struct tr_err *err);
TR_RC tr_client_new(const struct tr_client_config *c, struct tr_client **ret, struct tr_err *err);
struct tr_client *tr_client_free(struct tr_client *c);
TR_DEFINE_AUTO(struct tr_client *, tr_client_free)

struct tr_client_answer {
	int status;
	struct tr_buf body;
	char content_type[64];
	unsigned retry_after_s;
};
void tr_client_answer_done(struct tr_client_answer *a);
TR_DEFINE_AUTO_DONE(struct tr_client_answer, tr_client_answer_done)

/* Builds the body when the TLS connection stands and its RFC 9266 exporter is known (CURLOPT_PREREQFUNCTION): called
 * exactly once per connection that is tried: again when a kept-alive one turned out dead. Return false to abort. */
typedef bool (*tr_client_body_fn)(void *arg, const uint8_t exporter[32], struct tr_buf *ret_body);

struct tr_client_request {
	const char *method, *path;     /* path with query */
	const char *content_type;
	struct tr_view body;           /* used when body_fn is NULL */
	tr_client_body_fn body_fn;
	void *arg;
	const char *bearer;            /* NULL: no Authorization header */
	const char *const *headers;    /* "Name: value", NULL-terminated; may be NULL */
	unsigned timeout_ms;           /* 0: the client's */
	/* When the server's certificate must be valid, should a connection be opened: Unix ms, 0: now. For callers who
	 * know better than their machine's clock. */
	int64_t verify_time_ms;
};
/* TR_OK whenever an HTTP answer came, whatever its status; TR_E_UNAVAIL: could not connect (the detail says why, pub
 * says what to check), TR_E_UNAUTH: the server's certificate was not acceptable. */
TR_RC tr_client_do(struct tr_client *c, const struct tr_client_request *r, struct tr_client_answer *ret,
		   struct tr_err *err);
/* SHA-256 of the server's leaf certificate in the last exchange, for messages to people. */
bool tr_client_peer_sha256(struct tr_client *c, uint8_t out[32]);
/* Of an agent: SHA-256 of its key's SPKI. False: no exchange came so far. */
bool tr_client_peer_key_id(struct tr_client *c, uint8_t out[32]);
/* Did the last exchange fail because the server's certificate is not valid at that time? */
bool tr_client_failed_by_date(const struct tr_client *c);

#endif
