/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys of the installation: made by the server, named to agents by keysets. */
#ifndef TR_CLI_SKEY_H
#define TR_CLI_SKEY_H

#include "cli/api.h"

/* The signing key whose id begins with these digits. ret_id empty: there is none, which is said unless may_miss. ret_row
 * (may be NULL) gets the answer that holds it. */
int tr_skey_find(struct tr_cli *c, const char *digits, bool may_miss, char ret_id[65], struct tr_json **ret_row);
/* POST /admin/keys/{id}/{verb} with --force and --reason; prints "key ID done". */
int tr_skey_do(struct tr_cli *c, const char *id, const char *verb, const char *done);

int tr_skey_create(struct tr_cli *c);
int tr_skey_promote(struct tr_cli *c);
int tr_skey_adoption(struct tr_cli *c);
int tr_key_list(struct tr_cli *c);   /* key_list.c */
int tr_key_rotate(struct tr_cli *c); /* rotate.c */

/* Who knows it, as the server's adoption says; the first names of those that are heard and do not, into names. */
struct tr_adopted {
	int64_t adopted, behind, unreachable;
};
int tr_skey_behind(struct tr_cli *c, const char *id, struct tr_adopted *ret, struct tr_buf *names);
/* Until nobody who is heard would refuse what it signs, wait_ms at most (0: looks once; UINT64_MAX: however long). --force
 * looks once and is content. TR_CLI_EXIT_NOT_YET after naming who is behind. */
int tr_skey_wait(struct tr_cli *c, const char *id, uint64_t wait_ms, struct tr_adopted *ret);

#endif
