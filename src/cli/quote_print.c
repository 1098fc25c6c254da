/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict for people: the outcome, the four questions, and every line of it. */
#include "cli/quote.h"

#include <inttypes.h>

#include "cli/output.h"
#include "codec/text.h"

static void put_value(struct tr_buf *b, const char *label, const char *text)
{
	if (!*text)
		return;
	tr_buf_addf(b, "        %s ", label);
	tr_out_escape(b, tr_view_str(text));
	tr_buf_add8(b, '\n');
}

void tr_quote_not_asked(struct tr_buf *b, const struct tr_tee_verdict *v)
{
	static const char *const how[TR_Q_N] = { "", "", "", " (give --report-data, --nonce, or --challenge and --public-key)" };

	for (unsigned q = 0; q < TR_Q_N; q++)
		/* A TPM whose key is known by itself rests on nothing that could be out of date. */
		if (v->ev.answers[q] == TR_ANSWER_NOT_ASKED && !(q == TR_Q_CURRENT && v->ev.kind == TR_TEE_TPM))
			tr_buf_addf(b, "%s%s%s", b->n ? "; " : "", tr_tee_question_name((enum tr_tee_question)q), how[q]);
	if (v->ev.answers[TR_Q_SOFTWARE] != TR_ANSWER_NOT_ASKED && !v->compared)
		tr_buf_addf(b, "%smeasurements (give --policy with reference values)", b->n ? "; " : "");
}

static void put_outcome(struct tr_buf *b, const struct tr_tee_verdict *v)
{
	const struct tr_tee_code_info *info = tr_tee_code_info(v->ev.first);
	tr_auto(tr_buf_done) struct tr_buf open = TR_BUF_INIT;

	tr_quote_not_asked(&open, v);
	if (!v->ok)
		tr_buf_addf(b, "REFUSED: %s\n%s\n", info->slug, info->sentence);
	else if (open.n)
		tr_buf_adds(b, "Nothing of what was asked is wrong.\n");
	else
		tr_buf_adds(b, "VERIFIED\n");
	if (open.n)
		tr_buf_addf(b, "NOT VERIFIED, because it was not asked: %s\n", tr_buf_cstr(&open));
	if (v->simulated)
		tr_buf_adds(b, "SIMULATED: the root is one of a simulated TEE. This is no hardware.\n");
	if (v->ev.trailing_bytes)
		tr_buf_addf(b, "Note: %zu zero bytes follow the quote.\n", v->ev.trailing_bytes);
}

void tr_quote_print(struct tr_buf *b, const struct tr_tee_verdict *v, bool all, bool colour)
{
	const struct tr_tee_result *r = &v->ev;

	put_outcome(b, v);
	tr_buf_addf(b, "\n%s evidence", tr_tee_kind_name(r->kind));
	for (unsigned q = 0; q < TR_Q_N; q++)
		tr_buf_addf(b, "%s %s: %s", q ? "," : ";", tr_tee_question_name((enum tr_tee_question)q),
			    r->answers[q] == TR_ANSWER_NOT_ASKED ? "NOT ASKED" : tr_answer_name(r->answers[q]));
	tr_buf_addf(b, "\ntier %s", tr_tier_name(v->tier));
	if (r->tcb_status != TR_TCB_NONE)
		tr_buf_addf(b, ", TCB %s", tr_tcb_status_name(r->tcb_status));
	if (v->image[0]) {
		tr_buf_adds(b, ", image ");
		tr_out_escape(b, tr_view_str(v->image));
	}
	for (size_t i = 0; i < r->n_advisories; i++)
		tr_buf_addf(b, "%s%s", i ? ", " : "\nadvisories: ", r->advisories[i]);
	tr_buf_adds(b, "\n\n");
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct tr_tee_check *c = &r->checks[i];
		const bool ok = c->code == TR_TEEC_OK;

		tr_buf_addf(b, "  %s%s%s  %-29s %s\n", colour ? (ok ? "\033[32m" : "\033[31m") : "", ok ? "ok  " : "FAIL",
			    colour ? "\033[0m" : "", c->name, tr_tee_question_name(c->question));
		if (!ok || all) {
			put_value(b, "expected", c->expected);
			put_value(b, "seen    ", c->seen);
		}
		if (!ok)
			tr_buf_addf(b, "        %s: %s\n", tr_tee_code_info(c->code)->slug, tr_tee_code_info(c->code)->sentence);
	}
}

void tr_quote_print_fields(struct tr_buf *b, const struct tr_tee_result *r)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct tr_tee_field *f = &r->fields[i];

		tr_buf_addf(b, "%-22s ", f->name);
		switch (f->form) {
		case TR_TEE_F_UINT: tr_buf_addf(b, "%" PRIu64 " (0x%" PRIx64 ")", f->number, f->number); break;
		case TR_TEE_F_TEXT: tr_out_escape(b, f->bytes); break;
		default: tr_hex_add(b, f->bytes); break;
		}
		tr_buf_add8(b, '\n');
	}
}
