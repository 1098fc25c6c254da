/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/pem.h"
#include "evidence/cert.h"

#define CHAIN_PUB "the certificate chain is malformed"
#define BLOCKS_MAX 16

static struct tr_view skip_space(struct tr_view v)
{
	while (v.n && (*v.p == ' ' || *v.p == '\t' || *v.p == '\r' || *v.p == '\n'))
		v = tr_view(v.p + 1, v.n - 1);
	return v;
}

TR_RC tr_x_pem_chain(struct tr_view pem, const char *label, size_t max, struct tr_buf *ret, struct tr_view *ret_ders,
		     size_t *ret_n, struct tr_err *err)
{
	size_t start = ret->n, ends[BLOCKS_MAX], n = 0;
	struct tr_view text = pem, got;
	enum tr_code rc = TR_OK;

	if (pem.n > TR_X_PEM_MAX)
		return tr_err_set(err, TR_E_INVALID, CHAIN_PUB, "PEM chain of %zu bytes", pem.n);
	/* Intel's quoting library counts the C string's end as part of the chain; some do not. */
	if (text.n && text.p[text.n - 1] == 0)
		text.n--;
	for (text = skip_space(text); !rc && text.n; text = skip_space(text)) {
		if (n == max || n == BLOCKS_MAX)
			rc = tr_err_set(err, TR_E_INVALID, CHAIN_PUB, "PEM chain of more than %zu blocks", n);
		/* What is between blocks is signed by nobody: only white space. */
		else if (!tr_view_starts(text, "-----BEGIN "))
			rc = tr_err_set(err, TR_E_INVALID, CHAIN_PUB, "PEM chain: text between blocks at byte %zu",
					(size_t)(text.p - pem.p));
		else
			rc = tr_pem_get(text, &got, ret, &text, err);
		if (!rc && !tr_view_is(got, label))
			rc = tr_err_set(err, TR_E_INVALID, CHAIN_PUB, "PEM chain: a block that is no %s", label);
		if (!rc)
			ends[n++] = ret->n;
	}
	if (rc) {
		ret->n = start;
		return rc;
	}
	/* Only now: the buffer may have moved while it grew. */
	for (size_t i = 0; i < n; i++) {
		size_t from = i ? ends[i - 1] : start;

		ret_ders[i] = tr_view(ret->p + from, ends[i] - from);
	}
	*ret_n = n;
	return TR_OK;
}
