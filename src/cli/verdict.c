/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verdict.h"

#include "base/clock.h"
#include "codec/text.h"

#include <stdio.h>

#define PAGE_MAX 500 /* the server's maximum */

bool tr_is_verdict_id(const char *text)
{
	uint8_t raw[8];

	return strlen(text) == 16 && tr_hex_get(tr_view_str(text), raw, 8);
}

int tr_verdict_list(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "ID", "id", TR_CELL_WHOLE },		 { "WHEN", "time", TR_CELL_TIME },
		{ "AGENT", "agent", TR_CELL_TEXT },	 { "KIND", "kind", TR_CELL_TEXT },
		{ "OUTCOME", "outcome", TR_CELL_STATE }, { "REASON", "reason", TR_CELL_TEXT },
		{ "TCB", "tcb_status", TR_CELL_TEXT },	 { "TIER", "tier", TR_CELL_TEXT },
		{ "POLICY", "policy", TR_CELL_TEXT },	 { "V", "policy_version", TR_CELL_COUNT },
		{ "FROM", "source", TR_CELL_TEXT },
	};
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT);
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_list l = { .member = "verdicts", .cols = cols, .n = TR_ARRAY_LEN(cols), .limit = 20, .page = PAGE_MAX,
			     .drop = "source policy_version tier tcb_status kind" };

	if (limit && (!tr_cli_number(limit, &l.limit) || l.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	if (!tr_cli_word("--outcome", tr_cli_opt(c, TR_OPT_OUTCOME), "verified failed"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&path, "/api/v1/verdicts");
	tr_cli_query(&path, "agent", tr_cli_opt(c, TR_OPT_NODE));
	tr_cli_query(&path, "outcome", tr_cli_opt(c, TR_OPT_OUTCOME));
	l.path = tr_buf_cstr(&path);
	return tr_list_run(c, &l);
}

int tr_verdict_fetch(struct tr_cli *c, struct tr_json **ret)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_is_verdict_id(c->args[0]))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "verdicts about evidence are named by 16 hex digits: see troth attestation list --evidence");
	tr_buf_addf(&path, "/api/v1/verdicts/%s", c->args[0]);
	return tr_api_send(c, "GET", &path, NULL, ret);
}

static void put_head(struct tr_buf *b, tr_jnode v, bool colour)
{
	static const struct tr_col cols[] = {
		{ "verdict", "id", TR_CELL_WHOLE },	      { "when", "time", TR_CELL_TIME },
		{ "agent", "agent", TR_CELL_TEXT },	      { "from", "source", TR_CELL_TEXT },
		{ "kind of evidence", "kind", TR_CELL_TEXT }, { "policy", "policy", TR_CELL_TEXT },
		{ "its version", "policy_version", TR_CELL_COUNT }, { "collateral", "bundle", TR_CELL_HASH },
		{ "verifier", "build", TR_CELL_TEXT },	      { "outcome", "outcome", TR_CELL_STATE },
		{ "reason", "reason", TR_CELL_TEXT },	      { "TCB", "tcb_status", TR_CELL_TEXT },
		{ "trust tier", "tier", TR_CELL_TEXT },	      { "good until", "expires_at", TR_CELL_TIME },
	};
	static const struct tr_col more[] = { { "reference values", "image", TR_CELL_TEXT } };
	bool simulated = false;

	tr_out_lines(b, cols, TR_ARRAY_LEN(cols), v, colour, tr_now_ms());
	tr_out_lines(b, more, TR_ARRAY_LEN(more), tr_json_get(v, "verdict"), colour, 0);
	(void)tr_json_bool(tr_json_get(tr_json_get(v, "verdict"), "simulated"), &simulated);
	if (simulated)
		tr_buf_adds(b, "\nSIMULATED: the root is one of a simulated TEE. This is no hardware.\n");
}

int tr_verdict_show(struct tr_cli *c)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int rc = tr_verdict_fetch(c, &answer);

	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	put_head(&b, tr_json_root(answer), c->colour);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static void put_text(struct tr_buf *b, const char *label, tr_jnode node)
{
	struct tr_view v;

	if (!tr_json_str(node, &v) || !v.n)
		return;
	tr_buf_addf(b, "        %s ", label);
	tr_out_escape(b, v);
	tr_buf_adds(b, "\n");
}

static void put_check(struct tr_buf *b, tr_jnode check, bool colour)
{
	struct tr_view name = { 0 }, question = { 0 };
	tr_auto(tr_buf_done) struct tr_buf left = TR_BUF_INIT;
	bool ok = false;

	(void)tr_json_bool(tr_json_get(check, "ok"), &ok);
	(void)tr_json_str(tr_json_get(check, "check"), &name);
	(void)tr_json_str(tr_json_get(check, "question"), &question);
	tr_out_escape(&left, name);
	tr_buf_addf(b, "  %s%-8s%s%-29s ", colour ? tr_out_colour(tr_view_str(ok ? "ok" : "FAILED")) : "", ok ? "ok" : "FAILED",
		    colour ? "\033[0m" : "", tr_buf_cstr(&left));
	tr_out_escape(b, question);
	tr_buf_adds(b, "\n");
	put_text(b, "expected:", tr_json_get(check, "expected"));
	put_text(b, "seen:    ", tr_json_get(check, "seen"));
	if (!ok)
		put_text(b, "to do:   ", tr_json_get(check, "remedy"));
}

int tr_verdict_explain(struct tr_cli *c)
{
	static const char *const questions[] = { "authentic", "current", "software", "fresh" };
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_jnode result, checks;
	int rc = tr_verdict_fetch(c, &answer);

	if (rc)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	result = tr_json_get(tr_json_get(tr_json_root(answer), "verdict"), "result");
	checks = tr_json_get(result, "checks");
	put_head(&b, tr_json_root(answer), c->colour);
	tr_buf_adds(&b, "\nIs it");
	for (size_t i = 0; i < TR_ARRAY_LEN(questions); i++) {
		struct tr_view v = TR_VIEW_LIT("?");

		(void)tr_json_str(tr_json_get(result, questions[i]), &v);
		tr_buf_addf(&b, "%s %s: ", i ? "," : "", questions[i]);
		tr_out_escape(&b, v);
	}
	tr_buf_adds(&b, "\n\nChecks, in the order they were made:\n");
	for (size_t i = 0; i < tr_json_len(checks); i++)
		put_check(&b, tr_json_at(checks, i), c->colour);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
