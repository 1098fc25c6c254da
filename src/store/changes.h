/* SPDX-License-Identifier: Apache-2.0 */
/* Several nodes on one database: what each transaction touched is logged with it (table `changes`), so the others read
 * those rows anew; and leases say which node does what must be done once.
 *
 * Writers take turns (db.h: begin), so the log's order is the order of the commits. A node reads what the others did at
 * the beginning of each transaction, under the writers' lock, and whenever it is told; what it has read is numbered by
 * the last entry (the generation). A transaction that core made before it knew of another node's change of the same row
 * is a clash. Pure of clocks but one: leases are judged by the database's. */
#ifndef TR_STORE_CHANGES_H
#define TR_STORE_CHANGES_H

#include "store/store.h"

#define TR_NODE_MAX 32

struct tr_changes;

/* May several nodes share this store? */
bool tr_store_is_shared(const struct tr_store *s);
/* From here on: what is loaded after this call and what is read of the log leave no gap; core begins with the generation
 * of this moment. The store must outlive it. */
TR_RC tr_changes_new(struct tr_store *s, const char *node, struct tr_changes **ret, struct tr_err *err);
struct tr_changes *tr_changes_free(struct tr_changes *c);
TR_DEFINE_AUTO(struct tr_changes *, tr_changes_free)

/* What the other nodes have done since the last call, in the order of their commits; inside a transaction or outside.
 * TR_OP_PUT with the row as it is now, TR_OP_DELETE with its key alone, TR_OP_TELL with the row as it was told. Views live
 * during the call; fn must not use the store. TR_E_CONFLICT: so long ago that the log does not reach back; everything must
 * be loaded anew. */
typedef void (*tr_changed_fn)(void *arg, enum tr_op op, enum tr_table t, const void *row);
TR_RC tr_changes_read(struct tr_changes *c, tr_changed_fn fn, void *arg, struct tr_err *err);
/* Readable when the others may have done something (-1: the connection is away); hear takes that in. */
int tr_changes_ear(const struct tr_changes *c);
void tr_changes_hear(struct tr_changes *c);
uint64_t tr_changes_generation(const struct tr_changes *c);

/* What a transaction made at this generation may do to this row. SKIP: of what core puts together again when it hears of
 * the other node's row (pulses, alerts, BPF references), only this operation is left out. BUSY: the whole transaction is
 * to be made anew. */
enum tr_clash { TR_CLASH_NONE, TR_CLASH_SKIP, TR_CLASH_BUSY };
enum tr_clash tr_changes_clash(const struct tr_changes *c, enum tr_op op, enum tr_table t, const void *row,
			       uint64_t generation);

/* Inside a transaction: this was done. mark and back undo what a savepoint undid; log writes the entries, last before the
 * commit, and has the other nodes woken by it; ended tells how that went. */
void tr_changes_note(struct tr_changes *c, enum tr_op op, enum tr_table t, const void *row);
size_t tr_changes_mark(const struct tr_changes *c);
void tr_changes_back(struct tr_changes *c, size_t mark);
TR_RC tr_changes_log(struct tr_changes *c, struct tr_err *err);
void tr_changes_ended(struct tr_changes *c, bool committed);

/* ---- leases ---- */

#define TR_LEASE_MS 15000
#define TR_LEASE_EVERY_MS 5000
#define TR_LEASE_MARGIN_MS 1000 /* clocks that run apart: we stop so much before the others may begin */

struct tr_lease {
	uint64_t until;  /* tr_mono_ms: this node is the holder up to then; 0: it is not */
	unsigned nodes;  /* that have renewed lately, this one included */
};
/* Says that this node is there, and takes or renews the holder's lease. Once in a while the holder cuts off the log's old
 * end. A transaction of its own. */
TR_RC tr_changes_lease(struct tr_changes *c, struct tr_lease *ret, struct tr_err *err);
/* In good order: the next holder need not wait. */
void tr_changes_leave(struct tr_changes *c);

#endif
