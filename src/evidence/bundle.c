/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/bundle.h"

#include "codec/cbor.h"

static const char *const names[TR_BI_N] = {
	"", "tcb_info", "qe_identity", "tcb_chain", "pck_crl_platform", "pck_crl_processor", "root_crl", "pck_chain", "ark", "ask",
	"asvk", "amd_crl", "vek", "tpm_root", "tpm_intermediate", "root",
};

const char *tr_bundle_item_name(enum tr_bundle_item t)
{
	return (unsigned)t < TR_BI_N && t ? names[t] : "?";
}

/* {1: version, 2: made, 3: [[type, key, bytes, issued, expires] …]} sorted by type and key. */
enum { KEY_VERSION = 1, KEY_MADE, KEY_ITEMS };
#define ITEM_KEY_MAX 128
#define ITEM_BYTES_MAX (256u << 10)

static int order(const struct tr_bundle_entry *a, const struct tr_bundle_entry *b)
{
	const size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int c;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	c = n ? memcmp(a->key.p, b->key.p, n) : 0;
	return c ? c : a->key.n < b->key.n ? -1 : a->key.n > b->key.n;
}

static int order_any(const void *a, const void *b)
{
	return order(a, b);
}

static void get_item(struct tr_cbor *r, struct tr_bundle_entry *ret)
{
	uint64_t type;

	if (tr_cbor_array(r, 5) != 5)
		tr_cbor_fail(r, "an item has five members");
	type = tr_cbor_uint(r);
	if (type == 0 || type >= TR_BI_N)
		tr_cbor_fail(r, "a type of item that is not known");
	ret->type = (enum tr_bundle_item)type;
	ret->key = tr_cbor_bytes(r);
	ret->bytes = tr_cbor_bytes(r);
	ret->issued = tr_cbor_int(r);
	ret->expires = tr_cbor_int(r);
	if (ret->key.n > ITEM_KEY_MAX || !ret->bytes.n || ret->bytes.n > ITEM_BYTES_MAX)
		tr_cbor_fail(r, "an item's length");
}

static TR_RC get_items(struct tr_cbor *r, struct tr_bundle *b, struct tr_err *err)
{
	const size_t n = tr_cbor_array(r, TR_BUNDLE_ITEMS_MAX);

	if (!n || r->error)
		return TR_OK;
	b->items = calloc(n, sizeof(*b->items));
	if (!b->items)
		return tr_err_set(err, TR_E_INTERNAL, "out of memory", "bundle of %zu items", n);
	for (size_t i = 0; i < n && !r->error; i++) {
		get_item(r, &b->items[i]);
		if (i && order(&b->items[i - 1], &b->items[i]) >= 0)
			tr_cbor_fail(r, "items are not sorted, or one is there twice");
		b->n = i + 1;
	}
	return TR_OK;
}

TR_RC tr_bundle_get(struct tr_view in, struct tr_bundle *ret, struct tr_err *err)
{
	tr_auto(tr_bundle_done) struct tr_bundle b = { 0 };
	struct tr_cbor r = tr_cbor_reader(in);
	unsigned seen = 0;
	struct tr_cbor_map m;
	int64_t key;
	enum tr_code rc = TR_OK;

	if (in.n > TR_BUNDLE_MAX)
		return tr_err_set(err, TR_E_INVALID, "the collateral bundle is too long", "bundle of %zu bytes", in.n);
	(void)tr_cbor_map(&r, &m, 3);
	while (!rc && tr_cbor_key_int(&r, &m, &key)) {
		switch (key) {
		case KEY_VERSION: b.version = tr_cbor_uint(&r); break;
		case KEY_MADE: b.made = tr_cbor_int(&r); break;
		case KEY_ITEMS: rc = get_items(&r, &b, err); break;
		default: tr_cbor_fail(&r, "an unknown member"); break;
		}
		seen |= key > 0 && key < 8 ? 1u << key : 1u;
	}
	if (!rc)
		rc = tr_cbor_end(&r, err);
	if (rc)
		return tr_err_wrap(err, "collateral bundle");
	if (seen != 0xe)
		return tr_err_set(err, TR_E_INVALID, "the collateral bundle lacks a member", "bundle members %x", seen);
	*ret = b;
	b = (struct tr_bundle){ 0 };
	return TR_OK;
}

void tr_bundle_put(struct tr_buf *b, const struct tr_bundle *bundle)
{
	struct tr_bundle_entry *sorted = calloc(bundle->n ? bundle->n : 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted) {
		b->failed = true;
		return;
	}
	if (bundle->n)
		memcpy(sorted, bundle->items, bundle->n * sizeof(*sorted));
	qsort(sorted, bundle->n, sizeof(*sorted), order_any);
	/* Of two of one type and key the one that was issued later stays; equal ones become one. */
	for (size_t i = 0; i < bundle->n; i++) {
		if (!n || order(&sorted[n - 1], &sorted[i]) != 0)
			sorted[n++] = sorted[i];
		else if (sorted[i].issued > sorted[n - 1].issued)
			sorted[n - 1] = sorted[i];
	}
	tr_cbor_put_map(b, 3);
	tr_cbor_put_uint(b, KEY_VERSION);
	tr_cbor_put_uint(b, bundle->version);
	tr_cbor_put_uint(b, KEY_MADE);
	tr_cbor_put_int(b, bundle->made);
	tr_cbor_put_uint(b, KEY_ITEMS);
	tr_cbor_put_array(b, n);
	for (size_t i = 0; i < n; i++) {
		tr_cbor_put_array(b, 5);
		tr_cbor_put_uint(b, sorted[i].type);
		tr_cbor_put_bytes(b, sorted[i].key);
		tr_cbor_put_bytes(b, sorted[i].bytes);
		tr_cbor_put_int(b, sorted[i].issued);
		tr_cbor_put_int(b, sorted[i].expires);
	}
	free(sorted);
}

void tr_bundle_done(struct tr_bundle *b)
{
	free(b->items);
	*b = (struct tr_bundle){ 0 };
}

const struct tr_bundle_entry *tr_bundle_find(const struct tr_bundle *b, enum tr_bundle_item t, struct tr_view key)
{
	const struct tr_bundle_entry want = { .type = t, .key = key };

	/* At most 512 items, which a bundle under construction has not sorted yet. */
	for (size_t i = 0; i < b->n; i++)
		if (order(&b->items[i], &want) == 0)
			return &b->items[i];
	return NULL;
}

static struct tr_view find(const struct tr_bundle *b, enum tr_bundle_item t, struct tr_view key)
{
	const struct tr_bundle_entry *e = tr_bundle_find(b, t, key);

	return e ? e->bytes : tr_view(NULL, 0);
}

/* ---- what a verification needs ---- */

bool tr_bundle_for_dcap(const struct tr_bundle *b, const struct tr_tee_set *s, struct tr_dcap_collateral *ret)
{
	const struct tr_view none = { NULL, 0 };
	uint8_t key[7] = { (uint8_t)s->kind };
	bool platform;
	struct tr_err err;

	*ret = (struct tr_dcap_collateral){ .pck_chain = s->certs };
	ret->root_crl = find(b, TR_BI_ROOT_CRL, none);
	ret->tcb_chain = find(b, TR_BI_TCB_CHAIN, none);
	ret->qe_identity = find(b, TR_BI_QE_IDENTITY, tr_view(key, 1));
	if (tr_dcap_needs(s->quote, s->certs, key + 1, &platform, &err))
		return err.code != TR_E_INTERNAL; /* verification finds out why */
	ret->tcb_info = find(b, TR_BI_TCB_INFO, TR_VIEW_ARRAY(key));
	ret->pck_crl = find(b, platform ? TR_BI_PCK_CRL_PLATFORM : TR_BI_PCK_CRL_PROCESSOR, none);
	if (!ret->pck_chain.n)
		ret->pck_chain = find(b, TR_BI_PCK_CHAIN, tr_view(key + 1, 6));
	return true;
}

/* 64 bytes of chip id (zero for a VLEK), the five parts of the TCB, the product. */
void tr_bundle_vek_key(enum tr_snp_product p, struct tr_view chip_id, const struct tr_snp_tcb *t, uint8_t ret[70])
{
	memset(ret, 0, 70);
	if (chip_id.n)
		memcpy(ret, chip_id.p, chip_id.n < 64 ? chip_id.n : 64);
	ret[64] = t->fmc;
	ret[65] = t->boot_loader;
	ret[66] = t->tee;
	ret[67] = t->snp;
	ret[68] = t->microcode;
	ret[69] = (uint8_t)p;
}

static struct tr_view find_vek(const struct tr_bundle *b, enum tr_snp_product p, const struct tr_snp_report *r)
{
	uint8_t key[70];
	struct tr_snp_tcb t;

	tr_snp_tcb_read(p, r->reported_tcb, &t);
	tr_bundle_vek_key(p, r->signing_key == 1 ? tr_view(NULL, 0) : r->chip_id, &t, key);
	return find(b, TR_BI_VEK, TR_VIEW_ARRAY(key));
}

/* Version 2 does not name its product: the certificate that came with it does, or the one that we have for this chip. */
static enum tr_snp_product product_of(const struct tr_bundle *b, const struct tr_tee_set *s, const struct tr_snp_report *r)
{
	enum tr_snp_product p = tr_snp_product_of(r);
	struct tr_snp_certs table = { 0 };
	struct tr_snp_kds kds;
	struct tr_x_cert vek;
	struct tr_err err;

	if (p != TR_SNP_UNKNOWN)
		return p;
	if (s->certs.n && tr_snp_certs_parse(s->certs, &table, &err) == TR_OK &&
	    tr_x_cert_parse(r->signing_key == 1 && table.vlek.n ? table.vlek : table.vcek, &vek, &err) == TR_OK &&
	    tr_snp_kds_read(&vek, &kds, &err) == TR_OK)
		return kds.product;
	for (unsigned i = TR_SNP_MILAN; i < TR_SNP_PRODUCT_N; i++)
		if (find_vek(b, (enum tr_snp_product)i, r).n)
			return (enum tr_snp_product)i;
	return TR_SNP_UNKNOWN;
}

/* A table of certificates from a host may carry a vendor's root of its own (a simulated one): then ours does not belong to it,
 * and its revocation list neither. What a root is, is its key. */
static bool is_same_key(struct tr_view der_a, struct tr_view der_b)
{
	struct tr_x_cert a, b;
	struct tr_err err;

	return tr_x_cert_parse(der_a, &a, &err) == TR_OK && tr_x_cert_parse(der_b, &b, &err) == TR_OK &&
	       tr_view_eq(a.spki, b.spki);
}

void tr_bundle_for_snp(const struct tr_bundle *b, const struct tr_tee_set *s, struct tr_snp_in *ret)
{
	struct tr_snp_certs table = { 0 };
	enum tr_snp_product p;
	struct tr_snp_report r;
	enum tr_tee_code code;
	struct tr_view name, ark;
	struct tr_err err;

	*ret = (struct tr_snp_in){ .report = s->quote, .certs = s->certs };
	if (tr_snp_parse(s->quote, &r, &code, &err))
		return;
	p = product_of(b, s, &r);
	name = tr_view_str(tr_snp_product_name(p));
	if (s->certs.n && tr_snp_certs_parse(s->certs, &table, &err))
		table = (struct tr_snp_certs){ 0 };
	ark = find(b, TR_BI_ARK, name);
	if (!table.ark.n || is_same_key(table.ark, ark)) {
		ret->ark = ark;
		ret->crl = find(b, TR_BI_AMD_CRL, name);
	}
	if (!table.ask.n)
		ret->ask = find(b, r.signing_key == 1 ? TR_BI_ASVK : TR_BI_ASK, name);
	if (!table.vcek.n && !table.vlek.n)
		ret->vek = find_vek(b, p, &r);
}
