/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that core has asked other roles and not heard back about: id → what to do with the answer. Ids carry a
 * generation, so a late or forged answer to a forgotten question finds nothing. */
#ifndef TR_SERVER_CALLS_H
#define TR_SERVER_CALLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define TR_CALLS_MAX 16384

struct tr_calls;

/* answer: the role's record struct for the question asked; NULL when the role died before answering. */
typedef void (*tr_call_fn)(void *arg, const void *answer);

struct tr_calls *tr_calls_new(void);
struct tr_calls *tr_calls_free(struct tr_calls *c);
TR_DEFINE_AUTO(struct tr_calls *, tr_calls_free)
/* whom: the asked role's channel, so that its death can be told. 0 when the table is full. */
uint64_t tr_calls_add(struct tr_calls *c, const void *whom, tr_call_fn fn, void *arg);
/* Takes the question out and calls it; false when the id is not live or was asked of somebody else. */
bool tr_calls_end(struct tr_calls *c, const void *whom, uint64_t id, const void *answer);
/* Ends every question asked of whom with NULL. */
void tr_calls_fail(struct tr_calls *c, const void *whom);
/* Once a second: everybody waits a second longer. Returns whom somebody has waited for longer than limit_s, or NULL: a role
 * that hangs is told from one that is busy only by time. */
const void *tr_calls_tick(struct tr_calls *c, unsigned limit_s);
/* Who says himself that he cannot answer yet does not hang. */
void tr_calls_excuse(struct tr_calls *c, const void *whom);
unsigned tr_calls_count(const struct tr_calls *c);

#endif
