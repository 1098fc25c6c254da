/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/signals.h"

#include "base/clock.h"

#include <time.h>

#define NAP_MAX_MS 30000

static volatile sig_atomic_t stop_asked, cancel_asked;

static void on_stop(int sig)
{
	stop_asked = cancel_asked = sig;
}

/* Only while an exchange waits. */
static void on_wake(int sig)
{
	cancel_asked = sig;
}

static sigset_t stop_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	return set;
}

static sigset_t all_signals(void)
{
	sigset_t set = stop_signals();

	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	return set;
}

TR_RC tr_signals_take(struct tr_err *err)
{
	const struct sigaction stop = { .sa_handler = on_stop }, wake = { .sa_handler = on_wake },
			       ignore = { .sa_handler = SIG_IGN };
	sigset_t set = all_signals();

	if (sigprocmask(SIG_BLOCK, &set, NULL) || sigaction(SIGTERM, &stop, NULL) ||
	    sigaction(SIGINT, &stop, NULL) || sigaction(SIGHUP, &wake, NULL) ||
	    sigaction(SIGUSR1, &wake, NULL) || sigaction(SIGPIPE, &ignore, NULL) ||
	    /* A file that may not grow is an error of the write, and no end of the process. */
	    sigaction(SIGXFSZ, &ignore, NULL))
		return tr_err_errno(err, "signals");
	return TR_OK;
}

const volatile sig_atomic_t *tr_signals_stop(void)
{
	return &stop_asked;
}

const volatile sig_atomic_t *tr_signals_cancel(void)
{
	return &cancel_asked;
}

void tr_signals_forget_stop(void)
{
	stop_asked = cancel_asked = 0;
}

TR_RC tr_signals_do(struct tr_client *c, const struct tr_client_request *req, struct tr_client_answer *a,
		    struct tr_err *err)
{
	sigset_t set = stop_signals();
	enum tr_code rc;

	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	rc = tr_client_do(c, req, a, err);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return rc;
}

TR_RC tr_signals_wait(struct tr_client *c, const struct tr_client_request *req, struct tr_client_answer *a,
		      int *ret_sig, struct tr_err *err)
{
	sigset_t set = all_signals();
	enum tr_code rc;

	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	rc = tr_client_do(c, req, a, err);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	*ret_sig = cancel_asked;
	cancel_asked = stop_asked;
	return rc;
}

int tr_signals_sleep(uint64_t ms)
{
	uint64_t until = tr_mono_ms() + ms;
	sigset_t set = all_signals();

	for (;;) {
		uint64_t now = tr_mono_ms(), left = until > now ? until - now : 0;
		/* The clock of the wait stands still while the machine is suspended; ours does not. Short
		 * naps keep the two together. */
		uint64_t nap = left > NAP_MAX_MS ? NAP_MAX_MS : left;
		struct timespec t = { .tv_sec = (time_t)(nap / 1000),
				      .tv_nsec = (long)(nap % 1000) * 1000000 };
		int sig = sigtimedwait(&set, NULL, &t);

		if (sig > 0)
			return sig;
		if (tr_mono_ms() >= until)
			return 0;
	}
}
