/* SPDX-License-Identifier: Apache-2.0 */
/* A registration with evidence: read → who is it, may he, is the challenge ours → appraised → signed → stored → answered. What
 * can be known without looking at the evidence is asked first, and again when the verdict is there: meanwhile the agent may
 * have been revoked, or the challenge spent. */
#include "server/attest.h"

#include "appraise/tee.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/hub.h"

#include <stdio.h>
#include <stdlib.h>

struct tr_attest *tr_attest_free(struct tr_attest *m)
{
	if (m) {
		if (m->token && m->token_spent)
			m->token->reserved--;
		if (m->token && m->token_sent)
			m->token->sent--;
		m->core->registrations--;
		(void)tr_req_free(m->req);
		tr_buf_done(&m->r_bytes);
		tr_buf_done(&m->a_bytes);
		tr_buf_done(&m->context);
		tr_buf_done(&m->token_text);
		free(m);
	}
	return NULL;
}

/* A reason why not; NULL slug: none. */
struct refusal {
	int status;
	const char *slug, *sentence;
};
#define NO_REFUSAL ((struct refusal){ 0, NULL, NULL })
#define REFUSAL(status, slug, sentence) ((struct refusal){ (status), (slug), (sentence) })

static struct refusal of_reason(enum tr_reason reason)
{
	const struct tr_reason_info *i = tr_reason_info(reason);

	return REFUSAL(i->status, i->slug, i->sentence);
}

/* ---- who ---- */

static bool is_token_usable(const struct tr_core *c, const struct tr_item *i, int64_t now)
{
	const struct tr_token_row *t = TR_ROW(&c->tokens, i);

	return t && !i->ending && !t->revoked_at && t->expires_at > now;
}

/* Without a certificate the request itself must be signed by the key that it brings, now, and once. */
static struct refusal judge_signature(const struct tr_attest *m)
{
	int64_t off = m->r.signed_at - m->now_ms / 1000;

	if (!m->r.is_signed)
		return REFUSAL(401, "signature_required",
			       "without a client certificate the request must be signed by its key: X-Requesting-Agent, X-Timestamp, X-Nonce and X-Attestation-Signature");
	if (off > TR_REQUEST_SKEW_S || off < -TR_REQUEST_SKEW_S)
		return of_reason(TR_R_CLOCK_DESYNC);
	return NO_REFUSAL;
}

static struct refusal judge_token(struct tr_attest *m)
{
	const struct tr_token_row *t = TR_ROW(&m->core->tokens, m->token);

	if (!t || !is_token_usable(m->core, m->token, m->now_ms) || t->for_agent.n)
		return of_reason(TR_R_TOKEN_INVALID);
	if (m->token_spent)
		return t->uses + m->token->sent >= t->max_uses ? of_reason(TR_R_TOKEN_INVALID) : NO_REFUSAL;
	if (t->uses + m->token->reserved >= t->max_uses)
		return of_reason(TR_R_TOKEN_INVALID);
	m->token->reserved++;
	m->token_spent = true;
	return NO_REFUSAL;
}

/* By certificate: the connection, the body and the registry must mean the same agent and the same key. */
static struct refusal judge_connection(struct tr_attest *m)
{
	const struct tr_req *r = m->req;
	const struct tr_agent_row *row;

	if (!tr_view_eq(r->q.agent_id, m->r.agent_id))
		return REFUSAL(403, "wrong_agent", "agent_id is not the agent of this connection's certificate");
	if (!tr_view_eq(r->q.key_id, m->r.key_id))
		return REFUSAL(403, "key_mismatch",
			       "attestation_data.public_key is not the key of this connection's certificate: evidence speaks for the key that is in use");
	m->agent = tr_table_get(&m->core->agents, r->q.agent_id);
	row = TR_ROW(&m->core->agents, m->agent);
	if (!row)
		return REFUSAL(401, "agent_unknown", "the certificate is good but this server does not know the agent; enrol again");
	if (m->agent->ending || !tr_view_is(row->state, "active"))
		return of_reason(TR_R_AGENT_REVOKED);
	return NO_REFUSAL;
}

static struct refusal judge_stranger(struct tr_attest *m)
{
	struct tr_core *c = m->core;
	struct tr_item *by_id = tr_table_get(&c->agents, m->r.agent_id);
	struct tr_item *by_key = tr_table_get_alt(&c->agents, m->r.key_id);
	const struct tr_agent_row *row = TR_ROW(&c->agents, by_id);
	struct refusal no = judge_signature(m);

	m->agent = by_id;
	if (no.slug)
		return no;
	/* Who holds neither the agent's key nor a token is not told who is there. */
	if ((!row || by_id != by_key) && !is_token_usable(c, m->token, m->now_ms))
		return of_reason(TR_R_TOKEN_INVALID);
	/* Never overwritten by another key, and never given again; nor is a key enrolled under two ids. */
	if (by_id != by_key)
		return of_reason(TR_R_ID_TAKEN);
	if (!row)
		return judge_token(m);
	if (by_id->ending || !tr_view_is(row->state, "active"))
		return of_reason(TR_R_AGENT_REVOKED);
	return NO_REFUSAL;
}

/* The type says which policy judges: once it is fixed, nobody chooses another. */
static struct refusal judge_type(struct tr_attest *m)
{
	const struct tr_agent_row *row = TR_ROW(&m->core->agents, m->agent);
	const struct tr_token_row *token = TR_ROW(&m->core->tokens, m->token);
	const struct tr_attested_row *was = TR_ROW(&m->core->attested, tr_table_get(&m->core->attested, m->r.agent_id));
	struct tr_tee_choice choice = { .version = 0 };
	struct tr_view fixed = row ? row->agent_type : token ? token->agent_type : tr_view(NULL, 0);

	/* A token without a type leaves it to the agent, once: else other software would pick the policy that it satisfies. */
	if (!fixed.n || tr_view_is(fixed, "agent"))
		fixed = was ? was->agent_type : tr_view(NULL, 0);
	if (fixed.n && !tr_view_eq(fixed, m->r.agent_type))
		return REFUSAL(403, "agent_type_mismatch",
			       "agent_type is not the one that this agent's enrolment token, or its first evidence, has given it");
	(void)snprintf(m->agent_type, sizeof(m->agent_type), "%.*s", TR_VIEW_FMT(m->r.agent_type));
	if (!tr_tee_policy_of(m->core, m->r.agent_type, &choice))
		return REFUSAL(403, "no_policy",
			       "no attestation policy is active for this agent type: the operator activates one (troth attestation-policy)");
	/* What was judged by one version does not count under another. */
	if (m->policy.id[0] && strcmp(m->policy.id, choice.id) != 0)
		return REFUSAL(503, "busy", "the attestation policy has just changed; ask for a new challenge and register again");
	m->policy = choice;
	return NO_REFUSAL;
}

static struct refusal judge_challenge(const struct tr_attest *m)
{
	const struct tr_core *c = m->core;

	if (m->r.challenge.n &&
	    (!tr_challenge_ok(c->challenge_key, m->now_ms, m->r.challenge) || tr_table_get(&c->seen, m->r.challenge)))
		return of_reason(TR_R_CHALLENGE_INVALID);
	return NO_REFUSAL;
}

static struct refusal judge(struct tr_attest *m)
{
	struct refusal no;

	m->now_ms = tr_now_ms();
	no = m->req->q.agent_id.n ? judge_connection(m) : judge_stranger(m);
	if (!no.slug)
		no = judge_challenge(m);
	return no.slug ? no : judge_type(m);
}

/* ---- the TPM's key ---- */

#define CLONE_WHY \
	"this agent is known with another TPM: if its state was copied to this machine, it is a clone; if its TPM was replaced, an operator resets its identity"

/* What is known of the key that quoted, before anybody looks at the quote. */
static struct refusal judge_ak(struct tr_attest *m, struct tr_verdict_context *x)
{
	struct tr_core *c = m->core;
	const struct tr_attested_row *known = TR_ROW(&c->attested, tr_table_get(&c->attested, m->r.agent_id));
	bool same = known && known->ak_name.n && tr_view_eq(known->ak_name, m->r.ak_name);
	struct tr_view ek = tr_view(NULL, 0);

	if (!m->r.ak_name.n)
		return NO_REFUSAL;
	if (m->r.activation_id.n) {
		if (!tr_tpm_activated(c, m->r.agent_id, m->r.ak_name, m->r.activation_id, m->r.activation_secret, m->ek_digest))
			return REFUSAL(403, "tpm_activation",
				       "the activation is unknown, older than five minutes, or not opened by this TPM; ask /api/v1/agent/tpm-credential again");
		m->activated = true;
		ek = TR_VIEW_ARRAY(m->ek_digest);
	} else if (same) {
		ek = known->ek_digest;
	}
	if (m->activated && tr_tpm_is_clone(c, m->r.agent_id, ek, m->req->q.source))
		return REFUSAL(403, "tpm_ak_trust", CLONE_WHY);
	if (known && known->ak_name.n && !same && !m->activated)
		return REFUSAL(403, "tpm_ak_trust",
			       "this agent is known with another attestation key: activate the new one with the same TPM (/api/v1/agent/tpm-credential)");
	/* What policy asks of the endorsement key's certificate must be asked of the one that activated. */
	if (ek.n && m->r.ek_digest.n && !tr_view_eq(ek, m->r.ek_digest))
		return REFUSAL(403, "tpm_ak_trust", "the evidence has another endorsement key than the one that activated this attestation key");
	x->ak_name = m->r.ak_name;
	x->ak_trust = m->activated ? TR_AK_ACTIVATED : same ? known->ak_trust : TR_AK_NONE;
	return NO_REFUSAL;
}

/* Resets, restarts and clock of one TPM only rise: less is an older state of it, or another one behind the same key. */
static bool went_back(const struct tr_attest *m)
{
	const struct tr_core *c = m->core;
	const struct tr_attested_row *k = TR_ROW(&c->attested, tr_table_get(&c->attested, m->r.agent_id));
	const struct tr_msg_attested *a = &m->a;

	if (!k || !a->ak_name.n || !tr_view_eq(k->ak_name, a->ak_name))
		return false;
	if (a->resets != k->ak_resets)
		return a->resets < k->ak_resets;
	if (a->restarts != k->ak_restarts)
		return a->restarts < k->ak_restarts;
	return a->clock < k->ak_clock;
}

/* ---- the way ---- */

static bool keep_answer(struct tr_attest *m, const struct tr_record *def, const void *answer, struct tr_buf *bytes, void *ret)
{
	struct tr_err err = { 0 };

	tr_record_encode(def, answer, bytes);
	if (tr_buf_ok(bytes) && !tr_record_decode(def, tr_buf_view(bytes), ret, &err))
		return true;
	tr_req_refuse(m->req, 503, "out_of_memory", "the server is out of memory; try again later");
	return false;
}

static void on_signed(void *arg, const void *answer)
{
	struct tr_attest *m = arg;
	const struct tr_msg_result_signed *s = answer;
	struct refusal no = judge(m);

	if (no.slug) {
		tr_attest_refuse(m, no.status, no.slug, no.sentence);
		return;
	}
	if (!s || s->code) {
		tr_req_refuse(m->req, 503, "result_not_signed", "the result could not be signed now; try again in a moment");
		(void)tr_attest_free(m);
		return;
	}
	tr_buf_addv(&m->token_text, s->token);
	tr_attest_verified(m);
}

static void sign(struct tr_attest *m)
{
	const uint8_t *key = tr_result_key(m->core);
	struct tr_msg_sign_result q = { .key_id = tr_view(key, 32), .claims = m->a.claims };

	if (key) {
		tr_core_ask(m->core, m->core->keys, TR_M_SIGN_RESULT, &tr_msg_sign_result_def, &q, on_signed, m);
		return;
	}
	tr_req_refuse(m->req, 503, "result_not_signed", "the key that signs results is not there yet; try again in a second");
	(void)tr_attest_free(m);
}

static int status_of(uint64_t code)
{
	return code == TR_E_DENIED	? 403
	       : code == TR_E_UNAUTH	? 401
	       : code == TR_E_INVALID	? 400
	       : code == TR_E_CONFLICT	? 409
					: 503;
}

static void on_attested(void *arg, const void *answer)
{
	struct tr_attest *m = arg;
	struct tr_tee_counts *counts = tr_tee_counts(m->core);
	enum tr_tee_kind kind = TR_TEE_NONE;
	struct refusal no;

	if (!answer) {
		tr_req_no_verifier(m->req);
		(void)tr_attest_free(m);
		return;
	}
	if (!keep_answer(m, &tr_msg_attested_def, answer, &m->a_bytes, &m->a)) {
		(void)tr_attest_free(m);
		return;
	}
	if (m->a.code) {
		char slug[49], why[257];

		(void)snprintf(slug, sizeof(slug), "%.*s", TR_VIEW_FMT(m->a.slug));
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->a.why));
		tr_attest_refuse(m, status_of(m->a.code), slug, why);
		return;
	}
	no = judge(m);
	if (no.slug) {
		tr_attest_refuse(m, no.status, no.slug, no.sentence);
		return;
	}
	if (m->a.ok && went_back(m)) {
		m->a.ok = false;
		m->a.reason = TR_R_EVIDENCE_NOT_FRESH;
		m->a.failed = TR_VIEW_LIT("tpm_clock");
		m->a.sentence = tr_view_str(tr_tee_code_info(TR_TEEC_TPM_CLOCK)->sentence);
	}
	(void)tr_tee_kind_of(m->a.kind, &kind);
	counts->by_kind[kind][m->a.ok]++;
	counts->nanoseconds += m->a.duration_ns;
	if (m->a.ok)
		sign(m);
	else
		tr_attest_failed(m);
}

static void ask_appraisal(struct tr_attest *m)
{
	struct tr_verdict_context x = { .now = m->now_ms / 1000, .challenge = m->r.challenge, .spki = m->r.spki,
					.cert = m->r.certificate, .agent_type = tr_view_str(m->agent_type) };
	struct tr_msg_attest q = { .kind = m->r.kind, .quote = m->r.quote, .set = m->r.set,
				   .policy_id = tr_view_str(m->policy.id), .agent = m->r.agent_id,
				   .issuer = tr_view_str(m->core->cfg->trust_domain), .build = TR_VIEW_LIT(TR_BUILD_NAME) };
	struct refusal no = judge_ak(m, &x);

	if (no.slug) {
		tr_attest_refuse(m, no.status, no.slug, no.sentence);
		return;
	}
	tr_record_encode(&tr_verdict_context_def, &x, &m->context);
	q.context = tr_buf_view(&m->context);
	tr_core_ask(m->core, m->core->appraise, TR_M_ATTEST, &tr_msg_attest_def, &q, on_attested, m);
}

static bool may_prove(struct tr_attest *m)
{
	if (tr_pace_allow(&m->core->hub->proofs, m->agent->no, tr_mono_ms(), TR_PROOF_STEP_MS, TR_PROOF_BURST))
		return true;
	tr_req_problem(m->req, &(struct tr_problem){ .status = 429, .slug = "rate_limited", .title = tr_http_status_title(429),
						     .detail = "too much evidence of this agent; wait as Retry-After says",
						     .retry_after_s = TR_PROOF_STEP_MS / 1000 });
	return false;
}

static void on_read(void *arg, const void *answer)
{
	struct tr_attest *m = arg;
	struct refusal no;

	if (!answer) {
		tr_req_no_verifier(m->req);
		(void)tr_attest_free(m);
		return;
	}
	if (!keep_answer(m, &tr_msg_registration_read_def, answer, &m->r_bytes, &m->r)) {
		(void)tr_attest_free(m);
		return;
	}
	if (m->r.code) {
		char slug[49], why[257];

		(void)snprintf(slug, sizeof(slug), "%.*s", TR_VIEW_FMT(m->r.slug));
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->r.why));
		tr_attest_refuse(m, status_of(m->r.code), slug, why);
		return;
	}
	no = judge(m);
	if (no.slug) {
		tr_attest_refuse(m, no.status, no.slug, no.sentence);
		return;
	}
	/* Each costs a verification, a signature and a commit, and its evidence is kept for long. */
	if (m->agent && !may_prove(m)) {
		(void)tr_attest_free(m);
		return;
	}
	ask_appraisal(m);
}

void tr_attest_begin(struct tr_core *c, struct tr_req *req)
{
	struct tr_attest *m = calloc(1, sizeof(*m));
	struct tr_msg_read_registration q = { .body = req->q.in, .hub = req->q.hub };
	uint8_t id[8];

	if (!m) {
		tr_req_refuse(req, 503, "out_of_memory", "the server is out of memory; try again later");
		(void)tr_req_free(req);
		return;
	}
	c->registrations++;
	m->core = c;
	m->req = req;
	m->now_ms = tr_now_ms();
	m->token = tr_table_get_alt(&c->tokens, req->q.bearer);
	tr_random(id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		(void)snprintf(m->verdict_id + 2 * i, 3, "%02x", id[i]);
	/* A certificate that is not this agent's any more is told so before anything is read. */
	if (req->q.agent_id.n && !tr_core_agent_of(c, req)) {
		(void)tr_attest_free(m);
		return;
	}
	tr_core_ask(c, c->appraise, TR_M_READ_REGISTRATION, &tr_msg_read_registration_def, &q, on_read, m);
}
