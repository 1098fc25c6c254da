/* SPDX-License-Identifier: Apache-2.0 */
/* GET /attestation: evidence of this agent for whoever calls, made for the caller's challenge. Open to everybody: evidence
 * proves what runs here and holds nothing secret; what it costs is bounded. */
#include "agent/peer_inner.h"

#include "agent/quoter.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "evidence/set.h"

#include <stdio.h>

struct showing {
	struct tr_http_req *req; /* NULL: the caller is gone. Stays the first: see on_gone */
	struct tr_peer *p;
	struct tr_buf challenge;
};

static void refuse(struct tr_http_req *r, int status, const char *code, const char *why)
{
	const struct tr_problem problem = { .status = status, .slug = code, .title = tr_http_status_title(status),
					    .detail = why, .retry_after_s = status == 503 ? 5 : 0 };

	tr_http_respond_problem(r, &problem, NULL);
}

static void put(const struct showing *s, struct tr_view set, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT;
	struct tr_tee_set parts;
	struct tr_err err;

	tr_pubkey_pem(tr_privkey_pub(s->p->state.key), &pem);
	tr_buf_adds(b, "{\"agent_id\":");
	tr_json_put_str(b, tr_view_str(s->p->agent_id));
	tr_json_member_str(b, "agent_type", s->p->state.conf.agent_type);
	tr_buf_adds(b, ",\"challenge\":\"");
	tr_b64_add(b, tr_buf_view(&s->challenge), TR_B64_STD);
	tr_buf_adds(b, "\"");
	tr_json_member_str(b, "public_key", tr_buf_view(&pem));
	if (!tr_tee_set_get(set, &parts, &err)) {
		tr_json_member_str(b, "kind", tr_view_str(tr_tee_kind_name(parts.kind)));
		tr_buf_adds(b, ",\"quote\":\"");
		tr_b64_add(b, parts.quote, TR_B64_STD);
		tr_buf_adds(b, "\"");
	}
	tr_buf_adds(b, ",\"evidence\":\"");
	tr_b64_add(b, set, TR_B64_STD);
	/* Its own word about itself: to look at, proven by nothing. */
	tr_buf_adds(b, "\",\"self_report\":{\"version\":");
	tr_json_put_str(b, s->p->state.conf.version);
	tr_json_member_hex(b, "image", s->p->state.conf.image);
	tr_json_member_str(b, "endpoint", s->p->conf.endpoint);
	tr_json_member_time(b, "time", tr_peer_now_s() * 1000);
	tr_buf_adds(b, "}}");
}

static void on_quoted(void *arg, struct tr_view set, struct tr_view why)
{
	struct showing *s = arg;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	char said[300];

	if (s->req) {
		tr_http_req_set_user(s->req, NULL);
		(void)snprintf(said, sizeof(said), "%.*s", TR_VIEW_FMT(why));
		if (set.n)
			put(s, set, &b);
		if (!set.n)
			refuse(s->req, 503, "no_evidence", said);
		else if (!tr_buf_ok(&b))
			refuse(s->req, 503, "out_of_memory", "there is no memory for this; try again later");
		else
			tr_http_respond(s->req, &(struct tr_http_answer){ .status = 200, .content_type = "application/json",
									  .body = tr_buf_view(&b) });
	}
	tr_buf_done(&s->challenge);
	free(s);
}

struct attestation_query { struct tr_view challenge; };
static const struct tr_field query_fields[] = { TR_FIELD(attestation_query, challenge, TR_F_TEXT, 128, TR_FIELD_REQUIRED) };
static TR_RECORD(query_def, attestation_query, query_fields);

void tr_peer_attestation(struct tr_peer *p, struct tr_http_req *r, struct tr_view query)
{
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct attestation_query q = { 0 };
	struct showing *s = calloc(1, sizeof(*s));
	struct tr_err err = { 0 };

	if (!s) {
		refuse(r, 503, "out_of_memory", "there is no memory for this; try again later");
		return;
	}
	*s = (struct showing){ .req = r, .p = p };
	if (tr_record_from_query(&query_def, query, &arena, &q, &err) ||
	    tr_b64_get(q.challenge, TR_B64_URL, &s->challenge, &err) || s->challenge.n < TR_QUOTE_CHALLENGE_MIN ||
	    s->challenge.n > TR_QUOTE_CHALLENGE_MAX)
		refuse(r, 400, "challenge_missing", "name a challenge of yours: ?challenge= and 48 bytes as base64url (16 to 64, not 32)");
	else if (s->challenge.n == TR_QUOTE_CHALLENGE_SERVER)
		refuse(r, 400, "challenge_reserved",
		       "challenges of 32 bytes are the hub's: with the answer, a copy of this agent's key could register elsewhere; name 48 bytes");
	else if (tr_quoter_ask(p->quoter, tr_buf_view(&s->challenge), on_quoted, s, &err))
		refuse(r, 503, "busy", "too many ask for evidence at once; try again later");
	else {
		tr_http_req_set_user(r, &s->req);
		return;
	}
	tr_buf_done(&s->challenge);
	free(s);
}
