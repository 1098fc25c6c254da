/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/set.h"

#include <stddef.h>

#include "codec/cbor.h"

/* Keys 2 to 14 in order: where the member stands. */
static const size_t members[] = {
	[2] = offsetof(struct tr_tee_set, quote),
	[3] = offsetof(struct tr_tee_set, certs),
	[4] = offsetof(struct tr_tee_set, signature),
	[5] = offsetof(struct tr_tee_set, ak_public),
	[6] = offsetof(struct tr_tee_set, ak_cert),
	[7] = offsetof(struct tr_tee_set, ek_cert),
	[8] = offsetof(struct tr_tee_set, pcrs),
	[9] = offsetof(struct tr_tee_set, event_log),
	[10] = offsetof(struct tr_tee_set, ima_log),
	[11] = offsetof(struct tr_tee_set, hcl_report),
	[12] = offsetof(struct tr_tee_set, compose),
	[13] = offsetof(struct tr_tee_set, rtmr3_events),
	[14] = offsetof(struct tr_tee_set, hcl_hw),
};
#define KEY_KIND 1
#define KEY_FIRST 2
#define KEY_N TR_ARRAY_LEN(members)

static const struct tr_view *member(const struct tr_tee_set *s, size_t key)
{
	return (const struct tr_view *)(const void *)((const char *)s + members[key]);
}

void tr_tee_set_put(struct tr_buf *b, const struct tr_tee_set *s)
{
	size_t n = 1;

	for (size_t key = KEY_FIRST; key < KEY_N; key++)
		n += member(s, key)->n > 0;
	tr_cbor_put_map(b, n);
	tr_cbor_put_uint(b, KEY_KIND);
	tr_cbor_put_uint(b, s->kind);
	for (size_t key = KEY_FIRST; key < KEY_N; key++) {
		if (!member(s, key)->n)
			continue;
		tr_cbor_put_uint(b, key);
		tr_cbor_put_bytes(b, *member(s, key));
	}
}

TR_RC tr_tee_set_get(struct tr_view in, struct tr_tee_set *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_tee_set s = { 0 };
	struct tr_cbor_map m;
	int64_t key;
	enum tr_code rc;

	if (in.n > TR_TEE_SET_MAX)
		return tr_err_set(err, TR_E_INVALID, "the evidence is too long", "evidence set of %zu bytes", in.n);
	(void)tr_cbor_map(&r, &m, KEY_N);
	while (tr_cbor_key_int(&r, &m, &key)) {
		if (key == KEY_KIND) {
			uint64_t kind = tr_cbor_uint(&r);

			if (kind == TR_TEE_NONE || kind >= TR_TEE_KIND_N)
				tr_cbor_fail(&r, "no kind of evidence that is known");
			s.kind = (enum tr_tee_kind)kind;
		} else if (key >= KEY_FIRST && key < (int64_t)KEY_N) {
			struct tr_view v = tr_cbor_bytes(&r);

			/* An empty member is written as none: one set has one encoding, and so one digest. */
			if (!v.n)
				tr_cbor_fail(&r, "an empty member");
			memcpy((char *)&s + members[key], &v, sizeof(v));
		} else {
			tr_cbor_fail(&r, "an unknown member");
		}
	}
	rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "evidence set");
	if (s.kind == TR_TEE_NONE || !s.quote.n)
		return tr_err_set(err, TR_E_INVALID, "the evidence names no kind or has no quote",
				  "evidence set without kind or quote");
	*ret = s;
	return TR_OK;
}
