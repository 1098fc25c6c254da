/* SPDX-License-Identifier: Apache-2.0 */
/* One pulse: what it says, how it is sent, what its answer means. */
#ifndef TR_AGENT_PULSE_H
#define TR_AGENT_PULSE_H

#include "agent/chain.h"
#include "agent/notice.h"
#include "agent/outcome.h"
#include "agent/refusal.h"
#include "bpf/snapshot.h"
#include "http/client.h"

/* What the pulses of one process share. */
struct tr_pulser {
	const struct tr_state *state;
	const uint8_t *image_hash; /* 32 bytes */
	const char *version;
	uint8_t start_id[16];
	uint64_t keyset_epoch;
	struct tr_chain chain;
	struct tr_known_time anchor; /* how far a server's mere word about the time is believed; set by who has the pulser */
	struct tr_announcement announced;
	uint64_t rtt_us; /* of the last answered exchange */

	struct tr_bpf_eye *eye; /* NULL: BPF is off */
	struct tr_buf bpf_list;
	uint8_t bpf_digest[32], bpf_told[32]; /* now; and the one whose list the server has */
	bool bpf_list_told;
	enum tr_bpf_status bpf_status;
	const char *bpf_why;
};
void tr_pulser_done(struct tr_pulser *p);
TR_DEFINE_AUTO_DONE(struct tr_pulser, tr_pulser_done)

/* How a pulse went. */
struct tr_pulse_outcome {
	enum tr_outcome what;
	int status;	       /* 0: no answer */
	struct tr_said_no why; /* of an answer that is no 200 */
	unsigned retry_after_s;
	bool by_date; /* unreachable: the server's certificate is not valid at the time that was given */
	bool stranger; /* unreachable: nor is it by a CA that we know */
	/* accepted */
	uint64_t interval_s, pending, wait_s, keyset_epoch, revocation;
	int64_t received_ns, sent_ns;
	int64_t skew_ms; /* our wall clock minus the server's */
	bool renew;
	bool far; /* its time was not taken: only the CA's signed word goes so far */
};

/* Sends one over c, signed by the key whose certificate c presents; once more when the server asks for a
 * resync. Saves the chain when it grew. Logs what went wrong. timeout_ms 0: the client's. */
void tr_pulse_send(struct tr_pulser *p, struct tr_client *c, const struct tr_privkey *key,
		   int64_t verify_time_ms, unsigned timeout_ms, struct tr_pulse_outcome *ret,
		   struct tr_err *err);

#endif
