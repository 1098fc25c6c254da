/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/loop.h"

#include "agent/backoff.h"
#include "agent/runner.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

#include <stdio.h>

void tr_runner_done(struct tr_runner *r)
{
	tr_peer_child_stop(&r->peer);
	r->obey.journal = tr_journal_free(r->obey.journal);
	if (r->obey.ops) /* it was opened */
		tr_journal_file_done(&r->journal_file);
	tr_authority_done(&r->authority);
	tr_next_done(&r->next);
	tr_revocations_done(&r->revocations);
	tr_run_close_attest(r);
	tr_link_done(&r->link);
	tr_pulser_done(&r->pulser);
	tr_buf_done(&r->cert_pem);
	tr_evidence_done(&r->evidence);
	tr_state_done(&r->state);
}

uint32_t tr_random32(void)
{
	uint32_t v;

	tr_random(&v, sizeof(v));
	return v;
}

/* ---- one round ---- */

const struct tr_privkey *tr_run_key(const struct tr_runner *r)
{
	return r->use_next ? r->next.key : r->state.key;
}

static TR_RC open_link(struct tr_runner *r, const char *url, struct tr_err *err)
{
	return tr_link_open(&r->link, url, tr_run_key(r),
			    tr_buf_view(r->use_next ? &r->next.cert_pem : &r->cert_pem), err);
}

/* The CA's signed word, for what no mere word of a server's is good for. */
static bool ask_time(struct tr_runner *r, struct tr_err *err)
{
	if (tr_link_ask_time(&r->link, r->link.url, err))
		return false;
	r->pulser.anchor = r->link.told;
	tr_clock_learn(&r->pulser.chain.time, r->link.told.server_ns, r->link.told.boot_ns);
	return true;
}

static void ask_about_far_time(struct tr_runner *r)
{
	struct tr_err err = { 0 };

	if (*tr_signals_stop())
		return;
	if (ask_time(r, &err)) {
		tr_log(TR_LOG_WARN, "server_time_far", "server", r->link.url, "off_ms",
		       tr_fmt("%lld", (long long)-r->last.skew_ms), NULL);
		tr_link_learn(&r->link, r->link.told.server_ns);
	} else if (err.code != TR_E_BUSY) {
		tr_log_err(TR_LOG_WARN, "signed_time_not_given", &err, "server", r->link.url, NULL);
	}
}

static enum tr_outcome pulse_once(struct tr_runner *r, unsigned timeout_ms)
{
	struct tr_pulse_outcome *res = &r->last;
	int64_t at = tr_link_verify_ms(&r->link, &r->pulser.chain.time);
	struct tr_err err = { 0 };

	r->status.last_try_at = tr_now_ms();
	tr_pulse_send(&r->pulser, r->link.client, tr_run_key(r), at, timeout_ms, res, &err);
	if (res->by_date && !*tr_signals_stop()) {
		tr_log_err(TR_LOG_WARN, "certificate_dates_disagree", &err, "server", r->link.url, NULL);
		if (ask_time(r, &err)) {
			tr_log(TR_LOG_WARN, "clock_not_trusted", "server", r->link.url, "off_ms",
			       tr_fmt("%lld",
				      (long long)(tr_now_ms() -
						  tr_link_verify_ms(&r->link, &r->pulser.chain.time))),
			       "hint",
			       "certificates are judged by the server's signed time until this clock is "
			       "right",
			       NULL);
			at = tr_link_verify_ms(&r->link, &r->pulser.chain.time);
			tr_pulse_send(&r->pulser, r->link.client, tr_run_key(r), at, timeout_ms, res, &err);
		}
	}
	(void)snprintf(r->status_code, sizeof(r->status_code), "%s", res->why.code);
	if (res->what == TR_OUT_ACCEPTED) {
		r->status.interval_s = tr_run_interval_s(r, res->interval_s);
		r->status.clock_skew_ms = res->skew_ms;
		r->renew_told = res->renew;
		if (res->far)
			ask_about_far_time(r);
		else
			tr_link_learn(&r->link, res->sent_ns);
	} else {
		/* Cut off by our own end: no fault of anybody. */
		if (!*tr_signals_stop())
			tr_run_log_failure(r, res, &err);
		/* A connection that failed is not trusted to come back, and none is kept open for minutes. */
		if (res->what != TR_OUT_REFUSED && res->what != TR_OUT_REPLAYED)
			tr_link_close(&r->link);
	}
	return res->what;
}

/* The connection we have, then the list from its head: the first server is home, the others are shelter. */
static enum tr_outcome round_of_servers(struct tr_runner *r)
{
	struct tr_view list = r->state.conf.servers;
	enum tr_outcome what = TR_OUT_UNREACHABLE;
	char url[TR_URL_MAX + 1], tried[TR_URL_MAX + 1] = { 0 };
	struct tr_err err = { 0 };

	r->last.retry_after_s = 0;
	if (r->link.client) {
		(void)snprintf(tried, sizeof(tried), "%s", r->link.url);
		/* An idle connection dies often and means nothing: its server gets one fresh try in its turn.
		 */
		what = pulse_once(r, 0);
	}
	while (what == TR_OUT_UNREACHABLE && !*tr_signals_stop() && tr_servers_next(&list, url)) {
		if (open_link(r, url, &err)) {
			tr_run_note_error(r, err.pub ? err.pub : err.detail);
			tr_log_err(TR_LOG_ERROR, "client_failed", &err, "server", url, NULL);
			continue;
		}
		what = pulse_once(r, 0);
		if (r->last.stranger && tr_run_refresh_from_stranger(r, url) && !open_link(r, url, &err))
			what = pulse_once(r, 0);
		if (what == TR_OUT_ACCEPTED && strcmp(url, tried) != 0)
			tr_log(TR_LOG_INFO, "connected", "server", url, "interval_s",
			       tr_fmt("%llu", (unsigned long long)r->status.interval_s), NULL);
	}
	return what;
}

/* ---- requests of commands ---- */

static void take_request(struct tr_runner *r)
{
	struct tr_request q;
	struct tr_err err = { 0 };

	if (tr_request_get(&r->state, &q, &err)) {
		tr_log_err(TR_LOG_ERROR, "request_invalid", &err, NULL);
		tr_request_drop(&r->state);
		return;
	}
	if (q.kind == TR_REQUEST_NONE)
		return;
	if (q.kind == r->request.kind && q.notice == r->request.notice && q.seconds == r->request.seconds)
		return; /* under way */
	r->request = q;
	if (q.kind == TR_REQUEST_ROTATE) {
		r->rotate_asked = r->next.key == NULL;
		return;
	}
	r->pulser.announced =
		(struct tr_announcement){ .what = q.notice, .until_ms = tr_mono_ms() + q.seconds * 1000 };
	tr_log(TR_LOG_INFO, "announced", "what", tr_notice_name(q.notice), "seconds",
	       tr_fmt("%llu", (unsigned long long)q.seconds), NULL);
}

/* ---- the end ---- */

/* One last pulse. Not more: the host's network may be going as well. */
static void say_farewell(struct tr_runner *r, uint64_t since_ms)
{
	struct tr_announcement *a = &r->pulser.announced;
	uint64_t now = tr_mono_ms(), seconds, spent = now - since_ms;

	take_request(r);
	if (a->what == TR_NOTICE_NONE || now >= a->until_ms) {
		a->what = tr_notice_at_stop(&seconds);
		a->until_ms = now + seconds * 1000;
	}
	/* A server that did not answer before will not within 3 seconds either. */
	if (!r->in_touch || spent >= TR_FAREWELL_MS)
		return;
	tr_signals_forget_stop();
	if (!r->link.client) {
		char url[TR_URL_MAX + 1];
		struct tr_err err;

		(void)snprintf(url, sizeof(url), "%s", r->link.url);
		if (open_link(r, url, &err))
			return;
	}
	if (pulse_once(r, (unsigned)(TR_FAREWELL_MS - spent)) == TR_OUT_ACCEPTED) {
		r->status.beats++;
		tr_log(TR_LOG_INFO, "farewell", "what", tr_notice_name(a->what), NULL);
		tr_run_finish_request(r, TR_REQUEST_ANNOUNCE);
	}
}

static uint64_t wait_after(struct tr_runner *r, enum tr_outcome what, uint64_t began_ms)
{
	uint64_t wait = tr_outcome_wait_ms(what, (unsigned)r->status.failures, r->status.interval_s,
					   r->last.retry_after_s, tr_random32());
	uint64_t spent = tr_mono_ms() - began_ms;

	/* Beats are counted from beginning to beginning. */
	if (what == TR_OUT_ACCEPTED)
		wait = wait > spent ? wait - spent : 0;
	return wait;
}

static int loop(struct tr_runner *r)
{
	uint64_t stopped_ms;
	bool tried_other = false;

	for (;;) {
		uint64_t began = tr_mono_ms();
		enum tr_outcome what;
		bool again = false;
		int sig = 0;

		take_request(r);
		tr_peer_child_tend(&r->peer, &r->state);
		r->pulse_now = false;
		what = round_of_servers(r);
		tr_run_account(r, what);
		if (!*tr_signals_stop())
			r->in_touch = what == TR_OUT_ACCEPTED;
		if (what == TR_OUT_ACCEPTED) {
			tried_other = false;
			tr_run_settle_rotation(r);
			tr_run_finish_request(r, TR_REQUEST_ANNOUNCE);
			tr_run_renew_if_due(r);
			again = tr_run_rotate_if_due(r);
			tr_run_after_pulse(r);
			tr_run_attest_if_due(r);
		} else {
			/* At once the first time; where neither is taken, after the wait. */
			bool other = tr_run_other_key(r);

			again = other && !tried_other;
			tried_other = again;
		}
		stopped_ms = tr_mono_ms();
		if (*tr_signals_stop())
			break;
		if (!again)
			sig = tr_run_between(r, wait_after(r, what, began));
		if (tr_run_may_restart(r))
			tr_run_restart(r);
		stopped_ms = tr_mono_ms();
		if (sig == SIGTERM || sig == SIGINT)
			break;
		if (sig == SIGHUP)
			tr_run_reload(r);
	}
	say_farewell(r, stopped_ms);
	tr_run_save_status(r, "stopped");
	tr_log(TR_LOG_INFO, "agent_stopped", "pulses", tr_fmt("%llu", (unsigned long long)r->status.beats),
	       NULL);
	return TR_AGENT_EXIT_OK;
}

/* ---- the start ---- */

static void start_chain(struct tr_runner *r)
{
	struct tr_chain *c = &r->pulser.chain;
	struct tr_err err = { 0 };
	uint8_t boot_id[16];
	enum tr_code rc = tr_chain_load(&r->state, c, &err);

	if (rc == TR_E_NOTFOUND)
		tr_log(TR_LOG_INFO, "chain_begins", NULL);
	else if (rc)
		tr_log_err(TR_LOG_ERROR, "chain_lost", &err, "hint",
			   "the chain of pulses begins anew; the server will call this agent restored until "
			   "an operator "
			   "accepts it",
			   NULL);
	if (!tr_boot_id(boot_id))
		tr_log(TR_LOG_WARN, "boot_id_unknown", "path", "/proc/sys/kernel/random/boot_id", NULL);
	tr_chain_start(c, boot_id);
	r->pulser.anchor = c->time;
	/* The numbers skipped now are never tried again, should this process end before its first answer. */
	if (tr_chain_save(&r->state, c, &err))
		tr_log_err(TR_LOG_ERROR, "chain_not_saved", &err, NULL);
}

static TR_RC prepare(struct tr_runner *r, const char *state_dir, struct tr_err *err)
{
	enum tr_code rc = tr_state_open(state_dir, &r->state, err);

	if (!rc)
		rc = tr_state_lock(&r->state, err);
	if (!rc)
		rc = tr_rotate_recover(&r->state, err);
	if (!rc)
		rc = tr_state_load(&r->state, err);
	if (!rc)
		rc = tr_run_load_cert(r, err);
	if (!rc)
		rc = tr_evidence_read(NULL, NULL, &r->state.conf, &r->evidence, err);
	/* A damaged list is asked for anew, whole. */
	if (!rc && tr_revocations_load(&r->state, &r->revocations, err))
		tr_log_err(TR_LOG_WARN, "revocations_unreadable", err, NULL);
	if (!rc) {
		tr_run_open_attest(r);
		rc = tr_run_open_eye(r, err);
	}
	if (!rc)
		rc = tr_run_open_journal(r, err);
	if (!rc)
		rc = tr_signals_take(err);
	return rc ? rc : tr_client_global_init(err);
}

int tr_agent_run(const char *state_dir)
{
	tr_auto(tr_runner_done) struct tr_runner r = { .state = TR_STATE_INIT };
	tr_auto(tr_buf_done) struct tr_buf hash = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf root = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (prepare(&r, state_dir, &err)) {
		tr_log_err(TR_LOG_ERROR, "start_failed", &err, "hint", err.pub, NULL);
		return TR_AGENT_EXIT_STATE;
	}
	r.pulser.state = &r.state;
	r.pulser.image_hash = r.evidence.image.hash;
	r.pulser.version = r.evidence.version;
	tr_random(r.pulser.start_id, sizeof(r.pulser.start_id));
	r.spread = tr_random32();
	tr_request_drop(&r.state); /* meant for an earlier process */
	start_chain(&r);
	r.use_next = tr_rotate_load(&r.state, &r.next, &err) == TR_OK;
	r.status.pid = (uint64_t)getpid();
	r.status.started_at = tr_now_ms();
	r.status.interval_s = tr_run_interval_s(&r, r.state.conf.heartbeat_interval_s);
	tr_run_save_status(&r, "starting");
	tr_hex_add(&hash, TR_VIEW_ARRAY(r.evidence.image.hash));
	tr_hex_add(&root, r.state.conf.root);
	tr_log(TR_LOG_INFO, "agent_started", "agent", tr_fmt_view(r.state.conf.agent_id), "version",
	       r.evidence.version, "image", tr_buf_cstr(&hash), "servers", tr_fmt_view(r.state.conf.servers),
	       "root", tr_buf_cstr(&root), NULL);
	if (r.evidence.image.disk_differs)
		tr_log(TR_LOG_WARN, "binary_on_disk_differs", "path", r.evidence.image.disk_path, "there",
		       r.evidence.image.disk_missing ? "no" : "yes", NULL);
	return loop(&r);
}
