/* SPDX-License-Identifier: Apache-2.0 */
/* troth-swarm virtual: plays the plan, prints what it did and what the server concluded. */
#include "swarm/swarm.h"

#include "swarm/common.h"
#include "swarm/sim.h"

#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

struct options {
	struct tr_sim_plan plan;
	bool json, quiet;
};

enum { O_AGENTS = 'n', O_HOURS = 't', O_SEED = 's', O_JSON = 'j', O_QUIET = 'q', O_LOSS = 256, O_JITTER, O_PARTITIONS, O_RESTARTS,
       O_NODES, O_CUT, O_SERVERS, O_NEWS, O_MOVES, O_REBOOTS, O_AGENT_RESTARTS, O_TROUBLES, O_INTERVAL, O_STEPS };

static const struct argp_option options[] = {
	{ "agents", O_AGENTS, "N", 0, "agents (10000)", 0 },
	{ "hours", O_HOURS, "H", 0, "virtual hours (24)", 0 },
	{ "seed", O_SEED, "S", 0, "the same seed plays the same day (1)", 0 },
	{ "interval", O_INTERVAL, "SECONDS", 0, "between pulses (30)", 0 },
	{ "loss", O_LOSS, "PPM", 0, "messages lost per million, each direction (10000)", 0 },
	{ "jitter", O_JITTER, "MS", 0, "longest delay of a pulse on its way (5000)", 0 },
	{ "partitions", O_PARTITIONS, "N", 0, "partitions (10)", 0 },
	{ "server-restarts", O_RESTARTS, "N", 0, "kills of the server, back after 2 to 300 s (3)", 0 },
	{ "node-changes", O_NODES, "N", 0, "moves of everybody to another node (1)", 0 },
	{ "nodes", O_SERVERS, "N", 0, "servers on one database, 1 or 2 (1)", 0 },
	{ "news", O_NEWS, "MS", 0, "longest time until one node hears what another stored (1000)", 0 },
	{ "moves", O_MOVES, "PPM", 0, "beats per million at which an agent goes to the other node (10000)", 0 },
	{ "cut", O_CUT, "MINUTES", 0, "one partition is cut off for so long (10)", 0 },
	{ "clock-steps", O_STEPS, "PPM", 0, "agents per million whose clock jumps by an hour (50000)", 0 },
	{ "reboots", O_REBOOTS, "N", 0, "announced reboots (100)", 0 },
	{ "agent-restarts", O_AGENT_RESTARTS, "N", 0, "unannounced restarts of agents (1000)", 0 },
	{ "troubles", O_TROUBLES, "N", 0, "of each kind: kills, clones, restores, replays, relays, swaps (100)", 0 },
	{ "json", O_JSON, NULL, 0, "one JSON object", 0 },
	{ "quiet", O_QUIET, NULL, 0, "no list of what went wrong", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct tr_sim_plan *p = &o->plan;
	struct { int key; uint32_t *to; } numbers[] = {
		{ O_AGENTS, &p->agents }, { O_HOURS, &p->hours }, { O_INTERVAL, &p->interval_s }, { O_LOSS, &p->loss_ppm },
		{ O_JITTER, &p->jitter_ms }, { O_PARTITIONS, &p->partitions }, { O_RESTARTS, &p->server_restarts },
		{ O_SERVERS, &p->nodes }, { O_NEWS, &p->news_ms }, { O_MOVES, &p->moves_ppm },
		{ O_NODES, &p->node_changes }, { O_CUT, &p->cut_minutes }, { O_STEPS, &p->clock_steps_ppm },
		{ O_REBOOTS, &p->reboots }, { O_AGENT_RESTARTS, &p->agent_restarts }, { O_TROUBLES, &p->kills },
	};
	uint64_t v;

	for (size_t i = 0; i < TR_ARRAY_LEN(numbers); i++) {
		if (numbers[i].key != key)
			continue;
		if (!tr_swarm_number(arg, 10000000, &v))
			argp_error(state, "'%s' is not a number from 0 to 10000000", arg);
		*numbers[i].to = (uint32_t)v;
		if (key == O_TROUBLES)
			p->clones = p->restores = p->replays = p->relays = p->swaps = p->kills;
		return 0;
	}
	switch (key) {
	case O_SEED:
		if (!tr_swarm_number(arg, UINT64_MAX, &p->seed))
			argp_error(state, "'%s' is not a seed: a number", arg);
		return 0;
	case O_JSON: o->json = true; return 0;
	case O_QUIET: o->quiet = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "'%s': no arguments are taken", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static void print_json(const struct tr_sim_plan *p, const struct tr_sim_result *r, double cpu_s)
{
	printf("{\"seed\":%llu,\"agents\":%u,\"hours\":%u,\"pulses\":%llu,\"accepted\":%llu,\"resyncs\":%llu,\"lost_requests\":%llu,"
	       "\"lost_answers\":%llu,\"refused\":%llu,\"false_verdicts\":%llu,\"wrong_desyncs\":%u,\"late\":%llu,\"missed\":%llu,"
	       "\"cuts\":%u,\"incidents\":%u,\"clock_steps\":%u,\"clock_verdicts\":%u,\"clone_beats_worst\":%u,\"cpu_s\":%.1f",
	       (unsigned long long)p->seed, p->agents, p->hours, (unsigned long long)r->pulses, (unsigned long long)r->accepted,
	       (unsigned long long)r->resyncs, (unsigned long long)r->lost_requests, (unsigned long long)r->lost_answers,
	       (unsigned long long)r->refused, (unsigned long long)r->false_verdicts, r->wrong_desyncs,
	       (unsigned long long)r->late,
	       (unsigned long long)r->missed, r->cuts, r->incidents, r->steps, r->desyncs, r->clone_beats_worst, cpu_s);
	for (int t = 0; t < TR_SIM_TROUBLES; t++)
		printf(",\"%s\":{\"made\":%u,\"seen\":%u,\"misnamed\":%u,\"worst_s\":%.1f}", tr_sim_trouble_name((enum tr_sim_trouble)t),
		       r->tally[t].made, r->tally[t].seen, r->tally[t].misnamed, (double)r->tally[t].worst_ms / 1000.0);
	printf(",\"good\":%s}\n", r->good ? "true" : "false");
}

static void print_text(const struct tr_sim_plan *p, const struct tr_sim_result *r, double cpu_s)
{
	printf("%u agents, %u h, seed %llu: %llu pulses, %llu accepted, %llu resyncs; lost %llu requests, %llu answers (%.0f s CPU)\n",
	       p->agents, p->hours, (unsigned long long)p->seed, (unsigned long long)r->pulses, (unsigned long long)r->accepted,
	       (unsigned long long)r->resyncs, (unsigned long long)r->lost_requests, (unsigned long long)r->lost_answers,
	       cpu_s);
	printf("server: %u restarts, %u node changes; partition cuts %u, incidents told %u; clocks stepped %u, told %u\n",
	       p->server_restarts, p->node_changes, r->cuts, r->incidents, r->steps, r->desyncs);
	printf("%-10s %6s %6s %9s %10s %10s\n", "trouble", "made", "seen", "misnamed", "mean s", "worst s");
	for (int t = 0; t < TR_SIM_TROUBLES; t++)
		printf("%-10s %6u %6u %9u %10.1f %10.1f\n", tr_sim_trouble_name((enum tr_sim_trouble)t), r->tally[t].made,
		       r->tally[t].seen, r->tally[t].misnamed,
		       r->tally[t].seen ? (double)r->tally[t].sum_ms / r->tally[t].seen / 1000.0 : 0.0,
		       (double)r->tally[t].worst_ms / 1000.0);
	printf("a copy is told at the latest %u beats after its first pulse; late %llu, missed %llu (allowed)\n", r->clone_beats_worst,
	       (unsigned long long)r->late, (unsigned long long)r->missed);
	printf("false verdicts: %llu\n%s\n", (unsigned long long)r->false_verdicts + r->wrong_desyncs,
	       r->good ? "GOOD: nothing false, everything seen and rightly named" : "NOT GOOD");
}

int tr_swarm_virtual(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL,
					  "Plays a day of a fleet in virtual time: real chain logic of the agent, real judgement of the server, "
					  "a network that loses and delays, and every attack in the plan.",
					  NULL, NULL, NULL };
	struct options o = { .plan = tr_sim_day };
	tr_auto(tr_sim_result_done) struct tr_sim_result r = { 0 };
	struct tr_err err = { 0 };
	double cpu_s;

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o))
		return 2;
	if (tr_sim_run(&o.plan, &r, &err)) {
		(void)fprintf(stderr, "troth-swarm: %s (%s)\n", err.pub ? err.pub : "cannot run", err.detail);
		return err.code == TR_E_INVALID ? 2 : 3;
	}
	cpu_s = (double)clock() / CLOCKS_PER_SEC;
	if (!o.quiet && r.story.n)
		(void)fwrite(r.story.p, 1, r.story.n, stderr);
	(o.json ? print_json : print_text)(&o.plan, &r, cpu_s);
	return r.good ? 0 : 1;
}
