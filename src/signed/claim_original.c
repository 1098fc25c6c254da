/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/claim_original.h"

#include "codec/ident.h"
#include "codec/text.h"

/* Year 9999: later times have no RFC 3339 form. */
#define TIME_MAX_S INT64_C(253402300799)

void tr_claim_original_tbs(const struct tr_claim_original *c, struct tr_buf *b)
{
	tr_buf_addv(b, c->node_id);
	tr_buf_adds(b, ":");
	tr_buf_addv(b, c->binary_hash);
	tr_buf_adds(b, ":");
	tr_buf_addv(b, c->version);
	tr_buf_addf(b, ":%lld", (long long)c->timestamp_s);
}

/* The grammars of node id and version exclude ':' and the hash has a fixed form, so that the joined text
 * splits in one way only; without them {"a:b", "c"} and {"a", "b:c"} would share a signature. */
static TR_RC check(const struct tr_claim_original *c, struct tr_err *err)
{
	uint8_t hash[TR_SHA256_LEN];
	const char *why = NULL;

	if (!tr_ident_ok(c->node_id))
		why = "node_id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (!tr_sha256_name_ok(c->binary_hash, hash))
		why = "binary_hash is not \"sha256:\" and 64 lower-case hex digits";
	else if (!tr_version_ok(c->version))
		why = "version is not of the form v1.2.3";
	else if (c->timestamp_s <= 0 || c->timestamp_s > TIME_MAX_S)
		why = "timestamp is not a time in Unix seconds";
	return why ? tr_err_set(err, TR_E_INVALID, why, "original claim fields") : TR_OK;
}

TR_RC tr_claim_original_sign(const struct tr_claim_original *c, const struct tr_privkey *k,
			     enum tr_sig_alg alg, struct tr_buf *ret_json, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	uint8_t sig[TR_SIG_MAX];
	size_t n = 0;
	enum tr_code rc = check(c, err);

	if (rc)
		return rc;
	tr_claim_original_tbs(c, &tbs);
	rc = tr_buf_check(&tbs, err);
	if (rc)
		return rc;
	rc = tr_sign(k, alg, tr_buf_view(&tbs), sig, &n, err);
	if (rc)
		return tr_err_wrap(err, "sign original claim");
	tr_buf_adds(ret_json, "{\"node_id\":");
	tr_json_put_str(ret_json, c->node_id);
	tr_buf_adds(ret_json, ",\"binary_hash\":");
	tr_json_put_str(ret_json, c->binary_hash);
	tr_buf_adds(ret_json, ",\"version\":");
	tr_json_put_str(ret_json, c->version);
	tr_buf_adds(ret_json, ",\"signature\":\"");
	tr_b64_add(ret_json, tr_view(sig, n), TR_B64_STD);
	tr_buf_addf(ret_json, "\",\"timestamp\":%lld}", (long long)c->timestamp_s);
	return tr_buf_check(ret_json, err);
}

TR_RC tr_claim_original_read(tr_jnode object, struct tr_claim_original *ret, struct tr_err *err)
{
	struct tr_claim_original out = { 0 };
	const struct {
		const char *name;
		struct tr_view *to;
		const char *missing;
	} texts[] = {
		{ "node_id", &out.node_id, "the claim's node_id is missing or not text" },
		{ "binary_hash", &out.binary_hash, "the claim's binary_hash is missing or not text" },
		{ "version", &out.version, "the claim's version is missing or not text" },
		{ "signature", &out.signature, "the claim's signature is missing or not text" },
	};
	enum tr_code rc;

	if (!tr_json_is_object(object))
		return tr_err_set(err, TR_E_INVALID, "the claim is not a JSON object", "original claim");
	for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++)
		if (!tr_json_str(tr_json_get(object, texts[i].name), texts[i].to))
			return tr_err_set(err, TR_E_INVALID, texts[i].missing, "original claim");
	if (!tr_json_int(tr_json_get(object, "timestamp"), &out.timestamp_s))
		return tr_err_set(err, TR_E_INVALID, "the claim's timestamp is missing or not a whole number",
				  "original claim");
	rc = check(&out, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}

TR_RC tr_claim_original_verify(const struct tr_claim_original *c, const struct tr_pubkey *k,
			       struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT, sig = TR_BUF_INIT;
	/* The form carries no algorithm: it follows from the key, so that nobody can choose a weaker one. */
	static const enum tr_sig_alg algs[TR_KEY_TYPE_N] = {
		[TR_KEY_ED25519] = TR_SIG_ED25519,
		[TR_KEY_P256] = TR_SIG_ES256_DER,
		[TR_KEY_RSA] = TR_SIG_RS256,
	};
	enum tr_code rc;

	rc = tr_b64_get(c->signature, TR_B64_STD, &sig, err);
	if (rc)
		return tr_err_wrap(err, "original claim's signature");
	if (sig.n == 0 || sig.n > TR_SIG_MAX)
		return tr_err_set(err, TR_E_INVALID, "the claim's signature is empty or too long",
				  "%zu bytes", sig.n);
	tr_claim_original_tbs(c, &tbs);
	rc = tr_buf_check(&tbs, err);
	if (rc)
		return rc;
	rc = tr_verify(k, algs[tr_pubkey_type(k)], tr_buf_view(&tbs), tr_buf_view(&sig), err);
	return rc ? tr_err_wrap(err, "original claim") : TR_OK;
}
