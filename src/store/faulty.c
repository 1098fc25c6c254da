/* SPDX-License-Identifier: Apache-2.0 */
/* A database that breaks on order: what every caller of the store must survive, at every single step. */
#include "store/db.h"

struct faulty {
	struct tr_db db;
	struct tr_db *inner;
	uint64_t calls, fail_at;
	bool lasting;
};

static struct faulty *f_of(struct tr_db *db)
{
	return (struct faulty *)db;
}

/* Counts a call; TR_OK when it may go on. */
static TR_RC count(struct tr_db *db, const char *what, struct tr_err *err)
{
	struct faulty *f = f_of(db);
	uint64_t n = ++f->calls;

	if (!f->fail_at || n < f->fail_at || (n > f->fail_at && !f->lasting))
		return TR_OK;
	return tr_err_set(err, TR_E_UNAVAIL, "the store was told to fail", "%s, call %llu", what,
			  (unsigned long long)n);
}

/* One more call, passed on unless it is the one to fail. */
#define PASS(name, ...)                                                                                    \
	enum tr_code rc = count(db, #name, err);                                                           \
	struct tr_db *in = f_of(db)->inner;                                                                \
                                                                                                           \
	return rc ? rc : in->ops->name(in, ##__VA_ARGS__, err)

static struct tr_db *f_close(struct tr_db *db)
{
	(void)tr_db_close(f_of(db)->inner);
	free(db);
	return NULL;
}

static const char *f_word(const struct tr_db *db, struct tr_view name)
{
	const struct tr_db *in = ((const struct faulty *)db)->inner;

	return in->ops->word(in, name);
}

static TR_RC f_mark(struct tr_db *db, struct tr_err *err)
{
	PASS(mark);
}

static TR_RC f_has_table(struct tr_db *db, const char *name, bool *ret, struct tr_err *err)
{
	PASS(has_table, name, ret);
}

static TR_RC f_exec(struct tr_db *db, const char *sql, struct tr_err *err)
{
	PASS(exec, sql);
}

static TR_RC f_begin(struct tr_db *db, struct tr_err *err)
{
	PASS(begin);
}

static TR_RC f_begin_read(struct tr_db *db, struct tr_err *err)
{
	PASS(begin_read);
}

static TR_RC f_raise_seq(struct tr_db *db, const char *table, int64_t to, struct tr_err *err)
{
	PASS(raise_seq, table, to);
}

static TR_RC f_read_seq(struct tr_db *db, const char *table, int64_t *ret, struct tr_err *err)
{
	PASS(read_seq, table, ret);
}

static void f_rollback(struct tr_db *db)
{
	struct tr_db *in = f_of(db)->inner;

	in->ops->rollback(in);
}

static TR_RC f_commit(struct tr_db *db, struct tr_err *err)
{
	struct tr_db *in = f_of(db)->inner;
	enum tr_code rc = count(db, "commit", err);

	/* The contract of the seam: a commit that failed has left no transaction behind. */
	if (rc)
		f_rollback(db);
	return rc ? rc : in->ops->commit(in, err);
}

static TR_RC f_prepare(struct tr_db *db, const char *sql, struct tr_stmt **ret, struct tr_err *err)
{
	PASS(prepare, sql, ret);
}

static void f_finish(struct tr_db *db, struct tr_stmt *st)
{
	struct tr_db *in = f_of(db)->inner;

	in->ops->finish(in, st);
}

static TR_RC f_bind_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t v, struct tr_err *err)
{
	PASS(bind_i64, st, at, v);
}

static TR_RC f_bind_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	PASS(bind_text, st, at, v);
}

static TR_RC f_bind_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view v, struct tr_err *err)
{
	PASS(bind_bytes, st, at, v);
}

static TR_RC f_step(struct tr_db *db, struct tr_stmt *st, bool *ret_row, struct tr_err *err)
{
	PASS(step, st, ret_row);
}

static TR_RC f_col_i64(struct tr_db *db, struct tr_stmt *st, int at, int64_t *ret, struct tr_err *err)
{
	PASS(col_i64, st, at, ret);
}

static TR_RC f_col_text(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	PASS(col_text, st, at, ret);
}

static TR_RC f_col_bytes(struct tr_db *db, struct tr_stmt *st, int at, struct tr_view *ret, struct tr_err *err)
{
	PASS(col_bytes, st, at, ret);
}

static void f_reset(struct tr_db *db, struct tr_stmt *st)
{
	struct tr_db *in = f_of(db)->inner;

	in->ops->reset(in, st);
}

static const struct tr_db_ops ops = {
	.scheme = "faulty",
	.close = f_close,
	.word = f_word,
	.mark = f_mark,
	.has_table = f_has_table,
	.raise_seq = f_raise_seq,
	.read_seq = f_read_seq,
	.exec = f_exec,
	.begin = f_begin,
	.begin_read = f_begin_read,
	.commit = f_commit,
	.rollback = f_rollback,
	.prepare = f_prepare,
	.finish = f_finish,
	.bind_i64 = f_bind_i64,
	.bind_text = f_bind_text,
	.bind_bytes = f_bind_bytes,
	.step = f_step,
	.col_i64 = f_col_i64,
	.col_text = f_col_text,
	.col_bytes = f_col_bytes,
	.reset = f_reset,
};

struct tr_db *tr_db_faulty_new(struct tr_db *inner, uint64_t fail_at, bool lasting)
{
	struct faulty *f = calloc(1, sizeof(*f));

	if (!f)
		abort(); /* a test double: nobody waits for a refusal */
	f->db.ops = &ops;
	f->inner = inner;
	f->fail_at = fail_at;
	f->lasting = lasting;
	return &f->db;
}

uint64_t tr_db_faulty_calls(const struct tr_db *db)
{
	return ((const struct faulty *)db)->calls;
}
