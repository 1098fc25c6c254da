/* SPDX-License-Identifier: Apache-2.0 */
#include "store/copy.h"

#include <stdio.h>

struct copying {
	struct tr_store *to; /* NULL: only summed up */
	enum tr_table table;
	tr_copy_feed feed;
	void *arg;
	struct tr_copy_count *count;
	struct tr_buf bytes;
	struct tr_err *err;
	bool failed;
};

static bool is_own(enum tr_table t, const void *row)
{
	return t == TR_T_SETTING && tr_view_starts(((const struct tr_setting_row *)row)->name, TR_COPY_OWN);
}

static bool one_row(void *arg, const void *row)
{
	struct copying *c = arg;

	if (is_own(c->table, row))
		return true;
	tr_buf_clear(&c->bytes);
	tr_buf_add8(&c->bytes, (uint8_t)c->table);
	tr_records_add(&c->bytes, tr_table_def(c->table), row);
	c->failed = tr_buf_check(&c->bytes, c->err) || (c->to && tr_store_restore(c->to, c->table, row, c->err));
	if (c->failed)
		return false;
	c->feed(c->arg, tr_buf_view(&c->bytes));
	c->count->rows[c->table]++;
	c->count->all++;
	return true;
}

static TR_RC one_table(struct copying *c, struct tr_store *from, struct tr_err *err)
{
	uint64_t last = 0;

	if (tr_store_all(from, c->table, one_row, c, err) || c->failed)
		return err->code;
	if (!tr_store_appends(c->table))
		return TR_OK;
	if (tr_store_read_seq(from, c->table, &last, err) || (c->to && tr_store_raise_seq(c->to, c->table, last, err)))
		return err->code;
	tr_buf_clear(&c->bytes);
	tr_buf_addf(&c->bytes, "%u:%llu;", (unsigned)c->table, (unsigned long long)last);
	c->feed(c->arg, tr_buf_view(&c->bytes));
	return tr_buf_check(&c->bytes, err);
}

static TR_RC all_tables(struct copying *c, struct tr_store *from, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	*c->count = (struct tr_copy_count){ .all = 0 };
	c->err = err;
	for (unsigned t = TR_T_AGENT; t < TR_T_N && !rc; t++) {
		c->table = (enum tr_table)t;
		rc = one_table(c, from, err);
	}
	tr_buf_done(&c->bytes);
	return rc;
}

TR_RC tr_copy_sum(struct tr_store *s, tr_copy_feed feed, void *arg, struct tr_copy_count *ret, struct tr_err *err)
{
	struct copying c = { .feed = feed, .arg = arg, .count = ret };

	return all_tables(&c, s, err);
}

static bool note_row(void *arg, const void *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

static TR_RC check_empty(struct tr_store *to, struct tr_err *err)
{
	bool any = false;

	for (unsigned t = TR_T_AGENT; t < TR_T_N; t++) {
		if (tr_store_all(to, (enum tr_table)t, note_row, &any, err))
			return err->code;
		if (any)
			return tr_err_set(err, TR_E_CONFLICT,
					  "the store that is to be filled is not empty, and nothing is ever overwritten: give it a new one",
					  "there are rows in %s", tr_table_def((enum tr_table)t)->name);
	}
	return TR_OK;
}

TR_RC tr_copy_rows(struct tr_store *from, struct tr_store *to, tr_copy_feed feed, void *arg, struct tr_copy_count *ret,
		   struct tr_err *err)
{
	struct copying c = { .to = to, .feed = feed, .arg = arg, .count = ret };

	return check_empty(to, err) ? err->code : all_tables(&c, from, err);
}

/* --- the fence --- */

/* Rows cannot be written while rows are read: they are collected first. */
struct fencing {
	enum tr_table table;
	int64_t now_ms;
	struct tr_buf rows;
	uint64_t found; /* highest epoch; last line */
};

static bool highest_epoch(void *arg, const void *row)
{
	struct fencing *f = arg;
	const struct tr_agent_row *a = row;

	f->found = a->epoch > f->found ? a->epoch : f->found;
	return true;
}

static uint64_t number_in(struct tr_view v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v.n && v.n < 19 && v.p[i] >= '0' && v.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	return n;
}

static bool last_line(void *arg, const void *row)
{
	struct fencing *f = arg;
	const struct tr_setting_row *s = row;

	if (tr_view_is(s->name, TR_SETTING_OUTBOX_LINE))
		f->found = number_in(s->value);
	return true;
}

/* Of an earlier restore. */
static bool last_floor(void *arg, const void *row)
{
	struct fencing *f = arg;
	const struct tr_setting_row *s = row;

	if (tr_view_is(s->name, TR_SETTING_EPOCH_FLOOR))
		f->found = number_in(s->value);
	return true;
}

/* It may have been used since. */
static bool open_tokens(void *arg, const void *row)
{
	struct fencing *f = arg;
	struct tr_token_row t = *(const struct tr_token_row *)row;

	if (t.revoked_at || (t.expires_at && t.expires_at <= f->now_ms) || (t.max_uses && t.uses >= t.max_uses))
		return true;
	t.revoked_at = f->now_ms;
	tr_records_add(&f->rows, &tr_token_def, &t);
	f->found++;
	return true;
}

/* Its number may have been given to another command since. The order stays, and its id: an agent that has done it says so. */
static bool signed_commands(void *arg, const void *row)
{
	struct fencing *f = arg;
	struct tr_command_row c = *(const struct tr_command_row *)row;

	if (c.ended_at || !c.seq)
		return true;
	c.state = TR_VIEW_LIT("waiting");
	c.line = c.seq = 0;
	c.sent_at = 0;
	c.key_id = c.command = tr_view(NULL, 0);
	tr_records_add(&f->rows, &tr_command_row_def, &c);
	f->found++;
	return true;
}

static TR_RC put_found(struct tr_store *to, struct fencing *f, struct tr_err *err)
{
	struct tr_view list = tr_buf_view(&f->rows), one;
	enum tr_code rc = tr_buf_check(&f->rows, err);

	while (!rc && tr_records_next(&list, &one)) {
		union tr_any_row row;

		rc = tr_record_decode(tr_table_def(f->table), one, &row, err);
		if (!rc)
			rc = tr_store_apply(to, TR_OP_PUT, f->table, &row, err);
	}
	return rc;
}

static TR_RC fence_rows(struct tr_store *to, enum tr_table t, tr_row_fn fn, int64_t now_ms, uint64_t *ret, struct tr_err *err)
{
	struct fencing f = { .table = t, .now_ms = now_ms, .rows = { .max = (size_t)1 << 30 } };
	enum tr_code rc = tr_store_all(to, t, fn, &f, err);

	if (!rc)
		rc = put_found(to, &f, err);
	tr_buf_done(&f.rows);
	*ret = f.found;
	return rc;
}

static TR_RC set_number(struct tr_store *to, const char *name, uint64_t value, int64_t now_ms, struct tr_err *err)
{
	char text[24];
	struct tr_setting_row row = { .name = tr_view_str(name), .updated_at = now_ms, .updated_by = TR_VIEW_LIT("restore") };

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	row.value = tr_view_str(text);
	return tr_store_apply(to, TR_OP_PUT, TR_T_SETTING, &row, err);
}

static TR_RC raise_all(struct tr_store *to, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	for (unsigned t = TR_T_AGENT; t < TR_T_N && !rc; t++) {
		uint64_t last = 0;

		if (!tr_store_appends((enum tr_table)t))
			continue;
		rc = tr_store_read_seq(to, (enum tr_table)t, &last, err);
		if (!rc)
			rc = tr_store_raise_seq(to, (enum tr_table)t, last + TR_FENCE_SEQ, err);
	}
	return rc;
}

TR_RC tr_copy_fence(struct tr_store *to, int64_t now_ms, struct tr_fence *ret, struct tr_err *err)
{
	uint64_t epoch = 0, floor = 0, line = 0;
	enum tr_code rc = raise_all(to, err);

	if (!rc)
		rc = fence_rows(to, TR_T_AGENT, highest_epoch, now_ms, &epoch, err);
	if (!rc)
		rc = fence_rows(to, TR_T_SETTING, last_floor, now_ms, &floor, err);
	if (!rc)
		rc = fence_rows(to, TR_T_SETTING, last_line, now_ms, &line, err);
	if (!rc)
		rc = fence_rows(to, TR_T_TOKEN, open_tokens, now_ms, &ret->tokens, err);
	if (!rc)
		rc = fence_rows(to, TR_T_COMMAND, signed_commands, now_ms, &ret->commands, err);
	if (rc)
		return rc;
	ret->epoch_floor = (epoch > floor ? epoch : floor) + TR_FENCE_EPOCH;
	ret->line = line + 1 > (uint64_t)now_ms ? line + 1 : (uint64_t)now_ms;
	rc = set_number(to, TR_SETTING_EPOCH_FLOOR, ret->epoch_floor, now_ms, err);
	return rc ? rc : set_number(to, TR_SETTING_OUTBOX_LINE, ret->line, now_ms, err);
}
