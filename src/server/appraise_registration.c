/* SPDX-License-Identifier: Apache-2.0 */
/* In role `appraise`: a registration with evidence, from JSON to fields. Nothing of the evidence is judged here; that the
 * parts of a request agree with one another, and that it is signed by the key that it brings, is. */
#include "server/appraise_tee.h"

#include "base/log.h"
#include "codec/ident.h"
#include "codec/json.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "server/msg_tee.h"
#include "signed/prekey.h"
#include "signed/request_sig.h"

#include <stdlib.h>

#define CAPABILITIES_MAX 32
#define ENDPOINT_MAX 512
#define WHERE " (docs/protocol/attestation.md)"

struct reading {
	struct tr_json *json;
	struct tr_pubkey *key;
	struct tr_buf certificate, quote, set, challenge, prekey, capabilities, activation;
	uint8_t activation_id[16], ek_digest[32];
	struct tr_tpm_public ak;
	struct tr_view public_key; /* PEM text, in json */
	const char *slug;          /* of a refusal that is not "malformed" */
};

static void reading_done(struct reading *r)
{
	r->json = tr_json_free(r->json);
	r->key = tr_pubkey_free(r->key);
	tr_buf_done(&r->certificate);
	tr_buf_done(&r->quote);
	tr_buf_done(&r->set);
	tr_buf_done(&r->challenge);
	tr_buf_done(&r->prekey);
	tr_buf_done(&r->capabilities);
	tr_buf_done(&r->activation);
}

/* ---- members ---- */

struct known {
	const char *const *names;
	bool strange;
};

static bool is_known(void *arg, const char *key, tr_jnode value)
{
	struct known *k = arg;

	(void)value;
	for (size_t i = 0; k->names[i]; i++)
		if (strcmp(k->names[i], key) == 0)
			return true;
	k->strange = true;
	return false;
}

/* What nobody reads may not stand there: it would be taken for said and signed. */
static bool only(tr_jnode object, const char *const *names)
{
	struct known k = { .names = names };

	if (!tr_json_is_object(object))
		return false;
	tr_json_each(object, is_known, &k);
	return !k.strange;
}

static TR_RC bad(struct tr_err *err, const char *sentence, const char *where)
{
	return tr_err_set(err, TR_E_INVALID, sentence, "%s", where);
}

static TR_RC get_ident(tr_jnode n, bool required, struct tr_view *ret, const char *sentence, struct tr_err *err)
{
	*ret = tr_view(NULL, 0);
	if (!n && !required)
		return TR_OK;
	if (!tr_json_str(n, ret) || !tr_ident_ok(*ret))
		return bad(err, sentence, "identifier");
	return TR_OK;
}

static TR_RC get_b64(tr_jnode n, size_t max, struct tr_buf *ret, const char *sentence, struct tr_err *err)
{
	struct tr_view text;

	if (!n)
		return TR_OK;
	ret->max = max;
	if (!tr_json_str(n, &text) || text.n == 0 || tr_b64_get(text, TR_B64_STD, ret, err) || !tr_buf_ok(ret))
		return bad(err, sentence, "base64");
	return TR_OK;
}

/* Where another agent will connect to: shown to it as it is, so nothing but a plain https address. */
static TR_RC get_endpoint(tr_jnode n, struct tr_view *ret, struct tr_err *err)
{
	*ret = tr_view(NULL, 0);
	if (!n)
		return TR_OK;
	if (!tr_json_str(n, ret) || ret->n > ENDPOINT_MAX || !tr_view_starts(*ret, "https://"))
		return bad(err, "endpoints must be https addresses of at most 512 bytes", "endpoint");
	for (size_t i = 0; i < ret->n; i++)
		if (ret->p[i] <= 0x20 || ret->p[i] >= 0x7f || strchr("\"<>\\^`{|}", ret->p[i]))
			return bad(err, "endpoints must be https addresses of at most 512 bytes", "endpoint");
	return TR_OK;
}

static int by_name(const void *a, const void *b)
{
	const struct tr_view *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int c = memcmp(x->p, y->p, n);

	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static TR_RC get_capabilities(tr_jnode n, struct tr_buf *ret, struct tr_err *err)
{
	static const char sentence[] = "capabilities must be at most 32 identifiers, each once";
	struct tr_view list[CAPABILITIES_MAX];
	size_t count = tr_json_len(n);

	if (!n)
		return TR_OK;
	if (!tr_json_is_array(n) || count > CAPABILITIES_MAX)
		return bad(err, sentence, "capabilities");
	for (size_t i = 0; i < count; i++)
		if (!tr_json_str(tr_json_at(n, i), &list[i]) || !tr_ident_ok(list[i]))
			return bad(err, sentence, "capabilities");
	qsort(list, count, sizeof(*list), by_name);
	for (size_t i = 0; i < count; i++) {
		if (i && tr_view_eq(list[i - 1], list[i]))
			return bad(err, sentence, "capabilities");
		tr_buf_adds(ret, i ? "," : "");
		tr_buf_addv(ret, list[i]);
	}
	return ret->n <= 2048 ? tr_buf_check(ret, err) : bad(err, sentence, "capabilities");
}

/* ---- parts ---- */

static TR_RC read_key(struct reading *r, tr_jnode n, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest;

	if (!tr_json_str(n, &r->public_key) || r->public_key.n > 4096 ||
	    tr_pem_get(r->public_key, &label, &der, &rest, err) || !tr_view_is(label, "PUBLIC KEY"))
		return bad(err, "attestation_data.public_key must be one PEM block PUBLIC KEY", "public_key");
	if (tr_pubkey_from_pem(r->public_key, &r->key, err)) {
		r->slug = err->code == TR_E_DENIED ? "key_refused" : NULL;
		return err->code;
	}
	return TR_OK;
}

/* For schemes that bind a TLS certificate: it speaks for this key only when it is this key's. */
static TR_RC read_certificate(struct reading *r, tr_jnode n, struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;

	if (get_b64(n, TR_CERT_DER_MAX, &r->certificate, "attestation_data.certificate must be base64 of a certificate in DER", err))
		return err->code;
	if (!r->certificate.n)
		return TR_OK;
	if (tr_cert_parse(tr_buf_view(&r->certificate), &cert, err) || !tr_cert_key(cert) ||
	    memcmp(tr_pubkey_id(tr_cert_key(cert)), tr_pubkey_id(r->key), 32) != 0)
		return bad(err, "attestation_data.certificate is not one of attestation_data.public_key", "certificate");
	return TR_OK;
}

static TR_RC read_evidence(struct reading *r, tr_jnode data, struct tr_msg_registration_read *m, struct tr_err *err)
{
	static const char *const names[] = { "quote", "public_key", "kind", "challenge", "evidence", "certificate", NULL };
	static struct tr_tee_set set;
	enum tr_tee_kind kind;

	if (!only(data, names))
		return bad(err, "attestation_data has a member that is not known here" WHERE, "attestation_data");
	if (read_key(r, tr_json_get(data, "public_key"), err) ||
	    get_b64(tr_json_get(data, "quote"), TR_TEE_SET_MAX, &r->quote, "attestation_data.quote must be base64", err) ||
	    get_b64(tr_json_get(data, "challenge"), 32, &r->challenge,
		    "attestation_data.challenge must be base64 of the 32 bytes that /api/v1/challenge gave", err) ||
	    get_b64(tr_json_get(data, "evidence"), TR_TEE_SET_MAX, &r->set,
		    "attestation_data.evidence must be base64 of an evidence set", err) ||
	    get_ident(tr_json_get(data, "kind"), false, &m->kind, "attestation_data.kind must be tdx, sgx, snp or tpm", err) ||
	    read_certificate(r, tr_json_get(data, "certificate"), err))
		return err->code;
	if (!r->quote.n)
		return bad(err, "attestation_data.quote is missing", "quote");
	if (r->challenge.n && r->challenge.n != 32)
		return bad(err, "attestation_data.challenge must be base64 of the 32 bytes that /api/v1/challenge gave", "challenge");
	if (m->kind.n && !tr_tee_kind_of(m->kind, &kind))
		return bad(err, "attestation_data.kind must be tdx, sgx, snp or tpm", "kind");
	if (!r->set.n)
		return TR_OK;
	if (tr_tee_set_get(tr_buf_view(&r->set), &set, err))
		return err->code;
	if (!tr_view_eq(set.quote, tr_buf_view(&r->quote)) || (m->kind.n && set.kind != kind))
		return bad(err, "attestation_data.evidence is of another quote or kind than stands beside it", "evidence");
	m->kind = tr_view_str(tr_tee_kind_name(set.kind));
	return TR_OK;
}

static TR_RC read_activation(struct reading *r, tr_jnode n, struct tr_msg_registration_read *m, struct tr_err *err)
{
	static const char *const names[] = { "id", "secret", NULL };
	struct tr_view id;

	if (!n)
		return TR_OK;
	if (!only(n, names) || !tr_json_str(tr_json_get(n, "id"), &id) || id.n != 32 || !tr_hex_get(id, r->activation_id, 16))
		return bad(err, "activation must have the id that the credential came with, and the secret", "activation");
	if (get_b64(tr_json_get(n, "secret"), 64, &r->activation, "activation.secret must be base64", err))
		return err->code;
	m->activation_id = TR_VIEW_ARRAY(r->activation_id);
	m->activation_secret = tr_buf_view(&r->activation);
	return TR_OK;
}

static TR_RC read_prekey(struct reading *r, tr_jnode n, struct tr_msg_registration_read *m, struct tr_err *err)
{
	struct tr_prekey p;

	if (get_b64(n, TR_PREKEY_MAX, &r->prekey, "prekey must be base64 of a signed pre-key", err))
		return err->code;
	if (!r->prekey.n)
		return TR_OK;
	if (tr_prekey_verify(tr_buf_view(&r->prekey), r->key, &p, err) || !tr_view_eq(p.agent, m->agent_id))
		return bad(err, "the pre-key is not this agent's, by this key", "prekey");
	m->prekey = tr_buf_view(&r->prekey);
	m->prekey_number = p.number;
	return TR_OK;
}

static bool differs(struct tr_view digest, struct tr_view bytes)
{
	uint8_t have[32];

	tr_sha256(bytes, have);
	return digest.n && !tr_view_eq(digest, TR_VIEW_ARRAY(have));
}

/* A proxy or a careless client may have changed one of both: what is verified must be what was meant. */
static TR_RC check_headers(struct reading *r, const struct tr_msg_hub *h, struct tr_err *err)
{
	if (h->bad_base64 || differs(h->quote_sha256, tr_buf_view(&r->quote)) || differs(h->key_sha256, r->public_key)) {
		r->slug = "header_mismatch";
		return tr_err_set(err, TR_E_INVALID,
				  "X-Attestation-Quote or X-Public-Key is not base64 of what stands in the body", "headers");
	}
	return TR_OK;
}

static TR_RC check_signature(struct reading *r, const struct tr_msg_hub *h, struct tr_msg_registration_read *m,
			     struct tr_err *err)
{
	struct tr_request_sig sig = { .method = h->method, .target = h->target, .agent = h->agent, .timestamp = h->timestamp,
				      .nonce = h->nonce };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	if (h->agent.n && !tr_view_eq(h->agent, m->agent_id)) {
		r->slug = "wrong_agent";
		return tr_err_set(err, TR_E_DENIED, "X-Requesting-Agent is not the agent_id of the body", "X-Requesting-Agent");
	}
	if (!h->signature.n)
		return TR_OK;
	if (h->body_sha256.n == 32)
		memcpy(sig.body_sha256, h->body_sha256.p, 32);
	if (tr_request_sig_text(&sig, &text, &m->signed_at, err))
		return err->code;
	if (tr_request_sig_verify(&sig, h->signature, r->key, err)) {
		r->slug = "bad_signature";
		return tr_err_set(err, TR_E_UNAUTH,
				  "X-Attestation-Signature is not over this request by attestation_data.public_key", "signature");
	}
	m->is_signed = true;
	return TR_OK;
}

static TR_RC read_body(struct reading *r, const struct tr_msg_read_registration *q, struct tr_msg_registration_read *m,
		       struct tr_err *err)
{
	static const char *const names[] = { "agent_id", "agent_type", "capabilities", "endpoint", "attestation_endpoint",
					     "attestation_data", "prekey", "activation", NULL };
	struct tr_msg_hub h = { 0 };
	tr_jnode root;

	if ((q->hub.n && tr_record_decode(&tr_msg_hub_def, q->hub, &h, err)) || tr_json_parse(q->body, &r->json, err))
		return err->code;
	root = tr_json_root(r->json);
	if (!only(root, names))
		return bad(err, "the registration has a member that is not known here" WHERE, "body");
	if (get_ident(tr_json_get(root, "agent_id"), true, &m->agent_id,
		      "agent_id must be an identifier: 1 to 64 of a-z A-Z 0-9 . _ - and begin with a letter or digit", err) ||
	    get_ident(tr_json_get(root, "agent_type"), true, &m->agent_type, "agent_type must be an identifier", err) ||
	    get_capabilities(tr_json_get(root, "capabilities"), &r->capabilities, err) ||
	    get_endpoint(tr_json_get(root, "endpoint"), &m->endpoint, err) ||
	    get_endpoint(tr_json_get(root, "attestation_endpoint"), &m->attestation_endpoint, err) ||
	    read_evidence(r, tr_json_get(root, "attestation_data"), m, err) || check_headers(r, &h, err) ||
	    check_signature(r, &h, m, err) || read_prekey(r, tr_json_get(root, "prekey"), m, err) ||
	    read_activation(r, tr_json_get(root, "activation"), m, err))
		return err->code;
	m->capabilities = tr_buf_view(&r->capabilities);
	m->challenge = tr_buf_view(&r->challenge);
	m->certificate = tr_buf_view(&r->certificate);
	m->set = tr_buf_view(&r->set);
	/* What the set has already is not sent twice. */
	m->quote = r->set.n ? tr_view(NULL, 0) : tr_buf_view(&r->quote);
	m->spki = tr_pubkey_spki(r->key);
	m->key_id = tr_view(tr_pubkey_id(r->key), 32);
	m->key_type = tr_view_str(tr_pubkey_type_name(r->key));
	return TR_OK;
}

/* The TPM's keys that are said to be behind a quote: core knows what they may be trusted with. */
static void name_tpm(struct reading *r, struct tr_msg_registration_read *m)
{
	static struct tr_tee_set set;
	struct tr_tpm_public ek;
	struct tr_err err = { 0 };

	if (!m->set.n || tr_tee_set_get(m->set, &set, &err) || set.kind != TR_TEE_TPM)
		return;
	if (set.ak_public.n && !tr_tpm_public_parse(set.ak_public, &r->ak, &err))
		m->ak_name = tr_view(r->ak.name, r->ak.name_len);
	if (!set.ek_cert.n || tr_tpm_ek_read(set.ek_cert, &ek, &err))
		return;
	tr_sha256(tr_view(ek.name, ek.name_len), r->ek_digest);
	m->ek_digest = TR_VIEW_ARRAY(r->ek_digest);
}

void tr_registration_read(struct tr_view question, tr_registration_fn then, void *arg)
{
	struct reading r = { 0 };
	struct tr_msg_read_registration q;
	struct tr_msg_registration_read m = { 0 };
	struct tr_err err = { 0 };

	if (tr_record_decode(&tr_msg_read_registration_def, question, &q, &err) || read_body(&r, &q, &m, &err)) {
		m = (struct tr_msg_registration_read){ .code = err.code ? err.code : TR_E_INVALID,
						       .slug = tr_view_str(r.slug ? r.slug : "malformed"),
						       .why = tr_view_str(err.pub) };
	} else {
		name_tpm(&r, &m);
	}
	then(arg, &m);
	reading_done(&r);
}

struct asked {
	struct tr_chan *c;
	uint64_t id;
};

static void answer(void *arg, const struct tr_msg_registration_read *m)
{
	const struct asked *a = arg;

	tr_chan_send_record(a->c, TR_M_REGISTRATION_READ, a->id, &tr_msg_registration_read_def, m);
}

void tr_appraise_registration(struct tr_chan *c, const struct tr_frame *f)
{
	struct asked a = { c, f->id };

	tr_registration_read(f->payload, answer, &a);
}

/* Is this body a registration with evidence? Other forms are told apart by those who read them. */
bool tr_is_registration_with_evidence(struct tr_view body)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err = { 0 };

	/* A claim has no such member; most bodies end here. */
	if (!memmem(body.p, body.n, "\"attestation_data\"", 18) || tr_json_parse(body, &j, &err))
		return false;
	return tr_json_get(tr_json_root(j), "attestation_data") != NULL;
}
