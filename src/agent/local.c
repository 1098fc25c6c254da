/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/local.h"

#include "agent/agent.h"
#include "agent/peer_conf.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define ANSWER_MAX ((size_t)4 << 20)
#define RUN_SOCKET "/run/troth-agent/agent.sock" /* as packaging/systemd/troth-agent-peer.conf has it */

void tr_local_answer_done(struct tr_local_answer *a)
{
	a->doc = tr_json_free(a->doc);
	tr_buf_done(&a->text);
}

/* Users of the socket may not be able to read the folder: then it is where it usually is. */
static void find_socket(const char *state_dir, const char *socket, char *out, size_t n)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_peer_conf_done) struct tr_peer_conf c = { .mailbox = false };
	struct tr_err err = { 0 };

	(void)snprintf(out, n, "%s/agent.sock", state_dir);
	if (socket)
		(void)snprintf(out, n, "%s", socket);
	else if (!tr_state_open(state_dir, &s, &err) && !tr_peer_conf_load(&s, &c, &err) && c.socket.n)
		(void)snprintf(out, n, "%.*s", TR_VIEW_FMT(c.socket));
	else if (access(out, F_OK) && !access(RUN_SOCKET, F_OK))
		(void)snprintf(out, n, RUN_SOCKET);
}

static TR_RC open_socket(const char *path, unsigned timeout_s, int *ret, struct tr_err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval t = { .tv_sec = (time_t)timeout_s };
	tr_auto(tr_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		return tr_err_set(err, TR_E_INVALID, "the path of the socket is too long", "%s", path);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)))
		return tr_err_errno(err, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return tr_err_set(err, TR_E_UNAVAIL,
				  errno == EACCES ? "the agent's socket may not be opened by this user" :
						    "no agent that speaks with peers runs here: is there a peer.json, and does "
						    "`troth-agent run` run?",
				  "%s: %s", path, strerror(errno));
	*ret = fd;
	fd = -1;
	return TR_OK;
}

static TR_RC exchange(int fd, struct tr_view request, struct tr_buf *ret, struct tr_err *err)
{
	uint8_t some[16384];
	ssize_t n;

	while (request.n) {
		n = send(fd, request.p, request.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return tr_err_set(err, TR_E_UNAVAIL, "the agent ended the connection", "send: %s", strerror(errno));
		request = tr_view(request.p + n, request.n - (size_t)n);
	}
	for (;;) {
		n = recv(fd, some, sizeof(some), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tr_err_set(err, TR_E_UNAVAIL, "the agent does not answer", "recv: %s", strerror(errno));
		if (n == 0)
			return tr_buf_check(ret, err);
		tr_buf_add(ret, some, (size_t)n);
	}
}

TR_RC tr_local_do(const char *state_dir, const char *socket, const char *method, const char *target, struct tr_view body,
		  unsigned timeout_s, struct tr_local_answer *ret, struct tr_err *err)
{
	tr_auto(tr_local_answer_done) struct tr_local_answer a = { .text = { .max = ANSWER_MAX } };
	tr_auto(tr_buf_done) struct tr_buf request = TR_BUF_INIT;
	tr_auto(tr_close) int fd = -1;
	const uint8_t *end;
	char path[PATH_MAX];

	find_socket(state_dir, socket, path, sizeof(path));
	tr_buf_addf(&request, "%s %s HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", method,
		    target, body.n);
	tr_buf_addv(&request, body);
	if (tr_buf_check(&request, err) || open_socket(path, timeout_s, &fd, err) ||
	    exchange(fd, tr_buf_view(&request), &a.text, err))
		return err->code;
	end = a.text.n ? memmem(a.text.p, a.text.n, "\r\n\r\n", 4) : NULL;
	if (!end || a.text.n < 12 || memcmp(a.text.p, "HTTP/1.1 ", 9) != 0)
		return tr_err_set(err, TR_E_UNAVAIL, "what answers there is no agent", "%zu bytes", a.text.n);
	for (size_t i = 9; i < 12; i++)
		a.status = a.status * 10 + (a.text.p[i] - '0');
	a.body = tr_view(end + 4, a.text.n - (size_t)(end + 4 - a.text.p));
	if (tr_json_parse(a.body, &a.doc, err))
		return tr_err_wrap(err, "answer");
	*ret = a;
	a = (struct tr_local_answer){ .status = 0 };
	return TR_OK;
}

int tr_local_refused(const struct tr_local_answer *a)
{
	struct tr_view code = TR_VIEW_LIT("refused"), why = TR_VIEW_LIT("the agent refused");
	tr_jnode root = tr_json_root(a->doc);

	(void)tr_json_str(tr_json_get(root, "code"), &code);
	(void)tr_json_str(tr_json_get(root, "detail"), &why);
	(void)fprintf(stderr, "troth-agent: %.*s (%.*s)\n", TR_VIEW_FMT(why), TR_VIEW_FMT(code));
	return a->status >= 500 ? TR_AGENT_EXIT_UNREACHABLE : TR_AGENT_EXIT_REFUSED;
}
