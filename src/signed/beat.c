/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/beat.h"

#include "codec/cbor.h"
#include "codec/ident.h"

#define F(T, m, type, max, flags) TR_FIELD(T, m, TR_F_##type, max, flags)

static const struct tr_field beat_fields[] = {
	F(tr_beat, seq, U64, 0, 0),	F(tr_beat, time_ns, I64, 0, 0), F(tr_beat, start_id, BYTES, 16, 0),
	F(tr_beat, hash, BYTES, 32, 0), F(tr_beat, version, TEXT, TR_VERSION_MAX, 0),
};
TR_RECORD(tr_beat_def, tr_beat, beat_fields);

void tr_beat_put(const struct tr_beat *b, struct tr_buf *out)
{
	tr_cbor_put_map(out, 5);
	tr_cbor_put_int(out, 1);
	tr_cbor_put_uint(out, b->seq);
	tr_cbor_put_int(out, 2);
	tr_cbor_put_int(out, b->time_ns);
	tr_cbor_put_int(out, 3);
	tr_cbor_put_bytes(out, b->start_id);
	tr_cbor_put_int(out, 4);
	tr_cbor_put_bytes(out, b->hash);
	tr_cbor_put_int(out, 5);
	tr_cbor_put_text(out, b->version);
}

TR_RC tr_beat_get(struct tr_view in, struct tr_beat *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	struct tr_beat b = { 0 };
	int64_t key;

	if (tr_cbor_map(&r, &m, 5) != 5)
		tr_cbor_fail(&r, "a heartbeat has exactly five members");
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case 1: b.seq = tr_cbor_uint(&r); break;
		case 2: b.time_ns = tr_cbor_int(&r); break;
		case 3: b.start_id = tr_cbor_bytes(&r); break;
		case 4: b.hash = tr_cbor_bytes(&r); break;
		case 5: b.version = tr_cbor_text(&r); break;
		default: tr_cbor_fail(&r, "unknown member of a heartbeat");
		}
	}
	if (!r.error && (b.start_id.n != 16 || b.hash.n != 32 || !tr_version_ok(b.version)))
		tr_cbor_fail(&r, "a member of the heartbeat has the wrong size or form");
	if (tr_cbor_end(&r, err))
		return err->code;
	*ret = b;
	return TR_OK;
}

void tr_beat_answer_put(const struct tr_beat_answer *a, struct tr_buf *out)
{
	tr_cbor_put_map(out, 3);
	tr_cbor_put_int(out, 1);
	tr_cbor_put_uint(out, a->interval_s);
	tr_cbor_put_int(out, 2);
	tr_cbor_put_int(out, a->server_time_ns);
	tr_cbor_put_int(out, 3);
	tr_cbor_put_bool(out, a->renew);
}

TR_RC tr_beat_answer_get(struct tr_view in, struct tr_beat_answer *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	struct tr_beat_answer a = { 0 };
	int64_t key;

	if (tr_cbor_map(&r, &m, 3) != 3)
		tr_cbor_fail(&r, "a heartbeat answer has exactly three members");
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case 1: a.interval_s = tr_cbor_uint(&r); break;
		case 2: a.server_time_ns = tr_cbor_int(&r); break;
		case 3: a.renew = tr_cbor_bool(&r); break;
		default: tr_cbor_fail(&r, "unknown member of a heartbeat answer");
		}
	}
	if (tr_cbor_end(&r, err))
		return err->code;
	*ret = a;
	return TR_OK;
}
