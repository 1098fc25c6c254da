/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to agents: what can be ordered, what was, and what became of it. */
#include "cli/command.h"

#include <stdio.h>

#include "base/clock.h"
#include "codec/text.h"

#define STATES "live over waiting pending sent received started done failed unknown refused expired cancelled"
#define PREFIX_MIN 8
#define LIST_DEFAULT 50

/* ---- types ---- */

/* The list is closed and built in: it is the same without a server. */
static int types(struct tr_cli *c)
{
	static const struct tr_col cols[] = {
		{ "TYPE", "type", TR_CELL_TEXT },      { "CLASS", "class", TR_CELL_TEXT }, { "KIND", "kind", TR_CELL_TEXT },
		{ "APPROVALS", "approvals_needed", TR_CELL_COUNT }, { "LIFE", "life", TR_CELL_TEXT },
		{ "TAKES", "takes", TR_CELL_TEXT },    { "WHAT IT DOES", "help", TR_CELL_WHOLE },
	};
	tr_auto(tr_buf_done) struct tr_buf j = TR_BUF_INIT, b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_jnode rows[TR_CMD_N], array;
	struct tr_err err = { 0 };
	size_t n = 0;

	tr_buf_adds(&j, "{\"types\":[");
	for (unsigned i = 0; i < TR_CMD_N; i++) {
		const struct tr_cmd_type *t = tr_cmd_type(i);
		tr_auto(tr_buf_done) struct tr_buf life = TR_BUF_INIT;

		if (!t || i == TR_CMD_CANCEL) /* ordered by its own verb */
			continue;
		tr_out_span(&life, t->lifetime_s);
		tr_buf_adds(&j, n++ ? ",{" : "{");
		tr_cli_put(&j, "type", t->name);
		tr_cli_put(&j, "class", tr_cmd_class_name(t->class));
		tr_cli_put(&j, "kind", tr_cmd_kind_name(t->kind));
		tr_cli_put_number(&j, "approvals_needed", tr_cmd_approvals(t->class));
		tr_cli_put_number(&j, "lifetime_s", t->lifetime_s);
		tr_cli_put(&j, "life", tr_buf_cstr(&life));
		tr_cli_put(&j, "takes", t->seconds ? "--seconds" : t->text ? "--text" : NULL);
		tr_cli_put(&j, "help", t->help);
		tr_buf_adds(&j, "}");
	}
	tr_buf_adds(&j, "]}");
	if (tr_buf_check(&j, &err) || tr_json_parse(tr_buf_view(&j), &doc, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	if (c->json)
		return tr_out_json(tr_json_root(doc));
	array = tr_json_get(tr_json_root(doc), "types");
	for (size_t i = 0; i < n; i++)
		rows[i] = tr_json_at(array, i);
	for (size_t i = 0; c->quiet && i < n; i++) {
		tr_out_cell(&b, tr_json_get(rows[i], "type"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(&b, "\n");
	}
	if (!c->quiet)
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n,
			     &(struct tr_out_look){ c->colour, tr_out_screen(), "life kind", tr_now_ms() });
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* ---- list ---- */

static const struct tr_col cols[] = {
	{ "COMMAND", "id", TR_CELL_HASH },	   { "AGENT", "agent", TR_CELL_TEXT },
	{ "TYPE", "type", TR_CELL_TEXT },	   { "STATE", "state", TR_CELL_STATE },
	{ "CODE", "code", TR_CELL_TEXT },	   { "ORDERED", "created_at", TR_CELL_TIME },
	{ "EXPIRES", "expires_at", TR_CELL_TIME }, { "ENDED", "ended_at", TR_CELL_TIME },
	{ "SEQ", "seq", TR_CELL_COUNT },	   { "BY", "created_by", TR_CELL_TEXT },
	{ "REASON", "reason", TR_CELL_TEXT },
};
#define DROP "seq reason created_by expires_at ended_at"

static bool filters(const struct tr_cli *c, const char *state, struct tr_buf *path)
{
	const char *type = tr_cli_opt(c, TR_OPT_TYPE);

	if (!tr_cli_word("--state", tr_cli_opt(c, TR_OPT_STATE), STATES))
		return false;
	if (type && tr_cmd_of(tr_view_str(type)) == TR_CMD_N) {
		(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "there is no command \"%s\"; see troth command types", type);
		return false;
	}
	tr_buf_adds(path, "/api/v1/commands");
	tr_cli_query(path, "state", state);
	tr_cli_query(path, "agent", tr_cli_opt(c, TR_OPT_AGENT));
	tr_cli_query(path, "type", type);
	tr_cli_query(path, "batch", tr_cli_opt(c, TR_OPT_BATCH));
	return true;
}

/* Those that are under way, then the newest of those that are over. */
struct both {
	const char *live, *over;
	uint64_t n;
};

static int fetch_both(struct tr_cli *c, const struct both *q, struct tr_rows *live, struct tr_rows *over)
{
	int rc = TR_CLI_EXIT_OK;

	if (q->live)
		rc = tr_list_fetch(c, &(struct tr_list){ .path = q->live, .member = "commands", .most = q->n }, live);
	if (!rc && q->over && live->n < q->n)
		rc = tr_list_fetch(c, &(struct tr_list){ .path = q->over, .member = "commands", .most = q->n - live->n }, over);
	return rc;
}

static int show_both(struct tr_cli *c, const void *arg, bool redraw)
{
	tr_auto(tr_rows_done) struct tr_rows live = { 0 }, over = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_free) tr_jnode *rows = NULL;
	size_t n;
	int rc = fetch_both(c, arg, &live, &over);

	if (rc)
		return rc;
	n = live.n + over.n;
	rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < n; i++)
		rows[i] = i < live.n ? live.rows[i] : over.rows[i - live.n];
	if (redraw)
		tr_buf_adds(&b, "\033[H\033[2J");
	if (c->json) {
		tr_buf_adds(&b, "{\"commands\":[");
		for (size_t i = 0; i < n; i++) {
			tr_buf_adds(&b, i ? "," : "");
			tr_json_dump(rows[i], &b);
		}
		tr_buf_addf(&b, "],\"total\":%zu}\n", n);
	} else if (c->quiet) {
		for (size_t i = 0; i < n; i++) {
			tr_out_cell(&b, tr_json_get(rows[i], "id"), TR_CELL_TEXT, true, 0);
			tr_buf_adds(&b, "\n");
		}
	} else {
		tr_out_table(&b, cols, TR_ARRAY_LEN(cols), rows, n,
			     &(struct tr_out_look){ c->colour, tr_out_screen(), DROP, tr_now_ms() });
		tr_buf_adds(&b, n ? "" : "(none)\n");
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int list(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf live = TR_BUF_INIT, over = TR_BUF_INIT;
	const char *limit = tr_cli_opt(c, TR_OPT_LIMIT), *state = tr_cli_opt(c, TR_OPT_STATE);
	struct both q = { .n = LIST_DEFAULT };

	if (limit && (!tr_cli_number(limit, &q.n) || q.n == 0))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--limit takes a number, 1 or more");
	if (!filters(c, state ? state : "live", &live) || !filters(c, "over", &over))
		return TR_CLI_EXIT_USAGE;
	q.live = tr_buf_cstr(&live);
	q.over = state ? NULL : tr_buf_cstr(&over);
	return tr_list_watch(c, show_both, &q);
}

/* ---- finding one ---- */

int tr_command_id(struct tr_cli *c, const char *digits, char ret[TR_CMD_ID_DIGITS + 1])
{
	static const struct both everywhere = { "/api/v1/commands?state=live", "/api/v1/commands?state=over", 5000 };
	tr_auto(tr_rows_done) struct tr_rows live = { 0 }, over = { 0 };
	size_t n = strlen(digits), found = 0;
	int rc;

	if (n < PREFIX_MIN || n > TR_CMD_ID_DIGITS || strspn(digits, "0123456789abcdef") != n)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "that is no command id: 32 hexadecimal digits, the first 8 suffice");
	if (n == TR_CMD_ID_DIGITS) {
		(void)snprintf(ret, TR_CMD_ID_DIGITS + 1, "%s", digits);
		return TR_CLI_EXIT_OK;
	}
	rc = fetch_both(c, &everywhere, &live, &over);
	if (rc)
		return rc;
	for (size_t i = 0; i < live.n + over.n; i++) {
		tr_jnode row = i < live.n ? live.rows[i] : over.rows[i - live.n];
		struct tr_view v;

		if (!tr_json_str(tr_json_get(row, "id"), &v) || v.n != TR_CMD_ID_DIGITS || !tr_view_starts(v, digits))
			continue;
		found++;
		(void)snprintf(ret, TR_CMD_ID_DIGITS + 1, "%.*s", TR_VIEW_FMT(v));
	}
	if (found == 1)
		return TR_CLI_EXIT_OK;
	return tr_cli_fail(TR_CLI_EXIT_REFUSED, found ? "several commands begin with %s; give more digits"
						      : "no command among the newest 5000 begins with %s", digits);
}

static TR_RC order_of(tr_jnode row, struct tr_order_set *set, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT;
	struct tr_view text = { 0 }, id = { 0 }, agent = { 0 };
	size_t before = set->n;

	(void)tr_json_str(tr_json_get(row, "order"), &text);
	(void)tr_json_str(tr_json_get(row, "id"), &id);
	(void)tr_json_str(tr_json_get(row, "agent"), &agent);
	if (tr_b64_get(text, TR_B64_STD, &bytes, err) || tr_order_set_add(set, tr_buf_view(&bytes), err))
		return tr_err_wrap(err, "order of command %.*s", TR_VIEW_FMT(id));
	if (set->n == before)
		return TR_OK;
	/* The server may show one thing and have another signed: only the bytes count, and they must fit what was asked for. */
	if (!tr_view_is(id, set->items[before].id) || !tr_view_eq(agent, set->items[before].order.agent_id)) {
		tr_buf_done(&set->items[--set->n].bytes);
		return tr_err_set(err, TR_E_DENIED, "the server's order is not the one of this command", "%.*s", TR_VIEW_FMT(id));
	}
	return TR_OK;
}

int tr_command_get(struct tr_cli *c, const char *id, struct tr_order_set *set, struct tr_json **ret)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	struct tr_err err = { 0 };
	struct tr_view v;
	int rc;

	tr_buf_addf(&path, "/api/v1/commands/%s", id);
	rc = tr_api_send(c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	if (!tr_json_str(tr_json_get(tr_json_root(answer), "id"), &v) || !tr_view_is(v, id))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server answered with another command than %s", id);
	if (set && order_of(tr_json_root(answer), set, &err))
		return tr_cli_err(err.code == TR_E_NOTFOUND ? TR_CLI_EXIT_FILE : TR_CLI_EXIT_UNREACHABLE, &err);
	if (ret)
		*ret = TR_TAKE(answer);
	return TR_CLI_EXIT_OK;
}

/* ---- the table ---- */

static const struct argp_option list_options[] = {
	{ "agent", TR_OPT_AGENT, "ID", 0, "only to this agent", 1 },
	{ "state", TR_OPT_STATE, "WORD", 0, "only live or over ones, or those waiting, pending, sent, received, started, done, failed, ...", 1 },
	{ "type", TR_OPT_TYPE, "TYPE", 0, "only of this type", 1 },
	{ "batch", TR_OPT_BATCH, "ID", 0, "only what this one request ordered", 1 },
	{ "limit", 'n', "N", 0, "the newest N (default 50)", 1 },
	TR_CLI_WATCH,
	{ 0 },
};
static const struct argp_option send_options[] = {
	{ "agent", TR_OPT_AGENT, "ID", 0, "to this agent; may come more than once", 1 },
	{ "partition", TR_OPT_PARTITION, "NAME", 0, "to all agents of this partition", 1 },
	{ "all", TR_OPT_ALL, 0, 0, "to all agents", 1 },
	{ "seconds", TR_OPT_SECONDS, "N", 0, "for set-interval", 1 },
	{ "text", TR_OPT_TEXT, "TEXT", 0, "for note", 1 },
	{ "image", TR_OPT_IMAGE, "SHA256", 0, "only if the agent runs this binary", 1 },
	{ "expires", TR_OPT_EXPIRES, "TIME", 0, "not begun after this long: 30s, 10m, 2h (default and most: the type's life)", 1 },
	{ "not-before", TR_OPT_NOT_BEFORE, "TIME", 0, "not begun before: a time, or a time from now; at most 7 days ahead", 1 },
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept with the command and in the audit log", 1 },
	{ "key", TR_OPT_KEY, "FILE", 0, "approve it at once with this operator key; may come more than once", 1 },
	{ "yes", TR_OPT_YES, 0, 0, "do not ask before approving", 1 },
	{ "wait", TR_OPT_WAIT, "TIME", OPTION_ARG_OPTIONAL, "until it is over, TIME at most; the exit code says how it ended", 1 },
	{ 0 },
};
static const struct argp_option approve_options[] = {
	{ "key", TR_OPT_KEY, "FILE", 0, "private operator key (troth operator keygen); may come more than once", 1 },
	{ "batch", TR_OPT_BATCH, "ID", 0, "all of this one request that wait for approvals", 1 },
	{ "file", TR_OPT_ORDERS, "FILE", 0, "orders that `troth command order` wrote, instead of asking the server", 1 },
	{ "out", 'o', "FILE", 0, "with --file: where the approvals go; they are submitted with --submit", 1 },
	{ "submit", TR_OPT_SUBMIT, "FILE", 0, "hand approvals that were made offline to the server", 1 },
	{ "yes", TR_OPT_YES, 0, 0, "do not ask", 1 },
	{ 0 },
};
static const struct argp_option order_options[] = {
	{ "batch", TR_OPT_BATCH, "ID", 0, "all of this one request that wait for approvals", 1 },
	{ "file", 'o', "FILE", 0, "where the orders go; needed", 1 },
	{ 0 },
};
static const struct argp_option reason_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log", 1 },
	{ 0 },
};
static const struct argp_option retry_options[] = {
	{ "reason", TR_OPT_REASON, "TEXT", 0, "why: kept in the audit log", 1 },
	{ "key", TR_OPT_KEY, "FILE", 0, "approve it at once with this operator key; may come more than once", 1 },
	{ "yes", TR_OPT_YES, 0, 0, "do not ask before approving", 1 },
	{ "wait", TR_OPT_WAIT, "TIME", OPTION_ARG_OPTIONAL, "until it is over, TIME at most; the exit code says how it ended", 1 },
	{ 0 },
};
static const struct argp_option wait_options[] = {
	{ "for", TR_OPT_FOR, "TIME", 0, "at most so long (default: as long as it takes)", 1 },
	{ 0 },
};

static const struct tr_verb verbs[] = {
	{ "types", NULL, 0, 0, "what can be ordered; needs no server", NULL, types },
	{ "send", "TYPE", 1, 1,
	  "order something of agents\nExample: troth command send restart-agent --agent web-1 --key ~/operator.key --wait=1m",
	  send_options, tr_command_send },
	{ "list", NULL, 0, 0, "show what was ordered, newest first", list_options, list },
	{ "show", "ID", 1, 1, "show one command: its order as signed, who approved it, what became of it", NULL, tr_command_show },
	{ "approve", "[ID...]", 0, TR_CLI_ARGS_MAX,
	  "agree to orders: they are shown, made from the bytes that are signed\n"
	  "Example: troth command approve 3fa94c0d11e2 --key ~/operator.key", approve_options, tr_command_approve },
	{ "order", "[ID...]", 0, TR_CLI_ARGS_MAX, "write orders to a file, to approve them where the key is", order_options,
	  tr_command_order },
	{ "cancel", "ID", 1, 1, "take it back, if it has not begun", reason_options, tr_command_cancel },
	{ "retry", "ID", 1, 1, "order the same again, as a new command; only of what is over", retry_options, tr_command_retry },
	{ "wait", "ID...", 1, TR_CLI_ARGS_MAX, "wait until it is over; the exit code says how it ended", wait_options,
	  tr_command_wait_verb },
};
const struct tr_noun tr_noun_command = { "command", "orders to agents, and what became of them", verbs, TR_ARRAY_LEN(verbs) };
