/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bootstrap.h"

#include "agent/agent.h"
#include "codec/text.h"
#include "http/client.h"

#include <stdio.h>

static TR_RC no_keyset(const char *url, const char *path, int status, struct tr_err *err)
{
	return tr_err_set(err, TR_E_UNAVAIL,
			  "the server did not give its keyset; is this URL the agent listener of a "
			  "Troth server?",
			  "GET %s%s: status %d", url, path, status);
}

static TR_RC get(struct tr_client *client, const char *path, struct tr_client_answer *ret, struct tr_err *err)
{
	const struct tr_client_request req = { .method = "GET", .path = path };

	return tr_client_do(client, &req, ret, err);
}

/* A server of before there were chains has its one keyset. */
static TR_RC only_one(struct tr_client *client, const char *url, struct tr_keywalk *w, struct tr_buf *newest,
		      struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	enum tr_code rc = get(client, "/api/v1/keyset", &a, err);

	if (rc)
		return rc;
	if (a.status != 200)
		return no_keyset(url, "/api/v1/keyset", a.status, err);
	tr_buf_addv(newest, tr_buf_view(&a.body));
	return tr_keywalk_step(w, tr_buf_view(&a.body), err);
}

/* For a sentence to people. */
static void keep_last(struct tr_view page, struct tr_buf *newest)
{
	struct tr_cbor r = tr_cbor_reader(page);
	size_t n = tr_cbor_array(&r, SIZE_MAX);
	struct tr_view v = { 0 };

	while (n-- && !r.error)
		v = tr_cbor_bytes(&r);
	tr_buf_clear(newest);
	tr_buf_addv(newest, v);
}

static TR_RC walk(struct tr_client *client, const char *url, struct tr_keywalk *w, struct tr_buf *newest,
		  struct tr_err *err)
{
	for (size_t n = 1; n;) {
		tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
		char path[64];
		enum tr_code rc;

		(void)snprintf(path, sizeof(path), "/api/v1/keyset/chain?after=%llu",
			       (unsigned long long)w->last);
		rc = get(client, path, &a, err);
		if (rc)
			return rc;
		if (a.status == 404 && w->last == 0)
			return only_one(client, url, w, newest, err);
		if (a.status != 200)
			return no_keyset(url, path, a.status, err);
		rc = tr_keywalk_page(w, tr_buf_view(&a.body), &n, err);
		if (n)
			keep_last(tr_buf_view(&a.body), newest);
		if (rc)
			return rc;
	}
	return TR_OK;
}

/* People compare fingerprints by eye, and the server prints this form. */
static void explain(const struct tr_keywalk *w, const uint8_t pin[32], struct tr_view newest,
		    const struct tr_err *err, struct tr_buf *why)
{
	uint8_t theirs[32];

	tr_buf_adds(why, "expected root sha256:");
	tr_hex_add(why, tr_view(pin, 32));
	if (w->has) {
		tr_buf_addf(why, ", and the server names that root, but its keysets do not hold: %s",
			    err->pub);
	} else if (!tr_keyset_unverified_root(newest, theirs)) {
		tr_buf_addf(why, ", but what the server sent is no keyset: %s", err->detail);
	} else if (memcmp(theirs, pin, 32) == 0) {
		tr_buf_addf(why, ", and the server names that root, but its keyset does not hold: %s",
			    err->pub);
	} else {
		tr_buf_adds(why, ", but the server's is sha256:");
		tr_hex_add(why, TR_VIEW_ARRAY(theirs));
	}
}

TR_RC tr_bootstrap(const char *url, struct tr_bootstrap *b, int64_t now_ms, struct tr_trust *ret,
		   struct tr_buf *ret_why, struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *client = NULL;
	tr_auto(tr_keywalk_done) struct tr_keywalk w = { .pin = b->pin, .seek = b->seek };
	tr_auto(tr_buf_done) struct tr_buf newest = TR_BUF_INIT;
	const struct tr_client_config config = {
		.base_url = url,
		/* No CA: the pin is checked below, and nothing secret is sent on this connection. */
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = TR_AGENT_TIMEOUT_S,
		.max_answer = TR_AGENT_CHAIN_MAX,
	};
	enum tr_code rc = tr_client_new(&config, &client, err);

	if (!rc)
		rc = walk(client, url, &w, &newest, err);
	if (rc == TR_E_UNAVAIL || rc == TR_E_INTERNAL || rc == TR_E_UNAUTH)
		return rc;
	if (!rc)
		rc = tr_keywalk_end(&w, now_ms, err);
	/* Whatever is wrong with it, it is not the pinned server's word: one kind of refusal. */
	if (rc) {
		explain(&w, b->pin, tr_buf_view(&newest), err, ret_why);
		return err->code = TR_E_DENIED;
	}
	tr_keyset_root_fingerprint(&w.keyset, b->root);
	b->sought = w.sought;
	return tr_bootstrap_check(tr_buf_view(&w.bytes), b->root, now_ms, ret, ret_why, err);
}
