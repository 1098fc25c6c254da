/* SPDX-License-Identifier: Apache-2.0 */
/* The pulse: what an agent says about itself every interval (PU-1), deterministic CBOR with EAT keys (RFC 9711) in a
 * COSE_Sign1 under the key of the agent's TLS certificate, bound to the TLS connection (RFC 9266 exporter), to the
 * server's last answer (nonce ticket) and to the pulse before (hash chain). Everything in it is self-asserted by the
 * host that holds the key: it proves possession, freshness and continuity, not truth. See docs/protocol/pulse.cddl. */
#ifndef TR_SIGNED_PULSE_H
#define TR_SIGNED_PULSE_H

#include "signed/bpf_list.h"
#include "signed/cose1.h"
#include "signed/ticket.h"

#define TR_PULSE_DOMAIN "troth/pulse/v1"
#define TR_PULSE_PROFILE "tag:troth,2026:pulse/1" /* eat_profile (RFC 9711 4.3.2) */
#define TR_PULSE_MAX 65536 /* bytes, with a BPF list; without one a pulse stays under 1024 */
#define TR_PULSE_CONTENT_TYPE "application/eat+cwt"
#define TR_PULSE_REASON_MAX 64 /* bytes of lsm_reason, printable ASCII */
#define TR_PULSE_NOTICE_MAX_S 604800 /* a week: no agent excuses itself for longer */
#define TR_PULSE_INTERVAL_MAX_S 86400
#define TR_PULSE_WAIT_MAX_S 60

/* The numbers of these enums stand in pulses (docs/protocol/pulse.cddl) and in the database: never renumber. */
/* Why the agent will be silent after this pulse. */
enum tr_notice { TR_NOTICE_NONE, TR_NOTICE_SHUTDOWN, TR_NOTICE_REBOOT, TR_NOTICE_UPDATE, TR_NOTICE_RESTART, TR_NOTICE_N };
/* What the kernel says of its clock (adjtimex). */
enum tr_sync { TR_SYNC_UNKNOWN, TR_SYNC_YES, TR_SYNC_NO, TR_SYNC_N };
/* The LSM supervisor ("Fortress"), reported as a state, never as a bare Boolean. */
enum tr_lsm { TR_LSM_UNKNOWN, TR_LSM_UNAVAILABLE, TR_LSM_PERMISSIVE, TR_LSM_ACTIVE, TR_LSM_DEGRADED, TR_LSM_RELEASED,
	      TR_LSM_EXPIRED, TR_LSM_N };
const char *tr_notice_name(enum tr_notice n);
const char *tr_sync_name(enum tr_sync s);
const char *tr_lsm_name(enum tr_lsm l);

/* Performance data: shown to people, never judged, and thrown away when a check of its pulse fails (PU-7). */
struct tr_health {
	uint64_t load_milli;     /* 1-minute load average × 1000 */
	uint64_t mem_total_kib, mem_free_kib;   /* free: MemAvailable */
	uint64_t disk_total_mib, disk_free_mib; /* of the file system that holds the agent's state */
	uint64_t uptime_s;       /* of the host (EAT 261) */
	uint64_t agent_rss_kib;
	uint64_t agent_cpu_ms;   /* user and system since the agent's start */
};

struct tr_pulse {
	struct tr_view agent_id, partition; /* the registry's, tr_ident_ok */
	int64_t time_ns;               /* agent's wall clock, Unix ns (UTC) */
	uint64_t boot_ns;              /* CLOCK_BOOTTIME: tells a clock step from a reboot */
	uint64_t rtt_us;               /* of the last answered exchange; 0: none yet; 32 bits */
	uint64_t sync;                 /* enum tr_sync */
	uint64_t seq;                  /* from 1; rises by one per attempt, never repeats, skips after a crash; below 2^63 */
	uint64_t bootcount;            /* EAT 267; persisted by the agent; 32 bits */
	uint64_t keyset_epoch;         /* of the keyset that the agent holds */
	uint8_t boot_id[16], start_id[16]; /* kernel's boot id; random per process */
	uint8_t prev[32];              /* tr_pulse_digest of the last pulse whose answer was received; zeros: none */
	uint8_t exporter[32];
	struct tr_view ticket;         /* TR_TICKET_LEN bytes from the last answer; empty: none */
	struct tr_view old_ticket;     /* after a resync: the ticket that came with prev's answer; else empty */
	uint8_t binary_hash[32];       /* SHA-256 of the running image */
	struct tr_view version;        /* tr_version_ok */
	uint64_t bpf_status;           /* enum tr_bpf_status */
	uint8_t bpf_digest[32];        /* SHA-256 of the canonical list; zeros unless the status is TR_BPF_OK */
	struct tr_view bpf_list;       /* the list (CBOR of tr_bpf_list_put): at start, on change, on request; else empty */
	uint64_t lsm;                  /* enum tr_lsm */
	struct tr_view lsm_reason;     /* at most 64 bytes; empty when active */
	uint64_t notice, notice_s;     /* enum tr_notice; how long the silence may last, seconds */
	struct tr_health health;
};

/* Encodes and signs with the mTLS key. TR_E_INVALID when a field breaks its rule. */
TR_RC tr_pulse_sign(const struct tr_pulse *p, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
/* Verifies with k first, parses after; views borrow from in; digest as tr_pulse_digest. TR_E_INVALID malformed, TR_E_DENIED
 * bad signature. */
TR_RC tr_pulse_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_pulse *ret, uint8_t ret_digest[32],
		      struct tr_err *err);
/* SHA-256 of the signed bytes (tr_cose1_digest): what the next pulse names as prev. */
TR_RC tr_pulse_digest(struct tr_view in, uint8_t out[32], struct tr_err *err);
/* The rules that every field keeps by itself, wherever the pulse comes from. TR_E_INVALID says which it breaks. */
TR_RC tr_pulse_check(const struct tr_pulse *p, struct tr_err *err);

/* A pulse as it travels between roles: one form per content, so that two processes' readings compare bytewise. bpf_list is
 * any bytes here (between roles: an encoded tr_bpf_list_def). Encoding marks b failed when a field breaks its rule;
 * decoded views borrow from in. */
void tr_pulse_encode(const struct tr_pulse *p, struct tr_buf *b);
TR_RC tr_pulse_decode(struct tr_view in, struct tr_pulse *ret, struct tr_err *err);

/* The answer (CBOR map, unsigned: it comes over the TLS connection that was checked). It may grow: members that the reader
 * does not know are passed over; wait_s and revocation, which older servers do not say, are 0 then. */
struct tr_pulse_answer {
	struct tr_view ticket;      /* TR_TICKET_LEN */
	bool resync;                /* not accepted yet: send again at once with this ticket, enclosing the old one */
	uint64_t interval_s;
	int64_t received_ns, sent_ns; /* server's wall clock at receipt and answer, Unix ns */
	bool renew;                 /* renew the certificate now */
	bool want_bpf_list;
	uint64_t pending;           /* commands waiting for this agent */
	uint64_t keyset_epoch;      /* the server's */
	uint64_t wait_s;            /* how long a question for commands may wait; 0: none, the next answer tells */
	uint64_t revocation;        /* how many revocations of agents there are: another number than the agent's own says
				     * that its list is old */
};
void tr_pulse_answer_put(const struct tr_pulse_answer *a, struct tr_buf *out);
TR_RC tr_pulse_answer_get(struct tr_view in, struct tr_pulse_answer *ret, struct tr_err *err);

#endif
