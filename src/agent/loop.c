/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/loop.h"

#include "agent/backoff.h"
#include "agent/evidence.h"
#include "agent/eye.h"
#include "agent/link.h"
#include "agent/lsm.h"
#include "agent/pulse.h"
#include "agent/renew.h"
#include "agent/request.h"
#include "agent/rotate.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "signed/keyset.h"

#include <malloc.h>
#include <stdio.h>

/* A server that says "renew" all the time is not obeyed more often. */
#define RENEW_AGAIN_MS UINT64_C(10000)
#define DAY_MS INT64_C(86400000)

struct runner {
	struct tr_state state;
	struct tr_evidence evidence;
	struct tr_pulser pulser;
	struct tr_link link;
	struct tr_buf cert_pem;
	struct tr_next next;
	bool use_next; /* the next pulse goes out with the next key */
	bool rotate_asked;
	struct tr_request request; /* that is being carried out */
	int64_t renew_due_ms;
	uint64_t renew_not_before, rotate_not_before; /* tr_mono_ms */
	unsigned renew_failures;
	bool renew_told; /* the last answer asked for it */
	uint32_t spread; /* of this process's start, so that a fleet does not rotate in step */
	struct tr_pulse_result last;
	bool bpf_bad; /* said in the log */
	struct tr_agent_status status;
	char status_server[TR_URL_MAX + 1], status_error[512], status_prev[17], status_code[64];
};

static void runner_done(struct runner *r)
{
	tr_next_done(&r->next);
	tr_link_done(&r->link);
	tr_pulser_done(&r->pulser);
	tr_buf_done(&r->cert_pem);
	tr_evidence_done(&r->evidence);
	tr_state_done(&r->state);
}
TR_DEFINE_AUTO_DONE(struct runner, runner_done)

static uint32_t random32(void)
{
	uint32_t v;

	tr_random(&v, sizeof(v));
	return v;
}

/* ---- what is told to `troth-agent status` ---- */

static void status_of_chain(struct runner *r)
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

static void save_status(struct runner *r, const char *state)
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

static void note_error(struct runner *r, const char *text)
{
	(void)snprintf(r->status_error, sizeof(r->status_error), "%s: %s", r->link.url, text);
}

/* ---- the folder ---- */

static uint64_t epoch_of(struct tr_view keyset)
{
	struct tr_keyset *k = calloc(1, sizeof(*k));
	struct tr_err err;
	/* Verified when it was stored; here it is only said which one we hold. */
	uint64_t epoch = k && !tr_keyset_unverified(keyset, k, &err) ? k->epoch : 0;

	free(k);
	return epoch;
}

static TR_RC load_cert(struct runner *r, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT, ca = TR_BUF_INIT, keyset = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view label, rest;
	enum tr_code rc;

	if (!r->state.conf.enrolled_at)
		return tr_err_set(err, TR_E_NOTFOUND,
				  "this agent is not enrolled; run `troth-agent enroll` first", "%s",
				  r->state.dir);
	rc = tr_state_read(&r->state, "cert.pem", 16384, &pem, err);
	if (!rc)
		rc = tr_state_read(&r->state, "ca.pem", 65536, &ca, err);
	if (!rc)
		rc = tr_state_read(&r->state, "keyset.cose", TR_KEYSET_MAX, &keyset, err);
	if (!rc)
		rc = tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err);
	if (!rc)
		rc = tr_cert_parse(tr_buf_view(&der), &cert, err);
	if (rc)
		return tr_err_wrap(err, "certificate");
	if (!tr_cert_key(cert) ||
	    memcmp(tr_pubkey_id(tr_cert_key(cert)), tr_pubkey_id(tr_privkey_pub(r->state.key)), 32) != 0)
		return tr_err_set(err, TR_E_CONFLICT, "cert.pem is not the certificate of this device key",
				  "%s", r->state.dir);
	r->renew_due_ms =
		tr_renew_due_ms(tr_cert_not_before_ms(cert), tr_cert_not_after_ms(cert), random32());
	r->pulser.keyset_epoch = epoch_of(tr_buf_view(&keyset));
	tr_buf_done(&r->cert_pem);
	r->cert_pem = pem;
	pem = TR_BUF_INIT;
	tr_buf_done(&r->link.ca_pem);
	r->link.ca_pem = ca;
	ca = TR_BUF_INIT;
	return TR_OK;
}

static TR_RC open_eye(struct runner *r, struct tr_err *err)
{
	r->pulser.eye = tr_bpf_eye_free(r->pulser.eye);
	return tr_agent_eye(r->state.conf.bpf_dirs, r->state.conf.bpf_content, &r->pulser.eye, err);
}

/* SIGHUP: the folder is read anew; what does not load leaves the agent as it was. */
static void reload(struct runner *r)
{
	struct tr_state fresh = TR_STATE_INIT, old = r->state;
	struct tr_err err = { 0 };
	int lock;

	if (tr_state_open(r->state.dir, &fresh, &err) || tr_state_load(&fresh, &err)) {
		tr_log_err(TR_LOG_ERROR, "reload_failed", &err, NULL);
		tr_state_done(&fresh);
		return;
	}
	/* The lock lives in the old descriptor. */
	lock = old.dir_fd;
	old.dir_fd = fresh.dir_fd;
	fresh.dir_fd = lock;
	r->state = fresh;
	if (load_cert(r, &err)) {
		tr_log_err(TR_LOG_ERROR, "reload_failed", &err, NULL);
		fresh.dir_fd = old.dir_fd;
		old.dir_fd = lock;
		r->state = old;
		tr_state_done(&fresh);
		return;
	}
	/* What is pinned in the folder of BPF is opened once and kept: only another setting opens it again. */
	if ((!tr_view_eq(old.conf.bpf_dirs, r->state.conf.bpf_dirs) ||
	     !tr_view_eq(old.conf.bpf_content, r->state.conf.bpf_content)) && open_eye(r, &err))
		tr_log_err(TR_LOG_ERROR, "bpf_setting_invalid", &err, "hint", err.pub, NULL);
	tr_state_done(&old);
	tr_link_close(&r->link);
	tr_log(TR_LOG_INFO, "reloaded", "servers", tr_fmt_view(r->state.conf.servers), NULL);
}

/* ---- one round ---- */

static const struct tr_privkey *key_in_use(const struct runner *r)
{
	return r->use_next ? r->next.key : r->state.key;
}

static TR_RC open_link(struct runner *r, const char *url, struct tr_err *err)
{
	return tr_link_open(&r->link, url, key_in_use(r), tr_buf_view(r->use_next ? &r->next.cert_pem : &r->cert_pem),
			    err);
}

static void log_failure(struct runner *r, const struct tr_pulse_result *res, const struct tr_err *err)
{
	const char *event = res->what == TR_OUT_REVOKED ? "agent_revoked" : "pulse_refused";

	if (res->what == TR_OUT_UNREACHABLE) {
		note_error(r, err->pub ? err->pub : err->detail);
		tr_log_err(TR_LOG_WARN, "pulse_failed", err, "server", r->link.url, NULL);
		return;
	}
	note_error(r, res->status == 200 ? err->pub
					 : tr_fmt("status %d %s: %s", res->status, res->why.code, res->why.detail));
	tr_log(TR_LOG_ERROR, event, "server", r->link.url, "status", tr_fmt("%d", res->status), "code",
	       res->status == 200 ? "resync" : res->why.code, "detail", res->status == 200 ? err->pub : res->why.detail,
	       NULL);
}

static enum tr_outcome pulse_once(struct runner *r, unsigned timeout_ms)
{
	struct tr_pulse_result *res = &r->last;
	int64_t at = tr_link_verify_ms(&r->link, &r->pulser.chain.time);
	struct tr_err err = { 0 };

	r->status.last_try_at = tr_now_ms();
	tr_pulse_send(&r->pulser, r->link.client, key_in_use(r), at, timeout_ms, res, &err);
	if (res->by_date && !*tr_signals_stop()) {
		tr_log_err(TR_LOG_WARN, "certificate_dates_disagree", &err, "server", r->link.url, NULL);
		if (!tr_link_ask_time(&r->link, r->link.url, &err)) {
			tr_log(TR_LOG_WARN, "clock_not_trusted", "server", r->link.url, "off_ms",
			       tr_fmt("%lld", (long long)(tr_now_ms() - tr_link_verify_ms(&r->link, &r->pulser.chain.time))), "hint",
			       "certificates are judged by the server's signed time until this clock is right", NULL);
			at = tr_link_verify_ms(&r->link, &r->pulser.chain.time);
			tr_pulse_send(&r->pulser, r->link.client, key_in_use(r), at, timeout_ms, res, &err);
		}
	}
	(void)snprintf(r->status_code, sizeof(r->status_code), "%s", res->why.code);
	if (res->what == TR_OUT_ACCEPTED) {
		r->status.interval_s = tr_interval_clamp_s(res->interval_s);
		r->status.clock_skew_ms = res->skew_ms;
		r->renew_told = res->renew;
		tr_link_learn(&r->link, res->sent_ns);
	} else {
		log_failure(r, res, &err);
		/* A connection that failed is not trusted to come back, and none is kept open for minutes. */
		if (res->what != TR_OUT_REFUSED)
			tr_link_close(&r->link);
	}
	return res->what;
}

/* The connection we have, then the list from its head: the first server is home, the others are shelter. */
static enum tr_outcome round_of_servers(struct runner *r)
{
	struct tr_view list = r->state.conf.servers;
	enum tr_outcome what = TR_OUT_UNREACHABLE;
	char url[TR_URL_MAX + 1], tried[TR_URL_MAX + 1] = { 0 };
	struct tr_err err = { 0 };

	r->last.retry_after_s = 0;
	if (r->link.client) {
		(void)snprintf(tried, sizeof(tried), "%s", r->link.url);
		/* An idle connection dies often and means nothing: its server gets one fresh try in its turn. */
		what = pulse_once(r, 0);
	}
	while (what == TR_OUT_UNREACHABLE && !*tr_signals_stop() && tr_servers_next(&list, url)) {
		if (open_link(r, url, &err)) {
			note_error(r, err.pub ? err.pub : err.detail);
			tr_log_err(TR_LOG_ERROR, "client_failed", &err, "server", url, NULL);
			continue;
		}
		what = pulse_once(r, 0);
		if (what == TR_OUT_ACCEPTED && strcmp(url, tried) != 0)
			tr_log(TR_LOG_INFO, "connected", "server", url, "interval_s",
			       tr_fmt("%llu", (unsigned long long)r->status.interval_s), NULL);
	}
	return what;
}

static void account(struct runner *r, enum tr_outcome what)
{
	bool first = r->status.beats == 0, recovered = r->status.failures > 0;

	if (what != TR_OUT_ACCEPTED) {
		r->status.failures++;
		save_status(r, tr_outcome_name(what));
		return;
	}
	r->status.beats++;
	r->status.failures = 0;
	r->status.last_ok_at = tr_now_ms();
	r->status_error[0] = 0;
	(void)snprintf(r->status_server, sizeof(r->status_server), "%s", r->link.url);
	save_status(r, "ok");
	if (recovered)
		tr_log(TR_LOG_INFO, "pulse_recovered", "server", r->link.url, NULL);
	tr_log(TR_LOG_DEBUG, "pulse", "server", r->link.url, "n", tr_fmt("%llu", (unsigned long long)r->status.beats),
	       "seq", tr_fmt("%llu", (unsigned long long)r->pulser.chain.seq), "rtt_us",
	       tr_fmt("%llu", (unsigned long long)r->pulser.rtt_us), "skew_ms",
	       tr_fmt("%lld", (long long)r->status.clock_skew_ms), NULL);
	if ((r->pulser.bpf_status != TR_BPF_OK && r->pulser.bpf_status != TR_BPF_OFF) != r->bpf_bad) {
		r->bpf_bad = !r->bpf_bad;
		tr_log(r->bpf_bad ? TR_LOG_WARN : TR_LOG_INFO, "bpf", "status",
		       tr_bpf_status_name(r->pulser.bpf_status), "detail", r->bpf_bad ? r->pulser.bpf_why : "", NULL);
	}
	/* The handshake's garbage goes back once; a pulse itself needs next to nothing. */
	if (first || recovered)
		(void)malloc_trim(0);
}

/* ---- what follows an accepted pulse ---- */

/* By the server's clock where ours cannot be trusted. */
static int64_t best_now_ms(const struct runner *r)
{
	return tr_clock_known_ns(&r->pulser.chain.time, tr_boot_ns()) / 1000000;
}

static void renew_if_due(struct runner *r)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();
	int status = 0;
	enum tr_code rc;

	if (r->next.key || mono < r->renew_not_before || (!r->renew_told && best_now_ms(r) < r->renew_due_ms))
		return;
	/* Signals stay out: a certificate that the server has issued should also reach the disk. */
	rc = tr_agent_renew(r->link.client, &r->state, r->state.key, "cert.pem", tr_buf_view(&r->link.ca_pem), &status,
			    &err);
	if (!rc)
		rc = load_cert(r, &err);
	if (rc) {
		r->renew_failures++;
		r->renew_not_before = mono + tr_backoff_ms(r->renew_failures + 2, TR_BACKOFF_CAP_MS, random32());
		tr_log_err(TR_LOG_ERROR, "renew_failed", &err, "server", r->link.url, "status",
			   tr_fmt("%d", status), NULL);
		return;
	}
	r->renew_failures = 0;
	r->renew_not_before = mono + RENEW_AGAIN_MS;
	tr_link_close(&r->link); /* the next pulse presents the new certificate */
	tr_log(TR_LOG_INFO, "certificate_renewed", "server", r->link.url, NULL);
}

static bool rotation_is_due(const struct runner *r)
{
	const struct tr_agent_conf *c = &r->state.conf;
	int64_t since = c->key_since ? c->key_since : c->created_at, days = (int64_t)c->rotate_key_days;

	if (r->rotate_asked)
		return true;
	/* Up to a twentieth later, so that agents set up together do not rotate together. */
	return days > 0 && days < 36500 && best_now_ms(r) >= since + days * DAY_MS + days * (DAY_MS / 20) * (r->spread % 1000) / 1000;
}

static void finish_request(struct runner *r, enum tr_request_kind kind)
{
	if (r->request.kind != kind)
		return;
	r->request = (struct tr_request){ 0 };
	tr_request_drop(&r->state);
}

/* True: a pulse with the next key should follow at once. */
static bool rotate_if_due(struct runner *r)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();
	int status = 0;
	enum tr_code rc;

	if (r->next.key || !r->link.client || !rotation_is_due(r) || (!r->rotate_asked && mono < r->rotate_not_before))
		return false;
	r->rotate_asked = false;
	r->rotate_not_before = mono + TR_BACKOFF_CAP_MS;
	rc = tr_rotate_begin(&r->state, &r->next, &err);
	if (!rc)
		rc = tr_agent_renew(r->link.client, &r->state, r->next.key, TR_NEXT_CERT,
				    tr_buf_view(&r->link.ca_pem), &status, &err);
	if (!rc)
		rc = tr_state_read(&r->state, TR_NEXT_CERT, 16384, &r->next.cert_pem, &err);
	if (rc) {
		tr_log_err(TR_LOG_ERROR, "key_not_rotated", &err, "status", tr_fmt("%d", status), NULL);
		tr_rotate_drop(&r->state, &r->next);
		finish_request(r, TR_REQUEST_ROTATE);
		return false;
	}
	r->use_next = true;
	tr_link_close(&r->link);
	tr_log(TR_LOG_INFO, "key_certified", "server", r->link.url, NULL);
	return true;
}

/* The server took a pulse: which of the two keys is in force is decided. */
static void settle_rotation(struct runner *r)
{
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (!r->next.key)
		return;
	if (!r->use_next) {
		/* It was refused, and the old one was taken. */
		tr_log(TR_LOG_WARN, "key_not_rotated", "detail", "the server does not know the next key", NULL);
		tr_rotate_drop(&r->state, &r->next);
	} else if (tr_rotate_finish(&r->state, &r->next, &err) || load_cert(r, &err)) {
		/* The pair stays where it is, and in use: the next start finishes what is missing. */
		tr_log_err(TR_LOG_ERROR, "key_not_stored", &err, NULL);
		return;
	} else {
		tr_hex_add(&id, tr_view(tr_pubkey_id(tr_privkey_pub(r->state.key)), 32));
		tr_log(TR_LOG_INFO, "key_rotated", "key_id", tr_buf_cstr(&id), NULL);
	}
	r->use_next = false;
	finish_request(r, TR_REQUEST_ROTATE);
}

/* The server knows only one of two keys, and which one a crash made us forget. True: try the other at once. */
static bool other_key(struct runner *r)
{
	if (!r->next.key || !tr_outcome_is_key(r->last.status, r->last.why.code))
		return false;
	r->use_next = !r->use_next;
	tr_link_close(&r->link);
	return true;
}

/* ---- requests of commands ---- */

static void take_request(struct runner *r)
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
	r->pulser.announced = (struct tr_announcement){ .what = q.notice, .until_ms = tr_mono_ms() + q.seconds * 1000 };
	tr_log(TR_LOG_INFO, "announced", "what", tr_notice_name(q.notice), "seconds",
	       tr_fmt("%llu", (unsigned long long)q.seconds), NULL);
}

/* ---- the end ---- */

/* One last pulse, on the connection there is: the host's network may be going as well. */
static void say_farewell(struct runner *r, uint64_t since_ms)
{
	struct tr_announcement *a = &r->pulser.announced;
	uint64_t now = tr_mono_ms(), seconds, spent = now - since_ms;

	take_request(r);
	if (a->what == TR_NOTICE_NONE || now >= a->until_ms) {
		a->what = tr_notice_at_stop(&seconds);
		a->until_ms = now + seconds * 1000;
	}
	/* To a server that did not answer before, 3 seconds will not be enough. */
	if (r->last.what != TR_OUT_ACCEPTED || !r->link.client || spent >= TR_FAREWELL_MS)
		return;
	tr_signals_forget_stop();
	if (pulse_once(r, (unsigned)(TR_FAREWELL_MS - spent)) == TR_OUT_ACCEPTED) {
		r->status.beats++;
		tr_log(TR_LOG_INFO, "farewell", "what", tr_notice_name(a->what), NULL);
		finish_request(r, TR_REQUEST_ANNOUNCE);
	}
}

static uint64_t wait_after(struct runner *r, enum tr_outcome what, uint64_t began_ms)
{
	uint64_t wait = tr_outcome_wait_ms(what, (unsigned)r->status.failures, r->status.interval_s,
					   r->last.retry_after_s, random32());
	uint64_t spent = tr_mono_ms() - began_ms;

	/* Beats are counted from beginning to beginning. */
	if (what == TR_OUT_ACCEPTED)
		wait = wait > spent ? wait - spent : 0;
	return wait;
}

static int loop(struct runner *r)
{
	uint64_t stopped_ms;
	bool tried_other = false;

	for (;;) {
		uint64_t began = tr_mono_ms();
		enum tr_outcome what;
		bool again = false;
		int sig = 0;

		take_request(r);
		what = round_of_servers(r);
		account(r, what);
		if (what == TR_OUT_ACCEPTED) {
			tried_other = false;
			settle_rotation(r);
			finish_request(r, TR_REQUEST_ANNOUNCE);
			renew_if_due(r);
			again = rotate_if_due(r);
		} else {
			/* At once the first time; where neither is taken, after the wait. */
			bool other = other_key(r);

			again = other && !tried_other;
			tried_other = again;
		}
		stopped_ms = tr_mono_ms();
		if (*tr_signals_stop())
			break;
		if (!again)
			sig = tr_signals_sleep(wait_after(r, what, began));
		stopped_ms = tr_mono_ms();
		if (sig == SIGTERM || sig == SIGINT)
			break;
		if (sig == SIGHUP)
			reload(r);
	}
	say_farewell(r, stopped_ms);
	save_status(r, "stopped");
	tr_log(TR_LOG_INFO, "agent_stopped", "pulses", tr_fmt("%llu", (unsigned long long)r->status.beats),
	       NULL);
	return TR_AGENT_EXIT_OK;
}

/* ---- the start ---- */

static void start_chain(struct runner *r)
{
	struct tr_chain *c = &r->pulser.chain;
	struct tr_err err = { 0 };
	uint8_t boot_id[16];
	enum tr_code rc = tr_chain_load(&r->state, c, &err);

	if (rc == TR_E_NOTFOUND)
		tr_log(TR_LOG_INFO, "chain_begins", NULL);
	else if (rc)
		tr_log_err(TR_LOG_ERROR, "chain_lost", &err, "hint",
			   "the chain of pulses begins anew; the server will call this agent restored until an operator "
			   "accepts it", NULL);
	if (!tr_boot_id(boot_id))
		tr_log(TR_LOG_WARN, "boot_id_unknown", "path", "/proc/sys/kernel/random/boot_id", NULL);
	tr_chain_start(c, boot_id);
	/* The numbers skipped now are never tried again, should this process end before its first answer. */
	if (tr_chain_save(&r->state, c, &err))
		tr_log_err(TR_LOG_ERROR, "chain_not_saved", &err, NULL);
}

static TR_RC prepare(struct runner *r, const char *state_dir, struct tr_err *err)
{
	enum tr_code rc = tr_state_open(state_dir, &r->state, err);

	if (!rc)
		rc = tr_state_lock(&r->state, err);
	if (!rc)
		rc = tr_rotate_recover(&r->state, err);
	if (!rc)
		rc = tr_state_load(&r->state, err);
	if (!rc)
		rc = load_cert(r, err);
	if (!rc)
		rc = tr_evidence_read(NULL, NULL, &r->state.conf, &r->evidence, err);
	if (!rc)
		rc = open_eye(r, err);
	if (!rc)
		rc = tr_signals_take(err);
	return rc ? rc : tr_client_global_init(err);
}

int tr_agent_run(const char *state_dir)
{
	tr_auto(runner_done) struct runner r = { .state = TR_STATE_INIT };
	tr_auto(tr_buf_done) struct tr_buf hash = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (prepare(&r, state_dir, &err)) {
		tr_log_err(TR_LOG_ERROR, "start_failed", &err, "hint", err.pub, NULL);
		return TR_AGENT_EXIT_STATE;
	}
	r.pulser.state = &r.state;
	r.pulser.image_hash = r.evidence.image.hash;
	r.pulser.version = r.evidence.version;
	tr_random(r.pulser.start_id, sizeof(r.pulser.start_id));
	r.spread = random32();
	tr_request_drop(&r.state); /* meant for an earlier process */
	start_chain(&r);
	r.use_next = tr_rotate_load(&r.state, &r.next, &err) == TR_OK;
	r.status.pid = (uint64_t)getpid();
	r.status.started_at = tr_now_ms();
	r.status.interval_s = tr_interval_clamp_s(r.state.conf.heartbeat_interval_s);
	save_status(&r, "starting");
	tr_hex_add(&hash, TR_VIEW_ARRAY(r.evidence.image.hash));
	tr_log(TR_LOG_INFO, "agent_started", "agent", tr_fmt_view(r.state.conf.agent_id), "version",
	       r.evidence.version, "image", tr_buf_cstr(&hash), "servers", tr_fmt_view(r.state.conf.servers),
	       NULL);
	if (r.evidence.image.disk_differs)
		tr_log(TR_LOG_WARN, "binary_on_disk_differs", "path", r.evidence.image.disk_path, "there",
		       r.evidence.image.disk_missing ? "no" : "yes", NULL);
	return loop(&r);
}
