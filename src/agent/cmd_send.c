/* SPDX-License-Identifier: Apache-2.0 */
/* `troth-agent send` and `troth-agent peers`. */
#include "agent/agent.h"
#include "agent/local.h"
#include "agent/peer.h"
#include "base/file.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "signed/message.h"

#include <errno.h>
#include <stdio.h>

#define SEND_S 60

static TR_RC read_body(const char *file, struct tr_buf *ret, struct tr_err *err)
{
	uint8_t some[16384];
	ssize_t n;

	ret->max = TR_MESSAGE_BODY_MAX + 1;
	if (file && strcmp(file, "-") != 0) {
		if (tr_file_read(file, TR_MESSAGE_BODY_MAX, ret, err) != TR_E_INVALID)
			return err->code;
		return tr_err_set(err, TR_E_INVALID, "a message has at most 65536 bytes", "%s", file);
	}
	while ((n = read(STDIN_FILENO, some, sizeof(some))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			tr_buf_add(ret, some, (size_t)n);
	if (n < 0)
		return tr_err_errno(err, "standard input");
	if (!tr_buf_ok(ret) || ret->n > TR_MESSAGE_BODY_MAX)
		return tr_err_set(err, TR_E_INVALID, "a message has at most 65536 bytes", "standard input");
	return TR_OK;
}

static void put_request(const struct tr_send_opts *o, struct tr_view body, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"to\":");
	tr_json_put_str(b, tr_view_str(o->to));
	if (o->type)
		tr_json_member_str(b, "type", tr_view_str(o->type));
	if (o->via)
		tr_json_member_str(b, "via", tr_view_str(o->via));
	if (o->answers)
		tr_json_member_str(b, "answers", tr_view_str(o->answers));
	if (o->ttl_s)
		tr_buf_addf(b, ",\"ttl_s\":%lld", (long long)o->ttl_s);
	tr_buf_adds(b, ",\"body\":\"");
	tr_b64_add(b, body, TR_B64_STD);
	tr_buf_adds(b, "\"}");
}

int tr_agent_send(const struct tr_send_opts *o)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT, request = TR_BUF_INIT;
	tr_auto(tr_local_answer_done) struct tr_local_answer a = { .status = 0 };
	struct tr_view id = { 0 }, via = { 0 };
	struct tr_err err = { 0 };

	if (read_body(o->file, &body, &err))
		return tr_agent_fail(err.code == TR_E_INVALID ? TR_AGENT_EXIT_USAGE : TR_AGENT_EXIT_STATE, &err);
	put_request(o, tr_buf_view(&body), &request);
	if (tr_buf_check(&request, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	if (tr_local_do(o->state_dir, o->socket, "POST", "/v1/messages", tr_buf_view(&request), SEND_S, &a, &err))
		return tr_agent_fail(TR_AGENT_EXIT_UNREACHABLE, &err);
	if (a.status != 202)
		return tr_local_refused(&a);
	(void)tr_json_str(tr_json_get(tr_json_root(a.doc), "id"), &id);
	(void)tr_json_str(tr_json_get(tr_json_root(a.doc), "via"), &via);
	if (o->json)
		printf("%.*s\n", TR_VIEW_FMT(a.body));
	else
		printf("%.*s %.*s\n", TR_VIEW_FMT(id), TR_VIEW_FMT(via));
	return TR_AGENT_EXIT_OK;
}

static void show(tr_jnode peer)
{
	static const char *const names[] = { "agent_id", "agent_type", "verified_by", "kind", "tier", "tcb_status", "policy",
					     "endpoint", "expires_at" };
	struct tr_view v;
	int64_t missing = 0;
	bool simulated = false;

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++)
		if (tr_json_str(tr_json_get(peer, names[i]), &v) && v.n)
			printf("%-14s%.*s\n", names[i], TR_VIEW_FMT(v));
	if (tr_json_bool(tr_json_get(peer, "simulated"), &simulated) && simulated)
		printf("%-14sno: its TEE is simulated\n", "hardware");
	if (tr_json_int(tr_json_get(peer, "missing"), &missing) && missing)
		printf("%-14s%lld messages of it never came\n", "missing", (long long)missing);
}

int tr_agent_peers(const char *state_dir, const char *socket, const char *id, bool json)
{
	tr_auto(tr_local_answer_done) struct tr_local_answer a = { .status = 0 };
	tr_auto(tr_buf_done) struct tr_buf target = TR_BUF_INIT;
	struct tr_err err = { 0 };
	tr_jnode list;

	if (id && !tr_ident_ok(tr_view_str(id))) {
		(void)tr_err_set(&err, TR_E_INVALID, "this is no agent id", "%s", id);
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	tr_buf_addf(&target, "/v1/peers%s%s", id ? "/" : "", id ? id : "");
	if (tr_local_do(state_dir, socket, "GET", tr_buf_cstr(&target), tr_view(NULL, 0), SEND_S, &a, &err))
		return tr_agent_fail(TR_AGENT_EXIT_UNREACHABLE, &err);
	if (a.status != 200)
		return tr_local_refused(&a);
	if (json) {
		printf("%.*s\n", TR_VIEW_FMT(a.body));
		return TR_AGENT_EXIT_OK;
	}
	if (id) {
		show(tr_json_root(a.doc));
		return TR_AGENT_EXIT_OK;
	}
	list = tr_json_get(tr_json_root(a.doc), "peers");
	for (size_t i = 0; i < tr_json_len(list); i++) {
		if (i)
			printf("\n");
		show(tr_json_at(list, i));
	}
	return TR_AGENT_EXIT_OK;
}
