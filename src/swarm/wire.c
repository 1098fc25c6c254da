/* SPDX-License-Identifier: Apache-2.0 */
#include "swarm/wire.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "signed/claim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define VERSION "1.2.3"
#define SILENT_MS 20000

struct tr_wire {
	SSL_CTX *tls;
	int epoll;
	uint16_t port;
	struct tr_wire_ops ops;
	size_t out_bytes, in_bytes;
};

TR_RC tr_wire_new(uint16_t port, const char *ca_file, const struct tr_wire_ops *ops, struct tr_wire **ret, struct tr_err *err)
{
	struct tr_wire *w = calloc(1, sizeof(*w));
	struct rlimit files;

	*ret = NULL;
	if (!w)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "wire");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	w->port = port;
	w->ops = *ops;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->tls = SSL_CTX_new(TLS_client_method());
	if (w->epoll < 0 || !w->tls || SSL_CTX_set_min_proto_version(w->tls, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_load_verify_file(w->tls, ca_file) != 1) {
		(void)tr_wire_free(w);
		return tr_err_set(err, TR_E_INVALID, "the CA file cannot be used", "%s", ca_file);
	}
	SSL_CTX_set_verify(w->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(w->tls, SSL_MODE_RELEASE_BUFFERS);
	*ret = w;
	return TR_OK;
}

struct tr_wire *tr_wire_free(struct tr_wire *w)
{
	if (w) {
		SSL_CTX_free(w->tls);
		(void)tr_close(w->epoll);
		free(w);
	}
	return NULL;
}

size_t tr_wire_out_bytes(const struct tr_wire *w)
{
	return w->out_bytes;
}

size_t tr_wire_in_bytes(const struct tr_wire *w)
{
	return w->in_bytes;
}

/* ---- one connection ---- */

bool tr_wire_open(struct tr_wire *w, struct tr_wire_conn *c, uint32_t number, const struct tr_wire_id *id)
{
	/* 127.64.0.1 and up: all of 127/8 is this host. */
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f400001u + number) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(w->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c };
	int on = 1;

	c->wire = w;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->ssl = SSL_new(w->tls);
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS) || !c->ssl ||
	    SSL_set_fd(c->ssl, c->fd) != 1 || SSL_set1_host(c->ssl, "localhost") != 1 ||
	    (id->cert && (SSL_use_certificate(c->ssl, id->cert) != 1 || SSL_use_PrivateKey(c->ssl, id->key) != 1)) ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &ev)) {
		tr_wire_close(c);
		return false;
	}
	SSL_set_connect_state(c->ssl);
	c->state = TR_WIRE_CONNECTING;
	return true;
}

void tr_wire_close(struct tr_wire_conn *c)
{
	if (c->ssl && c->state >= TR_WIRE_IDLE)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	if (c->fd > 0)
		(void)close(c->fd);
	c->ssl = NULL;
	c->fd = -1;
	c->state = TR_WIRE_CLOSED;
	tr_buf_done(&c->out);
	tr_buf_done(&c->in);
}

/* False: nothing more for now, or the connection is gone. */
static bool again(struct tr_wire_conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);

	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return false;
	tr_wire_close(c);
	c->wire->ops.lost(c, why == SSL_ERROR_SSL ? "TLS" : "closed");
	return false;
}

/* Is a whole answer here? The server always sends a Content-Length. */
static bool answer_whole(struct tr_wire_conn *c)
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

static void pump(struct tr_wire_conn *c)
{
	uint8_t chunk[4096];
	int n;

	for (;;) {
		switch (c->state) {
		case TR_WIRE_CONNECTING:
			n = SSL_do_handshake(c->ssl);
			if (n != 1) {
				(void)again(c, n);
				return;
			}
			(void)SSL_export_keying_material(c->ssl, c->exporter, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0);
			c->state = TR_WIRE_IDLE;
			c->wire->ops.ready(c);
			break;
		case TR_WIRE_SENDING:
			n = SSL_write(c->ssl, c->out.p + c->out_at, (int)(c->out.n - c->out_at));
			if (n <= 0) {
				(void)again(c, n);
				return;
			}
			c->out_at += (size_t)n;
			if (c->out_at < c->out.n)
				break;
			c->wire->out_bytes = c->out.n;
			tr_buf_done(&c->out);
			c->state = TR_WIRE_RECEIVING;
			break;
		case TR_WIRE_IDLE:
		case TR_WIRE_RECEIVING:
			/* Idle: a session ticket, or the server's goodbye. */
			n = SSL_read(c->ssl, chunk, sizeof(chunk));
			if (n <= 0) {
				(void)again(c, n);
				return;
			}
			if (c->state == TR_WIRE_IDLE)
				break;
			tr_buf_add(&c->in, chunk, (size_t)n);
			if (!answer_whole(c))
				break;
			c->wire->in_bytes = c->in.n;
			c->state = TR_WIRE_IDLE;
			c->wire->ops.answered(c);
			if (c->state == TR_WIRE_IDLE)
				tr_buf_done(&c->in);
			break;
		default: return;
		}
	}
}

void tr_wire_request(struct tr_wire_conn *c, const char *method, const char *path, const char *type, const char *bearer,
		     struct tr_view body)
{
	tr_buf_clear(&c->in);
	tr_buf_clear(&c->out);
	c->out_at = 0;
	tr_buf_addf(&c->out, "%s %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: troth-agent/" VERSION "\r\n", method, path,
		    c->wire->port);
	if (type)
		tr_buf_addf(&c->out, "Content-Type: %s\r\n", type);
	if (bearer)
		tr_buf_addf(&c->out, "Authorization: Bearer %s\r\n", bearer);
	if (body.n)
		tr_buf_addf(&c->out, "Content-Length: %zu\r\n", body.n);
	tr_buf_adds(&c->out, "\r\n");
	tr_buf_addv(&c->out, body);
	c->state = TR_WIRE_SENDING;
	/* The socket was writable when last asked, and nothing will say so again (edge-triggered). */
	pump(c);
}

bool tr_wire_round(struct tr_wire *w, int timeout_ms)
{
	struct epoll_event evs[256];
	int n = epoll_wait(w->epoll, evs, TR_ARRAY_LEN(evs), timeout_ms);

	for (int i = 0; i < n; i++)
		pump(evs[i].data.ptr);
	return n > 0;
}

/* ---- fleets ---- */

struct enrolling {
	struct tr_wire *wire;
	const char *token, *prefix;
	const uint8_t *hash;
	struct tr_wire_id *ids;
	size_t next, n, done;
	char failed[200];
};

struct entry {
	struct enrolling *e;
	struct tr_wire_conn conn;
	size_t number;
	bool challenged;
};

static void enrol_next(struct entry *x)
{
	struct enrolling *e = x->e;

	if (e->next == e->n || e->failed[0])
		return;
	x->number = e->next++;
	x->challenged = false;
	x->conn.owner = x;
	if (!tr_wire_open(e->wire, &x->conn, (uint32_t)x->number, &e->ids[x->number]))
		(void)snprintf(e->failed, sizeof(e->failed), "cannot open a connection: %s", strerror(errno));
}

static void enrol_ready(struct tr_wire_conn *c)
{
	tr_wire_request(c, "GET", "/api/v1/challenge", NULL, NULL, tr_view(NULL, 0));
}

static void enrol_lost(struct tr_wire_conn *c, const char *why)
{
	struct entry *x = c->owner;

	(void)snprintf(x->e->failed, sizeof(x->e->failed), "connection of agent %zu lost: %s", x->number, why);
}

static bool claim(struct entry *x, struct tr_view challenge)
{
	struct enrolling *e = x->e;
	tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	char id[64];
	struct tr_claim m = { .version = TR_VIEW_LIT(VERSION), .timestamp_ms = tr_now_ms(), .challenge = challenge,
			      .exporter = TR_VIEW_ARRAY(x->conn.exporter) };
	struct tr_privkey *key = e->ids[x->number].device;
	struct tr_err err = { 0 };

	(void)snprintf(id, sizeof(id), "%s-%05zu", e->prefix, x->number);
	m.node_id = tr_view_str(id);
	memcpy(m.binary_hash, e->hash, 32);
	if (tr_csr_make(key, &csr, &err) || tr_claim_sign(&m, key, &bytes, &err)) {
		(void)snprintf(e->failed, sizeof(e->failed), "claim: %s", err.detail);
		return false;
	}
	tr_buf_adds(&body, "{\"csr\":\"");
	tr_b64_add(&body, tr_buf_view(&csr), TR_B64_STD);
	tr_buf_adds(&body, "\",\"claim\":\"");
	tr_b64_add(&body, tr_buf_view(&bytes), TR_B64_STD);
	tr_buf_adds(&body, "\"}");
	tr_wire_request(&x->conn, "POST", "/api/v1/agents/register", "application/json", e->token, tr_buf_view(&body));
	return true;
}

static bool take_certificate(struct tr_wire_id *id, struct tr_view pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	id->cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	return id->cert != NULL;
}

static void enrol_answered(struct tr_wire_conn *c)
{
	struct entry *x = c->owner;
	struct enrolling *e = x->e;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_view v = { 0 };
	struct tr_err err = { 0 };

	if (c->status >= 300 || tr_json_parse(c->body, &j, &err)) {
		(void)snprintf(e->failed, sizeof(e->failed), "status %d: %.*s", c->status, TR_VIEW_FMT(c->body));
		return;
	}
	if (!x->challenged) {
		x->challenged = true;
		if (!tr_json_str(tr_json_get(tr_json_root(j), "challenge"), &v) || tr_b64_get(v, TR_B64_STD, &bytes, &err))
			(void)snprintf(e->failed, sizeof(e->failed), "the answer has no challenge");
		else
			(void)claim(x, tr_buf_view(&bytes));
		return;
	}
	if (!tr_json_str(tr_json_get(tr_json_root(j), "certificate"), &v) || !take_certificate(&e->ids[x->number], v)) {
		(void)snprintf(e->failed, sizeof(e->failed), "the answer has no certificate");
		return;
	}
	e->done++;
	tr_wire_close(c);
	enrol_next(x);
}

/* The same key for OpenSSL's TLS and for our signatures. */
static TR_RC make_key(enum tr_key_type type, struct tr_wire_id *id, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	BIO *bio;

	if (tr_privkey_generate(type, &id->device, err) || tr_privkey_pem(id->device, &pem, err))
		return err->code;
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	id->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	return id->key ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "out of memory", "key");
}

TR_RC tr_wire_enrol(uint16_t port, const char *ca_file, const char *token, const char *prefix, enum tr_key_type type,
		    const uint8_t hash[32], size_t n, size_t flight, struct tr_wire_id *ret, struct tr_err *err)
{
	static const struct tr_wire_ops ops = { enrol_ready, enrol_answered, enrol_lost };
	struct enrolling e = { .token = token, .prefix = prefix, .hash = hash, .ids = ret, .n = n };
	struct entry *entries = calloc(flight, sizeof(*entries));
	enum tr_code rc = entries ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "out of memory", "enrol");

	for (size_t i = 0; i < n && !rc; i++)
		rc = make_key(type, &ret[i], err);
	if (!rc)
		rc = tr_wire_new(port, ca_file, &ops, &e.wire, err);
	for (size_t i = 0; i < flight && !rc; i++) {
		entries[i].e = &e;
		enrol_next(&entries[i]);
	}
	while (!rc && e.done < n && !e.failed[0])
		if (!tr_wire_round(e.wire, SILENT_MS))
			(void)snprintf(e.failed, sizeof(e.failed), "the server is silent");
	for (size_t i = 0; entries && i < flight; i++)
		if (entries[i].conn.state != TR_WIRE_CLOSED)
			tr_wire_close(&entries[i].conn);
	free(entries);
	e.wire = tr_wire_free(e.wire);
	if (!rc && e.failed[0])
		rc = tr_err_set(err, TR_E_UNAVAIL, "an agent could not be registered", "%s", e.failed);
	return rc;
}

TR_RC tr_wire_save(const char *path, const struct tr_wire_id *ids, size_t n, struct tr_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool ok = f != NULL;

	for (size_t i = 0; i < n && ok; i++)
		ok = PEM_write_PrivateKey(f, ids[i].key, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_X509(f, ids[i].cert) == 1;
	if (f)
		ok = fclose(f) == 0 && ok;
	return ok ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "the fleet's file cannot be written", "%s: %s", path, strerror(errno));
}

TR_RC tr_wire_load(const char *path, struct tr_wire_id *ret, size_t max, size_t *ret_n, struct tr_err *err)
{
	FILE *f = fopen(path, "re");
	enum tr_code rc = TR_OK;

	*ret_n = 0;
	if (!f)
		return tr_err_set(err, TR_E_NOTFOUND, "the fleet's file cannot be read", "%s: %s", path, strerror(errno));
	while (*ret_n < max && !rc) {
		struct tr_wire_id *id = &ret[*ret_n];
		BIO *bio;
		char *pem = NULL;
		long n;

		id->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		if (!id->key)
			break;
		id->cert = PEM_read_X509(f, NULL, NULL, NULL);
		bio = BIO_new(BIO_s_mem());
		if (!id->cert || !bio || PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL) != 1 ||
		    (n = BIO_get_mem_data(bio, &pem)) <= 0 || tr_privkey_from_pem(tr_view(pem, (size_t)n), &id->device, err))
			rc = tr_err_set(err, TR_E_INVALID, "the fleet's file is damaged", "%s, agent %zu", path, *ret_n);
		BIO_free(bio);
		(*ret_n)++;
	}
	(void)fclose(f);
	return rc;
}
