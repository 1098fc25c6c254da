/* SPDX-License-Identifier: Apache-2.0 */
/* Our own pre-keys, in prekeys.bin (0600): the one that others seal to, and those before it until nothing that was sealed to
 * them can be on its way any more. Then they are gone, and with them what they could open. */
#ifndef TR_AGENT_PREKEYS_H
#define TR_AGENT_PREKEYS_H

#include "agent/state.h"
#include "signed/prekey.h"

#include "base/secret.h"

#define TR_PREKEYS_FILE "prekeys.bin"
#define TR_PREKEYS_MAX 4
#define TR_PREKEY_ROTATE_S 86400

struct tr_own_prekey {
	struct tr_secret *secret; /* NULL: none */
	uint8_t id[16];
	struct tr_prekey p;       /* without names */
};
struct tr_prekeys {
	size_t n;
	struct tr_own_prekey keys[TR_PREKEYS_MAX]; /* newest first */
	uint64_t number;          /* the highest ever given */
	uint8_t signer[16];       /* identity key that they were made under */
};
void tr_prekeys_done(struct tr_prekeys *k);
TR_DEFINE_AUTO_DONE(struct tr_prekeys, tr_prekeys_done)

/* No file, or a damaged one: none, and numbers go on from the clock, so that they rise in any case. */
TR_RC tr_prekeys_load(const struct tr_state *s, int64_t now_s, struct tr_prekeys *ret, struct tr_err *err);
/* Makes the next one when it is due, deletes what is over; saved before it returns. *ret_changed: publish again. */
TR_RC tr_prekeys_turn(const struct tr_state *s, struct tr_prekeys *k, int64_t now_s, bool *ret_changed, struct tr_err *err);
/* The newest, signed by the identity key. */
TR_RC tr_prekeys_signed(const struct tr_state *s, const struct tr_prekeys *k, struct tr_buf *ret, struct tr_err *err);
const struct tr_secret *tr_prekeys_find(const struct tr_prekeys *k, const uint8_t id[16], int64_t now_s); /* NULL: none */

#endif
