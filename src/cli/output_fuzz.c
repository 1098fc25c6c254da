/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a server answers, what reaches the terminal is UTF-8 without control characters other than our newlines. */
#include "cli/output.h"

#include "codec/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tr_buf *b)
{
	if (!tr_buf_ok(b) || !tr_utf8_ok(tr_buf_view(b)))
		abort();
	for (size_t i = 0; i < b->n; i++) {
		uint8_t c = b->p[i];

		if ((c < ' ' && c != '\n') || c == 0x7f || (c == 0xc2 && b->p[i + 1] < 0xa0))
			abort();
	}
}

static void check_rows(tr_jnode root)
{
	static const struct tr_col cols[] = {
		{ "A", "a", TR_CELL_TEXT },  { "B", "b", TR_CELL_HASH },  { "C", "c", TR_CELL_TIME },
		{ "D", "d", TR_CELL_STATE }, { "E", "e", TR_CELL_COUNT }, { "F", "f", TR_CELL_YES },
	};
	tr_auto(tr_buf_done) struct tr_buf table = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf lines = TR_BUF_INIT;
	const tr_jnode rows[] = { root, tr_json_get(root, "a"), tr_json_at(root, 0), NULL };
	size_t newlines = 0;

	tr_out_table(&table, cols, TR_ARRAY_LEN(cols), rows, TR_ARRAY_LEN(rows), &(struct tr_out_look){ 0 });
	tr_out_lines(&lines, cols, TR_ARRAY_LEN(cols), root, false, 0);
	check(&table);
	check(&lines);
	for (size_t i = 0; i < table.n; i++)
		newlines += table.p[i] == '\n';
	if (newlines != TR_ARRAY_LEN(rows) + 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf problem = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err err;

	tr_out_escape(&text, tr_view(data, size));
	check(&text);
	tr_out_problem(&problem, 400, tr_view(data, size));
	check(&problem);
	if (tr_json_parse(tr_view(data, size), &doc, &err) == TR_OK)
		check_rows(tr_json_root(doc));
	return 0;
}
