/* SPDX-License-Identifier: Apache-2.0 */
/* The migrations of sql/, embedded at build time by cmake/sql.cmake. A published one never changes: what comes
 * later is a new number, so a store of any earlier release reaches this schema by the same steps. */
#ifndef TR_STORE_SQL_H
#define TR_STORE_SQL_H

#include <stddef.h>

struct tr_migration {
	const char *name; /* "001_admit": the number is the index + 1 */
	const char *text; /* with the words of db.h still in braces */
};

extern const struct tr_migration tr_migrations[];
extern const size_t tr_migrations_n;

#endif
