/* SPDX-License-Identifier: Apache-2.0 */
#include "server/front_hub.h"

#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "server/msg.h"

/* A quote fits into a header only up to here; longer ones go in the body alone. */
#define QUOTE_HEADER_MAX 12288u
#define TARGET_MAX 1024u

/* What stands in a header is compared with the body elsewhere, by its digest: nothing of it is parsed here. */
static struct tr_view digest_of(struct tr_view text, uint8_t out[32], bool *bad)
{
	tr_auto(tr_buf_done) struct tr_buf raw = { .max = QUOTE_HEADER_MAX };
	struct tr_err err = { 0 };

	if (!text.n)
		return tr_view(NULL, 0);
	if (tr_b64_get(text, TR_B64_STD, &raw, &err) || !tr_buf_ok(&raw)) {
		*bad = true;
		return tr_view(NULL, 0);
	}
	tr_sha256(tr_buf_view(&raw), out);
	return tr_view(out, 32);
}

static bool is_printable(struct tr_view v, size_t max)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x21 || v.p[i] > 0x7e)
			return false;
	return v.n <= max;
}

TR_RC tr_front_hub(struct tr_http_req *r, const struct tr_http_head *h, struct tr_view body, struct tr_buf *ret,
		   struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf target = TR_BUF_INIT;
	uint8_t body_hash[32], quote_hash[32], key_hash[32];
	struct tr_msg_hub m = {
		.method = h->method,
		.agent = tr_http_header(r, "X-Requesting-Agent"),
		.signature = tr_http_header(r, "X-Attestation-Signature"),
		.timestamp = tr_http_header(r, "X-Timestamp"),
		.nonce = tr_http_header(r, "X-Nonce"),
		.body_sha256 = TR_VIEW_ARRAY(body_hash),
		.wants_jwt = tr_view_is(tr_http_header(r, "Accept"), "application/eat+jwt"),
	};

	tr_buf_addv(&target, h->path);
	if (h->query.n)
		tr_buf_addf(&target, "?%.*s", TR_VIEW_FMT(h->query));
	m.target = tr_buf_view(&target);
	if (!is_printable(m.target, TARGET_MAX))
		return tr_err_set(err, TR_E_INVALID, "the path with its query is longer than 1024 bytes", "target");
	if (m.agent.n && !tr_ident_ok(m.agent))
		return tr_err_set(err, TR_E_INVALID, "X-Requesting-Agent must be an agent id", "X-Requesting-Agent");
	if (!is_printable(m.signature, 1400))
		return tr_err_set(err, TR_E_INVALID, "X-Attestation-Signature must be base64 of one signature",
				  "X-Attestation-Signature");
	if (!is_printable(m.timestamp, 20))
		return tr_err_set(err, TR_E_INVALID, "X-Timestamp must be Unix seconds in decimal", "X-Timestamp");
	if (!is_printable(m.nonce, 64))
		return tr_err_set(err, TR_E_INVALID, "X-Nonce must be 16 to 64 characters of base64url", "X-Nonce");
	tr_sha256(body, body_hash);
	m.quote_sha256 = digest_of(tr_http_header(r, "X-Attestation-Quote"), quote_hash, &m.bad_base64);
	m.key_sha256 = digest_of(tr_http_header(r, "X-Public-Key"), key_hash, &m.bad_base64);
	tr_record_encode(&tr_msg_hub_def, &m, ret);
	return tr_buf_check(ret, err);
}
