/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment tokens: what a new host needs to be let in. */
#include "cli/api.h"

#include "base/clock.h"

static TR_RC fields(const struct tr_cli *c, struct tr_buf *body, struct tr_err *err)
{
	const char *uses = tr_cli_opt(c, TR_OPT_USES), *ttl = tr_cli_opt(c, TR_OPT_TTL);
	uint64_t v;

	tr_buf_adds(body, "{");
	if (uses) {
		if (!tr_cli_number(uses, &v) || v == 0)
			return tr_err_set(err, TR_E_INVALID, "--uses takes a number, 1 or more", "%s", uses);
		tr_cli_put_number(body, "max_uses", v);
	}
	if (ttl) {
		if (!tr_cli_duration(ttl, &v) || v == 0)
			return tr_err_set(err, TR_E_INVALID, "--ttl takes a time such as 30m, 1h or 7d", "%s", ttl);
		tr_cli_put_number(body, "ttl_s", v);
	}
	tr_cli_put(body, "partition", tr_cli_opt(c, TR_OPT_PARTITION));
	tr_cli_put(body, "agent_type", tr_cli_opt(c, TR_OPT_TYPE));
	tr_cli_put(body, "note", tr_cli_opt(c, TR_OPT_NOTE));
	tr_buf_adds(body, "}");
	return tr_buf_check(body, err);
}

static void put(struct tr_buf *b, tr_jnode n, bool alone)
{
	tr_out_cell(b, n, alone ? TR_CELL_TEXT : TR_CELL_TIME, alone, tr_now_ms());
}

/* Two lines to copy to the new host, and one for later. */
static void explain(tr_jnode a, struct tr_buf *b)
{
	int64_t uses = 0;
	tr_jnode record = tr_json_get(a, "record"), servers = tr_json_get(a, "servers");

	put(b, tr_json_get(a, "token"), true);
	tr_buf_adds(b, "\n\nToken ");
	put(b, tr_json_get(record, "id"), true);
	tr_buf_adds(b, ": admits ");
	put(b, tr_json_get(record, "max_uses"), true);
	tr_buf_adds(b, tr_json_int(tr_json_get(record, "max_uses"), &uses) && uses == 1 ? " agent of type " : " agents of type ");
	put(b, tr_json_get(record, "agent_type"), true);
	tr_buf_adds(b, " into partition ");
	put(b, tr_json_get(record, "partition"), true);
	tr_buf_adds(b, ", ends ");
	put(b, tr_json_get(record, "expires_at"), false);
	tr_buf_adds(b, ". It is shown only now.\n\nOn the new host:\n  troth-agent init\n  troth-agent enroll --server ");
	for (size_t i = 0; i < tr_json_len(servers); i++) {
		if (i)
			tr_buf_adds(b, ",");
		put(b, tr_json_at(servers, i), true);
	}
	tr_buf_adds(b, " --token ");
	put(b, tr_json_get(a, "token"), true);
	tr_buf_adds(b, "\nand to keep it running:\n  systemctl enable --now troth-agent\n");
}

static int create(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	struct tr_err err = { 0 };
	int rc;

	if (fields(c, &body, &err))
		return tr_cli_err(TR_CLI_EXIT_USAGE, &err);
	rc = tr_api_call(c, "POST", "/api/v1/tokens", tr_buf_view(&body), &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	if (c->quiet) {
		put(&b, tr_json_get(tr_json_root(answer), "token"), true);
		tr_buf_adds(&b, "\n");
	} else {
		explain(tr_json_root(answer), &b);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "ID", "id", TR_CELL_TEXT },		 { "STATE", "state", TR_CELL_STATE },
		{ "USES", "uses", TR_CELL_COUNT },	 { "OF", "max_uses", TR_CELL_COUNT },
		{ "EXPIRES", "expires_at", TR_CELL_TIME }, { "PARTITION", "partition", TR_CELL_TEXT },
		{ "TYPE", "agent_type", TR_CELL_TEXT },	 { "CREATED", "created_at", TR_CELL_TIME },
		{ "BY", "created_by", TR_CELL_TEXT },	 { "ONLY FOR", "for_agent", TR_CELL_TEXT },
		{ "NOTE", "note", TR_CELL_TEXT },
	};

	return tr_list_run(c, &(struct tr_list){ .path = "/api/v1/tokens", .member = "tokens", .cols = cols,
						 .n = TR_ARRAY_LEN(cols), .drop = "agent_type created_by created_at for_agent" });
}

static int revoke_one(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "token id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/tokens/%s", c->args[0]);
	return tr_api_do(c, "DELETE", &path, NULL, "token", "is revoked: it admits nobody any more");
}

static const struct argp_option create_options[] = {
	{ "uses", TR_OPT_USES, "N", 0, "how many agents it admits (default 1)", 1 },
	{ "ttl", TR_OPT_TTL, "TIME", 0, "how long it works: 30m, 1h (default), 7d; at most 90 days", 1 },
	{ "partition", TR_OPT_PARTITION, "NAME", 0, "partition of the agents it admits (default \"default\")", 1 },
	{ "type", TR_OPT_TYPE, "NAME", 0, "type of the agents it admits (default \"agent\")", 1 },
	{ "note", TR_OPT_NOTE, "TEXT", 0, "what it is for", 1 },
	{ 0 },
};
static const struct argp_option list_options[] = { TR_CLI_WATCH, { 0 } };

static const struct tr_verb verbs[] = {
	{ "create", NULL, 0, 0, "make an enrolment token and show how to use it; with -q only the token", create_options,
	  create },
	{ "list", NULL, 0, 0, "show all tokens (never their secrets)", list_options, list },
	{ "revoke", "ID", 1, 1, "end a token at once; agents it admitted stay", NULL, revoke_one },
};
const struct tr_noun tr_noun_token = { "token", "enrolment tokens", verbs, TR_ARRAY_LEN(verbs) };
