/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs to look at every agent once (src/fleet/liveness.c), which happens every ten seconds: CPU of this thread for
 * one complete pass, the median of several. "all": every agent in time. "silent": one in a hundred has begun to climb the
 * ladder. "windows": every agent in time, 200 maintenance windows in force. Prints JSON in milliseconds.
 *
 *   sweep [AGENTS] */
#include "fleet/inner.h"

#include <stdio.h>
#include <time.h>

#define PASSES 9
#define START INT64_C(1800000000000)

static double cpu_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_event(void *arg, const struct tr_event *e)
{
	(void)e;
	++*(uint64_t *)arg;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)row;
	++*(uint64_t *)arg;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_pass(struct tr_fleet *f, struct tr_instant *now, int64_t step_ms)
{
	double took[PASSES];

	for (size_t i = 0; i < PASSES; i++) {
		double began = cpu_ms();

		now->ms += step_ms;
		now->wall_ns += step_ms * 1000000;
		tr_live_visit(f, now, f->n);
		took[i] = cpu_ms() - began;
	}
	qsort(took, PASSES, sizeof(took[0]), by_size);
	return took[PASSES / 2];
}

static void all_speak(struct tr_fleet *f, const struct tr_instant *now)
{
	for (uint32_t no = 0; no < f->n; no++) {
		struct tr_fleet_agent *a = tr_agent_at(f, no);
		int64_t before = a->last_ms;

		a->last_ms = now->ms - no % 30000;
		a->heard = true;
		a->accepted++;
		tr_live_accepted(f, now, no, before);
	}
}

int main(int argc, char **argv)
{
	static struct tr_maintenance_row rows[200];
	static char targets[200][24];
	static const uint8_t key[32] = { 5 }, good[32] = { 9 };
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	const struct tr_fleet_config c = { .run = 77, .interval_s = 30, .keyset_epoch = 1 };
	struct tr_instant now = { START, START * 1000000, true };
	uint64_t told = 0;
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert, .arg = &told };
	tr_auto(tr_fleet_free) struct tr_fleet *f = tr_fleet_new(&c, &sink, &now);
	double all, silent, windows;

	for (unsigned long i = 0; f && i < n; i++) {
		char id[32], partition[32];

		(void)snprintf(id, sizeof(id), "agent-%lu", i);
		(void)snprintf(partition, sizeof(partition), "site-%lu", i % 1000);
		if (tr_fleet_add(f, &now, tr_view_str(id), tr_view_str(partition), key, TR_VIEW_ARRAY(good), 1, true, NULL) ==
		    TR_NO_AGENT)
			break;
	}
	if (!f || f->n != n || n == 0) {
		(void)fprintf(stderr, "sweep: no memory for %lu agents\n", n);
		return 1;
	}
	tr_fleet_loaded(f, &now);
	now.ms += 60000;
	all_speak(f, &now);
	all = median_pass(f, &now, 1000);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		(void)snprintf(targets[i], sizeof(targets[i]), "%s-%zu", i % 2 ? "agent" : "elsewhere", i);
		rows[i] = (struct tr_maintenance_row){ .scope = i % 2 ? TR_VIEW_LIT("agent") : TR_VIEW_LIT("partition"),
						       .target = tr_view_str(targets[i]), .until_at = INT64_MAX };
	}
	tr_fleet_maintenance(f, rows, TR_ARRAY_LEN(rows));
	f->agent_windows = true; /* as the tick finds out */
	windows = median_pass(f, &now, 0);
	tr_fleet_maintenance(f, NULL, 0);
	f->agent_windows = false;
	for (uint32_t no = 0; no < f->n; no += 100)
		tr_agent_at(f, no)->last_ms -= 25000;
	silent = median_pass(f, &now, 5000);
	printf("{\"agents\":%lu,\"all\":%.2f,\"silent\":%.2f,\"windows\":%.2f,\"told\":%llu}\n", n, all, silent, windows,
	       (unsigned long long)told);
	return 0;
}
