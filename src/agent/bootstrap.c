/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bootstrap.h"

#include "agent/agent.h"
#include "http/client.h"
#include "signed/keyset.h"

TR_RC tr_bootstrap(const char *url, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
		   struct tr_buf *ret_why, struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *client = NULL;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	const struct tr_client_config config = {
		.base_url = url,
		/* No CA: the pin is checked below, and nothing secret is sent on this connection. */
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_KEYSET_MAX,
	};
	const struct tr_client_request req = { .method = "GET", .path = "/api/v1/keyset" };
	enum tr_code rc = tr_client_new(&config, &client, err);

	if (!rc)
		rc = tr_client_do(client, &req, &a, err);
	if (rc)
		return rc;
	if (a.status != 200)
		return tr_err_set(err, TR_E_UNAVAIL,
				  "the server did not give its keyset; is this URL the agent listener of a "
				  "Troth server?",
				  "GET %s/api/v1/keyset: status %d", url, a.status);
	return tr_bootstrap_check(tr_buf_view(&a.body), pin, now_ms, ret, ret_why, err);
}
