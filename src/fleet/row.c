/* SPDX-License-Identifier: Apache-2.0 */
/* An agent's pulse as it is stored: what survives a restart of the server, and when it is written. */
#include "fleet/inner.h"

static void copy_fixed(void *to, size_t n, struct tr_view from)
{
	if (from.n == n)
		memcpy(to, from.p, n);
}

static struct tr_buf *keep_bytes(struct tr_view v)
{
	struct tr_buf *b = v.n ? calloc(1, sizeof(*b)) : NULL;

	if (b)
		tr_buf_addv(b, v);
	return b;
}

static uint32_t seconds(int64_t ms)
{
	return ms > 0 ? (uint32_t)(ms / 1000) : 0;
}

/* Whoever wrote the row, this program or a later version or a person: a number without a meaning here is 0, "not known". */
static uint8_t known(uint64_t v, unsigned n)
{
	return v < n ? (uint8_t)v : 0;
}

void tr_row_take(struct tr_fleet *f, struct tr_fleet_agent *a, const struct tr_pulse_row *r)
{
	a->first_ms = r->first_seen ? r->first_seen : a->first_ms;
	a->last_ms = a->wall_good_ms = r->last_seen;
	a->accepted = r->accepted;
	a->restarts = (uint32_t)r->restarts;
	a->seq = r->seq;
	copy_fixed(a->head, sizeof(a->head), r->head);
	copy_fixed(a->head_prev, sizeof(a->head_prev), r->head_prev);
	copy_fixed(a->boot_id, sizeof(a->boot_id), r->boot_id);
	copy_fixed(a->start_id, sizeof(a->start_id), r->start_id);
	a->bootcount = (uint32_t)r->bootcount;
	tr_intern_set(f->values, &a->running, r->running_hash);
	if (r->good_hash.n)
		tr_intern_set(f->values, &a->good, r->good_hash);
	tr_intern_set(f->values, &a->expected, r->expected_hash);
	a->expected_until_s = seconds(r->expected_until);
	tr_intern_set(f->values, &a->version, r->version);
	a->bpf_status = known(r->bpf_status, TR_BPF_STATUS_N);
	tr_intern_set(f->values, &a->bpf, r->bpf_digest);
	tr_intern_set(f->values, &a->bpf_good, r->bpf_good);
	a->bpf_list = keep_bytes(r->bpf_list);
	a->findings = keep_bytes(r->findings);
	a->lsm = known(r->lsm, TR_LSM_N);
	a->lsm_good = known(r->lsm_good, TR_LSM_N);
	a->sync = known(r->sync, TR_SYNC_N);
	a->skew_ms = (int32_t)r->skew_ms;
	a->rtt_ms = (uint16_t)r->rtt_ms;
	a->loss_ppm = (uint32_t)r->loss_ppm;
	a->axes = (struct tr_axes){
		.reach = known(r->reach, TR_REACH_N),
		.auth = known(r->auth, TR_AUTH_N),
		.clock = known(r->clock, TR_CLOCK_N),
		.integrity = known(r->integrity, TR_INTEGRITY_N),
		.config = known(r->config, TR_CONFIG_N),
		.updating = known(r->updating, TR_UPDATING_N),
	};
	/* What was live when the server went down is late until it is heard again: a restarted server knows of nobody that
	 * he is alive. The lost stay lost. */
	if (a->axes.reach == TR_REACH_LIVE)
		a->axes.reach = TR_REACH_LATE;
	a->since[0] = seconds(r->reach_since);
	a->since[1] = seconds(r->auth_since);
	a->since[2] = seconds(r->clock_since);
	a->since[3] = seconds(r->integrity_since);
	a->since[4] = seconds(r->config_since);
	a->since[5] = seconds(r->updating_since);
	a->notice = known(r->notice, TR_NOTICE_N);
	a->notice_until_s = seconds(r->notice_until);
	tr_intern_set(f->values, &a->source, r->source);
	a->keyset_epoch = (uint16_t)r->keyset_epoch;
}

static struct tr_view unless_zero(const uint8_t *p, size_t n)
{
	static const uint8_t zero[32];

	return memcmp(p, zero, n) == 0 ? tr_view(NULL, 0) : tr_view(p, n);
}

static struct tr_view bytes_of(const struct tr_buf *b)
{
	return b ? tr_buf_view(b) : tr_view(NULL, 0);
}

void tr_fleet_row(const struct tr_fleet *f, uint32_t no, struct tr_buf *scratch, struct tr_pulse_row *ret)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);

	tr_buf_clear(scratch);
	tr_buf_addf(scratch,
		    "{\"load_milli\":%u,\"mem_total_mib\":%u,\"mem_free_mib\":%u,\"disk_total_mib\":%u,\"disk_free_mib\":%u,"
		    "\"uptime_s\":%u,\"agent_rss_kib\":%u,\"agent_cpu_ms\":%u}",
		    a->health.load_milli, a->health.mem_total_mib, a->health.mem_free_mib, a->health.disk_total_mib,
		    a->health.disk_free_mib, a->health.uptime_s, a->health.agent_rss_kib, a->health.agent_cpu_ms);
	*ret = (struct tr_pulse_row){
		.id = tr_view_str(a->id),
		.epoch = a->epoch,
		.first_seen = a->first_ms,
		.last_seen = a->last_ms,
		.accepted = a->accepted,
		.restarts = a->restarts,
		.seq = a->seq,
		.head = unless_zero(a->head, 32),
		.head_prev = unless_zero(a->head_prev, 32),
		.boot_id = unless_zero(a->boot_id, 16),
		.start_id = unless_zero(a->start_id, 16),
		.bootcount = a->bootcount,
		.running_hash = tr_fleet_value(f, a->running),
		.good_hash = tr_fleet_value(f, a->good),
		.version = tr_fleet_value(f, a->version),
		.expected_hash = tr_fleet_value(f, a->expected),
		.expected_until = (int64_t)a->expected_until_s * 1000,
		.bpf_status = a->bpf_status,
		.bpf_digest = tr_fleet_value(f, a->bpf),
		.bpf_good = tr_fleet_value(f, a->bpf_good),
		.bpf_list = bytes_of(a->bpf_list),
		.lsm = a->lsm,
		.lsm_good = a->lsm_good,
		.sync = a->sync,
		.skew_ms = a->skew_ms,
		.rtt_ms = a->rtt_ms,
		.loss_ppm = a->loss_ppm,
		.reach = a->axes.reach,
		.auth = a->axes.auth,
		.clock = a->axes.clock,
		.integrity = a->axes.integrity,
		.config = a->axes.config,
		.updating = a->axes.updating,
		.reach_since = (int64_t)a->since[0] * 1000,
		.auth_since = (int64_t)a->since[1] * 1000,
		.clock_since = (int64_t)a->since[2] * 1000,
		.integrity_since = (int64_t)a->since[3] * 1000,
		.config_since = (int64_t)a->since[4] * 1000,
		.updating_since = (int64_t)a->since[5] * 1000,
		.notice = a->notice,
		.notice_until = (int64_t)a->notice_until_s * 1000,
		.source = tr_fleet_value(f, a->source),
		.health = a->health.uptime_s ? tr_buf_view(scratch) : tr_view(NULL, 0),
		.findings = bytes_of(a->findings),
		.keyset_epoch = a->keyset_epoch,
	};
}

size_t tr_fleet_sweep(struct tr_fleet *f, size_t n, tr_fleet_put_fn put, void *arg)
{
	size_t done = 0;

	for (uint32_t k = 0; k < f->n && done < n; k++) {
		uint32_t no = f->sweep_at;
		struct tr_fleet_agent *a = tr_agent_at(f, no);
		struct tr_pulse_row row;

		f->sweep_at = no + 1 < f->n ? no + 1 : 0;
		if (!a->dirty)
			continue;
		tr_fleet_row(f, no, &f->scratch, &row);
		if (!put(arg, no, &row))
			continue;
		a->dirty = false;
		done++;
	}
	return done;
}

void tr_fleet_touch(struct tr_fleet *f, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (a)
		a->dirty = true;
}
