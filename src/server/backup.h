/* SPDX-License-Identifier: Apache-2.0 */
/* `trothd backup`, `trothd restore` and `trothd store copy`: the store as a whole, from one place to another, compared
 * afterwards by a digest over every row. What they print is for people. */
#ifndef TR_SERVER_BACKUP_H
#define TR_SERVER_BACKUP_H

#include "base/err.h"

/* Beside a running server or without one: one moment's rows, in a new file. */
TR_RC tr_backup(const char *config, const char *file, struct tr_err *err);
/* Into an empty store, which is then fenced: nothing that was given out after the backup is given out again. */
TR_RC tr_restore(const char *config, const char *file, struct tr_err *err);
struct tr_move {
	const char *from, *to; /* locations of stores */
	const char *from_password_file, *to_password_file; /* NULL, or absolute */
};
/* An installation that does not run, to another kind of database. */
TR_RC tr_move_store(const struct tr_move *m, struct tr_err *err);

#endif
