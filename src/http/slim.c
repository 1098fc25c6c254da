/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd clears a connection's whole memory after each request, so that all of it stays resident while the connection
 * idles: with room for large headers that would be most of what an idle agent costs. Pages of it that hold nothing but
 * zeros go back to the system, which gives zeros again when they are touched: whoever uses them sees no difference, and so
 * it does not matter what libmicrohttpd keeps where. */
#include "http/inner.h"

#include <sys/mman.h>
#include <unistd.h>

#define SLIM_MS 1000
#define MARGIN 512u /* the request line stands near the beginning of the memory, not at its very first byte */

static bool is_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static void slim(struct tr_http_conn *c, size_t page)
{
	uintptr_t from = ((uintptr_t)c->memory + page - 1) & ~(uintptr_t)(page - 1);
	uintptr_t end = ((uintptr_t)c->memory + c->h->c.limits.pool - MARGIN) & ~(uintptr_t)(page - 1);

	for (uintptr_t at = from; at < end; at += page)
		if (is_zero((const uint8_t *)at, page))
			(void)madvise((void *)at, page, MADV_DONTNEED);
	c->fat = false;
}

static void slim_all(struct tr_http *h, enum tr_http_queue q, size_t page)
{
	for (struct tr_http_conn *c = h->queues[q].first; c; c = c->next)
		if (c->fat && c->memory)
			slim(c, page);
}

static void on_time(void *arg)
{
	struct tr_http *h = arg;
	long page = sysconf(_SC_PAGESIZE);

	h->slim_armed = false;
	if (page <= 0)
		return;
	slim_all(h, TR_Q_IDLE, (size_t)page);
	slim_all(h, TR_Q_WAIT, (size_t)page); /* a question that waits for its answer is as quiet */
}

TR_RC tr_http_slim_init(struct tr_http *h, struct tr_err *err)
{
	return tr_watch_timer(h->loop, on_time, h, &h->slim_timer, err);
}

void tr_http_slim_soon(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;

	/* What fits into a page or two has nothing to give back. */
	if (h->c.limits.pool <= 4096 || !h->slim_timer)
		return;
	c->fat = true;
	if (h->slim_armed)
		return;
	h->slim_armed = true;
	tr_timer_arm(h->slim_timer, SLIM_MS);
}
