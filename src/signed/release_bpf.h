/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF programs of a release, as its statement names them: under which pin they stand, from which ELF object they are
 * loaded, and which tag kernels give them. In the statement deterministic CBOR ([[pin, object, tag_sha1, tag_sha256], …]
 * sorted by pin), between roles and in the store a list of records. */
#ifndef TR_SIGNED_RELEASE_BPF_H
#define TR_SIGNED_RELEASE_BPF_H

#include "codec/record.h"

#define TR_RELEASE_BPF_MAX 64     /* programs */
#define TR_RELEASE_BPF_BYTES 8192 /* of the list of records */

struct tr_release_bpf {
	struct tr_view pin;        /* path below the bpffs mount, e.g. "troth/shield"; 1 to 128 bytes */
	struct tr_view object;     /* SHA-256 of the ELF object as shipped */
	struct tr_view tag_sha1;   /* 8 bytes: kernels make tags by SHA-1 or, newer ones, by SHA-256. Which one does it is */
	struct tr_view tag_sha256; /* not told by its version, so both count. */
};
extern const struct tr_record tr_release_bpf_def;

/* Records (sorted by pin, unique, 1 to 64) → CBOR array. */
TR_RC tr_release_bpf_put(struct tr_view records, struct tr_buf *ret, struct tr_err *err);
/* CBOR array → records, appended to ret; NULL: only check. */
TR_RC tr_release_bpf_get(struct tr_view cbor, struct tr_buf *ret, struct tr_err *err);
/* The program under this pin; false: the list does not name it. ret borrows from records. */
bool tr_release_bpf_find(struct tr_view records, struct tr_view pin, struct tr_release_bpf *ret);
/* Bytewise, the shorter first: the order of both forms. */
int tr_release_bpf_order(struct tr_view a, struct tr_view b);

#endif
