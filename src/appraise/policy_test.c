/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "appraise/policy.h"
#include "codec/text.h"
#include "crypto/x509.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

static struct {
	struct tr_privkey *release, *stranger, *fleet, *fleet_old, *device, *other_device;
} keys;

static const uint8_t challenge[32] = { 7, 7, 7 }, this_channel[32] = { 1 }, other_channel[32] = { 2 };
static const uint8_t running[32] = { 0xaa, 1 }, another[32] = { 0xbb, 2 };

enum statement { ST_GOOD, ST_NONE, ST_STRANGER, ST_FORGED, ST_GARBAGE, ST_OTHER_HASH, ST_EXPIRED };
enum request { CSR_GOOD, CSR_OTHER_KEY, CSR_FORGED, CSR_GARBAGE, CSR_LEAKED };
enum binding { BOUND, UNBOUND, BOUND_ELSEWHERE };

/* One registration and the policy it meets; all zero is a good one. */
struct scene {
	const char *label;
	enum tr_reason want; /* in enforce mode */
	int64_t ahead_ms;    /* claim's clock */
	enum statement statement;
	enum request request;
	enum binding binding;
	enum tr_vkey_state key_state;
	int64_t key_from_ms, key_until_ms; /* relative to now; 0: none */
	bool forged_claim, garbage_claim, not_accepted, hash_listed, withdrawn, pin_only;
	const char *version, *min_version, *versions;
	enum tr_tier min_tier;
	bool no_keys;
};

static const struct scene native_scenes[] = {
	{ .label = "good", .want = TR_R_OK },
	{ .label = "form not accepted", .want = TR_R_FORMAT_NOT_ACCEPTED, .not_accepted = true },
	{ .label = "claim is no COSE", .want = TR_R_MALFORMED, .garbage_claim = true },
	{ .label = "request is no PKCS#10", .want = TR_R_MALFORMED, .request = CSR_GARBAGE },
	{ .label = "leaked device key", .want = TR_R_KEY_REFUSED, .request = CSR_LEAKED },
	{ .label = "request's signature is bad", .want = TR_R_BAD_SIGNATURE, .request = CSR_FORGED },
	{ .label = "claim's signature is bad", .want = TR_R_BAD_SIGNATURE, .forged_claim = true },
	{ .label = "request by another key", .want = TR_R_KEY_MISMATCH, .request = CSR_OTHER_KEY },
	{ .label = "relayed", .want = TR_R_CHANNEL_MISMATCH, .binding = BOUND_ELSEWHERE },
	{ .label = "not bound", .want = TR_R_CHANNEL_MISMATCH, .binding = UNBOUND },
	{ .label = "300 s behind", .want = TR_R_OK, .ahead_ms = -300000 },
	{ .label = "300 s ahead", .want = TR_R_OK, .ahead_ms = 300000 },
	{ .label = "a millisecond more behind", .want = TR_R_CLOCK_DESYNC, .ahead_ms = -300001 },
	{ .label = "a millisecond more ahead", .want = TR_R_CLOCK_DESYNC, .ahead_ms = 300001 },
	{ .label = "ten minutes old", .want = TR_R_CLOCK_DESYNC, .ahead_ms = -600000 },
	{ .label = "no statement", .want = TR_R_HASH_NOT_ALLOWED, .statement = ST_NONE },
	{ .label = "no statement, hash listed", .want = TR_R_OK, .statement = ST_NONE, .hash_listed = true },
	{ .label = "good statement of a withdrawn release", .want = TR_R_HASH_NOT_ALLOWED, .withdrawn = true },
	{ .label = "withdrawn release, hash pinned",
	  .want = TR_R_OK,
	  .withdrawn = true,
	  .pin_only = true,
	  .hash_listed = true },
	{ .label = "statement about another binary",
	  .want = TR_R_HASH_NOT_ALLOWED,
	  .statement = ST_OTHER_HASH },
	{ .label = "statement by a stranger", .want = TR_R_UNKNOWN_KEY, .statement = ST_STRANGER },
	{ .label = "statement by a stranger, hash listed",
	  .want = TR_R_OK,
	  .statement = ST_STRANGER,
	  .hash_listed = true },
	{ .label = "no release key at all", .want = TR_R_UNKNOWN_KEY, .no_keys = true },
	{ .label = "forged statement", .want = TR_R_BAD_SIGNATURE, .statement = ST_FORGED },
	{ .label = "garbage for a statement", .want = TR_R_MALFORMED, .statement = ST_GARBAGE },
	{ .label = "expired statement", .want = TR_R_RELEASE_EXPIRED, .statement = ST_EXPIRED },
	{ .label = "expired statement, hash listed",
	  .want = TR_R_OK,
	  .statement = ST_EXPIRED,
	  .hash_listed = true },
	{ .label = "revoked release key", .want = TR_R_KEY_REVOKED, .key_state = TR_VKEY_REVOKED },
	{ .label = "key retired after it signed",
	  .want = TR_R_OK,
	  .key_state = TR_VKEY_RETIRED,
	  .key_until_ms = -HOUR_MS },
	{ .label = "key retired before it signed",
	  .want = TR_R_KEY_REVOKED,
	  .key_state = TR_VKEY_RETIRED,
	  .key_until_ms = -3 * DAY_MS },
	{ .label = "key retired, no date", .want = TR_R_OK, .key_state = TR_VKEY_RETIRED },
	{ .label = "key ended before it signed", .want = TR_R_KEY_REVOKED, .key_until_ms = -3 * DAY_MS },
	{ .label = "key began after it signed", .want = TR_R_KEY_REVOKED, .key_from_ms = -HOUR_MS },
	{ .label = "key began before it signed", .want = TR_R_OK, .key_from_ms = -3 * DAY_MS },
	{ .label = "only pins count", .want = TR_R_HASH_NOT_ALLOWED, .pin_only = true },
	{ .label = "only pins count, and it is one", .want = TR_R_OK, .pin_only = true, .hash_listed = true },
	{ .label = "claims another version than its release",
	  .want = TR_R_VERSION_NOT_ALLOWED,
	  .version = "1.2.4" },
	{ .label = "the same version with a v", .want = TR_R_OK, .version = "v1.2.3" },
	{ .label = "at the minimum", .want = TR_R_OK, .min_version = "1.2.3" },
	{ .label = "below the minimum", .want = TR_R_VERSION_NOT_ALLOWED, .min_version = "1.2.10" },
	{ .label = "a listed version", .want = TR_R_OK, .versions = "1.0.0, v1.2.3,2.0.0" },
	{ .label = "not a listed version", .want = TR_R_VERSION_NOT_ALLOWED, .versions = "1.0.0,1.2.30" },
	{ .label = "tier that it has", .want = TR_R_OK, .min_tier = TR_TIER_SELF_ASSERTED },
	{ .label = "tier that it has not", .want = TR_R_TIER_TOO_LOW, .min_tier = TR_TIER_KERNEL },
	/* The first failure in the documented order is the reason. */
	{ .label = "relayed and old",
	  .want = TR_R_CHANNEL_MISMATCH,
	  .binding = BOUND_ELSEWHERE,
	  .ahead_ms = -HOUR_MS },
	{ .label = "old and of no release",
	  .want = TR_R_CLOCK_DESYNC,
	  .ahead_ms = -HOUR_MS,
	  .statement = ST_NONE },
	{ .label = "of no release and below the minimum",
	  .want = TR_R_HASH_NOT_ALLOWED,
	  .statement = ST_NONE,
	  .min_version = "9" },
};

static bool tolerated(enum tr_reason r)
{
	return r == TR_R_CLOCK_DESYNC || r == TR_R_HASH_NOT_ALLOWED || r == TR_R_VERSION_NOT_ALLOWED ||
	       r == TR_R_UNKNOWN_KEY || r == TR_R_KEY_REVOKED || r == TR_R_RELEASE_EXPIRED ||
	       r == TR_R_TIER_TOO_LOW;
}

static void flip_last(struct tr_buf *b)
{
	b->p[b->n - 1] ^= 1;
}

static struct tr_view text_or_none(const char *s)
{
	return s ? tr_view_str(s) : tr_view(NULL, 0);
}

static void make_statement(const struct scene *s, struct tr_buf *ret)
{
	struct tr_release r = {
		.name = TR_VIEW_LIT("troth-agent"),
		.version = TR_VIEW_LIT("1.2.3"),
		.platform = TR_VIEW_LIT("linux-amd64"),
		.size = 1000,
		.counter = 5,
		.issued_ms = NOW_MS - 2 * DAY_MS,
		.expires_ms = s->statement == ST_EXPIRED ? NOW_MS : NOW_MS + DAY_MS,
	};
	struct tr_err err;

	if (s->statement == ST_NONE)
		return;
	if (s->statement == ST_GARBAGE) {
		tr_buf_adds(ret, "release");
		return;
	}
	memcpy(r.sha256, s->statement == ST_OTHER_HASH ? another : running, 32);
	assert_int_equal(
		tr_release_sign(&r, s->statement == ST_STRANGER ? keys.stranger : keys.release, ret, &err),
		TR_OK);
	if (s->statement == ST_FORGED)
		flip_last(ret);
}

static void make_request(const struct scene *s, struct tr_buf *ret)
{
	/* The example key of RFC 8410 10.3: its private half is printed there. */
	static const char leaked[] = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
	struct tr_err err;

	if (s->request == CSR_GARBAGE) {
		tr_buf_adds(ret, "not DER");
		return;
	}
	assert_int_equal(
		tr_csr_make(s->request == CSR_OTHER_KEY ? keys.other_device : keys.device, ret, &err), TR_OK);
	if (s->request == CSR_FORGED)
		flip_last(ret);
	if (s->request == CSR_LEAKED) {
		/* The key is in the clear inside: put the published one in its place. */
		struct tr_view raw = tr_pubkey_spki(tr_privkey_pub(keys.device));
		uint8_t *at = memmem(ret->p, ret->n, raw.p, raw.n);

		assert_non_null(at);
		assert_true(tr_hex_get(tr_view_str(leaked), at + 12, 32));
	}
}

static void make_native(const struct scene *s, struct tr_buf *body)
{
	tr_auto(tr_buf_done) struct tr_buf st = TR_BUF_INIT, csr = TR_BUF_INIT, cose = TR_BUF_INIT;
	struct tr_claim c = {
		.node_id = TR_VIEW_LIT("web-1"),
		.version = tr_view_str(s->version ? s->version : "1.2.3"),
		.timestamp_ms = NOW_MS + s->ahead_ms,
		.challenge = TR_VIEW_ARRAY(challenge),
	};
	struct tr_err err;

	make_statement(s, &st);
	make_request(s, &csr);
	c.release = tr_buf_view(&st);
	if (s->binding != UNBOUND)
		c.exporter = s->binding == BOUND ? TR_VIEW_ARRAY(this_channel) : TR_VIEW_ARRAY(other_channel);
	memcpy(c.binary_hash, running, 32);
	assert_int_equal(tr_claim_sign(&c, keys.device, &cose, &err), TR_OK);
	if (s->forged_claim)
		flip_last(&cose);
	if (s->garbage_claim)
		cose.p[0] ^= 1;
	tr_buf_adds(body, "{\"csr\":\"");
	tr_b64_add(body, tr_buf_view(&csr), TR_B64_STD);
	tr_buf_adds(body, "\",\"claim\":\"");
	tr_b64_add(body, tr_buf_view(&cose), TR_B64_STD);
	tr_buf_adds(body, "\"}");
	assert_true(tr_buf_ok(body));
}

static void make_policy(const struct scene *s, enum tr_mode mode, struct tr_vkey vkeys[3],
			struct tr_policy *ret)
{
	union {
		const struct tr_pubkey *in;
		struct tr_pubkey *out;
	} release = { tr_privkey_pub(keys.release) }, fleet = { tr_privkey_pub(keys.fleet) },
	  old = { tr_privkey_pub(keys.fleet_old) };
	int64_t from = s->key_from_ms ? NOW_MS + s->key_from_ms : 0;
	int64_t until = s->key_until_ms ? NOW_MS + s->key_until_ms : 0;

	vkeys[0] = (struct tr_vkey){ release.out, TR_VKEY_RELEASE, s->key_state, from, until };
	vkeys[1] = (struct tr_vkey){ fleet.out, TR_VKEY_FLEET, s->key_state, from, until };
	vkeys[2] = (struct tr_vkey){ old.out, TR_VKEY_FLEET, TR_VKEY_RETIRED, 0, 0 };
	*ret = (struct tr_policy){
		.mode = mode,
		.accept_native = !s->not_accepted,
		.accept_original = !s->not_accepted,
		.vkeys = vkeys,
		.n_vkeys = s->no_keys ? 0 : 3,
		.hashes = s->hash_listed ? &running : &another,
		.n_hashes = 1,
		.withdrawn = &running,
		.n_withdrawn = s->withdrawn,
		.pin_only = s->pin_only,
		.min_version = text_or_none(s->min_version),
		.versions = text_or_none(s->versions),
		.min_tier = s->min_tier,
	};
}

/* Every line of the explanation is a sentence, and the failed ones agree with the reason. */
static void check_lines(const struct tr_appraisal *a, const char *label)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;
	size_t failed = 0;

	CHECK(a->n_checks > 0 && a->n_checks < TR_CHECKS_MAX, label);
	for (size_t i = 0; i < a->n_checks; i++) {
		failed += !a->checks[i].ok;
		CHECK(a->checks[i].expected[0] && a->checks[i].seen[0], label);
	}
	CHECK((failed == 0) == (a->reason == TR_R_OK), label);
	tr_appraisal_checks_json(a, &b);
	CHECK(tr_json_parse(tr_buf_view(&b), &j, &err) == TR_OK, label);
	CHECK(tr_json_len(tr_json_root(j)) == a->n_checks, label);
}

static void native_reason_in_each_mode(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(native_scenes); i++) {
		const struct scene *s = &native_scenes[i];
		tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

		make_native(s, &body);
		for (enum tr_mode m = TR_MODE_OFF; m <= TR_MODE_ENFORCE; m++) {
			tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
			/* Off looks at nothing but the identity: neither the statement nor what audit would
			 * tolerate. */
			bool unseen =
				tolerated(s->want) || s->statement == ST_FORGED || s->statement == ST_GARBAGE;
			enum tr_reason want = m == TR_MODE_OFF && unseen ? TR_R_OK : s->want;
			struct tr_vkey vkeys[3];
			struct tr_policy p;
			struct tr_appraisal a;

			make_policy(s, m, vkeys, &p);
			tr_appraise_body(&p, tr_buf_view(&body), TR_VIEW_ARRAY(this_channel), NOW_MS, &a,
					 &key);
			if (a.reason != want)
				fail_msg("%s, %s: %s instead of %s", s->label, tr_mode_name(m),
					 tr_reason_info(a.reason)->slug, tr_reason_info(want)->slug);
			CHECK(a.admitted == (want == TR_R_OK || (m == TR_MODE_AUDIT && tolerated(want))),
			      s->label);
			check_lines(&a, s->label);
			if (!a.admitted)
				continue;
			CHECK(key && memcmp(a.device_key_id, tr_pubkey_id(key), 32) == 0, s->label);
			CHECK(a.native && a.tier == TR_TIER_SELF_ASSERTED, s->label);
			CHECK(strcmp(a.node_id, "web-1") == 0, s->label);
			assert_memory_equal(a.binary_hash, running, 32);
			assert_memory_equal(a.challenge, challenge, 32);
			CHECK(a.claim_time_ms == NOW_MS + s->ahead_ms && a.skew_ms == s->ahead_ms, s->label);
		}
	}
}

static void the_release_key_that_vouched_is_named(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	const struct scene s = { .label = "good" };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;

	(void)state;
	make_native(&s, &body);
	make_policy(&s, TR_MODE_ENFORCE, vkeys, &p);
	tr_appraise_native(&p, tr_buf_view(&body), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
	assert_true(a.vouched);
	assert_memory_equal(a.vkey_id, tr_pubkey_id(tr_privkey_pub(keys.release)), 32);
	assert_string_equal(a.release_name, "troth-agent");
	assert_string_equal(a.platform, "linux-amd64");
}

static void a_late_clock_is_explained_to_a_person(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	const struct scene s = { .label = "late", .ahead_ms = -600000 };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;
	const struct tr_check *c = NULL;

	(void)state;
	make_native(&s, &body);
	make_policy(&s, TR_MODE_ENFORCE, vkeys, &p);
	tr_appraise_native(&p, tr_buf_view(&body), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
	for (size_t i = 0; i < a.n_checks; i++)
		if (strcmp(a.checks[i].name, "clock") == 0)
			c = &a.checks[i];
	assert_non_null(c);
	assert_string_equal(c->expected, "within 300 s of the server's time 2026-11-22T01:22:03.456Z");
	assert_string_equal(c->seen, "2026-11-22T01:12:03.456Z, 600 s behind");
}

/* In audit mode the reason that really refuses must not hide behind one that audit tolerates. */
static void audit_names_the_reason_that_refuses(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	const struct scene s = { .label = "old and forged", .ahead_ms = -HOUR_MS, .statement = ST_FORGED };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;

	(void)state;
	make_native(&s, &body);
	make_policy(&s, TR_MODE_AUDIT, vkeys, &p);
	tr_appraise_native(&p, tr_buf_view(&body), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
	assert_int_equal(a.reason, TR_R_BAD_SIGNATURE);
	assert_false(a.admitted);
}

/* --- original ------------------------------------------------------------------------------------------ */

static const struct {
	struct scene s;
	enum { BY_FLEET, BY_OLD_FLEET, BY_STRANGER } signer;
	const char *outer; /* node_id of the body, when another */
} original_scenes[] = {
	{ { .label = "good", .want = TR_R_OK }, BY_FLEET, NULL },
	{ { .label = "retired fleet key", .want = TR_R_OK }, BY_OLD_FLEET, NULL },
	{ { .label = "form not accepted", .want = TR_R_FORMAT_NOT_ACCEPTED, .not_accepted = true },
	  BY_FLEET,
	  NULL },
	{ { .label = "two node ids", .want = TR_R_MALFORMED }, BY_FLEET, "web-2" },
	{ { .label = "node id with a colon", .want = TR_R_MALFORMED }, BY_FLEET, "web:1" },
	{ { .label = "another signer", .want = TR_R_BAD_SIGNATURE }, BY_STRANGER, NULL },
	{ { .label = "no fleet key", .want = TR_R_UNKNOWN_KEY, .no_keys = true }, BY_FLEET, NULL },
	{ { .label = "revoked fleet key", .want = TR_R_KEY_REVOKED, .key_state = TR_VKEY_REVOKED },
	  BY_FLEET,
	  NULL },
	{ { .label = "fleet key retired an hour ago",
	    .want = TR_R_KEY_REVOKED,
	    .key_state = TR_VKEY_RETIRED,
	    .key_until_ms = -HOUR_MS },
	  BY_FLEET,
	  NULL },
	{ { .label = "300 s behind", .want = TR_R_OK, .ahead_ms = -300000 }, BY_FLEET, NULL },
	{ { .label = "300 s ahead", .want = TR_R_OK, .ahead_ms = 300000 }, BY_FLEET, NULL },
	{ { .label = "301 s behind", .want = TR_R_CLOCK_DESYNC, .ahead_ms = -301000 }, BY_FLEET, NULL },
	{ { .label = "301 s ahead", .want = TR_R_CLOCK_DESYNC, .ahead_ms = 301000 }, BY_FLEET, NULL },
	{ { .label = "only pins count", .want = TR_R_HASH_NOT_ALLOWED, .pin_only = true }, BY_FLEET, NULL },
	{ { .label = "a pin", .want = TR_R_OK, .pin_only = true, .hash_listed = true }, BY_FLEET, NULL },
	{ { .label = "below the minimum", .want = TR_R_VERSION_NOT_ALLOWED, .min_version = "2" },
	  BY_FLEET,
	  NULL },
	{ { .label = "not a listed version", .want = TR_R_VERSION_NOT_ALLOWED, .versions = "1.0" },
	  BY_FLEET,
	  NULL },
	{ { .label = "tier", .want = TR_R_TIER_TOO_LOW, .min_tier = TR_TIER_HARDWARE }, BY_FLEET, NULL },
};

static void make_original(const struct scene *s, const struct tr_privkey *k, const char *outer,
			  struct tr_buf *body)
{
	tr_auto(tr_buf_done) struct tr_buf hash = TR_BUF_INIT;
	struct tr_claim_original c = {
		.node_id = TR_VIEW_LIT("web-1"),
		.version = tr_view_str(s->version ? s->version : "v1.2.3"),
		.timestamp_s = NOW_MS / 1000 + s->ahead_ms / 1000,
	};
	struct tr_err err;

	tr_buf_adds(&hash, "sha256:");
	tr_hex_add(&hash, TR_VIEW_ARRAY(running));
	c.binary_hash = tr_buf_view(&hash);
	tr_buf_addf(body,
		    "{\"node_id\":\"%s\",\"hostname\":\"ignored\",\"attestation\":", outer ? outer : "web-1");
	assert_int_equal(tr_claim_original_sign(&c, k, TR_SIG_RS256, body, &err), TR_OK);
	tr_buf_adds(body, "}");
}

static void original_reason_in_each_mode(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(original_scenes); i++) {
		const struct scene *s = &original_scenes[i].s;
		const struct tr_privkey *by[] = { keys.fleet, keys.fleet_old, keys.stranger };
		const char *outer = original_scenes[i].outer;
		tr_auto(tr_privkey_free) struct tr_privkey *rsa = NULL;
		tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;

		if (original_scenes[i].signer == BY_STRANGER)
			rsa = new_key(TR_KEY_RSA);
		make_original(s, rsa ? rsa : by[original_scenes[i].signer], outer, &body);
		for (enum tr_mode m = TR_MODE_OFF; m <= TR_MODE_ENFORCE; m++) {
			tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
			enum tr_reason want = s->want;
			struct tr_vkey vkeys[3];
			struct tr_policy p;
			struct tr_appraisal a;

			/* As in the original: off does not look at the claim. */
			if (m == TR_MODE_OFF && want != TR_R_FORMAT_NOT_ACCEPTED &&
			    !(outer && strchr(outer, ':')))
				want = TR_R_OK;
			make_policy(s, m, vkeys, &p);
			tr_appraise_body(&p, tr_buf_view(&body), tr_view(NULL, 0), NOW_MS, &a, &key);
			if (a.reason != want)
				fail_msg("%s, %s: %s instead of %s", s->label, tr_mode_name(m),
					 tr_reason_info(a.reason)->slug, tr_reason_info(want)->slug);
			CHECK(a.admitted == (want == TR_R_OK || (m == TR_MODE_AUDIT && tolerated(want))),
			      s->label);
			CHECK(!key && !a.native, s->label);
			check_lines(&a, s->label);
			CHECK(a.tier <= TR_TIER_SELF_ASSERTED, s->label);
			if (m == TR_MODE_OFF)
				CHECK(a.tier == TR_TIER_NONE, s->label);
			if (a.vouched)
				CHECK(memcmp(a.vkey_id,
					     tr_pubkey_id(tr_privkey_pub(by[original_scenes[i].signer])),
					     32) == 0,
				      s->label);
		}
	}
}

/* Whoever stores claim digests must not take the second agent of mode off for a replay of the first. */
static void unlooked_at_claims_are_no_replays(void **state)
{
	static const char *const nodes[] = { "{\"node_id\":\"a\"}", "{\"node_id\":\"b\"}" };
	const struct scene s = { .label = "off" };
	struct tr_appraisal a[3];
	struct tr_vkey vkeys[3];
	struct tr_policy p;

	(void)state;
	make_policy(&s, TR_MODE_OFF, vkeys, &p);
	tr_appraise_original(&p, tr_view_str(nodes[0]), NOW_MS, &a[0]);
	tr_appraise_original(&p, tr_view_str(nodes[1]), NOW_MS, &a[1]);
	tr_appraise_original(&p, tr_view_str(nodes[0]), NOW_MS + 1, &a[2]);
	for (size_t i = 0; i < 3; i++)
		assert_true(a[i].admitted);
	assert_memory_not_equal(a[0].claim_digest, a[1].claim_digest, 32);
	assert_memory_not_equal(a[0].claim_digest, a[2].claim_digest, 32);
}

static void every_flipped_bit_of_an_original_claim_is_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	const struct scene s = { .label = "good" };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;
	size_t admitted = 0, from, to;

	(void)state;
	make_original(&s, keys.fleet, NULL, &body);
	make_policy(&s, TR_MODE_ENFORCE, vkeys, &p);
	from = (size_t)((uint8_t *)memmem(body.p, body.n, "\"attestation\"", 13) - body.p);
	to = body.n;
	for (size_t bit = from * 8; bit < to * 8; bit++) {
		body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		tr_appraise_original(&p, tr_buf_view(&body), NOW_MS, &a);
		admitted += a.admitted;
		body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(admitted, 0);
	tr_appraise_original(&p, tr_buf_view(&body), NOW_MS, &a);
	assert_true(a.admitted);
}

static void every_flipped_bit_of_a_native_body_is_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	const struct scene s = { .label = "good" };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;
	size_t admitted = 0;

	(void)state;
	make_native(&s, &body);
	make_policy(&s, TR_MODE_ENFORCE, vkeys, &p);
	for (size_t bit = 0; bit < body.n * 8; bit++) {
		tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;

		body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		tr_appraise_native(&p, tr_buf_view(&body), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
		admitted += a.admitted;
		body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	assert_int_equal(admitted, 0);
}

static void bodies_of_no_form_are_malformed(void **state)
{
	static const char *const bodies[] = {
		"",
		"null",
		"[]",
		"{}",
		"\"csr\"",
		"{\"csr\":1,\"claim\":2}",
		"{\"csr\":\"\"}",
		"{\"claim\":\"AA==\"}",
		"{\"csr\":\"\",\"claim\":\"\"}",
		"{\"csr\":\"AA=\",\"claim\":\"AA==\"}",
		"{\"node_id\":\"a\",\"attestation\":null}",
		"{\"node_id\":\"a\",\"attestation\":{}}",
		"{\"node_id\":1,\"attestation\":{}}",
		"{\"attestation\":{}}",
		"{\"node_id\":\"a\"}",
		"{\"node_id\":\"a\",\"attestation\":{},\"csr\":\"\",\"claim\":\"\"}",
		"{\"csr\":\"AA==\",\"csr\":\"AA==\",\"claim\":\"AA==\"}",
		"{\"csr\":\"AA==\",\"claim\":\"AA==\"} x",
	};
	const struct scene s = { .label = "any" };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(bodies); i++) {
		tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
		struct tr_vkey vkeys[3];
		struct tr_policy p;
		struct tr_appraisal a;

		make_policy(&s, TR_MODE_AUDIT, vkeys, &p);
		tr_appraise_body(&p, tr_view_str(bodies[i]), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
		CHECK(a.reason == TR_R_MALFORMED && !a.admitted && !key, bodies[i]);
		check_lines(&a, bodies[i]);
	}
}

static void an_oversized_body_is_not_parsed(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *key = NULL;
	const struct scene s = { .label = "long" };
	struct tr_vkey vkeys[3];
	struct tr_policy p;
	struct tr_appraisal a;

	(void)state;
	make_native(&s, &b);
	/* White space is harmless JSON: only the length can refuse it. */
	while (b.n <= TR_REGISTRATION_MAX)
		tr_buf_adds(&b, " ");
	make_policy(&s, TR_MODE_ENFORCE, vkeys, &p);
	tr_appraise_body(&p, tr_buf_view(&b), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
	assert_int_equal(a.reason, TR_R_MALFORMED);
	tr_appraise_body(&p, tr_view(b.p, b.n - 1), TR_VIEW_ARRAY(this_channel), NOW_MS, &a, &key);
	assert_int_equal(a.reason, TR_R_OK);
}

static void modes_have_three_names_and_no_fourth(void **state)
{
	static const char *const bad[] = { "", "Enforce", "enforce ", "enforced", "on", "true", "disabled" };
	enum tr_mode m;

	(void)state;
	for (enum tr_mode i = TR_MODE_OFF; i <= TR_MODE_ENFORCE; i++) {
		assert_true(tr_mode_from_name(tr_view_str(tr_mode_name(i)), &m));
		assert_int_equal(m, i);
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		CHECK(!tr_mode_from_name(tr_view_str(bad[i]), &m), bad[i]);
}

static int setup(void **state)
{
	struct tr_err err;

	(void)state;
	if (tr_crypto_init(&err))
		return -1;
	keys.release = new_key(TR_KEY_ED25519);
	keys.stranger = new_key(TR_KEY_ED25519);
	keys.fleet = new_key(TR_KEY_RSA);
	keys.fleet_old = new_key(TR_KEY_RSA);
	keys.device = new_key(TR_KEY_ED25519);
	keys.other_device = new_key(TR_KEY_P256);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)tr_privkey_free(keys.release);
	(void)tr_privkey_free(keys.stranger);
	(void)tr_privkey_free(keys.fleet);
	(void)tr_privkey_free(keys.fleet_old);
	(void)tr_privkey_free(keys.device);
	(void)tr_privkey_free(keys.other_device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(native_reason_in_each_mode),
		cmocka_unit_test(the_release_key_that_vouched_is_named),
		cmocka_unit_test(a_late_clock_is_explained_to_a_person),
		cmocka_unit_test(audit_names_the_reason_that_refuses),
		cmocka_unit_test(original_reason_in_each_mode),
		cmocka_unit_test(unlooked_at_claims_are_no_replays),
		cmocka_unit_test(every_flipped_bit_of_an_original_claim_is_refused),
		cmocka_unit_test(every_flipped_bit_of_a_native_body_is_refused),
		cmocka_unit_test(bodies_of_no_form_are_malformed),
		cmocka_unit_test(an_oversized_body_is_not_parsed),
		cmocka_unit_test(modes_have_three_names_and_no_fourth),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
