/* SPDX-License-Identifier: Apache-2.0 */
/* Oracle: what is accepted encodes to the very same bytes, on the wire, between roles and as an answer; and nobody
 * else's bytes verify. */
#include "signed/signed_fuzz.h"

#include "signed/pulse_sample.h"

static void try_payload(struct tr_view in)
{
	const struct tr_privkey *k = fuzz_key();
	tr_auto(tr_buf_done) struct tr_buf object = TR_BUF_INIT, again = TR_BUF_INIT, frame = TR_BUF_INIT;
	uint8_t digest[32], same[32];
	struct tr_pulse p, framed;
	struct tr_err err;

	ORACLE(tr_cose1_sign(k, TR_PULSE_DOMAIN, in, &object, &err) == TR_OK);
	if (tr_pulse_verify(tr_buf_view(&object), tr_privkey_pub(k), &p, digest, &err) != TR_OK) {
		ORACLE(err.code == TR_E_INVALID && err.pub);
		return;
	}
	ORACLE(tr_pulse_digest(tr_buf_view(&object), same, &err) == TR_OK && memcmp(digest, same, 32) == 0);
	tr_pulse_encode(&p, &frame);
	ORACLE(tr_buf_ok(&frame) && tr_pulse_decode(tr_buf_view(&frame), &framed, &err) == TR_OK);
	ORACLE(tr_pulse_sign(&framed, k, &again, &err) == TR_OK);
	ORACLE(tr_view_eq(tr_buf_view(&again), tr_buf_view(&object)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_view in = tr_view(data, size);
	struct tr_pulse_answer answer;
	uint8_t digest[32];
	struct tr_pulse p;
	struct tr_err err;

	ORACLE(tr_pulse_verify(in, tr_privkey_pub(fuzz_key()), &p, digest, &err) != TR_OK);
	if (tr_pulse_digest(in, digest, &err) != TR_OK)
		ORACLE(err.code == TR_E_INVALID && err.pub);
	if (size < TR_PULSE_MAX - 2048)
		try_payload(in);
	if (tr_pulse_decode(in, &p, &err) == TR_OK) {
		tr_pulse_encode(&p, &b);
		ORACLE(tr_view_eq(tr_buf_view(&b), in));
	}
	tr_buf_clear(&b);
	if (tr_pulse_answer_get(in, &answer, &err) == TR_OK) {
		tr_auto(tr_buf_done) struct tr_buf again = TR_BUF_INIT;

		/* What it does not know it leaves out; what it knows it keeps. */
		tr_pulse_answer_put(&answer, &b);
		ORACLE(tr_pulse_answer_get(tr_buf_view(&b), &answer, &err) == TR_OK);
		tr_pulse_answer_put(&answer, &again);
		ORACLE(tr_view_eq(tr_buf_view(&b), tr_buf_view(&again)));
	}
	return 0;
}
