/* SPDX-License-Identifier: Apache-2.0 */
/* What obey.c (a command comes), obey_run.c (its life) and cmd_cancel.c share. Nobody else includes this. */
#ifndef TR_AGENT_OBEY_INNER_H
#define TR_AGENT_OBEY_INNER_H

#include "agent/obey.h"

const struct tr_cmd_ops *tr_obey_ops(const struct tr_obey *o, uint64_t cmd);
/* A RECEIVED one whose time has come. */
void tr_obey_begin(struct tr_obey *o, struct tr_job *job);
const char *tr_obey_hex(const uint8_t *p, size_t n); /* of a tr_fmt buffer; for the log */

#endif
