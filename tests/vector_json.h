/* SPDX-License-Identifier: Apache-2.0 */
/* What the makers of test vectors share: JSON as text, keys from a public sentence, and the comparison with the file. */
#ifndef TR_TESTS_VECTOR_JSON_H
#define TR_TESTS_VECTOR_JSON_H

#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key.h"

#include <inttypes.h>
#include <stdio.h>

struct out {
	struct tr_buf b;
	struct tr_privkey *key;
	struct tr_pubkey *p256, *rsa;
	const char *comma;
};

static inline void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "vectors: %s failed\n", what);
	exit(1);
}

/* ---- JSON ---- */

static inline void item(struct out *o)
{
	tr_buf_adds(&o->b, o->comma);
	o->comma = ",\n\t";
}

static inline void open_list(struct out *o, const char *name)
{
	tr_buf_addf(&o->b, "%s\n\"%s\": [\n\t", o->b.n > 2 ? "," : "", name);
	o->comma = "";
}

static inline void text(struct out *o, const char *name, struct tr_view v)
{
	tr_buf_addf(&o->b, "\"%s\": ", name);
	tr_json_put_str(&o->b, v);
	tr_buf_adds(&o->b, ", ");
}

static inline void hex(struct out *o, const char *name, struct tr_view v)
{
	tr_buf_addf(&o->b, "\"%s\": \"", name);
	tr_hex_add(&o->b, v);
	tr_buf_adds(&o->b, "\", ");
}

static inline void number(struct out *o, const char *name, uint64_t v)
{
	tr_buf_addf(&o->b, "\"%s\": %" PRIu64 ", ", name, v);
}

/* What JSON readers with doubles would round. */
static inline void big(struct out *o, const char *name, uint64_t v)
{
	tr_buf_addf(&o->b, "\"%s\": \"%" PRIu64 "\", ", name, v);
}

static inline void flag(struct out *o, const char *name, bool v)
{
	tr_buf_addf(&o->b, "\"%s\": %s, ", name, v ? "true" : "false");
}

/* Ends an object: its last member's comma goes. */
static inline void close_object(struct out *o)
{
	o->b.n -= 2;
	tr_buf_adds(&o->b, "}");
}

/* An Ed25519 key that everybody can make: nobody may use it for anything but vectors. */
static inline struct tr_privkey *key_of(const char *sentence, uint8_t seed[32])
{
	static const uint8_t head[] = { 0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20 };
	tr_auto(tr_buf_done) struct tr_buf der = TR_BUF_INIT, pem = TR_BUF_INIT;
	struct tr_privkey *k = NULL;
	struct tr_err err;

	tr_sha256(tr_view_str(sentence), seed);
	tr_buf_add(&der, head, sizeof(head));
	tr_buf_add(&der, seed, 32);
	tr_buf_adds(&pem, "-----BEGIN PRIVATE KEY-----\n");
	tr_b64_add(&pem, tr_buf_view(&der), TR_B64_STD);
	tr_buf_adds(&pem, "\n-----END PRIVATE KEY-----\n");
	must(!tr_privkey_from_pem(tr_buf_view(&pem), &k, &err), sentence);
	return k;
}

/* The keys that a file of vectors goes by, as its object "keys"; each is made from what (of which vectors) and its name. */
static inline void put_named_keys(struct out *o, const char *what, const char *const *names, size_t n, struct tr_privkey **ret)
{
	tr_buf_adds(&o->b, "\"keys\": {");
	for (size_t i = 0; i < n; i++) {
		char sentence[96];
		uint8_t seed[32];

		(void)snprintf(sentence, sizeof(sentence), "troth: the public %s key of the %s vectors", names[i], what);
		ret[i] = key_of(sentence, seed);
		tr_buf_addf(&o->b, "%s\"%s\": {", i ? ", " : "", names[i]);
		hex(o, "seed", TR_VIEW_ARRAY(seed));
		hex(o, "spki", tr_pubkey_spki(tr_privkey_pub(ret[i])));
		close_object(o);
	}
	tr_buf_adds(&o->b, "}");
}

/* One part of something good replaced: what must be refused. name is what is said when the part is not in it. */
static inline void swap(const char *name, struct tr_view in, struct tr_view from, struct tr_view to, struct tr_buf *out)
{
	const uint8_t *at = memmem(in.p, in.n, from.p, from.n);
	size_t before;

	must(at != NULL, name);
	before = (size_t)(at - in.p);
	tr_buf_add(out, in.p, before);
	tr_buf_addv(out, to);
	tr_buf_add(out, at + from.n, in.n - before - from.n);
}

static inline void start(void)
{
	struct tr_err err = { 0 };

	must(!tr_crypto_init(&err), "cryptography");
}

static inline int compare(const char *program, const char *path, struct tr_view want)
{
	FILE *f = fopen(path, "rb");
	size_t at = 0, line = 1;
	int c = 0;

	must(f != NULL, path);
	while (at < want.n && (c = fgetc(f)) == want.p[at])
		line += want.p[at++] == '\n';
	if (at == want.n)
		c = fgetc(f);
	(void)fclose(f);
	if (at == want.n && c == EOF)
		return 0;
	(void)fprintf(stderr, "%s: %s differs in line %zu; write it anew with --print, if that was meant\n", program, path, line);
	return 1;
}

static inline int print_or_compare(const char *program, const char *arg, struct tr_view made)
{
	if (strcmp(arg, "--print") != 0)
		return compare(program, arg, made);
	must(fwrite(made.p, 1, made.n, stdout) == made.n, "writing");
	return 0;
}

#endif
