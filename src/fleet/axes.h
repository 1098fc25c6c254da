/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of an agent, as six axes that never mix: silence says nothing about integrity, a wrong clock nothing
 * about authenticity. One function folds them into the word people see, worst first; unknown is never green.
 * The numbers of the axes are stored (tr_pulse_row): never renumber. Verdicts are folded anew at each start. */
#ifndef TR_FLEET_AXES_H
#define TR_FLEET_AXES_H

#include "base/view.h"

enum tr_reach {
	TR_REACH_NEVER,     /* enrolled, no pulse yet */
	TR_REACH_LIVE,
	TR_REACH_LATE,      /* one beat over time, or not heard of since the server's start */
	TR_REACH_MISSED,    /* two beats or more, too few to call it lost, or held by a partition's incident */
	TR_REACH_LOST,      /* silent beyond what this agent's own loss explains */
	TR_REACH_ANNOUNCED, /* silent, as it said it would be */
	TR_REACH_N
};
enum tr_authenticity {
	TR_AUTH_UNKNOWN,  /* no pulse yet */
	TR_AUTH_OK,
	TR_AUTH_CONFLICT, /* a second lineage was seen; which is the real one is not known yet */
	TR_AUTH_RESTORED, /* goes on from an older state; the newer lineage is silent */
	TR_AUTH_FORKED,   /* two lineages are alive: the key was copied. Both are refused until its identity is reset */
	TR_AUTH_REVOKED,
	TR_AUTH_N
};
enum tr_clock_state {
	TR_CLOCK_UNKNOWN, /* nothing judged yet, or the server's own clock is not synchronised */
	TR_CLOCK_OK,
	TR_CLOCK_DESYNC,
	TR_CLOCK_UNSTABLE, /* jumps back and forth */
	TR_CLOCK_N
};
enum tr_integrity {
	TR_INTEGRITY_UNKNOWN,
	TR_INTEGRITY_OK,
	TR_INTEGRITY_EXPECTED_UPDATE, /* the ordered image runs, not yet taken as good */
	TR_INTEGRITY_LSM_DOWN,
	TR_INTEGRITY_BPF_MISMATCH,
	TR_INTEGRITY_UNKNOWN_BINARY,
	TR_INTEGRITY_N
};
enum tr_config_state {
	TR_CONFIG_UNKNOWN,
	TR_CONFIG_CURRENT,
	TR_CONFIG_BEHIND, /* holds an older keyset */
	TR_CONFIG_N
};
enum tr_updating {
	TR_UPDATING_NONE,
	TR_UPDATING_ORDERED,
	TR_UPDATING_RUNNING, /* the agent announced it */
	TR_UPDATING_N
};

struct tr_axes {
	uint8_t reach, auth, clock, integrity, config, updating;
};

/* PU-4, in the order of the fold, worst first; bad_signature and replay are verdicts on a message, never on an agent. */
enum tr_verdict {
	TR_V_REVOKED, TR_V_FORKED, TR_V_ISOLATED, TR_V_UNKNOWN_BINARY, TR_V_BPF_MISMATCH, TR_V_LSM_DOWN, TR_V_RESTORED,
	TR_V_CONFLICT, TR_V_LOST, TR_V_MISSED, TR_V_CLOCK_DESYNC, TR_V_CLOCK_UNSTABLE, TR_V_LATE, TR_V_EXPECTED_UPDATE,
	TR_V_ANNOUNCED, TR_V_PENDING /* no pulse yet */, TR_V_UNKNOWN /* some axis is not known */, TR_V_OK, TR_V_N
};
enum tr_verdict tr_verdict_fold(const struct tr_axes *a);
const char *tr_verdict_name(enum tr_verdict v); /* "ok", "clock_desync", … */
bool tr_verdict_is_security(enum tr_verdict v); /* says something about tampering or theft, not about silence or time */

const char *tr_reach_name(enum tr_reach v);
const char *tr_authenticity_name(enum tr_authenticity v);
const char *tr_clock_name(enum tr_clock_state v);
const char *tr_integrity_name(enum tr_integrity v);
const char *tr_config_state_name(enum tr_config_state v);
const char *tr_updating_name(enum tr_updating v);

#endif
