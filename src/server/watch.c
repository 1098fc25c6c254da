/* SPDX-License-Identifier: Apache-2.0 */
/* What core does by the clock: judges silence, reminds of alerts, watches its own clock, and sweeps what pulses changed
 * into the store. */
#include "server/core.h"
#include "server/attest.h"
#include "server/hub.h"
#include "server/orders.h"

#include "base/clock.h"
#include "base/log.h"

#define CLOCK_BAD_ALERT_MS 600000
#define SWEEP_ROWS 512u
#define EVENTS_EXPIRE_MS 3600000u /* between two looks for events that are too old */
#define DAY_MS INT64_C(86400000)
#define LAST_TRANSACTIONS 256u
#define SWEEP_BYTES ((size_t)700 << 10) /* of a transaction */

/* ---- the clock ---- */

void tr_core_watch_clock(struct tr_core *c, const struct tr_instant *now, bool synchronised)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	const struct tr_alert what = {
		.kind = "server_clock",
		.subject = tr_view_str(*c->self ? c->self : "server"),
		.summary = { (const uint8_t *)"the server's clock is not synchronised, so no agent's clock is judged", 69 },
	};
	bool was = c->clock_trusted;

	c->clock_trusted = tr_config_clock_trusted(c->cfg) || synchronised;
	if (c->clock_trusted) {
		c->clock_bad_ms = 0;
		tr_alerts_resolve(alerts, now->ms, what.kind, what.subject, "the server's clock is synchronised again");
	} else if (!c->clock_bad_ms) {
		c->clock_bad_ms = now->ms;
	} else if (now->ms - c->clock_bad_ms > CLOCK_BAD_ALERT_MS && !tr_alerts_find(alerts, what.kind, what.subject)) {
		tr_alerts_raise(alerts, now->ms, &what);
	}
	if (was != c->clock_trusted)
		tr_log(c->clock_trusted ? TR_LOG_INFO : TR_LOG_WARN,
		       c->clock_trusted ? "server_clock_synchronised" : "server_clock_not_synchronised", NULL);
}

void tr_core_watch_tick(struct tr_core *c)
{
	struct tr_instant now;

	if (!c->loaded)
		return;
	now = tr_core_now(c);
	tr_core_watch_clock(c, &now, tr_kernel_clock_synchronised());
	now.clock_trusted = c->clock_trusted;
	tr_fleet_tick(c->fleet, &now);
	tr_effects_tick(c->effects);
	if (c->store_ok)
		tr_core_keep_ticket_key(c);
	tr_orders_tick(c, &now);
	tr_hub_tick(c, &now);
	tr_tee_tick(c);
}

/* ---- the sweep ---- */

struct sweep {
	struct tr_core *c;
	struct tr_tx *tx;
	size_t left, n;
	uint32_t swept[SWEEP_ROWS];
	struct tr_buf op;
};

static bool put_row(void *arg, uint32_t agent, const struct tr_pulse_row *row)
{
	struct sweep *s = arg;

	if (tr_tx_bytes(s->tx) > SWEEP_BYTES)
		return false;
	tr_buf_clear(&s->op);
	tr_op_encode(&s->op, TR_OP_PUT, TR_T_PULSE, row);
	if (tr_buf_ok(&s->op)) {
		tr_tx_add_encoded(s->tx, tr_buf_view(&s->op));
		s->swept[s->n++] = agent;
		return true;
	}
	/* One that the store would refuse must not hold up the others. */
	tr_log(TR_LOG_ERROR, "row_breaks_a_rule", "agent", tr_fmt_view(row->id), NULL);
	tr_buf_done(&s->op);
	return true;
}

static void sweep_on(struct sweep *s);

static void swept(void *arg, enum tr_code rc, const char *why)
{
	struct sweep *s = arg;

	s->c->metrics.sweep_commits += rc == TR_OK;
	if (rc) {
		tr_log(TR_LOG_ERROR, "sweep_failed", "why", why, NULL);
		for (size_t k = 0; k < s->n; k++)
			tr_fleet_touch(s->c->fleet, s->swept[k]);
		s->left = 0;
	}
	sweep_on(s);
}

/* One transaction after the other: a slow disk slows the sweep, and nothing piles up. */
static void sweep_on(struct sweep *s)
{
	size_t n = s->left < SWEEP_ROWS ? s->left : SWEEP_ROWS;

	s->n = 0;
	s->tx = n ? tr_tx_new(s->c) : NULL;
	if (s->tx && tr_fleet_sweep(s->c->fleet, n, put_row, s)) {
		s->left -= s->n;
		s->c->metrics.rows_swept += s->n;
		tr_tx_commit(s->tx, swept, s);
		return;
	}
	s->tx = tr_tx_free(s->tx);
	s->c->sweeping = false;
	tr_buf_done(&s->op);
	free(s);
}

/* Of a transaction that nothing waits for. */
static void noted(void *arg, enum tr_code rc, const char *why)
{
	struct tr_core *c = arg;

	c->metrics.sweep_commits += rc == TR_OK;
	if (rc)
		tr_log(TR_LOG_ERROR, "sweep_failed", "why", why, NULL);
}

void tr_core_sweep_last(struct tr_core *c)
{
	struct sweep s = { .c = c };

	for (unsigned i = 0; i < LAST_TRANSACTIONS; i++) {
		s.n = 0;
		s.tx = tr_tx_new(c);
		if (!s.tx || !tr_fleet_sweep(c->fleet, SWEEP_ROWS, put_row, &s))
			break;
		tr_tx_commit(s.tx, noted, c);
		s.tx = NULL;
	}
	s.tx = tr_tx_free(s.tx);
	tr_buf_done(&s.op);
}

static void expire_seen(struct tr_core *c)
{
	struct tr_seen_row row = { .digest = TR_VIEW_LIT(""), .expires_at = tr_now_ms() };
	struct tr_tx *tx;
	const struct tr_item *i;
	bool old = false;

	TR_EACH_ITEM(&c->seen, i) {
		const struct tr_seen_row *s = TR_ROW(&c->seen, i);

		if (s->expires_at >= row.expires_at)
			continue;
		old = true;
		tr_table_del(&c->seen, s->digest);
	}
	if (!old || !tr_core_holds(c) || !(tx = tr_tx_new(c)))
		return;
	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_SEEN, &row);
	tr_tx_commit(tx, noted, c);
}

/* What happened, and what was ordered, is kept for so many days; the audit log is kept for ever. */
static void expire_events(struct tr_core *c)
{
	const struct tr_event_row row = { .time = tr_now_ms() - c->cfg->event_days * DAY_MS };
	const struct tr_command_row over = { .ended_at = tr_now_ms() - c->cfg->command_days * DAY_MS };
	uint64_t mono = tr_mono_ms();
	struct tr_tx *tx;

	if (c->events_expire_ms > mono || !tr_core_holds(c) || !(tx = tr_tx_new(c)))
		return;
	c->events_expire_ms = mono + EVENTS_EXPIRE_MS;
	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_EVENT, &row);
	tr_tx_add(tx, TR_OP_EXPIRE, TR_T_COMMAND, &over);
	tr_tx_commit(tx, noted, c);
}

void tr_core_sweep(struct tr_core *c, size_t most)
{
	struct sweep *s;

	expire_seen(c);
	expire_events(c);
	if (c->sweeping || !(s = calloc(1, sizeof(*s))))
		return;
	s->c = c;
	s->left = most;
	c->sweeping = true;
	sweep_on(s);
}
