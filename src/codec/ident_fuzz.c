/* SPDX-License-Identifier: Apache-2.0 */
/* Names hold no byte that needs escaping; versions have one total order. Input: up to three lines. */
#include "codec/ident.h"

#include "codec/codec_fuzz.h"

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static void check_name(struct tr_view v)
{
	uint8_t digest[32];

	if (tr_ident_ok(v)) {
		MUST(v.n >= 1 && v.n <= TR_IDENT_MAX);
		MUST(!tr_view_is(v, ".") && !tr_view_is(v, ".."));
		for (size_t i = 0; i < v.n; i++)
			MUST(v.p[i] > ' ' && v.p[i] < 0x7f &&
			     !strchr(":/%\\\"'`$&;<>|*?~#=@,!(){}[]^+", v.p[i]));
	}
	if (tr_version_ok(v))
		MUST(v.n >= 1 && v.n <= TR_VERSION_MAX);
	if (tr_sha256_name_ok(v, digest))
		MUST(v.n == 71);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view v[3] = { { data, 0 }, { data, 0 }, { data, 0 } };
	size_t at = 0;

	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *lf = at < size ? memchr(data + at, '\n', size - at) : NULL;
		size_t end = lf && i < 2 ? (size_t)(lf - data) : size;

		v[i] = tr_view(data + at, end - at);
		at = lf && i < 2 ? end + 1 : size;
		check_name(v[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct tr_view a = v[i], b = v[(i + 1) % 3], c = v[(i + 2) % 3];
		int ab = tr_version_cmp(a, b), bc = tr_version_cmp(b, c), ac = tr_version_cmp(a, c);

		MUST(tr_version_cmp(a, a) == 0);
		MUST(sign(ab) == -sign(tr_version_cmp(b, a)));
		if (ab <= 0 && bc <= 0)
			MUST(ac <= 0 && (ac < 0 || (ab == 0 && bc == 0)));
		/* What is no version never looks like an upgrade. */
		if (!tr_version_ok(a) && tr_version_ok(b))
			MUST(ab < 0);
	}
	return 0;
}
