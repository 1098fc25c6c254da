/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store_nodes.h"

#include "base/clock.h"
#include "base/log.h"

#define CHUNK ((size_t)256 << 10)

struct tr_nodes {
	struct tr_changes *changes;
	struct tr_chan *core;
	struct tr_buf ops; /* list of tr_msg_op, on its way to core */
	bool loaded;
	uint64_t lease_at;
};

TR_RC tr_nodes_new(struct tr_store *store, struct tr_chan *core, struct tr_view node, struct tr_nodes **ret,
		   struct tr_err *err)
{
	struct tr_nodes *n;
	char name[TR_NODE_MAX + 1];

	if (*ret || !tr_store_is_shared(store))
		return TR_OK;
	n = calloc(1, sizeof(*n));
	if (!n)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "nodes");
	(void)snprintf(name, sizeof(name), "%.*s", TR_VIEW_FMT(node));
	n->core = core;
	if (tr_changes_new(store, name, &n->changes, err)) {
		free(n);
		return err->code;
	}
	*ret = n;
	return TR_OK;
}

struct tr_nodes *tr_nodes_free(struct tr_nodes *n)
{
	if (!n)
		return NULL;
	if (n->loaded)
		tr_changes_leave(n->changes);
	(void)tr_changes_free(n->changes);
	tr_buf_done(&n->ops);
	free(n);
	return NULL;
}

struct tr_changes *tr_nodes_changes(struct tr_nodes *n)
{
	return n ? n->changes : NULL;
}

static void send(struct tr_nodes *n, uint64_t generation)
{
	struct tr_msg_changed m = { .generation = generation, .ops = tr_buf_view(&n->ops) };

	/* A row that core would not understand: it must not go on with half of what is true. */
	if (!tr_buf_ok(&n->ops))
		abort();
	tr_chan_send_record(n->core, TR_M_CHANGED, 0, &tr_msg_changed_def, &m);
	tr_buf_clear(&n->ops);
}

void tr_nodes_loaded(struct tr_nodes *n)
{
	if (!n)
		return;
	n->loaded = true;
	send(n, tr_changes_generation(n->changes));
}

struct reading {
	struct tr_nodes *n;
	uint64_t before; /* while parts are still to come, core knows no more than this */
};

static void on_change(void *arg, enum tr_op op, enum tr_table t, const void *row)
{
	struct reading *r = arg;
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_msg_op m = { .op = op, .table = t };

	tr_record_encode(tr_table_def(t), row, &bytes);
	r->n->ops.failed |= bytes.failed;
	m.row = tr_buf_view(&bytes);
	tr_records_add(&r->n->ops, &tr_msg_op_def, &m);
	if (r->n->ops.n >= CHUNK)
		send(r->n, r->before);
}

TR_RC tr_nodes_read(struct tr_nodes *n, struct tr_err *err)
{
	struct reading r = { .n = n };
	enum tr_code rc;

	if (!n || !n->loaded)
		return TR_OK;
	r.before = tr_changes_generation(n->changes);
	rc = tr_changes_read(n->changes, on_change, &r, err);
	/* What was read before an error is true, but read again with what is missing. */
	if (n->ops.n || tr_changes_generation(n->changes) != r.before)
		send(n, tr_changes_generation(n->changes));
	return rc;
}

TR_RC tr_nodes_turn(struct tr_nodes *n, struct tr_err *err)
{
	struct tr_lease l = { 0 };
	struct tr_msg_lease m;

	if (!n || !n->loaded)
		return TR_OK;
	if (tr_nodes_read(n, err))
		return err->code;
	/* Also when there is nothing: core waits for a look that was later than a question. */
	send(n, tr_changes_generation(n->changes));
	if (tr_mono_ms() < n->lease_at)
		return TR_OK;
	if (tr_changes_lease(n->changes, &l, err))
		return err->code;
	n->lease_at = tr_mono_ms() + TR_LEASE_EVERY_MS;
	m = (struct tr_msg_lease){ .until = l.until, .nodes = l.nodes };
	tr_chan_send_record(n->core, TR_M_LEASE, 0, &tr_msg_lease_def, &m);
	return TR_OK;
}

TR_RC tr_nodes_judge(struct tr_nodes *n, enum tr_op op, enum tr_table t, const void *row, uint64_t generation,
		     bool *ret_skip, struct tr_err *err)
{
	enum tr_clash clash = n ? tr_changes_clash(n->changes, op, t, row, generation) : TR_CLASH_NONE;

	*ret_skip = clash == TR_CLASH_SKIP || op == TR_OP_TELL;
	if (clash == TR_CLASH_BUSY)
		return tr_err_set(err, TR_E_BUSY, "another node changed this at the same moment; try again in a second",
				  "table %s", tr_table_def(t)->name);
	if (n && clash == TR_CLASH_NONE)
		tr_changes_note(n->changes, op, t, row);
	return TR_OK;
}
