/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attest.h"

#include "agent/attest_tpm.h"
#include "agent/peer_conf.h"
#include "agent/refusal.h"
#include "appraise/tee.h"
#include "codec/text.h"
#include "tee/tpm.h"

#include <stdio.h>
#include <stdlib.h>

#define CHALLENGE_LEN 32
#define ARENA 8192
#define TIMEOUT_MS 30000 /* a TPM and a verifier take their time */

TR_RC tr_attest_evidence(const struct tr_tee_choice *c, struct tr_view challenge, struct tr_view spki, struct tr_buf *ret_set,
			 struct tr_err *err)
{
	struct tr_tee_ask ask;

	if (!c->source)
		return tr_err_set(err, TR_E_UNAVAIL, "this machine has no TEE and no TPM that the agent may use", "no source");
	tr_rd_troth(challenge, spki, ask.report_data);
	tr_rd_troth_tpm(challenge, spki, ask.qualifying);
	return c->source->quote(&c->conf, &ask, ret_set, err);
}

int64_t tr_attest_due_ms(int64_t verified_ms, int64_t expires_ms, uint32_t random)
{
	int64_t life = expires_ms > verified_ms ? expires_ms - verified_ms : 0;

	/* Between two and four fifths less a fifth: 40 % to 80 %, on average 60 %. */
	return verified_ms + life / 5 * 2 + (life / 5 * 2 / 1000 * (int64_t)(random >> 16) * 1000 >> 16);
}

/* ---- the request ---- */

static void member_b64(struct tr_buf *b, const char *name, struct tr_view bytes)
{
	tr_buf_addf(b, ",\"%s\":\"", name);
	tr_b64_add(b, bytes, TR_B64_STD);
	tr_buf_adds(b, "\"");
}

TR_RC tr_attest_body(const struct tr_attest_request *q, struct tr_buf *b, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_tee_set set;

	if (tr_tee_set_get(q->set, &set, err))
		return tr_err_wrap(err, "our own evidence");
	tr_pubkey_pem(q->key, &pem);
	if (tr_buf_check(&pem, err))
		return err->code;
	tr_buf_adds(b, "{\"agent_id\":");
	tr_json_put_str(b, q->agent_id);
	tr_json_member_str(b, "agent_type", q->agent_type);
	tr_buf_adds(b, ",\"capabilities\":[");
	for (size_t i = 0; i < q->n_capabilities; i++) {
		if (i)
			tr_buf_add8(b, ',');
		tr_json_put_str(b, q->capabilities[i]);
	}
	tr_buf_adds(b, "]");
	if (q->endpoint.n)
		tr_json_member_str(b, "endpoint", q->endpoint);
	if (q->attestation_endpoint.n)
		tr_json_member_str(b, "attestation_endpoint", q->attestation_endpoint);
	tr_buf_adds(b, ",\"attestation_data\":{\"kind\":");
	tr_json_put_str(b, tr_view_str(tr_tee_kind_name(set.kind)));
	tr_json_member_str(b, "public_key", tr_buf_view(&pem));
	member_b64(b, "quote", set.quote);
	member_b64(b, "challenge", q->challenge);
	member_b64(b, "evidence", q->set);
	tr_buf_adds(b, "}");
	if (q->prekey.n)
		member_b64(b, "prekey", q->prekey);
	if (q->activation_id.n) {
		tr_buf_adds(b, ",\"activation\":{\"id\":\"");
		tr_hex_add(b, q->activation_id);
		tr_buf_adds(b, "\"");
		member_b64(b, "secret", q->activation_secret);
		tr_buf_adds(b, "}");
	}
	tr_buf_adds(b, "}");
	return tr_buf_check(b, err);
}

/* ---- the exchange ---- */

static TR_RC get_challenge(const struct tr_attest_io *io, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	const struct tr_client_request q = { .method = "GET", .path = "/api/v1/challenge", .verify_time_ms = io->verify_ms };
	struct tr_view text;

	if (tr_client_do(io->client, &q, &a, err))
		return err->code;
	if (a.status != 200)
		return tr_err_set(err, TR_E_UNAVAIL, "the server gave no challenge", "status %d", a.status);
	if (tr_json_parse(tr_buf_view(&a.body), &doc, err))
		return err->code;
	if (!tr_json_str(tr_json_get(tr_json_root(doc), "challenge"), &text) || tr_b64_get(text, TR_B64_STD, ret, err) ||
	    ret->n != CHALLENGE_LEN)
		return tr_err_set(err, TR_E_INVALID, "the server's challenge is not of the documented form", "challenge");
	return TR_OK;
}

static struct tr_view keep(struct tr_buf *arena, struct tr_view v)
{
	uint8_t *p = v.n ? tr_buf_space(arena, v.n) : NULL;

	if (!p)
		return tr_view(NULL, 0);
	memcpy(p, v.p, v.n);
	return tr_view(p, v.n);
}

static struct tr_view member(struct tr_buf *arena, tr_jnode root, const char *name)
{
	struct tr_view v;

	return tr_json_str(tr_json_get(root, name), &v) ? keep(arena, v) : tr_view(NULL, 0);
}

static TR_RC take_answer(const struct tr_client_answer *a, struct tr_buf *arena, struct tr_attestation *ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_jnode root;
	struct tr_view until;
	bool yes = false;

	if (tr_json_parse(tr_buf_view(&a->body), &doc, err))
		return err->code;
	root = tr_json_root(doc);
	/* Only a 201 that says so is one (origins: clients of the original read both). */
	if (!tr_view_is(member(arena, root, "verification_status"), "verified") ||
	    !tr_json_str(tr_json_get(root, "expires_at"), &until) || !tr_rfc3339_get(until, &ret->expires_at))
		return tr_err_set(err, TR_E_INVALID, "the server's answer to our evidence is not of the documented form", "201");
	ret->state = TR_VIEW_LIT("verified");
	ret->policy = member(arena, root, "policy");
	ret->verdict = member(arena, root, "verdict");
	ret->tier = member(arena, root, "tier");
	ret->tcb_status = member(arena, root, "tcb_status");
	ret->simulated = tr_json_bool(tr_json_get(root, "simulated"), &yes) && yes;
	return TR_OK;
}

static TR_RC refused(const struct tr_client_answer *a, struct tr_buf *arena, struct tr_attestation *ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_err none = { 0 };
	struct tr_said_no no;
	struct tr_view state;

	tr_refusal_read(tr_buf_view(&a->body), &no);
	/* Who has no time now has not changed his mind. */
	ret->stands = a->status >= 500 || a->status == 429;
	ret->state = ret->stands ? TR_VIEW_LIT("unavailable") : TR_VIEW_LIT("refused");
	if (!tr_json_parse(tr_buf_view(&a->body), &doc, &none) &&
	    tr_json_str(tr_json_get(tr_json_root(doc), "attestation"), &state))
		ret->stands = tr_view_is(state, "verified");
	ret->code = keep(arena, tr_view_str(no.code));
	ret->why = keep(arena, tr_view_str(no.detail));
	return tr_err_set(err, TR_E_DENIED, "the server did not accept our evidence", "status %d %s: %s", a->status, no.code,
			  no.detail);
}

/* What the server says to a TPM before it quotes. A server that knows of no activation leaves it to the evidence. */
static TR_RC activate(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_buf *id, struct tr_buf *secret,
		      struct tr_buf *arena, struct tr_attestation *ret, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	enum tr_code rc = TR_OK;

	if (c->source == &tr_tee_tpm)
		rc = tr_attest_activate(io, c, &a, id, secret, err);
	if (rc || !a.status || a.status == 200 || a.status == 404)
		return rc;
	ret->kind = tr_view_str(tr_tee_kind_name(TR_TEE_TPM));
	return refused(&a, arena, ret, err);
}

static TR_RC exchange(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_attest_request *q,
		      struct tr_buf *arena, struct tr_attestation *ret, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf challenge = TR_BUF_INIT, set = TR_BUF_INIT, body = TR_BUF_INIT, id = TR_BUF_INIT,
				  secret = TR_BUF_INIT;
	struct tr_client_request req = { .method = "POST", .path = "/api/v1/agents/register", .content_type = "application/json",
					 .timeout_ms = TIMEOUT_MS, .verify_time_ms = io->verify_ms };
	struct tr_tee_set read;
	enum tr_code rc = activate(io, c, &id, &secret, arena, ret, err);

	q->activation_id = tr_buf_view(&id);
	q->activation_secret = tr_buf_view(&secret);
	if (!rc)
		rc = get_challenge(io, &challenge, err);
	if (!rc)
		rc = tr_attest_evidence(c, tr_buf_view(&challenge), tr_pubkey_spki(q->key), &set, err);
	if (!rc)
		rc = tr_tee_set_get(tr_buf_view(&set), &read, err);
	if (rc)
		return rc;
	ret->kind = tr_view_str(tr_tee_kind_name(read.kind));
	q->challenge = tr_buf_view(&challenge);
	q->set = tr_buf_view(&set);
	rc = tr_attest_body(q, &body, err);
	req.body = tr_buf_view(&body);
	if (!rc)
		rc = tr_client_do(io->client, &req, &a, err);
	if (rc)
		return rc;
	return a.status == 201 ? take_answer(&a, arena, ret, err) : refused(&a, arena, ret, err);
}

TR_RC tr_attest(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_buf *arena, struct tr_attestation *ret,
		struct tr_err *err)
{
	tr_auto(tr_peer_conf_done) struct tr_peer_conf peer = { 0 };
	const char *type = getenv("AGENT_TYPE");
	char at[TR_URL_MAX + 16];
	struct tr_attest_request q = { .agent_id = io->state->conf.agent_id, .agent_type = io->state->conf.agent_type,
				       .key = tr_privkey_pub(io->key), .prekey = io->prekey };
	enum tr_code rc = tr_peer_conf_load(io->state, &peer, err);

	/* Room for everything at once: what was kept must not move. */
	if (!tr_buf_space(arena, ARENA))
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "attestation");
	tr_buf_clear(arena);

	*ret = (struct tr_attestation){ .state = TR_VIEW_LIT("unavailable"), .source = tr_view_str(c->source ? c->source->name : ""),
					.key_id = tr_view(tr_pubkey_id(q.key), 32) };
	if (rc && rc != TR_E_NOTFOUND)
		return rc;
	if (!rc) {
		q.capabilities = peer.capabilities;
		q.n_capabilities = peer.n_capabilities;
		q.endpoint = peer.endpoint;
		if (peer.endpoint.n) {
			(void)snprintf(at, sizeof(at), "%.*s/attestation", TR_VIEW_FMT(peer.endpoint));
			q.attestation_endpoint = tr_view_str(at);
		}
	}
	if (!q.agent_type.n && type)
		q.agent_type = tr_view_str(type);
	rc = exchange(io, c, &q, arena, ret, err);
	if (!rc)
		ret->verified_at = io->now_ms;
	return rc;
}
