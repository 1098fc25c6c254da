/* SPDX-License-Identifier: Apache-2.0 */
/* From a front's frame to the handler of its route: who asks, and whether core can answer at all. */
#include "server/core.h"
#include "server/attest.h"
#include "server/hub.h"
#include "server/public_keys.h"

#include "base/clock.h"
#include "base/log.h"

bool tr_core_is_operator(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_table_get_alt(&c->operators, r->q.bearer);
	const struct tr_operator_row *op = TR_ROW(&c->operators, i);

	if (!op || op->revoked_at || (op->expires_at && op->expires_at <= tr_now_ms())) {
		tr_req_refuse(r, 401, "operator_token_invalid",
			      "this operator token is unknown, expired or revoked; use the one trothd init wrote, or log in again");
		return false;
	}
	(void)snprintf(r->actor, sizeof(r->actor), "operator:%.*s", TR_VIEW_FMT(op->name));
	return true;
}

static bool find_front(struct tr_core *c, const struct tr_chan *ch, struct tr_req *r)
{
	while (r->front < TR_FRONTS_MAX && c->fronts[r->front].chan != ch)
		r->front++;
	if (r->front == TR_FRONTS_MAX)
		return false;
	r->front_gen = c->fronts[r->front].gen;
	return true;
}

void tr_core_on_pulse(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_req r = { .core = c, .id = f->id, .q.route = TR_RT_PULSE };
	struct tr_msg_pulse m;
	struct tr_err err = { 0 };

	if (!find_front(c, ch, &r))
		return;
	if (tr_record_decode(&tr_msg_pulse_def, f->payload, &m, &err)) {
		tr_log_err(TR_LOG_ERROR, "front_sent_nonsense", &err, NULL);
		return;
	}
	/* No ticket under a key that the store does not have yet: a restart would make it worthless. */
	if (!c->loaded || !c->ticket_kept) {
		tr_req_refuse(&r, 503, "starting", "the server is starting; try again in a second");
		return;
	}
	r.q.source = m.source;
	r.q.agent_id = m.agent_id;
	r.q.key_id = m.key_id;
	r.q.cert_not_before = m.cert_not_before;
	r.q.cert_not_after = m.cert_not_after;
	tr_core_pulse(c, &r, &m);
}

void tr_core_on_request(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_req r = { .core = c, .id = f->id };
	const struct tr_route *route;
	struct tr_err err = { 0 };

	if (!find_front(c, ch, &r))
		return;
	if (tr_record_decode(&tr_msg_request_def, f->payload, &r.q, &err) || r.q.route >= TR_RT_N) {
		tr_log_err(TR_LOG_ERROR, "front_sent_nonsense", &err, NULL);
		return;
	}
	(void)snprintf(r.actor, sizeof(r.actor), "anonymous");
	route = tr_route_by_id((enum tr_route_id)r.q.route);
	/* A verifier without its policy would refuse good agents for good. */
	if ((!c->loaded && r.q.route > TR_RT_VERSION) || (!c->ready_told && r.q.route == TR_RT_REGISTER)) {
		tr_req_refuse(&r, 503, "starting", "the server is starting; try again in a second");
		return;
	}
	if (route->auth == TR_AUTH_OPERATOR && !tr_core_is_operator(c, &r))
		return;
	if (!tr_api[route->id]) {
		tr_req_refuse(&r, 404, "no_such_route", "this server has no such route");
		return;
	}
	if (route->durable && !c->store_ok) {
		tr_req_refuse(&r, 503, "store_unavailable",
			      c->store_why[0] ? c->store_why : "the store cannot write; see the server's log");
		return;
	}
	tr_api[route->id](c, &r);
}

const tr_api_fn tr_api[TR_RT_N] = {
	[TR_RT_LIVEZ] = tr_api_livez,
	[TR_RT_READYZ] = tr_api_readyz,
	[TR_RT_METRICS] = tr_api_metrics,
	[TR_RT_VERSION] = tr_api_version,
	[TR_RT_KEYSET] = tr_api_keyset,
	[TR_RT_KEYSET_CHAIN] = tr_api_keyset_chain,
	[TR_RT_KEYSET_PUBLISH] = tr_api_keyset_publish,
	[TR_RT_SKEY_LIST] = tr_api_skey_list,
	[TR_RT_SKEY_CREATE] = tr_api_skey_create,
	[TR_RT_SKEY_GET] = tr_api_skey_get,
	[TR_RT_SKEY_PROMOTE] = tr_api_skey_promote,
	[TR_RT_SKEY_RETIRE] = tr_api_skey_retire,
	[TR_RT_SKEY_REVOKE] = tr_api_skey_revoke,
	[TR_RT_SKEY_ADOPTION] = tr_api_skey_adoption,
	[TR_RT_CHALLENGE] = tr_api_challenge,
	[TR_RT_TPM_CREDENTIAL] = tr_api_tpm_credential,
	[TR_RT_AGENT_ATTESTATION] = tr_api_agent_attestation,
	[TR_RT_JWKS] = tr_api_jwks,
	[TR_RT_VERDICT_LIST] = tr_api_verdict_list,
	[TR_RT_VERDICT_GET] = tr_api_verdict_get,
	[TR_RT_VERDICT_REPLAY] = tr_api_verdict_replay,
	[TR_RT_TEE_POLICY_LIST] = tr_api_tee_policy_list,
	[TR_RT_TEE_POLICY_ADD] = tr_api_tee_policy_add,
	[TR_RT_TEE_POLICY_GET] = tr_api_tee_policy_get,
	[TR_RT_TEE_POLICY_ACTIVATE] = tr_api_tee_policy_activate,
	[TR_RT_TEE_POLICY_RETIRE] = tr_api_tee_policy_retire,
	[TR_RT_TEE_POLICY_TEST] = tr_api_tee_policy_test,
	[TR_RT_COLLATERAL_LIST] = tr_api_collateral_list,
	[TR_RT_COLLATERAL_ADD] = tr_api_collateral_add,
	[TR_RT_COLLATERAL_GET] = tr_api_collateral_get,
	[TR_RT_PUBLIC_KEY] = tr_api_public_key,
	[TR_RT_PUBLIC_KEYS] = tr_api_public_keys,
	[TR_RT_REGISTER] = tr_api_register,
	[TR_RT_TIME] = tr_api_time,
	[TR_RT_RENEW] = tr_api_renew,
	[TR_RT_WHOAMI] = tr_api_whoami,
	[TR_RT_AGENT_LIST] = tr_api_agent_list,
	[TR_RT_AGENT_GET] = tr_api_agent_get,
	[TR_RT_AGENT_REVOKE] = tr_api_agent_revoke,
	[TR_RT_AGENT_REMOVE] = tr_api_agent_remove,
	[TR_RT_TOKEN_LIST] = tr_api_token_list,
	[TR_RT_TOKEN_CREATE] = tr_api_token_create,
	[TR_RT_TOKEN_REVOKE] = tr_api_token_revoke,
	[TR_RT_VKEY_LIST] = tr_api_vkey_list,
	[TR_RT_VKEY_ADD] = tr_api_vkey_add,
	[TR_RT_VKEY_RETIRE] = tr_api_vkey_retire,
	[TR_RT_VKEY_REVOKE] = tr_api_vkey_revoke,
	[TR_RT_RELEASE_LIST] = tr_api_release_list,
	[TR_RT_RELEASE_ADD] = tr_api_release_add,
	[TR_RT_RELEASE_WITHDRAW] = tr_api_release_withdraw,
	[TR_RT_POLICY_GET] = tr_api_policy_get,
	[TR_RT_POLICY_SET] = tr_api_policy_set,
	[TR_RT_ATTESTATION_LIST] = tr_api_attestation_list,
	[TR_RT_ATTESTATION_GET] = tr_api_attestation_get,
	[TR_RT_AUDIT_LIST] = tr_api_audit_list,
	[TR_RT_AGENT_EVENTS] = tr_api_agent_events,
	[TR_RT_AGENT_BPF] = tr_api_agent_bpf,
	[TR_RT_AGENT_BPF_REQUEST] = tr_api_agent_bpf_request,
	[TR_RT_AGENT_EXPECT] = tr_api_agent_expect,
	[TR_RT_AGENT_ACCEPT] = tr_api_agent_accept,
	[TR_RT_AGENT_RESET] = tr_api_agent_reset,
	[TR_RT_FLEET] = tr_api_fleet,
	[TR_RT_EVENT_LIST] = tr_api_event_list,
	[TR_RT_EVENT_GET] = tr_api_event_get,
	[TR_RT_ALERT_LIST] = tr_api_alert_list,
	[TR_RT_ALERT_GET] = tr_api_alert_get,
	[TR_RT_ALERT_ACK] = tr_api_alert_ack,
	[TR_RT_ALERT_RESOLVE] = tr_api_alert_resolve,
	[TR_RT_MAINTENANCE_LIST] = tr_api_maintenance_list,
	[TR_RT_MAINTENANCE_ADD] = tr_api_maintenance_add,
	[TR_RT_MAINTENANCE_END] = tr_api_maintenance_end,
	[TR_RT_COMMAND_TYPES] = tr_api_command_types,
	[TR_RT_COMMAND_LIST] = tr_api_command_list,
	[TR_RT_COMMAND_ORDER] = tr_api_command_order,
	[TR_RT_COMMAND_GET] = tr_api_command_get,
	[TR_RT_COMMAND_APPROVE] = tr_api_command_approve,
	[TR_RT_COMMAND_CANCEL] = tr_api_command_cancel,
	[TR_RT_COMMAND_RETRY] = tr_api_command_retry,
	[TR_RT_AGENT_COMMANDS] = tr_api_agent_commands,
	[TR_RT_AGENT_RECEIPTS] = tr_api_agent_receipts,
	[TR_RT_DISCOVER] = tr_api_discover,
	[TR_RT_DISCOVER_ONE] = tr_api_discover_one,
	[TR_RT_PREKEY] = tr_api_prekey,
	[TR_RT_REVOCATIONS] = tr_api_revocations,
	[TR_RT_MAIL_SEND] = tr_api_mail_send,
	[TR_RT_MAIL_FETCH] = tr_api_mail_fetch,
	[TR_RT_MAIL_ACK] = tr_api_mail_ack,
	[TR_RT_SECURITY_HEALTH] = tr_api_security_health,
};
