/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/secretvm.h"

#include "agent/agent.h"
#include "agent/attest.h"
#include "agent/bootstrap.h"
#include "agent/refusal.h"
#include "agent/tee_secretvm.h"
#include "base/clock.h"
#include "base/file.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "signed/request_sig.h"
#include "signed/token.h"

#include <stdio.h>

#define PATH "/api/v1/agents/register"
#define PEM_MAX 4096
#define NONCE_LEN 16

static TR_RC find_pin(const struct tr_secretvm_opts *o, uint8_t pin[32], struct tr_err *err)
{
	const char *hex = o->root && strncmp(o->root, "sha256:", 7) == 0 ? o->root + 7 : o->root;
	uint8_t unused[32], of_token[32];

	if (hex && !tr_hex_get(tr_view_str(hex), pin, 32))
		return tr_err_set(err, TR_E_INVALID, "--root takes the 64 hex digits that `trothd init` prints", "%s", hex);
	if (!o->token)
		return hex ? TR_OK : tr_err_set(err, TR_E_INVALID, "an enrolment token or --root is needed: which server is it?",
						"no pin");
	if (tr_token_read(tr_view_str(o->token), unused, of_token) != TR_TOKEN_ENROL)
		return tr_err_set(err, TR_E_INVALID, "this is no enrolment token (trt_…)", "%zu characters", strlen(o->token));
	if (hex && memcmp(pin, of_token, 32) != 0)
		return tr_err_set(err, TR_E_CONFLICT, "--root and the token name different roots", "two pins");
	memcpy(pin, of_token, 32);
	return TR_OK;
}

/* The quote was made when the machine was: what the hub is sure of is that the bound key signs now. */
static TR_RC read_machine(const struct tr_secretvm_opts *o, struct tr_privkey **ret_key, struct tr_buf *ret_set,
			  struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	const struct tr_tee_ask nothing = { 0 };
	struct tr_tee_conf conf;

	tr_tee_conf_init(&conf);
	conf.secretvm_quote = o->quote;
	if (tr_file_read(o->public_key, PEM_MAX, &pem, err) || tr_secretvm_key(o->sign_url, tr_buf_view(&pem), ret_key, err) ||
	    tr_tee_secretvm.quote(&conf, &nothing, ret_set, err))
		return err->code;
	return TR_OK;
}

static TR_RC get_challenge(struct tr_client *c, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	const struct tr_client_request q = { .method = "GET", .path = "/api/v1/challenge" };
	struct tr_view text;

	if (tr_client_do(c, &q, &a, err) || tr_json_parse(tr_buf_view(&a.body), &doc, err))
		return err->code;
	if (a.status != 200 || !tr_json_str(tr_json_get(tr_json_root(doc), "challenge"), &text) ||
	    tr_b64_get(text, TR_B64_STD, ret, err))
		return tr_err_set(err, TR_E_UNAVAIL, "the server gave no challenge", "status %d", a.status);
	return TR_OK;
}

/* Headers of a signed request (signed/request_sig.h). */
struct headers {
	char agent[160], timestamp[40], nonce[64], signature[256];
	const char *list[5];
};

static TR_RC sign_request(const struct tr_secretvm_opts *o, const struct tr_privkey *key, struct tr_view body,
			  struct headers *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf nonce = TR_BUF_INIT, sig = TR_BUF_INIT;
	struct tr_request_sig r = { .method = TR_VIEW_LIT("POST"), .target = TR_VIEW_LIT(PATH), .agent = tr_view_str(o->id) };
	uint8_t random[NONCE_LEN];
	char seconds[24];

	tr_random(random, sizeof(random));
	tr_b64_add(&nonce, TR_VIEW_ARRAY(random), TR_B64_URL);
	(void)snprintf(seconds, sizeof(seconds), "%lld", (long long)(tr_now_ms() / 1000));
	r.nonce = tr_buf_view(&nonce);
	r.timestamp = tr_view_str(seconds);
	tr_sha256(body, r.body_sha256);
	if (tr_request_sig_make(&r, key, &sig, err))
		return err->code;
	(void)snprintf(ret->agent, sizeof(ret->agent), "X-Requesting-Agent: %s", o->id);
	(void)snprintf(ret->timestamp, sizeof(ret->timestamp), "X-Timestamp: %s", seconds);
	(void)snprintf(ret->nonce, sizeof(ret->nonce), "X-Nonce: %s", tr_buf_cstr(&nonce));
	(void)snprintf(ret->signature, sizeof(ret->signature), "X-Attestation-Signature: %s", tr_buf_cstr(&sig));
	ret->list[0] = ret->agent;
	ret->list[1] = ret->timestamp;
	ret->list[2] = ret->nonce;
	ret->list[3] = ret->signature;
	ret->list[4] = NULL;
	return TR_OK;
}

static TR_RC send_it(const struct tr_secretvm_opts *o, struct tr_client *c, const struct tr_privkey *key, struct tr_view set,
		     struct tr_client_answer *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf challenge = TR_BUF_INIT, body = TR_BUF_INIT;
	struct headers h;
	struct tr_attest_request q = { .agent_id = tr_view_str(o->id), .agent_type = tr_view_str(o->type),
				       .endpoint = tr_view_str(o->endpoint),
				       .attestation_endpoint = tr_view_str(o->attestation_endpoint ? o->attestation_endpoint
											: o->endpoint),
				       .capabilities = o->capabilities, .n_capabilities = o->n_capabilities, .set = set,
				       .key = tr_privkey_pub(key) };
	struct tr_client_request req = { .method = "POST", .path = PATH, .content_type = "application/json", .bearer = o->token };

	if (get_challenge(c, &challenge, err))
		return err->code;
	q.challenge = tr_buf_view(&challenge);
	if (tr_attest_body(&q, &body, err) || sign_request(o, key, tr_buf_view(&body), &h, err))
		return err->code;
	req.body = tr_buf_view(&body);
	req.headers = h.list;
	return tr_client_do(c, &req, ret, err);
}

static int told(const struct tr_secretvm_opts *o, const struct tr_client_answer *a)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	if (a->status == 201) {
		printf("%.*s\n", TR_VIEW_FMT(tr_buf_view(&a->body)));
		return TR_AGENT_EXIT_OK;
	}
	tr_refusal_text(a->status, tr_buf_view(&a->body), &text);
	fprintf(stderr, "troth-agent: refused by %s: %s", o->server, tr_buf_cstr(&text));
	return a->status >= 500 ? TR_AGENT_EXIT_UNREACHABLE : TR_AGENT_EXIT_REFUSED;
}

static int failed(enum tr_code rc, const struct tr_err *err)
{
	return tr_agent_fail(rc == TR_E_UNAUTH ? TR_AGENT_EXIT_WRONG_SERVER : TR_AGENT_EXIT_UNREACHABLE, err);
}

static int register_at(const struct tr_secretvm_opts *o, const uint8_t pin[32], const struct tr_privkey *key,
		       struct tr_view set)
{
	tr_auto(tr_trust_done) struct tr_trust trust = { 0 };
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	tr_auto(tr_client_free) struct tr_client *c = NULL;
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	struct tr_bootstrap b = { .pin = pin };
	struct tr_client_config conf = { .base_url = o->server, .user_agent = TR_AGENT_USER_AGENT,
					 .timeout_s = 3 * TR_AGENT_TIMEOUT_S, .max_answer = TR_AGENT_ANSWER_MAX };
	struct tr_err err = { 0 };
	enum tr_code rc = tr_bootstrap(o->server, &b, tr_now_ms(), &trust, &why, &err);

	if (rc == TR_E_DENIED) {
		fprintf(stderr, "troth-agent: wrong server, nothing was sent to it: %s\n  %s\n  %s\n", o->server, err.pub,
			tr_buf_cstr(&why));
		return TR_AGENT_EXIT_WRONG_SERVER;
	}
	conf.ca_pem = tr_buf_view(&trust.ca_pem);
	if (!rc)
		rc = tr_client_new(&conf, &c, &err);
	if (!rc)
		rc = send_it(o, c, key, set, &a, &err);
	return rc ? failed(rc, &err) : told(o, &a);
}

int tr_agent_secretvm(const struct tr_secretvm_opts *o)
{
	tr_auto(tr_privkey_free) struct tr_privkey *key = NULL;
	tr_auto(tr_buf_done) struct tr_buf set = TR_BUF_INIT;
	struct tr_err err = { 0 };
	uint8_t pin[32];

	if (!o->server || !o->id || !o->public_key || !o->quote) {
		(void)tr_err_set(&err, TR_E_INVALID, "--server, --id, --public-key and --quote are needed", "an option is missing");
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	if (!tr_ident_ok(tr_view_str(o->id))) {
		(void)tr_err_set(&err, TR_E_INVALID, "an agent's id is of letters, digits and - . _", "%s", o->id);
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	if (find_pin(o, pin, &err))
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	if (tr_client_global_init(&err) || read_machine(o, &key, &set, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	return register_at(o, pin, key, tr_buf_view(&set));
}
