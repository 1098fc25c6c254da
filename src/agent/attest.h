/* SPDX-License-Identifier: Apache-2.0 */
/* The agent proves what machine it runs on: a challenge from the server, evidence of the TEE or TPM over that challenge and
 * the agent's key, and the registration that carries both (requirements TE-3, TE-4). Renewed before it ends, at a time of its
 * own so that a fleet does not come in step. Where the evidence comes from is tee.json, or TEE_PLATFORM; without either the
 * agent looks for what there is, and does without when there is nothing. */
#ifndef TR_AGENT_ATTEST_H
#define TR_AGENT_ATTEST_H

#include "agent/state.h"
#include "http/client.h"
#include "tee/tee.h"

#define TR_TEE_CONF_FILE "tee.json"
#define TR_ATTESTATION_FILE "attestation.json"

/* tee.json: what differs from the system's own. */
struct tr_tee_settings {
	struct tr_view platform; /* TEE_PLATFORM; empty: "auto" */
	struct tr_view seed, sim_kind, sim_program; /* simulated: file; "tdx", "snp", "sgx"; 48 bytes as hex */
	bool sim_debug;
	struct tr_view tcti;     /* TPM: for tpm2-tss; empty: the kernel's device */
	struct tr_view secretvm_url, secretvm_scheme, secretvm_quote;
};
extern const struct tr_record tr_tee_settings_def;
TR_RC tr_tee_settings_save(const struct tr_state *s, const struct tr_tee_settings *t, struct tr_err *err);

/* attestation.json: the last good one, and what went wrong since. */
struct tr_attestation {
	struct tr_view state;    /* "verified", "refused", "unavailable" (no evidence could be made, or no answer) */
	struct tr_view source, kind, policy, verdict, tier, tcb_status;
	bool simulated;
	int64_t verified_at, expires_at;
	struct tr_view key_id;   /* that it was made for */
	struct tr_view code, why; /* of the last failure; empty: none since */
	int64_t failed_at;
	uint64_t failures;
	bool stands;             /* of a refusal, not in the file: the server still goes by the last good one */
};
extern const struct tr_record tr_attestation_file_def;
TR_RC tr_attestation_save(const struct tr_state *s, const struct tr_attestation *a, struct tr_err *err);
/* TR_E_NOTFOUND: none was ever tried. */
TR_RC tr_attestation_load(const struct tr_state *s, struct tr_json **ret_doc, struct tr_buf *arena, struct tr_attestation *ret,
			  struct tr_err *err);

/* Where evidence comes from. Owns what conf borrows. */
struct tr_tee_choice {
	struct tr_tee_conf conf;
	struct tr_tee_settings settings;
	struct tr_json *doc;
	struct tr_buf arena, text;
	const struct tr_tee_source *source; /* NULL: there is none, and none was asked for */
};
/* Reads tee.json and TEE_PLATFORM and chooses. TR_E_UNAVAIL: what was named is not there. */
TR_RC tr_tee_choice_make(const struct tr_state *s, struct tr_tee_choice *ret, struct tr_err *err);
void tr_tee_choice_done(struct tr_tee_choice *c);
TR_DEFINE_AUTO_DONE(struct tr_tee_choice, tr_tee_choice_done)

/* Evidence over this challenge and key, as an encoded evidence set. */
TR_RC tr_attest_evidence(const struct tr_tee_choice *c, struct tr_view challenge, struct tr_view spki, struct tr_buf *ret_set,
			 struct tr_err *err);

/* Parts of a registration. Views may be empty. */
struct tr_attest_request {
	struct tr_view agent_id, agent_type, endpoint, attestation_endpoint, challenge, set;
	const struct tr_view *capabilities;
	size_t n_capabilities;
	const struct tr_pubkey *key;
	struct tr_view prekey;
	struct tr_view activation_id, activation_secret; /* TPM: what its credential activation gave */
};
TR_RC tr_attest_body(const struct tr_attest_request *q, struct tr_buf *ret, struct tr_err *err);

/* When to renew: 60 % of the way to its end, up to a fifth of it earlier or later; random: any 32 random bits. */
int64_t tr_attest_due_ms(int64_t verified_ms, int64_t expires_ms, uint32_t random);

/* The whole exchange over a connection that presents the certificate of `key`. *ret borrows from arena. TR_E_DENIED: the
 * server refused, ret->code and ret->why say why. */
struct tr_attest_io {
	const struct tr_state *state;
	struct tr_client *client;
	int64_t verify_ms; /* as in tr_client_request */
	int64_t now_ms;
	const struct tr_privkey *key;
	struct tr_view prekey;
};
TR_RC tr_attest(const struct tr_attest_io *io, const struct tr_tee_choice *c, struct tr_buf *arena, struct tr_attestation *ret,
		struct tr_err *err);

/* In `troth-agent status`: a line or two; and ,"attestation":{…} or null. */
void tr_attestation_text(const struct tr_state *s);
void tr_attestation_json(const struct tr_state *s, struct tr_buf *b);

/* `troth-agent tee show`, `tee use PLATFORM`, `tee simulate-root DIR`. */
int tr_agent_tee_show(const char *state_dir, bool as_json);
int tr_agent_tee_use(const char *state_dir, const struct tr_tee_settings *t);
int tr_agent_tee_simulate_root(const char *dir, const char *kind);

#endif
