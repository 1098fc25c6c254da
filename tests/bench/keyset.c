/* SPDX-License-Identifier: Apache-2.0 */
/* What authority costs, by itself: the step to the next keyset, a command at the agent and at the signer. Mean CPU time of
 * this thread, the median of several rounds; prints JSON in microseconds. Ed25519 throughout. */
#include "signed/receipt.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 9
#define EACH 400
#define NOW_MS INT64_C(1795310523456)
#define DAY_MS INT64_C(86400000)

enum { ROOTS = 16, COMMAND = ROOTS, OPERATOR_A, OPERATOR_B, KEYS };
static struct tr_privkey *keys[KEYS];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "keyset: %s failed\n", what);
	exit(1);
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct tr_view spki(size_t i)
{
	return tr_pubkey_spki(tr_privkey_pub(keys[i]));
}

static int by_bytes(const void *a, const void *b)
{
	const struct tr_privkey *const *x = a, *const *y = b;

	return memcmp(tr_pubkey_spki(tr_privkey_pub(*x)).p, tr_pubkey_spki(tr_privkey_pub(*y)).p, 44);
}

/* ---- keysets ---- */

struct step {
	struct tr_buf prev_bytes, next_bytes;
	struct tr_keyset prev;
	uint8_t names[TR_KEYSET_KEYS_MAX][44];
};

static void seal(const struct tr_keyset *k, size_t signers, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_err err;

	must(!tr_keyset_payload(k, &payload, &err) &&
		     !tr_keyset_sign(tr_buf_view(&payload), (const struct tr_privkey *const *)keys, signers, out, &err), "keyset");
}

/* Both have the same roots, threshold of them, and all else filled up to n_keys and n_revoked. */
static void make_step(struct step *s, size_t n_roots, size_t threshold, size_t n_keys, size_t n_revoked)
{
	struct tr_keyset k = { .trust_domain = TR_VIEW_LIT("fleet.example"), .epoch = 1, .issued_ms = NOW_MS - DAY_MS,
			       .expires_ms = NOW_MS + DAY_MS, .threshold = threshold, .n_roots = n_roots, .n_keys = n_keys,
			       .n_revoked = n_revoked, .revocation_number = 1 };
	uint8_t digest[32], pin[32];
	struct tr_err err;

	for (size_t i = 0; i < n_roots; i++)
		k.roots[i] = spki(i);
	for (size_t i = 0; i < n_keys; i++) {
		memset(s->names[i], (int)i + 1, sizeof(s->names[i]));
		k.keys[i] = (struct tr_keyset_key){ i ? TR_ROLE_OPERATOR : TR_ROLE_COMMAND,
						    i < 3 ? spki(COMMAND + i) : TR_VIEW_ARRAY(s->names[i]), 1, 0, 0 };
	}
	for (size_t i = 0; i < n_revoked; i++)
		memset(k.revoked[i], (int)i, 32);
	seal(&k, threshold, &s->prev_bytes);
	tr_keyset_root_fingerprint(&k, pin);
	must(!tr_keyset_verify_pinned(tr_buf_view(&s->prev_bytes), pin, NOW_MS, &s->prev, &err), "first keyset");
	tr_keyset_digest(tr_buf_view(&s->prev_bytes), digest);
	k.epoch = 2;
	k.prev_digest = TR_VIEW_ARRAY(digest);
	seal(&k, threshold, &s->next_bytes);
}

static void next(void *arg)
{
	static struct tr_keyset out;
	struct step *s = arg;
	struct tr_err err;

	must(!tr_keyset_verify_next(tr_buf_view(&s->prev_bytes), &s->prev, tr_buf_view(&s->next_bytes), NOW_MS, &out, &err),
	     "next keyset");
}

/* ---- commands ---- */

struct sent {
	struct step *step;
	struct tr_buf order, approvals[2], command;
	struct tr_command c;
	struct tr_command_scope scope;
};

static void make_command(struct sent *s)
{
	const struct tr_order o = { .trust_domain = TR_VIEW_LIT("fleet.example"), .agent_id = TR_VIEW_LIT("web-1"),
				    .cmd_id = { 1 }, .cmd = TR_CMD_QUARANTINE, .ordered_ms = NOW_MS - 1000,
				    .expires_ms = NOW_MS + 3600000 };
	struct tr_approval a = { .trust_domain = o.trust_domain, .issued_ms = NOW_MS - 1000, .expires_ms = NOW_MS + 60000,
				 .text = TR_VIEW_LIT("quarantine on web-1"), .n = 1 };
	struct tr_err err;

	must(!tr_order_encode(&o, &s->order, &err), "order");
	tr_order_digest(tr_buf_view(&s->order), a.orders[0]);
	s->c = (struct tr_command){ .order = tr_buf_view(&s->order), .epoch = 1, .line = 1, .seq = 1, .issued_ms = NOW_MS,
				    .expires_ms = o.expires_ms, .keyset_epoch = 1, .n_approvals = 2 };
	for (size_t i = 0; i < 2; i++) {
		must(!tr_approval_sign(&a, keys[OPERATOR_A + i], &s->approvals[i], &err), "approval");
		s->c.approvals[i] = tr_buf_view(&s->approvals[i]);
	}
	must(!tr_command_sign(&s->c, keys[COMMAND], &s->command, &err), "command");
	s->scope = (struct tr_command_scope){ o.trust_domain, o.agent_id, 1, &s->step->prev, NOW_MS, false };
}

static void verify(void *arg)
{
	struct sent *s = arg;
	struct tr_command c;
	struct tr_order o;
	uint8_t digest[32];
	struct tr_err err;
	bool authentic;

	must(tr_command_verify(tr_buf_view(&s->command), &s->scope, &c, &o, digest, &authentic, &err) == TR_REF_NONE,
	     "verifying a command");
}

static void sign(void *arg)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct sent *s = arg;
	struct tr_err err;

	must(!tr_command_sign(&s->c, keys[COMMAND], &b, &err), "signing a command");
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double us(void (*run)(void *), void *arg)
{
	double rounds[ROUNDS];

	for (size_t r = 0; r < ROUNDS; r++) {
		int64_t start = cpu_ns();

		for (size_t i = 0; i < EACH; i++)
			run(arg);
		rounds[r] = (double)(cpu_ns() - start) / EACH / 1000;
	}
	qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
	return rounds[ROUNDS / 2];
}

static void done(struct step *s)
{
	tr_buf_done(&s->prev_bytes);
	tr_buf_done(&s->next_bytes);
}

int main(void)
{
	static struct step usual, largest;
	static struct sent sent = { .step = &usual };
	struct tr_err err;

	must(!tr_crypto_init(&err), "cryptography");
	for (size_t i = 0; i < KEYS; i++)
		must(!tr_privkey_generate(TR_KEY_ED25519, &keys[i], &err), "key");
	qsort(keys, ROOTS, sizeof(keys[0]), by_bytes);
	make_step(&usual, 3, 2, 8, 4);
	make_step(&largest, ROOTS, ROOTS, TR_KEYSET_KEYS_MAX, TR_KEYSET_REVOKED_MAX);
	make_command(&sent);
	(void)printf("{\"keyset_verify_us\": %.1f, \"largest_us\": %.1f, \"command_verify_us\": %.1f, \"command_sign_us\": %.1f, "
		     "\"command_bytes\": %zu}\n",
		     us(next, &usual), us(next, &largest), us(verify, &sent), us(sign, &sent), sent.command.n);
	done(&usual);
	done(&largest);
	tr_buf_done(&sent.order);
	tr_buf_done(&sent.approvals[0]);
	tr_buf_done(&sent.approvals[1]);
	tr_buf_done(&sent.command);
	for (size_t i = 0; i < KEYS; i++)
		keys[i] = tr_privkey_free(keys[i]);
	return 0;
}
