/* SPDX-License-Identifier: Apache-2.0 */
/* Inside role `keys` only: the private keys that it holds, and what it does with those that sign commands. */
#ifndef TR_SERVER_KEYRING_H
#define TR_SERVER_KEYRING_H

#include "crypto/wrap.h"
#include "crypto/x509.h"
#include "ipc/chan.h"
#include "server/config.h"
#include "server/msg.h"
#include "signed/keyset.h"

#define TR_HELD_MAX 128
#define TR_SEAL_KEY "keys/seal.key"

/* The key that signs results of appraisals: sealed like command keys, in no keyset (docs/decisions/0025). */
#define TR_RING_RESULT ((enum tr_key_role)TR_ROLE_N)
#define TR_RING_RESULT_NAME "result"

struct tr_held {
	enum tr_key_role role;
	struct tr_privkey *key;
	bool sealed; /* comes from the database: forgotten when core says so */
};

struct tr_keyring {
	const struct tr_config *cfg;
	uint8_t seal[TR_WRAP_KEY_LEN];
	struct tr_held held[TR_HELD_MAX];
	size_t n;
	uint64_t second;    /* the running one, monotonic */
	unsigned commands;  /* signed in it */
	/* keyring_result.c: the certificate in force, and for which key; results signed in the running second. */
	struct tr_buf result_cert;
	uint8_t result_key[32];
	int64_t result_until;
	uint64_t result_second;
	unsigned results;
};

/* keys/seal.key, made when it is missing (as its future owner may read it). Call it before the role is confined. */
TR_RC tr_keyring_open(struct tr_keyring *k, const struct tr_config *cfg, struct tr_err *err);
void tr_keyring_done(struct tr_keyring *k);
/* Takes key. */
TR_RC tr_keyring_add(struct tr_keyring *k, enum tr_key_role role, struct tr_privkey *key, bool sealed, struct tr_err *err);
/* The held key of this role and id; NULL: none. */
const struct tr_privkey *tr_keyring_find(const struct tr_keyring *k, enum tr_key_role role, struct tr_view id);

/* One command of a batch: bytes is an encoded tr_msg_to_sign. Refused when it breaks a bound, whoever asks. */
TR_RC tr_keyring_sign(struct tr_keyring *k, const struct tr_privkey *key, const struct tr_msg_sign_commands *q,
		      struct tr_view bytes, struct tr_buf *ret, struct tr_err *err);

/* Answers to core; arg of the channel is not used, k is. */
void tr_keyring_on_load(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f);
void tr_keyring_on_make(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f);
void tr_keyring_on_sign(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f); /* keyring_commands.c */
void tr_keyring_on_original(struct tr_keyring *k, struct tr_chan *c, const struct tr_frame *f); /* keyring_original.c */
/* keyring_result.c; the CA is that of role `keys` */
void tr_keyring_on_result(struct tr_keyring *k, const struct tr_privkey *ca_key, const struct tr_cert *ca, struct tr_chan *c,
			  const struct tr_frame *f);

#endif
