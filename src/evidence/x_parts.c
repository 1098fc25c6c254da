/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_parts.h"

#define OID(bytes) TR_VIEW_LIT(bytes)

enum { TAG_PRINTABLE = 0x13, TAG_IA5 = 0x16 };

/* Days from 1970-01-01 in the proleptic Gregorian calendar; libc's would ask for a time zone. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool two_digits(const uint8_t *p, int64_t *ret)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*ret = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

bool tr_x_take_time(struct tr_view *in, int64_t *ret_unix_s)
{
	static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t f[7], century, year; /* century, year, month, day, hour, minute, second */
	size_t n = 7, head;
	struct tr_der d;
	bool leap;

	/* RFC 5280 4.1.2.5: seconds present, Zulu, no fraction. */
	if (!tr_der_next(in, &d) || (d.tag != TR_DER_UTCTIME && d.tag != TR_DER_GENTIME))
		return false;
	head = d.tag == TR_DER_UTCTIME;
	if (d.body.n != (n - head) * 2 + 1 || d.body.p[d.body.n - 1] != 'Z')
		return false;
	for (size_t i = head; i < n; i++)
		if (!two_digits(d.body.p + (i - head) * 2, &f[i]))
			return false;
	century = head ? (f[1] >= 50 ? 19 : 20) : f[0];
	year = century * 100 + f[1];
	/* 4.1.2.5.2: GeneralizedTime is for 2050 and later only. */
	if (!head && year < 2050)
		return false;
	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (f[2] < 1 || f[2] > 12 || f[3] < 1 || f[3] > month_days[f[2] - 1] + (leap && f[2] == 2) || f[4] > 23 ||
	    f[5] > 59 || f[6] > 59)
		return false;
	*ret_unix_s = days_of(year, f[2], f[3]) * 86400 + f[4] * 3600 + f[5] * 60 + f[6];
	return true;
}

/* AttributeTypeAndValue. */
static bool take_attribute(struct tr_view *in, struct tr_view *cn, unsigned *n_cn)
{
	struct tr_view pair, oid;
	struct tr_der v;

	if (!tr_der_take(in, TR_DER_SEQ, &pair) || !tr_der_take(&pair, TR_DER_OID, &oid) || !tr_der_next(&pair, &v) || pair.n)
		return false;
	if (!tr_view_eq(oid, OID("\x55\x04\x03")))
		return true;
	++*n_cn;
	*cn = v.tag == TR_DER_UTF8 || v.tag == TAG_PRINTABLE || v.tag == TAG_IA5 ? v.body : tr_view(NULL, 0);
	return true;
}

bool tr_x_take_name(struct tr_view *in, struct tr_view *ret_whole, struct tr_view *ret_cn)
{
	struct tr_view cn = tr_view(NULL, 0), rdns;
	unsigned n_cn = 0;
	struct tr_der d;

	if (!tr_der_next(in, &d) || d.tag != TR_DER_SEQ)
		return false;
	for (rdns = d.body; rdns.n;) {
		struct tr_view set;

		if (!tr_der_take(&rdns, TR_DER_SET, &set) || !set.n)
			return false;
		while (set.n)
			if (!take_attribute(&set, &cn, &n_cn))
				return false;
	}
	*ret_whole = d.whole;
	/* With two names nobody can say which one a role is told by. */
	*ret_cn = n_cn == 1 ? cn : tr_view(NULL, 0);
	return true;
}

/* AlgorithmIdentifier: its OID and what follows it. */
static bool take_alg(struct tr_view *in, struct tr_view *ret_oid, struct tr_view *ret_params)
{
	struct tr_view body;

	if (!tr_der_take(in, TR_DER_SEQ, &body) || !tr_der_take(&body, TR_DER_OID, ret_oid))
		return false;
	*ret_params = body;
	return true;
}

static bool is_null_or_absent(struct tr_view params)
{
	return params.n == 0 || tr_view_eq(params, TR_VIEW_LIT("\x05\x00"));
}

static bool take_hash(struct tr_view *in, enum tr_raw_hash *ret)
{
	static const struct { struct tr_view oid; enum tr_raw_hash hash; } rows[] = {
		{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x01"), TR_HASH_SHA256 },
		{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x02"), TR_HASH_SHA384 },
		{ OID("\x60\x86\x48\x01\x65\x03\x04\x02\x03"), TR_HASH_SHA512 },
	};
	struct tr_view oid, params;

	/* RFC 4055 2.1: parameters are NULL, absent is to be accepted. */
	if (!take_alg(in, &oid, &params) || !is_null_or_absent(params))
		return false;
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		if (!tr_view_eq(oid, rows[i].oid))
			continue;
		*ret = rows[i].hash;
		return true;
	}
	return false;
}

/* RSASSA-PSS-params (RFC 4055 3.1). All defaults of it stand for SHA-1, so the first three are there; the trailer field
 * has one legal value, which AMD writes in some certificates and leaves out in others. One hash for both, and a salt as long
 * as it: whatever else is legal is not in use, and unknown here. */
static enum tr_x_sig pss_of(struct tr_view params)
{
	static const enum tr_x_sig by_hash[TR_HASH_N] = { [TR_HASH_SHA256] = TR_X_SIG_PSS_SHA256,
							  [TR_HASH_SHA384] = TR_X_SIG_PSS_SHA384,
							  [TR_HASH_SHA512] = TR_X_SIG_PSS_SHA512 };
	struct tr_view seq, part, oid, mgf, salt, trailer;
	enum tr_raw_hash hash, mgf_hash;

	if (!tr_der_take(&params, TR_DER_SEQ, &seq) || params.n)
		return TR_X_SIG_UNKNOWN;
	if (!tr_der_take(&seq, TR_DER_CTX_CONS + 0, &part) || !take_hash(&part, &hash) || part.n)
		return TR_X_SIG_UNKNOWN;
	if (!tr_der_take(&seq, TR_DER_CTX_CONS + 1, &part) || !take_alg(&part, &oid, &mgf) || part.n ||
	    !tr_view_eq(oid, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08")) || !take_hash(&mgf, &mgf_hash) || mgf.n ||
	    mgf_hash != hash)
		return TR_X_SIG_UNKNOWN;
	if (!tr_der_take(&seq, TR_DER_CTX_CONS + 2, &part) || !tr_der_take(&part, TR_DER_INT, &salt) || part.n ||
	    salt.n != 1 || salt.p[0] != tr_raw_hash_len(hash))
		return TR_X_SIG_UNKNOWN;
	if (seq.n && (!tr_der_take(&seq, TR_DER_CTX_CONS + 3, &part) || seq.n || !tr_der_take(&part, TR_DER_INT, &trailer) ||
		      part.n || !tr_view_eq(trailer, TR_VIEW_LIT("\x01"))))
		return TR_X_SIG_UNKNOWN;
	return by_hash[hash];
}

bool tr_x_take_alg(struct tr_view *in, struct tr_view *ret_whole, enum tr_x_sig *ret)
{
	static const struct { struct tr_view oid; enum tr_x_sig sig; } rows[] = {
		{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x02"), TR_X_SIG_ECDSA_SHA256 },
		{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x03"), TR_X_SIG_ECDSA_SHA384 },
		{ OID("\x2a\x86\x48\xce\x3d\x04\x03\x04"), TR_X_SIG_ECDSA_SHA512 },
		{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), TR_X_SIG_RSA_SHA256 },
		{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"), TR_X_SIG_RSA_SHA384 },
		{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"), TR_X_SIG_RSA_SHA512 },
	};
	struct tr_view oid, params;
	const uint8_t *from = in->p;

	if (!take_alg(in, &oid, &params))
		return false;
	*ret_whole = tr_view(from, (size_t)(in->p - from));
	*ret = TR_X_SIG_UNKNOWN;
	if (tr_view_eq(oid, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"))) {
		*ret = pss_of(params);
		return true;
	}
	for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
		bool ec = rows[i].sig <= TR_X_SIG_ECDSA_SHA512;

		/* RFC 5758 3.2: ECDSA has none. */
		if (tr_view_eq(oid, rows[i].oid) && (ec ? params.n == 0 : is_null_or_absent(params)))
			*ret = rows[i].sig;
	}
	return true;
}

bool tr_x_take_bits(struct tr_view *in, struct tr_view *ret_bytes)
{
	struct tr_view bits;

	if (!tr_der_take(in, TR_DER_BITS, &bits) || bits.n < 2 || bits.p[0] != 0)
		return false;
	*ret_bytes = tr_view(bits.p + 1, bits.n - 1);
	return true;
}

bool tr_x_signed_parse(struct tr_view der, struct tr_x_signed *ret)
{
	struct tr_view all;
	struct tr_der tbs;

	if (!tr_der_take(&der, TR_DER_SEQ, &all) || der.n || !tr_der_next(&all, &tbs) || tbs.tag != TR_DER_SEQ)
		return false;
	ret->tbs = tbs.whole;
	ret->body = tbs.body;
	return tr_x_take_alg(&all, &ret->alg, &ret->sig_alg) && tr_x_take_bits(&all, &ret->sig) && all.n == 0;
}

static bool take_extension(struct tr_view *in, struct tr_x_ext *ret)
{
	struct tr_view body, critical;

	*ret = (struct tr_x_ext){ 0 };
	if (!tr_der_take(in, TR_DER_SEQ, &body) || !tr_der_take(&body, TR_DER_OID, &ret->oid))
		return false;
	if (body.n && body.p[0] == TR_DER_BOOL) {
		/* FALSE is the default, which DER leaves out (X.690 11.5). */
		if (!tr_der_take(&body, TR_DER_BOOL, &critical) || !tr_view_eq(critical, TR_VIEW_LIT("\xff")))
			return false;
		ret->critical = true;
	}
	return tr_der_take(&body, TR_DER_OCTETS, &ret->value) && body.n == 0;
}

bool tr_x_exts_read(struct tr_view body, struct tr_x_ext ret[TR_X_EXTS_MAX], size_t *ret_n)
{
	size_t n = 0;

	while (body.n) {
		if (n == TR_X_EXTS_MAX || !take_extension(&body, &ret[n]))
			return false;
		for (size_t i = 0; i < n; i++)
			if (tr_view_eq(ret[i].oid, ret[n].oid))
				return false;
		n++;
	}
	*ret_n = n;
	return n > 0;
}

bool tr_x_read_aki(struct tr_view value, struct tr_view *ret)
{
	struct tr_view seq;

	*ret = tr_view(NULL, 0);
	if (!tr_der_take(&value, TR_DER_SEQ, &seq) || value.n)
		return false;
	if (seq.n && seq.p[0] == TR_DER_CTX && !tr_der_take(&seq, TR_DER_CTX, ret))
		return false;
	/* authorityCertIssuer [1] and serial [2] may follow; nobody asks for them. */
	while (seq.n) {
		struct tr_der d;

		if (!tr_der_next(&seq, &d) || (d.tag != TR_DER_CTX_CONS + 1 && d.tag != TR_DER_CTX + 2))
			return false;
	}
	return true;
}
