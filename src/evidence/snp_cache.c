/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that were verified once. The key of an entry is a digest of the issuer's public key and of the whole signed
 * object, so that nothing an attester sends can stand for something else. */
#include "evidence/snp_inner.h"

#include "crypto/hash.h"

struct slot {
	uint64_t used; /* tick of the last use; 0: free */
	uint8_t id[32];
	struct tr_raw_key *key; /* of a VEK; NULL: the slot says that a signature is good */
};

struct tr_snp_cache {
	uint64_t tick;
	size_t n;
	struct slot slots[];
};

struct tr_snp_cache *tr_snp_cache_new(size_t entries)
{
	struct tr_snp_cache *c;

	if (!entries || entries > 65536)
		return NULL;
	c = calloc(1, sizeof(*c) + entries * sizeof(c->slots[0]));
	if (c)
		c->n = entries;
	return c;
}

struct tr_snp_cache *tr_snp_cache_free(struct tr_snp_cache *c)
{
	for (size_t i = 0; c && i < c->n; i++)
		(void)tr_raw_key_free(c->slots[i].key);
	free(c);
	return NULL;
}

static void name(const char *kind, struct tr_view a, struct tr_view b, uint8_t id[32])
{
	uint8_t len[8], out[64];
	struct tr_view parts[4] = { { (const uint8_t *)kind, 4 }, TR_VIEW_ARRAY(len), a, b };

	for (unsigned i = 0; i < 8; i++)
		len[i] = (uint8_t)((uint64_t)a.n >> 8 * i);
	tr_raw_digest(TR_HASH_SHA256, parts, 4, out);
	memcpy(id, out, 32);
}

static struct slot *find(struct tr_snp_cache *c, const uint8_t id[32])
{
	for (size_t i = 0; i < c->n; i++) {
		struct slot *s = &c->slots[i];

		if (s->used && memcmp(s->id, id, 32) == 0) {
			s->used = ++c->tick;
			return s;
		}
	}
	return NULL;
}

static struct slot *take(struct tr_snp_cache *c, const uint8_t id[32])
{
	struct slot *oldest = &c->slots[0];

	for (size_t i = 1; i < c->n; i++)
		if (c->slots[i].used < oldest->used)
			oldest = &c->slots[i];
	oldest->key = tr_raw_key_free(oldest->key);
	memcpy(oldest->id, id, 32);
	oldest->used = ++c->tick;
	return oldest;
}

TR_RC tr_snp_signed(struct tr_snp_cache *cache, const struct tr_x_cert *issuer, struct tr_raw_key **key, struct tr_view der,
		    enum tr_x_sig alg, struct tr_view tbs, struct tr_view sig, struct tr_err *err)
{
	uint8_t id[32];

	if (cache) {
		name("sig ", issuer->spki, der, id);
		if (find(cache, id))
			return TR_OK;
	}
	if (!*key && tr_x_cert_key(issuer, key, err))
		return err->code;
	if (tr_x_verify(alg, tbs, sig, *key, err))
		return err->code;
	if (cache)
		(void)take(cache, id);
	return TR_OK;
}

TR_RC tr_snp_vek_key(struct tr_snp_cache *cache, const struct tr_x_cert *vek, const struct tr_raw_key **ret,
		     struct tr_raw_key **ret_owned, struct tr_err *err)
{
	struct tr_raw_key *k = NULL;
	struct slot *s;
	uint8_t id[32];

	if (cache) {
		name("key ", vek->spki, tr_view(NULL, 0), id);
		s = find(cache, id);
		if (s) {
			*ret = s->key;
			return TR_OK;
		}
	}
	if (vek->key_type != TR_RAW_P384)
		return tr_err_set(err, TR_E_DENIED, "The chip's key is none of P-384.", "no P-384 key");
	if (tr_x_cert_key(vek, &k, err))
		return err->code;
	*ret = k;
	if (cache)
		take(cache, id)->key = k;
	else
		*ret_owned = k;
	return TR_OK;
}
