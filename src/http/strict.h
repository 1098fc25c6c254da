/* SPDX-License-Identifier: Apache-2.0 */
/* What a request head must be before anything else looks at it. libmicrohttpd parses the bytes, but lets through
 * what makes two parsers disagree about where a request ends (request smuggling); this is the second look, a pure
 * function over what it parsed, alike for every version of the library. */
#ifndef TR_HTTP_STRICT_H
#define TR_HTTP_STRICT_H

#include "base/view.h"

struct tr_strict {
	/* Result: status 0 while everything is right, else the first reason. Texts are static. */
	int status;
	const char *slug, *why;
	bool http_1_0;
	bool has_length;
	uint64_t content_length;
	/* state */
	unsigned headers, max_headers, hosts;
	unsigned once; /* a bit for each header that came and may not come again */
};

void tr_strict_begin(struct tr_strict *s, struct tr_view method, struct tr_view target, struct tr_view version,
		     unsigned max_headers);
void tr_strict_header(struct tr_strict *s, struct tr_view name, struct tr_view value);
/* The head has a line that ended in something other than CRLF (whoever holds the bytes can tell). */
void tr_strict_line_end(struct tr_strict *s);
/* True when the head is acceptable. */
bool tr_strict_end(struct tr_strict *s);

/* RFC 9110 §5.6.2; also for names that we write. */
bool tr_http_is_token(struct tr_view v);
/* Printable ASCII, spaces and tabs inside: what we put into a header. */
bool tr_http_is_value(struct tr_view v);

#endif
