/* SPDX-License-Identifier: Apache-2.0 */
/* BPF objects for tests: programs of a few hand-written instructions, maps, links, pins. Needs root. All return -1 with
 * errno, as the system calls do. */
#ifndef TR_TEST_BPF_LAB_H
#define TR_TEST_BPF_LAB_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

int lab_map(unsigned type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags, const char *name);
int lab_map_set(int map, const void *key, const void *value);
int lab_map_delete(int map, const void *key);
int lab_map_freeze(int map);
/* Returns `verdict`; map: -1, or one that it names without touching it. */
int lab_prog(unsigned type, unsigned attach, const char *name, int verdict, int map);
/* The same with so many instructions more, at most LAB_PAD_MAX. */
#define LAB_PAD_MAX 1000
int lab_prog_padded(unsigned type, unsigned attach, const char *name, int verdict, int map, unsigned pad);
int lab_link(int prog, uint32_t target, unsigned attach);
int lab_raw_tracepoint(int prog, const char *name); /* a link too */
int lab_link_update(int link, int prog);
int lab_link_detach(int link);
int lab_pin(int fd, const char *path);
int lab_get(const char *path);

#endif
