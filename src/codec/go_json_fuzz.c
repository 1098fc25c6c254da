/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what was written reads as JSON and is written the same again: one value, one text. */
#include "codec/codec_fuzz.h"

#include "codec/go_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_json_free) struct tr_json *again = NULL;
	tr_auto(tr_buf_done) struct tr_buf one = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf two = TR_BUF_INIT;
	struct tr_err err;

	if (size > 65536 || tr_json_parse_reals(tr_view(data, size), &j, &err))
		return 0;
	MUST(tr_go_json_add(tr_json_root(j), &one, &err) == TR_OK);
	MUST(tr_json_parse_reals(tr_buf_view(&one), &again, &err) == TR_OK);
	MUST(tr_go_json_add(tr_json_root(again), &two, &err) == TR_OK);
	MUST(tr_view_eq(tr_buf_view(&one), tr_buf_view(&two)));
	return 0;
}
