/* SPDX-License-Identifier: Apache-2.0 */
/* SecretVM: the quote was made when the machine started and is bound to a key of its own (of TLS, or of its signing
 * service). It answers no challenge; that the key is there must be shown by other means. What a SecretVM says about itself
 * in other texts is not read here. */
#include "tee/tee_inner.h"

#include "base/file.h"
#include "codec/json.h"
#include "codec/text.h"
#include "evidence/dcap.h"

#include <stdio.h>

#define TEXT_MAX (2 * TR_QUOTE_MAX + 64)

static struct tr_view trimmed(struct tr_view v)
{
	while (v.n && strchr(" \t\r\n", v.p[0]) && v.p[0])
		v = tr_view(v.p + 1, v.n - 1);
	while (v.n && v.p[v.n - 1] && strchr(" \t\r\n", v.p[v.n - 1]))
		v.n--;
	return v;
}

static bool is_hex(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!v.p[i] || !strchr("0123456789abcdefABCDEF", v.p[i]))
			return false;
	return v.n && v.n % 2 == 0;
}

static TR_RC bytes_of(struct tr_view text, struct tr_buf *ret, struct tr_err *err)
{
	uint8_t *to;

	if (text.n > TEXT_MAX)
		return tr_err_set(err, TR_E_INVALID, "The SecretVM's quote is too long.", "%zu characters", text.n);
	text = trimmed(text);
	if (!is_hex(text))
		return tr_b64_get(text, TR_B64_STD, ret, err);
	to = tr_buf_space(ret, text.n / 2);
	if (!to || !tr_hex_get(text, to, text.n / 2))
		return tr_err_set(err, TR_E_INTERNAL, "Out of memory.", "quote");
	return TR_OK;
}

TR_RC tr_secretvm_quote(struct tr_view text, struct tr_buf *ret, enum tr_tee_kind *ret_kind, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_snp_report snp;
	enum tr_tee_code code;
	enum tr_tee_kind kind;
	struct tr_quote q;

	if (bytes_of(text, &b, err))
		return tr_err_wrap(err, "the SecretVM's quote");
	if (b.n == TR_SNP_REPORT_LEN && !tr_snp_parse(tr_buf_view(&b), &snp, &code, err))
		kind = TR_TEE_SNP;
	else if (!tr_quote_parse(tr_buf_view(&b), &q, &code, err) && q.body_type != TR_BODY_SGX)
		kind = TR_TEE_TDX;
	else
		return tr_err_set(err, TR_E_INVALID, "What the SecretVM gave is neither a TDX quote nor an SNP report.",
				  "%zu bytes", b.n);
	tr_buf_addv(ret, tr_buf_view(&b));
	if (tr_buf_check(ret, err))
		return err->code;
	*ret_kind = kind;
	return TR_OK;
}

TR_RC tr_secretvm_sign_body(struct tr_view payload, struct tr_buf *ret, struct tr_err *err)
{
	/* It signs the characters of the payload: what is no text would be signed as something else. */
	if (!tr_utf8_ok(payload) || memchr(payload.p, 0, payload.n))
		return tr_err_set(err, TR_E_INVALID, "The signing service signs text only.", "payload is not UTF-8");
	tr_buf_adds(ret, "{\"key_type\":\"ed25519\",\"payload\":");
	tr_json_put_str(ret, payload);
	tr_buf_add8(ret, '}');
	return tr_buf_check(ret, err);
}

TR_RC tr_secretvm_sign_answer(struct tr_view json, uint8_t ret_sig[64], struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_view text;

	if (json.n > 4096 || tr_json_parse(json, &j, err) ||
	    !tr_json_str(tr_json_get(tr_json_root(j), "signature"), &text) || tr_b64_get(text, TR_B64_STD, &sig, err) ||
	    sig.n != 64)
		return tr_err_set(err, TR_E_UNAVAIL, "The SecretVM's signing service gave no Ed25519 signature.",
				  "%zu bytes of answer", json.n);
	memcpy(ret_sig, sig.p, 64);
	return TR_OK;
}

static TR_RC quote(const struct tr_tee_conf *c, const struct tr_tee_ask *ask, struct tr_buf *ret_set, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, bytes = TR_BUF_INIT;
	struct tr_tee_set set = { 0 };
	enum tr_code rc;

	(void)ask;
	if (c->secretvm_quote)
		rc = tr_file_read(c->secretvm_quote, TEXT_MAX, &text, err);
	else if (c->fetch)
		rc = c->fetch(c->fetch_arg, "/cpu", TEXT_MAX, &text, err);
	else
		rc = tr_err_set(err, TR_E_UNAVAIL, "No way to ask the SecretVM for its quote.", "neither file nor address");
	if (rc)
		return rc;
	if (tr_secretvm_quote(tr_buf_view(&text), &bytes, &set.kind, err))
		return err->code;
	set.quote = tr_buf_view(&bytes);
	return tr_tee_emit(&set, ret_set, err);
}

static bool present(const struct tr_tee_conf *c, char why_not[160])
{
	if (c->secretvm_quote ? tr_file_exists(c->secretvm_quote) : c->fetch != NULL)
		return true;
	(void)snprintf(why_not, 160, "no file or address of a SecretVM's quote");
	return false;
}

/* Not for "auto": what such a quote is bound to is configured and never guessed. */
const struct tr_tee_source tr_tee_secretvm = {
	.name = "secretvm", .platforms = " secretvm ", .is_static = true, .present = present, .quote = quote,
};
