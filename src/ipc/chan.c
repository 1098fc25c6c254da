/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/chan.h"

#include "base/clock.h"
#include "ipc/late.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* One read takes what a full socket holds (net.core.wmem_default), so that a burst is one system call. */
#define READ_MIN ((size_t)256 << 10)
/* Bytes waiting for a peer that does not read; beyond it the peer is given up. Callers that produce in bulk
 * ask tr_chan_queued first. */
#define QUEUE_MAX ((size_t)64 << 20)
/* Memory that one large frame or burst left behind is returned above this. */
#define KEEP_MAX ((size_t)1 << 20)

/* A channel is in one of these states; `paused` is apart, and only `OPEN` reads or delivers.
 *
 *   OPEN --peer gone, protocol broken, queue over its limit--> ENDING --end callback ran--> ENDED
 */
enum state { OPEN, ENDING, ENDED };

struct tr_chan {
	struct tr_loop *loop;
	int fd;
	enum state state;
	bool paused;
	bool unwritable; /* the peer no longer reads: output is dropped, input still delivered */
	bool blocked;	 /* the socket is full: wait for it, not for the end of the round */
	bool delivering; /* a frame callback is running */
	bool freed;	 /* by such a callback */
	const struct tr_frame_rule *rules;
	tr_chan_end_fn end;
	void *arg;
	const char *why;
	uint8_t *in;
	size_t in_at, in_n, in_cap; /* bytes in_at..in_n are unread */
	struct tr_buf out;
	size_t out_at; /* bytes before it are sent */
	struct tr_watch *readable, *writable;
	struct tr_late flush, later; /* later: deliver what a pause held back, or run the end callback */
};

static void finish(struct tr_chan *c, const char *why)
{
	if (c->state != OPEN)
		return;
	c->state = ENDING;
	c->why = why;
	tr_watch_enable(c->readable, false);
	tr_watch_enable(c->writable, false);
	tr_late_del(&c->flush);
	/* Never from inside tr_chan_send: its caller may be walking what the callback frees. */
	tr_late_add(c->loop, &c->later);
}

static void out_reset(struct tr_chan *c)
{
	c->out_at = 0;
	if (c->out.cap > KEEP_MAX)
		tr_buf_done(&c->out);
	else
		tr_buf_clear(&c->out);
}

/* Sends what the kernel takes; true when nothing is left. */
static bool send_some(struct tr_chan *c)
{
	while (tr_chan_queued(c)) {
		ssize_t n = send(c->fd, c->out.p + c->out_at, tr_chan_queued(c), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			c->out_at += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			/* Its last words may still be in our socket: the reading side finds the end, after
			 * them. */
			c->unwritable = true;
			out_reset(c);
			return true;
		} else if (errno != EINTR) {
			finish(c, "write failed");
			out_reset(c);
			return true;
		}
	}
	if (tr_chan_queued(c)) {
		/* Amortised: at most as many bytes are moved as were sent. */
		if (c->out_at > c->out.n / 2) {
			memmove(c->out.p, c->out.p + c->out_at, tr_chan_queued(c));
			c->out.n -= c->out_at;
			c->out_at = 0;
		}
		return false;
	}
	out_reset(c);
	return true;
}

static void flush(void *arg)
{
	struct tr_chan *c = arg;
	bool blocked = !send_some(c);

	if (blocked != c->blocked)
		tr_watch_enable(c->writable, blocked);
	c->blocked = blocked;
}

static size_t unread(const struct tr_chan *c)
{
	return c->in_n - c->in_at;
}

/* Delivers whole frames until one is missing bytes, or a callback pauses, ends or frees. False when c is
 * gone. */
static bool deliver(struct tr_chan *c)
{
	c->delivering = true;
	while (c->state == OPEN && !c->paused && !c->freed) {
		struct tr_err err;
		struct tr_frame f;
		size_t used;

		if (tr_frame_parse(tr_view(c->in + c->in_at, unread(c)), c->rules, &f, &used, &err)) {
			finish(c, err.pub);
			break;
		}
		if (!used)
			break;
		c->in_at += used;
		c->rules[f.type].fn(c->arg, c, &f);
	}
	c->delivering = false;
	if (c->freed) {
		c->freed = false;
		(void)tr_chan_free(c);
		return false;
	}
	return true;
}

/* Room for a useful read, and at least one byte of it. */
static bool in_reserve(struct tr_chan *c)
{
	size_t cap = c->in_cap;
	uint8_t *in;

	if (c->in_at) {
		memmove(c->in, c->in + c->in_at, unread(c));
		c->in_n -= c->in_at;
		c->in_at = 0;
	}
	/* A full buffer is the start of one long frame, of an allowed length: deliver() has judged its
	 * header. The length is only a promise, so memory doubles with what has arrived instead of being
	 * handed out in advance. */
	if (cap < READ_MIN || (cap > KEEP_MAX && c->in_n < READ_MIN))
		cap = READ_MIN;
	else if (c->in_n == cap)
		cap *= 2;
	if (cap == c->in_cap)
		return true;
	in = realloc(c->in, cap);
	if (!in)
		return false;
	c->in = in;
	c->in_cap = cap;
	return true;
}

static void on_readable(void *arg)
{
	struct tr_chan *c = arg;
	ssize_t n;

	if (!in_reserve(c)) {
		finish(c, "out of memory");
		return;
	}
	/* One read per round keeps many channels fair; level-triggering brings us back. */
	n = recv(c->fd, c->in + c->in_n, c->in_cap - c->in_n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n < 0 && errno == ECONNRESET)
		n = 0; /* it closed with our bytes unread */
	if (n < 0) {
		finish(c, "read failed");
		return;
	}
	if (n == 0) {
		finish(c, unread(c) ? "peer closed in the middle of a frame" : "peer closed");
		return;
	}
	c->in_n += (size_t)n;
	(void)deliver(c);
}

static void on_writable(void *arg)
{
	flush(arg);
}

static void on_later(void *arg)
{
	struct tr_chan *c = arg;

	if (c->state == OPEN) {
		if (!deliver(c) || c->state != OPEN || c->paused)
			return;
		tr_watch_enable(c->readable, true);
	} else if (c->state == ENDING) {
		c->state = ENDED;
		c->end(c->arg, c, c->why);
	}
}

TR_RC tr_chan_new(struct tr_loop *loop, int fd, const struct tr_frame_rule *rules, tr_chan_end_fn end,
		  void *arg, struct tr_chan **ret, struct tr_err *err)
{
	tr_auto(tr_chan_free) struct tr_chan *c = calloc(1, sizeof(*c));
	enum tr_code rc;

	if (!c) {
		(void)tr_close(fd);
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "channel");
	}
	*c = (struct tr_chan){ .loop = loop, .fd = fd, .rules = rules, .end = end, .arg = arg };
	/* Sent bytes are moved away late, see send_some. */
	c->out.max = 2 * QUEUE_MAX;
	c->flush = (struct tr_late){ .fn = flush, .arg = c };
	c->later = (struct tr_late){ .fn = on_later, .arg = c };
	rc = tr_watch_fd(loop, fd, TR_WATCH_READ, on_readable, c, &c->readable, err);
	if (!rc)
		rc = tr_watch_fd(loop, fd, TR_WATCH_WRITE, on_writable, c, &c->writable, err);
	if (rc)
		return tr_err_wrap(err, "channel");
	tr_watch_enable(c->writable, false);
	*ret = TR_TAKE(c);
	return TR_OK;
}

struct tr_chan *tr_chan_free(struct tr_chan *c)
{
	if (!c)
		return NULL;
	c->state = ENDED;
	if (c->delivering) {
		c->freed = true; /* deliver() is below us on the stack and frees it */
		return NULL;
	}
	tr_late_del(&c->flush);
	tr_late_del(&c->later);
	(void)tr_watch_free(c->readable);
	(void)tr_watch_free(c->writable);
	(void)tr_close(c->fd);
	tr_buf_done(&c->out);
	free(c->in);
	free(c);
	return NULL;
}

/* Reserves a header; false when the peer is gone and frames go nowhere. */
static bool frame_begin(struct tr_chan *c, size_t *ret_at)
{
	if (c->state != OPEN || c->unwritable)
		return false;
	*ret_at = c->out.n;
	(void)tr_buf_space(&c->out, TR_FRAME_HEAD); /* failure sticks until frame_end */
	return true;
}

static void frame_end(struct tr_chan *c, size_t at, uint16_t type, uint64_t id)
{
	if (!tr_buf_ok(&c->out)) {
		finish(c, "out of memory");
		return;
	}
	if (tr_chan_queued(c) > QUEUE_MAX) {
		finish(c, "the peer does not read: too much is queued for it");
		return;
	}
	tr_frame_head(c->out.p + at, type, id, (uint32_t)(c->out.n - at - TR_FRAME_HEAD));
	if (!c->blocked)
		tr_late_add(c->loop, &c->flush);
}

void tr_chan_send(struct tr_chan *c, uint16_t type, uint64_t id, struct tr_view payload)
{
	size_t at;

	if (!frame_begin(c, &at))
		return;
	tr_buf_addv(&c->out, payload);
	frame_end(c, at, type, id);
}

void tr_chan_send_record(struct tr_chan *c, uint16_t type, uint64_t id, const struct tr_record *def,
			 const void *rec)
{
	size_t at;

	if (!frame_begin(c, &at))
		return;
	/* Encoded straight into the queue: a record is copied once on its way out. */
	tr_record_encode(def, rec, &c->out);
	frame_end(c, at, type, id);
}

size_t tr_chan_queued(const struct tr_chan *c)
{
	return c->out.n - c->out_at;
}

void tr_chan_flush(struct tr_chan *c, unsigned timeout_ms)
{
	uint64_t end_ms = tr_mono_ms() + timeout_ms;

	while (c->state == OPEN && !c->freed && !send_some(c)) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };
		uint64_t now_ms = tr_mono_ms();

		if (now_ms >= end_ms)
			break;
		(void)poll(&p, 1, (int)(end_ms - now_ms < 1000 ? end_ms - now_ms : 1000));
	}
}

void tr_chan_pause(struct tr_chan *c, bool paused)
{
	if (c->paused == paused || c->state != OPEN)
		return;
	c->paused = paused;
	if (paused)
		tr_watch_enable(c->readable, false);
	else if (c->delivering)
		tr_watch_enable(c->readable, true);
	else
		tr_late_add(c->loop, &c->later); /* held-back frames come before new ones */
}
