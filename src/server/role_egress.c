/* SPDX-License-Identifier: Apache-2.0 */
/* The role `egress`: the only process that speaks outward on its own account. Core tells it each revision of an alert;
 * it tells core when every sink took it, or one gave up. It keeps nothing on disk: what it had not delivered when it
 * died, core sends again at its next hello. */
#include "server/role.h"
#include "server/notify.h"

#include "base/clock.h"
#include "base/log.h"
#include "crypto/hash.h"

#define BATCH_MAX 64  /* rows to a sink at once */
#define BURST 64      /* sends in a row, before the channel has its turn */

struct egress;

struct seat {
	struct egress *e;
	struct tr_sink *sink;
	struct tr_watch *timer;
	bool busy, failing;
};

struct egress {
	struct tr_loop *loop;
	struct tr_chan *core;
	struct tr_outbox *outbox;
	struct seat seats[TR_SINK_N];
	bool started;
	uint64_t dropped_told;
};

static const char *const sink_names[TR_SINK_N] = { "webhook", "syslog", "journald" };

/* ---- sinks ---- */

/* One line when a sink starts to fail and one when it is well again, however often it is tried between. */
static void log_said(struct seat *s, enum tr_said said)
{
	const char *name = sink_names[s->sink->id];

	if (said == TR_SAID_NEVER)
		tr_log(TR_LOG_ERROR, "alert_refused", "sink", name, "why", s->sink->why, NULL);
	if (said == TR_SAID_LATER && !s->failing)
		tr_log(TR_LOG_WARN, "sink_failing", "sink", name, "why", s->sink->why, NULL);
	if (said != TR_SAID_LATER && s->failing)
		tr_log(TR_LOG_INFO, "sink_well", "sink", name, NULL);
	s->failing = said == TR_SAID_LATER;
}

static void heard(struct seat *s, enum tr_said said, uint64_t retry_after_ms)
{
	uint32_t dice;

	tr_random(&dice, sizeof(dice));
	s->busy = false;
	log_said(s, said);
	tr_outbox_said(s->e->outbox, tr_mono_ms(), s->sink->id, said, retry_after_ms, dice);
}

static void pump(void *arg)
{
	struct seat *s = arg;
	const struct tr_alert_row *rows[BATCH_MAX];
	uint64_t wait = 0;

	for (unsigned burst = 0; burst < BURST && !s->busy; burst++) {
		size_t n = tr_outbox_take(s->e->outbox, tr_mono_ms(), s->sink->id, s->sink->grouped, s->sink->max,
					  rows, &wait);
		enum tr_said said;

		if (n == 0) {
			if (wait != UINT64_MAX)
				tr_timer_arm(s->timer, wait);
			return;
		}
		s->busy = true;
		said = s->sink->send(s->sink, rows, n);
		if (said != TR_SAID_PENDING)
			heard(s, said, 0);
	}
	if (!s->busy)
		tr_timer_arm(s->timer, 0);
}

static void on_sink_done(void *arg, enum tr_sink_id id, enum tr_said said, uint64_t retry_after_ms)
{
	struct egress *e = arg;

	heard(&e->seats[id], said, retry_after_ms);
	/* By the loop: the sink is still in the middle of its own call. */
	tr_timer_arm(e->seats[id].timer, 0);
}

/* ---- core ---- */

static void on_settled(void *arg, struct tr_view id, uint64_t rev, bool delivered)
{
	struct egress *e = arg;
	struct tr_msg_notified m = { .id = id, .rev = rev, .delivered = delivered };

	if (!delivered)
		tr_log(TR_LOG_ERROR, "alert_not_delivered", "alert", tr_fmt_view(id), "rev",
		       tr_fmt("%llu", (unsigned long long)rev), NULL);
	tr_chan_send_record(e->core, TR_M_NOTIFIED, 0, &tr_msg_notified_def, &m);
}

/* Timers need the loop, which is there when the first frame is. */
static TR_RC start(struct egress *e, struct tr_err *err)
{
	for (unsigned i = 0; i < TR_SINK_N; i++) {
		struct seat *s = &e->seats[i];

		if (!s->sink)
			continue;
		if (tr_watch_timer(e->loop, pump, s, &s->timer, err) || s->sink->start(s->sink, e->loop, err))
			return tr_err_wrap(err, "%s", sink_names[i]);
	}
	e->started = true;
	return TR_OK;
}

static void on_notify(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct egress *e = arg;
	struct tr_msg_notify m;
	struct tr_err err = { 0 };

	e->core = c;
	if (!e->started && start(e, &err)) {
		tr_log_err(TR_LOG_ERROR, "egress_failed", &err, NULL);
		tr_loop_stop(e->loop); /* a fresh one may have more luck */
		return;
	}
	if (tr_record_decode(&tr_msg_notify_def, f->payload, &m, &err) ||
	    tr_outbox_put(e->outbox, tr_mono_ms(), m.alert, &err)) {
		tr_log_err(TR_LOG_ERROR, "core_sent_nonsense", &err, NULL);
		return;
	}
	if (tr_outbox_dropped(e->outbox) != e->dropped_told) {
		if (e->dropped_told == 0)
			tr_log(TR_LOG_ERROR, "alerts_dropped", "why", "more alerts wait for delivery than are kept", NULL);
		e->dropped_told = tr_outbox_dropped(e->outbox);
	}
	for (unsigned i = 0; i < TR_SINK_N; i++)
		if (e->seats[i].sink && !e->seats[i].busy)
			tr_timer_arm(e->seats[i].timer, 0); /* when the burst of frames is through */
}

/* Core asks now and then whether this loop still turns. */
static void on_probe(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	const struct tr_msg_done ok = { .code = TR_OK };

	(void)arg;
	tr_chan_send_record(c, TR_M_PROBE_DONE, f->id, &tr_msg_done_def, &ok);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_NOTIFY] = { on_notify, 4096 },
	[TR_M_PROBE] = { on_probe, 1024 },
};

static TR_RC make_sinks(struct egress *e, const struct tr_config *cfg, struct tr_err *err)
{
	unsigned sinks = 0;

	if (tr_webhook_new(cfg, &e->seats[TR_SINK_WEBHOOK].sink, err) ||
	    tr_syslog_new(cfg, &e->seats[TR_SINK_SYSLOG].sink, err) ||
	    tr_journald_new(cfg, &e->seats[TR_SINK_JOURNALD].sink, err))
		return err->code;
	for (unsigned i = 0; i < TR_SINK_N; i++) {
		struct seat *s = &e->seats[i];

		s->e = e;
		if (!s->sink)
			continue;
		s->sink->done = on_sink_done;
		s->sink->arg = e;
		sinks |= 1u << i;
	}
	e->outbox = tr_outbox_new(sinks, on_settled, e);
	return e->outbox ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "out of memory", "outbox");
}

TR_RC tr_role_egress(const struct tr_config *cfg, struct tr_err *err)
{
	static struct egress e;
	enum tr_code rc;

	tr_resolve_init();
	rc = make_sinks(&e, cfg, err);
	if (!rc)
		rc = tr_role_serve_with(TR_PROC_EGRESS, rules, &e, &e.loop, err);
	/* The loop is gone, and with it every watch of the sinks: the process ends now and takes the rest along. */
	return rc;
}
