/* SPDX-License-Identifier: Apache-2.0 */
/* A pre-key: the X25519 key that messages to an agent are sealed to, signed by its identity key (the one its certificate and
 * its evidence speak for). Rotated daily; the old one is deleted when no message to it can be on its way any more. */
#ifndef TR_SIGNED_PREKEY_H
#define TR_SIGNED_PREKEY_H

#include "signed/cose1.h"

#define TR_PREKEY_DOMAIN "troth/prekey/v1"
#define TR_PREKEY_MAX 1024
#define TR_PREKEY_LIFE_S (2 * 86400) /* of one: a day in use, a day for what is under way */

struct tr_prekey {
	struct tr_view fleet;      /* 1: trust domain */
	struct tr_view agent;      /* 2 */
	uint64_t number;           /* 3: rises with each of this agent */
	uint8_t key[32];           /* 4: X25519 public key */
	int64_t not_before, not_after; /* 5, 6: Unix s */
};
TR_RC tr_prekey_sign(const struct tr_prekey *p, const struct tr_privkey *identity, struct tr_buf *ret, struct tr_err *err);
/* Verifies first. Time is the caller's to judge. */
TR_RC tr_prekey_verify(struct tr_view in, const struct tr_pubkey *identity, struct tr_prekey *ret, struct tr_err *err);
/* How messages name it: SHA-256 of the key, first 16 bytes. */
void tr_prekey_id(const uint8_t key[32], uint8_t out[16]);

#endif
