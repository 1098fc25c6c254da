/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of certificates and CRLs share: DER written as text, and the cases beside the repository. */
#ifndef TR_EVIDENCE_X_TEST_H
#define TR_EVIDENCE_X_TEST_H

#include "codec/codec_test.h"
#include "evidence/x_parts.h"

#define SHARED_EVIDENCE "../shared/evidence"

/* "30{ 0201'05' }": bytes in hex, a tag before braces gets the length of what is between them, 'text' stands for itself.
 * Returns what is behind the closing brace, or the end. */
static inline const char *add_der(struct tr_buf *b, const char *text)
{
	while (*text && *text != '}') {
		uint8_t byte;

		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			for (text++; *text != '\''; text++)
				tr_buf_add8(b, (uint8_t)*text);
			text++;
		} else if (*text == '{') {
			uint8_t tag = b->p[--b->n];
			size_t at = b->n;

			text = add_der(b, text + 1);
			tr_der_wrap(b, at, tag);
		} else {
			if (!tr_hex_get(tr_view(text, 2), &byte, 1))
				fail_msg("bad DER text at \"%s\"", text);
			tr_buf_add8(b, byte);
			text += 2;
		}
	}
	return *text ? text + 1 : text;
}

/* "CASE/FILE" of the cases beside the repository; skips the test when it is not there. */
static inline void shared_file(const char *name, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	struct tr_err err;

	tr_buf_addf(&path, SHARED_EVIDENCE "/%s", name);
	if (tr_file_read(tr_buf_cstr(&path), TR_X_CRL_MAX, ret, &err)) {
		print_message("skipped: no %s\n", tr_buf_cstr(&path));
		tr_buf_done(&path);
		skip();
	}
}

#endif
