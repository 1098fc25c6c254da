/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *lab_module(void)
{
	static const char *const places[] = { "/usr/lib/softhsm/libsofthsm2.so",
					      "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
					      "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
					      "/usr/lib64/pkcs11/libsofthsm2.so" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	return NULL;
}

static bool ok(CK_RV rv, const char *what)
{
	if (rv != CKR_OK)
		(void)fprintf(stderr, "%s: %s\n", what, p11_kit_strerror(rv));
	return rv == CKR_OK;
}

static CK_FUNCTION_LIST *load(const char *module)
{
	CK_FUNCTION_LIST *f = p11_kit_module_load(module, P11_KIT_MODULE_UNMANAGED | P11_KIT_MODULE_CRITICAL);

	if (!f) {
		(void)fprintf(stderr, "%s: %s\n", module, p11_kit_message());
		return NULL;
	}
	if (ok(p11_kit_module_initialize(f), "initialize"))
		return f;
	p11_kit_module_release(f);
	return NULL;
}

static void unload(CK_FUNCTION_LIST *f)
{
	(void)p11_kit_module_finalize(f);
	p11_kit_module_release(f);
}

static void pad(unsigned char out[32], const char *label)
{
	memset(out, ' ', 32);
	memcpy(out, label, strlen(label) > 32 ? 32 : strlen(label));
}

/* The slot of a token; with label NULL, one that holds none yet. */
static bool find_slot(CK_FUNCTION_LIST *f, const char *label, CK_SLOT_ID *ret)
{
	CK_SLOT_ID slots[64];
	CK_ULONG n = 64;
	unsigned char want[32];

	if (!ok(f->C_GetSlotList(CK_TRUE, slots, &n), "slots"))
		return false;
	if (label)
		pad(want, label);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;

		if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK)
			continue;
		*ret = slots[i];
		if (label ? memcmp(info.label, want, 32) == 0 : !(info.flags & CKF_TOKEN_INITIALIZED))
			return true;
	}
	return false;
}

static bool init_token(CK_FUNCTION_LIST *f, const char *label, const char *pin)
{
	unsigned char padded[32], so[] = LAB_SO_PIN;
	CK_SESSION_HANDLE s;
	CK_SLOT_ID slot;
	bool done;

	if (find_slot(f, label, &slot))
		return true;
	if (!find_slot(f, NULL, &slot))
		return false;
	pad(padded, label);
	if (!ok(f->C_InitToken(slot, so, sizeof(so) - 1, padded), "init token") || !find_slot(f, label, &slot) ||
	    !ok(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s), "session"))
		return false;
	done = ok(f->C_Login(s, CKU_SO, so, sizeof(so) - 1), "login") &&
	       ok(f->C_InitPIN(s, (unsigned char *)(uintptr_t)pin, strlen(pin)), "PIN");
	(void)f->C_CloseSession(s);
	return done;
}

bool lab_make_token(const char *module, const char *label, const char *pin)
{
	CK_FUNCTION_LIST *f = load(module);
	bool done = f && init_token(f, label, pin);

	if (f)
		unload(f);
	return done;
}

static bool generate(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, const char *label, const char *kind)
{
	static unsigned char ed[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };
	static unsigned char p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	bool is_ed = strncmp(kind, "ed25519", 7) == 0, is_rsa = strcmp(kind, "rsa") == 0;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG bits = 2048;
	unsigned char exponent[] = { 1, 0, 1 }, id[4];
	CK_MECHANISM how = { is_ed ? CKM_EC_EDWARDS_KEY_PAIR_GEN : is_rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN,
			     NULL, 0 };
	CK_OBJECT_HANDLE pub, priv;
	CK_ATTRIBUTE named[] = { { CKA_TOKEN, &yes, sizeof(yes) }, { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) },
				 { CKA_ID, id, sizeof(id) } };
	CK_ATTRIBUTE of_pub[6] = { named[0], named[1], named[2], { CKA_VERIFY, &yes, sizeof(yes) } };
	CK_ATTRIBUTE of_priv[6] = { named[0], named[1], named[2], { CKA_SIGN, &yes, sizeof(yes) },
				    { CKA_SENSITIVE, &yes, sizeof(yes) }, { CKA_EXTRACTABLE, &no, sizeof(no) } };
	CK_ULONG n_pub = 5;

	if (!ok(f->C_GenerateRandom(s, id, sizeof(id)), "random"))
		return false;
	of_pub[4] = is_ed ? (CK_ATTRIBUTE){ CKA_EC_PARAMS, ed, sizeof(ed) } : (CK_ATTRIBUTE){ CKA_EC_PARAMS, p256, sizeof(p256) };
	if (is_rsa) {
		of_pub[4] = (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &bits, sizeof(bits) };
		of_pub[n_pub++] = (CK_ATTRIBUTE){ CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) };
	}
	if (!ok(f->C_GenerateKeyPair(s, &how, of_pub, n_pub, of_priv, 6, &pub, &priv), "generate"))
		return false;
	return strcmp(kind, "ed25519-private") != 0 || ok(f->C_DestroyObject(s, pub), "delete");
}

bool lab_make_key(const char *module, const char *token, const char *pin, const char *label, const char *kind)
{
	CK_FUNCTION_LIST *f = load(module);
	CK_SESSION_HANDLE s;
	CK_SLOT_ID slot;
	bool done = false;

	if (!f)
		return false;
	if (find_slot(f, token, &slot) &&
	    ok(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s), "session")) {
		done = ok(f->C_Login(s, CKU_USER, (unsigned char *)(uintptr_t)pin, strlen(pin)), "login") &&
		       generate(f, s, label, kind);
		(void)f->C_CloseSession(s);
	}
	unload(f);
	return done;
}
