/* SPDX-License-Identifier: Apache-2.0 */
/* The role `peer` of the agent: messages to and from other agents, for applications on this host. `troth-agent run` starts it
 * where the state folder has a peer.json; `troth-agent peer` is the same by itself. */
#ifndef TR_AGENT_PEER_H
#define TR_AGENT_PEER_H

#include "agent/state.h"

#include <sys/types.h>

/* Runs until SIGTERM. An exit code of enum tr_agent_exit. */
int tr_agent_peer(const char *state_dir, bool debug);

/* For the run loop: starts it where it should run and does not, and ends it. */
struct tr_peer_child {
	pid_t pid;		  /* 0: none */
	uint64_t not_before_ms;	  /* tr_mono_ms */
	unsigned failures;
};
void tr_peer_child_tend(struct tr_peer_child *c, const struct tr_state *s);
void tr_peer_child_stop(struct tr_peer_child *c);

/* ---- for people and scripts: they ask the peer that runs on this folder ---- */
struct tr_send_opts {
	const char *state_dir, *socket, *to, *type, *file, *via, *answers;
	int64_t ttl_s; /* 0: the default */
	bool json;
};
int tr_agent_send(const struct tr_send_opts *o);
struct tr_receive_opts {
	const char *state_dir, *socket;
	int64_t wait_s, limit;
	bool ack, json;
};
int tr_agent_receive(const struct tr_receive_opts *o);
int tr_agent_peers(const char *state_dir, const char *socket, const char *id, bool json);

#endif
