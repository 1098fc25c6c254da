/* SPDX-License-Identifier: Apache-2.0 */
/* Core as one of several nodes: what the others made durable is applied as if it were our own, and what must be done once is
 * done by the node whose lease it is. Without others, or with a store of one node, this node is always the holder. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

/* What another node's agents last said reaches us this much later than it reached that node: the sweep's five seconds, its
 * transactions, and being told. Silence is judged with that much more patience while there are others, and so long after. */
#define LAG_MS 8000u
#define OTHERS_MS 600000u

bool tr_core_holds(const struct tr_core *c)
{
	return !c->shared || tr_mono_ms() < c->holds_until;
}

void tr_core_name(struct tr_core *c)
{
	char host[65] = "";

	c->shared = tr_config_store_remote(c->cfg);
	(void)snprintf(c->self, sizeof(c->self), "server");
	if (c->shared && !gethostname(host, sizeof(host) - 1))
		(void)snprintf(c->self, sizeof(c->self), "server:%s", host);
}

void tr_core_node_begin(struct tr_core *c)
{
	struct tr_msg_listen m;
	uint8_t id[8];
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	tr_random(id, sizeof(id));
	tr_hex_add(&hex, TR_VIEW_ARRAY(id));
	(void)snprintf(c->node, sizeof(c->node), "%.*s", TR_VIEW_FMT(tr_buf_view(&hex)));
	c->nodes = 1;
	m = (struct tr_msg_listen){ .node = tr_view_str(c->node) };
	tr_chan_send_record(c->store, TR_M_LISTEN, 0, &tr_msg_listen_def, &m);
	tr_log(TR_LOG_INFO, "node", "id", c->node, "shared_store", c->shared ? "yes" : "no", NULL);
}

void tr_core_node_loaded(struct tr_core *c)
{
	const struct tr_msg_listen m = { .node = tr_view_str(c->node), .loaded = true };

	tr_chan_send_record(c->store, TR_M_LISTEN, 0, &tr_msg_listen_def, &m);
}

/* ---- what others may have done ---- */

#define DOUBTS 1024u
#define DOUBT_MS 60000u

struct tr_doubt {
	uint32_t whom;
	uint64_t at, readings;
};

bool tr_core_doubts(struct tr_core *c, struct tr_req *r)
{
	uint64_t now = tr_mono_ms();
	struct tr_doubt *d;
	uint32_t whom = 2166136261u;

	if (!c->shared || (!c->doubts && !(c->doubts = calloc(DOUBTS, sizeof(*c->doubts)))))
		return false;
	for (size_t i = 0; i < r->q.agent_id.n; i++)
		whom = (whom ^ r->q.agent_id.p[i]) * 16777619u;
	d = &c->doubts[whom % DOUBTS];
	if (d->whom != whom || now - d->at > DOUBT_MS)
		*d = (struct tr_doubt){ whom, now, c->readings };
	/* The first look may have begun before the question. */
	if (c->readings >= d->readings + 2)
		return false;
	r->doubted = true;
	tr_req_not_stored(r, TR_E_BUSY, "this node does not know yet whether another node has just enrolled or changed this agent; try again in a second");
	return true;
}

/* ---- what others did ---- */

/* What an operator said to another node of this agent. Who was heard elsewhere last is told there what runs. */
static void hear_word(struct tr_core *c, const struct tr_instant *now, uint32_t no, const struct tr_pulse_row *word)
{
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, no);

	if (!a)
		return;
	if (word->expected_hash.n == 32)
		tr_fleet_expect(c->fleet, now, no, word->expected_hash.p, word->expected_until);
	else if (word->running_hash.n == 32) {
		if (tr_view_eq(word->running_hash, tr_fleet_value(c->fleet, a->running)) &&
		    tr_view_eq(word->bpf_digest, tr_fleet_value(c->fleet, a->bpf)))
			tr_fleet_accept(c->fleet, now, no);
	} else {
		tr_fleet_want_bpf_list(c->fleet, no);
	}
}

void tr_core_hear(struct tr_core *c, enum tr_op op, enum tr_table t, const union tr_any_row *row)
{
	struct tr_instant now = tr_core_now(c);
	const struct tr_alert_row *news;
	const struct tr_item *i;

	if (t == TR_T_ALERT && op == TR_OP_PUT) {
		news = tr_alerts_remote(tr_fleet_alerts(c->fleet), now.ms, &row->alert);
		if (news)
			tr_effects_tell(c->effects, news);
	}
	if (t != TR_T_PULSE)
		return;
	i = tr_table_get(&c->agents, row->pulse.id);
	if (!i || i->no == TR_NO_AGENT)
		return;
	if (op == TR_OP_PUT) {
		tr_fleet_remote(c->fleet, &now, i->no, &row->pulse);
	} else if (op == TR_OP_TELL) {
		/* That node has recorded it. */
		tr_fleet_quiet(c->fleet, true);
		hear_word(c, &now, i->no, &row->pulse);
		tr_fleet_quiet(c->fleet, false);
	}
}

void tr_core_heard(struct tr_core *c, uint32_t tables)
{
	if (tables & 1u << TR_T_MAINTENANCE)
		tr_core_tell_maintenance(c);
	if (tables & 1u << TR_T_BPF_REF && !tr_core_tell_bpf_refs(c))
		tr_log(TR_LOG_ERROR, "out_of_memory", "what", "bpf_refs", NULL);
	if (tables & 1u << TR_T_SETTING)
		tr_core_take_ticket_key(c);
}

_Static_assert(TR_T_N <= 32, "a bit for each table");

void tr_core_on_changed(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_changed m;
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_changed_def, f->payload, &m, &err)) {
		tr_log_err(TR_LOG_ERROR, "role_sent_nonsense", &err, NULL);
		tr_loop_stop(c->loop); /* memory would drift from the database */
		return;
	}
	if (m.ops.n)
		tr_core_apply(c, m.ops, true);
	c->generation = m.generation;
	c->readings++;
}

/* ---- whose turn it is ---- */

void tr_core_on_lease(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_lease m;
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_lease_def, f->payload, &m, &err))
		return;
	if (c->nodes != m.nodes)
		tr_log(TR_LOG_INFO, "nodes", "count", tr_fmt("%llu", (unsigned long long)m.nodes), NULL);
	c->nodes = (unsigned)m.nodes;
	c->holds_until = m.until;
	if (c->nodes > 1)
		c->others_ms = tr_mono_ms();
	tr_core_node_tick(c);
}

void tr_core_node_tick(struct tr_core *c)
{
	struct tr_instant now;
	bool holds = tr_core_holds(c), others;

	if (!c->loaded || !c->shared)
		return;
	/* What only the first start stores (keys, seeds) another node may have been quicker with. */
	if (!c->ready_told)
		tr_core_tell_ready(c);
	now = tr_core_now(c);
	others = c->others_ms && tr_mono_ms() - c->others_ms < OTHERS_MS;
	/* A database that is away brings no news of the others' agents: nobody's silence can be told from that. */
	tr_fleet_judges(c->fleet, &now, holds && !c->store_away, others ? LAG_MS : 0);
	if (holds == c->holding)
		return;
	c->holding = holds;
	tr_log(TR_LOG_INFO, holds ? "lease_taken" : "lease_over", "node", c->node, NULL);
	if (holds && c->egress_up)
		tr_effects_egress_up(c->effects);
}
