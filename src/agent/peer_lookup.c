/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_inner.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/request_sig.h"

#include <stdio.h>

#define TIMEOUT_MS 10000
#define CHALLENGE 48 /* not the hub's length: TR_QUOTE_CHALLENGE_SERVER */

/* A question to the hub about one agent, and who waits for its answer. */
struct waiter {
	struct waiter *next;
	tr_lookup_fn fn;
	void *arg;
};
struct tr_lookup {
	struct tr_lookup *next;
	struct tr_peer *p;
	char agent[65];
	struct waiter *waiters;
	struct tr_peer_info *info;   /* read, its evidence is being asked for */
	uint8_t challenge[CHALLENGE];
	bool asked_itself;	     /* the agent, not the hub */
};

int64_t tr_peer_now_s(void)
{
	return tr_now_ms() / 1000;
}

void tr_peer_spiffe(const struct tr_peer *p, struct tr_view agent, char out[TR_SPIFFE_MAX])
{
	(void)snprintf(out, TR_SPIFFE_MAX, "spiffe://%.170s/agent/%.*s", p->trust_domain, TR_VIEW_FMT(agent));
}

struct tr_peer_rules tr_peer_rules_of(const struct tr_peer *p, struct tr_view agent)
{
	return (struct tr_peer_rules){ .cas = p->cas, .trust_domain = p->trust_domain, .conf = &p->conf,
				       .revocations = &p->revocations,
				       .prekey_number = tr_peer_store_prekey(&p->store, agent) };
}

TR_RC tr_peer_sign_request(const struct tr_peer *p, const char *method, const char *target, struct tr_view body,
			   struct tr_buf *ret_lines, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf nonce = TR_BUF_INIT, sig = TR_BUF_INIT;
	uint8_t random[18];
	char time[24];
	struct tr_request_sig r = { .method = tr_view_str(method), .target = tr_view_str(target), .agent = tr_view_str(p->agent_id) };
	enum tr_code rc;

	tr_random(random, sizeof(random));
	tr_b64_add(&nonce, TR_VIEW_ARRAY(random), TR_B64_URL);
	(void)snprintf(time, sizeof(time), "%lld", (long long)tr_peer_now_s());
	r.timestamp = tr_view_str(time);
	r.nonce = tr_buf_view(&nonce);
	tr_sha256(body, r.body_sha256);
	rc = tr_request_sig_make(&r, p->state.key, &sig, err);
	if (rc)
		return rc;
	tr_buf_addf(ret_lines, "X-Requesting-Agent: %s\nX-Timestamp: %s\nX-Nonce: %.*s\nX-Attestation-Signature: %.*s\n",
		    p->agent_id, time, TR_VIEW_FMT(r.nonce), TR_VIEW_FMT(tr_buf_view(&sig)));
	return tr_buf_check(ret_lines, err);
}

/* ---- the end of a question ---- */

static void lookup_free(struct tr_lookup *l)
{
	struct waiter *next;

	for (struct waiter *w = l->waiters; w; w = next) {
		next = w->next;
		free(w);
	}
	l->info = tr_peer_info_free(l->info);
	free(l);
}

static void finish(struct tr_lookup *l, struct tr_peer_info *info, const struct tr_no *no)
{
	struct waiter *next;

	for (struct tr_lookup **at = &l->p->lookups; *at; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
	for (struct waiter *w = l->waiters; w; w = next) {
		next = w->next;
		w->fn(w->arg, info, no);
		free(w);
	}
	l->waiters = NULL;
	lookup_free(l);
}

/* Each message of somebody who is not believed would be a question to the hub, which answers so many of ours and no more. */
static void refuse_for_now(struct tr_lookup *l, const struct tr_no *no)
{
	struct tr_peer *p = l->p;
	struct tr_peer_stranger *s = &p->strangers[p->next_stranger++ % TR_PEER_STRANGERS];

	*s = (struct tr_peer_stranger){ .at_s = tr_peer_now_s(), .status = no->status, .code = no->code, .why = no->why };
	memcpy(s->agent, l->agent, sizeof(s->agent));
	finish(l, NULL, no);
}

static bool is_stranger(const struct tr_peer *p, struct tr_view agent, struct tr_no *ret)
{
	int64_t now = tr_peer_now_s();

	for (size_t i = 0; i < TR_PEER_STRANGERS; i++) {
		const struct tr_peer_stranger *s = &p->strangers[i];

		if (now < s->at_s || now >= s->at_s + TR_PEER_STRANGER_S || !tr_view_is(agent, s->agent))
			continue;
		*ret = (struct tr_no){ s->status, s->code, s->why };
		return true;
	}
	return false;
}

/* It may still be what we know, when the hub cannot be asked: until it expires or is revoked. */
static void finish_by_known(struct tr_lookup *l, const struct tr_no *no)
{
	struct tr_peer_info *known = tr_peers_find(&l->p->peers, tr_view_str(l->agent));
	struct tr_peer_rules r = tr_peer_rules_of(l->p, tr_view_str(l->agent));
	struct tr_err err = { 0 };

	if (known && tr_peer_still_good(&r, known, tr_peer_now_s(), &err) == TR_OK)
		finish(l, known, NULL);
	else
		finish(l, NULL, no);
}

static void keep(struct tr_lookup *l)
{
	struct tr_peer_info *info = TR_TAKE(l->info);
	const struct tr_peer_info *old = tr_peers_find(&l->p->peers, tr_view_str(l->agent));

	if (old && memcmp(tr_pubkey_id(old->key), tr_pubkey_id(info->key), 32) != 0)
		tr_log(TR_LOG_INFO, "peer_key_changed", "peer", l->agent, NULL);
	if (info->has_prekey)
		tr_peer_store_saw_prekey(&l->p->store, tr_view_str(l->agent), info->prekey.number, tr_peer_now_s());
	tr_peers_put(&l->p->peers, info);
	finish(l, info, NULL);
}

/* ---- evidence ---- */

static void on_evidence(void *arg, const struct tr_errand_answer *a);

static void no_evidence(struct tr_lookup *l)
{
	finish(l, NULL, TR_NO(503, "peer_evidence_missing",
			      "neither the agent nor the hub gave evidence that could be judged; try again later"));
}

static void ask_hub_for_evidence(struct tr_lookup *l)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, lines = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("GET"), .timeout_ms = TIMEOUT_MS };
	struct tr_err err = { 0 };

	l->asked_itself = false;
	tr_buf_addf(&path, "/api/v1/agents/%s/attestation?evidence=1", l->agent);
	e.path = tr_buf_view(&path);
	if (tr_peer_sign_request(l->p, "GET", tr_buf_cstr(&path), tr_view(NULL, 0), &lines, &err)) {
		no_evidence(l);
		return;
	}
	e.headers = tr_buf_view(&lines);
	if (tr_courier_send(l->p->errands, &e, on_evidence, l, &err))
		no_evidence(l);
}

/* "https://host:port/attestation": where, and what to ask there. */
static bool ask_itself(struct tr_lookup *l)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_view url = tr_view_str(l->info->attestation_endpoint);
	const uint8_t *slash = url.n > 8 ? memchr(url.p + 8, '/', url.n - 8) : NULL;
	size_t host = slash ? (size_t)(slash - url.p) : url.n;
	struct tr_errand e = { .method = TR_VIEW_LIT("GET"), .timeout_ms = TIMEOUT_MS };
	char spiffe[TR_SPIFFE_MAX];
	struct tr_err err = { 0 };

	if (!tr_view_starts(url, "https://"))
		return false;
	tr_random(l->challenge, sizeof(l->challenge));
	tr_buf_addf(&path, "%.*s?challenge=", slash ? (int)(url.n - host) : 1, slash ? (const char *)slash : "/");
	tr_b64_add(&path, TR_VIEW_ARRAY(l->challenge), TR_B64_URL);
	tr_peer_spiffe(l->p, tr_view_str(l->agent), spiffe);
	e.path = tr_buf_view(&path);
	e.url = tr_view(url.p, host);
	e.spiffe = tr_view_str(spiffe);
	l->asked_itself = true;
	return tr_courier_send(l->p->caller, &e, on_evidence, l, &err) == TR_OK;
}

static void on_evidence(void *arg, const struct tr_errand_answer *a)
{
	struct tr_lookup *l = arg;
	struct tr_peer_info *info = l->info;
	struct tr_view challenge = l->asked_itself ? TR_VIEW_ARRAY(l->challenge) : tr_view(NULL, 0);
	int64_t until = 0;
	struct tr_err err = { 0 };

	if (a->code || a->status != 200) {
		if (l->asked_itself)
			ask_hub_for_evidence(l);
		else
			no_evidence(l);
		return;
	}
	if (tr_peer_judge_evidence(l->p->judge, info, a->body, challenge, tr_peer_now_s(), &until, &err)) {
		tr_log_err(TR_LOG_WARN, "peer_evidence_refused", &err, "peer", l->agent, NULL);
		/* A peer that gives nothing to judge may still have given it to the hub. */
		if (err.code == TR_E_INVALID && l->asked_itself)
			ask_hub_for_evidence(l);
		else
			refuse_for_now(l, TR_NO(403, "peer_evidence_refused", err.pub));
		return;
	}
	info->judged_until_s = until;
	if (until < info->expires_s)
		info->expires_s = until;
	keep(l);
}

static void judge(struct tr_lookup *l)
{
	const struct tr_peer_info *old = tr_peers_find(&l->p->peers, tr_view_str(l->agent));

	/* Judged once for this key, and good until then. */
	if (old && old->judged_until_s > tr_peer_now_s() &&
	    memcmp(tr_pubkey_id(old->key), tr_pubkey_id(l->info->key), 32) == 0) {
		l->info->judged_until_s = old->judged_until_s;
		if (old->judged_until_s < l->info->expires_s)
			l->info->expires_s = old->judged_until_s;
		keep(l);
	} else if (!ask_itself(l)) {
		ask_hub_for_evidence(l);
	}
}

/* ---- discovery ---- */

static void on_discovered(void *arg, const struct tr_errand_answer *a)
{
	struct tr_lookup *l = arg;
	struct tr_peer_rules r = tr_peer_rules_of(l->p, tr_view_str(l->agent));
	struct tr_err err = { 0 };

	if (a->code) {
		finish_by_known(l, TR_NO(503, "hub_unreachable", "the hub does not answer; try again later"));
		return;
	}
	if (a->status == 404) {
		/* The hub's word is enough to stop, never to begin. */
		tr_peers_drop(&l->p->peers, tr_view_str(l->agent));
		refuse_for_now(l, TR_NO(404, "peer_unknown", "the hub knows no verified agent of this id: unknown, expired or revoked"));
		return;
	}
	if (a->status == 403 || a->status == 401) {
		finish(l, NULL, TR_NO(403, "not_attested", "the hub does not answer this agent: its own attestation is not in force; `troth-agent tee show` says why"));
		return;
	}
	if (a->status != 200) {
		finish_by_known(l, TR_NO(503, "hub_busy", "the hub cannot answer now; try again later"));
		return;
	}
	if (tr_peer_read(&r, a->body, tr_view_str(l->agent), tr_peer_now_s(), &l->info, &err)) {
		tr_log_err(TR_LOG_WARN, "peer_not_believed", &err, "peer", l->agent, NULL);
		refuse_for_now(l, TR_NO(403, "peer_not_believed", err.pub));
		return;
	}
	if (l->p->judge)
		judge(l);
	else
		keep(l);
}

static bool ask(struct tr_lookup *l)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT, lines = TR_BUF_INIT;
	struct tr_errand e = { .method = TR_VIEW_LIT("GET"), .timeout_ms = TIMEOUT_MS };
	struct tr_err err = { 0 };

	tr_buf_addf(&path, "/api/v1/agents/discovery/%s", l->agent);
	e.path = tr_view_str(tr_buf_cstr(&path));
	if (tr_peer_sign_request(l->p, "GET", tr_buf_cstr(&path), tr_view(NULL, 0), &lines, &err))
		return false;
	e.headers = tr_buf_view(&lines);
	return tr_courier_send(l->p->errands, &e, on_discovered, l, &err) == TR_OK;
}

static bool is_known(struct tr_peer *p, struct tr_view agent, struct tr_peer_info **ret)
{
	struct tr_peer_rules r = tr_peer_rules_of(p, agent);
	int64_t now = tr_peer_now_s();
	struct tr_err err = { 0 };

	*ret = tr_peers_find(&p->peers, agent);
	return *ret && now - (*ret)->asked_s < TR_PEER_FRESH_S && now >= (*ret)->asked_s &&
	       tr_peer_still_good(&r, *ret, now, &err) == TR_OK;
}

void tr_peer_lookup(struct tr_peer *p, struct tr_view agent, bool fresh, tr_lookup_fn fn, void *arg)
{
	struct tr_peer_info *known;
	struct tr_lookup *l = p->lookups;
	struct tr_no no;
	struct waiter *w;

	if (!tr_ident_ok(agent)) {
		fn(arg, NULL, TR_NO(400, "malformed", "this is no agent id"));
		return;
	}
	if (!fresh && is_known(p, agent, &known)) {
		fn(arg, known, NULL);
		return;
	}
	if (!fresh && is_stranger(p, agent, &no)) {
		fn(arg, NULL, &no);
		return;
	}
	while (l && !tr_view_is(agent, l->agent))
		l = l->next;
	w = calloc(1, sizeof(*w));
	if (l && w) {
		*w = (struct waiter){ l->waiters, fn, arg };
		l->waiters = w;
		return;
	}
	l = w ? calloc(1, sizeof(*l)) : NULL;
	if (!l) {
		free(w);
		fn(arg, NULL, TR_NO(503, "out_of_memory", "there is no memory for this; try again later"));
		return;
	}
	*w = (struct waiter){ NULL, fn, arg };
	*l = (struct tr_lookup){ .next = p->lookups, .p = p, .waiters = w };
	(void)snprintf(l->agent, sizeof(l->agent), "%.*s", TR_VIEW_FMT(agent));
	p->lookups = l;
	if (!ask(l))
		finish(l, NULL, TR_NO(503, "busy", "too many requests are under way; try again later"));
}
