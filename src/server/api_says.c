/* SPDX-License-Identifier: Apache-2.0 */
/* An operator's word about one agent: expect an update, take its state as good, ask for its BPF list. First the audit
 * row is durable, then the fleet hears it, then what it made of it is durable, then it is answered: nothing changes that
 * nobody is named for, and nothing is answered that a restart would forget. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define EXPECT_MINUTES 60u
#define EXPECT_MINUTES_MAX (7u * 24 * 60)

enum word { WORD_EXPECT, WORD_ACCEPT, WORD_BPF };

struct saying {
	struct tr_req *req;
	enum word word;
	uint8_t hash[32]; /* expected; or the image that was running when the operator said that it is good */
	uint8_t bpf[32];  /* accept: the snapshot then, zeros: none */
	int64_t for_ms;
};

static struct saying *saying_free(struct saying *s)
{
	if (s) {
		(void)tr_req_free(s->req);
		free(s);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct saying *, saying_free)

static void on_durable(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(saying_free) struct saying *s = arg;
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };

	if (rc) {
		tr_req_not_stored(s->req, rc, why);
		return;
	}
	tr_agent_json(s->req->core, s->req->about, &b);
	tr_req_answer_json(s->req, &b);
}

static void copy32(uint8_t to[32], struct tr_view from)
{
	memset(to, 0, 32);
	if (from.n == 32)
		memcpy(to, from.p, 32);
}

static bool is_set(const uint8_t p[32])
{
	static const uint8_t zeros[32];

	return memcmp(p, zeros, 32) != 0;
}

/* An agent may change its word between the record and the deed: what is recorded is what is done, or nothing is. */
static bool is_as_accepted(const struct tr_core *c, uint32_t no, const struct saying *s)
{
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, no);
	uint8_t hash[32], bpf[32];

	if (!a || a->axes.auth == TR_AUTH_FORKED)
		return false;
	copy32(hash, tr_fleet_value(c->fleet, a->running));
	copy32(bpf, tr_fleet_value(c->fleet, a->bpf));
	return memcmp(hash, s->hash, 32) == 0 && memcmp(bpf, s->bpf, 32) == 0;
}

static void on_audited(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(saying_free) struct saying *s = arg;
	struct tr_core *c = s->req->core;
	uint32_t no = s->req->about->no;
	struct tr_instant now = tr_core_now(c);
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT;
	struct tr_pulse_row row, word = { 0 };
	struct tr_tx *tx;

	if (rc) {
		tr_req_not_stored(s->req, rc, why);
		return;
	}
	if (s->word == WORD_ACCEPT && !is_as_accepted(c, no, s)) {
		tr_req_refuse(s->req, 409, "state_changed",
			      "the agent said something else while this was written down; nothing was accepted: look again with troth agent explain");
		return;
	}
	word.id = s->req->q.arg;
	switch (s->word) {
	case WORD_EXPECT: tr_fleet_expect(c->fleet, &now, no, s->hash, now.ms + s->for_ms); break;
	case WORD_ACCEPT: tr_fleet_accept(c->fleet, &now, no); break;
	default: tr_fleet_want_bpf_list(c->fleet, no); break;
	}
	word.expected_hash = s->word == WORD_EXPECT ? tr_view(s->hash, 32) : tr_view(NULL, 0);
	word.expected_until = now.ms + s->for_ms;
	word.running_hash = s->word == WORD_ACCEPT ? tr_view(s->hash, 32) : tr_view(NULL, 0);
	word.bpf_digest = s->word == WORD_ACCEPT && is_set(s->bpf) ? tr_view(s->bpf, 32) : tr_view(NULL, 0);
	tr_log(TR_LOG_INFO, "operator_said", "agent", tr_fmt_view(s->req->q.arg), "by", s->req->actor, "what",
	       s->word == WORD_EXPECT ? "expect" : s->word == WORD_ACCEPT ? "accept" : "bpf", NULL);
	tr_fleet_row(c->fleet, no, &scratch, &row);
	tx = tr_tx_new(c);
	tr_tx_add(tx, TR_OP_PUT, TR_T_PULSE, &row);
	/* The agent may speak to another node, which knows better what runs there: it hears the word itself. */
	tr_tx_add(tx, TR_OP_TELL, TR_T_PULSE, &word);
	tr_tx_commit(tx, on_durable, TR_TAKE(s));
}

/* Takes s, which may be NULL. */
static void say(struct tr_core *c, struct tr_req *r, struct tr_item *i, struct saying *s, const char *action,
		const struct tr_buf *detail)
{
	struct tr_tx *tx;

	if (!s || !tr_buf_ok(detail)) {
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)saying_free(s);
		return;
	}
	s->req = tr_req_keep(r);
	if (!s->req) {
		(void)saying_free(s);
		return;
	}
	s->req->about = i; /* agents are never deleted */
	tx = tr_tx_new(c);
	tr_audit(tx, r->actor, action, r->q.arg, "ok", "", r->q.source, tr_buf_view(detail));
	tr_tx_commit(tx, on_audited, s);
}

static void put_reason(struct tr_buf *b, struct tr_view reason)
{
	tr_buf_adds(b, "{\"reason\":");
	tr_json_put_str(b, reason);
}

/* "sha256:<64 digits>", or the digits alone. */
static bool read_hash(struct tr_view text, uint8_t ret[32])
{
	if (tr_view_starts(text, "sha256:"))
		text = tr_view(text.p + 7, text.n - 7);
	return text.n == 64 && tr_hex_get(text, ret, 32);
}

void tr_api_agent_expect(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_agent_named_active(c, r);
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	tr_auto(saying_free) struct saying *s = calloc(1, sizeof(*s));
	struct tr_in_expect in;
	struct tr_err err = { 0 };

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	in.minutes = in.minutes ? in.minutes : EXPECT_MINUTES;
	if (s && (!read_hash(in.hash, s->hash) || in.minutes > EXPECT_MINUTES_MAX)) {
		tr_req_refuse(r, 400, "out_of_range",
			      "hash is sha256: and 64 hexadecimal digits, and an update takes at most 10080 minutes");
		return;
	}
	if (s)
		s->for_ms = (int64_t)in.minutes * 60000;
	put_reason(&detail, in.reason);
	tr_buf_adds(&detail, ",\"hash\":\"");
	if (s)
		tr_hex_add(&detail, TR_VIEW_ARRAY(s->hash));
	tr_buf_addf(&detail, "\",\"minutes\":%llu}", (unsigned long long)in.minutes);
	say(c, r, i, TR_TAKE(s), "agent.expect", &detail);
}

void tr_api_agent_accept(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_agent_named_active(c, r);
	const struct tr_fleet_agent *a = i ? tr_fleet_agent(c->fleet, i->no) : NULL;
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct saying *s;
	struct tr_in_why in;
	struct tr_err err = { 0 };

	if (!i)
		return;
	if (tr_req_in(r, &in, &err)) {
		tr_req_error(r, &err);
		return;
	}
	if (!a || !a->running) {
		tr_req_refuse(r, 409, "nothing_to_accept", "this agent has sent no pulse yet, so there is no state to take as good");
		return;
	}
	/* Two hosts answer to this name: which of them would be meant? */
	if (a->axes.auth == TR_AUTH_FORKED) {
		tr_req_refuse(r, 409, "identity_forked",
			      "two hosts use this identity, so its state cannot be accepted; see troth agent reset-identity");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s) {
		s->word = WORD_ACCEPT;
		copy32(s->hash, tr_fleet_value(c->fleet, a->running));
		copy32(s->bpf, tr_fleet_value(c->fleet, a->bpf));
	}
	put_reason(&detail, in.reason);
	/* What exactly was taken as good: the agent may say something else in its next beat. */
	tr_buf_adds(&detail, ",\"hash\":\"");
	tr_hex_add(&detail, tr_fleet_value(c->fleet, a->running));
	tr_buf_adds(&detail, "\",\"bpf\":\"");
	tr_hex_add(&detail, tr_fleet_value(c->fleet, a->bpf));
	tr_buf_adds(&detail, "\"}");
	say(c, r, i, s, "agent.accept", &detail);
}

void tr_api_agent_bpf_request(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_agent_named_active(c, r);
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct saying *s;

	if (!i)
		return;
	s = calloc(1, sizeof(*s));
	if (s)
		s->word = WORD_BPF;
	say(c, r, i, s, "agent.bpf_request", &detail);
}
