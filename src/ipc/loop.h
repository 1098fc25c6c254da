/* SPDX-License-Identifier: Apache-2.0 */
/* The one event loop of a role (libevent core behind it), single-threaded. */
#ifndef TR_IPC_LOOP_H
#define TR_IPC_LOOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct tr_loop;
struct tr_watch; /* an fd, a signal or a timer */

TR_RC tr_loop_new(struct tr_loop **ret, struct tr_err *err);
struct tr_loop *tr_loop_free(struct tr_loop *l);
TR_DEFINE_AUTO(struct tr_loop *, tr_loop_free)
void tr_loop_run(struct tr_loop *l);  /* until tr_loop_stop */
void tr_loop_stop(struct tr_loop *l);

typedef void (*tr_watch_fn)(void *arg);
#define TR_WATCH_READ 1u
#define TR_WATCH_WRITE 2u
TR_RC tr_watch_fd(struct tr_loop *l, int fd, unsigned what, tr_watch_fn fn, void *arg, struct tr_watch **ret,
		  struct tr_err *err);
TR_RC tr_watch_signal(struct tr_loop *l, int signo, tr_watch_fn fn, void *arg, struct tr_watch **ret,
		      struct tr_err *err);
/* A timer, idle until armed. */
TR_RC tr_watch_timer(struct tr_loop *l, tr_watch_fn fn, void *arg, struct tr_watch **ret, struct tr_err *err);
void tr_timer_arm(struct tr_watch *w, uint64_t in_ms); /* once; re-arming moves it */
void tr_timer_stop(struct tr_watch *w);
/* Enables or disables an fd watch. */
void tr_watch_enable(struct tr_watch *w, bool on);
struct tr_watch *tr_watch_free(struct tr_watch *w);
TR_DEFINE_AUTO(struct tr_watch *, tr_watch_free)
/* Runs fn once at the end of the current round, after all ready events. */
TR_RC tr_loop_defer(struct tr_loop *l, tr_watch_fn fn, void *arg, struct tr_err *err);

#endif
