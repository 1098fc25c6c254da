/* SPDX-License-Identifier: Apache-2.0 */
#include "appraise/policy.h"

#include "appraise/check.h"
#include "codec/ident.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"

#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02

static const char *const modes[] = { "off", "audit", "enforce" };

bool tr_mode_from_name(struct tr_view v, enum tr_mode *ret)
{
	for (unsigned i = 0; i < TR_ARRAY_LEN(modes); i++) {
		if (tr_view_is(v, modes[i])) {
			*ret = (enum tr_mode)i;
			return true;
		}
	}
	return false;
}

const char *tr_mode_name(enum tr_mode m)
{
	return (unsigned)m < TR_ARRAY_LEN(modes) ? modes[m] : "unknown";
}

static void copy_text(char *to, size_t cap, struct tr_view v)
{
	size_t n = v.n < cap ? v.n : cap - 1;

	memcpy(to, v.p, n);
	to[n] = '\0';
}

static void begin(struct tr_run *run, const struct tr_policy *p, struct tr_appraisal *a, int64_t now_ms, bool native)
{
	memset(a, 0, sizeof(*a));
	a->native = native;
	*run = (struct tr_run){ .p = p, .a = a, .now_ms = now_ms };
}

static bool check_form(struct tr_run *run, bool accepted, const char *form)
{
	struct tr_check *c = tr_check_add(run, "format", accepted ? TR_R_OK : TR_R_FORMAT_NOT_ACCEPTED);
	bool native = run->p->accept_native, original = run->p->accept_original;

	tr_check_expected(c, "a claim of a form that attestation.accept lists: %s",
			  native && original ? "native, original" : native ? "native" : original ? "original" : "none");
	tr_check_seen(c, "a claim of the %s form", form);
	return accepted;
}

/* --- native ---------------------------------------------------------------------------------------------- */

struct native {
	tr_jnode root;
	struct tr_view exporter;
	struct tr_buf csr, claim; /* DER, COSE_Sign1 */
	struct tr_pubkey *key;    /* once the CSR was good */
	struct tr_claim c;
};

static bool get_base64(struct tr_run *run, tr_jnode root, const char *name, size_t max, struct tr_buf *ret)
{
	struct tr_err err = { 0 };
	struct tr_view text;
	const char *seen = NULL;
	struct tr_check *c;

	if (!tr_json_str(tr_json_get(root, name), &text))
		seen = "no such text";
	else if (text.n > (max + 2) / 3 * 4)
		seen = "a text that is too long";
	else if (tr_b64_get(text, TR_B64_STD, ret, &err))
		seen = "a text that is not canonical base64";
	if (!seen)
		return true;
	c = tr_check_add(run, "body", TR_R_MALFORMED);
	tr_check_expected(c, "member \"%s\": padded base64 of at most %zu bytes", name, max);
	tr_check_seen(c, "%s", seen);
	return false;
}

static bool read_native(struct tr_run *run, struct native *n)
{
	struct tr_err err = { 0 };

	if (!get_base64(run, n->root, "csr", TR_CSR_DER_MAX, &n->csr) ||
	    !get_base64(run, n->root, "claim", TR_CLAIM_MAX, &n->claim))
		return false;
	if (tr_claim_digest(tr_buf_view(&n->claim), run->a->claim_digest, &err))
		return tr_check_line(run, "body", TR_R_MALFORMED, "a claim that is a COSE_Sign1 of the documented form",
				     err.pub);
	return tr_check_line(run, "body", TR_R_OK, "a certificate request and a claim", "both, well formed");
}

/* CertificationRequest → SubjectPublicKeyInfo (RFC 2986 4). */
static bool csr_spki(struct tr_view der, struct tr_view *ret)
{
	struct tr_der csr, info, version, subject, spki;

	if (!tr_der_next(&der, &csr) || csr.tag != DER_SEQUENCE || der.n != 0 || !tr_der_next(&csr.body, &info) ||
	    info.tag != DER_SEQUENCE || !tr_der_next(&info.body, &version) || version.tag != DER_INTEGER ||
	    !tr_der_next(&info.body, &subject) || subject.tag != DER_SEQUENCE || !tr_der_next(&info.body, &spki) ||
	    spki.tag != DER_SEQUENCE)
		return false;
	*ret = spki.whole;
	return true;
}

static bool check_csr(struct tr_run *run, struct native *n)
{
	static const char want_key[] = "Ed25519, P-256, or RSA of 2048 to 8192 bits; not publicly known";
	static const char want_sig[] = "a PKCS#10 request signed by its own key";
	struct tr_view der = tr_buf_view(&n->csr), spki;
	struct tr_err err = { 0 };
	enum tr_code rc = tr_csr_check(der, &n->key, &err);

	if (rc) {
		tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
		struct tr_err key_err = { 0 };

		if (!csr_spki(der, &spki))
			return tr_check_line(run, "csr", TR_R_MALFORMED, want_sig, err.pub);
		/* Is it the key that was refused? Its own sentence helps more than the request's. */
		if (tr_pubkey_from_spki(spki, &k, &key_err))
			return tr_check_line(run, "key", key_err.code == TR_E_INTERNAL ? TR_R_LIMIT : TR_R_KEY_REFUSED,
					     want_key, key_err.pub);
		(void)tr_check_line(run, "key", TR_R_OK, want_key, tr_pubkey_type_name(k));
		return tr_check_line(run, "csr",
				     rc == TR_E_INVALID	   ? TR_R_MALFORMED
				     : rc == TR_E_INTERNAL ? TR_R_LIMIT
							   : TR_R_BAD_SIGNATURE,
				     want_sig, err.pub);
	}
	memcpy(run->a->device_key_id, tr_pubkey_id(n->key), sizeof(run->a->device_key_id));
	(void)tr_check_line(run, "key", TR_R_OK, want_key, tr_pubkey_type_name(n->key));
	return tr_check_line(run, "csr", TR_R_OK, want_sig, "a good signature");
}

static bool check_claim(struct tr_run *run, struct native *n)
{
	static const char want[] = "a claim signed by the key of the certificate request";
	struct tr_appraisal *a = run->a;
	struct tr_err err = { 0 };
	enum tr_code rc = tr_claim_verify(tr_buf_view(&n->claim), n->key, &n->c, &err);

	if (rc == TR_E_CONFLICT)
		return tr_check_line(run, "key_binding", TR_R_KEY_MISMATCH, want, err.pub);
	if (rc)
		return tr_check_line(run, "signature",
				     rc == TR_E_INVALID	 ? TR_R_MALFORMED
				     : rc == TR_E_DENIED ? TR_R_BAD_SIGNATURE
							 : TR_R_LIMIT,
				     want, err.pub);
	copy_text(a->node_id, sizeof(a->node_id), n->c.node_id);
	copy_text(a->version, sizeof(a->version), n->c.version);
	memcpy(a->binary_hash, n->c.binary_hash, sizeof(a->binary_hash));
	memcpy(a->challenge, n->c.challenge.p, sizeof(a->challenge));
	a->claim_time_ms = n->c.timestamp_ms;
	a->skew_ms = n->c.timestamp_ms - run->now_ms;
	a->tier = TR_TIER_SELF_ASSERTED;
	if (n->c.disk_differs)
		copy_text(a->disk_path, sizeof(a->disk_path), n->c.disk_path);
	(void)tr_check_line(run, "signature", TR_R_OK, want, "a good signature");
	return tr_check_line(run, "key_binding", TR_R_OK, "a claim that names the key which signed it", "the same key");
}

/* Relay: a good claim that came over a connection which its author did not open (RFC 9266). */
static bool check_channel(struct tr_run *run, const struct native *n)
{
	static const char want[] = "a claim bound to this TLS connection (RFC 9266 exporter)";

	if (n->exporter.n == 0)
		return tr_check_line(run, "channel", TR_R_OK, "nothing: not appraised on a TLS connection",
				     n->c.exporter.n ? "bound to a TLS connection" : "not bound to a TLS connection");
	if (tr_view_eq(n->exporter, n->c.exporter))
		return tr_check_line(run, "channel", TR_R_OK, want, "bound to this connection");
	return tr_check_line(run, "channel", TR_R_CHANNEL_MISMATCH, want,
			     n->c.exporter.n ? "bound to another connection" : "not bound to any connection");
}

static void appraise_native(struct tr_run *run, struct native *n)
{
	struct tr_view stated = { 0 };

	if (!check_form(run, run->p->accept_native, "native") || !read_native(run, n) || !check_csr(run, n) ||
	    !check_claim(run, n) || !check_channel(run, n))
		return;
	if (run->p->mode == TR_MODE_OFF) {
		(void)tr_check_line(run, "mode", TR_R_OK, "possession of the device key only: the mode is off",
				    "time, binary and version were not looked at");
		return;
	}
	tr_rule_clock(run, n->c.timestamp_ms - run->now_ms);
	tr_rule_hash(run, n->c.release, &stated);
	tr_rule_version(run, n->c.version, stated);
	tr_rule_tier(run);
}

static void run_native(const struct tr_policy *p, tr_jnode root, struct tr_view exporter, int64_t now_ms,
		       struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	struct native n = { .root = root, .exporter = exporter };
	struct tr_run run;

	begin(&run, p, ret, now_ms, true);
	appraise_native(&run, &n);
	tr_run_end(&run);
	tr_buf_done(&n.csr);
	tr_buf_done(&n.claim);
	*ret_key = n.key;
}

/* --- original -------------------------------------------------------------------------------------------- */

/* The form names no key: each fleet key is tried, the ones still in force first. */
static bool check_fleet_key(struct tr_run *run, const struct tr_claim_original *c)
{
	static const char want[] = "a claim signed by an active fleet key";
	struct tr_check found = { .seen = "" };
	struct tr_err err = { 0 };
	bool any = false, by_bad = false;

	for (size_t i = 0; i < run->p->n_vkeys; i++) {
		const struct tr_vkey *k = &run->p->vkeys[i];
		enum tr_code rc;

		if (k->use != TR_VKEY_FLEET)
			continue;
		any = true;
		rc = tr_claim_original_verify(c, k->key, &err);
		if (rc == TR_E_INTERNAL)
			return tr_check_line(run, "signature", TR_R_LIMIT, want, err.pub);
		if (rc == TR_E_INVALID)
			return tr_check_line(run, "signature", TR_R_MALFORMED, want, err.pub);
		if (rc)
			continue;
		/* The same key may be listed twice, once revoked: the good entry must not hide the bad one. */
		if (!tr_vkey_good_at(k, c->timestamp_s * 1000, &found)) {
			by_bad = true;
			run->a->vouched = false;
			break;
		}
		run->a->vouched = true;
		memcpy(run->a->vkey_id, tr_pubkey_id(k->key), sizeof(run->a->vkey_id));
	}
	if (run->a->vouched)
		return tr_check_line(run, "signature", TR_R_OK, want, "a good signature by a fleet key");
	memset(run->a->vkey_id, 0, sizeof(run->a->vkey_id));
	return tr_check_line(run, "signature",
			     by_bad ? TR_R_KEY_REVOKED : any ? TR_R_BAD_SIGNATURE : TR_R_UNKNOWN_KEY, want,
			     by_bad ? found.seen
			     : any  ? "a signature that no fleet key verifies"
				    : "no fleet key is configured");
}

static void rule_pinned(struct tr_run *run)
{
	struct tr_view none = { 0 }, stated;

	if (run->p->pin_only) {
		tr_rule_hash(run, none, &stated);
		return;
	}
	/* As in the original: without a pin the fleet key's word is all there is. */
	(void)tr_check_line(run, "hash", TR_R_OK, "any: no hash is pinned", "what the holder of the fleet key says");
}

static void appraise_original(struct tr_run *run, tr_jnode root)
{
	tr_auto(tr_buf_done) struct tr_buf tbs = TR_BUF_INIT;
	struct tr_appraisal *a = run->a;
	struct tr_claim_original c;
	struct tr_err err = { 0 };
	struct tr_view node;
	bool good;

	if (!check_form(run, run->p->accept_original, "original"))
		return;
	if (!tr_json_str(tr_json_get(root, "node_id"), &node) || !tr_ident_ok(node)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED, "member \"node_id\": a plain name of at most 64 bytes",
				    "none, or with other characters");
		return;
	}
	if (run->p->mode == TR_MODE_OFF) {
		copy_text(a->node_id, sizeof(a->node_id), node);
		(void)tr_check_line(run, "mode", TR_R_OK, "nothing: the mode is off", "the claim was not looked at");
		return;
	}
	if (tr_claim_original_read(tr_json_get(root, "attestation"), &c, &err)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED, "a claim of the documented form in \"attestation\"",
				    err.pub);
		return;
	}
	/* The outer one is signed by nobody. */
	if (!tr_view_eq(c.node_id, node)) {
		(void)tr_check_line(run, "body", TR_R_MALFORMED, "one node_id in the body and in its claim",
				    "two different ones");
		return;
	}
	(void)tr_check_line(run, "body", TR_R_OK, "node_id and its claim", "both, well formed");
	tr_claim_original_tbs(&c, &tbs);
	tr_sha256(tr_buf_view(&tbs), a->claim_digest);
	copy_text(a->node_id, sizeof(a->node_id), node);
	copy_text(a->version, sizeof(a->version), c.version);
	(void)tr_sha256_name_ok(c.binary_hash, a->binary_hash);
	a->claim_time_ms = c.timestamp_s * 1000;
	good = check_fleet_key(run, &c);
	/* Without a good signature the rest are an unknown's words; audit mode wants to hear them all the same. */
	if (!good && !tr_reason_tolerated(a->reason))
		return;
	a->tier = good ? TR_TIER_SELF_ASSERTED : TR_TIER_NONE;
	/* Whole seconds, as the original compares them. */
	tr_rule_clock(run, (c.timestamp_s - run->now_ms / 1000) * 1000);
	rule_pinned(run);
	tr_rule_version(run, c.version, tr_view(NULL, 0));
	tr_rule_tier(run);
}

static void run_original(const struct tr_policy *p, tr_jnode root, int64_t now_ms, struct tr_appraisal *ret)
{
	struct tr_run run;

	begin(&run, p, ret, now_ms, false);
	appraise_original(&run, root);
	tr_run_end(&run);
}

/* --- bodies ---------------------------------------------------------------------------------------------- */

/* NULL after having filled ret: not JSON, or too long. */
static struct tr_json *parse_body(const struct tr_policy *p, struct tr_view body, int64_t now_ms, bool native,
				  struct tr_appraisal *ret)
{
	struct tr_json *j = NULL;
	struct tr_err err = { 0 };
	struct tr_run run;

	if (body.n > TR_APPRAISE_BODY_MAX)
		(void)tr_err_set(&err, TR_E_INVALID, "too long", "%zu bytes", body.n);
	else if (tr_json_parse(body, &j, &err) == TR_OK && tr_json_is_object(tr_json_root(j)))
		return j;
	begin(&run, p, ret, now_ms, native);
	(void)tr_check_line(&run, "body", err.code == TR_E_INTERNAL ? TR_R_LIMIT : TR_R_MALFORMED, "a JSON object",
			    err.pub ? err.pub : "JSON, but not an object");
	tr_run_end(&run);
	(void)tr_json_free(j);
	return NULL;
}

void tr_appraise_native(const struct tr_policy *p, struct tr_view body, struct tr_view exporter, int64_t now_ms,
			struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, true, ret);

	*ret_key = NULL;
	if (j)
		run_native(p, tr_json_root(j), exporter, now_ms, ret, ret_key);
}

void tr_appraise_original(const struct tr_policy *p, struct tr_view body, int64_t now_ms, struct tr_appraisal *ret)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, false, ret);

	if (j)
		run_original(p, tr_json_root(j), now_ms, ret);
}

void tr_appraise_body(const struct tr_policy *p, struct tr_view body, struct tr_view exporter, int64_t now_ms,
		      struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	tr_auto(tr_json_free) struct tr_json *j = parse_body(p, body, now_ms, false, ret);
	struct tr_run run;
	tr_jnode root;
	bool native, original;

	*ret_key = NULL;
	if (!j)
		return;
	root = tr_json_root(j);
	native = tr_json_get(root, "csr") || tr_json_get(root, "claim");
	original = tr_json_get(root, "attestation") ||
		   (p->mode == TR_MODE_OFF && !native && tr_json_get(root, "node_id"));
	if (native && !original) {
		run_native(p, root, exporter, now_ms, ret, ret_key);
	} else if (original && !native) {
		run_original(p, root, now_ms, ret);
	} else {
		begin(&run, p, ret, now_ms, false);
		(void)tr_check_line(&run, "body", TR_R_MALFORMED,
				    "either \"csr\" and \"claim\" (native), or \"node_id\" and \"attestation\" (original)",
				    native ? "members of both forms" : "neither form");
		tr_run_end(&run);
	}
}
