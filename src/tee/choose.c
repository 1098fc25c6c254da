/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tee_inner.h"
#include "tee/tpm.h"

#include <stdio.h>

/* In this order for "auto": hardware before what only measures the boot. */
static const struct tr_tee_source *const sources[] = {
	&tr_tee_configfs, &tr_tee_sev_guest, &tr_tee_tdx_guest, &tr_tee_secretvm, &tr_tee_tpm,
	&tr_tee_simulated,
};

static bool is_for(const struct tr_tee_source *s, const char *platform)
{
	char word[24];

	(void)snprintf(word, sizeof(word), " %.20s ", platform);
	return strstr(s->platforms, word) != NULL;
}

static bool is_word(const char *platform)
{
	if (!*platform || strlen(platform) > 20 || strchr(platform, ' '))
		return false;
	for (size_t i = 0; i < TR_ARRAY_LEN(sources); i++)
		if (is_for(sources[i], platform))
			return true;
	return false;
}

TR_RC tr_tee_choose(const struct tr_tee_conf *c, const struct tr_tee_source **ret, struct tr_err *err)
{
	const char *platform = c->platform && *c->platform ? c->platform : "auto";
	char reasons[160] = "", why[160];
	size_t at = 0;

	if (strcmp(platform, "none") == 0) {
		*ret = NULL;
		return TR_OK;
	}
	if (!is_word(platform))
		return tr_err_set(err, TR_E_INVALID,
				  "TEE_PLATFORM is one of auto, tdx, snp, tpm, secretvm, simulated, none.", "%s", platform);
	for (size_t i = 0; i < TR_ARRAY_LEN(sources); i++) {
		if (!is_for(sources[i], platform))
			continue;
		why[0] = '\0';
		if (sources[i]->present(c, why)) {
			*ret = sources[i];
			return TR_OK;
		}
		at += (size_t)snprintf(reasons + at, sizeof(reasons) - at, "%s%s", at ? "; " : "", why);
		if (at >= sizeof(reasons))
			at = sizeof(reasons) - 1;
	}
	if (strcmp(platform, "auto") == 0) {
		*ret = NULL;
		return TR_OK;
	}
	/* Named and not there is an error, never another source and never nothing. */
	return tr_err_set(err, TR_E_UNAVAIL, "The TEE that was chosen is not there; `troth-agent tee use` or TEE_PLATFORM chooses another.", "%s: %s", platform, reasons);
}
