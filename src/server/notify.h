/* SPDX-License-Identifier: Apache-2.0 */
/* Telling people of alerts: the pure parts of the role `egress` (what is queued, when it is tried again, how it is
 * written), and its sinks. A sink is a place to tell: one webhook, one syslog, the journal.
 *
 * Delivery is at least once: who was told before a crash may be told again. */
#ifndef TR_SERVER_NOTIFY_H
#define TR_SERVER_NOTIFY_H

#include "ipc/loop.h"
#include "server/config.h"
#include "store/records.h"

enum tr_sink_id { TR_SINK_WEBHOOK, TR_SINK_SYSLOG, TR_SINK_JOURNALD, TR_SINK_N };

/* ---- what is queued (notify_queue.c): the clock and the dice come in ---- */

#define TR_OUTBOX_MAX 4096                           /* alerts */
#define TR_OUTBOX_GROUP_MS 2000                      /* alerts of one cause wait so long for each other */
#define TR_OUTBOX_TRY_MS (UINT64_C(24) * 3600 * 1000) /* and are tried so long */
#define TR_RETRY_FIRST_MS 1000
#define TR_RETRY_LAST_MS 300000
#define TR_RETRY_AFTER_MAX_MS 3600000 /* of what a receiver may demand */

struct tr_outbox;

/* A sink's word on what it was given. */
enum tr_said { TR_SAID_TAKEN, TR_SAID_NEVER, TR_SAID_LATER, TR_SAID_PENDING };

/* The end of revision rev: delivered says that every sink took it. */
typedef void (*tr_outbox_fn)(void *arg, struct tr_view id, uint64_t rev, bool delivered);

/* sinks: a bit per sink that exists. With none, everything is delivered at once. */
struct tr_outbox *tr_outbox_new(unsigned sinks, tr_outbox_fn fn, void *arg);
struct tr_outbox *tr_outbox_free(struct tr_outbox *o);
TR_DEFINE_AUTO(struct tr_outbox *, tr_outbox_free)
/* alert: an encoded tr_alert_row. A newer revision takes the place of a queued one; the same or an older one changes
 * nothing. When full, the oldest of the least severe goes, be it this one. */
TR_RC tr_outbox_put(struct tr_outbox *o, uint64_t now_ms, struct tr_view alert, struct tr_err *err);
/* Hands out what this sink is to say now, most severe first: up to max rows, all of one cause when grouped. They are
 * borrowed until the next call. 0: nothing is due before *ret_wait_ms (UINT64_MAX: before the next put). */
size_t tr_outbox_take(struct tr_outbox *o, uint64_t now_ms, enum tr_sink_id sink, bool grouped, size_t max,
		      const struct tr_alert_row **ret, uint64_t *ret_wait_ms);
/* What became of it. TR_SAID_LATER: everything of this sink waits, at least retry_after_ms. */
void tr_outbox_said(struct tr_outbox *o, uint64_t now_ms, enum tr_sink_id sink, enum tr_said said,
		    uint64_t retry_after_ms, uint32_t dice);
size_t tr_outbox_count(const struct tr_outbox *o);
uint64_t tr_outbox_dropped(const struct tr_outbox *o);
/* How long a sink that failed n times in a row is left alone: 1 s doubling to 5 min, up to half more by dice. */
uint64_t tr_retry_ms(unsigned n, uint32_t dice);

/* ---- how it is written (notify_text.c, notify_webhook.c, …) ---- */

/* RFC 5424 severity of ours: 1 critical (2), 2 error (3), 3 warning (4), 4 notice (5), 5 info (6). What is resolved is
 * a notice at most. */
unsigned tr_notify_level(const struct tr_alert_row *a);
const char *tr_notify_severity(uint64_t severity); /* "critical", "error", … */
bool tr_notify_firing(const struct tr_alert_row *a);
/* One line for people. Control characters become blanks. */
void tr_notify_text(const struct tr_alert_row *a, struct tr_buf *b);
/* At most max bytes of v in whole characters, control characters as blanks, and a backslash before each of `escape`. */
void tr_notify_clean(struct tr_buf *b, struct tr_view v, size_t max, const char *escape);

/* Alertmanager's webhook format, version 4. */
void tr_webhook_body(const char *external_url, const struct tr_alert_row *const *rows, size_t n, struct tr_buf *b);
/* The same rows have the same id, however often they are sent. */
#define TR_WEBHOOK_ID_LEN 37
void tr_webhook_id(const struct tr_alert_row *const *rows, size_t n, char ret[TR_WEBHOOK_ID_LEN]);
/* Standard Webhooks: "v1,<base64>". secret: the bytes behind whsec_. */
void tr_webhook_sign(struct tr_view secret, const char *id, int64_t unix_s, struct tr_view body, struct tr_buf *ret);
/* The content of a secret file. */
TR_RC tr_webhook_secret(struct tr_view text, struct tr_buf *ret, struct tr_err *err);

/* Who speaks: static for the life of the process. */
struct tr_syslog_self {
	const char *host;
	unsigned pid, enterprise;
};
#define TR_SYSLOG_MAX 2048 /* bytes; what RFC 5426 wants every receiver to take */
void tr_syslog_line(const struct tr_syslog_self *self, const struct tr_alert_row *a, struct tr_buf *b);
void tr_journald_entry(const struct tr_alert_row *a, struct tr_buf *b);

/* ---- sinks ---- */

/* Ends what send left open with TR_SAID_PENDING. */
typedef void (*tr_sink_done_fn)(void *arg, enum tr_sink_id id, enum tr_said said, uint64_t retry_after_ms);

struct tr_sink {
	enum tr_sink_id id;
	size_t max; /* rows at once */
	bool grouped;
	enum tr_said (*send)(struct tr_sink *s, const struct tr_alert_row *const *rows, size_t n);
	TR_RC (*start)(struct tr_sink *s, struct tr_loop *loop, struct tr_err *err);
	struct tr_sink *(*free)(struct tr_sink *s);
	tr_sink_done_fn done;
	void *arg;
	char why[200]; /* of the last failure */
};
/* Before the role's filter: files are read. NULL in *ret when the configuration names no such sink. */
TR_RC tr_webhook_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err);
TR_RC tr_syslog_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err);
TR_RC tr_journald_new(const struct tr_config *cfg, struct tr_sink **ret, struct tr_err *err);

/* For `trothd check-config`: the files that `alerts` names. */
TR_RC tr_notify_check(const struct tr_config *cfg, struct tr_err *err);

/* ---- names (notify_resolve.c) ---- */

struct addrinfo;
/* Once, before the filter: only the resolver's own modules, so that nothing is loaded later, and short time-outs, as it
 * waits on the role's only loop. */
void tr_resolve_init(void);
TR_RC tr_resolve(const char *host, unsigned port, int socktype, struct addrinfo **ret, struct tr_err *err);
bool tr_resolved_loopback(const struct addrinfo *a); /* all of them */

#endif
