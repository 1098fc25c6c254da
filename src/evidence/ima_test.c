/* SPDX-License-Identifier: Apache-2.0 */
/* One list of every template, as text and as the kernel's binary, and the PCR values that it gives (computed by Python's
 * hashlib from the templates' definitions). */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "codec/text.h"
#include "evidence/eventlog.h"

#include <stdio.h>

static const char text[] =
	"10 eff56d225e27704cb8c86ac05dd83afee7f7e055 ima-ng sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f /bin/a b\n"
	"10 72e5fcb15dd460bc11d8651372228cd9ebbc5791 ima-sig sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f /bin/c d 0302736967\n"
	"10 b2d748200fd894d48c1892264f81174d882cbaa7 ima-sig sha1:000102030405060708090a0b0c0d0e0f10111213 /etc/unsigned \n"
	"10 4341c0e1171e556548a4624af5ed1d8550267950 ima-buf sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f kexec-cmdline 726f6f743d2f6465762f78\n"
	"10 574d5e8daee33f0f38ff695b031e05713abe91a0 ima-ngv2 verity:sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f /bin/v\n"
	"10 3224415ea5004826d44ce47b009c58433469a329 ima 000102030405060708090a0b0c0d0e0f10111213 /sbin/init\n"
	"10 0000000000000000000000000000000000000000 ima-ng sha256:0000000000000000000000000000000000000000000000000000000000000000 /tmp/open\n"
	"10 f7f8b0a684033c94848a68d183aa460df4321135 ima-ng sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f /bin/last\n";

static const char binary_hex[] =
	"0a000000eff56d225e27704cb8c86ac05dd83afee7f7e05506000000696d612d6e6739000000280000007368613235363a00"
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f090000002f62696e2f612062000a00000072"
	"e5fcb15dd460bc11d8651372228cd9ebbc579107000000696d612d73696742000000280000007368613235363a0000010203"
	"0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f090000002f62696e2f63206400050000000302736967"
	"0a000000b2d748200fd894d48c1892264f81174d882cbaa707000000696d612d736967340000001a000000736861313a0000"
	"0102030405060708090a0b0c0d0e0f101112130e0000002f6574632f756e7369676e656400000000000a0000004341c0e117"
	"1e556548a4624af5ed1d855026795007000000696d612d6275664d000000280000007368613235363a000001020304050607"
	"08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0e0000006b657865632d636d646c696e65000b000000726f6f74"
	"3d2f6465762f780a000000574d5e8daee33f0f38ff695b031e05713abe91a008000000696d612d6e6776323e0000002f0000"
	"007665726974793a7368613235363a00000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0700"
	"00002f62696e2f76000a0000003224415ea5004826d44ce47b009c58433469a32903000000696d6100010203040506070809"
	"0a0b0c0d0e0f101112130a0000002f7362696e2f696e69740a00000000000000000000000000000000000000000000000600"
	"0000696d612d6e673a000000280000007368613235363a000000000000000000000000000000000000000000000000000000"
	"0000000000000a0000002f746d702f6f70656e000a000000f7f8b0a684033c94848a68d183aa460df432113506000000696d"
	"612d6e673a000000280000007368613235363a00000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d"
	"1e1f0a0000002f62696e2f6c61737400";

/* Two ways of extending a bank: by its own hash, and by a padded SHA-1 (kernels before 5.8). */
static const struct { enum tr_raw_hash bank; const char *pcr; size_t proven; } rows[] = {
	{ TR_HASH_SHA256, "6d15c8927ed82d5a6e384cd469629daa7c40158898c7e03dc5596e6eda265de2", 8 },
	{ TR_HASH_SHA256, "0e949fe4d98fc131fca288af991acedfcad1b1799c9de9c77ea6c8f77291dc49", 8 },
	{ TR_HASH_SHA1, "b6d63f664751e1599f8ce7d06b18b0c3aad377d3", 8 },
	{ TR_HASH_SHA384, "b23b4c573fc497d07da96d37aa967689f1fa86abd821993ecbb3e69ca7077054ce4ee6e25741fae7a750ef98778c4c5c", 6 },
	{ TR_HASH_SHA256, "b330ee83652a7a57395d144f189ec98d2986be7c0ebce498375b088f7930f21b", 1 },
};

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	assert_true(tr_hex_get(tr_view_str(hex), out, n));
	return n;
}

static void a_list_proves_what_was_quoted(void **state)
{
	uint8_t binary[2048], pcr[64];
	struct tr_view lists[2] = { tr_view_str(text), tr_view(binary, unhex(binary_hex, binary)) };
	size_t proven, total;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < 2 * TR_ARRAY_LEN(rows); i++) {
		struct tr_view want = tr_view(pcr, unhex(rows[i / 2].pcr, pcr));

		if (tr_ima_replay(lists[i % 2], rows[i / 2].bank, want, &proven, &total, &err))
			fail_msg("row %zu, form %zu: %s", i / 2, i % 2, err.detail);
		assert_int_equal(proven, rows[i / 2].proven);
		assert_int_equal(total, 8);
		pcr[0] ^= 1;
		assert_int_equal(tr_ima_replay(lists[i % 2], rows[i / 2].bank, want, &proven, &total, &err), TR_E_DENIED);
	}
}

static void a_changed_list_proves_less(void **state)
{
	char changed[sizeof(text)];
	uint8_t pcr[64];
	struct tr_view want = tr_view(pcr, unhex(rows[0].pcr, pcr));
	size_t proven, total, hidden = 0;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		memcpy(changed, text, sizeof(text));
		changed[i] = changed[i] == 'x' ? 'y' : 'x';
		/* The hashes that the list names itself are not what is extended, but that of a violation. */
		hidden += tr_ima_replay(tr_view(changed, sizeof(text) - 1), rows[0].bank, want, &proven, &total, &err) == TR_OK;
	}
	/* A violation extends ff whatever its data are: "sha256" and "/tmp/open" of that one line. */
	assert_int_equal(hidden, 15);
}

static void lists_that_cannot_be_read_are_refused(void **state)
{
	static const struct { const char *label; struct tr_view list; } bad[] = {
		{ "another PCR", TR_VIEW_LIT("11 1111111111111111111111111111111111111111 ima-ng sha1:00 /x\n") },
		{ "no hash", TR_VIEW_LIT("10 11 ima-ng sha1:00 /x\n") },
		{ "half a byte", TR_VIEW_LIT("10 1111111111111111111111111111111111111111 ima-ng sha1:0 /x\n") },
		{ "no algorithm", TR_VIEW_LIT("10 1111111111111111111111111111111111111111 ima-ng 00 /x\n") },
		{ "an unknown template", TR_VIEW_LIT("10 1111111111111111111111111111111111111111 evm-sig sha1:00 /x\n") },
		{ "a short digest of the old template", TR_VIEW_LIT("10 1111111111111111111111111111111111111111 ima 00 /x\n") },
		{ "an empty line", TR_VIEW_LIT("10 1111111111111111111111111111111111111111 ima-ng sha1:00 /x\n\n") },
		{ "noise", TR_VIEW_LIT("\n\0\0\0noise") },
		{ "nothing", TR_VIEW_LIT("") },
	};
	uint8_t pcr[64], binary[2048];
	struct tr_view want = tr_view(pcr, unhex(rows[0].pcr, pcr));
	size_t n = unhex(binary_hex, binary), proven, total, ends = 0;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++)
		if (tr_ima_replay(bad[i].list, TR_HASH_SHA256, want, &proven, &total, &err) == TR_OK)
			fail_msg("%s", bad[i].label);
	/* Cut anywhere: between records nothing is wrong but the value. */
	for (size_t i = 1; i < n; i++)
		ends += tr_ima_replay(tr_view(binary, i), TR_HASH_SHA256, want, &proven, &total, &err) == TR_E_DENIED;
	assert_int_equal(ends, 7);
	want.n = 20;
	assert_int_equal(tr_ima_replay(tr_view_str(text), TR_HASH_SHA256, want, &proven, &total, &err), TR_E_INVALID);
	assert_int_equal(tr_ima_replay(tr_view_str(text), TR_HASH_NONE, tr_view(NULL, 0), &proven, &total, &err), TR_E_INVALID);
}

/* Lists per bank have longer template hashes. */
static void a_list_of_another_bank_is_told_by_its_hashes(void **state)
{
	uint8_t binary[2048], wide[4096], pcr[64];
	size_t n = unhex(binary_hex, binary), at = 0, to = 0, proven, total;
	struct tr_view want = tr_view(pcr, unhex(rows[0].pcr, pcr));
	struct tr_err err;

	(void)state;
	while (at < n) {
		size_t name = binary[at + 24], body = at + 28 + name, len;

		memcpy(wide + to, binary + at, 24);
		memset(wide + to + 24, binary[at + 4], 12); /* zeros stay zeros */
		to += 36;
		len = name == 3 ? 24u + binary[body + 20] : 4u + binary[body];
		memcpy(wide + to, binary + at + 24, 4 + name + len);
		to += 4 + name + len;
		at = body + len;
	}
	assert_int_equal(tr_ima_replay(tr_view(wide, to), TR_HASH_SHA256, want, &proven, &total, &err), TR_OK);
	assert_int_equal(proven, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_proves_what_was_quoted),
		cmocka_unit_test(a_changed_list_proves_less),
		cmocka_unit_test(lists_that_cannot_be_read_are_refused),
		cmocka_unit_test(a_list_of_another_bank_is_told_by_its_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
