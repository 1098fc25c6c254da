/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `troth command` share. */
#ifndef TR_CLI_COMMAND_H
#define TR_CLI_COMMAND_H

#include "cli/api.h"
#include "cli/order_set.h"

#define TR_CMD_ID_DIGITS (2 * TR_CMD_ID_LEN)

int tr_command_send(struct tr_cli *c);    /* command_send.c */
int tr_command_retry(struct tr_cli *c);
int tr_command_cancel(struct tr_cli *c);
int tr_command_show(struct tr_cli *c);    /* command_show.c */
void tr_command_result(tr_jnode result, struct tr_buf *b); /* a line for each thing that the agent says */
int tr_command_approve(struct tr_cli *c); /* command_approve.c */
int tr_command_order(struct tr_cli *c);

/* ---- finding (command.c) ---- */

/* A whole id from its first digits (8 suffice); prints the refusal. */
int tr_command_id(struct tr_cli *c, const char *digits, char ret[TR_CMD_ID_DIGITS + 1]);
/* GET /commands/{id}; its order, checked to be the one of this id, goes into set when that is not NULL. */
int tr_command_get(struct tr_cli *c, const char *id, struct tr_order_set *set, struct tr_json **ret);

/* ---- waiting (command_wait.c) ---- */

/* Until all of them are over, or `wait_ms` passed (UINT64_MAX: however long): prints a line for each that ends, and
 * answers with the exit code of the one that needs people most. batch: that all of them are of; may be NULL. */
int tr_command_wait(struct tr_cli *c, const char (*ids)[TR_CMD_ID_DIGITS + 1], size_t n, const char *batch,
		    uint64_t wait_ms);
/* --wait or --for as milliseconds; false after saying what is wrong. text NULL or "": as long as it takes. */
bool tr_command_wait_time(const char *option, const char *text, uint64_t *ret_ms);
int tr_command_wait_verb(struct tr_cli *c);

/* ---- approving (command_approve.c) ---- */

/* Signs with each key of --key and submits; *ret_ready: how many orders have all approvals then. */
int tr_command_approve_set(struct tr_cli *c, const struct tr_order_set *set, uint64_t *ret_ready);

#endif
