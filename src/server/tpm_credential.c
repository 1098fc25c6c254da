/* SPDX-License-Identifier: Apache-2.0 */
/* Activation of a TPM's attestation key (TPM 2.0 part 1, 24): a secret that only the TPM can open which holds both the
 * endorsement key and that attestation key. What was handed out and did not come back lives here, in memory, five minutes; a
 * restart makes the agent ask again. */
#include "server/attest.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "codec/cbor.h"
#include "codec/text.h"
#include "server/hub.h"

#include <stdio.h>
#include <stdlib.h>

#define PENDING_MAX 1024u
#define PENDING_MS 300000u
#define SECRET_LEN 32u

struct pending {
	uint64_t until; /* monotonic; 0: free */
	uint8_t id[16], secret[SECRET_LEN], ek_digest[32], ak_name[66];
	size_t ak_len;
	char agent[65];
};

struct tr_activations {
	struct pending list[PENDING_MAX];
};

struct tr_activations *tr_activations_new(void)
{
	return calloc(1, sizeof(struct tr_activations));
}

/* One of this agent that is there already goes: an agent has one activation under way. Else a free place, or the oldest. */
static struct pending *place(struct tr_core *c, const char *agent)
{
	struct pending *best = &c->activations->list[0];

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &c->activations->list[i];

		if (p->until && strcmp(p->agent, agent) == 0)
			return p;
		if (p->until < best->until)
			best = p;
	}
	return best;
}

bool tr_tpm_is_clone(struct tr_core *c, struct tr_view agent, struct tr_view ek_digest, struct tr_view source)
{
	const struct tr_attested_row *known = TR_ROW(&c->attested, tr_table_get(&c->attested, agent));
	tr_auto(tr_buf_done) struct tr_buf d = TR_BUF_INIT;
	char what[200];

	if (!known || !known->ek_digest.n || tr_view_eq(known->ek_digest, ek_digest))
		return false;
	tr_buf_adds(&d, "{\"code\":\"tpm_ak_trust\"");
	tr_json_member_hex(&d, "endorsement_key", ek_digest);
	tr_json_member_hex(&d, "known", known->ek_digest);
	tr_buf_adds(&d, "}");
	(void)snprintf(what, sizeof(what), "agent %.*s answers from a machine with another TPM: a clone of its state?",
		       TR_VIEW_FMT(agent));
	tr_hub_event(c, TR_EV_TPM_CLONED, 1, agent, source, tr_buf_view(&d), "tpm_cloned", what);
	return true;
}

bool tr_tpm_activated(struct tr_core *c, struct tr_view agent, struct tr_view ak_name, struct tr_view id, struct tr_view secret,
		      uint8_t ret_ek_digest[32])
{
	uint64_t now = tr_mono_ms();
	bool good = false;

	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &c->activations->list[i];

		if (p->until <= now || !tr_view_eq(id, TR_VIEW_ARRAY(p->id)))
			continue;
		good = tr_view_is(agent, p->agent) && tr_view_eq(ak_name, tr_view(p->ak_name, p->ak_len)) &&
		       tr_secret_eq(secret, TR_VIEW_ARRAY(p->secret));
		if (good)
			memcpy(ret_ek_digest, p->ek_digest, 32);
		/* Spent, right or wrong: a guess costs a new one. */
		tr_wipe(p, sizeof(*p));
	}
	return good;
}

struct asking {
	struct tr_req *req;
	uint8_t secret[SECRET_LEN];
};

static struct asking *asking_free(struct asking *a)
{
	if (a) {
		(void)tr_req_free(a->req);
		tr_wipe(a, sizeof(*a));
		free(a);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct asking *, asking_free)

static void answer(struct tr_req *r, const struct pending *p, const struct tr_msg_tpm_credential_made *m)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_cbor_put_map(&b, 3);
	tr_cbor_put_int(&b, 1);
	tr_cbor_put_bytes(&b, TR_VIEW_ARRAY(p->id));
	tr_cbor_put_int(&b, 2);
	tr_cbor_put_bytes(&b, m->blob);
	tr_cbor_put_int(&b, 3);
	tr_cbor_put_bytes(&b, m->encrypted);
	tr_req_answer(r, 200, TR_CT_CBOR, tr_buf_view(&b));
}

static void on_made(void *arg, const void *made)
{
	tr_auto(asking_free) struct asking *a = arg;
	const struct tr_msg_tpm_credential_made *m = made;
	struct tr_core *c = a->req->core;
	struct pending *p;
	char agent[65], why[257];

	if (!m) {
		tr_req_no_verifier(a->req);
		return;
	}
	if (m->code || m->ak_name.n > sizeof(p->ak_name) || m->ek_digest.n != 32) {
		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(m->why));
		tr_req_refuse(a->req, 400, "malformed", why[0] ? why : "the TPM's keys could not be read");
		return;
	}
	if (tr_tpm_is_clone(c, a->req->q.agent_id, m->ek_digest, a->req->q.source)) {
		tr_req_refuse(a->req, 403, "tpm_ak_trust",
			      "this agent is known with another TPM: if its state was copied to this machine, it is a clone; if its TPM was replaced, an operator resets its identity");
		return;
	}
	(void)snprintf(agent, sizeof(agent), "%.*s", TR_VIEW_FMT(a->req->q.agent_id));
	p = place(c, agent);
	*p = (struct pending){ .until = tr_mono_ms() + PENDING_MS, .ak_len = m->ak_name.n };
	memcpy(p->agent, agent, sizeof(p->agent));
	memcpy(p->ak_name, m->ak_name.p, m->ak_name.n);
	memcpy(p->ek_digest, m->ek_digest.p, 32);
	memcpy(p->secret, a->secret, SECRET_LEN);
	tr_random(p->id, sizeof(p->id));
	answer(a->req, p, m);
}

void tr_api_tpm_credential(struct tr_core *c, struct tr_req *r)
{
	struct tr_item *i = tr_core_agent_of(c, r);
	struct tr_msg_tpm_credential q = { .body = r->q.in };
	struct asking *a;

	if (!i || !tr_core_may_write(i, r))
		return;
	a = calloc(1, sizeof(*a));
	if (!a) {
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return;
	}
	a->req = tr_req_keep(r);
	if (!a->req) {
		(void)asking_free(a);
		return;
	}
	tr_random(a->secret, sizeof(a->secret));
	q.secret = TR_VIEW_ARRAY(a->secret);
	tr_core_ask(c, c->appraise, TR_M_TPM_CREDENTIAL, &tr_msg_tpm_credential_def, &q, on_made, a);
}
