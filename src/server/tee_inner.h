/* SPDX-License-Identifier: Apache-2.0 */
/* What tee_state.c, tee_watch.c, tee_show.c and result_key.c share. */
#ifndef TR_SERVER_TEE_INNER_H
#define TR_SERVER_TEE_INNER_H

#include "server/attest.h"
#include "server/tee_policies.h"

struct tr_tee_state {
	struct tr_collateral bundle;
	struct tr_buf items;
	bool reading, again;      /* the verifier is looking at the bundle; something changed meanwhile */
	bool making;              /* a result key */
	struct tr_tee_counts counts;
	uint64_t looked_at, forgot_at; /* monotonic */
	int64_t expired_up_to;    /* Unix ms: whose end has been told */
};

#endif
