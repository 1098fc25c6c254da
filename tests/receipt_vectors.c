/* SPDX-License-Identifier: Apache-2.0 */
/* The test vectors of receipts and deliveries (docs/protocol/command.md), made by the product's own code, and what is none.
 *
 *   receipt_vectors --print   writes them
 *   receipt_vectors FILE      says whether FILE is exactly that; tests/e2e/test_obey_vectors.py reads it with other code */
#include "vector_json.h"

#include "signed/receipt.h"

#define V(s) TR_VIEW_LIT(s)
#define TIME_NS INT64_C(1795310523456789012)

static struct tr_privkey *agent;

static const struct {
	const char *name;
	struct tr_receipt r;
} receipts[] = {
	{ "received", { .agent_id = V("web-1"), .cmd_id = { 1, 2, 3 }, .command = { 4, 5, 6 }, .line = 1795000000000, .seq = 7,
			.state = TR_CS_RECEIVED, .at_ns = TIME_NS, .position = 1, .keyset_epoch = 1, .high = 7 } },
	{ "done, with gaps", { .agent_id = V("web-1"), .cmd_id = { 1, 2, 3 }, .command = { 4, 5, 6 }, .line = 1795000000000,
			       .seq = 7, .state = TR_CS_DONE, .result = V("{\"note\":\"d\xc3\xa9j\xc3\xa0 vu\"}"),
			       .at_ns = TIME_NS, .position = 3, .keyset_epoch = 1, .high = 9, .n_missing = 2,
			       .missing = { 5, 8 } } },
	{ "failed", { .agent_id = V("web-1"), .cmd_id = { 1, 2, 3 }, .command = { 4, 5, 6 }, .line = 1, .seq = 1,
		      .state = TR_CS_FAILED, .code = V("no_room"), .result = V("{}"), .at_ns = 1, .position = 1,
		      .keyset_epoch = 0, .high = 1 } },
	{ "refused, unread", { .agent_id = V("web-1"), .state = TR_CS_REFUSED, .code = V("malformed"), .at_ns = TIME_NS,
			       .position = 4, .keyset_epoch = 1 } },
	{ "unknown", { .agent_id = V("web-1"), .cmd_id = { 1 }, .command = { 4 }, .line = 1, .seq = 2, .state = TR_CS_UNKNOWN,
		       .code = V("interrupted"), .at_ns = INT64_MAX, .position = INT64_MAX, .keyset_epoch = INT64_MAX,
		       .high = INT64_MAX, .n_missing = 1, .missing = { INT64_MAX - 1 } } },
};

static void put_receipts(struct out *o)
{
	open_list(o, "receipts");
	for (size_t i = 0; i < TR_ARRAY_LEN(receipts); i++) {
		const struct tr_receipt *r = &receipts[i].r;
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;

		must(!tr_receipt_sign(r, agent, &b, &err), receipts[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(receipts[i].name));
		tr_buf_adds(&o->b, "\"fields\": {");
		text(o, "agent_id", r->agent_id);
		hex(o, "cmd_id", TR_VIEW_ARRAY(r->cmd_id));
		hex(o, "command", TR_VIEW_ARRAY(r->command));
		big(o, "line", r->line);
		big(o, "seq", r->seq);
		text(o, "state", tr_view_str(tr_cmd_state_name(r->state)));
		big(o, "at_ns", (uint64_t)r->at_ns);
		big(o, "position", r->position);
		big(o, "keyset_epoch", r->keyset_epoch);
		big(o, "high", r->high);
		tr_buf_adds(&o->b, "\"missing\": [");
		for (size_t j = 0; j < r->n_missing; j++)
			tr_buf_addf(&o->b, "%s\"%" PRIu64 "\"", j ? ", " : "", r->missing[j]);
		tr_buf_adds(&o->b, "], ");
		text(o, "code", r->code);
		text(o, "result", r->result);
		close_object(o);
		tr_buf_adds(&o->b, ", ");
		hex(o, "cose", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

static void put_deliveries(struct out *o)
{
	static const struct tr_delivery all[] = { { 1, 25, 0, { { 0 } } },
						  { INT64_MAX, 0, 2, { V("a command"), V("another") } } };

	open_list(o, "deliveries");
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_delivery_put(&all[i], &b);
		must(tr_buf_ok(&b), "delivery");
		item(o);
		tr_buf_adds(&o->b, "{");
		big(o, "keyset_epoch", all[i].keyset_epoch);
		number(o, "wait_s", all[i].wait_s);
		tr_buf_adds(&o->b, "\"commands\": [");
		for (size_t j = 0; j < all[i].n; j++) {
			tr_buf_adds(&o->b, j ? ", \"" : "\"");
			tr_hex_add(&o->b, all[i].commands[j]);
			tr_buf_adds(&o->b, "\"");
		}
		tr_buf_adds(&o->b, "], ");
		hex(o, "cbor", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- what must be refused ---- */

enum kind { ORDER, APPROVAL, RECEIPT, DOMAIN, DELIVERY };

/* `from` in a good one is replaced by `to`; APPROVAL and RECEIPT: in the payload, which is signed again. DOMAIN: nothing, but
 * a receipt signed under `to`. */
static const struct {
	const char *name;
	enum kind kind;
	struct tr_view from, to;
} bad[] = {
	{ "agent id with a slash", ORDER, V("web-1"), V("web/1") },
	{ "a trust domain of capitals", ORDER, V("fleet.example"), V("Fleet.example") },
	{ "no id", ORDER, V("\x03\x50\x01"), V("\x03\x50\x00") },
	{ "number not in its shortest form", ORDER, V("\x04\x06\x05"), V("\x04\x18\x06\x05") },
	{ "another type's parameter", ORDER, V("\x04\x06\x05"), V("\x04\x05\x05") },
	{ "a parameter of a type that takes none", ORDER, V("\x04\x06\x05"), V("\x04\x08\x05") },
	{ "keys out of order", ORDER, V("\x03\x50"), V("\x04\x50") },
	{ "text with an escape", ORDER, V("hello"), V("\x1b[2Kx") },
	{ "text with a right-to-left override", ORDER, V("hello"), V("he\xe2\x80\xae") },
	{ "a life of 4 hours and a second", ORDER, V("\x06\x1b\x00\x00\x01\xa2\x01\xb2\x6c\x00"), V("\x06\x1b\x00\x00\x01\xa2\x01\xb2\x6f\xe8") },
	{ "a byte behind the order", ORDER, V("hello"), V("hello\x00") },
	{ "a digest of 31 bytes", APPROVAL, V("\x81\x58\x20\x05"), V("\x81\x58\x1f") },
	{ "no order", APPROVAL, V("\x05\x81\x58\x20\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05"
				  "\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05\x05"), V("\x05\x80") },
	{ "a life of over 4 hours", APPROVAL, V("\x03\x1b\x00\x00\x01"), V("\x03\x1b\x00\x00\x02") },
	{ "a tab in the text", APPROVAL, V("as shown"), V("as\tshown") },
	{ "a member more", APPROVAL, V("\xa5\x01"), V("\xa6\x00\x00\x01") },
	{ "unknown state", RECEIPT, V("\x06\x03\x07"), V("\x06\x08\x07") },
	{ "failed without a code", RECEIPT, V("\x06\x03\x07"), V("\x06\x04\x07") },
	{ "missing out of order", RECEIPT, V("\x82\x05\x08"), V("\x82\x08\x05") },
	{ "missing the highest", RECEIPT, V("\x82\x05\x08"), V("\x82\x05\x09") },
	{ "a result that is no JSON", RECEIPT, V("{\"note\""), V("{'note'") },
	{ "an empty result", RECEIPT, V("\x0d\x74{\"note\":\"d\xc3\xa9j\xc3\xa0 vu\"}"), V("\x0d\x60") },
	{ "a field left out", RECEIPT, V("\x0a\x09\x0b\x82\x05\x08"), V("\x0a\x09") },
	{ "signed as a pulse", DOMAIN, V(""), V("troth/pulse/v1") },
	{ "a wait of 61 seconds", DELIVERY, V("\x02\x18\x19"), V("\x02\x18\x3d") },
	{ "an empty command", DELIVERY, V("\x03\x80"), V("\x03\x81\x40") },
	{ "a member left out", DELIVERY, V("\xa3\x01\x01"), V("\xa2") },
};

/* The good one, or its payload. */
static void make(enum kind kind, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	const struct tr_delivery d = { 1, 25, 0, { { 0 } } };
	const struct tr_order x = { .trust_domain = V("fleet.example"), .agent_id = V("web-1"), .cmd_id = { 1 },
				    .cmd = TR_CMD_NOTE, .ordered_ms = 1795310400000, .expires_ms = 1795324800000,
				    .text = V("hello") };
	struct tr_approval a = { .trust_domain = V("fleet.example"), .issued_ms = 1795310400000,
				 .expires_ms = 1795310460000, .text = V("as shown"), .n = 1 };
	struct tr_cose c = { .n_sigs = 0 };
	struct tr_err err;
	enum tr_code rc = TR_OK;

	memset(a.orders[0], 5, 32);
	switch (kind) {
	case ORDER: rc = tr_order_encode(&x, &b, &err); break;
	case APPROVAL: rc = tr_approval_sign(&a, agent, &b, &err); break;
	case RECEIPT:
	case DOMAIN: rc = tr_receipt_sign(&receipts[1].r, agent, &b, &err); break;
	case DELIVERY: tr_delivery_put(&d, &b); break;
	}
	must(rc == TR_OK && tr_buf_ok(&b), "good object");
	if (kind != ORDER && kind != DELIVERY)
		must(!tr_cose1_parse(tr_buf_view(&b), b.n, &c, &err), "good object");
	tr_buf_addv(out, c.payload.n ? c.payload : tr_buf_view(&b));
}

static void spoil(size_t i, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, payload = TR_BUF_INIT;
	const char *domain = bad[i].kind == APPROVAL ? TR_APPROVAL_DOMAIN : TR_RECEIPT_DOMAIN;
	struct tr_err err;

	make(bad[i].kind, &good);
	if (bad[i].kind == DOMAIN)
		domain = (const char *)bad[i].to.p, tr_buf_addv(&payload, tr_buf_view(&good));
	else
		swap(bad[i].name, tr_buf_view(&good), bad[i].from, bad[i].to, &payload);
	if (bad[i].kind == ORDER || bad[i].kind == DELIVERY)
		tr_buf_addv(out, tr_buf_view(&payload));
	else
		must(!tr_cose1_sign(agent, domain, tr_buf_view(&payload), out, &err), "signing again");
}

/* The product's own refusal. */
static const char *reason_of(enum kind kind, struct tr_view in, struct tr_err *err)
{
	struct tr_approval a;
	struct tr_delivery d;
	struct tr_receipt r;
	struct tr_order x;
	struct tr_view kid;
	enum tr_code rc = TR_OK;

	switch (kind) {
	case ORDER: rc = tr_order_decode(in, &x, err); break;
	case APPROVAL: rc = tr_approval_read(in, &a, &kid, err); break;
	case RECEIPT:
	case DOMAIN: rc = tr_receipt_verify(in, tr_privkey_pub(agent), &r, err); break;
	case DELIVERY: rc = tr_delivery_get(in, &d, err); break;
	}
	return rc ? err->pub : NULL;
}

static void put_bad(struct out *o)
{
	static const char *const names[] = { [ORDER] = "order", [APPROVAL] = "approval", [RECEIPT] = "receipt",
					     [DOMAIN] = "receipt", [DELIVERY] = "delivery" };

	open_list(o, "invalid");
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;
		const char *why;

		spoil(i, &b);
		why = reason_of(bad[i].kind, tr_buf_view(&b), &err);
		must(why != NULL, bad[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(bad[i].name));
		text(o, "object", tr_view_str(names[bad[i].kind]));
		hex(o, "bytes", tr_buf_view(&b));
		text(o, "reason", tr_view_str(why));
		flag(o, "signature", err.code == TR_E_DENIED);
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

int main(int argc, char **argv)
{
	struct out o = { .comma = "" };
	uint8_t seed[32];
	int rc;

	must(argc == 2, "usage: receipt_vectors --print | FILE, which");
	start();
	agent = key_of("troth: the public agent key of the command vectors", seed);
	tr_buf_adds(&o.b, "{\n\"keys\": {\"agent\": {");
	hex(&o, "seed", TR_VIEW_ARRAY(seed));
	hex(&o, "spki", tr_pubkey_spki(tr_privkey_pub(agent)));
	close_object(&o);
	tr_buf_adds(&o.b, "}");
	put_receipts(&o);
	put_deliveries(&o);
	put_bad(&o);
	tr_buf_adds(&o.b, "\n}\n");
	must(tr_buf_ok(&o.b), "memory");
	rc = print_or_compare("receipt_vectors", argv[1], tr_buf_view(&o.b));
	tr_buf_done(&o.b);
	(void)tr_privkey_free(agent);
	return rc;
}
