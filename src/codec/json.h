/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON (RFC 8259) through jansson, the only includer of its header: duplicate keys, invalid UTF-8, trailing
 * text, depth over 16 and sizes over TR_JSON_MAX are refused (callers cap earlier and lower); NUL inside strings
 * and numbers beyond int64_t or double are refused. Writing is by escaping into a tr_buf, so output needs no
 * library. Parsing calls getrandom(2), for the hash seed. */
#ifndef TR_CODEC_JSON_H
#define TR_CODEC_JSON_H

#include "base/buf.h"

#define TR_JSON_MAX ((size_t)4 << 20)
#define TR_JSON_DEPTH_MAX 16

struct tr_json; /* a parsed document; owns everything that was got from it */

TR_RC tr_json_parse(struct tr_view text, struct tr_json **ret, struct tr_err *err);
/* The same, every number as a double, as JavaScript and Go's `any` read them: 1, 1.0 and 1e0 are one value, and an integer
 * beyond 2^53 loses digits. Nodes have no tr_json_int then, only tr_json_real. */
TR_RC tr_json_parse_reals(struct tr_view text, struct tr_json **ret, struct tr_err *err);
struct tr_json *tr_json_free(struct tr_json *j);
TR_DEFINE_AUTO(struct tr_json *, tr_json_free)

/* Nodes borrow from the document. NULL node in, "absent" out: lookups chain. */
typedef const void *tr_jnode;
tr_jnode tr_json_root(const struct tr_json *j);
tr_jnode tr_json_get(tr_jnode object, const char *key);
bool tr_json_is_object(tr_jnode n);
bool tr_json_is_array(tr_jnode n);
size_t tr_json_len(tr_jnode array_or_object);
tr_jnode tr_json_at(tr_jnode array, size_t i);
bool tr_json_str(tr_jnode n, struct tr_view *ret);
bool tr_json_int(tr_jnode n, int64_t *ret); /* integers only; 1.0 and 1e3 are not integers here */
bool tr_json_real(tr_jnode n, double *ret); /* a number that is no integer, or any after tr_json_parse_reals */
bool tr_json_bool(tr_jnode n, bool *ret);
bool tr_json_is_null(tr_jnode n);
/* Calls fn for each member; stops when it returns false. */
typedef bool (*tr_json_each_fn)(void *arg, const char *key, tr_jnode value);
void tr_json_each(tr_jnode object, tr_json_each_fn fn, void *arg);
/* The node again as compact text. */
void tr_json_dump(tr_jnode n, struct tr_buf *b);

/* Quoted and escaped; bytes that are not UTF-8 become U+FFFD, so the output is valid whatever comes in. */
void tr_json_put_str(struct tr_buf *b, struct tr_view utf8);
/* RFC 3339 in quotes; null for 0, which is how rows say "never". */
void tr_json_put_time(struct tr_buf *b, int64_t unix_ms);
/* A member of an object behind another one: comma, name, value. */
void tr_json_member_str(struct tr_buf *b, const char *name, struct tr_view utf8);
void tr_json_member_hex(struct tr_buf *b, const char *name, struct tr_view bytes);
void tr_json_member_time(struct tr_buf *b, const char *name, int64_t unix_ms);

#endif
