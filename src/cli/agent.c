/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet: who is in, who is heard, who must go. */
#include "cli/api.h"

#include "base/clock.h"

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "AGENT", "id", TR_CELL_TEXT },	    { "STATE", "state", TR_CELL_STATE },
		{ "REACH", "reachability", TR_CELL_STATE }, { "LAST SEEN", "last_seen", TR_CELL_TIME },
		{ "BEATS", "heartbeats", TR_CELL_COUNT },   { "VERSION", "version", TR_CELL_TEXT },
		{ "BINARY", "binary_hash", TR_CELL_HASH },  { "SAME", "binary_unchanged", TR_CELL_YES },
		{ "VERDICT", "verdict", TR_CELL_STATE },    { "TIER", "tier", TR_CELL_TEXT },
		{ "PARTITION", "partition", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_word("--state", tr_cli_opt(c, TR_OPT_STATE), "active revoked removed"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&path, "/api/v1/agents?limit=500");
	tr_cli_query(&path, "state", tr_cli_opt(c, TR_OPT_STATE));
	tr_cli_query(&path, "partition", tr_cli_opt(c, TR_OPT_PARTITION));
	return tr_list_run(c, &(struct tr_list){ .path = tr_buf_cstr(&path), .member = "agents", .cols = cols,
						 .n = TR_ARRAY_LEN(cols),
						 .drop = "heartbeats partition binary_hash version tier" });
}

static int show(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "agent", "id", TR_CELL_TEXT },
		{ "state", "state", TR_CELL_STATE },
		{ "reachability", "reachability", TR_CELL_STATE },
		{ "last seen", "last_seen", TR_CELL_TIME },
		{ "heartbeats", "heartbeats", TR_CELL_COUNT },
		{ "clock skew (ms)", "clock_skew_ms", TR_CELL_COUNT },
		{ "partition", "partition", TR_CELL_TEXT },
		{ "type", "agent_type", TR_CELL_TEXT },
		{ "enrolled", "enrolled_at", TR_CELL_TIME },
		{ "from", "source", TR_CELL_TEXT },
		{ "by token", "token_id", TR_CELL_TEXT },
		{ "form of claim", "form", TR_CELL_TEXT },
		{ "verdict", "verdict", TR_CELL_STATE },
		{ "trust tier", "tier", TR_CELL_TEXT },
		{ "release", "release_name", TR_CELL_TEXT },
		{ "version", "version", TR_CELL_TEXT },
		{ "platform", "platform", TR_CELL_TEXT },
		{ "binary sha256", "binary_hash", TR_CELL_HASH },
		{ "vouched by key", "vouched_by", TR_CELL_HASH },
		{ "running now", "running_hash", TR_CELL_HASH },
		{ "running version", "running_version", TR_CELL_TEXT },
		{ "binary unchanged", "binary_unchanged", TR_CELL_YES },
		{ "device key", "key_id", TR_CELL_HASH },
		{ "key type", "key_type", TR_CELL_TEXT },
		{ "certificate", "cert_serial", TR_CELL_TEXT },
		{ "certificate ends", "cert_not_after", TR_CELL_TIME },
		{ "ended", "ended_at", TR_CELL_TIME },
		{ "reason", "end_reason", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int rc;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s", c->args[0]);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_lines(&b, cols, TR_ARRAY_LEN(cols), tr_json_root(answer), c->colour, tr_now_ms());
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int revoke_one(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s/revoke", c->args[0]);
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	return tr_api_do(c, "POST", &path, &body, "agent", "is revoked: its certificate and key are refused from now on");
}

static int remove_agent(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s", c->args[0]);
	tr_cli_query(&path, "reason", tr_cli_opt(c, TR_OPT_REASON));
	return tr_api_do(c, "DELETE", &path, NULL, "agent", "is removed; its id is never given to another");
}

static const struct argp_option list_options[] = {
	{ "state", TR_OPT_STATE, "STATE", 0, "only active, revoked or removed ones", 1 },
	{ "partition", TR_OPT_PARTITION, "NAME", 0, "only those of this partition", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option reason_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the agent and in the audit log", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "list", NULL, 0, 0, "show the fleet", list_options, list },
	{ "show", "ID", 1, 1, "show everything about one agent", NULL, show },
	{ "revoke", "ID", 1, 1, "refuse this agent and its key from now on", reason_options, revoke_one },
	{ "remove", "ID", 1, 1, "revoke it and take it out of the fleet; the id stays used", reason_options, remove_agent },
};
const struct tr_noun tr_noun_agent = { "agent", "the agents of the fleet", verbs, TR_ARRAY_LEN(verbs) };
