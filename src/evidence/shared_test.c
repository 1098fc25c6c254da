/* SPDX-License-Identifier: Apache-2.0 */
/* The SGX and TDX cases of ../shared/evidence, or of $TROTH_EVIDENCE, read in place (its README.md has the format): quotes of
 * real machines with their collateral, made ones, and 241 changes of bytes. Every verdict is also asked for with a cache that
 * is cold, warm and shared with all other cases: not a line may differ. Rows of docs/faults-of-the-originals.md are named
 * where a case stands for one. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "codec/json.h"
#include "codec/text.h"
#include "evidence/dcap.h"

#include <dirent.h>
#include <stdio.h>

/* What a case stands for, and the code of a line that must fail in it (ok: none). Cases that are not here need only be judged
 * rightly. */
static const struct { const char *name, *slug, *mistake; } known[] = {
	{ "synth-neg-unbound-attkey", "qe_binding", "1: QE report not bound to the attestation key" },
	{ "synth-neg-qe-mrsigner", "qe_identity", "2: any enclave as QE" },
	{ "synth-neg-qe-prodid", "qe_identity", "2: any enclave as QE" },
	{ "synth-neg-qe-debug", "qe_identity", "2: any enclave as QE" },
	{ "synth-neg-qe-signed-by-ca", "qe_signature", "2: any enclave as QE" },
	{ "synth-neg-other-root", "chain_root", "3: root by its name" },
	{ "synth-neg-chain-from-other-root", "chain_root", "3: root by its name" },
	{ "sgx3-intel-sample-wrong-root", "chain_root", "3: root by its name" },
	{ "synth-neg-tcbinfo-signed-by-pck", "collateral_signature", "4: role of the signer" },
	{ "synth-neg-tcbinfo-signed-by-pck-with-chain", "chain_root", "4: role of the signer" },
	{ "tdx4-neg-signing-chain-swapped", "chain_role", "4: role of the signer" },
	{ "synth-neg-crl-expired", "crl_time", "5: revocation" },
	{ "synth-neg-crl-future", "crl_time", "5: revocation" },
	{ "synth-neg-pck-revoked", "revoked", "5: revocation" },
	{ "synth-neg-platform-ca-revoked", "revoked", "5: revocation" },
	{ "synth-neg-tcb-signer-revoked", "revoked", "5: revocation" },
	{ "tdx4-neg-crl-processor", "crl_issuer", "5: revocation" },
	{ "tdx4-neg-rootcrl-bad-sig", "crl_signature", "5: revocation" },
	{ "tdx4-neg-tcbinfo-other-fmspc", "collateral_mismatch", "6: another platform's TCB info" },
	{ "synth-neg-tcbinfo-pceid", "collateral_mismatch", "6: another platform's TCB info" },
	{ "synth-neg-tcbinfo-sgx-for-tdx", "collateral_mismatch", "6: another TEE's TCB info" },
	{ "tdx4-neg-qeid-sgx", "collateral_mismatch", "6: SGX's QE identity for a TD" },
	{ "synth-neg-expired-tcbinfo", "collateral_time", "7: dates" },
	{ "synth-neg-future-tcbinfo", "collateral_time", "7: dates" },
	{ "sgx3-automata-v3-eval19-outofdate", "ok", "7: of two evaluations the newer one" },
	{ "synth-sgx3-st-revoked", "tcb_revoked", "9: status" },
	{ "synth-tdx4-module-below-min", "tcb_not_supported", "9: status" },
	{ "tdx4-neg-truncated", "quote_length", "11: sizes" },
	{ "tdx4-neg-tcbinfo-reserialized", "collateral_signature", "16: signature over other bytes than served" },
	{ "tdx4-neg-tcbinfo-tampered", "collateral_signature", "16: signature over other bytes than served" },
	{ "sgx3-fortanix-2020-good", "crl_time", "19: the old root certificate, same key" },
	{ "sgx3-fortanix-2020-corrupt-sig", "quote_signature", "19: the old root certificate, same key" },
	{ "sgx3-oe-bad-report", "chain_signature", "19: the old root certificate, same key" },
	{ "sgx3-oasis-eppid-type3", "pck_missing", "20: a chain from nowhere" },
};

static const char *folder(void)
{
	const char *dir = getenv("TROTH_EVIDENCE");

	return dir ? dir : "../shared/evidence";
}

enum { QUOTE, TCB_INFO, QE_IDENTITY, TCB_CHAIN, PCK_CRL, ROOT_CRL, PCK_CHAIN, ROOT_CA, CASE, FILES };
static const char *const file_names[FILES] = { "quote.bin",   "tcb_info.json",	 "qe_identity.json", "tcb_signing_chain.pem",
					       "pck_crl.der", "root_ca_crl.der", "pck_chain.pem",    "root_ca.pem",
					       "case.json" };
struct files {
	struct tr_buf of[FILES], anchor;
	struct tr_view root;
};

static void files_done(struct files *f)
{
	for (size_t i = 0; i < FILES; i++)
		tr_buf_done(&f->of[i]);
	tr_buf_done(&f->anchor);
}
TR_DEFINE_AUTO_DONE(struct files, files_done)

/* What is not there is left empty: the case says what follows from that. */
static bool read_files(const char *name, struct files *f)
{
	struct tr_x_cert root;
	struct tr_view der;
	struct tr_err err;
	size_t n;

	*f = (struct files){ 0 };
	for (size_t i = 0; i < FILES; i++) {
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/%s/%s", folder(), name, file_names[i]);
		if (tr_file_exists(path) && tr_file_read(path, 1 << 20, &f->of[i], &err))
			fail_msg("%s: %s", path, err.detail);
	}
	f->root = tr_intel_root_spki();
	if (f->of[ROOT_CA].n) {
		if (tr_x_pem_chain(tr_buf_view(&f->of[ROOT_CA]), "CERTIFICATE", 1, &f->anchor, &der, &n, &err) ||
		    tr_x_cert_parse(der, &root, &err))
			fail_msg("%s: root_ca.pem: %s", name, err.detail);
		f->root = root.spki;
	}
	return f->of[QUOTE].n && f->of[CASE].n;
}

static struct tr_dcap_in input_of(const struct files *f, struct tr_view quote, enum tr_tee_kind kind, int64_t now)
{
	return (struct tr_dcap_in){
		.quote = quote,
		.kind = kind,
		.c = { .tcb_info = tr_buf_view(&f->of[TCB_INFO]),
		       .qe_identity = tr_buf_view(&f->of[QE_IDENTITY]),
		       .tcb_chain = tr_buf_view(&f->of[TCB_CHAIN]),
		       .pck_crl = tr_buf_view(&f->of[PCK_CRL]),
		       .root_crl = tr_buf_view(&f->of[ROOT_CRL]),
		       .pck_chain = tr_buf_view(&f->of[PCK_CHAIN]) },
		.roots = &f->root,
		.n_roots = 1,
		.when = { .now = now },
	};
}

/* What the policy of a case would say: v3 is SGX's, above it the TEE type says. A quote too short to tell may be either. */
static enum tr_tee_kind kind_of(struct tr_view quote)
{
	return quote.n > 4 && quote.p[4] == 0x81 ? TR_TEE_TDX : TR_TEE_SGX;
}

static struct tr_dcap_cache *shared_cache;

/* The same verification without a cache, with a new one twice, and with the one that all cases share. */
static void verify(const char *name, struct tr_dcap_in in, struct tr_tee_result *ret)
{
	tr_auto(tr_dcap_cache_free) struct tr_dcap_cache *fresh = tr_dcap_cache_new(1);
	struct tr_dcap_cache *const caches[] = { NULL, fresh, fresh, shared_cache };
	tr_auto(tr_buf_done) struct tr_buf first = TR_BUF_INIT, b = TR_BUF_INIT;

	assert_true(fresh && shared_cache);
	for (size_t i = 0; i < TR_ARRAY_LEN(caches); i++) {
		in.cache = caches[i];
		tr_dcap_verify(&in, ret, NULL);
		tr_buf_clear(&b);
		tr_tee_result_json(ret, &b);
		assert_true(tr_buf_ok(&b));
		if (!i)
			tr_tee_result_json(ret, &first);
		else if (!tr_view_eq(tr_buf_view(&b), tr_buf_view(&first)))
			fail_msg("%s: with a cache (%zu) it is\n%s\nwithout it\n%s", name, i, tr_buf_cstr(&b),
				 tr_buf_cstr(&first));
	}
}

static const struct tr_tee_check *first_failed(const struct tr_tee_result *r)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (r->checks[i].code != TR_TEEC_OK)
			return &r->checks[i];
	return NULL;
}

static bool has_failed(const struct tr_tee_result *r, const char *slug)
{
	bool found = !strcmp(slug, "ok") && !first_failed(r);

	for (size_t i = 0; i < r->n_checks; i++)
		found = found || (r->checks[i].code != TR_TEEC_OK && !strcmp(slug, tr_tee_code_info(r->checks[i].code)->slug));
	return found;
}

static bool complain(const char *name, int64_t now, const char *what, const struct tr_tee_result *r)
{
	const struct tr_tee_check *c = first_failed(r);

	print_error("%s at %lld: %s; %s, status %s; %s: expected %s, seen %s\n", name, (long long)now, what,
		    tr_tee_authentic_and_current(r) ? "passes" : "fails", tr_tcb_status_name(r->tcb_status), c ? c->name : "-",
		    c ? c->expected : "-", c ? c->seen : "-");
	return false;
}

static bool same_advisories(tr_jnode list, const struct tr_tee_result *r)
{
	if (!tr_json_is_array(list))
		return true;
	for (size_t i = 0; i < tr_json_len(list); i++) {
		struct tr_view id;
		bool found = false;

		assert_true(tr_json_str(tr_json_at(list, i), &id));
		for (size_t k = 0; k < r->n_advisories; k++)
			found = found || tr_view_is(id, r->advisories[k]);
		if (!found)
			return false;
	}
	return r->n_advisories == tr_json_len(list);
}

/* crypto, tcb_status and advisory_ids, as far as the case says them. */
static bool check_at(const char *name, const struct files *f, int64_t now, tr_jnode crypto, tr_jnode status,
		     tr_jnode advisories)
{
	static struct tr_tee_result r;
	struct tr_view quote = tr_buf_view(&f->of[QUOTE]), v;
	bool ok = true;

	verify(name, input_of(f, quote, kind_of(quote), now), &r);
	assert_true(tr_json_str(crypto, &v));
	if (!tr_view_is(v, "either") && tr_view_is(v, "pass") != tr_tee_authentic_and_current(&r))
		ok = complain(name, now, "crypto is another", &r);
	if (tr_json_str(status, &v) && !tr_view_is(v, tr_tcb_status_name(r.tcb_status)))
		ok = complain(name, now, "tcb_status is another", &r);
	if (!same_advisories(advisories, &r))
		ok = complain(name, now, "advisory_ids are others", &r);
	for (size_t i = 0; i < TR_ARRAY_LEN(known) && status; i++)
		if (!strcmp(name, known[i].name) && !has_failed(&r, known[i].slug))
			ok = complain(name, now, known[i].mistake, &r);
	return ok;
}

/* What the second implementation of the rules found (independent_python), where it did. */
static bool check_parts(const char *name, const struct files *f, int64_t now, tr_jnode tcb)
{
	static struct tr_tee_result r;
	struct tr_view quote = tr_buf_view(&f->of[QUOTE]), v;
	static const char *const members[] = { "status", "platform_status", "module_status", "qe_status" };
	const struct tr_dcap_in in = input_of(f, quote, kind_of(quote), now);
	int64_t ms;

	tr_dcap_verify(&in, &r, NULL);
	for (size_t i = 0; i < TR_ARRAY_LEN(members); i++) {
		const enum tr_tcb_status is[] = { r.tcb_status, r.platform_status, r.module_status, r.qe_status };

		if (tr_json_str(tr_json_get(tcb, members[i]), &v) && !tr_view_is(v, tr_tcb_status_name(is[i])))
			return complain(name, now, members[i], &r);
	}
	if (tr_json_str(tr_json_get(tcb, "platform_tcb_date"), &v) && (!tr_rfc3339_get(v, &ms) || r.tcb_date != ms / 1000))
		return complain(name, now, "platform_tcb_date", &r);
	return true;
}

/* False: not one of ours. */
static bool is_ours(const char *name)
{
	return !strncmp(name, "sgx", 3) || !strncmp(name, "tdx", 3) ||
	       (!strncmp(name, "synth-", 6) && strncmp(name, "synth-snp", 9) != 0);
}

static size_t run_case(const char *name, bool *ret_ok)
{
	tr_auto(files_done) struct files f;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	tr_jnode expected, checks;
	struct tr_err err;
	int64_t now;

	if (!read_files(name, &f)) {
		print_message("skipped: %s has no quote or no case.json\n", name);
		return 0;
	}
	if (tr_json_parse(tr_buf_view(&f.of[CASE]), &j, &err))
		fail_msg("%s: %s", name, err.detail);
	expected = tr_json_get(tr_json_root(j), "expected");
	checks = tr_json_get(tr_json_root(j), "checks");
	assert_true(tr_json_int(tr_json_get(tr_json_root(j), "verification_time"), &now));
	*ret_ok = check_at(name, &f, now, tr_json_get(expected, "crypto"), tr_json_get(expected, "tcb_status"),
			   tr_json_get(expected, "advisory_ids")) && *ret_ok;
	*ret_ok = check_parts(name, &f, now, tr_json_get(tr_json_get(tr_json_root(j), "independent_python"), "tcb")) && *ret_ok;
	for (size_t i = 0; i < tr_json_len(checks); i++) {
		tr_jnode c = tr_json_at(checks, i);

		assert_true(tr_json_int(tr_json_get(c, "time"), &now));
		*ret_ok = check_at(name, &f, now, tr_json_get(c, "expect_crypto"), tr_json_get(c, "expect_tcb_status"), NULL) &&
			  *ret_ok;
	}
	return 1 + tr_json_len(checks);
}

static void every_case_at_every_time(void **state)
{
	DIR *dir = opendir(folder());
	size_t cases = 0, verdicts = 0;
	struct dirent *e;
	bool ok = true;

	(void)state;
	if (!dir) {
		print_message("skipped: no %s\n", folder());
		skip();
	}
	shared_cache = tr_dcap_cache_new(4);
	while ((e = readdir(dir))) {
		size_t n = is_ours(e->d_name) ? run_case(e->d_name, &ok) : 0;

		cases += n > 0;
		verdicts += n;
	}
	(void)closedir(dir);
	shared_cache = tr_dcap_cache_free(shared_cache);
	print_message("%zu cases, %zu verdicts\n", cases, verdicts);
	assert_true(ok && cases > 0);
}

/* ---- changed bytes ---- */

static void apply(tr_jnode m, const struct tr_buf *base, struct tr_buf *ret)
{
	tr_jnode patches = tr_json_get(m, "patch");
	struct tr_view hex;
	int64_t n;

	tr_buf_clear(ret);
	tr_buf_addv(ret, tr_buf_view(base));
	for (size_t i = 0; i < tr_json_len(patches); i++) {
		tr_jnode p = tr_json_at(patches, i);

		assert_true(tr_json_int(tr_json_get(p, "offset"), &n) && tr_json_str(tr_json_get(p, "hex"), &hex));
		assert_true((size_t)n + hex.n / 2 <= ret->n && tr_hex_get(hex, ret->p + n, hex.n / 2));
	}
	if (tr_json_int(tr_json_get(m, "truncate"), &n)) {
		assert_true(n >= 0 && (size_t)n <= ret->n);
		ret->n = (size_t)n;
	}
	if (tr_json_str(tr_json_get(m, "append_hex"), &hex)) {
		uint8_t *at = tr_buf_space(ret, hex.n / 2);

		assert_true(at && tr_hex_get(hex, at, hex.n / 2));
	}
}

/* Bytes behind a quote are accepted when all are zero, as real buffers have them, and refused else. */
static bool appended_zeros(tr_jnode m)
{
	struct tr_view hex;

	if (!tr_json_str(tr_json_get(m, "append_hex"), &hex))
		return false;
	for (size_t i = 0; i < hex.n; i++)
		if (hex.p[i] != '0')
			return false;
	return true;
}

struct base {
	char name[64];
	struct files f;
	int64_t now;
};

static void load_base(struct base *b, const char *name)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_err err;

	if (!strcmp(b->name, name))
		return;
	files_done(&b->f);
	assert_true(strlen(name) < sizeof(b->name));
	(void)snprintf(b->name, sizeof(b->name), "%s", name);
	assert_true(read_files(name, &b->f));
	if (tr_json_parse(tr_buf_view(&b->f.of[CASE]), &j, &err))
		fail_msg("%s: %s", name, err.detail);
	assert_true(tr_json_int(tr_json_get(tr_json_root(j), "verification_time"), &b->now));
}

/* Row 19, and more: but for a root CRL of that year, which is nowhere to be had, this quote of 2020 is good. Its chain has the
 * root before the CA, and the root's certificate of 2033. */
static void a_quote_of_2020_lacks_nothing_but_a_crl_of_its_time(void **state)
{
	tr_auto(files_done) struct files f;
	static struct tr_tee_result r;
	struct tr_dcap_in in;

	(void)state;
	if (!read_files("sgx3-fortanix-2020-good", &f)) {
		print_message("skipped: no such case\n");
		skip();
	}
	in = input_of(&f, tr_buf_view(&f.of[QUOTE]), TR_TEE_SGX, 1590000000);
	tr_dcap_verify(&in, &r, NULL);
	assert_int_equal(r.tcb_status, TR_TCB_OUT_OF_DATE);
	for (size_t i = 0; i < r.n_checks; i++)
		assert_true(r.checks[i].code == TR_TEEC_OK || !strcmp(r.checks[i].name, "root_crl.time"));
}

static void every_mutation(void **state)
{
	static struct tr_tee_result r;
	static struct base b;
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, quote = TR_BUF_INIT;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	size_t refused = 0, accepted = 0;
	char path[512];
	struct tr_err err;
	tr_jnode all;
	bool ok = true;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/mutations.json", folder());
	if (tr_file_read(path, TR_JSON_MAX, &text, &err)) {
		print_message("skipped: no %s\n", path);
		skip();
	}
	assert_int_equal(tr_json_parse(tr_buf_view(&text), &j, &err), TR_OK);
	shared_cache = tr_dcap_cache_new(4);
	all = tr_json_get(tr_json_root(j), "mutations");
	for (size_t i = 0; i < tr_json_len(all); i++) {
		tr_jnode m = tr_json_at(all, i);
		struct tr_view base, name;
		const char *slash;
		char text_of[64];
		bool pass;

		assert_true(tr_json_str(tr_json_get(m, "base"), &base) && tr_json_str(tr_json_get(m, "name"), &name));
		(void)snprintf(text_of, sizeof(text_of), "%.*s", TR_VIEW_FMT(base));
		slash = strrchr(text_of, '/');
		load_base(&b, slash ? slash + 1 : text_of);
		apply(m, &b.f.of[QUOTE], &quote);
		/* The kind is what the unchanged quote is accepted as: never read from the bytes at hand. */
		verify(b.name, input_of(&b.f, tr_buf_view(&quote), kind_of(tr_buf_view(&b.f.of[QUOTE])), b.now), &r);
		pass = tr_tee_authentic_and_current(&r);
		accepted += pass;
		refused += !pass;
		if (pass != appended_zeros(m)) {
			(void)snprintf(path, sizeof(path), "%s %.*s", b.name, TR_VIEW_FMT(name));
			ok = complain(path, b.now, pass ? "must be refused" : "must pass", &r);
		}
		if (pass)
			assert_true(r.trailing_bytes > 0);
	}
	files_done(&b.f);
	shared_cache = tr_dcap_cache_free(shared_cache);
	print_message("%zu refused, %zu accepted with zeros behind the quote\n", refused, accepted);
	assert_true(ok && refused + accepted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_at_every_time),
		cmocka_unit_test(a_quote_of_2020_lacks_nothing_but_a_crl_of_its_time),
		cmocka_unit_test(every_mutation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
