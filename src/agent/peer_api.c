/* SPDX-License-Identifier: Apache-2.0 */
/* What local applications may ask; documented in docs/protocol/message.md. */
#include "agent/peer_inner.h"

#include "codec/ident.h"
#include "codec/text.h"

#include <stdio.h>

#define LIFE_DEFAULT_S 3600
#define WAIT_MAX_S 60
#define LIMIT_DEFAULT 16
#define LIMIT_MAX 64
#define ANSWER_BYTES ((size_t)1 << 20)
#define ACKS_MAX 64

static void no_memory(struct tr_call *c)
{
	tr_call_refuse(c, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
}

/* ---- sending ---- */

static void on_sent(void *arg, const struct tr_sent *s, const struct tr_no *no)
{
	struct tr_call *c = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	/* The application may be gone; the message went anyway. */
	if (!tr_call_release(c))
		return;
	if (no) {
		tr_call_refuse(c, no);
		return;
	}
	tr_buf_adds(&b, "{\"id\":\"");
	tr_hex_add(&b, TR_VIEW_ARRAY(s->id));
	tr_buf_addf(&b, "\",\"via\":\"%s\",\"line\":%llu,\"seq\":%llu", s->direct ? "direct" : "mailbox",
		    (unsigned long long)s->line, (unsigned long long)s->seq);
	tr_json_member_time(&b, "expires_at", s->expires_s * 1000);
	tr_buf_adds(&b, "}");
	tr_call_answer(c, 202, &b);
}

static bool via_of(struct tr_view v, enum tr_peer_deliver *ret)
{
	static const char *const words[] = { [TR_PEER_AUTO] = "auto", [TR_PEER_DIRECT] = "direct", [TR_PEER_MAILBOX] = "mailbox" };

	for (unsigned i = 0; i < TR_ARRAY_LEN(words); i++) {
		if (!tr_view_is(v, words[i]))
			continue;
		*ret = (enum tr_peer_deliver)i;
		return true;
	}
	return false;
}

static bool is_type(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return false;
	return v.n >= 1 && v.n <= 127;
}

/* NULL: fine. body: what "body" was, decoded. */
static const char *read_send(const struct tr_peer *p, tr_jnode o, struct tr_buf *body, uint8_t answers[TR_MESSAGE_ID_LEN],
			     struct tr_send *ret)
{
	struct tr_view v;
	int64_t n = LIFE_DEFAULT_S;
	struct tr_err err;

	*ret = (struct tr_send){ .type = TR_VIEW_LIT("application/octet-stream"), .via = p->conf.deliver };
	if (!tr_json_str(tr_json_get(o, "to"), &ret->to) || !tr_ident_ok(ret->to))
		return "\"to\" must be an agent id";
	if (tr_json_get(o, "type") && (!tr_json_str(tr_json_get(o, "type"), &ret->type) || !is_type(ret->type)))
		return "\"type\" must be 1 to 127 printable ASCII characters";
	if (!tr_json_str(tr_json_get(o, "body"), &v) || tr_b64_get(v, TR_B64_STD, body, &err))
		return "\"body\" must be base64";
	if (body->n > TR_MESSAGE_BODY_MAX)
		return "a body has at most 65536 bytes";
	if (tr_json_get(o, "ttl_s") && (!tr_json_int(tr_json_get(o, "ttl_s"), &n) || n < 1 || n > TR_MESSAGE_LIFE_MAX_S))
		return "\"ttl_s\" must be 1 to 86400 seconds";
	if (tr_json_get(o, "answers")) {
		if (!tr_json_str(tr_json_get(o, "answers"), &v) || v.n != 2 * TR_MESSAGE_ID_LEN ||
		    !tr_hex_get(v, answers, TR_MESSAGE_ID_LEN))
			return "\"answers\" must be a message id: 32 hex digits";
		ret->answers = tr_view(answers, TR_MESSAGE_ID_LEN);
	}
	if (tr_json_get(o, "via") && (!tr_json_str(tr_json_get(o, "via"), &v) || !via_of(v, &ret->via)))
		return "\"via\" must be auto, direct or mailbox";
	ret->life_s = (uint64_t)n;
	ret->body = tr_buf_view(body);
	return NULL;
}

static void api_send(struct tr_peer *p, struct tr_call *c, const struct tr_call_in *in)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	uint8_t answers[TR_MESSAGE_ID_LEN];
	struct tr_send m;
	const char *why;
	struct tr_err err;

	if (tr_json_parse(in->body, &doc, &err)) {
		tr_call_refuse(c, TR_NO(400, "malformed", "the body must be a JSON object with \"to\" and \"body\""));
		return;
	}
	why = read_send(p, tr_json_root(doc), &body, answers, &m);
	if (why) {
		tr_call_refuse(c, TR_NO(400, "malformed", why));
		return;
	}
	tr_call_keep(c);
	tr_peer_send(p, &m, on_sent, c);
	tr_wipe(body.p, body.n);
}

/* ---- receiving ---- */

struct receive_query { uint64_t wait, limit; };
static const struct tr_field receive_fields[] = { TR_FIELD(receive_query, wait, TR_F_U64, 0, 0),
						  TR_FIELD(receive_query, limit, TR_F_U64, 0, 0) };
static TR_RECORD(receive_def, receive_query, receive_fields);

static void put_letter(const struct tr_letter *l, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"id\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(l->id));
	tr_buf_adds(b, "\"");
	tr_json_member_str(b, "from", tr_view_str(l->sender));
	tr_json_member_str(b, "type", l->type);
	tr_buf_adds(b, ",\"body\":\"");
	tr_b64_add(b, l->body, TR_B64_STD);
	tr_buf_adds(b, "\"");
	if (l->answers.n)
		tr_json_member_hex(b, "answers", l->answers);
	tr_json_member_time(b, "issued_at", l->issued * 1000);
	tr_json_member_time(b, "expires_at", l->expires * 1000);
	tr_json_member_time(b, "received_at", l->received * 1000);
	tr_buf_addf(b, ",\"via\":\"%s\",\"line\":%llu,\"seq\":%llu}", l->direct ? "direct" : "mailbox",
		    (unsigned long long)l->line, (unsigned long long)l->seq);
}

void tr_peer_api_woken(struct tr_peer *p, struct tr_call *c, uint64_t limit, bool even_nothing)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t n = 0;

	if (tr_peer_settle(p))
		(void)tr_inbox_expire(&p->state, &p->inbox, tr_peer_now_s());
	if (!p->inbox.n && !even_nothing)
		return;
	tr_buf_adds(&b, "{\"messages\":[");
	for (const struct tr_letter *l = p->inbox.first; l && n < limit && b.n < ANSWER_BYTES; l = l->next, n++) {
		if (n)
			tr_buf_add8(&b, ',');
		put_letter(l, &b);
	}
	tr_buf_addf(&b, "],\"left\":%llu}", (unsigned long long)(p->inbox.n - n));
	tr_call_answer(c, 200, &b);
}

static void api_receive(struct tr_peer *p, struct tr_call *c, const struct tr_call_in *in)
{
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct receive_query q = { 0 };
	struct tr_err err;

	if (tr_record_from_query(&receive_def, in->query, &arena, &q, &err)) {
		tr_call_refuse(c, TR_NO(400, "malformed", "the query may have wait (seconds) and limit"));
		return;
	}
	q.limit = !q.limit ? LIMIT_DEFAULT : q.limit > LIMIT_MAX ? LIMIT_MAX : q.limit;
	if (p->inbox.n || !q.wait)
		tr_peer_api_woken(p, c, q.limit, true);
	else
		tr_call_wait(c, q.wait > WAIT_MAX_S ? WAIT_MAX_S : q.wait, q.limit);
}

static void api_ack(struct tr_peer *p, struct tr_call *c, const struct tr_call_in *in)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_jnode ids = NULL;
	uint8_t id[ACKS_MAX][TR_MESSAGE_ID_LEN];
	struct tr_view v;
	size_t n, done = 0;
	struct tr_err err;

	if (!tr_json_parse(in->body, &doc, &err))
		ids = tr_json_get(tr_json_root(doc), "ids");
	n = tr_json_is_array(ids) ? tr_json_len(ids) : 0;
	for (size_t i = 0; i < n && n <= ACKS_MAX; i++)
		if (!tr_json_str(tr_json_at(ids, i), &v) || v.n != 2 * TR_MESSAGE_ID_LEN ||
		    !tr_hex_get(v, id[i], TR_MESSAGE_ID_LEN))
			n = 0;
	if (!n || n > ACKS_MAX) {
		tr_call_refuse(c, TR_NO(400, "malformed", "\"ids\" must be a list of 1 to 64 message ids"));
		return;
	}
	if (!tr_peer_settle(p)) {
		tr_call_refuse(c, TR_NO(503, "not_stored", "the agent cannot write its files; the messages stay"));
		return;
	}
	for (size_t i = 0; i < n; i++)
		done += tr_inbox_drop(&p->state, &p->inbox, id[i]);
	tr_buf_addf(&b, "{\"acknowledged\":%zu}", done);
	tr_call_answer(c, 200, &b);
}

/* ---- peers ---- */

static void put_peer(const struct tr_peer *p, const struct tr_peer_info *i, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;

	tr_pubkey_pem(i->key, &pem);
	tr_buf_adds(b, "{\"agent_id\":");
	tr_json_put_str(b, tr_view_str(i->agent));
	tr_json_member_str(b, "agent_type", tr_view_str(i->type));
	tr_json_member_str(b, "endpoint", tr_view_str(i->endpoint));
	tr_json_member_str(b, "kind", tr_view_str(i->kind));
	tr_json_member_str(b, "tier", tr_view_str(i->tier));
	tr_json_member_str(b, "policy", tr_view_str(i->policy));
	tr_json_member_str(b, "tcb_status", tr_view_str(i->tcb_status));
	tr_buf_addf(b, ",\"simulated\":%s,\"verified_by\":\"%s\"", i->simulated ? "true" : "false",
		    i->judged_until_s ? "evidence" : "result");
	tr_json_member_time(b, "expires_at", i->expires_s * 1000);
	tr_json_member_str(b, "public_key_pem", tr_buf_view(&pem));
	tr_buf_addf(b, ",\"prekey_number\":%llu,\"missing\":%llu}", i->has_prekey ? (unsigned long long)i->prekey.number : 0ull,
		    (unsigned long long)tr_peer_store_missing(&p->store, tr_view_str(i->agent)));
}

struct asking {
	struct tr_peer *p;
	struct tr_call *c;
};

static void on_peer(void *arg, struct tr_peer_info *info, const struct tr_no *no)
{
	struct asking a = *(struct asking *)arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	free(arg);
	if (!tr_call_release(a.c))
		return;
	if (!info) {
		tr_call_refuse(a.c, no);
		return;
	}
	put_peer(a.p, info, &b);
	tr_call_answer(a.c, 200, &b);
}

static void api_peer(struct tr_peer *p, struct tr_call *c, struct tr_view id)
{
	struct asking *a = calloc(1, sizeof(*a));

	if (!a) {
		no_memory(c);
		return;
	}
	*a = (struct asking){ p, c };
	tr_call_keep(c);
	tr_peer_lookup(p, id, true, on_peer, a);
}

/* What is known already; nobody is asked. */
static void api_peers(struct tr_peer *p, struct tr_call *c)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"peers\":[");
	for (size_t i = 0; i < p->peers.n; i++) {
		if (i)
			tr_buf_add8(&b, ',');
		put_peer(p, p->peers.list[i], &b);
	}
	tr_buf_adds(&b, "]}");
	tr_call_answer(c, 200, &b);
}

/* ---- this agent ---- */

static void api_attestation(struct tr_peer *p, struct tr_call *c)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err = { 0 };

	/* Written by the run loop, and JSON of our own making. */
	if (tr_state_read(&p->state, "attestation.json", 65536, &b, &err) || !b.n)
		tr_call_refuse(c, TR_NO(404, "not_attested", "this agent has shown no evidence yet"));
	else
		tr_call_answer(c, 200, &b);
}

static void api_status(struct tr_peer *p, struct tr_call *c)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"agent_id\":");
	tr_json_put_str(&b, tr_view_str(p->agent_id));
	tr_json_member_str(&b, "trust_domain", tr_view_str(p->trust_domain));
	tr_json_member_str(&b, "endpoint", p->conf.endpoint);
	tr_buf_addf(&b, ",\"verify\":\"%s\",\"mailbox\":%s,\"prekey_number\":%llu,\"prekey_published\":%s,\"inbox\":%zu,\"taken\":%llu,"
		    "\"refused\":%llu,\"sent\":%llu,\"revocations\":%llu,\"peers\":%zu}",
		    p->judge ? "evidence" : "result", p->mail ? "true" : "false", (unsigned long long)p->prekeys.number,
		    p->prekey_told ? "true" : "false", p->inbox.n, (unsigned long long)p->taken, (unsigned long long)p->refused,
		    (unsigned long long)p->sent, (unsigned long long)p->revocations.number, p->peers.n);
	tr_call_answer(c, 200, &b);
}

/* ---- routes ---- */

static bool is(const struct tr_call_in *in, const char *method, const char *path)
{
	return tr_view_is(in->method, method) && tr_view_is(in->path, path);
}

void tr_peer_api(struct tr_peer *p, struct tr_call *c, const struct tr_call_in *in)
{
	static const char peers[] = "/v1/peers/";

	if (is(in, "POST", "/v1/messages"))
		api_send(p, c, in);
	else if (is(in, "GET", "/v1/messages"))
		api_receive(p, c, in);
	else if (is(in, "POST", "/v1/messages/ack"))
		api_ack(p, c, in);
	else if (is(in, "GET", "/v1/peers"))
		api_peers(p, c);
	else if (tr_view_is(in->method, "GET") && tr_view_starts(in->path, peers))
		api_peer(p, c, tr_view(in->path.p + sizeof(peers) - 1, in->path.n - (sizeof(peers) - 1)));
	else if (is(in, "GET", "/v1/attestation"))
		api_attestation(p, c);
	else if (is(in, "GET", "/v1/status"))
		api_status(p, c);
	else
		tr_call_refuse(c, TR_NO(404, "not_found", "there is no such method and path; see docs/protocol/message.md"));
}
