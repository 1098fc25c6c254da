/* SPDX-License-Identifier: Apache-2.0 */
/* Under whose authority this installation speaks. Everything here follows the two tables `keysets` and `skeys`: whoever
 * changes a row, this node or another, the same function draws the conclusions.
 *
 *   keyset.c         the chain of keysets, verified and published       keyset_vkeys.c  the release keys that it names
 *   skeys.c          decides what becomes of a signing key, pure        skeys_change.c  makes that durable, one after the other
 *   skeys_watch.c    what becomes of keys by the clock, and alerts      signing.c       the way to a signature
 *   api_keys.c, api_public_keys.c  what operators, and clients of the original, ask
 *
 * The private keys are not here: role `keys` holds them (keyring.h). */
#ifndef TR_SERVER_AUTHORITY_H
#define TR_SERVER_AUTHORITY_H

#include "server/core.h"

/* The newest keyset, verified from root.pin on; its bytes as they are served. Both live until the next one is published. */
const struct tr_keyset *tr_authority_keyset(const struct tr_core *c);
struct tr_view tr_authority_bytes(const struct tr_core *c);

/* The id (32 bytes) of the primary command key, when role `keys` can sign with it and the keyset in force lets it; NULL:
 * none, orders are refused with tr_authority_no_key. */
const uint8_t *tr_authority_command_key(const struct tr_core *c);
/* Every key that the configuration places in a token (pkcs11) is held by role `keys` now; true, too, when there is none. */
bool tr_authority_has_token(const struct tr_core *c);
void tr_authority_no_key(struct tr_req *r); /* 503 no_command_key, with the sentence that says what to run */

/* What came of some of the commands that were to be signed: those from `first` on. */
struct tr_signed_batch {
	size_t first, n;
	const struct tr_msg_signed *list; /* NULL: none of them was signed, `code` and `why` say why */
	uint64_t code;
	const char *why;
	const uint8_t *key_id;            /* that signed, 32 bytes */
	bool last;                        /* no further batch of this call follows */
};
typedef void (*tr_signed_fn)(void *arg, const struct tr_signed_batch *b);
/* Has these signed with the primary command key. list is read during the call; fn hears of each batch in turn (perhaps during
 * the call), and of each command exactly once. keyset_epoch and revocation of the commands are those in force. */
void tr_authority_sign(struct tr_core *c, const struct tr_msg_to_sign *list, size_t n, tr_signed_fn fn, void *arg);

/* ---- core's side ---- */

struct tr_authority *tr_authority_new(void);
/* At start, before the store: the files of the installation. */
TR_RC tr_authority_read_files(struct tr_core *c, struct tr_err *err);
/* All rows are loaded: verifies the chain. An error ends the start. */
TR_RC tr_authority_loaded(struct tr_core *c, struct tr_err *err);
/* Imports the first keyset and has `keys` open what is sealed; false: not done yet, tr_core_tell_ready is called again. */
bool tr_authority_ready(struct tr_core *c);
/* Rows of keysets or skeys became durable, by whomever. */
void tr_authority_follow(struct tr_core *c);
/* The role keys came up, told what it holds besides sealed keys, or went away. */
void tr_authority_keys_up(struct tr_core *c);
void tr_authority_keys_held(struct tr_core *c, struct tr_view list);
void tr_authority_keys_down(struct tr_core *c);
void tr_authority_tick(struct tr_core *c); /* once a second */

struct tr_authority_gauges {
	uint64_t epoch, revocation_number, keys_active, keys_unusable, signed_total, sign_failures;
	int64_t expires_ms;
	bool command_key;
};
void tr_authority_measure(const struct tr_core *c, struct tr_authority_gauges *ret);

#endif
