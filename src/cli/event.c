/* SPDX-License-Identifier: Apache-2.0 */
/* What was recorded, of all agents and of nobody's: refused messages, changes, restarts. */
#include "cli/api.h"

#include "base/clock.h"

#define PAGE_MAX 500 /* the server's maximum */

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "SEQ", "seq", TR_CELL_COUNT },      { "WHEN", "time", TR_CELL_TIME },
		{ "SEV", "severity", TR_CELL_STATE }, { "KIND", "kind", TR_CELL_TEXT },
		{ "AGENT", "agent", TR_CELL_TEXT },   { "FROM", "source", TR_CELL_TEXT },
		{ "DETAIL", "detail", TR_CELL_TEXT },
	};
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT), *agent = tr_cli_opt(c, TR_OPT_NODE);
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_list l = { .member = "events", .cols = cols, .n = TR_ARRAY_LEN(cols), .limit = 20, .page = PAGE_MAX,
			     .drop = "detail source" };

	if (limit && (!tr_cli_number(limit, &l.limit) || l.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	if (agent && !tr_cli_id(agent, "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&path, "/api/v1/events");
	tr_cli_query(&path, "agent", agent);
	tr_cli_query(&path, "kind", tr_cli_opt(c, TR_OPT_KIND));
	l.path = tr_buf_cstr(&path);
	return tr_list_run(c, &l);
}

static int show(struct tr_cli *c)
{
	static const struct tr_col lines[] = {
		{ "event", "seq", TR_CELL_COUNT },     { "when", "time", TR_CELL_TIME },
		{ "severity", "severity", TR_CELL_STATE }, { "kind", "kind", TR_CELL_TEXT },
		{ "agent", "agent", TR_CELL_TEXT },    { "sent from", "source", TR_CELL_TEXT },
		{ "detail", "detail", TR_CELL_TEXT },  { "message (base64)", "evidence", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	uint64_t seq;
	int rc;

	if (!tr_cli_number(c->args[0], &seq))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "events are named by their number: see troth event list");
	tr_buf_addf(&path, "/api/v1/events/%llu", (unsigned long long)seq);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_lines(&b, lines, TR_ARRAY_LEN(lines), tr_json_root(answer), c->colour, tr_now_ms());
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option list_options[] = {
	{ "agent", TR_OPT_NODE, "ID", 0, "only those that name this agent", 1 },
	{ "kind", TR_OPT_KIND, "WORD", 0, "only of this kind: verdict_changed, replay, relayed, forked, ...", 1 },
	{ "limit", 'n', "N", 0, "the newest N (default 20)", 1 },
	TR_CLI_WATCH,
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show the newest events, of all agents\nExample: troth event list --kind replay -n 5", list_options,
	  list },
	{ "show", "SEQ", 1, 1, "show one event with the message that caused it, as it came", NULL, show },
};
const struct tr_noun tr_noun_event = { "event", "what happened to agents, and what was sent in their names", verbs,
				       TR_ARRAY_LEN(verbs) };
