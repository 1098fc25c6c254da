/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's native protocol: one datagram per entry, a line per field, or for a value with a line feed the name,
 * its length in 8 bytes little endian and the value. Entries are far below the size where a memory file would be
 * needed. */
#include "server/notify.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

/* `journalctl MESSAGE_ID=…` finds every alert. */
#define MESSAGE_ID "6d3f7c1fe09a4d0d9d8e52c1b0a87b15"

struct journald {
	struct tr_sink sink;
	struct sockaddr_un at;
	int fd;
};

static void add_field(struct tr_buf *b, const char *name, struct tr_view v)
{
	tr_buf_adds(b, name);
	if (v.n && memchr(v.p, '\n', v.n)) {
		tr_buf_add8(b, '\n');
		for (unsigned i = 0; i < 8; i++)
			tr_buf_add8(b, (uint8_t)((uint64_t)v.n >> (8 * i)));
	} else {
		tr_buf_add8(b, '=');
	}
	tr_buf_addv(b, v);
	tr_buf_add8(b, '\n');
}

static void add_number(struct tr_buf *b, const char *name, uint64_t n)
{
	tr_buf_addf(b, "%s=%llu\n", name, (unsigned long long)n);
}

void tr_journald_entry(const struct tr_alert_row *a, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_notify_text(a, &text);
	add_field(b, "MESSAGE", tr_buf_view(&text));
	add_number(b, "PRIORITY", tr_notify_level(a));
	add_field(b, "SYSLOG_IDENTIFIER", TR_VIEW_LIT("trothd"));
	add_field(b, "MESSAGE_ID", TR_VIEW_LIT(MESSAGE_ID));
	add_field(b, "TROTH_ALERT_ID", a->id);
	add_number(b, "TROTH_REV", a->rev);
	add_field(b, "TROTH_KIND", a->kind);
	add_field(b, "TROTH_SUBJECT", a->subject);
	add_number(b, "TROTH_SEVERITY", a->severity);
	add_field(b, "TROTH_STATE", a->state);
	add_field(b, "TROTH_CAUSE", a->cause);
	add_field(b, "TROTH_SUMMARY", a->summary);
	add_field(b, "TROTH_ACTION", a->action);
	if (a->resolved_why.n)
		add_field(b, "TROTH_RESOLVED_WHY", a->resolved_why);
}

static enum tr_said journald_send(struct tr_sink *s, const struct tr_alert_row *const *rows, size_t n)
{
	struct journald *j = (struct journald *)s;
	tr_auto(tr_buf_done) struct tr_buf entry = TR_BUF_INIT;

	(void)n; /* one */
	tr_journald_entry(rows[0], &entry);
	if (j->fd < 0)
		j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* By address each time: a restarted journal has a new socket under the old name. */
	if (j->fd >= 0 && tr_buf_ok(&entry) &&
	    sendto(j->fd, entry.p, entry.n, MSG_NOSIGNAL, (struct sockaddr *)&j->at, sizeof(j->at)) >= 0)
		return TR_SAID_TAKEN;
	(void)snprintf(s->why, sizeof(s->why), "%s: %s", j->at.sun_path, strerror(errno));
	return TR_SAID_LATER;
}

static TR_RC journald_start(struct tr_sink *s, struct tr_loop *loop, struct tr_err *err)
{
	(void)s;
	(void)loop;
	(void)err;
	return TR_OK;
}

static struct tr_sink *journald_free(struct tr_sink *s)
{
	struct journald *j = (struct journald *)s;

	if (j)
		(void)tr_close(j->fd);
	free(j);
	return NULL;
}

TR_RC tr_journald_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err)
{
	struct journald *j;

	if (!cfg->alerts->journald)
		return TR_OK;
	j = calloc(1, sizeof(*j));
	if (!j)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "journald");
	j->sink = (struct tr_sink){ .id = TR_SINK_JOURNALD, .max = 1, .send = journald_send, .start = journald_start,
				    .free = journald_free };
	j->fd = -1;
	j->at.sun_family = AF_UNIX;
	(void)snprintf(j->at.sun_path, sizeof(j->at.sun_path), "%s", cfg->alerts->journald_socket);
	*ret = &j->sink;
	return TR_OK;
}
