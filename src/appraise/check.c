/* SPDX-License-Identifier: Apache-2.0 */
#include "appraise/check.h"

#include "codec/json.h"

#include <stdarg.h>

void tr_copy_text(char *to, size_t cap, struct tr_view v)
{
	size_t n = v.n < cap ? v.n : cap - 1;

	memcpy(to, v.p, n);
	to[n] = '\0';
}

bool tr_reason_tolerated(enum tr_reason r)
{
	switch (r) {
	case TR_R_CLOCK_DESYNC:
	case TR_R_HASH_NOT_ALLOWED:
	case TR_R_VERSION_NOT_ALLOWED:
	case TR_R_UNKNOWN_KEY:
	case TR_R_KEY_REVOKED:
	case TR_R_RELEASE_EXPIRED:
	case TR_R_TIER_TOO_LOW: return true;
	default: return false;
	}
}

struct tr_check *tr_check_add(struct tr_run *run, const char *name, enum tr_reason why)
{
	static struct tr_check overflow;
	struct tr_appraisal *a = run->a;
	struct tr_check *c = a->n_checks < TR_CHECKS_MAX ? &a->checks[a->n_checks++] : &overflow;

	*c = (struct tr_check){ .name = name, .ok = why == TR_R_OK };
	if (why != TR_R_OK &&
	    (a->reason == TR_R_OK || (run->p->mode != TR_MODE_ENFORCE && tr_reason_tolerated(a->reason) &&
				      !tr_reason_tolerated(why))))
		a->reason = why;
	return c;
}

void tr_check_expected(struct tr_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->expected, sizeof(c->expected), fmt, ap);
	va_end(ap);
}

void tr_check_seen(struct tr_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->seen, sizeof(c->seen), fmt, ap);
	va_end(ap);
}

bool tr_check_line(struct tr_run *run, const char *name, enum tr_reason why, const char *expected,
		   const char *seen)
{
	struct tr_check *c = tr_check_add(run, name, why);

	tr_check_expected(c, "%s", expected);
	tr_check_seen(c, "%s", seen);
	return why == TR_R_OK;
}

void tr_run_begin(struct tr_run *run, const struct tr_policy *p, struct tr_appraisal *a, int64_t now_ms,
		  bool native)
{
	memset(a, 0, sizeof(*a));
	a->native = native;
	*run = (struct tr_run){ .p = p, .a = a, .now_ms = now_ms };
}

bool tr_run_form(struct tr_run *run, bool accepted, const char *form)
{
	struct tr_check *c = tr_check_add(run, "format", accepted ? TR_R_OK : TR_R_FORMAT_NOT_ACCEPTED);
	bool native = run->p->accept_native, original = run->p->accept_original;

	tr_check_expected(c, "a claim of a form that attestation.accept lists: %s",
			  native && original ? "native, original"
			  : native	     ? "native"
			  : original	     ? "original"
					     : "none");
	tr_check_seen(c, "a claim of the %s form", form);
	return accepted;
}

void tr_run_end(struct tr_run *run)
{
	struct tr_appraisal *a = run->a;

	a->admitted =
		a->reason == TR_R_OK || (run->p->mode != TR_MODE_ENFORCE && tr_reason_tolerated(a->reason));
}

void tr_appraisal_checks_json(const struct tr_appraisal *a, struct tr_buf *b)
{
	tr_buf_adds(b, "[");
	for (size_t i = 0; i < a->n_checks; i++) {
		const struct tr_check *c = &a->checks[i];

		tr_buf_adds(b, i ? ",{\"check\":" : "{\"check\":");
		tr_json_put_str(b, tr_view_str(c->name));
		tr_buf_addf(b, ",\"ok\":%s,\"expected\":", c->ok ? "true" : "false");
		tr_json_put_str(b, tr_view_str(c->expected));
		tr_buf_adds(b, ",\"seen\":");
		tr_json_put_str(b, tr_view_str(c->seen));
		tr_buf_adds(b, "}");
	}
	tr_buf_adds(b, "]");
}
