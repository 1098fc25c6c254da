/* SPDX-License-Identifier: Apache-2.0 */
/* The test vectors of docs/protocol/keyset.md, made by the product's own code: a chain that grows from one root to two of
 * three and loses the first, and steps that nobody may take.
 *
 *   keyset_vectors --print   writes them
 *   keyset_vectors FILE      says whether FILE is exactly that; tests/e2e/test_obey_vectors.py reads it with other code
 *
 * The keys are made for this file and public with it: nobody may use them for anything else. */
#include "vector_json.h"

#include "signed/keyset.h"

#define NOW_MS INT64_C(1795310523456)
#define DAY_MS INT64_C(86400000)

enum who { ROOT_1, ROOT_2, ROOT_3, COMMAND, OPERATOR, STRANGER, WHO_N };
static const char *const who_name[WHO_N] = { "root-1", "root-2", "root-3", "command", "operator", "stranger" };
static struct tr_privkey *keys[WHO_N];

static struct tr_view spki(enum who w)
{
	return tr_pubkey_spki(tr_privkey_pub(keys[w]));
}

static void put_keys(struct out *o)
{
	put_named_keys(o, "keyset", who_name, WHO_N, keys);
	tr_buf_adds(&o->b, ", ");
	big(o, "now_ms", NOW_MS);
	o->b.n -= 2;
}

static int by_bytes(const void *a, const void *b)
{
	const struct tr_view *x = a, *y = b;

	return memcmp(x->p, y->p, x->n < y->n ? x->n : y->n); /* Ed25519: all of one length */
}

/* Roots as bits of enum who. */
static void set_roots(struct tr_keyset *k, uint64_t threshold, unsigned which)
{
	k->threshold = threshold;
	k->n_roots = 0;
	for (unsigned i = ROOT_1; i <= ROOT_3; i++)
		if (which & 1u << i)
			k->roots[k->n_roots++] = spki((enum who)i);
	qsort(k->roots, k->n_roots, sizeof(k->roots[0]), by_bytes);
}

enum spoilt { GOOD, SKIPPED, SAME_EPOCH, OTHER_PREDECESSOR, OTHER_DOMAIN, EARLIER, TAKEN_BACK, LOWER_NUMBER, SAME_NUMBER, EXPIRED };
#define B(w) (1u << (w))

/* Each is a step from the last good one. */
static const struct {
	const char *name;
	uint64_t threshold;
	unsigned roots, by; /* bits of enum who */
	enum spoilt spoilt;
} steps[] = {
	{ "epoch 1 of trothd init", 1, B(ROOT_1), B(ROOT_1), GOOD },
	{ "two of three roots", 2, B(ROOT_1) | B(ROOT_2) | B(ROOT_3), B(ROOT_1) | B(ROOT_2), GOOD },
	{ "by one of two", 2, B(ROOT_1) | B(ROOT_2) | B(ROOT_3), B(ROOT_1), GOOD },
	{ "by one and a stranger", 2, B(ROOT_1) | B(ROOT_2) | B(ROOT_3), B(ROOT_1) | B(STRANGER), GOOD },
	{ "by the command key, too", 2, B(ROOT_1) | B(ROOT_2) | B(ROOT_3), B(ROOT_1) | B(ROOT_2) | B(COMMAND), GOOD },
	{ "an epoch left out", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), SKIPPED },
	{ "the same epoch again", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), SAME_EPOCH },
	{ "another predecessor", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), OTHER_PREDECESSOR },
	{ "another trust domain", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), OTHER_DOMAIN },
	{ "issued before its predecessor", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), EARLIER },
	{ "a revocation taken back", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), TAKEN_BACK },
	{ "a lower revocation number", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), LOWER_NUMBER },
	{ "more revoked under the same number", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), SAME_NUMBER },
	{ "expired", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), EXPIRED },
	{ "only by the present roots", 1, B(ROOT_3), B(ROOT_1) | B(ROOT_2), GOOD },
	{ "the first root goes", 2, B(ROOT_2) | B(ROOT_3), B(ROOT_2) | B(ROOT_3), GOOD },
	{ "only by a root that went", 1, B(ROOT_1), B(ROOT_1), GOOD },
	{ "another root alone", 1, B(ROOT_1), B(ROOT_1) | B(ROOT_2) | B(ROOT_3), GOOD },
};

struct held {
	struct tr_buf bytes;
	struct tr_keyset k;
};

static void spoil(struct tr_keyset *k, uint8_t prev[32], enum spoilt s)
{
	switch (s) {
	case GOOD: break;
	case SKIPPED: k->epoch++; break;
	case SAME_EPOCH: k->epoch--; break;
	case OTHER_PREDECESSOR: prev[31] ^= 1; break;
	case OTHER_DOMAIN: k->trust_domain = TR_VIEW_LIT("other.example"); break;
	case EARLIER: k->issued_ms -= 2; break;
	case TAKEN_BACK: k->n_revoked = 0; break;
	case LOWER_NUMBER: k->revocation_number -= 2; break;
	case SAME_NUMBER: memset(k->revoked[k->n_revoked++], 0xff, 32), k->revocation_number--; break;
	case EXPIRED: k->expires_ms = NOW_MS; break;
	}
}

static void make(const struct held *h, size_t i, uint8_t prev[32], struct tr_keyset *k, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	const struct tr_privkey *by[WHO_N];
	size_t n = 0;
	struct tr_err err;

	*k = h->k;
	if (i == 0) {
		*k = (struct tr_keyset){ .trust_domain = TR_VIEW_LIT("fleet.example"), .epoch = 1,
					 .issued_ms = NOW_MS - DAY_MS, .expires_ms = NOW_MS + DAY_MS, .n_keys = 2,
					 .n_revoked = 1 };
		k->keys[0] = (struct tr_keyset_key){ TR_ROLE_COMMAND, spki(COMMAND), NOW_MS - DAY_MS, 0, NOW_MS };
		k->keys[1] = (struct tr_keyset_key){ TR_ROLE_OPERATOR, spki(OPERATOR), NOW_MS - DAY_MS, NOW_MS + DAY_MS, 0 };
		memset(k->revoked[0], 0x77, 32);
	} else {
		tr_keyset_digest(tr_buf_view(&h->bytes), prev);
		k->prev_digest = tr_view(prev, 32);
		k->epoch++;
		k->issued_ms++;
	}
	k->revocation_number++;
	set_roots(k, steps[i].threshold, steps[i].roots);
	spoil(k, prev, steps[i].spoilt);
	for (unsigned w = 0; w < WHO_N; w++)
		if (steps[i].by & B(w))
			by[n++] = keys[w];
	must(!tr_keyset_payload(k, &payload, &err) && !tr_keyset_sign(tr_buf_view(&payload), by, n, out, &err), steps[i].name);
}

static void put_fields(struct out *o, const struct tr_keyset *k)
{
	tr_buf_adds(&o->b, "\"fields\": {");
	text(o, "trust_domain", k->trust_domain);
	number(o, "epoch", k->epoch);
	big(o, "issued_ms", (uint64_t)k->issued_ms);
	big(o, "expires_ms", (uint64_t)k->expires_ms);
	hex(o, "prev_digest", k->prev_digest);
	number(o, "threshold", k->threshold);
	tr_buf_adds(&o->b, "\"roots\": [");
	for (size_t i = 0; i < k->n_roots; i++) {
		tr_buf_adds(&o->b, i ? ", \"" : "\"");
		tr_hex_add(&o->b, k->roots[i]);
		tr_buf_adds(&o->b, "\"");
	}
	tr_buf_adds(&o->b, "], \"keys\": [");
	for (size_t i = 0; i < k->n_keys; i++) {
		tr_buf_adds(&o->b, i ? ", {" : "{");
		text(o, "role", tr_view_str(tr_key_role_name(k->keys[i].role)));
		hex(o, "key", k->keys[i].key);
		big(o, "not_before_ms", (uint64_t)k->keys[i].not_before_ms);
		big(o, "not_after_ms", (uint64_t)k->keys[i].not_after_ms);
		big(o, "no_sign_after_ms", (uint64_t)k->keys[i].no_sign_after_ms);
		close_object(o);
	}
	tr_buf_adds(&o->b, "], ");
	number(o, "revocation_number", k->revocation_number);
	tr_buf_adds(&o->b, "\"revoked\": [");
	for (size_t i = 0; i < k->n_revoked; i++) {
		tr_buf_adds(&o->b, i ? ", \"" : "\"");
		tr_hex_add(&o->b, TR_VIEW_ARRAY(k->revoked[i]));
		tr_buf_adds(&o->b, "\"");
	}
	tr_buf_adds(&o->b, "]}, ");
}

static void put_steps(struct out *o)
{
	struct held h = { .bytes = TR_BUF_INIT };
	uint8_t pin[32];

	open_list(o, "steps");
	for (size_t i = 0; i < TR_ARRAY_LEN(steps); i++) {
		struct tr_buf b = TR_BUF_INIT;
		struct tr_keyset k, seen;
		uint8_t prev[32], digest[32];
		struct tr_err err;
		enum tr_code rc;

		make(&h, i, prev, &k, &b);
		if (i == 0)
			tr_keyset_root_fingerprint(&k, pin);
		rc = i == 0 ? tr_keyset_verify_pinned(tr_buf_view(&b), pin, NOW_MS, &seen, &err)
			    : tr_keyset_verify_next(tr_buf_view(&h.bytes), &h.k, tr_buf_view(&b), NOW_MS, &seen, &err);
		tr_keyset_digest(tr_buf_view(&b), digest);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(steps[i].name));
		put_fields(o, &k);
		tr_buf_adds(&o->b, "\"by\": [");
		for (unsigned w = 0, n = 0; w < WHO_N; w++)
			if (steps[i].by & B(w))
				tr_buf_addf(&o->b, "%s\"%s\"", n++ ? ", " : "", who_name[w]);
		tr_buf_adds(&o->b, "], ");
		tr_keyset_root_fingerprint(&k, pin);
		hex(o, "pin", TR_VIEW_ARRAY(pin));
		hex(o, "digest", TR_VIEW_ARRAY(digest));
		hex(o, "object", tr_buf_view(&b));
		flag(o, "taken", rc == TR_OK);
		if (rc)
			text(o, "reason", tr_view_str(err.pub));
		close_object(o);
		if (rc) {
			tr_buf_done(&b);
			continue;
		}
		tr_buf_done(&h.bytes);
		h.bytes = b;
		h.k = seen;
	}
	tr_buf_adds(&o->b, "\n]");
	tr_buf_done(&h.bytes);
}

int main(int argc, char **argv)
{
	struct out o = { .comma = "" };
	int rc;

	must(argc == 2, "usage: keyset_vectors --print | FILE, which");
	start();
	tr_buf_adds(&o.b, "{\n");
	put_keys(&o);
	put_steps(&o);
	tr_buf_adds(&o.b, "\n}\n");
	must(tr_buf_ok(&o.b), "memory");
	rc = print_or_compare("keyset_vectors", argv[1], tr_buf_view(&o.b));
	tr_buf_done(&o.b);
	for (size_t i = 0; i < WHO_N; i++)
		(void)tr_privkey_free(keys[i]);
	return rc;
}
