/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of commands on their way to the store. What needs a signature is numbered first: a number that was given is spent,
 * whatever comes of it. A command's row and its agent's outbox row commit together; nothing is handed out before. */
#include "server/orders.h"

#include "base/clock.h"
#include "server/authority.h"

#define TX_BYTES ((size_t)600 << 10) /* of a transaction: one more row fits under the limit of a frame */
#define CHUNK ((size_t)64 << 10)

struct chunk {
	struct chunk *next;
	size_t n, cap;
	uint8_t p[];
};

struct tr_making {
	struct tr_core *c;
	uint64_t generation; /* when it began: rows are copied before they are signed */
	struct tr_make *list;
	size_t n, most;
	struct chunk *chunks;
	struct tr_buf also;
	bool also_sent, out_of_memory;
	tr_making_fn fn;
	void *arg;
	unsigned open;       /* parts and batches not heard of yet, and tr_making_go itself */
	size_t *sequence;    /* in the order in which they go to the store */
	size_t n_sequence, n_sent;
	size_t *to_sign, n_to_sign;
	struct tr_tx *tx;
	struct tr_buf op;
};

/* What one transaction holds: sequence[first] and on. */
struct part {
	struct tr_making *m;
	size_t first, n;
};

struct tr_making *tr_making_new(struct tr_core *c, size_t most)
{
	struct tr_making *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->c = c;
	m->generation = c->generation;
	m->most = most;
	m->list = calloc(most, sizeof(*m->list));
	m->sequence = calloc(most, sizeof(*m->sequence));
	m->to_sign = calloc(most, sizeof(*m->to_sign));
	return m->list && m->sequence && m->to_sign ? m : tr_making_free(m);
}

/* The marks of what was never sent; for the rest the transaction's end took them. */
static void let_go(struct tr_making *m, struct tr_make *x)
{
	struct tr_live *l = x->was_live ? tr_live_find(m->c, tr_view_str(x->id)) : NULL;

	x->was_live = false;
	if (l && l->busy)
		l->busy--;
}

struct tr_making *tr_making_free(struct tr_making *m)
{
	struct chunk *next;

	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n; i++)
		let_go(m, &m->list[i]);
	for (struct chunk *k = m->chunks; k; k = next) {
		next = k->next;
		free(k);
	}
	(void)tr_tx_free(m->tx);
	tr_buf_done(&m->also);
	tr_buf_done(&m->op);
	free(m->list);
	free(m->sequence);
	free(m->to_sign);
	free(m);
	return NULL;
}

struct tr_make *tr_making_add(struct tr_making *m)
{
	return m->n < m->most ? &m->list[m->n++] : NULL;
}

struct tr_view tr_making_keep(struct tr_making *m, struct tr_view v)
{
	struct chunk *k = m->chunks;
	uint8_t *to;

	if (!v.n)
		return tr_view(NULL, 0);
	if (!k || k->cap - k->n < v.n) {
		size_t cap = v.n > CHUNK ? v.n : CHUNK;

		k = malloc(sizeof(*k) + cap);
		if (!k) {
			m->out_of_memory = true; /* nothing of this making is stored from now on */
			return tr_view(NULL, 0);
		}
		*k = (struct chunk){ .next = m->chunks, .cap = cap };
		m->chunks = k;
	}
	to = k->p + k->n;
	memcpy(to, v.p, v.n);
	k->n += v.n;
	return tr_view(to, v.n);
}

struct tr_make *tr_making_change(struct tr_making *m, struct tr_live *l)
{
	struct tr_command_row now = tr_command_now(m->c, l);
	struct tr_make *x = tr_making_add(m);

	if (!x)
		return NULL;
	x->row = now;
	for (size_t k = 0; k < tr_command_row_def.n; k++) {
		const struct tr_field *f = &tr_command_row_def.fields[k];
		struct tr_view v;

		if (f->type < TR_F_TEXT)
			continue;
		memcpy(&v, (const char *)&now + f->off, sizeof(v));
		v = tr_making_keep(m, v);
		memcpy((char *)&x->row + f->off, &v, sizeof(v));
	}
	/* Handed out a moment ago: the row may not say so yet. */
	x->row.sent_at = l->sent_at;
	x->row.attempts = l->attempts;
	x->agent = tr_table_get(&m->c->agents, now.agent);
	memcpy(x->id, l->id, sizeof(x->id));
	x->was_live = true;
	l->busy++;
	return x;
}

void tr_making_drop(struct tr_making *m)
{
	struct tr_make *x = &m->list[--m->n];

	let_go(m, x);
	*x = (struct tr_make){ 0 };
}

size_t tr_making_n(const struct tr_making *m)
{
	return m->n;
}

struct tr_make *tr_making_at(struct tr_making *m, size_t i)
{
	return &m->list[i];
}

struct tr_buf *tr_making_also(struct tr_making *m)
{
	return &m->also;
}

/* ---- to the store ---- */

static void leave(struct tr_making *m)
{
	if (--m->open)
		return;
	m->fn(m->arg, m);
	(void)tr_making_free(m);
}

static void on_stored(void *arg, enum tr_code rc, const char *why)
{
	struct part *p = arg;
	struct tr_making *m = p->m;
	const char *kept = "";

	if (rc) {
		struct tr_view v = tr_making_keep(m, tr_view(why, strlen(why) + 1));

		kept = v.n ? (const char *)v.p : "the store did not take it; try again";
	}
	for (size_t i = 0; i < p->n; i++) {
		struct tr_make *x = &m->list[m->sequence[p->first + i]];

		x->rc = rc;
		x->why = kept;
		let_go(m, x);
	}
	free(p);
	leave(m);
}

static void send_part(struct tr_making *m)
{
	struct part *p = m->n_sequence > m->n_sent ? malloc(sizeof(*p)) : NULL;

	if (!p) {
		for (; m->n_sent < m->n_sequence; m->n_sent++) {
			m->list[m->sequence[m->n_sent]].rc = TR_E_BUSY;
			m->list[m->sequence[m->n_sent]].why = "the server is out of memory; try again later";
		}
		m->tx = tr_tx_free(m->tx);
		return;
	}
	*p = (struct part){ m, m->n_sent, m->n_sequence - m->n_sent };
	m->n_sent = m->n_sequence;
	m->open++;
	tr_tx_commit(TR_TAKE(m->tx), on_stored, p);
}

static void put(struct tr_making *m, size_t i)
{
	struct tr_make *x = &m->list[i];
	const struct tr_box *b = x->agent ? tr_box_find(m->c, x->agent->no) : NULL;

	tr_buf_clear(&m->op);
	tr_op_encode(&m->op, x->is_new ? TR_OP_INSERT : TR_OP_PUT, TR_T_COMMAND, &x->row);
	if ((x->sign || x->quarantine_changes) && b) {
		const struct tr_outbox_row numbered = {
			.agent = x->row.agent, .line = b->line, .seq = b->given,
			.quarantined_at = x->quarantine_changes ? x->quarantined_at : b->quarantined_at,
		};

		tr_op_encode(&m->op, TR_OP_PUT, TR_T_OUTBOX, &numbered);
	}
	if (m->out_of_memory || !tr_buf_ok(&m->op)) {
		tr_buf_done(&m->op);
		x->rc = TR_E_INTERNAL;
		x->why = "the server could not write this command down; see its log";
		return;
	}
	if (m->tx && tr_tx_bytes(m->tx) + m->op.n > TX_BYTES)
		send_part(m);
	if (!m->tx) {
		m->tx = tr_tx_new(m->c);
		tr_tx_as_of(m->tx, m->generation);
	}
	if (m->also.n && !m->also_sent)
		tr_tx_add_encoded(m->tx, tr_buf_view(&m->also));
	m->also_sent = true;
	tr_tx_add_encoded(m->tx, tr_buf_view(&m->op));
	m->sequence[m->n_sequence++] = i;
}

/* ---- to the keys ---- */

static void on_signed(void *arg, const struct tr_signed_batch *batch)
{
	struct tr_making *m = arg;

	for (size_t k = 0; k < batch->n; k++) {
		size_t i = m->to_sign[batch->first + k];
		struct tr_make *x = &m->list[i];
		const struct tr_msg_signed *s = batch->list ? &batch->list[k] : NULL;

		x->rc = (enum tr_code)(s ? s->code : batch->code);
		if (x->rc || !s) {
			struct tr_view why = s ? s->why : tr_view_str(batch->why);
			uint8_t nul = 0;
			tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

			tr_buf_addv(&text, why);
			tr_buf_add(&text, &nul, 1);
			why = tr_making_keep(m, tr_buf_view(&text));
			x->why = why.n ? (const char *)why.p : "it could not be signed";
			continue;
		}
		memcpy(x->key_id, batch->key_id, sizeof(x->key_id));
		x->row.key_id = TR_VIEW_ARRAY(x->key_id);
		x->row.command = s->command; /* of this call only; encoded at once */
		put(m, i);
		x->row.command = tr_view(NULL, 0);
	}
	if (m->tx)
		send_part(m);
	if (batch->last)
		leave(m);
}

/* A number of its own for each; the one before is the last of this agent on this line. */
static bool number(struct tr_making *m, struct tr_make *x)
{
	struct tr_box *b = x->agent ? tr_box_of(m->c, x->agent->no) : NULL;

	if (!b)
		return false;
	if (b->line < m->c->orders->line) {
		b->line = m->c->orders->line;
		b->given = 0;
	}
	x->row.line = b->line;
	x->row.seq = ++b->given;
	return true;
}

static void sign(struct tr_making *m)
{
	struct tr_msg_to_sign *list = calloc(m->n, sizeof(*list));
	int64_t now_ms = tr_now_ms();

	for (size_t i = 0; i < m->n; i++) {
		struct tr_make *x = &m->list[i];
		struct tr_msg_to_sign *s = list ? &list[m->n_to_sign] : NULL;
		int64_t most = now_ms + (int64_t)TR_COMMAND_AGE_MAX_S * 1000;

		if (!x->sign)
			continue;
		if (!s || !number(m, x)) {
			x->rc = TR_E_BUSY;
			x->why = "the server is out of memory; try again later";
			continue;
		}
		*s = (struct tr_msg_to_sign){
			.order = x->row.order, .approvals = x->row.approvals, .epoch = tr_agent_now(m->c, x->agent).epoch,
			.line = x->row.line, .seq = x->row.seq, .issued = now_ms,
			/* One that waits for its time lives as long as its order. */
			.expires = x->row.not_before || x->row.expires_at < most ? x->row.expires_at : most,
		};
		m->to_sign[m->n_to_sign++] = i;
	}
	if (m->n_to_sign) {
		m->open++;
		tr_authority_sign(m->c, list, m->n_to_sign, on_signed, m);
	}
	free(list);
}

void tr_making_go(struct tr_making *m, tr_making_fn fn, void *arg)
{
	bool any = false;

	m->fn = fn;
	m->arg = arg;
	m->open = 1;
	for (size_t i = 0; i < m->n; i++) {
		any |= m->list[i].sign;
		if (!m->list[i].sign)
			put(m, i);
	}
	if (m->tx)
		send_part(m);
	if (any)
		sign(m);
	leave(m);
}
