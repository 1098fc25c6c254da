/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/text.h"
#include "signed/pulse_sample.h"

static const enum tr_key_type types[] = { TR_KEY_ED25519, TR_KEY_P256, TR_KEY_RSA };
static const char *const type_names[] = { "ed25519", "p256", "rsa" };

static void *pub_of(const struct tr_privkey *k)
{
	union {
		const struct tr_pubkey *in;
		void *out;
	} key = { tr_privkey_pub(k) };

	return key.out;
}

static enum tr_code verify(void *key, struct tr_view in)
{
	uint8_t digest[32];
	struct tr_pulse p;
	struct tr_err err;

	return tr_pulse_verify(in, key, &p, digest, &err);
}

static void assert_same(const struct tr_pulse *a, const struct tr_pulse *b)
{
	tr_auto(tr_buf_done) struct tr_buf x = TR_BUF_INIT, y = TR_BUF_INIT;

	assert_int_equal(a->time_ns, b->time_ns);
	assert_true(a->boot_ns == b->boot_ns && a->rtt_us == b->rtt_us && a->sync == b->sync && a->seq == b->seq);
	assert_true(a->bootcount == b->bootcount && a->keyset_epoch == b->keyset_epoch);
	assert_memory_equal(a->boot_id, b->boot_id, 16);
	assert_memory_equal(a->start_id, b->start_id, 16);
	assert_memory_equal(a->prev, b->prev, 32);
	assert_memory_equal(a->exporter, b->exporter, 32);
	assert_memory_equal(a->binary_hash, b->binary_hash, 32);
	assert_memory_equal(a->bpf_digest, b->bpf_digest, 32);
	assert_true(tr_view_eq(a->agent_id, b->agent_id) && tr_view_eq(a->partition, b->partition));
	assert_true(tr_view_eq(a->ticket, b->ticket) && tr_view_eq(a->old_ticket, b->old_ticket));
	assert_true(tr_view_eq(a->version, b->version) && tr_view_eq(a->bpf_list, b->bpf_list));
	assert_true(a->bpf_status == b->bpf_status && a->lsm == b->lsm && tr_view_eq(a->lsm_reason, b->lsm_reason));
	assert_true(a->notice == b->notice && a->notice_s == b->notice_s);
	assert_memory_equal(&a->health, &b->health, sizeof(a->health));
	tr_pulse_encode(a, &x);
	tr_pulse_encode(b, &y);
	assert_true(tr_buf_ok(&x) && tr_view_eq(tr_buf_view(&x), tr_buf_view(&y)));
}

static void a_pulse_comes_back_as_it_was_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i / 2]);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, frame = TR_BUF_INIT;
		struct tr_pulse in = i % 2 ? sample_pulse() : small_pulse(), out, framed;
		uint8_t digest[32], again[32];
		struct tr_err err;

		CHECK(tr_pulse_sign(&in, k, &b, &err) == TR_OK, type_names[i / 2]);
		if (tr_pulse_verify(tr_buf_view(&b), tr_privkey_pub(k), &out, digest, &err))
			fail_msg("%s: %s", type_names[i / 2], err.detail);
		assert_same(&in, &out);
		assert_int_equal(tr_pulse_digest(tr_buf_view(&b), again, &err), TR_OK);
		assert_memory_equal(digest, again, 32);
		tr_pulse_encode(&out, &frame);
		assert_int_equal(tr_pulse_decode(tr_buf_view(&frame), &framed, &err), TR_OK);
		assert_same(&in, &framed);
	}
}

/* What stands in docs/protocol/pulse.md. */
static void sizes_stay_within_their_promises(void **state)
{
	static const char longest[] = "a234567890123456789012345678901234567890123456789012345678901234";

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i]);
		tr_auto(tr_buf_done) struct tr_buf typical = TR_BUF_INIT, largest = TR_BUF_INIT;
		struct tr_pulse p = small_pulse();
		struct tr_err err;

		p.ticket = TR_VIEW_ARRAY(sample_ticket);
		assert_int_equal(tr_pulse_sign(&p, k, &typical, &err), TR_OK);
		if (types[i] != TR_KEY_RSA)
			CHECK(typical.n < 460, type_names[i]);
		p = sample_pulse();
		p.bpf_list = tr_view(NULL, 0);
		p.agent_id = p.partition = p.lsm_reason = tr_view_str(longest);
		p.version = TR_VIEW_LIT("1.2.3-4567890123456789012345678901234567890123456789012345678901");
		p.boot_ns = p.seq = p.keyset_epoch = INT64_MAX;
		p.rtt_us = p.bootcount = UINT32_MAX;
		p.health = (struct tr_health){ UINT64_C(1) << 53, UINT64_C(1) << 53, UINT64_C(1) << 53, UINT64_C(1) << 53,
					       UINT64_C(1) << 53, UINT64_C(1) << 53, UINT64_C(1) << 53, UINT64_C(1) << 53 };
		assert_int_equal(tr_pulse_sign(&p, k, &largest, &err), TR_OK);
		if (largest.n >= 1024)
			fail_msg("%s: %zu bytes", type_names[i], largest.n);
	}
}

static void no_flipped_bit_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * TR_ARRAY_LEN(types); i++) {
		tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(types[i / 2]);
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_pulse in = i % 2 ? sample_pulse() : small_pulse();
		struct tr_err err;

		assert_int_equal(tr_pulse_sign(&in, k, &b, &err), TR_OK);
		assert_int_equal(verify(pub_of(k), tr_buf_view(&b)), TR_OK);
		assert_int_equal(accepted_mutations(tr_buf_view(&b), verify, pub_of(k)), 0);
	}
}

static void somebody_elses_pulse_is_refused(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *a = new_key(TR_KEY_ED25519);
	tr_auto(tr_privkey_free) struct tr_privkey *b = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf bytes = TR_BUF_INIT, elsewhere = TR_BUF_INIT;
	uint8_t digest[32] = { 0 }, zeros[32] = { 0 };
	struct tr_pulse p = sample_pulse(), out = { .seq = 99 };
	struct tr_cose c;
	struct tr_err err;

	(void)state;
	assert_int_equal(tr_pulse_sign(&p, a, &bytes, &err), TR_OK);
	assert_int_equal(tr_pulse_verify(tr_buf_view(&bytes), tr_privkey_pub(b), &out, digest, &err), TR_E_DENIED);
	assert_int_equal(tr_cose1_parse(tr_buf_view(&bytes), bytes.n, &c, &err), TR_OK);
	assert_int_equal(tr_cose1_sign(a, "troth/claim/v1", c.payload, &elsewhere, &err), TR_OK);
	assert_int_equal(tr_pulse_verify(tr_buf_view(&elsewhere), tr_privkey_pub(a), &out, digest, &err), TR_E_DENIED);
	/* Untouched on error. */
	assert_int_equal(out.seq, 99);
	assert_memory_equal(digest, zeros, 32);
}

static const uint8_t long_bytes[128] = { 'a' };
static const uint8_t noise[] = { 'a', 0x7f }, newline[] = { 'a', '\n' };

#define NUMBER(label, member, value, good) { label, offsetof(struct tr_pulse, member), value, { NULL, 0 }, good }
#define VIEW(label, member, view, good) { label, offsetof(struct tr_pulse, member), 0, view, good }
#define BYTES(p, n) ((struct tr_view){ p, n })
#define EMPTY BYTES(long_bytes, 0)

static const struct {
	const char *label;
	size_t at;
	uint64_t number;
	struct tr_view view; /* p == NULL: number counts */
	bool good;
} limits[] = {
	VIEW("empty agent id", agent_id, EMPTY, false),
	VIEW("agent id with a colon", agent_id, TR_VIEW_LIT("web:1"), false),
	VIEW("empty partition", partition, EMPTY, false),
	VIEW("partition of two words", partition, TR_VIEW_LIT("a b"), false),
	VIEW("empty version", version, EMPTY, false),
	VIEW("version of words", version, TR_VIEW_LIT("latest"), false),
	VIEW("no ticket", ticket, EMPTY, true),
	VIEW("ticket of 39 bytes", ticket, BYTES(long_bytes, 39), false),
	VIEW("ticket of 41 bytes", ticket, BYTES(long_bytes, 41), false),
	VIEW("no old ticket", old_ticket, EMPTY, true),
	VIEW("old ticket of 39 bytes", old_ticket, BYTES(long_bytes, 39), false),
	VIEW("no reason", lsm_reason, EMPTY, true),
	VIEW("reason of 64 bytes", lsm_reason, TR_VIEW_LIT("1234567890123456789012345678901234567890123456789012345678901234"), true),
	VIEW("reason of 65 bytes", lsm_reason, TR_VIEW_LIT("12345678901234567890123456789012345678901234567890123456789012345"), false),
	VIEW("reason with a line feed", lsm_reason, BYTES(newline, 2), false),
	VIEW("reason with a DEL", lsm_reason, BYTES(noise, 2), false),
	NUMBER("no time", time_ns, 0, false),
	NUMBER("first time", time_ns, 1, true),
	NUMBER("before 1970", time_ns, UINT64_MAX, false),
	NUMBER("last boot time", boot_ns, INT64_MAX, true),
	NUMBER("over the last boot time", boot_ns, UINT64_C(1) << 63, false),
	NUMBER("longest round trip", rtt_us, UINT32_MAX, true),
	NUMBER("over the longest round trip", rtt_us, UINT64_C(1) << 32, false),
	NUMBER("last clock state", sync, TR_SYNC_N - 1, true),
	NUMBER("unknown clock state", sync, TR_SYNC_N, false),
	NUMBER("number zero", seq, 0, false),
	NUMBER("last number", seq, INT64_MAX, true),
	NUMBER("over the last number", seq, UINT64_C(1) << 63, false),
	NUMBER("last boot count", bootcount, UINT32_MAX, true),
	NUMBER("over the last boot count", bootcount, UINT64_C(1) << 32, false),
	NUMBER("last epoch", keyset_epoch, INT64_MAX, true),
	NUMBER("over the last epoch", keyset_epoch, UINT64_C(1) << 63, false),
	NUMBER("unknown BPF status", bpf_status, TR_BPF_STATUS_N, false),
	NUMBER("BPF list without BPF", bpf_status, TR_BPF_OFF, false),
	NUMBER("last LSM state", lsm, TR_LSM_N - 1, true),
	NUMBER("unknown LSM state", lsm, TR_LSM_N, false),
	NUMBER("a reason for being active", lsm, TR_LSM_ACTIVE, false),
	NUMBER("last notice", notice, TR_NOTICE_N - 1, true),
	NUMBER("unknown notice", notice, TR_NOTICE_N, false),
	NUMBER("seconds of no notice", notice, TR_NOTICE_NONE, false),
	NUMBER("a notice at once over", notice_s, 0, true),
	NUMBER("a notice for a week", notice_s, TR_PULSE_NOTICE_MAX_S, true),
	NUMBER("a notice for longer", notice_s, TR_PULSE_NOTICE_MAX_S + 1, false),
	NUMBER("greatest load", health.load_milli, UINT64_C(1) << 53, true),
	NUMBER("over the greatest load", health.load_milli, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the most memory", health.mem_total_kib, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the most free memory", health.mem_free_kib, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the largest disk", health.disk_total_mib, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the most free disk", health.disk_free_mib, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the longest uptime", health.uptime_s, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the most resident memory", health.agent_rss_kib, (UINT64_C(1) << 53) + 1, false),
	NUMBER("over the most CPU time", health.agent_cpu_ms, (UINT64_C(1) << 53) + 1, false),
};

static struct tr_pulse with_limit(size_t i)
{
	struct tr_pulse p = sample_pulse();

	if (limits[i].view.p)
		memcpy((uint8_t *)&p + limits[i].at, &limits[i].view, sizeof(limits[i].view));
	else
		memcpy((uint8_t *)&p + limits[i].at, &limits[i].number, sizeof(limits[i].number));
	return p;
}

static void fields_out_of_range_are_not_signed(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(limits); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, frame = TR_BUF_INIT;
		struct tr_pulse p = with_limit(i);
		struct tr_err err;

		CHECK(tr_pulse_sign(&p, k, &b, &err) == (limits[i].good ? TR_OK : TR_E_INVALID), limits[i].label);
		CHECK((b.n > 0) == limits[i].good, limits[i].label);
		CHECK(!limits[i].good || verify(pub_of(k), tr_buf_view(&b)) == TR_OK, limits[i].label);
		tr_pulse_encode(&p, &frame);
		CHECK(tr_buf_ok(&frame) == limits[i].good, limits[i].label);
	}
}

/* A frame is fixed in its first part: a number is put there by hand, as a role that is not ours any more could. */
static void a_frame_with_a_field_out_of_range_is_refused(void **state)
{
	static const struct {
		const char *label;
		size_t at;
		uint64_t v;
		bool good;
	} cases[] = {
		{ "nothing", 0, 1, true },		  { "no time", 0, 0, false },
		{ "boot time", 8, UINT64_MAX, false },	  { "round trip", 16, UINT64_MAX, false },
		{ "clock state", 24, 3, false },	  { "number zero", 32, 0, false },
		{ "boot count", 40, UINT64_MAX, false },  { "epoch", 48, UINT64_MAX, false },
		{ "BPF status", 56, 9, false },		  { "LSM state", 64, 7, false },
		{ "notice", 72, 5, false },		  { "notice's end", 80, 604801, false },
		{ "load", 88, UINT64_MAX, false },	  { "own CPU time", 144, UINT64_MAX, false },
		{ "length of the id", 312, 6, false },	  { "an id beyond the end", 312, UINT32_MAX, false },
	};
	struct tr_pulse p = sample_pulse(), out = { .seq = 99 };
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		size_t size = cases[i].at >= 312 ? 4 : 8;

		tr_pulse_encode(&p, &b);
		for (size_t j = 0; j < size; j++)
			b.p[cases[i].at + j] = (uint8_t)(cases[i].v >> 8 * j);
		CHECK(tr_pulse_decode(tr_buf_view(&b), &out, &err) == (cases[i].good ? TR_OK : TR_E_INVALID), cases[i].label);
		if (cases[i].good)
			out.seq = 99;
		CHECK(out.seq == 99, cases[i].label);
	}
}

static void a_cut_frame_is_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_pulse p = sample_pulse(), out;
	struct tr_err err;

	(void)state;
	tr_pulse_encode(&p, &b);
	for (size_t n = 0; n < b.n; n++) {
		/* An exact heap copy: a sanitizer sees a read past the end. */
		uint8_t *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, b.p, n);
		assert_int_equal(tr_pulse_decode(tr_view(copy, n), &out, &err), TR_E_INVALID);
		free(copy);
	}
	tr_buf_add8(&b, 0);
	assert_int_equal(tr_pulse_decode(tr_buf_view(&b), &out, &err), TR_E_INVALID);
}

/* Somebody with the key alters a good payload and signs it again: `from` is replaced by `to`. */
static void a_good_signature_does_not_excuse_the_form(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	static const struct {
		const char *label;
		bool all; /* members there */
		struct tr_view from, to;
		enum tr_code want;
	} cases[] = {
		{ "nothing", true, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("web-1"), TR_OK },
		{ "another agent", true, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("web-2"), TR_OK },
		{ "a bad name", true, TR_VIEW_LIT("web-1"), TR_VIEW_LIT("web:1"), TR_E_INVALID },
		{ "another profile", true, TR_VIEW_LIT("pulse/1"), TR_VIEW_LIT("pulse/2"), TR_E_INVALID },
		{ "an unknown key", true, TR_VIEW_LIT("\xa7\x06"), TR_VIEW_LIT("\xa8\x01\x01\x06"), TR_E_INVALID },
		{ "a key less", true, TR_VIEW_LIT("\xa7\x06"), TR_VIEW_LIT("\xa6\x06"), TR_E_INVALID },
		{ "a long head", true, TR_VIEW_LIT("\x06\x01\x07"), TR_VIEW_LIT("\x06\x18\x01\x07"), TR_E_INVALID },
		{ "clock state 3", true, TR_VIEW_LIT("\x06\x01\x07"), TR_VIEW_LIT("\x06\x03\x07"), TR_E_INVALID },
		{ "number zero", true, TR_VIEW_LIT("\x07\x19\x04\x01\x08"), TR_VIEW_LIT("\x07\x00\x08"), TR_E_INVALID },
		{ "no agent id", true, TR_VIEW_LIT("\xb5\x01\x65web-1\x02"), TR_VIEW_LIT("\xb4\x02"), TR_E_INVALID },
		{ "keys out of order", false, TR_VIEW_LIT("\x06\x01\x07\x19\x04\x01"), TR_VIEW_LIT("\x07\x19\x04\x01\x06\x01"),
		  TR_E_INVALID },
		{ "a second of too many nanoseconds", false, TR_VIEW_LIT("\x03\x1a\x1b\x3a\x0c\x14"),
		  TR_VIEW_LIT("\x03\x1a\x3b\x9a\xca\x00"), TR_E_INVALID },
		{ "a second of the most nanoseconds", false, TR_VIEW_LIT("\x03\x1a\x1b\x3a\x0c\x14"),
		  TR_VIEW_LIT("\x03\x1a\x3b\x9a\xc9\xff"), TR_OK },
		{ "a negative notice", true, TR_VIEW_LIT("\x13\x82\x02"), TR_VIEW_LIT("\x13\x82\x22"), TR_E_INVALID },
		{ "a notice that is none", true, TR_VIEW_LIT("\x13\x82\x02"), TR_VIEW_LIT("\x13\x82\x00"), TR_E_INVALID },
		{ "a notice of three", true, TR_VIEW_LIT("\x13\x82\x02"), TR_VIEW_LIT("\x13\x83\x02\x02"), TR_E_INVALID },
		{ "health of six", true, TR_VIEW_LIT("\x10\x87\x19\x01\xa4"), TR_VIEW_LIT("\x10\x86"), TR_E_INVALID },
		{ "an empty reason", true, TR_VIEW_LIT("\x78\x19no BPF LSM in this kernel"), TR_VIEW_LIT("\x60"), TR_E_INVALID },
		{ "an empty ticket", false, TR_VIEW_LIT("\xa6\x06\x1a\x6b\x02\x43\xbb"),
		  TR_VIEW_LIT("\xa7\x06\x1a\x6b\x02\x43\xbb\x0a\x40"), TR_E_INVALID },
		{ "a list without its digest's status", true, TR_VIEW_LIT("\x0e\x01\x0f"), TR_VIEW_LIT("\x0e\x05\x0f"), TR_E_INVALID },
		{ "a status without its digest", false, TR_VIEW_LIT("\x0e\x05\x0f"), TR_VIEW_LIT("\x0e\x01\x0f"), TR_E_INVALID },
		{ "a list of another digest", true, TR_VIEW_LIT("troth/map"), TR_VIEW_LIT("troth/mop"), TR_E_INVALID },
		{ "a hash of 31 bytes", false, TR_VIEW_LIT("\x0d\x58\x20\x55"), TR_VIEW_LIT("\x0d\x58\x1f"), TR_E_INVALID },
		{ "a boot id of 15 bytes", false, TR_VIEW_LIT("\x09\x50\x11"), TR_VIEW_LIT("\x09\x4f"), TR_E_INVALID },
		{ "text for bytes", false, TR_VIEW_LIT("\x09\x50\x11"), TR_VIEW_LIT("\x09\x70\x11"), TR_E_INVALID },
		{ "version alone", false, TR_VIEW_LIT("\x81\x65" "0.2.0"), TR_VIEW_LIT("\x65" "0.2.0"), TR_E_INVALID },
		{ "version with a scheme", false, TR_VIEW_LIT("\x81\x65" "0.2.0"), TR_VIEW_LIT("\x82\x65" "0.2.0\x01"), TR_E_INVALID },
		{ "the time of no agent", false, TR_VIEW_LIT("\x06\x1a\x6b\x02\x43\xbb"),
		  TR_VIEW_LIT("\x06\x1b\x00\x00\x00\x02\x25\xc1\x7d\x04"), TR_E_INVALID },
		{ "everything", false, TR_VIEW_LIT("\xa6"), TR_VIEW_LIT("\xa0"), TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, payload = TR_BUF_INIT, bad = TR_BUF_INIT;
		struct tr_pulse p = cases[i].all ? sample_pulse() : small_pulse();
		struct tr_cose cose;
		struct tr_err err;
		const uint8_t *at;
		size_t before;

		assert_int_equal(tr_pulse_sign(&p, k, &good, &err), TR_OK);
		assert_int_equal(tr_cose1_parse(tr_buf_view(&good), good.n, &cose, &err), TR_OK);
		at = memmem(cose.payload.p, cose.payload.n, cases[i].from.p, cases[i].from.n);
		CHECK(at != NULL, cases[i].label);
		before = (size_t)(at - cose.payload.p);
		tr_buf_add(&payload, cose.payload.p, before);
		tr_buf_addv(&payload, cases[i].to);
		tr_buf_add(&payload, at + cases[i].from.n, cose.payload.n - before - cases[i].from.n);
		assert_int_equal(tr_cose1_sign(k, TR_PULSE_DOMAIN, tr_buf_view(&payload), &bad, &err), TR_OK);
		CHECK(verify(pub_of(k), tr_buf_view(&bad)) == cases[i].want, cases[i].label);
	}
}

static void a_list_must_be_one(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_ED25519);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, frame = TR_BUF_INIT;
	struct tr_pulse p = sample_pulse();
	struct tr_err err;

	(void)state;
	p.bpf_list = TR_VIEW_LIT("\x82\x60\x80"); /* no kernel */
	tr_sha256(p.bpf_list, p.bpf_digest);
	assert_int_equal(tr_pulse_sign(&p, k, &b, &err), TR_E_INVALID);
	p = sample_pulse();
	p.bpf_digest[0] ^= 1;
	assert_int_equal(tr_pulse_sign(&p, k, &b, &err), TR_E_INVALID);
	assert_int_equal(b.n, 0);
	/* Between roles it is a record and has another digest. */
	tr_pulse_encode(&p, &frame);
	assert_true(tr_buf_ok(&frame));
}

static void the_digest_is_of_the_signed_bytes(void **state)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = new_key(TR_KEY_P256);
	tr_auto(tr_buf_done) struct tr_buf a = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_pulse p = sample_pulse();
	uint8_t da[32], db[32];
	struct tr_err err;

	(void)state;
	/* ECDSA signs with a fresh nonce each time: other bytes, the same statement. */
	assert_int_equal(tr_pulse_sign(&p, k, &a, &err), TR_OK);
	assert_int_equal(tr_pulse_sign(&p, k, &b, &err), TR_OK);
	assert_int_equal(tr_pulse_digest(tr_buf_view(&a), da, &err), TR_OK);
	assert_int_equal(tr_pulse_digest(tr_buf_view(&b), db, &err), TR_OK);
	assert_memory_equal(da, db, 32);
	p.seq++;
	tr_buf_clear(&b);
	assert_int_equal(tr_pulse_sign(&p, k, &b, &err), TR_OK);
	assert_int_equal(tr_pulse_digest(tr_buf_view(&b), db, &err), TR_OK);
	assert_memory_not_equal(da, db, 32);
	assert_int_equal(tr_pulse_digest(TR_VIEW_LIT("no pulse"), db, &err), TR_E_INVALID);
}

/* ---- the answer ---- */

static struct tr_pulse_answer sample_answer(void)
{
	return (struct tr_pulse_answer){ .ticket = TR_VIEW_ARRAY(sample_ticket),
					 .resync = true,
					 .interval_s = 30,
					 .received_ns = NOW_MS * 1000000,
					 .sent_ns = NOW_MS * 1000000 + 150000,
					 .want_bpf_list = true,
					 .pending = 2,
					 .keyset_epoch = 3,
					 .wait_s = 25,
					 .revocation = 7 };
}

static void an_answer_comes_back_as_it_was_put(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_pulse_answer in = sample_answer(), out;
	struct tr_err err;

	(void)state;
	tr_pulse_answer_put(&in, &b);
	assert_true(tr_buf_ok(&b) && b.n < 100);
	assert_int_equal(tr_pulse_answer_get(tr_buf_view(&b), &out, &err), TR_OK);
	assert_true(out.resync && !out.renew && out.want_bpf_list && out.interval_s == 30 && out.pending == 2);
	assert_true(out.received_ns == in.received_ns && out.sent_ns == in.sent_ns && out.keyset_epoch == 3 &&
		    out.wait_s == 25 && out.revocation == 7);
	assert_true(tr_view_eq(out.ticket, in.ticket));
	tr_pulse_answer_put(&out, &again);
	assert_true(tr_view_eq(tr_buf_view(&b), tr_buf_view(&again)));
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(tr_pulse_answer_get(tr_view(b.p, n), &out, &err), TR_E_INVALID);
	tr_buf_add8(&b, 0);
	assert_int_equal(tr_pulse_answer_get(tr_buf_view(&b), &out, &err), TR_E_INVALID);
}

/* Server and agent are not upgraded at once: an older server says nothing of revocations, or of waiting either; a newer one
 * says more. */
static void a_neighbouring_versions_answer_is_read(void **state)
{
	static const struct tr_view end = TR_VIEW_LIT("\x0a\x18\x19\x0b\x07");
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, other = TR_BUF_INIT;
	struct tr_pulse_answer a = sample_answer(), out;
	struct tr_err err;

	(void)state;
	tr_pulse_answer_put(&a, &b);
	assert_memory_equal(b.p + b.n - end.n, end.p, end.n);
	tr_buf_add8(&other, 0xa9);
	tr_buf_add(&other, b.p + 1, b.n - 1 - end.n);
	assert_int_equal(tr_pulse_answer_get(tr_buf_view(&other), &out, &err), TR_OK);
	assert_true(out.wait_s == 0 && out.revocation == 0 && out.keyset_epoch == 3);
	other.p[0] = 0xaa;
	tr_buf_add(&other, end.p, 3);
	assert_int_equal(tr_pulse_answer_get(tr_buf_view(&other), &out, &err), TR_OK);
	assert_true(out.wait_s == 25 && out.revocation == 0);
	b.p[0] = 0xac;
	tr_buf_adds(&b, "\x0c\x61x");
	assert_int_equal(tr_pulse_answer_get(tr_buf_view(&b), &out, &err), TR_OK);
	assert_true(out.wait_s == 25 && out.revocation == 7);
}

static void an_answer_out_of_range_is_refused(void **state)
{
	static const struct {
		const char *label;
		size_t at;
		uint64_t v;
		struct tr_view from, to; /* the same on the wire */
		bool good;
	} cases[] = {
		{ "interval", offsetof(struct tr_pulse_answer, interval_s), 1, TR_VIEW_LIT("\x03\x18\x1e"), TR_VIEW_LIT("\x03\x01"), true },
		{ "longest interval", offsetof(struct tr_pulse_answer, interval_s), 86400, TR_VIEW_LIT("\x03\x18\x1e"),
		  TR_VIEW_LIT("\x03\x1a\x00\x01\x51\x80"), true },
		{ "no interval", offsetof(struct tr_pulse_answer, interval_s), 0, TR_VIEW_LIT("\x03\x18\x1e"), TR_VIEW_LIT("\x03\x00"), false },
		{ "over the longest interval", offsetof(struct tr_pulse_answer, interval_s), 86401, TR_VIEW_LIT("\x03\x18\x1e"),
		  TR_VIEW_LIT("\x03\x1a\x00\x01\x51\x81"), false },
		{ "too much pending", offsetof(struct tr_pulse_answer, pending), UINT64_C(1) << 32, TR_VIEW_LIT("\x08\x02\x09"),
		  TR_VIEW_LIT("\x08\x1b\0\0\0\1\0\0\0\0\x09"), false },
		{ "epoch", offsetof(struct tr_pulse_answer, keyset_epoch), UINT64_C(1) << 63, TR_VIEW_LIT("\x09\x03"),
		  TR_VIEW_LIT("\x09\x1b\x80\0\0\0\0\0\0\0"), false },
		{ "not received", offsetof(struct tr_pulse_answer, received_ns), 0, TR_VIEW_LIT("\x07\xf5"), TR_VIEW_LIT("\x07\x01"), false },
		{ "not sent", offsetof(struct tr_pulse_answer, sent_ns), 0, TR_VIEW_LIT("\x06\xf4"), TR_VIEW_LIT("\x06\xf6"), false },
		{ "ticket", offsetof(struct tr_pulse_answer, ticket.n), 39, TR_VIEW_LIT("\x58\x28\x71"), TR_VIEW_LIT("\x58\x27"), false },
		{ "no ticket", offsetof(struct tr_pulse_answer, ticket.n), 0, TR_VIEW_LIT("\x09\x03"), TR_VIEW_LIT("\x0b\x03"), false },
		{ "longest wait", offsetof(struct tr_pulse_answer, wait_s), 60, TR_VIEW_LIT("\x0a\x18\x19"),
		  TR_VIEW_LIT("\x0a\x18\x3c"), true },
		{ "over the longest wait", offsetof(struct tr_pulse_answer, wait_s), 61, TR_VIEW_LIT("\x0a\x18\x19"),
		  TR_VIEW_LIT("\x0a\x18\x3d"), false },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, good = TR_BUF_INIT, bad = TR_BUF_INIT;
		struct tr_pulse_answer a = sample_answer(), out;
		struct tr_err err;
		const uint8_t *at;
		size_t before;

		tr_pulse_answer_put(&a, &good);
		memcpy((uint8_t *)&a + cases[i].at, &cases[i].v, sizeof(cases[i].v));
		tr_pulse_answer_put(&a, &b);
		CHECK(tr_buf_ok(&b) == cases[i].good, cases[i].label);
		at = memmem(good.p, good.n, cases[i].from.p, cases[i].from.n);
		CHECK(at != NULL, cases[i].label);
		before = (size_t)(at - good.p);
		tr_buf_add(&bad, good.p, before);
		tr_buf_addv(&bad, cases[i].to);
		tr_buf_add(&bad, at + cases[i].from.n, good.n - before - cases[i].from.n);
		CHECK(tr_pulse_answer_get(tr_buf_view(&bad), &out, &err) == (cases[i].good ? TR_OK : TR_E_INVALID),
		      cases[i].label);
	}
}

static void every_state_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TR_LSM_N; i++)
		for (unsigned j = i + 1; j < TR_LSM_N; j++)
			assert_string_not_equal(tr_lsm_name((enum tr_lsm)i), tr_lsm_name((enum tr_lsm)j));
	for (unsigned i = 0; i < TR_NOTICE_N; i++)
		for (unsigned j = i + 1; j < TR_NOTICE_N; j++)
			assert_string_not_equal(tr_notice_name((enum tr_notice)i), tr_notice_name((enum tr_notice)j));
	for (unsigned i = 0; i < TR_BPF_STATUS_N; i++)
		for (unsigned j = i + 1; j < TR_BPF_STATUS_N; j++)
			assert_string_not_equal(tr_bpf_status_name((enum tr_bpf_status)i),
						tr_bpf_status_name((enum tr_bpf_status)j));
	assert_string_equal(tr_sync_name(TR_SYNC_YES), "yes");
	assert_string_equal(tr_sync_name(TR_SYNC_NO), "no");
	assert_string_equal(tr_lsm_name(TR_LSM_N), "unknown");
	assert_string_equal(tr_sync_name(TR_SYNC_N), "unknown");
	assert_string_equal(tr_notice_name(TR_NOTICE_N), "none");
	assert_string_equal(tr_bpf_status_name(TR_BPF_STATUS_N), "unknown");
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
		cmocka_unit_test(a_pulse_comes_back_as_it_was_signed),
		cmocka_unit_test(sizes_stay_within_their_promises),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(somebody_elses_pulse_is_refused),
		cmocka_unit_test(fields_out_of_range_are_not_signed),
		cmocka_unit_test(a_frame_with_a_field_out_of_range_is_refused),
		cmocka_unit_test(a_cut_frame_is_refused),
		cmocka_unit_test(a_good_signature_does_not_excuse_the_form),
		cmocka_unit_test(a_list_must_be_one),
		cmocka_unit_test(the_digest_is_of_the_signed_bytes),
		cmocka_unit_test(an_answer_comes_back_as_it_was_put),
		cmocka_unit_test(a_neighbouring_versions_answer_is_read),
		cmocka_unit_test(an_answer_out_of_range_is_refused),
		cmocka_unit_test(every_state_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
