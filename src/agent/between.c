/* SPDX-License-Identifier: Apache-2.0 */
/* Between two pulses: a question for commands that waits on the same connection, what comes of it, and the
 * receipts. The next pulse is never late for it. */
#include "agent/runner.h"

#include "agent/agent.h"
#include "agent/quarantine.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define MARGIN_MS 900 /* between the latest end of a question and the next pulse */
#define LATE_MS 700    /* that an answer may take longer than it was to wait */
#define NAP_MS 1000
#define BLINK_MS 100 /* behind what is not news there may be what is */
#define FLUSH_MAX 64 /* receipts at a time: the next pulse has precedence */
#define KID_EVERY_MS 10000

static const struct tr_cmd_ops *const all_ops[] = {
	&tr_cmd_status,	    &tr_cmd_inventory,	&tr_cmd_reattest,     &tr_cmd_refresh_keyset,
	&tr_cmd_cancel,	    &tr_cmd_note,	&tr_cmd_set_interval, &tr_cmd_restart_agent,
	&tr_cmd_rotate_key, &tr_cmd_quarantine, &tr_cmd_release,      NULL,
};

void tr_run_set_scope(struct tr_runner *r)
{
	struct tr_obey *o = &r->obey;

	o->now = (struct tr_obey_now){ tr_run_now_ms(r), tr_now_ns(), tr_mono_ms() };
	o->scope = (struct tr_command_scope){
		.trust_domain = r->state.conf.trust_domain,
		.agent_id = r->state.conf.agent_id,
		/* The enrolment's generation is the server's: neither certificate nor answer names it. */
		.epoch = 0,
		.keyset = r->authority.walk.has ? &r->authority.walk.keyset : NULL,
		.grace_over =
			tr_authority_is_stale(&r->authority, o->now.known_ms, r->state.conf.stale_key_hours),
	};
	o->image = TR_VIEW_ARRAY(r->evidence.image.hash);
}

TR_RC tr_run_open_journal(struct tr_runner *r, struct tr_err *err)
{
	struct tr_journal_io io;
	enum tr_code rc;

	tr_authority_load(&r->state, &r->authority);
	r->pulser.keyset_epoch = r->authority.walk.has ? r->authority.walk.keyset.epoch : 0;
	tr_journal_file_init(&r->journal_file, r->state.dir, &io);
	r->obey.ops = all_ops;
	r->obey.arg = r;
	r->obey.quarantined = tr_quarantine_is(&r->state);
	rc = tr_journal_open(&io, r->authority.journal, &r->obey.journal, err);
	if (rc)
		return rc;
	if (tr_journal_cut(r->obey.journal))
		tr_log(TR_LOG_WARN, "journal_tail_cut", "bytes",
		       tr_fmt("%zu", tr_journal_cut(r->obey.journal)), NULL);
	if (tr_journal_health(r->obey.journal))
		tr_log(TR_LOG_ERROR, "journal_not_usable", "state",
		       tr_journal_health_name(tr_journal_health(r->obey.journal)), "detail",
		       tr_journal_why(r->obey.journal), "hint",
		       "no command is obeyed; see `troth-agent journal show`", NULL);
	else if (!r->authority.journal) {
		/* From now on one that is missing was taken away. */
		r->authority.journal = true;
		if (tr_authority_save(&r->state, &r->authority, err))
			tr_log_err(TR_LOG_WARN, "authority_not_written", err, NULL);
	}
	return TR_OK;
}

/* ---- receipts ---- */

/* False: the connection is in trouble. */
static bool send_receipt(struct tr_runner *r, struct tr_view receipt, uint64_t position)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	const struct tr_client_request req = {
		.method = "POST",
		.path = "/api/v1/agent/receipts",
		.content_type = "application/cose",
		.body = receipt,
		.verify_time_ms = tr_link_verify_ms(&r->link, &r->pulser.chain.time),
	};
	struct tr_err err = { 0 };

	if (tr_signals_do(r->link.client, &req, &a, &err)) {
		if (!*tr_signals_stop())
			tr_log_err(TR_LOG_WARN, "receipt_not_sent", &err, "server", r->link.url, NULL);
		tr_link_close(&r->link);
		return false;
	}
	if (a.status == 200) {
		tr_obey_acked(&r->obey, position);
		return true;
	}
	if (a.status != 404 || !r->unsupported)
		tr_log(TR_LOG_WARN, "receipt_not_taken", "server", r->link.url, "status",
		       tr_fmt("%d", a.status), NULL);
	r->unsupported = r->unsupported || a.status == 404;
	return a.status < 500 && a.status != 429;
}

static void flush(struct tr_runner *r)
{
	for (unsigned n = 0; n < FLUSH_MAX && r->link.client && !*tr_signals_stop(); n++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		uint64_t position = 0;

		tr_run_set_scope(r);
		if (!tr_obey_receipt(&r->obey, tr_run_key(r), &b, &position) ||
		    !send_receipt(r, tr_buf_view(&b), position))
			return;
	}
}

/* ---- commands ---- */

static void take_one(struct tr_runner *r, struct tr_view command)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();

	tr_run_set_scope(r);
	if (tr_obey_take(&r->obey, command, false) == TR_OBEY_TOOK)
		return;
	/* A key that we do not know may be one that we should: once per so often. */
	if (!r->kid_asked_ms || mono - r->kid_asked_ms >= KID_EVERY_MS) {
		r->kid_asked_ms = mono ? mono : 1;
		if (tr_run_refresh(r, true, &err))
			tr_log_err(TR_LOG_WARN, "keyset_not_refreshed", &err, "server", r->link.url, NULL);
	}
	tr_run_set_scope(r);
	(void)tr_obey_take(&r->obey, command, true);
}

/* Whether any of it was news to the journal. */
static bool take_all(struct tr_runner *r, const struct tr_delivery *d)
{
	struct tr_authority *a = &r->authority;
	uint64_t before;
	bool news;
	struct tr_err err = { 0 };

	if (d->keyset_epoch > a->told_epoch)
		a->told_epoch = d->keyset_epoch;
	r->wait_s = d->wait_s;
	r->pending = d->n > 0; /* there may be more */
	if (tr_authority_is_due(a, tr_run_now_ms(r), tr_mono_ms(), r->spread) ||
	    (d->n && tr_authority_is_old(a, tr_run_now_ms(r)))) {
		if (tr_run_refresh(r, false, &err) && err.code != TR_E_BUSY)
			tr_log_err(TR_LOG_WARN, "keyset_not_refreshed", &err, "server", r->link.url, NULL);
	}
	before = tr_journal_position(r->obey.journal);
	for (size_t i = 0; i < d->n; i++)
		take_one(r, d->commands[i]);
	news = tr_journal_position(r->obey.journal) != before;
	flush(r);
	return news;
}

static void not_answered(struct tr_runner *r, int status)
{
	r->wait_s = 0;
	r->pending = false;
	if (status == 404 && r->unsupported)
		return;
	r->unsupported = r->unsupported || status == 404;
	tr_log(TR_LOG_WARN, "commands_not_given", "server", r->link.url, "status", tr_fmt("%d", status),
	       NULL);
}

/* The signal that ended it, or 0. left_ms: until the next pulse. */
static int ask(struct tr_runner *r, uint64_t wait_s, uint64_t left_ms)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	char path[64];
	const struct tr_client_request req = {
		.method = "GET",
		.path = path,
		.timeout_ms = (unsigned)(wait_s * 1000 + LATE_MS),
		.verify_time_ms = tr_link_verify_ms(&r->link, &r->pulser.chain.time),
	};
	uint64_t began = tr_mono_ms(), took, nap;
	struct tr_delivery d;
	struct tr_err err = { 0 };
	bool news;
	int sig = 0;

	(void)snprintf(path, sizeof(path), "/api/v1/agent/commands?wait=%llu", (unsigned long long)wait_s);
	if (tr_signals_wait(r->link.client, &req, &a, &sig, &err)) {
		r->wait_s = 0;
		r->pending = false;
		if (!sig)
			tr_log_err(TR_LOG_WARN, "commands_not_asked", &err, "server", r->link.url, NULL);
		/* Broken, or cut off in the middle: the next exchange has a connection of its own. */
		tr_link_close(&r->link);
		return sig;
	}
	if (a.status != 200) {
		not_answered(r, a.status);
		return sig;
	}
	if (tr_delivery_get(tr_buf_view(&a.body), &d, &err)) {
		r->wait_s = 0;
		r->pending = false;
		tr_log_err(TR_LOG_WARN, "delivery_invalid", &err, "server", r->link.url, NULL);
		return sig;
	}
	news = take_all(r, &d);
	took = tr_mono_ms() - began;
	nap = d.n ? (news ? 0 : BLINK_MS) : wait_s && took < NAP_MS ? NAP_MS : 0;
	/* A server that answers at once and says nothing, or the same, or what nobody signed, is not asked again at once. */
	if (!sig && nap && left_ms > took + nap && !*tr_signals_stop())
		sig = tr_signals_sleep(nap);
	return sig;
}

/* ---- the time between ---- */

/* Somebody was revoked since: peers are refused by what this brings. */
static void follow_revocations(struct tr_runner *r)
{
	uint64_t mono = tr_mono_ms();
	struct tr_err err = { 0 };

	if (r->last.revocation == r->revocations.number || mono < r->revocations_not_before || !r->link.client)
		return;
	r->revocations_not_before = mono + NAP_MS;
	if (tr_revocations_fetch(&r->state, r->link.client, tr_link_verify_ms(&r->link, &r->pulser.chain.time),
				 &r->revocations, &err))
		tr_log_err(TR_LOG_WARN, "revocations_not_known", &err, "server", r->link.url, NULL);
	else
		tr_log(TR_LOG_INFO, "revocations", "number", tr_fmt("%llu", (unsigned long long)r->revocations.number),
		       NULL);
}

void tr_run_after_pulse(struct tr_runner *r)
{
	follow_revocations(r);
	r->wait_s = r->last.wait_s;
	r->pending = r->last.pending > 0;
	tr_run_refresh_if_due(r);
	tr_run_set_scope(r);
	if (!r->resumed)
		tr_obey_resume(&r->obey);
	else
		tr_obey_tick(&r->obey);
	r->resumed = true;
	tr_obey_resend(&r->obey);
	flush(r);
}

/* Until something here wants to begin, at most ms. */
static uint64_t until_due(const struct tr_runner *r, uint64_t ms)
{
	int64_t wake = tr_obey_wake_ms(&r->obey), now = tr_run_now_ms(r);
	uint64_t proof = tr_run_attest_in_ms(r);

	if (ms > LATE_MS && proof < ms)
		ms = proof;
	if (!r->resumed || !wake)
		return ms;
	if (wake <= now + NAP_MS) /* also what could not begin for want of room */
		return ms < NAP_MS ? ms : NAP_MS;
	return (uint64_t)(wake - now) < ms ? (uint64_t)(wake - now) : ms;
}

static void tick(struct tr_runner *r)
{
	tr_run_set_scope(r);
	tr_obey_tick(&r->obey);
	flush(r);
}

int tr_run_between(struct tr_runner *r, uint64_t ms)
{
	uint64_t until = tr_mono_ms() + ms;

	for (;;) {
		uint64_t now = tr_mono_ms(), left = until > now ? until - now : 0, due, wait_s;
		int sig;

		if (*tr_signals_stop())
			return *tr_signals_stop();
		if (!left || r->pulse_now || tr_run_may_restart(r))
			return 0;
		/* A proof may end long before a slow beat comes round. Shortly before one it comes after it. */
		if (left > LATE_MS)
			tr_run_attest_if_due(r);
		due = until_due(r, left);
		wait_s = due > MARGIN_MS ? (due - MARGIN_MS) / 1000 : 0;
		wait_s = wait_s < r->wait_s ? wait_s : r->wait_s;
		if (r->in_touch && r->link.client && left > LATE_MS && (wait_s || r->pending))
			sig = ask(r, r->pending ? 0 : wait_s, left);
		else
			sig = tr_signals_sleep(due);
		if (sig)
			return sig;
		if (r->resumed && tr_obey_wake_ms(&r->obey))
			tick(r);
	}
}
