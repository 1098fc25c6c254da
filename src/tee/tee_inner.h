/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources share. */
#ifndef TR_TEE_TEE_INNER_H
#define TR_TEE_TEE_INNER_H

#include "tee/tee.h"

#define TR_TEE_TRIES 8          /* of a busy source */
#define TR_TEE_FIRST_WAIT_MS 50 /* doubled each time: 13 s in all */

/* Is it the answer to our question? The report's own bytes must hold ours. TR_E_DENIED when not, or not of that layout. */
TR_RC tr_tee_answers(enum tr_tee_kind kind, struct tr_view quote, const struct tr_tee_ask *ask, struct tr_err *err);
/* The set's encoding, refused when longer than a set may be. */
TR_RC tr_tee_emit(const struct tr_tee_set *s, struct tr_buf *ret, struct tr_err *err);
/* A host's certificate table without what follows its last entry; empty when it is none, or holds none. */
struct tr_view tr_tee_table(struct tr_view blob);

#endif
