/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "crypto/x509.h"
#include "server/skeys.h"

#include <stdio.h>

#define NOW 1800000000000LL
#define HOUR 3600000LL
#define KEYS 5

/* Public halves of a few keys; which role a row has is each test's own. */
static struct tr_privkey *priv[KEYS];
static struct tr_view spki(size_t i) { return tr_pubkey_spki(tr_privkey_pub(priv[i])); }
static struct tr_view id(size_t i) { return tr_view(tr_pubkey_id(tr_privkey_pub(priv[i])), 32); }

static int make_keys(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		if (tr_privkey_generate(TR_KEY_ED25519, &priv[i], &err))
			return 1;
	return 0;
}

static int drop_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		priv[i] = tr_privkey_free(priv[i]);
	return 0;
}

/* A row per letter: prepared, active, Primary, retiring (g), retired (x), revoked (v); version by place. */
static enum tr_skey_state state_of(char c)
{
	switch (c) {
	case 'p': return TR_SKEY_PREPARED;
	case 'a': return TR_SKEY_ACTIVE;
	case 'P': return TR_SKEY_PRIMARY;
	case 'g': return TR_SKEY_RETIRING;
	case 'x': return TR_SKEY_RETIRED;
	default: return TR_SKEY_REVOKED;
	}
}

static char letter_of(enum tr_skey_state s)
{
	return "paPgxv?"[s];
}

static void set(struct tr_skeys *s, struct tr_skey *keys, const char *states)
{
	*s = (struct tr_skeys){ .keys = keys, .n = strlen(states), .now_ms = NOW };
	for (size_t i = 0; i < s->n; i++) {
		keys[i] = (struct tr_skey){ .state = state_of(states[i]), .was = state_of(states[i]), .usable = true };
		keys[i].row = (struct tr_skey_row){ .id = id(i), .spki = spki(i), .role = TR_VIEW_LIT("command"),
						    .version = i + 1, .state = tr_view_str(tr_skey_state_name(keys[i].state)) };
	}
}

/* A keyset that names some keys ("024"), and revokes others. */
static void name(struct tr_keyset *k, const char *named, const char *revoked)
{
	*k = (struct tr_keyset){ .epoch = 2 };
	for (; *named; named++)
		k->keys[k->n_keys++] = (struct tr_keyset_key){ .role = TR_ROLE_COMMAND, .key = spki((size_t)(*named - '0')),
							       .not_before_ms = NOW - HOUR };
	for (; *revoked; revoked++)
		memcpy(k->revoked[k->n_revoked++], id((size_t)(*revoked - '0')).p, 32);
}

static void expect(const struct tr_skeys *s, const char *want, const char *label)
{
	char got[KEYS + 1] = "";

	for (size_t i = 0; i < s->n; i++) {
		const struct tr_skey *k = &s->keys[i];

		got[i] = letter_of(k->state);
		/* The row says the same, and when. */
		assert_true(tr_view_is(k->row.state, tr_skey_state_name(k->state)));
		if (!tr_skey_changed(k))
			continue;
		assert_int_equal(k->state == TR_SKEY_PRIMARY	? k->row.primary_at
				 : k->state == TR_SKEY_RETIRING ? k->row.retiring_at
				 : k->state == TR_SKEY_ACTIVE	? k->row.active_at
								: k->row.ended_at,
				 NOW);
		if (k->state >= TR_SKEY_RETIRED)
			assert_true(k->row.end_reason.n > 0);
	}
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s, expected %s", label, got, want);
}

static void published(void **state)
{
	static const struct {
		const char *label, *before, *named, *revoked, *after;
	} rows[] = {
		{ "the first key named becomes primary", "p", "0", "", "P" },
		{ "what is not named stays prepared", "pp", "0", "", "Pp" },
		{ "a second one becomes active, the primary stays", "Pp", "01", "", "Pa" },
		{ "of two new ones the newest becomes primary", "pp", "01", "", "aP" },
		{ "left out: retired, and the next takes its place", "Pa", "1", "", "xP" },
		{ "left out without a next one", "P", "", "", "x" },
		{ "retiring and left out", "gP", "1", "", "xP" },
		{ "retiring and still named", "gP", "01", "", "gP" },
		{ "retired does not come back", "xP", "01", "", "xP" },
		{ "revoked does not come back", "vP", "01", "", "vP" },
		{ "revoked in the list, although named", "Pa", "01", "0", "vP" },
		{ "revoked in the list, not named", "Pa", "1", "0", "vP" },
		{ "a retired key can still be revoked", "xP", "1", "0", "vP" },
		{ "a prepared key can be revoked", "pP", "1", "0", "vP" },
		{ "all revoked: nobody signs", "Pa", "01", "01", "vv" },
		{ "prepared and named when the primary is revoked", "Pp", "01", "0", "vP" },
		{ "nothing new", "gPa", "012", "", "gPa" },
	};
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_skeys s;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		set(&s, keys, rows[i].before);
		name(&k, rows[i].named, rows[i].revoked);
		tr_skeys_follow(&s, &k);
		expect(&s, rows[i].after, rows[i].label);
	}
}

static void by_the_clock(void **state)
{
	static const struct {
		const char *label, *before;
		int64_t not_before, not_after, no_sign_after; /* of key 0; key 1 is good for ever */
		const char *after;
	} rows[] = {
		{ "nothing is due", "Pa", -HOUR, HOUR, HOUR, "Pa" },
		{ "its last moment to sign is over", "Pa", -HOUR, 0, -1, "gP" },
		{ "its last moment to sign", "Pa", -HOUR, 0, 1, "Pa" },
		{ "over, and its grace too", "Pa", -9 * HOUR, 0, -TR_SKEY_GRACE_MS, "xP" },
		{ "one moment of grace is left", "Pa", -9 * HOUR, 0, 1 - TR_SKEY_GRACE_MS, "gP" },
		{ "a retiring one without a date stays", "gP", -HOUR, 0, 0, "gP" },
		{ "a retiring one whose grace is over", "gP", -9 * HOUR, 0, -TR_SKEY_GRACE_MS, "xP" },
		{ "its validity is over", "Pa", -HOUR, -1, 0, "xP" },
		{ "not yet valid: another is primary first", "aa", HOUR, 0, 0, "aP" },
		{ "not yet valid, and alone", "a", HOUR, 0, 0, "a" },
		{ "an active one whose time to sign is over", "aP", -HOUR, 0, -1, "gP" },
		{ "prepared: no clock is asked", "pP", -HOUR, -1, -1, "pP" },
	};
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_skeys s;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		set(&s, keys, rows[i].before);
		name(&k, "01", "");
		k.keys[0].not_before_ms = NOW + rows[i].not_before;
		k.keys[0].not_after_ms = rows[i].not_after ? NOW + rows[i].not_after : 0;
		k.keys[0].no_sign_after_ms = rows[i].no_sign_after ? NOW + rows[i].no_sign_after : 0;
		tr_skeys_name(&s, &k);
		tr_skeys_tick(&s);
		expect(&s, rows[i].after, rows[i].label);
	}
}

typedef const char *(*word_fn)(struct tr_skeys *s, size_t i);
static const char *promote(struct tr_skeys *s, size_t i) { return tr_skeys_promote(s, i); }
static const char *retire(struct tr_skeys *s, size_t i) { return tr_skeys_retire(s, i, TR_VIEW_LIT("old")); }
static const char *revoke_key(struct tr_skeys *s, size_t i) { return tr_skeys_revoke(s, i, TR_VIEW_LIT("stolen")); }

static void by_operators(void **state)
{
	static const struct {
		const char *label;
		word_fn word;
		const char *before;
		size_t which;
		const char *no, *after;
	} rows[] = {
		{ "promote", promote, "Pa", 1, NULL, "gP" },
		{ "promote the first", promote, "a", 0, NULL, "P" },
		{ "promote what is not published", promote, "Pp", 1, "not_active", "Pp" },
		{ "promote the primary", promote, "P", 0, "not_active", "P" },
		{ "promote what is on its way out", promote, "gP", 0, "not_active", "gP" },
		{ "promote a retired one", promote, "xP", 0, "already_ended", "xP" },
		{ "promote a revoked one", promote, "vP", 0, "already_ended", "vP" },
		{ "retire one that is retiring", retire, "gP", 0, NULL, "xP" },
		{ "retire an active one", retire, "aP", 0, NULL, "xP" },
		{ "retire a prepared one", retire, "pP", 0, NULL, "xP" },
		{ "retire the primary", retire, "Pa", 0, "key_in_use", "Pa" },
		{ "retire twice", retire, "xP", 0, "already_ended", "xP" },
		{ "revoke the primary: the newest takes its place", revoke_key, "Paa", 0, NULL, "vaP" },
		{ "revoke the only one", revoke_key, "P", 0, NULL, "v" },
		{ "revoke another", revoke_key, "gPa", 0, NULL, "vPa" },
		{ "revoke a prepared one", revoke_key, "Pp", 1, NULL, "Pv" },
		{ "revoke a retired one", revoke_key, "xP", 0, NULL, "vP" },
		{ "revoke twice", revoke_key, "vP", 0, "already_ended", "vP" },
		{ "what is retiring does not come back", revoke_key, "gP", 1, NULL, "gv" },
	};
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_skeys s;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		const char *no;

		set(&s, keys, rows[i].before);
		name(&k, "012", "");
		tr_skeys_name(&s, &k);
		no = rows[i].word(&s, rows[i].which);
		if (!no != !rows[i].no || (no && strcmp(no, rows[i].no) != 0))
			fail_msg("%s: %s", rows[i].label, no ? no : "done");
		expect(&s, rows[i].after, rows[i].label);
	}
}

static void usable_ones_first(void **state)
{
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_skeys s;

	(void)state;
	set(&s, keys, "aaa");
	name(&k, "012", "");
	keys[2].usable = keys[1].usable = false;
	tr_skeys_follow(&s, &k);
	expect(&s, "Paa", "the only usable one, although it is the oldest");
	/* Better one that another node can use than none. */
	set(&s, keys, "aa");
	keys[0].usable = keys[1].usable = false;
	tr_skeys_follow(&s, &k);
	expect(&s, "aP", "none is usable here");
}

static void each_role_by_itself(void **state)
{
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_skeys s;

	(void)state;
	set(&s, keys, "Pap");
	keys[2].row.role = TR_VIEW_LIT("log");
	name(&k, "01", "");
	k.keys[k.n_keys++] = (struct tr_keyset_key){ .role = TR_ROLE_LOG, .key = spki(2) };
	tr_skeys_follow(&s, &k);
	expect(&s, "PaP", "two roles, two primaries");
	/* A key is what the keyset says, and nothing besides. */
	set(&s, keys, "p");
	name(&k, "", "");
	k.keys[k.n_keys++] = (struct tr_keyset_key){ .role = TR_ROLE_OPERATOR, .key = spki(0) };
	tr_skeys_follow(&s, &k);
	expect(&s, "p", "named under another role");
}

static void a_ca_is_named_by_its_certificate(void **state)
{
	struct tr_cert_spec spec = { .common_name = "CA", .spiffe = "spiffe://x.example", .not_before_ms = tr_now_ms() - HOUR,
				     .not_after_ms = tr_now_ms() + HOUR, .ca = true, .spki = spki(0) };
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT;
	struct tr_skey keys[KEYS];
	static struct tr_keyset k;
	struct tr_err err = { 0 };
	struct tr_skeys s;

	(void)state;
	assert_int_equal(tr_cert_issue(priv[0], tr_view(NULL, 0), &spec, &der, &err), TR_OK);
	set(&s, keys, "p");
	keys[0].row.role = TR_VIEW_LIT("ca");
	name(&k, "", "");
	k.keys[k.n_keys++] = (struct tr_keyset_key){ .role = TR_ROLE_CA, .key = tr_buf_view(&der) };
	tr_skeys_follow(&s, &k);
	expect(&s, "P", "named");
	/* Revoked by the digest of the certificate. */
	tr_sha256(tr_buf_view(&der), k.revoked[k.n_revoked++]);
	set(&s, keys, "P");
	keys[0].row.role = TR_VIEW_LIT("ca");
	tr_skeys_follow(&s, &k);
	expect(&s, "v", "revoked as a certificate");
}

static void names_of_states(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TR_SKEY_N; i++)
		assert_int_equal(tr_skey_state_of(tr_view_str(tr_skey_state_name((enum tr_skey_state)i))), i);
	assert_int_equal(tr_skey_state_of(TR_VIEW_LIT("primary ")), TR_SKEY_N);
	assert_int_equal(tr_skey_state_of(TR_VIEW_LIT("")), TR_SKEY_N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published),
		cmocka_unit_test(by_the_clock),
		cmocka_unit_test(by_operators),
		cmocka_unit_test(usable_ones_first),
		cmocka_unit_test(each_role_by_itself),
		cmocka_unit_test(a_ca_is_named_by_its_certificate),
		cmocka_unit_test(names_of_states),
	};

	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
