/* SPDX-License-Identifier: Apache-2.0 */
/* One table per kind of thing: the same rows say how it travels between roles (frames), how it is bound to SQL,
 * how it is written as JSON, and what an API body may contain. No other code knows a field's name or limit.
 *
 * In memory a record is a plain C struct whose members are uint64_t (U64), int64_t (I64, TIME_MS), bool (BOOL) or
 * struct tr_view (TEXT, BYTES, HEX, RAW). Views borrow from whatever the record was decoded from.
 *
 * Wire: fields in table order; U64/I64/TIME as 8 bytes little endian, BOOL as one byte 0/1, views as 4-byte little
 * endian length and the bytes. A record ends exactly at its last field: surplus bytes are an error. */
#ifndef TR_CODEC_RECORD_H
#define TR_CODEC_RECORD_H

#include "codec/json.h"

enum tr_ftype {
	TR_F_U64,
	TR_F_I64,
	TR_F_TIME_MS, /* int64_t Unix ms, 0 = not set; JSON: RFC 3339 text, or null */
	TR_F_BOOL,
	TR_F_TEXT,  /* UTF-8 without NUL */
	TR_F_IDENT, /* TEXT that is empty or passes tr_ident_ok */
	TR_F_BYTES, /* JSON: base64 (standard, padded) */
	TR_F_HEX,   /* bytes; JSON: lower-case hex */
	TR_F_RAW,   /* JSON text made by ourselves, embedded verbatim in JSON output; refused in JSON input */
};

#define TR_FIELD_REQUIRED 1u /* must be in JSON and query input, and not be empty there */
#define TR_FIELD_SECRET 2u   /* never written to JSON */

struct tr_field {
	const char *name; /* JSON member */
	enum tr_ftype type;
	uint16_t off;     /* offsetof in the struct */
	uint32_t max;     /* bytes for views, 0 for the rest */
	unsigned flags;
};

struct tr_record {
	const char *name;
	size_t size; /* of the struct */
	const struct tr_field *fields;
	size_t n;
	bool lenient; /* JSON input may hold members that the table does not know */
};

#define TR_FIELD(T, member, ftype, max_, flags_) { #member, ftype, offsetof(struct T, member), max_, flags_ }
#define TR_RECORD(var, T, table) \
	const struct tr_record var = { #T, sizeof(struct T), table, TR_ARRAY_LEN(table), false }
#define TR_RECORD_LENIENT(var, T, table) \
	const struct tr_record var = { #T, sizeof(struct T), table, TR_ARRAY_LEN(table), true }

/* Marks b failed when a value breaks its own field's rules: what was encoded can be decoded. */
void tr_record_encode(const struct tr_record *def, const void *rec, struct tr_buf *b);
/* Every view in ret borrows from in. Limits and UTF-8 are checked. ret untouched on error. */
TR_RC tr_record_decode(const struct tr_record *def, struct tr_view in, void *ret, struct tr_err *err);

/* {"name":value,…} */
void tr_record_to_json(const struct tr_record *def, const void *rec, struct tr_buf *b);
/* From a parsed object. Unknown members are an error naming them (unless lenient), so are missing required ones.
 * Decoded bytes of HEX/BYTES are kept in `arena`, which must be empty before and outlive ret; the rest borrows
 * from the document. err->pub names the member in a buffer per thread: it lives until the thread's next such
 * error. */
TR_RC tr_record_from_json(const struct tr_record *def, tr_jnode object, struct tr_buf *arena, void *ret,
			  struct tr_err *err);
/* The same from a query string ("limit=10&since=…"), percent-decoding into arena. */
TR_RC tr_record_from_query(const struct tr_record *def, struct tr_view query, struct tr_buf *arena, void *ret,
			   struct tr_err *err);

/* A list of records as one view: each with a 4-byte length in front. */
void tr_records_add(struct tr_buf *b, const struct tr_record *def, const void *rec);
/* Takes the next record's bytes off the front of *list; false at the end or on damage (then *list is not empty). */
bool tr_records_next(struct tr_view *list, struct tr_view *ret);

#endif
