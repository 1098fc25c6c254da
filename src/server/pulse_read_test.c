/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pulse_read.h"

#include "crypto/hash.h"
#include "signed/cose1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct tr_privkey *key, *other;

static int make_keys(void **state)
{
	struct tr_err err = { 0 };

	(void)state;
	return tr_privkey_generate(TR_KEY_ED25519, &key, &err) || tr_privkey_generate(TR_KEY_ED25519, &other, &err);
}

static int free_keys(void **state)
{
	(void)state;
	key = tr_privkey_free(key);
	other = tr_privkey_free(other);
	return 0;
}

static struct tr_pulse some_pulse(void)
{
	return (struct tr_pulse){ .agent_id = TR_VIEW_LIT("web-1"), .partition = TR_VIEW_LIT("lab"), .time_ns = 1, .seq = 7,
				  .version = TR_VIEW_LIT("1.2.3"), .bpf_status = TR_BPF_OFF };
}

/* A list of two pins, and a pulse that encloses it. */
static void with_list(struct tr_pulse *p, struct tr_buf *items, struct tr_buf *cbor)
{
	static const uint8_t tag[8] = { 1 }, norm[32] = { 2 };
	const struct tr_bpf_item a = { .pin = TR_VIEW_LIT("troth/config"), .kind = TR_BPF_MAP, .type = 1, .id = 5,
				       .norm_status = TR_BPF_NORM_NONE };
	const struct tr_bpf_item b = { .pin = TR_VIEW_LIT("troth/shield"), .kind = TR_BPF_PROG, .type = 2, .id = 6,
				       .loaded_ns = 9, .tag = TR_VIEW_ARRAY(tag), .norm = TR_VIEW_ARRAY(norm),
				       .attach = TR_BPF_ATTACHED };
	struct tr_bpf_list l = { .kernel = TR_VIEW_LIT("6.1 x86_64 jit=1 harden=0") };
	struct tr_err err = { 0 };

	tr_records_add(items, &tr_bpf_item_def, &a);
	tr_records_add(items, &tr_bpf_item_def, &b);
	l.items = tr_buf_view(items);
	if (tr_bpf_list_put(&l, cbor, &err))
		fail_msg("%s", err.detail);
	p->bpf_status = TR_BPF_OK;
	p->bpf_list = tr_buf_view(cbor);
	tr_sha256(p->bpf_list, p->bpf_digest);
}

static void a_list_travels_as_a_record(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT, cbor = TR_BUF_INIT, raw = TR_BUF_INIT, list = TR_BUF_INIT,
				   frame = TR_BUF_INIT;
	struct tr_pulse p = some_pulse(), got, again;
	struct tr_bpf_list l;
	uint8_t digest[32];
	struct tr_err err = { 0 };

	(void)state;
	with_list(&p, &items, &cbor);
	assert_int_equal(tr_pulse_sign(&p, key, &raw, &err), TR_OK);
	assert_int_equal(tr_pulse_read(tr_buf_view(&raw), tr_privkey_pub(key), &got, digest, &list, &frame, &err), TR_OK);
	assert_int_equal(tr_record_decode(&tr_bpf_list_def, got.bpf_list, &l, &err), TR_OK);
	assert_true(tr_view_eq(l.items, tr_buf_view(&items)));
	assert_int_equal(tr_pulse_decode(tr_buf_view(&frame), &again, &err), TR_OK);
	assert_true(tr_view_eq(again.bpf_list, got.bpf_list) && again.seq == 7);
	/* The frame's limits hold for the largest list that is allowed. */
	assert_true(frame.n < TR_MSG_PULSE_FRAME_MAX);
}

/* What a front may say, and what is found. */
static void a_lie_is_found(void **state)
{
	static const uint8_t zeros[32];
	enum { TRUTH, SEQ, DIGEST, SIGNATURE, GARBAGE, OTHER_KEY, NO_KEY, HASH };
	static const struct {
		int what;
		enum tr_code code;
	} cases[] = {
		{ TRUTH, TR_OK },
		{ SEQ, TR_E_DENIED },
		{ HASH, TR_E_DENIED },
		{ DIGEST, TR_E_DENIED },
		{ SIGNATURE, TR_E_DENIED },
		{ GARBAGE, TR_E_DENIED },
		{ OTHER_KEY, TR_E_DENIED },
		{ NO_KEY, TR_E_INTERNAL },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf raw = TR_BUF_INIT, list = TR_BUF_INIT, frame = TR_BUF_INIT;
		struct tr_pulse p = some_pulse();
		struct tr_msg_recheck q = { .spki = tr_pubkey_spki(tr_privkey_pub(key)) };
		uint8_t digest[32];
		struct tr_err err = { 0 };

		assert_int_equal(tr_pulse_sign(&p, key, &raw, &err), TR_OK);
		assert_int_equal(tr_pulse_read(tr_buf_view(&raw), tr_privkey_pub(key), &p, digest, &list, &frame, &err), TR_OK);
		p.seq += cases[i].what == SEQ;
		p.binary_hash[0] ^= cases[i].what == HASH;
		tr_buf_clear(&frame);
		tr_pulse_encode(&p, &frame);
		if (cases[i].what == SIGNATURE)
			raw.p[raw.n - 1] ^= 1;
		q.raw = cases[i].what == GARBAGE ? TR_VIEW_LIT("garbage") : tr_buf_view(&raw);
		q.pulse = tr_buf_view(&frame);
		q.digest = cases[i].what == DIGEST ? TR_VIEW_ARRAY(zeros) : TR_VIEW_ARRAY(digest);
		if (cases[i].what == OTHER_KEY)
			q.spki = tr_pubkey_spki(tr_privkey_pub(other));
		if (cases[i].what == NO_KEY)
			q.spki = TR_VIEW_LIT("none");
		tr_pulse_recheck(&q, &err);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void every_refusal_has_its_slug(void **state)
{
	static const struct {
		enum tr_event_kind kind;
		int status;
		const char *slug;
	} all[] = {
		{ TR_EV_MALFORMED, 400, "malformed_pulse" }, { TR_EV_BAD_SIGNATURE, 403, "bad_signature" },
		{ TR_EV_WRONG_AGENT, 403, "wrong_agent" },   { TR_EV_RELAYED, 403, "relayed" },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		struct tr_problem p = tr_pulse_refusal(all[i].kind);

		assert_int_equal(p.status, all[i].status);
		assert_string_equal(p.slug, all[i].slug);
		assert_non_null(p.title);
		assert_true(strlen(p.detail) > 40);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_travels_as_a_record),
		cmocka_unit_test(a_lie_is_found),
		cmocka_unit_test(every_refusal_has_its_slug),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
