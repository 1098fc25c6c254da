/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/x_parts.h"

#define OID(bytes) TR_VIEW_LIT(bytes)

static TR_RC bad(struct tr_err *err, const char *what)
{
	return tr_err_set(err, TR_E_INVALID, "the revocation list is malformed", "CRL: %s", what);
}

/* revokedCertificates' element: its serial and extensions (empty: none). */
static bool take_entry(struct tr_view *in, struct tr_view *ret_serial, struct tr_view *ret_exts)
{
	struct tr_view entry;
	int64_t when;

	*ret_exts = tr_view(NULL, 0);
	if (!tr_der_take(in, TR_DER_SEQ, &entry) || !tr_der_take(&entry, TR_DER_INT, ret_serial) || !ret_serial->n ||
	    ret_serial->p[0] >= 0x80 || !tr_x_take_time(&entry, &when))
		return false;
	return entry.n == 0 || (tr_der_take(&entry, TR_DER_SEQ, ret_exts) && entry.n == 0 && ret_exts->n > 0);
}

static bool check_entries(struct tr_view entries, bool *unknown_critical)
{
	while (entries.n) {
		struct tr_x_ext exts[TR_X_EXTS_MAX];
		struct tr_view serial, body;
		size_t n;

		if (!take_entry(&entries, &serial, &body))
			return false;
		if (!body.n)
			continue;
		if (!tr_x_exts_read(body, exts, &n))
			return false;
		/* certificateIssuer (RFC 5280 5.3.3) changes whose certificate is meant, and is critical. Nothing that may be
		 * critical is known here. */
		for (size_t i = 0; i < n; i++)
			*unknown_critical |= exts[i].critical;
	}
	return true;
}

static bool read_extensions(struct tr_view all, struct tr_x_crl *c)
{
	struct tr_x_ext exts[TR_X_EXTS_MAX];
	struct tr_view body;
	size_t n;

	if (!tr_der_take(&all, TR_DER_SEQ, &body) || all.n || !tr_x_exts_read(body, exts, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool aki = tr_view_eq(exts[i].oid, OID("\x55\x1d\x23"));
		bool number = tr_view_eq(exts[i].oid, OID("\x55\x1d\x14"));

		if (aki && !tr_x_read_aki(exts[i].value, &c->aki))
			return false;
		/* issuingDistributionPoint and deltaCRLIndicator are critical and mean that the list is not the whole list. */
		if (!aki && !number)
			c->unknown_critical |= exts[i].critical;
	}
	return true;
}

TR_RC tr_x_crl_parse(struct tr_view der, struct tr_x_crl *ret, struct tr_err *err)
{
	struct tr_x_crl c = { .der = der };
	struct tr_view version, alg, no_cn, exts;
	enum tr_x_sig inner;
	struct tr_x_signed s;

	if (der.n > TR_X_CRL_MAX)
		return bad(err, "longer than 1 MiB");
	if (!tr_der_is_strict(der) || !tr_x_signed_parse(der, &s))
		return bad(err, "not one CRL in DER");
	c.tbs = s.tbs;
	c.sig_alg = s.sig_alg;
	c.sig = s.sig;
	/* RFC 5280 5.1.2.1: version 2, or the extensions would be ignored by older readers. */
	if (!tr_der_take(&s.body, TR_DER_INT, &version) || !tr_view_eq(version, TR_VIEW_LIT("\x01")))
		return bad(err, "not version 2");
	if (!tr_x_take_alg(&s.body, &alg, &inner) || !tr_view_eq(alg, s.alg))
		return bad(err, "two signature algorithms");
	if (!tr_x_take_name(&s.body, &c.issuer, &no_cn))
		return bad(err, "issuer");
	if (!tr_x_take_time(&s.body, &c.this_update))
		return bad(err, "thisUpdate");
	/* A list that never ends could be shown for ever (RFC 5280 5.1.2.5 wants it, too). */
	if (!tr_x_take_time(&s.body, &c.next_update))
		return bad(err, "no nextUpdate");
	if (s.body.n && s.body.p[0] == TR_DER_SEQ &&
	    (!tr_der_take(&s.body, TR_DER_SEQ, &c.entries) || !check_entries(c.entries, &c.unknown_critical)))
		return bad(err, "revokedCertificates");
	if (s.body.n && (!tr_der_take(&s.body, TR_DER_CTX_CONS, &exts) || !read_extensions(exts, &c)))
		return bad(err, "extensions are malformed, too many, or one comes twice");
	if (s.body.n)
		return bad(err, "something behind the extensions");
	*ret = c;
	return TR_OK;
}

bool tr_x_crl_lists(const struct tr_x_crl *crl, struct tr_view serial)
{
	struct tr_view entries = crl->entries, listed, exts;

	/* Both are DER integers in their shortest form, so equal bytes are equal numbers. */
	while (entries.n && take_entry(&entries, &listed, &exts))
		if (tr_view_eq(listed, serial))
			return true;
	return false;
}
