/* SPDX-License-Identifier: Apache-2.0 */
/* Whom this agent believes. Every row is what a hub could say. */
#include "agent/peer_test.h"

#include "agent/peers.h"
#include "codec/text.h"
#include "signed/result_token.h"

#define DOMAIN "fleet.example"
#define NOW_MS (NOW * 1000)
#define DAY_MS INT64_C(86400000)

static struct {
	struct tr_privkey *ca_key, *result, *peer, *other;
	struct tr_buf ca, cert;
	struct tr_ca_set *cas;
	struct tr_peer_conf conf;
	struct tr_revocations revocations;
} w;

static struct tr_privkey *new_key(void)
{
	struct tr_privkey *k = NULL;

	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	return k;
}

static int make_world(void **unused)
{
	struct tr_cert_spec ca = { .common_name = "CA", .spiffe = "spiffe://" DOMAIN, .not_before_ms = NOW_MS - DAY_MS,
				   .not_after_ms = NOW_MS + DAY_MS, .ca = true };
	struct tr_cert_spec leaf = { .common_name = "result", .spiffe = "spiffe://" DOMAIN "/result",
				     .not_before_ms = NOW_MS - DAY_MS, .not_after_ms = NOW_MS + DAY_MS };
	struct tr_view der;

	(void)unused;
	w.ca_key = new_key();
	w.result = new_key();
	w.peer = new_key();
	w.other = new_key();
	ca.spki = tr_pubkey_spki(tr_privkey_pub(w.ca_key));
	leaf.spki = tr_pubkey_spki(tr_privkey_pub(w.result));
	if (tr_cert_issue(w.ca_key, tr_view(NULL, 0), &ca, &w.ca, &err) ||
	    tr_cert_issue(w.ca_key, tr_buf_view(&w.ca), &leaf, &w.cert, &err))
		return 1;
	der = tr_buf_view(&w.ca);
	return tr_ca_set_new(&der, 1, &w.cas, &err) != TR_OK;
}

static int drop_world(void **unused)
{
	(void)unused;
	w.ca_key = tr_privkey_free(w.ca_key);
	w.result = tr_privkey_free(w.result);
	w.peer = tr_privkey_free(w.peer);
	w.other = tr_privkey_free(w.other);
	w.cas = tr_ca_set_free(w.cas);
	tr_buf_done(&w.ca);
	tr_buf_done(&w.cert);
	return 0;
}

struct says {
	const char *label, *agent_id, *sub, *verified, *type; /* type: by the result; the hub says "db" */
	bool other_kid, other_key, no_prekey, foreign_prekey, self_signed;
	int64_t exp; /* from now; 0: an hour */
	uint64_t number, seen;
	int64_t prekey_for; /* from now until its end; 0: a day */
	const char *allow;
	bool revoked;
	enum tr_code want;
	const char *why;
	bool unusable; /* believed, but nothing can be sealed to it */
};

static void put_token(const struct says *s, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf claims = TR_BUF_INIT;

	tr_buf_addf(&claims, "{\"iss\":\"x\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld,\"cnf\":{\"kid\":\"", s->sub ? s->sub : "db-1",
		    (long long)NOW, (long long)(NOW + (s->exp ? s->exp : 3600)));
	tr_hex_add(&claims, tr_view(tr_pubkey_id(tr_privkey_pub(s->other_kid ? w.other : w.peer)), 32));
	tr_buf_addf(&claims, "\"},\"troth\":{\"verified\":%s,\"agent_type\":\"%s\",\"kind\":\"tdx\",\"tier\":\"hardware\",\"simulated\":false}}",
		    s->verified ? s->verified : "true", s->type ? s->type : "db");
	/* Its header names the result key's certificate; the signature is by another key, when it is self made. */
	assert_int_equal(tr_result_token_sign(tr_buf_view(&claims), s->self_signed ? w.other : w.result,
					      tr_buf_view(&w.cert), b, &err),
			 TR_OK);
}

static void put_entry(const struct says *s, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, token = TR_BUF_INIT, cose = TR_BUF_INIT;
	const struct tr_prekey p = { .fleet = TR_VIEW_LIT(DOMAIN), .agent = TR_VIEW_LIT("db-1"), .key = { 1 },
				     .number = s->number ? s->number : 5, .not_before = NOW - 1000,
				     .not_after = NOW + (s->prekey_for ? s->prekey_for : 86400) };

	put_token(s, &token);
	tr_pubkey_pem(tr_privkey_pub(s->other_key ? w.other : w.peer), &pem);
	assert_int_equal(tr_prekey_sign(&p, s->foreign_prekey ? w.other : w.peer, &cose, &err), TR_OK);
	tr_buf_adds(b, "{\"agent_id\":");
	tr_json_put_str(b, tr_view_str(s->agent_id ? s->agent_id : "db-1"));
	tr_buf_adds(b, ",\"agent_type\":\"db\",\"endpoint\":\"https://db:1\",\"attestation_info\":{\"public_key_pem\":");
	tr_json_put_str(b, tr_buf_view(&pem));
	tr_json_member_str(b, "token", tr_buf_view(&token));
	tr_buf_adds(b, ",\"prekey\":\"");
	if (!s->no_prekey)
		tr_b64_add(b, tr_buf_view(&cose), TR_B64_STD);
	tr_buf_adds(b, "\"}}");
}

static void whom_it_believes(void **unused)
{
	static const struct says cases[] = {
		{ .label = "good" },
		{ .label = "another agent's entry", .agent_id = "db-2", .want = TR_E_DENIED, .why = "answers for another agent" },
		{ .label = "another agent's token", .sub = "db-2", .want = TR_E_DENIED, .why = "another agent's" },
		{ .label = "a token for another key", .other_kid = true, .want = TR_E_DENIED, .why = "for another key" },
		{ .label = "another key", .other_key = true, .want = TR_E_DENIED, .why = "for another key" },
		{ .label = "a token of its own", .self_signed = true, .want = TR_E_DENIED, .why = "" },
		{ .label = "nothing verified", .verified = "false", .want = TR_E_DENIED, .why = "verified" },
		{ .label = "a word in the place of truth", .verified = "\"true\"", .want = TR_E_DENIED, .why = "verified" },
		{ .label = "over", .exp = -1, .want = TR_E_DENIED, .why = "expired" },
		{ .label = "somebody's pre-key", .foreign_prekey = true, .want = TR_E_DENIED, .why = "another key" },
		{ .label = "an older pre-key", .number = 6, .seen = 7, .want = TR_E_DENIED, .why = "older pre-key" },
		{ .label = "the same pre-key", .number = 7, .seen = 7 },
		{ .label = "no pre-key", .no_prekey = true, .unusable = true },
		{ .label = "a pre-key that is over", .prekey_for = -1, .unusable = true },
		{ .label = "revoked", .revoked = true, .want = TR_E_DENIED, .why = "revoked" },
		{ .label = "not among the allowed", .allow = "web-1", .want = TR_E_DENIED, .why = "peer.json" },
		{ .label = "allowed by id", .allow = "db-1" },
		{ .label = "allowed by type", .allow = "type:db" },
		{ .label = "allowed by a type that is only the hub's word", .type = "web", .allow = "type:db", .want = TR_E_DENIED,
		  .why = "peer.json" },
		{ .label = "another type", .allow = "type:web", .want = TR_E_DENIED, .why = "peer.json" },
	};

	(void)unused;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		const struct says *s = &cases[i];
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		tr_auto(tr_peer_info_free) struct tr_peer_info *p = NULL;
		struct tr_revoked gone = { .agent = "db-1", .ended = true };
		struct tr_peer_rules r = { w.cas, DOMAIN, &w.conf, &w.revocations, s->seen };

		w.conf = (struct tr_peer_conf){ .n_allow = s->allow != NULL, .allow = { tr_view_str(s->allow) } };
		w.revocations = (struct tr_revocations){ .n = s->revoked, .list = &gone };
		put_entry(s, &b);
		if (tr_peer_read(&r, tr_buf_view(&b), TR_VIEW_LIT("db-1"), NOW, &p, &err) != s->want)
			fail_msg("%s: %s", s->label, s->want ? "was believed" : err.detail);
		if (s->want && (p || !strstr(err.pub, s->why)))
			fail_msg("%s: %s", s->label, err.pub);
		if (s->want)
			continue;
		assert_true(strcmp(p->agent, "db-1") == 0 && strcmp(p->type, "db") == 0 && strcmp(p->tier, "hardware") == 0);
		assert_true(p->expires_s == NOW + 3600 && p->has_prekey == !s->unusable && !p->simulated);
		assert_memory_equal(tr_pubkey_id(p->key), tr_pubkey_id(tr_privkey_pub(w.peer)), 32);
		/* What was good then may not be now. */
		assert_int_equal(tr_peer_still_good(&r, p, NOW + 3599, &err), TR_OK);
		assert_int_equal(tr_peer_still_good(&r, p, NOW + 3600, &err), TR_E_DENIED);
		w.revocations.n = 1;
		assert_int_equal(tr_peer_still_good(&r, p, NOW, &err), TR_E_DENIED);
		w.revocations.n = 0;
		w.conf.min_tier = TR_TIER_HARDWARE;
		assert_int_equal(tr_peer_still_good(&r, p, NOW, &err), TR_OK);
		p->simulated = true;
		assert_int_equal(tr_peer_still_good(&r, p, NOW, &err), TR_E_DENIED);
		p->simulated = false;
		(void)snprintf(p->tier, sizeof(p->tier), "%s", i % 2 ? "self-asserted" : "of a newer server");
		assert_int_equal(tr_peer_still_good(&r, p, NOW, &err), TR_E_DENIED);
		assert_non_null(strstr(err.pub, "min_tier"));
	}
}

static void every_cut_of_an_answer_is_refused(void **unused)
{
	const struct says good = { .label = "good" };
	const struct tr_peer_rules r = { w.cas, DOMAIN, &w.conf, &w.revocations, 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)unused;
	w.conf = (struct tr_peer_conf){ .n_allow = 0 };
	w.revocations = (struct tr_revocations){ .n = 0 };
	put_entry(&good, &b);
	for (size_t n = 0; n < b.n; n++) {
		tr_auto(tr_peer_info_free) struct tr_peer_info *p = NULL;

		assert_int_equal(tr_peer_read(&r, tr_view(b.p, n), TR_VIEW_LIT("db-1"), NOW, &p, &err), TR_E_INVALID);
		assert_null(p);
	}
}

static struct tr_peer_info *info(unsigned nr, int64_t expires)
{
	struct tr_peer_info *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->agent, sizeof(p->agent), "a%u", nr);
	p->expires_s = expires;
	return p;
}

static void what_is_known_is_bounded(void **unused)
{
	static struct tr_peers p;

	(void)unused;
	for (unsigned i = 0; i < TR_PEERS_MAX; i++)
		tr_peers_put(&p, info(i, NOW + 1000 + i));
	tr_peers_put(&p, info(7, NOW + 9));
	assert_true(p.n == TR_PEERS_MAX && tr_peers_find(&p, TR_VIEW_LIT("a7"))->expires_s == NOW + 9);
	/* In the place of the one that ends first. */
	tr_peers_put(&p, info(TR_PEERS_MAX, NOW + 5000));
	assert_true(p.n == TR_PEERS_MAX && !tr_peers_find(&p, TR_VIEW_LIT("a7")) && tr_peers_find(&p, TR_VIEW_LIT("a8")));
	tr_peers_drop(&p, TR_VIEW_LIT("a8"));
	assert_true(p.n == TR_PEERS_MAX - 1 && !tr_peers_find(&p, TR_VIEW_LIT("a8")));
	while (p.n)
		tr_peers_drop(&p, tr_view_str(p.list[0]->agent));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whom_it_believes),
		cmocka_unit_test(every_cut_of_an_answer_is_refused),
		cmocka_unit_test(what_is_known_is_bounded),
	};

	return cmocka_run_group_tests(tests, make_world, drop_world);
}
