/* SPDX-License-Identifier: Apache-2.0 */
/* Where other agents call: POST /messages over mutual TLS, and GET /attestation for everybody. */
#include "agent/peer_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/text.h"

#include <stdio.h>

#define HTTP_CONNECTIONS 256
#define HTTP_PER_SOURCE 64

/* One connection: whose it is, or why it is nobody's. */
struct caller {
	struct tr_tls_peer who;
	bool is_agent;
	struct tr_no no;
};

static void name_caller(struct tr_peer *p, struct tr_view der, struct caller *c)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view id;
	struct tr_err err = { 0 };

	if (!der.n) {
		c->no = (struct tr_no){ 401, "client_certificate_required", "messages come over mutual TLS, from agents of this fleet" };
		return;
	}
	if (tr_cert_parse(der, &cert, &err) ||
	    tr_cert_check(cert, NULL, 0, p->cas, TR_USE_AGENT, p->trust_domain, tr_now_ms(), &err) ||
	    tr_cert_agent_id(cert, p->trust_domain, &id, &err)) {
		tr_log_err(TR_LOG_INFO, "caller_refused", &err, NULL);
		c->no = (struct tr_no){ 401, "client_certificate_invalid", "the certificate is not an agent's of this fleet" };
		return;
	}
	(void)snprintf(c->who.agent, sizeof(c->who.agent), "%.*s", TR_VIEW_FMT(id));
	memcpy(c->who.key_id, tr_pubkey_id(tr_cert_key(cert)), sizeof(c->who.key_id));
	c->is_agent = true;
}

static void *on_open(void *arg, struct tr_view peer_der, struct tr_view exporter, const char *source)
{
	struct caller *c = calloc(1, sizeof(*c));

	(void)exporter;
	(void)source;
	if (c)
		name_caller(arg, peer_der, c);
	return c;
}

static void on_close(void *arg, void *conn)
{
	(void)arg;
	free(conn);
}

static void refuse(struct tr_http_req *r, const struct tr_no *no)
{
	const struct tr_problem problem = { .status = no->status, .slug = no->code, .detail = no->why,
					    .title = tr_http_status_title(no->status),
					    .retry_after_s = no->status == 429 || no->status == 503 ? 5 : 0 };

	tr_http_respond_problem(r, &problem, NULL);
}

static int64_t refuse_head(struct tr_http_req *r, const struct tr_no *no)
{
	refuse(r, no);
	return -1;
}

static int64_t on_head(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h)
{
	struct tr_peer *p = arg;
	const struct caller *c = conn;

	if (tr_view_is(h->path, "/attestation"))
		return tr_view_is(h->method, "GET") ?
			       0 :
			       refuse_head(r, TR_NO(405, "method_not_allowed", "ask with GET"));
	if (!tr_view_is(h->path, "/messages"))
		return refuse_head(r, TR_NO(404, "not_found", "an agent has /messages and /attestation"));
	if (!tr_view_is(h->method, "POST"))
		return refuse_head(r, TR_NO(405, "method_not_allowed", "messages come with POST"));
	if (!c)
		return refuse_head(r, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
	if (!c->is_agent)
		return refuse_head(r, &c->no);
	/* Asked with every request: a connection may be older than the revocation. */
	if (tr_revocations_has(&p->revocations, tr_view_str(c->who.agent), c->who.key_id))
		return refuse_head(r, TR_NO(403, "agent_revoked", "this agent was revoked"));
	if (h->content_length > TR_MESSAGE_MAX)
		return refuse_head(r, TR_NO(413, "body_too_large", "a message has at most 73728 bytes, sealed"));
	return TR_MESSAGE_MAX;
}

/* A message that is being judged while its request waits. */
struct hearing {
	struct tr_http_req *req; /* NULL: the caller is gone */
};

static void on_taken(void *arg, enum tr_taken how, const uint8_t id[TR_MESSAGE_ID_LEN], const struct tr_no *no)
{
	struct hearing *h = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (h->req) {
		tr_http_req_set_user(h->req, NULL);
		if (no) {
			refuse(h->req, no);
		} else {
			tr_buf_adds(&b, "{\"id\":\"");
			tr_hex_add(&b, tr_view(id, TR_MESSAGE_ID_LEN));
			tr_buf_adds(&b, "\"}");
			tr_http_respond(h->req, &(struct tr_http_answer){ .status = how == TR_TAKEN ? 202 : 200,
									  .content_type = "application/json",
									  .body = tr_buf_view(&b) });
		}
	}
	free(h);
}

static void on_request(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *head, struct tr_view body)
{
	struct tr_peer *p = arg;
	const struct caller *c = conn;
	struct hearing *h;

	if (tr_view_is(head->path, "/attestation")) {
		tr_peer_attestation(p, r, head->query);
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h) {
		refuse(r, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
		return;
	}
	h->req = r;
	tr_http_req_set_user(r, &h->req);
	tr_peer_receive(p, body, &c->who, on_taken, h);
}

/* Whoever works on it finds that nobody waits any more: every `user` of this folder begins with its pointer to r. */
static void on_gone(void *arg, struct tr_http_req *r)
{
	struct tr_http_req **of = tr_http_req_user(r);

	(void)arg;
	if (of)
		*of = NULL;
}

TR_RC tr_peer_http_new(struct tr_peer *p, int fd, struct tr_err *err)
{
	static const struct tr_http_ops ops = { on_open, on_close, on_head, on_request, on_gone };
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT;
	struct tr_http_config c = {
		.listen_fd = fd,
		.cert_pem = tr_buf_view(&p->cert_pem),
		.request_client_cert = true,
		.limits = { .pool = 16384, .connections = HTTP_CONNECTIONS, .per_source = HTTP_PER_SOURCE, .headers = 32,
			    .idle_s = 120, .header_s = 10, .body_s = 20 },
		.ops = &ops,
		.arg = p,
	};
	enum tr_code rc = tr_privkey_pem(p->state.key, &key, err);

	c.key_pem = tr_buf_view(&key);
	if (!rc)
		rc = tr_http_new(p->loop, &c, &p->http, err);
	tr_wipe(key.p, key.n);
	return rc;
}
