/* SPDX-License-Identifier: Apache-2.0 */
/* What the two readers of collateral share: tcb_read.c (documents, modules) and tcb_levels.c. */
#ifndef TR_EVIDENCE_TCB_INNER_H
#define TR_EVIDENCE_TCB_INNER_H

#include "evidence/tcb.h"

#define TR_TCB_PUB "the collateral document is not what its maker serves"

/* One member that an object has; all of them are picked in one walk. */
struct tr_tcb_want {
	const char *name;
	enum tr_jtok type;
	struct tr_jval *ret;
	bool optional;
};

enum tr_code tr_tcb_malformed(struct tr_err *err, const char *what);
TR_RC tr_tcb_pick(const struct tr_jval *object, const struct tr_tcb_want *wants, size_t n, struct tr_err *err);
bool tr_tcb_uint(const struct tr_jval *v, uint64_t max, uint64_t *ret);
/* "2025-05-10T00:45:00Z" and nothing else. */
bool tr_tcb_time(const struct tr_jval *v, int64_t *ret);

/* Adds the array's levels to out[*n…], highest first. */
TR_RC tr_tcb_svn_levels(const struct tr_jval *array, struct tr_svn_level *out, size_t *n, struct tr_err *err);
TR_RC tr_tcb_levels(const struct tr_jval *array, struct tr_tcb_info *t, struct tr_err *err);

#endif
