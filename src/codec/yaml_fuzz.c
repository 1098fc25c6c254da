/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken as YAML comes out as strict JSON, which is its own text again; a mapping also where either may stand. */
#include "codec/yaml.h"

#include "codec/codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL, *again = NULL;
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT, first = TR_BUF_INIT, second = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_yaml_to_json(tr_view(data, size), &json, &err)) {
		MUST(json.n == 0 && err.code != TR_OK && err.detail[0]);
		return 0;
	}
	MUST(tr_json_parse(tr_buf_view(&json), &j, &err) == TR_OK);
	tr_json_dump(tr_json_root(j), &first);
	if (tr_json_is_object(tr_json_root(j)))
		MUST(tr_yaml_parse(tr_buf_view(&json), &again, &err) == TR_OK);
	else
		MUST(tr_json_parse(tr_buf_view(&json), &again, &err) == TR_OK);
	tr_json_dump(tr_json_root(again), &second);
	MUST(tr_view_eq(tr_buf_view(&first), tr_buf_view(&second)));
	return 0;
}
