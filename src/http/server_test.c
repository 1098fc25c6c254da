/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real TLS sockets, with a blocking client that can misbehave. */
#include "http/http_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- a client that can misbehave ---- */

struct peer {
	int fd;
	gnutls_session_t s;
	gnutls_certificate_credentials_t cred;
	char answer[65536];
	size_t n;
	bool closed;
};

static void peer_tcp(struct peer *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval tv = { .tv_sec = 10 };

	memset(p, 0, sizeof(*p));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	(void)setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(p->fd, (struct sockaddr *)&in, sizeof(in)), 0);
}

static void peer_tls_setup_as(struct peer *p, const struct identity *id, const char *priorities, unsigned flags)
{
	ok(gnutls_init(&p->s, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL | flags));
	ok(gnutls_priority_set_direct(p->s, priorities, NULL));
	ok(gnutls_certificate_allocate_credentials(&p->cred));
	if (id) {
		gnutls_x509_crt_t chain[1] = { id->crt };

		ok(gnutls_certificate_set_x509_key(p->cred, chain, 1, id->priv));
	}
	ok(gnutls_credentials_set(p->s, GNUTLS_CRD_CERTIFICATE, p->cred));
	gnutls_transport_set_int(p->s, p->fd);
}

static void peer_tls_setup(struct peer *p, const struct identity *id, const char *priorities)
{
	peer_tls_setup_as(p, id, priorities, 0);
}

static int peer_shake(struct peer *p)
{
	int rc;

	do
		rc = gnutls_handshake(p->s);
	while (rc < 0 && !gnutls_error_is_fatal(rc) && rc != GNUTLS_E_AGAIN);
	return rc;
}

static void peer_open(struct peer *p, const struct identity *id)
{
	peer_tcp(p);
	peer_tls_setup(p, id, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
	ok(peer_shake(p));
}

static void peer_close(struct peer *p)
{
	if (p->s)
		gnutls_deinit(p->s);
	if (p->cred)
		gnutls_certificate_free_credentials(p->cred);
	(void)close(p->fd);
}

static bool peer_send(struct peer *p, const char *text, size_t n)
{
	while (n) {
		ssize_t got = gnutls_record_send(p->s, text, n);

		if (got < 0)
			return false;
		text += got;
		n -= (size_t)got;
	}
	return true;
}

static bool whole(const struct peer *p)
{
	const char *end = strstr(p->answer, "\r\n\r\n");
	const char *len = strcasestr(p->answer, "content-length:");

	if (!end)
		return false;
	if (strncmp(p->answer, "HTTP/1.1 100", 12) == 0)
		return true;
	return !len || p->n >= (size_t)(end - p->answer) + 4 + strtoul(len + 15, NULL, 10);
}

/* Reads one answer; returns its status, 0 when the connection ended before one. */
static int peer_status(struct peer *p)
{
	uint64_t t0 = tr_mono_ms();

	p->n = 0;
	p->answer[0] = '\0';
	while (!whole(p)) {
		ssize_t got = gnutls_record_recv(p->s, p->answer + p->n, sizeof(p->answer) - p->n - 1);

		/* A ticket on its way is "again" too; a silent server is one after the receive time-out. */
		if ((got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_AGAIN) && tr_mono_ms() - t0 < 8000)
			continue;
		if (got <= 0) {
			p->closed = true;
			break;
		}
		p->n += (size_t)got;
		p->answer[p->n] = '\0';
	}
	return whole(p) ? (int)strtol(p->answer + 9, NULL, 10) : 0;
}

static int ask(struct peer *p, const char *text)
{
	(void)peer_send(p, text, strlen(text));
	return peer_status(p);
}

static const char *body_of(const struct peer *p)
{
	const char *end = strstr(p->answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* True when the server ends the connection within the receive time-out. */
static bool peer_is_closed(struct peer *p)
{
	uint64_t t0 = tr_mono_ms();
	char c[256];
	ssize_t got;

	do
		got = p->s ? gnutls_record_recv(p->s, c, sizeof(c)) : recv(p->fd, c, sizeof(c), 0);
	while (got > 0 || (p->s && got == GNUTLS_E_AGAIN && tr_mono_ms() - t0 < 8000));
	return got == 0 || (p->s ? got != GNUTLS_E_AGAIN : errno != EAGAIN);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"

/* ---- tests ---- */

static void good_requests_are_answered(void **state)
{
	struct peer p;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, GET("/")), 200);
	assert_string_equal(body_of(&p), "");
	assert_non_null(strstr(p.answer, "X-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(p.answer, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(p.answer, "Strict-Transport-Security: max-age="));
	assert_non_null(strstr(p.answer, "X-Extra: one\r\n"));
	assert_null(strstr(p.answer, "X-Evil"));
	assert_int_equal(ask(&p, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"), 200);
	assert_string_equal(body_of(&p), "hello");
	assert_int_equal(ask(&p, GET("/query?a=%41&b")), 200);
	assert_string_equal(body_of(&p), "a=%41&b");
	assert_int_equal(ask(&p, "GET /agent HTTP/1.1\r\nHost: t\r\nUser-Agent: me/1\r\n\r\n"), 200);
	assert_string_equal(body_of(&p), "me/1");
	assert_int_equal(ask(&p, "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n"), 200);
	assert_int_equal(seen->opens, 1);
	assert_int_equal(seen->last_der_n, 0);
	assert_string_equal(seen->source, "127.0.0.1");
	/* Two requests in one record. */
	assert_int_equal(ask(&p, GET("/query?1") GET("/query?2")), 200);
	if (!strstr(p.answer, "\r\n\r\n1HTTP/1.1 200"))
		assert_int_equal(peer_status(&p), 200);
	assert_true(wait_for(&seen->gones, 7));
	peer_close(&p);
	stop();
}

/* Nagle, corks and delayed acknowledgements: each of them would cost 40 or 200 ms per answer. */
static void answers_are_not_held_back(void **state)
{
	struct peer p;
	uint64_t t0;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	t0 = tr_mono_ms();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"), 200);
		assert_int_equal(ask(&p, GET("/refused")), 403);
	}
	if (tr_mono_ms() - t0 > 350)
		fail_msg("20 requests in %u ms", (unsigned)(tr_mono_ms() - t0));
	t0 = tr_mono_ms();
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(&p, GET("/slow")), 200);
	if (tr_mono_ms() - t0 > 10 * SLOW_MS + 350)
		fail_msg("10 slow requests in %u ms", (unsigned)(tr_mono_ms() - t0));
	peer_close(&p);
	stop();
}

/* The library sends head and body of a longer answer apart, and corks the socket only at a shorter one after it. */
static void nor_are_those_after_a_longer_one(void **state)
{
	static const unsigned lengths[] = { 500, 1500, 3000, 9000, 30000 };
	static char longer[31000];

	(void)state;
	start(&roomy);
	for (size_t k = 0; k < TR_ARRAY_LEN(lengths); k++) {
		int n = snprintf(longer, sizeof(longer), "POST /big HTTP/1.1\r\nHost: t\r\nContent-Length: %u\r\n\r\n", lengths[k]);
		struct peer p;
		uint64_t t0;

		memset(longer + n, 'x', lengths[k]);
		longer[(size_t)n + lengths[k]] = 0;
		peer_open(&p, NULL);
		assert_int_equal(ask(&p, longer), 200);
		t0 = tr_mono_ms();
		for (int i = 0; i < 5; i++)
			assert_int_equal(ask(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi"), 200);
		if (tr_mono_ms() - t0 > 150)
			fail_msg("5 requests after %u bytes in %u ms", lengths[k], (unsigned)(tr_mono_ms() - t0));
		peer_close(&p);
	}
	stop();
}

static void big_body_arrives_in_pieces(void **state)
{
	static char body[1 << 20];
	struct peer p;
	char head[128];

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	memset(body, 'x', sizeof(body));
	(void)snprintf(head, sizeof(head), "POST /big HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n",
		       sizeof(body));
	assert_true(peer_send(&p, head, strlen(head)));
	assert_true(peer_send(&p, body, 1));
	assert_true(peer_send(&p, body, sizeof(body) - 1));
	(void)peer_status(&p); /* the answer is larger than our buffer; its head is what counts */
	assert_non_null(strstr(p.answer, "Content-Length: 1048576\r\n"));
	peer_close(&p);
	stop();
}

static void continue_is_sent_before_the_body(void **state)
{
	struct peer p;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n"
				 "Expect: 100-continue\r\n\r\n"), 100);
	assert_int_equal(ask(&p, "hi"), 200);
	assert_string_equal(body_of(&p), "hi");
	peer_close(&p);
	stop();
}

static void refusal_in_head_reads_no_body(void **state)
{
	struct peer p;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	/* Without a body the connection stays. */
	assert_int_equal(ask(&p, GET("/refused")), 403);
	assert_non_null(strstr(p.answer, "application/problem+json"));
	assert_non_null(strstr(p.answer, "Retry-After: 7\r\n"));
	assert_non_null(strstr(body_of(&p), "\"code\":\"denied\""));
	assert_non_null(strstr(body_of(&p), "\"request_id\":\"req-1\""));
	assert_int_equal(ask(&p, GET("/")), 200);
	assert_int_equal(ask(&p, "POST /refused HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n"), 403);
	assert_true(peer_is_closed(&p));
	peer_close(&p);
	/* Over the cap: refused by its length, also when the body is on its way. */
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\nxxxxxxxxxxxxxxxxxxxx"), 413);
	assert_non_null(strstr(body_of(&p), "\"code\":\"body_too_large\""));
	assert_true(peer_is_closed(&p));
	peer_close(&p);
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1073741824\r\n\r\n"), 413);
	peer_close(&p);
	assert_int_equal(seen->requests, 1);
	stop();
}

/* Heads that two parsers could read differently: 400 and the connection ends, whatever follows. */
static void ambiguous_heads_are_refused(void **state)
{
	static const struct {
		const char *label, *text;
		int status; /* 0: closed without a word is right too */
	} cases[] = {
		{ "two lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400 },
		{ "two askers", "GET / HTTP/1.1\r\nHost: t\r\nX-Requesting-Agent: a\r\nx-requesting-agent: a\r\n\r\n", 400 },
		{ "two authorizations", "GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400 },
		{ "two equal lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400 },
		{ "length list", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 1\r\n\r\nx", 400 },
		{ "signed length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +1\r\n\r\nx", 400 },
		{ "hex length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x1\r\n\r\nx", 400 },
		{ "length and coding", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "coding and length", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400 },
		{ "chunked", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "odd coding", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
		{ "two hosts", "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400 },
		{ "no host", "GET / HTTP/1.1\r\nAccept: x\r\n\r\n", 400 },
		{ "space before colon", "GET / HTTP/1.1\r\nHost: t\r\nX-A : 1\r\n\r\n", 400 },
		{ "space before the colon of the length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 1\r\n\r\nx", 400 },
		{ "method", "G(T / HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
		{ "version 1.9", "GET / HTTP/1.9\r\nHost: t\r\n\r\n", 400 },
		{ "version 1.2", "GET / HTTP/1.2\r\nHost: t\r\n\r\n", 400 },
		{ "space in the target", "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 0 },
		{ "absolute target", "GET https://t/ HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
		{ "header name", "GET / HTTP/1.1\r\nHost: t\r\nX(A: 1\r\n\r\n", 400 },
		{ "LF alone after the first line", "GET / HTTP/1.1\nHost: t\r\n\r\n", 400 },
		{ "LF alone after a header", "GET / HTTP/1.1\r\nHost: t\r\nA: b\nContent-Length: 1\r\n\r\nx", 400 },
		{ "LF alone after the last header", "GET / HTTP/1.1\r\nHost: t\r\nA: b\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
		{ "LF alone for the empty line", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\nx", 400 },
		{ "LF alone everywhere", "GET / HTTP/1.1\nHost: t\n\n", 400 },
		{ "CR alone", "GET / HTTP/1.1\r\nHost: t\r\nA: b\rC: d\r\n\r\n", 400 },
		{ "folded line", "GET / HTTP/1.1\r\nHost: t\r\nA: b\r\n c\r\n\r\n", 400 },
		{ "form feed in a value", "GET / HTTP/1.1\r\nHost: t\r\nA: \f\r\n\r\n", 400 },
	};

	(void)state;
	start(&roomy);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct peer p;
		int status;

		peer_open(&p, NULL);
		status = ask(&p, cases[i].text);
		if (status != cases[i].status && (status != 400 || cases[i].status))
			fail_msg("%s: %d, want %d\n%s", cases[i].label, status, cases[i].status, p.answer);
		if (!peer_is_closed(&p))
			fail_msg("%s: still open", cases[i].label);
		peer_close(&p);
	}
	assert_int_equal(seen->heads, 0);
	assert_int_equal(seen->requests, 0);
	stop();
}

static void http_1_0_is_not_kept_alive(void **state)
{
	struct peer p;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200);
	assert_true(peer_is_closed(&p));
	peer_close(&p);
	stop();
}

static void long_heads_are_refused(void **state)
{
	char text[8192];
	struct peer p;
	size_t n;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: t\r\n");
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "A: %d\r\n", i);
	(void)snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(ask(&p, text), 431);
	assert_non_null(strstr(body_of(&p), "\"code\":\"headers_too_many\""));
	assert_true(peer_is_closed(&p));
	peer_close(&p);

	peer_open(&p, NULL);
	n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: t\r\nX-Long: ");
	memset(text + n, 'x', 6000);
	(void)snprintf(text + n + 6000, sizeof(text) - n - 6000, "\r\n\r\n");
	assert_int_equal(ask(&p, text), 431);
	assert_true(peer_is_closed(&p));
	peer_close(&p);
	assert_int_equal(seen->heads, 0);
	stop();
}

static const struct tr_http_limits hasty = { .pool = 4096, .connections = 64, .headers = 20,
					     .idle_s = 2, .header_s = 1, .body_s = 1 };

/* Sends a byte every 100 ms; returns after how many ms the server had enough, or -1. */
static int64_t trickle(struct peer *p, const char *text, size_t n)
{
	uint64_t t0 = tr_mono_ms();

	for (size_t i = 0; i < n; i++) {
		struct pollfd f = { .fd = p->fd, .events = POLLRDHUP };

		if (p->s ? !peer_send(p, text + i, 1) : send(p->fd, text + i, 1, MSG_NOSIGNAL) < 0)
			return (int64_t)(tr_mono_ms() - t0);
		if (poll(&f, 1, 100) > 0 && (f.revents & (POLLRDHUP | POLLHUP | POLLERR)))
			return (int64_t)(tr_mono_ms() - t0);
	}
	return -1;
}

#define LONG_GET GET("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

static void tricklers_meet_the_deadline(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
				    "0123456789012345678901234567890123456789";
	struct peer p;
	int64_t ms;

	(void)state;
	start(&hasty);
	/* in the handshake */
	peer_tcp(&p);
	ms = trickle(&p, hello, sizeof(hello) - 1);
	assert_in_range(ms, 800, 2000);
	peer_close(&p);
	/* nothing at all */
	peer_tcp(&p);
	ms = (int64_t)tr_mono_ms();
	assert_true(peer_is_closed(&p));
	assert_in_range((int64_t)tr_mono_ms() - ms, 800, 2000);
	peer_close(&p);
	/* in the first head */
	peer_open(&p, NULL);
	ms = trickle(&p, LONG_GET, sizeof(LONG_GET) - 1);
	assert_in_range(ms, 800, 2000);
	peer_close(&p);
	/* in a later head */
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, GET("/")), 200);
	ms = trickle(&p, LONG_GET, sizeof(LONG_GET) - 1);
	assert_in_range(ms, 800, 2000);
	peer_close(&p);
	/* in a body */
	peer_open(&p, NULL);
	assert_true(peer_send(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n", 49));
	ms = trickle(&p, LONG_GET, sizeof(LONG_GET) - 1);
	assert_in_range(ms, 800, 2000);
	peer_close(&p);
	nap(60);
	assert_int_equal(seen->stats.timeouts, 5);
	/* silence between requests has its own, longer limit */
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, GET("/")), 200);
	nap(1300);
	assert_int_equal(ask(&p, GET("/")), 200);
	ms = (int64_t)tr_mono_ms();
	assert_true(peer_is_closed(&p));
	assert_in_range((int64_t)tr_mono_ms() - ms, 1800, 3000);
	peer_close(&p);
	stop();
}

static void peers_that_do_not_read_meet_the_deadline(void **state)
{
	static char body[1 << 20];
	struct peer p;
	int small = 4096;
	char head[128];

	(void)state;
	start(&hasty);
	peer_tcp(&p);
	(void)setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	peer_tls_setup(&p, NULL, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
	ok(peer_shake(&p));
	memset(body, 'x', sizeof(body));
	(void)snprintf(head, sizeof(head), "POST /big HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n",
		       sizeof(body));
	/* Several answers fill every buffer on the way. */
	for (int i = 0; i < 4; i++)
		if (!peer_send(&p, head, strlen(head)) || !peer_send(&p, body, sizeof(body)))
			break;
	assert_true(wait_for(&seen->closes, 1));
	assert_true(seen->stats.timeouts >= 1 || wait_for(&seen->gones, 1));
	peer_close(&p);
	stop();
}

static void connections_are_limited(void **state)
{
	struct tr_http_limits l = roomy;
	struct peer p[4], q;

	(void)state;
	l.per_source = 3;
	start(&l);
	for (int i = 0; i < 3; i++) {
		peer_open(&p[i], NULL);
		assert_int_equal(ask(&p[i], GET("/")), 200);
	}
	/* All three have talked: the fourth is refused, they are not disturbed. */
	peer_tcp(&q);
	assert_true(peer_is_closed(&q));
	peer_close(&q);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&p[i], GET("/")), 200);
	/* One leaves, a silent one takes its place; a newcomer replaces the silent one. */
	peer_close(&p[0]);
	nap(50);
	peer_tcp(&q);
	nap(50);
	peer_open(&p[0], NULL);
	assert_int_equal(ask(&p[0], GET("/")), 200);
	assert_true(peer_is_closed(&q));
	peer_close(&q);
	nap(50);
	assert_int_equal(seen->stats.refused_limit, 2);
	assert_int_equal(seen->stats.open, 3);
	for (int i = 0; i < 3; i++)
		peer_close(&p[i]);
	stop();

	l.per_source = 0;
	l.connections = 4;
	start(&l);
	for (int i = 0; i < 4; i++) {
		peer_open(&p[i], NULL);
		assert_int_equal(ask(&p[i], GET("/")), 200);
	}
	peer_tcp(&q);
	assert_true(peer_is_closed(&q));
	peer_close(&q);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(ask(&p[i], GET("/")), 200);
		peer_close(&p[i]);
	}
	stop();
}

static bool deaf;

static ssize_t pull_or_not(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
	if (!deaf)
		return recv((int)(intptr_t)ptr, buf, n, 0);
	errno = EAGAIN;
	return -1;
}

/* Many connections that say half a ClientHello and stall cost no CPU, and good ones are served meanwhile. */
static void stalled_handshakes_cost_nothing(void **state)
{
	struct tr_http_limits l = roomy;
	struct peer good, *bad = calloc(200, sizeof(*bad));
	uint64_t cpu;

	(void)state;
	l.connections = 250;
	l.header_s = 20;
	start(&l);
	for (int i = 0; i < 100; i++) {
		peer_tcp(&bad[i]);
		assert_true(send(bad[i].fd, "\x16\x03\x01\x02\x00\x01\x00", 7, MSG_NOSIGNAL) == 7);
	}
	/* And as many that stall after the server's flight: a real hello, and no answer to what follows. */
	for (int i = 100; i < 200; i++) {
		peer_tcp(&bad[i]);
		peer_tls_setup_as(&bad[i], NULL, "NORMAL:-VERS-ALL:+VERS-TLS1.3", GNUTLS_NONBLOCK);
		gnutls_transport_set_pull_function(bad[i].s, pull_or_not);
		deaf = true;
		assert_int_equal(gnutls_handshake(bad[i].s), GNUTLS_E_AGAIN);
	}
	peer_open(&good, NULL);
	assert_int_equal(ask(&good, GET("/")), 200);
	nap(300);
	assert_int_equal(seen->stats.open, 201);
	cpu = seen->cpu_us;
	nap(1000);
	if (seen->cpu_us - cpu > 50000)
		fail_msg("%u us of CPU in an idle second", (unsigned)(seen->cpu_us - cpu));
	assert_int_equal(ask(&good, GET("/")), 200);
	/* One of the stalled goes on after all. */
	deaf = false;
	ok(peer_shake(&bad[150]));
	assert_int_equal(ask(&bad[150], GET("/")), 200);
	peer_close(&good);
	for (int i = 0; i < 200; i++)
		peer_close(&bad[i]);
	free(bad);
	stop();
}

static void idle_server_does_not_spin(void **state)
{
	struct peer p, slow, half;
	uint64_t cpu;

	(void)state;
	start(&roomy);
	peer_open(&p, NULL);
	assert_int_equal(ask(&p, GET("/")), 200);
	peer_open(&slow, NULL);
	assert_true(peer_send(&slow, GET("/slower"), strlen(GET("/slower"))));
	peer_open(&half, NULL);
	assert_true(peer_send(&half, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc", 51));
	nap(200);
	cpu = seen->cpu_us;
	nap(700);
	if (seen->cpu_us - cpu > 35000)
		fail_msg("%u us of CPU in 0.7 s of idling", (unsigned)(seen->cpu_us - cpu));
	assert_int_equal(peer_status(&slow), 200);
	peer_close(&p);
	peer_close(&slow);
	peer_close(&half);
	stop();
}

static void client_certificate_arrives_once(void **state)
{
	static const struct identity *const ids[] = { &client_p256, &client_ed, &client_rsa };
	struct peer p;
	gnutls_datum_t cb;

	(void)state;
	start(&roomy);
	for (unsigned i = 0; i < TR_ARRAY_LEN(ids); i++) {
		peer_open(&p, ids[i]);
		assert_int_equal(ask(&p, GET("/")), 200);
		assert_int_equal(ask(&p, GET("/")), 200);
		assert_int_equal(seen->opens, i + 1);
		assert_int_equal(seen->last_der_n, ids[i]->der_n);
		assert_memory_equal(seen->der, ids[i]->der, ids[i]->der_n);
		ok(gnutls_session_channel_binding(p.s, GNUTLS_CB_TLS_EXPORTER, &cb));
		assert_int_equal(cb.size, 32);
		assert_memory_equal(seen->exporter, cb.data, 32);
		gnutls_free(cb.data);
		peer_close(&p);
		assert_true(wait_for(&seen->closes, i + 1));
	}
	stop();
}

static void resumption_keeps_the_certificate(void **state)
{
	struct peer p, q;
	gnutls_datum_t session;
	uint8_t first[32];

	(void)state;
	start(&roomy);
	peer_open(&p, &client_ed);
	assert_int_equal(ask(&p, GET("/")), 200); /* the ticket comes with it */
	assert_true(gnutls_session_get_flags(p.s) & GNUTLS_SFLAGS_SESSION_TICKET);
	ok(gnutls_session_get_data2(p.s, &session));
	memcpy(first, seen->exporter, 32);
	peer_close(&p);
	memset(seen->der, 0, sizeof(seen->der));
	peer_tcp(&q);
	peer_tls_setup(&q, &client_ed, "NORMAL:-VERS-ALL:+VERS-TLS1.3");
	ok(gnutls_session_set_data(q.s, session.data, session.size));
	ok(peer_shake(&q));
	assert_true(gnutls_session_is_resumed(q.s));
	assert_int_equal(ask(&q, GET("/")), 200);
	assert_int_equal(seen->opens, 2);
	assert_int_equal(seen->last_der_n, client_ed.der_n);
	assert_memory_equal(seen->der, client_ed.der, client_ed.der_n);
	assert_memory_not_equal(seen->exporter, first, 32);
	gnutls_free(session.data);
	peer_close(&q);
	stop();
}

static void only_tls_1_3_is_spoken(void **state)
{
	struct peer p;

	(void)state;
	start(&roomy);
	peer_tcp(&p);
	peer_tls_setup(&p, NULL, "NORMAL:-VERS-ALL:+VERS-TLS1.2");
	assert_true(peer_shake(&p) < 0);
	peer_close(&p);
	/* And clear text is no way in. */
	peer_tcp(&p);
	assert_true(send(p.fd, GET("/"), strlen(GET("/")), MSG_NOSIGNAL) > 0);
	assert_true(peer_is_closed(&p));
	peer_close(&p);
	assert_int_equal(seen->opens, 0);
	stop();
}

static void late_answers_arrive(void **state)
{
	struct peer p[8];
	uint64_t t0;

	(void)state;
	start(&roomy);
	for (int i = 0; i < 8; i++)
		peer_open(&p[i], NULL);
	t0 = tr_mono_ms();
	for (int i = 0; i < 8; i++)
		assert_true(peer_send(&p[i], GET("/slow"), strlen(GET("/slow"))));
	for (int i = 0; i < 8; i++) {
		assert_int_equal(peer_status(&p[i]), 200);
		assert_string_equal(body_of(&p[i]), "late");
	}
	assert_in_range(tr_mono_ms() - t0, SLOW_MS, SLOW_MS + 400);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(ask(&p[i], GET("/slow")), 200);
		peer_close(&p[i]);
	}
	stop();
}

static void answer_to_a_vanished_peer_is_dropped(void **state)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct peer p;

	(void)state;
	start(&roomy);
	for (int i = 0; i < 2; i++) {
		peer_open(&p, NULL);
		assert_true(peer_send(&p, GET("/slow"), strlen(GET("/slow"))));
		assert_true(wait_for(&seen->requests, (unsigned)i + 1));
		if (i)
			(void)setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		peer_close(&p);
		assert_true(wait_for(&seen->gones, (unsigned)i + 1));
		assert_true(wait_for(&seen->closes, (unsigned)i + 1));
	}
	/* A request that is cut off in its body is gone too, and never became a request. */
	peer_open(&p, NULL);
	assert_true(peer_send(&p, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc", 51));
	assert_true(wait_for(&seen->heads, 3));
	peer_close(&p);
	assert_true(wait_for(&seen->gones, 3));
	assert_int_equal(seen->requests, 2);
	/* Freed with an answer outstanding: stop() checks that it is gone. */
	peer_open(&p, NULL);
	assert_true(peer_send(&p, GET("/slower"), strlen(GET("/slower"))));
	assert_true(wait_for(&seen->requests, 3));
	stop();
	peer_close(&p);
}

static void quiesce_lets_requests_finish(void **state)
{
	struct peer idle, busy;
	int status = 0;

	(void)state;
	start(&roomy);
	peer_open(&idle, NULL);
	assert_int_equal(ask(&idle, GET("/")), 200);
	peer_open(&busy, NULL);
	assert_true(peer_send(&busy, GET("/slower"), strlen(GET("/slower"))));
	assert_true(wait_for(&seen->requests, 2));
	(void)kill(pid, SIGUSR1);
	assert_true(peer_is_closed(&idle));
	assert_int_equal(seen->quiesced, 0);
	assert_int_equal(peer_status(&busy), 200);
	assert_non_null(strstr(busy.answer, "Connection: close"));
	assert_true(peer_is_closed(&busy));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(seen->quiesced, 1);
	assert_int_equal(seen->gones, seen->heads);
	peer_close(&idle);
	peer_close(&busy);
}

static void addresses_are_parsed(void **state)
{
	static const char *const bad[] = { "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "::1:80", "[::1]", "127.0.0.1:99999999", ":80" };
	struct tr_err err;
	unsigned got, again;
	int fd, fd2;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		assert_int_equal(tr_listen(bad[i], &fd, &got, &err), TR_E_INVALID);
	assert_int_equal(tr_listen("*:0", &fd, &got, &err), TR_OK);
	assert_true(got > 0);
	(void)close(fd);
	assert_int_equal(tr_listen("192.0.2.1:0", &fd, &got, &err), TR_E_INVALID);
	assert_int_equal(tr_listen("localhost:0", &fd, &got, &err), TR_OK);
	/* Several fronts on one port. */
	{
		char same[32];

		(void)snprintf(same, sizeof(same), "localhost:%u", got);
		assert_int_equal(tr_listen(same, &fd2, &again, &err), TR_OK);
		assert_int_equal(again, got);
	}
	(void)close(fd);
	(void)close(fd2);
}

static void bad_certificate_is_refused_with_a_reason(void **state)
{
	struct tr_loop *loop;
	struct tr_http *h = NULL;
	struct tr_err err;
	struct tr_http_config c = { .cert_pem = TR_VIEW_LIT("no"), .key_pem = TR_VIEW_LIT("no"),
				    .limits = roomy, .ops = &ops, .listen_fd = -1 };

	(void)state;
	assert_int_equal(tr_loop_new(&loop, &err), TR_OK);
	assert_int_equal(tr_http_new(loop, &c, &h, &err), TR_E_INVALID);
	assert_null(h);
	loop = tr_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(good_requests_are_answered, clean),
		cmocka_unit_test_teardown(answers_are_not_held_back, clean),
		cmocka_unit_test_teardown(nor_are_those_after_a_longer_one, clean),
		cmocka_unit_test_teardown(big_body_arrives_in_pieces, clean),
		cmocka_unit_test_teardown(continue_is_sent_before_the_body, clean),
		cmocka_unit_test_teardown(refusal_in_head_reads_no_body, clean),
		cmocka_unit_test_teardown(ambiguous_heads_are_refused, clean),
		cmocka_unit_test_teardown(http_1_0_is_not_kept_alive, clean),
		cmocka_unit_test_teardown(long_heads_are_refused, clean),
		cmocka_unit_test_teardown(tricklers_meet_the_deadline, clean),
		cmocka_unit_test_teardown(peers_that_do_not_read_meet_the_deadline, clean),
		cmocka_unit_test_teardown(connections_are_limited, clean),
		cmocka_unit_test_teardown(stalled_handshakes_cost_nothing, clean),
		cmocka_unit_test_teardown(idle_server_does_not_spin, clean),
		cmocka_unit_test_teardown(client_certificate_arrives_once, clean),
		cmocka_unit_test_teardown(resumption_keeps_the_certificate, clean),
		cmocka_unit_test_teardown(only_tls_1_3_is_spoken, clean),
		cmocka_unit_test_teardown(late_answers_arrive, clean),
		cmocka_unit_test_teardown(answer_to_a_vanished_peer_is_dropped, clean),
		cmocka_unit_test_teardown(quiesce_lets_requests_finish, clean),
		cmocka_unit_test_teardown(addresses_are_parsed, clean),
		cmocka_unit_test_teardown(bad_certificate_is_refused_with_a_reason, clean),
	};

	return cmocka_run_group_tests(tests, make_pki, NULL);
}
