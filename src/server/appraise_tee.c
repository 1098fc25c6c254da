/* SPDX-License-Identifier: Apache-2.0 */
#include "server/appraise_tee.h"

#include "appraise/tee.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/json.h"
#include "codec/text.h"
#include "server/msg_tee.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHED 128 /* chains, and sets of collateral: at most 60 KiB each, usually 20 */

struct kept_policy {
	char id[73];
	struct tr_tee_policy *policy;
};

struct tr_tees {
	struct kept_policy policies[TR_TEE_ACTIVE_MAX];
	size_t n;
	struct tr_buf bundle_bytes;
	struct tr_bundle bundle; /* borrows from them */
	bool has_bundle;
	uint8_t bundle_digest[32]; /* of the signed bytes */
	/* Verified collateral and chains by their bytes: the answers are the same without. NULL: no memory for it. */
	struct tr_dcap_cache *dcap;
	struct tr_snp_cache *snp;
};

/* ---- state ---- */

static void forget(struct tr_tees *t)
{
	while (t->n)
		(void)tr_tee_policy_free(t->policies[--t->n].policy);
	tr_bundle_done(&t->bundle);
	t->bundle = (struct tr_bundle){ 0 };
	t->has_bundle = false;
	tr_buf_clear(&t->bundle_bytes);
}

struct tr_tees *tr_tees_new(void)
{
	struct tr_tees *t = calloc(1, sizeof(*t));

	if (t) {
		t->dcap = tr_dcap_cache_new(CACHED);
		t->snp = tr_snp_cache_new(CACHED);
	}
	return t;
}

struct tr_tees *tr_tees_free(struct tr_tees *t)
{
	if (t) {
		forget(t);
		tr_buf_done(&t->bundle_bytes);
		(void)tr_dcap_cache_free(t->dcap);
		(void)tr_snp_cache_free(t->snp);
		free(t);
	}
	return NULL;
}

/* Its signature was verified when it came in (tr_appraise_bundle); here only the wrapping comes off. */
static TR_RC unwrap(struct tr_view signed_bundle, struct tr_buf *bytes, struct tr_bundle *ret, struct tr_err *err)
{
	struct tr_cose c;

	if (tr_cose1_parse(signed_bundle, TR_COLLATERAL_MAX, &c, err))
		return err->code;
	tr_buf_clear(bytes);
	tr_buf_addv(bytes, c.payload);
	if (tr_buf_check(bytes, err))
		return err->code;
	return tr_bundle_get(tr_buf_view(bytes), ret, err);
}

static TR_RC add_policy(struct tr_tees *t, struct tr_view bytes, struct tr_err *err)
{
	struct tr_tee_policy_row row;
	struct kept_policy *k = &t->policies[t->n];

	if (tr_record_decode(&tr_tee_policy_row_def, bytes, &row, err))
		return err->code;
	if (t->n == TR_TEE_ACTIVE_MAX)
		return tr_err_set(err, TR_E_BUSY, "too many policies are active", "%u", TR_TEE_ACTIVE_MAX);
	if (tr_tee_policy_parse(row.text, &k->policy, err))
		return tr_err_wrap(err, "policy %.*s", TR_VIEW_FMT(row.id));
	(void)snprintf(k->id, sizeof(k->id), "%.*s", TR_VIEW_FMT(row.id));
	t->n++;
	return TR_OK;
}

void tr_tees_on_state(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_tee_state m;
	struct tr_err err = { 0 };

	(void)c;
	if (tr_record_decode(&tr_msg_tee_state_def, f->payload, &m, &err)) {
		tr_log_err(TR_LOG_ERROR, "tee_state_unreadable", &err, NULL);
		forget(t);
		return;
	}
	if (m.clear)
		forget(t);
	if (m.bundle.n) {
		t->has_bundle = unwrap(m.bundle, &t->bundle_bytes, &t->bundle, &err) == TR_OK;
		tr_sha256(m.bundle, t->bundle_digest);
		if (!t->has_bundle)
			tr_log_err(TR_LOG_ERROR, "collateral_unreadable", &err, NULL);
	}
	/* One that cannot be read accepts nothing: agents of its types are refused with a sentence. */
	if (m.policy.n && add_policy(t, m.policy, &err))
		tr_log_err(TR_LOG_ERROR, "attestation_policy_unreadable", &err, NULL);
}

/* ---- an appraisal ---- */

struct work {
	struct tr_msg_attest q;
	struct tr_verdict_context context;
	struct tr_tee_policy *own_policy; /* parsed for this one question */
	struct tr_buf own_bytes;
	struct tr_bundle own_bundle;
	struct tr_tee_in in;
	struct tr_tee_verdict v;
	struct tr_buf set, verdict, checks, claims;
	uint8_t digest[32], bundle_digest[32];
	struct tr_tpm_public ak;
	char tier[17], difference[256];
	const char *slug;
};

static void work_done(struct work *w)
{
	(void)tr_tee_policy_free(w->own_policy);
	tr_bundle_done(&w->own_bundle);
	tr_buf_done(&w->own_bytes);
	tr_buf_done(&w->set);
	tr_buf_done(&w->verdict);
	tr_buf_done(&w->checks);
	tr_buf_done(&w->claims);
}

static TR_RC pick_policy(struct tr_tees *t, struct work *w, struct tr_err *err)
{
	if (w->q.text.n) {
		if (tr_tee_policy_parse(w->q.text, &w->own_policy, err))
			return err->code;
		w->in.policy = w->own_policy;
		return TR_OK;
	}
	for (size_t i = 0; i < t->n; i++)
		if (tr_view_is(w->q.policy_id, t->policies[i].id))
			w->in.policy = t->policies[i].policy;
	if (w->in.policy)
		return TR_OK;
	w->slug = "policy_unreadable";
	return tr_err_set(err, TR_E_UNAVAIL, "the verifier could not read the policy for this agent type; see the server's log",
			  "%.*s", TR_VIEW_FMT(w->q.policy_id));
}

static TR_RC pick_bundle(struct tr_tees *t, struct work *w, struct tr_err *err)
{
	if (w->q.bundle.n) {
		if (unwrap(w->q.bundle, &w->own_bytes, &w->own_bundle, err))
			return err->code;
		w->in.bundle = &w->own_bundle;
		tr_sha256(w->q.bundle, w->bundle_digest);
	} else if (!w->q.replay && t->has_bundle) {
		w->in.bundle = &t->bundle;
		memcpy(w->bundle_digest, t->bundle_digest, sizeof(w->bundle_digest));
	}
	return TR_OK;
}

static unsigned bits(unsigned kinds)
{
	unsigned n = 0;

	for (; kinds; kinds &= kinds - 1)
		n++;
	return n;
}

/* Never guessed from the bytes: said by the agent, or the only one that the policy accepts. */
static TR_RC pick_set(struct work *w, struct tr_err *err)
{
	unsigned kinds = tr_tee_policy_kinds(w->in.policy);
	struct tr_tee_set *s = &w->in.set;

	if (w->q.set.n) {
		tr_buf_addv(&w->set, w->q.set);
		return tr_tee_set_get(w->q.set, s, err);
	}
	s->quote = w->q.quote;
	if (w->q.kind.n) {
		if (!tr_tee_kind_of(w->q.kind, &s->kind))
			return tr_err_set(err, TR_E_INVALID, "kind must be tdx, sgx, snp or tpm", "kind");
	} else if (bits(kinds) == 1) {
		for (unsigned k = 1; k < TR_TEE_KIND_N; k++)
			s->kind = kinds & 1u << k ? (enum tr_tee_kind)k : s->kind;
	} else {
		return tr_err_set(err, TR_E_INVALID,
				  "the policy accepts several kinds of evidence: say which one it is (attestation_data.kind)",
				  "kind");
	}
	tr_tee_set_put(&w->set, s);
	return tr_buf_check(&w->set, err);
}

static TR_RC prepare(struct tr_tees *t, struct work *w, struct tr_err *err)
{
	struct tr_verdict_context *x = &w->context;

	if (tr_record_decode(&tr_verdict_context_def, w->q.context, x, err) || pick_policy(t, w, err) ||
	    pick_bundle(t, w, err) || pick_set(w, err))
		return err->code;
	if (tr_tee_policy_scheme(w->in.policy) == TR_RD_TROTH && !x->challenge.n) {
		w->slug = "challenge_missing";
		return tr_err_set(err, TR_E_INVALID,
				  "this policy wants a challenge in the evidence: ask /api/v1/challenge, quote, and send it along",
				  "challenge");
	}
	w->in.now = x->now;
	w->in.challenge = x->challenge;
	w->in.spki = x->spki;
	w->in.cert = x->cert;
	w->in.ak_trusted_by = x->ak_trust <= TR_AK_HCL ? (enum tr_tpm_ak_trust)x->ak_trust : TR_AK_NONE;
	w->in.ak_name = x->ak_name;
	/* A replay shall not be told what it is to find out. */
	if (!w->q.replay) {
		w->in.cache = t->dcap;
		w->in.snp_cache = t->snp;
	}
	return TR_OK;
}

/* What failed, for who may hear it; the whole is in the verdict. */
static void put_failed(const struct tr_tee_verdict *v, struct tr_buf *b)
{
	bool more = false;

	b->max = TR_CHECKS_JSON_MAX;
	tr_buf_adds(b, "[");
	for (size_t i = 0; i < v->ev.n_checks && b->n < TR_CHECKS_JSON_MAX - 2048; i++) {
		const struct tr_tee_check *k = &v->ev.checks[i];

		if (k->code == TR_TEEC_OK)
			continue;
		tr_buf_adds(b, more ? ",{" : "{");
		more = true;
		tr_buf_addf(b, "\"check\":\"%s\",\"question\":\"%s\",\"code\":\"%s\"", k->name, tr_tee_question_name(k->question),
			    tr_tee_code_info(k->code)->slug);
		tr_json_member_str(b, "expected", tr_view_str(k->expected));
		tr_json_member_str(b, "seen", tr_view_str(k->seen));
		tr_buf_adds(b, "}");
	}
	tr_buf_adds(b, "]");
}

/* Known to be bad, by a vendor's word or by what was measured: nothing that a second try could mend. Only of evidence that
 * is authentic and answers this very challenge: a bad quote of somebody else's says nothing about this agent. */
static bool is_proven(const struct tr_tee_verdict *v)
{
	switch (v->ev.first) {
	case TR_TEEC_REVOKED:
	case TR_TEEC_TCB_REVOKED:
	case TR_TEEC_DEBUG:
	case TR_TEEC_ATTRIBUTES:
	case TR_TEEC_MEASUREMENT:
	case TR_TEEC_PCR:
	case TR_TEEC_VMPL: return v->ev.answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES && v->ev.answers[TR_Q_FRESH] == TR_ANSWER_YES;
	default: return false;
	}
}

static void tell_tpm(struct work *w, struct tr_msg_attested *m)
{
	struct tr_tpm_attest at;
	enum tr_tee_code code;
	struct tr_err err = { 0 };

	if (w->in.set.kind != TR_TEE_TPM || tr_tpm_attest_parse(w->in.set.quote, &at, &code, &err))
		return;
	m->resets = at.reset_count;
	m->restarts = at.restart_count;
	m->clock = at.clock;
	m->ak_trust = w->context.ak_trust;
	if (w->in.set.ak_public.n && !tr_tpm_public_parse(w->in.set.ak_public, &w->ak, &err))
		m->ak_name = tr_view(w->ak.name, w->ak.name_len);
}

static void tell_token(struct work *w)
{
	struct tr_ear_in ear = { .issuer = w->q.issuer, .agent = w->q.agent, .agent_type = w->context.agent_type,
				 .policy = w->q.policy_id, .build = w->q.build,
				 .issued = w->context.now, .expires = w->v.expires, .v = &w->v,
				 .verdict_digest = TR_VIEW_ARRAY(w->digest), .spki = w->context.spki };

	if (w->v.ok && !w->q.replay)
		tr_ear_claims(&ear, &w->claims);
}

static TR_RC appraise(struct tr_tees *t, struct work *w, struct tr_msg_attested *m, struct tr_err *err)
{
	if (prepare(t, w, err))
		return err->code;
	tr_tee_appraise(&w->in, &w->v);
	w->verdict.max = TR_VERDICT_JSON_MAX;
	tr_tee_verdict_json(&w->v, &w->in, &w->verdict);
	if (!tr_buf_ok(&w->verdict)) {
		w->slug = "evidence_limit";
		return tr_err_set(err, TR_E_INVALID, "the verdict about this evidence is too long to be kept", "verdict");
	}
	tr_sha256(tr_buf_view(&w->verdict), w->digest);
	put_failed(&w->v, &w->checks);
	tell_token(w);
	if (tr_buf_check(&w->checks, err) || tr_buf_check(&w->claims, err))
		return err->code;
	m->ok = w->v.ok;
	m->proven = !w->v.ok && is_proven(&w->v);
	m->reason = w->v.reason;
	m->kind = tr_view_str(tr_tee_kind_name(w->in.set.kind));
	if (!w->v.ok) {
		m->failed = tr_view_str(tr_tee_code_info(w->v.ev.first)->slug);
		m->sentence = tr_view_str(tr_tee_code_info(w->v.ev.first)->sentence);
	}
	m->tcb_status = tr_view_str(tr_tcb_status_name(w->v.ev.tcb_status));
	m->tier = tr_view_str(tr_tier_name(w->v.tier));
	m->image = tr_view_str(w->v.image);
	m->simulated = w->v.simulated;
	m->static_scheme = tr_tee_policy_scheme(w->in.policy) != TR_RD_TROTH;
	m->expires = w->v.expires;
	m->lifetime_s = tr_tee_policy_lifetime_s(w->in.policy);
	tell_tpm(w, m);
	if (w->in.bundle)
		m->bundle = TR_VIEW_ARRAY(w->bundle_digest);
	m->set = tr_buf_view(&w->set);
	m->verdict = tr_buf_view(&w->verdict);
	m->digest = TR_VIEW_ARRAY(w->digest);
	m->checks = tr_buf_view(&w->checks);
	m->claims = tr_buf_view(&w->claims);
	return TR_OK;
}

static void compare(struct work *w, struct tr_msg_attested *m)
{
	struct tr_view was = w->q.verdict_was, is = tr_buf_view(&w->verdict);
	size_t at = 0, from;

	m->same = tr_view_eq(was, is);
	if (m->same)
		return;
	while (at < was.n && at < is.n && was.p[at] == is.p[at])
		at++;
	from = at < 40 ? 0 : at - 40;
	(void)snprintf(w->difference, sizeof(w->difference), "at byte %zu: was …%.*s…, is …%.*s…", at,
		       (int)(was.n - from < 80 ? was.n - from : 80), (const char *)was.p + from,
		       (int)(is.n - from < 80 ? is.n - from : 80), (const char *)is.p + from);
	m->difference = tr_utf8_ok(tr_view_str(w->difference)) ? tr_view_str(w->difference) : TR_VIEW_LIT("in a text");
}

static void answer(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f, enum tr_msg type)
{
	struct work *w = calloc(1, sizeof(*w));
	struct tr_msg_attested m = { 0 };
	struct tr_err err = { 0 };
	uint64_t start = tr_mono_ns();

	if (!w)
		abort(); /* a fresh process has the memory */
	if (tr_record_decode(&tr_msg_attest_def, f->payload, &w->q, &err) || appraise(t, w, &m, &err)) {
		m = (struct tr_msg_attested){ .code = err.code ? err.code : TR_E_INVALID,
					      .slug = tr_view_str(w->slug ? w->slug : "malformed"),
					      .why = tr_view_str(err.pub) };
	} else if (w->q.replay) {
		compare(w, &m);
	}
	m.duration_ns = tr_mono_ns() - start;
	tr_chan_send_record(c, (uint16_t)type, f->id, &tr_msg_attested_def, &m);
	work_done(w);
	free(w);
}

void tr_tees_on_attest(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f)
{
	answer(t, c, f, TR_M_ATTESTED);
}

void tr_tees_on_replay(struct tr_tees *t, struct tr_chan *c, const struct tr_frame *f)
{
	answer(t, c, f, TR_M_REPLAYED);
}
