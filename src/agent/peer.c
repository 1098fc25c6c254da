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

#define REST_MS 1000
#define REST_MAX_MS 30000

static const char *const names[TR_KID_N] = { "peer", "courier", "postman", "caller", "quoter" };

static volatile sig_atomic_t ended;

static void on_term(int sig)
{
	(void)sig;
	ended = 1;
}

struct parent {
	struct tr_state state; /* only its folder */
	int lock;
	pid_t kids[TR_KID_N];
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

static TR_RC fork_all(struct parent *f, struct tr_peer_work *w, struct tr_err *err)
{
	int pairs[TR_KID_N][2];
	pid_t self = getpid();
	enum tr_code rc = TR_OK;

	for (unsigned i = 0; i < TR_KID_N; i++)
		pairs[i][0] = pairs[i][1] = -1;
	for (unsigned i = TR_KID_PEER + 1; i < TR_KID_N && !rc; i++)
		rc = tr_socketpair(pairs[i], err);
	w->parent = self;
	for (unsigned i = 0; i < TR_KID_N && !rc; i++) {
		pid_t pid = fork();

		if (pid < 0)
			rc = tr_err_errno(err, "fork");
		f->kids[i] = pid > 0 ? pid : 0;
		if (pid)
			continue;
		if (!is_kid(self))
			_exit(0);
		for (unsigned j = 0; j < TR_KID_N; j++) {
			/* Each has its own end only, or nobody would notice that another one is gone. */
			if (i != TR_KID_PEER)
				pairs[j][0] = tr_close(pairs[j][0]);
			if (i != j)
				pairs[j][1] = tr_close(pairs[j][1]);
		}
		if (i == TR_KID_PEER) {
			struct tr_peer_ends e = { .http = f->http, .local = f->local };

			for (unsigned j = 0; j < TR_KID_N; j++)
				e.of[j] = pairs[j][0];
			tr_peer_run(w, &e);
		}
		f->http = tr_close(f->http);
		f->local = tr_close(f->local);
		f->lock = tr_close(f->lock);
		if (i == TR_KID_QUOTER)
			tr_quoter_run(&w->p.state, pairs[i][1]);
		run_courier(&w->p, names[i], pairs[i][1]);
	}
	for (unsigned i = 0; i < TR_KID_N; i++) {
		(void)tr_close(pairs[i][0]);
		(void)tr_close(pairs[i][1]);
	}
	return rc;
}

static void end_all(struct parent *f)
{
	for (unsigned i = 0; i < TR_KID_N; i++) {
		if (f->kids[i] <= 0)
			continue;
		/* The peer is told, and has nothing to finish that takes long; the others hold nothing. */
		(void)kill(f->kids[i], i == TR_KID_PEER ? SIGTERM : SIGKILL);
		while (waitpid(f->kids[i], NULL, 0) < 0 && errno == EINTR)
			;
		f->kids[i] = 0;
	}
}

static enum tr_peer_kid wait_for_one(struct parent *f, int *ret_status)
{
	pid_t pid;

	do
		pid = waitpid(-1, ret_status, 0);
	while (pid < 0 && errno == EINTR && !ended);
	for (unsigned i = 0; i < TR_KID_N; i++) {
		if (pid <= 0 || f->kids[i] != pid)
			continue;
		f->kids[i] = 0;
		return (enum tr_peer_kid)i;
	}
	return TR_KID_PEER;
}

static bool wait_for_peer(struct parent *f, int *ret_status)
{
	uint64_t until = tr_mono_ms() + REST_MS;

	do {
		if (waitpid(f->kids[TR_KID_PEER], ret_status, WNOHANG) == f->kids[TR_KID_PEER]) {
			f->kids[TR_KID_PEER] = 0;
			return true;
		}
		(void)usleep(10000);
	} while (!ended && tr_mono_ms() < until);
	return false;
}

/* One life of them all. True: it went well for a while or was asked to begin anew. */
static bool one_life(struct parent *f)
{
	struct tr_peer_work *w = calloc(1, sizeof(*w));
	uint64_t began = tr_mono_ms();
	int status = 0;
	bool well = false, anew;
	enum tr_peer_kid which;
	struct tr_err err = { 0 };

	if (!w)
		return false;
	w->p.state = TR_STATE_INIT;
	if (tr_state_open(f->state.dir, &w->p.state, &err) || tr_peer_load(w, &err) || listen_all(f, &w->p, &err) ||
	    fork_all(f, w, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_not_started", &err, "hint", err.pub, NULL);
	} else {
		which = wait_for_one(f, &status);
		/* When the peer ends, the others see it and end as well, some of them before it is known here; and it ends when
		 * one of them does. So it is the peer that says why. */
		if (!ended && which != TR_KID_PEER && WIFEXITED(status) && wait_for_peer(f, &status))
			which = TR_KID_PEER;
		anew = which == TR_KID_PEER && WIFEXITED(status) && WEXITSTATUS(status) == TR_PEER_EXIT_RELOAD;
		if (!ended && !anew)
			tr_log(TR_LOG_ERROR, "peer_process_ended", "which", names[which], "status", tr_fmt("%d", status), NULL);
		well = anew || tr_mono_ms() - began > REST_MAX_MS;
	}
	end_all(f);
	tr_peer_unload(&w->p);
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
