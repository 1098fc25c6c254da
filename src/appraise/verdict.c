/* SPDX-License-Identifier: Apache-2.0 */
#include "appraise/verdict.h"

static const struct tr_reason_info infos[TR_R_N] = {
	[TR_R_OK] = {
		"ok", 201, "Admitted",
		"The claim was accepted.",
	},
	[TR_R_MALFORMED] = {
		"malformed", 400, "Malformed request",
		"The request or the claim in it is not of the documented form. Compare it with "
		"docs/protocol; the agent and the server may be of different versions.",
	},
	[TR_R_BAD_SIGNATURE] = {
		"bad_signature", 401, "Signature does not verify",
		"A signature of the request does not verify with its key. The claim was altered on "
		"its way, or signed with another key: check which key file the agent uses.",
	},
	[TR_R_UNKNOWN_KEY] = {
		"unknown_key", 401, "Unknown key",
		"The statement is signed by a key that this server does not know. Add the public key "
		"with 'troth key add', or sign with a key that 'troth key list' shows.",
	},
	[TR_R_CLOCK_DESYNC] = {
		"clock_desync", 401, "Clocks differ too much",
		"The claim's time is too far from the server's. Synchronise the clock of the agent's "
		"host (timedatectl status) and register again.",
	},
	[TR_R_REPLAY] = {
		"replay", 409, "Claim already used",
		"This very claim was used before. Make a new claim for each registration; if you did, "
		"somebody is repeating captured requests.",
	},
	[TR_R_HASH_NOT_ALLOWED] = {
		"hash_not_allowed", 403, "Binary not allowed",
		"No release statement or pin vouches for the hash of the running binary. Install a "
		"released binary, or publish this one with 'troth release sign' and 'troth release "
		"add'.",
	},
	[TR_R_VERSION_NOT_ALLOWED] = {
		"version_not_allowed", 403, "Version not allowed",
		"The policy or the release statement does not allow this version. Install an allowed "
		"one, or change the policy with 'troth policy set'.",
	},
	[TR_R_KEY_REVOKED] = {
		"key_revoked", 401, "Key revoked",
		"The key that vouches for this claim was revoked, or was out of its validity when it "
		"signed. Sign the release again with an active key.",
	},
	[TR_R_TOKEN_INVALID] = {
		"token_invalid", 401, "Registration token not valid",
		"The registration token is unknown, expired, revoked or used up. Ask the operator for "
		"a new one ('troth token create').",
	},
	[TR_R_CHALLENGE_INVALID] = {
		"challenge_invalid", 401, "Challenge not valid",
		"The challenge is unknown, expired or was used before. Fetch a new one from "
		"/api/v1/challenge and sign a new claim over it.",
	},
	[TR_R_CHANNEL_MISMATCH] = {
		"channel_mismatch", 401, "Claim of another connection",
		"The claim is bound to another TLS connection than the one it came over. Register "
		"directly, without a TLS-terminating proxy; a relayed claim is refused.",
	},
	[TR_R_KEY_MISMATCH] = {
		"key_mismatch", 401, "Two different keys",
		"The certificate request and the claim are by different keys. Sign both with the "
		"device's one key.",
	},
	[TR_R_KEY_REFUSED] = {
		"key_refused", 400, "Key refused",
		"The device key is of a type or size that is not accepted, is publicly known, or is the "
		"one that a reset replaces. Make a new one: Ed25519, P-256 or RSA of 2048 to 8192 bits.",
	},
	[TR_R_FORMAT_NOT_ACCEPTED] = {
		"format_not_accepted", 403, "Form of claim not accepted",
		"This server is not configured to accept this form of claim: see 'attestation.accept' "
		"in its configuration.",
	},
	[TR_R_TIER_TOO_LOW] = {
		"tier_too_low", 403, "Trust tier too low",
		"The policy demands stronger evidence than this claim is. Register with evidence of "
		"the demanded tier, or lower it with 'troth policy set'.",
	},
	[TR_R_ID_TAKEN] = {
		"id_taken", 409, "Agent id taken",
		"This agent id belongs to another key, or did once; ids are never reused. Choose "
		"another node id for this agent.",
	},
	[TR_R_RELEASE_EXPIRED] = {
		"release_expired", 403, "Release statement expired",
		"The release statement of the running binary has expired. Update the agent to a "
		"current release, or sign this one again.",
	},
	[TR_R_AGENT_REVOKED] = {
		"agent_revoked", 403, "Agent revoked",
		"This agent or its key was revoked by an operator. Enrol it under a new id with a new "
		"key if it may come back.",
	},
	[TR_R_LIMIT] = {
		"limit", 429, "Limit reached",
		"The server has reached a limit of agents or requests. Try again later; the header "
		"Retry-After says when.",
	},
	[TR_R_EVIDENCE_NOT_AUTHENTIC] = {
		"evidence_not_authentic", 403, "Evidence is not authentic",
		"No chain of signatures leads from a root that the policy trusts to this evidence. The "
		"verdict names the check that failed ('troth attestation explain').",
	},
	[TR_R_EVIDENCE_NOT_CURRENT] = {
		"evidence_not_current", 403, "Evidence is not current",
		"The evidence is authentic, but something it rests on is revoked, out of date or missing. "
		"Update the platform, or import the vendor's newest collateral.",
	},
	[TR_R_EVIDENCE_WRONG_SOFTWARE] = {
		"evidence_wrong_software", 403, "Not the software that the policy demands",
		"The evidence is authentic, but debug is on, an attribute is not accepted, or what was "
		"measured is none of the policy's reference values.",
	},
	[TR_R_EVIDENCE_NOT_FRESH] = {
		"evidence_not_fresh", 401, "Evidence of another challenge or key",
		"The evidence was not made for this challenge and this key. Ask for a challenge, quote "
		"with it, and send the quote at once.",
	},
};

const struct tr_reason_info *tr_reason_info(enum tr_reason r)
{
	return &infos[(unsigned)r < TR_R_N ? r : TR_R_MALFORMED];
}

bool tr_reason_from_slug(struct tr_view slug, enum tr_reason *ret)
{
	for (unsigned i = 0; i < TR_R_N; i++) {
		if (tr_view_is(slug, infos[i].slug)) {
			*ret = (enum tr_reason)i;
			return true;
		}
	}
	return false;
}

static const char *const tiers[TR_TIER_N] = { "none", "self-asserted", "kernel", "hardware" };

const char *tr_tier_name(enum tr_tier t)
{
	/* Unknown is never stronger than nothing. */
	return tiers[(unsigned)t < TR_TIER_N ? t : TR_TIER_NONE];
}

bool tr_tier_from_name(struct tr_view v, enum tr_tier *ret)
{
	for (unsigned i = 0; i < TR_TIER_N; i++) {
		if (tr_view_is(v, tiers[i])) {
			*ret = (enum tr_tier)i;
			return true;
		}
	}
	return false;
}
