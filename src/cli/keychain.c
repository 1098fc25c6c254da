/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keychain.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/text.h"

void tr_keychain_done(struct tr_keychain *k)
{
	tr_buf_done(&k->bytes);
	free(k->ends);
	*k = (struct tr_keychain){ 0 };
}

struct tr_view tr_keychain_at(const struct tr_keychain *k, size_t i)
{
	size_t from = i ? k->ends[i - 1] : 0;

	return tr_view(k->bytes.p + from, k->ends[i] - from);
}

TR_RC tr_keychain_add(struct tr_keychain *k, struct tr_view keyset, struct tr_err *err)
{
	size_t *ends;

	if (keyset.n == 0 || keyset.n > TR_KEYSET_MAX || k->bytes.n + keyset.n > TR_KEYCHAIN_MAX)
		return tr_err_set(err, TR_E_INVALID, "the server's chain of keysets is longer than any could be",
				  "%zu bytes after %zu", keyset.n, k->bytes.n);
	ends = realloc(k->ends, (k->n + 1) * sizeof(*ends));
	if (!ends)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "chain");
	k->ends = ends;
	tr_buf_addv(&k->bytes, keyset);
	k->ends[k->n++] = k->bytes.n;
	return tr_buf_check(&k->bytes, err);
}

TR_RC tr_keychain_add_page(struct tr_keychain *k, struct tr_view answer, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(answer);
	size_t n = tr_cbor_array(&r, 100000);
	enum tr_code rc = TR_OK;

	for (size_t i = 0; !rc && i < n && !r.error; i++) {
		struct tr_view v = tr_cbor_bytes(&r);

		if (!r.error)
			rc = tr_keychain_add(k, v, err);
	}
	return rc ? rc : tr_cbor_end(&r, err);
}

static TR_RC no_keyset(struct tr_err *err, const char *path, int status)
{
	return tr_err_set(err, TR_E_UNAVAIL, "the server did not give its keyset; is this the address of a Troth server?",
			  "GET %s: status %d", path, status);
}

/* Epochs only say where to go on asking; a server that repeats itself would be asked for ever. */
static TR_RC last_epoch(const struct tr_keychain *k, uint64_t after, uint64_t *ret, struct tr_err *err)
{
	struct tr_keyset ks;

	if (tr_keyset_unverified(tr_keychain_at(k, k->n - 1), &ks, err))
		return tr_err_wrap(err, "chain");
	if (ks.epoch <= after)
		return tr_err_set(err, TR_E_INVALID, "the server's chain of keysets does not come to an end",
				  "epoch %llu after %llu", (unsigned long long)ks.epoch, (unsigned long long)after);
	*ret = ks.epoch;
	return TR_OK;
}

TR_RC tr_keychain_fetch(tr_fetch_fn fetch, void *arg, struct tr_keychain *ret, struct tr_err *err)
{
	tr_auto(tr_keychain_done) struct tr_keychain k = { 0 };
	uint64_t after = 0;

	for (;;) {
		tr_auto(tr_buf_done) struct tr_buf page = TR_BUF_INIT;
		char path[64] = "/api/v1/keyset";
		size_t before = k.n;
		int status = 0;

		(void)snprintf(path, sizeof(path), "/api/v1/keyset/chain?after=%llu", (unsigned long long)after);
		if (fetch(arg, path, &page, &status, err))
			return err->code;
		if (status == 404 && k.n == 0) {
			if (fetch(arg, "/api/v1/keyset", &page, &status, err))
				return err->code;
			if (status != 200)
				return no_keyset(err, "/api/v1/keyset", status);
			if (tr_keychain_add(&k, tr_buf_view(&page), err))
				return err->code;
			break;
		}
		if (status != 200)
			return no_keyset(err, path, status);
		if (tr_keychain_add_page(&k, tr_buf_view(&page), err))
			return tr_err_wrap(err, "chain");
		if (k.n == before)
			break;
		if (last_epoch(&k, after, &after, err))
			return err->code;
	}
	if (k.n == 0)
		return no_keyset(err, "/api/v1/keyset/chain", 200);
	*ret = k;
	k = (struct tr_keychain){ 0 };
	return TR_OK;
}

static void not_found(const struct tr_keychain *k, const uint8_t pin[32], struct tr_buf *why)
{
	uint8_t newest[32];

	tr_buf_adds(why, "expected root sha256:");
	tr_hex_add(why, tr_view(pin, 32));
	if (k->n && tr_keyset_unverified_root(tr_keychain_at(k, k->n - 1), newest)) {
		tr_buf_adds(why, ", but the server's is sha256:");
		tr_hex_add(why, TR_VIEW_ARRAY(newest));
		if (k->n > 1)
			tr_buf_addf(why, ", and none of its %zu keysets had the expected one", k->n);
	} else {
		tr_buf_adds(why, ", but what the server sent is no keyset");
	}
}

TR_RC tr_keychain_walk(const struct tr_keychain *k, const uint8_t pin[32], int64_t now_ms, struct tr_keyset *ret,
		       size_t *ret_first, uint8_t ret_root[32], struct tr_buf *ret_why, struct tr_err *err)
{
	struct tr_keyset at, next;
	uint8_t print[32];
	size_t i = 0;
	enum tr_code rc;

	while (i < k->n && (!tr_keyset_unverified_root(tr_keychain_at(k, i), print) || memcmp(print, pin, 32) != 0))
		i++;
	if (i == k->n) {
		not_found(k, pin, ret_why);
		return tr_err_set(err, TR_E_DENIED, "the server's root keys are not the pinned ones", "%zu keysets", k->n);
	}
	if (ret_first)
		*ret_first = i;
	/* Only the last one has to be in force today: 0 is before every end. */
	rc = tr_keyset_verify_pinned(tr_keychain_at(k, i), pin, i + 1 < k->n ? 0 : now_ms, &at, err);
	for (i++; !rc && i < k->n; i++) {
		rc = tr_keyset_verify_next(tr_keychain_at(k, i - 1), &at, tr_keychain_at(k, i),
					   i + 1 < k->n ? 0 : now_ms, &next, err);
		if (!rc)
			at = next;
	}
	if (rc) {
		tr_buf_adds(ret_why, "expected root sha256:");
		tr_hex_add(ret_why, tr_view(pin, 32));
		tr_buf_addf(ret_why, ", and the server names it, but its %zu%s keyset does not hold: %s", i,
			    i % 10 == 1 && i % 100 != 11 ? "st" : i % 10 == 2 && i % 100 != 12 ? "nd" :
			    i % 10 == 3 && i % 100 != 13 ? "rd" : "th", err->pub);
		return rc == TR_E_INTERNAL ? rc : (err->code = TR_E_DENIED);
	}
	tr_keyset_root_fingerprint(&at, ret_root);
	*ret = at;
	return TR_OK;
}

TR_RC tr_keychain_trust(const struct tr_keychain *k, const uint8_t pin[32], int64_t now_ms, struct tr_trust *ret,
			uint8_t ret_root[32], struct tr_buf *ret_why, struct tr_err *err)
{
	struct tr_keyset newest;
	uint8_t root[32];
	enum tr_code rc = tr_keychain_walk(k, pin, now_ms, &newest, NULL, root, ret_why, err);

	if (!rc)
		rc = tr_bootstrap_check(tr_keychain_at(k, k->n - 1), root, now_ms, ret, ret_why, err);
	if (!rc)
		memcpy(ret_root, root, 32);
	return rc;
}
