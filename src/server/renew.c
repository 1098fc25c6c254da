/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate renewal over the agent's own mTLS connection. Under the same key: a new certificate. Under a new one (the
 * request is signed with it, so the agent has it): both keys are good until the first pulse under the next one, which
 * ends the other (pulse.c); a next key that is not used within an hour is forgotten. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pem.h"
#include "codec/text.h"

#define NEXT_KEY_MS 3600000

struct renewal {
	struct tr_req *req;
	struct tr_buf next; /* tr_msg_csr_done with the new key; empty: the key stays */
	struct tr_buf pem;
	int64_t not_after;
	char serial[65];
};

static void renewal_free(struct renewal *n)
{
	(void)tr_req_free(n->req);
	tr_buf_done(&n->pem);
	tr_buf_done(&n->next);
	free(n);
}

static void refuse(struct renewal *n, int status, const char *slug, const char *why)
{
	tr_req_refuse(n->req, status, slug, why);
	renewal_free(n);
}

static void on_stored(void *arg, enum tr_code rc, const char *why)
{
	struct renewal *n = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	if (rc) {
		tr_req_not_stored(n->req, rc, why);
		renewal_free(n);
		return;
	}
	n->req->core->metrics.renewals++;
	tr_buf_adds(&b, "{\"certificate\":");
	tr_json_put_str(&b, tr_buf_view(&n->pem));
	tr_buf_adds(&b, ",\"expires_at\":\"");
	tr_rfc3339_add(&b, n->not_after);
	tr_buf_adds(&b, "\"}");
	tr_req_answer(n->req, 200, TR_CT_JSON, tr_buf_view(&b));
	renewal_free(n);
}

/* Whose is this key? Another agent's, also one that has ended, is no next key. */
static bool key_is_free(const struct tr_core *c, const struct tr_item *i, struct tr_view key_id)
{
	const struct tr_item *other = tr_table_get_alt(&c->agents, key_id);

	return !other || other == i;
}

/* A key that is known to be copied gets no fresh certificate: other services than this one may trust it. */
static bool is_quarantined(const struct tr_core *c, struct tr_req *r, const struct tr_item *i)
{
	const struct tr_fleet_agent *a = tr_fleet_agent(c->fleet, i->no);

	if (!a || a->axes.auth != TR_AUTH_FORKED)
		return false;
	tr_req_refuse(r, 403, "quarantined",
		      "two copies of this agent's key are in use; ask an operator for `troth agent reset-identity` and enrol again");
	return true;
}

static void on_issued(void *arg, const void *answer)
{
	struct renewal *n = arg;
	const struct tr_msg_issued *i = answer;
	struct tr_item *item;
	struct tr_agent_row row;
	struct tr_msg_csr_done next;
	struct tr_err err = { 0 };
	struct tr_tx *tx;

	if (!i || i->code) {
		refuse(n, 503, "certificate_not_issued", "the certificate could not be issued now; try again in a moment");
		return;
	}
	/* Asked again after the wait: the agent may have been revoked meanwhile. */
	item = tr_core_agent_of(n->req->core, n->req);
	if (!item) {
		renewal_free(n);
		return;
	}
	if (is_quarantined(n->req->core, n->req, item)) {
		renewal_free(n);
		return;
	}
	if (item->inflight) {
		refuse(n, 503, "busy", "another change of this agent is under way; try again in a second");
		return;
	}
	tr_pem_add(&n->pem, "CERTIFICATE", i->der);
	(void)snprintf(n->serial, sizeof(n->serial), "%.*s", TR_VIEW_FMT(i->serial));
	row = tr_agent_now(n->req->core, item);
	row.cert_serial = tr_view_str(n->serial);
	row.cert_not_after = n->not_after;
	if (n->next.n) {
		if (tr_record_decode(&tr_msg_csr_done_def, tr_buf_view(&n->next), &next, &err) ||
		    !key_is_free(n->req->core, item, next.key_id)) {
			refuse(n, 409, "id_taken", "the new key is known here already; make a fresh one");
			return;
		}
		row.next_key_id = next.key_id;
		row.next_key_type = next.key_type;
		row.next_spki = next.spki;
		row.next_until = tr_now_ms() + NEXT_KEY_MS;
	}
	tx = tr_tx_new(n->req->core);
	tr_tx_touch(tx, item);
	tr_tx_add(tx, TR_OP_PUT, TR_T_AGENT, &row);
	tr_audit(tx, n->req->actor, "agent.renew", row.id, "ok", "", n->req->q.source, tr_view(NULL, 0));
	tr_tx_commit(tx, on_stored, n);
}

static void on_csr(void *arg, const void *answer)
{
	struct renewal *n = arg;
	const struct tr_msg_csr_done *d = answer;
	struct tr_core *c = n->req->core;
	struct tr_msg_issue q;

	if (!d) {
		tr_req_no_verifier(n->req);
		renewal_free(n);
		return;
	}
	if (d->code) {
		char why[256];

		(void)snprintf(why, sizeof(why), "%.*s", TR_VIEW_FMT(d->why));
		refuse(n, 400, "malformed", why);
		return;
	}
	/* Under the next key, before its first pulse, there is nothing to change to but itself. */
	if (!tr_view_eq(d->key_id, n->req->q.key_id)) {
		struct tr_item *i = tr_core_agent_of(c, n->req);

		if (!i) {
			renewal_free(n);
			return;
		}
		if (n->req->next_key || !key_is_free(c, i, d->key_id)) {
			refuse(n, 409, n->req->next_key ? "key_change_under_way" : "id_taken",
			       n->req->next_key ? "another key change is under way; send a pulse under the new key first"
						: "the new key is known here already; make a fresh one");
			return;
		}
		tr_record_encode(&tr_msg_csr_done_def, d, &n->next);
		if (!tr_buf_ok(&n->next)) {
			refuse(n, 503, "out_of_memory", "the server is out of memory; try again later");
			return;
		}
	}
	n->not_after = tr_now_ms() + (int64_t)c->cfg->certificate_hours * 3600000;
	q = (struct tr_msg_issue){ .spki = d->spki, .agent_id = n->req->q.agent_id, .not_after = n->not_after };
	tr_core_ask(c, c->keys, TR_M_ISSUE, &tr_msg_issue_def, &q, on_issued, n);
}

void tr_api_renew(struct tr_core *c, struct tr_req *r)
{
	struct tr_msg_csr q = { .body = r->q.in };
	struct renewal *n;
	struct tr_item *i = tr_core_agent_of(c, r);

	if (!i || is_quarantined(c, r, i) || !tr_core_may_write(i, r))
		return;
	n = calloc(1, sizeof(*n));
	if (!n) {
		tr_req_refuse(r, 503, "out_of_memory", "the server is out of memory; try again later");
		return;
	}
	n->req = tr_req_keep(r);
	if (n->req)
		tr_core_ask(c, c->appraise, TR_M_CSR, &tr_msg_csr_def, &q, on_csr, n);
	else
		renewal_free(n);
}
