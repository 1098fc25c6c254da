/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/p11.h"

#include "base/clock.h"
#include "base/secret.h"
#include "crypto/der.h"
#include "crypto/p11_inner.h"

#include <p11-kit/p11-kit.h>

#define NO_MEMORY "out of memory"

struct tr_p11 {
	CK_FUNCTION_LIST *f;
	bool initialized;
	char *path;
	struct tr_secret *pin; /* NULL: none */
	size_t pin_n;
	bool pin_refused;      /* never tried again */
	unsigned starts;       /* of the library: a session is of one of them */
	unsigned keys, inside; /* in use; those of them that have a session */
};

/* A key of ours that is in use. */
struct p11_key {
	struct tr_p11 *p;
	P11KitUri *uri;
	struct tr_p11_place at; /* session 0: the token is away */
	unsigned start;         /* of the library, that the session is of */
	uint64_t tried_ms;      /* to come back, monotonic; 0: never */
	uint8_t spki[128];      /* as it was at first: another key under the same name is not ours */
	size_t spki_n;
};

/* ---- the library ---- */

struct tr_p11 *tr_p11_free(struct tr_p11 *p)
{
	if (!p)
		return NULL;
	if (p->initialized)
		(void)p11_kit_module_finalize(p->f);
	if (p->f)
		p11_kit_module_release(p->f);
	(void)tr_secret_free(p->pin);
	free(p->path);
	free(p);
	return NULL;
}

TR_RC tr_p11_open(const char *module, struct tr_view pin, struct tr_p11 **ret, struct tr_err *err)
{
	tr_auto(tr_p11_free) struct tr_p11 *p = calloc(1, sizeof(*p));
	CK_RV rv;

	if (!p || !(p->path = strdup(module)))
		return tr_err_set(err, TR_E_INTERNAL, NO_MEMORY, "PKCS#11");
	if (pin.n > TR_P11_PIN_MAX)
		return tr_err_set(err, TR_E_INVALID, "the PIN file holds more than a PIN", "%zu bytes", pin.n);
	if (pin.n) {
		p->pin = tr_secret_new(pin.n);
		if (!p->pin)
			return tr_err_set(err, TR_E_INTERNAL, NO_MEMORY, "PIN");
		memcpy(tr_secret_p(p->pin), pin.p, pin.n);
		p->pin_n = pin.n;
	}
	p11_kit_be_quiet();
	/* Unmanaged: ours is the only user of the library in this process, and p11-kit needs no executable memory. */
	p->f = p11_kit_module_load(module, P11_KIT_MODULE_UNMANAGED | P11_KIT_MODULE_CRITICAL);
	if (!p->f)
		return tr_err_set(err, TR_E_NOTFOUND,
				  "the token's library cannot be loaded; is pkcs11.module the full path of a PKCS#11 library?",
				  "%s: %s", module, p11_kit_message() ? p11_kit_message() : "no reason given");
	rv = p11_kit_module_initialize(p->f);
	if (rv != CKR_OK)
		return tr_err_set(err, TR_E_UNAVAIL, "the token's library does not start; see its own configuration",
				  "%s: %s", module, p11_kit_strerror(rv));
	p->initialized = true;
	*ret = TR_TAKE(p);
	return TR_OK;
}

/* ---- a session ---- */

static TR_RC login(struct tr_p11 *p, CK_SESSION_HANDLE session, CK_SLOT_ID slot, struct tr_err *err)
{
	CK_TOKEN_INFO info;
	CK_RV rv = p->f->C_GetTokenInfo(slot, &info);

	if (rv != CKR_OK)
		return tr_p11_fail(err, rv, "token info");
	if (!(info.flags & CKF_LOGIN_REQUIRED))
		return TR_OK;
	if (!p->pin)
		return tr_err_set(err, TR_E_INVALID, "the token asks for a PIN; name the file that holds it in pkcs11.pin_file",
				  "%s", p->path);
	/* A service that comes up again and again must not be what locks the token. */
	if (p->pin_refused)
		return tr_err_set(err, TR_E_DENIED, "the token has refused the PIN; correct pkcs11.pin_file and restart trothd",
				  "%s", p->path);
	if (info.flags & CKF_USER_PIN_LOCKED)
		return tr_err_set(err, TR_E_DENIED, "the token's PIN is locked; unlock it with the token's own tool", "%s", p->path);
	if (info.flags & CKF_USER_PIN_FINAL_TRY)
		return tr_err_set(err, TR_E_DENIED,
				  "the token has one try left for its PIN, which is not risked: log in once with the token's own tool",
				  "%s", p->path);
	rv = p->f->C_Login(session, CKU_USER, tr_secret_p(p->pin), p->pin_n);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		return TR_OK;
	p->pin_refused = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID;
	if (p->pin_refused)
		return tr_err_set(err, TR_E_DENIED,
				  "the token refuses the PIN in pkcs11.pin_file; correct it before starting again: tokens lock after a few tries",
				  "%s: %s", p->path, p11_kit_strerror(rv));
	return tr_p11_fail(err, rv, "login");
}

static bool is_inside(const struct p11_key *k)
{
	return k->at.session && k->start == k->p->starts;
}

static void leave(struct p11_key *k)
{
	if (is_inside(k)) {
		(void)k->p->f->C_CloseSession(k->at.session);
		k->p->inside--;
	}
	k->at = (struct tr_p11_place){ 0 };
}

/* Finds token and key, logged in. */
static TR_RC enter(struct p11_key *k, struct tr_buf *ret_spki, struct tr_err *err)
{
	CK_RV rv;

	k->start = k->p->starts;
	if (tr_p11_find_slot(k->p->f, k->uri, &k->at.slot, err))
		return err->code;
	rv = k->p->f->C_OpenSession(k->at.slot, CKF_SERIAL_SESSION, NULL, NULL, &k->at.session);
	if (rv != CKR_OK) {
		k->at.session = 0;
		return tr_p11_fail(err, rv, "session");
	}
	k->p->inside++;
	if (login(k->p, k->at.session, k->at.slot, err) ||
	    tr_p11_find_key(k->p->f, k->uri, &k->at, err) || tr_p11_read_spki(k->p->f, &k->at, ret_spki, err)) {
		leave(k);
		return err->code;
	}
	return TR_OK;
}

/* ---- signing ---- */

/* Some libraries never look again for a token that was gone once: they are started anew. Every key enters again, then. */
static TR_RC start_anew(struct tr_p11 *p, struct tr_err *err)
{
	CK_RV rv;

	if (p->initialized)
		(void)p11_kit_module_finalize(p->f);
	p->starts++;
	p->inside = 0;
	rv = p11_kit_module_initialize(p->f);
	p->initialized = rv == CKR_OK;
	return p->initialized ? TR_OK : tr_p11_fail(err, rv, "start the library anew");
}

/* The token is back, perhaps: the same key, or none. */
static TR_RC come_back(struct p11_key *k, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT;
	bool started_since = k->start != k->p->starts; /* by another key: what it opened is here too */
	uint64_t now = tr_mono_ms();

	k->at = (struct tr_p11_place){ 0 };
	if (!started_since && k->tried_ms && now - k->tried_ms < TR_P11_RETRY_MS)
		return tr_err_set(err, TR_E_UNAVAIL, "the token is away; put it back, or see its library's log", "asked a moment ago");
	k->tried_ms = now;
	if ((!started_since && start_anew(k->p, err)) || enter(k, &spki, err)) {
		err->code = TR_E_UNAVAIL; /* what was wrong at the start ends the start; now it is an outage */
		return err->code;
	}
	if (tr_view_eq(tr_buf_view(&spki), tr_view(k->spki, k->spki_n)))
		return TR_OK;
	leave(k);
	return tr_err_set(err, TR_E_UNAVAIL, "the token that came back holds another key under this name; put the right one back",
			  "%s", k->p->path);
}

static enum tr_code sign(void *arg, enum tr_sig_alg alg, struct tr_view msg, uint8_t *sig, size_t *ret_n, struct tr_err *err)
{
	struct p11_key *k = arg;
	const CK_FUNCTION_LIST *f = k->p->f;
	CK_MECHANISM how = { alg == TR_SIG_ED25519 ? CKM_EDDSA : CKM_ECDSA, NULL, 0 };
	uint8_t sum[TR_SHA256_LEN];
	CK_ULONG n = TR_SIG_MAX;
	CK_RV rv;

	if (!is_inside(k) && come_back(k, err))
		return err->code;
	if (alg != TR_SIG_ED25519) {
		/* Tokens sign the digest; who made it is theirs not to know. */
		tr_sha256(msg, sum);
		msg = TR_VIEW_ARRAY(sum);
	}
	rv = f->C_SignInit(k->at.session, &how, k->at.private);
	if (rv == CKR_OK)
		rv = f->C_Sign(k->at.session, (CK_BYTE_PTR)(uintptr_t)msg.p, msg.n, sig, &n);
	if (rv != CKR_OK) {
		leave(k);
		return tr_p11_fail(err, rv, "sign");
	}
	*ret_n = n;
	return TR_OK;
}

static void key_done(void *arg)
{
	struct p11_key *k = arg;

	leave(k);
	p11_kit_uri_free(k->uri);
	k->p->keys--;
	free(k);
}

static struct p11_key *p11_key_free(struct p11_key *k)
{
	if (k)
		key_done(k);
	return NULL;
}
TR_DEFINE_AUTO(struct p11_key *, p11_key_free)

static TR_RC parse_uri(const char *text, P11KitUri **ret, struct tr_err *err)
{
	P11KitUri *uri = p11_kit_uri_new();
	int rc = uri ? p11_kit_uri_parse(text, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, uri) : P11_KIT_URI_NO_MEMORY;

	if (rc != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(uri)) {
		p11_kit_uri_free(uri);
		return tr_err_set(err, TR_E_INVALID,
				  "the PKCS#11 URI is malformed; it looks like pkcs11:token=NAME;object=NAME", "%s: %s", text,
				  rc ? p11_kit_uri_message(rc) : "an attribute that is not known");
	}
	if (p11_kit_uri_get_pin_value(uri) || p11_kit_uri_get_pin_source(uri)) {
		p11_kit_uri_free(uri);
		/* Not the text of it: it goes into the log. */
		return tr_err_set(err, TR_E_INVALID, "a PIN has no place in a PKCS#11 URI; put it into the file of pkcs11.pin_file",
				  "pin-value or pin-source");
	}
	*ret = uri;
	return TR_OK;
}

static TR_RC finish(struct p11_key **k, struct tr_view spki, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(tr_privkey_free) struct tr_privkey *priv = NULL;
	struct tr_pubkey *pub = NULL;
	uint8_t sig[TR_SIG_MAX];
	size_t n;

	if (spki.n > sizeof((*k)->spki))
		return tr_err_set(err, TR_E_INVALID, "the token's public key is malformed", "%zu bytes", spki.n);
	memcpy((*k)->spki, spki.p, spki.n);
	(*k)->spki_n = spki.n;
	if (tr_pubkey_from_spki(spki, &pub, err))
		return err->code;
	if (tr_privkey_external(pub, sign, key_done, *k, &priv, err))
		return err->code;
	*k = NULL; /* priv's from now on */
	if (tr_sign(priv, tr_privkey_alg(priv), TR_VIEW_LIT("troth: are the two halves of this key one?"), sig, &n, err))
		return err->code;
	*ret = TR_TAKE(priv);
	return TR_OK;
}

TR_RC tr_p11_key(struct tr_p11 *p, const char *uri, struct tr_privkey **ret, struct tr_err *err)
{
	tr_auto(p11_key_free) struct p11_key *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT;
	P11KitUri *parsed = NULL;

	if (parse_uri(uri, &parsed, err))
		return err->code;
	k = calloc(1, sizeof(*k));
	if (!k) {
		p11_kit_uri_free(parsed);
		return tr_err_set(err, TR_E_INTERNAL, NO_MEMORY, "PKCS#11 key");
	}
	k->p = p;
	k->uri = parsed;
	p->keys++;
	if (enter(k, &spki, err) || finish(&k, tr_buf_view(&spki), ret, err))
		return tr_err_wrap(err, "%s", uri);
	return TR_OK;
}

bool tr_p11_is_well(const struct tr_p11 *p)
{
	return p->inside == p->keys;
}
