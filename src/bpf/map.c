/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/map.h"

#include "bpf/sys.h"
#include "crypto/hash.h"

#include <errno.h>

struct walk {
	int fd;
	uint32_t k, v, n, cap; /* entries read; most that fit the bounds */
	struct tr_buf entries; /* key and value after each other */
};

/* qsort_r's order: by key bytes; keys are unique in a map, and where a changing map shows one twice, by value. */
static int by_bytes(const void *a, const void *b, void *len)
{
	return memcmp(a, b, *(const size_t *)len);
}

void tr_bpf_entries_digest(uint8_t *entries, uint32_t n, uint32_t k, uint32_t v, uint8_t out[32])
{
	const uint32_t numbers[] = { k, v, n };
	size_t stride = (size_t)k + v;
	uint8_t head[12];
	struct tr_sha256 *h = tr_sha256_new();

	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)(numbers[i / 4] >> 8 * (i % 4));
	if (n)
		qsort_r(entries, n, stride, by_bytes, &stride);
	tr_sha256_add(h, TR_VIEW_ARRAY(head));
	tr_sha256_add(h, tr_view(entries, n * stride));
	tr_sha256_end(h, out);
	(void)tr_sha256_free(h);
}

static TR_RC too_large(struct tr_err *err)
{
	return tr_err_set(err, TR_E_BUSY, "the map has too many entries", "more than %u entries or %u bytes",
			  TR_BPF_MAP_ENTRIES_MAX, TR_BPF_MAP_BYTES_MAX);
}

static void add_entry(struct walk *w, const uint8_t *key, const uint8_t *value)
{
	tr_buf_add(&w->entries, key, w->k);
	tr_buf_add(&w->entries, value, w->v);
	w->n++;
}

/* One entry per call: kernels before 5.6, and LPM tries before batches reached them. */
static TR_RC read_singly(struct walk *w, uint8_t *key, uint8_t *next, uint8_t *value, struct tr_err *err)
{
	const uint8_t *last = NULL;

	tr_buf_clear(&w->entries);
	w->n = 0;
	while (tr_bpf_map_next(w->fd, last, next) == 0) {
		if (w->n == w->cap)
			return too_large(err);
		/* An entry that has just gone is no entry. */
		if (tr_bpf_map_lookup(w->fd, next, value) == 0)
			add_entry(w, next, value);
		else if (errno != ENOENT)
			return tr_err_errno(err, "look up");
		memcpy(key, next, w->k);
		last = key;
	}
	return errno == ENOENT ? TR_OK : tr_err_errno(err, "next key");
}

/* ret_done false: this kernel or this map has no batches. */
static TR_RC read_batches(struct walk *w, bool *ret_done, struct tr_err *err)
{
	uint32_t room = w->cap + 1 < 4096 ? w->cap + 1 : 4096;
	/* A cursor is a key for tries and a bucket number for hashes. */
	size_t cursor = w->k > 8 ? w->k : 8;
	tr_auto(tr_free) uint8_t *keys = calloc(room, w->k), *values = calloc(room, w->v), *at = calloc(2, cursor);
	bool first = true;

	*ret_done = false;
	if (!keys || !values || !at)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "map batch");
	for (;;) {
		uint32_t n = room;
		int rc = tr_bpf_map_batch(w->fd, first ? NULL : at, at + cursor, keys, values, &n);
		int e = rc < 0 ? errno : 0;

		/* ENOSPC: one bucket has more entries than there is room; reading singly does without. */
		if (e && e != ENOENT)
			return TR_OK;
		if (n > room || n > w->cap - w->n)
			return too_large(err);
		for (uint32_t i = 0; i < n; i++)
			add_entry(w, keys + (size_t)i * w->k, values + (size_t)i * w->v);
		*ret_done = e == ENOENT;
		/* Neither the end nor an entry: do not turn in circles. */
		if (*ret_done || n == 0)
			return TR_OK;
		memcpy(at, at + cursor, cursor);
		first = false;
	}
}

TR_RC tr_bpf_map_digest(int fd, const struct bpf_map_info *info, uint8_t out[32], struct tr_err *err)
{
	struct walk w = { .fd = fd, .k = info->key_size, .v = info->value_size };
	tr_auto(tr_free) uint8_t *one = NULL;
	enum tr_code rc;
	bool done;

	if (info->type != BPF_MAP_TYPE_ARRAY && info->type != BPF_MAP_TYPE_HASH && info->type != BPF_MAP_TYPE_LRU_HASH &&
	    info->type != BPF_MAP_TYPE_LPM_TRIE)
		return tr_err_set(err, TR_E_INVALID, "the content of this kind of map cannot be compared", "map type %u",
				  info->type);
	if (!w.k || !w.v || w.k > 4096 || w.v > TR_BPF_MAP_BYTES_MAX)
		return too_large(err);
	w.cap = TR_BPF_MAP_BYTES_MAX / (w.k + w.v);
	if (w.cap > TR_BPF_MAP_ENTRIES_MAX)
		w.cap = TR_BPF_MAP_ENTRIES_MAX;
	if (!w.cap || (info->type == BPF_MAP_TYPE_ARRAY && info->max_entries > w.cap))
		return too_large(err);
	if (w.cap > info->max_entries)
		w.cap = info->max_entries;
	rc = read_batches(&w, &done, err);
	if (!rc && !done) {
		one = calloc(1, 2 * (size_t)w.k + w.v);
		rc = one ? read_singly(&w, one, one + w.k, one + 2 * (size_t)w.k, err) :
			   tr_err_set(err, TR_E_INTERNAL, "out of memory", "map");
	}
	if (!rc)
		rc = tr_buf_check(&w.entries, err);
	if (!rc)
		tr_bpf_entries_digest(w.entries.p, w.n, w.k, w.v, out);
	tr_buf_done(&w.entries);
	return rc;
}
