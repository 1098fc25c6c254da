/* SPDX-License-Identifier: Apache-2.0 */
/* A signed pulse as front and, a second time, appraise read it: verified first, then written in the one form in which it
 * travels between roles. Both run this same code, so their results compare bytewise. */
#ifndef TR_SERVER_PULSE_READ_H
#define TR_SERVER_PULSE_READ_H

#include "crypto/key.h"
#include "fleet/fleet.h"
#include "http/problem.h"
#include "server/msg.h"

/* ret borrows from raw; its bpf_list, like frame's, is the record form. frame is appended to. TR_E_INVALID malformed,
 * TR_E_DENIED bad signature. */
TR_RC tr_pulse_read(struct tr_view raw, const struct tr_pubkey *k, struct tr_pulse *ret, uint8_t ret_digest[32],
		    struct tr_buf *list, struct tr_buf *frame, struct tr_err *err);

/* Sets err: TR_OK when what front read is what the signed bytes say, TR_E_DENIED when it is not, anything else when that
 * could not be found out. */
void tr_pulse_recheck(const struct tr_msg_recheck *q, struct tr_err *err);

/* What the sender of a message that front could not believe hears, from whoever refuses it. What is wrong with a sound one
 * is the fleet's to say (tr_pulse_result). */
struct tr_problem tr_pulse_refusal(enum tr_event_kind kind);

#endif
