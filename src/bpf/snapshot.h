/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at what is pinned in bpffs: the agent's eyes for signed/bpf_list.h. Reads only; loads and attaches nothing. */
#ifndef TR_BPF_SNAPSHOT_H
#define TR_BPF_SNAPSHOT_H

#include "signed/bpf_list.h"

struct tr_bpf_eye;

#define TR_BPF_DIR_DEFAULT "/sys/fs/bpf/troth"

/* dirs: comma-joined folders on bpffs; content: comma-joined pins (below the mount) of maps whose content counts, may be
 * empty. Opens what is there now with O_PATH and keeps it, so that a mount over it later is noticed. A missing folder,
 * bpffs or right is no error: it is what tr_bpf_look reports. TR_E_INVALID: dirs or content are not well-formed. */
TR_RC tr_bpf_eye_new(const char *dirs, const char *content, struct tr_bpf_eye **ret, struct tr_err *err);
struct tr_bpf_eye *tr_bpf_eye_free(struct tr_bpf_eye *e);
TR_DEFINE_AUTO(struct tr_bpf_eye *, tr_bpf_eye_free)

/* Takes a snapshot: the canonical list (CBOR) into *ret_list, emptied first, and its SHA-256. Without TR_BPF_OK the list
 * is empty and the digest zeros. *ret_why is a static sentence when the status is not TR_BPF_OK. */
enum tr_bpf_status tr_bpf_look(struct tr_bpf_eye *e, struct tr_buf *ret_list, uint8_t ret_digest[32],
			       const char **ret_why);

#endif
