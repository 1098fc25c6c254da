/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/courier.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/client.h"
#include "ipc/chan.h"
#include "ipc/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { M_ERRAND = 1, M_ANSWER };
#define URLS_MAX ((TR_URL_MAX + 1) * TR_SERVERS_MAX)
#define PEERS_OPEN 8 /* connections to other agents that are kept */
#define HEADERS_MAX 8

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)
static const struct tr_field errand_fields[] = {
	F(tr_errand, method, TEXT, 8, 0),	F(tr_errand, path, TEXT, 1024, 0),
	F(tr_errand, url, TEXT, TR_URL_MAX, 0), F(tr_errand, spiffe, TEXT, 512, 0),
	F(tr_errand, content_type, TEXT, 64, 0), F(tr_errand, body, BYTES, TR_ERRAND_BODY_MAX, 0),
	F(tr_errand, headers, TEXT, 4096, 0),	F(tr_errand, timeout_ms, U64, 0, 0),
};
static TR_RECORD(errand_def, tr_errand, errand_fields);
static const struct tr_field answer_fields[] = {
	F(tr_errand_answer, code, U64, 0, 0),
	F(tr_errand_answer, why, TEXT, 1024, 0),
	F(tr_errand_answer, status, U64, 0, 0),
	F(tr_errand_answer, retry_after_s, U64, 0, 0),
	F(tr_errand_answer, body, BYTES, TR_ERRAND_ANSWER_MAX, 0),
	F(tr_errand_answer, peer_key, BYTES, 32, 0),
};
static TR_RECORD(answer_def, tr_errand_answer, answer_fields);

/* ---- the courier ---- */

struct open_peer {
	char url[TR_URL_MAX + 1], spiffe[513];
	struct tr_client *client;
	uint64_t used_ms;
};

struct run {
	const struct tr_courier_in *in;
	struct tr_client *hub;
	char hub_url[TR_URL_MAX + 1];
	struct open_peer peers[PEERS_OPEN];
};

static TR_RC open_client(const struct run *r, const char *url, const char *spiffe, struct tr_client **ret, struct tr_err *err)
{
	const struct tr_client_config c = {
		.base_url = url,
		.ca_pem = r->in->ca_pem,
		.cert_pem = r->in->cert_pem,
		.key_pem = r->in->key_pem,
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_ERRAND_ANSWER_MAX,
		.spiffe = spiffe,
	};

	return tr_client_new(&c, ret, err);
}

/* The connection to that agent, in the place of the one that was used the longest time ago. */
static TR_RC peer_client(struct run *r, struct tr_view url, struct tr_view spiffe, struct tr_client **ret, struct tr_err *err)
{
	struct open_peer *p = &r->peers[0];

	for (size_t i = 0; i < PEERS_OPEN; i++) {
		struct open_peer *o = &r->peers[i];

		if (o->client && tr_view_is(url, o->url) && tr_view_is(spiffe, o->spiffe)) {
			p = o;
			break;
		}
		if (o->used_ms < p->used_ms)
			p = o;
	}
	if (!p->client || !tr_view_is(url, p->url) || !tr_view_is(spiffe, p->spiffe)) {
		p->client = tr_client_free(p->client);
		(void)snprintf(p->url, sizeof(p->url), "%.*s", TR_VIEW_FMT(url));
		(void)snprintf(p->spiffe, sizeof(p->spiffe), "%.*s", TR_VIEW_FMT(spiffe));
		if (open_client(r, p->url, p->spiffe, &p->client, err))
			return err->code;
	}
	p->used_ms = tr_mono_ms();
	*ret = p->client;
	return TR_OK;
}

/* The server that answered last, then the others in their order. */
static TR_RC do_hub(struct run *r, const struct tr_client_request *q, struct tr_client_answer *a, struct tr_err *err)
{
	struct tr_view list = r->in->servers;
	char url[TR_URL_MAX + 1];
	enum tr_code rc = tr_err_set(err, TR_E_UNAVAIL, "no server is configured", "servers");

	if (r->hub) {
		rc = tr_client_do(r->hub, q, a, err);
		if (!rc)
			return TR_OK;
		r->hub = tr_client_free(r->hub);
	}
	while (tr_servers_next(&list, url)) {
		if (open_client(r, url, NULL, &r->hub, err))
			return err->code;
		rc = tr_client_do(r->hub, q, a, err);
		if (!rc)
			return TR_OK;
		r->hub = tr_client_free(r->hub);
	}
	return rc;
}

static void run_errand(struct run *r, const struct tr_errand *e, struct tr_errand_answer *ret, struct tr_client_answer *a,
		       uint8_t key[32], struct tr_err *err)
{
	char method[9], path[1025], type[65], lines[4097];
	const char *headers[HEADERS_MAX + 1] = { 0 };
	struct tr_client_request q = { .method = method, .path = path, .body = e->body, .timeout_ms = (unsigned)e->timeout_ms };
	struct tr_client *peer = NULL;
	size_t n = 0;

	(void)snprintf(method, sizeof(method), "%.*s", TR_VIEW_FMT(e->method));
	(void)snprintf(path, sizeof(path), "%.*s", TR_VIEW_FMT(e->path));
	(void)snprintf(type, sizeof(type), "%.*s", TR_VIEW_FMT(e->content_type));
	(void)snprintf(lines, sizeof(lines), "%.*s", TR_VIEW_FMT(e->headers));
	for (char *l = lines, *end; n < HEADERS_MAX && (end = strchr(l, '\n')); l = end + 1) {
		*end = 0;
		headers[n++] = l;
	}
	q.headers = headers;
	q.content_type = e->content_type.n ? type : NULL;
	if (!e->url.n)
		ret->code = do_hub(r, &q, a, err);
	else if (!(ret->code = peer_client(r, e->url, e->spiffe, &peer, err)))
		ret->code = tr_client_do(peer, &q, a, err);
	if (ret->code) {
		ret->why = tr_view_str(err->pub);
		return;
	}
	ret->status = (uint64_t)a->status;
	ret->retry_after_s = a->retry_after_s;
	ret->body = tr_buf_view(&a->body);
	if (peer && tr_client_peer_key_id(peer, key))
		ret->peer_key = tr_view(key, 32);
}

/* Blocking: there is nothing else to do meanwhile. False: the peer is gone. */
static bool read_all(int fd, uint8_t *p, size_t n)
{
	while (n) {
		ssize_t got = read(fd, p, n);
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		if (got < 0) {
			(void)poll(&wait, 1, -1);
			continue;
		}
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static bool write_all(int fd, struct tr_view v)
{
	while (v.n) {
		ssize_t put = write(fd, v.p, v.n);
		struct pollfd wait = { .fd = fd, .events = POLLOUT };

		if (put < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (put < 0) {
			(void)poll(&wait, 1, -1);
			continue;
		}
		v = tr_view(v.p + put, v.n - (size_t)put);
	}
	return true;
}

static const struct tr_frame_rule courier_rules[TR_FRAME_TYPE_MAX] = { [M_ERRAND] = { NULL, TR_ERRAND_BODY_MAX + 16384 } };

static bool one_errand(struct run *r)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, out = TR_BUF_INIT, rec = TR_BUF_INIT;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_errand_answer answer = { 0 };
	uint8_t head[TR_FRAME_HEAD], key[32], *body;
	struct tr_errand e;
	uint32_t n;
	uint64_t id;
	struct tr_err err = { 0 };

	/* Little endian on both sides of a fork. */
	if (!read_all(r->in->fd, head, sizeof(head)))
		return false;
	memcpy(&n, head, sizeof(n));
	memcpy(&id, head + 8, sizeof(id));
	if (n > courier_rules[M_ERRAND].max || !(body = tr_buf_space(&in, n + 1)) || !read_all(r->in->fd, body, n) ||
	    tr_record_decode(&errand_def, tr_view(body, n), &e, &err))
		return false;
	run_errand(r, &e, &answer, &a, key, &err);
	tr_record_encode(&answer_def, &answer, &rec);
	if (!tr_buf_ok(&rec))
		return false;
	tr_frame_head(head, M_ANSWER, id, (uint32_t)rec.n);
	tr_buf_add(&out, head, sizeof(head));
	tr_buf_addv(&out, tr_buf_view(&rec));
	return tr_buf_ok(&out) && write_all(r->in->fd, tr_buf_view(&out));
}

void tr_courier_run(const struct tr_courier_in *in)
{
	static struct run r;

	r.in = in;
	tr_log_init(in->name, TR_LOG_INFO);
	/* Names are resolved through files of the system; of the agent's folder nothing is in reach. */
	(void)tr_sandbox_landlock_egress();
	while (one_errand(&r))
		;
	_exit(0);
}

/* ---- the peer's end ---- */

struct waiting {
	uint64_t id; /* 0: free */
	tr_errand_fn done;
	void *arg;
};

struct tr_courier {
	struct tr_chan *chan;
	void (*end)(void *arg);
	void *arg;
	uint64_t last;
	struct waiting waiting[TR_ERRANDS_MAX];
};

static void on_answer(void *arg, struct tr_chan *chan, const struct tr_frame *f)
{
	struct tr_courier *c = arg;
	struct tr_errand_answer a;
	struct tr_err err = { 0 };

	(void)chan;
	for (size_t i = 0; i < TR_ERRANDS_MAX; i++) {
		struct waiting w = c->waiting[i];

		if (!w.id || w.id != f->id)
			continue;
		c->waiting[i].id = 0;
		if (tr_record_decode(&answer_def, f->payload, &a, &err))
			a = (struct tr_errand_answer){ .code = TR_E_INTERNAL, .why = TR_VIEW_LIT("the courier was not understood") };
		if (w.done)
			w.done(w.arg, &a);
		return;
	}
}

static const struct tr_frame_rule peer_rules[TR_FRAME_TYPE_MAX] = { [M_ANSWER] = { on_answer, TR_ERRAND_ANSWER_MAX + 16384 } };

static void on_end(void *arg, struct tr_chan *chan, const char *why)
{
	struct tr_courier *c = arg;

	(void)chan;
	tr_log(TR_LOG_ERROR, "courier_ended", "why", why, NULL);
	for (size_t i = 0; i < TR_ERRANDS_MAX; i++) {
		const struct tr_errand_answer a = { .code = TR_E_UNAVAIL, .why = TR_VIEW_LIT("the courier process ended; try again") };
		struct waiting w = c->waiting[i];

		c->waiting[i].id = 0;
		if (w.id && w.done)
			w.done(w.arg, &a);
	}
	c->end(c->arg);
}

TR_RC tr_courier_new(struct tr_loop *loop, int fd, void (*end)(void *arg), void *arg, struct tr_courier **ret,
		     struct tr_err *err)
{
	tr_auto(tr_courier_free) struct tr_courier *c = calloc(1, sizeof(*c));

	if (!c)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "courier");
	c->end = end;
	c->arg = arg;
	if (tr_chan_new(loop, fd, peer_rules, on_end, c, &c->chan, err))
		return tr_err_wrap(err, "courier");
	*ret = TR_TAKE(c);
	return TR_OK;
}

struct tr_courier *tr_courier_free(struct tr_courier *c)
{
	if (c) {
		(void)tr_chan_free(c->chan);
		free(c);
	}
	return NULL;
}

TR_RC tr_courier_send(struct tr_courier *c, const struct tr_errand *e, tr_errand_fn done, void *arg, struct tr_err *err)
{
	for (size_t i = 0; i < TR_ERRANDS_MAX; i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		if (c->waiting[i].id)
			continue;
		tr_record_encode(&errand_def, e, &b);
		if (!tr_buf_ok(&b))
			return tr_err_set(err, TR_E_INVALID, "the request is too long", "errand %.*s", TR_VIEW_FMT(e->path));
		c->waiting[i] = (struct waiting){ ++c->last, done, arg };
		tr_chan_send(c->chan, M_ERRAND, c->last, tr_buf_view(&b));
		return TR_OK;
	}
	return tr_err_set(err, TR_E_BUSY, "too many requests are under way; try again", "courier");
}
