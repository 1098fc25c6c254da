/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts about TEE and TPM evidence: verbs of `attestation` (attestation.c tells them from claims), and what else speaks to
 * the server about evidence. */
#ifndef TR_CLI_VERDICT_H
#define TR_CLI_VERDICT_H

#include "cli/api.h"

/* Verdicts are named by 16 hex digits, decisions about claims by a number. */
bool tr_is_verdict_id(const char *text);
int tr_verdict_list(struct tr_cli *c);
int tr_verdict_show(struct tr_cli *c);
int tr_verdict_explain(struct tr_cli *c);
int tr_verdict_replay(struct tr_cli *c); /* replay.c */

int tr_collateral_push(struct tr_cli *c);  /* tee_policy.c */
int tr_tee_policy_try(struct tr_cli *c);   /* tee_policy.c: `policy test` */

/* The verdict's document, whose id is the first argument. */
int tr_verdict_fetch(struct tr_cli *c, struct tr_json **ret);

#endif
