/* SPDX-License-Identifier: Apache-2.0 */
/* What a decoder accepts encodes to the same text; UTF-8 agrees with the C library's own decoder. */
#include "codec/text.h"

#include <iconv.h>

#include "codec/codec_fuzz.h"

static void check_hex(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, bytes = TR_BUF_INIT;

	if (tr_hex_get(in, tr_buf_space(&bytes, in.n / 2), in.n / 2)) {
		tr_hex_add(&text, tr_buf_view(&bytes));
		MUST(text.n == in.n);
		for (size_t i = 0; i < in.n; i++)
			MUST(text.p[i] == in.p[i] ||
			     (in.p[i] >= 'A' && in.p[i] <= 'F' && text.p[i] == in.p[i] + 32));
	}
	tr_buf_clear(&text);
	tr_hex_add(&text, in);
	tr_buf_clear(&bytes);
	MUST(tr_hex_get(tr_buf_view(&text), tr_buf_space(&bytes, in.n), in.n));
	MUST(tr_view_eq(tr_buf_view(&bytes), in));
}

static void check_b64(struct tr_view in, enum tr_b64 kind)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, bytes = TR_BUF_INIT;
	struct tr_err err;

	if (tr_b64_get(in, kind, &bytes, &err) == TR_OK) {
		tr_b64_add(&text, tr_buf_view(&bytes), kind);
		MUST(tr_view_eq(tr_buf_view(&text), in));
	} else {
		MUST(bytes.n == 0);
	}
	tr_buf_clear(&text);
	tr_buf_clear(&bytes);
	tr_b64_add(&text, in, kind);
	MUST(tr_b64_get(tr_buf_view(&text), kind, &bytes, &err) == TR_OK);
	MUST(tr_view_eq(tr_buf_view(&bytes), in));
}

static void check_utf8(struct tr_view in)
{
	static iconv_t cd;
	char *from = (char *)(uintptr_t)in.p, *to;
	size_t left = in.n, room = in.n * 4 + 16;
	tr_auto(tr_free) void *out = malloc(room);
	bool want;

	if (!cd)
		cd = iconv_open("UTF-32LE", "UTF-8");
	if (cd == (iconv_t)-1 || !out)
		return;
	to = out;
	(void)iconv(cd, NULL, NULL, NULL, NULL);
	want = in.n == 0 || iconv(cd, &from, &left, &to, &room) != (size_t)-1;
	MUST(tr_utf8_ok(in) == want);
}

static void check_time(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	int64_t ms, back;

	if (tr_rfc3339_get(in, &ms)) {
		tr_rfc3339_add(&text, ms);
		MUST(text.n == TR_RFC3339_LEN);
		MUST(tr_rfc3339_get(tr_buf_view(&text), &back) && back == ms);
	}
	/* Any eight bytes are a time that must be written in a form that is read again. */
	if (in.n >= sizeof(ms)) {
		memcpy(&ms, in.p, sizeof(ms));
		tr_buf_clear(&text);
		tr_rfc3339_add(&text, ms);
		MUST(text.n == TR_RFC3339_LEN && tr_rfc3339_get(tr_buf_view(&text), &back));
		MUST(back == ms || ms < -INT64_C(62167219200000) || ms > INT64_C(253402300799999));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);

	check_hex(in);
	check_b64(in, TR_B64_STD);
	check_b64(in, TR_B64_URL);
	check_utf8(in);
	check_time(in);
	return 0;
}
