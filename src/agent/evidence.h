/* SPDX-License-Identifier: Apache-2.0 */
/* What this process can say about itself: its image, the release statement beside it, and the version that
 * follows. Nothing of it is verified here: that is the server's part. */
#ifndef TR_AGENT_EVIDENCE_H
#define TR_AGENT_EVIDENCE_H

#include "agent/image.h"
#include "agent/state.h"
#include "codec/ident.h"

struct tr_evidence {
	struct tr_image image;
	struct tr_buf statement; /* empty: none */
	bool statement_is_of_other_image;
	char version[TR_VERSION_MAX + 1];
};
void tr_evidence_done(struct tr_evidence *e);
TR_DEFINE_AUTO_DONE(struct tr_evidence, tr_evidence_done)

/* statement: file to take, or NULL for <image>.release where there is one. version: NULL for, in this order,
 * AGENT_VERSION, the enrolled version while the image is still the enrolled one (conf, may be NULL), the
 * version of the statement about this very image, the program's own. */
TR_RC tr_evidence_read(const char *statement, const char *version, const struct tr_agent_conf *conf,
		       struct tr_evidence *ret, struct tr_err *err);

#endif
