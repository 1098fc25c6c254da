/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: tables with aligned columns, single things as labelled lines, times as they are said, and
 * refusals. Whatever came from a server is escaped before it reaches a terminal. */
#ifndef TR_CLI_OUTPUT_H
#define TR_CLI_OUTPUT_H

#include "cli/cli.h"

enum tr_cell {
	TR_CELL_TEXT,
	TR_CELL_WHOLE, /* text that is never cut, also in a table */
	TR_CELL_HASH,  /* hex: the first 12 digits in a table, all of them alone */
	TR_CELL_TIME,  /* RFC 3339 in, "12 s ago" out; alone both */
	TR_CELL_STATE, /* coloured by its word */
	TR_CELL_COUNT, /* right-aligned */
	TR_CELL_YES,   /* true: "yes" */
};

struct tr_col {
	const char *title, *member;
	enum tr_cell kind;
};

/* Escapes control characters (C0, DEL, C1) and the invisible ones that reorder or hide text as \u{…}; bytes that are
 * not UTF-8 as \x…. A newline is escaped too: one value, one line. */
void tr_out_escape(struct tr_buf *b, struct tr_view text);
/* Columns on a screen, counted in code points of already escaped text. */
size_t tr_out_width(struct tr_view text);
/* "12 s ago", "in 3 h"; two units are never mixed. */
void tr_out_relative(struct tr_buf *b, int64_t ms, int64_t now_ms);
/* How long in words: "3 h", "90 days". */
void tr_out_span(struct tr_buf *b, uint64_t s);
/* One member of a row as a cell's text. `alone`: in a list of labelled lines rather than in a table. */
void tr_out_cell(struct tr_buf *b, tr_jnode value, enum tr_cell kind, bool alone, int64_t now_ms);
/* The escape sequence that colours a state's word, "" for words without one. */
const char *tr_out_colour(struct tr_view word);

/* How a table is shown. A screen that is too narrow breaks every row in two: there the columns of the members in `drop`
 * (joined by blanks, the first goes first) are left out until it fits. */
struct tr_out_look {
	bool colour;
	size_t screen; /* its columns; 0: no screen, nothing is left out */
	const char *drop;
	int64_t now_ms;
};
/* The columns of the terminal that stdout is; 0 when it is none. */
size_t tr_out_screen(void);
/* Aligned columns; an empty cell is "-". */
void tr_out_table(struct tr_buf *b, const struct tr_col *cols, size_t n, const tr_jnode *rows, size_t count,
		  const struct tr_out_look *look);
/* "label: value" per column; empty values are left out. */
void tr_out_lines(struct tr_buf *b, const struct tr_col *cols, size_t n, tr_jnode row, bool colour, int64_t now_ms);

/* A refusal: title (code, status), the sentence, the request id. */
void tr_out_problem(struct tr_buf *b, int status, struct tr_view body);

/* Writes to stdout; false when that failed, which was said then. */
bool tr_out_print(struct tr_buf *b);
/* A document as the server sent it, on one line. */
int tr_out_json(tr_jnode n);

#endif
