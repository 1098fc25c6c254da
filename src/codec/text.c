/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/text.h"

#define MS_PER_DAY INT64_C(86400000)
/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: all that four year digits can say. */
#define MS_FIRST INT64_C(-62167219200000)
#define MS_LAST INT64_C(253402300799999)

static const char hex_digits[] = "0123456789abcdef";
static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 0..63, or 64 and up for a byte that is not in the alphabet. */
static unsigned b64_value(uint8_t c, enum tr_b64 kind)
{
	const char *extra = (kind == TR_B64_URL ? b64_url : b64_std) + 62;

	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == (uint8_t)extra[0])
		return 62;
	return c == (uint8_t)extra[1] ? 63 : 64;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil). */
static int64_t days_from_date(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_from_days(int64_t days, int *ret_y, int *ret_m, int *ret_d)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*ret_d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*ret_y = (int)(yoe + era * 400 + (*ret_m <= 2));
}

static int days_in_month(int y, int m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return m == 2 && leap ? 29 : days[m - 1];
}

/* Exactly n digits off the front. */
static bool take_digits(struct tr_view *in, size_t n, int *ret)
{
	int v = 0;

	if (in->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (in->p[i] < '0' || in->p[i] > '9')
			return false;
		v = v * 10 + (in->p[i] - '0');
	}
	*in = tr_view(in->p + n, in->n - n);
	*ret = v;
	return true;
}

static bool take_char(struct tr_view *in, char c, char alt)
{
	if (!in->n || (in->p[0] != (uint8_t)c && in->p[0] != (uint8_t)alt))
		return false;
	*in = tr_view(in->p + 1, in->n - 1);
	return true;
}

/* ["." 1*DIGIT], cut to milliseconds. */
static bool take_fraction(struct tr_view *in, int *ret_ms)
{
	int ms = 0, weight = 100;
	size_t i = 0;

	if (take_char(in, '.', '.')) {
		for (; i < in->n && in->p[i] >= '0' && in->p[i] <= '9'; i++) {
			ms += weight * (in->p[i] - '0');
			weight /= 10;
		}
		if (i == 0)
			return false;
		*in = tr_view(in->p + i, in->n - i);
	}
	*ret_ms = ms;
	return true;
}

/* "Z" or an offset, in minutes east. */
static bool take_offset(struct tr_view *in, int *ret_min)
{
	bool west;
	int h, m;

	if (take_char(in, 'Z', 'z')) {
		*ret_min = 0;
		return true;
	}
	west = in->n && in->p[0] == '-';
	if (!take_char(in, '+', '-') || !take_digits(in, 2, &h) || !take_char(in, ':', ':') ||
	    !take_digits(in, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_min = west ? -(h * 60 + m) : h * 60 + m;
	return true;
}

void tr_hex_add(struct tr_buf *b, struct tr_view bytes)
{
	uint8_t *at = bytes.n <= SIZE_MAX / 2 ? tr_buf_space(b, bytes.n * 2) : NULL;

	if (!at) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < bytes.n; i++) {
		*at++ = (uint8_t)hex_digits[bytes.p[i] >> 4];
		*at++ = (uint8_t)hex_digits[bytes.p[i] & 15];
	}
}

bool tr_hex_get(struct tr_view text, uint8_t *out, size_t n)
{
	if (text.n % 2 || text.n / 2 != n)
		return false;
	/* Checked first: out is written only on success. */
	for (size_t i = 0; i < text.n; i++)
		if (hex_value(text.p[i]) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)((unsigned)hex_value(text.p[2 * i]) << 4 |
				   (unsigned)hex_value(text.p[2 * i + 1]));
	return true;
}

void tr_b64_add(struct tr_buf *b, struct tr_view bytes, enum tr_b64 kind)
{
	const char *abc = kind == TR_B64_URL ? b64_url : b64_std;
	size_t tail = bytes.n % 3, n = bytes.n / 3 * 4;
	const uint8_t *p = bytes.p;
	uint8_t *at;

	if (tail)
		n += kind == TR_B64_URL ? tail + 1 : 4;
	/* A view this long cannot exist, and would be over the buffer's limit long before. */
	at = bytes.n > SIZE_MAX / 2 ? NULL : tr_buf_space(b, n);
	if (!at) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i + 3 <= bytes.n; i += 3, p += 3) {
		*at++ = (uint8_t)abc[p[0] >> 2];
		*at++ = (uint8_t)abc[(p[0] & 3) << 4 | p[1] >> 4];
		*at++ = (uint8_t)abc[(p[1] & 15) << 2 | p[2] >> 6];
		*at++ = (uint8_t)abc[p[2] & 63];
	}
	if (!tail)
		return;
	*at++ = (uint8_t)abc[p[0] >> 2];
	*at++ = (uint8_t)abc[(p[0] & 3) << 4 | (tail == 2 ? p[1] >> 4 : 0)];
	if (tail == 2)
		*at++ = (uint8_t)abc[(p[1] & 15) << 2];
	for (size_t i = tail; kind == TR_B64_STD && i < 3; i++)
		*at++ = '=';
}

TR_RC tr_b64_get(struct tr_view text, enum tr_b64 kind, struct tr_buf *ret, struct tr_err *err)
{
	static const char pub[] = "the base64 text is not in its one valid form";
	size_t n = text.n, tail, bits = 0;
	uint32_t acc = 0;
	uint8_t *at;

	if (kind == TR_B64_STD) {
		if (n % 4)
			return tr_err_set(err, TR_E_INVALID, pub,
					  "base64: %zu characters, not a multiple of 4", n);
		for (int pad = 0; pad < 2 && n && text.p[n - 1] == '='; pad++)
			n--;
	}
	tail = n % 4;
	if (tail == 1)
		return tr_err_set(err, TR_E_INVALID, pub, "base64: a single last character");
	for (size_t i = 0; i < n; i++)
		if (b64_value(text.p[i], kind) > 63)
			return tr_err_set(err, TR_E_INVALID, pub, "base64: byte 0x%02x at %zu", text.p[i], i);
	/* RFC 4648 3.5: surplus bits of the last character would give one value many texts. */
	if (tail && b64_value(text.p[n - 1], kind) & (tail == 2 ? 15u : 3u))
		return tr_err_set(err, TR_E_INVALID, pub, "base64: stray bits in the last character");
	at = tr_buf_space(ret, n / 4 * 3 + (tail ? tail - 1 : 0));
	if (!at)
		return tr_buf_check(ret, err);
	for (size_t i = 0; i < n; i++) {
		acc = acc << 6 | b64_value(text.p[i], kind);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*at++ = (uint8_t)(acc >> bits);
		}
	}
	return TR_OK;
}

bool tr_utf8_ok(struct tr_view v)
{
	size_t i = 0;

	while (i < v.n) {
		uint8_t c = v.p[i], lo = 0x80, hi = 0xbf;
		size_t more;

		if (c < 0x80) {
			i++;
			continue;
		}
		/* RFC 3629 4: the second byte's range shuts out overlong forms, surrogates and > U+10FFFF. */
		if (c >= 0xc2 && c <= 0xdf)
			more = 1;
		else if (c >= 0xe0 && c <= 0xef)
			more = 2;
		else if (c >= 0xf0 && c <= 0xf4)
			more = 3;
		else
			return false;
		if (c == 0xe0)
			lo = 0xa0;
		else if (c == 0xed)
			hi = 0x9f;
		else if (c == 0xf0)
			lo = 0x90;
		else if (c == 0xf4)
			hi = 0x8f;
		if (v.n - i <= more || v.p[i + 1] < lo || v.p[i + 1] > hi)
			return false;
		for (size_t k = 2; k <= more; k++)
			if ((v.p[i + k] & 0xc0) != 0x80)
				return false;
		i += more + 1;
	}
	return true;
}

void tr_rfc3339_add(struct tr_buf *b, int64_t unix_ms)
{
	int64_t days, ms;
	int y, m, d;

	/* Four digits end in 9999; a nonsense time must still be a well-formed one. */
	if (unix_ms < MS_FIRST)
		unix_ms = MS_FIRST;
	if (unix_ms > MS_LAST)
		unix_ms = MS_LAST;
	days = unix_ms / MS_PER_DAY;
	ms = unix_ms % MS_PER_DAY;
	if (ms < 0) {
		ms += MS_PER_DAY;
		days--;
	}
	date_from_days(days, &y, &m, &d);
	tr_buf_addf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", y, m, d, (int)(ms / 3600000),
		    (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
}

bool tr_rfc3339_get(struct tr_view text, int64_t *ret_unix_ms)
{
	int y, mon, d, h, min, s, ms, off;
	int64_t t;

	if (!take_digits(&text, 4, &y) || !take_char(&text, '-', '-') || !take_digits(&text, 2, &mon) ||
	    !take_char(&text, '-', '-') || !take_digits(&text, 2, &d) || !take_char(&text, 'T', 't') ||
	    !take_digits(&text, 2, &h) || !take_char(&text, ':', ':') || !take_digits(&text, 2, &min) ||
	    !take_char(&text, ':', ':') || !take_digits(&text, 2, &s) || !take_fraction(&text, &ms) ||
	    !take_offset(&text, &off) || text.n)
		return false;
	if (mon < 1 || mon > 12 || d < 1 || d > days_in_month(y, mon) || h > 23 || min > 59 || s > 60)
		return false;
	t = days_from_date(y, mon, d) * MS_PER_DAY + (h * 60 + min - off) * INT64_C(60000) +
	    s * INT64_C(1000) + ms;
	/* RFC 3339 5.7: a leap second ends a UTC day, so the second after it starts one. */
	if (s == 60 && ((t - ms) % MS_PER_DAY) != 0)
		return false;
	if (t < MS_FIRST || t > MS_LAST)
		return false;
	*ret_unix_ms = t;
	return true;
}
