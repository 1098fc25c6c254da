/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/fleet only: two BPF lists, compared pin by pin. Pure. */
#ifndef TR_FLEET_BPF_COMPARE_H
#define TR_FLEET_BPF_COMPARE_H

#include "base/buf.h"
#include "signed/bpf_list.h"
#include "signed/release_bpf.h"

/* In a good list that is older than the host's last boot: ids, load times and prog_ids carry this bit. They are compared
 * with each other, so that it is still known which program a link belongs to, but never with the kernel's new ones. */
#define TR_BPF_OTHER_BOOT (1ull << 32)

/* What was found: members of a JSON array, {"finding","pin","expected","seen"} each; a note has "note":true in front. */
struct tr_bpf_findings {
	struct tr_buf mismatches, notes; /* joined by commas */
	unsigned n_mismatches, n_notes, n_omitted;
	bool norm_differs;
	bool unlike_release;             /* one of the mismatches is of tr_bpf_check_released */
	char first[160];                 /* of the mismatches, for people */
};
void tr_bpf_findings_done(struct tr_bpf_findings *f);
TR_DEFINE_AUTO_DONE(struct tr_bpf_findings, tr_bpf_findings_done)

/* finding: slug. Bounded: what does not fit an event's detail is only counted. */
void tr_bpf_mismatch(struct tr_bpf_findings *f, const char *finding, struct tr_view pin, const char *expected,
		     const char *seen);
void tr_bpf_note(struct tr_bpf_findings *f, const char *finding, struct tr_view pin, const char *expected, const char *seen);
void tr_bpf_findings_json(const struct tr_bpf_findings *f, struct tr_buf *json); /* "[…]"; nothing when there are none */

/* Whether an operator approved this program for this kernel; how a program may have another tag after a new kernel. */
typedef bool (*tr_bpf_approved_fn)(void *arg, struct tr_view kernel, const struct tr_bpf_item *prog);

/* Appends to *f. TR_E_INVALID when a list is damaged; then *f says nothing. released (records of tr_release_bpf_def; may be
 * empty): what stands under these pins is tr_bpf_check_released's affair, so here only what the release cannot know is
 * compared: whether it is still the same load, attached, and so on. */
TR_RC tr_bpf_compare(const struct tr_bpf_list *good, const struct tr_bpf_list *seen, struct tr_view released,
		     tr_bpf_approved_fn approved, void *arg, struct tr_bpf_findings *f, struct tr_err *err);
/* Every program that the release names must be there, with one of its two tags. */
TR_RC tr_bpf_check_released(struct tr_view released, const struct tr_bpf_list *seen, struct tr_bpf_findings *f,
			    struct tr_err *err);
/* The same list with every id marked TR_BPF_OTHER_BOOT, as record. */
TR_RC tr_bpf_mark_other_boot(struct tr_view list, struct tr_buf *ret, struct tr_err *err);

#endif
