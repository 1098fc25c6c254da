/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of the role `appraise` (role_appraise.c) for approvals and receipts. */
#ifndef TR_SERVER_APPRAISE_SIGNED_H
#define TR_SERVER_APPRAISE_SIGNED_H

#include "server/msg.h"

void tr_appraise_approval(void *arg, struct tr_chan *c, const struct tr_frame *f);
void tr_appraise_receipt(void *arg, struct tr_chan *c, const struct tr_frame *f);

#endif
