/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, MACs, key derivation and random bytes. */
#ifndef TR_CRYPTO_HASH_H
#define TR_CRYPTO_HASH_H

#include "base/err.h"
#include "base/view.h"

#define TR_SHA256_LEN 32

/* Fetches algorithms and warms every lazy table, so that a sandboxed role never opens a file later. Call once
 * before the filter is installed. For programs: it also keeps openssl.cnf out of the process. libtroth leaves it
 * out, as everything here opens itself on first use. */
TR_RC tr_crypto_init(struct tr_err *err);

void tr_sha256(struct tr_view in, uint8_t out[TR_SHA256_LEN]);

struct tr_sha256;
struct tr_sha256 *tr_sha256_new(void);
void tr_sha256_add(struct tr_sha256 *h, struct tr_view in);
void tr_sha256_end(struct tr_sha256 *h, uint8_t out[TR_SHA256_LEN]); /* may be read once */
struct tr_sha256 *tr_sha256_free(struct tr_sha256 *h);
TR_DEFINE_AUTO(struct tr_sha256 *, tr_sha256_free)

/* Reads the descriptor to its end from offset 0 with pread: the caller's offset does not move. */
TR_RC tr_sha256_fd(int fd, uint8_t out[TR_SHA256_LEN], uint64_t *ret_size, struct tr_err *err);

void tr_hmac_sha256(struct tr_view key, struct tr_view in, uint8_t out[TR_SHA256_LEN]);
/* RFC 5869. out_len <= 255*32. */
TR_RC tr_hkdf_sha256(struct tr_view ikm, struct tr_view salt, struct tr_view info, uint8_t *out, size_t out_len,
		     struct tr_err *err);

/* From the kernel; aborts the process when the kernel has none to give, since nothing safe could follow. */
void tr_random(void *out, size_t n);

#endif
