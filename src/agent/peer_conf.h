/* SPDX-License-Identifier: Apache-2.0 */
/* peer.json of the state folder: how this agent meets others. Without the file there is no role `peer`. */
#ifndef TR_AGENT_PEER_CONF_H
#define TR_AGENT_PEER_CONF_H

#include "agent/state.h"
#include "appraise/verdict.h"

#define TR_PEER_CONF_FILE "peer.json"
#define TR_PEER_ALLOW_MAX 256
#define TR_PEER_CAPABILITIES_MAX 32

enum tr_peer_verify {
	TR_PEER_BY_RESULT,   /* the token that the result key of the pinned CA signed */
	TR_PEER_BY_EVIDENCE, /* that, and the evidence itself, by a policy of our own */
};
enum tr_peer_deliver { TR_PEER_AUTO /* direct, else mailbox */, TR_PEER_DIRECT, TR_PEER_MAILBOX };

struct tr_peer_conf {
	struct tr_buf text;        /* what the rest borrows from */
	struct tr_json *doc;
	struct tr_view listen;     /* "host:port"; empty: nobody can call */
	struct tr_view endpoint;   /* https://host:port, told to the hub */
	struct tr_view socket;     /* of the local interface; empty: <state>/agent.sock */
	struct tr_view policy, collateral; /* files; for TR_PEER_BY_EVIDENCE */
	enum tr_peer_verify verify;
	enum tr_peer_deliver deliver;
	enum tr_tier min_tier;     /* of a peer's result; a simulated TEE has none */
	bool mailbox;              /* messages are fetched from the hub */
	size_t n_allow;
	struct tr_view allow[TR_PEER_ALLOW_MAX]; /* agent ids, or "type:" and an agent type; none: everybody who is verified */
	size_t n_capabilities;
	struct tr_view capabilities[TR_PEER_CAPABILITIES_MAX];
};
void tr_peer_conf_done(struct tr_peer_conf *c);
TR_DEFINE_AUTO_DONE(struct tr_peer_conf, tr_peer_conf_done)
/* TR_E_NOTFOUND: there is none. TR_E_INVALID names the member in the detail. */
TR_RC tr_peer_conf_load(const struct tr_state *s, struct tr_peer_conf *ret, struct tr_err *err);
TR_RC tr_peer_conf_parse(struct tr_view text, struct tr_peer_conf *ret, struct tr_err *err);
/* Is this agent one that we speak with? type may be empty: not known. */
bool tr_peer_conf_allows(const struct tr_peer_conf *c, struct tr_view agent, struct tr_view type);

#endif
