/* SPDX-License-Identifier: Apache-2.0 */
/* What we add to the GnuTLS sessions of libmicrohttpd: the request for a client certificate, session tickets under
 * a key shared by the fronts, and a transport that parks a connection which waits in mid-handshake. */
#include "http/inner.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define HANDSHAKE_MAX 16384 /* bytes of one handshake message; a chain of three P-256 certificates has 2 KiB */
#define PARKED_PER_ROUND 64

/* libmicrohttpd keeps a connection whose handshake is incomplete in its list of ready ones and looks at each of them
 * in every round; a few thousand stalled handshakes would then cost more than all the rest. So it is suspended until
 * the socket has something to read. The documentation allows suspending in handlers only; here we are inside
 * libmicrohttpd's own read, one frame below where a handler would be, on every version the same. */
static void park(struct tr_http_conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c };

	if (c->parked || !c->mhd || c->h->stopping)
		return;
	if (epoll_ctl(c->h->parked_fd, EPOLL_CTL_ADD, c->fd, &ev))
		return; /* then it costs more, and its deadline ends it */
	MHD_suspend_connection(c->mhd);
	c->parked = true;
}

void tr_http_unpark(struct tr_http_conn *c)
{
	if (!c->parked)
		return;
	c->parked = false;
	(void)epoll_ctl(c->h->parked_fd, EPOLL_CTL_DEL, c->fd, NULL);
	MHD_resume_connection(c->mhd);
	tr_http_run_soon(c->h);
}

static void on_parked(void *arg)
{
	struct tr_http *h = arg;
	struct epoll_event evs[PARKED_PER_ROUND];
	int n = epoll_wait(h->parked_fd, evs, PARKED_PER_ROUND, 0);

	for (int i = 0; i < n; i++)
		tr_http_unpark(evs[i].data.ptr);
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
	struct tr_http_conn *c = ptr;
	ssize_t got = recv(c->fd, buf, n, 0);

	if (got > 0) {
		c->h->progress++;
		/* The first bytes after silence: from here on the head has its deadline. */
		if (c->queue == TR_Q_IDLE)
			tr_http_queue(c, TR_Q_HEAD);
	} else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && c->handshaking) {
		park(c);
		errno = EAGAIN;
	}
	return got;
}

static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
		       const gnutls_datum_t *msg)
{
	struct tr_http_conn *c = gnutls_transport_get_ptr(session);

	(void)type;
	(void)when;
	(void)msg;
	/* TLS 1.3: the client's Finished is the last message of the handshake. */
	if (incoming)
		c->handshaking = false;
	return 0;
}

void tr_http_tls_start(struct tr_http_conn *c, gnutls_session_t session)
{
	struct tr_http *h = c->h;

	c->tls = session;
	c->handshaking = true;
	gnutls_transport_set_ptr2(session, c, (gnutls_transport_ptr_t)(intptr_t)c->fd);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
	gnutls_handshake_set_max_packet_length(session, HANDSHAKE_MAX);
	/* Requested, not required and not verified: the handler decides (and says why in words). */
	gnutls_certificate_server_set_request(session,
					      h->c.request_client_cert ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
	if (h->ticket_key.size)
		(void)gnutls_session_ticket_enable_server(session, &h->ticket_key);
}

struct tr_view tr_http_tls_peer(const struct tr_http_conn *c)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->tls, &n);

	return chain && n ? tr_view(chain[0].data, chain[0].size) : (struct tr_view){ 0 };
}

bool tr_http_tls_exporter(const struct tr_http_conn *c, uint8_t out[32])
{
	gnutls_datum_t cb = { 0 };
	bool ok = gnutls_session_channel_binding(c->tls, GNUTLS_CB_TLS_EXPORTER, &cb) == 0 && cb.size == 32;

	if (ok)
		memcpy(out, cb.data, 32);
	gnutls_free(cb.data);
	return ok;
}

TR_RC tr_http_tls_init(struct tr_http *h, struct tr_err *err)
{
	struct tr_view k = h->c.ticket_key;

	if (k.n && k.n != TR_HTTP_TICKET_KEY_LEN)
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "ticket key of %zu bytes, %d needed", k.n,
				  TR_HTTP_TICKET_KEY_LEN);
	if (k.n) {
		h->ticket_key.data = malloc(k.n);
		if (!h->ticket_key.data)
			return tr_err_set(err, TR_E_INTERNAL, "out of memory", "ticket key");
		memcpy(h->ticket_key.data, k.p, k.n);
		h->ticket_key.size = (unsigned)k.n;
	}
	h->parked_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->parked_fd < 0)
		return tr_err_errno(err, "epoll_create1");
	return tr_watch_fd(h->loop, h->parked_fd, TR_WATCH_READ, on_parked, h, &h->parked_watch, err);
}

void tr_http_tls_done(struct tr_http *h)
{
	h->parked_watch = tr_watch_free(h->parked_watch);
	h->parked_fd = tr_close(h->parked_fd);
	if (h->ticket_key.data)
		explicit_bzero(h->ticket_key.data, h->ticket_key.size);
	free(h->ticket_key.data);
	h->ticket_key = (gnutls_datum_t){ 0 };
}

TR_RC tr_http_server_init(struct tr_err *err)
{
	int rc = gnutls_global_init();

	if (rc)
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "GnuTLS: %s", gnutls_strerror(rc));
	/* A peer that closed must not kill the process; libmicrohttpd is told that we see to it. */
	(void)signal(SIGPIPE, SIG_IGN);
	return TR_OK;
}
