/* SPDX-License-Identifier: Apache-2.0 */
/* The cryptography of one native registration, by itself: each operation as the server performs it, in CPU time of
 * this thread. Prints JSON in nanoseconds. "handshake" is the server's half of a TLS 1.3 handshake in memory.
 *
 *   crypto CERT.pem KEY.pem */
#include "base/clock.h"
#include "crypto/x509.h"
#include "signed/claim.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>

#define ROUNDS 400

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "crypto: %s failed\n", what);
	exit(1);
}

/* ---- handshake ---- */

struct end {
	struct tr_buf *from, *to;
	size_t at;
};

static ssize_t push(gnutls_transport_ptr_t p, const void *data, size_t n)
{
	struct end *e = p;

	tr_buf_add(e->to, data, n);
	return (ssize_t)n;
}

static ssize_t pull(gnutls_transport_ptr_t p, void *data, size_t n)
{
	struct end *e = p;
	size_t left = e->from->n - e->at;

	if (!left) {
		errno = EAGAIN;
		return -1;
	}
	if (n > left)
		n = left;
	memcpy(data, e->from->p + e->at, n);
	e->at += n;
	return (ssize_t)n;
}

static gnutls_session_t session(unsigned flags, gnutls_certificate_credentials_t creds, struct end *e)
{
	gnutls_session_t s;

	must(gnutls_init(&s, flags | GNUTLS_NONBLOCK) == 0 &&
		     gnutls_priority_set_direct(s, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL) == 0 &&
		     gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, creds) == 0, "TLS session");
	gnutls_transport_set_ptr(s, e);
	gnutls_transport_set_push_function(s, push);
	gnutls_transport_set_pull_function(s, pull);
	return s;
}

static int64_t handshake(gnutls_certificate_credentials_t creds, gnutls_certificate_credentials_t none)
{
	tr_auto(tr_buf_done) struct tr_buf up = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf down = TR_BUF_INIT;
	struct end server = { &up, &down, 0 }, client = { &down, &up, 0 };
	gnutls_session_t s = session(GNUTLS_SERVER, creds, &server);
	gnutls_session_t c = session(GNUTLS_CLIENT, none, &client);
	int64_t spent = 0;
	int sr = GNUTLS_E_AGAIN, cr = GNUTLS_E_AGAIN;

	gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	for (int i = 0; i < 20 && (sr || cr); i++) {
		if (cr)
			cr = gnutls_handshake(c);
		if (sr) {
			int64_t start = cpu_ns();

			sr = gnutls_handshake(s);
			spent += cpu_ns() - start;
		}
	}
	must(sr == 0 && cr == 0, "handshake");
	gnutls_deinit(c);
	gnutls_deinit(s);
	return spent;
}

static int64_t time_handshakes(const char *cert, const char *key)
{
	gnutls_certificate_credentials_t creds = NULL, none = NULL;
	int64_t sum = 0;

	must(gnutls_certificate_allocate_credentials(&creds) == 0 &&
		     gnutls_certificate_allocate_credentials(&none) == 0 &&
		     gnutls_certificate_set_x509_key_file(creds, cert, key, GNUTLS_X509_FMT_PEM) == 0, "server key");
	(void)handshake(creds, none);
	for (int i = 0; i < ROUNDS; i++)
		sum += handshake(creds, none);
	gnutls_certificate_free_credentials(creds);
	gnutls_certificate_free_credentials(none);
	return sum / ROUNDS;
}

/* ---- signatures ---- */

int main(int argc, char **argv)
{
	tr_auto(tr_privkey_free) struct tr_privkey *device = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL;
	tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf claim = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ca_der = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *ca = NULL;
	uint8_t bytes[32] = { 7 };
	int64_t now = tr_now_ms(), start, csr_ns, claim_ns, issue_ns;
	const struct tr_claim m = { .node_id = TR_VIEW_LIT("bench-00000"), .version = TR_VIEW_LIT("1.2.3"),
				    .timestamp_ms = now, .challenge = TR_VIEW_ARRAY(bytes),
				    .exporter = TR_VIEW_ARRAY(bytes) };
	struct tr_cert_spec spec = { .common_name = "bench", .not_before_ms = now, .not_after_ms = now + 86400000 };
	struct tr_err err = { 0 };

	must(argc == 3, "usage: crypto CERT KEY, which");
	must(!tr_crypto_init(&err) && !tr_privkey_generate(TR_KEY_ED25519, &device, &err) &&
		     !tr_privkey_generate(TR_KEY_ED25519, &ca_key, &err) && !tr_csr_make(device, &csr, &err) &&
		     !tr_claim_sign(&m, device, &claim, &err), "keys");
	spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	spec.ca = true;
	must(!tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &ca_der, &err) &&
		     !tr_cert_parse(tr_buf_view(&ca_der), &ca, &err), "CA");
	spec.ca = false;
	spec.not_after_ms -= 3600000;
	spec.common_name = "bench-00000";
	spec.client_auth = true;
	spec.spki = tr_pubkey_spki(tr_privkey_pub(device));
	spec.spiffe = "spiffe://bench.example/agent/bench-00000";

	start = cpu_ns();
	for (int i = 0; i < ROUNDS; i++) {
		tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;

		must(!tr_csr_check(tr_buf_view(&csr), &k, &err), "request");
	}
	csr_ns = (cpu_ns() - start) / ROUNDS;
	start = cpu_ns();
	for (int i = 0; i < ROUNDS; i++) {
		struct tr_claim got;

		must(!tr_claim_verify(tr_buf_view(&claim), tr_privkey_pub(device), &got, &err), "claim");
	}
	claim_ns = (cpu_ns() - start) / ROUNDS;
	start = cpu_ns();
	for (int i = 0; i < ROUNDS; i++) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;

		must(!tr_cert_issue_by(ca_key, ca, &spec, &der, &err), "issue");
	}
	issue_ns = (cpu_ns() - start) / ROUNDS;
	printf("{\"handshake\": %lld, \"csr\": %lld, \"claim\": %lld, \"issue\": %lld}\n",
	       (long long)time_handshakes(argv[1], argv[2]), (long long)csr_ns, (long long)claim_ns,
	       (long long)issue_ns);
	return 0;
}
