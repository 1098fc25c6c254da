/* SPDX-License-Identifier: Apache-2.0 */
/* A server's problem document (RFC 9457), told to people. The text is the server's: control bytes never reach
 * a terminal or a log. */
#ifndef TR_AGENT_REFUSAL_H
#define TR_AGENT_REFUSAL_H

#include "base/buf.h"

struct tr_said_no {
	char code[64]; /* stable slug; "" when the answer is not a problem document of ours */
	char title[128];
	char detail[512];
};
/* Never fails: what is not there stays empty. */
void tr_refusal_read(struct tr_view body, struct tr_said_no *ret);

/* Title, code, the sentence, and every further member on a line of its own ("server_time  2026-…"). */
void tr_refusal_text(int status, struct tr_view body, struct tr_buf *ret);

#endif
