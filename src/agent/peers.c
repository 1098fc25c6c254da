/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peers.h"

#include "codec/text.h"
#include "signed/result_token.h"

#include <stdio.h>

#define SKEW_S 300

struct tr_peer_info *tr_peer_info_free(struct tr_peer_info *p)
{
	if (p) {
		p->key = tr_pubkey_free(p->key);
		free(p);
	}
	return NULL;
}

/* A text that fits; another one is left empty. */
static void copy(char *out, size_t n, tr_jnode v)
{
	struct tr_view text;

	if (tr_json_str(v, &text) && text.n < n && !(text.n && memchr(text.p, 0, text.n)))
		(void)snprintf(out, n, "%.*s", TR_VIEW_FMT(text));
}

static bool says(tr_jnode v, struct tr_view want)
{
	struct tr_view text;

	return tr_json_str(v, &text) && tr_view_eq(text, want);
}

/* The token must name this agent, this key, and a good end. */
static TR_RC read_token(const struct tr_peer_rules *r, struct tr_view token, int64_t now_s, struct tr_peer_info *p,
			struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf claims = TR_BUF_INIT, kid = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_jnode root, own;
	bool yes = false;
	enum tr_code rc = tr_result_token_verify(token, r->cas, r->trust_domain, now_s * 1000, &claims, err);

	if (rc)
		return tr_err_wrap(err, "result token");
	if (tr_json_parse(tr_buf_view(&claims), &doc, err))
		return tr_err_wrap(err, "claims of the result token");
	root = tr_json_root(doc);
	own = tr_json_get(root, "troth");
	tr_hex_add(&kid, tr_view(tr_pubkey_id(p->key), 32));
	if (!says(tr_json_get(root, "sub"), tr_view_str(p->agent)))
		return tr_err_set(err, TR_E_DENIED, "the attestation result is another agent's", "sub");
	if (!says(tr_json_get(tr_json_get(root, "cnf"), "kid"), tr_buf_view(&kid)))
		return tr_err_set(err, TR_E_DENIED, "the attestation result is for another key than the hub says", "cnf");
	if (!tr_json_bool(tr_json_get(own, "verified"), &yes) || !yes)
		return tr_err_set(err, TR_E_DENIED, "the attestation result does not say that it was verified", "verified");
	if (!tr_json_int(tr_json_get(root, "exp"), &p->expires_s) || p->expires_s <= now_s)
		return tr_err_set(err, TR_E_DENIED, "the attestation result has expired", "exp");
	/* Shown, and compared with what peer.json allows: by the result's word, not the hub's. */
	copy(p->type, sizeof(p->type), tr_json_get(own, "agent_type"));
	copy(p->kind, sizeof(p->kind), tr_json_get(own, "kind"));
	copy(p->tier, sizeof(p->tier), tr_json_get(own, "tier"));
	copy(p->tcb_status, sizeof(p->tcb_status), tr_json_get(own, "tcb_status"));
	copy(p->policy, sizeof(p->policy),
	     tr_json_at(tr_json_get(tr_json_get(tr_json_get(root, "submods"), "tee"), "ear_appraisal_policy_ids"), 0));
	(void)tr_json_bool(tr_json_get(own, "simulated"), &p->simulated);
	return TR_OK;
}

/* None is no fault: then nothing can be sealed to it. One that is not right is. */
static TR_RC read_prekey(const struct tr_peer_rules *r, struct tr_view b64, int64_t now_s, struct tr_peer_info *p,
			 struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf cose = TR_BUF_INIT;
	enum tr_code rc;

	if (!b64.n)
		return TR_OK;
	rc = tr_b64_get(b64, TR_B64_STD, &cose, err);
	if (!rc)
		rc = tr_prekey_verify(tr_buf_view(&cose), p->key, &p->prekey, err);
	if (rc)
		return tr_err_wrap(err, "pre-key of %s", p->agent);
	if (!tr_view_is(p->prekey.fleet, r->trust_domain) || !tr_view_is(p->prekey.agent, p->agent))
		return tr_err_set(err, TR_E_DENIED, "the pre-key is another agent's", "%s", p->agent);
	if (p->prekey.number < r->prekey_number)
		return tr_err_set(err, TR_E_DENIED, "the hub shows an older pre-key than before",
				  "number %llu after %llu", (unsigned long long)p->prekey.number,
				  (unsigned long long)r->prekey_number);
	p->prekey.fleet = p->prekey.agent = tr_view(NULL, 0);
	p->has_prekey = p->prekey.not_before <= now_s + SKEW_S && p->prekey.not_after > now_s;
	return TR_OK;
}

/* By the result's word. One that this program does not know is none. */
static bool is_of_tier(const struct tr_peer_info *p, enum tr_tier min)
{
	enum tr_tier tier = TR_TIER_NONE;

	if (p->simulated || !tr_tier_from_name(tr_view_str(p->tier), &tier))
		tier = TR_TIER_NONE;
	return tier >= min;
}

TR_RC tr_peer_still_good(const struct tr_peer_rules *r, const struct tr_peer_info *p, int64_t now_s, struct tr_err *err)
{
	if (tr_revocations_has(r->revocations, tr_view_str(p->agent), tr_pubkey_id(p->key)))
		return tr_err_set(err, TR_E_DENIED, "this agent was revoked", "%s", p->agent);
	if (!tr_peer_conf_allows(r->conf, tr_view_str(p->agent), tr_view_str(p->type)))
		return tr_err_set(err, TR_E_DENIED, "this agent is not among those that peer.json allows", "%s", p->agent);
	if (!is_of_tier(p, r->conf->min_tier))
		return tr_err_set(err, TR_E_DENIED, "this agent's proof is of a lower tier than peer.json wants (min_tier)",
				  "%s: %s", p->agent, p->tier);
	if (p->expires_s <= now_s)
		return tr_err_set(err, TR_E_DENIED, "the attestation result has expired", "%s", p->agent);
	return TR_OK;
}

TR_RC tr_peer_read(const struct tr_peer_rules *r, struct tr_view json, struct tr_view agent, int64_t now_s,
		   struct tr_peer_info **ret, struct tr_err *err)
{
	tr_auto(tr_peer_info_free) struct tr_peer_info *p = calloc(1, sizeof(*p));
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_view pem, token = { 0 }, prekey = { 0 };
	tr_jnode root, info;
	enum tr_code rc;

	if (!p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "peer");
	if (agent.n >= sizeof(p->agent) || tr_json_parse(json, &doc, err))
		return tr_err_set(err, TR_E_INVALID, "the hub's answer is not understood", "discovery");
	root = tr_json_root(doc);
	info = tr_json_get(root, "attestation_info");
	(void)snprintf(p->agent, sizeof(p->agent), "%.*s", TR_VIEW_FMT(agent));
	if (!says(tr_json_get(root, "agent_id"), agent))
		return tr_err_set(err, TR_E_DENIED, "the hub answers for another agent", "agent_id");
	if (!tr_json_str(tr_json_get(info, "public_key_pem"), &pem) || !tr_json_str(tr_json_get(info, "token"), &token))
		return tr_err_set(err, TR_E_INVALID, "the hub's answer lacks key or attestation result", "discovery");
	(void)tr_json_str(tr_json_get(info, "prekey"), &prekey);
	copy(p->endpoint, sizeof(p->endpoint), tr_json_get(root, "endpoint"));
	copy(p->attestation_endpoint, sizeof(p->attestation_endpoint), tr_json_get(root, "attestation_endpoint"));
	p->asked_s = now_s;
	rc = tr_pubkey_from_pem(pem, &p->key, err);
	if (!rc)
		rc = read_token(r, token, now_s, p, err);
	if (!rc)
		rc = read_prekey(r, prekey, now_s, p, err);
	if (!rc)
		rc = tr_peer_still_good(r, p, now_s, err);
	if (rc)
		return tr_err_wrap(err, "peer %s", p->agent);
	*ret = TR_TAKE(p);
	return TR_OK;
}

/* ---- what is known ---- */

struct tr_peer_info *tr_peers_find(const struct tr_peers *p, struct tr_view agent)
{
	for (size_t i = 0; i < p->n; i++)
		if (tr_view_is(agent, p->list[i]->agent))
			return p->list[i];
	return NULL;
}

void tr_peers_put(struct tr_peers *p, struct tr_peer_info *info)
{
	struct tr_peer_info **at = NULL;

	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->list[i]->agent, info->agent) == 0)
			at = &p->list[i];
	if (!at && p->n < TR_PEERS_MAX) {
		p->list[p->n++] = info;
		return;
	}
	/* Full: in the place of the one that ends first. */
	if (!at)
		at = &p->list[0];
	for (size_t i = 0; strcmp((*at)->agent, info->agent) != 0 && i < p->n; i++)
		if (p->list[i]->expires_s < (*at)->expires_s)
			at = &p->list[i];
	(void)tr_peer_info_free(*at);
	*at = info;
}

void tr_peers_drop(struct tr_peers *p, struct tr_view agent)
{
	for (size_t i = 0; i < p->n; i++) {
		if (!tr_view_is(agent, p->list[i]->agent))
			continue;
		(void)tr_peer_info_free(p->list[i]);
		p->list[i] = p->list[--p->n];
		return;
	}
}
