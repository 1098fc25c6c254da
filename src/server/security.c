/* SPDX-License-Identifier: Apache-2.0 */
/* The security monitor (TE-8): GET /api/v1/security/health, counted from the stored events, so that a restart forgets no
 * failure and every node says the same. */
#include "server/hub.h"

#include "base/clock.h"

#define HOUR_MS INT64_C(3600000)
#define DEGRADED_AT 5
#define COUNTED_MAX 300 /* of each kind; more are "at least" */

struct looking {
	struct tr_req *req;
	unsigned step;
	uint64_t failed, recent;
	bool more;
};

/* The last one, without a kind, is everything. */
static const char *const steps[] = { "agent_registration_failure", "attestation_verification_failed", "" };

static struct looking *looking_free(struct looking *l)
{
	if (l) {
		(void)tr_req_free(l->req);
		free(l);
	}
	return NULL;
}
TR_DEFINE_AUTO(struct looking *, looking_free)

static void look(struct looking *l);

static void say(struct looking *l)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	int64_t now = tr_now_ms();

	l->req->core->hub->checked_at = now;
	tr_buf_adds(&b, "{\"overall_status\":");
	tr_json_put_str(&b, l->failed >= DEGRADED_AT ? TR_VIEW_LIT("degraded") : TR_VIEW_LIT("healthy"));
	tr_buf_addf(&b, ",\"recent_events_count\":%llu,\"failed_attestations_count\":%llu,\"at_least\":%s",
		    (unsigned long long)l->recent, (unsigned long long)l->failed, l->more ? "true" : "false");
	tr_json_member_time(&b, "last_check", now);
	tr_buf_adds(&b, "}");
	tr_req_answer_json(l->req, &b);
}

static void on_rows(void *arg, const void *answer)
{
	tr_auto(looking_free) struct looking *l = arg;
	const struct tr_msg_rows *m = answer;
	int64_t since = tr_now_ms() - HOUR_MS;
	uint64_t n = 0, of = 0;
	struct tr_view list, one;
	struct tr_err err;

	/* Not known is not healthy. */
	if (!m) {
		tr_req_refuse(l->req, 503, "store_unavailable", "the events could not be read, so nothing is known; try again");
		return;
	}
	list = m->rows;
	while (tr_records_next(&list, &one)) {
		struct tr_event_row row;

		of++;
		if (!tr_record_decode(&tr_event_def, one, &row, &err))
			n += row.time >= since;
	}
	l->more |= n == COUNTED_MAX && of == n;
	*(steps[l->step][0] ? &l->failed : &l->recent) += n;
	if (++l->step < TR_ARRAY_LEN(steps))
		look(TR_TAKE(l));
	else
		say(l);
}

static void look(struct looking *l)
{
	struct tr_core *c = l->req->core;
	struct tr_list_query q = { .limit = COUNTED_MAX, .outcome = tr_view_str(steps[l->step]) };
	tr_auto(tr_buf_done) struct tr_buf query = TR_BUF_INIT;

	tr_record_encode(&tr_list_query_def, &q, &query);
	tr_core_ask(c, c->store_ro, TR_M_LIST, &tr_msg_list_def,
		    &(struct tr_msg_list){ .table = TR_T_EVENT, .query = tr_buf_view(&query) }, on_rows, l);
}

void tr_api_security_health(struct tr_core *c, struct tr_req *r)
{
	struct looking *l = calloc(1, sizeof(*l));

	(void)c;
	if (l)
		l->req = tr_req_keep(r);
	if (!l || !l->req) {
		free(l);
		tr_req_refuse(r, 503, "busy", "the server is out of memory; try again later");
		return;
	}
	look(l);
}
