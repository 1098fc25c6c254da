/* SPDX-License-Identifier: Apache-2.0 */
/* What agents say of commands. A receipt is read by appraise with the key that the agent is enrolled with, its news is made
 * durable, and only then it is answered: the agent repeats it until then. */
#include "server/deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#define STEP_MS 100u
#define BURST 300u
#define FOREIGN_STEP_MS 15000u
#define FOREIGN_BURST 64u /* as many receipts as an agent says in one go */

struct saying {
	struct tr_req *req;          /* about: the agent */
	struct tr_buf bytes, stored; /* the message, and the row of a command that is over, as they came */
	struct tr_msg_receipt_read m;
	char id[TR_CMD_ID_HEX + 1];
	enum tr_out_effect effect;
};

static struct saying *saying_free(struct saying *s)
{
	if (s) {
		(void)tr_req_free(s->req);
		tr_buf_done(&s->bytes);
		tr_buf_done(&s->stored);
		free(s);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct saying *, saying_free)

static void recorded(struct saying *s)
{
	tr_req_answer(s->req, 200, TR_CT_JSON, TR_VIEW_LIT("{\"recorded\":true}"));
}

/* ---- what is told ---- */

/* How bad it is that an agent refuses; 0: it happens. */
static unsigned weight_of(struct tr_view code)
{
	static const struct {
		enum tr_refusal why;
		unsigned severity;
	} bad[] = {
		{ TR_REF_BAD_SIGNATURE, 1 },	 { TR_REF_UNKNOWN_KEY, 1 },   { TR_REF_REVOKED_KEY, 1 },
		{ TR_REF_APPROVAL_MISSING, 1 }, { TR_REF_APPROVAL_INVALID, 1 }, { TR_REF_REPLAYED, 2 },
		{ TR_REF_MALFORMED, 2 },	 { TR_REF_WRONG_AGENT, 2 },   { TR_REF_JOURNAL, 3 },
		{ TR_REF_STALE_KEYSET, 3 },	 { TR_REF_RETIRED_KEY, 3 },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		if (tr_view_is(code, tr_refusal_slug(bad[i].why)))
			return bad[i].severity;
	return 0;
}

/* Somebody else has used numbers that are ours to give: above them nothing is known, on a new line everything is. */
static void begin_line(struct tr_core *c, const struct tr_item *agent, const struct tr_command_row *row)
{
	struct tr_box *b = agent ? tr_box_of(c, agent->no) : NULL;
	uint64_t now_ms = (uint64_t)tr_now_ms();

	if (!b || row->line != b->line)
		return;
	b->line = now_ms > b->line ? now_ms : b->line + 1;
	b->given = 0;
	tr_log(TR_LOG_WARN, "line_begun", "agent", tr_fmt_view(row->agent), "line", tr_fmt("%llu", (unsigned long long)b->line), NULL);
}

static void tell_refused(struct saying *s, const struct tr_command_row *row)
{
	unsigned severity = s->effect == TR_OUT_EARLIER ? 0 : weight_of(s->m.reason);
	bool replayed = tr_view_is(s->m.reason, tr_refusal_slug(TR_REF_REPLAYED));

	if (replayed && s->effect != TR_OUT_EARLIER)
		begin_line(s->req->core, s->req->about, row);
	tr_command_event(s->req->core, replayed ? TR_EV_COMMAND_REPLAYED : TR_EV_COMMAND_REFUSED, severity ? severity : 4,
			 s->req->about, row, row->id, s->m.reason, s->req->q.source, s->req->q.in,
			 severity ? "command_refused" : NULL);
}

static void tell_changed(struct saying *s, const struct tr_command_row *row)
{
	enum tr_out state = tr_out_of(row->state);

	if (state == TR_OUT_REFUSED)
		tell_refused(s, row);
	else if (state == TR_OUT_UNKNOWN)
		tr_command_event(s->req->core, TR_EV_COMMAND_UNKNOWN, 2, s->req->about, row, row->id, s->m.reason,
				 s->req->q.source, s->req->q.in, "command_unknown");
	tr_log(TR_LOG_INFO, "command_said", "command", s->id, "agent", tr_fmt_view(s->req->q.agent_id), "state",
	       tr_fmt_view(row->state), "code", tr_fmt_view(s->m.reason), NULL);
}

/* ---- somebody else's command ---- */

static void tell_foreign(struct saying *s)
{
	tr_command_event(s->req->core, TR_EV_COMMAND_FOREIGN, 1, s->req->about, NULL, tr_view_str(s->id), s->m.reason,
			 s->req->q.source, s->req->q.in, "command_foreign");
	recorded(s);
}

static void foreign_stored(void *arg, enum tr_code rc, const char *why)
{
	tr_auto(saying_free) struct saying *s = arg;

	if (rc) {
		tr_req_not_stored(s->req, rc, why);
		return;
	}
	/* Another node's order, which came to be known with the record: the agent says it once more. */
	if (s->effect != TR_OUT_FORGED && tr_live_find(s->req->core, tr_view_str(s->id))) {
		tr_req_not_stored(s->req, TR_E_BUSY, "this order was not known here yet; say it again");
		return;
	}
	tell_foreign(s);
}

/* The agent was given a command that this server did not order: whoever signed it is not us, or we forgot. */
static void foreign(struct saying *s)
{
	struct tr_core *c = s->req->core;
	tr_auto(tr_buf_done) struct tr_buf detail = TR_BUF_INIT;
	struct tr_tx *tx;

	/* It decides what it says, so it must not fill the disk. It is answered all the same: its own receipts wait behind
	 * those of a thief's commands. Events and the alert have their own measure. */
	if (!tr_pace_allow(&c->orders->foreign, s->req->about->no, tr_mono_ms(), FOREIGN_STEP_MS, FOREIGN_BURST)) {
		tell_foreign(s);
		(void)saying_free(s);
		return;
	}
	tr_buf_addf(&detail, "{\"state\":\"%s\",\"line\":%llu,\"seq\":%llu}", tr_cmd_state_name(s->m.state),
		    (unsigned long long)s->m.line, (unsigned long long)s->m.seq);
	tx = tr_tx_new(c);
	tr_audit(tx, s->req->actor, "command.foreign", tr_view_str(s->id), "noted", tr_fmt_view(s->m.reason),
		 s->req->q.source, tr_buf_view(&detail));
	tr_tx_commit(tx, foreign_stored, s);
}

/* ---- one of ours ---- */

static void on_stored(void *arg, struct tr_making *m)
{
	tr_auto(saying_free) struct saying *s = arg;
	const struct tr_make *x = tr_making_at(m, 0);

	if (x->rc) {
		tr_req_not_stored(s->req, x->rc, x->why);
		return;
	}
	tell_changed(s, &x->row);
	recorded(s);
}

/* Does it answer the bytes that we signed? Only of the signature in force they are still here. */
static bool is_ours(const struct tr_command_row *row, const struct tr_msg_receipt_read *m)
{
	struct tr_cose cose;
	uint8_t digest[32];
	struct tr_err err = { 0 };

	return row->command.n && !tr_cose1_parse(row->command, TR_COMMAND_MAX, &cose, &err) &&
	       !tr_cose1_digest(&cose, TR_COMMAND_DOMAIN, digest, &err) && tr_view_eq(m->command, TR_VIEW_ARRAY(digest));
}

static void note_end(struct saying *s, struct tr_making *m, const struct tr_command_row *row)
{
	const struct tr_audit_row audit = {
		.time = tr_now_ms(), .actor = tr_view_str(s->req->actor), .action = TR_VIEW_LIT("command.end"),
		.object = row->id, .outcome = row->state, .reason = row->code, .source = s->req->q.source,
		.detail = TR_VIEW_LIT("{}"),
	};

	if (row->ended_at && row->class != TR_CLASS_READ)
		tr_op_encode(tr_making_also(m), TR_OP_APPEND, TR_T_AUDIT, &audit);
}

/* m has one command, copied from its row; its end takes s. */
static void hear(struct saying *s, struct tr_making *m)
{
	struct tr_make *x = tr_making_at(m, 0);
	enum tr_cmd cmd = tr_cmd_of(x->row.type);
	struct tr_out_word w = { .state = s->m.state, .code = s->m.reason, .result = s->m.result, .receipt = s->req->q.in,
				 .line = s->m.line, .seq = s->m.seq, .position = s->m.position,
				 .ours = is_ours(&x->row, &s->m) };
	int64_t now_ms = tr_now_ms();

	s->effect = tr_view_eq(x->row.agent, s->req->q.agent_id) ? tr_out_hear(&x->row, &w, now_ms) : TR_OUT_FORGED;
	if (s->effect == TR_OUT_CHANGED) {
		x->quarantine_changes = s->m.state == TR_CS_DONE && (cmd == TR_CMD_QUARANTINE || cmd == TR_CMD_RELEASE);
		x->quarantined_at = cmd == TR_CMD_QUARANTINE ? now_ms : 0;
		note_end(s, m, &x->row);
		tr_making_go(m, on_stored, s);
		return;
	}
	if (s->effect == TR_OUT_EARLIER)
		tell_refused(s, &x->row);
	(void)tr_making_free(m);
	if (s->effect == TR_OUT_FORGED) {
		foreign(s);
		return;
	}
	recorded(s);
	(void)saying_free(s);
}

/* Of a command that is over: its row is in the store only. */
static void on_found(void *arg, const void *answer)
{
	struct saying *s = arg;
	const struct tr_msg_rows *rows = answer;
	struct tr_core *c = s->req->core;
	struct tr_making *m;
	struct tr_view list, one;
	struct tr_make *x;
	struct tr_err err = { 0 };

	if (!rows) {
		tr_req_refuse(s->req, 503, "store_unavailable", "the command could not be looked up; send the receipt again");
		(void)saying_free(s);
		return;
	}
	tr_buf_addv(&s->stored, rows->rows);
	list = tr_buf_view(&s->stored);
	m = tr_making_new(c, 1);
	x = m ? tr_making_add(m) : NULL;
	if (!x || !tr_buf_ok(&s->stored)) {
		(void)tr_making_free(m);
		tr_req_refuse(s->req, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)saying_free(s);
	} else if (!tr_records_next(&list, &one) || tr_record_decode(&tr_command_row_def, one, &x->row, &err)) {
		(void)tr_making_free(m);
		foreign(s);
	} else {
		x->agent = s->req->about;
		hear(s, m);
	}
}

/* Numbers that the agent has never seen although it has seen later ones: what we sent is given again at once. */
static void hear_missing(struct tr_core *c, const struct saying *s)
{
	struct tr_box *b = tr_box_find(c, s->req->about->no);

	for (size_t i = 0; b && b->line == s->m.line && i + 8 <= s->m.missing.n; i += 8) {
		uint64_t seq = 0;

		for (unsigned k = 8; k-- > 0;)
			seq = seq << 8 | s->m.missing.p[i + k];
		for (uint32_t k = b->first; k != TR_NO_LIVE; k = c->orders->live[k].next) {
			struct tr_live *l = &c->orders->live[k];

			if (l->seq != seq || l->state != TR_OUT_SENT || l->busy || !l->given_ms)
				continue;
			l->given_ms = 0;
			tr_command_event(c, TR_EV_COMMAND_GAP, 4, s->req->about, NULL, tr_view_str(l->id), tr_view(NULL, 0),
					 s->req->q.source, tr_view(NULL, 0), NULL);
			tr_deliver_wake(c, b);
		}
	}
}

static bool refuse_unread(struct saying *s, const struct tr_msg_receipt_read *m)
{
	struct tr_req *r = s->req;

	if (!m)
		tr_req_no_verifier(r);
	else if (m->code == TR_E_DENIED)
		tr_req_refuse(r, 403, "bad_signature", "the receipt is not signed by the key that this agent is enrolled with");
	else if (m->code)
		tr_req_refuse(r, 422, "malformed", "this is no receipt; see docs/protocol/command.md");
	else if (!tr_view_eq(m->agent_id, r->q.agent_id))
		tr_req_refuse(r, 403, "wrong_agent", "the receipt names another agent than the certificate of this connection");
	else
		return false;
	return true;
}

static void on_read(void *arg, const void *answer)
{
	struct saying *s = arg;
	struct tr_core *c = s->req->core;
	struct tr_live *l;
	struct tr_making *m;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (refuse_unread(s, answer)) {
		(void)saying_free(s);
		return;
	}
	/* A copy of its own: the answer may have to wait for the store. */
	tr_record_encode(&tr_msg_receipt_read_def, answer, &s->bytes);
	if (!tr_buf_ok(&s->bytes) || tr_record_decode(&tr_msg_receipt_read_def, tr_buf_view(&s->bytes), &s->m, &err)) {
		tr_req_refuse(s->req, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)saying_free(s);
		return;
	}
	tr_hex_add(&hex, s->m.cmd_id);
	(void)snprintf(s->id, sizeof(s->id), "%s", tr_buf_cstr(&hex));
	hear_missing(c, s);
	l = tr_live_find(c, tr_view_str(s->id));
	if (!l) {
		tr_record_encode(&tr_list_query_def, &(struct tr_list_query){ .limit = 1, .id = tr_view_str(s->id) }, &query);
		tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
			    &(struct tr_msg_list){ .table = TR_T_COMMAND, .query = tr_buf_view(&query) }, on_found, s);
		return;
	}
	m = l->busy ? NULL : tr_making_new(c, 1);
	if (!m || !tr_making_change(m, l)) {
		(void)tr_making_free(m);
		tr_req_refuse(s->req, 503, "busy", "another change of this command is under way; send the receipt again");
		(void)saying_free(s);
		return;
	}
	hear(s, m);
}

void tr_api_agent_receipts(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_msg_read_receipt q = { .receipt = r->q.in };
	struct tr_agent_row row;
	struct saying *s;

	if (!i)
		return;
	if (!tr_pace_allow(&c->orders->receipts, i->no, tr_mono_ms(), STEP_MS, BURST)) {
		tr_req_problem(r, &(struct tr_problem){ .status = 429, .slug = "rate_limited",
							.title = tr_http_status_title(429),
							.detail = "too many receipts of this agent; wait as Retry-After says",
							.retry_after_s = 1 });
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s)
		s->req = tr_req_keep(r);
	if (!s || !s->req) {
		if (!s)
			tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)saying_free(s);
		return;
	}
	s->req->about = i; /* agents are never deleted */
	row = tr_agent_now(c, i);
	q.spki = r->next_key ? row.next_spki : row.spki;
	tr_core_ask(c, c->appraise, TR_M_READ_RECEIPT, &tr_msg_read_receipt_def, &q, on_read, s);
}
