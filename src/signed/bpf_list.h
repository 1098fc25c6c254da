/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF snapshot as a list: which programs and maps are pinned where an agent looks, and what is attached. On the wire
 * deterministic CBOR ([kernel, [items sorted by pin]]), whose SHA-256 is the digest in every pulse; between roles and in
 * the store a list of records. Self-asserted like everything in a pulse. */
#ifndef TR_SIGNED_BPF_LIST_H
#define TR_SIGNED_BPF_LIST_H

#include "codec/record.h"

#define TR_BPF_ITEMS_MAX 128

/* What the agent could find out. Only TR_BPF_OK says anything about programs; the others are precise excuses, neither
 * green nor compromised. The numbers of these enums stand in pulses and in the database: never renumber. */
enum tr_bpf_status { TR_BPF_UNKNOWN, TR_BPF_OK, TR_BPF_NO_KERNEL /* no bpf(2) */, TR_BPF_NO_BPFFS /* no bpffs mounted */,
		     TR_BPF_NO_RIGHTS /* no CAP_BPF */, TR_BPF_OFF /* not configured */,
		     TR_BPF_HIDDEN /* the path shows other pins than the directory opened at start: over-mounted */,
		     TR_BPF_TOO_MANY, TR_BPF_FAILED, TR_BPF_STATUS_N };
const char *tr_bpf_status_name(enum tr_bpf_status s);

enum tr_bpf_kind { TR_BPF_PROG = 1, TR_BPF_MAP, TR_BPF_LINK, TR_BPF_KIND_N };
enum tr_bpf_attach { TR_BPF_ATTACH_UNKNOWN, TR_BPF_ATTACHED, TR_BPF_DETACHED, TR_BPF_ATTACH_N };
/* Why there is no normalised hash. */
enum tr_bpf_norm { TR_BPF_NORM_OK, TR_BPF_NORM_HARDENED /* bpf_jit_harden blinds constants */,
		   TR_BPF_NORM_HIDDEN /* kernel gives no instructions (kptr_restrict) */,
		   TR_BPF_NORM_NONE /* not a program */, TR_BPF_NORM_N };

struct tr_bpf_item {
	struct tr_view pin;      /* path below the bpffs mount, e.g. "troth/shield"; at most 128 bytes */
	struct tr_view name;     /* kernel's name, at most 15 bytes; may differ from the pin's */
	uint64_t kind;           /* enum tr_bpf_kind */
	uint64_t type;           /* kernel's program, map or link type number */
	uint64_t id;             /* kernel's id and load time: same object as before, within one boot */
	uint64_t loaded_ns;      /* CLOCK_BOOTTIME; programs only */
	struct tr_view tag;      /* programs: kernel's 8 bytes; empty for others */
	uint64_t norm_status;    /* enum tr_bpf_norm */
	struct tr_view norm;     /* SHA-256 of the normalised instructions, 32 bytes or empty */
	struct tr_view object;   /* SHA-256 of the ELF object that the agent itself loaded, 32 bytes or empty */
	uint64_t attach;         /* enum tr_bpf_attach; programs and links */
	uint64_t prog_id;        /* links: the program behind */
	struct tr_view content;  /* maps that are declared: SHA-256 of their content; else empty */
	bool frozen;             /* maps */
};
struct tr_bpf_list {
	struct tr_view kernel; /* "<release> <machine> jit=<0|1|2> harden=<0|1|2>": what a normalised hash depends on; ≤ 128 bytes */
	struct tr_view items;  /* tr_records_add with tr_bpf_item_def, sorted by pin, unique, at most TR_BPF_ITEMS_MAX */
};
extern const struct tr_record tr_bpf_item_def, tr_bpf_list_def;

/* → canonical CBOR. TR_E_INVALID when items break a rule. */
TR_RC tr_bpf_list_put(const struct tr_bpf_list *l, struct tr_buf *out, struct tr_err *err);
/* CBOR → list; kernel borrows from cbor, items from *ret_items (emptied first). Every rule is checked. */
TR_RC tr_bpf_list_get(struct tr_view cbor, struct tr_buf *ret_items, struct tr_bpf_list *ret, struct tr_err *err);
/* The same rules, without keeping anything. */
TR_RC tr_bpf_list_check(struct tr_view cbor, struct tr_err *err);

#endif
