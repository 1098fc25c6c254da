/* SPDX-License-Identifier: Apache-2.0 */
#include "server/attest.h"
#include "server/authority.h"
#include "server/hub.h"
#include "server/orders.h"

#include "base/clock.h"
#include "codec/text.h"

#define OLD_KEY_MS (90LL * 24 * 3600 * 1000) /* BA-7: warn at 90 days */

void tr_api_livez(struct tr_core *c, struct tr_req *r)
{
	(void)c;
	tr_req_answer(r, 200, TR_CT_TEXT, TR_VIEW_LIT("ok\n"));
}

/* Ready means: an agent could be admitted now. Each part is named, so that one look says what is missing. */
void tr_api_readyz(struct tr_core *c, struct tr_req *r)
{
	const struct {
		const char *name;
		bool ok;
	} parts[] = {
		{ "registry", c->loaded && c->seeded },	   { "store", c->store && c->store_ok }, { "store_ro", c->up[TR_UP_STORE_RO] },
		{ "keys", c->up[TR_UP_KEYS] },	   { "appraise", c->up[TR_UP_APPRAISE] },
		{ "token", tr_authority_has_token(c) }, { "tls_certificate", c->tls_not_after > tr_now_ms() },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool all = true;

	for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++)
		all &= parts[i].ok;
	tr_buf_addf(&b, "{\"ready\":%s,\"parts\":{", all ? "true" : "false");
	for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++)
		tr_buf_addf(&b, "%s\"%s\":%s", i ? "," : "", parts[i].name, parts[i].ok ? "true" : "false");
	tr_buf_addf(&b, "},\"clock_synchronised\":%s,\"node\":\"%s\",\"holder\":%s,\"nodes\":%u", c->clock_trusted ? "true" : "false",
		    c->node, tr_core_holds(c) ? "true" : "false", c->nodes);
	/* Nothing that an agent needs: it is told, and does not take the server out of service. */
	tr_buf_addf(&b, ",\"command_key\":%s", tr_authority_command_key(c) ? "true" : "false");
	tr_tee_ready_json(c, &b);
	if (!c->store_ok) {
		tr_buf_adds(&b, ",\"store_problem\":");
		tr_json_put_str(&b, tr_view_str(c->store_why));
	}
	tr_buf_adds(&b, "}");
	tr_req_answer(r, all ? 200 : 503, TR_CT_JSON, tr_buf_view(&b));
}

static void measure_authority(const struct tr_core *c, struct tr_gauges *g, int64_t now)
{
	struct tr_authority_gauges a;

	tr_authority_measure(c, &a);
	g->keyset_epoch = a.epoch;
	g->revocation_number = a.revocation_number;
	g->keyset_seconds_left = (a.expires_ms - now) / 1000;
	g->keys_active = a.keys_active;
	g->keys_unusable = a.keys_unusable;
	g->signed_total = a.signed_total;
	g->sign_failures = a.sign_failures;
	g->command_key = a.command_key;
}

static void measure(const struct tr_core *c, struct tr_gauges *g)
{
	int64_t now = tr_now_ms();
	const struct tr_item *i;

	if (c->fleet) {
		tr_fleet_stats(c->fleet, &g->fleet);
		for (unsigned k = 1; k <= 5; k++)
			g->alerts_open[k] = tr_alerts_open(tr_fleet_alerts(c->fleet), k);
		g->events_waiting = tr_effects_waiting(c->effects);
	}
	for (unsigned k = 0; k < TR_REACH_N; k++)
		g->agents_active += g->fleet.by_reach[k];
	g->agents_live = g->fleet.by_reach[TR_REACH_LIVE];
	g->agents_silent = g->agents_active - g->agents_live;
	g->agents_ended = c->agents.n - g->agents_active;
	for (size_t k = 0; k < TR_FRONTS_MAX; k++)
		g->connections += c->fronts[k].open;
	TR_EACH_ITEM(&c->tokens, i) {
		const struct tr_token_row *t = TR_ROW(&c->tokens, i);

		g->tokens_usable += !t->revoked_at && t->expires_at > now && t->uses < t->max_uses;
	}
	TR_EACH_ITEM(&c->vkeys, i) {
		const struct tr_vkey_row *k = TR_ROW(&c->vkeys, i);

		g->vkeys_old += tr_view_is(k->state, "active") && now - k->added_at > OLD_KEY_MS;
	}
	measure_authority(c, g, now);
	g->tls_seconds_left = (c->tls_not_after - now) / 1000;
	g->uptime_s = (now - c->started_at) / 1000;
	g->store_ok = c->store_ok;
	g->nodes = c->nodes;
	g->holder = tr_core_holds(c);
	g->clock_trusted = c->clock_trusted;
}

void tr_api_metrics(struct tr_core *c, struct tr_req *r)
{
	struct tr_gauges g = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	measure(c, &g);
	tr_metrics_print(&c->metrics, &g, &b);
	tr_orders_print(c, &b);
	tr_tee_metrics(c, &b);
	tr_hub_metrics(c, &b);
	tr_req_answer(r, 200, TR_CT_METRICS, tr_buf_view(&b));
}

void tr_api_version(struct tr_core *c, struct tr_req *r)
{
	(void)c;
	tr_req_answer(r, 200, TR_CT_JSON, TR_VIEW_LIT("{\"name\":\"trothd\",\"version\":\"" TROTH_VERSION "\",\"api\":\"v1\"}"));
}

void tr_api_whoami(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_buf_adds(&b, "{\"actor\":");
	tr_json_put_str(&b, tr_view_str(r->actor));
	tr_buf_adds(&b, ",\"role\":\"admin\",\"trust_domain\":");
	tr_json_put_str(&b, tr_view_str(c->cfg->trust_domain));
	tr_buf_adds(&b, ",\"root_fingerprint\":\"");
	tr_hex_add(&b, TR_VIEW_ARRAY(c->root_pin));
	tr_buf_adds(&b, "\",\"version\":\"" TROTH_VERSION "\"}");
	tr_req_answer(r, 200, TR_CT_JSON, tr_buf_view(&b));
}
