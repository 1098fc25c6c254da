/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log lines on stderr, one per event: logfmt, or with the journal's "<N>" priority prefix when
 * stderr is a journal stream. Values are escaped here; secrets never reach a log (no API takes one).
 *
 *   time=2026-11-22T01:02:03.456Z level=info role=core event=agent_enrolled agent=web-1 ...
 *
 * `event` is a fixed identifier that operators may match on. */
#ifndef TR_BASE_LOG_H
#define TR_BASE_LOG_H

#include "base/err.h"
#include "base/view.h"

enum tr_level { TR_LOG_ERROR = 3, TR_LOG_WARN = 4, TR_LOG_INFO = 6, TR_LOG_DEBUG = 7 };

/* role: static text, appears in every line. */
void tr_log_init(const char *role, enum tr_level level);

/* Key/value text pairs, ended by NULL: tr_log(TR_LOG_INFO, "agent_enrolled", "agent", id, NULL). */
void tr_log(enum tr_level level, const char *event, ...) __attribute__((sentinel));
/* The same, with the error's code, detail and place appended. */
void tr_log_err(enum tr_level level, const char *event, const struct tr_err *err, ...) __attribute__((sentinel));

/* Formats into a small ring of thread-unsafe buffers, for numbers in tr_log arguments. */
const char *tr_fmt(const char *fmt, ...) TR_PRINTF(1, 2);
const char *tr_fmt_view(struct tr_view v);

#endif
