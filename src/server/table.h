/* SPDX-License-Identifier: Apache-2.0 */
/* One stored kind of row in core's memory: rows in key order (so lists page by cursor), found by binary search, each
 * owning a private copy of its bytes. The same function applies a row at load and after a commit: memory never says
 * anything that is not durable. */
#ifndef TR_SERVER_TABLE_H
#define TR_SERVER_TABLE_H

#include "store/records.h"

/* What is known of an agent only while it lives; swept into the row now and then. */
struct tr_live {
	uint64_t seq;
	uint64_t heartbeats;
	int64_t last_seen;
	int64_t skew_ms;
	uint8_t running_hash[32];
	uint8_t start_id[16];
	uint64_t writes_until_ms; /* monotonic; see tr_core_may_write */
	int64_t change_recorded; /* when another binary was last written to the log */
	uint64_t changes;        /* others since, counted only */
	char running_version[65];
	bool seen;  /* since this start */
	bool dirty; /* differs from the row */
};

struct tr_item {
	void *row;         /* the table's struct; views borrow from bytes */
	struct tr_buf bytes;
	unsigned inflight; /* transactions under way that touch this row */
	bool ending;       /* revocation under way: already treated as revoked */
	unsigned reserved; /* tokens: uses promised, not yet committed */
	unsigned sent;     /* tokens: those of them whose row is on its way to the store */
	struct tr_live live;
};

struct tr_table_mem {
	const struct tr_record *def;
	size_t alt_off;          /* offset of a second key (struct tr_view), 0: none; empty values are not indexed */
	struct tr_item **by_key; /* sorted by the first field */
	struct tr_item **by_alt;
	size_t n, n_alt, cap, cap_alt;
};

void tr_table_init(struct tr_table_mem *t, const struct tr_record *def, size_t alt_off);
void tr_table_done(struct tr_table_mem *t);
/* Inserts or replaces by key; an existing item keeps its counters. NULL when out of memory or the row is damaged. */
struct tr_item *tr_table_put(struct tr_table_mem *t, const void *row);
void tr_table_del(struct tr_table_mem *t, struct tr_view key);
struct tr_item *tr_table_get(const struct tr_table_mem *t, struct tr_view key);
struct tr_item *tr_table_get_alt(const struct tr_table_mem *t, struct tr_view alt);
/* Index of the first item whose key is greater than `after` (empty: 0). */
size_t tr_table_after(const struct tr_table_mem *t, struct tr_view after);

#endif
