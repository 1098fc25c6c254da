/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notice.h"

#include "base/clock.h"
#include "base/file.h"

#define SCHEDULED "/run/systemd/shutdown/scheduled"
#define NOLOGIN "/run/nologin"
#define BEFORE_MS INT64_C(60000) /* a schedule that is this near is being carried out */
#define AFTER_MS INT64_C(600000) /* one that is this old was called off, or another clock wrote it */

static const struct {
	const char *name;
	uint64_t seconds;
} kinds[TR_NOTICE_N] = {
	[TR_NOTICE_NONE] = { "none", 0 },	  [TR_NOTICE_SHUTDOWN] = { "shutdown", 86400 },
	[TR_NOTICE_REBOOT] = { "reboot", 900 },	  [TR_NOTICE_UPDATE] = { "update", 900 },
	[TR_NOTICE_RESTART] = { "restart", 120 },
};

uint64_t tr_notice_default_s(enum tr_notice what)
{
	return (unsigned)what < TR_NOTICE_N ? kinds[what].seconds : 0;
}

bool tr_notice_of(struct tr_view name, enum tr_notice *ret)
{
	for (unsigned i = 0; i < TR_NOTICE_N; i++) {
		if (tr_view_is(name, kinds[i].name)) {
			*ret = (enum tr_notice)i;
			return true;
		}
	}
	return false;
}

void tr_notice_put(const struct tr_announcement *a, uint64_t now_ms, struct tr_pulse *p)
{
	bool open = a->what != TR_NOTICE_NONE && now_ms < a->until_ms;

	p->notice = open ? (uint64_t)a->what : TR_NOTICE_NONE;
	p->notice_s = open ? (a->until_ms - now_ms + 999) / 1000 : 0;
}

/* The value of "NAME=value" on a line of its own. */
static struct tr_view value(struct tr_view text, const char *name)
{
	while (text.n) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		struct tr_view line = tr_view(text.p, end ? (size_t)(end - text.p) : text.n);

		if (tr_view_starts(line, name))
			return tr_view(line.p + strlen(name), line.n - strlen(name));
		text = end ? tr_view(end + 1, text.n - line.n - 1) : tr_view(NULL, 0);
	}
	return tr_view(NULL, 0);
}

static bool about_now(struct tr_view usec, int64_t now_ms)
{
	int64_t at = 0;

	if (usec.n < 4 || usec.n > 18)
		return false;
	for (size_t i = 0; i < usec.n; i++) {
		if (usec.p[i] < '0' || usec.p[i] > '9')
			return false;
		at = at * 10 + (usec.p[i] - '0');
	}
	at /= 1000;
	return at - BEFORE_MS <= now_ms && now_ms <= at + AFTER_MS;
}

enum tr_notice tr_notice_of_stop(struct tr_view scheduled, bool nologin, int64_t now_ms, uint64_t *ret_s)
{
	static const struct {
		const char *mode;
		enum tr_notice what;
	} modes[] = { { "reboot", TR_NOTICE_REBOOT },
		      { "kexec", TR_NOTICE_REBOOT },
		      { "soft-reboot", TR_NOTICE_REBOOT },
		      { "poweroff", TR_NOTICE_SHUTDOWN },
		      { "halt", TR_NOTICE_SHUTDOWN } };
	struct tr_view mode = value(scheduled, "MODE=");
	enum tr_notice what = TR_NOTICE_RESTART;

	if (about_now(value(scheduled, "USEC="), now_ms))
		for (size_t i = 0; i < TR_ARRAY_LEN(modes); i++)
			if (tr_view_is(mode, modes[i].mode))
				what = modes[i].what;
	*ret_s = tr_notice_default_s(what);
	/* A schedule explains closed logins: they are closed minutes before. Without one the host goes down,
	 * and whether it comes back is not known: called a shutdown, but only for as long as a reboot takes.
	 */
	if (what == TR_NOTICE_RESTART && nologin && !scheduled.n) {
		what = TR_NOTICE_SHUTDOWN;
		*ret_s = tr_notice_default_s(TR_NOTICE_REBOOT);
	}
	return what;
}

enum tr_notice tr_notice_at_stop(uint64_t *ret_s)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_err err;

	if (tr_file_read(SCHEDULED, 4096, &text, &err))
		tr_buf_clear(&text);
	return tr_notice_of_stop(tr_buf_view(&text), tr_file_exists(NOLOGIN), tr_now_ms(), ret_s);
}
