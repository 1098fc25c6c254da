/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/compat_key.h"

#include "base/secret.h"
#include "codec/text.h"

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct tr_view trim(struct tr_view v)
{
	while (v.n && is_space(v.p[0]))
		v = tr_view(v.p + 1, v.n - 1);
	while (v.n && is_space(v.p[v.n - 1]))
		v.n--;
	return v;
}

/* What people paste instead is told from what is merely broken. */
static TR_RC read_bytes(struct tr_view text, uint8_t bytes[64], struct tr_err *err)
{
	if (tr_view_starts(text, "-----BEGIN"))
		return tr_err_set(err, TR_E_INVALID, "this is a PEM file; the original's key is 128 hex digits (seed and public key)",
				  "PEM");
	if (text.n == 96 && tr_view_starts(text, "302e0201"))
		return tr_err_set(err, TR_E_INVALID,
				  "this is the hex of a PKCS#8 file; its last 64 digits are the seed: give those, if they are what you used",
				  "PKCS#8 in hex");
	if (text.n != 128 && text.n != 64)
		return tr_err_set(err, TR_E_INVALID, "the original's key is 128 hex digits (seed and public key), or 64 (seed)",
				  "%zu characters", text.n);
	if (!tr_hex_get(text, bytes, text.n / 2))
		return tr_err_set(err, TR_E_INVALID, "the key file holds something that is not a hex digit", "hex");
	return TR_OK;
}

TR_RC tr_compat_key_read(struct tr_view text, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	struct tr_view hex = trim(text), spki;
	uint8_t bytes[64];
	enum tr_code rc = read_bytes(hex, bytes, err);

	if (!rc)
		rc = tr_privkey_from_seed(bytes, &k, err);
	if (!rc && hex.n == 128) {
		spki = tr_pubkey_spki(tr_privkey_pub(k));
		/* The last 32 bytes of an Ed25519 SPKI are the key. A foreign public half would have every signature leak
		 * the seed, and names a key that this is not. */
		if (spki.n < 32 || memcmp(spki.p + spki.n - 32, bytes + 32, 32) != 0)
			rc = tr_err_set(err, TR_E_INVALID,
					"the public half does not belong to the seed; the file is damaged or was put together by hand",
					"seed and public key differ");
	}
	tr_wipe(bytes, sizeof(bytes));
	if (!rc)
		*ret = TR_TAKE(k);
	return rc;
}
