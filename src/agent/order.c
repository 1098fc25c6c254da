/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that tell an agent something: announce and rotate-key while it runs, configure while it does
 * not. */
#include "agent/agent.h"
#include "agent/authority.h"
#include "agent/eye.h"
#include "agent/request.h"
#include "agent/state.h"
#include "codec/text.h"

#include <stdio.h>

#define ANNOUNCE_WAIT_MS 10000
#define ROTATE_WAIT_MS 30000

static int asked(const struct tr_err *err)
{
	return tr_agent_fail(err->code == TR_E_UNAVAIL ? TR_AGENT_EXIT_UNREACHABLE : TR_AGENT_EXIT_STATE,
			     err);
}

int tr_agent_announce(const char *state_dir, const char *what, uint64_t minutes)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	struct tr_request q = { .kind = TR_REQUEST_ANNOUNCE };
	struct tr_err err = { 0 };

	if (!tr_notice_of(tr_view_str(what), &q.notice)) {
		(void)tr_err_set(&err, TR_E_INVALID, "announce shutdown, reboot, update, restart or none",
				 "\"%s\"", what);
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	}
	q.seconds = minutes && q.notice != TR_NOTICE_NONE ? minutes * 60 : tr_notice_default_s(q.notice);
	if (tr_state_open(state_dir, &s, &err) || tr_request_make(&s, &q, ANNOUNCE_WAIT_MS, &err))
		return asked(&err);
	if (q.notice == TR_NOTICE_NONE)
		printf("announced: nothing any more\n");
	else
		printf("announced: %s, for %llu minutes\n", what, (unsigned long long)(q.seconds + 59) / 60);
	return TR_AGENT_EXIT_OK;
}

int tr_agent_rotate_key(const char *state_dir)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	const struct tr_request q = { .kind = TR_REQUEST_ROTATE };
	struct tr_err err = { 0 };
	uint8_t before[32];

	if (tr_state_open(state_dir, &s, &err) || tr_state_load_conf(&s, &err))
		return asked(&err);
	memcpy(before, s.conf.key_id.p, sizeof(before));
	if (tr_request_make(&s, &q, ROTATE_WAIT_MS, &err) || tr_state_load_conf(&s, &err))
		return asked(&err);
	if (memcmp(before, s.conf.key_id.p, sizeof(before)) == 0) {
		(void)tr_err_set(&err, TR_E_DENIED,
				 "the device key was not changed; the agent's log says why",
				 "the key id is the same");
		return tr_agent_fail(TR_AGENT_EXIT_REFUSED, &err);
	}
	printf("key id      sha256:");
	for (size_t i = 0; i < s.conf.key_id.n; i++)
		printf("%02x", s.conf.key_id.p[i]);
	printf("\n");
	return TR_AGENT_EXIT_OK;
}

static void show(const struct tr_agent_conf *c)
{
	printf("servers          %.*s\n", TR_VIEW_FMT(c->servers));
	printf("bpf-dirs         %.*s\n",
	       c->bpf_dirs.n ? (int)c->bpf_dirs.n : (int)sizeof(TR_BPF_DIR_DEFAULT) - 1,
	       c->bpf_dirs.n ? (const char *)c->bpf_dirs.p : TR_BPF_DIR_DEFAULT);
	printf("bpf-content      %.*s\n", TR_VIEW_FMT(c->bpf_content));
	printf("rotate-key-days  %llu\n", (unsigned long long)c->rotate_key_days);
	printf("stale-key-hours  %llu\n",
	       (unsigned long long)(c->stale_key_hours ? c->stale_key_hours : TR_STALE_KEY_HOURS));
}

int tr_agent_configure(const struct tr_configure_opts *o)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	tr_auto(tr_buf_done) struct tr_buf servers = TR_BUF_INIT;
	tr_auto(tr_bpf_eye_free) struct tr_bpf_eye *eye = NULL; /* only to see whether it opens */
	bool changes = o->bpf_dirs || o->bpf_content || o->servers || o->rotate_key_days >= 0 ||
		       o->stale_key_hours >= 0;
	struct tr_agent_conf c;
	struct tr_err err = { 0 };

	if (o->servers && tr_servers_check(o->servers, &servers, &err))
		return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
	if (tr_state_open(o->state_dir, &s, &err) || (changes && tr_state_lock(&s, &err)) ||
	    tr_state_load_conf(&s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	c = s.conf;
	if (o->servers)
		c.servers = tr_buf_view(&servers);
	if (o->bpf_dirs)
		c.bpf_dirs = tr_view_str(o->bpf_dirs);
	if (o->bpf_content)
		c.bpf_content = tr_view_str(o->bpf_content);
	if (o->rotate_key_days >= 0)
		c.rotate_key_days = (uint64_t)o->rotate_key_days;
	if (o->stale_key_hours >= 0)
		c.stale_key_hours = (uint64_t)o->stale_key_hours;
	if (changes) {
		if (tr_agent_eye(c.bpf_dirs, c.bpf_content, &eye, &err))
			return tr_agent_fail(TR_AGENT_EXIT_USAGE, &err);
		if (tr_state_save(&s, &c, &err))
			return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	}
	show(&s.conf);
	return TR_AGENT_EXIT_OK;
}
