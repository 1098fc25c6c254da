/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of TEEs and TPMs, for programs without a server. */
#include "troth/evidence.h"

#include "appraise/tee.h"

static enum troth_code fail(struct troth_error *err, enum troth_code code, const char *message)
{
	if (err) {
		err->code = code;
		(void)snprintf(err->message, sizeof(err->message), "%s", message);
	}
	return code;
}

static enum troth_code refuse(struct troth_error *err, const struct tr_err *e)
{
	return fail(err, e->code == TR_E_INTERNAL ? TROTH_E_INTERNAL : TROTH_E_ARGUMENT, e->pub);
}

static enum troth_code read_set(const struct troth_evidence_check *c, struct tr_tee_set *ret, struct troth_error *err)
{
	struct tr_view in = tr_view(c->evidence, c->evidence_len);
	struct tr_err e = { 0 };

	if (!c->kind)
		return tr_tee_set_get(in, ret, &e) ? refuse(err, &e) : TROTH_OK;
	if (!tr_tee_kind_of(tr_view_str(c->kind), &ret->kind))
		return fail(err, TROTH_E_ARGUMENT, "kind is none of sgx, tdx, snp and tpm");
	if (ret->kind == TR_TEE_TPM)
		return fail(err, TROTH_E_ARGUMENT, "a TPM's evidence comes as an evidence set: leave kind out");
	ret->quote = in;
	ret->certs = tr_view(c->certs, c->certs_len);
	return TROTH_OK;
}

static void tell(const struct tr_tee_verdict *v, struct troth_evidence_verdict *ret)
{
	ret->good = v->ok;
	ret->code = tr_tee_code_info(v->ev.first)->slug;
	ret->sentence = tr_tee_code_info(v->ev.first)->sentence;
	ret->authentic = tr_answer_name(v->ev.answers[TR_Q_AUTHENTIC]);
	ret->current = tr_answer_name(v->ev.answers[TR_Q_CURRENT]);
	ret->software = tr_answer_name(v->ev.answers[TR_Q_SOFTWARE]);
	ret->fresh = tr_answer_name(v->ev.answers[TR_Q_FRESH]);
	ret->tcb_status = tr_tcb_status_name(v->ev.tcb_status);
	ret->tier = tr_tier_name(v->tier);
	ret->simulated = v->simulated;
	ret->expires_s = v->expires;
}

enum troth_code troth_evidence_verify(const struct troth_evidence_check *c, struct troth_evidence_verdict *ret, char **ret_json,
				      struct troth_error *err)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *policy = NULL;
	tr_auto(tr_bundle_done) struct tr_bundle bundle = { 0 };
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT;
	tr_auto(tr_free) struct tr_tee_verdict *v = NULL; /* large, and a library does not own its caller's stack */
	struct tr_tee_in in = { 0 };
	struct tr_err e = { 0 };
	enum troth_code code;

	if (!c || !ret || c->size != sizeof(*c) || ret->size != sizeof(*ret))
		return fail(err, TROTH_E_ARGUMENT, "check and ret are needed, with their sizes set");
	if (!c->evidence || !c->evidence_len || c->evidence_len > TROTH_EVIDENCE_MAX || c->certs_len > TROTH_EVIDENCE_MAX)
		return fail(err, TROTH_E_ARGUMENT, "evidence is missing, or too long");
	if (c->now_s <= 0)
		return fail(err, TROTH_E_ARGUMENT, "now_s is needed: nothing here reads a clock");
	code = read_set(c, &in.set, err);
	if (code)
		return code;
	if (c->policy ? tr_tee_policy_parse(tr_view(c->policy, c->policy_len), &policy, &e)
		      : tr_tee_policy_default(&policy, &e))
		return refuse(err, &e);
	if (c->bundle_len && tr_bundle_get(tr_view(c->bundle, c->bundle_len), &bundle, &e))
		return refuse(err, &e);
	v = calloc(1, sizeof(*v));
	if (!v)
		return fail(err, TROTH_E_INTERNAL, "out of memory");
	in.bundle = c->bundle_len ? &bundle : NULL;
	in.policy = policy;
	in.now = c->now_s;
	in.challenge = tr_view(c->challenge, c->challenge_len);
	in.spki = tr_view(c->spki, c->spki_len);
	in.report_data = tr_view(c->report_data, c->report_data_len);
	tr_tee_appraise(&in, v);
	if (ret_json) {
		tr_tee_verdict_json(v, &in, &json);
		tr_buf_add8(&json, 0);
		if (!tr_buf_ok(&json))
			return fail(err, TROTH_E_INTERNAL, "out of memory");
		*ret_json = (char *)TR_TAKE(json.p);
		json = TR_BUF_INIT;
	}
	tell(v, ret);
	return v->ok ? TROTH_OK : fail(err, TROTH_E_REFUSED, ret->sentence);
}
