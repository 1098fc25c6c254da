/* SPDX-License-Identifier: Apache-2.0 */
/* Which release an agent's BPF programs are judged by: the published one of the image that runs, when that image may run. */
#include "fleet/inner.h"

#include "base/log.h"
#include "signed/release_bpf.h"

#include <stdio.h>

struct tr_bpf_release {
	uint8_t sha256[32];   /* of the image */
	char version[65];
	struct tr_buf bpf;    /* records */
};

static void forget(struct tr_bpf_release *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tr_buf_done(&r[i].bpf);
	free(r);
}

static int by_hash(const void *a, const void *b)
{
	const struct tr_bpf_release *x = a, *y = b;

	return memcmp(x->sha256, y->sha256, 32);
}

static const struct tr_bpf_release *find(const struct tr_bpf_release *r, size_t n, struct tr_view hash)
{
	struct tr_bpf_release key = { .bpf = TR_BUF_INIT };

	if (!n || hash.n != 32)
		return NULL;
	memcpy(key.sha256, hash.p, 32);
	return bsearch(&key, r, n, sizeof(*r), by_hash);
}

/* Whether an agent that runs this image is judged by the same programs as before. */
static bool same(const struct tr_bpf_release *was, const struct tr_bpf_release *is)
{
	return was == is || (was && is && tr_view_eq(tr_buf_view(&was->bpf), tr_buf_view(&is->bpf)));
}

static bool all_same(const struct tr_bpf_release *a, size_t n_a, const struct tr_bpf_release *b, size_t n_b)
{
	bool yes = n_a == n_b;

	for (size_t i = 0; yes && i < n_a; i++)
		yes = by_hash(&a[i], &b[i]) == 0 && same(&a[i], &b[i]);
	return yes;
}

void tr_fleet_releases(struct tr_fleet *f, const struct tr_release_row *rows, size_t n)
{
	struct tr_bpf_release *was = f->releases, *is = n ? calloc(n, sizeof(*is)) : NULL;
	size_t n_was = f->n_releases, n_is = 0;
	bool ok = is || !n;

	for (size_t i = 0; is && i < n; i++) {
		struct tr_bpf_release *r = &is[n_is];

		if (!rows[i].bpf.n || rows[i].withdrawn_at || rows[i].sha256.n != 32)
			continue;
		memcpy(r->sha256, rows[i].sha256.p, 32);
		(void)snprintf(r->version, sizeof(r->version), "%.*s", TR_VIEW_FMT(rows[i].version));
		tr_buf_addv(&r->bpf, rows[i].bpf);
		ok &= tr_buf_ok(&r->bpf);
		n_is++;
	}
	if (!ok) {
		forget(is, n_is);
		tr_log(TR_LOG_ERROR, "releases_not_loaded", "why", "out of memory", NULL);
		return; /* what was known goes on to count */
	}
	if (n_is)
		qsort(is, n_is, sizeof(*is), by_hash);
	f->releases = is;
	f->n_releases = n_is;
	/* At the start, what was found before may be by a release that does not count any more. */
	if (!f->loaded || !all_same(was, n_was, is, n_is)) {
		for (uint32_t no = 0; no < f->n; no++) {
			struct tr_fleet_agent *a = tr_agent_at(f, no);
			struct tr_view hash = tr_fleet_value(f, a->running);

			if (!same(find(was, n_was, hash), find(is, n_is, hash)) || (!f->loaded && tr_bpf_has_mismatch(a)))
				a->bpf_due = true;
		}
	}
	forget(was, n_was);
}

struct tr_view tr_fleet_released_bpf(const struct tr_fleet *f, uint32_t no, struct tr_view *ret_version)
{
	const struct tr_fleet_agent *a = tr_agent_at(f, no);
	const struct tr_bpf_release *r = NULL;

	/* Of an image that may not run nothing is expected: it is the finding. */
	if (f->n_releases && a && a->running && (a->running == a->good || a->running == a->expected))
		r = find(f->releases, f->n_releases, tr_fleet_value(f, a->running));
	if (ret_version)
		*ret_version = r ? tr_view_str(r->version) : tr_view(NULL, 0);
	return r ? tr_buf_view(&r->bpf) : tr_view(NULL, 0);
}
