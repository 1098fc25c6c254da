/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/pulse.h"

#include "codec/ident.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/pulse.cddl, in encoded order. What CWT and EAT have no claim for stands in
 * one map under one key of CWT's private range (RFC 8392 9.1): a key below -65536 takes five bytes, and there are
 * twenty of them in every pulse. */
enum {
	KEY_IAT = 6,	/* whole seconds of time_ns */
	KEY_NONCE = 10, /* the ticket */
	KEY_UPTIME = 261,
	KEY_PROFILE = 265,
	KEY_BOOTCOUNT = 267,
	KEY_SWVERSION = 271, /* [version] (RFC 9711 4.2.7) */
	KEY_PULSE = -65537,
};
enum {
	P_AGENT_ID = 1,
	P_PARTITION,
	P_NANOS, /* of the second in KEY_IAT */
	P_BOOT_NS,
	P_RTT_US,
	P_SYNC,
	P_SEQ,
	P_KEYSET_EPOCH,
	P_BOOT_ID,
	P_START_ID,
	P_PREV,
	P_EXPORTER,
	P_BINARY_HASH,
	P_BPF_STATUS,
	P_LSM,
	P_HEALTH,     /* [load, memory total, free, disk total, free, own memory, own CPU time] */
	P_BPF_DIGEST, /* from here on optional */
	P_LSM_REASON,
	P_NOTICE, /* [notice, seconds] */
	P_OLD_TICKET,
	P_BPF_LIST,
	P_N
};
#define BIT(key) (1u << (key))
#define P_REQUIRED (BIT(P_HEALTH + 1) - BIT(P_AGENT_ID))

/* Top-level keys have no small numbers: bits by hand. */
enum { HAS_IAT = 1, HAS_UPTIME = 2, HAS_PROFILE = 4, HAS_BOOTCOUNT = 8, HAS_SWVERSION = 16, HAS_PULSE = 32,
       HAS_REQUIRED = 63 };

#define SECOND INT64_C(1000000000)
/* What every reader of JSON can hold. */
#define HEALTH_MAX (UINT64_C(1) << 53)
#define HEALTH_N 7

static const uint8_t zeros[32];

const char *tr_notice_name(enum tr_notice n)
{
	static const char *const names[TR_NOTICE_N] = { "none", "shutdown", "reboot", "update", "restart" };

	return (unsigned)n < TR_NOTICE_N ? names[n] : "none";
}

const char *tr_sync_name(enum tr_sync s)
{
	static const char *const names[TR_SYNC_N] = { "unknown", "yes", "no" };

	return (unsigned)s < TR_SYNC_N ? names[s] : "unknown";
}

const char *tr_lsm_name(enum tr_lsm l)
{
	static const char *const names[TR_LSM_N] = { "unknown",	 "unavailable", "permissive", "active",
						     "degraded", "released",	"expired" };

	return (unsigned)l < TR_LSM_N ? names[l] : "unknown";
}

/* Shown to people in terminals and logs as it is. */
static bool reason_ok(struct tr_view v)
{
	if (v.n > TR_PULSE_REASON_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return false;
	return true;
}

static bool health_ok(const struct tr_health *h)
{
	return h->load_milli <= HEALTH_MAX && h->mem_total_kib <= HEALTH_MAX && h->mem_free_kib <= HEALTH_MAX &&
	       h->disk_total_mib <= HEALTH_MAX && h->disk_free_mib <= HEALTH_MAX && h->uptime_s <= HEALTH_MAX &&
	       h->agent_rss_kib <= HEALTH_MAX && h->agent_cpu_ms <= HEALTH_MAX;
}

static const char *fault_of_time(const struct tr_pulse *p)
{
	if (p->time_ns <= 0)
		return "the pulse's time is out of range";
	if (p->boot_ns > INT64_MAX || p->rtt_us > UINT32_MAX)
		return "the pulse's time since boot or round trip is out of range";
	if (p->sync >= TR_SYNC_N)
		return "the pulse's clock state is not known here";
	if (p->seq < 1 || p->seq > INT64_MAX)
		return "the pulse's number is out of range";
	if (p->bootcount > UINT32_MAX || p->keyset_epoch > INT64_MAX)
		return "the pulse's boot count or keyset epoch is out of range";
	return NULL;
}

static const char *fault_of_state(const struct tr_pulse *p)
{
	if (p->bpf_status >= TR_BPF_STATUS_N)
		return "the pulse's BPF status is not known here";
	if (p->bpf_status != TR_BPF_OK && (p->bpf_list.n || memcmp(p->bpf_digest, zeros, 32) != 0))
		return "the pulse has a BPF list or digest, but its status says that there is none";
	if (p->bpf_list.n > TR_PULSE_MAX)
		return "the pulse's BPF list is too long";
	if (p->lsm >= TR_LSM_N)
		return "the pulse's LSM state is not known here";
	if (!reason_ok(p->lsm_reason) || (p->lsm == TR_LSM_ACTIVE && p->lsm_reason.n))
		return "the pulse's LSM reason is too long, not printable ASCII, or stands beside 'active'";
	if (p->notice >= TR_NOTICE_N || p->notice_s > TR_PULSE_NOTICE_MAX_S)
		return "the pulse's notice is not known here, or for longer than a week";
	if (p->notice == TR_NOTICE_NONE && p->notice_s)
		return "the pulse has a time of silence without a notice";
	return NULL;
}

TR_RC tr_pulse_check(const struct tr_pulse *p, struct tr_err *err)
{
	const char *why = NULL;

	if (!tr_ident_ok(p->agent_id))
		why = "the pulse's agent id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	else if (!tr_ident_ok(p->partition))
		why = "the pulse's partition is not a plain name";
	else if (!tr_version_ok(p->version))
		why = "the pulse's version is not of the form 1.2.3";
	else if ((p->ticket.n && p->ticket.n != TR_TICKET_LEN) || (p->old_ticket.n && p->old_ticket.n != TR_TICKET_LEN))
		why = "a ticket in the pulse is not of 40 bytes";
	else if (!health_ok(&p->health))
		why = "a number of the pulse's health data is out of range";
	if (!why)
		why = fault_of_time(p);
	if (!why)
		why = fault_of_state(p);
	return why ? tr_err_set(err, TR_E_INVALID, why, "pulse fields") : TR_OK;
}

/* The list and its digest say the same: the server need not compare them again. */
static TR_RC check_list(const struct tr_pulse *p, struct tr_err *err)
{
	uint8_t sum[TR_SHA256_LEN];

	if (!p->bpf_list.n)
		return TR_OK;
	tr_sha256(p->bpf_list, sum);
	if (memcmp(sum, p->bpf_digest, sizeof(sum)) != 0)
		return tr_err_set(err, TR_E_INVALID, "the pulse's BPF list does not have the digest beside it",
				  "bpf_digest");
	return tr_bpf_list_check(p->bpf_list, err);
}

static unsigned members_of(const struct tr_pulse *p)
{
	return P_REQUIRED | (p->bpf_status == TR_BPF_OK ? BIT(P_BPF_DIGEST) : 0) |
	       (p->lsm_reason.n ? BIT(P_LSM_REASON) : 0) | (p->notice != TR_NOTICE_NONE ? BIT(P_NOTICE) : 0) |
	       (p->old_ticket.n ? BIT(P_OLD_TICKET) : 0) | (p->bpf_list.n ? BIT(P_BPF_LIST) : 0);
}

static void encode_private(const struct tr_pulse *p, struct tr_buf *b)
{
	const struct tr_health *h = &p->health;
	const uint64_t health[HEALTH_N] = { h->load_milli,    h->mem_total_kib, h->mem_free_kib, h->disk_total_mib,
					    h->disk_free_mib, h->agent_rss_kib, h->agent_cpu_ms };

	tr_cbor_put_map(b, (size_t)__builtin_popcount(members_of(p)));
	tr_field_put_text(b, P_AGENT_ID, p->agent_id);
	tr_field_put_text(b, P_PARTITION, p->partition);
	tr_field_put_uint(b, P_NANOS, (uint64_t)(p->time_ns % SECOND));
	tr_field_put_uint(b, P_BOOT_NS, p->boot_ns);
	tr_field_put_uint(b, P_RTT_US, p->rtt_us);
	tr_field_put_uint(b, P_SYNC, p->sync);
	tr_field_put_uint(b, P_SEQ, p->seq);
	tr_field_put_uint(b, P_KEYSET_EPOCH, p->keyset_epoch);
	tr_field_put_bytes(b, P_BOOT_ID, TR_VIEW_ARRAY(p->boot_id));
	tr_field_put_bytes(b, P_START_ID, TR_VIEW_ARRAY(p->start_id));
	tr_field_put_bytes(b, P_PREV, TR_VIEW_ARRAY(p->prev));
	tr_field_put_bytes(b, P_EXPORTER, TR_VIEW_ARRAY(p->exporter));
	tr_field_put_bytes(b, P_BINARY_HASH, TR_VIEW_ARRAY(p->binary_hash));
	tr_field_put_uint(b, P_BPF_STATUS, p->bpf_status);
	tr_field_put_uint(b, P_LSM, p->lsm);
	tr_cbor_put_int(b, P_HEALTH);
	tr_cbor_put_array(b, HEALTH_N);
	for (size_t i = 0; i < HEALTH_N; i++)
		tr_cbor_put_uint(b, health[i]);
	if (p->bpf_status == TR_BPF_OK)
		tr_field_put_bytes(b, P_BPF_DIGEST, TR_VIEW_ARRAY(p->bpf_digest));
	if (p->lsm_reason.n)
		tr_field_put_text(b, P_LSM_REASON, p->lsm_reason);
	if (p->notice != TR_NOTICE_NONE) {
		tr_cbor_put_int(b, P_NOTICE);
		tr_cbor_put_array(b, 2);
		tr_cbor_put_uint(b, p->notice);
		tr_cbor_put_uint(b, p->notice_s);
	}
	if (p->old_ticket.n)
		tr_field_put_bytes(b, P_OLD_TICKET, p->old_ticket);
	if (p->bpf_list.n)
		tr_field_put_bytes(b, P_BPF_LIST, p->bpf_list);
}

static void encode(const struct tr_pulse *p, struct tr_buf *b)
{
	tr_cbor_put_map(b, 6 + (size_t)(p->ticket.n > 0));
	tr_field_put_uint(b, KEY_IAT, (uint64_t)(p->time_ns / SECOND));
	if (p->ticket.n)
		tr_field_put_bytes(b, KEY_NONCE, p->ticket);
	tr_field_put_uint(b, KEY_UPTIME, p->health.uptime_s);
	tr_field_put_text(b, KEY_PROFILE, TR_VIEW_LIT(TR_PULSE_PROFILE));
	tr_field_put_uint(b, KEY_BOOTCOUNT, p->bootcount);
	tr_cbor_put_int(b, KEY_SWVERSION);
	tr_cbor_put_array(b, 1);
	tr_cbor_put_text(b, p->version);
	tr_cbor_put_int(b, KEY_PULSE);
	encode_private(p, b);
}

TR_RC tr_pulse_sign(const struct tr_pulse *p, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf payload = TR_BUF_INIT;
	enum tr_code rc = tr_pulse_check(p, err);

	if (!rc)
		rc = check_list(p, err);
	if (rc)
		return rc;
	encode(p, &payload);
	return tr_cose1_seal(k, tr_privkey_alg(k), TR_PULSE_DOMAIN, &payload, TR_PULSE_MAX, "the pulse is too long", ret, err);
}

static void fixed(struct tr_cbor *r, uint8_t *out, size_t n)
{
	tr_field_fixed(r, out, n, "a byte string has another length than the pulse's profile says");
}

static struct tr_view not_empty(struct tr_cbor *r, struct tr_view v)
{
	return tr_field_not_empty(r, v, "an optional member of the pulse is empty");
}

static void read_health(struct tr_cbor *r, struct tr_health *h)
{
	uint64_t *const to[HEALTH_N] = { &h->load_milli,    &h->mem_total_kib, &h->mem_free_kib, &h->disk_total_mib,
					 &h->disk_free_mib, &h->agent_rss_kib, &h->agent_cpu_ms };

	if (tr_cbor_array(r, HEALTH_N) != HEALTH_N)
		tr_cbor_fail(r, "the pulse's health data is not of seven numbers");
	for (size_t i = 0; i < HEALTH_N; i++)
		*to[i] = tr_cbor_uint(r);
}

static void read_notice(struct tr_cbor *r, struct tr_pulse *out)
{
	if (tr_cbor_array(r, 2) != 2)
		tr_cbor_fail(r, "the pulse's notice is not [notice, seconds]");
	out->notice = tr_cbor_uint(r);
	out->notice_s = tr_cbor_uint(r);
	if (out->notice == TR_NOTICE_NONE)
		tr_cbor_fail(r, "an optional member of the pulse is empty");
}

static void read_private(struct tr_cbor *r, struct tr_pulse *out, uint64_t *nanos)
{
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	(void)tr_cbor_map(r, &m, P_N);
	while (tr_cbor_key_int(r, &m, &key)) {
		switch (key) {
		case P_AGENT_ID: out->agent_id = tr_cbor_text(r); break;
		case P_PARTITION: out->partition = tr_cbor_text(r); break;
		case P_NANOS: *nanos = tr_cbor_uint(r); break;
		case P_BOOT_NS: out->boot_ns = tr_cbor_uint(r); break;
		case P_RTT_US: out->rtt_us = tr_cbor_uint(r); break;
		case P_SYNC: out->sync = tr_cbor_uint(r); break;
		case P_SEQ: out->seq = tr_cbor_uint(r); break;
		case P_KEYSET_EPOCH: out->keyset_epoch = tr_cbor_uint(r); break;
		case P_BOOT_ID: fixed(r, out->boot_id, sizeof(out->boot_id)); break;
		case P_START_ID: fixed(r, out->start_id, sizeof(out->start_id)); break;
		case P_PREV: fixed(r, out->prev, sizeof(out->prev)); break;
		case P_EXPORTER: fixed(r, out->exporter, sizeof(out->exporter)); break;
		case P_BINARY_HASH: fixed(r, out->binary_hash, sizeof(out->binary_hash)); break;
		case P_BPF_STATUS: out->bpf_status = tr_cbor_uint(r); break;
		case P_LSM: out->lsm = tr_cbor_uint(r); break;
		case P_HEALTH: read_health(r, &out->health); break;
		case P_BPF_DIGEST: fixed(r, out->bpf_digest, sizeof(out->bpf_digest)); break;
		case P_LSM_REASON: out->lsm_reason = not_empty(r, tr_cbor_text(r)); break;
		case P_NOTICE: read_notice(r, out); break;
		case P_OLD_TICKET: out->old_ticket = not_empty(r, tr_cbor_bytes(r)); break;
		case P_BPF_LIST: out->bpf_list = not_empty(r, tr_cbor_bytes(r)); break;
		default: tr_cbor_fail(r, "unknown key in the pulse"); continue;
		}
		seen |= BIT(key);
	}
	if (seen != members_of(out))
		tr_cbor_fail(r, "the pulse lacks a field, or has a BPF digest against its status");
}

static TR_RC parse(struct tr_view payload, struct tr_pulse *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	struct tr_view profile = { NULL, 0 };
	uint64_t seconds = 0, nanos = 0;
	int64_t key;
	unsigned seen = 0;

	*out = (struct tr_pulse){ .time_ns = 0 };
	(void)tr_cbor_map(&r, &m, 8); /* one more than there are: an unknown one is named as such */
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_IAT: seen |= HAS_IAT, seconds = tr_cbor_uint(&r); break;
		case KEY_NONCE: out->ticket = not_empty(&r, tr_cbor_bytes(&r)); break;
		case KEY_UPTIME: seen |= HAS_UPTIME, out->health.uptime_s = tr_cbor_uint(&r); break;
		case KEY_PROFILE: seen |= HAS_PROFILE, profile = tr_cbor_text(&r); break;
		case KEY_BOOTCOUNT: seen |= HAS_BOOTCOUNT, out->bootcount = tr_cbor_uint(&r); break;
		case KEY_SWVERSION:
			seen |= HAS_SWVERSION;
			if (tr_cbor_array(&r, 1) != 1)
				tr_cbor_fail(&r, "the version is not an array of one text");
			out->version = tr_cbor_text(&r);
			break;
		case KEY_PULSE: seen |= HAS_PULSE, read_private(&r, out, &nanos); break;
		default: tr_cbor_fail(&r, "unknown key in the pulse");
		}
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "pulse");
	if (seen != HAS_REQUIRED)
		return tr_err_set(err, TR_E_INVALID, "the pulse lacks a field", "fields %#x", seen);
	if (!tr_view_is(profile, TR_PULSE_PROFILE))
		return tr_err_set(err, TR_E_INVALID, "the pulse is of another profile", "eat_profile");
	if (seconds >= INT64_MAX / SECOND || nanos >= SECOND)
		return tr_err_set(err, TR_E_INVALID, "the pulse's time is out of range", "iat");
	out->time_ns = (int64_t)seconds * SECOND + (int64_t)nanos;
	return tr_pulse_check(out, err);
}

TR_RC tr_pulse_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_pulse *ret, uint8_t ret_digest[32],
		      struct tr_err *err)
{
	uint8_t digest[TR_SHA256_LEN];
	struct tr_pulse out;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_PULSE_MAX, &c, err);

	if (!rc)
		rc = tr_cose1_verify_digest(&c, k, TR_PULSE_DOMAIN, digest, err);
	if (rc)
		return tr_err_wrap(err, "pulse");
	rc = parse(c.payload, &out, err);
	if (!rc)
		rc = check_list(&out, err);
	if (rc)
		return rc;
	*ret = out;
	memcpy(ret_digest, digest, sizeof(digest));
	return TR_OK;
}

TR_RC tr_pulse_digest(struct tr_view in, uint8_t out[32], struct tr_err *err)
{
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_PULSE_MAX, &c, err);

	return rc ? tr_err_wrap(err, "pulse") : tr_cose1_digest(&c, TR_PULSE_DOMAIN, out, err);
}
