/* SPDX-License-Identifier: Apache-2.0 */
/* Load generator: a fleet of agents in one process, each from a loopback address of its own (as a fleet has them, and
 * because the server limits each source). Signatures and CBOR are the product's, TLS is plain OpenSSL on epoll.
 *
 *   load register PORT CA.pem TOKEN N IN_FLIGHT SHA256 FLEET.pem   one connection per registration
 *   load beat PORT CA.pem FLEET.pem                                then commands on standard input, one answer each:
 *     open N             as many agents connect and send one heartbeat
 *     beat COUNT FLIGHT  so many heartbeats in turn over all connections, FLIGHT of them under way at once
 *     quit */
#include "base/clock.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "signed/beat.h"
#include "signed/claim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define VERSION "1.2.3"
#define AGENTS_MAX 65536
#define DESCRIPTORS_SPARE 64

struct agent {
	EVP_PKEY *key;
	X509 *cert;
	struct tr_privkey *device; /* while registering */
	uint64_t seq;
};

enum state { CLOSED, CONNECTING, HANDSHAKE, IDLE, SENDING, RECEIVING };

struct conn {
	struct agent *agent;
	size_t number; /* of the agent */
	int fd;
	SSL *ssl;
	enum state state;
	bool challenged;
	struct tr_buf out, in;
	size_t out_at;
	int status;
	struct tr_view body; /* of the answer, inside `in` */
};

static struct {
	SSL_CTX *tls;
	int epoll;
	uint16_t port;
	uint8_t start_id[16], hash[32];
	const char *token;
	struct agent *agents;
	struct conn *conns;
	size_t n_agents, n_conns, next, left, in_flight;
	size_t ok, refused, request_bytes, answer_bytes, body_bytes;
	void (*on_idle)(struct conn *c);   /* connected, nothing under way */
	void (*on_answer)(struct conn *c); /* c->status and c->body are set */
} g;

static void __attribute__((noreturn)) TR_PRINTF(1, 2) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

/* ---- connections ---- */

static void conn_start(struct conn *c)
{
	/* 127.64.0.1 and up: all of 127/8 is this host. */
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(0x7f400001u + (uint32_t)c->number) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s (is the limit of open files high enough?)", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS))
		die("connect: %s", strerror(errno));
	c->ssl = SSL_new(g.tls);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_set1_host(c->ssl, "localhost") != 1)
		die("SSL_new");
	if (c->agent->cert &&
	    (SSL_use_certificate(c->ssl, c->agent->cert) != 1 || SSL_use_PrivateKey(c->ssl, c->agent->key) != 1))
		die("client certificate");
	SSL_set_connect_state(c->ssl);
	c->state = CONNECTING;
	if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
}

static void conn_stop(struct conn *c)
{
	(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	(void)close(c->fd);
	c->ssl = NULL;
	c->fd = -1;
	c->state = CLOSED;
}

/* True when the call must be repeated later; dies when the connection is lost. */
static bool not_yet(struct conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);

	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return true;
	die("agent %zu: connection lost in state %d (%d)", c->number, (int)c->state, why);
}

/* Is a whole answer here? The server always sends a Content-Length. */
static bool answer_whole(struct conn *c)
{
	const char *text = tr_buf_cstr(&c->in);
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "\r\nContent-Length:");
	size_t head, n;

	if (!end)
		return false;
	head = (size_t)(end - text) + 4;
	n = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
	if (c->in.n < head + n)
		return false;
	c->status = (int)strtol(text + 9, NULL, 10);
	c->body = tr_view(c->in.p + head, n);
	return true;
}

static void request(struct conn *c, const char *method, const char *path, const char *type, const char *bearer,
		    struct tr_view body)
{
	tr_buf_clear(&c->out);
	c->out_at = 0;
	tr_buf_addf(&c->out, "%s %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: troth-agent/" VERSION "\r\n", method,
		    path, g.port);
	if (type)
		tr_buf_addf(&c->out, "Content-Type: %s\r\n", type);
	if (bearer)
		tr_buf_addf(&c->out, "Authorization: Bearer %s\r\n", bearer);
	if (body.n)
		tr_buf_addf(&c->out, "Content-Length: %zu\r\n", body.n);
	tr_buf_adds(&c->out, "\r\n");
	tr_buf_addv(&c->out, body);
	c->state = SENDING;
}

static void pump(struct conn *c)
{
	uint8_t chunk[4096];
	int n;

	for (;;) {
		switch (c->state) {
		case CLOSED:
			return;
		case CONNECTING:
		case HANDSHAKE:
			c->state = HANDSHAKE;
			n = SSL_do_handshake(c->ssl);
			if (n != 1 && not_yet(c, n))
				return;
			c->state = IDLE;
			break;
		case IDLE:
			g.on_idle(c);
			if (c->state == IDLE)
				return;
			break;
		case SENDING:
			n = SSL_write(c->ssl, c->out.p + c->out_at, (int)(c->out.n - c->out_at));
			if (n <= 0 && not_yet(c, n))
				return;
			c->out_at += (size_t)n;
			if (c->out_at < c->out.n)
				break;
			g.request_bytes = c->out.n;
			tr_buf_clear(&c->in);
			c->state = RECEIVING;
			break;
		case RECEIVING:
			n = SSL_read(c->ssl, chunk, sizeof(chunk));
			if (n <= 0 && not_yet(c, n))
				return;
			tr_buf_add(&c->in, chunk, (size_t)n);
			if (!answer_whole(c))
				break;
			g.answer_bytes = c->in.n;
			g.body_bytes = c->body.n;
			c->state = IDLE;
			g.on_answer(c);
			break;
		}
	}
}

static void run_until_done(void)
{
	struct epoll_event evs[256];

	while (g.left || g.in_flight) {
		int n = epoll_wait(g.epoll, evs, TR_ARRAY_LEN(evs), 20000);

		if (n == 0)
			die("the server has been silent for 20 s: %zu to go, %zu in flight", g.left, g.in_flight);
		for (int i = 0; i < n; i++) {
			struct conn *c = evs[i].data.ptr;

			/* An event on an idle connection is a session ticket, which the next read takes along. */
			if (c->state != IDLE)
				pump(c);
		}
	}
}

/* ---- register ---- */

static void register_next(struct conn *c)
{
	if (!g.left)
		return;
	g.left--;
	g.in_flight++;
	c->number = g.next++;
	c->agent = &g.agents[c->number];
	c->challenged = false;
	conn_start(c);
}

static void claim_and_register(struct conn *c, struct tr_view challenge)
{
	tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf claim = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	uint8_t exporter[32];
	char id[32];
	struct tr_claim m = { .version = TR_VIEW_LIT(VERSION), .timestamp_ms = tr_now_ms(), .challenge = challenge,
			      .exporter = TR_VIEW_ARRAY(exporter) };
	struct tr_err err = { 0 };

	(void)snprintf(id, sizeof(id), "bench-%05zu", c->number);
	m.node_id = tr_view_str(id);
	memcpy(m.binary_hash, g.hash, 32);
	if (SSL_export_keying_material(c->ssl, exporter, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0) != 1)
		die("exporter");
	if (tr_csr_make(c->agent->device, &csr, &err) || tr_claim_sign(&m, c->agent->device, &claim, &err))
		die("claim: %s", err.detail);
	tr_buf_adds(&body, "{\"csr\":\"");
	tr_b64_add(&body, tr_buf_view(&csr), TR_B64_STD);
	tr_buf_adds(&body, "\",\"claim\":\"");
	tr_b64_add(&body, tr_buf_view(&claim), TR_B64_STD);
	tr_buf_adds(&body, "\"}");
	request(c, "POST", "/api/v1/agents/register", "application/json", g.token, tr_buf_view(&body));
}

static struct tr_view member(const struct tr_json *j, const char *name)
{
	struct tr_view v = { 0 };

	if (!tr_json_str(tr_json_get(tr_json_root(j), name), &v))
		die("the answer has no %s", name);
	return v;
}

static void registration_idle(struct conn *c)
{
	if (!c->challenged)
		request(c, "GET", "/api/v1/challenge", NULL, NULL, tr_view(NULL, 0));
}

static void registration_answer(struct conn *c)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (c->status >= 300 || tr_json_parse(c->body, &j, &err))
		die("registration: status %d: %.*s", c->status, TR_VIEW_FMT(c->body));
	if (!c->challenged) {
		c->challenged = true;
		if (tr_b64_get(member(j, "challenge"), TR_B64_STD, &bytes, &err))
			die("challenge: %s", err.detail);
		claim_and_register(c, tr_buf_view(&bytes));
		return;
	}
	BIO *pem = BIO_new_mem_buf(member(j, "certificate").p, (int)member(j, "certificate").n);

	c->agent->cert = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	BIO_free(pem);
	if (!c->agent->cert)
		die("certificate");
	g.ok++;
	g.in_flight--;
	conn_stop(c);
	register_next(c);
}

static void save_fleet(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	struct tr_err err = { 0 };

	if (!f)
		die("%s: %s", path, strerror(errno));
	for (size_t i = 0; i < g.n_agents; i++) {
		tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

		if (tr_privkey_pem(g.agents[i].device, &pem, &err) || fwrite(pem.p, 1, pem.n, f) != pem.n ||
		    PEM_write_X509(f, g.agents[i].cert) != 1)
			die("%s: cannot write", path);
	}
	if (fclose(f))
		die("%s: %s", path, strerror(errno));
}

static int do_register(size_t n, size_t flight, const char *fleet)
{
	struct tr_err err = { 0 };
	uint64_t start;

	g.n_agents = n;
	g.agents = calloc(n, sizeof(*g.agents));
	g.conns = calloc(flight, sizeof(*g.conns));
	for (size_t i = 0; i < n; i++)
		if (tr_privkey_generate(TR_KEY_ED25519, &g.agents[i].device, &err))
			die("key: %s", err.detail);
	g.on_idle = registration_idle;
	g.on_answer = registration_answer;
	g.left = n;
	start = tr_mono_ms();
	for (size_t i = 0; i < flight; i++)
		register_next(&g.conns[i]);
	run_until_done();
	printf("{\"ok\": %zu, \"ms\": %" PRIu64 "}\n", g.ok, tr_mono_ms() - start);
	save_fleet(fleet);
	return 0;
}

/* ---- heartbeats ---- */

static void load_fleet(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	if (!f)
		die("%s: %s", path, strerror(errno));
	g.agents = calloc(AGENTS_MAX, sizeof(*g.agents));
	while (g.n_agents < AGENTS_MAX && (key = PEM_read_PrivateKey(f, NULL, NULL, NULL))) {
		g.agents[g.n_agents].key = key;
		g.agents[g.n_agents].cert = PEM_read_X509(f, NULL, NULL, NULL);
		if (!g.agents[g.n_agents++].cert)
			die("%s: a key without its certificate", path);
	}
	(void)fclose(f);
}

static void beat(struct conn *c)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	const struct tr_beat b = { .seq = ++c->agent->seq, .time_ns = tr_now_ns(), .start_id = TR_VIEW_ARRAY(g.start_id),
				   .hash = TR_VIEW_ARRAY(g.hash), .version = TR_VIEW_LIT(VERSION) };

	tr_beat_put(&b, &body);
	request(c, "POST", "/api/v1/heartbeat", "application/cbor", NULL, tr_buf_view(&body));
}

static void first_beat(struct conn *c)
{
	if (!c->challenged)
		beat(c);
	c->challenged = true;
}

static void nothing(struct conn *c)
{
	(void)c;
}

static void count(const struct conn *c)
{
	if (c->status == 200)
		g.ok++;
	else
		g.refused++;
	g.in_flight--;
}

static void open_next(void)
{
	struct conn *c = &g.conns[g.n_conns];

	c->number = g.n_conns++;
	c->agent = &g.agents[c->number];
	g.left--;
	g.in_flight++;
	conn_start(c);
}

static void opened(struct conn *c)
{
	count(c);
	if (g.left)
		open_next();
}

static void beat_next(void)
{
	struct conn *c = NULL;

	/* With fewer connections than heartbeats under way the next one may be busy. */
	for (size_t i = 0; i < g.n_conns && (!c || c->state != IDLE); i++)
		c = &g.conns[g.next++ % g.n_conns];
	g.left--;
	g.in_flight++;
	beat(c);
	pump(c);
}

static void beaten(struct conn *c)
{
	count(c);
	if (g.left)
		beat_next();
}

static void serve_commands(void)
{
	char line[80], what[16];
	size_t n, flight;

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t start = tr_mono_ms();

		flight = 32;
		n = 0;
		if (sscanf(line, "%15s %zu %zu", what, &n, &flight) < 1 || strcmp(what, "quit") == 0)
			return;
		g.ok = g.refused = 0;
		g.left = n;
		if (strcmp(what, "open") == 0) {
			if (g.n_conns + n > g.n_agents)
				die("the fleet has %zu agents only", g.n_agents);
			g.on_idle = first_beat;
			g.on_answer = opened;
			while (g.left && g.in_flight < flight)
				open_next();
		} else {
			if (!g.n_conns)
				die("open first");
			g.on_idle = nothing;
			g.on_answer = beaten;
			while (g.left && g.in_flight < flight && g.in_flight < g.n_conns)
				beat_next();
		}
		run_until_done();
		printf("{\"ok\": %zu, \"refused\": %zu, \"ms\": %" PRIu64 ", \"request_bytes\": %zu, "
		       "\"answer_bytes\": %zu, \"body_bytes\": %zu}\n",
		       g.ok, g.refused, tr_mono_ms() - start, g.request_bytes, g.answer_bytes, g.body_bytes);
		(void)fflush(stdout);
	}
}

static int do_beat(const char *fleet)
{
	load_fleet(fleet);
	g.conns = calloc(g.n_agents, sizeof(*g.conns));
	tr_random(g.start_id, sizeof(g.start_id));
	memset(g.hash, 7, sizeof(g.hash));
	serve_commands();
	return 0;
}

static void set_up(const char *port, const char *ca)
{
	struct rlimit files;
	struct tr_err err = { 0 };

	if (tr_crypto_init(&err))
		die("%s", err.pub);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	g.port = (uint16_t)strtoul(port, NULL, 10);
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	g.tls = SSL_CTX_new(TLS_client_method());
	if (g.epoll < 0 || !g.tls || SSL_CTX_set_min_proto_version(g.tls, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_load_verify_file(g.tls, ca) != 1)
		die("TLS set-up with %s failed", ca);
	SSL_CTX_set_verify(g.tls, SSL_VERIFY_PEER, NULL);
}

int main(int argc, char **argv)
{
	if (argc == 9 && strcmp(argv[1], "register") == 0) {
		set_up(argv[2], argv[3]);
		g.token = argv[4];
		if (!tr_hex_get(tr_view_str(argv[7]), g.hash, 32))
			die("SHA256 is 64 hex digits");
		return do_register(strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10), argv[8]);
	}
	if (argc == 5 && strcmp(argv[1], "beat") == 0) {
		set_up(argv[2], argv[3]);
		return do_beat(argv[4]);
	}
	die("usage: load register PORT CA TOKEN N IN_FLIGHT SHA256 FLEET | load beat PORT CA FLEET");
}
