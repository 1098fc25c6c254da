/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate renewal over the agent's own mTLS connection: same key, new certificate. */
#include "server/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/pem.h"
#include "codec/text.h"

struct renewal {
	struct tr_req *req;
	struct tr_buf pem;
	int64_t not_after;
	char serial[65];
};

static void renewal_free(struct renewal *n)
{
	(void)tr_req_free(n->req);
	tr_buf_done(&n->pem);
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
		refuse(n, 503, "store_unavailable", why);
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

static void on_issued(void *arg, const void *answer)
{
	struct renewal *n = arg;
	const struct tr_msg_issued *i = answer;
	struct tr_item *item;
	struct tr_agent_row row;
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
	if (item->inflight) {
		refuse(n, 503, "busy", "another change of this agent is under way; try again in a second");
		return;
	}
	tr_pem_add(&n->pem, "CERTIFICATE", i->der);
	(void)snprintf(n->serial, sizeof(n->serial), "%.*s", TR_VIEW_FMT(i->serial));
	row = tr_agent_now(item);
	row.cert_serial = tr_view_str(n->serial);
	row.cert_not_after = n->not_after;
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
	if (!tr_view_eq(d->key_id, n->req->q.key_id)) {
		refuse(n, 403, "key_mismatch", "a renewal keeps the key; to change it, enrol again");
		return;
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

	if (!i || !tr_core_may_write(i, r))
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
