/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outcome.h"

#include "agent/backoff.h"
#include "base/own.h"
#include "base/view.h"

#define BARRED_WAIT_MS UINT64_C(300000)

/* The answers that mean something of their own. */
static const struct {
	int status;
	const char *code;
	enum tr_outcome what;
} special[] = {
	{ 409, "replay", TR_OUT_REPLAYED },
	{ 403, "quarantined", TR_OUT_BARRED },	  { 403, "agent_revoked", TR_OUT_REVOKED },
	{ 401, "agent_revoked", TR_OUT_REVOKED }, { 401, "agent_unknown", TR_OUT_BARRED },
	{ 403, "agent_unknown", TR_OUT_BARRED },  { 401, "key_mismatch", TR_OUT_BARRED },
	{ 403, "key_mismatch", TR_OUT_BARRED },
};

enum tr_outcome tr_outcome_of(int status, const char *code)
{
	if (status == 200)
		return TR_OUT_ACCEPTED;
	for (size_t i = 0; i < TR_ARRAY_LEN(special); i++)
		if (special[i].status == status && strcmp(special[i].code, code) == 0)
			return special[i].what;
	/* A redirect is nothing a server of ours sends: some other program answers there. */
	return status >= 400 && status < 500 ? TR_OUT_REFUSED : TR_OUT_UNREACHABLE;
}

bool tr_outcome_is_key(int status, const char *code)
{
	return (status == 401 || status == 403) &&
	       (strcmp(code, "key_mismatch") == 0 || strcmp(code, "agent_unknown") == 0);
}

static uint64_t at_least(uint64_t wait, unsigned retry_after_s)
{
	uint64_t told = (uint64_t)retry_after_s * 1000;

	if (told > TR_BACKOFF_CAP_MS)
		told = TR_BACKOFF_CAP_MS;
	/* Never before the time the server asked for, and never all at that same moment. */
	return wait > told ? wait : told + wait % (told / 4 + 1);
}

uint64_t tr_outcome_wait_ms(enum tr_outcome what, unsigned failures, uint64_t interval_s,
			    unsigned retry_after_s, uint32_t random)
{
	uint64_t interval_ms = tr_interval_clamp_s(interval_s) * 1000;

	switch (what) {
	case TR_OUT_ACCEPTED: return tr_jitter_ms(interval_ms, random);
	case TR_OUT_REFUSED: return at_least(tr_jitter_ms(interval_ms, random), retry_after_s);
	case TR_OUT_BARRED:
	case TR_OUT_REVOKED: return tr_jitter_ms(BARRED_WAIT_MS, random);
	default: return at_least(tr_backoff_ms(failures, 2 * interval_ms, random), retry_after_s);
	}
}

const char *tr_outcome_name(enum tr_outcome what)
{
	switch (what) {
	case TR_OUT_ACCEPTED: return "ok";
	case TR_OUT_REFUSED:
	case TR_OUT_REPLAYED: return "refused";
	case TR_OUT_BARRED: return "barred";
	case TR_OUT_REVOKED: return "revoked";
	default: return "unreachable";
	}
}
