/* SPDX-License-Identifier: Apache-2.0 */
/* What every role has in common: how it is entered and where its descriptors are.
 *
 *   fd 3   channel to core (for core: to the supervisor)
 *   fd 4…  front only: agent listener, operator listener, rate table */
#ifndef TR_SERVER_ROLE_H
#define TR_SERVER_ROLE_H

#include "ipc/chan.h"
#include "ipc/sandbox.h"
#include "ipc/spawn.h"
#include "server/config.h"
#include "server/msg.h"

#define TR_FD_CORE TR_FD_FIRST
#define TR_FD_AGENTS (TR_FD_FIRST + 1)
#define TR_FD_OPERATORS (TR_FD_FIRST + 2)
#define TR_FD_RATE (TR_FD_FIRST + 3)

/* egress: core asks it TR_M_PROBE now and then, answered by TR_M_PROBE_DONE with the same id; who hangs is ended by its tag,
 * like the others. */
/* Tags on the supervisor's socket to core: a letter says what the descriptor is, and core's word back: ready, or whom to
 * end. Fronts are many: theirs has the highest bit, and below it which one. */
enum tr_tag { TR_TAG_STORE = 's', TR_TAG_STORE_RO = 'r', TR_TAG_KEYS = 'k', TR_TAG_APPRAISE = 'a', TR_TAG_EGRESS = 'e',
	      TR_TAG_STOP = 'q', TR_TAG_READY = 'R', TR_TAG_FRONT = 0x80 };

/* A role's files are read and its libraries warmed before this; afterwards it is unprivileged and filtered. */
TR_RC tr_role_enter(enum tr_proc proc, struct tr_err *err);
/* The environment that a role inherits, by name; NULL-terminated. */
extern const char *const tr_role_env[];

/* Runs the loop of a role that serves core until core goes away or SIGTERM comes. rules: what core may send. */
TR_RC tr_role_serve(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_err *err);
/* The same for a role that needs the loop itself: *ret_loop is set before the first frame arrives. */
TR_RC tr_role_serve_with(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_loop **ret_loop,
			 struct tr_err *err);
/* The same for a role that has something to say before it says hello. */
TR_RC tr_role_serve_telling(enum tr_proc proc, const struct tr_frame_rule *rules, void *arg, struct tr_loop **ret_loop,
			    void (*tell)(void *arg, struct tr_chan *core), struct tr_err *err);
/* Keys with a token: its library may use files below these folders (NULL-terminated, kept). Before one of the above. */
void tr_role_use_token(const char *const *folders);

/* `trothd role <name> --config <file>`: never returns control to the caller's main but for its exit code. */
int tr_role_main(const char *name, const char *config);
/* As tr_role_main up to the filter, then the forbidden call: killed, or exit code 3 when the filter failed. */
int tr_role_probe(const char *name, const char *config);
bool tr_role_is_probe(void);

TR_RC tr_role_core(const struct tr_config *cfg, struct tr_err *err);
TR_RC tr_role_store(const struct tr_config *cfg, bool read_only, struct tr_err *err);
TR_RC tr_role_keys(const struct tr_config *cfg, struct tr_err *err);
TR_RC tr_role_appraise(const struct tr_config *cfg, struct tr_err *err);
TR_RC tr_role_front(const struct tr_config *cfg, struct tr_err *err);
TR_RC tr_role_egress(const struct tr_config *cfg, struct tr_err *err);

#endif
