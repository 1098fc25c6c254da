/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/ipc only: a call at the very end of a loop round, after the deferred ones. It lives in its
 * owner, so queueing allocates nothing and cannot fail, and the owner withdraws it when it dies. It must not
 * queue itself. */
#ifndef TR_IPC_LATE_H
#define TR_IPC_LATE_H

#include "ipc/loop.h"

struct tr_late {
	tr_watch_fn fn;
	void *arg;
	struct tr_late *next, *prev; /* NULL: not queued */
};

void tr_late_add(struct tr_loop *l, struct tr_late *late); /* nothing when it is queued already */
void tr_late_del(struct tr_late *late);

#endif
