/* SPDX-License-Identifier: Apache-2.0 */
/* From a root fingerprint that somebody noted once to the keyset in force today. The pin may be of an older root set:
 * every keyset since then was signed by the thresholds of its predecessor and of itself, so the chain carries the trust
 * over. Who gave the chain does not matter; whatever does not verify ends it. */
#ifndef TR_CLI_KEYCHAIN_H
#define TR_CLI_KEYCHAIN_H

#include "signed/keyset.h"
#include "signed/trust.h"

#define TR_KEYCHAIN_MAX ((size_t)32 << 20) /* bytes that a server may give */

struct tr_keychain {
	struct tr_buf bytes;
	size_t *ends;
	size_t n;
};
void tr_keychain_done(struct tr_keychain *k);
TR_DEFINE_AUTO_DONE(struct tr_keychain, tr_keychain_done)

struct tr_view tr_keychain_at(const struct tr_keychain *k, size_t i);
TR_RC tr_keychain_add(struct tr_keychain *k, struct tr_view keyset, struct tr_err *err);
/* One answer of GET /api/v1/keyset/chain: a CBOR array of byte strings, and nothing else. */
TR_RC tr_keychain_add_page(struct tr_keychain *k, struct tr_view answer, struct tr_err *err);

/* Where answers come from: TR_OK with the status whenever there was one. */
typedef TR_RC (*tr_fetch_fn)(void *arg, const char *path, struct tr_buf *ret, int *ret_status, struct tr_err *err);
/* All of it, page by page; of a server that has no chain yet its one keyset. */
TR_RC tr_keychain_fetch(tr_fetch_fn fetch, void *arg, struct tr_keychain *ret, struct tr_err *err);

/* Begins at the first keyset whose roots are the pinned ones and verifies each step to the last. TR_E_DENIED: then
 * *ret_why is a sentence. *ret_last is the index of the newest, verified keyset (views borrow from k); ret_root its root
 * fingerprint, which may take the pin's place. */
TR_RC tr_keychain_walk(const struct tr_keychain *k, const uint8_t pin[32], int64_t now_ms, struct tr_keyset *ret,
		       size_t *ret_first, uint8_t ret_root[32], struct tr_buf *ret_why, struct tr_err *err);
/* The same, and what a connection needs of it. */
TR_RC tr_keychain_trust(const struct tr_keychain *k, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
			uint8_t ret_root[32], struct tr_buf *ret_why, struct tr_err *err);

#endif
