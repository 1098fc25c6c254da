/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/journal_inner.h"

#include <stdio.h>

#define ROOM 32768 /* that must be left before a command is taken: its start and its end */
#define TIDY_MIN 131072
#define KEEP_MS (INT64_C(1000) * (TR_COMMAND_AGE_MAX_S + TR_COMMAND_SKEW_S))
#define UNACKED_MS (INT64_C(30) * 86400000) /* for so long the server may be away */

static const uint8_t zeros[32];

/* ---- the whole file anew ---- */

static TR_RC read_part(const struct tr_journal *j, uint64_t at, uint32_t n, struct tr_buf *ret,
		       struct tr_err *err)
{
	uint8_t *to;

	if (!n)
		return TR_OK;
	to = tr_buf_space(ret, n);
	return to ? j->io.read(j->io.arg, at, to, n, err) : tr_buf_check(ret, err);
}

TR_RC tr_journal_order(const struct tr_journal *j, const struct tr_job *job, struct tr_buf *ret,
		       struct tr_err *err)
{
	return read_part(j, job->order_at, job->order_n, ret, err);
}

TR_RC tr_journal_result(const struct tr_journal *j, const struct tr_job *job, struct tr_buf *ret,
			struct tr_err *err)
{
	return read_part(j, job->result_at, job->result_n, ret, err);
}

static void put_head(const struct tr_journal *j, struct tr_buf *out)
{
	const struct tr_jr_head h = { .version = TR_JR_VERSION,
				      .position = j->position,
				      .line = j->line,
				      .high = j->high,
				      .not_before_ms = j->not_before_ms,
				      .reset = j->reset,
				      .window = TR_VIEW_ARRAY(j->window) };

	tr_jr_put(out, TR_JR_HEAD, &h);
}

/* Its record without the order; borrows from the job. */
static struct tr_jr_command command_of(const struct tr_job *job, uint64_t position)
{
	return (struct tr_jr_command){
		.position = position,
		.cmd_id = TR_VIEW_ARRAY(job->cmd_id),
		.order_digest = TR_VIEW_ARRAY(job->order_digest),
		.digest = TR_VIEW_ARRAY(job->digest),
		.kid = TR_VIEW_ARRAY(job->kid),
		.line = job->line,
		.seq = job->seq,
		.cmd = job->cmd,
		.kind = job->kind,
		.issued_ms = job->issued_ms,
		.expires_ms = job->expires_ms,
		.not_before_ms = job->not_before_ms,
		.order_expires_ms = job->order_expires_ms,
		.at_ns = job->at_ns,
	};
}

static TR_RC put_job(const struct tr_journal *j, const struct tr_job *job, struct tr_buf *out,
		     struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, result = TR_BUF_INIT;
	struct tr_jr_command c = command_of(job, job->position);
	struct tr_jr_state s = {
		.position = job->position,
		.cmd_id = TR_VIEW_ARRAY(job->cmd_id),
		.state = job->state,
		.code = tr_view_str(job->code),
		.note = tr_view(job->note, job->note_n),
		.at_ns = job->at_ns,
	};
	enum tr_code rc = TR_OK;

	/* What is over is not run again: its order is needed no more. */
	if (!tr_cmd_state_final(job->state))
		rc = tr_journal_order(j, job, &order, err);
	/* A result that cannot be read any more is no reason to forget that the command was carried out. */
	if (!rc && tr_journal_result(j, job, &result, err))
		tr_buf_clear(&result);
	if (rc)
		return rc;
	c.order = tr_buf_view(&order);
	s.result = tr_buf_view(&result);
	tr_jr_put(out, TR_JR_COMMAND, &c);
	if (job->state != TR_CS_RECEIVED)
		tr_jr_put(out, TR_JR_STATE, &s);
	return TR_OK;
}

static void put_ack(uint64_t position, uint64_t of, struct tr_buf *out)
{
	const struct tr_jr_ack a = { position, of };

	tr_jr_put(out, TR_JR_ACK, &a);
}

static struct tr_jr_refused refused_of(const struct tr_refused_one *r, uint64_t position)
{
	return (struct tr_jr_refused){ .position = position,
				       .cmd_id = TR_VIEW_ARRAY(r->cmd_id),
				       .digest = TR_VIEW_ARRAY(r->digest),
				       .kid = TR_VIEW_ARRAY(r->kid),
				       .code = tr_view_str(r->code),
				       .line = r->line,
				       .seq = r->seq,
				       .authentic = r->authentic,
				       .at_ns = r->at_ns };
}

static void put_refused(const struct tr_refused_one *r, struct tr_buf *out)
{
	const struct tr_jr_refused f = refused_of(r, r->position);

	tr_jr_put(out, TR_JR_REFUSED, &f);
}

static TR_RC put_all(const struct tr_journal *j, struct tr_buf *out, struct tr_err *err)
{
	put_head(j, out);
	for (size_t i = 0; i < j->n; i++) {
		const struct tr_job *job = j->jobs[i];
		enum tr_code rc;

		if (memcmp(job->order_digest, zeros, 32) == 0) {
			const struct tr_jr_cancel c = { job->position, TR_VIEW_ARRAY(job->cmd_id),
							job->order_expires_ms, job->at_ns };

			tr_jr_put(out, TR_JR_CANCEL, &c);
		} else {
			rc = put_job(j, job, out, err);
			if (rc)
				return rc;
		}
		if (job->acked == job->position)
			put_ack(j->position, job->position, out);
	}
	for (size_t i = 0; i < j->n_refused; i++) {
		put_refused(&j->refused[i], out);
		if (j->refused[i].acked)
			put_ack(j->position, j->refused[i].position, out);
	}
	return tr_buf_check(out, err);
}

/* Where orders and results stand now. */
static void take_places(struct tr_journal *j, const struct tr_journal *fresh)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct tr_job *f = tr_journal_find(fresh, j->jobs[i]->cmd_id);

		j->jobs[i]->order_at = f->order_at;
		j->jobs[i]->order_n = f->order_n;
		j->jobs[i]->result_at = f->result_at;
		j->jobs[i]->result_n = f->result_n;
	}
	j->size = j->size_tidy = (size_t)fresh->size;
}

TR_RC tr_journal_rewrite(struct tr_journal *j, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf all = TR_BUF_INIT;
	tr_auto(tr_journal_free) struct tr_journal *fresh = NULL;
	enum tr_code rc = put_all(j, &all, err);

	if (!rc)
		rc = tr_journal_look(tr_buf_view(&all), &fresh, err);
	if (!rc && (fresh->health || fresh->n != j->n))
		rc = tr_err_set(err, TR_E_INTERNAL, "internal error",
				"the journal does not read what it wrote");
	if (!rc)
		rc = j->io.rewrite(j->io.arg, tr_buf_view(&all), err);
	if (rc) {
		/* Which of two files has the name now is not known: nothing may be appended to the one we
		 * hold. */
		j->health = TR_JOURNAL_UNWRITABLE;
		(void)snprintf(j->why, sizeof(j->why), "%s", err->detail);
		return tr_err_wrap(err, "journal");
	}
	take_places(j, fresh);
	j->health = TR_JOURNAL_OK;
	return TR_OK;
}

static bool was_its_key(const struct tr_job *job)
{
	enum tr_refusal r = tr_refusal_of(tr_view_str(job->code));

	return job->state == TR_CS_REFUSED &&
	       (r == TR_REF_REVOKED_KEY || r == TR_REF_RETIRED_KEY || r == TR_REF_UNKNOWN_KEY);
}

static bool is_past(const struct tr_job *job, int64_t now_ms)
{
	int64_t end = job->order_expires_ms > job->expires_ms ? job->order_expires_ms : job->expires_ms;

	if (job->held || job->running || !tr_cmd_state_final(job->state))
		return false;
	/* It never began, and a good signature would begin it: nothing is there to remember. A thief's orders for next week go
	 * with his key. */
	if (was_its_key(job) && job->acked == job->position)
		return true;
	return now_ms > end + (job->acked == job->position ? KEEP_MS : UNACKED_MS);
}

static bool has_past(const struct tr_journal *j, int64_t now_ms)
{
	for (size_t i = 0; i < j->n; i++)
		if (is_past(j->jobs[i], now_ms))
			return true;
	return false;
}

TR_RC tr_journal_tidy(struct tr_journal *j, int64_t now_ms, struct tr_err *err)
{
	size_t past = 0;

	if (j->health == TR_JOURNAL_DAMAGED)
		return TR_OK;
	for (size_t i = 0; i < j->n; i++)
		past += is_past(j->jobs[i], now_ms);
	if (j->health == TR_JOURNAL_OK && past < TR_JOURNAL_JOBS_MAX / 8 &&
	    (j->size < TIDY_MIN || j->size < 2 * j->size_tidy))
		return TR_OK;
	for (size_t i = j->n; i-- > 0;)
		if (is_past(j->jobs[i], now_ms))
			tr_journal_drop(j, i);
	return tr_journal_rewrite(j, err);
}

TR_RC tr_journal_reset(const struct tr_journal_io *io, int64_t now_ms, struct tr_err *err)
{
	tr_auto(tr_journal_free) struct tr_journal *old = NULL;
	struct tr_journal *fresh;
	enum tr_code rc = tr_journal_open(io, true, &old, err);

	if (rc)
		return rc;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "journal");
	fresh->io = *io;
	fresh->line = old->line;
	fresh->high = old->high;
	fresh->reset = fresh->begun = true;
	memset(fresh->window, 0xff, sizeof(fresh->window));
	/* Above all that was told, also by records that cannot be read any more. */
	fresh->position = old->position > (uint64_t)now_ms ? old->position : (uint64_t)now_ms;
	fresh->not_before_ms = now_ms > old->not_before_ms ? now_ms : old->not_before_ms;
	rc = io->set_aside(io->arg, err);
	if (!rc)
		rc = tr_journal_rewrite(fresh, err);
	(void)tr_journal_free(fresh);
	return rc;
}

/* ---- one record ---- */

/* Health that was lost for want of room comes back as soon as there is some. */
static TR_RC make_writable(struct tr_journal *j, struct tr_err *err)
{
	if (j->health == TR_JOURNAL_DAMAGED)
		return tr_err_set(err, TR_E_DENIED,
				  "the journal is damaged: run `troth-agent journal show`, then `troth-agent "
				  "journal reset`",
				  "%s", j->why);
	return j->health == TR_JOURNAL_OK ? TR_OK : tr_journal_rewrite(j, err);
}

static TR_RC put(struct tr_journal *j, enum tr_jr_type type, const void *rec, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err ignored;
	enum tr_code rc;
	bool synced;

	tr_jr_put(&b, type, rec);
	rc = tr_buf_check(&b, err);
	if (!rc)
		rc = make_writable(j, err);
	if (rc)
		return rc;
	rc = j->io.append(j->io.arg, j->size, tr_buf_view(&b), err);
	synced = rc == TR_OK;
	if (!rc)
		rc = j->io.sync(j->io.arg, err);
	if (rc) {
		/* After a sync that failed nobody knows what is on the disk: a new file tells. */
		if (j->io.cut(j->io.arg, j->size, &ignored) || synced) {
			j->health = TR_JOURNAL_UNWRITABLE;
			(void)snprintf(j->why, sizeof(j->why), "%s", err->detail);
		}
		return tr_err_wrap(err, "journal");
	}
	if (!tr_journal_apply(j, tr_buf_view(&b))) {
		j->health = TR_JOURNAL_UNWRITABLE;
		return tr_err_set(err, TR_E_INTERNAL, "internal error",
				  "the journal does not take its own record");
	}
	return TR_OK;
}

/* ---- a command that came ---- */

/* Whoever may order reads could fill it; what people approved still finds a place then. */
static bool is_full(const struct tr_journal *j, const struct tr_job *want)
{
	const struct tr_cmd_type *t = tr_cmd_type(want->cmd);
	bool read = t && t->class == TR_CLASS_READ;
	size_t jobs = TR_JOURNAL_JOBS_MAX - (read ? TR_JOURNAL_KEPT : 0);
	uint64_t bytes = TR_JOURNAL_SIZE_MAX - (read ? TR_JOURNAL_SIZE_MAX / TR_JOURNAL_JOBS_MAX * TR_JOURNAL_KEPT : 0);

	return j->n >= jobs || j->size + ROOM > bytes;
}

enum tr_journal_seen tr_journal_check(struct tr_journal *j, const struct tr_job *want, int64_t now_ms,
				      struct tr_job **ret)
{
	struct tr_job *job = tr_journal_find(j, want->cmd_id);
	struct tr_err err;

	*ret = NULL;
	if (job && memcmp(job->order_digest, zeros, 32) != 0 &&
	    memcmp(job->order_digest, want->order_digest, 32) != 0)
		return TR_SEEN_REPLAYED;
	/* It never began, for its key's sake: a good signature of the same order begins it. */
	if (job && !(was_its_key(job) && !tr_journal_is_spent(j, want->line, want->seq))) {
		*ret = job;
		return TR_SEEN_KNOWN;
	}
	if (tr_journal_is_spent(j, want->line, want->seq) || want->issued_ms <= j->not_before_ms)
		return TR_SEEN_REPLAYED;
	if (!job && is_full(j, want)) {
		/* Not for every one that knocks: it is the whole file. */
		if (has_past(j, now_ms) || j->size > j->size_tidy + TIDY_MIN)
			j->size_tidy = 0;
		if (tr_journal_tidy(j, now_ms, &err) || is_full(j, want))
			return TR_SEEN_FULL;
	}
	return TR_SEEN_NEW;
}

TR_RC tr_journal_receive(struct tr_journal *j, const struct tr_job *want, struct tr_view order,
			 struct tr_job **ret, struct tr_err *err)
{
	struct tr_jr_command c = command_of(want, j->position + 1);
	enum tr_code rc = make_writable(j, err);

	c.order = order;
	if (!rc)
		rc = j->io.reserve(j->io.arg, j->size, ROOM, err);
	if (!rc)
		rc = put(j, TR_JR_COMMAND, &c, err);
	if (!rc)
		*ret = tr_journal_find(j, want->cmd_id);
	return rc;
}

TR_RC tr_journal_again(struct tr_journal *j, struct tr_job *job, const struct tr_job *want,
		       struct tr_err *err)
{
	const struct tr_jr_seen s = { j->position + 1, TR_VIEW_ARRAY(job->cmd_id),
				      TR_VIEW_ARRAY(want->digest), want->line, want->seq };

	job->acked = 0;
	job->told = false;
	if (memcmp(job->digest, want->digest, 32) == 0)
		return TR_OK;
	return put(j, TR_JR_SEEN, &s, err);
}

TR_RC tr_journal_cancel_unknown(struct tr_journal *j, const uint8_t cmd_id[TR_CMD_ID_LEN], int64_t until_ms,
				int64_t at_ns, struct tr_err *err)
{
	const struct tr_jr_cancel c = { j->position + 1, tr_view(cmd_id, TR_CMD_ID_LEN), until_ms, at_ns };

	if (tr_journal_find(j, cmd_id) || j->n >= TR_JOURNAL_JOBS_MAX)
		return tr_err_set(err, TR_E_CONFLICT, "the journal has this command, or no room", "%zu jobs",
				  j->n);
	return put(j, TR_JR_CANCEL, &c, err);
}

TR_RC tr_journal_refuse(struct tr_journal *j, const struct tr_refused_one *r, struct tr_err *err)
{
	const struct tr_jr_refused f = refused_of(r, j->position + 1);

	return put(j, TR_JR_REFUSED, &f, err);
}

/* ---- its life ---- */

static void hold(struct tr_job *job, enum tr_cmd_state state, const char *code, struct tr_view result)
{
	if (job->held)
		return;
	job->held = state;
	(void)snprintf(job->held_code, sizeof(job->held_code), "%s", code);
	job->held_result = result.n ? malloc(result.n) : NULL;
	job->held_n = job->held_result ? result.n : 0;
	if (job->held_n)
		memcpy(job->held_result, result.p, result.n);
}

TR_RC tr_journal_advance(struct tr_journal *j, struct tr_job *job, enum tr_cmd_state state, const char *code,
			 struct tr_view note, struct tr_view result, int64_t at_ns, struct tr_err *err)
{
	const struct tr_jr_state s = {
		.position = j->position + 1,
		.cmd_id = TR_VIEW_ARRAY(job->cmd_id),
		.state = state,
		.code = tr_view_str(code ? code : ""),
		.note = note,
		.result = result,
		.at_ns = at_ns,
	};
	enum tr_code rc = put(j, TR_JR_STATE, &s, err);

	if (rc && tr_cmd_state_final(state))
		hold(job, state, code ? code : "", result);
	return rc;
}

TR_RC tr_journal_settle(struct tr_journal *j, int64_t at_ns, struct tr_err *err)
{
	for (size_t i = 0; i < j->n; i++) {
		struct tr_job *job = j->jobs[i];
		enum tr_code rc;

		if (!job->held)
			continue;
		rc = tr_journal_advance(j, job, (enum tr_cmd_state)job->held, job->held_code,
					tr_view(NULL, 0), tr_view(job->held_result, job->held_n), at_ns, err);
		if (rc)
			return rc;
		free(job->held_result);
		job->held_result = NULL;
		job->held_n = job->held = 0;
	}
	return TR_OK;
}

TR_RC tr_journal_ack(struct tr_journal *j, uint64_t position, struct tr_err *err)
{
	const struct tr_jr_ack a = { j->position + 1, position };

	return put(j, TR_JR_ACK, &a, err);
}
