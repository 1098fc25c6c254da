/* SPDX-License-Identifier: Apache-2.0 */
/* Which token, which key, and what its public half is. */
#include "crypto/p11_inner.h"

#include "crypto/der.h"

#include <p11-kit/p11-kit.h>

#define SLOTS_MAX 64
#define FOUND_MAX 2 /* one is wanted; the second says that the name is not unique */
#define VALUE_MAX 256

static const uint8_t ed25519_oid[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t ed25519_name[] = { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9' };
static const uint8_t p256_oid[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t ed25519_head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
static const uint8_t p256_head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
				     0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 };

enum tr_code tr_p11_fail_at(struct tr_err *err, CK_RV rv, const char *what, const char *file, int line)
{
	const char *pub = "the token does not do what it is asked; see that it is plugged in and unlocked";

	if (rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_DEVICE_REMOVED || rv == CKR_SLOT_ID_INVALID)
		pub = "the token is away; put it back";
	else if (rv == CKR_MECHANISM_INVALID || rv == CKR_KEY_TYPE_INCONSISTENT || rv == CKR_KEY_FUNCTION_NOT_PERMITTED)
		pub = "the token cannot sign with this key; it must be Ed25519 or P-256 and allowed to sign";
	else if (rv == CKR_USER_NOT_LOGGED_IN)
		pub = "the token wants its PIN for every signature or has ended the login; allow signing after one login";
	return tr_err_set_at(err, TR_E_UNAVAIL, pub, file, line, "%s: %s", what, p11_kit_strerror(rv));
}

/* ---- token ---- */

TR_RC tr_p11_find_slot(CK_FUNCTION_LIST *f, P11KitUri *uri, CK_SLOT_ID *ret, struct tr_err *err)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = SLOTS_MAX;
	CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, &n);
	unsigned found = 0;

	if (rv != CKR_OK)
		return tr_p11_fail(err, rv, "slots");
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;

		if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED) ||
		    !p11_kit_uri_match_token_info(uri, &info))
			continue;
		*ret = slots[i];
		found++;
	}
	if (found == 1)
		return TR_OK;
	if (found == 0)
		return tr_err_set(err, TR_E_NOTFOUND,
				  "no token is as the PKCS#11 URI says; see what the library shows (e.g. p11tool --list-tokens)",
				  "%lu tokens are present", n);
	return tr_err_set(err, TR_E_CONFLICT, "several tokens are as the PKCS#11 URI says; add serial=… to it", "%u tokens", found);
}

/* ---- objects ---- */

static TR_RC find(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, CK_ATTRIBUTE *like, CK_ULONG n_like,
		  CK_OBJECT_HANDLE *ret, CK_ULONG *ret_n, struct tr_err *err)
{
	CK_RV rv = f->C_FindObjectsInit(session, like, n_like);

	if (rv == CKR_OK) {
		rv = f->C_FindObjects(session, ret, FOUND_MAX, ret_n);
		(void)f->C_FindObjectsFinal(session);
	}
	return rv == CKR_OK ? TR_OK : tr_p11_fail(err, rv, "search");
}

/* False: not there, or too long to be of use. */
static bool value(CK_FUNCTION_LIST *f, const struct tr_p11_place *at, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
		  uint8_t buf[VALUE_MAX], struct tr_view *ret)
{
	CK_ATTRIBUTE a = { type, buf, VALUE_MAX };

	if (f->C_GetAttributeValue(at->session, object, &a, 1) != CKR_OK || a.ulValueLen > VALUE_MAX)
		return false;
	*ret = tr_view(buf, a.ulValueLen);
	return true;
}

static TR_RC find_public(CK_FUNCTION_LIST *f, struct tr_p11_place *at, struct tr_err *err)
{
	static const CK_ATTRIBUTE_TYPE names[] = { CKA_ID, CKA_LABEL };
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_OBJECT_HANDLE found[FOUND_MAX];
	uint8_t buf[VALUE_MAX];
	struct tr_view v;
	CK_ULONG n;

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		if (!value(f, at, at->private, names[i], buf, &v) || v.n == 0)
			continue;
		CK_ATTRIBUTE like[] = { { CKA_CLASS, &class, sizeof(class) }, { names[i], buf, v.n } };

		if (find(f, at->session, like, TR_ARRAY_LEN(like), found, &n, err))
			return err->code;
		if (n == 1) {
			at->public = found[0];
			return TR_OK;
		}
	}
	return tr_err_set(err, TR_E_NOTFOUND,
			  "the token has no public key with the id or name of the private key; store it beside it",
			  "public half");
}

TR_RC tr_p11_find_key(CK_FUNCTION_LIST *f, P11KitUri *uri, struct tr_p11_place *at, struct tr_err *err)
{
	static const CK_ATTRIBUTE_TYPE names[] = { CKA_LABEL, CKA_ID };
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE like[1 + TR_ARRAY_LEN(names)] = { { CKA_CLASS, &class, sizeof(class) } };
	CK_OBJECT_HANDLE found[FOUND_MAX];
	CK_ULONG n_like = 1, n = 0;

	for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
		const CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(uri, names[i]);

		if (a)
			like[n_like++] = *a;
	}
	if (find(f, at->session, like, n_like, found, &n, err))
		return err->code;
	if (n == 0)
		return tr_err_set(err, TR_E_NOTFOUND, "the token has no private key as the PKCS#11 URI names it; see what it holds (e.g. p11tool --login --list-privkeys)",
				  "object or id");
	if (n > 1)
		return tr_err_set(err, TR_E_CONFLICT, "several private keys in the token are as the PKCS#11 URI says; add object=… or id=… to it",
				  "%lu or more", n);
	at->private = found[0];
	return find_public(f, at, err);
}

/* ---- the public half ---- */

static bool is_any_of(struct tr_view v, struct tr_view a, struct tr_view b)
{
	return tr_view_eq(v, a) || tr_view_eq(v, b);
}

TR_RC tr_p11_read_spki(CK_FUNCTION_LIST *f, const struct tr_p11_place *at, struct tr_buf *ret, struct tr_err *err)
{
	uint8_t params_buf[VALUE_MAX], point_buf[VALUE_MAX];
	struct tr_view params, point, inner, rest;

	if (!value(f, at, at->public, CKA_EC_PARAMS, params_buf, &params) ||
	    !value(f, at, at->public, CKA_EC_POINT, point_buf, &point))
		return tr_err_set(err, TR_E_INVALID, "the key in the token is neither Ed25519 nor P-256; make one of these", "no EC point");
	/* The standard wants a DER octet string; some tokens give the bytes alone. */
	rest = point;
	if (tr_der_take(&rest, TR_DER_OCTETS, &inner) && rest.n == 0)
		point = inner;
	if (is_any_of(params, TR_VIEW_ARRAY(ed25519_oid), TR_VIEW_ARRAY(ed25519_name)) && point.n == 32)
		tr_buf_add(ret, ed25519_head, sizeof(ed25519_head));
	else if (tr_view_eq(params, TR_VIEW_ARRAY(p256_oid)) && point.n == 65)
		tr_buf_add(ret, p256_head, sizeof(p256_head));
	else
		return tr_err_set(err, TR_E_INVALID, "the key in the token is neither Ed25519 nor P-256; make one of these",
				  "curve of %zu bytes, point of %zu", params.n, point.n);
	tr_buf_addv(ret, point);
	return tr_buf_check(ret, err);
}
