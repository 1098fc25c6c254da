/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/inner.h"

#include "codec/text.h"

#include <ctype.h>
#include <stdio.h>

#define BUCKETS 16384u
#define MINUTE_MS 60000
#define FLAPS 4096u
#define FLAPS_TOLD 3u            /* so often in a row a quick end is told at once */
#define CALM_MS INT64_C(600000)
/* Of the stored row's fields (store/records.c). */
#define KIND_MAX 32
#define SUBJECT_MAX 128
#define CAUSE_MAX 128
#define SENTENCE_MAX 512
#define WHO_MAX 80
#define WHY_MAX 256

enum { OWN_KIND, OWN_SUBJECT, OWN_CAUSE, OWN_SUMMARY, OWN_ACTION, OWN_WHO, OWN_WHY, OWN_N };

struct alert {
	struct tr_alert_row row;     /* views into own[], id[] or static text */
	char id[13];
	char *own[OWN_N];
	struct alert *newer, *older; /* in one of the two lists */
	struct alert *next_key, *next_id;
	int64_t stored_ms, told_ms;
	int64_t over_ms;             /* the condition ended then, as it did too often; 0: it stands */
};

/* How often one kind and subject came and went. Bounded: two that share a place forget each other. */
struct flap {
	uint64_t what;
	int64_t last_ms;
	unsigned n;
};

struct list {
	struct alert *newest, *oldest;
	size_t n;
};

struct tr_alerts {
	struct list open, gone;      /* gone: resolved, and egress has not said so yet */
	struct alert *by_key[BUCKETS], *by_id[BUCKETS];
	size_t by_severity[6];
	struct flap flaps[FLAPS];
	uint64_t seed, last_id, dropped;
	bool silent_reminders;       /* another node sends them */
	int64_t escalate_ms, due_ms; /* due_ms: no reminder, and no end of what flapped, is due before */
	tr_alert_fn fn;
	void *arg;
};

/* ---- places ---- */

/* Seeded: subjects hold addresses that a stranger chooses. */
static uint64_t long_hash(const struct tr_alerts *a, struct tr_view x, struct tr_view y)
{
	uint64_t h = a->seed ^ 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < x.n; i++)
		h = (h ^ x.p[i]) * 0x100000001b3u;
	h = (h ^ 0x1ff) * 0x100000001b3u;
	for (size_t i = 0; i < y.n; i++)
		h = (h ^ y.p[i]) * 0x100000001b3u;
	h ^= h >> 29;
	return h * 0xbf58476d1ce4e5b9u;
}

static uint32_t hash(const struct tr_alerts *a, struct tr_view x, struct tr_view y)
{
	return (uint32_t)(long_hash(a, x, y) >> 40) % BUCKETS;
}

static struct alert **bucket_of_key(struct tr_alerts *a, const struct alert *x)
{
	return &a->by_key[hash(a, x->row.kind, x->row.subject)];
}

static struct alert **bucket_of_id(struct tr_alerts *a, const struct alert *x)
{
	return &a->by_id[hash(a, x->row.id, tr_view(NULL, 0))];
}

static struct alert *find(const struct tr_alerts *a, struct tr_view kind, struct tr_view subject)
{
	struct alert *x = a->by_key[hash(a, kind, subject)];

	while (x && !(tr_view_eq(x->row.kind, kind) && tr_view_eq(x->row.subject, subject)))
		x = x->next_key;
	return x;
}

/* Open ones and gone ones. */
static struct alert *find_id(const struct tr_alerts *a, struct tr_view id)
{
	struct alert *x = a->by_id[hash(a, id, tr_view(NULL, 0))];

	while (x && !tr_view_eq(x->row.id, id))
		x = x->next_id;
	return x;
}

static bool is_open(const struct alert *x)
{
	return x->row.resolved_at == 0;
}

/* The newest goes to the head; what is loaded out of order finds its place. */
static void link_in(struct list *l, struct alert *x)
{
	struct alert *newer = NULL, *at = l->newest;

	while (at && at->row.opened_at > x->row.opened_at && is_open(x)) {
		newer = at;
		at = at->older;
	}
	x->newer = newer;
	x->older = at;
	*(newer ? &newer->older : &l->newest) = x;
	*(at ? &at->newer : &l->oldest) = x;
	l->n++;
}

static void link_out(struct list *l, struct alert *x)
{
	*(x->newer ? &x->newer->older : &l->newest) = x->older;
	*(x->older ? &x->older->newer : &l->oldest) = x->newer;
	l->n--;
}

static void index_in(struct tr_alerts *a, struct alert *x)
{
	struct alert **key = bucket_of_key(a, x), **id = bucket_of_id(a, x);

	x->next_key = *key;
	*key = x;
	x->next_id = *id;
	*id = x;
	a->by_severity[x->row.severity]++;
	link_in(&a->open, x);
}

static void forget_key(struct tr_alerts *a, struct alert *x)
{
	struct alert **at = bucket_of_key(a, x);

	while (*at != x)
		at = &(*at)->next_key;
	*at = x->next_key;
	a->by_severity[x->row.severity]--;
	link_out(&a->open, x);
}

static struct alert *alert_free(struct alert *x)
{
	for (size_t i = 0; x && i < OWN_N; i++)
		free(x->own[i]);
	free(x);
	return NULL;
}

static void forget_id(struct tr_alerts *a, struct alert *x)
{
	struct alert **at = bucket_of_id(a, x);

	while (*at != x)
		at = &(*at)->next_id;
	*at = x->next_id;
	(void)alert_free(x);
}

static void forget_gone(struct tr_alerts *a, struct alert *x)
{
	link_out(&a->gone, x);
	forget_id(a, x);
}

struct tr_alerts *tr_alerts_new(uint32_t escalate_s, uint64_t id_seed, tr_alert_fn fn, void *arg)
{
	struct tr_alerts *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->seed = id_seed;
	a->escalate_ms = (int64_t)escalate_s * 1000;
	a->due_ms = INT64_MAX;
	a->fn = fn;
	a->arg = arg;
	return a;
}

struct tr_alerts *tr_alerts_free(struct tr_alerts *a)
{
	if (!a)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		struct alert *x = (i ? &a->gone : &a->open)->newest;

		while (x) {
			struct alert *older = x->older;

			(void)alert_free(x);
			x = older;
		}
	}
	free(a);
	return NULL;
}

/* ---- texts ---- */

/* Copies, cut at a whole character. What was there before stays when there is no memory. */
static bool keep(struct alert *x, unsigned slot, struct tr_view *at, struct tr_view v, size_t max)
{
	size_t n = v.n < max ? v.n : max;
	char *copy;

	while (n < v.n && n > 0 && (v.p[n] & 0xc0) == 0x80)
		n--;
	copy = malloc(n + 1);
	if (!copy)
		return false;
	if (n)
		memcpy(copy, v.p, n);
	copy[n] = 0;
	free(x->own[slot]);
	x->own[slot] = copy;
	*at = tr_view(copy, n);
	return true;
}

static bool is_word_at(const char *s, const char *at)
{
	return (at == s || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[2]);
}

/* "troth agent explain ID" with the agent's own id can be pasted into a shell. */
void tr_action_put(struct tr_buf *b, const char *action, struct tr_view id)
{
	const char *from = action;

	for (const char *at = strstr(from, "ID"); at; at = strstr(at + 2, "ID")) {
		if (!is_word_at(action, at))
			continue;
		tr_buf_add(b, from, (size_t)(at - from));
		tr_buf_addv(b, id);
		from = at + 2;
	}
	tr_buf_adds(b, from);
}

static struct tr_view after_colon(struct tr_view subject)
{
	const uint8_t *colon = subject.n ? memchr(subject.p, ':', subject.n) : NULL;

	return colon ? tr_view(colon + 1, subject.n - (size_t)(colon + 1 - subject.p)) : TR_VIEW_LIT("ID");
}

/* ---- telling ---- */

static bool is_reminded(const struct tr_alerts *a, const struct alert *x)
{
	return a->escalate_ms && !a->silent_reminders && x->row.severity <= 2 && x->row.acked_at == 0;
}

static void store(struct tr_alerts *a, int64_t now_ms, struct alert *x)
{
	x->stored_ms = now_ms;
	if (a->fn)
		a->fn(a->arg, &x->row);
}

/* A change that people hear of. */
static void tell(struct tr_alerts *a, int64_t now_ms, struct alert *x)
{
	x->row.rev++;
	x->row.updated_at = now_ms;
	x->told_ms = now_ms;
	if (is_reminded(a, x) && now_ms + a->escalate_ms < a->due_ms)
		a->due_ms = now_ms + a->escalate_ms;
	store(a, now_ms, x);
}

/* Twelve hex digits that rise with time, so that rows sort by age and no start of the server repeats one: seconds since
 * 1970, then a counter that begins anywhere. */
static void name(struct tr_alerts *a, int64_t now_ms, struct alert *x)
{
	uint64_t id = ((uint64_t)(now_ms > 0 ? now_ms : 0) / 1000) << 16 | (a->seed >> 20 & 0xffff);

	if (id <= a->last_id)
		id = a->last_id + 1;
	a->last_id = id;
	(void)snprintf(x->id, sizeof(x->id), "%012llx", (unsigned long long)(id & 0xffffffffffff));
	x->row.id = tr_view(x->id, 12);
}

static bool is_full(const struct tr_alerts *a, unsigned severity)
{
	static const size_t times[] = { 4, 4, 2 };

	return a->open.n >= TR_ALERTS_MAX * (severity < TR_ARRAY_LEN(times) ? times[severity] : 1);
}

static unsigned clamp_severity(uint64_t s)
{
	return s < 1 ? 1 : s > 5 ? 5 : (unsigned)s;
}

static struct alert *open_new(struct tr_alerts *a, int64_t now_ms, const struct tr_alert *what,
			      const struct tr_alert_kind *k, unsigned severity)
{
	struct alert *x = is_full(a, severity) ? NULL : calloc(1, sizeof(*x));
	const char *cause = what->cause ? what->cause : k ? k->cause : what->kind;
	tr_auto(tr_buf_done) struct tr_buf action = TR_BUF_INIT;

	tr_action_put(&action, what->action ? what->action : k ? k->action : "", after_colon(what->subject));
	if (!x || !tr_buf_ok(&action) || !keep(x, OWN_KIND, &x->row.kind, tr_view_str(what->kind), KIND_MAX) ||
	    !keep(x, OWN_SUBJECT, &x->row.subject, what->subject, SUBJECT_MAX) ||
	    !keep(x, OWN_CAUSE, &x->row.cause, tr_view_str(cause), CAUSE_MAX) ||
	    !keep(x, OWN_SUMMARY, &x->row.summary, what->summary, SENTENCE_MAX) ||
	    !keep(x, OWN_ACTION, &x->row.action, tr_buf_view(&action), SENTENCE_MAX))
		return alert_free(x);
	name(a, now_ms, x);
	x->row.severity = severity;
	x->row.state = TR_VIEW_LIT("open");
	x->row.opened_at = now_ms;
	x->row.count = 1;
	index_in(a, x);
	return x;
}

static bool is_milestone(uint64_t n)
{
	while (n >= 10 && n % 10 == 0)
		n /= 10;
	return n == 1;
}

static void set_severity(struct tr_alerts *a, struct alert *x, unsigned severity)
{
	a->by_severity[x->row.severity]--;
	a->by_severity[severity]++;
	x->row.severity = severity;
}

void tr_alerts_raise(struct tr_alerts *a, int64_t now_ms, const struct tr_alert *what)
{
	const struct tr_alert_kind *k = tr_alert_kind(what->kind);
	unsigned severity = clamp_severity(what->severity ? what->severity : k ? k->severity : 3);
	struct alert *x = find(a, tr_view_str(what->kind), what->subject);

	if (!x) {
		x = open_new(a, now_ms, what, k, severity);
		if (x)
			tell(a, now_ms, x);
		else
			a->dropped++;
		return;
	}
	x->row.count++;
	x->row.updated_at = now_ms;
	/* The summary is that of the worst so far. */
	if (severity <= x->row.severity)
		(void)keep(x, OWN_SUMMARY, &x->row.summary, what->summary, SENTENCE_MAX);
	x->over_ms = 0;
	if (severity < x->row.severity) {
		/* Who acknowledged the lesser thing has not seen this one. */
		set_severity(a, x, severity);
		x->row.state = TR_VIEW_LIT("open");
		x->row.acked_at = 0;
		x->row.acked_by = tr_view(NULL, 0);
		tell(a, now_ms, x);
	} else if (is_milestone(x->row.count)) {
		tell(a, now_ms, x);
	} else if (x->row.count == 2 || now_ms - x->stored_ms >= MINUTE_MS) {
		store(a, now_ms, x);
	}
}

static void close_it(struct tr_alerts *a, int64_t now_ms, struct alert *x, struct tr_view why)
{
	forget_key(a, x);
	(void)keep(x, OWN_WHY, &x->row.resolved_why, why, WHY_MAX);
	x->row.state = TR_VIEW_LIT("resolved");
	x->row.resolved_at = now_ms ? now_ms : 1;
	link_in(&a->gone, x);
	tell(a, now_ms, x);
	if (a->gone.n > TR_ALERTS_GONE_MAX)
		forget_gone(a, a->gone.oldest);
}

/* An agent decides how often its own state changes. What comes and goes is one alert that counts, and ends when it has
 * been calm: else each turn would be a row and a message, and a flood of them hides what others have to say. */
static bool is_flapping(struct tr_alerts *a, int64_t now_ms, const struct alert *x)
{
	uint64_t what = long_hash(a, x->row.kind, x->row.subject);
	struct flap *f = &a->flaps[(what >> 20) % FLAPS];

	if (f->what != what || now_ms - f->last_ms >= CALM_MS)
		*f = (struct flap){ .what = what };
	f->last_ms = now_ms;
	return ++f->n > FLAPS_TOLD;
}

void tr_alerts_resolve(struct tr_alerts *a, int64_t now_ms, const char *kind, struct tr_view subject, const char *why)
{
	struct alert *x = find(a, tr_view_str(kind), subject);

	if (!x)
		return;
	if (!is_flapping(a, now_ms, x)) {
		close_it(a, now_ms, x, tr_view_str(why));
		return;
	}
	x->over_ms = now_ms ? now_ms : 1;
	if (now_ms + CALM_MS < a->due_ms)
		a->due_ms = now_ms + CALM_MS;
}

static struct alert *open_id(const struct tr_alerts *a, struct tr_view id)
{
	struct alert *x = find_id(a, id);

	return x && is_open(x) ? x : NULL;
}

static void acked(struct alert *x, int64_t now_ms, struct tr_view who)
{
	(void)keep(x, OWN_WHO, &x->row.acked_by, who, WHO_MAX);
	x->row.acked_at = now_ms ? now_ms : 1;
}

bool tr_alerts_ack(struct tr_alerts *a, int64_t now_ms, struct tr_view id, struct tr_view who)
{
	struct alert *x = open_id(a, id);

	if (!x)
		return false;
	if (x->row.acked_at)
		return true;
	acked(x, now_ms, who);
	x->row.state = TR_VIEW_LIT("acknowledged");
	tell(a, now_ms, x);
	return true;
}

bool tr_alerts_close(struct tr_alerts *a, int64_t now_ms, struct tr_view id, struct tr_view who, struct tr_view why)
{
	struct alert *x = open_id(a, id);
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	if (!x)
		return false;
	if (!x->row.acked_at)
		acked(x, now_ms, who);
	tr_buf_adds(&text, "closed by ");
	tr_buf_addv(&text, who);
	if (why.n) {
		tr_buf_adds(&text, ": ");
		tr_buf_addv(&text, why);
	}
	close_it(a, now_ms, x, tr_buf_view(&text));
	return true;
}

void tr_alerts_load(struct tr_alerts *a, const struct tr_alert_row *row)
{
	struct alert *x = find_id(a, row->id);
	uint8_t id[6];

	/* A later revision of one that is there replaces it. */
	if (x && is_open(x) && row->rev > x->row.rev) {
		forget_key(a, x);
		forget_id(a, x);
		x = NULL;
	}
	if (x || row->resolved_at || tr_view_is(row->state, "resolved") || row->id.n != 12 ||
	    find(a, row->kind, row->subject))
		return;
	x = calloc(1, sizeof(*x));
	if (!x)
		return;
	x->row = *row;
	x->row.severity = clamp_severity(row->severity);
	memcpy(x->id, row->id.p, 12);
	x->row.id = tr_view(x->id, 12);
	x->row.state = row->acked_at ? TR_VIEW_LIT("acknowledged") : TR_VIEW_LIT("open");
	if (!keep(x, OWN_KIND, &x->row.kind, row->kind, KIND_MAX) ||
	    !keep(x, OWN_SUBJECT, &x->row.subject, row->subject, SUBJECT_MAX) ||
	    !keep(x, OWN_CAUSE, &x->row.cause, row->cause, CAUSE_MAX) ||
	    !keep(x, OWN_SUMMARY, &x->row.summary, row->summary, SENTENCE_MAX) ||
	    !keep(x, OWN_ACTION, &x->row.action, row->action, SENTENCE_MAX) ||
	    !keep(x, OWN_WHO, &x->row.acked_by, row->acked_by, WHO_MAX) ||
	    !keep(x, OWN_WHY, &x->row.resolved_why, row->resolved_why, WHY_MAX)) {
		(void)alert_free(x);
		return;
	}
	x->stored_ms = x->told_ms = row->updated_at;
	if (tr_hex_get(row->id, id, sizeof(id))) {
		uint64_t n = 0;

		for (size_t i = 0; i < sizeof(id); i++)
			n = n << 8 | id[i];
		a->last_id = n > a->last_id ? n : a->last_id;
	}
	if (is_reminded(a, x) && x->told_ms + a->escalate_ms < a->due_ms)
		a->due_ms = x->told_ms + a->escalate_ms;
	index_in(a, x);
}

void tr_alerts_remind(struct tr_alerts *a, bool on)
{
	if (a->silent_reminders == !on)
		return;
	a->silent_reminders = !on;
	a->due_ms = INT64_MIN; /* looked at anew at the next tick */
}

/* ---- another node's rows ---- */

/* Closed, then acknowledged, then open: nothing that people did is undone by what a node only saw. */
static void put_together(struct alert *x, const struct tr_alert_row *r)
{
	struct tr_alert_row *m = &x->row;
	unsigned severity = clamp_severity(r->severity);

	if (severity < m->severity || (severity == m->severity && r->rev > m->rev))
		(void)keep(x, OWN_SUMMARY, &m->summary, r->summary, SENTENCE_MAX);
	/* Who acknowledged the lesser thing has not seen the worse one. */
	if (severity < m->severity || (severity == m->severity && r->acked_at && !m->acked_at)) {
		m->acked_at = r->acked_at;
		(void)keep(x, OWN_WHO, &m->acked_by, r->acked_by, WHO_MAX);
	}
	m->updated_at = r->updated_at > m->updated_at ? r->updated_at : m->updated_at;
	m->count = r->count > m->count ? r->count : m->count;
	m->escalation = r->escalation > m->escalation ? r->escalation : m->escalation;
	m->notified = r->notified > m->notified ? r->notified : m->notified;
	m->rev = r->rev > m->rev ? r->rev : m->rev;
}

static bool says_the_same(const struct tr_alert_row *x, const struct tr_alert_row *y)
{
	return x->severity == y->severity && x->count == y->count && x->escalation == y->escalation &&
	       x->notified == y->notified && x->rev == y->rev && (x->acked_at != 0) == (y->acked_at != 0) &&
	       (x->resolved_at != 0) == (y->resolved_at != 0);
}

static const struct tr_alert_row *merge(struct tr_alerts *a, int64_t now_ms, struct alert *x, const struct tr_alert_row *r)
{
	bool news = r->rev > x->row.rev, was_open = is_open(x), differs;
	unsigned severity = clamp_severity(r->severity);

	if (was_open && severity < x->row.severity) {
		a->by_severity[x->row.severity]--;
		a->by_severity[severity]++;
	}
	put_together(x, r);
	if (severity < x->row.severity)
		x->row.severity = severity;
	if (was_open && r->resolved_at) {
		forget_key(a, x);
		(void)keep(x, OWN_WHY, &x->row.resolved_why, r->resolved_why, WHY_MAX);
		x->row.resolved_at = r->resolved_at;
		link_in(&a->gone, x);
	}
	x->row.state = !is_open(x) ? TR_VIEW_LIT("resolved") : x->row.acked_at ? TR_VIEW_LIT("acknowledged") : TR_VIEW_LIT("open");
	if (news) {
		x->told_ms = r->updated_at < now_ms ? r->updated_at : now_ms;
		x->over_ms = 0;
	}
	if (is_reminded(a, x) && x->told_ms + a->escalate_ms < a->due_ms)
		a->due_ms = x->told_ms + a->escalate_ms;
	differs = !says_the_same(&x->row, r);
	if (differs)
		store(a, now_ms, x);
	if (!is_open(x) && (x->row.notified >= x->row.rev || a->gone.n > TR_ALERTS_GONE_MAX)) {
		forget_gone(a, x->row.notified >= x->row.rev ? x : a->gone.oldest);
		return NULL;
	}
	return news && !differs ? &x->row : NULL;
}

static void close_twin(struct tr_alerts *a, int64_t now_ms, struct alert *x)
{
	close_it(a, now_ms, x, TR_VIEW_LIT("two nodes opened it at once; the other one stays"));
}

const struct tr_alert_row *tr_alerts_remote(struct tr_alerts *a, int64_t now_ms, const struct tr_alert_row *r)
{
	struct alert *x = find_id(a, r->id), *twin;
	const struct tr_alert_row *got;
	bool theirs_stays;

	if (x)
		return merge(a, now_ms, x, r);
	if (r->resolved_at || r->id.n != 12)
		return NULL;
	twin = find(a, r->kind, r->subject);
	theirs_stays = !twin || memcmp(r->id.p, twin->id, 12) < 0;
	/* Its own node does the same as soon as it hears of ours. */
	if (!theirs_stays)
		return NULL;
	if (twin)
		close_twin(a, now_ms, twin);
	tr_alerts_load(a, r);
	got = tr_alerts_by_id(a, r->id);
	return got && got->rev > got->notified ? got : NULL;
}

void tr_alerts_tick(struct tr_alerts *a, int64_t now_ms)
{
	int64_t due = INT64_MAX;

	if (now_ms < a->due_ms)
		return;
	a->due_ms = INT64_MAX;
	for (struct alert *x = a->open.newest, *older; x; x = older) {
		older = x->older;
		if (x->over_ms && now_ms - x->over_ms >= CALM_MS) {
			close_it(a, now_ms, x, TR_VIEW_LIT("it came and went; calm for ten minutes"));
			continue;
		}
		if (x->over_ms)
			due = x->over_ms + CALM_MS < due ? x->over_ms + CALM_MS : due;
		if (x->over_ms || !is_reminded(a, x))
			continue;
		if (now_ms - x->told_ms >= a->escalate_ms) {
			x->row.escalation++;
			tell(a, now_ms, x);
		}
		due = x->told_ms + a->escalate_ms < due ? x->told_ms + a->escalate_ms : due;
	}
	a->due_ms = due;
}

void tr_alerts_notified(struct tr_alerts *a, struct tr_view id, uint64_t rev)
{
	struct alert *x = find_id(a, id);

	if (!x || rev > x->row.rev || rev <= x->row.notified)
		return;
	x->row.notified = rev;
	if (rev < x->row.rev)
		return;
	store(a, x->stored_ms, x);
	if (!is_open(x))
		forget_gone(a, x);
}

void tr_alerts_undelivered(const struct tr_alerts *a, bool (*fn)(void *arg, const struct tr_alert_row *row), void *arg)
{
	const struct list *const lists[] = { &a->gone, &a->open };

	for (size_t i = 0; i < TR_ARRAY_LEN(lists); i++)
		for (const struct alert *x = lists[i]->oldest; x; x = x->newer)
			if (x->row.rev > x->row.notified && !fn(arg, &x->row))
				return;
}

void tr_alerts_each(const struct tr_alerts *a, bool (*fn)(void *arg, const struct tr_alert_row *row), void *arg)
{
	for (const struct alert *x = a->open.newest; x; x = x->older)
		if (!fn(arg, &x->row))
			return;
}

const struct tr_alert_row *tr_alerts_find(const struct tr_alerts *a, const char *kind, struct tr_view subject)
{
	const struct alert *x = find(a, tr_view_str(kind), subject);

	return x ? &x->row : NULL;
}

const struct tr_alert_row *tr_alerts_by_id(const struct tr_alerts *a, struct tr_view id)
{
	const struct alert *x = open_id(a, id);

	return x ? &x->row : NULL;
}

size_t tr_alerts_open(const struct tr_alerts *a, unsigned severity)
{
	return severity == 0 ? a->open.n : severity <= 5 ? a->by_severity[severity] : 0;
}

uint64_t tr_alerts_dropped(const struct tr_alerts *a)
{
	return a->dropped;
}
