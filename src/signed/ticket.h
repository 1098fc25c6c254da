/* SPDX-License-Identifier: Apache-2.0 */
/* The nonce ticket: the freshness value in every answer to a pulse (RFC 9334 §10: a nonce that is also an epoch id). It
 * is a MAC under a key that the nodes share, so a server checks it without remembering it, also after a restart and on
 * another node; its age is judged on the server's clock alone.
 *
 *   ticket = run (8) ‖ seq (8) ‖ issued, Unix ms (8) ‖ mac (16), integers big endian
 *   mac    = HMAC-SHA256(key, "troth/ticket/v1" ‖ len(agent id) (1) ‖ agent id ‖ epoch (4) ‖
 *                        run ‖ seq ‖ issued ‖ head (32))[0:16]
 *
 * seq is the number of the pulse that was answered, 0 in a ticket that only asks for a resend (resync); head is the
 * digest of that pulse, which the next pulse names as its `prev`. So a valid ticket proves that this control plane once
 * accepted the pulse `prev` as number seq. The 16 bytes of MAC are the 128-bit nonce of PU-1. */
#ifndef TR_SIGNED_TICKET_H
#define TR_SIGNED_TICKET_H

#include "base/view.h"

#define TR_TICKET_LEN 40
#define TR_TICKET_KEY_LEN 32

struct tr_ticket_scope {
	struct tr_view agent_id; /* at most 64 bytes */
	uint32_t epoch;          /* enrolment generation of the agent */
	const uint8_t *head;     /* 32 bytes */
};

struct tr_ticket {
	uint64_t run; /* random per start of a server's core */
	uint64_t seq;
	int64_t issued_ms;
};

void tr_ticket_make(const uint8_t key[TR_TICKET_KEY_LEN], const struct tr_ticket_scope *scope,
		    const struct tr_ticket *t, uint8_t out[TR_TICKET_LEN]);
/* Constant time in the MAC. False: not a ticket of this key for this scope; *ret is untouched. */
bool tr_ticket_open(const uint8_t key[TR_TICKET_KEY_LEN], const struct tr_ticket_scope *scope, struct tr_view in,
		    struct tr_ticket *ret);

#endif
