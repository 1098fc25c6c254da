/* SPDX-License-Identifier: Apache-2.0 */
/* Reference values: every image is one tuple. What an image leaves out must be said ("any"), so that nobody has an image
 * by accident that any workload fits. */
#include "appraise/tee_policy.h"

#include "codec/ident.h"

static void ref(const struct tr_pp *p, const char *name, size_t len, bool need, struct tr_tee_ref48 *ret)
{
	struct tr_pp m;
	struct tr_view v;

	if (!(need ? tr_pp_need(p, name, &m) : tr_pp_member(p, name, &m)))
		return;
	if (tr_json_str(m.node, &v) && tr_view_is(v, "any"))
		ret->is = TR_REF_ANY;
	else if (tr_pp_hex(&m, ret->v, len))
		ret->is = TR_REF_VALUE;
}

static void no_any(const struct tr_pp *p, const char *name, const struct tr_tee_ref48 *r)
{
	if (r->is == TR_REF_ANY)
		tr_pp_fail(p, "\"%s\" cannot be \"any\": it is what makes this an image", name);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* ---- TDX ---- */

static void read_secretvm(const struct tr_pp *p, struct tr_tee_image *ret)
{
	struct tr_tee_digests compose = { 0 };
	uint8_t rootfs[32], files[32];
	bool has_files;
	struct tr_pp m;

	if (!tr_pp_object(p, "compose_sha256 rootfs files"))
		return;
	if (tr_pp_need(p, "compose_sha256", &m))
		tr_pp_digests(&m, 32, &compose);
	if (!tr_pp_need(p, "rootfs", &m) || !tr_pp_hex(&m, rootfs, 32))
		return;
	has_files = tr_pp_member(p, "files", &m) && tr_pp_hex(&m, files, 32);
	for (size_t i = 0; i < compose.n; i++)
		tr_rtmr3_secretvm(compose.v[i], rootfs, has_files ? files : NULL, ret->rtmr3.v[i]);
	ret->rtmr3.n = compose.n;
}

struct dstack {
	const struct tr_pp *p;
	struct tr_tee_image *image;
};

static bool read_dstack_event(void *arg, const char *key, tr_jnode value)
{
	const struct dstack *d = arg;
	const struct tr_pp m = { .up = d->p, .name = key, .run = d->p->run, .node = value };
	struct tr_tee_dstack_rule *r = &d->image->dstack[d->image->n_dstack];
	struct tr_view v;

	if (d->image->n_dstack == TR_TEE_DSTACK_MAX) {
		tr_pp_fail(d->p, "has more than %d events", TR_TEE_DSTACK_MAX);
		return false;
	}
	if (!tr_ident_ok(tr_view_str(key)) || !tr_json_str(value, &v) || v.n % 2 || v.n > 128 || !v.n) {
		tr_pp_fail(&m, "must be an event's payload as hex, at most 64 bytes");
		return false;
	}
	r->n = v.n / 2;
	if (!tr_pp_hex(&m, r->payload, r->n))
		return false;
	memcpy(r->name, key, strlen(key) + 1);
	d->image->n_dstack++;
	return true;
}

static void read_rtmr3(const struct tr_pp *p, struct tr_tee_image *ret)
{
	struct tr_pp m, rule;
	struct tr_view v;

	if (!tr_pp_need(p, "rtmr3", &m))
		return;
	if (tr_json_str(m.node, &v) && tr_view_is(v, "any")) {
		ret->rtmr3_any = true;
		return;
	}
	if (!tr_json_is_object(m.node)) {
		tr_pp_digests(&m, 48, &ret->rtmr3);
		return;
	}
	if (!tr_pp_object(&m, "secretvm dstack") || tr_json_len(m.node) != 1) {
		tr_pp_fail(&m, "must hold one rule: secretvm or dstack");
		return;
	}
	if (tr_pp_member(&m, "secretvm", &rule))
		read_secretvm(&rule, ret);
	if (tr_pp_member(&m, "dstack", &rule)) {
		struct dstack d = { &rule, ret };

		if (!tr_json_is_object(rule.node) || !tr_json_len(rule.node))
			tr_pp_fail(&rule, "must map names of events (compose-hash, app-id, os-image-hash) to their payload");
		tr_json_each(rule.node, read_dstack_event, &d);
	}
}

static void read_tdx_image(const struct tr_pp *p, struct tr_tee_image *ret)
{
	static const char *const rtmrs[3] = { "rtmr0", "rtmr1", "rtmr2" };

	if (!tr_pp_object(p, "name mrtd rtmr0 rtmr1 rtmr2 rtmr3 mrconfigid mrowner mrownerconfig"))
		return;
	ref(p, "mrtd", 48, true, &ret->mrtd);
	no_any(p, "mrtd", &ret->mrtd);
	for (unsigned i = 0; i < 3; i++)
		ref(p, rtmrs[i], 48, true, &ret->rtmr[i]);
	read_rtmr3(p, ret);
	ref(p, "mrconfigid", 48, false, &ret->mrconfigid);
	ref(p, "mrowner", 48, false, &ret->mrowner);
	ref(p, "mrownerconfig", 48, false, &ret->mrownerconfig);
}

/* ---- SGX, SNP, TPM ---- */

static void read_sgx_image(const struct tr_pp *p, struct tr_tee_image *ret)
{
	uint64_t prodid = UINT64_MAX, svn = UINT64_MAX;

	if (!tr_pp_object(p, "name mrenclave mrsigner isvprodid min_isvsvn configid"))
		return;
	ref(p, "mrenclave", 32, false, &ret->mrenclave);
	ref(p, "mrsigner", 32, false, &ret->mrsigner);
	ref(p, "configid", 64, false, &ret->configid);
	no_any(p, "mrenclave", &ret->mrenclave);
	no_any(p, "mrsigner", &ret->mrsigner);
	tr_pp_uint(p, "isvprodid", 0, UINT16_MAX, &prodid);
	tr_pp_uint(p, "min_isvsvn", 0, UINT16_MAX, &svn);
	if (ret->mrsigner.is) {
		/* A signer signs many enclaves, old and new: the three only say something together. */
		if (prodid == UINT64_MAX || svn == UINT64_MAX)
			tr_pp_fail(p, "\"mrsigner\" needs \"isvprodid\" and \"min_isvsvn\" beside it");
		else if (is_zero(ret->mrsigner.v, 32))
			tr_pp_fail(p, "\"mrsigner\" of zeros is no signer");
		ret->isvprodid = (uint16_t)prodid;
		ret->min_isvsvn = (uint16_t)svn;
	} else if (!ret->mrenclave.is) {
		tr_pp_fail(p, "needs \"mrenclave\", or \"mrsigner\" with \"isvprodid\" and \"min_isvsvn\"");
	}
}

static void read_snp_image(const struct tr_pp *p, struct tr_tee_image *ret)
{
	if (!tr_pp_object(p, "name measurement host_data id_key_digest author_key_digest family_id image_id"))
		return;
	ref(p, "measurement", 48, true, &ret->measurement);
	no_any(p, "measurement", &ret->measurement);
	ref(p, "host_data", 32, false, &ret->host_data);
	ref(p, "id_key_digest", 48, false, &ret->id_key_digest);
	ref(p, "author_key_digest", 48, false, &ret->author_key_digest);
	ref(p, "family_id", 16, false, &ret->family_id);
	ref(p, "image_id", 16, false, &ret->image_id);
}

struct pcrs {
	const struct tr_pp *p;
	enum tr_raw_hash bank;
	struct tr_tee_pcr_rule *ret;
	size_t n;
};

static bool read_pcr(void *arg, const char *key, tr_jnode value)
{
	struct pcrs *s = arg;
	const struct tr_pp m = { .up = s->p, .name = key, .run = s->p->run, .node = value };
	unsigned index = 0;
	size_t n = strlen(key);

	if (n == 0 || n > 2 || strspn(key, "0123456789") != n || (n == 2 && key[0] == '0')) {
		tr_pp_fail(&m, "is no number of a PCR (0 to 23)");
		return false;
	}
	for (size_t i = 0; i < n; i++)
		index = index * 10 + (unsigned)(key[i] - '0');
	if (index >= TR_TPM_PCRS) {
		tr_pp_fail(&m, "is no number of a PCR (0 to 23)");
		return false;
	}
	s->ret[s->n].index = index;
	tr_pp_digests(&m, tr_raw_hash_len(s->bank), &s->ret[s->n].values);
	s->n++;
	return !s->p->run->failed;
}

void tr_tee_read_pcrs(const struct tr_pp *p, enum tr_raw_hash bank, struct tr_tee_pcr_rule *ret, size_t *ret_n)
{
	struct pcrs s = { p, bank, ret, 0 };

	/* Names of an object are unique, so at most 24 of them are numbers of PCRs. */
	if (!tr_json_is_object(p->node) || !tr_json_len(p->node))
		tr_pp_fail(p, "must map numbers of PCRs to their values");
	else
		tr_json_each(p->node, read_pcr, &s);
	*ret_n = s.n;
}

static void read_tpm_image(const struct tr_pp *p, enum tr_raw_hash bank, struct tr_tee_image *ret)
{
	struct tr_pp m;

	if (!tr_pp_object(p, "name pcrs") || !tr_pp_need(p, "pcrs", &m))
		return;
	ret->pcrs = calloc(TR_TPM_PCRS, sizeof(*ret->pcrs));
	if (!ret->pcrs)
		tr_pp_fail(p, "out of memory");
	else
		tr_tee_read_pcrs(&m, bank, ret->pcrs, &ret->n_pcrs);
}

/* ---- the list ---- */

static void read_image(const struct tr_pp *p, enum tr_tee_kind kind, const struct tr_tee_policy *policy,
		       struct tr_tee_image *ret)
{
	struct tr_pp m;

	ret->kind = kind;
	switch (kind) {
	case TR_TEE_TDX: read_tdx_image(p, ret); break;
	case TR_TEE_SGX: read_sgx_image(p, ret); break;
	case TR_TEE_SNP: read_snp_image(p, ret); break;
	default: read_tpm_image(p, policy->tpm.bank, ret); break;
	}
	if (tr_pp_need(p, "name", &m))
		tr_pp_text(&m, ret->name, sizeof(ret->name) - 1);
}

void tr_tee_read_images(const struct tr_pp *section, enum tr_tee_kind kind, struct tr_tee_policy *ret)
{
	struct tr_pp list;
	struct tr_tee_image *grown;
	size_t n;

	if (!tr_pp_member(section, "images", &list))
		return;
	n = tr_pp_items(&list, TR_TEE_IMAGES_MAX - ret->n_images);
	if (!n)
		return;
	grown = realloc(ret->images, (ret->n_images + n) * sizeof(*grown));
	if (!grown) {
		tr_pp_fail(&list, "out of memory");
		return;
	}
	ret->images = grown;
	for (size_t i = 0; i < n && !section->run->failed; i++) {
		const struct tr_pp item = tr_pp_item(&list, i);

		memset(&grown[ret->n_images], 0, sizeof(*grown));
		read_image(&item, kind, ret, &grown[ret->n_images++]);
	}
}
