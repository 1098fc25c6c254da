/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd behind our types: its epoll descriptor is nested in our loop, we accept the connections ourselves,
 * and everything that it leaves open (deadlines, strict heads, limits, stalled handshakes) is closed here and in
 * limits.c, strict.c and tls.c. */
#include "http/inner.h"

#include "http/strict.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define ACCEPT_PER_ROUND 8       /* a handshake costs half a millisecond: established connections come first */
#define ACCEPT_PAUSE_MS 100      /* when descriptors or memory ran out */
#define CONNECTION_SLACK 64      /* dead ones that libmicrohttpd has not closed yet */
#define RUNS_PER_ROUND 4
#define IDLE_ROUNDS_FREE 8       /* rounds without progress before we slow down */
#define IDLE_PAUSE_MS 20
#define FREE_REQS_MAX 32
#define TARGET_INLINE 120
#define TARGET_MAX 8192
#define BODY_FIRST 4096          /* a peer that announces much gets memory as it sends */
#define DRAIN_MAX 65536
#define SMALL_MAX 8192           /* answers up to this leave in one piece */
#define PRIORITIES                                                                                          \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:-CIPHER-ALL:"              \
	"+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

enum stage { ST_NEW, ST_BODY, ST_REFUSED, ST_DONE };

struct tr_http_req {
	struct tr_http_conn *conn; /* in the free list: next */
	struct MHD_Connection *mhd;
	void *user;
	struct MHD_Response *response; /* answered, not handed over yet */
	unsigned status;
	enum stage stage;
	bool announced, answered, suspended, http_1_0, small;
	struct tr_http_head head;
	uint8_t *body;
	size_t body_n, body_cap;
	char *target; /* target_small or allocated */
	char target_small[TARGET_INLINE];
};

static struct tr_http_req *req_new(struct tr_http *h)
{
	struct tr_http_req *r = h->free_reqs;

	if (r) {
		h->free_reqs = (void *)r->conn;
		h->n_free_reqs--;
	} else {
		r = malloc(sizeof(*r));
	}
	if (r)
		memset(r, 0, offsetof(struct tr_http_req, target_small));
	return r;
}

static void req_free(struct tr_http *h, struct tr_http_req *r)
{
	if (r->response)
		MHD_destroy_response(r->response);
	free(r->body);
	if (r->target != r->target_small)
		free(r->target);
	if (h->n_free_reqs >= FREE_REQS_MAX) {
		free(r);
		return;
	}
	r->conn = (void *)h->free_reqs;
	h->free_reqs = r;
	h->n_free_reqs++;
}

/* ---- the loop ---- */

void tr_http_run_soon(struct tr_http *h)
{
	if (h->running || h->run_armed || h->stopping)
		return;
	h->run_armed = true;
	tr_timer_arm(h->run_timer, 0);
}

static void check_quiet(struct tr_http *h)
{
	void (*fn)(void *arg) = h->quiet_fn;

	if (!h->quiet || h->open || !fn)
		return;
	h->quiet_fn = NULL;
	fn(h->quiet_arg); /* may free h */
}

/* Runs libmicrohttpd until it has nothing more to do. It may say "call again at once" for as long as one connection
 * makes it think so; after some rounds in which nothing moved we believe it no longer and only look now and then. */
static void run(struct tr_http *h)
{
	uint64_t before = h->progress;
	MHD_UNSIGNED_LONG_LONG ms = 1;
	bool again = true;

	h->running = true;
	for (int i = 0; i < RUNS_PER_ROUND && again; i++) {
		(void)MHD_run(h->mhd);
		again = MHD_get_timeout(h->mhd, &ms) == MHD_YES && ms == 0;
	}
	h->running = false;
	h->idle_rounds = again && h->progress == before ? h->idle_rounds + 1 : 0;
	if (again && !h->run_armed) {
		h->run_armed = true;
		tr_timer_arm(h->run_timer, h->idle_rounds > IDLE_ROUNDS_FREE ? IDLE_PAUSE_MS : 0);
	}
	check_quiet(h);
}

static void on_readable(void *arg)
{
	run(arg);
}

static void on_run_timer(void *arg)
{
	struct tr_http *h = arg;

	h->run_armed = false;
	run(h);
}

static void on_accept(void *arg)
{
	struct tr_http *h = arg;

	for (int i = 0; i < ACCEPT_PER_ROUND; i++) {
		struct sockaddr_storage ss;
		socklen_t n = sizeof(ss);
		int fd = accept4(h->c.listen_fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				/* Out of descriptors: the socket stays readable, so looking again at once would spin. */
				tr_watch_enable(h->accept_watch, false);
				tr_timer_arm(h->accept_timer, ACCEPT_PAUSE_MS);
			}
			return;
		}
		h->stats.accepted++;
		h->adding = tr_http_admit(h, (struct sockaddr *)&ss, fd);
		if (!h->adding) {
			(void)close(fd);
			continue;
		}
		/* Closes fd when it refuses. */
		(void)MHD_add_connection(h->mhd, fd, (struct sockaddr *)&ss, n);
		if (h->adding)
			tr_http_conn_free(h->adding);
		h->adding = NULL;
	}
}

static void on_accept_again(void *arg)
{
	struct tr_http *h = arg;

	if (!h->quiet)
		tr_watch_enable(h->accept_watch, true);
}

/* ---- connections ---- */

static struct tr_http_conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return i ? i->socket_context : NULL;
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **ctx,
			  enum MHD_ConnectionNotificationCode what)
{
	struct tr_http *h = arg;
	struct tr_http_conn *c = *ctx;
	const union MHD_ConnectionInfo *i;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = TR_TAKE(h->adding);
		*ctx = c;
		c->mhd = mhd;
		i = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
		tr_http_tls_start(c, (gnutls_session_t)i->tls_session);
		return;
	}
	if (!c)
		return;
	h->progress++;
	if (c->unread) {
		/* What has arrived and is not read makes the kernel answer with a reset, and a reset may overtake the
		 * refusal that explains it. */
		char waste[4096];

		for (int n = 0; n < DRAIN_MAX / (int)sizeof(waste); n++)
			if (recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT) <= 0)
				break;
	}
	if (c->opened && h->c.ops->conn_close)
		h->c.ops->conn_close(h->c.arg, c->user);
	*ctx = NULL;
	tr_http_conn_free(c);
}

static bool conn_open(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;
	uint8_t exporter[32];

	if (c->opened)
		return true;
	if (!tr_http_tls_exporter(c, exporter))
		return false;
	c->opened = true;
	if (h->c.ops->conn_open)
		c->user = h->c.ops->conn_open(h->c.arg, tr_http_tls_peer(c), TR_VIEW_ARRAY(exporter),
					      c->source->text);
	return true;
}

/* ---- requests ---- */

/* The request line is parsed: the last moment at which the target is whole. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
	struct tr_http *h = arg;
	struct tr_http_conn *c = conn_of(mhd);
	struct tr_http_req *r = c ? req_new(h) : NULL;
	size_t n = strnlen(target, TARGET_MAX + 1);
	const char *q;

	if (!r)
		return NULL;
	h->progress++;
	r->target = n < sizeof(r->target_small) ? r->target_small : malloc(n + 1);
	if (!r->target || n > TARGET_MAX) {
		req_free(h, r);
		return NULL;
	}
	memcpy(r->target, target, n);
	r->target[n] = '\0';
	q = memchr(r->target, '?', n);
	r->head.path = tr_view(r->target, q ? (size_t)(q - r->target) : n);
	if (q)
		r->head.query = tr_view(q + 1, n - r->head.path.n - 1);
	r->conn = c;
	r->mhd = mhd;
	c->req = r;
	c->memory = target;
	tr_http_slim_soon(c);
	if (c->queue == TR_Q_IDLE)
		tr_http_queue(c, TR_Q_HEAD);
	return r;
}

static enum MHD_Result hand_over(struct tr_http_req *r)
{
	struct MHD_Response *response = TR_TAKE(r->response);
	enum MHD_Result ok;

	tr_http_queue(r->conn, TR_Q_SEND);
	if (r->small)
		tr_http_cork(r->conn);
	ok = MHD_queue_response(r->mhd, r->status, response);
	MHD_destroy_response(response);
	return ok;
}

/* Version 0.9 of the library takes LF alone for a line end and cuts a value at NUL, where a proxy in front may see one
 * line: the start of request smuggling. It writes a NUL over each byte of a line end, in place: after CRLF there are
 * two, after anything else comes what the sender wrote next. Version 1 refuses such lines by itself (strict level). */
static bool are_nul(const char *p, size_t n)
{
#if MHD_VERSION < 0x01000000
	for (size_t i = 0; p && i < n; i++)
		if (p[i] != '\0')
			return false;
#else
	(void)p;
	(void)n;
#endif
	return true;
}

struct head_walk {
	struct tr_strict *s;
	const char *end; /* of the line before, where its CRLF was; NULL: not in the library's buffer */
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_n,
				 const char *value, size_t value_n)
{
	struct head_walk *w = arg;

	(void)kind;
	if (!are_nul(w->end, 2))
		tr_strict_line_end(w->s);
	tr_strict_header(w->s, tr_view(name, name_n), tr_view(value, value ? value_n : 0));
	if (value)
		w->end = value + value_n;
	return MHD_YES;
}

static void refuse(struct tr_http_req *r, int status, const char *slug, const char *why)
{
	const struct tr_problem p = { .status = status, .slug = slug, .detail = why };

	tr_http_respond_problem(r, &p, NULL);
}

/* The head is whole, no byte of the body was looked at. */
static enum MHD_Result on_head(struct tr_http *h, struct tr_http_req *r, const char *method, const char *version)
{
	struct tr_http_conn *c = r->conn;
	struct tr_strict s;
	struct head_walk w = { &s, *version ? version + strlen(version) : NULL };
	int64_t cap = -1;

	tr_http_grown_up(c);
	tr_http_queue(c, TR_Q_BODY);
	tr_strict_begin(&s, tr_view_str(method), tr_view_str(r->target), tr_view_str(version), h->c.limits.headers);
	(void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_header, &w);
	/* The last line is followed by the empty one. */
	if (!are_nul(w.end, 4))
		tr_strict_line_end(&s);
	r->stage = ST_REFUSED;
	if (!tr_strict_end(&s)) {
		h->stats.refused_syntax++;
		c->unread = true;
		refuse(r, s.status, s.slug, s.why);
		return hand_over(r); /* at this stage libmicrohttpd closes after it */
	}
	if (!conn_open(c))
		return MHD_NO;
	r->http_1_0 = s.http_1_0;
	r->head.method = tr_view_str(method);
	r->head.source = c->source->text;
	r->head.content_length = s.content_length;
	r->head.has_body = s.content_length > 0;
	r->announced = true;
	cap = h->c.ops->head(h->c.arg, c->user, r, &r->head);
	if (!r->answered && cap < 0)
		refuse(r, 500, "internal", "internal error");
	else if (!r->answered && s.content_length > (uint64_t)cap)
		refuse(r, 413, "body_too_large", "the body is larger than this route accepts");
	if (r->answered) {
		/* Without a body the connection may live on: then the answer waits for the second call. */
		if (!r->head.has_body)
			return MHD_YES;
		c->unread = true;
		return hand_over(r);
	}
	r->stage = ST_BODY;
	return MHD_YES;
}

static enum MHD_Result on_body(struct tr_http_req *r, const char *data, size_t *n)
{
	size_t want = r->body_n + *n;

	r->conn->h->progress++;
	if (r->stage != ST_BODY || want > r->head.content_length)
		return MHD_NO;
	if (want > r->body_cap) {
		size_t cap = r->body_cap ? r->body_cap * 2 : BODY_FIRST;
		uint8_t *p;

		if (cap < want)
			cap = want;
		if (cap > r->head.content_length)
			cap = (size_t)r->head.content_length;
		p = realloc(r->body, cap);
		if (!p)
			return MHD_NO;
		r->body = p;
		r->body_cap = cap;
	}
	memcpy(r->body + r->body_n, data, *n);
	r->body_n = want;
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result on_whole(struct tr_http *h, struct tr_http_req *r)
{
	bool again = r->stage == ST_DONE;

	if (r->stage == ST_REFUSED)
		return r->response ? hand_over(r) : MHD_NO;
	if (again || r->body_n != r->head.content_length)
		return MHD_NO;
	r->stage = ST_DONE;
	tr_http_queue(r->conn, TR_Q_WAIT);
	h->c.ops->request(h->c.arg, r->conn->user, r, &r->head, tr_view(r->body, r->body_n));
	/* While the answer is made elsewhere, the body would only wait. */
	free(TR_TAKE(r->body));
	if (r->answered)
		return r->response ? hand_over(r) : MHD_NO;
	MHD_suspend_connection(r->mhd);
	r->suspended = true;
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
				  const char *version, const char *data, size_t *n, void **ctx)
{
	struct tr_http *h = arg;
	struct tr_http_req *r = *ctx;

	(void)mhd;
	(void)url;
	h->progress++;
	if (!r || r->conn->dead)
		return MHD_NO;
	if (r->stage == ST_NEW)
		return on_head(h, r, method, version);
	if (*n)
		return on_body(r, data, n);
	return on_whole(h, r);
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **ctx, enum MHD_RequestTerminationCode code)
{
	struct tr_http *h = arg;
	struct tr_http_req *r = *ctx;
	struct tr_http_conn *c;

	(void)mhd;
	(void)code;
	if (!r)
		return;
	c = r->conn;
	*ctx = NULL;
	c->req = NULL;
	h->progress++;
	tr_http_uncork(c);
	/* Also when it is about to close: then this is forgotten within the round. */
	if (h->quiet)
		tr_http_end(c);
	else
		tr_http_queue(c, TR_Q_IDLE);
	tr_http_slim_soon(c);
	if (r->announced)
		h->c.ops->gone(h->c.arg, r);
	req_free(h, r);
}

/* ---- the caller's side ---- */

struct tr_view tr_http_header(struct tr_http_req *r, const char *name)
{
	return tr_view_str(MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name));
}

void *tr_http_req_user(struct tr_http_req *r)
{
	return r->user;
}

void tr_http_req_set_user(struct tr_http_req *r, void *user)
{
	r->user = user;
}

static struct MHD_Response *response_new(const struct tr_http_req *r, const struct tr_http_answer *a)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(a->body.n, (void *)(uintptr_t)a->body.p,
								 MHD_RESPMEM_MUST_COPY);
	bool ok = m != NULL;

	if (!m)
		return NULL;
	if (a->content_type)
		ok = ok && MHD_add_response_header(m, "Content-Type", a->content_type);
	ok = ok && MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
	ok = ok && MHD_add_response_header(m, "Cache-Control", "no-store");
	ok = ok && MHD_add_response_header(m, "Strict-Transport-Security", "max-age=31536000");
	for (const char *const *p = a->headers; p && p[0] && p[1]; p += 2)
		/* A value that could split the answer is left out rather than escaped. */
		if (tr_http_is_token(tr_view_str(p[0])) && tr_http_is_value(tr_view_str(p[1])))
			ok = ok && MHD_add_response_header(m, p[0], p[1]);
	if (a->close || r->http_1_0 || r->conn->h->quiet)
		ok = ok && MHD_add_response_header(m, "Connection", "close");
	if (!ok) {
		MHD_destroy_response(m);
		return NULL;
	}
	return m;
}

void tr_http_respond(struct tr_http_req *r, const struct tr_http_answer *a)
{
	struct tr_http *h = r->conn->h;

	if (r->answered)
		return;
	r->answered = true;
	r->status = (unsigned)a->status;
	r->response = response_new(r, a);
	r->small = a->body.n <= SMALL_MAX;
	if (!r->suspended)
		return; /* inside a callback: its caller hands it over */
	r->suspended = false;
	/* Without an answer the handler is called again and closes. */
	if (r->response)
		(void)hand_over(r);
	tr_http_tls_resume(r->conn);
	MHD_resume_connection(r->mhd);
	tr_http_run_soon(h);
}

void tr_http_respond_problem(struct tr_http_req *r, const struct tr_problem *p, const char *request_id)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char seconds[16];
	const char *retry[] = { "Retry-After", seconds, NULL };

	tr_problem_json(p, request_id, &b);
	(void)snprintf(seconds, sizeof(seconds), "%u", p->retry_after_s);
	tr_http_respond(r, &(struct tr_http_answer){
				   .status = p->status,
				   .content_type = "application/problem+json",
				   .body = tr_buf_view(&b),
				   .headers = p->retry_after_s ? retry : NULL,
			   });
}

void tr_http_stats(const struct tr_http *h, struct tr_http_stats *ret)
{
	*ret = h->stats;
	ret->open = h->open;
}

/* ---- life ---- */

static void TR_PRINTF(2, 0) on_log(void *arg, const char *fmt, va_list ap)
{
	struct tr_http *h = arg;

	/* Only why it would not start; what peers do wrong is counted, not printed. */
	if (!h->mhd)
		(void)vsnprintf(h->start_log, sizeof(h->start_log), fmt, ap);
}

static char *copy_text(struct tr_view v)
{
	return strndup((const char *)v.p, v.n);
}

static void wipe_text(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static TR_RC mhd_start(struct tr_http *h, struct tr_err *err)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_TLS | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG;

#if MHD_VERSION >= 0x01000000
	flags |= MHD_USE_NO_THREAD_SAFETY; /* one thread: no locks, no wake-up descriptor */
#endif
	h->cert = copy_text(h->c.cert_pem);
	h->key = copy_text(h->c.key_pem);
	if (!h->cert || !h->key)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "server certificate");
	h->mhd = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
		MHD_OPTION_HTTPS_MEM_CERT, h->cert, MHD_OPTION_HTTPS_MEM_KEY, h->key, MHD_OPTION_HTTPS_PRIORITIES,
		PRIORITIES, MHD_OPTION_CONNECTION_MEMORY_LIMIT, h->c.limits.pool, MHD_OPTION_CONNECTION_LIMIT,
		h->c.limits.connections + CONNECTION_SLACK, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	wipe_text(TR_TAKE(h->key));
	if (!h->mhd)
		return tr_err_set(err, TR_E_INVALID, "the HTTPS server does not start with this certificate and key",
				  "libmicrohttpd: %s", h->start_log);
	return TR_OK;
}

TR_RC tr_http_new(struct tr_loop *loop, const struct tr_http_config *c, struct tr_http **ret, struct tr_err *err)
{
	tr_auto(tr_http_free) struct tr_http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	enum tr_code rc;

	if (!h)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "http server");
	h->loop = loop;
	h->c = *c;
	h->parked_fd = -1;
	rc = tr_http_limits_init(h, err);
	if (!rc)
		rc = tr_http_tls_init(h, err);
	if (!rc)
		rc = mhd_start(h, err);
	if (rc)
		return rc;
	info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "libmicrohttpd without epoll");
	rc = tr_watch_fd(loop, info->epoll_fd, TR_WATCH_READ, on_readable, h, &h->watch, err);
	if (!rc)
		rc = tr_watch_timer(loop, on_run_timer, h, &h->run_timer, err);
	if (!rc)
		rc = tr_watch_timer(loop, on_accept_again, h, &h->accept_timer, err);
	if (!rc)
		rc = tr_http_slim_init(h, err);
	if (!rc)
		rc = tr_watch_fd(loop, c->listen_fd, TR_WATCH_READ, on_accept, h, &h->accept_watch, err);
	if (rc)
		return rc;
	*ret = TR_TAKE(h);
	return TR_OK;
}

struct tr_http *tr_http_free(struct tr_http *h)
{
	if (!h)
		return NULL;
	h->stopping = true;
	/* libmicrohttpd must not be stopped with a suspended connection. */
	for (int q = 0; h->mhd && q < TR_Q_N; q++)
		for (struct tr_http_conn *c = h->queues[q].first; c; c = c->next) {
			tr_http_unpark(c);
			if (c->req && c->req->suspended) {
				c->req->suspended = false;
				MHD_resume_connection(c->mhd);
			}
		}
	h->watch = tr_watch_free(h->watch);
	h->accept_watch = tr_watch_free(h->accept_watch);
	h->accept_timer = tr_watch_free(h->accept_timer);
	h->run_timer = tr_watch_free(h->run_timer);
	h->slim_timer = tr_watch_free(h->slim_timer);
	if (h->mhd)
		MHD_stop_daemon(h->mhd); /* calls gone and conn_close for what is open */
	tr_http_limits_done(h);
	tr_http_tls_done(h);
	while (h->free_reqs) {
		struct tr_http_req *r = h->free_reqs;

		h->free_reqs = (void *)r->conn;
		free(r);
	}
	free(h->cert);
	wipe_text(h->key);
	free(h);
	return NULL;
}

void tr_http_quiesce(struct tr_http *h, void (*done)(void *arg), void *arg)
{
	struct tr_http_conn *c;

	h->quiet = true;
	h->quiet_fn = done;
	h->quiet_arg = arg;
	tr_watch_enable(h->accept_watch, false);
	while ((c = h->queues[TR_Q_IDLE].first))
		tr_http_end(c);
	tr_http_run_soon(h); /* calls done when there is nobody to wait for */
}
