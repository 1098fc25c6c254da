/* SPDX-License-Identifier: Apache-2.0 */
/* TCB levels of collateral: of platforms, and by one number of TDX modules and quoting enclaves. Also what picks members and
 * reads their values. */
#include "codec/text.h"
#include "evidence/tcb_inner.h"

enum tr_code tr_tcb_malformed(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, TR_TCB_PUB, "%s", what);
}

TR_RC tr_tcb_pick(const struct tr_jval *object, const struct tr_tcb_want *wants, size_t n, struct tr_err *err)
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
		return tr_err_set(err, TR_E_INVALID, TR_TCB_PUB, "%s is %s", wants[i].name,
				  wants[i].ret->type == TR_JTOK_NONE ? "missing" : "of another type");
	}
	return TR_OK;
}

bool tr_tcb_uint(const struct tr_jval *v, uint64_t max, uint64_t *ret)
{
	if (v->type != TR_JTOK_INT || v->number < 0 || (uint64_t)v->number > max)
		return false;
	*ret = (uint64_t)v->number;
	return true;
}

bool tr_tcb_time(const struct tr_jval *v, int64_t *ret)
{
	int64_t ms;

	if (v->raw.n != 20 || v->raw.p[19] != 'Z' || v->raw.p[10] != 'T' || v->raw.p[17] > '5' ||
	    !tr_rfc3339_get(v->raw, &ms))
		return false;
	*ret = ms / 1000;
	return true;
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
			return tr_tcb_malformed(err, "advisoryIDs has something that is no text");
	return TR_OK;
}

static TR_RC read_level(const struct tr_jval *level, struct tr_jval *ret_tcb, enum tr_tcb_status *ret_status,
			int64_t *ret_date, struct tr_jval *ret_advisories, bool of_part, struct tr_err *err)
{
	struct tr_jval date, status;
	const struct tr_tcb_want wants[] = {
		{ "tcb", TR_JTOK_OBJECT, ret_tcb, false },
		{ "tcbDate", TR_JTOK_STRING, &date, false },
		{ "tcbStatus", TR_JTOK_STRING, &status, false },
		{ "advisoryIDs", TR_JTOK_ARRAY, ret_advisories, true },
	};
	enum tr_code rc;

	if (level->type != TR_JTOK_OBJECT)
		return tr_tcb_malformed(err, "a TCB level is no object");
	rc = tr_tcb_pick(level, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!tr_tcb_time(&date, ret_date))
		return tr_tcb_malformed(err, "tcbDate");
	*ret_status = status_of(&status, of_part);
	return ret_advisories->type == TR_JTOK_ARRAY ? read_advisories(ret_advisories, err) : TR_OK;
}

TR_RC tr_tcb_svn_levels(const struct tr_jval *array, struct tr_svn_level *out, size_t *n, struct tr_err *err)
{
	struct tr_jval v, tcb = { .type = TR_JTOK_NONE }, svn;
	size_t at = 0, first = *n;

	while (tr_jitem(array, &at, &v)) {
		const struct tr_tcb_want want = { "isvsvn", TR_JTOK_INT, &svn, false };
		struct tr_svn_level l = { .isvsvn = 0 };
		enum tr_code rc;
		uint64_t number;
		size_t to;

		if (*n == TR_SVN_LEVELS_MAX)
			return tr_tcb_malformed(err, "too many levels");
		rc = read_level(&v, &tcb, &l.status, &l.date, &l.advisories, true, err);
		if (!rc)
			rc = tr_tcb_pick(&tcb, &want, 1, err);
		if (rc)
			return rc;
		if (!tr_tcb_uint(&svn, UINT16_MAX, &number))
			return tr_tcb_malformed(err, "isvsvn");
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
		    !tr_tcb_uint(&svn, UINT8_MAX, &v))
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
		if (i < 1 || i > 16 || !tr_tcb_uint(&v, UINT8_MAX, &svn))
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
	struct tr_jval tcb = { .type = TR_JTOK_NONE }, pcesvn, sgx, tdx;
	const struct tr_tcb_want wants[] = {
		{ "pcesvn", TR_JTOK_INT, &pcesvn, false },
		{ "sgxtcbcomponents", TR_JTOK_ARRAY, &sgx, t->doc.version == 2 },
		{ "tdxtcbcomponents", TR_JTOK_ARRAY, &tdx, !t->tdx },
	};
	enum tr_code rc;
	uint64_t n;

	*ret = (struct tr_tcb_level){ .pcesvn = 0 };
	rc = read_level(v, &tcb, &ret->status, &ret->date, &ret->advisories, false, err);
	if (!rc)
		rc = tr_tcb_pick(&tcb, wants, TR_ARRAY_LEN(wants), err);
	if (rc)
		return rc;
	if (!tr_tcb_uint(&pcesvn, UINT16_MAX, &n))
		return tr_tcb_malformed(err, "pcesvn");
	ret->pcesvn = (uint16_t)n;
	if (t->doc.version == 2 ? !read_numbered(&tcb, ret->sgx) : !read_components(&sgx, ret->sgx))
		return tr_tcb_malformed(err, "a level has not 16 SGX components of 0 to 255");
	if (t->tdx && !read_components(&tdx, ret->tdx))
		return tr_tcb_malformed(err, "a level has not 16 TDX components of 0 to 255");
	return TR_OK;
}

TR_RC tr_tcb_levels(const struct tr_jval *array, struct tr_tcb_info *t, struct tr_err *err)
{
	struct tr_tcb_level l;
	struct tr_jval v;
	size_t at = 0;

	while (tr_jitem(array, &at, &v)) {
		enum tr_code rc;
		size_t to;

		if (t->n_levels == TR_TCB_LEVELS_MAX)
			return tr_tcb_malformed(err, "too many TCB levels");
		rc = read_tcb_level(&v, t, &l, err);
		if (rc)
			return rc;
		/* Served in order, but the order is a rule of the match and not of the text. */
		for (to = t->n_levels++; to > 0 && compare_levels(&t->levels[to - 1], &l) < 0; to--)
			t->levels[to] = t->levels[to - 1];
		t->levels[to] = l;
	}
	return t->n_levels ? TR_OK : tr_tcb_malformed(err, "no TCB levels");
}
