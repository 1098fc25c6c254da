/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/runner.h"

#include "agent/lsm.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#include <malloc.h>
#include <stdio.h>

static void status_of_chain(struct tr_runner *r)
{
	static const uint8_t none[32];
	const struct tr_chain *c = &r->pulser.chain;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;

	r->status.seq = c->seq;
	r->status.resyncs = c->resyncs;
	r->status.rtt_us = r->pulser.rtt_us;
	if (memcmp(c->prev, none, sizeof(none)) != 0)
		tr_hex_add(&hex, tr_view(c->prev, 8));
	(void)snprintf(r->status_prev, sizeof(r->status_prev), "%s", tr_buf_cstr(&hex));
	r->status.prev = tr_view_str(r->status_prev);
}

void tr_run_save_status(struct tr_runner *r, const char *state)
{
	struct tr_agent_status *st = &r->status;
	struct tr_pulse now = { 0 };
	struct tr_err err;

	st->state = tr_view_str(state);
	st->server = tr_view_str(r->status_server);
	st->last_error = tr_view_str(r->status_error);
	st->last_code = tr_view_str(r->status_code);
	status_of_chain(r);
	st->clock_sync = tr_view_str(tr_sync_name(tr_clock_sync()));
	st->tls_time = tr_view_str(tr_link_time_name(&r->link, &r->pulser.chain.time));
	st->bpf = tr_view_str(tr_bpf_status_name(r->pulser.bpf_status));
	st->bpf_why = tr_view_str(r->pulser.bpf_status == TR_BPF_OK ? NULL : r->pulser.bpf_why);
	st->lsm = tr_view_str(tr_lsm_name(tr_lsm_state(&st->lsm_why)));
	tr_notice_put(&r->pulser.announced, tr_mono_ms(), &now);
	st->notice = tr_view_str(tr_notice_name((enum tr_notice)now.notice));
	st->key_rotating = r->next.key != NULL;
	st->pending = r->last.pending;
	if (tr_status_save(&r->state, st, &err))
		tr_log_err(TR_LOG_WARN, "status_not_written", &err, NULL);
}

void tr_run_note_error(struct tr_runner *r, const char *text)
{
	(void)snprintf(r->status_error, sizeof(r->status_error), "%s: %s", r->link.url, text);
}

void tr_run_log_failure(struct tr_runner *r, const struct tr_pulse_outcome *res, const struct tr_err *err)
{
	const char *event = res->what == TR_OUT_REVOKED ? "agent_revoked" : "pulse_refused";

	if (res->what == TR_OUT_UNREACHABLE) {
		tr_run_note_error(r, err->pub ? err->pub : err->detail);
		tr_log_err(TR_LOG_WARN, "pulse_failed", err, "server", r->link.url, NULL);
		return;
	}
	tr_run_note_error(r, res->status == 200 ? err->pub
						: tr_fmt("status %d %s: %s", res->status, res->why.code,
							 res->why.detail));
	tr_log(TR_LOG_ERROR, event, "server", r->link.url, "status", tr_fmt("%d", res->status), "code",
	       res->status == 200 ? "resync" : res->why.code, "detail",
	       res->status == 200 ? err->pub : res->why.detail, NULL);
}

void tr_run_account(struct tr_runner *r, enum tr_outcome what)
{
	bool recovered = r->status.failures > 0;

	if (what != TR_OUT_ACCEPTED) {
		r->status.failures++;
		tr_run_save_status(r, tr_outcome_name(what));
		return;
	}
	r->status.beats++;
	r->status.failures = 0;
	r->status.last_ok_at = tr_now_ms();
	r->status_error[0] = 0;
	(void)snprintf(r->status_server, sizeof(r->status_server), "%s", r->link.url);
	tr_run_save_status(r, "ok");
	if (recovered)
		tr_log(TR_LOG_INFO, "pulse_recovered", "server", r->link.url, NULL);
	tr_log(TR_LOG_DEBUG, "pulse", "server", r->link.url, "n",
	       tr_fmt("%llu", (unsigned long long)r->status.beats), "seq",
	       tr_fmt("%llu", (unsigned long long)r->pulser.chain.seq), "rtt_us",
	       tr_fmt("%llu", (unsigned long long)r->pulser.rtt_us), "skew_ms",
	       tr_fmt("%lld", (long long)r->status.clock_skew_ms), NULL);
	if ((r->pulser.bpf_status != TR_BPF_OK && r->pulser.bpf_status != TR_BPF_OFF) != r->bpf_bad) {
		r->bpf_bad = !r->bpf_bad;
		tr_log(r->bpf_bad ? TR_LOG_WARN : TR_LOG_INFO, "bpf", "status",
		       tr_bpf_status_name(r->pulser.bpf_status), "detail",
		       r->bpf_bad ? r->pulser.bpf_why : "", NULL);
	}
	/* The garbage of a handshake and of a start goes back; a pulse itself needs next to nothing. */
	if (recovered || r->status.beats <= 2 || r->status.beats % 256 == 0)
		(void)malloc_trim(0);
}
