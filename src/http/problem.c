/* SPDX-License-Identifier: Apache-2.0 */
#include "http/problem.h"

#include "codec/json.h"

static const struct {
	int status;
	const char *slug;
	unsigned retry_after_s;
} table[] = {
	[TR_OK] = { 500, "internal", 0 }, /* an error without a code is our bug */
	[TR_E_INVALID] = { 400, "invalid", 0 },
	[TR_E_UNAUTH] = { 401, "unauthenticated", 0 },
	[TR_E_DENIED] = { 403, "denied", 0 },
	[TR_E_NOTFOUND] = { 404, "not_found", 0 },
	[TR_E_CONFLICT] = { 409, "conflict", 0 },
	[TR_E_BUSY] = { 429, "busy", 5 },
	[TR_E_UNAVAIL] = { 503, "unavailable", 5 },
	[TR_E_INTERNAL] = { 500, "internal", 0 },
};
_Static_assert(TR_ARRAY_LEN(table) == TR_CODE_N, "a row for every code");

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

const char *tr_http_status_title(int status)
{
	for (size_t i = 0; i < TR_ARRAY_LEN(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

struct tr_problem tr_problem_of(const struct tr_err *err)
{
	size_t code = (size_t)err->code < TR_ARRAY_LEN(table) ? (size_t)err->code : TR_E_INTERNAL;

	return (struct tr_problem){
		.status = table[code].status,
		.slug = table[code].slug,
		.title = tr_http_status_title(table[code].status),
		.detail = err->pub,
		.retry_after_s = table[code].retry_after_s,
	};
}

static void add_member(struct tr_buf *b, const char *name, const char *value)
{
	tr_buf_addf(b, ",\"%s\":", name);
	tr_json_put_str(b, tr_view_str(value));
}

void tr_problem_json(const struct tr_problem *p, const char *request_id, struct tr_buf *b)
{
	/* RFC 9457 §4.2.1: with "about:blank" the title is the status phrase; what machines read is "code". */
	tr_buf_adds(b, "{\"type\":\"about:blank\"");
	/* RFC 9457 §3: who wants the number and finds a word ignores it. */
	if (p->status_word)
		add_member(b, "status", p->status_word);
	else
		tr_buf_addf(b, ",\"status\":%d", p->status);
	add_member(b, "title", p->title ? p->title : tr_http_status_title(p->status));
	add_member(b, "code", p->slug ? p->slug : "internal");
	if (p->detail)
		add_member(b, "detail", p->detail);
	if (request_id && *request_id)
		add_member(b, "request_id", request_id);
	if (p->extra.n) {
		tr_buf_adds(b, ",");
		tr_buf_addv(b, p->extra);
	}
	tr_buf_adds(b, "}");
}
