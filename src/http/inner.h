/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the server (server.c, limits.c, tls.c) and nobody else. */
#ifndef TR_HTTP_INNER_H
#define TR_HTTP_INNER_H

#include "http/server.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>

/* Where a connection stands. The first four have a deadline that activity does not move (a trickle is activity);
 * DEAD is shut down by us and not yet closed by libmicrohttpd.
 *
 *   accept → HEAD (handshake and first head) → BODY → WAIT (ours to answer) → SEND → IDLE → HEAD → …   any → DEAD
 */
enum tr_http_queue { TR_Q_HEAD, TR_Q_BODY, TR_Q_SEND, TR_Q_IDLE, TR_Q_TIMED, TR_Q_WAIT = TR_Q_TIMED, TR_Q_DEAD, TR_Q_N };

struct tr_http_source { /* one IPv4 address or IPv6 network (/64) with at least one connection */
	struct tr_http_source *next;
	struct tr_http_conn *young; /* no whole request head yet, oldest first */
	struct tr_http_conn *young_last;
	unsigned refs, live; /* live: without the dead ones */
	struct in6_addr addr;
	char text[INET6_ADDRSTRLEN + 3];
};

struct tr_http_conn { /* stays while the connection is idle: keep it small */
	struct tr_http *h;
	struct MHD_Connection *mhd;
	struct tr_http_source *source;
	struct tr_http_req *req; /* NULL between requests */
	void *user;              /* the caller's object */
	struct tr_http_conn *prev, *next;             /* of its queue */
	struct tr_http_conn *young_prev, *young_next; /* of its source */
	gnutls_session_t tls;
	struct tr_http_left *left; /* read ahead and displaced; mostly NULL */
	const void *memory;      /* libmicrohttpd's for this connection, near its beginning (slim.c) */
	uint64_t deadline_ms;
	int fd;
	uint8_t queue; /* enum tr_http_queue */
	bool opened : 1;       /* conn_open was called */
	bool is_young : 1;
	bool handshaking : 1;
	bool parked : 1;       /* suspended during the handshake */
	bool dead : 1;
	bool unread : 1;       /* refused with a body on its way */
	bool drained : 1;      /* the last read emptied the socket */
	bool skip_read : 1;    /* nothing to read before the next event */
	bool corked : 1;       /* the answer goes out as one write */
	bool tcp_open : 1;     /* TCP_CORK was taken off */
	bool fat : 1;          /* its memory was used since it was looked at */
};
_Static_assert(sizeof(struct tr_http_conn) <= 160, "one per idle agent");

struct tr_http {
	struct MHD_Daemon *mhd;
	struct tr_loop *loop;
	struct tr_http_config c;
	gnutls_datum_t ticket_key;
	char *cert, *key; /* PEM, as libmicrohttpd wants it */

	struct tr_watch *watch, *accept_watch, *accept_timer, *run_timer, *deadline_timer, *parked_watch,
		*slim_timer;
	int parked_fd; /* epoll of connections in mid-handshake */
	bool running, run_armed, slim_armed, stopping, quiet;
	unsigned idle_rounds;
	uint64_t progress; /* grows with everything that happens */

	/* Read ahead for one connection at a time: a record is two reads for GnuTLS, and one for us. */
	struct {
		struct tr_http_conn *of;
		uint8_t *p;
		size_t at, n;
	} ahead;
	/* And gather what one answer sends: a record for the head, a record for the body, one write. */
	struct {
		struct tr_http_conn *of;
		uint8_t *p;
		size_t n;
	} out;

	struct tr_http_conn *adding;
	struct {
		struct tr_http_conn *first, *last;
		uint64_t ms;
	} queues[TR_Q_N];
	uint64_t deadline_armed_ms; /* 0: not armed */
	struct tr_http_source **sources;
	size_t source_mask;
	uint64_t source_seed;
	unsigned open, live; /* live: without the dead ones */
	struct tr_http_req *free_reqs;
	unsigned n_free_reqs;
	struct tr_http_stats stats;
	void (*quiet_fn)(void *arg);
	void *quiet_arg;
	char start_log[160];
};

/* limits.c */
TR_RC tr_http_limits_init(struct tr_http *h, struct tr_err *err);
void tr_http_limits_done(struct tr_http *h);
/* A slot for a connection from that address, NULL when there is none. May end a younger-than-a-request connection. */
struct tr_http_conn *tr_http_admit(struct tr_http *h, const struct sockaddr *addr, int fd);
void tr_http_conn_free(struct tr_http_conn *c);
void tr_http_grown_up(struct tr_http_conn *c); /* its first request head is whole */
void tr_http_queue(struct tr_http_conn *c, enum tr_http_queue q);
/* Ends a connection from outside libmicrohttpd, which has no call for it. */
void tr_http_end(struct tr_http_conn *c);

/* slim.c: a request has begun or ended. */
TR_RC tr_http_slim_init(struct tr_http *h, struct tr_err *err);
void tr_http_slim_soon(struct tr_http_conn *c);

/* tls.c */
void tr_http_tls_start(struct tr_http_conn *c, gnutls_session_t session);
struct tr_view tr_http_tls_peer(const struct tr_http_conn *c);
bool tr_http_tls_exporter(const struct tr_http_conn *c, uint8_t out[32]);
TR_RC tr_http_tls_init(struct tr_http *h, struct tr_err *err);
void tr_http_tls_done(struct tr_http *h);
void tr_http_tls_end(struct tr_http_conn *c);
/* Between these two, what is sent is gathered into one write. */
void tr_http_cork(struct tr_http_conn *c);
void tr_http_uncork(struct tr_http_conn *c);
/* A suspended connection is about to go on: libmicrohttpd will read first, then watch the socket again. */
void tr_http_tls_resume(struct tr_http_conn *c);
/* Lets a parked connection go on. */
void tr_http_unpark(struct tr_http_conn *c);

/* server.c */
void tr_http_run_soon(struct tr_http *h);

#endif
