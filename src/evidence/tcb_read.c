/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info and QE identity: from text to tables. Members that nobody here knows are passed over, as formats grow; those that
 * a rule needs must be there, of their type and of exactly their length. */
#include "codec/text.h"
#include "evidence/tcb.h"

#define PUB "the collateral document is not what its maker serves"

/* One member that an object has; all of them are picked in one walk. */
struct want {
	const char *name;
	enum tr_jtok type;
	struct tr_jval *ret;
	bool optional;
};

static TR_RC malformed(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, PUB, "%s", what);
}

static TR_RC pick(const struct tr_jval *object, const struct want *wants, size_t n, struct tr_err *err)
{
	struct tr_view key;
	struct tr_jval v;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		*wants[i].ret = (struct tr_jval){ .type = TR_JTOK_NONE };
	while (tr_jnext(object, &at, &key, &v)) {
		for (size_t i = 0; i < n; i++) {
			if (tr_view_is(key, wants[i].name)) {
				*wants[i].ret = v;
				break;
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (wants[i].ret->type == wants[i].type)
			continue;
		if (wants[i].optional && wants[i].ret->type == TR_JTOK_NONE)
			continue;
		return tr_err_set(err, TR_E_INVALID, PUB, "%s is %s", wants[i].name,
				  wants[i].ret->type == TR_JTOK_NONE ? "missing" : "of another type");
	}
	return TR_OK;
}

static bool uint_of(const struct tr_jval *v, uint64_t max, uint64_t *ret)
{
	if (v->type != TR_JTOK_INT || v->number < 0 || (uint64_t)v->number > max)
		return false;
	*ret = (uint64_t)v->number;
	return true;
}

/* "2025-05-10T00:45:00Z" and nothing else. */
static bool time_of(const struct tr_jval *v, int64_t *ret)
{
	int64_t ms;

	if (v->raw.n != 20 || v->raw.p[19] != 'Z' || v->raw.p[10] != 'T' || v->raw.p[17] > '5' ||
	    !tr_rfc3339_get(v->raw, &ms))
		return false;
	*ret = ms / 1000;
	return true;
}

static bool hex_of(const struct tr_jval *v, uint8_t *ret, size_t n)
{
	return v->raw.n == 2 * n && tr_hex_get(v->raw, ret, n);
}

static enum tr_tcb_status status_of(const struct tr_jval *v, bool of_part)
{
	enum tr_tcb_status s;

	if (!tr_tcb_status_of(v->raw, &s) || s > TR_TCB_REVOKED)
		return TR_TCB_UNRECOGNISED;
	/* A module and a quoting enclave are good, old or revoked. */
	if (of_part && s != TR_TCB_UP_TO_DATE && s != TR_TCB_OUT_OF_DATE && s != TR_TCB_REVOKED)
		return TR_TCB_UNRECOGNISED;
	return s;
}

static TR_RC read_advisories(const struct tr_jval *array, struct tr_err *err)
{
	struct tr_jval v;
	size_t at = 0;

	while (tr_jitem(array, &at, &v))
		if (v.type != TR_JTOK_STRING)
			return malformed(err, "advisoryIDs has something that is no text");
	return TR_OK;
}

/* {"<outer>": {…}, "signature": "<hex>"}: the inner object's own bytes are what is signed. */
static TR_RC read_envelope(struct tr_view text, const char *outer, struct tr_jval *ret_inner,
			   struct tr_signed_json *ret, struct tr_err *err)
{
	struct tr_jval root, sig;
	const struct want wants[] = {
		{ outer, TR_JTOK_OBJECT, ret_inner, false },
		{ "signature", TR_JTOK_STRING, &sig, false },
	};
	enum tr_code rc = tr_jscan(text, &root, err);

	if (rc)
		return rc;
	if (root.type != TR_JTOK_OBJECT)
		return malformed(err, "no object");
	rc = pick(&root, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!hex_of(&sig, ret->sig, sizeof(ret->sig)))
		return malformed(err, "signature is not 128 hex digits");
	ret->bytes = ret_inner->raw;
	return TR_OK;
}

struct common {
	struct tr_jval id, version, issued, next, number, levels;
};

static TR_RC read_common(const struct common *c, struct tr_signed_json *ret, struct tr_err *err)
{
	if (!uint_of(&c->version, 1000, &ret->version))
		return malformed(err, "version");
	if (!uint_of(&c->number, INT64_MAX, &ret->evaluation_number))
		return malformed(err, "tcbEvaluationDataNumber");
	if (!time_of(&c->issued, &ret->issued))
		return malformed(err, "issueDate is no time of the form 2025-05-10T00:45:00Z");
	if (!time_of(&c->next, &ret->next))
		return malformed(err, "nextUpdate is no time of the form 2025-05-10T00:45:00Z");
	if (c->id.raw.n >= sizeof(ret->id))
		return malformed(err, "id");
	memset(ret->id, 0, sizeof(ret->id));
	if (c->id.type == TR_JTOK_STRING)
		memcpy(ret->id, c->id.raw.p, c->id.raw.n);
	return TR_OK;
}

/* ---- levels ---- */

static TR_RC read_level(const struct tr_jval *level, struct tr_jval *ret_tcb, enum tr_tcb_status *ret_status,
			int64_t *ret_date, struct tr_jval *ret_advisories, bool of_part, struct tr_err *err)
{
	struct tr_jval date, status;
	const struct want wants[] = {
		{ "tcb", TR_JTOK_OBJECT, ret_tcb, false },
		{ "tcbDate", TR_JTOK_STRING, &date, false },
		{ "tcbStatus", TR_JTOK_STRING, &status, false },
		{ "advisoryIDs", TR_JTOK_ARRAY, ret_advisories, true },
	};
	enum tr_code rc;

	if (level->type != TR_JTOK_OBJECT)
		return malformed(err, "a TCB level is no object");
	rc = pick(level, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!time_of(&date, ret_date))
		return malformed(err, "tcbDate");
	*ret_status = status_of(&status, of_part);
	return ret_advisories->type == TR_JTOK_ARRAY ? read_advisories(ret_advisories, err) : TR_OK;
}

/* Adds the array's levels to out[*n…], highest first. */
static TR_RC read_svn_levels(const struct tr_jval *array, struct tr_svn_level *out, size_t *n, struct tr_err *err)
{
	struct tr_jval v, tcb, svn;
	size_t at = 0, first = *n;

	while (tr_jitem(array, &at, &v)) {
		const struct want want = { "isvsvn", TR_JTOK_INT, &svn, false };
		struct tr_svn_level l;
		enum tr_code rc;
		uint64_t number;
		size_t to;

		if (*n == TR_SVN_LEVELS_MAX)
			return malformed(err, "too many levels");
		rc = read_level(&v, &tcb, &l.status, &l.date, &l.advisories, true, err);
		if (!rc)
			rc = pick(&tcb, &want, 1, err);
		if (rc)
			return rc;
		if (!uint_of(&svn, UINT16_MAX, &number))
			return malformed(err, "isvsvn");
		l.isvsvn = (uint16_t)number;
		for (to = (*n)++; to > first && out[to - 1].isvsvn < l.isvsvn; to--)
			out[to] = out[to - 1];
		out[to] = l;
	}
	return TR_OK;
}

/* [{"svn":n, …} x 16] */
static bool read_components(const struct tr_jval *array, uint8_t ret[16])
{
	struct tr_jval item, svn;
	size_t at = 0, n = 0;

	while (tr_jitem(array, &at, &item)) {
		uint64_t v;

		if (n == 16 || item.type != TR_JTOK_OBJECT || !tr_jget(&item, "svn", &svn) ||
		    !uint_of(&svn, UINT8_MAX, &v))
			return false;
		ret[n++] = (uint8_t)v;
	}
	return n == 16;
}

/* sgxtcbcomp01svn … sgxtcbcomp16svn (version 2) */
static bool read_numbered(const struct tr_jval *tcb, uint8_t ret[16])
{
	struct tr_view key;
	struct tr_jval v;
	size_t at = 0;
	unsigned seen = 0;

	while (tr_jnext(tcb, &at, &key, &v)) {
		unsigned i;
		uint64_t svn;

		if (key.n != 15 || !tr_view_starts(key, "sgxtcbcomp") || memcmp(key.p + 12, "svn", 3) != 0)
			continue;
		if (key.p[10] < '0' || key.p[10] > '1' || key.p[11] < '0' || key.p[11] > '9')
			return false;
		i = (unsigned)(key.p[10] - '0') * 10 + (unsigned)(key.p[11] - '0');
		if (i < 1 || i > 16 || !uint_of(&v, UINT8_MAX, &svn))
			return false;
		ret[i - 1] = (uint8_t)svn;
		seen |= 1u << i;
	}
	return seen == 0x1fffe;
}

static int compare_levels(const struct tr_tcb_level *a, const struct tr_tcb_level *b)
{
	int d = memcmp(a->sgx, b->sgx, sizeof(a->sgx));

	if (!d)
		d = (int)a->pcesvn - (int)b->pcesvn;
	return d ? d : memcmp(a->tdx, b->tdx, sizeof(a->tdx));
}

static TR_RC read_tcb_level(const struct tr_jval *v, const struct tr_tcb_info *t, struct tr_tcb_level *ret,
			    struct tr_err *err)
{
	struct tr_jval tcb, pcesvn, sgx, tdx;
	const struct want wants[] = {
		{ "pcesvn", TR_JTOK_INT, &pcesvn, false },
		{ "sgxtcbcomponents", TR_JTOK_ARRAY, &sgx, t->doc.version == 2 },
		{ "tdxtcbcomponents", TR_JTOK_ARRAY, &tdx, !t->tdx },
	};
	enum tr_code rc;
	uint64_t n;

	*ret = (struct tr_tcb_level){ .pcesvn = 0 };
	rc = read_level(v, &tcb, &ret->status, &ret->date, &ret->advisories, false, err);
	if (!rc)
		rc = pick(&tcb, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!uint_of(&pcesvn, UINT16_MAX, &n))
		return malformed(err, "pcesvn");
	ret->pcesvn = (uint16_t)n;
	if (t->doc.version == 2 ? !read_numbered(&tcb, ret->sgx) : !read_components(&sgx, ret->sgx))
		return malformed(err, "a level has not 16 SGX components of 0 to 255");
	if (t->tdx && !read_components(&tdx, ret->tdx))
		return malformed(err, "a level has not 16 TDX components of 0 to 255");
	return TR_OK;
}

static TR_RC read_tcb_levels(const struct tr_jval *array, struct tr_tcb_info *t, struct tr_err *err)
{
	struct tr_tcb_level l;
	struct tr_jval v;
	size_t at = 0;

	while (tr_jitem(array, &at, &v)) {
		enum tr_code rc;
		size_t to;

		if (t->n_levels == TR_TCB_LEVELS_MAX)
			return malformed(err, "too many TCB levels");
		rc = read_tcb_level(&v, t, &l, err);
		if (rc)
			return rc;
		/* Served in order, but the order is a rule of the match and not of the text. */
		for (to = t->n_levels++; to > 0 && compare_levels(&t->levels[to - 1], &l) < 0; to--)
			t->levels[to] = t->levels[to - 1];
		t->levels[to] = l;
	}
	return t->n_levels ? TR_OK : malformed(err, "no TCB levels");
}

/* ---- modules ---- */

static TR_RC read_module(const struct tr_jval *v, struct tr_tdx_module *ret, struct tr_err *err)
{
	struct tr_jval mrsigner, attributes, mask;
	const struct want wants[] = {
		{ "mrsigner", TR_JTOK_STRING, &mrsigner, false },
		{ "attributes", TR_JTOK_STRING, &attributes, false },
		{ "attributesMask", TR_JTOK_STRING, &mask, false },
	};
	enum tr_code rc = pick(v, wants, TR_ARRAY_LEN(wants), err);

	if (rc)
		return rc;
	if (!hex_of(&mrsigner, ret->mrsigner, 48) || !hex_of(&attributes, ret->attributes, 8) ||
	    !hex_of(&mask, ret->attributes_mask, 8))
		return malformed(err, "a TDX module's values are not hex of their length");
	return TR_OK;
}

static TR_RC read_module_identity(const struct tr_jval *v, struct tr_tcb_info *t, struct tr_err *err)
{
	struct tr_jval id, levels;
	const struct want wants[] = {
		{ "id", TR_JTOK_STRING, &id, false },
		{ "tcbLevels", TR_JTOK_ARRAY, &levels, false },
	};
	struct tr_tdx_module *m = &t->modules[t->n_modules];
	size_t first = t->n_svn;
	enum tr_code rc;

	if (v->type != TR_JTOK_OBJECT)
		return malformed(err, "a TDX module's identity is no object");
	rc = pick(v, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	/* "TDX_" and two hex digits of the module's major version. Another name speaks of something else. */
	if (id.raw.n != 6 || !tr_view_starts(id.raw, "TDX_") || !tr_hex_get(tr_view(id.raw.p + 4, 2), &m->version, 1))
		return TR_OK;
	if (m->version == 0 || tr_tdx_module_of(t, m->version))
		return malformed(err, "two identities for one TDX module");
	rc = read_module(v, m, err);
	if (!rc)
		rc = read_svn_levels(&levels, t->svn, &t->n_svn, err);
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
			return malformed(err, "too many TDX modules");
		rc = read_module_identity(&v, t, err);
		if (rc)
			return rc;
	}
	return TR_OK;
}

/* ---- documents ---- */

TR_RC tr_tcb_info_parse(struct tr_view text, struct tr_tcb_info *ret, struct tr_err *err)
{
	struct tr_jval inner, fmspc, pceid, type, module, identities;
	struct common c;
	const struct want wants[] = {
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
		rc = pick(&inner, wants, TR_ARRAY_LEN(wants), err);
	if (!rc)
		rc = read_common(&c, &ret->doc, err);
	if (rc)
		return rc;
	if (ret->doc.version != 2 && ret->doc.version != 3)
		return malformed(err, "TCB info of another version than 2 and 3");
	/* Version 2 is SGX's and does not say so. */
	if (ret->doc.version == 3 && !ret->doc.id[0])
		return malformed(err, "id is missing");
	if (!hex_of(&fmspc, ret->fmspc, 6) || !hex_of(&pceid, ret->pceid, 2))
		return malformed(err, "fmspc or pceId is not hex of its length");
	if (!uint_of(&type, INT64_MAX, &ret->tcb_type))
		return malformed(err, "tcbType");
	ret->tdx = ret->doc.version == 3 && !strcmp(ret->doc.id, "TDX");
	if (ret->tdx) {
		if (module.type != TR_JTOK_OBJECT)
			return malformed(err, "tdxModule is missing");
		rc = read_module(&module, &ret->module, err);
		if (!rc && identities.type == TR_JTOK_ARRAY)
			rc = read_module_identities(&identities, ret, err);
	}
	return rc ? rc : read_tcb_levels(&c.levels, ret, err);
}

TR_RC tr_qe_identity_parse(struct tr_view text, struct tr_qe_identity *ret, struct tr_err *err)
{
	struct tr_jval inner, misc, misc_mask, attributes, mask, mrsigner, prodid;
	struct common c;
	const struct want wants[] = {
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
		rc = pick(&inner, wants, TR_ARRAY_LEN(wants), err);
	if (!rc)
		rc = read_common(&c, &ret->doc, err);
	if (rc)
		return rc;
	if (ret->doc.version != 2)
		return malformed(err, "QE identity of another version than 2");
	if (!hex_of(&misc, ret->miscselect, 4) || !hex_of(&misc_mask, ret->miscselect_mask, 4) ||
	    !hex_of(&attributes, ret->attributes, 16) || !hex_of(&mask, ret->attributes_mask, 16) ||
	    !hex_of(&mrsigner, ret->mrsigner, 32))
		return malformed(err, "a value of the QE identity is not hex of its length");
	if (!uint_of(&prodid, UINT16_MAX, &n))
		return malformed(err, "isvprodid");
	ret->isvprodid = (uint16_t)n;
	rc = read_svn_levels(&c.levels, ret->levels, &ret->n_levels, err);
	return rc || ret->n_levels ? rc : malformed(err, "no TCB levels");
}
