/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/token.h"

#include "base/secret.h"
#include "codec/text.h"

#define ENROL_SECRET 16
#define ENROL_PART (4 + 22)
#define OPERATOR_PART (4 + 43)

static void add_secret(struct tr_buf *b, const char *prefix, size_t n, uint8_t ret_hash[32])
{
	uint8_t secret[32];
	size_t start = b->n;

	tr_random(secret, n);
	tr_buf_adds(b, prefix);
	tr_b64_add(b, tr_view(secret, n), TR_B64_URL);
	tr_wipe(secret, sizeof(secret));
	tr_sha256(b->failed ? tr_view(NULL, 0) : tr_view(b->p + start, b->n - start), ret_hash);
}

void tr_token_make_enrol(const uint8_t root_pin[32], struct tr_buf *ret_text, uint8_t ret_hash[32])
{
	add_secret(ret_text, "trt_", ENROL_SECRET, ret_hash);
	tr_buf_add8(ret_text, '_');
	tr_b64_add(ret_text, tr_view(root_pin, 32), TR_B64_URL);
}

void tr_token_make_operator(struct tr_buf *ret_text, uint8_t ret_hash[32])
{
	add_secret(ret_text, "tro_", 32, ret_hash);
}

/* Does the text decode to exactly n bytes? */
static bool decodes(struct tr_view text, size_t n, uint8_t *ret)
{
	tr_auto(tr_buf_done) struct tr_buf raw = TR_BUF_INIT;
	struct tr_err err;

	if (tr_b64_get(text, TR_B64_URL, &raw, &err) || raw.n != n)
		return false;
	if (ret)
		memcpy(ret, raw.p, n);
	tr_wipe(raw.p, raw.n);
	return true;
}

enum tr_token_kind tr_token_read(struct tr_view text, uint8_t ret_hash[32], uint8_t *ret_pin)
{
	if (tr_view_starts(text, "trt_") && text.n == ENROL_PART + 1 + 43 && text.p[ENROL_PART] == '_' &&
	    decodes(tr_view(text.p + 4, 22), ENROL_SECRET, NULL) &&
	    decodes(tr_view(text.p + ENROL_PART + 1, 43), 32, ret_pin)) {
		tr_sha256(tr_view(text.p, ENROL_PART), ret_hash);
		return TR_TOKEN_ENROL;
	}
	if (tr_view_starts(text, "tro_") && text.n == OPERATOR_PART && decodes(tr_view(text.p + 4, 43), 32, NULL)) {
		tr_sha256(text, ret_hash);
		return TR_TOKEN_OPERATOR;
	}
	return TR_TOKEN_NONE;
}
