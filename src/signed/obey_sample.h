/* SPDX-License-Identifier: Apache-2.0 */
/* A small installation for tests: one root, command keys, operators, a keyset that names them, and what they sign. */
#ifndef TR_SIGNED_OBEY_SAMPLE_H
#define TR_SIGNED_OBEY_SAMPLE_H

#include "signed/signed_test.h"

#include "signed/receipt.h"

#define HOUR_MS INT64_C(3600000)
#define MINUTE_MS INT64_C(60000)
#define DAY_MS (24 * HOUR_MS)

/* Indexes into obey_keys. */
enum { K_ROOT, K_COMMAND, K_COMMAND_2, K_OP_A, K_OP_B, K_OP_C, K_STRANGER, K_AGENT, K_N };
static struct tr_privkey *obey_keys[K_N];

static inline int obey_setup(void **state)
{
	static const enum tr_key_type types[K_N] = { [K_OP_B] = TR_KEY_P256 };
	struct tr_err err;

	(void)state;
	if (tr_crypto_init(&err))
		return -1;
	for (size_t i = 0; i < K_N; i++)
		obey_keys[i] = new_key(types[i]);
	return 0;
}

static inline int obey_teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < K_N; i++)
		obey_keys[i] = tr_privkey_free(obey_keys[i]);
	return 0;
}

static inline struct tr_view obey_spki(size_t key)
{
	return tr_pubkey_spki(tr_privkey_pub(obey_keys[key]));
}

/* Keys 0 and 1 are command keys, 2, 3 and 4 operators. */
static inline struct tr_keyset obey_keyset(void)
{
	struct tr_keyset k = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.epoch = 1,
		.issued_ms = NOW_MS - DAY_MS,
		.expires_ms = NOW_MS + 365 * DAY_MS,
		.threshold = 1,
		.n_roots = 1,
		.n_keys = 5,
	};

	k.roots[0] = obey_spki(K_ROOT);
	for (size_t i = 0; i < k.n_keys; i++)
		k.keys[i] = (struct tr_keyset_key){ i < 2 ? TR_ROLE_COMMAND : TR_ROLE_OPERATOR,
						    obey_spki(K_COMMAND + i), NOW_MS - DAY_MS, 0, 0 };
	return k;
}

static inline void obey_revoke(struct tr_keyset *k, size_t key)
{
	memcpy(k->revoked[0], tr_pubkey_id(tr_privkey_pub(obey_keys[key])), 32);
	k->n_revoked = 1;
	k->revocation_number = 1;
}

static inline struct tr_order obey_order(enum tr_cmd cmd)
{
	static const uint8_t target[TR_CMD_ID_LEN] = { 5 };
	const struct tr_cmd_type *t = tr_cmd_type(cmd);
	struct tr_order o = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.agent_id = TR_VIEW_LIT("web-1"),
		.cmd_id = { 1, 2, 3 },
		.cmd = cmd,
		.ordered_ms = NOW_MS - MINUTE_MS,
		.expires_ms = NOW_MS - MINUTE_MS + t->lifetime_s * INT64_C(1000),
		.seconds = t->seconds ? 30 : 0,
	};

	if (t->text)
		o.text = TR_VIEW_LIT("hello");
	if (t->target)
		o.target = TR_VIEW_ARRAY(target);
	return o;
}

static inline struct tr_approval obey_approval(struct tr_view order)
{
	struct tr_approval a = {
		.trust_domain = TR_VIEW_LIT("fleet.example"),
		.issued_ms = NOW_MS - MINUTE_MS,
		.expires_ms = NOW_MS + 30 * MINUTE_MS,
		.text = TR_VIEW_LIT("an order, as it was shown"),
		.n = 1,
	};

	tr_order_digest(order, a.orders[0]);
	return a;
}

static inline struct tr_command obey_command(const struct tr_order *o, struct tr_view order)
{
	return (struct tr_command){ .order = order,
				    .epoch = 2,
				    .line = 1795000000000,
				    .seq = 7,
				    .issued_ms = NOW_MS - 1000,
				    .expires_ms = o->expires_ms,
				    .keyset_epoch = 1 };
}

/* For calls that cannot fail; they take &must for their error. */
static struct tr_err must;
#define MUST(call)                                                                                         \
	do {                                                                                               \
		if (call)                                                                                  \
			fail_msg("%s: %s: %s", #call, must.pub, must.detail);                              \
	} while (0)

/* A signed command and what it is made of. approvers: indexes of obey_keys, 0 ends. */
struct obey_made {
	struct tr_buf order, approvals[2], command;
};

static inline void obey_made_done(struct obey_made *m)
{
	tr_buf_done(&m->order);
	tr_buf_done(&m->approvals[0]);
	tr_buf_done(&m->approvals[1]);
	tr_buf_done(&m->command);
}
TR_DEFINE_AUTO_DONE(struct obey_made, obey_made_done)

static inline void obey_make(struct obey_made *m, const struct tr_order *o, size_t signer, const size_t approvers[2])
{
	struct tr_command c;

	*m = (struct obey_made){ 0 };
	MUST(tr_order_encode(o, &m->order, &must));
	c = obey_command(o, tr_buf_view(&m->order));
	for (; c.n_approvals < 2 && approvers[c.n_approvals]; c.n_approvals++) {
		struct tr_approval a = obey_approval(c.order);
		struct tr_buf *b = &m->approvals[c.n_approvals];

		MUST(tr_approval_sign(&a, obey_keys[approvers[c.n_approvals]], b, &must));
		c.approvals[c.n_approvals] = tr_buf_view(b);
	}
	MUST(tr_command_sign(&c, obey_keys[signer], &m->command, &must));
}

#endif
