/* SPDX-License-Identifier: Apache-2.0 */
/* What one pulse costs, by itself, in CPU time of this thread: an agent's half (build and sign, p99) for each type of
 * key, its bytes on the wire, and the server's half without the signature's own verification. Prints JSON. */
#include "base/clock.h"
#include "signed/pulse.h"

#include <stdio.h>
#include <time.h>

#define PULSES 4000

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "pulse: %s failed\n", what);
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	int64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static int64_t spent[PULSES];

static int64_t quantile(unsigned per_mille)
{
	qsort(spent, PULSES, sizeof(spent[0]), by_value);
	return spent[(size_t)PULSES * per_mille / 1000];
}

/* An agent on a common host, a month after its boot, with a snapshot and without its list. */
static struct tr_pulse typical(const uint8_t *random)
{
	struct tr_pulse p = {
		.agent_id = TR_VIEW_LIT("web-frontend-12-7f3a9c01"),
		.partition = TR_VIEW_LIT("default"),
		.time_ns = tr_now_ns(),
		.boot_ns = UINT64_C(2592000123456789),
		.rtt_us = 1830,
		.sync = TR_SYNC_YES,
		.seq = 86400,
		.bootcount = 12,
		.keyset_epoch = 3,
		.ticket = tr_view(random, TR_TICKET_LEN),
		.version = TR_VIEW_LIT("0.2.0"),
		.bpf_status = TR_BPF_OK,
		.lsm = TR_LSM_UNAVAILABLE,
		.health = { 420, 16303424, 9120768, 102400, 61440, 2592000, 9216, 86400 },
	};

	memcpy(p.boot_id, random, 16);
	memcpy(p.start_id, random + 16, 16);
	memcpy(p.prev, random, 32);
	memcpy(p.exporter, random + 8, 32);
	memcpy(p.binary_hash, random + 4, 32);
	memcpy(p.bpf_digest, random + 2, 32);
	return p;
}

static double sign_p99_ms(enum tr_key_type type, struct tr_buf *last)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	uint8_t random[64];
	struct tr_err err;

	must(!tr_privkey_generate(type, &k, &err), "key");
	for (int i = 0; i < PULSES; i++) {
		struct tr_pulse p;
		int64_t start;

		tr_random(random, sizeof(random));
		tr_buf_clear(last);
		start = cpu_ns();
		p = typical(random);
		must(!tr_pulse_sign(&p, k, last, &err), "sign");
		spent[i] = cpu_ns() - start;
	}
	return (double)quantile(990) / 1e6;
}

static bool signatures_count = true;

enum tr_code __real_tr_verify(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg, struct tr_view sig,
			      struct tr_err *err);
enum tr_code __wrap_tr_verify(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg, struct tr_view sig,
			      struct tr_err *err);

/* The linker's --wrap (cmake/bench.cmake): 1 us beside 40 cannot be told by a difference of two measurements. */
enum tr_code __wrap_tr_verify(const struct tr_pubkey *k, enum tr_sig_alg alg, struct tr_view msg, struct tr_view sig,
			      struct tr_err *err)
{
	return signatures_count ? __real_tr_verify(k, alg, msg, sig, err) : TR_OK;
}

static double verify_us(unsigned rounds)
{
	tr_auto(tr_privkey_free) struct tr_privkey *k = NULL;
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t random[64] = { 1 }, digest[32];
	struct tr_pulse p = typical(random), got;
	struct tr_err err;
	int64_t start;

	must(!tr_privkey_generate(TR_KEY_ED25519, &k, &err) && !tr_pulse_sign(&p, k, &b, &err), "sign");
	start = cpu_ns();
	for (unsigned i = 0; i < rounds; i++)
		must(!tr_pulse_verify(tr_buf_view(&b), tr_privkey_pub(k), &got, digest, &err), "verify");
	return (double)(cpu_ns() - start) / rounds / 1e3;
}

static double decode_us(void)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	uint8_t random[64] = { 1 };
	struct tr_pulse p = typical(random), got;
	struct tr_err err;
	int64_t start;

	tr_pulse_encode(&p, &b);
	start = cpu_ns();
	for (int i = 0; i < 100 * PULSES; i++)
		must(!tr_pulse_decode(tr_buf_view(&b), &got, &err), "decode");
	return (double)(cpu_ns() - start) / (100.0 * PULSES) / 1e3;
}

static double ticket_us(void)
{
	uint8_t key[TR_TICKET_KEY_LEN] = { 1 }, head[32] = { 2 }, out[TR_TICKET_LEN];
	const struct tr_ticket_scope scope = { TR_VIEW_LIT("web-frontend-12-7f3a9c01"), 1, head };
	struct tr_ticket t = { 7, 8, 9 };
	int64_t start = cpu_ns();

	for (int i = 0; i < 10 * PULSES; i++) {
		tr_ticket_make(key, &scope, &t, out);
		must(tr_ticket_open(key, &scope, TR_VIEW_ARRAY(out), &t), "ticket");
	}
	return (double)(cpu_ns() - start) / (10.0 * PULSES) / 1e3;
}

int main(void)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	double p256, rsa, ed, parse, verify;
	struct tr_err err = { 0 };

	must(!tr_crypto_init(&err), "cryptography");
	p256 = sign_p99_ms(TR_KEY_P256, &b);
	rsa = sign_p99_ms(TR_KEY_RSA, &b);
	ed = sign_p99_ms(TR_KEY_ED25519, &b);
	verify = verify_us(PULSES);
	signatures_count = false;
	parse = verify_us(100 * PULSES);
	signatures_count = true;
	printf("{\"pulse_sign_p99_ms_ed25519\": %.4f, \"pulse_sign_p99_ms_p256\": %.4f, "
	       "\"pulse_sign_p99_ms_rsa2048\": %.4f, \"pulse_wire_bytes\": %zu, \"pulse_parse_us\": %.2f, "
	       "\"pulse_verify_us\": %.2f, \"ed25519_verify_us\": %.2f, \"pulse_decode_us\": %.3f, \"pulse_ticket_us\": %.2f}\n",
	       ed, p256, rsa, b.n, parse, verify, verify - parse, decode_us(), ticket_us());
	return 0;
}
