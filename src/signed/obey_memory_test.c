/* SPDX-License-Identifier: Apache-2.0 */
/* Orders, commands and keysets without memory: each allocation of ours fails once (cmake/obey.cmake), and the function
 * answers with an error or a refusal, never with a yes. */
#include "signed/obey_sample.h"

#include "base/failing_memory.h"

struct world {
	struct tr_keyset ks, next;
	struct tr_order order;
	struct tr_approval approval;
	struct tr_command command;
	struct tr_receipt receipt;
	struct obey_made made;
	struct tr_buf receipt_bytes, payload, first, second;
	uint8_t pin[32], digest[32];
};

static enum tr_code order_encode(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_order_encode(&w->order, &b, err);
}

static enum tr_code order_decode(struct world *w, struct tr_err *err)
{
	struct tr_order o;
	uint8_t digest[32];

	tr_order_digest(tr_buf_view(&w->made.order), digest);
	return memcmp(digest, w->approval.orders[0], 32) ? TR_E_CONFLICT
							  : tr_order_decode(tr_buf_view(&w->made.order), &o, err);
}

static enum tr_code approval_sign(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_approval_sign(&w->approval, obey_keys[K_OP_B], &b, err);
}

static enum tr_code approval_verify(struct world *w, struct tr_err *err)
{
	uint8_t id[32];

	return tr_approval_verify(tr_buf_view(&w->made.approvals[1]), &w->ks, TR_CLASS_DANGEROUS, w->approval.orders[0],
				  NOW_MS, id, err);
}

static enum tr_code command_sign(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_command_sign(&w->command, obey_keys[K_COMMAND], &b, err);
}

static enum tr_code command_verify(struct world *w, struct tr_err *err)
{
	struct tr_command_scope s = { w->order.trust_domain, w->order.agent_id, 2, &w->ks, NOW_MS, false };
	struct tr_command c;
	struct tr_order o;
	uint8_t digest[32];
	bool authentic;
	enum tr_refusal why = tr_command_verify(tr_buf_view(&w->made.command), &s, &c, &o, digest, &authentic, err);

	/* Nobody is accused of anything. */
	return why == TR_REF_NONE ? TR_OK : why == TR_REF_JOURNAL ? err->code : TR_E_CONFLICT;
}

static enum tr_code command_read(struct world *w, struct tr_err *err)
{
	struct tr_command c;
	struct tr_order o;
	struct tr_view kid;

	return tr_command_read(tr_buf_view(&w->made.command), &c, &o, &kid, err);
}

static enum tr_code receipt_sign(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	return tr_receipt_sign(&w->receipt, obey_keys[K_AGENT], &b, err);
}

static enum tr_code receipt_verify(struct world *w, struct tr_err *err)
{
	struct tr_receipt r;

	return tr_receipt_verify(tr_buf_view(&w->receipt_bytes), tr_privkey_pub(obey_keys[K_AGENT]), &r, err);
}

static enum tr_code delivery(struct world *w, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_delivery d = { 1, 25, 1, { tr_buf_view(&w->made.command) } };
	enum tr_code rc;

	tr_delivery_put(&d, &b);
	rc = tr_buf_check(&b, err);
	return rc ? rc : tr_delivery_get(tr_buf_view(&b), &d, err);
}

static enum tr_code keyset_sign(struct world *w, struct tr_err *err)
{
	const struct tr_privkey *root = obey_keys[K_ROOT];
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT, b = TR_BUF_INIT, again = TR_BUF_INIT;
	enum tr_code rc = tr_keyset_payload(&w->ks, &payload, err);

	if (!rc)
		rc = tr_keyset_sign(tr_buf_view(&payload), &root, 1, &b, err);
	return rc ? rc : tr_keyset_add_signature(tr_buf_view(&b), root, &again, err);
}

static enum tr_code keyset_pinned(struct world *w, struct tr_err *err)
{
	struct tr_keyset k;

	/* The fingerprint needs memory, too: without it it is one that nobody pins. */
	enum tr_code rc = tr_keyset_verify_pinned(tr_buf_view(&w->first), w->pin, NOW_MS, &k, err);

	return rc == TR_E_DENIED && failed ? (err->code = TR_E_INTERNAL) : rc;
}

static enum tr_code keyset_next(struct world *w, struct tr_err *err)
{
	struct tr_keyset k;

	return tr_keyset_verify_next(tr_buf_view(&w->first), &w->ks, tr_buf_view(&w->second), NOW_MS, &k, err);
}

static enum tr_code keyset_signatures(struct world *w, struct tr_err *err)
{
	struct tr_keyset_signed by;

	return tr_keyset_signatures(tr_buf_view(&w->second), &w->ks, &by, err);
}

static const struct {
	const char *label;
	enum tr_code (*run)(struct world *w, struct tr_err *err);
	bool allocates;
} steps[] = {
	{ "encode an order", order_encode, true },   { "decode an order", order_decode, false },
	{ "sign an approval", approval_sign, true }, { "verify an approval", approval_verify, true },
	{ "sign a command", command_sign, true },    { "verify a command", command_verify, true },
	{ "read a command", command_read, false },   { "sign a receipt", receipt_sign, true },
	{ "verify a receipt", receipt_verify, true }, { "a delivery", delivery, true },
	{ "sign a keyset", keyset_sign, true },	     { "verify a pinned keyset", keyset_pinned, true },
	{ "verify the next keyset", keyset_next, true }, { "count signatures", keyset_signatures, true },
};

static void make_world(struct world *w)
{
	static const size_t by[2] = { K_OP_A, K_OP_B };
	const struct tr_privkey *root = obey_keys[K_ROOT];

	*w = (struct world){ .ks = obey_keyset(), .order = obey_order(TR_CMD_RELEASE) };
	obey_make(&w->made, &w->order, K_COMMAND, by);
	w->approval = obey_approval(tr_buf_view(&w->made.order));
	w->command = obey_command(&w->order, tr_buf_view(&w->made.order));
	w->receipt = (struct tr_receipt){ .agent_id = w->order.agent_id, .line = 1, .seq = 1, .state = TR_CS_DONE,
					  .result = TR_VIEW_LIT("{\"a\":[1]}"), .at_ns = 1, .high = 1 };
	MUST(tr_receipt_sign(&w->receipt, obey_keys[K_AGENT], &w->receipt_bytes, &must));
	MUST(tr_keyset_payload(&w->ks, &w->payload, &must));
	MUST(tr_keyset_sign(tr_buf_view(&w->payload), &root, 1, &w->first, &must));
	tr_keyset_root_fingerprint(&w->ks, w->pin);
	w->next = w->ks;
	w->next.epoch = 2;
	tr_keyset_digest(tr_buf_view(&w->first), w->digest);
	w->next.prev_digest = TR_VIEW_ARRAY(w->digest);
	tr_buf_clear(&w->payload);
	MUST(tr_keyset_payload(&w->next, &w->payload, &must));
	MUST(tr_keyset_sign(tr_buf_view(&w->payload), &root, 1, &w->second, &must));
}

static void every_failing_allocation_is_survived(void **state)
{
	struct world w;

	(void)state;
	make_world(&w);
	for (size_t i = 0; i < TR_ARRAY_LEN(steps); i++) {
		unsigned long n = 0;

		do {
			struct tr_err err = { .code = TR_OK };
			enum tr_code rc;

			failed = false;
			countdown = ++n;
			rc = steps[i].run(&w, &err);
			countdown = 0;
			if (rc != (failed ? TR_E_INTERNAL : TR_OK) || (rc && (err.code != rc || !err.pub)))
				fail_msg("%s: allocation %lu: %d, %s", steps[i].label, n, (int)rc, err.detail);
		} while (failed);
		CHECK((n > 1) == steps[i].allocates, steps[i].label);
	}
	obey_made_done(&w.made);
	tr_buf_done(&w.receipt_bytes);
	tr_buf_done(&w.payload);
	tr_buf_done(&w.first);
	tr_buf_done(&w.second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failing_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, obey_setup, obey_teardown);
}
