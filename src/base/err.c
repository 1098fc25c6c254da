/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[TR_CODE_N] = {
	"ok", "invalid", "unauthenticated", "denied", "not_found", "conflict", "busy", "unavailable", "internal",
};

const char *tr_code_name(enum tr_code code)
{
	return (unsigned)code < TR_CODE_N ? names[code] : "unknown";
}

enum tr_code tr_err_set_at(struct tr_err *err, enum tr_code code, const char *pub, const char *file, int line,
			   const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->pub = pub;
	err->file = file;
	err->line = line;
	va_start(ap, fmt);
	(void)vsnprintf(err->detail, sizeof(err->detail), fmt, ap);
	va_end(ap);
	return code;
}

enum tr_code(tr_err_wrap)(struct tr_err *err, const char *fmt, ...)
{
	char inner[sizeof(err->detail)];
	va_list ap;
	int n;

	memcpy(inner, err->detail, sizeof(inner));
	va_start(ap, fmt);
	n = vsnprintf(err->detail, sizeof(err->detail), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->detail))
		(void)snprintf(err->detail + n, sizeof(err->detail) - (size_t)n, ": %s", inner);
	return err->code;
}

enum tr_code tr_err_errno_at(struct tr_err *err, const char *file, int line, const char *fmt, ...)
{
	int saved = errno;
	enum tr_code code = TR_E_INTERNAL;
	const char *pub = "the machine refused an operation; see the log for which one";
	va_list ap;

	if (saved == ENOSPC || saved == EROFS || saved == EDQUOT) {
		code = TR_E_UNAVAIL;
		pub = "no space to write to; free some and try again";
	} else if (saved == EMFILE || saved == ENFILE || saved == ENOMEM || saved == EAGAIN) {
		code = TR_E_BUSY;
		pub = "out of resources; try again later";
	}
	err->code = code;
	err->pub = pub;
	err->file = file;
	err->line = line;
	va_start(ap, fmt);
	(void)vsnprintf(err->detail, sizeof(err->detail), fmt, ap);
	va_end(ap);
	size_t n = strlen(err->detail);
	(void)snprintf(err->detail + n, sizeof(err->detail) - n, ": %s", strerrordesc_np(saved));
	return code;
}
