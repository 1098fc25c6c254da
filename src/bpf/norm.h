/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/bpf only: instructions as the kernel shows them, made the same for every load of one program on one kernel. */
#ifndef TR_BPF_NORM_H
#define TR_BPF_NORM_H

#include "base/view.h"

#include <linux/bpf.h>

/* Rewrites in place: ids of maps become their place in map_ids, which the load order decides; other addresses and the
 * distances to kernel functions become 0. Then the SHA-256 of insns is the normalised hash. Any input is fine. */
void tr_bpf_normalise(struct bpf_insn *insns, size_t n, const uint32_t *map_ids, size_t n_maps);

#endif
