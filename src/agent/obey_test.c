/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are signed for real, on a disk that fails and loses power at every call: how often a command
 * had its effect is counted outside of everything that is lost. */
#include "agent/journal_lab.h"
#include "agent/obey.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW INT64_C(1795330800000)
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static struct tr_err err;
static struct tr_privkey *command_key, *second_key, *operators[2], *stranger, *device;
static struct tr_keyset keyset;

/* ---- handlers that count ---- */

static struct {
	unsigned effects[TR_CMD_N];
	struct disk *disk;
	bool die_before, die_after, fails, goes_on;
	enum tr_cmd_state later; /* what look says; 0: it cannot tell */
} world;

static struct tr_cmd_end count(void *arg, const struct tr_job *job, const struct tr_order *o,
			       struct tr_buf *result)
{
	(void)arg;
	assert_true(job->cmd == o->cmd);
	if (world.die_before)
		world.disk->dead = true;
	else if (world.disk && world.disk->dead)
		fail_msg("an effect after the power was gone");
	else
		world.effects[o->cmd]++;
	if (world.die_after)
		world.disk->dead = true;
	tr_buf_adds(result, "{\"n\":1}");
	if (world.goes_on)
		return (struct tr_cmd_end){ TR_CS_STARTED, NULL };
	return world.fails ? (struct tr_cmd_end){ TR_CS_FAILED, "because" }
			   : (struct tr_cmd_end){ TR_CS_DONE, NULL };
}

static void note(void *arg, struct tr_buf *ret)
{
	(void)arg;
	tr_buf_adds(ret, "before");
}

static struct tr_cmd_end look(void *arg, const struct tr_job *job, bool same, struct tr_buf *result)
{
	(void)arg;
	(void)same;
	(void)result;
	assert_memory_equal(job->note, "before", 6);
	return (struct tr_cmd_end){ world.later, world.later == TR_CS_FAILED ? "late" : NULL };
}

static const struct tr_cmd_ops ops_status = { .cmd = TR_CMD_STATUS, .run = count },
			       ops_interval = { .cmd = TR_CMD_SET_INTERVAL, .run = count },
			       ops_note = { .cmd = TR_CMD_NOTE, .run = count },
			       ops_restart = { .cmd = TR_CMD_RESTART_AGENT,
					       .note = note,
					       .run = count,
					       .look = look },
			       ops_quarantine = { .cmd = TR_CMD_QUARANTINE, .run = count },
			       ops_release = { .cmd = TR_CMD_RELEASE, .run = count };
static const struct tr_cmd_ops *const all_ops[] = { &ops_status,     &ops_interval,
						    &ops_note,	     &ops_restart,
						    &ops_quarantine, &ops_release,
						    &tr_cmd_cancel,  NULL };

/* ---- one agent ---- */

struct agent {
	struct disk disk;
	struct tr_obey o;
	unsigned done_told; /* receipts of DONE that were taken */
};

static void boot(struct agent *a)
{
	struct tr_journal_io io = disk_io(&a->disk);
	struct tr_journal *j = NULL;

	assert_int_equal(tr_journal_open(&io, false, &j, &err), TR_OK);
	a->o = (struct tr_obey){
		.journal = j,
		.ops = all_ops,
		.scope = { .trust_domain = TR_VIEW_LIT("e2e.example"),
			   .agent_id = TR_VIEW_LIT("web-1"),
			   .keyset = &keyset },
		.image = TR_VIEW_LIT("0123456789abcdef0123456789abcdef"),
		.now = { .known_ms = NOW, .wall_ns = NOW * 1000000, .mono_ms = 1000 },
	};
	world.disk = &a->disk;
	world.die_before = world.die_after = false;
}

static void down(struct agent *a)
{
	a->o.journal = tr_journal_free(a->o.journal);
}

static void gone(struct agent *a)
{
	down(a);
	disk_done(&a->disk);
	memset(&world, 0, sizeof(world));
}

/* Takes every receipt; returns the state of the last one for this id, 0: none. */
static uint64_t receipts(struct agent *a, uint8_t id, char code[64])
{
	uint64_t position, state = 0;

	for (;;) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_receipt r;

		if (!tr_obey_receipt(&a->o, device, &b, &position))
			return state;
		assert_int_equal(tr_receipt_verify(tr_buf_view(&b), tr_privkey_pub(device), &r, &err), TR_OK);
		assert_true(tr_view_is(r.agent_id, "web-1"));
		if (r.cmd_id[0] == id && r.cmd_id[15] == id) {
			state = r.state;
			if (code)
				(void)snprintf(code, 64, "%.*s", TR_VIEW_FMT(r.code));
			if (r.state == TR_CS_DONE)
				a->done_told++;
		}
		if (!a->disk.dead)
			tr_obey_acked(&a->o, position);
	}
}

/* ---- commands ---- */

struct given {
	uint8_t id;
	uint64_t cmd, seq, line, seconds;
	int64_t issued_ms, not_before_ms, lives_ms;
	const struct tr_privkey *by;
	unsigned approvals;
	bool same_operator;
	const char *agent, *domain, *image;
	uint8_t target;
};

static void approve(struct tr_view order, const struct tr_privkey *k, int64_t at, struct tr_buf *ret)
{
	struct tr_approval a = { .trust_domain = TR_VIEW_LIT("e2e.example"),
				 .issued_ms = at,
				 .expires_ms = at + HOUR / 2,
				 .text = TR_VIEW_LIT("do it"),
				 .n = 1 };

	tr_order_digest(order, a.orders[0]);
	if (tr_approval_sign(&a, k, ret, &err))
		fail_msg("approval: %s (%s)", err.pub, err.detail);
}

static void make(struct given g, struct tr_buf *ret)
{
	const struct tr_cmd_type *t = tr_cmd_type(g.cmd);
	int64_t at = g.issued_ms ? g.issued_ms : NOW,
		life = g.lives_ms ? g.lives_ms : (int64_t)t->lifetime_s * 1000;
	tr_auto(tr_buf_done) struct tr_buf order = TR_BUF_INIT, first = TR_BUF_INIT, second = TR_BUF_INIT;
	struct tr_buf *const ok[2] = { &first, &second };
	uint8_t target[16];
	struct tr_order o = {
		.trust_domain = tr_view_str(g.domain ? g.domain : "e2e.example"),
		.agent_id = tr_view_str(g.agent ? g.agent : "web-1"),
		.cmd = g.cmd,
		.ordered_ms = at,
		.not_before_ms = g.not_before_ms,
		.expires_ms = (g.not_before_ms ? g.not_before_ms : at) + life,
		.image = tr_view_str(g.image),
	};
	struct tr_command c = {
		.line = g.line ? g.line : 7, .seq = g.seq, .issued_ms = at, .keyset_epoch = 1
	};

	memset(o.cmd_id, g.id, sizeof(o.cmd_id));
	memset(target, g.target, sizeof(target));
	if (t->seconds)
		o.seconds = g.seconds ? g.seconds : 60;
	if (t->text)
		o.text = TR_VIEW_LIT("hello");
	if (t->target)
		o.target = TR_VIEW_ARRAY(target);
	if (tr_order_encode(&o, &order, &err))
		fail_msg("order: %s (%s)", err.pub, err.detail);
	c.order = tr_buf_view(&order);
	c.expires_ms = o.expires_ms;
	for (unsigned i = 0; i < g.approvals; i++) {
		approve(c.order, operators[g.same_operator ? 0 : i], at, ok[i]);
		c.approvals[c.n_approvals++] = tr_buf_view(ok[i]);
	}
	if (tr_command_sign(&c, g.by ? g.by : command_key, ret, &err))
		fail_msg("command: %s (%s)", err.pub, err.detail);
}

static void give(struct agent *a, struct given g)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	make(g, &b);
	(void)tr_obey_take(&a->o, tr_buf_view(&b), true);
}

static const struct given query = { .id = 1, .cmd = TR_CMD_STATUS, .seq = 1 },
			  idempotent = { .id = 2, .cmd = TR_CMD_SET_INTERVAL, .seq = 1, .approvals = 1 },
			  once = { .id = 3, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1 },
			  restart = { .id = 4, .cmd = TR_CMD_RESTART_AGENT, .seq = 1, .approvals = 1 };

/* ---- what goes well ---- */

static void each_kind_has_its_effect_and_a_receipt(void **state)
{
	const struct given all[] = { query, idempotent, once, restart };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		struct agent a = { 0 };
		char code[64];

		boot(&a);
		give(&a, all[i]);
		assert_int_equal(world.effects[all[i].cmd], 1);
		assert_int_equal(receipts(&a, all[i].id, code), TR_CS_DONE);
		assert_string_equal(code, "");
		assert_int_equal(receipts(&a, all[i].id, NULL), 0); /* the server has it */
		give(&a, all[i]);				    /* delivered again */
		assert_int_equal(receipts(&a, all[i].id, NULL), TR_CS_DONE);
		down(&a);
		boot(&a);
		tr_obey_resume(&a.o);
		assert_int_equal(receipts(&a, all[i].id, NULL), 0);
		give(&a, all[i]);
		assert_int_equal(receipts(&a, all[i].id, NULL), TR_CS_DONE);
		assert_int_equal(world.effects[all[i].cmd], 1);
		gone(&a);
	}
}

static void signed_anew_it_is_the_same(void **state)
{
	struct agent a = { 0 };
	struct given g = once;

	(void)state;
	boot(&a);
	give(&a, g);
	assert_int_equal(receipts(&a, 3, NULL), TR_CS_DONE);
	g.seq = 5;
	g.by = second_key;
	give(&a, g);
	assert_int_equal(receipts(&a, 3, NULL), TR_CS_DONE);
	assert_int_equal(world.effects[TR_CMD_NOTE], 1);
	assert_true(tr_journal_high(a.o.journal) == 5);
	gone(&a);
}

static void one_that_fails_says_why(void **state)
{
	struct agent a = { 0 };
	char code[64];

	(void)state;
	boot(&a);
	world.fails = true;
	give(&a, once);
	assert_int_equal(receipts(&a, 3, code), TR_CS_FAILED);
	assert_string_equal(code, "because");
	gone(&a);
}

static void what_goes_on_is_looked_after(void **state)
{
	static const enum tr_cmd_state ends[] = { TR_CS_DONE, TR_CS_FAILED };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct agent a = { 0 };

		boot(&a);
		world.goes_on = true;
		world.later = TR_CS_STARTED;
		give(&a, restart);
		assert_int_equal(receipts(&a, 4, NULL), TR_CS_STARTED);
		tr_obey_tick(&a.o);
		assert_int_equal(receipts(&a, 4, NULL), 0);
		world.later = ends[i % 2];
		if (i / 2) { /* by the next process */
			down(&a);
			boot(&a);
			tr_obey_resume(&a.o);
		} else {
			tr_obey_tick(&a.o);
		}
		assert_int_equal(receipts(&a, 4, NULL), ends[i % 2]);
		assert_int_equal(world.effects[TR_CMD_RESTART_AGENT], 1);
		gone(&a);
	}
}

/* ---- what is refused ---- */

/* What may come again does not use its number up, what was for somebody else or by nobody has none. */
static bool still_missing(const char *code)
{
	static const char *const open_numbers[] = { "unknown_key", "revoked_key",  "wrong_agent",
						    "not_yet",	   "stale_keyset", "replayed" };

	for (size_t i = 0; i < TR_ARRAY_LEN(open_numbers); i++)
		if (strcmp(code, open_numbers[i]) == 0)
			return true;
	return false;
}

static void a_refusal_has_its_name_in_a_signed_receipt(void **state)
{
	static const uint8_t garbage[] = "not a command";
	const struct {
		const char *code;
		struct given g;
		int64_t after_ms; /* known time of the agent, against NOW */
		bool quarantined, stale, revoked;
	} cases[] = {
		{ "unknown_key", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1, .by = stranger }, 0, 0, 0, 0 },
		{ "revoked_key", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1 }, 0, 0, 0, true },
		{ "wrong_agent", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1, .agent = "web-2" }, 0, 0, 0, 0 },
		{ "wrong_agent",
		  { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1, .domain = "other.example" },
		  0,
		  0,
		  0,
		  0 },
		{ "expired", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1 }, 5 * MINUTE, 0, 0, 0 },
		{ "not_yet", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1 }, -6 * MINUTE, 0, 0, 0 },
		{ "approval_missing", { .id = 9, .cmd = TR_CMD_NOTE, .seq = 1 }, 0, 0, 0, 0 },
		{ "approval_missing",
		  { .id = 9, .cmd = TR_CMD_QUARANTINE, .seq = 1, .approvals = 1 },
		  0,
		  0,
		  0,
		  0 },
		{ "approval_missing",
		  { .id = 9, .cmd = TR_CMD_QUARANTINE, .seq = 1, .approvals = 2, .same_operator = true },
		  0,
		  0,
		  0,
		  0 },
		{ "approval_invalid",
		  { .id = 9, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1 },
		  HOUR / 2 + 1,
		  0,
		  0,
		  0 },
		{ "stale_keyset", { .id = 9, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1 }, 0, 0, true, 0 },
		{ "wrong_image",
		  { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1, .image = "fedcba9876543210fedcba9876543210" },
		  0,
		  0,
		  0,
		  0 },
		{ "quarantined", { .id = 9, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1 }, 0, true, 0, 0 },
		{ "unsupported", { .id = 9, .cmd = TR_CMD_INVENTORY, .seq = 1 }, 0, 0, 0, 0 },
		{ "replayed", { .id = 9, .cmd = TR_CMD_STATUS, .seq = 1, .line = 6 }, 0, 0, 0, 0 },
	};
	struct agent a = { 0 };
	uint64_t missing[TR_RECEIPT_MISSING_MAX];

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
		struct agent b = { 0 };
		char code[64] = "";

		boot(&b);
		give(&b, (struct given){ .id = 8, .cmd = TR_CMD_STATUS, .seq = 9 }); /* line 7 is under way */
		assert_int_equal(receipts(&b, 8, NULL), TR_CS_DONE);
		b.o.now.known_ms += cases[i].after_ms;
		b.o.quarantined = cases[i].quarantined;
		b.o.scope.grace_over = cases[i].stale;
		keyset.n_revoked = cases[i].revoked;
		give(&b, cases[i].g);
		for (unsigned again = 0; again < 3; again++) {
			if (receipts(&b, 9, code) != TR_CS_REFUSED || strcmp(code, cases[i].code) != 0)
				fail_msg("case %zu (%u): \"%s\", not %s", i, again, code, cases[i].code);
			if (again == 1) { /* nothing of it is lost with the process */
				down(&b);
				boot(&b);
				b.o.now.known_ms += cases[i].after_ms;
				b.o.quarantined = cases[i].quarantined;
				b.o.scope.grace_over = cases[i].stale;
			}
			give(&b, cases[i].g);
		}
		assert_int_equal(tr_journal_refusals(b.o.journal), 1);
		assert_true(tr_journal_missing(b.o.journal, missing) > 0);
		assert_int_equal(missing[0] == 1, still_missing(code));
		assert_int_equal(world.effects[cases[i].g.cmd], cases[i].g.cmd == TR_CMD_STATUS);
		keyset.n_revoked = 0;
		gone(&b);
	}
	boot(&a);
	assert_int_equal(tr_obey_take(&a.o, TR_VIEW_ARRAY(garbage), false), TR_OBEY_TOOK);
	assert_int_equal(receipts(&a, 0, NULL), TR_CS_REFUSED);
	a.o.scope.keyset = NULL;
	give(&a, query);
	assert_int_equal(receipts(&a, 1, NULL), TR_CS_REFUSED);
	gone(&a);
}

static void no_flipped_bit_is_obeyed(void **state)
{
	struct agent a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

	(void)state;
	boot(&a);
	make(query, &b);
	for (size_t bit = 0; bit < b.n * 8; bit += 3) {
		b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)tr_obey_take(&a.o, tr_buf_view(&b), true);
		b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(world.effects[TR_CMD_STATUS], 0);
	assert_int_equal(tr_journal_jobs(a.o.journal), 0);
	assert_true(tr_journal_high(a.o.journal) == 0);
	/* Of so many, a minute tells of sixty. */
	assert_int_equal(tr_journal_refusals(a.o.journal), TR_OBEY_REFUSED_PER_MIN);
	(void)tr_obey_take(&a.o, tr_buf_view(&b), true);
	assert_int_equal(world.effects[TR_CMD_STATUS], 1);
	gone(&a);
}

static void an_unknown_key_asks_for_the_keyset_first(void **state)
{
	struct agent a = { 0 };
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct given g = query;

	(void)state;
	boot(&a);
	g.by = stranger;
	make(g, &b);
	assert_int_equal(tr_obey_take(&a.o, tr_buf_view(&b), false), TR_OBEY_KEY_UNKNOWN);
	assert_int_equal(tr_journal_refusals(a.o.journal), 0);
	assert_int_equal(tr_obey_take(&a.o, tr_buf_view(&b), true), TR_OBEY_TOOK);
	assert_int_equal(tr_journal_refusals(a.o.journal), 1);
	gone(&a);
}

/* Whoever signs with a key that is not good any more must not be able to cross out what a good one will sign.
 */
static void a_refusal_blocks_nothing(void **state)
{
	struct agent a = { 0 };
	struct given g = once;

	(void)state;
	boot(&a);
	g.by = stranger;
	give(&a, g);
	keyset.n_revoked = 1;
	give(&a, once);
	keyset.n_revoked = 0;
	assert_int_equal(world.effects[TR_CMD_NOTE], 0);
	give(&a, once);
	assert_int_equal(world.effects[TR_CMD_NOTE], 1);
	gone(&a);
}

static void reads_go_on_in_quarantine_and_when_stale(void **state)
{
	struct agent a = { 0 };

	(void)state;
	boot(&a);
	a.o.quarantined = true;
	give(&a, query);
	assert_int_equal(world.effects[TR_CMD_STATUS], 1);
	give(&a, (struct given){ .id = 5, .cmd = TR_CMD_RELEASE, .seq = 2, .approvals = 2 });
	assert_int_equal(world.effects[TR_CMD_RELEASE], 1);
	give(&a, (struct given){ .id = 6, .cmd = TR_CMD_CANCEL, .seq = 3, .target = 77 });
	assert_int_equal(receipts(&a, 6, NULL), TR_CS_DONE);
	a.o.quarantined = false;
	a.o.scope.grace_over = true;
	give(&a, (struct given){ .id = 7, .cmd = TR_CMD_STATUS, .seq = 4 });
	assert_int_equal(world.effects[TR_CMD_STATUS], 2);
	gone(&a);
}

/* ---- time ---- */

static void what_waits_for_its_time(void **state)
{
	const struct given later = {
		.id = 5, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1, .not_before_ms = NOW + 2 * HOUR
	};
	char code[64];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct agent a = { 0 };

		boot(&a);
		give(&a, later);
		assert_int_equal(world.effects[TR_CMD_NOTE], 0);
		assert_int_equal(receipts(&a, 5, NULL), TR_CS_RECEIVED);
		assert_true(tr_obey_wake_ms(&a.o) == NOW + 2 * HOUR);
		down(&a);
		boot(&a);
		tr_obey_resume(&a.o);
		assert_int_equal(world.effects[TR_CMD_NOTE], 0);
		a.o.now.known_ms = NOW + HOUR; /* its approval is over by now: it counted when it came */
		give(&a, later);
		assert_int_equal(receipts(&a, 5, NULL), TR_CS_RECEIVED);
		switch (i) {
		case 0: a.o.now.known_ms = NOW + 2 * HOUR; break;
		case 1: a.o.now.known_ms = NOW + 7 * HOUR; break;
		case 2: keyset.n_revoked = 1; break;
		case 3:
			give(&a, (struct given){ .id = 6,
						 .cmd = TR_CMD_CANCEL,
						 .seq = 2,
						 .target = 5,
						 .issued_ms = NOW + HOUR });
			a.o.now.known_ms = NOW + 2 * HOUR;
			break;
		default: a.o.quarantined = true; a.o.now.known_ms = NOW + 2 * HOUR;
		}
		tr_obey_tick(&a.o);
		keyset.n_revoked = 0;
		assert_int_equal(world.effects[TR_CMD_NOTE], i == 0);
		assert_int_equal(receipts(&a, 5, code), i == 0	 ? TR_CS_DONE
							: i == 3 ? TR_CS_CANCELLED
								 : TR_CS_REFUSED);
		assert_string_equal(code, ((const char *const[]){ "", "expired", "revoked_key", "cancelled",
								  "quarantined" })[i]);
		assert_true(tr_obey_wake_ms(&a.o) == 0);
		a.o.now.known_ms = NOW + 2 * HOUR; /* signed anew under a good key */
		a.o.quarantined = false;
		give(&a, (struct given){ .id = 5,
					 .cmd = TR_CMD_NOTE,
					 .seq = 9,
					 .approvals = 1,
					 .by = second_key,
					 .not_before_ms = NOW + 2 * HOUR });
		assert_int_equal(world.effects[TR_CMD_NOTE], i == 0);
		gone(&a);
	}
}

/* A command that waited was signed by a key that was then revoked; the same order comes under a good key. */
static void a_revoked_one_runs_once_under_a_good_key(void **state)
{
	const struct given later = {
		.id = 5, .cmd = TR_CMD_NOTE, .seq = 1, .approvals = 1, .not_before_ms = NOW + 10 * MINUTE
	};
	struct given anew = later;
	struct agent a = { 0 };

	(void)state;
	boot(&a);
	give(&a, later);
	keyset.n_revoked = 1;
	tr_obey_tick(&a.o);
	assert_int_equal(receipts(&a, 5, NULL), TR_CS_REFUSED);
	anew.by = second_key;
	anew.seq = 2;
	give(&a, anew);
	assert_int_equal(receipts(&a, 5, NULL), TR_CS_RECEIVED);
	down(&a);
	boot(&a);
	a.o.now.known_ms = NOW + 10 * MINUTE;
	tr_obey_resume(&a.o);
	give(&a, anew);
	assert_int_equal(receipts(&a, 5, NULL), TR_CS_DONE);
	assert_int_equal(world.effects[TR_CMD_NOTE], 1);
	keyset.n_revoked = 0;
	gone(&a);
}

static void cancelled_before_it_comes(void **state)
{
	struct agent a = { 0 };
	char code[64];

	(void)state;
	boot(&a);
	give(&a, (struct given){ .id = 6, .cmd = TR_CMD_CANCEL, .seq = 2, .target = 3 });
	assert_int_equal(receipts(&a, 6, NULL), TR_CS_DONE);
	down(&a);
	boot(&a);
	give(&a, once);
	assert_int_equal(receipts(&a, 3, code), TR_CS_CANCELLED);
	assert_string_equal(code, "cancelled");
	assert_int_equal(world.effects[TR_CMD_NOTE], 0);
	give(&a, query);
	assert_int_equal(receipts(&a, 1, code), TR_CS_REFUSED); /* number 1 is the cancelled one's */
	assert_string_equal(code, "replayed");
	give(&a, (struct given){ .id = 7, .cmd = TR_CMD_STATUS, .seq = 3 });
	give(&a, (struct given){ .id = 8, .cmd = TR_CMD_CANCEL, .seq = 4, .target = 7 });
	assert_int_equal(receipts(&a, 8, code), TR_CS_FAILED);
	assert_string_equal(code, "too_late");
	gone(&a);
}

/* ---- the power goes, the disk is full ---- */

struct trial {
	struct given g;
	unsigned at;
	size_t part, keep;
	bool zeros, before, after;
	unsigned fail_for;
	int fail_errno; /* 0: the power goes */
};

static void judge(struct agent *a, const struct trial *t, unsigned done_before)
{
	struct tr_job *job = tr_journal_job(a->o.journal, 0);
	unsigned n = world.effects[t->g.cmd];
	bool is_once = tr_cmd_type(t->g.cmd)->kind == TR_KIND_ONCE;

	if (is_once && n > 1)
		fail_msg("type %d, call %u, part %zu, keep %zu: %u effects", (int)t->g.cmd, t->at, t->part,
			 t->keep, n);
	if (done_before && (tr_journal_jobs(a->o.journal) == 0 || job->state != TR_CS_DONE))
		fail_msg("call %u: a DONE that the server has is lost", t->at);
	assert_int_equal(tr_journal_jobs(a->o.journal), 1);
	if (job->state == TR_CS_DONE)
		assert_true(n >= 1);
	else if (!is_once || job->state != TR_CS_UNKNOWN)
		fail_msg("type %d, call %u, part %zu, keep %zu: ends as %s", (int)t->g.cmd, t->at, t->part,
			 t->keep, tr_cmd_state_name(job->state));
	if (is_once && job->state == TR_CS_DONE)
		assert_int_equal(n, 1);
	assert_true(tr_journal_high(a->o.journal) == 1);
}

/* True when the call that was to fail came. */
static bool try_one(const struct trial *t)
{
	struct agent a = { 0 };
	unsigned told;
	bool hit;

	boot(&a);
	a.disk.calls = 0;
	a.disk.part = t->part;
	world.later = TR_CS_UNKNOWN;
	world.die_before = t->before;
	world.die_after = t->after;
	if (t->fail_errno) {
		a.disk.fail_at = t->at;
		a.disk.fail_for = t->fail_for;
		a.disk.fail_errno = t->fail_errno;
	} else {
		a.disk.kill_at = t->at;
	}
	give(&a, t->g);
	(void)receipts(&a, t->g.id, NULL);
	tr_obey_tick(&a.o);
	hit = a.disk.calls >= t->at || a.disk.dead;
	told = a.disk.dead ? 0 : a.done_told;
	if (t->fail_errno)
		a.disk.fail_at = 0; /* there is room again */
	for (unsigned round = 0; round < 3; round++) {
		if (!t->fail_errno || round) {
			down(&a);
			disk_power(&a.disk, t->keep, t->zeros);
			boot(&a);
			world.later = TR_CS_UNKNOWN;
			tr_obey_resume(&a.o);
		}
		give(&a, t->g);
		(void)receipts(&a, t->g.id, NULL);
		tr_obey_tick(&a.o);
		(void)receipts(&a, t->g.id, NULL);
		judge(&a, t, told);
		told = a.done_told;
	}
	gone(&a);
	return hit;
}

/* Bytes of a record that reach the disk; journal_test.c tears one at every byte. Odd: a rewriting fails after
 * its rename. */
static const size_t parts[] = { 0, 1, 7, 8, 12, 13, 40, 101, 300, 700 };

static void power_lost_at_every_call(void **state)
{
	const struct given all[] = { query, idempotent, once, restart };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		unsigned at = 1;

		for (bool hit = true; hit; at++) {
			for (size_t k = 0; k < TR_ARRAY_LEN(parts); k++) {
				struct trial t = {
					.g = all[i], .at = at, .part = parts[k], .keep = parts[k]
				};

				hit = try_one(&t);
				t.zeros = true;
				(void)try_one(&t);
				t.part = SIZE_MAX; /* everything was written, nothing of it synced */
				(void)try_one(&t);
			}
		}
		assert_true(at > 6);
		(void)try_one(&(struct trial){ .g = all[i], .at = 10000, .before = true });
		(void)try_one(&(struct trial){ .g = all[i], .at = 10000, .after = true });
	}
}

static void failures_at_every_call(void **state)
{
	const struct given all[] = { query, idempotent, once, restart };
	static const int errors[] = { ENOSPC, EIO };

	(void)state;
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++)
		for (size_t e = 0; e < TR_ARRAY_LEN(errors); e++)
			for (unsigned n = 1; n < 5; n++) {
				unsigned at = 1;

				for (bool hit = true; hit; at++)
					for (size_t k = 0; k < TR_ARRAY_LEN(parts); k++)
						hit = try_one(&(struct trial){ .g = all[i],
									       .at = at,
									       .part = parts[k],
									       .fail_for = n,
									       .fail_errno = errors[e] });
				assert_true(at > 6);
			}
}

static void a_full_disk_is_said_before_anything_runs(void **state)
{
	struct agent a = { 0 };
	char code[64];

	(void)state;
	boot(&a);
	a.disk.calls = 0;
	a.disk.fail_at = 1;
	a.disk.fail_for = 1000;
	a.disk.fail_errno = ENOSPC;
	give(&a, once);
	assert_int_equal(receipts(&a, 3, code), TR_CS_REFUSED);
	assert_string_equal(code, "journal");
	assert_int_equal(world.effects[TR_CMD_NOTE], 0);
	a.disk.fail_at = 0;
	give(&a, once);
	assert_int_equal(receipts(&a, 3, code), TR_CS_DONE);
	assert_int_equal(world.effects[TR_CMD_NOTE], 1);
	gone(&a);
}

static void a_damaged_journal_obeys_nothing(void **state)
{
	struct agent a = { 0 };
	struct tr_journal_io io;
	struct given g = once;
	char code[64];

	(void)state;
	boot(&a);
	give(&a, query);
	down(&a);
	a.disk.now.p[a.disk.now.n / 2] ^= 1;
	boot(&a);
	tr_obey_resume(&a.o);
	give(&a, once);
	assert_int_equal(receipts(&a, 3, code), TR_CS_REFUSED);
	assert_string_equal(code, "journal");
	assert_int_equal(world.effects[TR_CMD_NOTE], 0);
	down(&a);
	io = disk_io(&a.disk);
	assert_int_equal(tr_journal_reset(&io, NOW + MINUTE, &err), TR_OK);
	boot(&a);
	a.o.now.known_ms = NOW + 2 * MINUTE;
	g.seq = 50;
	give(&a, g); /* issued before: it may have been carried out */
	assert_int_equal(receipts(&a, 3, code), TR_CS_REFUSED);
	assert_string_equal(code, "replayed");
	g.issued_ms = NOW + 2 * MINUTE;
	give(&a, g);
	assert_int_equal(receipts(&a, 3, code), TR_CS_DONE);
	assert_int_equal(world.effects[TR_CMD_NOTE], 1);
	gone(&a);
}

static struct tr_privkey *key(void)
{
	struct tr_privkey *k = NULL;

	assert_int_equal(tr_privkey_generate(TR_KEY_ED25519, &k, &err), TR_OK);
	return k;
}

static int set_up(void **state)
{
	(void)state;
	tr_log_init("agent", (enum tr_level)0);
	command_key = key();
	second_key = key();
	operators[0] = key();
	operators[1] = key();
	stranger = key();
	device = key();
	keyset = (struct tr_keyset){ .trust_domain = TR_VIEW_LIT("e2e.example"), .epoch = 1, .n_keys = 4 };
	keyset.keys[0] = (struct tr_keyset_key){ TR_ROLE_COMMAND, tr_pubkey_spki(tr_privkey_pub(command_key)),
						 1, 0, 0 };
	keyset.keys[1] = (struct tr_keyset_key){ TR_ROLE_COMMAND, tr_pubkey_spki(tr_privkey_pub(second_key)),
						 1, 0, 0 };
	for (unsigned i = 0; i < 2; i++)
		keyset.keys[2 + i] =
			(struct tr_keyset_key){ TR_ROLE_OPERATOR,
						tr_pubkey_spki(tr_privkey_pub(operators[i])), 1, 0, 0 };
	memcpy(keyset.revoked[0], tr_pubkey_id(tr_privkey_pub(command_key)), 32); /* where n_revoked is 1 */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tr_privkey_free(command_key);
	tr_privkey_free(second_key);
	tr_privkey_free(operators[0]);
	tr_privkey_free(operators[1]);
	tr_privkey_free(stranger);
	tr_privkey_free(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_effect_and_a_receipt),
		cmocka_unit_test(signed_anew_it_is_the_same),
		cmocka_unit_test(one_that_fails_says_why),
		cmocka_unit_test(what_goes_on_is_looked_after),
		cmocka_unit_test(a_refusal_has_its_name_in_a_signed_receipt),
		cmocka_unit_test(no_flipped_bit_is_obeyed),
		cmocka_unit_test(an_unknown_key_asks_for_the_keyset_first),
		cmocka_unit_test(a_refusal_blocks_nothing),
		cmocka_unit_test(reads_go_on_in_quarantine_and_when_stale),
		cmocka_unit_test(what_waits_for_its_time),
		cmocka_unit_test(a_revoked_one_runs_once_under_a_good_key),
		cmocka_unit_test(cancelled_before_it_comes),
		cmocka_unit_test(power_lost_at_every_call),
		cmocka_unit_test(failures_at_every_call),
		cmocka_unit_test(a_full_disk_is_said_before_anything_runs),
		cmocka_unit_test(a_damaged_journal_obeys_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
