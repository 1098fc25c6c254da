/* SPDX-License-Identifier: Apache-2.0 */
/* The roles `store` (the only writer of the database) and `store-ro` (its read-only twin, for lists that may be slow).
 * Transactions that arrive while a commit is on its way to the disk become the next group: each inside a savepoint, so
 * that one caller's conflict does not undo another's work, and all durable before any of them is answered. */
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#define ROWS_CHUNK 262144
#define GROUP_MAX 1000

struct waiting {
	uint64_t id;
	struct tr_buf ops;
	enum tr_code rc;
	const char *why;
};

struct storage {
	struct tr_store *store;
	struct tr_loop *loop;
	struct tr_chan *core;
	struct waiting *group;
	size_t n, cap;
	bool scheduled;
};

static TR_RC apply_ops(struct tr_store *s, struct tr_view ops, struct tr_err *err)
{
	struct tr_view one;

	while (tr_records_next(&ops, &one)) {
		struct tr_msg_op op;
		union tr_any_row row;
		const struct tr_record *def;

		if (tr_record_decode(&tr_msg_op_def, one, &op, err))
			return err->code;
		def = op.table < TR_T_N ? tr_table_def((enum tr_table)op.table) : NULL;
		if (!def || op.op == 0 || op.op >= TR_OP_N)
			return tr_err_set(err, TR_E_INVALID, "unknown operation", "op %u on table %u", (unsigned)op.op,
					  (unsigned)op.table);
		if (tr_record_decode(def, op.row, &row, err) ||
		    tr_store_apply(s, (enum tr_op)op.op, (enum tr_table)op.table, &row, err))
			return err->code;
	}
	return ops.n ? tr_err_set(err, TR_E_INVALID, "damaged transaction", "%zu bytes left", ops.n) : TR_OK;
}

/* Runs one caller's operations; a conflict or a bad row is its own affair, anything else ends the group. */
static TR_RC run_one(struct storage *s, struct waiting *w, struct tr_err *err)
{
	if (tr_store_savepoint(s->store, err))
		return err->code;
	w->rc = apply_ops(s->store, tr_buf_view(&w->ops), err);
	w->why = w->rc ? err->pub : "";
	if (w->rc == TR_E_CONFLICT || w->rc == TR_E_INVALID) {
		tr_store_rollback_savepoint(s->store);
		return TR_OK;
	}
	return w->rc ? w->rc : tr_store_release(s->store, err);
}

static TR_RC run_group(struct storage *s, struct tr_err *err)
{
	if (tr_store_begin(s->store, err))
		return err->code;
	for (size_t i = 0; i < s->n; i++)
		if (run_one(s, &s->group[i], err)) {
			tr_store_rollback(s->store);
			return err->code;
		}
	return tr_store_commit(s->store, err);
}

static void flush_group(void *arg)
{
	struct storage *s = arg;
	struct tr_err err = { 0 };
	enum tr_code rc;

	s->scheduled = false;
	rc = run_group(s, &err);
	if (rc)
		tr_log_err(TR_LOG_ERROR, "commit_failed", &err, "transactions", tr_fmt("%zu", s->n), NULL);
	for (size_t i = 0; i < s->n; i++) {
		struct waiting *w = &s->group[i];
		struct tr_msg_done done = { .code = rc ? rc : w->rc, .why = tr_view_str(rc ? err.pub : w->why) };

		tr_chan_send_record(s->core, TR_M_TX_DONE, w->id, &tr_msg_done_def, &done);
		tr_buf_done(&w->ops);
	}
	s->n = 0;
}

static void on_tx(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct tr_msg_tx tx;
	struct tr_err err = { 0 };

	s->core = c;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct waiting *grown = realloc(s->group, cap * sizeof(*grown));

		if (!grown)
			abort(); /* a store that cannot even note a transaction must not pretend */
		s->group = grown;
		s->cap = cap;
	}
	s->group[s->n] = (struct waiting){ .id = f->id };
	if (!tr_record_decode(&tr_msg_tx_def, f->payload, &tx, &err))
		tr_buf_addv(&s->group[s->n].ops, tx.ops);
	s->n++;
	if (s->n >= GROUP_MAX) {
		flush_group(s);
	} else if (!s->scheduled) {
		s->scheduled = !tr_loop_defer(s->loop, flush_group, s, &err);
		if (!s->scheduled)
			flush_group(s);
	}
}

struct sending {
	struct tr_chan *core;
	uint64_t id;
	enum tr_table table;
	struct tr_buf rows;
	bool brief; /* without the evidence, and what else is bulky */
};

static void send_rows(struct sending *s)
{
	struct tr_msg_rows m = { .table = s->table, .rows = tr_buf_view(&s->rows) };

	tr_chan_send_record(s->core, TR_M_ROWS, s->id, &tr_msg_rows_def, &m);
	tr_buf_clear(&s->rows);
}

static bool on_row(void *arg, const void *row)
{
	struct sending *s = arg;

	tr_records_add(&s->rows, tr_table_def(s->table), row);
	if (s->rows.n >= ROWS_CHUNK) {
		send_rows(s);
		/* A big store must not pile up in our memory on its way out. */
		if (tr_chan_queued(s->core) > 8 * ROWS_CHUNK)
			tr_chan_flush(s->core, 5000);
	}
	return true;
}

static void on_load(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct sending out = { .core = c, .id = f->id };
	struct tr_msg_done done = { 0 };
	struct tr_msg_load q;
	struct tr_err err = { 0 };

	if (!tr_record_decode(&tr_msg_load_def, f->payload, &q, &err) && q.table < TR_T_N) {
		out.table = (enum tr_table)q.table;
		if (!tr_store_each(s->store, out.table, on_row, &out, &err) && out.rows.n)
			send_rows(&out);
	}
	if (err.code)
		tr_log_err(TR_LOG_ERROR, "load_failed", &err, NULL);
	done.code = err.code;
	done.why = tr_view_str(err.code ? err.pub : "");
	tr_chan_send_record(c, TR_M_LOAD_DONE, f->id, &tr_msg_done_def, &done);
	tr_buf_done(&out.rows);
}

static void on_probe(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct tr_msg_done done = { 0 };
	struct tr_err err = { 0 };

	done.code = tr_store_probe(s->store, &err);
	done.why = tr_view_str(done.code ? err.pub : "");
	tr_chan_send_record(c, TR_M_PROBE_DONE, f->id, &tr_msg_done_def, &done);
}

/* A list is one frame: its question is answered once. */
static bool on_listed(void *arg, const void *row)
{
	struct sending *s = arg;

	if (s->table == TR_T_ATTESTATION && s->brief) {
		struct tr_attestation_row a = *(const struct tr_attestation_row *)row;

		a.evidence = tr_view(NULL, 0);
		tr_records_add(&s->rows, &tr_attestation_def, &a);
	} else if (s->table == TR_T_EVENT && s->brief) {
		struct tr_event_row e = *(const struct tr_event_row *)row;

		e.evidence = tr_view(NULL, 0);
		tr_records_add(&s->rows, &tr_event_def, &e);
	} else if (s->table == TR_T_COMMAND && s->brief) {
		struct tr_command_row c = *(const struct tr_command_row *)row;

		c.order = c.approvals = c.command = c.result = c.receipt = tr_view(NULL, 0);
		tr_records_add(&s->rows, &tr_command_row_def, &c);
	} else {
		tr_records_add(&s->rows, tr_table_def(s->table), row);
	}
	return tr_buf_ok(&s->rows);
}

static void on_list(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct sending out = { .core = c, .id = f->id, .rows = { .max = TR_MSG_ROWS_MAX - 4096 } };
	struct tr_msg_done done = { 0 };
	struct tr_msg_list m;
	struct tr_list_query q;
	struct tr_err err = { 0 };

	if (!tr_record_decode(&tr_msg_list_def, f->payload, &m, &err) &&
	    !tr_record_decode(&tr_list_query_def, m.query, &q, &err)) {
		out.table = (enum tr_table)m.table;
		out.brief = q.seq == 0 && q.id.n == 0;
		if (!tr_store_list(s->store, out.table, &q, on_listed, &out, &err) && !tr_buf_check(&out.rows, &err))
			send_rows(&out);
	}
	if (err.code)
		tr_log_err(TR_LOG_WARN, "list_failed", &err, NULL);
	done.code = err.code;
	done.why = tr_view_str(err.code ? err.pub : "");
	tr_chan_send_record(c, TR_M_LIST_DONE, f->id, &tr_msg_done_def, &done);
	tr_buf_done(&out.rows);
}

static const struct tr_frame_rule write_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_TX] = { on_tx, TR_MSG_TX_MAX },
	[TR_M_LOAD] = { on_load, 64 },
	[TR_M_PROBE] = { on_probe, 64 },
};
static const struct tr_frame_rule read_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_LIST] = { on_list, 2048 },
};

/* The twin starts beside the writer, which may still be migrating. */
static TR_RC open_patiently(const char *location, struct tr_store **ret, struct tr_err *err)
{
	for (int i = 0;; i++) {
		if (!tr_store_open(location, TR_STORE_RO, ret, err))
			return TR_OK;
		if (i == 50)
			return err->code;
		(void)usleep(100000);
	}
}

TR_RC tr_role_store(const struct tr_config *cfg, bool read_only, struct tr_err *err)
{
	struct storage s = { 0 };
	char location[4200] = "sqlite:";
	enum tr_code rc;

	tr_config_path(cfg, cfg->store + strlen("sqlite:"), location + 7, sizeof(location) - 7);
	/* The database's files must be made by the uid that will use them. */
	if (tr_sandbox_drop_root(err))
		return err->code;
	/* The self-test may run beside a server: the database is not its affair, and its lock is taken. */
	if (tr_role_is_probe())
		rc = TR_OK;
	else
		rc = read_only ? open_patiently(location, &s.store, err) :
				 tr_store_open(location, TR_STORE_RW, &s.store, err);
	if (!rc)
		rc = tr_role_serve_with(read_only ? TR_PROC_STORE_RO : TR_PROC_STORE,
					read_only ? read_rules : write_rules, &s, &s.loop, err);
	s.store = tr_store_free(s.store);
	free(s.group);
	return rc;
}
