/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, pre-keys and signed requests without memory: each allocation of ours fails once (cmake/obey.cmake), and the
 * function answers with an error, never with a yes, and gives nothing half made. */
#include "signed/signed_test.h"

#include "base/failing_memory.h"
#include "signed/message_sample.h"
#include "signed/request_sig.h"

#define FLEET TR_VIEW_LIT("fleet.example")
#define NOW INT64_C(1795310523)

struct world {
	struct tr_privkey *k;
	struct tr_secret *prekey;
	uint8_t pub[32], body[3000];
	struct tr_message m;
	struct tr_prekey p;
	struct tr_request_sig r;
	struct tr_buf envelope, prekey_bytes, sig;
};

static enum tr_code seal(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_message_seal(&w->m, w->k, w->pub, &b, err);
}

static enum tr_code parse(struct world *w, struct tr_err *err)
{
	struct tr_envelope e;

	return tr_envelope_parse(tr_buf_view(&w->envelope), &e, err);
}

static enum tr_code open_it(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_message m = { .seq = 99 };
	enum tr_code rc = tr_envelope_parse(tr_buf_view(&w->envelope), &e, err);

	if (!rc)
		rc = tr_message_open(&e, FLEET, w->prekey, tr_privkey_pub(w->k), &storage, &m, err);
	/* What was not verified is not there. */
	return rc && (storage.n || m.seq != 99) ? TR_E_CONFLICT : rc;
}

static enum tr_code prekey_sign(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_prekey_sign(&w->p, w->k, &b, err);
}

static enum tr_code prekey_verify(struct world *w, struct tr_err *err)
{
	struct tr_prekey p;

	return tr_prekey_verify(tr_buf_view(&w->prekey_bytes), tr_privkey_pub(w->k), &p, err);
}

static enum tr_code request_make(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_request_sig_make(&w->r, w->k, &b, err);
}

static enum tr_code request_verify(struct world *w, struct tr_err *err)
{
	return tr_request_sig_verify(&w->r, tr_buf_view(&w->sig), tr_privkey_pub(w->k), err);
}

static const struct {
	const char *label;
	enum tr_code (*run)(struct world *w, struct tr_err *err);
	bool allocates;
} steps[] = {
	{ "seal a message", seal, true },	 { "parse an envelope", parse, false },
	{ "open a message", open_it, true },	 { "sign a pre-key", prekey_sign, true },
	{ "verify a pre-key", prekey_verify, true }, { "sign a request", request_make, true },
	{ "verify a request", request_verify, true },
};

static void make_world(struct world *w)
{
	struct tr_err err;

	*w = (struct world){ .k = new_key(TR_KEY_ED25519),
			     .r = { TR_VIEW_LIT("GET"), TR_VIEW_LIT("/a"), TR_VIEW_LIT("web-1"), TR_VIEW_LIT("1795310523"),
				    TR_VIEW_LIT("AAAAAAAAAAAAAAAA"), { 0 } } };
	assert_int_equal(tr_x25519_generate(&w->prekey, w->pub, &err), TR_OK);
	w->m = (struct tr_message){ .fleet = FLEET, .sender = TR_VIEW_LIT("web-1"), .recipient = TR_VIEW_LIT("db-1"), .line = 1,
				    .seq = 1, .issued = NOW, .expires = NOW + 60, .type = TR_VIEW_LIT("text/plain"),
				    .body = TR_VIEW_ARRAY(w->body) };
	w->p = (struct tr_prekey){ .fleet = FLEET, .agent = TR_VIEW_LIT("web-1"), .number = 1, .not_before = NOW,
				   .not_after = NOW + 60 };
	assert_int_equal(tr_message_seal(&w->m, w->k, w->pub, &w->envelope, &err), TR_OK);
	assert_int_equal(tr_prekey_sign(&w->p, w->k, &w->prekey_bytes, &err), TR_OK);
	assert_int_equal(tr_request_sig_make(&w->r, w->k, &w->sig, &err), TR_OK);
}

static void every_failing_allocation_is_survived(void **state)
{
	struct world w;

	(void)state;
	make_world(&w);
	for (size_t i = 0; i < TR_ARRAY_LEN(steps); i++) {
		unsigned long n = 0;

		do {
			struct tr_err err = { .code = TR_OK };
			enum tr_code rc;

			failed = false;
			countdown = ++n;
			rc = steps[i].run(&w, &err);
			countdown = 0;
			if (rc != (failed ? TR_E_INTERNAL : TR_OK) || (rc && (err.code != rc || !err.pub)))
				fail_msg("%s: allocation %lu: %d, %s", steps[i].label, n, (int)rc, err.detail);
		} while (failed);
		CHECK((n > 1) == steps[i].allocates, steps[i].label);
	}
	tr_buf_done(&w.envelope);
	tr_buf_done(&w.prekey_bytes);
	tr_buf_done(&w.sig);
	w.k = tr_privkey_free(w.k);
	w.prekey = tr_secret_free(w.prekey);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failing_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
