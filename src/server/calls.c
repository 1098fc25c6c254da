/* SPDX-License-Identifier: Apache-2.0 */
#include "server/calls.h"

struct call {
	tr_call_fn fn; /* NULL: free */
	void *arg;
	const void *whom;
	uint32_t gen;
	uint32_t waited_s;
	uint32_t next_free;
};

struct tr_calls {
	struct call *slots;
	uint32_t free_head; /* index + 1; 0: none */
	unsigned count;
};

struct tr_calls *tr_calls_new(void)
{
	struct tr_calls *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->slots = calloc(TR_CALLS_MAX, sizeof(*c->slots));
	if (!c->slots) {
		free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < TR_CALLS_MAX; i++)
		c->slots[i] = (struct call){ .gen = 1, .next_free = i + 2 <= TR_CALLS_MAX ? i + 2 : 0 };
	c->free_head = 1;
	return c;
}

struct tr_calls *tr_calls_free(struct tr_calls *c)
{
	if (c) {
		free(c->slots);
		free(c);
	}
	return NULL;
}

uint64_t tr_calls_add(struct tr_calls *c, const void *whom, tr_call_fn fn, void *arg)
{
	uint32_t index = c->free_head;
	struct call *s;

	if (!index || !fn)
		return 0;
	s = &c->slots[index - 1];
	c->free_head = s->next_free;
	s->fn = fn;
	s->arg = arg;
	s->whom = whom;
	s->waited_s = 0;
	c->count++;
	return (uint64_t)s->gen << 32 | index;
}

static void end(struct tr_calls *c, uint32_t index, const void *answer)
{
	struct call *s = &c->slots[index - 1];
	tr_call_fn fn = s->fn;
	void *arg = s->arg;

	/* Free first: the callback may ask the next question at once. */
	s->fn = NULL;
	s->gen++;
	s->next_free = c->free_head;
	c->free_head = index;
	c->count--;
	fn(arg, answer);
}

bool tr_calls_end(struct tr_calls *c, const void *whom, uint64_t id, const void *answer)
{
	uint32_t index = (uint32_t)id, gen = (uint32_t)(id >> 32);

	if (index == 0 || index > TR_CALLS_MAX)
		return false;
	if (!c->slots[index - 1].fn || c->slots[index - 1].gen != gen || c->slots[index - 1].whom != whom)
		return false;
	end(c, index, answer);
	return true;
}

void tr_calls_fail(struct tr_calls *c, const void *whom)
{
	for (uint32_t i = 1; i <= TR_CALLS_MAX; i++)
		if (c->slots[i - 1].fn && c->slots[i - 1].whom == whom)
			end(c, i, NULL);
}

const void *tr_calls_tick(struct tr_calls *c, unsigned limit_s)
{
	const void *late = NULL;

	for (uint32_t i = 0; c->count && i < TR_CALLS_MAX; i++)
		if (c->slots[i].fn && c->slots[i].waited_s++ >= limit_s)
			late = c->slots[i].whom;
	return late;
}

void tr_calls_excuse(struct tr_calls *c, const void *whom)
{
	for (uint32_t i = 0; c->count && i < TR_CALLS_MAX; i++)
		if (c->slots[i].fn && c->slots[i].whom == whom)
			c->slots[i].waited_s = 0;
}

unsigned tr_calls_count(const struct tr_calls *c)
{
	return c->count;
}
