/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "codec/text.h"

#define HASH_SHOWN 12 /* digits: unique enough to point with, and the API takes eight */
#define CELL_MAX 48   /* columns of free text in a table */
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"

/* ---- text ---- */

/* Length of the UTF-8 character at the front and its code point; 0 when it is none. */
static size_t utf8_next(struct tr_view v, uint32_t *ret)
{
	size_t n = v.p[0] < 0x80 ? 1 : v.p[0] < 0xe0 ? 2 : v.p[0] < 0xf0 ? 3 : 4;

	if (n > v.n || !tr_utf8_ok(tr_view(v.p, n)))
		return 0;
	*ret = n == 1 ? v.p[0] : v.p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*ret = *ret << 6 | (v.p[i] & 0x3f);
	return n;
}

/* Moves the cursor, hides, or turns the order of what stands around it (Trojan Source, CVE-2021-42574). */
static bool is_dangerous(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

void tr_out_escape(struct tr_buf *b, struct tr_view v)
{
	while (v.n) {
		uint32_t c = 0;
		size_t n = utf8_next(v, &c);

		if (n == 0)
			tr_buf_addf(b, "\\x%02x", v.p[0]);
		else if (is_dangerous(c))
			tr_buf_addf(b, "\\u{%x}", c);
		else
			tr_buf_add(b, v.p, n);
		v = tr_view(v.p + (n ? n : 1), v.n - (n ? n : 1));
	}
}

size_t tr_out_width(struct tr_view v)
{
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++)
		n += (v.p[i] & 0xc0) != 0x80;
	return n;
}

/* The first columns of it, cut between characters. */
static struct tr_view first(struct tr_view v, size_t columns)
{
	size_t at = 0;

	for (size_t seen = 0; at < v.n; at++)
		if ((v.p[at] & 0xc0) != 0x80 && seen++ == columns)
			break;
	return tr_view(v.p, at);
}

/* ---- times ---- */

/* To the nearest whole unit, so that an hour from now reads "60 min" also a moment later. */
void tr_out_span(struct tr_buf *b, uint64_t s)
{
	if (s < 120)
		tr_buf_addf(b, "%llu s", (unsigned long long)s);
	else if (s < 120 * 60)
		tr_buf_addf(b, "%llu min", (unsigned long long)((s + 30) / 60));
	else if (s < 48 * 3600)
		tr_buf_addf(b, "%llu h", (unsigned long long)((s + 1800) / 3600));
	else
		tr_buf_addf(b, "%llu days", (unsigned long long)((s + 43200) / 86400));
}

void tr_out_relative(struct tr_buf *b, int64_t ms, int64_t now_ms)
{
	/* Two clocks are compared: a second of difference is no future. */
	bool ahead = ms - now_ms > 1000;
	uint64_t apart = (uint64_t)(ahead ? ms - now_ms : now_ms > ms ? now_ms - ms : 0);

	tr_buf_adds(b, ahead ? "in " : "");
	tr_out_span(b, (apart + (ahead ? 500 : 0)) / 1000);
	tr_buf_adds(b, ahead ? "" : " ago");
}

static void put_time(struct tr_buf *b, struct tr_view text, bool alone, int64_t now_ms)
{
	int64_t ms;

	if (!tr_rfc3339_get(text, &ms)) {
		tr_out_escape(b, text);
		return;
	}
	if (!alone) {
		tr_out_relative(b, ms, now_ms);
		return;
	}
	tr_rfc3339_add(b, ms);
	tr_buf_adds(b, " (");
	tr_out_relative(b, ms, now_ms);
	tr_buf_adds(b, ")");
}

/* ---- cells ---- */

void tr_out_cell(struct tr_buf *b, tr_jnode value, enum tr_cell kind, bool alone, int64_t now_ms)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_view v;
	bool flag;

	if (!value || tr_json_is_null(value))
		return;
	if (tr_json_bool(value, &flag)) {
		tr_buf_adds(b, flag ? "yes" : "no");
		return;
	}
	if (!tr_json_str(value, &v)) {
		tr_json_dump(value, &text);
		v = tr_buf_view(&text);
		tr_out_escape(b, v);
		return;
	}
	if (kind == TR_CELL_TIME) {
		put_time(b, v, alone, now_ms);
		return;
	}
	tr_out_escape(&text, v);
	v = tr_buf_view(&text);
	if (alone || kind == TR_CELL_WHOLE || tr_out_width(v) <= (kind == TR_CELL_HASH ? HASH_SHOWN : CELL_MAX)) {
		tr_buf_addv(b, v);
		return;
	}
	tr_buf_addv(b, first(v, kind == TR_CELL_HASH ? HASH_SHOWN : CELL_MAX - 1));
	tr_buf_adds(b, kind == TR_CELL_HASH ? "" : "…");
}

const char *tr_out_colour(struct tr_view word)
{
	static const struct {
		const char *word, *colour;
	} rows[] = {
		{ "active", GREEN },	     { "live", GREEN },		 { "usable", GREEN },
		{ "admitted", GREEN },	     { "ok", GREEN },		 { "enforce", GREEN },
		{ "current", GREEN },	     { "resolved", GREEN },	 { "attached", GREEN },
		{ "primary", GREEN },	     { "done", GREEN },
		{ "prepared", YELLOW },	     { "retiring", YELLOW },	 { "waiting", YELLOW },
		{ "sent", YELLOW },	     { "received", YELLOW },	 { "started", YELLOW },
		{ "cancelled", YELLOW },     { "failed", RED },
		{ "silent", YELLOW },	     { "never", YELLOW },	 { "retired", YELLOW },
		{ "admitted_audit", YELLOW }, { "audit", YELLOW },	 { "used_up", YELLOW },
		{ "late", YELLOW },	     { "missed", YELLOW },	 { "announced", YELLOW },
		{ "pending", YELLOW },	     { "unknown", YELLOW },	 { "expected_update", YELLOW },
		{ "clock_desync", YELLOW },  { "clock_unstable", YELLOW }, { "desync", YELLOW },
		{ "unstable", YELLOW },	     { "behind", YELLOW },	 { "acknowledged", YELLOW },
		{ "running", YELLOW },	     { "3", YELLOW },
		{ "revoked", RED },	     { "removed", RED },	 { "refused", RED },
		{ "expired", RED },	     { "off", RED },		 { "withdrawn", RED },
		{ "FAILED", RED },	     { "alert", RED },		 { "ended", RED },
		{ "forked", RED },	     { "isolated", RED },	 { "unknown_binary", RED },
		{ "bpf_mismatch", RED },     { "lsm_down", RED },	 { "restored", RED },
		{ "conflict", RED },	     { "lost", RED },		 { "open", RED },
		{ "detached", RED },	     { "1", RED },		 { "2", RED },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++)
		if (tr_view_is(word, rows[i].word))
			return rows[i].colour;
	return "";
}

static void add_cell(struct tr_buf *b, struct tr_view text, enum tr_cell kind, size_t width, bool colour, bool last)
{
	const char *on = colour && kind == TR_CELL_STATE ? tr_out_colour(text) : "";
	int pad = (int)(width - tr_out_width(text));

	if (kind == TR_CELL_COUNT)
		tr_buf_addf(b, "%*s", pad, "");
	tr_buf_adds(b, on);
	tr_buf_addv(b, text);
	tr_buf_adds(b, *on ? "\033[0m" : "");
	if (last)
		tr_buf_adds(b, "\n");
	else
		tr_buf_addf(b, "%*s  ", kind == TR_CELL_COUNT ? 0 : pad, "");
}

#define COLS_MAX 16

size_t tr_out_screen(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

/* Notes in `hidden` which columns do not fit; returns the last one that is shown. */
static size_t fit(const struct tr_col *cols, size_t n, const size_t *width, const struct tr_out_look *look, bool *hidden)
{
	const char *drop = look->drop ? look->drop : "";
	size_t total = 0, last = n - 1;

	for (size_t i = 0; i < n; i++)
		total += width[i] + (i ? 2 : 0);
	while (look->screen && total > look->screen && *drop) {
		struct tr_view name = tr_view(drop, strcspn(drop, " "));

		for (size_t i = 0; i < n; i++)
			if (!hidden[i] && tr_view_is(name, cols[i].member)) {
				hidden[i] = true;
				total -= width[i] + 2;
			}
		drop += name.n;
		drop += strspn(drop, " ");
	}
	while (last && hidden[last])
		last--;
	return last;
}

void tr_out_table(struct tr_buf *b, const struct tr_col *cols, size_t n, const tr_jnode *rows, size_t count,
		  const struct tr_out_look *look)
{
	bool hidden[COLS_MAX] = { false };
	size_t width[COLS_MAX] = { 0 }, at = 0, start = 0, last;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	tr_auto(tr_free) size_t *ends = calloc((count + 1) * n, sizeof(*ends));

	if (!ends || n > COLS_MAX) {
		b->failed = true;
		return;
	}
	/* All cells into one buffer first, since a column is as wide as its widest. */
	for (size_t r = 0; r <= count; r++)
		for (size_t i = 0; i < n; i++) {
			size_t from = text.n, w;

			if (r == 0)
				tr_buf_adds(&text, cols[i].title);
			else
				tr_out_cell(&text, tr_json_get(rows[r - 1], cols[i].member), cols[i].kind, false,
					    look->now_ms);
			if (r && text.n == from)
				tr_buf_adds(&text, "-");
			w = text.failed ? 0 : tr_out_width(tr_view(text.p + from, text.n - from));
			width[i] = w > width[i] ? w : width[i];
			ends[at++] = text.n;
		}
	if (text.failed) {
		b->failed = true;
		return;
	}
	last = fit(cols, n, width, look, hidden);
	for (size_t k = 0; k < at; k++) {
		size_t i = k % n;

		if (!hidden[i])
			add_cell(b, tr_view(text.p + start, ends[k] - start), cols[i].kind, width[i],
				 look->colour && k >= n, i == last);
		start = ends[k];
	}
}

void tr_out_lines(struct tr_buf *b, const struct tr_col *cols, size_t n, tr_jnode row, bool colour, int64_t now_ms)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		if (strlen(cols[i].title) > width)
			width = strlen(cols[i].title);
	for (size_t i = 0; i < n; i++) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

		tr_out_cell(&text, tr_json_get(row, cols[i].member), cols[i].kind, true, now_ms);
		if (text.n == 0)
			continue;
		tr_buf_addf(b, "%-*s  ", (int)width, cols[i].title);
		add_cell(b, tr_buf_view(&text), cols[i].kind == TR_CELL_STATE ? TR_CELL_STATE : TR_CELL_TEXT, 0,
			 colour, true);
	}
}

/* ---- refusals ---- */

void tr_out_problem(struct tr_buf *b, int status, struct tr_view body)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_view code = { 0 }, title = { 0 }, v;
	struct tr_err err;
	tr_jnode p = NULL;

	if (tr_json_parse(body, &doc, &err) == TR_OK)
		p = tr_json_root(doc);
	(void)tr_json_str(tr_json_get(p, "title"), &title);
	if (!tr_json_str(tr_json_get(p, "code"), &code)) {
		tr_buf_addf(b, "the server answered with status %d and no reason that this program understands\n",
			    status);
		return;
	}
	tr_out_escape(b, title.n ? title : TR_VIEW_LIT("Refused"));
	tr_buf_adds(b, " (");
	tr_out_escape(b, code);
	tr_buf_addf(b, ", status %d)\n", status);
	if (tr_json_str(tr_json_get(p, "detail"), &v) && v.n) {
		tr_buf_adds(b, "  ");
		tr_out_escape(b, v);
		tr_buf_adds(b, "\n");
	}
	if (tr_json_str(tr_json_get(p, "request_id"), &v) && v.n) {
		tr_buf_adds(b, "  request ");
		tr_out_escape(b, v);
		tr_buf_adds(b, "\n");
	}
}

int tr_cli_fail(int code, const char *fmt, ...)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Parts of it may come from a server or from a file. */
	tr_out_escape(&b, tr_view_str(text));
	fprintf(stderr, "troth: %s\n", tr_buf_cstr(&b));
	return code;
}

int tr_cli_err(int code, const struct tr_err *err)
{
	return tr_cli_fail(code, "%s (%s)", err->pub ? err->pub : "failed", err->detail);
}

bool tr_out_print(struct tr_buf *b)
{
	if (!tr_buf_ok(b)) {
		fputs("troth: out of memory\n", stderr);
		return false;
	}
	if (fwrite(b->p, 1, b->n, stdout) != b->n || fflush(stdout)) {
		perror("troth: standard output");
		return false;
	}
	return true;
}

int tr_out_json(tr_jnode n)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_json_dump(n, &b);
	tr_buf_adds(&b, "\n");
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}
