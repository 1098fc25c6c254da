/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/beat.h"

#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/evidence.h"
#include "agent/refusal.h"
#include "agent/renew.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "signed/beat.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#define REVOKED_WAIT_MS UINT64_C(300000)
#define RENEW_AGAIN_MS                                                                                       \
	UINT64_C(10000) /* a server that says "renew" all the time is not obeyed more often                  \
			 */

struct runner {
	struct tr_state state;
	struct tr_evidence evidence;
	struct tr_buf ca, cert_pem;
	struct tr_client *client; /* NULL: not connected */
	char url[TR_URL_MAX + 1]; /* of client */
	uint8_t start_id[16];
	uint64_t seq;
	int64_t renew_due_ms;
	uint64_t renew_not_before; /* tr_mono_ms */
	unsigned renew_failures;
	struct tr_agent_status status;
	char status_server[TR_URL_MAX + 1], status_error[512];
	enum tr_beat_outcome last;
	bool renew_told; /* the last answer asked for it */
	unsigned retry_after_s;
};

static void runner_done(struct runner *r)
{
	r->client = tr_client_free(r->client);
	tr_buf_done(&r->ca);
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

enum tr_beat_outcome tr_beat_outcome_of(int status, const char *code)
{
	if (status == 200)
		return TR_BEAT_ACCEPTED;
	if ((status == 401 || status == 403) && strcmp(code, "agent_revoked") == 0)
		return TR_BEAT_REVOKED;
	/* A redirect is nothing a server of ours sends: some other program answers there. */
	return status >= 400 && status < 500 ? TR_BEAT_REFUSED : TR_BEAT_UNREACHABLE;
}

uint64_t tr_beat_wait_ms(enum tr_beat_outcome what, unsigned failures, uint64_t interval_s,
			 unsigned retry_after_s, uint32_t random)
{
	uint64_t wait, told = (uint64_t)retry_after_s * 1000;

	switch (what) {
	case TR_BEAT_ACCEPTED: return tr_jitter_ms(tr_interval_clamp_s(interval_s) * 1000, random);
	case TR_BEAT_REVOKED: return tr_jitter_ms(REVOKED_WAIT_MS, random);
	default: break;
	}
	wait = tr_backoff_ms(failures, random);
	if (told > TR_BACKOFF_CAP_MS)
		told = TR_BACKOFF_CAP_MS;
	/* Never before the time the server asked for, and never all at that same moment. */
	return wait > told ? wait : told + wait % (told / 4 + 1);
}

/* ---- signals ---- */

static void stop_now(int sig)
{
	static const char line[] = "level=info role=agent event=agent_stopped while=request\n";
	ssize_t unused = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)sig;
	(void)unused;
	_exit(TR_AGENT_EXIT_OK);
}

static sigset_t stop_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	return set;
}

static TR_RC take_signals(struct tr_err *err)
{
	const struct sigaction stop = { .sa_handler = stop_now }, ignore = { .sa_handler = SIG_IGN };
	sigset_t set = stop_signals();

	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) || sigaction(SIGTERM, &stop, NULL) ||
	    sigaction(SIGINT, &stop, NULL) || sigaction(SIGPIPE, &ignore, NULL))
		return tr_err_errno(err, "signals");
	return TR_OK;
}

/* An exchange may take as long as its timeout; let SIGTERM in meanwhile, and only then. */
static TR_RC exchange(struct tr_client *c, const struct tr_client_request *req, struct tr_client_answer *a,
		      struct tr_err *err)
{
	sigset_t set = stop_signals();
	enum tr_code rc;

	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	rc = tr_client_do(c, req, a, err);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return rc;
}

/* The signal that ended the sleep, or 0. */
static int sleep_ms(uint64_t ms)
{
	uint64_t until = tr_mono_ms() + ms;
	sigset_t set = stop_signals();

	(void)sigaddset(&set, SIGHUP);
	for (;;) {
		uint64_t now = tr_mono_ms(), left = until > now ? until - now : 0;
		/* The clock of the wait stands still while the machine is suspended; ours does not. Short
		 * naps keep the two together. */
		uint64_t nap = left > 30000 ? 30000 : left;
		struct timespec t = { .tv_sec = (time_t)(nap / 1000),
				      .tv_nsec = (long)(nap % 1000) * 1000000 };
		int sig = sigtimedwait(&set, NULL, &t);

		if (sig > 0)
			return sig;
		if (tr_mono_ms() >= until)
			return 0;
	}
}

/* ---- state ---- */

static void save_status(struct runner *r, const char *state)
{
	struct tr_err err = { 0 };

	r->status.state = tr_view_str(state);
	r->status.server = tr_view_str(r->status_server);
	r->status.last_error = tr_view_str(r->status_error);
	if (tr_status_save(&r->state, &r->status, &err))
		tr_log_err(TR_LOG_WARN, "status_not_written", &err, NULL);
}

static TR_RC load_cert(struct runner *r, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT, ca = TR_BUF_INIT;
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
	tr_buf_done(&r->cert_pem);
	r->cert_pem = pem;
	pem = TR_BUF_INIT;
	tr_buf_done(&r->ca);
	r->ca = ca;
	ca = TR_BUF_INIT;
	return TR_OK;
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
	tr_state_done(&old);
	r->client = tr_client_free(r->client);
	tr_log(TR_LOG_INFO, "reloaded", "servers", tr_fmt_view(r->state.conf.servers), NULL);
}

/* ---- one beat ---- */

static TR_RC open_client(struct runner *r, const char *url, struct tr_err *err)
{
	struct tr_buf key = TR_BUF_INIT;
	struct tr_client_config config = {
		.base_url = url,
		.ca_pem = tr_buf_view(&r->ca),
		.cert_pem = tr_buf_view(&r->cert_pem),
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_AGENT_ANSWER_MAX,
	};
	enum tr_code rc;

	r->client = tr_client_free(r->client);
	rc = tr_privkey_pem(r->state.key, &key, err);
	config.key_pem = tr_buf_view(&key);
	if (!rc)
		rc = tr_client_new(&config, &r->client, err);
	tr_wipe(key.p, key.cap);
	tr_buf_done(&key);
	(void)snprintf(r->url, sizeof(r->url), "%s", url);
	return rc;
}

static void note_error(struct runner *r, const char *text)
{
	(void)snprintf(r->status_error, sizeof(r->status_error), "%s: %s", r->url, text);
}

static enum tr_beat_outcome take_answer(struct runner *r, const struct tr_client_answer *a, int64_t sent_ns)
{
	struct tr_beat_answer told;
	struct tr_refusal why;
	struct tr_err err = { 0 };
	enum tr_beat_outcome what;

	tr_refusal_read(a->status == 200 ? tr_view(NULL, 0) : tr_buf_view(&a->body), &why);
	what = tr_beat_outcome_of(a->status, why.code);
	r->retry_after_s = a->retry_after_s;
	if (what == TR_BEAT_ACCEPTED && tr_beat_answer_get(tr_buf_view(&a->body), &told, &err)) {
		note_error(r, "the answer is not that of a Troth server");
		tr_log_err(TR_LOG_WARN, "beat_answer_invalid", &err, "server", r->url, NULL);
		return TR_BEAT_UNREACHABLE;
	}
	if (what != TR_BEAT_ACCEPTED) {
		note_error(r, tr_fmt("status %d %s: %s", a->status, why.code, why.detail));
		tr_log(what == TR_BEAT_UNREACHABLE ? TR_LOG_WARN : TR_LOG_ERROR,
		       what == TR_BEAT_REVOKED ? "agent_revoked" : "beat_refused", "server", r->url, "status",
		       tr_fmt("%d", a->status), "code", why.code, "detail", why.detail, NULL);
		return what;
	}
	r->status.interval_s = tr_interval_clamp_s(told.interval_s);
	/* Half of the way there and back belongs to neither clock. */
	r->status.clock_skew_ms = ((sent_ns + tr_now_ns()) / 2 - told.server_time_ns) / 1000000;
	r->renew_told = told.renew;
	return what;
}

static enum tr_beat_outcome beat_once(struct runner *r)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = { .method = "POST",
					 .path = "/api/v1/heartbeat",
					 .content_type = "application/cbor" };
	/* A number per attempt: the server may have counted one whose answer never came. */
	const struct tr_beat b = {
		.seq = ++r->seq,
		.time_ns = tr_now_ns(),
		.start_id = TR_VIEW_ARRAY(r->start_id),
		.hash = TR_VIEW_ARRAY(r->evidence.image.hash),
		.version = tr_view_str(r->evidence.version),
	};
	struct tr_err err = { 0 };
	enum tr_beat_outcome what;

	tr_beat_put(&b, &body);
	req.body = tr_buf_view(&body);
	r->status.last_try_at = tr_now_ms();
	if (exchange(r->client, &req, &a, &err)) {
		note_error(r, err.pub ? err.pub : err.detail);
		tr_log_err(TR_LOG_WARN, "beat_failed", &err, "server", r->url, NULL);
		what = TR_BEAT_UNREACHABLE;
	} else {
		what = take_answer(r, &a, b.time_ns);
	}
	/* A connection that failed is not trusted to come back: the next try opens a new one. */
	if (what == TR_BEAT_UNREACHABLE)
		r->client = tr_client_free(r->client);
	return what;
}

/* The connection we have, then the list from its head: the first server is home, the others are shelter. */
static enum tr_beat_outcome beat_round(struct runner *r)
{
	struct tr_view list = r->state.conf.servers;
	enum tr_beat_outcome what = TR_BEAT_UNREACHABLE;
	char url[TR_URL_MAX + 1], tried[TR_URL_MAX + 1] = { 0 };
	struct tr_err err = { 0 };

	r->retry_after_s = 0;
	if (r->client) {
		(void)snprintf(tried, sizeof(tried), "%s", r->url);
		what = beat_once(r);
		/* An idle connection dies often and means nothing: its server gets one fresh try in its turn.
		 */
	}
	while (what == TR_BEAT_UNREACHABLE && tr_servers_next(&list, url)) {
		if (open_client(r, url, &err)) {
			note_error(r, err.pub ? err.pub : err.detail);
			tr_log_err(TR_LOG_ERROR, "client_failed", &err, "server", url, NULL);
			continue;
		}
		what = beat_once(r);
		if (what == TR_BEAT_ACCEPTED && strcmp(url, tried) != 0)
			tr_log(TR_LOG_INFO, "connected", "server", url, "interval_s",
			       tr_fmt("%llu", (unsigned long long)r->status.interval_s), NULL);
	}
	return what;
}

static void renew_if_due(struct runner *r)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();
	int status = 0;
	enum tr_code rc;

	if (mono < r->renew_not_before || (!r->renew_told && tr_now_ms() < r->renew_due_ms))
		return;
	/* Signals stay out: a certificate that the server has issued should also reach the disk. */
	rc = tr_agent_renew(r->client, &r->state, tr_buf_view(&r->ca), &status, &err);
	if (!rc)
		rc = load_cert(r, &err);
	if (rc) {
		r->renew_failures++;
		r->renew_not_before = mono + tr_backoff_ms(r->renew_failures + 2, random32());
		tr_log_err(TR_LOG_ERROR, "renew_failed", &err, "server", r->url, "status",
			   tr_fmt("%d", status), NULL);
		return;
	}
	r->renew_failures = 0;
	r->renew_not_before = mono + RENEW_AGAIN_MS;
	r->client = tr_client_free(r->client); /* the next beat presents the new certificate */
	tr_log(TR_LOG_INFO, "certificate_renewed", "server", r->url, NULL);
}

static const char *state_name(enum tr_beat_outcome what)
{
	switch (what) {
	case TR_BEAT_ACCEPTED: return "ok";
	case TR_BEAT_REFUSED: return "refused";
	case TR_BEAT_REVOKED: return "revoked";
	default: return "unreachable";
	}
}

static void account(struct runner *r, enum tr_beat_outcome what)
{
	bool first = r->status.beats == 0, recovered = r->status.failures > 0;

	if (what != TR_BEAT_ACCEPTED) {
		r->status.failures++;
		r->last = what;
		save_status(r, state_name(what));
		return;
	}
	r->status.beats++;
	r->status.failures = 0;
	r->status.last_ok_at = tr_now_ms();
	r->status_error[0] = 0;
	(void)snprintf(r->status_server, sizeof(r->status_server), "%s", r->url);
	r->last = what;
	save_status(r, "ok");
	if (recovered)
		tr_log(TR_LOG_INFO, "beat_recovered", "server", r->url, NULL);
	tr_log(TR_LOG_DEBUG, "beat", "server", r->url, "seq", tr_fmt("%llu", (unsigned long long)r->seq),
	       "skew_ms", tr_fmt("%lld", (long long)r->status.clock_skew_ms), NULL);
	/* The handshake's garbage goes back once; a beat itself needs next to nothing. */
	if (first || recovered)
		(void)malloc_trim(0);
}

static int loop(struct runner *r)
{
	for (;;) {
		uint64_t began = tr_mono_ms(), wait, spent;
		enum tr_beat_outcome what = beat_round(r);
		int sig;

		account(r, what);
		if (what == TR_BEAT_ACCEPTED)
			renew_if_due(r);
		wait = tr_beat_wait_ms(what, (unsigned)r->status.failures, r->status.interval_s,
				       r->retry_after_s, random32());
		spent = tr_mono_ms() - began;
		if (what == TR_BEAT_ACCEPTED)
			wait = wait > spent ? wait - spent : 0;
		sig = sleep_ms(wait);
		if (sig == SIGTERM || sig == SIGINT)
			break;
		if (sig == SIGHUP)
			reload(r);
	}
	save_status(r, "stopped");
	tr_log(TR_LOG_INFO, "agent_stopped", "beats", tr_fmt("%llu", (unsigned long long)r->status.beats),
	       NULL);
	return TR_AGENT_EXIT_OK;
}

int tr_agent_run(const char *state_dir)
{
	tr_auto(runner_done) struct runner r = { .state = TR_STATE_INIT };
	tr_auto(tr_buf_done) struct tr_buf hash = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_state_open(state_dir, &r.state, &err) || tr_state_lock(&r.state, &err) ||
	    tr_state_load(&r.state, &err) || load_cert(&r, &err) ||
	    tr_evidence_read(NULL, NULL, &r.state.conf, &r.evidence, &err) || take_signals(&err) ||
	    tr_client_global_init(&err)) {
		tr_log_err(TR_LOG_ERROR, "start_failed", &err, "hint", err.pub, NULL);
		return TR_AGENT_EXIT_STATE;
	}
	tr_random(r.start_id, sizeof(r.start_id));
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
