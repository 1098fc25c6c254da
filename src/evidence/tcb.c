/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence/tcb.h"

void tr_tcb_match(const struct tr_tcb_info *t, const struct tr_pck *pck, const uint8_t *tee_tcb_svn,
		  const struct tr_tcb_level **ret_sgx, const struct tr_tcb_level **ret_tdx)
{
	*ret_sgx = *ret_tdx = NULL;
	for (size_t k = 0; k < t->n_levels; k++) {
		const struct tr_tcb_level *l = &t->levels[k];
		bool fits = pck->pcesvn >= l->pcesvn;

		for (size_t i = 0; i < sizeof(l->sgx); i++)
			fits = fits && pck->comp[i] >= l->sgx[i];
		if (!fits)
			continue;
		if (!*ret_sgx)
			*ret_sgx = l;
		if (!tee_tcb_svn)
			return;
		/* From module version 1 on its identity speaks for the module, and the level's first two do not count. */
		for (size_t i = tee_tcb_svn[1] > 0 ? 2 : 0; i < sizeof(l->tdx); i++)
			fits = fits && tee_tcb_svn[i] >= l->tdx[i];
		if (fits) {
			*ret_tdx = l;
			return;
		}
	}
}

const struct tr_svn_level *tr_svn_match(const struct tr_svn_level *levels, size_t n, unsigned svn)
{
	for (size_t i = 0; i < n; i++)
		if (levels[i].isvsvn <= svn)
			return &levels[i];
	return NULL;
}

const struct tr_tdx_module *tr_tdx_module_of(const struct tr_tcb_info *t, uint8_t version)
{
	if (version == 0)
		return t->tdx ? &t->module : NULL;
	for (size_t i = 0; i < t->n_modules; i++)
		if (t->modules[i].version == version)
			return &t->modules[i];
	return NULL;
}

enum tr_tcb_status tr_tcb_converge(enum tr_tcb_status platform, enum tr_tcb_status part)
{
	if (part == TR_TCB_UP_TO_DATE)
		return platform;
	if (part != TR_TCB_OUT_OF_DATE)
		return part; /* NotSupported, Revoked, or what nobody knows */
	switch (platform) {
	case TR_TCB_UP_TO_DATE:
	case TR_TCB_SW_HARDENING_NEEDED: return TR_TCB_OUT_OF_DATE;
	case TR_TCB_CONFIGURATION_NEEDED:
	case TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED: return TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
	default: return platform;
	}
}

static bool has_configuration_part(enum tr_tcb_status s)
{
	return s == TR_TCB_CONFIGURATION_NEEDED || s == TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED ||
	       s == TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
}

enum tr_tcb_status tr_tcb_relaunch(const struct tr_tcb_info *t, enum tr_tcb_status s, enum tr_tcb_status sgx,
				   enum tr_tcb_status module, enum tr_tcb_status qe, const uint8_t *v2)
{
	bool platform_is_good = sgx == TR_TCB_UP_TO_DATE || sgx == TR_TCB_SW_HARDENING_NEEDED ||
				sgx == TR_TCB_CONFIGURATION_NEEDED ||
				sgx == TR_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
	const struct tr_tcb_level *top = &t->levels[0];
	bool good;

	/* Only the module that the TD began with is to blame. */
	if (qe != TR_TCB_UP_TO_DATE || !platform_is_good || module != TR_TCB_OUT_OF_DATE ||
	    (s != TR_TCB_OUT_OF_DATE && s != TR_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED) || !t->n_levels)
		return s;
	if (v2[1] == 0) {
		good = v2[0] >= top->tdx[0];
	} else {
		const struct tr_tdx_module *now = tr_tdx_module_of(t, v2[1]);

		if (!now)
			return TR_TCB_TDX_MODULE_MISMATCH;
		if (!now->n_levels)
			return TR_TCB_NOT_SUPPORTED;
		good = v2[0] >= now->levels[0].isvsvn;
	}
	if (!good || v2[2] < top->tdx[2])
		return s;
	return has_configuration_part(sgx) || has_configuration_part(s) ?
		       TR_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED :
		       TR_TCB_TD_RELAUNCH_ADVISED;
}
