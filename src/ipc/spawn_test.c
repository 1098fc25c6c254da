/* SPDX-License-Identifier: Apache-2.0 */
/* This program is its own role: spawned as `role <what>`, it writes what it finds to TR_FD_FIRST. */
#include "ipc/spawn.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

static void list_fds(struct tr_buf *b)
{
	DIR *d = opendir("/proc/self/fd");
	bool open_fds[64] = { false };
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		long fd = strtol(e->d_name, NULL, 10);

		if (e->d_name[0] != '.' && fd != dirfd(d) && fd < 64)
			open_fds[fd] = true;
	}
	tr_buf_adds(b, "fds");
	for (int i = 0; i < 64; i++)
		if (open_fds[i])
			tr_buf_addf(b, " %d", i);
	(void)closedir(d);
}

static void list_signals(struct tr_buf *b)
{
	struct sigaction sa;
	sigset_t set;
	unsigned blocked = 0, handled = 0;

	(void)sigprocmask(SIG_SETMASK, NULL, &set);
	for (int i = 1; i < NSIG; i++) {
		blocked += sigismember(&set, i) == 1;
#ifdef TROTH_SANITIZED
		if (i == SIGSEGV || i == SIGBUS || i == SIGFPE || i == SIGILL || i == SIGABRT)
			continue; /* taken by the sanitizers as soon as the role starts */
#endif
		if (sigaction(i, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			handled++;
	}
	tr_buf_addf(b, "blocked %u handled %u\n", blocked, handled);
}

static int role(const char *what, int argc, char **argv)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct rlimit core;
	struct stat null, in, out;
	int death = 0;

	if (strcmp(what, "fds") == 0) {
		list_fds(&b);
		(void)stat("/dev/null", &null);
		tr_buf_addf(&b, "\nnull %d %d\n", fstat(0, &in) == 0 && in.st_rdev == null.st_rdev,
			    fstat(1, &out) == 0 && out.st_rdev == null.st_rdev);
		/* Each descriptor says which one it is. */
		for (int fd = TR_FD_FIRST + 1; fd < TR_FD_FIRST + 4; fd++) {
			char c = '?';

			(void)!read(fd, &c, 1);
			tr_buf_add8(&b, (uint8_t)c);
		}
	} else if (strcmp(what, "env") == 0) {
		for (char **e = environ; *e; e++)
			/* Sanitizers add to their own environment. */
			if (strncmp(*e, "ASAN_", 5) != 0 && strncmp(*e, "UBSAN_", 6) != 0)
				tr_buf_addf(&b, "%s\n", *e);
		for (int i = 0; i < argc; i++)
			tr_buf_addf(&b, "%s,", argv[i]);
	} else if (strcmp(what, "state") == 0) {
		list_signals(&b);
		(void)prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
		(void)getrlimit(RLIMIT_CORE, &core);
		tr_buf_addf(&b, "death %d core %lu %lu session %d", death, (unsigned long)core.rlim_cur,
			    (unsigned long)core.rlim_max, getsid(0) == getpid());
	} else if (strcmp(what, "parent") == 0) {
		/* A supervisor in the middle: starts a role that would live on, tells its pid, and dies. */
		const char *const args[] = { "t", "role", "sleep", NULL };
		const int fds[] = { TR_FD_FIRST };
		const struct tr_spawn s = { .argv = args, .fds = fds, .n_fds = 1 };
		struct tr_err err;
		pid_t pid;

		if (tr_spawn_self(&s, &pid, &err))
			return 1;
		(void)!write(TR_FD_FIRST, "up", 2);
		(void)raise(SIGKILL);
	} else if (strcmp(what, "sleep") == 0) {
		(void)sleep(60);
	}
	return write(TR_FD_FIRST, b.p, b.n) == (ssize_t)b.n ? 0 : 1;
}

/* Runs a role with a pipe (and more) and returns all that it wrote. */
static void ask(const char *what, const int *more, size_t n_more, const char *const *keep, struct tr_buf *ret)
{
	const char *const argv[] = { "troth-test", "role", what, "last", NULL };
	int fds[8], ends[2], status;
	struct tr_spawn s = { .argv = argv, .fds = fds, .n_fds = 1 + n_more, .keep_env = keep };
	struct tr_err err;
	char c;
	pid_t pid;

	assert_int_equal(pipe(ends),
			 0); /* not close-on-exec, on purpose: the other end must not get through */
	fds[0] = ends[1];
	for (size_t i = 0; i < n_more; i++)
		fds[1 + i] = more[i];
	if (tr_spawn_self(&s, &pid, &err))
		fail_msg("%s", err.detail);
	(void)close(ends[1]);
	while (read(ends[0], &c, 1) == 1)
		tr_buf_add8(ret, (uint8_t)c);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void descriptors_arrive_at_fixed_numbers_and_no_others(void **state)
{
	/* Every order of three sources that overlap the targets. */
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					 { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(orders); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		int fds[3], ends[3][2];
		char want[64];

		for (int k = 0; k < 3; k++) {
			assert_int_equal(pipe(ends[k]), 0);
			assert_int_equal(write(ends[k][1], &"abc"[k], 1), 1);
		}
		for (int k = 0; k < 3; k++)
			fds[k] = ends[orders[i][k]][0];
		ask("fds", fds, 3, NULL, &b);
		(void)snprintf(want, sizeof(want), "fds 0 1 2 3 4 5 6\nnull 1 1\n%c%c%c", 'a' + orders[i][0],
			       'a' + orders[i][1], 'a' + orders[i][2]);
		assert_string_equal(tr_buf_cstr(&b), want);
		for (int k = 0; k < 3; k++) {
			(void)close(ends[k][0]);
			(void)close(ends[k][1]);
		}
	}
}

static void the_environment_is_what_is_named(void **state)
{
	static const char *const keep[] = { "TROTH_T_KEPT", "TROTH_T_ABSENT", "TROTH_T", NULL };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf none = TR_BUF_INIT;

	(void)state;
	(void)setenv("TROTH_T_KEPT", "yes=1", 1);
	(void)setenv("TROTH_T_LEFT", "secret", 1);
	ask("env", NULL, 0, keep, &b);
	assert_string_equal(tr_buf_cstr(&b), "TROTH_T_KEPT=yes=1\ntroth-test,role,env,last,");
	ask("env", NULL, 0, NULL, &none);
	assert_string_equal(tr_buf_cstr(&none), "troth-test,role,env,last,");
}

static void nothing(int signo)
{
	(void)signo;
}

static void signals_limits_and_session_start_clean(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	sigset_t set, old;

	(void)state;
	(void)signal(SIGUSR1, nothing);
	(void)signal(SIGPIPE, SIG_IGN); /* would survive exec */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	ask("state", NULL, 0, NULL, &b);
	assert_string_equal(tr_buf_cstr(&b), "blocked 0 handled 0\ndeath 9 core 0 0 session 1");
	/* And ours are as they were. */
	(void)sigprocmask(SIG_SETMASK, &old, &set);
	assert_int_equal(sigismember(&set, SIGTERM), 1);
	assert_int_equal(sigismember(&set, SIGUSR2), 0);
}

static void a_role_dies_with_its_parent(void **state)
{
	const char *const argv[] = { "t", "role", "parent", NULL };
	int ends[2];
	const struct tr_spawn s = { .argv = argv, .fds = &ends[1], .n_fds = 1 };
	struct tr_err err;
	char got[3] = "";
	pid_t pid;
	struct pollfd p;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(tr_spawn_self(&s, &pid, &err), TR_OK);
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], got, 2), 2);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* The grandchild would hold the pipe open for a minute. */
	p = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(read(ends[0], got, 1), 0);
	(void)close(ends[0]);
}

static void a_failed_start_is_an_error_and_leaves_no_child(void **state)
{
	const char *const argv[] = { "t", "role", "fds", NULL };
	const int closed = 999;
	const struct tr_spawn s = { .argv = argv, .fds = &closed, .n_fds = 1 };
	const struct tr_spawn many = { .argv = argv, .fds = &closed, .n_fds = TR_SPAWN_FDS_MAX + 1 };
	struct tr_err err;
	pid_t pid = -7;

	(void)state;
	assert_int_equal(tr_spawn_self(&s, &pid, &err), TR_E_INTERNAL);
	assert_non_null(strstr(err.detail, "place descriptors"));
	assert_int_equal(pid, -7);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(tr_spawn_self(&many, &pid, &err), TR_E_INTERNAL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_arrive_at_fixed_numbers_and_no_others),
		cmocka_unit_test(the_environment_is_what_is_named),
		cmocka_unit_test(signals_limits_and_session_start_clean),
		cmocka_unit_test(a_role_dies_with_its_parent),
		cmocka_unit_test(a_failed_start_is_an_error_and_leaves_no_child),
	};

	if (argc >= 3 && strcmp(argv[1], "role") == 0)
		return role(argv[2], argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
