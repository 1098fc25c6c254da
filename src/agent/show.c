/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/show.h"

#include "agent/agent.h"
#include "agent/attest.h"
#include "agent/authority.h"
#include "agent/clock.h"
#include "agent/chain.h"
#include "agent/journal.h"
#include "agent/quarantine.h"
#include "base/clock.h"
#include "codec/text.h"

#include <stdio.h>

#define LAST 5 /* commands in `status` */

/* Nothing is cut or written: a torn tail may be a record that is being written just now. */
static struct tr_journal *look(const struct tr_state *s, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf all = TR_BUF_INIT;
	struct tr_journal *j = NULL;

	if (tr_state_read(s, TR_JOURNAL_FILE, 2 * TR_JOURNAL_SIZE_MAX, &all, err) ||
	    tr_journal_look(tr_buf_view(&all), &j, err))
		return NULL;
	return j;
}

/* Known time where there is one, as commands are judged. */
static int64_t now_ms(const struct tr_state *s)
{
	struct tr_chain c;
	struct tr_err err;
	int64_t known = tr_chain_load(s, &c, &err) ? 0 : c.time.server_ns;

	return (tr_now_ns() > known ? tr_now_ns() : known) / 1000000;
}

static const char *type_name(const struct tr_job *job)
{
	const struct tr_cmd_type *t = tr_cmd_type(job->cmd);

	return t ? t->name : job->cmd ? "?" : "(never came)";
}

static void hex(const uint8_t *p, size_t n, char *to)
{
	for (size_t i = 0; i < n; i++)
		(void)snprintf(to + 2 * i, 3, "%02x", p[i]);
}

static void print_job(const struct tr_job *job)
{
	tr_auto(tr_buf_done) struct tr_buf at = TR_BUF_INIT;
	char id[2 * TR_CMD_ID_LEN + 1];

	hex(job->cmd_id, sizeof(job->cmd_id), id);
	tr_rfc3339_add(&at, job->at_ns / 1000000);
	printf("  %s  %s  %-16s %-9s %s%s\n", tr_buf_cstr(&at), id, type_name(job),
	       tr_cmd_state_name(job->state), job->code,
	       job->acked == job->position ? "" : " (not confirmed)");
}

static void print_refused(const struct tr_refused_one *f)
{
	tr_auto(tr_buf_done) struct tr_buf at = TR_BUF_INIT;
	char id[2 * TR_CMD_ID_LEN + 1], kid[2 * TR_KID_LEN + 1];

	hex(f->cmd_id, sizeof(f->cmd_id), id);
	hex(f->kid, sizeof(f->kid), kid);
	tr_rfc3339_add(&at, f->at_ns / 1000000);
	printf("  %s  %s  refused: %s (key %s)%s\n", tr_buf_cstr(&at), id, f->code, kid,
	       f->acked ? "" : " (not confirmed)");
}

static void authority_text(const struct tr_state *s)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf at = TR_BUF_INIT;
	uint64_t hours = s->conf.stale_key_hours ? s->conf.stale_key_hours : TR_STALE_KEY_HOURS;

	tr_authority_load(s, &a);
	if (!a.walk.has) {
		printf("%-13s none that can be read\n", "keyset");
		return;
	}
	tr_rfc3339_add(&at, a.refreshed_ms);
	printf("%-13s epoch %llu, revocation number %llu, confirmed %s%s\n", "keyset",
	       (unsigned long long)a.walk.keyset.epoch, (unsigned long long)a.walk.keyset.revocation_number,
	       a.refreshed_ms ? tr_buf_cstr(&at) : "never",
	       tr_authority_is_stale(&a, now_ms(s), hours) ? ": too long ago, only reads are obeyed" : "");
}

void tr_show_text(const struct tr_state *s)
{
	tr_auto(tr_journal_free) struct tr_journal *j = NULL;
	struct tr_err err = { 0 };
	size_t n;

	authority_text(s);
	tr_attestation_text(s);
	if (tr_quarantine_is(s))
		printf("%-13s since a command said so: only reads, cancel and release are obeyed\n",
		       "quarantined");
	j = look(s, &err);
	if (!j) {
		printf("%-13s %s\n", "journal", err.code == TR_E_NOTFOUND ? "none yet" : err.detail);
		return;
	}
	n = tr_journal_jobs(j);
	printf("%-13s %s%s%s, %zu commands, %zu refusals, %llu bytes\n", "journal",
	       tr_journal_health_name(tr_journal_health(j)), tr_journal_health(j) ? ": " : "",
	       tr_journal_why(j), n, tr_journal_refusals(j), (unsigned long long)tr_journal_size(j));
	for (size_t i = n > LAST ? n - LAST : 0; i < n; i++)
		print_job(tr_journal_job(j, i));
}

static void job_json(const struct tr_job *job, struct tr_buf *b)
{
	tr_buf_adds(b, "{\"id\":\"");
	tr_hex_add(b, TR_VIEW_ARRAY(job->cmd_id));
	tr_buf_addf(b, "\",\"type\":\"%s\",\"state\":\"%s\",\"code\":", type_name(job),
		    tr_cmd_state_name(job->state));
	tr_json_put_str(b, tr_view_str(job->code));
	tr_buf_addf(b, ",\"line\":%llu,\"seq\":%llu,\"position\":%llu,\"confirmed\":%s,\"at\":\"",
		    (unsigned long long)job->line, (unsigned long long)job->seq,
		    (unsigned long long)job->position, job->acked == job->position ? "true" : "false");
	tr_rfc3339_add(b, job->at_ns / 1000000);
	tr_buf_adds(b, "\"}");
}

void tr_show_json(const struct tr_state *s, struct tr_buf *b)
{
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	tr_auto(tr_journal_free) struct tr_journal *j = NULL;
	struct tr_err err = { 0 };
	size_t n;

	tr_authority_load(s, &a);
	tr_buf_addf(b, ",\"authority\":{\"epoch\":%llu,\"revocation\":%llu,\"stale\":%s,\"confirmed\":",
		    (unsigned long long)(a.walk.has ? a.walk.keyset.epoch : 0),
		    (unsigned long long)(a.walk.has ? a.walk.keyset.revocation_number : 0),
		    tr_authority_is_stale(&a, now_ms(s), s->conf.stale_key_hours) ? "true" : "false");
	if (a.refreshed_ms) {
		tr_buf_adds(b, "\"");
		tr_rfc3339_add(b, a.refreshed_ms);
		tr_buf_adds(b, "\"");
	} else {
		tr_buf_adds(b, "null");
	}
	tr_buf_adds(b, "}");
	tr_attestation_json(s, b);
	tr_buf_addf(b, ",\"quarantined\":%s,\"journal\":", tr_quarantine_is(s) ? "true" : "false");
	j = look(s, &err);
	if (!j) {
		tr_buf_adds(b, "null");
		return;
	}
	tr_buf_addf(b, "{\"state\":\"%s\",\"why\":", tr_journal_health_name(tr_journal_health(j)));
	tr_json_put_str(b, tr_view_str(tr_journal_why(j)));
	tr_buf_addf(b, ",\"bytes\":%llu,\"line\":%llu,\"high\":%llu,\"refusals\":%zu,\"commands\":[",
		    (unsigned long long)tr_journal_size(j), (unsigned long long)tr_journal_line(j),
		    (unsigned long long)tr_journal_high(j), tr_journal_refusals(j));
	n = tr_journal_jobs(j);
	for (size_t i = 0; i < n; i++) {
		if (i)
			tr_buf_adds(b, ",");
		job_json(tr_journal_job(j, i), b);
	}
	tr_buf_adds(b, "]}");
}

/* ---- the command ---- */

static int show(const struct tr_state *s)
{
	struct tr_err err = { 0 };
	tr_auto(tr_journal_free) struct tr_journal *j = look(s, &err);

	if (!j && err.code == TR_E_NOTFOUND) {
		printf("no journal yet: nothing was ever ordered\n");
		return TR_AGENT_EXIT_OK;
	}
	if (!j)
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	printf("state    %s%s%s\n", tr_journal_health_name(tr_journal_health(j)),
	       tr_journal_health(j) ? ": " : "", tr_journal_why(j));
	printf("line     %llu, highest number %llu\n", (unsigned long long)tr_journal_line(j),
	       (unsigned long long)tr_journal_high(j));
	printf("commands %zu%s\n", tr_journal_jobs(j), tr_journal_health(j) ? " before the damage" : "");
	for (size_t i = 0; i < tr_journal_jobs(j); i++)
		print_job(tr_journal_job(j, i));
	printf("refusals %zu\n", tr_journal_refusals(j));
	for (size_t i = 0; i < tr_journal_refusals(j); i++)
		print_refused(tr_journal_refusal(j, i));
	return tr_journal_health(j) ? TR_AGENT_EXIT_STATE : TR_AGENT_EXIT_OK;
}

static int reset(struct tr_state *s)
{
	tr_auto(tr_journal_file_done) struct tr_journal_file f = { .fd = -1 };
	tr_auto(tr_authority_done) struct tr_authority a = { 0 };
	struct tr_journal_io io;
	struct tr_err err = { 0 };

	if (tr_state_lock(s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	tr_journal_file_init(&f, s->dir, &io);
	tr_authority_load(s, &a);
	a.journal = true;
	if (tr_journal_reset(&io, now_ms(s), &err) || tr_authority_save(s, &a, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	printf("the journal begins anew; the old one is %s/journal.damaged\n"
	       "commands that were issued until now are refused, also those that were not carried out: order "
	       "them again\n",
	       s->dir);
	return TR_AGENT_EXIT_OK;
}

int tr_agent_journal(const char *state_dir, bool begin_anew)
{
	tr_auto(tr_state_done) struct tr_state s = TR_STATE_INIT;
	struct tr_err err = { 0 };

	if (tr_state_open(state_dir, &s, &err) || tr_state_load_conf(&s, &err))
		return tr_agent_fail(TR_AGENT_EXIT_STATE, &err);
	return begin_anew ? reset(&s) : show(&s);
}
