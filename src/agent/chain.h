/* SPDX-License-Identifier: Apache-2.0 */
/* What makes the pulses of one agent a chain: the number of each, the digest of the last one whose answer
 * came, the ticket that came with it. Survives restarts in chain.cbor, written whole and synced after every
 * accepted answer.
 *
 * The numbers are never used twice: each try takes the next, and a start skips TR_CHAIN_SKIP of them, for
 * those that a crash kept from the disk. Without a file (lost, damaged) the chain begins anew with zeros; the
 * server calls such an agent restored and lets an operator decide. */
#ifndef TR_AGENT_CHAIN_H
#define TR_AGENT_CHAIN_H

#include "agent/clock.h"
#include "agent/state.h"

#define TR_CHAIN_FILE "chain.cbor"
#define TR_CHAIN_SKIP 1024

struct tr_chain {
	/* On disk. */
	uint64_t seq; /* of the last try */
	uint64_t bootcount;
	uint8_t boot_id[16];
	uint8_t prev[32]; /* zeros: none */
	uint8_t ticket[TR_TICKET_LEN];
	bool has_ticket;
	struct tr_known_time time;

	/* In memory. */
	uint8_t fresh[TR_TICKET_LEN]; /* the ticket that a resync gave for the next try */
	bool has_fresh;
	bool ask_anew; /* the next try encloses no ticket, so that the server gives a fresh one */
	uint64_t stored_seq;
	uint64_t resyncs;
};

/* ---- the file ---- */
void tr_chain_encode(const struct tr_chain *c, struct tr_buf *out);
/* TR_E_INVALID for anything but a whole file; *ret untouched then. */
TR_RC tr_chain_decode(struct tr_view in, struct tr_chain *ret, struct tr_err *err);
/* TR_E_NOTFOUND, TR_E_INVALID: *ret is a new chain. */
TR_RC tr_chain_load(const struct tr_state *s, struct tr_chain *ret, struct tr_err *err);
TR_RC tr_chain_save(const struct tr_state *s, struct tr_chain *c, struct tr_err *err);

/* ---- one process's part of it; pure ---- */
/* boot_id zeros: not known, then nothing is concluded from it. */
void tr_chain_start(struct tr_chain *c, const uint8_t boot_id[16]);
/* Takes a number and fills in what the pulse says about the chain. Views borrow from c. */
void tr_chain_try(struct tr_chain *c, struct tr_pulse *p);
/* Enough numbers were tried since the last save that a crash could repeat one? */
bool tr_chain_must_save(const struct tr_chain *c);

enum tr_chain_next {
	TR_CHAIN_ACCEPTED, /* the chain grew: save it */
	TR_CHAIN_AGAIN,	   /* send the next try at once, on this connection */
	TR_CHAIN_GIVE_UP,  /* asked twice in a row: not before the next beat */
};
/* An answer of status 200 to the try whose pulse has this digest. */
enum tr_chain_next tr_chain_answered(struct tr_chain *c, const struct tr_pulse_answer *a,
				     const uint8_t digest[32]);
/* Any other end of a try. The chain stays where it is. */
void tr_chain_failed(struct tr_chain *c);
/* Refused as a replay: somebody else has used our ticket, or this process was set back. The next try asks for
 * a fresh one; what it then says is a proof, and the server can tell which of two it is. */
void tr_chain_replayed(struct tr_chain *c);

#endif
