/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/request_sig.h"

#include "codec/ident.h"
#include "codec/text.h"

#define HEAD "troth/request/v1\n"
#define METHOD_MAX 16
#define TARGET_MAX 4096
#define NONCE_MIN 16
#define NONCE_MAX 64

static bool all(struct tr_view v, size_t min, size_t max, bool (*is)(uint8_t c))
{
	for (size_t i = 0; i < v.n; i++)
		if (!is(v.p[i]))
			return false;
	return v.n >= min && v.n <= max;
}

static bool is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Neither white space nor control: could end the line. */
static bool is_visible(uint8_t c)
{
	return c > 0x20 && c < 0x7f;
}

static bool is_url64(uint8_t c)
{
	return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* One text per number: a second spelling would be a second signed request. */
static bool unix_of(struct tr_view v, int64_t *ret)
{
	int64_t s = 0;

	if (!all(v, 1, 12, is_digit) || v.p[0] == '0')
		return false;
	for (size_t i = 0; i < v.n; i++)
		s = s * 10 + (v.p[i] - '0');
	*ret = s;
	return true;
}

static const char *fault_of(const struct tr_request_sig *r, int64_t *ret_unix_s)
{
	if (!all(r->method, 1, METHOD_MAX, is_upper))
		return "the method is not 1 to 16 capital letters";
	if (!all(r->target, 1, TARGET_MAX, is_visible) || r->target.p[0] != '/')
		return "the path and query are not printable ASCII that begins with a slash";
	if (!tr_ident_ok(r->agent))
		return "X-Requesting-Agent is not an agent id";
	if (!unix_of(r->timestamp, ret_unix_s))
		return "X-Timestamp is not a decimal number of Unix seconds";
	if (!all(r->nonce, NONCE_MIN, NONCE_MAX, is_url64))
		return "X-Nonce is not 16 to 64 characters of base64url";
	return NULL;
}

TR_RC tr_request_sig_text(const struct tr_request_sig *r, struct tr_buf *ret, int64_t *ret_unix_s, struct tr_err *err)
{
	const char *why = fault_of(r, ret_unix_s);

	if (why)
		return tr_err_set(err, TR_E_INVALID, why, "request signature");
	tr_buf_adds(ret, HEAD);
	tr_buf_addv(ret, r->method);
	tr_buf_add8(ret, ' ');
	tr_buf_addv(ret, r->target);
	tr_buf_add8(ret, '\n');
	tr_buf_addv(ret, r->agent);
	tr_buf_add8(ret, '\n');
	tr_buf_addv(ret, r->timestamp);
	tr_buf_add8(ret, '\n');
	tr_buf_addv(ret, r->nonce);
	tr_buf_add8(ret, '\n');
	tr_hex_add(ret, TR_VIEW_ARRAY(r->body_sha256));
	tr_buf_add8(ret, '\n');
	return tr_buf_check(ret, err);
}

TR_RC tr_request_sig_make(const struct tr_request_sig *r, const struct tr_privkey *k, struct tr_buf *ret_b64,
			  struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint8_t sig[TR_SIG_MAX];
	int64_t unix_s;
	size_t n = 0;
	enum tr_code rc = tr_request_sig_text(r, &text, &unix_s, err);

	if (!rc)
		rc = tr_sign(k, tr_privkey_alg(k), tr_buf_view(&text), sig, &n, err);
	if (rc)
		return tr_err_wrap(err, "sign request");
	tr_b64_add(ret_b64, tr_view(sig, n), TR_B64_STD);
	return tr_buf_check(ret_b64, err);
}

TR_RC tr_request_sig_verify(const struct tr_request_sig *r, struct tr_view sig_b64, const struct tr_pubkey *k,
			    struct tr_err *err)
{
	static const enum tr_sig_alg algs[TR_KEY_TYPE_N] = { [TR_KEY_ED25519] = TR_SIG_ED25519,
							     [TR_KEY_P256] = TR_SIG_ES256,
							     [TR_KEY_RSA] = TR_SIG_PS256 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, sig = TR_BUF_INIT;
	int64_t unix_s;
	enum tr_code rc = tr_request_sig_text(r, &text, &unix_s, err);

	if (rc)
		return rc;
	rc = tr_b64_get(sig_b64, TR_B64_STD, &sig, err);
	if (rc == TR_E_INVALID)
		return tr_err_set(err, rc, "X-Attestation-Signature is not base64", "request signature");
	if (rc)
		return rc;
	/* The scheme is the key's, never the request's choice. */
	rc = tr_verify(k, algs[tr_pubkey_type(k)], tr_buf_view(&text), tr_buf_view(&sig), err);
	return rc ? tr_err_wrap(err, "request signature") : TR_OK;
}
