/* SPDX-License-Identifier: Apache-2.0 */
/* libtroth: make and check claims about a running binary, exactly as the Troth server and agent do.
 *
 * A *signer* holds a private key and makes claims. A *verifier* holds a policy, the keys that vouch and the allowed
 * hashes, and judges claims. There are two forms:
 *
 *   native    a COSE_Sign1 object signed by the device's own key (docs/protocol/claim.cddl)
 *   original  a JSON object signed by a fleet-wide key over node_id:binary_hash:version:unix_seconds
 *
 * Both are *self-asserted*: who holds the key says so, and a host that can read the key could say anything.
 *
 * Units: times are Unix milliseconds (UTC), lengths are bytes, hashes in text are "sha256:" and 64 lower-case hex
 * digits. Text arguments are UTF-8 and end with NUL.
 *
 * Ownership: what a function returns through `ret` belongs to the caller: objects go to their _free function, bytes
 * to troth_free. Everything passed in is copied; nothing is kept. All _free functions accept NULL.
 *
 * Errors: functions return TROTH_OK or a code; `err` may be NULL, else it receives the code and a sentence that may be
 * shown to anybody. Outputs are written only on success, but for the verdict, which is always filled in.
 *
 * Threads: one object may be used by several threads at once as long as none changes it (the _add and _allow
 * functions change it). There is no hidden global state and no callback; the library logs nothing.
 *
 * State: the library remembers nothing between calls. Freshness is the caller's: hand out a random challenge for each
 * registration and accept it once (native), or remember claim_digest for twice the allowed skew (both forms). */
#ifndef TROTH_TROTH_H
#define TROTH_TROTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TROTH_API __attribute__((visibility("default")))
#define TROTH_USE __attribute__((warn_unused_result))

#define TROTH_NAME_SIZE 65      /* room for a node id or version (at most 64 bytes) and NUL */
#define TROTH_HASH_TEXT_SIZE 72 /* room for "sha256:", 64 digits and NUL */
#define TROTH_HASH_LEN 32
#define TROTH_CHALLENGE_LEN 32
#define TROTH_EXPORTER_LEN 32   /* RFC 9266: label "EXPORTER-Channel-Binding", no context */
#define TROTH_RELEASE_MAX 6656  /* bytes of a release statement */

enum troth_code {
	TROTH_OK = 0,
	TROTH_E_ARGUMENT = 1, /* an argument is missing, too long or out of its grammar: the message says which */
	TROTH_E_KEY = 2,      /* a key was refused: not PEM, too weak, of an unknown type, or publicly known */
	TROTH_E_REFUSED = 3,  /* the claim is not admitted: the verdict says why */
	TROTH_E_FILE = 4,     /* a file cannot be read, or a key file is readable by others */
	TROTH_E_INTERNAL = 5  /* out of memory or a failing machine */
};

struct troth_error {
	enum troth_code code;
	char message[256];
};

typedef struct troth_signer troth_signer;
typedef struct troth_verifier troth_verifier;

TROTH_API const char *troth_version(void); /* "0.1.0"; static */
TROTH_API void troth_free(void *bytes);

/* SHA-256 of a file as text. A program hashes itself through "/proc/self/exe", which is the image that runs, also when
 * the file was replaced or deleted since. */
TROTH_API TROTH_USE enum troth_code troth_hash_file(const char *path, char ret[TROTH_HASH_TEXT_SIZE],
						    struct troth_error *err);

/* --- signer ---------------------------------------------------------------------------------------------- */

/* Key: PEM of `len` bytes; PKCS#8, PKCS#1 or SEC 1, as stock OpenSSL writes them, not encrypted. Ed25519, P-256 or RSA
 * of 2048 to 8192 bits; weaker and publicly known keys are refused by name (requirements BA-1). */
TROTH_API TROTH_USE enum troth_code troth_signer_new(const char *pem, size_t len, troth_signer **ret,
						     struct troth_error *err);
/* The same from a file, which must not be readable by group or others. */
TROTH_API TROTH_USE enum troth_code troth_signer_load(const char *path, troth_signer **ret, struct troth_error *err);
TROTH_API void troth_signer_free(troth_signer *s);
/* SHA-256 of the public key's SubjectPublicKeyInfo: the key id in claims and lists. */
TROTH_API void troth_signer_key_id(const troth_signer *s, uint8_t ret[TROTH_HASH_LEN]);

enum troth_form {
	TROTH_FORM_NATIVE = 0,
	TROTH_FORM_ORIGINAL = 1 /* RSA keys sign with PKCS#1 v1.5 and SHA-256 (origins: FluxForge) */
};

/* What to claim. Set `size` to sizeof(struct troth_claim) and the rest to zero first, so that a program built today
 * runs with a library that knows more members. */
struct troth_claim {
	size_t size;
	enum troth_form form;
	const char *node_id;      /* [A-Za-z0-9] then [A-Za-z0-9._-]*, at most 64 bytes: no ':' (requirements BA-2) */
	const char *binary_hash;  /* "sha256:…" of the running image (BA-3) */
	const char *version;      /* 1.2.3 or v1.2.3, optional -suffix; at most 64 bytes */
	int64_t time_ms;          /* 0: now. The original form carries whole seconds */
	const uint8_t *challenge; /* native: the server's TROTH_CHALLENGE_LEN bytes (GET /api/v1/challenge) */
	const uint8_t *exporter;  /* native: TROTH_EXPORTER_LEN bytes of the TLS connection; NULL outside of one */
	const uint8_t *release;   /* native: the release statement that vouches for the hash; NULL for none */
	size_t release_len;       /* at most TROTH_RELEASE_MAX */
};

/* The claim itself: a COSE_Sign1 (native) or a JSON object (original). */
TROTH_API TROTH_USE enum troth_code troth_signer_create_claim(const troth_signer *s, const struct troth_claim *claim,
							      uint8_t **ret, size_t *ret_len,
							      struct troth_error *err);
/* The body of POST /api/v1/agents/register, JSON: {"csr", "claim"} with a certificate request by the same key (native)
 * or {"node_id", "attestation"} (original). */
TROTH_API TROTH_USE enum troth_code troth_signer_create_request(const troth_signer *s, const struct troth_claim *claim,
								uint8_t **ret, size_t *ret_len,
								struct troth_error *err);

/* --- verifier -------------------------------------------------------------------------------------------- */

enum troth_mode {
	TROTH_MODE_OFF = 0,    /* native: possession of the device key only; original: nothing is looked at */
	TROTH_MODE_AUDIT = 1,  /* admits what concerns time, binary, version or release key, and says what it was */
	TROTH_MODE_ENFORCE = 2 /* admits only what the policy allows (BA-5) */
};

enum troth_tier { TROTH_TIER_NONE = 0, TROTH_TIER_SELF_ASSERTED = 1, TROTH_TIER_KERNEL = 2, TROTH_TIER_HARDWARE = 3 };

/* Set `size` to sizeof(struct troth_policy) and the rest to zero first. */
struct troth_policy {
	size_t size;
	enum troth_mode mode;
	bool accept_native, accept_original; /* forms; others are refused with format_not_accepted (BA-2) */
	bool pin_only;            /* only allowed hashes count: no release statement, no fleet key by itself */
	const char *min_version;  /* NULL: none */
	const char *versions;     /* exact versions, joined by ','; NULL: any */
	enum troth_tier min_tier; /* binary claims are self-asserted, never more */
	int64_t skew_ms;          /* largest difference of the clocks; 0: 300000, which passes exactly (BA-4) */
};

TROTH_API TROTH_USE enum troth_code troth_verifier_new(const struct troth_policy *policy, troth_verifier **ret,
						       struct troth_error *err);
TROTH_API void troth_verifier_free(troth_verifier *v);

enum troth_key_use {
	TROTH_KEY_RELEASE = 0, /* signs release statements, which vouch for hashes in native claims */
	TROTH_KEY_FLEET = 1    /* signs original claims */
};

/* Several keys at once, each with its state and validity (BA-7). */
enum troth_key_state {
	TROTH_KEY_ACTIVE = 0,
	TROTH_KEY_RETIRED = 1, /* what it signed up to not_after_ms stays good: rotation without a gap */
	TROTH_KEY_REVOKED = 2  /* nothing it ever signed is good */
};

/* Key: PEM public key (SubjectPublicKeyInfo or PKCS#1) or certificate. not_before_ms and not_after_ms bound the time of
 * signing; 0: no bound. At most 256 keys. */
TROTH_API TROTH_USE enum troth_code troth_verifier_add_key(troth_verifier *v, const char *pem, size_t len,
							   enum troth_key_use use, enum troth_key_state state,
							   int64_t not_before_ms, int64_t not_after_ms,
							   struct troth_error *err);
/* One more allowed hash, "sha256:…". At most 65536. */
TROTH_API TROTH_USE enum troth_code troth_verifier_allow_hash(troth_verifier *v, const char *hash,
							      struct troth_error *err);

/* The outcome, filled in as far as the evidence went. Texts of `reason`, `sentence` and `tier` are static. */
struct troth_verdict {
	size_t size; /* set by the caller: sizeof(struct troth_verdict) */
	bool admitted;
	const char *reason;   /* "ok", or a stable slug: "bad_signature", "hash_not_allowed", … (BA-4) */
	const char *sentence; /* says what to do */
	int http_status;      /* what the Troth server answers */
	const char *tier;     /* "none", "self-asserted" */
	enum troth_form form;
	char node_id[TROTH_NAME_SIZE], version[TROTH_NAME_SIZE]; /* "" when not known */
	char binary_hash[TROTH_HASH_TEXT_SIZE];
	int64_t time_ms, skew_ms; /* the claim's clock; claim minus verifier */
	uint8_t challenge[TROTH_CHALLENGE_LEN]; /* native: spend it */
	uint8_t claim_digest[TROTH_HASH_LEN];   /* of the signed bytes: equal for a replay */
	uint8_t device_key_id[TROTH_HASH_LEN];  /* native */
	bool vouched;
	uint8_t vouched_by[TROTH_HASH_LEN];     /* id of the release or fleet key */
};

/* Judges the body of a registration (both forms), or an original claim by itself. `exporter`: TROTH_EXPORTER_LEN bytes
 * of the TLS connection that it came over, NULL when it came over none (then the binding is not checked). now_ms: 0 for
 * the system's clock. `ret_checks`, unless NULL, receives the explanation as JSON text with NUL at its end,
 * [{"check","ok","expected","seen"}], to be freed with troth_free.
 * Returns TROTH_OK when admitted, else TROTH_E_REFUSED; *ret is filled in both times. */
TROTH_API TROTH_USE enum troth_code troth_verifier_verify(const troth_verifier *v, const void *bytes, size_t len,
							  const uint8_t *exporter, int64_t now_ms,
							  struct troth_verdict *ret, char **ret_checks,
							  struct troth_error *err);
/* Is `claimed` the expected hash, or with `expected` NULL one of the allowed ones? Text that is not "sha256:" and 64
 * lower-case hex digits never is. Constant time for one comparison. */
TROTH_API TROTH_USE bool troth_verifier_verify_binary_hash(const troth_verifier *v, const char *claimed,
							   const char *expected);
/* Does it look at claims at all, that is: is the mode other than off? */
TROTH_API TROTH_USE bool troth_verifier_is_enabled(const troth_verifier *v);

/* --- commands of the original design ---------------------------------------------------------------------- */

/* Signed text of the forms (requirements CK-2), Ed25519 over ASCII; only whoever calls this function accepts any of them.
 * No ':' is allowed in id, type and agent_id, so that each text splits in one way. */
enum troth_command_form {
	TROTH_COMMAND_NONE = 0,
	TROTH_COMMAND_V1 = 1, /* id:type:hash            good for 48 h after created_at, which nobody signed */
	TROTH_COMMAND_V2 = 2, /* id:type:hash:time       good for 4 h, 5 minutes ahead */
	TROTH_COMMAND_V3 = 3  /* agent:id:type:hash:time the same, and for this agent only */
};

/* Set `size` to sizeof(struct troth_command_check) and the rest to zero first. */
struct troth_command_check {
	size_t size;
	const char *agent_id;    /* who received it */
	const char *const *keys; /* public keys in force, 64 hex digits each; the first is the primary, which is meant where a
				  * command names no key. Another key is never tried */
	size_t n_keys;           /* at most 64 */
	int64_t now_ms;          /* 0: the system's clock */
	/* The newest form that these keys have ever signed in; the call raises it, and what is older is refused. Keep it
	 * where it outlives the program: an attacker who has it forgotten brings the old forms back. */
	enum troth_command_form highest;
};

struct troth_command_verdict {
	size_t size;          /* set by the caller: sizeof(struct troth_command_verdict) */
	bool good;
	const char *reason;   /* "good", or a stable slug: "bad_signature", "downgrade", "too_old", … */
	const char *sentence; /* says what to do */
	enum troth_command_form form;
	char id[TROTH_NAME_SIZE], type[TROTH_NAME_SIZE];
};

/* Judges one command, a JSON object {id, type, params, signature, key_id, signed_at, agent_id, created_at}. Its members
 * decide the form and one signature is checked: what fails as v3 is not tried as v2. `ret_params`, unless NULL, receives the
 * signed parameters as JSON text with NUL at its end when the command is good, to be freed with troth_free: use these,
 * not what you received. Remember the ids of good commands, and of no others, for as long as their form is good: the
 * library knows no replays.
 * Returns TROTH_OK when good, else TROTH_E_REFUSED; *ret is filled in both times. */
TROTH_API TROTH_USE enum troth_code troth_command_verify_original(const void *json, size_t len,
								  struct troth_command_check *check,
								  struct troth_command_verdict *ret, char **ret_params,
								  struct troth_error *err);

#ifdef __cplusplus
}
#endif
#endif
