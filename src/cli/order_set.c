/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/order_set.h"

#include <stdio.h>
#include <stdlib.h>

void tr_order_set_done(struct tr_order_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		tr_buf_done(&s->items[i].bytes);
	free(s->items);
	*s = (struct tr_order_set){ 0 };
}

static TR_RC read_order(struct tr_order_set *s, struct tr_order_item *it, struct tr_view order, struct tr_err *err)
{
	enum tr_code rc;

	tr_buf_addv(&it->bytes, order);
	if (tr_buf_check(&it->bytes, err))
		return err->code;
	rc = tr_order_decode(tr_buf_view(&it->bytes), &it->order, err);
	if (rc == TR_E_NOTFOUND)
		return tr_err_set(err, TR_E_NOTFOUND,
				  "this is an order of a kind that this version does not know: never approve what you cannot read",
				  "command %llu", (unsigned long long)it->order.cmd);
	if (rc)
		return tr_err_wrap(err, "order");
	if (s->n && !tr_view_eq(s->items[0].order.trust_domain, it->order.trust_domain))
		return tr_err_set(err, TR_E_INVALID, "orders of two trust domains are not approved together", "%.*s",
				  TR_VIEW_FMT(it->order.trust_domain));
	tr_order_digest(tr_buf_view(&it->bytes), it->digest);
	for (size_t i = 0; i < TR_CMD_ID_LEN; i++)
		(void)snprintf(it->id + 2 * i, 3, "%02x", it->order.cmd_id[i]);
	return TR_OK;
}

TR_RC tr_order_set_add(struct tr_order_set *s, struct tr_view order, struct tr_err *err)
{
	struct tr_order_item it = { .bytes = TR_BUF_INIT }, *more;

	for (size_t i = 0; i < s->n; i++)
		if (tr_view_eq(tr_buf_view(&s->items[i].bytes), order))
			return TR_OK;
	if (s->n == TR_ORDER_SET_MAX)
		return tr_err_set(err, TR_E_INVALID, "at most 1024 orders are approved at once", "orders");
	more = realloc(s->items, (s->n + 1) * sizeof(*more));
	if (!more)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "orders");
	s->items = more;
	if (read_order(s, &it, order, err)) {
		tr_buf_done(&it.bytes);
		return err->code;
	}
	s->items[s->n++] = it;
	return TR_OK;
}

static enum tr_cmd_class class_of(const struct tr_order_item *it)
{
	const struct tr_cmd_type *t = tr_cmd_type(it->order.cmd);

	return t ? t->class : TR_CLASS_DANGEROUS;
}

enum tr_cmd_class tr_order_set_class(const struct tr_order_set *s)
{
	enum tr_cmd_class worst = TR_CLASS_READ;

	for (size_t i = 0; i < s->n; i++)
		if (class_of(&s->items[i]) > worst)
			worst = class_of(&s->items[i]);
	return worst;
}

void tr_order_set_text(const struct tr_order_set *s, struct tr_buf *b)
{
	for (size_t i = 0; i < s->n; i++) {
		tr_order_text(&s->items[i].order, b);
		tr_buf_adds(b, "\n");
	}
}

static int by_digest(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* As many as one approval holds, from *at on. Its life is that of the strictest among them. */
static TR_RC fill(const struct tr_order_set *s, size_t *at, struct tr_approval *a, struct tr_buf *text, struct tr_err *err)
{
	uint32_t life = UINT32_MAX;

	for (; *at < s->n && a->n < TR_APPROVAL_ORDERS_MAX; ++*at) {
		const struct tr_order_item *it = &s->items[*at];
		tr_auto(tr_buf_done) struct tr_buf line = TR_BUF_INIT;
		uint32_t max = tr_cmd_approval_max_s(class_of(it));

		tr_order_text(&it->order, &line);
		if (a->n && text->n + 1 + line.n > TR_APPROVAL_TEXT_MAX)
			break;
		tr_buf_adds(text, a->n ? "\n" : "");
		tr_buf_addv(text, tr_buf_view(&line));
		memcpy(a->orders[a->n++], it->digest, 32);
		life = max < life ? max : life;
	}
	qsort(a->orders, a->n, sizeof(a->orders[0]), by_digest);
	a->expires_ms = a->issued_ms + (int64_t)life * 1000;
	a->text = tr_buf_view(text);
	return tr_buf_check(text, err);
}

TR_RC tr_order_set_approve(const struct tr_order_set *s, const struct tr_privkey *key, int64_t now_ms, tr_approval_fn put,
			   void *arg, struct tr_err *err)
{
	size_t at = 0;

	while (at < s->n) {
		tr_auto(tr_buf_done) struct tr_buf text = TR_BUF_INIT, out = TR_BUF_INIT;
		struct tr_approval a = { .trust_domain = s->items[0].order.trust_domain, .issued_ms = now_ms };

		if (fill(s, &at, &a, &text, err) || tr_approval_sign(&a, key, &out, err) || put(arg, tr_buf_view(&out), err))
			return err->code;
	}
	return TR_OK;
}

/* ---- files ---- */

void tr_blobs_put(struct tr_buf *b, const struct tr_view *list, size_t n)
{
	tr_cbor_put_array(b, n);
	for (size_t i = 0; i < n; i++)
		tr_cbor_put_bytes(b, list[i]);
}

TR_RC tr_blobs_each(struct tr_view file, tr_blob_fn fn, void *arg, struct tr_err *err)
{
	struct tr_cbor r = tr_cbor_reader(file);
	size_t n = tr_cbor_array(&r, TR_ORDER_SET_MAX);
	enum tr_code rc = TR_OK;

	if (!r.error && n == 0)
		tr_cbor_fail(&r, "an empty list");
	for (size_t i = 0; !rc && i < n && !r.error; i++) {
		struct tr_view v = tr_cbor_bytes(&r);

		if (!r.error)
			rc = fn(arg, v, err);
	}
	return rc ? rc : tr_cbor_end(&r, err);
}
