/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent's machine has proved, as `agent show` and `agent explain` say it. */
#include "cli/api.h"

#include "base/clock.h"

void tr_agent_put_proof(struct tr_buf *b, tr_jnode agent, bool colour)
{
	static const struct tr_col cols[] = {
		{ "attestation", "state", TR_CELL_STATE },   { "evidence", "kind", TR_CELL_TEXT },
		{ "proved tier", "tier", TR_CELL_TEXT },     { "simulated", "simulated", TR_CELL_YES },
		{ "TCB status", "tcb_status", TR_CELL_TEXT }, { "image", "image", TR_CELL_TEXT },
		{ "by policy", "policy", TR_CELL_TEXT },     { "proved", "verified_at", TR_CELL_TIME },
		{ "good until", "expires_at", TR_CELL_TIME }, { "verdict", "verdict", TR_CELL_TEXT },
		{ "last failure", "failed_at", TR_CELL_TIME }, { "failed for", "reason", TR_CELL_TEXT },
	};
	tr_jnode a = tr_json_get(agent, "attestation");
	struct tr_view verdict;

	tr_buf_adds(b, "\nWhat its machine proved:\n");
	if (!tr_json_is_object(a)) {
		tr_buf_adds(b, "nothing: no evidence of a TEE or TPM was ever sent (`troth-agent tee show` on its host)\n");
		return;
	}
	tr_out_lines(b, cols, TR_ARRAY_LEN(cols), a, colour, tr_now_ms());
	if (tr_json_str(tr_json_get(a, "verdict"), &verdict) && verdict.n)
		tr_buf_addf(b, "every check: `troth attestation explain %.*s`\n", TR_VIEW_FMT(verdict));
}
