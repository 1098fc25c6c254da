/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/renew.h"

#include "agent/refusal.h"
#include "codec/pem.h"
#include "codec/text.h"

#include <stdio.h>

#define CAS_MAX 16

static TR_RC load_cas(struct tr_view pem, struct tr_ca_set **ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view views[CAS_MAX], label;
	size_t n = 0, ends[CAS_MAX + 1] = { 0 };

	while (tr_pem_more(pem)) {
		enum tr_code rc = tr_pem_get(pem, &label, &der, &pem, err);

		if (rc)
			return tr_err_wrap(err, "CA certificates");
		if (n == CAS_MAX)
			return tr_err_set(err, TR_E_INVALID, "too many CA certificates", "over %d", CAS_MAX);
		ends[++n] = der.n;
	}
	/* Views last: the buffer moved while it grew. */
	for (size_t i = 0; i < n; i++)
		views[i] = tr_view(der.p + ends[i], ends[i + 1] - ends[i]);
	return tr_ca_set_new(views, n, ret, err);
}

TR_RC tr_agent_cert_check(struct tr_view cert_pem, struct tr_view ca_pem, const char *trust_domain,
			  struct tr_view agent_id, const struct tr_privkey *key, struct tr_cert **ret,
			  struct tr_err *err)
{
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	tr_auto(tr_ca_set_free) struct tr_ca_set *cas = NULL;
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_view label, rest, id;
	enum tr_code rc = tr_pem_get(cert_pem, &label, &der, &rest, err);

	if (!rc && !tr_view_is(label, "CERTIFICATE"))
		rc = tr_err_set(err, TR_E_INVALID, "the server's answer holds no certificate",
				"another PEM label");
	if (!rc)
		rc = tr_cert_parse(tr_buf_view(&der), &cert, err);
	if (!rc)
		rc = load_cas(ca_pem, &cas, err);
	if (!rc)
		rc = tr_cert_check(cert, NULL, 0, cas, TR_USE_AGENT, trust_domain,
				   tr_cert_not_before_ms(cert) + 1000, err);
	if (!rc)
		rc = tr_cert_agent_id(cert, trust_domain, &id, err);
	if (rc)
		return tr_err_wrap(err, "certificate from the server");
	if (!tr_view_eq(id, agent_id))
		return tr_err_set(err, TR_E_DENIED, "the server gave a certificate of another agent", "%.*s",
				  TR_VIEW_FMT(id));
	if (!tr_cert_key(cert) ||
	    memcmp(tr_pubkey_id(tr_cert_key(cert)), tr_pubkey_id(tr_privkey_pub(key)), 32) != 0)
		return tr_err_set(err, TR_E_DENIED, "the server gave a certificate for another key",
				  "key id differs");
	*ret = TR_TAKE(cert);
	return TR_OK;
}

int64_t tr_renew_due_ms(int64_t not_before_ms, int64_t not_after_ms, uint32_t random)
{
	int64_t life = not_after_ms > not_before_ms ? not_after_ms - not_before_ms : 0;

	/* life / 20 * random / 2^32, in an order that does not overflow for any lifetime up to year 9999. */
	return not_before_ms + life / 2 + (life / 20 / 1000 * (int64_t)(random >> 16) * 1000 >> 16);
}

TR_RC tr_csr_json(const struct tr_privkey *k, struct tr_buf *b, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf csr = TR_BUF_INIT;
	enum tr_code rc = tr_csr_make(k, &csr, err);

	if (rc)
		return rc;
	tr_buf_adds(b, "{\"csr\":\"");
	tr_b64_add(b, tr_buf_view(&csr), TR_B64_STD);
	tr_buf_adds(b, "\"");
	return tr_buf_check(b, err);
}

static TR_RC take_answer(const struct tr_client_answer *a, struct tr_state *s, const struct tr_privkey *key,
			 const char *file, struct tr_view ca_pem, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_view pem;
	char domain[256];
	enum tr_code rc = tr_json_parse(tr_buf_view(&a->body), &doc, err);

	if (rc)
		return rc;
	if (!tr_json_str(tr_json_get(tr_json_root(doc), "certificate"), &pem))
		return tr_err_set(err, TR_E_INVALID, "the server's answer holds no certificate", "renewal");
	(void)snprintf(domain, sizeof(domain), "%.*s", TR_VIEW_FMT(s->conf.trust_domain));
	rc = tr_agent_cert_check(pem, ca_pem, domain, s->conf.agent_id, key, &cert, err);
	return rc ? rc : tr_state_write(s, file, pem, err);
}

TR_RC tr_agent_renew(struct tr_client *c, struct tr_state *s, const struct tr_privkey *key, const char *file,
		     struct tr_view ca_pem, int *ret_status, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = { .method = "POST",
					 .path = "/api/v1/agents/renew",
					 .content_type = "application/json" };
	enum tr_code rc = tr_csr_json(key, &body, err);

	*ret_status = 0;
	tr_buf_adds(&body, "}");
	if (!rc)
		rc = tr_buf_check(&body, err);
	req.body = tr_buf_view(&body);
	if (!rc)
		rc = tr_client_do(c, &req, &a, err);
	if (rc)
		return tr_err_wrap(err, "renew");
	*ret_status = a.status;
	if (a.status != 200 && a.status != 201) {
		struct tr_said_no r;

		tr_refusal_read(tr_buf_view(&a.body), &r);
		return tr_err_set(err, TR_E_DENIED, "the server did not renew the certificate",
				  "status %d %s: %s", a.status, r.code, r.detail);
	}
	rc = take_answer(&a, s, key, file, ca_pem, err);
	return rc ? tr_err_wrap(err, "renew") : TR_OK;
}
