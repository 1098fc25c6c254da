/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat loop: tr_agent_run in agent/agent.h. One process, one keep-alive connection, no thread of our
 * own. Between beats it sleeps in sigtimedwait, so a signal ends the sleep at once; SIGTERM during an
 * exchange ends the process there, since nothing is half written while one waits for a server. */
#ifndef TR_AGENT_BEAT_H
#define TR_AGENT_BEAT_H

#include <stdint.h>

enum tr_beat_outcome {
	TR_BEAT_ACCEPTED,
	TR_BEAT_UNREACHABLE, /* no server answered, or none was able */
	TR_BEAT_REFUSED,     /* an answer of 4xx */
	TR_BEAT_REVOKED,     /* 401 or 403 with code agent_revoked */
};

/* What an HTTP answer means. Pure. */
enum tr_beat_outcome tr_beat_outcome_of(int status, const char *code);
/* How long to wait after it. Pure; failures counts this one. */
uint64_t tr_beat_wait_ms(enum tr_beat_outcome what, unsigned failures, uint64_t interval_s,
			 unsigned retry_after_s, uint32_t random);

#endif
