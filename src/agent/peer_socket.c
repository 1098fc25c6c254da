/* SPDX-License-Identifier: Apache-2.0 */
/* The interface for applications on this host: HTTP/1.1 on a Unix socket of mode 0660, one request per connection. Whoever
 * may open the socket may send and read as this agent. */
#include "agent/peer_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/strict.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define CALLS_MAX 64
#define HEAD_MAX 8192
#define BODY_MAX 131072 /* 64 KiB as base64, and what is around it */
#define READ_MS 10000
#define WRITE_MS 10000
#define HEADERS_MAX 64

enum phase { READING, WORKING, WAITING, WRITING };

struct tr_call {
	struct tr_call *next;
	struct tr_local *l;
	int fd;
	struct tr_watch *in, *out;
	enum phase phase;
	struct tr_buf buf;	/* what came, then what goes */
	size_t head_n, written;
	uint64_t body_n, until_ms, limit;
	struct tr_call_in parsed;
	unsigned owners;	/* besides the connection */
	bool gone;
};

struct tr_local {
	struct tr_peer *p;
	int fd;
	struct tr_watch *in;
	struct tr_call *calls;
	unsigned n;
};

static void call_free(struct tr_call *c)
{
	tr_wipe(c->buf.p, c->buf.n);
	tr_buf_done(&c->buf);
	free(c);
}

/* The connection ends; who still works for it finds out by tr_call_release. */
static void hang_up(struct tr_call *c)
{
	for (struct tr_call **at = &c->l->calls; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	c->l->n--;
	c->in = tr_watch_free(c->in);
	c->out = tr_watch_free(c->out);
	c->fd = tr_close(c->fd);
	c->gone = true;
	if (!c->owners)
		call_free(c);
}

void tr_call_keep(struct tr_call *c)
{
	c->owners++;
}

bool tr_call_release(struct tr_call *c)
{
	c->owners--;
	if (!c->gone)
		return true;
	if (!c->owners)
		call_free(c);
	return false;
}

/* ---- answering ---- */

static void on_writable(void *arg)
{
	struct tr_call *c = arg;

	while (c->written < c->buf.n) {
		ssize_t n = send(c->fd, c->buf.p + c->written, c->buf.n - c->written, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		c->written += (size_t)n;
	}
	hang_up(c);
}

static void answer(struct tr_call *c, int status, const char *type, struct tr_view body)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;

	tr_buf_addf(&out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
		    "Connection: close\r\n\r\n", status, tr_http_status_title(status), type, body.n);
	tr_buf_addv(&out, body);
	tr_wipe(c->buf.p, c->buf.n);
	tr_buf_done(&c->buf);
	c->buf = out;
	out = TR_BUF_INIT;
	c->phase = WRITING;
	c->written = 0;
	c->until_ms = tr_mono_ms() + WRITE_MS;
	tr_watch_enable(c->in, false);
	tr_watch_enable(c->out, true);
}

void tr_call_answer(struct tr_call *c, int status, const struct tr_buf *json)
{
	if (tr_buf_ok(json))
		answer(c, status, "application/json", tr_buf_view(json));
	else
		tr_call_refuse(c, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
}

void tr_call_refuse(struct tr_call *c, const struct tr_no *no)
{
	const struct tr_problem problem = { .status = no->status, .slug = no->code, .title = tr_http_status_title(no->status),
					    .detail = no->why };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_problem_json(&problem, NULL, &b);
	answer(c, no->status, "application/problem+json", tr_buf_view(&b));
}

void tr_call_wait(struct tr_call *c, uint64_t seconds, uint64_t limit)
{
	c->phase = WAITING;
	c->until_ms = tr_mono_ms() + seconds * 1000;
	c->limit = limit;
}

void tr_local_wake(struct tr_local *l, bool even_nothing)
{
	struct tr_call *next;

	for (struct tr_call *c = l->calls; c; c = next) {
		next = c->next;
		if (c->phase == WAITING)
			tr_peer_api_woken(l->p, c, c->limit, even_nothing);
	}
}

bool tr_local_is_busy(const struct tr_local *l)
{
	return l->calls != NULL;
}

void tr_local_tick(struct tr_local *l)
{
	uint64_t now = tr_mono_ms();
	struct tr_call *next;

	for (struct tr_call *c = l->calls; c; c = next) {
		next = c->next;
		if (c->phase == WORKING || now < c->until_ms)
			continue;
		if (c->phase == WAITING)
			tr_peer_api_woken(l->p, c, c->limit, true);
		else
			hang_up(c);
	}
}

/* ---- reading ---- */

/* Cuts a line that ends in CRLF off the front. */
static bool line_of(struct tr_view *v, struct tr_view *ret)
{
	const uint8_t *lf = memchr(v->p, '\n', v->n);
	size_t n = lf ? (size_t)(lf - v->p) : 0;

	if (!lf || n == 0 || v->p[n - 1] != '\r')
		return false;
	*ret = tr_view(v->p, n - 1);
	*v = tr_view(lf + 1, v->n - n - 1);
	return true;
}

static bool word_of(struct tr_view *line, struct tr_view *ret)
{
	const uint8_t *sp = line->n ? memchr(line->p, ' ', line->n) : NULL;
	size_t n = sp ? (size_t)(sp - line->p) : line->n;

	*ret = tr_view(line->p, n);
	*line = tr_view(line->p + n + (sp != NULL), line->n - n - (sp != NULL));
	return n > 0;
}

static struct tr_view trimmed(struct tr_view v)
{
	while (v.n && (v.p[0] == ' ' || v.p[0] == '\t'))
		v = tr_view(v.p + 1, v.n - 1);
	while (v.n && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	return v;
}

/* The whole head is here. False: it was answered. */
static bool parse_head(struct tr_call *c, struct tr_view head)
{
	struct tr_view line, target, version;
	struct tr_strict s;
	const uint8_t *mark;

	if (!line_of(&head, &line) || !word_of(&line, &c->parsed.method) || !word_of(&line, &target) ||
	    !word_of(&line, &version) || line.n) {
		tr_call_refuse(c, TR_NO(400, "malformed", "this is no HTTP/1.1 request"));
		return false;
	}
	tr_strict_begin(&s, c->parsed.method, target, version, HEADERS_MAX);
	while (head.n > 2 && line_of(&head, &line)) {
		const uint8_t *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
		size_t n = colon ? (size_t)(colon - line.p) : line.n;

		tr_strict_header(&s, tr_view(line.p, n),
				 colon ? trimmed(tr_view(colon + 1, line.n - n - 1)) : tr_view(NULL, 0));
	}
	if (head.n != 2)
		tr_strict_line_end(&s);
	if (!tr_strict_end(&s)) {
		tr_call_refuse(c, TR_NO(s.status, s.slug, s.why));
		return false;
	}
	if (s.content_length > BODY_MAX) {
		tr_call_refuse(c, TR_NO(413, "body_too_large", "a request has at most 131072 bytes"));
		return false;
	}
	c->body_n = s.has_length ? s.content_length : 0;
	mark = memchr(target.p, '?', target.n);
	c->parsed.path = tr_view(target.p, mark ? (size_t)(mark - target.p) : target.n);
	c->parsed.query = mark ? tr_view(mark + 1, target.n - c->parsed.path.n - 1) : tr_view(NULL, 0);
	return true;
}

static void on_complete(struct tr_call *c)
{
	tr_auto(tr_buf_done) struct tr_buf kept = c->buf;
	struct tr_call_in in;

	/* The head moved when the buffer grew: read again, in place. */
	if (!parse_head(c, tr_view(c->buf.p, c->head_n))) {
		kept = TR_BUF_INIT;
		return;
	}
	in = c->parsed;
	in.body = tr_view(c->buf.p + c->head_n, (size_t)c->body_n);
	c->buf = TR_BUF_INIT;
	c->phase = WORKING;
	tr_peer_api(c->l->p, c, &in);
}

static void on_readable(void *arg)
{
	struct tr_call *c = arg;
	uint8_t some[16384];
	ssize_t n = recv(c->fd, some, sizeof(some), 0);
	const uint8_t *end;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	/* Also an application that does not wait for its answer any more. */
	if (n <= 0 || c->phase != READING) {
		if (n <= 0)
			hang_up(c);
		return;
	}
	tr_buf_add(&c->buf, some, (size_t)n);
	if (!tr_buf_ok(&c->buf)) {
		hang_up(c);
		return;
	}
	if (!c->head_n) {
		end = memmem(c->buf.p, c->buf.n, "\r\n\r\n", 4);
		if (!end && c->buf.n > HEAD_MAX)
			tr_call_refuse(c, TR_NO(431, "headers_too_large", "a request's head has at most 8192 bytes"));
		if (!end)
			return;
		c->head_n = (size_t)(end - c->buf.p) + 4;
		if (!parse_head(c, tr_view(c->buf.p, c->head_n)))
			return;
	}
	if (c->buf.n - c->head_n > c->body_n)
		tr_call_refuse(c, TR_NO(400, "malformed", "one request per connection"));
	else if (c->buf.n - c->head_n == c->body_n)
		on_complete(c);
}

static void on_accept(void *arg)
{
	struct tr_local *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct tr_call *c = fd >= 0 && l->n < CALLS_MAX ? calloc(1, sizeof(*c)) : NULL;
	struct tr_err err = { 0 };

	if (!c) {
		(void)tr_close(fd);
		return;
	}
	*c = (struct tr_call){ .l = l, .fd = fd, .until_ms = tr_mono_ms() + READ_MS, .buf = { .max = HEAD_MAX + BODY_MAX + 16384 } };
	if (tr_watch_fd(l->p->loop, fd, TR_WATCH_READ, on_readable, c, &c->in, &err) ||
	    tr_watch_fd(l->p->loop, fd, TR_WATCH_WRITE, on_writable, c, &c->out, &err)) {
		tr_log_err(TR_LOG_ERROR, "local_call_failed", &err, NULL);
		c->in = tr_watch_free(c->in);
		(void)tr_close(fd);
		free(c);
		return;
	}
	tr_watch_enable(c->in, true);
	tr_watch_enable(c->out, false);
	c->next = l->calls;
	l->calls = c;
	l->n++;
}

TR_RC tr_local_new(struct tr_peer *p, int fd, struct tr_local **ret, struct tr_err *err)
{
	struct tr_local *l = calloc(1, sizeof(*l));

	if (!l)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "local interface");
	*l = (struct tr_local){ .p = p, .fd = fd };
	if (tr_watch_fd(p->loop, fd, TR_WATCH_READ, on_accept, l, &l->in, err)) {
		free(l);
		return err->code;
	}
	tr_watch_enable(l->in, true);
	*ret = l;
	return TR_OK;
}
