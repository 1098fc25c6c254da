/* SPDX-License-Identifier: Apache-2.0 */
/* What decodes encodes to the same bytes; what JSON or a query fills encodes, decodes, and comes back through
 * its own JSON form. The first byte chooses the form, so that each gets its share. */
#include "codec/record.h"

#include "codec/codec_fuzz.h"

struct thing {
	uint64_t u;
	int64_t i;
	int64_t when;
	bool flag;
	struct tr_view text, id, bytes, hex, raw, hidden;
};

static const struct tr_field thing_fields[] = {
	TR_FIELD(thing, u, TR_F_U64, 0, 0),	   TR_FIELD(thing, i, TR_F_I64, 0, 0),
	TR_FIELD(thing, when, TR_F_TIME_MS, 0, 0), TR_FIELD(thing, flag, TR_F_BOOL, 0, 0),
	TR_FIELD(thing, text, TR_F_TEXT, 64, 0),   TR_FIELD(thing, id, TR_F_IDENT, 64, TR_FIELD_REQUIRED),
	TR_FIELD(thing, bytes, TR_F_BYTES, 32, 0), TR_FIELD(thing, hex, TR_F_HEX, 32, 0),
	TR_FIELD(thing, raw, TR_F_RAW, 64, 0),	   TR_FIELD(thing, hidden, TR_F_TEXT, 64, TR_FIELD_SECRET),
};
static TR_RECORD(thing_def, thing, thing_fields);
/* The same without what JSON input refuses or JSON output leaves out. */
static const struct tr_record open_def = { "thing", sizeof(struct thing), thing_fields, 8, false };

static void check_wire(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view list = in, one;
	struct thing t;
	struct tr_err err;

	while (tr_records_next(&list, &one))
		MUST(is_inside(one, in) && is_inside(list, in));
	if (tr_record_decode(&thing_def, in, &t, &err))
		return;
	MUST(is_inside(t.text, in) && is_inside(t.id, in) && is_inside(t.bytes, in) &&
	     is_inside(t.hidden, in));
	tr_record_encode(&thing_def, &t, &b);
	MUST(tr_buf_ok(&b) && tr_view_eq(tr_buf_view(&b), in));
	tr_buf_clear(&b);
	t.raw = tr_view(NULL, 0);
	tr_record_to_json(&thing_def, &t, &b);
	MUST(tr_buf_ok(&b));
	if (t.u <= INT64_MAX) {
		tr_auto(tr_json_free) struct tr_json *j = NULL;

		MUST(tr_json_parse(tr_buf_view(&b), &j, &err) == TR_OK);
	}
}

/* What came in from outside must be what we can send on and show again. */
static void check_filled(const struct thing *t)
{
	tr_auto(tr_buf_done) struct tr_buf wire = TR_BUF_INIT, json = TR_BUF_INIT, arena = TR_BUF_INIT,
					   again = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct thing back;
	struct tr_err err;

	tr_record_encode(&open_def, t, &wire);
	MUST(tr_buf_ok(&wire) && t->id.n > 0 && t->raw.n == 0);
	MUST(tr_record_decode(&open_def, tr_buf_view(&wire), &back, &err) == TR_OK);
	if (t->u > INT64_MAX)
		return;
	tr_record_to_json(&open_def, t, &json);
	MUST(tr_json_parse(tr_buf_view(&json), &j, &err) == TR_OK);
	MUST(tr_record_from_json(&open_def, tr_json_root(j), &arena, &back, &err) == TR_OK);
	tr_record_encode(&open_def, &back, &again);
	MUST(tr_view_eq(tr_buf_view(&wire), tr_buf_view(&again)));
}

static void check_json(struct tr_view in)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing t;
	struct tr_err err;

	if (tr_json_parse(in, &j, &err) || tr_record_from_json(&thing_def, tr_json_root(j), &arena, &t, &err))
		return;
	check_filled(&t);
}

static void check_query(struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct thing t;
	struct tr_err err;

	if (tr_record_from_query(&thing_def, in, &arena, &t, &err))
		return;
	check_filled(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = size ? tr_view(data + 1, size - 1) : tr_view(data, 0);

	switch (size ? data[0] % 3 : 0) {
	case 0: check_wire(in); break;
	case 1: check_json(in); break;
	default: check_query(in); break;
	}
	return 0;
}
