/* SPDX-License-Identifier: Apache-2.0 */
/* Every message between roles and every stored row: what decodes encodes to the same bytes. The first byte chooses the
 * record. This is all that a role reads from a peer which may have been stolen. */
#include "server/core.h"
#include "server/msg_tee.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tr_record *const defs[] = {
	&tr_msg_request_def, &tr_msg_answer_def,   &tr_msg_front_stats_def, &tr_msg_op_def,	      &tr_msg_tx_def,
	&tr_msg_done_def,    &tr_msg_load_def,	   &tr_msg_rows_def,	    &tr_msg_list_def,	      &tr_msg_issue_def,
	&tr_msg_issued_def,  &tr_msg_policy_def,   &tr_msg_appraise_def,    &tr_msg_appraised_def,    &tr_msg_csr_def,
	&tr_msg_csr_done_def, &tr_msg_read_key_def, &tr_msg_key_read_def,   &tr_msg_read_release_def, &tr_msg_release_read_def,
	&tr_agent_def,	     &tr_token_def,	   &tr_vkey_def,	    &tr_release_def,	      &tr_setting_def,
	&tr_seen_def,	     &tr_operator_def,	   &tr_audit_def,	    &tr_attestation_def,      &tr_list_query_def,
	&tr_msg_pulse_def,   &tr_in_reason_def,	   &tr_in_token_def,	    &tr_in_vkey_def,	      &tr_in_release_def,
	&tr_in_policy_def,   &tr_in_agents_def,	   &tr_msg_recheck_def,	    &tr_msg_notify_def,	      &tr_msg_notified_def,
	&tr_msg_sign_time_def, &tr_msg_time_signed_def, &tr_pulse_row_def,   &tr_event_def,	      &tr_alert_def,
	&tr_maintenance_def, &tr_bpf_ref_def,	   &tr_bpf_list_def,	    &tr_bpf_item_def,	      &tr_in_events_def,
	&tr_in_alerts_def,   &tr_in_why_def,	   &tr_in_expect_def,	    &tr_in_maintenance_def,   &tr_in_time_def,
	&tr_msg_sign_original_def, &tr_msg_original_signed_def,
	&tr_msg_hub_def,     &tr_verdict_context_def, &tr_msg_read_registration_def, &tr_msg_registration_read_def,
	&tr_msg_attest_def,  &tr_msg_attested_def, &tr_msg_tee_state_def,   &tr_msg_read_tee_policy_def,
	&tr_msg_tee_policy_read_def,
	&tr_msg_collateral_item_def, &tr_msg_read_bundle_def, &tr_msg_bundle_read_def, &tr_msg_tpm_credential_def,
	&tr_msg_tpm_credential_made_def, &tr_msg_sign_result_def, &tr_msg_result_signed_def,
	&tr_attested_def, &tr_verdict_row_def,
	&tr_bundle_row_def,  &tr_tee_policy_row_def, &tr_mail_def,
};

static void json_must_be_json(const struct tr_record *def, const void *rec)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;

	/* Raw members are JSON of our own making in the product, and our JSON reader takes numbers up to 63 bits: what
	 * is stored and counted stays below (signed/release.h), here it is noise. */
	for (size_t i = 0; i < def->n; i++) {
		uint64_t number = 0;

		if (def->fields[i].type == TR_F_U64)
			memcpy(&number, (const char *)rec + def->fields[i].off, sizeof(number));
		if (def->fields[i].type == TR_F_RAW || number > INT64_MAX)
			return;
	}
	tr_record_to_json(def, rec, &b);
	if (tr_buf_ok(&b) && tr_json_parse(tr_buf_view(&b), &j, &err))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;
	const struct tr_record *def;
	struct tr_view in;
	uint64_t rec[128];
	struct tr_err err;

	if (size == 0)
		return 0;
	def = defs[data[0] % TR_ARRAY_LEN(defs)];
	in = tr_view(data + 1, size - 1);
	if (def->size > sizeof(rec))
		abort();
	memset(rec, 0, sizeof(rec));
	if (tr_record_decode(def, in, rec, &err))
		return 0;
	tr_record_encode(def, rec, &again);
	if (!tr_view_eq(tr_buf_view(&again), in))
		abort();
	json_must_be_json(def, rec);
	return 0;
}
