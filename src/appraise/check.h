/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/appraise only: how the lines of an appraisal come about. A line that fails names its reason; the first
 * reason counts, unless a later one may not be tolerated in audit mode and the first may. */
#ifndef TR_APPRAISE_CHECK_H
#define TR_APPRAISE_CHECK_H

#include "appraise/policy.h"

/* One appraisal under way. */
struct tr_run {
	const struct tr_policy *p;
	struct tr_appraisal *a;
	int64_t now_ms;
};

/* Does a mode other than enforce admit in spite of this? Never what concerns identity. */
bool tr_reason_tolerated(enum tr_reason r);
/* Begins a line; `why` is TR_R_OK when the check passed. Expected and seen are filled by the two below. */
struct tr_check *tr_check_add(struct tr_run *run, const char *name, enum tr_reason why);
void tr_check_expected(struct tr_check *c, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_check_seen(struct tr_check *c, const char *fmt, ...) TR_PRINTF(2, 3);
/* The whole line, for static texts; returns whether it passed. */
bool tr_check_line(struct tr_run *run, const char *name, enum tr_reason why, const char *expected, const char *seen);
/* Empties *a. */
void tr_run_begin(struct tr_run *run, const struct tr_policy *p, struct tr_appraisal *a, int64_t now_ms,
		  bool native);
/* The first check of both forms: does the configuration list this one? */
bool tr_run_form(struct tr_run *run, bool accepted, const char *form);
/* Sets `admitted` from mode and reason. */
void tr_run_end(struct tr_run *run);

/* Whole appraisals of a parsed body (native.c, original.c). */
void tr_run_native(const struct tr_policy *p, tr_jnode root, struct tr_view exporter, int64_t now_ms,
		   struct tr_appraisal *ret, struct tr_pubkey **ret_key);
void tr_run_original(const struct tr_policy *p, tr_jnode root, int64_t now_ms, struct tr_appraisal *ret);

/* The rules that both forms of claim share; each adds its lines (rules.c). */
void tr_rule_clock(struct tr_run *run, int64_t diff_ms);
/* `release` may be empty; *ret_version is the version that a good statement names, else empty (borrows). */
void tr_rule_hash(struct tr_run *run, struct tr_view release, struct tr_view *ret_version);
/* `stated` is the version that the release statement names, or empty. */
void tr_rule_version(struct tr_run *run, struct tr_view version, struct tr_view stated);
void tr_rule_tier(struct tr_run *run);
/* Cuts, and ends with NUL. */
void tr_copy_text(char *to, size_t cap, struct tr_view v);
/* Was the key good for something signed at that time? Fills c->seen when not. */
bool tr_vkey_good_at(const struct tr_vkey *k, int64_t signed_ms, struct tr_check *c);

#endif
