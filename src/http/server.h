/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS server: libmicrohttpd and GnuTLS behind our own types. TLS 1.3 only. The client certificate is requested,
 * never verified here: `peer` hands its DER to the caller once per connection, who decides (libmicrohttpd does not
 * verify). Handlers are asynchronous: a request is suspended until tr_http_respond.
 *
 * Refused here, before any body is read (status, slug): two Content-Lengths, Content-Length with Transfer-Encoding,
 * any Transfer-Encoding, two Hosts or none, white space before a colon, a method that is no token, a version other
 * than HTTP/1.1 (1.0 is allowed without keep-alive), a header block, line count or body over its limit, a trickle
 * over its deadline, more connections than allowed (in all and per source). */
#ifndef TR_HTTP_SERVER_H
#define TR_HTTP_SERVER_H

#include "base/buf.h"
#include "http/problem.h"
#include "ipc/loop.h"

struct tr_http;      /* a listener */
struct tr_http_conn; /* a TLS connection */
struct tr_http_req;  /* a request, valid until tr_http_respond returns or `gone` was called */

struct tr_http_limits {
	size_t pool;              /* bytes of memory per connection (headers must fit): 16384 agents, 32768 operators */
	unsigned connections;     /* in all */
	unsigned per_source;      /* per IP address; 0: no limit */
	unsigned headers;         /* count, e.g. 64 */
	unsigned idle_s;          /* keep-alive silence */
	unsigned header_s;        /* deadline for handshake and a whole header block */
	unsigned body_s;          /* deadline for a whole body */
};

struct tr_http_head { /* borrowed, valid until `gone` */
	struct tr_view method, path, query; /* as sent: percent escapes are not decoded; query without its '?' */
	const char *source;       /* numeric IP of the peer */
	bool has_body;
	uint64_t content_length;
};

struct tr_http_ops {
	/* A connection's first request: peer_der is the client certificate (n == 0: none), exporter the RFC 9266 value (32
	 * bytes). Returns the caller's connection object (may be NULL), given back in every later call. */
	void *(*conn_open)(void *arg, struct tr_view peer_der, struct tr_view exporter, const char *source);
	void (*conn_close)(void *arg, void *conn);
	/* Headers are complete, nothing of the body is read. Returns the body cap in bytes for this request, or -1 after it
	 * answered by tr_http_respond_problem itself. */
	int64_t (*head)(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h);
	/* The whole body is here, valid during this call. Answer now or later with tr_http_respond. */
	void (*request)(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body);
	/* The request is over (answered and sent, or the peer is gone): forget r. Called exactly once per request. */
	void (*gone)(void *arg, struct tr_http_req *r);
};

#define TR_HTTP_TICKET_KEY_LEN 64 /* bytes, random */

struct tr_http_config {
	int listen_fd;               /* borrowed: the supervisor keeps it */
	struct tr_view cert_pem, key_pem;
	struct tr_view ticket_key;   /* shared by the fronts; empty: no session tickets */
	bool request_client_cert;
	struct tr_http_limits limits;
	const struct tr_http_ops *ops;
	void *arg;
};

TR_RC tr_http_server_init(struct tr_err *err); /* gnutls_global_init etc.; before the sandbox */
TR_RC tr_http_new(struct tr_loop *loop, const struct tr_http_config *c, struct tr_http **ret, struct tr_err *err);
struct tr_http *tr_http_free(struct tr_http *h);
TR_DEFINE_AUTO(struct tr_http *, tr_http_free)
/* Stops accepting; existing connections finish their request and are closed. Calls done when none is left. */
void tr_http_quiesce(struct tr_http *h, void (*done)(void *arg), void *arg);

struct tr_view tr_http_header(struct tr_http_req *r, const char *name); /* n == 0 when absent */
void *tr_http_req_user(struct tr_http_req *r);
void tr_http_req_set_user(struct tr_http_req *r, void *user);

struct tr_http_answer {
	int status;
	const char *content_type; /* static; NULL: none */
	struct tr_view body;      /* copied */
	const char *const *headers; /* name, value, name, value, …, NULL; values copied; may be NULL */
	bool close;
};
/* Every answer carries nosniff, no-store, and HSTS. */
void tr_http_respond(struct tr_http_req *r, const struct tr_http_answer *a);
/* The same with a problem document; a 4xx that leaves a body unread closes the connection. request_id may be NULL. */
void tr_http_respond_problem(struct tr_http_req *r, const struct tr_problem *p, const char *request_id);

struct tr_http_stats { uint64_t accepted, refused_limit, refused_syntax, timeouts, open; };
void tr_http_stats(const struct tr_http *h, struct tr_http_stats *ret);

/* Opens listening TCP sockets for "host:port" / "[v6]:port" / "*:port" with SO_REUSEPORT and TCP_NODELAY (inherited by
 * accepted sockets), close-on-exec, non-blocking. ret_port is the bound port (for port 0). */
TR_RC tr_listen(const char *address, int *ret_fd, unsigned *ret_port, struct tr_err *err);
/* Sockets that share a port do so silently, also with another program's. Fails when somebody listens there already. */
TR_RC tr_listen_probe(const char *address, struct tr_err *err);

#endif
