/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/obey_inner.h"

#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>

const char *tr_obey_hex(const uint8_t *p, size_t n)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_hex_add(&b, tr_view(p, n));
	return tr_fmt("%s", tr_buf_cstr(&b));
}

const struct tr_cmd_ops *tr_obey_ops(const struct tr_obey *o, uint64_t cmd)
{
	for (size_t i = 0; o->ops[i]; i++)
		if (o->ops[i]->cmd == cmd)
			return o->ops[i];
	return NULL;
}

/* ---- refusals: of strangers, too, so everything about them is bounded ---- */

static bool may_say_no(struct tr_obey *o)
{
	uint64_t minute = o->now.mono_ms / 60000;

	if (minute != o->minute) {
		if (o->dropped)
			tr_log(TR_LOG_WARN, "refusals_not_told", "count",
			       tr_fmt("%llu", (unsigned long long)o->dropped), NULL);
		o->minute = minute;
		o->refused = o->dropped = 0;
	}
	if (o->refused >= TR_OBEY_REFUSED_PER_MIN) {
		o->dropped++;
		return false;
	}
	o->refused++;
	return true;
}

/* The same no to the same bytes is the same receipt. code "": whatever it was. */
static struct tr_refused_one *said_before(struct tr_obey *o, const struct tr_refused_one *r)
{
	for (size_t i = tr_journal_refusals(o->journal); i-- > 0;) {
		struct tr_refused_one *old = tr_journal_refusal(o->journal, i);

		if (memcmp(old->digest, r->digest, sizeof(r->digest)) == 0 &&
		    (!r->code[0] || strcmp(old->code, r->code) == 0))
			return old;
	}
	return NULL;
}

static bool say_again(struct tr_refused_one *old)
{
	if (old)
		old->told = old->acked = false;
	return old != NULL;
}

static void refuse(struct tr_obey *o, struct tr_refused_one *r, enum tr_refusal why,
		   const struct tr_err *because)
{
	struct tr_err err;
	bool fits = why != TR_REF_JOURNAL;

	(void)snprintf(r->code, sizeof(r->code), "%s", tr_refusal_slug(why));
	r->at_ns = o->now.wall_ns;
	if (say_again(said_before(o, r)) || !may_say_no(o))
		return;
	tr_log(TR_LOG_WARN, "command_refused", "code", r->code, "kid", tr_obey_hex(r->kid, sizeof(r->kid)),
	       "command", tr_obey_hex(r->cmd_id, sizeof(r->cmd_id)), "seq",
	       tr_fmt("%llu", (unsigned long long)r->seq), "detail", because ? because->detail : "", NULL);
	if (fits && !tr_journal_refuse(o->journal, r, &err))
		return;
	/* A refusal that cannot be kept is told once, as far as the connection lasts. */
	if (o->n_loose == TR_OBEY_LOOSE_MAX)
		return;
	r->position = tr_journal_position(o->journal);
	o->loose[o->n_loose++] = *r;
}

/* ---- a command comes ---- */

/* What can be said about bytes that nobody vouches for. */
static void read_anything(struct tr_view in, struct tr_refused_one *r)
{
	struct tr_command c;
	struct tr_order o;
	struct tr_cose cose;
	struct tr_view kid = { 0 };
	struct tr_err err;
	enum tr_code rc;

	if (tr_cose1_parse(in, TR_COMMAND_MAX, &cose, &err) ||
	    tr_cose1_digest(&cose, TR_COMMAND_DOMAIN, r->digest, &err)) {
		/* It has no signed bytes: some name for what came. */
		tr_sha256(in, r->digest);
		return;
	}
	rc = tr_command_read(in, &c, &o, &kid, &err);
	if (rc && rc != TR_E_NOTFOUND)
		return;
	memcpy(r->cmd_id, o.cmd_id, sizeof(r->cmd_id));
	memcpy(r->kid, kid.p, kid.n < sizeof(r->kid) ? kid.n : sizeof(r->kid));
	r->line = c.line;
	r->seq = c.seq;
}

static struct tr_job job_of(const struct tr_obey *o, const struct tr_command *c, const struct tr_order *order,
			    const struct tr_refused_one *r)
{
	const struct tr_cmd_type *t = tr_cmd_type(order->cmd);
	struct tr_job j = {
		.line = c->line,
		.seq = c->seq,
		.cmd = order->cmd,
		.kind = t ? t->kind : TR_KIND_ONCE,
		.issued_ms = c->issued_ms,
		.expires_ms = c->expires_ms,
		.not_before_ms = order->not_before_ms,
		.order_expires_ms = order->expires_ms,
		.at_ns = o->now.wall_ns,
	};

	memcpy(j.cmd_id, order->cmd_id, sizeof(j.cmd_id));
	memcpy(j.digest, r->digest, sizeof(j.digest));
	memcpy(j.kid, r->kid, sizeof(j.kid));
	tr_order_digest(c->order, j.order_digest);
	return j;
}

/* What the agent is, rather than what the command says. */
static enum tr_refusal check_state(const struct tr_obey *o, const struct tr_order *order)
{
	const struct tr_cmd_type *t = tr_cmd_type(order->cmd);

	if (!t || !tr_obey_ops(o, order->cmd))
		return TR_REF_UNSUPPORTED;
	if (order->image.n && !tr_view_eq(order->image, o->image))
		return TR_REF_WRONG_IMAGE;
	if (o->quarantined && t->class != TR_CLASS_READ && order->cmd != TR_CMD_CANCEL &&
	    order->cmd != TR_CMD_RELEASE)
		return TR_REF_QUARANTINED;
	return TR_REF_NONE;
}

/* The very bytes that were taken before, or a fresh signature over the same order: the answer is in the
 * journal. */
static bool answer_known(struct tr_obey *o, const struct tr_job *want, bool authentic)
{
	struct tr_job *job = tr_journal_find(o->journal, want->cmd_id);
	struct tr_err err;

	if (!job || memcmp(job->order_digest, want->order_digest, 32) != 0)
		return false;
	if (!authentic && memcmp(job->digest, want->digest, 32) != 0)
		return false;
	/* That its receipt names the new signature is a courtesy; that it is sent is not. */
	if (authentic && tr_journal_again(o->journal, job, want, &err))
		tr_log_err(TR_LOG_WARN, "journal_not_written", &err, NULL);
	job->acked = 0;
	job->told = false;
	return true;
}

/* Numbers count as seen when a key in force signed them, for us: what could be obeyed later does not use its
 * up. */
static bool uses_number(enum tr_refusal why)
{
	return why != TR_REF_WRONG_AGENT && why != TR_REF_NOT_YET && why != TR_REF_STALE_KEYSET &&
	       why != TR_REF_JOURNAL;
}

static void receive(struct tr_obey *o, const struct tr_job *want, struct tr_view order,
		    struct tr_refused_one *r)
{
	struct tr_job *job = NULL;
	struct tr_err err = { 0 };

	if (tr_journal_receive(o->journal, want, order, &job, &err)) {
		refuse(o, r, TR_REF_JOURNAL, &err);
		return;
	}
	tr_log(TR_LOG_INFO, "command_received", "command", tr_obey_hex(job->cmd_id, sizeof(job->cmd_id)),
	       "type", tr_cmd_type(job->cmd)->name, "seq", tr_fmt("%llu", (unsigned long long)job->seq),
	       NULL);
	if (job->not_before_ms <= o->now.known_ms)
		tr_obey_begin(o, job);
}

/* It verifies. */
static void take(struct tr_obey *o, const struct tr_job *want, const struct tr_order *order,
		 struct tr_view order_bytes, struct tr_refused_one *r)
{
	struct tr_job *job = NULL;
	enum tr_refusal why = TR_REF_NONE;
	struct tr_err err = { 0 };

	if (tr_journal_health(o->journal) == TR_JOURNAL_DAMAGED) {
		(void)tr_err_set(&err, TR_E_DENIED, "damaged", "the journal is damaged: %s",
				 tr_journal_why(o->journal));
		refuse(o, r, TR_REF_JOURNAL, &err);
		return;
	}
	switch (tr_journal_check(o->journal, want, o->now.known_ms, &job)) {
	case TR_SEEN_KNOWN:
		if (tr_journal_again(o->journal, job, want, &err))
			tr_log_err(TR_LOG_WARN, "journal_not_written", &err, NULL);
		return;
	case TR_SEEN_REPLAYED:
		if (say_again(said_before(o, r)))
			return;
		r->authentic = false; /* its number is spent already, or below all that count */
		refuse(o, r, TR_REF_REPLAYED, NULL);
		return;
	case TR_SEEN_FULL: why = TR_REF_JOURNAL; break;
	default: why = check_state(o, order);
	}
	r->authentic = uses_number(why);
	if (why)
		refuse(o, r, why, NULL);
	else
		receive(o, want, order_bytes, r);
}

enum tr_obey_took tr_obey_take(struct tr_obey *o, struct tr_view in, bool last)
{
	struct tr_refused_one r = { 0 };
	struct tr_command c;
	struct tr_order order;
	struct tr_job want;
	struct tr_err err = { 0 };
	enum tr_refusal why = TR_REF_UNKNOWN_KEY;

	o->scope.now_ms = o->now.known_ms;
	read_anything(in, &r);
	if (o->scope.keyset) {
		uint8_t digest[32]; /* the same; zeros of what has no signed bytes */
		bool authentic = false;

		why = tr_command_verify(in, &o->scope, &c, &order, digest, &authentic, &err);
		r.authentic = authentic;
	}
	if (why == TR_REF_UNKNOWN_KEY && !last)
		return TR_OBEY_KEY_UNKNOWN;
	if (!why) {
		want = job_of(o, &c, &order, &r);
		take(o, &want, &order, c.order, &r);
		return TR_OBEY_TOOK;
	}
	if (why != TR_REF_WRONG_AGENT && why != TR_REF_MALFORMED) {
		struct tr_view kid;
		struct tr_err ignored;
		enum tr_code rc = tr_command_read(in, &c, &order, &kid, &ignored);

		if (!rc || rc == TR_E_NOTFOUND) {
			want = job_of(o, &c, &order, &r);
			if (answer_known(o, &want, r.authentic))
				return TR_OBEY_TOOK;
		}
	}
	/* A number that was given to somebody else, or may still come, is not ours to cross out. */
	r.authentic = r.authentic && uses_number(why) && !tr_journal_find(o->journal, r.cmd_id);
	refuse(o, &r, why, &err);
	return TR_OBEY_TOOK;
}

/* ---- receipts ---- */

/* What every receipt says beside its command: where this agent stands. */
static void receipt_begin(const struct tr_obey *o, const uint8_t cmd_id[TR_CMD_ID_LEN], const uint8_t digest[32],
			  struct tr_receipt *ret)
{
	ret->agent_id = o->scope.agent_id;
	ret->keyset_epoch = o->scope.keyset ? o->scope.keyset->epoch : 0;
	ret->high = tr_journal_high(o->journal);
	ret->n_missing = tr_journal_missing(o->journal, ret->missing);
	memcpy(ret->cmd_id, cmd_id, sizeof(ret->cmd_id));
	memcpy(ret->command, digest, sizeof(ret->command));
}

static TR_RC sign_job(struct tr_obey *o, const struct tr_job *job, const struct tr_privkey *k,
		      struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf result = TR_BUF_INIT;
	struct tr_receipt r = {
		.line = job->line,
		.seq = job->seq,
		.state = job->state,
		.code = tr_view_str(job->code),
		.at_ns = job->at_ns,
		.position = job->position,
	};

	receipt_begin(o, job->cmd_id, job->digest, &r);
	/* That it was done is worth telling without what it said. */
	if (tr_journal_result(o->journal, job, &result, err))
		tr_buf_clear(&result);
	r.result = tr_buf_view(&result);
	return tr_receipt_sign(&r, k, ret, err);
}

static TR_RC sign_refused(struct tr_obey *o, const struct tr_refused_one *f, const struct tr_privkey *k,
			  struct tr_buf *ret, struct tr_err *err)
{
	struct tr_receipt r = {
		.line = f->line,
		.seq = f->seq,
		.state = TR_CS_REFUSED,
		.code = tr_view_str(f->code),
		.at_ns = f->at_ns,
		.position = f->position,
	};

	receipt_begin(o, f->cmd_id, f->digest, &r);
	return tr_receipt_sign(&r, k, ret, err);
}

bool tr_obey_receipt(struct tr_obey *o, const struct tr_privkey *k, struct tr_buf *ret,
		     uint64_t *ret_position)
{
	struct tr_err err = { 0 };

	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++) {
		struct tr_job *job = tr_journal_job(o->journal, i);

		if (job->told || job->held || job->acked == job->position)
			continue;
		job->told = true;
		if (sign_job(o, job, k, ret, &err)) {
			tr_log_err(TR_LOG_ERROR, "receipt_not_made", &err, NULL);
			continue;
		}
		*ret_position = job->position;
		return true;
	}
	for (size_t i = 0; i < tr_journal_refusals(o->journal) + o->n_loose; i++) {
		size_t kept = tr_journal_refusals(o->journal);
		struct tr_refused_one *f = i < kept ? tr_journal_refusal(o->journal, i) : &o->loose[i - kept];

		if (f->told || f->acked)
			continue;
		f->told = true;
		if (sign_refused(o, f, k, ret, &err)) {
			tr_log_err(TR_LOG_ERROR, "receipt_not_made", &err, NULL);
			continue;
		}
		*ret_position = i < kept ? f->position : 0;
		return true;
	}
	o->n_loose = 0;
	return false;
}

void tr_obey_acked(struct tr_obey *o, uint64_t position)
{
	struct tr_err err;

	/* What is not written down is told once more: harmless. */
	if (position && tr_journal_ack(o->journal, position, &err))
		tr_log_err(TR_LOG_WARN, "journal_not_written", &err, NULL);
}

void tr_obey_resend(struct tr_obey *o)
{
	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++)
		tr_journal_job(o->journal, i)->told = false;
	for (size_t i = 0; i < tr_journal_refusals(o->journal); i++)
		tr_journal_refusal(o->journal, i)->told = false;
}
