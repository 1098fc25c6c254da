/* SPDX-License-Identifier: Apache-2.0 */
/* The SGX extension of a PCK certificate (Intel's profile of it): a list of {OID, value}, read by OID. The sixteen
 * components are the platform's TCB; the CPUSVN beside them and the quote's own are not compared with anything. */
#include "crypto/der.h"
#include "evidence/dcap.h"

#define PUB "the PCK certificate lacks Intel's SGX values"

/* 1.2.840.113741.1.13.1; members append one number, the TCB's two. */
static const uint8_t sgx_oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

static TR_RC malformed(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, PUB, "SGX extension: %s", what);
}

/* The next {OID, value} of a list, whose OID is `prefix` and one number more. */
static bool next_pair(struct tr_view *list, struct tr_view prefix, unsigned *ret_number, struct tr_der *ret_value)
{
	struct tr_view pair, oid;

	if (!tr_der_take(list, TR_DER_SEQ, &pair) || !tr_der_take(&pair, TR_DER_OID, &oid) ||
	    !tr_der_next(&pair, ret_value) || pair.n)
		return false;
	if (oid.n != prefix.n + 1 || memcmp(oid.p, prefix.p, prefix.n) != 0 || oid.p[prefix.n] >= 0x80)
		return false;
	*ret_number = oid.p[prefix.n];
	return true;
}

/* A DER INTEGER or ENUMERATED that is not negative. */
static bool take_uint(const struct tr_der *d, uint8_t tag, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (d->tag != tag || d->body.n < 1 || d->body.n > 5 || d->body.p[0] >= 0x80)
		return false;
	for (size_t i = 0; i < d->body.n; i++)
		v = v << 8 | d->body.p[i];
	*ret = v;
	return v <= max;
}

static bool take_octets(const struct tr_der *d, size_t n, struct tr_view *ret)
{
	if (d->tag != TR_DER_OCTETS || d->body.n != n)
		return false;
	*ret = d->body;
	return true;
}

static bool take_bool(const struct tr_der *d, bool *ret)
{
	if (d->tag != TR_DER_BOOL || d->body.n != 1)
		return false;
	*ret = d->body.p[0] != 0;
	return true;
}

static TR_RC read_tcb(const struct tr_der *tcb, struct tr_pck *ret, struct tr_err *err)
{
	uint8_t oid[sizeof(sgx_oid) + 1];
	struct tr_view list = tcb->body;
	struct tr_der value;
	unsigned number, seen = 0;
	uint64_t v = 0;

	memcpy(oid, sgx_oid, sizeof(sgx_oid));
	oid[sizeof(sgx_oid)] = 2;
	if (tcb->tag != TR_DER_SEQ)
		return malformed(err, "its TCB is no list");
	while (list.n) {
		bool ok = false;

		if (!next_pair(&list, TR_VIEW_ARRAY(oid), &number, &value) || number < 1 || number > 18)
			return malformed(err, "its TCB has a member of another kind");
		if (seen & 1u << number)
			return malformed(err, "its TCB has a member twice");
		seen |= 1u << number;
		if (number <= 16) {
			ok = take_uint(&value, TR_DER_INT, UINT8_MAX, &v);
			ret->comp[number - 1] = (uint8_t)v;
		} else if (number == 17) {
			ok = take_uint(&value, TR_DER_INT, UINT16_MAX, &v);
			ret->pcesvn = (uint16_t)v;
		} else {
			ok = take_octets(&value, 16, &ret->cpusvn);
		}
		if (!ok)
			return malformed(err, "a member of its TCB is of another type or size");
	}
	/* 1 to 17; the CPUSVN is for show. */
	if ((seen & 0x3fffe) != 0x3fffe)
		return malformed(err, "its TCB lacks a component or the PCESVN");
	return TR_OK;
}

static bool read_configuration(const struct tr_der *d, struct tr_pck *ret)
{
	uint8_t oid[sizeof(sgx_oid) + 1];
	struct tr_view list = d->body;
	struct tr_der value;
	unsigned number, seen = 0;

	memcpy(oid, sgx_oid, sizeof(sgx_oid));
	oid[sizeof(sgx_oid)] = 7;
	if (d->tag != TR_DER_SEQ)
		return false;
	while (list.n) {
		bool flag;

		if (!next_pair(&list, TR_VIEW_ARRAY(oid), &number, &value) || number > 31 || seen & 1u << number)
			return false;
		seen |= 1u << number;
		if (number > 3)
			continue;
		if (!take_bool(&value, &flag))
			return false;
		*(number == 1 ? &ret->dynamic_platform : number == 2 ? &ret->cached_keys : &ret->smt) = flag;
	}
	ret->has_configuration = true;
	return true;
}

static bool read_member(unsigned number, const struct tr_der *value, struct tr_pck *ret)
{
	switch (number) {
	case 1: return take_octets(value, 16, &ret->ppid);
	case 3: return take_octets(value, 2, &ret->pceid);
	case 4: return take_octets(value, 6, &ret->fmspc);
	case 5: return take_uint(value, 0x0a /* ENUMERATED */, UINT32_MAX, &ret->sgx_type);
	case 6: return take_octets(value, 16, &ret->platform_instance);
	case 7: return read_configuration(value, ret);
	default: return true; /* a member that came later */
	}
}

TR_RC tr_pck_read(const struct tr_x_cert *leaf, struct tr_pck *ret, struct tr_err *err)
{
	struct tr_pck p = { .sgx_type = 0 };
	struct tr_view ext, list;
	struct tr_der value;
	unsigned number, seen = 0;

	if (!tr_x_cert_extension(leaf, TR_VIEW_ARRAY(sgx_oid), &ext))
		return malformed(err, "there is none");
	if (!tr_der_is_strict(ext) || !tr_der_take(&ext, TR_DER_SEQ, &list))
		return malformed(err, "not DER");
	while (list.n) {
		if (!next_pair(&list, TR_VIEW_ARRAY(sgx_oid), &number, &value) || number < 1 || number > 31)
			return malformed(err, "a member of another kind");
		if (seen & 1u << number)
			return malformed(err, "a member twice");
		seen |= 1u << number;
		if (number == 2) {
			enum tr_code rc = read_tcb(&value, &p, err);

			if (rc)
				return rc;
		} else if (!read_member(number, &value, &p)) {
			return malformed(err, "a member of another type or size");
		}
	}
	/* TCB, PCEID, FMSPC: nothing can be compared without them. */
	if ((seen & 0x1c) != 0x1c)
		return malformed(err, "no TCB, PCEID or FMSPC");
	*ret = p;
	return TR_OK;
}
