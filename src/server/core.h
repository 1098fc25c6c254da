/* SPDX-License-Identifier: Apache-2.0 */
/* The role `core`: the registry in memory, and every decision. One loop, no locks, no parsing of anything from outside,
 * no private keys. Memory is a mirror of what the store has committed: a handler builds a transaction from rows, and
 * the same rows change the memory only when the store says they are durable (tr_tx_commit). What must not happen twice
 * meanwhile is reserved (tr_item.inflight, .reserved, .ending).
 *
 * Where what is, in this folder:
 *
 *   main, init, check, backup, key_import, config*   the command line, before and beside a server that runs
 *   supervisor, role, role_*                         the processes; role_core: boot, channels and clock of core
 *   msg*, calls                                      what they say to each other, and who waits for an answer
 *   routes, rate, front_hub                          what front may let in
 *
 *   core: dispatch, request, load, table             from a frame to a handler, and to a durable change; the memory
 *         api_*                                      handlers of operators' requests, by what they are about
 *         admit, challenge, renew, time              who becomes and stays an agent
 *         pulse, pulse_read, recheck, steady, pace   what agents say of themselves
 *         follow, effects, watch, nodes              the fleet (src/fleet) beside the registry, on one node or several
 *         orders.h says which: orders, ordering, making, outbox, deliver, receipts, command_json, original
 *         authority.h says which: keyset*, signing, skeys*
 *         attest.h says which: attest, attest_rows, tee_*, result_key, tpm_credential, api_tee_*, api_collateral,
 *         api_verdicts, api_results
 *         hub.h says which: hub, discovery, mail, mailbox, prekey, security
 *
 *   role keys: role_keys, keyring*, hsm     role appraise: role_appraise, appraise_* (_registration: a registration with
 *   evidence from JSON to fields, _tee: its verdict, _collateral: bundles and credentials, _hub, _signed: what agents and
 *   operators sign)
 *   role store: role_store, store_nodes     role egress: role_egress, notify* */
#ifndef TR_SERVER_CORE_H
#define TR_SERVER_CORE_H

#include "fleet/fleet.h"
#include "http/problem.h"
#include "server/calls.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/msg.h"
#include "server/pace.h"
#include "server/routes.h"
#include "server/steady.h"
#include "server/table.h"
#include "signed/keyset.h"

/* Registrations that were refused, a second: a flood must not fill the disk. The rest is counted and the count recorded. */
#define TR_REFUSALS_RECORDED 50
#define TR_FRONTS_MAX 32 /* while fronts are being replaced, old and new live side by side */

enum { TR_UP_STORE_RO, TR_UP_KEYS, TR_UP_APPRAISE, TR_UP_N };

struct tr_front_ref {
	struct tr_chan *chan;
	uint32_t gen; /* rises when the place is reused: late answers find nobody */
	bool up;      /* has said hello */
	uint8_t tag;  /* how the supervisor calls it */
	uint64_t open; /* connections, as last reported */
};

struct tr_core {
	const struct tr_config *cfg;
	struct tr_loop *loop;
	int control; /* supervisor */
	struct tr_front_ref fronts[TR_FRONTS_MAX];
	struct tr_chan *store, *store_ro, *keys, *appraise, *egress;
	bool up[TR_UP_N]; /* who of them has said hello */
	bool egress_up, egress_asked;
	uint64_t tell_again_at; /* monotonic: undelivered alerts go to egress once more */
	bool seeding, seeded; /* the configured key: being stored; in force, or there is none */
	struct tr_calls *calls;

	struct tr_table_mem agents, tokens, vkeys, releases, settings, seen, operators, maintenance, bpf_refs, keysets, skeys,
		commands, outboxes, /* commands: those that are not over */
		attested, bundles, tee_policies, mails; /* evidence of TEEs, and the hub */
	struct tr_authority *authority; /* what keysets and skeys say (authority.h) */
	struct tr_orders *orders;       /* what commands and outboxes say (orders.h) */
	struct tr_hub *hub;             /* what attested and mails say (hub.h) */
	struct tr_tee_state *tee;       /* by what evidence is judged (attest.h) */
	struct tr_activations *activations; /* of TPMs' keys, under way */
	bool loaded, ready_told, stopping;
	unsigned loading; /* tables still to come */
	bool store_ok;
	bool store_away; /* its database is: it says when that is back, and until then may take its time */
	char store_why[200]; /* sentence, when not ok */
	unsigned registrations; /* under way */
	unsigned recent_refusals; /* in this second; at most TR_REFUSALS_RECORDED of them are stored */
	uint64_t unrecorded;      /* refusals counted but not recorded, since the last record that says so */

	/* What agents say of themselves: pulses, verdicts, alerts. */
	struct tr_fleet *fleet;      /* NULL until the settings are loaded */
	struct tr_steady *steady;
	struct tr_effects *effects;
	bool clock_trusted;
	int64_t clock_bad_ms;        /* since when it is not, steady; 0: it is */
	uint8_t ticket_key[TR_TICKET_KEY_LEN];
	bool ticket_kept, ticket_keeping; /* in the store; on its way there */
	uint64_t keyset_epoch;
	struct tr_pace *writes;      /* certificates and rows that an agent may cause */
	unsigned rechecks;           /* under way */
	uint8_t dice[64];            /* random bytes not yet used, for what is rechecked */
	unsigned dice_left;
	bool sweeping;               /* a transaction of swept rows is under way */

	/* Several nodes (nodes.c). */
	bool shared;                 /* others may use this store too */
	char self[80];               /* what alerts about this server have as subject */
	char node[17];               /* random per start, hex: who this is, to people and to the other nodes */
	uint64_t generation;         /* of what others changed, applied here; goes with each transaction */
	uint64_t holds_until, others_ms; /* tr_mono_ms: what one node must do is ours up to then; when there were others last */
	unsigned nodes;
	uint64_t readings;           /* how often the store has looked for what others did */
	struct tr_doubt *doubts;     /* agents that may be known to another node only */
	bool holding;                /* as the fleet and egress know it */

	uint8_t challenge_key[32];
	struct tr_buf ca_pem;
	struct tr_buf fleet_pem;     /* ATTESTATION_PUBLIC_KEY_PATH's content, until it is seeded */
	struct tr_buf versions;      /* those that the configuration pins, joined by commas (tr_core_pin) */
	int64_t policy_until;        /* when a published release in the policy expires; 0: never */
	uint8_t root_pin[32]; /* fingerprint of the roots in force, for tokens */
	char server_name[256]; /* first URL, for what token create prints */
	int64_t tls_not_after;

	struct tr_metrics metrics;
	struct tr_watch *sweep_timer, *tick_timer, *control_watch;
	uint64_t events_expire_ms; /* monotonic: when old events are looked for again */
	int64_t started_at;
};

/* ---- a request under way ---- */

struct tr_req {
	struct tr_core *core;
	unsigned front;
	uint32_t front_gen;
	uint64_t id;
	struct tr_msg_request q; /* views borrow from bytes once kept */
	struct tr_buf bytes;     /* own copy, made by tr_req_keep */
	char actor[80];          /* "operator:admin", "agent:web-1", "anonymous" */
	struct tr_item *about;   /* of a kept request, for its handler */
	char made[16];           /* of a kept request: id that its handler made */
	bool next_key;           /* comes under the key that the agent is changing to */
	bool doubted;            /* refused for now: another node may know better */
};

/* A handler answers now, or keeps the request and answers later. */
typedef void (*tr_api_fn)(struct tr_core *c, struct tr_req *r);

/* A heap copy that outlives the frame; free with tr_req_free (tr_req_answer does not). NULL when out of memory: the
 * request has been answered so. */
struct tr_req *tr_req_keep(struct tr_req *r);
struct tr_req *tr_req_free(struct tr_req *r);
TR_DEFINE_AUTO(struct tr_req *, tr_req_free)
void tr_req_answer(struct tr_req *r, int status, enum tr_ctype type, struct tr_view body);
/* 200 with this JSON; 500 when it grew over the limit of an answer. */
void tr_req_answer_json(struct tr_req *r, const struct tr_buf *json);
void tr_req_problem(struct tr_req *r, const struct tr_problem *p);
/* Short form: status, slug and a sentence. */
void tr_req_refuse(struct tr_req *r, int status, const char *slug, const char *detail);
void tr_req_error(struct tr_req *r, const struct tr_err *err);
void tr_req_no_verifier(struct tr_req *r); /* the appraise role is away: 503 */
/* The route's input record; the front encoded it from the same table. */
TR_RC tr_req_in(struct tr_req *r, void *ret, struct tr_err *err);

/* ---- transactions ---- */

struct tr_tx;
typedef void (*tr_tx_fn)(void *arg, enum tr_code rc, const char *why);

struct tr_tx *tr_tx_new(struct tr_core *c);
/* Its rows were copied when core knew no more than this generation (core.generation): what another node changed since is
 * not written over. Without it, what core knows now counts. */
void tr_tx_as_of(struct tr_tx *tx, uint64_t generation);
struct tr_tx *tr_tx_free(struct tr_tx *tx); /* only when not committed */
void tr_tx_add(struct tr_tx *tx, enum tr_op op, enum tr_table t, const void *row);
/* Operations that are encoded already, as tr_op_encode made them. */
void tr_tx_add_encoded(struct tr_tx *tx, struct tr_view ops);
void tr_op_encode(struct tr_buf *b, enum tr_op op, enum tr_table t, const void *row);
size_t tr_tx_bytes(const struct tr_tx *tx);
/* Marks an existing row as touched until the transaction ends. */
void tr_tx_touch(struct tr_tx *tx, struct tr_item *item);
/* Sends it; fn is called after memory was changed (TR_OK), or with the reason it was not. Takes tx. */
void tr_tx_commit(struct tr_tx *tx, tr_tx_fn fn, void *arg);
/* The usual end of an operator's request: `status` with this JSON on success, a problem otherwise. Takes req, which may
 * be NULL (answered already), and body. */
void tr_tx_commit_answer(struct tr_tx *tx, struct tr_req *req, int status, struct tr_buf *body);

/* Adds an audit row to the transaction. detail_json may be empty. */
void tr_audit(struct tr_tx *tx, const char *actor, const char *action, struct tr_view object, const char *outcome,
	      const char *reason, struct tr_view source, struct tr_view detail_json);

/* ---- parts of core ---- */

struct tr_table_mem *tr_core_table(struct tr_core *c, enum tr_table t); /* NULL for append-only tables */
/* Asks another role: fn hears its answer, or NULL, at once when the role is away or too many questions are open. */
void tr_core_ask(struct tr_core *c, struct tr_chan *role, enum tr_msg type, const struct tr_record *def, const void *q,
		 tr_call_fn fn, void *arg);
void tr_core_send_policy(struct tr_core *c);
/* Stores the verification key that the configuration names, then calls tr_core_tell_ready again. */
void tr_core_seed(struct tr_core *c);
/* Tells the supervisor, once everything that a first claim needs is there. */
void tr_core_tell_ready(struct tr_core *c);
struct tr_view tr_setting(const struct tr_core *c, const char *name); /* empty when not set */

/* The policy in force: configuration and environment pin, settings fill the rest. */
struct tr_policy_view {
	enum tr_mode mode;
	bool accept_native, accept_original;
	struct tr_view hashes, min_version, versions; /* comma-joined text */
	enum tr_tier min_tier;
	bool mode_pinned, accept_pinned, hashes_pinned, min_version_pinned, versions_pinned, min_tier_pinned;
};
void tr_core_pin(struct tr_core *c); /* once, before it is asked for */
void tr_core_policy(const struct tr_core *c, struct tr_policy_view *ret);

/* Challenge: issue time ‖ random ‖ MAC, checked without a table; spent by the claim's row in `seen`. */
#define TR_CHALLENGE_TTL_MS 120000
void tr_challenge_make(const uint8_t key[32], int64_t now_ms, uint8_t out[TR_CHALLENGE_LEN]);
bool tr_challenge_ok(const uint8_t key[32], int64_t now_ms, struct tr_view challenge);

/* A transaction was not stored: 503, busy when another node was quicker. */
void tr_req_not_stored(struct tr_req *r, enum tr_code rc, const char *why);

/* ---- several nodes (nodes.c) ---- */

/* Is this the node that does what must be done once: silence, reminders, delivery, expiry? Always, when there is one. */
bool tr_core_holds(const struct tr_core *c);
/* Rows that became durable, by this node or another: memory follows. */
void tr_core_apply(struct tr_core *c, struct tr_view ops, bool foreign);
/* Of another node: a row or a word that core does not keep in a table; and, afterwards, into
 * which tables (a bit each) rows were put. */
void tr_core_hear(struct tr_core *c, enum tr_op op, enum tr_table t, const union tr_any_row *row);
void tr_core_heard(struct tr_core *c, uint32_t tables);
void tr_core_name(struct tr_core *c); /* before the sandbox: whether there may be others, and how it is called then */
/* This agent is not known here, or by another key. True: another node may have changed that a moment ago, and the request was
 * told to come again; it is believed once the store has looked. */
bool tr_core_doubts(struct tr_core *c, struct tr_req *r);
void tr_core_node_begin(struct tr_core *c); /* before anything else is asked of the store */
void tr_core_node_loaded(struct tr_core *c);
void tr_core_node_tick(struct tr_core *c);
void tr_core_on_changed(void *arg, struct tr_chan *ch, const struct tr_frame *f);
void tr_core_on_lease(void *arg, struct tr_chan *ch, const struct tr_frame *f);

/* ---- the fleet (follow.c, effects.c, watch.c, pulse.c, recheck.c) ---- */

struct tr_instant tr_core_now(const struct tr_core *c);
/* Fleet and effects, once the settings (with the ticket key) are there. */
TR_RC tr_core_make_fleet(struct tr_core *c, struct tr_err *err);
/* The agent becomes a member; row: what its pulses left behind, or NULL. False when out of memory. */
bool tr_core_join(struct tr_core *c, struct tr_item *i, const struct tr_pulse_row *row);
/* Everything is loaded: agents without a stored pulse join, windows and references are told. False when out of memory. */
bool tr_core_fleet_loaded(struct tr_core *c);
/* Stores the ticket key when it is new, then calls tr_core_tell_ready again. */
void tr_core_keep_ticket_key(struct tr_core *c);
/* An agent's row was put: the fleet follows. was: what it said before, from tr_core_follow_begin; the item may be new. */
struct tr_follow {
	bool known, active;
	uint64_t epoch;
	uint8_t key_id[32], hash[32];
};
void tr_core_follow_begin(const struct tr_core *c, struct tr_view id, struct tr_follow *ret);
bool tr_core_follow(struct tr_core *c, struct tr_item *i, const struct tr_follow *was); /* false: out of memory */

/* Events and alerts on their way to the store and to egress. */
struct tr_effects *tr_effects_new(struct tr_core *c);
struct tr_effects *tr_effects_free(struct tr_effects *e);
/* The fleet's sink; core's own events go the same way. */
void tr_effects_event(void *arg, const struct tr_event *ev);
void tr_effects_alert(void *arg, const struct tr_alert_row *row);
void tr_effects_bpf_ref(void *arg, const struct tr_bpf_ref_row *row);
void tr_effects_flush(struct tr_effects *e); /* sends what waits, when the store can take it */
void tr_effects_last(struct tr_effects *e);  /* at the end: everything, without waiting for the store's answers */
void tr_effects_tick(struct tr_effects *e);  /* once a second: that, and what egress had no room for */
uint64_t tr_effects_lost(const struct tr_effects *e);
size_t tr_effects_waiting(const struct tr_effects *e);
void tr_effects_egress_up(struct tr_effects *e);
/* To egress only: another node has stored it. */
void tr_effects_tell(struct tr_effects *e, const struct tr_alert_row *row);
void tr_effects_notified(struct tr_effects *e, const struct tr_msg_notified *m);

/* Once a second: clock, liveness, reminders. */
void tr_core_watch_tick(struct tr_core *c);
void tr_core_watch_clock(struct tr_core *c, const struct tr_instant *now, bool synchronised);

/* A pulse as front saw it; answered through r. */
void tr_core_pulse(struct tr_core *c, struct tr_req *r, const struct tr_msg_pulse *m);
/* Has front's word on this pulse checked by appraise, now and then. */
void tr_core_recheck(struct tr_core *c, const struct tr_req *r, const struct tr_item *i, const struct tr_msg_pulse *m,
		     const struct tr_pulse *p, const struct tr_pulse_result *res);
/* The front that said so is not to be believed: it is cut off, and the supervisor replaces it. */
void tr_core_end_front(struct tr_core *c, unsigned front);
void tr_core_tell_releases(struct tr_core *c); /* follow.c: the same of releases, whenever they or their keys change */
bool tr_release_vouched(const struct tr_core *c, const struct tr_release_row *r); /* api_policy.c: signed by a key in force */
bool tr_core_tell_bpf_refs(struct tr_core *c); /* false: out of memory */
/* Another node was quicker to store the ticket key: it is ours too. */
void tr_core_take_ticket_key(struct tr_core *c);
void tr_core_tell_maintenance(struct tr_core *c); /* the fleet hears of windows whenever they change */

extern const tr_api_fn tr_api[TR_RT_N]; /* dispatch.c */
/* By the bearer token; answers when it is none of an operator's. */
bool tr_core_is_operator(struct tr_core *c, struct tr_req *r);
/* Frames of fronts (dispatch.c), and rows of the store (load.c). */
void tr_core_on_request(void *arg, struct tr_chan *ch, const struct tr_frame *f);
void tr_core_on_pulse(void *arg, struct tr_chan *ch, const struct tr_frame *f);
void tr_core_on_rows(void *arg, struct tr_chan *ch, const struct tr_frame *f);
void tr_core_on_load_done(void *arg, struct tr_chan *ch, const struct tr_frame *f);
void tr_core_load(struct tr_core *c); /* asks the store for everything */

/* Handlers: api_*.c by what they are about (api_says.c: an operator's word about one agent), admit.c (registration),
 * renew.c, time.c. */
void tr_api_livez(struct tr_core *c, struct tr_req *r);
void tr_api_readyz(struct tr_core *c, struct tr_req *r);
void tr_api_metrics(struct tr_core *c, struct tr_req *r);
void tr_api_version(struct tr_core *c, struct tr_req *r);
void tr_api_keyset(struct tr_core *c, struct tr_req *r);
void tr_api_keyset_chain(struct tr_core *c, struct tr_req *r);
void tr_api_keyset_publish(struct tr_core *c, struct tr_req *r);
void tr_api_skey_list(struct tr_core *c, struct tr_req *r);
void tr_api_skey_create(struct tr_core *c, struct tr_req *r);
void tr_api_skey_get(struct tr_core *c, struct tr_req *r);
void tr_api_skey_promote(struct tr_core *c, struct tr_req *r);
void tr_api_skey_retire(struct tr_core *c, struct tr_req *r);
void tr_api_skey_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_skey_adoption(struct tr_core *c, struct tr_req *r);
void tr_api_challenge(struct tr_core *c, struct tr_req *r);
uint64_t tr_core_first_epoch(const struct tr_core *c); /* of an agent that is new here */
void tr_api_whoami(struct tr_core *c, struct tr_req *r);
void tr_api_register(struct tr_core *c, struct tr_req *r);
void tr_api_time(struct tr_core *c, struct tr_req *r);
void tr_api_renew(struct tr_core *c, struct tr_req *r);
void tr_api_agent_list(struct tr_core *c, struct tr_req *r);
void tr_api_agent_get(struct tr_core *c, struct tr_req *r);
void tr_api_agent_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_agent_remove(struct tr_core *c, struct tr_req *r);
void tr_api_token_list(struct tr_core *c, struct tr_req *r);
void tr_api_token_create(struct tr_core *c, struct tr_req *r);
void tr_api_token_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_list(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_add(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_retire(struct tr_core *c, struct tr_req *r);
void tr_api_vkey_revoke(struct tr_core *c, struct tr_req *r);
void tr_api_release_list(struct tr_core *c, struct tr_req *r);
void tr_api_release_add(struct tr_core *c, struct tr_req *r);
void tr_api_release_withdraw(struct tr_core *c, struct tr_req *r);
void tr_api_policy_get(struct tr_core *c, struct tr_req *r);
void tr_api_policy_set(struct tr_core *c, struct tr_req *r);
void tr_api_attestation_list(struct tr_core *c, struct tr_req *r);
void tr_api_attestation_get(struct tr_core *c, struct tr_req *r);
void tr_api_audit_list(struct tr_core *c, struct tr_req *r);
void tr_api_agent_events(struct tr_core *c, struct tr_req *r);
void tr_released_bpf_json(struct tr_view records, struct tr_buf *b); /* api_releases.c: as a JSON array */
void tr_api_agent_bpf(struct tr_core *c, struct tr_req *r);
void tr_api_agent_bpf_request(struct tr_core *c, struct tr_req *r);
void tr_api_agent_expect(struct tr_core *c, struct tr_req *r);
void tr_api_agent_accept(struct tr_core *c, struct tr_req *r);
void tr_api_agent_reset(struct tr_core *c, struct tr_req *r);
void tr_api_fleet(struct tr_core *c, struct tr_req *r);
void tr_api_event_list(struct tr_core *c, struct tr_req *r);
void tr_api_event_get(struct tr_core *c, struct tr_req *r);
void tr_api_alert_list(struct tr_core *c, struct tr_req *r);
void tr_api_alert_get(struct tr_core *c, struct tr_req *r);
void tr_api_alert_ack(struct tr_core *c, struct tr_req *r);
void tr_api_alert_resolve(struct tr_core *c, struct tr_req *r);
void tr_api_maintenance_list(struct tr_core *c, struct tr_req *r);
void tr_api_maintenance_add(struct tr_core *c, struct tr_req *r);
void tr_api_maintenance_end(struct tr_core *c, struct tr_req *r);
void tr_api_command_types(struct tr_core *c, struct tr_req *r);
void tr_api_command_list(struct tr_core *c, struct tr_req *r);
void tr_api_command_order(struct tr_core *c, struct tr_req *r);
void tr_api_command_get(struct tr_core *c, struct tr_req *r);
void tr_api_command_approve(struct tr_core *c, struct tr_req *r);
void tr_api_command_cancel(struct tr_core *c, struct tr_req *r);
void tr_api_command_retry(struct tr_core *c, struct tr_req *r);
void tr_api_agent_commands(struct tr_core *c, struct tr_req *r);
void tr_api_agent_receipts(struct tr_core *c, struct tr_req *r);

/* Is this agent allowed to speak on this connection? Fills a problem when not. */
struct tr_item *tr_core_agent_of(struct tr_core *c, struct tr_req *r);
/* The agent's row, by value; its views are good until the enclosing block ends or the row changes. */
#define tr_agent_now(c, i) (*(const struct tr_agent_row *)TR_ROW(&(c)->agents, (i)))
/* Renewing and enrolling again each cost a signature, a commit and rows for ever, so one agent gets only so many;
 * false: refused with 429 and answered. */
bool tr_core_may_write(struct tr_item *i, struct tr_req *r);
/* The agent in the path, or NULL and answered: 404, and 409 when it is not active any more. */
struct tr_item *tr_agent_named_active(struct tr_core *c, struct tr_req *r);
/* The key in the path, by the first digits of its id, as people type them: eight are enough when they are unique. NULL and
 * answered: 409, and 404 with the sentence `missing`. */
struct tr_item *tr_key_named(struct tr_req *r, const struct tr_table_mem *t, const char *missing);
/* Windows in force. */
size_t tr_maintenance_running(const struct tr_core *c);
bool tr_maintenance_covers(const struct tr_core *c, const struct tr_agent_row *agent);
/* What people see: row and live part together, as JSON. */
void tr_agent_json(const struct tr_core *c, const struct tr_item *i, struct tr_buf *b);
/* Writes what pulses changed into the store, transaction after transaction, until nothing is left; at most `most` rows. */
void tr_core_sweep(struct tr_core *c, size_t most);
/* At the end: as much as is reasonable, without waiting for the store's answers. */
void tr_core_sweep_last(struct tr_core *c);

#endif
