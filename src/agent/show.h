/* SPDX-License-Identifier: Apache-2.0 */
/* What `status` and `journal show` say about commands: read from the folder, beside a running agent. */
#ifndef TR_AGENT_SHOW_H
#define TR_AGENT_SHOW_H

#include "agent/state.h"

void tr_show_text(const struct tr_state *s);
/* ,"authority":{…},"attestation":…,"quarantined":…,"journal":{…} */
void tr_show_json(const struct tr_state *s, struct tr_buf *b);

#endif
