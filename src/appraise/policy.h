/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal policy for binary claims and what it decides from. Pure: time, keys, reference values and the
 * connection's exporter are arguments. Runs in the sandboxed appraise role and in libtroth. */
#ifndef TR_APPRAISE_POLICY_H
#define TR_APPRAISE_POLICY_H

#include "appraise/verdict.h"
#include "signed/claim.h"
#include "signed/claim_original.h"
#include "signed/release.h"

enum tr_mode { TR_MODE_OFF, TR_MODE_AUDIT, TR_MODE_ENFORCE };
bool tr_mode_from_name(struct tr_view v, enum tr_mode *ret); /* "off", "audit", "enforce"; anything else false */
const char *tr_mode_name(enum tr_mode m);

/* State of a verification key (BA-7). */
enum tr_vkey_state { TR_VKEY_ACTIVE, TR_VKEY_RETIRED, TR_VKEY_REVOKED };
enum tr_vkey_use { TR_VKEY_RELEASE, TR_VKEY_FLEET /* signs original claims */ };

struct tr_vkey {
	struct tr_pubkey *key;
	enum tr_vkey_use use;
	enum tr_vkey_state state;
	int64_t not_before_ms, not_after_ms; /* 0: none */
};

#define TR_CLAIM_SKEW_MS 300000 /* BA-4; exactly 300 s passes, as in the original */

struct tr_policy {
	enum tr_mode mode;
	bool accept_native, accept_original;
	const struct tr_vkey *vkeys;
	size_t n_vkeys;
	const uint8_t (*hashes)[32]; /* allowed hashes: pins and published releases */
	size_t n_hashes;
	const uint8_t (*withdrawn)[32]; /* taken back: for these no statement counts, enclosed or not */
	size_t n_withdrawn;
	bool pin_only;               /* only `hashes` count, an enclosed statement alone does not (pins are set) */
	struct tr_view min_version;  /* empty: none */
	struct tr_view versions;     /* comma-joined exact versions; empty: any */
	enum tr_tier min_tier;
	int64_t skew_ms;             /* 0: TR_CLAIM_SKEW_MS */
};

/* One line of "expected / seen" that explains the verdict. */
struct tr_check {
	const char *name; /* static: "signature", "clock", "challenge", "channel", "hash", "version", "tier", … */
	bool ok;
	char expected[160], seen[160];
};
#define TR_CHECKS_MAX 16

struct tr_appraisal {
	enum tr_reason reason; /* the first that failed, in the documented order */
	bool native;
	bool admitted;         /* reason OK, or mode is audit/off and the failure is one that these tolerate */
	enum tr_tier tier;
	char node_id[65], version[65];
	uint8_t binary_hash[32];
	int64_t claim_time_ms;
	int64_t skew_ms;                 /* claim time minus now */
	uint8_t claim_digest[32];        /* replay identity: SHA-256 of the signed bytes */
	uint8_t challenge[32];           /* native; the caller spends it */
	uint8_t vkey_id[32];             /* release or fleet key that vouched; all zero when none */
	bool vouched;
	char release_name[65], platform[65];
	uint8_t device_key_id[32];       /* native */
	char disk_path[256];
	size_t n_checks;
	struct tr_check checks[TR_CHECKS_MAX];
};

/* Body of a native registration: {"csr": base64, "claim": base64}. On return *ret is always filled as far as the
 * evidence went; ret_key is the device key when the CSR was good (possession proven), else NULL. Order of checks:
 * format accepted, JSON and encodings, key strength, CSR signature, claim signature, key binding, channel, clock,
 * hash and release key, version, tier. Challenge, replay and token are the caller's (it holds that state).
 * Mode off still demands a good CSR and claim signature from the device key, since a certificate is issued to it;
 * audit tolerates CLOCK_DESYNC, HASH_NOT_ALLOWED, VERSION_NOT_ALLOWED, UNKNOWN_KEY, KEY_REVOKED, RELEASE_EXPIRED,
 * TIER_TOO_LOW and nothing that concerns identity. */
void tr_appraise_native(const struct tr_policy *p, struct tr_view body, struct tr_view exporter, int64_t now_ms,
			struct tr_appraisal *ret, struct tr_pubkey **ret_key);
/* Body of an original registration: {"node_id", "attestation": {…}}; other members are ignored as the original's
 * row had them. */
void tr_appraise_original(const struct tr_policy *p, struct tr_view body, int64_t now_ms, struct tr_appraisal *ret);
/* Looks at the body: native, original or neither (malformed). */
void tr_appraise_body(const struct tr_policy *p, struct tr_view body, struct tr_view exporter, int64_t now_ms,
		      struct tr_appraisal *ret, struct tr_pubkey **ret_key);
/* The checks as a JSON array [{"check","ok","expected","seen"}]. */
void tr_appraisal_checks_json(const struct tr_appraisal *a, struct tr_buf *b);

#endif
