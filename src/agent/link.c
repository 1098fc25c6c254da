/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include "agent/agent.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/secret.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"
#include "signed/time.h"

#include <stdio.h>

#define NONCE_LEN 32
#define ASK_EVERY_MS 10000
#define CLOSE_NS INT64_C(60000000000)

void tr_link_done(struct tr_link *l)
{
	l->client = tr_client_free(l->client);
	tr_buf_done(&l->ca_pem);
}

void tr_link_close(struct tr_link *l)
{
	l->client = tr_client_free(l->client);
}

TR_RC tr_link_open(struct tr_link *l, const char *url, const struct tr_privkey *key, struct tr_view cert_pem,
		   struct tr_err *err)
{
	struct tr_buf pem = TR_BUF_INIT;
	struct tr_client_config config = {
		.base_url = url,
		.ca_pem = tr_buf_view(&l->ca_pem),
		.cert_pem = cert_pem,
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_AGENT_CHAIN_MAX,
		.cancel = tr_signals_cancel(),
	};
	enum tr_code rc;

	tr_link_close(l);
	rc = tr_privkey_pem(key, &pem, err);
	config.key_pem = tr_buf_view(&pem);
	if (!rc)
		rc = tr_client_new(&config, &l->client, err);
	tr_wipe(pem.p, pem.cap);
	tr_buf_done(&pem);
	(void)snprintf(l->url, sizeof(l->url), "%s", url);
	return rc;
}

int64_t tr_link_verify_ms(const struct tr_link *l, const struct tr_known_time *known)
{
	int64_t ns = tr_clock_known_ns(&l->told, tr_boot_ns());

	if (!ns)
		ns = tr_clock_effective_ns(tr_now_ns(), known, tr_boot_ns(), tr_clock_build_ns());
	return ns / 1000000;
}

const char *tr_link_time_name(const struct tr_link *l, const struct tr_known_time *known)
{
	int64_t wall = tr_now_ns();

	if (l->told.server_ns)
		return "signed";
	return tr_clock_effective_ns(wall, known, tr_boot_ns(), tr_clock_build_ns()) > wall ? "floor"
											    : "wall";
}

/* Any CA that the roots named may have signed it. */
static TR_RC verify(const struct tr_link *l, struct tr_view answer, struct tr_view nonce, int64_t *ret_ns,
		    struct tr_err *err)
{
	struct tr_view pem = tr_buf_view(&l->ca_pem), label;
	enum tr_code rc = tr_err_set(err, TR_E_INVALID, "ca.pem holds no certificate", "no CA");

	while (rc && tr_pem_more(pem)) {
		tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
		tr_auto(tr_cert_free) struct tr_cert *ca = NULL;

		rc = tr_pem_get(pem, &label, &der, &pem, err);
		if (!rc)
			rc = tr_cert_parse(tr_buf_view(&der), &ca, err);
		if (rc)
			return rc;
		rc = tr_cert_key(ca)
			     ? tr_time_verify(answer, tr_cert_key(ca), nonce, ret_ns, err)
			     : tr_err_set(err, TR_E_DENIED, "the CA's key is of no kind that we know", "CA");
	}
	return rc;
}

static TR_RC fetch(const struct tr_link *l, const char *url, struct tr_view nonce, struct tr_client_answer *a,
		   struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *client = NULL;
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	const struct tr_client_config config = {
		.base_url = url,
		.ca_pem = tr_buf_view(&l->ca_pem),
		/* No key: nothing is proven or told on a connection whose server may hold a certificate of
		   the past. */
		.ignore_dates = true,
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_TIME_MAX,
		.cancel = tr_signals_stop(),
	};
	struct tr_client_request req = { .method = "GET" };
	enum tr_code rc;

	tr_buf_adds(&path, "/api/v1/time?nonce=");
	tr_b64_add(&path, nonce, TR_B64_URL);
	req.path = tr_buf_cstr(&path);
	rc = tr_buf_check(&path, err);
	if (!rc)
		rc = tr_client_new(&config, &client, err);
	return rc ? rc : tr_signals_do(client, &req, a, err);
}

TR_RC tr_link_ask_time(struct tr_link *l, const char *url, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	uint8_t nonce[NONCE_LEN];
	uint64_t now = tr_mono_ms(), before;
	int64_t ns = 0;
	enum tr_code rc;

	if (l->asked_ms && now - l->asked_ms < ASK_EVERY_MS)
		return tr_err_set(err, TR_E_BUSY, "the server was asked for the time a moment ago", "%s",
				  url);
	l->asked_ms = now ? now : 1;
	tr_random(nonce, sizeof(nonce));
	before = tr_boot_ns();
	rc = fetch(l, url, TR_VIEW_ARRAY(nonce), &a, err);
	if (!rc && a.status != 200)
		rc = tr_err_set(err, TR_E_UNAVAIL, "the server does not tell the time", "%s: status %d", url,
				a.status);
	if (!rc)
		rc = verify(l, tr_buf_view(&a.body), TR_VIEW_ARRAY(nonce), &ns, err);
	if (rc)
		return tr_err_wrap(err, "signed time");
	/* As of the question: an answer held up on its way can put us ahead by that, never behind, where a
	 * certificate that has ended would count again. */
	l->told = (struct tr_known_time){ .server_ns = ns, .boot_ns = before };
	return TR_OK;
}

void tr_link_learn(struct tr_link *l, int64_t server_ns)
{
	int64_t off = tr_now_ns() - server_ns;

	if (!l->told.server_ns)
		return;
	l->told = (struct tr_known_time){ .server_ns = server_ns, .boot_ns = tr_boot_ns() };
	/* Somebody has set our clock: it will do again. */
	if (off > -CLOSE_NS && off < CLOSE_NS)
		l->told = (struct tr_known_time){ 0 };
}
