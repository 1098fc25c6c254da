/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents are not to be believed any more: revocations.cbor, as the server last said it. The run loop fetches it when
 * an answer to a pulse names another number than ours; whoever speaks with peers asks it. A revoked agent is refused by its
 * id for good, one whose identity was reset by every key but its present one. */
#ifndef TR_AGENT_REVOCATIONS_H
#define TR_AGENT_REVOCATIONS_H

#include "agent/state.h"
#include "http/client.h"

#define TR_REVOCATIONS_FILE "revocations.cbor"
#define TR_REVOCATIONS_MAX (2u << 20) /* bytes of the file */

struct tr_revoked {
	char agent[65];
	uint8_t key_id[32]; /* of a reset identity: the one that is good now */
	int64_t at;         /* Unix ms */
	bool ended;
};
struct tr_revocations {
	uint64_t number;    /* the server's, when this was complete; 0: nothing is known yet */
	int64_t high;       /* latest `at` */
	size_t n;
	struct tr_revoked *list; /* sorted by agent */
	bool complete;      /* the server had no more than it could say */
};
void tr_revocations_done(struct tr_revocations *r);
TR_DEFINE_AUTO_DONE(struct tr_revocations, tr_revocations_done)

/* No file: empty and TR_OK. TR_E_INVALID: it is damaged. */
TR_RC tr_revocations_load(const struct tr_state *s, struct tr_revocations *ret, struct tr_err *err);
/* Is a peer of this id and key refused? */
bool tr_revocations_has(const struct tr_revocations *r, struct tr_view agent, const uint8_t key_id[32]);
/* Merges an answer of GET /api/v1/agent/revocations. */
TR_RC tr_revocations_merge(struct tr_revocations *r, struct tr_view answer, struct tr_err *err);
void tr_revocations_put(const struct tr_revocations *r, struct tr_buf *b);

/* Asks the connected server for what is new and saves it. verify_ms: as in tr_client_request. */
TR_RC tr_revocations_fetch(const struct tr_state *s, struct tr_client *c, int64_t verify_ms, struct tr_revocations *r,
			   struct tr_err *err);

#endif
