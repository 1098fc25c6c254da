/* SPDX-License-Identifier: Apache-2.0 */
/* The result token's claims: EAT Attestation Result (draft-ietf-rats-ear) with the AR4SI trustworthiness vector. The profile
 * is a draft's, so its name stands here once. */
#include "appraise/tee_policy.h"

#include <inttypes.h>

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/hash.h"

#define PROFILE "tag:ietf.org,2026:rats/ear#03"

/* AR4SI tiers: 2 to 31 affirming, 32 to 95 a warning, 96 to 127 contraindicated; 0 nothing is claimed. */
enum { NONE = 0, AFFIRMED = 2, CONFIG_WARNING = 32, RUNTIME_WARNING = 33, CONTRAINDICATED = 96, BAD_SIGNATURE = 99 };

struct vector {
	int instance, configuration, executables, hardware, opaque, storage;
};

static struct vector judge(const struct tr_tee_verdict *v)
{
	const struct tr_tee_result *r = &v->ev;
	const bool authentic = r->answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES && !v->simulated;
	const bool tee = r->kind != TR_TEE_TPM;
	struct vector t = { 0 };

	if (r->answers[TR_Q_AUTHENTIC] == TR_ANSWER_NO) {
		t.hardware = BAD_SIGNATURE;
		return t;
	}
	t.instance = r->answers[TR_Q_FRESH] == TR_ANSWER_YES ? AFFIRMED :
		     r->answers[TR_Q_FRESH] == TR_ANSWER_NO  ? CONTRAINDICATED : NONE;
	if (r->answers[TR_Q_CURRENT] == TR_ANSWER_NO)
		t.hardware = CONTRAINDICATED;
	else if (authentic)
		t.hardware = r->tcb_status == TR_TCB_NONE || r->tcb_status == TR_TCB_UP_TO_DATE ? AFFIRMED : CONFIG_WARNING;
	if (v->compared)
		t.executables = v->ok ? AFFIRMED : RUNTIME_WARNING;
	t.configuration = r->debug ? CONTRAINDICATED : v->ok ? AFFIRMED : NONE;
	if (authentic && tee)
		t.opaque = r->debug ? CONTRAINDICATED : AFFIRMED;
	if (authentic)
		t.storage = AFFIRMED;
	return t;
}

static const char *status(const struct tr_tee_verdict *v)
{
	if (!v->ok)
		return v->ev.answers[TR_Q_AUTHENTIC] == TR_ANSWER_NOT_ASKED ? "none" : "contraindicated";
	/* Good under a root of our own making says nothing about hardware; nothing to compare with says nothing of software. */
	return v->simulated || !v->compared || v->ev.tcb_status > TR_TCB_UP_TO_DATE ? "warning" : "affirming";
}

static void put_vector(struct tr_buf *b, const struct vector *t)
{
	const struct { const char *name; int v; } claims[] = {
		{ "instance-identity", t->instance }, { "configuration", t->configuration }, { "executables", t->executables },
		{ "hardware", t->hardware }, { "runtime-opaque", t->opaque }, { "storage-opaque", t->storage },
	};

	tr_buf_adds(b, ",\"ear_trustworthiness_vector\":{");
	for (size_t i = 0; i < TR_ARRAY_LEN(claims); i++)
		tr_buf_addf(b, "%s\"%s\":%d", i ? "," : "", claims[i].name, claims[i].v);
	tr_buf_add8(b, '}');
}

static void put_own(struct tr_buf *b, const struct tr_ear_in *in)
{
	const struct tr_tee_verdict *v = in->v;

	tr_buf_addf(b, ",\"troth\":{\"verified\":%s", v->ok ? "true" : "false");
	tr_json_member_hex(b, "verdict", in->verdict_digest);
	tr_json_member_str(b, "agent_type", in->agent_type);
	tr_json_member_str(b, "kind", tr_view_str(tr_tee_kind_name(v->ev.kind)));
	tr_json_member_str(b, "tier", tr_view_str(tr_tier_name(v->tier)));
	tr_json_member_str(b, "tcb_status", tr_view_str(tr_tcb_status_name(v->ev.tcb_status)));
	tr_json_member_str(b, "image", tr_view_str(v->image));
	tr_buf_addf(b, ",\"simulated\":%s,\"advisories\":[", v->simulated ? "true" : "false");
	for (size_t i = 0; i < v->ev.n_advisories; i++) {
		if (i)
			tr_buf_add8(b, ',');
		tr_json_put_str(b, tr_view_str(v->ev.advisories[i]));
	}
	tr_buf_adds(b, "]}");
}

void tr_ear_claims(const struct tr_ear_in *in, struct tr_buf *b)
{
	const struct vector t = judge(in->v);
	uint8_t key[32];

	tr_sha256(in->spki, key);
	tr_buf_adds(b, "{\"eat_profile\":\"" PROFILE "\"");
	tr_json_member_str(b, "iss", in->issuer);
	tr_json_member_str(b, "sub", in->agent);
	tr_buf_addf(b, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64, in->issued, in->expires);
	tr_buf_adds(b, ",\"ear_verifier_id\":{\"developer\":\"Troth\"");
	tr_json_member_str(b, "build", in->build);
	/* The key that this result speaks of: SHA-256 of its SPKI, as everywhere in Troth. */
	tr_buf_adds(b, "},\"cnf\":{\"kid\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(key));
	tr_buf_adds(b, "\"},\"submods\":{\"tee\":{\"ear_status\":");
	tr_json_put_str(b, tr_view_str(status(in->v)));
	put_vector(b, &t);
	tr_buf_adds(b, ",\"ear_appraisal_policy_ids\":[");
	tr_json_put_str(b, in->policy);
	tr_buf_adds(b, "]}}");
	put_own(b, in);
	tr_buf_add8(b, '}');
}
