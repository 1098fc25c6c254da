/* SPDX-License-Identifier: Apache-2.0 */
/* Boot logs, written record by record: what replays, what is refused, and which event data are to be believed. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "evidence/tpm_sample.h"
#include "evidence/eventlog.h"

static const uint8_t zeros[64];

static void add(struct tr_buf *b, uint32_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		tr_buf_add8(b, (uint8_t)(v >> 8 * i));
}

static void add_header(struct tr_buf *b, const uint16_t *algs, size_t n)
{
	add(b, 0, 4);
	add(b, 3, 4);
	tr_buf_add(b, zeros, 20);
	add(b, (uint32_t)(16 + 8 + 4 + 4 * n + 1), 4);
	tr_buf_add(b, "Spec ID Event03", 16);
	tr_buf_add(b, zeros, 8);
	add(b, (uint32_t)n, 4);
	for (size_t i = 0; i < n; i++) {
		add(b, algs[i], 2);
		add(b, algs[i] == 0x12 ? 32 : (uint32_t)tr_raw_hash_len(tr_tpm_hash(algs[i])), 2);
	}
	add(b, 0, 1);
}

static const uint16_t both[] = { TPM_ALG_SHA1, TPM_ALG_SHA256 };

/* An event whose digests are the hash of `hashed` and whose data are `data`. */
static void add_event(struct tr_buf *b, uint32_t pcr, uint32_t type, struct tr_view hashed, struct tr_view data)
{
	add(b, pcr, 4);
	add(b, type, 4);
	add(b, 2, 4);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t digest[64];

		tr_raw_digest(tr_tpm_hash(both[i]), &hashed, 1, digest);
		add(b, both[i], 2);
		tr_buf_add(b, type == 3 ? zeros : digest, tr_raw_hash_len(tr_tpm_hash(both[i])));
	}
	add(b, (uint32_t)data.n, 4);
	tr_buf_addv(b, data);
}

static void extend(uint8_t pcr[32], struct tr_view hashed)
{
	uint8_t digest[64], out[64];
	struct tr_view parts[2] = { tr_view(pcr, 32), tr_view(digest, 32) };

	tr_raw_digest(TR_HASH_SHA256, &hashed, 1, digest);
	tr_raw_digest(TR_HASH_SHA256, parts, 2, out);
	memcpy(pcr, out, 32);
}

static void a_log_replays_per_bank(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t values[24][64], pcr0[32] = { 0 }, pcr4[32] = { 0 };
	struct tr_err err;
	uint32_t touched;
	size_t n;

	(void)state;
	add_header(&b, both, 2);
	add_event(&b, 0, 3, TR_VIEW_LIT(""), TR_VIEW_LIT("StartupLocality\0\3"));
	add_event(&b, 0, 8, TR_VIEW_LIT("v1"), TR_VIEW_LIT("v1"));
	add_event(&b, 4, 0x80000003, TR_VIEW_LIT("an image"), TR_VIEW_LIT("its path"));
	pcr0[31] = 3;
	extend(pcr0, TR_VIEW_LIT("v1"));
	extend(pcr4, TR_VIEW_LIT("an image"));
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err), TR_OK);
	assert_int_equal(touched, 0x11);
	assert_int_equal(n, 3);
	assert_memory_equal(values[0], pcr0, 32);
	assert_memory_equal(values[4], pcr4, 32);
	assert_memory_equal(values[7], zeros, 32);
	assert_int_equal(values[17][0], 0xff);
	assert_int_equal(values[23][0], 0);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA1, false, values, &touched, &n, &err), TR_OK);
	assert_memory_not_equal(values[0], pcr0, 20);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA384, false, values, &touched, &n, &err), TR_E_NOTFOUND);
	/* Zeros or ff fill an area; they are its end. */
	tr_buf_add(&b, zeros, 64);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, true, values, &touched, &n, &err), TR_OK);
	memset(pcr0, 0, 32);
	extend(pcr0, TR_VIEW_LIT("v1"));
	assert_memory_equal(values[0], pcr0, 32);
	b.p[b.n - 1] = 1;
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, true, values, &touched, &n, &err), TR_E_INVALID);
}

static void a_log_of_tpm_1_2_is_sha1(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t values[24][64];
	struct tr_err err;
	uint32_t touched;
	size_t n;

	(void)state;
	add(&b, 2, 4);
	add(&b, 4, 4);
	tr_buf_add(&b, "01234567890123456789", 20);
	add(&b, 4, 4);
	tr_buf_add(&b, zeros, 4);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA1, false, values, &touched, &n, &err), TR_OK);
	assert_int_equal(touched, 4);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err), TR_E_NOTFOUND);
}

static void malformed_logs_are_refused(void **state)
{
	static const uint16_t unknown[] = { 0x0012, TPM_ALG_SHA256 }, twice[] = { TPM_ALG_SHA256, TPM_ALG_SHA256 };
	static const struct { const char *label; size_t at; uint8_t value; } rows[] = {
		{ "no hash", 32 + 24, 0 }, { "nine hashes", 32 + 24, 9 }, { "a wrong size", 32 + 30, 21 },
		{ "vendor data past the end", 32 + 36, 1 }, { "a hash that is not in the table", 69 + 12, 0x0c },
		{ "three digests", 69 + 8, 3 }, { "one hash twice", 69 + 34, 0x04 }, { "a register above 23", 69, 24 },
		{ "data past the end", 69 + 12 + 22 + 34 + 1, 1 },
	};
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t values[24][64];
	struct tr_err err;
	uint32_t touched;
	size_t n;

	(void)state;
	add_header(&b, both, 2);
	assert_int_equal(b.n, 69);
	add_event(&b, 1, 4, tr_view(zeros, 4), tr_view(zeros, 4));
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		uint8_t was = b.p[rows[i].at];

		b.p[rows[i].at] = rows[i].value;
		if (tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err) != TR_E_INVALID)
			fail_msg("%s", rows[i].label);
		b.p[rows[i].at] = was;
	}
	for (size_t k = 1; k < b.n; k++)
		if (k != 69)
			assert_int_equal(tr_log_replay(tr_view(b.p, k), TR_HASH_SHA256, false, values, &touched, &n, &err),
					 TR_E_INVALID);
	tr_buf_clear(&b);
	add_header(&b, twice, 2);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err), TR_E_INVALID);
	/* SM3 is stepped over: its size is in the table. */
	tr_buf_clear(&b);
	add_header(&b, unknown, 2);
	add(&b, 5, 4);
	add(&b, 5, 4);
	add(&b, 2, 4);
	add(&b, 0x0012, 2);
	tr_buf_add(&b, zeros, 32);
	add(&b, TPM_ALG_SHA256, 2);
	tr_buf_add(&b, zeros, 32);
	add(&b, 0, 4);
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err), TR_OK);
	assert_int_equal(touched, 0x20);
}

static void a_locality_comes_once_and_first(void **state)
{
	static const struct { struct tr_view data; bool late; enum tr_code want; } rows[] = {
		{ TR_VIEW_LIT("StartupLocality\0\4"), false, TR_OK }, { TR_VIEW_LIT("StartupLocality\0\0"), false, TR_OK },
		{ TR_VIEW_LIT("StartupLocality\0\1"), false, TR_E_INVALID },
		{ TR_VIEW_LIT("StartupLocality\0\3"), true, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		uint8_t values[24][64];
		struct tr_err err;
		uint32_t touched;
		size_t n;

		add_header(&b, both, 2);
		if (rows[i].late)
			add_event(&b, 0, 8, TR_VIEW_LIT("v"), TR_VIEW_LIT("v"));
		add_event(&b, 0, 3, TR_VIEW_LIT(""), rows[i].data);
		assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err),
				 rows[i].want);
	}
}

struct told { unsigned n; struct tr_log_event last; };

static bool keep(void *arg, const struct tr_log_event *e)
{
	struct told *t = arg;

	t->n++;
	t->last = *e;
	return t->n < 100;
}

/* GUID, one character of name, four bytes of data */
#define VARIABLE "0123456789abcdef\1\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0N\0data"

static void event_data_are_believed_where_the_digest_is_theirs(void **state)
{
	static const struct { const char *label; uint32_t type; struct tr_view hashed, data; bool is_hashed, forged; size_t n; } rows[] = {
		{ "a separator", 4, TR_VIEW_LIT("\0\0\0\0"), TR_VIEW_LIT("\0\0\0\0"), true, false, 4 },
		{ "a separator of other data", 4, TR_VIEW_LIT("\0\0\0\0"), TR_VIEW_LIT("\0\0\0\1"), false, true, 4 },
		{ "an action", 0x80000007, TR_VIEW_LIT("Exit"), TR_VIEW_LIT("Exit"), true, false, 4 },
		{ "another action", 0x80000007, TR_VIEW_LIT("Exit"), TR_VIEW_LIT("Stay"), false, true, 4 },
		{ "an image's path", 0x80000003, TR_VIEW_LIT("image"), TR_VIEW_LIT("path"), false, false, 4 },
		{ "a command of GRUB's", 0xd, TR_VIEW_LIT("ls"), TR_VIEW_LIT("grub_cmd: ls"), false, false, 12 },
		{ "a variable", 0x80000001, TR_VIEW_LIT(VARIABLE), TR_VIEW_LIT(VARIABLE), true, false, 38 },
		{ "another variable", 0x80000001, TR_VIEW_LIT("data"), TR_VIEW_LIT(VARIABLE), false, true, 38 },
		{ "a boot variable, its data hashed", 0x80000002, TR_VIEW_LIT("data"), TR_VIEW_LIT(VARIABLE), true, false, 4 },
		{ "a boot variable, whole", 0x80000002, TR_VIEW_LIT(VARIABLE), TR_VIEW_LIT(VARIABLE), true, false, 38 },
		{ "another boot variable", 0x80000002, TR_VIEW_LIT("DATA"), TR_VIEW_LIT(VARIABLE), false, true, 38 },
		{ "an old shim's authority", 0x800000e0, TR_VIEW_LIT("authority"), TR_VIEW_LIT("authority+"), true, false, 9 },
		{ "another authority", 0x800000e0, TR_VIEW_LIT("authority"), TR_VIEW_LIT("authoritx+"), false, true, 10 },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct told t = { 0 };
		struct tr_err err;

		add_header(&b, both, 2);
		add_event(&b, 7, rows[i].type, rows[i].hashed, rows[i].data);
		assert_int_equal(tr_log_each(tr_buf_view(&b), keep, &t, &err), TR_OK);
		assert_int_equal(t.n, 1);
		if (t.last.data_is_hashed != rows[i].is_hashed || t.last.data_forged != rows[i].forged ||
		    t.last.data.n != rows[i].n)
			fail_msg("%s", rows[i].label);
	}
}

static void a_log_may_end_the_walk_and_is_bounded(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct told t = { 0 };
	struct tr_err err;

	(void)state;
	add_header(&b, both, 2);
	for (unsigned i = 0; i < TR_LOG_EVENTS_MAX; i++)
		add_event(&b, 7, 0xd, TR_VIEW_LIT("x"), TR_VIEW_LIT("x"));
	assert_int_equal(tr_log_each(tr_buf_view(&b), keep, &t, &err), TR_OK);
	assert_int_equal(t.n, 100);
	add_event(&b, 7, 0xd, TR_VIEW_LIT("x"), TR_VIEW_LIT("x"));
	{
		uint8_t values[24][64];
		uint32_t touched;
		size_t n;

		assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err),
				 TR_E_INVALID);
		assert_non_null(strstr(err.detail, "16384"));
	}
}

/* Log and quote together. */
static void a_quoted_boot_is_the_logs_or_refused(void **state)
{
	static struct tr_tee_result r;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	tr_auto(sample_done) struct sample s;
	uint8_t values[24][64];
	struct tr_err err;
	uint32_t touched;
	size_t n;

	(void)state;
	add_header(&b, both, 2);
	for (uint32_t p = 0; p < 8; p++)
		add_event(&b, p, 4, TR_VIEW_LIT("\0\0\0\0"), TR_VIEW_LIT("\0\0\0\0"));
	assert_int_equal(tr_log_replay(tr_buf_view(&b), TR_HASH_SHA256, false, values, &touched, &n, &err), TR_OK);
	sample_make(&s, sample_key(TR_RAW_P256, "ak"), TPM_ALG_ECDSA, TPM_ALG_SHA256);
	for (unsigned p = 0; p < 11; p++)
		memcpy(s.pcrs.values[p], values[p], 32);
	memset(s.pcrs.values[10], 7, 32); /* the running system's: not the log's to explain */
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	s.in.event_log = tr_buf_view(&b);
	(void)tr_tpm_verify(&s.in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_OK);
	/* A PCR of the boot with a value that no event makes: events were left out. */
	s.pcrs.values[8][0] = 1;
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	(void)tr_tpm_verify(&s.in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_TPM_EVENT_LOG);
	s.pcrs.values[8][0] = 0;
	sample_sign(&s, TPM_ALG_ECDSA, TPM_ALG_SHA256);
	/* Event data changed, digests as they were. */
	b.p[b.n - 1] = 1;
	(void)tr_tpm_verify(&s.in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_TPM_EVENT_LOG);
	b.p[b.n - 1] = 0;
	add_event(&b, 2, 4, TR_VIEW_LIT("\0\0\0\0"), TR_VIEW_LIT("\0\0\0\0"));
	s.in.event_log = tr_buf_view(&b);
	(void)tr_tpm_verify(&s.in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_TPM_EVENT_LOG);
	s.in.event_log.n = 40;
	(void)tr_tpm_verify(&s.in, &r, NULL);
	assert_int_equal(r.first, TR_TEEC_TPM_EVENT_LOG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_replays_per_bank),
		cmocka_unit_test(a_log_of_tpm_1_2_is_sha1),
		cmocka_unit_test(malformed_logs_are_refused),
		cmocka_unit_test(a_locality_comes_once_and_first),
		cmocka_unit_test(event_data_are_believed_where_the_digest_is_theirs),
		cmocka_unit_test(a_log_may_end_the_walk_and_is_bounded),
		cmocka_unit_test(a_quoted_boot_is_the_logs_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
