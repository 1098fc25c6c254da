/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: what the rest is. 0 to 3: a boot log of that bank, 4: a CCEL table. What is walked lies inside of the log, and
 * a register is touched exactly when an event of it was told. */
#include "codec/codec_fuzz.h"
#include "evidence/eventlog.h"

struct seen {
	struct tr_view log;
	enum tr_raw_hash bank;
	uint32_t touched;
	size_t n;
};

static bool look(void *arg, const struct tr_log_event *e)
{
	struct seen *s = arg;

	s->n++;
	MUST(is_inside(e->data, s->log) && e->n_digests <= TR_HASH_N);
	MUST(!(e->data_is_hashed && e->data_forged));
	for (size_t i = 0; i < e->n_digests; i++) {
		MUST(is_inside(e->digests[i].digest, s->log));
		MUST(e->digests[i].digest.n == tr_raw_hash_len(e->digests[i].alg));
		if (e->type != 3 && e->digests[i].alg == s->bank)
			s->touched |= 1u << e->index;
	}
	MUST(e->type == 3 || e->index < 24);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t values[24][64], plain[24][64];
	struct seen s = { { NULL, 0 }, TR_HASH_NONE, 0, 0 };
	uint64_t len, address;
	uint32_t touched = 0;
	size_t n = 0;
	struct tr_err err;

	if (!size)
		return 0;
	s.log = tr_view(data + 1, size - 1);
	if (data[0] == 4) {
		if (tr_ccel_table(s.log, &len, &address, &err) == TR_OK)
			MUST(len > 0 && len <= 16u << 20 && s.log.n >= 56);
		return 0;
	}
	s.bank = (enum tr_raw_hash)(TR_HASH_SHA1 + data[0] % 4);
	if (tr_log_replay(s.log, s.bank, false, values, &touched, &n, &err))
		return 0;
	MUST(tr_log_each(s.log, look, &s, &err) == TR_OK);
	MUST(s.n == n && s.touched == touched);
	/* A locality changes PCR 0 and nothing else. */
	MUST(tr_log_replay(s.log, s.bank, true, plain, &touched, &n, &err) == TR_OK && s.touched == touched);
	MUST(!memcmp(values[1], plain[1], sizeof(values) - sizeof(values[0])));
	return 0;
}
