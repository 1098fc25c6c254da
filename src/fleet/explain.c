/* SPDX-License-Identifier: Apache-2.0 */
/* Each check of one agent in words: what was expected, what was seen, since when, how far it can be believed, what to do. */
#include "fleet/inner.h"

#include "codec/text.h"

#include <stdio.h>

/* Seen by the server itself; proven by the agent's key; or merely said by the host that holds it. */
#define OBSERVED "observed"
#define SIGNED "signed"
#define SELF_ASSERTED "self-asserted"

struct check {
	const char *name, *state, *tier, *action;
	int64_t since_ms;
	struct tr_view raw_findings; /* JSON array made by ourselves */
	const char *reference;       /* what it was held against; NULL: not told */
};

struct report {
	const struct tr_fleet *f;
	const struct tr_instant *now;
	const struct tr_fleet_agent *a;
	struct tr_axes axes;
	uint32_t no;
	struct tr_buf expected, seen;
	struct tr_buf *json;
	bool any;
};

static void put_member(struct tr_buf *b, const char *name, struct tr_view v)
{
	tr_buf_addf(b, "\"%s\":", name);
	tr_json_put_str(b, v);
	tr_buf_adds(b, ",");
}

/* Takes what was written to expected and seen. */
static void put(struct report *r, const struct check *c)
{
	struct tr_buf *b = r->json;
	tr_auto(tr_buf_done) struct tr_buf action = TR_BUF_INIT;

	tr_action_put(&action, c->action, tr_view_str(r->a->id));
	tr_buf_adds(b, r->any ? ",{" : "{");
	r->any = true;
	put_member(b, "check", tr_view_str(c->name));
	put_member(b, "state", tr_view_str(c->state));
	put_member(b, "expected", tr_buf_view(&r->expected));
	put_member(b, "seen", tr_buf_view(&r->seen));
	tr_buf_adds(b, "\"since\":");
	if (c->since_ms > 0) {
		tr_buf_adds(b, "\"");
		tr_rfc3339_add(b, c->since_ms);
		tr_buf_adds(b, "\",");
	} else {
		tr_buf_adds(b, "null,");
	}
	put_member(b, "tier", tr_view_str(c->tier));
	if (c->reference)
		put_member(b, "reference", tr_view_str(c->reference));
	if (c->raw_findings.n) {
		tr_buf_adds(b, "\"findings\":");
		tr_buf_addv(b, c->raw_findings);
		tr_buf_adds(b, ",");
	}
	tr_buf_adds(b, "\"action\":");
	tr_json_put_str(b, tr_buf_view(&action));
	tr_buf_adds(b, "}");
	tr_buf_clear(&r->expected);
	tr_buf_clear(&r->seen);
}

static int64_t axis_since_ms(const struct report *r, unsigned axis)
{
	return (int64_t)r->a->since[axis] * 1000;
}

static void add_hash(struct tr_buf *b, struct tr_view hash, const char *none)
{
	if (hash.n)
		tr_hex_add(b, hash);
	else
		tr_buf_adds(b, none);
}

static const char *agent_silent = "see the host's power, network and `systemctl status troth-agent`";

static void reachability(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	struct check c = { .name = "reachability", .tier = OBSERVED, .state = tr_reach_name(r->axes.reach), .action = "",
			   .since_ms = axis_since_ms(r, TR_AXIS_REACH) };
	const struct tr_partition *p = &r->f->partitions[a->partition];

	tr_buf_addf(&r->expected, "a pulse every %u s; lost after %u s of silence", a->interval_s,
		    tr_fleet_lost_after_s(r->f, r->no));
	if (r->axes.reach == TR_REACH_NEVER)
		tr_buf_adds(&r->seen, "no pulse since its enrolment");
	else
		tr_buf_addf(&r->seen, "last accepted pulse %lld s ago; %u.%02u %% of its beats are lost",
			    (long long)((r->now->ms - a->last_ms) / 1000), a->loss_ppm / 10000, a->loss_ppm / 100 % 100);
	if (r->axes.reach == TR_REACH_ANNOUNCED) {
		tr_buf_addf(&r->seen, "; announced: %s, until ", tr_notice_name((enum tr_notice)a->notice));
		tr_rfc3339_add(&r->seen, (int64_t)a->notice_until_s * 1000);
	}
	if (!a->heard && r->axes.reach != TR_REACH_NEVER)
		tr_buf_adds(&r->seen, "; not heard since the server's start");
	if (tr_live_in_maintenance(r->f, r->now, a))
		tr_buf_adds(&r->seen, "; in a maintenance window");
	if (r->axes.reach == TR_REACH_MISSED || r->axes.reach == TR_REACH_LOST || r->axes.reach == TR_REACH_NEVER)
		c.action = agent_silent;
	if (p->incident || r->f->rest.incident) {
		tr_buf_adds(&r->seen, "; its partition is silent as a whole");
		if (r->axes.reach == TR_REACH_MISSED)
			c.action = "see the alert of its partition: look at the network first";
	}
	put(r, &c);
}

static void authenticity(struct report *r)
{
	static const char *const actions[TR_AUTH_N] = { [TR_AUTH_CONFLICT] = "chain_conflict", [TR_AUTH_RESTORED] = "restored",
							[TR_AUTH_FORKED] = "forked" };
	const struct tr_fleet_agent *a = r->a;
	struct check c = { .name = "authenticity", .tier = SIGNED, .state = tr_authenticity_name(r->axes.auth),
			   .since_ms = axis_since_ms(r, TR_AXIS_AUTH), .action = "" };

	tr_buf_adds(&r->expected, "one history, signed with key ");
	tr_hex_add(&r->expected, TR_VIEW_ARRAY(a->key_id));
	if (a->seq)
		tr_buf_addf(&r->seen, "pulse %llu of boot %u, enrolment %u, from %.*s", (unsigned long long)a->seq, a->bootcount,
			    a->epoch, TR_VIEW_FMT(tr_fleet_value(r->f, a->source)));
	else
		tr_buf_adds(&r->seen, "nothing yet");
	if (a->stray) {
		tr_buf_addf(&r->seen, "; a second history: %u pulses, last %lld s ago, process ", a->stray->count,
			    (long long)((r->now->ms - a->stray->last_ms) / 1000));
		tr_hex_add(&r->seen, tr_view(a->stray->start_id, 8));
	}
	if (r->axes.auth < TR_AUTH_N && actions[r->axes.auth])
		c.action = tr_alert_action(actions[r->axes.auth]);
	if (r->axes.auth == TR_AUTH_REVOKED)
		c.action = "its identity has ended for good; if the machine should come back, enrol it under a new id";
	put(r, &c);
}

static void clock_check(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	struct check c = { .name = "clock", .tier = SELF_ASSERTED, .state = tr_clock_name(r->axes.clock),
			   .since_ms = axis_since_ms(r, TR_AXIS_CLOCK), .action = "" };
	long long skew = a->skew_ms < 0 ? -(long long)a->skew_ms : a->skew_ms;

	tr_buf_adds(&r->expected, "at most 5 s from the server's clock");
	if (a->seq)
		tr_buf_addf(&r->seen, "%lld.%03lld s %s it, give or take %u ms; its kernel calls it synchronised: %s",
			    skew / 1000, skew % 1000, a->skew_ms < 0 ? "behind" : "ahead of", a->rtt_ms,
			    tr_sync_name((enum tr_sync)a->sync));
	else
		tr_buf_adds(&r->seen, "nothing yet");
	if (r->axes.clock == TR_CLOCK_DESYNC)
		c.action = tr_alert_action("clock_desync");
	if (r->axes.clock == TR_CLOCK_UNSTABLE)
		c.action = tr_alert_action("clock_unstable");
	if (!r->now->clock_trusted) {
		tr_buf_adds(&r->seen, "; not judged: the server's own clock is not synchronised");
		c.action = tr_alert_action("server_clock");
	}
	put(r, &c);
}

static bool is_ordered(const struct report *r)
{
	return r->a->expected && r->now->ms / 1000 <= r->a->expected_until_s;
}

static void binary(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	struct tr_view running = tr_fleet_value(r->f, a->running), good = tr_fleet_value(r->f, a->good);
	struct check c = { .name = "binary", .tier = SELF_ASSERTED, .since_ms = axis_since_ms(r, TR_AXIS_INTEGRITY),
			   .action = "" };

	add_hash(&r->expected, good, "nothing known yet: the first image seen is taken as good");
	add_hash(&r->seen, running, "nothing yet");
	if (!running.n || !good.n) {
		c.state = "unknown";
	} else if (tr_view_eq(running, good)) {
		c.state = "ok";
	} else if (is_ordered(r) && tr_view_eq(running, tr_fleet_value(r->f, a->expected))) {
		c.state = "expected_update";
	} else {
		c.state = "unknown_binary";
		c.action = tr_alert_action("binary_changed");
	}
	put(r, &c);
}

static void bpf(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	struct tr_view digest = tr_fleet_value(r->f, a->bpf), good = tr_fleet_value(r->f, a->bpf_good);
	struct check c = { .name = "bpf", .tier = SELF_ASSERTED, .since_ms = axis_since_ms(r, TR_AXIS_INTEGRITY), .action = "",
			   .raw_findings = a->findings ? tr_buf_view(a->findings) : tr_view(NULL, 0),
			   .reference = "learned from this agent's first list (self-asserted)" };
	struct tr_view version;
	char release[80];

	if (tr_fleet_released_bpf(r->f, r->no, &version).n) {
		(void)snprintf(release, sizeof(release), "release %.*s", TR_VIEW_FMT(version));
		c.reference = release;
	}
	add_hash(&r->expected, good, "no good snapshot known yet");
	if (good.n || c.reference == release)
		tr_buf_addf(&r->expected, "; %s", c.reference);
	if (!a->seq)
		tr_buf_adds(&r->seen, "nothing yet");
	else if (a->bpf_status == TR_BPF_OK)
		add_hash(&r->seen, digest, "no digest");
	else
		tr_buf_addf(&r->seen, "no snapshot: %s", tr_bpf_status_name((enum tr_bpf_status)a->bpf_status));
	if (r->axes.integrity == TR_INTEGRITY_BPF_MISMATCH) {
		c.state = "bpf_mismatch";
		c.action = tr_alert_action("bpf_changed");
	} else if (!a->seq || a->bpf_status != TR_BPF_OK) {
		/* A precise excuse is neither good nor bad. */
		c.state = a->seq ? tr_bpf_status_name((enum tr_bpf_status)a->bpf_status) : "unknown";
	} else if (good.n && tr_view_eq(digest, good)) {
		c.state = "ok";
	} else {
		c.state = a->want_bpf_list || !good.n ? "unknown" : c.raw_findings.n ? "bpf_mismatch" : "ok";
	}
	put(r, &c);
}

static void lsm(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	const char *seen = tr_lsm_name((enum tr_lsm)a->lsm);
	bool down = a->lsm_good == TR_LSM_ACTIVE && a->lsm != TR_LSM_ACTIVE;
	struct check c = { .name = "lsm", .tier = SELF_ASSERTED, .since_ms = axis_since_ms(r, TR_AXIS_INTEGRITY),
			   .state = down ? "lsm_down" : a->lsm == TR_LSM_ACTIVE ? "ok" : seen,
			   .action = down ? tr_alert_action("lsm_down") : "" };

	tr_buf_adds(&r->expected, a->lsm_good ? tr_lsm_name((enum tr_lsm)a->lsm_good) : "nothing known yet");
	tr_buf_adds(&r->seen, a->seq ? seen : "nothing yet");
	put(r, &c);
}

static void configuration(struct report *r)
{
	struct check c = { .name = "configuration", .tier = SELF_ASSERTED, .state = tr_config_state_name(r->axes.config),
			   .since_ms = axis_since_ms(r, TR_AXIS_CONFIG), .action = "" };

	tr_buf_addf(&r->expected, "keyset epoch %llu", (unsigned long long)r->f->cfg.keyset_epoch);
	tr_buf_adds(&r->seen, r->axes.config == TR_CONFIG_CURRENT  ? "this keyset or a newer one"
			      : r->axes.config == TR_CONFIG_BEHIND ? "an older keyset"
								   : "nothing yet");
	if (tr_fleet_keyset_of(r->f, r->no))
		tr_buf_addf(&r->seen, ": epoch %llu", (unsigned long long)tr_fleet_keyset_of(r->f, r->no));
	if (r->axes.config == TR_CONFIG_BEHIND)
		c.action = "the agent fetches the keyset by itself; if this stays for an hour, see its journal";
	if (tr_fleet_keyset_of(r->f, r->no) > r->f->cfg.keyset_epoch)
		c.action = tr_alert_action("keyset_behind");
	put(r, &c);
}

static void update(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	struct check c = { .name = "update", .tier = OBSERVED, .state = tr_updating_name(r->axes.updating), .action = "",
			   .since_ms = axis_since_ms(r, TR_AXIS_UPDATING) };

	if (a->expected) {
		tr_hex_add(&r->expected, tr_fleet_value(r->f, a->expected));
		tr_buf_adds(&r->expected, " until ");
		tr_rfc3339_add(&r->expected, (int64_t)a->expected_until_s * 1000);
		if (!is_ordered(r))
			c.action = "the order has run out; if the update is still wanted, `troth agent expect ID` again";
	} else {
		tr_buf_adds(&r->expected, "no update was ordered");
	}
	add_hash(&r->seen, tr_fleet_value(r->f, a->running), "nothing yet");
	put(r, &c);
}

static void freshness(struct report *r)
{
	const struct tr_fleet_agent *a = r->a;
	int64_t limit_ms = (int64_t)a->interval_s * 1000 * TR_TICKET_AGE_BEATS_X2 / 2;
	bool fresh = a->heard && r->now->ms - a->last_ms <= limit_ms;
	struct check c = { .name = "freshness", .tier = SIGNED, .state = !a->seq ? "unknown" : fresh ? "fresh" : "stale",
			   .since_ms = a->wall_good_ms, .action = a->seq && !fresh ? agent_silent : "" };

	tr_buf_addf(&r->expected, "a pulse that answers the server's last ticket, not older than %lld.%lld s",
		    (long long)(limit_ms / 1000), (long long)(limit_ms / 100 % 10));
	if (a->seq) {
		tr_buf_addf(&r->seen, "pulse %llu of version %.*s, head of its chain ", (unsigned long long)a->seq,
			    TR_VIEW_FMT(tr_fleet_value(r->f, a->version)));
		tr_hex_add(&r->seen, tr_view(a->head, 8));
	} else {
		tr_buf_adds(&r->seen, "nothing yet");
	}
	put(r, &c);
}

void tr_fleet_explain(const struct tr_fleet *f, const struct tr_instant *now, uint32_t no, struct tr_buf *json)
{
	static void (*const checks[])(struct report *) = { reachability, authenticity, clock_check,  binary, bpf,
							   lsm,          configuration, update,      freshness };
	struct report r = { .f = f, .now = now, .a = tr_agent_at(f, no), .no = no, .json = json };

	tr_buf_adds(json, "[");
	(void)tr_fleet_verdict(f, now, no, &r.axes);
	for (size_t i = 0; r.a && i < TR_ARRAY_LEN(checks); i++)
		checks[i](&r);
	tr_buf_adds(json, "]");
	tr_buf_done(&r.expected);
	tr_buf_done(&r.seen);
}
