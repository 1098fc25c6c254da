/* SPDX-License-Identifier: Apache-2.0 */
#include "server/hub.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/text.h"
#include "server/mailbox.h"
#include "server/msg_hub.h"

#define ASK_STEP_MS 100u
#define ASK_BURST 100u
/* A nonce is remembered for longer than its request may come late, on either side of our clock. */
#define NONCE_KEPT_MS ((2 * TR_REQUEST_SKEW_S + 60) * INT64_C(1000))
#define REVOCATIONS_BYTES_MAX ((size_t)1 << 20)

struct tr_hub *tr_hub_new(void)
{
	struct tr_hub *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->mail = tr_mailboxes_new();
	return h->mail ? h : tr_hub_free(h);
}

struct tr_hub *tr_hub_free(struct tr_hub *h)
{
	if (h) {
		(void)tr_mailboxes_free(h->mail);
		free(h);
	}
	return NULL;
}

/* ---- revocations ---- */

static uint64_t revocations_of(const struct tr_agent_row *row)
{
	return (tr_view_is(row->state, "active") ? 0u : 1u) + (row->epoch ? row->epoch - 1 : 0);
}

bool tr_hub_loaded(struct tr_core *c)
{
	struct tr_item *i;

	TR_EACH_ITEM(&c->agents, i)
		c->hub->revocations += revocations_of(TR_ROW(&c->agents, i));
	TR_EACH_ITEM(&c->mails, i)
		if (!tr_mailbox_take(c->hub->mail, TR_ROW(&c->mails, i)))
			return false;
	return true;
}

void tr_hub_agent_put(struct tr_core *c, const struct tr_item *i, const struct tr_follow *was)
{
	const struct tr_agent_row *row = TR_ROW(&c->agents, i);
	uint64_t before = was->known ? (was->active ? 0u : 1u) + (was->epoch ? was->epoch - 1 : 0) : 0;
	uint64_t after = revocations_of(row);

	if (after > before)
		c->hub->revocations += after - before;
	if (!tr_view_is(row->state, "active"))
		tr_mailbox_end_question(c, row->id);
}

static void put_revoked(struct tr_buf *b, const struct tr_agent_row *row, int64_t at)
{
	tr_cbor_put_array(b, 4);
	tr_cbor_put_text(b, row->id);
	tr_cbor_put_bytes(b, row->key_id);
	tr_cbor_put_int(b, at);
	tr_cbor_put_bool(b, !tr_view_is(row->state, "active"));
}

void tr_api_revocations(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT, out = TR_BUF_INIT;
	struct tr_in_revocations in;
	struct tr_err err = { 0 };
	struct tr_item *i;
	size_t n = 0;

	if (!tr_core_agent_of(c, r))
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	TR_EACH_ITEM(&c->agents, i) {
		const struct tr_agent_row *row = TR_ROW(&c->agents, i);
		bool active = tr_view_is(row->state, "active");
		int64_t at = active ? row->enrolled_at : row->ended_at;

		if ((active && row->epoch <= 1) || (uint64_t)at < in.after)
			continue;
		if (list.n > REVOCATIONS_BYTES_MAX)
			break;
		put_revoked(&list, row, at);
		n++;
	}
	tr_cbor_put_map(&out, 3);
	tr_cbor_put_int(&out, 1);
	tr_cbor_put_uint(&out, c->hub->revocations);
	tr_cbor_put_int(&out, 2);
	tr_cbor_put_array(&out, n);
	tr_buf_addv(&out, tr_buf_view(&list));
	tr_cbor_put_int(&out, 3);
	tr_cbor_put_bool(&out, list.n <= REVOCATIONS_BYTES_MAX);
	tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&out));
}

/* ---- who is verified ---- */

const struct tr_attested_row *tr_hub_verified(const struct tr_core *c, struct tr_view agent, struct tr_row_room *room)
{
	struct tr_item *i = tr_table_get(&c->agents, agent);
	const struct tr_agent_row *row = TR_ROW(&c->agents, i);
	const struct tr_attested_row *a = tr_item_row(&c->attested, tr_table_get(&c->attested, agent), room);

	if (!row || !a || i->ending || !tr_view_is(row->state, "active") || !tr_view_is(a->state, "verified") ||
	    a->expires_at <= tr_now_ms() || !row->key_id.n || !tr_view_eq(row->key_id, a->key_id))
		return NULL;
	return a;
}

/* ---- signed requests ---- */

struct asking {
	struct tr_req *req;
	tr_hub_then then;
	bool evidence;        /* of who asks, too */
	uint8_t seen[32];
};

static struct asking *asking_free(struct asking *a)
{
	if (a) {
		(void)tr_req_free(a->req);
		free(a);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct asking *, asking_free)

static void refuse_replay(struct tr_req *r)
{
	tr_hub_event(r->core, TR_EV_DISCOVERY_REFUSED, 3, tr_item_key(r->about), r->q.source,
		     TR_VIEW_LIT("{\"code\":\"replay\"}"), NULL, NULL);
	tr_req_refuse(r, 409, "replay", "this request was made before; make a new one with a nonce of its own");
}

static void on_noted(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(asking_free) struct asking *a = arg;

	if (rc == TR_E_CONFLICT)
		refuse_replay(a->req);
	else if (rc)
		tr_req_not_stored(a->req, rc, why);
	else
		a->then(TR_TAKE(a->req));
}

static void refuse_time(struct tr_req *r, int64_t at_s)
{
	struct tr_problem p = { .status = 401, .slug = "clock_desync", .title = tr_http_status_title(401),
				.detail = "X-Timestamp is more than five minutes from the server's clock; set the clock right" };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_addf(&b, "\"skew_seconds\":%lld", (long long)(at_s - tr_now_ms() / 1000));
	p.extra = tr_buf_view(&b);
	tr_req_problem(r, &p);
}

static void refuse_signature(struct tr_req *r)
{
	tr_req_refuse(r, 401, "bad_signature",
		      "X-Attestation-Signature is not over this request by a key of X-Requesting-Agent that is known here; see docs/protocol/message.md");
}

/* Asked when it is known who asks: else anybody could use up another one's turn, or find out who is verified. */
static bool may_ask(const struct asking *a)
{
	struct tr_core *c = a->req->core;
	const struct tr_item *i = a->req->about;
	const struct tr_agent_row *row = TR_ROW(&c->agents, i);

	if (i->ending || !tr_view_is(row->state, "active") ||
	    (a->evidence && !tr_hub_verified(c, tr_item_key(i), &(struct tr_row_room){ .text = { 0 } }))) {
		tr_req_refuse(a->req, 403, "not_attested",
			      "the requesting agent has no attestation in force here; register with fresh evidence first");
		return false;
	}
	if (tr_pace_allow(&c->hub->asks, i->no, tr_mono_ms(), ASK_STEP_MS, ASK_BURST))
		return true;
	tr_req_problem(a->req, &(struct tr_problem){ .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
						     .detail = "too many requests of this agent; wait as Retry-After says",
						     .retry_after_s = 1 });
	return false;
}

static void on_verified(void *arg, const void *answer)
{
	tr_auto(asking_free) struct asking *a = arg;
	const struct tr_msg_request_verified *m = answer;
	struct tr_core *c = a->req->core;
	int64_t now_s = tr_now_ms() / 1000;
	struct tr_seen_row row = { .digest = TR_VIEW_ARRAY(a->seen), .expires_at = tr_now_ms() + NONCE_KEPT_MS };
	struct tr_tx *tx;

	if (!m) {
		tr_req_no_verifier(a->req);
		return;
	}
	if (!a->req->about && (!m->code || m->code == TR_E_DENIED)) {
		refuse_signature(a->req);
		return;
	}
	if (m->code) {
		bool forged = m->code == TR_E_DENIED;

		if (a->req->about)
			tr_hub_event(c, TR_EV_DISCOVERY_REFUSED, 3, tr_item_key(a->req->about), a->req->q.source,
				     forged ? TR_VIEW_LIT("{\"code\":\"bad_signature\"}") : TR_VIEW_LIT("{\"code\":\"malformed\"}"),
				     NULL, NULL);
		if (forged)
			refuse_signature(a->req);
		else
			tr_req_refuse(a->req, 400, "malformed",
				      "the headers of the signed request break their grammar; see docs/protocol/message.md");
		return;
	}
	if (m->at < now_s - TR_REQUEST_SKEW_S || m->at > now_s + TR_REQUEST_SKEW_S) {
		refuse_time(a->req, m->at);
		return;
	}
	if (!may_ask(a))
		return;
	if (tr_table_get(&c->seen, row.digest)) {
		refuse_replay(a->req);
		return;
	}
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_INSERT, TR_T_SEEN, &row);
	tr_tx_commit(tx, on_noted, TR_TAKE(a));
}

static void nonce_digest(struct tr_view agent, struct tr_view nonce, uint8_t out[32])
{
	struct tr_sha256 *h = tr_sha256_new();

	tr_sha256_add(h, TR_VIEW_LIT("troth/request-nonce/v1"));
	tr_sha256_add(h, tr_view("", 1));
	tr_sha256_add(h, agent);
	tr_sha256_add(h, tr_view("", 1));
	tr_sha256_add(h, nonce);
	tr_sha256_end(h, out);
	(void)tr_sha256_free(h);
}

/* Does the connection, where it says who it is, say the same? */
static bool is_theirs(struct tr_core *c, struct tr_req *r, const struct tr_msg_hub *h)
{
	if (!r->q.agent_id.n)
		return true;
	if (tr_view_eq(r->q.agent_id, h->agent))
		return tr_core_agent_of(c, r) != NULL;
	tr_req_refuse(r, 403, "wrong_agent", "X-Requesting-Agent is not the agent of this connection's certificate");
	return false;
}

void tr_hub_authenticate(struct tr_core *c, struct tr_req *r, bool evidence, tr_hub_then then)
{
	tr_auto(asking_free) struct asking *a = NULL;
	/* An Ed25519 SPKI: RFC 8410's prefix and the curve's base point. */
	static const uint8_t nobody[] = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00" "\x58\x66\x66\x66\x66\x66\x66\x66\x66\x66"
					"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66";
	struct tr_msg_verify_request q = { .hub = r->q.hub };
	struct tr_msg_hub h;
	struct tr_err err = { 0 };
	struct tr_row_room room;
	struct tr_item *i;
	const struct tr_agent_row *row;

	if (!r->q.hub.n || tr_record_decode(&tr_msg_hub_def, r->q.hub, &h, &err) || !h.agent.n || !h.signature.n ||
	    !h.timestamp.n || !h.nonce.n) {
		tr_req_refuse(r, 401, "signature_missing",
			      "sign the request: X-Requesting-Agent, X-Timestamp, X-Nonce and X-Attestation-Signature (docs/protocol/message.md)");
		return;
	}
	if (!is_theirs(c, r, &h))
		return;
	i = tr_table_get(&c->agents, h.agent);
	row = tr_item_row(&c->agents, i, &room);
	/* Whoever is not there has a key, too, and no signature by it is a good one: by answer and time, a stranger learns
	 * nothing about who is there. */
	if (!row || !row->spki.n)
		i = NULL;
	q.spki = i ? row->spki : tr_view(nobody, sizeof(nobody) - 1);
	a = calloc(1, sizeof(*a));
	if (!a) {
		tr_req_refuse(r, 503, "busy", "the server is out of memory; try again later");
		return;
	}
	a->req = tr_req_keep(r);
	if (!a->req)
		return;
	a->req->about = i; /* agents are never deleted; NULL: nobody */
	a->then = then;
	a->evidence = evidence;
	(void)snprintf(a->req->actor, sizeof(a->req->actor), "agent:%.*s", TR_VIEW_FMT(h.agent));
	nonce_digest(h.agent, h.nonce, a->seen);
	tr_core_ask(c, c->appraise, TR_M_VERIFY_REQUEST, &tr_msg_verify_request_def, &q, on_verified, TR_TAKE(a));
}

/* ---- events, and the clock ---- */

void tr_hub_event(struct tr_core *c, enum tr_event_kind kind, unsigned severity, struct tr_view agent, struct tr_view source,
		  struct tr_view detail, const char *alert, const char *summary)
{
	const struct tr_item *i = agent.n ? tr_table_get(&c->agents, agent) : NULL;
	struct tr_event ev = { .kind = kind, .agent = i ? i->no : TR_NO_AGENT, .agent_id = agent, .source = source,
			       .severity = severity, .detail = detail };
	struct tr_alert a = { .kind = alert, .severity = severity };
	char subject[80];

	tr_effects_event(c->effects, &ev);
	if (!alert)
		return;
	(void)snprintf(subject, sizeof(subject), agent.n ? "agent:%.*s" : "server%.*s", TR_VIEW_FMT(agent));
	a.subject = tr_view_str(subject);
	a.summary = tr_view_str(summary);
	tr_alerts_raise(tr_fleet_alerts(c->fleet), tr_core_now(c).ms, &a);
}

bool tr_hub_mail(struct tr_core *c, enum tr_op op, const struct tr_mail_row *row)
{
	const struct tr_mail_row *known = TR_ROW(&c->mails, tr_table_get(&c->mails, row->id));

	if (op == TR_OP_DELETE) {
		if (known)
			tr_mailbox_drop(c->hub->mail, known->recipient, row->id);
		tr_table_del(&c->mails, row->id);
		return true;
	}
	/* Told twice, by this node and as another's change: it is one letter. */
	if (known)
		return true;
	if (!tr_table_put(&c->mails, row) || !tr_mailbox_take(c->hub->mail, row))
		return false;
	tr_mailbox_wake(c, row->recipient);
	return true;
}

void tr_hub_tick(struct tr_core *c, const struct tr_instant *now)
{
	tr_mailbox_tick(c, now);
}

void tr_hub_metrics(const struct tr_core *c, struct tr_buf *b)
{
	size_t bytes, letters = tr_mailboxes_count(c->hub->mail, &bytes);

	tr_buf_addf(b,
		    "# HELP troth_mailbox_letters Letters that wait for agents.\n# TYPE troth_mailbox_letters gauge\n"
		    "troth_mailbox_letters %zu\n"
		    "# HELP troth_mailbox_bytes Their envelopes together; 256 MiB is the most.\n# TYPE troth_mailbox_bytes gauge\n"
		    "troth_mailbox_bytes %zu\n"
		    "# HELP troth_agent_revocations Revocations of agents so far.\n# TYPE troth_agent_revocations gauge\n"
		    "troth_agent_revocations %llu\n",
		    letters, bytes, (unsigned long long)c->hub->revocations);
}
