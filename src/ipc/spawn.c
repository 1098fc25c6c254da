/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ENV_MAX 32

/* What the child tells when it could not become the role. */
struct failure {
	int step, error;
};
enum step { STEP_PARENT, STEP_SIGNALS, STEP_SESSION, STEP_LIMITS, STEP_FDS, STEP_EXEC };
static const char *const step_names[] = {
	[STEP_PARENT] = "bind its life to ours", [STEP_SIGNALS] = "reset signals",
	[STEP_SESSION] = "new session",		 [STEP_LIMITS] = "resource limits",
	[STEP_FDS] = "place descriptors",	 [STEP_EXEC] = "execute",
};

struct plan {
	const struct tr_spawn *s;
	pid_t parent;
	int exe, null, report; /* in: the parent's numbers */
	char *const *env;
};

/* Moves descriptors to their final numbers in two steps, since sources and targets may overlap: first
 * everything above the target range, then down. */
static bool place_fds(struct plan *p, int *ret_exe)
{
	const int n = (int)p->s->n_fds;
	const int exe = TR_FD_FIRST + n, report = exe + 1, above = report + 1;
	int high[TR_SPAWN_FDS_MAX];
	int high_exe, high_report, high_null;

	high_report = fcntl(p->report, F_DUPFD_CLOEXEC, above);
	high_exe = fcntl(p->exe, F_DUPFD_CLOEXEC, above);
	high_null = fcntl(p->null, F_DUPFD_CLOEXEC, above);
	if (high_report < 0 || high_exe < 0 || high_null < 0)
		return false;
	p->report = high_report;
	for (int i = 0; i < n; i++) {
		high[i] = fcntl(p->s->fds[i], F_DUPFD_CLOEXEC, above);
		if (high[i] < 0)
			return false;
	}
	for (int i = 0; i < n; i++)
		if (dup2(high[i], TR_FD_FIRST + i) < 0)
			return false;
	if (dup3(high_exe, exe, O_CLOEXEC) < 0 || dup3(high_report, report, O_CLOEXEC) < 0)
		return false;
	p->report = report;
	/* A role talks through its channels and stderr only. */
	if (dup2(high_null, STDIN_FILENO) < 0 || dup2(high_null, STDOUT_FILENO) < 0)
		return false;
	if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(high_null, STDERR_FILENO) < 0)
		return false;
	closefrom(above); /* close_range(2), or a walk where the kernel has none */
	*ret_exe = exe;
	return true;
}

static bool reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)sigaction(i, &dfl, NULL); /* the two that libc keeps for itself refuse */
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static _Noreturn void child(struct plan *p)
{
	const struct rlimit none = { 0, 0 };
	enum step step = STEP_PARENT;
	struct failure f;
	ssize_t unused;
	int exe;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		goto fail;
	/* The parent may have died before the line above. */
	if (getppid() != p->parent)
		_exit(127);
	step = STEP_SIGNALS;
	if (!reset_signals())
		goto fail;
	step = STEP_SESSION;
	if (setsid() < 0)
		goto fail;
	step = STEP_LIMITS;
	if (setrlimit(RLIMIT_CORE, &none))
		goto fail;
	step = STEP_FDS;
	if (!place_fds(p, &exe))
		goto fail;
	step = STEP_EXEC;
	(void)fexecve(exe, (char *const *)(uintptr_t)p->s->argv, p->env);
fail:
	f = (struct failure){ (int)step, errno };
	unused = write(p->report, &f, sizeof(f));
	(void)unused; /* the exit code still says that it failed */
	_exit(127);
}

/* "NAME=value" of the kept names. The strings belong to our own environment. */
static TR_RC make_env(const char *const *keep, char **ret, struct tr_err *err)
{
	size_t n = 0;

#ifdef TROTH_SANITIZED
	/* The leak check forks and traces; behind a role's filter that can only fail. */
	static char no_leak_check[] = "ASAN_OPTIONS=detect_leaks=0";

	ret[n++] = no_leak_check;
#endif
	for (; keep && *keep; keep++) {
		size_t len = strlen(*keep);

		for (char **e = environ; *e; e++) {
			if (strncmp(*e, *keep, len) != 0 || (*e)[len] != '=')
				continue;
			if (n == ENV_MAX)
				return tr_err_set(err, TR_E_INTERNAL, "too many variables for a role",
						  "more than %d", ENV_MAX);
			ret[n++] = *e;
			break;
		}
	}
	ret[n] = NULL;
	return TR_OK;
}

/* Closes the parent's side of the report pipe in every case. */
static TR_RC fork_child(struct plan *p, pid_t *ret_pid, struct tr_err *err)
{
	sigset_t all, old;
	pid_t pid;

	/* No handler of ours may run in the child: it would write into the parent's event loop. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	p->parent = getpid();
	pid = fork();
	if (pid == 0)
		child(p);
	p->report = tr_close(p->report);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return tr_err_errno(err, "fork");
	*ret_pid = pid;
	return TR_OK;
}

TR_RC tr_spawn_self(const struct tr_spawn *s, pid_t *ret_pid, struct tr_err *err)
{
	/* The link of the running image, right even when the file was replaced or deleted since. */
	tr_auto(tr_close) int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	tr_auto(tr_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	tr_auto(tr_close) int report_in = -1;
	char *env[ENV_MAX + 1];
	struct plan p;
	struct failure f;
	ssize_t n;
	pid_t pid = -1;
	int pipe_fds[2];
	enum tr_code rc;

	if (exe < 0)
		return tr_err_errno(err, "open /proc/self/exe");
	if (null < 0)
		return tr_err_errno(err, "open /dev/null");
	if (s->n_fds > TR_SPAWN_FDS_MAX)
		return tr_err_set(err, TR_E_INTERNAL, "too many descriptors for a role", "%zu", s->n_fds);
	rc = make_env(s->keep_env, env, err);
	if (rc)
		return rc;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return tr_err_errno(err, "pipe");
	report_in = pipe_fds[0];
	p = (struct plan){ .s = s, .exe = exe, .null = null, .report = pipe_fds[1], .env = env };
	rc = fork_child(&p, &pid, err);
	if (rc)
		return rc;
	/* The pipe closes on exec, so this waits for success or learns of the failure. */
	do
		n = read(report_in, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n != 0) {
		/* The child still runs our own code, so its report is whole or missing, never foreign. */
		bool whole = n == (ssize_t)sizeof(f);

		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		errno = whole ? f.error : EIO;
		return tr_err_errno(err, "start %s: %s", s->argv[0], whole ? step_names[f.step] : "died");
	}
	*ret_pid = pid;
	return TR_OK;
}

TR_RC tr_socketpair(int ret[2], struct tr_err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return tr_err_errno(err, "socketpair");
	ret[0] = fds[0];
	ret[1] = fds[1];
	return TR_OK;
}
