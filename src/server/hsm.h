/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of this installation that are in a token (configuration `pkcs11`). */
#ifndef TR_SERVER_HSM_H
#define TR_SERVER_HSM_H

#include "crypto/p11.h"
#include "server/config.h"

#define TR_HSM_FOLDERS_MAX 64

struct tr_hsm {
	struct tr_p11 *module;
	struct tr_privkey *ca, *command; /* NULL: not in the token. Whoever takes one frees it before tr_hsm_done */
	const char *folders[TR_HSM_FOLDERS_MAX + 1]; /* of the configuration, NULL-terminated */
};

void tr_hsm_done(struct tr_hsm *h);
TR_DEFINE_AUTO_DONE(struct tr_hsm, tr_hsm_done)
/* The same for a new installation, which has no configuration yet: everything by its full path, and checked. */
TR_RC tr_hsm_open_new(const struct tr_config_pkcs11 *p, struct tr_hsm *ret, struct tr_err *err);

/* PIN and all, resolved by the configuration; without pkcs11: nothing is opened. unprivileged: root is given up in between,
 * so that the library never has it. */
TR_RC tr_hsm_open_configured(const struct tr_config *cfg, bool unprivileged, struct tr_hsm *ret, struct tr_err *err);
/* The same in a process of its own, which leaves nothing behind: for whoever only wants to know. */
TR_RC tr_hsm_try(const struct tr_config *cfg, struct tr_err *err);
/* The CA's private key, wherever it is: from the token that is opened here, or from its file. */
TR_RC tr_hsm_ca_key(const struct tr_config *cfg, struct tr_hsm *h, struct tr_privkey **ret, struct tr_err *err);

/* The section of a configuration file. */
void tr_hsm_add_config(const struct tr_config_pkcs11 *p, struct tr_buf *b);

#endif
