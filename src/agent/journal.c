/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: the state is what the records say, one after the other; what is written is applied by the same
 * functions, from the very bytes that went to disk. Writing is in journal_write.c. */
#include "agent/journal_inner.h"

#include <stdio.h>

static const uint8_t zeros[32];

const char *tr_journal_health_name(enum tr_journal_health h)
{
	static const char *const names[TR_JOURNAL_HEALTH_N] = { "ok", "damaged", "unwritable" };

	return h < TR_JOURNAL_HEALTH_N ? names[h] : "unknown";
}

static void job_free(struct tr_job *job)
{
	free(job->held_result);
	free(job);
}

struct tr_journal *tr_journal_free(struct tr_journal *j)
{
	if (!j)
		return NULL;
	for (size_t i = 0; i < j->n; i++)
		job_free(j->jobs[i]);
	free(j->jobs);
	free(j);
	return NULL;
}

void tr_journal_drop(struct tr_journal *j, size_t i)
{
	job_free(j->jobs[i]);
	memmove(&j->jobs[i], &j->jobs[i + 1], (j->n - i - 1) * sizeof(struct tr_job *));
	j->n--;
}

struct tr_job *tr_journal_find(const struct tr_journal *j, const uint8_t cmd_id[TR_CMD_ID_LEN])
{
	for (size_t i = 0; i < j->n; i++)
		if (memcmp(j->jobs[i]->cmd_id, cmd_id, TR_CMD_ID_LEN) == 0)
			return j->jobs[i];
	return NULL;
}

/* ---- the window: bit seq % 1024 tells of the numbers in (high - 1024, high] ---- */

static void window_set(struct tr_journal *j, uint64_t seq)
{
	j->window[seq % TR_JR_WINDOW / 8] |= (uint8_t)(1u << seq % 8);
}

static bool window_has(const struct tr_journal *j, uint64_t seq)
{
	return j->window[seq % TR_JR_WINDOW / 8] >> seq % 8 & 1;
}

static void mark(struct tr_journal *j, uint64_t line, uint64_t seq)
{
	if (line < j->line || !line || !seq)
		return;
	if (line > j->line) {
		j->line = line;
		j->high = 0;
		memset(j->window, 0, sizeof(j->window));
	}
	if (j->reset) {
		/* What a reset has forgotten is not missing. */
		j->reset = false;
		memset(j->window, 0xff, sizeof(j->window));
		j->high = j->high > seq ? j->high : seq;
		return;
	}
	if (seq > j->high) {
		uint64_t gap = seq - j->high - 1;

		if (gap >= TR_JR_WINDOW)
			memset(j->window, 0, sizeof(j->window));
		else
			for (uint64_t s = j->high + 1; s < seq; s++)
				j->window[s % TR_JR_WINDOW / 8] &= (uint8_t) ~(1u << s % 8);
		j->high = seq;
	} else if (j->high - seq >= TR_JR_WINDOW) {
		return;
	}
	window_set(j, seq);
}

bool tr_journal_is_spent(const struct tr_journal *j, uint64_t line, uint64_t seq)
{
	if (line != j->line)
		return line < j->line;
	if (seq > j->high)
		return false;
	return j->high - seq >= TR_JR_WINDOW || window_has(j, seq);
}

size_t tr_journal_missing(const struct tr_journal *j, uint64_t ret[TR_RECEIPT_MISSING_MAX])
{
	uint64_t s = j->high >= TR_JR_WINDOW ? j->high - TR_JR_WINDOW + 1 : 1;
	size_t n = 0;

	for (; s < j->high && n < TR_RECEIPT_MISSING_MAX; s++)
		if (!window_has(j, s))
			ret[n++] = s;
	return n;
}

/* ---- one record ---- */

static bool copy(struct tr_view v, uint8_t *to, size_t n)
{
	if (v.n != n)
		return false;
	memcpy(to, v.p, n);
	return true;
}

static void copy_code(struct tr_view v, char to[TR_JR_CODE_MAX + 1])
{
	(void)snprintf(to, TR_JR_CODE_MAX + 1, "%.*s", TR_VIEW_FMT(v));
}

static bool take_head(struct tr_journal *j, const struct tr_jr_head *r)
{
	if (j->begun || r->version != TR_JR_VERSION || !copy(r->window, j->window, sizeof(j->window)))
		return false;
	j->begun = true;
	j->line = r->line;
	j->high = r->high;
	j->not_before_ms = r->not_before_ms;
	j->reset = r->reset;
	return true;
}

static struct tr_job *job_new(struct tr_journal *j)
{
	struct tr_job *job = calloc(1, sizeof(*job));

	if (job && j->n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 16;
		struct tr_job **jobs = realloc(j->jobs, cap * sizeof(struct tr_job *));

		if (!jobs) {
			free(job);
			return NULL;
		}
		j->jobs = jobs;
		j->cap = cap;
	}
	if (job)
		j->jobs[j->n++] = job;
	return job;
}

static bool take_command(struct tr_journal *j, const struct tr_jr_command *r, uint64_t order_at)
{
	struct tr_job *job;

	if (r->cmd_id.n != TR_CMD_ID_LEN)
		return false;
	job = tr_journal_find(j, r->cmd_id.p);
	if (!job)
		job = job_new(j);
	if (!job || !copy(r->cmd_id, job->cmd_id, TR_CMD_ID_LEN) ||
	    !copy(r->order_digest, job->order_digest, 32) || !copy(r->digest, job->digest, 32) ||
	    !copy(r->kid, job->kid, TR_KID_LEN))
		return false;
	job->line = r->line;
	job->seq = r->seq;
	job->cmd = r->cmd;
	job->kind = r->kind;
	job->state = TR_CS_RECEIVED;
	job->code[0] = 0;
	job->issued_ms = r->issued_ms;
	job->expires_ms = r->expires_ms;
	job->not_before_ms = r->not_before_ms;
	job->order_expires_ms = r->order_expires_ms;
	job->at_ns = r->at_ns;
	job->position = r->position;
	job->told = false;
	job->order_at = order_at;
	job->order_n = (uint32_t)r->order.n;
	job->result_n = 0;
	mark(j, r->line, r->seq);
	return true;
}

static bool take_state(struct tr_journal *j, const struct tr_jr_state *r, uint64_t result_at)
{
	struct tr_job *job = r->cmd_id.n == TR_CMD_ID_LEN ? tr_journal_find(j, r->cmd_id.p) : NULL;

	if (!job || !r->state || r->state >= TR_CS_N)
		return false;
	job->state = r->state;
	copy_code(r->code, job->code);
	job->note_n = r->note.n;
	if (r->note.n)
		memcpy(job->note, r->note.p, r->note.n);
	job->result_at = result_at;
	job->result_n = (uint32_t)r->result.n;
	job->at_ns = r->at_ns;
	job->position = r->position;
	job->told = false;
	return true;
}

static bool take_seen(struct tr_journal *j, const struct tr_jr_seen *r)
{
	struct tr_job *job = r->cmd_id.n == TR_CMD_ID_LEN ? tr_journal_find(j, r->cmd_id.p) : NULL;

	if (!job || !copy(r->digest, job->digest, 32))
		return false;
	job->line = r->line;
	job->seq = r->seq;
	job->position = r->position;
	job->told = false;
	mark(j, r->line, r->seq);
	return true;
}

static bool take_cancel(struct tr_journal *j, const struct tr_jr_cancel *r)
{
	struct tr_job *job =
		r->cmd_id.n == TR_CMD_ID_LEN && !tr_journal_find(j, r->cmd_id.p) ? job_new(j) : NULL;

	if (!job)
		return false;
	memcpy(job->cmd_id, r->cmd_id.p, TR_CMD_ID_LEN);
	memcpy(job->order_digest, zeros, 32);
	job->state = TR_CS_CANCELLED;
	copy_code(tr_view_str(tr_refusal_slug(TR_REF_CANCELLED)), job->code);
	job->order_expires_ms = r->until_ms;
	job->at_ns = r->at_ns;
	/* Nobody asked for its receipt yet. */
	job->position = job->acked = r->position;
	return true;
}

static bool take_refused(struct tr_journal *j, const struct tr_jr_refused *r)
{
	struct tr_refused_one one = { .line = r->line,
				      .seq = r->seq,
				      .position = r->position,
				      .authentic = r->authentic,
				      .at_ns = r->at_ns };

	if (!copy(r->cmd_id, one.cmd_id, TR_CMD_ID_LEN) || !copy(r->digest, one.digest, 32) ||
	    !copy(r->kid, one.kid, TR_KID_LEN))
		return false;
	copy_code(r->code, one.code);
	if (j->n_refused == TR_JOURNAL_REFUSED_MAX) {
		memmove(j->refused, j->refused + 1, sizeof(j->refused) - sizeof(j->refused[0]));
		j->n_refused--;
	}
	j->refused[j->n_refused++] = one;
	if (r->authentic)
		mark(j, r->line, r->seq);
	return true;
}

static bool take_ack(struct tr_journal *j, const struct tr_jr_ack *r)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->jobs[i]->position == r->of)
			j->jobs[i]->acked = r->of;
	for (size_t i = 0; i < j->n_refused; i++)
		if (j->refused[i].position == r->of)
			j->refused[i].acked = true;
	return true;
}

/* base: where `all` begins in the file. */
static bool take(struct tr_journal *j, uint8_t type, struct tr_view fields, const uint8_t *all, uint64_t base)
{
	union {
		uint64_t position; /* first in all of them but the head */
		struct tr_jr_head head;
		struct tr_jr_command command;
		struct tr_jr_state state;
		struct tr_jr_seen seen;
		struct tr_jr_cancel cancel;
		struct tr_jr_refused refused;
		struct tr_jr_ack ack;
	} r;
	uint64_t position;
	struct tr_err err;

	if (tr_record_decode(tr_jr_def(type), fields, &r, &err) || (!j->begun && type != TR_JR_HEAD))
		return false;
	position = type == TR_JR_HEAD ? r.head.position : r.position;
	if (position >> 62)
		return false;
	if (position > j->position)
		j->position = position;
	switch (type) {
	case TR_JR_HEAD: return take_head(j, &r.head);
	case TR_JR_COMMAND: return take_command(j, &r.command, base + (uint64_t)(r.command.order.p - all));
	case TR_JR_STATE: return take_state(j, &r.state, base + (uint64_t)(r.state.result.p - all));
	case TR_JR_SEEN: return take_seen(j, &r.seen);
	case TR_JR_CANCEL: return take_cancel(j, &r.cancel);
	case TR_JR_REFUSED: return take_refused(j, &r.refused);
	case TR_JR_ACK: return take_ack(j, &r.ack);
	default: return false;
	}
}

bool tr_journal_apply(struct tr_journal *j, struct tr_view bytes)
{
	struct tr_view in = bytes, fields;
	uint8_t type = 0;

	if (tr_jr_get(&in, &type, &fields) != TR_JR_OK || !take(j, type, fields, bytes.p, j->size))
		return false;
	j->size += bytes.n - in.n;
	return true;
}

/* ---- the whole file ---- */

static void damaged(struct tr_journal *j, size_t at, const char *what)
{
	j->health = TR_JOURNAL_DAMAGED;
	(void)snprintf(j->why, sizeof(j->why), "%s at byte %zu", what, at);
}

static void replay(struct tr_journal *j, struct tr_view all)
{
	struct tr_view in = all, fields;
	uint8_t type = 0;

	for (;;) {
		size_t at = all.n - in.n;
		enum tr_jr_next next = tr_jr_get(&in, &type, &fields);

		if (next == TR_JR_OK && !take(j, type, fields, all.p, 0))
			next = TR_JR_DAMAGED;
		if (next == TR_JR_OK)
			continue;
		j->size = at;
		if (next == TR_JR_TORN)
			j->cut = in.n;
		if (next == TR_JR_DAMAGED || !j->begun)
			damaged(j, at, j->begun ? "a record is damaged" : "the head is missing or damaged");
		return;
	}
}

TR_RC tr_journal_look(struct tr_view bytes, struct tr_journal **ret, struct tr_err *err)
{
	struct tr_journal *j = calloc(1, sizeof(*j));

	if (!j)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "journal");
	replay(j, bytes);
	*ret = j;
	return TR_OK;
}

TR_RC tr_journal_open(const struct tr_journal_io *io, bool expected, struct tr_journal **ret,
		      struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf all = TR_BUF_INIT;
	tr_auto(tr_journal_free) struct tr_journal *j = NULL;
	enum tr_code found = io->load(io->arg, &all, err), rc;

	rc = tr_journal_look(found ? tr_view(NULL, 0) : tr_buf_view(&all), &j, err);
	if (rc)
		return rc;
	j->io = *io;
	j->why[0] = found ? 0 : j->why[0];
	if (found == TR_E_NOTFOUND && !expected) {
		j->health = TR_JOURNAL_OK;
		j->begun = true;
		if (tr_journal_rewrite(j, err))
			j->health = TR_JOURNAL_UNWRITABLE;
	} else if (found == TR_E_NOTFOUND) {
		damaged(j, 0, "the journal is gone: the file is not there");
	} else if (found) {
		j->health = TR_JOURNAL_DAMAGED;
		(void)snprintf(j->why, sizeof(j->why), "%s", err->detail);
	} else if (j->health == TR_JOURNAL_OK && j->cut && io->cut(io->arg, j->size, err)) {
		j->health = TR_JOURNAL_UNWRITABLE;
	}
	*ret = TR_TAKE(j);
	return TR_OK;
}

/* ---- what others see ---- */

enum tr_journal_health tr_journal_health(const struct tr_journal *j)
{
	return j->health;
}

const char *tr_journal_why(const struct tr_journal *j)
{
	return j->health == TR_JOURNAL_OK ? "" : j->why;
}

size_t tr_journal_cut(const struct tr_journal *j)
{
	return j->cut;
}

uint64_t tr_journal_size(const struct tr_journal *j)
{
	return j->size;
}

uint64_t tr_journal_position(const struct tr_journal *j)
{
	return j->position;
}

uint64_t tr_journal_line(const struct tr_journal *j)
{
	return j->line;
}

uint64_t tr_journal_high(const struct tr_journal *j)
{
	return j->high;
}

size_t tr_journal_jobs(const struct tr_journal *j)
{
	return j->n;
}

struct tr_job *tr_journal_job(const struct tr_journal *j, size_t i)
{
	return j->jobs[i];
}

size_t tr_journal_refusals(const struct tr_journal *j)
{
	return j->n_refused;
}

struct tr_refused_one *tr_journal_refusal(struct tr_journal *j, size_t i)
{
	return &j->refused[i];
}
