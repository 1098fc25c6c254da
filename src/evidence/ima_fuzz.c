/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: the bank. A list that can be read has a PCR value that proves all of it; no list proves a value at random. */
#include "codec/codec_fuzz.h"
#include "evidence/eventlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t random_value[64] = { 0x5a, 0x17, 0xc3 };
	enum tr_raw_hash bank;
	struct tr_view list, pcr;
	size_t proven = 0, total = 0;
	struct tr_err err;
	enum tr_code rc;

	if (!size)
		return 0;
	bank = (enum tr_raw_hash)(TR_HASH_SHA1 + data[0] % 4);
	list = tr_view(data + 1, size - 1);
	pcr = tr_view(random_value, tr_raw_hash_len(bank));
	rc = tr_ima_replay(list, bank, pcr, &proven, &total, &err);
	MUST(rc == TR_E_INVALID || rc == TR_E_DENIED || rc == TR_E_INTERNAL);
	MUST(proven == 0 && total == 0);
	/* A list of one violation is one whose value is known. */
	if (rc == TR_E_DENIED && list.n > 43 && list.n < 120 && !memcmp(list.p, "10 0000000000000000000000000000000000000000 ", 44) &&
	    !memchr(list.p, '\n', list.n - 1)) {
		uint8_t parts[128] = { 0 }, out[64];
		struct tr_view in = tr_view(parts, 2 * pcr.n);

		memset(parts + pcr.n, 0xff, pcr.n);
		tr_raw_digest(bank, &in, 1, out);
		MUST(tr_ima_replay(list, bank, tr_view(out, pcr.n), &proven, &total, &err) == TR_OK);
		MUST(proven == 1 && total == 1);
	}
	return 0;
}
