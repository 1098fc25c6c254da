/* SPDX-License-Identifier: Apache-2.0 */
/* The roles `store` (the only writer of the database) and `store-ro` (its read-only twin, for lists that may be slow).
 * Transactions that arrive while a commit is on its way to the disk become the next group: each inside a savepoint, so
 * that one caller's conflict does not undo another's work, and all durable before any of them is answered. */
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "server/notify.h"
#include "server/store_nodes.h"
#include "store/store.h"

#define ROWS_CHUNK 262144
#define GROUP_MAX 1000
#define TURN_MS 1000 /* other nodes are looked for so often, also when none of them has told anything */

struct waiting {
	uint64_t id, generation;
	struct tr_buf ops;
	bool late; /* another node was quicker */
	enum tr_code rc;
	const char *why;
};

struct group {
	struct waiting *list;
	size_t n, cap;
};

#define BACK_FIRST_MS 500
#define BACK_MAX_MS 5000
#define QUICK_MS 2000 /* a loss that took no longer leaves time to try again before core grows impatient */

struct storage {
	struct tr_store *store;
	struct tr_loop *loop;
	struct tr_chan *core;
	struct group group;
	struct group doubt; /* whose commit nobody answered: told when the database is back and has been asked */
	bool scheduled;
	bool one_way; /* needs files to connect, and in this sandbox no file can be opened: a fresh process can */
	/* While the database is away. */
	const char *away_why;
	uint64_t back_at, back_step; /* when it is tried again */
	/* With other nodes. */
	struct tr_nodes *nodes;
	struct tr_watch *turn, *ear;
	int ear_fd;
};

static TR_RC apply_ops(struct storage *s, struct waiting *w, struct tr_err *err)
{
	struct tr_view ops = tr_buf_view(&w->ops), one;
	bool skip;

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
		if (tr_record_decode(def, op.row, &row, err))
			return err->code;
		w->late = tr_nodes_judge(s->nodes, (enum tr_op)op.op, (enum tr_table)op.table, &row, w->generation, &skip,
					 err) != TR_OK;
		if (w->late ||
		    (!skip && tr_store_apply_later(s->store, (enum tr_op)op.op, (enum tr_table)op.table, &row, err)))
			return err->code;
	}
	return ops.n ? tr_err_set(err, TR_E_INVALID, "damaged transaction", "%zu bytes left", ops.n)
		     : tr_store_settle(s->store, err);
}

/* Runs one caller's operations; a conflict or a bad row is its own affair, anything else ends the group. */
static TR_RC run_one(struct storage *s, struct waiting *w, struct tr_err *err)
{
	size_t mark = tr_changes_mark(tr_nodes_changes(s->nodes));

	if (tr_store_savepoint(s->store, err))
		return err->code;
	w->rc = apply_ops(s, w, err);
	w->why = w->rc ? err->pub : "";
	if (w->rc == TR_E_CONFLICT || w->rc == TR_E_INVALID || w->late) {
		tr_store_rollback_savepoint(s->store);
		tr_changes_back(tr_nodes_changes(s->nodes), mark);
		return TR_OK;
	}
	return w->rc ? w->rc : tr_store_release(s->store, err);
}

static TR_RC run_group(struct storage *s, bool *ret_began, struct tr_err *err)
{
	struct tr_changes *changes = tr_nodes_changes(s->nodes);
	enum tr_code rc;

	*ret_began = false;
	if (tr_store_begin(s->store, err))
		return err->code;
	*ret_began = true;
	/* Under the writers' lock: what the others have done so far is known, and they do nothing more before our end. */
	rc = tr_nodes_read(s->nodes, err);
	for (size_t i = 0; i < s->group.n && !rc; i++)
		rc = run_one(s, &s->group.list[i], err);
	if (!rc)
		rc = tr_changes_log(changes, err);
	if (rc)
		tr_store_rollback(s->store);
	else
		rc = tr_store_commit(s->store, err);
	tr_changes_ended(changes, rc == TR_OK);
	return rc;
}

static void answer(struct storage *s, struct group *g, enum tr_code rc, const char *why)
{
	for (size_t i = 0; i < g->n; i++) {
		struct waiting *w = &g->list[i];
		struct tr_msg_done done = { .code = rc ? rc : w->rc, .why = tr_view_str(rc ? why : w->why) };

		tr_chan_send_record(s->core, TR_M_TX_DONE, w->id, &tr_msg_done_def, &done);
		tr_buf_done(&w->ops);
	}
	g->n = 0;
}

/* ---- a database that is gone ---- */

static void tell_state(struct storage *s, bool away)
{
	struct tr_msg_store_state m = { .away = away, .why = tr_view_str(away ? s->away_why : "") };

	if (s->core)
		tr_chan_send_record(s->core, TR_M_STORE_STATE, 0, &tr_msg_store_state_def, &m);
}

static void lost(struct storage *s, const struct tr_err *err)
{
	tr_log_err(TR_LOG_ERROR, "database_away", err, NULL);
	s->away_why = err->pub;
	s->back_step = BACK_FIRST_MS;
	s->back_at = tr_mono_ms() + s->back_step;
	tell_state(s, true);
}

/* Once; true when it is there again. What was in doubt is answered by what the database says of it. */
static bool come_back(struct storage *s)
{
	struct tr_err err = { 0 };
	bool committed = false;
	enum tr_code rc;

	/* Its descriptor is closed; the next one may have the same number. */
	s->ear = tr_watch_free(s->ear);
	s->ear_fd = -1;

	if (s->one_way) {
		tr_log(TR_LOG_ERROR, "database_lost", "why",
		       "this kernel has no Landlock, so the database's certificates can be read at a start only", NULL);
		tr_loop_stop(s->loop);
		s->away_why = "the connection to the database is lost; the server starts anew";
		return false;
	}
	rc = tr_store_come_back(s->store, &committed, &err);
	if (rc == TR_E_CONFLICT) {
		/* All that core remembers may be wrong now: it starts anew when its store is gone. */
		tr_log_err(TR_LOG_ERROR, "database_changed", &err, "pub", err.pub, NULL);
		tr_loop_stop(s->loop);
		return false;
	}
	if (rc) {
		s->away_why = err.pub;
		s->back_step = s->back_step * 2 < BACK_MAX_MS ? s->back_step * 2 : BACK_MAX_MS;
		s->back_at = tr_mono_ms() + s->back_step;
		return false;
	}
	tr_log(TR_LOG_INFO, "database_back", "in_doubt", tr_fmt("%zu", s->doubt.n), "stored",
	       committed ? "yes" : "no", NULL);
	answer(s, &s->doubt, committed ? TR_OK : TR_E_UNAVAIL,
	       "the connection to the database broke and nothing was stored; try again");
	return true;
}

/* ---- commits ---- */

static void flush_group(void *arg)
{
	struct storage *s = arg;
	struct tr_err err = { 0 };
	uint64_t start = tr_mono_ms();
	bool began;
	enum tr_code rc;

	s->scheduled = false;
	rc = run_group(s, &began, &err);
	/* The server was restarted while nobody asked it anything: nothing of this group was sent yet. */
	if (rc && !began && tr_store_link(s->store) == TR_STORE_AWAY && tr_mono_ms() - start < QUICK_MS && come_back(s))
		rc = run_group(s, &began, &err);
	if (rc)
		tr_log_err(TR_LOG_ERROR, "commit_failed", &err, "transactions", tr_fmt("%zu", s->group.n), NULL);
	if (rc && tr_store_link(s->store) == TR_STORE_IN_DOUBT) {
		struct group empty = s->doubt;

		s->doubt = s->group;
		s->group = empty;
	} else {
		answer(s, &s->group, rc, err.pub);
	}
	if (rc && tr_store_link(s->store) != TR_STORE_UP)
		lost(s, &err);
}

static void on_tx(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct group *g = &s->group;
	struct tr_msg_tx tx;
	struct tr_err err = { 0 };

	s->core = c;
	if (tr_store_link(s->store) != TR_STORE_UP) {
		struct tr_msg_done done = { .code = TR_E_UNAVAIL, .why = tr_view_str(s->away_why) };

		tr_chan_send_record(c, TR_M_TX_DONE, f->id, &tr_msg_done_def, &done);
		return;
	}
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 64;
		struct waiting *grown = realloc(g->list, cap * sizeof(*grown));

		if (!grown)
			abort(); /* a store that cannot even note a transaction must not pretend */
		g->list = grown;
		g->cap = cap;
	}
	g->list[g->n] = (struct waiting){ .id = f->id };
	if (!tr_record_decode(&tr_msg_tx_def, f->payload, &tx, &err)) {
		g->list[g->n].generation = tx.generation;
		tr_buf_addv(&g->list[g->n].ops, tx.ops);
	}
	g->n++;
	if (g->n >= GROUP_MAX) {
		flush_group(s);
	} else if (!s->scheduled) {
		s->scheduled = !tr_loop_defer(s->loop, flush_group, s, &err);
		if (!s->scheduled)
			flush_group(s);
	}
}

/* ---- other nodes ---- */

static void take_turn(void *arg)
{
	struct storage *s = arg;
	int fd = tr_changes_ear(tr_nodes_changes(s->nodes));
	struct tr_err err = { 0 };
	enum tr_code rc = TR_OK;

	tr_timer_arm(s->turn, TURN_MS);
	/* A connection that was made anew has another descriptor. */
	if (fd != s->ear_fd) {
		s->ear = tr_watch_free(s->ear);
		s->ear_fd = -1;
		if (fd >= 0 && !tr_watch_fd(s->loop, fd, TR_WATCH_READ, take_turn, s, &s->ear, &err))
			s->ear_fd = fd;
	}
	if (tr_store_link(s->store) == TR_STORE_UP) {
		tr_changes_hear(tr_nodes_changes(s->nodes));
		rc = tr_nodes_turn(s->nodes, &err);
	}
	if (!rc)
		return;
	tr_log_err(TR_LOG_ERROR, "nodes_unheard", &err, NULL);
	if (rc == TR_E_CONFLICT)
		tr_loop_stop(s->loop); /* and core starts anew with us */
	else if (tr_store_link(s->store) != TR_STORE_UP)
		lost(s, &err);
}

static void on_listen(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct storage *s = arg;
	struct tr_msg_listen m;
	struct tr_err err = { 0 };

	s->core = c;
	if (tr_record_decode(&tr_msg_listen_def, f->payload, &m, &err) ||
	    tr_nodes_new(s->store, c, m.node, &s->nodes, &err) ||
	    (s->nodes && !s->turn && tr_watch_timer(s->loop, take_turn, s, &s->turn, &err))) {
		/* Alone, and without knowing of the others: rather not at all. */
		tr_log_err(TR_LOG_ERROR, "nodes_unheard", &err, NULL);
		tr_loop_stop(s->loop);
		return;
	}
	if (!s->nodes || !m.loaded)
		return;
	tr_nodes_loaded(s->nodes);
	take_turn(s);
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

	s->core = c;
	/* Core asks every second: that is the clock by which a lost database is looked for. */
	if (tr_store_link(s->store) != TR_STORE_UP && tr_mono_ms() >= s->back_at && come_back(s))
		tell_state(s, false);
	if (tr_store_link(s->store) == TR_STORE_UP) {
		done.code = tr_store_probe(s->store, &err);
		done.why = tr_view_str(done.code ? err.pub : "");
		if (tr_store_link(s->store) != TR_STORE_UP)
			lost(s, &err);
	} else {
		done.code = TR_E_UNAVAIL;
		done.why = tr_view_str(s->away_why);
	}
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
	} else if (s->table == TR_T_VERDICT && s->brief) {
		struct tr_verdict_row v = *(const struct tr_verdict_row *)row;

		v.evidence = v.context = v.verdict = tr_view(NULL, 0);
		tr_records_add(&s->rows, &tr_verdict_row_def, &v);
	} else if (s->table == TR_T_COMMAND && s->brief) {
		struct tr_command_row c = *(const struct tr_command_row *)row;

		c.order = c.approvals = c.command = c.result = c.receipt = tr_view(NULL, 0);
		tr_records_add(&s->rows, &tr_command_row_def, &c);
	} else {
		tr_records_add(&s->rows, tr_table_def(s->table), row);
	}
	return tr_buf_ok(&s->rows);
}

/* The twin has nobody who asks it to come back: it does so when it is needed. */
static TR_RC list(struct storage *s, struct sending *out, const struct tr_list_query *q, struct tr_err *err)
{
	enum tr_code rc;

	if (tr_store_link(s->store) != TR_STORE_UP && (tr_mono_ms() < s->back_at || !come_back(s)))
		return tr_err_set(err, TR_E_UNAVAIL, s->away_why, "the database is away");
	rc = tr_store_list(s->store, out->table, q, on_listed, out, err);
	if (!rc || tr_store_link(s->store) == TR_STORE_UP)
		return rc;
	s->away_why = err->pub;
	s->back_step = BACK_FIRST_MS;
	if (!come_back(s))
		return rc;
	tr_buf_clear(&out->rows);
	return tr_store_list(s->store, out->table, q, on_listed, out, err);
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
		if (!list(s, &out, &q, &err) && !tr_buf_check(&out.rows, &err))
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
	[TR_M_LISTEN] = { on_listen, 128 },
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
	static struct storage s = { .ear_fd = -1 };
	tr_auto(tr_buf_done) struct tr_buf location = TR_BUF_INIT;
	bool remote = tr_config_store_remote(cfg);
	enum tr_proc proc = read_only ? TR_PROC_STORE_RO : TR_PROC_STORE;
	enum tr_code rc;

	if (tr_config_store_location(cfg, &location, err))
		return err->code;
	/* A database elsewhere: then this role speaks outward and touches no file, which is just what egress may. */
	if (remote) {
		tr_resolve_init();
		proc = TR_PROC_EGRESS;
	}
	/* The database's files must be made by the uid that will use them. */
	if (tr_sandbox_drop_root(err))
		return err->code;
	/* The self-test may run beside a server: the database is not its affair, and its lock is taken. */
	if (tr_role_is_probe())
		rc = TR_OK;
	else
		rc = read_only ? open_patiently(tr_buf_cstr(&location), &s.store, err) :
				 tr_store_open(tr_buf_cstr(&location), TR_STORE_RW, &s.store, err);
	s.one_way = remote && strstr(cfg->store, "sslrootcert=") && !tr_sandbox_can_fence();
	tr_wipe(location.p, location.n);
	if (!rc)
		rc = tr_role_serve_with(proc, read_only ? read_rules : write_rules, &s, &s.loop, err);
	s.nodes = tr_nodes_free(s.nodes);
	s.store = tr_store_free(s.store);
	free(s.group.list);
	free(s.doubt.list);
	return rc;
}
