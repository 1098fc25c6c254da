/* SPDX-License-Identifier: Apache-2.0 */
/* The peer itself: one loop over what the other files of the role do; it ends when what it was started with has changed. */
#include "agent/peer_inner.h"

#include "agent/agent.h"
#include "agent/quoter.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/pem.h"
#include "ipc/sandbox.h"

#include <signal.h>
#include <stdio.h>

#define TICK_MS 1000
#define LOOK_MS 50
#define LOOKS_MAX 60 /* 3 s */
#define CAS_MAX 16

/* Files that it was started with. */
static const char *const watched[] = { "device.key", "cert.pem", "ca.pem", "agent.json", TR_PEER_CONF_FILE };
_Static_assert(TR_PEER_FILES == TR_ARRAY_LEN(watched) + 2, "and policy and collateral");

static void stop(void *arg)
{
	struct tr_peer_work *w = arg;

	w->p.exit_code = 0;
	tr_loop_stop(w->p.loop);
}

/* One of the others is gone: all begin anew, after a rest. */
static void give_up(void *arg)
{
	struct tr_peer_work *w = arg;

	w->p.exit_code = TR_AGENT_EXIT_STATE;
	tr_loop_stop(w->p.loop);
}

static void begin_anew(void *arg)
{
	struct tr_peer_work *w = arg;

	w->p.exit_code = TR_PEER_EXIT_RELOAD;
	tr_loop_stop(w->p.loop);
}

static void look_at(const struct tr_state *s, const char *name, struct stat *ret)
{
	char path[PATH_MAX];

	if (name[0] == '/')
		(void)snprintf(path, sizeof(path), "%s", name);
	else
		tr_state_path(s, name, path);
	if (!name[0] || stat(path, ret))
		*ret = (struct stat){ .st_size = 0 };
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void load_revocations(struct tr_peer *p)
{
	struct tr_revocations fresh = { 0 };
	struct stat st;
	struct tr_err err = { 0 };

	look_at(&p->state, TR_REVOCATIONS_FILE, &st);
	if (st.st_mtim.tv_sec == p->revocations_at.tv_sec && st.st_mtim.tv_nsec == p->revocations_at.tv_nsec)
		return;
	if (tr_revocations_load(&p->state, &fresh, &err)) {
		tr_log_err(TR_LOG_WARN, "revocations_damaged", &err, NULL);
		return; /* what was known stays known */
	}
	p->revocations_at = st.st_mtim;
	tr_revocations_done(&p->revocations);
	p->revocations = fresh;
}

static void on_tick(void *arg)
{
	struct tr_peer_work *w = arg;
	struct tr_peer *p = &w->p;
	int64_t now = tr_peer_now_s();
	struct stat attested;
	size_t expired;

	tr_timer_arm(p->tick, TICK_MS);
	if (getppid() != w->parent) {
		stop(w);
		return;
	}
	for (size_t i = 0; i < TR_PEER_FILES && !w->leaving; i++) {
		struct stat st;

		look_at(&p->state, w->files[i], &st);
		if (same(&st, &w->seen[i]))
			continue;
		tr_log(TR_LOG_INFO, "peer_reloads", "file", w->files[i], NULL);
		w->leaving = 1;
	}
	if (w->leaving) {
		/* Applications that wait are answered, what is under way gets a little time. */
		tr_local_wake(p->local, true);
		if (w->leaving++ > LOOKS_MAX || !tr_local_is_busy(p->local))
			begin_anew(w);
		tr_timer_arm(p->tick, LOOK_MS);
		return;
	}
	load_revocations(p);
	look_at(&p->state, "attestation.json", &attested);
	if (!same(&attested, &w->attested)) {
		/* Newly attested: the hub takes our pre-key at last. */
		w->attested = attested;
		p->prekey_not_before_s = 0;
	}
	expired = tr_peer_settle(p) ? tr_inbox_expire(&p->state, &p->inbox, now) : 0;
	if (expired)
		tr_log(TR_LOG_WARN, "messages_expired", "unread", tr_fmt("%zu", expired), NULL);
	tr_prekey_tick(p, now);
	if (p->mail)
		tr_mail_tick(p->mail, now);
	tr_local_tick(p->local);
}

static TR_RC read_cas(struct tr_peer *p, struct tr_err *err)
{
	struct tr_buf der[CAS_MAX] = { TR_BUF_INIT };
	struct tr_view rest = tr_buf_view(&p->ca_pem), label, views[CAS_MAX];
	enum tr_code rc = TR_OK;
	size_t n = 0;

	while (!rc && n < CAS_MAX && rest.n) {
		rc = tr_pem_get(rest, &label, &der[n], &rest, err);
		if (!rc) {
			views[n] = tr_buf_view(&der[n]);
			n++;
		}
		while (rest.n && (rest.p[0] == '\n' || rest.p[0] == '\r'))
			rest = tr_view(rest.p + 1, rest.n - 1);
	}
	if (!rc)
		rc = tr_ca_set_new(views, n, &p->cas, err);
	for (size_t i = 0; i < CAS_MAX; i++)
		tr_buf_done(&der[i]);
	return rc ? tr_err_wrap(err, "ca.pem") : TR_OK;
}

/* Before they are read: a change that comes while they are is one that a later look finds. */
static void remember(struct tr_peer_work *w, size_t i, const char *name)
{
	w->files[i] = name;
	look_at(&w->p.state, name, &w->seen[i]);
}

static void remember_policy(struct tr_peer_work *w)
{
	static char policy[PATH_MAX], collateral[PATH_MAX];

	(void)snprintf(policy, sizeof(policy), "%.*s", TR_VIEW_FMT(w->p.conf.policy));
	(void)snprintf(collateral, sizeof(collateral), "%.*s", TR_VIEW_FMT(w->p.conf.collateral));
	remember(w, TR_ARRAY_LEN(watched), policy);
	remember(w, TR_ARRAY_LEN(watched) + 1, collateral);
}

TR_RC tr_peer_load(struct tr_peer_work *w, struct tr_err *err)
{
	struct tr_peer *p = &w->p;
	enum tr_code rc;

	for (size_t i = 0; i < TR_ARRAY_LEN(watched); i++)
		remember(w, i, watched[i]);
	rc = tr_state_load(&p->state, err);
	if (!rc && !p->state.conf.enrolled_at)
		rc = tr_err_set(err, TR_E_NOTFOUND, "this agent is not enrolled; run `troth-agent enroll` first", "%s", p->state.dir);
	if (!rc)
		rc = tr_peer_conf_load(&p->state, &p->conf, err);
	if (!rc)
		rc = tr_state_read(&p->state, "cert.pem", 16384, &p->cert_pem, err);
	if (!rc)
		rc = tr_state_read(&p->state, "ca.pem", 65536, &p->ca_pem, err);
	if (!rc)
		rc = read_cas(p, err);
	if (!rc)
		remember_policy(w);
	if (!rc && p->conf.verify == TR_PEER_BY_EVIDENCE)
		rc = tr_peer_judge_new(p->conf.policy, p->conf.collateral, &p->judge, err);
	if (rc)
		return rc;
	(void)snprintf(p->trust_domain, sizeof(p->trust_domain), "%.*s", TR_VIEW_FMT(p->state.conf.trust_domain));
	(void)snprintf(p->agent_id, sizeof(p->agent_id), "%.*s", TR_VIEW_FMT(p->state.conf.agent_id));
	return TR_OK;
}

void tr_peer_unload(struct tr_peer *p)
{
	p->judge = tr_peer_judge_free(p->judge);
	p->cas = tr_ca_set_free(p->cas);
	tr_buf_done(&p->cert_pem);
	tr_buf_done(&p->ca_pem);
	tr_peer_conf_done(&p->conf);
}

/* What is kept between two lives. */
static TR_RC recall(struct tr_peer *p, struct tr_err *err)
{
	int64_t now = tr_peer_now_s();
	enum tr_code rc = tr_peer_store_load(&p->state, now, &p->store, err);

	if (rc == TR_E_INVALID) {
		tr_log_err(TR_LOG_ERROR, "windows_lost", err, "hint", "messages issued before now are not taken", NULL);
		rc = TR_OK;
	}
	/* The floor must not move with the next start. */
	if (!rc)
		rc = tr_peer_store_save(&p->state, &p->store, err);
	if (!rc)
		rc = tr_inbox_load(&p->state, &p->inbox, err);
	if (!rc)
		rc = tr_prekeys_load(&p->state, now, &p->prekeys, err);
	if (rc)
		return rc;
	/* Taken on disk, and the power went before the window was: not taken again. */
	for (const struct tr_letter *l = p->inbox.first; l; l = l->next) {
		if (tr_peer_store_take(&p->store, tr_view_str(l->sender), l->line, l->seq, now, err))
			return err->code;
		if (l->number > p->store.inbox)
			p->store.inbox = l->number;
		p->unsettled = true;
	}
	return TR_OK;
}

static TR_RC open_all(struct tr_peer_work *w, const struct tr_peer_ends *e, struct tr_err *err)
{
	struct tr_peer *p = &w->p;
	struct tr_watch *term;
	enum tr_code rc = recall(p, err);

	if (!rc)
		rc = tr_loop_new(&p->loop, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[TR_KID_COURIER], give_up, w, &p->errands, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[TR_KID_POSTMAN], give_up, w, &p->postman, err);
	if (!rc)
		rc = tr_courier_new(p->loop, e->of[TR_KID_CALLER], give_up, w, &p->caller, err);
	if (!rc)
		rc = tr_quoter_new(p->loop, e->of[TR_KID_QUOTER], give_up, w, &p->quoter, err);
	if (!rc)
		rc = tr_watch_signal(p->loop, SIGTERM, stop, w, &term, err);
	if (!rc && e->http >= 0)
		rc = tr_peer_http_new(p, e->http, err);
	if (!rc)
		rc = tr_local_new(p, e->local, &p->local, err);
	if (!rc && p->conf.mailbox)
		rc = tr_mail_new(p, &p->mail, err);
	if (!rc)
		rc = tr_watch_timer(p->loop, on_tick, w, &p->tick, err);
	return rc;
}

void tr_peer_run(struct tr_peer_work *w, const struct tr_peer_ends *e)
{
	struct tr_err err = { 0 };

	tr_log_init("peer", TR_LOG_INFO);
	if (open_all(w, e, &err)) {
		tr_log_err(TR_LOG_ERROR, "peer_failed", &err, "hint", err.pub, NULL);
		_exit(TR_AGENT_EXIT_STATE);
	}
	load_revocations(&w->p);
	if (!tr_sandbox_landlock(w->p.state.dir))
		tr_log(TR_LOG_INFO, "peer_not_fenced", "why", "this kernel has no Landlock", NULL);
	tr_log(TR_LOG_INFO, "peer_started", "agent", w->p.agent_id, "endpoint", tr_fmt_view(w->p.conf.endpoint), "verify",
	       w->p.judge ? "evidence" : "result", NULL);
	tr_timer_arm(w->p.tick, 10);
	tr_loop_run(w->p.loop);
	(void)tr_peer_settle(&w->p);
	_exit(w->p.exit_code);
}
