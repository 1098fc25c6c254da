/* SPDX-License-Identifier: Apache-2.0 */
/* troth-swarm real: agents with real keys and TLS against a running server. Some misbehave as told; every attack's answer
 * is compared with the one that is due, and at the end the server is asked what it thinks of everybody. */
#include "swarm/swarm.h"

#include "agent/refusal.h"
#include "base/clock.h"
#include "base/file.h"
#include "codec/json.h"
#include "http/client.h"
#include "swarm/common.h"
#include "swarm/member.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define TIMEOUT_MS 10000u
#define BARRED_MS 300000u
#define SAMPLES 200000u

enum part { P_HEALTHY, P_KILL, P_CLONE, P_CLOCK, P_RESTART, P_SWAP, P_REPLAY, P_RELAY, P_FORGERY, P_N };
static const char *const part_names[P_N] = { "healthy", "kill", "clone", "clock", "restart", "swap", "replay", "relay", "forgery" };

struct options {
	const char *host, *ca, *token, *fleet, *operators, *operator_token_file, *partition, *prefix;
	uint16_t port;
	uint32_t agents, seconds, spread_ms, loss_ppm, flight, each[P_N];
	enum tr_key_type type;
};

struct agent {
	struct tr_member m;
	struct tr_wire_conn conn, side; /* side: a second connection for what thieves do */
	enum part part;
	bool alive, on_side, probing; /* probing: the answer under way is an attack's */
	bool begun;
	uint64_t due_ms, sent_ms, sent_ns, trouble_ms;
	struct tr_buf *captured;        /* bytes of the pulse under way, where they will be used again */
};

static struct {
	struct options o;
	struct tr_wire *wire;
	struct agent *agents;
	uint32_t n, n_all;
	uint64_t start, end;
	uint64_t sent, accepted, resyncs, lost, dropped, unexpected, refused, busy;
	uint64_t attacks[P_N], attacks_right[P_N];
	uint32_t *samples_us, n_samples;
	struct tr_swarm_codes codes;
	volatile sig_atomic_t stop;
} g;

static void on_signal(int sig)
{
	(void)sig;
	g.stop = 1;
}

static struct agent *agent_of(struct tr_wire_conn *c)
{
	return c->owner;
}

static uint64_t beat_ms(const struct agent *a)
{
	uint64_t ms = (a->m.interval_s ? a->m.interval_s : 30u) * UINT64_C(1000);

	return ms * 9 / 10 + tr_swarm_random32() % (ms / 5 + 1);
}

/* ---- one try ---- */

static void send_pulse(struct agent *a)
{
	tr_auto(tr_buf_done) struct tr_buf body = TR_BUF_INIT;
	struct tr_err err = { 0 };

	if (tr_member_pulse(&a->m, a->conn.exporter, &body, &err)) {
		(void)fprintf(stderr, "troth-swarm: %s: %s\n", a->m.name, err.detail);
		a->alive = false;
		return;
	}
	if (a->captured) {
		tr_buf_clear(a->captured);
		tr_buf_addv(a->captured, tr_buf_view(&body));
	}
	a->sent_ms = tr_mono_ms();
	a->sent_ns = (uint64_t)tr_mono_ns();
	a->due_ms = a->sent_ms + TIMEOUT_MS;
	g.sent++;
	tr_wire_request(&a->conn, "POST", "/api/v1/pulse", TR_PULSE_CONTENT_TYPE, NULL, tr_buf_view(&body));
}

static void failed(struct agent *a)
{
	tr_chain_failed(&a->m.chain);
	a->due_ms = tr_mono_ms() + 1000 + tr_swarm_random32() % 4000;
}

static void try_now(struct agent *a)
{
	if (a->conn.state == TR_WIRE_IDLE) {
		send_pulse(a);
		return;
	}
	if (a->conn.state != TR_WIRE_CLOSED) {
		/* No answer in time: the connection is given up. */
		tr_wire_close(&a->conn);
		g.lost++;
		failed(a);
		return;
	}
	a->due_ms = tr_mono_ms() + TIMEOUT_MS;
	a->conn.owner = a;
	if (!tr_wire_open(g.wire, &a->conn, (uint32_t)(a - g.agents), &a->m.id))
		failed(a);
}

/* ---- troubles ---- */

static void attack(struct agent *a, struct tr_wire_conn *on, struct tr_view body)
{
	a->probing = true;
	g.attacks[a->part]++;
	a->due_ms = tr_mono_ms() + TIMEOUT_MS;
	tr_wire_request(on, "POST", "/api/v1/pulse", TR_PULSE_CONTENT_TYPE, NULL, body);
}

static void make_clone(struct agent *a)
{
	struct agent *c = &g.agents[g.n_all++];

	c->m = a->m;
	c->part = P_CLONE;
	if (g.n_all % 2)
		tr_member_start(&c->m, true); /* of the disk */
	c->begun = c->alive = true;
	c->due_ms = tr_mono_ms() + tr_swarm_random32() % (unsigned)(beat_ms(a) + 1);
}

/* After an accepted pulse of an agent whose part has come. */
static void begin(struct agent *a)
{
	tr_auto(tr_buf_done) struct tr_buf bad = TR_BUF_INIT;

	a->begun = true;
	switch (a->part) {
	case P_KILL:
		tr_wire_close(&a->conn);
		a->alive = false;
		break;
	case P_CLONE: make_clone(a); break;
	case P_CLOCK: a->m.clock_off_ms = 3600000; break;
	case P_RESTART:
		tr_wire_close(&a->conn);
		tr_member_start(&a->m, false);
		a->due_ms = tr_mono_ms() + 500;
		break;
	case P_SWAP:
		tr_wire_close(&a->conn);
		tr_member_start(&a->m, false);
		a->m.hash[0] ^= 1;
		a->due_ms = tr_mono_ms() + 500;
		break;
	case P_REPLAY: attack(a, &a->conn, tr_buf_view(a->captured)); break;
	case P_RELAY:
		a->on_side = true;
		a->side.owner = a;
		a->due_ms = tr_mono_ms() + TIMEOUT_MS;
		if (!tr_wire_open(g.wire, &a->side, (uint32_t)(a - g.agents), &a->m.id))
			g.unexpected++;
		break;
	case P_FORGERY:
		tr_buf_addv(&bad, tr_buf_view(a->captured));
		bad.p[bad.n - 1] ^= 1; /* in the signature */
		attack(a, &a->conn, tr_buf_view(&bad));
		break;
	default: break;
	}
}

static void attack_answered(struct agent *a, struct tr_wire_conn *c)
{
	static const char *const due[P_N] = { [P_REPLAY] = "replay", [P_RELAY] = "relayed", [P_FORGERY] = "bad_signature" };
	struct tr_said_no why;

	tr_refusal_read(c->body, &why);
	a->probing = false;
	if (c->status >= 400 && strcmp(why.code, due[a->part]) == 0)
		g.attacks_right[a->part]++;
	else
		(void)fprintf(stderr, "troth-swarm: %s: attack '%s' was answered %d %s\n", a->m.name, part_names[a->part], c->status,
			      why.code);
	if (a->on_side) {
		a->on_side = false;
		tr_wire_close(&a->side);
	}
	a->due_ms = tr_mono_ms() + beat_ms(a);
}

/* ---- the wire ---- */

static void on_ready(struct tr_wire_conn *c)
{
	struct agent *a = agent_of(c);

	if (c == &a->side)
		attack(a, c, tr_buf_view(a->captured));
	else
		send_pulse(a);
}

static void on_lost(struct tr_wire_conn *c, const char *why)
{
	struct agent *a = agent_of(c);

	(void)why;
	if (c == &a->side) {
		a->on_side = a->probing = false;
		return;
	}
	a->probing = false;
	/* An idle connection that ends means nothing: the next beat opens another. */
	if (a->alive && a->due_ms < a->sent_ms + TIMEOUT_MS + 1) {
		g.lost++;
		failed(a);
	}
}

static void sample(const struct agent *a)
{
	uint64_t us = ((uint64_t)tr_mono_ns() - a->sent_ns) / 1000;

	if (g.n_samples < SAMPLES)
		g.samples_us[g.n_samples++] = (uint32_t)us;
	else
		g.samples_us[tr_swarm_random32() % SAMPLES] = (uint32_t)us;
}

static void on_answer(struct tr_wire_conn *c)
{
	struct agent *a = agent_of(c);
	uint64_t now = tr_mono_ms();
	char code[40];

	if (a->probing) {
		attack_answered(a, c);
		return;
	}
	/* The answer is lost on its way: the agent never sees it. */
	if (g.o.loss_ppm && tr_swarm_random32() % 1000000 < g.o.loss_ppm) {
		g.dropped++;
		tr_wire_close(c);
		failed(a);
		return;
	}
	sample(a);
	switch (tr_member_answered(&a->m, c->status, c->body, code)) {
	case TR_MEMBER_AGAIN:
		g.resyncs++;
		send_pulse(a);
		return;
	case TR_MEMBER_SOON: a->due_ms = now + 1000 + tr_swarm_random32() % 4000; break;
	case TR_MEMBER_BARRED: a->due_ms = now + BARRED_MS; break;
	default: a->due_ms = a->sent_ms + beat_ms(a); break;
	}
	if (code[0]) {
		g.refused++;
		tr_swarm_count(&g.codes, code);
		/* A server that restarts, or has too much to do: no judgement. */
		if (c->status == 503 || c->status == 429) {
			g.busy++;
		} else if (a->part != P_CLONE) {
			g.unexpected++;
			(void)fprintf(stderr, "troth-swarm: %s (%s): refused %d %s\n", a->m.name, part_names[a->part], c->status, code);
		}
		return;
	}
	g.accepted++;
	if (a->part != P_HEALTHY && !a->begun && now >= a->trouble_ms)
		begin(a);
}

/* ---- the play ---- */

static void cast_parts(void)
{
	uint32_t at = 0;
	uint64_t span = g.o.seconds * UINT64_C(1000);

	for (int p = P_KILL; p < P_N; p++) {
		for (uint32_t i = 0; i < g.o.each[p]; i++, at++) {
			struct agent *a = &g.agents[at];

			a->part = (enum part)p;
			/* In the first half, so that what follows can be seen. */
			a->trouble_ms = g.start + span / 10 + tr_swarm_random32() % (unsigned)(span * 4 / 10 + 1);
			if (p == P_REPLAY || p == P_RELAY || p == P_FORGERY)
				a->captured = calloc(1, sizeof(*a->captured));
		}
	}
}

static int by_value(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

static uint32_t quantile(double q)
{
	return g.n_samples ? g.samples_us[(size_t)((double)(g.n_samples - 1) * q)] : 0;
}

static void tell(const char *when)
{
	uint32_t connected = 0;

	for (uint32_t i = 0; i < g.n_all; i++)
		connected += g.agents[i].conn.state >= TR_WIRE_IDLE;
	qsort(g.samples_us, g.n_samples, sizeof(*g.samples_us), by_value);
	printf("{\"when\":\"%s\",\"seconds\":%" PRIu64 ",\"agents\":%u,\"connected\":%u,\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64
	       ",\"resyncs\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"busy\":%" PRIu64 ",\"unexpected\":%" PRIu64
	       ",\"answer_p50_ms\":%.1f,\"answer_p99_ms\":%.1f",
	       when, (tr_mono_ms() - g.start) / 1000, g.n, connected, g.sent, g.accepted, g.resyncs, g.lost, g.dropped,
	       g.refused, g.busy, g.unexpected, quantile(0.5) / 1000.0, quantile(0.99) / 1000.0);
	printf(",\"codes\":{");
	tr_swarm_print_codes(&g.codes);
	printf("}}\n");
	(void)fflush(stdout);
}

static void play(void)
{
	uint64_t said = g.start;

	while (!g.stop && tr_mono_ms() < g.end) {
		uint64_t now = tr_mono_ms();

		for (uint32_t i = 0; i < g.n_all; i++)
			if (g.agents[i].alive && now >= g.agents[i].due_ms)
				try_now(&g.agents[i]);
		(void)tr_wire_round(g.wire, 5);
		if (now - said >= 10000) {
			said = now;
			tell("running");
		}
	}
}

/* ---- what the server concluded ---- */

/* Which verdicts are the truth about an agent of this part. */
static bool is_right(enum part p, struct tr_view verdict)
{
	static const char *const right[P_N][3] = {
		[P_HEALTHY] = { "ok" },	  [P_KILL] = { "lost", "missed" }, [P_CLONE] = { "forked" },
		[P_CLOCK] = { "clock_desync" }, [P_RESTART] = { "ok" },		   [P_SWAP] = { "unknown_binary" },
		[P_REPLAY] = { "ok" },	  [P_RELAY] = { "ok" },		   [P_FORGERY] = { "ok" },
	};

	for (size_t i = 0; i < 3 && right[p][i]; i++)
		if (tr_view_is(verdict, right[p][i]))
			return true;
	return (p == P_HEALTHY || p >= P_RESTART) && tr_view_is(verdict, "late") && p != P_SWAP;
}

static struct agent *find_agent(struct tr_view id)
{
	size_t n = strlen(g.o.prefix);
	unsigned long at;
	char text[48];

	if (!tr_view_starts(id, g.o.prefix) || id.n >= sizeof(text))
		return NULL;
	(void)snprintf(text, sizeof(text), "%.*s", TR_VIEW_FMT(id));
	at = strtoul(text + n + 1, NULL, 10);
	return at < g.n ? &g.agents[at] : NULL;
}

static bool compare_page(struct tr_client *c, const char *bearer, char cursor[80], uint32_t right[P_N],
			 uint32_t wrong[P_N], bool *ret_more)
{
	tr_auto(tr_client_answer_done) struct tr_client_answer a = { 0 };
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	char path[160];
	struct tr_client_request req = { .method = "GET", .path = path, .bearer = bearer };
	struct tr_view id, verdict, next = { 0 };
	struct tr_err err = { 0 };
	tr_jnode list;

	(void)snprintf(path, sizeof(path), "/api/v1/agents?limit=500%s%s", cursor[0] ? "&cursor=" : "", cursor);
	if (tr_client_do(c, &req, &a, &err) || a.status != 200 || tr_json_parse(tr_buf_view(&a.body), &j, &err)) {
		(void)fprintf(stderr, "troth-swarm: the server's list of agents: status %d %s\n", a.status, err.detail);
		return false;
	}
	list = tr_json_get(tr_json_root(j), "agents");
	for (size_t i = 0; i < tr_json_len(list); i++) {
		tr_jnode one = tr_json_at(list, i);
		struct agent *x;

		if (!tr_json_str(tr_json_get(one, "id"), &id) || !tr_json_str(tr_json_get(one, "verdict"), &verdict))
			continue;
		x = find_agent(id);
		if (!x)
			continue;
		if (is_right(x->part, verdict)) {
			right[x->part]++;
		} else {
			wrong[x->part]++;
			(void)fprintf(stderr, "troth-swarm: %.*s (%s) is called %.*s\n", TR_VIEW_FMT(id), part_names[x->part],
				      TR_VIEW_FMT(verdict));
		}
	}
	*ret_more = tr_json_str(tr_json_get(tr_json_root(j), "next_cursor"), &next) && next.n && next.n < 80;
	(void)snprintf(cursor, 80, "%.*s", *ret_more ? (int)next.n : 0, *ret_more ? (const char *)next.p : "");
	return true;
}

/* Returns 0, 1 when the server is wrong about somebody, 3 when it could not be asked. */
static int compare(void)
{
	tr_auto(tr_buf_done) struct tr_buf token = TR_BUF_INIT;
	tr_auto(tr_buf_done) struct tr_buf ca = TR_BUF_INIT;
	tr_auto(tr_client_free) struct tr_client *c = NULL;
	struct tr_client_config config = { .base_url = g.o.operators, .user_agent = "troth-swarm", .timeout_s = 20, .max_answer = 4u << 20 };
	uint32_t right[P_N] = { 0 }, wrong[P_N] = { 0 };
	char cursor[80] = { 0 };
	bool more = true;
	int bad = 0;
	struct tr_err err = { 0 };

	if (!g.o.operators || !g.o.operator_token_file)
		return 0;
	if (tr_file_read(g.o.operator_token_file, 4096, &token, &err) || tr_file_read(g.o.ca, 65536, &ca, &err) ||
	    tr_client_global_init(&err)) {
		(void)fprintf(stderr, "troth-swarm: %s\n", err.detail);
		return 3;
	}
	while (token.n && token.p[token.n - 1] == '\n')
		token.n--;
	config.ca_pem = tr_buf_view(&ca);
	if (tr_client_new(&config, &c, &err))
		return 3;
	while (more)
		if (!compare_page(c, tr_buf_cstr(&token), cursor, right, wrong, &more))
			return 3;
	printf("%-10s %8s %8s %8s %8s\n", "part", "agents", "right", "wrong", "refused rightly");
	for (int p = 0; p < P_N; p++) {
		uint32_t n = right[p] + wrong[p];

		if (!n)
			continue;
		printf("%-10s %8u %8u %8u", part_names[p], n, right[p], wrong[p]);
		if (g.attacks[p])
			printf(" %" PRIu64 "/%" PRIu64, g.attacks_right[p], g.attacks[p]);
		printf("\n");
		bad |= wrong[p] > 0;
	}
	return bad;
}

/* ---- options ---- */

enum { O_CA = 256, O_TOKEN, O_FLEET, O_OPERATORS, O_OPTOKEN, O_PARTITION, O_PREFIX, O_LOSS, O_FLIGHT, O_KEY, O_SPREAD, O_PARTS /* + part */ };

static const struct argp_option options[] = {
	{ "port", 'p', "PORT", 0, "agent listener on this host (8443)", 0 },
	{ "ca", O_CA, "FILE", 0, "CA certificate (keys/ca.crt of the installation)", 0 },
	{ "token", O_TOKEN, "TOKEN", 0, "registration token good for all agents (environment TROTH_TOKEN)", 0 },
	{ "fleet", O_FLEET, "FILE", 0, "keep keys and certificates here, and use them when they are there", 0 },
	{ "agents", 'n', "N", 0, "agents (100)", 0 },
	{ "seconds", 't', "S", 0, "how long (60)", 0 },
	{ "prefix", O_PREFIX, "NAME", 0, "of the agents' ids (swarm)", 0 },
	{ "partition", O_PARTITION, "NAME", 0, "of the token (default)", 0 },
	{ "key", O_KEY, "TYPE", 0, "ed25519, p256 or rsa", 0 },
	{ "in-flight", O_FLIGHT, "N", 0, "registrations at once (16)", 0 },
	{ "spread", O_SPREAD, "MS", 0, "the first pulses are spread over so long (5000)", 0 },
	{ "loss", O_LOSS, "PPM", 0, "answers per million that the agent never sees", 0 },
	{ "operators", O_OPERATORS, "URL", 0, "ask here at the end what the server thinks of everybody", 0 },
	{ "operator-token", O_OPTOKEN, "FILE", 0, "with this token (admin.token)", 0 },
	{ "kills", O_PARTS + P_KILL, "N", 0, "agents that fall silent", 1 },
	{ "clones", O_PARTS + P_CLONE, "N", 0, "agents that are copied, half with their memory", 1 },
	{ "clocks", O_PARTS + P_CLOCK, "N", 0, "agents whose clock jumps by an hour", 1 },
	{ "restarts", O_PARTS + P_RESTART, "N", 0, "agents that restart", 1 },
	{ "swaps", O_PARTS + P_SWAP, "N", 0, "agents that come back as another program", 1 },
	{ "replays", O_PARTS + P_REPLAY, "N", 0, "agents whose pulse is sent twice", 1 },
	{ "relays", O_PARTS + P_RELAY, "N", 0, "agents whose pulse is carried to another connection", 1 },
	{ "forgeries", O_PARTS + P_FORGERY, "N", 0, "agents whose pulse is forged", 1 },
	{ 0 },
};

static uint32_t number(struct argp_state *state, const char *text)
{
	uint64_t v;

	if (!tr_swarm_number(text, 10000000, &v))
		argp_error(state, "'%s' is not a number from 0 to 10000000", text);
	return (uint32_t)v;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	if (key > O_PARTS && key < O_PARTS + P_N) {
		o->each[key - O_PARTS] = number(state, arg);
		return 0;
	}
	switch (key) {
	case 'p': o->port = (uint16_t)number(state, arg); return 0;
	case 'n': o->agents = number(state, arg); return 0;
	case 't': o->seconds = number(state, arg); return 0;
	case O_CA: o->ca = arg; return 0;
	case O_TOKEN: o->token = arg; return 0;
	case O_FLEET: o->fleet = arg; return 0;
	case O_PREFIX: o->prefix = arg; return 0;
	case O_PARTITION: o->partition = arg; return 0;
	case O_FLIGHT: o->flight = number(state, arg); return 0;
	case O_SPREAD: o->spread_ms = number(state, arg); return 0;
	case O_LOSS: o->loss_ppm = number(state, arg); return 0;
	case O_OPERATORS: o->operators = arg; return 0;
	case O_OPTOKEN: o->operator_token_file = arg; return 0;
	case O_KEY:
		o->type = strcmp(arg, "ed25519") == 0 ? TR_KEY_ED25519 : strcmp(arg, "p256") == 0 ? TR_KEY_P256 : TR_KEY_RSA;
		return 0;
	case ARGP_KEY_ARG: argp_error(state, "'%s': no arguments are taken", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static TR_RC get_fleet(struct tr_wire_id *ids, const uint8_t hash[32], struct tr_err *err)
{
	size_t n = 0;
	enum tr_code rc = g.o.fleet && access(g.o.fleet, R_OK) == 0 ? tr_wire_load(g.o.fleet, ids, g.o.agents, &n, err) : TR_OK;

	if (rc || n == g.o.agents)
		return rc;
	if (n)
		return tr_err_set(err, TR_E_INVALID, "the fleet's file holds fewer agents than asked for", "%zu", n);
	if (!g.o.token)
		return tr_err_set(err, TR_E_INVALID, "a registration token is needed: --token", "no fleet yet");
	rc = tr_wire_enrol(g.o.port, g.o.ca, g.o.token, g.o.prefix, g.o.type, hash, g.o.agents, g.o.flight, ids, err);
	if (!rc && g.o.fleet)
		rc = tr_wire_save(g.o.fleet, ids, g.o.agents, err);
	return rc;
}

static TR_RC prepare(struct tr_err *err)
{
	static const struct tr_wire_ops ops = { on_ready, on_answer, on_lost };
	struct tr_wire_id *ids = calloc(g.o.agents, sizeof(*ids));
	uint8_t hash[32];
	enum tr_code rc;

	g.n = g.n_all = g.o.agents;
	g.agents = calloc(g.n + g.o.each[P_CLONE], sizeof(*g.agents));
	g.samples_us = calloc(SAMPLES, sizeof(*g.samples_us));
	if (!ids || !g.agents || !g.samples_us) {
		free(ids);
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "agents");
	}
	memset(hash, 7, sizeof(hash));
	rc = get_fleet(ids, hash, err);
	if (!rc)
		rc = tr_wire_new(g.o.port, g.o.ca, &ops, &g.wire, err);
	g.start = tr_mono_ms();
	g.end = g.start + g.o.seconds * UINT64_C(1000);
	for (uint32_t i = 0; i < g.n && !rc; i++) {
		struct agent *a = &g.agents[i];

		a->m.id = ids[i];
		a->m.partition = g.o.partition;
		(void)snprintf(a->m.name, sizeof(a->m.name), "%s-%05u", g.o.prefix, i);
		memcpy(a->m.hash, hash, sizeof(hash));
		tr_member_start(&a->m, true);
		a->alive = true;
		a->due_ms = g.start + tr_swarm_random32() % (g.o.spread_ms + 1);
	}
	free(ids);
	return rc;
}

int tr_swarm_real(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL,
					  "Runs agents with real keys and TLS against a server on this host. A JSON line every ten seconds; at the end "
					  "a table of what the server thinks of everybody.",
					  NULL, NULL, NULL };
	struct tr_err err = { 0 };
	uint32_t troubles = 0;
	int bad;

	g.o = (struct options){ .port = 8443, .ca = "keys/ca.crt", .token = getenv("TROTH_TOKEN"), .agents = 100, .seconds = 60,
				.flight = 16, .spread_ms = 5000, .partition = "default", .prefix = "swarm" };
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &g.o))
		return 2;
	for (int p = 1; p < P_N; p++)
		troubles += g.o.each[p];
	if (!g.o.agents || troubles > g.o.agents || !g.o.flight) {
		(void)fprintf(stderr, "troth-swarm: more troubles than agents\n");
		return 2;
	}
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGPIPE, SIG_IGN);
	if (tr_crypto_init(&err) || prepare(&err)) {
		(void)fprintf(stderr, "troth-swarm: %s (%s)\n", err.pub ? err.pub : "cannot run", err.detail);
		return 3;
	}
	cast_parts();
	play();
	tell("end");
	bad = compare();
	for (int p = P_REPLAY; p < P_N; p++)
		bad = bad ? bad : g.attacks[p] != g.attacks_right[p] || g.attacks[p] < g.o.each[p];
	return bad ? bad : g.unexpected > 0;
}
