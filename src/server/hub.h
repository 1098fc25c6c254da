/* SPDX-License-Identifier: Apache-2.0 */
/* The hub: where agents that proved what they are find each other, and where messages wait that only their recipients can
 * read. What is said of an agent here is its row in `attested` while that is good; nothing is remembered beside the store.
 *
 *   hub.c        who counts as verified, revocations, signed requests      discovery.c  who is there, and by which key
 *   mail.c       letters: sent, fetched, acknowledged                     mailbox.c    which wait for whom: bounded, expiring
 *   prekey.c     keys that messages are sealed to
 *   security.c   the security monitor */
#ifndef TR_SERVER_HUB_H
#define TR_SERVER_HUB_H

#include "server/core.h"

#define TR_REQUEST_SKEW_S 300 /* of a signed request's X-Timestamp */

#define TR_BOX_LETTERS_MAX 256
#define TR_BOX_BYTES_MAX ((size_t)4 << 20)
#define TR_BOX_FROM_ONE_MAX 64 /* letters of one sender to one recipient */
#define TR_MAIL_FROM_ONE_BYTES_MAX ((size_t)32 << 20) /* letters of one sender, to whomever: none fills the hub for all */
#define TR_MAIL_BYTES_MAX ((size_t)256 << 20) /* of all */

/* Of an agent, or of who holds a token: a proof is due every hour or two, and a hundred thousand bytes of it are kept. */
#define TR_PROOF_STEP_MS 20000u
#define TR_PROOF_BURST 30u

struct tr_mailboxes;
struct tr_hub {
	struct tr_mailboxes *mail;
	uint64_t revocations; /* ended agents, and identities that were reset; only rises */
	struct tr_pace asks;  /* signed requests, per agent */
	struct tr_pace sends; /* letters, per agent */
	struct tr_pace proofs; /* registrations with evidence, per agent */
	struct tr_pace tries; /* failed ones of strangers that are kept, per token */
	int64_t checked_at;   /* security monitor: when it last looked, Unix ms */
};

struct tr_hub *tr_hub_new(void); /* NULL: no memory */
struct tr_hub *tr_hub_free(struct tr_hub *h);
/* Everything is loaded. False: out of memory. */
bool tr_hub_loaded(struct tr_core *c);
/* An agent's row was put (request.c); was: what it said before. */
void tr_hub_agent_put(struct tr_core *c, const struct tr_item *i, const struct tr_follow *was);
/* A letter's row was put or deleted; false: out of memory. */
bool tr_hub_mail(struct tr_core *c, enum tr_op op, const struct tr_mail_row *row);
/* Once a second: questions that have waited long enough, letters that nobody fetched in time. */
void tr_hub_tick(struct tr_core *c, const struct tr_instant *now);

/* The agent's attestation, when at this moment it is verified, has not expired, speaks for the key that the agent is
 * enrolled with, and the agent itself is active; else NULL. */
const struct tr_attested_row *tr_hub_verified(const struct tr_core *c, struct tr_view agent, struct tr_row_room *room);

/* A request signed by its agent (signed/request_sig.h): checks headers, agent, signature, time and that it comes once, then
 * calls `then` with a kept request whose `about` is the agent; it answers and frees it. Everything else is answered here.
 * evidence: the agent must be verified, not only enrolled. */
typedef void (*tr_hub_then)(struct tr_req *kept);
void tr_hub_authenticate(struct tr_core *c, struct tr_req *r, bool evidence, tr_hub_then then);

/* Something for the security monitor: an event, and for severities 1 and 2 an alert of that kind. detail: JSON object. */
void tr_hub_event(struct tr_core *c, enum tr_event_kind kind, unsigned severity, struct tr_view agent, struct tr_view source,
		  struct tr_view detail, const char *alert, const char *summary);

void tr_api_discover(struct tr_core *c, struct tr_req *r);
void tr_api_discover_one(struct tr_core *c, struct tr_req *r);
void tr_api_prekey(struct tr_core *c, struct tr_req *r);
void tr_api_revocations(struct tr_core *c, struct tr_req *r);
void tr_api_mail_send(struct tr_core *c, struct tr_req *r);
void tr_api_mail_fetch(struct tr_core *c, struct tr_req *r);
void tr_api_mail_ack(struct tr_core *c, struct tr_req *r);
void tr_api_security_health(struct tr_core *c, struct tr_req *r);
/* For /metrics. */
void tr_hub_metrics(const struct tr_core *c, struct tr_buf *b);
/* What discovery says of an agent, as one JSON object. */
void tr_discovered_json(const struct tr_attested_row *a, struct tr_buf *b);

#endif
