/* SPDX-License-Identifier: Apache-2.0 */
/* The keyset: the document by which roots (k of n, offline) say which other keys hold which role. COSE_Sign, one
 * signature per root key. Epoch N+1 is signed by the thresholds of N and of N+1; agents accept only newer ones.
 * `trothd init` makes epoch 1 with a 1-of-1 root in this final format. */
#ifndef TR_SIGNED_KEYSET_H
#define TR_SIGNED_KEYSET_H

#include "codec/cose.h"
#include "crypto/key.h"

#define TR_KEYSET_DOMAIN "troth/keyset/v1"
#define TR_KEYSET_MAX 65536
#define TR_KEYSET_ROOTS_MAX 16
#define TR_KEYSET_KEYS_MAX 64
#define TR_KEYSET_REVOKED_MAX 256

enum tr_key_role { TR_ROLE_COMMAND, TR_ROLE_RELEASE, TR_ROLE_CONFIG, TR_ROLE_LOG, TR_ROLE_CA, TR_ROLE_OPERATOR,
		   TR_ROLE_N };

struct tr_keyset_key {
	enum tr_key_role role;
	struct tr_view key;   /* SPKI DER; for TR_ROLE_CA the CA certificate's DER */
	int64_t not_before_ms, not_after_ms; /* not_after 0: none */
	int64_t no_sign_after_ms;            /* 0: none; planned retirement */
};

struct tr_keyset {
	struct tr_view trust_domain;
	uint64_t epoch;
	int64_t issued_ms, expires_ms;
	struct tr_view prev_digest; /* tr_keyset_digest of the previous keyset; empty for epoch 1 */
	uint64_t threshold;
	size_t n_roots;
	struct tr_view roots[TR_KEYSET_ROOTS_MAX]; /* SPKI DER, sorted bytewise, unique */
	size_t n_keys;
	struct tr_keyset_key keys[TR_KEYSET_KEYS_MAX];
	uint64_t revocation_number;
	size_t n_revoked;
	uint8_t revoked[TR_KEYSET_REVOKED_MAX][32]; /* SHA-256 of SPKI (or certificate), sorted */
};

/* The bytes that root keys sign. */
TR_RC tr_keyset_payload(const struct tr_keyset *k, struct tr_buf *ret, struct tr_err *err);
/* Payload plus the signatures of these roots. */
TR_RC tr_keyset_sign(struct tr_view payload, const struct tr_privkey *const *roots, size_t n, struct tr_buf *ret,
		     struct tr_err *err);
/* Verifies against pinned roots: at least `threshold` distinct listed root keys signed. `pin` is the expected root
 * fingerprint (32 bytes): the keyset's own root set must hash to it. Views borrow from in. TR_E_DENIED otherwise.
 * From epoch 2 on, signatures of keys that are not among its roots are passed over: they are the predecessor's, and only
 * verify_next can check them. now_ms 0: whatever its expiry (a link of a chain that is not the last). */
TR_RC tr_keyset_verify_pinned(struct tr_view in, const uint8_t pin[32], int64_t now_ms, struct tr_keyset *ret,
			      struct tr_err *err);
/* The next one: epoch exactly one higher, tr_keyset_digest(prev_bytes) as its predecessor, the same trust domain, issued
 * no earlier, a set of revocations that only grows (and its number with it), and signed by the thresholds of prev's roots
 * and of its own: a signature of a root that is in both counts for both. prev was verified before. Expiry as above. */
TR_RC tr_keyset_verify_next(struct tr_view prev_bytes, const struct tr_keyset *prev, struct tr_view in, int64_t now_ms,
			    struct tr_keyset *ret, struct tr_err *err);
/* Adds one signature, offline, one holder after the other. in: a draft (the bare payload, as tr_keyset_payload makes it) or
 * an object that has some already; one of the same root is replaced. Only verify says whether they are enough. From epoch
 * 2 on a root of the predecessor may sign, too. TR_E_BUSY: it has TR_COSE_SIGS_MAX of others already. */
TR_RC tr_keyset_add_signature(struct tr_view in, const struct tr_privkey *root, struct tr_buf *ret, struct tr_err *err);
/* Its signatures: which of its own roots, and of prev's (NULL: none), have signed; counts against the thresholds. Every
 * signature is checked, as in verify; a draft has none. For people who collect them. */
struct tr_keyset_signed {
	size_t by_own, by_prev;
	bool own[TR_KEYSET_ROOTS_MAX], prev[TR_KEYSET_ROOTS_MAX];
};
TR_RC tr_keyset_signatures(struct tr_view in, const struct tr_keyset *prev, struct tr_keyset_signed *ret,
			   struct tr_err *err);
/* SHA-256 of the payload, of a draft as of the signed object: what the next keyset names as its predecessor. Not of the
 * whole object, which changes when somebody adds a signature or re-encodes one (ECDSA has two valid ones for each). */
void tr_keyset_digest(struct tr_view bytes, uint8_t out[32]);

const char *tr_key_role_name(enum tr_key_role r);
bool tr_key_role_of(struct tr_view name, enum tr_key_role *ret);
bool tr_keyset_revokes(const struct tr_keyset *k, const uint8_t key_id[32]);
/* The key of this role whose kid (first 16 bytes of SHA-256 of `key`) this is; NULL: none. Revoked ones are found. */
const struct tr_keyset_key *tr_keyset_find(const struct tr_keyset *k, enum tr_key_role role, struct tr_view kid);
/* May a thing that this key signed at signed_ms be believed at now_ms? TR_REF_-like answer as a plain enum: valid, revoked,
 * or outside its time. A key with no_sign_after T is believed for what was signed until T. */
enum tr_key_standing { TR_KEY_GOOD, TR_KEY_REVOKED, TR_KEY_OUTSIDE };
enum tr_key_standing tr_keyset_standing(const struct tr_keyset *k, const struct tr_keyset_key *key, int64_t signed_ms,
					int64_t now_ms);

/* Fields without verification, for people who look at a file: whoever shows them says "unverified". */
TR_RC tr_keyset_unverified(struct tr_view in, struct tr_keyset *ret, struct tr_err *err);
/* The same of a draft (the bare payload), or of an object. */
TR_RC tr_keyset_draft(struct tr_view in, struct tr_keyset *ret, struct tr_err *err);
/* SHA-256 over the canonical CBOR [threshold, [spki, …]] of the root set. */
void tr_keyset_root_fingerprint(const struct tr_keyset *k, uint8_t out[32]);

#endif
