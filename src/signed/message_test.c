/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "signed/message_sample.h"

#define NOW INT64_C(1795310523)
#define FLEET TR_VIEW_LIT("fleet.example")

static struct {
	struct tr_privkey *identity, *other;
	struct tr_secret *prekey, *stranger;
	uint8_t pub[32], stranger_pub[32];
} keys;

static struct tr_message good(void)
{
	return (struct tr_message){ .fleet = FLEET, .sender = TR_VIEW_LIT("web-1"), .recipient = TR_VIEW_LIT("db-1"),
				    .id = { 1, 2, 3 }, .line = 1795310000, .seq = 7, .issued = NOW, .expires = NOW + 3600,
				    .type = TR_VIEW_LIT("text/plain"), .body = TR_VIEW_LIT("a word between us") };
}

static void seal(const struct tr_message *m, struct tr_buf *b)
{
	struct tr_err err = { 0 };

	if (tr_message_seal(m, keys.identity, keys.pub, b, &err))
		fail_msg("seal: %s", err.pub);
}

static enum tr_code open_by(struct tr_view in, const struct tr_secret *prekey, const struct tr_privkey *sender,
			    struct tr_buf *storage, struct tr_message *ret, struct tr_err *err)
{
	struct tr_envelope e;

	if (tr_envelope_parse(in, &e, err))
		return err->code;
	return tr_message_open(&e, FLEET, prekey, tr_privkey_pub(sender), storage, ret, err);
}

static void what_is_sealed_opens_as_it_was(void **state)
{
	static uint8_t big[TR_MESSAGE_BODY_MAX];
	static const struct {
		const char *label;
		size_t body;
		bool answers;
	} cases[] = { { "empty", 0, false }, { "one byte", 1, true }, { "1 KiB", 1024, false }, { "the longest", sizeof(big), true } };

	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, storage = TR_BUF_INIT;
		struct tr_message m = good(), out;
		struct tr_envelope e;
		struct tr_err err = { 0 };

		m.body = tr_view(big, cases[i].body);
		if (cases[i].answers)
			m.answers = TR_VIEW_ARRAY(m.id);
		seal(&m, &b);
		CHECK(b.n <= TR_MESSAGE_MAX, cases[i].label);
		CHECK(tr_envelope_parse(tr_buf_view(&b), &e, &err) == TR_OK, cases[i].label);
		CHECK(tr_view_is(e.sender, "web-1") && tr_view_is(e.recipient, "db-1") && e.expires == m.expires, cases[i].label);
		CHECK(e.ciphertext.n % TR_MESSAGE_PAD == TR_HPKE_TAG, cases[i].label);
		CHECK(tr_message_open(&e, FLEET, keys.prekey, tr_privkey_pub(keys.identity), &storage, &out, &err) == TR_OK,
		      cases[i].label);
		CHECK(tr_view_eq(out.body, m.body) && tr_view_eq(out.type, m.type), cases[i].label);
		CHECK(tr_view_eq(out.answers, m.answers), cases[i].label);
		CHECK(out.line == m.line && out.seq == m.seq && out.issued == m.issued, cases[i].label);
		assert_memory_equal(out.id, m.id, sizeof(out.id));
	}
}

static void every_kind_of_identity_key_fits(void **state)
{
	static uint8_t big[TR_MESSAGE_BODY_MAX];
	static const enum tr_key_type types[] = { TR_KEY_P256, TR_KEY_RSA };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i]);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, storage = TR_BUF_INIT;
		struct tr_message m = good(), out;
		struct tr_err err = { 0 };

		m.body = TR_VIEW_ARRAY(big);
		assert_int_equal(tr_message_seal(&m, k, keys.pub, &b, &err), TR_OK);
		assert_true(b.n <= TR_MESSAGE_MAX);
		assert_int_equal(open_by(tr_buf_view(&b), keys.prekey, k, &storage, &out, &err), TR_OK);
	}
}

static void only_the_length_to_256_bytes_shows(void **state)
{
	size_t first = 0, steps = 0;

	(void)state;
	for (size_t n = 0; n < 600; n++) {
		static uint8_t body[600];
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_message m = good();

		m.body = tr_view(body, n);
		seal(&m, &b);
		steps += first && b.n != first;
		first = b.n;
	}
	/* 600 bytes more cross at most three multiples; one more where CBOR's own heads grow. */
	assert_in_range(steps, 2, 4);
}

static void what_is_no_message_is_not_sealed(void **state)
{
	static uint8_t big[TR_MESSAGE_BODY_MAX + 1], type[128];
	struct tr_message m[12];
	static const char *const says[] = { "trust domain", "plain name", "plain name", "line or number", "line or number", "life",
					    "life", "type", "type", "type", "65536", "answers" };

	(void)state;
	memset(type, 'x', sizeof(type));
	for (size_t i = 0; i < TR_ARRAY_LEN(m); i++)
		m[i] = good();
	m[0].fleet = TR_VIEW_LIT("Fleet");
	m[1].sender = TR_VIEW_LIT("");
	m[2].recipient = TR_VIEW_LIT("../db");
	m[3].line = 0;
	m[4].seq = UINT64_C(1) << 63;
	m[5].expires = m[5].issued;
	m[6].expires = m[6].issued + TR_MESSAGE_LIFE_MAX_S + 1;
	m[7].type = TR_VIEW_LIT("");
	m[8].type = TR_VIEW_LIT("text/plain\r\nX: y");
	m[9].type = TR_VIEW_ARRAY(type);
	m[10].body = TR_VIEW_ARRAY(big);
	m[11].answers = TR_VIEW_LIT("short");
	for (size_t i = 0; i < TR_ARRAY_LEN(m); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { 0 };

		CHECK(tr_message_seal(&m[i], keys.identity, keys.pub, &b, &err) == TR_E_INVALID, says[i]);
		CHECK(strstr(err.pub, says[i]) && !b.n, says[i]);
	}
}

static enum tr_code open_it(void *arg, struct tr_view in)
{
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	struct tr_message out;
	struct tr_err err;

	(void)arg;
	return open_by(in, keys.prekey, keys.identity, &storage, &out, &err);
}

static void no_flipped_bit_opens(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_message m = good();

	(void)state;
	seal(&m, &b);
	assert_int_equal(open_it(NULL, tr_buf_view(&b)), TR_OK);
	assert_int_equal(accepted_mutations(tr_buf_view(&b), open_it, NULL), 0);
}

/* Whoever holds the recipient's public key can seal; what is inside must still be the sender's. */
static void reseal(struct tr_view plain, const char *sender, const char *recipient, int64_t expires, struct tr_buf *ret)
{
	struct tr_err err;

	assert_int_equal(sample_seal(plain, FLEET, keys.pub, NULL, tr_view_str(sender), tr_view_str(recipient), expires,
				     ret, &err),
			 TR_OK);
}

static void inner_of(const struct tr_message *m, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_err err;

	seal(m, &b);
	assert_int_equal(tr_envelope_parse(tr_buf_view(&b), &e, &err), TR_OK);
	assert_int_equal(sample_open(&e, FLEET, keys.prekey, ret, &err), TR_OK);
}

static void a_message_sealed_again_by_another_is_refused(void **state)
{
	static const struct {
		const char *label, *sender, *recipient, *says;
		int64_t expires;
	} cases[] = {
		{ "as it was", "web-1", "db-1", NULL, NOW + 3600 },
		{ "passed on to another agent", "web-1", "db-2", "another agent", NOW + 3600 },
		{ "as another sender's", "web-2", "db-1", "another agent", NOW + 3600 },
		{ "with a longer life", "web-1", "db-1", "expires", NOW + 7200 },
	};
	tr_auto(tr_buf_done) struct tr_buf inner = TR_BUF_INIT;
	struct tr_message m = good();

	(void)state;
	inner_of(&m, &inner);
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, storage = TR_BUF_INIT;
		struct tr_message out;
		struct tr_err err = { 0 };

		reseal(tr_buf_view(&inner), cases[i].sender, cases[i].recipient, cases[i].expires, &b);
		CHECK(open_by(tr_buf_view(&b), keys.prekey, keys.identity, &storage, &out, &err) ==
			      (cases[i].says ? TR_E_DENIED : TR_OK),
		      cases[i].label);
		if (cases[i].says)
			CHECK(strstr(err.pub, cases[i].says) && !storage.n, cases[i].label);
	}
}

static void padding_has_one_form(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf inner = TR_BUF_INIT;
	struct tr_message m = good();
	size_t cose;

	(void)state;
	inner_of(&m, &inner);
	cose = (size_t)inner.p[2] << 8 | inner.p[3];
	assert_true(cose < inner.n - 4 && inner.n % TR_MESSAGE_PAD == 0);
	for (unsigned i = 0; i < 5; i++) {
		static const char *const labels[] = { "a byte of padding", "256 bytes more", "length past the end", "length cut",
						      "a length of 32 bits" };
		tr_auto(tr_buf_done) struct tr_buf bad = TR_BUF_INIT, b = TR_BUF_INIT, storage = TR_BUF_INIT;
		struct tr_message out;
		struct tr_err err = { 0 };

		tr_buf_addv(&bad, tr_buf_view(&inner));
		if (i == 0)
			bad.p[bad.n - 1] = 1;
		else if (i == 1)
			memset(tr_buf_space(&bad, 256), 0, 256);
		else if (i == 2)
			bad.p[2] = 0xff;
		else if (i == 3)
			bad.p[3]--;
		else
			memset(bad.p, 0xff, 4);
		reseal(tr_buf_view(&bad), "web-1", "db-1", m.expires, &b);
		CHECK(open_by(tr_buf_view(&b), keys.prekey, keys.identity, &storage, &out, &err) == TR_E_INVALID, labels[i]);
		CHECK(!storage.n, labels[i]);
	}
}

static void another_key_opens_nothing(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, storage = TR_BUF_INIT;
	struct tr_message m = good(), out;
	struct tr_envelope e;
	struct tr_err err = { 0 };

	(void)state;
	seal(&m, &b);
	assert_int_equal(open_by(tr_buf_view(&b), keys.stranger, keys.identity, &storage, &out, &err), TR_E_DENIED);
	assert_int_equal(open_by(tr_buf_view(&b), keys.prekey, keys.other, &storage, &out, &err), TR_E_DENIED);
	assert_int_equal(tr_envelope_parse(tr_buf_view(&b), &e, &err), TR_OK);
	assert_int_equal(tr_message_open(&e, TR_VIEW_LIT("other.example"), keys.prekey, tr_privkey_pub(keys.identity), &storage,
					 &out, &err),
			 TR_E_DENIED);
	assert_int_equal(storage.n, 0);
}

static void an_envelope_has_one_form(void **state)
{
	static const uint8_t zeros[TR_MESSAGE_MAX + TR_HPKE_TAG];
	static const struct {
		const char *label, *sender, *recipient, *says;
		int64_t version, expires;
		size_t items, prekey, enc, ct;
	} cases[] = {
		{ "good", "a", "b", NULL, 1, 1, 7, 16, 32, 272 },
		{ "version 2", "a", "b", "version", 2, 1, 7, 16, 32, 272 },
		{ "an item too few", "a", "b", "version", 1, 1, 6, 16, 32, 272 },
		{ "an item too many", "a", "b", "", 1, 1, 8, 16, 32, 272 },
		{ "sender", "a/", "b", "plain name", 1, 1, 7, 16, 32, 272 },
		{ "recipient", "a", "", "plain name", 1, 1, 7, 16, 32, 272 },
		{ "expiry", "a", "b", "expiry", 1, 0, 7, 16, 32, 272 },
		{ "pre-key id", "a", "b", "pre-key id", 1, 1, 7, 15, 32, 272 },
		{ "ephemeral key", "a", "b", "ephemeral", 1, 1, 7, 16, 33, 272 },
		{ "only a tag", "a", "b", "multiple", 1, 1, 7, 16, 32, 16 },
		{ "odd length", "a", "b", "multiple", 1, 1, 7, 16, 32, 273 },
		{ "too long", "a", "b", "73728", 1, 1, 7, 16, 32, sizeof(zeros) },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err = { 0 };
		struct tr_envelope e;

		tr_cbor_put_array(&b, cases[i].items);
		tr_cbor_put_int(&b, cases[i].version);
		tr_cbor_put_text(&b, tr_view_str(cases[i].sender));
		tr_cbor_put_text(&b, tr_view_str(cases[i].recipient));
		tr_cbor_put_int(&b, cases[i].expires);
		tr_cbor_put_bytes(&b, tr_view(zeros, cases[i].prekey));
		tr_cbor_put_bytes(&b, tr_view(zeros, cases[i].enc));
		tr_cbor_put_bytes(&b, tr_view(zeros, cases[i].ct));
		CHECK(tr_envelope_parse(tr_buf_view(&b), &e, &err) == (cases[i].says ? TR_E_INVALID : TR_OK), cases[i].label);
		if (cases[i].says)
			CHECK(strstr(err.pub, cases[i].says), cases[i].label);
	}
}

static int make_keys(void **state)
{
	struct tr_err err;

	(void)state;
	keys.identity = new_key(TR_KEY_ED25519);
	keys.other = new_key(TR_KEY_ED25519);
	return tr_x25519_generate(&keys.prekey, keys.pub, &err) || tr_x25519_generate(&keys.stranger, keys.stranger_pub, &err);
}

static int free_keys(void **state)
{
	(void)state;
	keys.identity = tr_privkey_free(keys.identity);
	keys.other = tr_privkey_free(keys.other);
	keys.prekey = tr_secret_free(keys.prekey);
	keys.stranger = tr_secret_free(keys.stranger);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_as_it_was),
		cmocka_unit_test(every_kind_of_identity_key_fits),
		cmocka_unit_test(only_the_length_to_256_bytes_shows),
		cmocka_unit_test(what_is_no_message_is_not_sealed),
		cmocka_unit_test(no_flipped_bit_opens),
		cmocka_unit_test(a_message_sealed_again_by_another_is_refused),
		cmocka_unit_test(padding_has_one_form),
		cmocka_unit_test(another_key_opens_nothing),
		cmocka_unit_test(an_envelope_has_one_form),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
