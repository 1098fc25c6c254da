/* SPDX-License-Identifier: Apache-2.0 */
/* The process of the role `peer` that makes fresh evidence for other agents' challenges: the only one of them that reaches the
 * TEE or TPM, one question at a time. */
#ifndef TR_AGENT_QUOTER_H
#define TR_AGENT_QUOTER_H

#include "agent/state.h"
#include "ipc/loop.h"

#define TR_QUOTE_CHALLENGE_MIN 16
#define TR_QUOTE_CHALLENGE_MAX 64
/* The hub's have this length, which report data count in: whoever calls an agent never gets what the hub would take. */
#define TR_QUOTE_CHALLENGE_SERVER 32
#define TR_QUOTES_WAITING_MAX 8

/* The process; never returns. */
void tr_quoter_run(const struct tr_state *s, int fd) __attribute__((noreturn));

struct tr_quoter;
TR_RC tr_quoter_new(struct tr_loop *loop, int fd, void (*end)(void *arg), void *arg, struct tr_quoter **ret,
		    struct tr_err *err);
struct tr_quoter *tr_quoter_free(struct tr_quoter *q);
TR_DEFINE_AUTO(struct tr_quoter *, tr_quoter_free)
/* set: an encoded evidence set; n == 0: why says why there is none. Called once, later. */
typedef void (*tr_quoted_fn)(void *arg, struct tr_view set, struct tr_view why);
TR_RC tr_quoter_ask(struct tr_quoter *q, struct tr_view challenge, tr_quoted_fn fn, void *arg, struct tr_err *err);

#endif
