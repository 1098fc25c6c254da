/* SPDX-License-Identifier: Apache-2.0 */
/* status: what `troth-agent status` shows on the host, in short. */
#include "agent/runner.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "codec/text.h"

static void member(struct tr_buf *b, const char *name, struct tr_view text)
{
	tr_buf_addf(b, ",\"%s\":", name);
	tr_json_put_str(b, text);
}

static void number(struct tr_buf *b, const char *name, uint64_t v)
{
	tr_buf_addf(b, ",\"%s\":%llu", name, (unsigned long long)v);
}

static void put_journal(const struct tr_obey *o, struct tr_buf *b)
{
	size_t open = 0;

	for (size_t i = 0; i < tr_journal_jobs(o->journal); i++)
		open += !tr_cmd_state_final(tr_journal_job(o->journal, i)->state);
	tr_buf_addf(b,
		    ",\"journal\":{\"state\":\"%s\",\"commands\":%zu,\"open\":%zu,\"refusals\":%zu,\"bytes\":"
		    "%llu,"
		    "\"line\":%llu,\"high\":%llu}",
		    tr_journal_health_name(tr_journal_health(o->journal)), tr_journal_jobs(o->journal), open,
		    tr_journal_refusals(o->journal), (unsigned long long)tr_journal_size(o->journal),
		    (unsigned long long)tr_journal_line(o->journal),
		    (unsigned long long)tr_journal_high(o->journal));
}

static struct tr_cmd_end run(void *arg, const struct tr_job *job, const struct tr_order *o, struct tr_buf *b)
{
	struct tr_runner *r = arg;
	int64_t now = tr_run_now_ms(r);

	(void)job;
	(void)o;
	tr_buf_adds(b, "{\"program\":\"" TR_AGENT_USER_AGENT "\"");
	member(b, "version", tr_view_str(r->evidence.version));
	tr_buf_adds(b, ",\"image\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(r->evidence.image.hash));
	tr_buf_addf(b, "\",\"image_on_disk_differs\":%s", r->evidence.image.disk_differs ? "true" : "false");
	number(b, "pid", (uint64_t)getpid());
	tr_buf_adds(b, ",\"started_at\":\"");
	tr_rfc3339_add(b, r->status.started_at);
	tr_buf_adds(b, "\"");
	member(b, "server", tr_view_str(r->link.url));
	number(b, "pulses", r->status.beats);
	number(b, "interval_s", r->status.interval_s);
	number(b, "ordered_interval_s", r->state.conf.interval_s);
	tr_buf_addf(b, ",\"clock_skew_ms\":%lld", (long long)r->status.clock_skew_ms);
	member(b, "bpf", tr_view_str(tr_bpf_status_name(r->pulser.bpf_status)));
	number(b, "keyset_epoch", r->pulser.keyset_epoch);
	number(b, "keyset_age_s",
	       now > r->authority.refreshed_ms ? (uint64_t)(now - r->authority.refreshed_ms) / 1000 : 0);
	tr_buf_addf(b, ",\"quarantined\":%s", r->obey.quarantined ? "true" : "false");
	put_journal(&r->obey, b);
	tr_buf_adds(b, "}");
	return (struct tr_cmd_end){ TR_CS_DONE, NULL };
}

const struct tr_cmd_ops tr_cmd_status = { .cmd = TR_CMD_STATUS, .run = run };
