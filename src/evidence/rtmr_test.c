/* SPDX-License-Identifier: Apache-2.0 */
/* RTMR3 by both schemes, and the CCEL log behind the other three. Expected values: SecretVM's by the published vector, the
 * rest computed by Python's hashlib. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/eventlog.h"

static void unhex(const char *text, uint8_t *out, size_t n)
{
	assert_true(tr_hex_get(tr_view_str(text), out, n));
}

static void secretvms_vector(void **state)
{
	uint8_t compose[32], rootfs[32], out[48], want[48];

	(void)state;
	tr_sha256(TR_VIEW_LIT("dfgfdghdf"), compose);
	unhex("2a6d16965f5ce5143bcba614bb7896cdfc598a71c6e1ecc55efd3d8f74ba7c8a", rootfs, 32);
	unhex("542733230d9c7556937815ebdb18126b8b69b2ed4a1769d110e6a5f8620a45f6350c3b6ac5c76c8a0f153a6ea1e547c2", want, 48);
	tr_rtmr3_secretvm(compose, rootfs, NULL, out);
	assert_memory_equal(out, want, 48);
	compose[0] ^= 1;
	tr_rtmr3_secretvm(compose, rootfs, NULL, out);
	assert_memory_not_equal(out, want, 48);
	compose[0] ^= 1;
	/* Docker files are a third event, not another second one. */
	unhex("7581c227962fa4f5e392a1b0cee02045d9fc6e3825f41885bb6cfa90c2fc084dff5c34e48b9f5ea03a8cbaa2a9e207e8", want, 48);
	tr_rtmr3_secretvm(compose, rootfs, rootfs, out);
	assert_memory_equal(out, want, 48);
}

static void dstacks_events(void **state)
{
	uint8_t digest[48], rtmr[48] = { 0 }, want[48];

	(void)state;
	tr_rtmr3_dstack_event(TR_VIEW_LIT("app-id"), TR_VIEW_LIT("\x01\x02\x03"), digest);
	unhex("db6d2d469a5685b9bd8195cd039d9263f2689c8a1951a54eda63f22d6bc7fc74ed637943f19e00b92409400c8e1d0616", want, 48);
	assert_memory_equal(digest, want, 48);
	tr_rtmr_extend(rtmr, digest);
	unhex("0dbd684351705c6b7d1d3de94d5f7964030a58754486e59f5ba99f0d741fcdf53e1f5e0bfa8cfedbee7509360729ebd6", want, 48);
	assert_memory_equal(rtmr, want, 48);
	/* An empty payload is an event too (system-ready has none). */
	tr_rtmr3_dstack_event(TR_VIEW_LIT("system-ready"), tr_view(NULL, 0), digest);
	unhex("1a76b2a80a0be71eae59f80945d876351a7a3fb8e9fd1ff1cede5734aa84ea11fd72b4edfbb6f04e5a85edd114c751bd", want, 48);
	assert_memory_equal(digest, want, 48);
}

static void make_table(uint8_t t[56], uint64_t len)
{
	uint8_t sum = 0;

	memset(t, 0, 56);
	memcpy(t, "CCEL", 4);
	t[4] = 56;
	t[36] = 2;
	for (unsigned i = 0; i < 8; i++)
		t[40 + i] = (uint8_t)(len >> 8 * i);
	t[48] = 0x10;
	for (unsigned i = 0; i < 56; i++)
		sum = (uint8_t)(sum + t[i]);
	t[9] = (uint8_t)-sum;
}

static void a_ccel_table_says_where_the_log_is(void **state)
{
	uint64_t len = 0, at = 0;
	struct tr_err err;
	uint8_t t[56];

	(void)state;
	make_table(t, 65536);
	assert_int_equal(tr_ccel_table(TR_VIEW_ARRAY(t), &len, &at, &err), TR_OK);
	assert_true(len == 65536 && at == 0x10);
	for (size_t i = 0; i < sizeof(t); i++) { /* the checksum is over every byte */
		t[i] ^= 0x40;
		assert_int_equal(tr_ccel_table(TR_VIEW_ARRAY(t), &len, &at, &err), TR_E_INVALID);
		t[i] ^= 0x40;
	}
	for (size_t n = 0; n < sizeof(t); n++)
		assert_int_equal(tr_ccel_table(tr_view(t, n), &len, &at, &err), TR_E_INVALID);
	make_table(t, 0);
	assert_int_equal(tr_ccel_table(TR_VIEW_ARRAY(t), &len, &at, &err), TR_E_INVALID);
	make_table(t, UINT64_C(1) << 40);
	assert_int_equal(tr_ccel_table(TR_VIEW_ARRAY(t), &len, &at, &err), TR_E_INVALID);
}

static void add(struct tr_buf *b, uint32_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		tr_buf_add8(b, (uint8_t)(v >> 8 * i));
}

static void add_event(struct tr_buf *b, uint32_t index, const uint8_t digest[48])
{
	add(b, index, 4);
	add(b, 0x80000007, 4);
	add(b, 1, 4);
	add(b, 0x000c, 2);
	tr_buf_add(b, digest, 48);
	add(b, 0, 4);
}

static void a_ccel_log_explains_the_rtmrs(void **state)
{
	static const uint8_t zeros[20];
	tr_auto(tr_buf_done) struct tr_buf log = TR_BUF_INIT;
	uint8_t values[4][48] = { { 0 } }, digest[48];
	struct tr_view rtmr[4];
	struct tr_err err;
	uint32_t explained;

	(void)state;
	add(&log, 0, 4);
	add(&log, 3, 4);
	tr_buf_add(&log, zeros, 20);
	add(&log, 16 + 8 + 4 + 4 + 1, 4);
	tr_buf_add(&log, "Spec ID Event03", 16);
	tr_buf_add(&log, zeros, 8);
	add(&log, 1, 4);
	add(&log, 0x000c, 2);
	add(&log, 48, 2);
	add(&log, 0, 1);
	for (unsigned i = 0; i < 3; i++) {
		memset(digest, (int)i + 1, 48);
		add_event(&log, i + 1, digest);
		tr_rtmr_extend(values[i], digest);
	}
	for (unsigned i = 0; i < 4; i++)
		rtmr[i] = TR_VIEW_ARRAY(values[i]);
	for (unsigned i = 0; i < 64; i++)
		tr_buf_add8(&log, 0xff); /* unused area */
	assert_int_equal(tr_ccel_replay(tr_buf_view(&log), rtmr, &explained, &err), TR_OK);
	assert_int_equal(explained, 7);
	/* RTMR3 is the application's, until the log says otherwise. */
	values[3][0] = 1;
	assert_int_equal(tr_ccel_replay(tr_buf_view(&log), rtmr, &explained, &err), TR_OK);
	for (unsigned i = 0; i < 3; i++) {
		values[i][0] ^= 1;
		assert_int_equal(tr_ccel_replay(tr_buf_view(&log), rtmr, &explained, &err), TR_E_DENIED);
		values[i][0] ^= 1;
	}
	log.n -= 64;
	add_event(&log, 4, digest);
	assert_int_equal(tr_ccel_replay(tr_buf_view(&log), rtmr, &explained, &err), TR_E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secretvms_vector),
		cmocka_unit_test(dstacks_events),
		cmocka_unit_test(a_ccel_table_says_where_the_log_is),
		cmocka_unit_test(a_ccel_log_explains_the_rtmrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
