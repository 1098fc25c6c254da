/* SPDX-License-Identifier: Apache-2.0 */
#include "server/supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "ipc/fdpass.h"
#include "server/rate.h"
#include "server/role.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define FRONTS_MAX 8
#define REPLACE_STEP_MS 400    /* a fresh front has this long to die of its configuration before the old one goes */
#define DRAIN_MS 10000         /* and an old one this long to finish */
#define STOP_FRONTS_MS 3000
#define STOP_ALL_MS 6000
#define BACKOFF_MAX_MS 30000
#define CALM_MS 1000           /* who lived that long does not die of its start, so waiting would heal nothing */
#define START_TRIES 5          /* a server that was never whole gives up and says so; later it never does */

struct child {
	enum tr_proc proc;
	pid_t pid; /* 0: not running */
	uint64_t started;
	unsigned deaths; /* in a row, without a calm while between */
	bool leaving;    /* asked to end */
	uint8_t tag;     /* of a front: how core calls it */
};

struct supervisor {
	const char *config_path;
	struct tr_config *cfg;
	struct tr_loop *loop;
	int control; /* to core */
	int agents[FRONTS_MAX], operators[FRONTS_MAX], rate;
	unsigned n_fronts, front_tags;
	struct child core, store, store_ro, keys, appraise, egress, fronts[FRONTS_MAX], old[FRONTS_MAX];
	struct tr_watch *control_watch, *restart_timer, *replace_timer, *stop_timer, *drain_timer;
	unsigned replacing; /* next front to replace + 1; 0: none */
	bool stopping, restarting, ready, was_ready;
	unsigned core_deaths; /* of core or store, in a row, before all was ready */
	const char *failed;   /* the role that never came up */
	char agents_address[128], operators_address[128];
};

const char *const tr_role_env[] = { "ATTESTATION_ENABLED", "ATTESTATION_PUBLIC_KEY_PATH", "ATTESTATION_EXPECTED_HASH",
					"JOURNAL_STREAM", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LLVM_PROFILE_FILE", NULL };

/* ---- starting roles ---- */

static TR_RC spawn_role(struct supervisor *s, struct child *c, enum tr_proc proc, const int *fds, size_t n,
			struct tr_err *err)
{
	const char *argv[] = { "trothd", "role", tr_proc_name(proc), "--config", s->config_path, NULL };
	struct tr_spawn sp = { .argv = argv, .fds = fds, .n_fds = n, .keep_env = tr_role_env };

	if (tr_spawn_self(&sp, &c->pid, err))
		return tr_err_wrap(err, "start %s", tr_proc_name(proc));
	c->proc = proc;
	c->started = tr_mono_ms();
	c->leaving = false;
	return TR_OK;
}

static void send_signal(struct supervisor *s, struct child *c, int signo)
{
	(void)s;
	if (c->pid)
		(void)kill(c->pid, signo);
}

/* A role that serves core: one end of a fresh pair to it, the other to core. */
static TR_RC start_helper(struct supervisor *s, struct child *c, enum tr_proc proc, enum tr_tag tag, const int *extra,
			  size_t n_extra, struct tr_err *err)
{
	int pair[2];
	int fds[4];
	enum tr_code rc;

	if (tr_socketpair(pair, err))
		return err->code;
	fds[0] = pair[1];
	for (size_t i = 0; i < n_extra; i++)
		fds[i + 1] = extra[i];
	rc = spawn_role(s, c, proc, fds, n_extra + 1, err);
	/* A core that cannot take it is dead or as good as dead: its end, told by SIGCHLD, starts everything afresh. */
	if (!rc && tr_fd_send(s->control, (uint8_t)tag, pair[0], err))
		send_signal(s, &s->core, SIGKILL);
	(void)tr_close(pair[0]);
	(void)tr_close(pair[1]);
	return rc;
}

static TR_RC start_front(struct supervisor *s, unsigned i, struct tr_err *err)
{
	const int extra[] = { s->agents[i], s->operators[i], s->rate };
	enum tr_tag tag = (enum tr_tag)(TR_TAG_FRONT | (s->front_tags++ & 0x7f));

	/* Seven bits come round after 128 starts: by then the front that had it is long gone. */
	s->fronts[i].tag = (uint8_t)tag;
	return start_helper(s, &s->fronts[i], TR_PROC_FRONT, tag, extra, 3, err);
}

static void on_control(void *arg);

static TR_RC start_all(struct supervisor *s, struct tr_err *err)
{
	int pair[2];
	enum tr_code rc;

	s->ready = false;
	if (tr_socketpair(pair, err))
		return err->code;
	rc = spawn_role(s, &s->core, TR_PROC_CORE, &pair[1], 1, err);
	(void)tr_close(pair[1]);
	s->control = pair[0];
	if (rc || tr_watch_fd(s->loop, s->control, TR_WATCH_READ, on_control, s, &s->control_watch, err) ||
	    start_helper(s, &s->store, TR_PROC_STORE, TR_TAG_STORE, NULL, 0, err) ||
	    start_helper(s, &s->store_ro, TR_PROC_STORE_RO, TR_TAG_STORE_RO, NULL, 0, err) ||
	    start_helper(s, &s->keys, TR_PROC_KEYS, TR_TAG_KEYS, NULL, 0, err) ||
	    start_helper(s, &s->appraise, TR_PROC_APPRAISE, TR_TAG_APPRAISE, NULL, 0, err) ||
	    start_helper(s, &s->egress, TR_PROC_EGRESS, TR_TAG_EGRESS, NULL, 0, err))
		return err->code;
	for (unsigned i = 0; i < s->n_fronts; i++)
		if (start_front(s, i, err))
			return err->code;
	return TR_OK;
}

/* ---- who is who ---- */

typedef void (*each_fn)(struct supervisor *s, struct child *c, int arg);

static void each_child(struct supervisor *s, each_fn fn, int arg)
{
	struct child *const single[] = { &s->core, &s->store, &s->store_ro, &s->keys, &s->appraise, &s->egress };

	for (size_t i = 0; i < TR_ARRAY_LEN(single); i++)
		fn(s, single[i], arg);
	for (unsigned i = 0; i < FRONTS_MAX; i++) {
		fn(s, &s->fronts[i], arg);
		fn(s, &s->old[i], arg);
	}
}

static bool any_alive(const struct supervisor *s)
{
	bool alive = s->core.pid || s->store.pid || s->store_ro.pid || s->keys.pid || s->appraise.pid ||
		     s->egress.pid;

	for (unsigned i = 0; i < FRONTS_MAX; i++)
		alive |= s->fronts[i].pid || s->old[i].pid;
	return alive;
}

/* ---- systemd ---- */

/* The notification protocol of sd_notify(3): one datagram. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	tr_auto(tr_close) int fd = -1;

	if (n < 2 || n >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* Core waits in vain for this role, or does not believe it any more: what comes of its death is as of any other. */
static void end_hung(struct supervisor *s, uint8_t tag)
{
	struct child *c = tag == TR_TAG_STORE	   ? &s->store
			  : tag == TR_TAG_STORE_RO ? &s->store_ro
			  : tag == TR_TAG_KEYS	   ? &s->keys
			  : tag == TR_TAG_APPRAISE ? &s->appraise
			  : tag == TR_TAG_EGRESS   ? &s->egress
						   : NULL;

	if (c)
		send_signal(s, c, SIGKILL);
	for (unsigned i = 0; i < FRONTS_MAX && tag & TR_TAG_FRONT; i++) {
		if (s->fronts[i].tag == tag)
			send_signal(s, &s->fronts[i], SIGKILL);
		if (s->old[i].tag == tag)
			send_signal(s, &s->old[i], SIGKILL);
	}
}

static void on_control(void *arg)
{
	struct supervisor *s = arg;
	uint8_t tag;
	int fd;
	struct tr_err err = { 0 };
	enum tr_code rc;

	while ((rc = tr_fd_recv(s->control, &tag, &fd, &err)) == TR_OK) {
		(void)tr_close(fd);
		end_hung(s, tag);
		if (tag != TR_TAG_READY || s->ready)
			continue;
		s->ready = s->was_ready = true;
		tr_log(TR_LOG_INFO, "listening", "agents", s->agents_address, "operators", s->operators_address, NULL);
		notify("READY=1");
	}
	if (rc != TR_E_BUSY)
		s->control_watch = tr_watch_free(s->control_watch); /* core's death will be told by SIGCHLD */
}

/* ---- deaths ---- */

/* Core is gone, so nothing that any role knows has a listener: end the rest, start afresh. */
static void restart_all(struct supervisor *s)
{
	s->restarting = true;
	s->replacing = 0;
	each_child(s, send_signal, SIGKILL);
}

static void on_restart(void *arg)
{
	struct supervisor *s = arg;
	struct tr_err err = { 0 };

	s->restarting = false;
	if (start_all(s, &err)) {
		tr_log_err(TR_LOG_ERROR, "restart_failed", &err, NULL);
		restart_all(s);
		tr_timer_arm(s->restart_timer, BACKOFF_MAX_MS);
	}
}

static uint64_t backoff(unsigned deaths)
{
	uint64_t ms = deaths <= 2 ? 0 : 100;

	for (unsigned i = 3; i < deaths && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void put_back(struct supervisor *s, struct child *c)
{
	struct tr_err err = { 0 };
	enum tr_code rc = TR_OK;

	switch (c->proc) {
	case TR_PROC_KEYS: rc = start_helper(s, c, TR_PROC_KEYS, TR_TAG_KEYS, NULL, 0, &err); break;
	case TR_PROC_APPRAISE: rc = start_helper(s, c, TR_PROC_APPRAISE, TR_TAG_APPRAISE, NULL, 0, &err); break;
	case TR_PROC_EGRESS: rc = start_helper(s, c, TR_PROC_EGRESS, TR_TAG_EGRESS, NULL, 0, &err); break;
	case TR_PROC_STORE_RO: rc = start_helper(s, c, TR_PROC_STORE_RO, TR_TAG_STORE_RO, NULL, 0, &err); break;
	case TR_PROC_FRONT: rc = start_front(s, (unsigned)(c - s->fronts), &err); break;
	default: break;
	}
	if (rc) {
		tr_log_err(TR_LOG_ERROR, "role_not_put_back", &err, "role", tr_proc_name(c->proc), NULL);
		tr_timer_arm(s->drain_timer, 1000);
	}
}

static void on_put_back(void *arg);

static void child_died(struct supervisor *s, struct child *c, int status)
{
	uint64_t now = tr_mono_ms();
	bool was_leaving = c->leaving;
	char how[64];

	c->pid = 0;
	if (s->stopping || was_leaving)
		return;
	/* What ended because we or core's end told it to is no news; a crash at the same time may be the cause of all. */
	if (s->restarting && (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0))
		return;
	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d%s", WTERMSIG(status),
			       WTERMSIG(status) == SIGSYS ? " (forbidden system call)" : "");
	else
		(void)snprintf(how, sizeof(how), "exit %d", WEXITSTATUS(status));
	tr_log(TR_LOG_ERROR, "role_died", "role", tr_proc_name(c->proc), "how", how, NULL);
	/* A front that dies while its successor already listens need not be put back. */
	if (s->restarting || (c >= s->old && c < s->old + FRONTS_MAX))
		return;
	if (c->proc == TR_PROC_CORE || c->proc == TR_PROC_STORE) {
		s->core_deaths = s->ready ? 1 : s->core_deaths + 1;
		if (!s->was_ready && s->core_deaths >= START_TRIES)
			s->failed = tr_proc_name(c->proc);
		restart_all(s);
		return;
	}
	c->deaths = now - c->started > CALM_MS ? 1 : c->deaths + 1;
	if (!s->was_ready && c->deaths >= START_TRIES) {
		s->failed = tr_proc_name(c->proc);
		restart_all(s);
	} else if (backoff(c->deaths) == 0)
		put_back(s, c);
	else
		tr_timer_arm(s->drain_timer, backoff(c->deaths)); /* on_put_back finds what is missing */
}

static void match_death(struct supervisor *s, struct child *c, pid_t pid, int status)
{
	if (c->pid == pid)
		child_died(s, c, status);
}

static void on_chld(void *arg)
{
	struct supervisor *s = arg;
	struct child *const single[] = { &s->core, &s->store, &s->store_ro, &s->keys, &s->appraise, &s->egress };
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < TR_ARRAY_LEN(single); i++)
			match_death(s, single[i], pid, status);
		for (unsigned i = 0; i < FRONTS_MAX; i++) {
			match_death(s, &s->fronts[i], pid, status);
			match_death(s, &s->old[i], pid, status);
		}
	}
	if (s->restarting && !any_alive(s) && !s->stopping) {
		s->control_watch = tr_watch_free(s->control_watch);
		s->control = tr_close(s->control);
		if (s->failed)
			tr_loop_stop(s->loop);
		else
			tr_timer_arm(s->restart_timer, backoff(s->core_deaths));
	}
	if (s->stopping && !any_alive(s))
		tr_loop_stop(s->loop);
}

static void on_put_back(void *arg)
{
	struct supervisor *s = arg;
	struct child *const helpers[] = { &s->store_ro, &s->keys, &s->appraise, &s->egress };

	if (s->stopping || s->restarting)
		return;
	for (size_t i = 0; i < TR_ARRAY_LEN(helpers); i++)
		if (!helpers[i]->pid)
			put_back(s, helpers[i]);
	for (unsigned i = 0; i < s->n_fronts; i++)
		if (!s->fronts[i].pid)
			put_back(s, &s->fronts[i]);
	/* Old fronts that did not drain in time. */
	for (unsigned i = 0; i < FRONTS_MAX; i++)
		if (s->old[i].pid && tr_mono_ms() - s->old[i].started > DRAIN_MS)
			(void)kill(s->old[i].pid, SIGKILL);
}

/* ---- replacing fronts ---- */

static void replace_next(void *arg)
{
	struct supervisor *s = arg;
	struct tr_err err = { 0 };
	unsigned i = s->replacing - 1;

	if (!s->replacing || s->stopping || s->restarting)
		return;
	if (s->old[i].pid && !s->old[i].leaving) {
		/* Second half of a step: the fresh one has had its time. */
		if (!s->fronts[i].pid || s->fronts[i].deaths > 1) {
			tr_log(TR_LOG_ERROR, "replacement_failed", "front", tr_fmt("%u", i), NULL);
			if (s->fronts[i].pid)
				(void)kill(s->fronts[i].pid, SIGKILL);
			s->fronts[i] = s->old[i];
			s->old[i] = (struct child){ .proc = TR_PROC_FRONT };
			s->replacing = 0;
			return;
		}
		s->old[i].leaving = true;
		s->old[i].started = tr_mono_ms();
		(void)kill(s->old[i].pid, SIGTERM);
		tr_timer_arm(s->drain_timer, DRAIN_MS + 1000);
		if (++s->replacing > s->n_fronts) {
			s->replacing = 0;
			tr_log(TR_LOG_INFO, "fronts_replaced", "count", tr_fmt("%u", s->n_fronts), NULL);
			notify("READY=1");
			return;
		}
		tr_timer_arm(s->replace_timer, 0);
		return;
	}
	if (s->old[i].pid)
		(void)kill(s->old[i].pid, SIGKILL); /* of an earlier replacement, still draining */
	s->old[i] = s->fronts[i];
	s->fronts[i] = (struct child){ .proc = TR_PROC_FRONT };
	if (start_front(s, i, &err)) {
		tr_log_err(TR_LOG_ERROR, "replacement_failed", &err, NULL);
		s->fronts[i] = s->old[i];
		s->old[i] = (struct child){ .proc = TR_PROC_FRONT };
		s->replacing = 0;
		return;
	}
	tr_timer_arm(s->replace_timer, REPLACE_STEP_MS);
}

static void on_hup(void *arg)
{
	struct supervisor *s = arg;
	struct tr_err err = { 0 };

	if (s->replacing || s->stopping || s->restarting)
		return;
	if (tr_supervisor_check(s->config_path, &err)) {
		tr_log_err(TR_LOG_ERROR, "reload_refused", &err, "pub", err.pub, NULL);
		return;
	}
	tr_log(TR_LOG_INFO, "reload", "note", "fronts take certificates and limits; other settings need a restart", NULL);
	s->replacing = 1;
	replace_next(s);
}

/* ---- stopping ---- */

static void on_stop_step(void *arg)
{
	struct supervisor *s = arg;
	struct tr_err err = { 0 };

	if (s->core.pid && s->control >= 0 && !s->core.leaving) {
		/* Fronts have had their time: core says goodbye to the store, the rest follows core. */
		s->core.leaving = true;
		if (tr_fd_tell(s->control, TR_TAG_STOP, &err))
			each_child(s, send_signal, SIGKILL);
		tr_timer_arm(s->stop_timer, STOP_ALL_MS - STOP_FRONTS_MS);
		return;
	}
	each_child(s, send_signal, SIGKILL);
}

static void on_term(void *arg)
{
	struct supervisor *s = arg;

	if (s->stopping)
		return;
	s->stopping = true;
	tr_log(TR_LOG_INFO, "stopping", NULL);
	notify("STOPPING=1");
	if (!any_alive(s)) {
		tr_loop_stop(s->loop);
		return;
	}
	for (unsigned i = 0; i < FRONTS_MAX; i++) {
		send_signal(s, &s->fronts[i], SIGTERM);
		send_signal(s, &s->old[i], SIGTERM);
	}
	tr_timer_arm(s->stop_timer, 1000);
}

/* ---- boot ---- */

#define PORT_TRIES 60u /* three seconds */
#define PORT_PAUSE_NS 50000000

/* The fronts of a supervisor that was just killed still hold the port while the kernel ends them. */
static TR_RC wait_for_port(const char *address, struct tr_err *err)
{
	const struct timespec pause = { .tv_nsec = PORT_PAUSE_NS };
	enum tr_code rc = tr_listen_probe(address, err);

	for (unsigned i = 0; rc == TR_E_CONFLICT && i < PORT_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		rc = tr_listen_probe(address, err);
	}
	return rc;
}

static TR_RC listen_all(struct supervisor *s, const char *address, int *fds, char *shown, size_t len, struct tr_err *err)
{
	unsigned port = 0;
	char bound[128];
	const char *colon = strrchr(address, ':');

	if (!colon)
		return tr_err_set(err, TR_E_INVALID, "a listen address is host:port, [v6]:port or *:port", "%s", address);
	if (wait_for_port(address, err) || tr_listen(address, &fds[0], &port, err))
		return err->code;
	/* Port 0 means "any": the other fronts then take the one that was given. */
	(void)snprintf(bound, sizeof(bound), "%.*s:%u", (int)(colon - address), address, port);
	for (unsigned i = 1; i < s->n_fronts; i++) {
		unsigned same;

		if (tr_listen(bound, &fds[i], &same, err))
			return err->code;
	}
	(void)snprintf(shown, len, "%s", bound);
	return TR_OK;
}

static TR_RC boot(struct supervisor *s, struct tr_err *err)
{
	tr_auto(tr_watch_free) struct tr_watch *chld = NULL;
	tr_auto(tr_watch_free) struct tr_watch *term = NULL;
	tr_auto(tr_watch_free) struct tr_watch *intr = NULL;
	tr_auto(tr_watch_free) struct tr_watch *hup = NULL;

	if (tr_loop_new(&s->loop, err) || tr_watch_signal(s->loop, SIGCHLD, on_chld, s, &chld, err) ||
	    tr_watch_signal(s->loop, SIGTERM, on_term, s, &term, err) ||
	    tr_watch_signal(s->loop, SIGINT, on_term, s, &intr, err) ||
	    tr_watch_signal(s->loop, SIGHUP, on_hup, s, &hup, err) ||
	    tr_watch_timer(s->loop, on_restart, s, &s->restart_timer, err) ||
	    tr_watch_timer(s->loop, replace_next, s, &s->replace_timer, err) ||
	    tr_watch_timer(s->loop, on_stop_step, s, &s->stop_timer, err) ||
	    tr_watch_timer(s->loop, on_put_back, s, &s->drain_timer, err) ||
	    listen_all(s, s->cfg->listen->agents, s->agents, s->agents_address, sizeof(s->agents_address), err) ||
	    listen_all(s, s->cfg->listen->operators, s->operators, s->operators_address, sizeof(s->operators_address),
		       err) ||
	    tr_rate_create(&s->rate, err) || start_all(s, err))
		return err->code;
	tr_loop_run(s->loop);
	if (s->failed)
		return tr_err_set(err, TR_E_UNAVAIL,
				  "the server does not start: one of its roles ends again and again; the log above says why",
				  "%s ended %d times before the server was ready", s->failed, START_TRIES);
	return TR_OK;
}

TR_RC tr_supervisor_run(const char *config, struct tr_err *err)
{
	static struct supervisor s;
	enum tr_code rc;

	s.config_path = config;
	s.control = s.rate = -1;
	if (tr_supervisor_check(config, err) || tr_config_load(config, &s.cfg, err))
		return err->code;
	/* The children start elsewhere than the operator did. */
	s.config_path = s.cfg->path;
	s.n_fronts = tr_config_fronts(s.cfg);
	(void)signal(SIGPIPE, SIG_IGN);
	rc = boot(&s, err);
	each_child(&s, send_signal, SIGKILL);
	s.cfg = tr_config_free(s.cfg);
	return rc;
}
