/* SPDX-License-Identifier: Apache-2.0 */
/* `trothd key import`: the original's command key, from its file into the store (CK-4). */
#ifndef TR_SERVER_KEY_IMPORT_H
#define TR_SERVER_KEY_IMPORT_H

#include "base/err.h"

/* file: hex, mode 0600. The key becomes a prepared command key, sealed like those that are made here; it signs when a keyset
 * names it. name NULL: "imported". With SQLite the server must be stopped. */
TR_RC tr_key_import(const char *config, const char *file, const char *name, struct tr_err *err);

#endif
