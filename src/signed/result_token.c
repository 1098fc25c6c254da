/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/result_token.h"

#include "codec/json.h"
#include "codec/text.h"

#include <stdio.h>

#define HEADER_MAX 3072u

void tr_result_spiffe(const char *trust_domain, char out[TR_SPIFFE_MAX])
{
	(void)snprintf(out, TR_SPIFFE_MAX, "spiffe://%.200s/result", trust_domain);
}

void tr_result_kid(const struct tr_pubkey *k, char out[33])
{
	const uint8_t *id = tr_pubkey_id(k);

	for (size_t i = 0; i < 16; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

TR_RC tr_result_token_sign(struct tr_view claims, const struct tr_privkey *k, struct tr_view cert_der, struct tr_buf *ret,
			   struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf header = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint8_t sig[TR_SIG_MAX];
	char kid[33];
	size_t n;

	if (tr_privkey_alg(k) != TR_SIG_ED25519)
		return tr_err_set(err, TR_E_INVALID, "result tokens are signed with Ed25519", "result token");
	if (claims.n > TR_RESULT_CLAIMS_MAX || cert_der.n > TR_CERT_DER_MAX / 2)
		return tr_err_set(err, TR_E_INVALID, "the claims are too long for a token", "%zu bytes", claims.n);
	tr_result_kid(tr_privkey_pub(k), kid);
	tr_buf_addf(&header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"JWT\",\"x5c\":[\"", kid);
	tr_b64_add(&header, cert_der, TR_B64_STD);
	tr_buf_adds(&header, "\"]}");
	tr_b64_add(&text, tr_buf_view(&header), TR_B64_URL);
	tr_buf_adds(&text, ".");
	tr_b64_add(&text, claims, TR_B64_URL);
	if (tr_buf_check(&header, err) || tr_buf_check(&text, err) ||
	    tr_sign(k, TR_SIG_ED25519, tr_buf_view(&text), sig, &n, err))
		return err->code;
	tr_buf_adds(&text, ".");
	tr_b64_add(&text, tr_view(sig, n), TR_B64_URL);
	tr_buf_addv(ret, tr_buf_view(&text));
	return tr_buf_check(&text, err) ? err->code : tr_buf_check(ret, err);
}

/* ---- reading one ---- */

struct parts {
	struct tr_view header, claims, signature, signed_text;
};

static bool split(struct tr_view token, struct parts *ret)
{
	const uint8_t *dots[3] = { NULL, NULL, NULL };
	size_t n = 0;

	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] != '.')
			continue;
		if (n == 2)
			return false;
		dots[n++] = token.p + i;
	}
	if (n != 2)
		return false;
	ret->header = tr_view(token.p, (size_t)(dots[0] - token.p));
	ret->claims = tr_view(dots[0] + 1, (size_t)(dots[1] - dots[0]) - 1);
	ret->signed_text = tr_view(token.p, (size_t)(dots[1] - token.p));
	ret->signature = tr_view(dots[1] + 1, (size_t)(token.p + token.n - dots[1]) - 1);
	return true;
}

static bool member_is(tr_jnode object, const char *name, const char *value)
{
	struct tr_view v;

	return tr_json_str(tr_json_get(object, name), &v) && tr_view_is(v, value);
}

/* The one certificate of x5c. The header's algorithm is compared, never followed (RFC 8725 3.1); a header that says more than
 * ours is refused, `crit` with it. */
static TR_RC read_header(struct tr_view text, struct tr_cert **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = { .max = HEADER_MAX };
	tr_auto(tr_buf_done) struct tr_buf der = { .max = TR_CERT_DER_MAX };
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_jnode root, chain;
	struct tr_view b64;

	if (tr_b64_get(text, TR_B64_URL, &bytes, err) || tr_json_parse(tr_buf_view(&bytes), &j, err))
		return err->code;
	root = tr_json_root(j);
	chain = tr_json_get(root, "x5c");
	if (tr_json_len(root) != 4 || !member_is(root, "alg", "EdDSA") || !member_is(root, "typ", "JWT") ||
	    !tr_json_get(root, "kid") || !tr_json_is_array(chain) || tr_json_len(chain) != 1 ||
	    !tr_json_str(tr_json_at(chain, 0), &b64))
		return tr_err_set(err, TR_E_INVALID, "the token's header is not that of a result token", "JWT header");
	if (tr_b64_get(b64, TR_B64_STD, &der, err))
		return err->code;
	return tr_cert_parse(tr_buf_view(&der), ret, err);
}

static TR_RC check_signer(const struct tr_cert *cert, const struct tr_ca_set *cas, const char *trust_domain, int64_t now_ms,
			  struct tr_err *err)
{
	char name[TR_SPIFFE_MAX];
	enum tr_code rc = tr_cert_check(cert, NULL, 0, cas, TR_USE_SVID, trust_domain, now_ms, err);

	if (rc)
		return tr_err_wrap(err, "certificate of the result key");
	tr_result_spiffe(trust_domain, name);
	/* The CA issues to agents and servers too: none of theirs may speak of results. */
	if (strcmp(tr_cert_spiffe(cert), name) != 0 || !tr_cert_key(cert) ||
	    tr_pubkey_type(tr_cert_key(cert)) != TR_KEY_ED25519)
		return tr_err_set(err, TR_E_UNAUTH, "the token is not signed by a result key of this installation", "%s",
				  tr_cert_spiffe(cert));
	return TR_OK;
}

static TR_RC check_time(struct tr_view claims, int64_t now_ms, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	int64_t iat, exp, now = now_ms / 1000;

	if (tr_json_parse(claims, &j, err))
		return err->code;
	if (!tr_json_int(tr_json_get(tr_json_root(j), "iat"), &iat) || !tr_json_int(tr_json_get(tr_json_root(j), "exp"), &exp))
		return tr_err_set(err, TR_E_INVALID, "the token says nothing of its time (iat, exp)", "JWT claims");
	if (exp <= now)
		return tr_err_set(err, TR_E_DENIED, "the result token has expired", "exp %lld", (long long)exp);
	if (iat > now + TR_RESULT_SKEW_S)
		return tr_err_set(err, TR_E_DENIED, "the result token is of the future: compare the clocks", "iat %lld",
				  (long long)iat);
	return TR_OK;
}

TR_RC tr_result_token_verify(struct tr_view token, const struct tr_ca_set *cas, const char *trust_domain, int64_t now_ms,
			     struct tr_buf *ret_claims, struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	tr_auto(tr_buf_done) struct tr_buf sig = { .max = TR_SIG_MAX };
	tr_auto(tr_buf_done) struct tr_buf claims = { .max = TR_RESULT_CLAIMS_MAX };
	struct parts p;
	enum tr_code rc;

	if (token.n > TR_RESULT_TOKEN_MAX || !split(token, &p))
		return tr_err_set(err, TR_E_INVALID, "a result token has three parts and at most 8192 bytes", "%zu bytes",
				  token.n);
	rc = read_header(p.header, &cert, err);
	if (!rc)
		rc = check_signer(cert, cas, trust_domain, now_ms, err);
	if (!rc)
		rc = tr_b64_get(p.signature, TR_B64_URL, &sig, err);
	if (!rc)
		rc = tr_verify(tr_cert_key(cert), TR_SIG_ED25519, p.signed_text, tr_buf_view(&sig), err);
	if (!rc)
		rc = tr_b64_get(p.claims, TR_B64_URL, &claims, err);
	if (!rc)
		rc = check_time(tr_buf_view(&claims), now_ms, err);
	if (rc)
		return tr_err_wrap(err, "result token");
	tr_buf_addv(ret_claims, tr_buf_view(&claims));
	return tr_buf_check(ret_claims, err);
}
