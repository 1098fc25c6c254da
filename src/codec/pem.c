/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/pem.h"

#include "base/secret.h"
#include "codec/text.h"

#define DASHES "-----"
#define BEGIN "-----BEGIN "
#define END "-----END "
#define LABEL_MAX 64
#define COLUMNS 48 /* bytes that make 64 characters */

/* One line off the front, without its LF or CRLF. */
static struct tr_view take_line(struct tr_view *in)
{
	const uint8_t *lf = memchr(in->p, '\n', in->n);
	size_t n = lf ? (size_t)(lf - in->p) : in->n;
	struct tr_view line = tr_view(in->p, n);

	*in = lf ? tr_view(lf + 1, in->n - n - 1) : tr_view(in->p + n, 0);
	if (lf && line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* RFC 7468 3: printable words joined by single spaces or hyphens. */
static bool label_ok(struct tr_view label)
{
	bool word = false;

	if (label.n < 1 || label.n > LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++) {
		bool is_joint = label.p[i] == ' ' || label.p[i] == '-';

		if (label.p[i] < 0x20 || label.p[i] > 0x7e || (is_joint && !word))
			return false;
		word = !is_joint;
	}
	return word;
}

/* The label of "-----BEGIN label-----" (or END); nothing else may stand on the line. */
static bool boundary(struct tr_view line, const char *start, struct tr_view *ret_label)
{
	size_t head = strlen(start), tail = strlen(DASHES);
	struct tr_view label;

	if (!tr_view_starts(line, start) || line.n < head + tail ||
	    memcmp(line.p + line.n - tail, DASHES, tail) != 0)
		return false;
	label = tr_view(line.p + head, line.n - head - tail);
	if (!label_ok(label))
		return false;
	*ret_label = label;
	return true;
}

/* Skips what stands before the first line of five dashes, and reads that line. */
static TR_RC find_begin(struct tr_view *text, struct tr_view *ret_label, struct tr_err *err)
{
	while (text->n) {
		struct tr_view line = take_line(text);

		if (!tr_view_starts(line, DASHES))
			continue;
		if (boundary(line, BEGIN, ret_label))
			return TR_OK;
		return tr_err_set(err, TR_E_INVALID, "the PEM text has a damaged BEGIN line",
				  "PEM: line of dashes that is no BEGIN line");
	}
	return tr_err_set(err, TR_E_INVALID, "the text holds no PEM block (no -----BEGIN line)",
			  "PEM: no BEGIN line");
}

/* Collects the base64 characters up to the END line. */
static TR_RC take_body(struct tr_view *text, struct tr_view label, struct tr_buf *flat, struct tr_err *err)
{
	struct tr_view end_label;

	while (text->n) {
		struct tr_view line = take_line(text);

		if (tr_view_starts(line, DASHES)) {
			if (!boundary(line, END, &end_label) || !tr_view_eq(label, end_label))
				return tr_err_set(err, TR_E_INVALID,
						  "the PEM block's END line does not match",
						  "PEM: END line does not match");
			return TR_OK;
		}
		if (tr_view_starts(line, "Proc-Type:"))
			return tr_err_set(err, TR_E_INVALID,
					  "the PEM key is encrypted; give it decrypted (openssl pkey -in)",
					  "PEM: Proc-Type header");
		if (line.n && memchr(line.p, ':', line.n))
			return tr_err_set(err, TR_E_INVALID, "the PEM block has headers; remove them",
					  "PEM: header line inside the block");
		/* Strict on empty lines too: they are where header blocks end. */
		if (!line.n)
			return tr_err_set(err, TR_E_INVALID, "the PEM block has an empty line",
					  "PEM: empty line");
		tr_buf_addv(flat, line);
	}
	return tr_err_set(err, TR_E_INVALID, "the PEM block has no END line", "PEM: no END line");
}

TR_RC tr_pem_get(struct tr_view text, struct tr_view *ret_label, struct tr_buf *ret_der,
		 struct tr_view *ret_rest, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf flat = { .max = text.n + 1 };
	struct tr_view label;
	enum tr_code rc;

	rc = find_begin(&text, &label, err);
	if (rc)
		return rc;
	if (tr_view_is(label, "ENCRYPTED PRIVATE KEY"))
		return tr_err_set(err, TR_E_INVALID,
				  "the PEM key is encrypted; give it decrypted (openssl pkey -in)",
				  "PEM: encrypted PKCS#8");
	/* The body may be a private key: room for all of it first, so that growing leaves no copies behind.
	 */
	if (!tr_buf_space(&flat, text.n))
		return tr_buf_check(&flat, err);
	tr_buf_clear(&flat);
	rc = take_body(&text, label, &flat, err);
	if (!rc && !flat.n)
		rc = tr_err_set(err, TR_E_INVALID, "the PEM block is empty", "PEM: empty block");
	if (!rc)
		rc = tr_b64_get(tr_buf_view(&flat), TR_B64_STD, ret_der, err);
	tr_wipe(flat.p, flat.n);
	if (rc)
		return rc;
	*ret_label = label;
	*ret_rest = text;
	return TR_OK;
}

bool tr_pem_more(struct tr_view text)
{
	while (text.n)
		if (tr_view_starts(take_line(&text), DASHES))
			return true;
	return false;
}

void tr_pem_add(struct tr_buf *b, const char *label, struct tr_view der)
{
	tr_buf_addf(b, BEGIN "%s" DASHES "\n", label);
	for (size_t i = 0; i < der.n; i += COLUMNS) {
		tr_b64_add(b, tr_view(der.p + i, der.n - i < COLUMNS ? der.n - i : COLUMNS), TR_B64_STD);
		tr_buf_add8(b, '\n');
	}
	tr_buf_addf(b, END "%s" DASHES "\n", label);
}

bool tr_der_next(struct tr_view *in, struct tr_der *ret)
{
	size_t len, head = 2;

	/* One-byte tags only; tag 0 is BER's end mark (X.690 8.1.5), which DER has no use for. */
	if (in->n < 2 || in->p[0] == 0 || (in->p[0] & 0x1f) == 0x1f)
		return false;
	len = in->p[1];
	if (len >= 0x80) {
		size_t n = len & 0x7f;

		/* 0x80 is the indefinite form; four bytes of length are more than any input has. */
		if (n < 1 || n > 4 || in->n - 2 < n)
			return false;
		len = 0;
		for (size_t i = 0; i < n; i++)
			len = len << 8 | in->p[2 + i];
		if (len < 0x80 || in->p[2] == 0)
			return false;
		head += n;
	}
	if (len > in->n - head)
		return false;
	*ret = (struct tr_der){
		.tag = in->p[0],
		.body = tr_view(in->p + head, len),
		.whole = tr_view(in->p, head + len),
	};
	*in = tr_view(in->p + head + len, in->n - head - len);
	return true;
}
