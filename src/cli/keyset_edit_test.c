/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyset_edit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/keychain.h"
#include "codec/text.h"
#include "crypto/x509.h"

#define NOW INT64_C(1795312800000) /* 2026-11-22T02:00:00Z */
#define DAY INT64_C(86400000)

/* An installation as `trothd init` makes it: one root, a CA and a command key. */
struct lab {
	struct tr_privkey *roots[3], *ca, *command, *operator;
	struct tr_buf ca_der, bytes, id; /* id: of the command key, hex */
	struct tr_keyset ks;
	uint8_t pin[32];
};

static struct tr_view spki(const struct tr_privkey *k)
{
	return tr_pubkey_spki(tr_privkey_pub(k));
}

static struct tr_privkey *fresh(void)
{
	struct tr_privkey *k = NULL;
	struct tr_err err = { 0 };

	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	return k;
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct tr_cert_spec spec = { .common_name = "CA", .not_before_ms = NOW - DAY, .not_after_ms = NOW + 900 * DAY, .ca = true,
				     .spiffe = "spiffe://lab.example" };
	struct tr_keyset ks = { .trust_domain = TR_VIEW_LIT("lab.example"), .epoch = 1, .issued_ms = NOW,
				.expires_ms = NOW + 365 * DAY, .threshold = 1, .n_roots = 1, .n_keys = 2 };
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_privkey *signer;
	struct tr_err err = { 0 };

	assert_non_null(l);
	for (size_t i = 0; i < 3; i++)
		l->roots[i] = fresh();
	l->ca = fresh();
	l->command = fresh();
	l->operator = fresh();
	spec.spki = spki(l->ca);
	assert_int_equal(tr_cert_issue(l->ca, tr_view(NULL, 0), &spec, &l->ca_der, &err), TR_OK);
	ks.roots[0] = spki(l->roots[0]);
	ks.keys[0] = (struct tr_keyset_key){ .role = TR_ROLE_CA, .key = tr_buf_view(&l->ca_der), .not_after_ms = NOW + 900 * DAY };
	ks.keys[1] = (struct tr_keyset_key){ .role = TR_ROLE_COMMAND, .key = spki(l->command) };
	signer = l->roots[0];
	assert_int_equal(tr_keyset_payload(&ks, &payload, &err), TR_OK);
	assert_int_equal(tr_keyset_sign(tr_buf_view(&payload), &signer, 1, &l->bytes, &err), TR_OK);
	tr_keyset_root_fingerprint(&ks, l->pin);
	assert_int_equal(tr_keyset_verify_pinned(tr_buf_view(&l->bytes), l->pin, NOW, &l->ks, &err), TR_OK);
	tr_hex_add(&l->id, tr_view(tr_pubkey_id(tr_privkey_pub(l->command)), 32));
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	for (size_t i = 0; i < 3; i++)
		(void)tr_privkey_free(l->roots[i]);
	(void)tr_privkey_free(l->ca);
	(void)tr_privkey_free(l->command);
	(void)tr_privkey_free(l->operator);
	tr_buf_done(&l->ca_der);
	tr_buf_done(&l->bytes);
	tr_buf_done(&l->id);
	free(l);
	return 0;
}

/* Signs what the edit holds with these roots; the object. */
static void seal(struct tr_edit *e, const struct tr_privkey *const *roots, size_t n, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, object = TR_BUF_INIT;
	struct tr_err err = { 0 };

	assert_int_equal(tr_edit_payload(e, &payload, &err), TR_OK);
	tr_buf_addv(&object, tr_buf_view(&payload));
	for (size_t i = 0; i < n; i++) {
		tr_auto(tr_buf_done) struct tr_buf more = TR_BUF_INIT;

		assert_int_equal(tr_keyset_add_signature(tr_buf_view(&object), roots[i], &more, &err), TR_OK);
		tr_buf_clear(&object);
		tr_buf_addv(&object, tr_buf_view(&more));
	}
	tr_buf_addv(ret, tr_buf_view(&object));
}

static bool says(struct tr_buf *b, const char *text)
{
	return strstr(tr_buf_cstr(b), text) != NULL;
}

static void a_change_becomes_the_next_keyset(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, text = TR_BUF_INIT, hold = TR_BUF_INIT, payload = TR_BUF_INIT;
	const struct tr_privkey *roots[] = { l->roots[0], l->roots[1] };
	struct tr_keyset next, draft;
	struct tr_err err = { 0 };
	size_t sigs = 9;

	tr_edit_start(&e, &l->ks, tr_buf_view(&l->bytes), NOW + DAY);
	assert_int_equal(tr_edit_add(&e, TR_ROLE_OPERATOR, spki(l->operator), 0, 0, &err), TR_OK);
	assert_int_equal(tr_edit_add_root(&e, spki(l->roots[1]), &err), TR_OK);
	assert_int_equal(tr_edit_add_root(&e, spki(l->roots[2]), &err), TR_OK);
	e.ks.threshold = 2;
	assert_int_equal(tr_edit_retire(&e, tr_buf_cstr(&l->id), NOW + 2 * DAY, &err), TR_OK);

	assert_int_equal(tr_edit_payload(&e, &payload, &err), TR_OK);
	assert_int_equal(tr_draft_read(tr_buf_view(&payload), &hold, &draft, &sigs, &err), TR_OK);
	assert_int_equal(sigs, 0);
	assert_int_equal(draft.epoch, 2);

	seal(&e, roots, 2, &object);
	assert_int_equal(tr_keyset_verify_next(tr_buf_view(&l->bytes), &l->ks, tr_buf_view(&object), NOW + DAY, &next, &err),
			 TR_OK);
	assert_int_equal(next.threshold, 2);
	assert_int_equal(next.n_roots, 3);
	assert_int_equal(next.expires_ms - next.issued_ms, 365 * DAY);

	tr_keyset_diff(&l->ks, &next, &text);
	assert_true(says(&text, "Keyset 2 of lab.example, after 1\n"));
	assert_true(says(&text, "  + operator key (ed25519) sha256:"));
	assert_true(says(&text, ": may approve commands\n"));
	assert_true(says(&text, "  ~ command key (ed25519) sha256:"));
	assert_true(says(&text, ": retires; nothing that it signs later counts: 2026-11-24T02:00:00.000Z\n"));
	assert_true(says(&text, "  + root key sha256:"));
	assert_true(says(&text, "  ~ 2 of 3 roots must sign (until now 1 of 1)\n"));
	assert_true(says(&text, "  root fingerprint sha256:"));
	assert_false(says(&text, "ca certificate"));
}

static void what_does_not_change_is_said_too(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, all = TR_BUF_INIT;

	/* This machine's clock is behind: the next one is not older than the present one. */
	tr_edit_start(&e, &l->ks, tr_buf_view(&l->bytes), NOW - DAY);
	assert_int_equal(e.ks.issued_ms, NOW);
	tr_keyset_diff(&l->ks, &e.ks, &text);
	assert_true(says(&text, "  no key changes\n"));
	/* Without a predecessor everything is new. */
	tr_keyset_diff(NULL, &l->ks, &all);
	assert_true(says(&all, "  + ca certificate (ed25519) sha256:"));
	assert_true(says(&all, "  + command key (ed25519) sha256:"));
	assert_true(says(&all, "  = 1 of 1 roots must sign\n"));
}

static void revoking_names_the_key_and_counts(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	const char *stranger = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	char prefix[9];
	struct tr_err err = { 0 };

	(void)snprintf(prefix, sizeof(prefix), "%.8s", tr_buf_cstr(&l->id));
	tr_edit_start(&e, &l->ks, tr_buf_view(&l->bytes), NOW);
	assert_int_equal(tr_edit_revoke(&e, prefix, &err), TR_OK);
	assert_int_equal(e.ks.revocation_number, l->ks.revocation_number + 1);
	assert_int_equal(e.ks.n_keys, 2); /* stays listed */
	assert_int_equal(tr_edit_revoke(&e, prefix, &err), TR_E_CONFLICT);
	assert_int_equal(tr_edit_revoke(&e, stranger, &err), TR_OK); /* a whole id needs no key */
	assert_int_equal(tr_edit_revoke(&e, "0011223", &err), TR_E_INVALID);
	assert_int_equal(tr_edit_revoke(&e, "00112233", &err), TR_E_NOTFOUND);
	tr_keyset_diff(&l->ks, &e.ks, &text);
	assert_true(says(&text, "  ! revoked: command key sha256:"));
	assert_true(says(&text, "  ! revoked: a key that is not listed sha256:00112233"));
	/* It never comes back, in no role. */
	assert_int_equal(tr_edit_drop(&e, prefix, TR_ROLE_N, &err), TR_OK);
	assert_int_equal(tr_edit_add(&e, TR_ROLE_COMMAND, spki(l->command), 0, 0, &err), TR_E_CONFLICT);
}

static void mistakes_are_refused(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_edit_done) struct tr_edit e = { .n_held = 0 };
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, hold = TR_BUF_INIT, root = TR_BUF_INIT;
	struct tr_keyset k;
	struct tr_err err = { 0 };
	uint8_t id[32];
	size_t sigs;

	tr_edit_start(&e, &l->ks, tr_buf_view(&l->bytes), NOW);
	assert_int_equal(tr_edit_add(&e, TR_ROLE_COMMAND, spki(l->command), 0, 0, &err), TR_E_CONFLICT);
	assert_int_equal(tr_edit_add(&e, TR_ROLE_OPERATOR, spki(l->command), 0, 0, &err), TR_E_CONFLICT);
	assert_int_equal(tr_edit_add_root(&e, spki(l->roots[0]), &err), TR_E_CONFLICT);
	assert_int_equal(tr_edit_drop(&e, "ffffffffffffffff", TR_ROLE_N, &err), TR_E_NOTFOUND);
	assert_int_equal(tr_edit_drop(&e, "not hex!", TR_ROLE_N, &err), TR_E_INVALID);
	/* It is a command key, no operator's. */
	assert_int_equal(tr_edit_drop(&e, tr_buf_cstr(&l->id), TR_ROLE_OPERATOR, &err), TR_E_NOTFOUND);
	assert_int_equal(tr_edit_remove_root(&e, tr_buf_cstr(&l->id), &err), TR_E_NOTFOUND);

	tr_key_id_of(spki(l->roots[0]), id);
	tr_hex_add(&root, TR_VIEW_ARRAY(id));
	assert_int_equal(tr_edit_remove_root(&e, tr_buf_cstr(&root), &err), TR_OK);
	assert_int_equal(tr_edit_payload(&e, &payload, &err), TR_E_INVALID); /* no roots */
	assert_non_null(strstr(err.pub, "threshold"));
	assert_int_equal(tr_edit_add_root(&e, spki(l->roots[1]), &err), TR_OK);
	tr_buf_clear(&root);
	tr_key_id_of(tr_buf_view(&l->ca_der), id);
	tr_hex_add(&root, TR_VIEW_ARRAY(id));
	assert_int_equal(tr_edit_drop(&e, tr_buf_cstr(&root), TR_ROLE_CA, &err), TR_OK);
	assert_int_equal(tr_edit_payload(&e, &payload, &err), TR_E_INVALID);
	assert_non_null(strstr(err.pub, "no valid CA"));

	assert_int_equal(tr_draft_read(TR_VIEW_LIT("nonsense"), &hold, &k, &sigs, &err), TR_E_INVALID);
	tr_buf_clear(&hold);
	assert_int_equal(tr_draft_read(tr_view(NULL, 0), &hold, &k, &sigs, &err), TR_E_INVALID);
}

/* ---- from an old pin to the newest keyset ---- */

/* Epoch 2 with roots 0, 1; epoch 3 with root 1 alone. */
static void grow(struct lab *l, struct tr_keychain *chain)
{
	struct tr_keyset two, three;
	struct tr_edit e;
	tr_auto(tr_buf_done) struct tr_buf b2 = TR_BUF_INIT, b3 = TR_BUF_INIT, id = TR_BUF_INIT;
	const struct tr_privkey *both[] = { l->roots[0], l->roots[1] };
	uint8_t hash[32];
	struct tr_err err = { 0 };

	assert_int_equal(tr_keychain_add(chain, tr_buf_view(&l->bytes), &err), TR_OK);
	tr_edit_start(&e, &l->ks, tr_buf_view(&l->bytes), NOW);
	assert_int_equal(tr_edit_add_root(&e, spki(l->roots[1]), &err), TR_OK);
	e.ks.threshold = 2;
	seal(&e, both, 2, &b2);
	tr_edit_done(&e);
	assert_int_equal(tr_keyset_verify_next(tr_buf_view(&l->bytes), &l->ks, tr_buf_view(&b2), NOW, &two, &err), TR_OK);
	assert_int_equal(tr_keychain_add(chain, tr_buf_view(&b2), &err), TR_OK);
	tr_edit_start(&e, &two, tr_buf_view(&b2), NOW + 300 * DAY);
	tr_key_id_of(spki(l->roots[0]), hash);
	tr_hex_add(&id, TR_VIEW_ARRAY(hash));
	assert_int_equal(tr_edit_remove_root(&e, tr_buf_cstr(&id), &err), TR_OK);
	e.ks.threshold = 1;
	seal(&e, both, 2, &b3);
	tr_edit_done(&e);
	assert_int_equal(tr_keyset_verify_next(tr_buf_view(&b2), &two, tr_buf_view(&b3), NOW, &three, &err), TR_OK);
	assert_int_equal(tr_keychain_add(chain, tr_buf_view(&b3), &err), TR_OK);
}

static void an_old_pin_leads_to_the_newest_root(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_keychain_done) struct tr_keychain chain = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT;
	tr_auto(tr_trust_done) struct tr_trust trust = { 0 };
	struct tr_keyset last;
	struct tr_err err = { 0 };
	uint8_t root[32], newest[32];
	size_t first = 9;

	grow(l, &chain);
	assert_true(tr_keyset_unverified_root(tr_keychain_at(&chain, 2), newest));
	assert_memory_not_equal(newest, l->pin, 32);
	/* Epochs 1 and 2 have ended meanwhile: only the last one has to be in force. */
	assert_int_equal(tr_keychain_walk(&chain, l->pin, NOW + 500 * DAY, &last, &first, root, &why, &err), TR_OK);
	assert_int_equal(first, 0);
	assert_int_equal(last.epoch, 3);
	assert_memory_equal(root, newest, 32);
	assert_int_equal(tr_keychain_walk(&chain, newest, NOW + 500 * DAY, &last, &first, root, &why, &err), TR_OK);
	assert_int_equal(first, 2);
	assert_int_equal(tr_keychain_trust(&chain, l->pin, NOW + 500 * DAY, &trust, root, &why, &err), TR_OK);
	assert_true(trust.ca_pem.n > 0);
	/* The last one has ended, too. */
	assert_int_equal(tr_keychain_walk(&chain, l->pin, NOW + 700 * DAY, &last, &first, root, &why, &err), TR_E_DENIED);
	assert_true(says(&why, "3rd keyset does not hold"));
}

static void a_broken_chain_ends_the_trust(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_keychain_done) struct tr_keychain chain = { 0 }, skip = { 0 }, bent = { 0 };
	tr_auto(tr_buf_done) struct tr_buf why = TR_BUF_INIT, page = TR_BUF_INIT, bytes = TR_BUF_INIT;
	struct tr_keyset last;
	struct tr_err err = { 0 };
	uint8_t root[32], other[32] = { 1 };

	grow(l, &chain);
	assert_int_equal(tr_keychain_walk(&chain, other, NOW, &last, NULL, root, &why, &err), TR_E_DENIED);
	assert_true(says(&why, "none of its 3 keysets had the expected one"));
	/* One left out. */
	assert_int_equal(tr_keychain_add(&skip, tr_keychain_at(&chain, 0), &err), TR_OK);
	assert_int_equal(tr_keychain_add(&skip, tr_keychain_at(&chain, 2), &err), TR_OK);
	tr_buf_clear(&why);
	assert_int_equal(tr_keychain_walk(&skip, l->pin, NOW, &last, NULL, root, &why, &err), TR_E_DENIED);
	/* One byte of the last signature. */
	tr_buf_addv(&bytes, tr_keychain_at(&chain, 1));
	bytes.p[bytes.n - 1] ^= 1;
	assert_int_equal(tr_keychain_add(&bent, tr_keychain_at(&chain, 0), &err), TR_OK);
	assert_int_equal(tr_keychain_add(&bent, tr_buf_view(&bytes), &err), TR_OK);
	assert_int_equal(tr_keychain_walk(&bent, l->pin, NOW, &last, NULL, root, &why, &err), TR_E_DENIED);
	/* Pages are one form only. */
	tr_cbor_put_array(&page, 1);
	tr_cbor_put_text(&page, TR_VIEW_LIT("no bytes"));
	assert_int_equal(tr_keychain_add_page(&bent, tr_buf_view(&page), &err), TR_E_INVALID);
	tr_buf_clear(&page);
	tr_cbor_put_array(&page, 0);
	tr_buf_adds(&page, "x");
	assert_int_equal(tr_keychain_add_page(&bent, tr_buf_view(&page), &err), TR_E_INVALID);
}

struct server {
	const struct tr_keychain *chain;
	unsigned asked;
	bool old, endless;
};

static enum tr_code serve(void *arg, const char *path, struct tr_buf *ret, int *ret_status, struct tr_err *err)
{
	struct server *s = arg;
	const char *number = strrchr(path, '=');
	size_t after;
	struct tr_view one;

	(void)err;
	s->asked++;
	tr_buf_clear(ret);
	*ret_status = 200;
	if (strcmp(path, "/api/v1/keyset") == 0) {
		tr_buf_addv(ret, tr_keychain_at(s->chain, s->chain->n - 1));
		return TR_OK;
	}
	assert_true(strncmp(path, "/api/v1/keyset/chain?after=", 27) == 0);
	after = number ? strtoul(number + 1, NULL, 10) : 0;
	if (s->old)
		*ret_status = 404;
	after = s->endless ? 0 : after;
	one = after < s->chain->n ? tr_keychain_at(s->chain, after) : tr_view(NULL, 0);
	tr_cbor_put_array(ret, one.n ? 1 : 0);
	if (one.n)
		tr_cbor_put_bytes(ret, one);
	return TR_OK;
}

static void a_chain_is_fetched_page_by_page(void **state)
{
	struct lab *l = *state;
	tr_auto(tr_keychain_done) struct tr_keychain chain = { 0 }, got = { 0 }, one = { 0 }, none = { 0 };
	struct server s = { .chain = &chain };
	struct tr_err err = { 0 };

	grow(l, &chain);
	assert_int_equal(tr_keychain_fetch(serve, &s, &got, &err), TR_OK);
	assert_int_equal(got.n, 3);
	assert_int_equal(s.asked, 4);
	s.old = true; /* a server that knows no chain */
	assert_int_equal(tr_keychain_fetch(serve, &s, &one, &err), TR_OK);
	assert_int_equal(one.n, 1);
	s.old = false;
	s.endless = true;
	assert_int_equal(tr_keychain_fetch(serve, &s, &none, &err), TR_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_change_becomes_the_next_keyset, setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_change_is_said_too, setup, teardown),
		cmocka_unit_test_setup_teardown(revoking_names_the_key_and_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_old_pin_leads_to_the_newest_root, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_chain_ends_the_trust, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_is_fetched_page_by_page, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
