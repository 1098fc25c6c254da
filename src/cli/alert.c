/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts: what is wrong now, what to do about it, and who has taken it. */
#include "cli/api.h"

#include "base/clock.h"

static const struct tr_col cols[] = {
	{ "ALERT", "id", TR_CELL_TEXT },	  { "SEV", "severity", TR_CELL_STATE },
	{ "STATE", "state", TR_CELL_STATE },	  { "KIND", "kind", TR_CELL_TEXT },
	{ "SUBJECT", "subject", TR_CELL_TEXT },	  { "SINCE", "opened_at", TR_CELL_TIME },
	{ "TIMES", "count", TR_CELL_COUNT },	  { "BY", "acked_by", TR_CELL_TEXT },
	{ "SUMMARY", "summary", TR_CELL_TEXT },
};
#define DROP "count acked_by kind summary"

/* The open ones first, worst first; then those that are over, newest first. */
static int list_all(struct tr_cli *c, struct tr_list *open, struct tr_list *over)
{
	tr_auto(tr_rows_done) struct tr_rows a = { 0 };
	tr_auto(tr_rows_done) struct tr_rows z = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int rc = tr_list_fetch(c, open, &a);

	if (!rc)
		rc = tr_list_fetch(c, over, &z);
	if (rc)
		return rc;
	if (c->json) {
		tr_buf_adds(&b, "{\"alerts\":[");
		for (size_t i = 0; i < a.n + z.n; i++) {
			tr_buf_adds(&b, i ? "," : "");
			tr_json_dump(i < a.n ? a.rows[i] : z.rows[i - a.n], &b);
		}
		tr_buf_addf(&b, "],\"total\":%zu}\n", a.n + z.n);
	} else if (c->quiet) {
		for (size_t i = 0; i < a.n + z.n; i++) {
			tr_out_cell(&b, tr_json_get(i < a.n ? a.rows[i] : z.rows[i - a.n], "id"), TR_CELL_TEXT, true, 0);
			tr_buf_adds(&b, "\n");
		}
	} else {
		const struct tr_out_look look = { c->colour, tr_out_screen(), DROP, tr_now_ms() };

		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), a.rows, a.n, &look);
		tr_buf_adds(&b, "\n");
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), z.rows, z.n, &look);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int list(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf past = TR_BUF_INIT;
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT);
	struct tr_list open = { .member = "alerts", .cols = cols, .n = TR_ARRAY_LEN(cols), .drop = DROP };
	struct tr_list over = open;

	over.limit = 50;
	over.page = 500;
	if (!tr_cli_word("--severity", tr_cli_opt(c, TR_OPT_SEVERITY), "1 2 3 4 5"))
		return TR_CLI_EXIT_USAGE;
	if (limit && (!tr_cli_number(limit, &over.limit) || over.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	tr_buf_adds(&path, "/api/v1/alerts?limit=500");
	tr_cli_query(&path, "severity", tr_cli_opt(c, TR_OPT_SEVERITY));
	open.path = tr_buf_cstr(&path);
	if (!tr_cli_opt(c, TR_OPT_ALL))
		return tr_list_run(c, &open);
	tr_buf_adds(&past, "/api/v1/alerts?state=resolved");
	tr_cli_query(&past, "severity", tr_cli_opt(c, TR_OPT_SEVERITY));
	over.path = tr_buf_cstr(&past);
	return list_all(c, &open, &over);
}

static int show(struct tr_cli *c)
{
	static const struct tr_col lines[] = {
		{ "alert", "id", TR_CELL_TEXT },	 { "severity", "severity", TR_CELL_STATE },
		{ "state", "state", TR_CELL_STATE },	 { "kind", "kind", TR_CELL_TEXT },
		{ "subject", "subject", TR_CELL_TEXT },	 { "what", "summary", TR_CELL_TEXT },
		{ "what to do", "action", TR_CELL_TEXT }, { "cause", "cause", TR_CELL_TEXT },
		{ "since", "opened_at", TR_CELL_TIME },	 { "last change", "updated_at", TR_CELL_TIME },
		{ "times raised", "count", TR_CELL_COUNT }, { "reminders", "escalation", TR_CELL_COUNT },
		{ "acknowledged", "acked_at", TR_CELL_TIME }, { "by", "acked_by", TR_CELL_TEXT },
		{ "resolved", "resolved_at", TR_CELL_TIME }, { "why", "resolved_why", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	if (!tr_cli_id(c->args[0], "alert id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/alerts/%s", c->args[0]);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_lines(&b, lines, TR_ARRAY_LEN(lines), tr_json_root(answer), c->colour, tr_now_ms());
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int change(struct tr_cli *c, const char *verb, const char *done)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "alert id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/alerts/%s/%s", c->args[0], verb);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	return tr_api_do(c, "POST", &path, &body, "alert", done);
}

static int ack(struct tr_cli *c)
{
	return change(c, "ack", "is yours: no more reminders; it stays until the cause is gone");
}

static int resolve(struct tr_cli *c)
{
	return tr_cli_reason(c) ? change(c, "resolve", "is closed; it opens again if its cause comes back") : TR_CLI_EXIT_USAGE;
}

static const struct argp_option list_options[] = {
	{ "all", TR_OPT_ALL, 0, 0, "also the newest of those that are over", 1 },
	{ "severity", TR_OPT_SEVERITY, "N", 0, "only of this severity and worse: 1 act now, 2 today, 3 look, 4 note, 5 trace", 1 },
	{ "limit", 'n', "N", 0, "with --all: how many that are over (default 50)", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option ack_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "what is being done: kept in the audit log", 1 },
	{ 0 },
};
static const struct argp_option resolve_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the alert and in the audit log; needed", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show what is open, worst first\nExample: troth alert list --severity 2", list_options, list },
	{ "show", "ID", 1, 1, "show one alert and what to do about it", NULL, show },
	{ "ack", "ID", 1, 1, "take it: stops the reminders\nExample: troth alert ack 3fa94c0d11e2 --reason \"on it\"",
	  ack_options, ack },
	{ "resolve", "ID", 1, 1,
	  "close it by hand\nExample: troth alert resolve 3fa94c0d11e2 --reason \"host was rebuilt\"", resolve_options, resolve },
};
const struct tr_noun tr_noun_alert = { "alert", "what is wrong, and who has taken it", verbs, TR_ARRAY_LEN(verbs) };
