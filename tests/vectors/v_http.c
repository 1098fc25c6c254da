/* SPDX-License-Identifier: Apache-2.0 */
/* llhttp's Markdown cases, over the wire: the product's own server in a child process, TLS, raw bytes.
 *
 * A case is what was sent and the log of llhttp's events. What matters here: how many requests a handler saw, which
 * (method, target, body), and whether the rest was refused. One request more than the vector has, or another body, is
 * smuggling. Where HTTP/1.1 requests of a case have no Host, one is added (at the offset where the log says that the
 * version is complete): else every case would only show that Host is required. */
#include "vectors.h"

#include "base/clock.h"
#include "codec/pem.h"
#include "crypto/x509.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SEEN_MAX 16
#define BODY_MAX 65536
#define QUIET_MS 40  /* nothing comes any more */
#define SLOW_MS 800  /* the same, for the second look */
#define ADDED "\r\nHost: vectors"

struct seen_request {
	char method[64], target[8192];
	uint8_t body[BODY_MAX];
	size_t body_n;
};

static struct seen {
	volatile unsigned n;
	struct seen_request r[SEEN_MAX];
} *seen;

static pid_t server = -1;
static unsigned port;

/* ---- the server ---- */

static void *on_open(void *arg, struct tr_view der, struct tr_view exporter, const char *source)
{
	(void)arg;
	(void)der;
	(void)exporter;
	(void)source;
	return NULL;
}

static void on_close(void *arg, void *conn)
{
	(void)arg;
	(void)conn;
}

static int64_t on_head(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h)
{
	(void)arg;
	(void)conn;
	(void)r;
	(void)h;
	return BODY_MAX;
}

static void on_request(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body)
{
	(void)arg;
	(void)conn;
	if (seen->n < SEEN_MAX) {
		struct seen_request *s = &seen->r[seen->n];

		(void)snprintf(s->method, sizeof(s->method), "%.*s", TR_VIEW_FMT(h->method));
		(void)snprintf(s->target, sizeof(s->target), "%.*s%s%.*s", TR_VIEW_FMT(h->path), h->query.n ? "?" : "",
			       (int)h->query.n, h->query.n ? (const char *)h->query.p : "");
		s->body_n = body.n < BODY_MAX ? body.n : BODY_MAX;
		if (s->body_n)
			memcpy(s->body, body.p, s->body_n);
	}
	seen->n++;
	tr_http_respond(r, &(struct tr_http_answer){ .status = 200, .content_type = "text/plain",
						     .body = TR_VIEW_LIT("seen") });
}

static void on_gone(void *arg, struct tr_http_req *r)
{
	(void)arg;
	(void)r;
}

static bool make_identity(struct tr_buf *cert, struct tr_buf *key, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *ca = NULL, *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT, der = TR_BUF_INIT;
	static const char *const names[] = { "127.0.0.1", NULL };
	const int64_t now = tr_now_ms(), hour = 3600000;
	struct tr_cert_spec spec = { .common_name = "vectors CA", .ca = true, .not_before_ms = now - hour,
				     .not_after_ms = now + 2 * hour };

	if (tr_privkey_generate(TR_KEY_P256, &ca, err) || tr_privkey_generate(TR_KEY_P256, &k, err))
		return false;
	spec.spki = tr_pubkey_spki(tr_privkey_pub(ca));
	if (tr_cert_issue(ca, (struct tr_view){ 0 }, &spec, &ca_der, err))
		return false;
	spec.ca = false;
	spec.common_name = "vectors";
	spec.not_after_ms = now + hour;
	spec.server_auth = true;
	spec.dns = names;
	spec.spki = tr_pubkey_spki(tr_privkey_pub(k));
	if (tr_cert_issue(ca, tr_buf_view(&ca_der), &spec, &der, err) || tr_privkey_pem(k, key, err))
		return false;
	tr_pem_add(cert, "CERTIFICATE", tr_buf_view(&der));
	return tr_buf_check(cert, err) == TR_OK;
}

static void serve(int fd, const struct tr_buf *cert, const struct tr_buf *key)
{
	static const struct tr_http_ops ops = { .conn_open = on_open, .conn_close = on_close, .head = on_head,
						.request = on_request, .gone = on_gone };
	struct tr_http_config c = {
		.listen_fd = fd,
		.cert_pem = tr_buf_view(cert),
		.key_pem = tr_buf_view(key),
		.limits = { .pool = 32768, .connections = 64, .headers = 64, .idle_s = 10, .header_s = 5, .body_s = 5 },
		.ops = &ops,
	};
	struct tr_loop *loop;
	struct tr_http *http;
	struct tr_err err;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tr_loop_new(&loop, &err) || tr_http_new(loop, &c, &http, &err)) {
		(void)fprintf(stderr, "vectors: HTTP server: %s\n", err.detail);
		_exit(9);
	}
	tr_loop_run(loop);
	_exit(0);
}

static void stop_server(void)
{
	if (server > 0) {
		(void)kill(server, SIGKILL);
		(void)waitpid(server, NULL, 0);
		server = -1;
	}
}

/* Once per run; the child inherits the listening socket and dies with us. */
static bool start_server(void)
{
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT, key = TR_BUF_INIT;
	static bool tried;
	struct tr_err err;
	int fd;

	if (tried)
		return server > 0;
	tried = true;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || tr_http_server_init(&err) || !make_identity(&cert, &key, &err) ||
	    tr_listen("127.0.0.1:0", &fd, &port, &err)) {
		(void)fprintf(stderr, "vectors: no HTTP server: %s\n", seen == MAP_FAILED ? "mmap" : err.detail);
		return false;
	}
	(void)fflush(stdout);
	server = fork();
	if (server == 0)
		serve(fd, &cert, &key);
	(void)close(fd);
	(void)atexit(stop_server);
	return server > 0;
}

/* ---- the client ---- */

struct outcome {
	unsigned requests;
	int refusal;	   /* status of the first answer that is no 2xx; 0: none */
	bool closed;	   /* the server ended the connection */
	char detail[200];  /* of the problem document, or "" */
	bool failed;	   /* no connection: nothing can be said */
};

static void recv_more(gnutls_session_t s, int fd, int ms, struct tr_buf *ret, bool *closed)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	uint64_t end = tr_mono_ms() + (uint64_t)ms;
	uint8_t buf[16384];

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	while (!*closed) {
		ssize_t n = gnutls_record_recv(s, buf, sizeof(buf));

		if (n > 0) {
			tr_buf_add(ret, buf, (size_t)n);
			end = tr_mono_ms() + (uint64_t)ms;
		} else if (n == 0 || (n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED && gnutls_error_is_fatal((int)n))) {
			*closed = true;
		} else if (tr_mono_ms() + 2 >= end) {
			return; /* a session ticket on its way is "again" too */
		}
	}
}

/* Walks the answers; the k-th belongs to the k-th request that was seen, until one refuses. */
static void read_answers(struct tr_view in, struct outcome *o)
{
	for (unsigned k = 0; in.n; k++) {
		const char *text = (const char *)in.p;
		const char *end = memmem(text, in.n, "\r\n\r\n", 4), *len;
		size_t head, body = 0;
		int status;

		if (!end || in.n < 13 || memcmp(text, "HTTP/1.", 7) != 0)
			return;
		status = (int)strtol(text + 9, NULL, 10);
		head = (size_t)(end - text) + 4;
		len = memmem(text, head, "Content-Length: ", 16);
		if (len)
			body = strtoul(len + 16, NULL, 10);
		if (status == 100)
			k--;
		if (k < seen->n && k < SEEN_MAX && strcmp(seen->r[k].method, "HEAD") == 0)
			body = 0;
		if (body > in.n - head)
			body = in.n - head;
		if (status >= 300) {
			const char *d = memmem(text + head, body, "\"detail\":\"", 10);

			o->refusal = status;
			if (d)
				(void)snprintf(o->detail, sizeof(o->detail), "%.*s",
					       (int)strcspn(d + 10, "\""), d + 10);
			return;
		}
		in = tr_view(in.p + head + body, in.n - head - body);
	}
}

static void exchange(struct tr_view raw, int quiet_ms, struct outcome *o)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	tr_auto(tr_buf_done) struct tr_buf answer = TR_BUF_INIT;
	gnutls_certificate_credentials_t cred = NULL;
	gnutls_session_t s = NULL;
	struct timeval tv = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	*o = (struct outcome){ .failed = true };
	seen->n = 0;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0 ||
	    connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) < 0 ||
	    gnutls_certificate_allocate_credentials(&cred) < 0)
		goto out;
	(void)gnutls_set_default_priority(s);
	(void)gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_transport_set_int(s, fd);
	do
		rc = gnutls_handshake(s);
	while (rc < 0 && !gnutls_error_is_fatal(rc) && rc != GNUTLS_E_AGAIN);
	if (rc < 0)
		goto out;
	o->failed = false;
	for (size_t at = 0; at < raw.n;) {
		ssize_t n = gnutls_record_send(s, raw.p + at, raw.n - at);

		if (n < 0 && gnutls_error_is_fatal((int)n))
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	recv_more(s, fd, quiet_ms, &answer, &o->closed);
	/* Our end of the stream: what is unfinished now stays so. */
	if (!o->closed) {
		bool closed = false;

		(void)gnutls_bye(s, GNUTLS_SHUT_WR);
		(void)shutdown(fd, SHUT_WR);
		recv_more(s, fd, quiet_ms * 2, &answer, &closed);
	}
	o->requests = seen->n;
	read_answers(tr_buf_view(&answer), o);
out:
	if (s)
		gnutls_deinit(s);
	if (cred)
		gnutls_certificate_free_credentials(cred);
	(void)tr_close(fd);
}

/* ---- a case ---- */

struct message { /* what llhttp saw of a request */
	char method[64], target[8192];
	uint8_t body[BODY_MAX];
	size_t body_n;
	char protocol[24]; /* name and version */
	size_t url_end;
	size_t version_end; /* offset of the line end after the version; 0: never came to it */
	bool host, complete;
};

struct expected {
	struct message m[SEEN_MAX];
	unsigned begun, complete;
	bool error, upgrade;
	char reason[120];
};

static uint8_t hex1(uint8_t c)
{
	return (uint8_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

/* How llhttp's own test reads a fence: a backslash at the end joins lines, line ends are CRLF, then \r \n \t \f \xHH. */
static void unescape(struct tr_view in, struct tr_buf *ret)
{
	size_t i = 0;

	if (in.n && in.p[in.n - 1] == '\n')
		in.n--;
	while (i < in.n) {
		uint8_t c = in.p[i], d = i + 1 < in.n ? in.p[i + 1] : 0;

		if (c == '\\' && d == '\n') {
			i += 2;
		} else if (c == '\n') {
			tr_buf_adds(ret, "\r\n");
			i++;
		} else if (c == '\\' && d && strchr("rntf", d)) {
			tr_buf_add8(ret, (uint8_t)(d == 'r' ? '\r' : d == 'n' ? '\n' : d == 't' ? '\t' : '\f'));
			i += 2;
		} else if (c == '\\' && d == 'x' && i + 3 < in.n && strspn((const char *)in.p + i + 2, "0123456789abcdefABCDEF") >= 2) {
			tr_buf_add8(ret, (uint8_t)(hex1(in.p[i + 2]) << 4 | hex1(in.p[i + 3])));
			i += 4;
		} else {
			tr_buf_add8(ret, c);
			i++;
		}
	}
}

static bool next_line(struct tr_view *text, struct tr_view *ret)
{
	const uint8_t *nl;

	if (!text->n)
		return false;
	nl = memchr(text->p, '\n', text->n);
	*ret = tr_view(text->p, nl ? (size_t)(nl - text->p) + 1 : text->n);
	*text = tr_view(text->p + ret->n, text->n - ret->n);
	return true;
}

static void add_text(char *text, size_t cap, struct tr_view bytes)
{
	size_t n = strlen(text);

	(void)snprintf(text + n, cap - n, "%.*s", TR_VIEW_FMT(bytes));
}

/* The bytes of a span are taken from what was sent: the log escapes them in its own way. */
static void take_span(struct message *m, const char *what, struct tr_view bytes)
{
	if (strncmp(what, "span[method]", 12) == 0) {
		add_text(m->method, sizeof(m->method), bytes);
	} else if (strncmp(what, "span[url]", 9) == 0) {
		add_text(m->target, sizeof(m->target), bytes);
	} else if (strncmp(what, "span[protocol]", 14) == 0 || strncmp(what, "span[version]", 13) == 0) {
		add_text(m->protocol, sizeof(m->protocol), bytes);
	} else if (strncmp(what, "span[body]", 10) == 0) {
		size_t n = bytes.n < BODY_MAX - m->body_n ? bytes.n : BODY_MAX - m->body_n;

		if (n)
			memcpy(m->body + m->body_n, bytes.p, n);
		m->body_n += n;
	} else if (strncmp(what, "span[header_field]", 18) == 0) {
		m->host = m->host || (bytes.n == 4 && strncasecmp((const char *)bytes.p, "host", 4) == 0);
	}
}

/* Older logs have no "version complete": then it is the line end after the target. */
static void find_version_end(struct message *m, struct tr_view sent, size_t before)
{
	const uint8_t *end;

	if (m->version_end || !m->url_end || before > sent.n || before < m->url_end)
		return;
	end = memmem(sent.p + m->url_end, before - m->url_end, "\r\n", 2);
	m->version_end = end ? (size_t)(end - sent.p) : 0;
}

/* "off=4 len=4 span[url]="/url"", "off=17 version complete", "off=45 error code=4 reason="…"" */
static void read_log(struct tr_view log, struct tr_buf *sent, struct expected *e)
{
	struct tr_view text;

	memset(e, 0, sizeof(*e));
	while (next_line(&log, &text)) {
		struct message *m = e->begun && e->begun <= SEEN_MAX ? &e->m[e->begun - 1] : NULL;
		size_t off = 0, len = 0;
		char line[512];
		const char *what;

		(void)snprintf(line, sizeof(line), "%.*s", TR_VIEW_FMT(text));
		line[strcspn(line, "\n")] = '\0';
		what = strchr(line, ' ');
		if (strncmp(line, "off=", 4) != 0 || !what)
			continue;
		off = strtoul(line + 4, NULL, 10);
		what++;
		if (strncmp(what, "len=", 4) == 0) {
			len = strtoul(what + 4, NULL, 10);
			what = strchr(what, ' ') ? strchr(what, ' ') + 1 : what;
			if (!m || off > sent->n || len > sent->n - off)
				continue;
			take_span(m, what, tr_view(sent->p + off, len));
			if (strncmp(what, "span[url]", 9) == 0)
				m->url_end = off + len;
			else if (strncmp(what, "span[header_field]", 18) == 0)
				find_version_end(m, tr_buf_view(sent), off);
		} else if (strcmp(what, "message begin") == 0) {
			e->begun++;
		} else if (m && strcmp(what, "version complete") == 0) {
			m->version_end = off;
		} else if (m && strncmp(what, "headers complete", 16) == 0) {
			/* "v=0/9": a request without a version, as before HTTP/1.0. */
			if (strstr(what, " v=0/9 "))
				(void)snprintf(m->protocol, sizeof(m->protocol), "HTTP0.9");
			find_version_end(m, tr_buf_view(sent), off);
		} else if (m && strcmp(what, "message complete") == 0) {
			if (!m->complete)
				e->complete++;
			m->complete = true;
		} else if (strncmp(what, "error code=", 11) == 0) {
			const char *reason = strstr(what, "reason=\"");
			unsigned long code = strtoul(what + 11, NULL, 10);

			/* 21 and 22: llhttp hands over to its user. What follows is another protocol's. */
			if (code == 22 && off <= sent->n) {
				e->upgrade = true;
				sent->n = off;
			} else if (code != 21) {
				e->error = true;
			}
			(void)snprintf(e->reason, sizeof(e->reason), "%s", reason ? reason + 8 : "");
			e->reason[strcspn(e->reason, "\"")] = '\0';
		}
	}
}

/* A log that ends in an error may never come to the version: the first line is then looked at itself. */
static void first_line(struct tr_view in, struct message *m)
{
	const uint8_t *end = in.n ? memmem(in.p, in.n, "\r\n", 2) : NULL;
	size_t n = end ? (size_t)(end - in.p) : 0;

	if (m->version_end == 0 && n > 9 && memcmp(end - 9, " HTTP/1.1", 9) == 0 && !has_text(in, "\r\nHost:"))
		m->version_end = n;
}

/* The bytes as sent, with a Host in every request that came to its version and has none. */
static void add_hosts(struct tr_view in, const struct expected *e, struct tr_buf *ret)
{
	size_t at = 0;

	for (unsigned i = 0; i < e->begun && i < SEEN_MAX; i++) {
		const struct message *m = &e->m[i];

		if (m->host || m->version_end < at || m->version_end == 0 || m->version_end > in.n)
			continue;
		tr_buf_add(ret, in.p + at, m->version_end - at);
		tr_buf_adds(ret, ADDED);
		at = m->version_end;
	}
	if (at < in.n)
		tr_buf_add(ret, in.p + at, in.n - at);
}

static const struct reason http_rules[] = {
	{ "Transfer-Encoding is not accepted", "http-no-transfer-encoding" },
	{ "request target must be a path", "http-origin-form" },
	{ "only HTTP/1.1 and HTTP/1.0", "http-version" },
	{ "Host header is missing", "http-host" },
	{ "more than one Host", "http-host" },
	{ "header name is not a token", "http-header" },
	{ "a header value holds", "http-header" },
	{ "line of the head does not end in CRLF", "http-line-end" },
	{ "too many header lines", "http-limits" },
	{ "body is larger", "http-limits" },
};

/* Line ends that only some parsers take for one, and folded lines; looked for in the head. */
static const char *line_shape(struct tr_view raw)
{
	const char *rule = NULL;

	for (size_t i = 0; i < raw.n; i++) {
		uint8_t before = i ? raw.p[i - 1] : 0, after = i + 1 < raw.n ? raw.p[i + 1] : 0;

		if ((raw.p[i] == '\n' && before != '\r') || (raw.p[i] == '\r' && after != '\n'))
			return "http-line-end";
		if (raw.p[i] == '\n' && (after == ' ' || after == '\t'))
			rule = "http-obs-fold";
	}
	return rule;
}

static bool is_http_1(const char *protocol)
{
	return strcmp(protocol, "HTTP1.1") == 0 || strcmp(protocol, "HTTP1.0") == 0 || strcmp(protocol, "1.1") == 0 ||
	       strcmp(protocol, "1.0") == 0 || !protocol[0];
}

static bool same_request(const struct seen_request *got, const struct message *want)
{
	/* Older logs have no methods. */
	return (!want->method[0] || strcmp(got->method, want->method) == 0) && strcmp(got->target, want->target) == 0 &&
	       got->body_n == want->body_n && memcmp(got->body, want->body, got->body_n) == 0;
}

struct http_case {
	struct set *set;
	const char *id;
	bool lenient;
	struct tr_view raw; /* as sent */
	const struct expected *e;
};

/* True when the case ended clearly. Else it gets a second, slower look: the machine may be busy, and a request that is
 * seen late would pass for one that was refused. */
static bool well(const struct http_case *c, const struct outcome *o)
{
	if (o->failed || o->requests > c->e->complete)
		return false;
	if (o->requests < c->e->complete)
		return o->refusal && o->closed;
	return c->e->error ? o->refusal || o->closed : !o->refusal && o->requests > 0;
}

static void judge_http(const struct http_case *c, const struct outcome *o)
{
	const struct expected *e = c->e;
	const char *rule = rule_for(http_rules, TR_ARRAY_LEN(http_rules), o->detail), *shape = line_shape(c->raw);
	enum want want = c->lenient ? MAY_ACCEPT : MUST_ACCEPT;
	char why[320];

	(void)snprintf(why, sizeof(why), "%d %s", o->refusal, o->detail[0] ? o->detail : "by the HTTP library");
	if (o->failed) {
		disagree(c->set, c->id, "no connection to the product's server");
		return;
	}
	for (unsigned i = 0; i < o->requests && i < e->complete && i < SEEN_MAX; i++) {
		if (!same_request(&seen->r[i], &e->m[i])) {
			disagree(c->set, c->id, "request %u was read as %s %s with %zu bytes of body, not %s %s with %zu", i + 1,
				 seen->r[i].method, seen->r[i].target, seen->r[i].body_n, e->m[i].method, e->m[i].target,
				 e->m[i].body_n);
			return;
		}
	}
	if (o->requests > e->complete + 1) {
		disagree(c->set, c->id, "%u requests were seen, the vector has %u", o->requests, e->complete);
	} else if (o->requests > e->complete) {
		/* One more than the vector has: only where llhttp's list of methods is the reason. */
		(void)snprintf(why, sizeof(why), "llhttp: %s", e->reason[0] ? e->reason : "not complete");
		judge(c->set, c->id, MUST_REFUSE, true, strstr(e->reason, "method") ? "http-method" : NULL, why);
	} else if (o->requests < e->complete) {
		if (!o->refusal && o->closed)
			(void)snprintf(why, sizeof(why), "closed without an answer");
		if (!rule && o->requests < SEEN_MAX && !is_http_1(e->m[o->requests].protocol))
			rule = "http-version";
		if (shape && strcmp(shape, "http-obs-fold") == 0 && (!rule || strcmp(rule, "http-header") == 0))
			rule = "http-obs-fold";
		if (!rule && shape && (o->refusal || o->closed))
			rule = "http-line-end";
		if (!rule && c->lenient)
			rule = "http-lenient";
		judge(c->set, c->id, want, false, rule, why);
	} else {
		agree(c->set);
	}
}

static void run_case(struct set *s, const char *id, const char *type, struct tr_view fence, struct tr_view log)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, raw = TR_BUF_INIT;
	static struct expected e;
	struct http_case c = { .set = s, .id = id, .lenient = strstr(type, "lenient") != NULL, .e = &e };
	struct outcome o;

	if (strncmp(type, "response", 8) == 0) {
		skip(s, 1, "a response: the product reads responses through libcurl only");
		return;
	}
	if (strstr(type, "skipBody") || strstr(type, "pause")) {
		skip(s, 1, "a switch of llhttp's own interface");
		return;
	}
	if (strcmp(type, "url") == 0) {
		/* A request target by itself: put into a request. */
		tr_buf_adds(&in, "GET ");
		unescape(fence, &in);
		memset(&e, 0, sizeof(e));
		e.begun = 1;
		e.error = has_text(log, "error code=");
		e.complete = !e.error;
		e.m[0].complete = true;
		(void)snprintf(e.m[0].method, sizeof(e.m[0].method), "GET");
		(void)snprintf(e.m[0].target, sizeof(e.m[0].target), "%.*s", (int)(in.n - 4), (const char *)in.p + 4);
		tr_buf_adds(&in, " HTTP/1.1" ADDED "\r\n\r\n");
		tr_buf_addv(&raw, tr_buf_view(&in));
	} else {
		unescape(fence, &in);
		read_log(log, &in, &e);
		first_line(tr_buf_view(&in), &e.m[0]);
		add_hosts(tr_buf_view(&in), &e, &raw);
	}
	if (!tr_buf_ok(&raw) || !start_server()) {
		disagree(s, id, "the product's server could not be started");
		return;
	}
	c.raw = tr_buf_view(&raw);
	exchange(c.raw, QUIET_MS, &o);
	if (!well(&c, &o))
		exchange(c.raw, SLOW_MS, &o);
	judge_http(&c, &o);
}

/* ---- Markdown ---- */

/* Up to the closing fence, which is taken too. */
static struct tr_view fence_body(struct tr_view *text)
{
	struct tr_view line, body = tr_view(text->p, 0);

	while (next_line(text, &line) && !tr_view_starts(line, "```"))
		body.n += line.n;
	return body;
}

bool http_cases(struct run *r, const struct item *it)
{
	struct tr_view text = tr_buf_view(&it->bytes), line, input = { 0 };
	char title[200] = "", type[300] = "", kind[300] = "", id[512];
	struct set *s;

	if (!has_text(text, "```log\n") || !(has_text(text, "```http\n") || has_text(text, "```url\n")))
		return false;
	s = set_of(r, it, "llhttp, over TLS", false);
	while (next_line(&text, &line)) {
		if (line.p[0] == '#') {
			size_t skip_n = 0;

			while (skip_n < line.n && strchr("# ", line.p[skip_n]))
				skip_n++;
			(void)snprintf(title, sizeof(title), "%.*s", (int)(line.n - skip_n - (line.p[line.n - 1] == '\n')),
				       (const char *)line.p + skip_n);
		} else if (tr_view_starts(line, "<!-- meta=")) {
			/* {"type": "request", "noScan": true}: the type, then whatever else is in it. */
			const char *t = memmem(line.p, line.n, "\"type\"", 6), *end = (const char *)line.p + line.n;

			t = t ? memchr(t + 6, '"', (size_t)(end - t - 6)) : NULL;
			(void)snprintf(type, sizeof(type), "%.*s", t ? (int)(end - t - 1) : (int)line.n,
				       t ? t + 1 : (const char *)line.p);
		} else if (tr_view_is(line, "```http\n")) {
			input = fence_body(&text);
			(void)snprintf(kind, sizeof(kind), "%s", type);
		} else if (tr_view_is(line, "```url\n")) {
			input = fence_body(&text);
			(void)snprintf(kind, sizeof(kind), "url");
		} else if (tr_view_is(line, "```log\n")) {
			struct tr_view log = fence_body(&text);

			if (input.p) {
				(void)snprintf(id, sizeof(id), "%s", title);
				run_case(s, id, kind, input, log);
			}
			input = (struct tr_view){ 0 };
		}
	}
	return true;
}
