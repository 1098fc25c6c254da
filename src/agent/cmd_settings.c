/* SPDX-License-Identifier: Apache-2.0 */
/* set-interval, quarantine and release: what stays until it is ordered otherwise. */
#include "agent/runner.h"

#include "agent/backoff.h"
#include "agent/quarantine.h"
#include "base/log.h"

#define FAILED(slug) ((struct tr_cmd_end){ TR_CS_FAILED, slug })
#define DONE ((struct tr_cmd_end){ TR_CS_DONE, NULL })

uint64_t tr_run_interval_s(const struct tr_runner *r, uint64_t told_s)
{
	uint64_t told = tr_interval_clamp_s(told_s), own = r->state.conf.interval_s;

	own = own ? tr_interval_clamp_s(own) : told;
	return own < told ? own : told;
}

static struct tr_cmd_end set_interval(void *arg, const struct tr_job *job, const struct tr_order *o,
				      struct tr_buf *b)
{
	struct tr_runner *r = arg;
	struct tr_agent_conf c = r->state.conf;
	uint64_t told = r->last.interval_s ? r->last.interval_s : c.heartbeat_interval_s;
	struct tr_err err = { 0 };

	(void)job;
	c.interval_s = o->seconds;
	if (c.interval_s != r->state.conf.interval_s && tr_state_save(&r->state, &c, &err)) {
		tr_log_err(TR_LOG_ERROR, "setting_not_written", &err, NULL);
		return FAILED("not_written");
	}
	tr_run_set_scope(r); /* what it borrowed from agent.json was read anew */
	r->status.interval_s = tr_run_interval_s(r, told);
	r->pulse_now = true; /* the beat begins here */
	tr_buf_addf(b, "{\"ordered_interval_s\":%llu,\"interval_s\":%llu}", (unsigned long long)o->seconds,
		    (unsigned long long)r->status.interval_s);
	return DONE;
}

static struct tr_cmd_end quarantine(void *arg, const struct tr_job *job, const struct tr_order *o,
				    struct tr_buf *b)
{
	struct tr_runner *r = arg;
	struct tr_err err = { 0 };

	(void)o;
	if (tr_quarantine_set(&r->state, job->cmd_id, tr_run_now_ms(r), &err)) {
		tr_log_err(TR_LOG_ERROR, "setting_not_written", &err, NULL);
		return FAILED("not_written");
	}
	r->obey.quarantined = true;
	tr_log(TR_LOG_WARN, "quarantined", NULL);
	tr_buf_adds(b, "{\"quarantined\":true}");
	return DONE;
}

static struct tr_cmd_end release(void *arg, const struct tr_job *job, const struct tr_order *o,
				 struct tr_buf *b)
{
	struct tr_runner *r = arg;
	struct tr_err err = { 0 };

	(void)job;
	(void)o;
	if (tr_quarantine_lift(&r->state, &err)) {
		tr_log_err(TR_LOG_ERROR, "setting_not_written", &err, NULL);
		return FAILED("not_written");
	}
	r->obey.quarantined = false;
	tr_log(TR_LOG_INFO, "released", NULL);
	tr_buf_adds(b, "{\"quarantined\":false}");
	return DONE;
}

const struct tr_cmd_ops tr_cmd_set_interval = { .cmd = TR_CMD_SET_INTERVAL, .run = set_interval };
const struct tr_cmd_ops tr_cmd_quarantine = { .cmd = TR_CMD_QUARANTINE, .run = quarantine };
const struct tr_cmd_ops tr_cmd_release = { .cmd = TR_CMD_RELEASE, .run = release };
