/* SPDX-License-Identifier: Apache-2.0 */
/* The receipt: what became of one command, COSE_Sign1 by the agent's device key, sent until the server has it. Also the
 * voice of a refusal: an agent that was given a command it does not obey says so, signed. */
#ifndef TR_SIGNED_RECEIPT_H
#define TR_SIGNED_RECEIPT_H

#include "signed/command.h"

#define TR_RECEIPT_DOMAIN "troth/receipt/v1"
#define TR_RECEIPT_MAX 12288
#define TR_RECEIPT_RESULT_MAX 8192
#define TR_RECEIPT_MISSING_MAX 16

/* In signed bytes and journals: never renumber. */
enum tr_cmd_state {
	TR_CS_RECEIVED = 1,       /* journaled; for an order with not_before: waits */
	TR_CS_STARTED,
	TR_CS_DONE,
	TR_CS_FAILED,             /* the handler says why in code */
	TR_CS_UNKNOWN,            /* interrupted, and nobody can tell whether it happened: a human must look */
	TR_CS_REFUSED,            /* code: tr_refusal_slug */
	TR_CS_CANCELLED,
	TR_CS_N
};
const char *tr_cmd_state_name(uint64_t s); /* "received", … */
bool tr_cmd_state_final(uint64_t s);

struct tr_receipt {
	struct tr_view agent_id;
	uint8_t cmd_id[TR_CMD_ID_LEN];  /* zeros: of a command that could not be read */
	uint8_t command[32];      /* SHA-256 of the command's signed bytes */
	uint64_t line, seq;       /* of the command answered */
	uint64_t state;           /* enum tr_cmd_state */
	struct tr_view code;      /* slug; empty when all is well */
	struct tr_view result;    /* JSON object made by the agent, at most TR_RECEIPT_RESULT_MAX; may be empty */
	int64_t at_ns;            /* the agent's clock */
	uint64_t position;        /* of the record in the agent's journal; rises */
	uint64_t keyset_epoch;
	uint64_t high;            /* highest seq of the present line */
	size_t n_missing;
	uint64_t missing[TR_RECEIPT_MISSING_MAX]; /* below high and never seen; the lowest ones, rising */
};

TR_RC tr_receipt_sign(const struct tr_receipt *r, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err);
TR_RC tr_receipt_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_receipt *ret, struct tr_err *err);

/* ---- the unsigned answers that carry commands (CBOR, over the checked TLS connection) ---- */

#define TR_DELIVERY_MAX 16        /* commands in one answer */
#define TR_DELIVERY_WAIT_MAX_S 60 /* TR_PULSE_WAIT_MAX_S */
struct tr_delivery {
	uint64_t keyset_epoch;    /* the server's: a higher one than ours says refresh now */
	uint64_t wait_s;          /* how long the next question may wait; 0: do not ask, look at the next pulse's answer */
	size_t n;
	struct tr_view commands[TR_DELIVERY_MAX];
};
/* Marks out failed when a member breaks its rule. */
void tr_delivery_put(const struct tr_delivery *d, struct tr_buf *out);
TR_RC tr_delivery_get(struct tr_view in, struct tr_delivery *ret, struct tr_err *err);

#endif
