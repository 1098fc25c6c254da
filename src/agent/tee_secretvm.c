/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tee_secretvm.h"

#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define TIMEOUT_S 15 /* its attestation tool has ten */
#define ANSWER_MAX 8192
#define PAYLOAD_MAX 4096

/* ---- the attestation server ---- */

static TR_RC fetch_one(const char *url, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *c = NULL;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	const struct tr_client_config conf = { .base_url = url, .user_agent = "troth-agent", .timeout_s = TIMEOUT_S,
					       .max_answer = max };
	const struct tr_client_request req = { .method = "GET", .path = path };

	if (tr_client_new(&conf, &c, err) || tr_client_do(c, &req, &a, err))
		return err->code;
	if (a.status != 200)
		/* Somebody answers: another port would be somebody else. */
		return tr_err_set(err, TR_E_DENIED, "The SecretVM's attestation server has no quote.", "%s%s: status %d", url,
				  path, a.status);
	tr_buf_addv(ret, tr_buf_view(&a.body));
	return tr_buf_check(ret, err);
}

TR_RC tr_secretvm_fetch_from(const char *host, const unsigned *ports, size_t n_ports, const char *path, size_t max,
			     struct tr_buf *ret, struct tr_err *err)
{
	enum tr_code rc = tr_err_set(err, TR_E_INVALID, "No port to ask the SecretVM at.", "%s", host);

	for (size_t i = 0; i < n_ports; i++) {
		char url[300];

		(void)snprintf(url, sizeof(url), "https://%.256s:%u", host, ports[i]);
		rc = fetch_one(url, path, max, ret, err);
		if (rc != TR_E_UNAVAIL)
			break;
	}
	return rc;
}

enum tr_code tr_secretvm_fetch(void *arg, const char *path, size_t max, struct tr_buf *ret, struct tr_err *err)
{
	static const unsigned ports[] = { 29343, 21434 };
	const char *url = arg ? arg : "https://" TR_SECRETVM_HOST, *host;

	if (strncmp(url, "https://", 8) != 0 || strpbrk(url + 8, "/@?#%"))
		return tr_err_set(err, TR_E_INVALID, "A SecretVM's address is https://HOST or https://HOST:PORT.", "%s", url);
	host = url + 8;
	/* A colon behind the brackets of IPv6, or the only one, is that of a port. */
	if (strrchr(host, ':') && (!strchr(host, '[') || strrchr(host, ':') > strrchr(host, ']')))
		return fetch_one(url, path, max, ret, err);
	return tr_secretvm_fetch_from(host, ports, TR_ARRAY_LEN(ports), path, max, ret, err);
}

/* ---- the signing service: plain HTTP, which http/client.h does not speak for good reason ---- */

struct service {
	struct sockaddr_in to;
};

/* http://A.B.C.D:PORT of this machine or its bridge. */
static TR_RC address(const char *url, struct sockaddr_in *ret, struct tr_err *err)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *from = strncmp(url, "http://", 7) == 0 ? url + 7 : "", *digits = strchr(from, ':');
	char host[INET_ADDRSTRLEN] = "", *end = NULL;
	unsigned long port = 0;
	uint32_t ip;

	if (digits && (size_t)(digits - from) < sizeof(host)) {
		memcpy(host, from, (size_t)(digits - from));
		digits++;
		port = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, 10) : 0;
	}
	if (!port || port > 65535 || *end || inet_pton(AF_INET, host, &a.sin_addr) != 1)
		return tr_err_set(err, TR_E_INVALID, "A signing service's address is http://A.B.C.D:PORT.", "%s", url);
	ip = ntohl(a.sin_addr.s_addr);
	if (ip >> 24 != 127 && ip >> 24 != 10 && ip >> 20 != 0xac1 && ip >> 16 != 0xc0a8)
		return tr_err_set(err, TR_E_INVALID, "A signing service is on this machine: a loopback or private address.", "%s",
				  url);
	a.sin_port = htons((uint16_t)port);
	*ret = a;
	return TR_OK;
}

static TR_RC connect_to(const struct service *s, int *ret, struct tr_err *err)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return tr_err_errno(err, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (const struct sockaddr *)&s->to, sizeof(s->to))) {
		(void)tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service cannot be reached.", "connect: %s",
				 strerror(errno));
		(void)tr_close(fd);
		return err->code;
	}
	*ret = fd;
	return TR_OK;
}

static bool send_all(int fd, struct tr_view v)
{
	while (v.n) {
		ssize_t n = send(fd, v.p, v.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		v = tr_view(v.p + n, v.n - (size_t)n);
	}
	return true;
}

/* HTTP/1.0, so that the answer ends with the connection and is in one piece. */
static TR_RC post(const struct service *s, struct tr_view body, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf request = TR_BUF_INIT;
	tr_auto(tr_close) int fd = -1;
	uint8_t piece[1024];
	ssize_t n;

	tr_buf_addf(&request, "POST /sign HTTP/1.0\r\nHost: signing\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		    body.n);
	tr_buf_addv(&request, body);
	if (tr_buf_check(&request, err) || connect_to(s, &fd, err))
		return err->code;
	if (!send_all(fd, tr_buf_view(&request)))
		return tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service cannot be reached.", "send: %s",
				  strerror(errno));
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		if (ret->n + (size_t)n > ANSWER_MAX)
			return tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service answers too much.", "over %d bytes",
					  ANSWER_MAX);
		tr_buf_add(ret, piece, (size_t)n);
	}
	if (n < 0)
		return tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service did not answer.", "recv: %s",
				  strerror(errno));
	return tr_buf_check(ret, err);
}

static TR_RC body_of(struct tr_view answer, struct tr_view *ret, struct tr_err *err)
{
	const uint8_t *end = answer.n ? memmem(answer.p, answer.n, "\r\n\r\n", 4) : NULL;

	if (!end || answer.n < 13 || memcmp(answer.p, "HTTP/1.", 7) != 0 || memcmp(answer.p + 8, " 200", 4) != 0)
		return tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service did not sign.", "answer begins %.*s",
				  (int)(answer.n < 40 ? answer.n : 40), answer.n ? (const char *)answer.p : "");
	*ret = tr_view(end + 4, answer.n - (size_t)(end + 4 - answer.p));
	return TR_OK;
}

static enum tr_code sign(void *arg, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig, size_t *ret_n, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf request = TR_BUF_INIT, answer = TR_BUF_INIT;
	const struct service *s = arg;
	struct tr_view json;

	if (alg != TR_SIG_ED25519 || msg.n > PAYLOAD_MAX)
		return tr_err_set(err, TR_E_INVALID, "The signing service signs short texts with Ed25519.", "%zu bytes", msg.n);
	if (tr_secretvm_sign_body(msg, &request, err) || post(s, tr_buf_view(&request), &answer, err) ||
	    body_of(tr_buf_view(&answer), &json, err) || tr_secretvm_sign_answer(json, sig, err))
		return err->code;
	*ret_n = 64;
	return TR_OK;
}

TR_RC tr_secretvm_key(const char *url, struct tr_view public_pem, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *pub = NULL;
	struct service *s;

	if (tr_pubkey_from_pem(public_pem, &pub, err))
		return err->code;
	if (tr_pubkey_type(pub) != TR_KEY_ED25519)
		return tr_err_set(err, TR_E_INVALID, "The signing service's key is to be its Ed25519 one.", "another type");
	s = calloc(1, sizeof(*s));
	if (!s)
		return tr_err_set(err, TR_E_INTERNAL, "Out of memory.", "signing service");
	if (address(url ? url : TR_SECRETVM_SIGN, &s->to, err) ||
	    tr_privkey_external(TR_TAKE(pub), sign, free, s, ret, err)) {
		free(s);
		return err->code;
	}
	return TR_OK;
}
