/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of an exchange means for the next one. Pure. */
#ifndef TR_AGENT_OUTCOME_H
#define TR_AGENT_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum tr_outcome {
	TR_OUT_ACCEPTED,
	TR_OUT_UNREACHABLE, /* no server answered, or none was able: soon again */
	TR_OUT_REFUSED,	    /* an answer of 4xx: with the next beat */
	TR_OUT_REPLAYED,    /* refused because its ticket or number was used: soon again, with a fresh ticket */
	TR_OUT_BARRED,	    /* only an operator can change that: every 5 minutes */
	TR_OUT_REVOKED,	    /* barred, by revocation */
};

/* What an HTTP answer means. */
enum tr_outcome tr_outcome_of(int status, const char *code);
/* Is it the key that the server does not know? Then the other key of a rotation may be the right one. */
bool tr_outcome_is_key(int status, const char *code);
/* How long to wait after it; failures counts this one. */
uint64_t tr_outcome_wait_ms(enum tr_outcome what, unsigned failures, uint64_t interval_s,
			    unsigned retry_after_s, uint32_t random);
/* For status.json: "ok", "unreachable", … */
const char *tr_outcome_name(enum tr_outcome what);

#endif
