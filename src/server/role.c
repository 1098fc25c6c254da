/* SPDX-License-Identifier: Apache-2.0 */
#include "server/role.h"

#include "base/log.h"
#include "crypto/hash.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

/* The self-test enters a role exactly as usual and then commits the forbidden act. */
static bool probing;

static const char *const *token_folders; /* NULL: no token */

void tr_role_use_token(const char *const *folders)
{
	token_folders = folders;
}

static int confine_files(enum tr_proc proc)
{
	int landlock;

	if (proc == TR_PROC_EGRESS)
		return tr_sandbox_landlock_egress();
	/* Also the stores: their database is open, and the folder it lies in holds the private keys, under the same uid. */
	if (proc != TR_PROC_KEYS || !token_folders)
		return tr_sandbox_landlock(NULL);
	landlock = tr_sandbox_landlock_token(token_folders);
	if (!landlock)
		tr_log(TR_LOG_WARN, "token_without_files", "why", "this kernel has no Landlock, so the token's library may open no file",
		       NULL);
	return landlock;
}

TR_RC tr_role_enter(enum tr_proc proc, struct tr_err *err)
{
	int landlock;

	/* Lazily read files must be read now: nothing can be opened later. */
	tzset();
	if (tr_sandbox_harden(err) || tr_sandbox_drop_root(err))
		return err->code;
	landlock = confine_files(proc);
	if (tr_sandbox_filter(proc, err))
		return err->code;
	if (probing) {
		/* What Landlock refuses does not kill, unless the filter forbids all of open. */
		if (landlock && open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0)
			_exit(3);
		tr_sandbox_probe(proc);
		_exit(3);
	}
	return TR_OK;
}

/* A role that serves core has one loop; when core is gone there is nobody left to serve. */
static struct tr_loop *serving;

static void on_end(void *arg, struct tr_chan *c, const char *why)
{
	(void)arg;
	(void)c;
	tr_log(TR_LOG_DEBUG, "core_gone", "why", why, NULL);
	tr_loop_stop(serving);
}

static void on_term(void *arg)
{
	tr_loop_stop(arg);
}

static TR_RC serve(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_loop **ret_loop,
		   void (*tell)(void *arg, struct tr_chan *core), struct tr_err *err)
{
	tr_auto(tr_loop_free) struct tr_loop *loop = NULL;
	tr_auto(tr_watch_free) struct tr_watch *term = NULL;
	tr_auto(tr_chan_free) struct tr_chan *core = NULL;

	if (tr_loop_new(&loop, err) || tr_watch_signal(loop, SIGTERM, on_term, loop, &term, err) ||
	    tr_chan_new(loop, TR_FD_CORE, rules, on_end, arg, &core, err))
		return err->code;
	serving = loop;
	*ret_loop = loop;
	if (tr_role_enter(proc, err))
		return err->code;
	tr_log(TR_LOG_DEBUG, "role_ready", NULL);
	if (tell)
		tell(arg, core);
	tr_chan_send(core, TR_M_HELLO, 0, tr_view(NULL, 0));
	tr_loop_run(loop);
	return TR_OK;
}

TR_RC tr_role_serve(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_err *err)
{
	struct tr_loop *unused;

	return serve(proc, rules, arg, &unused, NULL, err);
}

TR_RC tr_role_serve_with(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_loop **ret_loop,
			 struct tr_err *err)
{
	return serve(proc, rules, arg, ret_loop, NULL, err);
}

TR_RC tr_role_serve_telling(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_loop **ret_loop,
			    void (*tell)(void *arg, struct tr_chan *core), struct tr_err *err)
{
	return serve(proc, rules, arg, ret_loop, tell, err);
}

static enum tr_level level_of(const char *name)
{
	switch (*name) {
	case 'e': return TR_LOG_ERROR;
	case 'w': return TR_LOG_WARN;
	case 'd': return TR_LOG_DEBUG;
	default: return TR_LOG_INFO;
	}
}

int tr_role_main(const char *name, const char *config)
{
	tr_auto(tr_config_free) struct tr_config *cfg = NULL;
	struct tr_err err = { 0 };
	enum tr_proc proc;
	enum tr_code rc;

	if (!tr_proc_from_name(name, &proc))
		return 1;
	tr_log_init(tr_proc_name(proc), TR_LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	if (tr_config_load(config, &cfg, &err) || tr_crypto_init(&err)) {
		tr_log_err(TR_LOG_ERROR, "role_failed", &err, NULL);
		return 1;
	}
	tr_log_init(tr_proc_name(proc), level_of(cfg->log_level));
	switch (proc) {
	case TR_PROC_CORE: rc = tr_role_core(cfg, &err); break;
	case TR_PROC_STORE: rc = tr_role_store(cfg, false, &err); break;
	case TR_PROC_STORE_RO: rc = tr_role_store(cfg, true, &err); break;
	case TR_PROC_KEYS: rc = tr_role_keys(cfg, &err); break;
	case TR_PROC_APPRAISE: rc = tr_role_appraise(cfg, &err); break;
	case TR_PROC_FRONT: rc = tr_role_front(cfg, &err); break;
	case TR_PROC_EGRESS: rc = tr_role_egress(cfg, &err); break;
	default: return 1;
	}
	if (rc)
		tr_log_err(TR_LOG_ERROR, "role_failed", &err, "pub", err.pub, NULL);
	return rc ? 1 : 0;
}

bool tr_role_is_probe(void)
{
	return probing;
}

int tr_role_probe(const char *name, const char *config)
{
	probing = true;
	return tr_role_main(name, config);
}
