/* SPDX-License-Identifier: Apache-2.0 */
/* gzip and tar (ustar, GNU long names, pax path records), in memory. */
#include "vectors.h"

#include <stdio.h>
#include <zlib.h>

#define BLOCK 512u

bool gunzip(struct tr_view in, size_t max, struct tr_buf *ret)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n };
	uint8_t out[65536];
	int rc;

	if (in.n > UINT32_MAX / 2 || inflateInit2(&z, 15 + 16) != Z_OK)
		return false;
	do {
		z.next_out = out;
		z.avail_out = sizeof(out);
		rc = inflate(&z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END)
			break;
		tr_buf_add(ret, out, sizeof(out) - z.avail_out);
		if (ret->n > max)
			rc = Z_DATA_ERROR;
		/* gzip files may be several members in a row. */
		else if (rc == Z_STREAM_END && z.avail_in)
			rc = inflateReset(&z);
	} while (rc == Z_OK);
	(void)inflateEnd(&z);
	return rc == Z_STREAM_END && tr_buf_ok(ret);
}

static uint64_t octal(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n && p[i] != '\0'; i++)
		if (p[i] >= '0' && p[i] <= '7')
			v = v * 8 + (uint64_t)(p[i] - '0');
	return v;
}

/* The sum over the header, its own field counted as blanks. */
static bool header_ok(const uint8_t *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : h[i];
	return sum == octal(h + 148, 8);
}

bool is_tar(struct tr_view v)
{
	return v.n >= BLOCK && memcmp(v.p + 257, "ustar", 5) == 0 && header_ok(v.p);
}

/* "27 path=some/name\n" */
static void pax_path(struct tr_view v, char *name, size_t cap)
{
	while (v.n) {
		size_t len = 0, i = 0;

		while (i < v.n && v.p[i] >= '0' && v.p[i] <= '9' && len < 1u << 20)
			len = len * 10 + (size_t)(v.p[i++] - '0');
		if (len <= i + 1 || len > v.n)
			return;
		if (len > i + 7 && memcmp(v.p + i, " path=", 6) == 0)
			(void)snprintf(name, cap, "%.*s", (int)(len - i - 7), (const char *)v.p + i + 6);
		v = tr_view(v.p + len, v.n - len);
	}
}

bool tar_next(struct tar *t, struct tr_view *ret_bytes)
{
	char longer[sizeof(t->name)] = "";

	while (t->left.n >= BLOCK && t->left.p[0] != '\0') {
		const uint8_t *h = t->left.p;
		uint64_t size = octal(h + 124, 12);
		struct tr_view body;
		size_t room;

		if (!header_ok(h) || size > t->left.n - BLOCK) {
			t->damaged = true;
			return false;
		}
		body = tr_view(h + BLOCK, (size_t)size);
		room = BLOCK + (body.n + BLOCK - 1) / BLOCK * BLOCK;
		if (room > t->left.n)
			room = t->left.n;
		t->left = tr_view(h + room, t->left.n - room);
		switch (h[156]) {
		case 'x': pax_path(body, longer, sizeof(longer)); continue;
		case 'L': (void)snprintf(longer, sizeof(longer), "%.*s", (int)(body.n & 1023), (const char *)body.p); continue;
		case '0':
		case '\0': break;
		default: longer[0] = '\0'; continue;
		}
		if (longer[0])
			(void)snprintf(t->name, sizeof(t->name), "%s", longer);
		else if (h[345] && memcmp(h + 257, "ustar\0", 6) == 0)
			(void)snprintf(t->name, sizeof(t->name), "%.155s/%.100s", (const char *)h + 345, (const char *)h);
		else
			(void)snprintf(t->name, sizeof(t->name), "%.100s", (const char *)h);
		if (strncmp(t->name, "./", 2) == 0)
			memmove(t->name, t->name + 2, strlen(t->name) - 1);
		*ret_bytes = body;
		return true;
	}
	return false;
}
