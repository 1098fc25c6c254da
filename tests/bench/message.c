/* SPDX-License-Identifier: Apache-2.0 */
/* What a message costs, by itself: HPKE alone, and the whole of it with the sender's signature. A body of 1024 bytes. Mean CPU
 * time of this thread, the median of several rounds; prints JSON in microseconds. */
#include "signed/message.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 9
#define EACH 400
#define NOW INT64_C(1795310523)

static struct {
	struct tr_privkey *identity;
	struct tr_secret *prekey;
	uint8_t pub[TR_X25519_LEN], enc[TR_X25519_LEN], body[1024];
	struct tr_message m;
	struct tr_buf ct, envelope;
} b;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "message: %s failed\n", what);
	exit(1);
}

static void hpke_seal(void)
{
	struct tr_err err;

	tr_buf_clear(&b.ct);
	must(!tr_hpke_seal(b.pub, TR_VIEW_LIT("info"), TR_VIEW_LIT("aad"), TR_VIEW_ARRAY(b.body), b.enc, &b.ct, &err), "seal");
}

static void hpke_open(void)
{
	tr_auto(tr_buf_done) struct tr_buf out = TR_BUF_INIT;
	struct tr_err err;

	must(!tr_hpke_open(b.prekey, b.enc, TR_VIEW_LIT("info"), TR_VIEW_LIT("aad"), tr_buf_view(&b.ct), &out, &err), "open");
}

static void message_seal(void)
{
	struct tr_err err;

	tr_buf_clear(&b.envelope);
	must(!tr_message_seal(&b.m, b.identity, b.pub, &b.envelope, &err), "message seal");
}

static void message_open(void)
{
	tr_auto(tr_buf_done) struct tr_buf storage = TR_BUF_INIT;
	struct tr_envelope e;
	struct tr_message m;
	struct tr_err err;

	must(!tr_envelope_parse(tr_buf_view(&b.envelope), &e, &err) &&
		     !tr_message_open(&e, b.m.fleet, b.prekey, tr_privkey_pub(b.identity), &storage, &m, &err),
	     "message open");
}

static int by_value(const void *x, const void *y)
{
	const double *a = x, *c = y;

	return *a < *c ? -1 : *a > *c;
}

static double us_of(void (*one)(void))
{
	double round[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		struct timespec from, to;

		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		for (size_t j = 0; j < EACH; j++)
			one();
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		round[i] = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / EACH / 1000;
	}
	qsort(round, ROUNDS, sizeof(round[0]), by_value);
	return round[ROUNDS / 2];
}

int main(void)
{
	double hpke[2], message[2];
	struct tr_err err;

	must(!tr_crypto_init(&err) && !tr_privkey_generate(TR_KEY_ED25519, &b.identity, &err) &&
		     !tr_x25519_generate(&b.prekey, b.pub, &err),
	     "keys");
	tr_random(b.body, sizeof(b.body));
	b.m = (struct tr_message){ .fleet = TR_VIEW_LIT("fleet.example"), .sender = TR_VIEW_LIT("web-1"),
				   .recipient = TR_VIEW_LIT("db-1"), .line = 1, .seq = 1, .issued = NOW, .expires = NOW + 3600,
				   .type = TR_VIEW_LIT("text/plain"), .body = TR_VIEW_ARRAY(b.body) };
	hpke[0] = us_of(hpke_seal);
	hpke[1] = us_of(hpke_open);
	message[0] = us_of(message_seal);
	message[1] = us_of(message_open);
	(void)printf("{\"hpke_seal_us\": %.1f, \"hpke_open_us\": %.1f, \"message_seal_us\": %.1f, \"message_open_us\": %.1f, "
		     "\"envelope_bytes\": %zu}\n",
		     hpke[0], hpke[1], message[0], message[1], b.envelope.n);
	tr_buf_done(&b.ct);
	tr_buf_done(&b.envelope);
	b.identity = tr_privkey_free(b.identity);
	b.prekey = tr_secret_free(b.prekey);
	return 0;
}
