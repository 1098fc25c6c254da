/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, CBOR, COSE and text forms. */
#include "vectors.h"

#include "codec/cose.h"
#include "codec/jscan.h"
#include "codec/json.h"
#include "codec/text.h"

#include <stdio.h>

/* ---- JSON ---- */

/* detail is our own log text: it says what jansson found. */
static const char *json_rule(struct tr_view text, const struct tr_err *err)
{
	static const struct reason pubs[] = {
		{ "one name twice", "json-duplicate-key" },
		{ "number that is out of range", "json-number-range" },
		{ "nested too deeply", "json-depth" },
		{ "not valid UTF-8", "json-utf8" },
	};
	static const struct reason details[] = {
		{ "NUL byte in object key", "json-nul" },
		{ "\\u0000 is not allowed", "json-nul" },
		{ "invalid Unicode", "json-surrogate" },
	};
	const char *rule = rule_for(pubs, TR_ARRAY_LEN(pubs), err->pub);

	if (!rule)
		rule = rule_for(details, TR_ARRAY_LEN(details), err->detail);
	if (!rule && tr_view_starts(text, "\xef\xbb\xbf"))
		rule = "json-bom";
	return rule;
}

/* The scanner of signed documents says what the parser says, but for what its header names: it never converts a real, and
 * refuses an escape in a name. */
static bool scanner_says(struct tr_view text, bool ok, const struct tr_err *parser)
{
	struct tr_err err = { 0 };
	struct tr_jval v;

	if (tr_jscan(text, &v, &err) == TR_OK)
		return ok || strstr(parser->pub, "number that is out of range");
	return !ok || strstr(err.detail, "an escape in a member's name");
}

static void json_case(struct set *s, const struct item *it, enum want want)
{
	tr_auto(tr_json_free) struct tr_json *j = NULL, *again = NULL;
	tr_auto(tr_buf_done) struct tr_buf once = TR_BUF_INIT, twice = TR_BUF_INIT;
	struct tr_view text = tr_buf_view(&it->bytes);
	struct tr_err err = { 0 };
	bool ok = tr_json_parse(text, &j, &err) == TR_OK;

	if (!scanner_says(text, ok, &err))
		disagree(s, it->name, "tr_jscan and tr_json_parse differ");
	/* What was taken in can be written, and reads as the same again. */
	if (ok && want != MUST_REFUSE) {
		tr_json_dump(tr_json_root(j), &once);
		if (tr_json_parse(tr_buf_view(&once), &again, &err) != TR_OK) {
			disagree(s, it->name, "parsed, but what is written from it does not: %s", err.detail);
			return;
		}
		tr_json_dump(tr_json_root(again), &twice);
		if (!tr_view_eq(tr_buf_view(&once), tr_buf_view(&twice))) {
			disagree(s, it->name, "written twice, the texts differ");
			return;
		}
	}
	judge(s, it->name, want, ok, ok ? NULL : json_rule(text, &err), ok ? NULL : err.pub);
}

static bool same_folder(const struct item *a, const struct item *b)
{
	return a->member == b->member && (!a->member || strcmp(a->where, b->where) == 0) &&
	       tr_view_eq(folder_name(a), folder_name(b));
}

static bool is_json_name(const struct item *it)
{
	struct tr_view n = base_name(it);

	return n.n > 5 && memcmp(n.p + n.n - 5, ".json", 5) == 0;
}

/* y_, n_, i_: the first letter, when it is such a name. */
static char verdict_of(const struct item *it)
{
	struct tr_view n = base_name(it);

	return is_json_name(it) && n.n > 7 && n.p[1] == '_' && strchr("yni", n.p[0]) && n.p[0] ? (char)n.p[0] : '\0';
}

static bool is_transform(const struct item *it)
{
	struct tr_view n = base_name(it);

	return is_json_name(it) &&
	       (tr_view_starts(n, "number_") || tr_view_starts(n, "object_") || tr_view_starts(n, "string_"));
}

void json_suites(struct run *r)
{
	for (size_t i = 0; i < run_items(r); i++) {
		struct item *first = run_item(r, i);
		size_t verdicts = 0, transforms = 0, others = 0;
		bool y = false, n = false;

		if (first->taken || (!verdict_of(first) && !is_transform(first)))
			continue;
		for (size_t k = 0; k < run_items(r); k++) {
			const struct item *it = run_item(r, k);

			if (!same_folder(first, it))
				continue;
			y = y || verdict_of(it) == 'y';
			n = n || verdict_of(it) == 'n';
			verdicts += verdict_of(it) != '\0';
			transforms += is_transform(it);
			others += is_json_name(it) && !verdict_of(it) && !is_transform(it);
		}
		/* The names are the verdicts: a folder is one of these only when most of its JSON files say so. */
		if (!(verdict_of(first) ? verdicts > others && (y || n) : transforms > 2 && !others && !verdicts))
			continue;
		for (size_t k = i; k < run_items(r); k++) {
			struct item *it = run_item(r, k);
			char v = verdict_of(it);

			if (!same_folder(first, it) || it->taken || (!v && !is_transform(it)))
				continue;
			it->taken = true;
			if (v)
				json_case(set_of(r, it, "JSONTestSuite parsing", true), it,
					  v == 'y' ? MUST_ACCEPT : v == 'n' ? MUST_REFUSE : MAY_ACCEPT);
			else
				json_case(set_of(r, it, "JSONTestSuite transform", true), it, MAY_ACCEPT);
		}
	}
}

bool json_formats(struct run *r, const struct item *it, const json_t *j)
{
	const json_t *group;
	size_t i;

	if (!json_is_object(json_object_get(json_array_get(j, 0), "schema")) ||
	    !json_is_array(json_object_get(json_array_get(j, 0), "tests")))
		return false;
	json_array_foreach(j, i, group) {
		struct tr_view format = jstr(json_object_get(group, "schema"), "format");
		struct set *s = set_of(r, it, "JSON-Schema-Test-Suite format", false);
		const json_t *tests = json_object_get(group, "tests"), *t;
		size_t k;

		if (!tr_view_is(format, "date-time")) {
			char why[160];

			(void)snprintf(why, sizeof(why), "no product code reads the format \"%.*s\"",
				       (int)(format.n < 60 ? format.n : 60), format.p ? (const char *)format.p : "");
			skip(s, json_array_size(tests), why);
			continue;
		}
		json_array_foreach(tests, k, t) {
			struct tr_view text = jstr(t, "data"), about = jstr(t, "description");
			char id[160];
			int64_t ms;

			if (!text.p) {
				skip(s, 1, "not a text: a schema's concern");
				continue;
			}
			(void)snprintf(id, sizeof(id), "%.*s", (int)(about.n < 150 ? about.n : 150),
				       about.p ? (const char *)about.p : "");
			judge(s, id, json_is_true(json_object_get(t, "valid")) ? MUST_ACCEPT : MUST_REFUSE,
			      tr_rfc3339_get(text, &ms), NULL, NULL);
		}
	}
	return true;
}

void jcs_pairs(struct run *r)
{
	static const char *const folders[] = { "input", "output", "outhex" };

	for (size_t i = 0; i < run_items(r); i++) {
		struct item *in = run_item(r, i);
		struct tr_view dir = folder_name(in), stem = base_name(in);
		struct item *parts[3] = { in, NULL, NULL };

		if (dir.n < 5 || memcmp(dir.p + dir.n - 5, "input", 5) != 0 || !is_json_name(in) || in->taken)
			continue;
		stem.n -= 5;
		for (size_t k = 0; k < run_items(r); k++) {
			struct item *it = run_item(r, k);
			struct tr_view d = folder_name(it), b = base_name(it);

			if (it->member != in->member || b.n <= stem.n || memcmp(b.p, stem.p, stem.n) != 0 ||
			    b.p[stem.n] != '.' || d.n != dir.n + 1 || memcmp(d.p, dir.p, dir.n - 5) != 0)
				continue;
			for (size_t f = 1; f < 3; f++)
				if (memcmp(d.p + d.n - 6, folders[f], 6) == 0)
					parts[f] = it;
		}
		if (!parts[1])
			continue;
		for (size_t f = 0; f < 3; f++)
			if (parts[f])
				parts[f]->taken = true;
		skip(set_of(r, in, "JCS (RFC 8785)", true), 1, "no product code before the release with canonical JSON");
	}
}

/* ---- CBOR ---- */

static const struct reason cbor_rules[] = {
	{ "indefinite length", "cbor-profile" },
	{ "floats and extended simple", "cbor-profile" },
	{ "simple value is not", "cbor-profile" },
	{ "tag where none is allowed", "cbor-profile" },
	{ "map keys are not in order", "cbor-profile" },
	{ "not in its shortest form", "cbor-profile" },
	{ "nested too deeply", "cbor-profile" },
	{ "integer is out of range", "cbor-profile" },
};

/* Reads one item value by value and writes it again; *ret_json is what it means. */
static json_t *reread(struct tr_cbor *r, struct tr_buf *out, unsigned depth);

static json_t *reread_int(struct tr_cbor *r, struct tr_buf *out)
{
	struct tr_cbor copy = *r;
	int64_t v = tr_cbor_int(r);
	uint64_t u;

	if (!r->error) {
		tr_cbor_put_int(out, v);
		return json_integer(v);
	}
	u = tr_cbor_uint(&copy);
	if (!copy.error) {
		*r = copy;
		tr_cbor_put_uint(out, u);
		return json_real((double)u);
	}
	return NULL;
}

static json_t *reread_map(struct tr_cbor *r, struct tr_buf *out, unsigned depth)
{
	json_t *o = json_object();
	struct tr_cbor key;
	struct tr_cbor_map m;
	size_t n = tr_cbor_map(r, &m, 1000);
	bool texts = true;

	tr_cbor_put_map(out, n);
	while (n-- && !r->error) {
		struct tr_view name;
		int64_t num;
		char text[1024];

		key = *r;
		if (tr_cbor_peek(&key) == TR_CBOR_TEXT) {
			(void)tr_cbor_key_text(r, &m, &name);
			tr_cbor_put_text(out, name);
			(void)snprintf(text, sizeof(text), "%.*s", (int)(name.n < 1000 ? name.n : 1000), (const char *)name.p);
		} else {
			(void)tr_cbor_key_int(r, &m, &num);
			tr_cbor_put_int(out, num);
			(void)snprintf(text, sizeof(text), "%lld", (long long)num);
			texts = false;
		}
		(void)json_object_set_new(o, text, reread(r, out, depth + 1));
	}
	/* JSON has no other keys: then only the bytes are compared. */
	if (texts)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *reread(struct tr_cbor *r, struct tr_buf *out, unsigned depth)
{
	struct tr_view v;
	json_t *a;
	size_t n;
	bool b;

	if (depth > 2u * TR_CBOR_DEPTH_MAX) {
		tr_cbor_fail(r, "deeper than the product said");
		return NULL;
	}
	switch (tr_cbor_peek(r)) {
	case TR_CBOR_INT: return reread_int(r, out);
	case TR_CBOR_BYTES:
		v = tr_cbor_bytes(r);
		tr_cbor_put_bytes(out, v);
		return NULL;
	case TR_CBOR_TEXT:
		v = tr_cbor_text(r);
		tr_cbor_put_text(out, v);
		return json_stringn((const char *)v.p, v.n);
	case TR_CBOR_ARRAY:
		a = json_array();
		n = tr_cbor_array(r, SIZE_MAX);
		tr_cbor_put_array(out, n);
		while (n-- && !r->error)
			(void)json_array_append_new(a, reread(r, out, depth + 1));
		return a;
	case TR_CBOR_MAP: return reread_map(r, out, depth);
	case TR_CBOR_BOOL:
		b = tr_cbor_bool(r);
		tr_cbor_put_bool(out, b);
		return json_boolean(b);
	case TR_CBOR_NULL:
		tr_cbor_null(r);
		tr_cbor_put_null(out);
		return json_null();
	default: tr_cbor_fail(r, "of a type that the reader does not read"); return NULL;
	}
}

/* Numbers by value: the file's reader may have made doubles of them. NULL on the left: no JSON for it. */
static bool same_value(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;
	size_t i;

	if (!a)
		return true;
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) >= json_number_value(b) && json_number_value(a) <= json_number_value(b);
	if (json_is_array(a) && json_array_size(a) == json_array_size(b)) {
		json_array_foreach(a, i, v)
			if (!same_value(v, json_array_get(b, i)))
				return false;
		return true;
	}
	if (json_is_object(a) && json_object_size(a) == json_object_size(b)) {
		json_object_foreach((json_t *)(uintptr_t)a, key, v)
			if (!json_object_get(b, key) || !same_value(v, json_object_get(b, key)))
				return false;
		return true;
	}
	return json_equal(a, b);
}

static bool cbor_case(struct set *s, const json_t *c, const char *id)
{
	tr_auto(tr_buf_done) struct tr_buf in = TR_BUF_INIT, out = TR_BUF_INIT;
	const json_t *means = json_object_get(c, "decoded"), *valid = json_object_get(c, "valid");
	enum want want = json_is_false(valid) ? MUST_REFUSE : MUST_ACCEPT;
	bool round = !json_is_false(json_object_get(c, "roundtrip"));
	struct tr_err err = { 0 };
	struct tr_cbor r;
	json_t *read;
	bool same;

	if (!jstr(c, "hex").p || !jhex(c, "hex", &in))
		return false;
	r = tr_cbor_reader(tr_buf_view(&in));
	(void)tr_cbor_any(&r);
	if (tr_cbor_end(&r, &err)) {
		judge(s, id, want, false, rule_for(cbor_rules, TR_ARRAY_LEN(cbor_rules), r.error), r.error ? r.error : err.pub);
		return true;
	}
	r = tr_cbor_reader(tr_buf_view(&in));
	read = reread(&r, &out, 0);
	same = !means || same_value(read, means);
	json_decref(read);
	/* -2^64 and the like: well-formed, passed over, never given out as a number. */
	if (tr_cbor_end(&r, &err))
		judge(s, id, want, false, rule_for(cbor_rules, TR_ARRAY_LEN(cbor_rules), r.error), r.error);
	else if (!same)
		disagree(s, id, "read as another value");
	else if (round && !tr_view_eq(tr_buf_view(&in), tr_buf_view(&out)))
		disagree(s, id, "written again, the bytes differ");
	else
		judge(s, id, want, true, NULL, NULL);
	return true;
}

bool cbor_examples(struct run *r, const struct item *it, const json_t *j)
{
	const json_t *first = json_array_get(j, 0), *c;
	struct set *s;
	size_t i;

	if (!jstr(first, "hex").p || !(json_object_get(first, "roundtrip") || json_object_get(first, "diagnostic") ||
				       json_object_get(first, "decoded")))
		return false;
	s = set_of(r, it, "CBOR examples", false);
	json_array_foreach(j, i, c) {
		char id[160];

		(void)snprintf(id, sizeof(id), "%.150s", jstr(c, "hex").p ? (const char *)jstr(c, "hex").p : "?");
		if (!cbor_case(s, c, id))
			skip(s, 1, "the case is not in hexadecimal");
	}
	return true;
}

/* ---- COSE ---- */

static const struct reason cose_rules[] = {
	{ "COSE tag is not the expected one", "cose-profile" },
	{ "COSE header must be protected", "cose-profile" },
	{ "COSE protected header names no algorithm", "cose-profile" },
	{ "COSE protected header is an empty map", "cose-profile" },
	{ "floats and extended simple", "cose-profile" },
	{ "map keys are not in order", "cose-profile" },
	{ "indefinite length", "cose-profile" },
	{ "tag where none is allowed", "cose-profile" },
	{ "signature algorithm is not one of", "cose-profile" },
	{ "payload is detached", "cose-profile" },
	{ "the message has no tag", "cose-profile" },
	{ "curve is not P-256 or Ed25519", "key-type" },
};

struct cose_case {
	const json_t *key;
	struct tr_view cbor, external, tbs; /* tbs: what the vector says is signed; may be empty */
	bool many;			    /* COSE_Sign */
};

/* The product's parser, its Sig_structure and its verification under the vector's key. */
static bool cose_verify(const struct cose_case *c, size_t signer, struct tr_err *err)
{
	tr_auto(tr_buf_done) struct tr_buf spki = TR_BUF_INIT, tbs = TR_BUF_INIT;
	tr_auto(tr_pubkey_free) struct tr_pubkey *k = NULL;
	struct tr_cose m;
	enum tr_sig_alg alg;
	enum tr_code rc;

	if (c->many)
		rc = tr_cose_sign_parse(c->cbor, &m, err);
	else
		rc = tr_cose_sign1_parse(c->cbor, &m, err);
	if (rc) {
		if (c->cbor.n && c->cbor.p[0] >> 5 != 6)
			err->pub = "the message has no tag";
		/* [h'…', {…}, nil, h'…'] */
		else if (strstr(err->pub, "type") && has_text(c->cbor, "\xf6\x58"))
			err->pub = "the payload is detached";
		return false;
	}
	if (signer >= m.n_sigs)
		return tr_err_set(err, TR_E_INVALID, "fewer signatures than signers", "signer %zu", signer) == TR_OK;
	if (!tr_sig_alg_from_cose(m.sigs[signer].alg, &alg))
		return tr_err_set(err, TR_E_DENIED, "the signature algorithm is not one of the four", "alg %lld",
				  (long long)m.sigs[signer].alg) == TR_OK;
	if (!jwk_spki(c->key, &spki) && jstr(c->key, "crv").p && !tr_view_is(jstr(c->key, "crv"), "P-256") &&
	    !tr_view_is(jstr(c->key, "crv"), "Ed25519"))
		return tr_err_set(err, TR_E_INVALID, "the key's curve is not P-256 or Ed25519", "key") == TR_OK;
	if (!spki.n)
		return tr_err_set(err, TR_E_INVALID, "the key is of no type that the product has", "key") == TR_OK;
	if (tr_pubkey_from_spki_unlisted(tr_buf_view(&spki), &k, err))
		return false;
	if (c->many)
		tr_cose_sign_tbs(&tbs, m.body_protected, m.sigs[signer].protected_hdr, c->external, m.payload);
	else
		tr_cose_sign1_tbs(&tbs, m.sigs[signer].protected_hdr, c->external, m.payload);
	if (c->tbs.n && !tr_view_eq(c->tbs, tr_buf_view(&tbs)))
		return tr_err_set(err, TR_E_INVALID, "the bytes to be signed differ from the vector's", "tbs") == TR_OK;
	return tr_verify(k, alg, tr_buf_view(&tbs), m.sigs[signer].sig, err) == TR_OK;
}

static void cose_judge(struct set *s, const char *id, bool fail, bool ok, const struct tr_err *err)
{
	const char *rule = ok ? NULL : rule_for(cose_rules, TR_ARRAY_LEN(cose_rules), err->pub);

	if (!ok && !rule)
		rule = rule_for(cose_rules, TR_ARRAY_LEN(cose_rules), err->detail);
	judge(s, id, fail ? MUST_REFUSE : MUST_ACCEPT, ok, rule, ok ? NULL : err->pub);
}

/* COSE WG: {"title", "fail", "input": {"sign0" | "sign" | …}, "intermediates", "output": {"cbor"}} */
static bool cose_wg(struct run *r, const struct item *it, const json_t *j)
{
	tr_auto(tr_buf_done) struct tr_buf cbor = TR_BUF_INIT, external = TR_BUF_INIT, tbs = TR_BUF_INIT;
	const json_t *in = json_object_get(j, "input"), *one = json_object_get(in, "sign0");
	const json_t *signers = json_object_get(json_object_get(in, "sign"), "signers"), *signer;
	const json_t *mid = json_object_get(j, "intermediates");
	bool fail = json_is_true(json_object_get(j, "fail")), ok = true;
	struct cose_case c = { 0 };
	struct tr_err err = { 0 };
	struct set *s;
	size_t i;

	if (!json_is_object(in) || !jstr(j, "title").p || !jstr(json_object_get(j, "output"), "cbor").p)
		return false;
	s = set_of(r, it, "COSE WG examples", true);
	if (!one && !signers) {
		skip(s, 1, "no product code: COSE messages are signed, never encrypted or MACed, before the release with encrypted messages");
		return true;
	}
	if (!jhex(json_object_get(j, "output"), "cbor", &cbor)) {
		skip(s, 1, "the case is not in hexadecimal");
		return true;
	}
	c.cbor = tr_buf_view(&cbor);
	if (one) {
		if (!jhex(one, "external", &external) || !jhex(mid, "ToBeSign_hex", &tbs)) {
			skip(s, 1, "the case is not in hexadecimal");
			return true;
		}
		c.key = json_object_get(one, "key");
		c.external = tr_buf_view(&external);
		/* In a case that must fail the two are meant to differ. */
		if (!fail)
			c.tbs = tr_buf_view(&tbs);
		ok = cose_verify(&c, 0, &err);
	} else {
		c.many = true;
		json_array_foreach(signers, i, signer) {
			tr_buf_clear(&external);
			tr_buf_clear(&tbs);
			(void)jhex(signer, "external", &external);
			(void)jhex(json_array_get(json_object_get(mid, "signers"), i), "ToBeSign_hex", &tbs);
			c.key = json_object_get(signer, "key");
			c.external = tr_buf_view(&external);
			if (!fail)
				c.tbs = tr_buf_view(&tbs);
			ok = ok && cose_verify(&c, i, &err);
		}
		ok = ok && i > 0;
	}
	cose_judge(s, it->name, fail, ok, &err);
	return true;
}

/* gluecose: {"uuid", "title", "key": JWK, "sign1::sign": {…, "expectedOutput": {"cborHex"}}} and "sign1::verify". */
static bool gluecose(struct run *r, const struct item *it, const json_t *j)
{
	tr_auto(tr_buf_done) struct tr_buf cbor = TR_BUF_INIT, external = TR_BUF_INIT, tbs = TR_BUF_INIT;
	const json_t *sign = json_object_get(j, "sign1::sign"), *verify = json_object_get(j, "sign1::verify");
	const json_t *op = sign ? sign : verify, *out;
	struct cose_case c = { .key = json_object_get(j, "key") };
	struct tr_err err = { 0 };
	struct set *s;
	bool fail;

	if (!jstr(j, "uuid").p || !jstr(j, "title").p || !json_is_object(c.key))
		return false;
	s = set_of(r, it, "gluecose", true);
	out = json_object_get(op, sign ? "expectedOutput" : "taggedCOSESign1");
	if (!op || !jstr(out, "cborHex").n) {
		skip(s, 1, "no product code for this operation: COSE_Sign1 only");
		return true;
	}
	if (!jhex(out, "cborHex", &cbor) || !jhex(op, "external", &external) ||
	    !jhex(json_object_get(op, "tbsHex"), "cborHex", &tbs)) {
		skip(s, 1, "the case is not in hexadecimal");
		return true;
	}
	fail = verify && json_is_false(json_object_get(verify, "shouldVerify"));
	c.cbor = tr_buf_view(&cbor);
	c.external = tr_buf_view(&external);
	if (!fail)
		c.tbs = tr_buf_view(&tbs);
	cose_judge(s, it->name, fail, cose_verify(&c, 0, &err), &err);
	return true;
}

bool cose_examples(struct run *r, const struct item *it, const json_t *j)
{
	return cose_wg(r, it, j) || gluecose(r, it, j);
}
