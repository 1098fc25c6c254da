/* SPDX-License-Identifier: Apache-2.0 */
/* In role `appraise`: what operators bring in for the verification of evidence, and credentials for an agent's TPM. */
#include "server/appraise_tee.h"

#include "appraise/tee.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/text.h"
#include "server/msg_tee.h"
#include "signed/keyset.h"

#include <stdio.h>

/* ---- policies ---- */

void tr_appraise_policy(struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = NULL;
	tr_auto(tr_buf_done) struct tr_buf types = TR_BUF_INIT;
	struct tr_msg_read_tee_policy q;
	struct tr_msg_tee_policy_read m = { 0 };
	char why[500];
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_read_tee_policy_def, f->payload, &q, &err) || tr_tee_policy_parse(q.text, &p, &err)) {
		m.code = err.code;
		m.why = tr_view_str(err.pub);
		/* The text is the operator's own: he may hear where in it. */
		(void)snprintf(why, sizeof(why), "%s (%s)", err.pub, err.detail);
		if (err.code == TR_E_INVALID && tr_utf8_ok(tr_view_str(why)))
			m.why = tr_view_str(why);
	} else {
		tr_tee_policy_types(p, &types);
		m.name = tr_view_str(tr_tee_policy_name(p));
		m.agent_types = tr_buf_view(&types);
		m.kinds = tr_tee_policy_kinds(p);
		m.lifetime_s = tr_tee_policy_lifetime_s(p);
	}
	tr_chan_send_record(c, TR_M_TEE_POLICY_READ, f->id, &tr_msg_tee_policy_read_def, &m);
}

/* ---- bundles ---- */

/* The vendors sign TCB info with this number in it; a bundle with a lower one would bring back what is known to be broken. The
 * documents are compact JSON by contract of the signature, so the number is where its name is. */
static uint64_t evaluation_number(const struct tr_bundle_entry *e)
{
	static const char name[] = "\"tcbEvaluationDataNumber\":";
	const uint8_t *at = memmem(e->bytes.p, e->bytes.n, name, sizeof(name) - 1);
	uint64_t n = 0;

	if (!at || (e->type != TR_BI_TCB_INFO && e->type != TR_BI_QE_IDENTITY))
		return 0;
	for (at += sizeof(name) - 1; at < e->bytes.p + e->bytes.n && *at >= '0' && *at <= '9' && n < UINT32_MAX; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

static void put_items(const struct tr_bundle *b, struct tr_buf *ret)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct tr_bundle_entry *e = &b->items[i];
		struct tr_msg_collateral_item m = {
			.type = tr_view_str(tr_bundle_item_name(e->type)),
			.key = e->key.n <= 256 ? e->key : tr_view(e->key.p, 256),
			.issued = e->issued,
			.expires = e->expires,
			.evaluation = evaluation_number(e),
		};

		tr_records_add(ret, &tr_msg_collateral_item_def, &m);
	}
}

/* Who may say what the vendors say: a config key that the keyset names and has not revoked. */
static TR_RC verify_bundle(const struct tr_msg_read_bundle *q, struct tr_view *ret_bytes, struct tr_msg_bundle_read *m,
			   struct tr_bundle *b, struct tr_err *err)
{
	static struct tr_keyset ks;
	static uint8_t id[32];
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	const struct tr_keyset_key *named;
	struct tr_view kid;

	if (tr_keyset_unverified(q->keyset, &ks, err) || tr_collateral_kid(q->bundle, &kid, err))
		return err->code;
	named = tr_keyset_find(&ks, TR_ROLE_CONFIG, kid);
	if (!named)
		return tr_err_set(err, TR_E_DENIED,
				  "the keyset in force names no config key that signed this bundle; sign it with one (`troth collateral sign`), or publish a keyset that names yours",
				  "kid");
	if (tr_pubkey_from_spki(named->key, &key, err) || tr_collateral_verify(q->bundle, key, ret_bytes, err) ||
	    tr_bundle_get(*ret_bytes, b, err))
		return err->code;
	tr_sha256(named->key, id);
	if (tr_keyset_standing(&ks, named, b->made * 1000, q->now) != TR_KEY_GOOD)
		return tr_err_set(err, TR_E_DENIED,
				  "the config key that signed this bundle is revoked, or its time is over; sign the bundle with another",
				  "standing");
	m->key_id = TR_VIEW_ARRAY(id);
	return TR_OK;
}

void tr_appraise_bundle(struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_bundle_done) struct tr_bundle b = { 0 };
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
	struct tr_msg_read_bundle q;
	struct tr_msg_bundle_read m = { 0 };
	struct tr_view bytes;
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_read_bundle_def, f->payload, &q, &err) || verify_bundle(&q, &bytes, &m, &b, &err)) {
		tr_log_err(TR_LOG_WARN, "collateral_refused", &err, NULL);
		m = (struct tr_msg_bundle_read){ .code = err.code, .why = tr_view_str(err.pub) };
	} else {
		put_items(&b, &items);
		m.version = b.version;
		m.made = b.made;
		m.items = tr_buf_view(&items);
	}
	tr_chan_send_record(c, TR_M_BUNDLE_READ, f->id, &tr_msg_bundle_read_def, &m);
}

/* ---- credentials ---- */

struct request {
	struct tr_view ak, ek, chain;
};

static TR_RC read_request(struct tr_view body, struct request *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(body);
	struct tr_cbor_map map;
	int64_t key;

	*ret = (struct request){ 0 };
	(void)tr_cbor_map(&r, &map, 3);
	while (tr_cbor_key_int(&r, &map, &key)) {
		switch (key) {
		case 1: ret->ak = tr_cbor_bytes(&r); break;
		case 2: ret->ek = tr_cbor_bytes(&r); break;
		case 3: ret->chain = tr_cbor_bytes(&r); break;
		default: tr_cbor_fail(&r, "unknown member of a TPM's request");
		}
	}
	if (!r.error && (!ret->ak.n || !ret->ek.n))
		tr_cbor_fail(&r, "the TPM's attestation key and endorsement key must both be there");
	return tr_cbor_end(&r, err);
}

TR_RC tr_tpm_ek_read(struct tr_view in, struct tr_tpm_public *ret, struct tr_err *err)
{
	/* A certificate is a SEQUENCE; a TPM2B begins with a length that small. */
	if (in.n && in.p[0] == 0x30)
		return tr_tpm_ek_from_cert(in, ret, err);
	if (tr_tpm_public_parse(in, ret, err))
		return err->code;
	return tr_tpm_public_is_ek(ret) ? TR_OK
					: tr_err_set(err, TR_E_INVALID,
						     "the endorsement key is not one: fixed to its TPM, restricted, and for decryption",
						     "attributes %08x", ret->attributes);
}

static TR_RC make_credential(const struct tr_msg_tpm_credential *q, struct tr_tpm_public *ak, struct tr_tpm_public *ek,
			     struct tr_buf *blob, struct tr_buf *encrypted, struct tr_err *err)
{
	struct request r;

	if (read_request(q->body, &r, err) || tr_tpm_public_parse(r.ak, ak, err) || tr_tpm_ek_read(r.ek, ek, err))
		return err->code;
	/* A key that signs whatever it is given could sign a forged quote. */
	if (!tr_tpm_public_is_ak(ak))
		return tr_err_set(err, TR_E_INVALID,
				  "the attestation key must be fixed to its TPM, made by it, and restricted to signing what the TPM made",
				  "attributes %08x", ak->attributes);
	return tr_tpm_make_credential(ek, tr_view(ak->name, ak->name_len), q->secret, blob, encrypted, err);
}

void tr_appraise_credential(struct tr_chan *c, const struct tr_frame *f)
{
	tr_auto(tr_buf_done) struct tr_buf blob = TR_BUF_INIT, encrypted = TR_BUF_INIT;
	struct tr_tpm_public ak = { 0 }, ek = { 0 };
	struct tr_msg_tpm_credential q;
	struct tr_msg_tpm_credential_made m = { 0 };
	uint8_t digest[32];
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_tpm_credential_def, f->payload, &q, &err) ||
	    make_credential(&q, &ak, &ek, &blob, &encrypted, &err)) {
		m.code = err.code;
		m.why = tr_view_str(err.pub);
	} else {
		tr_sha256(tr_view(ek.name, ek.name_len), digest);
		m.ak_name = tr_view(ak.name, ak.name_len);
		m.ek_digest = TR_VIEW_ARRAY(digest);
		m.blob = tr_buf_view(&blob);
		m.encrypted = tr_buf_view(&encrypted);
	}
	tr_chan_send_record(c, TR_M_TPM_CREDENTIAL_MADE, f->id, &tr_msg_tpm_credential_made_def, &m);
}
