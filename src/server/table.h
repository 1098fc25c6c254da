/* SPDX-License-Identifier: Apache-2.0 */
/* One stored kind of row in core's memory. The same function applies a row at load and after a commit: memory never
 * says anything that is not durable.
 *
 * There may be a million rows, so they are kept packed (numbers short, common values once, hex halved) and unpacked into
 * a room of the caller's when somebody looks. An item keeps its address for as long as its row is there; both keys are
 * found by hash, under a seed that strangers who choose ids do not know; key order, for lists, is made when asked. */
#ifndef TR_SERVER_TABLE_H
#define TR_SERVER_TABLE_H

#include "store/records.h"

struct tr_item {
	uint32_t no;       /* agents: number in the fleet; TR_NO_AGENT: none */
	uint16_t inflight; /* transactions under way that touch this row */
	uint16_t reserved; /* tokens: uses promised, not yet committed */
	uint16_t sent;     /* tokens: those of them whose row is on its way to the store */
	bool ending : 1;   /* revocation under way: already treated as revoked */
	bool cert_seen : 1, cert_late : 1; /* agents: its certificate was looked at since this start; a fifth is left, told */
	uint8_t place;     /* table.c's */
};

struct tr_table_inner;
struct tr_table_mem {
	const struct tr_record *def;
	size_t n;
	struct tr_table_inner *in;
};

/* Where a row is unpacked. It borrows from the room, the item and the table: good until the item's row changes. */
#define TR_ROW_ROOM 512
struct tr_row_room {
	union tr_any_row row;
	char text[TR_ROW_ROOM];
};

/* The key is the record's first field. alt_off: offset of a second key (struct tr_view), 0: none; empty values of it are
 * not found. seed: random per process. False: out of memory. */
bool tr_table_init(struct tr_table_mem *t, const struct tr_record *def, size_t alt_off, const uint8_t seed[16]);
void tr_table_done(struct tr_table_mem *t);
/* Inserts or replaces by key; an existing item keeps its counters. NULL when out of memory (nothing changed) or the row
 * is damaged. */
struct tr_item *tr_table_put(struct tr_table_mem *t, const void *row);
void tr_table_del(struct tr_table_mem *t, struct tr_view key);
struct tr_item *tr_table_get(const struct tr_table_mem *t, struct tr_view key);
/* This key is about to be looked up: memory may fetch where that begins. */
void tr_table_soon(const struct tr_table_mem *t, struct tr_view key);
struct tr_item *tr_table_get_alt(const struct tr_table_mem *t, struct tr_view alt);
/* The item's row, unpacked into room; NULL for no item. */
const void *tr_item_row(const struct tr_table_mem *t, const struct tr_item *i, struct tr_row_room *room);
/* The same with a room of its own, which lives as long as the enclosing block. */
#define TR_ROW(t, i) tr_item_row((t), (i), &(struct tr_row_room){ .text = { 0 } })
/* One of its keys alone, which costs nothing; alt only in a table that has it. */
struct tr_view tr_item_key(const struct tr_item *i);
struct tr_view tr_item_alt(const struct tr_item *i);

/* Key order: tr_table_after gives the first position whose key is greater than `after` (empty: 0), positions go up to
 * tr_table_end. Rows may be deleted while one goes through them (their position then gives NULL), not added. */
size_t tr_table_after(const struct tr_table_mem *t, struct tr_view after);
struct tr_item *tr_table_at(const struct tr_table_mem *t, size_t position);
size_t tr_table_end(const struct tr_table_mem *t);
/* The item at *position or the next after it that is there, which *position passes; NULL at the end. */
struct tr_item *tr_table_next(const struct tr_table_mem *t, size_t *position);
/* Every item in key order; i is a struct tr_item * of the caller's. */
#define TR_EACH_ITEM(t, i)                                                                                            \
	for (size_t at_##i = tr_table_after((t), tr_view(NULL, 0)); ((i) = tr_table_next((t), &at_##i)) != NULL;)

/* Memory in use. keys: bytes of the first keys, part of it. */
size_t tr_table_bytes(const struct tr_table_mem *t, size_t *ret_keys);

#endif
