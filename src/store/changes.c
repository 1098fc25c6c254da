/* SPDX-License-Identifier: Apache-2.0 */
#include "store/changes.h"

#include "base/clock.h"
#include "store/db.h"

#include <stdio.h>

#define ENTRY_MAX ((size_t)128 << 10) /* of keys in one row of the log */
#define ENTRIES_AT_ONCE 64
#define FORGET_EVERY_MS 60000u        /* a transaction is at most so long on its way here */
#define LOG_KEPT_MS 3600000           /* by the database's clock */
#define PRUNE_EVERY_MS 600000u
#define AWAY_MS 1800000u              /* not read for so long: look whether the log still reaches back */

/* An entry is a list of: operation (1 byte), table (1), length (2, little endian), key or told row. */
#define HEAD 4u

enum query { Q_READ, Q_LOG, Q_TOP, Q_PRUNED, Q_TAKE, Q_PRESENT, Q_NODES, Q_OLD, Q_SET_PRUNED, Q_PRUNE, Q_FORGET_NODES,
	     Q_RELEASE, Q_ABSENT, Q_N };

struct touched {
	uint64_t what; /* hash of table and key; 0: free */
	uint64_t seq;
};

struct tr_changes {
	struct tr_store *s;
	struct tr_db *db;
	char node[TR_NODE_MAX + 1];
	char present[TR_NODE_MAX + 8]; /* name of its row in leases */
	uint64_t seen;    /* the log is read up to here, or written by us */
	uint64_t foreign; /* the last entry of another node that was read */
	uint64_t floor, next_floor; /* what others touched up to here is forgotten */
	uint64_t forgot_ms, read_ms, pruned_ms;
	struct touched *map; /* open addressing; what others touched after floor */
	size_t n, cap;
	struct tr_buf pending; /* of the transaction under way */
	uint64_t logged;
	struct tr_stmt *st[Q_N];
};

bool tr_store_is_shared(const struct tr_store *s)
{
	return tr_store_db(s)->ops->tell != NULL;
}

/* ---- statements ---- */

static void add_query(const struct tr_changes *c, enum query q, struct tr_buf *b)
{
	static const char *const text[Q_N] = {
		[Q_READ] = "SELECT \"seq\", \"node\", \"keys\" FROM \"changes\" WHERE \"seq\" > $1 AND \"node\" <> $2 ORDER BY "
			   "\"seq\" LIMIT $3",
		[Q_LOG] = "INSERT INTO \"changes\" (\"node\", \"at\", \"keys\") VALUES ($1, {}, $2) RETURNING \"seq\"",
		[Q_TOP] = "SELECT coalesce(max(\"seq\"), 0) FROM \"changes\"",
		[Q_PRUNED] = "SELECT coalesce(max(\"until\"), 0) FROM \"leases\" WHERE \"name\" = 'pruned'",
		[Q_TAKE] = "UPDATE \"leases\" SET \"node\" = $1, \"until\" = {} + $2 WHERE \"name\" = 'holder' AND "
			   "(\"node\" = $1 OR \"until\" < {}) RETURNING \"until\"",
		[Q_PRESENT] = "INSERT INTO \"leases\" (\"name\", \"node\", \"until\") VALUES ($1, $2, {} + $3) ON CONFLICT "
			      "(\"name\") DO UPDATE SET \"until\" = excluded.\"until\"",
		[Q_NODES] = "SELECT count(*) FROM \"leases\" WHERE \"name\" LIKE 'node:%' AND \"until\" >= {}",
		[Q_OLD] = "SELECT coalesce(max(\"seq\"), 0) FROM \"changes\" WHERE \"at\" < {} - $1",
		[Q_SET_PRUNED] = "UPDATE \"leases\" SET \"until\" = $1 WHERE \"name\" = 'pruned'",
		[Q_PRUNE] = "DELETE FROM \"changes\" WHERE \"seq\" <= $1",
		[Q_FORGET_NODES] = "DELETE FROM \"leases\" WHERE \"name\" LIKE 'node:%' AND \"until\" < {} - $1",
		[Q_RELEASE] = "UPDATE \"leases\" SET \"until\" = 0 WHERE \"name\" = 'holder' AND \"node\" = $1",
		[Q_ABSENT] = "DELETE FROM \"leases\" WHERE \"name\" = $1",
	};
	const char *now = c->db->ops->word(c->db, TR_VIEW_LIT("now_ms"));

	for (const char *at = text[q]; *at;) {
		const char *hole = strstr(at, "{}");

		tr_buf_add(b, at, hole ? (size_t)(hole - at) : strlen(at));
		if (!hole)
			break;
		tr_buf_adds(b, now ? now : "");
		at = hole + 2;
	}
}

static TR_RC statement(struct tr_changes *c, enum query q, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sql = TR_BUF_INIT;

	if (c->st[q])
		return TR_OK;
	add_query(c, q, &sql);
	if (tr_buf_check(&sql, err))
		return err->code;
	return c->db->ops->prepare(c->db, tr_buf_cstr(&sql), &c->st[q], err);
}

/* What a statement is given: texts and bytes first, then numbers, in that order. */
struct given {
	const char *text[2];
	const struct tr_view *bytes;
	int64_t number[1];
	bool has_number;
};

static TR_RC bind(struct tr_changes *c, enum query q, const struct given *g, struct tr_err *err)
{
	const struct tr_db_ops *ops = c->db->ops;
	enum tr_code rc = statement(c, q, err);
	int at = 1;

	for (size_t i = 0; i < TR_ARRAY_LEN(g->text) && g->text[i] && !rc; i++)
		rc = ops->bind_text(c->db, c->st[q], at++, tr_view_str(g->text[i]), err);
	if (!rc && g->bytes)
		rc = ops->bind_bytes(c->db, c->st[q], at++, *g->bytes, err);
	if (!rc && g->has_number)
		rc = ops->bind_i64(c->db, c->st[q], at++, g->number[0], err);
	if (rc && c->st[q])
		ops->reset(c->db, c->st[q]);
	return rc;
}

static TR_RC run(struct tr_changes *c, enum query q, const struct given *g, int64_t *ret, struct tr_err *err)
{
	enum tr_code rc = bind(c, q, g, err);

	return rc ? rc : tr_db_run(c->db, c->st[q], ret, err);
}

/* ---- life ---- */

TR_RC tr_changes_new(struct tr_store *s, const char *node, struct tr_changes **ret, struct tr_err *err)
{
	tr_auto(tr_changes_free) struct tr_changes *c = calloc(1, sizeof(*c));
	const struct given none = { 0 };
	int64_t top = 0, pruned = 0;
	enum tr_code rc;

	if (!c)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "changes");
	c->s = s;
	c->db = tr_store_db(s);
	(void)snprintf(c->node, sizeof(c->node), "%s", node);
	(void)snprintf(c->present, sizeof(c->present), "node:%s", c->node);
	rc = run(c, Q_TOP, &none, &top, err);
	if (!rc)
		rc = run(c, Q_PRUNED, &none, &pruned, err);
	if (rc)
		return tr_err_wrap(err, "changes");
	c->seen = c->foreign = (uint64_t)(top > pruned ? top : pruned);
	c->read_ms = c->forgot_ms = tr_mono_ms();
	*ret = TR_TAKE(c);
	return TR_OK;
}

struct tr_changes *tr_changes_free(struct tr_changes *c)
{
	if (!c)
		return NULL;
	for (unsigned q = 0; q < Q_N; q++)
		if (c->st[q])
			c->db->ops->finish(c->db, c->st[q]);
	tr_buf_done(&c->pending);
	free(c->map);
	free(c);
	return NULL;
}

uint64_t tr_changes_generation(const struct tr_changes *c)
{
	return c->foreign;
}

int tr_changes_ear(const struct tr_changes *c)
{
	return c && c->db->ops->ear ? c->db->ops->ear(c->db) : -1;
}

void tr_changes_hear(struct tr_changes *c)
{
	struct tr_err err;
	bool told;

	/* What was told is read from the log in any case; a connection that breaks here is noticed there. */
	if (c && c->db->ops->hear && c->db->ops->hear(c->db, &told, &err))
		return;
}

/* ---- what others touched ---- */

static struct tr_view key_of(enum tr_table t, const void *row)
{
	struct tr_view key;

	memcpy(&key, (const uint8_t *)row + tr_table_def(t)->fields[0].off, sizeof(key));
	return key;
}

static uint64_t what(enum tr_table t, struct tr_view key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)t;

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ key.p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h ? h : 1;
}

static struct touched *place(struct touched *map, size_t cap, uint64_t h)
{
	size_t i = (size_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 20) % cap;

	while (map[i].what && map[i].what != h)
		i = i + 1 < cap ? i + 1 : 0;
	return &map[i];
}

/* Into a map of this size, without what is forgotten. */
static TR_RC rebuild(struct tr_changes *c, size_t cap, struct tr_err *err)
{
	struct touched *map = calloc(cap, sizeof(*map));

	if (!map)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "changes");
	c->n = 0;
	for (size_t i = 0; i < c->cap; i++)
		if (c->map[i].what && c->map[i].seq > c->floor) {
			*place(map, cap, c->map[i].what) = c->map[i];
			c->n++;
		}
	free(c->map);
	c->map = map;
	c->cap = cap;
	return TR_OK;
}

static TR_RC touch(struct tr_changes *c, enum tr_table t, struct tr_view key, uint64_t seq, struct tr_err *err)
{
	struct touched *x;

	if (c->n * 2 >= c->cap && rebuild(c, c->cap ? c->cap * 2 : 1024, err))
		return err->code;
	x = place(c->map, c->cap, what(t, key));
	c->n += x->what == 0;
	*x = (struct touched){ what(t, key), seq };
	return TR_OK;
}

static TR_RC forget(struct tr_changes *c, struct tr_err *err)
{
	uint64_t now = tr_mono_ms();

	if (now - c->forgot_ms < FORGET_EVERY_MS)
		return TR_OK;
	c->forgot_ms = now;
	c->floor = c->next_floor;
	c->next_floor = c->foreign;
	return c->cap ? rebuild(c, c->cap, err) : TR_OK;
}

static bool is_put_together(enum tr_table t)
{
	return t == TR_T_PULSE || t == TR_T_ALERT || t == TR_T_BPF_REF;
}

enum tr_clash tr_changes_clash(const struct tr_changes *c, enum tr_op op, enum tr_table t, const void *row,
			       uint64_t generation)
{
	const struct touched *x;

	/* A row that is inserted must not be there: the database says so itself. */
	if (!c || (op != TR_OP_PUT && op != TR_OP_DELETE))
		return TR_CLASH_NONE;
	x = c->cap ? place(c->map, c->cap, what(t, key_of(t, row))) : NULL;
	if (generation < c->floor)
		return is_put_together(t) ? TR_CLASH_SKIP : TR_CLASH_BUSY;
	if (!x || !x->what || x->seq <= generation)
		return TR_CLASH_NONE;
	return is_put_together(t) ? TR_CLASH_SKIP : TR_CLASH_BUSY;
}

/* ---- reading ---- */

struct reading {
	tr_changed_fn fn;
	void *arg;
	enum tr_table t;
	struct tr_view keys[TR_STORE_MANY];
	bool found[TR_STORE_MANY];
	size_t n;
};

static bool on_row(void *arg, const void *row)
{
	struct reading *r = arg;
	struct tr_view key = key_of(r->t, row);

	for (size_t i = 0; i < r->n; i++)
		r->found[i] |= tr_view_eq(r->keys[i], key);
	r->fn(r->arg, TR_OP_PUT, r->t, row);
	return true;
}

/* The rows of one table that have been gathered; what is not there any more was deleted. */
static TR_RC fetch(struct tr_changes *c, struct reading *r, struct tr_err *err)
{
	enum tr_code rc;

	if (!r->n)
		return TR_OK;
	memset(r->found, 0, sizeof(r->found));
	rc = tr_store_many(c->s, r->t, r->keys, r->n, on_row, r, err);
	for (size_t i = 0; i < r->n && !rc; i++) {
		union tr_any_row gone = { 0 };

		if (r->found[i])
			continue;
		memcpy((uint8_t *)&gone + tr_table_def(r->t)->fields[0].off, &r->keys[i], sizeof(r->keys[i]));
		r->fn(r->arg, TR_OP_DELETE, r->t, &gone);
	}
	r->n = 0;
	return rc;
}

static TR_RC damaged(struct tr_err *err)
{
	return tr_err_set(err, TR_E_INTERNAL, TR_DB_DAMAGED, "an entry of changes cannot be read");
}

static TR_RC read_keys(struct tr_changes *c, struct reading *r, struct tr_view keys, uint64_t seq, struct tr_err *err)
{
	enum tr_code rc = TR_OK;

	while (keys.n && !rc) {
		unsigned op = keys.p[0], t = keys.n >= HEAD ? keys.p[1] : 0;
		size_t n = keys.n >= HEAD ? (size_t)keys.p[2] | (size_t)keys.p[3] << 8 : 0;
		const struct tr_record *def = tr_table_def((enum tr_table)t);
		struct tr_view v;
		union tr_any_row row;

		if (keys.n < HEAD + n || !def)
			return damaged(err);
		v = tr_view(keys.p + HEAD, n);
		keys = tr_view(keys.p + HEAD + n, keys.n - HEAD - n);
		if (op == TR_OP_TELL) {
			rc = fetch(c, r, err);
			if (!rc)
				rc = tr_record_decode(def, v, &row, err);
			if (!rc)
				r->fn(r->arg, TR_OP_TELL, (enum tr_table)t, &row);
			continue;
		}
		if (r->n == TR_STORE_MANY || (r->n && r->t != (enum tr_table)t))
			rc = fetch(c, r, err);
		r->t = (enum tr_table)t;
		r->keys[r->n++] = v;
		if (!rc)
			rc = touch(c, r->t, v, seq, err);
	}
	return rc ? rc : fetch(c, r, err);
}

/* One look at the log; its entries are copied first, because what they name is read by other statements. */
static TR_RC next_entries(struct tr_changes *c, struct tr_buf *ret, size_t *ret_n, struct tr_err *err)
{
	const struct tr_db_ops *ops = c->db->ops;
	struct tr_stmt *st;
	bool row = true;
	enum tr_code rc = statement(c, Q_READ, err);

	st = c->st[Q_READ];
	if (!rc)
		rc = ops->bind_i64(c->db, st, 1, (int64_t)c->seen, err);
	if (!rc)
		rc = ops->bind_text(c->db, st, 2, tr_view_str(c->node), err);
	if (!rc)
		rc = ops->bind_i64(c->db, st, 3, ENTRIES_AT_ONCE, err);
	for (*ret_n = 0; !rc; ++*ret_n) {
		int64_t seq = 0;
		struct tr_view keys;
		uint64_t head[2];

		rc = ops->step(c->db, st, &row, err);
		if (rc || !row)
			break;
		rc = ops->col_i64(c->db, st, 0, &seq, err);
		if (!rc)
			rc = ops->col_bytes(c->db, st, 2, &keys, err);
		if (rc)
			break;
		head[0] = (uint64_t)seq;
		head[1] = keys.n;
		tr_buf_add(ret, head, sizeof(head));
		tr_buf_addv(ret, keys);
	}
	if (st)
		ops->reset(c->db, st);
	return rc ? rc : tr_buf_check(ret, err);
}

static TR_RC check_reach(struct tr_changes *c, struct tr_err *err)
{
	int64_t pruned = 0;
	enum tr_code rc;

	if (tr_mono_ms() - c->read_ms < AWAY_MS)
		return TR_OK;
	rc = run(c, Q_PRUNED, &(struct given){ 0 }, &pruned, err);
	if (!rc && pruned > (int64_t)c->seen)
		return tr_err_set(err, TR_E_CONFLICT, "this node was away from the database for too long; it loads everything anew",
				  "read up to %llu, the log begins after %lld", (unsigned long long)c->seen, (long long)pruned);
	return rc;
}

TR_RC tr_changes_read(struct tr_changes *c, tr_changed_fn fn, void *arg, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct reading r = { .fn = fn, .arg = arg };
	size_t n = ENTRIES_AT_ONCE;
	enum tr_code rc = check_reach(c, err);

	while (!rc && n == ENTRIES_AT_ONCE) {
		tr_buf_clear(&b);
		rc = next_entries(c, &b, &n, err);
		for (size_t at = 0; !rc && at < b.n;) {
			uint64_t head[2];

			memcpy(head, b.p + at, sizeof(head));
			rc = read_keys(c, &r, tr_view(b.p + at + sizeof(head), head[1]), head[0], err);
			at += sizeof(head) + head[1];
			/* One that could not be read is read again, as a whole. */
			if (rc)
				break;
			c->foreign = head[0];
			c->seen = head[0] > c->seen ? head[0] : c->seen;
		}
	}
	if (!rc)
		c->read_ms = tr_mono_ms();
	return rc ? tr_err_wrap(err, "read changes") : forget(c, err);
}

/* ---- writing ---- */

void tr_changes_note(struct tr_changes *c, enum tr_op op, enum tr_table t, const void *row)
{
	tr_auto(tr_buf_done) struct tr_buf told = TR_BUF_INIT;
	struct tr_view v;
	uint8_t head[HEAD] = { (uint8_t)op, (uint8_t)t };

	if (!c || op == TR_OP_APPEND || op == TR_OP_EXPIRE)
		return;
	if (op == TR_OP_TELL)
		tr_record_encode(tr_table_def(t), row, &told);
	v = op == TR_OP_TELL ? tr_buf_view(&told) : key_of(t, row);
	c->pending.failed |= told.failed || v.n > UINT16_MAX;
	head[2] = (uint8_t)(v.n & 0xff);
	head[3] = (uint8_t)(v.n >> 8);
	tr_buf_add(&c->pending, head, sizeof(head));
	tr_buf_addv(&c->pending, v);
}

size_t tr_changes_mark(const struct tr_changes *c)
{
	return c ? c->pending.n : 0;
}

void tr_changes_back(struct tr_changes *c, size_t mark)
{
	if (c && mark < c->pending.n)
		c->pending.n = mark;
}

/* As many whole operations as one entry holds. */
static size_t entry_length(struct tr_view all)
{
	size_t n = 0;

	while (n + HEAD <= all.n) {
		size_t one = HEAD + ((size_t)all.p[n + 2] | (size_t)all.p[n + 3] << 8);

		if (n && n + one > ENTRY_MAX)
			break;
		n += one;
	}
	return n;
}

TR_RC tr_changes_log(struct tr_changes *c, struct tr_err *err)
{
	struct tr_view left;
	enum tr_code rc;

	if (!c || !c->pending.n)
		return TR_OK;
	rc = tr_buf_check(&c->pending, err);
	left = tr_buf_view(&c->pending);
	while (!rc && left.n) {
		struct tr_view keys = tr_view(left.p, entry_length(left));
		int64_t seq = 0;

		rc = run(c, Q_LOG, &(struct given){ .text = { c->node }, .bytes = &keys }, &seq, err);
		c->logged = (uint64_t)seq;
		left = tr_view(left.p + keys.n, left.n - keys.n);
	}
	if (!rc && c->db->ops->tell)
		rc = c->db->ops->tell(c->db, err);
	return rc ? tr_err_wrap(err, "log changes") : TR_OK;
}

void tr_changes_ended(struct tr_changes *c, bool committed)
{
	if (!c)
		return;
	/* Everything before our own entry was read when the transaction began. */
	if (committed && c->logged > c->seen)
		c->seen = c->logged;
	c->logged = 0;
	tr_buf_clear(&c->pending);
}

/* ---- leases ---- */

static TR_RC take(struct tr_changes *c, bool *ret, struct tr_err *err)
{
	const struct given g = { .text = { c->node }, .number = { TR_LEASE_MS }, .has_number = true };
	bool row = true;
	enum tr_code rc = bind(c, Q_TAKE, &g, err);

	*ret = false;
	while (!rc && row) {
		rc = c->db->ops->step(c->db, c->st[Q_TAKE], &row, err);
		*ret |= !rc && row;
	}
	if (c->st[Q_TAKE])
		c->db->ops->reset(c->db, c->st[Q_TAKE]);
	return rc;
}

static TR_RC prune(struct tr_changes *c, struct tr_err *err)
{
	struct given g = { .number = { LOG_KEPT_MS }, .has_number = true };
	int64_t up_to = 0;
	enum tr_code rc = run(c, Q_OLD, &g, &up_to, err);

	if (rc || !up_to)
		return rc;
	g.number[0] = up_to;
	rc = run(c, Q_SET_PRUNED, &g, NULL, err);
	if (!rc)
		rc = run(c, Q_PRUNE, &g, NULL, err);
	g.number[0] = LOG_KEPT_MS;
	return rc ? rc : run(c, Q_FORGET_NODES, &g, NULL, err);
}

static TR_RC lease_steps(struct tr_changes *c, bool *ret_held, int64_t *ret_nodes, struct tr_err *err)
{
	const struct given here = { .text = { c->present, c->node }, .number = { TR_LEASE_MS }, .has_number = true };
	enum tr_code rc = run(c, Q_PRESENT, &here, NULL, err);

	if (!rc)
		rc = take(c, ret_held, err);
	if (!rc)
		rc = run(c, Q_NODES, &(struct given){ 0 }, ret_nodes, err);
	if (!rc && *ret_held && (!c->pruned_ms || tr_mono_ms() - c->pruned_ms >= PRUNE_EVERY_MS)) {
		rc = prune(c, err);
		c->pruned_ms = tr_mono_ms();
	}
	return rc;
}

TR_RC tr_changes_lease(struct tr_changes *c, struct tr_lease *ret, struct tr_err *err)
{
	/* From before the question: whatever the way took, the database's time is later. */
	uint64_t asked = tr_mono_ms();
	bool held = false;
	int64_t nodes = 0;
	enum tr_code rc = tr_store_begin(c->s, err);

	if (!rc) {
		rc = lease_steps(c, &held, &nodes, err);
		if (rc)
			tr_store_rollback(c->s);
		else
			rc = tr_store_commit(c->s, err);
	}
	if (rc)
		return tr_err_wrap(err, "lease");
	ret->until = held ? asked + TR_LEASE_MS - TR_LEASE_MARGIN_MS : 0;
	ret->nodes = nodes > 0 ? (unsigned)nodes : 1;
	return TR_OK;
}

void tr_changes_leave(struct tr_changes *c)
{
	struct tr_err err = { 0 };

	if (!c || tr_store_begin(c->s, &err))
		return;
	if (run(c, Q_RELEASE, &(struct given){ .text = { c->node } }, NULL, &err) ||
	    run(c, Q_ABSENT, &(struct given){ .text = { c->present } }, NULL, &err) || tr_store_commit(c->s, &err))
		tr_store_rollback(c->s);
}
