/* SPDX-License-Identifier: Apache-2.0 */
/* The keyset that this agent goes by: who may order, who may approve, which CA the servers have. It only ever goes
 * forward, one verified step after the other, and is on disk before it counts (keyset.cose, then ca.pem, then
 * authority.cbor, which says that both are there and when a server last confirmed them). */
#ifndef TR_AGENT_AUTHORITY_H
#define TR_AGENT_AUTHORITY_H

#include "agent/state.h"
#include "signed/keyset.h"
#include "signed/trust.h"

#define TR_AUTHORITY_FILE "authority.cbor"
#define TR_AUTHORITY_TTL_MS INT64_C(86400000)	/* older: asked anew before a command is looked at */
#define TR_AUTHORITY_EVERY_MS INT64_C(21600000) /* asked anew this often, give or take a tenth */
#define TR_STALE_KEY_HOURS 168

/* ---- from a keyset to the next ---- */

/* Verified steps. Zeroed, it begins with a pin: at the first keyset whose roots are the pinned ones. */
struct tr_keywalk {
	const uint8_t *pin;  /* 32 bytes; NULL: only from the keyset that it has */
	const uint8_t *seek; /* 32 bytes or NULL: another root fingerprint, only looked for */
	bool sought;	     /* it came by, verified or not */
	bool has;
	struct tr_buf bytes; /* of the keyset; kept apart, so that the views of `keyset` stay good */
	struct tr_keyset keyset;
	uint64_t last; /* epoch of the last one that came by: where to go on asking */
	uint64_t bytes_before; /* of those before ours, which nobody vouches for */
};
void tr_keywalk_done(struct tr_keywalk *w);
TR_DEFINE_AUTO_DONE(struct tr_keywalk, tr_keywalk_done)
/* Takes an answer of /api/v1/keyset/chain. TR_E_DENIED: a step does not verify; w stays at the last one that did. */
TR_RC tr_keywalk_page(struct tr_keywalk *w, struct tr_view answer, size_t *ret_n, struct tr_err *err);
/* One keyset, as /api/v1/keyset gives it. */
TR_RC tr_keywalk_step(struct tr_keywalk *w, struct tr_view keyset, struct tr_err *err);
/* Is it in force now? Only the last one has to be. */
TR_RC tr_keywalk_end(const struct tr_keywalk *w, int64_t now_ms, struct tr_err *err);

/* ---- the agent's ---- */

struct tr_authority {
	struct tr_keywalk walk;	      /* where we are; walk.has false: no keyset, nothing is obeyed */
	uint8_t pin[32];
	int64_t refreshed_ms; /* known time of the last confirmation; 0: never */
	uint64_t stored_epoch;	      /* that authority.cbor vouches for */
	bool journal;		      /* this agent has had a journal */
	/* in memory */
	uint64_t told_epoch;	  /* the highest that the server spoke of */
	uint64_t not_before_mono; /* no attempt before */
	unsigned failures;
};
void tr_authority_done(struct tr_authority *a);
TR_DEFINE_AUTO_DONE(struct tr_authority, tr_authority_done)

/* keyset.cose as it was verified when it was stored, and authority.cbor. A damaged keyset is no keyset: the next refresh
 * begins at the pin of agent.json. */
void tr_authority_load(const struct tr_state *s, struct tr_authority *ret);
TR_RC tr_authority_save(const struct tr_state *s, struct tr_authority *a, struct tr_err *err);
/* Before the first page of a walk: without a keyset it begins at the first one. */
void tr_authority_begin(struct tr_authority *a);
/* Epoch after which the next page is to be asked for. */
uint64_t tr_authority_after(const struct tr_authority *a);
/* A page of the chain came. When the keyset moved, all of it is on disk afterwards; *ret_moved then. *ret_n: how many it
 * held; 0: nothing is newer, and the keyset is confirmed. */
TR_RC tr_authority_take(struct tr_state *s, struct tr_authority *a, struct tr_view answer, int64_t now_ms, size_t *ret_n,
			bool *ret_moved, struct tr_err *err);

bool tr_authority_is_due(const struct tr_authority *a, int64_t now_ms, uint64_t mono_ms, uint32_t spread);
/* Before a command is looked at. */
bool tr_authority_is_old(const struct tr_authority *a, int64_t now_ms);
/* Nothing but reads: not confirmed for longer than the grace, or past its own end. */
bool tr_authority_is_stale(const struct tr_authority *a, int64_t now_ms, uint64_t hours);

#endif
