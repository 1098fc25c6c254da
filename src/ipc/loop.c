/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/loop.h"

#include "ipc/late.h"

#include <event2/event.h>
#include <signal.h>

struct call {
	tr_watch_fn fn;
	void *arg;
};

struct tr_loop {
	struct event_base *base;
	bool stopped;
	struct call *calls; /* the deferred ones of this round */
	size_t n_calls, cap_calls;
	struct tr_late late; /* list head */
};

struct tr_watch {
	struct event *ev;
	tr_watch_fn fn;
	void *arg;
};

/* Its warnings repeat, unformatted, the errors that we return. */
static void no_log(int severity, const char *msg)
{
	(void)severity;
	(void)msg;
}

TR_RC tr_loop_new(struct tr_loop **ret, struct tr_err *err)
{
	tr_auto(tr_loop_free) struct tr_loop *l = calloc(1, sizeof(*l));
	struct event_config *cfg = event_config_new();

	event_set_log_callback(no_log);
	if (l)
		l->late.next = l->late.prev = &l->late;
	if (l && cfg) {
		/* IGNORE_ENV: the environment must not choose our kernel interface. NOLOCK: one thread.
		 * Everything else is the default on purpose: level-triggered epoll, no change list, no
		 * timerfd; all descriptors that libevent wants (epoll, the signal pipe) are opened here, so a
		 * filter may be installed later. */
		(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
		(void)event_config_require_features(cfg, EV_FEATURE_O1);
		l->base = event_base_new_with_config(cfg);
	}
	if (cfg)
		event_config_free(cfg);
	if (!l || !l->base)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory or descriptors", "no event loop");
	*ret = TR_TAKE(l);
	return TR_OK;
}

struct tr_loop *tr_loop_free(struct tr_loop *l)
{
	if (l) {
		if (l->base)
			event_base_free(l->base);
		free(l->calls);
		free(l);
	}
	return NULL;
}

static void run_calls(struct tr_loop *l)
{
	/* Calls that defer again wait for the next round, so that a busy one cannot starve the descriptors.
	 */
	size_t n = l->n_calls;

	for (size_t i = 0; i < n; i++) {
		struct call c = l->calls[i];

		c.fn(c.arg);
	}
	if (n)
		memmove(l->calls, l->calls + n, (l->n_calls - n) * sizeof(*l->calls));
	l->n_calls -= n;
}

static void run_late(struct tr_loop *l)
{
	while (l->late.next != &l->late) {
		struct tr_late *late = l->late.next;

		tr_late_del(late);
		late->fn(late->arg);
	}
}

void tr_loop_run(struct tr_loop *l)
{
	/* What was queued before the first round must not wait for an event. */
	run_calls(l);
	run_late(l);
	while (!l->stopped) {
		int rc = event_base_loop(l->base, l->n_calls ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);

		if (rc < 0 || (rc == 1 && !l->n_calls))
			break; /* nothing is left that could ever happen */
		run_calls(l);
		run_late(l);
	}
	l->stopped = false;
}

void tr_loop_stop(struct tr_loop *l)
{
	l->stopped = true;
}

TR_RC tr_loop_defer(struct tr_loop *l, tr_watch_fn fn, void *arg, struct tr_err *err)
{
	if (l->n_calls == l->cap_calls) {
		size_t cap = l->cap_calls ? l->cap_calls * 2 : 16;
		struct call *calls = reallocarray(l->calls, cap, sizeof(*calls));

		if (!calls)
			return tr_err_set(err, TR_E_INTERNAL, "out of memory", "deferred call");
		l->calls = calls;
		l->cap_calls = cap;
	}
	l->calls[l->n_calls++] = (struct call){ fn, arg };
	return TR_OK;
}

void tr_late_add(struct tr_loop *l, struct tr_late *late)
{
	if (late->next)
		return;
	late->next = &l->late;
	late->prev = l->late.prev;
	late->prev->next = late;
	l->late.prev = late;
}

void tr_late_del(struct tr_late *late)
{
	if (!late->next)
		return;
	late->prev->next = late->next;
	late->next->prev = late->prev;
	late->next = late->prev = NULL;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct tr_watch *w = arg;

	(void)fd;
	(void)what;
	w->fn(w->arg); /* may free w */
}

static TR_RC watch_new(struct tr_loop *l, int fd, short what, tr_watch_fn fn, void *arg,
		       struct tr_watch **ret, struct tr_err *err)
{
	tr_auto(tr_watch_free) struct tr_watch *w = calloc(1, sizeof(*w));

	if (w) {
		*w = (struct tr_watch){ .fn = fn, .arg = arg };
		w->ev = event_new(l->base, fd, what, on_event, w);
	}
	if (!w || !w->ev)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "event watch");
	*ret = TR_TAKE(w);
	return TR_OK;
}

static TR_RC watch_new_on(struct tr_loop *l, int fd, short what, tr_watch_fn fn, void *arg,
			  struct tr_watch **ret, struct tr_err *err)
{
	tr_auto(tr_watch_free) struct tr_watch *w = NULL;
	enum tr_code rc = watch_new(l, fd, what, fn, arg, &w, err);

	if (rc)
		return rc;
	if (event_add(w->ev, NULL))
		return tr_err_errno(err, "watch %s %d", what & EV_SIGNAL ? "signal" : "descriptor", fd);
	*ret = TR_TAKE(w);
	return TR_OK;
}

TR_RC tr_watch_fd(struct tr_loop *l, int fd, unsigned what, tr_watch_fn fn, void *arg, struct tr_watch **ret,
		  struct tr_err *err)
{
	short ev = EV_PERSIST;

	if (what & TR_WATCH_READ)
		ev = (short)(ev | EV_READ);
	if (what & TR_WATCH_WRITE)
		ev = (short)(ev | EV_WRITE);
	return watch_new_on(l, fd, ev, fn, arg, ret, err);
}

TR_RC tr_watch_signal(struct tr_loop *l, int signo, tr_watch_fn fn, void *arg, struct tr_watch **ret,
		      struct tr_err *err)
{
	return watch_new_on(l, signo, EV_SIGNAL | EV_PERSIST, fn, arg, ret, err);
}

TR_RC tr_watch_timer(struct tr_loop *l, tr_watch_fn fn, void *arg, struct tr_watch **ret, struct tr_err *err)
{
	return watch_new(l, -1, 0, fn, arg, ret, err);
}

/* Only out of memory gets here; a timer or descriptor that silently never fires would be a hang without a
 * reason. */
static void must(int rc)
{
	if (rc)
		abort();
}

void tr_timer_arm(struct tr_watch *w, uint64_t in_ms)
{
	/* libevent refuses to add times that overflow; a century is as good as never. */
	const uint64_t century_ms = UINT64_C(100) * 366 * 86400 * 1000;
	uint64_t ms = in_ms < century_ms ? in_ms : century_ms;
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	must(event_add(w->ev, &tv));
}

void tr_timer_stop(struct tr_watch *w)
{
	(void)event_del(w->ev);
}

void tr_watch_enable(struct tr_watch *w, bool on)
{
	if (on)
		must(event_add(w->ev, NULL));
	else
		(void)event_del(w->ev);
}

struct tr_watch *tr_watch_free(struct tr_watch *w)
{
	if (w) {
		if (w->ev)
			event_free(w->ev);
		free(w);
	}
	return NULL;
}
