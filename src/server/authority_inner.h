/* SPDX-License-Identifier: Apache-2.0 */
/* Inside keyset*.c, signing.c, skeys_change.c, skeys_watch.c and api_keys.c only. */
#ifndef TR_SERVER_AUTHORITY_INNER_H
#define TR_SERVER_AUTHORITY_INNER_H

#include "server/authority.h"
#include "server/skeys.h"

#define TR_SKEYS_MAX 512  /* rows of all ages */
#define TR_SKEYS_PREPARED_MAX 16 /* that no keyset names: far fewer than role `keys` can hold open */
#define TR_TURNS_MAX 64

/* One change of keys or keysets after the other, each from reading the rows to their being durable: so none is made from what
 * another is just changing. The turn owns r, which may be NULL (the clock's doing), and ends with tr_turn_end. */
typedef void (*tr_turn_fn)(struct tr_core *c, struct tr_req *r);

struct tr_authority {
	uint8_t first_pin[32];   /* root.pin */
	struct tr_buf file;      /* keyset.cose, for the first start */
	struct tr_buf ca_der;    /* certificate of the CA that this server uses */
	struct tr_buf bytes;     /* newest keyset; empty: none verified yet */
	struct tr_keyset keyset; /* borrows from bytes */
	bool broken;             /* another node published what does not verify */
	bool importing, imported;

	/* What role `keys` can sign with. */
	uint8_t (*opened)[32];   /* of the sealed ones */
	size_t n_opened;
	struct tr_buf held;      /* list of tr_msg_held */
	uint8_t load_asked[32];  /* digest of the ids that were asked to be opened */
	bool loading, load_told;

	bool can_sign;           /* and with what, until when */
	uint8_t command_key[32];
	int64_t can_until_ms;    /* 0: no end */
	struct { uint8_t id[32]; uint64_t n; } uses[4], uses_sent[4]; /* signatures not counted in rows; on their way there */
	uint64_t uses_stored_at; /* monotonic */
	uint64_t signed_total, sign_failures;

	struct { tr_turn_fn fn; struct tr_req *r; } turns[TR_TURNS_MAX];
	size_t turn_at, n_turns;
	bool turning;
};

/* Takes r. Refuses it with 503 when too many wait. */
void tr_turn_take(struct tr_core *c, tr_turn_fn fn, struct tr_req *r);
void tr_turn_end(struct tr_core *c);
bool tr_turns_idle(const struct tr_core *c);

/* ---- a change of keys on its way (skeys_change.c) ---- */

/* What is told of a change once it is durable; by then the rows that it was made of are others. */
struct tr_key_note {
	uint8_t id[32];
	char role[17], reason[257];
	enum tr_skey_state from, to;
	bool fresh;
};

struct tr_key_change {
	struct tr_core *c;
	struct tr_req *r;          /* NULL: the clock's */
	struct tr_skeys s;
	struct tr_row_room *rooms;
	uint8_t (*ids)[32];        /* of new rows */
	size_t n_stored;           /* keys beyond are new rows */
	struct tr_key_note *notes;
	size_t n_notes;
	struct tr_tx *tx;
	uint8_t about[32];         /* the key that r is about */
	int status;                /* of the answer */
	bool published;            /* a keyset comes with it */
	char name[32];             /* of a new key that was given none */
	char by[80];
};
/* Every row, named by the newest keyset, with room for `more` new ones. Takes r; NULL: out of memory, r is answered and still
 * the caller's. */
struct tr_key_change *tr_key_change_begin(struct tr_core *c, struct tr_req *r, size_t more);
/* Ends it, and the turn, without a change; takes ch. */
void tr_key_change_drop(struct tr_key_change *ch);
/* Stores what changed, with its audit rows; then events, re-signing, and the answer: of the key `about`, or of a publication.
 * Takes ch and ends the turn. */
void tr_key_change_commit(struct tr_key_change *ch);
/* A new row at the end of s; id, version and name are given here. */
struct tr_skey *tr_key_change_add(struct tr_key_change *ch, const struct tr_skey_row *row);

/* ---- the rest ---- */

bool tr_authority_usable(const struct tr_core *c, struct tr_view id);
void tr_authority_refresh_key(struct tr_core *c); /* which key signs now */
bool tr_authority_load_keys(struct tr_core *c);   /* has `keys` open what is sealed; false: it has not answered yet */
void tr_authority_hold(struct tr_core *c);        /* rows for what `keys` holds besides */
void tr_authority_count_uses(struct tr_core *c, const uint8_t id[32], uint64_t n);
void tr_keyset_release_keys(struct tr_key_change *ch, const struct tr_keyset *k); /* keyset_vkeys.c */
bool tr_keyset_names_release(const struct tr_core *c);
void tr_skey_json(const struct tr_core *c, const struct tr_skey_row *row, struct tr_buf *b);
void tr_short_id(struct tr_view id, char out[17]); /* 16 hex digits, for people */

#endif
