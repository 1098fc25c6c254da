/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of attestation: metrics, readiness, an agent's state. */
#include "server/tee_inner.h"
#include "server/hub.h"

#include "appraise/tee.h"
#include "base/clock.h"
#include "codec/text.h"

static void put_age(const struct tr_core *c, const char *metric, const char *help, bool age, struct tr_buf *b)
{
	int64_t now = tr_now_ms() / 1000, issued, ends;

	tr_buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n", metric, help, metric);
	for (unsigned t = 1; t < TR_BI_N && c->tee->bundle.good; t++) {
		const char *name = tr_bundle_item_name((enum tr_bundle_item)t);

		ends = tr_collateral_ends(c, tr_view_str(name), &issued);
		if (age ? issued : ends)
			tr_buf_addf(b, "%s{item=\"%s\"} %lld\n", metric, name, (long long)(age ? now - issued : ends - now));
	}
}

void tr_tee_metrics(const struct tr_core *c, struct tr_buf *b)
{
	static const char *const outcomes[] = { "failed", "verified" };
	const struct tr_tee_counts *n = &c->tee->counts;

	tr_buf_adds(b, "# HELP troth_evidence_verifications_total Appraisals of TEE and TPM evidence.\n"
		       "# TYPE troth_evidence_verifications_total counter\n");
	for (unsigned k = 1; k < TR_TEE_KIND_N; k++)
		for (unsigned o = 0; o < TR_TEE_OUTCOMES; o++)
			tr_buf_addf(b, "troth_evidence_verifications_total{kind=\"%s\",outcome=\"%s\"} %llu\n",
				    tr_tee_kind_name((enum tr_tee_kind)k), outcomes[o], (unsigned long long)n->by_kind[k][o]);
	tr_buf_addf(b,
		    "# HELP troth_evidence_refused_total Registrations with evidence that were refused before it was looked at.\n"
		    "# TYPE troth_evidence_refused_total counter\n"
		    "troth_evidence_refused_total %llu\n"
		    "# HELP troth_evidence_verification_seconds_total CPU time of appraisals.\n"
		    "# TYPE troth_evidence_verification_seconds_total counter\n"
		    "troth_evidence_verification_seconds_total %.6f\n"
		    "# HELP troth_collateral_version Version of the collateral bundle in force; 0: none.\n"
		    "# TYPE troth_collateral_version gauge\n"
		    "troth_collateral_version %llu\n",
		    (unsigned long long)n->refused, (double)n->nanoseconds / 1e9,
		    (unsigned long long)(c->tee->bundle.good ? c->tee->bundle.version : 0));
	put_age(c, "troth_collateral_age_seconds", "Age of the oldest item of a kind.", true, b);
	put_age(c, "troth_collateral_seconds_left", "Until the first item of a kind ends.", false, b);
}

void tr_tee_ready_json(const struct tr_core *c, struct tr_buf *b)
{
	const struct tr_collateral *col = &c->tee->bundle;
	int64_t first = 0;

	if (!tr_tee_active_policies(c))
		return;
	for (unsigned t = 1; t < TR_BI_N && col->good; t++) {
		int64_t ends = tr_collateral_ends(c, tr_view_str(tr_bundle_item_name((enum tr_bundle_item)t)), NULL);

		if (ends && (!first || ends < first))
			first = ends;
	}
	tr_buf_addf(b, ",\"collateral\":{\"present\":%s,\"good\":%s,\"version\":%llu", col->present ? "true" : "false",
		    col->good ? "true" : "false", (unsigned long long)col->version);
	tr_json_member_time(b, "imported_at", col->imported_at);
	tr_json_member_time(b, "first_end", first * 1000);
	tr_buf_adds(b, "}");
}

const char *tr_attested_state(const struct tr_core *c, struct tr_view agent)
{
	const struct tr_attested_row *a = TR_ROW(&c->attested, tr_table_get(&c->attested, agent));

	if (!a)
		return "none";
	if (tr_hub_verified(c, agent, &(struct tr_row_room){ .text = { 0 } }))
		return "verified";
	if (!tr_view_is(a->state, "verified"))
		return "failed";
	return a->expires_at <= tr_now_ms() ? "expired" : "suspended";
}

void tr_attested_json(const struct tr_core *c, struct tr_view agent, struct tr_buf *b)
{
	const struct tr_attested_row *a = TR_ROW(&c->attested, tr_table_get(&c->attested, agent));

	if (!a) {
		tr_buf_adds(b, "null");
		return;
	}
	tr_buf_addf(b, "{\"state\":\"%s\"", tr_attested_state(c, agent));
	tr_json_member_str(b, "kind", a->kind);
	tr_json_member_str(b, "policy", a->policy);
	tr_buf_addf(b, ",\"policy_version\":%llu", (unsigned long long)a->policy_version);
	tr_json_member_str(b, "tier", a->tier);
	tr_json_member_str(b, "tcb_status", a->tcb_status);
	tr_json_member_str(b, "image", a->image);
	tr_buf_addf(b, ",\"simulated\":%s", a->simulated ? "true" : "false");
	tr_json_member_time(b, "verified_at", a->verified_at);
	tr_json_member_time(b, "expires_at", a->expires_at);
	tr_json_member_str(b, "verdict", a->verdict);
	tr_json_member_str(b, "reason", a->reason);
	tr_json_member_time(b, "failed_at", a->failed_at);
	tr_buf_addf(b, ",\"failures\":%llu}", (unsigned long long)a->failures);
}
