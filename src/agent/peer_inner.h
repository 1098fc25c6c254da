/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the role `peer` share; nobody else includes this. One process, one loop, no waiting for anybody:
 *
 *   peer.c           the processes: a parent that only forks           peer_work.c     the peer itself: loop and files
 *   peer_lookup.c    who another agent is           peer_receive.c  a message comes         peer_send.c  a message goes
 *   peer_mail.c      the hub's mailbox and our pre-key                   peer_http.c  other agents call
 *   peer_attest.c    GET /attestation               peer_socket.c   local applications      peer_api.c   what they may ask */
#ifndef TR_AGENT_PEER_INNER_H
#define TR_AGENT_PEER_INNER_H

#include "agent/courier.h"
#include "agent/inbox.h"
#include "agent/peer_conf.h"
#include "agent/peer_store.h"
#include "agent/peers.h"
#include "agent/prekeys.h"
#include "http/server.h"

#include <sys/stat.h>

struct tr_mail;
struct tr_local;
struct tr_lookup;
struct tr_quoter;

/* Whom the hub, or this agent itself, did not believe a moment ago. */
#define TR_PEER_STRANGERS 32
#define TR_PEER_STRANGER_S 2
struct tr_peer_stranger {
	char agent[65];
	int64_t at_s;
	int status;
	const char *code, *why; /* of TR_NO: literals */
};

struct tr_peer {
	struct tr_loop *loop;
	struct tr_state state;
	struct tr_peer_conf conf;
	char trust_domain[256], agent_id[65];
	struct tr_buf cert_pem, ca_pem;
	struct tr_ca_set *cas;
	struct tr_revocations revocations;
	struct timespec revocations_at; /* the file's */
	struct tr_peer_judge *judge;	/* NULL: results are enough */
	struct tr_peers peers;
	struct tr_peer_store store;
	bool unsettled;			/* windows are ahead of the file: the inbox holds what was taken since */
	struct tr_inbox inbox;
	struct tr_prekeys prekeys;
	bool prekey_told;		/* the hub has the newest */
	bool prekey_telling;
	int64_t prekey_not_before_s;	/* no attempt before */
	struct tr_courier *errands; /* to the hub */
	struct tr_courier *postman; /* waits at the mailbox */
	struct tr_courier *caller;  /* to other agents, who may take their time */
	struct tr_quoter *quoter;
	struct tr_http *http;
	struct tr_local *local;
	struct tr_mail *mail;
	struct tr_lookup *lookups;
	struct tr_peer_stranger strangers[TR_PEER_STRANGERS];
	unsigned next_stranger;
	struct tr_watch *tick;
	uint64_t taken, refused, sent;
	int exit_code;
};

/* Why something was not done: for the one who asked, as problem+json. */
struct tr_no {
	int status;
	const char *code, *why;
};
#define TR_NO(status, code, why) (&(const struct tr_no){ (status), (code), (why) })

int64_t tr_peer_now_s(void);
void tr_peer_spiffe(const struct tr_peer *p, struct tr_view agent, char out[TR_SPIFFE_MAX]);
/* The four headers of signed/request_sig.h, as lines. */
TR_RC tr_peer_sign_request(const struct tr_peer *p, const char *method, const char *target, struct tr_view body,
			   struct tr_buf *ret_lines, struct tr_err *err);

/* ---- peer.c, peer_work.c ---- */
enum tr_peer_kid { TR_KID_PEER, TR_KID_COURIER, TR_KID_POSTMAN, TR_KID_CALLER, TR_KID_QUOTER, TR_KID_N };
#define TR_PEER_EXIT_RELOAD 75 /* of the peer: what it was started with has changed */
#define TR_PEER_FILES 7
struct tr_peer_work {
	struct tr_peer p;
	const char *files[TR_PEER_FILES];
	struct stat seen[TR_PEER_FILES], attested;
	unsigned leaving; /* looks since a file was seen to have changed */
	pid_t parent;
};
struct tr_peer_ends { int of[TR_KID_N], http, local; };
/* Everything that comes from the folder, in the parent: a folder that cannot be read is said once, and tried again. */
TR_RC tr_peer_load(struct tr_peer_work *w, struct tr_err *err);
void tr_peer_unload(struct tr_peer *p);
/* The loop, in its process. */
void tr_peer_run(struct tr_peer_work *w, const struct tr_peer_ends *e) __attribute__((noreturn));

/* ---- peer_lookup.c ---- */
struct tr_peer_rules tr_peer_rules_of(const struct tr_peer *p, struct tr_view agent);
/* Calls fn once: at once when the answer is known. info is borrowed for the call; NULL: `no` says why. fresh: whatever is
 * known, the hub is asked. */
typedef void (*tr_lookup_fn)(void *arg, struct tr_peer_info *info, const struct tr_no *no);
void tr_peer_lookup(struct tr_peer *p, struct tr_view agent, bool fresh, tr_lookup_fn fn, void *arg);

/* ---- peer_receive.c ---- */
enum tr_taken {
	TR_TAKEN,	 /* it is in the inbox, on disk */
	TR_TAKEN_BEFORE, /* it was */
	TR_TAKEN_LATER,	 /* not now: our fault, or the hub's */
	TR_TAKEN_NEVER,
};
typedef void (*tr_taken_fn)(void *arg, enum tr_taken how, const uint8_t id[TR_MESSAGE_ID_LEN], const struct tr_no *no);
/* tls: who sends it over its own connection, with the key of its certificate; NULL: it comes from the mailbox. fn is called
 * once, perhaps at once. */
struct tr_tls_peer { char agent[65]; uint8_t key_id[32]; };
void tr_peer_receive(struct tr_peer *p, struct tr_view envelope, const struct tr_tls_peer *tls, tr_taken_fn fn, void *arg);

/* Before anything leaves the inbox: the windows are on disk. False: they could not be written. */
bool tr_peer_settle(struct tr_peer *p);

/* ---- peer_send.c ---- */
struct tr_send {
	struct tr_view to, type, body, answers;
	uint64_t life_s;
	enum tr_peer_deliver via;
};
struct tr_sent {
	uint8_t id[TR_MESSAGE_ID_LEN];
	uint64_t line, seq;
	int64_t expires_s;
	bool direct;
};
typedef void (*tr_sent_fn)(void *arg, const struct tr_sent *s, const struct tr_no *no); /* one of both is NULL */
void tr_peer_send(struct tr_peer *p, const struct tr_send *m, tr_sent_fn fn, void *arg);

/* ---- peer_mail.c ---- */
TR_RC tr_mail_new(struct tr_peer *p, struct tr_mail **ret, struct tr_err *err);
void tr_mail_tick(struct tr_mail *m, int64_t now_s);
void tr_prekey_tick(struct tr_peer *p, int64_t now_s);

/* ---- peer_http.c, peer_attest.c ---- */
TR_RC tr_peer_http_new(struct tr_peer *p, int fd, struct tr_err *err);
void tr_peer_attestation(struct tr_peer *p, struct tr_http_req *r, struct tr_view query);

/* ---- peer_socket.c, peer_api.c ---- */
struct tr_call; /* a request of a local application */
TR_RC tr_local_new(struct tr_peer *p, int fd, struct tr_local **ret, struct tr_err *err);
void tr_local_tick(struct tr_local *l);
/* A message has come: whoever waits for one is answered; even_nothing: all who wait are. */
void tr_local_wake(struct tr_local *l, bool even_nothing);
bool tr_local_is_busy(const struct tr_local *l); /* somebody has no answer yet */
struct tr_call_in { struct tr_view method, path, query, body; };
/* Answers now or later; c is gone after its answer. */
void tr_peer_api(struct tr_peer *p, struct tr_call *c, const struct tr_call_in *in);
void tr_call_answer(struct tr_call *c, int status, const struct tr_buf *json);
void tr_call_refuse(struct tr_call *c, const struct tr_no *no);
/* Until a message comes or that many seconds have passed: tr_peer_api_woken. */
void tr_call_wait(struct tr_call *c, uint64_t seconds, uint64_t limit);
void tr_peer_api_woken(struct tr_peer *p, struct tr_call *c, uint64_t limit, bool even_nothing);
/* For answers that come later: another owner of c. False from `alive`: the application is gone. */
void tr_call_keep(struct tr_call *c);
bool tr_call_release(struct tr_call *c);

#endif
