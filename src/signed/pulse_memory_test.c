/* SPDX-License-Identifier: Apache-2.0 */
/* The pulse's path without memory: each allocation of ours fails once (the linker's --wrap, cmake/pulse.cmake), and the
 * function answers with an error or does without. OpenSSL's own allocations are not among them. */
#include "signed/signed_test.h"

#include "base/failing_memory.h"
#include "signed/pulse_sample.h"

struct path {
	struct tr_privkey *key;
	struct tr_pulse pulse;
	struct tr_buf signed_pulse, frame;
};

static enum tr_code sign(struct path *p, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = tr_pulse_sign(&p->pulse, p->key, &b, err);

	return !rc && !b.n ? TR_E_CONFLICT : rc;
}

static enum tr_code verify(struct path *p, struct tr_err *err)
{
	struct tr_pulse out = { .seq = 99 };
	uint8_t digest[32];
	enum tr_code rc = tr_pulse_verify(tr_buf_view(&p->signed_pulse), tr_privkey_pub(p->key), &out, digest, err);

	return (rc == TR_OK) == (out.seq == 99) ? TR_E_CONFLICT : rc;
}

static enum tr_code digest(struct path *p, struct tr_err *err)
{
	uint8_t out[32];

	return tr_pulse_digest(tr_buf_view(&p->signed_pulse), out, err);
}

static enum tr_code encode(struct path *p, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	tr_pulse_encode(&p->pulse, &b);
	return tr_buf_check(&b, err);
}

static enum tr_code decode(struct path *p, struct tr_err *err)
{
	struct tr_pulse out;

	return tr_pulse_decode(tr_buf_view(&p->frame), &out, err);
}

static enum tr_code answer_put(struct path *p, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_pulse_answer a = { .ticket = TR_VIEW_ARRAY(sample_ticket), .interval_s = 30, .received_ns = 1,
					   .sent_ns = 1 };

	(void)p;
	tr_pulse_answer_put(&a, &b);
	return tr_buf_check(&b, err);
}

static enum tr_code list_get(struct path *p, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_bpf_list l;
	enum tr_code rc = tr_bpf_list_get(p->pulse.bpf_list, &items, &l, err);

	return rc ? rc : tr_bpf_list_put(&l, &again, err);
}

static enum tr_code ticket(struct path *p, struct tr_err *err)
{
	static const uint8_t key[TR_TICKET_KEY_LEN], head[32];
	const struct tr_ticket_scope s = { p->pulse.agent_id, 1, head };
	struct tr_ticket t = { 1, 2, 3 };
	uint8_t out[TR_TICKET_LEN];

	(void)err;
	tr_ticket_make(key, &s, &t, out);
	return tr_ticket_open(key, &s, TR_VIEW_ARRAY(out), &t) ? TR_OK : TR_E_CONFLICT;
}

static const struct {
	const char *label;
	enum tr_code (*run)(struct path *p, struct tr_err *err);
	bool allocates;
} steps[] = {
	{ "sign", sign, true },	    { "verify", verify, true },		{ "digest", digest, true },
	{ "encode", encode, true }, { "decode", decode, false },	{ "put an answer", answer_put, true },
	{ "list", list_get, true }, { "make and open a ticket", ticket, false },
};

static void every_failing_allocation_is_survived(void **state)
{
	static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA };

	(void)state;
	for (size_t t = 0; t < TR_ARRAY_LEN(types) * TR_ARRAY_LEN(steps); t++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[t / TR_ARRAY_LEN(steps)]);
		struct path p = { .key = k, .pulse = sample_pulse() };
		size_t step = t % TR_ARRAY_LEN(steps);
		struct tr_err err;
		unsigned long n = 0;

		assert_int_equal(tr_pulse_sign(&p.pulse, k, &p.signed_pulse, &err), TR_OK);
		tr_pulse_encode(&p.pulse, &p.frame);
		do {
			enum tr_code rc;

			err = (struct tr_err){ .code = TR_OK };
			failed = false;
			countdown = ++n;
			rc = steps[step].run(&p, &err);
			countdown = 0;
			if (rc != (failed ? TR_E_INTERNAL : TR_OK) || (rc && (err.code != rc || !err.pub)))
				fail_msg("%s: allocation %lu: %d, %s", steps[step].label, n, (int)rc, err.detail);
		} while (failed);
		/* The first run had an allocation to fail, where there is one. */
		CHECK((n > 1) == steps[step].allocates, steps[step].label);
		tr_buf_done(&p.signed_pulse);
		tr_buf_done(&p.frame);
	}
}

static int setup(void **state)
{
	struct tr_err err;

	(void)state;
	return tr_crypto_init(&err) == TR_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failing_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
