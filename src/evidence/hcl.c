/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json.h"
#include "codec/text.h"
#include "evidence/tpm.h"

/* Azure's HCL report: header, hardware report area, run-time data; little-endian, alone among the TPM's structures. */
#define HW_AT 32
#define HW_AREA 1184
#define DATA_AT (HW_AT + HW_AREA)
#define JSON_AT (DATA_AT + 20)
#define HCL_MAX 32768u
#define SNP_REPORT_DATA 0x50
#define TD_REPORT_LEN 1024
#define TD_REPORT_DATA 128

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum tr_code refuse(struct tr_err *err, const char *why)
{
	return tr_err_set(err, TR_E_INVALID, "the HCL report cannot be read", "HCL report: %s", why);
}

TR_RC tr_hcl_parse(struct tr_view in, struct tr_hcl *ret, struct tr_err *err)
{
	static const enum tr_raw_hash hashes[] = { TR_HASH_NONE, TR_HASH_SHA256, TR_HASH_SHA384, TR_HASH_SHA512 };
	struct tr_hcl h = { 0 };
	uint32_t hash, n;

	if (in.n < JSON_AT || in.n > HCL_MAX)
		return refuse(err, "its length");
	if (memcmp(in.p, "HCLA", 4) != 0)
		return refuse(err, "it does not begin with HCLA");
	/* The header's other sizes are wrong in older firmware: only that of the variable data counts. */
	n = u32(in.p + DATA_AT + 16);
	if (n > in.n - JSON_AT)
		return refuse(err, "its claims end behind it");
	h.report_type = u32(in.p + DATA_AT + 8);
	hash = u32(in.p + DATA_AT + 12);
	if (hash >= TR_ARRAY_LEN(hashes) || !hash)
		return refuse(err, "an unknown hash");
	h.hash = hashes[hash];
	h.json = tr_view(in.p + JSON_AT, n);
	switch (h.report_type) {
	case 2:
		h.hw_report = tr_view(in.p + HW_AT, HW_AREA);
		h.report_data = tr_view(h.hw_report.p + SNP_REPORT_DATA, 64);
		break;
	case 4:
		h.hw_report = tr_view(in.p + HW_AT, TD_REPORT_LEN);
		h.report_data = tr_view(h.hw_report.p + TD_REPORT_DATA, 64);
		break;
	default: return refuse(err, "neither of SNP nor of TDX");
	}
	*ret = h;
	return TR_OK;
}

bool tr_hcl_is_bound(const struct tr_hcl *h)
{
	uint8_t want[64] = { 0 };

	tr_raw_digest(h->hash, &h->json, 1, want);
	memset(want + tr_raw_hash_len(h->hash), 0, sizeof(want) - tr_raw_hash_len(h->hash));
	return tr_view_eq(h->report_data, TR_VIEW_ARRAY(want));
}

/* The one key of that id: with two, which of them the hash vouches for would be the reader's choice. */
static tr_jnode find_key(tr_jnode keys)
{
	tr_jnode found = NULL;

	for (size_t i = 0; i < tr_json_len(keys); i++) {
		struct tr_view kid;

		if (!tr_json_str(tr_json_get(tr_json_at(keys, i), "kid"), &kid) || !tr_view_is(kid, "HCLAkPub"))
			continue;
		if (found)
			return NULL;
		found = tr_json_at(keys, i);
	}
	return found;
}

TR_RC tr_hcl_ak(const struct tr_hcl *h, struct tr_raw_key **ret, struct tr_buf *ret_modulus, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_auto(tr_buf_done) struct tr_buf e = TR_BUF_INIT;
	struct tr_view kty, n64, e64;
	tr_jnode key;

	if (tr_json_parse(h->json, &j, err))
		return tr_err_wrap(err, "HCL report: claims");
	key = find_key(tr_json_get(tr_json_root(j), "keys"));
	if (!key || !tr_json_str(tr_json_get(key, "kty"), &kty) || !tr_view_is(kty, "RSA") ||
	    !tr_json_str(tr_json_get(key, "n"), &n64) || !tr_json_str(tr_json_get(key, "e"), &e64))
		return refuse(err, "no one RSA key HCLAkPub in its claims");
	if (tr_b64_get(n64, TR_B64_URL, ret_modulus, err) || tr_b64_get(e64, TR_B64_URL, &e, err))
		return tr_err_wrap(err, "HCL report: HCLAkPub");
	return tr_raw_key_rsa(tr_buf_view(ret_modulus), tr_buf_view(&e), ret, err);
}
