/* SPDX-License-Identifier: Apache-2.0 */
/* What a refusal is called, and what people can do about it. */
#include "signed/command.h"

static const struct {
	const char *slug, *sentence;
} refusals[TR_REF_N] = {
	[TR_REF_NONE] = { "", "" },
	[TR_REF_MALFORMED] = { "malformed",
			       "this is no command, or a field of it breaks its rule: whoever made it must make it right" },
	[TR_REF_UNKNOWN_KEY] = { "unknown_key",
				 "the command is signed by a key that the agent's keyset does not name as a command "
				 "key: publish a keyset that names it, or find out who signs" },
	[TR_REF_REVOKED_KEY] = { "revoked_key",
				 "the command is signed by a revoked key: order again, it is signed by the present one" },
	[TR_REF_RETIRED_KEY] = { "retired_key",
				 "the command was signed outside the time of its key, or the key's last 4 hours are "
				 "over: order again" },
	[TR_REF_BAD_SIGNATURE] = { "bad_signature",
				   "the command's signature does not hold: somebody altered or forged it" },
	[TR_REF_WRONG_AGENT] = { "wrong_agent",
				 "the command is for another agent, trust domain or enrolment: order again for this one" },
	[TR_REF_EXPIRED] = { "expired", "the command has expired: order again if it is still wanted" },
	[TR_REF_NOT_YET] = { "not_yet",
			     "the command was signed in the future: compare the clocks of server and agent" },
	[TR_REF_TOO_OLD] = { "too_old", "the command was signed too long ago: order again if it is still wanted" },
	[TR_REF_REPLAYED] = { "replayed",
			      "the command's number was used before, or is below the agent's window: order again" },
	[TR_REF_APPROVAL_MISSING] = { "approval_missing",
				      "fewer different operators have approved the command than its class demands: let "
				      "them approve and order again" },
	[TR_REF_APPROVAL_INVALID] = { "approval_invalid",
				      "an approval of the command does not hold: let the operators approve again" },
	[TR_REF_STALE_KEYSET] = { "stale_keyset",
				  "the agent could not refresh its keyset for too long and obeys nothing but reads: "
				  "let it reach the server" },
	[TR_REF_WRONG_IMAGE] = { "wrong_image", "the agent runs another image than the order demands" },
	[TR_REF_QUARANTINED] = { "quarantined",
				 "the agent is in quarantine and obeys nothing but reads, cancel and release" },
	[TR_REF_JOURNAL] = { "journal",
			     "the agent cannot write its journal, found it damaged, or has no memory: look at its disk "
			     "and its log" },
	[TR_REF_CANCELLED] = { "cancelled", "the command was cancelled by a later order before it began" },
	[TR_REF_UNSUPPORTED] = { "unsupported", "the agent's version does not know this command: update the agent" },
};

const char *tr_refusal_slug(enum tr_refusal r)
{
	return (unsigned)r < TR_REF_N ? refusals[r].slug : "unknown";
}

const char *tr_refusal_sentence(enum tr_refusal r)
{
	return (unsigned)r < TR_REF_N ? refusals[r].sentence : "the command is refused";
}

enum tr_refusal tr_refusal_of(struct tr_view slug)
{
	for (unsigned i = TR_REF_NONE + 1; i < TR_REF_N; i++)
		if (tr_view_is(slug, refusals[i].slug))
			return (enum tr_refusal)i;
	return TR_REF_N;
}
