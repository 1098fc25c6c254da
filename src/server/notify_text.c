/* SPDX-License-Identifier: Apache-2.0 */
/* What all sinks say alike. */
#include "server/notify.h"

#define RESOLVED_LEVEL 5

unsigned tr_notify_level(const struct tr_alert_row *a)
{
	unsigned level = a->severity < 1 ? 2 : a->severity > 5 ? 6 : (unsigned)a->severity + 1;

	return tr_notify_firing(a) || level > RESOLVED_LEVEL ? level : RESOLVED_LEVEL;
}

const char *tr_notify_severity(uint64_t severity)
{
	static const char *const names[] = { "critical", "critical", "error", "warning", "notice", "info" };

	return names[severity < TR_ARRAY_LEN(names) ? severity : TR_ARRAY_LEN(names) - 1];
}

bool tr_notify_firing(const struct tr_alert_row *a)
{
	return !tr_view_is(a->state, "resolved");
}

/* The largest n' <= n that does not cut a character. */
static size_t whole(struct tr_view v, size_t n)
{
	if (n >= v.n)
		return v.n;
	while (n && (v.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void tr_notify_clean(struct tr_buf *b, struct tr_view v, size_t max, const char *escape)
{
	size_t n = whole(v, max);

	for (size_t i = 0; i < n; i++) {
		uint8_t c = v.p[i];

		/* U+0080 to U+009F are control characters too, to a terminal that shows the log. */
		if (c == 0xc2 && i + 1 < n && v.p[i + 1] < 0xa0) {
			i++;
			c = ' ';
		}
		if (c && strchr(escape, c))
			tr_buf_add8(b, '\\');
		tr_buf_add8(b, c < ' ' || c == 0x7f ? ' ' : c);
	}
}

void tr_notify_text(const struct tr_alert_row *a, struct tr_buf *b)
{
	if (tr_view_is(a->state, "acknowledged") && a->acked_by.n) {
		tr_buf_adds(b, "acknowledged by ");
		tr_notify_clean(b, a->acked_by, 80, "");
		tr_buf_adds(b, ": ");
	} else if (!tr_notify_firing(a)) {
		tr_buf_adds(b, "resolved: ");
	}
	tr_notify_clean(b, a->summary, 512, "");
	if (tr_notify_firing(a) && a->action.n) {
		tr_buf_add8(b, ' ');
		tr_notify_clean(b, a->action, 512, "");
	} else if (!tr_notify_firing(a) && a->resolved_why.n) {
		tr_buf_adds(b, " (");
		tr_notify_clean(b, a->resolved_why, 256, "");
		tr_buf_add8(b, ')');
	}
}
