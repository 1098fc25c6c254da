/* SPDX-License-Identifier: Apache-2.0 */
/* What the store holds, into core's memory, and the moment from which core is ready. */
#include "server/authority.h"
#include "server/core.h"
#include "server/attest.h"
#include "server/hub.h"
#include "server/orders.h"
#include "server/role.h"

#include "base/log.h"
#include "codec/text.h"
#include "ipc/fdpass.h"

struct tr_table_mem *tr_core_table(struct tr_core *c, enum tr_table t)
{
	switch (t) {
	case TR_T_AGENT: return &c->agents;
	case TR_T_TOKEN: return &c->tokens;
	case TR_T_VKEY: return &c->vkeys;
	case TR_T_RELEASE: return &c->releases;
	case TR_T_SETTING: return &c->settings;
	case TR_T_SEEN: return &c->seen;
	case TR_T_OPERATOR: return &c->operators;
	case TR_T_MAINTENANCE: return &c->maintenance;
	case TR_T_BPF_REF: return &c->bpf_refs;
	case TR_T_KEYSET: return &c->keysets;
	case TR_T_SKEY: return &c->skeys;
	case TR_T_COMMAND: return &c->commands;
	case TR_T_OUTBOX: return &c->outboxes;
	case TR_T_ATTESTED: return &c->attested;
	case TR_T_BUNDLE: return &c->bundles;
	case TR_T_TEE_POLICY: return &c->tee_policies;
	case TR_T_MAIL: return &c->mails;
	default: return NULL;
	}
}

/* Rows that core does not keep as rows: the fleet and its alerts take them in. A pulse without an agent is a leftover. */
static bool take_in(struct tr_core *c, enum tr_table t, const union tr_any_row *row)
{
	struct tr_item *i;

	if (t == TR_T_ALERT) {
		tr_alerts_load(tr_fleet_alerts(c->fleet), &row->alert);
		return true;
	}
	i = tr_table_get(&c->agents, row->pulse.id);
	return !i || i->no != TR_NO_AGENT || tr_core_join(c, i, &row->pulse);
}

static bool take_row(struct tr_core *c, enum tr_table t, struct tr_view bytes, struct tr_err *err)
{
	struct tr_table_mem *mem = tr_core_table(c, t);
	struct tr_item *item;
	union tr_any_row row;

	if (tr_record_decode(tr_table_def(t), bytes, &row, err))
		return false;
	if (!mem)
		return take_in(c, t, &row);
	item = tr_table_put(mem, &row);
	if (item && mem == &c->agents)
		item->no = TR_NO_AGENT;
	return item != NULL;
}

void tr_core_on_rows(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_rows m;
	struct tr_view list, one;
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_rows_def, f->payload, &m, &err) || m.table >= TR_T_N)
		return;
	list = m.rows;
	while (tr_records_next(&list, &one)) {
		if (take_row(c, (enum tr_table)m.table, one, &err))
			continue;
		tr_log_err(TR_LOG_ERROR, "row_unreadable", &err, "table", tr_table_def((enum tr_table)m.table)->name, NULL);
		abort(); /* a registry with holes must not decide anything */
	}
}

void tr_core_tell_ready(struct tr_core *c)
{
	tr_auto(tr_buf_done) struct tr_buf root = TR_BUF_INIT;
	struct tr_err err = { 0 };
	bool front = false;

	for (size_t i = 0; i < TR_FRONTS_MAX; i++)
		front |= c->fronts[i].up;
	if (c->ready_told || !c->loaded || !front || !c->up[TR_UP_KEYS] || !c->up[TR_UP_APPRAISE] ||
	    !c->up[TR_UP_STORE_RO])
		return;
	if (!c->ticket_kept) {
		tr_core_keep_ticket_key(c);
		return;
	}
	if (!tr_orders_ready(c))
		return;
	/* The keyset of `trothd init` is a row, and what is sealed is open, before anybody is answered. */
	if (!tr_authority_ready(c))
		return;
	/* A key that configuration names must be in force before the first claim is judged. */
	if (!c->seeded) {
		tr_core_seed(c);
		return;
	}
	tr_core_send_policy(c);
	c->ready_told = true;
	tr_hex_add(&root, TR_VIEW_ARRAY(c->root_pin));
	tr_log(TR_LOG_INFO, "ready", "agents", tr_fmt("%zu", c->agents.n), "root", tr_buf_cstr(&root), NULL);
	if (tr_fd_tell(c->control, TR_TAG_READY, &err))
		tr_log_err(TR_LOG_ERROR, "supervisor_gone", &err, NULL);
}

void tr_core_on_load_done(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_done m = { .code = TR_OK };
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_done_def, f->payload, &m, &err) || m.code) {
		tr_log(TR_LOG_ERROR, "load_failed", "why", tr_fmt_view(m.why), NULL);
		tr_loop_stop(c->loop);
		return;
	}
	/* The fleet needs the ticket key among the settings, and alerts and pulses need the fleet. */
	if (f->id == TR_T_SETTING && tr_core_make_fleet(c, &err)) {
		tr_log_err(TR_LOG_ERROR, "load_failed", &err, NULL);
		tr_loop_stop(c->loop);
		return;
	}
	if (--c->loading)
		return;
	/* A chain that does not verify is never served, and nothing is signed under it. */
	if (tr_authority_loaded(c, &err)) {
		tr_log_err(TR_LOG_ERROR, "authority_broken", &err, "pub", err.pub, NULL);
		tr_loop_stop(c->loop);
		return;
	}
	if (!tr_core_fleet_loaded(c) || !tr_orders_loaded(c) || !tr_hub_loaded(c)) {
		tr_log(TR_LOG_ERROR, "load_failed", "why", "out of memory", NULL);
		tr_loop_stop(c->loop);
		return;
	}
	c->loaded = true;
	tr_tee_loaded(c);
	tr_core_node_loaded(c);
	if (c->egress_up)
		tr_effects_egress_up(c->effects);
	tr_core_tell_ready(c);
}

void tr_core_load(struct tr_core *c)
{
	/* The order matters: the store sends one after the other. */
	static const enum tr_table order[] = { TR_T_SETTING, TR_T_OPERATOR, TR_T_TOKEN, TR_T_VKEY, TR_T_RELEASE, TR_T_SEEN,
					       TR_T_MAINTENANCE, TR_T_BPF_REF, TR_T_KEYSET, TR_T_SKEY, TR_T_ALERT,
					       TR_T_AGENT, TR_T_PULSE, TR_T_OUTBOX, TR_T_COMMAND, TR_T_BUNDLE,
					       TR_T_TEE_POLICY, TR_T_ATTESTED, TR_T_MAIL };

	tr_core_node_begin(c);
	for (size_t i = 0; i < TR_ARRAY_LEN(order); i++) {
		struct tr_msg_load m = { .table = order[i] };

		c->loading++;
		tr_chan_send_record(c->store, TR_M_LOAD, order[i], &tr_msg_load_def, &m);
	}
	tr_chan_send(c->store, TR_M_PROBE, 0, tr_view(NULL, 0));
}
