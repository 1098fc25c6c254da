/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"

#include "base/clock.h"
#include "base/file.h"

#include <signal.h>
#include <unistd.h>

#define FILE_NAME "request.json"

struct written {
	struct tr_view order, notice;
	uint64_t seconds;
};

static const struct tr_field fields[] = {
	TR_FIELD(written, order, TR_F_TEXT, 16, TR_FIELD_REQUIRED),
	TR_FIELD(written, notice, TR_F_TEXT, 16, 0),
	TR_FIELD(written, seconds, TR_F_U64, 0, 0),
};
static TR_RECORD(written_def, written, fields);

TR_RC tr_request_put(const struct tr_state *s, const struct tr_request *r, struct tr_err *err)
{
	const struct written w = {
		.order = tr_view_str(r->kind == TR_REQUEST_ROTATE ? "rotate-key" : "announce"),
		.notice = tr_view_str(tr_notice_name(r->notice)),
		.seconds = r->seconds,
	};
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	enum tr_code rc;

	tr_record_to_json(&written_def, &w, &text);
	rc = tr_buf_check(&text, err);
	return rc ? rc : tr_state_write(s, FILE_NAME, tr_buf_view(&text), err);
}

TR_RC tr_request_get(const struct tr_state *s, struct tr_request *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, arena = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	struct tr_request r = { 0 };
	struct written w;
	enum tr_code rc = tr_state_read(s, FILE_NAME, 1024, &text, err);

	*ret = r;
	if (rc == TR_E_NOTFOUND)
		return TR_OK;
	if (!rc)
		rc = tr_json_parse(tr_buf_view(&text), &doc, err);
	if (!rc)
		rc = tr_record_from_json(&written_def, tr_json_root(doc), &arena, &w, err);
	if (rc)
		return tr_err_wrap(err, FILE_NAME);
	r.seconds = w.seconds;
	if (tr_view_is(w.order, "rotate-key"))
		r.kind = TR_REQUEST_ROTATE;
	else if (tr_view_is(w.order, "announce") && tr_notice_of(w.notice, &r.notice) &&
		 r.seconds <= TR_NOTICE_MAX_S)
		r.kind = TR_REQUEST_ANNOUNCE;
	else
		return tr_err_set(err, TR_E_INVALID, "the request is none that this agent knows", FILE_NAME);
	*ret = r;
	return TR_OK;
}

void tr_request_drop(const struct tr_state *s)
{
	char path[PATH_MAX];

	tr_state_path(s, FILE_NAME, path);
	(void)unlink(path);
}

static bool is_there(const struct tr_state *s)
{
	char path[PATH_MAX];

	tr_state_path(s, FILE_NAME, path);
	return tr_file_exists(path);
}

/* The lock says that an agent runs, its status says which process it is. */
static TR_RC find_agent(const struct tr_state *s, pid_t *ret, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *doc = NULL;
	tr_auto(tr_buf_done) struct tr_buf arena = TR_BUF_INIT;
	struct tr_agent_status st;
	enum tr_code rc;

	if (!tr_state_in_use(s))
		return tr_err_set(err, TR_E_NOTFOUND, "no agent runs on this state folder",
				  "%s is not locked", s->dir);
	rc = tr_status_load(s, &doc, &arena, &st, err);
	if (rc)
		return rc;
	if (st.pid <= 1 || st.pid > INT32_MAX)
		return tr_err_set(err, TR_E_INVALID, "status.json names no process", "%s", s->dir);
	*ret = (pid_t)st.pid;
	return TR_OK;
}

TR_RC tr_request_make(const struct tr_state *s, const struct tr_request *r, uint64_t wait_ms,
		      struct tr_err *err)
{
	uint64_t until = tr_mono_ms() + wait_ms;
	pid_t pid = 0;
	enum tr_code rc = find_agent(s, &pid, err);

	if (!rc)
		rc = tr_request_put(s, r, err);
	if (rc)
		return rc;
	if (kill(pid, SIGUSR1)) {
		rc = tr_err_errno(err, "wake process %d", (int)pid);
		tr_request_drop(s);
		return rc;
	}
	while (is_there(s)) {
		if (tr_mono_ms() >= until)
			return tr_err_set(
				err, TR_E_UNAVAIL,
				"the agent could not do it yet; it goes on trying, see `troth-agent status`",
				"process %d", (int)pid);
		(void)usleep(20000);
	}
	return TR_OK;
}
