/* SPDX-License-Identifier: Apache-2.0 */
/* The test vectors of docs/protocol/pulse.md, made by the product's own code.
 *
 *   pulse_vectors --print   writes them
 *   pulse_vectors FILE      says whether FILE is exactly that; tests/e2e/test_pulse_vectors.py reads it with other code
 *
 * The Ed25519 key is made for this file and public with it: nobody may use it for anything else. */
#include "pulse_vectors.h"

#include "signed/pulse_sample.h"
#include "signed/time.h"
#include "vector_json.h"

static const char seed_text[] = "troth: the public key of the pulse's test vectors";

/* ---- pulses ---- */

static void put_fields(struct out *o, const struct tr_pulse *p)
{
	const struct tr_health *h = &p->health;

	tr_buf_adds(&o->b, "\"fields\": {");
	text(o, "agent_id", p->agent_id);
	text(o, "partition", p->partition);
	big(o, "time_ns", (uint64_t)p->time_ns);
	big(o, "boot_ns", p->boot_ns);
	number(o, "rtt_us", p->rtt_us);
	number(o, "sync", p->sync);
	big(o, "seq", p->seq);
	number(o, "bootcount", p->bootcount);
	big(o, "keyset_epoch", p->keyset_epoch);
	hex(o, "boot_id", TR_VIEW_ARRAY(p->boot_id));
	hex(o, "start_id", TR_VIEW_ARRAY(p->start_id));
	hex(o, "prev", TR_VIEW_ARRAY(p->prev));
	hex(o, "exporter", TR_VIEW_ARRAY(p->exporter));
	hex(o, "ticket", p->ticket);
	hex(o, "old_ticket", p->old_ticket);
	hex(o, "binary_hash", TR_VIEW_ARRAY(p->binary_hash));
	text(o, "version", p->version);
	number(o, "bpf_status", p->bpf_status);
	hex(o, "bpf_digest", TR_VIEW_ARRAY(p->bpf_digest));
	hex(o, "bpf_list", p->bpf_list);
	number(o, "lsm", p->lsm);
	text(o, "lsm_reason", p->lsm_reason);
	number(o, "notice", p->notice);
	number(o, "notice_s", p->notice_s);
	tr_buf_adds(&o->b, "\"health\": {");
	number(o, "load_milli", h->load_milli);
	number(o, "mem_total_kib", h->mem_total_kib);
	number(o, "mem_free_kib", h->mem_free_kib);
	number(o, "disk_total_mib", h->disk_total_mib);
	number(o, "disk_free_mib", h->disk_free_mib);
	number(o, "uptime_s", h->uptime_s);
	number(o, "agent_rss_kib", h->agent_rss_kib);
	number(o, "agent_cpu_ms", h->agent_cpu_ms);
	close_object(o);
	tr_buf_adds(&o->b, "}, ");
}

static void put_pulse(struct out *o, const char *name, const char *key_name, const struct tr_pubkey *key, struct tr_view cose)
{
	uint8_t digest[32];
	struct tr_pulse p;
	struct tr_cose c;
	struct tr_err err;

	must(!tr_pulse_verify(cose, key, &p, digest, &err) && !tr_cose1_parse(cose, cose.n, &c, &err), name);
	item(o);
	tr_buf_adds(&o->b, "{");
	text(o, "name", tr_view_str(name));
	text(o, "key", tr_view_str(key_name));
	put_fields(o, &p);
	hex(o, "payload", c.payload);
	hex(o, "cose", cose);
	hex(o, "digest", TR_VIEW_ARRAY(digest));
	close_object(o);
}

static void sign_and_put(struct out *o, const char *name, const struct tr_pulse *p)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_err err;

	must(!tr_pulse_sign(p, o->key, &b, &err), name);
	put_pulse(o, name, "ed25519", tr_privkey_pub(o->key), tr_buf_view(&b));
}

static struct tr_buf unhex(const char *digits)
{
	struct tr_buf b = TR_BUF_INIT;
	size_t n = strlen(digits) / 2;
	uint8_t *at = tr_buf_space(&b, n);

	must(at && tr_hex_get(tr_view_str(digits), at, n), "hexadecimal");
	return b;
}

static void put_pulses(struct out *o)
{
	tr_auto(tr_buf_done) struct tr_buf p256 = unhex(p256_cose), rsa = unhex(rsa2048_cose);
	struct tr_pulse p = small_pulse();

	open_list(o, "pulses");
	memset(p.prev, 0, sizeof(p.prev));
	p.seq = p.bootcount = 1;
	p.rtt_us = 0;
	sign_and_put(o, "the first of an agent", &p);
	p = small_pulse();
	p.ticket = TR_VIEW_ARRAY(sample_ticket);
	sign_and_put(o, "with a ticket", &p);
	p = sample_pulse();
	sign_and_put(o, "every member", &p);
	p = sample_pulse();
	p.time_ns = 1;
	p.boot_ns = p.seq = p.keyset_epoch = INT64_MAX;
	p.rtt_us = p.bootcount = UINT32_MAX;
	p.health.load_milli = UINT64_C(1) << 53;
	p.notice = TR_NOTICE_RESTART;
	p.notice_s = TR_PULSE_NOTICE_MAX_S;
	p.bpf_list = tr_view(NULL, 0);
	p.lsm = TR_LSM_ACTIVE;
	p.lsm_reason = tr_view(NULL, 0);
	p.version = TR_VIEW_LIT("v1.2.3.4-rc.1");
	sign_and_put(o, "the greatest numbers", &p);
	put_pulse(o, "by a P-256 key", "p256", o->p256, tr_buf_view(&p256));
	put_pulse(o, "by an RSA-2048 key", "rsa2048", o->rsa, tr_buf_view(&rsa));
	tr_buf_adds(&o->b, "\n]");
}

/* ---- answers, tickets, lists, times ---- */

static const struct tr_pulse_answer answers[] = {
	{ .ticket = TR_VIEW_ARRAY(sample_ticket), .interval_s = 30, .received_ns = INT64_C(1795310523456789012),
	  .sent_ns = INT64_C(1795310523456989012), .keyset_epoch = 1 },
	{ .ticket = TR_VIEW_ARRAY(sample_old), .resync = true, .interval_s = 86400, .received_ns = 1, .sent_ns = INT64_MAX,
	  .renew = true, .want_bpf_list = true, .pending = UINT32_MAX, .keyset_epoch = INT64_MAX,
	  .wait_s = 25, .revocation = INT64_MAX },
};

static void put_answers(struct out *o)
{
	open_list(o, "answers");
	for (size_t i = 0; i < TR_ARRAY_LEN(answers); i++) {
		const struct tr_pulse_answer *a = &answers[i];
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;

		tr_pulse_answer_put(a, &b);
		must(tr_buf_ok(&b), "answer");
		item(o);
		tr_buf_adds(&o->b, "{");
		hex(o, "ticket", a->ticket);
		flag(o, "resync", a->resync);
		number(o, "interval_s", a->interval_s);
		big(o, "received_ns", (uint64_t)a->received_ns);
		big(o, "sent_ns", (uint64_t)a->sent_ns);
		flag(o, "renew", a->renew);
		flag(o, "want_bpf_list", a->want_bpf_list);
		number(o, "pending", a->pending);
		big(o, "keyset_epoch", a->keyset_epoch);
		number(o, "wait_s", a->wait_s);
		big(o, "revocation", a->revocation);
		hex(o, "cbor", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

static void put_tickets(struct out *o)
{
	static const struct {
		const char *agent;
		uint32_t epoch;
		struct tr_ticket t;
	} all[] = {
		{ "web-1", 1, { 1, 1025, INT64_C(1795310523456) } },
		{ "web-1", 2, { UINT64_MAX, 0, INT64_C(1795310523456) } },
		{ "a234567890123456789012345678901234567890123456789012345678901234", UINT32_MAX, { 7, INT64_MAX, INT64_MAX } },
	};
	uint8_t key[TR_TICKET_KEY_LEN], head[32], ticket[TR_TICKET_LEN];

	memset(key, 0x66, sizeof(key));
	memset(head, 0x33, sizeof(head));
	open_list(o, "tickets");
	for (size_t i = 0; i < TR_ARRAY_LEN(all); i++) {
		const struct tr_ticket_scope s = { tr_view_str(all[i].agent), all[i].epoch, head };

		tr_ticket_make(key, &s, &all[i].t, ticket);
		item(o);
		tr_buf_adds(&o->b, "{");
		hex(o, "key", TR_VIEW_ARRAY(key));
		text(o, "agent_id", s.agent_id);
		number(o, "epoch", s.epoch);
		hex(o, "head", TR_VIEW_ARRAY(head));
		big(o, "run", all[i].t.run);
		big(o, "seq", all[i].t.seq);
		big(o, "issued_ms", (uint64_t)all[i].t.issued_ms);
		hex(o, "ticket", TR_VIEW_ARRAY(ticket));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

static const uint8_t hash[32] = { 0xa5 }, tag[8] = { 0x5a };
static const struct tr_bpf_item bpf_items[] = {
	{ .pin = TR_VIEW_LIT("troth/link"), .kind = TR_BPF_LINK, .type = 2, .id = 4, .norm_status = TR_BPF_NORM_NONE,
	  .attach = TR_BPF_DETACHED, .prog_id = 12 },
	{ .pin = TR_VIEW_LIT("troth/rules"), .name = TR_VIEW_LIT("rules"), .kind = TR_BPF_MAP, .type = 1, .id = 3,
	  .norm_status = TR_BPF_NORM_NONE, .content = TR_VIEW_ARRAY(hash), .frozen = true },
	{ .pin = TR_VIEW_LIT("troth/shield"), .name = TR_VIEW_LIT("shield_prog"), .kind = TR_BPF_PROG, .type = 29, .id = 12,
	  .loaded_ns = 5000000000, .tag = TR_VIEW_ARRAY(tag), .norm = TR_VIEW_ARRAY(hash), .object = TR_VIEW_ARRAY(hash),
	  .attach = TR_BPF_ATTACHED },
	{ .pin = TR_VIEW_LIT("troth/shield2"), .kind = TR_BPF_PROG, .type = 29, .id = UINT32_MAX, .loaded_ns = INT64_MAX,
	  .tag = TR_VIEW_ARRAY(tag), .norm_status = TR_BPF_NORM_HARDENED },
};

static void put_bpf_item(struct out *o, const struct tr_bpf_item *i)
{
	tr_buf_adds(&o->b, "{");
	text(o, "pin", i->pin);
	text(o, "name", i->name);
	number(o, "kind", i->kind);
	number(o, "type", i->type);
	number(o, "id", i->id);
	if (i->kind == TR_BPF_PROG) {
		big(o, "loaded_ns", i->loaded_ns);
		hex(o, "tag", i->tag);
		number(o, "norm_status", i->norm_status);
		hex(o, "norm", i->norm);
	}
	hex(o, "object", i->object);
	if (i->kind != TR_BPF_MAP)
		number(o, "attach", i->attach);
	if (i->kind == TR_BPF_LINK)
		number(o, "prog_id", i->prog_id);
	if (i->kind == TR_BPF_MAP) {
		hex(o, "content", i->content);
		flag(o, "frozen", i->frozen);
	}
	close_object(o);
}

static void put_lists(struct out *o)
{
	open_list(o, "bpf_lists");
	for (size_t n = 0; n <= TR_ARRAY_LEN(bpf_items); n += TR_ARRAY_LEN(bpf_items)) {
		tr_auto(tr_buf_done) struct tr_buf records = TR_BUF_INIT, b = TR_BUF_INIT;
		struct tr_bpf_list l = { .kernel = TR_VIEW_LIT("6.1.0 x86_64 jit=1 harden=0") };
		uint8_t digest[32];
		struct tr_err err;

		for (size_t i = 0; i < n; i++)
			tr_records_add(&records, &tr_bpf_item_def, &bpf_items[i]);
		l.items = tr_buf_view(&records);
		must(!tr_bpf_list_put(&l, &b, &err), "BPF list");
		tr_sha256(tr_buf_view(&b), digest);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "kernel", l.kernel);
		tr_buf_adds(&o->b, "\"items\": [");
		for (size_t i = 0; i < n; i++) {
			tr_buf_adds(&o->b, i ? ", " : "");
			put_bpf_item(o, &bpf_items[i]);
		}
		tr_buf_adds(&o->b, "], ");
		hex(o, "cbor", tr_buf_view(&b));
		hex(o, "digest", TR_VIEW_ARRAY(digest));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

static void put_times(struct out *o)
{
	static const size_t sizes[] = { 16, 32, 64 };
	uint8_t nonce[64];

	memset(nonce, 0x77, sizeof(nonce));
	open_list(o, "times");
	for (size_t i = 0; i < TR_ARRAY_LEN(sizes); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		const int64_t ns = INT64_C(1795310523456789012) + (int64_t)i;
		struct tr_err err;

		must(!tr_time_sign(tr_view(nonce, sizes[i]), ns, o->key, &b, &err), "time");
		item(o);
		tr_buf_adds(&o->b, "{");
		hex(o, "nonce", tr_view(nonce, sizes[i]));
		big(o, "ns", (uint64_t)ns);
		hex(o, "cose", tr_buf_view(&b));
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- what must be refused ---- */

#define V(s) TR_VIEW_LIT(s)
enum kind { PULSE, OBJECT, DOMAIN, LIST, ANSWER, TIME };

/* `from` in a good one is replaced by `to`. PULSE and TIME: in the payload, which is signed again by the same key;
 * OBJECT: in a signed pulse; DOMAIN: nothing, but signed under `to`. */
static const struct {
	const char *name;
	enum kind kind;
	struct tr_view from, to;
} bad[] = {
	{ "agent id with a colon", PULSE, V("web-1"), V("web:1") },
	{ "another profile", PULSE, V("pulse/1"), V("pulse/2") },
	{ "unknown key", PULSE, V("\xa7\x06"), V("\xa8\x01\x01\x06") },
	{ "a map of one member less than there are", PULSE, V("\xa7\x06"), V("\xa6\x06") },
	{ "number not in its shortest form", PULSE, V("\x06\x01\x07"), V("\x06\x18\x01\x07") },
	{ "unknown clock state", PULSE, V("\x06\x01\x07"), V("\x06\x03\x07") },
	{ "number zero", PULSE, V("\x07\x19\x04\x01\x08"), V("\x07\x00\x08") },
	{ "keys out of order", PULSE, V("\x06\x01\x07\x19\x04\x01"), V("\x07\x19\x04\x01\x06\x01") },
	{ "a whole second of nanoseconds", PULSE, V("\x03\x1a\x1b\x3a\x0c\x14"), V("\x03\x1a\x3b\x9a\xca\x00") },
	{ "notice 0", PULSE, V("\x13\x82\x02"), V("\x13\x82\x00") },
	{ "notice for over a week", PULSE, V("\x13\x82\x02\x19\x03\x84"), V("\x13\x82\x02\x1a\x00\x09\x3a\x81") },
	{ "six health numbers", PULSE, V("\x10\x87\x19\x01\xa4"), V("\x10\x86") },
	{ "empty reason", PULSE, V("\x78\x19no BPF LSM in this kernel"), V("\x60") },
	{ "reason with a line feed", PULSE, V("no BPF LSM"), V("no\nBPF LSM") },
	{ "reason beside active", PULSE, V("\x0f\x04\x10"), V("\x0f\x03\x10") },
	{ "BPF digest with status off", PULSE, V("\x0e\x01\x0f"), V("\x0e\x05\x0f") },
	{ "BPF list of another digest", PULSE, V("troth/map"), V("troth/mop") },
	{ "ticket of 39 bytes", PULSE, V("\x0a\x58\x28\x71"), V("\x0a\x58\x27") },
	{ "hash of 31 bytes", PULSE, V("\x0d\x58\x20\x55"), V("\x0d\x58\x1f") },
	{ "version with a scheme", PULSE, V("\x81\x65" "0.2.0"), V("\x82\x65" "0.2.0\x01") },
	{ "byte behind the payload", PULSE, V("troth/map\x03\x02\x04\x01\x05\x07\x0e\xf5"),
	  V("troth/map\x03\x02\x04\x01\x05\x07\x0e\xf5\x00") },
	{ "one bit of the payload", OBJECT, V("web-1"), V("web-3") },
	{ "another key id", OBJECT, V("\x04\x50"), V("\x04\x50") },
	{ "an unprotected header", OBJECT, V("\xa0\x59"), V("\xa1\x18\x64\x01\x59") },
	{ "another tag", OBJECT, V("\xd2\x84"), V("\xd1\x84") },
	{ "no tag", OBJECT, V("\xd2\x84"), V("\x84") },
	{ "signed as a claim", DOMAIN, V(""), V("troth/claim/v1") },
	{ "pins out of order", LIST, V("troth/link"), V("zroth/link") },
	{ "pin twice", LIST, V("troth/shield2"), V("troth/shield") },
	{ "frozen as a number", LIST, V("\xf5"), V("\x01") },
	{ "program without its hash", LIST, V("\x08\x01"), V("\x08\x00") },
	{ "unknown kind", LIST, V("\x03\x03\x04"), V("\x03\x04\x04") },
	{ "interval 0", ANSWER, V("\x03\x18\x1e"), V("\x03\x00") },
	{ "resync as a number", ANSWER, V("\x02\xf4"), V("\x02\x00") },
	{ "a member left out", ANSWER, V("\x09\x01\x0a\x00\x0b\x00"), V("\x0a\x00\x0b\x00\x0c\x00") },
	{ "a wait of 61 seconds", ANSWER, V("\x0a\x00"), V("\x0a\x18\x3d") },
	{ "ticket of 39 bytes", ANSWER, V("\x58\x28\x71"), V("\x58\x27") },
	{ "another nonce", TIME, V("\x77\x02"), V("\x78\x02") },
	{ "nonce of 15 bytes", TIME, V("\x01\x50\x77"), V("\x01\x4f") },
	{ "time 0", TIME, V("\x02\x1b\x18\xea\x39\x68\xbc\x29\x9a\x14"), V("\x02\x00") },
};

/* The payload of a signed object, spoiled and signed again. */
static void resign(struct out *o, struct tr_view cose, const char *domain, size_t i, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	struct tr_cose c;
	struct tr_err err;

	must(!tr_cose1_parse(cose, cose.n, &c, &err), "good object");
	swap(bad[i].name, c.payload, bad[i].from, bad[i].kind == DOMAIN ? tr_view(NULL, 0) : bad[i].to, &payload);
	must(!tr_cose1_sign(o->key, domain, tr_buf_view(&payload), out, &err), "signing again");
}

static void spoil(struct out *o, size_t i, struct tr_buf *out)
{
	tr_auto(tr_buf_done) struct tr_buf good = TR_BUF_INIT, records = TR_BUF_INIT;
	struct tr_bpf_list l = { .kernel = V("k") };
	const struct tr_pulse p = sample_pulse();
	uint8_t nonce[16];
	struct tr_err err;

	switch (bad[i].kind) {
	case PULSE:
	case DOMAIN:
		must(!tr_pulse_sign(&p, o->key, &good, &err), "pulse");
		resign(o, tr_buf_view(&good), bad[i].kind == DOMAIN ? (const char *)bad[i].to.p : TR_PULSE_DOMAIN, i, out);
		break;
	case OBJECT:
		must(!tr_pulse_sign(&p, o->key, &good, &err), "pulse");
		swap(bad[i].name, tr_buf_view(&good), bad[i].from, bad[i].to, out);
		if (strcmp(bad[i].name, "another key id") == 0)
			out->p[9] ^= 1;
		break;
	case LIST:
		for (size_t j = 0; j < TR_ARRAY_LEN(bpf_items); j++)
			tr_records_add(&records, &tr_bpf_item_def, &bpf_items[j]);
		l.items = tr_buf_view(&records);
		must(!tr_bpf_list_put(&l, &good, &err), "BPF list");
		if (strcmp(bad[i].name, "pin twice") == 0)
			swap(bad[i].name, tr_buf_view(&good), V("\x6dtroth/shield2"), V("\x6ctroth/shield"), out);
		else
			swap(bad[i].name, tr_buf_view(&good), bad[i].from, bad[i].to, out);
		break;
	case ANSWER:
		tr_pulse_answer_put(&answers[0], &good);
		swap(bad[i].name, tr_buf_view(&good), bad[i].from, bad[i].to, out);
		break;
	case TIME:
		memset(nonce, 0x77, sizeof(nonce));
		must(!tr_time_sign(TR_VIEW_ARRAY(nonce), INT64_C(1795310523456789012), o->key, &good, &err), "time");
		resign(o, tr_buf_view(&good), TR_TIME_DOMAIN, i, out);
		break;
	}
}

/* The product's own refusal. */
static const char *reason_of(struct out *o, enum kind kind, struct tr_view in, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf items = TR_BUF_INIT;
	struct tr_pulse_answer a;
	struct tr_bpf_list l;
	struct tr_pulse p;
	uint8_t digest[32], nonce[16];
	int64_t ns;
	enum tr_code rc = TR_OK;

	memset(nonce, 0x77, sizeof(nonce));
	switch (kind) {
	case PULSE:
	case OBJECT:
	case DOMAIN: rc = tr_pulse_verify(in, tr_privkey_pub(o->key), &p, digest, err); break;
	case LIST: rc = tr_bpf_list_get(in, &items, &l, err); break;
	case ANSWER: rc = tr_pulse_answer_get(in, &a, err); break;
	case TIME: rc = tr_time_verify(in, tr_privkey_pub(o->key), TR_VIEW_ARRAY(nonce), &ns, err); break;
	}
	return rc ? err->pub : NULL;
}

static void put_bad(struct out *o)
{
	static const char *const names[] = { [PULSE] = "pulse",	   [OBJECT] = "pulse",	[DOMAIN] = "pulse",
					     [LIST] = "bpf_list", [ANSWER] = "answer", [TIME] = "time" };

	open_list(o, "invalid");
	for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
		tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
		struct tr_err err;
		const char *why;

		spoil(o, i, &b);
		why = reason_of(o, bad[i].kind, tr_buf_view(&b), &err);
		must(why != NULL, bad[i].name);
		item(o);
		tr_buf_adds(&o->b, "{");
		text(o, "name", tr_view_str(bad[i].name));
		text(o, "object", tr_view_str(names[bad[i].kind]));
		hex(o, "bytes", tr_buf_view(&b));
		text(o, "reason", tr_view_str(why));
		flag(o, "signature", err.code == TR_E_DENIED);
		close_object(o);
	}
	tr_buf_adds(&o->b, "\n]");
}

/* ---- all ---- */

static void open_keys(struct out *o, uint8_t seed[32])
{
	tr_auto(tr_buf_done) struct tr_buf p256 = unhex(p256_spki), rsa = unhex(rsa2048_spki);
	struct tr_err err;

	o->key = key_of(seed_text, seed);
	must(!tr_pubkey_from_spki(tr_buf_view(&p256), &o->p256, &err) &&
		     !tr_pubkey_from_spki(tr_buf_view(&rsa), &o->rsa, &err), "keys");
}

static void put_all(struct out *o)
{
	uint8_t seed[32];

	open_keys(o, seed);
	tr_buf_adds(&o->b, "{\n\"keys\": {");
	tr_buf_adds(&o->b, "\"ed25519\": {");
	hex(o, "seed", TR_VIEW_ARRAY(seed));
	hex(o, "spki", tr_pubkey_spki(tr_privkey_pub(o->key)));
	close_object(o);
	tr_buf_adds(&o->b, ", \"p256\": {");
	hex(o, "spki", tr_pubkey_spki(o->p256));
	close_object(o);
	tr_buf_adds(&o->b, ", \"rsa2048\": {");
	hex(o, "spki", tr_pubkey_spki(o->rsa));
	close_object(o);
	tr_buf_adds(&o->b, "}");
	put_pulses(o);
	put_answers(o);
	put_tickets(o);
	put_lists(o);
	put_times(o);
	put_bad(o);
	tr_buf_adds(&o->b, "\n}\n");
	must(tr_buf_ok(&o->b), "memory");
}

int main(int argc, char **argv)
{
	struct out o = { .comma = "" };
	int rc;

	must(argc == 2, "usage: pulse_vectors --print | FILE, which");
	start();
	put_all(&o);
	rc = print_or_compare("pulse_vectors", argv[1], tr_buf_view(&o.b));
	tr_buf_done(&o.b);
	(void)tr_privkey_free(o.key);
	(void)tr_pubkey_free(o.p256);
	(void)tr_pubkey_free(o.rsa);
	return rc;
}
