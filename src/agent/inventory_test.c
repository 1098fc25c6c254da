/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inventory.h"

#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void os_release(void **state)
{
	struct tr_view text =
		TR_VIEW_LIT("NAME=\"A B\"\nID=debian\nVERSION='12 x'\nIDX=no\nBROKEN=\"\nEMPTY=\nLAST=z");

	(void)state;
	assert_true(tr_view_is(tr_inventory_os(text, "NAME"), "A B"));
	assert_true(tr_view_is(tr_inventory_os(text, "ID"), "debian"));
	assert_true(tr_view_is(tr_inventory_os(text, "VERSION"), "12 x"));
	assert_true(tr_view_is(tr_inventory_os(text, "BROKEN"), "\""));
	assert_true(tr_view_is(tr_inventory_os(text, "EMPTY"), ""));
	assert_true(tr_view_is(tr_inventory_os(text, "LAST"), "z"));
	assert_true(tr_view_is(tr_inventory_os(text, "NONE"), ""));
	assert_true(tr_view_is(tr_inventory_os(tr_view(NULL, 0), "NAME"), ""));
}

static void cpuinfo(void **state)
{
	struct tr_view text = TR_VIEW_LIT("processor\t: 0\nmodel\t\t: 7\nmodel name\t: Some CPU @ 2: GHz\n");

	(void)state;
	assert_true(tr_view_is(tr_inventory_cpu(text, "model name"), "Some CPU @ 2: GHz"));
	assert_true(tr_view_is(tr_inventory_cpu(text, "model"), "7"));
	assert_true(tr_view_is(tr_inventory_cpu(text, "vendor"), ""));
}

static void mounts(void **state)
{
	struct tr_view text = TR_VIEW_LIT("proc /proc proc rw 0 0\noverlay / overlay rw 0 0\n/dev/sda1 "
					  "/data\\040x ext4 rw 0 0\n"
					  "garbage\n\nnas:/x /nas nfs4 rw 0 0\ntmpfs /run tmpfs rw 0 0"),
		       what, where, type;

	(void)state;
	assert_true(tr_inventory_mount(&text, &what, &where, &type));
	assert_true(tr_view_is(what, "overlay") && tr_view_is(where, "/"));
	assert_true(tr_inventory_mount(&text, &what, &where, &type));
	assert_true(tr_view_is(what, "/dev/sda1") && tr_view_is(type, "ext4"));
	assert_true(tr_inventory_mount(&text, &what, &where, &type));
	assert_true(tr_view_is(where, "/nas"));
	assert_false(tr_inventory_mount(&text, &what, &where, &type));
}

static void it_fits_whatever_the_room(void **state)
{
	(void)state;
	for (size_t max = 1600; max <= 8192; max += 103) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		tr_auto(tr_json_free) struct tr_json *j = NULL;
		struct tr_err err;
		tr_jnode root;

		tr_inventory_put(&b, max);
		assert_true(b.n <= max);
		assert_int_equal(tr_json_parse(tr_buf_view(&b), &j, &err), TR_OK);
		root = tr_json_root(j);
		assert_non_null(tr_json_get(root, "kernel"));
		assert_true(tr_json_is_array(tr_json_get(root, "mounts")));
		assert_non_null(tr_json_get(root, "addresses"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(os_release), cmocka_unit_test(cpuinfo),
					    cmocka_unit_test(mounts),
					    cmocka_unit_test(it_fits_whatever_the_room) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
