/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enroll.h"

#include "agent/agent.h"
#include "agent/backoff.h"
#include "agent/bootstrap.h"
#include "agent/chain.h"
#include "agent/eye.h"
#include "agent/journal.h"
#include "agent/refusal.h"
#include "agent/renew.h"
#include "agent/rotate.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/text.h"
#include "signed/claim.h"
#include "signed/claim_original.h"
#include "signed/token.h"
#include "tee/tpm.h"

#include <errno.h>
#include <stdio.h>

struct enrolment {
	const struct tr_enroll_opts *o;
	struct tr_state state;
	struct tr_next next; /* of a reset: the fresh key */
	struct tr_evidence evidence;
	struct tr_privkey *fleet;
	struct tr_buf servers, replay, sent, challenge;
	uint8_t pin[32];
	uint8_t root[32];	/* of the newest keyset: the pin from here on */
	bool moved;		/* enrolled before, with another installation */
	struct tr_err body_err; /* why body() gave up; code TR_OK when it did not */
};

static void enrolment_done(struct enrolment *e)
{
	tr_next_done(&e->next);
	tr_state_done(&e->state);
	tr_evidence_done(&e->evidence);
	e->fleet = tr_privkey_free(e->fleet);
	tr_buf_done(&e->servers);
	tr_buf_done(&e->replay);
	tr_buf_done(&e->sent);
	tr_buf_done(&e->challenge);
}
TR_DEFINE_AUTO_DONE(struct enrolment, enrolment_done)

static const struct tr_privkey *key_of(const struct enrolment *e)
{
	return e->o->reset_identity ? e->next.key : e->state.key;
}

/* CBOR text is UTF-8 and the claim bounds it; a path need be neither. */
static struct tr_view claimable_path(const char *path)
{
	size_t n = strnlen(path, TR_CLAIM_PATH_MAX);

	while (n > 0 && !tr_utf8_ok(tr_view(path, n)))
		n--;
	return n ? tr_view(path, n) : TR_VIEW_LIT("?");
}

TR_RC tr_enroll_native_body(const struct tr_evidence *e, struct tr_view node_id, const struct tr_privkey *k,
			    struct tr_view challenge, struct tr_view exporter, int64_t claim_time_ms,
			    struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf claim = TR_BUF_INIT;
	struct tr_claim c = {
		.node_id = node_id,
		.version = tr_view_str(e->version),
		.timestamp_ms = claim_time_ms,
		.challenge = challenge,
		.exporter = exporter,
		.release = tr_buf_view(&e->statement),
		.disk_differs = e->image.disk_differs,
	};
	enum tr_code rc;

	memcpy(c.binary_hash, e->image.hash, sizeof(c.binary_hash));
	if (c.disk_differs) {
		c.disk_path = claimable_path(e->image.disk_path);
		memcpy(c.disk_hash, e->image.disk_hash, sizeof(c.disk_hash));
	}
	rc = tr_claim_sign(&c, k, &claim, err);
	if (!rc)
		rc = tr_csr_json(k, ret, err);
	if (rc)
		return rc;
	tr_buf_adds(ret, ",\"claim\":\"");
	tr_b64_add(ret, tr_buf_view(&claim), TR_B64_STD);
	tr_buf_adds(ret, "\"}");
	return tr_buf_check(ret, err);
}

TR_RC tr_enroll_original_body(const struct tr_evidence *e, struct tr_view node_id,
			      const struct tr_privkey *fleet, int64_t claim_time_ms, struct tr_buf *ret,
			      struct tr_err *err)
{
	/* The form names no algorithm; the verifier derives it from the key's type, so we must too. */
	static const enum tr_sig_alg algs[TR_KEY_TYPE_N] = {
		[TR_KEY_ED25519] = TR_SIG_ED25519,
		[TR_KEY_P256] = TR_SIG_ES256_DER,
		[TR_KEY_RSA] = TR_SIG_RS256,
	};
	tr_auto(tr_buf_done) struct tr_buf hash = TR_BUF_INIT;
	struct tr_claim_original c = { .node_id = node_id,
				       .version = tr_view_str(e->version),
				       .timestamp_s = claim_time_ms / 1000 };
	enum tr_code rc;

	tr_buf_adds(&hash, "sha256:");
	tr_hex_add(&hash, TR_VIEW_ARRAY(e->image.hash));
	c.binary_hash = tr_buf_view(&hash);
	tr_buf_adds(ret, "{\"node_id\":");
	tr_json_put_str(ret, node_id);
	tr_buf_adds(ret, ",\"attestation\":");
	rc = tr_claim_original_sign(&c, fleet, algs[tr_pubkey_type(tr_privkey_pub(fleet))], ret, err);
	tr_buf_adds(ret, "}");
	return rc ? rc : tr_buf_check(ret, err);
}

/* Called when the connection stands: only then is its exporter known, and the claim is bound to it. */
static bool body(void *arg, const uint8_t exporter[32], struct tr_buf *ret)
{
	struct enrolment *e = arg;
	int64_t now = tr_now_ms() + e->o->claim_time_offset_s * 1000;
	enum tr_code rc;

	tr_buf_clear(&e->sent);
	if (e->o->replay) {
		tr_buf_addv(&e->sent, tr_buf_view(&e->replay));
		rc = tr_buf_check(&e->sent, &e->body_err);
	} else if (e->o->original) {
		rc = tr_enroll_original_body(&e->evidence, e->state.conf.agent_id, e->fleet, now, &e->sent,
					     &e->body_err);
	} else {
		rc = tr_enroll_native_body(&e->evidence, e->state.conf.agent_id, key_of(e),
					   tr_buf_view(&e->challenge), tr_view(exporter, 32), now, &e->sent,
					   &e->body_err);
	}
	tr_buf_addv(ret, tr_buf_view(&e->sent));
	return rc == TR_OK && tr_buf_ok(ret);
}

/* ---- preparation: everything local is read before the first packet, and before root is given up ---- */

static int find_pin(struct enrolment *e)
{
	struct tr_err err = { 0 };
	uint8_t unused[32];

	if (e->o->root) {
		const char *hex = strncmp(e->o->root, "sha256:", 7) == 0 ? e->o->root + 7 : e->o->root;

		if (!tr_hex_get(tr_view_str(hex), e->pin, 32)) {
			(void)tr_err_set(&err, TR_E_INVALID,
					 "--root takes the 64 hex digits that `trothd init` prints",
					 "%zu characters", strlen(e->o->root));
			return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
		}
	}
	if (e->o->token) {
		uint8_t pin[32];

		if (tr_token_read(tr_view_str(e->o->token), unused, pin) != TR_TOKEN_ENROL) {
			(void)tr_err_set(&err, TR_E_INVALID,
					 "this is no enrolment token (trt_…, 70 characters); copy it whole, "
					 "or make one "
					 "with `troth token create`",
					 "%zu characters", strlen(e->o->token));
			return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
		}
		if (e->o->root && memcmp(pin, e->pin, 32) != 0) {
			(void)tr_err_set(&err, TR_E_CONFLICT, "--root and the token name different roots",
					 "two pins");
			return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
		}
		memcpy(e->pin, pin, 32);
		return TR_AGENT_EXIT_OK;
	}
	if (e->o->root)
		return TR_AGENT_EXIT_OK;
	if (e->state.conf.root.n == 32) {
		memcpy(e->pin, e->state.conf.root.p, 32);
		return TR_AGENT_EXIT_OK;
	}
	(void)tr_err_set(&err, TR_E_INVALID,
			 "an enrolment token is needed (--token-file, TROTH_TOKEN or --token)",
			 "no token and no --root");
	return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
}

static TR_RC load_fleet_key(struct enrolment *e, struct tr_err *err)
{
	const char *path = e->o->fleet_key ? e->o->fleet_key : getenv("ATTESTATION_PRIVATE_KEY_PATH");

	if (!path || !*path)
		return tr_err_set(err, TR_E_INVALID,
				  "the original claim needs the fleet's private key: --attestation-key or "
				  "ATTESTATION_PRIVATE_KEY_PATH",
				  "no key path");
	return tr_privkey_load(path, &e->fleet, err);
}

static int check_reset(const struct enrolment *e)
{
	struct tr_err err = { 0 };

	if (!e->o->reset_identity || (e->o->token && !e->o->original && !e->o->replay))
		return TR_AGENT_EXIT_OK;
	(void)tr_err_set(
		&err, TR_E_INVALID,
		e->o->token ? "--reset-identity goes with a native enrolment only"
			    : "--reset-identity needs the token that `troth agent reset-identity` printed",
		"reset");
	return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
}

static int prepare(struct enrolment *e)
{
	tr_auto(tr_bpf_eye_free) struct tr_bpf_eye *eye = NULL; /* only to see whether it opens */
	struct tr_err err = { 0 };
	enum tr_code rc;
	int code = check_reset(e);

	if (code)
		return code;
	rc = tr_evidence_read(e->o->statement, e->o->version, NULL, &e->evidence, &err);
	if (!rc && (e->o->bpf_dirs || e->o->bpf_content) &&
	    tr_agent_eye(tr_view_str(e->o->bpf_dirs), tr_view_str(e->o->bpf_content), &eye, &err))
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	if (!rc && e->o->original && !e->o->replay)
		rc = load_fleet_key(e, &err);
	if (!rc && e->o->replay)
		rc = tr_file_read(e->o->replay, TR_REGISTRATION_MAX, &e->replay, &err);
	if (!rc && e->o->servers) {
		rc = tr_servers_check(e->o->servers, &e->servers, &err);
		if (rc)
			return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	/* A replay is somebody else's request: it needs no state, and must not change any. */
	if (!rc && !e->o->replay) {
		rc = tr_state_open(e->o->state_dir, &e->state, &err);
		if (!rc)
			rc = tr_state_lock(&e->state, &err);
		if (!rc)
			rc = tr_rotate_recover(&e->state, &err);
		if (!rc)
			rc = tr_state_load(&e->state, &err);
	}
	if (rc)
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	code = find_pin(e);
	if (code)
		return code;
	if (!e->servers.n)
		tr_buf_addv(&e->servers, e->state.conf.servers);
	if (!e->servers.n) {
		(void)tr_err_set(&err, TR_E_INVALID, "which server? --server https://host:port",
				 "no server known");
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	if (e->o->reset_identity && tr_rotate_begin(&e->state, &e->next, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	if (e->evidence.statement_is_of_other_image && !e->o->replay)
		fprintf(stderr, "troth-agent: note: the release statement is not about the running binary; "
				"the server will "
				"say what it thinks of that\n");
	if (e->evidence.image.disk_differs)
		fprintf(stderr, "troth-agent: note: %s %s; the running image is what is claimed\n",
			e->evidence.image.disk_path,
			e->evidence.image.disk_missing ? "is not there any more"
						       : "is not the binary that runs");
	return TR_AGENT_EXIT_OK;
}

/* ---- one server ---- */

static int refused(const char *url, const struct tr_client_answer *a)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;

	tr_refusal_text(a->status, tr_buf_view(&a->body), &text);
	fprintf(stderr, "troth-agent: refused by %s: %s", url, tr_buf_cstr(&text));
	if (a->retry_after_s)
		fprintf(stderr, "  %-14s %u s\n", "retry after", a->retry_after_s);
	/* A server that cannot at the moment is as good as away: another one may be able. */
	return a->status >= 500 ? TR_AGENT_EXIT_UNREACHABLE : TR_AGENT_EXIT_REFUSED;
}

static int failed(const struct enrolment *e, enum tr_code rc, const struct tr_err *err)
{
	if (e->body_err.code)
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &e->body_err);
	if (rc == TR_E_UNAUTH)
		return tr_agent_fail(TR_AGENT_EXIT_WRONG_SERVER, err);
	return tr_agent_fail(rc == TR_E_INTERNAL ? TR_AGENT_EXIT_STATE : TR_AGENT_EXIT_UNREACHABLE, err);
}

static TR_RC fetch_challenge(struct enrolment *e, struct tr_client *c, struct tr_client_answer *a,
			     struct tr_err *err)
{
	const struct tr_client_request req = { .method = "GET", .path = "/api/v1/challenge" };
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_view text;
	enum tr_code rc = tr_client_do(c, &req, a, err);

	if (rc || a->status != 200)
		return rc;
	tr_buf_clear(&e->challenge);
	rc = tr_json_parse(tr_buf_view(&a->body), &doc, err);
	if (rc)
		return tr_err_wrap(err, "challenge");
	if (!tr_json_str(tr_json_get(tr_json_root(doc), "challenge"), &text) ||
	    tr_b64_get(text, TR_B64_STD, &e->challenge, err) || e->challenge.n != TR_CHALLENGE_LEN)
		return tr_err_set(err, TR_E_INVALID, "the server's challenge is not 32 bytes of base64",
				  "challenge");
	return TR_OK;
}

static void say(const char *label, tr_jnode doc, const char *key)
{
	struct tr_view v;

	if (!tr_json_str(tr_json_get(doc, key), &v) || !v.n)
		return;
	printf("  %-13s ", label);
	for (size_t i = 0; i < v.n; i++)
		putchar(v.p[i] < ' ' || v.p[i] == 0x7f ? '?' : v.p[i]);
	printf("\n");
}

static void say_all(tr_jnode doc, const char *url, const uint8_t root[32])
{
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	int64_t interval;

	printf("enrolled with %s\n", url);
	/* Whom this agent trusts from now on is for people to compare. */
	tr_hex_add(&hex, tr_view(root, 32));
	printf("  %-13s sha256:%s\n", "root", tr_buf_cstr(&hex));
	say("agent id", doc, "agent_id");
	say("partition", doc, "partition");
	say("agent type", doc, "agent_type");
	say("identity", doc, "spiffe_id");
	say("valid until", doc, "expires_at");
	if (tr_json_int(tr_json_get(doc, "heartbeat_interval_s"), &interval))
		printf("  %-13s every %lld s\n", "pulse", (long long)interval);
	say("trust tier", doc, "trust_tier");
	say("verdict", doc, "verdict");
	say("would refuse", doc, "would_refuse");
}

static struct tr_view ident_or_empty(tr_jnode doc, const char *key)
{
	struct tr_view v;

	return tr_json_str(tr_json_get(doc, key), &v) && tr_ident_ok(v) ? v : tr_view(NULL, 0);
}

/* After a reset the old chain means nothing to the server. It goes first: a new key never continues it. */
static TR_RC store_cert(struct enrolment *e, struct tr_view cert_pem, struct tr_err *err)
{
	/* The TPM's key goes with it: the reset may be because of another TPM. */
	static const char *const old[] = { TR_CHAIN_FILE, TR_TPM_AK_FILE };
	char path[PATH_MAX];
	enum tr_code rc;

	if (!e->o->reset_identity)
		return tr_state_write(&e->state, "cert.pem", cert_pem, err);
	for (size_t i = 0; i < TR_ARRAY_LEN(old); i++) {
		tr_state_path(&e->state, old[i], path);
		if (unlink(path) && errno != ENOENT)
			return tr_err_errno(err, "remove %s", path);
	}
	rc = tr_state_write(&e->state, TR_NEXT_CERT, cert_pem, err);
	return rc ? rc : tr_rotate_finish(&e->state, &e->next, err);
}

/* A keyset never goes back, also not to the one of a server that was restored: newer ones may revoke. */
static bool have_newer(const struct enrolment *e, const struct tr_authority *have,
		       const struct tr_trust *trust)
{
	struct tr_keyset k;
	struct tr_err err;

	return !e->moved && have->walk.has && !tr_keyset_unverified(tr_buf_view(&trust->keyset), &k, &err) &&
	       tr_view_eq(k.trust_domain, have->walk.keyset.trust_domain) &&
	       have->walk.keyset.epoch > k.epoch;
}

static TR_RC store_authority(struct enrolment *e, const struct tr_trust *trust, struct tr_err *err)
{
	tr_auto(tr_authority_done) struct tr_authority have = { 0 };
	enum tr_code rc = TR_OK;

	tr_authority_load(&e->state, &have);
	if (have_newer(e, &have, trust)) {
		tr_keyset_root_fingerprint(&have.walk.keyset, e->root);
	} else {
		rc = tr_state_write(&e->state, "keyset.cose", tr_buf_view(&trust->keyset), err);
		if (!rc)
			rc = tr_state_write(&e->state, "ca.pem", tr_buf_view(&trust->ca_pem), err);
	}
	if (rc)
		return rc;
	/* The commands of another installation say nothing about those of this one, whose numbers may be
	 * lower. */
	if (e->moved && renameat(e->state.dir_fd, TR_JOURNAL_FILE, e->state.dir_fd, "journal.before") &&
	    errno != ENOENT)
		return tr_err_errno(err, "rename %s/" TR_JOURNAL_FILE, e->state.dir);
	have.journal = have.journal && !e->moved;
	tr_keywalk_done(&have.walk); /* what it vouches for is checked with the first server's word */
	have.refreshed_ms = tr_now_ms();
	return tr_authority_save(&e->state, &have, err);
}

/* agent.json last: with it the enrolment exists. */
static TR_RC store(struct enrolment *e, const struct tr_trust *trust, tr_jnode doc, struct tr_view cert_pem,
		   const struct tr_cert *cert, struct tr_err *err)
{
	struct tr_agent_conf c;
	int64_t interval = 0;
	enum tr_code rc = store_authority(e, trust, err);

	if (!rc)
		rc = store_cert(e, cert_pem, err);
	if (rc)
		return rc;
	c = e->state.conf;
	(void)tr_json_int(tr_json_get(doc, "heartbeat_interval_s"), &interval);
	c.servers = tr_buf_view(&e->servers);
	c.root = TR_VIEW_ARRAY(e->root);
	c.trust_domain = tr_view_str(trust->domain);
	c.partition = ident_or_empty(doc, "partition");
	c.agent_type = ident_or_empty(doc, "agent_type");
	c.spiffe_id = tr_view_str(tr_cert_spiffe(cert));
	c.version = tr_view_str(e->evidence.version);
	c.image = TR_VIEW_ARRAY(e->evidence.image.hash);
	c.heartbeat_interval_s = tr_interval_clamp_s(interval > 0 ? (uint64_t)interval : 0);
	c.enrolled_at = tr_now_ms();
	if (e->o->bpf_dirs)
		c.bpf_dirs = tr_view_str(e->o->bpf_dirs);
	if (e->o->bpf_content)
		c.bpf_content = tr_view_str(e->o->bpf_content);
	return tr_state_save(&e->state, &c, err);
}

static int accepted(struct enrolment *e, const char *url, const struct tr_trust *trust,
		    const struct tr_client_answer *a)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_cert_free) struct tr_cert *cert = NULL;
	struct tr_err err = { 0 };
	struct tr_view pem;
	enum tr_code rc = tr_json_parse(tr_buf_view(&a->body), &doc, &err);

	if (rc)
		return failed(e, rc, &err);
	if (e->o->replay || e->o->original) {
		/* No identity comes of either: there is nothing to keep. */
		say_all(tr_json_root(doc), url, e->root);
		return TR_AGENT_EXIT_OK;
	}
	if (!tr_json_str(tr_json_get(tr_json_root(doc), "certificate"), &pem))
		rc = tr_err_set(&err, TR_E_INVALID, "the server admitted this agent but gave no certificate",
				"status %d", a->status);
	else
		rc = tr_agent_cert_check(pem, tr_buf_view(&trust->ca_pem), trust->domain,
					 e->state.conf.agent_id, key_of(e), &cert, &err);
	if (rc)
		return tr_agent_fail(TR_AGENT_EXIT_WRONG_SERVER, &err);
	if (store(e, trust, tr_json_root(doc), pem, cert, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	say_all(tr_json_root(doc), url, e->root);
	return TR_AGENT_EXIT_OK;
}

static int save_request(const struct enrolment *e)
{
	struct tr_err err = { 0 };

	if (e->o->save_request && tr_file_write(e->o->save_request, tr_buf_view(&e->sent), 0600, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	return TR_AGENT_EXIT_OK;
}

static int register_at(struct enrolment *e, const char *url, const struct tr_trust *trust)
{
	tr_auto(tr_client_free) struct tr_client *c = NULL;
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	const struct tr_client_config config = {
		.base_url = url,
		.ca_pem = tr_buf_view(&trust->ca_pem),
		.user_agent = TR_AGENT_USER_AGENT,
		.timeout_s = 3 * TR_AGENT_TIMEOUT_S, /* the server may be busy with a whole fleet */
		.max_answer = TR_AGENT_ANSWER_MAX,
	};
	const struct tr_client_request req = {
		.method = "POST",
		.path = e->o->original ? "/agent/register" : "/api/v1/agents/register",
		.content_type = "application/json",
		.body_fn = body,
		.arg = e,
		.bearer = e->o->token,
	};
	struct tr_err err = { 0 };
	enum tr_code rc = tr_client_new(&config, &c, &err);
	int code;

	if (!rc && !e->o->original && !e->o->replay) {
		rc = fetch_challenge(e, c, &a, &err);
		if (!rc && a.status != 200)
			return refused(url, &a);
		tr_client_answer_done(&a);
		a = (struct tr_client_answer){ 0 };
	}
	if (!rc)
		rc = tr_client_do(c, &req, &a, &err);
	if (rc)
		return failed(e, rc, &err);
	code = save_request(e);
	if (code)
		return code;
	return a.status == 201 || a.status == 200 ? accepted(e, url, trust, &a) : refused(url, &a);
}

static int enroll_at(struct enrolment *e, const char *url)
{
	tr_auto(tr_trust_done) struct tr_trust trust = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	struct tr_view before = e->state.conf.enrolled_at ? e->state.conf.root : tr_view(NULL, 0);
	struct tr_bootstrap b = { .pin = e->pin, .seek = before.n == 32 ? before.p : NULL };
	struct tr_err err = { 0 };
	enum tr_code rc = tr_bootstrap(url, &b, tr_now_ms(), &trust, &why, &err);

	if (rc == TR_E_DENIED) {
		fprintf(stderr, "troth-agent: wrong server, nothing was sent to it: %s\n  %s\n  %s\n", url,
			err.pub, tr_buf_cstr(&why));
		return TR_AGENT_EXIT_WRONG_SERVER;
	}
	if (rc)
		return failed(e, rc, &err);
	memcpy(e->root, b.root, sizeof(e->root));
	e->moved = b.seek && !b.sought;
	return register_at(e, url, &trust);
}

int tr_agent_enroll(const struct tr_enroll_opts *o)
{
	tr_auto(enrolment_done) struct enrolment e = { .o = o, .state = TR_STATE_INIT };
	struct tr_view list;
	struct tr_err err = { 0 };
	char url[TR_URL_MAX + 1];
	int code = prepare(&e);

	if (code)
		return code;
	if (tr_client_global_init(&err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	list = tr_buf_view(&e.servers);
	code = TR_AGENT_EXIT_UNREACHABLE;
	/* Only a server that is away makes us ask the next one: a refusal is an answer, a wrong root an
	 * alarm. */
	while (code == TR_AGENT_EXIT_UNREACHABLE && tr_servers_next(&list, url)) {
		e.body_err = (struct tr_err){ 0 };
		code = enroll_at(&e, url);
	}
	/* Not certified: the key in its place is still the device's. */
	if (e.next.key)
		tr_rotate_drop(&e.state, &e.next);
	return code;
}
