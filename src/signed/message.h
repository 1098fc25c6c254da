/* SPDX-License-Identifier: Apache-2.0 */
/* A message between agents (docs/protocol/message.md): inside, a COSE_Sign1 by the sender's identity key over who, to whom,
 * which number and what; around it HPKE to the recipient's pre-key. Whoever carries it sees sender, recipient, expiry and a padded
 * length, can change none of them unnoticed, and cannot read it. HPKE has no replay protection: sequence, message id and the
 * recipient's window (tr_message_window) are it. Base mode and an inner signature instead of Auth mode: decisions. */
#ifndef TR_SIGNED_MESSAGE_H
#define TR_SIGNED_MESSAGE_H

#include "crypto/hpke.h"
#include "signed/prekey.h"

#define TR_MESSAGE_DOMAIN "troth/message/v1"
#define TR_MESSAGE_BODY_MAX 65536  /* bytes of the application */
#define TR_MESSAGE_MAX 73728       /* bytes of the sealed envelope */
#define TR_MESSAGE_PAD 256         /* the inner object is padded to a multiple */
#define TR_MESSAGE_LIFE_MAX_S 86400
#define TR_MESSAGE_ID_LEN 16

struct tr_message {
	struct tr_view fleet;           /* 1 */
	struct tr_view sender;          /* 2: agent ids */
	struct tr_view recipient;       /* 3 */
	uint8_t id[TR_MESSAGE_ID_LEN];  /* 4: random */
	uint64_t line, seq;             /* 5, 6: numbering of this sender to this recipient: line rises when it began anew */
	int64_t issued, expires;        /* 7, 8: Unix s */
	struct tr_view type;            /* 9: content type, at most 127 bytes */
	struct tr_view body;            /* 10 */
	struct tr_view answers;         /* 11: id of the message that this answers or acknowledges; empty */
};
/* The envelope: CBOR array [1, sender, recipient, expires, prekey id, enc, ciphertext]; the first five as encoded are the
 * AAD; info is "troth/message/v1" 00 fleet 00 prekey id. Sealed is: length of the COSE_Sign1 (4 bytes, big endian), itself,
 * zeros to the next multiple of TR_MESSAGE_PAD. */
struct tr_envelope {
	struct tr_view sender, recipient;
	int64_t expires;
	uint8_t prekey_id[16], enc[32];
	struct tr_view ciphertext;
};
TR_RC tr_message_seal(const struct tr_message *m, const struct tr_privkey *identity, const uint8_t prekey[32],
		      struct tr_buf *ret, struct tr_err *err);
/* The same with the sender's ephemeral key given: for vectors only. NULL: fresh. */
TR_RC tr_message_seal_by(const struct tr_message *m, const struct tr_privkey *identity, const uint8_t prekey[32],
			 const struct tr_secret *ephemeral, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_envelope_parse(struct tr_view in, struct tr_envelope *ret, struct tr_err *err);
/* Opens, then verifies with the sender's key, then compares inside and outside. storage holds what *ret borrows. Time, window
 * and whether the sender is to be trusted are the caller's. TR_E_DENIED: does not open or verify. */
TR_RC tr_message_open(const struct tr_envelope *e, struct tr_view fleet, const struct tr_secret *prekey,
		      const struct tr_pubkey *sender, struct tr_buf *storage, struct tr_message *ret, struct tr_err *err);

/* What a recipient remembers of one sender: 1024 numbers back. Judges and, with `take`, marks. */
enum tr_window_says { TR_WINDOW_NEW, TR_WINDOW_SEEN, TR_WINDOW_TOO_OLD, TR_WINDOW_OLD_LINE };
struct tr_message_window { uint64_t line, high; uint8_t bits[128]; uint64_t missing; /* numbers never seen below high */ };
enum tr_window_says tr_window_check(const struct tr_message_window *w, uint64_t line, uint64_t seq);
void tr_window_take(struct tr_message_window *w, uint64_t line, uint64_t seq);

#endif
