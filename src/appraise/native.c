/* SPDX-License-Identifier: Apache-2.0 */
/* The appraisal of a native registration: certificate request and claim by one device key. */
#include "appraise/check.h"
#include "codec/pem.h"
#include "codec/text.h"
#include "crypto/x509.h"

#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02

struct native {
	tr_jnode root;
	struct tr_view exporter;
	struct tr_buf csr, claim; /* DER, COSE_Sign1 */
	struct tr_pubkey *key;	  /* once the CSR was good */
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
		return tr_check_line(run, "body", TR_R_MALFORMED,
				     "a claim that is a COSE_Sign1 of the documented form", err.pub);
	return tr_check_line(run, "body", TR_R_OK, "a certificate request and a claim", "both, well formed");
}

/* CertificationRequest → SubjectPublicKeyInfo (RFC 2986 4). */
static bool csr_spki(struct tr_view der, struct tr_view *ret)
{
	struct tr_der csr, info, version, subject, spki;

	if (!tr_der_next(&der, &csr) || csr.tag != DER_SEQUENCE || der.n != 0 ||
	    !tr_der_next(&csr.body, &info) || info.tag != DER_SEQUENCE ||
	    !tr_der_next(&info.body, &version) || version.tag != DER_INTEGER ||
	    !tr_der_next(&info.body, &subject) || subject.tag != DER_SEQUENCE ||
	    !tr_der_next(&info.body, &spki) || spki.tag != DER_SEQUENCE)
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
			return tr_check_line(run, "key",
					     key_err.code == TR_E_INTERNAL ? TR_R_LIMIT : TR_R_KEY_REFUSED,
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
	tr_copy_text(a->node_id, sizeof(a->node_id), n->c.node_id);
	tr_copy_text(a->version, sizeof(a->version), n->c.version);
	memcpy(a->binary_hash, n->c.binary_hash, sizeof(a->binary_hash));
	memcpy(a->challenge, n->c.challenge.p, sizeof(a->challenge));
	a->claim_time_ms = n->c.timestamp_ms;
	a->skew_ms = n->c.timestamp_ms - run->now_ms;
	a->tier = TR_TIER_SELF_ASSERTED;
	if (n->c.disk_differs)
		tr_copy_text(a->disk_path, sizeof(a->disk_path), n->c.disk_path);
	(void)tr_check_line(run, "signature", TR_R_OK, want, "a good signature");
	return tr_check_line(run, "key_binding", TR_R_OK, "a claim that names the key which signed it",
			     "the same key");
}

/* Relay: a good claim that came over a connection which its author did not open (RFC 9266). */
static bool check_channel(struct tr_run *run, const struct native *n)
{
	static const char want[] = "a claim bound to this TLS connection (RFC 9266 exporter)";

	if (n->exporter.n == 0)
		return tr_check_line(run, "channel", TR_R_OK, "nothing: not appraised on a TLS connection",
				     n->c.exporter.n ? "bound to a TLS connection"
						     : "not bound to a TLS connection");
	if (tr_view_eq(n->exporter, n->c.exporter))
		return tr_check_line(run, "channel", TR_R_OK, want, "bound to this connection");
	return tr_check_line(run, "channel", TR_R_CHANNEL_MISMATCH, want,
			     n->c.exporter.n ? "bound to another connection" : "not bound to any connection");
}

static void appraise_native(struct tr_run *run, struct native *n)
{
	struct tr_view stated = { 0 };

	if (!tr_run_form(run, run->p->accept_native, "native") || !read_native(run, n) ||
	    !check_csr(run, n) || !check_claim(run, n) || !check_channel(run, n))
		return;
	if (run->p->mode == TR_MODE_OFF) {
		(void)tr_check_line(run, "mode", TR_R_OK,
				    "possession of the device key only: the mode is off",
				    "time, binary and version were not looked at");
		return;
	}
	tr_rule_clock(run, n->c.timestamp_ms - run->now_ms);
	tr_rule_hash(run, n->c.release, &stated);
	tr_rule_version(run, n->c.version, stated);
	tr_rule_tier(run);
}

void tr_run_native(const struct tr_policy *p, tr_jnode root, struct tr_view exporter, int64_t now_ms,
		   struct tr_appraisal *ret, struct tr_pubkey **ret_key)
{
	struct native n = { .root = root, .exporter = exporter };
	struct tr_run run;

	tr_run_begin(&run, p, ret, now_ms, true);
	appraise_native(&run, &n);
	tr_run_end(&run);
	tr_buf_done(&n.csr);
	tr_buf_done(&n.claim);
	*ret_key = n.key;
}
