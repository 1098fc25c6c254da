/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the fleet: agents come, end, get another key; axes change and are folded. No judgement here. */
#include "fleet/inner.h"

#include "base/log.h"

#include <stdio.h>

#define NAMES_BLOCK TR_SLAB_LEN

struct tr_fleet *tr_fleet_new(const struct tr_fleet_config *c, const struct tr_fleet_sink *sink,
			      const struct tr_instant *now)
{
	struct tr_fleet *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->cfg = *c;
	f->sink = *sink;
	f->started_ms = f->amnesty_ms = now->ms;
	f->judges = true;
	f->values = tr_intern_new(c->run);
	f->alerts = tr_alerts_new(c->escalate_s, c->run, sink->alert, sink->arg);
	/* Partition 0 is the one without a name. */
	f->partitions = calloc(1, sizeof(*f->partitions));
	f->n_partitions = 1;
	return f->values && f->alerts && f->partitions ? f : tr_fleet_free(f);
}

static void forget_list(struct tr_buf **b)
{
	if (*b)
		tr_buf_done(*b);
	free(*b);
	*b = NULL;
}

struct tr_fleet *tr_fleet_free(struct tr_fleet *f)
{
	if (!f)
		return NULL;
	tr_fleet_releases(f, NULL, 0);
	for (uint32_t i = 0; i < f->n; i++) {
		struct tr_fleet_agent *a = tr_agent_at(f, i);

		free(a->stray);
		forget_list(&a->bpf_list);
		forget_list(&a->findings);
	}
	for (uint32_t i = 0; i < f->n_chunks; i++)
		tr_slab_free(f->chunks[i], TR_SLAB_LEN);
	while (f->names) {
		char *before;

		memcpy(&before, f->names, sizeof(before));
		tr_slab_free(f->names, NAMES_BLOCK);
		f->names = before;
	}
	free(f->chunks);
	free(f->partitions);
	free(f->windows);
	tr_fleet_bpf_refs(f, NULL, 0);
	tr_intern_free(f->values);
	(void)tr_alerts_free(f->alerts);
	tr_buf_done(&f->scratch);
	free(f);
	return NULL;
}

/* ---- memory ---- */

/* Names live as long as the fleet, cut from blocks that are chained by their first bytes. */
static const char *keep_name(struct tr_fleet *f, struct tr_view id)
{
	char *at;

	if (f->names_left < id.n + 1) {
		char *block = tr_slab_new(NAMES_BLOCK, f->names != NULL);

		if (!block)
			return NULL;
		memcpy(block, &f->names, sizeof(f->names));
		f->names = block;
		f->names_left = NAMES_BLOCK - sizeof(f->names);
	}
	at = f->names + NAMES_BLOCK - f->names_left;
	memcpy(at, id.p, id.n);
	at[id.n] = 0;
	f->names_left -= id.n + 1;
	f->name_bytes += id.n + 1;
	return at;
}

static struct tr_fleet_agent *new_place(struct tr_fleet *f)
{
	if (f->n == f->n_chunks * TR_CHUNK) {
		struct tr_fleet_agent **grown = realloc(f->chunks, (f->n_chunks + 1) * sizeof(*grown));

		if (!grown)
			return NULL;
		f->chunks = grown;
		f->chunks[f->n_chunks] = tr_slab_new(TR_SLAB_LEN, f->n_chunks > 0);
		if (!f->chunks[f->n_chunks])
			return NULL;
		f->n_chunks++;
	}
	return &f->chunks[f->n / TR_CHUNK][f->n % TR_CHUNK];
}

static uint16_t partition_of(struct tr_fleet *f, struct tr_view name)
{
	struct tr_partition *grown;

	for (uint16_t i = 0; i < f->n_partitions; i++)
		if (tr_view_is(name, f->partitions[i].name))
			return i;
	if (f->n_partitions == UINT16_MAX || name.n > 64)
		return 0;
	grown = realloc(f->partitions, (f->n_partitions + 1u) * sizeof(*grown));
	if (!grown)
		return 0;
	f->partitions = grown;
	grown[f->n_partitions] = (struct tr_partition){ 0 };
	memcpy(grown[f->n_partitions].name, name.p, name.n);
	return f->n_partitions++;
}

/* ---- axes ---- */

static bool is_calm(enum tr_verdict v)
{
	return v == TR_V_OK || v == TR_V_LATE || v == TR_V_UNKNOWN || v == TR_V_PENDING;
}

static void refold(struct tr_fleet *f, uint32_t no, struct tr_fleet_agent *a)
{
	enum tr_verdict was = a->verdict, is = tr_verdict_fold(&a->axes);
	char detail[96];

	if (was == is)
		return;
	a->verdict = (uint8_t)is;
	f->stats.by_verdict[was]--;
	f->stats.by_verdict[is]++;
	/* One late beat is weather; a fleet's weather is not history. The first pulse is. */
	if (is_calm(was) && is_calm(is) && !(was == TR_V_PENDING && is == TR_V_OK))
		return;
	(void)snprintf(detail, sizeof(detail), "{\"from\":\"%s\",\"to\":\"%s\"}", tr_verdict_name(was),
		       tr_verdict_name(is));
	tr_fleet_emit(f, TR_EV_VERDICT, no, tr_verdict_is_security(is) ? 2 : is == TR_V_LOST ? 3 : 5,
		      tr_fleet_value(f, a->source), tr_view_str(detail), tr_view(NULL, 0));
}

void tr_axis_set(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, unsigned axis, uint8_t value)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	uint8_t *at = (uint8_t *)&a->axes + axis;

	if (*at == value)
		return;
	if (axis == TR_AXIS_REACH && a->active) {
		f->stats.by_reach[*at]--;
		f->stats.by_reach[value]++;
	}
	*at = value;
	a->since[axis] = (uint32_t)(now->ms / 1000);
	a->dirty = true;
	refold(f, no, a);
}

void tr_fleet_emit(struct tr_fleet *f, enum tr_event_kind kind, uint32_t no, unsigned severity, struct tr_view source,
		   struct tr_view detail, struct tr_view evidence)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	struct tr_event e = {
		.kind = kind,
		.agent = a ? no : TR_NO_AGENT,
		.agent_id = a ? tr_view_str(a->id) : tr_view(NULL, 0),
		.partition = a ? tr_view_str(f->partitions[a->partition].name) : tr_view(NULL, 0),
		.source = source,
		.severity = severity,
		.detail = detail.n ? detail : TR_VIEW_LIT("{}"),
		.evidence = evidence,
	};

	if (!f->quiet)
		f->sink.event(f->sink.arg, &e);
}

static struct tr_view subject_of(const struct tr_fleet_agent *a, char buf[80])
{
	(void)snprintf(buf, 80, "agent:%s", a->id);
	return tr_view_str(buf);
}

void tr_agent_alert(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const char *kind, unsigned severity,
		    const char *cause, const char *summary)
{
	char subject[80];
	struct tr_alert what = { .kind = kind, .subject = subject_of(tr_agent_at(f, no), subject), .severity = severity,
				 .cause = cause, .summary = tr_view_str(summary), .action = tr_alert_action(kind) };

	tr_alerts_raise(f->alerts, now->ms, &what);
}

void tr_agent_alert_over(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const char *kind, const char *why)
{
	char subject[80];

	tr_alerts_resolve(f->alerts, now->ms, kind, subject_of(tr_agent_at(f, no), subject), why);
}

/* ---- agents ---- */

uint32_t tr_fleet_add(struct tr_fleet *f, const struct tr_instant *now, struct tr_view id, struct tr_view partition,
		      const uint8_t key_id[32], struct tr_view good_hash, uint32_t epoch, bool active,
		      const struct tr_pulse_row *row)
{
	struct tr_fleet_agent *a = id.n <= 64 && f->n < UINT32_MAX - 1 ? new_place(f) : NULL;
	const char *name = a ? keep_name(f, id) : NULL;
	uint32_t no = f->n;

	if (!name)
		return TR_NO_AGENT;
	*a = (struct tr_fleet_agent){ .id = name, .epoch = epoch, .active = active, .first_ms = now->ms };
	memcpy(a->key_id, key_id, sizeof(a->key_id));
	a->partition = partition_of(f, partition);
	a->interval_s = (uint16_t)f->cfg.interval_s;
	a->loss_ppm = 1000;
	a->good = tr_intern(f->values, good_hash);
	if ((good_hash.n && !a->good) || (partition.n && !a->partition))
		return TR_NO_AGENT;
	for (unsigned i = 0; i < 6; i++)
		a->since[i] = (uint32_t)(now->ms / 1000);
	if (row && row->epoch == epoch)
		tr_row_take(f, a, row);
	if (!active)
		a->axes.auth = TR_AUTH_REVOKED;
	else if (a->axes.auth == TR_AUTH_REVOKED)
		a->axes.auth = TR_AUTH_UNKNOWN;
	f->n++;
	a->verdict = (uint8_t)tr_verdict_fold(&a->axes);
	f->stats.by_verdict[a->verdict]++;
	if (active) {
		f->active++;
		f->stats.by_reach[a->axes.reach]++;
	}
	tr_live_recount(f, no);
	return no;
}

void tr_fleet_loaded(struct tr_fleet *f, const struct tr_instant *now)
{
	f->amnesty_ms = now->ms;
	tr_adoption_recount(f);
	f->loaded = true;
}

/* Of every kind: what is not open, or never is about an agent, is not there to end. */
static void alerts_over(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const char *why)
{
	size_t n;
	const struct tr_alert_kind *kinds = tr_alert_kinds(&n);

	for (size_t i = 0; i < n; i++)
		tr_agent_alert_over(f, now, no, kinds[i].slug, why);
}

void tr_fleet_end(struct tr_fleet *f, const struct tr_instant *now, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a || !a->active)
		return;
	f->active--;
	f->stats.by_reach[a->axes.reach]--;
	a->active = false;
	tr_adoption_forget(f, a);
	tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_REVOKED);
	tr_live_recount(f, no);
	alerts_over(f, now, no, "the agent was revoked or removed");
}

static void forget_chain(struct tr_fleet *f, struct tr_fleet_agent *a)
{
	free(a->stray);
	a->stray = NULL;
	memset(a->head, 0, sizeof(a->head));
	memset(a->head_prev, 0, sizeof(a->head_prev));
	memset(a->start_id, 0, sizeof(a->start_id));
	memset(a->boot_id, 0, sizeof(a->boot_id));
	a->seq = 0;
	a->bootcount = 0;
	a->last_ms = a->wall_good_ms = 0;
	a->notice = 0;
	a->notice_until_s = a->expected_until_s = 0;
	a->lsm_good = 0;
	a->old_key_s = 0;
	a->skew_strikes = a->skew_flips = 0;
	a->heard = false;
	forget_list(&a->bpf_list);
	forget_list(&a->findings);
	/* What ran before is no excuse for what runs then: the next pulse tells, even if it is the same again. */
	tr_intern_set(f->values, &a->running, tr_view(NULL, 0));
	tr_intern_set(f->values, &a->expected, tr_view(NULL, 0));
	tr_intern_set(f->values, &a->bpf, tr_view(NULL, 0));
	tr_intern_set(f->values, &a->bpf_good, tr_view(NULL, 0));
}

void tr_fleet_reset(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const uint8_t key_id[32],
		    struct tr_view good_hash, uint32_t epoch)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a)
		return;
	if (!a->active) {
		a->active = true;
		f->active++;
		f->stats.by_reach[a->axes.reach]++;
	}
	forget_chain(f, a);
	tr_adoption_forget(f, a);
	memcpy(a->key_id, key_id, sizeof(a->key_id));
	a->epoch = epoch;
	a->first_ms = now->ms;
	tr_intern_set(f->values, &a->good, good_hash);
	/* Authenticity last: from forked to pending, and nothing in between. */
	tr_axis_set(f, now, no, TR_AXIS_REACH, TR_REACH_NEVER);
	tr_axis_set(f, now, no, TR_AXIS_INTEGRITY, TR_INTEGRITY_UNKNOWN);
	tr_axis_set(f, now, no, TR_AXIS_CLOCK, TR_CLOCK_UNKNOWN);
	tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_UNKNOWN);
	a->dirty = true;
	tr_live_recount(f, no);
	alerts_over(f, now, no, "the identity was reset and the agent enrolled again");
}

void tr_fleet_rekey(struct tr_fleet *f, uint32_t no, const uint8_t key_id[32])
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (a)
		memcpy(a->key_id, key_id, sizeof(a->key_id));
}

void tr_fleet_move(struct tr_fleet *f, uint32_t no, struct tr_view partition)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	bool active;

	if (!a || tr_view_is(partition, f->partitions[a->partition].name))
		return;
	/* Out of the old one's counts, into the new one's. */
	active = a->active;
	a->active = false;
	tr_live_recount(f, no);
	a->partition = partition_of(f, partition);
	a->active = active;
	tr_live_recount(f, no);
}

const struct tr_fleet_agent *tr_fleet_agent(const struct tr_fleet *f, uint32_t no)
{
	return tr_agent_at(f, no);
}

void tr_fleet_soon(const struct tr_fleet *f, uint32_t no, bool again)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a)
		return;
	if (again) {
		__builtin_prefetch(a->id);
		tr_intern_soon(f->values, a->source);
		return;
	}
	for (size_t at = 0; at < sizeof(*a); at += 64)
		__builtin_prefetch((const char *)a + at, 1);
}

uint32_t tr_fleet_count(const struct tr_fleet *f)
{
	return f->n;
}

struct tr_view tr_fleet_value(const struct tr_fleet *f, uint32_t interned)
{
	return tr_interned(f->values, interned);
}

struct tr_view tr_fleet_partition(const struct tr_fleet *f, uint16_t partition)
{
	return tr_view_str(partition < f->n_partitions ? f->partitions[partition].name : "");
}

struct tr_alerts *tr_fleet_alerts(struct tr_fleet *f)
{
	return f->alerts;
}

void tr_fleet_want_bpf_list(struct tr_fleet *f, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (a)
		a->want_bpf_list = true;
}

void tr_fleet_maintenance(struct tr_fleet *f, const struct tr_maintenance_row *rows, size_t n)
{
	struct tr_window *w = n ? calloc(n, sizeof(*w)) : NULL;

	if (n && !w) {
		tr_log(TR_LOG_ERROR, "out_of_memory", "what", "maintenance", NULL);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		w[i].scope = rows[i].scope.n ? (char)rows[i].scope.p[0] : 'f';
		(void)snprintf(w[i].target, sizeof(w[i].target), "%.*s", TR_VIEW_FMT(rows[i].target));
		w[i].from_ms = rows[i].from_at;
		w[i].until_ms = rows[i].ended_at ? rows[i].ended_at : rows[i].until_at;
	}
	free(f->windows);
	f->windows = w;
	f->n_windows = n;
}

/* ---- an operator's word ---- */

void tr_fleet_expect(struct tr_fleet *f, const struct tr_instant *now, uint32_t no, const uint8_t hash[32], int64_t until_ms)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);

	if (!a)
		return;
	tr_intern_set(f->values, &a->expected, tr_view(hash, 32));
	a->expected_until_s = (uint32_t)(until_ms / 1000);
	a->dirty = true;
	tr_axis_set(f, now, no, TR_AXIS_UPDATING, TR_UPDATING_ORDERED);
}

void tr_fleet_accept(struct tr_fleet *f, const struct tr_instant *now, uint32_t no)
{
	struct tr_fleet_agent *a = tr_agent_at(f, no);
	static const char why[] = "an operator accepted the present state";
	static const char *const over[] = { "binary_changed", "bpf_changed", "lsm_down", "restored" };

	if (!a || !a->active || !a->running)
		return;
	tr_intern_set(f->values, &a->good, tr_fleet_value(f, a->running));
	tr_intern_set(f->values, &a->expected, tr_view(NULL, 0));
	tr_bpf_accept(f, no);
	a->lsm_good = a->lsm;
	a->dirty = true;
	if (a->axes.auth == TR_AUTH_RESTORED)
		tr_axis_set(f, now, no, TR_AXIS_AUTH, TR_AUTH_OK);
	tr_axis_set(f, now, no, TR_AXIS_INTEGRITY, TR_INTEGRITY_OK);
	tr_axis_set(f, now, no, TR_AXIS_UPDATING, TR_UPDATING_NONE);
	for (size_t i = 0; i < TR_ARRAY_LEN(over); i++)
		tr_agent_alert_over(f, now, no, over[i], why);
}

/* ---- what is told ---- */

void tr_fleet_stats(const struct tr_fleet *f, struct tr_fleet_stats *ret)
{
	*ret = f->stats;
	ret->incidents_open = 0;
	for (uint16_t i = 0; i < f->n_partitions; i++)
		ret->incidents_open += f->partitions[i].incident;
	ret->bytes = (size_t)f->n * sizeof(struct tr_fleet_agent) + tr_intern_bytes(f->values);
	ret->bytes_names = f->name_bytes;
}

const char *tr_event_name(enum tr_event_kind k)
{
	static const char *const names[TR_EV_N] = {
		[TR_EV_VERDICT] = "verdict_changed",
		[TR_EV_REPLAY] = "replay",
		[TR_EV_BAD_SIGNATURE] = "bad_signature",
		[TR_EV_WRONG_AGENT] = "wrong_agent",
		[TR_EV_WRONG_PARTITION] = "wrong_partition",
		[TR_EV_RELAYED] = "relayed",
		[TR_EV_MALFORMED] = "malformed_pulse",
		[TR_EV_CHAIN_CONFLICT] = "chain_conflict",
		[TR_EV_FORKED] = "forked",
		[TR_EV_RESTORED] = "restored",
		[TR_EV_BINARY_CHANGED] = "binary_changed",
		[TR_EV_BPF_CHANGED] = "bpf_changed",
		[TR_EV_LSM_CHANGED] = "lsm_changed",
		[TR_EV_RESTARTED] = "restarted",
		[TR_EV_REBOOTED] = "rebooted",
		[TR_EV_NOTICE] = "notice",
		[TR_EV_PARTITION_SILENT] = "partition_silent",
		[TR_EV_PARTITION_BACK] = "partition_back",
		[TR_EV_AMNESTY] = "amnesty",
		[TR_EV_FRONT_LIED] = "front_lied",
		[TR_EV_KEY_RENEWED] = "key_renewed",
		[TR_EV_QUARANTINED_SPOKE] = "quarantined_spoke",
		[TR_EV_OLD_KEY] = "old_key",
		[TR_EV_KEYSET_PUBLISHED] = "keyset_published",
		[TR_EV_KEY_STATE] = "key_state_changed",
		[TR_EV_COMMAND_REFUSED] = "command_refused",
		[TR_EV_COMMAND_FOREIGN] = "command_foreign",
		[TR_EV_COMMAND_REPLAYED] = "command_replayed",
		[TR_EV_COMMAND_EXPIRED] = "command_expired",
		[TR_EV_COMMAND_UNKNOWN] = "command_unknown",
		[TR_EV_COMMAND_GAP] = "command_gap",
		[TR_EV_APPROVAL_REFUSED] = "approval_refused",
		[TR_EV_REGISTERED] = "agent_registration_success",
		[TR_EV_REGISTRATION_REFUSED] = "agent_registration_failure",
		[TR_EV_EVIDENCE_REFUSED] = "attestation_verification_failed",
		[TR_EV_ATTESTATION_EXPIRED] = "attestation_expired",
		[TR_EV_TPM_CLONED] = "tpm_cloned",
		[TR_EV_DISCOVERY_REFUSED] = "discovery_refused",
		[TR_EV_MESSAGE_REFUSED] = "message_refused",
	};

	return k < TR_EV_N ? names[k] : "unknown";
}
