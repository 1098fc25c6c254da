/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: fetched page by page, shown as a table or as JSON, once or again and again. */
#include "cli/api.h"

#include <stdio.h>

#include "base/clock.h"

#define MOST_PAGE 500u
#define ROWS_MAX 1000000 /* what a screen could never show; bounds a server that never ends its pages */

void tr_rows_done(struct tr_rows *r)
{
	for (size_t i = 0; i < r->n_pages; i++)
		(void)tr_json_free(r->pages[i]);
	free(r->pages);
	free(r->rows);
	*r = (struct tr_rows){ 0 };
}

/* Takes the page, whatever happens. */
static bool add_page(struct tr_rows *r, struct tr_json *page, const char *member)
{
	tr_jnode array = tr_json_get(tr_json_root(page), member);
	size_t n = tr_json_len(array);
	struct tr_json **pages = realloc(r->pages, (r->n_pages + 1) * sizeof(struct tr_json *));
	tr_jnode *rows;

	if (!pages) {
		(void)tr_json_free(page);
		return false;
	}
	r->pages = pages;
	r->pages[r->n_pages++] = page;
	rows = realloc(r->rows, (r->n + n + 1) * sizeof(tr_jnode));
	if (!rows)
		return false;
	r->rows = rows;
	for (size_t i = 0; i < n; i++)
		r->rows[r->n++] = tr_json_at(array, i);
	return true;
}

static void page_path(const struct tr_list *l, const struct tr_rows *r, const char *cursor, struct tr_buf *path)
{
	char text[24];

	tr_buf_adds(path, l->path);
	tr_cli_query(path, "cursor", cursor);
	if (l->most) {
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(l->most - r->n < MOST_PAGE ? l->most - r->n : MOST_PAGE));
		tr_cli_query(path, "limit", text);
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)r->last_seq);
		if (cursor && r->last_seq) /* lists by time: the cursor is for those of one moment */
			tr_cli_query(path, "before", text);
	}
	if (!l->page)
		return;
	(void)snprintf(text, sizeof(text), "%llu",
		       (unsigned long long)(l->limit - r->n < l->page ? l->limit - r->n : l->page));
	tr_cli_query(path, "limit", text);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)r->last_seq);
	if (r->n)
		tr_cli_query(path, "before", text);
}

int tr_list_fetch(struct tr_cli *c, const struct tr_list *l, struct tr_rows *ret)
{
	tr_auto(tr_rows_done) struct tr_rows r = { 0 };
	char cursor[80] = "";
	bool more = true;

	while (more) {
		tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
		struct tr_json *page = NULL;
		struct tr_view next = { 0 };
		size_t before = r.n;
		int64_t seq = 0;
		int rc;

		page_path(l, &r, *cursor ? cursor : NULL, &path);
		rc = tr_api_send(c, "GET", &path, NULL, &page);
		if (rc)
			return rc;
		if (!tr_json_is_array(tr_json_get(tr_json_root(page), l->member))) {
			(void)tr_json_free(page);
			return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer is no list: is it of another version?");
		}
		if (!add_page(&r, page, l->member))
			return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
		if (tr_json_int(tr_json_get(tr_json_root(page), "last_seq"), &seq))
			r.last_seq = (uint64_t)seq;
		(void)tr_json_str(tr_json_get(tr_json_root(page), "next_cursor"), &next);
		(void)snprintf(cursor, sizeof(cursor), "%.*s", TR_VIEW_FMT(next));
		more = r.n < ROWS_MAX && (!l->most || r.n < l->most) && (next.n || (l->page && r.n > before && r.n < l->limit));
	}
	*ret = r;
	r = (struct tr_rows){ 0 };
	return TR_CLI_EXIT_OK;
}

/* Pages are one list again. */
static void put_json(const struct tr_list *l, const struct tr_rows *r, struct tr_buf *b)
{
	tr_buf_adds(b, "{");
	tr_json_put_str(b, tr_view_str(l->member));
	tr_buf_adds(b, ":[");
	for (size_t i = 0; i < r->n; i++) {
		if (i)
			tr_buf_adds(b, ",");
		tr_json_dump(r->rows[i], b);
	}
	tr_buf_addf(b, "],\"total\":%zu}\n", r->n);
}

static void put_note(const struct tr_list *l, const struct tr_rows *r, struct tr_buf *b)
{
	for (size_t i = 0; l->note && i < r->n; i++) {
		bool flag = false;

		if (tr_json_bool(tr_json_get(r->rows[i], l->note), &flag) && flag) {
			tr_buf_adds(b, l->note_text);
			return;
		}
	}
}

/* The first column alone, whole: for scripts. */
static void put_ids(const struct tr_list *l, const struct tr_rows *r, struct tr_buf *b)
{
	for (size_t i = 0; i < r->n; i++) {
		tr_out_cell(b, tr_json_get(r->rows[i], l->cols[0].member), TR_CELL_TEXT, true, 0);
		tr_buf_adds(b, "\n");
	}
}

static int show(struct tr_cli *c, const void *arg, bool redraw)
{
	const struct tr_list *l = arg;
	tr_auto(tr_rows_done) struct tr_rows r = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int rc = tr_list_fetch(c, l, &r);

	if (rc)
		return rc;
	if (redraw) /* home and erase: the screen is written in one go, so that it does not flicker */
		tr_buf_adds(&b, "\033[H\033[2J");
	if (c->json) {
		put_json(l, &r, &b);
	} else if (c->quiet) {
		put_ids(l, &r, &b);
	} else {
		tr_out_table(&b, l->cols, l->n, r.rows, r.n,
			     &(struct tr_out_look){ c->colour, tr_out_screen(), l->drop, tr_now_ms() });
		if (r.n == 0)
			tr_buf_adds(&b, "(none)\n");
		put_note(l, &r, &b);
	}
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

int tr_list_watch(struct tr_cli *c, tr_show_fn fn, const void *arg)
{
	struct timespec pause = { .tv_sec = (time_t)(c->watch_ms / 1000),
				  .tv_nsec = (long)(c->watch_ms % 1000) * 1000000 };
	bool tty = !c->json && isatty(STDOUT_FILENO);
	int rc;

	for (bool first = true;; first = false) {
		if (!first && !tty && !c->json)
			putchar('\n');
		rc = fn(c, arg, c->watch_ms && tty);
		/* Watching outlives a restart of the server; any other failure would only repeat itself. */
		if (!c->watch_ms || (rc && (rc != TR_CLI_EXIT_UNREACHABLE || first)))
			return rc;
		(void)nanosleep(&pause, NULL);
	}
}

int tr_list_run(struct tr_cli *c, const struct tr_list *l)
{
	return tr_list_watch(c, show, l);
}
