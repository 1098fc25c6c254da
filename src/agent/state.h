/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's folder, 0700, and everything in it. One process at a time changes it: the lock is on the folder
 * itself.
 *
 *   device.key   PKCS#8, 0600: made once, replaced only by    device.pub   its public key, checked at every load
 *                a rotation (agent/rotate.h)
 *   agent.json   who this agent is and which servers it knows  keyset.cose  what the pinned roots signed
 *   ca.pem       the CAs that keyset names                     cert.pem     the agent's certificate
 *   chain.cbor   where the chain of pulses stands              status.json  how the last pulse went, for `status`
 *   journal.bin  commands and what became of them              notes.log    lines that commands asked for
 *   authority.cbor  when the keyset was last confirmed         quarantine.json  there while quarantined
 *   tee.json     where evidence comes from                 attestation.json  what the server made of it
 *   revocations.cbor  agents that are not believed any more
 *   *.next       key and certificate of a rotation under way   request.json what a command asks of a running agent */
#ifndef TR_AGENT_STATE_H
#define TR_AGENT_STATE_H

#include "codec/record.h"
#include "crypto/key.h"

#include <limits.h>

#define TR_SERVERS_MAX 8 /* URLs in the list */
#define TR_URL_MAX 256
#define TR_STALE_KEY_HOURS_MAX 720

/* agent.json. */
struct tr_agent_conf {
	struct tr_view agent_id, key_type;
	struct tr_view key_id; /* SHA-256 of the SPKI */
	int64_t created_at;
	struct tr_view servers; /* ordered, comma-joined */
	struct tr_view root;	/* pinned root fingerprint */
	struct tr_view trust_domain, partition, agent_type, spiffe_id;
	struct tr_view version; /* as enrolled, and the image it was true for */
	struct tr_view image;
	uint64_t heartbeat_interval_s;
	int64_t enrolled_at; /* 0: not enrolled */
	struct tr_view bpf_dirs; /* comma-joined folders on bpffs; empty: the default; "off": none */
	struct tr_view bpf_content; /* pins of maps whose content counts */
	uint64_t rotate_key_days; /* 0: only when asked */
	int64_t key_since; /* 0: created_at */
	uint64_t interval_s;      /* as ordered; 0: as the server says, and never slower than that */
	uint64_t stale_key_hours; /* without a server's word on the keyset: nothing but reads; 0: the default */
};

/* status.json. */
struct tr_agent_status {
	struct tr_view state; /* "starting", tr_outcome_name, "stopped" */
	uint64_t pid;
	int64_t started_at, last_try_at, last_ok_at;
	struct tr_view server;	  /* that answered last */
	uint64_t beats, failures; /* failures: in a row */
	uint64_t interval_s;
	int64_t clock_skew_ms; /* our clock minus the server's: information only */
	struct tr_view last_error;
	uint64_t seq, resyncs, rtt_us;
	struct tr_view prev; /* of the chain, the first 8 bytes in hex; empty: none */
	struct tr_view last_code; /* slug of the last refusal */
	struct tr_view clock_sync, tls_time; /* tr_sync_name; which clock certificates are checked by */
	struct tr_view bpf, bpf_why, lsm, lsm_why; /* state names, and why when it is not the good one */
	struct tr_view notice; /* what is announced now */
	bool key_rotating;
	uint64_t pending; /* commands that wait */
};

struct tr_state {
	char dir[PATH_MAX - 64];
	int dir_fd; /* holds the lock once tr_state_lock succeeded */
	struct tr_buf arena;
	struct tr_json *doc;
	struct tr_agent_conf conf; /* borrows from doc and arena */
	struct tr_privkey *key;
};

#define TR_STATE_INIT ((struct tr_state){ .dir_fd = -1 })

void tr_state_done(struct tr_state *s);
TR_DEFINE_AUTO_DONE(struct tr_state, tr_state_done)

/* Opens an existing folder: ours and closed to others. Root becomes the folder's owner first, for good, so
 * that what it writes stays readable by the service; read what only root may read before. */
TR_RC tr_state_open(const char *dir, struct tr_state *ret, struct tr_err *err);
/* TR_E_BUSY when another process holds it. Released with the state. */
TR_RC tr_state_lock(struct tr_state *s, struct tr_err *err);
/* Does a process hold the lock? */
bool tr_state_in_use(const struct tr_state *s);

/* Makes key, public key and agent.json where they are missing, and loads. TR_E_CONFLICT when what exists is
 * not what was asked for: nothing is ever replaced. id and type may be NULL: "<hostname>-<8 hex of the key>",
 * ed25519. */
TR_RC tr_state_make(struct tr_state *s, const char *id, const char *key_type, bool *ret_key_made,
		    struct tr_err *err);
/* Are they of the right form? */
TR_RC tr_state_asked_ok(const char *id, const char *key_type, struct tr_err *err);
/* Loads key and agent.json; refuses a key that others can read, that does not parse, or that is not the one
 * in device.pub and agent.json. */
TR_RC tr_state_load(struct tr_state *s, struct tr_err *err);
/* Loads agent.json alone, whatever the key. */
TR_RC tr_state_load_conf(struct tr_state *s, struct tr_err *err);
/* Writes agent.json from *c, whose views may borrow from s, and loads it again. */
TR_RC tr_state_save(struct tr_state *s, const struct tr_agent_conf *c, struct tr_err *err);

/* "ed25519", "p256", "rsa". */
const char *tr_state_key_type_name(enum tr_key_type type);

void tr_state_path(const struct tr_state *s, const char *name, char path[PATH_MAX]);
TR_RC tr_state_read(const struct tr_state *s, const char *name, size_t max, struct tr_buf *ret,
		    struct tr_err *err);
TR_RC tr_state_write(const struct tr_state *s, const char *name, struct tr_view bytes, struct tr_err *err);

/* The status is atomic but not synced: it is written every pulse and worth nothing after a crash. */
TR_RC tr_status_save(const struct tr_state *s, const struct tr_agent_status *st, struct tr_err *err);
/* Views borrow from *ret_doc and *arena. TR_E_NOTFOUND when `run` never ran. */
TR_RC tr_status_load(const struct tr_state *s, struct tr_json **ret_doc, struct tr_buf *arena,
		     struct tr_agent_status *ret, struct tr_err *err);
extern const struct tr_record tr_agent_conf_def, tr_agent_status_def;

/* The default agent id. Pure: host may be any bytes. */
void tr_state_default_id(const char *host, const uint8_t key_id[32], char ret[65]);

/* Checks a comma list of https://host[:port]; writes it back without trailing slashes and spaces. */
TR_RC tr_servers_check(const char *list, struct tr_buf *ret, struct tr_err *err);
/* Cuts the next URL off the front of *list; false at the end. */
bool tr_servers_next(struct tr_view *list, char ret_url[TR_URL_MAX + 1]);

#endif
