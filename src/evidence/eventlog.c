/* SPDX-License-Identifier: Apache-2.0 */
/* TCG PC Client Platform Firmware Profile, 10.2: one record per measurement, little-endian. */
#include "evidence/eventlog.h"

#define INDEXES 24u
#define NO_ACTION 3u /* measured into nothing */
#define SPEC_ID "Spec ID Event03"
#define LOCALITY "StartupLocality"
#define ALGS_MAX 8

struct cursor {
	const uint8_t *p;
	size_t n;
	bool bad;
};

/* What the first record says of the ones after it. */
struct format {
	size_t n_algs; /* 0: a log of TPM 1.2, SHA-1 only and without this record */
	struct { uint16_t alg; uint16_t size; enum tr_raw_hash hash; } algs[ALGS_MAX];
};

static struct tr_view take(struct cursor *c, size_t n)
{
	struct tr_view v = { c->p, n };

	if (c->bad || n > c->n) {
		c->bad = true;
		return (struct tr_view){ NULL, 0 };
	}
	c->p += n;
	c->n -= n;
	return v;
}

static uint32_t number(struct cursor *c, size_t bytes)
{
	struct tr_view v = take(c, bytes);
	uint32_t n = 0;

	for (size_t i = 0; i < v.n; i++)
		n |= (uint32_t)v.p[i] << 8 * i;
	return n;
}

static enum tr_code refuse(struct tr_err *err, size_t event, const char *why)
{
	return tr_err_set(err, TR_E_INVALID, "the event log cannot be read", "event %zu: %s", event, why);
}

static enum tr_raw_hash hash_of(uint16_t alg)
{
	switch (alg) {
	case 0x0004: return TR_HASH_SHA1;
	case 0x000b: return TR_HASH_SHA256;
	case 0x000c: return TR_HASH_SHA384;
	case 0x000d: return TR_HASH_SHA512;
	default: return TR_HASH_NONE;
	}
}

/* Profile 10.4.5.1 */
static const char *spec_id(struct tr_view data, struct format *f)
{
	struct cursor c = { data.p, data.n, false };
	uint32_t n;

	(void)take(&c, sizeof(SPEC_ID));
	(void)take(&c, 8); /* class, version, size of UINTN */
	n = number(&c, 4);
	if (c.bad || !n || n > ALGS_MAX)
		return "its list of hashes";
	for (uint32_t i = 0; i < n; i++) {
		f->algs[i].alg = (uint16_t)number(&c, 2);
		f->algs[i].size = (uint16_t)number(&c, 2);
		f->algs[i].hash = hash_of(f->algs[i].alg);
		if (f->algs[i].hash != TR_HASH_NONE && f->algs[i].size != tr_raw_hash_len(f->algs[i].hash))
			return "a hash of a wrong size";
		if (!f->algs[i].size || f->algs[i].size > 64)
			return "a hash of no size, or of a large one";
		for (uint32_t k = 0; k < i; k++)
			if (f->algs[k].alg == f->algs[i].alg)
				return "a hash that is named twice";
	}
	(void)take(&c, number(&c, 1));
	if (c.bad)
		return "its vendor data";
	f->n_algs = n;
	return NULL;
}

/* SHA-1 form: index, type, digest, size, data. */
static bool old_record(struct cursor *c, struct tr_log_event *e)
{
	*e = (struct tr_log_event){ .index = number(c, 4), .type = number(c, 4), .n_digests = 1 };
	e->digests[0].alg = TR_HASH_SHA1;
	e->digests[0].digest = take(c, 20);
	e->data = take(c, number(c, 4));
	return !c->bad;
}

static const char *record(struct cursor *c, const struct format *f, struct tr_log_event *e)
{
	uint32_t n;

	*e = (struct tr_log_event){ .index = number(c, 4), .type = number(c, 4) };
	n = number(c, 4);
	if (c->bad || n > f->n_algs)
		return "more digests than the log has hashes";
	for (uint32_t i = 0; i < n; i++) {
		uint16_t alg = (uint16_t)number(c, 2);
		size_t k = 0;

		while (k < f->n_algs && f->algs[k].alg != alg)
			k++;
		if (k == f->n_algs)
			return "a digest of a hash that the log does not name";
		if (f->algs[k].hash == TR_HASH_NONE) {
			(void)take(c, f->algs[k].size); /* SM3: not ours to compute */
			continue;
		}
		for (size_t d = 0; d < e->n_digests; d++)
			if (e->digests[d].alg == f->algs[k].hash)
				return "two digests of one hash";
		e->digests[e->n_digests].alg = f->algs[k].hash;
		e->digests[e->n_digests++].digest = take(c, f->algs[k].size);
	}
	e->data = take(c, number(c, 4));
	return c->bad ? "cut short" : NULL;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* CCEL areas are filled with ff (a record of index ffffffff), some firmware's with zeros. Zeros that are no record and not
 * the end either are an error, looked at once: see record(). */
static bool is_end(const struct cursor *c)
{
	if (c->n >= 4 && memcmp(c->p, "\xff\xff\xff\xff", 4) == 0)
		return true;
	return c->n < 12 ? all_zero(c->p, c->n) : all_zero(c->p, 12) && all_zero(c->p, c->n);
}

static bool read_format(struct tr_view log, struct cursor *c, struct format *f, const char **ret_why)
{
	struct tr_log_event first;
	struct cursor probe = { log.p, log.n, false };

	*c = probe;
	*f = (struct format){ 0 };
	*ret_why = "cut short";
	if (!old_record(&probe, &first))
		return false;
	/* Without the record the log is of TPM 1.2: all of it is in this form. */
	if (first.type != NO_ACTION || first.data.n < sizeof(SPEC_ID) || memcmp(first.data.p, SPEC_ID, sizeof(SPEC_ID)) != 0)
		return true;
	*c = probe;
	*ret_why = spec_id(first.data, f);
	return !*ret_why;
}

typedef TR_RC (*walk_fn)(void *arg, size_t i, const struct tr_log_event *e, bool *ret_stop, struct tr_err *err);

static TR_RC walk(struct tr_view log, walk_fn fn, void *arg, struct format *f, struct tr_err *err)
{
	struct cursor c;
	const char *why;
	size_t n = 0;
	bool stop = false;

	if (log.n > TR_LOG_MAX)
		return refuse(err, 0, "the log is larger than 4 MiB");
	if (!read_format(log, &c, f, &why))
		return refuse(err, 0, why);
	while (!stop && !is_end(&c)) {
		struct tr_log_event e;

		if (n == TR_LOG_EVENTS_MAX)
			return refuse(err, n, "more than 16384 events");
		why = f->n_algs ? record(&c, f, &e) : old_record(&c, &e) ? NULL : "cut short";
		if (why)
			return refuse(err, n, why);
		if (e.type != NO_ACTION && (e.index >= INDEXES || !e.type))
			return refuse(err, n, e.type ? "a register above 23" : "no type");
		if (fn(arg, n++, &e, &stop, err))
			return err->code;
	}
	return TR_OK;
}

struct replay {
	enum tr_raw_hash bank;
	const struct format *format;
	bool from_zero; /* whatever the log says of the start-up locality */
	uint8_t (*values)[64];
	uint32_t touched;
	size_t events;
};

/* Profile 10.4.5.3: who started the TPM at another locality than 0 began PCR 0 with its number. */
static TR_RC locality(struct replay *r, size_t i, const struct tr_log_event *e, struct tr_err *err)
{
	uint8_t l;

	if (r->from_zero || e->index != 0 || e->data.n != sizeof(LOCALITY) + 1 ||
	    memcmp(e->data.p, LOCALITY, sizeof(LOCALITY)) != 0)
		return TR_OK;
	l = e->data.p[sizeof(LOCALITY)];
	if (r->touched & 1 || (l != 0 && l != 3 && l != 4))
		return refuse(err, i, "a start-up locality that cannot be");
	r->values[0][tr_raw_hash_len(r->bank) - 1] = l;
	return TR_OK;
}

static TR_RC extend(void *arg, size_t i, const struct tr_log_event *e, bool *ret_stop, struct tr_err *err)
{
	struct replay *r = arg;

	(void)ret_stop;
	r->events++;
	if (e->type == NO_ACTION)
		return locality(r, i, e, err);
	for (size_t d = 0; d < e->n_digests; d++) {
		struct tr_view parts[2] = { tr_view(r->values[e->index], tr_raw_hash_len(r->bank)), e->digests[d].digest };
		uint8_t out[64];

		if (e->digests[d].alg != r->bank)
			continue;
		tr_raw_digest(r->bank, parts, 2, out);
		memcpy(r->values[e->index], out, parts[0].n);
		r->touched |= 1u << e->index;
		return TR_OK;
	}
	/* A bank that the log has and the event has not would be a gap that anything fits into. */
	return r->format->n_algs && !e->n_digests
		       ? refuse(err, i, "no digest")
		       : tr_err_set(err, TR_E_NOTFOUND, "the event log has no digests of that bank", "event %zu: no digest of %s",
				    i, tr_raw_hash_name(r->bank));
}

TR_RC tr_log_replay(struct tr_view log, enum tr_raw_hash bank, bool from_zero, uint8_t values[24][64], uint32_t *ret_touched,
		    size_t *ret_events, struct tr_err *err)
{
	struct format f;
	struct replay r = { .bank = bank, .format = &f, .from_zero = from_zero, .values = values };

	memset(values, 0, (size_t)INDEXES * 64);
	/* PCRs of the dynamic root of trust stay ff.. until one starts, and start at zero then (profile 3.3.4). */
	if (walk(log, extend, &r, &f, err))
		return err->code;
	for (unsigned p = 17; p < 23; p++)
		if (!(r.touched >> p & 1))
			memset(values[p], 0xff, tr_raw_hash_len(bank));
	*ret_touched = r.touched;
	*ret_events = r.events;
	return TR_OK;
}

/* Which events' digest is the hash of their data? The profile's table 27 as far as every firmware keeps to it. */
static bool must_hash(uint32_t type)
{
	switch (type) {
	case 0x00000004: /* EV_SEPARATOR */
	case 0x00000008: /* EV_S_CRTM_VERSION */
	case 0x80000001: /* EV_EFI_VARIABLE_DRIVER_CONFIG */
	case 0x80000002: /* EV_EFI_VARIABLE_BOOT */
	case 0x80000007: /* EV_EFI_ACTION */
	case 0x8000000c: /* EV_EFI_VARIABLE_BOOT2 */
	case 0x800000e0: /* EV_EFI_VARIABLE_AUTHORITY */
		return true;
	default: return false;
	}
}

/* UEFI_VARIABLE_DATA: GUID, name and data lengths (u64), name in UTF-16, data. */
static struct tr_view variable_data(struct tr_view v)
{
	struct cursor c = { v.p, v.n, false };
	uint64_t name, data;

	(void)take(&c, 16);
	name = number(&c, 4) | (uint64_t)number(&c, 4) << 32;
	data = number(&c, 4) | (uint64_t)number(&c, 4) << 32;
	if (c.bad || name > c.n / 2 || data != c.n - 2 * name)
		return v;
	return tr_view(c.p + 2 * name, (size_t)data);
}

static bool hashes_to(struct tr_view data, const struct tr_log_event *e)
{
	for (size_t d = 0; d < e->n_digests; d++) {
		uint8_t out[64];

		tr_raw_digest(e->digests[d].alg, &data, 1, out);
		if (!tr_view_eq(e->digests[d].digest, tr_view(out, tr_raw_hash_len(e->digests[d].alg))))
			return false;
	}
	return e->n_digests > 0;
}

struct each {
	tr_log_fn fn;
	void *arg;
};

/* The part of the data that the digest covers: all of it, but for two habits of real firmware. */
static bool covered(const struct tr_log_event *e, struct tr_view *ret)
{
	*ret = e->data;
	if (hashes_to(*ret, e))
		return true;
	if (e->type == 0x80000002) /* EV_EFI_VARIABLE_BOOT: EDK II hashes the variable without its name */
		*ret = variable_data(e->data);
	else if (e->type == 0x800000e0 && e->data.n) /* EV_EFI_VARIABLE_AUTHORITY: old shims logged a byte too much */
		ret->n--;
	else
		return false;
	return hashes_to(*ret, e);
}

static TR_RC tell(void *arg, size_t i, const struct tr_log_event *e, bool *ret_stop, struct tr_err *err)
{
	struct each *t = arg;
	struct tr_log_event said = *e;
	struct tr_view part;

	(void)i;
	(void)err;
	if (e->type != NO_ACTION) {
		said.data_is_hashed = covered(e, &part);
		if (said.data_is_hashed)
			said.data = part;
		said.data_forged = !said.data_is_hashed && must_hash(e->type);
	}
	*ret_stop = !t->fn(t->arg, &said);
	return TR_OK;
}

TR_RC tr_log_each(struct tr_view log, tr_log_fn fn, void *arg, struct tr_err *err)
{
	struct each t = { fn, arg };
	struct format f;

	return walk(log, tell, &t, &f, err);
}
