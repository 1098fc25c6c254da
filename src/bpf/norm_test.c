/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/own.h"
#include "bpf/norm.h"

#define IN(c, dst, src, o, i) { .code = c, .dst_reg = dst, .src_reg = src, .off = o, .imm = i }
#define LD(src, i) IN(0x18, 1, src, 0, i)
#define UPPER(i) IN(0, 0, 0, 0, i)
#define CALL(src, o, i) IN(0x85, 0, src, o, i)
#define MOV(i) IN(0xb7, 0, 0, 0, i)
#define EXIT IN(0x95, 0, 0, 0, 0)
#define N_MAX 4

/* What the kernel showed for programs of these forms, and what two loads of one program must have in common. */
static void what_differs_between_loads_is_taken_out(void **state)
{
	static const uint32_t ids[] = { 4711, 23 };
	static const struct {
		const char *label;
		struct bpf_insn in[N_MAX], want[N_MAX];
	} cases[] = {
		{ "constants stay", { MOV(1), EXIT }, { MOV(1), EXIT } },
		{ "a map's id becomes its place", { LD(1, 23), UPPER(0), EXIT }, { LD(1, 1), UPPER(0), EXIT } },
		{ "a value's offset stays", { LD(2, 4711), UPPER(8), EXIT }, { LD(2, 0), UPPER(8), EXIT } },
		{ "maps by index too", { LD(5, 23), UPPER(0), LD(6, 4711), UPPER(4) }, { LD(5, 1), UPPER(0), LD(6, 0), UPPER(4) } },
		{ "a map that is not the program's", { LD(1, 99), UPPER(0) }, { LD(1, -1), UPPER(0) } },
		{ "addresses of kernel data", { LD(3, 0x1234), UPPER(0x5678) }, { LD(3, 0), UPPER(0) } },
		{ "addresses of functions", { LD(4, 0x1234), UPPER(0x5678) }, { LD(4, 0), UPPER(0) } },
		{ "a plain 64-bit constant stays", { LD(0, 0x1234), UPPER(0x5678) }, { LD(0, 0x1234), UPPER(0x5678) } },
		{ "the upper half is no instruction", { LD(0, 7), IN(0x85, 0, 0, 0, 9), EXIT }, { LD(0, 7), IN(0x85, 0, 0, 0, 9), EXIT } },
		{ "helper calls", { CALL(0, 0, 0x7b2c0), EXIT }, { CALL(0, 0, 0), EXIT } },
		{ "calls within keep their target", { CALL(1, 3, 17), EXIT }, { CALL(1, 3, 0), EXIT } },
		{ "calls of kernel functions", { CALL(2, 0, -5), EXIT }, { CALL(2, 0, 0), EXIT } },
		{ "a cut 64-bit load at the end", { MOV(1), MOV(2), MOV(3), LD(3, 9) }, { MOV(1), MOV(2), MOV(3), LD(3, 0) } },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct bpf_insn got[N_MAX];

		memcpy(got, cases[i].in, sizeof(got));
		tr_bpf_normalise(got, N_MAX, ids, TR_ARRAY_LEN(ids));
		if (memcmp(got, cases[i].want, sizeof(got)) != 0)
			fail_msg("%s", cases[i].label);
	}
}

/* The hole of the tag that this hash closes: the same code with another constant, or another place in a map's value. */
static void what_is_another_program_stays_another(void **state)
{
	static const uint32_t ids[] = { 5 };
	static const struct bpf_insn pairs[][2][2] = {
		{ { MOV(0), EXIT }, { MOV(1), EXIT } },
		{ { LD(2, 5), UPPER(0) }, { LD(2, 5), UPPER(8) } },
		{ { LD(0, 1), UPPER(0) }, { LD(0, 2), UPPER(0) } },
		{ { CALL(1, 1, 0), EXIT }, { CALL(1, 2, 0), EXIT } },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(pairs); i++) {
		struct bpf_insn a[2], b[2];

		memcpy(a, pairs[i][0], sizeof(a));
		memcpy(b, pairs[i][1], sizeof(b));
		tr_bpf_normalise(a, 2, ids, 1);
		tr_bpf_normalise(b, 2, ids, 1);
		if (memcmp(a, b, sizeof(a)) == 0)
			fail_msg("pair %zu became one", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_between_loads_is_taken_out),
		cmocka_unit_test(what_is_another_program_stays_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
