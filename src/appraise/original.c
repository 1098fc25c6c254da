/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of an original registration: a claim under the fleet's key, no identity. */
#include "appraise/check.h"
#include "codec/ident.h"

/* The form names no key: each fleet key is tried, the ones still in force first. */
static bool check_fleet_key(struct tr_run *run, const struct tr_claim_original *c)
{
	static const char want[] = "a claim signed by an active fleet key";
	struct tr_check found = { .seen = "" };
	struct tr_err err = { 0 };
	bool any = false, by_bad = false;

	for (size_t i = 0; i < run->p->n_vkeys; i++) {
		const struct tr_vkey *k = &run->p->vkeys[i];
		enum tr_code rc;

		if (k->use != TR_VKEY_FLEET)
			continue;
		any = true;
		rc = tr_claim_original_verify(c, k->key, &err);
		if (rc == TR_E_INTERNAL)
			return tr_check_line(run, "signature", TR_R_LIMIT, want, err.pub);
		if (rc == TR_E_INVALID)
			return tr_check_line(run, "signature", TR_R_MALFORMED, want, err.pub);
		if (rc)
			continue;
		/* The same key may be listed twice, once revoked: the good entry must not hide the bad one. */
		if (!tr_vkey_good_at(k, c->timestamp_s * 1000, &found)) {
			by_bad = true;
			run->a->vouched = false;
			break;
		}
		run->a->vouched = true;
		memcpy(run->a->vkey_id, tr_pubkey_id(k->key), sizeof(run->a->vkey_id));
	}
	if (run->a->vouched)
		return tr_check_line(run, "signature", TR_R_OK, want, "a good signature by a fleet key");
	memset(run->a->vkey_id, 0, sizeof(run->a->vkey_id));
	return tr_check_line(run, "signature",
			     by_bad ? TR_R_KEY_REVOKED
			     : any  ? TR_R_BAD_SIGNATURE
				    : TR_R_UNKNOWN_KEY,
			     want,
			     by_bad ? found.seen
			     : any  ? "a signature that no fleet key verifies"
				    : "no fleet key is configured");
}

static void rule_pinned(struct tr_run *run)
{
	struct tr_view none = { 0 }, stated;

	if (run->p->pin_only) {
		tr_rule_hash(run, none, &stated);
		return;
	}
	/* As in the original: without a pin the fleet key's word is all there is. */
	(void)tr_check_line(run, "hash", TR_R_OK, "any: no hash is pinned",
			    "what the holder of the fleet key says");
}

static void appraise_original(struct tr_run *run, tr_jnode root)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	struct tr_appraisal *a = run->a;
	struct tr_claim_original c;
	struct tr_err err = { 0 };
	struct tr_view node;
	bool good;

	if (!tr_run_form(run, run->p->accept_original, "original"))
		return;
	if (!tr_json_str(tr_json_get(root, "node_id"), &node) || !tr_ident_ok(node)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED,
				    "member \"node_id\": a plain name of at most 64 bytes",
				    "none, or with other characters");
		return;
	}
	if (run->p->mode == TR_MODE_OFF) {
		tr_copy_text(a->node_id, sizeof(a->node_id), node);
		/* Nothing was signed, so nothing can be replayed: each gets an identity of its own. */
		tr_buf_addf(&tbs, "off:%s:%lld", a->node_id, (long long)run->now_ms);
		tr_sha256(tr_buf_view(&tbs), a->claim_digest);
		(void)tr_check_line(run, "mode", TR_R_OK, "nothing: the mode is off",
				    "the claim was not looked at");
		return;
	}
	if (tr_claim_original_read(tr_json_get(root, "attestation"), &c, &err)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED,
				    "a claim of the documented form in \"attestation\"", err.pub);
		return;
	}
	/* The outer one is signed by nobody. */
	if (!tr_view_eq(c.node_id, node)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED, "one node_id in the body and in its claim",
				    "two different ones");
		return;
	}
	(void)tr_check_line(run, "body", TR_R_OK, "node_id and its claim", "both, well formed");
	tr_claim_original_tbs(&c, &tbs);
	tr_sha256(tr_buf_view(&tbs), a->claim_digest);
	tr_copy_text(a->node_id, sizeof(a->node_id), node);
	tr_copy_text(a->version, sizeof(a->version), c.version);
	(void)tr_sha256_name_ok(c.binary_hash, a->binary_hash);
	a->claim_time_ms = c.timestamp_s * 1000;
	good = check_fleet_key(run, &c);
	/* Without a good signature the rest are an unknown's words; audit mode wants to hear them all the
	 * same. */
	if (!good && !tr_reason_tolerated(a->reason))
		return;
	a->tier = good ? TR_TIER_SELF_ASSERTED : TR_TIER_NONE;
	/* Whole seconds, as the original compares them. */
	tr_rule_clock(run, (c.timestamp_s - run->now_ms / 1000) * 1000);
	rule_pinned(run);
	tr_rule_version(run, c.version, tr_view(NULL, 0));
	tr_rule_tier(run);
}

void tr_run_original(const struct tr_policy *p, tr_jnode root, int64_t now_ms, struct tr_appraisal *ret)
{
	struct tr_run run;

	tr_run_begin(&run, p, ret, now_ms, false);
	appraise_original(&run, root);
	tr_run_end(&run);
}
