/* SPDX-License-Identifier: Apache-2.0 */
/* What more than one verb does with keysets as files. */
#ifndef TR_CLI_KEYSET_VERBS_H
#define TR_CLI_KEYSET_VERBS_H

#include "cli/api.h"
#include "cli/keyset_edit.h"

int tr_keyset_prepare(struct tr_cli *c); /* keyset_prepare.c */
int tr_keyset_sign_draft(struct tr_cli *c); /* keyset_sign.c */

/* DRAFT and, beside it, the keyset that it follows (DRAFT.previous), so that whoever signs sees what changes. */
int tr_draft_write(const char *path, struct tr_view payload, struct tr_view previous);

/* Signatures by these roots, as many as are missing; how many then have signed, in words, into b. *ret_done: enough. */
TR_RC tr_draft_sign(struct tr_view draft, const struct tr_keyset *now, const char *const *roots, size_t n,
		    struct tr_buf *ret, bool *ret_done, struct tr_buf *b, struct tr_err *err);
/* Publishes an object; says what the server says. */
int tr_keyset_send(struct tr_cli *c, struct tr_view keyset);

#endif
