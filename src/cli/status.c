/* SPDX-License-Identifier: Apache-2.0 */
/* `troth status`: the fleet in ten lines, worst first, for whoever was woken up. */
#include "cli/api.h"

#include <stdio.h>

#include "base/clock.h"

#define ALERTS_SHOWN 4
#define PARTITIONS_SHOWN 4

static int64_t number(tr_jnode n, const char *member)
{
	int64_t v = 0;

	(void)tr_json_int(tr_json_get(n, member), &v);
	return v;
}

struct words {
	struct tr_buf *b;
	bool colour, any;
};

static bool put_count(void *arg, const char *key, tr_jnode value)
{
	struct words *w = arg;
	struct tr_view word = tr_view_str(key);
	const char *on = w->colour ? tr_out_colour(word) : "";
	int64_t n;

	if (!tr_json_int(value, &n) || n <= 0)
		return true;
	tr_buf_addf(w->b, "%s%s%lld ", w->any ? ", " : "", on, (long long)n);
	tr_out_escape(w->b, word);
	tr_buf_adds(w->b, *on ? "\033[0m" : "");
	w->any = true;
	return true;
}

void tr_fleet_words(struct tr_buf *b, tr_jnode fleet, bool colour)
{
	struct words w = { b, colour, false };
	long long open = number(tr_json_get(fleet, "alerts"), "open");

	tr_json_each(tr_json_get(fleet, "verdicts"), put_count, &w);
	tr_buf_adds(b, w.any ? "" : "no agents");
	if (open)
		tr_buf_addf(b, "; %lld alert%s open", open, open == 1 ? "" : "s");
}

static void put_alerts(struct tr_buf *b, tr_jnode counts, tr_jnode alerts, bool colour)
{
	size_t n = tr_json_len(alerts);
	long long total = number(counts, "open") + number(counts, "acknowledged");

	tr_buf_addf(b, "alerts       %lld open, %lld acknowledged\n", (long long)number(counts, "open"),
		    (long long)number(counts, "acknowledged"));
	for (size_t i = 0; i < n && i < ALERTS_SHOWN; i++) {
		tr_jnode a = tr_json_at(alerts, i);
		tr_auto(tr_buf_done) struct tr_buf severity = TR_BUF_INIT;
		const char *on;

		tr_out_cell(&severity, tr_json_get(a, "severity"), TR_CELL_TEXT, true, 0);
		on = colour ? tr_out_colour(tr_buf_view(&severity)) : "";
		tr_buf_addf(b, "  %s[%s]%s ", on, tr_buf_cstr(&severity), *on ? "\033[0m" : "");
		tr_out_cell(b, tr_json_get(a, "subject"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, ": ");
		tr_out_cell(b, tr_json_get(a, "summary"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, " (");
		tr_out_cell(b, tr_json_get(a, "opened_at"), TR_CELL_TIME, false, tr_now_ms());
		tr_buf_adds(b, "; troth alert show ");
		tr_out_cell(b, tr_json_get(a, "id"), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, ")\n");
	}
	if (total > ALERTS_SHOWN)
		tr_buf_addf(b, "  and %lld more: troth alert list\n", total - ALERTS_SHOWN);
}

/* Those with silent agents; the server sends them first. */
static void put_partitions(struct tr_buf *b, tr_jnode partitions)
{
	size_t shown = 0;

	for (size_t i = 0; i < tr_json_len(partitions) && shown < PARTITIONS_SHOWN; i++) {
		tr_jnode p = tr_json_at(partitions, i);

		if (number(p, "silent") == 0)
			continue;
		tr_buf_adds(b, shown++ ? "; " : "partitions   ");
		tr_out_cell(b, tr_json_get(p, "name"), TR_CELL_TEXT, true, 0);
		tr_buf_addf(b, ": %lld of %lld silent", (long long)number(p, "silent"), (long long)number(p, "agents"));
	}
	tr_buf_adds(b, shown ? "\n" : "");
}

static void put_server(struct tr_buf *b, tr_jnode f)
{
	bool trusted = false, writable = false;

	(void)tr_json_bool(tr_json_get(f, "clock_trusted"), &trusted);
	(void)tr_json_bool(tr_json_get(f, "store_ok"), &writable);
	if (number(f, "maintenance"))
		tr_buf_addf(b, "maintenance  %lld running: troth maintenance list\n", (long long)number(f, "maintenance"));
	tr_buf_adds(b, "server       up ");
	tr_out_span(b, (uint64_t)number(f, "run_age_s"));
	tr_buf_adds(b, writable ? "; store writable" : "; STORE NOT WRITABLE: see the server's log");
	tr_buf_adds(b, trusted ? "; clock synchronised\n" : "; CLOCK NOT SYNCHRONISED: no agent's clock is judged (chronyc tracking)\n");
	if (number(f, "lost_after_s"))
		tr_buf_addf(b, "silence      an agent that stops is called lost after at most %lld s\n",
			    (long long)number(f, "lost_after_s"));
}

static int status(struct tr_cli *c)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *fleet = NULL;
	tr_auto(tr_json_free) struct tr_json *alerts = NULL;
	tr_jnode f;
	int rc = tr_api_call(c, "GET", "/api/v1/fleet", tr_view(NULL, 0), &fleet);

	if (rc)
		return rc;
	f = tr_json_root(fleet);
	if (c->json)
		return tr_out_json(f);
	rc = tr_api_call(c, "GET", "/api/v1/alerts?limit=5", tr_view(NULL, 0), &alerts);
	if (rc)
		return rc;
	tr_buf_adds(&b, "agents       ");
	tr_fleet_words(&b, f, c->colour);
	tr_buf_adds(&b, "\n");
	if (!c->quiet) {
		put_alerts(&b, tr_json_get(f, "alerts"), tr_json_get(tr_json_root(alerts), "alerts"), c->colour);
		put_partitions(&b, tr_json_get(f, "partitions"));
		put_server(&b, f);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

static const struct tr_verb verbs[] = {
	{ "", NULL, 0, 0, "show how the fleet is, worst first\nExample: troth status --json", NULL, status },
};
const struct tr_noun tr_noun_status = { "status", "how the fleet is, worst first", verbs, TR_ARRAY_LEN(verbs) };
