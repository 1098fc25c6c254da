/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/message.h"

#include "codec/ident.h"
#include "crypto/x509.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/message.cddl. Never reused. */
enum {
	KEY_FLEET = 1,
	KEY_SENDER,
	KEY_RECIPIENT,
	KEY_ID,
	KEY_LINE,
	KEY_SEQ,
	KEY_ISSUED,
	KEY_EXPIRES,
	KEY_TYPE,
	KEY_BODY,
	KEY_ANSWERS, /* optional */
	KEY_N
};
#define BIT(key) (1u << (key))
#define REQUIRED (BIT(KEY_ANSWERS) - BIT(KEY_FLEET))
#define TYPE_MAX 127
#define VERSION 1
#define ENVELOPE_ITEMS 7
#define LENGTH 4 /* bytes in front of the inner object */
#define CHANGED_PUB "the message was sealed to another key, or it was changed on its way"

/* Stands in headers, logs and terminals as it is. */
static bool type_ok(struct tr_view v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return false;
	return v.n >= 1 && v.n <= TYPE_MAX;
}

static TR_RC check(const struct tr_message *m, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_trust_domain_ok(m->fleet))
		why = "the message's trust domain is not one";
	else if (!tr_ident_ok(m->sender) || !tr_ident_ok(m->recipient))
		why = "the message's sender or recipient is not a plain name";
	else if (m->line < 1 || m->line > INT64_MAX || m->seq < 1 || m->seq > INT64_MAX)
		why = "the message's line or number is out of range";
	else if (m->issued <= 0 || m->expires <= m->issued || m->expires - m->issued > TR_MESSAGE_LIFE_MAX_S)
		why = "the message's life is not one of at most a day";
	else if (!type_ok(m->type))
		why = "the message's type is not 1 to 127 printable ASCII characters";
	else if (m->body.n > TR_MESSAGE_BODY_MAX)
		why = "the message's body is longer than 65536 bytes";
	else if (m->answers.n && m->answers.n != TR_MESSAGE_ID_LEN)
		why = "what the message answers is not a message id";
	return why ? tr_err_set(err, TR_E_INVALID, why, "message fields") : TR_OK;
}

static TR_RC sign_inner(const struct tr_message *m, const struct tr_privkey *identity, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc;

	tr_cbor_put_map(&b, (size_t)KEY_BODY + (m->answers.n > 0));
	tr_field_put_text(&b, KEY_FLEET, m->fleet);
	tr_field_put_text(&b, KEY_SENDER, m->sender);
	tr_field_put_text(&b, KEY_RECIPIENT, m->recipient);
	tr_field_put_bytes(&b, KEY_ID, TR_VIEW_ARRAY(m->id));
	tr_field_put_uint(&b, KEY_LINE, m->line);
	tr_field_put_uint(&b, KEY_SEQ, m->seq);
	tr_field_put_int(&b, KEY_ISSUED, m->issued);
	tr_field_put_int(&b, KEY_EXPIRES, m->expires);
	tr_field_put_text(&b, KEY_TYPE, m->type);
	tr_field_put_bytes(&b, KEY_BODY, m->body);
	if (m->answers.n)
		tr_field_put_bytes(&b, KEY_ANSWERS, m->answers);
	rc = tr_cose1_seal(identity, tr_privkey_alg(identity), TR_MESSAGE_DOMAIN, &b, TR_MESSAGE_MAX,
			   "the message is too long", ret, err);
	tr_wipe(b.p, b.n);
	return rc;
}

/* Length, inner object, zeros to the next multiple: how long a message is, is known to 256 bytes only. */
static TR_RC pad(struct tr_view inner, struct tr_buf *b, struct tr_err *err)
{
	size_t all = (LENGTH + inner.n + TR_MESSAGE_PAD - 1) / TR_MESSAGE_PAD * TR_MESSAGE_PAD;
	uint8_t *out = tr_buf_space(b, all);

	if (!out)
		return tr_buf_check(b, err);
	memset(out, 0, all);
	for (unsigned i = 0; i < LENGTH; i++)
		out[i] = (uint8_t)(inner.n >> 8 * (LENGTH - 1 - i));
	memcpy(out + LENGTH, inner.p, inner.n);
	return TR_OK;
}

/* One padding for each inner object: else the same message could look different, and the rest carry what nobody signed. */
static TR_RC unpad(struct tr_view padded, struct tr_view *ret, struct tr_err *err)
{
	size_t n = 0;

	for (unsigned i = 0; i < LENGTH && padded.n >= LENGTH; i++)
		n = n << 8 | padded.p[i];
	if (padded.n < LENGTH || n > padded.n - LENGTH || padded.n - LENGTH - n >= TR_MESSAGE_PAD ||
	    padded.n % TR_MESSAGE_PAD)
		return tr_err_set(err, TR_E_INVALID, "the message is not padded to a multiple of 256 bytes",
				  "%zu of %zu bytes", n, padded.n);
	for (size_t i = LENGTH + n; i < padded.n; i++)
		if (padded.p[i])
			return tr_err_set(err, TR_E_INVALID, "the message's padding is not zeros", "at %zu", i);
	*ret = tr_view(padded.p + LENGTH, n);
	return TR_OK;
}

static void put_info(struct tr_view fleet, const uint8_t prekey_id[16], struct tr_buf *b)
{
	tr_buf_add(b, TR_MESSAGE_DOMAIN, sizeof(TR_MESSAGE_DOMAIN)); /* with its zero byte */
	tr_buf_addv(b, fleet);
	tr_buf_add8(b, 0);
	tr_buf_add(b, prekey_id, 16);
}

static void put_aad(struct tr_view sender, struct tr_view recipient, int64_t expires, const uint8_t prekey_id[16],
		    struct tr_buf *b)
{
	tr_cbor_put_int(b, VERSION);
	tr_cbor_put_text(b, sender);
	tr_cbor_put_text(b, recipient);
	tr_cbor_put_int(b, expires);
	tr_cbor_put_bytes(b, tr_view(prekey_id, 16));
}

TR_RC tr_message_seal_by(const struct tr_message *m, const struct tr_privkey *identity, const uint8_t prekey[32],
			 const struct tr_secret *ephemeral, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf inner = TR_BUF_INIT, padded = TR_BUF_INIT, info = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf head = TR_BUF_INIT, ct = TR_BUF_INIT;
	tr_auto(tr_hpke_free) struct tr_hpke *h = NULL;
	uint8_t id[16], enc[TR_X25519_LEN];
	enum tr_code rc = check(m, err);

	if (!rc)
		rc = sign_inner(m, identity, &inner, err);
	if (!rc)
		rc = pad(tr_buf_view(&inner), &padded, err);
	tr_wipe(inner.p, inner.n);
	if (rc)
		return rc;
	tr_prekey_id(prekey, id);
	put_info(m->fleet, id, &info);
	put_aad(m->sender, m->recipient, m->expires, id, &head);
	rc = tr_buf_check(&info, err);
	if (!rc)
		rc = tr_buf_check(&head, err);
	if (!rc)
		rc = tr_hpke_sender(prekey, ephemeral, tr_buf_view(&info), enc, &h, err);
	if (!rc)
		rc = tr_hpke_seal_next(h, tr_buf_view(&head), tr_buf_view(&padded), &ct, err);
	tr_wipe(padded.p, padded.n);
	if (rc)
		return tr_err_wrap(err, "seal message");
	tr_cbor_put_array(ret, ENVELOPE_ITEMS);
	tr_buf_addv(ret, tr_buf_view(&head));
	tr_cbor_put_bytes(ret, TR_VIEW_ARRAY(enc));
	tr_cbor_put_bytes(ret, tr_buf_view(&ct));
	return tr_buf_check(ret, err);
}

TR_RC tr_message_seal(const struct tr_message *m, const struct tr_privkey *identity, const uint8_t prekey[32],
		      struct tr_buf *ret, struct tr_err *err)
{
	return tr_message_seal_by(m, identity, prekey, NULL, ret, err);
}

TR_RC tr_envelope_parse(struct tr_view in, struct tr_envelope *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_envelope e = { .expires = 0 };

	if (in.n > TR_MESSAGE_MAX)
		return tr_err_set(err, TR_E_INVALID, "the envelope is longer than 73728 bytes", "%zu bytes", in.n);
	if (tr_cbor_array(&r, ENVELOPE_ITEMS) != ENVELOPE_ITEMS || tr_cbor_int(&r) != VERSION)
		tr_cbor_fail(&r, "this is not a message envelope of version 1");
	e.sender = tr_cbor_text(&r);
	e.recipient = tr_cbor_text(&r);
	e.expires = tr_cbor_int(&r);
	tr_field_fixed(&r, e.prekey_id, sizeof(e.prekey_id), "the envelope's pre-key id is not of 16 bytes");
	tr_field_fixed(&r, e.enc, sizeof(e.enc), "the envelope's ephemeral key is not of 32 bytes");
	e.ciphertext = tr_cbor_bytes(&r);
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "envelope");
	if (!tr_ident_ok(e.sender) || !tr_ident_ok(e.recipient))
		return tr_err_set(err, TR_E_INVALID, "the envelope's sender or recipient is not a plain name", "envelope");
	if (e.expires <= 0)
		return tr_err_set(err, TR_E_INVALID, "the envelope's expiry is out of range", "envelope");
	if (e.ciphertext.n < TR_MESSAGE_PAD + TR_HPKE_TAG || e.ciphertext.n % TR_MESSAGE_PAD != TR_HPKE_TAG)
		return tr_err_set(err, TR_E_INVALID, "the envelope's content is not padded to a multiple of 256 bytes",
				  "%zu bytes", e.ciphertext.n);
	*ret = e;
	return TR_OK;
}

static void read_answers(struct tr_cbor *r, struct tr_message *out)
{
	out->answers = tr_field_not_empty(r, tr_cbor_bytes(r), "an optional member of the message is empty");
}

static TR_RC parse(struct tr_view payload, struct tr_message *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	*out = (struct tr_message){ .line = 0 };
	(void)tr_cbor_map(&r, &m, KEY_N);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_FLEET: out->fleet = tr_cbor_text(&r); break;
		case KEY_SENDER: out->sender = tr_cbor_text(&r); break;
		case KEY_RECIPIENT: out->recipient = tr_cbor_text(&r); break;
		case KEY_ID: tr_field_fixed(&r, out->id, sizeof(out->id), "the message's id is not of 16 bytes"); break;
		case KEY_LINE: out->line = tr_cbor_uint(&r); break;
		case KEY_SEQ: out->seq = tr_cbor_uint(&r); break;
		case KEY_ISSUED: out->issued = tr_cbor_int(&r); break;
		case KEY_EXPIRES: out->expires = tr_cbor_int(&r); break;
		case KEY_TYPE: out->type = tr_cbor_text(&r); break;
		case KEY_BODY: out->body = tr_cbor_bytes(&r); break;
		case KEY_ANSWERS: read_answers(&r, out); break;
		default: tr_cbor_fail(&r, "unknown key in the message"); continue;
		}
		seen |= BIT(key);
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "message");
	if ((seen & REQUIRED) != REQUIRED)
		return tr_err_set(err, TR_E_INVALID, "the message lacks a field", "fields %#x", seen);
	return check(out, err);
}

/* What the carrier was told is what the sender signed. The aad says the same only of whoever sealed, and anybody can seal. */
static TR_RC compare(const struct tr_envelope *e, struct tr_view fleet, const struct tr_message *m, struct tr_err *err)
{
	if (!tr_view_eq(m->fleet, fleet))
		return tr_err_set(err, TR_E_DENIED, "the message was signed for another fleet", "fleet");
	if (!tr_view_eq(m->sender, e->sender) || !tr_view_eq(m->recipient, e->recipient))
		return tr_err_set(err, TR_E_DENIED, "the message was signed by or for another agent than its envelope names",
				  "sender or recipient");
	if (m->expires != e->expires)
		return tr_err_set(err, TR_E_DENIED, "the message expires at another time than its envelope says", "expiry");
	return TR_OK;
}

static TR_RC open_inner(struct tr_view padded, const struct tr_pubkey *sender, struct tr_message *ret, struct tr_err *err)
{
	struct tr_view inner;
	struct tr_cose c;
	enum tr_code rc = unpad(padded, &inner, err);

	if (!rc)
		rc = tr_cose1_parse(inner, TR_MESSAGE_MAX, &c, err);
	if (!rc)
		rc = tr_cose1_verify(&c, sender, TR_MESSAGE_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "message");
	return parse(c.payload, ret, err);
}

TR_RC tr_message_open(const struct tr_envelope *e, struct tr_view fleet, const struct tr_secret *prekey,
		      const struct tr_pubkey *sender, struct tr_buf *storage, struct tr_message *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf info = TR_BUF_INIT, head = TR_BUF_INIT;
	size_t before = storage->n;
	struct tr_message m;
	enum tr_code rc;

	put_info(fleet, e->prekey_id, &info);
	put_aad(e->sender, e->recipient, e->expires, e->prekey_id, &head);
	rc = tr_buf_check(&info, err);
	if (!rc)
		rc = tr_buf_check(&head, err);
	if (!rc)
		rc = tr_hpke_open(prekey, e->enc, tr_buf_view(&info), tr_buf_view(&head), e->ciphertext, storage, err);
	if (rc == TR_E_DENIED)
		return tr_err_set(err, TR_E_DENIED, CHANGED_PUB, "open");
	if (rc)
		return tr_err_wrap(err, "open message");
	rc = open_inner(tr_view(storage->p + before, storage->n - before), sender, &m, err);
	if (!rc)
		rc = compare(e, fleet, &m, err);
	if (rc) {
		tr_wipe(storage->p + before, storage->n - before);
		storage->n = before;
		return rc;
	}
	*ret = m;
	return TR_OK;
}
