/* SPDX-License-Identifier: Apache-2.0 */
/* Couriers of the role `peer`: child processes that make one HTTPS exchange after the other, so that the peer's loop never
 * waits for a network. A courier holds the TLS key and nothing else of the folder; it is told whom to call and what to say,
 * and tells what was answered. Three of them: one asks the hub, one waits at its mailbox, one calls
 * other agents; none of these can keep the others waiting. */
#ifndef TR_AGENT_COURIER_H
#define TR_AGENT_COURIER_H

#include "agent/state.h"
#include "ipc/loop.h"

#define TR_ERRAND_BODY_MAX 81920
#define TR_ERRAND_ANSWER_MAX ((1u << 20) + 65536)
#define TR_ERRANDS_MAX 64 /* that wait for one courier */

struct tr_errand {
	struct tr_view method, path;  /* path with its query */
	struct tr_view url, spiffe;   /* of another agent; both empty: the hub, whichever of the servers answers */
	struct tr_view content_type;  /* empty: none */
	struct tr_view body;
	struct tr_view headers;       /* "Name: value" lines, each ended by LF */
	uint64_t timeout_ms;
};
struct tr_errand_answer {
	uint64_t code;                /* tr_code: of the connection; TR_OK: an answer came */
	struct tr_view why;           /* the sentence then */
	uint64_t status, retry_after_s;
	struct tr_view body;
	struct tr_view peer_key;      /* of another agent: SHA-256 of its SPKI */
};

/* ---- the courier: a process of its own, after fork; never returns ---- */
struct tr_courier_in {
	const char *name;             /* for the log */
	int fd;
	struct tr_view ca_pem, cert_pem, key_pem, servers; /* servers: the comma list */
};
void tr_courier_run(const struct tr_courier_in *in) __attribute__((noreturn));

/* ---- the peer's end ---- */
struct tr_courier;
/* Takes fd. end: the courier is gone; errands under way were answered with TR_E_UNAVAIL before. */
TR_RC tr_courier_new(struct tr_loop *loop, int fd, void (*end)(void *arg), void *arg, struct tr_courier **ret,
		     struct tr_err *err);
struct tr_courier *tr_courier_free(struct tr_courier *c);
TR_DEFINE_AUTO(struct tr_courier *, tr_courier_free)
typedef void (*tr_errand_fn)(void *arg, const struct tr_errand_answer *a);
/* done is called exactly once, later, unless the courier is freed before. TR_E_BUSY: too many wait. */
TR_RC tr_courier_send(struct tr_courier *c, const struct tr_errand *e, tr_errand_fn done, void *arg, struct tr_err *err);

#endif
