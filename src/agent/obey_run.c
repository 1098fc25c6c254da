/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/obey_inner.h"

#include "base/log.h"

#define LOOK_NONE ((struct tr_cmd_end){ TR_CS_UNKNOWN, "interrupted" })

static const char *type_name(const struct tr_job *job)
{
	const struct tr_cmd_type *t = tr_cmd_type(job->cmd);

	return t ? t->name : "?";
}

/* Writes the end down and says it in the log. */
static void end_job(struct tr_obey *o, struct tr_job *job, enum tr_cmd_state state, const char *code,
		    struct tr_view result)
{
	struct tr_err err = { 0 };
	bool bad = state == TR_CS_UNKNOWN || state == TR_CS_REFUSED;

	/* A receipt that the server would not take says nothing. */
	if (state != TR_CS_DONE && (!code || !*code))
		code = "failed";
	if (result.n > TR_RECEIPT_RESULT_MAX ||
	    (result.n && (result.p[0] != '{' || result.p[result.n - 1] != '}')))
		result = tr_view(NULL, 0);
	job->running = false;
	tr_log(bad ? TR_LOG_WARN : TR_LOG_INFO,
	       bad && state == TR_CS_REFUSED ? "command_refused" : "command_ended", "command",
	       tr_obey_hex(job->cmd_id, sizeof(job->cmd_id)), "type", type_name(job), "state",
	       tr_cmd_state_name(state), "code", code ? code : "", "kid",
	       tr_obey_hex(job->kid, sizeof(job->kid)), NULL);
	if (tr_journal_advance(o->journal, job, state, state == TR_CS_DONE ? "" : code, tr_view(NULL, 0),
			       result, o->now.wall_ns, &err))
		tr_log_err(TR_LOG_ERROR, "journal_not_written", &err, "hint",
			   "the command's end is kept in memory and written as soon as that is possible",
			   NULL);
}

/* ---- beginning ---- */

/* A thief's command that waits for its time is dropped with his key. */
static enum tr_refusal key_standing(const struct tr_obey *o, const struct tr_job *job)
{
	const struct tr_keyset *ks = o->scope.keyset;
	struct tr_view kid = TR_VIEW_ARRAY(job->kid);
	const struct tr_keyset_key *key = ks ? tr_keyset_find(ks, TR_ROLE_COMMAND, kid) : NULL;

	for (size_t i = 0; ks && i < ks->n_revoked; i++)
		if (memcmp(ks->revoked[i], job->kid, sizeof(job->kid)) == 0)
			return TR_REF_REVOKED_KEY;
	if (!key)
		return TR_REF_UNKNOWN_KEY;
	switch (tr_keyset_standing(ks, key, job->issued_ms, o->now.known_ms)) {
	case TR_KEY_GOOD: return TR_REF_NONE;
	case TR_KEY_REVOKED: return TR_REF_REVOKED_KEY;
	default: return TR_REF_RETIRED_KEY;
	}
}

static enum tr_refusal check_again(const struct tr_obey *o, const struct tr_job *job,
				   const struct tr_order *order)
{
	const struct tr_cmd_type *t = tr_cmd_type(job->cmd);
	enum tr_refusal why = key_standing(o, job);

	if (why)
		return why;
	if (o->now.known_ms >= job->expires_ms || o->now.known_ms >= job->order_expires_ms)
		return TR_REF_EXPIRED;
	if (!t || !tr_obey_ops(o, job->cmd))
		return TR_REF_UNSUPPORTED;
	if (order->image.n && !tr_view_eq(order->image, o->image))
		return TR_REF_WRONG_IMAGE;
	if (o->scope.grace_over && t->class != TR_CLASS_READ)
		return TR_REF_STALE_KEYSET;
	if (o->quarantined && t->class != TR_CLASS_READ && job->cmd != TR_CMD_CANCEL &&
	    job->cmd != TR_CMD_RELEASE)
		return TR_REF_QUARANTINED;
	return TR_REF_NONE;
}

static bool start(struct tr_obey *o, struct tr_job *job, const struct tr_cmd_ops *ops)
{
	tr_auto(tr_buf_done) struct tr_buf note = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (job->kind != TR_KIND_ONCE)
		return true;
	if (ops->note)
		ops->note(o->arg, &note);
	if (!tr_journal_advance(o->journal, job, TR_CS_STARTED, "", tr_buf_view(&note), tr_view(NULL, 0),
				o->now.wall_ns, &err))
		return true;
	/* It stays RECEIVED and nothing has happened: the next tick tries again, until it expires. */
	tr_log_err(TR_LOG_ERROR, "journal_not_written", &err, "hint",
		   "the command waits until the journal can be written", NULL);
	return false;
}

void tr_obey_begin(struct tr_obey *o, struct tr_job *job)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT, result = TR_BUF_INIT;
	const struct tr_cmd_ops *ops = tr_obey_ops(o, job->cmd);
	struct tr_cmd_end end;
	struct tr_order order;
	struct tr_err err = { 0 };
	enum tr_refusal why;

	if (tr_journal_order(o->journal, job, &bytes, &err) ||
	    tr_order_decode(tr_buf_view(&bytes), &order, &err)) {
		tr_log_err(TR_LOG_ERROR, "order_not_read", &err, NULL);
		end_job(o, job, TR_CS_REFUSED, tr_refusal_slug(TR_REF_UNSUPPORTED), tr_view(NULL, 0));
		return;
	}
	why = check_again(o, job, &order);
	if (why) {
		end_job(o, job, TR_CS_REFUSED, tr_refusal_slug(why), tr_view(NULL, 0));
		return;
	}
	if (!start(o, job, ops))
		return;
	end = ops->run(ops == &tr_cmd_cancel ? o : o->arg, job, &order, &result);
	if (end.state == TR_CS_STARTED && job->kind == TR_KIND_ONCE)
		job->running = true;
	else
		end_job(o, job, end.state, end.code, tr_buf_view(&result));
}

/* ---- going on ---- */

static void look_after(struct tr_obey *o, struct tr_job *job, bool same)
{
	tr_auto(tr_buf_done) struct tr_buf result = TR_BUF_INIT;
	const struct tr_cmd_ops *ops = tr_obey_ops(o, job->cmd);
	struct tr_cmd_end end = ops && ops->look ? ops->look(o->arg, job, same, &result) : LOOK_NONE;

	if (end.state == TR_CS_STARTED)
		job->running = true;
	else
		end_job(o, job, end.state, end.code, tr_buf_view(&result));
}

void tr_obey_resume(struct tr_obey *o)
{
	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++) {
		struct tr_job *job = tr_journal_job(o->journal, i);

		if (job->state == TR_CS_STARTED && !job->running && !job->held)
			look_after(o, job, false);
	}
	tr_obey_tick(o);
}

void tr_obey_tick(struct tr_obey *o)
{
	struct tr_err err = { 0 };

	if (tr_journal_health(o->journal) == TR_JOURNAL_DAMAGED)
		return;
	if (tr_journal_settle(o->journal, o->now.wall_ns, &err))
		return; /* still no room: told when it began */
	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++) {
		struct tr_job *job = tr_journal_job(o->journal, i);

		if (job->held)
			continue;
		if (job->state == TR_CS_STARTED && job->running)
			look_after(o, job, true);
		else if (job->state == TR_CS_RECEIVED && (job->not_before_ms <= o->now.known_ms ||
							  key_standing(o, job) == TR_REF_REVOKED_KEY))
			tr_obey_begin(o, job);
	}
	if (tr_journal_tidy(o->journal, o->now.known_ms, &err))
		tr_log_err(TR_LOG_WARN, "journal_not_tidied", &err, NULL);
}

int64_t tr_obey_wake_ms(const struct tr_obey *o)
{
	int64_t first = 0;

	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++) {
		const struct tr_job *job = tr_journal_job(o->journal, i);

		if (job->state == TR_CS_RECEIVED && !job->held && (!first || job->not_before_ms < first))
			first = job->not_before_ms > 1 ? job->not_before_ms : 1;
	}
	return first;
}
