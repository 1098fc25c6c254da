/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet follows the registry: who is in the table of agents is a member, from the moment the row is durable. */
#include "server/core.h"
#include "server/deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/text.h"

#define TICKET_KEY "pulse.ticket_key"
/* An image that was admitted again may be seen by pulses from now on, until then. */
#define ADMITTED_MS 3600000

struct tr_instant tr_core_now(const struct tr_core *c)
{
	int64_t wall_ns = tr_now_ns();

	return (struct tr_instant){ .ms = tr_steady_ms(c->steady, wall_ns / 1000000, tr_mono_ms()), .wall_ns = wall_ns,
				    .clock_trusted = c->clock_trusted };
}

/* ---- start ---- */

/* What one node asks may be answered to another: their challenges come from the key that they share already. */
static void share_challenges(struct tr_core *c)
{
	uint8_t in[22 + TR_TICKET_KEY_LEN] = "troth/node-challenge/1";

	memcpy(in + 22, c->ticket_key, TR_TICKET_KEY_LEN);
	if (c->shared)
		tr_sha256(TR_VIEW_ARRAY(in), c->challenge_key);
	tr_wipe(in, sizeof(in));
}

TR_RC tr_core_make_fleet(struct tr_core *c, struct tr_err *err)
{
	struct tr_view key = tr_setting(c, TICKET_KEY);
	struct tr_instant now = tr_core_now(c);
	struct tr_fleet_config cfg = {
		.interval_s = c->cfg->heartbeat_seconds,
		.keyset_epoch = c->keyset_epoch,
		.escalate_s = c->cfg->alerts->escalate_minutes * 60,
		.self = c->self,
	};
	struct tr_fleet_sink sink = { .event = tr_effects_event, .alert = tr_effects_alert, .bpf_ref = tr_effects_bpf_ref };

	c->ticket_kept = key.n == 64 && tr_hex_get(key, c->ticket_key, sizeof(c->ticket_key));
	if (!c->ticket_kept)
		tr_random(c->ticket_key, sizeof(c->ticket_key));
	share_challenges(c);
	memcpy(cfg.ticket_key, c->ticket_key, sizeof(cfg.ticket_key));
	tr_random(&cfg.run, sizeof(cfg.run));
	c->effects = tr_effects_new(c);
	c->writes = calloc(1, sizeof(*c->writes));
	sink.arg = c->effects;
	c->fleet = tr_fleet_new(&cfg, &sink, &now);
	if (!c->effects || !c->writes || !c->fleet)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "fleet");
	return TR_OK;
}

static void ticket_key_kept(void *arg, enum tr_code rc, const char *why)
{
	struct tr_core *c = arg;

	c->ticket_keeping = false;
	c->ticket_kept |= rc == TR_OK;
	if (rc && !c->ticket_kept)
		tr_log(TR_LOG_ERROR, "ticket_key_not_stored", "why", why, NULL);
	else
		tr_core_tell_ready(c);
}

void tr_core_take_ticket_key(struct tr_core *c)
{
	struct tr_view key = tr_setting(c, TICKET_KEY);
	uint8_t bytes[TR_TICKET_KEY_LEN];

	if (key.n != 64 || !tr_hex_get(key, bytes, sizeof(bytes)) || memcmp(bytes, c->ticket_key, sizeof(bytes)) == 0)
		return;
	memcpy(c->ticket_key, bytes, sizeof(bytes));
	share_challenges(c);
	tr_fleet_ticket_key(c->fleet, bytes);
	c->ticket_kept = true;
	tr_core_tell_ready(c);
}

void tr_core_keep_ticket_key(struct tr_core *c)
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	struct tr_setting_row row = { .name = TR_VIEW_LIT(TICKET_KEY), .updated_at = tr_now_ms(),
				      .updated_by = TR_VIEW_LIT("system") };
	struct tr_tx *tx;

	if (c->ticket_kept || c->ticket_keeping)
		return;
	tr_hex_add(&hex, TR_VIEW_ARRAY(c->ticket_key));
	row.value = tr_buf_view(&hex);
	tx = tr_tx_new(c);
	/* Not over one that another node has stored meanwhile; over one that is damaged. */
	tr_tx_add(tx, tr_setting(c, TICKET_KEY).n ? TR_OP_PUT : TR_OP_INSERT, TR_T_SETTING, &row);
	c->ticket_keeping = true;
	tr_tx_commit(tx, ticket_key_kept, c);
}

static const uint8_t *key_or_zeros(struct tr_view key)
{
	static const uint8_t zeros[32];

	return key.n == 32 ? key.p : zeros;
}

bool tr_core_join(struct tr_core *c, struct tr_item *i, const struct tr_pulse_row *row)
{
	const struct tr_agent_row *a = TR_ROW(&c->agents, i);
	struct tr_instant now = tr_core_now(c);
	struct tr_pulse_row heard;

	if (row) {
		heard = *row;
		/* Written by a clock that was ahead of ours: nobody is heard in the future. */
		if (heard.last_seen > now.ms)
			heard.last_seen = now.ms;
	}
	i->no = tr_fleet_add(c->fleet, &now, a->id, a->partition, key_or_zeros(a->key_id), a->binary_hash,
			     (uint32_t)a->epoch, tr_view_is(a->state, "active"), row ? &heard : NULL);
	return i->no != TR_NO_AGENT;
}

/* Rows borrow from their rooms, so both live until the fleet has taken what it keeps. */
bool tr_core_tell_bpf_refs(struct tr_core *c)
{
	size_t n = 0, most = c->bpf_refs.n;
	struct tr_row_room *rooms = most ? calloc(most, sizeof(*rooms)) : NULL;
	struct tr_bpf_ref_row *rows = most ? calloc(most, sizeof(*rows)) : NULL;

	for (size_t k = 0; rooms && rows && k < tr_table_end(&c->bpf_refs) && n < most; k++) {
		const struct tr_bpf_ref_row *row = tr_item_row(&c->bpf_refs, tr_table_at(&c->bpf_refs, k), &rooms[n]);

		if (row)
			rows[n++] = *row;
	}
	tr_fleet_bpf_refs(c->fleet, rows, n);
	free(rooms);
	free(rows);
	return n == most;
}

void tr_core_tell_releases(struct tr_core *c)
{
	struct tr_row_room *rooms = c->releases.n ? calloc(c->releases.n, sizeof(*rooms)) : NULL;
	struct tr_release_row *rows = c->releases.n ? calloc(c->releases.n, sizeof(*rows)) : NULL;
	const struct tr_item *i;
	size_t n = 0;

	if (!c->fleet || (c->releases.n && (!rooms || !rows))) {
		tr_log(TR_LOG_ERROR, "releases_not_told", "why", "out of memory", NULL);
	} else {
		TR_EACH_ITEM(&c->releases, i) {
			const struct tr_release_row *row = n < c->releases.n ? tr_item_row(&c->releases, i, &rooms[n]) : NULL;

			/* A stolen key's word about programs counts no more than its word about images. */
			if (row && row->bpf.n && !row->withdrawn_at && tr_release_vouched(c, row))
				rows[n++] = *row;
		}
		tr_fleet_releases(c->fleet, rows, n);
	}
	free(rooms);
	free(rows);
}

bool tr_core_fleet_loaded(struct tr_core *c)
{
	struct tr_instant now = tr_core_now(c);
	struct tr_item *i;

	TR_EACH_ITEM(&c->agents, i)
		if (i->no == TR_NO_AGENT && !tr_core_join(c, i, NULL))
			return false;
	tr_core_tell_maintenance(c);
	tr_core_tell_bpf_refs(c);
	tr_core_tell_releases(c);
	tr_fleet_loaded(c->fleet, &now);
	return true;
}

/* ---- afterwards ---- */

void tr_core_follow_begin(const struct tr_core *c, struct tr_view id, struct tr_follow *ret)
{
	const struct tr_agent_row *row = TR_ROW(&c->agents, tr_table_get(&c->agents, id));

	*ret = (struct tr_follow){ .known = row != NULL };
	if (!row)
		return;
	ret->active = tr_view_is(row->state, "active");
	ret->epoch = row->epoch;
	memcpy(ret->key_id, key_or_zeros(row->key_id), 32);
	memcpy(ret->hash, key_or_zeros(row->binary_hash), 32);
}

bool tr_core_follow(struct tr_core *c, struct tr_item *i, const struct tr_follow *was)
{
	const struct tr_agent_row *row = TR_ROW(&c->agents, i);
	struct tr_instant now = tr_core_now(c);
	bool active = tr_view_is(row->state, "active");
	const uint8_t *key_id = key_or_zeros(row->key_id);

	if (!was->known)
		return tr_core_join(c, i, NULL);
	if (!active) {
		if (was->active)
			tr_fleet_end(c->fleet, &now, i->no);
		tr_deliver_end(c, i->no);
		return true;
	}
	tr_fleet_move(c->fleet, i->no, row->partition);
	if (!was->active || was->epoch != row->epoch) {
		tr_fleet_reset(c->fleet, &now, i->no, key_id, row->binary_hash, (uint32_t)row->epoch);
		tr_deliver_end(c, i->no);
		tr_orders_reset(c, i->no);
		return true;
	}
	if (memcmp(was->key_id, key_id, 32) != 0) {
		tr_fleet_rekey(c->fleet, i->no, key_id);
		tr_deliver_end(c, i->no);
	}
	/* The same device enrolled again with another program: its admission is the order for it. */
	if (row->binary_hash.n == 32 && memcmp(was->hash, row->binary_hash.p, 32) != 0)
		tr_fleet_expect(c->fleet, &now, i->no, row->binary_hash.p, now.ms + ADMITTED_MS);
	return true;
}
