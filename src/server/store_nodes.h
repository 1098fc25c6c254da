/* SPDX-License-Identifier: Apache-2.0 */
/* The role `store` as one of several nodes: what the others changed goes to core, and this node's lease is renewed. Where a
 * store is of one node only, all of this does nothing. */
#ifndef TR_SERVER_STORE_NODES_H
#define TR_SERVER_STORE_NODES_H

#include "server/msg.h"
#include "store/changes.h"

struct tr_nodes;

/* At core's first word, before it loads: from here on nothing is missed. *ret stays NULL where there can be no others. */
TR_RC tr_nodes_new(struct tr_store *store, struct tr_chan *core, struct tr_view node, struct tr_nodes **ret,
		   struct tr_err *err);
struct tr_nodes *tr_nodes_free(struct tr_nodes *n); /* gives the lease back */
struct tr_changes *tr_nodes_changes(struct tr_nodes *n); /* NULL for NULL */
/* Core has loaded: sends it what has changed since, from now on whenever it is asked to. */
void tr_nodes_loaded(struct tr_nodes *n);
/* Inside a transaction or outside: core hears of what the others have done. */
TR_RC tr_nodes_read(struct tr_nodes *n, struct tr_err *err);
/* That, and the lease when it is due. TR_E_CONFLICT: everything must be loaded anew. */
TR_RC tr_nodes_turn(struct tr_nodes *n, struct tr_err *err);
/* One operation of a transaction that core made at this generation: *ret_skip when it is to be left out. TR_E_BUSY: another
 * node was quicker. */
TR_RC tr_nodes_judge(struct tr_nodes *n, enum tr_op op, enum tr_table t, const void *row, uint64_t generation,
		     bool *ret_skip, struct tr_err *err);

#endif
