/* SPDX-License-Identifier: Apache-2.0 */
/* The command keys as clients of the original design ask for them, key ids included. A list that anybody can change on its
 * way is nothing to trust: agents of ours follow the signed keyset, and these two routes are for whoever compares. */
#include "server/public_keys.h"

#include "codec/text.h"

static bool is_current(const struct tr_skey_row *k)
{
	return tr_view_is(k->role, "command") && (tr_view_is(k->state, "primary") || tr_view_is(k->state, "active") ||
						  tr_view_is(k->state, "retiring"));
}

static bool is_primary(const struct tr_skey_row *k)
{
	return tr_view_is(k->role, "command") && tr_view_is(k->state, "primary");
}

void tr_public_key_json(const struct tr_skey_row *k, enum tr_public_key_shape shape, struct tr_buf *b)
{
	static const size_t ed25519_spki = 44, ed25519_raw = 32;
	tr_auto(tr_buf_done) struct tr_buf hex = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf id = TR_BUF_INIT;
	struct tr_view key = k->spki;
	uint8_t sum[TR_SHA256_LEN];

	/* The original knows Ed25519 only, as its 32 bytes; of other keys the whole SPKI is shown and hashed. */
	if (tr_view_is(k->key_type, "ed25519") && key.n == ed25519_spki)
		key = tr_view(key.p + ed25519_spki - ed25519_raw, ed25519_raw);
	tr_hex_add(&hex, key);
	tr_sha256(key, sum);
	tr_hex_add(&id, tr_view(sum, 16));
	tr_buf_addf(b, "{\"key_id\":\"%s\",\"public_key\":\"%s\",", tr_buf_cstr(&id), tr_buf_cstr(&hex));
	if (shape == TR_PUBLIC_KEY_ONE)
		tr_buf_addf(b, "\"fingerprint\":\"%s\",\"key_size\":%zu,", tr_buf_cstr(&id), key.n);
	else
		tr_buf_addf(b, "\"is_primary\":%s,", is_primary(k) ? "true" : "false");
	tr_buf_adds(b, "\"algorithm\":");
	tr_json_put_str(b, k->key_type);
	tr_buf_addf(b, ",\"version\":%llu}", (unsigned long long)k->version);
}

void tr_api_public_key(struct tr_core *c, struct tr_req *r)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_item *i;

	TR_EACH_ITEM(&c->skeys, i) {
		if (!is_primary(TR_ROW(&c->skeys, i)))
			continue;
		tr_public_key_json(TR_ROW(&c->skeys, i), TR_PUBLIC_KEY_ONE, &b);
		tr_req_answer_json(r, &b);
		return;
	}
	tr_req_answer(r, 503, TR_CT_JSON,
		      TR_VIEW_LIT("{\"error\":\"no command key\",\"hint\":\"make one with troth key create --role command and "
				  "publish a keyset that names it\"}"));
}

struct ranked {
	const struct tr_item *item;
	bool primary;
	uint64_t version;
};

/* The primary first, then the newest. */
static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->primary != y->primary)
		return x->primary ? -1 : 1;
	return x->version < y->version ? 1 : x->version > y->version ? -1 : 0;
}

void tr_api_public_keys(struct tr_core *c, struct tr_req *r)
{
	struct ranked all[TR_KEYSET_KEYS_MAX]; /* no keyset names more */
	tr_auto(tr_buf_done) struct tr_buf b = { .max = TR_MSG_ANSWER_MAX - 4096 };
	const struct tr_item *i;
	size_t n = 0;

	TR_EACH_ITEM(&c->skeys, i) {
		const struct tr_skey_row *k = TR_ROW(&c->skeys, i);

		if (n < TR_ARRAY_LEN(all) && is_current(k))
			all[n++] = (struct ranked){ i, is_primary(k), k->version };
	}
	if (n)
		qsort(all, n, sizeof(all[0]), by_rank);
	tr_buf_adds(&b, "[");
	for (size_t k = 0; k < n; k++) {
		tr_buf_adds(&b, k ? "," : "");
		tr_public_key_json(TR_ROW(&c->skeys, all[k].item), TR_PUBLIC_KEY_LISTED, &b);
	}
	tr_buf_adds(&b, "]");
	tr_req_answer_json(r, &b);
}
