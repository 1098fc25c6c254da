/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for commands: the server is asked again and again, soon at first and then once a second. */
#include "cli/command.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

#define SOON_MS 150
#define LATER_MS 1000
#define SOON_TIMES 40
#define ONE_BY_ONE 16 /* more than so many are looked up in the list first */

/* How each end counts, worst first: what needs people most decides the exit code. */
static const struct {
	const char *state;
	int code;
} ends[] = {
	{ "unknown", TR_CLI_EXIT_CMD_UNKNOWN },	    { "failed", TR_CLI_EXIT_CMD_FAILED },
	{ "refused", TR_CLI_EXIT_CMD_REFUSED },	    { "expired", TR_CLI_EXIT_CMD_EXPIRED },
	{ "cancelled", TR_CLI_EXIT_CMD_CANCELLED }, { "done", TR_CLI_EXIT_OK },
};

struct waiting {
	struct tr_cli *c;
	const char (*ids)[TR_CMD_ID_DIGITS + 1];
	const char *batch;
	size_t n, left;
	bool *over;
	size_t worst; /* index into ends */
	uint64_t approvals; /* that are missing, of the one that was looked at last */
};

bool tr_command_wait_time(const char *option, const char *text, uint64_t *ret_ms)
{
	uint64_t s;

	*ret_ms = UINT64_MAX;
	if (!text || !*text)
		return true;
	if (tr_cli_duration(text, &s) && s > 0) {
		*ret_ms = s * 1000;
		return true;
	}
	(void)tr_cli_fail(TR_CLI_EXIT_USAGE, "%s takes a time such as 30s, 5m or 1h", option);
	return false;
}

static void put(struct tr_buf *b, tr_jnode row, const char *member)
{
	tr_out_cell(b, tr_json_get(row, member), TR_CELL_TEXT, true, 0);
}

static int print(const struct waiting *w, tr_jnode row)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, state = TR_BUF_INIT;
	struct tr_view code;
	const char *colour;

	if (w->c->quiet)
		return TR_CLI_EXIT_OK;
	if (w->c->json)
		return tr_out_json(row);
	put(&state, row, "state");
	colour = w->c->colour ? tr_out_colour(tr_buf_view(&state)) : "";
	tr_out_cell(&b, tr_json_get(row, "id"), TR_CELL_HASH, false, 0);
	tr_buf_adds(&b, "  ");
	put(&b, row, "agent");
	tr_buf_adds(&b, "  ");
	put(&b, row, "type");
	tr_buf_addf(&b, "  %s%s%s", colour, tr_buf_cstr(&state), *colour ? "\033[0m" : "");
	if (tr_json_str(tr_json_get(row, "code"), &code) && code.n) {
		tr_buf_adds(&b, ": ");
		put(&b, row, "code");
	}
	if (tr_json_is_object(tr_json_get(row, "result")) && w->n > 1) {
		tr_buf_adds(&b, "  ");
		put(&b, row, "result");
	}
	tr_buf_adds(&b, "\n");
	if (w->n == 1) /* what somebody asked one agent is there to be read */
		tr_command_result(tr_json_get(row, "result"), &b);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static int look_at(struct waiting *w, size_t i)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	int64_t needed = 0, have = 0;
	struct tr_view state;
	int rc = tr_command_get(w->c, w->ids[i], NULL, &answer);

	if (rc)
		return rc;
	if (!tr_json_str(tr_json_get(tr_json_root(answer), "state"), &state))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer names no state: is it of another version?");
	if (tr_view_is(state, "waiting") && tr_json_int(tr_json_get(tr_json_root(answer), "approvals_needed"), &needed) &&
	    tr_json_int(tr_json_get(tr_json_root(answer), "approvals"), &have) && needed > have)
		w->approvals = (uint64_t)(needed - have);
	for (size_t k = 0; k < TR_ARRAY_LEN(ends); k++)
		if (tr_view_is(state, ends[k].state)) {
			w->over[i] = true;
			w->left--;
			w->worst = k < w->worst ? k : w->worst;
			return print(w, tr_json_root(answer));
		}
	return TR_CLI_EXIT_OK;
}

/* Of many, those that the list of live ones does not name are over. */
static int look_many(struct waiting *w)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_auto(tr_rows_done) struct tr_rows rows = { 0 };
	int rc;

	tr_buf_adds(&path, "/api/v1/commands?state=live&limit=500");
	tr_cli_query(&path, "batch", w->batch);
	rc = tr_list_fetch(w->c, &(struct tr_list){ .path = tr_buf_cstr(&path), .member = "commands" }, &rows);
	for (size_t i = 0; !rc && i < w->n; i++) {
		bool live = w->over[i];

		for (size_t k = 0; !live && k < rows.n; k++) {
			struct tr_view v;

			live = tr_json_str(tr_json_get(rows.rows[k], "id"), &v) && tr_view_is(v, w->ids[i]);
		}
		if (!live)
			rc = look_at(w, i);
	}
	return rc;
}

static int look(struct waiting *w)
{
	int rc = TR_CLI_EXIT_OK;

	w->approvals = 0;
	if (w->left > ONE_BY_ONE)
		return look_many(w);
	for (size_t i = 0; !rc && i < w->n; i++)
		if (!w->over[i])
			rc = look_at(w, i);
	return rc;
}

int tr_command_wait(struct tr_cli *c, const char (*ids)[TR_CMD_ID_DIGITS + 1], size_t n, const char *batch, uint64_t wait_ms)
{
	tr_auto(tr_free) bool *over = calloc(n + 1, sizeof(*over));
	struct waiting w = { .c = c, .ids = ids, .batch = batch, .n = n, .left = n, .over = over,
			     .worst = TR_ARRAY_LEN(ends) - 1 };
	uint64_t began = tr_mono_ms();

	if (!over)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	for (unsigned times = 0;; times++) {
		struct timespec pause = { .tv_nsec = (times < SOON_TIMES ? SOON_MS : LATER_MS - 1) * 1000000L };
		int rc = look(&w);

		/* A server that restarts meanwhile comes back, and nothing is lost by it. */
		if (rc && rc != TR_CLI_EXIT_UNREACHABLE)
			return rc;
		if (w.left == 0)
			return ends[w.worst].code;
		if (tr_mono_ms() - began >= wait_ms)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (w.approvals)
		fprintf(stderr, "troth: approvals are missing (%llu); see troth command approve\n", (unsigned long long)w.approvals);
	return tr_cli_fail(TR_CLI_EXIT_NOT_YET, "%zu of %zu commands are not over yet; see troth command list", w.left, n);
}

int tr_command_wait_verb(struct tr_cli *c)
{
	tr_auto(tr_free) char (*ids)[TR_CMD_ID_DIGITS + 1] = calloc(c->n_args, sizeof(*ids));
	uint64_t wait_ms;

	if (!ids)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	if (!tr_command_wait_time("--for", tr_cli_opt(c, TR_OPT_FOR), &wait_ms))
		return TR_CLI_EXIT_USAGE;
	for (unsigned i = 0; i < c->n_args; i++) {
		int rc = tr_command_id(c, c->args[i], ids[i]);

		if (rc)
			return rc;
	}
	return tr_command_wait(c, (const char (*)[TR_CMD_ID_DIGITS + 1])ids, c->n_args, NULL, wait_ms);
}
