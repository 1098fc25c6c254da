/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's list of what it measured into PCR 10, replayed from the template data alone: the hashes that the list names
 * itself are not believed, but that one of zeros marks a violation. */
#include "codec/text.h"
#include "evidence/eventlog.h"

#define PCR_IMA 10
#define NAME_MAX_LEN 32
/* The first template: a SHA-1 and a name padded to this (ima.h, IMA_EVENT_NAME_LEN_MAX + 1). */
#define OLD_NAME_LEN 256

struct entry {
	bool violation;
	struct tr_view data; /* what the template hash is over */
};

struct reader {
	struct tr_view rest;
	bool ascii;
	size_t hash_len; /* of the list's own hashes, binary only */
	size_t line;
	struct tr_buf built; /* template data that had to be put together */
	const char *why;
};

static bool refuse(struct reader *r, const char *why)
{
	r->why = why;
	return false;
}

static bool take(struct tr_view *in, size_t n, struct tr_view *ret)
{
	if (n > in->n)
		return false;
	*ret = tr_view(in->p, n);
	*in = tr_view(in->p + n, in->n - n);
	return true;
}

static bool take_u32(struct tr_view *in, uint32_t *ret)
{
	struct tr_view v;

	if (!take(in, 4, &v))
		return false;
	*ret = (uint32_t)v.p[0] | (uint32_t)v.p[1] << 8 | (uint32_t)v.p[2] << 16 | (uint32_t)v.p[3] << 24;
	return true;
}

static bool is_zero(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i])
			return false;
	return true;
}

static void add_u32(struct tr_buf *b, size_t n)
{
	for (unsigned i = 0; i < 4; i++)
		tr_buf_add8(b, (uint8_t)(n >> 8 * i));
}

static void add_old(struct tr_buf *b, struct tr_view digest, struct tr_view name)
{
	static const uint8_t zeros[OLD_NAME_LEN];

	tr_buf_addv(b, digest);
	tr_buf_addv(b, name);
	tr_buf_add(b, zeros, OLD_NAME_LEN - name.n);
}

/* Kernels 5.10 and newer offer a list per bank, whose template hashes are longer than 20 bytes. */
static size_t hash_length(struct tr_view list)
{
	static const size_t lens[] = { 20, 32, 48, 64 };

	for (size_t i = 0; i < TR_ARRAY_LEN(lens); i++) {
		struct tr_view in = list, skip, name;
		uint32_t n;

		if (take(&in, 4 + lens[i], &skip) && take_u32(&in, &n) && n >= 3 && n <= NAME_MAX_LEN && take(&in, n, &name) &&
		    (tr_view_starts(name, "ima") || tr_view_starts(name, "evm")))
			return lens[i];
	}
	return 0;
}

static bool next_binary(struct reader *r, struct entry *ret)
{
	struct tr_view hash, name, digest;
	uint32_t pcr, n;

	if (!take_u32(&r->rest, &pcr) || !take(&r->rest, r->hash_len, &hash) || !take_u32(&r->rest, &n) || n > NAME_MAX_LEN ||
	    !take(&r->rest, n, &name) || !name.n)
		return refuse(r, "cut short");
	if (pcr != PCR_IMA)
		return refuse(r, "of another PCR than 10");
	ret->violation = is_zero(hash);
	if (tr_view_is(name, "ima")) {
		if (!take(&r->rest, 20, &digest) || !take_u32(&r->rest, &n) || n >= OLD_NAME_LEN || !take(&r->rest, n, &name))
			return refuse(r, "cut short");
		tr_buf_clear(&r->built);
		add_old(&r->built, digest, name);
		ret->data = tr_buf_view(&r->built);
		return true;
	}
	if (!take_u32(&r->rest, &n) || !take(&r->rest, n, &ret->data))
		return refuse(r, "cut short");
	return true;
}

/* Up to the next space, or all of it. */
static struct tr_view word(struct tr_view *line)
{
	const uint8_t *end = memchr(line->p, ' ', line->n);
	struct tr_view v = { line->p, end ? (size_t)(end - line->p) : line->n };
	size_t used = v.n + (end != NULL);

	*line = tr_view(line->p + used, line->n - used);
	return v;
}

/* A name may have spaces, what follows it has none: split at the last one. */
static struct tr_view last_word(struct tr_view *line)
{
	size_t n = line->n;
	struct tr_view v;

	while (n && line->p[n - 1] != ' ')
		n--;
	if (!n)
		return tr_view(NULL, 0);
	v = tr_view(line->p + n, line->n - n);
	*line = tr_view(line->p, n - 1);
	return v;
}

static bool add_hex(struct tr_buf *b, struct tr_view hex)
{
	uint8_t *room;

	if (hex.n % 2)
		return false;
	room = hex.n ? tr_buf_space(b, hex.n / 2) : NULL;
	return !hex.n || (room && tr_hex_get(hex, room, hex.n / 2));
}

/* d-ng and d-ngv2: "sha256:<hex>", "verity:sha256:<hex>": the names with their colons, NUL, the digest. */
static bool add_digest(struct tr_buf *b, struct tr_view text)
{
	size_t colon = text.n;

	while (colon && text.p[colon - 1] != ':')
		colon--;
	if (!colon || (text.n - colon) % 2)
		return false;
	add_u32(b, colon + 1 + (text.n - colon) / 2);
	tr_buf_add(b, text.p, colon);
	tr_buf_add8(b, 0);
	return add_hex(b, tr_view(text.p + colon, text.n - colon));
}

static bool add_blob(struct tr_buf *b, struct tr_view hex)
{
	add_u32(b, hex.n / 2);
	return add_hex(b, hex);
}

static bool is_hex(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!strchr("0123456789abcdef", v.p[i]) || !v.p[i])
			return false;
	return v.n % 2 == 0;
}

static bool build(struct reader *r, struct tr_view name, struct tr_view line)
{
	static const char *const two[] = { "ima-ng", "ima-ngv2" }, *const three[] = { "ima-sig", "ima-sigv2", "ima-buf" };
	struct tr_view digest = word(&line), blob = { NULL, 0 };
	bool has_blob = false, known = false;
	uint8_t sha1[20];

	tr_buf_clear(&r->built);
	if (tr_view_is(name, "ima")) {
		if (line.n >= OLD_NAME_LEN || digest.n != 40 || !tr_hex_get(digest, sha1, 20))
			return refuse(r, "fields of the template ima");
		add_old(&r->built, TR_VIEW_ARRAY(sha1), line);
		return true;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(two); i++)
		known |= tr_view_is(name, two[i]);
	for (size_t i = 0; i < TR_ARRAY_LEN(three); i++)
		has_blob |= tr_view_is(name, three[i]);
	if (!known && !has_blob)
		return refuse(r, "a template that its text does not tell: send the binary list");
	if (has_blob) {
		struct tr_view whole = line;

		/* Tools that strip lines take the space before an empty signature away. */
		blob = last_word(&line);
		if (!is_hex(blob)) {
			line = whole;
			blob.n = 0;
		}
	}
	if (!add_digest(&r->built, digest))
		return refuse(r, "a digest that is no hex");
	add_u32(&r->built, line.n + 1);
	tr_buf_addv(&r->built, line);
	tr_buf_add8(&r->built, 0);
	return !has_blob || add_blob(&r->built, blob) || refuse(r, "a signature that is no hex");
}

/* "10 <template hash> <template> <fields>" */
static bool next_ascii(struct reader *r, struct entry *ret)
{
	const uint8_t *end = memchr(r->rest.p, '\n', r->rest.n);
	struct tr_view line = { r->rest.p, end ? (size_t)(end - r->rest.p) : r->rest.n }, hash, name;
	uint8_t raw[64];

	r->rest = tr_view(r->rest.p + line.n + (end != NULL), r->rest.n - line.n - (end != NULL));
	if (!tr_view_is(word(&line), "10"))
		return refuse(r, "of another PCR than 10");
	hash = word(&line);
	name = word(&line);
	if (hash.n < 40 || hash.n > 128 || hash.n % 2 || !tr_hex_get(hash, raw, hash.n / 2))
		return refuse(r, "a template hash that is no hex");
	ret->violation = is_zero(tr_view(raw, hash.n / 2));
	if (!build(r, name, line))
		return false;
	ret->data = tr_buf_view(&r->built);
	return true;
}

/* The two ways in which kernels extend banks other than SHA-1's: by that bank's hash of the data (5.8 and newer), or by the
 * SHA-1 with zeros behind it. */
struct chain {
	bool padded;
	uint8_t value[64];
	size_t proven;
};

static void extend(struct chain *c, enum tr_raw_hash bank, const struct entry *e, struct tr_view pcr10, size_t count)
{
	enum tr_raw_hash h = c->padded ? TR_HASH_SHA1 : bank;
	uint8_t digest[64] = { 0 };
	struct tr_view parts[2] = { tr_view(c->value, pcr10.n), tr_view(digest, pcr10.n) };

	if (e->violation) {
		memset(digest, 0xff, tr_raw_hash_len(h));
	} else {
		tr_raw_digest(h, &e->data, 1, digest);
		memset(digest + tr_raw_hash_len(h), 0, sizeof(digest) - tr_raw_hash_len(h));
	}
	{
		uint8_t out[64];

		tr_raw_digest(bank, parts, 2, out);
		memcpy(c->value, out, pcr10.n);
	}
	if (tr_view_eq(parts[0], pcr10))
		c->proven = count;
}

TR_RC tr_ima_replay(struct tr_view list, enum tr_raw_hash bank, struct tr_view pcr10, size_t *ret_proven, size_t *ret_total,
		    struct tr_err *err)
{
	struct chain chains[2] = { { .padded = false }, { .padded = true } };
	struct reader r = { .rest = list, .ascii = list.n && list.p[0] >= '0' && list.p[0] <= '9' };
	size_t n = 0, best;

	if (list.n > TR_LOG_MAX || !tr_raw_hash_len(bank) || pcr10.n != tr_raw_hash_len(bank))
		return tr_err_set(err, TR_E_INVALID, "the IMA list cannot be read", "larger than 4 MiB, or no bank");
	r.hash_len = r.ascii ? 0 : hash_length(list);
	if (!r.ascii && !r.hash_len)
		r.why = "neither text nor binary";
	while (!r.why && r.rest.n) {
		struct entry e = { false, { NULL, 0 } };

		if (!(r.ascii ? next_ascii(&r, &e) : next_binary(&r, &e)))
			break;
		n++;
		extend(&chains[0], bank, &e, pcr10, n);
		if (bank != TR_HASH_SHA1)
			extend(&chains[1], bank, &e, pcr10, n);
	}
	{
		bool grown = tr_buf_ok(&r.built);

		tr_buf_done(&r.built);
		if (!grown)
			return tr_err_set(err, TR_E_INTERNAL, "out of memory", "IMA entry %zu", n + 1);
	}
	if (r.why)
		return tr_err_set(err, TR_E_INVALID, "the IMA list cannot be read", "entry %zu: %s", n + 1, r.why);
	best = chains[0].proven > chains[1].proven ? chains[0].proven : chains[1].proven;
	if (!best)
		return tr_err_set(err, TR_E_DENIED, "the IMA list does not replay to the quoted PCR 10",
				  "no beginning of its %zu entries gives that value", n);
	*ret_proven = best;
	*ret_total = n;
	return TR_OK;
}
