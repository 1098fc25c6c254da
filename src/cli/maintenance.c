/* SPDX-License-Identifier: Apache-2.0 */
/* Announced work: silence of an agent, a partition or the fleet is no alert meanwhile. */
#include "cli/api.h"

#include "base/clock.h"
#include "codec/text.h"

static bool put_when(const struct tr_cli *c, struct tr_buf *body, enum tr_opt opt, const char *name)
{
	const char *text = tr_cli_opt(c, opt);
	tr_auto(tr_buf_done) struct tr_buf when = TR_BUF_INIT;
	int64_t ms;

	if (!text)
		return true;
	if (!tr_cli_time(text, tr_now_ms(), &ms)) {
		(void)tr_cli_fail(TR_CLI_EXIT_USAGE,
				  "--%s takes a moment such as 2026-12-31T22:00:00Z, or a time from now such as 30m", name);
		return false;
	}
	tr_rfc3339_add(&when, ms);
	tr_cli_put(body, name, tr_buf_cstr(&when));
	return true;
}

static int add(struct tr_cli *c)
{
	const char *scope = c->args[0], *span = tr_cli_opt(c, TR_OPT_FOR);
	bool fleet = strcmp(scope, "fleet") == 0;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	uint64_t s;
	int rc;

	if (!tr_cli_word("SCOPE", scope, "agent partition fleet") || !tr_cli_reason(c))
		return TR_CLI_EXIT_USAGE;
	if (fleet && c->n_args == 2)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "the fleet needs no name");
	if (!fleet && c->n_args == 1)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "the name of the %s is missing", scope);
	if (!span == !tr_cli_opt(c, TR_OPT_UNTIL))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "how long? --for 2h, or --until 2026-12-31T22:00:00Z");
	if (!fleet && !tr_cli_id(c->args[1], "name"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "scope", scope);
	tr_cli_put(&body, "target", fleet ? NULL : c->args[1]);
	if (span) {
		if (!tr_cli_duration(span, &s) || s < 60 || s % 60)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--for takes whole minutes, such as 30m, 2h or 1d");
		tr_cli_put_number(&body, "minutes", s / 60);
	}
	if (!put_when(c, &body, TR_OPT_FROM, "from") || !put_when(c, &body, TR_OPT_UNTIL, "until"))
		return TR_CLI_EXIT_USAGE;
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	rc = tr_api_call(c, "POST", "/api/v1/maintenance", tr_buf_view(&body), &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_cell(&b, tr_json_get(tr_json_root(answer), "id"), TR_CELL_TEXT, true, 0);
	if (!c->quiet) {
		tr_buf_addf(&b, ": maintenance of %s%s%s until ", scope, fleet ? "" : " ", fleet ? "" : c->args[1]);
		tr_out_cell(&b, tr_json_get(tr_json_root(answer), "until_at"), TR_CELL_TIME, true, tr_now_ms());
		tr_buf_adds(&b, "; silence is no alert meanwhile, anything else still is");
	}
	tr_buf_adds(&b, "\n");
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "ID", "id", TR_CELL_TEXT },	       { "STATE", "state", TR_CELL_STATE },
		{ "SCOPE", "scope", TR_CELL_TEXT },    { "TARGET", "target", TR_CELL_TEXT },
		{ "FROM", "from_at", TR_CELL_TIME },   { "UNTIL", "until_at", TR_CELL_TIME },
		{ "BY", "created_by", TR_CELL_TEXT },  { "REASON", "reason", TR_CELL_TEXT },
	};

	return tr_list_run(c, &(struct tr_list){ .path = "/api/v1/maintenance", .member = "maintenance", .cols = cols,
						 .n = TR_ARRAY_LEN(cols), .drop = "created_by reason" });
}

static int end(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "maintenance id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/maintenance/%s", c->args[0]);
	tr_cli_query(&path, "reason", tr_cli_opt(c, TR_OPT_REASON));
	return tr_api_do(c, "DELETE", &path, NULL, "maintenance", "is over: silence is an alert again");
}

static const struct argp_option add_options[] = {
	{ "for", TR_OPT_FOR, "TIME", 0, "how long: 30m, 2h, 1d; at most 31 days", 1 },
	{ "from", TR_OPT_FROM, "TIME", 0, "from when on (default now)", 1 },
	{ "until", TR_OPT_UNTIL, "TIME", 0, "until when, instead of --for", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with it and in the audit log; needed", 1 },
	{ 0 },
};
static const struct argp_option end_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log", 1 },
	{ 0 },
};
static const struct argp_option list_options[] = { TR_CLI_WATCH, { 0 } };

static const struct tr_verb verbs[] = {
	{ "add", "SCOPE [NAME]", 1, 2,
	  "announce work on an agent, a partition or the fleet\n"
	  "Example: troth maintenance add partition lab --for 2h --reason \"switch replaced\"", add_options, add },
	{ "list", NULL, 0, 0, "show what is announced, running and over", list_options, list },
	{ "end", "ID", 1, 1, "end it early", end_options, end },
};
const struct tr_noun tr_noun_maintenance = { "maintenance", "announced work, during which silence is no alert", verbs,
					     TR_ARRAY_LEN(verbs) };
