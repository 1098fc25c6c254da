/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl over OpenSSL: one easy handle, so one keep-alive connection. Redirects and proxies are not followed: the
 * server is the one that the caller named and pinned. */
#include "http/client.h"

#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "http/strict.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdio.h>

#define URL_MAX 2048
#define CONNECT_S_MAX 15

struct tr_client {
	CURL *curl;
	char *base_url; /* without a trailing slash */
	size_t max_answer;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	uint8_t peer[TR_SHA256_LEN];
	bool has_peer, verified, peer_names_host; /* the last of them is about peer */
	char *spiffe;			   /* of the agent at the other end; NULL: a server */
	uint8_t peer_key[TR_SHA256_LEN];   /* an agent's */
	bool has_peer_key;
	/* of the running exchange */
	const struct tr_client_request *r;
	struct tr_client_answer *answer;
	struct tr_buf body;
	size_t sent;
	bool too_long, aborted, no_host, by_date;
	unsigned timeout_s;
	bool ignore_dates;
	const volatile sig_atomic_t *cancel;
};

TR_RC tr_client_global_init(struct tr_err *err)
{
	CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if (rc)
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "libcurl: %s", curl_easy_strerror(rc));
	/* The exporter and the certificate of the peer are read from an OpenSSL object. */
	if (!v->ssl_version || !strstr(v->ssl_version, "OpenSSL"))
		return tr_err_set(err, TR_E_INTERNAL, "libcurl must be the one with OpenSSL (libcurl4)",
				  "libcurl uses %s", v->ssl_version ? v->ssl_version : "no TLS");
	return TR_OK;
}

struct tr_client *tr_client_free(struct tr_client *c)
{
	if (!c)
		return NULL;
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	tr_buf_done(&c->body);
	free(c->base_url);
	free(c->spiffe);
	free(c);
	return NULL;
}

/* ---- callbacks ---- */

static size_t on_write(char *data, size_t one, size_t n, void *arg)
{
	struct tr_client *c = arg;

	(void)one;
	if (n > c->max_answer || c->answer->body.n > c->max_answer - n) {
		c->too_long = true;
		return 0;
	}
	tr_buf_add(&c->answer->body, data, n);
	return c->answer->body.failed ? 0 : n;
}

static size_t on_read(char *data, size_t one, size_t n, void *arg)
{
	struct tr_client *c = arg;
	size_t left = c->body.n - c->sent;

	n *= one;
	if (n > left)
		n = left;
	if (n)
		memcpy(data, c->body.p + c->sent, n);
	c->sent += n;
	return n;
}

/* A kept-alive connection that turned out dead is replaced by libcurl, which then sends from the start. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct tr_client *c = arg;

	if (origin != SEEK_SET || offset < 0 || (size_t)offset > c->body.n)
		return CURL_SEEKFUNC_FAIL;
	c->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static SSL *ssl_of(struct tr_client *c)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(c->curl, CURLINFO_TLS_SSL_PTR, &info) || !info ||
	    info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

/* For a certificate that names no host libcurl falls back to the common name, which RFC 9525 forbids: any party with a
 * certificate of our CA could be the server whose name it chose for itself. */
static bool names_host(struct tr_view der)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_err err;

	return !tr_cert_parse(der, &cert, &err) && tr_cert_names_host(cert);
}

/* The chain was checked; whose certificate it is was not. */
static bool is_agent(struct tr_client *c, struct tr_view der)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_err err;

	c->has_peer_key = false;
	if (tr_cert_parse(der, &cert, &err) || !tr_cert_key(cert) || strcmp(tr_cert_spiffe(cert), c->spiffe) != 0)
		return false;
	memcpy(c->peer_key, tr_pubkey_id(tr_cert_key(cert)), sizeof(c->peer_key));
	c->has_peer_key = true;
	return true;
}

static void remember_peer(struct tr_client *c, const SSL *ssl)
{
	X509 *x = SSL_get1_peer_certificate(ssl);
	unsigned char *der = NULL;
	int n = x ? i2d_X509(x, &der) : -1;
	uint8_t sum[TR_SHA256_LEN];

	c->no_host = c->verified;
	if (n > 0) {
		tr_sha256(tr_view(der, (size_t)n), sum);
		/* A kept-alive connection shows the same one with every request: looked into once. */
		if (!c->peer_names_host || memcmp(sum, c->peer, sizeof(sum)) != 0)
			c->peer_names_host = c->spiffe ? is_agent(c, tr_view(der, (size_t)n)) :
							  names_host(tr_view(der, (size_t)n));
		memcpy(c->peer, sum, sizeof(sum));
		c->has_peer = true;
		c->no_host = c->verified && !c->peer_names_host;
	}
	OPENSSL_free(der);
	X509_free(x);
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	const struct tr_client *c = arg;

	(void)a;
	(void)b;
	(void)d;
	(void)e;
	return *c->cancel != 0;
}

/* Before each handshake. The parameters of the context are inherited by its connection, chain check included. */
static CURLcode on_context(CURL *curl, void *ctx, void *arg)
{
	const struct tr_client *c = arg;
	X509_VERIFY_PARAM *p = SSL_CTX_get0_param(ctx);

	(void)curl;
	/* A time that was set wins over the flag: never both. */
	if (c->ignore_dates)
		return X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_NO_CHECK_TIME) == 1 ? CURLE_OK : CURLE_SSL_CONNECT_ERROR;
	if (c->r->verify_time_ms)
		X509_VERIFY_PARAM_set_time(p, (time_t)(c->r->verify_time_ms / 1000));
	return CURLE_OK;
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *l = curl_slist_append(*list, line);

	if (!l)
		return false;
	*list = l;
	return true;
}

/* "Name: value" that cannot become two headers. */
static bool is_header(const char *line)
{
	const char *colon = strchr(line, ':');

	return colon && tr_http_is_token(tr_view(line, (size_t)(colon - line))) &&
	       tr_http_is_value(tr_view_str(colon + 1));
}

/* The list is made anew for each attempt because the length of the body is known only then. */
static bool set_headers(struct tr_client *c)
{
	const struct tr_client_request *r = c->r;
	struct curl_slist *l = NULL;
	tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT;
	bool ok = add_header(&l, "Expect:") && add_header(&l, "Accept:");

	if (r->content_type) {
		tr_buf_addf(&line, "Content-Type: %s", r->content_type);
		ok = ok && is_header(tr_buf_cstr(&line)) && add_header(&l, tr_buf_cstr(&line));
	}
	if (r->bearer) {
		tr_buf_clear(&line);
		tr_buf_addf(&line, "Authorization: Bearer %s", r->bearer);
		ok = ok && is_header(tr_buf_cstr(&line)) && add_header(&l, tr_buf_cstr(&line));
	}
	for (const char *const *h = r->headers; h && *h; h++)
		ok = ok && is_header(*h) && add_header(&l, *h);
	if (r->body_fn) {
		/* libcurl decides between a length and chunks before it connects, when there is no length yet. An empty
		 * Transfer-Encoding takes the chunks back, and the length comes from here. */
		char length[48];

		(void)snprintf(length, sizeof(length), "Content-Length: %zu", c->body.n);
		ok = ok && add_header(&l, "Transfer-Encoding:") && add_header(&l, length);
	}
	if (line.p)
		tr_wipe(line.p, line.cap); /* held the token */
	if (!ok) {
		curl_slist_free_all(l);
		return false;
	}
	(void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, l);
	curl_slist_free_all(c->headers);
	c->headers = l;
	return true;
}

static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct tr_client *c = arg;
	SSL *ssl = ssl_of(c);
	uint8_t exporter[32];

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (!ssl)
		return CURL_PREREQFUNC_ABORT;
	remember_peer(c, ssl);
	if (c->no_host)
		return CURL_PREREQFUNC_ABORT;
	if (!c->r->body_fn)
		return CURL_PREREQFUNC_OK;
	/* RFC 9266: no context; with TLS 1.3 that is the same as an empty one. */
	if (SSL_export_keying_material(ssl, exporter, sizeof(exporter), "EXPORTER-Channel-Binding",
				       strlen("EXPORTER-Channel-Binding"), NULL, 0, 0) != 1)
		return CURL_PREREQFUNC_ABORT;
	tr_buf_clear(&c->body);
	c->sent = 0;
	if (!c->r->body_fn(c->r->arg, exporter, &c->body) || !tr_buf_ok(&c->body) || !set_headers(c)) {
		c->aborted = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

/* ---- set-up ---- */

static bool set_blob(CURL *curl, CURLoption option, struct tr_view v)
{
	struct curl_blob b = { .data = (void *)(uintptr_t)v.p, .len = v.n, .flags = CURL_BLOB_COPY };

	return curl_easy_setopt(curl, option, &b) == CURLE_OK;
}

static bool configure(struct tr_client *c, const struct tr_client_config *cfg)
{
	CURL *h = c->curl;
	long timeout = (long)cfg->timeout_s;
	bool ok = true;

#define SET(option, value) (ok = ok && curl_easy_setopt(h, option, value) == CURLE_OK)
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)(CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3));
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_MAXCONNECTS, 1L);
	SET(CURLOPT_CONNECTTIMEOUT, timeout && timeout < CONNECT_S_MAX ? timeout : (long)CONNECT_S_MAX);
	SET(CURLOPT_USERAGENT, cfg->user_agent ? cfg->user_agent : "troth");
	/* Never the certificates of the system: a public CA must not be able to speak for our server. */
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CAINFO, NULL);
	c->verified = cfg->ca_pem.n != 0;
	if (c->verified) {
		ok = ok && set_blob(h, CURLOPT_CAINFO_BLOB, cfg->ca_pem);
		if (cfg->spiffe)
			SET(CURLOPT_SSL_VERIFYHOST, 0L);
	} else {
		SET(CURLOPT_SSL_VERIFYPEER, 0L);
		SET(CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (cfg->cert_pem.n) {
		ok = ok && set_blob(h, CURLOPT_SSLCERT_BLOB, cfg->cert_pem);
		ok = ok && set_blob(h, CURLOPT_SSLKEY_BLOB, cfg->key_pem);
	}
	SET(CURLOPT_SSL_CTX_FUNCTION, on_context);
	SET(CURLOPT_SSL_CTX_DATA, c);
	if (cfg->cancel) {
		SET(CURLOPT_XFERINFOFUNCTION, on_progress);
		SET(CURLOPT_XFERINFODATA, c);
		SET(CURLOPT_NOPROGRESS, 0L);
	}
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_READFUNCTION, on_read);
	SET(CURLOPT_READDATA, c);
	SET(CURLOPT_SEEKFUNCTION, on_seek);
	SET(CURLOPT_SEEKDATA, c);
	SET(CURLOPT_PREREQFUNCTION, on_connected);
	SET(CURLOPT_PREREQDATA, c);
#undef SET
	return ok;
}

TR_RC tr_client_new(const struct tr_client_config *cfg, struct tr_client **ret, struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *c = NULL;
	size_t n = cfg->base_url ? strlen(cfg->base_url) : 0;

	if (n < sizeof("https://") || strncmp(cfg->base_url, "https://", 8) != 0)
		return tr_err_set(err, TR_E_INVALID, "a server address is https://HOST:PORT", "server address \"%s\"",
				  cfg->base_url ? cfg->base_url : "");
	c = calloc(1, sizeof(*c));
	if (!c)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "http client");
	while (n && cfg->base_url[n - 1] == '/')
		n--;
	c->base_url = strndup(cfg->base_url, n);
	c->spiffe = cfg->spiffe ? strdup(cfg->spiffe) : NULL;
	c->curl = curl_easy_init();
	c->max_answer = cfg->max_answer;
	c->timeout_s = cfg->timeout_s;
	c->ignore_dates = cfg->ignore_dates;
	c->cancel = cfg->cancel;
	/* Without a chain to check, a name in it says nothing. */
	if (cfg->spiffe && (!c->spiffe || !cfg->ca_pem.n))
		return tr_err_set(err, TR_E_INVALID, "an agent is called with the CA that is trusted", "no CA for %s", cfg->spiffe);
	if (!c->base_url || !c->curl || !configure(c, cfg))
		return tr_err_set(err, TR_E_INTERNAL, "internal error", "libcurl does not take our settings");
	*ret = TR_TAKE(c);
	return TR_OK;
}

/* ---- an exchange ---- */

static TR_RC certificate_error(struct tr_client *c, const char *url, struct tr_err *err)
{
	long why = X509_V_OK;

	(void)curl_easy_getinfo(c->curl, CURLINFO_SSL_VERIFYRESULT, &why);
	/* libcurl compares the name itself and has no code for it: "…subject name… target host name / ipv4 address". */
	if (strstr(c->error, "subject name"))
		why = X509_V_ERR_HOSTNAME_MISMATCH;
	switch (why) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return tr_err_set(err, TR_E_UNAUTH,
				  "the server's certificate is for another name: use an address that it names, or add "
				  "this one to the server's names",
				  "%s: %s", url, c->error);
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		c->by_date = true;
		return tr_err_set(err, TR_E_UNAUTH,
				  "the server's certificate is not valid at this time: check the clocks of both machines",
				  "%s: %s", url, c->error);
	default:
		return tr_err_set(err, TR_E_UNAUTH,
				  "the server's certificate is not signed by the CA that is trusted here: this is another "
				  "server, or it was set up anew",
				  "%s: %s", url, c->error);
	}
}

static TR_RC failure(struct tr_client *c, CURLcode rc, const char *url, struct tr_err *err)
{
	const char *what = c->error[0] ? c->error : curl_easy_strerror(rc);

	if (c->aborted)
		return tr_err_set(err, TR_E_INTERNAL, "the request could not be built", "%s: body aborted", url);
	if (c->no_host && c->spiffe)
		return tr_err_set(err, TR_E_UNAUTH, "the certificate at this address is another agent's than the one that is called",
				  "%s: not %s", url, c->spiffe);
	if (c->no_host)
		return tr_err_set(err, TR_E_UNAUTH,
				  "the certificate at this address is not a server's: somebody else of the fleet answers there",
				  "%s: it names no host", url);
	if (c->too_long)
		return tr_err_set(err, TR_E_INVALID, "the server's answer is too long", "%s: over %zu bytes", url,
				  c->max_answer);
	switch (rc) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return tr_err_set(err, TR_E_UNAVAIL, "the server's name does not resolve: check the address and the DNS",
				  "%s: %s", url, what);
	case CURLE_COULDNT_CONNECT:
		return tr_err_set(err, TR_E_UNAVAIL,
				  "nothing listens at the server's address: is trothd running there, and is the port right?",
				  "%s: %s", url, what);
	case CURLE_ABORTED_BY_CALLBACK:
		return tr_err_set(err, TR_E_UNAVAIL, "the exchange was cancelled", "%s: cancelled", url);
	case CURLE_OPERATION_TIMEDOUT:
		return tr_err_set(err, TR_E_UNAVAIL,
				  "the server does not answer in time: check the network and firewalls on the way",
				  "%s: %s", url, what);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return certificate_error(c, url, err);
	case CURLE_SSL_CERTPROBLEM:
		return tr_err_set(err, TR_E_INVALID, "the own certificate or key does not load", "%s: %s", url, what);
	case CURLE_SSL_CACERT_BADFILE:
		return tr_err_set(err, TR_E_INVALID, "the trusted CA certificate does not load", "%s: %s", url, what);
	case CURLE_SSL_CONNECT_ERROR:
		return tr_err_set(err, TR_E_UNAVAIL,
				  "no TLS 1.3 connection comes about: does a Troth server listen at this port?", "%s: %s",
				  url, what);
	case CURLE_URL_MALFORMAT:
		return tr_err_set(err, TR_E_INVALID, "a server address is https://HOST:PORT", "%s: %s", url, what);
	case CURLE_OUT_OF_MEMORY:
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "%s: %s", url, what);
	default:
		return tr_err_set(err, TR_E_UNAVAIL, "the connection to the server broke: try again", "%s: %s", url,
				  what);
	}
}

static bool set_request(struct tr_client *c, const struct tr_client_request *r, const char *url)
{
	CURL *h = c->curl;
	bool has_body = r->body_fn || r->body.n || strcmp(r->method, "POST") == 0;
	bool ok = curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK;

#define SET(option, value) (ok = ok && curl_easy_setopt(h, option, value) == CURLE_OK)
	SET(CURLOPT_TIMEOUT_MS, r->timeout_ms ? (long)r->timeout_ms : (long)c->timeout_s * 1000);
	SET(CURLOPT_CUSTOMREQUEST, NULL);
	SET(CURLOPT_NOBODY, 0L);
	SET(CURLOPT_HTTPGET, 1L);
	if (has_body) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, r->body_fn ? NULL : r->body.n ? (const char *)r->body.p : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, r->body_fn ? (curl_off_t)-1 : (curl_off_t)r->body.n);
	}
	if (strcmp(r->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (strcmp(r->method, has_body ? "POST" : "GET") != 0)
		SET(CURLOPT_CUSTOMREQUEST, r->method);
#undef SET
	return ok;
}

static void read_answer(struct tr_client *c, struct tr_client_answer *a)
{
	long status = 0;
	char *type = NULL;
	curl_off_t retry = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
	(void)curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &retry);
	a->status = (int)status;
	(void)snprintf(a->content_type, sizeof(a->content_type), "%s", type ? type : "");
	a->retry_after_s = retry > 0 && retry < UINT32_MAX ? (unsigned)retry : 0;
}

TR_RC tr_client_do(struct tr_client *c, const struct tr_client_request *r, struct tr_client_answer *ret,
		   struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	char url[URL_MAX];
	CURLcode rc;
	int n = snprintf(url, sizeof(url), "%s%s", c->base_url, r->path);

	if (n < 0 || (size_t)n >= sizeof(url) || r->path[0] != '/' || !tr_http_is_token(tr_view_str(r->method)))
		return tr_err_set(err, TR_E_INVALID, "the request path is not acceptable", "%s %s", r->method, r->path);
	c->r = r;
	c->answer = &a;
	c->sent = 0;
	c->has_peer = c->too_long = c->aborted = c->no_host = c->by_date = false;
	c->error[0] = '\0';
	tr_buf_clear(&c->body);
	if (!set_request(c, r, url) || !set_headers(c))
		return tr_err_set(err, TR_E_INVALID, "the request could not be built", "%s %s", r->method, url);
	rc = curl_easy_perform(c->curl);
	c->r = NULL;
	c->answer = NULL;
	if (rc)
		return failure(c, rc, url, err);
	read_answer(c, &a);
	*ret = a;
	a = (struct tr_client_answer){ 0 };
	return TR_OK;
}

void tr_client_answer_done(struct tr_client_answer *a)
{
	tr_buf_done(&a->body);
	*a = (struct tr_client_answer){ 0 };
}

bool tr_client_peer_sha256(struct tr_client *c, uint8_t out[32])
{
	if (c->has_peer)
		memcpy(out, c->peer, sizeof(c->peer));
	return c->has_peer;
}

bool tr_client_peer_key_id(struct tr_client *c, uint8_t out[32])
{
	if (c->has_peer_key)
		memcpy(out, c->peer_key, sizeof(c->peer_key));
	return c->has_peer_key;
}

bool tr_client_failed_by_date(const struct tr_client *c)
{
	return c->by_date;
}
