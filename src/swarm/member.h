/* SPDX-License-Identifier: Apache-2.0 */
/* One agent of a swarm as the protocol sees it: its chain (the agent's own code), its pulses, what their answers say. */
#ifndef TR_SWARM_MEMBER_H
#define TR_SWARM_MEMBER_H

#include "agent/chain.h"
#include "swarm/wire.h"

struct tr_member {
	struct tr_wire_id id;
	char name[40];
	const char *partition;
	struct tr_chain chain, disk; /* disk: what a restart finds */
	uint8_t start_id[16], hash[32];
	int64_t clock_off_ms;
	uint64_t notice;             /* enum tr_notice, for the next pulses */
	uint8_t digest[32];          /* of the pulse under way */
	unsigned interval_s;         /* as last told */
	uint64_t accepted, resyncs;
};

/* A new process of this member: a start id, the chain from the disk. */
void tr_member_start(struct tr_member *m, bool rebooted);
/* Builds and signs the next try. */
TR_RC tr_member_pulse(struct tr_member *m, const uint8_t exporter[32], struct tr_buf *ret, struct tr_err *err);

enum tr_member_next { TR_MEMBER_BEAT, TR_MEMBER_AGAIN, TR_MEMBER_SOON, TR_MEMBER_BARRED };
/* What an answer means; code is the refusal's slug (up to 39 bytes), "" when none. */
enum tr_member_next tr_member_answered(struct tr_member *m, int status, struct tr_view body, char ret_code[40]);

#endif
