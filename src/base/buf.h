/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer that owns its memory. The first failure (out of memory, over `max`) sticks: append
 * freely, check tr_buf_ok once at the end. */
#ifndef TR_BASE_BUF_H
#define TR_BASE_BUF_H

#include "base/err.h"
#include "base/view.h"

#define TR_BUF_MAX_DEFAULT ((size_t)64 << 20)

struct tr_buf {
	uint8_t *p;
	size_t n, cap;
	size_t max; /* bytes; 0 means TR_BUF_MAX_DEFAULT */
	bool failed;
};

#define TR_BUF_INIT ((struct tr_buf){ 0 })

/* Frees and resets; the struct may be used again. */
void tr_buf_done(struct tr_buf *b);
TR_DEFINE_AUTO_DONE(struct tr_buf, tr_buf_done)

void tr_buf_add(struct tr_buf *b, const void *p, size_t n);
void tr_buf_addv(struct tr_buf *b, struct tr_view v);
void tr_buf_adds(struct tr_buf *b, const char *s);
void tr_buf_add8(struct tr_buf *b, uint8_t v);
void tr_buf_addf(struct tr_buf *b, const char *fmt, ...) TR_PRINTF(2, 3);
/* Room for n bytes at the end, to be written by the caller; NULL when it failed. */
uint8_t *tr_buf_space(struct tr_buf *b, size_t n);
void tr_buf_clear(struct tr_buf *b); /* keeps the memory */
bool tr_buf_ok(const struct tr_buf *b);
struct tr_view tr_buf_view(const struct tr_buf *b);
/* NUL-terminates without counting the NUL; "" when it failed. */
const char *tr_buf_cstr(struct tr_buf *b);
/* TR_OK, or TR_E_INTERNAL when an append failed. */
TR_RC tr_buf_check(const struct tr_buf *b, struct tr_err *err);

#endif
