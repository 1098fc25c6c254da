/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/norm.h"

#define LD_IMM64 (BPF_LD | BPF_IMM | BPF_DW)
#define CALL (BPF_JMP | BPF_CALL)

/* Numbers of BPF_PSEUDO_*: 1 map, 2 map's value, 5 and 6 the same by index; 3 BTF id, 4 function. */
static bool names_a_map(unsigned src)
{
	return src == BPF_PSEUDO_MAP_FD || src == BPF_PSEUDO_MAP_VALUE || src == BPF_PSEUDO_MAP_IDX ||
	       src == BPF_PSEUDO_MAP_IDX_VALUE;
}

static int32_t place_of(uint32_t id, const uint32_t *map_ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (map_ids[i] == id)
			return (int32_t)i;
	}
	return -1;
}

void tr_bpf_normalise(struct bpf_insn *insns, size_t n, const uint32_t *map_ids, size_t n_maps)
{
	for (size_t i = 0; i < n; i++) {
		struct bpf_insn *in = &insns[i];

		if (in->code == CALL) {
			/* The distance to the function differs per kernel build; kptr_restrict shows 0 for calls of any
			 * kind. A call within the program keeps its target in `off`. */
			in->imm = 0;
		} else if (in->code == LD_IMM64) {
			/* Two slots; the second's imm is the offset in a map's value, or the upper half. */
			if (names_a_map(in->src_reg))
				in->imm = place_of((uint32_t)in->imm, map_ids, n_maps);
			else if (in->src_reg) {
				in->imm = 0;
				if (i + 1 < n)
					insns[i + 1].imm = 0;
			}
			i++;
		}
	}
}
