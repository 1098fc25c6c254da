/* SPDX-License-Identifier: Apache-2.0 */
/* The role `front`: ends TLS, enforces every limit of the route table, checks client certificates and pulse signatures,
 * turns JSON, query strings and pulses into typed records, and asks core. It holds the TLS key and public keys, nothing
 * else, and can open nothing: a stolen front can lie about what it forwards, which is why evidence is forwarded as it was
 * signed and core has it checked again now and then. */
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "http/problem.h"
#include "http/server.h"
#include "server/front_hub.h"
#include "server/pulse_read.h"
#include "server/rate.h"
#include "server/routes.h"
#include "signed/time.h"
#include "signed/token.h"

#include <signal.h>

#define STATS_EVERY_MS 1000
/* Pulses that fail are told to core one by one up to this, beyond it only their number: a flood of them costs us the
 * verification and nobody else anything. */
#define REFUSED_TOLD_PER_SECOND 50
/* Pulses on one connection. An agent sends two a second at most: at the shortest interval, each asked for once more. */
#define PULSE_STEP_MS 100u
#define PULSE_BURST 100u
#define STRANGERS 0x10000u /* beside a route's id: who came to it without a certificate */

/* Who is at the other end of a connection, decided once when its first request arrives. */
struct peer {
	char agent_id[65]; /* empty: no certificate, or one that did not pass */
	uint8_t key_id[32];
	uint8_t exporter[32];
	int64_t not_before, not_after;
	struct tr_pubkey *key;     /* the certificate's: what its pulses are verified with */
	uint64_t pulses_until_ms;  /* theoretical arrival time of the next pulse, monotonic */
	bool pulsed;               /* a pulse of this connection was verified */
	const char *why_not; /* static sentence: why the certificate was not accepted; NULL when none was sent */
};

/* A request that core is thinking about, or that is still arriving. */
struct asking {
	struct tr_http_req *http; /* NULL: the client is gone */
	const struct tr_route *route;
	struct asking *next_free;
	uint32_t index, gen;
	bool asked; /* core holds the id */
	char arg[65];
};

struct listener {
	struct front *f;
	unsigned which; /* TR_ON_AGENTS, TR_ON_OPERATORS */
};

struct front {
	const struct tr_config *cfg;
	struct tr_loop *loop;
	struct tr_chan *core;
	struct tr_http *agents, *operators;
	struct listener on_agents, on_operators;
	struct tr_rate *rate;
	struct tr_ca_set *cas;
	struct asking **slots;
	struct asking *free_list;
	uint32_t n_slots;
	struct tr_msg_front_stats counted; /* since the last report */
	struct tr_http_stats last[2];
	struct tr_watch *stats_timer;
	struct tr_buf scratch, arena, list, hub;
	unsigned refused_told; /* in this second */
	unsigned closing;
};

static struct asking *asking_new(struct front *f)
{
	struct asking *a = f->free_list;

	if (a) {
		f->free_list = a->next_free;
		return a;
	}
	if ((f->n_slots & (f->n_slots - 1)) == 0) {
		struct asking **grown = realloc(f->slots, (f->n_slots ? f->n_slots * 2 : 1) * sizeof(*grown));

		if (!grown)
			return NULL;
		f->slots = grown;
	}
	a = calloc(1, sizeof(*a));
	if (a) {
		a->index = f->n_slots;
		f->slots[f->n_slots++] = a;
	}
	return a;
}

static void asking_end(struct front *f, struct asking *a)
{
	a->gen++;
	a->http = NULL;
	a->route = NULL;
	a->asked = false;
	a->arg[0] = 0;
	a->next_free = f->free_list;
	f->free_list = a;
}

static const char *request_id(const struct asking *a)
{
	return tr_fmt("%d-%08x-%x", (int)getpid(), a ? a->gen : 0, a ? a->index : 0);
}

static void answer_problem(struct tr_http_req *r, const struct tr_problem *p, const struct asking *a)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	char wait[16];
	const char *headers[] = { NULL, wait, NULL };

	(void)snprintf(wait, sizeof(wait), "%u", p->retry_after_s);
	if (p->retry_after_s)
		headers[0] = "Retry-After";
	tr_problem_json(p, request_id(a), &body);
	tr_http_respond(r, &(struct tr_http_answer){ .status = p->status, .content_type = tr_ctype_name(TR_CT_PROBLEM),
						     .body = tr_buf_view(&body), .headers = headers });
}

static void refuse(struct tr_http_req *r, const struct asking *a, int status, const char *slug, const char *detail)
{
	struct tr_problem p = { .status = status, .slug = slug, .title = tr_http_status_title(status), .detail = detail };

	answer_problem(r, &p, a);
}

/* ---- connections ---- */

static void *conn_open(void *arg, struct tr_view peer_der, struct tr_view exporter, const char *source)
{
	const struct listener *l = arg;
	struct peer *p;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view id;
	struct tr_err err = { 0 };

	if (l->which != TR_ON_AGENTS)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (exporter.n == sizeof(p->exporter))
		memcpy(p->exporter, exporter.p, exporter.n);
	if (peer_der.n == 0)
		return p;
	if (tr_cert_parse(peer_der, &cert, &err) ||
	    tr_cert_check(cert, NULL, 0, l->f->cas, TR_USE_AGENT, l->f->cfg->trust_domain, tr_now_ms(), &err) ||
	    tr_cert_agent_id(cert, l->f->cfg->trust_domain, &id, &err) || id.n >= sizeof(p->agent_id)) {
		p->why_not = err.pub ? err.pub : "the certificate names no agent";
		l->f->counted.refused_cert++;
		tr_log_err(TR_LOG_WARN, "client_certificate_refused", &err, "source", source, NULL);
		return p;
	}
	if (tr_pubkey_from_spki(tr_pubkey_spki(tr_cert_key(cert)), &p->key, &err)) {
		p->why_not = "the certificate's key is not accepted here; enrol again with a fresh key";
		return p;
	}
	memcpy(p->agent_id, id.p, id.n);
	memcpy(p->key_id, tr_pubkey_id(tr_cert_key(cert)), sizeof(p->key_id));
	p->not_before = tr_cert_not_before_ms(cert);
	p->not_after = tr_cert_not_after_ms(cert);
	return p;
}

static void conn_close(void *arg, void *conn)
{
	struct peer *p = conn;

	(void)arg;
	if (p)
		p->key = tr_pubkey_free(p->key);
	free(p);
}

/* ---- requests ---- */

/* Whoever lacks what the route asks for, or whose certificate ended on an open connection. True: answered. */
static bool refuse_unknown(struct tr_http_req *r, const struct tr_route *route, const struct peer *peer)
{
	if (route->auth == TR_AUTH_AGENT && (!peer || !peer->agent_id[0]))
		refuse(r, NULL, 401, peer && peer->why_not ? "client_certificate_invalid" : "client_certificate_required",
		       peer && peer->why_not ? peer->why_not
					     : "this route needs an agent certificate; enrol first: troth-agent enroll");
	else if (route->auth == TR_AUTH_AGENT && peer->not_after <= tr_now_ms())
		refuse(r, NULL, 401, "client_certificate_expired",
		       "the agent certificate has expired on an open connection; enrol again");
	else if (route->auth == TR_AUTH_OPERATOR && tr_http_header(r, "Authorization").n == 0)
		refuse(r, NULL, 401, "operator_token_required", "log in first: troth login, or send Authorization: Bearer");
	else
		return false;
	return true;
}

/* Everything that can be refused before a byte of the body is read. */
static int64_t on_head(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h)
{
	const struct listener *l = arg;
	struct front *f = l->f;
	const struct peer *peer = conn;
	struct tr_view path_arg;
	bool known, stranger;
	unsigned wait;
	const struct tr_route *route = tr_route_find(h->method, h->path, l->which, &path_arg, &known);
	struct asking *a;

	if (!route) {
		refuse(r, NULL, known ? 405 : 404, known ? "method_not_allowed" : "no_such_route",
		       known ? "this path exists with another method; see the API documentation"
			     : "no such path on this listener; agents and operators have different ones");
		return -1;
	}
	/* Strangers behind an agent's address have a budget of their own: theirs is not the agent's to lose. */
	stranger = route->auth == TR_AUTH_AGENT && (!peer || !peer->agent_id[0]);
	if (!tr_rate_allow(f->rate, tr_view_str(h->source), route->id | (stranger ? STRANGERS : 0), route->per_minute,
			   tr_mono_ms(), &wait)) {
		struct tr_problem p = { .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
					.detail = "too many requests from this address; wait as Retry-After says",
					.retry_after_s = wait };

		f->counted.refused_rate++;
		answer_problem(r, &p, NULL);
		return -1;
	}
	if (h->has_body && route->body_max == 0) {
		refuse(r, NULL, 400, "body_not_expected", "this request takes no body");
		return -1;
	}
	if (h->content_length > route->body_max) {
		refuse(r, NULL, 413, "body_too_large", "the body is larger than this route accepts");
		return -1;
	}
	if (refuse_unknown(r, route, peer))
		return -1;
	a = asking_new(f);
	if (!a) {
		refuse(r, NULL, 503, "out_of_memory", "the server is out of memory; try again later");
		return -1;
	}
	a->http = r;
	a->route = route;
	memcpy(a->arg, path_arg.p ? path_arg.p : (const uint8_t *)"", path_arg.n);
	a->arg[path_arg.n] = 0;
	tr_http_req_set_user(r, a);
	return route->body_max;
}

static TR_RC read_nonce(struct tr_view text, struct tr_buf *in, struct tr_err *err)
{
	if (tr_b64_get(text, TR_B64_URL, in, err))
		return err->code;
	if (in->n < TR_TIME_NONCE_MIN || in->n > TR_TIME_NONCE_MAX)
		return tr_err_set(err, TR_E_INVALID, "nonce must be 16 to 64 random bytes in base64url", "nonce");
	return TR_OK;
}

/* Reads the route's input into its record and encodes that for core. */
static TR_RC read_input(struct front *f, const struct tr_route *route, const struct tr_http_head *h, struct tr_view body,
			struct tr_buf *in, struct tr_err *err)
{
	union tr_any_in rec;
	tr_auto(tr_json_free) struct tr_json *json = NULL;

	memset(&rec, 0, sizeof(rec));
	tr_buf_clear(&f->arena);
	if (h->query.n && route->kind != TR_IN_QUERY && route->kind != TR_IN_NONCE)
		return tr_err_set(err, TR_E_INVALID, "this request takes no query parameters", "query");
	switch (route->kind) {
	case TR_IN_NONE:
	case TR_IN_PULSE:
		return TR_OK;
	case TR_IN_RAW:
		tr_buf_addv(in, body);
		return TR_OK;
	case TR_IN_JSON:
		if (tr_json_parse(body.n ? body : TR_VIEW_LIT("{}"), &json, err) ||
		    tr_record_from_json(route->in, tr_json_root(json), &f->arena, &rec, err))
			return err->code;
		break;
	case TR_IN_QUERY:
		if (tr_record_from_query(route->in, h->query, &f->arena, &rec, err))
			return err->code;
		break;
	case TR_IN_NONCE:
		if (tr_record_from_query(route->in, h->query, &f->arena, &rec, err))
			return err->code;
		return read_nonce(rec.time.nonce, in, err);
	}
	tr_record_encode(route->in, &rec, in);
	return tr_buf_check(in, err);
}

/* The hash of the bearer secret; an unreadable one counts as a wrong one. */
static struct tr_view read_bearer(struct tr_http_req *r, uint8_t hash[32])
{
	struct tr_view v = tr_http_header(r, "Authorization");

	if (v.n == 0)
		return tr_view(NULL, 0);
	memset(hash, 0, 32);
	if (tr_view_starts(v, "Bearer "))
		(void)tr_token_read(tr_view(v.p + 7, v.n - 7), hash, NULL);
	return tr_view(hash, 32);
}

/* ---- pulses ---- */

static void ask(struct front *f, struct asking *a, uint16_t type, const struct tr_record *def, const void *q)
{
	a->asked = true;
	tr_chan_send_record(f->core, type, (uint64_t)a->gen << 32 | a->index, def, q);
}

static bool pulse_in_time(struct peer *peer, struct tr_http_req *r, struct asking *a)
{
	uint64_t now = tr_mono_ms();
	uint64_t next = (peer->pulses_until_ms > now ? peer->pulses_until_ms : now) + PULSE_STEP_MS;
	struct tr_problem p = { .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
				.detail = "too many pulses on this connection; wait as Retry-After says", .retry_after_s = 1 };

	if (next - now > PULSE_BURST * PULSE_STEP_MS) {
		answer_problem(r, &p, a);
		return false;
	}
	peer->pulses_until_ms = next;
	return true;
}

/* What is wrong with it, as enum tr_event_kind + 1; 0: nothing that front can see. */
static unsigned verify_pulse(struct front *f, const struct peer *peer, struct tr_view body, struct tr_pulse *p,
			     uint8_t digest[32], struct tr_msg_pulse *m)
{
	struct tr_err err = { 0 };

	tr_buf_clear(&f->scratch);
	if (tr_pulse_read(body, peer->key, p, digest, &f->list, &f->scratch, &err))
		return err.code == TR_E_DENIED ? TR_EV_BAD_SIGNATURE + 1 : TR_EV_MALFORMED + 1;
	m->named = p->agent_id;
	if (!tr_view_is(p->agent_id, peer->agent_id))
		return TR_EV_WRONG_AGENT + 1;
	if (memcmp(p->exporter, peer->exporter, sizeof(peer->exporter)) != 0)
		return TR_EV_RELAYED + 1;
	m->digest = tr_view(digest, 32);
	m->pulse = tr_buf_view(&f->scratch);
	return 0;
}

static void on_pulse(struct front *f, struct peer *peer, struct tr_http_req *r, struct asking *a, const char *source,
		     struct tr_view body)
{
	struct tr_pulse p;
	uint8_t digest[32];
	struct tr_msg_pulse m = { .source = tr_view_str(source), .agent_id = tr_view_str(peer->agent_id),
				  .key_id = TR_VIEW_ARRAY(peer->key_id), .cert_not_before = peer->not_before,
				  .cert_not_after = peer->not_after, .received_ns = tr_now_ns(), .raw = body };

	if (!pulse_in_time(peer, r, a))
		return;
	m.outcome = verify_pulse(f, peer, body, &p, digest, &m);
	if (!m.outcome) {
		m.first = !peer->pulsed;
		peer->pulsed = true;
	} else if (f->refused_told++ < REFUSED_TOLD_PER_SECOND) {
		m.raw.n = body.n < TR_MSG_PULSE_REFUSED_RAW ? body.n : TR_MSG_PULSE_REFUSED_RAW;
	} else {
		struct tr_problem refusal = tr_pulse_refusal((enum tr_event_kind)(m.outcome - 1));

		f->counted.refused_pulse++;
		answer_problem(r, &refusal, a);
		return;
	}
	ask(f, a, TR_M_PULSE, &tr_msg_pulse_def, &m);
}

static void on_request(void *arg, void *conn, struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body)
{
	struct front *f = ((const struct listener *)arg)->f;
	struct peer *peer = conn;
	struct asking *a = tr_http_req_user(r);
	struct tr_err err = { 0 };
	uint8_t bearer[32];
	struct tr_msg_request q = { .route = a->route->id, .source = tr_view_str(h->source),
				    .arg = tr_view_str(a->arg) };

	if (a->route->kind == TR_IN_PULSE && !h->query.n) {
		on_pulse(f, peer, r, a, h->source, body);
		return;
	}
	tr_buf_clear(&f->scratch);
	tr_buf_clear(&f->hub);
	if (read_input(f, a->route, h, body, &f->scratch, &err) ||
	    (tr_route_is_hub(a->route->id) && tr_front_hub(r, h, body, &f->hub, &err))) {
		struct tr_problem p = tr_problem_of(&err);
		tr_auto(tr_buf_done) struct tr_buf extra = TR_BUF_INIT;

		/* Our own parsers say where the input is wrong; that is the caller's own input, so it may hear it. */
		tr_buf_adds(&extra, "\"where\":");
		tr_json_put_str(&extra, tr_utf8_ok(tr_view_str(err.detail)) ? tr_view_str(err.detail) : tr_view(NULL, 0));
		if (err.code == TR_E_INVALID)
			p.slug = "malformed";
		p.extra = tr_buf_view(&extra);
		answer_problem(r, &p, a);
		return;
	}
	q.in = tr_buf_view(&f->scratch);
	q.hub = tr_buf_view(&f->hub);
	q.bearer = read_bearer(r, bearer);
	if (peer) {
		q.exporter = TR_VIEW_ARRAY(peer->exporter);
		if (peer->agent_id[0]) {
			q.agent_id = tr_view_str(peer->agent_id);
			q.key_id = TR_VIEW_ARRAY(peer->key_id);
			q.cert_not_before = peer->not_before;
			q.cert_not_after = peer->not_after;
		}
	}
	ask(f, a, TR_M_REQUEST, &tr_msg_request_def, &q);
}

static void on_gone(void *arg, struct tr_http_req *r)
{
	struct front *f = ((const struct listener *)arg)->f;
	struct asking *a = tr_http_req_user(r);

	if (!a)
		return;
	if (a->asked)
		a->http = NULL; /* core's answer will free the slot */
	else
		asking_end(f, a);
}

static const struct tr_http_ops ops = { conn_open, conn_close, on_head, on_request, on_gone };

static void on_answer(void *arg, struct tr_chan *c, const struct tr_frame *fr)
{
	struct front *f = arg;
	uint32_t index = (uint32_t)fr->id, gen = (uint32_t)(fr->id >> 32);
	struct tr_msg_answer m;
	struct tr_err err = { 0 };
	struct asking *a;
	struct tr_http_req *r;

	(void)c;
	if (index >= f->n_slots || f->slots[index]->gen != gen || !f->slots[index]->asked)
		return;
	a = f->slots[index];
	r = a->http;
	if (r)
		tr_http_req_set_user(r, NULL);
	asking_end(f, a);
	if (!r)
		return;
	if (tr_record_decode(&tr_msg_answer_def, fr->payload, &m, &err)) {
		refuse(r, NULL, 500, "internal", "the server could not read its own answer; see its log");
		return;
	}
	char wait[16];
	const char *headers[] = { "Retry-After", wait, NULL };

	(void)snprintf(wait, sizeof(wait), "%u", (unsigned)m.retry_after_s);
	tr_http_respond(r, &(struct tr_http_answer){ .status = (int)m.status,
						     .content_type = tr_ctype_name((enum tr_ctype)m.ctype),
						     .body = m.body,
						     .headers = m.retry_after_s ? headers : NULL,
						     .close = m.close });
}

/* ---- life ---- */

static void add_stats(struct front *f, const struct tr_http *h, struct tr_http_stats *last)
{
	struct tr_http_stats s;

	tr_http_stats(h, &s);
	f->counted.accepted += s.accepted - last->accepted;
	f->counted.refused_limit += s.refused_limit - last->refused_limit;
	f->counted.refused_syntax += s.refused_syntax - last->refused_syntax;
	f->counted.timeouts += s.timeouts - last->timeouts;
	f->counted.open += s.open;
	*last = s;
}

static void report_stats(void *arg)
{
	struct front *f = arg;

	add_stats(f, f->agents, &f->last[0]);
	add_stats(f, f->operators, &f->last[1]);
	tr_chan_send_record(f->core, TR_M_FRONT_STATS, 0, &tr_msg_front_stats_def, &f->counted);
	f->counted = (struct tr_msg_front_stats){ 0 };
	f->refused_told = 0;
	tr_timer_arm(f->stats_timer, STATS_EVERY_MS);
}

static void on_core_end(void *arg, struct tr_chan *c, const char *why)
{
	struct front *f = arg;

	(void)c;
	tr_log(TR_LOG_DEBUG, "core_gone", "why", why, NULL);
	tr_loop_stop(f->loop);
}

static void on_drained(void *arg)
{
	struct front *f = arg;

	if (++f->closing == 2)
		tr_loop_stop(f->loop);
}

/* SIGTERM: replaced by a fresh front (which listens already) or shutting down. Finish what is open, then go. */
static void on_term(void *arg)
{
	struct front *f = arg;

	tr_http_quiesce(f->agents, on_drained, f);
	tr_http_quiesce(f->operators, on_drained, f);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_ANSWER] = { on_answer, TR_MSG_ANSWER_MAX },
};

static TR_RC load_cas(struct front *f, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest, one;

	if (tr_config_read(f->cfg, "keys/ca.crt", false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err))
		return err->code;
	one = tr_buf_view(&der);
	return tr_ca_set_new(&one, 1, &f->cas, err);
}

static TR_RC listen_on(struct front *f, struct listener *l, int fd, struct tr_view cert, struct tr_view key,
		       struct tr_view ticket, struct tr_http **ret, struct tr_err *err)
{
	const struct tr_config_limits *lim = f->cfg->limits;
	bool agents = l->which == TR_ON_AGENTS;
	unsigned fronts = tr_config_fronts(f->cfg);
	unsigned total = agents ? lim->agent_connections : lim->operator_connections;
	struct tr_http_config c = {
		.listen_fd = fd,
		.cert_pem = cert,
		.key_pem = key,
		.ticket_key = ticket,
		.request_client_cert = agents,
		.limits = {
			/* A quote may stand in a header too (X-Attestation-Quote). */
			.pool = agents ? 16384 : 32768,
			/* Each front has its share; the kernel spreads connections by source port. */
			.connections = total / fronts + 1,
			.per_source = lim->connections_per_source / fronts + 1,
			.headers = 64,
			.idle_s = lim->idle_seconds,
			.header_s = lim->header_seconds,
			.body_s = lim->body_seconds,
		},
		.ops = &ops,
		.arg = l,
	};

	return tr_http_new(f->loop, &c, ret, err);
}

static TR_RC run(struct front *f, struct tr_view cert, struct tr_view key, struct tr_view ticket, struct tr_err *err)
{
	tr_auto(tr_watch_free) struct tr_watch *term = NULL;

	f->on_agents = (struct listener){ f, TR_ON_AGENTS };
	f->on_operators = (struct listener){ f, TR_ON_OPERATORS };
	if (tr_loop_new(&f->loop, err) || tr_chan_new(f->loop, TR_FD_CORE, rules, on_core_end, f, &f->core, err) ||
	    tr_watch_signal(f->loop, SIGTERM, on_term, f, &term, err) ||
	    tr_watch_timer(f->loop, report_stats, f, &f->stats_timer, err) ||
	    listen_on(f, &f->on_agents, TR_FD_AGENTS, cert, key, ticket, &f->agents, err) ||
	    listen_on(f, &f->on_operators, TR_FD_OPERATORS, cert, key, tr_view(NULL, 0), &f->operators, err) ||
	    tr_role_enter(TR_PROC_FRONT, err))
		return err->code;
	tr_timer_arm(f->stats_timer, STATS_EVERY_MS);
	tr_chan_send(f->core, TR_M_HELLO, 0, tr_view(NULL, 0));
	tr_loop_run(f->loop);
	return TR_OK;
}

TR_RC tr_role_front(const struct tr_config *cfg, struct tr_err *err)
{
	struct front f = { .cfg = cfg };
	tr_auto(tr_buf_done) struct tr_buf cert = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf key = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ticket = TR_BUF_INIT;
	enum tr_code rc;

	if (tr_http_server_init(err) || tr_rate_open(TR_FD_RATE, &f.rate, err) || load_cas(&f, err) ||
	    tr_config_read(cfg, cfg->tls->certificate, false, &cert, err) ||
	    tr_config_read(cfg, cfg->tls->key, true, &key, err) ||
	    tr_config_read(cfg, "tls/ticket.key", true, &ticket, err))
		rc = tr_err_wrap(err, "front");
	else
		rc = run(&f, tr_buf_view(&cert), tr_buf_view(&key), tr_buf_view(&ticket), err);
	/* The process ends here; what the kernel takes back anyway is left to it, but not the sockets' last answers. */
	f.agents = tr_http_free(f.agents);
	f.operators = tr_http_free(f.operators);
	f.core = tr_chan_free(f.core);
	f.stats_timer = tr_watch_free(f.stats_timer);
	f.loop = tr_loop_free(f.loop);
	f.cas = tr_ca_set_free(f.cas);
	f.rate = tr_rate_free(f.rate);
	for (uint32_t i = 0; i < f.n_slots; i++)
		free(f.slots[i]);
	free(f.slots);
	tr_buf_done(&f.scratch);
	tr_buf_done(&f.arena);
	tr_buf_done(&f.list);
	tr_buf_done(&f.hub);
	return rc;
}
