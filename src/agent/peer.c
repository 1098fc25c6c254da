/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of the role. The parent opens what is listened on, forks, and waits; it forks anew when one of them ends, or
 * when what they were started with has changed:
 *
 *   peer     the loop: other agents, local applications, the files      (confined to the state folder)
 *   courier  HTTPS to the hub                                           (no file but those of name resolution)
 *   postman  the same, waiting at the mailbox
 *   caller   the same to other agents, who may be slow on purpose
 *   quoter   fresh evidence                                             (the TEE or TPM) */
#include "agent/peer.h"

#include "agent/agent.h"
#include "agent/peer_inner.h"
#include "agent/quoter.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "http/client.h"
#include "ipc/sandbox.h"
#include "ipc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define EXIT_RELOAD 75
#define TICK_MS 1000
#define LOOK_MS 50
#define LOOKS_MAX 60 /* 3 s */
#define CAS_MAX 16
#define KIDS 5
#define REST_MS 1000
#define REST_MAX_MS 30000

enum kid { PEER, COURIER, POSTMAN, CALLER, QUOTER };
static const char *const names[KIDS] = { "peer", "courier", "postman", "caller", "quoter" };

/* ---- the peer: one loop ---- */

/* Files that it was started with. */
static const char *const watched[] = { "device.key", "cert.pem", "ca.pem", "agent.json", TR_PEER_CONF_FILE };
#define FILES (TR_ARRAY_LEN(watched) + 2) /* and policy and collateral */
struct worker {
	struct tr_peer p;
	const char *files[FILES];
	struct stat seen[FILES], attested;
	unsigned leaving; /* looks since a file was seen to have changed */
	pid_t parent;
};

static void stop(void *arg)
{
	struct worker *w = arg;

	w->p.exit_code = 0;
	tr_loop_stop(w->p.loop);
}

/* One of the others is gone: all begin anew, after a rest. */
static void give_up(void *arg)
{
	struct worker *w = arg;

	w->p.exit_code = TR_AGENT_EXIT_STATE;
	tr_loop_stop(w->p.loop);
}

static void begin_anew(void *arg)
{
	struct worker *w = arg;

	w->p.exit_code = EXIT_RELOAD;
	tr_loop_stop(w->p.loop);
}

static void look_at(const struct tr_state *s, const char *name, struct stat *ret)
{
	char path[PATH_MAX];

	if (name[0] == '/')
		(void)snprintf(path, sizeof(path), "%s", name);
	else
		tr_state_path(s, name, path);
	if (!name[0] || stat(path, ret))
		*ret = (struct stat){ .st_size = 0 };
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void load_revocations(struct tr_peer *p)
{
	struct tr_revocations fresh = { 0 };
	struct stat st;
	struct tr_err err = { 0 };

	look_at(&p->state, TR_REVOCATIONS_FILE, &st);
	if (st.st_mtim.tv_sec == p->revocations_at.tv_sec && st.st_mtim.tv_nsec == p->revocations_at.tv_nsec)
		return;
	if (tr_revocations_load(&p->state, &fresh, &err)) {
		tr_log_err(TR_LOG_WARN, "revocations_damaged", &err, NULL);
		return; /* what was known stays known */
	}
	p->revocations_at = st.st_mtim;
	tr_revocations_done(&p->revocations);
	p->revocations = fresh;
}

static void on_tick(void *arg)
{
	struct worker *w = arg;
	struct tr_peer *p = &w->p;
	int64_t now = tr_peer_now_s();
	struct stat attested;
	size_t expired;

	tr_timer_arm(p->tick, TICK_MS);
	if (getppid() != w->parent) {
		stop(w);
		return;
	}
	for (size_t i = 0; i < FILES && !w->leaving; i++) {
		struct stat st;

		look_at(&p->state, w->files[i], &st);
		if (same(&st, &w->seen[i]))
			continue;
		tr_log(TR_LOG_INFO, "peer_reloads", "file", w->files[i], NULL);
		w->leaving = 1;
	}
	if (w->leaving) {
		/* Applications that wait are answered, what is under way gets a little time. */
		tr_local_wake(p->local, true);
		if (w->leaving++ > LOOKS_MAX || !tr_local_is_busy(p->local))
			begin_anew(w);
		tr_timer_arm(p->tick, LOOK_MS);
		return;
	}
	load_revocations(p);
	look_at(&p->state, "attestation.json", &attested);
	if (!same(&attested, &w->attested)) {
		/* Newly attested: the hub takes our pre-key at last. */
		w->attested = attested;
		p->prekey_not_before_s = 0;
	}
	expired = tr_peer_settle(p) ? tr_inbox_expire(&p->state, &p->inbox, now) : 0;
	if (expired)
		tr_log(TR_LOG_WARN, "messages_expired", "unread", tr_fmt("%zu", expired), NULL);
	tr_prekey_tick(p, now);
	if (p->mail)
		tr_mail_tick(p->mail, now);
	tr_local_tick(p->local);
}

static TR_RC read_cas(struct tr_peer *p, struct tr_err *err)
{
	struct tr_buf der[CAS_MAX] = { TR_BUF_INIT };
	struct tr_view rest = tr_buf_view(&p->ca_pem), label, views[CAS_MAX];
	enum tr_code rc = TR_OK;
	size_t n = 0;

	while (!rc && n < CAS_MAX && rest.n) {
		rc = tr_pem_get(rest, &label, &der[n], &rest, err);
		if (!rc) {
			views[n] = tr_buf_view(&der[n]);
			n++;
		}
		while (rest.n && (rest.p[0] == '\n' || rest.p[0] == '\r'))
			rest = tr_view(rest.p + 1, rest.n - 1);
	}
	if (!rc)
		rc = tr_ca_set_new(views, n, &p->cas, err);
	for (size_t i = 0; i < CAS_MAX; i++)
		tr_buf_done(&der[i]);
	return rc ? tr_err_wrap(err, "ca.pem") : TR_OK;
}

/* Before they are read: a change that comes while they are is one that a later look finds. */
static void remember(struct worker *w, size_t i, const char *name)
{
	w->files[i] = name;
	look_at(&w->p.state, name, &w->seen[i]);
}

static void remember_policy(struct worker *w)
{
	static char policy[PATH_MAX], collateral[PATH_MAX];

	(void)snprintf(policy, sizeof(policy), "%.*s", TR_VIEW_FMT(w->p.conf.policy));
	(void)snprintf(collateral, sizeof(collateral), "%.*s", TR_VIEW_FMT(w->p.conf.collateral));
	remember(w, TR_ARRAY_LEN(watched), policy);
	remember(w, TR_ARRAY_LEN(watched) + 1, collateral);
}

/* Everything that comes from the folder, in the parent: a folder that cannot be read is said once, and tried again. */
static TR_RC load(struct worker *w, struct tr_err *err)
{
	struct tr_peer *p = &w->p;
	enum tr_code rc;

	for (size_t i = 0; i < TR_ARRAY_LEN(watched); i++)
		remember(w, i, watched[i]);
	rc = tr_state_load(&p->state, err);
	if (!rc && !p->state.conf.enrolled_at)
		rc = tr_err_set(err, TR_E_NOTFOUND, "this agent is not enrolled; run `troth-agent enroll` first", "%s", p->state.dir);
	if (!rc)
		rc = tr_peer_conf_load(&p->state, &p->conf, err);
	if (!rc)
		rc = tr_state_read(&p->state, "cert.pem", 16384, &p->cert_pem, err);
	if (!rc)
		rc = tr_state_read(&p->state, "ca.pem", 65536, &p->ca_pem, err);
	if (!rc)
		rc = read_cas(p, err);
	if (!rc)
		remember_policy(w);
	if (!rc && p->conf.verify == TR_PEER_BY_EVIDENCE)
		rc = tr_peer_judge_new(p->conf.policy, p->conf.collateral, &p->judge, err);
	if (rc)
		return rc;
	(void)snprintf(p->trust_domain, sizeof(p->trust_domain), "%.*s", TR_VIEW_FMT(p->state.conf.trust_domain));
	(void)snprintf(p->agent_id, sizeof(p->agent_id), "%.*s", TR_VIEW_FMT(p->state.conf.agent_id));
	return TR_OK;
}

static void unload(struct tr_peer *p)
{
	p->judge = tr_peer_judge_free(p->judge);
	p->cas = tr_ca_set_free(p->cas);
	tr_buf_done(&p->cert_pem);
	tr_buf_done(&p->ca_pem);
	tr_peer_conf_done(&p->conf);
}

/* What is kept between two lives. */
static TR_RC recall(struct tr_peer *p, struct tr_err *err)
{
	int64_t now = tr_peer_now_s();
	enum tr_code rc = tr_peer_store_load(&p->state, now, &p->store, err);

	if (rc == TR_E_INVALID) {
		tr_log_err(TR_LOG_ERROR, "windows_lost", err, "hint", "messages issued before now are not taken", NULL);
		rc = TR_OK;
	}
	/* The floor must not move with the next start. */
	if (!rc)
		rc = tr_peer_store_save(&p->state, &p->store, err);
	if (!rc)
		rc = tr_inbox_load(&p->state, &p->inbox, err);
	if (!rc)
		rc = tr_prekeys_load(&p->state, now, &p->prekeys, err);
	if (rc)
		return rc;
	/* Taken on disk, and the power went before the window was: not taken again. */
	for (const struct tr_letter *l = p->inbox.first; l; l = l->next) {
		if (tr_peer_store_take(&p->store, tr_view_str(l->sender), l->line, l->seq, now, err))
			return err->code;
		if (l->number > p->store.inbox)
			p->store.inbox = l->number;
		p->unsettled = true;
	}
	return TR_OK;
}

struct ends { int of[KIDS], http, local; };

static TR_RC open_all(struct worker *w, const struct ends *e, struct tr_err *err)
{
	struct tr_peer *p = &w->p;
	struct tr_watch *term;
	enum tr_code rc = recall(p, err);

	if (!rc)
		rc = tr_loop_new(&p->loop, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[COURIER], give_up, w, &p->errands, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[POSTMAN], give_up, w, &p->postman, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[CALLER], give_up, w, &p->caller, err);
	if (!rc)
		rc = tr_quoter_new(p->loop, e->of[QUOTER], give_up, w, &p->quoter, err);
	if (!rc)
		rc = tr_watch_signal(p->loop, SIGTERM, stop, w, &term, err);
	if (!rc && e->http >= 0)
		rc = tr_peer_http_new(p, e->http, err);
	if (!rc)
		rc = tr_local_new(p, e->local, &p->local, err);
	if (!rc && p->conf.mailbox)
		rc = tr_mail_new(p, &p->mail, err);
	if (!rc)
		rc = tr_watch_timer(p->loop, on_tick, w, &p->tick, err);
	return rc;
}

static void run_peer(struct worker *w, const struct ends *e)
{
	struct tr_err err = { 0 };

	tr_log_init("peer", TR_LOG_INFO);
	if (open_all(w, e, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_failed", &err, "hint", err.pub, NULL);
		_exit(TR_AGENT_EXIT_STATE);
	}
	load_revocations(&w->p);
	if (!tr_sandbox_landlock(w->p.state.dir))
		tr_log(TR_LOG_INFO, "peer_not_fenced", "why", "this kernel has no Landlock", NULL);
	tr_log(TR_LOG_INFO, "peer_started", "agent", w->p.agent_id, "endpoint", tr_fmt_view(w->p.conf.endpoint), "verify",
	       w->p.judge ? "evidence" : "result", NULL);
	tr_timer_arm(w->p.tick, 10);
	tr_loop_run(w->p.loop);
	(void)tr_peer_settle(&w->p);
	_exit(w->p.exit_code);
}

/* ---- the parent ---- */

static volatile sig_atomic_t ended;

static void on_term(int sig)
{
	(void)sig;
	ended = 1;
}

struct parent {
	struct tr_state state; /* only its folder */
	int lock;
	pid_t kids[KIDS];
	char listen[257], socket[108];
	int http, local;
};

static TR_RC listen_local(struct parent *f, const char *path, struct tr_err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	tr_auto(tr_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strcmp(path, f->socket) == 0)
		return TR_OK;
	f->local = tr_close(f->local);
	if (strlen(path) >= sizeof(a.sun_path))
		return tr_err_set(err, TR_E_INVALID, "the path of the local socket is longer than 107 bytes; name another one in peer.json",
				  "%s", path);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	/* We hold the lock: what is left there is of a process that ended. */
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chmod(path, 0660) || listen(fd, 64))
		return tr_err_errno(err, "local socket %s", path);
	f->local = fd;
	fd = -1;
	(void)snprintf(f->socket, sizeof(f->socket), "%s", path);
	return TR_OK;
}

/* What is listened on stays open over the lives of the peer: callers wait instead of being refused. */
static TR_RC listen_all(struct parent *f, const struct tr_peer *p, struct tr_err *err)
{
	char path[PATH_MAX], address[257];
	unsigned port;

	if (p->conf.socket.n)
		(void)snprintf(path, sizeof(path), "%.*s", TR_VIEW_FMT(p->conf.socket));
	else
		tr_state_path(&f->state, "agent.sock", path);
	if (listen_local(f, path, err))
		return err->code;
	(void)snprintf(address, sizeof(address), "%.*s", TR_VIEW_FMT(p->conf.listen));
	if (strcmp(address, f->listen) == 0)
		return TR_OK;
	f->http = tr_close(f->http);
	f->listen[0] = 0;
	if (!address[0])
		return TR_OK;
	if (tr_listen_probe(address, err) || tr_listen(address, &f->http, &port, err))
		return tr_err_wrap(err, "listen on %s", address);
	(void)snprintf(f->listen, sizeof(f->listen), "%s", address);
	return TR_OK;
}

/* Whoever was forked ends with whoever forked it. */
static bool is_kid(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN);
	return getppid() == parent;
}

static void run_courier(const struct tr_peer *p, const char *name, int fd)
{
	static struct tr_buf key;
	struct tr_courier_in in = { .name = name, .fd = fd, .ca_pem = tr_buf_view(&p->ca_pem),
				    .cert_pem = tr_buf_view(&p->cert_pem), .servers = p->state.conf.servers };
	struct tr_err err = { 0 };

	if (tr_privkey_pem(p->state.key, &key, &err))
		_exit(TR_AGENT_EXIT_STATE);
	in.key_pem = tr_buf_view(&key);
	tr_courier_run(&in);
}

static TR_RC fork_all(struct parent *f, struct worker *w, struct tr_err *err)
{
	int pairs[KIDS][2];
	pid_t self = getpid();
	enum tr_code rc = TR_OK;

	for (unsigned i = 0; i < KIDS; i++)
		pairs[i][0] = pairs[i][1] = -1;
	for (unsigned i = PEER + 1; i < KIDS && !rc; i++)
		rc = tr_socketpair(pairs[i], err);
	w->parent = self;
	for (unsigned i = 0; i < KIDS && !rc; i++) {
		pid_t pid = fork();

		if (pid < 0)
			rc = tr_err_errno(err, "fork");
		f->kids[i] = pid > 0 ? pid : 0;
		if (pid)
			continue;
		if (!is_kid(self))
			_exit(0);
		for (unsigned j = 0; j < KIDS; j++) {
			/* Each has its own end only, or nobody would notice that another one is gone. */
			if (i != PEER)
				pairs[j][0] = tr_close(pairs[j][0]);
			if (i != j)
				pairs[j][1] = tr_close(pairs[j][1]);
		}
		if (i == PEER) {
			struct ends e = { .http = f->http, .local = f->local };

			for (unsigned j = 0; j < KIDS; j++)
				e.of[j] = pairs[j][0];
			run_peer(w, &e);
		}
		f->http = tr_close(f->http);
		f->local = tr_close(f->local);
		f->lock = tr_close(f->lock);
		if (i == QUOTER)
			tr_quoter_run(&w->p.state, pairs[i][1]);
		run_courier(&w->p, names[i], pairs[i][1]);
	}
	for (unsigned i = 0; i < KIDS; i++) {
		(void)tr_close(pairs[i][0]);
		(void)tr_close(pairs[i][1]);
	}
	return rc;
}

static void end_all(struct parent *f)
{
	for (unsigned i = 0; i < KIDS; i++) {
		if (f->kids[i] <= 0)
			continue;
		/* The peer is told, and has nothing to finish that takes long; the others hold nothing. */
		(void)kill(f->kids[i], i == PEER ? SIGTERM : SIGKILL);
		while (waitpid(f->kids[i], NULL, 0) < 0 && errno == EINTR)
			;
		f->kids[i] = 0;
	}
}

static enum kid wait_for_one(struct parent *f, int *ret_status)
{
	pid_t pid;

	do
		pid = waitpid(-1, ret_status, 0);
	while (pid < 0 && errno == EINTR && !ended);
	for (unsigned i = 0; i < KIDS; i++) {
		if (pid <= 0 || f->kids[i] != pid)
			continue;
		f->kids[i] = 0;
		return (enum kid)i;
	}
	return PEER;
}

static bool wait_for_peer(struct parent *f, int *ret_status)
{
	uint64_t until = tr_mono_ms() + REST_MS;

	do {
		if (waitpid(f->kids[PEER], ret_status, WNOHANG) == f->kids[PEER]) {
			f->kids[PEER] = 0;
			return true;
		}
		(void)usleep(10000);
	} while (!ended && tr_mono_ms() < until);
	return false;
}

/* One life of them all. True: it went well for a while or was asked to begin anew. */
static bool one_life(struct parent *f)
{
	struct worker *w = calloc(1, sizeof(*w));
	uint64_t began = tr_mono_ms();
	int status = 0;
	bool well = false, anew;
	enum kid which;
	struct tr_err err = { 0 };

	if (!w)
		return false;
	w->p.state = TR_STATE_INIT;
	if (tr_state_open(f->state.dir, &w->p.state, &err) || load(w, &err) || listen_all(f, &w->p, &err) ||
	    fork_all(f, w, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_not_started", &err, "hint", err.pub, NULL);
	} else {
		which = wait_for_one(f, &status);
		/* When the peer ends, the others see it and end as well, some of them before it is known here; and it ends when
		 * one of them does. So it is the peer that says why. */
		if (!ended && which != PEER && WIFEXITED(status) && wait_for_peer(f, &status))
			which = PEER;
		anew = which == PEER && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_RELOAD;
		if (!ended && !anew)
			tr_log(TR_LOG_ERROR, "peer_process_ended", "which", names[which], "status", tr_fmt("%d", status), NULL);
		well = anew || tr_mono_ms() - began > REST_MAX_MS;
	}
	end_all(f);
	unload(&w->p);
	tr_state_done(&w->p.state);
	free(w);
	return well;
}

static TR_RC prepare(struct parent *f, const char *dir, struct tr_err *err)
{
	const struct sigaction term = { .sa_handler = on_term };
	char path[PATH_MAX];
	enum tr_code rc = tr_state_open(dir, &f->state, err);

	if (rc)
		return rc;
	tr_state_path(&f->state, "peer.lock", path);
	f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock < 0)
		return tr_err_errno(err, "%s", path);
	if (flock(f->lock, LOCK_EX | LOCK_NB))
		return tr_err_set(err, TR_E_BUSY, "another process speaks with peers for this folder", "%s", path);
	tr_state_path(&f->state, TR_INBOX_DIR, path);
	rc = tr_dir_make(path, 0700, err);
	if (!rc)
		rc = tr_client_global_init(err);
	if (!rc)
		rc = tr_http_server_init(err);
	if (!rc)
		rc = tr_sandbox_harden(err);
	(void)sigaction(SIGTERM, &term, NULL);
	(void)sigaction(SIGINT, &term, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return rc;
}

int tr_agent_peer(const char *state_dir, bool debug)
{
	struct parent f = { .state = TR_STATE_INIT, .lock = -1, .http = -1, .local = -1 };
	uint64_t rest = REST_MS;
	struct tr_err err = { 0 };

	tr_log_init("peer", debug ? TR_LOG_DEBUG : TR_LOG_INFO);
	if (prepare(&f, state_dir, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_not_started", &err, "hint", err.pub, NULL);
		tr_state_done(&f.state);
		return TR_AGENT_EXIT_STATE;
	}
	while (!ended) {
		if (one_life(&f)) {
			rest = REST_MS;
			continue;
		}
		if (!ended)
			(void)usleep((useconds_t)rest * 1000);
		rest = rest * 2 < REST_MAX_MS ? rest * 2 : REST_MAX_MS;
	}
	if (f.socket[0])
		(void)unlink(f.socket);
	(void)tr_close(f.http);
	(void)tr_close(f.local);
	(void)tr_close(f.lock);
	tr_state_done(&f.state);
	return TR_AGENT_EXIT_OK;
}
