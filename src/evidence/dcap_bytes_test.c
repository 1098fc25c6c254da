/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of quotes and of collateral: forms of chains, values of signatures, and every single byte changed (M-11, M-15,
 * M-19 and M-20 of docs/faults-of-the-originals.md). */
#include "evidence/dcap_sample.h"

#include "codec/pem.h"
#include "evidence/dcap_inner.h"

/* Order of P-256. */
static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				   0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25,
				   0x51 };
#ifdef TROTH_SANITIZED
#define STRIDE 5 /* four times as slow */
#else
#define STRIDE 1
#endif

static void parse(const struct world *w, struct tr_quote *q)
{
	enum tr_tee_code code;
	struct tr_err err;

	assert_int_equal(tr_quote_parse(tr_buf_view(&w->made.quote), q, &code, &err), TR_OK);
}

/* Bytes of the quote, to be changed. */
static uint8_t *at(struct world *w, struct tr_view v)
{
	return w->made.quote.p + (v.p - w->made.quote.p);
}

/* ---- chains ---- */

/* The three certificates in another order, or others, each with these line ends; the result's end. */
static void put_chain(const struct tr_view *ders, const char *which, bool crlf, const char *end, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	for (; *which; which++) {
		if (*which == ' ')
			tr_buf_adds(&b, "\n \t\n");
		else if (*which == 'x')
			tr_buf_adds(&b, "bag attributes\n");
		else if (*which == 'k')
			tr_pem_add(&b, "PUBLIC KEY", ders[0]);
		else
			tr_pem_add(&b, "CERTIFICATE", ders[*which - '0']);
	}
	tr_buf_clear(ret);
	for (size_t i = 0; i < b.n; i++) {
		if (crlf && b.p[i] == '\n')
			tr_buf_add8(ret, '\r');
		tr_buf_add8(ret, b.p[i]);
	}
	tr_buf_add(ret, end, *end ? strlen(end) : 1); /* "": the NUL of C */
	assert_true(tr_buf_ok(ret));
}

static void forms_of_a_chain(void **state)
{
	static const struct {
		const char *label, *which;
		bool crlf;
		const char *end; /* "": a NUL */
		const char *line;
		enum tr_tee_code code;
	} rows[] = {
		{ "LF and NUL", "012", false, "", NULL, TR_TEEC_OK },
		{ "no NUL", "012", false, "\n", NULL, TR_TEEC_OK },
		{ "CRLF", "012", true, "", NULL, TR_TEEC_OK },
		{ "CRLF, no NUL", "012", true, "\r\n", NULL, TR_TEEC_OK },
		{ "empty lines between", "0 1 2", false, "\n\n", NULL, TR_TEEC_OK },
		{ "root before CA, as in 2020", "021", false, "", NULL, TR_TEEC_OK },
		{ "the root first", "210", false, "", "pck_chain.root", TR_TEEC_CHAIN_ROOT },
		{ "the CA first", "102", false, "", "pck_chain.ca_role", TR_TEEC_CHAIN_ROLE },
		{ "without the root", "01", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "the leaf alone", "0", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "four", "0122", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "the CA twice", "011", false, "", "pck_chain.root", TR_TEEC_CHAIN_ROOT },
		{ "the root twice", "022", false, "", "pck_chain.ca_role", TR_TEEC_CHAIN_ROLE },
		{ "the leaf as its own CA", "002", false, "", "pck_chain.ca_role", TR_TEEC_CHAIN_ROLE },
		{ "the root alone, thrice", "222", false, "", "pck_chain.ca_role", TR_TEEC_CHAIN_ROLE },
		{ "text between", "01x2", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "another block", "01k", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "something behind", "012", false, "x", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
		{ "nothing", "", false, "", "pck_chain.format", TR_TEEC_CHAIN_FORMAT },
	};
	tr_auto(tr_buf_done) struct tr_buf pem = TR_BUF_INIT, quote = TR_BUF_INIT, ders = TR_BUF_INIT;
	tr_auto(world_done) struct world w;
	struct tr_view der[3];
	struct tr_err err;
	size_t n;

	make_td(*state, &w);
	assert_int_equal(tr_x_pem_chain(tr_buf_view(&w.made.pck_chain), "CERTIFICATE", 3, &ders, der, &n, &err), TR_OK);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		put_chain(der, rows[i].which, rows[i].crlf, rows[i].end, &pem);
		/* In the quote, and beside it: the same rules. */
		for (unsigned type = 5; type >= 4; type--) {
			with_cert_data(&w, type, type == 5 ? tr_buf_view(&pem) : TR_VIEW_LIT("leaf"), &quote);
			w.in.quote = tr_buf_view(&quote);
			w.in.c.pck_chain = type == 5 ? tr_view_str("not this one") : tr_buf_view(&pem);
			if (rows[i].line)
				refused_by(&w, rows[i].label, rows[i].line, rows[i].code);
			else
				accepted(&w, rows[i].label);
		}
	}
}

/* Rows 10 and 20: types 1 to 4 name a platform and do not prove it. */
static void a_chain_from_beside_the_quote(void **state)
{
	tr_auto(tr_buf_done) struct tr_buf quote = TR_BUF_INIT;
	tr_auto(tr_sim_free) struct tr_sim *other = NULL;
	tr_auto(world_done) struct world w;
	tr_auto(world_done) struct world theirs;
	struct tr_err err;

	make_td(*state, &w);
	assert_int_equal(tr_sim_new(NULL, &other, &err), TR_OK);
	make_td(other, &theirs);
	for (unsigned type = 1; type <= 4; type++) {
		with_cert_data(&w, type, TR_VIEW_LIT("36 bytes of PPID, CPUSVN and PCESVN."), &quote);
		w.in.quote = tr_buf_view(&quote);
		w.in.c.pck_chain = tr_view(NULL, 0);
		refused_by(&w, "no chain", "pck_chain.source", TR_TEEC_PCK_MISSING);
		w.in.c.pck_chain = tr_buf_view(&w.made.pck_chain);
		accepted(&w, "its chain beside it");
		w.in.c.pck_chain = theirs.in.quote;
		refused_by(&w, "no PEM", "pck_chain.format", TR_TEEC_CHAIN_FORMAT);
		w.in.c.pck_chain = tr_buf_view(&theirs.made.pck_chain);
		refused_by(&w, "another's chain", "pck_chain.root", TR_TEEC_CHAIN_ROOT);
		assert_int_equal(line_of("qe_report.signature")->code, TR_TEEC_QE_SIGNATURE);
	}
	with_cert_data(&w, 7, TR_VIEW_LIT("manifest"), &quote);
	w.in.quote = tr_buf_view(&quote);
	w.in.c.pck_chain = tr_buf_view(&w.made.pck_chain);
	refused_by(&w, "a platform manifest", "pck_chain.source", TR_TEEC_QUOTE_CERT_DATA);
}

static void what_a_quote_needs_is_told_before(void **state)
{
	static const struct { enum tr_tee_kind kind; bool processor; } rows[] = {
		{ TR_TEE_TDX, false }, { TR_TEE_SGX, false }, { TR_TEE_SGX, true },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(tr_buf_done) struct tr_buf quote = TR_BUF_INIT;
		tr_auto(world_done) struct world w;
		struct tr_sim_spec spec;
		uint8_t fmspc[6] = { 0 };
		bool platform = rows[i].processor;
		struct tr_err err;

		tr_sim_spec(rows[i].kind, &spec);
		spec.processor_ca = rows[i].processor;
		make(*state, &spec, &w);
		assert_int_equal(tr_dcap_needs(w.in.quote, tr_view(NULL, 0), fmspc, &platform, &err), TR_OK);
		assert_memory_equal(fmspc, TR_SIM_FMSPC, 6);
		assert_int_equal(platform, !rows[i].processor);
		with_cert_data(&w, 2, TR_VIEW_LIT("x"), &quote);
		assert_int_equal(tr_dcap_needs(tr_buf_view(&quote), tr_view(NULL, 0), fmspc, &platform, &err), TR_E_NOTFOUND);
		assert_int_equal(tr_dcap_needs(tr_buf_view(&quote), tr_buf_view(&w.made.pck_chain), fmspc, &platform, &err),
				 TR_OK);
		assert_int_equal(tr_dcap_needs(tr_buf_view(&quote), tr_buf_view(&w.made.tcb_chain), fmspc, &platform, &err),
				 TR_E_INVALID);
		assert_int_equal(tr_dcap_needs(tr_view(quote.p, 100), tr_view(NULL, 0), fmspc, &platform, &err), TR_E_INVALID);
	}
}

/* ---- signatures ---- */

/* order - s */
static void mirror(uint8_t s[32])
{
	unsigned borrow = 0;

	for (size_t i = 32; i > 0; i--) {
		unsigned d = order[i - 1] - s[i - 1] - borrow;

		s[i - 1] = (uint8_t)d;
		borrow = d >> 8 & 1;
	}
}

/* Row 15. */
static void values_of_a_signature(void **state)
{
	/* 0: as it is, 1: zero, 2: the order, 3: ff, 4: mirrored */
	static const struct { const char *label; int r, s; bool ok; } rows[] = {
		{ "as it is", 0, 0, true },   { "the other s", 0, 4, true }, { "r of zero", 1, 0, false },
		{ "s of zero", 0, 1, false }, { "both zero", 1, 1, false },  { "r is the order", 2, 0, false },
		{ "s is the order", 0, 2, false }, { "r over all", 3, 0, false }, { "s over all", 0, 3, false },
		{ "r mirrored", 4, 0, false },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		for (unsigned qe = 0; qe < 2; qe++) {
			tr_auto(world_done) struct world w;
			struct tr_quote q;
			uint8_t *sig;

			make_td(*state, &w);
			parse(&w, &q);
			sig = at(&w, qe ? q.qe_report_sig : q.sig);
			for (unsigned half = 0; half < 2; half++) {
				int what = half ? rows[i].s : rows[i].r;

				if (what == 1 || what == 3)
					memset(sig + 32 * half, what == 1 ? 0 : 0xff, 32);
				else if (what == 2)
					memcpy(sig + 32 * half, order, 32);
				else if (what == 4)
					mirror(sig + 32 * half);
			}
			if (rows[i].ok)
				accepted(&w, rows[i].label);
			else
				refused_by(&w, rows[i].label, qe ? "qe_report.signature" : "quote.signature",
					   qe ? TR_TEEC_QE_SIGNATURE : TR_TEEC_QUOTE_SIGNATURE);
		}
	}
}

static void an_attestation_key_is_a_point(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		tr_auto(world_done) struct world w;
		struct tr_quote q;

		make_td(*state, &w);
		parse(&w, &q);
		if (i == 0)
			memset(at(&w, q.att_key), 0, 64);
		else if (i == 1)
			memset(at(&w, q.att_key), 0xff, 64);
		else
			at(&w, q.att_key)[63] ^= 1;
		refused_by(&w, "no point", "qe_report.binding", TR_TEEC_QE_BINDING);
		assert_int_equal(line_of("quote.attestation_key")->code, TR_TEEC_QUOTE_SIGNATURE);
	}
}

/* Row 1, and the half that others do not look at: all of the report data is spoken for. */
static void the_qe_says_nothing_else(void **state)
{
	static const size_t bytes[] = { 0, 31, 32, 47, 63 };

	for (size_t i = 0; i < TR_ARRAY_LEN(bytes); i++) {
		tr_auto(world_done) struct world w;
		struct tr_quote q;

		make_td(*state, &w);
		parse(&w, &q);
		at(&w, q.qe.report_data)[bytes[i]] ^= 1;
		sign_again(&w, RESIGN_QE);
		refused_by(&w, "report data of the QE", "qe_report.binding", TR_TEEC_QE_BINDING);
	}
}

static void the_qe_is_told_by_each_value(void **state)
{
	static const struct { const char *line; size_t at; uint8_t flip; bool ok; } rows[] = {
		{ "qe.miscselect", 16, 1, false },  { "qe.miscselect", 19, 0x80, false },
		{ "qe.attributes", 48, 0x01, false }, /* INIT */
		{ "qe.attributes", 48, 0x02, false }, /* DEBUG */
		{ "qe.attributes", 48, 0x10, false }, /* PROVISION_KEY */
		{ "qe.attributes", 55, 0x80, false },
		{ "qe.attributes", 48, 0x04, true },  /* MODE64BIT may vary */
		{ "qe.attributes", 56, 0x80, true },  /* XFRM may vary */
		{ "qe.mrsigner", 128, 1, false },   { "qe.mrsigner", 159, 1, false },
		{ "qe.isvprodid", 256, 1, false },  { "qe.isvprodid", 257, 1, false },
	};

	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		tr_auto(world_done) struct world w;
		struct tr_quote q;

		make_td(*state, &w);
		parse(&w, &q);
		at(&w, q.qe_report)[rows[i].at] ^= rows[i].flip;
		sign_again(&w, RESIGN_QE);
		if (rows[i].ok)
			accepted(&w, rows[i].line);
		else
			refused_by(&w, rows[i].line, rows[i].line, TR_TEEC_QE_IDENTITY);
	}
}

/* ---- every byte ---- */

static void zeros_may_follow_a_quote(void **state)
{
	tr_auto(world_done) struct world w;
	size_t n;

	make_td(*state, &w);
	n = w.made.quote.n;
	for (unsigned i = 0; i < 70; i++)
		tr_buf_add8(&w.made.quote, 0);
	w.in.quote = tr_buf_view(&w.made.quote);
	accepted(&w, "70 zeros");
	assert_int_equal(result.trailing_bytes, 70);
	for (size_t i = n; i < w.made.quote.n; i += 23) {
		w.made.quote.p[i] = 1;
		refused_by(&w, "one that is none", "quote.trailing", TR_TEEC_QUOTE_TRAILING);
		w.made.quote.p[i] = 0;
	}
}

/* Everything that is signed, or says what is. Of a root's certificate only name, role, dates and key count, and the key is
 * compared: its bytes are left out, and so are those of both PEM texts that hold it. */
static void every_changed_byte_is_refused(void **state)
{
	for (unsigned kind = TR_TEE_SGX; kind <= TR_TEE_TDX; kind++) {
		struct tr_sim_spec spec = spec_of((enum tr_tee_kind)kind, kind == TR_TEE_SGX ? 3 : 5,
						  kind == TR_TEE_SGX ? TR_BODY_SGX : TR_BODY_TD15);
		tr_auto(world_done) struct world w;
		struct { const char *name; struct tr_buf *b; size_t n, step; } texts[5];
		const char *root;
		struct tr_quote q;

		make(*state, &spec, &w);
		parse(&w, &q);
		/* The last certificate of the chain. */
		root = memmem(q.cert_data.p + 1, q.cert_data.n - 1, "-----BEGIN", 10);
		assert_non_null(root);
		root = memmem(root + 1, q.cert_data.n - (size_t)((const uint8_t *)root + 1 - q.cert_data.p), "-----BEGIN", 10);
		assert_non_null(root);
		texts[0].name = "quote";
		texts[0].b = &w.made.quote;
		texts[0].n = (size_t)((const uint8_t *)root - w.made.quote.p);
		texts[0].step = 3;
		texts[1].name = "TCB info";
		texts[1].b = &w.made.tcb_info;
		texts[2].name = "QE identity";
		texts[2].b = &w.made.qe_identity;
		texts[3].name = "PCK CRL";
		texts[3].b = &w.made.pck_crl;
		texts[4].name = "root CRL";
		texts[4].b = &w.made.root_crl;
		for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
			if (i) {
				texts[i].n = texts[i].b->n;
				texts[i].step = 2;
			}
			for (size_t k = 0; k < texts[i].n; k += texts[i].step * STRIDE) {
				texts[i].b->p[k] ^= 1;
				if (passes(&w) || result.first == TR_TEEC_OK)
					fail_msg("%s, byte %zu of %zu", texts[i].name, k, texts[i].n);
				texts[i].b->p[k] ^= 1;
			}
		}
		accepted(&w, "unchanged");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_of_a_chain),
		cmocka_unit_test(a_chain_from_beside_the_quote),
		cmocka_unit_test(what_a_quote_needs_is_told_before),
		cmocka_unit_test(values_of_a_signature),
		cmocka_unit_test(an_attestation_key_is_a_point),
		cmocka_unit_test(the_qe_says_nothing_else),
		cmocka_unit_test(the_qe_is_told_by_each_value),
		cmocka_unit_test(zeros_may_follow_a_quote),
		cmocka_unit_test(every_changed_byte_is_refused),
	};

	return cmocka_run_group_tests(tests, start, end);
}
