/* SPDX-License-Identifier: Apache-2.0 */
/* One agent, asked why: its checks, its recorded events, its BPF snapshot. */
#include "cli/api.h"

#include "base/clock.h"

#define PAGE_MAX 500 /* the server's maximum */
#define CHECKS_MAX 64

static int fetch(struct tr_cli *c, const char *below, struct tr_json **ret)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s%s", c->args[0], below);
	return tr_api_send(c, "GET", &path, NULL, ret);
}

/* What exactly differs, one line each: "detached troth/shield: …". */
static void put_findings(struct tr_buf *b, tr_jnode findings)
{
	static const char *const members[] = { "finding", "pin", "expected", "seen" };
	static const char *const before[] = { "", " ", ": expected ", ", seen " };

	for (size_t i = 0; i < tr_json_len(findings); i++) {
		tr_jnode f = tr_json_at(findings, i);

		tr_buf_adds(b, "  found:     ");
		for (size_t k = 0; k < TR_ARRAY_LEN(members); k++) {
			tr_buf_adds(b, before[k]);
			tr_out_cell(b, tr_json_get(f, members[k]), TR_CELL_TEXT, true, 0);
		}
		tr_buf_adds(b, "\n");
	}
}

/* What is not as it should be, in full: the table cuts long cells. */
static void put_advice(struct tr_buf *b, tr_jnode checks)
{
	static const struct tr_col cols[] = {
		{ "  expected:", "expected", TR_CELL_TEXT },
		{ "  seen:", "seen", TR_CELL_TEXT },
		{ "  do:", "action", TR_CELL_TEXT },
	};
	bool any = false;

	for (size_t i = 0; i < tr_json_len(checks); i++) {
		tr_jnode check = tr_json_at(checks, i);
		struct tr_view action = { 0 };

		if (!tr_json_str(tr_json_get(check, "action"), &action) || action.n == 0)
			continue;
		any = true;
		tr_buf_adds(b, "\n");
		tr_out_cell(b, tr_json_get(check, "check"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, ": ");
		tr_out_cell(b, tr_json_get(check, "state"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, "\n");
		tr_out_lines(b, cols, TR_ARRAY_LEN(cols), check, false, 0);
		put_findings(b, tr_json_get(check, "findings"));
	}
	if (!any)
		tr_buf_adds(b, "\nNothing to do.\n");
}

int tr_agent_explain(struct tr_cli *c)
{
	static const struct tr_col head[] = {
		{ "agent", "id", TR_CELL_TEXT },
		{ "verdict", "verdict", TR_CELL_STATE },
		{ "last seen", "last_seen", TR_CELL_TIME },
		{ "partition", "partition", TR_CELL_TEXT },
		{ "maintenance", "in_maintenance", TR_CELL_YES },
	};
	static const struct tr_col cols[] = {
		{ "CHECK", "check", TR_CELL_TEXT },	  { "STATE", "state", TR_CELL_STATE },
		{ "SINCE", "since", TR_CELL_TIME },	  { "EXPECTED", "expected", TR_CELL_TEXT },
		{ "SEEN", "seen", TR_CELL_TEXT },	  { "TIER", "tier", TR_CELL_TEXT },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_jnode rows[CHECKS_MAX], a, checks;
	size_t n;
	int rc = fetch(c, "", &answer);

	if (rc)
		return rc;
	a = tr_json_root(answer);
	checks = tr_json_get(a, "checks");
	if (c->json)
		return tr_out_json(a);
	tr_out_lines(&b, head, TR_ARRAY_LEN(head), a, c->colour, tr_now_ms());
	n = tr_json_len(checks) < CHECKS_MAX ? tr_json_len(checks) : CHECKS_MAX;
	for (size_t i = 0; i < n; i++)
		rows[i] = tr_json_at(checks, i);
	tr_buf_adds(&b, "\n");
	tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n,
		     &(struct tr_out_look){ c->colour, tr_out_screen(), "tier expected seen", tr_now_ms() });
	put_advice(&b, checks);
	tr_agent_put_proof(&b, a, c->colour);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_agent_events(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "SEQ", "seq", TR_CELL_COUNT },     { "WHEN", "time", TR_CELL_TIME },
		{ "SEV", "severity", TR_CELL_STATE }, { "KIND", "kind", TR_CELL_TEXT },
		{ "FROM", "source", TR_CELL_TEXT },  { "DETAIL", "detail", TR_CELL_TEXT },
	};
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT);
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_list l = { .member = "events", .cols = cols, .n = TR_ARRAY_LEN(cols), .limit = 20, .page = PAGE_MAX,
			     .drop = "source detail" };

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	if (limit && (!tr_cli_number(limit, &l.limit) || l.limit == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	tr_buf_addf(&path, "/api/v1/agents/%s/events", c->args[0]);
	tr_cli_query(&path, "kind", tr_cli_opt(c, TR_OPT_KIND));
	l.path = tr_buf_cstr(&path);
	return tr_list_run(c, &l);
}

static int request_list(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;

	if (!tr_cli_id(c->args[0], "agent id"))
		return TR_CLI_EXIT_USAGE;
	tr_buf_addf(&path, "/api/v1/agents/%s/bpf/request", c->args[0]);
	return tr_api_do(c, "POST", &path, NULL, "agent", "is asked for its BPF list; it comes with a beat");
}

int tr_agent_bpf(struct tr_cli *c)
{
	static const struct tr_col head[] = {
		{ "agent", "agent", TR_CELL_TEXT },    { "status", "status", TR_CELL_STATE },
		{ "integrity", "integrity", TR_CELL_STATE }, { "kernel", "kernel", TR_CELL_TEXT },
		{ "digest now", "digest", TR_CELL_HASH }, { "known good", "good_digest", TR_CELL_HASH },
		{ "judged by release", "release", TR_CELL_TEXT },
	};
	static const struct tr_col cols[] = {
		{ "PIN", "pin", TR_CELL_TEXT },	      { "KIND", "kind", TR_CELL_TEXT },
		{ "NAME", "name", TR_CELL_TEXT },     { "TYPE", "type", TR_CELL_COUNT },
		{ "ATTACH", "attach", TR_CELL_STATE }, { "TAG", "tag", TR_CELL_HASH },
		{ "NORMALISED", "norm", TR_CELL_HASH }, { "OBJECT", "object", TR_CELL_HASH },
		{ "RELEASED OBJECT", "released_object", TR_CELL_HASH },
		{ "CONTENT", "content", TR_CELL_HASH }, { "FROZEN", "frozen", TR_CELL_YES },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_free) tr_jnode *rows = NULL;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_jnode a, items;
	int rc = tr_cli_opt(c, TR_OPT_REQUEST) ? request_list(c) : fetch(c, "/bpf", &answer);

	if (rc || !answer)
		return rc;
	a = tr_json_root(answer);
	items = tr_json_get(a, "items");
	if (c->json)
		return tr_out_json(a);
	tr_out_lines(&b, head, TR_ARRAY_LEN(head), a, c->colour, tr_now_ms());
	rows = calloc(tr_json_len(items) + 1, sizeof(*rows));
	if (!rows)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < tr_json_len(items); i++)
		rows[i] = tr_json_at(items, i);
	tr_buf_adds(&b, "\n");
	if (tr_json_len(items))
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, tr_json_len(items),
			     &(struct tr_out_look){ c->colour, tr_out_screen(), "frozen content object type norm name released_object", tr_now_ms() });
	else
		tr_buf_addf(&b, "No list was accepted yet; ask for it: troth agent bpf %s --request\n", c->args[0]);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
