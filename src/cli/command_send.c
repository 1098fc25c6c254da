/* SPDX-License-Identifier: Apache-2.0 */
/* `troth command send`, `retry` and `cancel`. */
#include "cli/command.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "codec/text.h"
#include "crypto/hash.h"

#define TRIES 3

/* What was asked for: the order that comes back must be that, or it is not approved. */
struct asked {
	enum tr_cmd cmd;
	uint64_t seconds;
	const char *text;
	uint8_t image[32];
	bool has_image;
	int64_t not_before_ms;
	uint64_t life_s; /* 0: as its type has it */
};

/* ---- the request ---- */

static int whom(const struct tr_cli *c, struct tr_buf *body)
{
	const char *partition = tr_cli_opt(c, TR_OPT_PARTITION), *one;
	tr_auto(tr_buf_done) struct tr_buf agents = TR_BUF_INIT;
	size_t at = 0, ways = (partition != NULL) + (tr_cli_opt(c, TR_OPT_ALL) != NULL);

	while ((one = tr_cli_next(c, TR_OPT_AGENT, &at))) {
		if (!tr_cli_id(one, "agent id"))
			return TR_CLI_EXIT_USAGE;
		tr_buf_addf(&agents, "%s%s", agents.n ? "," : "", one);
	}
	ways += agents.n > 0;
	if (ways != 1)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "to whom? One of --agent ID (which may come more than once), --partition NAME and --all");
	if (agents.n)
		tr_cli_put(body, "agents", tr_buf_cstr(&agents));
	else if (partition)
		tr_cli_put(body, "partition", partition);
	else
		tr_buf_adds(body, ",\"all\":true");
	return TR_CLI_EXIT_OK;
}

static int parameters(const struct tr_cli *c, const struct tr_cmd_type *t, struct asked *a, struct tr_buf *body)
{
	const char *seconds = tr_cli_opt(c, TR_OPT_SECONDS);
	const char *image = tr_cli_opt(c, TR_OPT_IMAGE);

	a->text = tr_cli_opt(c, TR_OPT_TEXT);
	if ((seconds != NULL) != t->seconds || (a->text != NULL) != t->text)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "%s takes %s", t->name,
				   t->seconds ? "--seconds, and no --text" : t->text ? "--text, and no --seconds" : "neither --seconds nor --text");
	if (seconds) {
		if (!tr_cli_number(seconds, &a->seconds) || a->seconds > t->seconds_max)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--seconds takes a number of at most %llu", (unsigned long long)t->seconds_max);
		tr_cli_put_number(body, "seconds", a->seconds);
	}
	if (a->text && (!*a->text || strlen(a->text) > TR_ORDER_TEXT_MAX || !tr_order_line_ok(tr_view_str(a->text))))
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--text takes one line of at most 256 bytes, without control and hidden characters");
	tr_cli_put(body, "text", a->text);
	a->has_image = image && tr_cli_fingerprint(image, a->image);
	if (image && !a->has_image)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "--image takes sha256: and the 64 digits of the binary's hash");
	tr_cli_put(body, "image", image);
	return TR_CLI_EXIT_OK;
}

static int times(const struct tr_cli *c, const struct tr_cmd_type *t, struct asked *a, struct tr_buf *body)
{
	const char *expires = tr_cli_opt(c, TR_OPT_EXPIRES), *from = tr_cli_opt(c, TR_OPT_NOT_BEFORE);
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint64_t s;

	if (expires) {
		if (!tr_cli_duration(expires, &s) || s == 0 || s > t->lifetime_s)
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--expires takes a length of time of at most %us for %s", t->lifetime_s, t->name);
		tr_cli_put_number(body, "expires_s", s);
		a->life_s = s;
	}
	if (from) {
		if (!tr_cli_time(from, tr_now_ms(), &a->not_before_ms))
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--not-before takes a time (2026-12-31T12:00:00Z) or a time from now (2h)");
		tr_rfc3339_add(&text, a->not_before_ms);
		tr_cli_put(body, "not_before", tr_buf_cstr(&text));
	}
	return TR_CLI_EXIT_OK;
}

/* A request that broke off may have been heard: the same key again orders nothing twice. */
static void put_key(struct tr_buf *body)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	uint8_t key[16];

	tr_random(key, sizeof(key));
	tr_hex_add(&hex, TR_VIEW_ARRAY(key));
	tr_cli_put(body, "key", tr_buf_cstr(&hex));
}

static int post(struct tr_cli *c, struct tr_buf *body, struct tr_json **ret)
{
	const struct timespec pause = { .tv_sec = 1 };
	struct tr_err err = { 0 };
	int rc = TR_CLI_EXIT_OK;

	if (tr_buf_check(body, &err))
		return tr_cli_err(TR_CLI_EXIT_FILE, &err);
	for (unsigned i = 0; i < TRIES; i++) {
		rc = tr_api_call(c, "POST", "/api/v1/commands", tr_buf_view(body), ret);
		if (rc != TR_CLI_EXIT_UNREACHABLE)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return rc;
}

/* ---- what came back ---- */

static bool was_asked_of(const struct tr_cli *c, const struct tr_order *o)
{
	const char *one;
	size_t at = 0;
	bool any = false;

	while ((one = tr_cli_next(c, TR_OPT_AGENT, &at))) {
		any = true;
		if (tr_view_is(o->agent_id, one))
			return true;
	}
	return !any;
}

static bool fits(const struct tr_cli *c, const struct asked *a, const struct tr_order *o)
{
	int64_t from_ms = o->not_before_ms ? o->not_before_ms : o->ordered_ms;

	if (a->life_s && o->expires_ms - from_ms > (int64_t)a->life_s * 1000)
		return false;
	return o->cmd == a->cmd && was_asked_of(c, o) && o->seconds == a->seconds && o->not_before_ms == a->not_before_ms &&
	       (a->text ? tr_view_is(o->text, a->text) : o->text.n == 0) &&
	       o->target.n == 0 && tr_view_eq(o->image, a->has_image ? TR_VIEW_ARRAY(a->image) : tr_view(NULL, 0));
}

/* One wish is one order of each agent: of two restarts, one nobody asked for. */
static bool is_second(const struct tr_order_set *set, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (tr_view_eq(set->items[j].order.agent_id, set->items[i].order.agent_id))
			return true;
	return false;
}

static int id_of(tr_jnode row, char ret[TR_CMD_ID_DIGITS + 1])
{
	struct tr_view v = { 0 };

	(void)tr_json_str(tr_json_get(row, "id"), &v);
	(void)snprintf(ret, TR_CMD_ID_DIGITS + 1, "%.*s", TR_VIEW_FMT(v));
	return tr_cli_id(ret, "command id") ? TR_CLI_EXIT_OK : TR_CLI_EXIT_UNREACHABLE;
}

/* With --key: approves. Where the server chose the agents, or the whole order (a retry: asked is NULL), people look first. */
static int approve(struct tr_cli *c, const struct asked *a, tr_jnode commands, uint64_t needed)
{
	tr_auto(tr_order_set_done) struct tr_order_set set = { 0 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	uint64_t ready = 0;

	if (needed == 0 || !tr_cli_opt(c, TR_OPT_KEY))
		return TR_CLI_EXIT_OK;
	for (size_t i = 0; i < tr_json_len(commands); i++) {
		char id[TR_CMD_ID_DIGITS + 1];
		int rc = id_of(tr_json_at(commands, i), id);

		if (!rc)
			rc = tr_command_get(c, id, &set, NULL);
		if (rc)
			return rc;
	}
	for (size_t i = 0; a && i < set.n; i++)
		if (!fits(c, a, &set.items[i].order) || is_second(&set, i))
			return tr_cli_fail(TR_CLI_EXIT_PIN, "the server's order %s is not what was asked for; it was not approved: see troth command show %s",
					   set.items[i].id, set.items[i].id);
	if (!a || !tr_cli_opt(c, TR_OPT_AGENT)) {
		tr_order_set_text(&set, &text);
		fputs(tr_buf_cstr(&text), stderr);
		if (!tr_cli_confirm(c, "Approve this?"))
			return TR_CLI_EXIT_USAGE;
	}
	return set.n ? tr_command_approve_set(c, &set, &ready) : TR_CLI_EXIT_OK;
}

static int print(const struct tr_cli *c, tr_jnode answer, uint64_t needed, uint64_t have)
{
	static const struct tr_col cols[] = {
		{ "COMMAND", "id", TR_CELL_TEXT }, { "AGENT", "agent", TR_CELL_TEXT }, { "STATE", "state", TR_CELL_STATE },
	};
	tr_jnode commands = tr_json_get(answer, "commands");
	size_t n = tr_json_len(commands);
	tr_auto(tr_free) tr_jnode *rows = calloc(n + 1, sizeof(*rows));
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!rows)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < n; i++)
		rows[i] = tr_json_at(commands, i);
	if (c->json)
		return tr_out_json(answer);
	if (c->quiet) {
		for (size_t i = 0; i < n; i++) {
			tr_out_cell(&b, tr_json_get(rows[i], "id"), TR_CELL_TEXT, true, 0);
			tr_buf_adds(&b, "\n");
		}
		return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
	}
	tr_out_table(&b, cols, have ? 2 : TR_ARRAY_LEN(cols), rows, n,
		     &(struct tr_out_look){ c->colour, tr_out_screen(), "", tr_now_ms() });
	if (have < needed) {
		tr_buf_addf(&b, "\nIt needs %llu operator%s to agree before agents obey it%s:\n  troth command approve ",
			    (unsigned long long)(needed - have), needed - have == 1 ? "" : "s", have ? ", besides yours" : "");
		if (n == 1) {
			tr_out_cell(&b, tr_json_get(rows[0], "id"), TR_CELL_TEXT, true, 0);
		} else {
			tr_buf_adds(&b, "--batch ");
			tr_out_cell(&b, tr_json_get(answer, "batch"), TR_CELL_TEXT, true, 0);
		}
		tr_buf_adds(&b, " --key FILE\n");
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* Some agents of many may have got none: that is no reason to hide the others, and none to keep silent. */
static int failed(tr_jnode answer)
{
	tr_jnode list = tr_json_get(answer, "failed");
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (!tr_json_len(list))
		return TR_CLI_EXIT_OK;
	tr_out_cell(&b, tr_json_get(tr_json_at(list, 0), "agent"), TR_CELL_TEXT, true, 0);
	tr_buf_adds(&b, ": ");
	tr_out_cell(&b, tr_json_get(tr_json_at(list, 0), "detail"), TR_CELL_TEXT, true, 0);
	return tr_cli_fail(TR_CLI_EXIT_REFUSED, "%zu agents were not ordered anything; the first is %s", tr_json_len(list),
			   tr_buf_cstr(&b));
}

static int wait_for(struct tr_cli *c, tr_jnode answer, uint64_t wait_ms)
{
	tr_jnode commands = tr_json_get(answer, "commands");
	size_t n = tr_json_len(commands);
	tr_auto(tr_free) char (*ids)[TR_CMD_ID_DIGITS + 1] = calloc(n + 1, sizeof(*ids));
	struct tr_view v = { 0 };
	char batch[40];

	if (!ids)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int rc = id_of(tr_json_at(commands, i), ids[i]);

		if (rc)
			return rc;
	}
	(void)tr_json_str(tr_json_get(answer, "batch"), &v);
	(void)snprintf(batch, sizeof(batch), "%.*s", TR_VIEW_FMT(v));
	return tr_command_wait(c, (const char (*)[TR_CMD_ID_DIGITS + 1])ids, n, *batch ? batch : NULL, wait_ms);
}

static int after(struct tr_cli *c, const struct asked *a, tr_jnode answer, uint64_t wait_ms)
{
	uint64_t have = 0;
	int64_t needed = 0;
	size_t at = 0;
	int rc;

	(void)tr_json_int(tr_json_get(answer, "approvals_needed"), &needed);
	while (tr_cli_next(c, TR_OPT_KEY, &at))
		have++;
	rc = approve(c, a, tr_json_get(answer, "commands"), needed > 0 ? (uint64_t)needed : 0);
	if (rc == TR_CLI_EXIT_REFUSED)
		fputs("What was ordered waits for approvals all the same: troth command list --state waiting; then approve or cancel it\n",
		      stderr);
	if (!rc)
		rc = print(c, answer, needed > 0 ? (uint64_t)needed : 0, have);
	if (!rc && tr_cli_opt(c, TR_OPT_WAIT))
		rc = wait_for(c, answer, wait_ms);
	return rc ? rc : failed(answer);
}

/* ---- verbs ---- */

int tr_command_send(struct tr_cli *c)
{
	struct asked a = { .cmd = tr_cmd_of(tr_view_str(c->args[0])) };
	const struct tr_cmd_type *t = tr_cmd_type(a.cmd);
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	uint64_t wait_ms;
	int rc;

	if (!t)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "there is no command \"%s\"; see troth command types", c->args[0]);
	if (a.cmd == TR_CMD_CANCEL)
		return tr_cli_fail(TR_CLI_EXIT_USAGE, "an order is taken back by its id: troth command cancel ID");
	if (!tr_command_wait_time("--wait", tr_cli_opt(c, TR_OPT_WAIT), &wait_ms))
		return TR_CLI_EXIT_USAGE;
	tr_buf_adds(&body, "{");
	tr_cli_put(&body, "type", t->name);
	rc = whom(c, &body);
	if (!rc)
		rc = parameters(c, t, &a, &body);
	if (!rc)
		rc = times(c, t, &a, &body);
	if (rc)
		return rc;
	tr_cli_put(&body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	put_key(&body);
	tr_buf_adds(&body, "}");
	rc = post(c, &body, &answer);
	return rc ? rc : after(c, &a, tr_json_root(answer), wait_ms);
}

static void put_reason(const struct tr_cli *c, struct tr_buf *body)
{
	tr_buf_adds(body, "{");
	tr_cli_put(body, "reason", tr_cli_opt(c, TR_OPT_REASON));
	tr_buf_adds(body, "}");
}

int tr_command_cancel(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT, b = TR_BUF_INIT, state = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	char id[TR_CMD_ID_DIGITS + 1];
	int rc = tr_command_id(c, c->args[0], id);

	if (rc)
		return rc;
	tr_buf_addf(&path, "/api/v1/commands/%s/cancel", id);
	put_reason(c, &body);
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	if (rc || c->quiet)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_out_cell(&state, tr_json_get(tr_json_root(answer), "state"), TR_CELL_TEXT, true, 0);
	if (tr_view_is(tr_buf_view(&state), "cancelled"))
		tr_buf_addf(&b, "command %.12s is cancelled: its agent never gets it\n", id);
	else
		tr_buf_addf(&b, "command %.12s was handed out already (%s): its agent is told to cancel it, and says what became of it\n", id,
			    tr_buf_cstr(&state));
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_command_retry(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, body = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	char id[TR_CMD_ID_DIGITS + 1];
	uint64_t wait_ms;
	int rc;

	if (!tr_command_wait_time("--wait", tr_cli_opt(c, TR_OPT_WAIT), &wait_ms))
		return TR_CLI_EXIT_USAGE;
	rc = tr_command_id(c, c->args[0], id);
	if (rc)
		return rc;
	tr_buf_addf(&path, "/api/v1/commands/%s/retry", id);
	put_reason(c, &body);
	rc = tr_api_send(c, "POST", &path, &body, &answer);
	return rc ? rc : after(c, NULL, tr_json_root(answer), wait_ms);
}
