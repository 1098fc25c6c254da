/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/signed_test.h"

#include "codec/cbor.h"
#include "signed/bpf_list.h"

static const uint8_t bytes[200] = { 'a', 'b' };
#define HASH ((struct tr_view){ bytes, 32 })
#define TAG ((struct tr_view){ bytes, 8 })
#define KERNEL TR_VIEW_LIT("6.1.0 x86_64 jit=1 harden=0")

static const struct tr_bpf_item prog = {
	.pin = TR_VIEW_LIT("troth/shield"), .name = TR_VIEW_LIT("shield"), .kind = TR_BPF_PROG, .type = 29, .id = 12,
	.loaded_ns = 5000000000, .tag = TAG, .norm_status = TR_BPF_NORM_OK, .norm = HASH, .object = HASH,
	.attach = TR_BPF_ATTACHED,
};
static const struct tr_bpf_item map = {
	.pin = TR_VIEW_LIT("troth/rules"), .name = TR_VIEW_LIT("rules"), .kind = TR_BPF_MAP, .type = 1, .id = 3,
	.norm_status = TR_BPF_NORM_NONE, .content = HASH, .frozen = true,
};
static const struct tr_bpf_item link_item = {
	.pin = TR_VIEW_LIT("troth/link"), .kind = TR_BPF_LINK, .type = 2, .id = 4, .norm_status = TR_BPF_NORM_NONE,
	.attach = TR_BPF_DETACHED, .prog_id = 12,
};

static enum tr_code put(const struct tr_bpf_item *items, size_t n, struct tr_view kernel, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = kernel };
	struct tr_err err;

	for (size_t i = 0; i < n; i++)
		tr_records_add(&records, &tr_bpf_item_def, &items[i]);
	if (!tr_buf_ok(&records))
		return TR_E_INTERNAL; /* the record's own limits */
	l.items = tr_buf_view(&records);
	return tr_bpf_list_put(&l, out, &err);
}

static void a_list_comes_back_as_it_was_put(void **state)
{
	const struct tr_bpf_item items[] = { link_item, map, prog };
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT, a = TR_BUF_INIT, b = TR_BUF_INIT, got = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = KERNEL }, out;
	struct tr_err err;

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(items); i++)
		tr_records_add(&records, &tr_bpf_item_def, &items[i]);
	l.items = tr_buf_view(&records);
	assert_int_equal(tr_bpf_list_put(&l, &a, &err), TR_OK);
	tr_buf_adds(&got, "left from before");
	assert_int_equal(tr_bpf_list_get(tr_buf_view(&a), &got, &out, &err), TR_OK);
	assert_true(tr_view_eq(out.kernel, KERNEL) && tr_view_eq(out.items, l.items));
	assert_int_equal(tr_bpf_list_put(&out, &b, &err), TR_OK);
	assert_true(tr_view_eq(tr_buf_view(&a), tr_buf_view(&b)));
	assert_int_equal(tr_bpf_list_check(tr_buf_view(&a), &err), TR_OK);
	/* As a record, for frames and the store. */
	tr_buf_clear(&b);
	tr_record_encode(&tr_bpf_list_def, &l, &b);
	assert_int_equal(tr_record_decode(&tr_bpf_list_def, tr_buf_view(&b), &out, &err), TR_OK);
	assert_true(tr_view_eq(out.items, l.items));
}

static void an_empty_list_is_a_list(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	assert_int_equal(put(NULL, 0, TR_VIEW_LIT("k"), &b), TR_OK);
	assert_true(tr_view_eq(tr_buf_view(&b), TR_VIEW_LIT("\x82\x61k\x80")));
}

static void the_largest_list_fits(void **state)
{
	static char pins[TR_BPF_ITEMS_MAX + 1][129], kernel[129];
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT, b = TR_BUF_INIT, got = TR_BUF_INIT, frame = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = TR_VIEW_LIT("k") }, out;
	struct tr_err err;

	(void)state;
	memset(kernel, 'k', 128);
	l.kernel = tr_view_str(kernel);
	for (unsigned i = 0; i <= TR_BPF_ITEMS_MAX; i++) {
		struct tr_bpf_item item = prog;

		memset(pins[i], 'p', 128);
		pins[i][0] = (char)('a' + i / 16);
		pins[i][1] = (char)('a' + i % 16);
		item.pin = tr_view_str(pins[i]);
		item.name = TR_VIEW_LIT("fifteen_letters");
		item.type = item.id = UINT32_MAX;
		item.loaded_ns = INT64_MAX;
		if (i == TR_BPF_ITEMS_MAX) {
			l.items = tr_buf_view(&records);
			assert_int_equal(tr_bpf_list_put(&l, &b, &err), TR_OK);
		}
		tr_records_add(&records, &tr_bpf_item_def, &item);
	}
	/* Beside the rest of a pulse. */
	assert_true(b.n < 65536 - 2048);
	assert_int_equal(tr_bpf_list_get(tr_buf_view(&b), &got, &out, &err), TR_OK);
	tr_record_encode(&tr_bpf_list_def, &out, &frame);
	assert_true(tr_buf_ok(&frame) && frame.n < 65536);
	tr_buf_clear(&b);
	l.items = tr_buf_view(&records);
	assert_int_equal(tr_bpf_list_put(&l, &b, &err), TR_E_INVALID);
}

#define M(m) offsetof(struct tr_bpf_item, m)
#define BYTES(p, n) ((struct tr_view){ p, n })
#define NONE BYTES(bytes, 0)

/* One member of a good item changed. */
static void items_out_of_their_rules_are_refused(void **state)
{
	static const struct {
		const char *label;
		const struct tr_bpf_item *base;
		size_t at;
		struct tr_view view; /* p == NULL: number counts */
		uint64_t number;
		enum tr_code want; /* TR_E_INTERNAL: the record says so already */
	} cases[] = {
		{ "program", &prog, M(id), { NULL, 0 }, 1, TR_OK },
		{ "map", &map, M(id), { NULL, 0 }, 1, TR_OK },
		{ "link", &link_item, M(id), { NULL, 0 }, 1, TR_OK },
		{ "no pin", &prog, M(pin), NONE, 0, TR_E_INVALID },
		{ "pin of 128 bytes", &prog, M(pin), TR_VIEW_LIT("12345678901234567890123456789012345678901234567890123456789012345"
		  "678901234567890123456789012345678901234567890123456789012345678"), 0, TR_OK },
		{ "pin of 129 bytes", &prog, M(pin), TR_VIEW_LIT("12345678901234567890123456789012345678901234567890123456789012345"
		  "6789012345678901234567890123456789012345678901234567890123456789"), 0, TR_E_INTERNAL },
		{ "pin with a NUL", &prog, M(pin), TR_VIEW_LIT("a\0b"), 0, TR_E_INTERNAL },
		{ "pin that is no text", &prog, M(pin), TR_VIEW_LIT("a\xff"), 0, TR_E_INTERNAL },
		{ "no name", &prog, M(name), NONE, 0, TR_OK },
		{ "name of 16 bytes", &prog, M(name), TR_VIEW_LIT("1234567890123456"), 0, TR_E_INTERNAL },
		{ "kind 0", &prog, M(kind), { NULL, 0 }, 0, TR_E_INVALID },
		{ "kind 4", &prog, M(kind), { NULL, 0 }, 4, TR_E_INVALID },
		{ "a program as map", &prog, M(kind), { NULL, 0 }, TR_BPF_MAP, TR_E_INVALID },
		{ "a map as program", &map, M(kind), { NULL, 0 }, TR_BPF_PROG, TR_E_INVALID },
		{ "a link as map", &link_item, M(kind), { NULL, 0 }, TR_BPF_MAP, TR_E_INVALID },
		{ "type of 33 bits", &prog, M(type), { NULL, 0 }, UINT64_C(1) << 32, TR_E_INVALID },
		{ "id of 33 bits", &map, M(id), { NULL, 0 }, UINT64_C(1) << 32, TR_E_INVALID },
		{ "load time of 64 bits", &prog, M(loaded_ns), { NULL, 0 }, UINT64_C(1) << 63, TR_E_INVALID },
		{ "load time of a map", &map, M(loaded_ns), { NULL, 0 }, 1, TR_E_INVALID },
		{ "no tag", &prog, M(tag), NONE, 0, TR_E_INVALID },
		{ "tag of 7 bytes", &prog, M(tag), BYTES(bytes, 7), 0, TR_E_INVALID },
		{ "tag of a map", &map, M(tag), TAG, 0, TR_E_INVALID },
		{ "hash without status", &prog, M(norm_status), { NULL, 0 }, TR_BPF_NORM_HARDENED, TR_E_INVALID },
		{ "a program without hash by nature", &prog, M(norm_status), { NULL, 0 }, TR_BPF_NORM_NONE, TR_E_INVALID },
		{ "a map with a hash status", &map, M(norm_status), { NULL, 0 }, TR_BPF_NORM_HIDDEN, TR_E_INVALID },
		{ "status without hash", &prog, M(norm), NONE, 0, TR_E_INVALID },
		{ "hash of 31 bytes", &prog, M(norm), BYTES(bytes, 31), 0, TR_E_INVALID },
		{ "hash of a link", &link_item, M(norm), HASH, 0, TR_E_INVALID },
		{ "no object", &prog, M(object), NONE, 0, TR_OK },
		{ "object of 31 bytes", &prog, M(object), BYTES(bytes, 31), 0, TR_E_INVALID },
		{ "object of a map", &map, M(object), HASH, 0, TR_OK },
		{ "unknown attachment", &prog, M(attach), { NULL, 0 }, TR_BPF_ATTACH_N, TR_E_INVALID },
		{ "attachment of a map", &map, M(attach), { NULL, 0 }, TR_BPF_ATTACHED, TR_E_INVALID },
		{ "program behind a program", &prog, M(prog_id), { NULL, 0 }, 1, TR_E_INVALID },
		{ "program id of 33 bits", &link_item, M(prog_id), { NULL, 0 }, UINT64_C(1) << 32, TR_E_INVALID },
		{ "no content", &map, M(content), NONE, 0, TR_OK },
		{ "content of 31 bytes", &map, M(content), BYTES(bytes, 31), 0, TR_E_INVALID },
		{ "content of a program", &prog, M(content), HASH, 0, TR_E_INVALID },
		{ "a frozen program", &prog, M(frozen), { NULL, 0 }, 1, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_bpf_item item = *cases[i].base;
		struct tr_err err;

		if (cases[i].view.p)
			memcpy((uint8_t *)&item + cases[i].at, &cases[i].view, sizeof(cases[i].view));
		else if (cases[i].at == M(frozen))
			item.frozen = true;
		else
			memcpy((uint8_t *)&item + cases[i].at, &cases[i].number, sizeof(cases[i].number));
		CHECK(put(&item, 1, KERNEL, &b) == cases[i].want, cases[i].label);
		CHECK(cases[i].want != TR_OK || tr_bpf_list_check(tr_buf_view(&b), &err) == TR_OK, cases[i].label);
	}
}

static void lists_out_of_their_rules_are_refused(void **state)
{
	static const struct {
		const char *label;
		struct tr_view kernel;
		const char *pins[3];
		enum tr_code want;
	} cases[] = {
		{ "in order", TR_VIEW_LIT("k"), { "a", "a/b", "b" }, TR_OK },
		{ "by bytes", TR_VIEW_LIT("k"), { "B", "a", "\xc3\xa9" }, TR_OK },
		{ "out of order", TR_VIEW_LIT("k"), { "a", "c", "b" }, TR_E_INVALID },
		{ "twice", TR_VIEW_LIT("k"), { "a", "a", "b" }, TR_E_INVALID },
		{ "longer first", TR_VIEW_LIT("k"), { "ab", "a", "b" }, TR_E_INVALID },
		{ "no kernel", { bytes, 0 }, { "a", "b", "c" }, TR_E_INVALID },
		{ "long kernel", { bytes, 129 }, { "a", "b", "c" }, TR_E_INVALID },
		{ "kernel with a NUL", TR_VIEW_LIT("k\0k"), { "a", "b", "c" }, TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT, wire = TR_BUF_INIT;
		struct tr_bpf_item items[3];
		struct tr_err err;

		tr_cbor_put_array(&wire, 2);
		tr_cbor_put_text(&wire, cases[i].kernel);
		tr_cbor_put_array(&wire, 3);
		for (size_t j = 0; j < 3; j++) {
			items[j] = map;
			items[j].pin = tr_view_str(cases[i].pins[j]);
			tr_buf_adds(&wire, "\xa5\x01");
			tr_cbor_put_text(&wire, items[j].pin);
			tr_buf_add(&wire, "\x03\x02\x04\x01\x05\x07\x0e\xf4", 8);
		}
		CHECK(put(items, 3, cases[i].kernel, &b) == cases[i].want, cases[i].label);
		CHECK(tr_bpf_list_check(tr_buf_view(&wire), &err) == cases[i].want, cases[i].label);
	}
}

/* On the wire: what no writer of ours makes. */
static void other_forms_are_refused(void **state)
{
#define TOP "\x82\x61k\x81"
	static const struct {
		const char *label;
		struct tr_view cbor;
		enum tr_code want;
	} cases[] = {
		{ "a map", TR_VIEW_LIT(TOP "\xa5\x01\x61p\x03\x02\x04\x01\x05\x07\x0e\xf4"), TR_OK },
		{ "no state", TR_VIEW_LIT(TOP "\xa4\x01\x61p\x03\x02\x04\x01\x05\x07"), TR_E_INVALID },
		{ "no kind", TR_VIEW_LIT(TOP "\xa4\x01\x61p\x04\x01\x05\x07\x0e\xf4"), TR_E_INVALID },
		{ "an empty name", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x02\x60\x03\x02\x04\x01\x05\x07\x0e\xf4"), TR_E_INVALID },
		{ "an empty object", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x0a\x40\x0e\xf4"), TR_E_INVALID },
		{ "attachment zero of a map", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x0b\x00\x0e\xf4"), TR_E_INVALID },
		{ "hash status of a map", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x08\x03\x0e\xf4"), TR_E_INVALID },
		{ "an unknown key", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x0e\xf4\x0f\x01"), TR_E_INVALID },
		{ "a key beyond all bits", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x0e\xf4\x18\x40\x01"), TR_E_INVALID },
		{ "a negative key", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x02\x04\x01\x05\x07\x0e\xf4\x20\x01"), TR_E_INVALID },
		{ "a link", TR_VIEW_LIT(TOP "\xa6\x01\x61p\x03\x03\x04\x01\x05\x07\x0b\x01\x0c\x05"), TR_OK },
		{ "a link without program", TR_VIEW_LIT(TOP "\xa5\x01\x61p\x03\x03\x04\x01\x05\x07\x0b\x01"), TR_E_INVALID },
		{ "three parts", TR_VIEW_LIT("\x83\x61k\x80\x00"), TR_E_INVALID },
		{ "one part", TR_VIEW_LIT("\x81\x61k"), TR_E_INVALID },
		{ "a byte behind", TR_VIEW_LIT("\x82\x61k\x80\x00"), TR_E_INVALID },
		{ "129 items", TR_VIEW_LIT("\x82\x61k\x98\x81"), TR_E_INVALID },
		{ "nothing", TR_VIEW_LIT(""), TR_E_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
		struct tr_bpf_list out = { .kernel = { bytes, 99 } };
		struct tr_err err;

		CHECK(tr_bpf_list_check(cases[i].cbor, &err) == cases[i].want, cases[i].label);
		CHECK(tr_bpf_list_get(cases[i].cbor, &items, &out, &err) == cases[i].want, cases[i].label);
		CHECK((out.kernel.n == 99) == (cases[i].want != TR_OK), cases[i].label);
	}
}

static void damaged_records_are_refused(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT, b = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = KERNEL };
	struct tr_err err;

	(void)state;
	tr_records_add(&records, &tr_bpf_item_def, &map);
	for (size_t n = 1; n < records.n; n++) {
		l.items = tr_view(records.p, n);
		assert_int_equal(tr_bpf_list_put(&l, &b, &err), TR_E_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_back_as_it_was_put),
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(the_largest_list_fits),
		cmocka_unit_test(items_out_of_their_rules_are_refused),
		cmocka_unit_test(lists_out_of_their_rules_are_refused),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(damaged_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
