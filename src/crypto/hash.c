/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include "crypto/ossl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#define MACHINE_PUB "the machine's cryptography does not work; see the log"

/* Written once, under pthread_once: libtroth may be called from threads. */
static struct {
	pthread_once_t once;
	OSSL_LIB_CTX *ctx;
	EVP_MD *sha256;
	bool ok;
} self = { .once = PTHREAD_ONCE_INIT };

enum tr_code tr_ossl_fail_at(struct tr_err *err, enum tr_code code, const char *pub, const char *file,
			     int line, const char *fmt, ...)
{
	char what[160];
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return tr_err_set_at(err, code, pub, file, line, "%s%s%s", what, reason ? ": openssl: " : "",
			     reason ? reason : "");
}

static void open_all(void)
{
	OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
	uint8_t byte;

	if (sodium_init() < 0 || !ctx || !OSSL_PROVIDER_load(ctx, "default"))
		return;
	self.sha256 = EVP_MD_fetch(ctx, "SHA2-256", NULL);
	/* Both generators seed themselves here, while the role may still do what seeding needs. */
	if (!self.sha256 || RAND_bytes_ex(ctx, &byte, 1, 0) != 1 || RAND_priv_bytes_ex(ctx, &byte, 1, 0) != 1)
		return;
	self.ctx = ctx;
	self.ok = true;
}

static void need(void)
{
	(void)pthread_once(&self.once, open_all);
	/* Without SHA-256 nothing that follows could be checked. */
	if (!self.ok)
		abort();
}

OSSL_LIB_CTX *tr_ossl_ctx(void)
{
	need();
	return self.ctx;
}

const EVP_MD *tr_ossl_sha256(void)
{
	need();
	return self.sha256;
}

/* One turn of everything a sandboxed role does, so that each lazily made table exists before the filter. */
static TR_RC warm_key(enum tr_key_type type, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *ca_key = NULL;
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	tr_auto(tr_cert_free) struct tr_cert *c = NULL;
	tr_auto(tr_ca_set_free) struct tr_ca_set *cas = NULL;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf leaf = TR_BUF_INIT;
	struct tr_cert_spec spec = { .common_name = "warm CA", .not_after_ms = 86400000, .ca = true };
	struct tr_view ca;
	enum tr_code rc = tr_privkey_generate(type, &ca_key, err);

	if (!rc)
		rc = tr_privkey_generate(type, &k, err);
	if (!rc)
		rc = tr_csr_make(k, &der, err);
	if (!rc)
		rc = tr_csr_check(tr_buf_view(&der), &pub, err);
	if (rc)
		return rc;
	tr_buf_clear(&der);
	spec.spki = tr_pubkey_spki(tr_privkey_pub(ca_key));
	rc = tr_cert_issue(ca_key, tr_view(NULL, 0), &spec, &der, err);
	if (rc)
		return rc;
	ca = tr_buf_view(&der);
	spec.ca = false;
	spec.common_name = "warm";
	spec.spki = tr_pubkey_spki(pub);
	spec.client_auth = spec.server_auth = true;
	spec.spiffe = "spiffe://warm/agent/warm";
	rc = tr_cert_issue(ca_key, ca, &spec, &leaf, err);
	if (!rc)
		rc = tr_ca_set_new(&ca, 1, &cas, err);
	if (!rc)
		rc = tr_cert_parse(tr_buf_view(&leaf), &c, err);
	return rc ? rc : tr_cert_check(c, NULL, 0, cas, TR_USE_AGENT, "warm", 43200000, err);
}

TR_RC tr_crypto_init(struct tr_err *err)
{
	/* The default context, which libcurl shares in our programs, stays without openssl.cnf and its
	 * engines. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	(void)pthread_once(&self.once, open_all);
	if (!self.ok)
		return tr_ossl_fail(err, TR_E_INTERNAL, MACHINE_PUB,
				    "no libsodium, default provider or random source");
	/* RSA is left out: its 2048-bit generation takes 100 ms and P-256 walks the same code paths. */
	if (warm_key(TR_KEY_ED25519, err) || warm_key(TR_KEY_P256, err))
		return tr_err_wrap(err, "crypto self-test");
	return TR_OK;
}

static void sha256_must(int ok)
{
	/* A digest fails only without memory, and no caller could go on without it. */
	if (ok != 1)
		abort();
}

void tr_sha256(struct tr_view in, uint8_t out[TR_SHA256_LEN])
{
	tr_auto(EVP_MD_CTX_free) EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (c && EVP_DigestInit_ex2(c, tr_ossl_sha256(), NULL) == 1 && EVP_DigestUpdate(c, in.p, in.n) == 1 &&
	    EVP_DigestFinal_ex(c, out, NULL) == 1)
		return;
	/* OpenSSL's is the faster one where the CPU knows SHA-256; libsodium's needs no memory and cannot fail. */
	(void)crypto_hash_sha256(out, in.p, in.n);
}

struct tr_sha256 {
	EVP_MD_CTX *c;
};

struct tr_sha256 *tr_sha256_new(void)
{
	struct tr_sha256 *h = calloc(1, sizeof(*h));

	sha256_must(h && (h->c = EVP_MD_CTX_new()) && EVP_DigestInit_ex2(h->c, tr_ossl_sha256(), NULL) == 1);
	return h;
}

void tr_sha256_add(struct tr_sha256 *h, struct tr_view in)
{
	sha256_must(EVP_DigestUpdate(h->c, in.p, in.n));
}

void tr_sha256_end(struct tr_sha256 *h, uint8_t out[TR_SHA256_LEN])
{
	sha256_must(EVP_DigestFinal_ex(h->c, out, NULL));
}

struct tr_sha256 *tr_sha256_free(struct tr_sha256 *h)
{
	if (h) {
		EVP_MD_CTX_free(h->c);
		free(h);
	}
	return NULL;
}

TR_RC tr_sha256_fd(int fd, uint8_t out[TR_SHA256_LEN], uint64_t *ret_size, struct tr_err *err)
{
	tr_auto(tr_sha256_free) struct tr_sha256 *h = tr_sha256_new();
	tr_auto(tr_free) uint8_t *chunk = malloc(65536);
	uint64_t at = 0;

	if (!chunk)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "no buffer to hash a file with");
	for (;;) {
		ssize_t n = pread(fd, chunk, 65536, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tr_err_errno(err, "read the file to hash");
		if (n == 0)
			break;
		tr_sha256_add(h, tr_view(chunk, (size_t)n));
		at += (uint64_t)n;
	}
	tr_sha256_end(h, out);
	*ret_size = at;
	return TR_OK;
}

void tr_hmac_sha256(struct tr_view key, struct tr_view in, uint8_t out[TR_SHA256_LEN])
{
	crypto_auth_hmacsha256_state st;

	need();
	(void)crypto_auth_hmacsha256_init(&st, key.p, key.n);
	(void)crypto_auth_hmacsha256_update(&st, in.p, in.n);
	(void)crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof(st));
}

TR_RC tr_hkdf_sha256(struct tr_view ikm, struct tr_view salt, struct tr_view info, uint8_t *out,
		     size_t out_len, struct tr_err *err)
{
	static const uint8_t no_salt[TR_SHA256_LEN];
	crypto_auth_hmacsha256_state st;
	uint8_t prk[TR_SHA256_LEN], block[TR_SHA256_LEN];
	size_t done = 0;

	if (out_len > 255 * (size_t)TR_SHA256_LEN)
		return tr_err_set(err, TR_E_INVALID, "more key bytes asked than HKDF gives", "%zu bytes",
				  out_len);
	/* RFC 5869 2.2: no salt is a string of zeros as long as the hash. */
	tr_hmac_sha256(salt.n ? salt : TR_VIEW_ARRAY(no_salt), ikm, prk);
	for (uint8_t i = 1; done < out_len; i++) {
		size_t n = out_len - done < TR_SHA256_LEN ? out_len - done : TR_SHA256_LEN;

		(void)crypto_auth_hmacsha256_init(&st, prk, sizeof(prk));
		if (i > 1)
			(void)crypto_auth_hmacsha256_update(&st, block, sizeof(block));
		(void)crypto_auth_hmacsha256_update(&st, info.p, info.n);
		(void)crypto_auth_hmacsha256_update(&st, &i, 1);
		(void)crypto_auth_hmacsha256_final(&st, block);
		memcpy(out + done, block, n);
		done += n;
	}
	sodium_memzero(prk, sizeof(prk));
	sodium_memzero(block, sizeof(block));
	sodium_memzero(&st, sizeof(st));
	return TR_OK;
}

void tr_random(void *out, size_t n)
{
	uint8_t *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}
