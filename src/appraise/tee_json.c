/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict as JSON: what was judged (by digest), by which policy and collateral, when, and every line. No build and no clock
 * in it: the same appraisal gives the same bytes, whoever makes it and whenever. */
#include "appraise/tee_policy.h"

#include <inttypes.h>

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/hash.h"

static void member_digest(struct tr_buf *b, const char *name, struct tr_view bytes)
{
	uint8_t digest[32];

	if (!bytes.n) {
		tr_buf_addf(b, ",\"%s\":null", name);
		return;
	}
	tr_sha256(bytes, digest);
	tr_json_member_hex(b, name, TR_VIEW_ARRAY(digest));
}

void tr_tee_verdict_json(const struct tr_tee_verdict *v, const struct tr_tee_in *in, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;

	tr_tee_set_put(&set, &in->set);
	if (!tr_buf_ok(&set)) {
		b->failed = true; /* a digest of half of it would be another verdict's */
		return;
	}
	tr_buf_addf(b, "{\"format\":1,\"ok\":%s", v->ok ? "true" : "false");
	tr_json_member_str(b, "reason", tr_view_str(tr_reason_info(v->reason)->slug));
	tr_json_member_str(b, "code", tr_view_str(tr_tee_code_info(v->ev.first)->slug));
	tr_json_member_str(b, "tier", tr_view_str(tr_tier_name(v->tier)));
	tr_buf_addf(b, ",\"simulated\":%s", v->simulated ? "true" : "false");
	tr_json_member_str(b, "image", tr_view_str(v->image));
	tr_buf_addf(b, ",\"compared\":%s", v->compared ? "true" : "false");
	tr_json_member_time(b, "time", in->now * 1000);
	tr_json_member_time(b, "expires_at", v->expires * 1000);
	tr_json_member_str(b, "policy", tr_view_str(in->policy->name));
	tr_json_member_hex(b, "policy_sha256", TR_VIEW_ARRAY(in->policy->sha256));
	tr_json_member_str(b, "report_data_scheme", tr_view_str(tr_rd_scheme_name(in->policy->scheme)));
	tr_json_member_hex(b, "challenge", in->challenge);
	member_digest(b, "key_sha256", in->spki);
	member_digest(b, "evidence_sha256", tr_buf_view(&set));
	tr_buf_addf(b, ",\"collateral_version\":%" PRIu64 ",\"result\":", in->bundle ? in->bundle->version : 0);
	tr_tee_result_json(&v->ev, b);
	tr_buf_add8(b, '}');
}
