/* SPDX-License-Identifier: Apache-2.0 */
/* A whole store moved into another, of whatever kind: backup, restore, and from one database to the other. Row by row
 * through the same typed tables; what is compared afterwards is every row in one canonical form (codec/record.h), so that
 * it is the same for both kinds. Logs between nodes and the like are not of the installation and stay behind. */
#ifndef TR_STORE_COPY_H
#define TR_STORE_COPY_H

#include "store/store.h"

/* Settings of this beginning are about a backup, not about the installation: neither copied nor summed up. */
#define TR_COPY_OWN "backup."

/* Takes the canonical bytes as they come: what is made of them (a digest) is the caller's affair. */
typedef void (*tr_copy_feed)(void *arg, struct tr_view bytes);
struct tr_copy_count {
	uint64_t rows[TR_T_N], all;
};

/* Inside any transaction of s: tells feed every row of every table, and the numbers that come next. */
TR_RC tr_copy_sum(struct tr_store *s, tr_copy_feed feed, void *arg, struct tr_copy_count *ret, struct tr_err *err);
/* `to`, inside its transaction, gets what `from`, inside one for reading, has; feed hears what was read. TR_E_CONFLICT when
 * `to` has rows already. */
TR_RC tr_copy_rows(struct tr_store *from, struct tr_store *to, tr_copy_feed feed, void *arg, struct tr_copy_count *ret,
		   struct tr_err *err);

/* What an old state must never do again once newer ones may have been seen: number two things alike, honour a token that
 * may have been used up since, or let an agent's generation be another's. */
#define TR_FENCE_SEQ 1000000
#define TR_FENCE_EPOCH 1000
#define TR_SETTING_EPOCH_FLOOR "epoch.floor"
#define TR_SETTING_OUTBOX_LINE "outbox.line"
struct tr_fence {
	uint64_t line, epoch_floor;
	uint64_t tokens;   /* revoked */
	uint64_t commands; /* that will be signed and numbered anew */
};
/* Inside the transaction that restored. */
TR_RC tr_copy_fence(struct tr_store *to, int64_t now_ms, struct tr_fence *ret, struct tr_err *err);

#endif
