/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp allow lists, one table for all roles: a row is a system call and the roles that may make it.
 * Plain rows are cheap (the kernel caches them in a bitmap); rows that look at arguments are not, so none is
 * on a hot path. */
#include "ipc/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define FRONT (1u << TR_PROC_FRONT)
#define CORE (1u << TR_PROC_CORE)
#define STORE (1u << TR_PROC_STORE)
#define STORE_RO (1u << TR_PROC_STORE_RO)
#define STORES (STORE | STORE_RO)
#define EGRESS (1u << TR_PROC_EGRESS)
/* No roles: egress with and without Landlock around it. */
#define FENCED (1u << TR_PROC_N)
#define UNFENCED (1u << (TR_PROC_N + 1))
/* keys with a token, and the same without Landlock around it. */
#define TOKEN (1u << (TR_PROC_N + 2))
#define TOKEN_FENCED (1u << (TR_PROC_N + 3))
#define TOKEN_UNFENCED (1u << (TR_PROC_N + 4))
#define ALL ((1u << TR_PROC_N) - 1)

struct rule {
	unsigned roles;
	int call;
	unsigned n; /* of args */
	struct scmp_arg_cmp args[2];
};

#define CALL(roles, name) { roles, SCMP_SYS(name), 0, { { 0 } } }
#define CALL1(roles, name, a) { roles, SCMP_SYS(name), 1, { a } }
#define CALL2(roles, name, a, b) { roles, SCMP_SYS(name), 2, { a, b } }
#define EQ(i, v) { i, SCMP_CMP_EQ, (scmp_datum_t)(v), 0 }
#define MASK(i, mask, v) { i, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(v) }

static const struct rule allowed[] = {
	/* Channels and connections that exist already. */
	CALL(ALL, read),
	CALL(ALL, write),
	CALL(ALL, readv),
	CALL(ALL, writev),
	CALL(ALL, recvfrom),
	CALL(ALL, recvmsg),
	CALL(ALL, sendto),
	CALL(ALL, sendmsg),
	CALL(ALL, close),
	CALL(ALL, lseek),
	CALL1(ALL, fcntl, EQ(1, F_GETFD)),
	CALL1(ALL, fcntl, EQ(1, F_SETFD)),
	CALL1(ALL, fcntl, EQ(1, F_GETFL)),
	CALL1(ALL, fcntl, EQ(1, F_SETFL)),
	/* The loop. */
	CALL(ALL, epoll_ctl),
	CALL(ALL, epoll_wait),
	CALL(ALL, epoll_pwait),
	CALL(ALL, epoll_pwait2),
	CALL(ALL, poll),
	CALL(ALL, ppoll),
	/* Memory, never executable. */
	CALL(ALL, brk),
	CALL1(ALL, mmap, MASK(2, PROT_EXEC, 0)),
	CALL1(ALL, mprotect, MASK(2, PROT_EXEC, 0)),
	CALL(ALL, munmap),
	CALL(ALL, mremap),
	CALL(ALL, madvise),
	CALL(ALL, mlock),
	CALL(ALL, mlock2),
	CALL(ALL, munlock),
	/* Time, where the vDSO falls back. */
	CALL(ALL, clock_gettime),
	CALL(ALL, clock_getres),
	CALL(ALL, clock_nanosleep),
	CALL(ALL, nanosleep),
	CALL(ALL, gettimeofday),
	CALL(ALL, time),
	CALL(ALL, getrandom),
	/* What libc does by itself. glibc 2.36 makes fstat from newfstatat; its qsort asks sysinfo how much
	 * it may allocate. */
	CALL(ALL, fstat),
	CALL1(ALL, newfstatat, MASK(3, AT_EMPTY_PATH, AT_EMPTY_PATH)),
	CALL(ALL, futex),
	CALL(ALL, rseq),
	CALL(ALL, set_robust_list),
	CALL(ALL, restart_syscall),
	CALL(ALL, sched_yield),
	CALL(ALL, sched_getaffinity),
	CALL(ALL, getcpu),
	CALL(ALL, sysinfo),
	CALL(ALL, uname),
	CALL(ALL, getrusage),
	CALL(ALL, getpid),
	CALL(ALL, getppid),
	CALL(ALL, gettid),
	CALL(ALL, getuid),
	CALL(ALL, geteuid),
	CALL(ALL, getgid),
	CALL(ALL, getegid),
	CALL1(ALL, prlimit64, EQ(2, 0)), /* reads; of ourselves and our kind only, by uid */
	CALL(ALL, rt_sigaction),
	CALL(ALL, rt_sigprocmask),
	CALL(ALL, rt_sigreturn),
	CALL(ALL, rt_sigpending),
	CALL(ALL, sigaltstack),
	CALL(ALL, exit),
	CALL(ALL, exit_group),

	/* Is the clock synchronised? Setting it takes a capability that is gone. */
	CALL(CORE, adjtimex),
	CALL(CORE, clock_adjtime),

	/* Connections come from listening sockets that the supervisor made. */
	CALL(FRONT, accept),
	CALL(FRONT, accept4),
	CALL(FRONT, shutdown),
	CALL(FRONT, getpeername),
	CALL(FRONT, getsockname),
	CALL(FRONT, getsockopt),
	CALL2(FRONT, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_NODELAY)),
	CALL2(FRONT, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_CORK)),
	CALL2(FRONT, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_USER_TIMEOUT)),
	CALL2(FRONT, setsockopt, EQ(1, SOL_SOCKET), EQ(2, SO_KEEPALIVE)),
	CALL2(FRONT, setsockopt, EQ(1, SOL_SOCKET), EQ(2, SO_LINGER)),

	/* SQLite and the files of the state folder. Which files is for Landlock to say:
	 * none but those that are open already. */
	CALL(STORE, open),
	CALL(STORE, openat),
	/* The twin may only open for reading. A WAL reader wants to write to the shared -shm file, to take a
	 * place there: what was opened before the filter can; later it is refused, and SQLite only reads. */
	CALL1(STORE_RO, open, MASK(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	CALL1(STORE_RO, openat, MASK(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	CALL(STORES, stat),
	CALL(STORES, lstat),
	CALL(STORES, newfstatat),
	CALL(STORES, statx),
	CALL(STORES, statfs),
	CALL(STORES, fstatfs),
	CALL(STORES, access),
	CALL(STORES, faccessat),
	CALL(STORES, faccessat2),
	CALL(STORES, getcwd),
	CALL(STORES, readlink),
	CALL(STORES, readlinkat),
	CALL(STORES, pread64),
	CALL(STORES, pwrite64), /* the twin can only write to -shm, which recovery may extend */
	CALL(STORES, fsync),
	CALL(STORES, fdatasync),
	CALL(STORES, ftruncate),
	CALL1(STORES, fcntl, EQ(1, F_GETLK)),
	CALL1(STORES, fcntl, EQ(1, F_SETLK)),
	CALL1(STORES, fcntl, EQ(1, F_SETLKW)),
	CALL1(STORES, fcntl, EQ(1, F_DUPFD_CLOEXEC)), /* SQLite keeps its descriptors above 2 */
	CALL1(STORES, fcntl, EQ(1, F_DUPFD)),
	CALL(STORE, fallocate),
	CALL(STORE, fchmod),
	CALL(STORE, fchown),
	CALL(STORE, unlink),
	CALL(STORE, unlinkat),
	CALL(STORE, rename),
	CALL(STORE, renameat),
	CALL(STORE, renameat2),
	CALL(STORE, umask),

	/* A token's library on its files (SoftHSM opens, locks and reads two for each signature; a login writes one). Which
	 * files is for Landlock to say, or none are opened. */
	CALL(TOKEN_FENCED, open),
	CALL(TOKEN_FENCED, openat),
	CALL(TOKEN, stat),
	CALL(TOKEN, lstat),
	CALL(TOKEN, newfstatat),
	CALL(TOKEN, statx),
	CALL(TOKEN, access),
	CALL(TOKEN, faccessat),
	CALL(TOKEN, faccessat2),
	CALL(TOKEN, readlink),
	CALL(TOKEN, readlinkat),
	CALL(TOKEN, getdents64),
	CALL(TOKEN, pread64),
	CALL(TOKEN, pwrite64),
	CALL(TOKEN, fsync),
	CALL(TOKEN, fdatasync),
	CALL(TOKEN, ftruncate),
	CALL(TOKEN, flock),
	CALL1(TOKEN, fcntl, EQ(1, F_GETLK)),
	CALL1(TOKEN, fcntl, EQ(1, F_SETLK)),
	CALL1(TOKEN, fcntl, EQ(1, F_SETLKW)),

	/* Outward only: no bind, no listen, no accept; sockets of three families and no others. */
	CALL1(EGRESS, socket, EQ(0, AF_INET)),
	CALL1(EGRESS, socket, EQ(0, AF_INET6)),
	CALL1(EGRESS, socket, EQ(0, AF_UNIX)),
	CALL(EGRESS, connect),
	CALL(EGRESS, shutdown),
	CALL(EGRESS, getpeername),
	CALL(EGRESS, getsockname),
	CALL(EGRESS, getsockopt),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_NODELAY)),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_KEEPIDLE)),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_KEEPINTVL)),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_KEEPCNT)),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_USER_TIMEOUT)), /* libpq's */
	CALL2(EGRESS, setsockopt, EQ(1, SOL_SOCKET), EQ(2, SO_KEEPALIVE)),
	/* The resolver's, to hear at once that nobody listens. */
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_IP), EQ(2, IP_RECVERR)),
	CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_IPV6), EQ(2, IPV6_RECVERR)),
	CALL(EGRESS, sendmmsg),
	CALL1(EGRESS, ioctl, EQ(1, FIONREAD)),
	CALL1(EGRESS, ioctl, EQ(1, SIOCOUTQ)), /* has the peer taken it all? */
	/* libcurl's own wake-ups. */
	CALL(EGRESS, pipe2),
	CALL(EGRESS, eventfd2),
	CALL1(EGRESS, socketpair, EQ(0, AF_UNIX)),
	/* resolv.conf and hosts. Which files is for Landlock to say, or none are opened. */
	CALL1(FENCED, open, MASK(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	CALL1(FENCED, openat, MASK(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
	CALL(EGRESS, stat),
	CALL(EGRESS, newfstatat),
	CALL(EGRESS, statx),
	CALL(EGRESS, access),
	CALL(EGRESS, faccessat),
	CALL(EGRESS, readlink),
	CALL(EGRESS, readlinkat),
	CALL1(EGRESS, fcntl, EQ(1, F_DUPFD_CLOEXEC)),
};

/* Calls that libraries try and can live without: an error instead of death, which keeps a harmless difference
 * between library versions from being an outage. Never EPERM: libseccomp refuses a rule that repeats the
 * default action, which is EPERM under sanitizers. */
static const struct refusal {
	struct rule rule;
	int error;
} refused[] = {
	/* TLS in the kernel */
	{ CALL2(FRONT, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_ULP)), ENOPROTOOPT },
	{ CALL1(STORE_RO, open, MASK(1, O_ACCMODE, O_RDWR)), EACCES },
	{ CALL1(STORE_RO, openat, MASK(2, O_ACCMODE, O_RDWR)), EACCES },
	{ CALL(STORE_RO, unlink), EACCES },
	{ CALL(STORE_RO, fchmod), EACCES },
	{ CALL(STORE_RO, fchown), EACCES },
	/* libc asks netlink which address families there are, and takes both for given when it cannot. */
	{ CALL1(EGRESS, socket, EQ(0, AF_NETLINK)), EAFNOSUPPORT },
	{ CALL2(EGRESS, setsockopt, EQ(1, IPPROTO_TCP), EQ(2, TCP_ULP)), ENOPROTOOPT },
	{ CALL1(UNFENCED, open, MASK(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)), EACCES },
	{ CALL1(UNFENCED, openat, MASK(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)), EACCES },
	{ CALL(TOKEN_UNFENCED, open), EACCES },
	{ CALL(TOKEN_UNFENCED, openat), EACCES },
	/* Its library's complaints to syslog, and what it would tidy up. */
	{ CALL1(TOKEN, socket, EQ(0, AF_UNIX)), EAFNOSUPPORT },
	{ CALL(TOKEN, unlink), EACCES },
	{ CALL(TOKEN, unlinkat), EACCES },
};

static TR_RC add(scmp_filter_ctx f, uint32_t action, const struct rule *r, struct tr_err *err)
{
	int rc = seccomp_rule_add_array(f, action, r->call, r->n, r->args);

	if (rc == 0)
		return TR_OK;
	errno = -rc;
	return tr_err_errno(err, "filter rule for call %d", r->call);
}

/* abort() and raise(), but nobody else's process. */
static TR_RC add_self_signals(scmp_filter_ctx f, struct tr_err *err)
{
	const struct rule r = CALL1(ALL, tgkill, EQ(0, getpid()));

	return add(f, SCMP_ACT_ALLOW, &r, err);
}

static TR_RC add_all(scmp_filter_ctx f, unsigned roles, struct tr_err *err)
{
	enum tr_code rc = add_self_signals(f, err);

	for (size_t i = 0; !rc && i < TR_ARRAY_LEN(allowed); i++)
		if (allowed[i].roles & roles)
			rc = add(f, SCMP_ACT_ALLOW, &allowed[i], err);
	for (size_t i = 0; !rc && i < TR_ARRAY_LEN(refused); i++)
		if (refused[i].rule.roles & roles)
			rc = add(f, SCMP_ACT_ERRNO((uint32_t)refused[i].error), &refused[i].rule, err);
	return rc;
}

/* libc looks at /etc/localtime whenever it formats a time, unless TZ names one that it has already loaded. */
static void settle_time_zone(void)
{
	(void)setenv("TZ", "UTC0", 1);
	tzset();
}

static unsigned variant_of(enum tr_proc role)
{
	if (role == TR_PROC_EGRESS)
		return tr_sandbox_fenced() ? FENCED : UNFENCED;
	if (role == TR_PROC_KEYS && tr_sandbox_has_token())
		return TOKEN | (tr_sandbox_fenced() ? TOKEN_FENCED : TOKEN_UNFENCED);
	return 0;
}

TR_RC tr_sandbox_filter(enum tr_proc role, struct tr_err *err)
{
#ifdef TROTH_SANITIZED
	/* The sanitizers' own reports need calls that no role has. */
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
#else
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
#endif
	enum tr_code rc;
	int sys;

	if (!f)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "no filter context");
	settle_time_zone();
	rc = add_all(f, 1u << role | variant_of(role), err);
	if (!rc) {
		sys = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
		if (!sys)
			sys = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		if (!sys)
			sys = seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1); /* for the audit log */
		if (!sys)
			sys = seccomp_load(f);
		errno = -sys;
		if (sys)
			rc = tr_err_errno(err, "install the filter of %s", tr_proc_name(role));
	}
	seccomp_release(f);
	return rc;
}

void tr_sandbox_probe(enum tr_proc role)
{
	/* What a stolen role would want first: a way out; for the one that has it, a way in. */
	int fd = role == TR_PROC_EGRESS ? listen(-1, 1) : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)tr_close(fd);
}
