/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int lab_map(unsigned type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags, const char *name)
{
	union bpf_attr a = { .map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags };

	(void)snprintf(a.map_name, sizeof(a.map_name), "%s", name);
	return bpf(BPF_MAP_CREATE, &a);
}

int lab_map_set(int map, const void *key, const void *value)
{
	union bpf_attr a = { .map_fd = (uint32_t)map, .key = (uintptr_t)key, .value = (uintptr_t)value };

	return bpf(BPF_MAP_UPDATE_ELEM, &a);
}

int lab_map_delete(int map, const void *key)
{
	union bpf_attr a = { .map_fd = (uint32_t)map, .key = (uintptr_t)key };

	return bpf(BPF_MAP_DELETE_ELEM, &a);
}

int lab_map_freeze(int map)
{
	union bpf_attr a = { .map_fd = (uint32_t)map };

	return bpf(BPF_MAP_FREEZE, &a);
}

int lab_prog_padded(unsigned type, unsigned attach, const char *name, int verdict, int map, unsigned pad)
{
	struct bpf_insn insns[4 + LAB_PAD_MAX] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = map < 0 ? 0 : BPF_PSEUDO_MAP_FD, .imm = map < 0 ? 7 : map },
	};
	unsigned n = 2;
	union bpf_attr a = { .prog_type = type, .insns = (uintptr_t)insns, .license = (uintptr_t) "GPL",
			     .expected_attach_type = attach };

	while (pad-- && n < 2 + LAB_PAD_MAX)
		insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = (int)pad };
	insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict };
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	a.insn_cnt = n;
	(void)snprintf(a.prog_name, sizeof(a.prog_name), "%s", name);
	return bpf(BPF_PROG_LOAD, &a);
}

int lab_prog(unsigned type, unsigned attach, const char *name, int verdict, int map)
{
	return lab_prog_padded(type, attach, name, verdict, map, 0);
}

int lab_link(int prog, uint32_t target, unsigned attach)
{
	union bpf_attr a = { .link_create = { .prog_fd = (uint32_t)prog, .target_fd = target, .attach_type = attach } };

	return bpf(BPF_LINK_CREATE, &a);
}

int lab_raw_tracepoint(int prog, const char *name)
{
	union bpf_attr a = { .raw_tracepoint = { .name = (uintptr_t)name, .prog_fd = (uint32_t)prog } };

	return bpf(BPF_RAW_TRACEPOINT_OPEN, &a);
}

int lab_link_update(int link, int prog)
{
	union bpf_attr a = { .link_update = { .link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)prog } };

	return bpf(BPF_LINK_UPDATE, &a);
}

int lab_link_detach(int link)
{
	union bpf_attr a = { .link_detach = { .link_fd = (uint32_t)link } };

	return bpf(BPF_LINK_DETACH, &a);
}

int lab_pin(int fd, const char *path)
{
	union bpf_attr a = { .pathname = (uintptr_t)path, .bpf_fd = (uint32_t)fd };

	return bpf(BPF_OBJ_PIN, &a);
}

int lab_get(const char *path)
{
	union bpf_attr a = { .pathname = (uintptr_t)path };

	return bpf(BPF_OBJ_GET, &a);
}
