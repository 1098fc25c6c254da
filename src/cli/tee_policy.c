/* SPDX-License-Identifier: Apache-2.0 */
/* Policies for evidence on the server, tried out before they are in force; and the collateral that they need. */
#include "cli/verdict.h"

#include "base/clock.h"
#include "base/file.h"
#include "signed/collateral.h"

#include <stdio.h>

#define POLICY_MAX 65536

static int read_text(const char *path, struct tr_buf *ret)
{
	struct tr_err err = { 0 };

	if (tr_file_read(path, POLICY_MAX, ret, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	return TR_CLI_EXIT_OK;
}

static int body_of(struct tr_cli *c, struct tr_buf *body)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	int rc = read_text(c->args[0], &text);

	if (rc)
		return rc;
	tr_buf_adds(body, "{\"text\":");
	tr_json_put_str(body, tr_buf_view(&text));
	tr_buf_adds(body, "}");
	return TR_CLI_EXIT_OK;
}

static int add(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	struct tr_view name = { 0 };
	int64_t version = 0;
	int rc = body_of(c, &body);

	tr_buf_adds(&path, "/api/v1/attestation-policies");
	if (!rc)
		rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	(void)tr_json_str(tr_json_get(tr_json_root(answer), "name"), &name);
	(void)tr_json_int(tr_json_get(tr_json_root(answer), "version"), &version);
	tr_out_escape(&b, name);
	if (c->quiet)
		tr_buf_addf(&b, " %lld\n", (long long)version);
	else
		tr_buf_addf(&b, " version %lld is a draft; put it in force: troth attestation-policy activate %.*s\n",
			    (long long)version, TR_VIEW_FMT(name));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "NAME", "name", TR_CELL_TEXT },	    { "VERSION", "version", TR_CELL_COUNT },
		{ "STATE", "state", TR_CELL_STATE },	    { "AGENT TYPES", "agent_types", TR_CELL_TEXT },
		{ "ADDED", "created_at", TR_CELL_TIME },    { "IN FORCE SINCE", "activated_at", TR_CELL_TIME },
		{ "ENDED", "ended_at", TR_CELL_TIME },	    { "BY", "created_by", TR_CELL_TEXT },
	};
	const struct tr_list l = { .path = "/api/v1/attestation-policies", .member = "attestation_policies", .cols = cols,
				   .n = TR_ARRAY_LEN(cols), .drop = "created_by ended_at created_at" };

	return tr_list_run(c, &l);
}

static int show(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	const char *want = tr_cli_opt(c, TR_OPT_VERSION);
	struct tr_view text = { 0 }, state;
	uint64_t wanted = 0;
	tr_jnode versions;
	int64_t version;
	int rc;

	if (!tr_cli_id(c->args[0], "policy"))
		return TR_CLI_EXIT_USAGE;
	if (want && !tr_cli_number(want, &wanted))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--version takes a number");
	tr_buf_addf(&path, "/api/v1/attestation-policies/%s", c->args[0]);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	versions = tr_json_get(tr_json_root(answer), "versions");
	/* Without --version the one in force, or else the newest. */
	for (size_t i = 0; i < tr_json_len(versions); i++) {
		tr_jnode v = tr_json_at(versions, i);

		if (!tr_json_int(tr_json_get(v, "version"), &version) || !tr_json_str(tr_json_get(v, "state"), &state) ||
		    (want && (uint64_t)version != wanted))
			continue;
		(void)tr_json_str(tr_json_get(v, "text"), &text);
		if (!want && tr_view_is(state, "active"))
			break;
	}
	if (!text.n)
		return tr_cli_fail(TR_CLI_EXIT_REFUSED, "%s has no such version", c->args[0]);
	/* A policy is text of many lines: each is made harmless by itself. */
	for (size_t i = 0, from = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != '\n')
			continue;
		tr_out_escape(&b, tr_view(text.p + from, i - from));
		if (i < text.n || i > from)
			tr_buf_adds(&b, "\n");
		from = i + 1;
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int change(struct tr_cli *c, const char *verb, const char *done)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT;
	const char *want = tr_cli_opt(c, TR_OPT_VERSION);
	uint64_t version = 0;

	if (!tr_cli_id(c->args[0], "policy"))
		return TR_CLI_EXIT_USAGE;
	if (want && (!tr_cli_number(want, &version) || !version))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--version takes a number, 1 or more");
	tr_buf_addf(&body, "{\"version\":%llu,\"force\":%s", (unsigned long long)version,
		    tr_cli_opt(c, TR_OPT_FORCE) ? "true" : "false");
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(&body, "}");
	tr_buf_addf(&path, "/api/v1/attestation-policies/%s/%s", c->args[0], verb);
	return tr_api_do(c, "POST", &path, &body, "attestation policy", done);
}

static int activate(struct tr_cli *c)
{
	return change(c, "activate", "is in force");
}

static int retire(struct tr_cli *c)
{
	return change(c, "retire", "is retired");
}

int tr_tee_policy_try(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "AGENT", "agent", TR_CELL_WHOLE }, { "WOULD FAIL WITH", "code", TR_CELL_TEXT }, { "NOW", "state", TR_CELL_STATE },
	};
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int64_t pass = 0, fail = 0, none = 0, skipped = 0;
	tr_jnode rows[100], list, root;
	size_t n = 0;
	int rc = body_of(c, &body);

	tr_buf_adds(&path, "/api/v1/attestation-policy-tests");
	if (!rc)
		rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc)
		return rc;
	root = tr_json_root(answer);
	(void)tr_json_int(tr_json_get(root, "would_pass"), &pass);
	(void)tr_json_int(tr_json_get(root, "would_fail_count"), &fail);
	(void)tr_json_int(tr_json_get(root, "no_evidence"), &none);
	(void)tr_json_int(tr_json_get(root, "skipped"), &skipped);
	if (c->json) {
		rc = tr_out_json(root);
		return rc ? rc : fail ? TR_CLI_EXIT_REFUSED : TR_CLI_EXIT_OK;
	}
	tr_buf_addf(&b, "would pass %lld agents, would fail %lld", (long long)pass, (long long)fail);
	if (none)
		tr_buf_addf(&b, "; %lld have no evidence", (long long)none);
	if (skipped)
		tr_buf_addf(&b, "; %lld were not looked at", (long long)skipped);
	tr_buf_adds(&b, "\n");
	list = tr_json_get(root, "would_fail");
	for (; n < tr_json_len(list) && n < TR_ARRAY_LEN(rows); n++)
		rows[n] = tr_json_at(list, n);
	if (n) {
		struct tr_out_look look = { .colour = c->colour, .screen = tr_out_screen(), .now_ms = tr_now_ms() };

		tr_buf_adds(&b, "\n");
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n, &look);
	}
	if ((int64_t)n < fail)
		tr_buf_addf(&b, "… and %lld more\n", (long long)fail - (long long)n);
	if (!tr_out_print(&b))
		return TR_CLI_EXIT_FILE;
	return fail ? TR_CLI_EXIT_REFUSED : TR_CLI_EXIT_OK;
}

int tr_collateral_push(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf file = TR_BUF_INIT, answer = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err = { 0 };
	int64_t version = 0;
	int rc;

	if (tr_file_read(c->args[0], TR_COLLATERAL_MAX, &file, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (!file.n || file.p[0] != 0xd2)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "%s is not signed: troth collateral sign", c->args[0]);
	rc = tr_api_raw(c, "POST", "/api/v1/collateral", "application/cose", tr_buf_view(&file), &answer);
	if (rc || c->quiet)
		return rc;
	if (tr_json_parse(tr_buf_view(&answer), &j, &err))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer is no JSON: is a proxy in between?");
	if (c->json)
		return tr_out_json(tr_json_root(j));
	(void)tr_json_int(tr_json_get(tr_json_root(j), "version"), &version);
	tr_buf_addf(&b, "collateral version %lld is in force\n", (long long)version);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct argp_option show_options[] = {
	{ "version", TR_OPT_VERSION, "N", 0, "this version (default: the one in force, or the newest)", 1 },
	{ 0 },
};
static const struct argp_option activate_options[] = {
	{ "version", TR_OPT_VERSION, "N", 0, "this version (default: the newest)", 1 },
	{ "force", TR_OPT_FORCE, 0, 0, "although agents would fail", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why, for the audit log; needed with --force", 1 },
	{ 0 },
};
static const struct argp_option retire_options[] = {
	{ "version", TR_OPT_VERSION, "N", 0, "this version (default: the one in force)", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why, for the audit log", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "add", "FILE", 1, 1, "bring in a policy (YAML or JSON) as a draft", NULL, add },
	{ "list", NULL, 0, 0, "show all policies for evidence and their versions", NULL, list },
	{ "show", "NAME", 1, 1, "show a policy's text", show_options, show },
	{ "test", "FILE", 1, 1,
	  "say which agents would pass and fail, by the evidence that they sent last\vExit code 1 when an agent would fail.", NULL,
	  tr_tee_policy_try },
	{ "activate", "NAME", 1, 1, "put a version in force; refused when agents would fail that are verified now",
	  activate_options, activate },
	{ "retire", "NAME", 1, 1, "take a policy out of force: no verdict is made or renewed by it", retire_options, retire },
};
const struct tr_noun tr_noun_attestation_policy = { "attestation-policy", "what evidence of TEEs and TPMs must show", verbs,
						    TR_ARRAY_LEN(verbs) };
