/* SPDX-License-Identifier: Apache-2.0 */
#include "signed/command.h"

#include "signed/fields.h"

/* Payload keys; documented in docs/protocol/command.cddl. Never reused. */
enum {
	KEY_ORDER = 1,
	KEY_EPOCH,
	KEY_LINE,
	KEY_SEQ,
	KEY_ISSUED,
	KEY_EXPIRES,
	KEY_KEYSET,
	KEY_REVOCATION,
	KEY_APPROVALS,
	KEY_N
};

#define TIME_MAX_MS INT64_C(253402300799999) /* year 9999 */
#define GRACE_MS (TR_COMMAND_AGE_MAX_S * INT64_C(1000))

static TR_RC check(const struct tr_command *c, const struct tr_order *o, struct tr_err *err)
{
	const char *why = NULL;

	if (c->epoch > INT64_MAX || c->keyset_epoch < 1 || c->keyset_epoch > INT64_MAX || c->revocation > INT64_MAX)
		why = "the command's enrolment, keyset or revocation number is out of range";
	else if (c->line < 1 || c->line > INT64_MAX || c->seq < 1 || c->seq > INT64_MAX)
		why = "the command's line or number is out of range";
	else if (c->issued_ms <= 0 || c->issued_ms > TIME_MAX_MS || c->expires_ms <= c->issued_ms)
		why = "the command's times are out of range";
	else if (c->expires_ms > o->expires_ms)
		why = "the command lives longer than its order";
	else if (c->n_approvals > TR_COMMAND_APPROVALS_MAX)
		why = "the command encloses more than two approvals";
	for (size_t i = 0; !why && i < c->n_approvals; i++)
		if (!c->approvals[i].n || c->approvals[i].n > TR_APPROVAL_MAX)
			why = "an approval in the command is empty or too long";
	return why ? tr_err_set(err, TR_E_INVALID, why, "command fields") : TR_OK;
}

/* An order that waits for its time has a command as old as that. */
static bool too_long(const struct tr_command *c, const struct tr_order *o, int64_t until_ms)
{
	return !o->not_before_ms && until_ms - c->issued_ms > GRACE_MS;
}

static void encode(const struct tr_command *c, struct tr_buf *b)
{
	tr_cbor_put_map(b, KEY_N - 1);
	tr_field_put_bytes(b, KEY_ORDER, c->order);
	tr_field_put_uint(b, KEY_EPOCH, c->epoch);
	tr_field_put_uint(b, KEY_LINE, c->line);
	tr_field_put_uint(b, KEY_SEQ, c->seq);
	tr_field_put_uint(b, KEY_ISSUED, (uint64_t)c->issued_ms);
	tr_field_put_uint(b, KEY_EXPIRES, (uint64_t)c->expires_ms);
	tr_field_put_uint(b, KEY_KEYSET, c->keyset_epoch);
	tr_field_put_uint(b, KEY_REVOCATION, c->revocation);
	tr_cbor_put_int(b, KEY_APPROVALS);
	tr_cbor_put_array(b, c->n_approvals);
	for (size_t i = 0; i < c->n_approvals; i++)
		tr_cbor_put_bytes(b, c->approvals[i]);
}

TR_RC tr_command_sign(const struct tr_command *c, const struct tr_privkey *k, struct tr_buf *ret, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf b = TR_BUF_INIT;
	struct tr_order o;
	enum tr_code rc = tr_order_decode(c->order, &o, err);

	if (!rc)
		rc = check(c, &o, err);
	if (rc)
		return rc;
	if (too_long(c, &o, c->expires_ms))
		return tr_err_set(err, TR_E_INVALID, "a command lives for 4 hours at most", "expires_ms");
	encode(c, &b);
	return tr_cose1_seal(k, tr_privkey_alg(k), TR_COMMAND_DOMAIN, &b, TR_COMMAND_MAX, "the command is too long", ret, err);
}

static void read_approvals(struct tr_cbor *r, struct tr_command *out)
{
	out->n_approvals = tr_cbor_array(r, TR_COMMAND_APPROVALS_MAX);
	for (size_t i = 0; i < out->n_approvals && !r->error; i++)
		out->approvals[i] = tr_cbor_bytes(r);
}

/* TR_E_NOTFOUND as tr_order_decode: everything is set, the command is one that this version does not know. */
static TR_RC parse(struct tr_view payload, struct tr_command *out, struct tr_order *out_order, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(payload);
	struct tr_err range;
	struct tr_cbor_map m;
	int64_t key;
	enum tr_code rc;

	*out = (struct tr_command){ .n_approvals = 0 };
	*out_order = (struct tr_order){ .cmd = 0 };
	if (tr_cbor_map(&r, &m, KEY_N) != KEY_N - 1)
		tr_cbor_fail(&r, "a command has exactly nine members");
	while (tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_ORDER: out->order = tr_cbor_bytes(&r); break;
		case KEY_EPOCH: out->epoch = tr_cbor_uint(&r); break;
		case KEY_LINE: out->line = tr_cbor_uint(&r); break;
		case KEY_SEQ: out->seq = tr_cbor_uint(&r); break;
		case KEY_ISSUED: out->issued_ms = tr_cbor_int(&r); break;
		case KEY_EXPIRES: out->expires_ms = tr_cbor_int(&r); break;
		case KEY_KEYSET: out->keyset_epoch = tr_cbor_uint(&r); break;
		case KEY_REVOCATION: out->revocation = tr_cbor_uint(&r); break;
		case KEY_APPROVALS: read_approvals(&r, out); break;
		default: tr_cbor_fail(&r, "unknown member of a command");
		}
	}
	if (tr_cbor_end(&r, err))
		return tr_err_wrap(err, "command");
	rc = tr_order_decode(out->order, out_order, err);
	if (rc && rc != TR_E_NOTFOUND)
		return tr_err_wrap(err, "command");
	if (check(out, out_order, &range)) {
		*err = range;
		return err->code;
	}
	return rc;
}

TR_RC tr_command_read(struct tr_view in, struct tr_command *ret, struct tr_order *ret_order, struct tr_view *ret_kid,
		      struct tr_err *err)
{
	struct tr_command out;
	struct tr_order order;
	struct tr_cose c;
	enum tr_code rc = tr_cose1_parse(in, TR_COMMAND_MAX, &c, err);

	if (rc)
		return tr_err_wrap(err, "command");
	rc = parse(c.payload, &out, &order, err);
	if (rc && rc != TR_E_NOTFOUND)
		return rc;
	*ret = out;
	*ret_order = order;
	*ret_kid = c.sigs[0].kid;
	return rc;
}

static enum tr_refusal no(enum tr_refusal why, struct tr_err *err)
{
	(void)tr_err_set(err, why == TR_REF_MALFORMED ? TR_E_INVALID : TR_E_DENIED, tr_refusal_sentence(why), "%s",
			 tr_refusal_slug(why));
	return why;
}

/* No memory is this machine's fault: nobody is accused of a bad signature, and the command may come again. */
static enum tr_refusal because(enum tr_refusal why, struct tr_err *err)
{
	(void)tr_err_wrap(err, "command");
	return err->code == TR_E_INTERNAL ? TR_REF_JOURNAL : why;
}

/* Everything that can be said before a byte of the payload is looked at. */
static enum tr_refusal check_signature(const struct tr_cose *c, const struct tr_keyset *ks,
				       const struct tr_keyset_key **ret, struct tr_err *err)
{
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	const struct tr_keyset_key *key = tr_keyset_find(ks, TR_ROLE_COMMAND, c->sigs[0].kid);
	uint8_t id[TR_SHA256_LEN];

	if (!key)
		return no(TR_REF_UNKNOWN_KEY, err);
	/* No grace for a thief: whatever the revoked key signed and whenever. */
	tr_sha256(key->key, id);
	if (tr_keyset_revokes(ks, id))
		return no(TR_REF_REVOKED_KEY, err);
	if (tr_pubkey_from_spki(key->key, &k, err) || tr_cose1_verify(c, k, TR_COMMAND_DOMAIN, err))
		return because(TR_REF_BAD_SIGNATURE, err);
	*ret = key;
	return TR_REF_NONE;
}

static enum tr_refusal check_times(const struct tr_command *c, const struct tr_order *o, int64_t now_ms,
				   struct tr_err *err)
{
	const int64_t ahead_ms = now_ms + TR_COMMAND_SKEW_S * INT64_C(1000);

	/* A line is the time when it began. One of the far future, once followed, would make every later one old: with it a
	 * thief of the key could make agents deaf for good, beyond the key's own end. */
	if (c->issued_ms > ahead_ms || (int64_t)c->line > ahead_ms)
		return no(TR_REF_NOT_YET, err);
	if (now_ms >= c->expires_ms)
		return no(TR_REF_EXPIRED, err);
	/* Ours never says so of itself; a signer that gives commands a longer life gets no longer one here. */
	if (too_long(c, o, now_ms))
		return no(TR_REF_TOO_OLD, err);
	return TR_REF_NONE;
}

static enum tr_refusal check_approvals(const struct tr_command *c, const struct tr_keyset *ks, int64_t now_ms,
				       enum tr_cmd_class class, struct tr_err *err)
{
	uint8_t by[TR_COMMAND_APPROVALS_MAX][TR_SHA256_LEN], digest[TR_SHA256_LEN];
	size_t operators = 0;

	tr_order_digest(c->order, digest);
	for (size_t i = 0; i < c->n_approvals; i++) {
		bool again = false;

		/* Surplus ones, too: whoever encloses what does not hold is not to be obeyed. */
		if (tr_approval_verify(c->approvals[i], ks, class, digest, now_ms, by[operators], err))
			return because(TR_REF_APPROVAL_INVALID, err);
		for (size_t j = 0; j < operators; j++)
			again = again || memcmp(by[j], by[operators], TR_SHA256_LEN) == 0;
		operators += !again;
	}
	return operators < tr_cmd_approvals(class) ? no(TR_REF_APPROVAL_MISSING, err) : TR_REF_NONE;
}

static enum tr_refusal check_all(const struct tr_command *c, const struct tr_order *o,
				 const struct tr_command_scope *s, struct tr_err *err)
{
	const struct tr_cmd_type *t = tr_cmd_type(o->cmd);
	enum tr_refusal why;

	if (!tr_view_eq(o->trust_domain, s->trust_domain) || !tr_view_eq(o->agent_id, s->agent_id) ||
	    (s->epoch && c->epoch != s->epoch))
		return no(TR_REF_WRONG_AGENT, err);
	if (!t)
		return no(TR_REF_UNSUPPORTED, err);
	why = check_times(c, o, s->now_ms, err);
	if (!why)
		why = check_approvals(c, s->keyset, s->now_ms, t->class, err);
	/* Last: what is wrong by itself has the better name. */
	if (!why && s->grace_over && t->class != TR_CLASS_READ)
		why = no(TR_REF_STALE_KEYSET, err);
	return why;
}

enum tr_refusal tr_command_verify(struct tr_view in, const struct tr_command_scope *s, struct tr_command *ret,
				  struct tr_order *ret_order, uint8_t ret_digest[32], bool *ret_authentic,
				  struct tr_err *err)
{
	const struct tr_keyset_key *key = NULL;
	struct tr_command out;
	struct tr_order order;
	enum tr_refusal why;
	struct tr_cose c;
	enum tr_code rc;

	*ret_authentic = false;
	memset(ret_digest, 0, TR_SHA256_LEN);
	if (tr_cose1_parse(in, TR_COMMAND_MAX, &c, err) || tr_cose1_digest(&c, TR_COMMAND_DOMAIN, ret_digest, err))
		return because(TR_REF_MALFORMED, err);
	why = check_signature(&c, s->keyset, &key, err);
	if (why)
		return why;
	rc = parse(c.payload, &out, &order, err);
	if (rc && rc != TR_E_NOTFOUND)
		return TR_REF_MALFORMED;
	/* A retired key is believed for what it signed before, and its last commands are over after their longest life. */
	if (tr_keyset_standing(s->keyset, key, out.issued_ms, s->now_ms) != TR_KEY_GOOD ||
	    (key->no_sign_after_ms && s->now_ms > key->no_sign_after_ms + GRACE_MS))
		return no(TR_REF_RETIRED_KEY, err);
	*ret = out;
	*ret_order = order;
	*ret_authentic = true;
	return check_all(&out, &order, s, err);
}
