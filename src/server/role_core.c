/* SPDX-License-Identifier: Apache-2.0 */
/* Boot, channels and clock of core. What it decides is elsewhere; core.h says where. */
#include "server/authority.h"
#include "server/core.h"
#include "server/attest.h"
#include "server/hub.h"
#include "server/msg_hub.h"
#include "server/orders.h"
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pem.h"
#include "crypto/x509.h"
#include "ipc/fdpass.h"

#define SWEEP_EVERY_MS 5000
#define TICK_MS 1000
#define TELL_AGAIN_MS 3600000 /* what a receiver refused, it may want when somebody has looked at it */
#define HUNG_AFTER_S 20 /* the longest commit on a slow disk is a few */

/* ---- answers of other roles ---- */

static void end_call(struct tr_core *c, struct tr_chan *ch, const struct tr_record *def, const struct tr_frame *f)
{
	union {
		struct tr_msg_done done;
		struct tr_msg_issued issued;
		struct tr_msg_appraised appraised;
		struct tr_msg_csr_done csr;
		struct tr_msg_key_read key;
		struct tr_msg_release_read release;
		struct tr_msg_rows rows;
		struct tr_msg_time_signed time;
		struct tr_msg_keys_loaded loaded;
		struct tr_msg_key_made made;
		struct tr_msg_commands_signed commands;
		struct tr_msg_original_signed original;
		struct tr_msg_approval_read approval;
		struct tr_msg_receipt_read receipt;
		struct tr_msg_registration_read registration;
		struct tr_msg_attested attested;
		struct tr_msg_tee_policy_read tee_policy;
		struct tr_msg_bundle_read bundle;
		struct tr_msg_tpm_credential_made credential;
		struct tr_msg_result_signed result;
		struct tr_msg_request_verified request;
		struct tr_msg_prekey_read prekey;
		struct tr_msg_envelope_read envelope;
	} m;
	struct tr_err err = { 0 };

	if (tr_record_decode(def, f->payload, &m, &err)) {
		tr_log_err(TR_LOG_ERROR, "role_sent_nonsense", &err, "record", def->name, NULL);
		(void)tr_calls_end(c->calls, ch, f->id, NULL);
		return;
	}
	(void)tr_calls_end(c->calls, ch, f->id, &m);
}

static void on_done(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_done_def, f); }
static void on_issued(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_issued_def, f); }
static void on_appraised(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_appraised_def, f); }
static void on_csr(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_csr_done_def, f); }
static void on_key_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_key_read_def, f); }
static void on_release_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_release_read_def, f); }
static void on_time(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_time_signed_def, f); }
static void on_approval_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_approval_read_def, f); }
static void on_receipt_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_receipt_read_def, f); }
static void on_request_verified(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_request_verified_def, f); }
static void on_prekey_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_prekey_read_def, f); }
static void on_envelope_read(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_envelope_read_def, f); }
static void on_keys_loaded(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_keys_loaded_def, f); }
static void on_key_made(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_key_made_def, f); }
static void on_signed(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_commands_signed_def, f); }
static void on_original(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_original_signed_def, f); }
static void on_registration(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_registration_read_def, f); }
static void on_attested(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_attested_def, f); }
static void on_tee_policy(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_tee_policy_read_def, f); }
static void on_bundle(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_bundle_read_def, f); }
static void on_credential(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_tpm_credential_made_def, f); }
static void on_result(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_result_signed_def, f); }
static void on_listed(void *arg, struct tr_chan *ch, const struct tr_frame *f) { end_call(arg, ch, &tr_msg_rows_def, f); }

/* A list that failed has no rows frame: its question is still open. */
static void on_list_done(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;

	(void)tr_calls_end(c->calls, ch, f->id, NULL);
}

static void on_probe_done(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_done m;
	struct tr_err err = { 0 };
	bool was = c->store_ok;

	(void)ch;
	if (tr_record_decode(&tr_msg_done_def, f->payload, &m, &err))
		return;
	c->store_ok = m.code == TR_OK;
	(void)snprintf(c->store_why, sizeof(c->store_why), "%.*s", TR_VIEW_FMT(m.why));
	if (was != c->store_ok)
		tr_log(c->store_ok ? TR_LOG_INFO : TR_LOG_ERROR, c->store_ok ? "store_writable" : "store_not_writable",
		       "why", c->store_why, NULL);
}

static void on_store_state(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_store_state m;
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_store_state_def, f->payload, &m, &err))
		return;
	c->store_away = m.away;
	c->store_ok = !m.away;
	(void)snprintf(c->store_why, sizeof(c->store_why), "%.*s", TR_VIEW_FMT(m.why));
	tr_log(m.away ? TR_LOG_ERROR : TR_LOG_INFO, m.away ? "store_away" : "store_back", "why", c->store_why, NULL);
}

static void on_stats(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_front_stats s;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_front_stats_def, f->payload, &s, &err))
		return;
	c->metrics.accepted += s.accepted;
	c->metrics.refused_limit += s.refused_limit;
	c->metrics.refused_syntax += s.refused_syntax;
	c->metrics.refused_rate += s.refused_rate;
	c->metrics.refused_cert += s.refused_cert;
	c->metrics.timeouts += s.timeouts;
	c->metrics.pulses_refused_front += s.refused_pulse;
	for (size_t i = 0; i < TR_FRONTS_MAX; i++)
		if (c->fronts[i].chan == ch)
			c->fronts[i].open = s.open;
}

/* ---- channels ---- */

static struct tr_chan **helper_slot(struct tr_core *c, unsigned i)
{
	return i == TR_UP_STORE_RO ? &c->store_ro : i == TR_UP_KEYS ? &c->keys : &c->appraise;
}

static void on_hello(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;

	(void)f;
	for (unsigned i = 0; i < TR_UP_N; i++)
		c->up[i] |= *helper_slot(c, i) == ch;
	for (size_t i = 0; i < TR_FRONTS_MAX; i++)
		c->fronts[i].up |= c->fronts[i].chan == ch;
	if (ch == c->keys)
		tr_authority_keys_up(c);
	if (ch == c->egress) {
		c->egress_up = true;
		if (c->loaded)
			tr_effects_egress_up(c->effects);
	}
	tr_core_tell_ready(c);
}

static void on_notified(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_core *c = arg;
	struct tr_msg_notified m;
	struct tr_err err = { 0 };

	(void)ch;
	if (c->loaded && !tr_record_decode(&tr_msg_notified_def, f->payload, &m, &err))
		tr_effects_notified(c->effects, &m);
}

static void on_keys_held(void *arg, struct tr_chan *ch, const struct tr_frame *f)
{
	struct tr_msg_keys_held m;
	struct tr_err err = { 0 };

	(void)ch;
	if (tr_record_decode(&tr_msg_keys_held_def, f->payload, &m, &err))
		tr_log_err(TR_LOG_ERROR, "role_sent_nonsense", &err, NULL);
	else
		tr_authority_keys_held(arg, m.keys);
}

static const struct tr_frame_rule front_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_REQUEST] = { tr_core_on_request, TR_MSG_REQUEST_MAX },
	[TR_M_PULSE] = { tr_core_on_pulse, TR_MSG_PULSE_MAX },
	[TR_M_FRONT_STATS] = { on_stats, 256 },
	[TR_M_HELLO] = { on_hello, 16 },
};
static const struct tr_frame_rule store_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_TX_DONE] = { on_done, 1024 },
	[TR_M_ROWS] = { tr_core_on_rows, TR_MSG_ROWS_MAX },
	[TR_M_LOAD_DONE] = { tr_core_on_load_done, 1024 },
	[TR_M_PROBE_DONE] = { on_probe_done, 1024 },
	[TR_M_CHANGED] = { tr_core_on_changed, TR_MSG_TX_MAX },
	[TR_M_LEASE] = { tr_core_on_lease, 64 },
	[TR_M_STORE_STATE] = { on_store_state, 1024 },
	[TR_M_HELLO] = { on_hello, 16 },
};
static const struct tr_frame_rule store_ro_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_ROWS] = { on_listed, TR_MSG_ROWS_MAX },
	[TR_M_LIST_DONE] = { on_list_done, 1024 },
	[TR_M_HELLO] = { on_hello, 16 },
};
static const struct tr_frame_rule keys_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_ISSUED] = { on_issued, 8192 },
	[TR_M_TIME_SIGNED] = { on_time, 4096 },
	[TR_M_KEYS_HELD] = { on_keys_held, 66000 },
	[TR_M_KEYS_LOADED] = { on_keys_loaded, 34000 },
	[TR_M_KEY_MADE] = { on_key_made, 4096 },
	[TR_M_COMMANDS_SIGNED] = { on_signed, 1001000 },
	[TR_M_ORIGINAL_SIGNED] = { on_original, 5200 },
	[TR_M_RESULT_SIGNED] = { on_result, 9000 },
	[TR_M_HELLO] = { on_hello, 16 },
};
static const struct tr_frame_rule appraise_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_APPRAISED] = { on_appraised, 16384 },
	[TR_M_CSR_DONE] = { on_csr, 4096 },
	[TR_M_KEY_READ] = { on_key_read, 4096 },
	[TR_M_RELEASE_READ] = { on_release_read, 20000 },
	[TR_M_KEYSET_READ] = { on_done, 1024 },
	[TR_M_RECHECKED] = { on_done, 1024 },
	[TR_M_APPROVAL_READ] = { on_approval_read, 8192 },
	[TR_M_RECEIPT_READ] = { on_receipt_read, 12288 },
	[TR_M_REGISTRATION_READ] = { on_registration, 210000 },
	[TR_M_ATTESTED] = { on_attested, 200000 },
	[TR_M_REPLAYED] = { on_attested, 200000 },
	[TR_M_TEE_POLICY_READ] = { on_tee_policy, 4096 },
	[TR_M_BUNDLE_READ] = { on_bundle, 264000 },
	[TR_M_TPM_CREDENTIAL_MADE] = { on_credential, 4096 },
	[TR_M_REQUEST_VERIFIED] = { on_request_verified, 1024 },
	[TR_M_PREKEY_READ] = { on_prekey_read, 2048 },
	[TR_M_ENVELOPE_READ] = { on_envelope_read, 1024 },
	[TR_M_HELLO] = { on_hello, 16 },
};
static const struct tr_frame_rule egress_rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_PROBE_DONE] = { on_done, 1024 },
	[TR_M_NOTIFIED] = { on_notified, 256 },
	[TR_M_HELLO] = { on_hello, 16 },
};

static void forget_front(struct tr_core *c, size_t i)
{
	struct tr_chan *ch = c->fronts[i].chan;

	c->fronts[i].chan = NULL;
	c->fronts[i].up = false;
	c->fronts[i].gen++;
	c->fronts[i].open = 0;
	(void)tr_chan_free(ch);
}

void tr_core_end_front(struct tr_core *c, unsigned front)
{
	struct tr_err err = { 0 };

	tr_log(TR_LOG_ERROR, "front_replaced", "front", tr_fmt("%u", front), NULL);
	if (tr_fd_tell(c->control, c->fronts[front].tag, &err))
		tr_log_err(TR_LOG_ERROR, "supervisor_gone", &err, NULL);
	forget_front(c, front);
}

static void on_end(void *arg, struct tr_chan *ch, const char *why)
{
	struct tr_core *c = arg;

	if (ch == c->store) {
		/* What was on its way may or may not be durable: only the store knows. Start again from it. */
		if (!c->stopping)
			tr_log(TR_LOG_ERROR, "store_gone", "why", why, NULL);
		tr_loop_stop(c->loop);
		return;
	}
	if (!c->stopping)
		c->metrics.role_losses++;
	for (unsigned i = 0; i < TR_UP_N; i++) {
		if (*helper_slot(c, i) != ch)
			continue;
		*helper_slot(c, i) = NULL;
		c->up[i] = false;
		if (i == TR_UP_KEYS)
			tr_authority_keys_down(c);
		tr_calls_fail(c->calls, ch);
		(void)tr_chan_free(ch);
		return;
	}
	if (ch == c->egress) {
		c->egress = NULL;
		c->egress_up = false;
		tr_calls_fail(c->calls, ch);
		(void)tr_chan_free(ch);
		return;
	}
	for (size_t i = 0; i < TR_FRONTS_MAX; i++) {
		if (c->fronts[i].chan != ch)
			continue;
		forget_front(c, i);
		return;
	}
}

static void add_front(struct tr_core *c, uint8_t tag, int fd)
{
	struct tr_err err = { 0 };

	for (size_t i = 0; i < TR_FRONTS_MAX; i++) {
		if (c->fronts[i].chan)
			continue;
		if (tr_chan_new(c->loop, fd, front_rules, on_end, c, &c->fronts[i].chan, &err))
			tr_log_err(TR_LOG_ERROR, "channel_failed", &err, NULL);
		c->fronts[i].tag = tag;
		return;
	}
	(void)tr_close(fd);
}

static void add_helper(struct tr_core *c, struct tr_chan **slot, int fd, const struct tr_frame_rule *rules)
{
	struct tr_err err = { 0 };

	if (*slot) {
		/* Its successor was quicker than the news of its end. */
		c->metrics.role_losses++;
		tr_calls_fail(c->calls, *slot);
		*slot = tr_chan_free(*slot);
	}
	for (unsigned i = 0; i < TR_UP_N; i++)
		c->up[i] &= helper_slot(c, i) != slot;
	if (slot == &c->keys)
		tr_authority_keys_down(c);
	if (tr_chan_new(c->loop, fd, rules, on_end, c, slot, &err))
		tr_log_err(TR_LOG_ERROR, "channel_failed", &err, NULL);
}

static void stop(struct tr_core *c)
{
	c->stopping = true;
	if (c->loaded && c->store) {
		tr_effects_last(c->effects);
		tr_core_sweep_last(c);
		tr_chan_flush(c->store, 2000);
	}
	tr_loop_stop(c->loop);
}

static void on_control(void *arg)
{
	struct tr_core *c = arg;
	uint8_t tag;
	int fd;
	struct tr_err err = { 0 };
	enum tr_code rc;

	while ((rc = tr_fd_recv(c->control, &tag, &fd, &err)) == TR_OK) {
		switch (tag) {
		case TR_TAG_STORE:
			add_helper(c, &c->store, fd, store_rules);
			if (c->store)
				tr_core_load(c);
			break;
		case TR_TAG_STORE_RO: add_helper(c, &c->store_ro, fd, store_ro_rules); break;
		case TR_TAG_KEYS: add_helper(c, &c->keys, fd, keys_rules); break;
		case TR_TAG_APPRAISE:
			add_helper(c, &c->appraise, fd, appraise_rules);
			if (c->loaded) {
				tr_core_send_policy(c);
				tr_tee_appraise_up(c);
			}
			break;
		case TR_TAG_EGRESS:
			add_helper(c, &c->egress, fd, egress_rules);
			c->egress_up = false;
			break;
		case TR_TAG_STOP: stop(c); return;
		default:
			if (tag & TR_TAG_FRONT)
				add_front(c, tag, fd);
			else
				(void)tr_close(fd);
			break;
		}
		tr_core_tell_ready(c);
	}
	if (rc != TR_E_BUSY)
		tr_loop_stop(c->loop); /* no supervisor, no server */
}

/* ---- life ---- */

/* A role that hangs would keep its askers waiting for ever: the supervisor ends it, and it comes back. */
static void end_hung(struct tr_core *c, const void *whom)
{
	static const enum tr_tag tags[TR_UP_N] = { TR_TAG_STORE_RO, TR_TAG_KEYS, TR_TAG_APPRAISE };
	enum tr_tag tag = TR_TAG_STORE;
	struct tr_err err = { 0 };

	for (unsigned i = 0; i < TR_UP_N; i++)
		if (*helper_slot(c, i) == whom)
			tag = tags[i];
	if (c->egress == whom)
		tag = TR_TAG_EGRESS;
	tr_log(TR_LOG_ERROR, "role_hangs", "tag", tr_fmt("%c", (int)tag), NULL);
	if (tr_fd_tell(c->control, (uint8_t)tag, &err))
		tr_log_err(TR_LOG_ERROR, "supervisor_gone", &err, NULL);
}

static void alive(void *arg, const void *answer)
{
	struct tr_core *c = arg;

	(void)answer;
	c->egress_asked = false;
}

/* Nobody waits for egress, so it is asked now and then whether it lives; who does not answer is ended like the others. */
static void ask_egress(struct tr_core *c)
{
	uint64_t id;

	if (!c->egress_up || c->egress_asked)
		return;
	id = tr_calls_add(c->calls, c->egress, alive, c);
	c->egress_asked = id != 0;
	if (id)
		tr_chan_send(c->egress, TR_M_PROBE, id, tr_view(NULL, 0));
}

static void tell_again(struct tr_core *c)
{
	uint64_t now = tr_mono_ms();

	if (!c->tell_again_at)
		c->tell_again_at = now + TELL_AGAIN_MS;
	if (now < c->tell_again_at || !c->egress_up || !c->loaded)
		return;
	c->tell_again_at = now + TELL_AGAIN_MS;
	tr_effects_egress_up(c->effects);
}

static void on_tick(void *arg)
{
	struct tr_core *c = arg;
	const void *late;

	if (c->store_away)
		tr_calls_excuse(c->calls, c->store);
	late = tr_calls_tick(c->calls, HUNG_AFTER_S);
	if (late)
		end_hung(c, late);

	c->recent_refusals = 0;
	if (c->policy_until && c->policy_until <= tr_now_ms())
		tr_core_send_policy(c);
	if (!c->store_ok && c->store)
		tr_chan_send(c->store, TR_M_PROBE, 0, tr_view(NULL, 0));
	ask_egress(c);
	tell_again(c);
	tr_core_node_tick(c);
	tr_core_watch_tick(c);
	tr_authority_tick(c);
	tr_timer_arm(c->tick_timer, TICK_MS);
}

static void on_sweep(void *arg)
{
	struct tr_core *c = arg;

	if (c->loaded && c->store_ok)
		tr_core_sweep(c, tr_fleet_count(c->fleet));
	tr_timer_arm(c->sweep_timer, SWEEP_EVERY_MS);
}

static TR_RC load_public_files(struct tr_core *c, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	tr_auto(tr_cert_free) struct tr_cert *tls = NULL;
	struct tr_view label, rest;

	if (tr_authority_read_files(c, err) || tr_config_read(c->cfg, "keys/ca.crt", false, &c->ca_pem, err))
		return err->code;
	if (c->cfg->attestation->public_key_path &&
	    tr_config_read(c->cfg, c->cfg->attestation->public_key_path, false, &c->fleet_pem, err))
		return tr_err_wrap(err, "attestation.public_key_path");
	if (tr_config_read(c->cfg, c->cfg->tls->certificate, false, &pem, err) ||
	    tr_pem_get(tr_buf_view(&pem), &label, &der, &rest, err) || tr_cert_parse(tr_buf_view(&der), &tls, err))
		return tr_err_wrap(err, "TLS certificate");
	c->tls_not_after = tr_cert_not_after_ms(tls);
	(void)snprintf(c->server_name, sizeof(c->server_name), "%s",
		       c->cfg->urls_count ? c->cfg->urls[0] : "https://localhost:8443");
	return TR_OK;
}

static TR_RC run(struct tr_core *c, struct tr_err *err)
{
	if (tr_loop_new(&c->loop, err) || tr_watch_timer(c->loop, on_sweep, c, &c->sweep_timer, err) ||
	    tr_watch_timer(c->loop, on_tick, c, &c->tick_timer, err) ||
	    tr_watch_fd(c->loop, c->control, TR_WATCH_READ, on_control, c, &c->control_watch, err) ||
	    tr_role_enter(TR_PROC_CORE, err))
		return err->code;
	tr_timer_arm(c->sweep_timer, SWEEP_EVERY_MS);
	tr_timer_arm(c->tick_timer, TICK_MS);
	tr_loop_run(c->loop);
	return TR_OK;
}

static bool make_tables(struct tr_core *c)
{
	uint8_t seed[16];

	tr_random(seed, sizeof(seed));
	return tr_table_init(&c->agents, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed) &&
	       tr_table_init(&c->tokens, &tr_token_def, offsetof(struct tr_token_row, secret_hash), seed) &&
	       tr_table_init(&c->vkeys, &tr_vkey_def, 0, seed) && tr_table_init(&c->releases, &tr_release_def, 0, seed) &&
	       tr_table_init(&c->settings, &tr_setting_def, 0, seed) && tr_table_init(&c->seen, &tr_seen_def, 0, seed) &&
	       tr_table_init(&c->operators, &tr_operator_def, offsetof(struct tr_operator_row, secret_hash), seed) &&
	       tr_table_init(&c->maintenance, &tr_maintenance_def, 0, seed) &&
	       tr_table_init(&c->keysets, &tr_keyset_row_def, 0, seed) && tr_table_init(&c->skeys, &tr_skey_def, 0, seed) &&
	       tr_table_init(&c->bpf_refs, &tr_bpf_ref_def, 0, seed) &&
	       tr_table_init(&c->commands, &tr_command_row_def, offsetof(struct tr_command_row, digest), seed) &&
	       tr_table_init(&c->outboxes, &tr_outbox_def, 0, seed) &&
	       tr_table_init(&c->attested, &tr_attested_def, offsetof(struct tr_attested_row, key_id), seed) &&
	       tr_table_init(&c->bundles, &tr_bundle_row_def, 0, seed) &&
	       tr_table_init(&c->tee_policies, &tr_tee_policy_row_def, 0, seed) &&
	       tr_table_init(&c->mails, &tr_mail_def, 0, seed) && (c->orders = tr_orders_new()) != NULL &&
	       (c->hub = tr_hub_new()) != NULL && (c->tee = tr_tee_state_new()) != NULL &&
	       (c->activations = tr_activations_new()) != NULL;
}

TR_RC tr_role_core(const struct tr_config *cfg, struct tr_err *err)
{
	static struct tr_core c;
	static struct tr_steady steady;

	c.cfg = cfg;
	c.steady = &steady;
	tr_steady_start(&steady, tr_now_ms(), tr_mono_ms());
	c.clock_trusted = tr_config_clock_trusted(cfg) || tr_kernel_clock_synchronised();
	c.control = TR_FD_CORE;
	c.started_at = tr_now_ms();
	c.store_ok = true;
	tr_core_name(&c);
	c.calls = tr_calls_new();
	c.authority = tr_authority_new();
	if (!c.calls || !c.authority)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "calls");
	tr_random(c.challenge_key, sizeof(c.challenge_key));
	if (!make_tables(&c))
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "tables");
	tr_core_pin(&c);
	if (load_public_files(&c, err))
		return err->code;
	/* The process ends right after: the kernel takes the registry's memory back faster than we could. */
	return run(&c, err);
}
