/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that people hold: made here, kept in files of mode 0600, never sent. */
#ifndef TR_CLI_KEYFILE_H
#define TR_CLI_KEYFILE_H

#include "cli/api.h"
#include "crypto/key.h"

/* Makes path and path.pub; refuses to overwrite either. note: a line above the public half, for people; may be NULL. */
TR_RC tr_keyfile_make(const char *path, enum tr_key_type type, const char *note, uint8_t ret_id[32], struct tr_err *err);
/* "ed25519" (NULL: that) or "p256"; prints the refusal of anything else. */
bool tr_keyfile_type(const char *text, enum tr_key_type *ret);

int tr_key_root_init(struct tr_cli *c);

#endif
