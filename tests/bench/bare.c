/* SPDX-License-Identifier: Apache-2.0 */
/* What a pulse costs at least: libmicrohttpd with TLS 1.3 and a requested client certificate on an epoll loop of
 * our own, which suspends each request, sends its body over a socket pair to an echo process, and answers when that
 * does. No check, no limit, no parsing. It has as many front processes as the server has.
 *
 *   bare PORT FRONTS CERT.pem KEY.pem CA.pem ANSWER_BYTES */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRONTS_MAX 8
#define BODY_MAX 1024
#define BURST 65536
#if MHD_VERSION >= 0x01000000
#define NO_THREADS MHD_USE_NO_THREAD_SAFETY /* as the server */
#else
#define NO_THREADS 0
#endif

struct message {
	uint64_t id; /* the request's address */
	uint32_t n;
	uint8_t body[BODY_MAX];
};
#define HEAD offsetof(struct message, body)

struct request {
	struct MHD_Connection *c;
	bool asked;
	size_t n, answer_n;
	uint8_t body[BODY_MAX], answer[BODY_MAX];
};

static int echo_fd;
static uint8_t out[BURST], in[BURST];
static size_t out_n, in_n;

static void __attribute__((noreturn)) die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			exit(0);
		p += sent > 0 ? (size_t)sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
}

/* What has gathered in a round leaves in one call, as in the server. */
static void flush(void)
{
	send_all(echo_fd, out, out_n);
	out_n = 0;
}

static void ask(struct request *r)
{
	struct message m = { .id = (uintptr_t)r, .n = (uint32_t)r->n };

	if (out_n + HEAD + r->n > sizeof(out))
		flush();
	memcpy(out + out_n, &m, HEAD);
	memcpy(out + out_n + HEAD, r->body, r->n);
	out_n += HEAD + r->n;
}

static enum MHD_Result answer(struct request *r)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(r->answer_n, r->answer, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ok;

	/* The server's headers, so that both send the same bytes. */
	(void)MHD_add_response_header(m, "Content-Type", "application/cbor");
	(void)MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
	(void)MHD_add_response_header(m, "Cache-Control", "no-store");
	(void)MHD_add_response_header(m, "Strict-Transport-Security", "max-age=31536000");
	ok = MHD_queue_response(r->c, 200, m);
	MHD_destroy_response(m);
	return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *n, void **ctx)
{
	struct request *r = *ctx;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	if (!r) {
		*ctx = r = malloc(sizeof(*r));
		if (!r)
			return MHD_NO;
		r->c = c;
		r->asked = false;
		r->n = 0;
		return MHD_YES;
	}
	if (*n) {
		if (r->n + *n > BODY_MAX)
			return MHD_NO;
		memcpy(r->body + r->n, data, *n);
		r->n += *n;
		*n = 0;
		return MHD_YES;
	}
	if (r->asked)
		return answer(r);
	r->asked = true;
	ask(r);
	MHD_suspend_connection(c);
	return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **ctx, enum MHD_RequestTerminationCode code)
{
	(void)arg;
	(void)c;
	(void)code;
	free(*ctx);
	*ctx = NULL;
}

static void on_answers(void)
{
	ssize_t got = recv(echo_fd, in + in_n, sizeof(in) - in_n, 0);
	size_t at = 0;

	if (got <= 0)
		exit(0);
	in_n += (size_t)got;
	while (in_n - at >= HEAD) {
		struct message m;
		struct request *r;

		memcpy(&m, in + at, HEAD);
		if (in_n - at < HEAD + m.n)
			break;
		r = (struct request *)(uintptr_t)m.id;
		memcpy(r->answer, in + at + HEAD, m.n);
		r->answer_n = m.n;
		at += HEAD + m.n;
		MHD_resume_connection(r->c);
	}
	memmove(in, in + at, in_n - at);
	in_n -= at;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096))
		die("listen");
	return fd;
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (!f || !text || !fread(text, 1, 65535, f))
		die(path);
	(void)fclose(f);
	return text;
}

static void front(uint16_t port, char **files)
{
	/* MEM_TRUST is libmicrohttpd's way to have a client certificate requested. */
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | NO_THREADS, 0, NULL, NULL, on_request, NULL,
		MHD_OPTION_LISTEN_SOCKET, listen_on(port), MHD_OPTION_HTTPS_MEM_CERT, slurp(files[0]),
		MHD_OPTION_HTTPS_MEM_KEY, slurp(files[1]), MHD_OPTION_HTTPS_MEM_TRUST, slurp(files[2]),
		MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3", MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)4096, MHD_OPTION_CONNECTION_LIMIT, 20000u, MHD_OPTION_CONNECTION_TIMEOUT, 120u,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	const union MHD_DaemonInfo *info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = echo_fd, .events = POLLIN } };
	MHD_UNSIGNED_LONG_LONG ms;

	if (!info)
		die("MHD_start_daemon");
	fds[0].fd = info->epoll_fd;
	for (;;) {
		int wait = MHD_get_timeout(d, &ms) == MHD_YES ? (int)ms : -1;

		if (poll(fds, 2, wait) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents)
			on_answers();
		(void)MHD_run(d);
		flush();
	}
}

/* Answers each message with answer_n bytes, a burst at a time. */
static void echo(struct pollfd *fds, unsigned n, size_t answer_n)
{
	static uint8_t have[FRONTS_MAX][BURST], answers[BURST];
	size_t have_n[FRONTS_MAX] = { 0 };

	for (;;) {
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			die("poll");
		for (unsigned i = 0; i < n; i++) {
			size_t at = 0, made = 0;
			ssize_t got;

			if (!fds[i].revents)
				continue;
			got = recv(fds[i].fd, have[i] + have_n[i], BURST - have_n[i], 0);
			if (got <= 0)
				exit(0);
			have_n[i] += (size_t)got;
			while (have_n[i] - at >= HEAD) {
				struct message m;

				memcpy(&m, have[i] + at, HEAD);
				if (have_n[i] - at < HEAD + m.n)
					break;
				memcpy(m.body, have[i] + at + HEAD, m.n);
				at += HEAD + m.n;
				m.n = (uint32_t)answer_n;
				memcpy(answers + made, &m, HEAD + answer_n);
				made += HEAD + answer_n;
				if (made + HEAD + answer_n > sizeof(answers)) {
					send_all(fds[i].fd, answers, made);
					made = 0;
				}
			}
			memmove(have[i], have[i] + at, have_n[i] - at);
			have_n[i] -= at;
			send_all(fds[i].fd, answers, made);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned n = argc == 7 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	size_t answer_n = n ? strtoul(argv[6], NULL, 10) : 0;
	struct pollfd fds[FRONTS_MAX];
	struct rlimit files;

	if (!n || n > FRONTS_MAX || answer_n > BODY_MAX) {
		(void)fputs("usage: bare PORT FRONTS CERT KEY CA ANSWER_BYTES\n", stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < n; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			die("socketpair");
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
			(void)close(pair[0]);
			echo_fd = pair[1];
			front((uint16_t)strtoul(argv[1], NULL, 10), argv + 3);
		}
		(void)close(pair[1]);
		fds[i] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	}
	echo(fds, n, answer_n);
	return 0;
}
