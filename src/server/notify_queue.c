/* SPDX-License-Identifier: Apache-2.0 */
#include "server/notify.h"

#define TOOK_MAX 4096
#define BATCH_MAX 64

struct item {
	uint64_t came;  /* its place in the order, and when its group began */
	uint64_t born;  /* of this revision */
	unsigned left;  /* sinks still to be told */
	unsigned took;  /* those that were */
	struct tr_alert_row row; /* borrows from bytes */
	struct tr_buf bytes;
};

/* What was given out, by value: meanwhile an item may be replaced or dropped. */
struct given {
	char id[32];
	uint64_t rev;
};

struct sink {
	unsigned fails;
	uint64_t not_before;
	struct given batch[BATCH_MAX];
	size_t n;
};

/* A revision that one sink refused for good and others took: core offers it again later, and they are not told
 * twice. */
struct took {
	struct given what;
	unsigned sinks;
};

struct tr_outbox {
	struct item *items[TR_OUTBOX_MAX]; /* in the order they came */
	size_t n;
	unsigned sinks;
	struct sink of[TR_SINK_N];
	struct took took[TOOK_MAX];
	size_t took_at;
	uint64_t dropped;
	tr_outbox_fn fn;
	void *arg;
};

struct tr_outbox *tr_outbox_new(unsigned sinks, tr_outbox_fn fn, void *arg)
{
	struct tr_outbox *o = calloc(1, sizeof(*o));

	if (o) {
		o->sinks = sinks;
		o->fn = fn;
		o->arg = arg;
	}
	return o;
}

static void item_free(struct item *i)
{
	tr_buf_done(&i->bytes);
	free(i);
}

struct tr_outbox *tr_outbox_free(struct tr_outbox *o)
{
	for (size_t i = 0; o && i < o->n; i++)
		item_free(o->items[i]);
	free(o);
	return NULL;
}

/* ---- what it is ---- */

static bool is_given(const struct given *g, struct tr_view id, uint64_t rev)
{
	return g->rev == rev && tr_view_is(id, g->id);
}

static void give(struct given *g, const struct tr_alert_row *row)
{
	(void)snprintf(g->id, sizeof(g->id), "%.*s", TR_VIEW_FMT(row->id));
	g->rev = row->rev;
}

static struct took *took_of(struct tr_outbox *o, const struct tr_alert_row *row)
{
	for (size_t i = 0; i < TOOK_MAX; i++)
		if (is_given(&o->took[i].what, row->id, row->rev))
			return &o->took[i];
	return NULL;
}

static void remember(struct tr_outbox *o, const struct item *i)
{
	struct took *t = took_of(o, &i->row);

	if (!t) {
		t = &o->took[o->took_at++ % TOOK_MAX];
		give(&t->what, &i->row);
	}
	t->sinks = i->took;
}

static void remove_at(struct tr_outbox *o, size_t at)
{
	struct item *i = o->items[at];
	bool delivered = i->took == o->sinks;

	memmove(o->items + at, o->items + at + 1, (o->n - at - 1) * sizeof(o->items[0]));
	o->n--;
	if (!delivered && i->took)
		remember(o, i);
	o->fn(o->arg, i->row.id, i->row.rev, delivered);
	item_free(i);
}

/* True: it was the last sink's word, and the item is gone. */
static bool settle(struct tr_outbox *o, size_t at, unsigned sink_bit, bool taken)
{
	struct item *i = o->items[at];

	i->left &= ~sink_bit;
	if (taken)
		i->took |= sink_bit;
	if (i->left)
		return false;
	remove_at(o, at);
	return true;
}

/* ---- putting ---- */

static struct item *find(struct tr_outbox *o, struct tr_view id)
{
	for (size_t i = 0; i < o->n; i++)
		if (tr_view_eq(o->items[i]->row.id, id))
			return o->items[i];
	return NULL;
}

/* The oldest of the least severe. */
static size_t least(const struct tr_outbox *o)
{
	size_t at = 0;

	for (size_t i = 1; i < o->n; i++)
		if (o->items[i]->row.severity > o->items[at]->row.severity)
			at = i;
	return at;
}

static TR_RC fill(struct item *i, uint64_t now_ms, struct tr_view alert, struct tr_err *err)
{
	struct tr_buf bytes = TR_BUF_INIT;
	struct tr_alert_row row;

	tr_buf_addv(&bytes, alert);
	if (tr_buf_check(&bytes, err) || tr_record_decode(&tr_alert_def, tr_buf_view(&bytes), &row, err)) {
		tr_buf_done(&bytes);
		return err->code;
	}
	tr_buf_done(&i->bytes);
	i->bytes = bytes;
	i->row = row;
	i->born = now_ms;
	return TR_OK;
}

TR_RC tr_outbox_put(struct tr_outbox *o, uint64_t now_ms, struct tr_view alert, struct tr_err *err)
{
	struct tr_alert_row row;
	struct took *took;
	struct item *i;

	if (tr_record_decode(&tr_alert_def, alert, &row, err))
		return err->code;
	i = find(o, row.id);
	if (i && i->row.rev >= row.rev)
		return TR_OK;
	took = took_of(o, &row);
	if (i) {
		if (fill(i, now_ms, alert, err))
			return err->code;
		i->left = o->sinks;
		i->took = 0;
		return TR_OK;
	}
	if (o->n == TR_OUTBOX_MAX) {
		size_t at = least(o);

		o->dropped++;
		if (o->items[at]->row.severity < row.severity) {
			o->fn(o->arg, row.id, row.rev, false);
			return TR_OK;
		}
		remove_at(o, at);
	}
	i = calloc(1, sizeof(*i));
	if (!i || fill(i, now_ms, alert, err)) {
		free(i);
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "alert %.*s", TR_VIEW_FMT(row.id));
	}
	i->came = now_ms;
	i->took = took ? took->sinks : 0;
	i->left = o->sinks & ~i->took;
	o->items[o->n++] = i;
	(void)settle(o, o->n - 1, 0, false); /* nobody to tell */
	return TR_OK;
}

/* ---- taking ---- */

static void expire(struct tr_outbox *o, uint64_t now_ms, enum tr_sink_id sink)
{
	for (size_t i = 0; i < o->n;)
		if (!(o->items[i]->left & 1u << sink) || now_ms - o->items[i]->born < TR_OUTBOX_TRY_MS ||
		    !settle(o, i, 1u << sink, false))
			i++;
}

/* The most severe that is due, the oldest of these; NULL: *ret_wait until the first is. */
static struct item *first_due(struct tr_outbox *o, uint64_t now_ms, unsigned bit, uint64_t delay, uint64_t *ret_wait)
{
	struct item *best = NULL;

	*ret_wait = UINT64_MAX;
	for (size_t k = 0; k < o->n; k++) {
		struct item *i = o->items[k];

		if (!(i->left & bit))
			continue;
		if (i->came + delay > now_ms) {
			if (i->came + delay - now_ms < *ret_wait)
				*ret_wait = i->came + delay - now_ms;
		} else if (!best || i->row.severity < best->row.severity) {
			best = i;
		}
	}
	return best;
}

size_t tr_outbox_take(struct tr_outbox *o, uint64_t now_ms, enum tr_sink_id sink, bool grouped, size_t max,
		      const struct tr_alert_row **ret, uint64_t *ret_wait_ms)
{
	struct sink *s = &o->of[sink];
	const unsigned bit = 1u << sink;
	struct item *first;

	s->n = 0;
	expire(o, now_ms, sink);
	if (s->not_before > now_ms) {
		*ret_wait_ms = s->not_before - now_ms;
		return 0;
	}
	first = first_due(o, now_ms, bit, grouped ? TR_OUTBOX_GROUP_MS : 0, ret_wait_ms);
	if (!first)
		return 0;
	ret[0] = &first->row;
	give(&s->batch[s->n++], &first->row);
	for (size_t k = 0; k < o->n && s->n < max && s->n < BATCH_MAX; k++) {
		struct item *i = o->items[k];

		if (i == first || !(i->left & bit) || (grouped && !tr_view_eq(i->row.cause, first->row.cause)))
			continue;
		ret[s->n] = &i->row;
		give(&s->batch[s->n++], &i->row);
	}
	return s->n;
}

uint64_t tr_retry_ms(unsigned n, uint32_t dice)
{
	uint64_t ms = TR_RETRY_FIRST_MS;

	while (n-- > 1 && ms < TR_RETRY_LAST_MS)
		ms *= 2;
	/* Also at the top: receivers that failed together must not be asked together. */
	if (ms + ms / 2 > TR_RETRY_LAST_MS)
		return TR_RETRY_LAST_MS - dice % (TR_RETRY_LAST_MS / 3);
	return ms + dice % (ms / 2 + 1);
}

void tr_outbox_said(struct tr_outbox *o, uint64_t now_ms, enum tr_sink_id sink, enum tr_said said,
		    uint64_t retry_after_ms, uint32_t dice)
{
	struct sink *s = &o->of[sink];

	if (said == TR_SAID_LATER) {
		uint64_t wait = tr_retry_ms(++s->fails, dice);

		if (retry_after_ms > TR_RETRY_AFTER_MAX_MS)
			retry_after_ms = TR_RETRY_AFTER_MAX_MS;
		s->not_before = now_ms + (wait > retry_after_ms ? wait : retry_after_ms);
	} else {
		s->fails = 0;
	}
	for (size_t b = 0; b < s->n && said != TR_SAID_LATER; b++)
		for (size_t i = 0; i < o->n; i++)
			if (is_given(&s->batch[b], o->items[i]->row.id, o->items[i]->row.rev)) {
				(void)settle(o, i, 1u << sink, said == TR_SAID_TAKEN);
				break;
			}
	s->n = 0;
}

size_t tr_outbox_count(const struct tr_outbox *o)
{
	return o->n;
}

uint64_t tr_outbox_dropped(const struct tr_outbox *o)
{
	return o->dropped;
}
