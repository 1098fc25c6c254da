/* SPDX-License-Identifier: Apache-2.0 */
/* The original's command key as it stood in its environment: hex of Go's Ed25519 private key, 32 bytes of seed and 32 of
 * public key; the seed alone is taken too. */
#ifndef TR_SIGNED_COMPAT_KEY_H
#define TR_SIGNED_COMPAT_KEY_H

#include "crypto/key.h"

/* text: 128 or 64 hex digits, white space around them. A public half that is not the seed's, and every key that the world
 * knows (the one printed in design document 003, an all-zero seed, examples of standards), is refused by name. */
TR_RC tr_compat_key_read(struct tr_view text, struct tr_privkey **ret, struct tr_err *err);

#endif
