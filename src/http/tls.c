/* SPDX-License-Identifier: Apache-2.0 */
/* What we add to the GnuTLS sessions of libmicrohttpd: the request for a client certificate, session tickets under
 * a key shared by the fronts, and a transport that parks a connection which waits in mid-handshake. */
#include "http/inner.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define HANDSHAKE_MAX 16384 /* bytes of one handshake message; a chain of three P-256 certificates has 2 KiB */
#define PARKED_PER_ROUND 64
#define AHEAD 16640 /* bytes: one record of the largest size */
#define OUT 16384

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

struct tr_http_left {
	size_t at, n;
	uint8_t bytes[];
};

/* Takes the buffer from another connection, which keeps what it has not consumed. */
static bool ahead_take(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;
	struct tr_http_conn *old = h->ahead.of;
	size_t n = h->ahead.n - h->ahead.at;

	if (old && old != c && n) {
		old->left = malloc(sizeof(*old->left) + n);
		if (!old->left)
			return false;
		*old->left = (struct tr_http_left){ .n = n };
		memcpy(old->left->bytes, h->ahead.p + h->ahead.at, n);
	}
	h->ahead.of = c;
	h->ahead.at = h->ahead.n = 0;
	return true;
}

static size_t serve(const uint8_t *p, size_t *at, size_t n, void *buf, size_t want)
{
	size_t give = n - *at < want ? n - *at : want;

	memcpy(buf, p + *at, give);
	*at += give;
	return give;
}

static ssize_t fill(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;
	ssize_t got;

	if (c->skip_read || !ahead_take(c)) {
		c->skip_read = false;
		errno = EAGAIN;
		return -1;
	}
	got = recv(c->fd, h->ahead.p, AHEAD, 0);
	c->drained = got > 0 && got < AHEAD;
	if (got > 0)
		h->ahead.n = (size_t)got;
	return got;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
	struct tr_http_conn *c = ptr;
	struct tr_http *h = c->h;
	ssize_t got;

	if (c->left) {
		size_t give = serve(c->left->bytes, &c->left->at, c->left->n, buf, n);

		if (c->left->at == c->left->n)
			free(TR_TAKE(c->left));
		return (ssize_t)give;
	}
	if (h->ahead.of == c && h->ahead.at < h->ahead.n)
		return (ssize_t)serve(h->ahead.p, &h->ahead.at, h->ahead.n, buf, n);
	got = fill(c);
	if (got > 0) {
		h->progress++;
		/* The first bytes after silence: from here on the head has its deadline. */
		if (c->queue == TR_Q_IDLE)
			tr_http_queue(c, TR_Q_HEAD);
		return (ssize_t)serve(h->ahead.p, &h->ahead.at, h->ahead.n, buf, n);
	}
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && c->handshaking) {
		park(c);
		errno = EAGAIN;
	}
	return got;
}

void tr_http_tls_resume(struct tr_http_conn *c)
{
	/* Suspending took the socket out of libmicrohttpd's epoll and the next "again" puts it back, which reports what
	 * came meanwhile: so after a read that emptied the socket, the read before that need not ask the kernel. */
	c->skip_read = c->drained && !c->left && (c->h->ahead.of != c || c->h->ahead.at == c->h->ahead.n);
}

void tr_http_tls_end(struct tr_http_conn *c)
{
	free(TR_TAKE(c->left));
	if (c->h->ahead.of == c) {
		c->h->ahead.of = NULL;
		c->h->ahead.at = c->h->ahead.n = 0;
	}
	if (c->h->out.of == c) {
		c->h->out.of = NULL;
		c->h->out.n = 0;
	}
}

static void flush(struct tr_http *h)
{
	struct tr_http_conn *c = h->out.of;
	size_t n = h->out.n;

	h->out.of = NULL;
	h->out.n = 0;
	/* A peer that asks on without reading the answers may fill the socket: then it loses the connection. */
	if (c && n && send(c->fd, h->out.p, n, MSG_NOSIGNAL) != (ssize_t)n)
		tr_http_end(c);
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count)
{
	struct tr_http_conn *c = ptr;
	struct tr_http *h = c->h;
	struct msghdr m = { .msg_iovlen = (size_t)count };
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	if (h->out.of && (h->out.of != c || !c->corked || n > OUT - h->out.n))
		flush(h);
	if (c->corked && n <= OUT) {
		for (int i = 0; i < count; i++) {
			memcpy(h->out.p + h->out.n, iov[i].iov_base, iov[i].iov_len);
			h->out.n += iov[i].iov_len;
		}
		h->out.of = c;
		return (ssize_t)n;
	}
	m.msg_iov = (struct iovec *)(uintptr_t)iov;
	return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

void tr_http_cork(struct tr_http_conn *c)
{
	c->corked = true;
}

void tr_http_uncork(struct tr_http_conn *c)
{
	if (!c->corked)
		return;
	c->corked = false;
	if (!c->tcp_open) {
		int cork = 0;
		socklen_t len = sizeof(cork);

		/* libmicrohttpd corks the socket once, with the first answer whose head and body it sends together, and
		 * pushes after what it believes to be the sending, which is before ours. It does not cork it again. */
		if (getsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &cork, &len) == 0 && cork) {
			cork = 0;
			c->tcp_open = true;
			(void)setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
		}
	}
	if (c->h->out.of == c)
		flush(c->h);
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
	gnutls_transport_set_ptr(session, c);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_vec_push_function(session, push);
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
	h->ahead.p = malloc(AHEAD);
	h->out.p = malloc(OUT);
	if (!h->ahead.p || !h->out.p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "transport buffers");
	h->parked_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->parked_fd < 0)
		return tr_err_errno(err, "epoll_create1");
	return tr_watch_fd(h->loop, h->parked_fd, TR_WATCH_READ, on_parked, h, &h->parked_watch, err);
}

void tr_http_tls_done(struct tr_http *h)
{
	h->parked_watch = tr_watch_free(h->parked_watch);
	h->parked_fd = tr_close(h->parked_fd);
	free(TR_TAKE(h->ahead.p));
	free(TR_TAKE(h->out.p));
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
