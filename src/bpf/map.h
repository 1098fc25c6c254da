/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/bpf only: what a map holds, as one digest. */
#ifndef TR_BPF_MAP_H
#define TR_BPF_MAP_H

#include "base/buf.h"

#include <linux/bpf.h>

#define TR_BPF_MAP_ENTRIES_MAX 65536
#define TR_BPF_MAP_BYTES_MAX (4u << 20)

/* SHA-256 over key size, value size and number of entries (4 bytes each, little endian), then key and value of each entry
 * in the order of the keys' bytes. Arrays, hashes, LPM tries. TR_E_BUSY: more than the bounds allow; TR_E_INVALID: a kind
 * of map whose content is not readable; TR_E_DENIED. */
TR_RC tr_bpf_map_digest(int fd, const struct bpf_map_info *info, uint8_t out[32], struct tr_err *err);

/* The same of entries already read: n of stride k + v bytes, sorted in place. */
void tr_bpf_entries_digest(uint8_t *entries, uint32_t n, uint32_t k, uint32_t v, uint8_t out[32]);

#endif
