/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a keyset: the next one begins as a copy of the present one, takes changes by name, and becomes a draft that
 * root keys sign offline. Nothing here asks a server or a clock. */
#ifndef TR_CLI_KEYSET_EDIT_H
#define TR_CLI_KEYSET_EDIT_H

#include "signed/keyset.h"

#define TR_KEY_PREFIX_MIN 8 /* digits of an id that people have to type */

struct tr_edit {
	struct tr_keyset ks;    /* borrows from the present one and from `held` */
	uint8_t prev_digest[32];
	struct tr_buf held[TR_KEYSET_KEYS_MAX + TR_KEYSET_ROOTS_MAX];
	size_t n_held;
};
void tr_edit_done(struct tr_edit *e);
TR_DEFINE_AUTO_DONE(struct tr_edit, tr_edit_done)

/* The present keyset, its bytes, and the time that the next one is to carry. Its life is as long as the present one's. */
void tr_edit_start(struct tr_edit *e, const struct tr_keyset *now, struct tr_view now_bytes, int64_t now_ms);
/* key: SPKI, or a CA's certificate. TR_E_CONFLICT: it is there already, or was revoked. */
TR_RC tr_edit_add(struct tr_edit *e, enum tr_key_role role, struct tr_view key, int64_t not_before_ms,
		  int64_t not_after_ms, struct tr_err *err);
TR_RC tr_edit_add_root(struct tr_edit *e, struct tr_view spki, struct tr_err *err);
/* Ids are SHA-256 of the key (or certificate) in hex, its first digits suffice. role TR_ROLE_N: whichever. */
TR_RC tr_edit_retire(struct tr_edit *e, const char *id, int64_t no_sign_after_ms, struct tr_err *err);
TR_RC tr_edit_drop(struct tr_edit *e, const char *id, enum tr_key_role role, struct tr_err *err);
TR_RC tr_edit_remove_root(struct tr_edit *e, const char *id, struct tr_err *err);
/* A key of the keyset, which stays listed so that agents can name the reason; or any whole id. */
TR_RC tr_edit_revoke(struct tr_edit *e, const char *id, struct tr_err *err);
/* Sorts, checks what would lock people out, writes the payload. */
TR_RC tr_edit_payload(struct tr_edit *e, struct tr_buf *ret, struct tr_err *err);

/* ---- drafts ---- */

/* A draft is the bare payload, or an object with some signatures. *hold is what the views then borrow from. Nothing is
 * verified. ret_n: signatures. */
TR_RC tr_draft_read(struct tr_view in, struct tr_buf *hold, struct tr_keyset *ret, size_t *ret_n, struct tr_err *err);

/* ---- for people ---- */

void tr_key_id_of(struct tr_view key, uint8_t ret[32]);
/* What changes from now to next, one line each, every new or revoked key with all its digits; now may be NULL: then what
 * next holds. */
void tr_keyset_diff(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_buf *b);
/* As JSON: what a person or a script may want to know of it. bytes: for its digest; empty: none. */
void tr_keyset_json(const struct tr_keyset *k, struct tr_view bytes, int64_t now_ms, struct tr_buf *b);

#endif
