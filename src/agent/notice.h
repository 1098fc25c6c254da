/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent announces before it falls silent, and for how long. */
#ifndef TR_AGENT_NOTICE_H
#define TR_AGENT_NOTICE_H

#include "signed/pulse.h"

#define TR_NOTICE_MAX_S UINT64_C(604800) /* a week */

struct tr_announcement {
	enum tr_notice what;
	uint64_t until_ms; /* tr_mono_ms */
};

/* How long a silence of this kind may last when nobody says: reboot and update 15 min, restart 2 min,
 * shutdown 24 h. */
uint64_t tr_notice_default_s(enum tr_notice what);
/* "shutdown", "reboot", "update", "restart", "none"; false for anything else. */
bool tr_notice_of(struct tr_view name, enum tr_notice *ret);
/* Fills in a pulse: an announcement is repeated with what is left of it, until its time is over. */
void tr_notice_put(const struct tr_announcement *a, uint64_t now_ms, struct tr_pulse *p);

/* What a plain SIGTERM means: the host goes down when systemd says that it is scheduled to about now, or when
 * logins are closed already (/run/nologin); otherwise the service is stopped, most likely to be started
 * again. Pure. */
enum tr_notice tr_notice_of_stop(struct tr_view scheduled, bool nologin, int64_t now_ms, uint64_t *ret_s);
/* The same from this host's files. */
enum tr_notice tr_notice_at_stop(uint64_t *ret_s);

#endif
