/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy asks beyond the vendor's own verification: docs/attestation.md has them. Every rule is a line; no line stops
 * the others. */
#include "appraise/tee_inner.h"

#include <inttypes.h>

/* TDATTRIBUTES (Intel TDX Module ABI specification) */
#define TD_DEBUG UINT64_C(1)
#define TD_TUD UINT64_C(0xfe) /* more of "TD under debug": each lets the host look in, or will */
#define TD_SEPT_VE_DISABLE (UINT64_C(1) << 28)
#define TD_MIGRATABLE (UINT64_C(1) << 29)
#define TD_PKS (UINT64_C(1) << 30)
#define TD_PERFMON (UINT64_C(1) << 63)
#define TD_OTHERS (UINT64_C(1) << 27 | UINT64_C(1) << 31 | UINT64_C(1) << 62) /* LASS, KL, TPA: known and harmless */
#define TD_KNOWN (TD_DEBUG | TD_TUD | TD_SEPT_VE_DISABLE | TD_MIGRATABLE | TD_PKS | TD_PERFMON | TD_OTHERS)
/* SGX attributes */
#define SGX_INIT 1u
#define SGX_DEBUG 2u
#define SGX_PROVISION 0x10u
#define SGX_EINITTOKEN 0x20u
/* SNP guest policy */
#define SNP_SMT (UINT64_C(1) << 16)
#define SNP_MIGRATE_MA (UINT64_C(1) << 18)
#define SNP_DEBUG (UINT64_C(1) << 19)

static bool line(struct tr_tee_run *run, const char *name, bool ok, enum tr_tee_code code, const char *expected,
		 const char *seen)
{
	return tr_tee_line(run->r, name, TR_Q_SOFTWARE, ok ? TR_TEEC_OK : code, expected, seen);
}

bool tr_tee_hex_line(struct tr_tee_run *run, const char *name, enum tr_tee_code code, struct tr_view expected,
		     struct tr_view seen)
{
	struct tr_tee_check *c = tr_tee_check_add(run->r, name, TR_Q_SOFTWARE, code);

	tr_tee_expected_hex(c, expected);
	tr_tee_seen_hex(c, seen);
	return code == TR_TEEC_OK;
}

/* ---- TDX ---- */

static void td_attributes(struct tr_tee_run *run, uint64_t a)
{
	const struct tr_tee_policy *p = run->p;
	const uint64_t reserved = a & ~TD_KNOWN;
	const bool debug = a & TD_DEBUG;
	struct tr_tee_check *c;

	run->r->debug = debug;
	(void)line(run, "tdx.debug", !debug || p->tdx.debug_ok, TR_TEEC_DEBUG, p->tdx.debug_ok ? "on or off" : "off",
		   debug ? "on: the host can read this TD" : "off");
	c = tr_tee_check_add(run->r, "tdx.attributes.tud", TR_Q_SOFTWARE, a & TD_TUD ? TR_TEEC_ATTRIBUTES : TR_TEEC_OK);
	tr_tee_expected(c, "bits 1 to 7 clear (they weaken a TD)");
	tr_tee_seen(c, "%02" PRIx64, a & TD_TUD);
	c = tr_tee_check_add(run->r, "tdx.attributes.reserved", TR_Q_SOFTWARE, reserved ? TR_TEEC_ATTRIBUTES : TR_TEEC_OK);
	tr_tee_expected(c, "reserved bits clear");
	if (reserved)
		tr_tee_seen(c, "bit %d is set", __builtin_ctzll(reserved));
	else
		tr_tee_seen(c, "clear");
	(void)line(run, "tdx.sept_ve_disable", (a & TD_SEPT_VE_DISABLE) || p->tdx.no_sept_ve_ok, TR_TEEC_ATTRIBUTES,
		   p->tdx.no_sept_ve_ok ? "set or not" : "set (bit 28): else the host may inject exceptions",
		   a & TD_SEPT_VE_DISABLE ? "set" : "not set");
	(void)line(run, "tdx.migratable", !(a & TD_MIGRATABLE) || p->tdx.migratable_ok, TR_TEEC_ATTRIBUTES,
		   p->tdx.migratable_ok ? "set or not" : "not set (bit 29)", a & TD_MIGRATABLE ? "set" : "not set");
	if (a & TD_PKS)
		(void)line(run, "tdx.pks", true, TR_TEEC_OK, "set or not (bit 30)", "note: PKS is set");
	if (a & TD_PERFMON)
		(void)line(run, "tdx.perfmon", p->tdx.perfmon_ok, TR_TEEC_ATTRIBUTES,
			   p->tdx.perfmon_ok ? "set or not" : "not set (bit 63): a side channel", "set");
}

static void td_service(struct tr_tee_run *run, const struct tr_td_body *td)
{
	const struct tr_tee_policy *p = run->p;
	bool ok = tr_tee_zero(td->mrservicetd) || p->tdx.any_service_td;
	struct tr_tee_check *c;

	if (!td->v15)
		return;
	for (size_t i = 0; i < p->tdx.n_service_tds; i++)
		ok = ok || tr_view_eq(td->mrservicetd, TR_VIEW_ARRAY(p->tdx.service_tds[i]));
	c = tr_tee_check_add(run->r, "tdx.mrservicetd", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_ATTRIBUTES);
	tr_tee_expected(c, p->tdx.any_service_td ? "any" : p->tdx.n_service_tds ? "zero, or one of the policy's" : "zero");
	tr_tee_seen_hex(c, td->mrservicetd);
}

static void td_seam(struct tr_tee_run *run, const struct tr_td_body *td)
{
	const struct tr_tee_policy *p = run->p;
	bool ok = false;
	struct tr_tee_check *c;

	if (p->tdx.n_seams) {
		for (size_t i = 0; i < p->tdx.n_seams; i++)
			ok = ok || tr_view_eq(td->mrseam, TR_VIEW_ARRAY(p->tdx.seams[i]));
		c = tr_tee_check_add(run->r, "tdx.mrseam", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_ATTRIBUTES);
		tr_tee_expected(c, "one of the policy's TDX modules");
		tr_tee_seen_hex(c, td->mrseam);
	}
	if (!p->tdx.has_min_svn)
		return;
	ok = true;
	for (size_t i = 0; i < sizeof(p->tdx.min_svn); i++)
		ok = ok && td->tee_tcb_svn.p[i] >= p->tdx.min_svn[i];
	(void)tr_tee_hex_line(run, "tdx.tee_tcb_svn", ok ? TR_TEEC_OK : TR_TEEC_MIN_TCB, TR_VIEW_ARRAY(p->tdx.min_svn),
			      td->tee_tcb_svn);
}

void tr_tee_rules_tdx(struct tr_tee_run *run)
{
	const struct tr_td_body *td = &run->quote.td;
	struct tr_tee_check *c;
	bool ok;

	td_attributes(run, td->td_attributes);
	ok = (td->xfam & 3) == 3 && (!run->p->tdx.has_xfam || !(td->xfam & ~run->p->tdx.xfam_mask));
	c = tr_tee_check_add(run->r, "tdx.xfam", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_ATTRIBUTES);
	tr_tee_expected(c, run->p->tdx.has_xfam ? "x87 and SSE, nothing beyond %016" PRIx64 : "x87 and SSE",
			run->p->tdx.xfam_mask);
	tr_tee_seen(c, "%016" PRIx64, td->xfam);
	td_service(run, td);
	td_seam(run, td);
}

/* ---- SGX ---- */

void tr_tee_rules_sgx(struct tr_tee_run *run)
{
	const struct tr_sgx_body *b = &run->quote.sgx;
	const bool debug = b->flags & SGX_DEBUG, keys = b->flags & (SGX_PROVISION | SGX_EINITTOKEN);
	const struct tr_tee_policy *p = run->p;

	run->r->debug = debug;
	(void)line(run, "sgx.debug", !debug || p->sgx.debug_ok, TR_TEEC_DEBUG, p->sgx.debug_ok ? "on or off" : "off",
		   debug ? "on: the host can read this enclave" : "off");
	(void)line(run, "sgx.init", b->flags & SGX_INIT, TR_TEEC_ATTRIBUTES, "initialised",
		   b->flags & SGX_INIT ? "initialised" : "not initialised");
	(void)line(run, "sgx.provision_key", !keys || p->sgx.provision_ok, TR_TEEC_ATTRIBUTES,
		   p->sgx.provision_ok ? "with or without" : "no access to provisioning and launch keys",
		   keys ? "has access" : "has none");
	(void)line(run, "sgx.reserved", b->reserved_zero, TR_TEEC_ATTRIBUTES, "reserved bytes are zero",
		   b->reserved_zero ? "zero" : "set");
}

/* ---- SNP ---- */

static void snp_min_tcb(struct tr_tee_run *run, enum tr_snp_product product)
{
	const struct { const char *name; struct tr_view v; } all[] = {
		{ "snp.min_tcb.reported", run->snp.reported_tcb },
		{ "snp.min_tcb.committed", run->snp.committed_tcb },
		{ "snp.min_tcb.current", run->snp.current_tcb },
		{ "snp.min_tcb.launch", run->snp.launch_tcb },
	};
	const struct tr_snp_tcb *m = &run->p->snp.min_tcb[product];

	if (!run->p->snp.has_min_tcb[product])
		return;
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		struct tr_tee_check *c;
		struct tr_snp_tcb t;
		bool ok;

		tr_snp_tcb_read(product, all[i].v, &t);
		ok = t.fmc >= m->fmc && t.boot_loader >= m->boot_loader && t.tee >= m->tee && t.snp >= m->snp &&
		     t.microcode >= m->microcode;
		c = tr_tee_check_add(run->r, all[i].name, TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_MIN_TCB);
		tr_tee_expected(c, "at least fmc %u, boot loader %u, tee %u, snp %u, microcode %u", m->fmc, m->boot_loader, m->tee,
				m->snp, m->microcode);
		tr_tee_seen(c, "fmc %u, boot loader %u, tee %u, snp %u, microcode %u", t.fmc, t.boot_loader, t.tee, t.snp,
			    t.microcode);
	}
}

/* Firmware that was committed cannot be newer than what runs; else the report lies about one of them. */
static void snp_committed(struct tr_tee_run *run, enum tr_snp_product product)
{
	struct tr_snp_tcb c, n;
	bool ok;

	tr_snp_tcb_read(product, run->snp.committed_tcb, &c);
	tr_snp_tcb_read(product, run->snp.current_tcb, &n);
	ok = c.fmc <= n.fmc && c.boot_loader <= n.boot_loader && c.tee <= n.tee && c.snp <= n.snp && c.microcode <= n.microcode;
	(void)line(run, "snp.committed_tcb", ok, TR_TEEC_ATTRIBUTES, "not above the current TCB", ok ? "so" : "above it");
}

static void snp_policy(struct tr_tee_run *run)
{
	const struct tr_snp_report *s = &run->snp;
	const struct tr_tee_policy *p = run->p;
	const bool debug = s->policy & SNP_DEBUG, ma = s->policy & SNP_MIGRATE_MA, smt = s->policy & SNP_SMT;
	const unsigned major = (s->policy >> 8) & 0xff, minor = s->policy & 0xff;
	bool ok = major < s->current_major || (major == s->current_major && minor <= s->current_minor);
	struct tr_tee_check *c;

	run->r->debug = debug;
	(void)line(run, "snp.debug", !debug || p->snp.debug_ok, TR_TEEC_DEBUG, p->snp.debug_ok ? "on or off" : "off",
		   debug ? "on (bit 19): the host can read this guest" : "off");
	(void)line(run, "snp.migrate_ma", !ma || p->snp.migrate_ok, TR_TEEC_ATTRIBUTES,
		   p->snp.migrate_ok ? "allowed or not" : "not allowed (bit 18)", ma ? "allowed" : "not allowed");
	if (p->snp.no_smt)
		(void)line(run, "snp.smt", !smt, TR_TEEC_ATTRIBUTES, "refused by the guest (bit 16)", smt ? "allowed" : "refused");
	/* Firmware older than the guest demands would not have started it. */
	c = tr_tee_check_add(run->r, "snp.abi", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_ATTRIBUTES);
	tr_tee_expected(c, "at most the firmware's %u.%u", s->current_major, s->current_minor);
	tr_tee_seen(c, "%u.%u", major, minor);
}

static void snp_vmpl(struct tr_tee_run *run)
{
	const uint32_t vmpl = run->snp.vmpl;
	const bool ok = vmpl < 4 && run->p->snp.vmpl[vmpl];
	struct tr_tee_check *c = tr_tee_check_add(run->r, "snp.vmpl", TR_Q_SOFTWARE, ok ? TR_TEEC_OK : TR_TEEC_VMPL);
	char list[16] = "";
	size_t at = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (run->p->snp.vmpl[i]) {
			list[at++] = (char)('0' + i);
			list[at++] = ' ';
		}
	}
	list[at ? at - 1 : 0] = '\0';
	tr_tee_expected(c, "%s", list);
	if (vmpl == UINT32_MAX)
		tr_tee_seen(c, "none: the host asked for this report");
	else
		tr_tee_seen(c, "%" PRIu32, vmpl);
}

static void bits(struct tr_tee_run *run, const char *name, uint64_t need, uint64_t have)
{
	struct tr_tee_check *c;

	if (!need)
		return;
	c = tr_tee_check_add(run->r, name, TR_Q_SOFTWARE, (have & need) == need ? TR_TEEC_OK : TR_TEEC_ATTRIBUTES);
	tr_tee_expected(c, "all bits of %016" PRIx64, need);
	tr_tee_seen(c, "%016" PRIx64, have);
}

void tr_tee_rules_snp(struct tr_tee_run *run)
{
	const struct tr_snp_report *s = &run->snp;
	const struct tr_tee_policy *p = run->p;
	enum tr_snp_product product = tr_snp_product_of(s);
	struct tr_tee_check *c;

	/* Version 2 does not say; the verifier found it in the certificates. */
	for (size_t i = 0; product == TR_SNP_UNKNOWN && i < run->r->n_fields; i++)
		for (unsigned k = TR_SNP_MILAN; k < TR_SNP_PRODUCT_N; k++)
			if (strcmp(run->r->fields[i].name, "product") == 0 &&
			    tr_view_is(run->r->fields[i].bytes, tr_snp_product_name((enum tr_snp_product)k)))
				product = (enum tr_snp_product)k;
	snp_policy(run);
	snp_vmpl(run);
	if (product != TR_SNP_UNKNOWN) {
		snp_committed(run, product);
		snp_min_tcb(run, product);
	}
	bits(run, "snp.platform_info", p->snp.platform_info, s->platform_info);
	bits(run, "snp.mitigations", p->snp.mitigations, s->current_mit);
	if (p->snp.masked_refused)
		(void)line(run, "snp.chip_id", !tr_tee_zero(s->chip_id), TR_TEEC_ATTRIBUTES, "a chip id",
			   tr_tee_zero(s->chip_id) ? "masked" : "there");
	if (!p->snp.min_guest_svn)
		return;
	c = tr_tee_check_add(run->r, "snp.guest_svn", TR_Q_SOFTWARE,
			     s->guest_svn >= p->snp.min_guest_svn ? TR_TEEC_OK : TR_TEEC_MIN_TCB);
	tr_tee_expected(c, "at least %" PRIu32, p->snp.min_guest_svn);
	tr_tee_seen(c, "%" PRIu32, s->guest_svn);
}

/* ---- TCB status ---- */

static bool is_for_a_time(enum tr_tcb_status s)
{
	return s == TR_TCB_OUT_OF_DATE || s == TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED || s == TR_TCB_TD_RELAUNCH_ADVISED ||
	       s == TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
}

static void earlier(int64_t *limit, int64_t t)
{
	if (!*limit || t < *limit)
		*limit = t;
}

static void tcb_limit(struct tr_tee_run *run, enum tr_tcb_status s)
{
	const struct tr_tee_policy *p = run->p;
	struct tr_tee_check *c;
	int64_t limit = 0;

	if (!is_for_a_time(s) || !p->tcb.accept[s])
		return;
	if (p->tcb.grace_s >= 0)
		earlier(&limit, run->r->tcb_date + p->tcb.grace_s);
	if (p->tcb.until)
		earlier(&limit, p->tcb.until);
	c = tr_tee_check_add(run->r, "policy.tcb_limit", TR_Q_SOFTWARE, run->in->now < limit ? TR_TEEC_OK : TR_TEEC_TCB_STATUS);
	tr_tee_expected(c, "before %" PRId64 " (Unix time)", limit);
	tr_tee_seen(c, "%" PRId64, run->in->now);
	earlier(&run->limit, limit);
}

/* One line for all, since there may be dozens: the first that is not listed, or how many are. */
static void advisories(struct tr_tee_run *run)
{
	const struct tr_tee_policy *p = run->p;
	const char *unlisted = NULL;
	struct tr_tee_check *c;

	for (size_t i = 0; i < run->r->n_advisories && !unlisted; i++) {
		unlisted = run->r->advisories[i];
		for (size_t k = 0; k < p->tcb.n_advisories && unlisted; k++)
			if (strcmp(p->tcb.advisories[k], unlisted) == 0)
				unlisted = NULL;
	}
	c = tr_tee_check_add(run->r, "policy.advisories", TR_Q_SOFTWARE, unlisted ? TR_TEEC_ADVISORY : TR_TEEC_OK);
	tr_tee_expected(c, "none that the policy does not list");
	if (unlisted)
		tr_tee_seen(c, "%s", unlisted);
	else
		tr_tee_seen(c, "%zu, all listed", run->r->n_advisories);
}

void tr_tee_rules_tcb(struct tr_tee_run *run)
{
	const struct tr_tee_policy *p = run->p;
	const enum tr_tcb_status s = run->r->tcb_status;
	struct tr_tee_check *c;

	/* Not determined, or already refused under `current`. */
	if (s == TR_TCB_NONE || s == TR_TCB_REVOKED || s == TR_TCB_NOT_SUPPORTED || s == TR_TCB_TDX_MODULE_MISMATCH ||
	    s == TR_TCB_UNRECOGNISED)
		return;
	c = tr_tee_check_add(run->r, "policy.tcb_status", TR_Q_SOFTWARE, p->tcb.accept[s] ? TR_TEEC_OK : TR_TEEC_TCB_STATUS);
	for (unsigned i = 1; i < TR_TCB_N; i++) {
		const size_t at = strlen(c->expected);

		if (p->tcb.accept[i] && at + 64 < sizeof(c->expected)) {
			if (at)
				memcpy(c->expected + at, " or ", 5);
			memcpy(c->expected + at + (at ? 4 : 0), tr_tcb_status_name((enum tr_tcb_status)i),
			       strlen(tr_tcb_status_name((enum tr_tcb_status)i)) + 1);
		}
	}
	tr_tee_seen(c, "%s", tr_tcb_status_name(s));
	tcb_limit(run, s);
	if (p->tcb.advisories_listed)
		advisories(run);
}

/* ---- age of collateral ---- */

void tr_tee_rules_ages(struct tr_tee_run *run, const struct tr_view *used, size_t n)
{
	const struct tr_bundle *b = run->in->bundle;

	for (size_t i = 0; b && i < b->n; i++) {
		const struct tr_bundle_entry *e = &b->items[i];
		const int64_t max = run->p->collateral.max_age_s[e->type], age = run->in->now - e->issued;
		struct tr_tee_check *c;
		bool is_used = false;

		for (size_t k = 0; k < n; k++)
			is_used = is_used || (used[k].n && used[k].p == e->bytes.p);
		if (!max || !is_used)
			continue;
		c = tr_tee_check_add(run->r, "collateral.age", TR_Q_CURRENT, age <= max ? TR_TEEC_OK : TR_TEEC_COLLATERAL_TIME);
		tr_tee_expected(c, "%s of at most %" PRId64 " days", tr_bundle_item_name(e->type), max / 86400);
		tr_tee_seen(c, "%" PRId64 " days", age / 86400);
		earlier(&run->limit, e->issued + max);
	}
}
