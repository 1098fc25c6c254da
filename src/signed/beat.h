/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat of this release: a deterministic CBOR map over mTLS, without a signature of its own (the next release's
 * pulse signs it). Keys: 1 sequence (uint), 2 agent's wall clock (Unix ns), 3 start id (16 bytes, random per process),
 * 4 SHA-256 of the running image (32 bytes), 5 version (text). Answer: 1 interval in seconds, 2 server time (Unix ns),
 * 3 renew now (bool). See docs/protocol. */
#ifndef TR_SIGNED_BEAT_H
#define TR_SIGNED_BEAT_H

#include "codec/record.h"

struct tr_beat {
	uint64_t seq;
	int64_t time_ns;
	struct tr_view start_id; /* 16 bytes */
	struct tr_view hash;     /* 32 bytes */
	struct tr_view version;
};
extern const struct tr_record tr_beat_def; /* for frames between roles */

void tr_beat_put(const struct tr_beat *b, struct tr_buf *out);
TR_RC tr_beat_get(struct tr_view in, struct tr_beat *ret, struct tr_err *err);

struct tr_beat_answer {
	uint64_t interval_s;
	int64_t server_time_ns;
	bool renew;
};
void tr_beat_answer_put(const struct tr_beat_answer *a, struct tr_buf *out);
TR_RC tr_beat_answer_get(struct tr_view in, struct tr_beat_answer *ret, struct tr_err *err);

#endif
