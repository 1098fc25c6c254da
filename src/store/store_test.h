/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's tests share: a folder per test, rows filled and compared by their field tables. */
#ifndef TR_STORE_STORE_TEST_H
#define TR_STORE_STORE_TEST_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "store/db.h"

#include <stdio.h>
#include <sys/stat.h>

#define OK(call)                                                                                                     \
	do {                                                                                                         \
		struct tr_err e_ = { 0 };                                                                            \
		struct tr_err *err = &e_;                                                                            \
		enum tr_code got_ = (call);                                                                          \
		if (got_)                                                                                            \
			fail_msg("%s: %s: %s", #call, tr_code_name(got_), e_.detail);                                \
	} while (0)

/* The call fails with this code, and the sentence for people has this word. */
#define REFUSED(call, code_, word)                                                                                   \
	do {                                                                                                         \
		struct tr_err e_ = { 0 };                                                                            \
		struct tr_err *err = &e_;                                                                            \
		enum tr_code got_ = (call);                                                                          \
		if (got_ != (code_) || e_.code != got_ || !e_.pub || !strstr(e_.pub, (word)))                        \
			fail_msg("%s: %s, %s (%s)", #call, tr_code_name(got_), e_.pub ? e_.pub : "-", e_.detail);    \
	} while (0)

struct folder {
	char path[64];
	char db[96];
	char location[400];
};

static inline void folder_make(struct folder *f)
{
	/* Memory where there is some: hundreds of stores are made here, and none of it is about the power going. */
	(void)snprintf(f->path, sizeof(f->path), "%s/troth-store-XXXXXX",
		       access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(f->path));
	(void)snprintf(f->db, sizeof(f->db), "%s/troth.db", f->path);
	(void)snprintf(f->location, sizeof(f->location), "sqlite:%s", f->db);
}

static inline void folder_remove(const struct folder *f)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
	char path[128];

	for (size_t i = 0; i < TR_ARRAY_LEN(ends); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->db, ends[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->path), 0); /* nothing else was left there */
}

/* A row with the memory its views need. */
struct filled {
	union tr_any_row row;
	uint8_t mem[800000];
};

enum fill { FILL_SOME, FILL_MOST, FILL_LEAST };

static inline bool is_view(const struct tr_field *f)
{
	return f->type >= TR_F_TEXT;
}

/* Values that differ per field and seed, so that two swapped columns show. */
static inline void fill(struct filled *f, const struct tr_record *def, unsigned seed, enum fill how)
{
	size_t at = 0;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < def->n; i++) {
		const struct tr_field *fd = &def->fields[i];
		uint8_t *p = (uint8_t *)&f->row + fd->off;
		int64_t n = how == FILL_MOST ? INT64_MAX - (int64_t)i : (int64_t)(seed * 100 + i);
		struct tr_view v = tr_view(f->mem + at, 0);

		if (!is_view(fd)) {
			n = how == FILL_LEAST ? 0 : n;
			memcpy(p, &n, sizeof(n));
			continue;
		}
		if (fd->type == TR_F_BYTES || fd->type == TR_F_HEX) {
			v.n = how == FILL_MOST ? fd->max : how == FILL_SOME ? 5 : 0;
			memset(f->mem + at, (int)(seed + i), v.n);
			if (v.n)
				f->mem[at] = 0; /* bytes are not text */
		} else if (how == FILL_MOST) {
			v.n = fd->max;
			memset(f->mem + at, 'a' + (int)(i % 26), v.n);
		} else if (how == FILL_SOME) {
			v.n = (size_t)snprintf((char *)f->mem + at, 32, "f%zu-%03u", i, seed);
		}
		if (i == 0 && v.n == 0) { /* keys are never empty */
			f->mem[at] = 'k';
			v.n = 1;
		}
		at += v.n;
		assert_true(at < sizeof(f->mem));
		memcpy(p, &v, sizeof(v));
	}
}

static inline bool row_eq(const struct tr_record *def, const void *a, const void *b, size_t from)
{
	for (size_t i = from; i < def->n; i++) {
		const uint8_t *x = (const uint8_t *)a + def->fields[i].off;
		const uint8_t *y = (const uint8_t *)b + def->fields[i].off;

		if (is_view(&def->fields[i]) ? !tr_view_eq(*(const struct tr_view *)x, *(const struct tr_view *)y)
					     : memcmp(x, y, 8) != 0) {
			print_message("%s.%s differs\n", def->name, def->fields[i].name);
			return false;
		}
	}
	return true;
}

static inline bool count_row(void *arg, const void *row)
{
	(void)row;
	++*(unsigned *)arg;
	return true;
}

static inline unsigned count_rows(struct tr_store *s, enum tr_table t)
{
	unsigned n = 0;

	OK(tr_store_each(s, t, count_row, &n, err));
	return n;
}

/* One operation in a transaction of its own. */
static inline enum tr_code apply_alone(struct tr_store *s, enum tr_op op, enum tr_table t, const void *row,
				       struct tr_err *err)
{
	enum tr_code rc = tr_store_begin(s, err);

	if (!rc)
		rc = tr_store_apply(s, op, t, row, err);
	if (rc) {
		tr_store_rollback(s);
		return rc;
	}
	return tr_store_commit(s, err);
}

static inline struct tr_setting_row setting(const char *name, const char *value)
{
	return (struct tr_setting_row){ .name = tr_view_str(name), .value = tr_view_str(value) };
}

#endif
