/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of this layer share: checks that name their table row, and third-party vectors. */
#ifndef TR_CODEC_CODEC_TEST_H
#define TR_CODEC_CODEC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/file.h"
#include "codec/json.h"
#include "codec/text.h"

#define CHECK(cond, label)                                                                                   \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			fail_msg("%s: %s", (label), #cond);                                                  \
	} while (0)

/* A heap copy of exactly these bytes, so that a sanitizer sees a read past the end. Freed by the caller. */
static inline struct tr_view exact_copy(struct tr_view v)
{
	uint8_t *p = malloc(v.n ? v.n : 1);

	assert_non_null(p);
	if (v.n)
		memcpy(p, v.p, v.n);
	return tr_view(p, v.n);
}

/* The file of that name among the third-party vectors, which live outside the tree: $TROTH_VECTORS, or
 * ../shared/vectors. Skips the test when it is not there. */
static inline void vectors_text(const char *name, struct tr_buf *ret)
{
	tr_auto(tr_buf_done) struct tr_buf path = TR_BUF_INIT;
	const char *dir = getenv("TROTH_VECTORS");
	struct tr_err err;

	tr_buf_addf(&path, "%s/%s", dir ? dir : "../shared/vectors", name);
	if (tr_file_read(tr_buf_cstr(&path), TR_JSON_MAX, ret, &err)) {
		print_message("skipped: no %s\n", tr_buf_cstr(&path));
		tr_buf_done(&path);
		skip();
	}
}

/* The same, parsed. */
static inline struct tr_json *vectors(const char *name)
{
	tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT;
	struct tr_json *j = NULL;
	struct tr_err err;

	vectors_text(name, &text);
	if (tr_json_parse(tr_buf_view(&text), &j, &err))
		fail_msg("%s: %s", name, err.detail);
	return j;
}

/* The bytes of a hex string member; nothing when it is absent. */
static inline void add_hex(struct tr_buf *b, tr_jnode n)
{
	struct tr_view text;
	uint8_t *at;

	if (!n)
		return;
	assert_true(tr_json_str(n, &text));
	at = tr_buf_space(b, text.n / 2);
	assert_non_null(at);
	assert_true(tr_hex_get(text, at, text.n / 2));
}

#endif
