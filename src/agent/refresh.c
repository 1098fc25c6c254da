/* SPDX-License-Identifier: Apache-2.0 */
/* Follows the keyset over the connection to a server that was verified. */
#include "agent/runner.h"

#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define STRANGER_EVERY_MS 60000
#define KEEP_MS 60000 /* a confirmation this much later than the stored one is worth a write */

static TR_RC fetch_over(struct tr_client *client, uint64_t after, int64_t verify_time_ms,
			struct tr_client_answer *ret, struct tr_err *err)
{
	char path[64];
	const struct tr_client_request req = { .method = "GET",
					       .path = path,
					       .verify_time_ms = verify_time_ms };
	enum tr_code rc;

	(void)snprintf(path, sizeof(path), "/api/v1/keyset/chain?after=%llu", (unsigned long long)after);
	rc = tr_signals_do(client, &req, ret, err);
	if (!rc && ret->status != 200)
		rc = tr_err_set(err, ret->status == 404 ? TR_E_NOTFOUND : TR_E_UNAVAIL,
				"the server does not give its chain of keysets", "status %d", ret->status);
	return rc;
}

static TR_RC fetch(struct tr_runner *r, uint64_t after, struct tr_client_answer *ret, struct tr_err *err)
{
	int64_t at = tr_link_verify_ms(&r->link, &r->pulser.chain.time);
	enum tr_code rc = fetch_over(r->link.client, after, at, ret, err);

	if (rc && !ret->status)
		tr_link_close(&r->link); /* what broke is not used again */
	return rc;
}

/* The servers' certificates are checked against other CAs from now on, and the present connection, too. */
static void moved(struct tr_runner *r)
{
	tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
	struct tr_err err = { 0 };

	r->pulser.keyset_epoch = r->authority.walk.keyset.epoch;
	tr_log(TR_LOG_INFO, "keyset_updated", "epoch",
	       tr_fmt("%llu", (unsigned long long)r->pulser.keyset_epoch), "revocation",
	       tr_fmt("%llu", (unsigned long long)r->authority.walk.keyset.revocation_number), NULL);
	if (tr_state_read(&r->state, "ca.pem", 65536, &ca, &err)) {
		tr_log_err(TR_LOG_ERROR, "ca_not_read", &err, NULL);
		return;
	}
	if (tr_view_eq(tr_buf_view(&ca), tr_buf_view(&r->link.ca_pem)))
		return;
	tr_buf_done(&r->link.ca_pem);
	r->link.ca_pem = ca;
	ca = TR_BUF_INIT;
	tr_link_close(&r->link);
	r->pulse_now = true; /* which opens another */
}

static TR_RC walk(struct tr_runner *r, struct tr_err *err)
{
	struct tr_authority *a = &r->authority;
	bool any = false;
	enum tr_code rc = TR_OK;

	tr_authority_begin(a);
	for (size_t n = 1; n && !rc && r->link.client;) {
		tr_auto(tr_client_answer_done) struct tr_client_answer got = { 0 };
		bool step = false;

		rc = fetch(r, tr_authority_after(a), &got, err);
		if (!rc)
			rc = tr_authority_take(&r->state, a, tr_buf_view(&got.body), tr_run_now_ms(r), &n,
					       &step, err);
		any = any || step;
	}
	if (any)
		moved(r);
	return rc;
}

TR_RC tr_run_refresh(struct tr_runner *r, bool force, struct tr_err *err)
{
	struct tr_authority *a = &r->authority;
	uint64_t mono = tr_mono_ms();
	int64_t now = tr_run_now_ms(r), before = a->refreshed_ms;
	enum tr_code rc;

	if (!r->link.client)
		return tr_err_set(err, TR_E_UNAVAIL, "no server is connected", "keyset");
	if (!force && mono < a->not_before_mono)
		return tr_err_set(err, TR_E_BUSY, "the keyset was asked for a moment ago", "keyset");
	rc = walk(r, err);
	if (rc) {
		a->failures++;
		a->not_before_mono =
			mono + (rc == TR_E_NOTFOUND
					? (uint64_t)TR_AUTHORITY_EVERY_MS
					: tr_backoff_ms(a->failures + 2, TR_BACKOFF_CAP_MS, tr_random32()));
		return tr_err_wrap(err, "keyset");
	}
	a->failures = 0;
	a->not_before_mono = 0;
	a->refreshed_ms = now;
	/* A server that speaks of an epoch which it does not give is not asked with every pulse. */
	if (a->walk.has && a->told_epoch > a->walk.keyset.epoch) {
		tr_log(TR_LOG_WARN, "keyset_not_given", "told",
		       tr_fmt("%llu", (unsigned long long)a->told_epoch), "have",
		       tr_fmt("%llu", (unsigned long long)a->walk.keyset.epoch), NULL);
		a->told_epoch = 0;
		a->not_before_mono = mono + TR_BACKOFF_CAP_MS;
	}
	if ((now < before || now - before >= KEEP_MS) && tr_authority_save(&r->state, a, err))
		tr_log_err(TR_LOG_WARN, "authority_not_written", err, NULL);
	return TR_OK;
}

bool tr_run_refresh_from_stranger(struct tr_runner *r, const char *url)
{
	tr_auto(tr_client_free) struct tr_client *client = NULL;
	const struct tr_client_config config = {
		.base_url = url,
		/* No CA and no key: nothing is proven or told on this connection. */
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_AGENT_CHAIN_MAX,
		.cancel = tr_signals_stop(),
	};
	uint64_t mono = tr_mono_ms();
	struct tr_err err = { 0 };
	bool any = false;

	if (r->stranger_asked_ms && mono - r->stranger_asked_ms < STRANGER_EVERY_MS)
		return false;
	r->stranger_asked_ms = mono ? mono : 1;
	if (tr_client_new(&config, &client, &err))
		return false;
	tr_authority_begin(&r->authority);
	/* It may hold newer ones back, so its word confirms nothing: only steps count. */
	for (size_t n = 1; n;) {
		tr_auto(tr_client_answer_done) struct tr_client_answer got = { 0 };
		bool step = false;

		if (fetch_over(client, tr_authority_after(&r->authority), 0, &got, &err) ||
		    tr_authority_take(&r->state, &r->authority, tr_buf_view(&got.body), tr_run_now_ms(r), &n,
				      &step, &err))
			n = 0;
		any = any || step;
	}
	if (any)
		moved(r);
	return any;
}

void tr_run_refresh_if_due(struct tr_runner *r)
{
	struct tr_authority *a = &r->authority;
	struct tr_err err = { 0 };
	bool stale;

	if (r->last.keyset_epoch > a->told_epoch)
		a->told_epoch = r->last.keyset_epoch;
	if (r->link.client && tr_authority_is_due(a, tr_run_now_ms(r), tr_mono_ms(), r->spread) &&
	    tr_run_refresh(r, false, &err))
		tr_log_err(TR_LOG_WARN, "keyset_not_refreshed", &err, "server", r->link.url, NULL);
	stale = tr_authority_is_stale(a, tr_run_now_ms(r), r->state.conf.stale_key_hours);
	if (stale != r->stale)
		tr_log(stale ? TR_LOG_ERROR : TR_LOG_INFO, stale ? "keyset_stale" : "keyset_fresh", "hint",
		       stale ? "nothing but reads is obeyed until a server confirms the keyset" : "", NULL);
	r->stale = stale;
}
