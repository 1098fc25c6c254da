/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet's day in virtual time: the agents' own chain logic (agent/chain.h) on one side, the server's own judgement
 * (fleet/fleet.h) on the other, between them a network that loses, delays and is cut, and people with bad intentions. No
 * sockets and no signatures: pulses arrive as core sees them, marked verified. Everything follows from the seed. */
#ifndef TR_SWARM_SIM_H
#define TR_SWARM_SIM_H

#include "base/err.h"
#include "base/own.h"
#include "base/buf.h"

struct tr_sim_plan {
	uint64_t seed;
	uint32_t agents, hours, partitions;
	uint32_t interval_s, jitter_ms;
	uint32_t loss_ppm;          /* of each direction */
	uint32_t server_restarts, node_changes;
	uint32_t nodes;             /* servers on one database; agents have both their addresses. 0 is 1 */
	uint32_t news_ms;           /* longest time until a node hears of a row that another one stored */
	uint32_t moves_ppm;         /* beats at which an agent goes to the other node without a reason */
	uint32_t clock_steps_ppm;   /* agents whose clock jumps by an hour, one way or the other */
	uint32_t cut_minutes;       /* of one partition; 0: none */
	uint32_t agent_restarts;    /* unannounced, of healthy agents, state kept */
	uint32_t reboots;           /* announced */
	uint32_t kills, clones, restores, replays, relays, swaps;
};
extern const struct tr_sim_plan tr_sim_day; /* the day that `script/prove` shows */

/* Per kind of trouble: how many were made, seen, and given the right name, and how long that took. */
struct tr_sim_tally { uint32_t made, seen, misnamed; int64_t sum_ms, worst_ms; };
enum tr_sim_trouble { TR_SIM_KILL, TR_SIM_CLONE, TR_SIM_RESTORE, TR_SIM_REPLAY, TR_SIM_RELAY, TR_SIM_SWAP, TR_SIM_TROUBLES };
const char *tr_sim_trouble_name(enum tr_sim_trouble t);

struct tr_sim_result {
	uint64_t pulses, accepted, resyncs, lost_requests, lost_answers, refused;
	struct tr_sim_tally tally[TR_SIM_TROUBLES];
	uint64_t false_verdicts;     /* lost, a security verdict or an alert of severity 2 or 1 on a healthy agent */
	uint64_t late, missed;       /* allowed, counted */
	uint32_t incidents, cuts;    /* partition incidents told, cuts made */
	uint32_t desyncs, steps;     /* clock verdicts on agents whose clock was stepped, and such agents */
	uint32_t wrong_desyncs;      /* on agents whose clock was right: false as well */
	uint32_t clone_beats_worst;  /* from the copy's first pulse to the verdict, in beats rounded up */
	uint64_t amnesties;
	bool good;                   /* nothing false, everything seen and rightly named */
	struct tr_buf story;         /* JSON lines: every false or missed one, with time and agent */
};
void tr_sim_result_done(struct tr_sim_result *r);
TR_DEFINE_AUTO_DONE(struct tr_sim_result, tr_sim_result_done)

TR_RC tr_sim_run(const struct tr_sim_plan *plan, struct tr_sim_result *ret, struct tr_err *err);

#endif
