/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/receipt.h"

#include "codec/ident.h"
#include "codec/json.h"
#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/command.cddl. Never reused. */
enum {
	KEY_AGENT = 1,
	KEY_ID,
	KEY_COMMAND,
	KEY_LINE,
	KEY_SEQ,
	KEY_STATE,
	KEY_AT,
	KEY_POSITION,
	KEY_KEYSET,
	KEY_HIGH,
	KEY_MISSING,
	KEY_CODE, /* from here on optional */
	KEY_RESULT,
	KEY_N
};
#define BIT(key) (1u << (key))
#define REQUIRED (BIT(KEY_MISSING + 1) - BIT(KEY_AGENT))
#define CODE_MAX 64

const char *tr_cmd_state_name(uint64_t s)
{
	static const char *const names[TR_CS_N] = { NULL,     "received", "started", "done",
						    "failed", "unknown",  "refused", "cancelled" };

	return s < TR_CS_N && names[s] ? names[s] : "?";
}

bool tr_cmd_state_final(uint64_t s)
{
	return s >= TR_CS_DONE && s < TR_CS_N;
}

/* Lower-case letters, digits and '_': stands in tables, URLs and logs as it is. */
static bool code_ok(struct tr_view v)
{
	if (v.n > CODE_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (!(v.p[i] >= 'a' && v.p[i] <= 'z') && !(v.p[i] >= '0' && v.p[i] <= '9') && v.p[i] != '_')
			return false;
	return true;
}

/* The server shows it as it is, within its own JSON. */
static TR_RC check_result(struct tr_view v, struct tr_err *err)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL;
	bool braces = v.n >= 2 && v.n <= TR_RECEIPT_RESULT_MAX && v.p[0] == '{' && v.p[v.n - 1] == '}';

	if (!v.n || (braces && tr_json_parse(v, &j, err) == TR_OK))
		return TR_OK;
	if (braces && err->code == TR_E_INTERNAL)
		return err->code;
	return tr_err_set(err, TR_E_INVALID, "the receipt's result is not a JSON object of at most 8192 bytes",
			  "%zu bytes", v.n);
}

static const char *fault_of_missing(const struct tr_receipt *r)
{
	if (r->n_missing > TR_RECEIPT_MISSING_MAX)
		return "the receipt names too many missing commands";
	for (size_t i = 0; i < r->n_missing; i++)
		if (r->missing[i] < 1 || r->missing[i] >= r->high || (i && r->missing[i] <= r->missing[i - 1]))
			return "the receipt's missing commands are not rising numbers below the highest one";
	return NULL;
}

static TR_RC check(const struct tr_receipt *r, struct tr_err *err)
{
	const char *why = fault_of_missing(r);
	bool bad = r->state == TR_CS_FAILED || r->state == TR_CS_REFUSED;

	if (why)
		return tr_err_set(err, TR_E_INVALID, why, "missing");
	if (!tr_ident_ok(r->agent_id))
		why = "the receipt's agent id is not a plain name";
	else if (r->state < TR_CS_RECEIVED || r->state >= TR_CS_N)
		why = "the receipt's state is not known here";
	else if (r->line > INT64_MAX || r->seq > INT64_MAX || r->position > INT64_MAX || r->high > INT64_MAX ||
		 r->keyset_epoch > INT64_MAX)
		why = "a number of the receipt is out of range";
	else if (r->at_ns <= 0)
		why = "the receipt's time is out of range";
	else if (!code_ok(r->code))
		why = "the receipt's code is not a slug of at most 64 bytes";
	else if (bad && !r->code.n)
		why = "a receipt of failure or refusal says why in its code";
	else if (r->state == TR_CS_DONE && r->code.n)
		why = "a receipt of a command that is done has no code";
	return why ? tr_err_set(err, TR_E_INVALID, why, "receipt fields") : check_result(r->result, err);
}

static void encode(const struct tr_receipt *r, struct tr_buf *b)
{
	tr_cbor_put_map(b, (size_t)KEY_MISSING + (r->code.n > 0) + (r->result.n > 0));
	tr_field_put_text(b, KEY_AGENT, r->agent_id);
	tr_field_put_bytes(b, KEY_ID, TR_VIEW_ARRAY(r->cmd_id));
	tr_field_put_bytes(b, KEY_COMMAND, TR_VIEW_ARRAY(r->command));
	tr_field_put_uint(b, KEY_LINE, r->line);
	tr_field_put_uint(b, KEY_SEQ, r->seq);
	tr_field_put_uint(b, KEY_STATE, r->state);
	tr_field_put_uint(b, KEY_AT, (uint64_t)r->at_ns);
	tr_field_put_uint(b, KEY_POSITION, r->position);
	tr_field_put_uint(b, KEY_KEYSET, r->keyset_epoch);
	tr_field_put_uint(b, KEY_HIGH, r->high);
	tr_cbor_put_int(b, KEY_MISSING);
	tr_cbor_put_array(b, r->n_missing);
	for (size_t i = 0; i < r->n_missing; i++)
		tr_cbor_put_uint(b, r->missing[i]);
	if (r->code.n)
		tr_field_put_text(b, KEY_CODE, r->code);
	if (r->result.n)
		tr_field_put_text(b, KEY_RESULT, r->result);
}

TR_RC tr_receipt_sign(const struct tr_receipt *r, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	enum tr_code rc = check(r, err);

	if (rc)
		return rc;
	encode(r, &b);
	return tr_cose1_seal(k, tr_privkey_alg(k), TR_RECEIPT_DOMAIN, &b, TR_RECEIPT_MAX, "the receipt is too long", ret, err);
}

static void fixed(struct tr_cbor *r, uint8_t *out, size_t n)
{
	tr_field_fixed(r, out, n, "a byte string of the receipt has another length than it must have");
}

static struct tr_view not_empty(struct tr_cbor *r, struct tr_view v)
{
	return tr_field_not_empty(r, v, "an optional member of the receipt is empty");
}

static void read_missing(struct tr_cbor *r, struct tr_receipt *out)
{
	out->n_missing = tr_cbor_array(r, TR_RECEIPT_MISSING_MAX);
	for (size_t i = 0; i < out->n_missing && !r->error; i++)
		out->missing[i] = tr_cbor_uint(r);
}

static TR_RC parse(struct tr_view payload, struct tr_receipt *out, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_cbor_map m;
	unsigned seen = 0;
	int64_t key;

	*out = (struct tr_receipt){ .state = 0 };
	(void)tr_cbor_map(&r, &m, KEY_N);
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_AGENT: out->agent_id = tr_cbor_text(&r); break;
		case KEY_ID: fixed(&r, out->cmd_id, sizeof(out->cmd_id)); break;
		case KEY_COMMAND: fixed(&r, out->command, sizeof(out->command)); break;
		case KEY_LINE: out->line = tr_cbor_uint(&r); break;
		case KEY_SEQ: out->seq = tr_cbor_uint(&r); break;
		case KEY_STATE: out->state = tr_cbor_uint(&r); break;
		case KEY_AT: out->at_ns = tr_cbor_int(&r); break;
		case KEY_POSITION: out->position = tr_cbor_uint(&r); break;
		case KEY_KEYSET: out->keyset_epoch = tr_cbor_uint(&r); break;
		case KEY_HIGH: out->high = tr_cbor_uint(&r); break;
		case KEY_MISSING: read_missing(&r, out); break;
		case KEY_CODE: out->code = not_empty(&r, tr_cbor_text(&r)); break;
		case KEY_RESULT: out->result = not_empty(&r, tr_cbor_text(&r)); break;
		default: tr_cbor_fail(&r, "unknown key in the receipt"); continue;
		}
		seen |= BIT(key);
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "receipt");
	if ((seen & REQUIRED) != REQUIRED)
		return tr_err_set(err, TR_E_INVALID, "the receipt lacks a field", "fields %#x", seen);
	return check(out, err);
}

TR_RC tr_receipt_verify(struct tr_view in, const struct tr_pubkey *k, struct tr_receipt *ret, struct tr_err *err)
{
	struct tr_receipt out;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_RECEIPT_MAX, &c, err);

	if (!rc)
		rc = tr_cose1_verify(&c, k, TR_RECEIPT_DOMAIN, err);
	if (rc)
		return tr_err_wrap(err, "receipt");
	rc = parse(c.payload, &out, err);
	if (rc)
		return rc;
	*ret = out;
	return TR_OK;
}
