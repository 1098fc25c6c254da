/* SPDX-License-Identifier: Apache-2.0 */
/* What was decoded and whose signatures were checked, by digest of its bytes. Only what is good in itself is kept: rubbish
 * from outside takes no room from it. Trust and time are not kept: dcap.c judges them anew. */
#include "evidence/dcap_inner.h"

#include "crypto/hash.h"

struct slot {
	uint64_t used; /* tick of the last use; 0: free */
	int64_t from, until; /* latest issue, earliest end */
	uint8_t id[TR_SHA256_LEN];
	void *what;
};

struct tr_dcap_cache {
	uint64_t tick;
	size_t n;
	struct slot *chains, *sets; /* n each, behind this */
	struct slot slots[];
};

struct tr_dcap_cache *tr_dcap_cache_new(size_t entries)
{
	struct tr_dcap_cache *c;

	if (!entries || entries > 65536)
		return NULL;
	c = calloc(1, sizeof(*c) + 2 * entries * sizeof(c->slots[0]));
	if (!c)
		return NULL;
	c->n = entries;
	c->chains = c->slots;
	c->sets = c->slots + entries;
	return c;
}

static void drop_chain(struct slot *s)
{
	(void)tr_dcap_chain_free(s->what);
	*s = (struct slot){ .used = 0 };
}

static void drop_set(struct slot *s)
{
	(void)tr_dcap_set_free(s->what);
	*s = (struct slot){ .used = 0 };
}

struct tr_dcap_cache *tr_dcap_cache_free(struct tr_dcap_cache *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		drop_chain(&c->chains[i]);
		drop_set(&c->sets[i]);
	}
	free(c);
	return NULL;
}

static const void *find(struct tr_dcap_cache *c, struct slot *slots, void (*drop)(struct slot *), const uint8_t id[32],
			int64_t now)
{
	for (size_t i = 0; i < c->n; i++) {
		struct slot *s = &slots[i];

		if (!s->used || memcmp(s->id, id, sizeof(s->id)) != 0)
			continue;
		if (now < s->from || now > s->until) {
			drop(s);
			return NULL;
		}
		s->used = ++c->tick;
		return s->what;
	}
	return NULL;
}

static bool keep(struct tr_dcap_cache *c, struct slot *slots, void (*drop)(struct slot *), const struct slot *what,
		 int64_t now)
{
	struct slot *oldest = &slots[0];

	if (now < what->from || now > what->until)
		return false;
	for (size_t i = 1; i < c->n; i++)
		if (slots[i].used < oldest->used)
			oldest = &slots[i];
	drop(oldest);
	*oldest = *what;
	oldest->used = ++c->tick;
	return true;
}

static void within(struct slot *s, int64_t from, int64_t until)
{
	if (from > s->from)
		s->from = from;
	if (until < s->until)
		s->until = until;
}

static struct slot slot_of(const uint8_t id[32], void *what)
{
	struct slot s = { .from = INT64_MIN, .until = INT64_MAX, .what = what };

	memcpy(s.id, id, sizeof(s.id));
	return s;
}

const struct tr_dcap_chain *tr_dcap_cache_chain(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now)
{
	return find(c, c->chains, drop_chain, id, now);
}

const struct tr_dcap_set *tr_dcap_cache_set(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now)
{
	return find(c, c->sets, drop_set, id, now);
}

bool tr_dcap_cache_keep_chain(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now, struct tr_dcap_chain *chain)
{
	struct slot s = slot_of(id, chain);

	if (!chain->read || !chain->ca_signed || !chain->leaf_signed || !chain->has_pck)
		return false;
	within(&s, chain->leaf.not_before, chain->leaf.not_after);
	within(&s, chain->ca.not_before, chain->ca.not_after);
	within(&s, chain->root.not_before, chain->root.not_after);
	return keep(c, c->chains, drop_chain, &s, now);
}

static bool signer_is_good(const struct tr_dcap_signer *g, struct slot *s)
{
	within(s, g->leaf.not_before, g->leaf.not_after);
	within(s, g->root.not_before, g->root.not_after);
	return g->read && g->is_signed;
}

static bool crl_is_good(const struct tr_dcap_crl *l, struct slot *s)
{
	within(s, l->crl.this_update, l->crl.next_update);
	return l->read && l->is_signed;
}

bool tr_dcap_cache_keep_set(struct tr_dcap_cache *c, const uint8_t id[32], int64_t now, struct tr_dcap_set *set)
{
	struct slot s = slot_of(id, set);

	if (!signer_is_good(&set->tcb_signer, &s) || (!set->one_signer && !signer_is_good(&set->qe_signer, &s)) ||
	    !crl_is_good(&set->root_crl, &s) || !crl_is_good(&set->pck_crl, &s) || !set->tcb_signed || !set->qe_signed)
		return false;
	within(&s, set->tcb.doc.issued, set->tcb.doc.next);
	within(&s, set->qe.doc.issued, set->qe.doc.next);
	return keep(c, c->sets, drop_set, &s, now);
}
