/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet: what core knows of every agent from its pulses, and every conclusion it draws. Pure: no clock, no socket, no
 * file, no randomness but what it is given; the same inputs give the same verdicts, so a simulated day can be replayed
 * from a seed (troth-swarm virtual) through exactly the code that serves real agents.
 *
 * Time is struct tr_instant: `ms` runs steadily (it does not jump when somebody sets the server's clock), `wall_ns` is what
 * the clock says. Effects leave through struct tr_fleet_sink. Agents are named by number: dense, given by
 * tr_fleet_add, never reused while the process lives.
 *
 *   fleet.c     who is in it; axes, events                        axes.c     the six axes and their fold
 *   judge.c     one pulse: ticket, clock, integrity               lineage.c  forks, restores, clones
 *   liveness.c  late, missed, lost; partitions; amnesty           refused.c  messages that failed, and who sent them
 *   alerts.c    severity, deduplication, escalation               alert_text.c  kinds, and what to do
 *   bpf.c       snapshot against the last good one                bpf_compare.c  two lists, pin by pin
 *   bpf_release.c  the programs that a signed release names       row.c      agent ⇄ stored row; the sweep
 *   explain.c   each check of one agent, for people               intern.c   values that many agents share
 *   adoption.c  which keyset each agent holds                     remote.c    what another node heard */
#ifndef TR_FLEET_FLEET_H
#define TR_FLEET_FLEET_H

#include "fleet/alerts.h"
#include "fleet/axes.h"
#include "signed/pulse.h"
#include "store/records.h"

struct tr_instant {
	int64_t ms;           /* steady, Unix milliseconds at the start of the process */
	int64_t wall_ns;      /* the server's wall clock, Unix nanoseconds */
	bool clock_trusted;   /* the server's clock is synchronised: only then others' are judged */
};

/* Something worth recording. Views live during the call. */
enum tr_event_kind {
	TR_EV_VERDICT,        /* the folded verdict changed: detail from, to */
	/* Refused messages: agent is whom they name, its state is unchanged. */
	TR_EV_REPLAY, TR_EV_BAD_SIGNATURE, TR_EV_WRONG_AGENT, TR_EV_WRONG_PARTITION, TR_EV_RELAYED, TR_EV_MALFORMED,
	TR_EV_CHAIN_CONFLICT, TR_EV_FORKED, TR_EV_RESTORED,
	TR_EV_BINARY_CHANGED, TR_EV_BPF_CHANGED, TR_EV_LSM_CHANGED, TR_EV_RESTARTED, TR_EV_REBOOTED, TR_EV_NOTICE,
	TR_EV_PARTITION_SILENT, TR_EV_PARTITION_BACK, TR_EV_AMNESTY, TR_EV_FRONT_LIED, TR_EV_KEY_RENEWED,
	TR_EV_QUARANTINED_SPOKE, TR_EV_OLD_KEY,
	/* Keys and commands: core's own (detail: command, key, code). */
	TR_EV_KEYSET_PUBLISHED, TR_EV_KEY_STATE, TR_EV_COMMAND_REFUSED, TR_EV_COMMAND_FOREIGN, TR_EV_COMMAND_REPLAYED,
	TR_EV_COMMAND_EXPIRED, TR_EV_COMMAND_UNKNOWN, TR_EV_COMMAND_GAP, TR_EV_APPROVAL_REFUSED,
	/* Evidence of TEEs, and the hub: core's own (detail: code, verdict). */
	TR_EV_REGISTERED, TR_EV_REGISTRATION_REFUSED, TR_EV_EVIDENCE_REFUSED, TR_EV_ATTESTATION_EXPIRED, TR_EV_TPM_CLONED,
	TR_EV_DISCOVERY_REFUSED, TR_EV_MESSAGE_REFUSED, TR_EV_N
};
const char *tr_event_name(enum tr_event_kind k); /* slug */
struct tr_event {
	enum tr_event_kind kind;
	uint32_t agent;          /* TR_NO_AGENT: none */
	struct tr_view agent_id, partition, source;
	unsigned severity;       /* 1 worst … 5 note */
	struct tr_view detail;   /* JSON object */
	struct tr_view evidence; /* COSE bytes; may be empty */
};
#define TR_NO_AGENT UINT32_MAX

struct tr_fleet_sink {
	void (*event)(void *arg, const struct tr_event *e);
	/* An alert was opened, changed or resolved; row is what to store and tell. */
	void (*alert)(void *arg, const struct tr_alert_row *row);
	void *arg;
	/* A normalised BPF hash was learned or approved; row is what to store. May be NULL. */
	void (*bpf_ref)(void *arg, const struct tr_bpf_ref_row *row);
};

struct tr_fleet_config {
	uint8_t ticket_key[TR_TICKET_KEY_LEN];
	uint64_t run;                /* random per start */
	uint32_t interval_s;         /* told to agents */
	uint64_t keyset_epoch;
	uint32_t escalate_s;         /* reminders for what nobody acknowledged */
	const char *self;            /* subject of alerts about this server, borrowed; NULL: "server" */
};

/* A second lineage of one identity, while it is not known which is real; few agents have one. */
struct tr_stray {
	uint8_t start_id[16];
	uint8_t head[32];            /* digest of its last pulse */
	int64_t last_ms;
	uint32_t count;
	bool main_after;             /* the known lineage spoke after the stray did */
};

struct tr_fleet_agent {
	const char *id;              /* owned by the fleet; at most 64 bytes */
	struct tr_stray *stray;      /* NULL: none */
	struct tr_buf *bpf_list;     /* record behind bpf_good; NULL: none */
	struct tr_buf *findings;     /* JSON array; NULL: none */
	uint8_t key_id[8];           /* beginning of the SHA-256 of the enrolled SPKI, for people */
	uint8_t head[32], head_prev[32];
	uint8_t boot_id[16], start_id[16];
	int64_t last_ms;             /* last accepted pulse, steady; 0: never */
	int64_t first_ms;
	uint64_t seq, accepted;
	int64_t wall_good_ms;        /* last_ms as wall clock, for people */
	uint32_t epoch, bootcount, restarts;
	uint32_t running, good, expected; /* interned 32-byte values (0: none) */
	uint32_t bpf, bpf_good;
	uint32_t version, source;    /* interned text */
	uint32_t since[6];           /* Unix seconds, in the order of struct tr_axes */
	uint32_t expected_until_s, notice_until_s;
	uint32_t old_key_s;          /* when one spoke last under a key that this agent gave up; 0: none */
	int32_t skew_ms;
	uint32_t loss_ppm;
	uint16_t rtt_ms, partition, interval_s;
	uint16_t counted_in;         /* liveness.c: partition whose `active` counts it, plus 1; 0: none */
	struct tr_axes axes;
	uint8_t verdict;             /* folded */
	uint8_t notice, lsm, lsm_good, sync, bpf_status;
	uint8_t skew_strikes, skew_flips;
	int8_t skew_sign;
	bool dirty : 1, active : 1, in_maintenance : 1, counted_silent : 1, want_bpf_list : 1;
	bool bpf_due : 1;             /* judge its list again */
	bool heard : 1;               /* since this start */
	uint16_t keyset_epoch;        /* of its last accepted pulse since this start, its low 16 bits; 0: none */
	uint8_t silence_sev;          /* liveness.c: severity of the silence alert that was raised; 0: none */
	struct { uint32_t load_milli, mem_total_mib, mem_free_mib, disk_total_mib, disk_free_mib, uptime_s, agent_rss_kib, agent_cpu_ms; } health;
};

struct tr_fleet;
struct tr_fleet *tr_fleet_new(const struct tr_fleet_config *c, const struct tr_fleet_sink *sink, const struct tr_instant *now);
struct tr_fleet *tr_fleet_free(struct tr_fleet *f);
TR_DEFINE_AUTO(struct tr_fleet *, tr_fleet_free)

/* ---- the registry's side ---- */

/* A new or loaded agent. row may be NULL (no pulse yet). good_hash: of the admission, 32 bytes. TR_NO_AGENT when out of
 * memory. */
uint32_t tr_fleet_add(struct tr_fleet *f, const struct tr_instant *now, struct tr_view id, struct tr_view partition,
		      const uint8_t key_id[32], struct tr_view good_hash, uint32_t epoch, bool active,
		      const struct tr_pulse_row *row);
/* All rows are there: amnesty starts, open alerts are known (tr_alerts_load came before). */
void tr_fleet_loaded(struct tr_fleet *f, const struct tr_instant *now);
/* Revoked, removed, or active again under a new key and epoch (identity reset: chain, fork and quarantine are forgotten). */
void tr_fleet_end(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent);
void tr_fleet_reset(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, const uint8_t key_id[32],
		    struct tr_view good_hash, uint32_t epoch);
void tr_fleet_rekey(struct tr_fleet *f, uint32_t agent, const uint8_t key_id[32]); /* renewal: the chain goes on */
void tr_fleet_move(struct tr_fleet *f, uint32_t agent, struct tr_view partition);
const struct tr_fleet_agent *tr_fleet_agent(const struct tr_fleet *f, uint32_t agent); /* NULL: no such */
uint32_t tr_fleet_count(const struct tr_fleet *f);
/* This agent's pulse is about to be judged: memory may fetch what that will read. Called again a little later, it has what
 * the first call fetched lead to the rest. */
void tr_fleet_soon(const struct tr_fleet *f, uint32_t agent, bool again);
struct tr_view tr_fleet_value(const struct tr_fleet *f, uint32_t interned); /* empty for 0 */
struct tr_view tr_fleet_partition(const struct tr_fleet *f, uint16_t partition);

/* An operator's word. expect: the image may become `hash` until then. accept: what runs now (image, snapshot, restored
 * lineage) is good. Both leave a record through the sink. */
void tr_fleet_expect(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, const uint8_t hash[32],
		     int64_t until_ms);
void tr_fleet_accept(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent);
void tr_fleet_want_bpf_list(struct tr_fleet *f, uint32_t agent);
/* Maintenance windows in force are given as a whole whenever they change; rows borrowed during the call. */
void tr_fleet_maintenance(struct tr_fleet *f, const struct tr_maintenance_row *rows, size_t n);
void tr_fleet_bpf_refs(struct tr_fleet *f, const struct tr_bpf_ref_row *rows, size_t n);
/* The published releases that count (not withdrawn), as a whole whenever they change; those without BPF programs are passed
 * over. Agents that run one of them are judged by what it names. */
void tr_fleet_releases(struct tr_fleet *f, const struct tr_release_row *rows, size_t n);
/* The programs (records of tr_release_bpf_def) and the version of the release that this agent is judged by; empty: none. */
struct tr_view tr_fleet_released_bpf(const struct tr_fleet *f, uint32_t agent, struct tr_view *ret_version);

/* This keyset is in force: agents that hold an older one are behind. */
void tr_fleet_keyset(struct tr_fleet *f, const struct tr_instant *now, uint64_t epoch);
/* Has this agent said, since this start, that it holds one of the keysets from `since` (0: no keyset will do) on? */
enum tr_adopted { TR_ADOPTED_NOT_ASKED /* not active */, TR_ADOPTED, TR_ADOPTED_BEHIND, TR_ADOPTED_UNREACHABLE };
enum tr_adopted tr_fleet_adopted(const struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, uint64_t since);
struct tr_adoption { uint64_t adopted, behind /* live or late */, unreachable; };
void tr_fleet_adoption(const struct tr_fleet *f, const struct tr_instant *now, uint64_t since, struct tr_adoption *ret);
uint64_t tr_fleet_keyset_of(const struct tr_fleet *f, uint32_t agent); /* its epoch; 0: not heard since this start */

/* ---- pulses ---- */

/* A pulse whose signature front verified with the key of the TLS client certificate, which names this agent, on this
 * connection (exporter compared). */
struct tr_pulse_seen {
	const struct tr_pulse *pulse;   /* bpf_list as record (tr_bpf_list_def) or empty */
	const uint8_t *digest;          /* 32 bytes */
	struct tr_view raw;             /* COSE bytes, for evidence */
	struct tr_view source;
	int64_t received_ns;            /* wall clock when front had read it */
};
/* code and detail are static texts. */
struct tr_pulse_result {
	bool accepted;
	int status;                     /* HTTP: 200 accepted or resync, else the refusal's */
	const char *code, *detail;      /* refusal: slug and sentence */
	struct tr_pulse_answer answer;  /* when status is 200; its ticket borrows from `ticket` */
	uint8_t ticket[TR_TICKET_LEN];
	bool changed;                   /* hash, BPF, start id or verdict changed: have it rechecked */
};
void tr_fleet_pulse(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, const struct tr_pulse_seen *s,
		    struct tr_pulse_result *ret);

/* A message that failed before it could be judged. It never changes the agent it names; it is counted, recorded (bounded
 * per minute and source) and alerts on rate, with the sender as subject. agent may be TR_NO_AGENT. */
void tr_fleet_refused(struct tr_fleet *f, const struct tr_instant *now, enum tr_event_kind kind, uint32_t agent,
		      struct tr_view agent_id, struct tr_view source, struct tr_view raw);

/* A pulse that verifies under a certificate of this agent whose key is not, or not any more, the enrolled one. An agent that
 * changes its key may do so once; whoever does it again holds a copy of a key, and the alert says so. No verdict changes. */
void tr_fleet_old_key(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, struct tr_view source,
		      struct tr_view raw);

/* ---- several nodes (remote.c) ---- */

/* What another node heard of this agent, as it stored it: moves our memory forward when it is newer, never back. An agent
 * that speaks there is alive here; nobody is accused by a row. Nothing is told: that node has done so. */
void tr_fleet_remote(struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, const struct tr_pulse_row *row);
/* Does this node judge silence (from the start: yes)? One that does not concludes nothing from it, alone or of partitions,
 * and reminds nobody; one that begins to gives everybody the time that a start gives. lag_ms: so much later than to
 * another node an agent's word may come to this one; 0 when there is no other. */
void tr_fleet_judges(struct tr_fleet *f, const struct tr_instant *now, bool judges, uint32_t lag_ms);
void tr_fleet_ticket_key(struct tr_fleet *f, const uint8_t key[TR_TICKET_KEY_LEN]);
/* While it is, nothing goes out as an event: another node records it. */
void tr_fleet_quiet(struct tr_fleet *f, bool quiet);

/* ---- time ---- */

/* About once a second. Gaps between calls are noticed and excused (amnesty). */
void tr_fleet_tick(struct tr_fleet *f, const struct tr_instant *now);
/* Liveness as of now, whatever the last tick saw: a function of the last accepted pulse and the clock. */
enum tr_verdict tr_fleet_verdict(const struct tr_fleet *f, const struct tr_instant *now, uint32_t agent,
				 struct tr_axes *ret_axes);
/* The longest time, in seconds, after which a silent agent is called lost (documented bound). */
uint32_t tr_fleet_lost_after_s(const struct tr_fleet *f, uint32_t agent);

/* Rows that differ from the store, key order of numbers, at most n; put is called for each and clears dirty. Returns how
 * many. The row lives during the call. */
typedef bool (*tr_fleet_put_fn)(void *arg, uint32_t agent, const struct tr_pulse_row *row); /* false: not now, keep dirty */
size_t tr_fleet_sweep(struct tr_fleet *f, size_t n, tr_fleet_put_fn put, void *arg);
/* The store did not take this agent's row after all: it is swept again. */
void tr_fleet_touch(struct tr_fleet *f, uint32_t agent);
/* The row of one agent, for lists and explain; borrows from *scratch, which is overwritten. */
void tr_fleet_row(const struct tr_fleet *f, uint32_t agent, struct tr_buf *scratch, struct tr_pulse_row *ret);

/* Each check of this agent as a JSON array: {"check","state","expected","seen","since","action"}. */
void tr_fleet_explain(const struct tr_fleet *f, const struct tr_instant *now, uint32_t agent, struct tr_buf *json);

struct tr_fleet_stats {
	uint64_t accepted, resyncs, refused[TR_EV_N];
	uint64_t by_verdict[TR_V_N], by_reach[TR_REACH_N];
	uint64_t amnesties, incidents_open;
	uint64_t keyset_current; /* agents that hold the keyset in force */
	size_t bytes, bytes_names; /* memory of the registry's live part; names counted apart */
};
void tr_fleet_stats(const struct tr_fleet *f, struct tr_fleet_stats *ret);
struct tr_alerts *tr_fleet_alerts(struct tr_fleet *f);

#endif
