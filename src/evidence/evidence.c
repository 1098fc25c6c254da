/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/evidence.h"

#include "base/secret.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/hash.h"

#include <stdarg.h>
#include <stdio.h>

static bool name_of(struct tr_view name, const char *const *names, size_t n, size_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i] && tr_view_is(name, names[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static const char *const kinds[TR_TEE_KIND_N] = { "none", "sgx", "tdx", "snp", "tpm" };

const char *tr_tee_kind_name(enum tr_tee_kind k)
{
	return (unsigned)k < TR_TEE_KIND_N ? kinds[k] : "none";
}

bool tr_tee_kind_of(struct tr_view name, enum tr_tee_kind *ret)
{
	size_t i;

	if (!name_of(name, kinds, TR_TEE_KIND_N, &i) || !i)
		return false;
	*ret = (enum tr_tee_kind)i;
	return true;
}

const char *tr_tee_question_name(enum tr_tee_question q)
{
	static const char *const names[TR_Q_N] = { "authentic", "current", "software", "fresh" };

	return (unsigned)q < TR_Q_N ? names[q] : "?";
}

const char *tr_answer_name(enum tr_answer a)
{
	return a == TR_ANSWER_YES ? "yes" : a == TR_ANSWER_NO ? "no" : "not_asked";
}

const struct tr_tee_code_info *tr_tee_code_info(enum tr_tee_code c)
{
	static const struct tr_tee_code_info rows[TR_TEEC_N] = {
		{ "ok", TR_Q_AUTHENTIC, "" },
#define TR_TEE_CODE(id, slug, question, sentence) { slug, question, sentence },
#include "evidence/codes.inc"
#undef TR_TEE_CODE
	};

	/* What nobody knows is a refusal. */
	return &rows[(unsigned)c < TR_TEEC_N ? c : TR_TEEC_LIMIT];
}

static const char *const statuses[TR_TCB_N] = {
	"none", "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
	"OutOfDateConfigurationNeeded", "Revoked", "NotSupported", "TdxModuleMismatch", "TDRelaunchAdvised",
	"TDRelaunchAdvisedConfigurationNeeded", "Unrecognised",
};

const char *tr_tcb_status_name(enum tr_tcb_status s)
{
	return (unsigned)s < TR_TCB_N ? statuses[s] : statuses[TR_TCB_UNRECOGNISED];
}

bool tr_tcb_status_of(struct tr_view name, enum tr_tcb_status *ret)
{
	size_t i;

	if (!name_of(name, statuses, TR_TCB_N, &i) || !i)
		return false;
	*ret = (enum tr_tcb_status)i;
	return true;
}

struct tr_tee_check *tr_tee_check_add(struct tr_tee_result *r, const char *name, enum tr_tee_question q,
				      enum tr_tee_code code)
{
	struct tr_tee_check *c;

	if (r->n_checks == TR_TEE_CHECKS_MAX) {
		r->n_checks--;
		code = TR_TEEC_LIMIT;
	}
	c = &r->checks[r->n_checks++];
	*c = (struct tr_tee_check){ .name = name, .question = q, .code = code };
	if (code != TR_TEEC_OK) {
		r->answers[q] = TR_ANSWER_NO;
		if (r->first == TR_TEEC_OK)
			r->first = code;
	} else if (r->answers[q] == TR_ANSWER_NOT_ASKED) {
		r->answers[q] = TR_ANSWER_YES;
	}
	return c;
}

void tr_tee_expected(struct tr_tee_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->expected, sizeof(c->expected), fmt, ap);
	va_end(ap);
}

void tr_tee_seen(struct tr_tee_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->seen, sizeof(c->seen), fmt, ap);
	va_end(ap);
}

static void put_hex(char *to, size_t cap, struct tr_view bytes)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = bytes.n, room = (cap - 4) / 2, at = 0;

	for (size_t i = 0; i < (n > room ? room : n); i++) {
		to[at++] = digits[bytes.p[i] >> 4];
		to[at++] = digits[bytes.p[i] & 15];
	}
	if (n > room)
		for (unsigned i = 0; i < 3; i++)
			to[at++] = '.';
	to[at] = '\0';
}

void tr_tee_expected_hex(struct tr_tee_check *c, struct tr_view bytes)
{
	put_hex(c->expected, sizeof(c->expected), bytes);
}

void tr_tee_seen_hex(struct tr_tee_check *c, struct tr_view bytes)
{
	put_hex(c->seen, sizeof(c->seen), bytes);
}

bool tr_tee_line(struct tr_tee_result *r, const char *name, enum tr_tee_question q, enum tr_tee_code code,
		 const char *expected, const char *seen)
{
	struct tr_tee_check *c = tr_tee_check_add(r, name, q, code);

	if (expected)
		tr_tee_expected(c, "%s", expected);
	if (seen)
		tr_tee_seen(c, "%s", seen);
	return code == TR_TEEC_OK;
}

static struct tr_tee_field *field(struct tr_tee_result *r, const char *name)
{
	struct tr_tee_field *f;

	if (r->n_fields == TR_TEE_FIELDS_MAX)
		return NULL;
	f = &r->fields[r->n_fields++];
	*f = (struct tr_tee_field){ .name = name };
	return f;
}

void tr_tee_field_hex(struct tr_tee_result *r, const char *name, struct tr_view bytes)
{
	struct tr_tee_field *f = field(r, name);

	if (f) {
		f->form = TR_TEE_F_HEX;
		f->bytes = bytes;
	}
}

void tr_tee_field_uint(struct tr_tee_result *r, const char *name, uint64_t v)
{
	struct tr_tee_field *f = field(r, name);

	if (f) {
		f->form = TR_TEE_F_UINT;
		f->number = v;
	}
}

void tr_tee_field_text(struct tr_tee_result *r, const char *name, struct tr_view text)
{
	struct tr_tee_field *f = field(r, name);

	if (f) {
		f->form = TR_TEE_F_TEXT;
		f->bytes = text;
	}
}

void tr_tee_input(struct tr_tee_result *r, const char *name, struct tr_view bytes)
{
	if (!bytes.n || r->n_inputs == TR_TEE_INPUTS_MAX)
		return;
	r->inputs[r->n_inputs].name = name;
	tr_sha256(bytes, r->inputs[r->n_inputs++].sha256);
}

void tr_tee_advisory(struct tr_tee_result *r, struct tr_view id)
{
	size_t at = 0, n = id.n < sizeof(r->advisories[0]) ? id.n : sizeof(r->advisories[0]) - 1;
	char text[sizeof(r->advisories[0])] = { 0 };
	bool whole = n == id.n;

	if (n)
		memcpy(text, id.p, n);
	while (at < r->n_advisories && strcmp(r->advisories[at], text) < 0)
		at++;
	if (whole && at < r->n_advisories && !strcmp(r->advisories[at], text))
		return;
	/* A policy accepts advisories one by one: one that is not listed must not pass for want of room. */
	if (!whole || r->n_advisories == TR_TEE_ADVISORIES_MAX) {
		(void)tr_tee_line(r, "advisories", TR_Q_CURRENT, TR_TEEC_LIMIT, "at most 48, of 23 characters", text);
		return;
	}
	memmove(r->advisories[at + 1], r->advisories[at], (r->n_advisories - at) * sizeof(text));
	memcpy(r->advisories[at], text, sizeof(text));
	r->n_advisories++;
}

void tr_tee_until(struct tr_tee_result *r, int64_t unix_s)
{
	if (unix_s && (!r->valid_until || unix_s < r->valid_until))
		r->valid_until = unix_s;
}

bool tr_tee_authentic_and_current(const struct tr_tee_result *r)
{
	return r->answers[TR_Q_AUTHENTIC] == TR_ANSWER_YES && r->answers[TR_Q_CURRENT] != TR_ANSWER_NO;
}

void tr_tee_check_report_data(struct tr_tee_result *r, struct tr_view expected)
{
	struct tr_tee_check *c;
	bool same;

	if (!expected.n)
		return;
	same = tr_secret_eq(expected, r->report_data);
	c = tr_tee_check_add(r, "report_data", TR_Q_FRESH, same ? TR_TEEC_OK : TR_TEEC_REPORT_DATA);
	tr_tee_expected_hex(c, expected);
	tr_tee_seen_hex(c, r->report_data);
}

void tr_tee_fields_json(const struct tr_tee_result *r, struct tr_buf *b)
{
	tr_buf_add8(b, '{');
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct tr_tee_field *f = &r->fields[i];

		if (i)
			tr_buf_add8(b, ',');
		tr_json_put_str(b, tr_view_str(f->name));
		tr_buf_add8(b, ':');
		if (f->form == TR_TEE_F_UINT) {
			tr_buf_addf(b, "%llu", (unsigned long long)f->number);
		} else if (f->form == TR_TEE_F_TEXT) {
			tr_json_put_str(b, f->bytes);
		} else {
			tr_buf_add8(b, '"');
			tr_hex_add(b, f->bytes);
			tr_buf_add8(b, '"');
		}
	}
	tr_buf_add8(b, '}');
}

static void put_checks(const struct tr_tee_result *r, struct tr_buf *b)
{
	tr_buf_adds(b, ",\"checks\":[");
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct tr_tee_check *c = &r->checks[i];
		const struct tr_tee_code_info *info = tr_tee_code_info(c->code);

		tr_buf_adds(b, i ? ",{\"check\":" : "{\"check\":");
		tr_json_put_str(b, tr_view_str(c->name));
		tr_json_member_str(b, "question", tr_view_str(tr_tee_question_name(c->question)));
		tr_buf_addf(b, ",\"ok\":%s", c->code == TR_TEEC_OK ? "true" : "false");
		if (c->code != TR_TEEC_OK)
			tr_json_member_str(b, "code", tr_view_str(info->slug));
		tr_json_member_str(b, "expected", tr_view_str(c->expected));
		tr_json_member_str(b, "seen", tr_view_str(c->seen));
		if (c->code != TR_TEEC_OK)
			tr_json_member_str(b, "remedy", tr_view_str(info->sentence));
		tr_buf_add8(b, '}');
	}
	tr_buf_add8(b, ']');
}

void tr_tee_result_json(const struct tr_tee_result *r, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"kind\":");
	tr_json_put_str(b, tr_view_str(tr_tee_kind_name(r->kind)));
	for (unsigned q = 0; q < TR_Q_N; q++)
		tr_json_member_str(b, tr_tee_question_name((enum tr_tee_question)q),
				   tr_view_str(tr_answer_name(r->answers[q])));
	tr_json_member_str(b, "code", tr_view_str(tr_tee_code_info(r->first)->slug));
	tr_json_member_str(b, "tcb_status", tr_view_str(tr_tcb_status_name(r->tcb_status)));
	tr_json_member_str(b, "platform_status", tr_view_str(tr_tcb_status_name(r->platform_status)));
	tr_json_member_str(b, "module_status", tr_view_str(tr_tcb_status_name(r->module_status)));
	tr_json_member_str(b, "qe_status", tr_view_str(tr_tcb_status_name(r->qe_status)));
	tr_json_member_time(b, "tcb_date", r->tcb_date * 1000);
	tr_buf_addf(b, ",\"evaluation_number\":%llu", (unsigned long long)r->evaluation_number);
	tr_buf_adds(b, ",\"advisories\":[");
	for (size_t i = 0; i < r->n_advisories; i++) {
		if (i)
			tr_buf_add8(b, ',');
		tr_json_put_str(b, tr_view_str(r->advisories[i]));
	}
	tr_buf_add8(b, ']');
	tr_json_member_time(b, "valid_until", r->valid_until * 1000);
	tr_buf_addf(b, ",\"trailing_bytes\":%zu,\"debug\":%s", r->trailing_bytes, r->debug ? "true" : "false");
	tr_json_member_hex(b, "report_data", r->report_data);
	tr_buf_adds(b, ",\"fields\":");
	tr_tee_fields_json(r, b);
	put_checks(r, b);
	tr_buf_adds(b, ",\"inputs\":[");
	for (size_t i = 0; i < r->n_inputs; i++) {
		tr_buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		tr_json_put_str(b, tr_view_str(r->inputs[i].name));
		tr_json_member_hex(b, "sha256", TR_VIEW_ARRAY(r->inputs[i].sha256));
		tr_buf_add8(b, '}');
	}
	tr_buf_adds(b, "]}");
}
