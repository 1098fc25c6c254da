/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/eye.h"

#include <stdio.h>

#define TEXT_MAX 4096

TR_RC tr_agent_eye(struct tr_view dirs, struct tr_view content, struct tr_bpf_eye **ret, struct tr_err *err)
{
	char d[TEXT_MAX + 1], c[TEXT_MAX + 1];

	*ret = NULL;
	if (tr_view_is(dirs, "off"))
		return TR_OK;
	if (dirs.n > TEXT_MAX || content.n > TEXT_MAX)
		return tr_err_set(err, TR_E_INVALID, "the list of BPF folders or maps is too long",
				  "over %d bytes", TEXT_MAX);
	(void)snprintf(d, sizeof(d), "%.*s", TR_VIEW_FMT(dirs));
	(void)snprintf(c, sizeof(c), "%.*s", TR_VIEW_FMT(content));
	return tr_bpf_eye_new(d[0] ? d : TR_BPF_DIR_DEFAULT, c, ret, err);
}
