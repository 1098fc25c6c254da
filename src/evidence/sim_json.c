/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info and QE identity of the simulated vendor: compact JSON, signed as it is written. */
#include "codec/text.h"
#include "crypto/hash.h"
#include "evidence/sim_inner.h"

#define DATE_CURRENT "2025-08-13T00:00:00Z"
#define DATE_OLD "2024-03-13T00:00:00Z"
#define ADVISORY_OLD "TROTH-SIM-SA-00001"

void tr_sim_qe_mrsigner(bool td, uint8_t out[32])
{
	tr_sha256(tr_view_str(td ? SIM_ORGANISATION " TD QE" : SIM_ORGANISATION " QE"), out);
}

uint16_t tr_sim_qe_svn(bool td)
{
	return td ? 4 : 8;
}

static const char *status_text(enum tr_tcb_status s)
{
	/* What no verifier knows has to be a word that no verifier knows. */
	return s == TR_TCB_UNRECOGNISED ? "Splendid" : tr_tcb_status_name(s == TR_TCB_NONE ? TR_TCB_UP_TO_DATE : s);
}

static void put_date(struct tr_buf *b, const char *name, int64_t unix_s)
{
	tr_auto(tr_buf_done) struct tr_buf t = TR_BUF_INIT;

	/* Whole seconds: the vendor's dates have no fraction. */
	tr_rfc3339_add(&t, unix_s * 1000);
	tr_buf_addf(b, ",\"%s\":\"%.19sZ\"", name, tr_buf_cstr(&t));
}

static void put_hex(struct tr_buf *b, const char *name, struct tr_view v)
{
	tr_buf_addf(b, ",\"%s\":\"", name);
	tr_hex_add(b, v);
	tr_buf_adds(b, "\"");
}

/* tcbDate, tcbStatus, advisoryIDs and the level's end. */
static void put_status(struct tr_buf *b, enum tr_tcb_status s, const char *advisory)
{
	bool current = s == TR_TCB_NONE || s == TR_TCB_UP_TO_DATE;

	tr_buf_addf(b, ",\"tcbDate\":\"%s\",\"tcbStatus\":\"%s\"", current ? DATE_CURRENT : DATE_OLD, status_text(s));
	if (advisory)
		tr_buf_addf(b, ",\"advisoryIDs\":[\"%s\"]", advisory);
	tr_buf_adds(b, "}");
}

/* Levels by one number: such that `svn` comes out with that status. */
static void put_svn_levels(struct tr_buf *b, unsigned svn, enum tr_tcb_status want)
{
	bool current = want == TR_TCB_NONE || want == TR_TCB_UP_TO_DATE;

	tr_buf_addf(b, ",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%u}", current ? svn : svn + 1);
	put_status(b, TR_TCB_UP_TO_DATE, NULL);
	if (!current && want != TR_TCB_NOT_SUPPORTED) {
		tr_buf_addf(b, ",{\"tcb\":{\"isvsvn\":%u}", svn);
		put_status(b, want, ADVISORY_OLD);
	} else if (current && svn > 0) {
		tr_buf_addf(b, ",{\"tcb\":{\"isvsvn\":%u}", svn - 1);
		put_status(b, TR_TCB_OUT_OF_DATE, ADVISORY_OLD);
	}
	tr_buf_adds(b, "]");
}

static void put_components(struct tr_buf *b, const char *name, const uint8_t svn[16])
{
	tr_buf_addf(b, "\"%s\":[", name);
	for (size_t i = 0; i < 16; i++)
		tr_buf_addf(b, "%s{\"svn\":%u}", i ? "," : "", svn[i]);
	tr_buf_adds(b, "]");
}

static void put_level(struct tr_buf *b, const struct tr_sim_level *l, unsigned version, bool td)
{
	tr_buf_adds(b, "{\"tcb\":{");
	if (version == 2) {
		for (unsigned i = 0; i < 16; i++)
			tr_buf_addf(b, "\"sgxtcbcomp%02usvn\":%u,", i + 1, l->sgx[i]);
		tr_buf_addf(b, "\"pcesvn\":%u}", l->pcesvn);
	} else {
		put_components(b, "sgxtcbcomponents", l->sgx);
		tr_buf_addf(b, ",\"pcesvn\":%u", l->pcesvn);
		if (td) {
			tr_buf_adds(b, ",");
			put_components(b, "tdxtcbcomponents", l->tdx);
		}
		tr_buf_adds(b, "}");
	}
	put_status(b, l->status, l->advisory);
}

static void put_module(struct tr_buf *b, unsigned version, unsigned svn, enum tr_tcb_status status)
{
	tr_buf_addf(b, "{\"id\":\"TDX_%02X\"", version);
	put_hex(b, "mrsigner", TR_VIEW_ARRAY(((uint8_t[48]){ 0 })));
	put_hex(b, "attributes", TR_VIEW_ARRAY(((uint8_t[8]){ 0 })));
	put_hex(b, "attributesMask", TR_VIEW_LIT("\xff\xff\xff\xff\xff\xff\xff\xff"));
	put_svn_levels(b, svn, status);
	tr_buf_adds(b, "}");
}

static void put_modules(struct tr_buf *b, const struct tr_sim_spec *spec)
{
	const uint8_t *v = spec->tee_tcb_svn, *v2 = spec->tee_tcb_svn_2;
	unsigned version = spec->fault == TR_SIMF_MODULE_UNKNOWN ? v[1] + 1u : v[1];

	tr_buf_adds(b, ",\"tdxModule\":{\"mrsigner\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(((uint8_t[48]){ 0 })));
	tr_buf_adds(b, "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"}");
	if (v[1] == 0)
		return;
	tr_buf_adds(b, ",\"tdxModuleIdentities\":[");
	put_module(b, version, v[0], spec->module_status);
	/* Where the platform already runs another major version than the TD was built with. */
	if (spec->body == TR_BODY_TD15 && v2[1] != 0 && v2[1] != v[1]) {
		tr_buf_adds(b, ",");
		put_module(b, v2[1], v2[0], TR_TCB_UP_TO_DATE);
	}
	tr_buf_adds(b, "]");
}

/* {"name":text,"signature":hex}; text is in b and becomes the whole. */
static TR_RC seal(struct tr_buf *b, const char *name, const struct tr_raw_priv *by, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf sig = TR_BUF_INIT;
	struct tr_view text = tr_buf_view(b);
	enum tr_code rc = tr_buf_check(b, err);

	if (!rc)
		rc = tr_raw_sign_ecdsa(by, TR_HASH_SHA256, &text, 1, &sig, err);
	if (rc)
		return rc;
	tr_buf_addf(ret, "{\"%s\":", name);
	tr_buf_addv(ret, text);
	tr_buf_adds(ret, ",\"signature\":\"");
	tr_hex_add(ret, tr_buf_view(&sig));
	tr_buf_adds(ret, "\"}");
	return tr_buf_check(ret, err);
}

/* The one level that fits the platform, as the fault wants it. */
static struct tr_sim_level own_level(const struct tr_sim_spec *spec)
{
	struct tr_sim_level l = { .pcesvn = spec->pcesvn, .status = TR_TCB_UP_TO_DATE };

	memcpy(l.sgx, spec->comp, 16);
	memcpy(l.tdx, spec->tee_tcb_svn, 16);
	if (l.tdx[1] > 0)
		l.tdx[1] = 0; /* the module's identity decides about these two */
	if (spec->fault == TR_SIMF_TCB_REVOKED)
		l.status = TR_TCB_REVOKED;
	else if (spec->fault == TR_SIMF_TCB_UNRECOGNISED)
		l.status = TR_TCB_UNRECOGNISED;
	else if (spec->fault == TR_SIMF_TCB_NOT_SUPPORTED)
		l.sgx[15]++;
	return l;
}

TR_RC tr_sim_tcb_info(const struct tr_sim_spec *spec, const struct tr_raw_priv *by, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool td = (spec->kind == TR_TEE_TDX) != (spec->fault == TR_SIMF_TCB_OTHER_TEE);
	unsigned version = spec->tcb_info_version ? spec->tcb_info_version : 3;
	struct tr_sim_level own = own_level(spec);
	const struct tr_sim_level *levels = spec->n_levels ? spec->levels : &own;
	size_t n = spec->n_levels ? spec->n_levels : 1, at;
	int64_t issued = spec->fault == TR_SIMF_TCB_FUTURE ? TR_SIM_TIME + SIM_DAY : spec->issued;
	int64_t next = spec->fault == TR_SIMF_TCB_EXPIRED ? TR_SIM_TIME - SIM_DAY : spec->next_update;
	enum tr_code rc;

	if (version != 3 && (version != 2 || td))
		return tr_err_set(err, TR_E_INVALID, "no such TCB info", "version %u, td %d", version, td);
	tr_buf_adds(&b, version == 2 ? "{\"version\":2" : td ? "{\"id\":\"TDX\",\"version\":3" : "{\"id\":\"SGX\",\"version\":3");
	put_date(&b, "issueDate", issued);
	put_date(&b, "nextUpdate", next);
	put_hex(&b, "fmspc", spec->fault == TR_SIMF_TCB_OTHER_FMSPC ? TR_VIEW_LIT("\x54\x72\x53\x69\x6d\x02") :
								       TR_VIEW_LIT(TR_SIM_FMSPC));
	tr_buf_addf(&b, ",\"pceId\":\"%s\",\"tcbType\":0,\"tcbEvaluationDataNumber\":%llu",
		    spec->fault == TR_SIMF_TCB_OTHER_PCEID ? "0001" : "0000", (unsigned long long)spec->evaluation_number);
	at = b.n;
	if (td)
		put_modules(&b, spec);
	tr_buf_adds(&b, ",\"tcbLevels\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			tr_buf_adds(&b, ",");
		put_level(&b, &levels[i], version, td);
	}
	tr_buf_adds(&b, "]}");
	rc = seal(&b, "tcbInfo", by, ret, err);
	/* The digit before `at` is the evaluation number's last: 17 becomes 16. */
	if (!rc && spec->fault == TR_SIMF_TCB_CHANGED)
		ret->p[strlen("{\"tcbInfo\":") + at - 1] ^= 1;
	return rc;
}

TR_RC tr_sim_qe_identity(const struct tr_sim_spec *spec, const struct tr_raw_priv *by, struct tr_buf *ret,
			 struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	bool td = (spec->kind == TR_TEE_TDX) != (spec->fault == TR_SIMF_QEID_OTHER_TEE);
	uint8_t mrsigner[32];

	tr_sim_qe_mrsigner(td, mrsigner);
	tr_buf_addf(&b, "{\"id\":\"%s\",\"version\":2", td ? "TD_QE" : "QE");
	put_date(&b, "issueDate", spec->issued);
	put_date(&b, "nextUpdate", spec->fault == TR_SIMF_QEID_EXPIRED ? TR_SIM_TIME - SIM_DAY : spec->next_update);
	tr_buf_addf(&b, ",\"tcbEvaluationDataNumber\":%llu,\"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\"",
		    (unsigned long long)spec->evaluation_number);
	/* INIT and PROVISION_KEY set, DEBUG clear; MODE64BIT and XFRM may vary. */
	tr_buf_adds(&b, ",\"attributes\":\"11000000000000000000000000000000\","
			"\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\"");
	put_hex(&b, "mrsigner", TR_VIEW_ARRAY(mrsigner));
	tr_buf_addf(&b, ",\"isvprodid\":%d", td ? 2 : 1);
	put_svn_levels(&b, tr_sim_qe_svn(td), spec->qe_status);
	tr_buf_adds(&b, "}");
	return seal(&b, "enclaveIdentity", by, ret, err);
}
