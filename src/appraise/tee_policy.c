/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's text becomes struct tr_tee_policy; docs/attestation.md has the grammar. A member that is not known, or that
 * cannot mean anything beside the others, is an error: a typing mistake must not make a policy weaker. */
#include "appraise/tee_policy.h"

#include "codec/ident.h"
#include "codec/text.h"
#include "codec/yaml.h"
#include "crypto/hash.h"
#include "crypto/key.h"

static const char *const schemes[TR_RD_N] = { "none", "troth", "raw-ed25519", "sha256-spki-der", "sha256-cert-der",
					      "sha256-pem" };

const char *tr_rd_scheme_name(enum tr_rd_scheme s)
{
	return (unsigned)s < TR_RD_N ? schemes[s] : schemes[TR_RD_NONE];
}

/* ---- whom and what it is for ---- */

static void read_types(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	const size_t n = tr_pp_items(p, TR_TEE_TYPES_MAX);

	if (!n)
		tr_pp_fail(p, "must name agent types, or \"*\" for any");
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(p, i);
		struct tr_view v;

		if (tr_json_str(item.node, &v) && tr_view_is(v, "*")) {
			ret->any_type = true;
		} else if (tr_json_str(item.node, &v) && tr_ident_ok(v)) {
			memcpy(ret->types[ret->n_types], v.p, v.n);
			ret->types[ret->n_types++][v.n] = '\0';
		} else {
			tr_pp_fail(&item, "must be an agent type (letters, digits, '.', '_', '-') or \"*\"");
		}
	}
}

static void read_kinds(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	const size_t n = tr_pp_items(p, TR_TEE_KIND_N);

	if (!n)
		tr_pp_fail(p, "must list kinds of evidence: sgx, tdx, snp, tpm");
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(p, i);
		const int w = tr_pp_word(&item, "sgx tdx snp tpm");

		if (w >= 0)
			ret->kinds[TR_TEE_SGX + w] = true;
	}
}

static void read_root(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	struct tr_tee_root *r = &ret->roots[ret->n_roots];
	struct tr_pp m;

	if (!tr_json_is_object(p->node)) {
		switch (tr_pp_word(p, "intel amd tpm")) {
		case 0: ret->root_intel = true; return;
		case 1: ret->root_amd = true; return;
		case 2: ret->root_tpm = true; return;
		default: return;
		}
	}
	if (!tr_pp_object(p, "name spki_sha256 simulated"))
		return;
	if (tr_pp_need(p, "name", &m))
		tr_pp_text(&m, r->name, sizeof(r->name) - 1);
	tr_pp_bool(p, "simulated", &r->simulated);
	if (tr_pp_need(p, "spki_sha256", &m) && tr_pp_hex(&m, r->spki_sha256, sizeof(r->spki_sha256)) &&
	    tr_key_leak_name(r->spki_sha256)) {
		/* A tool may look at such evidence; nobody is told that it is hardware. */
		r->simulated = true;
		if (!p->run->tools)
			tr_pp_fail(&m, "is a published test key, which anybody can sign with: make a root of your own");
	}
	ret->n_roots++;
}

static void read_roots(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	const size_t n = tr_pp_items(p, TR_TEE_ROOTS_MAX);

	if (!n)
		tr_pp_fail(p, "must list roots: intel, amd, tpm, or {name, spki_sha256}");
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(p, i);

		read_root(&item, ret);
	}
}

static void read_scheme(const struct tr_pp *top, struct tr_tee_policy *ret)
{
	struct tr_pp m;
	int w;

	ret->scheme = TR_RD_TROTH;
	if (!tr_pp_member(top, "report_data", &m))
		return;
	/* "none" would accept anybody's old quote: only the tools' own policy may say so. */
	w = tr_pp_word(&m, top->run->tools ? "none troth raw-ed25519 sha256-spki-der sha256-cert-der sha256-pem"
					   : "troth raw-ed25519 sha256-spki-der sha256-cert-der sha256-pem");
	if (w >= 0)
		ret->scheme = (enum tr_rd_scheme)(w + (top->run->tools ? 0 : 1));
}

/* ---- TCB and collateral ---- */

static bool needs_limit(enum tr_tcb_status s)
{
	return s == TR_TCB_OUT_OF_DATE || s == TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED || s == TR_TCB_TD_RELAUNCH_ADVISED ||
	       s == TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
}

static bool never(enum tr_tcb_status s)
{
	return s == TR_TCB_REVOKED || s == TR_TCB_NOT_SUPPORTED || s == TR_TCB_TDX_MODULE_MISMATCH || s == TR_TCB_UNRECOGNISED;
}

static void read_accept(const struct tr_pp *p, bool limited, struct tr_tee_policy *ret)
{
	const size_t n = tr_pp_items(p, TR_TCB_N);

	ret->tcb.accept[TR_TCB_UP_TO_DATE] = false;
	if (!n)
		tr_pp_fail(p, "an empty list allows nothing");
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(p, i);
		enum tr_tcb_status s;
		struct tr_view v;

		if (!tr_json_str(item.node, &v) || !tr_tcb_status_of(v, &s))
			tr_pp_fail(&item, "is no TCB status, such as UpToDate or SWHardeningNeeded");
		else if (never(s))
			tr_pp_fail(&item, "%s is never accepted", tr_tcb_status_name(s));
		else if (needs_limit(s) && !limited)
			tr_pp_fail(&item, "%s is accepted only for a time: say tcb.grace_days or tcb.out_of_date_until",
				   tr_tcb_status_name(s));
		else
			ret->tcb.accept[s] = true;
	}
}

static void read_advisories(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	const size_t n = tr_pp_items(p, TR_ARRAY_LEN(ret->tcb.advisories));

	ret->tcb.advisories_listed = true;
	for (size_t i = 0; i < n; i++) {
		const struct tr_pp item = tr_pp_item(p, i);

		tr_pp_text(&item, ret->tcb.advisories[i], sizeof(ret->tcb.advisories[i]) - 1);
	}
	ret->tcb.n_advisories = n;
}

static void read_until(const struct tr_pp *p, int64_t *ret)
{
	tr_auto(tr_buf_done) struct tr_buf whole = TR_BUF_INIT;
	struct tr_view v;
	int64_t ms;

	if (!tr_json_str(p->node, &v)) {
		tr_pp_fail(p, "must be a date such as 2027-01-31, or an RFC 3339 time");
		return;
	}
	tr_buf_addv(&whole, v);
	if (v.n == 10)
		tr_buf_adds(&whole, "T00:00:00Z");
	if (!tr_rfc3339_get(tr_buf_view(&whole), &ms) || ms < 1000)
		tr_pp_fail(p, "must be a date such as 2027-01-31, or an RFC 3339 time");
	else
		*ret = ms / 1000;
}

static void read_tcb(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	uint64_t days = UINT64_MAX;
	struct tr_pp m;

	if (!tr_pp_object(p, "accept advisories min_evaluation_number grace_days out_of_date_until"))
		return;
	tr_pp_uint(p, "min_evaluation_number", 0, UINT32_MAX, &ret->tcb.min_evaluation_number);
	tr_pp_uint(p, "grace_days", 0, 3650, &days);
	if (days != UINT64_MAX)
		ret->tcb.grace_s = (int64_t)days * 86400;
	if (tr_pp_member(p, "out_of_date_until", &m))
		read_until(&m, &ret->tcb.until);
	if (tr_pp_member(p, "accept", &m))
		read_accept(&m, days != UINT64_MAX || ret->tcb.until, ret);
	if (tr_pp_member(p, "advisories", &m))
		read_advisories(&m, ret);
}

static bool read_max_age(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	static const struct { const char *name; enum tr_bundle_item items[2]; } rows[] = {
		{ "tcb_info", { TR_BI_TCB_INFO, TR_BI_TCB_INFO } },
		{ "qe_identity", { TR_BI_QE_IDENTITY, TR_BI_QE_IDENTITY } },
		{ "pck_crl", { TR_BI_PCK_CRL_PLATFORM, TR_BI_PCK_CRL_PROCESSOR } },
		{ "root_crl", { TR_BI_ROOT_CRL, TR_BI_ROOT_CRL } },
		{ "amd_crl", { TR_BI_AMD_CRL, TR_BI_AMD_CRL } },
	};

	if (!tr_pp_object(p, "tcb_info qe_identity pck_crl root_crl amd_crl"))
		return false;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		uint64_t days = 0;

		tr_pp_uint(p, rows[i].name, 1, 3650, &days);
		ret->collateral.max_age_s[rows[i].items[0]] = (int64_t)days * 86400;
		ret->collateral.max_age_s[rows[i].items[1]] = (int64_t)days * 86400;
	}
	return true;
}

static void read_collateral(const struct tr_pp *p, struct tr_tee_policy *ret)
{
	uint64_t grace = 0, skew = 0;
	struct tr_pp m;

	if (!tr_pp_object(p, "grace_days skew_seconds max_age_days"))
		return;
	tr_pp_uint(p, "grace_days", 0, TR_TEE_GRACE_MAX_S / 86400, &grace);
	tr_pp_uint(p, "skew_seconds", 0, 300, &skew);
	ret->collateral.grace_s = (int64_t)grace * 86400;
	ret->collateral.skew_s = (int64_t)skew;
	if (tr_pp_member(p, "max_age_days", &m))
		(void)read_max_age(&m, ret);
}

/* ---- the whole ---- */

static void read_sections(const struct tr_pp *top, struct tr_tee_policy *ret)
{
	static void (*const readers[])(const struct tr_pp *, struct tr_tee_policy *) = {
		[TR_TEE_SGX] = tr_tee_read_sgx, [TR_TEE_TDX] = tr_tee_read_tdx,
		[TR_TEE_SNP] = tr_tee_read_snp, [TR_TEE_TPM] = tr_tee_read_tpm,
	};

	for (unsigned k = TR_TEE_SGX; k < TR_TEE_KIND_N; k++) {
		struct tr_pp m;

		if (tr_pp_member(top, tr_tee_kind_name((enum tr_tee_kind)k), &m))
			readers[k](&m, ret);
	}
}

/* Evidence without anything to compare it with says that there is a TEE, not what runs in it. */
static void check_references(const struct tr_pp *top, const struct tr_tee_policy *p)
{
	for (unsigned k = TR_TEE_SGX; k < TR_TEE_KIND_N && !p->measurements_any; k++) {
		bool has = k == TR_TEE_TPM && p->tpm.n_pcrs;

		for (size_t i = 0; i < p->n_images; i++)
			has = has || p->images[i].kind == (enum tr_tee_kind)k;
		if (p->kinds[k] && !has)
			tr_pp_fail(top, "%s evidence is accepted without reference values: give %s.images, or say \"measurements: "
				   "any\"", tr_tee_kind_name((enum tr_tee_kind)k), tr_tee_kind_name((enum tr_tee_kind)k));
	}
	if (p->kinds[TR_TEE_TPM] && p->scheme != TR_RD_TROTH && p->scheme != TR_RD_NONE)
		tr_pp_fail(top, "a TPM's quote needs report_data: troth, which binds challenge and key");
}

static void read_all(const struct tr_pp *top, struct tr_tee_policy *ret)
{
	uint64_t minutes = TR_TEE_LIFETIME_MAX_S / 60;
	int any = -1, tier = 0;
	struct tr_pp m;

	if (!tr_pp_object(top, "name description agent_types evidence roots report_data lifetime_minutes measurements min_tier tcb "
			       "collateral sgx tdx snp tpm"))
		return;
	if (tr_pp_need(top, "name", &m)) {
		tr_pp_text(&m, ret->name, sizeof(ret->name) - 1);
		if (!m.run->failed && !tr_ident_ok(tr_view_str(ret->name)))
			tr_pp_fail(&m, "must be a plain name (letters, digits, '.', '_', '-')");
	}
	if (tr_pp_member(top, "description", &m))
		tr_pp_text(&m, ret->description, sizeof(ret->description) - 1);
	if (tr_pp_need(top, "agent_types", &m))
		read_types(&m, ret);
	if (tr_pp_need(top, "evidence", &m))
		read_kinds(&m, ret);
	if (tr_pp_need(top, "roots", &m))
		read_roots(&m, ret);
	read_scheme(top, ret);
	tr_pp_uint(top, "lifetime_minutes", 1, TR_TEE_LIFETIME_MAX_S / 60, &minutes);
	ret->lifetime_s = (unsigned)minutes * 60;
	tr_pp_choice(top, "measurements", "any", &any);
	ret->measurements_any = any == 0;
	tr_pp_choice(top, "min_tier", "none self-asserted kernel hardware", &tier);
	ret->min_tier = (enum tr_tier)tier;
	if (tr_pp_member(top, "tcb", &m))
		read_tcb(&m, ret);
	if (tr_pp_member(top, "collateral", &m))
		read_collateral(&m, ret);
	read_sections(top, ret);
	check_references(top, ret);
}

static TR_RC parse(struct tr_view text, bool tools, struct tr_tee_policy **ret, struct tr_err *err)
{
	tr_auto(tr_tee_policy_free) struct tr_tee_policy *p = NULL;
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	struct tr_pp_run run = { .err = err, .tools = tools };
	struct tr_pp top = { .run = &run };
	enum tr_code rc;

	if (text.n > TR_TEE_POLICY_MAX)
		return tr_err_set(err, TR_E_INVALID, "the attestation policy is too long", "%zu bytes; at most %d", text.n,
				  TR_TEE_POLICY_MAX);
	rc = tr_yaml_parse(text, &j, err);
	if (rc)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "policy: out of memory");
	p->tcb.accept[TR_TCB_UP_TO_DATE] = true;
	p->tcb.grace_s = -1;
	p->snp.vmpl[0] = true;
	p->tpm.bank = TR_HASH_SHA256;
	p->tpm.ak[TR_AK_CERTIFICATE] = p->tpm.ak[TR_AK_ACTIVATED] = p->tpm.ak[TR_AK_HCL] = true;
	top.node = tr_json_root(j);
	read_all(&top, p);
	if (run.failed)
		return err->code;
	tr_sha256(text, p->sha256);
	*ret = TR_TAKE(p);
	return TR_OK;
}

TR_RC tr_tee_policy_parse(struct tr_view text, struct tr_tee_policy **ret, struct tr_err *err)
{
	return parse(text, false, ret, err);
}

TR_RC tr_tee_policy_default(struct tr_tee_policy **ret, struct tr_err *err)
{
	static const char text[] =
		"{\"name\":\"default\",\"agent_types\":[\"*\"],\"evidence\":[\"sgx\",\"tdx\",\"snp\",\"tpm\"],"
		"\"roots\":[\"intel\",\"amd\",\"tpm\"],\"report_data\":\"none\",\"measurements\":\"any\"}";

	return parse(TR_VIEW_LIT(text), true, ret, err);
}

TR_RC tr_tee_policy_parse_tools(struct tr_view text, struct tr_tee_policy **ret, struct tr_err *err)
{
	return parse(text, true, ret, err);
}

struct tr_tee_policy *tr_tee_policy_free(struct tr_tee_policy *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_images; i++)
		free(p->images[i].pcrs);
	free(p->images);
	free(p);
	return NULL;
}

const char *tr_tee_policy_name(const struct tr_tee_policy *p)
{
	return p->name;
}

bool tr_tee_policy_for(const struct tr_tee_policy *p, struct tr_view agent_type)
{
	if (p->any_type)
		return true;
	for (size_t i = 0; i < p->n_types; i++)
		if (tr_view_is(agent_type, p->types[i]))
			return true;
	return false;
}

unsigned tr_tee_policy_kinds(const struct tr_tee_policy *p)
{
	unsigned kinds = 0;

	for (unsigned k = 0; k < TR_TEE_KIND_N; k++)
		kinds |= p->kinds[k] ? 1u << k : 0;
	return kinds;
}

void tr_tee_policy_types(const struct tr_tee_policy *p, struct tr_buf *ret)
{
	if (p->any_type)
		tr_buf_adds(ret, "*");
	for (size_t i = 0; i < p->n_types; i++)
		tr_buf_addf(ret, "%s%s", i || p->any_type ? "," : "", p->types[i]);
}

enum tr_rd_scheme tr_tee_policy_scheme(const struct tr_tee_policy *p)
{
	return p->scheme;
}

unsigned tr_tee_policy_lifetime_s(const struct tr_tee_policy *p)
{
	return p->lifetime_s;
}
