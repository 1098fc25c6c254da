/* SPDX-License-Identifier: Apache-2.0 */
/* The signing service against a double of it in a child process; the attestation server is tests/e2e's. */
#include "agent/tee_secretvm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/hash.h"
#include "signed/request_sig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum mood { WELL, STATUS_500, NONSENSE, OTHER_BYTES, ENDLESS, SILENT_END, NO_HEADER };

struct service {
	int fd;
	unsigned port;
	pid_t pid;
	struct tr_privkey *key;
};

/* The payload as the service reads it; escapes of our own writer only. */
static void payload_of(const char *request, struct tr_buf *ret)
{
	const char *at = strstr(request, "\"payload\":\"");

	assert_non_null(at);
	assert_non_null(strstr(request, "\"key_type\":\"ed25519\""));
	for (at += 11; *at != '"'; at++) {
		if (*at == '\\')
			tr_buf_add8(ret, *++at == 'n' ? '\n' : (uint8_t)*at);
		else
			tr_buf_add8(ret, (uint8_t)*at);
	}
}

static void answer(const struct service *s, enum mood mood, int fd, const char *request)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, out = TR_BUF_INIT;
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err;
	size_t n = 0;

	payload_of(request, &payload);
	if (mood == OTHER_BYTES)
		tr_buf_add8(&payload, '!');
	if (tr_sign(s->key, TR_SIG_ED25519, tr_buf_view(&payload), sig, &n, &err))
		_exit(1);
	if (mood == SILENT_END)
		return;
	tr_buf_adds(&out, mood == STATUS_500 ? "HTTP/1.1 500 No\r\n\r\n" : mood == NO_HEADER ? "" : "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
	if (mood == NONSENSE)
		tr_buf_adds(&out, "{\"signature\":");
	for (unsigned i = 0; mood == ENDLESS && i < 10000; i++)
		tr_buf_adds(&out, "{}");
	tr_buf_adds(&out, "{\"signature\":\"");
	tr_b64_add(&out, tr_view(sig, n), TR_B64_STD);
	tr_buf_adds(&out, "\"}");
	(void)send(fd, out.p, out.n, MSG_NOSIGNAL);
}

static void serve(const struct service *s, enum mood mood)
{
	while (true) {
		char request[8192] = "";
		size_t n = 0;
		int fd = accept(s->fd, NULL, NULL);

		while (fd >= 0 && n < sizeof(request) - 1 && !strstr(request, "\"}")) {
			ssize_t got = recv(fd, request + n, sizeof(request) - 1 - n, 0);

			if (got <= 0)
				break;
			n += (size_t)got;
			request[n] = '\0';
		}
		answer(s, mood, fd, request);
		(void)close(fd);
	}
}

static void start(struct service *s, enum mood mood)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	struct tr_err err;

	*s = (struct service){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 4), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &s->key, &err), TR_OK);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid) {
		serve(s, mood);
		_exit(0);
	}
}

static void service_done(struct service *s)
{
	if (s->pid > 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
	}
	(void)tr_close(s->fd);
	s->key = tr_privkey_free(s->key);
}
TR_DEFINE_AUTO_DONE(struct service, service_done)

static struct tr_privkey *key_of(const struct service *s)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_privkey *k = NULL;
	struct tr_err err;
	char url[64];

	tr_pubkey_pem(tr_privkey_pub(s->key), &pem);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", s->port);
	assert_int_equal(tr_secretvm_key(url, tr_buf_view(&pem), &k, &err), TR_OK);
	return k;
}

/* What it is for: a request to the hub that the machine's key vouches for. */
static void a_request_is_signed_by_the_machine(void **state)
{
	const struct tr_request_sig q = {
		.method = TR_VIEW_LIT("GET"), .target = TR_VIEW_LIT("/api/v1/agents/discovery/b"), .agent = TR_VIEW_LIT("a"),
		.timestamp = TR_VIEW_LIT("1780272000"), .nonce = TR_VIEW_LIT("AAAAAAAAAAAAAAAAAAAAAA"),
	};
	tr_auto(service_done) struct service s;
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_err err;

	(void)state;
	start(&s, WELL);
	k = key_of(&s);
	assert_int_equal(tr_request_sig_make(&q, k, &sig, &err), TR_OK);
	assert_int_equal(tr_request_sig_verify(&q, tr_buf_view(&sig), tr_privkey_pub(s.key), &err), TR_OK);
}

static void what_it_cannot_sign_is_refused_here(void **state)
{
	static const uint8_t binary[] = { 0xff, 0xfe };
	tr_auto(service_done) struct service s;
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	static uint8_t big[5000];
	uint8_t sig[TR_SIG_MAX];
	struct tr_err err;
	size_t n;

	(void)state;
	start(&s, WELL);
	k = key_of(&s);
	memset(big, 'a', sizeof(big));
	assert_int_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_ARRAY(binary), sig, &n, &err), TR_E_INVALID);
	assert_int_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_ARRAY(big), sig, &n, &err), TR_E_INVALID);
	assert_int_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_LIT("a text"), sig, &n, &err), TR_OK);
}

static void a_service_that_answers_wrongly_gives_no_signature(void **state)
{
	static const enum mood moods[] = { STATUS_500, NONSENSE, OTHER_BYTES, ENDLESS, SILENT_END, NO_HEADER };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(moods); i++) {
		tr_auto(service_done) struct service s;
		tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
		uint8_t sig[TR_SIG_MAX];
		struct tr_err err;
		size_t n;

		start(&s, moods[i]);
		k = key_of(&s);
		assert_int_not_equal(tr_sign(k, TR_SIG_ED25519, TR_VIEW_LIT("text"), sig, &n, &err), TR_OK);
	}
}

static void its_address_is_on_this_machine(void **state)
{
	static const struct { const char *url; enum tr_code rc; } rows[] = {
		{ NULL, TR_OK },
		{ "http://127.0.0.1:1", TR_OK },
		{ "http://10.1.2.3:49153", TR_OK },
		{ "http://172.31.0.1:49153", TR_OK },
		{ "http://192.168.1.1:49153", TR_OK },
		{ "http://172.32.0.1:49153", TR_E_INVALID },
		{ "http://192.0.2.1:49153", TR_E_INVALID },
		{ "http://8.8.8.8:49153", TR_E_INVALID },
		{ "https://127.0.0.1:49153", TR_E_INVALID },
		{ "http://127.0.0.1", TR_E_INVALID },
		{ "http://127.0.0.1:0", TR_E_INVALID },
		{ "http://127.0.0.1:", TR_E_INVALID },
		{ "http://127.0.0.1:+80", TR_E_INVALID },
		{ "http://127.0.0.1:70000", TR_E_INVALID },
		{ "http://127.0.0.1:99999999999999999999", TR_E_INVALID },
		{ "http://127.0.0.1.127.0.0.1:80", TR_E_INVALID },
		{ "http://127.0.0.1:80/sign", TR_E_INVALID },
		{ "http://localhost:49153", TR_E_INVALID },
		{ "", TR_E_INVALID },
	};
	tr_auto(tr_privkey_free) struct tr_privkey *p256 = NULL, *ed = NULL;
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, other = TR_BUF_INIT;
	struct tr_privkey *k = NULL;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &ed, &err), TR_OK);
	assert_int_equal(tr_privkey_generate(TR_KEY_P256, &p256, &err), TR_OK);
	tr_pubkey_pem(tr_privkey_pub(ed), &pem);
	tr_pubkey_pem(tr_privkey_pub(p256), &other);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		if (tr_secretvm_key(rows[i].url, tr_buf_view(&pem), &k, &err) != rows[i].rc)
			fail_msg("%s: another outcome", rows[i].url);
		k = tr_privkey_free(k);
	}
	assert_int_equal(tr_secretvm_key(NULL, tr_buf_view(&other), &k, &err), TR_E_INVALID);
	assert_int_equal(tr_secretvm_key(NULL, TR_VIEW_LIT("no key"), &k, &err), TR_E_INVALID);
	assert_null(k);
}

static void an_attestation_servers_address_is_plain(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:1", "https://127.0.0.1:1/cpu", "https://u@127.0.0.1:1", "https://a?b",
					    "ftp://a", "" };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char closed[] = "https://127.0.0.1:1";
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(urls); i++) {
		char url[64];

		(void)snprintf(url, sizeof(url), "%s", urls[i]);
		assert_int_equal(tr_secretvm_fetch(url, "/cpu", 1000, &b, &err), TR_E_INVALID);
	}
	assert_int_equal(tr_secretvm_fetch(closed, "/cpu", 1000, &b, &err), TR_E_UNAVAIL);
	assert_int_equal(b.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_signed_by_the_machine),
		cmocka_unit_test(what_it_cannot_sign_is_refused_here),
		cmocka_unit_test(a_service_that_answers_wrongly_gives_no_signature),
		cmocka_unit_test(its_address_is_on_this_machine),
		cmocka_unit_test(an_attestation_servers_address_is_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
