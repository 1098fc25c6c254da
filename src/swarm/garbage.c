/* SPDX-License-Identifier: Apache-2.0 */
/* troth-swarm garbage: one enrolled agent that sends what nobody may believe, in the name of another: random bytes, flipped
 * pulses of the victim, and pulses that name the victim under the sender's own key. Every one must be refused. */
#include "swarm/swarm.h"

#include "agent/refusal.h"
#include "base/clock.h"
#include "swarm/common.h"
#include "swarm/member.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define POOL 64
/* The server lets so many through on one connection before it slows it down: a flood opens another. */
#define PER_CONNECTION 100u
#define SILENT_MS 20000
/* Each line has an address of its own, which no agent has: the server slows down a source, and so few would prove less. */
#define SOURCES 0x8000u

enum kind { RANDOM, FLIPPED, CAPTURED, OTHERS, KINDS };

struct options {
	uint16_t port;
	const char *ca, *fleet, *prefix, *partition;
	uint32_t sender, victim, count, connections;
};

struct line {
	struct tr_wire_conn conn;
	uint32_t used;
	bool under_way;
};

static struct {
	struct options o;
	struct tr_wire *wire;
	struct tr_member sender, liar, victim; /* liar: the sender's key under the victim's name */
	struct tr_buf captured[POOL], lies[POOL];
	struct line *lines;
	uint64_t sent, answered, accepted, slowed, connects, cut;
	struct tr_swarm_codes codes;
	bool broken;
} g;

/* What was only told to come again was not looked at, and what was cut has no answer: they do not count. */
static bool is_more(void)
{
	return g.sent < g.o.count + g.slowed + g.cut;
}

static void send_one(struct line *l)
{
	uint8_t bytes[2048];
	const struct tr_buf *from = NULL;
	size_t n;

	switch (g.sent % KINDS) {
	case RANDOM:
		n = 1 + tr_swarm_random32() % 600;
		tr_random(bytes, n);
		break;
	case OTHERS: from = &g.lies[tr_swarm_random32() % POOL]; break;
	default: from = &g.captured[tr_swarm_random32() % POOL]; break;
	}
	if (from) {
		n = from->n < sizeof(bytes) ? from->n : sizeof(bytes);
		memcpy(bytes, from->p, n);
	}
	if (g.sent % KINDS == FLIPPED)
		for (uint32_t k = 1 + tr_swarm_random32() % 3; k; k--)
			bytes[tr_swarm_random32() % (uint32_t)n] ^= (uint8_t)(1u << tr_swarm_random32() % 8);
	g.sent++;
	l->used++;
	l->under_way = true;
	tr_wire_request(&l->conn, "POST", "/api/v1/pulse", TR_PULSE_CONTENT_TYPE, NULL, tr_view(bytes, n));
}

static void connect_line(struct line *l)
{
	l->used = 0;
	l->conn.owner = l;
	g.connects++;
	if (!tr_wire_open(g.wire, &l->conn, SOURCES + (uint32_t)(l - g.lines), &g.sender.id)) {
		(void)fprintf(stderr, "troth-swarm: cannot open a connection: %s\n", strerror(errno));
		g.broken = true;
	}
}

static void on_ready(struct tr_wire_conn *c)
{
	if (is_more())
		send_one(c->owner);
}

static void on_lost(struct tr_wire_conn *c, const char *why)
{
	struct line *l = c->owner;

	(void)why;
	g.cut += l->under_way;
	l->under_way = false;
	/* The main loop opens another; opening here would go ever deeper when nobody listens. */
}

static void on_answer(struct tr_wire_conn *c)
{
	struct line *l = c->owner;
	struct tr_said_no why;

	l->under_way = false;
	g.answered++;
	tr_refusal_read(c->body, &why);
	if (c->status < 400) {
		g.accepted++;
		(void)fprintf(stderr, "troth-swarm: garbage was answered %d\n", c->status);
	}
	tr_swarm_count(&g.codes, c->status < 400 ? "ACCEPTED" : why.code[0] ? why.code : "no_code");
	if (c->status == 429) {
		g.slowed++;
		l->used = PER_CONNECTION;
	}
	if (!is_more() || l->used >= PER_CONNECTION)
		tr_wire_close(c);
	else
		send_one(l);
}

/* ---- before ---- */

static TR_RC make_pool(struct tr_member *m, struct tr_buf *pool, struct tr_err *err)
{
	uint8_t exporter[32];

	for (size_t i = 0; i < POOL; i++) {
		tr_random(exporter, sizeof(exporter));
		if (tr_member_pulse(m, exporter, &pool[i], err))
			return err->code;
	}
	return TR_OK;
}

static TR_RC prepare(struct tr_err *err)
{
	static const struct tr_wire_ops ops = { on_ready, on_answer, on_lost };
	uint32_t most = (g.o.sender > g.o.victim ? g.o.sender : g.o.victim) + 1;
	struct tr_wire_id *ids = calloc(most, sizeof(*ids));
	size_t n = 0;
	enum tr_code rc;

	g.lines = calloc(g.o.connections, sizeof(*g.lines));
	if (!ids || !g.lines) {
		free(ids);
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "garbage");
	}
	rc = tr_wire_load(g.o.fleet, ids, most, &n, err);
	if (!rc && n < most)
		rc = tr_err_set(err, TR_E_INVALID, "the fleet's file holds fewer agents than named", "%zu", n);
	if (!rc)
		rc = tr_wire_new(g.o.port, g.o.ca, &ops, &g.wire, err);
	if (!rc) {
		struct { struct tr_member *m; uint32_t key; } all[] = {
			{ &g.sender, g.o.sender }, { &g.liar, g.o.sender }, { &g.victim, g.o.victim },
		};

		for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
			all[i].m->id = ids[all[i].key];
			all[i].m->partition = g.o.partition;
			memset(all[i].m->hash, 7, 32);
			(void)snprintf(all[i].m->name, sizeof(all[i].m->name), "%s-%05u", g.o.prefix, g.o.victim);
			tr_member_start(all[i].m, true);
		}
		rc = make_pool(&g.liar, g.lies, err);
	}
	if (!rc)
		rc = make_pool(&g.victim, g.captured, err);
	free(ids);
	return rc;
}

static void play(void)
{
	uint64_t last = tr_mono_ms(), answered = 0;

	while (g.answered < g.o.count + g.slowed && !g.broken) {
		for (uint32_t i = 0; i < g.o.connections && is_more(); i++)
			if (g.lines[i].conn.state == TR_WIRE_CLOSED)
				connect_line(&g.lines[i]);
		(void)tr_wire_round(g.wire, 50);
		if (g.answered != answered) {
			answered = g.answered;
			last = tr_mono_ms();
		} else if (tr_mono_ms() - last > SILENT_MS) {
			(void)fprintf(stderr, "troth-swarm: the server is silent\n");
			g.broken = true;
		}
	}
}

/* ---- options ---- */

enum { O_CA = 256, O_FLEET, O_PREFIX, O_PARTITION, O_SENDER, O_VICTIM };

static const struct argp_option options[] = {
	{ "port", 'p', "PORT", 0, "agent listener on this host (8443)", 0 },
	{ "ca", O_CA, "FILE", 0, "CA certificate (keys/ca.crt of the installation)", 0 },
	{ "fleet", O_FLEET, "FILE", 0, "keys and certificates, as `troth-swarm real` left them", 0 },
	{ "prefix", O_PREFIX, "NAME", 0, "of the agents' ids (swarm)", 0 },
	{ "partition", O_PARTITION, "NAME", 0, "of the agents (default)", 0 },
	{ "sender", O_SENDER, "NUMBER", 0, "the agent whose certificate is used (0)", 0 },
	{ "victim", O_VICTIM, "NUMBER", 0, "the agent that is named (1)", 0 },
	{ "count", 'n', "N", 0, "pulses (20000)", 0 },
	{ "connections", 'c', "N", 0, "connections at a time (4); each from its own address, left after 100 pulses", 0 },
	{ 0 },
};

static uint32_t number(struct argp_state *state, const char *text)
{
	uint64_t v;

	if (!tr_swarm_number(text, 100000000, &v))
		argp_error(state, "'%s' is not a number from 0 to 100000000", text);
	return (uint32_t)v;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p': o->port = (uint16_t)number(state, arg); return 0;
	case 'n': o->count = number(state, arg); return 0;
	case 'c': o->connections = number(state, arg); return 0;
	case O_CA: o->ca = arg; return 0;
	case O_FLEET: o->fleet = arg; return 0;
	case O_PREFIX: o->prefix = arg; return 0;
	case O_PARTITION: o->partition = arg; return 0;
	case O_SENDER: o->sender = number(state, arg); return 0;
	case O_VICTIM: o->victim = number(state, arg); return 0;
	case ARGP_KEY_ARG: argp_error(state, "'%s': no arguments are taken", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

int tr_swarm_garbage(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL,
					  "Sends pulses that must be refused, in the name of a healthy agent; one JSON object at the end.", NULL,
					  NULL, NULL };
	struct tr_err err = { 0 };
	uint64_t start;
	double took;

	g.o = (struct options){ .port = 8443, .ca = "keys/ca.crt", .prefix = "swarm", .partition = "default", .victim = 1,
				.count = 20000, .connections = 4 };
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &g.o))
		return 2;
	if (!g.o.fleet || g.o.sender == g.o.victim || !g.o.count || !g.o.connections) {
		(void)fprintf(stderr, "troth-swarm: a fleet's file, two agents, pulses and connections are needed\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (tr_crypto_init(&err) || prepare(&err)) {
		(void)fprintf(stderr, "troth-swarm: %s (%s)\n", err.pub ? err.pub : "cannot run", err.detail);
		return 3;
	}
	start = tr_mono_ms();
	play();
	took = (double)(tr_mono_ms() - start) / 1000.0;
	printf("{\"sent\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"slowed\":%" PRIu64 ",\"cut\":%" PRIu64
	       ",\"connections\":%" PRIu64 ",\"seconds\":%.1f,\"codes\":{",
	       g.sent, g.answered, g.accepted, g.slowed, g.cut, g.connects, took);
	tr_swarm_print_codes(&g.codes);
	printf("}}\n");
	return g.accepted ? 1 : g.broken ? 3 : 0;
}
