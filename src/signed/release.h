/* SPDX-License-Identifier: Apache-2.0 */
/* The release statement: a release key's word that a binary of this hash is version V for platform P (a reference
 * value, RFC 9334). Travels beside the binary as <binary>.release and inside native claims. */
#ifndef TR_SIGNED_RELEASE_H
#define TR_SIGNED_RELEASE_H

#include "signed/cose1.h"
#include "signed/release_bpf.h"

#define TR_RELEASE_DOMAIN "troth/release/v1"
/* Bytes of the whole COSE_Sign1: 64 BPF programs with pins of 32 bytes under an RSA-4096 key. A claim that encloses one
 * stays under TR_CLAIM_MAX. */
#define TR_RELEASE_MAX 6656

struct tr_release {
	struct tr_view name;     /* tr_ident_ok, e.g. "troth-agent" */
	struct tr_view version;  /* tr_version_ok */
	struct tr_view platform; /* tr_ident_ok, e.g. "linux-amd64" */
	uint64_t size;           /* bytes */
	uint8_t sha256[32];
	uint64_t counter;        /* release counter: higher is newer, holds even if the control plane is stolen */
	int64_t issued_ms, expires_ms; /* expires 0: never */
	struct tr_view bpf;      /* its BPF programs, CBOR (tr_release_bpf_put); empty: it says nothing of them */
};

TR_RC tr_release_sign(const struct tr_release *r, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_release_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_release *ret, struct tr_err *err);
/* The kid (SHA-256(SPKI)[0:16]) it says it was signed by, so that a verifier finds the key. Unverified. */
TR_RC tr_release_unverified_kid(struct tr_view in, struct tr_view *ret_kid, struct tr_err *err);
/* Fields without verification, for `troth release show` only: the output says "unverified". */
TR_RC tr_release_unverified(struct tr_view in, struct tr_release *ret, struct tr_err *err);

#endif
