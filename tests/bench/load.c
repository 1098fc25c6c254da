/* SPDX-License-Identifier: Apache-2.0 */
/* Load generator: a fleet of agents in one process, each from a loopback address of its own. The wire and the agents are
 * troth-swarm's (src/swarm).
 *
 *   load register PORT CA.pem TOKEN N IN_FLIGHT SHA256 FLEET.pem   one connection per registration
 *   load beat PORT CA.pem FLEET.pem [bare]                         then commands on standard input, one answer each:
 *     open N             as many agents connect and send one pulse
 *     beat COUNT FLIGHT  so many pulses in turn over all connections, FLIGHT of them under way at once
 *     quit
 *   bare: the server answers anything with 200; the pulses are made all the same */
#include "base/clock.h"
#include "codec/text.h"
#include "swarm/member.h"

#include <inttypes.h>
#include <stdio.h>

#define AGENTS_MAX 65536
#define SILENT_MS 20000

struct agent {
	struct tr_member m;
	struct tr_wire_conn conn;
};

static struct {
	struct tr_wire *wire;
	struct agent *agents;
	size_t n_agents, n_open, next, left, in_flight;
	size_t ok, refused, body_bytes, pulse_bytes;
	bool opening, bare;
} g;

static void __attribute__((noreturn)) TR_PRINTF(1, 2) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

static void send_pulse(struct agent *a)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_member_pulse(&a->m, a->conn.exporter, &body, &err))
		die("pulse: %s", err.detail);
	g.pulse_bytes = body.n;
	tr_wire_request(&a->conn, "POST", "/api/v1/pulse", TR_PULSE_CONTENT_TYPE, NULL, tr_buf_view(&body));
}

static void next_one(void)
{
	struct agent *a = NULL;

	g.left--;
	g.in_flight++;
	if (g.opening) {
		a = &g.agents[g.n_open];
		a->conn.owner = a;
		if (!tr_wire_open(g.wire, &a->conn, (uint32_t)g.n_open++, &a->m.id))
			die("cannot open another connection (is the limit of open files high enough?)");
		return;
	}
	/* With fewer connections than pulses under way the next one may be busy. */
	for (size_t i = 0; i < g.n_open && (!a || a->conn.state != TR_WIRE_IDLE); i++)
		a = &g.agents[g.next++ % g.n_open];
	send_pulse(a);
}

static void on_ready(struct tr_wire_conn *c)
{
	send_pulse(c->owner);
}

static void on_lost(struct tr_wire_conn *c, const char *why)
{
	die("agent %s: connection lost: %s", ((struct agent *)c->owner)->m.name, why);
}

static void on_answer(struct tr_wire_conn *c)
{
	struct agent *a = c->owner;
	char code[40];

	g.body_bytes = c->body.n;
	if (!g.bare && tr_member_answered(&a->m, c->status, c->body, code) == TR_MEMBER_AGAIN) {
		send_pulse(a);
		return;
	}
	if (c->status != 200)
		(void)fprintf(stderr, "%s: %d %s\n", a->m.name, c->status, g.bare ? "" : code);
	g.ok += c->status == 200;
	g.refused += c->status != 200;
	g.in_flight--;
	if (g.left)
		next_one();
}

static void serve_commands(void)
{
	char line[80], what[16];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t start = tr_mono_ms();
		size_t n = 0, flight = 32;

		if (sscanf(line, "%15s %zu %zu", what, &n, &flight) < 1 || strcmp(what, "quit") == 0)
			return;
		g.opening = strcmp(what, "open") == 0;
		if (g.opening ? g.n_open + n > g.n_agents : g.n_open == 0)
			die("the fleet has %zu agents, %zu are open", g.n_agents, g.n_open);
		g.ok = g.refused = 0;
		g.left = n;
		while (g.left && g.in_flight < flight && (g.opening || g.in_flight < g.n_open))
			next_one();
		while (g.left || g.in_flight)
			if (!tr_wire_round(g.wire, SILENT_MS))
				die("the server has been silent for 20 s: %zu to go, %zu in flight", g.left, g.in_flight);
		printf("{\"ok\": %zu, \"refused\": %zu, \"ms\": %" PRIu64
		       ", \"request_bytes\": %zu, \"answer_bytes\": %zu, \"body_bytes\": %zu, \"pulse_bytes\": %zu}\n",
		       g.ok, g.refused, tr_mono_ms() - start, tr_wire_out_bytes(g.wire), tr_wire_in_bytes(g.wire), g.body_bytes,
		       g.pulse_bytes);
		(void)fflush(stdout);
	}
}

static int do_beat(uint16_t port, const char *ca, const char *fleet)
{
	static const struct tr_wire_ops ops = { on_ready, on_answer, on_lost };
	struct tr_wire_id *ids = calloc(AGENTS_MAX, sizeof(*ids));
	struct tr_err err = { 0 };

	if (!ids || tr_wire_load(fleet, ids, AGENTS_MAX, &g.n_agents, &err) || tr_wire_new(port, ca, &ops, &g.wire, &err))
		die("%s (%s)", err.pub ? err.pub : "out of memory", err.detail);
	g.agents = calloc(g.n_agents, sizeof(*g.agents));
	for (size_t i = 0; i < g.n_agents; i++) {
		struct tr_member *m = &g.agents[i].m;

		m->id = ids[i];
		m->partition = "default";
		(void)snprintf(m->name, sizeof(m->name), "bench-%05zu", i);
		memset(m->hash, 7, sizeof(m->hash));
		tr_member_start(m, true);
	}
	free(ids);
	serve_commands();
	return 0;
}

static int do_register(uint16_t port, char **argv)
{
	size_t n = strtoul(argv[5], NULL, 10), flight = strtoul(argv[6], NULL, 10);
	struct tr_wire_id *ids = calloc(n, sizeof(*ids));
	uint8_t hash[32];
	struct tr_err err = { 0 };
	uint64_t start = tr_mono_ms();

	if (!tr_hex_get(tr_view_str(argv[7]), hash, 32))
		die("SHA256 is 64 hex digits");
	if (!ids || tr_wire_enrol(port, argv[3], argv[4], "bench", TR_KEY_ED25519, hash, n, flight, ids, &err))
		die("%s (%s)", err.pub ? err.pub : "out of memory", err.detail);
	printf("{\"ok\": %zu, \"ms\": %" PRIu64 "}\n", n, tr_mono_ms() - start);
	if (tr_wire_save(argv[8], ids, n, &err))
		die("%s (%s)", err.pub, err.detail);
	return 0;
}

int main(int argc, char **argv)
{
	struct tr_err err = { 0 };
	uint16_t port = argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0;

	if (tr_crypto_init(&err))
		die("%s", err.pub);
	if (argc == 9 && strcmp(argv[1], "register") == 0)
		return do_register(port, argv);
	if ((argc == 5 || (argc == 6 && strcmp(argv[5], "bare") == 0)) && strcmp(argv[1], "beat") == 0) {
		g.bare = argc == 6;
		return do_beat(port, argv[3], argv[4]);
	}
	die("usage: load register PORT CA TOKEN N IN_FLIGHT SHA256 FLEET | load beat PORT CA FLEET [bare]");
}
