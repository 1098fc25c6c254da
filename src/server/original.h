/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TR_SERVER_ORIGINAL_H
#define TR_SERVER_ORIGINAL_H

#include "server/core.h"

/* Answers r with json, a command's object, and with its original form when that is asked for and it is not over. */
void tr_original_answer(struct tr_core *c, struct tr_req *r, const struct tr_command_row *row, struct tr_buf *json);

#endif
