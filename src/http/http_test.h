/* SPDX-License-Identifier: Apache-2.0 */
/* Test fixture of this folder: a PKI, and a server that runs in a child process with its loop; what it saw is in
 * shared memory. */
#ifndef TR_HTTP_TEST_H
#define TR_HTTP_TEST_H

#include "http/server.h"

#include "base/clock.h"
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define PEM_MAX 4096
#define SLOW_MS 50

/* ---- what the server side saw ---- */

struct seen {
	unsigned opens, closes, heads, requests, gones, quiesced;
	unsigned last_der_n, gone_without_head;
	uint8_t der[4096];
	uint8_t exporter[32];
	char source[64];
	struct tr_http_stats stats;
	uint64_t cpu_us;
	long rss_kib;
};
static struct seen *seen;

struct slow { /* an answer that comes later */
	struct tr_http_req *r;
	struct tr_watch *timer;
};

struct side {
	struct tr_loop *loop;
	struct tr_http *http;
	struct tr_watch *ticker;
};

static inline void *on_open(void *arg, struct tr_view der, struct tr_view exporter, const char *source)
{
	(void)arg;
	seen->opens++;
	seen->last_der_n = (unsigned)der.n;
	if (der.n && der.n <= sizeof(seen->der))
		memcpy(seen->der, der.p, der.n);
	memcpy(seen->exporter, exporter.p, 32);
	(void)snprintf(seen->source, sizeof(seen->source), "%s", source);
	return &seen->opens;
}

static inline void on_close(void *arg, void *conn)
{
	(void)arg;
	if (conn == &seen->opens)
		seen->closes++;
}

static inline int64_t on_head(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h)
{
	const struct tr_problem p = { .status = 403, .slug = "denied", .detail = "not here", .retry_after_s = 7 };

	(void)arg;
	(void)conn;
	seen->heads++;
	if (tr_view_is(h->path, "/refused")) {
		tr_http_respond_problem(r, &p, "req-1");
		return -1;
	}
	return tr_view_is(h->path, "/big") ? 1 << 20 : 1000;
}

static inline void answer(struct tr_http_req *r, struct tr_view body)
{
	static const char *const headers[] = { "X-Extra", "one", "X-Split", "a\r\nX-Evil: 1", NULL };

	tr_http_respond(r, &(struct tr_http_answer){
				   .status = 200, .content_type = "text/plain", .body = body, .headers = headers });
}

static inline void on_slow(void *arg)
{
	struct slow *s = arg;

	answer(s->r, TR_VIEW_LIT("late"));
}

static inline void on_req(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body)
{
	struct side *side = arg;
	struct tr_err err;
	struct slow *s;

	(void)conn;
	seen->requests++;
	if (tr_view_is(h->path, "/never"))
		return;
	if (tr_view_starts(h->path, "/slow")) {
		s = calloc(1, sizeof(*s));
		s->r = r;
		if (tr_watch_timer(side->loop, on_slow, s, &s->timer, &err))
			abort();
		tr_http_req_set_user(r, s);
		tr_timer_arm(s->timer, tr_view_is(h->path, "/slower") ? 1000 : SLOW_MS);
		return;
	}
	if (tr_view_is(h->path, "/quiesce"))
		(void)kill(getpid(), SIGUSR1);
	if (tr_view_is(h->path, "/query"))
		answer(r, h->query);
	else if (tr_view_is(h->path, "/agent"))
		answer(r, tr_http_header(r, "user-agent"));
	else
		answer(r, body);
}

static inline void on_gone(void *arg, struct tr_http_req *r)
{
	struct slow *s = tr_http_req_user(r);

	(void)arg;
	seen->gones++;
	if (s) {
		(void)tr_watch_free(s->timer);
		free(s);
	}
}

static inline void on_done(void *arg)
{
	struct side *side = arg;

	seen->quiesced++;
	tr_loop_stop(side->loop);
}

static inline void on_usr1(void *arg)
{
	struct side *side = arg;

	tr_http_quiesce(side->http, on_done, side);
}

static inline void on_term(void *arg)
{
	struct side *side = arg;

	tr_loop_stop(side->loop);
}

static inline void on_tick(void *arg)
{
	struct side *side = arg;
	struct rusage ru;

	tr_http_stats(side->http, &seen->stats);
	(void)getrusage(RUSAGE_SELF, &ru);
	seen->cpu_us = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
		       (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	tr_timer_arm(side->ticker, 20);
}

static const struct tr_http_ops ops = {
	.conn_open = on_open, .conn_close = on_close, .head = on_head, .request = on_req, .gone = on_gone,
};

/* ---- a test PKI ---- */

struct identity {
	char cert[PEM_MAX], key[PEM_MAX];
	uint8_t der[PEM_MAX];
	size_t der_n;
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t priv;
};
static struct identity ca, server_id, other_ca, client_p256, client_ed, client_rsa;

static inline void ok(int rc)
{
	if (rc < 0)
		fail_msg("GnuTLS: %s", gnutls_strerror(rc));
}

static inline void make(struct identity *id, const char *cn, gnutls_pk_algorithm_t pk, const struct identity *issuer)
{
	unsigned bits = pk == GNUTLS_PK_RSA ? 2048 :
			pk == GNUTLS_PK_ECDSA ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1) :
						GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519);
	size_t n;
	uint8_t serial[1] = { 7 };

	ok(gnutls_x509_privkey_init(&id->priv));
	ok(gnutls_x509_privkey_generate(id->priv, pk, bits, 0));
	ok(gnutls_x509_crt_init(&id->crt));
	ok(gnutls_x509_crt_set_version(id->crt, 3));
	ok(gnutls_x509_crt_set_serial(id->crt, serial, 1));
	ok(gnutls_x509_crt_set_dn_by_oid(id->crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)strlen(cn)));
	ok(gnutls_x509_crt_set_activation_time(id->crt, time(NULL) - 60));
	ok(gnutls_x509_crt_set_expiration_time(id->crt, time(NULL) + 3600));
	ok(gnutls_x509_crt_set_key(id->crt, id->priv));
	ok(gnutls_x509_crt_set_basic_constraints(id->crt, issuer ? 0 : 1, -1));
	ok(gnutls_x509_crt_set_key_usage(id->crt, issuer ? GNUTLS_KEY_DIGITAL_SIGNATURE : GNUTLS_KEY_KEY_CERT_SIGN));
	if (strcmp(cn, "server") == 0) {
		const uint8_t ip[4] = { 127, 0, 0, 1 };

		ok(gnutls_x509_crt_set_subject_alt_name(id->crt, GNUTLS_SAN_IPADDRESS, ip, 4, GNUTLS_FSAN_SET));
		ok(gnutls_x509_crt_set_key_purpose_oid(id->crt, GNUTLS_KP_TLS_WWW_SERVER, 0));
	}
	ok(gnutls_x509_crt_sign2(id->crt, issuer ? issuer->crt : id->crt, issuer ? issuer->priv : id->priv,
				 GNUTLS_DIG_SHA256, 0));
	n = sizeof(id->cert);
	ok(gnutls_x509_crt_export(id->crt, GNUTLS_X509_FMT_PEM, id->cert, &n));
	n = sizeof(id->key);
	ok(gnutls_x509_privkey_export_pkcs8(id->priv, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, id->key, &n));
	id->der_n = sizeof(id->der);
	ok(gnutls_x509_crt_export(id->crt, GNUTLS_X509_FMT_DER, id->der, &id->der_n));
}

static inline int make_pki(void **state)
{
	struct tr_err err;

	(void)state;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	assert_int_equal(tr_http_server_init(&err), TR_OK);
	assert_int_equal(tr_client_global_init(&err), TR_OK);
	make(&ca, "ca", GNUTLS_PK_ECDSA, NULL);
	make(&other_ca, "other", GNUTLS_PK_ECDSA, NULL);
	make(&server_id, "server", GNUTLS_PK_ECDSA, &ca);
	make(&client_p256, "p256", GNUTLS_PK_ECDSA, &ca);
	make(&client_ed, "ed", GNUTLS_PK_EDDSA_ED25519, &ca);
	make(&client_rsa, "rsa", GNUTLS_PK_RSA, &ca);
	return 0;
}

/* ---- the server process ---- */

static const struct tr_http_limits roomy = { .pool = 4096, .connections = 64, .headers = 20,
					     .idle_s = 30, .header_s = 5, .body_s = 5 };
static uint8_t ticket_key[TR_HTTP_TICKET_KEY_LEN] = { 1, 2, 3 };
static pid_t pid;
static unsigned port;

static inline void serve(int fd, const struct tr_http_limits *l)
{
	struct side side = { 0 };
	struct tr_watch *usr1, *term;
	struct tr_err err;
	struct tr_http_config c = {
		.listen_fd = fd,
		.cert_pem = tr_view_str(server_id.cert),
		.key_pem = tr_view_str(server_id.key),
		.ticket_key = TR_VIEW_ARRAY(ticket_key),
		.request_client_cert = true,
		.limits = *l,
		.ops = &ops,
		.arg = &side,
	};

	if (tr_loop_new(&side.loop, &err) || tr_http_new(side.loop, &c, &side.http, &err) ||
	    tr_watch_signal(side.loop, SIGUSR1, on_usr1, &side, &usr1, &err) ||
	    tr_watch_signal(side.loop, SIGTERM, on_term, &side, &term, &err) ||
	    tr_watch_timer(side.loop, on_tick, &side, &side.ticker, &err)) {
		(void)fprintf(stderr, "server: %s\n", err.detail);
		_exit(9);
	}
	on_tick(&side);
	tr_loop_run(side.loop);
	side.http = tr_http_free(side.http);
	side.ticker = tr_watch_free(side.ticker);
	usr1 = tr_watch_free(usr1);
	term = tr_watch_free(term);
	side.loop = tr_loop_free(side.loop);
}

static inline void start(const struct tr_http_limits *l)
{
	struct tr_err err;
	int fd;

	memset(seen, 0, sizeof(*seen));
	if (tr_listen("127.0.0.1:0", &fd, &port, &err))
		fail_msg("%s", err.detail);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		serve(fd, l);
		exit(0); /* not _exit: a leak checker reports here */
	}
	(void)close(fd);
}

/* Ends the server; it must leave in an orderly way, with every request gone. */
static inline void stop(void)
{
	int status = 0;

	(void)kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(seen->gones, seen->heads);
	assert_int_equal(seen->opens, seen->closes);
}

/* A failed test leaves its server behind. */
static inline int clean(void **state)
{
	(void)state;
	if (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	pid = 0;
	return 0;
}

static inline void nap(unsigned ms)
{
	(void)poll(NULL, 0, (int)ms);
}

static inline bool wait_for(const unsigned *what, unsigned value)
{
	for (int i = 0; i < 500 && *(const volatile unsigned *)what < value; i++)
		nap(10);
	return *(const volatile unsigned *)what >= value;
}

#endif
