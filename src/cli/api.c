/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/secret.h"

#define USER_AGENT "troth/" TROTH_VERSION
#define TIMEOUT_S 30
#define ANSWER_MAX TR_JSON_MAX
#define TRIES 3
#define RETRY_S_MAX 10u

struct tr_api {
	struct tr_client *client;
	struct tr_secret *token;
	char *url;
	uint8_t root[32];
	bool saved; /* the login is the saved one, so that what is learnt may be saved too */
};

struct tr_api *tr_api_free(struct tr_api *a)
{
	if (a) {
		(void)tr_client_free(a->client);
		(void)tr_secret_free(a->token);
		free(a->url);
		free(a);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct tr_api *, tr_api_free)

/* ---- connections ---- */

static TR_RC connect_to(const char *url, struct tr_view ca, size_t max, struct tr_client **ret, struct tr_err *err)
{
	const struct tr_client_config config = {
		.base_url = url, .ca_pem = ca, .user_agent = USER_AGENT, .timeout_s = TIMEOUT_S, .max_answer = max,
	};

	return tr_client_new(&config, ret, err);
}

static TR_RC fetch(void *arg, const char *path, struct tr_buf *ret, int *ret_status, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	const struct tr_client_request req = { .method = "GET", .path = path };
	enum tr_code rc = tr_client_do(arg, &req, &a, err);

	if (rc)
		return rc;
	*ret_status = a.status;
	tr_buf_clear(ret);
	tr_buf_addv(ret, tr_buf_view(&a.body));
	return tr_buf_check(ret, err);
}

TR_RC tr_api_keychain(const char *url, struct tr_keychain *ret, struct tr_err *err)
{
	tr_auto(tr_client_free) struct tr_client *client = NULL;
	/* No CA: the caller checks what comes against the pinned root, and nothing secret is sent. */
	enum tr_code rc = connect_to(url, tr_view(NULL, 0), ANSWER_MAX, &client, err);

	if (!rc)
		rc = tr_keychain_fetch(fetch, client, ret, err);
	return rc ? tr_err_wrap(err, "%s", url) : TR_OK;
}

static TR_RC open_as(const struct tr_profile *p, struct tr_api **ret, struct tr_err *err)
{
	tr_auto(tr_api_free) struct tr_api *a = calloc(1, sizeof(*a));
	enum tr_code rc;

	if (a) {
		a->url = strndup((const char *)p->url.p, p->url.n);
		a->token = tr_secret_new(p->token.n + 1); /* zeroed: the text stays terminated */
	}
	if (!a || !a->url || !a->token)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "login");
	memcpy(tr_secret_p(a->token), p->token.p, p->token.n);
	memcpy(a->root, p->root.p, sizeof(a->root));
	rc = connect_to(a->url, p->ca, ANSWER_MAX, &a->client, err);
	if (!rc)
		*ret = TR_TAKE(a);
	return rc;
}

int tr_api_open_as(struct tr_cli *c, const struct tr_profile *p)
{
	struct tr_err err = { 0 };

	c->api = tr_api_free(c->api);
	return open_as(p, &c->api, &err) ? tr_cli_err(TR_CLI_EXIT_USAGE, &err) : TR_CLI_EXIT_OK;
}

static int open_saved(struct tr_cli *c)
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_api *a = NULL;
	struct tr_err err = { 0 };
	enum tr_code rc = tr_profile_path(c->profile, &path, &err);

	if (!rc)
		rc = tr_profile_load(tr_buf_cstr(&path), &p, &err);
	if (rc == TR_E_NOTFOUND)
		return tr_cli_fail(TR_CLI_EXIT_LOGIN, "not logged in (%s): troth login https://HOST:PORT", err.detail);
	if (rc == TR_E_INVALID)
		return tr_cli_fail(TR_CLI_EXIT_LOGIN, "the saved login %s is damaged (%s): troth login https://HOST:PORT",
				   tr_buf_cstr(&path), err.detail);
	if (!rc)
		rc = open_as(&p, &a, &err);
	if (rc || !a)
		return tr_cli_err(TR_CLI_EXIT_LOGIN, &err);
	a->saved = true;
	c->api = a;
	return TR_CLI_EXIT_OK;
}

/* The saved login again, with another CA or root. */
static TR_RC save_again(const struct tr_cli *c, struct tr_view ca, const uint8_t root[32], struct tr_profile *p,
			struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	enum tr_code rc = tr_profile_path(c->profile, &path, err);

	if (!rc)
		rc = tr_profile_load(tr_buf_cstr(&path), p, err);
	if (!rc && tr_view_eq(p->ca, ca) && tr_view_eq(p->root, tr_view(root, 32)))
		rc = tr_err_set(err, TR_E_CONFLICT, "the saved login knows it already", "no new CA");
	if (rc)
		return rc;
	p->ca = ca;
	p->root = tr_view(root, 32);
	return tr_profile_save(tr_buf_cstr(&path), p, err);
}

/* The CA of the saved login does not fit any more. A server with the pinned root may have a new CA: its keyset says so,
 * and is worth as much as on the first day. */
static TR_RC learn_ca(struct tr_cli *c, struct tr_err *err)
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	tr_auto(tr_trust_done) struct tr_trust trust = { 0 };
	tr_auto(tr_keychain_done) struct tr_keychain chain = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	struct tr_api *again = NULL;
	uint8_t root[32];
	enum tr_code rc = tr_api_keychain(c->api->url, &chain, err);

	if (!rc)
		rc = tr_keychain_trust(&chain, c->api->root, tr_now_ms(), &trust, root, &why, err);
	if (!rc)
		rc = save_again(c, tr_buf_view(&trust.ca_pem), root, &p, err);
	if (!rc)
		rc = open_as(&p, &again, err);
	if (rc)
		return rc;
	(void)tr_api_free(c->api);
	c->api = again; /* not `saved`: once is enough */
	return TR_OK;
}

/* ---- calls ---- */

static void nap(unsigned s)
{
	struct timespec t = { .tv_sec = s < RETRY_S_MAX ? s : RETRY_S_MAX };

	(void)nanosleep(&t, NULL);
}

static enum tr_code exchange(struct tr_cli *c, struct tr_client_request *req, struct tr_client_answer *ret,
			     struct tr_err *err)
{
	enum tr_code rc;

	for (unsigned tries = 0;; tries++) {
		req->bearer = (const char *)tr_secret_p(c->api->token);
		tr_client_answer_done(ret);
		rc = tr_client_do(c->api->client, req, ret, err);
		if (rc == TR_E_UNAUTH && c->api->saved) {
			struct tr_err unused = { 0 };

			c->api->saved = false;
			if (learn_ca(c, &unused) == TR_OK)
				continue;
		}
		if (rc || ret->status != 503 || !ret->retry_after_s || tries == TRIES)
			return rc;
		if (!c->quiet)
			fprintf(stderr, "troth: the server cannot do that at the moment, trying again in %u s\n", ret->retry_after_s);
		nap(ret->retry_after_s);
	}
}

static int refuse(int status, struct tr_view body)
{
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;

	tr_out_problem(&why, status, body);
	fprintf(stderr, "troth: %s", tr_buf_cstr(&why));
	if (status != 401)
		return TR_CLI_EXIT_REFUSED;
	fputs("  log in again: troth login https://HOST:PORT\n", stderr);
	return TR_CLI_EXIT_LOGIN;
}

static int refused(const struct tr_client_answer *a)
{
	return refuse(a->status, tr_buf_view(&a->body));
}

int tr_api_refused(int status, const struct tr_json *answer)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	if (answer)
		tr_json_dump(tr_json_root(answer), &text);
	return refuse(status, tr_buf_view(&text));
}

/* One exchange as whoever is logged in. */
static int ask(struct tr_cli *c, struct tr_client_request *req, struct tr_client_answer *ret)
{
	struct tr_err err = { 0 };
	int code = c->api ? TR_CLI_EXIT_OK : open_saved(c);

	if (code || !c->api)
		return code;
	switch (exchange(c, req, ret, &err)) {
	case TR_OK: return TR_CLI_EXIT_OK;
	case TR_E_UNAUTH: return tr_cli_err(TR_CLI_EXIT_PIN, &err);
	default: return tr_cli_err(TR_CLI_EXIT_UNREACHABLE, &err);
	}
}

int tr_api_try(struct tr_cli *c, const char *method, const char *path, struct tr_view body, int *ret_status,
	       struct tr_json **ret)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = {
		.method = method, .path = path, .body = body, .content_type = body.n ? "application/json" : NULL,
	};
	struct tr_err err = { 0 };
	int code = ask(c, &req, &a);

	*ret = NULL;
	if (code)
		return code;
	*ret_status = a.status;
	if (a.status == 401)
		return refused(&a);
	if (tr_json_parse(tr_buf_view(&a.body), ret, &err) && a.status >= 200 && a.status <= 299)
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer to %s %s is no JSON: is a proxy in between?",
				   method, path);
	return TR_CLI_EXIT_OK;
}

int tr_api_call(struct tr_cli *c, const char *method, const char *path, struct tr_view body, struct tr_json **ret)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = {
		.method = method, .path = path, .body = body, .content_type = body.n ? "application/json" : NULL,
	};
	struct tr_err err = { 0 };
	int code = ask(c, &req, &a);

	if (code)
		return code;
	if (a.status < 200 || a.status > 299)
		return refused(&a);
	if (tr_json_parse(tr_buf_view(&a.body), ret, &err))
		return tr_cli_fail(TR_CLI_EXIT_UNREACHABLE, "the server's answer to %s %s is no JSON: is a proxy in between?",
				   method, path);
	return TR_CLI_EXIT_OK;
}

int tr_api_raw(struct tr_cli *c, const char *method, const char *path, const char *type, struct tr_view body,
	       struct tr_buf *ret)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = { .method = method, .path = path, .body = body, .content_type = type };
	int code = ask(c, &req, &a);

	if (code)
		return code;
	if (a.status < 200 || a.status > 299)
		return refused(&a);
	tr_buf_addv(ret, tr_buf_view(&a.body));
	return tr_buf_ok(ret) ? TR_CLI_EXIT_OK : tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
}

int tr_api_send(struct tr_cli *c, const char *method, struct tr_buf *path, struct tr_buf *body, struct tr_json **ret)
{
	if (!tr_buf_ok(path) || (body && !tr_buf_ok(body)))
		return tr_cli_fail(TR_CLI_EXIT_FILE, "out of memory");
	return tr_api_call(c, method, tr_buf_cstr(path), body ? tr_buf_view(body) : tr_view(NULL, 0), ret);
}

int tr_api_do(struct tr_cli *c, const char *method, struct tr_buf *path, struct tr_buf *body, const char *what,
	      const char *done)
{
	tr_auto(tr_json_free) struct tr_json *answer = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int rc = tr_api_send(c, method, path, body, &answer);

	if (rc || c->quiet)
		return rc;
	if (c->json)
		return tr_out_json(tr_json_root(answer));
	tr_buf_addf(&b, "%s %s %s\n", what, c->args[0], done);
	return tr_out_print(&b) ? TR_CLI_EXIT_OK : TR_CLI_EXIT_FILE;
}

/* ---- keysets ---- */

void tr_authority_done(struct tr_authority *a)
{
	tr_keychain_done(&a->chain);
}

bool tr_api_pinned(const struct tr_cli *c, uint8_t ret[32])
{
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_profile_path(c->profile, &path, &err) || tr_profile_load(tr_buf_cstr(&path), &p, &err))
		return false;
	memcpy(ret, p.root.p, 32);
	return true;
}

static TR_RC fetch_as_us(void *arg, const char *path, struct tr_buf *ret, int *ret_status, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	struct tr_client_request req = { .method = "GET", .path = path };
	enum tr_code rc = exchange(arg, &req, &a, err);

	if (rc)
		return rc;
	*ret_status = a.status;
	tr_buf_clear(ret);
	tr_buf_addv(ret, tr_buf_view(&a.body));
	return tr_buf_check(ret, err);
}

int tr_api_authority(struct tr_cli *c, struct tr_authority *ret)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	tr_auto(tr_profile_done) struct tr_profile p = { 0 };
	struct tr_err err = { 0 };
	int code = c->api ? TR_CLI_EXIT_OK : open_saved(c);
	enum tr_code rc;

	if (code || !c->api)
		return code;
	rc = tr_keychain_fetch(fetch_as_us, c, &a.chain, &err);
	if (rc)
		return tr_cli_err(rc == TR_E_UNAUTH ? TR_CLI_EXIT_PIN : TR_CLI_EXIT_UNREACHABLE, &err);
	/* Whether the newest has expired is not asked: people could not replace it then. */
	if (tr_keychain_walk(&a.chain, c->api->root, 0, &a.keyset, &a.first, a.root, &why, &err))
		return tr_cli_fail(TR_CLI_EXIT_PIN, "wrong server: %s", tr_buf_cstr(&why));
	a.bytes = tr_keychain_at(&a.chain, a.chain.n - 1);
	if (a.keyset.expires_ms <= tr_now_ms())
		fprintf(stderr, "troth: keyset %llu has expired (or this clock is wrong): nobody can enrol and agents obey nothing but reads "
			"until the next one is published: troth keyset prepare, sign, publish\n",
			(unsigned long long)a.keyset.epoch);
	if (memcmp(a.root, c->api->root, 32) != 0) {
		tr_auto(tr_trust_done) struct tr_trust trust = { 0 };

		/* Kept for the next time; that it could not be is no reason to fail now. */
		if (tr_bootstrap_check(a.bytes, a.root, tr_now_ms(), &trust, &why, &err) == TR_OK &&
		    save_again(c, tr_buf_view(&trust.ca_pem), a.root, &p, &err) == TR_OK)
			memcpy(c->api->root, a.root, 32);
	}
	*ret = a;
	a = (struct tr_authority){ 0 };
	return TR_CLI_EXIT_OK;
}
