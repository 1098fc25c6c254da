/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info and QE identity: from text to tables. Members that nobody here knows are passed over, as formats grow; those that
 * a rule needs must be there, of their type and of exactly their length. */
#include "codec/text.h"
#include "evidence/tcb_inner.h"

static bool hex_of(const struct tr_jval *v, uint8_t *ret, size_t n)
{
	return v->raw.n == 2 * n && tr_hex_get(v->raw, ret, n);
}

/* {"<outer>": {…}, "signature": "<hex>"}: the inner object's own bytes are what is signed. */
static TR_RC read_envelope(struct tr_view text, const char *outer, struct tr_jval *ret_inner,
			   struct tr_signed_json *ret, struct tr_err *err)
{
	struct tr_jval root, sig;
	const struct tr_tcb_want wants[] = {
		{ outer, TR_JTOK_OBJECT, ret_inner, false },
		{ "signature", TR_JTOK_STRING, &sig, false },
	};
	enum tr_code rc = tr_jscan(text, &root, err);

	if (rc)
		return rc;
	if (root.type != TR_JTOK_OBJECT)
		return tr_tcb_malformed(err, "no object");
	rc = tr_tcb_pick(&root, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!hex_of(&sig, ret->sig, sizeof(ret->sig)))
		return tr_tcb_malformed(err, "signature is not 128 hex digits");
	ret->bytes = ret_inner->raw;
	return TR_OK;
}

struct common {
	struct tr_jval id, version, issued, next, number, levels;
};

static TR_RC read_common(const struct common *c, struct tr_signed_json *ret, struct tr_err *err)
{
	if (!tr_tcb_uint(&c->version, 1000, &ret->version))
		return tr_tcb_malformed(err, "version");
	if (!tr_tcb_uint(&c->number, INT64_MAX, &ret->evaluation_number))
		return tr_tcb_malformed(err, "tcbEvaluationDataNumber");
	if (!tr_tcb_time(&c->issued, &ret->issued))
		return tr_tcb_malformed(err, "issueDate is no time of the form 2025-05-10T00:45:00Z");
	if (!tr_tcb_time(&c->next, &ret->next))
		return tr_tcb_malformed(err, "nextUpdate is no time of the form 2025-05-10T00:45:00Z");
	if (c->id.raw.n >= sizeof(ret->id))
		return tr_tcb_malformed(err, "id");
	memset(ret->id, 0, sizeof(ret->id));
	if (c->id.type == TR_JTOK_STRING)
		memcpy(ret->id, c->id.raw.p, c->id.raw.n);
	return TR_OK;
}

/* ---- modules ---- */

static TR_RC read_module(const struct tr_jval *v, struct tr_tdx_module *ret, struct tr_err *err)
{
	struct tr_jval mrsigner, attributes, mask;
	const struct tr_tcb_want wants[] = {
		{ "mrsigner", TR_JTOK_STRING, &mrsigner, false },
		{ "attributes", TR_JTOK_STRING, &attributes, false },
		{ "attributesMask", TR_JTOK_STRING, &mask, false },
	};
	enum tr_code rc = tr_tcb_pick(v, wants, TR_ARRAY_LEN(wants), err);

	if (rc)
		return rc;
	if (!hex_of(&mrsigner, ret->mrsigner, 48) || !hex_of(&attributes, ret->attributes, 8) ||
	    !hex_of(&mask, ret->attributes_mask, 8))
		return tr_tcb_malformed(err, "a TDX module's values are not hex of their length");
	return TR_OK;
}

static TR_RC read_module_identity(const struct tr_jval *v, struct tr_tcb_info *t, struct tr_err *err)
{
	struct tr_jval id, levels;
	const struct tr_tcb_want wants[] = {
		{ "id", TR_JTOK_STRING, &id, false },
		{ "tcbLevels", TR_JTOK_ARRAY, &levels, false },
	};
	struct tr_tdx_module *m = &t->modules[t->n_modules];
	size_t first = t->n_svn;
	enum tr_code rc;

	if (v->type != TR_JTOK_OBJECT)
		return tr_tcb_malformed(err, "a TDX module's identity is no object");
	rc = tr_tcb_pick(v, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	/* "TDX_" and two hex digits of the module's major version. Another name speaks of something else. */
	if (id.raw.n != 6 || !tr_view_starts(id.raw, "TDX_") || !tr_hex_get(tr_view(id.raw.p + 4, 2), &m->version, 1))
		return TR_OK;
	if (m->version == 0 || tr_tdx_module_of(t, m->version))
		return tr_tcb_malformed(err, "two identities for one TDX module");
	rc = read_module(v, m, err);
	if (!rc)
		rc = tr_tcb_svn_levels(&levels, t->svn, &t->n_svn, err);
	if (rc)
		return rc;
	m->levels = t->svn + first;
	m->n_levels = t->n_svn - first;
	t->n_modules++;
	return TR_OK;
}

static TR_RC read_module_identities(const struct tr_jval *array, struct tr_tcb_info *t, struct tr_err *err)
{
	struct tr_jval v;
	size_t at = 0;

	while (tr_jitem(array, &at, &v)) {
		enum tr_code rc;

		if (t->n_modules == TR_TCB_MODULES_MAX)
			return tr_tcb_malformed(err, "too many TDX modules");
		rc = read_module_identity(&v, t, err);
		if (rc)
			return rc;
	}
	return TR_OK;
}

/* ---- documents ---- */

TR_RC tr_tcb_info_parse(struct tr_view text, struct tr_tcb_info *ret, struct tr_err *err)
{
	struct tr_jval inner = { .type = TR_JTOK_NONE }, fmspc, pceid, type, module, identities;
	struct common c;
	const struct tr_tcb_want wants[] = {
		{ "id", TR_JTOK_STRING, &c.id, true },
		{ "version", TR_JTOK_INT, &c.version, false },
		{ "issueDate", TR_JTOK_STRING, &c.issued, false },
		{ "nextUpdate", TR_JTOK_STRING, &c.next, false },
		{ "tcbEvaluationDataNumber", TR_JTOK_INT, &c.number, false },
		{ "tcbLevels", TR_JTOK_ARRAY, &c.levels, false },
		{ "fmspc", TR_JTOK_STRING, &fmspc, false },
		{ "pceId", TR_JTOK_STRING, &pceid, false },
		{ "tcbType", TR_JTOK_INT, &type, false },
		{ "tdxModule", TR_JTOK_OBJECT, &module, true },
		{ "tdxModuleIdentities", TR_JTOK_ARRAY, &identities, true },
	};
	enum tr_code rc;

	ret->n_modules = ret->n_levels = ret->n_svn = 0;
	ret->tdx = false;
	ret->module = (struct tr_tdx_module){ .version = 0 };
	rc = read_envelope(text, "tcbInfo", &inner, &ret->doc, err);
	if (!rc)
		rc = tr_tcb_pick(&inner, wants, TR_ARRAY_LEN(wants), err);
	if (!rc)
		rc = read_common(&c, &ret->doc, err);
	if (rc)
		return rc;
	if (ret->doc.version != 2 && ret->doc.version != 3)
		return tr_tcb_malformed(err, "TCB info of another version than 2 and 3");
	/* Version 2 is SGX's and does not say so. */
	if (ret->doc.version == 3 && !ret->doc.id[0])
		return tr_tcb_malformed(err, "id is missing");
	if (!hex_of(&fmspc, ret->fmspc, 6) || !hex_of(&pceid, ret->pceid, 2))
		return tr_tcb_malformed(err, "fmspc or pceId is not hex of its length");
	if (!tr_tcb_uint(&type, INT64_MAX, &ret->tcb_type))
		return tr_tcb_malformed(err, "tcbType");
	ret->tdx = ret->doc.version == 3 && !strcmp(ret->doc.id, "TDX");
	if (ret->tdx) {
		if (module.type != TR_JTOK_OBJECT)
			return tr_tcb_malformed(err, "tdxModule is missing");
		rc = read_module(&module, &ret->module, err);
		if (!rc && identities.type == TR_JTOK_ARRAY)
			rc = read_module_identities(&identities, ret, err);
	}
	return rc ? rc : tr_tcb_levels(&c.levels, ret, err);
}

TR_RC tr_qe_identity_parse(struct tr_view text, struct tr_qe_identity *ret, struct tr_err *err)
{
	struct tr_jval inner = { .type = TR_JTOK_NONE }, misc, misc_mask, attributes, mask, mrsigner, prodid;
	struct common c;
	const struct tr_tcb_want wants[] = {
		{ "id", TR_JTOK_STRING, &c.id, false },
		{ "version", TR_JTOK_INT, &c.version, false },
		{ "issueDate", TR_JTOK_STRING, &c.issued, false },
		{ "nextUpdate", TR_JTOK_STRING, &c.next, false },
		{ "tcbEvaluationDataNumber", TR_JTOK_INT, &c.number, false },
		{ "tcbLevels", TR_JTOK_ARRAY, &c.levels, false },
		{ "miscselect", TR_JTOK_STRING, &misc, false },
		{ "miscselectMask", TR_JTOK_STRING, &misc_mask, false },
		{ "attributes", TR_JTOK_STRING, &attributes, false },
		{ "attributesMask", TR_JTOK_STRING, &mask, false },
		{ "mrsigner", TR_JTOK_STRING, &mrsigner, false },
		{ "isvprodid", TR_JTOK_INT, &prodid, false },
	};
	enum tr_code rc;
	uint64_t n;

	ret->n_levels = 0;
	rc = read_envelope(text, "enclaveIdentity", &inner, &ret->doc, err);
	if (!rc)
		rc = tr_tcb_pick(&inner, wants, TR_ARRAY_LEN(wants), err);
	if (!rc)
		rc = read_common(&c, &ret->doc, err);
	if (rc)
		return rc;
	if (ret->doc.version != 2)
		return tr_tcb_malformed(err, "QE identity of another version than 2");
	if (!hex_of(&misc, ret->miscselect, 4) || !hex_of(&misc_mask, ret->miscselect_mask, 4) ||
	    !hex_of(&attributes, ret->attributes, 16) || !hex_of(&mask, ret->attributes_mask, 16) ||
	    !hex_of(&mrsigner, ret->mrsigner, 32))
		return tr_tcb_malformed(err, "a value of the QE identity is not hex of its length");
	if (!tr_tcb_uint(&prodid, UINT16_MAX, &n))
		return tr_tcb_malformed(err, "isvprodid");
	ret->isvprodid = (uint16_t)n;
	rc = tr_tcb_svn_levels(&c.levels, ret->levels, &ret->n_levels, err);
	return rc || ret->n_levels ? rc : tr_tcb_malformed(err, "no TCB levels");
}
