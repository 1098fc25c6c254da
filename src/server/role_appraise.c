/* SPDX-License-Identifier: Apache-2.0 */
/* The role `appraise`: parses what strangers send (claims, CSRs, keys, release statements) where there is nothing to
 * steal and nowhere to go, and reads a pulse a second time to see that front told the truth about it. It holds the policy
 * that core told it, and no state between questions. */
#include "server/role.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "server/appraise_hub.h"
#include "server/appraise_signed.h"
#include "server/appraise_tee.h"
#include "server/routes.h"
#include "server/pulse_read.h"
#include "signed/keyset.h"

struct appraiser {
	struct tr_policy policy;
	struct tr_vkey vkeys[TR_VKEYS_MAX];
	uint8_t (*hashes)[32], (*withdrawn)[32];
	struct tr_buf policy_bytes; /* what the policy's views borrow from */
	struct tr_tees *tees;       /* by what evidence is judged */
};

static void policy_clear(struct appraiser *a)
{
	for (size_t i = 0; i < a->policy.n_vkeys; i++)
		a->vkeys[i].key = tr_pubkey_free(a->vkeys[i].key);
	a->hashes = tr_free(a->hashes);
	a->withdrawn = tr_free(a->withdrawn);
	a->policy = (struct tr_policy){ 0 };
}

static void add_vkey(struct appraiser *a, struct tr_view bytes)
{
	struct tr_vkey *v = &a->vkeys[a->policy.n_vkeys];
	struct tr_vkey_row row;
	struct tr_err err = { 0 };

	if (a->policy.n_vkeys == TR_VKEYS_MAX || tr_record_decode(&tr_vkey_def, bytes, &row, &err) ||
	    tr_pubkey_from_spki(row.spki, &v->key, &err)) {
		tr_log_err(TR_LOG_ERROR, "verification_key_unusable", &err, NULL);
		return;
	}
	v->use = tr_view_is(row.use, "fleet") ? TR_VKEY_FLEET : TR_VKEY_RELEASE;
	/* Anything that is not plainly active or retired is distrusted. */
	v->state = tr_view_is(row.state, "active")    ? TR_VKEY_ACTIVE
		   : tr_view_is(row.state, "retired") ? TR_VKEY_RETIRED
						      : TR_VKEY_REVOKED;
	v->not_before_ms = row.not_before;
	v->not_after_ms = row.not_after;
	a->policy.n_vkeys++;
}

static size_t copy_hashes(struct tr_view from, uint8_t (**ret)[32])
{
	size_t n = from.n / 32;

	*ret = n ? calloc(n, 32) : NULL;
	if (!*ret)
		return 0;
	memcpy(*ret, from.p, n * 32);
	return n;
}

static void on_policy(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct appraiser *a = arg;
	struct tr_msg_policy m;
	struct tr_err err = { 0 };
	struct tr_view list, one;

	(void)c;
	policy_clear(a);
	tr_buf_clear(&a->policy_bytes);
	tr_buf_addv(&a->policy_bytes, f->payload);
	if (tr_record_decode(&tr_msg_policy_def, tr_buf_view(&a->policy_bytes), &m, &err)) {
		/* Without a policy nothing is accepted: the zeroed one lists no form. */
		tr_log_err(TR_LOG_ERROR, "policy_unreadable", &err, NULL);
		a->policy.mode = TR_MODE_ENFORCE;
		return;
	}
	list = m.vkeys;
	while (tr_records_next(&list, &one))
		add_vkey(a, one);
	a->policy.mode = m.mode == TR_MODE_OFF ? TR_MODE_OFF : m.mode == TR_MODE_AUDIT ? TR_MODE_AUDIT : TR_MODE_ENFORCE;
	a->policy.min_tier = m.min_tier < TR_TIER_N ? (enum tr_tier)m.min_tier : TR_TIER_HARDWARE;
	a->policy.accept_native = m.accept_native;
	a->policy.accept_original = m.accept_original;
	a->policy.pin_only = m.pin_only;
	a->policy.min_version = m.min_version;
	a->policy.versions = m.versions;
	a->policy.vkeys = a->vkeys;
	a->policy.n_hashes = copy_hashes(m.hashes, &a->hashes);
	a->policy.n_withdrawn = copy_hashes(m.withdrawn, &a->withdrawn);
	if (m.withdrawn.n && !a->withdrawn)
		abort(); /* out of memory: a fresh process asks for the policy again, this one would admit too much */
	a->policy.hashes = (const uint8_t(*)[32])a->hashes;
	a->policy.withdrawn = (const uint8_t(*)[32])a->withdrawn;
}

static void on_appraise(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct appraiser *a = arg;
	struct tr_msg_appraise q;
	static struct tr_appraisal r; /* large; a role has one thread */
	struct tr_msg_appraised out = { 0 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf checks = TR_BUF_INIT;
	struct tr_err err = { 0 };
	uint64_t start = tr_mono_ns();

	memset(&r, 0, sizeof(r));
	if (tr_record_decode(&tr_msg_appraise_def, f->payload, &q, &err))
		r.reason = TR_R_MALFORMED;
	else if (tr_is_registration_with_evidence(q.body))
		out.evidence = true;
	else
		tr_appraise_body(&a->policy, q.body, q.exporter, q.now, &r, &key);
	tr_appraisal_checks_json(&r, &checks);
	out.reason = r.reason;
	out.tier = r.tier;
	out.native = r.native;
	out.admitted = r.admitted;
	out.vouched = r.vouched;
	out.node_id = tr_ident_ok(tr_view_str(r.node_id)) ? tr_view_str(r.node_id) : tr_view(NULL, 0);
	out.version = tr_view_str(r.version);
	out.binary_hash = TR_VIEW_ARRAY(r.binary_hash);
	out.claim_digest = TR_VIEW_ARRAY(r.claim_digest);
	out.challenge = TR_VIEW_ARRAY(r.challenge);
	out.vkey_id = r.vouched ? TR_VIEW_ARRAY(r.vkey_id) : tr_view(NULL, 0);
	out.release_name = tr_view_str(r.release_name);
	out.platform = tr_view_str(r.platform);
	out.disk_path = tr_view_str(r.disk_path);
	out.checks = checks.n <= 8192 ? tr_buf_view(&checks) : TR_VIEW_LIT("[]");
	out.claim_time = r.claim_time_ms;
	out.skew = r.skew_ms;
	if (key) {
		out.device_spki = tr_pubkey_spki(key);
		out.device_key_type = tr_view_str(tr_pubkey_type_name(key));
	}
	out.duration_ns = tr_mono_ns() - start;
	tr_chan_send_record(c, TR_M_APPRAISED, f->id, &tr_msg_appraised_def, &out);
}

/* {"csr": base64 DER} */
static TR_RC read_csr(struct tr_view body, struct tr_pubkey **ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view text;

	if (tr_json_parse(body, &j, err))
		return err->code;
	if (!tr_json_str(tr_json_get(tr_json_root(j), "csr"), &text) || tr_json_len(tr_json_root(j)) != 1)
		return tr_err_set(err, TR_E_INVALID, "the body must be {\"csr\": \"<base64 of a PKCS#10 request>\"}",
				  "renewal body");
	if (tr_b64_get(text, TR_B64_STD, &der, err))
		return err->code;
	return tr_csr_check(tr_buf_view(&der), ret, err);
}

static void on_csr(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_csr q;
	struct tr_msg_csr_done out = { 0 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_err err = { 0 };

	(void)arg;
	if (tr_record_decode(&tr_msg_csr_def, f->payload, &q, &err) || read_csr(q.body, &key, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	} else {
		out.spki = tr_pubkey_spki(key);
		out.key_id = tr_view(tr_pubkey_id(key), 32);
		out.key_type = tr_view_str(tr_pubkey_type_name(key));
	}
	tr_chan_send_record(c, TR_M_CSR_DONE, f->id, &tr_msg_csr_done_def, &out);
}

/* A block in order whose key is not accepted: the key is refused, not the request. */
static bool is_public_block(struct tr_view pem)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest;
	struct tr_err unused = { 0 };

	return tr_pem_get(pem, &label, &der, &rest, &unused) == TR_OK &&
	       (tr_view_is(label, "PUBLIC KEY") || tr_view_is(label, "RSA PUBLIC KEY"));
}

static void on_read_key(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_read_key q;
	struct tr_msg_key_read out = { 0 };
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	struct tr_err err = { 0 };

	(void)arg;
	if (tr_record_decode(&tr_msg_read_key_def, f->payload, &q, &err)) {
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	} else if (tr_pubkey_from_pem(q.pem, &key, &err)) {
		out.code = err.code == TR_E_INVALID && is_public_block(q.pem) ? TR_E_DENIED : err.code;
		out.why = tr_view_str(err.pub);
	} else {
		out.spki = tr_pubkey_spki(key);
		out.key_id = tr_view(tr_pubkey_id(key), 32);
		out.key_type = tr_view_str(tr_pubkey_type_name(key));
	}
	tr_chan_send_record(c, TR_M_KEY_READ, f->id, &tr_msg_key_read_def, &out);
}

/* Finds the key a statement names and checks it; fills the row that core will store. */
static enum tr_reason read_release(struct appraiser *a, const struct tr_msg_read_release *q, struct tr_release_row *row,
				   struct tr_release *r, struct tr_err *err)
{
	struct tr_view kid;

	if (tr_release_unverified_kid(q->statement, &kid, err))
		return TR_R_MALFORMED;
	for (size_t i = 0; i < a->policy.n_vkeys; i++) {
		const struct tr_vkey *v = &a->vkeys[i];

		if (v->use != TR_VKEY_RELEASE || !tr_view_eq(kid, tr_view(tr_pubkey_id(v->key), 16)))
			continue;
		if (v->state == TR_VKEY_REVOKED)
			return TR_R_KEY_REVOKED;
		if (tr_release_verify(q->statement, v->key, r, err))
			return err->code == TR_E_INVALID ? TR_R_MALFORMED : TR_R_BAD_SIGNATURE;
		/* Published or enclosed, a statement is judged at its time of issue. */
		if ((v->not_before_ms && r->issued_ms < v->not_before_ms) ||
		    (v->not_after_ms && r->issued_ms > v->not_after_ms))
			return TR_R_KEY_REVOKED;
		if (r->expires_ms && r->expires_ms <= q->now)
			return TR_R_RELEASE_EXPIRED;
		*row = (struct tr_release_row){
			.sha256 = tr_view(r->sha256, 32), .name = r->name, .version = r->version,
			.platform = r->platform, .size = r->size, .counter = r->counter, .issued_at = r->issued_ms,
			.expires_at = r->expires_ms, .vkey_id = tr_view(tr_pubkey_id(v->key), 32),
			.statement = q->statement, .added_at = q->now,
		};
		return TR_R_OK;
	}
	return TR_R_UNKNOWN_KEY;
}

static void on_read_release(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_read_release q;
	struct tr_msg_release_read out = { .reason = TR_R_MALFORMED };
	struct tr_release_row row = { 0 };
	struct tr_release r;
	struct tr_err err = { 0 };
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT, bpf = TR_BUF_INIT;

	if (!tr_record_decode(&tr_msg_read_release_def, f->payload, &q, &err))
		out.reason = read_release(arg, &q, &row, &r, &err);
	if (out.reason == TR_R_OK && r.bpf.n && tr_release_bpf_get(r.bpf, &bpf, &err))
		out.reason = TR_R_MALFORMED;
	row.bpf = tr_buf_view(&bpf);
	if (out.reason == TR_R_OK) {
		tr_record_encode(&tr_release_def, &row, &bytes);
		out.row = tr_buf_view(&bytes);
	} else if (err.code) {
		out.why = tr_view_str(err.pub);
	}
	tr_chan_send_record(c, TR_M_RELEASE_READ, f->id, &tr_msg_release_read_def, &out);
}

static void on_recheck(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_recheck q;
	struct tr_msg_done out = { 0 };
	struct tr_err err = { 0 };

	(void)arg;
	if (tr_record_decode(&tr_msg_recheck_def, f->payload, &q, &err))
		err.code = TR_E_INTERNAL;
	else
		tr_pulse_recheck(&q, &err);
	out.code = err.code;
	out.why = tr_view_str(err.code ? err.pub : "");
	tr_chan_send_record(c, TR_M_RECHECKED, f->id, &tr_msg_done_def, &out);
}

static bool names(const struct tr_keyset *k, struct tr_view key)
{
	for (size_t i = 0; i < k->n_keys; i++)
		if (tr_view_eq(k->keys[i].key, key))
			return true;
	return false;
}

/* Nobody would believe a key that is none, or that everybody has; whoever signed it in should hear so now. One that is in force
 * already is no obstacle: lists of leaked keys grow. */
static TR_RC check_new_keys(const struct tr_keyset *now, const struct tr_keyset *next, struct tr_err *err)
{
	for (size_t i = 0; i < next->n_keys; i++) {
		const struct tr_keyset_key *k = &next->keys[i];
		tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
		tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
		enum tr_code rc;

		if (names(now, k->key))
			continue;
		rc = k->role == TR_ROLE_CA ? tr_cert_parse(k->key, &cert, err) : tr_pubkey_from_spki(k->key, &key, err);
		if (rc == TR_E_DENIED)
			return tr_err_set(err, rc,
					  "the keyset names a key that is published: its private half is known to everybody; prepare it again with another key",
					  "key %zu of the keyset", i);
		if (rc)
			return tr_err_set(err, TR_E_INVALID,
					  "the keyset names a key or certificate that cannot be read; prepare it again with a whole one",
					  "key %zu of the keyset", i);
	}
	return TR_OK;
}

/* Is `next` the keyset that follows `current`? */
static TR_RC read_keyset(const struct tr_msg_read_keyset *q, struct tr_err *err)
{
	static struct tr_keyset now, next;

	if (tr_keyset_unverified(q->current, &now, err) || tr_keyset_unverified(q->next, &next, err))
		return err->code;
	if (next.epoch <= now.epoch)
		return tr_err_set(err, TR_E_CONFLICT,
				  "a keyset of this epoch is in force already; prepare the next one from `troth keyset fetch`",
				  "epoch %llu", (unsigned long long)next.epoch);
	if (next.epoch > now.epoch + 1)
		return tr_err_set(err, TR_E_CONFLICT,
				  "keysets between the one in force and this one are missing; publish them first, in order",
				  "epoch %llu after %llu", (unsigned long long)next.epoch, (unsigned long long)now.epoch);
	if (tr_keyset_verify_next(q->current, &now, q->next, q->now, &next, err))
		return err->code;
	return check_new_keys(&now, &next, err);
}

static void on_read_keyset(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	struct tr_msg_read_keyset q;
	struct tr_msg_done out = { 0 };
	struct tr_err err = { 0 };

	(void)arg;
	if (tr_record_decode(&tr_msg_read_keyset_def, f->payload, &q, &err) || read_keyset(&q, &err)) {
		tr_log_err(TR_LOG_WARN, "keyset_refused", &err, NULL);
		out.code = err.code;
		out.why = tr_view_str(err.pub);
	}
	tr_chan_send_record(c, TR_M_KEYSET_READ, f->id, &tr_msg_done_def, &out);
}

static void on_tee_state(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	tr_tees_on_state(((struct appraiser *)arg)->tees, c, f);
}

static void on_attest(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	tr_tees_on_attest(((struct appraiser *)arg)->tees, c, f);
}

static void on_replay(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	tr_tees_on_replay(((struct appraiser *)arg)->tees, c, f);
}

static void on_registration(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	(void)arg;
	tr_appraise_registration(c, f);
}

static void on_tee_policy(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	(void)arg;
	tr_appraise_policy(c, f);
}

static void on_bundle(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	(void)arg;
	tr_appraise_bundle(c, f);
}

static void on_credential(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	(void)arg;
	tr_appraise_credential(c, f);
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[TR_M_READ_APPROVAL] = { tr_appraise_approval, 80000 },
	[TR_M_READ_RECEIPT] = { tr_appraise_receipt, 14000 },
	[TR_M_VERIFY_REQUEST] = { tr_appraise_request, 8192 },
	[TR_M_READ_PREKEY] = { tr_appraise_prekey, 4096 },
	[TR_M_READ_ENVELOPE] = { tr_appraise_envelope, 80000 },
	[TR_M_RECHECK] = { on_recheck, TR_MSG_PULSE_MAX },
	[TR_M_POLICY] = { on_policy, TR_MSG_POLICY_MAX },
	[TR_M_APPRAISE] = { on_appraise, TR_HUB_REGISTRATION_MAX + 256 },
	[TR_M_TEE_STATE] = { on_tee_state, 601000 },
	[TR_M_READ_REGISTRATION] = { on_registration, TR_HUB_REGISTRATION_MAX + 5000 },
	[TR_M_ATTEST] = { on_attest, 801000 },
	[TR_M_REPLAY] = { on_replay, 901000 },
	[TR_M_READ_TEE_POLICY] = { on_tee_policy, 66000 },
	[TR_M_READ_BUNDLE] = { on_bundle, 601000 },
	[TR_M_TPM_CREDENTIAL] = { on_credential, 17000 },
	[TR_M_CSR] = { on_csr, 10000 },
	[TR_M_READ_KEY] = { on_read_key, 5000 },
	[TR_M_READ_KEYSET] = { on_read_keyset, 2 * TR_KEYSET_MAX + 64 },
	[TR_M_READ_RELEASE] = { on_read_release, 8192 },
};

TR_RC tr_role_appraise(const struct tr_config *cfg, struct tr_err *err)
{
	static struct appraiser a;
	enum tr_code rc;

	(void)cfg;
	a.policy.mode = TR_MODE_ENFORCE;
	a.tees = tr_tees_new();
	if (!a.tees)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "appraise");
	rc = tr_role_serve(TR_PROC_APPRAISE, rules, &a, err);
	policy_clear(&a);
	a.tees = tr_tees_free(a.tees);
	tr_buf_done(&a.policy_bytes);
	return rc;
}
