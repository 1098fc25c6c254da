/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the server as whoever is logged in. Functions that return an exit code have said why on stderr. */
#ifndef TR_CLI_API_H
#define TR_CLI_API_H

#include "cli/keychain.h"
#include "cli/output.h"
#include "cli/profile.h"
#include "http/client.h"

struct tr_api *tr_api_free(struct tr_api *a);

/* One call; body (JSON text) may be empty. A 503 that says when to come back is tried again, three times. On success
 * *ret is the answer; the caller frees it. */
int tr_api_call(struct tr_cli *c, const char *method, const char *path, struct tr_view body, struct tr_json **ret);
/* The same for bytes: sends `type` (NULL: no body) and gives the answer's body as it is. */
int tr_api_raw(struct tr_cli *c, const char *method, const char *path, const char *type, struct tr_view body,
	       struct tr_buf *ret);
/* The same for buffers that are being built: fails when one of them did. body may be NULL. */
int tr_api_send(struct tr_cli *c, const char *method, struct tr_buf *path, struct tr_buf *body, struct tr_json **ret);
/* A change, answered with "<what> <the id> <done>" for people. */
int tr_api_do(struct tr_cli *c, const char *method, struct tr_buf *path, struct tr_buf *body, const char *what,
	      const char *done);

/* ---- lists (list.c) ---- */

struct tr_list {
	const char *path, *member; /* the answer's array */
	const struct tr_col *cols;
	size_t n;
	/* Lists by sequence number: rows wanted at most, and the server's maximum of one page. Both 0: by cursor, all. */
	uint64_t limit, page;
	uint64_t most; /* lists by cursor: rows wanted at most; 0: all */
	/* A hint for people when a row's boolean member of this name is true. */
	const char *note, *note_text;
	const char *drop; /* members to leave out on a narrow screen; the first goes first */
};

/* Rows of one list, over as many pages as it took. */
struct tr_rows {
	struct tr_json **pages;
	size_t n_pages;
	tr_jnode *rows;
	size_t n;
	uint64_t last_seq;
};
void tr_rows_done(struct tr_rows *r);
TR_DEFINE_AUTO_DONE(struct tr_rows, tr_rows_done)

int tr_list_fetch(struct tr_cli *c, const struct tr_list *l, struct tr_rows *ret);
/* Fetches and prints, again and again with --watch. */
int tr_list_run(struct tr_cli *c, const struct tr_list *l);
/* Shows something once, or again and again with --watch; redraw: erase the screen first. */
typedef int (*tr_show_fn)(struct tr_cli *c, const void *arg, bool redraw);
int tr_list_watch(struct tr_cli *c, tr_show_fn fn, const void *arg);

/* The fleet in one line, worst first: "1 forked, 3 lost, 1204 ok; 2 alerts open" (status.c). */
void tr_fleet_words(struct tr_buf *b, tr_jnode fleet, bool colour);

/* ---- keysets ---- */

/* The chain of keysets of the server of the saved login, verified from its pinned root to the newest. When roots have
 * changed, the newest root takes the pin's place in the saved login: only here, and only after that. One that has
 * expired is given with a warning. */
struct tr_authority {
	struct tr_keychain chain;
	struct tr_keyset keyset;  /* the newest; borrows from chain */
	struct tr_view bytes;     /* its COSE object */
	size_t first;             /* index of the one that the pin named */
	uint8_t root[32];
};
void tr_authority_done(struct tr_authority *a);
TR_DEFINE_AUTO_DONE(struct tr_authority, tr_authority_done)
int tr_api_authority(struct tr_cli *c, struct tr_authority *ret);
/* The pinned root of the saved login, asking nobody; false: nobody has logged in. */
bool tr_api_pinned(const struct tr_cli *c, uint8_t ret[32]);

/* As tr_api_call, but a refusal is not printed: *ret_status says which it was, and the answer is a problem's document,
 * or NULL. */
int tr_api_try(struct tr_cli *c, const char *method, const char *path, struct tr_view body, int *ret_status,
	       struct tr_json **ret);

/* Prints such a refusal after all, and answers with its exit code. */
int tr_api_refused(int status, const struct tr_json *answer);

/* What its machine has proved: member `attestation` of an agent's row, as lines. */
void tr_agent_put_proof(struct tr_buf *b, tr_jnode agent, bool colour);

/* ---- for login ---- */

/* Fetches the keysets over a connection that is not verified. */
TR_RC tr_api_keychain(const char *url, struct tr_keychain *ret, struct tr_err *err);
/* A connection of a login that is not the saved one. */
int tr_api_open_as(struct tr_cli *c, const struct tr_profile *p);

#endif
