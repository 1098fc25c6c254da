/* SPDX-License-Identifier: Apache-2.0 */
/* Method, path and bearer text as strangers send them: "METHOD\nPATH\nBEARER". A match is a whole match, and its argument
 * lies inside the path and in the narrow grammar. */
#include "codec/ident.h"
#include "server/routes.h"
#include "signed/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tr_view line(struct tr_view *rest)
{
	const uint8_t *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	size_t n = nl ? (size_t)(nl - rest->p) : rest->n;
	struct tr_view v = tr_view(rest->p, n);

	*rest = nl ? tr_view(nl + 1, rest->n - n - 1) : tr_view(NULL, 0);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tr_view rest = tr_view(data, size);
	struct tr_view method = line(&rest), path = line(&rest), arg;
	uint8_t hash[32], pin[32];

	for (unsigned on = 1; on <= 2; on++) {
		bool known;
		const struct tr_route *r = tr_route_find(method, path, on, &arg, &known);

		if (r && (!known || !(r->listeners & on) || !tr_view_is(method, r->method)))
			abort();
		if (r && arg.n && (arg.p < path.p || arg.p + arg.n > path.p + path.n || !tr_ident_ok(arg)))
			abort();
	}
	if (tr_token_read(rest, hash, pin) != TR_TOKEN_NONE && rest.n != 47 && rest.n != 70)
		abort();
	return 0;
}
