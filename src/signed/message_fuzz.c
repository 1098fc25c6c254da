/* SPDX-License-Identifier: Apache-2.0 */
/* The input is tried as an envelope, as what is sealed in one, and as the payload of a good signature sealed in one. Oracle:
 * an envelope that parses encodes to the same bytes; only what our key signed opens, and it is the padded object that
 * signing and padding it again would give. */
#include "signed/signed_fuzz.h"

#include "signed/message_sample.h"

#define FLEET TR_VIEW_LIT("fleet.example")
#define SENDER TR_VIEW_LIT("web-1")
#define RECIPIENT TR_VIEW_LIT("db-1")
#define EXPIRES INT64_C(1795314123)

static struct tr_secret *prekey;
static uint8_t pub[TR_X25519_LEN];

static void as_envelope(struct tr_view in, const struct tr_privkey *k)
{
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_message m;
	struct tr_err err;

	if (tr_envelope_parse(in, &e, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return;
	}
	tr_cbor_put_array(&again, 7);
	sample_aad(e.sender, e.recipient, e.expires, e.prekey_id, &again);
	tr_cbor_put_bytes(&again, TR_VIEW_ARRAY(e.enc));
	tr_cbor_put_bytes(&again, e.ciphertext);
	ORACLE(tr_view_eq(tr_buf_view(&again), in));
	ORACLE(tr_message_open(&e, FLEET, prekey, tr_privkey_pub(k), &storage, &m, &err) == TR_E_DENIED && !storage.n);
}

/* Seals and opens; true when it did. */
static bool opens(struct tr_view plain, const struct tr_privkey *k, struct tr_buf *storage, struct tr_message *ret)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_err err;

	ORACLE(sample_seal(plain, FLEET, pub, NULL, SENDER, RECIPIENT, EXPIRES, &b, &err) == TR_OK);
	if (tr_envelope_parse(tr_buf_view(&b), &e, &err) != TR_OK)
		return false;
	if (tr_message_open(&e, FLEET, prekey, tr_privkey_pub(k), storage, ret, &err) == TR_OK)
		return true;
	ORACLE((err.code == TR_E_INVALID || err.code == TR_E_DENIED) && err.pub && !storage->n);
	return false;
}

static void as_payload(struct tr_view in, const struct tr_privkey *k)
{
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, padded = TR_BUF_INIT, storage = TR_BUF_INIT, b = TR_BUF_INIT,
					   again = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_message m;
	struct tr_err err;

	ORACLE(tr_cose1_sign(k, TR_MESSAGE_DOMAIN, in, &object, &err) == TR_OK);
	sample_pad(tr_buf_view(&object), &padded);
	if (!opens(tr_buf_view(&padded), k, &storage, &m))
		return;
	ORACLE(tr_view_eq(m.sender, SENDER) && tr_view_eq(m.recipient, RECIPIENT) && m.expires == EXPIRES);
	ORACLE(tr_message_seal(&m, k, pub, &b, &err) == TR_OK && tr_envelope_parse(tr_buf_view(&b), &e, &err) == TR_OK);
	ORACLE(sample_open(&e, FLEET, prekey, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&padded)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_message m;
	struct tr_err err;

	if (!prekey)
		ORACLE(tr_x25519_generate(&prekey, pub, &err) == TR_OK);
	as_envelope(in, k);
	if (size > TR_MESSAGE_BODY_MAX)
		return 0;
	ORACLE(!opens(in, k, &storage, &m));
	as_payload(in, k);
	return 0;
}
