/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ident.h"

#include "codec/text.h"

#define NUMBERS_MAX 4
#define DIGITS_MAX 9

struct version {
	uint32_t number[NUMBERS_MAX];
	struct tr_view pre; /* after '-'; n == 0 when there is none */
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Not isalnum(): that one asks the locale. */
static bool is_alnum(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool version_parse(struct tr_view v, struct version *ret)
{
	struct version out = { .pre = { NULL, 0 } };
	size_t i = 0, count = 0;

	if (v.n < 1 || v.n > TR_VERSION_MAX)
		return false;
	if (v.p[0] == 'v')
		i++;
	for (;;) {
		size_t from = i;

		if (count == NUMBERS_MAX)
			return false;
		for (; i < v.n && is_digit(v.p[i]); i++) {
			if (i - from == DIGITS_MAX)
				return false;
			out.number[count] = out.number[count] * 10 + (uint32_t)(v.p[i] - '0');
		}
		if (i == from)
			return false;
		count++;
		if (i == v.n || v.p[i] != '.')
			break;
		i++;
	}
	if (i < v.n) {
		size_t from = i + 1;

		if ((v.p[i] != '-' && v.p[i] != '+') || from == v.n)
			return false;
		for (size_t k = from; k < v.n; k++)
			if (!is_alnum(v.p[k]) && v.p[k] != '.' && v.p[k] != '-')
				return false;
		if (v.p[i] == '-')
			out.pre = tr_view(v.p + from, v.n - from);
	}
	*ret = out;
	return true;
}

/* The identifier up to the next '.', taken off the front. */
static struct tr_view take_part(struct tr_view *in)
{
	const uint8_t *dot = memchr(in->p, '.', in->n);
	size_t n = dot ? (size_t)(dot - in->p) : in->n;
	struct tr_view part = tr_view(in->p, n);

	*in = dot ? tr_view(dot + 1, in->n - n - 1) : tr_view(in->p + n, 0);
	return part;
}

static bool is_number(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!is_digit(v.p[i]))
			return false;
	return v.n > 0;
}

static struct tr_view skip_zeros(struct tr_view v)
{
	while (v.n > 1 && v.p[0] == '0')
		v = tr_view(v.p + 1, v.n - 1);
	return v;
}

static int bytes_cmp(struct tr_view a, struct tr_view b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

/* SemVer 2.0 11.4.1-11.4.3: numbers by value and below words, words by ASCII. */
static int part_cmp(struct tr_view a, struct tr_view b)
{
	bool an = is_number(a), bn = is_number(b);

	if (an != bn)
		return an ? -1 : 1;
	if (an) {
		/* Of any length: by value means by length, then by digits. */
		a = skip_zeros(a);
		b = skip_zeros(b);
		if (a.n != b.n)
			return a.n < b.n ? -1 : 1;
	}
	return bytes_cmp(a, b);
}

static int pre_cmp(struct tr_view a, struct tr_view b)
{
	bool a_left = true, b_left = true;

	if (!a.n || !b.n)
		return (b.n != 0) - (a.n != 0);
	while (a_left && b_left) {
		struct tr_view pa = take_part(&a), pb = take_part(&b);
		int c = part_cmp(pa, pb);

		if (c)
			return c;
		/* Whether a dot followed, not whether bytes are left: "a." has a second, empty part. */
		a_left = pa.p + pa.n != a.p;
		b_left = pb.p + pb.n != b.p;
	}
	return a_left - b_left;
}

bool tr_ident_ok(struct tr_view v)
{
	if (v.n < 1 || v.n > TR_IDENT_MAX || !is_alnum(v.p[0]))
		return false;
	for (size_t i = 1; i < v.n; i++)
		if (!is_alnum(v.p[i]) && v.p[i] != '.' && v.p[i] != '_' && v.p[i] != '-')
			return false;
	return true;
}

bool tr_version_ok(struct tr_view v)
{
	struct version parsed;

	return version_parse(v, &parsed);
}

int tr_version_cmp(struct tr_view a, struct tr_view b)
{
	struct version va = { 0 }, vb = { 0 };
	bool a_ok = version_parse(a, &va), b_ok = version_parse(b, &vb);

	/* A text that is no version sorts below every version: it can never count as an upgrade. */
	if (!a_ok || !b_ok)
		return a_ok - b_ok;
	for (size_t i = 0; i < NUMBERS_MAX; i++)
		if (va.number[i] != vb.number[i])
			return va.number[i] < vb.number[i] ? -1 : 1;
	return pre_cmp(va.pre, vb.pre);
}

bool tr_sha256_name_ok(struct tr_view v, uint8_t out[32])
{
	static const char prefix[] = "sha256:";
	const size_t skip = sizeof(prefix) - 1;

	if (v.n != skip + 64 || !tr_view_starts(v, prefix))
		return false;
	for (size_t i = skip; i < v.n; i++)
		if (v.p[i] >= 'A' && v.p[i] <= 'F')
			return false;
	return tr_hex_get(tr_view(v.p + skip, v.n - skip), out, 32);
}
