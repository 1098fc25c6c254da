/* SPDX-License-Identifier: Apache-2.0 */
/* What a changed BPF snapshot is called, and when nothing is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "codec/json.h"
#include "fleet/bpf_compare.h"
#include "fleet/inner.h"

#include <stdio.h>
#include <stdlib.h>

#define K1 "6.12.0 x86_64 jit=1 harden=0"
#define K1_HARD "6.12.0 x86_64 jit=1 harden=2"
#define K2 "6.18.0 x86_64 jit=1 harden=0"

/* An item in few words: one byte stands for a tag, hash or digest; 0: none. */
struct spec {
	const char *pin, *name;
	uint8_t kind, type, tag, norm, object, attach, content;
	uint32_t id, prog;
	uint64_t loaded;
	bool frozen, hardened;
};
#define PROG(...) { .pin = "t/prog", .name = "p", .kind = TR_BPF_PROG, .type = 6, __VA_ARGS__ }
#define LINK(...) { .pin = "t/link", .kind = TR_BPF_LINK, .type = 6, __VA_ARGS__ }
#define MAP(...) { .pin = "t/cfg", .name = "c", .kind = TR_BPF_MAP, .type = 2, __VA_ARGS__ }
#define GOOD_PROG PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 1, .attach = TR_BPF_ATTACHED)
#define GOOD_LINK LINK(.id = 20, .prog = 10, .attach = TR_BPF_ATTACHED)
#define GOOD_MAP MAP(.id = 30, .content = 1, .frozen = true)
#define ITEMS 5

static const struct spec good[ITEMS] = { GOOD_MAP, GOOD_LINK, GOOD_PROG };

static const struct {
	const char *label;
	const char *kernel;
	struct spec seen[ITEMS]; /* sorted by pin */
	bool rebooted;
	const char *want;        /* "finding pin" of the mismatches, then "+finding pin" of the notes, joined by commas */
} cases[] = {
	{ "the same", K1, { GOOD_MAP, GOOD_LINK, GOOD_PROG }, false, "" },
	{ "link detached, pin kept", K1,
	  { GOOD_MAP, LINK(.id = 20, .prog = 10, .attach = TR_BPF_DETACHED),
	    PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 1, .attach = TR_BPF_DETACHED) },
	  false, "detached t/link,detached t/prog" },
	{ "link unpinned", K1, { GOOD_MAP, PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 1) }, false,
	  "missing t/link,detached t/prog" },
	{ "all unpinned", K1, { { .pin = NULL } }, false, "missing t/cfg,missing t/link,missing t/prog" },
	{ "program swapped within the link", K1,
	  { GOOD_MAP, LINK(.id = 20, .prog = 11, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 1) },
	  false, "replaced t/link,detached t/prog" },
	{ "another program under the pin", K1,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 12, .loaded = 200, .tag = 2, .norm = 2) }, false, "replaced t/prog" },
	{ "the same code with other constants", K1,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 2, .attach = TR_BPF_ATTACHED) }, false,
	  "replaced t/prog" },
	{ "the same code loaded again", K1,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 11, .loaded = 100, .tag = 1, .norm = 1) }, false, "replaced t/prog" },
	{ "the id used again", K1,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 10, .loaded = 101, .tag = 1, .norm = 1) }, false, "replaced t/prog" },
	{ "a map where a program was", K1,
	  { GOOD_MAP, GOOD_LINK, { .pin = "t/prog", .name = "p", .kind = TR_BPF_MAP, .type = 6, .id = 10 } }, false,
	  "replaced t/prog" },
	{ "another name", K1,
	  { GOOD_MAP, GOOD_LINK,
	    { .pin = "t/prog", .name = "q", .kind = TR_BPF_PROG, .type = 6, .id = 10, .loaded = 100, .tag = 1, .norm = 1, .attach = 1 } },
	  false, "replaced t/prog" },
	{ "a stranger", K1,
	  { GOOD_MAP, { .pin = "t/evil", .name = "e", .kind = TR_BPF_PROG, .id = 66, .tag = 6 }, GOOD_LINK, GOOD_PROG }, false,
	  "foreign t/evil" },
	{ "renamed", K1,
	  { GOOD_MAP, GOOD_LINK,
	    { .pin = "t/prog2", .name = "p", .kind = TR_BPF_PROG, .type = 6, .id = 10, .loaded = 100, .tag = 1, .norm = 1, .attach = 1 } },
	  false, "missing t/prog,foreign t/prog2" },
	{ "map's content", K1, { MAP(.id = 30, .content = 2, .frozen = true), GOOD_LINK, GOOD_PROG }, false, "map_altered t/cfg" },
	{ "map's content not told any more", K1, { MAP(.id = 30, .frozen = true), GOOD_LINK, GOOD_PROG }, false,
	  "map_altered t/cfg" },
	{ "map not frozen", K1, { MAP(.id = 30, .content = 1), GOOD_LINK, GOOD_PROG }, false, "map_altered t/cfg" },
	{ "another map with that content", K1, { MAP(.id = 31, .content = 1, .frozen = true), GOOD_LINK, GOOD_PROG }, false,
	  "replaced t/cfg" },
	{ "everything loaded again after a boot", K1,
	  { MAP(.id = 3, .content = 1, .frozen = true), LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 1, .loaded = 50, .tag = 1, .norm = 1, .attach = TR_BPF_ATTACHED) },
	  true, "" },
	{ "numbers that happen to be another's after a boot", K1,
	  { MAP(.id = 10, .content = 1, .frozen = true), LINK(.id = 30, .prog = 20, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 20, .loaded = 100, .tag = 1, .norm = 1, .attach = TR_BPF_ATTACHED) },
	  true, "" },
	{ "another program after a boot", K1,
	  { MAP(.id = 3, .content = 1, .frozen = true), LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 1, .loaded = 50, .tag = 1, .norm = 9, .attach = TR_BPF_ATTACHED) },
	  true, "replaced t/prog" },
	{ "the link is another program's after a boot", K1,
	  { MAP(.id = 3, .content = 1, .frozen = true), LINK(.id = 2, .prog = 7, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 1, .loaded = 50, .tag = 1, .norm = 1) },
	  true, "replaced t/link,detached t/prog" },
	{ "another kernel makes another hash", K2,
	  { MAP(.id = 3, .content = 1, .frozen = true), LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 1, .loaded = 50, .tag = 1, .norm = 7, .attach = TR_BPF_ATTACHED) },
	  true, "" },
	{ "another kernel, another tag, nothing known of it", K2,
	  { MAP(.id = 3, .content = 1, .frozen = true), LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
	    PROG(.id = 1, .loaded = 50, .tag = 2, .norm = 7, .attach = TR_BPF_ATTACHED) },
	  true, "replaced t/prog" },
	{ "hardened: no hash, no false alarm", K1_HARD,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 10, .loaded = 100, .tag = 1, .hardened = true, .attach = TR_BPF_ATTACHED) }, false,
	  "+norm_unavailable t/prog" },
	{ "hardened hides no swap", K1_HARD,
	  { GOOD_MAP, GOOD_LINK, PROG(.id = 10, .loaded = 100, .tag = 3, .hardened = true, .attach = TR_BPF_ATTACHED) }, false,
	  "replaced t/prog" },
};

/* ---- helpers ---- */

static struct tr_view fill(uint8_t *to, size_t n, uint8_t v)
{
	memset(to, v, n);
	return tr_view(to, v ? n : 0);
}

/* The list as record, and its canonical digest. */
static void make(const char *kernel, const struct spec *specs, struct tr_buf *ret, uint8_t ret_digest[32])
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT, cbor = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = tr_view_str(kernel) };
	struct tr_err err;

	for (size_t i = 0; i < ITEMS && specs[i].pin; i++) {
		const struct spec *s = &specs[i];
		uint8_t tag[8], norm[32], object[32], content[32];
		const struct tr_bpf_item item = {
			.pin = tr_view_str(s->pin), .name = tr_view_str(s->name), .kind = s->kind, .type = s->type, .id = s->id,
			.loaded_ns = s->loaded, .tag = fill(tag, 8, s->tag), .norm = fill(norm, 32, s->norm),
			.norm_status = s->kind != TR_BPF_PROG ? TR_BPF_NORM_NONE : s->norm ? TR_BPF_NORM_OK :
				       s->hardened ? TR_BPF_NORM_HARDENED : TR_BPF_NORM_HIDDEN,
			.object = fill(object, 32, s->object), .attach = s->attach, .prog_id = s->prog,
			.content = fill(content, 32, s->content), .frozen = s->frozen,
		};

		tr_records_add(&items, &tr_bpf_item_def, &item);
	}
	l.items = tr_buf_view(&items);
	if (tr_bpf_list_put(&l, &cbor, &err))
		fail_msg("%s", err.detail);
	tr_sha256(tr_buf_view(&cbor), ret_digest);
	tr_buf_clear(ret);
	tr_record_encode(&tr_bpf_list_def, &l, ret);
	assert_true(tr_buf_ok(ret));
}

/* "[{…}]" of findings → "replaced t/prog,+norm_differs t/prog". */
static void in_short(struct tr_view json, struct tr_buf *out)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;

	tr_buf_clear(out);
	if (!json.n)
		return;
	if (tr_json_parse(json, &j, &err))
		fail_msg("findings are no JSON: %s", err.detail);
	for (size_t i = 0; i < tr_json_len(tr_json_root(j)); i++) {
		tr_jnode one = tr_json_at(tr_json_root(j), i);
		struct tr_view finding, pin, text;
		bool note = false;

		assert_true(tr_json_str(tr_json_get(one, "finding"), &finding) && tr_json_str(tr_json_get(one, "pin"), &pin));
		assert_true(tr_json_str(tr_json_get(one, "expected"), &text) && tr_json_str(tr_json_get(one, "seen"), &text));
		(void)tr_json_bool(tr_json_get(one, "note"), &note);
		tr_buf_addf(out, "%s%s%.*s%s%.*s", i ? "," : "", note ? "+" : "", TR_VIEW_FMT(finding), pin.n ? " " : "",
			    TR_VIEW_FMT(pin));
	}
}

/* ---- the fleet's side ---- */

static struct {
	unsigned events, severity, open, resolved, refs, approved;
} heard;
static struct tr_fleet *f;
static uint32_t no;
static const struct tr_instant now = { .ms = INT64_C(1800000000000), .wall_ns = INT64_C(1800000000000000000) };

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	if (e->kind == TR_EV_BPF_CHANGED) {
		heard.events++;
		heard.severity = e->severity;
	}
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	if (tr_view_is(row->kind, "bpf_changed")) {
		heard.open += tr_view_is(row->state, "open");
		heard.resolved += tr_view_is(row->state, "resolved");
	}
}

static void on_ref(void *arg, const struct tr_bpf_ref_row *row)
{
	(void)arg;
	assert_int_equal(row->key.n, 32);
	heard.refs++;
	heard.approved += tr_view_is(row->state, "approved");
}

static int set_up(void **state)
{
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert, .bpf_ref = on_ref };
	const struct tr_fleet_config c = { .ticket_key = { 7 }, .run = 1, .interval_s = 30, .keyset_epoch = 1, .escalate_s = 900 };
	uint8_t key[32] = { 9 };

	(void)state;
	memset(&heard, 0, sizeof(heard));
	f = tr_fleet_new(&c, &sink, &now);
	no = tr_fleet_add(f, &now, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true, NULL);
	return no == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	f = tr_fleet_free(f);
	return 0;
}

static enum tr_integrity judge(uint32_t agent, enum tr_bpf_status status, const char *kernel, const struct spec *specs,
			       bool enclosed, bool same_boot)
{
	tr_auto(tr_buf_done) struct tr_buf list = TR_BUF_INIT;
	struct tr_pulse p = { .bpf_status = status };
	const struct tr_pulse_seen s = { .pulse = &p, .source = TR_VIEW_LIT("192.0.2.7") };

	if (status == TR_BPF_OK) {
		make(kernel, specs, &list, p.bpf_digest);
		p.bpf_list = enclosed ? tr_buf_view(&list) : tr_view(NULL, 0);
	}
	return tr_bpf_judge(f, &now, agent, &s, same_boot);
}

static enum tr_integrity list(const struct spec *specs)
{
	return judge(no, TR_BPF_OK, K1, specs, true, true);
}

static enum tr_integrity digest(const struct spec *specs)
{
	return judge(no, TR_BPF_OK, K1, specs, false, true);
}

static void assert_found(const char *want)
{
	tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
	const struct tr_fleet_agent *a = tr_fleet_agent(f, no);

	in_short(a->findings ? tr_buf_view(a->findings) : tr_view(NULL, 0), &got);
	assert_string_equal(tr_buf_cstr(&got), want);
}

static const struct spec evil[ITEMS] = { GOOD_MAP, { .pin = "t/evil", .name = "e", .kind = TR_BPF_PROG, .id = 66, .tag = 6 },
					 GOOD_LINK, GOOD_PROG };

/* ---- the facts ---- */

static void each_change_has_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf got = TR_BUF_INIT;
		bool bad = *cases[i].want && *cases[i].want != '+';
		const struct tr_fleet_agent *a;

		assert_int_equal(set_up(NULL), 0);
		assert_int_equal(list(good), TR_INTEGRITY_OK);
		/* The usual way: first another digest, then the list that the server asked for. After a boot both. */
		(void)judge(no, TR_BPF_OK, cases[i].kernel, cases[i].seen, false, !cases[i].rebooted);
		if (judge(no, TR_BPF_OK, cases[i].kernel, cases[i].seen, true, true) !=
		    (bad ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK))
			fail_msg("%s: wrong verdict", cases[i].label);
		a = tr_fleet_agent(f, no);
		in_short(a->findings ? tr_buf_view(a->findings) : tr_view(NULL, 0), &got);
		if (strcmp(tr_buf_cstr(&got), cases[i].want) != 0)
			fail_msg("%s: found \"%s\", expected \"%s\"", cases[i].label, tr_buf_cstr(&got), cases[i].want);
		assert_int_equal(heard.open, bad);
		/* Said again, nothing is told again. */
		heard.events = 0;
		(void)judge(no, TR_BPF_OK, cases[i].kernel, cases[i].seen, true, true);
		(void)judge(no, TR_BPF_OK, cases[i].kernel, cases[i].seen, false, true);
		assert_int_equal(heard.events, 0);
		/* Back to what was good, or what became good, is fine. */
		if (bad && !cases[i].rebooted) {
			assert_int_equal(digest(good), TR_INTEGRITY_OK);
			assert_int_equal(heard.resolved, 1);
			assert_found("");
		}
		(void)tear_down(NULL);
	}
}

static void the_first_list_is_the_baseline(void **state)
{
	(void)state;
	assert_int_equal(digest(good), TR_INTEGRITY_UNKNOWN);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_false(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(heard.events, 1);
	assert_int_equal(heard.severity, 5);
	assert_int_equal(heard.refs, 1);
	assert_int_equal(digest(good), TR_INTEGRITY_OK);
	assert_int_equal(heard.events, 1);
}

static void unknown_is_never_green_and_a_proven_mismatch_stays(void **state)
{
	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(digest(evil), TR_INTEGRITY_UNKNOWN);
	assert_int_equal(digest(evil), TR_INTEGRITY_UNKNOWN);
	assert_int_equal(heard.open, 0);
	assert_int_equal(list(evil), TR_INTEGRITY_BPF_MISMATCH);
	assert_int_equal(digest(evil), TR_INTEGRITY_BPF_MISMATCH);
	/* A third state, not seen yet: what was proven is not unproven by it. */
	assert_int_equal(digest(good + 1), TR_INTEGRITY_BPF_MISMATCH);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	/* An operator who asks for the list changes no verdict. */
	assert_int_equal(list(evil), TR_INTEGRITY_BPF_MISMATCH);
	tr_fleet_want_bpf_list(f, no);
	assert_int_equal(digest(evil), TR_INTEGRITY_BPF_MISMATCH);
	assert_int_equal(digest(good), TR_INTEGRITY_OK);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_false(tr_fleet_agent(f, no)->want_bpf_list);
}

static void a_snapshot_that_is_lost_or_hidden_is_a_finding(void **state)
{
	static const enum tr_bpf_status lost[] = { TR_BPF_NO_RIGHTS, TR_BPF_NO_BPFFS, TR_BPF_OFF, TR_BPF_TOO_MANY, TR_BPF_FAILED };

	(void)state;
	/* Who never had one is neither good nor bad. */
	for (size_t i = 0; i < TR_ARRAY_LEN(lost); i++)
		assert_int_equal(judge(no, lost[i], NULL, NULL, false, true), TR_INTEGRITY_OK);
	assert_int_equal(heard.events, 0);
	assert_int_equal(judge(no, TR_BPF_HIDDEN, NULL, NULL, false, true), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("hidden");
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(heard.resolved, 1);
	for (size_t i = 0; i < TR_ARRAY_LEN(lost); i++) {
		assert_int_equal(judge(no, lost[i], NULL, NULL, false, true), TR_INTEGRITY_BPF_MISMATCH);
		assert_found("status_lost");
	}
	assert_int_equal(judge(no, TR_BPF_HIDDEN, NULL, NULL, false, true), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("hidden");
	assert_int_equal(digest(good), TR_INTEGRITY_OK);
	assert_found("");
	assert_int_equal(heard.resolved, 2);
}

static void what_an_operator_accepts_is_good(void **state)
{
	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(list(evil), TR_INTEGRITY_BPF_MISMATCH);
	tr_bpf_accept(f, no);
	assert_found("");
	assert_int_equal(digest(evil), TR_INTEGRITY_OK);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(list(evil), TR_INTEGRITY_OK);
	assert_false(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(heard.approved, 1);
	assert_int_equal(list(good), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("missing t/evil");
	/* Accepted, and changed again before the list came: that is not what was accepted. */
	tr_bpf_accept(f, no);
	assert_int_equal(list(evil), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("changed");
	assert_int_equal(digest(good), TR_INTEGRITY_OK);
}

/* A boot's mark is in the stored list: it holds when the server restarts between the boot and the list. */
static void a_boot_is_remembered_with_the_list(void **state)
{
	static const struct spec after[ITEMS] = { MAP(.id = 3, .content = 1, .frozen = true),
						  LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
						  PROG(.id = 1, .loaded = 50, .tag = 1, .norm = 1, .attach = TR_BPF_ATTACHED) };
	tr_auto(tr_buf_done) struct tr_buf scratch = TR_BUF_INIT, kept = TR_BUF_INIT;
	struct tr_pulse_row row;
	const uint8_t key[32] = { 9 };

	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(judge(no, TR_BPF_OK, K1, after, false, false), TR_INTEGRITY_UNKNOWN);
	tr_fleet_row(f, no, &scratch, &row);
	tr_record_encode(&tr_pulse_row_def, &row, &kept);
	(void)tear_down(NULL);
	assert_int_equal(set_up(NULL), 0);
	{
		struct tr_err err;

		assert_int_equal(tr_record_decode(&tr_pulse_row_def, tr_buf_view(&kept), &row, &err), TR_OK);
	}
	no = tr_fleet_add(f, &now, TR_VIEW_LIT("web-2"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true, &row);
	assert_int_equal(judge(no, TR_BPF_OK, K1, after, true, true), TR_INTEGRITY_OK);
	assert_found("");
	/* And from here on the new numbers count. */
	assert_int_equal(list(good), TR_INTEGRITY_BPF_MISMATCH);
}

static void hashes_are_learned_per_kernel(void **state)
{
	static const struct spec other[ITEMS] = { GOOD_MAP, GOOD_LINK,
					PROG(.id = 10, .loaded = 100, .tag = 1, .norm = 9, .attach = TR_BPF_ATTACHED) };
	const uint8_t key[32] = { 8 };
	uint32_t second = tr_fleet_add(f, &now, TR_VIEW_LIT("web-2"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true,
				       NULL);

	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(judge(second, TR_BPF_OK, K1, good, true, true), TR_INTEGRITY_OK);
	assert_int_equal(heard.refs, 1);
	/* Another kernel has another hash: learned, not noted. */
	assert_int_equal(judge(second, TR_BPF_OK, K2, other, true, false), TR_INTEGRITY_OK);
	assert_int_equal(heard.refs, 2);
	assert_null(tr_fleet_agent(f, second)->findings);
	/* A known kernel, pin and tag with another hash: told, but not called tampering. */
	no = tr_fleet_add(f, &now, TR_VIEW_LIT("web-3"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true, NULL);
	assert_int_equal(list(other), TR_INTEGRITY_OK);
	assert_found("+norm_differs t/prog");
	assert_int_equal(heard.severity, 3);
	assert_int_equal(heard.open, 1);
	assert_int_equal(digest(other), TR_INTEGRITY_OK);
	assert_found("+norm_differs t/prog");
	assert_int_equal(heard.resolved, 0);
	assert_int_equal(heard.refs, 2);
}

/* Code that reads the kernel's structures has another tag there: approved once, it is fine on every host with that kernel. */
static void an_approved_tag_of_another_kernel_is_no_swap(void **state)
{
	static const struct spec there[ITEMS] = { GOOD_MAP, GOOD_LINK,
					PROG(.id = 10, .loaded = 100, .tag = 2, .norm = 7, .attach = TR_BPF_ATTACHED) };
	const uint8_t key[32] = { 8 };
	uint32_t second = tr_fleet_add(f, &now, TR_VIEW_LIT("web-2"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true,
				       NULL);

	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(judge(second, TR_BPF_OK, K1, good, true, true), TR_INTEGRITY_OK);
	assert_int_equal(judge(second, TR_BPF_OK, K2, there, true, false), TR_INTEGRITY_BPF_MISMATCH);
	tr_bpf_accept(f, second);
	assert_int_equal(judge(second, TR_BPF_OK, K2, there, true, true), TR_INTEGRITY_OK);
	assert_int_equal(heard.approved, 1);
	assert_int_equal(judge(no, TR_BPF_OK, K2, there, true, false), TR_INTEGRITY_OK);
	assert_found("");
}

/* The same programs under one made-up kernel after the other: nothing differs, and each is news. */
static void one_agent_cannot_fill_the_references(void **state)
{
	uint8_t key[32] = { 10 };
	uint32_t other;
	char kernel[32];

	(void)state;
	for (int i = 0; i < 600; i++) {
		(void)snprintf(kernel, sizeof(kernel), "7.0.%d", i);
		assert_int_equal(judge(no, TR_BPF_OK, kernel, good, true, true), TR_INTEGRITY_OK);
	}
	assert_int_equal(f->n_refs, 512);
	other = tr_fleet_add(f, &now, TR_VIEW_LIT("web-2"), TR_VIEW_LIT("lab"), key, tr_view(NULL, 0), 1, true, NULL);
	assert_int_equal(judge(other, TR_BPF_OK, "8.0", good, true, true), TR_INTEGRITY_OK);
	assert_int_equal(f->n_refs, 513);
}

static void references_come_back_from_the_store(void **state)
{
	uint8_t key[32] = { 1 }, norm[32] = { 2 };
	const struct tr_bpf_ref_row rows[] = {
		{ .key = TR_VIEW_ARRAY(key), .norm = TR_VIEW_ARRAY(norm), .state = TR_VIEW_LIT("approved") },
		{ .key = TR_VIEW_LIT("short"), .norm = TR_VIEW_ARRAY(norm), .state = TR_VIEW_LIT("learned") },
	};

	(void)state;
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(f->n_refs, 1);
	tr_fleet_bpf_refs(f, rows, 2);
	assert_int_equal(f->n_refs, 1);
	tr_fleet_bpf_refs(f, rows, 2);
	assert_int_equal(f->n_refs, 1);
}

/* 128 strangers with long names: what is told stays within an event's detail. */
static void many_findings_are_counted(void **state)
{
	tr_auto(tr_bpf_findings_done) struct tr_bpf_findings found = { .n_mismatches = 0 };
	tr_auto(tr_buf_done) struct tr_buf json = TR_BUF_INIT, s = TR_BUF_INIT;
	char pin[129];

	(void)state;
	memset(pin, '"', 128);
	pin[128] = 0;
	for (int i = 0; i < 128; i++)
		tr_bpf_mismatch(&found, "foreign", tr_view_str(pin), "nothing", "program");
	tr_bpf_findings_json(&found, &json);
	assert_in_range(json.n, 1000, 3500);
	in_short(tr_buf_view(&json), &s);
	assert_non_null(strstr(tr_buf_cstr(&s), ",more"));
}

/* ---- references from the signed release ---- */

/* Two images; image 1 is release 1.2.3, which names t/prog with tag 1 (by SHA-1) or 0x81 (by SHA-256). */
static void publish(uint8_t image, const char *version, const char *pin, uint8_t tag, bool withdrawn)
{
	tr_auto(tr_buf_done) struct tr_buf bpf = TR_BUF_INIT;
	uint8_t sha[32], object[32], sha1[8], sha256[8];
	struct tr_release_bpf p = { .pin = tr_view_str(pin), .object = fill(object, 32, 0x0b), .tag_sha1 = fill(sha1, 8, tag),
				    .tag_sha256 = fill(sha256, 8, tag | 0x80) };
	struct tr_release_row row = { .sha256 = fill(sha, 32, image), .version = tr_view_str(version),
				      .withdrawn_at = withdrawn };

	if (tag)
		tr_records_add(&bpf, &tr_release_bpf_def, &p);
	row.bpf = tr_buf_view(&bpf);
	tr_fleet_releases(f, &row, 1);
}

/* As judge.c does when another image runs. */
static void run_image(uint8_t image, bool ordered)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint8_t sha[32];

	tr_intern_set(f->values, &a->running, fill(sha, 32, image));
	tr_bpf_other_image(f, no, ordered);
	if (ordered || !a->good)
		tr_intern_set(f->values, &a->good, fill(sha, 32, image));
}

static const struct spec by_sha256[ITEMS] = { GOOD_MAP, GOOD_LINK,
					      PROG(.id = 10, .loaded = 100, .tag = 0x81, .norm = 1,
						   .attach = TR_BPF_ATTACHED) };
static const struct spec other_tag[ITEMS] = { GOOD_MAP, GOOD_LINK,
					      PROG(.id = 10, .loaded = 100, .tag = 2, .norm = 1, .attach = TR_BPF_ATTACHED) };
static const struct spec no_prog[ITEMS] = { GOOD_MAP };
static const struct spec not_a_prog[ITEMS] = { GOOD_MAP, GOOD_LINK,
					       { .pin = "t/prog", .name = "p", .kind = TR_BPF_MAP, .type = 6, .id = 10 } };

static void a_release_counts_from_the_first_list(void **state)
{
	static const struct {
		const char *label;
		const struct spec *seen;
		uint8_t tag; /* that the release names; 0: it names no programs */
		bool withdrawn;
		const char *want;
	} firsts[] = {
		{ "tag by SHA-1", good, 1, false, "" },
		{ "tag by SHA-256", by_sha256, 1, false, "" },
		{ "another tag", other_tag, 1, false, "not_as_released t/prog" },
		{ "missing", no_prog, 1, false, "missing t/prog" },
		{ "a map under the pin", not_a_prog, 1, false, "not_as_released t/prog" },
		{ "a release that names none", other_tag, 0, false, "" },
		{ "a withdrawn release", other_tag, 1, true, "" },
		{ "the one tag in place of the other's", by_sha256, 0x81, false, "" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(firsts); i++) {
		bool bad = *firsts[i].want;
		struct tr_view version;

		assert_int_equal(set_up(NULL), 0);
		publish(1, "1.2.3", "t/prog", firsts[i].tag, firsts[i].withdrawn);
		run_image(1, false);
		assert_int_equal(tr_fleet_released_bpf(f, no, &version).n > 0, firsts[i].tag && !firsts[i].withdrawn);
		if (list(firsts[i].seen) != (bad ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK))
			fail_msg("%s: wrong verdict", firsts[i].label);
		assert_found(firsts[i].want);
		assert_int_equal(heard.open, bad);
		assert_int_equal(tr_fleet_agent(f, no)->bpf_good != 0, !bad);
		/* Said by its digest, it stays; as released, it is over. */
		assert_int_equal(digest(firsts[i].seen), bad ? TR_INTEGRITY_BPF_MISMATCH : TR_INTEGRITY_OK);
		if (bad) {
			assert_int_equal(list(good), TR_INTEGRITY_OK);
			assert_int_equal(heard.resolved, 1);
		}
		(void)tear_down(NULL);
	}
}

static void what_a_release_says_comes_and_goes(void **state)
{
	(void)state;
	/* Learned first, published later: the list that is known is judged, without being sent again. */
	run_image(1, false);
	assert_int_equal(list(other_tag), TR_INTEGRITY_OK);
	publish(1, "1.2.3", "t/prog", 1, false);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("not_as_released t/prog");
	assert_int_equal(heard.open, 1);
	/* An operator's word is not above it. */
	tr_bpf_accept(f, no);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("not_as_released t/prog");
	/* Published anew with the right tag, or withdrawn: then it is good. */
	publish(1, "1.2.3", "t/prog", 2, false);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_OK);
	assert_found("");
	publish(1, "1.2.3", "t/prog", 1, false);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	publish(1, "1.2.3", "t/prog", 1, true);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_OK);
	assert_found("");
	/* Of another image it says nothing, nor of one that may not run. */
	publish(2, "2.0.0", "t/prog", 1, false);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_OK);
	run_image(2, false);
	assert_int_equal(tr_fleet_released_bpf(f, no, NULL).n, 0);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_OK);
}

static void a_withdrawn_release_leaves_the_first_list(void **state)
{
	(void)state;
	publish(1, "1.2.3", "t/prog", 1, false);
	run_image(1, false);
	assert_int_equal(list(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	publish(1, "1.2.3", "t/prog", 1, true);
	/* Proven bad by what counts no more: the list is asked for, and until it is here nothing is called good. */
	assert_int_equal(digest(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(list(other_tag), TR_INTEGRITY_OK);
	assert_int_equal(heard.resolved, 1);
}

static void accepted_by_its_digest_it_waits_for_its_list(void **state)
{
	(void)state;
	publish(1, "1.2.3", "t/prog", 1, false);
	run_image(1, false);
	assert_int_equal(list(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	tr_bpf_accept(f, no);
	assert_int_equal(digest(other_tag), TR_INTEGRITY_UNKNOWN);
	assert_true(tr_fleet_agent(f, no)->want_bpf_list);
	assert_int_equal(list(other_tag), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("not_as_released t/prog");
}

/* Everything is loaded anew, with the new release's code: nothing of it is a finding, what else has changed is. */
static void an_ordered_update_brings_its_own_programs(void **state)
{
	static const struct spec after[ITEMS] = { MAP(.id = 31, .content = 1, .frozen = true),
						  LINK(.id = 21, .prog = 11, .attach = TR_BPF_ATTACHED),
						  PROG(.id = 11, .loaded = 200, .tag = 5, .norm = 5,
						       .attach = TR_BPF_ATTACHED) };
	static const struct spec altered[ITEMS] = { MAP(.id = 31, .content = 2, .frozen = true),
						    LINK(.id = 21, .prog = 11, .attach = TR_BPF_ATTACHED),
						    PROG(.id = 11, .loaded = 200, .tag = 5, .norm = 5,
							 .attach = TR_BPF_ATTACHED) };

	(void)state;
	publish(1, "1.2.3", "t/prog", 1, false);
	run_image(1, false);
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	publish(2, "1.3.0", "t/prog", 5, false);
	run_image(2, true);
	assert_int_equal(list(altered), TR_INTEGRITY_BPF_MISMATCH);
	assert_found("map_altered t/cfg");
	assert_int_equal(list(after), TR_INTEGRITY_OK);
	assert_found("");
	/* The old release's programs are not good any more. */
	assert_int_equal(list(good), TR_INTEGRITY_BPF_MISMATCH);
	assert_int_equal(list(after), TR_INTEGRITY_OK);
	/* The same code loaded again by somebody is still a finding: the release cannot know that. */
	{
		static const struct spec again[ITEMS] = {
			MAP(.id = 31, .content = 1, .frozen = true), LINK(.id = 21, .prog = 11, .attach = TR_BPF_ATTACHED),
			PROG(.id = 12, .loaded = 300, .tag = 5, .norm = 5, .attach = TR_BPF_ATTACHED) };

		assert_int_equal(list(again), TR_INTEGRITY_BPF_MISMATCH);
		assert_found("replaced t/prog");
	}
}

static void the_kernel_may_change_the_kind_of_tag(void **state)
{
	static const struct spec there[ITEMS] = { MAP(.id = 3, .content = 1, .frozen = true),
						  LINK(.id = 2, .prog = 1, .attach = TR_BPF_ATTACHED),
						  PROG(.id = 1, .loaded = 50, .tag = 0x81, .norm = 7,
						       .attach = TR_BPF_ATTACHED) };

	(void)state;
	publish(1, "1.2.3", "t/prog", 1, false);
	run_image(1, false);
	assert_int_equal(list(good), TR_INTEGRITY_OK);
	assert_int_equal(judge(no, TR_BPF_OK, K2, there, true, false), TR_INTEGRITY_OK);
	assert_found("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_has_its_name),
		cmocka_unit_test_setup_teardown(the_first_list_is_the_baseline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_is_never_green_and_a_proven_mismatch_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_snapshot_that_is_lost_or_hidden_is_a_finding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_an_operator_accepts_is_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_boot_is_remembered_with_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hashes_are_learned_per_kernel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_approved_tag_of_another_kernel_is_no_swap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_agent_cannot_fill_the_references, set_up, tear_down),
		cmocka_unit_test_setup_teardown(references_come_back_from_the_store, set_up, tear_down),
		cmocka_unit_test(a_release_counts_from_the_first_list),
		cmocka_unit_test_setup_teardown(what_a_release_says_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_withdrawn_release_leaves_the_first_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(accepted_by_its_digest_it_waits_for_its_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_ordered_update_brings_its_own_programs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_kernel_may_change_the_kind_of_tag, set_up, tear_down),
		cmocka_unit_test(many_findings_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
