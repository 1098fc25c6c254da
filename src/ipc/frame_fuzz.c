/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: a parsed frame, encoded again, is the very bytes it was parsed from; a stream cut at any point
 * gives the same frames, only later; a refusal comes from the header alone. */
#include "ipc/chan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void allowed(void *arg, struct tr_chan *c, const struct tr_frame *f)
{
	(void)arg;
	(void)c;
	(void)f;
}

static const struct tr_frame_rule rules[TR_FRAME_TYPE_MAX] = {
	[0] = { allowed, 0 },
	[1] = { allowed, 16 },
	[2] = { allowed, 4096 },
	[63] = { allowed, UINT32_MAX },
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_prefix(struct tr_view in, size_t cut, enum tr_code rc, size_t used)
{
	struct tr_err err;
	struct tr_frame f;
	size_t n = 1;
	enum tr_code got = tr_frame_parse(tr_view(in.p, cut), rules, &f, &n, &err);

	if (cut < TR_FRAME_HEAD)
		check(got == TR_OK && n == 0);
	else if (rc)
		check(got == rc);
	else
		check(got == TR_OK && n == (cut < used ? 0 : used));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view in = tr_view(data, size);

	for (;;) {
		struct tr_err err;
		struct tr_frame f;
		size_t used = 0;
		enum tr_code rc = tr_frame_parse(in, rules, &f, &used, &err);
		uint8_t head[TR_FRAME_HEAD];

		if (rc || used == 0) {
			if (in.n >= TR_FRAME_HEAD)
				check_prefix(in, TR_FRAME_HEAD, rc, in.n + 1);
			return 0;
		}
		check(used <= in.n && used == TR_FRAME_HEAD + f.payload.n);
		check(f.type < TR_FRAME_TYPE_MAX && rules[f.type].fn && f.payload.n <= rules[f.type].max);
		tr_frame_head(head, f.type, f.id, (uint32_t)f.payload.n);
		check(memcmp(head, in.p, TR_FRAME_HEAD) == 0);
		check(f.payload.p == in.p + TR_FRAME_HEAD);
		check_prefix(in, used - 1, rc, used);
		check_prefix(in, used, rc, used);
		in = tr_view(in.p + used, in.n - used);
	}
}
