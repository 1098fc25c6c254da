/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/bpf only: the five bpf(2) commands that reading takes. The layouts are our own: the headers that we build
 * with are older than kernels that we run on (tcx and netfilter links), and the kernel accepts any length. */
#ifndef TR_BPF_SYS_H
#define TR_BPF_SYS_H

#include "base/view.h"

#include <linux/bpf.h>

/* Link types that Debian 12's header does not know. */
enum { TR_LINK_NETFILTER = 10, TR_LINK_TCX, TR_LINK_UPROBE_MULTI, TR_LINK_NETKIT, TR_LINK_SOCKMAP };

/* What all link types begin with, and the longest target that we read. */
struct tr_link_info {
	uint32_t type, id, prog_id, pad;
	union {
		uint64_t cgroup_id;
		uint32_t ifindex, netns_ino, map_id, word[12];
	} at;
};
_Static_assert(sizeof(struct tr_link_info) == 64, "laid out as struct bpf_link_info");

/* TR_BPF_OBJ_NONE: the descriptor is none of the three. */
enum tr_bpf_obj { TR_BPF_OBJ_NONE, TR_BPF_OBJ_PROG, TR_BPF_OBJ_MAP, TR_BPF_OBJ_LINK };

/* All return -1 with errno, as the system call does. */
int tr_bpf_probe(void);                    /* 0: there is a bpf(2); ENOSYS: there is none */
int tr_bpf_obj_get(const char *path);      /* read-only where the kernel allows it */
/* Zeroes the buffer, and leaves zero what this kernel does not know. */
int tr_bpf_info(int fd, void *info, uint32_t len);
int tr_bpf_prog_info(int fd, struct bpf_prog_info *info); /* with the buffers that it points at */
int tr_bpf_map_next(int fd, const void *key /* NULL: first */, void *next);
int tr_bpf_map_lookup(int fd, const void *key, void *value);
/* in: NULL at first, then out of the call before. *n: room, then entries; ENOENT: these were the last. */
int tr_bpf_map_batch(int fd, const void *in, void *out, void *keys, void *values, uint32_t *n);
enum tr_bpf_obj tr_bpf_kind_of(int fd);
bool tr_bpf_frozen(int map_fd);
bool tr_bpf_allowed(void); /* CAP_BPF or CAP_SYS_ADMIN in effect */

#endif
