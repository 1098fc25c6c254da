/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/runner.h"

#include "agent/eye.h"
#include "agent/renew.h"
#include "base/log.h"
#include "codec/pem.h"

TR_RC tr_run_load_cert(struct tr_runner *r, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, der = TR_BUF_INIT, ca = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view label, rest;
	enum tr_code rc;

	if (!r->state.conf.enrolled_at)
		return tr_err_set(err, TR_E_NOTFOUND,
				  "this agent is not enrolled; run `troth-agent enroll` first", "%s",
				  r->state.dir);
	rc = tr_state_read(&r->state, "cert.pem", 16384, &pem, err);
	if (!rc)
		rc = tr_state_read(&r->state, "ca.pem", 65536, &ca, err);
	if (!rc)
		rc = tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err);
	if (!rc)
		rc = tr_cert_parse(tr_buf_view(&der), &cert, err);
	if (rc)
		return tr_err_wrap(err, "certificate");
	if (!tr_cert_key(cert) ||
	    memcmp(tr_pubkey_id(tr_cert_key(cert)), tr_pubkey_id(tr_privkey_pub(r->state.key)), 32) != 0)
		return tr_err_set(err, TR_E_CONFLICT, "cert.pem is not the certificate of this device key",
				  "%s", r->state.dir);
	r->renew_due_ms =
		tr_renew_due_ms(tr_cert_not_before_ms(cert), tr_cert_not_after_ms(cert), tr_random32());
	tr_buf_done(&r->cert_pem);
	r->cert_pem = pem;
	pem = TR_BUF_INIT;
	tr_buf_done(&r->link.ca_pem);
	r->link.ca_pem = ca;
	ca = TR_BUF_INIT;
	return TR_OK;
}

TR_RC tr_run_open_eye(struct tr_runner *r, struct tr_err *err)
{
	r->pulser.eye = tr_bpf_eye_free(r->pulser.eye);
	return tr_agent_eye(r->state.conf.bpf_dirs, r->state.conf.bpf_content, &r->pulser.eye, err);
}

void tr_run_reload(struct tr_runner *r)
{
	struct tr_state fresh = TR_STATE_INIT, old = r->state;
	struct tr_err err = { 0 };
	int lock;

	if (tr_state_open(r->state.dir, &fresh, &err) || tr_state_load(&fresh, &err)) {
		tr_log_err(TR_LOG_ERROR, "reload_failed", &err, NULL);
		tr_state_done(&fresh);
		return;
	}
	/* The lock lives in the old descriptor. */
	lock = old.dir_fd;
	old.dir_fd = fresh.dir_fd;
	fresh.dir_fd = lock;
	r->state = fresh;
	if (tr_run_load_cert(r, &err)) {
		tr_log_err(TR_LOG_ERROR, "reload_failed", &err, NULL);
		fresh.dir_fd = old.dir_fd;
		old.dir_fd = lock;
		r->state = old;
		tr_state_done(&fresh);
		return;
	}
	/* What is pinned in the folder of BPF is opened once and kept: only another setting opens it again.
	 */
	if ((!tr_view_eq(old.conf.bpf_dirs, r->state.conf.bpf_dirs) ||
	     !tr_view_eq(old.conf.bpf_content, r->state.conf.bpf_content)) &&
	    tr_run_open_eye(r, &err))
		tr_log_err(TR_LOG_ERROR, "bpf_setting_invalid", &err, "hint", err.pub, NULL);
	tr_run_open_attest(r);
	tr_state_done(&old);
	tr_link_close(&r->link);
	tr_log(TR_LOG_INFO, "reloaded", "servers", tr_fmt_view(r->state.conf.servers), NULL);
}
