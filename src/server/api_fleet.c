/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet as one answer: how many are how, what is open, and whether the server itself may be believed. */
#include "server/core.h"

#include "base/clock.h"
#include "codec/text.h"

#define PARTITIONS_SHOWN 100u

struct partition_count {
	struct tr_view name;
	uint32_t agents, silent;
};

/* Silent ones first, then the big ones. */
static int by_silence(const void *x, const void *y)
{
	const struct partition_count *a = x, *b = y;

	if (a->silent != b->silent)
		return a->silent > b->silent ? -1 : 1;
	return (a->agents < b->agents) - (a->agents > b->agents);
}

/* Also finds the agent whose silence takes the longest to be called a loss: the one that loses the most. */
static void put_partitions(const struct tr_core *c, struct tr_buf *b, uint32_t *ret_patient)
{
	tr_auto(tr_free) struct partition_count *v = calloc(UINT16_MAX + 1, sizeof(*v));
	uint64_t most = 0;
	size_t n = 0, used = 0;

	tr_buf_adds(b, ",\"partitions\":[");
	for (uint32_t no = 0; v && no < tr_fleet_count(c->fleet); no++) {
		const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, no);

		if (!a || !a->active)
			continue;
		if ((uint64_t)a->interval_s * ((uint64_t)a->loss_ppm + 1) > most) {
			most = (uint64_t)a->interval_s * ((uint64_t)a->loss_ppm + 1);
			*ret_patient = no;
		}
		v[a->partition].agents++;
		v[a->partition].silent += a->axes.reach == TR_REACH_MISSED || a->axes.reach == TR_REACH_LOST;
		n = a->partition >= n ? a->partition + 1u : n;
	}
	for (size_t k = 0; v && k < n; k++)
		if (v[k].agents) {
			v[used] = v[k];
			v[used++].name = tr_fleet_partition(c->fleet, (uint16_t)k);
		}
	if (used)
		qsort(v, used, sizeof(*v), by_silence);
	for (size_t k = 0; k < used && k < PARTITIONS_SHOWN; k++) {
		tr_buf_adds(b, k ? ",{\"name\":" : "{\"name\":");
		tr_json_put_str(b, v[k].name);
		tr_buf_addf(b, ",\"agents\":%u,\"silent\":%u}", v[k].agents, v[k].silent);
	}
	tr_buf_addf(b, "],\"partitions_total\":%zu", used);
}

struct alert_count {
	size_t open, acknowledged, severity[6];
};

static bool count_alert(void *arg, const struct tr_alert_row *row)
{
	struct alert_count *n = arg;

	n->open += tr_view_is(row->state, "open");
	n->acknowledged += tr_view_is(row->state, "acknowledged");
	n->severity[row->severity < 6 ? row->severity : 5]++;
	return true;
}

static void put_alerts(const struct tr_core *c, struct tr_buf *b)
{
	struct tr_alerts *alerts = tr_fleet_alerts(c->fleet);
	struct alert_count n = { 0 };

	tr_alerts_each(alerts, count_alert, &n);
	tr_buf_addf(b, ",\"alerts\":{\"open\":%zu,\"acknowledged\":%zu,\"dropped\":%llu,\"severity\":{", n.open, n.acknowledged,
		    (unsigned long long)tr_alerts_dropped(alerts));
	for (unsigned s = 1; s < TR_ARRAY_LEN(n.severity); s++)
		tr_buf_addf(b, "%s\"%u\":%zu", s > 1 ? "," : "", s, n.severity[s]);
	tr_buf_adds(b, "}}");
}

void tr_api_fleet(struct tr_core *c, struct tr_req *r)
{
	struct tr_instant now = tr_core_now(c);
	struct tr_fleet_stats s = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint64_t active = 0;
	uint32_t patient = 0;

	tr_fleet_stats(c->fleet, &s);
	for (unsigned k = 0; k < TR_REACH_N; k++)
		active += s.by_reach[k];
	tr_buf_addf(&b, "{\"agents\":{\"total\":%zu,\"active\":%llu},\"verdicts\":{", c->agents.n, (unsigned long long)active);
	for (unsigned k = 0; k < TR_V_N; k++)
		tr_buf_addf(&b, "%s\"%s\":%llu", k ? "," : "", tr_verdict_name((enum tr_verdict)k),
			    (unsigned long long)s.by_verdict[k]);
	tr_buf_adds(&b, "},\"reach\":{");
	for (unsigned k = 0; k < TR_REACH_N; k++)
		tr_buf_addf(&b, "%s\"%s\":%llu", k ? "," : "", tr_reach_name((enum tr_reach)k), (unsigned long long)s.by_reach[k]);
	tr_buf_adds(&b, "}");
	put_partitions(c, &b, &patient);
	put_alerts(c, &b);
	tr_buf_addf(&b,
		    ",\"maintenance\":%zu,\"incidents\":%llu,\"amnesties\":%llu,\"clock_trusted\":%s,\"store_ok\":%s,"
		    "\"heartbeat_seconds\":%u,\"lost_after_s\":%u,\"run_age_s\":%lld,\"run_started_at\":\"",
		    tr_maintenance_running(c), (unsigned long long)s.incidents_open, (unsigned long long)s.amnesties,
		    now.clock_trusted ? "true" : "false", c->store_ok ? "true" : "false", c->cfg->heartbeat_seconds,
		    tr_fleet_count(c->fleet) ? tr_fleet_lost_after_s(c->fleet, patient) : 0,
		    (long long)((tr_now_ms() - c->started_at) / 1000));
	tr_rfc3339_add(&b, c->started_at);
	tr_buf_adds(&b, "\",\"server_time\":\"");
	tr_rfc3339_add(&b, tr_now_ms());
	tr_buf_adds(&b, "\"}");
	tr_req_answer_json(r, &b);
}
