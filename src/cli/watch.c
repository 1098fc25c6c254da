/* SPDX-License-Identifier: Apache-2.0 */
/* `troth agent watch`: one line per change of a verdict, event and alert, from now on, until interrupted. The server is
 * asked for what is newer than the last thing shown, so nothing is shown twice and nothing between two looks is lost. */
#include "cli/api.h"

#include <stdio.h>

#include "base/clock.h"
#include "codec/text.h"

#define PAGE 500
#define KNOWN_MAX 4096 /* alerts whose last revision is remembered; past it one may be shown again */

struct known {
	char id[24];
	int64_t rev;
};

struct watching {
	struct tr_cli *c;
	uint64_t seq;       /* last event shown */
	int64_t alerts_ms;  /* newest change of an alert that was shown; server's clock */
	const char *verdict; /* NULL: all */
	struct known known[KNOWN_MAX];
	size_t n_known, next_known;
};

static bool is(tr_jnode n, const char *text)
{
	struct tr_view v;

	return tr_json_str(n, &v) && tr_view_is(v, text);
}

static void put(struct tr_buf *b, tr_jnode n, int width, const char *colour)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	int pad;

	tr_out_cell(&text, n, TR_CELL_TEXT, true, 0);
	if (text.n == 0)
		tr_buf_adds(&text, "-");
	pad = width - (int)tr_out_width(tr_buf_view(&text));
	tr_buf_addf(b, "%s%s%s%*s  ", colour, tr_buf_cstr(&text), *colour ? "\033[0m" : "", pad > 0 ? pad : 0, "");
}

static const char *colour_of(const struct tr_cli *c, tr_jnode n)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_out_cell(&text, n, TR_CELL_TEXT, true, 0);
	return c->colour ? tr_out_colour(tr_buf_view(&text)) : "";
}

static void put_event(const struct watching *w, tr_jnode e, struct tr_buf *b)
{
	tr_jnode detail = tr_json_get(e, "detail");

	if (w->c->json) {
		tr_buf_adds(b, "{\"event\":");
		tr_json_dump(e, b);
		tr_buf_adds(b, "}\n");
		return;
	}
	put(b, tr_json_get(e, "time"), 24, "");
	put(b, tr_json_get(e, "severity"), 1, colour_of(w->c, tr_json_get(e, "severity")));
	put(b, tr_json_get(e, "kind"), 16, "");
	put(b, tr_json_get(e, "agent"), 20, "");
	if (is(tr_json_get(e, "kind"), "verdict_changed")) {
		put(b, tr_json_get(detail, "from"), 0, colour_of(w->c, tr_json_get(detail, "from")));
		tr_buf_adds(b, "-> ");
		put(b, tr_json_get(detail, "to"), 0, colour_of(w->c, tr_json_get(detail, "to")));
	} else {
		put(b, tr_json_get(e, "source"), 0, "");
		if (tr_json_len(detail))
			put(b, detail, 0, "");
	}
	b->n -= b->failed ? 0 : 2; /* nothing follows the last column */
	tr_buf_adds(b, "\n");
}

static void put_alert(const struct watching *w, tr_jnode a, struct tr_buf *b)
{
	if (w->c->json) {
		tr_buf_adds(b, "{\"alert\":");
		tr_json_dump(a, b);
		tr_buf_adds(b, "}\n");
		return;
	}
	put(b, tr_json_get(a, "updated_at"), 24, "");
	put(b, tr_json_get(a, "severity"), 1, colour_of(w->c, tr_json_get(a, "severity")));
	tr_buf_adds(b, "ALERT ");
	put(b, tr_json_get(a, "state"), 10, colour_of(w->c, tr_json_get(a, "state")));
	put(b, tr_json_get(a, "subject"), 20, "");
	put(b, tr_json_get(a, "summary"), 0, "");
	tr_buf_adds(b, "[");
	tr_out_cell(b, tr_json_get(a, "id"), TR_CELL_TEXT, true, 0);
	tr_buf_adds(b, "]\n");
}

/* A repetition changes an alert's count, not its revision: it is no news. */
static bool is_news(struct watching *w, tr_jnode a)
{
	struct known *k = w->known;
	struct tr_view id = { 0 };
	int64_t rev = 0;
	bool news;

	(void)tr_json_str(tr_json_get(a, "id"), &id);
	(void)tr_json_int(tr_json_get(a, "rev"), &rev);
	while (k < w->known + w->n_known && !tr_view_is(id, k->id))
		k++;
	if (k == w->known + w->n_known) {
		k = &w->known[w->next_known++ % KNOWN_MAX];
		w->n_known += w->n_known < KNOWN_MAX;
		(void)snprintf(k->id, sizeof(k->id), "%.*s", TR_VIEW_FMT(id));
		k->rev = INT64_MIN;
	}
	news = rev > k->rev;
	k->rev = rev;
	return news;
}

static bool wanted(const struct watching *w, tr_jnode e)
{
	tr_jnode detail = tr_json_get(e, "detail");

	return !w->verdict || (is(tr_json_get(e, "kind"), "verdict_changed") &&
			       (is(tr_json_get(detail, "from"), w->verdict) || is(tr_json_get(detail, "to"), w->verdict)));
}

/* What came after the last one, oldest first, page after page. */
static int show_events(struct watching *w)
{
	for (size_t n = PAGE; n == PAGE;) {
		tr_auto(tr_json_free) struct tr_json *answer = NULL;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		tr_jnode events;
		char path[96];
		int64_t last;
		int rc;

		/* Without any event yet `after` would mean nothing: then the newest come first. */
		(void)snprintf(path, sizeof(path), "/api/v1/events?limit=%d&after=%llu", PAGE, (unsigned long long)w->seq);
		rc = tr_api_call(w->c, "GET", path, tr_view(NULL, 0), &answer);
		if (rc)
			return rc;
		events = tr_json_get(tr_json_root(answer), "events");
		n = tr_json_len(events);
		for (size_t i = 0; i < n; i++) {
			tr_jnode e = tr_json_at(events, w->seq ? i : n - 1 - i);

			if (wanted(w, e))
				put_event(w, e, &b);
		}
		if (n && tr_json_int(tr_json_get(tr_json_at(events, w->seq ? n - 1 : 0), "seq"), &last))
			w->seq = (uint64_t)last;
		if (!tr_out_print(&b))
			return TR_CLI_EXIT_FILE;
	}
	return TR_CLI_EXIT_OK;
}

/* At the start they are only remembered. */
static int show_alerts(struct watching *w, bool start)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf since = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	tr_jnode alerts;
	int rc;

	/* Once more what changed in the last moment shown: another may have changed in it too. */
	tr_rfc3339_add(&since, w->alerts_ms ? w->alerts_ms - 1 : 0);
	tr_buf_adds(&path, "/api/v1/alerts?limit=500");
	tr_cli_query(&path, "changed_after", tr_buf_cstr(&since));
	rc = tr_api_send(w->c, "GET", &path, NULL, &answer);
	if (rc)
		return rc;
	alerts = tr_json_get(tr_json_root(answer), "alerts");
	for (size_t i = 0; i < tr_json_len(alerts); i++) {
		tr_jnode a = tr_json_at(alerts, i);
		struct tr_view text = { 0 };
		int64_t ms = 0;

		(void)(tr_json_str(tr_json_get(a, "updated_at"), &text) && tr_rfc3339_get(text, &ms));
		if (is_news(w, a) && !start)
			put_alert(w, a, &b);
		if (ms > w->alerts_ms)
			w->alerts_ms = ms;
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* Where to begin, and one line that says how things stand. */
static int begin(struct watching *w)
{
	tr_auto(tr_json_free) struct tr_json *fleet = NULL;
	tr_auto(tr_json_free) struct tr_json *events = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view now = { 0 };
	int64_t seq = 0;
	int rc = show_alerts(w, true);

	if (!rc)
		rc = tr_api_call(w->c, "GET", "/api/v1/events?limit=1", tr_view(NULL, 0), &events);
	if (!rc)
		rc = tr_api_call(w->c, "GET", "/api/v1/fleet", tr_view(NULL, 0), &fleet);
	if (rc)
		return rc;
	if (tr_json_int(tr_json_get(tr_json_root(events), "last_seq"), &seq))
		w->seq = (uint64_t)seq;
	(void)tr_json_str(tr_json_get(tr_json_root(fleet), "server_time"), &now);
	if (w->c->quiet)
		return TR_CLI_EXIT_OK;
	if (w->c->json) {
		tr_buf_adds(&b, "{\"fleet\":");
		tr_json_dump(tr_json_root(fleet), &b);
		tr_buf_adds(&b, "}\n");
	} else {
		tr_out_escape(&b, now);
		tr_buf_adds(&b, "  ");
		tr_fleet_words(&b, tr_json_root(fleet), w->c->colour);
		tr_buf_adds(&b, "\n");
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_agent_watch(struct tr_cli *c)
{
	const char *interval = tr_cli_opt(c, TR_OPT_INTERVAL);
	tr_auto(tr_free) struct watching *w = calloc(1, sizeof(*w));
	struct timespec pause = { .tv_sec = 2 };
	double s;
	bool begun;
	char *end;
	int rc;

	if (!w)
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	w->c = c;
	w->verdict = tr_cli_opt(c, TR_OPT_VERDICT);
	if (!tr_cli_word("--verdict", w->verdict, TR_CLI_VERDICTS))
		return TR_CLI_EXIT_USAGE;
	if (interval) {
		s = strtod(interval, &end);
		if (end == interval || *end || !(s >= 0.1 && s <= 3600))
			return tr_cli_fail(TR_CLI_EXIT_USAGE, "--interval takes seconds from 0.1 to 3600");
		pause.tv_sec = (time_t)s;
		pause.tv_nsec = (long)((s - (double)pause.tv_sec) * 1e9);
	}
	rc = begin(w);
	begun = !rc;
	while (!rc || rc == TR_CLI_EXIT_UNREACHABLE) {
		if (rc && !begun)
			return rc; /* it never answered */
		(void)nanosleep(&pause, NULL);
		/* Watching outlives a restart of the server; any other failure would only repeat itself. */
		rc = show_events(w);
		if (!rc && !w->verdict)
			rc = show_alerts(w, false);
	}
	return rc;
}
