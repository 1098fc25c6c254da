/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have a connection, and for how long it may take its time. */
#include "http/inner.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/socket.h>

#define BUCKETS_MIN 64
#define BUCKETS_MAX 65536

static bool is_network(const struct in6_addr *a)
{
	return !IN6_IS_ADDR_V4MAPPED(a) && !IN6_IS_ADDR_LOOPBACK(a) && !IN6_IS_ADDR_LINKLOCAL(a);
}

static void source_key(const struct sockaddr *sa, struct in6_addr *ret)
{
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		*ret = in6.sin6_addr;
		/* Whoever has one address of a /64 has all of it (RFC 6177): counted one by one they would be no limit. */
		if (is_network(ret))
			memset(&ret->s6_addr[8], 0, 8);
		return;
	}
	/* IPv4 as its mapped form, so that a dual-stack socket counts the same machine once. */
	*ret = (struct in6_addr){ 0 };
	ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		memcpy(&ret->s6_addr[12], &in.sin_addr, 4);
	}
}

/* Seeded per process: a peer that owns a /64 chooses its addresses, it must not choose the bucket. */
static size_t bucket_of(const struct tr_http *h, const struct in6_addr *a)
{
	uint64_t w[2], x = h->source_seed;

	memcpy(w, a, sizeof(w));
	for (int i = 0; i < 2; i++) {
		x = (x ^ w[i]) * 0x9e3779b97f4a7c15u;
		x ^= x >> 29;
		x = (x + h->source_seed) * 0xbf58476d1ce4e5b9u;
		x ^= x >> 32;
	}
	return (size_t)x & h->source_mask;
}

static struct tr_http_source *source_get(struct tr_http *h, const struct sockaddr *sa)
{
	struct in6_addr key;
	struct tr_http_source *s;
	size_t b;

	source_key(sa, &key);
	b = bucket_of(h, &key);
	for (s = h->sources[b]; s; s = s->next)
		if (memcmp(&s->addr, &key, sizeof(key)) == 0)
			return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->addr = key;
	if (IN6_IS_ADDR_V4MAPPED(&key))
		(void)inet_ntop(AF_INET, &key.s6_addr[12], s->text, sizeof(s->text));
	else
		(void)inet_ntop(AF_INET6, &key, s->text, sizeof(s->text) - 3);
	if (is_network(&key))
		memcpy(s->text + strlen(s->text), "/64", sizeof("/64"));
	s->next = h->sources[b];
	h->sources[b] = s;
	return s;
}

static void source_drop_unused(struct tr_http *h, struct tr_http_source *s)
{
	struct tr_http_source **p;

	if (s->refs)
		return;
	for (p = &h->sources[bucket_of(h, &s->addr)]; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			free(s);
			return;
		}
}

static void young_add(struct tr_http_conn *c)
{
	struct tr_http_source *s = c->source;

	c->is_young = true;
	c->young_prev = s->young_last;
	if (s->young_last)
		s->young_last->young_next = c;
	else
		s->young = c;
	s->young_last = c;
}

void tr_http_grown_up(struct tr_http_conn *c)
{
	struct tr_http_source *s = c->source;

	if (!c->is_young)
		return;
	c->is_young = false;
	if (c->young_prev)
		c->young_prev->young_next = c->young_next;
	else
		s->young = c->young_next;
	if (c->young_next)
		c->young_next->young_prev = c->young_prev;
	else
		s->young_last = c->young_prev;
	c->young_prev = c->young_next = NULL;
}

static void arm(struct tr_http *h)
{
	uint64_t first = 0, now;

	for (int q = 0; q < TR_Q_TIMED; q++) {
		const struct tr_http_conn *c = h->queues[q].first;

		if (c && (!first || c->deadline_ms < first))
			first = c->deadline_ms;
	}
	if (!first || (h->deadline_armed_ms && h->deadline_armed_ms <= first))
		return;
	now = tr_mono_ms();
	h->deadline_armed_ms = first;
	tr_timer_arm(h->deadline_timer, first > now ? first - now : 0);
}

static void unqueue(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;

	if (c->prev)
		c->prev->next = c->next;
	else
		h->queues[c->queue].first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		h->queues[c->queue].last = c->prev;
	c->prev = c->next = NULL;
}

static void enqueue(struct tr_http_conn *c, enum tr_http_queue q)
{
	struct tr_http *h = c->h;

	c->queue = (uint8_t)q;
	c->prev = h->queues[q].last;
	if (c->prev)
		c->prev->next = c;
	else
		h->queues[q].first = c;
	h->queues[q].last = c;
	if (q >= TR_Q_TIMED)
		return;
	/* One duration per queue: appending keeps it sorted. */
	c->deadline_ms = tr_mono_ms() + h->queues[q].ms;
	if (!h->deadline_armed_ms || c->deadline_ms < h->deadline_armed_ms)
		arm(h);
}

void tr_http_queue(struct tr_http_conn *c, enum tr_http_queue q)
{
	if (c->dead)
		return;
	unqueue(c);
	enqueue(c, q);
}

void tr_http_end(struct tr_http_conn *c)
{
	if (c->dead)
		return;
	tr_http_queue(c, TR_Q_DEAD);
	tr_http_grown_up(c);
	c->dead = true;
	c->source->live--;
	c->h->live--;
	/* Its epoll reports the hang-up, and libmicrohttpd closes as if the peer had gone. */
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void on_deadline(void *arg)
{
	struct tr_http *h = arg;
	uint64_t now = tr_mono_ms();

	h->deadline_armed_ms = 0;
	for (int q = 0; q < TR_Q_TIMED; q++)
		for (struct tr_http_conn *c; (c = h->queues[q].first) && c->deadline_ms <= now;) {
			if (q != TR_Q_IDLE)
				h->stats.timeouts++;
			tr_http_end(c);
		}
	arm(h);
}

/* Makes room by ending the connection that has waited longest without showing a whole request: under a flood those
 * who have talked stay, and a newcomer has a chance. */
static bool make_room(struct tr_http *h, struct tr_http_source *s)
{
	struct tr_http_conn *victim = NULL;

	if (h->c.limits.per_source && s->live >= h->c.limits.per_source) {
		victim = s->young;
	} else if (h->live >= h->c.limits.connections) {
		/* Grown-up connections in mid-head are few in front of the queue: a short look is enough. */
		victim = h->queues[TR_Q_HEAD].first;
		for (int i = 0; victim && !victim->is_young && i < 16; i++)
			victim = victim->next;
		if (victim && !victim->is_young)
			victim = NULL;
	} else {
		return true;
	}
	if (!victim)
		return false;
	h->stats.refused_limit++;
	tr_http_end(victim);
	return h->live < h->c.limits.connections;
}

struct tr_http_conn *tr_http_admit(struct tr_http *h, const struct sockaddr *addr, int fd)
{
	struct tr_http_source *s = source_get(h, addr);
	struct tr_http_conn *c = NULL;

	if (s && make_room(h, s))
		c = calloc(1, sizeof(*c));
	if (!c) {
		h->stats.refused_limit++;
		if (s)
			source_drop_unused(h, s);
		return NULL;
	}
	*c = (struct tr_http_conn){ .h = h, .source = s, .fd = fd };
	s->refs++;
	s->live++;
	h->live++;
	h->open++;
	young_add(c);
	enqueue(c, TR_Q_HEAD);
	return c;
}

void tr_http_conn_free(struct tr_http_conn *c)
{
	struct tr_http *h = c->h;

	tr_http_tls_end(c);
	unqueue(c);
	tr_http_grown_up(c);
	if (!c->dead) {
		c->source->live--;
		h->live--;
	}
	h->open--;
	c->source->refs--;
	source_drop_unused(h, c->source);
	free(c);
}

TR_RC tr_http_limits_init(struct tr_http *h, struct tr_err *err)
{
	const struct tr_http_limits *l = &h->c.limits;
	size_t n = BUCKETS_MIN;

	while (n < l->connections && n < BUCKETS_MAX)
		n *= 2;
	h->sources = calloc(n, sizeof(*h->sources));
	if (!h->sources)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "source table");
	h->source_mask = n - 1;
	if (getrandom(&h->source_seed, sizeof(h->source_seed), 0) != sizeof(h->source_seed))
		return tr_err_errno(err, "getrandom");
	h->queues[TR_Q_HEAD].ms = (uint64_t)l->header_s * 1000;
	h->queues[TR_Q_BODY].ms = (uint64_t)l->body_s * 1000;
	h->queues[TR_Q_SEND].ms = (uint64_t)l->body_s * 1000;
	h->queues[TR_Q_IDLE].ms = (uint64_t)l->idle_s * 1000;
	return tr_watch_timer(h->loop, on_deadline, h, &h->deadline_timer, err);
}

void tr_http_limits_done(struct tr_http *h)
{
	h->deadline_timer = tr_watch_free(h->deadline_timer);
	free(h->sources);
	h->sources = NULL;
}
