/* SPDX-License-Identifier: Apache-2.0 */
/* The error contract of the whole project.
 *
 * A code says what the caller or the remote side should do; `pub` is static text that may be shown to the
 * remote side; `detail` is for our own log and grows a prefix per layer, outermost first. Nothing allocates
 * on the error path. Library code never logs: the edge that ends the error logs it once. */
#ifndef TR_BASE_ERR_H
#define TR_BASE_ERR_H

#include "base/own.h"

enum tr_code {
	TR_OK = 0,
	TR_E_INVALID,  /* malformed input: fix the request */
	TR_E_UNAUTH,   /* not proven who you are */
	TR_E_DENIED,   /* proven, and not allowed */
	TR_E_NOTFOUND,
	TR_E_CONFLICT, /* contradicts what is stored */
	TR_E_BUSY,     /* a limit was reached: try later */
	TR_E_UNAVAIL,  /* a dependency is down: try later */
	TR_E_INTERNAL, /* our bug or our machine */
	TR_CODE_N
};

struct tr_err {
	enum tr_code code;
	const char *pub;  /* static text, safe to show to the remote side */
	const char *file; /* where it was raised first */
	int line;
	char detail[240]; /* outermost context first; for our log only */
};

#define TR_RC __attribute__((warn_unused_result)) enum tr_code

/* A raised error is never TR_OK. The analyzer, which cannot see into another file, is told; a compiler is not. */
#ifdef __clang_analyzer__
static inline enum tr_code tr_err_raised(enum tr_code code)
{
	if (code == TR_OK)
		__builtin_unreachable();
	return code;
}
#define TR_RAISED(call) tr_err_raised(call)
#else
#define TR_RAISED(call) (call)
#endif

/* Raises an error: tr_err_set(err, TR_E_DENIED, "public sentence", "detail %d", n). Returns the code. */
#define tr_err_set(err, code, pub, ...)                                                                    \
	TR_RAISED(tr_err_set_at((err), (code), (pub), __FILE__, __LINE__, __VA_ARGS__))
enum tr_code tr_err_set_at(struct tr_err *err, enum tr_code code, const char *pub, const char *file, int line,
			   const char *fmt, ...) TR_PRINTF(6, 7);

/* Prefixes the detail ("enroll 7f3a: …") and returns err->code; truncation eats the innermost end. */
enum tr_code tr_err_wrap(struct tr_err *err, const char *fmt, ...) TR_PRINTF(2, 3);
#define tr_err_wrap(...) TR_RAISED((tr_err_wrap)(__VA_ARGS__))

/* Raises TR_E_INTERNAL (or TR_E_BUSY/UNAVAIL where errno says so) from errno. */
#define tr_err_errno(err, ...) TR_RAISED(tr_err_errno_at((err), __FILE__, __LINE__, __VA_ARGS__))
enum tr_code tr_err_errno_at(struct tr_err *err, const char *file, int line, const char *fmt, ...)
	TR_PRINTF(4, 5);

/* Lower-case name of a code, for logs. */
const char *tr_code_name(enum tr_code code);

#endif
