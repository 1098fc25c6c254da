/* SPDX-License-Identifier: Apache-2.0 */
/* What core asks appraise about things that agents sign for one another and for the hub. */
#ifndef TR_SERVER_MSG_HUB_H
#define TR_SERVER_MSG_HUB_H

#include "server/msg.h"

/* Is a request signed by this key (signed/request_sig.h)? hub: encoded tr_msg_hub. */
struct tr_msg_verify_request { struct tr_view spki, hub; };
struct tr_msg_request_verified { uint64_t code; struct tr_view why; int64_t at; }; /* at: X-Timestamp, Unix s */

struct tr_msg_read_prekey { struct tr_view spki, prekey; };
struct tr_msg_prekey_read {
	uint64_t code;
	struct tr_view why, fleet, agent;
	uint64_t number;
	int64_t not_before, not_after; /* Unix s */
};

struct tr_msg_read_envelope { struct tr_view envelope; };
struct tr_msg_envelope_read { uint64_t code; struct tr_view why, sender, recipient; int64_t expires; };

extern const struct tr_record tr_msg_verify_request_def, tr_msg_request_verified_def, tr_msg_read_prekey_def,
	tr_msg_prekey_read_def, tr_msg_read_envelope_def, tr_msg_envelope_read_def;

#endif
