/* SPDX-License-Identifier: Apache-2.0 */
#include "http/strict.h"

#include "base/own.h"

#include <strings.h>

#define LENGTH_DIGITS_MAX 18 /* no 64-bit overflow can be written with that many */

static void refuse(struct tr_strict *s, int status, const char *slug, const char *why)
{
	if (s->status)
		return;
	s->status = status;
	s->slug = slug;
	s->why = why;
}

static void malformed(struct tr_strict *s, const char *why)
{
	refuse(s, 400, "request_malformed", why);
}

static bool is_tchar(uint8_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool tr_http_is_token(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!is_tchar(v.p[i]))
			return false;
	return v.n > 0;
}

bool tr_http_is_value(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if ((v.p[i] < 0x20 && v.p[i] != '\t') || v.p[i] >= 0x7f)
			return false;
	return true;
}

static bool is_name(struct tr_view v, const char *name)
{
	return v.n == strlen(name) && strncasecmp((const char *)v.p, name, v.n) == 0;
}

/* RFC 9110 §8.6: 1*DIGIT. No sign, no list, no white space. */
static bool length_get(struct tr_view v, uint64_t *ret)
{
	uint64_t n = 0;

	if (v.n == 0 || v.n > LENGTH_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	*ret = n;
	return true;
}

static bool is_target(struct tr_view v)
{
	/* Origin form only (RFC 9112 §3.2.1): we are nobody's proxy, and a second authority in the target is one more
	 * thing to disagree about. A fragment never travels. */
	if (v.n == 0 || v.p[0] != '/')
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= 0x20 || v.p[i] >= 0x7f || v.p[i] == '#' || v.p[i] == '\\')
			return false;
	return true;
}

void tr_strict_begin(struct tr_strict *s, struct tr_view method, struct tr_view target, struct tr_view version,
		     unsigned max_headers)
{
	*s = (struct tr_strict){ .max_headers = max_headers };
	if (!tr_http_is_token(method))
		malformed(s, "the method is not a token (RFC 9110 section 9.1)");
	if (tr_view_is(version, "HTTP/1.0"))
		s->http_1_0 = true;
	else if (!tr_view_is(version, "HTTP/1.1"))
		malformed(s, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	if (!is_target(target))
		malformed(s, "the request target must be a path that begins with / and holds printable ASCII only");
}

/* Who asks, and what it is that was signed: of two, a proxy or a log might read the other one. */
static bool came_before(struct tr_strict *s, struct tr_view name)
{
	static const char *const singles[] = { "Authorization", "Content-Type", "X-Requesting-Agent", "X-Timestamp", "X-Nonce",
					       "X-Attestation-Signature", "X-Attestation-Quote", "X-Public-Key" };

	for (unsigned i = 0; i < TR_ARRAY_LEN(singles); i++) {
		bool before = s->once >> i & 1;

		if (!is_name(name, singles[i]))
			continue;
		s->once |= 1u << i;
		return before;
	}
	return false;
}

void tr_strict_header(struct tr_strict *s, struct tr_view name, struct tr_view value)
{
	if (++s->headers > s->max_headers)
		refuse(s, 431, "headers_too_many", "too many header lines: send fewer");
	/* Also catches white space before the colon (RFC 9112 §5.1) and a folded first line. */
	if (!tr_http_is_token(name))
		malformed(s, "a header name is not a token, or white space stands before its colon");
	/* RFC 9110 §5.5: of the controls only the tab belongs there; bytes over 127 are opaque. */
	for (size_t i = 0; i < value.n; i++)
		if ((value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
			malformed(s, "a header value holds a line break or another control character");
	if (is_name(name, "Host")) {
		if (++s->hosts > 1)
			malformed(s, "more than one Host header");
	} else if (is_name(name, "Transfer-Encoding")) {
		malformed(s, "Transfer-Encoding is not accepted: send the body with a Content-Length");
	} else if (is_name(name, "Content-Length")) {
		if (s->has_length)
			malformed(s, "more than one Content-Length header");
		else if (!length_get(value, &s->content_length))
			malformed(s, "the Content-Length is not a plain number");
		s->has_length = true;
	} else if (came_before(s, name)) {
		malformed(s, "a header that says who asks, or what was signed, came twice");
	}
}

void tr_strict_line_end(struct tr_strict *s)
{
	malformed(s, "a line of the head does not end in CRLF, or holds a NUL");
}

bool tr_strict_end(struct tr_strict *s)
{
	/* RFC 9112 §3.2. */
	if (!s->http_1_0 && s->hosts == 0)
		malformed(s, "the Host header is missing");
	return s->status == 0;
}
