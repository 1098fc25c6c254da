/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of troth-agent share: the exit codes that scripts may rely on, and how a refusal is told.
 */
#ifndef TR_AGENT_AGENT_H
#define TR_AGENT_AGENT_H

#include "base/err.h"
#include "base/view.h"

/* Documented in --help and in troth-agent(8): never renumber. */
enum tr_agent_exit {
	TR_AGENT_EXIT_OK = 0,
	TR_AGENT_EXIT_USAGE = 1,
	TR_AGENT_EXIT_REFUSED = 2,	  /* the server understood us and said no */
	TR_AGENT_EXIT_UNREACHABLE = 3,  /* no server answered, or none was able to */
	TR_AGENT_EXIT_STATE = 4,	  /* the state folder, the key or another local file */
	TR_AGENT_EXIT_WRONG_SERVER = 5, /* its root or its certificate is not the one we were told to trust */
};

#define TR_AGENT_STATE_DEFAULT "/var/lib/troth-agent"
#define TR_AGENT_USER_AGENT "troth-agent/" TROTH_VERSION
#define TR_AGENT_TIMEOUT_S 10
#define TR_AGENT_ANSWER_MAX 65536
#define TR_AGENT_CHAIN_MAX (1 << 20) /* of keysets or commands: those have limits of their own */

/* "troth-agent: <pub> (<detail>)" on stderr; returns code. */
int tr_agent_fail(enum tr_agent_exit code, const struct tr_err *err);

struct tr_enroll_opts {
	const char *state_dir;
	const char *servers;   /* comma list; NULL: those of the last enrolment */
	const char *token;     /* NULL: none */
	const char *root;      /* root fingerprint as hex, in the place of the token's; NULL: none */
	const char *statement; /* release statement file; NULL: <running image>.release if there is one */
	const char *version;   /* NULL: the statement's, or the program's */
	const char *fleet_key; /* private key of the original claim */
	bool original;
	bool reset_identity; /* a fresh key under the same agent id; the token is one that `reset-identity` gave */
	const char *bpf_dirs, *bpf_content; /* kept in agent.json; NULL: as they are */
	/* For tests; they only ever make the server refuse. */
	int64_t claim_time_offset_s;
	const char *save_request, *replay;
};
int tr_agent_enroll(const struct tr_enroll_opts *o);
int tr_agent_run(const char *state_dir);
int tr_agent_status(const char *state_dir, bool as_json);
int tr_agent_init(const char *state_dir, const char *id, const char *key_type);

/* Of the agent that runs on this folder. what: "shutdown", "reboot", "update", "restart" or "none"; minutes 0: the
 * default of its kind. */
int tr_agent_announce(const char *state_dir, const char *what, uint64_t minutes);
int tr_agent_rotate_key(const char *state_dir);

struct tr_configure_opts {
	const char *state_dir;
	const char *bpf_dirs, *bpf_content, *servers; /* NULL: as they are */
	int64_t rotate_key_days;		      /* -1: as it is */
	int64_t stale_key_hours;		      /* -1: as it is */
};
int tr_agent_configure(const struct tr_configure_opts *o);
/* Shows what was ordered and what became of it; or begins anew after damage. */
int tr_agent_journal(const char *state_dir, bool begin_anew);

#endif
