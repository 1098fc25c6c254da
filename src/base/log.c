/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* The one piece of mutable process state in base: who is speaking and how loudly. */
static struct {
	const char *role;
	enum tr_level level;
	bool journal;
} self = { "troth", TR_LOG_INFO, false };

void tr_log_init(const char *role, enum tr_level level)
{
	self.role = role;
	self.level = level;
	self.journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum tr_level l)
{
	switch (l) {
	case TR_LOG_ERROR: return "error";
	case TR_LOG_WARN: return "warn";
	case TR_LOG_INFO: return "info";
	default: return "debug";
	}
}

/* Quotes when needed; control and non-ASCII bytes become \xNN so that no remote text forges a line. */
static void add_value(struct tr_buf *b, const char *s)
{
	bool quote = *s == 0;

	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || (unsigned char)*p >= 0x7f)
			quote = true;
	if (!quote) {
		tr_buf_adds(b, s);
		return;
	}
	tr_buf_add8(b, '"');
	for (const char *p = s; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			tr_buf_addf(b, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			tr_buf_addf(b, "\\x%02x", c);
		else
			tr_buf_add8(b, c);
	}
	tr_buf_add8(b, '"');
}

static void add_head(struct tr_buf *b, enum tr_level level, const char *event)
{
	int64_t ms = tr_now_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm tm = { 0 };
	char when[32];

	(void)gmtime_r(&s, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (self.journal)
		tr_buf_addf(b, "<%d>", (int)level);
	tr_buf_addf(b, "time=%s.%03dZ level=%s role=%s event=%s", when, (int)(ms % 1000), level_name(level),
		    self.role, event);
}

static void add_pairs(struct tr_buf *b, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)) != NULL) {
		const char *value = va_arg(ap, const char *);

		tr_buf_addf(b, " %s=", key);
		add_value(b, value ? value : "");
	}
}

static void emit(struct tr_buf *b)
{
	ssize_t unused;

	tr_buf_add8(b, '\n');
	/* One write per line: lines of several processes on one pipe do not mix. */
	if (tr_buf_ok(b)) {
		unused = write(STDERR_FILENO, b->p, b->n);
		(void)unused; /* nowhere left to complain */
	}
}

void tr_log(enum tr_level level, const char *event, ...)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 8192 };
	va_list ap;

	if (level > self.level)
		return;
	add_head(&b, level, event);
	va_start(ap, event);
	add_pairs(&b, ap);
	va_end(ap);
	emit(&b);
}

void tr_log_err(enum tr_level level, const char *event, const struct tr_err *err, ...)
{
	tr_auto(tr_buf_done) struct tr_buf b = { .max = 8192 };
	va_list ap;

	if (level > self.level)
		return;
	add_head(&b, level, event);
	va_start(ap, err);
	add_pairs(&b, ap);
	va_end(ap);
	tr_buf_addf(&b, " code=%s detail=", tr_code_name(err->code));
	add_value(&b, err->detail);
	tr_buf_addf(&b, " at=%s:%d", err->file ? err->file : "?", err->line);
	emit(&b);
}

#define FMT_SLOTS 8
#define FMT_LEN 256

static char *fmt_slot(void)
{
	static char ring[FMT_SLOTS][FMT_LEN];
	static unsigned at;

	return ring[at++ % FMT_SLOTS];
}

const char *tr_fmt(const char *fmt, ...)
{
	char *s = fmt_slot();
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s, FMT_LEN, fmt, ap);
	va_end(ap);
	return s;
}

const char *tr_fmt_view(struct tr_view v)
{
	return tr_fmt("%.*s", (int)(v.n < FMT_LEN - 1 ? v.n : FMT_LEN - 1), (const char *)v.p);
}
