/* SPDX-License-Identifier: Apache-2.0 */
/* The vector runner: third-party test data, recognised by content, through the product's own code.
 *
 * Every case ends as one of four: agree, deviates (by a rule of docs/vectors.md), disagree, skipped (with the
 * reason). A rule is found by the reason that the product gives or by the bytes of the case, never by a file or
 * case name, and works in one direction only: nearly all of them let the product be stricter than the vector. */
#ifndef VECTORS_H
#define VECTORS_H

#include "base/buf.h"
#include "crypto/key.h"

/* The runner reads containers of any size; the product's own reader is bounded, and is what is being tested. */
#include <jansson.h>

struct item {
	char *where; /* file or archive, relative to the folder given */
	char *name;  /* path of the file, for a member of an archive its path there */
	bool member;
	bool taken;  /* belongs to a set that another file made known */
	struct tr_buf bytes;
};

struct run;
struct set;

enum want { MUST_ACCEPT, MUST_REFUSE, MAY_ACCEPT /* the vector leaves it open */ };

/* The set of a file, or (by_folder) of all files of this kind in its folder or archive. */
struct set *set_of(struct run *r, const struct item *it, const char *kind, bool by_folder);
void agree(struct set *s);
void disagree(struct set *s, const char *id, const char *fmt, ...) TR_PRINTF(3, 4);
void skip(struct set *s, size_t cases, const char *why);
/* The verdict on one case. rule may be NULL; it counts only in its own direction. why is the product's reason. */
void judge(struct set *s, const char *id, enum want want, bool accepted, const char *rule, const char *why);

size_t run_items(const struct run *r);
struct item *run_item(struct run *r, size_t i);
struct tr_view base_name(const struct item *it);
struct tr_view folder_name(const struct item *it); /* up to the last '/', without it */

/* The first row whose text stands in `text`; NULL when none does. */
struct reason {
	const char *text, *rule;
};
const char *rule_for(const struct reason *rows, size_t n, const char *text);

/* jansson and bytes. */
struct tr_view jstr(const json_t *o, const char *key); /* n == 0 and p == NULL when it is no string */
bool jhex(const json_t *o, const char *key, struct tr_buf *ret); /* absent: empty, and true */
bool hex_to(struct tr_view text, struct tr_buf *ret);
bool has_text(struct tr_view v, const char *text);
/* A public JWK (or COSE WG key: x_hex) as SubjectPublicKeyInfo; false when it is of no type that the product has. */
bool jwk_spki(const json_t *jwk, struct tr_buf *ret);

/* Recognisers: true when the file was theirs. Those with a JSON argument are offered every JSON text. */
bool wycheproof(struct run *r, const struct item *it, const json_t *j);
bool ed25519_cases(struct run *r, const struct item *it, const json_t *j);
bool json_formats(struct run *r, const struct item *it, const json_t *j);
bool cbor_examples(struct run *r, const struct item *it, const json_t *j);
bool cose_examples(struct run *r, const struct item *it, const json_t *j);
bool hpke_vectors(struct run *r, const struct item *it, const json_t *j);
bool limbo(struct run *r, const struct item *it, const json_t *j);
bool no_product_json(struct run *r, const struct item *it, const json_t *j);
bool pem_files(struct run *r, const struct item *it);
bool http_cases(struct run *r, const struct item *it);
bool no_product_text(struct run *r, const struct item *it);
/* Sets that are known by many files together; they mark their items as taken. */
void json_suites(struct run *r);
void jcs_pairs(struct run *r);
void tuf_archives(struct run *r);

/* v_raw.c: one group of signatures by tr_raw_verify_*. */
void raw_group(struct set *s, const json_t *group);

/* unpack.c: false when the bytes are damaged (or longer than max when unpacked). */
bool gunzip(struct tr_view in, size_t max, struct tr_buf *ret);
bool is_tar(struct tr_view v);
struct tar {
	struct tr_view left;
	char name[1024];
	bool damaged;
};
bool tar_next(struct tar *t, struct tr_view *ret_bytes); /* regular files only */

#endif
