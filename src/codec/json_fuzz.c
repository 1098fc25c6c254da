/* SPDX-License-Identifier: Apache-2.0 */
/* What parses dumps to a text that parses and dumps the same; any bytes become a valid JSON string. */
#include "codec/json.h"

#include "codec/codec_fuzz.h"
#include "codec/text.h"

static void check_node(tr_jnode n, unsigned depth);

static bool check_member(void *arg, const char *key, tr_jnode value)
{
	MUST(tr_utf8_ok(tr_view_str(key)) && value);
	check_node(value, *(unsigned *)arg);
	return true;
}

static void check_node(tr_jnode n, unsigned depth)
{
	struct tr_view s;
	int64_t i;
	bool b;

	if (tr_json_is_object(n) || tr_json_is_array(n))
		MUST(++depth <= TR_JSON_DEPTH_MAX);
	if (tr_json_str(n, &s))
		MUST(tr_utf8_ok(s) && (!s.n || !memchr(s.p, 0, s.n)));
	MUST(tr_json_str(n, &s) + tr_json_int(n, &i) + tr_json_bool(n, &b) + tr_json_is_null(n) +
		     tr_json_is_object(n) + tr_json_is_array(n) <=
	     1);
	if (tr_json_is_array(n))
		for (size_t k = 0; k < tr_json_len(n); k++)
			check_node(tr_json_at(n, k), depth);
	else
		tr_json_each(n, check_member, &depth);
}

static void check_text(struct tr_view in)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL, *again = NULL;
	tr_auto(tr_buf_done) struct tr_buf first = TR_BUF_INIT, second = TR_BUF_INIT;
	struct tr_err err;

	if (tr_json_parse(in, &j, &err))
		return;
	check_node(tr_json_root(j), 0);
	tr_json_dump(tr_json_root(j), &first);
	MUST(tr_buf_ok(&first));
	MUST(tr_json_parse(tr_buf_view(&first), &again, &err) == TR_OK);
	tr_json_dump(tr_json_root(again), &second);
	MUST(tr_view_eq(tr_buf_view(&first), tr_buf_view(&second)));
}

static void check_string(struct tr_view in)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;
	struct tr_view s;
	bool has_nul = in.n && memchr(in.p, 0, in.n);

	tr_json_put_str(&b, in);
	MUST(tr_buf_ok(&b) && tr_utf8_ok(tr_buf_view(&b)));
	/* NUL is written as an escape, and refused on the way in. */
	MUST((tr_json_parse(tr_buf_view(&b), &j, &err) == TR_OK) == !has_nul);
	if (!has_nul) {
		MUST(tr_json_str(tr_json_root(j), &s));
		MUST(tr_view_eq(s, in) == tr_utf8_ok(in));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_text(tr_view(data, size));
	if (size < 4096)
		check_string(tr_view(data, size));
	return 0;
}
