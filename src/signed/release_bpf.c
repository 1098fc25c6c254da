/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/release_bpf.h"

#include "codec/cbor.h"

#define PIN_MAX 128
#define TAG_LEN 8
#define HASH_LEN 32

static const struct tr_field fields[] = {
	TR_FIELD(tr_release_bpf, pin, TR_F_TEXT, PIN_MAX, TR_FIELD_REQUIRED),
	TR_FIELD(tr_release_bpf, object, TR_F_HEX, HASH_LEN, TR_FIELD_REQUIRED),
	TR_FIELD(tr_release_bpf, tag_sha1, TR_F_HEX, TAG_LEN, TR_FIELD_REQUIRED),
	TR_FIELD(tr_release_bpf, tag_sha256, TR_F_HEX, TAG_LEN, TR_FIELD_REQUIRED),
};
TR_RECORD(tr_release_bpf_def, tr_release_bpf, fields);

int tr_release_bpf_order(struct tr_view a, struct tr_view b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static const char *fault(const struct tr_release_bpf *p, struct tr_view last)
{
	if (p->pin.n < 1 || p->pin.n > PIN_MAX || memchr(p->pin.p, 0, p->pin.n))
		return "the pin of a released BPF program is empty, too long, or holds a NUL";
	if (p->object.n != HASH_LEN)
		return "the object of a released BPF program is not named by 32 bytes of SHA-256";
	if (p->tag_sha1.n != TAG_LEN || p->tag_sha256.n != TAG_LEN)
		return "a tag of a released BPF program is not of 8 bytes";
	return tr_release_bpf_order(p->pin, last) > 0 ? NULL : "the released BPF programs are not in the order of their pins";
}

TR_RC tr_release_bpf_put(struct tr_view records, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_view count = records, one, last = { NULL, 0 };
	size_t n = 0;

	while (n <= TR_RELEASE_BPF_MAX && tr_records_next(&count, &one))
		n++;
	if (n < 1 || n > TR_RELEASE_BPF_MAX || count.n)
		return tr_err_set(err, TR_E_INVALID, "a release names 1 to 64 BPF programs", "%zu BPF programs", n);
	tr_cbor_put_array(ret, n);
	while (tr_records_next(&records, &one)) {
		struct tr_release_bpf p;
		enum tr_code rc = tr_record_decode(&tr_release_bpf_def, one, &p, err);
		const char *why = rc ? NULL : fault(&p, last);

		if (rc)
			return rc;
		if (why)
			return tr_err_set(err, TR_E_INVALID, why, "BPF program %.*s", TR_VIEW_FMT(p.pin));
		tr_cbor_put_array(ret, 4);
		tr_cbor_put_text(ret, p.pin);
		tr_cbor_put_bytes(ret, p.object);
		tr_cbor_put_bytes(ret, p.tag_sha1);
		tr_cbor_put_bytes(ret, p.tag_sha256);
		last = p.pin;
	}
	return tr_buf_check(ret, err);
}

TR_RC tr_release_bpf_get(struct tr_view cbor, struct tr_buf *ret, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(cbor);
	struct tr_view last = { NULL, 0 };
	size_t n = tr_cbor_array(&r, TR_RELEASE_BPF_MAX);

	/* None is said by leaving the list out: one form only. */
	if (!n)
		tr_cbor_fail(&r, "an empty list of released BPF programs");
	for (; n && !r.error; n--) {
		struct tr_release_bpf p;
		const char *why;

		if (tr_cbor_array(&r, 4) != 4)
			tr_cbor_fail(&r, "a released BPF program is not [pin, object, tag, tag]");
		p.pin = tr_cbor_text(&r);
		p.object = tr_cbor_bytes(&r);
		p.tag_sha1 = tr_cbor_bytes(&r);
		p.tag_sha256 = tr_cbor_bytes(&r);
		if (r.error)
			break;
		why = fault(&p, last);
		if (why)
			tr_cbor_fail(&r, why);
		else if (ret)
			tr_records_add(ret, &tr_release_bpf_def, &p);
		last = p.pin;
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "released BPF programs");
	return ret ? tr_buf_check(ret, err) : TR_OK;
}

bool tr_release_bpf_find(struct tr_view records, struct tr_view pin, struct tr_release_bpf *ret)
{
	struct tr_view one;
	struct tr_err err;

	while (tr_records_next(&records, &one))
		if (!tr_record_decode(&tr_release_bpf_def, one, ret, &err) && tr_view_eq(ret->pin, pin))
			return true;
	return false;
}
