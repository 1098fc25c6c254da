/* SPDX-License-Identifier: Apache-2.0 */
/* The SGX extension of PCK certificates: both shapes that there are, every omission, repetition, type and size. */
#include "evidence/dcap.h"

#include "codec/codec_test.h"
#include "crypto/der.h"

#define P "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"

/* What to make of the extension. 0 is a good one with all seven members. */
enum twist {
	GOOD, PROCESSOR, NO_PPID, NO_TCB, NO_PCEID, NO_FMSPC, NO_TYPE, TCB_TWICE, FMSPC_TWICE, MEMBER_0, MEMBER_40,
	UNKNOWN_MEMBER, FOREIGN_MEMBER, COMP_MISSING, COMP_TWICE, COMP_256, COMP_NEGATIVE, COMP_80, COMP_LONG,
	COMP_OCTETS, PCESVN_MISSING, PCESVN_65536, CPUSVN_MISSING, CPUSVN_SHORT, TCB_FOREIGN, TCB_19, PPID_SHORT,
	PCEID_LONG, FMSPC_SHORT, FMSPC_INT, TYPE_INT, INSTANCE_SHORT, FLAG_INT, FLAG_TWICE, PAIR_OF_THREE,
	PAIR_OF_ONE, TRAILING, NOT_DER, NOT_A_LIST, EMPTY, NO_EXTENSION,
};

static void put_oid(struct tr_buf *b, unsigned n, unsigned m)
{
	uint8_t oid[11];

	memcpy(oid, P, 9);
	oid[9] = (uint8_t)n;
	oid[10] = (uint8_t)m;
	tr_der_add(b, TR_DER_OID, tr_view(oid, m ? 11 : 10));
}

static void put_pair(struct tr_buf *b, unsigned n, unsigned m, uint8_t tag, const void *p, size_t len)
{
	size_t at = b->n;

	put_oid(b, n, m);
	tr_der_add(b, tag, tr_view(p, len));
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void put_uint(struct tr_buf *b, unsigned n, unsigned m, unsigned v)
{
	const uint8_t bytes[3] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
	size_t at = b->n;

	put_oid(b, n, m);
	tr_der_add_uint(b, TR_VIEW_ARRAY(bytes));
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void put_tcb(struct tr_buf *b, enum twist t)
{
	static const uint8_t cpusvn[16] = { 0xc5 };
	size_t at = b->n, list;

	put_oid(b, 2, 0);
	list = b->n;
	for (unsigned i = 1; i <= 16; i++) {
		if (i == 9 && t == COMP_MISSING)
			continue;
		if (i == 9 && t == COMP_TWICE)
			put_uint(b, 2, 8, 1);
		else if (i == 9 && t == COMP_256)
			put_uint(b, 2, i, 256);
		else if (i == 9 && t == COMP_NEGATIVE)
			put_pair(b, 2, i, TR_DER_INT, "\xff", 1);
		else if (i == 9 && t == COMP_80)
			put_pair(b, 2, i, TR_DER_INT, "\x80", 1);
		else if (i == 9 && t == COMP_LONG)
			put_pair(b, 2, i, TR_DER_INT, "\0\1", 2);
		else if (i == 9 && t == COMP_OCTETS)
			put_pair(b, 2, i, TR_DER_OCTETS, "\1", 1);
		else
			put_uint(b, 2, i, i == 16 ? 255 : 0x7c + i); /* over 0x7f a zero leads */
	}
	if (t != PCESVN_MISSING)
		put_uint(b, 2, 17, t == PCESVN_65536 ? 65536 : 65535);
	if (t != CPUSVN_MISSING)
		put_pair(b, 2, 18, TR_DER_OCTETS, cpusvn, t == CPUSVN_SHORT ? 15 : 16);
	if (t == TCB_FOREIGN)
		put_pair(b, 3, 1, TR_DER_INT, "\1", 1);
	if (t == TCB_19)
		put_pair(b, 2, 19, TR_DER_INT, "\1", 1);
	tr_der_wrap(b, list, TR_DER_SEQ);
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void put_configuration(struct tr_buf *b, enum twist t)
{
	size_t at = b->n, list;

	put_oid(b, 7, 0);
	list = b->n;
	put_pair(b, 7, 1, TR_DER_BOOL, "\xff", 1);
	put_pair(b, 7, t == FLAG_TWICE ? 1 : 2, TR_DER_BOOL, "\0", 1);
	put_pair(b, 7, 3, t == FLAG_INT ? TR_DER_INT : TR_DER_BOOL, t == FLAG_INT ? "\1" : "\xff", 1);
	tr_der_wrap(b, list, TR_DER_SEQ);
	tr_der_wrap(b, at, TR_DER_SEQ);
}

static void put_members(struct tr_buf *b, enum twist t)
{
	static const uint8_t bytes[16] = { 0x99, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	if (t != NO_PPID)
		put_pair(b, 1, 0, TR_DER_OCTETS, bytes, t == PPID_SHORT ? 15 : 16);
	if (t != NO_TCB)
		put_tcb(b, t);
	if (t == TCB_TWICE)
		put_tcb(b, t);
	if (t != NO_PCEID)
		put_pair(b, 3, 0, TR_DER_OCTETS, "\1\2", t == PCEID_LONG ? 3 : 2);
	if (t != NO_FMSPC)
		put_pair(b, 4, 0, t == FMSPC_INT ? TR_DER_INT : TR_DER_OCTETS, bytes + 1, t == FMSPC_SHORT ? 5 : 6);
	if (t == FMSPC_TWICE)
		put_pair(b, 4, 0, TR_DER_OCTETS, bytes, 6);
	if (t != NO_TYPE)
		put_pair(b, 5, 0, t == TYPE_INT ? TR_DER_INT : 0x0a, "\1", 1);
	if (t != PROCESSOR) {
		put_pair(b, 6, 0, TR_DER_OCTETS, bytes, t == INSTANCE_SHORT ? 8 : 16);
		put_configuration(b, t);
	}
	if (t == UNKNOWN_MEMBER)
		put_pair(b, 8, 0, TR_DER_UTF8, "new", 3);
	if (t == MEMBER_0 || t == MEMBER_40)
		put_pair(b, t == MEMBER_0 ? 0 : 40, 0, TR_DER_UTF8, "new", 3);
	if (t == FOREIGN_MEMBER)
		tr_buf_add(b, "\x30\x08\x06\x03\x55\x1d\x13\x02\x01\x01", 10);
	if (t == PAIR_OF_THREE) {
		size_t at = b->n;

		put_oid(b, 9, 0);
		tr_der_add(b, TR_DER_INT, TR_VIEW_LIT("\1"));
		tr_der_add(b, TR_DER_INT, TR_VIEW_LIT("\2"));
		tr_der_wrap(b, at, TR_DER_SEQ);
	}
	if (t == PAIR_OF_ONE) {
		size_t at = b->n;

		put_oid(b, 9, 0);
		tr_der_wrap(b, at, TR_DER_SEQ);
	}
}

/* A certificate of which nothing but its extensions is looked at. */
static void make(enum twist t, struct tr_buf *b, struct tr_x_cert *c)
{
	size_t list;

	*c = (struct tr_x_cert){ .path_len = -1 };
	tr_der_add(b, TR_DER_OID, t == NO_EXTENSION ? TR_VIEW_LIT("\x55\x1d\x13") : TR_VIEW_LIT(P));
	list = b->n;
	if (t != EMPTY)
		put_members(b, t);
	tr_der_wrap(b, list, t == NOT_A_LIST ? TR_DER_SET : TR_DER_SEQ);
	if (t == TRAILING)
		tr_der_add(b, TR_DER_NULL, tr_view(NULL, 0));
	if (t == NOT_DER)
		b->p[list + 1]--; /* one byte short */
	tr_der_wrap(b, list, TR_DER_OCTETS);
	tr_der_wrap(b, 0, TR_DER_SEQ);
	assert_true(tr_buf_ok(b));
	c->extensions = tr_buf_view(b);
}

static void both_shapes_are_read(void **state)
{
	(void)state;
	for (enum twist t = GOOD; t <= PROCESSOR; t++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_x_cert c;
		struct tr_pck p;
		struct tr_err err = { .detail = "" };

		make(t, &b, &c);
		if (tr_pck_read(&c, &p, &err))
			fail_msg("%d: %s", (int)t, err.detail);
		assert_true(p.comp[0] == 0x7d && p.comp[2] == 0x7f && p.comp[3] == 0x80 && p.comp[15] == 255);
		assert_true(p.pcesvn == 65535 && p.cpusvn.n == 16 && p.cpusvn.p[0] == 0xc5);
		assert_true(p.ppid.n == 16 && p.ppid.p[0] == 0x99 && p.pceid.n == 2 && p.pceid.p[1] == 2);
		assert_true(p.fmspc.n == 6 && p.fmspc.p[0] == 1 && p.sgx_type == 1);
		assert_int_equal(p.has_configuration, t == GOOD);
		assert_int_equal(p.platform_instance.n, t == GOOD ? 16 : 0);
		assert_true(t != GOOD || (p.dynamic_platform && !p.cached_keys && p.smt));
	}
}

static void each_departure_has_its_answer(void **state)
{
	/* What no rule needs may be missing, and what came later may be there. */
	static const enum twist fine[] = { NO_PPID, NO_TYPE, CPUSVN_MISSING, UNKNOWN_MEMBER };

	(void)state;
	for (enum twist t = NO_PPID; t <= NO_EXTENSION; t++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_x_cert c;
		struct tr_pck p;
		struct tr_err err = { .detail = "" };
		bool ok = false;

		for (size_t i = 0; i < TR_ARRAY_LEN(fine); i++)
			ok = ok || fine[i] == t;
		make(t, &b, &c);
		if ((tr_pck_read(&c, &p, &err) == TR_OK) != ok)
			fail_msg("twist %d: %s", (int)t, ok ? err.detail : "passes");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_shapes_are_read),
		cmocka_unit_test(each_departure_has_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
