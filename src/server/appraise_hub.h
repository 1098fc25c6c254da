/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of role_appraise.c that live in appraise_hub.c. */
#ifndef TR_SERVER_APPRAISE_HUB_H
#define TR_SERVER_APPRAISE_HUB_H

#include "ipc/chan.h"

void tr_appraise_request(void *arg, struct tr_chan *c, const struct tr_frame *f);
void tr_appraise_prekey(void *arg, struct tr_chan *c, const struct tr_frame *f);
void tr_appraise_envelope(void *arg, struct tr_chan *c, const struct tr_frame *f);

#endif
