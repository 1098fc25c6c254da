/* SPDX-License-Identifier: Apache-2.0 */
/* Letters between agents, as requests. A letter is durable before its sender hears so, is given to its recipient until that
 * acknowledges it, and is gone when it has expired. The hub sees from whom, to whom, until when and how long, and nothing
 * else. */
#include "server/mailbox.h"

#include "base/clock.h"
#include "base/list.h"
#include "codec/cbor.h"
#include "codec/text.h"
#include "server/msg_hub.h"
#include "signed/message.h"

#define SEND_STEP_MS 20u
#define SEND_BURST 400u
#define ANSWER_BYTES ((size_t)1 << 20)
#define WAIT_MAX_S 25
#define ACKS_MAX 64

/* ---- fetching ---- */

static struct tr_req req_of(struct tr_core *c, const struct tr_mailbox *b)
{
	return (struct tr_req){ .core = c, .front = b->front, .front_gen = b->front_gen, .id = b->question,
				.q.route = TR_RT_MAIL_FETCH };
}

static void forget_question(struct tr_mailboxes *m, struct tr_mailbox *b)
{
	if (b->asking)
		m->asking--;
	b->asking = false;
}

/* [[number, sender, envelope], …], oldest first, as many as fit; b may be NULL. */
static bool answer(struct tr_core *c, struct tr_req *r, const struct tr_mailbox *b, uint64_t after, bool even_nothing)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT, out = TR_BUF_INIT;
	int64_t now = tr_now_ms();
	size_t n = 0;

	for (const struct tr_letter *l = b ? b->first : NULL; l && list.n + l->bytes < ANSWER_BYTES; l = l->next) {
		const struct tr_mail_row *row;

		if (l->number <= after || l->expires_at <= now)
			continue;
		row = TR_ROW(&c->mails, tr_table_get(&c->mails, tr_view_str(l->id)));
		if (!row)
			continue;
		tr_cbor_put_array(&list, 3);
		tr_cbor_put_uint(&list, l->number);
		tr_cbor_put_text(&list, row->sender);
		tr_cbor_put_bytes(&list, row->envelope);
		n++;
	}
	if (!n && !even_nothing)
		return false;
	tr_cbor_put_array(&out, n);
	tr_buf_addv(&out, tr_buf_view(&list));
	tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&out));
	return true;
}

void tr_mailbox_wake(struct tr_core *c, struct tr_view recipient)
{
	struct tr_mailbox *b = tr_mailbox_find(c->hub->mail, recipient);
	struct tr_req r;

	if (!b || !b->asking)
		return;
	r = req_of(c, b);
	if (answer(c, &r, b, 0, false))
		forget_question(c->hub->mail, b);
}

void tr_mailbox_end_question(struct tr_core *c, struct tr_view agent)
{
	struct tr_mailbox *b = tr_mailbox_find(c->hub->mail, agent);
	struct tr_req r;

	if (!b || !b->asking)
		return;
	r = req_of(c, b);
	forget_question(c->hub->mail, b);
	tr_req_refuse(&r, 403, "agent_revoked",
		      "an operator has revoked or removed this agent; ask for a new registration token and enrol under a new id");
}

void tr_api_mail_fetch(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_in_mail_fetch in;
	struct tr_err err = { 0 };
	struct tr_mailbox *b;

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	/* What came while the attestation was good is the recipient's, also when it is not any more. */
	b = in.wait ? tr_mailbox_of(c->hub->mail, r->q.agent_id) : tr_mailbox_find(c->hub->mail, r->q.agent_id);
	if (b && b->asking) {
		struct tr_req older = req_of(c, b);

		/* Its connection may be long gone. */
		forget_question(c->hub->mail, b);
		(void)answer(c, &older, NULL, 0, true);
	}
	if (answer(c, r, b, in.after, !in.wait || !b || c->agents.n > c->cfg->command_wait_agents) || !b)
		return;
	b->asking = true;
	c->hub->mail->asking++;
	b->front = r->front;
	b->front_gen = r->front_gen;
	b->question = r->id;
	b->until_ms = tr_core_now(c).ms + (int64_t)(in.wait < WAIT_MAX_S ? in.wait : WAIT_MAX_S) * 1000;
}

/* ---- sending ---- */

struct sending {
	struct tr_req *req; /* about: the sender */
	char id[TR_MAIL_ID_HEX + 1], recipient[65];
	size_t bytes;
	int64_t expires_at;
	bool counted;
};

static struct sending *sending_free(struct sending *s)
{
	struct tr_mailbox *b;

	if (!s)
		return NULL;
	b = s->counted ? tr_mailbox_find(s->req->core->hub->mail, tr_view_str(s->recipient)) : NULL;
	if (b) {
		b->coming--;
		b->coming_bytes -= s->bytes;
	}
	b = s->counted ? tr_mailbox_find(s->req->core->hub->mail, s->req->q.agent_id) : NULL;
	if (b)
		b->sending_bytes -= s->bytes;
	(void)tr_req_free(s->req);
	free(s);
	return NULL;
}
TR_DEFINE_AUTO(struct sending *, sending_free)

static void accepted(struct sending *s, int status)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"id\":");
	tr_json_put_str(&b, tr_view_str(s->id));
	tr_json_member_time(&b, "expires_at", s->expires_at);
	tr_buf_adds(&b, "}");
	tr_req_answer(s->req, status, TR_CT_JSON, tr_buf_view(&b));
}

static void on_stored(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(sending_free) struct sending *s = arg;

	if (rc)
		tr_req_not_stored(s->req, rc, why);
	else
		accepted(s, 202);
}

static void refuse_message(struct tr_req *r, int status, const char *slug, const char *why)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"code\":");
	tr_json_put_str(&b, tr_view_str(slug));
	tr_json_member_str(&b, "recipient", r->q.arg);
	tr_buf_adds(&b, "}");
	tr_hub_event(r->core, TR_EV_MESSAGE_REFUSED, 4, r->q.agent_id, r->q.source, tr_buf_view(&b), NULL, NULL);
	tr_req_refuse(r, status, slug, why);
}

/* Everything but storing it. False: refused. */
static bool may_pass(struct sending *s, const struct tr_msg_envelope_read *m)
{
	struct tr_req *r = s->req;
	struct tr_core *c = r->core;
	int64_t now_s = tr_now_ms() / 1000;
	struct tr_row_room room;

	if (m->code) {
		tr_req_refuse(r, 400, "malformed", "the body is no sealed message; see docs/protocol/message.md");
		return false;
	}
	if (!tr_view_eq(m->sender, r->q.agent_id) || !tr_view_eq(m->recipient, r->q.arg)) {
		refuse_message(r, 403, "wrong_agent",
			       "sender and recipient on the envelope must be this connection's agent and the one in the path");
		return false;
	}
	if (m->expires <= now_s || m->expires > now_s + TR_MESSAGE_LIFE_MAX_S + TR_REQUEST_SKEW_S) {
		tr_req_refuse(r, 400, "expired", "a message expires within a day from now; set the clock right or send it again");
		return false;
	}
	/* Asked again after the wait: both may have ended meanwhile. */
	if (!tr_core_agent_of(c, r))
		return false;
	if (!tr_hub_verified(c, r->q.agent_id, &room)) {
		refuse_message(r, 403, "not_attested", "this agent has no attestation in force; register with fresh evidence first");
		return false;
	}
	if (!tr_hub_verified(c, r->q.arg, &room)) {
		refuse_message(r, 404, "recipient_unknown", "no verified agent of this id; look it up again before sending");
		return false;
	}
	return true;
}

static void on_read(void *arg, const void *answer)
{
	tr_auto(sending_free) struct sending *s = arg;
	const struct tr_msg_envelope_read *m = answer;
	struct tr_req *r = s->req;
	struct tr_core *c = r->core;
	struct tr_mail_row row;
	struct tr_mailbox *b, *from;
	struct tr_tx *tx;
	uint64_t now_us = (uint64_t)tr_now_ms() * 1000;

	if (!m) {
		tr_req_no_verifier(r);
		return;
	}
	if (!may_pass(s, m))
		return;
	s->expires_at = m->expires * 1000;
	if (tr_table_get(&c->mails, tr_view_str(s->id))) {
		accepted(s, 200);
		return;
	}
	b = tr_mailbox_of(c->hub->mail, r->q.arg);
	from = tr_mailbox_of(c->hub->mail, r->q.agent_id);
	if (!b || !from || tr_mailbox_is_full(c->hub->mail, b, r->q.agent_id, r->q.in.n)) {
		tr_req_problem(r, &(struct tr_problem){
					  .status = 429, .slug = "mailbox_full", .title = tr_http_status_title(429),
					  .detail = "the recipient's mailbox is full; it must fetch and acknowledge first, try again later",
					  .retry_after_s = 30 });
		return;
	}
	s->bytes = r->q.in.n;
	s->counted = true;
	b->coming++;
	b->coming_bytes += s->bytes;
	from->sending_bytes += s->bytes;
	/* Rises also across restarts and after everything was fetched. */
	b->number = now_us > b->number ? now_us : b->number + 1;
	(void)snprintf(s->recipient, sizeof(s->recipient), "%.*s", TR_VIEW_FMT(r->q.arg));
	row = (struct tr_mail_row){ .id = tr_view_str(s->id), .number = b->number, .recipient = r->q.arg,
				    .sender = r->q.agent_id, .envelope = r->q.in, .received_at = tr_now_ms(),
				    .expires_at = s->expires_at };
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_PUT, TR_T_MAIL, &row);
	tr_tx_commit(tx, on_stored, TR_TAKE(s));
}

void tr_api_mail_send(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_msg_read_envelope q = { .envelope = r->q.in };
	tr_auto(sending_free) struct sending *s = NULL;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	uint8_t digest[32];

	if (!i)
		return;
	if (!tr_pace_allow(&c->hub->sends, i->no, tr_mono_ms(), SEND_STEP_MS, SEND_BURST)) {
		tr_req_problem(r, &(struct tr_problem){ .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
							.detail = "too many messages of this agent; wait as Retry-After says",
							.retry_after_s = 1 });
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		tr_req_refuse(r, 503, "busy", "the server is out of memory; try again later");
		return;
	}
	s->req = tr_req_keep(r);
	if (!s->req) {
		free(TR_TAKE(s));
		return;
	}
	s->req->about = i;
	tr_sha256(r->q.in, digest);
	tr_hex_add(&hex, tr_view(digest, TR_MAIL_ID_HEX / 2));
	(void)snprintf(s->id, sizeof(s->id), "%s", tr_buf_cstr(&hex));
	tr_core_ask(c, c->appraise, TR_M_READ_ENVELOPE, &tr_msg_read_envelope_def, &q, on_read, TR_TAKE(s));
}

/* ---- acknowledging ---- */

void tr_api_mail_ack(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_in_mail_ack in;
	struct tr_view rest, id;
	struct tr_err err = { 0 };
	struct tr_tx *tx = NULL;
	unsigned n = 0, of = 0;

	if (!tr_core_agent_of(c, r))
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	for (rest = in.ids; of < ACKS_MAX && tr_list_next(&rest, &id); of++) {
		const struct tr_mail_row *row = TR_ROW(&c->mails, tr_table_get(&c->mails, id));

		/* Gone already, or somebody else's: nothing is lost and nothing is told. */
		if (!row || !tr_view_eq(row->recipient, r->q.agent_id))
			continue;
		if (!tx)
			tx = tr_tx_new(c);
		tr_tx_add(tx, TR_OP_DELETE, TR_T_MAIL, &(struct tr_mail_row){ .id = id });
		n++;
	}
	tr_buf_addf(&body, "{\"acknowledged\":%u}", n);
	if (tx)
		tr_tx_commit_answer(tx, tr_req_keep(r), 200, &body);
	else
		tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&body));
}

void tr_mailbox_tick(struct tr_core *c, const struct tr_instant *now)
{
	struct tr_mailboxes *m = c->hub->mail;

	for (size_t i = 0; m->asking && i < TR_MAIL_SLOTS; i++) {
		for (struct tr_mailbox *b = m->slots[i]; b; b = b->next) {
			struct tr_req r;

			if (!b->asking || now->ms + 500 < b->until_ms)
				continue;
			r = req_of(c, b);
			forget_question(m, b);
			(void)answer(c, &r, b, 0, true);
		}
	}
	if (tr_mono_ms() < m->expire_ms)
		return;
	m->expire_ms = tr_mono_ms() + 10000;
	tr_mailbox_expire(c);
}
