/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of every quote that the format knows, and what happens to each byte of it that steers the reader
 * (rows 10 and 11 of the list of classic mistakes: constants, sizes). Nothing here is signed. */
#include "evidence/dcap.h"

#include "codec/codec_test.h"

struct shape {
	const char *label;
	unsigned version, tee, type; /* type: of the body */
	size_t body;                 /* its length */
	size_t auth_n;               /* QE authentication data */
};

static const struct shape shapes[] = {
	{ "SGX in v3", 3, 0, TR_BODY_SGX, 384, 32 },	  { "SGX in v4", 4, 0, TR_BODY_SGX, 384, 32 },
	{ "SGX in v5", 5, 0, TR_BODY_SGX, 384, 32 },	  { "TD 1.0 in v4", 4, 0x81, TR_BODY_TD10, 584, 32 },
	{ "TD 1.0 in v5", 5, 0x81, TR_BODY_TD10, 584, 32 }, { "TD 1.5 in v5", 5, 0x81, TR_BODY_TD15, 648, 32 },
	{ "no authentication data", 4, 0x81, TR_BODY_TD10, 584, 0 },
	{ "1000 bytes of it", 3, 0, TR_BODY_SGX, 384, 1000 },
};

/* Where what stands; made by `build`. */
struct made {
	struct tr_buf b;
	size_t body, auth_len, auth, outer, qe, n, cert, end;
};

static void put_le(struct tr_buf *b, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		tr_buf_add8(b, (uint8_t)(v >> (8 * i)));
}

static void set_le(struct tr_buf *b, size_t at, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		b->p[at + i] = (uint8_t)(v >> (8 * i));
}

/* Bytes of a body tell where they stand: a reader that is one off shows it. */
static void put_pattern(struct tr_buf *b, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		tr_buf_add8(b, (uint8_t)(seed + i * 7 + (i >> 8)));
}

#define CHAIN "-----BEGIN"

static struct made build(const struct shape *s)
{
	static const uint8_t vendor[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
					    0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };
	struct made m = { .b = TR_BUF_INIT };
	size_t inner = 384 + 64 + 2 + s->auth_n + 2 + 4 + strlen(CHAIN);

	put_le(&m.b, s->version, 2);
	put_le(&m.b, 2, 2);
	put_le(&m.b, s->tee, 4);
	put_le(&m.b, 0x0102, 2);
	put_le(&m.b, 0x0304, 2);
	tr_buf_add(&m.b, vendor, sizeof(vendor));
	put_pattern(&m.b, 20, 1);
	if (s->version == 5) {
		put_le(&m.b, s->type, 2);
		put_le(&m.b, s->body, 4);
	}
	m.body = m.b.n;
	put_pattern(&m.b, s->body, 0x40);
	m.auth_len = m.b.n;
	put_le(&m.b, 128 + (s->version == 3 ? 0 : 6) + inner, 4);
	m.auth = m.b.n;
	put_pattern(&m.b, 64, 2);
	put_pattern(&m.b, 64, 3);
	m.outer = m.b.n;
	if (s->version != 3) {
		put_le(&m.b, 6, 2);
		put_le(&m.b, inner, 4);
	}
	m.qe = m.b.n;
	put_pattern(&m.b, 384, 4);
	put_pattern(&m.b, 64, 5);
	m.n = m.b.n;
	put_le(&m.b, s->auth_n, 2);
	put_pattern(&m.b, s->auth_n, 6);
	m.cert = m.b.n;
	put_le(&m.b, 5, 2);
	put_le(&m.b, strlen(CHAIN), 4);
	tr_buf_adds(&m.b, CHAIN);
	m.end = m.b.n;
	assert_true(tr_buf_ok(&m.b));
	return m;
}

static enum tr_tee_code parse(struct tr_view v, struct tr_quote *ret)
{
	struct tr_view exact = exact_copy(v);
	enum tr_tee_code code = TR_TEEC_LIMIT;
	struct tr_err err = { .code = TR_OK };
	enum tr_code rc = tr_quote_parse(exact, ret, &code, &err);

	assert_int_equal(rc == TR_OK, code == TR_TEEC_OK);
	if (rc)
		assert_true(err.code == TR_E_INVALID && err.pub && err.pub[0]);
	free((void *)exact.p);
	return code;
}

static bool stands_at(const struct made *m, struct tr_view v, size_t at, size_t n)
{
	return v.p == m->b.p + at && v.n == n;
}

static void every_shape_is_read_at_its_offsets(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		const struct shape *s = &shapes[i];
		struct made m = build(s);
		struct tr_quote q;
		enum tr_tee_code code;
		struct tr_err err;

		CHECK(tr_quote_parse(tr_buf_view(&m.b), &q, &code, &err) == TR_OK, s->label);
		CHECK(q.version == s->version && q.tee_type == s->tee && q.key_type == 2, s->label);
		CHECK(q.qe_svn == 0x0102 && q.pce_svn == 0x0304, s->label);
		CHECK((unsigned)q.body_type == s->type, s->label);
		CHECK(stands_at(&m, q.vendor, 12, 16) && stands_at(&m, q.user_data, 28, 20), s->label);
		CHECK(stands_at(&m, q.signed_bytes, 0, m.auth_len), s->label);
		CHECK(stands_at(&m, q.sig, m.auth, 64) && stands_at(&m, q.att_key, m.auth + 64, 64), s->label);
		CHECK(stands_at(&m, q.qe_report, m.qe, 384), s->label);
		CHECK(stands_at(&m, q.qe_report_sig, m.qe + 384, 64), s->label);
		CHECK(stands_at(&m, q.qe_auth, m.n + 2, s->auth_n), s->label);
		CHECK(q.cert_type == 5 && stands_at(&m, q.cert_data, m.cert + 6, strlen(CHAIN)), s->label);
		CHECK(stands_at(&m, q.qe.report_data, m.qe + 320, 64), s->label);
		CHECK(q.trailing.n == 0, s->label);
		if (s->type == TR_BODY_SGX) {
			CHECK(stands_at(&m, q.sgx.mrenclave, m.body + 64, 32), s->label);
			CHECK(stands_at(&m, q.sgx.mrsigner, m.body + 128, 32), s->label);
			CHECK(stands_at(&m, q.sgx.attributes, m.body + 48, 16), s->label);
			CHECK(stands_at(&m, q.sgx.report_data, m.body + 320, 64), s->label);
			CHECK(q.sgx.isvprodid == (m.b.p[m.body + 256] | m.b.p[m.body + 257] << 8), s->label);
			CHECK(q.sgx.isvsvn == (m.b.p[m.body + 258] | m.b.p[m.body + 259] << 8), s->label);
			CHECK(!q.sgx.reserved_zero, s->label);
		} else {
			CHECK(stands_at(&m, q.td.tee_tcb_svn, m.body, 16), s->label);
			CHECK(stands_at(&m, q.td.mrseam, m.body + 16, 48), s->label);
			CHECK(stands_at(&m, q.td.mrsignerseam, m.body + 64, 48), s->label);
			CHECK((q.td.td_attributes & 0xff) == m.b.p[m.body + 120], s->label);
			CHECK(q.td.td_attributes >> 56 == m.b.p[m.body + 127], s->label);
			CHECK(stands_at(&m, q.td.mrtd, m.body + 136, 48), s->label);
			CHECK(stands_at(&m, q.td.rtmr[0], m.body + 328, 48), s->label);
			CHECK(stands_at(&m, q.td.rtmr[3], m.body + 472, 48), s->label);
			CHECK(stands_at(&m, q.td.report_data, m.body + 520, 64), s->label);
			CHECK(q.td.v15 == (s->type == TR_BODY_TD15), s->label);
			CHECK(!q.td.v15 || stands_at(&m, q.td.mrservicetd, m.body + 600, 48), s->label);
			CHECK(!q.td.v15 || stands_at(&m, q.td.tee_tcb_svn_2, m.body + 584, 16), s->label);
		}
		tr_buf_done(&m.b);
	}
}

static void a_quote_cut_anywhere_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct made m = build(&shapes[i]);
		struct tr_quote q;

		for (size_t n = 0; n < m.end; n++)
			if (parse(tr_view(m.b.p, n), &q) != TR_TEEC_QUOTE_LENGTH)
				fail_msg("%s: %zu of %zu bytes pass", shapes[i].label, n, m.end);
		tr_buf_done(&m.b);
	}
}

static void every_length_is_consumed_exactly(void **state)
{
	static const int64_t wrong[] = { 0, 1, 127, 128, 133, 134, 0x7fffffff, 0x80000000, 0xffffff00, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		for (unsigned field = 0; field < 4; field++) {
			for (int k = -2; k < (int)TR_ARRAY_LEN(wrong); k++) {
				struct made m = build(&shapes[i]);
				size_t at[] = { m.auth_len, m.outer + 2, m.n, m.cert + 2 };
				unsigned size = field == 2 ? 2 : 4;
				uint64_t was = 0, v;
				struct tr_quote q;

				for (unsigned j = size; j > 0; j--)
					was = was << 8 | m.b.p[at[field] + j - 1];
				v = k == -2 ? was - 1 : k == -1 ? was + 1 : (uint64_t)wrong[k];
				v &= size == 2 ? 0xffff : 0xffffffff;
				if (v != was && (field != 1 || shapes[i].version != 3)) {
					set_le(&m.b, at[field], v, size);
					/* Another n moves what is read as type and length behind it. */
					if (parse(tr_buf_view(&m.b), &q) == TR_TEEC_OK)
						fail_msg("%s: field %u as %llu passes", shapes[i].label, field,
							 (unsigned long long)v);
				}
				tr_buf_done(&m.b);
			}
		}
	}
}

/* One byte of slack behind the certification data, inside the signature section: v3 readers have let it pass. */
static void slack_inside_the_signature_section_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(shapes); i++) {
		struct made m = build(&shapes[i]);
		size_t auth = m.end - m.auth;
		struct tr_quote q;

		tr_buf_add8(&m.b, 0);
		CHECK(parse(tr_buf_view(&m.b), &q) == TR_TEEC_OK && q.trailing.n == 1, shapes[i].label);
		set_le(&m.b, m.auth_len, auth + 1, 4);
		CHECK(parse(tr_buf_view(&m.b), &q) == TR_TEEC_QUOTE_LENGTH, shapes[i].label);
		tr_buf_done(&m.b);
	}
}

static void every_constant_is_checked(void **state)
{
	static const struct {
		const char *label;
		size_t shape, at; /* at: in the quote, or from `cert` when over 10000, from `outer` when over 20000 */
		unsigned size;
		uint64_t value;
		enum tr_tee_code expected;
	} rows[] = {
		{ "version 0", 0, 0, 2, 0, TR_TEEC_QUOTE_VERSION },
		{ "version 2 (EPID)", 0, 0, 2, 2, TR_TEEC_QUOTE_VERSION },
		{ "version 6", 3, 0, 2, 6, TR_TEEC_QUOTE_VERSION },
		{ "version 0x0103", 0, 0, 2, 0x0103, TR_TEEC_QUOTE_VERSION },
		{ "key type 0 (EPID)", 0, 2, 2, 0, TR_TEEC_QUOTE_KEY_TYPE },
		{ "key type 1 (EPID)", 3, 2, 2, 1, TR_TEEC_QUOTE_KEY_TYPE },
		{ "key type 3 (P-384)", 5, 2, 2, 3, TR_TEEC_QUOTE_KEY_TYPE },
		{ "a TD in v3", 0, 4, 4, 0x81, TR_TEEC_QUOTE_TEE_TYPE },
		{ "TEE 1", 3, 4, 4, 1, TR_TEEC_QUOTE_TEE_TYPE },
		{ "TEE 0x8100", 3, 4, 4, 0x8100, TR_TEEC_QUOTE_TEE_TYPE },
		{ "TEE 0x80000081", 3, 4, 4, 0x80000081, TR_TEEC_QUOTE_TEE_TYPE },
		{ "another vendor", 3, 12, 1, 0x94, TR_TEEC_QUOTE_VENDOR },
		{ "another vendor's end", 5, 27, 1, 0, TR_TEEC_QUOTE_VENDOR },
		{ "v5 body 0", 5, 48, 2, 0, TR_TEEC_QUOTE_BODY },
		{ "v5 body 4", 5, 48, 2, 4, TR_TEEC_QUOTE_BODY },
		{ "v5 TD 1.5 said to be 1.0", 5, 48, 2, 2, TR_TEEC_QUOTE_BODY },
		{ "v5 TD said to be SGX", 5, 48, 2, 1, TR_TEEC_QUOTE_BODY },
		{ "v5 body of another size", 5, 50, 4, 584, TR_TEEC_QUOTE_BODY },
		{ "v5 body of 4 GiB", 5, 50, 4, 0xffffffff, TR_TEEC_QUOTE_BODY },
		{ "v5 body of no size", 5, 50, 4, 0, TR_TEEC_QUOTE_BODY },
		{ "v5 SGX body in a TD's quote", 2, 4, 4, 0x81, TR_TEEC_QUOTE_BODY },
		{ "v5 TD body in SGX's quote", 5, 4, 4, 0, TR_TEEC_QUOTE_BODY },
		{ "outer type 5", 3, 20000, 2, 5, TR_TEEC_QUOTE_CERT_DATA },
		{ "outer type 0", 5, 20000, 2, 0, TR_TEEC_QUOTE_CERT_DATA },
		{ "inner type 6 (nested)", 3, 10000, 2, 6, TR_TEEC_QUOTE_CERT_DATA },
		{ "inner type 0", 0, 10000, 2, 0, TR_TEEC_QUOTE_CERT_DATA },
		{ "inner type 8", 5, 10000, 2, 8, TR_TEEC_QUOTE_CERT_DATA },
		{ "inner type 0x0105", 5, 10000, 2, 0x0105, TR_TEEC_QUOTE_CERT_DATA },
		/* These are laid out well; whether a chain stands beside them is another question. */
		{ "inner type 1", 0, 10000, 2, 1, TR_TEEC_OK },
		{ "inner type 3", 0, 10000, 2, 3, TR_TEEC_OK },
		{ "inner type 7", 3, 10000, 2, 7, TR_TEEC_OK },
		/* Of no meaning to a verification. */
		{ "QE SVN", 3, 8, 2, 0xffff, TR_TEEC_OK },
		{ "PCE SVN", 3, 10, 2, 0xffff, TR_TEEC_OK },
	};

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		struct made m = build(&shapes[rows[i].shape]);
		size_t at = rows[i].at == 20000 ? m.outer : rows[i].at == 10000 ? m.cert : rows[i].at;
		struct tr_quote q;

		set_le(&m.b, at, rows[i].value, rows[i].size);
		CHECK(parse(tr_buf_view(&m.b), &q) == rows[i].expected, rows[i].label);
		tr_buf_done(&m.b);
	}
}

static void a_quote_beyond_the_limit_is_refused(void **state)
{
	struct made m = build(&shapes[0]);
	struct tr_quote q;

	(void)state;
	while (m.b.n < TR_QUOTE_MAX)
		tr_buf_add8(&m.b, 0);
	assert_int_equal(parse(tr_buf_view(&m.b), &q), TR_TEEC_OK);
	tr_buf_add8(&m.b, 0);
	assert_int_equal(parse(tr_buf_view(&m.b), &q), TR_TEEC_QUOTE_LENGTH);
	tr_buf_done(&m.b);
}

static void reserved_fields_are_told(void **state)
{
	static const size_t reserved[] = { 20, 31, 96, 127, 160, 191, 262, 303 };
	struct made m = build(&shapes[0]);
	struct tr_quote q;

	(void)state;
	memset(m.b.p + m.body, 0, 384);
	assert_true(parse(tr_buf_view(&m.b), &q) == TR_TEEC_OK && q.sgx.reserved_zero);
	for (size_t i = 0; i < TR_ARRAY_LEN(reserved); i++) {
		m.b.p[m.body + reserved[i]] = 1;
		assert_true(parse(tr_buf_view(&m.b), &q) == TR_TEEC_OK && !q.sgx.reserved_zero);
		m.b.p[m.body + reserved[i]] = 0;
	}
	tr_buf_done(&m.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_is_read_at_its_offsets),
		cmocka_unit_test(a_quote_cut_anywhere_is_refused),
		cmocka_unit_test(every_length_is_consumed_exactly),
		cmocka_unit_test(slack_inside_the_signature_section_is_refused),
		cmocka_unit_test(every_constant_is_checked),
		cmocka_unit_test(a_quote_beyond_the_limit_is_refused),
		cmocka_unit_test(reserved_fields_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
