/* SPDX-License-Identifier: Apache-2.0 */
/* The test vectors of docs/protocol/command.md, made by the product's own code.
 *
 *   command_vectors --print   writes them
 *   command_vectors FILE      says whether FILE is exactly that; tests/e2e/test_obey_vectors.py reads it with other code
 *
 * The keys are made for this file and public with it: nobody may use them for anything else. */
#include "vector_json.h"

#include "signed/receipt.h"

#define NOW_MS INT64_C(1795310523456)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)
#define V(s) TR_VIEW_LIT(s)

enum who { ROOT, COMMAND, COMMAND_2, OPERATOR_A, OPERATOR_B, STRANGER, AGENT, WHO_N };
static const char *const who_name[WHO_N] = { "root",	   "command",  "command-2", "operator-a",
					     "operator-b", "stranger", "agent" };
static struct tr_privkey *keys[WHO_N];

enum which { PLAIN, REVOKED, RETIRED, OPERATOR_REVOKED, WHICH_N };
static const char *const which_name[WHICH_N] = { "plain", "command revoked", "command retired", "operator-a revoked" };
static struct tr_keyset keysets[WHICH_N];

static struct tr_view spki(enum who w)
{
	return tr_pubkey_spki(tr_privkey_pub(keys[w]));
}

/* ---- keys and keysets ---- */

static void make_keyset(enum which w)
{
	static const enum tr_key_role roles[] = { TR_ROLE_COMMAND, TR_ROLE_COMMAND, TR_ROLE_OPERATOR, TR_ROLE_OPERATOR };
	struct tr_keyset *k = &keysets[w];
	enum who revoked = w == REVOKED ? COMMAND : OPERATOR_A;

	*k = (struct tr_keyset){ .trust_domain = V("fleet.example"), .epoch = 1, .issued_ms = NOW_MS - HOUR_MS,
				 .expires_ms = NOW_MS + 24 * HOUR_MS, .threshold = 1, .n_roots = 1, .n_keys = 4 };
	k->roots[0] = spki(ROOT);
	for (unsigned i = 0; i < k->n_keys; i++)
		k->keys[i] = (struct tr_keyset_key){ roles[i], spki((enum who)(COMMAND + i)), NOW_MS - HOUR_MS, 0, 0 };
	if (w == RETIRED)
		k->keys[0].no_sign_after_ms = NOW_MS - 2000;
	if (w == REVOKED || w == OPERATOR_REVOKED) {
		memcpy(k->revoked[0], tr_pubkey_id(tr_privkey_pub(keys[revoked])), 32);
		k->n_revoked = k->revocation_number = 1;
	}
}

static void put_keysets(struct out *o)
{
	const struct tr_privkey *root = keys[ROOT];

	open_list(o, "keysets");
	for (unsigned i = 0; i < WHICH_N; i++) {
		tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, b = TR_BUF_INIT;
		uint8_t pin[32];
		struct tr_err err;

		make_keyset((enum which)i);
		must(!tr_keyset_payload(&keysets[i], &payload, &err) &&
			     !tr_keyset_sign(tr_buf_view(&payload), &root, 1, &b, &err), "keyset");
		tr_keyset_root_fingerprint(&keysets[i], pin);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(which_name[i]));
		hex(o, "pin", TR_VIEW_ARRAY(pin));
		hex(o, "object", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- orders ---- */

static const uint8_t target[TR_CMD_ID_LEN] = { 9, 9, 9 }, image[32] = { 0xa5 };

static struct tr_order order_of(enum tr_cmd cmd, bool scheduled)
{
	const struct tr_cmd_type *t = tr_cmd_type(cmd);
	struct tr_order o = { .trust_domain = V("fleet.example"), .agent_id = V("web-1"), .cmd = cmd,
			      .cmd_id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
			      .ordered_ms = NOW_MS - MINUTE_MS, .seconds = t->seconds ? 30 : 0 };

	if (scheduled) {
		o.not_before_ms = NOW_MS + 24 * HOUR_MS;
		o.image = TR_VIEW_ARRAY(image);
	}
	o.expires_ms = (scheduled ? o.not_before_ms : o.ordered_ms) + t->lifetime_s * INT64_C(1000);
	if (t->text)
		o.text = V("d\xc3\xa9j\xc3\xa0 vu: \"twice\"");
	if (t->target)
		o.target = TR_VIEW_ARRAY(target);
	return o;
}

static void put_order(struct out *o, const struct tr_order *x)
{
	const struct tr_cmd_type *t = tr_cmd_type(x->cmd);
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, line = TR_BUF_INIT;
	uint8_t digest[32];
	struct tr_err err;

	must(!tr_order_encode(x, &b, &err), t->name);
	tr_order_digest(tr_buf_view(&b), digest);
	tr_order_text(x, &line);
	item(o);
	tr_buf_adds(&o->b, "{");
	text(o, "cmd", tr_view_str(t->name));
	number(o, "number", x->cmd);
	text(o, "class", tr_view_str(tr_cmd_class_name(t->class)));
	text(o, "kind", tr_view_str(tr_cmd_kind_name(t->kind)));
	number(o, "lifetime_s", t->lifetime_s);
	tr_buf_adds(&o->b, "\"fields\": {");
	text(o, "trust_domain", x->trust_domain);
	text(o, "agent_id", x->agent_id);
	hex(o, "cmd_id", TR_VIEW_ARRAY(x->cmd_id));
	big(o, "ordered_ms", (uint64_t)x->ordered_ms);
	big(o, "expires_ms", (uint64_t)x->expires_ms);
	if (x->not_before_ms)
		big(o, "not_before_ms", (uint64_t)x->not_before_ms);
	if (x->image.n)
		hex(o, "image", x->image);
	if (t->seconds)
		number(o, "seconds", x->seconds);
	if (t->text)
		text(o, "text", x->text);
	if (t->target)
		hex(o, "target", x->target);
	close_object(o);
	tr_buf_adds(&o->b, ", ");
	hex(o, "cbor", tr_buf_view(&b));
	hex(o, "digest", TR_VIEW_ARRAY(digest));
	text(o, "line", tr_buf_view(&line));
	close_object(o);
}

static void put_orders(struct out *o)
{
	open_list(o, "orders");
	for (unsigned i = TR_CMD_STATUS; i < TR_CMD_N; i++)
		for (unsigned scheduled = 0; scheduled < 2; scheduled++) {
			struct tr_order x = order_of((enum tr_cmd)i, scheduled);

			if (!scheduled || i == TR_CMD_NOTE)
				put_order(o, &x);
		}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- approvals ---- */

static struct tr_approval approval_of(struct tr_view order, struct tr_view shown)
{
	struct tr_approval a = { .trust_domain = V("fleet.example"), .issued_ms = NOW_MS - MINUTE_MS,
				 .expires_ms = NOW_MS + 30 * MINUTE_MS, .text = shown, .n = 1 };

	tr_order_digest(order, a.orders[0]);
	return a;
}

static void put_approvals(struct out *o)
{
	open_list(o, "approvals");
	for (enum who w = OPERATOR_A; w <= OPERATOR_B; w++) {
		tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, shown = TR_BUF_INIT, b = TR_BUF_INIT;
		struct tr_order x = order_of(w == OPERATOR_A ? TR_CMD_QUARANTINE : TR_CMD_NOTE, false);
		struct tr_approval a;
		struct tr_err err;

		must(!tr_order_encode(&x, &order, &err), "order");
		tr_order_text(&x, &shown);
		if (w == OPERATOR_B)
			tr_buf_adds(&shown, "\nand one more");
		a = approval_of(tr_buf_view(&order), tr_buf_view(&shown));
		if (w == OPERATOR_B)
			memset(a.orders[a.n++], 0xff, 32);
		must(!tr_approval_sign(&a, keys[w], &b, &err), "approval");
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "key", tr_view_str(who_name[w]));
		text(o, "trust_domain", a.trust_domain);
		big(o, "issued_ms", (uint64_t)a.issued_ms);
		big(o, "expires_ms", (uint64_t)a.expires_ms);
		text(o, "text", a.text);
		tr_buf_adds(&o->b, "\"orders\": [");
		for (size_t i = 0; i < a.n; i++) {
			tr_buf_adds(&o->b, i ? ", \"" : "\"");
			tr_hex_add(&o->b, TR_VIEW_ARRAY(a.orders[i]));
			tr_buf_adds(&o->b, "\"");
		}
		tr_buf_adds(&o->b, "], ");
		hex(o, "cose", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- commands, obeyed and refused ---- */

static const struct {
	const char *name;
	enum tr_cmd cmd;
	enum who signer, by[2]; /* ROOT: nobody */
	enum which keyset;
	const char *agent;
	uint64_t epoch;
	int64_t later_ms; /* than NOW_MS */
	bool grace_over, scheduled;
	struct tr_view from, to; /* replaced in the payload, which is signed as it is then */
} commands[] = {
	{ "a read", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "a read, scheduled", TR_CMD_INVENTORY, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, true, { 0 }, { 0 } },
	{ "by the second key", TR_CMD_CANCEL, COMMAND_2, { 0 }, REVOKED, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "a change", TR_CMD_SET_INTERVAL, COMMAND, { OPERATOR_A }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "what is dangerous", TR_CMD_QUARANTINE, COMMAND, { OPERATOR_A, OPERATOR_B }, PLAIN, "web-1", 2, 0, false, false,
	  { 0 }, { 0 } },
	{ "enrolment not known", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 0, 0, false, false, { 0 }, { 0 } },
	{ "a read, keyset too old", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, true, false, { 0 }, { 0 } },
	{ "a change, keyset too old", TR_CMD_NOTE, COMMAND, { OPERATOR_A }, PLAIN, "web-1", 2, 0, true, false, { 0 }, { 0 } },
	{ "by a stranger", TR_CMD_STATUS, STRANGER, { 0 }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "by an operator", TR_CMD_STATUS, OPERATOR_A, { 0 }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "by a revoked key", TR_CMD_STATUS, COMMAND, { 0 }, REVOKED, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "by a retired key", TR_CMD_STATUS, COMMAND, { 0 }, RETIRED, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "for another agent", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-2", 2, 0, false, false, { 0 }, { 0 } },
	{ "for another enrolment", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 3, 0, false, false, { 0 }, { 0 } },
	{ "expired", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 4 * MINUTE_MS, false, false, { 0 }, { 0 } },
	{ "from the future", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, -10 * MINUTE_MS, false, false, { 0 }, { 0 } },
	{ "a line of the future", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false,
	  V("\x03\x1b\x00\x00\x01\xa1"), V("\x03\x1b\x00\x00\x01\xa3") },
	{ "without approval", TR_CMD_NOTE, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "one approval where two are needed", TR_CMD_RELEASE, COMMAND, { OPERATOR_B }, PLAIN, "web-1", 2, 0, false, false,
	  { 0 }, { 0 } },
	{ "twice by one operator", TR_CMD_RELEASE, COMMAND, { OPERATOR_B, OPERATOR_B }, PLAIN, "web-1", 2, 0, false, false,
	  { 0 }, { 0 } },
	{ "approved by a stranger", TR_CMD_NOTE, COMMAND, { STRANGER }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "approved by the command key", TR_CMD_NOTE, COMMAND, { COMMAND_2 }, PLAIN, "web-1", 2, 0, false, false, { 0 }, { 0 } },
	{ "approved by a revoked key", TR_CMD_NOTE, COMMAND, { OPERATOR_A }, OPERATOR_REVOKED, "web-1", 2, 0, false, false,
	  { 0 }, { 0 } },
	{ "approval over", TR_CMD_NOTE, COMMAND, { OPERATOR_A }, PLAIN, "web-1", 2, 31 * MINUTE_MS, false, false, { 0 }, { 0 } },
	{ "a command that nobody knows", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, V("\x04\x01\x05"),
	  V("\x04\x18\x63\x05") },
	{ "number 0", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, V("\x04\x07\x05"), V("\x04\x00\x05") },
	{ "a member more", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, V("\xa9\x01"), V("\xaa\x00\x00\x01") },
	{ "three approvals", TR_CMD_STATUS, COMMAND, { 0 }, PLAIN, "web-1", 2, 0, false, false, V("\x09\x80"),
	  V("\x09\x83\x41x\x41x\x41x") },
};

static void spoil(size_t i, struct tr_buf *b)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, again = TR_BUF_INIT;
	struct tr_cose c;
	struct tr_err err;

	must(!tr_cose1_parse(tr_buf_view(b), TR_COMMAND_MAX, &c, &err), "command");
	/* A command number of two bytes makes the order longer, and its head says how long it is. */
	if (commands[i].to.n == 4 && commands[i].to.p[1] == 0x18) {
		tr_buf_addv(&again, c.payload);
		again.p[3]++;
		swap(commands[i].name, tr_buf_view(&again), commands[i].from, commands[i].to, &payload);
	} else {
		swap(commands[i].name, c.payload, commands[i].from, commands[i].to, &payload);
	}
	tr_buf_clear(&again);
	must(!tr_cose1_sign(keys[commands[i].signer], TR_COMMAND_DOMAIN, tr_buf_view(&payload), &again, &err), "signing");
	tr_buf_clear(b);
	tr_buf_addv(b, tr_buf_view(&again));
}

static void make_command(size_t i, struct tr_buf *order, struct tr_buf approvals[2], struct tr_command *c, struct tr_buf *b)
{
	struct tr_order x = order_of(commands[i].cmd, commands[i].scheduled);
	struct tr_err err;

	must(!tr_order_encode(&x, order, &err), "order");
	*c = (struct tr_command){ .order = tr_buf_view(order), .epoch = 2, .line = 1795000000000, .seq = 7,
				  .issued_ms = NOW_MS - 1000, .expires_ms = x.expires_ms, .keyset_epoch = 1 };
	for (; c->n_approvals < 2 && commands[i].by[c->n_approvals] != ROOT; c->n_approvals++) {
		struct tr_approval a = approval_of(c->order, V("as shown"));

		must(!tr_approval_sign(&a, keys[commands[i].by[c->n_approvals]], &approvals[c->n_approvals], &err), "approval");
		c->approvals[c->n_approvals] = tr_buf_view(&approvals[c->n_approvals]);
	}
	must(!tr_command_sign(c, keys[commands[i].signer], b, &err), commands[i].name);
	if (commands[i].from.n)
		spoil(i, b);
}

static void put_command(struct out *o, size_t i)
{
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, b = TR_BUF_INIT;
	const struct tr_command_scope s = { V("fleet.example"), tr_view_str(commands[i].agent), commands[i].epoch,
					    &keysets[commands[i].keyset], NOW_MS + commands[i].later_ms,
					    commands[i].grace_over };
	struct tr_buf approvals[2] = { TR_BUF_INIT, TR_BUF_INIT };
	struct tr_command c, seen;
	struct tr_order x;
	uint8_t digest[32];
	struct tr_err err;
	enum tr_refusal why;
	bool authentic;

	make_command(i, &order, approvals, &c, &b);
	why = tr_command_verify(tr_buf_view(&b), &s, &seen, &x, digest, &authentic, &err);
	item(o);
	tr_buf_adds(&o->b, "{");
	text(o, "name", tr_view_str(commands[i].name));
	text(o, "key", tr_view_str(who_name[commands[i].signer]));
	if (!commands[i].from.n) {
		tr_buf_adds(&o->b, "\"fields\": {");
		hex(o, "order", c.order);
		number(o, "epoch", c.epoch);
		big(o, "line", c.line);
		big(o, "seq", c.seq);
		big(o, "issued_ms", (uint64_t)c.issued_ms);
		big(o, "expires_ms", (uint64_t)c.expires_ms);
		number(o, "keyset_epoch", c.keyset_epoch);
		number(o, "revocation", c.revocation);
		tr_buf_adds(&o->b, "\"approvals\": [");
		for (size_t j = 0; j < c.n_approvals; j++) {
			tr_buf_adds(&o->b, j ? ", \"" : "\"");
			tr_hex_add(&o->b, c.approvals[j]);
			tr_buf_adds(&o->b, "\"");
		}
		tr_buf_adds(&o->b, "]}, ");
	}
	hex(o, "cose", tr_buf_view(&b));
	hex(o, "digest", TR_VIEW_ARRAY(digest));
	tr_buf_adds(&o->b, "\"to\": {");
	text(o, "agent_id", s.agent_id);
	number(o, "epoch", s.epoch);
	text(o, "keyset", tr_view_str(which_name[commands[i].keyset]));
	big(o, "now_ms", (uint64_t)s.now_ms);
	flag(o, "grace_over", s.grace_over);
	close_object(o);
	tr_buf_adds(&o->b, ", ");
	text(o, "refusal", tr_view_str(tr_refusal_slug(why)));
	flag(o, "authentic", authentic);
	close_object(o);
	tr_buf_done(&approvals[0]);
	tr_buf_done(&approvals[1]);
}

static void put_commands(struct out *o)
{
	open_list(o, "commands");
	for (size_t i = 0; i < TR_ARRAY_LEN(commands); i++)
		put_command(o, i);
	tr_buf_adds(&o->b, "\n]");
}

static void put_refusals(struct out *o)
{
	open_list(o, "refusals");
	for (unsigned i = TR_REF_MALFORMED; i < TR_REF_N; i++) {
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "code", tr_view_str(tr_refusal_slug((enum tr_refusal)i)));
		text(o, "sentence", tr_view_str(tr_refusal_sentence((enum tr_refusal)i)));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

int main(int argc, char **argv)
{
	struct out o = { .comma = "" };
	int rc;

	must(argc == 2, "usage: command_vectors --print | FILE, which");
	start();
	tr_buf_adds(&o.b, "{\n");
	put_named_keys(&o, "command", who_name, WHO_N, keys);
	put_keysets(&o);
	put_orders(&o);
	put_approvals(&o);
	put_commands(&o);
	put_refusals(&o);
	tr_buf_adds(&o.b, "\n}\n");
	must(tr_buf_ok(&o.b), "memory");
	rc = print_or_compare("command_vectors", argv[1], tr_buf_view(&o.b));
	tr_buf_done(&o.b);
	for (size_t i = 0; i < WHO_N; i++)
		(void)tr_privkey_free(keys[i]);
	return rc;
}
