/* SPDX-License-Identifier: Apache-2.0 */
/* What core's memory of a million agents weighs and costs, by itself: core's own tables, the fleet and the frames'
 * decoders, in one process without sockets. CPU time of this thread. Prints JSON.
 *
 *     registry [AGENTS [FOLDER]]  AGENTS: of the largest size; FOLDER: where the database goes for its while; -: no
 *                                 loading, pulses only
 *
 * Loading: every row of a SQLite store is read, encoded as the store does for core, decoded as core does, and put. A
 * pulse: its frame is decoded, the agent found, judged, the answer encoded; frames and tickets are made beforehand from
 * numbers alone, so that making them leaves nothing of the registry in a cache. */
#include "base/clock.h"
#include "crypto/hash.h"
#include "fleet/fleet.h"
#include "server/msg.h"
#include "server/table.h"
#include "store/store.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_S 30
#define RUN 77
#define BATCH 500u  /* frames that wait in a socket's buffer while the server is busy */
#define TURNS 1001u
#define CHUNK 262144 /* as role_store.c sends rows */
#define NOW_MS 1790000000000

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "registry: %s failed\n", what);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the process takes of the machine, fragments and all. */
static size_t resident(void)
{
	unsigned long all, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	must(f && fscanf(f, "%lu %lu", &all, &rss) == 2, "statm");
	(void)fclose(f);
	return rss * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- agents, made from their numbers ---- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

static void noise(uint8_t *out, size_t n, uint64_t what, uint64_t no)
{
	for (size_t at = 0; at < n; at += 8) {
		uint64_t x = mix(mix(what * 1000003 + at) ^ no * 0xd6e8feb86659fd93u);

		memcpy(out + at, &x, n - at < 8 ? n - at : 8);
	}
}

enum { N_KEY = 1, N_SPKI, N_SERIAL, N_HEAD, N_BOOT, N_START, N_IMAGE, N_VKEY, N_TOKEN, N_BPF };

struct made {
	char id[40], source[24], serial[33], token[9], partition[16], health[160];
	uint8_t key_id[32], spki[44], image[32], vkey[32], head[32], head_prev[32], boot_id[16], start_id[16], bpf[32];
};

static void head_of(uint8_t out[32], uint32_t no, uint64_t seq)
{
	noise(out, 32, N_HEAD * 100 + seq % 97, (uint64_t)no << 32 | seq);
}

static void make(struct made *m, uint32_t no, uint64_t seq)
{
	static const uint8_t ed25519[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	static const char *const hosts[] = { "web", "db", "cache-node", "edge", "build" };
	uint64_t x = mix(no);
	uint8_t serial[16];

	(void)snprintf(m->id, sizeof(m->id), "%s-%u-%08x", hosts[no % 5], no, (unsigned)x);
	(void)snprintf(m->partition, sizeof(m->partition), "site-%u", no % 20);
	/* Three of four agents share an address with others, as behind a site's router. */
	(void)snprintf(m->source, sizeof(m->source), "10.%u.%u.%u", no % 4 ? 0 : no >> 16 & 255, no % 4 ? no % 20 : no >> 8 & 255,
		       no % 4 ? no % 200 : no & 255);
	(void)snprintf(m->token, sizeof(m->token), "%08x", (unsigned)mix(no % 50));
	(void)snprintf(m->health, sizeof(m->health), "{\"load_milli\":%u}", (unsigned)(x % 4000));
	noise(serial, sizeof(serial), N_SERIAL, no);
	for (size_t i = 0; i < sizeof(serial); i++)
		(void)snprintf(m->serial + 2 * i, 3, "%02x", serial[i]);
	noise(m->key_id, 32, N_KEY, no);
	memcpy(m->spki, ed25519, 12);
	noise(m->spki + 12, 32, N_SPKI, no);
	noise(m->image, 32, N_IMAGE, no % 4);
	noise(m->vkey, 32, N_VKEY, no % 2);
	noise(m->boot_id, 16, N_BOOT, no);
	noise(m->start_id, 16, N_START, no);
	noise(m->bpf, 32, N_BPF, no % 6);
	head_of(m->head, no, seq);
	head_of(m->head_prev, no, seq - 1);
}

static struct tr_agent_row agent_row(const struct made *m, uint32_t no)
{
	return (struct tr_agent_row){
		.id = tr_view_str(m->id),
		.partition = tr_view_str(m->partition),
		.agent_type = TR_VIEW_LIT("agent"),
		.state = TR_VIEW_LIT("active"),
		.key_id = TR_VIEW_ARRAY(m->key_id),
		.key_type = TR_VIEW_LIT("ed25519"),
		.spki = TR_VIEW_ARRAY(m->spki),
		.form = TR_VIEW_LIT("native"),
		.verdict = TR_VIEW_LIT("ok"),
		.tier = TR_VIEW_LIT("signed"),
		.binary_hash = TR_VIEW_ARRAY(m->image),
		.version = no % 3 ? TR_VIEW_LIT("0.2.0") : TR_VIEW_LIT("0.1.9"),
		.release_name = TR_VIEW_LIT("troth-agent"),
		.platform = no % 7 ? TR_VIEW_LIT("linux-x86_64") : TR_VIEW_LIT("linux-aarch64"),
		.vouched_by = TR_VIEW_ARRAY(m->vkey),
		.token_id = tr_view_str(m->token),
		.source = tr_view_str(m->source),
		.enrolled_at = NOW_MS - (int64_t)(mix(no) % 10000000000u),
		.cert_serial = tr_view_str(m->serial),
		.cert_not_after = NOW_MS + (int64_t)(mix(no + 1) % 2000000000u),
		.epoch = 1,
	};
}

static struct tr_pulse_row pulse_row(const struct made *m, uint32_t no, uint64_t seq)
{
	int64_t seen = NOW_MS - 60000 - no % 30000;

	return (struct tr_pulse_row){
		.id = tr_view_str(m->id),
		.epoch = 1,
		.first_seen = NOW_MS - 90000000,
		.last_seen = seen,
		.accepted = seq,
		.seq = seq,
		.head = TR_VIEW_ARRAY(m->head),
		.head_prev = TR_VIEW_ARRAY(m->head_prev),
		.boot_id = TR_VIEW_ARRAY(m->boot_id),
		.start_id = TR_VIEW_ARRAY(m->start_id),
		.bootcount = 3,
		.running_hash = TR_VIEW_ARRAY(m->image),
		.good_hash = TR_VIEW_ARRAY(m->image),
		.version = TR_VIEW_LIT("0.2.0"),
		.bpf_status = TR_BPF_OK,
		.bpf_digest = TR_VIEW_ARRAY(m->bpf),
		.bpf_good = TR_VIEW_ARRAY(m->bpf),
		.lsm = TR_LSM_UNAVAILABLE,
		.lsm_good = TR_LSM_UNAVAILABLE,
		.sync = TR_SYNC_YES,
		.rtt_ms = 2,
		.loss_ppm = 1000,
		.reach = TR_REACH_LIVE,
		.auth = TR_AUTH_OK,
		.clock = TR_CLOCK_OK,
		.integrity = TR_INTEGRITY_OK,
		.config = TR_CONFIG_CURRENT,
		.reach_since = seen,
		.source = tr_view_str(m->source),
		.health = tr_view_str(m->health),
	};
}

#define FIRST_SEQ 1000u

/* ---- the registry ---- */

static struct registry {
	struct tr_table_mem agents;
	struct tr_fleet *fleet;
	struct tr_instant now;
	uint32_t n, *seqs; /* of each agent: its last pulse, less FIRST_SEQ */
	double us[TURNS];  /* per pulse, in each batch */
} reg;
static unsigned long told; /* events and alerts: this fleet is calm */

static const struct tr_fleet_config fleet_config = { .ticket_key = { 1, 2, 3 }, .run = RUN, .interval_s = INTERVAL_S,
						     .keyset_epoch = 1, .escalate_s = 3600 };

static void on_event(void *arg, const struct tr_event *e)
{
	(void)arg;
	told += e->severity < 5;
}

static void on_alert(void *arg, const struct tr_alert_row *row)
{
	(void)arg;
	(void)row;
	told++;
}

static void begin(uint32_t n)
{
	static const uint8_t seed[16] = { 9, 8, 7 };
	const struct tr_fleet_sink sink = { .event = on_event, .alert = on_alert };

	reg = (struct registry){ .n = n, .now = { .ms = NOW_MS, .wall_ns = NOW_MS * 1000000, .clock_trusted = true } };
	must(tr_table_init(&reg.agents, &tr_agent_def, offsetof(struct tr_agent_row, key_id), seed), "table");
	reg.fleet = tr_fleet_new(&fleet_config, &sink, &reg.now);
	must(reg.fleet != NULL, "fleet");
}

static void take_agent(const struct tr_agent_row *row)
{
	must(tr_table_put(&reg.agents, row) != NULL, "put");
}

/* As core does it: the item is found by the pulse's row, the fleet hears of both. */
static void take_pulse(const struct tr_pulse_row *row)
{
	struct tr_item *i = tr_table_get(&reg.agents, row->id);
	const struct tr_agent_row *a = TR_ROW(&reg.agents, i);

	must(a != NULL, "agent of a pulse");
	i->no = tr_fleet_add(reg.fleet, &reg.now, a->id, a->partition, a->key_id.p, a->binary_hash, (uint32_t)a->epoch, true,
			     row);
	must(i->no != TR_NO_AGENT, "fleet");
}

/* ---- loading ---- */

static void fill_store(const char *location, uint32_t n)
{
	tr_auto(tr_store_free) struct tr_store *s = NULL;
	struct tr_err err = { 0 };

	must(!tr_store_open(location, TR_STORE_CREATE, &s, &err), "create the store");
	for (uint32_t no = 0; no < n; no++) {
		struct made m = { .id = "" };
		struct tr_agent_row a;
		struct tr_pulse_row p;

		if (no % 30000 == 0)
			must((!no || !tr_store_commit(s, &err)) && !tr_store_begin(s, &err), "commit");
		make(&m, no, FIRST_SEQ);
		a = agent_row(&m, no);
		p = pulse_row(&m, no, FIRST_SEQ);
		must(!tr_store_apply(s, TR_OP_INSERT, TR_T_AGENT, &a, &err) &&
			     !tr_store_apply(s, TR_OP_INSERT, TR_T_PULSE, &p, &err),
		     "insert");
	}
	must(!tr_store_commit(s, &err), "commit");
}

struct sending {
	enum tr_table table;
	struct tr_buf rows;
};

/* Core's end of a frame of rows. */
static void receive(struct sending *s)
{
	tr_auto(tr_buf_done) struct tr_buf frame = TR_BUF_INIT;
	struct tr_msg_rows m = { .table = s->table, .rows = tr_buf_view(&s->rows) };
	union tr_any_row row;
	struct tr_err err = { 0 };
	struct tr_view one;

	tr_record_encode(&tr_msg_rows_def, &m, &frame);
	tr_buf_clear(&s->rows);
	must(!tr_record_decode(&tr_msg_rows_def, tr_buf_view(&frame), &m, &err), "frame");
	while (tr_records_next(&m.rows, &one)) {
		must(!tr_record_decode(tr_table_def(s->table), one, &row, &err), "row");
		if (s->table == TR_T_AGENT)
			take_agent(&row.agent);
		else
			take_pulse(&row.pulse);
	}
	must(m.rows.n == 0, "rows");
}

static bool on_row(void *arg, const void *row)
{
	struct sending *s = arg;

	tr_records_add(&s->rows, tr_table_def(s->table), row);
	if (s->rows.n >= CHUNK)
		receive(s);
	return true;
}

static double load(const char *location)
{
	static const enum tr_table order[] = { TR_T_AGENT, TR_T_PULSE };
	struct tr_err err = { 0 };
	struct tr_store *s = NULL;
	double start = cpu_s();

	must(!tr_store_open(location, TR_STORE_RW, &s, &err), "open the store");
	for (size_t i = 0; i < TR_ARRAY_LEN(order); i++) {
		struct sending out = { .table = order[i] };

		must(!tr_store_each(s, order[i], on_row, &out, &err), "read");
		receive(&out);
		tr_buf_done(&out.rows);
	}
	tr_fleet_loaded(reg.fleet, &reg.now);
	start = cpu_s() - start;
	(void)tr_store_free(s);
	must(reg.agents.n == reg.n && tr_fleet_count(reg.fleet) == reg.n, "count");
	return start;
}

/* ---- pulses ---- */

/* The frame that front would send for the agent's next pulse. */
static void add_frame(struct tr_buf *frames, uint32_t no)
{
	tr_auto(tr_buf_done) struct tr_buf pulse = TR_BUF_INIT;
	static const uint8_t raw[480];
	uint8_t ticket[TR_TICKET_LEN], digest[32];
	uint64_t seq = FIRST_SEQ + reg.seqs[no]++;
	struct made m = { .id = "" };
	struct tr_pulse p;
	struct tr_msg_pulse msg;
	struct tr_ticket_scope scope;
	const struct tr_ticket t = { RUN, seq, reg.now.ms };

	make(&m, no, seq);
	scope = (struct tr_ticket_scope){ tr_view_str(m.id), 1, m.head };
	tr_ticket_make(fleet_config.ticket_key, &scope, &t, ticket);
	p = (struct tr_pulse){
		.agent_id = tr_view_str(m.id),
		.partition = tr_view_str(m.partition),
		.time_ns = reg.now.wall_ns,
		.boot_ns = 1000000000u + seq,
		.rtt_us = 1800,
		.sync = TR_SYNC_YES,
		.seq = seq + 1,
		.bootcount = 3,
		.keyset_epoch = 1,
		.ticket = TR_VIEW_ARRAY(ticket),
		.version = TR_VIEW_LIT("0.2.0"),
		.bpf_status = TR_BPF_OK,
		.lsm = TR_LSM_UNAVAILABLE,
		.health = { 420, 16303424, 9120768, 102400, 61440, 2592000, 9216, 86400 },
	};
	memcpy(p.boot_id, m.boot_id, 16);
	memcpy(p.start_id, m.start_id, 16);
	memcpy(p.prev, m.head, 32);
	memcpy(p.binary_hash, m.image, 32);
	memcpy(p.bpf_digest, m.bpf, 32);
	tr_pulse_encode(&p, &pulse);
	head_of(digest, no, seq + 1);
	msg = (struct tr_msg_pulse){
		.source = tr_view_str(m.source),
		.agent_id = tr_view_str(m.id),
		.key_id = TR_VIEW_ARRAY(m.key_id),
		.cert_not_before = NOW_MS - 1000000,
		.cert_not_after = NOW_MS + 1000000000,
		.received_ns = reg.now.wall_ns,
		.named = tr_view_str(m.id),
		.digest = TR_VIEW_ARRAY(digest),
		.pulse = tr_buf_view(&pulse),
		.raw = TR_VIEW_ARRAY(raw),
	};
	tr_records_add(frames, &tr_msg_pulse_def, &msg);
	must(tr_buf_ok(frames), "frame");
}

/* Core's way of one pulse, from the frame to the encoded answer. */
static void serve(struct tr_view frame, struct tr_buf *out)
{
	struct tr_msg_pulse m;
	struct tr_msg_answer answer = { .status = 200, .ctype = TR_CT_CBOR };
	struct tr_pulse p;
	struct tr_pulse_result res;
	struct tr_err err = { 0 };
	struct tr_item *i;
	uint8_t body[256];
	char actor[80];
	struct tr_buf cbor = { .p = body, .cap = sizeof(body), .max = sizeof(body) - 1 };
	struct tr_pulse_seen seen = { .pulse = &p };

	must(!tr_record_decode(&tr_msg_pulse_def, frame, &m, &err), "frame");
	tr_table_soon(&reg.agents, m.agent_id);
	must(!tr_pulse_decode(m.pulse, &p, &err) && tr_view_eq(p.agent_id, m.agent_id), "pulse");
	must(tr_mono_ms() && tr_now_ms() > reg.n, "clock"); /* read as core does; what is judged is the same in every run */
	i = tr_table_get(&reg.agents, m.agent_id);
	must(i != NULL, "agent");
	tr_fleet_soon(reg.fleet, i->no, false);
	(void)snprintf(actor, sizeof(actor), "agent:%.*s", TR_VIEW_FMT(m.agent_id));
	must(tr_view_eq(tr_item_alt(i), m.key_id) && tr_fleet_agent(reg.fleet, i->no)->active, "agent");
	tr_fleet_soon(reg.fleet, i->no, true);
	seen.digest = m.digest.p;
	seen.raw = m.raw;
	seen.source = m.source;
	seen.received_ns = m.received_ns;
	tr_fleet_pulse(reg.fleet, &reg.now, i->no, &seen, &res);
	must(res.accepted && !res.answer.resync, "acceptance");
	res.answer.renew = m.cert_not_after - reg.now.ms < (m.cert_not_after - m.cert_not_before) * 2 / 5;
	tr_pulse_answer_put(&res.answer, &cbor);
	answer.body = tr_buf_view(&cbor);
	tr_buf_clear(out);
	tr_record_encode(&tr_msg_answer_def, &answer, out);
	must(tr_buf_ok(out), "answer");
}

/* The next pulses of these agents, CPU microseconds for each. */
static double batch(uint32_t count, uint32_t (*which)(uint32_t at, uint64_t salt), uint64_t salt)
{
	tr_auto(tr_buf_done) struct tr_buf frames = { .max = 1u << 28 }, out = TR_BUF_INIT;
	struct tr_view list, one;
	double start;

	for (uint32_t k = 0; k < count; k++)
		add_frame(&frames, which(k, salt));
	list = tr_buf_view(&frames);
	start = cpu_s();
	while (tr_records_next(&list, &one))
		serve(one, &out);
	start = cpu_s() - start;
	reg.now.ms++;
	reg.now.wall_ns += 1000000;
	return start / count * 1e6;
}

static uint32_t scattered(uint32_t at, uint64_t salt)
{
	return (uint32_t)((at + salt) * 514229 % reg.n);
}

static uint32_t at_random(uint32_t at, uint64_t salt)
{
	return (uint32_t)(mix(salt << 32 | at) % reg.n);
}

/* The first pulse after a start costs more than those behind it: each agent's is done with before anything counts. */
static void warm_up(void)
{
	reg.seqs = calloc(reg.n, sizeof(*reg.seqs));
	must(reg.seqs != NULL, "memory");
	for (uint32_t done = 0; done < reg.n; done += BATCH)
		(void)batch(reg.n - done < BATCH ? reg.n - done : BATCH, scattered, done);
}

static double sweep_ms(void)
{
	double start = cpu_s();

	/* A pass is spread over ten seconds. */
	for (int i = 0; i < 10; i++) {
		reg.now.ms += 1000;
		reg.now.wall_ns += 1000000000;
		tr_fleet_tick(reg.fleet, &reg.now);
	}
	return (cpu_s() - start) * 1e3;
}

static void fill_memory(void)
{
	for (uint32_t no = 0; no < reg.n; no++) {
		struct made m = { .id = "" };
		struct tr_agent_row a;
		struct tr_pulse_row p;

		make(&m, no, FIRST_SEQ);
		a = agent_row(&m, no);
		p = pulse_row(&m, no, FIRST_SEQ);
		take_agent(&a);
		take_pulse(&p);
	}
	tr_fleet_loaded(reg.fleet, &reg.now);
}

/* Registries of all sizes take turns, so that what else the machine does hits them alike; the median counts. */
static void pulses(struct registry *all, unsigned n)
{
	unsigned long before = told;

	for (unsigned i = 0; i < n; i++) {
		reg = all[i];
		if (!reg.fleet) {
			begin(reg.n);
			fill_memory();
		}
		warm_up();
		all[i] = reg;
	}
	for (unsigned turn = 0; turn < TURNS; turn++)
		for (unsigned i = 0; i < n; i++) {
			reg = all[i];
			all[i].us[turn] = batch(BATCH, at_random, turn + 1);
			all[i].now = reg.now;
		}
	must(told == before, "calm");
}

static int by_value(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static double median(double *us)
{
	qsort(us, TURNS, sizeof(*us), by_value);
	return us[TURNS / 2];
}

struct place {
	char folder[200], location[256];
};

static void make_place(struct place *p, const char *where)
{
	(void)snprintf(p->folder, sizeof(p->folder), "%s/troth-registry-XXXXXX", where);
	must(mkdtemp(p->folder) != NULL, "folder");
	(void)snprintf(p->location, sizeof(p->location), "sqlite:%s/troth.db", p->folder);
}

static void clean_place(const struct place *p)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
	char path[300];

	for (size_t i = 0; i < TR_ARRAY_LEN(ends); i++) {
		(void)snprintf(path, sizeof(path), "%s/troth.db%s", p->folder, ends[i]);
		(void)unlink(path);
	}
	(void)rmdir(p->folder);
}

int main(int argc, char **argv)
{
	static struct registry all[4] = { { .n = 1000 }, { .n = 10000 }, { .n = 100000 } };
	double us[4];
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
	bool loads = argc < 3 || strcmp(argv[2], "-") != 0;
	struct tr_fleet_stats st = { 0 };
	size_t taken, keys, bytes;
	struct tr_err err = { 0 };
	double load_s = 0, sweep;
	struct place place = { .folder = "" };

	must(n >= 1000 && !tr_crypto_init(&err), "start");
	if (loads) {
		make_place(&place, argc > 2 ? argv[2] : "/tmp");
		fill_store(place.location, n);
		(void)malloc_trim(0);
	}
	taken = resident();
	begin(n);
	if (loads) {
		load_s = load(place.location);
		clean_place(&place);
	} else {
		fill_memory();
	}
	(void)malloc_trim(0);
	taken = resident() - taken;
	bytes = tr_table_bytes(&reg.agents, &keys);
	tr_fleet_stats(reg.fleet, &st);
	all[3] = reg;
	pulses(all, 4);
	reg = all[3];
	sweep = sweep_ms();
	for (unsigned i = 0; i < 4; i++)
		us[i] = median(all[i].us);
	printf("{\"agents\": %u, \"load_s\": %.2f, \"bytes_per_agent\": %.1f, \"table_bytes\": %.1f, \"fleet_bytes\": %.1f, "
	       "\"name_bytes\": %.1f, \"pulse_us\": [%.3f, %.3f, %.3f, %.3f], \"pulse_flat\": %.3f, \"sweep_ms\": %.2f}\n",
	       n, load_s, (double)(taken - keys - st.bytes_names) / n, (double)(bytes - keys) / n, (double)st.bytes / n,
	       (double)(keys + st.bytes_names) / n, us[0], us[1], us[2], us[3], us[3] / us[0], sweep);
	return 0;
}
