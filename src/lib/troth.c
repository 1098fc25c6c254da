/* SPDX-License-Identifier: Apache-2.0 */
/* The public library: a thin facade over src/signed and src/appraise, so that others judge claims by the very
 * code of the server. Callers are outside the project: every argument is checked. */
#include "troth/troth.h"

#include "appraise/policy.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/x509.h"

#include <fcntl.h>

#define KEYS_MAX 256
#define HASHES_MAX 65536
#define PEM_MAX 65536 /* bytes of a key's PEM text */
#define REQUEST_MAX (1 << 20)

/* The public numbers are the internal ones: one conversion less to get wrong. */
_Static_assert(TROTH_MODE_OFF == (int)TR_MODE_OFF && TROTH_MODE_ENFORCE == (int)TR_MODE_ENFORCE, "modes");
_Static_assert(TROTH_TIER_HARDWARE == (int)TR_TIER_HARDWARE && TR_TIER_N == 4, "tiers");
_Static_assert(TROTH_KEY_RETIRED == (int)TR_VKEY_RETIRED && TROTH_KEY_REVOKED == (int)TR_VKEY_REVOKED,
	       "states");
_Static_assert(TROTH_KEY_FLEET == (int)TR_VKEY_FLEET, "uses");
_Static_assert(TROTH_CHALLENGE_LEN == TR_CHALLENGE_LEN && TROTH_EXPORTER_LEN == TR_EXPORTER_LEN &&
		       TROTH_RELEASE_MAX == TR_RELEASE_MAX && TROTH_NAME_SIZE == TR_IDENT_MAX + 1,
	       "sizes");

struct troth_signer {
	struct tr_privkey *key;
};

struct troth_verifier {
	struct tr_policy
		policy; /* its views point into the two below; keys and hashes are set for each call */
	char *min_version, *versions;
	struct tr_vkey *keys;
	size_t n_keys;
	uint8_t (*hashes)[TROTH_HASH_LEN];
	size_t n_hashes;
};

static enum troth_code fail(struct troth_error *err, enum troth_code code, const char *message)
{
	if (err) {
		err->code = code;
		(void)snprintf(err->message, sizeof(err->message), "%s", message);
	}
	return code;
}

static enum troth_code no_memory(struct troth_error *err)
{
	return fail(err, TROTH_E_INTERNAL, "out of memory");
}

/* An inner error: `code` is what it means here, unless the machine is at fault. */
static enum troth_code pass(struct troth_error *err, enum troth_code code, const struct tr_err *e)
{
	return fail(err, e->code == TR_E_INTERNAL ? TROTH_E_INTERNAL : code,
		    e->pub ? e->pub : "unknown error");
}

const char *troth_version(void)
{
	return TROTH_VERSION;
}

void troth_free(void *bytes)
{
	free(bytes);
}

static void hash_text(const uint8_t hash[TROTH_HASH_LEN], char ret[TROTH_HASH_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *p = ret + 7;

	memcpy(ret, "sha256:", 7);
	for (size_t i = 0; i < TROTH_HASH_LEN; i++) {
		*p++ = digits[hash[i] >> 4];
		*p++ = digits[hash[i] & 15];
	}
	*p = '\0';
}

enum troth_code troth_hash_file(const char *path, char ret[TROTH_HASH_TEXT_SIZE], struct troth_error *err)
{
	tr_auto(tr_close) int fd = -1;
	uint8_t hash[TROTH_HASH_LEN];
	uint64_t size = 0;
	struct tr_err e = { 0 };

	if (!path || !ret)
		return fail(err, TROTH_E_ARGUMENT, "path and ret are needed");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(err, TROTH_E_FILE, "the file cannot be opened");
	if (tr_sha256_fd(fd, hash, &size, &e))
		return fail(err, TROTH_E_FILE, "the file cannot be read");
	hash_text(hash, ret);
	return TROTH_OK;
}

/* --- signer ---------------------------------------------------------------------------------------------- */

static enum troth_code make_signer(struct tr_privkey *key, troth_signer **ret, struct troth_error *err)
{
	troth_signer *s = malloc(sizeof(*s));

	if (!s) {
		(void)tr_privkey_free(key);
		return no_memory(err);
	}
	s->key = key;
	*ret = s;
	return TROTH_OK;
}

enum troth_code troth_signer_new(const char *pem, size_t len, troth_signer **ret, struct troth_error *err)
{
	struct tr_privkey *key = NULL;
	struct tr_err e = { 0 };

	if (!pem || !ret || len > PEM_MAX)
		return fail(err, TROTH_E_ARGUMENT, "pem (at most 64 KiB) and ret are needed");
	if (tr_crypto_init(&e))
		return pass(err, TROTH_E_INTERNAL, &e);
	if (tr_privkey_from_pem(tr_view(pem, len), &key, &e))
		return pass(err, TROTH_E_KEY, &e);
	return make_signer(key, ret, err);
}

enum troth_code troth_signer_load(const char *path, troth_signer **ret, struct troth_error *err)
{
	tr_auto(tr_buf_done) struct tr_buf pem = { .max = PEM_MAX };
	struct tr_err e = { 0 };
	enum troth_code code;

	if (!path || !ret)
		return fail(err, TROTH_E_ARGUMENT, "path and ret are needed");
	if (tr_file_read_secret(path, PEM_MAX, &pem, &e))
		return pass(err, TROTH_E_FILE, &e);
	code = troth_signer_new((const char *)pem.p, pem.n, ret, err);
	if (pem.p)
		tr_wipe(pem.p, pem.cap);
	return code;
}

void troth_signer_free(troth_signer *s)
{
	if (!s)
		return;
	(void)tr_privkey_free(s->key);
	free(s);
}

void troth_signer_key_id(const troth_signer *s, uint8_t ret[TROTH_HASH_LEN])
{
	memcpy(ret, tr_pubkey_id(tr_privkey_pub(s->key)), TROTH_HASH_LEN);
}

static enum troth_code sign_native(const troth_signer *s, const struct troth_claim *in, struct tr_buf *ret,
				   struct troth_error *err)
{
	struct tr_claim c = {
		.node_id = tr_view_str(in->node_id),
		.version = tr_view_str(in->version),
		.timestamp_ms = in->time_ms ? in->time_ms : tr_now_ms(),
		.challenge = tr_view(in->challenge, in->challenge ? TROTH_CHALLENGE_LEN : 0),
		.exporter = tr_view(in->exporter, in->exporter ? TROTH_EXPORTER_LEN : 0),
		.release = tr_view(in->release, in->release ? in->release_len : 0),
	};
	struct tr_err e = { 0 };

	if (!tr_sha256_name_ok(tr_view_str(in->binary_hash), c.binary_hash))
		return fail(err, TROTH_E_ARGUMENT,
			    "binary_hash is not \"sha256:\" and 64 lower-case hex digits");
	if (tr_claim_sign(&c, s->key, ret, &e))
		return pass(err, TROTH_E_ARGUMENT, &e);
	return TROTH_OK;
}

static enum troth_code sign_original(const troth_signer *s, const struct troth_claim *in, struct tr_buf *ret,
				     struct troth_error *err)
{
	static const enum tr_sig_alg algs[TR_KEY_TYPE_N] = {
		[TR_KEY_ED25519] = TR_SIG_ED25519,
		[TR_KEY_P256] = TR_SIG_ES256_DER,
		[TR_KEY_RSA] = TR_SIG_RS256,
	};
	struct tr_claim_original c = {
		.node_id = tr_view_str(in->node_id),
		.binary_hash = tr_view_str(in->binary_hash),
		.version = tr_view_str(in->version),
		.timestamp_s = (in->time_ms ? in->time_ms : tr_now_ms()) / 1000,
	};
	struct tr_err e = { 0 };

	if (tr_claim_original_sign(&c, s->key, algs[tr_pubkey_type(tr_privkey_pub(s->key))], ret, &e))
		return pass(err, TROTH_E_ARGUMENT, &e);
	return TROTH_OK;
}

/* A struct of a caller that may be older or newer than we are. */
static bool take_struct(void *to, size_t known, const void *from, size_t size)
{
	/* A newer caller may use members that we would silently overlook. */
	if (!from || size != known)
		return false;
	memcpy(to, from, known);
	return true;
}

static enum troth_code sign(const troth_signer *s, const struct troth_claim *claim, struct tr_buf *ret,
			    struct troth_claim *in, struct troth_error *err)
{
	if (!s || !take_struct(in, sizeof(*in), claim, claim ? claim->size : 0))
		return fail(err, TROTH_E_ARGUMENT,
			    "the signer or the claim is missing, or claim.size is not set");
	if (!in->node_id || !in->binary_hash || !in->version)
		return fail(err, TROTH_E_ARGUMENT, "the claim needs node_id, binary_hash and version");
	if (in->form != TROTH_FORM_NATIVE && in->form != TROTH_FORM_ORIGINAL)
		return fail(err, TROTH_E_ARGUMENT, "claim.form is neither native nor original");
	return in->form == TROTH_FORM_NATIVE ? sign_native(s, in, ret, err) : sign_original(s, in, ret, err);
}

static enum troth_code hand_out(struct tr_buf *b, uint8_t **ret, size_t *ret_len, struct troth_error *err)
{
	if (!tr_buf_ok(b))
		return no_memory(err);
	*ret_len = b->n;
	*ret = TR_TAKE(b->p);
	*b = TR_BUF_INIT;
	return TROTH_OK;
}

enum troth_code troth_signer_create_claim(const troth_signer *s, const struct troth_claim *claim,
					  uint8_t **ret, size_t *ret_len, struct troth_error *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct troth_claim in;
	enum troth_code code;

	if (!ret || !ret_len)
		return fail(err, TROTH_E_ARGUMENT, "ret and ret_len are needed");
	code = sign(s, claim, &b, &in, err);
	return code ? code : hand_out(&b, ret, ret_len, err);
}

enum troth_code troth_signer_create_request(const troth_signer *s, const struct troth_claim *claim,
					    uint8_t **ret, size_t *ret_len, struct troth_error *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, body = TR_BUF_INIT, csr = TR_BUF_INIT;
	struct troth_claim in;
	struct tr_err e = { 0 };
	enum troth_code code;

	if (!ret || !ret_len)
		return fail(err, TROTH_E_ARGUMENT, "ret and ret_len are needed");
	code = sign(s, claim, &b, &in, err);
	if (code)
		return code;
	if (in.form == TROTH_FORM_ORIGINAL) {
		tr_buf_adds(&body, "{\"node_id\":");
		tr_json_put_str(&body, tr_view_str(in.node_id));
		tr_buf_adds(&body, ",\"attestation\":");
		tr_buf_addv(&body, tr_buf_view(&b));
		tr_buf_adds(&body, "}");
		return hand_out(&body, ret, ret_len, err);
	}
	if (tr_csr_make(s->key, &csr, &e))
		return pass(err, TROTH_E_KEY, &e);
	tr_buf_adds(&body, "{\"csr\":\"");
	tr_b64_add(&body, tr_buf_view(&csr), TR_B64_STD);
	tr_buf_adds(&body, "\",\"claim\":\"");
	tr_b64_add(&body, tr_buf_view(&b), TR_B64_STD);
	tr_buf_adds(&body, "\"}");
	return hand_out(&body, ret, ret_len, err);
}

/* --- verifier -------------------------------------------------------------------------------------------- */

/* Every item of a comma-joined list is a version: a typing error must not become a rule that never matches. */
static bool versions_ok(const char *list)
{
	while (list && *list) {
		const char *comma = strchr(list, ',');
		size_t n = comma ? (size_t)(comma - list) : strlen(list);

		if (!tr_version_ok(tr_view(list, n)))
			return false;
		list = comma ? comma + 1 : NULL;
		if (list && !*list)
			return false;
	}
	return true;
}

static enum troth_code check_policy(const struct troth_policy *p, struct troth_error *err)
{
	if ((unsigned)p->mode > TROTH_MODE_ENFORCE)
		return fail(err, TROTH_E_ARGUMENT, "policy.mode is neither off, audit nor enforce");
	if ((unsigned)p->min_tier > TROTH_TIER_HARDWARE)
		return fail(err, TROTH_E_ARGUMENT, "policy.min_tier is unknown");
	if (!p->accept_native && !p->accept_original)
		return fail(err, TROTH_E_ARGUMENT, "the policy accepts no form of claim");
	if (p->skew_ms < 0 || p->skew_ms > INT64_C(86400000))
		return fail(err, TROTH_E_ARGUMENT, "policy.skew_ms is not between 0 and a day");
	if (p->min_version && !tr_version_ok(tr_view_str(p->min_version)))
		return fail(err, TROTH_E_ARGUMENT, "policy.min_version is not of the form 1.2.3");
	if (!versions_ok(p->versions))
		return fail(err, TROTH_E_ARGUMENT, "policy.versions is not a list like 1.2.3,1.2.4");
	return TROTH_OK;
}

enum troth_code troth_verifier_new(const struct troth_policy *policy, troth_verifier **ret,
				   struct troth_error *err)
{
	struct troth_policy p;
	troth_verifier *v;
	struct tr_err e = { 0 };
	enum troth_code code;

	if (!ret || !take_struct(&p, sizeof(p), policy, policy ? policy->size : 0))
		return fail(err, TROTH_E_ARGUMENT, "the policy or ret is missing, or policy.size is not set");
	code = check_policy(&p, err);
	if (code)
		return code;
	if (tr_crypto_init(&e))
		return pass(err, TROTH_E_INTERNAL, &e);
	v = calloc(1, sizeof(*v));
	if (!v)
		return no_memory(err);
	v->min_version = strdup(p.min_version ? p.min_version : "");
	v->versions = strdup(p.versions ? p.versions : "");
	if (!v->min_version || !v->versions) {
		troth_verifier_free(v);
		return no_memory(err);
	}
	v->policy = (struct tr_policy){
		.mode = (enum tr_mode)p.mode,
		.accept_native = p.accept_native,
		.accept_original = p.accept_original,
		.pin_only = p.pin_only,
		.min_version = tr_view_str(v->min_version),
		.versions = tr_view_str(v->versions),
		.min_tier = (enum tr_tier)p.min_tier,
		.skew_ms = p.skew_ms,
	};
	*ret = v;
	return TROTH_OK;
}

void troth_verifier_free(troth_verifier *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n_keys; i++)
		(void)tr_pubkey_free(v->keys[i].key);
	free(v->keys);
	free(v->hashes);
	free(v->min_version);
	free(v->versions);
	free(v);
}

enum troth_code troth_verifier_add_key(troth_verifier *v, const char *pem, size_t len, enum troth_key_use use,
				       enum troth_key_state state, int64_t not_before_ms,
				       int64_t not_after_ms, struct troth_error *err)
{
	struct tr_pubkey *key = NULL;
	struct tr_vkey *grown;
	struct tr_err e = { 0 };

	if (!v || !pem || len > PEM_MAX)
		return fail(err, TROTH_E_ARGUMENT, "the verifier and pem (at most 64 KiB) are needed");
	if ((unsigned)use > TROTH_KEY_FLEET || (unsigned)state > TROTH_KEY_REVOKED)
		return fail(err, TROTH_E_ARGUMENT, "the key's use or state is unknown");
	if (not_before_ms < 0 || not_after_ms < 0)
		return fail(err, TROTH_E_ARGUMENT, "the key's validity is before 1970");
	if (v->n_keys >= KEYS_MAX)
		return fail(err, TROTH_E_ARGUMENT, "a verifier holds at most 256 keys");
	grown = realloc(v->keys, (v->n_keys + 1) * sizeof(*grown));
	if (!grown)
		return no_memory(err);
	v->keys = grown;
	if (tr_pubkey_from_pem(tr_view(pem, len), &key, &e))
		return pass(err, TROTH_E_KEY, &e);
	v->keys[v->n_keys++] = (struct tr_vkey){
		.key = key,
		.use = (enum tr_vkey_use)use,
		.state = (enum tr_vkey_state)state,
		.not_before_ms = not_before_ms,
		.not_after_ms = not_after_ms,
	};
	return TROTH_OK;
}

enum troth_code troth_verifier_allow_hash(troth_verifier *v, const char *hash, struct troth_error *err)
{
	uint8_t bytes[TROTH_HASH_LEN];
	void *grown;

	if (!v || !hash || !tr_sha256_name_ok(tr_view_str(hash), bytes))
		return fail(err, TROTH_E_ARGUMENT,
			    "the hash is not \"sha256:\" and 64 lower-case hex digits");
	if (v->n_hashes >= HASHES_MAX)
		return fail(err, TROTH_E_ARGUMENT, "a verifier holds at most 65536 hashes");
	grown = realloc(v->hashes, (v->n_hashes + 1) * sizeof(*v->hashes));
	if (!grown)
		return no_memory(err);
	v->hashes = grown;
	memcpy(v->hashes[v->n_hashes++], bytes, sizeof(bytes));
	return TROTH_OK;
}

static void fill_verdict(const struct tr_appraisal *a, struct troth_verdict *ret)
{
	const struct tr_reason_info *info = tr_reason_info(a->reason);
	struct troth_verdict out = {
		.size = sizeof(out),
		.admitted = a->admitted,
		.reason = info->slug,
		.sentence = info->sentence,
		.http_status = info->status,
		.tier = tr_tier_name(a->tier),
		.form = a->native ? TROTH_FORM_NATIVE : TROTH_FORM_ORIGINAL,
		.time_ms = a->claim_time_ms,
		.skew_ms = a->skew_ms,
		.vouched = a->vouched,
	};

	memcpy(out.node_id, a->node_id, sizeof(out.node_id));
	memcpy(out.version, a->version, sizeof(out.version));
	/* A hash of a claim that was not verified would invite to be believed. */
	if (a->claim_time_ms)
		hash_text(a->binary_hash, out.binary_hash);
	memcpy(out.challenge, a->challenge, sizeof(out.challenge));
	memcpy(out.claim_digest, a->claim_digest, sizeof(out.claim_digest));
	memcpy(out.device_key_id, a->device_key_id, sizeof(out.device_key_id));
	memcpy(out.vouched_by, a->vkey_id, sizeof(out.vouched_by));
	*ret = out;
}

/* An original claim by itself becomes the body that the server knows. */
static struct tr_view as_body(struct tr_view in, struct tr_buf *wrapped)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err e = { 0 };
	struct tr_view node;
	tr_jnode root;

	if (in.n > TR_CLAIM_ORIGINAL_MAX || tr_json_parse(in, &j, &e))
		return in;
	root = tr_json_root(j);
	if (!tr_json_get(root, "signature") || tr_json_get(root, "attestation") ||
	    !tr_json_str(tr_json_get(root, "node_id"), &node))
		return in;
	tr_buf_adds(wrapped, "{\"node_id\":");
	tr_json_put_str(wrapped, node);
	tr_buf_adds(wrapped, ",\"attestation\":");
	tr_buf_addv(wrapped, in);
	tr_buf_adds(wrapped, "}");
	return tr_buf_ok(wrapped) ? tr_buf_view(wrapped) : in;
}

enum troth_code troth_verifier_verify(const troth_verifier *v, const void *bytes, size_t len,
				      const uint8_t *exporter, int64_t now_ms, struct troth_verdict *ret,
				      char **ret_checks, struct troth_error *err)
{
	tr_auto(tr_buf_done) struct tr_buf wrapped = TR_BUF_INIT, checks = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *device = NULL;
	struct tr_appraisal a;
	struct tr_policy p;
	size_t n = 0;

	if (!v || (!bytes && len) || !ret || ret->size != sizeof(*ret) || len > REQUEST_MAX)
		return fail(
			err, TROTH_E_ARGUMENT,
			"the verifier, the bytes (at most 1 MiB) and a verdict with its size set are needed");
	p = v->policy;
	p.vkeys = v->keys;
	p.n_vkeys = v->n_keys;
	p.hashes = (const uint8_t(*)[TROTH_HASH_LEN])v->hashes;
	p.n_hashes = v->n_hashes;
	tr_appraise_body(&p, as_body(tr_view(bytes, len), &wrapped),
			 tr_view(exporter, exporter ? TROTH_EXPORTER_LEN : 0), now_ms ? now_ms : tr_now_ms(),
			 &a, &device);
	fill_verdict(&a, ret);
	if (ret_checks) {
		tr_appraisal_checks_json(&a, &checks);
		tr_buf_add8(&checks, 0);
		if (hand_out(&checks, (uint8_t **)ret_checks, &n, err))
			return TROTH_E_INTERNAL;
	}
	return a.admitted ? TROTH_OK : fail(err, TROTH_E_REFUSED, ret->sentence);
}

bool troth_verifier_verify_binary_hash(const troth_verifier *v, const char *claimed, const char *expected)
{
	uint8_t a[TROTH_HASH_LEN], b[TROTH_HASH_LEN];
	bool found = false;

	if (!v || !claimed || !tr_sha256_name_ok(tr_view_str(claimed), a))
		return false;
	if (expected)
		return tr_sha256_name_ok(tr_view_str(expected), b) &&
		       tr_secret_eq(TR_VIEW_ARRAY(a), TR_VIEW_ARRAY(b));
	for (size_t i = 0; i < v->n_hashes; i++)
		found |= tr_secret_eq(TR_VIEW_ARRAY(a), TR_VIEW_ARRAY(v->hashes[i]));
	return found;
}

bool troth_verifier_is_enabled(const troth_verifier *v)
{
	/* Without a verifier nothing is verified, but saying "off" would let a caller's mistake admit
	 * everybody. */
	return !v || v->policy.mode != TR_MODE_OFF;
}
