/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the run loop share: the state of the one process that runs. report.c tells it, identity.c
 * reads it from the folder, rekey.c changes certificate and key, between.c asks for commands and brings receipts,
 * refresh.c follows the keyset, reattest.c proves what machine this is, cmd_*.c do what commands say, loop.c does the
 * rest. Nobody else includes this. */
#ifndef TR_AGENT_RUNNER_H
#define TR_AGENT_RUNNER_H

#include "agent/attest.h"
#include "agent/authority.h"
#include "agent/evidence.h"
#include "agent/link.h"
#include "agent/obey.h"
#include "agent/peer.h"
#include "agent/pulse.h"
#include "agent/request.h"
#include "agent/revocations.h"
#include "agent/rotate.h"

/* Proofs of what machine this is (reattest.c). */
struct tr_attesting {
	struct tr_tee_choice choice;
	struct tr_attestation last; /* as in the file; borrows from doc and arena */
	struct tr_json *doc;
	struct tr_buf arena;
	int64_t due_ms;		    /* by the server's clock */
	uint64_t not_before;	    /* tr_mono_ms */
	unsigned failures;
	bool asked;		    /* ordered */
	struct tr_err unusable;	    /* code: what was named is not there, and why */
};

struct tr_runner {
	struct tr_state state;
	struct tr_evidence evidence;
	struct tr_pulser pulser;
	struct tr_link link;
	struct tr_buf cert_pem;
	struct tr_next next;
	bool use_next; /* the next pulse goes out with the next key */
	bool rotate_asked;
	struct tr_request request; /* that is being carried out */
	int64_t renew_due_ms;
	uint64_t renew_not_before, rotate_not_before; /* tr_mono_ms */
	unsigned renew_failures;
	bool renew_told; /* the last answer asked for it */
	uint32_t spread; /* of this process's start, so that a fleet does not rotate in step */
	struct tr_pulse_outcome last;
	bool in_touch; /* the last round ended with a pulse that was accepted */
	bool bpf_bad;  /* said in the log */
	struct tr_peer_child peer;
	struct tr_attesting attesting;
	struct tr_revocations revocations; /* of agents */
	uint64_t revocations_not_before;   /* tr_mono_ms */
	struct tr_agent_status status;
	char status_server[TR_URL_MAX + 1], status_error[512], status_prev[17], status_code[64];

	/* commands */
	struct tr_authority authority;
	struct tr_journal_file journal_file;
	struct tr_obey obey;
	uint64_t wait_s;	 /* how long a question may wait; 0: ask nothing before the next pulse's answer */
	bool pending;		 /* the server said that something waits */
	bool resumed;		 /* what an earlier process left was looked at */
	bool pulse_now, restart; /* a command asked for it */
	bool stale, unsupported; /* said in the log */
	uint64_t kid_asked_ms;	 /* the last refresh for the sake of an unknown key */
	uint64_t stranger_asked_ms;
};

void tr_runner_done(struct tr_runner *r);
TR_DEFINE_AUTO_DONE(struct tr_runner, tr_runner_done)

uint32_t tr_random32(void);
/* The key whose certificate the connection presents. */
const struct tr_privkey *tr_run_key(const struct tr_runner *r);

/* ---- report.c ---- */
void tr_run_save_status(struct tr_runner *r, const char *state);
void tr_run_note_error(struct tr_runner *r, const char *text);
void tr_run_log_failure(struct tr_runner *r, const struct tr_pulse_outcome *res, const struct tr_err *err);
/* The end of a round, accepted or not. */
void tr_run_account(struct tr_runner *r, enum tr_outcome what);

/* ---- identity.c ---- */
TR_RC tr_run_load_cert(struct tr_runner *r, struct tr_err *err);
TR_RC tr_run_open_eye(struct tr_runner *r, struct tr_err *err);
/* SIGHUP: the folder is read anew; what does not load leaves the agent as it was. */
void tr_run_reload(struct tr_runner *r);

/* ---- rekey.c: what follows an accepted pulse ---- */
/* By the server's clock where ours cannot be trusted, Unix ms. */
int64_t tr_run_now_ms(const struct tr_runner *r);
void tr_run_renew_if_due(struct tr_runner *r);
/* True: a pulse with the next key should follow at once. */
bool tr_run_rotate_if_due(struct tr_runner *r);
/* The server took a pulse: which of the two keys is in force is decided. */
void tr_run_settle_rotation(struct tr_runner *r);
/* After a refusal: the server knows only one of two keys, and which one a crash made us forget. True: try the
 * other. */
bool tr_run_other_key(struct tr_runner *r);
void tr_run_finish_request(struct tr_runner *r, enum tr_request_kind kind);

/* ---- reattest.c ---- */
/* Reads the settings and chooses the source; what is named and not there is said in the log. */
void tr_run_open_attest(struct tr_runner *r);
void tr_run_close_attest(struct tr_runner *r);
void tr_run_attest_if_due(struct tr_runner *r);
/* Until it is; UINT64_MAX: not before the next pulse was accepted, or never. */
uint64_t tr_run_attest_in_ms(const struct tr_runner *r);

/* ---- refresh.c ---- */
/* Asks the connected server for newer keysets, to the end. TR_E_BUSY: not so soon after a failure (unless forced). */
TR_RC tr_run_refresh(struct tr_runner *r, bool force, struct tr_err *err);
void tr_run_refresh_if_due(struct tr_runner *r);
/* No server has a certificate by a CA of our keyset: perhaps of a newer one. Asks this one for the chain over a connection
 * that nobody verifies: the roots' signatures decide. True: the keyset moved. */
bool tr_run_refresh_from_stranger(struct tr_runner *r, const char *url);

/* ---- between.c ---- */
TR_RC tr_run_open_journal(struct tr_runner *r, struct tr_err *err);
/* After an accepted pulse: what waits here, and what the server does not know yet. */
void tr_run_after_pulse(struct tr_runner *r);
/* Until the next pulse: asks for commands and obeys them. The signal that ended it, or 0. */
int tr_run_between(struct tr_runner *r, uint64_t ms);
/* What the handlers and the verification of commands go by, as of now. */
void tr_run_set_scope(struct tr_runner *r);

/* ---- cmd_process.c ---- */
/* It was ordered, and no new key is on its way with a server that answers: a restart would undo that. */
bool tr_run_may_restart(const struct tr_runner *r);
/* Begins this program anew in this process. Returns only when that failed. */
void tr_run_restart(struct tr_runner *r);
/* ---- cmd_settings.c ---- */
/* The beat: the server's word, or a faster one that was ordered. */
uint64_t tr_run_interval_s(const struct tr_runner *r, uint64_t told_s);

extern const struct tr_cmd_ops tr_cmd_status, tr_cmd_inventory, tr_cmd_reattest, tr_cmd_refresh_keyset, tr_cmd_note,
	tr_cmd_set_interval, tr_cmd_restart_agent, tr_cmd_rotate_key, tr_cmd_quarantine, tr_cmd_release;

#endif
