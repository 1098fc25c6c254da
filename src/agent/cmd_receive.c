/* SPDX-License-Identifier: Apache-2.0 */
/* `troth-agent receive`. Bodies come from other agents: on a terminal nothing of them is shown that a terminal would obey. */
#include "agent/agent.h"
#include "agent/local.h"
#include "agent/peer.h"
#include "codec/text.h"

#include <stdio.h>

#define ANSWER_S 15

static bool is_plain(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if ((v.p[i] < 0x20 && v.p[i] != '\n' && v.p[i] != '\t') || v.p[i] >= 0x7f)
			return false;
	return true;
}

static void show_body(struct tr_view body)
{
	if (is_plain(body))
		printf("%.*s%s", TR_VIEW_FMT(body), body.n && body.p[body.n - 1] == '\n' ? "" : "\n");
	else if (!isatty(STDOUT_FILENO))
		(void)fwrite(body.p, 1, body.n, stdout);
	else
		printf("(%zu bytes that are no plain text; -o json shows them as base64)\n", body.n);
}

static void show(tr_jnode m)
{
	static const char *const names[] = { "id", "from", "type", "via", "answers", "issued_at", "expires_at" };
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_view v;
	struct tr_err err;

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++)
		if (tr_json_str(tr_json_get(m, names[i]), &v) && v.n)
			printf("%s: %.*s\n", names[i], TR_VIEW_FMT(v));
	printf("\n");
	if (tr_json_str(tr_json_get(m, "body"), &v) && !tr_b64_get(v, TR_B64_STD, &body, &err))
		show_body(tr_buf_view(&body));
}

static TR_RC acknowledge(const struct tr_receive_opts *o, tr_jnode list, struct tr_err *err)
{
	tr_auto(tr_local_answer_done) struct tr_local_answer a = { .status = 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view id;

	tr_buf_adds(&b, "{\"ids\":[");
	for (size_t i = 0; i < tr_json_len(list); i++)
		if (tr_json_str(tr_json_get(tr_json_at(list, i), "id"), &id))
			tr_buf_addf(&b, "%s\"%.*s\"", i ? "," : "", TR_VIEW_FMT(id));
	tr_buf_adds(&b, "]}");
	if (tr_local_do(o->state_dir, o->socket, "POST", "/v1/messages/ack", tr_buf_view(&b), ANSWER_S, &a, err))
		return err->code;
	return a.status == 200 ? TR_OK : tr_err_set(err, TR_E_INTERNAL, "the messages were not acknowledged", "status %d", a.status);
}

int tr_agent_receive(const struct tr_receive_opts *o)
{
	tr_auto(tr_local_answer_done) struct tr_local_answer a = { .status = 0 };
	char target[96];
	struct tr_err err = { 0 };
	tr_jnode list;

	(void)snprintf(target, sizeof(target), "/v1/messages?wait=%lld&limit=%lld", (long long)o->wait_s, (long long)o->limit);
	if (tr_local_do(o->state_dir, o->socket, "GET", target, tr_view(NULL, 0), (unsigned)o->wait_s + ANSWER_S, &a, &err))
		return tr_agent_fail(TR_AGENT_EXIT_UNREACHABLE, &err);
	if (a.status != 200)
		return tr_local_refused(&a);
	list = tr_json_get(tr_json_root(a.doc), "messages");
	if (o->json) {
		printf("%.*s\n", TR_VIEW_FMT(a.body));
	} else {
		for (size_t i = 0; i < tr_json_len(list); i++) {
			if (i)
				printf("\n");
			show(tr_json_at(list, i));
		}
	}
	/* What was not written cannot be called read. */
	if (fflush(stdout) || ferror(stdout)) {
		(void)tr_err_set(&err, TR_E_INTERNAL, "the messages could not be written", "stdout");
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	}
	if (o->ack && tr_json_len(list) && acknowledge(o, list, &err))
		return tr_agent_fail(TR_AGENT_EXIT_UNREACHABLE, &err);
	return TR_AGENT_EXIT_OK;
}
