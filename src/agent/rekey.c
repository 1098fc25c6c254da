/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/runner.h"

#include "agent/backoff.h"
#include "agent/renew.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/text.h"

/* A server that says "renew" all the time is not obeyed more often. */
#define RENEW_AGAIN_MS UINT64_C(10000)
#define DAY_MS INT64_C(86400000)

int64_t tr_run_now_ms(const struct tr_runner *r)
{
	int64_t ns = tr_clock_known_ns(&r->pulser.chain.time, tr_boot_ns());

	if (!ns)
		ns = tr_clock_effective_ns(tr_now_ns(), &r->pulser.chain.time, tr_boot_ns(),
					   tr_clock_build_ns());
	return ns / 1000000;
}

void tr_run_renew_if_due(struct tr_runner *r)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();
	int status = 0;
	enum tr_code rc;

	if (r->next.key || mono < r->renew_not_before ||
	    (!r->renew_told && tr_run_now_ms(r) < r->renew_due_ms))
		return;
	/* Signals stay out: a certificate that the server has issued should also reach the disk. */
	rc = tr_agent_renew(r->link.client, &r->state, r->state.key, "cert.pem", tr_buf_view(&r->link.ca_pem),
			    &status, &err);
	if (!rc)
		rc = tr_run_load_cert(r, &err);
	if (rc) {
		r->renew_failures++;
		r->renew_not_before =
			mono + tr_backoff_ms(r->renew_failures + 2, TR_BACKOFF_CAP_MS, tr_random32());
		tr_log_err(TR_LOG_ERROR, "renew_failed", &err, "server", r->link.url, "status",
			   tr_fmt("%d", status), NULL);
		return;
	}
	r->renew_failures = 0;
	r->renew_not_before = mono + RENEW_AGAIN_MS;
	tr_link_close(&r->link); /* the next pulse presents the new certificate */
	tr_log(TR_LOG_INFO, "certificate_renewed", "server", r->link.url, NULL);
}

static bool rotation_is_due(const struct tr_runner *r)
{
	const struct tr_agent_conf *c = &r->state.conf;
	int64_t since = c->key_since ? c->key_since : c->created_at, days = (int64_t)c->rotate_key_days;

	if (r->rotate_asked)
		return true;
	/* Up to a twentieth later, so that agents set up together do not rotate together. */
	return days > 0 && days < 36500 &&
	       tr_run_now_ms(r) >= since + days * DAY_MS + days * (DAY_MS / 20) * (r->spread % 1000) / 1000;
}

void tr_run_finish_request(struct tr_runner *r, enum tr_request_kind kind)
{
	if (r->request.kind != kind)
		return;
	r->request = (struct tr_request){ 0 };
	tr_request_drop(&r->state);
}

bool tr_run_rotate_if_due(struct tr_runner *r)
{
	struct tr_err err = { 0 };
	uint64_t mono = tr_mono_ms();
	int status = 0;
	enum tr_code rc;

	if (r->next.key || !r->link.client || !rotation_is_due(r) ||
	    (!r->rotate_asked && mono < r->rotate_not_before))
		return false;
	r->rotate_asked = false;
	r->rotate_not_before = mono + TR_BACKOFF_CAP_MS;
	rc = tr_rotate_begin(&r->state, &r->next, &err);
	if (!rc)
		rc = tr_agent_renew(r->link.client, &r->state, r->next.key, TR_NEXT_CERT,
				    tr_buf_view(&r->link.ca_pem), &status, &err);
	if (!rc)
		rc = tr_state_read(&r->state, TR_NEXT_CERT, 16384, &r->next.cert_pem, &err);
	if (rc) {
		tr_log_err(TR_LOG_ERROR, "key_not_rotated", &err, "status", tr_fmt("%d", status), NULL);
		tr_rotate_drop(&r->state, &r->next);
		tr_run_finish_request(r, TR_REQUEST_ROTATE);
		return false;
	}
	r->use_next = true;
	tr_link_close(&r->link);
	tr_log(TR_LOG_INFO, "key_certified", "server", r->link.url, NULL);
	return true;
}

void tr_run_settle_rotation(struct tr_runner *r)
{
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (!r->next.key)
		return;
	if (!r->use_next) {
		/* It was refused, and the old one was taken. */
		tr_log(TR_LOG_WARN, "key_not_rotated", "detail", "the server does not know the next key",
		       NULL);
		tr_rotate_drop(&r->state, &r->next);
	} else if (tr_rotate_finish(&r->state, &r->next, &err) || tr_run_load_cert(r, &err)) {
		/* The pair stays where it is, and in use: the next start finishes what is missing. */
		tr_log_err(TR_LOG_ERROR, "key_not_stored", &err, NULL);
		return;
	} else {
		tr_hex_add(&id, tr_view(tr_pubkey_id(tr_privkey_pub(r->state.key)), 32));
		tr_log(TR_LOG_INFO, "key_rotated", "key_id", tr_buf_cstr(&id), NULL);
	}
	r->use_next = false;
	tr_run_finish_request(r, TR_REQUEST_ROTATE);
}

bool tr_run_other_key(struct tr_runner *r)
{
	if (!r->next.key || !tr_outcome_is_key(r->last.status, r->last.why.code))
		return false;
	r->use_next = !r->use_next;
	tr_link_close(&r->link);
	return true;
}
