/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the run loop share: the state of the one process that runs. report.c tells it, identity.c
 * reads it from the folder, rekey.c changes certificate and key, loop.c does the rest. Nobody else includes
 * this. */
#ifndef TR_AGENT_RUNNER_H
#define TR_AGENT_RUNNER_H

#include "agent/evidence.h"
#include "agent/link.h"
#include "agent/pulse.h"
#include "agent/request.h"
#include "agent/rotate.h"

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
	struct tr_agent_status status;
	char status_server[TR_URL_MAX + 1], status_error[512], status_prev[17], status_code[64];
};

void tr_runner_done(struct tr_runner *r);
TR_DEFINE_AUTO_DONE(struct tr_runner, tr_runner_done)

uint32_t tr_random32(void);

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
void tr_run_renew_if_due(struct tr_runner *r);
/* True: a pulse with the next key should follow at once. */
bool tr_run_rotate_if_due(struct tr_runner *r);
/* The server took a pulse: which of the two keys is in force is decided. */
void tr_run_settle_rotation(struct tr_runner *r);
/* After a refusal: the server knows only one of two keys, and which one a crash made us forget. True: try the
 * other. */
bool tr_run_other_key(struct tr_runner *r);
void tr_run_finish_request(struct tr_runner *r, enum tr_request_kind kind);

#endif
