/* SPDX-License-Identifier: Apache-2.0 */
/* application/problem+json (RFC 9457). The only table from error codes to {status, slug, retry}. */
#ifndef TR_HTTP_PROBLEM_H
#define TR_HTTP_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"

struct tr_problem {
	int status;
	const char *slug;     /* stable code, member "code" */
	const char *title;
	const char *detail;   /* sentence that says what to do */
	const char *status_word; /* member "status" in place of the number, which the answer's head has; NULL: the number */
	struct tr_view extra; /* further members as JSON text without braces ("\"a\":1"), may be empty */
	unsigned retry_after_s; /* 0: no header */
};
/* {status, slug, title} of a code; detail from err->pub. */
struct tr_problem tr_problem_of(const struct tr_err *err);
void tr_problem_json(const struct tr_problem *p, const char *request_id, struct tr_buf *b);
/* The reason phrase-like title of a status, for the rest of the tables. */
const char *tr_http_status_title(int status);

#endif
