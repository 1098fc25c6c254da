/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in the original's three forms, for installations that move over (CK-2). Ed25519 over this ASCII text, the
 * signature as 128 lower-case hex digits:
 *
 *   v1  {id}:{type}:{hex sha256(params)}                         no signing time
 *   v2  {id}:{type}:{hex sha256(params)}:{unix seconds}
 *   v3  {agent}:{id}:{type}:{hex sha256(params)}:{unix seconds}
 *
 * params: the bytes that Go's json.Marshal writes (codec/go_json.h); absent and null count as {}. No field may hold ':'
 * (tr_ident_ok), so a text splits in one way, and its number of fields tells the form.
 *
 * Which form a command has follows from its members alone: agent_id makes it v3, else signed_at makes it v2. One
 * signature is tried, that of this form: what fails as v3 is never looked at as v2. Signing is v3 only. Nothing here
 * remembers ids: whoever runs commands keeps those that were verified, and only those, for as long as their form is
 * believed. Native commands (signed/command.h) have none of these limits. */
#ifndef TR_SIGNED_COMPAT_COMMAND_H
#define TR_SIGNED_COMPAT_COMMAND_H

#include "codec/json.h"
#include "crypto/key.h"

#define TR_COMPAT_COMMAND_MAX 65536   /* bytes of JSON */
#define TR_COMPAT_AGE_MAX_S 14400     /* v2, v3: 4 h after signing */
#define TR_COMPAT_V1_AGE_MAX_S 172800 /* v1: 48 h after its creation, which nobody signed */
#define TR_COMPAT_AHEAD_MAX_S 300

enum tr_compat_form { TR_COMPAT_NONE, TR_COMPAT_V1, TR_COMPAT_V2, TR_COMPAT_V3 };

struct tr_compat_command {
	struct tr_view id, type, agent_id; /* agent_id empty: not v3 */
	struct tr_view params;             /* as hashed */
	struct tr_view key_id, signature;  /* text; key_id may be empty */
	int64_t signed_s;                  /* Unix seconds; 0: none, v1 */
	int64_t created_ms;                /* 0: none */
};

enum tr_compat_form tr_compat_form(const struct tr_compat_command *c);
/* The signed bytes of a form, bit for bit as the original. */
void tr_compat_tbs(const struct tr_compat_command *c, enum tr_compat_form form, struct tr_buf *b);
/* Reads {id, type, params, signature, key_id, signed_at, agent_id, created_at}; others are ignored, as there. Views borrow
 * from the document and from params. */
TR_RC tr_compat_read(struct tr_view json, struct tr_json **ret_doc, struct tr_buf *ret_params,
		     struct tr_compat_command *ret, struct tr_err *err);
/* Signs in form v3 and writes the JSON object. params: any JSON object as text, written anew; signature and key_id are
 * made. TR_E_INVALID when a field breaks its rule or the key is not Ed25519. */
TR_RC tr_compat_sign(const struct tr_compat_command *c, const struct tr_privkey *k, struct tr_buf *ret_json,
		     struct tr_err *err);

enum tr_compat_answer {
	TR_COMPAT_GOOD,
	TR_COMPAT_OFF,           /* nobody asked for original commands */
	TR_COMPAT_UNKNOWN_KEY,   /* never tried with another key instead */
	TR_COMPAT_BAD_SIGNATURE,
	TR_COMPAT_DOWNGRADE,     /* this sender has signed in a newer form before */
	TR_COMPAT_WRONG_AGENT,
	TR_COMPAT_TOO_OLD,
	TR_COMPAT_NOT_YET,
	TR_COMPAT_NO_CREATION,   /* v1 without created_at: it would be good for ever */
	TR_COMPAT_ANSWER_N
};
const char *tr_compat_answer_slug(enum tr_compat_answer a);
const char *tr_compat_answer_sentence(enum tr_compat_answer a);

struct tr_compat_scope {
	bool on;                 /* zeroed: off */
	struct tr_view agent_id; /* who asks */
	const struct tr_pubkey *const *keys; /* those in force; the first is the primary, for commands without key_id */
	size_t n_keys;
	int64_t now_ms;
	/* The newest form that any of these keys has ever signed in, raised here; the caller keeps it on disk. */
	enum tr_compat_form *highest;
};
/* The first thing that is wrong. The signature is checked before anything else is believed, the newest form included. */
enum tr_compat_answer tr_compat_verify(const struct tr_compat_command *c, const struct tr_compat_scope *s);

#endif
