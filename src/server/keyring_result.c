/* SPDX-License-Identifier: Apache-2.0 */
/* Result tokens: claims that core has had appraised. The header is built here, the claims are read again for what a stolen core
 * must not get signed: another installation's name, another time, a longer life. */
#include "server/keyring.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/json.h"
#include "server/msg_tee.h"
#include "signed/result_token.h"

#define RESULTS_PER_SECOND 5000u
#define DAY_MS INT64_C(86400000)
/* Nobody asks whether a result key was revoked: whoever has copied one is believed for as long as its certificate lasts. */
#define CERT_MS DAY_MS
#define CERT_FRESH_MS (DAY_MS / 2) /* with less than this left, the next one; longer than any token's life */
#define BACKDATE_MS 600000
#define LIFE_S (4 * 3600 + 60)

/* The certificate is nobody's secret and quickly made: it lives as long as this process. */
static TR_RC certify(struct tr_keyring *k, const struct tr_privkey *key, const struct tr_privkey *ca_key,
		     const struct tr_cert *ca, struct tr_err *err)
{
	char spiffe[TR_SPIFFE_MAX];
	int64_t now = tr_now_ms();
	struct tr_cert_spec spec = {
		.spki = tr_pubkey_spki(tr_privkey_pub(key)),
		.common_name = "attestation results",
		.spiffe = spiffe,
		.not_before_ms = now - BACKDATE_MS,
		.not_after_ms = now + CERT_MS < tr_cert_not_after_ms(ca) ? now + CERT_MS : tr_cert_not_after_ms(ca),
	};

	if (memcmp(k->result_key, tr_pubkey_id(tr_privkey_pub(key)), 32) == 0 && k->result_until - now > CERT_FRESH_MS)
		return TR_OK;
	tr_result_spiffe(k->cfg->trust_domain, spiffe);
	tr_buf_clear(&k->result_cert);
	memset(k->result_key, 0, sizeof(k->result_key));
	if (tr_cert_issue_by(ca_key, ca, &spec, &k->result_cert, err))
		return tr_err_wrap(err, "certificate of the result key");
	memcpy(k->result_key, tr_pubkey_id(tr_privkey_pub(key)), 32);
	k->result_until = spec.not_after_ms;
	return TR_OK;
}

static TR_RC check_claims(const struct tr_keyring *k, struct tr_view claims, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	int64_t iat, exp, now = tr_now_ms() / 1000;
	struct tr_view iss, sub, profile;
	tr_jnode root;

	if (tr_json_parse(claims, &j, err))
		return err->code;
	root = tr_json_root(j);
	if (!tr_json_str(tr_json_get(root, "iss"), &iss) || !tr_view_is(iss, k->cfg->trust_domain) ||
	    !tr_json_str(tr_json_get(root, "sub"), &sub) || !tr_ident_ok(sub) ||
	    !tr_json_str(tr_json_get(root, "eat_profile"), &profile) || !tr_view_starts(profile, "tag:") ||
	    !tr_json_int(tr_json_get(root, "iat"), &iat) || !tr_json_int(tr_json_get(root, "exp"), &exp))
		return tr_err_set(err, TR_E_INVALID, "these are not the claims of a result of this installation", "claims");
	if (iat < now - TR_RESULT_SKEW_S || iat > now + TR_RESULT_SKEW_S || exp <= iat || exp - iat > LIFE_S)
		return tr_err_set(err, TR_E_INVALID, "a result is of now, and for four hours at most", "iat %lld exp %lld",
				  (long long)iat, (long long)exp);
	return TR_OK;
}

static TR_RC sign(struct tr_keyring *k, const struct tr_privkey *ca_key, const struct tr_cert *ca,
		  const struct tr_msg_sign_result *q, struct tr_buf *ret, struct tr_err *err)
{
	const struct tr_privkey *key = tr_keyring_find(k, TR_RING_RESULT, q->key_id);
	uint64_t second = tr_mono_ms() / 1000;

	if (!key)
		return tr_err_set(err, TR_E_UNAVAIL, "this node does not hold the result key; see troth key list", "result key");
	if (second != k->result_second) {
		k->result_second = second;
		k->results = 0;
	}
	if (++k->results > RESULTS_PER_SECOND)
		return tr_err_set(err, TR_E_BUSY, "too many results are asked for; try again in a second", "sign result");
	if (check_claims(k, q->claims, err) || certify(k, key, ca_key, ca, err))
		return err->code;
	return tr_result_token_sign(q->claims, key, tr_buf_view(&k->result_cert), ret, err);
}

void tr_keyring_on_result(struct tr_keyring *k, const struct tr_privkey *ca_key, const struct tr_cert *ca, struct tr_chan *c,
			  const struct tr_frame *f)
{
	tr_auto(tr_buf_done) struct tr_buf token = TR_BUF_INIT;
	struct tr_msg_sign_result q;
	struct tr_msg_result_signed m = { 0 };
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_sign_result_def, f->payload, &q, &err) || sign(k, ca_key, ca, &q, &token, &err)) {
		tr_log_err(TR_LOG_WARN, "result_not_signed", &err, NULL);
		m.code = err.code;
		m.why = tr_view_str(err.pub);
	} else {
		m.token = tr_buf_view(&token);
	}
	tr_chan_send_record(c, TR_M_RESULT_SIGNED, f->id, &tr_msg_result_signed_def, &m);
}
