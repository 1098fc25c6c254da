/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/revocations.h"

#include "agent/refusal.h"
#include "codec/cbor.h"
#include "codec/ident.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_MAX 16
#define LIST_MAX 65536

void tr_revocations_done(struct tr_revocations *r)
{
	free(r->list);
	*r = (struct tr_revocations){ 0 };
}

static size_t place_of(const struct tr_revocations *r, struct tr_view agent)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		size_t n = strlen(r->list[mid].agent);
		int c = memcmp(r->list[mid].agent, agent.p, n < agent.n ? n : agent.n);

		if (c < 0 || (c == 0 && n < agent.n))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool tr_revocations_has(const struct tr_revocations *r, struct tr_view agent, const uint8_t key_id[32])
{
	size_t at = place_of(r, agent);

	if (at == r->n || !tr_view_is(agent, r->list[at].agent))
		return false;
	return r->list[at].ended || memcmp(r->list[at].key_id, key_id, 32) != 0;
}

static TR_RC add(struct tr_revocations *r, const struct tr_revoked *v, struct tr_err *err)
{
	size_t at = place_of(r, tr_view_str(v->agent));
	struct tr_revoked *grown;

	if (v->at > r->high)
		r->high = v->at;
	if (at < r->n && strcmp(r->list[at].agent, v->agent) == 0) {
		/* An ended one never comes back. */
		if (!r->list[at].ended)
			r->list[at] = *v;
		return TR_OK;
	}
	if (r->n == LIST_MAX)
		return tr_err_set(err, TR_E_BUSY, "more revocations than this agent keeps", "over %d", LIST_MAX);
	grown = realloc(r->list, (r->n + 1) * sizeof(*grown));
	if (!grown)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "revocations");
	r->list = grown;
	memmove(&grown[at + 1], &grown[at], (r->n - at) * sizeof(*grown));
	grown[at] = *v;
	r->n++;
	return TR_OK;
}

static TR_RC read_one(struct tr_cbor *c, struct tr_revocations *r, struct tr_err *err)
{
	struct tr_revoked v = { .ended = false };
	struct tr_view agent, key;

	if (tr_cbor_array(c, 4) != 4)
		tr_cbor_fail(c, "an entry of the list of revocations has four members");
	agent = tr_cbor_text(c);
	key = tr_cbor_bytes(c);
	v.at = tr_cbor_int(c);
	v.ended = tr_cbor_bool(c);
	if (!c->error && (!tr_ident_ok(agent) || (key.n != 32 && !(key.n == 0 && v.ended))))
		tr_cbor_fail(c, "an entry of the list of revocations names no agent, or no key");
	if (c->error)
		return TR_OK; /* the caller tells */
	(void)snprintf(v.agent, sizeof(v.agent), "%.*s", TR_VIEW_FMT(agent));
	if (key.n)
		memcpy(v.key_id, key.p, 32);
	return add(r, &v, err);
}

TR_RC tr_revocations_merge(struct tr_revocations *r, struct tr_view answer, struct tr_err *err)
{
	struct tr_cbor c = tr_cbor_reader(answer);
	struct tr_cbor_map m;
	uint64_t number = 0;
	bool complete = true;
	int64_t key;

	(void)tr_cbor_map(&c, &m, MEMBERS_MAX);
	while (tr_cbor_key_int(&c, &m, &key)) {
		size_t n;

		switch (key) {
		case 1: number = tr_cbor_uint(&c); break;
		case 2:
			n = tr_cbor_array(&c, LIST_MAX);
			while (n-- && !c.error)
				if (read_one(&c, r, err))
					return err->code;
			break;
		case 3: complete = tr_cbor_bool(&c); break;
		default: (void)tr_cbor_any(&c);
		}
	}
	if (tr_cbor_end(&c, err))
		return tr_err_wrap(err, "list of revocations");
	r->number = number;
	r->complete = complete;
	return TR_OK;
}

void tr_revocations_put(const struct tr_revocations *r, struct tr_buf *b)
{
	tr_cbor_put_map(b, 3);
	tr_cbor_put_int(b, 1);
	tr_cbor_put_uint(b, r->number);
	tr_cbor_put_int(b, 2);
	tr_cbor_put_array(b, r->n);
	for (size_t i = 0; i < r->n; i++) {
		tr_cbor_put_array(b, 4);
		tr_cbor_put_text(b, tr_view_str(r->list[i].agent));
		tr_cbor_put_bytes(b, TR_VIEW_ARRAY(r->list[i].key_id));
		tr_cbor_put_int(b, r->list[i].at);
		tr_cbor_put_bool(b, r->list[i].ended);
	}
	tr_cbor_put_int(b, 3);
	tr_cbor_put_bool(b, r->complete);
}

TR_RC tr_revocations_load(const struct tr_state *s, struct tr_revocations *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_revocations r = { .complete = true };
	enum tr_code rc = tr_state_read(s, TR_REVOCATIONS_FILE, TR_REVOCATIONS_MAX, &b, err);

	if (rc == TR_E_NOTFOUND) {
		*ret = r;
		return TR_OK;
	}
	if (!rc)
		rc = tr_revocations_merge(&r, tr_buf_view(&b), err);
	if (rc) {
		tr_revocations_done(&r);
		return tr_err_wrap(err, TR_REVOCATIONS_FILE);
	}
	*ret = r;
	return TR_OK;
}

static TR_RC ask(struct tr_client *c, uint64_t after, int64_t verify_ms, struct tr_revocations *r, struct tr_err *err)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	char path[80];
	const struct tr_client_request q = { .method = "GET", .path = path, .verify_time_ms = verify_ms };
	enum tr_code rc;

	(void)snprintf(path, sizeof(path), "/api/v1/agent/revocations?after=%llu", (unsigned long long)after);
	rc = tr_client_do(c, &q, &a, err);
	if (!rc && a.status != 200) {
		struct tr_said_no no;

		tr_refusal_read(tr_buf_view(&a.body), &no);
		rc = tr_err_set(err, a.status == 404 ? TR_E_NOTFOUND : TR_E_DENIED, "the server gave no list of revocations",
				"status %d %s: %s", a.status, no.code, no.detail);
	}
	return rc ? rc : tr_revocations_merge(r, tr_buf_view(&a.body), err);
}

/* How many there are by what we know: an ended agent is one, a reset identity at least one. */
static bool seems_whole(const struct tr_revocations *r)
{
	return !r->complete || r->n > 0 || r->number == 0;
}

TR_RC tr_revocations_fetch(const struct tr_state *s, struct tr_client *c, int64_t verify_ms, struct tr_revocations *r,
			   struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	size_t before = r->n;
	uint64_t number = r->number;
	enum tr_code rc = ask(c, (uint64_t)r->high, verify_ms, r, err);

	/* Nothing new although the number is: revoked under a clock that was behind. Everything, once more. */
	if (!rc && r->high && r->number != number && r->n == before)
		rc = ask(c, 0, verify_ms, r, err);
	if (rc)
		return rc;
	if (!seems_whole(r))
		return tr_err_set(err, TR_E_INVALID, "the server's list of revocations is empty, and its number is not", "%llu",
				  (unsigned long long)r->number);
	tr_revocations_put(r, &b);
	rc = tr_buf_check(&b, err);
	return rc ? rc : tr_state_write(s, TR_REVOCATIONS_FILE, tr_buf_view(&b), err);
}
