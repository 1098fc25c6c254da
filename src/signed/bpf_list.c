/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/bpf_list.h"

#include "codec/cbor.h"

#define PIN_MAX 128
#define NAME_LEN 15
#define KERNEL_MAX 128
#define TAG_LEN 8
#define HASH_LEN 32
/* One record of at most 332 bytes per item. */
#define LIST_MAX (TR_BPF_ITEMS_MAX * 336)

#define F(m, type, max) TR_FIELD(tr_bpf_item, m, TR_F_##type, max, 0)
static const struct tr_field item_fields[] = {
	F(pin, TEXT, PIN_MAX),	 F(name, TEXT, NAME_LEN), F(kind, U64, 0),    F(type, U64, 0),
	F(id, U64, 0),		 F(loaded_ns, U64, 0),	   F(tag, HEX, TAG_LEN), F(norm_status, U64, 0),
	F(norm, HEX, HASH_LEN),	 F(object, HEX, HASH_LEN), F(attach, U64, 0),  F(prog_id, U64, 0),
	F(content, HEX, HASH_LEN), F(frozen, BOOL, 0),
};
TR_RECORD(tr_bpf_item_def, tr_bpf_item, item_fields);
#undef F

static const struct tr_field list_fields[] = {
	TR_FIELD(tr_bpf_list, kernel, TR_F_TEXT, KERNEL_MAX, 0),
	TR_FIELD(tr_bpf_list, items, TR_F_BYTES, LIST_MAX, 0),
};
TR_RECORD(tr_bpf_list_def, tr_bpf_list, list_fields);

/* Keys of an item; documented in docs/protocol/pulse.cddl. */
enum { K_PIN = 1, K_NAME, K_KIND, K_TYPE, K_ID, K_LOADED, K_TAG, K_NORM_STATUS, K_NORM, K_OBJECT, K_ATTACH,
       K_PROG_ID, K_CONTENT, K_FROZEN, K_N };

#define BIT(key) (1u << (key))
#define ALWAYS (BIT(K_PIN) | BIT(K_KIND) | BIT(K_TYPE) | BIT(K_ID))

/* What goes with a kind, besides what every item has. */
static const struct {
	unsigned required, allowed;
} kinds[TR_BPF_KIND_N] = {
	[TR_BPF_PROG] = { BIT(K_LOADED) | BIT(K_TAG) | BIT(K_NORM_STATUS) | BIT(K_ATTACH), BIT(K_NORM) },
	[TR_BPF_MAP] = { BIT(K_FROZEN), BIT(K_CONTENT) },
	[TR_BPF_LINK] = { BIT(K_ATTACH) | BIT(K_PROG_ID), 0 },
};

const char *tr_bpf_status_name(enum tr_bpf_status s)
{
	static const char *const names[TR_BPF_STATUS_N] = { "unknown", "ok",	  "no_kernel", "no_bpffs", "no_rights",
							    "off",     "hidden", "too_many",  "failed" };

	return (unsigned)s < TR_BPF_STATUS_N ? names[s] : "unknown";
}

static bool has_nul(struct tr_view v)
{
	return v.n && memchr(v.p, 0, v.n);
}

/* The members that a value of this content is written with. */
static unsigned members_of(const struct tr_bpf_item *i)
{
	return ALWAYS | kinds[i->kind].required | (i->name.n ? BIT(K_NAME) : 0) | (i->norm.n ? BIT(K_NORM) : 0) |
	       (i->object.n ? BIT(K_OBJECT) : 0) | (i->content.n ? BIT(K_CONTENT) : 0);
}

static const char *item_fault(const struct tr_bpf_item *i)
{
	bool prog = i->kind == TR_BPF_PROG, map = i->kind == TR_BPF_MAP, link = i->kind == TR_BPF_LINK;

	if (!prog && !map && !link)
		return "a BPF item is neither program, map nor link";
	if (i->pin.n < 1 || i->pin.n > PIN_MAX || has_nul(i->pin))
		return "a BPF item's pin is empty, too long, or holds a NUL";
	if (i->name.n > NAME_LEN || has_nul(i->name))
		return "a BPF item's name is too long, or holds a NUL";
	if (i->type > UINT32_MAX || i->id > UINT32_MAX || i->prog_id > UINT32_MAX || i->loaded_ns > INT64_MAX)
		return "a number of a BPF item is out of range";
	if (i->tag.n != (prog ? TAG_LEN : 0) || (!prog && i->loaded_ns))
		return "a BPF item has a tag or load time that does not go with its kind";
	if (prog ? i->norm_status >= TR_BPF_NORM_NONE : i->norm_status != TR_BPF_NORM_NONE)
		return "a BPF item's hash status does not go with its kind";
	if (i->norm.n != (i->norm_status == TR_BPF_NORM_OK ? HASH_LEN : 0))
		return "a BPF program has no normalised hash, or one against its status";
	if ((i->object.n && i->object.n != HASH_LEN) || (i->content.n && (i->content.n != HASH_LEN || !map)))
		return "a hash of a BPF item is not of 32 bytes, or not of its kind";
	if (i->attach >= TR_BPF_ATTACH_N || (map && i->attach) || (!link && i->prog_id) || (!map && i->frozen))
		return "a BPF item has a state that does not go with its kind";
	return NULL;
}

static const char *kernel_fault(struct tr_view kernel)
{
	return kernel.n < 1 || kernel.n > KERNEL_MAX || has_nul(kernel) ?
		       "the BPF list's kernel is empty, too long, or holds a NUL" :
		       NULL;
}

/* Bytewise, the shorter first: sorted and without a pin twice. */
static bool comes_after(struct tr_view pin, struct tr_view last)
{
	size_t n = pin.n < last.n ? pin.n : last.n;
	int c = n ? memcmp(pin.p, last.p, n) : 0;

	return c > 0 || (c == 0 && pin.n > last.n);
}

static void put_item(struct tr_buf *b, const struct tr_bpf_item *i)
{
	unsigned members = members_of(i);

	tr_cbor_put_map(b, (size_t)__builtin_popcount(members));
	for (int key = K_PIN; key < K_N; key++) {
		if (!(members & BIT(key)))
			continue;
		tr_cbor_put_int(b, key);
		switch (key) {
		case K_PIN: tr_cbor_put_text(b, i->pin); break;
		case K_NAME: tr_cbor_put_text(b, i->name); break;
		case K_KIND: tr_cbor_put_uint(b, i->kind); break;
		case K_TYPE: tr_cbor_put_uint(b, i->type); break;
		case K_ID: tr_cbor_put_uint(b, i->id); break;
		case K_LOADED: tr_cbor_put_uint(b, i->loaded_ns); break;
		case K_TAG: tr_cbor_put_bytes(b, i->tag); break;
		case K_NORM_STATUS: tr_cbor_put_uint(b, i->norm_status); break;
		case K_NORM: tr_cbor_put_bytes(b, i->norm); break;
		case K_OBJECT: tr_cbor_put_bytes(b, i->object); break;
		case K_ATTACH: tr_cbor_put_uint(b, i->attach); break;
		case K_PROG_ID: tr_cbor_put_uint(b, i->prog_id); break;
		case K_CONTENT: tr_cbor_put_bytes(b, i->content); break;
		case K_FROZEN: tr_cbor_put_bool(b, i->frozen); break;
		default: break;
		}
	}
}

/* Counts the records; TR_BPF_ITEMS_MAX + 1 when there are more, or damaged ones. */
static size_t count(struct tr_view items)
{
	struct tr_view one;
	size_t n = 0;

	while (n <= TR_BPF_ITEMS_MAX && tr_records_next(&items, &one))
		n++;
	return items.n ? TR_BPF_ITEMS_MAX + 1 : n;
}

TR_RC tr_bpf_list_put(const struct tr_bpf_list *l, struct tr_buf *out, struct tr_err *err)
{
	struct tr_view items = l->items, one, last = { NULL, 0 };
	const char *fault = kernel_fault(l->kernel);
	size_t n = count(items);

	if (!fault && n > TR_BPF_ITEMS_MAX)
		fault = "the BPF list has too many items, or damaged ones";
	if (fault)
		return tr_err_set(err, TR_E_INVALID, fault, "BPF list");
	tr_cbor_put_array(out, 2);
	tr_cbor_put_text(out, l->kernel);
	tr_cbor_put_array(out, n);
	while (tr_records_next(&items, &one)) {
		struct tr_bpf_item i;
		enum tr_code rc = tr_record_decode(&tr_bpf_item_def, one, &i, err);

		if (rc)
			return rc;
		fault = item_fault(&i);
		if (!fault && !comes_after(i.pin, last))
			fault = "the BPF list's items are not in the order of their pins";
		if (fault)
			return tr_err_set(err, TR_E_INVALID, fault, "BPF item %.*s", TR_VIEW_FMT(i.pin));
		put_item(out, &i);
		last = i.pin;
	}
	return tr_buf_check(out, err);
}

static void get_item(struct tr_cbor *r, struct tr_bpf_item *ret)
{
	struct tr_bpf_item i = { .norm_status = TR_BPF_NORM_NONE };
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;
	const char *fault;

	(void)tr_cbor_map(r, &m, K_N);
	while (tr_cbor_key_int(r, &m, &key)) {
		switch (key) {
		case K_PIN: i.pin = tr_cbor_text(r); break;
		case K_NAME: i.name = tr_cbor_text(r); break;
		case K_KIND: i.kind = tr_cbor_uint(r); break;
		case K_TYPE: i.type = tr_cbor_uint(r); break;
		case K_ID: i.id = tr_cbor_uint(r); break;
		case K_LOADED: i.loaded_ns = tr_cbor_uint(r); break;
		case K_TAG: i.tag = tr_cbor_bytes(r); break;
		case K_NORM_STATUS: i.norm_status = tr_cbor_uint(r); break;
		case K_NORM: i.norm = tr_cbor_bytes(r); break;
		case K_OBJECT: i.object = tr_cbor_bytes(r); break;
		case K_ATTACH: i.attach = tr_cbor_uint(r); break;
		case K_PROG_ID: i.prog_id = tr_cbor_uint(r); break;
		case K_CONTENT: i.content = tr_cbor_bytes(r); break;
		case K_FROZEN: i.frozen = tr_cbor_bool(r); break;
		default: tr_cbor_fail(r, "unknown key in a BPF item"); continue;
		}
		seen |= BIT(key);
	}
	if (r->error)
		return;
	fault = item_fault(&i);
	/* One form: exactly the members that we would write for this content. */
	if (!fault && seen != members_of(&i))
		fault = "a BPF item lacks a member, or has one that does not go with its kind";
	if (fault)
		tr_cbor_fail(r, fault);
	*ret = i;
}

/* items may be NULL: only check. */
static TR_RC parse(struct tr_view cbor, struct tr_buf *items, struct tr_view *ret_kernel, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(cbor);
	struct tr_view kernel, last = { NULL, 0 };
	const char *fault;

	if (tr_cbor_array(&r, 2) != 2)
		tr_cbor_fail(&r, "the BPF list is not [kernel, [items]]");
	kernel = tr_cbor_text(&r);
	fault = kernel_fault(kernel);
	if (fault)
		tr_cbor_fail(&r, fault);
	for (size_t n = tr_cbor_array(&r, TR_BPF_ITEMS_MAX); n && !r.error; n--) {
		struct tr_bpf_item i = { .kind = 0 };

		get_item(&r, &i);
		if (r.error)
			break;
		if (!comes_after(i.pin, last))
			tr_cbor_fail(&r, "the BPF list's items are not in the order of their pins");
		last = i.pin;
		if (items)
			tr_records_add(items, &tr_bpf_item_def, &i);
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "BPF list");
	*ret_kernel = kernel;
	return items ? tr_buf_check(items, err) : TR_OK;
}

TR_RC tr_bpf_list_get(struct tr_view cbor, struct tr_buf *ret_items, struct tr_bpf_list *ret, struct tr_err *err)
{
	struct tr_view kernel;
	enum tr_code rc;

	tr_buf_clear(ret_items);
	rc = parse(cbor, ret_items, &kernel, err);
	if (rc)
		return rc;
	*ret = (struct tr_bpf_list){ .kernel = kernel, .items = tr_buf_view(ret_items) };
	return TR_OK;
}

TR_RC tr_bpf_list_check(struct tr_view cbor, struct tr_err *err)
{
	struct tr_view kernel;

	return parse(cbor, NULL, &kernel, err);
}
