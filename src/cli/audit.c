/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's end, oldest first; with --follow for as long as it is watched. */
#include "cli/api.h"

#include <stdio.h>

#define PAGE_MAX 500 /* the server's maximum */
#define FOLLOW_MS 1000

static void put_text(struct tr_buf *b, struct tr_buf *text, int width)
{
	int pad = width - (int)tr_out_width(tr_buf_view(text));

	tr_buf_addf(b, "%s%*s", text->n ? tr_buf_cstr(text) : "-", pad - (text->n == 0) > 0 ? pad - (text->n == 0) : 0, "");
	tr_buf_adds(b, "  ");
}

static void put(struct tr_buf *b, tr_jnode row, const char *member, int width)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint8_t hash[32];

	tr_out_cell(&text, tr_json_get(row, member), TR_CELL_TEXT, true, 0);
	/* Keys and binaries are named by hashes: their first digits, as in tables. */
	if (tr_cli_fingerprint(tr_buf_cstr(&text), hash))
		text.n = 12;
	put_text(b, &text, width);
}

/* The reason, after what was ordered or what became of a key: without these, half of such a line is missing. */
static void put_reason(struct tr_buf *b, tr_jnode row, int width)
{
	static const char *const what[] = { "type", "to" };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_jnode detail = tr_json_get(row, "detail");
	struct tr_view v;
	bool given = tr_json_str(tr_json_get(row, "reason"), &v) && v.n;

	for (size_t i = 0; i < TR_ARRAY_LEN(what); i++)
		if (tr_json_str(tr_json_get(detail, what[i]), &v) && v.n && !text.n)
			tr_out_cell(&text, tr_json_get(detail, what[i]), TR_CELL_TEXT, true, 0);
	if (given || (tr_json_str(tr_json_get(detail, "reason"), &v) && v.n)) {
		tr_buf_adds(&text, text.n ? ": " : "");
		tr_out_cell(&text, tr_json_get(given ? row : detail, "reason"), TR_CELL_TEXT, true, 0);
	}
	put_text(b, &text, width);
}

/* Fixed columns, because lines that come later must stand below lines that are printed already. */
static void put_line(const struct tr_cli *c, tr_jnode row, struct tr_buf *b)
{
	struct tr_view outcome = { 0 };
	const char *on;

	if (c->json) {
		tr_json_dump(row, b);
		tr_buf_adds(b, "\n");
		return;
	}
	put(b, row, "seq", 5);
	put(b, row, "time", 24);
	put(b, row, "actor", 18);
	put(b, row, "action", 18);
	(void)tr_json_str(tr_json_get(row, "outcome"), &outcome);
	on = c->colour ? tr_out_colour(outcome) : "";
	tr_buf_adds(b, on);
	put(b, row, "outcome", 14);
	tr_buf_adds(b, *on ? "\033[0m" : "");
	put(b, row, "object", 20);
	put_reason(b, row, 16);
	put(b, row, "source", 0);
	b->n -= b->failed ? 0 : 2; /* nothing follows the last column */
	tr_buf_adds(b, "\n");
}

static int show(struct tr_cli *c, const struct tr_list *l, bool newest_first, uint64_t *last)
{
	tr_auto(tr_rows_done) struct tr_rows rows = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int rc = tr_list_fetch(c, l, &rows);

	for (size_t i = 0; !rc && i < rows.n; i++) {
		tr_jnode row = rows.rows[newest_first ? rows.n - 1 - i : i];
		int64_t seq;

		put_line(c, row, &b);
		if (tr_json_int(tr_json_get(row, "seq"), &seq))
			*last = (uint64_t)seq;
	}
	return rc ? rc : tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int tail(struct tr_cli *c)
{
	const char *count = tr_cli_opt(c, TR_OPT_LIMIT);
	const struct timespec pause = { .tv_sec = FOLLOW_MS / 1000 };
	struct tr_list l = { .path = "/api/v1/audit", .member = "audit", .limit = 20, .page = PAGE_MAX };
	uint64_t last = 0;
	int rc;

	if (count && (!tr_cli_number(count, &l.limit) || l.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "-n takes a number, 1 or more");
	rc = show(c, &l, true, &last);
	if (rc || !tr_cli_opt(c, TR_OPT_FOLLOW))
		return rc;
	for (l.page = 0;;) {
		char path[64];

		(void)nanosleep(&pause, NULL);
		(void)snprintf(path, sizeof(path), "/api/v1/audit?limit=%d&after=%llu", PAGE_MAX, (unsigned long long)last);
		l.path = path;
		rc = show(c, &l, last == 0, &last);
		/* Following outlives a restart of the server. */
		if (rc && rc != TR_CLI_EXIT_UNREACHABLE)
			return rc;
	}
}

static const struct argp_option options[] = {
	{ "lines", 'n', "N", 0, "how many of the newest entries (default 20)", 1 },
	{ "follow", 'f', 0, 0, "keep showing new ones until interrupted", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "tail", NULL, 0, 0, "show the newest entries, oldest first; with -o json one object per line", options, tail },
};
const struct tr_noun tr_noun_audit = { "audit", "what was done, and by whom", verbs, TR_ARRAY_LEN(verbs) };
