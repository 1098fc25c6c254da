/* SPDX-License-Identifier: Apache-2.0 */
/* The saved login: where the server is, what it is known by, and the operator's token. One JSON file of mode 0600. */
#ifndef TR_CLI_PROFILE_H
#define TR_CLI_PROFILE_H

#include "base/buf.h"

struct tr_profile {
	struct tr_view url, token, root, ca; /* root: 32 bytes; ca: PEM */
	struct tr_buf bytes, arena;          /* what the views borrow from */
};
void tr_profile_done(struct tr_profile *p); /* wipes the token */
TR_DEFINE_AUTO_DONE(struct tr_profile, tr_profile_done)

/* --profile, else $TROTH_PROFILE, else $XDG_CONFIG_HOME/troth/profile.json, else ~/.config/troth/profile.json. */
TR_RC tr_profile_path(const char *option, struct tr_buf *ret, struct tr_err *err);
/* TR_E_NOTFOUND: nobody has logged in here. */
TR_RC tr_profile_load(const char *path, struct tr_profile *ret, struct tr_err *err);
/* Makes the folders of a default path, 0700. */
TR_RC tr_profile_save(const char *path, const struct tr_profile *p, struct tr_err *err);

#endif
