/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a disk in memory that can fail or lose power at any call. What was not synced may be lost, whole
 * or from any byte on. */
#ifndef TR_AGENT_JOURNAL_LAB_H
#define TR_AGENT_JOURNAL_LAB_H

#include "agent/journal.h"

#include <errno.h>

struct disk {
	struct tr_buf now, safe; /* as the process sees it; as it is after the power is back */
	bool there, safe_there;
	unsigned calls;		   /* that change or sync something */
	unsigned fail_at, kill_at; /* the n-th of them, from 1; 0: none */
	unsigned fail_for;	   /* so many in a row; 0: one */
	int fail_errno;
	size_t part; /* bytes that a failing or dying append still writes */
	bool dead, aside;
};

static inline void disk_copy(struct tr_buf *to, const struct tr_buf *from)
{
	tr_buf_clear(to);
	tr_buf_addv(to, tr_buf_view(from));
}

static inline enum tr_code disk_fate(struct disk *d, struct tr_err *err)
{
	if (d->dead)
		return tr_err_set(err, TR_E_INTERNAL, "no power", "dead");
	d->calls++;
	if (d->kill_at && d->calls == d->kill_at) {
		d->dead = true;
		return tr_err_set(err, TR_E_INTERNAL, "no power", "dies at call %u", d->calls);
	}
	if (d->fail_at && d->calls >= d->fail_at && d->calls < d->fail_at + (d->fail_for ? d->fail_for : 1)) {
		errno = d->fail_errno;
		return tr_err_errno(err, "call %u", d->calls);
	}
	return TR_OK;
}

static inline TR_RC disk_load(void *arg, struct tr_buf *ret, struct tr_err *err)
{
	struct disk *d = arg;

	if (!d->there)
		return tr_err_set(err, TR_E_NOTFOUND, "no such file", "journal");
	tr_buf_addv(ret, tr_buf_view(&d->now));
	return TR_OK;
}

static inline void disk_write(struct disk *d, uint64_t at, struct tr_view v)
{
	if (d->now.n < at + v.n)
		(void)tr_buf_space(&d->now, (size_t)at + v.n - d->now.n);
	if (v.n)
		memcpy(d->now.p + at, v.p, v.n);
}

static inline TR_RC disk_append(void *arg, uint64_t at, struct tr_view v, struct tr_err *err)
{
	struct disk *d = arg;
	bool alive = !d->dead;
	enum tr_code rc = disk_fate(d, err);

	if (rc && alive)
		disk_write(d, at, tr_view(v.p, d->part < v.n ? d->part : v.n));
	else if (!rc)
		disk_write(d, at, v);
	return rc;
}

static inline TR_RC disk_sync(void *arg, struct tr_err *err)
{
	struct disk *d = arg;
	enum tr_code rc = disk_fate(d, err);

	if (!rc)
		disk_copy(&d->safe, &d->now);
	return rc;
}

static inline TR_RC disk_cut(void *arg, uint64_t size, struct tr_err *err)
{
	struct disk *d = arg;
	enum tr_code rc = disk_fate(d, err);

	if (rc)
		return rc;
	d->now.n = size < d->now.n ? (size_t)size : d->now.n;
	disk_copy(&d->safe, &d->now);
	return TR_OK;
}

static inline TR_RC disk_reserve(void *arg, uint64_t at, uint64_t n, struct tr_err *err)
{
	(void)at;
	(void)n;
	return disk_fate(arg, err);
}

static inline TR_RC disk_read(void *arg, uint64_t at, uint8_t *to, size_t n, struct tr_err *err)
{
	const struct disk *d = arg;

	if (at + n > d->now.n)
		return tr_err_set(err, TR_E_INTERNAL, "shorter", "read");
	memcpy(to, d->now.p + at, n);
	return TR_OK;
}

static inline TR_RC disk_rewrite(void *arg, struct tr_view all, struct tr_err *err)
{
	struct disk *d = arg;
	enum tr_code rc = disk_fate(d, err);

	/* Half of the failures are those after the rename. */
	if (rc && !(d->part & 1))
		return rc;
	tr_buf_clear(&d->now);
	tr_buf_addv(&d->now, all);
	disk_copy(&d->safe, &d->now);
	d->there = d->safe_there = true;
	return rc;
}

static inline TR_RC disk_set_aside(void *arg, struct tr_err *err)
{
	struct disk *d = arg;

	(void)err;
	d->aside = d->there;
	d->there = false;
	return TR_OK;
}

static inline struct tr_journal_io disk_io(struct disk *d)
{
	return (struct tr_journal_io){ .arg = d,
				       .load = disk_load,
				       .append = disk_append,
				       .sync = disk_sync,
				       .cut = disk_cut,
				       .reserve = disk_reserve,
				       .read = disk_read,
				       .rewrite = disk_rewrite,
				       .set_aside = disk_set_aside };
}

/* The power comes back. keep: of the bytes that were written behind the synced ones, so many are there;
 * zeros: and the rest of their space, empty. */
static inline void disk_power(struct disk *d, size_t keep, bool zeros)
{
	size_t more = d->now.n > d->safe.n && memcmp(d->now.p, d->safe.p, d->safe.n) == 0
			      ? d->now.n - d->safe.n
			      : 0;

	keep = keep < more ? keep : more;
	if (more)
		tr_buf_add(&d->safe, d->now.p + d->safe.n, keep);
	for (size_t i = keep; zeros && i < more; i++)
		tr_buf_add8(&d->safe, 0);
	disk_copy(&d->now, &d->safe);
	d->there = d->safe_there;
	d->dead = false;
	d->calls = d->fail_at = d->kill_at = d->fail_for = 0;
}

static inline void disk_done(struct disk *d)
{
	tr_buf_done(&d->now);
	tr_buf_done(&d->safe);
}

#endif
