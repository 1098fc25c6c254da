/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/order.h"

#include "codec/cbor.h"
#include "codec/ident.h"
#include "codec/text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/command.cddl. Never reused. */
enum {
	KEY_DOMAIN = 1,
	KEY_AGENT,
	KEY_ID,
	KEY_CMD,
	KEY_ORDERED,
	KEY_EXPIRES,
	KEY_NOT_BEFORE, /* from here on optional */
	KEY_IMAGE,
	KEY_SECONDS,
	KEY_TEXT,
	KEY_TARGET,
	KEY_N
};
#define BIT(key) (1u << (key))
#define REQUIRED (BIT(KEY_EXPIRES + 1) - BIT(KEY_DOMAIN))

/* Year 9999: later times have no RFC 3339 form. */
#define TIME_MAX_MS INT64_C(253402300799999)
#define MINUTE 60
#define HOUR 3600

static const uint8_t zeros[TR_CMD_ID_LEN];

/* Cancel and refresh are reads by class: neither does to the host what nobody agreed to, and who can order them could as
 * well hold the command back. Reattest only says again what the agent says anyway. */
static const struct tr_cmd_type types[TR_CMD_N] = {
	[TR_CMD_STATUS] = { "status", TR_CLASS_READ, TR_KIND_QUERY, 5 * MINUTE, false, false, false, 0,
			    "ask the agent for its own state" },
	[TR_CMD_INVENTORY] = { "collect-inventory", TR_CLASS_READ, TR_KIND_QUERY, 5 * MINUTE, false, false, false, 0,
			       "system, kernel, memory, mounts and addresses of the host" },
	[TR_CMD_REATTEST] = { "reattest", TR_CLASS_READ, TR_KIND_IDEMPOTENT, 15 * MINUTE, false, false, false, 0,
			      "hash the image and the BPF programs anew and send a full pulse" },
	[TR_CMD_REFRESH_KEYSET] = { "refresh-keyset", TR_CLASS_READ, TR_KIND_IDEMPOTENT, 15 * MINUTE, false, false,
				    false, 0, "fetch the keyset now" },
	[TR_CMD_CANCEL] = { "cancel", TR_CLASS_READ, TR_KIND_IDEMPOTENT, 4 * HOUR, false, false, true, 0,
			    "cancel an order of the same agent that has not begun" },
	[TR_CMD_NOTE] = { "note", TR_CLASS_CHANGE, TR_KIND_ONCE, 4 * HOUR, false, true, false, 0,
			  "write one line to the host's log" },
	[TR_CMD_SET_INTERVAL] = { "set-interval", TR_CLASS_CHANGE, TR_KIND_IDEMPOTENT, 4 * HOUR, true, false, false,
				  86400, "seconds between pulses; 0: as the server says" },
	[TR_CMD_RESTART_AGENT] = { "restart-agent", TR_CLASS_CHANGE, TR_KIND_ONCE, 4 * HOUR, false, false, false, 0,
				   "restart the agent's process" },
	[TR_CMD_ROTATE_KEY] = { "rotate-agent-key", TR_CLASS_CHANGE, TR_KIND_ONCE, 4 * HOUR, false, false, false, 0,
				"make a new device key and have it certified" },
	[TR_CMD_QUARANTINE] = { "quarantine", TR_CLASS_DANGEROUS, TR_KIND_IDEMPOTENT, 4 * HOUR, false, false, false, 0,
				"obey nothing but reads, cancel and release" },
	[TR_CMD_RELEASE] = { "release", TR_CLASS_DANGEROUS, TR_KIND_IDEMPOTENT, 4 * HOUR, false, false, false, 0,
			     "end a quarantine" },
};

const struct tr_cmd_type *tr_cmd_type(uint64_t cmd)
{
	return cmd < TR_CMD_N && types[cmd].name ? &types[cmd] : NULL;
}

enum tr_cmd tr_cmd_of(struct tr_view name)
{
	for (unsigned i = 0; i < TR_CMD_N; i++)
		if (types[i].name && tr_view_is(name, types[i].name))
			return (enum tr_cmd)i;
	return TR_CMD_N;
}

const char *tr_cmd_class_name(uint64_t class)
{
	static const char *const names[TR_CLASS_N] = { "read", "change", "dangerous" };

	return class < TR_CLASS_N ? names[class] : "unknown";
}

const char *tr_cmd_kind_name(uint64_t kind)
{
	static const char *const names[TR_KIND_N] = { "query", "idempotent", "once" };

	return kind < TR_KIND_N ? names[kind] : "unknown";
}

unsigned tr_cmd_approvals(enum tr_cmd_class class)
{
	/* A class that nobody knows is as dangerous as the worst one. */
	return class == TR_CLASS_READ ? 0 : class == TR_CLASS_CHANGE ? 1 : 2;
}

uint32_t tr_cmd_approval_max_s(enum tr_cmd_class class)
{
	return class == TR_CLASS_READ || class == TR_CLASS_CHANGE ? 4 * HOUR : HOUR;
}

/* One code point of valid UTF-8. */
static uint32_t next_rune(struct tr_view v, size_t *at)
{
	uint8_t c = v.p[(*at)++];
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	uint32_t rune = more == 0 ? c : c & (0x3fu >> more);

	while (more-- && *at < v.n)
		rune = rune << 6 | (v.p[(*at)++] & 0x3f);
	return rune;
}

/* What makes a terminal show something else than what was signed: controls, line breaks, direction changes, characters
 * that nobody sees. */
static bool is_shown(uint32_t rune)
{
	static const struct {
		uint32_t from, to;
	} hidden[] = { { 0, 0x1f },	    { 0x7f, 0xa0 },	{ 0xad, 0xad },	    { 0x61c, 0x61c },
		       { 0x180b, 0x180f }, { 0x200b, 0x200f },	{ 0x2028, 0x202f }, { 0x2060, 0x206f },
		       { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },	{ 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff } };

	for (size_t i = 0; i < TR_ARRAY_LEN(hidden); i++)
		if (rune >= hidden[i].from && rune <= hidden[i].to)
			return false;
	return true;
}

bool tr_order_line_ok(struct tr_view v)
{
	if (!tr_utf8_ok(v))
		return false;
	for (size_t at = 0; at < v.n;)
		if (!is_shown(next_rune(v, &at)))
			return false;
	return true;
}

static const char *fault_of_time(const struct tr_order *o, const struct tr_cmd_type *t)
{
	int64_t from = o->not_before_ms ? o->not_before_ms : o->ordered_ms;

	if (o->ordered_ms <= 0 || o->ordered_ms > TIME_MAX_MS || o->not_before_ms < 0 ||
	    o->not_before_ms > TIME_MAX_MS || o->expires_ms <= 0 || o->expires_ms > TIME_MAX_MS)
		return "a time of the order is out of range";
	if (o->not_before_ms && (o->not_before_ms < o->ordered_ms ||
				 o->not_before_ms - o->ordered_ms > TR_ORDER_AHEAD_MAX_S * INT64_C(1000)))
		return "the order's start lies before the order, or more than 7 days after it";
	if (o->expires_ms <= from)
		return "the order ends before it begins";
	if (t && o->expires_ms - from > t->lifetime_s * INT64_C(1000))
		return "the order lives longer than its type allows";
	return NULL;
}

static const char *fault_of_parameters(const struct tr_order *o, const struct tr_cmd_type *t)
{
	if (o->seconds > t->seconds_max || (!t->seconds && o->seconds))
		return "the order's seconds are more than its type takes";
	if ((o->text.n > 0) != t->text)
		return t->text ? "this order needs a text" : "this order takes no text";
	if ((o->target.n > 0) != t->target)
		return t->target ? "this order needs the id of the order it is about" : "this order takes no target";
	if (t->target && memcmp(o->target.p, o->cmd_id, TR_CMD_ID_LEN) == 0)
		return "the order is about itself";
	return NULL;
}

/* What holds for commands that this version does not know, too. */
static const char *fault_of_form(const struct tr_order *o)
{
	if (!tr_trust_domain_ok(o->trust_domain))
		return "the order's trust domain is not a SPIFFE trust domain";
	if (!tr_ident_ok(o->agent_id))
		return "the order's agent id is not a plain name (letters, digits, '.', '_', '-', at most 64)";
	if (memcmp(o->cmd_id, zeros, sizeof(zeros)) == 0)
		return "the order has no id";
	if (o->image.n && o->image.n != TR_SHA256_LEN)
		return "the order's image is not a SHA-256";
	if (o->text.n > TR_ORDER_TEXT_MAX || !tr_order_line_ok(o->text))
		return "the order's text is not one line of at most 256 bytes of printable UTF-8";
	if (o->target.n && o->target.n != TR_CMD_ID_LEN)
		return "the order's target is not a command id of 16 bytes";
	return NULL;
}

TR_RC tr_order_check(const struct tr_order *o, struct tr_err *err)
{
	const struct tr_cmd_type *t = tr_cmd_type(o->cmd);
	const char *why = t ? fault_of_form(o) : "there is no such command";

	if (!why)
		why = fault_of_time(o, t);
	if (!why)
		why = fault_of_parameters(o, t);
	return why ? tr_err_set(err, TR_E_INVALID, why, "order fields") : TR_OK;
}

TR_RC tr_order_encode(const struct tr_order *o, struct tr_buf *ret, struct tr_err *err)
{
	const struct tr_cmd_type *t = tr_cmd_type(o->cmd);
	enum tr_code rc = tr_order_check(o, err);

	if (rc)
		return rc;
	tr_cbor_put_map(ret, (size_t)KEY_EXPIRES + (o->not_before_ms != 0) + (o->image.n > 0) + t->seconds + t->text +
				     t->target);
	tr_field_put_text(ret, KEY_DOMAIN, o->trust_domain);
	tr_field_put_text(ret, KEY_AGENT, o->agent_id);
	tr_field_put_bytes(ret, KEY_ID, TR_VIEW_ARRAY(o->cmd_id));
	tr_field_put_uint(ret, KEY_CMD, o->cmd);
	tr_field_put_int(ret, KEY_ORDERED, o->ordered_ms);
	tr_field_put_int(ret, KEY_EXPIRES, o->expires_ms);
	if (o->not_before_ms)
		tr_field_put_int(ret, KEY_NOT_BEFORE, o->not_before_ms);
	if (o->image.n)
		tr_field_put_bytes(ret, KEY_IMAGE, o->image);
	if (t->seconds) {
		tr_field_put_uint(ret, KEY_SECONDS, o->seconds);
	}
	if (t->text) {
		tr_field_put_text(ret, KEY_TEXT, o->text);
	}
	if (t->target)
		tr_field_put_bytes(ret, KEY_TARGET, o->target);
	return tr_buf_check(ret, err);
}

static struct tr_view not_empty(struct tr_cbor *r, struct tr_view v)
{
	return tr_field_not_empty(r, v, "an optional member of the order is empty");
}

static int64_t not_zero(struct tr_cbor *r, int64_t v)
{
	if (!v)
		tr_cbor_fail(r, "an optional member of the order is zero");
	return v;
}

static void read_id(struct tr_cbor *r, uint8_t out[TR_CMD_ID_LEN])
{
	tr_field_fixed(r, out, TR_CMD_ID_LEN, "the order's id is not of 16 bytes");
}

/* ret_seen: a bit per known key; ret_more: there are others. */
static TR_RC parse(struct tr_view in, struct tr_order *out, unsigned *ret_seen, bool *ret_more, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(in);
	struct tr_cbor_map m;
	int64_t key;

	*out = (struct tr_order){ .cmd = 0 };
	*ret_seen = 0;
	*ret_more = false;
	(void)tr_cbor_map(&r, &m, 2 * KEY_N);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_DOMAIN: out->trust_domain = tr_cbor_text(&r); break;
		case KEY_AGENT: out->agent_id = tr_cbor_text(&r); break;
		case KEY_ID: read_id(&r, out->cmd_id); break;
		case KEY_CMD: out->cmd = tr_cbor_uint(&r); break;
		case KEY_ORDERED: out->ordered_ms = tr_cbor_int(&r); break;
		case KEY_EXPIRES: out->expires_ms = tr_cbor_int(&r); break;
		case KEY_NOT_BEFORE: out->not_before_ms = not_zero(&r, tr_cbor_int(&r)); break;
		case KEY_IMAGE: out->image = not_empty(&r, tr_cbor_bytes(&r)); break;
		case KEY_SECONDS: out->seconds = tr_cbor_uint(&r); break;
		case KEY_TEXT: out->text = not_empty(&r, tr_cbor_text(&r)); break;
		case KEY_TARGET: out->target = not_empty(&r, tr_cbor_bytes(&r)); break;
		default: (void)tr_cbor_any(&r), *ret_more = true; continue;
		}
		*ret_seen |= BIT(key);
	}
	return tr_cbor_end(&r, err) ? tr_err_wrap(err, "order") : TR_OK;
}

TR_RC tr_order_decode(struct tr_view in, struct tr_order *ret, struct tr_err *err)
{
	const struct tr_cmd_type *t;
	const char *why = NULL;
	struct tr_order o;
	unsigned seen;
	bool more;
	enum tr_code rc;

	if (in.n > TR_ORDER_MAX)
		return tr_err_set(err, TR_E_INVALID, "the order is too long", "%zu bytes", in.n);
	rc = parse(in, &o, &seen, &more, err);
	if (rc)
		return rc;
	t = tr_cmd_type(o.cmd);
	if ((seen & REQUIRED) != REQUIRED)
		why = "the order lacks a field";
	else if (t && (more || ((seen & BIT(KEY_SECONDS)) != 0) != t->seconds))
		why = "the order has other parameters than its type takes";
	if (!why)
		why = fault_of_form(&o);
	if (!why)
		why = fault_of_time(&o, t);
	if (!why && t)
		why = fault_of_parameters(&o, t);
	if (why)
		return tr_err_set(err, TR_E_INVALID, why, "order fields");
	*ret = o;
	return t ? TR_OK
		 : tr_err_set(err, TR_E_NOTFOUND, "this version does not know the command: update it", "command %llu",
			      (unsigned long long)o.cmd);
}

void tr_order_digest(struct tr_view order, uint8_t out[32])
{
	uint8_t in[sizeof(TR_ORDER_DOMAIN) + TR_ORDER_MAX];

	if (order.n > TR_ORDER_MAX) {
		memset(out, 0, TR_SHA256_LEN);
		return;
	}
	memcpy(in, TR_ORDER_DOMAIN, sizeof(TR_ORDER_DOMAIN)); /* with its zero byte */
	if (order.n)
		memcpy(in + sizeof(TR_ORDER_DOMAIN), order.p, order.n);
	tr_sha256(tr_view(in, sizeof(TR_ORDER_DOMAIN) + order.n), out);
}

void tr_order_text(const struct tr_order *o, struct tr_buf *b)
{
	const struct tr_cmd_type *t = tr_cmd_type(o->cmd);

	if (t)
		tr_buf_adds(b, t->name);
	else
		tr_buf_addf(b, "command %llu", (unsigned long long)o->cmd);
	if (t && t->seconds)
		tr_buf_addf(b, " %llu s", (unsigned long long)o->seconds);
	if (o->target.n) {
		tr_buf_adds(b, " ");
		tr_hex_add(b, o->target);
	}
	tr_buf_addf(b, " on %.*s", TR_VIEW_FMT(o->agent_id));
	if (t)
		tr_buf_addf(b, " (%s, %s)", tr_cmd_class_name(t->class), tr_cmd_kind_name(t->kind));
	if (o->not_before_ms) {
		tr_buf_adds(b, ", from ");
		tr_rfc3339_add(b, o->not_before_ms);
	}
	tr_buf_adds(b, ", until ");
	tr_rfc3339_add(b, o->expires_ms);
	if (o->image.n) {
		tr_buf_adds(b, ", only if it runs sha256:");
		tr_hex_add(b, o->image);
	}
	/* Last, so that no text can pose as what stands before it. */
	if (o->text.n)
		tr_buf_addf(b, ": %.*s", TR_VIEW_FMT(o->text));
}
