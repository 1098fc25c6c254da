/* SPDX-License-Identifier: Apache-2.0 */
/* Requests per source and route, counted across all fronts in one shared page range (a memfd the supervisor makes).
 * Each slot is one 64-bit "theoretical arrival time" of the generic cell rate algorithm (ITU-T I.371), so that a check
 * is one compare-and-swap. Slots are chosen by a keyed hash: two sources may share one, none can choose whom it meets. */
#ifndef TR_SERVER_RATE_H
#define TR_SERVER_RATE_H

#include "base/err.h"
#include "base/view.h"

#define TR_RATE_BYTES (65536u * 8u)

struct tr_rate;

/* A fresh shared table; the descriptor is inherited by the fronts. */
TR_RC tr_rate_create(int *ret_fd, struct tr_err *err);
TR_RC tr_rate_open(int fd, struct tr_rate **ret, struct tr_err *err);
struct tr_rate *tr_rate_free(struct tr_rate *r);
TR_DEFINE_AUTO(struct tr_rate *, tr_rate_free)

/* May this source do this now? per_minute on average, bursts of a sixth of that (at least 5). When not, *ret_wait_s says
 * after how many seconds it may. now_ms is a monotonic clock shared by all processes. */
bool tr_rate_allow(struct tr_rate *r, struct tr_view source, unsigned route, unsigned per_minute, uint64_t now_ms,
		   unsigned *ret_wait_s);

#endif
