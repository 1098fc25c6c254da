/* SPDX-License-Identifier: Apache-2.0 */
/* The test vectors of messages, pre-keys and signed requests (docs/protocol/message.md), made by the product's own code, and
 * what is none.
 *
 *   message_vectors --print   writes them
 *   message_vectors FILE      says whether FILE is exactly that; tests/e2e/test_message_vectors.py reads it with other code */
#include "vector_json.h"

#include "signed/message_sample.h"
#include "signed/request_sig.h"

#define V(s) TR_VIEW_LIT(s)
#define NOW INT64_C(1795310523)
#define FLEET V("fleet.example")

enum { SENDER, RECIPIENT, KEYS };
static struct tr_privkey *keys[KEYS];
static struct tr_secret *prekey, *ephemeral;
static uint8_t prekey_pub[32];

static struct tr_secret *x25519_of(const char *sentence)
{
	struct tr_secret *s = tr_secret_new(TR_X25519_LEN);

	must(s != NULL, "memory");
	tr_sha256(tr_view_str(sentence), tr_secret_p(s));
	return s;
}

/* ---- pre-keys ---- */

static void put_prekeys(struct out *o)
{
	static const struct {
		const char *name;
		struct tr_prekey p;
	} all[] = {
		{ "first", { FLEET, V("db-1"), 1, { 0 }, NOW, NOW + TR_PREKEY_LIFE_S } },
		{ "last", { V("f"), V("d"), INT64_MAX, { 0 }, 1, 2 } },
	};

	open_list(o, "prekeys");
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_prekey p = all[i].p;
		uint8_t id[16];
		struct tr_err err;

		memcpy(p.key, prekey_pub, sizeof(p.key));
		tr_prekey_id(p.key, id);
		must(!tr_prekey_sign(&p, keys[RECIPIENT], &b, &err), all[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(all[i].name));
		tr_buf_adds(&o->b, "\"fields\": {");
		text(o, "fleet", p.fleet);
		text(o, "agent", p.agent);
		big(o, "number", p.number);
		hex(o, "key", TR_VIEW_ARRAY(p.key));
		big(o, "not_before", (uint64_t)p.not_before);
		big(o, "not_after", (uint64_t)p.not_after);
		close_object(o);
		tr_buf_adds(&o->b, ", ");
		hex(o, "id", TR_VIEW_ARRAY(id));
		hex(o, "cose", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- messages ---- */

static const uint8_t long_body[300] = "three hundred bytes, most of them zero";

static const struct {
	const char *name;
	struct tr_message m;
} messages[] = {
	{ "a word", { FLEET, V("web-1"), V("db-1"), { 1, 2, 3 }, 1795310000, 1, NOW, NOW + 3600, V("text/plain"), V("a word between us"),
		      { 0 } } },
	{ "an answer without a body", { FLEET, V("web-1"), V("db-1"), { 4, 5, 6 }, 1795310000, 2, NOW, NOW + 1, V("troth/ack"), { 0 },
					V("\x01\x02\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") } },
	{ "two blocks", { FLEET, V("web-1"), V("db-1"), { 7 }, INT64_MAX, INT64_MAX, 1, 1 + TR_MESSAGE_LIFE_MAX_S,
			  V("application/octet-stream"), { long_body, sizeof(long_body) }, { 0 } } },
};

static void put_messages(struct out *o)
{
	open_list(o, "messages");
	for (size_t i = 0; i < TR_ARRAY_LEN(messages); i++) {
		const struct tr_message *m = &messages[i].m;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, inner = TR_BUF_INIT;
		struct tr_envelope e;
		struct tr_err err;

		must(!tr_message_seal_by(m, keys[SENDER], prekey_pub, ephemeral, &b, &err), messages[i].name);
		must(!tr_envelope_parse(tr_buf_view(&b), &e, &err) && !sample_open(&e, m->fleet, prekey, &inner, &err),
		     messages[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(messages[i].name));
		tr_buf_adds(&o->b, "\"fields\": {");
		text(o, "fleet", m->fleet);
		text(o, "sender", m->sender);
		text(o, "recipient", m->recipient);
		hex(o, "id", TR_VIEW_ARRAY(m->id));
		big(o, "line", m->line);
		big(o, "seq", m->seq);
		big(o, "issued", (uint64_t)m->issued);
		big(o, "expires", (uint64_t)m->expires);
		text(o, "type", m->type);
		hex(o, "body", m->body);
		hex(o, "answers", m->answers);
		close_object(o);
		tr_buf_adds(&o->b, ", ");
		hex(o, "padded", tr_buf_view(&inner));
		hex(o, "envelope", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- what must be refused ---- */

enum kind { ENVELOPE, PADDED, PAYLOAD, PREKEY, SIGNED_AS, OUTSIDE };

/* `from` in a good one is replaced by `to`. PADDED: in what is sealed. PAYLOAD, PREKEY: in what is signed. SIGNED_AS: nothing,
 * but the message is signed under `to`. OUTSIDE: nothing, but the envelope names `to` as the recipient. */
static const struct {
	const char *name;
	enum kind kind;
	struct tr_view from, to;
} bad[] = {
	{ "version 2", ENVELOPE, V("\x87\x01\x65web-1"), V("\x87\x02\x65web-1") },
	{ "an item too few", ENVELOPE, V("\x87\x01"), V("\x86") },
	{ "a sender with a slash", ENVELOPE, V("web-1"), V("web/1") },
	{ "another sender outside", ENVELOPE, V("web-1"), V("web-2") },
	{ "another recipient outside", ENVELOPE, V("db-1"), V("db-2") },
	{ "another expiry outside", ENVELOPE, V("\x1a\x6b\x02\x51\xcb"), V("\x1a\x6b\x02\x51\xcc") },
	{ "a number not in its shortest form", ENVELOPE, V("\x87\x01"), V("\x87\x18\x01") },
	{ "padding that is not zero", PADDED, V("\x00"), V("\x01") },
	{ "a block of padding more", PADDED, V(""), V("") },
	{ "a life of a day and a second", PAYLOAD, V("\x07\x1a\x6b\x02\x43\xbb"), V("\x07\x1a\x6b\x01\x00\x4a") },
	{ "number 0", PAYLOAD, V("\x06\x01\x07"), V("\x06\x00\x07") },
	{ "no type", PAYLOAD, V("\x09\x6atext/plain"), V("\x09\x60") },
	{ "a line end in the type", PAYLOAD, V("text/plain"), V("text\nplain") },
	{ "a member more", PAYLOAD, V("\xaa\x01"), V("\xab\x00\x00\x01") },
	{ "an id of 15 bytes", PAYLOAD, V("\x04\x50\x01\x02"), V("\x04\x4f\x01") },
	{ "signed for another fleet", PAYLOAD, V("fleet.example"), V("fleet.exampla") },
	{ "signed for another recipient", PAYLOAD, V("db-1"), V("db-2") },
	{ "signed as a pre-key", SIGNED_AS, V(""), V(TR_PREKEY_DOMAIN) },
	{ "passed on to another recipient", OUTSIDE, V(""), V("db-2") },
	{ "number 0", PREKEY, V("\x03\x01\x04"), V("\x03\x00\x04") },
	{ "a key of 31 bytes", PREKEY, V("\x04\x58\x20"), V("\x04\x58\x1f") },
	{ "a life of over two days", PREKEY, V("\x05\x1a\x6b\x02"), V("\x05\x1a\x6b\x01") },
	{ "an agent id with a slash", PREKEY, V("db-1"), V("db/1") },
};

static void payload_of(struct tr_view cose, struct tr_view *ret)
{
	struct tr_cose c;
	struct tr_err err;

	must(!tr_cose1_parse(cose, cose.n, &c, &err), "good object");
	*ret = c.payload;
}

static void spoil_padded(size_t i, struct tr_view padded, struct tr_buf *out)
{
	static const uint8_t zeros[TR_MESSAGE_PAD];

	tr_buf_addv(out, padded);
	if (bad[i].from.n)
		out->p[out->n - 1] = bad[i].to.p[0];
	else
		tr_buf_add(out, zeros, sizeof(zeros));
}

/* Of the first message. */
static void spoil_message(size_t i, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, padded = TR_BUF_INIT, payload = TR_BUF_INIT, cose = TR_BUF_INIT,
					   plain = TR_BUF_INIT;
	const struct tr_message *m = &messages[0].m;
	const char *domain = bad[i].kind == SIGNED_AS ? (const char *)bad[i].to.p : TR_MESSAGE_DOMAIN;
	struct tr_view inner;
	struct tr_envelope e;
	struct tr_err err;

	must(!tr_message_seal_by(m, keys[SENDER], prekey_pub, ephemeral, &good, &err), "good message");
	if (bad[i].kind == ENVELOPE) {
		swap(bad[i].name, tr_buf_view(&good), bad[i].from, bad[i].to, out);
		return;
	}
	must(!tr_envelope_parse(tr_buf_view(&good), &e, &err) && !sample_open(&e, m->fleet, prekey, &padded, &err), "good message");
	inner = tr_view(padded.p + 4, (size_t)padded.p[2] << 8 | padded.p[3]);
	if (bad[i].kind == PADDED) {
		spoil_padded(i, tr_buf_view(&padded), &plain);
	} else if (bad[i].kind == OUTSIDE) {
		tr_buf_addv(&plain, tr_buf_view(&padded));
	} else {
		payload_of(inner, &inner);
		if (bad[i].kind == SIGNED_AS)
			tr_buf_addv(&payload, inner);
		else
			swap(bad[i].name, inner, bad[i].from, bad[i].to, &payload);
		must(!tr_cose1_sign(keys[SENDER], domain, tr_buf_view(&payload), &cose, &err), "signing again");
		sample_pad(tr_buf_view(&cose), &plain);
	}
	must(!sample_seal(tr_buf_view(&plain), m->fleet, prekey_pub, ephemeral, m->sender,
			  bad[i].kind == OUTSIDE ? bad[i].to : m->recipient, m->expires, out, &err),
	     "sealing again");
}

static void spoil_prekey(size_t i, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, payload = TR_BUF_INIT;
	struct tr_prekey p = { FLEET, V("db-1"), 1, { 0 }, NOW, NOW + TR_PREKEY_LIFE_S };
	struct tr_view inside;
	struct tr_err err;

	memcpy(p.key, prekey_pub, sizeof(p.key));
	must(!tr_prekey_sign(&p, keys[RECIPIENT], &good, &err), "good pre-key");
	payload_of(tr_buf_view(&good), &inside);
	swap(bad[i].name, inside, bad[i].from, bad[i].to, &payload);
	must(!tr_cose1_sign(keys[RECIPIENT], TR_PREKEY_DOMAIN, tr_buf_view(&payload), out, &err), "signing again");
}

/* The product's own refusal. */
static const char *reason_of(enum kind kind, struct tr_view in, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_message m;
	struct tr_prekey p;
	enum tr_code rc;

	if (kind == PREKEY) {
		rc = tr_prekey_verify(in, tr_privkey_pub(keys[RECIPIENT]), &p, err);
	} else {
		rc = tr_envelope_parse(in, &e, err);
		if (!rc)
			rc = tr_message_open(&e, FLEET, prekey, tr_privkey_pub(keys[SENDER]), &storage, &m, err);
	}
	return rc ? err->pub : NULL;
}

static void put_bad(struct out *o)
{
	open_list(o, "invalid");
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;
		const char *why;

		if (bad[i].kind == PREKEY)
			spoil_prekey(i, &b);
		else
			spoil_message(i, &b);
		why = reason_of(bad[i].kind, tr_buf_view(&b), &err);
		must(why != NULL, bad[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(bad[i].name));
		text(o, "object", bad[i].kind == PREKEY ? V("prekey") : V("envelope"));
		hex(o, "bytes", tr_buf_view(&b));
		text(o, "reason", tr_view_str(why));
		flag(o, "denied", err.code == TR_E_DENIED);
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- signed requests ---- */

static void put_requests(struct out *o)
{
	static const struct {
		struct tr_request_sig r;
		struct tr_view body;
	} all[] = {
		{ { V("GET"), V("/api/v1/agents/discovery/db-1"), V("web-1"), V("1795310523"), V("AAECAwQFBgcICQoLDA0ODw"), { 0 } },
		  { 0 } },
		{ { V("POST"), V("/api/v1/agents/register"), V("web-1"), V("1795310524"), V("zZ09-_zZ09-_zZ09-_"), { 0 } },
		  V("{\"agent_id\": \"web-1\"}") },
	};

	open_list(o, "requests");
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		tr_auto(tr_buf_done) struct tr_buf signed_text = TR_BUF_INIT, sig = TR_BUF_INIT;
		struct tr_request_sig r = all[i].r;
		int64_t unix_s;
		struct tr_err err;

		tr_sha256(all[i].body, r.body_sha256);
		must(!tr_request_sig_text(&r, &signed_text, &unix_s, &err) &&
			     !tr_request_sig_make(&r, keys[SENDER], &sig, &err),
		     "request");
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "method", r.method);
		text(o, "target", r.target);
		text(o, "agent", r.agent);
		text(o, "timestamp", r.timestamp);
		text(o, "nonce", r.nonce);
		text(o, "body", all[i].body);
		text(o, "text", tr_buf_view(&signed_text));
		text(o, "signature", tr_buf_view(&sig));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

int main(int argc, char **argv)
{
	static const char *const names[KEYS] = { [SENDER] = "sender", [RECIPIENT] = "recipient" };
	struct out o = { .comma = "" };
	struct tr_err err;
	int rc;

	must(argc == 2, "usage: message_vectors --print | FILE, which");
	start();
	prekey = x25519_of("troth: the public pre-key of the message vectors");
	ephemeral = x25519_of("troth: the public ephemeral key of the message vectors");
	must(!tr_x25519_public(prekey, prekey_pub, &err), "pre-key");
	tr_buf_adds(&o.b, "{\n");
	put_named_keys(&o, "message", names, KEYS, keys);
	tr_buf_adds(&o.b, ",\n");
	hex(&o, "prekey", tr_view(tr_secret_p(prekey), TR_X25519_LEN));
	hex(&o, "prekey_public", TR_VIEW_ARRAY(prekey_pub));
	hex(&o, "ephemeral", tr_view(tr_secret_p(ephemeral), TR_X25519_LEN));
	o.b.n -= 2;
	put_prekeys(&o);
	put_messages(&o);
	put_bad(&o);
	put_requests(&o);
	tr_buf_adds(&o.b, "\n}\n");
	must(tr_buf_ok(&o.b), "memory");
	rc = print_or_compare("message_vectors", argv[1], tr_buf_view(&o.b));
	tr_buf_done(&o.b);
	for (size_t i = 0; i < KEYS; i++)
		(void)tr_privkey_free(keys[i]);
	prekey = tr_secret_free(prekey);
	ephemeral = tr_secret_free(ephemeral);
	return rc;
}
