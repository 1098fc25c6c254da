/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog, RFC 5424: over UDP (RFC 5426, no assurance), TCP (RFC 6587 octet counting) or a local datagram socket. Over
 * TCP a message counts as taken when the peer's kernel has acknowledged its last byte: there is no better word in this
 * protocol, and a peer that dies right then has it lost. */
#include "server/notify.h"

#include "base/clock.h"
#include "codec/text.h"
#include "http/post.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FACILITY 3 /* system daemons */
#define BATCH 32
#define DEADLINE_MS 10000
#define ACK_POLL_MS 20

struct syslog {
	struct tr_sink sink;
	struct tr_syslog_self self;
	char host[256];
	struct tr_loop *loop;
	bool stream, local;
	struct tr_url url;
	struct sockaddr_un path;
	int fd;
	bool connected, busy;
	unsigned turn; /* which of its addresses is next */
	uint64_t deadline;
	struct tr_watch *watch, *timer;
	struct tr_buf out;
	size_t sent;
};

/* ---- writing ---- */

/* RFC 5424 PRINTUSASCII, at most max; "-" when nothing is left. */
static void add_name(struct tr_buf *b, struct tr_view v, size_t max)
{
	size_t before = b->n;

	for (size_t i = 0; i < v.n && i < max; i++)
		if (v.p[i] > ' ' && v.p[i] < 0x7f)
			tr_buf_add8(b, v.p[i]);
	if (b->n == before)
		tr_buf_add8(b, '-');
}

static void add_param(struct tr_buf *b, const char *name, struct tr_view v)
{
	tr_buf_addf(b, " %s=\"", name);
	tr_notify_clean(b, v, 128, "\"\\]");
	tr_buf_add8(b, '"');
}

static bool is_ascii(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] >= 0x80)
			return false;
	return true;
}

void tr_syslog_line(const struct tr_syslog_self *self, const struct tr_alert_row *a, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	size_t start = b->n;

	tr_buf_addf(b, "<%u>1 ", FACILITY * 8 + tr_notify_level(a));
	tr_rfc3339_add(b, a->updated_at);
	tr_buf_add8(b, ' ');
	add_name(b, tr_view_str(self->host), 255);
	tr_buf_addf(b, " trothd %u ", self->pid);
	add_name(b, a->kind, 32);
	tr_buf_addf(b, " [troth@%u", self->enterprise);
	add_param(b, "id", a->id);
	tr_buf_addf(b, " severity=\"%u\"", (unsigned)a->severity);
	add_param(b, "subject", a->subject);
	add_param(b, "kind", a->kind);
	add_param(b, "state", a->state);
	tr_buf_adds(b, "] ");
	tr_notify_text(a, &text);
	/* The mark says that what follows is UTF-8; plain ASCII does without, as old receivers show it. */
	if (!is_ascii(tr_buf_view(&text)))
		tr_buf_adds(b, "\xef\xbb\xbf");
	if (b->n - start < TR_SYSLOG_MAX)
		tr_notify_clean(b, tr_buf_view(&text), TR_SYSLOG_MAX - (b->n - start), "");
}

/* ---- connection ---- */

static void hang_up(struct syslog *s)
{
	s->watch = tr_watch_free(s->watch);
	s->fd = tr_close(s->fd);
	s->connected = false;
}

static void finish(struct syslog *s, enum tr_said said)
{
	s->busy = false;
	tr_timer_stop(s->timer);
	s->sink.done(s->sink.arg, s->sink.id, said, 0);
}

static void fail(struct syslog *s, const char *what, int error)
{
	(void)snprintf(s->sink.why, sizeof(s->sink.why), "%s: %s", what, strerror(error));
	hang_up(s);
	s->turn++;
	if (s->busy)
		finish(s, TR_SAID_LATER);
}

/* The nth of the name's addresses, so that one that is down does not hide another. */
static const struct addrinfo *pick(const struct addrinfo *list, unsigned turn)
{
	unsigned n = 0;

	for (const struct addrinfo *i = list; i; i = i->ai_next)
		n++;
	for (turn = n ? turn % n : 0; turn; turn--)
		list = list->ai_next;
	return list;
}

static bool dial(struct syslog *s)
{
	const int type = (s->stream ? SOCK_STREAM : SOCK_DGRAM);
	struct addrinfo *found = NULL;
	const struct addrinfo *a;
	struct tr_err err = { 0 };
	int rc;

	if (s->local) {
		s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		rc = s->fd < 0 ? -1 : connect(s->fd, (struct sockaddr *)&s->path, sizeof(s->path));
	} else {
		if (tr_resolve(s->url.host, s->url.port, type, &found, &err)) {
			(void)snprintf(s->sink.why, sizeof(s->sink.why), "%s", err.detail);
			return false;
		}
		a = pick(found, s->turn);
		s->fd = socket(a->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		rc = s->fd < 0 ? -1 : connect(s->fd, a->ai_addr, a->ai_addrlen);
		freeaddrinfo(found);
	}
	if (rc && (s->fd < 0 || errno != EINPROGRESS)) {
		(void)snprintf(s->sink.why, sizeof(s->sink.why), "connect: %s", strerror(errno));
		s->turn++;
		hang_up(s);
		return false;
	}
	s->connected = rc == 0;
	return true;
}

/* ---- stream ---- */

static void on_stream(void *arg);

static bool watch(struct syslog *s, unsigned what)
{
	struct tr_err err = { 0 };

	s->watch = tr_watch_free(s->watch);
	return tr_watch_fd(s->loop, s->fd, what, on_stream, s, &s->watch, &err) == TR_OK;
}

static void await_ack(void *arg)
{
	struct syslog *s = arg;
	int unacked = 0;

	if (!s->busy)
		return;
	if (tr_mono_ms() >= s->deadline) {
		fail(s, "no progress", ETIMEDOUT);
	} else if (!s->connected || s->sent < s->out.n) {
		tr_timer_arm(s->timer, s->deadline - tr_mono_ms());
	} else if (ioctl(s->fd, SIOCOUTQ, &unacked)) {
		fail(s, "ioctl", errno);
	} else if (unacked) {
		tr_timer_arm(s->timer, ACK_POLL_MS);
	} else {
		finish(s, TR_SAID_TAKEN);
	}
}

static void push(struct syslog *s)
{
	while (s->busy && s->sent < s->out.n) {
		ssize_t n = send(s->fd, s->out.p + s->sent, s->out.n - s->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (!watch(s, TR_WATCH_READ | TR_WATCH_WRITE))
				fail(s, "watch", ENOMEM);
			return;
		}
		if (n < 0) {
			fail(s, "send", errno);
			return;
		}
		s->sent += (size_t)n;
	}
	/* A peer that hangs up is noticed at once, not by the next alert. */
	if (!watch(s, TR_WATCH_READ))
		fail(s, "watch", ENOMEM);
	else if (s->busy)
		tr_timer_arm(s->timer, 1);
}

static void on_stream(void *arg)
{
	struct syslog *s = arg;
	char word[256];
	int error = 0;
	socklen_t len = sizeof(error);
	ssize_t n;

	if (!s->connected) {
		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
			fail(s, "connect", error ? error : errno);
			return;
		}
		s->connected = true;
	}
	n = recv(s->fd, word, sizeof(word), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		fail(s, "the receiver hung up", n ? errno : ECONNRESET);
	else
		push(s);
}

static enum tr_said send_stream(struct syslog *s)
{
	if (s->fd < 0 && !dial(s))
		return TR_SAID_LATER;
	s->busy = true;
	s->deadline = tr_mono_ms() + DEADLINE_MS;
	if (!watch(s, TR_WATCH_READ | TR_WATCH_WRITE)) {
		s->busy = false;
		hang_up(s);
		return TR_SAID_LATER;
	}
	tr_timer_arm(s->timer, DEADLINE_MS);
	return TR_SAID_PENDING;
}

/* ---- datagrams ---- */

static enum tr_said send_datagram(struct syslog *s)
{
	/* The first try may only bring the news that the last one met nobody, or that the socket is another now. */
	for (unsigned tries = 0; tries < 2; tries++) {
		if (s->fd < 0 && !dial(s))
			return TR_SAID_LATER;
		if (send(s->fd, s->out.p, s->out.n, MSG_NOSIGNAL) >= 0)
			return TR_SAID_TAKEN;
		(void)snprintf(s->sink.why, sizeof(s->sink.why), "send: %s", strerror(errno));
		hang_up(s);
	}
	s->turn++;
	return TR_SAID_LATER;
}

static enum tr_said syslog_send(struct tr_sink *sink, const struct tr_alert_row *const *rows, size_t n)
{
	struct syslog *s = (struct syslog *)sink;

	tr_buf_clear(&s->out);
	s->sent = 0;
	for (size_t i = 0; i < n; i++) {
		tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT;

		tr_syslog_line(&s->self, rows[i], &line);
		if (s->stream)
			tr_buf_addf(&s->out, "%zu ", line.n);
		tr_buf_addv(&s->out, tr_buf_view(&line));
	}
	if (!tr_buf_ok(&s->out))
		return TR_SAID_LATER;
	return s->stream ? send_stream(s) : send_datagram(s);
}

/* ---- life ---- */

static TR_RC syslog_start(struct tr_sink *sink, struct tr_loop *loop, struct tr_err *err)
{
	struct syslog *s = (struct syslog *)sink;

	s->loop = loop;
	return tr_watch_timer(loop, await_ack, s, &s->timer, err);
}

static struct tr_sink *syslog_free(struct tr_sink *sink)
{
	struct syslog *s = (struct syslog *)sink;

	if (s) {
		hang_up(s);
		(void)tr_watch_free(s->timer);
		tr_buf_done(&s->out);
	}
	free(s);
	return NULL;
}

TR_RC tr_syslog_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err)
{
	struct syslog *s;

	if (!cfg->alerts->syslog)
		return TR_OK;
	s = calloc(1, sizeof(*s));
	if (!s)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "syslog");
	if (gethostname(s->host, sizeof(s->host) - 1))
		s->host[0] = '\0';
	s->fd = -1;
	s->local = strncmp(cfg->alerts->syslog, "unix:", 5) == 0;
	if (s->local) {
		s->path.sun_family = AF_UNIX;
		(void)snprintf(s->path.sun_path, sizeof(s->path.sun_path), "%s", cfg->alerts->syslog + 5);
	} else if (!tr_url_split(cfg->alerts->syslog, &s->url)) {
		free(s);
		return tr_err_set(err, TR_E_INVALID, "alerts.syslog is no address", "alerts.syslog");
	}
	s->stream = !s->local && strcmp(s->url.scheme, "tcp") == 0;
	s->self = (struct tr_syslog_self){ s->host, (unsigned)getpid(), cfg->alerts->syslog_enterprise };
	s->sink = (struct tr_sink){ .id = TR_SINK_SYSLOG, .max = s->stream ? BATCH : 1, .send = syslog_send,
				    .start = syslog_start, .free = syslog_free };
	*ret = &s->sink;
	return TR_OK;
}
