/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF snapshot of a pulse against the agent's last good one. Everything in it is self-asserted: the first list is taken
 * as it is, later ones are held against it. A changed digest alone proves nothing; until its list is here the answer is
 * "unknown", which is never green.
 *
 * What normalised hashes ought to be depends on the kernel, so they are learned per kernel, pin and tag for the whole fleet:
 * the first one seen is the reference, another one is noted (it tells of other constants in the same code), and an
 * operator's accept makes it approved. */
#include "fleet/inner.h"

#include "base/log.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "fleet/bpf_compare.h"

#include <stdio.h>

#define REFS_MAX 16384
/* Of one agent's word: four kernels full of programs. An agent that makes up kernels must not use up the room of all. */
#define REFS_OF_AGENT_MAX (4 * TR_BPF_ITEMS_MAX)

struct tr_bpf_ref {
	uint8_t key[32], norm[32];
	uint32_t by; /* agent that it was learned from since the start; TR_NO_AGENT: from the store, or approved */
	bool approved;
};

/* Where the judgement of one pulse happens. */
struct at {
	struct tr_fleet *f;
	const struct tr_instant *now;
	uint32_t no;
	struct tr_fleet_agent *a;
	struct tr_view source, raw;
};

/* ---- references ---- */

static void ref_key(struct tr_view kernel, const struct tr_bpf_item *i, uint8_t out[32])
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_addf(&b, "%zu %zu %zu ", kernel.n, i->pin.n, i->tag.n);
	tr_buf_addv(&b, kernel);
	tr_buf_addv(&b, i->pin);
	tr_buf_addv(&b, i->tag);
	tr_sha256(tr_buf_view(&b), out);
}

/* Where key is, or belongs. */
static size_t ref_place(const struct tr_fleet *f, const uint8_t key[32], bool *ret_there)
{
	size_t low = 0, high = f->n_refs;

	*ret_there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = memcmp(f->refs[mid].key, key, 32);

		if (c == 0) {
			*ret_there = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct tr_bpf_ref *ref_find(const struct tr_fleet *f, struct tr_view kernel, const struct tr_bpf_item *i)
{
	uint8_t key[32];
	bool there;
	size_t at;

	ref_key(kernel, i, key);
	at = ref_place(f, key, &there);
	return there ? &f->refs[at] : NULL;
}

static struct tr_bpf_ref *ref_put(struct tr_fleet *f, const struct tr_bpf_ref *r)
{
	bool there;
	size_t at = ref_place(f, r->key, &there);
	struct tr_bpf_ref *more;

	if (there && f->refs) {
		f->refs[at] = *r;
		return &f->refs[at];
	}
	more = f->n_refs < REFS_MAX ? realloc(f->refs, (f->n_refs + 1) * sizeof(*more)) : NULL;
	if (!more)
		return NULL;
	f->refs = more;
	memmove(more + at + 1, more + at, (f->n_refs - at) * sizeof(*more));
	more[at] = *r;
	f->n_refs++;
	return &more[at];
}

void tr_fleet_bpf_refs(struct tr_fleet *f, const struct tr_bpf_ref_row *rows, size_t n)
{
	free(f->refs);
	f->refs = NULL;
	f->n_refs = 0;
	for (size_t i = 0; i < n; i++) {
		struct tr_bpf_ref r = { .approved = tr_view_is(rows[i].state, "approved"), .by = TR_NO_AGENT };

		if (rows[i].key.n != 32 || rows[i].norm.n != 32)
			continue;
		memcpy(r.key, rows[i].key.p, 32);
		memcpy(r.norm, rows[i].norm.p, 32);
		if (!ref_put(f, &r)) {
			tr_log(TR_LOG_WARN, "bpf_references_not_all_loaded", "rows", tr_fmt("%zu", n), NULL);
			return;
		}
	}
}

static bool approved(void *arg, struct tr_view kernel, const struct tr_bpf_item *prog)
{
	const struct tr_bpf_ref *r = ref_find(arg, kernel, prog);

	return r && r->approved;
}

static void learn(const struct at *at, struct tr_view kernel, const struct tr_bpf_item *i, bool as_approved)
{
	struct tr_bpf_ref r = { .approved = as_approved, .by = as_approved ? TR_NO_AGENT : at->no };
	struct tr_bpf_ref_row row = {
		.kernel = kernel,
		.pin = i->pin,
		.tag = i->tag,
		.norm = i->norm,
		.state = tr_view_str(as_approved ? "approved" : "learned"),
		.first_agent = tr_view_str(at->a->id),
		.first_seen = at->now->ms,
		.approved_by = tr_view_str(as_approved ? "accept" : ""),
		.approved_at = as_approved ? at->now->ms : 0,
	};

	ref_key(kernel, i, r.key);
	memcpy(r.norm, i->norm.p, 32);
	row.key = TR_VIEW_ARRAY(r.key);
	if (!ref_put(at->f, &r))
		return; /* full: what is not known is not compared */
	if (at->f->sink.bpf_ref)
		at->f->sink.bpf_ref(at->f->sink.arg, &row);
}

enum how { ONLY_CHECK, LEARN, LEARN_APPROVED };

static size_t learned_from(const struct tr_fleet *f, uint32_t no)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_refs; i++)
		n += f->refs[i].by == no;
	return n;
}

static void check_refs(const struct at *at, const struct tr_bpf_list *list, enum how how, struct tr_bpf_findings *found)
{
	struct tr_view items = list->items, one;
	size_t learned = how == LEARN ? learned_from(at->f, at->no) : 0;
	struct tr_err err;

	while (tr_records_next(&items, &one)) {
		struct tr_bpf_item i;
		const struct tr_bpf_ref *r;

		if (tr_record_decode(&tr_bpf_item_def, one, &i, &err) || i.kind != TR_BPF_PROG || i.norm.n != 32)
			continue;
		r = ref_find(at->f, list->kernel, &i);
		if (how == LEARN_APPROVED && (!r || !r->approved || memcmp(r->norm, i.norm.p, 32) != 0)) {
			learn(at, list->kernel, &i, true);
		} else if (!r) {
			if (how == LEARN && learned++ < REFS_OF_AGENT_MAX)
				learn(at, list->kernel, &i, false);
		} else if (memcmp(r->norm, i.norm.p, 32) != 0) {
			tr_bpf_note(found, "norm_differs", i.pin,
				    r->approved ? "the hash approved for this kernel" : "the hash first seen with this kernel",
				    "another one, with the same tag: other constants in the same code");
			found->norm_differs = true;
		}
	}
}

/* ---- what was found ---- */

bool tr_bpf_has_mismatch(const struct tr_fleet_agent *a)
{
	static const char first[] = "[{\"finding\"";

	return a->findings && tr_view_starts(tr_buf_view(a->findings), first);
}

static void forget(struct tr_buf **b)
{
	if (*b)
		tr_buf_done(*b);
	free(*b);
	*b = NULL;
}

static void keep(struct tr_buf **to, struct tr_view v)
{
	if (!*to)
		*to = calloc(1, sizeof(**to));
	if (!*to)
		return;
	tr_buf_clear(*to);
	tr_buf_addv(*to, v);
}

/* Tells what is new about the findings, once. */
static void settle(const struct at *at, const struct tr_bpf_findings *found)
{
	struct tr_fleet_agent *a = at->a;
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT, detail = TR_BUF_INIT;
	bool bad = found->n_mismatches > 0;
	char summary[256];

	tr_bpf_findings_json(found, &json);
	if (!tr_buf_ok(&json) || tr_view_eq(tr_buf_view(&json), a->findings ? tr_buf_view(a->findings) : tr_view(NULL, 0)))
		return;
	a->dirty = true;
	if (json.n)
		keep(&a->findings, tr_buf_view(&json));
	else
		forget(&a->findings);
	tr_buf_adds(&detail, "{\"findings\":");
	tr_buf_addv(&detail, json.n ? tr_buf_view(&json) : TR_VIEW_LIT("[]"));
	tr_buf_adds(&detail, "}");
	tr_fleet_emit(at->f, TR_EV_BPF_CHANGED, at->no, bad ? 2 : found->norm_differs ? 3 : 5, at->source, tr_buf_view(&detail),
		      bad ? at->raw : tr_view(NULL, 0));
	if (bad) {
		(void)snprintf(summary, sizeof(summary), "the BPF snapshot differs from %s: %s%s",
			       found->unlike_release ? "the signed release" : "the last good one", found->first,
			       found->n_mismatches > 1 ? ", and more" : "");
		tr_agent_alert(at->f, at->now, at->no, "bpf_changed", 2, "integrity", summary);
	} else if (found->norm_differs) {
		tr_agent_alert(at->f, at->now, at->no, "bpf_changed", 3, "integrity",
			       "a BPF program has the known tag but other instructions than on the rest of the fleet");
	} else {
		tr_agent_alert_over(at->f, at->now, at->no, "bpf_changed", "the BPF snapshot is the last good one again");
	}
}

/* ---- the last good list ---- */

/* front has checked it; what is kept for later comparisons is checked here again. */
static bool is_sound(struct tr_view list)
{
	tr_auto(tr_bpf_findings_done) struct tr_bpf_findings none = { .n_mismatches = 0 };
	struct tr_bpf_list l;
	struct tr_err err;

	return tr_record_decode(&tr_bpf_list_def, list, &l, &err) == TR_OK &&
	       tr_bpf_compare(&l, &l, tr_view(NULL, 0), NULL, NULL, &none, &err) == TR_OK;
}

static void take_as_good(const struct at *at, struct tr_view digest, struct tr_view list)
{
	tr_intern_set(at->f->values, &at->a->bpf_good, digest);
	keep(&at->a->bpf_list, list);
	at->a->dirty = true;
}

/* After a boot every id is another one, so the good list's may not be compared with what comes. It is marked in the list
 * itself, which is stored: the mark outlives a restart of the server. */
static void other_boot(struct tr_fleet_agent *a)
{
	tr_auto(tr_buf_done) struct tr_buf marked = TR_BUF_INIT;
	struct tr_err err;

	if (a->bpf_list && tr_bpf_mark_other_boot(tr_buf_view(a->bpf_list), &marked, &err) == TR_OK)
		keep(&a->bpf_list, tr_buf_view(&marked));
}

static enum tr_integrity judge_no_list(const struct at *at, enum tr_bpf_status status)
{
	tr_auto(tr_bpf_findings_done) struct tr_bpf_findings found = { .n_mismatches = 0 };

	tr_intern_set(at->f->values, &at->a->bpf, tr_view(NULL, 0));
	at->a->want_bpf_list = false;
	if (status == TR_BPF_HIDDEN)
		tr_bpf_mismatch(&found, "hidden", tr_view(NULL, 0), "the folder that was opened at the agent's start",
				"something mounted over it, or another folder in its place");
	else if (at->a->bpf_good)
		tr_bpf_mismatch(&found, "status_lost", tr_view(NULL, 0), "ok", tr_bpf_status_name(status));
	settle(at, &found);
	return found.n_mismatches ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK;
}

/* The digest is the good one's. list: enclosed, or empty. */
static enum tr_integrity judge_good(const struct at *at, struct tr_view digest, struct tr_view list)
{
	tr_auto(tr_bpf_findings_done) struct tr_bpf_findings found = { .n_mismatches = 0 };
	bool accepted = !at->a->bpf_list; /* by an operator, who saw no more than the digest's list */
	struct tr_view released = tr_fleet_released_bpf(at->f, at->no, NULL);
	struct tr_bpf_list l;
	struct tr_err err;

	if (list.n && !is_sound(list))
		list.n = 0;
	if (list.n)
		take_as_good(at, digest, list);
	at->a->want_bpf_list = !at->a->bpf_list || (at->a->want_bpf_list && !list.n);
	/* Accepted by its digest alone: whether it is as released, the list will say. */
	if (!at->a->bpf_list && released.n && !tr_bpf_has_mismatch(at->a))
		return TR_INTEGRITY_UNKNOWN;
	/* Notes stay as they are: nothing has changed since they were made. */
	if (!tr_bpf_has_mismatch(at->a) && !at->a->bpf_due && (!accepted || !list.n))
		return TR_INTEGRITY_OK;
	if (at->a->bpf_list && tr_record_decode(&tr_bpf_list_def, tr_buf_view(at->a->bpf_list), &l, &err) == TR_OK) {
		if (tr_bpf_check_released(released, &l, &found, &err))
			tr_log_err(TR_LOG_ERROR, "bpf_list_not_compared", &err, "agent", at->a->id, NULL);
		check_refs(at, &l, accepted ? LEARN_APPROVED : ONLY_CHECK, &found);
		at->a->bpf_due = false;
	}
	settle(at, &found);
	return found.n_mismatches ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK;
}

static void tell_baseline(const struct at *at, struct tr_view digest)
{
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;

	tr_buf_adds(&d, "{\"baseline\":\"");
	tr_hex_add(&d, digest);
	tr_buf_adds(&d, "\",\"findings\":[]}");
	tr_fleet_emit(at->f, TR_EV_BPF_CHANGED, at->no, 5, at->source, tr_buf_view(&d), at->raw);
}

static enum tr_integrity judge_list(const struct at *at, struct tr_view digest, struct tr_view list)
{
	tr_auto(tr_bpf_findings_done) struct tr_bpf_findings found = { .n_mismatches = 0 };
	struct tr_fleet_agent *a = at->a;
	struct tr_view released = tr_fleet_released_bpf(at->f, at->no, NULL);
	struct tr_bpf_list good, seen;
	struct tr_err err;

	a->want_bpf_list = !is_sound(list) || tr_record_decode(&tr_bpf_list_def, list, &seen, &err);
	if (a->want_bpf_list)
		return tr_bpf_has_mismatch(a) ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_UNKNOWN;
	/* What a release says counts from the first list on: nobody's word is learned for its programs. */
	if (tr_bpf_check_released(released, &seen, &found, &err)) {
		tr_log_err(TR_LOG_ERROR, "bpf_list_not_compared", &err, "agent", a->id, NULL);
		return tr_bpf_has_mismatch(a) ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_UNKNOWN;
	}
	a->bpf_due = false;
	if (a->bpf_good && !a->bpf_list) {
		tr_bpf_mismatch(&found, "changed", tr_view(NULL, 0), "the list that an operator accepted", "another one");
	} else if (a->bpf_list) {
		if (tr_record_decode(&tr_bpf_list_def, tr_buf_view(a->bpf_list), &good, &err) ||
		    tr_bpf_compare(&good, &seen, released, approved, at->f, &found, &err)) {
			tr_log_err(TR_LOG_ERROR, "bpf_list_not_compared", &err, "agent", a->id, NULL);
			return tr_bpf_has_mismatch(a) ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_UNKNOWN;
		}
	}
	if (!found.n_mismatches) {
		check_refs(at, &seen, LEARN, &found);
		if (!a->bpf_good)
			tell_baseline(at, digest);
		take_as_good(at, digest, list);
	}
	settle(at, &found);
	return found.n_mismatches ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK;
}

enum tr_integrity tr_bpf_judge(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const struct tr_pulse_seen *s,
			       bool same_boot)
{
	const struct at at = { f, now, no, tr_agent_at(f, no), s->source, s->raw };
	struct tr_fleet_agent *a = at.a;
	struct tr_view digest = TR_VIEW_ARRAY(s->pulse->bpf_digest);
	bool changed;

	if (!a)
		return TR_INTEGRITY_UNKNOWN;
	a->bpf_status = (uint8_t)(s->pulse->bpf_status < TR_BPF_STATUS_N ? s->pulse->bpf_status : TR_BPF_UNKNOWN);
	if (!same_boot)
		other_boot(a);
	if (a->bpf_status != TR_BPF_OK)
		return judge_no_list(&at, (enum tr_bpf_status)a->bpf_status);
	changed = !tr_view_eq(digest, tr_fleet_value(f, a->bpf));
	tr_intern_set(f->values, &a->bpf, digest);
	if (a->bpf_good && tr_view_eq(digest, tr_fleet_value(f, a->bpf_good)))
		return judge_good(&at, digest, s->pulse->bpf_list);
	if (s->pulse->bpf_list.n)
		return judge_list(&at, digest, s->pulse->bpf_list);
	/* Judged before, and not changed since: what was found stands. */
	if (!changed && !a->bpf_due && tr_bpf_has_mismatch(a))
		return TR_INTEGRITY_BPF_MISMATCH;
	a->want_bpf_list = true;
	return tr_bpf_has_mismatch(a) ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_UNKNOWN;
}

void tr_bpf_other_image(struct tr_fleet *f, uint32_t no, bool ordered)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	a->bpf_due = true;
	if (ordered)
		other_boot(a);
}

/* What an operator accepts is what the last pulse said, of which only the digest is kept: the list is asked for, and is
 * good when it has this digest. A snapshot that is hidden stays a finding: there is nothing to accept. */
void tr_bpf_accept(struct tr_fleet *f, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a)
		return;
	forget(&a->findings);
	a->dirty = true;
	/* An operator's word is not above the release's: what is not as released is found again. */
	a->bpf_due = true;
	if (tr_view_eq(tr_fleet_value(f, a->bpf), tr_fleet_value(f, a->bpf_good)))
		return;
	tr_intern_set(f->values, &a->bpf_good, tr_fleet_value(f, a->bpf));
	forget(&a->bpf_list);
	a->want_bpf_list = a->bpf_good != 0;
}
