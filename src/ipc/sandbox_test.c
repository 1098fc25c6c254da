/* SPDX-License-Identifier: Apache-2.0 */
/* Every case runs in a child of its own: what a sandbox takes away does not come back. */
#include "ipc/sandbox.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/chan.h"
#include "ipc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[] = "/tmp/troth-sandbox-XXXXXX";

/* The line of the first failed step, as an exit code would cut it off, goes to stderr. */
#define NEED(cond)                                                                                         \
	do {                                                                                               \
		if (!(cond)) {                                                                             \
			(void)fprintf(stderr, "line %d: %s: errno %d\n", __LINE__, #cond, errno);          \
			_exit(1);                                                                          \
		}                                                                                          \
	} while (0)

/* What a role brings along through its filter. */
struct bag {
	enum tr_proc role;
	struct tr_loop *loop;
	struct tr_chan *chan;
	struct tr_watch *timer, *peer_watch;
	int peer, listener, client;
	unsigned got;
};

static void on_frame(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct bag *b = arg;

	(void)c;
	(void)f;
	b->got++;
	tr_loop_stop(b->loop);
}

static void on_end(void *arg, struct tr_chan *c, const char *why)
{
	(void)arg;
	(void)c;
	(void)why;
	_exit(1);
}

static void on_timer(void *arg)
{
	tr_loop_stop(((struct bag *)arg)->loop);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = { [1] = { on_frame, 64 } };

static void warm_up(struct bag *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	struct tr_err err;
	int fds[2];

	NEED(tr_loop_new(&b->loop, &err) == TR_OK);
	NEED(tr_socketpair(fds, &err) == TR_OK);
	NEED(tr_chan_new(b->loop, fds[0], rules, on_end, b, &b->chan, &err) == TR_OK);
	b->peer = fds[1];
	b->listener = socket(AF_INET, SOCK_STREAM, 0);
	NEED(bind(b->listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(b->listener, 5) == 0);
	NEED(getsockname(b->listener, (struct sockaddr *)&at, &n) == 0);
	b->client = socket(AF_INET, SOCK_STREAM, 0);
	NEED(connect(b->client, (struct sockaddr *)&at, sizeof(at)) == 0);
}

static void work_common(struct bag *b)
{
	uint8_t frame[TR_FRAME_HEAD];
	struct tr_watch *timer;
	struct tr_secret *secret = tr_secret_new(100);
	struct stat st;
	struct rlimit lim;
	struct tr_err err;
	void *p;

	/* Memory, small and large, grown and given back. */
	p = malloc(100);
	NEED(p);
	p = realloc(p, (size_t)64 << 20);
	NEED(p);
	memset(p, 1, (size_t)64 << 20);
	free(p);
	NEED(secret);
	(void)tr_secret_free(secret);
	/* Channel, loop and a timer made only now. */
	tr_frame_head(frame, 1, 1, 0);
	NEED(send(b->peer, frame, sizeof(frame), 0) == sizeof(frame));
	tr_loop_run(b->loop);
	NEED(b->got == 1);
	tr_chan_send(b->chan, 1, 2, TR_VIEW_LIT("answer"));
	tr_chan_flush(b->chan, 100);
	NEED(tr_chan_queued(b->chan) == 0);
	NEED(tr_watch_timer(b->loop, on_timer, b, &timer, &err) == TR_OK);
	tr_timer_arm(timer, 5);
	tr_loop_run(b->loop);
	(void)tr_watch_free(timer);
	NEED(tr_watch_fd(b->loop, b->peer, TR_WATCH_READ, on_timer, b, &b->peer_watch, &err) == TR_OK);
	/* Clock, random bytes, a log line with its time: the first one of this process. */
	NEED(tr_now_ms() > 0 && tr_mono_ms() > 0);
	NEED(syscall(SYS_clock_gettime, CLOCK_REALTIME, &(struct timespec){ 0 }) == 0);
	NEED(getrandom(frame, sizeof(frame), 0) == sizeof(frame));
	tr_log(TR_LOG_INFO, "sandbox_test", "role", tr_proc_name(b->role), NULL);
	NEED(usleep(1000) == 0);
	NEED(fstat(2, &st) == 0);
	NEED(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	NEED(fcntl(b->peer, F_SETFL, fcntl(b->peer, F_GETFL) | O_NONBLOCK) == 0);
	NEED(signal(SIGUSR1, SIG_IGN) != SIG_ERR && raise(SIGUSR1) == 0);
}

static void work_front(struct bag *b)
{
	int one = 1, e = 0;
	struct sockaddr_storage at;
	socklen_t n = sizeof(at), en = sizeof(e);
	int fd = accept4(b->listener, (struct sockaddr *)&at, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	char c;

	NEED(fd >= 0);
	NEED(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	NEED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &en) == 0);
	NEED(getpeername(fd, (struct sockaddr *)&at, &n) == 0);
	NEED(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	/* A TLS library that asks for kernel TLS is told no and lives. */
	NEED(setsockopt(fd, IPPROTO_TCP, 31, "tls", 4) == -1);
	NEED(send(fd, "x", 1, MSG_NOSIGNAL) == 1 && recv(b->client, &c, 1, 0) == 1);
	NEED(shutdown(fd, SHUT_WR) == 0 && close(fd) == 0);
}

static void work_store(struct bag *b)
{
	tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char path[64];
	struct tr_err err;
	uint8_t *shared;
	int fd;

	(void)b;
	(void)snprintf(path, sizeof(path), "%s/store.db", dir);
	NEED(tr_file_write(path, TR_VIEW_LIT("0123456789"), 0600, &err) == TR_OK);
	NEED(tr_file_read(path, 100, &got, &err) == TR_OK && got.n == 10);
	fd = open(path, O_RDWR | O_CLOEXEC);
	NEED(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
	NEED(pwrite(fd, "x", 1, 4096) == 1 && fdatasync(fd) == 0 && fsync(fd) == 0 &&
	     ftruncate(fd, 4096) == 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(shared != MAP_FAILED && shared[1] == '1');
	NEED(munmap(shared, 4096) == 0);
	NEED(access(path, F_OK) == 0 && close(fd) == 0 && unlink(path) == 0);
}

static void work_store_ro(struct bag *b)
{
	tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
	char path[64];
	struct tr_err err;
	int fd;

	(void)b;
	(void)snprintf(path, sizeof(path), "%s/kept", dir);
	NEED(tr_file_read(path, 100, &got, &err) == TR_OK && tr_view_is(tr_buf_view(&got), "kept"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && fcntl(fd, F_SETLK, &(struct flock){ .l_type = F_RDLCK, .l_len = 1 }) == 0);
	NEED(pread(fd, path, 1, 0) == 1);
	/* SQLite tries to write and takes no for an answer. */
	(void)snprintf(path, sizeof(path), "%s/kept", dir);
	NEED(open(path, O_RDWR | O_CREAT, 0600) == -1);
	NEED(unlink(path) == -1);
	NEED(access(path, F_OK) == 0);
}

static void work_egress(struct bag *b)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct sockaddr_storage at;
	socklen_t n = sizeof(at);
	struct addrinfo *found = NULL;
	struct tr_err err;
	int fds[2];
	int one = 1, fd, queued = 0;

	if (tr_sandbox_fenced()) {
		NEED(getaddrinfo("localhost", "1", &hints, &found) == 0 && found);
		freeaddrinfo(found);
	}
	NEED(getsockname(b->listener, (struct sockaddr *)&at, &n) == 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	NEED(fd >= 0 && (connect(fd, (struct sockaddr *)&at, n) == 0 || errno == EINPROGRESS));
	NEED(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	NEED(ioctl(fd, SIOCOUTQ, &queued) == 0 && close(fd) == 0);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	NEED(fd < 0 || close(fd) == 0); /* a kernel without IPv6 is not the filter's no */
	NEED(tr_socketpair(fds, &err) == TR_OK);
	NEED(socket(AF_NETLINK, SOCK_RAW, 0) == -1 && errno == EAFNOSUPPORT);
	/* Without Landlock around it, it opens nothing at all. */
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	NEED(tr_sandbox_fenced() ? fd >= 0 && close(fd) == 0 : fd == -1 && errno == EACCES);
}

/* Both ways for egress, whose filter differs; and keys with a token, with Landlock and as if there were none. */
static bool fence, token;
static const char *token_folder;

/* What SoftHSM does to sign, to log in and to complain. */
static void work_keys(struct bag *b)
{
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	char kept[64], made[64];
	int fd;

	(void)b;
	if (!token)
		return;
	(void)snprintf(kept, sizeof(kept), "%s/kept", dir);
	(void)snprintf(made, sizeof(made), "%s/made", dir);
	NEED(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) == -1 && errno == EAFNOSUPPORT);
	NEED(open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
	NEED(unlink(kept) == -1 && errno == EACCES);
	fd = open(kept, O_RDWR | O_CLOEXEC);
	if (!tr_sandbox_fenced()) {
		NEED(fd == -1 && errno == EACCES);
		return;
	}
	NEED(fd >= 0 && fcntl(fd, F_SETLKW, &whole) == 0);
	whole.l_type = F_UNLCK;
	NEED(fcntl(fd, F_SETLK, &whole) == 0 && close(fd) == 0);
	fd = open(made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	NEED(fd >= 0 && write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0 && fsync(fd) == 0 && close(fd) == 0);
}

static void (*const works[TR_PROC_N])(struct bag *) = {
	[TR_PROC_FRONT] = work_front,
	[TR_PROC_STORE] = work_store,
	[TR_PROC_STORE_RO] = work_store_ro,
	[TR_PROC_KEYS] = work_keys,
	[TR_PROC_EGRESS] = work_egress,
};

/* Forbidden calls: each must kill the roles named. Those that fork or execute end the child by themselves if
 * let. */
static void try_probe(enum tr_proc r)
{
	tr_sandbox_probe(r);
}

static void try_connect(enum tr_proc r)
{
	(void)r;
	(void)connect(0, NULL, 0);
}

static void try_bind(enum tr_proc r)
{
	(void)r;
	(void)bind(0, NULL, 0);
}

static void try_listen(enum tr_proc r)
{
	(void)r;
	(void)listen(0, 1);
}

static void try_accept(enum tr_proc r)
{
	(void)r;
	(void)accept4(0, NULL, NULL, 0);
}

static void try_execve(enum tr_proc r)
{
	char *const argv[] = { NULL };

	(void)r;
	(void)execve("/nonexistent", argv, argv);
}

static void try_fork(enum tr_proc r)
{
	(void)r;
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
		_exit(0);
}

static void try_ptrace(enum tr_proc r)
{
	(void)r;
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_kill(enum tr_proc r)
{
	(void)r;
	(void)kill(getppid(), 0);
}

static void try_tgkill(enum tr_proc r)
{
	(void)r;
	(void)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void try_open(enum tr_proc r)
{
	(void)r;
	(void)open("/dev/null", O_RDONLY);
}

static void try_open_write(enum tr_proc r)
{
	(void)r;
	(void)open("/dev/null", O_WRONLY);
}

static void try_open_create(enum tr_proc r)
{
	(void)r;
	(void)open("/dev/null", O_RDONLY | O_CREAT, 0600);
}

static void try_stat(enum tr_proc r)
{
	struct stat st;

	(void)r;
	(void)syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st, 0);
}

static void try_exec_memory(enum tr_proc r)
{
	(void)r;
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_make_executable(enum tr_proc r)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)r;
	(void)mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void try_mkdir(enum tr_proc r)
{
	(void)r;
	(void)mkdir("/nonexistent/x", 0700);
}

static void try_raise_limit(enum tr_proc r)
{
	struct rlimit lim = { 0, 0 };

	(void)r;
	(void)setrlimit(RLIMIT_CORE, &lim);
}

static void try_setuid(enum tr_proc r)
{
	(void)r;
	if (setresuid(1, 1, 1))
		return; /* the caller looks at errno */
}

static void try_io_uring(enum tr_proc r)
{
	(void)r;
	(void)syscall(SYS_io_uring_setup, 1, NULL);
}

static void try_socket_filter(enum tr_proc r)
{
	(void)r;
	(void)setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, "", 0);
}

static void try_packet_socket(enum tr_proc r)
{
	(void)r;
	(void)socket(AF_PACKET, SOCK_DGRAM, 0);
}

/* Without a stack: the kernel says no to it, after the filter. */
static void try_thread(enum tr_proc r)
{
	(void)r;
	(void)syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0);
}

#define EVERY ((1u << TR_PROC_N) - 1)
#define BIT(r) (1u << TR_PROC_##r)
#define NO_FILES (BIT(FRONT) | BIT(CORE) | BIT(KEYS) | BIT(APPRAISE))

static const struct {
	const char *label;
	void (*fn)(enum tr_proc r);
	unsigned roles;
} forbidden[] = {
	{ "connect", try_connect, EVERY & ~BIT(EGRESS) },
	{ "bind", try_bind, EVERY },
	{ "listen", try_listen, EVERY },
	{ "accept4", try_accept, EVERY & ~BIT(FRONT) },
	{ "execve", try_execve, EVERY },
	{ "fork", try_fork, EVERY },
	{ "ptrace", try_ptrace, EVERY },
	{ "kill", try_kill, EVERY },
	{ "tgkill of another", try_tgkill, EVERY },
	{ "open for reading", try_open, NO_FILES },
	{ "open for writing", try_open_write, EVERY & ~BIT(STORE) },
	{ "open to create", try_open_create, EVERY & ~BIT(STORE) },
	{ "stat of a path", try_stat, NO_FILES },
	{ "executable memory", try_exec_memory, EVERY },
	{ "memory made executable", try_make_executable, EVERY },
	{ "mkdir", try_mkdir, EVERY },
	{ "setrlimit", try_raise_limit, EVERY },
	{ "setresuid", try_setuid, EVERY },
	{ "io_uring", try_io_uring, EVERY },
	{ "a socket filter", try_socket_filter, EVERY },
	{ "a packet socket", try_packet_socket, EVERY },
	{ "a thread", try_thread, EVERY },
};

static int wait_for(pid_t pid)
{
	int status = 0;

	assert_true(pid > 0);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return status;
}

static void put_fence(enum tr_proc role)
{
	const char *const folders[] = { token_folder, NULL };

	if (fence && role == TR_PROC_EGRESS)
		(void)tr_sandbox_landlock_egress();
	if (token && role == TR_PROC_KEYS)
		(void)tr_sandbox_landlock_token(folders);
}

static void child_probe(enum tr_proc role, void (*fn)(enum tr_proc))
{
	struct tr_err err;

	NEED(tr_sandbox_harden(&err) == TR_OK);
	put_fence(role);
	NEED(tr_sandbox_filter(role, &err) == TR_OK);
	errno = 0;
	fn(role);
	_exit(errno == EPERM ? 3 : 0);
}

static void assert_forbidden(enum tr_proc role, const char *label, void (*fn)(enum tr_proc))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child_probe(role, fn);
	status = wait_for(pid);
#ifdef TROTH_SANITIZED
	/* There the filter refuses instead of killing. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
#else
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
#endif
		fail_msg("%s: %s got through, status %x", tr_proc_name(role), label, status);
}

/* Refused to keys with a token, or for Landlock to say: no death. */
static bool is_of_files(void (*fn)(enum tr_proc))
{
	return fn == try_open || fn == try_open_write || fn == try_open_create || fn == try_stat;
}

static void check_role(enum tr_proc role)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct bag b = { .role = role };
		struct tr_err err;

		tr_log_init(tr_proc_name(role), TR_LOG_INFO);
		warm_up(&b);
		NEED(tr_sandbox_harden(&err) == TR_OK);
		put_fence(role);
		NEED(tr_sandbox_filter(role, &err) == TR_OK);
		work_common(&b);
		if (works[role])
			works[role](&b);
		_exit(0);
	}
	status = wait_for(pid);
	if (status != 0)
		fail_msg("%s cannot do its work: status %x", tr_proc_name(role), status);
	assert_forbidden(role, "the probe", try_probe);
	for (size_t i = 0; i < TR_ARRAY_LEN(forbidden); i++)
		if (forbidden[i].roles & 1u << role && !(token && is_of_files(forbidden[i].fn)))
			assert_forbidden(role, forbidden[i].label, forbidden[i].fn);
}

static void front_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_FRONT);
}

static void core_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_CORE);
}

static void store_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_STORE);
}

static void store_ro_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_STORE_RO);
}

static void keys_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_KEYS);
}

static void keys_with_a_token_works_and_is_killed_for_more(void **state)
{
	char made[64];

	(void)state;
	token = true;
	token_folder = dir;
	check_role(TR_PROC_KEYS);
	token_folder = "/nonexistent"; /* as where the kernel has no Landlock */
	check_role(TR_PROC_KEYS);
	token = false;
	(void)snprintf(made, sizeof(made), "%s/made", dir);
	(void)unlink(made);
}

static void *idle(void *arg)
{
	(void)pause();
	return arg;
}

static void threads_are_noticed(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct tr_err err;
		pthread_t t;

		NEED(tr_sandbox_one_thread(&err) == TR_OK);
		NEED(pthread_create(&t, NULL, idle, NULL) == 0);
		NEED(tr_sandbox_one_thread(&err) == TR_E_INVALID);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
}

static void appraise_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_APPRAISE);
}

static void egress_works_and_is_killed_for_more(void **state)
{
	(void)state;
	check_role(TR_PROC_EGRESS);
	fence = true;
	check_role(TR_PROC_EGRESS);
	fence = false;
}

static void an_abort_under_the_filter_is_an_abort(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct tr_err err;

		NEED(tr_sandbox_filter(TR_PROC_KEYS, &err) == TR_OK);
		abort();
	}
	status = wait_for(pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void names_and_roles_match(void **state)
{
	enum tr_proc r = TR_PROC_N;

	(void)state;
	for (unsigned i = 0; i < TR_PROC_N; i++) {
		assert_true(tr_proc_from_name(tr_proc_name((enum tr_proc)i), &r));
		assert_int_equal(r, i);
	}
	assert_false(tr_proc_from_name("", &r));
	assert_false(tr_proc_from_name("Front", &r));
}

static void hardening_sticks(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct rlimit core;
		struct tr_err err;

		NEED(tr_sandbox_harden(&err) == TR_OK);
		NEED(prctl(PR_GET_DUMPABLE) == 0);
		NEED(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
		NEED(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
}

static void root_is_given_up_for_good(void **state)
{
	unsigned uid = 0, gid = 0;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		assert_false(tr_sandbox_target_ids(&uid, &gid));
		print_message("skipped: only root has root to give up\n");
		skip();
	}
	assert_true(tr_sandbox_target_ids(&uid, &gid));
	assert_int_not_equal(uid, 0);
	assert_int_not_equal(gid, 0);
	pid = fork();
	if (pid == 0) {
		struct tr_err err;
		int death = 0;

		NEED(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		NEED(tr_sandbox_drop_root(&err) == TR_OK);
		NEED(getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid);
		NEED(getgroups(0, NULL) == 0);
		NEED(setuid(0) == -1 && seteuid(0) == -1 && setgid(0) == -1);
		NEED(open("/etc/shadow", O_RDONLY) == -1 && errno == EACCES);
		NEED(prctl(PR_CAPBSET_READ, 0) == 0);
		NEED(prctl(PR_GET_PDEATHSIG, &death) == 0 && death == SIGKILL);
		NEED(tr_sandbox_drop_root(&err) == TR_OK); /* twice is fine */
		NEED(!tr_sandbox_target_ids(&uid, &gid));
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
}

static void landlock_leaves_one_folder_or_none(void **state)
{
	char path[64], made[64];
	int abi;
	pid_t pid;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/kept", dir);
	(void)snprintf(made, sizeof(made), "%s/made", dir);
	pid = fork();
	if (pid == 0)
		_exit(tr_sandbox_landlock(NULL));
	abi = WEXITSTATUS(wait_for(pid));
	if (abi == 0) {
		print_message("skipped: this kernel has no Landlock\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		NEED(tr_sandbox_landlock(NULL) == abi);
		NEED(open(path, O_RDONLY) == -1 && errno == EACCES);
		NEED(open("/etc/passwd", O_RDONLY) == -1 && errno == EACCES);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
	pid = fork();
	if (pid == 0) {
		struct tr_err err;

		NEED(tr_sandbox_landlock(dir) == abi);
		NEED(open("/etc/passwd", O_RDONLY) == -1 && errno == EACCES);
		NEED(tr_file_write(made, TR_VIEW_LIT("x"), 0600, &err) == TR_OK);
		NEED(truncate(made, 0) == 0 && unlink(made) == 0);
		NEED(mkdir(made, 0700) == -1 && symlink(path, made) == -1);
		NEED(link("/etc/passwd", made) == -1);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
	/* Who speaks outward reads what names need, and nothing else. */
	pid = fork();
	if (pid == 0) {
		NEED(tr_sandbox_landlock_egress() == abi);
		NEED(open("/etc/passwd", O_RDONLY) >= 0);
		NEED(open("/etc/passwd", O_WRONLY) == -1 && errno == EACCES);
		NEED(open(path, O_RDONLY) == -1 && errno == EACCES);
		NEED(open("/proc/self/status", O_RDONLY) == -1 && errno == EACCES);
		_exit(0);
	}
	assert_int_equal(wait_for(pid), 0);
	/* A folder that is not there restricts nothing, and says so. */
	pid = fork();
	if (pid == 0)
		_exit(tr_sandbox_landlock("/nonexistent"));
	assert_int_equal(wait_for(pid), 0);
}

static int make_dir(void **state)
{
	char path[64];
	struct tr_err err;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/kept", dir);
	return tr_file_write(path, TR_VIEW_LIT("kept"), 0600, &err) == TR_OK ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/kept", dir);
	(void)unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(front_works_and_is_killed_for_more),
		cmocka_unit_test(core_works_and_is_killed_for_more),
		cmocka_unit_test(store_works_and_is_killed_for_more),
		cmocka_unit_test(store_ro_works_and_is_killed_for_more),
		cmocka_unit_test(keys_works_and_is_killed_for_more),
		cmocka_unit_test(keys_with_a_token_works_and_is_killed_for_more),
		cmocka_unit_test(threads_are_noticed),
		cmocka_unit_test(appraise_works_and_is_killed_for_more),
		cmocka_unit_test(egress_works_and_is_killed_for_more),
		cmocka_unit_test(an_abort_under_the_filter_is_an_abort),
		cmocka_unit_test(names_and_roles_match),
		cmocka_unit_test(hardening_sticks),
		cmocka_unit_test(root_is_given_up_for_good),
		cmocka_unit_test(landlock_leaves_one_folder_or_none),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
