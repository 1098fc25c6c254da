/* SPDX-License-Identifier: Apache-2.0 */
/* The command: an order on its way to its agent, COSE_Sign1 by the command key (role `keys`), the approvals enclosed. It
 * is what CK-1 demands: key id, command id, agent, type, parameters, issue and expiry, sequence. Made in one place
 * (server/role_keys.c), checked in one place (tr_command_verify, by the agent).
 *
 * Replay: (line, seq) rises for each command to an agent; the agent keeps the highest and a window (agent/journal.h). A
 * line begins when an installation is made or restored from a backup, so that a restored server re-uses no number. */
#ifndef TR_SIGNED_COMMAND_H
#define TR_SIGNED_COMMAND_H

#include "signed/approval.h"

#define TR_COMMAND_DOMAIN "troth/command/v1"
#define TR_COMMAND_MAX 24576
#define TR_COMMAND_APPROVALS_MAX 2
#define TR_COMMAND_AGE_MAX_S 14400  /* from signing to the end: 4 h, unless the order waits for its not_before */
#define TR_COMMAND_SKEW_S 300       /* an issue time this far in the future is still taken */

struct tr_command {
	struct tr_view order;     /* encoded tr_order */
	uint64_t epoch;           /* enrolment generation of the agent */
	uint64_t line, seq;       /* see above; both at least 1, below 2^63 */
	int64_t issued_ms, expires_ms; /* of this signature; expires_ms at most the order's */
	uint64_t keyset_epoch, revocation; /* that the signer knew */
	size_t n_approvals;
	struct tr_view approvals[TR_COMMAND_APPROVALS_MAX]; /* COSE bytes */
};

TR_RC tr_command_sign(const struct tr_command *c, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
/* Form and fields, unverified; views borrow from in. For people who look at one, and for the agent's journal. TR_E_NOTFOUND:
 * an order that this version does not know (tr_order_decode); all is set then, too. */
TR_RC tr_command_read(struct tr_view in, struct tr_command *ret, struct tr_order *ret_order, struct tr_view *ret_kid,
		      struct tr_err *err);

/* Why a command is refused; the slug is stable and is what receipts carry. */
enum tr_refusal {
	TR_REF_NONE,
	TR_REF_MALFORMED,         /* not a command, or a field breaks its rule */
	TR_REF_UNKNOWN_KEY,       /* key not in the keyset: fetch a newer one, then refuse */
	TR_REF_REVOKED_KEY,
	TR_REF_RETIRED_KEY,       /* issued after no_sign_after, or outside the key's validity, or the grace is over */
	TR_REF_BAD_SIGNATURE,
	TR_REF_WRONG_AGENT,       /* other agent, trust domain or enrolment */
	TR_REF_EXPIRED, TR_REF_NOT_YET, TR_REF_TOO_OLD,
	TR_REF_REPLAYED,          /* (line, seq) used or below the window; the agent's journal says so */
	TR_REF_APPROVAL_MISSING,  /* fewer different operators than the class demands */
	TR_REF_APPROVAL_INVALID,
	TR_REF_STALE_KEYSET,      /* the agent's keyset is older than its grace: nothing but reads */
	TR_REF_WRONG_IMAGE,       /* the order's precondition */
	TR_REF_QUARANTINED,
	TR_REF_JOURNAL,           /* the agent cannot write its journal, found it damaged, or has no memory */
	TR_REF_CANCELLED,         /* by a later order */
	TR_REF_UNSUPPORTED,       /* a command that this agent's version does not know */
	TR_REF_N
};
const char *tr_refusal_slug(enum tr_refusal r);    /* "bad_signature", … */
const char *tr_refusal_sentence(enum tr_refusal r); /* what to do */
enum tr_refusal tr_refusal_of(struct tr_view slug); /* TR_REF_N: no such */

/* What the agent knows when a command arrives. */
struct tr_command_scope {
	struct tr_view trust_domain, agent_id;
	uint64_t epoch;           /* enrolment generation; 0: not known, then not compared */
	const struct tr_keyset *keyset;
	int64_t now_ms;           /* the server's time as known (never before what was known at the last start) */
	bool grace_over;          /* the keyset was not refreshed for longer than the stale grace */
};
/* Everything but the journal, in this order: form, key known, not revoked, signature; then fields, the key's time, agent,
 * known command, times, approvals, grace. The first thing that is wrong, or TR_REF_NONE. Nothing of the content is judged
 * before the signature holds, so that a forger learns nothing from the answer. *ret_authentic: a command key that may be
 * believed signed it; then *ret and *ret_order (views into in) are set, whatever else is wrong. ret_digest: of the signed
 * bytes whenever the form could be read, zeros otherwise. err says more. No memory is TR_REF_JOURNAL, nobody's fault. */
enum tr_refusal tr_command_verify(struct tr_view in, const struct tr_command_scope *s, struct tr_command *ret,
				  struct tr_order *ret_order, uint8_t ret_digest[32], bool *ret_authentic,
				  struct tr_err *err);

#endif
